//! One row of few classes with a label, in little code: the steps of [`super::lanes`], with one lane.

use super::coefficients::{Factors, LabelSums, Terms, label_coefficients};
use super::grid::{GridPlane, Line};
use super::lanes::{LaneGradient, Largest, label_sums};
use super::planes::Plane;
use super::row_buffers::{GradMode, RowBuffers};
use crate::simd::Vector;

/// The loss of a row and, if the buffers have a place for it, its gradient; `None`, and nothing is written, if its
/// largest logit is not finite.
#[inline(always)]
pub(crate) fn one_row<V: Vector>(
    token: V::Token,
    buffers: RowBuffers<'_, V::Scalar>,
    label: usize,
) -> Option<V::Scalar> {
    let one = V::of(token, 1.0);
    let classes = buffers.len();
    let line = Line { start: 0, step: 1, rows: 1 };
    let mut plane = GridPlane { logits: line, gradient: line, classes, buffers };

    let mut max = V::of(token, f64::NEG_INFINITY);
    for class in 0..classes {
        let x: V = plane.logits(token, class);
        max = x.max(max);
    }
    if !V::any(max.abs().less(V::of(token, f64::INFINITY))) {
        return None;
    }

    let pivot = V::count(token, label);
    let largest = Largest { max, finite: one, some_degenerate: false };
    let [label_distance, label_exp, others] = label_sums(token, &mut plane, pivot, largest);
    let sums = LabelSums { max, label_distance, label_exp, others, label_weight: one };
    let terms = Terms { gamma: 0.0, z_loss: 0.0 };
    let factors = Factors { loss: one, gradient: one };
    let coefficients = label_coefficients(token, sums, terms, factors);
    if plane.buffers.mode() != GradMode::None {
        let gradient = LaneGradient::of_labels(token, largest, pivot, &coefficients, None);
        gradient.put_labels(token, &mut plane);
    }

    let mut loss = [V::Scalar::default()];
    coefficients.loss.store(&mut loss);
    Some(loss[0])
}
