//! The focal loss: a cross-entropy that gives less weight to well-classified examples.
//!
//! Source: T.-Y. Lin et al., "Focal Loss for Dense Object Detection", ICCV 2017.
//!
//! The focusing exponent γ is finite and not negative; at 0 the loss is the cross-entropy.

use crate::row::Row;
use crate::sigmoid::{self, sigmoid as sigma};
use crate::softmax::{RowAnswer, undefined};
use crate::times;

/// The focal loss of the softmax of one row of C logits `x` with the label `y`, times `weight` (of
/// the class, the row or both). With p = softmax(x) and `r = 1 - p_y`:
///
/// ```text
/// loss = -w·r^γ·ln p_y
/// gradient_c = w·F·(p_c - [c = y]),  F = r^γ·(1 + γ·p_y·(-ln p_y)/r)
/// ```
///
/// r is computed as the sum of the other classes' p, never as `1 - p_y`; also in the gradient,
/// which at y is -w·F·r. Everything is a product or a sum of numbers of one sign, so it has full
/// relative accuracy, except for the error of the power (γ times the relative error of r). As r →
/// 0, `(-ln p_y)/r` → 1.
///
/// [`scale`](RowAnswer::scale) is `|w|·F·max(p_c, [c = y])`.
///
/// # Non-finite input
///
/// | row | loss | gradient |
/// |---|---|---|
/// | any NaN, two or more +∞, or all -∞ | NaN | all NaN |
/// | some -∞ | as if the class were absent | 0 there |
/// | the target is a -∞ class | +∞ | `w·p_c` elsewhere, -w at the target |
/// | one +∞, it is the target | 0 | all 0 |
/// | one +∞, not the target | +∞ | w at the +∞, -w at the target, 0 elsewhere |
///
/// The loss counts 0·∞ as 0: a row with weight zero costs nothing.
///
/// # Panics
/// If `y` is not below C, or γ is negative or not finite.
///
/// ```
/// use xent_reference::focal::softmax;
///
/// let answer = softmax(&[1.0, 1.0], 0, 2.0, 1.0);
/// assert_eq!(answer.loss, 0.25 * 2.0_f64.ln());
/// ```
pub fn softmax(x: &[f64], y: usize, gamma: f64, weight: f64) -> RowAnswer {
    assert!(y < x.len(), "label {y} of {} classes", x.len());
    check_gamma(gamma);
    let row = match Row::new(x) {
        Ok(row) if !weight.is_nan() => row,
        _ => return undefined(x),
    };
    let p = row.probabilities();
    let wrong = row.complements()[y];
    let surprise = row.surprise(y);
    let fade = wrong.powf(gamma);
    // (-ln p)/(1-p), which tends to 1 as both vanish.
    let slope = if wrong == 0.0 { 1.0 } else { times(p[y], surprise) / wrong };
    let factor = weight * fade * (1.0 + gamma * slope);
    let indicator = |c: usize| f64::from(c == y);
    let grad =
        (0..x.len()).map(|c| if c == y { 0.0 - factor * wrong } else { factor * p[c] }).collect();
    let scale = (0..x.len()).map(|c| factor.abs() * p[c].max(indicator(c))).collect();
    RowAnswer {
        loss: times(weight * fade, surprise),
        grad,
        scale,
        mean_distance: row.mean_distance(),
        max: row.max,
    }
}

