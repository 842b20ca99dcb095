//! A row in parts has the bits of the whole row.

use proptest::prelude::*;
use xent_core::{
    Batch, Buffers, Error, Level, LogSumExpBatch, PartialRow, Shape, SoftmaxBatch, SoftmaxTargets,
};
use xent_reference::softmax::cross_entropy;
use xent_reference::targets::one_hot;
use xent_reference::ulp::{error_at_f32, error_f32};

const TILE: usize = PartialRow::TILE;

/// Logits over a wide range, reproducible and without a pattern.
fn logits(count: usize, seed: u32) -> Vec<f32> {
    let spread = |i: u32| i.wrapping_add(seed).wrapping_mul(2_654_435_761) >> 8;
    (0..count as u32).map(|i| spread(i) as f32 / 4e5 - 20.0).collect()
}

/// What the gradient does with the values there.
#[derive(Clone, Copy, Debug)]
enum Mode {
    Write,
    Add,
    InPlace,
}

fn buffers<'a>(mode: Mode, x: &'a [f32], gradient: &'a mut [f32]) -> Buffers<'a> {
    match mode {
        Mode::Write => Buffers::gradient(x, gradient),
        Mode::Add => Buffers::accumulate(x, gradient),
        Mode::InPlace => {
            gradient.copy_from_slice(x);
            Buffers::in_place(gradient)
        }
    }
}

/// All NaNs count as the same.
fn bits(x: f32) -> u32 {
    if x.is_nan() { u32::MAX } else { x.to_bits() }
}

fn bits_of(loss: f64, log_sum_exp: f64, gradient: &[f32]) -> (f32, u32, Vec<u32>) {
    let loss = if loss.is_nan() { f32::MAX } else { loss as f32 };
    (loss, bits(log_sum_exp as f32), gradient.iter().copied().map(bits).collect())
}

fn whole(level: Level, mode: Mode, x: &[f32], label: usize) -> (f32, u32, Vec<u32>) {
    let mut gradient = vec![0.5; x.len()];
    let mut log_sum_exp = [0.0];
    let labels = [label];
    let targets = SoftmaxTargets::Index((&labels).into());
    let batch = SoftmaxBatch::new(buffers(mode, x, &mut gradient), x.len(), targets);
    let outputs = xent_core::Outputs { log_sum_exp: &mut log_sum_exp, ..Default::default() };
    let loss = batch.and_then(|batch| batch.with_scale(0.3).with_outputs(outputs));
    let loss = loss.expect("a valid row").run(level);
    bits_of(loss, log_sum_exp[0].into(), &gradient)
}

/// The same in parts that start at these tiles, merged from the left or from the right.
fn in_parts(
    level: Level,
    mode: Mode,
    x: &[f32],
    label: usize,
    cuts: &[usize],
    from_right: bool,
) -> (f32, u32, Vec<u32>) {
    let mut ends: Vec<usize> = cuts.iter().map(|cut| (cut * TILE).min(x.len())).collect();
    ends.extend([0, x.len()]);
    ends.sort_unstable();
    ends.dedup();
    let ranges: Vec<_> = ends.windows(2).map(|ends| ends[0]..ends[1]).collect();
    let parts = ranges.iter().map(|range| {
        PartialRow::new(level, &x[range.clone()], range.start, Some(label)).expect("a valid part")
    });
    let merge = |a: PartialRow, b: PartialRow| a.merge(&b).expect("neighbours");
    let row = if from_right { parts.rev().reduce(|b, a| merge(a, b)) } else { parts.reduce(merge) };
    let row = row.expect("a row has a part");
    assert_eq!(row.classes(), 0..x.len());
    let mut gradient = vec![0.5; x.len()];
    for range in ranges {
        let part = buffers(mode, &x[range.clone()], &mut gradient[range.clone()]);
        row.gradient(level, part, range.start, 0.3).expect("classes of the row");
    }
    bits_of(row.loss().expect("with a label"), row.log_sum_exp(), &gradient)
}

