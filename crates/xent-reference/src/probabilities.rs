//! Losses of probabilities or of their logarithms: no activation inside.
//!
//! If you have logits, prefer the losses of [`softmax`](crate::softmax) and
//! [`sigmoid`](crate::sigmoid): a probability near 1 has lost the digits that its loss depends on.

use crate::times;

/// The smallest probability whose logarithm [`multinomial_logistic`] takes.
pub const MULTINOMIAL_FLOOR: f64 = 1e-20;

/// The smallest logarithm of a probability that [`logistic`] counts.
pub const LOGARITHM_FLOOR: f64 = -100.0;

/// The smallest p(1-p) that the gradient of [`logistic`] divides by: 1e-12 in single precision,
/// which PyTorch uses in double precision too.
pub const LOGISTIC_FLOOR: f64 = 1e-12_f32 as f64;

/// The multinomial logistic loss of one row of C probabilities `p` with the label `y`: (loss, its
/// derivative by each probability).
///
/// ```text
/// loss = -ln max(p_y, 1e-20)
/// gradient_c = -[c = y]/max(p_y, 1e-20)
/// ```
///
/// Caffe's `MultinomialLogisticLoss` layer. The gradient is that of `-ln p_y`, and constant below
/// the floor. A NaN `p_y` makes the loss and its gradient NaN; the other probabilities do not
/// matter.
///
/// # Panics
/// If `y` is not below C.
///
/// ```
/// use xent_reference::probabilities::multinomial_logistic;
///
/// let (loss, gradient) = multinomial_logistic(&[0.25, 0.5, 0.25], 1);
/// assert_eq!((loss, gradient), (2.0_f64.ln(), vec![0.0, -2.0, 0.0]));
/// ```
pub fn multinomial_logistic(p: &[f64], y: usize) -> (f64, Vec<f64>) {
    check_label(p, y);
    let floored = floored(p[y], MULTINOMIAL_FLOOR);
    let mut grad = vec![0.0; p.len()];
    grad[y] = -1.0 / floored;
    // Subtracted from zero, so that a certain class has 0, not -0.
    (0.0 - floored.ln(), grad)
}

/// The negative log-likelihood of one row of C log-probabilities with the label `y`, times the
/// `weight` of its class: (loss, its derivative by each log-probability).
///
/// ```text
/// loss = -w_y·lp_y
/// gradient_c = -w_y·[c = y]
/// ```
///
/// PyTorch's `nll_loss`, ONNX's `NegativeLogLikelihoodLoss`. The caller computes the divisor of a
/// mean, which in these is the sum of the `w_y`. A log-probability of -∞ costs +∞, or nothing if
/// the weight is zero; a NaN at `y` makes the loss NaN, and the gradient does not depend on it.
///
/// # Panics
/// If `y` is not below C.
///
/// ```
/// use xent_reference::probabilities::negative_log_likelihood;
///
/// let (loss, gradient) = negative_log_likelihood(&[-0.5, -1.5], 1, 2.0);
/// assert_eq!((loss, gradient), (3.0, vec![0.0, -2.0]));
/// ```
pub fn negative_log_likelihood(log_p: &[f64], y: usize, weight: f64) -> (f64, Vec<f64>) {
    check_label(log_p, y);
    let mut grad = vec![0.0; log_p.len()];
    grad[y] = 0.0 - weight;
    (0.0 - times(weight, log_p[y]), grad)
}

/// The logistic loss (binary cross-entropy, log loss) of one probability `p` for a target `y` in
/// 0..=1: (loss, its derivative by `p`).
///
/// ```text
/// loss = -y·max(ln p, -100) - (1-y)·max(ln1p(-p), -100)
/// gradient = (p - y)/max(p·(1-p), 1e-12)
/// ```
///
/// PyTorch's `binary_cross_entropy`, including the floors; its 1e-12 is the single-precision floor,
/// [`LOGISTIC_FLOOR`]. Above the floors the gradient is exact; at p = 0 or 1 it is large and
/// finite. A NaN anywhere makes both NaN.
///
/// The loss has non-negative terms and full relative accuracy for the `p` given.
///
/// # Panics
/// If `p` is outside 0..=1.
///
/// ```
/// use xent_reference::probabilities::logistic;
///
/// assert_eq!(logistic(0.5, 1.0), (2.0_f64.ln(), -2.0));
/// assert_eq!(logistic(0.0, 1.0).0, 100.0);
/// ```
pub fn logistic(p: f64, y: f64) -> (f64, f64) {
    if p.is_nan() || y.is_nan() {
        return (f64::NAN, f64::NAN);
    }
    assert!((0.0..=1.0).contains(&p), "a probability of {p}");
    let yes = -p.ln().max(LOGARITHM_FLOOR);
    let no = -(-p).ln_1p().max(LOGARITHM_FLOOR);
    let gradient = (p - y) / (p * (1.0 - p)).max(LOGISTIC_FLOOR);
    (y * yes + (1.0 - y) * no, gradient)
}

