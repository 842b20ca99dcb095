//! Integers with a scale and a zero point: losses with the bits of the f32 numbers that they stand for.

use proptest::prelude::*;
use xent_core::{
    Batch, Buffers, Element, Error, Gradient, Hessian, Level, LikelihoodBatch, LikelihoodInput,
    LogSumExpBatch, MultiLabel, Outputs, PartialRow, Quantisation, RowWeights, Shape, SigmoidBatch,
    SigmoidInput, SigmoidOptions, SigmoidTargets, SoftmaxBatch, SoftmaxOptions, SoftmaxTargets,
    evaluate_quantised_row, evaluate_row, narrow, unpack_i4, widen,
};

/// A type of integers.
trait Integer: Element<Float = f32> {
    fn of(number: i32) -> Self;
    fn number(self) -> i32;
    const RANGE: [i32; 2];
}

macro_rules! integer {
    ($($integer:ident),*) => {
        $(impl Integer for $integer {
            fn of(number: i32) -> Self {
                Self::try_from(number).unwrap()
            }

            fn number(self) -> i32 {
                self.into()
            }

            const RANGE: [i32; 2] = [$integer::MIN as i32, $integer::MAX as i32];
        })*
    };
}
integer!(i8, u8, i16);

/// In f64 the product is exact, so that it is rounded once.
fn stands_for(q: i32, scale: f32, zero_point: i32) -> f32 {
    (f64::from(q - zero_point) * f64::from(scale)) as f32
}

/// Everything that a batch computes, as bits.
#[derive(Debug, PartialEq, Eq)]
struct Results {
    losses: Vec<u32>,
    log_sum_exp: Vec<u32>,
    predicted: Vec<u32>,
    gradient: Vec<u32>,
    hessian: Vec<u32>,
}

fn bits(numbers: &[f32]) -> Vec<u32> {
    numbers.iter().map(|x| x.to_bits()).collect()
}

/// What a batch of either format is made of.
struct Case<'a> {
    shape: Shape,
    targets: SoftmaxTargets<'a>,
    options: SoftmaxOptions<'a>,
    sample_weights: &'a [f32],
    adds: bool,
    hessian: bool,
}

impl Case<'_> {
    fn run<E: Element<Float = f32>>(
        &self,
        level: Level,
        x: &[E],
        quantisation: Option<Quantisation>,
    ) -> (f64, Results) {
        let rows = self.shape.row_count();
        let mut gradient = vec![0.25; x.len()];
        let mut hessian = vec![0.0; if self.hessian { x.len() } else { 0 }];
        let (mut losses, mut log_sum_exp) = (vec![0.0; rows], vec![0.0; rows]);
        let mut predicted = vec![0; rows];
        let place = if self.adds {
            Gradient::AddWide(&mut gradient)
        } else {
            Gradient::WriteWide(&mut gradient)
        };
        let buffers = Buffers::new(x, place);
        let buffers = match quantisation {
            Some(quantisation) => buffers.quantised(quantisation),
            None => buffers,
        };
        let weights = RowWeights { sample_weights: self.sample_weights, ..RowWeights::default() };
        let outputs = Outputs {
            losses: &mut losses,
            log_sum_exp: &mut log_sum_exp,
            predicted: &mut predicted,
            hessian: &mut hessian,
            convention: Hessian::Exact,
            ..Outputs::default()
        };
        let sum = SoftmaxBatch::with_options(buffers, self.shape, self.targets, self.options)
            .unwrap()
            .with_weights(weights)
            .unwrap()
            .with_outputs(outputs)
            .unwrap()
            .run(level);
        let results = Results {
            losses: bits(&losses),
            log_sum_exp: bits(&log_sum_exp),
            predicted,
            gradient: bits(&gradient),
            hessian: bits(&hessian),
        };
        (sum, results)
    }
}

/// The same numbers, added up in other parts.
fn is_same_sum(a: f64, b: f64, what: &str) {
    let near = (a - b).abs() <= 1e-8 * a.abs().max(b.abs());
    assert!(
        near || a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan()),
        "{what}: {a} for {b}"
    );
}

/// The integers of a type in turn, far apart.
fn integers<Q: Integer>(count: usize, seed: u64) -> Vec<Q> {
    let [low, high] = Q::RANGE;
    let mut state = seed | 1;
    let mut next = move || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        i32::try_from((state >> 33) % (i64::from(high) - i64::from(low) + 1) as u64).unwrap() + low
    };
    (0..count).map(|_| Q::of(next())).collect()
}

