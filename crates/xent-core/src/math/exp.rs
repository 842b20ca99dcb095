//! The exponential.
//!
//! With `n = round(x log2 e)` and `t = x - n ln 2`, `e^x = 2^n e^t` and `|t| <= ln 2 / 2` (two-step reduction: W.
//! J. Cody and W. Waite, "Software Manual for the Elementary Functions", 1980). Adding 1.5 · 2^23 (in f64 1.5 ·
//! 2^52) to `x log2 e` rounds it to an integer, which ends up in the lowest bits of the sum; one shift makes it an
//! exponent field. The added constant also contains the exponent's bias, and `SCALE_EXPONENT`, which multiplies the
//! result by `2^SCALE_EXPONENT` at no extra cost: 32 in f32 and 64 in f64.

use super::polynomial;
use crate::simd::Vector;
use crate::tables::Tables;

/// `2^(n + exponent) e^t` for an argument whose scaled result has an exponent field of 0 to 254.
#[inline(always)]
fn reduced<V: Vector>(token: V::Token, x: V, rounder: V) -> V {
    let shifted = x.mul_add(V::splat(token, V::Scalar::LOG2_E), rounder);
    let scale = shifted.shift_into_exponent();
    let n = shifted - rounder;
    let [high, low] = V::Scalar::LN_2;
    let t = n.mul_add(V::splat(token, -high), x);
    let t = n.mul_add(V::splat(token, -low), t);
    (scale * t).mul_add(polynomial(token, t, V::Scalar::EXP), scale)
}

/// `2^SCALE_EXPONENT e^x` for `x <= 0`; exactly `2^SCALE_EXPONENT` at zero, and exactly zero below `LOWEST`.
///
/// Scaled, the exponentials of a row keep their relative accuracy down to the smallest float, and so do values
/// computed from them. NaN stays NaN.
#[inline(always)]
pub(crate) fn exp_scaled<V: Vector>(token: V::Token, x: V) -> V {
    let x = V::of(token, V::Scalar::LOWEST).max(x);
    reduced(token, x, rounder(token, V::Scalar::SCALE_EXPONENT))
}

/// The term that makes an exponent field larger by that much.
#[inline(always)]
fn rounder<V: Vector>(token: V::Token, exponent: f64) -> V {
    V::of(token, V::Scalar::ROUNDER + V::Scalar::BIAS + exponent)
}

/// `e^x` for every `x`; overflows to infinity, underflows gradually.
#[inline(always)]
pub(crate) fn exp<V: Vector>(token: V::Token, x: V) -> V {
    let x = V::of(token, V::Scalar::LOWEST).max(x);
    let x = V::of(token, -V::Scalar::LOWEST).min(x);
    // Positive arguments are lowered instead of scaled, so that only the last product overflows.
    let negative = x.less(V::of(token, 0.0));
    let scaled = rounder(token, V::Scalar::SCALE_EXPONENT);
    let lowered = rounder(token, -V::Scalar::SCALE_EXPONENT);
    let power = reduced(token, x, V::select(negative, scaled, lowered));
    power * V::select(negative, V::of(token, V::Scalar::UNSCALE), V::of(token, V::Scalar::SCALE))
}
