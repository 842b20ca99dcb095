//! Causes that `xent compare` names: each is injected, and none is named where none is.

use half::bf16;
use serde_json::Value;

use crate::folder::Folder;

const ROWS: usize = 200;
const CLASSES: usize = 10;

/// Numbers that look random, from 0 to 1.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((x ^ (x >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Of mean 0 and standard deviation 1.
    pub(crate) fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.next()).sum::<f64>() - 6.0
    }
}

/// Logits of a model.
fn logits(seed: u64) -> Vec<f32> {
    let mut random = Random::new(seed);
    (0..ROWS * CLASSES).map(|_| (3.0 * random.normal()) as f32).collect()
}

fn softmax(x: &[f32], factor: f64) -> Vec<f32> {
    let of_row = |row: &[f32]| {
        let powers: Vec<f64> = row.iter().map(|x| (factor * f64::from(*x)).exp()).collect();
        let sum: f64 = powers.iter().sum();
        powers.into_iter().map(|power| (power / sum) as f32).collect::<Vec<_>>()
    };
    x.chunks(CLASSES).flat_map(of_row).collect()
}

/// Rounded to nearest, halves to even, and held at the ends of the type.
fn quantise(x: &[f32], scale: f64, zero_point: f64) -> Vec<i8> {
    let of =
        |x: &f32| ((f64::from(*x) / scale).round_ties_even() + zero_point).clamp(-128.0, 127.0);
    x.iter().map(|x| of(x) as i8).collect()
}

const SHAPE: [u64; 2] = [ROWS as u64, CLASSES as u64];
const COMPARE: &str = "compare --reference a.npy --candidate b.npy";

/// The names of the causes, which must also be in the text with the same evidence.
fn causes(folder: &Folder, options: &str) -> Vec<String> {
    let report = folder.json(&format!("{COMPARE} {options}"));
    let text = folder.run(&format!("{COMPARE} {options}")).stdout;
    let causes = report["causes"].as_array().expect("causes");
    let word = |cause: &Value, key: &str| cause[key].as_str().expect("text").to_owned();
    let line = |cause: &Value| {
        format!("cause       {}: {}\n", word(cause, "name"), word(cause, "evidence"))
    };
    for cause in causes {
        assert!(text.contains(&line(cause)), "{text}");
    }
    assert_eq!(text.matches("cause  ").count(), causes.len(), "{text}");
    causes.iter().map(|cause| word(cause, "name")).collect()
}

/// The causes of the difference of two arrays of floats.
fn of_floats(a: &[f32], b: &[f32]) -> Vec<String> {
    let folder = Folder::new();
    folder.save("a.npy", &SHAPE, a);
    folder.save("b.npy", &SHAPE, b);
    causes(&folder, "")
}

/// The causes of the difference between floats and integers of this scale and zero point.
fn of_integers(a: &[f32], b: &[i8], scale: f64, zero_point: i32) -> Vec<String> {
    let folder = Folder::new();
    folder.save("a.npy", &SHAPE, a);
    folder.save("b.npy", &SHAPE, b);
    causes(&folder, &format!("--candidate-scale {scale} --candidate-zero-point {zero_point}"))
}

/// The causes of the difference of integers of one scale.
fn of_two_devices(a: &[i8], b: &[i8], zero_point: i32) -> Vec<String> {
    let folder = Folder::new();
    folder.save("a.npy", &SHAPE, a);
    folder.save("b.npy", &SHAPE, b);
    let side = |side| format!("--{side}-scale 0.125 --{side}-zero-point {zero_point} ");
    causes(&folder, &(side("reference") + &side("candidate")))
}

fn none() -> Vec<String> {
    Vec::new()
}

