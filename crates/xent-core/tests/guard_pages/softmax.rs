//! The softmax losses.

use std::fmt::Debug;

use xent_core::{
    Batch, Hessian, Labels, MultiLabel, Outputs, RowWeights, Shape, SoftmaxBatch, SoftmaxOptions,
    SoftmaxTargets,
};

use crate::hold::{Answer, Memory, Mode, Number, float, hold};
use crate::memory::Slice;
use crate::of_every_format;

/// The targets of rows.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Targets {
    Labels,
    Dense,
    MultiLabel(MultiLabel),
    Teacher,
}

/// A loss, without its rows.
#[derive(Clone, Copy, Debug)]
struct Kind {
    targets: Targets,
    class_weights: bool,
    row_weights: bool,
    ignore: bool,
    smoothing: f64,
    gamma: f64,
    z_loss: f64,
    soft_cap: f64,
    losses: bool,
    predicted: bool,
    hessian: Option<Hessian>,
}

const PLAIN: Kind = Kind {
    targets: Targets::Labels,
    class_weights: false,
    row_weights: false,
    ignore: false,
    smoothing: 0.0,
    gamma: 0.0,
    z_loss: 0.0,
    soft_cap: 0.0,
    losses: false,
    predicted: false,
    hessian: None,
};

const DENSE: Kind = Kind { targets: Targets::Dense, ..PLAIN };

/// Every kernel, with every slice that it may take.
const KINDS: [Kind; 14] = [
    PLAIN,
    Kind { losses: true, row_weights: true, ..PLAIN },
    Kind { class_weights: true, ignore: true, gamma: 2.0, z_loss: 1e-3, losses: true, ..PLAIN },
    Kind { row_weights: true, gamma: 0.5, predicted: true, ..PLAIN },
    Kind { class_weights: true, smoothing: 0.1, losses: true, ..PLAIN },
    Kind { soft_cap: 5.0, row_weights: true, losses: true, ..PLAIN },
    Kind { hessian: Some(Hessian::Exact), predicted: true, row_weights: true, ..PLAIN },
    DENSE,
    Kind { class_weights: true, smoothing: 0.1, z_loss: 1e-3, losses: true, ..DENSE },
    Kind { hessian: Some(Hessian::XgBoost), losses: true, predicted: true, ..DENSE },
    Kind { soft_cap: 5.0, row_weights: true, ..DENSE },
    Kind { targets: Targets::MultiLabel(MultiLabel::Exact), class_weights: true, ..PLAIN },
    Kind { targets: Targets::MultiLabel(MultiLabel::Caffe), losses: true, ..PLAIN },
    Kind { targets: Targets::Teacher, row_weights: true, losses: true, ..PLAIN },
];

/// An integer type of labels.
trait Label: Copy + TryFrom<usize, Error: Debug> + 'static {
    fn labels(labels: &[Self]) -> Labels<'_>;
}

macro_rules! label {
    ($($integer:ty),*) => {
        $(
            impl Label for $integer {
                fn labels(labels: &[Self]) -> Labels<'_> {
                    labels.into()
                }
            }
        )*
    };
}
label!(u8, u16, u32, u64, usize, i8, i16, i32, i64);

/// The ignored label, one that every type has.
const IGNORE: usize = 127;

