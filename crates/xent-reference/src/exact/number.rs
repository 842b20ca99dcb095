use core::iter::Sum;
use core::ops::{Add, Div, Mul, Neg, Sub};

use crate::bits;

/// A number of about 104 binary digits with a much wider range than `f64`: the unevaluated sum of
/// two `f64` times a power of two.
///
/// `+`, `-`, `*` and `/` have a relative error of about 2⁻¹⁰², however small the result is: nothing
/// overflows or becomes subnormal. The product of two `f64` is exact, and so is their sum unless
/// one is 2²⁰⁰ times the other. Zero, infinities and NaN follow IEEE 754.
///
/// ```
/// use xent_reference::exact::Exact;
///
/// let third = Exact::from(1.0) / 3.0;
/// assert_eq!(third.to_f64(), 1.0 / 3.0);
/// assert!((third * 3.0 - 1.0).abs().to_f64() < 1e-31);
///
/// let large = Exact::from(f64::MAX) * f64::MAX;
/// assert_eq!(large.to_f64(), f64::INFINITY);
/// assert_eq!((large / f64::MAX).to_f64(), f64::MAX);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Exact {
    /// The number nearest to `hi + lo`: in 1..2 by magnitude, or zero, infinite or NaN.
    hi: f64,
    /// 0 if `hi` is zero, infinite or NaN.
    lo: f64,
    /// The value is `(hi + lo)·2^power`. 0 if `hi` is zero, infinite or NaN.
    power: i32,
}

/// ln 2 to about 110 digits.
pub(super) const LN_2: Exact =
    Exact { hi: 2.0 * core::f64::consts::LN_2, lo: 2.0 * 2.319_046_813_846_299_6e-17, power: -1 };

/// A term that is smaller than the other by this power of two leaves the sum unchanged.
const NEGLIGIBLE: i32 = 200;

impl Exact {
    /// 0.
    pub const ZERO: Self = Self { hi: 0.0, lo: 0.0, power: 0 };
    /// 1.
    pub const ONE: Self = Self { hi: 1.0, lo: 0.0, power: 0 };

    /// `(hi + lo)·2^power`, where |hi| ≥ |lo| or hi is 0.
    fn new(hi: f64, lo: f64, power: i32) -> Self {
        let (sum, lost) = fast_two_sum(hi, lo);
        if sum == 0.0 || !sum.is_finite() {
            return Self { hi: sum, lo: 0.0, power: 0 };
        }
        let e = bits::exponent(sum);
        Self { hi: bits::scaled(sum, -e), lo: bits::scaled(lost, -e), power: power + e }
    }

    /// The nearest `f64`, ties to even.
    pub fn to_f64(self) -> f64 {
        if !self.hi.is_normal() {
            return self.hi;
        }
        let least_normal = f64::MIN_EXP - 1;
        if self.power >= least_normal {
            return bits::scaled(self.hi, self.power.min(1024));
        }
        // A multiple of 2^-1074. `hi` is not always between the same two neighbours as `hi + lo`,
        // and `hi` may be a tie where the sum is not.
        let whole = |x: f64| bits::scaled(x, (self.power + 1074).max(-2044));
        let (hi, lo) = (whole(self.hi), whole(self.lo));
        let nearest = hi.round_ties_even();
        let rest = hi - nearest;
        let beyond_the_tie = rest.abs() == 0.5 && lo != 0.0 && rest.signum() == lo.signum();
        let nearest = if beyond_the_tie { nearest + rest.signum() } else { nearest };
        bits::scaled(nearest, -1074)
    }

    /// The absolute value.
    #[must_use]
    pub fn abs(self) -> Self {
        if self.hi.is_sign_negative() { -self } else { self }
    }

    /// The number times 2^power, exactly.
    ///
    /// ```
    /// use xent_reference::exact::Exact;
    ///
    /// assert_eq!(Exact::from(3.0).scaled(-2000).scaled(2001).to_f64(), 6.0);
    /// ```
    #[must_use]
    pub fn scaled(self, power: i32) -> Self {
        if self.is_zero() || !self.is_finite() {
            return self;
        }
        Self { power: self.power.saturating_add(power), ..self }
    }

    /// Whether it is neither infinite nor NaN.
    pub fn is_finite(self) -> bool {
        self.hi.is_finite()
    }

    /// Whether it is NaN.
    pub fn is_nan(self) -> bool {
        self.hi.is_nan()
    }

