//! The sigmoid and its losses, one element at a time.
//!
//! Every function takes the limit at ±∞ and returns NaN for NaN.

use crate::times;

/// σ(x) = 1/(1 + e^-x), with full relative accuracy on both sides: 0 at -∞, 1 at +∞.
///
/// For negative x it is e^x/(1 + e^x), so that no exponential overflows.
pub fn sigmoid(x: f64) -> f64 {
    if x < 0.0 {
        let e = x.exp();
        e / (1.0 + e)
    } else {
        1.0 / (1.0 + (-x).exp())
    }
}

/// softplus(x) = ln(1 + e^x) = max(x, 0) + ln1p(e^-|x|): 0 at -∞, +∞ at +∞.
///
/// Both terms are non-negative, so nothing cancels. `softplus(-x)` is -ln σ(x).
pub fn softplus(x: f64) -> f64 {
    // `max` drops a NaN, but the second term keeps it.
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

/// The sigmoid (binary) cross-entropy of one logit `x`, with its target `y` in 0..=1 and the
/// weight q = `pos_weight` of the positive class: (loss, its derivative by `x`).
///
/// ```text
/// loss = (1-y)·x + (1 + (q-1)·y)·softplus(-x)
/// ```
///
/// in the notation of PyTorch's `binary_cross_entropy_with_logits`. Since
/// x + softplus(-x) = softplus(x), that is
///
/// ```text
/// loss = (1-y)·softplus(x) + y·q·softplus(-x)
/// gradient = (1-y)·σ(x) - y·q·σ(-x)
/// ```
///
/// and is computed this way: the terms of the loss are non-negative for every x. (For q = 1 the
/// gradient is σ(x) - y, which would lose its digits for a confident logit.)
///
/// At ±∞ both are the limits, with 0·∞ = 0: at +∞ the loss is 0 for y = 1 and +∞ for y < 1, the
/// gradient 1 - y; at -∞ the loss is 0 for y·q = 0 and +∞ otherwise, the gradient -y·q. A NaN
/// anywhere makes both NaN. For a `y` outside 0..=1 the formula still applies, but its terms may
/// cancel.
///
/// ```
/// use xent_reference::sigmoid::cross_entropy;
///
/// let (loss, gradient) = cross_entropy(0.0, 1.0, 3.0);
/// assert_eq!((loss, gradient), (3.0 * 2.0_f64.ln(), -1.5));
/// ```
pub fn cross_entropy(x: f64, y: f64, pos_weight: f64) -> (f64, f64) {
    if x.is_nan() || y.is_nan() || pos_weight.is_nan() {
        return (f64::NAN, f64::NAN);
    }
    let negative = 1.0 - y;
    let positive = y * pos_weight;
    let loss = times(negative, softplus(x)) + times(positive, softplus(-x));
    let gradient = negative * sigmoid(x) - positive * sigmoid(-x);
    (loss, gradient)
}

/// [`cross_entropy`] times the weight w of the element: (loss, its derivative by `x`).
///
/// ```text
/// loss = w·[(1-y)·x + (1 + (q-1)·y)·softplus(-x)]
/// gradient = w·[(1-y)·σ(x) - y·q·σ(-x)]
/// ```
///
/// as `weight` in PyTorch's `binary_cross_entropy_with_logits`. With 0·∞ = 0: an element with
/// weight zero costs nothing, however wrong; a NaN still makes both NaN.
///
/// ```
/// use xent_reference::sigmoid::{cross_entropy, weighted_cross_entropy};
///
/// let (loss, gradient) = cross_entropy(0.5, 1.0, 3.0);
/// assert_eq!(weighted_cross_entropy(0.5, 1.0, 3.0, 2.0), (2.0 * loss, 2.0 * gradient));
/// ```
pub fn weighted_cross_entropy(x: f64, y: f64, pos_weight: f64, weight: f64) -> (f64, f64) {
    let (loss, gradient) = cross_entropy(x, y, pos_weight);
    (times(weight, loss), weight * gradient)
}

#[cfg(test)]
#[expect(clippy::excessive_precision, reason = "digits of the exact answer, not of a double")]
mod tests {
    use super::*;
    use crate::test::assert_close;

    const INF: f64 = f64::INFINITY;

    /// σ and softplus to 25 digits, from 60-digit arithmetic.
    const KNOWN: [(f64, f64, f64); 4] = [
        (-40.0, 4.248_354_255_291_588_977_280_72e-18, 4.248_354_255_291_588_986_304_98e-18),
        (-1.5, 0.182_425_523_806_356_340_392_782_1, 0.201_413_277_982_752_409_499_482_8),
        (0.75, 0.679_178_699_175_392_973_159_680_1, 1.136_871_006_114_899_943_669_240),
        (36.5, 0.999_999_999_999_999_859_313_828_8, 36.500_000_000_000_000_140_686_17),
    ];

    #[test]
    fn sigmoid_and_softplus_match_high_precision_arithmetic() {
        for (x, s, plus) in KNOWN {
            assert_close(sigmoid(x), s, 4e-16);
            assert_close(softplus(x), plus, 4e-16);
        }
    }

    #[test]
    fn the_loss_equals_the_formula_of_the_documentation() {
        for x in [-30.0, -2.5, -0.1, 0.0, 0.3, 4.0, 25.0] {
            for y in [0.0, 0.2, 0.5, 1.0] {
                for q in [0.0, 0.25, 1.0, 7.0] {
                    let (loss, _) = cross_entropy(x, y, q);
                    let plain = (1.0 - y) * x + (1.0 + (q - 1.0) * y) * softplus(-x);
                    assert!((loss - plain).abs() <= 1e-14 * (1.0 + x.abs()), "{x} {y} {q}");
                }
            }
        }
    }

    #[test]
    fn a_confident_logit_keeps_its_loss_and_its_gradient() {
        // ln(1 + e^-57.5) = e^-57.5 to 25 digits.
        let tiny = (-57.5_f64).exp();
        let (loss, gradient) = cross_entropy(57.5, 1.0, 1.0);
        assert_close(loss, tiny, 1e-15);
        assert_close(gradient, -tiny, 1e-15);
        let (loss, gradient) = cross_entropy(-57.5, 0.0, 1.0);
        assert_close(loss, tiny, 1e-15);
        assert_close(gradient, tiny, 1e-15);
    }

    #[test]
    fn the_gradient_is_the_finite_difference_of_the_loss() {
        for x in [-6.0, -1.25, 0.0, 0.5, 3.0] {
            for y in [0.0, 0.3, 1.0] {
                for q in [0.5, 1.0, 4.0] {
                    let h = 1e-5;
                    let difference =
                        (cross_entropy(x + h, y, q).0 - cross_entropy(x - h, y, q).0) / (2.0 * h);
                    let (_, gradient) = cross_entropy(x, y, q);
                    assert!((difference - gradient).abs() < 1e-9, "{x} {y} {q}");
                }
            }
        }
    }

    #[test]
    fn an_element_without_weight_costs_nothing() {
        assert_eq!(weighted_cross_entropy(INF, 0.0, 1.0, 0.0), (0.0, 0.0));
        assert_eq!(weighted_cross_entropy(-INF, 1.0, 2.0, 3.0), (INF, -6.0));
        assert!(weighted_cross_entropy(f64::NAN, 0.0, 1.0, 0.0).0.is_nan());
    }

    #[test]
    fn infinite_logits_give_the_limit() {
        assert_eq!(cross_entropy(INF, 1.0, 3.0), (0.0, 0.0));
        assert_eq!(cross_entropy(INF, 0.0, 3.0), (INF, 1.0));
        assert_eq!(cross_entropy(INF, 0.25, 3.0), (INF, 0.75));
        assert_eq!(cross_entropy(-INF, 0.0, 3.0), (0.0, 0.0));
        assert_eq!(cross_entropy(-INF, 1.0, 3.0), (INF, -3.0));
        assert_eq!(cross_entropy(-INF, 0.25, 3.0), (INF, -0.75));
        assert_eq!(cross_entropy(-INF, 1.0, 0.0), (0.0, 0.0));
        assert_eq!((sigmoid(-INF), sigmoid(INF)), (0.0, 1.0));
        assert_eq!((softplus(-INF), softplus(INF)), (0.0, INF));
    }

    #[test]
    fn huge_logits_are_like_infinite_ones_but_their_loss_is_finite() {
        let huge = f64::from(f32::MAX);
        assert_eq!(cross_entropy(huge, 1.0, 1.0), (0.0, 0.0));
        assert_eq!(cross_entropy(huge, 0.0, 1.0), (huge, 1.0));
        assert_eq!(cross_entropy(-huge, 0.0, 1.0), (0.0, 0.0));
        assert_eq!(cross_entropy(-huge, 1.0, 2.0), (2.0 * huge, -2.0));
    }

    #[test]
    fn nan_gives_nan() {
        assert!(sigmoid(f64::NAN).is_nan());
        assert!(softplus(f64::NAN).is_nan());
        for (x, y, q) in [(f64::NAN, 0.0, 1.0), (1.0, f64::NAN, 1.0), (INF, 0.0, f64::NAN)] {
            let (loss, gradient) = cross_entropy(x, y, q);
            assert!(loss.is_nan() && gradient.is_nan());
        }
    }
}
