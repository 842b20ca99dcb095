//! Softmax and its cross-entropy, one row at a time.
//!
//! A row is a slice x of C logits. With m = max x and its first index k, every function here
//! consists of sums of non-negative terms:
//!
//! ```text
//! d_c = m - x_c, the distance
//! R = Σ_{c≠k} e^-d_c
//! ln Σ e^x_c = m + ln1p(R)
//! ```
//!
//! so nothing cancels, and an almost certain row keeps its digits: ln1p(R) is tiny there, while
//! ln(1 + R) would be 0.
//!
//! # Non-finite input
//!
//! | row | [`log_sum_exp`] | [`softmax`] | [`log_softmax`] |
//! |---|---|---|---|
//! | any NaN | NaN | all NaN | all NaN |
//! | two or more +∞ | +∞ | all NaN | all NaN |
//! | one +∞ | +∞ | 1 there, 0 elsewhere | 0 there, -∞ elsewhere |
//! | some -∞ | as if the class were absent | 0 there | -∞ there |
//! | all -∞, or no classes | -∞ | all NaN | all NaN |
//!
//! NaN takes precedence. [`cross_entropy`] has a table of its own.
//!
//! Logits may be anything that `f32` can hold; beyond half of `f64::MAX` a distance overflows to
//! +∞.

use crate::row::{Row, Undefined};
use crate::sum::{Neumaier, sum, sums_of_the_others};
use crate::times;

/// `ln Σ_c e^x_c` of one row of any length, as `m + ln1p(R)`.
///
/// Its error is a few units in the last place of the larger of |m| and ln1p(R). If those two
/// cancel, as in a row of log-probabilities, the result is near 0 and its relative accuracy is
/// lower.
///
/// ```
/// use xent_reference::softmax::log_sum_exp;
///
/// assert_eq!(log_sum_exp(&[1000.0, 1000.0]), 1000.0 + 2.0_f64.ln());
/// ```
pub fn log_sum_exp(x: &[f64]) -> f64 {
    match Row::new(x) {
        Ok(row) => row.max + row.ln_total(),
        Err(Undefined::Nan) => f64::NAN,
        Err(Undefined::TwoInfinities) => f64::INFINITY,
        Err(Undefined::AllMasked) => f64::NEG_INFINITY,
    }
}

/// `p_c = e^x_c / Σ_j e^x_j`, as long as `x`. Each `p_c` has its own full relative accuracy.
///
/// ```
/// use xent_reference::softmax::softmax;
///
/// assert_eq!(softmax(&[7.0, 7.0, f64::NEG_INFINITY]), [0.5, 0.5, 0.0]);
/// ```
pub fn softmax(x: &[f64]) -> Vec<f64> {
    match Row::new(x) {
        Ok(row) => row.probabilities(),
        Err(_) => vec![f64::NAN; x.len()],
    }
}

/// `s_c = x_c - ln Σ_j e^x_j = -(d_c + ln1p(R))`, as long as `x`. Each `s_c` has its own full
/// relative accuracy: at the maximum it is `-ln1p(R)`, however certain the row is.
///
/// ```
/// use xent_reference::softmax::log_softmax;
///
/// let s = log_softmax(&[60.0, 0.0]);
/// assert_eq!(s[0], -(-60.0_f64).exp()); // 60 - ln(e^60 + 1) would be 0
/// ```
pub fn log_softmax(x: &[f64]) -> Vec<f64> {
    match Row::new(x) {
        // Subtracted from zero rather than negated, so that a certain class has 0, not -0.
        Ok(row) => (0..x.len()).map(|c| 0.0 - row.surprise(c)).collect(),
        Err(_) => vec![f64::NAN; x.len()],
    }
}

/// The result of [`cross_entropy`] for one row, with the quantities that an error bound for another
/// program needs. The other losses of a row return it too; unless they say otherwise, the fields
/// mean the same there.
#[derive(Clone, Debug, PartialEq)]
pub struct RowAnswer {
    /// `Σ_c q_c·(-s_c)`.
    pub loss: f64,
    /// The derivative of the loss by each logit, `Q·p_c - q_c`. Length C.
    pub grad: Vec<f64>,
    /// The larger of `|Q·p_c|` and `|q_c|`: the two terms that [`grad`](Self::grad) is the
    /// difference of. Length C.
    pub scale: Vec<f64>,
    /// `Σ_c p_c·(m - x_c)`, with 0·∞ = 0: the mean distance of the logits from the maximum,
    /// weighted by the softmax. Rounding `m - x_c` gives an exponential a relative error in
    /// proportion to it, so this is the effect on their sum.
    pub mean_distance: f64,
    /// m, the largest logit; NaN if a logit is NaN, -∞ without classes.
    pub max: f64,
}

