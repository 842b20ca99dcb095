//! How close a result must be to the peer's.

use std::fmt;

use xent_reference::golden::{Case, Options, Reduction};

use crate::answer::{Answer, Number};

/// The allowed difference from the peer, relative to the result.
const TOLERANCE: f64 = 1e-12;

/// The peer computes in f64 too, but uses ln(1 + R), p - y and the like, so where a result is
/// nearly 0 the peer has lost digits (sometimes it returns 0 where the exact result is 1e-18). The
/// test allows for exactly that: this multiple of 2^-52 of the numbers that the *peer* subtracts.
/// Only the softmax and sigmoid cross-entropy have cases so confident that they need it.
const PEER_ROUNDINGS: f64 = 1.0;

/// How many numbers were compared, and how many of them needed [`PEER_ROUNDINGS`].
#[derive(Default)]
pub(crate) struct Counts {
    numbers: usize,
    lenient: usize,
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { numbers, lenient } = self;
        let strict = numbers - lenient;
        write!(f, "{numbers} numbers, {strict} of them within {TOLERANCE:e} of the peer's ")?;
        write!(f, "and {lenient} within the peer's own rounding")
    }
}

/// Compares one case completely.
pub(crate) fn compare(case: &Case, answer: &Answer, counts: &mut Counts) {
    let scale = match case.options.reduction {
        Reduction::Mean => 1.0 / answer.mean_divisor,
        Reduction::None | Reduction::Sum => 1.0,
    };
    let scaled = |numbers: &[Number]| numbers.iter().map(|n| n.times(scale)).collect::<Vec<_>>();
    let losses = match case.options.reduction {
        Reduction::None => answer.losses.clone(),
        Reduction::Sum | Reduction::Mean => {
            vec![answer.losses.iter().copied().fold(Number::default(), Number::plus)]
        }
    };
    // No `..`: every field of a case is compared.
    let Case {
        id: _,
        peer: _,
        loss: _,
        rows: _,
        classes: _,
        input: _,
        targets: _,
        options: _,
        value,
        grad,
        caffe_grad,
        row_values,
        hessian_exact,
        hessian_xgboost,
        hessian_lightgbm,
    } = case;
    let mut check = |what, ours: Option<Vec<Number>>, theirs: Option<&[f64]>| match (ours, theirs) {
        (Some(ours), Some(theirs)) => compare_numbers(case, what, &ours, theirs, counts),
        (None, None) => {}
        (ours, _) => panic!("{}: {what}, who has it? Us: {}", case.id, ours.is_some()),
    };
    check("loss", Some(scaled(&losses)), Some(value));
    check("gradient", Some(scaled(&answer.grad)), Some(grad));
    check("Caffe's gradient", answer.caffe_grad.as_deref().map(scaled), caffe_grad.as_deref());
    check("loss of a row", answer.row_values.clone(), row_values.as_deref());
    check("Hessian", answer.hessian_exact.clone(), hessian_exact.as_deref());
    check("Hessian of XGBoost", answer.hessian_xgboost.clone(), hessian_xgboost.as_deref());
    check("Hessian of LightGBM", answer.hessian_lightgbm.clone(), hessian_lightgbm.as_deref());
}

fn compare_numbers(case: &Case, what: &str, ours: &[Number], theirs: &[f64], counts: &mut Counts) {
    assert_eq!(ours.len(), theirs.len(), "{}: how many numbers of {what}", case.id);
    for (i, (&Number { value: got, terms }, &want)) in ours.iter().zip(theirs).enumerate() {
        let error = (got - want).abs();
        let strict = TOLERANCE * want.abs();
        let allowed = strict + PEER_ROUNDINGS * f64::EPSILON * terms;
        assert!(
            error <= allowed,
            "{} of {}: {what} {i} is {got:e}, the peer's {want:e}, {error:e} apart ({:.1} of the \
             terms' roundings)",
            case.id,
            case.peer,
            error / (f64::EPSILON * terms),
        );
        counts.numbers += 1;
        counts.lenient += usize::from(error > strict);
    }
}

/// Asserts that a case sets no options except those `used`.
pub(crate) fn check_options(case: &Case, used: &[&str]) {
    let Options {
        class_weights,
        sample_weights,
        pos_weight,
        label_smoothing,
        alpha,
        gamma,
        temperature,
        z_loss,
        soft_cap,
        ignore_index,
        reduction: _,
    } = &case.options;
    let set = [
        ("class_weights", class_weights.is_some()),
        ("sample_weights", sample_weights.is_some()),
        ("pos_weight", pos_weight.is_some()),
        ("label_smoothing", label_smoothing.is_some()),
        ("alpha", alpha.is_some()),
        ("gamma", gamma.is_some()),
        ("temperature", temperature.is_some()),
        ("z_loss", z_loss.is_some()),
        ("soft_cap", soft_cap.is_some()),
        ("ignore_index", ignore_index.is_some()),
    ];
    for (option, is_set) in set {
        assert!(!is_set || used.contains(&option), "{}: {option} would be ignored", case.id);
    }
}
