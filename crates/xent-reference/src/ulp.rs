//! The error of a floating-point number in units in the last place.
//!
//! The exact answer is an `f64`, or an [`Exact`] to judge an `f64`, and is *not* rounded to the
//! format first. So a correctly rounded result has an error of up to 0.5, and no error can hide in
//! the rounding of the oracle.
//!
//! | result | functions |
//! |---|---|
//! | `f32` | [`spacing_f32`], [`error_f32`], [`error_at_f32`] |
//! | `f64` | [`error_f64`], [`error_at_f64`] |
//! | any format within `f64`, such as `bf16` | [`Format::spacing`], [`Format::error_at`] |

use crate::bits::{exponent, power_of_two};
use crate::exact::Exact;

/// A binary floating-point format: zero, subnormal and normal numbers, and infinity.
///
/// ```
/// use xent_reference::ulp::Format;
///
/// // Seven bits after the point, and the range of an f32.
/// assert_eq!(Format::BF16.spacing(1.0), 1.0 / 128.0);
/// assert_eq!(Format::BF16.spacing(1e38), Format::F32.spacing(1e38) * 65536.0);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Format {
    /// Rust's name for it.
    pub name: &'static str,
    /// Digits of the significand, including the one before the point. At most 53.
    pub digits: i32,
    /// Exponent of the smallest normal number, below which the spacing is constant. At least -1022.
    pub min_exponent: i32,
    /// Exponent of the top binade. At most 1023.
    pub max_exponent: i32,
}

impl Format {
    /// IEEE 754 binary64.
    pub const F64: Self = Self { name: "f64", digits: 53, min_exponent: -1022, max_exponent: 1023 };
    /// IEEE 754 binary32.
    pub const F32: Self = Self { name: "f32", digits: 24, min_exponent: -126, max_exponent: 127 };
    /// The upper half of an `f32`.
    pub const BF16: Self = Self { name: "bf16", digits: 8, min_exponent: -126, max_exponent: 127 };
    /// IEEE 754 binary16.
    pub const F16: Self = Self { name: "f16", digits: 11, min_exponent: -14, max_exponent: 15 };

    /// The distance between neighbouring numbers of the format at the magnitude of `exact`:
    /// 2^(e+1-digits) for 2^e ≤ |exact| < 2^(e+1).
    ///
    /// At least the spacing of zero and of the subnormal numbers; at most that of the top binade,
    /// which also applies beyond the largest number and to infinity. NaN gives NaN.
    ///
    /// ```
    /// use xent_reference::ulp::Format;
    ///
    /// assert_eq!(Format::F16.spacing(1.0), 1.0 / 1024.0);
    /// assert_eq!(Format::F64.spacing(0.0), f64::from_bits(1));
    /// ```
    pub fn spacing(self, exact: f64) -> f64 {
        if exact.is_nan() { f64::NAN } else { power_of_two(self.unit(exponent(exact))) }
    }

    /// |got - exact| in units of the [`spacing`](Self::spacing) at the larger of |exact| and
    /// |scale|. `got` is a number of the format.
    ///
    /// For a result that is a difference: `scale` is the larger of the two numbers subtracted,
    /// whose own rounding no formula can undo. A NaN `scale` has no effect.
    ///
    /// | got | exact | error |
    /// |---|---|---|
    /// | NaN | NaN | 0 |
    /// | NaN | anything else | ∞ |
    /// | anything else | NaN | ∞ |
    /// | ±∞ | the same infinity, or a number that the format rounds to it | 0 |
    /// | ±∞ | anything else | ∞ |
    /// | finite | ±∞ | ∞ |
    ///
    /// To judge an `f64`, use a more exact answer: [`error_at_f64`].
    ///
    /// ```
    /// use xent_reference::ulp::Format;
    ///
    /// // 65504 is the largest f16; from 65520, half a step further, it rounds to infinity.
    /// assert_eq!(Format::F16.error_at(f64::INFINITY, 65520.0, 0.0), 0.0);
    /// assert_eq!(Format::F16.error_at(f64::INFINITY, 65519.0, 0.0), f64::INFINITY);
    /// assert_eq!(Format::F16.error_at(65504.0, 65520.0, 0.0), 0.5);
    /// ```
    pub fn error_at(self, got: f64, exact: f64, scale: f64) -> f64 {
        let rounded =
            if exact.abs() >= self.limit() { f64::INFINITY.copysign(exact) } else { exact };
        error_unless_finite(got, rounded)
            // `f64::max` returns the number if the other is NaN.
            .unwrap_or_else(|| (got - exact).abs() / self.spacing(exact.abs().max(scale.abs())))
    }

