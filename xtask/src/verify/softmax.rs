//! The softmax cross-entropy.

use rand::rngs::StdRng;
use xent_core::{Batch as _, Labels, SoftmaxBatch, SoftmaxTargets};
use xent_reference::targets::one_hot;

use super::Batch;
use super::loss::Loss;
use crate::bounds::{
    Answer, Bound, SOFTMAX_DENSE_GRADIENT, SOFTMAX_DENSE_LOSS, SOFTMAX_INDEX_GRADIENT,
    SOFTMAX_INDEX_GRADIENT_SUM, SOFTMAX_INDEX_LOSS,
};
use crate::format::{Checked, Real};
use crate::rows;
use crate::table::Findings;

/// With one label per row.
pub(crate) fn index<E: Checked>(batch: &Batch<E>, rng: &mut StdRng, findings: &mut Findings) {
    let classes = batch.rows.classes;
    for labels in rows::labels(&batch.rows, rng) {
        let targets = SoftmaxTargets::Index(Labels::from(&labels[..]));
        let weights = |row: usize| one_hot(classes, labels[row] as usize, 1.0);
        let bounds = [SOFTMAX_INDEX_LOSS, SOFTMAX_INDEX_GRADIENT];
        let zero_sum = Some(SOFTMAX_INDEX_GRADIENT_SUM);
        check(batch, targets, weights, Scale::Own, bounds, zero_sum, findings);
    }
}

/// With one weight per class.
pub(crate) fn dense<E: Checked>(batch: &Batch<E>, rng: &mut StdRng, findings: &mut Findings) {
    let classes = batch.rows.classes;
    for q in rows::dense(&batch.rows, rng) {
        let weights =
            |row: usize| q[row * classes..][..classes].iter().map(|&q| q.into()).collect();
        let bounds = [SOFTMAX_DENSE_LOSS, SOFTMAX_DENSE_GRADIENT];
        check(batch, SoftmaxTargets::Dense(&q), weights, Scale::Terms, bounds, None, findings);
    }
}

/// The scale of the gradient's error.
#[derive(Clone, Copy)]
enum Scale {
    /// Relative to the result.
    Own,
    /// Relative to the larger of the two terms that are subtracted.
    Terms,
}

/// Any loss of this form: `weights` are the targets of a row as the reference takes them.
fn check<E: Checked>(
    batch: &Batch<E>,
    targets: SoftmaxTargets<'_, E::Float>,
    weights: impl Fn(usize) -> Vec<f64>,
    scale: Scale,
    [loss_bound, gradient_bound]: [Bound; 2],
    zero_sum: Option<Bound>,
    findings: &mut Findings,
) {
    let Batch { rows, wide, distances, .. } = batch;
    let mut losses = Vec::with_capacity(wide.len());
    let mut gradients = Vec::with_capacity(rows.logits.len());
    for (row, (x, distances)) in wide.iter().zip(distances).enumerate() {
        let answer = E::Real::softmax_cross_entropy(x, &weights(row));
        losses.push(Answer { value: answer.loss, scale: 0.0, distance: distances.others });
        let mean = distances.mean.max(distances.others);
        for (class, distance) in distances.class.iter().enumerate() {
            let scale = match scale {
                Scale::Own => 0.0,
                Scale::Terms => answer.scale[class],
            };
            gradients.push(Answer {
                value: answer.grad[class] * batch.scale,
                scale: scale * batch.scale,
                distance: distance + mean,
            });
        }
    }
    Loss {
        logits: &rows.logits,
        run: &|level, buffers, losses| {
            SoftmaxBatch::new(buffers, rows.classes, targets)
                .and_then(|loss| loss.with_scale(batch.scale).with_losses(losses))
                .expect("a valid batch")
                .run(level)
        },
        loss_bound,
        losses,
        gradient_bound: gradient_bound.times(batch.scale),
        gradients,
        zero_sum,
        place: &|logit| rows.place(logit / rows.classes, logit % rows.classes),
    }
    .check(findings);
}