/// The focal loss of one sigmoid, for a logit `x` and a target `y` in 0..=1: (loss, its derivative
/// by `x`). With p = σ(x):
///
/// ```text
/// p_t = p·y + (1-p)·(1-y)
/// α_t = α·y + (1-α)·(1-y), or 1 without α
/// loss = α_t·(1-p_t)^γ·[(1-y)·softplus(x) + y·softplus(-x)]
/// ```
///
/// as in optax's `sigmoid_focal_loss`, and in the paper for hard targets. `m = 1 - p_t` is computed
/// as (1-y)·σ(x) + y·σ(-x), where nothing cancels. Its derivative is (1-2y)·σ(x)·σ(-x), and with
/// the cross-entropy ℓ and its derivative ℓ',
///
/// ```text
/// gradient = α_t·m^γ·(ℓ' + γ·ℓ·m'/m)
/// ```
///
/// where m'/m is σ(-x) for y = 0 and -σ(x) for y = 1. For these two, both terms have the same sign;
/// for other `y` they may cancel, and so do the exact terms.
///
/// At ±∞ both are the limits. A NaN in `x`, `y` or `alpha` makes both NaN.
///
/// # Panics
/// If γ is negative or not finite.
///
/// ```
/// use xent_reference::focal::sigmoid;
///
/// let (loss, _) = sigmoid(0.0, 1.0, 2.0, Some(0.25));
/// assert_eq!(loss, 0.25 * 0.25 * 2.0_f64.ln());
/// ```
pub fn sigmoid(x: f64, y: f64, gamma: f64, alpha: Option<f64>) -> (f64, f64) {
    check_gamma(gamma);
    let balance = alpha.map_or(1.0, |alpha| alpha * y + (1.0 - alpha) * (1.0 - y));
    let (loss, slope) = sigmoid::cross_entropy(x, y, 1.0);
    if loss.is_nan() || balance.is_nan() {
        return (f64::NAN, f64::NAN);
    }
    let (right, left) = (sigma(x), sigma(-x));
    let wrong = (1.0 - y) * right + y * left;
    // m'/m. For a hard target it is computed without the division, so it also works if m is 0.
    let relative_slope = if y == 0.0 {
        left
    } else if y == 1.0 {
        -right
    } else {
        (1.0 - 2.0 * y) * left * right / wrong
    };
    let factor = balance * wrong.powf(gamma);
    let gradient = factor * (slope + gamma * times(loss, relative_slope));
    (times(factor, loss), gradient)
}

#[track_caller]
fn check_gamma(gamma: f64) {
    assert!(gamma >= 0.0 && gamma.is_finite(), "a focusing exponent of {gamma}");
}

#[cfg(test)]
#[expect(clippy::excessive_precision, reason = "digits of the exact answer, not of a double")]
mod tests {
    use super::*;
    use crate::softmax::{cross_entropy, softmax as probabilities};
    use crate::targets::one_hot;
    use crate::test::{assert_all_nan, assert_close, assert_gradient};

    const INF: f64 = f64::INFINITY;
    const X: [f64; 5] = [0.5, -1.25, 2.0, 0.0, -3.0];
    const GAMMAS: [f64; 6] = [0.0, 0.3, 0.5, 1.0, 2.0, 5.0];

    #[test]
    fn the_gradient_is_the_finite_difference_of_the_loss() {
        for gamma in GAMMAS {
            for y in 0..5 {
                let answer = softmax(&X, y, gamma, 1.5);
                assert_gradient(&X, &answer.grad, |x| softmax(x, y, gamma, 1.5).loss);
            }
            for x in X {
                for y in [0.0, 0.3, 0.5, 1.0] {
                    for alpha in [None, Some(0.25)] {
                        let (_, gradient) = sigmoid(x, y, gamma, alpha);
                        assert_gradient(&[x], &[gradient], |x| sigmoid(x[0], y, gamma, alpha).0);
                    }
                }
            }
        }
    }

    #[test]
    fn without_focus_it_is_the_cross_entropy() {
        for y in 0..5 {
            let (focal, plain) = (softmax(&X, y, 0.0, 1.0), cross_entropy(&X, &one_hot(5, y, 1.0)));
            assert_close(focal.loss, plain.loss, 1e-15);
            for c in 0..5 {
                assert_close(focal.grad[c], plain.grad[c], 1e-15);
            }
        }
        for (x, y) in [(0.5, 1.0), (-3.0, 0.0), (40.0, 0.2)] {
            assert_eq!(sigmoid(x, y, 0.0, None), sigmoid::cross_entropy(x, y, 1.0));
        }
    }

    #[test]
    fn two_classes_are_one_sigmoid() {
        for gamma in GAMMAS {
            for x in [-50.0, -1.5, 0.0, 2.0, 45.0] {
                let two = softmax(&[x, 0.0], 0, gamma, 1.0);
                let (loss, gradient) = sigmoid(x, 1.0, gamma, None);
                assert_close(two.loss, loss, 1e-14);
                assert_close(two.grad[0], gradient, 1e-14);
                assert_close(two.grad[1], -gradient, 1e-14);
                let (loss, gradient) = sigmoid(-x, 0.0, gamma, None);
                assert_close(two.loss, loss, 1e-14);
                assert_close(two.grad[0], -gradient, 1e-14);
            }
        }
    }

