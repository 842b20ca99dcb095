//! 16-bit formats: conversions, and losses with the bits of the same numbers in f32.

use half::{bf16, f16};
use xent_core::{
    Batch, Buffers, Element, Gradient, Hessian, Level, LogSumExpBatch, MultiLabel, Outputs,
    PartialRow, RowWeights, Shape, SigmoidBatch, SigmoidOptions, SigmoidTargets, SoftmaxBatch,
    SoftmaxOptions, SoftmaxTargets, narrow, widen,
};

/// A format, with its bits.
trait Sixteen: Element<Float = f32> {
    fn of(bits: u16) -> Self;
    fn bits(self) -> u16;
    /// The first bit of a NaN's payload.
    const QUIET: u16;
}

impl Sixteen for bf16 {
    fn of(bits: u16) -> Self {
        Self::from_bits(bits)
    }

    fn bits(self) -> u16 {
        self.to_bits()
    }

    const QUIET: u16 = 0x40;
}

impl Sixteen for f16 {
    fn of(bits: u16) -> Self {
        Self::from_bits(bits)
    }

    fn bits(self) -> u16 {
        self.to_bits()
    }

    const QUIET: u16 = 0x200;
}

fn every_pattern_round_trips<E: Sixteen>() {
    let all: Vec<E> = (0..=u16::MAX).map(E::of).collect();
    for level in Level::available() {
        let mut wide = vec![0.0; all.len()];
        widen(level, &all, &mut wide).unwrap();
        let mut back = vec![E::default(); all.len()];
        narrow(level, &wide, &mut back).unwrap();
        for ((&here, &wide), &back) in all.iter().zip(&wide).zip(&back) {
            if wide.is_nan() {
                assert!(here.to_float().is_nan());
                assert_eq!(back.bits(), here.bits() | E::QUIET, "{level}");
            } else {
                assert_eq!(wide.to_bits(), here.to_float().to_bits(), "{level}");
                assert_eq!(back.bits(), here.bits(), "{level}");
            }
        }
    }
}

#[test]
fn every_bf16_round_trips() {
    every_pattern_round_trips::<bf16>();
}

#[test]
fn every_f16_round_trips() {
    every_pattern_round_trips::<f16>();
}

/// Every number half-way between two neighbours, and the floats next to it, using only the order of
/// the numbers, without a formula for rounding.
fn rounds_to_nearest_even<E: Sixteen>(infinity: u16) {
    let mut floats = Vec::new();
    let mut wanted = Vec::new();
    for bits in 0..infinity {
        let (below, above) = (E::of(bits), E::of(bits + 1));
        let low = f64::from(below.to_float());
        // The successor of the largest number, if there were one.
        let high = if bits + 1 == infinity {
            2.0 * low - f64::from(E::of(bits - 1).to_float())
        } else {
            f64::from(above.to_float())
        };
        let middle = (low + high) / 2.0;
        assert_eq!(f64::from(middle as f32), middle, "the middle is an f32");
        let middle = middle as f32;
        let even = if bits % 2 == 0 { below } else { above };
        for (float, want) in [
            (middle.next_down(), below),
            (middle, even),
            (middle.next_up(), above),
            (low as f32, below),
        ] {
            floats.extend([float, -float]);
            wanted.extend([want.bits(), want.bits() | 0x8000]);
        }
    }
    for level in Level::available() {
        let mut rounded = vec![E::default(); floats.len()];
        narrow(level, &floats, &mut rounded).unwrap();
        for ((float, rounded), &wanted) in floats.iter().zip(&rounded).zip(&wanted) {
            assert_eq!(rounded.bits(), wanted, "{float:e} at {level}");
        }
    }
    for (&float, &wanted) in floats.iter().zip(&wanted) {
        assert_eq!(E::from_float(float).bits(), wanted, "{float:e}");
    }
}

#[test]
fn rounding_to_bf16_is_to_nearest_even() {
    rounds_to_nearest_even::<bf16>(0x7f80);
}

#[test]
fn rounding_to_f16_is_to_nearest_even() {
    rounds_to_nearest_even::<f16>(0x7c00);
}

