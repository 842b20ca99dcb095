//! The sigmoid cross-entropy.

use rand::Rng;
use rand::rngs::StdRng;
use xent_core::{Batch as _, SigmoidBatch};
use xent_reference::sigmoid::{cross_entropy, sigmoid};

use super::Batch;
use super::loss::Loss;
use crate::bounds::{Exact, SIGMOID_GRADIENT, SIGMOID_LOSS};
use crate::table::Findings;

/// With targets of any value in [0, 1], and with those of 0 and 1 alone.
pub(super) fn check(batch: &Batch, rng: &mut StdRng, findings: &mut Findings) {
    let soft: Vec<f32> = batch.rows.logits.iter().map(|_| rng.random()).collect();
    let hard: Vec<f32> = soft.iter().map(|y| y.round()).collect();
    for targets in [soft, hard] {
        check_targets(batch, &targets, findings);
    }
}

fn check_targets(batch: &Batch, targets: &[f32], findings: &mut Findings) {
    let logits = &batch.rows.logits;
    let (losses, gradients) = logits
        .iter()
        .zip(targets)
        .map(|(&x, &y)| {
            let (x, y) = (f64::from(x), f64::from(y));
            let (loss, gradient) = cross_entropy(x, y, 1.0);
            let terms = ((1.0 - y) * sigmoid(x)).max(y * sigmoid(-x));
            let (value, scale) = (gradient * batch.scale, terms * batch.scale);
            (Exact::new(loss), Exact { value, scale, distance: 0.0 })
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
        gradient_bound: SIGMOID_GRADIENT,
        gradients,
        place: &|i| format!("logit {:e}, target {:e}", logits[i], targets[i]),
    }
    .check(findings);
}