/// A loss of these rows with every kind of buffer.
fn hold_kind<E: Number, L: Label>(kind: Kind, shape: Shape, spans: [usize; 2], x: &[E]) {
    let (rows, classes, elements) = (shape.row_count(), shape.classes(), shape.elements());
    let class_of = |row: usize| row * 7 % classes;
    let ignored = |row: usize| kind.ignore && row % 5 == 3 || class_of(row) == IGNORE;
    let label = |row: usize| {
        let number = if ignored(row) { IGNORE } else { class_of(row) };
        L::try_from(number).expect("few enough classes")
    };
    let several = |wanted: bool, count: usize| -> Vec<E::Float> {
        let count = if wanted { count } else { 0 };
        (0..count).map(|i| float::<E>(0.25 * ((i * 5) % 7) as f64)).collect()
    };
    let only =
        |wanted: bool, count: usize| vec![E::Float::default(); if wanted { count } else { 0 }];
    let labels: Vec<L> =
        (0..if kind.targets == Targets::Labels { rows } else { 0 }).map(label).collect();
    let dense = several(kind.targets != Targets::Labels, elements);
    let class_weights = several(kind.class_weights, classes);
    let factors = several(kind.row_weights, rows);
    let zeros = only(kind.losses, rows);
    let hessian = only(kind.hessian.is_some(), elements);
    let predicted = vec![0_u32; if kind.predicted { rows } else { 0 }];

    for &mode in Mode::of::<E>() {
        let what = (E::NAME, kind, mode, shape);
        hold(&what, &|level, place| {
            let gradients = if mode == Mode::InPlace { spans[0] } else { spans[1] };
            let mut memory = Memory::new(place, mode, x, gradients);
            let labels: Slice<L> = place.of(&labels);
            let dense = place.of(&dense);
            let targets = match kind.targets {
                Targets::Labels => SoftmaxTargets::Index(L::labels(&labels)),
                Targets::Dense => SoftmaxTargets::Dense(&dense),
                Targets::MultiLabel(gradient) => SoftmaxTargets::MultiLabel(&dense, gradient),
                Targets::Teacher => SoftmaxTargets::Teacher(&dense, 2.0),
            };
            let class_weights = place.of(&class_weights);
            let options = SoftmaxOptions {
                class_weights: &class_weights,
                label_smoothing: kind.smoothing,
                ignore_index: (kind.targets == Targets::Labels).then_some(IGNORE as i64),
                focal_gamma: kind.gamma,
                z_loss: kind.z_loss,
                soft_cap: kind.soft_cap,
                empty_is_nan: false,
            };
            let (sample_weights, upstream) = (place.of(&factors), place.of(&factors));
            let weights =
                RowWeights { scale: 0.75, sample_weights: &sample_weights, upstream: &upstream };
            let (mut losses, mut log_sum_exp) = (place.of(&zeros), place.of(&zeros));
            let (mut predicted, mut hessian) = (place.of(&predicted), place.of(&hessian));
            let outputs = Outputs {
                losses: &mut losses,
                log_sum_exp: &mut log_sum_exp,
                predicted: &mut predicted,
                hessian: &mut hessian,
                convention: kind.hessian.unwrap_or_default(),
                ..Outputs::default()
            };
            let batch = SoftmaxBatch::with_options(memory.buffers(), shape, targets, options)
                .and_then(|batch| batch.with_weights(weights))
                .and_then(|batch| batch.with_outputs(outputs))
                .unwrap_or_else(|error| panic!("{what:?}: {error}"));
            let sum = batch.run(level);
            let mut answer = Answer::default();
            answer.add(&[sum]);
            answer.add(&losses);
            answer.add(&log_sum_exp);
            answer.add(&predicted);
            answer.add(&hessian);
            memory.answer(&mut answer);
            answer
        });
    }
}

/// The logits of a shape with those strides, some of them in rows that no kernel computes; and the
/// numbers of its logits and gradients.
fn logits<E: Number>(shape: Shape, strides: [usize; 2], outer: usize) -> (Vec<E>, [usize; 2]) {
    let length = shape.elements() / outer;
    let spans = strides.map(|stride| (outer - 1) * stride + length);
    let mut x = E::spread(spans[0], 12.0);
    if shape.row_count() > 2 && shape.classes().is_multiple_of(5) {
        x[shape.logit_place(0, 0)] = E::of(f64::INFINITY);
        x[shape.logit_place(1, shape.classes() - 1)] = E::of(f64::NAN);
        x[shape.logit_place(2, 1)] = E::of(f64::NEG_INFINITY);
    }
    (x, spans)
}

/// Every kind of loss for `outer` blocks of `classes × inner`, with gaps between the blocks.
fn hold_all<E: Number>([outer, classes, inner]: [usize; 3], gaps: [usize; 2]) {
    let shape = Shape::columns(outer, classes, inner).expect("few elements");
    let strides = gaps.map(|gap| classes * inner + gap);
    let shape = shape.with_strides(strides[0], strides[1]).expect("not shorter than a row");
    let (x, spans) = logits::<E>(shape, strides, outer);
    for kind in KINDS {
        let refused = size_of::<E>() == 2 && inner != 1 && classes > 4096;
        if !(refused && matches!(kind.targets, Targets::Teacher)) {
            hold_kind::<E, i32>(kind, shape, spans, &x);
        }
    }
}

