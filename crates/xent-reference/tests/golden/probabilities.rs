//! Losses of probabilities and log-probabilities. The peers' formulas are the crate's: nothing
//! cancels that does not here.

use xent_reference::golden::Case;
use xent_reference::probabilities;

use crate::answer::{Answer, Number};
use crate::cross_entropy::{class_weight, label, rows};

/// A mean divides by N.
pub(crate) fn multinomial_logistic(case: &Case) -> Answer {
    let mut answer = Answer::with_divisor(case.rows as f64);
    for (p, &y) in rows(case).zip(case.targets.index()) {
        push(&mut answer, probabilities::multinomial_logistic(p, label(y)));
    }
    answer
}

/// A mean divides by the sum of the `w_y`.
pub(crate) fn negative_log_likelihood(case: &Case) -> Answer {
    let mut answer = Answer::default();
    for (log_p, &y) in rows(case).zip(case.targets.index()) {
        let weight = class_weight(case, label(y));
        push(&mut answer, probabilities::negative_log_likelihood(log_p, label(y), weight));
        answer.mean_divisor += weight;
    }
    answer
}

/// A mean divides by N·C.
pub(crate) fn logistic(case: &Case) -> Answer {
    let mut answer = Answer::with_divisor(case.input.len() as f64);
    for (&p, &y) in case.input.iter().zip(case.targets.dense()) {
        let (loss, gradient) = probabilities::logistic(p, y);
        push(&mut answer, (loss, vec![gradient]));
    }
    answer
}

fn push(answer: &mut Answer, (loss, grad): (f64, Vec<f64>)) {
    answer.losses.push(Number::clean(loss));
    answer.grad.extend(grad.into_iter().map(Number::clean));
}
