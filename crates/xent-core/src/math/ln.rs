//! Logarithms.

use super::polynomial;
use crate::simd::Vector;

/// `ln 2` in two parts; the products of the first with `|n| <= 256` are exact.
const LN_2_HIGH: f32 = 0.693_145_75;
const LN_2_LOW: f32 = 1.428_606_8e-6;

/// `(log1p(u) - u + u^2 / 2) / u^3` on [0, 1]; relative error of `log1p` 2^-26.9.
const LOG1P: [f32; 8] = [
    0.333_322_5,
    -0.249_750_78,
    0.197_741_76,
    -0.155_69,
    0.110_240_45,
    -0.060_909_12,
    0.021_868_002,
    -0.003_675_639_2,
];

/// `(ln(1 + f) - f + f^2 / 2) / f^3` on [√½ - 1, √2 - 1]; relative error of `ln` 2^-27.3.
const LN: [f32; 8] = [
    0.333_333_3,
    -0.250_008_2,
    0.200_012_42,
    -0.166_234_1,
    0.142_015_86,
    -0.131_596,
    0.127_621_44,
    -0.076_363_56,
];

/// `f - f^2 / 2 + f^3 r(f)`.
#[inline(always)]
fn series<V: Vector<Scalar = f32>>(token: V::Token, f: V, r: &[f32; 8]) -> V {
    let q = polynomial(token, f, r).mul_add(f, V::splat(token, -0.5));
    (f * f).mul_add(q, f)
}

/// `ln(1 + u)` for `u` in [0, 1]. NaN stays NaN.
#[inline(always)]
pub(crate) fn log1p_unit<V: Vector<Scalar = f32>>(token: V::Token, u: V) -> V {
    series(token, u, &LOG1P)
}

/// `ln(m 2^k (1 + c))` for a tiny `c`, `m` and `k` from [`Vector::split_exponent`].
#[inline(always)]
fn ln_parts<V: Vector<Scalar = f32>>(token: V::Token, m: V, k: V, c: V) -> V {
    let f = m - V::splat(token, 1.0);
    let small = series(token, f, &LN) + k.mul_add(V::splat(token, LN_2_LOW), c);
    k.mul_add(V::splat(token, LN_2_HIGH), small)
}

/// The limits of a logarithm: `-inf` at zero, `+inf` at `+inf`, NaN below zero and for NaN.
#[inline(always)]
fn with_limits<V: Vector<Scalar = f32>>(token: V::Token, x: V, ln: V) -> V {
    let zero = V::splat(token, 0.0);
    let infinity = V::splat(token, f32::INFINITY);
    // `x - x` is NaN for both infinities, `x / 0` for NaN; a negative number has no logarithm.
    let ln = V::select(x.less(infinity), ln, x);
    let ln = V::select(x.less(zero), V::splat(token, f32::NAN), ln);
    V::select(x.equal(zero), V::splat(token, f32::NEG_INFINITY), ln)
}

/// `ln x` for a positive normal number.
#[inline(always)]
pub(crate) fn ln_normal<V: Vector<Scalar = f32>>(token: V::Token, x: V) -> V {
    let (m, k) = x.split_exponent();
    ln_parts(token, m, k, V::splat(token, 0.0))
}

/// `ln x` for every `x`, subnormal numbers included.
#[inline(always)]
pub(crate) fn ln<V: Vector<Scalar = f32>>(token: V::Token, x: V) -> V {
    const TWO_TO_23: f32 = 8_388_608.0;
    let subnormal = x.less(V::splat(token, f32::MIN_POSITIVE));
    let normal = V::select(subnormal, x * V::splat(token, TWO_TO_23), x);
    let (m, k) = normal.split_exponent();
    let k = V::select(subnormal, k - V::splat(token, 23.0), k);
    with_limits(token, x, ln_parts(token, m, k, V::splat(token, 0.0)))
}

/// `ln(1 + u)` for every `u >= -1`.
#[inline(always)]
pub(crate) fn log1p<V: Vector<Scalar = f32>>(token: V::Token, u: V) -> V {
    let one = V::splat(token, 1.0);
    let zero = V::splat(token, 0.0);
    // Outside of [0, 1]: the logarithm of the rounded sum, corrected by what rounding lost.
    let sum = one + u;
    let lost = V::select(u.less(one), u - (sum - one), one - (sum - u));
    let (m, k) = sum.split_exponent();
    let general = with_limits(token, sum, ln_parts(token, m, k, lost / sum));
    // Close to zero the first term of the series is all there is.
    let tiny = u.abs().less(V::splat(token, 1.0 / 16_777_216.0));
    let general = V::select(tiny, u, general);
    let inside = V::select(u.less(zero), zero, u);
    let unit = log1p_unit(token, one.min(inside));
    V::select(u.less(zero), general, V::select(one.less(u), general, unit))
}