fn floats_of<Q: Integer>(q: &[Q], scale: f32, zero_point: i32) -> Vec<f32> {
    q.iter().map(|q| stands_for(q.number(), scale, zero_point)).collect()
}

/// Every kind of targets and options, for integers and for what they stand for.
fn agrees_with_f32<Q: Integer>(shape: Shape, seed: u64, scale: f32, zero_point: i32) {
    let (rows, classes) = (shape.row_count(), shape.classes());
    let q: Vec<Q> = integers(rows * classes, seed);
    let x = floats_of(&q, scale, zero_point);
    let quantisation = Quantisation::new(scale, zero_point).unwrap();
    let labels: Vec<i32> =
        (0..rows).map(|row| if row % 5 == 3 { -1 } else { (row * 7 % classes) as i32 }).collect();
    let dense: Vec<f32> = (0..rows * classes).map(|i| (i % 4) as f32 / 4.0).collect();
    let weights: Vec<f32> = (0..classes).map(|class| (class % 3) as f32).collect();
    let of_rows: Vec<f32> = (0..rows).map(|row| (row % 4) as f32 / 2.0).collect();
    let plain = SoftmaxOptions::default();
    let ignoring = SoftmaxOptions { ignore_index: Some(-1), ..plain };
    let index = SoftmaxTargets::Index((&labels[..]).into());
    let cases = [
        (index, ignoring, &[][..]),
        (index, SoftmaxOptions { class_weights: &weights, ..ignoring }, &of_rows[..]),
        (index, SoftmaxOptions { label_smoothing: 0.1, z_loss: 0.01, ..ignoring }, &[]),
        (index, SoftmaxOptions { focal_gamma: 2.0, ..ignoring }, &[]),
        (index, SoftmaxOptions { soft_cap: 3.0, ..ignoring }, &of_rows),
        (SoftmaxTargets::Dense(&dense), plain, &[]),
        (SoftmaxTargets::MultiLabel(&dense, MultiLabel::Exact), plain, &[]),
        (SoftmaxTargets::Teacher(&dense, 2.0), plain, &[]),
    ];
    for level in Level::available() {
        for (number, &(targets, options, sample_weights)) in cases.iter().enumerate() {
            for (adds, hessian) in [(false, false), (true, false), (false, true)] {
                let case = Case { shape, targets, options, sample_weights, adds, hessian };
                let what = format!(
                    "{level}, case {number}, {rows} × {classes}, added: {adds}, Hessian: {hessian}"
                );
                let of_integers = case.run(level, &q, Some(quantisation));
                let of_floats = case.run(level, &x, None);
                assert!(of_integers.1 == of_floats.1, "{what}");
                is_same_sum(of_integers.0, of_floats.0, &what);
            }
        }
    }
}

#[test]
fn every_softmax_has_the_bits_of_f32() {
    for (rows, classes) in
        [(1, 1), (70, 2), (65, 3), (40, 10), (9, 33), (33, 64), (5, 1000), (2, 5000)]
    {
        let shape = Shape::rows(rows, classes).unwrap();
        agrees_with_f32::<i8>(shape, 1, 0.09375, -3);
        agrees_with_f32::<u8>(shape, 2, 0.1, 128);
        agrees_with_f32::<i16>(shape, 3, 3.1e-4, 12);
    }
    // More rows than are converted at a time; of one class, some rows have no label.
    for (rows, classes) in [(4200, 1), (500, 10), (150, 33), (70, 100)] {
        agrees_with_f32::<i8>(Shape::rows(rows, classes).unwrap(), 7, 0.09375, -3);
    }
}

/// From 2^22 elements on the gradient is written past the caches.
#[test]
fn a_large_gradient_of_long_rows_has_the_bits_of_f32() {
    let (rows, classes, scale, zero_point) = (129, 32_771, 0.07, 11);
    let shape = Shape::rows(rows, classes).unwrap();
    let q: Vec<i8> = integers(rows * classes, 8);
    let x = floats_of(&q, scale, zero_point);
    let labels: Vec<u32> = (0..rows).map(|row| (row * 251 % classes) as u32).collect();
    let targets = SoftmaxTargets::Index((&labels[..]).into());
    let options = SoftmaxOptions::default();
    let case = Case { shape, targets, options, sample_weights: &[], adds: false, hessian: false };
    let quantisation = Quantisation::new(scale, zero_point).unwrap();
    for level in Level::available() {
        let (of_integers, of_floats) =
            (case.run(level, &q, Some(quantisation)), case.run(level, &x, None));
        assert!(of_integers.1 == of_floats.1, "{level}");
        is_same_sum(of_integers.0, of_floats.0, level.name());
    }
}

