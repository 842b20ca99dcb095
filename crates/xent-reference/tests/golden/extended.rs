//! Focal losses, distillation, z-loss, soft cap and soft margin. Their cases have no mean.

use xent_reference::golden::{Case, Reduction};
use xent_reference::targets::one_hot;
use xent_reference::{
    distillation as distilled, focal, multilabel, soft_cap as capped, softmax, z_loss as z,
};

use crate::answer::Answer;
use crate::cross_entropy::{label, rows};

/// One loss a row, from a function of the row's logits and label.
fn labelled_rows(case: &Case, loss: impl Fn(&[f64], usize) -> softmax::RowAnswer) -> Answer {
    let mut answer = no_mean(case);
    for (x, &y) in rows(case).zip(case.targets.index()) {
        let row = loss(x, label(y));
        answer.push(row.loss, &row.grad);
    }
    answer
}

fn no_mean(case: &Case) -> Answer {
    assert_ne!(case.options.reduction, Reduction::Mean, "{}: by what to divide", case.id);
    Answer::default()
}

/// An option that a case of this loss must have.
fn required(case: &Case, option: Option<f64>) -> f64 {
    option.unwrap_or_else(|| panic!("{}: the option of its loss is missing", case.id))
}

pub(crate) fn softmax_focal(case: &Case) -> Answer {
    let gamma = required(case, case.options.gamma);
    labelled_rows(case, |x, y| focal::softmax(x, y, gamma, 1.0))
}

/// One loss an element.
pub(crate) fn sigmoid_focal(case: &Case) -> Answer {
    let gamma = required(case, case.options.gamma);
    let mut answer = no_mean(case);
    for (&x, &y) in case.input.iter().zip(case.targets.dense()) {
        let (loss, gradient) = focal::sigmoid(x, y, gamma, case.options.alpha);
        answer.push(loss, &[gradient]);
    }
    answer
}

pub(crate) fn distillation(case: &Case) -> Answer {
    let temperature = required(case, case.options.temperature);
    let teachers = case.targets.teacher_logits().chunks_exact(case.classes);
    let mut answer = no_mean(case);
    for (x, teacher) in rows(case).zip(teachers) {
        let row = distilled::divergence(x, teacher, temperature);
        answer.push(row.loss, &row.grad);
    }
    answer
}

pub(crate) fn z_loss(case: &Case) -> Answer {
    let lambda = required(case, case.options.z_loss);
    labelled_rows(case, |x, y| z::cross_entropy(x, &one_hot(x.len(), y, 1.0), lambda))
}

pub(crate) fn soft_cap(case: &Case) -> Answer {
    let cap = required(case, case.options.soft_cap);
    labelled_rows(case, |x, y| capped::cross_entropy(x, &one_hot(x.len(), y, 1.0), cap))
}

/// One loss a row.
pub(crate) fn soft_margin(case: &Case) -> Answer {
    let mut answer = no_mean(case);
    for (x, y) in rows(case).zip(case.targets.dense().chunks_exact(case.classes)) {
        let (loss, grad) = multilabel::soft_margin(x, y, None);
        answer.push(loss, &grad);
    }
    answer
}