/// The softmax cross-entropy of one row of logits `x` against a target `q`, both of length C, and
/// its gradient. With `Q = Σ q_c`, p = softmax(x) and s = log-softmax(x):
///
/// ```text
/// loss = Σ_c q_c·(-s_c) = Q·ln1p(R) + Σ_c q_c·d_c
/// gradient_c = Q·p_c - q_c
/// ```
///
/// `q` is any finite non-negative vector and need not sum to one: it already includes class
/// weights, label smoothing and sample weights (see [`targets`](crate::targets)).
///
/// The terms of the loss are non-negative. The gradient is computed as
///
/// ```text
/// gradient_c = p_c·Σ_{j≠c} q_j - q_c·Σ_{j≠c} p_j
/// ```
///
/// which equals `Q·p_c - q_c·Σ_j p_j` without the term `p_c·q_c` that both products contain. The
/// sums leave c out by adding the terms before and after it. For a one-hot target one of the
/// products is zero in each class, so the gradient has full relative accuracy; otherwise it is the
/// difference of two accurate numbers, neither larger than [`scale`](RowAnswer::scale). (For a
/// negative `q_c` the formula still applies, without these promises.)
///
/// # Non-finite input
///
/// | row | loss | gradient |
/// |---|---|---|
/// | any NaN, in `x` or `q` | NaN | all NaN |
/// | some -∞, where `q_c = 0` | as if the class were absent | 0 there |
/// | some -∞, where `q_c > 0` | +∞ | `-q_c` there, `Q·p_c - q_c` elsewhere |
/// | all -∞, or no classes | NaN | all NaN |
/// | one +∞, and `q_c = 0` everywhere else | 0 | all 0 |
/// | one +∞, and some other `q_c > 0` | +∞ | `Q - q_c` at the +∞, `-q_c` elsewhere |
/// | two or more +∞ | NaN | all NaN |
/// | finite masks such as -1e30 or `f32::MIN` | its term is `q_c·(m - x_c)`, finite | as for -∞ |
///
/// Where the gradient is all NaN, so are [`scale`](RowAnswer::scale) and
/// [`mean_distance`](RowAnswer::mean_distance).
///
/// # Panics
/// If `x` and `q` differ in length.
///
/// ```
/// use xent_reference::{softmax::cross_entropy, targets::one_hot};
///
/// let answer = cross_entropy(&[1.0, 1.0], &one_hot(2, 0, 1.0));
/// assert_eq!(answer.loss, 2.0_f64.ln());
/// assert_eq!(answer.grad, [-0.5, 0.5]);
/// ```
pub fn cross_entropy(x: &[f64], q: &[f64]) -> RowAnswer {
    assert_eq!(x.len(), q.len(), "one target a class");
    let row = match Row::new(x) {
        Ok(row) if !q.iter().any(|v| v.is_nan()) => row,
        _ => return undefined(x),
    };
    let total = row.total();
    let q_total = sum(q.iter().copied());
    let q_others = sums_of_the_others(q);
    let exp_others = sums_of_the_others(&row.exp);

    let mut loss: Neumaier = q.iter().zip(&row.distance).map(|(&q, &d)| times(q, d)).collect();
    loss.add(times(q_total, row.ln_total()));

    let grad = (0..x.len())
        .map(|c| match row.exp[c] {
            // Set exactly: the others' p sum to one, but their computed sum may be off by a bit.
            0.0 => 0.0 - q[c],
            e => (e * q_others[c] - q[c] * exp_others[c]) / total,
        })
        .collect();
    let scale =
        q.iter().zip(&row.exp).map(|(q, e)| (q_total * e / total).abs().max(q.abs())).collect();
    let mean_distance = row.mean_distance();
    RowAnswer { loss: loss.value(), grad, scale, mean_distance, max: row.max }
}

