//! Focal losses, distillation, z-loss, soft cap and soft margin. None of the cases has a mean.

use xent_reference::golden::Case;
use xent_reference::softmax::{log_softmax, log_sum_exp, softmax};
use xent_reference::targets::one_hot;
use xent_reference::{
    distillation as distilled, focal, multilabel, soft_cap as capped, z_loss as z,
};

use crate::answer::{Answer, Number};
use crate::cross_entropy::{label, rows};

/// What a case of this loss cannot do without.
fn required(case: &Case, option: Option<f64>) -> f64 {
    option.unwrap_or_else(|| panic!("{}: the option of its loss is missing", case.id))
}

/// The peer takes 1 - p, which has an absolute error of one rounding of 1; so (1-p)^γ, and its
/// derivative in the gradient, have the errors of that argument.
pub(crate) fn softmax_focal(case: &Case) -> Answer {
    let gamma = required(case, case.options.gamma);
    let mut answer = Answer::default();
    for (x, &y) in rows(case).zip(case.targets.index()) {
        let y = label(y);
        let row = focal::softmax(x, y, gamma, 1.0);
        let (p, surprise) = (softmax(x), -log_softmax(x)[y]);
        let wrong: f64 = (0..p.len()).filter(|&c| c != y).map(|c| p[c]).sum();
        let power = Power { base: wrong, exponent: gamma };
        // ln p, as ln(1 + R), has an error of one rounding of 1 too.
        answer.push_row(&row, power.value() + power.slope() * surprise);
        let factor_terms = power.slope() + power.curvature() * p[y] * surprise;
        let grad = &mut answer.grad[answer.losses.len() * p.len() - p.len()..];
        for (c, number) in grad.iter_mut().enumerate() {
            number.terms += factor_terms * if c == y { 1.0 } else { p[c] };
        }
    }
    answer
}

/// The peer takes 1 - `p_t` for `p_t` = p·y + (1-p)·(1-y), so with an absolute error of one
/// rounding of 1.
pub(crate) fn sigmoid_focal(case: &Case) -> Answer {
    use xent_reference::sigmoid::{cross_entropy, sigmoid};
    let gamma = required(case, case.options.gamma);
    let alpha = case.options.alpha;
    let mut answer = Answer::default();
    for (&x, &y) in case.input.iter().zip(case.targets.dense()) {
        let (loss, gradient) = focal::sigmoid(x, y, gamma, alpha);
        let balance = alpha.map_or(1.0, |alpha| alpha * y + (1.0 - alpha) * (1.0 - y));
        let (plain, slope) = cross_entropy(x, y, 1.0);
        let (right, left) = (sigmoid(x), sigmoid(-x));
        let power = Power { base: (1.0 - y) * right + y * left, exponent: gamma };
        let loss_terms = power.slope() * plain;
        // The error of m reaches both terms; and the peer's m' is p·(1-p), with 1-p rounded.
        let grad_terms = power.slope() * (slope.abs() + right * plain)
            + power.curvature() * plain * (1.0 - 2.0 * y).abs() * left * right;
        answer.losses.push(Number { value: loss, terms: balance * loss_terms });
        answer.grad.push(Number { value: gradient, terms: balance * grad_terms });
    }
    answer
}

/// b^γ and the size of its derivatives by b: how far an error of b gets.
struct Power {
    base: f64,
    exponent: f64,
}

impl Power {
    fn value(&self) -> f64 {
        self.base.powf(self.exponent)
    }

    fn slope(&self) -> f64 {
        self.exponent * self.base.powf(self.exponent - 1.0)
    }

    fn curvature(&self) -> f64 {
        (self.exponent * (self.exponent - 1.0)).abs() * self.base.powf(self.exponent - 2.0)
    }
}

/// The peer sums q·(ln q - ln p), and multiplies by τ².
pub(crate) fn distillation(case: &Case) -> Answer {
    let temperature = required(case, case.options.temperature);
    let teachers = case.targets.teacher_logits().chunks_exact(case.classes);
    let mut answer = Answer::default();
    for (x, teacher) in rows(case).zip(teachers) {
        let row = distilled::divergence(x, teacher, temperature);
        let over = |x: &[f64]| x.iter().map(|x| x / temperature).collect::<Vec<_>>();
        let (log_p, log_q) = (log_softmax(&over(x)), log_softmax(&over(teacher)));
        let terms: f64 = log_p.iter().zip(&log_q).map(|(s, t)| t.exp() * (s.abs() + t.abs())).sum();
        answer.push_row(&row, temperature * temperature * terms);
    }
    answer
}

/// The peer takes lse as m + ln S, which has the errors of its terms.
pub(crate) fn z_loss(case: &Case) -> Answer {
    let lambda = required(case, case.options.z_loss);
    let mut answer = Answer::default();
    for (x, &y) in rows(case).zip(case.targets.index()) {
        let row = z::cross_entropy(x, &one_hot(case.classes, label(y), 1.0), lambda);
        let lse = log_sum_exp(x);
        let lse_terms = row.max.abs() + (lse - row.max);
        answer.push_row(&row, 1.0 + 2.0 * lambda * lse.abs() * lse_terms);
    }
    answer
}

/// The peer rounds c·tanh(x/c), and takes 1 - tanh²(x/c) of it.
pub(crate) fn soft_cap(case: &Case) -> Answer {
    let cap = required(case, case.options.soft_cap);
    let mut answer = Answer::default();
    for (x, &y) in rows(case).zip(case.targets.index()) {
        let q = one_hot(case.classes, label(y), 1.0);
        let row = capped::cross_entropy(x, &q, cap);
        answer.push_row(&row, 1.0);
        let grad = &mut answer.grad[answer.losses.len() * x.len() - x.len()..];
        for (number, &x) in grad.iter_mut().zip(x) {
            // The slope's error is one rounding of 1, and `terms` has the slope as a factor.
            number.terms /= capped::slope(x, cap);
        }
    }
    answer
}

/// One loss a row. The peer adds y·ln σ(x) and (1-y)·ln σ(-x), of one sign; its gradient is the
/// difference of σ and y.
pub(crate) fn soft_margin(case: &Case) -> Answer {
    let mut answer = Answer::default();
    for (x, y) in rows(case).zip(case.targets.dense().chunks_exact(case.classes)) {
        let (loss, grad) = multilabel::soft_margin(x, y, None);
        answer.losses.push(Number::clean(loss));
        let terms = 1.0 / case.classes as f64;
        answer.grad.extend(grad.into_iter().map(|value| Number { value, terms }));
    }
    answer
}