#[test]
fn columns_have_the_bits_of_f32() {
    for (outer, classes, inner) in
        [(3, 4, 5), (2, 40, 33), (1, 4096, 3), (1, 5, 2000), (1, 40, 300)]
    {
        let shape = Shape::columns(outer, classes, inner).unwrap();
        agrees_with_f32::<i8>(shape, 4, 0.0625, 127);
        agrees_with_f32::<i16>(shape, 5, 1.0e-3, i16::MIN.into());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn any_scale_and_zero_point(
        rows in 1_usize..20, classes in 1_usize..80, seed: u64,
        // From subnormal products to the largest that are finite.
        exponent in -149_i32..=111, zero_point in -128_i32..=127,
    ) {
        let scale = 2_f64.powi(exponent) as f32;
        let shape = Shape::rows(rows, classes).unwrap();
        agrees_with_f32::<i8>(shape, seed, scale, zero_point);
        agrees_with_f32::<u8>(shape, seed, scale, zero_point + 128);
    }

    #[test]
    fn every_integer_stands_for_one_rounded_product(
        scale in 1e-30_f32..1e30, zero_point in i32::from(i16::MIN)..=i32::from(i16::MAX),
    ) {
        let quantisation = Quantisation::new(scale, zero_point).unwrap();
        for q in i16::MIN..=i16::MAX {
            let wanted = stands_for(q.into(), scale, zero_point);
            prop_assert_eq!(quantisation.dequantise(q.into()).to_bits(), wanted.to_bits());
        }
    }
}

#[test]
fn sigmoid_losses_have_the_bits_of_f32() {
    let (rows, classes, scale, zero_point) = (130, 37, 0.05, 9);
    let shape = Shape::rows(rows, classes).unwrap();
    let q: Vec<i8> = integers(rows * classes, 6);
    let x = floats_of(&q, scale, zero_point);
    let quantisation = Quantisation::new(scale, zero_point).unwrap();
    let hot: Vec<u8> = (0..q.len()).map(|i| u8::from(i % 3 == 0)).collect();
    let targets = SigmoidTargets::MultiHot((&hot[..]).into());
    for level in Level::available() {
        for (gamma, mean_over_classes) in [(0.0, false), (2.0, false), (0.0, true)] {
            let options = SigmoidOptions {
                focal_gamma: gamma,
                mean_over_classes,
                ..SigmoidOptions::default()
            };
            let (mut of_q, mut of_x) = (vec![0.0; q.len()], vec![0.0; q.len()]);
            let integers = Buffers::new(&q, Gradient::WriteWide(&mut of_q)).quantised(quantisation);
            let floats = Buffers::gradient(&x, &mut of_x);
            let sums = [
                SigmoidBatch::with_options(integers, shape, targets, options).unwrap().run(level),
                SigmoidBatch::with_options(floats, shape, targets, options).unwrap().run(level),
            ];
            is_same_sum(sums[0], sums[1], &format!("{level}, gamma {gamma}"));
            assert_eq!(bits(&of_q), bits(&of_x), "{level}, gamma {gamma}");
        }
    }
}

/// The outputs of int8 SOFTMAX have a scale of 1/256 and a zero point of -128; a zero is clamped, and counted.
#[test]
fn probabilities_of_eight_bits_are_clamped_where_they_are_zero() {
    let quantisation = Quantisation::new(1.0 / 256.0, -128).unwrap();
    let p = [-128_i8, 127, 0, -128];
    let shape = Shape::rows(2, 2).unwrap();
    let input = LikelihoodInput::Probabilities;
    let labels = (&[1_u8, 1]).into();
    let batch =
        LikelihoodBatch::new(Buffers::loss(&p).quantised(quantisation), shape, labels, input)
            .unwrap();
    assert_eq!(batch.clamped(), 1);
    let wanted = -(255.0_f64 / 256.0).ln() - 1e-20_f64.ln();
    approx::assert_relative_eq!(batch.run(Level::detect()), wanted, max_relative = 1e-7);

    let options =
        SigmoidOptions { input: SigmoidInput::Probabilities, ..SigmoidOptions::default() };
    let targets = [0.0, 1.0, 1.0, 1.0];
    let batch = SigmoidBatch::with_options(
        Buffers::loss(&p).quantised(quantisation),
        shape,
        SigmoidTargets::Dense(&targets),
        options,
    )
    .unwrap();
    assert_eq!(batch.clamped(), 1);
    let wanted = -(255.0_f64 / 256.0).ln() - 0.5_f64.ln() + 100.0;
    approx::assert_relative_eq!(batch.run(Level::detect()), wanted, max_relative = 1e-7);

    // Log-probabilities: 1/16, and a zero point of 127.
    let quantisation = Quantisation::new(1.0 / 16.0, 127).unwrap();
    let batch = LikelihoodBatch::new(
        Buffers::loss(&[127_i8, -128]).quantised(quantisation),
        Shape::rows(1, 2).unwrap(),
        (&[1_u8]).into(),
        LikelihoodInput::LogProbabilities,
    )
    .unwrap();
    assert_eq!(batch.run(Level::detect()), 15.9375);
}

#[test]
fn a_quantised_row_is_the_row_that_it_stands_for() {
    for classes in 1..=32 {
        let q: Vec<i8> = integers(classes, classes as u64);
        let (scale, zero_point) = (0.11, 5);
        let x = floats_of(&q, scale, zero_point);
        let quantisation = Quantisation::new(scale, zero_point).unwrap();
        for label in 0..classes {
            let row = evaluate_quantised_row(&q, quantisation, label).unwrap();
            let wanted = evaluate_row(&x, label).unwrap();
            assert_eq!(row, wanted);
            assert_eq!(row.loss.to_bits(), wanted.loss.to_bits());
        }
    }
    let quantisation = Quantisation::new(0.1, 0).unwrap();
    assert!(matches!(
        evaluate_quantised_row(&[0_i8; 3], quantisation, 3),
        Err(Error::Label { label: 3, classes: 3, .. })
    ));
    assert!(evaluate_quantised_row(&[0_i8; 33], quantisation, 0).is_err());
    assert!(evaluate_quantised_row(&[0.0_f32; 3], quantisation, 0).is_err());
}

fn option(error: Error) -> &'static str {
    match error {
        Error::Option { option, .. } => option,
        other => panic!("{other}"),
    }
}