    /// Whether it is 0 or -0.
    pub fn is_zero(self) -> bool {
        self.hi == 0.0
    }

    /// Whether it is below zero, including -∞; false for NaN.
    pub fn is_negative(self) -> bool {
        self.hi < 0.0
    }

    /// ⌊log₂|x|⌋. The smallest value for zero, the largest for infinity and NaN.
    pub(crate) fn exponent(self) -> i32 {
        if self.is_zero() {
            i32::MIN
        } else if !self.is_finite() {
            i32::MAX
        } else if self.hi.abs() == 1.0 && self.lo * self.hi < 0.0 {
            self.power - 1
        } else {
            self.power
        }
    }

    /// Whether adding `term` would leave its first 110 digits unchanged.
    pub(super) fn swallows(self, term: Self) -> bool {
        term.is_zero() || term.power < self.power - 110
    }
}

impl From<f64> for Exact {
    fn from(x: f64) -> Self {
        // Adding the 0 below would lose the sign of -0.
        if x == 0.0 { Self { hi: x, ..Self::ZERO } } else { Self::new(x, 0.0, 0) }
    }
}

impl Neg for Exact {
    type Output = Self;

    fn neg(self) -> Self {
        Self { hi: -self.hi, lo: -self.lo, power: self.power }
    }
}

impl<T: Into<Self>> Add<T> for Exact {
    type Output = Self;

    fn add(self, other: T) -> Self {
        let other = other.into();
        if self.is_zero() && other.is_zero() || !self.is_finite() || !other.is_finite() {
            return Self::from(self.hi + other.hi);
        }
        if self.is_zero() {
            return other;
        }
        if other.is_zero() {
            return self;
        }
        let (a, b) = if self.power >= other.power { (self, other) } else { (other, self) };
        let shift = a.power - b.power;
        if shift > NEGLIGIBLE {
            return a;
        }
        // M. Joldes, J.-M. Muller, V. Popescu, "Tight and rigorous error bounds for basic building
        // blocks of double-word arithmetic", ACM TOMS 44 (2017), algorithm 6.
        let align = bits::power_of_two(-shift);
        let (s, s_lost) = two_sum(a.hi, b.hi * align);
        let (t, t_lost) = two_sum(a.lo, b.lo * align);
        let (s, s_lost) = fast_two_sum(s, s_lost + t);
        Self::new(s, t_lost + s_lost, a.power)
    }
}

impl<T: Into<Self>> Sub<T> for Exact {
    type Output = Self;

    fn sub(self, other: T) -> Self {
        self + -other.into()
    }
}

impl<T: Into<Self>> Mul<T> for Exact {
    type Output = Self;

    fn mul(self, other: T) -> Self {
        let other = other.into();
        let product = self.hi * other.hi;
        if product == 0.0 || !product.is_finite() {
            return Self::from(product);
        }
        let lost = self.hi.mul_add(other.hi, -product);
        let cross = self.hi.mul_add(other.lo, self.lo * other.hi);
        Self::new(product, lost + cross, self.power + other.power)
    }
}

impl<T: Into<Self>> Div<T> for Exact {
    type Output = Self;

    fn div(self, other: T) -> Self {
        let other = other.into();
        let quotient = self.hi / other.hi;
        if quotient == 0.0 || !quotient.is_finite() {
            return Self::from(quotient);
        }
        // The remainder of self after quotient·other is subtracted; its first difference is exact.
        let product = quotient * other.hi;
        let lost = quotient.mul_add(other.hi, -product);
        let left = (self.hi - product) - lost + (-quotient).mul_add(other.lo, self.lo);
        Self::new(quotient, left / other.hi, self.power - other.power)
    }
}

impl Sum for Exact {
    fn sum<I: Iterator<Item = Self>>(terms: I) -> Self {
        terms.fold(Self::ZERO, |sum, term| sum + term)
    }
}

/// a + b and its exact rounding error (D. Knuth, TAOCP vol. 2, section 4.2.2, theorem B).
fn two_sum(a: f64, b: f64) -> (f64, f64) {
    let sum = a + b;
    let b_rounded = sum - a;
    (sum, (a - (sum - b_rounded)) + (b - b_rounded))
}

/// [`two_sum`] for |a| ≥ |b| or a = 0 (T. J. Dekker, Numerische Mathematik 18, 1971).
fn fast_two_sum(a: f64, b: f64) -> (f64, f64) {
    let sum = a + b;
    (sum, b - (sum - a))
}