#[test]
fn a_fine_device_has_no_cause() {
    let x = logits(1);
    assert_eq!(of_floats(&x, &x), none());
    // Rounded to bf16, to integers, and computed in another order.
    let brains: Vec<f32> = x.iter().map(|x| bf16::from_f32(*x).to_f32()).collect();
    assert_eq!(of_floats(&x, &brains), none());
    assert_eq!(of_integers(&x, &quantise(&x, 0.125, -4.0), 0.125, -4), none());
    let mut random = Random::new(2);
    let near: Vec<f32> = x.iter().map(|x| x + 1e-5 * random.normal() as f32).collect();
    assert_eq!(of_floats(&x, &near), none());
    let p = softmax(&x, 1.0);
    assert_eq!(of_integers(&p, &quantise(&p, 1.0 / 256.0, -128.0), 1.0 / 256.0, -128), none());
    let brains: Vec<f32> = p.iter().map(|p| bf16::from_f32(*p).to_f32()).collect();
    assert_eq!(of_floats(&p, &brains), none());
}

#[test]
fn noise_of_one_step_has_no_cause() {
    let quantised = quantise(&logits(3), 0.125, -4.0);
    for share in [0.01, 0.25, 0.6] {
        let mut random = Random::new(4);
        let noisy: Vec<i8> = quantised
            .iter()
            .map(|q| {
                let is_off = random.next() < share;
                let step = if random.next() < 0.5 { 1 } else { -1 };
                if is_off { q.saturating_add(step) } else { *q }
            })
            .collect();
        assert_eq!(of_two_devices(&quantised, &noisy, -4), none(), "{share}");
    }
}

#[test]
fn another_model_has_no_cause() {
    for seed in 5..15 {
        let (a, b) = (logits(seed), logits(seed + 100));
        assert_eq!(of_floats(&a, &b), none());
        let small: Vec<f32> = b.iter().map(|x| x / 50.0).collect();
        assert_eq!(of_floats(&a, &small), none());
        assert_eq!(of_floats(&a, &softmax(&b, 1.0)), none());
        assert_eq!(of_floats(&softmax(&a, 1.0), &softmax(&b, 1.0)), none());
        assert_eq!(of_integers(&a, &quantise(&b, 0.125, 3.0), 0.125, 3), none());
    }
}

#[test]
fn single_numbers_and_pairs_have_no_order_by_chance() {
    // Among many single numbers each has a near neighbour somewhere.
    let mut random = Random::new(6);
    for classes in [1, 2, 3] {
        let folder = Folder::new();
        for name in ["a.npy", "b.npy"] {
            let numbers: Vec<f32> =
                (0..2000 * classes).map(|_| (20.0 * random.normal()).round() as f32).collect();
            folder.save(name, &[2000, classes], &numbers);
        }
        assert_eq!(causes(&folder, ""), none(), "{classes}");
    }
}

#[test]
fn few_numbers_are_no_evidence() {
    let mut random = Random::new(30);
    for shape in [[1, 1], [1, 2], [2, 1], [1, 3], [2, 2], [4, 1], [7, 1]] {
        for _ in 0..10 {
            let folder = Folder::new();
            for name in ["a.npy", "b.npy"] {
                let numbers: Vec<f64> =
                    (0..shape.iter().product()).map(|_| random.normal()).collect();
                folder.save(name, &shape, &numbers);
            }
            assert_eq!(causes(&folder, ""), none(), "{shape:?}");
        }
    }
    // What they are is seen in one row that is long enough.
    let folder = Folder::new();
    let row = &logits(31)[..CLASSES];
    folder.save("a.npy", &[1, CLASSES as u64], row);
    let doubled: Vec<f32> = row.iter().map(|x| 2.0 * x).collect();
    folder.save("b.npy", &[1, CLASSES as u64], &doubled);
    assert_eq!(causes(&folder, ""), ["factor"]);
}

#[test]
fn a_wrong_scale_is_a_factor() {
    let x = logits(7);
    for factor in [0.5_f32, 1.03, 1.25, -1.5] {
        let scaled: Vec<f32> = x.iter().map(|x| factor * x).collect();
        assert_eq!(of_floats(&x, &scaled), ["factor"], "{factor}");
    }
    // The integers of one scale, read with another.
    let folder = Folder::new();
    folder.save("a.npy", &SHAPE, &x);
    folder.save("b.npy", &SHAPE, &quantise(&x, 0.125, -4.0));
    let options = "--candidate-scale 0.25 --candidate-zero-point -4";
    assert_eq!(causes(&folder, options), ["factor"]);
    let report = folder.json(&format!("{COMPARE} {options}"));
    let evidence = report["causes"][0]["evidence"].as_str().expect("text");
    assert!(evidence.contains("times") && evidence.contains("a scale of 0.12"), "{evidence}");
}

