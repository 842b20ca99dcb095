//! Logarithms.

use super::polynomial;
use crate::simd::Vector;
use crate::tables::Tables;

/// `f - f^2 / 2 + f^3 r(f)`.
#[inline(always)]
fn series<V: Vector>(token: V::Token, f: V, r: &[V::Scalar]) -> V {
    let q = polynomial(token, f, r).mul_add(f, V::of(token, -0.5));
    (f * f).mul_add(q, f)
}

/// `ln(1 + u)` for `u` in [0, 1]. NaN stays NaN.
#[inline(always)]
pub(crate) fn log1p_unit<V: Vector>(token: V::Token, u: V) -> V {
    series(token, u, V::Scalar::LOG1P)
}

/// `ln(m 2^k (1 + c))` for a tiny `c`, `m` and `k` from [`Vector::split_exponent`].
#[inline(always)]
fn ln_parts<V: Vector>(token: V::Token, m: V, k: V, c: V) -> V {
    let f = m - V::of(token, 1.0);
    let [high, low] = V::Scalar::LN_2;
    let small = series(token, f, V::Scalar::LN) + k.mul_add(V::splat(token, low), c);
    k.mul_add(V::splat(token, high), small)
}

/// The limits of a logarithm: `-inf` at zero, `+inf` at `+inf`, NaN below zero and for NaN.
#[inline(always)]
fn with_limits<V: Vector>(token: V::Token, x: V, ln: V) -> V {
    let zero = V::of(token, 0.0);
    let infinity = V::of(token, f64::INFINITY);
    // `+inf` and NaN are their own results; negative numbers have no logarithm.
    let ln = V::select(x.less(infinity), ln, x);
    let ln = V::select(x.less(zero), V::of(token, f64::NAN), ln);
    V::select(x.equal(zero), V::of(token, f64::NEG_INFINITY), ln)
}

/// `ln x` for a positive normal number.
#[inline(always)]
pub(crate) fn ln_normal<V: Vector>(token: V::Token, x: V) -> V {
    let (m, k) = x.split_exponent();
    ln_parts(token, m, k, V::of(token, 0.0))
}

/// `ln x` for every `x`, subnormal numbers included.
#[inline(always)]
pub(crate) fn ln<V: Vector>(token: V::Token, x: V) -> V {
    let [exponent, power] = V::Scalar::SUBNORMAL;
    let subnormal = x.less(V::of(token, V::Scalar::LEAST_NORMAL));
    let normal = V::select(subnormal, x * V::of(token, power), x);
    let (m, k) = normal.split_exponent();
    let k = V::select(subnormal, k - V::of(token, exponent), k);
    with_limits(token, x, ln_parts(token, m, k, V::of(token, 0.0)))
}

/// `ln(1 + u)` for every `u >= -1`.
#[inline(always)]
pub(crate) fn log1p<V: Vector>(token: V::Token, u: V) -> V {
    let one = V::of(token, 1.0);
    let zero = V::of(token, 0.0);
    // Outside [0, 1]: the logarithm of the rounded sum, corrected by its rounding error.
    let sum = one + u;
    let lost = V::select(u.less(one), u - (sum - one), one - (sum - u));
    let (m, k) = sum.split_exponent();
    let general = with_limits(token, sum, ln_parts(token, m, k, lost / sum));
    // Close to zero the first term of the series is enough.
    let tiny = u.abs().less(V::of(token, V::Scalar::HALF_EPSILON));
    let general = V::select(tiny, u, general);
    let inside = V::select(u.less(zero), zero, u);
    let unit = log1p_unit(token, one.min(inside));
    V::select(u.less(zero), general, V::select(one.less(u), general, unit))
}