    /// The exponent of the spacing of the numbers in 2^exponent..2^(exponent+1).
    fn unit(self, exponent: i32) -> i32 {
        exponent.clamp(self.min_exponent, self.max_exponent) - (self.digits - 1)
    }

    /// Halfway between the largest number and 2^(max+1), where the tie goes to even, which is
    /// infinity. For `f64` this is not an `f64`, and no `f64` lies between it and infinity.
    fn limit(self) -> f64 {
        power_of_two(self.max_exponent) * (2.0 - power_of_two(-self.digits))
    }
}

/// The error of a result that is not finite; `rounded` is infinite if the exact answer rounds to
/// infinity.
fn error_unless_finite(got: f64, rounded: f64) -> Option<f64> {
    let matches = if got.is_nan() || rounded.is_nan() {
        got.is_nan() && rounded.is_nan()
    } else if got.is_infinite() {
        got == rounded
    } else {
        return None;
    };
    Some(if matches { 0.0 } else { f64::INFINITY })
}

/// [`Format::spacing`] of `f32`: the distance between neighbouring `f32` numbers at the magnitude
/// of `exact`.
///
/// ```
/// use xent_reference::ulp::spacing_f32;
///
/// assert_eq!(spacing_f32(1.0), f64::from(f32::EPSILON));
/// assert_eq!(spacing_f32(0.999), f64::from(f32::EPSILON) / 2.0);
/// ```
pub fn spacing_f32(exact: f64) -> f64 {
    Format::F32.spacing(exact)
}

/// |got - exact| in units of [`spacing_f32`]`(exact)`, with the special cases of
/// [`Format::error_at`].
///
/// ```
/// use xent_reference::ulp::error_f32;
///
/// assert_eq!(error_f32(1.0 + f32::EPSILON, 1.0), 1.0);
/// assert!(error_f32(0.1, 0.1) < 0.5);
/// ```
pub fn error_f32(got: f32, exact: f64) -> f64 {
    error_at_f32(got, exact, exact)
}

/// [`Format::error_at`] of `f32`: the spacing is that at the larger of |exact| and |scale|.
///
/// ```
/// use xent_reference::ulp::error_at_f32;
///
/// // 1 - (1 - 2^-24) came out as zero: half a unit of the 1 it was subtracted from.
/// assert_eq!(error_at_f32(0.0, 2.0_f64.powi(-24), 1.0), 0.5);
/// ```
pub fn error_at_f32(got: f32, exact: f64, scale: f64) -> f64 {
    Format::F32.error_at(f64::from(got), exact, scale)
}

/// |got - exact| in units of the spacing of `f64` at `exact`, with the special cases of
/// [`Format::error_at`].
///
/// ```
/// use xent_reference::{exact, ulp::error_f64};
///
/// assert!(error_f64(1.0_f64.exp(), exact::exp(1.0)) < 1.0);
/// ```
pub fn error_f64(got: f64, exact: Exact) -> f64 {
    error_at_f64(got, exact, 0.0)
}