    #[test]
    fn a_confident_row_keeps_its_loss_and_its_gradient() {
        // r = e^-60/(1 + e^-60): both are r^γ·r and -(1+γ)·r^γ·r to within 1e-26.
        for gamma in GAMMAS {
            let answer = softmax(&[60.0, 0.0], 0, gamma, 1.0);
            let power = (-60.0 * (1.0 + gamma)).exp();
            assert_close(answer.loss, power, 1e-15);
            assert_close(answer.grad[0], -(1.0 + gamma) * power, 1e-15);
            assert_close(answer.grad[1], (1.0 + gamma) * power, 1e-15);
        }
    }

    #[test]
    fn an_ordinary_row_matches_high_precision_arithmetic() {
        let answer = softmax(&[2.0, 0.5, -1.0], 0, 2.0, 1.0);
        assert_close(answer.loss, 0.011_092_750_091_379_810_888_811_23, 1e-14);
        assert_close(answer.grad[0], -0.027_284_674_080_418_818_615_785_49, 1e-14);
    }

    #[test]
    fn a_weight_is_a_factor() {
        let (one, many) = (softmax(&X, 3, 2.0, 1.0), softmax(&X, 3, 2.0, 4.0));
        assert_eq!(many.loss, 4.0 * one.loss);
        assert_eq!(many.grad[1], 4.0 * one.grad[1]);
        assert_eq!(many.scale[3], 4.0 * one.scale[3]);
    }

    #[test]
    fn not_finite_rows_of_the_softmax() {
        for gamma in GAMMAS {
            let at = |x: &[f64], y| softmax(x, y, gamma, 2.0);
            for x in [[f64::NAN, 1.0, 2.0], [INF, INF, 1.0], [-INF; 3]] {
                assert!(at(&x, 0).loss.is_nan());
                assert_all_nan(&at(&x, 0).grad);
            }
            let (with, without) = (at(&[1.0, -INF, 0.5], 0), at(&[1.0, 0.5], 0));
            assert_eq!(with.loss, without.loss);
            assert_eq!(with.grad, [without.grad[0], 0.0, without.grad[1]]);
            let p = probabilities(&[1.0, 0.5]);
            let target = at(&[1.0, -INF, 0.5], 1);
            assert_eq!(target.loss, INF);
            assert_eq!(target.grad, [2.0 * p[0], -2.0, 2.0 * p[1]]);
            let certain = at(&[1.0, INF, 0.5], 1);
            assert_eq!((certain.loss, &certain.grad[..]), (0.0, &[0.0; 3][..]));
            let wrong = at(&[1.0, INF, 0.5], 0);
            assert_eq!((wrong.loss, &wrong.grad[..]), (INF, &[-2.0, 2.0, 0.0][..]));
            assert_eq!(softmax(&[1.0, INF], 0, gamma, 0.0).loss, 0.0);
        }
    }

    #[test]
    fn not_finite_a_finite_mask_acts_as_an_infinite_one() {
        for mask in [-1e30, f64::from(f32::MIN)] {
            let masked = softmax(&[1.0, mask, 0.5], 0, 2.0, 1.0);
            assert_eq!(masked, softmax(&[1.0, -INF, 0.5], 0, 2.0, 1.0));
            let target = softmax(&[1.0, mask, 0.5], 1, 2.0, 1.0);
            assert_eq!((target.loss, target.grad[1]), (1.0 - mask, -1.0));
        }
    }

    #[test]
    fn infinite_logits_give_the_limit_of_the_sigmoid() {
        for gamma in GAMMAS {
            assert_eq!(sigmoid(INF, 1.0, gamma, None), (0.0, 0.0));
            assert_eq!(sigmoid(INF, 0.0, gamma, Some(0.25)), (INF, 0.75));
            assert_eq!(sigmoid(-INF, 0.0, gamma, None), (0.0, 0.0));
            assert_eq!(sigmoid(-INF, 1.0, gamma, Some(0.25)), (INF, -0.25));
            let (loss, gradient) = sigmoid(INF, 0.5, gamma, None);
            let limit = 0.5 * 0.5_f64.powf(gamma);
            // Powers differ from machine to machine.
            assert!(loss == INF && (gradient - limit).abs() <= 4.0 * f64::EPSILON * limit);
            assert!(sigmoid(f64::NAN, 1.0, gamma, None).1.is_nan());
        }
    }

    #[test]
    #[should_panic(expected = "a focusing exponent of -1")]
    fn a_negative_exponent_is_refused() {
        softmax(&[1.0, 2.0], 0, -1.0, 1.0);
    }
}
