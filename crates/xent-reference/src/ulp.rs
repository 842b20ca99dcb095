//! The distance between an `f32` and the exact answer, in units of the last place.
//!
//! The exact answer is an `f64` and is *not* rounded to `f32` first: a correctly rounded result is
//! at most 0.5 away, and a result is never forgiven the half unit that rounding the oracle would
//! hide.

/// Exponent of the smallest normal `f32`, 2⁻¹²⁶: below it the spacing no longer shrinks.
const MIN_EXPONENT: i32 = f32::MIN_EXP - 1;
/// Exponent of the top binade of `f32`, 2¹²⁷.
const MAX_EXPONENT: i32 = f32::MAX_EXP - 1;
/// Bits of the significand of `f32` after the point.
const FRACTION_BITS: i32 = f32::MANTISSA_DIGITS as i32 - 1;

/// The distance between neighbouring `f32` numbers at the magnitude of `exact`: 2^(e-23) for
/// 2^e ≤ |exact| < 2^(e+1).
///
/// At least 2⁻¹⁴⁹, the spacing of zero and of the subnormal numbers; at most 2¹⁰⁴, the spacing of
/// the top binade, which also serves everything beyond `f32::MAX`, infinity included. NaN gives
/// NaN.
///
/// ```
/// use xent_reference::ulp::spacing_f32;
///
/// assert_eq!(spacing_f32(1.0), f64::from(f32::EPSILON));
/// assert_eq!(spacing_f32(0.999), f64::from(f32::EPSILON) / 2.0);
/// ```
pub fn spacing_f32(exact: f64) -> f64 {
    if exact.is_nan() {
        return f64::NAN;
    }
    power_of_two(exponent(exact).clamp(MIN_EXPONENT, MAX_EXPONENT) - FRACTION_BITS)
}

/// |got - exact| in units of [`spacing_f32`]`(exact)`.
///
/// | got | exact | error |
/// |---|---|---|
/// | NaN | NaN | 0 |
/// | NaN | anything else | ∞ |
/// | anything else | NaN | ∞ |
/// | ±∞ | the same infinity, or a number that `f32` rounds to it | 0 |
/// | ±∞ | anything else | ∞ |
/// | finite | ±∞ | ∞ |
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

/// |got - exact| in units of the spacing at the larger of |exact| and |scale|, with the special
/// cases of [`error_f32`].
///
/// For an answer that is a difference: `scale` is then the larger of the two numbers subtracted,
/// whose own rounding no formula can undo. A NaN `scale` counts as no scale.
///
/// ```
/// use xent_reference::ulp::error_at_f32;
///
/// // 1 - (1 - 2^-24) came out as zero: half a unit of the 1 it was subtracted from.
/// assert_eq!(error_at_f32(0.0, 2.0_f64.powi(-24), 1.0), 0.5);
/// ```
pub fn error_at_f32(got: f32, exact: f64, scale: f64) -> f64 {
    if got.is_nan() && exact.is_nan() {
        return 0.0;
    }
    if got.is_nan() || exact.is_nan() {
        return f64::INFINITY;
    }
    if got.is_infinite() {
        return if exact as f32 == got { 0.0 } else { f64::INFINITY };
    }
    // `f64::max` returns the number when the other is NaN.
    (f64::from(got) - exact).abs() / spacing_f32(exact.abs().max(scale.abs()))
}

/// ⌊log₂|x|⌋, and for zero and the subnormal `f64` something below every `f32`.
fn exponent(x: f64) -> i32 {
    const BIAS: i32 = f64::MAX_EXP - 1;
    let biased = (x.to_bits() >> 52) & 0x7ff;
    biased as i32 - BIAS
}

/// 2^exponent for a normal result.
fn power_of_two(exponent: i32) -> f64 {
    // Exact: a power of two by a power of two.
    2.0_f64.powi(exponent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_spacing_is_the_step_to_the_next_number_in_every_binade() {
        for e in -149..=127 {
            let here = 2.0_f64.powi(e) as f32;
            let step = f64::from(here.next_up()) - f64::from(here);
            // The step past the last binade is to infinity; measure it downwards there.
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
}