#[test]
fn a_wrong_zero_point_is_an_offset() {
    let x = logits(8);
    let moved: Vec<f32> = x.iter().map(|x| x + 0.75).collect();
    assert_eq!(of_floats(&x, &moved), ["offset"]);
    let folder = Folder::new();
    folder.save("a.npy", &SHAPE, &x);
    folder.save("b.npy", &SHAPE, &quantise(&x, 0.125, -4.0));
    for zero_point in [-3, -5, 0] {
        let options = format!("--candidate-scale 0.125 --candidate-zero-point {zero_point}");
        assert_eq!(causes(&folder, &options), ["offset"]);
        let report = folder.json(&format!("{COMPARE} {options}"));
        let evidence = report["causes"][0]["evidence"].as_str().expect("text");
        assert!(evidence.contains("a zero point of -4 "), "{evidence}");
    }
    let both: Vec<f32> = x.iter().map(|x| 1.5 * x - 2.0).collect();
    assert_eq!(of_floats(&x, &both), ["factor_and_offset"]);
}

#[test]
fn an_order_of_classes_is_named() {
    let x = logits(9);
    let ordered = |order: [usize; CLASSES]| -> Vec<f32> {
        x.chunks(CLASSES).flat_map(|row| order.map(|class| row[class])).collect()
    };
    let swapped = [0, 1, 7, 3, 4, 5, 6, 2, 8, 9];
    assert_eq!(of_floats(&x, &ordered(swapped)), ["permuted_classes"]);
    assert_eq!(of_floats(&x, &ordered([9, 8, 7, 6, 5, 4, 3, 2, 1, 0])), ["permuted_classes"]);
    let rotated: Vec<i8> = quantise(&ordered([1, 2, 3, 4, 5, 6, 7, 8, 9, 0]), 0.125, 0.0);
    assert_eq!(of_integers(&x, &rotated, 0.125, 0), ["permuted_classes"]);
    // Two classes with opposite logits.
    let pairs: Vec<f32> = x.iter().flat_map(|x| [*x, -x]).collect();
    let turned: Vec<f32> = x.iter().flat_map(|x| [-*x, *x]).collect();
    let folder = Folder::new();
    folder.save("a.npy", &[2000, 2], &pairs);
    folder.save("b.npy", &[2000, 2], &turned);
    assert_eq!(causes(&folder, ""), ["permuted_classes"]);
    let report = folder.json(COMPARE);
    let evidence = report["causes"][0]["evidence"].as_str().expect("text");
    assert!(evidence.contains("(0 is at 1, 1 is at 0)"), "{evidence}");
}

#[test]
fn an_order_of_rows_is_named() {
    let x = logits(10);
    for shift in [1, 3, 40] {
        // The first rows are those of another file.
        let mut later = logits(11)[..shift * CLASSES].to_vec();
        later.extend(&x[..(ROWS - shift) * CLASSES]);
        assert_eq!(of_floats(&x, &later), ["shifted_rows"]);
        assert_eq!(of_floats(&later, &x), ["shifted_rows"]);
        let folder = Folder::new();
        folder.save("a.npy", &SHAPE, &x);
        folder.save("b.npy", &SHAPE, &later);
        let report = folder.json(COMPARE);
        let evidence = report["causes"][0]["evidence"].as_str().expect("text");
        let s = if shift == 1 { "" } else { "s" };
        assert!(evidence.contains(&format!("{shift} row{s} later")), "{evidence}");
    }
    let mut order: Vec<usize> = (0..ROWS).collect();
    order.sort_by_key(|row| (row * 7919) % 1009);
    let shuffled: Vec<f32> =
        order.iter().flat_map(|&row| x[row * CLASSES..(row + 1) * CLASSES].to_vec()).collect();
    assert_eq!(of_floats(&x, &shuffled), ["permuted_rows"]);
    assert_eq!(of_integers(&x, &quantise(&shuffled, 0.125, 0.0), 0.125, 0), ["permuted_rows"]);
}