/// The result for a row without a softmax.
pub(crate) fn undefined(x: &[f64]) -> RowAnswer {
    let nan = || vec![f64::NAN; x.len()];
    let max = |a: f64, b: f64| if a.is_nan() || b.is_nan() { f64::NAN } else { a.max(b) };
    RowAnswer {
        loss: f64::NAN,
        grad: nan(),
        scale: nan(),
        mean_distance: f64::NAN,
        max: x.iter().copied().fold(f64::NEG_INFINITY, max),
    }
}

/// The mean of `max x - x_c` over all classes except the (first) largest, weighted by `e^(x_c - max
/// x)`.
///
/// Accuracy bounds need it where the sum of *the others* matters, as in `ln Σ e^(x_c - max x) =
/// log1p(others)`: each unit of distance adds one unit of error to the argument of an exponential,
/// and so to the exponential.
///
/// ```
/// use xent_reference::softmax::mean_distance_of_others;
///
/// assert_eq!(mean_distance_of_others(&[50.0, 0.0]), 50.0);
/// assert_eq!(mean_distance_of_others(&[7.0]), 0.0);
/// ```
#[must_use]
pub fn mean_distance_of_others(x: &[f64]) -> f64 {
    let max = x.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let largest = x.iter().position(|&x| x == max);
    let (mut weighted, mut sum) = (Neumaier::default(), Neumaier::default());
    for (class, &x) in x.iter().enumerate() {
        let distance = max - x;
        if Some(class) != largest && distance.is_finite() {
            weighted.add((-distance).exp() * distance);
            sum.add((-distance).exp());
        }
    }
    if sum.value() > 0.0 { weighted.value() / sum.value() } else { 0.0 }
}

#[cfg(test)]
#[expect(clippy::excessive_precision, reason = "digits of the exact answer, not of a double")]
mod tests {
    use super::*;
    use crate::targets::one_hot;
    use crate::test::assert_close;

    const INF: f64 = f64::INFINITY;

    fn all_nan(values: &[f64]) -> bool {
        values.iter().all(|v| v.is_nan())
    }

    #[test]
    fn an_ordinary_row_matches_high_precision_arithmetic() {
        let x = [0.5, -1.25, 2.0, 0.0];
        assert_close(log_sum_exp(&x), 2.334_498_612_603_662_619_093_103, 4e-16);
        let p = [
            0.159_693_550_032_108_222_430_118_5,
            0.027_750_577_932_680_403_788_709_18,
            0.715_696_837_782_384_341_184_488_0,
            0.096_859_034_252_827_032_596_684_29,
        ];
        for (c, (&got, want)) in softmax(&x).iter().zip(p).enumerate() {
            assert_close(got, want, 4e-16);
            assert_close(log_softmax(&x)[c], x[c] - 2.334_498_612_603_662_619_093_103, 1e-15);
        }
    }

    #[test]
    fn a_confident_row_keeps_a_loss_of_1e_25() {
        // From 60-digit arithmetic. ln Σ e^x - x_0, computed naively, is 0 here.
        let x = [57.5, 0.0, -1.25];
        let answer = cross_entropy(&x, &one_hot(3, 0, 1.0));
        assert_close(answer.loss, 1.372_393_651_559_019_421_409_858_6e-25, 1e-15);
        assert_close(answer.grad[0], -1.372_393_651_559_019_421_409_858_5e-25, 1e-15);
        assert_close(answer.grad[1], 1.066_761_394_833_853_250_683_887_5e-25, 1e-15);
        assert_close(answer.grad[2], 3.056_322_567_251_661_707_259_709_8e-26, 1e-15);
        assert_close(log_softmax(&x)[0], -answer.loss, 1e-16);
    }

    #[test]
    fn a_confident_dense_target_keeps_its_gradient() {
        // Q·p_1 - q_1 with Q = q_0 + q_1: one product of 1e-26 minus another of 1e-40.
        let answer = cross_entropy(&[60.0, 0.0], &[1.0, 1e-40]);
        assert_close(answer.grad[1], (-60.0_f64).exp(), 1e-13);
        assert_close(answer.grad[0], -(-60.0_f64).exp(), 1e-13);
    }