#[test]
fn what_is_too_large_is_infinite_and_nan_stays_nan() {
    let from = [f32::MAX, f32::INFINITY, f32::NEG_INFINITY, f32::NAN, -f32::NAN, 1e-45, -1e-45];
    let nan = f32::from_bits(0x7f80_0001);
    for level in Level::available() {
        let (mut a, mut b) = ([bf16::ZERO; 8], [f16::ZERO; 8]);
        let from = [&from[..], &[nan]].concat();
        narrow(level, &from, &mut a).unwrap();
        narrow(level, &from, &mut b).unwrap();
        let bits = |values: [u16; 8]| values;
        let nans = [0x7fc0, 0xffc0, 0x7fc0];
        assert_eq!(
            bits(a.map(bf16::to_bits)),
            [0x7f80, 0x7f80, 0xff80, nans[0], nans[1], 0, 0x8000, nans[2]]
        );
        assert_eq!(
            bits(b.map(f16::to_bits)),
            [0x7c00, 0x7c00, 0xfc00, 0x7e00, 0xfe00, 0, 0x8000, 0x7e00]
        );
    }
}

#[test]
fn slices_of_different_lengths_are_refused() {
    let level = Level::detect();
    assert!(widen(level, &[bf16::ONE; 3], &mut [0.0; 2]).is_err());
    assert!(narrow(level, &[1.0; 3], &mut [f16::ONE; 4]).is_err());
    // Empty slices are fine.
    widen::<bf16>(level, &[], &mut []).unwrap();
}

/// Numbers that a format represents exactly, some of them large, from a simple generator.
fn numbers<E: Sixteen>(count: usize, seed: u32, scale: f32) -> Vec<E> {
    let mut state = seed | 1;
    (0..count)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let unit = (state >> 8) as f32 / (1 << 24) as f32;
            E::from_float(scale * (2.0 * unit - 1.0))
        })
        .collect()
}

fn wide<E: Sixteen>(values: &[E]) -> Vec<f32> {
    values.iter().map(|value| value.to_float()).collect()
}

fn same(a: f64, b: f64) -> bool {
    // Added up in other parts.
    (a.is_nan() && b.is_nan()) || a == b || (a - b).abs() <= 1e-8 * a.abs().max(b.abs())
}

/// The results of a batch besides its sum.
#[derive(PartialEq)]
struct Given {
    losses: Vec<u32>,
    log_sum_exp: Vec<u32>,
    predicted: Vec<u32>,
    hessian: Vec<u32>,
}

impl Given {
    fn new(losses: usize, rows: usize, elements: usize) -> Self {
        let zeros = |count| vec![0; count];
        Self {
            losses: zeros(losses),
            log_sum_exp: zeros(rows),
            predicted: zeros(rows),
            hessian: zeros(elements),
        }
    }
}

fn bits(values: &[f32]) -> Vec<u32> {
    // All NaNs count as the same.
    values.iter().map(|v| if v.is_nan() { f32::NAN.to_bits() } else { v.to_bits() }).collect()
}

/// A loss of a shape.
trait Loss {
    /// Its sum, and its other results.
    fn run<E: Element<Float = f32>>(&self, level: Level, buffers: Buffers<'_, E>) -> (f64, Given);
}

/// A softmax loss of a shape.
struct Softmax<'a> {
    shape: Shape,
    targets: SoftmaxTargets<'a>,
    options: SoftmaxOptions<'a>,
    weights: RowWeights<'a>,
    hessian: bool,
    predicted: bool,
}

impl Loss for Softmax<'_> {
    fn run<E: Element<Float = f32>>(&self, level: Level, buffers: Buffers<'_, E>) -> (f64, Given) {
        let (rows, elements) = (self.shape.row_count(), self.shape.elements());
        let mut given = Given::new(rows, rows, elements);
        let (mut losses, mut log_sum_exp) = (vec![0.0; rows], vec![0.0; rows]);
        let mut hessian = vec![0.0; if self.hessian { elements } else { 0 }];
        let predicted = if self.predicted { &mut given.predicted[..] } else { &mut [] };
        let outputs = Outputs {
            losses: &mut losses,
            log_sum_exp: &mut log_sum_exp,
            predicted,
            hessian: &mut hessian,
            convention: Hessian::Exact,
            ..Outputs::default()
        };
        let sum = SoftmaxBatch::with_options(buffers, self.shape, self.targets, self.options)
            .and_then(|batch| batch.with_weights(self.weights))
            .and_then(|batch| batch.with_outputs(outputs))
            .unwrap()
            .run(level);
        given.losses = bits(&losses);
        given.log_sum_exp = bits(&log_sum_exp);
        given.hessian = bits(&hessian);
        (sum, given)
    }
}

