//! The accuracy that xent promises, in units of the last place (ULP) of the exact result.
//!
//! A bound on a row's results has a constant part, which stands here, and grows by one ULP for each
//! unit of distance between a logit and the row's maximum: rounding the argument of an exponential
//! costs the exponential a relative error in proportion to the argument. Which distance counts is
//! said with each bound:
//!
//! * `d_c = max x - x_c`, the distance of one class;
//! * *mean*, the mean of `d_c` weighted with the softmax, which is what the sum of all exponentials
//!   feels;
//! * *others*, the same mean over the classes other than the largest, for results made of their sum
//!   alone.

use xent_core::Level;
use xent_reference::softmax::{cross_entropy, mean_distance_of_others};
use xent_reference::ulp::error_at_f32;

/// How far a result may be from the exact one, in ULP.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bound {
    /// What is bounded.
    pub(crate) name: &'static str,
    with_fma: f64,
    without_fma: f64,
}

impl Bound {
    /// The same at every level.
    pub(crate) const fn new(name: &'static str, ulp: f64) -> Self {
        Self { name, with_fma: ulp, without_fma: ulp }
    }

    /// The bound at a level.
    pub(crate) const fn at(self, level: Level) -> f64 {
        if level.has_fma() { self.with_fma } else { self.without_fma }
    }
}

/// `e^x` where it is no subnormal number.
pub(crate) const EXP: Bound = Bound { name: "exp", with_fma: 1.0, without_fma: 1.2 };
/// `e^x` where it is a subnormal number, and so rounded twice.
pub(crate) const EXP_SUBNORMAL: Bound = Bound::new("exp, subnormal", 1.0);
/// `ln x` of every positive number.
pub(crate) const LN: Bound = Bound::new("ln", 2.0);
/// `ln(1 + x)`.
pub(crate) const LOG1P: Bound = Bound::new("log1p", 2.0);
/// `1 / (1 + e^-x)`.
pub(crate) const SIGMOID: Bound = Bound::new("sigmoid", 4.0);

/// The largest logit is one of them.
pub(crate) const MAX: Bound = Bound::new("max", 0.0);
/// `ln Σ e^x`, plus *mean*, at the scale of the larger of `|max x|` and `ln Σ e^(x - max x)`.
pub(crate) const LOG_SUM_EXP: Bound = Bound::new("log_sum_exp", 4.0);
/// The softmax of class c, plus `d_c` and *mean*.
pub(crate) const SOFTMAX: Bound = Bound::new("softmax", 4.0);
/// The logarithm of the softmax of class c, plus `d_c` and *others*.
pub(crate) const LOG_SOFTMAX: Bound = Bound::new("log_softmax", 4.0);

/// The softmax cross-entropy with an index, plus *others*.
pub(crate) const SOFTMAX_INDEX_LOSS: Bound = Bound::new("softmax index, loss", 4.0);
/// Its gradient by the logit of class c, plus `d_c` and *others*.
pub(crate) const SOFTMAX_INDEX_GRADIENT: Bound = Bound::new("softmax index, gradient", 4.0);
/// The softmax cross-entropy with dense targets, plus *others*.
pub(crate) const SOFTMAX_DENSE_LOSS: Bound = Bound::new("softmax dense, loss", 4.0);
/// Its gradient by the logit of class c, plus `d_c` and *others*, at the scale of the larger of
/// `Q p_c` and `q_c`, whose difference it is.
pub(crate) const SOFTMAX_DENSE_GRADIENT: Bound = Bound::new("softmax dense, gradient", 4.0);
/// The sigmoid cross-entropy of one logit.
pub(crate) const SIGMOID_LOSS: Bound = Bound::new("sigmoid, loss", 4.0);
/// Its gradient, at the scale of the larger of `(1 - y) σ(x)` and `y σ(-x)`, whose difference it is.
pub(crate) const SIGMOID_GRADIENT: Bound = Bound::new("sigmoid, gradient", 4.0);

