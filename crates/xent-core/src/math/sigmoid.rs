//! The logistic function and softplus, from one exponential.

use super::exp::{LIFTED_ONE, UNLIFT, exp_lifted};
use super::ln::log1p_unit;
use crate::simd::Lanes;

/// What the sigmoid losses are made of, for one logit `x`.
pub(crate) struct Logistic<V> {
    /// `2^32 σ(x)`: the probability of a positive, which is never subnormal.
    pub(crate) positive: V,
    /// `2^32 σ(-x)`, without the cancellation of `1 - σ(x)`.
    pub(crate) negative: V,
    /// `ln(1 + e^-|x|)`: softplus without its linear part.
    pub(crate) log1p: V,
}

/// `z = e^-|x|` is at most one, so nothing overflows, and both probabilities come from it:
/// `1 / (1 + z)` and `z / (1 + z)`. NaN stays NaN.
#[inline(always)]
pub(crate) fn logistic<V: Lanes<Scalar = f32>>(token: V::Token, x: V) -> Logistic<V> {
    let zero = V::splat(token, 0.0);
    let lifted = exp_lifted(token, zero - x.abs());
    let z = lifted * V::splat(token, UNLIFT);
    let sum = V::splat(token, 1.0) + z;
    let likely = V::splat(token, LIFTED_ONE) / sum;
    let unlikely = lifted / sum;
    let below = x.less(zero);
    Logistic {
        positive: V::select(below, unlikely, likely),
        negative: V::select(below, likely, unlikely),
        log1p: log1p_unit(token, z),
    }
}

/// `σ(x)`.
#[inline(always)]
pub(crate) fn sigmoid<V: Lanes<Scalar = f32>>(token: V::Token, x: V) -> V {
    logistic(token, x).positive * V::splat(token, UNLIFT)
}