#[test]
fn odd_rows_in_parts_have_the_bits_of_the_row_at_once() {
    let length = 5 * TILE + 77;
    let label = 3 * TILE + 5;
    let nan = f32::NAN;
    let (inf, absent) = (f32::INFINITY, f32::NEG_INFINITY);
    let everywhere = |value: f32| vec![(0..length, value)];
    let one = |at: usize, value: f32| (at..at + 1, value);
    let rows = [
        vec![],
        everywhere(absent),
        everywhere(nan),
        everywhere(1e38),
        vec![one(7, nan)],
        vec![one(label, nan)],
        vec![one(label, absent)],
        vec![one(label, inf)],
        vec![one(label, inf), one(8, nan)],
        vec![one(label, nan), one(8, inf)],
        vec![one(9, inf)],
        vec![one(9, inf), one(5 * TILE, nan)],
        vec![one(9, inf), one(5 * TILE, inf)],
        vec![one(9, inf), one(10, nan)],
        vec![(0..TILE, absent)],
        vec![(TILE..length, absent)],
        vec![(0..length - 1, absent)],
        vec![(0..4 * TILE, absent)],
        vec![(0..TILE, nan)],
        vec![one(4, 1e30), one(label, -1e30)],
        vec![one(label, 200.0)],
    ];
    for level in Level::available() {
        for changes in &rows {
            let mut x = logits(length, 1);
            for (range, value) in changes {
                x[range.clone()].fill(*value);
            }
            for mode in [Mode::Write, Mode::Add, Mode::InPlace] {
                let expected = whole(level, mode, &x, label);
                for cuts in [&[][..], &[3], &[1, 2, 4], &[1, 2, 3, 4, 5]] {
                    let got = in_parts(level, mode, &x, label, cuts, false);
                    assert!(got == expected, "{level}, {mode:?}: {changes:?} cut at {cuts:?}");
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_parts_in_any_order_have_the_bits_of_the_row_at_once(
        length in TILE + 1..40 * TILE,
        label: u32,
        seed: u32,
        cuts in prop::collection::vec(0_usize..40, 0..12),
        from_right: bool,
    ) {
        let x = logits(length, seed);
        let label = label as usize % length;
        for level in Level::available() {
            let expected = whole(level, Mode::Write, &x, label);
            let got = in_parts(level, Mode::Write, &x, label, &cuts, from_right);
            prop_assert!(got == expected, "{level}");
        }
    }
}

#[test]
fn parts_are_within_the_bound_of_the_whole() {
    for length in [TILE + 1, 9 * TILE, 33 * TILE + 5] {
        let x = logits(length, 3);
        let exactly: Vec<f64> = x.iter().map(|&x| x.into()).collect();
        let label = length - 2;
        let answer = cross_entropy(&exactly, &one_hot(length, label, 1.0));
        for level in Level::available() {
            let (loss, _, gradient) = in_parts(level, Mode::Write, &x, label, &[1, 5, 20], false);
            assert!(error_f32(loss, answer.loss) <= 4.0 + answer.mean_distance);
            for (class, &g) in gradient.iter().enumerate() {
                let (expected, scale) = (0.3 * answer.grad[class], 0.3 * answer.scale[class]);
                let error = error_at_f32(f32::from_bits(g), expected, scale);
                let distance = answer.max - exactly[class];
                assert!(error <= 4.0 + distance + answer.mean_distance, "{class}: {error}");
            }
        }
    }
}

#[test]
fn without_a_label_parts_have_the_log_sum_exp_of_the_row() {
    let x = logits(7 * TILE + 1, 5);
    for level in Level::available() {
        let part = |from: usize, to: usize| {
            PartialRow::new(level, &x[from..to], from, None).expect("a valid part")
        };
        let row = part(0, 3 * TILE).merge(&part(3 * TILE, x.len())).expect("neighbours");
        let expected = xent_core::log_sum_exp(level, &x);
        assert_eq!((row.log_sum_exp() as f32).to_bits(), expected.to_bits());
        assert_eq!(row.loss(), None);
        let short = PartialRow::new(level, &x[..100], 0, None).expect("a valid part");
        let expected = xent_core::log_sum_exp(level, &x[..100]);
        assert_eq!((short.log_sum_exp() as f32).to_bits(), expected.to_bits());
    }
}

#[test]
fn what_does_not_fit_together_is_refused() {
    let level = Level::detect();
    let x = logits(2 * TILE, 0);
    let part = |from: usize, to: usize, label| {
        PartialRow::new(level, &x[from..to], from, label).expect("a valid part")
    };
    assert!(matches!(PartialRow::new(level, &x, 5, None), Err(Error::Option { .. })));
    assert_eq!(PartialRow::new::<f32>(level, &[], 0, None).err(), Some(Error::ZeroClasses));
    let past = usize::MAX / TILE * TILE;
    assert!(matches!(PartialRow::new(level, &x, past, None), Err(Error::TooLarge { .. })));
    let (first, second) = (part(0, TILE, Some(7)), part(TILE, 2 * TILE, Some(7)));
    assert!(second.merge(&first).is_err());
    assert!(part(0, TILE - 1, Some(7)).merge(&second).is_err());
    assert!(first.merge(&part(TILE, 2 * TILE, Some(8))).is_err());
    assert_eq!(second.loss(), None);
    let mut gradient = vec![0.0; TILE];
    let mut refused = |row: &PartialRow, from: usize, first: usize| {
        let buffers = Buffers::gradient(&x[from..from + TILE], &mut gradient);
        row.gradient(level, buffers, first, 1.0).is_err()
    };
    assert!(refused(&second, TILE, TILE));
    assert!(refused(&first, TILE, TILE));
    let whole = first.merge(&second).expect("neighbours");
    assert!(refused(&whole, TILE, TILE + 1));
    assert!(!refused(&whole, TILE, TILE));
}

#[test]
fn a_batch_of_log_sum_exp_has_that_of_each_row() {
    for (rows, classes, inner) in [(70, 3, 1), (9, 33, 1), (3, 9000, 1), (5, 7, 40), (2, 60, 33)] {
        let shape = Shape::columns(rows, classes, inner).expect("not too large");
        let stride = classes * inner + 5;
        let shape = shape.with_strides(stride, stride).expect("long enough");
        let mut x = logits((rows - 1) * stride + classes * inner, 9);
        for class in 0..classes {
            x[shape.logit_place(1, class)] = f32::NEG_INFINITY;
        }
        x[shape.logit_place(2, 1)] = f32::INFINITY;
        x[shape.logit_place(0, 2)] = f32::NAN;
        for level in Level::available() {
            let mut out = vec![0.0; rows * inner];
            LogSumExpBatch::new(&x, shape, &mut out).expect("a valid batch").run(level);
            for (row, &got) in out.iter().enumerate() {
                let of_row = |class| f64::from(x[shape.logit_place(row, class)]);
                let row_of_x: Vec<f64> = (0..classes).map(of_row).collect();
                let max = row_of_x.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                if row_of_x.iter().any(|x| x.is_nan()) {
                    assert!(got.is_nan(), "{level}, row {row}: {got}");
                } else if max.is_finite() {
                    let ln_sum = row_of_x.iter().map(|x| (x - max).exp()).sum::<f64>().ln();
                    let error = (f64::from(got) - (max + ln_sum)).abs();
                    let bound = 4.0 * f64::from(f32::EPSILON) * max.abs().max(ln_sum);
                    assert!(error <= bound, "{level}, row {row}: {error}");
                } else {
                    assert_eq!(f64::from(got), max, "{level}, row {row}");
                }
            }
        }
    }
}
