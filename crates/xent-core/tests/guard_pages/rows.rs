//! Losses of probabilities, the log-sum-exp of rows, and rows in parts.

use xent_core::{
    Batch, Labels, LikelihoodBatch, LikelihoodInput, LikelihoodOptions, LogSumExpBatch, Outputs,
    PartialRow, RowWeights, Shape,
};

use crate::hold::{Answer, Memory, Mode, Number, float, hold};
use crate::of_every_format;

const SHAPES: [[usize; 3]; 10] = [
    [1, 1, 1],
    [5, 3, 1],
    [33, 10, 1],
    [70, 32, 1],
    [3, 129, 1],
    [2, 4097, 1],
    [2, 3, 7],
    [2, 21, 33],
    [1, 40, 70],
    [2, 4097, 3],
];

/// A shape with gaps, and the numbers of its logits and gradients.
fn with_gaps([outer, classes, inner]: [usize; 3], gaps: [usize; 2]) -> (Shape, [usize; 2]) {
    let length = classes * inner;
    let strides = gaps.map(|gap| length + gap);
    let shape = Shape::columns(outer, classes, inner).expect("few elements");
    let shape = shape.with_strides(strides[0], strides[1]).expect("not shorter than a row");
    (shape, strides.map(|stride| (outer - 1) * stride + length))
}

fn likelihood<E: Number>() {
    for (shape, gaps) in SHAPES.into_iter().flat_map(|shape| [(shape, [0, 0]), (shape, [2, 3])]) {
        let (shape, spans) = with_gaps(shape, gaps);
        let (rows, classes) = (shape.row_count(), shape.classes());
        let p: Vec<E> = (0..spans[0]).map(|i| E::of((i % 9) as f64 / 8.0)).collect();
        let labels: Vec<i16> = (0..rows)
            .map(|row| if row % 4 == 3 { -1 } else { (row * 7 % classes) as i16 })
            .collect();
        let factors = |count: usize| -> Vec<E::Float> {
            (0..count).map(|i| float::<E>(0.5 * (i % 3) as f64)).collect()
        };
        let (class_factors, row_factors) = (factors(classes), factors(rows));
        for input in [LikelihoodInput::LogProbabilities, LikelihoodInput::Probabilities] {
            for &mode in Mode::of::<E>() {
                hold(&(E::NAME, input, mode, shape), &|level, place| {
                    let gradients = if mode == Mode::InPlace { spans[0] } else { spans[1] };
                    let mut memory = Memory::new(place, mode, &p, gradients);
                    let labels = place.of(&labels);
                    let class_weights = place.of(&class_factors);
                    let (sample_weights, upstream) =
                        (place.of(&row_factors), place.of(&row_factors));
                    let mut losses = place.of(&row_factors);
                    let weights = RowWeights {
                        scale: 0.75,
                        sample_weights: &sample_weights,
                        upstream: &upstream,
                    };
                    let sum = LikelihoodBatch::with_options(
                        memory.buffers(),
                        shape,
                        Labels::from(&labels[..]),
                        input,
                        LikelihoodOptions { class_weights: &class_weights, ignore_index: Some(-1) },
                    )
                    .and_then(|batch| batch.with_weights(weights))
                    .and_then(|batch| {
                        batch.with_outputs(Outputs { losses: &mut losses, ..Outputs::default() })
                    })
                    .expect("a valid batch")
                    .run(level);
                    let mut answer = Answer::default();
                    answer.add(&[sum]);
                    answer.add(&losses);
                    memory.answer(&mut answer);
                    answer
                });
            }
        }
    }
}

fn log_sum_exp<E: Number>() {
    let of_rows = (1..=70).flat_map(|classes| [[1, classes, 1], [5, classes, 1], [33, classes, 1]]);
    let of_columns = (2..=70).flat_map(|inner| [[2, 3, inner], [1, 33, inner]]);
    for shape in of_rows.chain(of_columns).chain(SHAPES) {
        for gaps in [[0; 2], [3; 2]] {
            let (shape, spans) = with_gaps(shape, gaps);
            let x = E::spread(spans[0], 9.0);
            hold(&("log-sum-exp", E::NAME, shape), &|level, place| {
                let (x, mut out) =
                    (place.of(&x), place.of(&vec![float::<E>(0.5); shape.row_count()]));
                let batch = LogSumExpBatch::new(&x, shape, &mut out).expect("a valid batch");
                let sum = batch.run(level);
                let mut answer = Answer::default();
                answer.add(&[sum]);
                answer.add(&out);
                answer
            });
        }
    }
}

fn row_in_parts<E: Number>() {
    const TILE: usize = PartialRow::TILE;
    for length in (1..=70).chain([127, 128, 129, TILE - 1, TILE, TILE + 1, 2 * TILE + 3]) {
        let first = E::spread(TILE, 9.0);
        let second = E::spread(length, 8.0);
        for label in [7, TILE + length / 2] {
            for &mode in Mode::of::<E>() {
                hold(&("parts", E::NAME, length, label, mode), &|level, place| {
                    let mut a = Memory::new(place, mode, &first, first.len());
                    let mut b = Memory::new(place, mode, &second, second.len());
                    let part = |x: &[E], at| {
                        PartialRow::new(level, x, at, Some(label)).expect("a valid part")
                    };
                    let (of_a, of_b) = (place.of(&first), place.of(&second));
                    let row = part(&of_a, 0).merge(&part(&of_b, TILE)).expect("neighbours");
                    row.gradient(level, a.buffers(), 0, 0.75).expect("a part of the row");
                    row.gradient(level, b.buffers(), TILE, 0.75).expect("a part of the row");
                    let mut answer = Answer::default();
                    answer.add(&[row.log_sum_exp(), row.loss().expect("a label")]);
                    a.answer(&mut answer);
                    b.answer(&mut answer);
                    answer
                });
            }
        }
    }
}

of_every_format!(likelihood, log_sum_exp, row_in_parts);