#[test]
fn a_scale_that_says_nothing_is_refused() {
    for scale in [0.0, -1.0, f32::NAN, f32::INFINITY, 5.1e33] {
        assert_eq!(option(Quantisation::new(scale, 0).unwrap_err()), "scale", "{scale}");
    }
    for zero_point in [i32::MIN, -65_536, 65_536, i32::MAX] {
        assert_eq!(option(Quantisation::new(1.0, zero_point).unwrap_err()), "zero point");
    }
    let largest = Quantisation::new(5e33, i16::MIN.into()).unwrap();
    assert!(largest.dequantise(i16::MAX.into()).is_finite());
}

#[test]
fn integers_without_a_quantisation_and_floats_with_one_are_refused() {
    let shape = Shape::rows(1, 2).unwrap();
    let targets = SoftmaxTargets::Index((&[0_u8]).into());
    let plain = SoftmaxOptions::default();
    let given = |zero_point| Quantisation::new(0.5, zero_point).unwrap();

    let refused = SoftmaxBatch::with_options(Buffers::loss(&[0_i8; 2]), shape, targets, plain);
    assert_eq!(option(refused.unwrap_err()), "quantisation");
    let floats = Buffers::loss(&[0.0_f32; 2]).quantised(given(0));
    let refused = SoftmaxBatch::with_options(floats, shape, targets, plain);
    assert_eq!(option(refused.unwrap_err()), "quantisation");
    let outside = Buffers::loss(&[0_i8; 2]).quantised(given(128));
    let refused = SoftmaxBatch::with_options(outside, shape, targets, plain);
    assert_eq!(option(refused.unwrap_err()), "zero point");
    let outside = Buffers::loss(&[0_u8; 2]).quantised(given(-1));
    let refused = SoftmaxBatch::with_options(outside, shape, targets, plain);
    assert_eq!(option(refused.unwrap_err()), "zero point");

    // Neither has a place for a scale.
    let refused = PartialRow::new(Level::detect(), &[0_i8; 2], 0, None);
    assert_eq!(option(refused.unwrap_err()), "quantisation");
    let refused = LogSumExpBatch::new(&[0_i8; 2], shape, &mut [0.0]).map(|_| ());
    assert_eq!(option(refused.unwrap_err()), "quantisation");
}