#[test]
fn probabilities_compared_with_logits_are_named() {
    let x = logits(12);
    let p = softmax(&x, 1.0);
    assert_eq!(of_floats(&x, &p), ["softmax_of_logits"]);
    assert_eq!(of_floats(&p, &x), ["softmax_of_logits"]);
    let bytes = quantise(&p, 1.0 / 256.0, -128.0);
    assert_eq!(of_integers(&x, &bytes, 1.0 / 256.0, -128), ["softmax_of_logits"]);
    // Certain rows are at both ends of the type.
    let certain: Vec<f32> = x.iter().map(|x| 20.0 * x).collect();
    let bytes = quantise(&softmax(&certain, 1.0), 1.0 / 256.0, -128.0);
    assert_eq!(of_integers(&certain, &bytes, 1.0 / 256.0, -128), ["softmax_of_logits"]);
    let others: Vec<f32> = logits(112).iter().map(|x| 20.0 * x).collect();
    assert_eq!(of_integers(&others, &bytes, 1.0 / 256.0, -128), none());
    let logs: Vec<f32> = p.iter().map(|p| p.ln()).collect();
    assert_eq!(of_floats(&x, &logs), ["log_softmax_of_logits"]);
    let sigmoids: Vec<f32> = x.iter().map(|x| 1.0 / (1.0 + (-x).exp())).collect();
    assert_eq!(of_floats(&x, &sigmoids), ["sigmoid_of_logits"]);
}

#[test]
fn a_softmax_of_bytes_without_their_scale_is_named() {
    // Two to the integer, at a scale of 0.25.
    let x = logits(13);
    let powers = softmax(&x, std::f64::consts::LN_2 / 0.25);
    assert_eq!(of_floats(&x, &powers), ["softmax_temperature"]);
    assert_eq!(of_floats(&softmax(&x, 1.0), &powers), ["softmax_temperature"]);
}

#[test]
fn bytes_in_the_other_order_are_named() {
    let x = logits(14);
    let folder = Folder::new();
    let save =
        |name: &str, descr: &str, bytes: Vec<u8>| folder.save_bytes(name, descr, &SHAPE, &bytes);
    save("a.npy", "<f4", x.iter().flat_map(|x| x.to_le_bytes()).collect());
    save("b.npy", "<f4", x.iter().flat_map(|x| x.to_be_bytes()).collect());
    assert_eq!(causes(&folder, ""), ["byte_order"]);
    let swapped = "compare --reference b.npy --candidate a.npy";
    assert_eq!(folder.json(swapped)["causes"][0]["name"], "byte_order");
    let whole = |x: &f32| (f64::from(*x) / 0.001).round() as i16;
    save("b.npy", "<i2", x.iter().flat_map(|x| whole(x).to_be_bytes()).collect());
    assert_eq!(causes(&folder, "--candidate-scale 0.001"), ["byte_order"]);
    // The declared order is read as it is.
    save("b.npy", ">i2", x.iter().flat_map(|x| whole(x).to_be_bytes()).collect());
    assert_eq!(causes(&folder, "--candidate-scale 0.001"), none());
}

#[test]
fn ends_of_the_type_are_named() {
    let x = logits(15);
    let scale = 0.04;
    let beyond =
        x.iter().filter(|x| (f64::from(**x) / scale).round_ties_even().abs() > 128.0).count();
    assert!(beyond > 0);
    assert_eq!(of_integers(&x, &quantise(&x, scale, 0.0), scale, 0), ["saturation"]);
    let wrapped: Vec<i8> =
        x.iter().map(|x| (f64::from(*x) / scale).round_ties_even() as i64 as i8).collect();
    assert_eq!(of_integers(&x, &wrapped, scale, 0), ["wrap_around"]);
}

