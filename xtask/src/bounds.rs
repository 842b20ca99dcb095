//! The accuracy that xent promises, in units in the last place (ULP) of the exact result.
//!
//! The bound of a row's result has a constant part, given here, and grows by one ULP for each unit of distance
//! between a logit and the row's maximum: rounding the argument of an exponential gives it a relative error in
//! proportion to the argument. Each bound says which distance counts:
//!
//! * `d_c = max x - x_c`, the distance of one class;
//! * *mean*, the mean of `d_c` weighted by the softmax, which affects the sum of all exponentials;
//! * *others*, the same mean without the largest class, for results that depend on the sum of the others only.
//!
//! A gradient may be off by one more ULP if it is scaled by a factor that is not a power of two ([`Bound::times`]).
//!
//! The bounds are the same for all formats, in ULP of the format of the computation: `f32` for 16-bit logits. A
//! 16-bit gradient is the `f32` gradient rounded once more, so its error is at most half an ULP of its own format
//! plus the `f32` bound, converted to that ULP.

use xent_core::Level;
use xent_reference::exact::Exact;
use xent_reference::softmax::{cross_entropy, mean_distance_of_others};
use xent_reference::ulp::Format;

use crate::format::{Checked, Real};

/// The largest error allowed, in ULP.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bound {
    /// The result that is bounded.
    pub(crate) name: &'static str,
    /// The format of the logits.
    pub(crate) format: &'static str,
    with_fma: f64,
    without_fma: f64,
    computed: Format,
    /// The format of the results.
    stored: Format,
}

impl Bound {
    /// The same bound at every level, for `f32`.
    pub(crate) const fn new(name: &'static str, ulp: f64) -> Self {
        let format = Format::F32;
        Self {
            name,
            format: format.name,
            with_fma: ulp,
            without_fma: ulp,
            computed: format,
            stored: format,
        }
    }

    /// For results in the format of the computation, from logits in that format.
    pub(crate) fn of<E: Checked>(self) -> Self {
        Self { format: E::NAME, computed: E::COMPUTED, stored: E::COMPUTED, ..self }
    }

    /// For results in the format of the logits.
    pub(crate) fn stored<E: Checked>(self) -> Self {
        Self { stored: E::STORED, ..self.of::<E>() }
    }

    /// For results that are multiplied by a factor: unless it is a power of two, the factor is rounded, and so is
    /// the product.
    pub(crate) fn times(self, factor: f64) -> Self {
        const FRACTION: u64 = (1 << 52) - 1;
        let more = if factor.to_bits() & FRACTION == 0 { 0.0 } else { 1.0 };
        Self { with_fma: self.with_fma + more, without_fma: self.without_fma + more, ..self }
    }

    /// The bound at a level, in ULP of the format of the computation.
    pub(crate) const fn at(self, level: Level) -> f64 {
        if level.has_fma() { self.with_fma } else { self.without_fma }
    }

    /// The error of `got` in ULP; infinite if it must be zero and is not.
    pub(crate) fn error<R: Real>(self, answer: Answer<R>, got: f64) -> f64 {
        let exactly_zero = answer.value == R::from(0.0) && answer.scale == 0.0;
        if exactly_zero && got != 0.0 {
            f64::INFINITY
        } else {
            answer.value.error(self.stored, got, answer.scale)
        }
    }

    /// The error of the sum of a row's gradient, which is zero in theory, in units of the error that each class may
    /// have if the largest of them is rounded.
    pub(crate) fn error_of_sum(self, gradient: &[f64]) -> f64 {
        // Below the normal numbers, roundings do not get smaller.
        let least = 2.0_f64.powi(self.stored.min_exponent);
        let largest = gradient.iter().fold(least, |max, g| g.abs().max(max));
        let unit = largest * gradient.len() as f64 / 2.0_f64.powi(self.stored.digits);
        let sum = gradient.iter().map(|&g| Exact::from(g)).sum::<Exact>().to_f64();
        sum.abs() / unit
    }

    /// The allowed error, in ULP.
    ///
    /// A distance allows a relative error. Subnormal numbers have larger gaps than that, so for them it counts in
    /// proportion to their size: a result that is almost zero gets no allowance.
    pub(crate) fn allowed<R: Real>(self, answer: Answer<R>, level: Level) -> f64 {
        let size = answer.value.to_f64().abs().max(answer.scale.abs());
        let share = (size / 2.0_f64.powi(self.computed.min_exponent)).min(1.0);
        let bound = self.at(level);
        let computed = if answer.distance == 0.0 { bound } else { bound + answer.distance * share };
        match self.computed.digits - self.stored.digits {
            0 => computed,
            digits => 0.5 + computed / 2.0_f64.powi(digits),
        }
    }

