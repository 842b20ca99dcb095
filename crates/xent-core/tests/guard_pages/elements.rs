//! The sigmoid losses.

use xent_core::{
    Batch, Labels, Outputs, RowWeights, Shape, SigmoidBatch, SigmoidInput, SigmoidOptions,
    SigmoidTargets,
};

use crate::hold::{Answer, Memory, Mode, Number, float, hold};
use crate::of_every_format;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Targets {
    Dense,
    MultiHot,
    Positives,
}

/// A loss, without its elements.
#[derive(Clone, Copy, Debug)]
struct Kind {
    targets: Targets,
    input: SigmoidInput,
    /// Weights of classes, of positives, of rows and of losses.
    weights: bool,
    smoothing: f64,
    gamma: f64,
    alpha: Option<f64>,
    mean: bool,
    losses: bool,
    hessian: bool,
}

const PLAIN: Kind = Kind {
    targets: Targets::Dense,
    input: SigmoidInput::Logits,
    weights: false,
    smoothing: 0.0,
    gamma: 0.0,
    alpha: None,
    mean: false,
    losses: false,
    hessian: false,
};

const WEIGHTED: Kind = Kind { weights: true, losses: true, ..PLAIN };

const KINDS: [Kind; 13] = [
    PLAIN,
    Kind { targets: Targets::MultiHot, ..PLAIN },
    Kind { targets: Targets::Positives, ..PLAIN },
    WEIGHTED,
    Kind { hessian: true, losses: true, ..PLAIN },
    Kind { targets: Targets::MultiHot, smoothing: 0.1, hessian: true, ..WEIGHTED },
    Kind { targets: Targets::Positives, hessian: true, ..PLAIN },
    Kind { targets: Targets::Positives, gamma: 2.0, alpha: Some(0.25), ..WEIGHTED },
    Kind { gamma: 2.0, losses: true, ..PLAIN },
    Kind { mean: true, ..WEIGHTED },
    Kind { mean: true, targets: Targets::MultiHot, hessian: true, ..PLAIN },
    Kind { input: SigmoidInput::Probabilities, ..WEIGHTED },
    Kind { input: SigmoidInput::Probabilities, targets: Targets::MultiHot, ..PLAIN },
];

fn hold_kind<E: Number>(kind: Kind, shape: Shape, spans: [usize; 2]) {
    let (rows, classes, elements) = (shape.row_count(), shape.classes(), shape.elements());
    let mut x = E::spread(spans[0], 20.0);
    if kind.input == SigmoidInput::Probabilities {
        // A NaN is not a probability.
        x.iter_mut().enumerate().for_each(|(i, x)| *x = E::of((i % 9) as f64 / 8.0));
    } else if let Some(last) = x.last_mut() {
        *last = E::of(f64::NAN);
    }
    let all = |count: usize| -> Vec<E::Float> {
        (0..count).map(|i| float::<E>(0.25 * ((i * 3) % 5) as f64)).collect()
    };
    let some = |wanted: bool, count: usize| all(if wanted { count } else { 0 });
    let loss_count = if kind.mean { rows } else { elements };
    let dense = some(kind.targets == Targets::Dense, elements);
    let hot: Vec<i8> = (0..if kind.targets == Targets::MultiHot { elements } else { 0 })
        .map(|i| if kind.weights && i % 7 == 3 { -1 } else { i8::from(i % 3 == 0) })
        .collect();
    let positives: Vec<u16> = (0..rows)
        .flat_map(|row| (0..classes).filter(move |class| (row + class) % 3 == 0))
        .map(|class| class as u16)
        .collect();
    let mut offsets = vec![0_usize];
    for row in 0..rows {
        let count = (0..classes).filter(|class| (row + class) % 3 == 0).count();
        offsets.push(offsets[row] + count);
    }
    let class_weights = some(kind.weights, classes);
    let (sample_weights, upstream) = (some(kind.weights, rows), some(kind.weights, loss_count));
    let losses = some(kind.losses, loss_count);
    let hessian = some(kind.hessian, elements);

    for &mode in Mode::of::<E>() {
        let what = (E::NAME, kind, mode, shape);
        hold(&what, &|level, place| {
            let gradients = if mode == Mode::InPlace { spans[0] } else { spans[1] };
            let mut memory = Memory::new(place, mode, &x, gradients);
            let (dense, hot) = (place.of(&dense), place.of(&hot));
            let (offsets, positives) = (place.of(&offsets), place.of(&positives));
            let targets = match kind.targets {
                Targets::Dense => SigmoidTargets::Dense(&dense),
                Targets::MultiHot => SigmoidTargets::MultiHot(Labels::from(&hot[..])),
                Targets::Positives => SigmoidTargets::Positives {
                    offsets: &offsets,
                    classes: Labels::from(&positives[..]),
                },
            };
            let (class_weights, pos_weight) = (place.of(&class_weights), place.of(&class_weights));
            let ignore = kind.weights && kind.targets == Targets::MultiHot;
            let options = SigmoidOptions {
                class_weights: &class_weights,
                pos_weight: &pos_weight,
                label_smoothing: kind.smoothing,
                ignore_index: ignore.then_some(-1),
                focal_gamma: kind.gamma,
                focal_alpha: kind.alpha,
                mean_over_classes: kind.mean,
                input: kind.input,
            };
            let (sample_weights, upstream) = (place.of(&sample_weights), place.of(&upstream));
            let weights =
                RowWeights { scale: 0.75, sample_weights: &sample_weights, upstream: &upstream };
            let (mut losses, mut hessian) = (place.of(&losses), place.of(&hessian));
            let outputs =
                Outputs { losses: &mut losses, hessian: &mut hessian, ..Outputs::default() };
            let batch = SigmoidBatch::with_options(memory.buffers(), shape, targets, options)
                .and_then(|batch| batch.with_weights(weights))
                .and_then(|batch| batch.with_outputs(outputs))
                .unwrap_or_else(|error| panic!("{what:?}: {error}"));
            let sum = batch.run(level);
            let mut answer = Answer::default();
            answer.add(&[sum]);
            answer.add(&losses);
            answer.add(&hessian);
            memory.answer(&mut answer);
            answer
        });
    }
}

/// Every kind of loss for `outer` blocks of `classes × inner`, with gaps between the blocks.
fn hold_all<E: Number>([outer, classes, inner]: [usize; 3], gaps: [usize; 2]) {
    let length = classes * inner;
    let strides = gaps.map(|gap| length + gap);
    let shape = Shape::columns(outer, classes, inner).expect("few elements");
    let shape = shape.with_strides(strides[0], strides[1]).expect("not shorter than a row");
    let spans = strides.map(|stride| (outer - 1) * stride + length);
    for kind in KINDS {
        hold_kind::<E>(kind, shape, spans);
    }
}

fn sigmoid<E: Number>() {
    for length in (1..=70).chain([127, 128, 129, 1000]) {
        hold_all::<E>([length, 1, 1], [0; 2]);
    }
    for length in [7, 33, 129, 4095, 4096, 4097] {
        hold_all::<E>([1, length, 1], [0; 2]);
    }
    for classes in [1, 3, 8, 33, 129] {
        hold_all::<E>([3, classes, 1], [0; 2]);
        hold_all::<E>([4, classes, 1], [3, 1]);
    }
    for inner in [2, 7, 16, 33, 130] {
        hold_all::<E>([2, 3, inner], [0; 2]);
        hold_all::<E>([2, 3, inner], [1, 5]);
    }
    hold_all::<E>([1, 3, 1400], [0; 2]);
}

of_every_format!(sigmoid);
