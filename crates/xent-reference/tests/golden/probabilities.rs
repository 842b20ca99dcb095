//! Losses of probabilities and log-probabilities.

use xent_reference::golden::Case;
use xent_reference::probabilities;

use crate::answer::Answer;
use crate::cross_entropy::{class_weight, label, rows};

/// A mean divides by N.
pub(crate) fn multinomial_logistic(case: &Case) -> Answer {
    let mut answer = Answer::with_divisor(case.rows as f64);
    for (p, &y) in rows(case).zip(case.targets.index()) {
        let (loss, grad) = probabilities::multinomial_logistic(p, label(y));
        answer.push(loss, &grad);
    }
    answer
}

/// A mean divides by the sum of the `w_y`.
pub(crate) fn negative_log_likelihood(case: &Case) -> Answer {
    let mut answer = Answer::default();
    for (log_p, &y) in rows(case).zip(case.targets.index()) {
        let weight = class_weight(case, label(y));
        let (loss, grad) = probabilities::negative_log_likelihood(log_p, label(y), weight);
        answer.push(loss, &grad);
        answer.mean_divisor += weight;
    }
    answer
}

/// A mean divides by N·C.
pub(crate) fn logistic(case: &Case) -> Answer {
    let mut answer = Answer::with_divisor(case.input.len() as f64);
    for (&p, &y) in case.input.iter().zip(case.targets.dense()) {
        let (loss, gradient) = probabilities::logistic(p, y);
        answer.push(loss, &[gradient]);
    }
    answer
}