fn few_classes<E: Number>() {
    for classes in 1..=40 {
        for rows in [1, 2, 31, 32, 33, 67] {
            hold_all::<E>([rows, classes, 1], [0; 2]);
        }
    }
}

fn more_classes<E: Number>() {
    for classes in (41..=70).chain([127, 128, 129, 191, 192, 193, 255, 256, 257, 1000]) {
        for rows in [1, 5] {
            hold_all::<E>([rows, classes, 1], [0; 2]);
        }
    }
    // Groups of rows.
    for classes in [33, 36, 47, 64] {
        hold_all::<E>([35, classes, 1], [0; 2]);
    }
}

fn around_tiles<E: Number>() {
    for classes in [2047, 2049, 4095, 4096, 4097, 8191, 8192, 8193, 12_289] {
        hold_all::<E>([3, classes, 1], [0; 2]);
    }
}

fn gaps_between_rows<E: Number>() {
    for classes in [1, 2, 3, 4, 7, 10, 31, 32, 33, 50, 129, 4100] {
        for gaps in [[1, 0], [0, 3], [3, 5]] {
            hold_all::<E>([5, classes, 1], gaps);
        }
    }
    for classes in [3, 8, 10] {
        hold_all::<E>([67, classes, 1], [3, 1]);
    }
}

fn columns<E: Number>() {
    for inner in 2..=70 {
        for classes in [1, 2, 5] {
            hold_all::<E>([2, classes, inner], [0; 2]);
        }
    }
    for inner in [2, 3, 4, 8, 9, 15, 16, 17, 31, 33, 47, 65] {
        for classes in [3, 21, 33] {
            hold_all::<E>([2, classes, inner], [0; 2]);
        }
    }
    for classes in 1..=40 {
        hold_all::<E>([2, classes, 35], [3, 1]);
    }
    for [outer, classes, inner] in [[2, 129, 7], [1, 300, 9], [1, 4096, 2], [1, 4097, 3]] {
        hold_all::<E>([outer, classes, inner], [1, 2]);
    }
}

of_every_format!(few_classes, more_classes, around_tiles, gaps_between_rows, columns);

fn labels_of<L: Label>() {
    for shape in [[67, 3, 1], [33, 10, 1], [5, 100, 1], [2, 7, 33]] {
        let [outer, classes, inner] = shape;
        let shape = Shape::columns(outer, classes, inner).expect("few elements");
        let (x, spans) = logits::<f32>(shape, [classes * inner; 2], outer);
        for kind in KINDS.into_iter().filter(|kind| kind.targets == Targets::Labels) {
            hold_kind::<_, L>(kind, shape, spans, &x);
        }
    }
}

#[test]
fn labels_of_every_type() {
    labels_of::<u8>();
    labels_of::<u16>();
    labels_of::<u32>();
    labels_of::<u64>();
    labels_of::<usize>();
    labels_of::<i8>();
    labels_of::<i16>();
    labels_of::<i32>();
    labels_of::<i64>();
}

/// A gradient so large that it is written past the caches, in rows of every alignment.
fn streamed<E: Number>(classes: usize) {
    let rows = (1 << 22) / classes + 1;
    let shape = Shape::rows(rows, classes).expect("few elements");
    let x = E::spread(shape.elements(), 9.0);
    let labels: Vec<u16> = (0..rows).map(|row| (row * 7 % classes) as u16).collect();
    hold(&(E::NAME, rows, classes), &|level, place| {
        let mut memory = Memory::new(place, Mode::Gradient, &x, x.len());
        let labels = place.of(&labels);
        let targets = SoftmaxTargets::Index(Labels::from(&labels[..]));
        let sum = SoftmaxBatch::new(memory.buffers(), classes, targets).expect("valid").run(level);
        let mut answer = Answer::default();
        answer.add(&[sum]);
        memory.answer(&mut answer);
        answer
    });
}

#[test]
fn streamed_gradients() {
    streamed::<f32>(1001);
    streamed::<f64>(4101);
}