/// A sigmoid loss of a shape.
struct Sigmoid<'a> {
    shape: Shape,
    targets: SigmoidTargets<'a>,
    options: SigmoidOptions<'a>,
    weights: RowWeights<'a>,
}

impl Loss for Sigmoid<'_> {
    fn run<E: Element<Float = f32>>(&self, level: Level, buffers: Buffers<'_, E>) -> (f64, Given) {
        let (rows, elements) = (self.shape.row_count(), self.shape.elements());
        let count = if self.options.mean_over_classes { rows } else { elements };
        let mut given = Given::new(count, 0, 0);
        let (mut losses, mut hessian) = (vec![0.0; count], vec![0.0; elements]);
        let outputs = Outputs { losses: &mut losses, hessian: &mut hessian, ..Outputs::default() };
        let sum = SigmoidBatch::with_options(buffers, self.shape, self.targets, self.options)
            .and_then(|batch| batch.with_weights(self.weights))
            .and_then(|batch| batch.with_outputs(outputs))
            .unwrap()
            .run(level);
        given.losses = bits(&losses);
        given.hessian = bits(&hessian);
        (sum, given)
    }
}

/// Compares a loss of 16-bit logits with that of the same numbers in f32, with every kind of
/// buffer.
fn hold<E: Sixteen>(loss: &impl Loss, x: &[E], what: &str) {
    for level in Level::available() {
        let what = |of: &str| format!("{what} of {}, {of}, {level}", E::NAME);
        let floats = wide(x);
        let mut gradient = vec![0.0_f32; x.len()];
        let expected = loss.run(level, Buffers::gradient(&floats, &mut gradient));
        let agrees = |(sum, given): (f64, Given), of: &str| {
            assert!(same(sum, expected.0), "{}: {sum} for {}", what(of), expected.0);
            assert!(given == expected.1, "{}", what(of));
        };
        let is_rounded = |got: &[E], floats: &[f32], of: &str| {
            let mut wanted = vec![E::default(); floats.len()];
            narrow(level, floats, &mut wanted).unwrap();
            for (at, (got, wanted)) in got.iter().zip(&wanted).enumerate() {
                let nan = got.to_float().is_nan() && wanted.to_float().is_nan();
                let same = nan || got.bits() == wanted.bits();
                assert!(same, "{}, gradient {at}: {got} for {wanted}", what(of));
            }
        };

        agrees(loss.run(level, Buffers::loss(x)), "loss");
        let mut g = vec![E::default(); x.len()];
        agrees(loss.run(level, Buffers::gradient(x, &mut g)), "beside");
        is_rounded(&g, &gradient, "beside");

        let (mut g, mut f) = (x.to_vec(), floats.clone());
        agrees(loss.run(level, Buffers::in_place(&mut g)), "in place");
        loss.run(level, Buffers::in_place(&mut f));
        is_rounded(&g, &f, "in place");

        let (mut g, mut f) = (vec![E::from_float(0.25); x.len()], vec![0.25; x.len()]);
        agrees(loss.run(level, Buffers::accumulate(x, &mut g)), "added");
        loss.run(level, Buffers::accumulate(&floats, &mut f));
        is_rounded(&g, &f, "added");

        let mut g = vec![0.0; x.len()];
        agrees(loss.run(level, Buffers::new(x, Gradient::WriteWide(&mut g))), "wide");
        assert!(bits(&g) == bits(&gradient), "{}", what("wide"));

        let mut g = vec![0.25; x.len()];
        agrees(loss.run(level, Buffers::new(x, Gradient::AddWide(&mut g))), "wide, added");
        assert!(bits(&g) == bits(&f), "{}", what("wide, added"));
    }
}

/// Class counts of every kernel, and around the ends of tiles.
const CLASSES: [usize; 16] =
    [1, 2, 3, 5, 10, 31, 32, 33, 64, 129, 1000, 2049, 4095, 4096, 4097, 9000];