/// max(p, floor), NaN for a NaN.
fn floored(p: f64, floor: f64) -> f64 {
    if p.is_nan() { p } else { p.max(floor) }
}

#[track_caller]
fn check_label(row: &[f64], y: usize) {
    assert!(y < row.len(), "label {y} of {} classes", row.len());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sigmoid;
    use crate::softmax::{cross_entropy, log_softmax, softmax};
    use crate::targets::one_hot;
    use crate::test::{assert_close, assert_gradient};

    const INF: f64 = f64::INFINITY;
    const X: [f64; 4] = [0.5, -1.25, 2.0, 0.0];

    #[test]
    fn the_gradient_is_the_finite_difference_of_the_loss() {
        let p = [0.2, 0.5, 0.3];
        for y in 0..3 {
            assert_gradient(&p, &multinomial_logistic(&p, y).1, |p| multinomial_logistic(p, y).0);
            let (_, grad) = negative_log_likelihood(&p, y, 3.0);
            assert_gradient(&p, &grad, |p| negative_log_likelihood(p, y, 3.0).0);
        }
        for p in [0.2, 0.5, 0.8] {
            for y in [0.0, 0.3, 1.0] {
                assert_gradient(&[p], &[logistic(p, y).1], |p| logistic(p[0], y).0);
            }
        }
    }

    #[test]
    fn of_a_softmax_it_is_the_cross_entropy() {
        for y in 0..4 {
            let want = cross_entropy(&X, &one_hot(4, y, 1.0)).loss;
            assert_close(multinomial_logistic(&softmax(&X), y).0, want, 1e-14);
            assert_close(negative_log_likelihood(&log_softmax(&X), y, 1.0).0, want, 1e-15);
        }
    }

    #[test]
    fn of_a_sigmoid_it_is_the_binary_cross_entropy() {
        for x in X {
            for y in [0.0, 0.25, 1.0] {
                let (want, slope) = sigmoid::cross_entropy(x, y, 1.0);
                let p = sigmoid::sigmoid(x);
                let (loss, gradient) = logistic(p, y);
                assert_close(loss, want, 1e-14);
                assert_close(gradient * p * (1.0 - p), slope, 1e-14);
            }
        }
    }

    #[test]
    fn two_classes_are_one_probability() {
        for (p, y) in [(0.125, 0), (0.125, 1), (0.75, 0)] {
            let two = multinomial_logistic(&[p, 1.0 - p], y).0;
            assert_close(two, logistic(p, if y == 0 { 1.0 } else { 0.0 }).0, 1e-15);
        }
    }

    #[test]
    fn impossible_targets_have_a_bound() {
        let (loss, grad) = multinomial_logistic(&[0.0, 1.0], 0);
        assert_close(loss, 20.0 * 10.0_f64.ln(), 1e-15);
        assert_close(grad[0], -1e20, 1e-15);
        assert_eq!(multinomial_logistic(&[0.0, 1.0], 1), (0.0, vec![0.0, -1.0]));
        assert!(multinomial_logistic(&[0.0, 1.0], 1).0.is_sign_positive());
        assert_eq!(logistic(0.0, 1.0), (100.0, -1.0 / LOGISTIC_FLOOR));
        assert_eq!(logistic(1.0, 0.0), (100.0, 1.0 / LOGISTIC_FLOOR));
        assert_eq!(logistic(1.0, 1.0), (0.0, 0.0));
        assert_eq!(logistic(0.0, 0.0), (0.0, 0.0));
    }

    #[test]
    fn a_small_probability_keeps_the_loss_of_its_opposite() {
        assert_close(logistic(1e-30, 0.0).0, 1e-30, 1e-15);
    }

    #[test]
    fn not_finite_inputs() {
        assert_eq!(negative_log_likelihood(&[-INF, 0.0], 0, 1.0), (INF, vec![-1.0, 0.0]));
        assert_eq!(negative_log_likelihood(&[-INF, 0.0], 0, 0.0).0, 0.0);
        assert_eq!(negative_log_likelihood(&[-INF, 0.0], 1, 1.0).0, 0.0);
        assert!(negative_log_likelihood(&[f64::NAN, 0.0], 0, 1.0).0.is_nan());
        let (loss, grad) = multinomial_logistic(&[f64::NAN, 0.5], 0);
        assert!(loss.is_nan() && grad[0].is_nan());
        assert!(logistic(f64::NAN, 0.0).0.is_nan() && logistic(0.5, f64::NAN).1.is_nan());
    }

    #[test]
    #[should_panic(expected = "a probability of 1.5")]
    fn more_than_certain_is_refused() {
        logistic(1.5, 1.0);
    }

    #[test]
    #[should_panic(expected = "label 2 of 2 classes")]
    fn a_label_past_the_last_class_is_refused() {
        negative_log_likelihood(&[-1.0, -1.0], 2, 1.0);
    }
}