    /// The distance between numbers of the result's format at the size of a number.
    pub(crate) fn spacing(self, exact: f64) -> f64 {
        self.stored.spacing(exact)
    }
}

/// `e^x`, if the result is not subnormal.
pub(crate) const EXP: Bound = Bound { without_fma: 1.2, ..Bound::new("exp", 1.0) };
/// `e^x`, if the result is subnormal and therefore rounded twice.
pub(crate) const EXP_SUBNORMAL: Bound = Bound::new("exp, subnormal", 1.0);
/// `ln x` of every positive number.
pub(crate) const LN: Bound = Bound::new("ln", 2.0);
/// `ln(1 + x)`.
pub(crate) const LOG1P: Bound = Bound::new("log1p", 2.0);
/// `1 / (1 + e^-x)`.
pub(crate) const SIGMOID: Bound = Bound::new("sigmoid", 4.0);

/// 16-bit numbers, in `f32`.
pub(crate) const WIDEN: Bound = Bound::new("widen", 0.0);
/// `f32` rounded to 16 bits: to nearest, ties to even.
pub(crate) const NARROW: Bound = Bound::new("narrow", 0.0);

/// The largest logit, which is one of them.
pub(crate) const MAX: Bound = Bound::new("max", 0.0);
/// `ln Σ e^x` at the scale of the larger of `|max x|` and `ln Σ e^(x - max x)`, plus *mean*, divided by that scale
/// if it is below one: rounding the arguments causes an absolute error of *mean* times 2^-24 in the logarithm. (A
/// search found 4.84 where 4 + *mean* was 4.07: three logits whose largest is about as far below zero as the sum of
/// the others adds.)
pub(crate) const LOG_SUM_EXP: Bound = Bound::new("log_sum_exp", 4.0);
/// The softmax of class c, plus `d_c` and *mean*.
pub(crate) const SOFTMAX: Bound = Bound::new("softmax", 4.0);
/// The logarithm of the softmax of class c, plus `d_c` and *others*.
pub(crate) const LOG_SOFTMAX: Bound = Bound::new("log_softmax", 4.0);

/// The softmax cross-entropy with labels, plus *others*.
pub(crate) const SOFTMAX_INDEX_LOSS: Bound = Bound::new("softmax index, loss", 4.0);
/// Its gradient by the logit of class c, plus `d_c` and *others*.
pub(crate) const SOFTMAX_INDEX_GRADIENT: Bound = Bound::new("softmax index, gradient", 4.0);
/// The sum of a row's gradient, which is zero in theory, in units of `C 2^-24 max |g|` (with the digits of the
/// format; below the normal numbers, of half their spacing).
///
/// With `e_c` the stored exponentials, `R` the sum of the others' and `k` their common factor, each class has `e_c
/// k` and the label `-R k`. So they sum to the rounding errors of the products, each less than 2^-24 of its
/// product, and to that of `R`, unless `R` is a single number.
pub(crate) const SOFTMAX_INDEX_GRADIENT_SUM: Bound = Bound::new("softmax index, Σ gradient", 1.0);
/// The softmax cross-entropy with dense targets, plus *others*.
pub(crate) const SOFTMAX_DENSE_LOSS: Bound = Bound::new("softmax dense, loss", 4.0);
/// Its gradient by the logit of class c, plus `d_c` and *others*, at the scale of the larger of `Q p_c` and `q_c`,
/// the two terms that are subtracted.
pub(crate) const SOFTMAX_DENSE_GRADIENT: Bound = Bound::new("softmax dense, gradient", 4.0);
/// The sigmoid cross-entropy of one logit.
pub(crate) const SIGMOID_LOSS: Bound = Bound::new("sigmoid, loss", 4.0);
/// Its gradient, at the scale of the larger of `(1 - y) σ(x)` and `y σ(-x)`, the two terms that are subtracted. A
/// search found at worst 4.69 in `f32` (x = -4.144217, y = 3.2152046e-5) and 4.19 in `f64` (x =
/// -2.7105456035676188, y = 1.369940171495436e-3); with a factor of 1/66, 5.72.
pub(crate) const SIGMOID_GRADIENT: Bound = Bound::new("sigmoid, gradient", 5.0);

/// The sum of a batch's losses, rounded to their format here, plus the bounds of each of them.
pub(crate) const SUM: Bound = Bound::new("sum of losses", 0.5);
/// Loss only, gradient out of place and gradient in place return the same bits.
pub(crate) const SAME_MODES: Bound = Bound::new("same bits: all buffers", 0.0);
/// All levels with fused multiply-add return the same bits.
pub(crate) const SAME_LEVELS: Bound = Bound::new("same bits: FMA levels", 0.0);

