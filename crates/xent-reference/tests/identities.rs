//! Identities that hold for every row.

use proptest::prelude::*;
use xent_reference::sigmoid;
use xent_reference::softmax::{cross_entropy, log_softmax, log_sum_exp, softmax};
use xent_reference::targets::one_hot;

/// Logits on a grid of 2^-10, so that adding or subtracting a few of them is exact.
fn logit() -> impl Strategy<Value = f64> {
    (-60_000_i32..60_000).prop_map(|n| f64::from(n) / 1024.0)
}

/// One to 39 logits, and as many targets, about half of them zero.
fn row() -> impl Strategy<Value = (Vec<f64>, Vec<f64>)> {
    let target = prop_oneof![Just(0.0), 0.0..3.0_f64];
    prop::collection::vec((logit(), target), 1..40).prop_map(|row| row.into_iter().unzip())
}

fn close(got: f64, want: f64, tolerance: f64) -> Result<(), TestCaseError> {
    prop_assert!((got - want).abs() <= tolerance, "{got:e} is not {want:e}");
    Ok(())
}

proptest! {
    #[test]
    fn probabilities_sum_to_one((x, _) in row()) {
        close(softmax(&x).iter().sum(), 1.0, 1e-14)?;
    }

    #[test]
    fn log_softmax_is_the_logarithm_of_softmax((x, _) in row()) {
        for (p, s) in softmax(&x).into_iter().zip(log_softmax(&x)) {
            close(s.exp(), p, 1e-13 * p)?;
        }
    }

    #[test]
    fn the_gradient_sums_to_zero((x, q) in row()) {
        let total: f64 = q.iter().sum();
        close(cross_entropy(&x, &q).grad.iter().sum(), 0.0, 1e-14 * total)?;
    }

    #[test]
    fn the_loss_is_never_negative((x, q) in row()) {
        prop_assert!(cross_entropy(&x, &q).loss >= 0.0);
    }

    #[test]
    fn a_shift_of_the_row_changes_nothing_but_its_log_sum_exp((x, q) in row(), shift in logit()) {
        let moved: Vec<f64> = x.iter().map(|v| v + shift).collect();
        let (here, there) = (cross_entropy(&x, &q), cross_entropy(&moved, &q));
        prop_assert_eq!(here.loss, there.loss);
        prop_assert_eq!(here.grad, there.grad);
        prop_assert_eq!(here.max + shift, there.max);
        let bound = 1e-15 * (1.0 + here.max.abs() + shift.abs());
        close(log_sum_exp(&moved), log_sum_exp(&x) + shift, bound)?;
    }

    #[test]
    fn the_answer_is_linear_in_the_target((x, q) in row(), factor in 0.1..10.0_f64) {
        let scaled: Vec<f64> = q.iter().map(|q| factor * q).collect();
        let (one, many) = (cross_entropy(&x, &q), cross_entropy(&x, &scaled));
        close(many.loss, factor * one.loss, 1e-14 * many.loss)?;
        for c in 0..x.len() {
            close(many.grad[c], factor * one.grad[c], 1e-14 * many.scale[c])?;
        }
    }

    #[test]
    fn the_gradient_is_that_of_the_textbook((x, q) in row()) {
        let (answer, p) = (cross_entropy(&x, &q), softmax(&x));
        let total: f64 = q.iter().sum();
        for c in 0..x.len() {
            close(answer.grad[c], total * p[c] - q[c], 1e-14 * answer.scale[c])?;
        }
    }

    #[test]
    fn two_classes_are_one_sigmoid(a in logit(), b in logit()) {
        // The probability of the first of two classes is the sigmoid of their difference.
        for y in [0, 1] {
            let two = cross_entropy(&[a, b], &one_hot(2, y, 1.0));
            let (loss, gradient) = sigmoid::cross_entropy(a - b, 1.0 - y as f64, 1.0);
            close(two.loss, loss, 1e-14 * loss)?;
            close(two.grad[0], gradient, 1e-14 * gradient.abs())?;
            close(two.grad[1], -gradient, 1e-14 * gradient.abs())?;
        }
    }

    #[test]
    fn two_classes_are_one_sigmoid_for_a_dense_target(
        x in logit(), y in 0.0..1.0_f64, pos_weight in 0.0..5.0_f64,
    ) {
        let two = cross_entropy(&[x, 0.0], &[y * pos_weight, 1.0 - y]);
        let (loss, gradient) = sigmoid::cross_entropy(x, y, pos_weight);
        close(two.loss, loss, 1e-14 * loss)?;
        close(two.grad[0], gradient, 1e-14 * two.scale[0])?;
    }

    #[test]
    fn the_sigmoid_loss_of_the_other_label_is_that_of_the_other_sign(x in logit()) {
        let (loss, gradient) = sigmoid::cross_entropy(x, 1.0, 1.0);
        prop_assert_eq!(sigmoid::cross_entropy(-x, 0.0, 1.0), (loss, -gradient));
    }
}