    #[test]
    fn the_gradient_is_the_finite_difference_of_the_loss() {
        let x = [0.5, -1.25, 2.0, 0.0, -3.0];
        for q in [one_hot(5, 1, 1.0), vec![0.1, 0.0, 2.0, 0.7, 0.3], vec![0.0; 5]] {
            let answer = cross_entropy(&x, &q);
            for c in 0..x.len() {
                let h = 1e-5;
                let at = |step: f64| {
                    let mut moved = x;
                    moved[c] += step;
                    cross_entropy(&moved, &q).loss
                };
                let difference = (at(h) - at(-h)) / (2.0 * h);
                assert!((difference - answer.grad[c]).abs() < 1e-9, "class {c} of {q:?}");
            }
        }
    }

    #[test]
    fn equal_maxima_share_the_row() {
        let answer = cross_entropy(&[3.0; 8], &one_hot(8, 5, 1.0));
        assert_eq!(softmax(&[3.0; 8]), [0.125; 8]);
        assert_close(answer.loss, 8.0_f64.ln(), 4e-16);
        assert_eq!(answer.grad[5], -0.875);
        assert_eq!(answer.mean_distance, 0.0);
    }

    #[test]
    fn a_long_row_is_as_accurate_as_a_short_one() {
        let x = vec![0.1; 1 << 17];
        assert_close(log_sum_exp(&x), 0.1 + f64::from(1 << 17).ln(), 4e-16);
        let answer = cross_entropy(&x, &one_hot(x.len(), 77, 1.0));
        assert_eq!(answer.grad[0], 1.0 / f64::from(1 << 17));
        assert_eq!(answer.grad[77], 1.0 / f64::from(1 << 17) - 1.0);
    }

    #[test]
    fn a_bound_gets_the_scale_the_distance_and_the_maximum() {
        let answer = cross_entropy(&[1.0, 1.0, -INF], &[0.25, 3.0, 0.75]);
        assert_eq!(answer.scale, [2.0, 3.0, 0.75]);
        assert_eq!(answer.mean_distance, 0.0);
        assert_eq!(answer.max, 1.0);
        let x = [2.0_f64.ln(), 0.0];
        assert_close(cross_entropy(&x, &[1.0, 0.0]).mean_distance, 2.0_f64.ln() / 3.0, 4e-16);
    }

    #[test]
    fn a_single_class_is_certain() {
        let answer = cross_entropy(&[-3.5], &[0.75]);
        assert_eq!((answer.loss, answer.grad[0]), (0.0, 0.0));
        assert_eq!(softmax(&[-3.5]), [1.0]);
        assert!(log_softmax(&[-3.5])[0].is_sign_positive());
    }

    #[test]
    fn the_largest_logits_do_not_overflow() {
        let top = f64::from(f32::MAX);
        let answer = cross_entropy(&[top, -top, 0.0], &one_hot(3, 1, 1.0));
        assert_eq!(answer.loss, 2.0 * top);
        assert_eq!(answer.grad, [1.0, -1.0, 0.0]);
        assert_eq!(log_sum_exp(&[top, top]), top);
        assert_eq!(log_sum_exp(&[-top, -top]), -top);
        assert_eq!(softmax(&[-top, -top]), [0.5, 0.5]);
    }

    // The table of non-finite input, row by row.

    #[test]
    fn not_finite_any_nan_makes_the_row_nan() {
        for x in [[f64::NAN, 1.0, 2.0], [1.0, INF, f64::NAN], [-INF, f64::NAN, -INF]] {
            let answer = cross_entropy(&x, &one_hot(3, 0, 1.0));
            assert!(answer.loss.is_nan() && answer.max.is_nan() && answer.mean_distance.is_nan());
            assert!(all_nan(&answer.grad) && all_nan(&answer.scale));
            assert!(log_sum_exp(&x).is_nan());
            assert!(all_nan(&softmax(&x)) && all_nan(&log_softmax(&x)));
        }
        let answer = cross_entropy(&[1.0, -INF], &[f64::NAN, 0.0]);
        assert!(answer.loss.is_nan() && all_nan(&answer.grad));
    }