#[cfg(test)]
mod tests {
    use super::*;

    const INF: f64 = f64::INFINITY;

    fn exact(x: f64) -> Exact {
        Exact::from(x)
    }

    #[test]
    fn every_f64_comes_back() {
        for x in [0.0, -0.0, 1.0, -0.1, 1e-310, f64::from_bits(1), f64::MAX, f64::MIN, INF, -INF] {
            assert_eq!(exact(x).to_f64().to_bits(), x.to_bits(), "{x:e}");
        }
        assert!(exact(f64::NAN).to_f64().is_nan());
    }

    #[test]
    fn sums_and_products_of_two_f64_are_exact() {
        let (a, b) = (1.0 + f64::EPSILON, 1.0 - f64::EPSILON);
        assert_eq!(exact(a) * b - 1.0, exact(-f64::EPSILON * f64::EPSILON));
        assert_eq!(exact(1e30) + 1e-10 - 1e30, exact(1e-10));
        assert_eq!(exact(1.0) - 0.1 - 1.0, exact(-0.1));
    }

    #[test]
    fn a_quotient_times_its_divisor_is_the_dividend() {
        let mut divisor = 1e-300;
        while divisor < 1e300 {
            let error = (exact(0.7) / divisor * divisor / 0.7 - 1.0).abs().to_f64();
            assert!(error < 2.0_f64.powi(-101), "{divisor:e}: {error:e}");
            divisor *= 137.123;
        }
    }

    #[test]
    fn nothing_overflows_or_underflows() {
        let square = exact(f64::MAX) * f64::MAX;
        assert_eq!((square / f64::MAX).to_f64(), f64::MAX);
        let tiny = exact(1e-300) * 1e-300 * 3.0;
        assert_eq!(tiny.to_f64(), 0.0);
        assert_eq!((tiny / 1e-300 / 1e-300).to_f64(), 3.0);
        assert_eq!((exact(f64::MAX) - f64::MIN).to_f64(), INF);
        assert_eq!((exact(f64::MAX) - f64::MIN - f64::MAX).to_f64(), f64::MAX);
    }

    #[test]
    fn a_subnormal_result_is_rounded_once() {
        let least = |halves: f64| exact(halves).scaled(-1075);
        let unit = f64::from_bits(1);
        assert_eq!(least(1.0).to_f64(), 0.0);
        assert_eq!((least(1.0) + least(1e-30)).to_f64(), unit);
        assert_eq!(least(3.0).to_f64(), 2.0 * unit);
        assert_eq!((least(3.0) - least(1e-30)).to_f64(), unit);
        assert_eq!((-least(5.0) - least(1e-30)).to_f64(), -3.0 * unit);
        assert_eq!(exact(1.0).scaled(i32::MIN / 2).to_f64(), 0.0);
    }

    #[test]
    fn infinity_is_what_is_nearer_to_2_to_the_1024_than_to_the_largest() {
        let limit = exact(f64::MAX) + 2.0_f64.powi(970);
        assert_eq!(limit.to_f64(), INF);
        assert_eq!((limit - 2.0_f64.powi(920)).to_f64(), f64::MAX);
        assert_eq!((-limit).to_f64(), -INF);
    }

    #[test]
    fn what_is_not_finite_follows_ieee() {
        assert_eq!(exact(INF) + 1.0, exact(INF));
        assert!((exact(INF) - INF).is_nan() && (exact(0.0) * INF).is_nan());
        assert!((exact(0.0) / 0.0).is_nan() && (exact(f64::NAN) + 1.0).is_nan());
        assert_eq!(exact(-1.0) / 0.0, exact(-INF));
        assert_eq!(exact(1.0) / INF, Exact::ZERO);
        assert!((Exact::ZERO - 0.0).to_f64().is_sign_positive());
    }

    #[test]
    fn the_exponent_is_that_of_the_whole_number() {
        assert_eq!(exact(1.0).exponent(), 0);
        assert_eq!((exact(1.0) - 1e-30).exponent(), -1);
        assert_eq!((exact(-1.0) + 1e-30).exponent(), -1);
        assert_eq!((exact(1.0) + 1e-30).exponent(), 0);
        assert!(Exact::ZERO.exponent() < -5000 && exact(INF).exponent() > 5000);
    }
}
