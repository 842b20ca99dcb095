//! Softmax and sigmoid cross-entropy, and the softmax of many labels.

use xent_reference::golden::{Case, Targets};
use xent_reference::{multilabel, sigmoid as sigmoids, softmax, targets};

use crate::answer::{Answer, Number};

pub(crate) fn rows(case: &Case) -> impl Iterator<Item = &[f64]> {
    case.input.chunks_exact(case.classes)
}

pub(crate) fn class_weight(case: &Case, c: usize) -> f64 {
    case.options.class_weights.as_ref().map_or(1.0, |weights| weights[c])
}

pub(crate) fn label(label: i64) -> usize {
    usize::try_from(label).expect("a label that is not ignored")
}

pub(crate) fn softmax(case: &Case) -> Answer {
    match &case.targets {
        Targets::Index(labels) => softmax_index(case, labels),
        Targets::Dense(values) => softmax_dense(case, values),
        other => panic!("{}: {other:?}", case.id),
    }
}

/// `loss = (1-ε)·w_y(-s_y) + (ε/C)·Σ w_c(-s_c)`, times the weight of the row; a mean divides by
/// the `w_y` of rows not ignored.
fn softmax_index(case: &Case, labels: &[i64]) -> Answer {
    let epsilon = case.options.label_smoothing.unwrap_or(0.0);
    let weights = case.options.class_weights.as_deref();
    let mut answer = Answer::default();
    for (n, (x, &y)) in rows(case).zip(labels).enumerate() {
        if Some(y) == case.options.ignore_index {
            answer.losses.push(Number::default());
            answer.grad.extend(vec![Number::default(); case.classes]);
            continue;
        }
        let y = label(y);
        let sample_weight = case.options.sample_weights.as_ref().map_or(1.0, |weights| weights[n]);
        let mut q = targets::smoothed(case.classes, y, epsilon, weights);
        q.iter_mut().for_each(|q| *q *= sample_weight);
        push_softmax(&mut answer, x, &q);
        answer.mean_divisor += sample_weight * class_weight(case, y);
    }
    answer
}

/// q = w·((1-ε)t + ε/C); a mean divides by N.
fn softmax_dense(case: &Case, values: &[f64]) -> Answer {
    let epsilon = case.options.label_smoothing.unwrap_or(0.0);
    let weights = case.options.class_weights.as_deref();
    assert!(case.options.ignore_index.is_none() && case.options.sample_weights.is_none());
    let mut answer = Answer::with_divisor(case.rows as f64);
    for (x, t) in rows(case).zip(values.chunks_exact(case.classes)) {
        push_softmax(&mut answer, x, &targets::smoothed_dense(t, epsilon, weights));
    }
    answer
}

/// The peer takes ln(1 + R), with an absolute error of one rounding of 1, Q times; its gradient is
/// a difference of terms of the size `scale`.
fn push_softmax(answer: &mut Answer, x: &[f64], q: &[f64]) {
    let row = softmax::cross_entropy(x, q);
    answer.losses.push(Number { value: row.loss, terms: q.iter().sum() });
    let numbers = row.grad.iter().zip(&row.scale);
    answer.grad.extend(numbers.map(|(&value, &terms)| Number { value, terms }));
}

/// The class weight multiplies the element; a mean divides by N·C.
pub(crate) fn sigmoid(case: &Case) -> Answer {
    let mut answer = Answer::with_divisor(case.input.len() as f64);
    for (i, (&x, &y)) in case.input.iter().zip(case.targets.dense()).enumerate() {
        let c = i % case.classes;
        let weight = class_weight(case, c);
        let pos_weight = case.options.pos_weight.as_ref().map_or(1.0, |weights| weights[c]);
        let (loss, gradient) = sigmoids::weighted_cross_entropy(x, y, pos_weight, weight);
        // The peer's formulas: (1-y)·x + a·softplus(-x), and a·σ(x) - y·q.
        let a = 1.0 + (pos_weight - 1.0) * y;
        let loss_terms = (1.0 - y) * x.abs() + a * sigmoids::softplus(-x);
        let grad_terms = a * sigmoids::sigmoid(x) + y * pos_weight;
        answer.losses.push(Number { value: loss, terms: weight * loss_terms });
        answer.grad.push(Number { value: gradient, terms: weight * grad_terms });
    }
    answer
}

/// A mean divides by N, also for Caffe's gradient.
pub(crate) fn multilabel_softmax(case: &Case) -> Answer {
    let mut answer = Answer::with_divisor(case.rows as f64);
    let mut caffe_grad = Vec::new();
    for (x, y) in rows(case).zip(case.targets.dense().chunks_exact(case.classes)) {
        let row = multilabel::softmax(x, y);
        answer.push(row.loss, &row.grad);
        caffe_grad.extend(multilabel::caffe_gradient(x, y).into_iter().map(Number::clean));
    }
    answer.row_values = Some(answer.losses.clone());
    answer.caffe_grad = Some(caffe_grad);
    answer
}
