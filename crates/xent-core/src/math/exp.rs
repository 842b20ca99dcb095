//! The exponential.
//!
//! With `n = round(x log2 e)` and `t = x - n ln 2`, `e^x = 2^n e^t` and `|t| <= ln 2 / 2` (two-step
//! reduction: W. J. Cody and W. Waite, "Software Manual for the Elementary Functions", 1980).
//! Adding 1.5 · 2^23 to `x log2 e` rounds it to an integer and leaves that integer in the lowest
//! bits of the sum, where one shift makes an exponent field of it. The constant added also carries
//! the exponent's bias, and one more shift of the exponent for free: `2^LIFT`.

use super::polynomial;
use crate::simd::Vector;

/// How far [`exp_lifted`] moves its result away from the subnormal numbers: exponents below are
/// computed in full down to `2^-158`, although f32 ends at `2^-149`.
const LIFT: i32 = 32;

/// `2^LIFT`.
pub(crate) const LIFTED_ONE: f32 = 4_294_967_296.0;

/// `2^-LIFT`.
pub(crate) const UNLIFT: f32 = 1.0 / LIFTED_ONE;

/// Below, the lifted exponent field is zero and so is the result. It rounds to `n = -127 - LIFT`.
const LOWEST: f32 = -110.25;

/// 1.5 · 2^23: the float whose unit in the last place is one, with room for negative `n`.
const ROUNDER: f32 = 12_582_912.0;

/// The exponent's bias in f32.
const BIAS: f32 = 127.0;

/// `ln 2` in two parts; the products of the first with `|n| <= 256` are exact.
const LN_2_HIGH: f32 = 0.693_145_75;
const LN_2_LOW: f32 = 1.428_606_8e-6;

/// `(e^t - 1) / t` on `|t| <= ln 2 / 2`; relative error of `e^t` 2^-28.2.
const EXP: [f32; 6] =
    [1.0, 0.499_999_94, 0.166_665_21, 0.041_668_26, 0.008_368_669, 0.001_382_128_9];

/// `2^(n + lift) e^t` for an argument whose lifted result has an exponent field of 0 to 254.
#[inline(always)]
fn reduced<V: Vector<Scalar = f32>>(token: V::Token, x: V, rounder: V) -> V {
    let shifted = x.mul_add(V::splat(token, core::f32::consts::LOG2_E), rounder);
    let scale = shifted.shift_into_exponent();
    let n = shifted - rounder;
    let t = n.mul_add(V::splat(token, -LN_2_HIGH), x);
    let t = n.mul_add(V::splat(token, -LN_2_LOW), t);
    (scale * t).mul_add(polynomial(token, t, &EXP), scale)
}

/// `2^32 e^x` for `x <= 0`; exactly `2^32` at zero, and exactly zero below -110.25.
///
/// Lifted, the exponentials of a row keep their relative accuracy down to the smallest f32, and so
/// does what is made of them. NaN stays NaN.
#[inline(always)]
pub(crate) fn exp_lifted<V: Vector<Scalar = f32>>(token: V::Token, x: V) -> V {
    let x = V::splat(token, LOWEST).max(x);
    reduced(token, x, V::splat(token, ROUNDER + BIAS + LIFT as f32))
}

/// `e^x` for every `x`; overflows to infinity, underflows gradually.
#[inline(always)]
pub(crate) fn exp<V: Vector<Scalar = f32>>(token: V::Token, x: V) -> V {
    let x = V::splat(token, LOWEST).max(x);
    let x = V::splat(token, -LOWEST).min(x);
    // Positive arguments are lowered instead of lifted, so that only the last product overflows.
    let negative = x.less(V::splat(token, 0.0));
    let lifted = V::splat(token, ROUNDER + BIAS + LIFT as f32);
    let lowered = V::splat(token, ROUNDER + BIAS - LIFT as f32);
    let scaled = reduced(token, x, V::select(negative, lifted, lowered));
    scaled * V::select(negative, V::splat(token, UNLIFT), V::splat(token, LIFTED_ONE))
}