    #[test]
    fn not_finite_a_masked_class_is_as_if_absent() {
        let with = cross_entropy(&[1.0, -INF, 2.5, -INF], &[0.25, 0.0, 0.75, 0.0]);
        let without = cross_entropy(&[1.0, 2.5], &[0.25, 0.75]);
        assert_eq!(with.loss, without.loss);
        assert_eq!(with.mean_distance, without.mean_distance);
        assert_eq!(with.grad, [without.grad[0], 0.0, without.grad[1], 0.0]);
        assert!(with.grad[1].is_sign_positive());
        assert_eq!(log_sum_exp(&[1.0, -INF, 2.5]), log_sum_exp(&[1.0, 2.5]));
        assert_eq!(log_softmax(&[1.0, -INF])[1], -INF);
    }

    #[test]
    fn not_finite_a_masked_target_costs_infinity() {
        let x = [1.0, -INF, 2.5];
        let answer = cross_entropy(&x, &one_hot(3, 1, 1.0));
        let p = softmax(&x);
        assert_eq!(answer.loss, INF);
        assert_eq!(answer.grad, [p[0], -1.0, p[2]]);
    }

    #[test]
    fn not_finite_everything_masked_is_nan() {
        for x in [vec![-INF; 3], vec![]] {
            let answer = cross_entropy(&x, &vec![1.0; x.len()]);
            assert!(answer.loss.is_nan() && all_nan(&answer.grad) && all_nan(&answer.scale));
            assert_eq!(answer.max, -INF);
            assert_eq!(log_sum_exp(&x), -INF);
            assert!(all_nan(&softmax(&x)) && all_nan(&log_softmax(&x)));
        }
    }

    #[test]
    fn not_finite_one_infinity_at_the_target_costs_nothing() {
        let x = [1.0, INF, -INF];
        let answer = cross_entropy(&x, &one_hot(3, 1, 1.0));
        assert_eq!(answer.loss, 0.0);
        assert_eq!(answer.grad, [0.0; 3]);
        assert_eq!((answer.max, answer.mean_distance), (INF, 0.0));
        assert_eq!(log_sum_exp(&x), INF);
        assert_eq!(softmax(&x), [0.0, 1.0, 0.0]);
        assert_eq!(log_softmax(&x), [-INF, 0.0, -INF]);
    }

    #[test]
    fn not_finite_one_infinity_beside_the_target_costs_infinity() {
        let answer = cross_entropy(&[INF, 3.0, 1.0], &one_hot(3, 1, 1.0));
        assert_eq!(answer.loss, INF);
        assert_eq!(answer.grad, [1.0, -1.0, 0.0]);
        let answer = cross_entropy(&[INF, 3.0, -INF], &[0.5, 0.25, 0.125]);
        assert_eq!(answer.loss, INF);
        assert_eq!(answer.grad, [0.375, -0.25, -0.125]);
    }

    #[test]
    fn not_finite_two_infinities_are_nan() {
        let x = [INF, 1.0, INF];
        let answer = cross_entropy(&x, &one_hot(3, 0, 1.0));
        assert!(answer.loss.is_nan() && all_nan(&answer.grad) && all_nan(&answer.scale));
        assert_eq!(answer.max, INF);
        assert_eq!(log_sum_exp(&x), INF);
        assert!(all_nan(&softmax(&x)) && all_nan(&log_softmax(&x)));
    }

    #[test]
    fn not_finite_a_finite_mask_acts_as_an_infinite_one() {
        for mask in [-1e30, f64::from(f32::MIN)] {
            let q = one_hot(3, 0, 1.0);
            assert_eq!(cross_entropy(&[1.0, mask, 0.5], &q), cross_entropy(&[1.0, -INF, 0.5], &q));
            let target = cross_entropy(&[1.0, mask, 0.5], &one_hot(3, 1, 1.0));
            assert_eq!(target.loss, 1.0 - mask);
            assert_eq!(target.grad[1], -1.0);
            // A row of masks only is uniform, as its logits are equal.
            assert_eq!(softmax(&[mask, mask]), [0.5, 0.5]);
        }
    }

    #[test]
    fn an_empty_target_costs_nothing() {
        for x in [[1.0, 2.0], [INF, 1.0], [1.0, -INF]] {
            let answer = cross_entropy(&x, &[0.0, 0.0]);
            assert_eq!(answer.loss, 0.0);
            assert_eq!(answer.grad, [0.0, 0.0]);
        }
    }

    #[test]
    #[should_panic(expected = "one target a class")]
    fn a_target_of_another_length_is_refused() {
        cross_entropy(&[1.0, 2.0], &[1.0]);
    }
}