/// An exact result, with the quantities that its bound depends on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answer<R> {
    /// The result.
    pub(crate) value: R,
    /// The larger of the two terms that are subtracted; 0 if the error is relative to the result itself.
    pub(crate) scale: f64,
    /// The distances that its bound allows for.
    pub(crate) distance: f64,
}

impl<R> Answer<R> {
    /// A result whose error is relative to itself, whatever the distances.
    pub(crate) const fn new(value: R) -> Self {
        Self { value, scale: 0.0, distance: 0.0 }
    }
}

/// The distances of one row that bounds use.
#[derive(Clone, Debug)]
pub(crate) struct Distances {
    /// `d_c` of every class.
    pub(crate) class: Vec<f64>,
    /// The mean over all classes, weighted by their softmax.
    pub(crate) mean: f64,
    /// The same without the largest class.
    pub(crate) others: f64,
}

impl Distances {
    /// The distances of a row of logits; a distance that is missing or infinite allows nothing.
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
    use half::{bf16, f16};

    #[test]
    fn what_must_be_zero_may_be_nothing_else() {
        let error = |got| Bound::new("f", 4.0).error(Answer::new(0.0), got);
        assert_eq!(error(-0.0), 0.0);
        assert_eq!(error(1e-45), f64::INFINITY);
        assert_eq!(error(f64::NAN), f64::INFINITY);
        let bound = Bound::new("f", 4.0).of::<f64>();
        assert_eq!(bound.error(Answer::new(Exact::ZERO), 1e-320), f64::INFINITY);
        // Not zero, but closer to zero than to any other number.
        assert!(bound.error(Answer::new(Exact::from(1e-300) * 1e-300), 0.0) < 1e-200);
    }

    #[test]
    fn a_distance_counts_in_proportion_below_the_normal_numbers() {
        fn allowed<R: Real>(bound: Bound, value: R) -> f64 {
            bound.allowed(Answer { value, scale: 0.0, distance: 90.0 }, Level::Portable)
        }
        let bound = Bound::new("f", 4.0);
        assert_eq!(allowed(bound, 1e-30), 94.0);
        assert_eq!(allowed(bound, f64::from(f32::MIN_POSITIVE) / 2.0), 49.0);
        assert_eq!(allowed(bound, 0.0), 4.0);
        let bound = bound.of::<f64>();
        assert_eq!(allowed(bound, Exact::from(1e-300)), 94.0);
        assert_eq!(allowed(bound, Exact::from(f64::MIN_POSITIVE / 2.0)), 49.0);
    }

    #[test]
    fn only_a_factor_that_rounds_costs_anything() {
        let at = |factor| Bound::new("f", 4.0).times(factor).at(Level::Portable);
        assert_eq!([1.0, 0.25, 2.0, 3.0, 1.0 / 3.0].map(at), [4.0, 4.0, 4.0, 5.0, 5.0]);
    }

    #[test]
    fn a_gradient_must_sum_to_zero() {
        let bound = Bound::new("f", 1.0);
        assert_eq!(bound.error_of_sum(&[0.25, -0.5, 0.25]), 0.0);
        assert_eq!(bound.error_of_sum(&[0.5, -0.5 + 2.0_f64.powi(-24)]), 1.0);
        assert_eq!(bound.of::<f64>().error_of_sum(&[0.5, -0.5 + 2.0_f64.powi(-53)]), 1.0);
        assert_eq!(bound.error_of_sum(&[0.0]), 0.0);
        // Half of the spacing of subnormal numbers, for each class.
        assert_eq!(bound.error_of_sum(&[2.0_f64.powi(-149), 0.0]), 1.0);
    }

    #[test]
    fn sixteen_bits_allow_half_a_unit_and_a_share_of_one() {
        let bound = Bound::new("f", 4.0);
        for (bound, digits) in [(bound.stored::<f16>(), 13), (bound.stored::<bf16>(), 16)] {
            let answer = Answer { value: 1.0, scale: 0.0, distance: 12.0 };
            let want = 0.5 + 16.0 / 2.0_f64.powi(digits);
            assert_eq!(bound.allowed(answer, Level::Portable), want);
        }
        // The next one.
        assert_eq!(bound.stored::<f16>().error(Answer::new(1.0), 1.0 + 1.0 / 1024.0), 1.0);
        assert_eq!(bound.of::<f16>().error(Answer::new(1.0), 1.0 + 1.0 / 1024.0), 8192.0);
    }

    #[test]
    fn a_row_without_an_answer_allows_nothing() {
        for x in [[f64::NAN, 0.0], [f64::INFINITY, 0.0], [f64::NEG_INFINITY; 2]] {
            let Distances { class, mean, others } = Distances::new(&x);
            assert_eq!((class, mean, others), (vec![0.0; 2], 0.0, 0.0));
        }
    }
}
