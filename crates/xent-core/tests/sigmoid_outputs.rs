//! Outputs never change a bit of a sigmoid loss and its gradient.

use proptest::prelude::*;
use xent_core::{
    Batch, Buffers, Element, Hessian, Labels, Level, Outputs, RowWeights, Shape, SigmoidBatch,
    SigmoidInput, SigmoidOptions, SigmoidTargets,
};

#[derive(Clone, Copy, Debug)]
enum Kind {
    Dense,
    MultiHot8,
    MultiHot64,
    Positives,
}

/// A loss, without its elements.
#[derive(Clone, Debug)]
struct Case {
    shape: [usize; 3],
    kind: Kind,
    /// Class weights, positive weights, sample weights, upstream gradient.
    weights: [bool; 4],
    ignores: bool,
    smoothing: f64,
    focal: Option<(f64, Option<f64>)>,
    mean: bool,
    probabilities: bool,
    seed: u64,
}

fn case() -> impl Strategy<Value = Case> {
    let shape = prop_oneof![
        [1..40_usize, 1..40_usize, 1..2_usize],
        [1..4_usize, 100..3000_usize, 1..2_usize],
        [1..4_usize, 1..9_usize, 1..300_usize],
    ];
    let kind = prop_oneof![
        Just(Kind::Dense),
        Just(Kind::MultiHot8),
        Just(Kind::MultiHot64),
        Just(Kind::Positives),
    ];
    let gamma = prop_oneof![Just(0.0), Just(1.0), Just(2.0), Just(1.5)];
    let focal = prop::option::of((gamma, prop::option::of(0.0..=1.0_f64)));
    let smoothing = prop_oneof![Just(0.0), 0.0..=1.0_f64];
    let flags = any::<[bool; 3]>();
    (shape, kind, any::<[bool; 4]>(), smoothing, focal, flags, any::<u64>()).prop_map(
        |(shape, kind, weights, smoothing, focal, [ignores, mean, probabilities], seed)| Case {
            shape,
            kind,
            weights,
            ignores,
            smoothing,
            focal: if probabilities { None } else { focal },
            mean,
            probabilities,
            seed,
        },
    )
}

/// Numbers in [0, 1), reproducible.
fn units(seed: u64, count: usize) -> Vec<f64> {
    let mut state = seed | 1;
    let next = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f64 / f64::from(1 << 24)
    };
    std::iter::repeat_with(next).take(count).collect()
}

