//! Compares the module `exact` with arithmetic of 900 digits, and the `f64` oracle with `exact`.

use proptest::prelude::*;
use xent_reference::exact::{self, Exact};
use xent_reference::ulp::{error_at_f64, error_f64};
use xent_reference::{sigmoid, softmax};

/// Written by `golden/exact.py`, which describes the format.
const GOLDEN: &str = include_str!("../golden/exact.txt");

/// This crate's results for a line of the golden file.
fn answers(function: &str, x: &[f64]) -> Vec<Exact> {
    match function {
        "exp" => vec![exact::exp(x[0])],
        "ln" => vec![exact::ln(x[0])],
        "ln_1p" => vec![exact::ln_1p(x[0])],
        "sigmoid" => vec![exact::sigmoid::sigmoid(x[0])],
        "softplus" => vec![exact::sigmoid::softplus(x[0])],
        "sigmoid_cross_entropy" => {
            let (loss, gradient) = exact::sigmoid::cross_entropy(x[0], x[1], x[2]);
            vec![loss, gradient]
        }
        "log_sum_exp" => vec![exact::softmax::log_sum_exp(x)],
        "softmax" => exact::softmax::softmax(x),
        "log_softmax" => exact::softmax::log_softmax(x),
        "cross_entropy" => {
            let (x, q) = x.split_at(x.len() / 2);
            let answer = exact::softmax::cross_entropy(x, q);
            [vec![answer.loss], answer.grad].concat()
        }
        other => panic!("{other}"),
    }
}

/// The relative error of each result of a line of the golden file.
fn errors(line: &str) -> Vec<f64> {
    let [function, arguments, answers_wanted] = line.split(' ').collect::<Vec<_>>()[..] else {
        panic!("not three fields: {line}")
    };
    let arguments: Vec<f64> = arguments.split(',').map(number).collect();
    let wanted: Vec<Exact> = answers_wanted.split(',').map(wide_number).collect();
    let got = answers(function, &arguments);
    assert_eq!(got.len(), wanted.len(), "{line}");
    let error = |(got, want): (Exact, Exact)| ((got - want) / want).abs().to_f64();
    got.into_iter().zip(wanted).map(error).collect()
}

fn number(bits: &str) -> f64 {
    f64::from_bits(u64::from_str_radix(bits, 16).expect("the bits of an f64"))
}

fn wide_number(parts: &str) -> Exact {
    let [hi, lo, power] = parts.split(':').collect::<Vec<_>>()[..] else {
        panic!("not three parts: {parts}")
    };
    (Exact::from(number(hi)) + number(lo)).scaled(power.parse().expect("a power of two"))
}

#[test]
fn every_answer_agrees_with_arithmetic_of_900_digits() {
    for line in GOLDEN.lines() {
        for error in errors(line) {
            assert!(error < 1e-28, "{error:e} off: {line}");
        }
    }
}

/// One to 39 logits, close together or as far apart as possible with normal exponentials, and as
/// many targets, about half of them zero.
fn row() -> impl Strategy<Value = (Vec<f64>, Vec<f64>)> {
    let target = prop_oneof![Just(0.0), 0.0..3.0_f64];
    let cells = prop::collection::vec((-1.0..1.0_f64, target), 1..40);
    (cells, prop_oneof![Just(1.0), Just(30.0), Just(340.0)])
        .prop_map(|(cells, spread)| cells.into_iter().map(|(x, q)| (spread * x, q)).unzip())
}

fn within(units: f64, error: f64) -> Result<(), TestCaseError> {
    prop_assert!(error <= units, "{error} units");
    Ok(())
}

proptest! {
    #[test]
    fn the_f64_oracle_is_a_few_units_off((x, q) in row()) {
        let (got, exact) = (softmax::cross_entropy(&x, &q), exact::softmax::cross_entropy(&x, &q));
        within(4.0, error_f64(got.loss, exact.loss))?;
        for c in 0..x.len() {
            within(4.0, error_at_f64(got.grad[c], exact.grad[c], exact.scale[c]))?;
            within(4.0, error_f64(got.scale[c], exact.scale[c].into()))?;
        }
    }

    #[test]
    fn so_are_its_softmax_and_its_logarithm((x, _) in row()) {
        for (got, exact) in softmax::softmax(&x).into_iter().zip(exact::softmax::softmax(&x)) {
            within(4.0, error_f64(got, exact))?;
        }
        let logarithms = softmax::log_softmax(&x).into_iter().zip(exact::softmax::log_softmax(&x));
        for (got, exact) in logarithms {
            within(4.0, error_f64(got, exact))?;
        }
        let scale = x.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let exact = exact::softmax::log_sum_exp(&x);
        within(4.0, error_at_f64(softmax::log_sum_exp(&x), exact, scale))?;
    }

    #[test]
    fn so_is_its_sigmoid(x in -750.0..750.0_f64, y in 0.0..1.0_f64, pos_weight in 0.0..5.0_f64) {
        within(4.0, error_f64(sigmoid::sigmoid(x), exact::sigmoid::sigmoid(x)))?;
        within(4.0, error_f64(sigmoid::softplus(x), exact::sigmoid::softplus(x)))?;
        let (loss, gradient) = sigmoid::cross_entropy(x, y, pos_weight);
        let exact = exact::sigmoid::cross_entropy(x, y, pos_weight);
        within(4.0, error_f64(loss, exact.0))?;
        let scale = f64::max((1.0 - y) * sigmoid::sigmoid(x), y * pos_weight * sigmoid::sigmoid(-x));
        within(4.0, error_at_f64(gradient, exact.1, scale))?;
    }
}
