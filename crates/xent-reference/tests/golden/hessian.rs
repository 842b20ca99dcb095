//! Second derivatives. The peers take 1 - p, which has an absolute error of one rounding of 1.

use xent_reference::golden::{Case, Loss};
use xent_reference::{hessian, sigmoid, softmax};

use crate::answer::{Answer, Number};
use crate::cross_entropy::{class_weight, rows};

pub(crate) fn add(case: &Case, answer: &mut Answer) {
    match case.loss {
        Loss::Softmax => add_softmax(case, answer),
        Loss::Sigmoid => answer.hessian_exact = Some(of_sigmoid(case)),
        other => panic!("{}: no Hessian of {other:?}", case.id),
    }
}

fn add_softmax(case: &Case, answer: &mut Answer) {
    // The cases weigh rows and nothing else.
    assert!(case.options.class_weights.is_none() && case.options.ignore_index.is_none());
    let (mut exact, mut xgboost, mut lightgbm) = (Vec::new(), Vec::new(), Vec::new());
    for (n, x) in rows(case).enumerate() {
        let weight = case.options.sample_weights.as_ref().map_or(1.0, |weights| weights[n]);
        let factor = case.classes as f64 / (case.classes as f64 - 1.0);
        let p = softmax::softmax(x);
        let with_terms = |values: Vec<f64>, factor: f64| {
            let numbers = values.into_iter().zip(&p);
            numbers
                .map(|(value, p)| Number { value, terms: factor * weight * p })
                .collect::<Vec<_>>()
        };
        exact.extend(with_terms(hessian::exact(x, weight), 1.0));
        xgboost.extend(with_terms(hessian::xgboost(x, weight), 2.0));
        lightgbm.extend(with_terms(hessian::lightgbm(x, weight), factor));
    }
    answer.hessian_exact = Some(exact);
    answer.hessian_xgboost = Some(xgboost);
    answer.hessian_lightgbm = Some(lightgbm);
}

fn of_sigmoid(case: &Case) -> Vec<Number> {
    let elements = case.input.iter().zip(case.targets.dense()).enumerate();
    let numbers = elements.map(|(i, (&x, &y))| {
        let c = i % case.classes;
        let weight = class_weight(case, c);
        let pos_weight = case.options.pos_weight.as_ref().map_or(1.0, |weights| weights[c]);
        let value = hessian::sigmoid(x, y, pos_weight, weight);
        let a = 1.0 + (pos_weight - 1.0) * y;
        Number { value, terms: weight * a * sigmoid::sigmoid(x) }
    });
    numbers.collect()
}