fn rows_of(classes: usize) -> usize {
    (600 / classes).clamp(2, 70)
}

/// All kinds of targets, and every option.
fn softmax_of<E: Sixteen>(shape: Shape, x: &[E], what: &str) {
    let (rows, elements, classes) = (shape.row_count(), shape.elements(), shape.classes());
    let labels: Vec<i32> = (0..rows).map(|row| (row * 7 % classes) as i32).collect();
    let ignored: Vec<i32> = labels.iter().map(|&l| if l % 5 == 3 { -100 } else { l }).collect();
    let dense: Vec<f32> =
        numbers::<bf16>(elements, 3, 1.0).into_iter().map(|q| q.to_f32().max(0.0)).collect();
    let class_weights: Vec<f32> = (0..classes).map(|c| 0.5 + (c % 3) as f32).collect();
    let factors: Vec<f32> = (0..rows).map(|row| (row % 4) as f32 * 0.5).collect();
    let weights = RowWeights { scale: 0.75, sample_weights: &factors, upstream: &factors };
    let plain = Softmax {
        shape,
        targets: SoftmaxTargets::Index((&labels[..]).into()),
        options: SoftmaxOptions::default(),
        weights: RowWeights::default(),
        hessian: false,
        predicted: false,
    };
    let index = plain.targets;
    let ignoring = SoftmaxTargets::Index((&ignored[..]).into());
    let options = plain.options;
    let of = |targets, options, name: &str| {
        hold(&Softmax { targets, options, ..plain }, x, &format!("{what}, {name}"));
    };
    of(index, options, "labels");
    let all = SoftmaxOptions {
        class_weights: &class_weights,
        ignore_index: Some(-100),
        focal_gamma: 2.0,
        z_loss: 1e-3,
        ..options
    };
    hold(&Softmax { targets: ignoring, options: all, weights, ..plain }, x, what);
    of(
        index,
        SoftmaxOptions { label_smoothing: 0.1, class_weights: &class_weights, ..options },
        "smoothed",
    );
    of(index, SoftmaxOptions { soft_cap: 5.0, ..options }, "capped");
    hold(
        &Softmax { hessian: true, predicted: true, weights, ..plain },
        x,
        &format!("{what}, Hessian"),
    );
    of(SoftmaxTargets::Dense(&dense), options, "dense");
    hold(
        &Softmax { targets: SoftmaxTargets::Dense(&dense), hessian: true, weights, ..plain },
        x,
        &format!("{what}, dense with a Hessian"),
    );
    of(SoftmaxTargets::MultiLabel(&dense, MultiLabel::Caffe), options, "multi-label");
    of(SoftmaxTargets::Teacher(&dense, 2.0), options, "teacher");
}

fn softmax_of_rows<E: Sixteen>() {
    for classes in CLASSES {
        let rows = rows_of(classes);
        let mut x = numbers::<E>(rows * classes, classes as u32, 12.0);
        // Rows that no kernel computes.
        x[0] = E::from_float(f32::NAN);
        x[classes] = E::from_float(f32::INFINITY);
        x[2 * classes - 1] = E::from_float(f32::NEG_INFINITY);
        softmax_of(Shape::rows(rows, classes).unwrap(), &x, &format!("{rows} x {classes}"));
    }
}

#[test]
fn softmax_of_bf16_has_the_bits_of_f32_rounded_once() {
    softmax_of_rows::<bf16>();
}

#[test]
fn softmax_of_f16_has_the_bits_of_f32_rounded_once() {
    softmax_of_rows::<f16>();
}

#[test]
fn rows_may_have_gaps() {
    for classes in [3, 40, 5000] {
        let shape =
            Shape::rows(5, classes).unwrap().with_strides(classes + 7, classes + 7).unwrap();
        let x = numbers::<bf16>(4 * (classes + 7) + classes, 5, 8.0);
        softmax_of(shape, &x, &format!("5 x {classes} with gaps"));
    }
}

#[test]
fn the_class_axis_may_be_another() {
    for (outer, classes, inner) in
        [(2, 3, 70), (2, 21, 64), (1, 200, 45), (2, 700, 9), (1, 4096, 3)]
    {
        let x = numbers::<f16>(outer * classes * inner, 9, 8.0);
        let shape = Shape::columns(outer, classes, inner).unwrap();
        softmax_of(shape, &x, &format!("{outer} x {classes} x {inner}"));
    }
}

