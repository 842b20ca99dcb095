//! The oracle with about 104 binary digits, to judge an `f64`.
//!
//! The other modules compute in `f64`, to about 1e-15: enough to judge an `f32`, but no better than
//! an `f64` kernel itself. Here the same formulas are computed with [`Exact`] numbers, for the
//! losses that have such kernels. The input is an `f64`, taken as exact.
//!
//! | answers | relative error |
//! |---|---|
//! | [`exp`], [`ln`], [`ln_1p`], [`sigmoid::sigmoid`], [`sigmoid::softplus`] | below 1e-28 |
//! | [`softmax`], for rows of 2²⁰ classes | below 1e-25 |
//!
//! If the terms of a loss or a gradient differ in sign, this error is relative to the larger term.
//! Nothing overflows, and nothing becomes subnormal: [`Exact::to_f64`] rounds once, at the end.
//!
//! ```
//! use xent_reference::{exact, softmax::cross_entropy, targets::one_hot, ulp::error_f64};
//!
//! let (x, q) = ([0.5, -1.25, 2.0], one_hot(3, 0, 1.0));
//! let exact = exact::softmax::cross_entropy(&x, &q);
//! assert!(error_f64(cross_entropy(&x, &q).loss, exact.loss) < 4.0);
//! ```

mod number;
pub mod sigmoid;
pub mod softmax;

pub use number::Exact;

use number::LN_2;

/// e^x, 0 at -∞ and +∞ at +∞. From |x| = 2¹⁶ on it is also 0 or +∞.
///
/// If k is the integer nearest to x/ln 2, the result is 2^k times the Taylor series of the
/// remainder. The relative error is below 1e-28 if the result is in the range of `f64`, and 1e-27
/// at the limits.
///
/// ```
/// use xent_reference::exact::exp;
///
/// assert_eq!(exp(1.0).to_f64(), core::f64::consts::E);
/// assert_eq!((exp(-800.0) * exp(800.0)).to_f64(), 1.0);
/// ```
pub fn exp(x: impl Into<Exact>) -> Exact {
    let x = x.into();
    if x.is_nan() {
        return x;
    }
    if x.exponent() >= 16 {
        return if x.is_negative() { Exact::ZERO } else { Exact::from(f64::INFINITY) };
    }
    let k = (x.to_f64() / core::f64::consts::LN_2).round();
    let rest = x - LN_2 * k;
    let (mut sum, mut term, mut n) = (Exact::ONE, rest, 1.0);
    while !sum.swallows(term) {
        sum = sum + term;
        n += 1.0;
        term = term * rest / n;
    }
    sum.scaled(k as i32)
}

/// The natural logarithm: -∞ at 0, NaN below.
///
/// With x = 2^k·m for m in √½..√2, it is k·ln 2 + 2·atanh((m - 1)/(m + 1)). Around x = 1 the first
/// term is 0 and m - 1 is exact, so the result keeps its relative accuracy.
///
/// ```
/// use xent_reference::exact::ln;
///
/// assert_eq!(ln(2.0).to_f64(), core::f64::consts::LN_2);
/// assert_eq!(ln(1.0), 0.0.into());
/// ```
pub fn ln(x: impl Into<Exact>) -> Exact {
    let x = x.into();
    if x.is_zero() {
        return Exact::from(f64::NEG_INFINITY);
    }
    if x.is_negative() {
        return Exact::from(f64::NAN);
    }
    if !x.is_finite() {
        return x;
    }
    let below = x.exponent();
    let k = if x.scaled(-below).to_f64() > core::f64::consts::SQRT_2 { below + 1 } else { below };
    let m = x.scaled(-k);
    LN_2 * f64::from(k) + twice_atanh((m - 1.0) / (m + 1.0))
}

/// ln(1 + x): -∞ at -1, NaN below. It keeps full relative accuracy if x is tiny.
///
/// For |x| < ¼ it is 2·atanh(x/(2 + x)), otherwise [`ln`] of the sum.
///
/// ```
/// use xent_reference::exact::ln_1p;
///
/// assert_eq!(ln_1p(1e-300).to_f64(), 1e-300);
/// ```
pub fn ln_1p(x: impl Into<Exact>) -> Exact {
    let x = x.into();
    if x.is_zero() {
        x
    } else if x.exponent() < -2 {
        twice_atanh(x / (x + 2.0))
    } else {
        ln(x + 1.0)
    }
}

/// `2·atanh(s) = ln((1 + s)/(1 - s)) = 2·(s + s³/3 + s⁵/5 + …)` for |s| below 0.18.
fn twice_atanh(s: Exact) -> Exact {
    let square = s * s;
    let (mut sum, mut power, mut n) = (s, s * square, 3.0);
    while !sum.swallows(power / n) {
        sum = sum + power / n;
        n += 2.0;
        power = power * square;
    }
    sum.scaled(1)
}

/// a·b with 0·∞ = 0, as in the rest of the crate.
fn times(a: impl Into<Exact>, b: impl Into<Exact>) -> Exact {
    let (a, b) = (a.into(), b.into());
    let both_finite = a.is_finite() && b.is_finite();
    if !both_finite && (a.is_zero() || b.is_zero()) && !a.is_nan() && !b.is_nan() {
        return Exact::ZERO;
    }
    a * b
}

#[cfg(test)]
mod tests {
    use super::*;

    const INF: f64 = f64::INFINITY;

    #[test]
    fn the_limits_of_the_exponential_and_the_logarithms() {
        for (got, want) in [
            (exp(0.0), 1.0),
            (exp(-0.0), 1.0),
            (exp(-INF), 0.0),
            (exp(INF), INF),
            (exp(-1e30), 0.0),
            (exp(f64::MAX), INF),
            (exp(710.0), INF),
            (exp(f64::from_bits(1)), 1.0),
            (ln(0.0), -INF),
            (ln(1.0), 0.0),
            (ln(INF), INF),
            (ln_1p(-1.0), -INF),
            (ln_1p(INF), INF),
            (ln_1p(-0.0), -0.0),
            (ln_1p(f64::from_bits(1)), f64::from_bits(1)),
        ] {
            assert_eq!(got.to_f64(), want);
        }
        for nan in [exp(f64::NAN), ln(f64::NAN), ln(-1.0), ln(-INF), ln_1p(f64::NAN), ln_1p(-1.5)] {
            assert!(nan.is_nan());
        }
    }

    #[test]
    fn an_exponential_beyond_f64_keeps_its_digits() {
        let product = exp(-60_000.0) * exp(60_000.0);
        assert!((product - 1.0).abs().to_f64() < 1e-27);
        assert!(exp(-60_000.0).exponent() < -80_000);
    }

    #[test]
    fn the_logarithm_undoes_the_exponential() {
        let mut x = -740.0;
        while x < 740.0 {
            let error = (ln(exp(x)) - x).abs().to_f64();
            assert!(error < 1e-28 * f64::max(1.0, x.abs()), "{x}: {error:e}");
            x += 7.3;
        }
    }

    #[test]
    fn zero_times_infinity_is_zero_and_times_nan_is_nan() {
        assert_eq!(times(0.0, -INF), Exact::ZERO);
        assert_eq!(times(INF, 0.0), Exact::ZERO);
        assert_eq!(times(-2.0, INF), Exact::from(-INF));
        assert!(times(0.0, f64::NAN).is_nan());
    }
}