#[test]
fn a_wrong_scale_or_zero_point_is_seen_where_some_numbers_are_at_the_ends() {
    let x = logits(27);
    let at_ends = |q: &[i8]| q.iter().filter(|q| [-128, 127].contains(*q)).count();
    let bytes = quantise(&x, 0.04, 5.0);
    assert!(at_ends(&bytes) > 20, "{}", at_ends(&bytes));
    assert_eq!(of_integers(&x, &bytes, 0.06, 5), ["factor"]);
    assert_eq!(of_integers(&x, &bytes, 0.04, 2), ["offset"]);
    assert_eq!(of_integers(&x, &bytes, 0.04, 5), ["saturation"]);
}

#[test]
fn rounding_of_halves_is_named() {
    // Quarters of a step: one number in four is half way.
    let mut random = Random::new(16);
    let x: Vec<f32> = (0..ROWS * CLASSES)
        .map(|_| ((80.0 * random.normal()).round() / 32.0) as f32)
        .map(|x| x.clamp(-15.0, 15.0))
        .collect();
    let rounded = |rule: fn(f64) -> f64| -> Vec<i8> {
        x.iter().map(|x| rule(f64::from(*x) / 0.125) as i8).collect()
    };
    let even = rounded(f64::round_ties_even);
    let up = rounded(|x| (x + 0.5).floor());
    let away = rounded(f64::round);
    assert_eq!(of_integers(&x, &even, 0.125, 0), none());
    assert_eq!(of_integers(&x, &up, 0.125, 0), ["halves_up"]);
    assert_eq!(of_integers(&x, &away, 0.125, 0), ["halves_away_from_zero"]);
    // Between two devices, without the numbers before rounding.
    assert_eq!(of_two_devices(&even, &up, 0), ["halves_up"]);
    assert_eq!(of_two_devices(&up, &even, 0), ["halves_up"]);
    assert_eq!(of_two_devices(&even, &away, 0), ["halves_away_from_zero"]);
    assert_eq!(of_two_devices(&away, &even, 0), ["halves_away_from_zero"]);
    // Towards zero is another rule, which differs by more.
    assert_eq!(of_two_devices(&even, &rounded(f64::trunc), 0), none());
}

#[test]
fn rounding_twice_is_named_with_the_share_of_its_shift() {
    // Accumulators times a multiplier, and a right shift, as kernels of eight bits requantise them.
    let mut random = Random::new(17);
    for shift in [1, 2, 3] {
        let exact: Vec<f64> =
            (0..ROWS * CLASSES).map(|_| (25.0 * random.normal()).clamp(-100.0, 100.0)).collect();
        let once: Vec<i8> = exact.iter().map(|x| (x + 0.5).floor() as i8).collect();
        let steps = f64::from(1 << shift);
        let twice: Vec<i8> =
            exact.iter().map(|x| ((x * steps).round() / steps).round() as i8).collect();
        assert_eq!(of_two_devices(&once, &twice, 0), ["rounded_twice"], "{shift}");
        assert_eq!(of_two_devices(&twice, &once, 0), ["rounded_twice"], "{shift}");
        let folder = Folder::new();
        folder.save("a.npy", &SHAPE, &once);
        folder.save("b.npy", &SHAPE, &twice);
        let report = folder.json(&format!("{COMPARE} --reference-scale 1 --candidate-scale 1"));
        let evidence = report["causes"][0]["evidence"].as_str().expect("text");
        assert!(evidence.contains(&format!("a right shift of {shift} ")), "{evidence}");
    }
}