#[test]
fn a_gradient_in_integers_is_refused_and_nothing_is_written() {
    let shape = Shape::rows(1, 2).unwrap();
    let targets = SoftmaxTargets::Index((&[0_u8]).into());
    let quantisation = Quantisation::new(0.5, 0).unwrap();
    let (mut x, mut gradient) = ([1_i8, 2], [7_i8; 2]);
    {
        let refused = |buffers: Buffers<'_, i8>| {
            let batch = SoftmaxBatch::with_options(
                buffers.quantised(quantisation),
                shape,
                targets,
                SoftmaxOptions::default(),
            );
            assert_eq!(option(batch.map(|_| ()).unwrap_err()), "gradient");
        };
        refused(Buffers::gradient(&x.clone(), &mut gradient));
        refused(Buffers::accumulate(&x.clone(), &mut gradient));
        refused(Buffers::in_place(&mut x));
    }
    assert_eq!((x, gradient), ([1, 2], [7, 7]));
}

#[test]
fn integers_become_floats_and_floats_the_nearest_integers() {
    let all: Vec<i16> = (i16::MIN..=i16::MAX).collect();
    for level in Level::available() {
        let mut wide = vec![0.0; all.len()];
        widen(level, &all, &mut wide).unwrap();
        assert!(all.iter().zip(&wide).all(|(q, x)| f32::from(*q).to_bits() == x.to_bits()));
        let mut back = vec![0; all.len()];
        narrow(level, &wide, &mut back).unwrap();
        assert_eq!(back, all, "{level}");

        let from = [0.5, 1.5, -0.5, -1.5, 2.4999998, 300.0, -300.0, f32::INFINITY, f32::NAN];
        let mut bytes = [1_i8; 9];
        narrow(level, &from, &mut bytes).unwrap();
        assert_eq!(bytes, [0, 2, 0, -2, 2, 127, -128, 127, 0], "{level}");
        let mut unsigned = [1_u8; 9];
        narrow(level, &from, &mut unsigned).unwrap();
        assert_eq!(unsigned, [0, 2, 0, 0, 2, 255, 0, 255, 0], "{level}");
    }
}

/// `a` in the low half of a byte and `b` in the high half, by arithmetic.
fn byte_of(a: i8, b: i8) -> u8 {
    let half = |q: i8| i32::from(q).rem_euclid(16);
    u8::try_from(half(a) + 16 * half(b)).unwrap()
}

#[test]
fn packed_integers_are_two_in_a_byte() {
    // Of the header of LiteRT's function.
    let mut four = [0; 4];
    unpack_i4(&[0x12, 0x34], &mut four).unwrap();
    assert_eq!(four, [2, 1, 4, 3]);

    let all: Vec<[i8; 2]> = (-8..8).flat_map(|a| (-8..8).map(move |b| [a, b])).collect();
    let packed: Vec<u8> = all.iter().map(|&[a, b]| byte_of(a, b)).collect();
    let mut integers = vec![99; 512];
    unpack_i4(&packed, &mut integers).unwrap();
    assert_eq!(integers, all.as_flattened());
    // The last high half is not read.
    for count in 0..=67 {
        let mut integers = vec![99; count];
        unpack_i4(&packed[..count.div_ceil(2)], &mut integers).unwrap();
        assert_eq!(integers, all.as_flattened()[..count]);
    }
    for (bytes, count) in [(0, 1), (1, 0), (1, 3), (2, 2), (3, 4)] {
        let mut integers = vec![99; count];
        let refused = unpack_i4(&packed[..bytes], &mut integers).unwrap_err();
        let expected = count.div_ceil(2);
        let of = "packed integers, in bytes";
        assert_eq!(refused, Error::Length { of, expected, found: bytes });
        assert!(integers.iter().all(|&q| q == 99));
    }
}
