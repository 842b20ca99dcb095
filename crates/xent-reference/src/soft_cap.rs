//! Cross-entropy of softly capped logits.
//!
//! Source: Gemma Team, "Gemma 2: Improving Open Language Models at a Practical Size", 2024
//! (arXiv:2408.00118), section 2 (logit soft-capping), after I. Bello et al., 2016.

use crate::softmax::{self, RowAnswer};

/// The softmax cross-entropy, against a target `q`, of one row of logits `x` limited to -c..c, for
/// a cap c > 0:
///
/// ```text
/// x'_j = c·tanh(x_j/c)
/// loss = cross_entropy(x', q)
/// gradient_j = [∂loss/∂x'_j]·(1 - (x'_j/c)²) = [∂loss/∂x'_j]·sech²(x_j/c)
/// ```
///
/// 1 - tanh² is computed as sech²(u) = 4e/(1+e)² with e = e^-2|u|, so it keeps all its digits where
/// tanh has rounded to 1. [`cross_entropy`](softmax::cross_entropy) states the accuracy of the
/// rest, for x' as rounded: the rounding of x' adds a relative error of c·2⁻⁵³ to an exponential.
///
/// [`scale`](RowAnswer::scale) is the scale of x' times sech²;
/// [`mean_distance`](RowAnswer::mean_distance) and [`max`](RowAnswer::max) are those of x'.
///
/// # Non-finite input
///
/// The cap applies to finite logits. -∞ stays -∞, an absent class, as everywhere else; +∞ stays +∞,
/// a certain class. (Gemma and the Liger kernels, which cap before they mask, give both the limit
/// ±c.) A finite mask such as -1e30 has no effect: its class keeps e^-c. A NaN in `x` or `q` makes
/// everything NaN.
///
/// # Panics
/// If `x` and `q` differ in length, or the cap is not positive and finite.
///
/// ```
/// use xent_reference::{soft_cap::{cap, cross_entropy}, softmax, targets::one_hot};
///
/// let (x, q) = ([40.0, -10.0], one_hot(2, 0, 1.0));
/// let answer = cross_entropy(&x, &q, 30.0);
/// assert_eq!(answer.loss, softmax::cross_entropy(&x.map(|x| cap(x, 30.0)), &q).loss);
/// ```
pub fn cross_entropy(x: &[f64], q: &[f64], cap: f64) -> RowAnswer {
    let capped: Vec<f64> = x.iter().map(|&x| self::cap(x, cap)).collect();
    let mut answer = softmax::cross_entropy(&capped, q);
    for (c, &x) in x.iter().enumerate() {
        let slope = slope(x, cap);
        answer.grad[c] *= slope;
        answer.scale[c] *= slope;
    }
    answer
}

/// x' = c·tanh(x/c): nearly x for small |x|, and never beyond ±c. ±∞ stays ±∞.
///
/// # Panics
/// If the cap is not positive and finite.
///
/// ```
/// use xent_reference::soft_cap::cap;
///
/// assert_eq!(cap(-1e30, 30.0), -30.0);
/// assert_eq!(cap(f64::NEG_INFINITY, 30.0), f64::NEG_INFINITY);
/// ```
pub fn cap(x: f64, cap: f64) -> f64 {
    check_cap(cap);
    if x.is_infinite() { x } else { cap * (x / cap).tanh() }
}

/// The derivative of [`cap`] by x, sech²(x/c) = 1 - tanh²(x/c): 1 at 0, and 1 at ±∞, which is not
/// capped.
///
/// # Panics
/// If the cap is not positive and finite.
///
/// ```
/// use xent_reference::soft_cap::slope;
///
/// assert_eq!(slope(0.0, 30.0), 1.0);
/// assert!(slope(600.0, 30.0) > 0.0); // tanh(20) = 1 in f64
/// ```
pub fn slope(x: f64, cap: f64) -> f64 {
    check_cap(cap);
    if x.is_infinite() {
        return 1.0;
    }
    let u = x.abs() / cap;
    if u.is_infinite() {
        return 0.0;
    }
    // The rounding error of the division would become a relative error of e.
    let lost = (-u).mul_add(cap, x.abs()) / cap;
    let e = (-2.0 * u).exp();
    let e = e - 2.0 * e * lost;
    4.0 * e / ((1.0 + e) * (1.0 + e))
}