#[test]
fn columns_of_very_many_classes_have_labels_and_dense_targets_but_no_teacher() {
    let (classes, inner) = (4100, 3);
    let shape = Shape::columns(2, classes, inner).unwrap();
    let x = numbers::<bf16>(2 * classes * inner, 9, 8.0);
    let labels: Vec<u32> = (0..2 * inner).map(|row| (row * 700) as u32).collect();
    let index = SoftmaxTargets::Index((&labels[..]).into());
    let weights: Vec<f32> =
        wide(&numbers::<bf16>(x.len(), 5, 1.0)).iter().map(|q| q.abs()).collect();
    let dense = SoftmaxTargets::Dense(&weights[..]);
    let smoothed = SoftmaxOptions { label_smoothing: 0.1, ..SoftmaxOptions::default() };
    for (targets, options) in
        [(index, smoothed), (index, SoftmaxOptions::default()), (dense, SoftmaxOptions::default())]
    {
        for level in Level::available() {
            let mut g = vec![bf16::ZERO; x.len()];
            let (mut losses, mut expected) = (vec![0.0; 2 * inner], vec![0.0; 2 * inner]);
            let buffers = Buffers::gradient(&x, &mut g);
            SoftmaxBatch::with_options(buffers, shape, targets, options)
                .and_then(|batch| batch.with_losses(&mut losses))
                .unwrap()
                .run(level);
            // Each is computed as a row.
            for (row, expected) in expected.iter_mut().enumerate() {
                let place = |class| shape.place(row, class);
                let mut floats: Vec<f32> =
                    (0..classes).map(|class| x[place(class)].to_f32()).collect();
                let of_row: Vec<f32> = (0..classes).map(|class| weights[place(class)]).collect();
                let targets = match targets {
                    SoftmaxTargets::Dense(_) => SoftmaxTargets::Dense(&of_row[..]),
                    _ => SoftmaxTargets::Index((&labels[row..=row]).into()),
                };
                let shape = Shape::rows(1, classes).unwrap();
                let buffers = Buffers::in_place(&mut floats);
                let loss = SoftmaxBatch::with_options(buffers, shape, targets, options).unwrap();
                *expected = loss.run(level) as f32;
                for (class, g_row) in floats.iter().enumerate() {
                    assert_eq!(g[place(class)], bf16::from_f32(*g_row), "{level}, {targets:?}");
                }
            }
            assert_eq!(losses, expected, "{level}");
        }
    }
    let teacher = SoftmaxTargets::Teacher(&weights[..], 2.0);
    let options = SoftmaxOptions::default();
    assert!(SoftmaxBatch::with_options(Buffers::loss(&x), shape, teacher, options).is_err());
    let floats = wide(&x);
    assert!(SoftmaxBatch::with_options(Buffers::loss(&floats), shape, teacher, options).is_ok());
}

fn sigmoid_of<E: Sixteen>() {
    for (outer, classes, inner, gap) in [
        (1, 1, 1, 0),
        (300, 1, 1, 0),
        (50, 80, 1, 0),
        (4, 5000, 1, 3),
        (2, 3, 1500, 0),
        (9, 7, 1, 2),
    ] {
        let length = classes * inner;
        let shape = Shape::columns(outer, classes, inner).unwrap();
        let shape = shape.with_strides(length + gap, length + gap).unwrap();
        let mut x = numbers::<E>((outer - 1) * (length + gap) + length, 7, 20.0);
        x[0] = E::from_float(f32::NAN);
        let elements = shape.elements();
        let dense: Vec<f32> = (0..elements).map(|i| (i % 5) as f32 / 4.0).collect();
        let hot: Vec<u8> = (0..elements).map(|i| (i % 3 == 0).into()).collect();
        let class_weights: Vec<f32> = (0..classes).map(|c| 0.5 + (c % 3) as f32).collect();
        let factors: Vec<f32> = (0..shape.row_count()).map(|row| (row % 4) as f32).collect();
        let weights = RowWeights { scale: 0.75, sample_weights: &factors, upstream: &[] };
        let options = SigmoidOptions::default();
        let of_mean = SigmoidOptions { mean_over_classes: true, ..options };
        let weighted = SigmoidOptions {
            class_weights: &class_weights,
            pos_weight: &class_weights,
            label_smoothing: 0.1,
            ..options
        };
        for (targets, options, weights) in [
            (SigmoidTargets::Dense(&dense), options, RowWeights::default()),
            (SigmoidTargets::MultiHot((&hot[..]).into()), weighted, weights),
            (SigmoidTargets::Dense(&dense), of_mean, weights),
        ] {
            let what = format!("sigmoid {outer} x {classes} x {inner}");
            hold(&Sigmoid { shape, targets, options, weights }, &x, &what);
        }
    }
}