/// The sum of a batch's losses, rounded to `f32` here, plus what the bounds allow to each of them.
pub(crate) const SUM: Bound = Bound::new("sum of losses", 0.5);
/// Loss only, gradient out of place and gradient in place return the same bits.
pub(crate) const SAME_MODES: Bound = Bound::new("same bits: all buffers", 0.0);
/// All levels with fused multiply-add return the same bits.
pub(crate) const SAME_LEVELS: Bound = Bound::new("same bits: FMA levels", 0.0);

/// An exact result, with what its bound depends on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Exact {
    /// The result.
    pub(crate) value: f64,
    /// The larger of two numbers whose difference it is; 0 if it is held to its own size.
    pub(crate) scale: f64,
    /// The distances that its bound allows for.
    pub(crate) distance: f64,
}

impl Exact {
    /// A result that is held to its own size, whatever the distances.
    pub(crate) const fn new(value: f64) -> Self {
        Self { value, scale: 0.0, distance: 0.0 }
    }

    /// The error of `got` in ULP; infinite where it must be zero and is not.
    pub(crate) fn error(self, got: f32) -> f64 {
        let exactly_zero = self.value == 0.0 && self.scale == 0.0;
        if exactly_zero && got != 0.0 {
            f64::INFINITY
        } else {
            error_at_f32(got, self.value, self.scale)
        }
    }

    /// How many ULP the error may be.
    ///
    /// A distance allows a relative error. Subnormal numbers are further apart than that, so for
    /// them it counts in proportion to their size: a result that is all but zero has no excuse.
    pub(crate) fn allowed(self, bound: f64) -> f64 {
        let size = self.value.abs().max(self.scale.abs());
        let share = (size / f64::from(f32::MIN_POSITIVE)).min(1.0);
        if self.distance == 0.0 { bound } else { bound + self.distance * share }
    }
}

/// The distances of one row, as its bounds count them.
#[derive(Clone, Debug)]
pub(crate) struct Distances {
    /// `d_c` of every class.
    pub(crate) class: Vec<f64>,
    /// The mean over all classes, weighted with their softmax.
    pub(crate) mean: f64,
    /// The same over the classes other than the largest.
    pub(crate) others: f64,
}

impl Distances {
    /// The distances of a row of logits; where there is none, or it is infinite, it allows nothing.
    pub(crate) fn new(x: &[f64]) -> Self {
        let finite = |distance: f64| if distance.is_finite() { distance } else { 0.0 };
        let row = cross_entropy(x, &vec![0.0; x.len()]);
        Self {
            class: x.iter().map(|x| finite(row.max - x)).collect(),
            mean: finite(row.mean_distance),
            others: finite(mean_distance_of_others(x)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_must_be_zero_may_be_nothing_else() {
        assert_eq!(Exact::new(0.0).error(-0.0), 0.0);
        assert_eq!(Exact::new(0.0).error(1e-45), f64::INFINITY);
        assert_eq!(Exact::new(0.0).error(f32::NAN), f64::INFINITY);
    }

    #[test]
    fn a_distance_counts_in_proportion_below_the_normal_numbers() {
        let allowed = |value| Exact { value, scale: 0.0, distance: 90.0 }.allowed(4.0);
        assert_eq!(allowed(1e-30), 94.0);
        assert_eq!(allowed(f64::from(f32::MIN_POSITIVE) / 2.0), 49.0);
        assert_eq!(allowed(0.0), 4.0);
    }

    #[test]
    fn a_row_without_an_answer_allows_nothing() {
        for x in [[f64::NAN, 0.0], [f64::INFINITY, 0.0], [f64::NEG_INFINITY; 2]] {
            let Distances { class, mean, others } = Distances::new(&x);
            assert_eq!((class, mean, others), (vec![0.0; 2], 0.0, 0.0));
        }
    }
}