/// [`error_f64`] in units of the spacing at the larger of |exact| and |scale|, as
/// [`Format::error_at`].
///
/// ```
/// use xent_reference::{exact, ulp::error_at_f64};
///
/// // Of e^x - 1, which is 2^-60, nothing was left: 2^-8 units of the 1 that was subtracted.
/// let exact = exact::exp(2.0_f64.powi(-60)) - 1.0;
/// assert_eq!(error_at_f64(0.0, exact, 1.0), 2.0_f64.powi(-8));
/// ```
pub fn error_at_f64(got: f64, exact: Exact, scale: f64) -> f64 {
    error_unless_finite(got, exact.to_f64()).unwrap_or_else(|| {
        // As in `Format::error_at`, a NaN has no effect.
        let binade = exact.exponent().max(exponent(scale.abs().max(0.0)));
        (exact - got).abs().scaled(-Format::F64.unit(binade)).to_f64()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test::assert_close;

    #[test]
    fn the_spacing_is_the_step_to_the_next_number_in_every_binade() {
        for e in -149..=127 {
            let here = 2.0_f64.powi(e) as f32;
            let step = f64::from(here.next_up()) - f64::from(here);
            // The step beyond the last binade leads to infinity; measure downwards there.
            assert_eq!(spacing_f32(f64::from(here)), step, "2^{e}");
            assert_eq!(spacing_f32(-f64::from(here)), step, "-2^{e}");
            let last_below = 2.0_f64.powi(e).next_down();
            let half = if e > -126 { step / 2.0 } else { step };
            assert_eq!(spacing_f32(last_below), half, "below 2^{e}");
        }
    }

    #[test]
    fn the_spacing_has_a_floor_and_a_ceiling() {
        let least = 2.0_f64.powi(-149);
        for small in
            [0.0, -0.0, 1e-300, f64::MIN_POSITIVE / 4.0, f64::from(f32::MIN_POSITIVE) / 2.0]
        {
            assert_eq!(spacing_f32(small), least, "{small:e}");
        }
        let top = 2.0_f64.powi(104);
        for large in
            [f64::from(f32::MAX), 3.5e38, 1e300, f64::MAX, f64::INFINITY, f64::NEG_INFINITY]
        {
            assert_eq!(spacing_f32(large), top, "{large:e}");
        }
        assert!(spacing_f32(f64::NAN).is_nan());
    }

    #[test]
    fn neighbours_are_one_unit_apart() {
        for exact in [1.0_f32, -1.5, 1e-40, 3e38, 0.0, 1e-30] {
            assert_eq!(error_f32(exact, f64::from(exact)), 0.0);
            assert_eq!(error_f32(exact.next_up(), f64::from(exact)), 1.0);
        }
    }

    #[test]
    fn a_rounded_answer_is_at_most_half_a_unit_off() {
        let mut exact = 1e-45;
        while exact < 3e38 {
            let error = error_f32(exact as f32, exact);
            assert!(error <= 0.5, "{exact:e}: {error}");
            exact *= 1.37;
        }
    }

    #[test]
    fn nan_matches_only_nan() {
        assert_eq!(error_f32(f32::NAN, f64::NAN), 0.0);
        assert_eq!(error_f32(f32::NAN, 1.0), f64::INFINITY);
        assert_eq!(error_f32(f32::NAN, f64::INFINITY), f64::INFINITY);
        assert_eq!(error_f32(1.0, f64::NAN), f64::INFINITY);
        assert_eq!(error_f32(f32::INFINITY, f64::NAN), f64::INFINITY);
    }

    #[test]
    fn an_infinity_matches_itself_and_what_rounds_to_it() {
        // Halfway between f32::MAX and 2^128 the tie goes to even, which is infinity.
        let limit = f64::from(f32::MAX) + 2.0_f64.powi(103);
        assert_eq!(error_f32(f32::INFINITY, f64::INFINITY), 0.0);
        assert_eq!(error_f32(f32::NEG_INFINITY, f64::NEG_INFINITY), 0.0);
        assert_eq!(error_f32(f32::INFINITY, 1e300), 0.0);
        assert_eq!(error_f32(f32::INFINITY, limit), 0.0);
        assert_eq!(error_f32(f32::INFINITY, limit.next_down()), f64::INFINITY);
        assert_eq!(error_f32(f32::INFINITY, f64::NEG_INFINITY), f64::INFINITY);
        assert_eq!(error_f32(f32::NEG_INFINITY, 1e300), f64::INFINITY);
        assert_eq!(error_f32(f32::MAX, f64::INFINITY), f64::INFINITY);
        assert_eq!(error_f32(f32::MAX, limit), 0.5);
    }

    #[test]
    fn a_scale_only_ever_widens_the_unit() {
        assert_eq!(error_at_f32(1.5, 1.0, 0.0), error_f32(1.5, 1.0));
        assert_eq!(error_at_f32(1.5, 1.0, -4.0), error_f32(1.5, 1.0) / 4.0);
        assert_eq!(error_at_f32(1.5, 1.0, f64::NAN), error_f32(1.5, 1.0));
        assert_eq!(error_at_f32(f32::NAN, 1.0, f64::INFINITY), f64::INFINITY);
        assert_eq!(error_at_f32(f32::INFINITY, 1.0, f64::INFINITY), f64::INFINITY);
        assert_eq!(error_at_f32(1.0, f64::INFINITY, 1.0), f64::INFINITY);
    }

    /// The numbers of a 16-bit format from 0 to the largest, in order; and infinity.
    fn numbers_of_16_bits(format: Format) -> Vec<f64> {
        let fraction = 1 << (format.digits - 1);
        let number = |bits: i32| {
            let (biased, rest) =
                (bits / fraction, f64::from(bits % fraction) / f64::from(fraction));
            match biased {
                0 => rest * power_of_two(format.min_exponent),
                biased => (1.0 + rest) * 2.0_f64.powi(format.min_exponent - 1 + biased),
            }
        };
        let infinity = (format.max_exponent - format.min_exponent + 2) * fraction;
        (0..infinity).map(number).collect()
    }

    #[test]
    fn the_spacing_is_the_step_to_the_next_number_of_every_format() {
        for (format, largest) in
            [(Format::F16, 65504.0), (Format::BF16, 3.389_531_389_251_535_5e38)]
        {
            let numbers = numbers_of_16_bits(format);
            assert_eq!(numbers.last(), Some(&largest), "{}", format.name);
            for pair in numbers.windows(2) {
                let step = pair[1] - pair[0];
                for exact in [pair[0], -pair[0], pair[0] + step / 2.0, pair[1].next_down()] {
                    assert_eq!(format.spacing(exact), step, "{} {exact:e}", format.name);
                }
                assert_eq!(format.error_at(pair[1], pair[0], 0.0), 1.0);
            }
        }
        for e in -1074..=1023 {
            let here = power_of_two(e);
            assert_eq!(Format::F64.spacing(here), here.next_up() - here, "2^{e}");
            assert_eq!(Format::F64.spacing(here.next_down()), here - here.next_down());
        }
    }

    #[test]
    fn every_format_has_its_own_infinity() {
        for (format, largest) in [
            (Format::F16, 65504.0),
            (Format::BF16, f64::from(f32::from_bits(0x7f7f_0000))),
            (Format::F32, f64::from(f32::MAX)),
        ] {
            let limit = largest + format.spacing(largest) / 2.0;
            assert_eq!(format.error_at(-f64::INFINITY, -limit, 0.0), 0.0, "{}", format.name);
            assert_eq!(format.error_at(f64::INFINITY, -limit, 0.0), f64::INFINITY);
            assert_eq!(format.error_at(f64::INFINITY, limit.next_down(), 0.0), f64::INFINITY);
            assert_eq!(format.error_at(largest, limit, 0.0), 0.5);
        }
        assert_eq!(Format::F64.error_at(f64::INFINITY, f64::MAX, 0.0), f64::INFINITY);
        assert_eq!(Format::F64.error_at(f64::INFINITY, f64::INFINITY, 0.0), 0.0);
    }

    #[test]
    fn an_f64_is_judged_by_more_digits_than_it_has() {
        let third = Exact::ONE / 3.0;
        assert_close(error_f64(1.0 / 3.0, third), 1.0 / 3.0, 1e-14);
        assert_close(error_f64((1.0_f64 / 3.0).next_up(), third), 2.0 / 3.0, 1e-14);
        // Just below 1 the unit is half of that above, however close the number is.
        assert_eq!(error_f64(1.0_f64.next_up(), Exact::ONE), 1.0);
        assert_close(error_f64(1.0_f64.next_up(), Exact::ONE - 1e-30), 2.0, 1e-13);
    }

    #[test]
    fn a_result_too_small_for_an_f64_is_judged_in_the_least_unit() {
        let least = f64::from_bits(1);
        let tenth = Exact::from(least) / 10.0;
        assert_eq!(error_f64(0.0, tenth), 0.1);
        assert_eq!(error_f64(least, tenth), 0.9);
        assert_eq!(error_f64(0.0, Exact::from(1.0).scaled(-5000)), 0.0);
        assert_eq!(error_f64(f64::MIN_POSITIVE.next_up(), f64::MIN_POSITIVE.into()), 1.0);
    }

    #[test]
    fn an_infinite_f64_is_right_where_the_answer_rounds_to_it() {
        let limit = Exact::from(f64::MAX) + 2.0_f64.powi(970);
        assert_eq!(error_f64(f64::INFINITY, limit), 0.0);
        assert_eq!(error_f64(f64::MAX, limit), 0.5);
        assert_eq!(error_f64(f64::INFINITY, limit - 2.0_f64.powi(920)), f64::INFINITY);
        assert_eq!(error_f64(f64::NEG_INFINITY, limit), f64::INFINITY);
        assert_eq!(error_f64(f64::MAX, f64::INFINITY.into()), f64::INFINITY);
        assert_eq!(error_f64(f64::NAN, f64::NAN.into()), 0.0);
        assert_eq!(error_f64(f64::NAN, Exact::ONE), f64::INFINITY);
        assert_eq!(error_f64(1.0, f64::NAN.into()), f64::INFINITY);
    }

    #[test]
    fn the_scale_of_an_f64_only_ever_widens_the_unit() {
        let exact = Exact::from(1.0);
        assert_eq!(error_at_f64(1.5, exact, 0.5), error_f64(1.5, exact));
        assert_eq!(error_at_f64(1.5, exact, -4.0), error_f64(1.5, exact) / 4.0);
        assert_eq!(error_at_f64(1.5, exact, f64::NAN), error_f64(1.5, exact));
        assert_eq!(error_at_f64(f64::INFINITY, exact, f64::INFINITY), f64::INFINITY);
    }
}