/// The bits of a number; all NaNs have the same.
fn bits<T: Into<f64> + Copy>(values: &[T]) -> Vec<u64> {
    let of = |value: f64| if value.is_nan() { u64::MAX } else { value.to_bits() };
    values.iter().map(|&value| of(value.into())).collect()
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Gradient {
    None,
    Write,
    Add,
    InPlace,
}

/// The sum, the losses, the gradient and the Hessian of a batch, as bits; empty if not asked for.
type Answer = [Vec<u64>; 4];

fn run<E: Element + Into<f64>>(
    case: &Case,
    level: Level,
    gradient: Gradient,
    [losses, hessian]: [bool; 2],
) -> Answer {
    let float = |value: f64| E::Float::from(value as f32);
    let floats = |count: usize, seed: u64| -> Vec<E::Float> {
        units(case.seed ^ seed, count).into_iter().map(float).collect()
    };
    let [outer, classes, inner] = case.shape;
    let (rows, elements) = (outer * inner, outer * classes * inner);
    let scale = |unit: f64| if case.probabilities { unit } else { 40.0 * unit - 20.0 };
    let mut x: Vec<E> =
        units(case.seed, elements).iter().map(|&unit| E::from_float(float(scale(unit)))).collect();
    if !case.probabilities {
        for (at, value) in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY].into_iter().enumerate() {
            if let Some(place) = x.get_mut(at * 97) {
                *place = E::from_float(float(value));
            }
        }
    }
    let kinds = units(case.seed ^ 1, elements);
    let has_ignored = case.ignores && matches!(case.kind, Kind::MultiHot8 | Kind::MultiHot64);
    let hot8: Vec<u8> = kinds
        .iter()
        .map(|&unit| {
            if unit < 0.3 {
                1
            } else if unit > 0.8 && has_ignored {
                255
            } else {
                0
            }
        })
        .collect();
    let hot64: Vec<i64> = hot8.iter().map(|&hot| i64::from(hot)).collect();
    let dense: Vec<E::Float> = kinds.iter().map(|&unit| float(unit)).collect();
    let (mut offsets, mut positives) = (vec![0], Vec::<u16>::new());
    for row in 0..rows {
        let place = |class: usize| (row / inner * classes + class) * inner + row % inner;
        let of_row = (0..classes).filter(|&class| kinds[place(class)] < 0.3);
        let mut of_row: Vec<u16> = of_row.map(|class| class as u16).collect();
        if row % 2 == 1 {
            of_row.reverse();
        }
        positives.extend(of_row);
        offsets.push(positives.len());
    }
    let some = |at: usize, count: usize| -> Vec<E::Float> {
        if case.weights[at] { floats(count, 10 + at as u64) } else { Vec::new() }
    };
    let loss_count = if case.mean { rows } else { elements };
    let (class_weights, pos_weight) = (some(0, classes), some(1, classes));
    let (mut sample_weights, upstream) = (some(2, rows), some(3, loss_count));
    if let Some(first) = sample_weights.first_mut() {
        *first = float(0.0);
    }
    let targets = match case.kind {
        Kind::Dense => SigmoidTargets::Dense(&dense),
        Kind::MultiHot8 => SigmoidTargets::MultiHot(Labels::from(&hot8[..])),
        Kind::MultiHot64 => SigmoidTargets::MultiHot(Labels::from(&hot64[..])),
        Kind::Positives => {
            SigmoidTargets::Positives { offsets: &offsets, classes: Labels::from(&positives[..]) }
        }
    };
    let (focal_gamma, focal_alpha) = case.focal.unwrap_or_default();
    let options = SigmoidOptions {
        class_weights: &class_weights,
        pos_weight: &pos_weight,
        label_smoothing: case.smoothing,
        ignore_index: has_ignored.then_some(255),
        focal_gamma,
        focal_alpha,
        mean_over_classes: case.mean,
        input: if case.probabilities { SigmoidInput::Probabilities } else { SigmoidInput::Logits },
    };
    let weights = RowWeights { scale: 0.3, sample_weights: &sample_weights, upstream: &upstream };
    let mut places = vec![E::Float::default(); if losses { loss_count } else { 0 }];
    let mut second = vec![E::Float::default(); if hessian { elements } else { 0 }];
    let outputs = Outputs {
        losses: &mut places,
        hessian: &mut second,
        convention: Hessian::XgBoost,
        ..Outputs::default()
    };
    let mut g = vec![E::from_float(float(0.25)); elements];
    let mut logits = x.clone();
    let buffers = match gradient {
        Gradient::None => Buffers::loss(&x),
        Gradient::Write => Buffers::gradient(&x, &mut g),
        Gradient::Add => Buffers::accumulate(&x, &mut g),
        Gradient::InPlace => Buffers::in_place(&mut logits),
    };
    let shape = Shape::columns(outer, classes, inner).expect("small");
    let sum = SigmoidBatch::with_options(buffers, shape, targets, options)
        .and_then(|batch| batch.with_weights(weights)?.with_outputs(outputs))
        .unwrap_or_else(|error| panic!("{case:?}: {error}"))
        .run(level);
    let gradient = match gradient {
        Gradient::None => Vec::new(),
        Gradient::InPlace => bits(&logits),
        Gradient::Write | Gradient::Add => bits(&g),
    };
    [bits(&[sum]), bits(&places), gradient, bits(&second)]
}

/// The results of a case at every level, with all combinations of outputs.
fn hold<E: Element + Into<f64>>(case: &Case) -> Result<(), TestCaseError> {
    let has_hessian = case.focal.is_none_or(|(gamma, alpha)| gamma == 0.0 && alpha.is_none())
        && !case.probabilities;
    let mut with_fma = None;
    for level in Level::available() {
        let all = run::<E>(case, level, Gradient::Write, [true, has_hessian]);
        if level.has_fma() {
            let first = with_fma.get_or_insert_with(|| all.clone());
            prop_assert!(all == *first, "{level}: other bits than at another level");
        }
        let added = run::<E>(case, level, Gradient::Add, [true, has_hessian]);
        for gradient in [Gradient::None, Gradient::Write, Gradient::Add, Gradient::InPlace] {
            let full = if gradient == Gradient::Add { &added } else { &all };
            for asked in [[false; 2], [true, false], [false, has_hessian], [true, has_hessian]] {
                let some = run::<E>(case, level, gradient, asked);
                for (at, (some, full)) in some.iter().zip(full).enumerate() {
                    let same = some == full || some.is_empty();
                    prop_assert!(same, "{level}, {gradient:?}, {asked:?}: output {at}");
                }
            }
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_output_changes_a_bit_of_another_f32(case in case()) {
        hold::<f32>(&case)?;
    }

    #[test]
    fn no_output_changes_a_bit_of_another_f64(case in case()) {
        hold::<f64>(&case)?;
    }
}

#[cfg(feature = "half")]
proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn no_output_changes_a_bit_of_another_bf16(case in case()) {
        hold::<half::bf16>(&case)?;
    }

    #[test]
    fn no_output_changes_a_bit_of_another_f16(case in case()) {
        hold::<half::f16>(&case)?;
    }
}