#[track_caller]
fn check_cap(cap: f64) {
    assert!(cap > 0.0 && cap.is_finite(), "a cap of {cap}");
}

#[cfg(test)]
#[expect(clippy::excessive_precision, reason = "digits of the exact answer, not of a double")]
mod tests {
    use super::*;
    use crate::targets::{one_hot, smoothed};
    use crate::test::{assert_all_nan, assert_close, assert_gradient};

    const INF: f64 = f64::INFINITY;
    const X: [f64; 5] = [0.5, -1.25, 12.0, 0.0, -3.0];

    #[test]
    fn a_finite_logit_is_capped_even_if_its_quotient_is_infinite() {
        assert_eq!((cap(f64::MIN, 0.5), slope(f64::MIN, 0.5)), (-0.5, 0.0));
    }

    #[test]
    fn the_gradient_is_the_finite_difference_of_the_loss() {
        for cap in [0.5, 5.0, 30.0] {
            for q in [one_hot(5, 1, 2.0), smoothed(5, 2, 0.1, None)] {
                let answer = cross_entropy(&X, &q, cap);
                assert_gradient(&X, &answer.grad, |x| cross_entropy(x, &q, cap).loss);
            }
        }
    }

    #[test]
    fn a_high_cap_caps_nothing() {
        let q = one_hot(5, 0, 1.0);
        let (with, without) = (cross_entropy(&X, &q, 1e12), softmax::cross_entropy(&X, &q));
        assert_close(with.loss, without.loss, 1e-14);
        for c in 0..5 {
            assert_close(with.grad[c], without.grad[c], 1e-14);
        }
    }

    #[test]
    fn the_slope_is_one_less_the_square() {
        for x in [-7.0, -0.5, 0.0, 1.0, 4.0] {
            let capped = cap(x, 5.0);
            assert!((slope(x, 5.0) - (1.0 - (capped / 5.0).powi(2))).abs() < 4e-16);
        }
    }

    #[test]
    fn the_slope_matches_high_precision_arithmetic() {
        assert_close(slope(600.0, 30.0), 1.699_341_702_116_635_583_692_883e-17, 4e-16);
        assert_close(slope(-1000.0, 3.0), 1.181_422_912_106_440_179_263_258e-289, 8e-16);
    }

    #[test]
    fn a_confident_row_keeps_its_loss_and_its_gradient() {
        let answer = cross_entropy(&[600.0, -600.0], &[1.0, 0.0], 30.0);
        assert_close(answer.loss, (-60.0_f64).exp(), 1e-15);
        assert_close(answer.grad[0], -(-60.0_f64).exp() * slope(600.0, 30.0), 1e-15);
    }

    #[test]
    fn not_finite_infinite_logits_are_not_capped() {
        let q = one_hot(3, 1, 1.0);
        let capped = |x: [f64; 3]| cross_entropy(&x, &q, 5.0);
        let masked = capped([-INF, 1.0, 2.0]);
        assert_eq!(masked.loss, cross_entropy(&[1.0, 2.0], &[1.0, 0.0], 5.0).loss);
        assert_eq!(masked.grad[0], 0.0);
        assert_ne!(masked.loss, capped([-1e30, 1.0, 2.0]).loss);
        let certain = capped([INF, 1.0, 2.0]);
        assert_eq!((certain.loss, certain.grad), (INF, vec![1.0, -slope(1.0, 5.0), 0.0]));
        assert!(capped([-INF; 3]).loss.is_nan() && capped([INF, INF, 1.0]).loss.is_nan());
    }

    #[test]
    fn not_finite_any_nan_makes_the_row_nan() {
        for (x, q) in [([f64::NAN, 1.0], [1.0, 0.0]), ([1.0, 1.0], [f64::NAN, 0.0])] {
            let answer = cross_entropy(&x, &q, 5.0);
            assert!(answer.loss.is_nan());
            assert_all_nan(&answer.grad);
        }
    }

    #[test]
    #[should_panic(expected = "a cap of 0")]
    fn no_cap_is_refused() {
        cross_entropy(&[1.0], &[1.0], 0.0);
    }
}
