//! The reference for one element of a sigmoid loss, and for the input of a label.

use xent_reference::{focal, hessian, probabilities, sigmoid};

use crate::answer::{Answer, Tolerance};
use crate::losses::LossName;

/// An element without its weight.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ElementAnswers {
    pub(crate) loss: Answer,
    pub(crate) gradient: Answer,
    pub(crate) curvature: Answer,
}

/// The focal parameters of a loss, if it has any.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Focus {
    pub(crate) gamma: f64,
    pub(crate) alpha: Option<f64>,
}

pub(crate) fn element(
    loss: LossName,
    (x, y): (f64, f64),
    positive: f64,
    focus: Focus,
    tolerance: Tolerance,
) -> ElementAnswers {
    let anything = Answer::ANYTHING;
    if x.is_nan() {
        let nan = Answer::exact(f64::NAN);
        return ElementAnswers { loss: nan, gradient: nan, curvature: nan };
    }
    if !(0.0..=1.0).contains(&y) {
        return ElementAnswers { loss: anything, gradient: anything, curvature: anything };
    }
    let (value, gradient, scale, ulp) = if loss == LossName::LogisticLoss {
        let (yes, of_yes) = probabilities::logistic(x, 1.0);
        let (no, of_no) = probabilities::logistic(x, 0.0);
        let (of_yes, of_no) = (positive * y * of_yes, (1.0 - y) * of_no);
        let scale = of_yes.abs().max(of_no.abs());
        (positive * y * yes + (1.0 - y) * no, of_yes + of_no, scale, 10.0)
    } else {
        let (right, left) = (sigmoid::sigmoid(x), sigmoid::sigmoid(-x));
        let (value, gradient) = sigmoid::cross_entropy(x, y, positive);
        let scale = ((1.0 - y) * right).max(y * positive * left);
        if focus.gamma != 0.0 || focus.alpha.is_some() {
            return focal(x, y, positive, focus, (value, gradient, scale), tolerance);
        }
        (value, gradient, scale, 7.0)
    };
    // The weight multiplies what may have been rounded below the least normal number.
    let weighted = |answer: Answer| answer.widened(64.0 * tolerance.format.spacing(0.0) * positive);
    let mut of_loss = weighted(tolerance.near(value, 0.0, ulp));
    let mut gradient = weighted(tolerance.near(gradient, scale, ulp));
    if value.is_finite() && y > 0.0 && y * positive < tolerance.least_normal() {
        // The product is rounded with the spacing of subnormal numbers, however large what it multiplies.
        let (loss_of_yes, slope_of_yes) = match loss {
            LossName::LogisticLoss => probabilities::logistic(x, 1.0),
            _ => (x, 1.0),
        };
        of_loss.allowed += tolerance.format.spacing(0.0) * loss_of_yes.abs();
        gradient.allowed += tolerance.format.spacing(0.0) * slope_of_yes.abs();
    }
    ElementAnswers {
        loss: of_loss,
        gradient,
        curvature: weighted(tolerance.near(hessian::sigmoid(x, y, positive, 1.0), 0.0, 20.0)),
    }
}

fn focal(
    x: f64,
    y: f64,
    positive: f64,
    Focus { gamma, alpha }: Focus,
    (entropy, slope, scale): (f64, f64, f64),
    tolerance: Tolerance,
) -> ElementAnswers {
    // The power of what is wrong may make a loss small again that has overflowed.
    let grown = gamma.max(1.0) * entropy;
    if tolerance.overflows(grown) || grown.is_infinite() && x.is_finite() {
        let anything = Answer::ANYTHING;
        return ElementAnswers { loss: anything, gradient: anything, curvature: anything };
    }
    let (right, left) = (sigmoid::sigmoid(x), sigmoid::sigmoid(-x));
    let wrong = (1.0 - y) * right + y * left;
    let relative = if y == 0.0 {
        left
    } else if y == 1.0 {
        -right
    } else {
        (1.0 - 2.0 * y) * right * left / wrong
    };
    let balance = alpha.map_or(1.0, |alpha| alpha * y + (1.0 - alpha) * (1.0 - y));
    let factor = balance * wrong.powf(gamma);
    let growth = if relative == 0.0 { 0.0 } else { gamma * entropy * relative };
    // The reference has no positive weight.
    let (value, gradient) = if positive == 1.0 {
        focal::sigmoid(x, y, gamma, alpha)
    } else {
        let value = if factor == 0.0 { 0.0 } else { factor * entropy };
        (value, factor * (slope + growth))
    };
    let logarithm = if wrong > 0.0 { -wrong.ln() } else { 0.0 };
    let ulp = 12.0 + gamma * (16.0 + 4.0 * logarithm.min(tolerance.vanishing()));
    let scale = factor * scale.max(growth.abs());
    let scale = if scale.is_finite() { scale } else { 0.0 };
    let absolute =
        |answer: Answer| answer.widened(256.0 * tolerance.format.spacing(0.0) * (1.0 + positive));
    let second = hessian::focal_sigmoid(x, y, positive, gamma, alpha);
    ElementAnswers {
        loss: absolute(tolerance.near(value, 0.0, ulp)),
        gradient: absolute(tolerance.near(gradient, scale, ulp)),
        curvature: absolute(tolerance.near(second.value, second.scale, 2.0 * ulp + 20.0)),
    }
}

/// The loss of a row and its derivative by the input of the label.
pub(crate) fn picked(loss: LossName, input: f64, tolerance: Tolerance) -> (Answer, Answer) {
    let (value, gradient) = match loss {
        LossName::MultinomialLogistic => probabilities::multinomial_logistic(&[input], 0),
        _ => probabilities::negative_log_likelihood(&[input], 0, 1.0),
    };
    (tolerance.near(value, 0.0, 3.0), tolerance.near(gradient[0], 0.0, 3.0))
}
