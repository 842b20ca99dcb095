//! Second derivatives. The only option of the cases is a weight for each row.

use xent_reference::golden::{Case, Loss};
use xent_reference::hessian;

use crate::answer::{Answer, Number};
use crate::cross_entropy::rows;

pub(crate) fn add(case: &Case, answer: &mut Answer) {
    let options = &case.options;
    assert!(options.class_weights.is_none() && options.pos_weight.is_none());
    assert!(options.ignore_index.is_none() && options.label_smoothing.is_none());
    match case.loss {
        Loss::Softmax => {
            answer.hessian_exact = Some(of_rows(case, hessian::exact));
            answer.hessian_xgboost = Some(of_rows(case, hessian::xgboost));
            answer.hessian_lightgbm = Some(of_rows(case, hessian::lightgbm));
        }
        Loss::Sigmoid => {
            let elements = case.input.iter().zip(case.targets.dense());
            let second = elements.map(|(&x, &y)| hessian::sigmoid(x, y, 1.0, 1.0));
            answer.hessian_exact = Some(second.map(Number::clean).collect());
        }
        other => panic!("{}: no Hessian of {other:?}", case.id),
    }
}

fn of_rows(case: &Case, convention: fn(&[f64], f64) -> Vec<f64>) -> Vec<Number> {
    let weight = |n: usize| case.options.sample_weights.as_ref().map_or(1.0, |weights| weights[n]);
    let second = rows(case).enumerate().flat_map(|(n, x)| convention(x, weight(n)));
    second.map(Number::clean).collect()
}