#[test]
fn rows_of_probabilities_with_another_sum_are_named() {
    let p = softmax(&logits(18), 1.0);
    let scaled = |factor: f32, every: usize| -> Vec<f32> {
        let of_row = |(row, p): (usize, &[f32])| {
            let factor = if row % every == 0 { factor } else { 1.0 };
            p.iter().map(|p| factor * p).collect::<Vec<_>>()
        };
        p.chunks(CLASSES).enumerate().flat_map(of_row).collect()
    };
    assert_eq!(of_floats(&p, &scaled(2.0, 50)), ["doubled_rows"]);
    assert_eq!(of_floats(&p, &scaled(2.0, 1)), ["doubled_rows"]);
    assert_eq!(of_floats(&p, &scaled(1.25, 1)), ["row_sums"]);
    assert_eq!(of_floats(&p, &scaled(1.25, 7)), ["row_sums"]);
    // Logits have any sum.
    assert_eq!(of_floats(&logits(18), &logits(19)), none());
}

#[test]
fn rows_of_nan_and_of_zeros_are_named_with_the_first() {
    let x = logits(20);
    for (filler, name) in [(f32::NAN, "nan_rows"), (0.0, "zero_rows")] {
        let mut some = x.clone();
        some[30..40].fill(filler);
        some[70..80].fill(filler);
        assert_eq!(of_floats(&x, &some), [name]);
        let folder = Folder::new();
        folder.save("a.npy", &SHAPE, &x);
        folder.save("b.npy", &SHAPE, &some);
        let report = folder.json(COMPARE);
        let evidence = report["causes"][0]["evidence"].as_str().expect("text");
        assert!(evidence.contains("2 of 200 rows") && evidence.contains("row 3"), "{evidence}");
    }
}

#[test]
fn votes_and_classes_are_named() {
    let mut random = Random::new(21);
    let p = softmax(&logits(22), 0.5);
    let trees = 12;
    let mut votes = vec![0.0_f32; p.len()];
    for (p, votes) in p.chunks(CLASSES).zip(votes.chunks_mut(CLASSES)) {
        for _ in 0..trees {
            let mut left = random.next() as f32;
            let class = p.iter().position(|p| {
                left -= p;
                left < 0.0
            });
            votes[class.unwrap_or(0)] += 1.0;
        }
    }
    assert_eq!(of_floats(&p, &votes), ["votes"]);
    let shares: Vec<f32> = votes.iter().map(|votes| votes / trees as f32).collect();
    assert_eq!(of_floats(&p, &shares), ["votes"]);
    let one_hot: Vec<f32> = p
        .chunks(CLASSES)
        .flat_map(|row| {
            let most = row.iter().copied().fold(0.0, f32::max);
            row.iter().map(|p| f32::from(*p == most)).collect::<Vec<_>>()
        })
        .collect();
    assert_eq!(of_floats(&p, &one_hot), ["one_hot"]);
    // Probabilities printed with two digits.
    let printed: Vec<f32> = p.iter().map(|p| (100.0 * p).round() / 100.0).collect();
    assert_eq!(of_floats(&p, &printed), none());
}

#[test]
fn a_cause_beyond_the_sample_needs_no_sample() {
    // The doubled row and the row of NaN are far behind the first 4096 rows.
    let mut random = Random::new(23);
    let rows = 6000;
    let mut a = Vec::new();
    for _ in 0..rows {
        let p = random.next() as f32;
        a.extend([p, 1.0 - p]);
    }
    let mut b = a.clone();
    for p in &mut b[2 * 5500..2 * 5501] {
        *p *= 2.0;
    }
    b[2 * 5900] = f32::NAN;
    let folder = Folder::new();
    folder.save("a.npy", &[rows, 2], &a);
    folder.save("b.npy", &[rows, 2], &b);
    assert_eq!(causes(&folder, ""), ["nan_rows", "doubled_rows"]);
}

#[test]
fn rows_that_are_not_compared_are_no_evidence() {
    let x = logits(24);
    let mut some = x.clone();
    some[30..40].fill(f32::NAN);
    let folder = Folder::new();
    folder.save("a.npy", &SHAPE, &x);
    folder.save("b.npy", &SHAPE, &some);
    let mut weights = [1.0_f32; ROWS];
    weights[3] = 0.0;
    folder.save("v.npy", &[ROWS as u64], &weights);
    assert_eq!(causes(&folder, "--sample-weights v.npy"), none());
}
