//! The sigmoid cross-entropy.

use rand::Rng;
use rand::rngs::StdRng;
use xent_core::{Batch as _, SigmoidBatch};
use xent_reference::sigmoid::sigmoid;

use super::Batch;
use super::loss::Loss;
use crate::bounds::{Answer, SIGMOID_GRADIENT, SIGMOID_LOSS};
use crate::format::{Checked, Real};
use crate::table::Findings;

/// With any targets in [0, 1], with small ones, and with 0 and 1 only.
pub(crate) fn check<E: Checked>(batch: &Batch<E>, rng: &mut StdRng, findings: &mut Findings) {
    let soft: Vec<f64> = batch.rows.logits.iter().map(|_| rng.random()).collect();
    for of in [|y| y, |y: f64| y.powi(8), f64::round] {
        let targets: Vec<E::Float> = soft.iter().map(|&y| E::float(of(y))).collect();
        check_targets(batch, &targets, findings);
    }
}

fn check_targets<E: Checked>(batch: &Batch<E>, targets: &[E::Float], findings: &mut Findings) {
    let logits = &batch.rows.logits;
    let (losses, gradients) = logits
        .iter()
        .zip(targets)
        .map(|(&x, &y)| {
            let (x, y) = (x.wide(), y.into());
            let (loss, gradient) = E::Real::sigmoid_cross_entropy(x, y);
            let terms = ((1.0 - y) * sigmoid(x)).max(y * sigmoid(-x));
            let (value, scale) = (gradient * batch.scale, terms * batch.scale);
            (Answer::new(loss), Answer { value, scale, distance: 0.0 })
        })
        .unzip();
    Loss {
        logits,
        run: &|level, buffers, losses| {
            SigmoidBatch::new(buffers, targets)
                .and_then(|loss| loss.with_scale(batch.scale).with_losses(losses))
                .expect("a valid batch")
                .run(level)
        },
        loss_bound: SIGMOID_LOSS,
        losses,
        gradient_bound: SIGMOID_GRADIENT.times(batch.scale),
        gradients,
        zero_sum: None,
        place: &|i| format!("logit {:e}, target {:e}", logits[i], targets[i]),
    }
    .check(findings);
}