#[test]
fn sigmoid_of_sixteen_bits_has_the_bits_of_f32_rounded_once() {
    sigmoid_of::<bf16>();
    sigmoid_of::<f16>();
}

#[test]
fn log_sum_exp_of_sixteen_bits_is_that_of_f32() {
    for classes in [1, 5, 40, 4096, 10_000] {
        let x = numbers::<bf16>(3 * classes, 11, 9.0);
        let shape = Shape::rows(3, classes).unwrap();
        for level in Level::available() {
            let (mut a, mut b) = ([0.0; 3], [0.0; 3]);
            LogSumExpBatch::new(&x, shape, &mut a).unwrap().run(level);
            LogSumExpBatch::new(&wide(&x), shape, &mut b).unwrap().run(level);
            assert_eq!(bits(&a), bits(&b), "{classes} classes, {level}");
        }
    }
}

#[test]
fn a_row_in_parts_has_the_bits_of_the_whole() {
    let x = numbers::<f16>(10_000, 13, 9.0);
    let middle = PartialRow::TILE;
    let level = Level::detect();
    let part = |range: core::ops::Range<usize>| {
        PartialRow::new(level, &x[range.clone()], range.start, Some(70)).unwrap()
    };
    let whole = part(0..middle).merge(&part(middle..x.len())).unwrap();
    let mut g = vec![f16::ZERO; x.len()];
    whole.gradient(level, Buffers::gradient(&x, &mut g), 0, 1.0).unwrap();
    let targets = SoftmaxTargets::Index((&[70_u8]).into());
    let mut at_once = vec![f16::ZERO; x.len()];
    let batch = SoftmaxBatch::new(Buffers::gradient(&x, &mut at_once), x.len(), targets).unwrap();
    assert_eq!(whole.loss(), Some(batch.run(level)));
    assert_eq!(g, at_once);
}

#[test]
fn counts_and_small_terms_survive_in_the_sum() {
    // 70,000 rows with a loss of ln 2, and one with 1e-4: f16 ends at 65,504, and has three digits.
    let rows = 70_001;
    let mut x = vec![f16::ZERO; 2 * rows];
    x[0] = f16::from_f32(9.25);
    let labels = vec![0_u8; rows];
    let targets = SoftmaxTargets::Index((&labels[..]).into());
    let sum = SoftmaxBatch::new(Buffers::loss(&x), 2, targets).unwrap().run(Level::detect());
    let exact = 70_000.0 * f64::ln(2.0) + (-9.25_f64).exp().ln_1p();
    assert!((sum - exact).abs() < 70_000.0 * 3e-8, "{sum} for {exact}");
}

#[test]
fn a_gradient_of_bf16_sums_to_zero_within_its_rounding() {
    let classes = 1000;
    let x = numbers::<bf16>(classes, 17, 6.0);
    for label in [0_u16, 500] {
        let mut g = vec![bf16::ZERO; classes];
        let labels = [label];
        let targets = SoftmaxTargets::Index((&labels).into());
        SoftmaxBatch::new(Buffers::gradient(&x, &mut g), classes, targets)
            .unwrap()
            .run(Level::detect());
        let sum: f64 = g.iter().map(|g| f64::from(*g)).sum();
        // Each is rounded to eight bits.
        let rounding: f64 = g.iter().map(|g| f64::from(*g).abs() / 512.0).sum();
        assert!(sum.abs() <= rounding, "{sum:e}, rounding {rounding:e}");
    }
}
