//! The logistic function and softplus, from one exponential.

use super::exp::exp_scaled;
use super::ln::log1p_unit;
use crate::simd::Vector;
use crate::tables::Tables;

/// The values that the sigmoid losses need, for one logit `x`. The probabilities stay fractions, so
/// that their difference needs one division, not two.
#[derive(Clone, Copy)]
pub(crate) struct Logistic<V> {
    /// `2^SCALE_EXPONENT σ(x) sum`: the probability of a positive, never subnormal.
    positive: V,
    /// `2^SCALE_EXPONENT σ(-x) sum`, without the cancellation of `1 - σ(x)`.
    negative: V,
    /// `1 + e^-|x|`.
    sum: V,
    /// `ln(1 + e^-|x|)`: softplus without its linear part.
    pub(crate) log1p: V,
}

impl<V: Vector> Logistic<V> {
    /// `2^SCALE_EXPONENT σ(x)`.
    #[inline(always)]
    pub(crate) fn positive(&self) -> V {
        self.positive / self.sum
    }

    /// `2^SCALE_EXPONENT σ(-x)`.
    #[inline(always)]
    pub(crate) fn negative(&self) -> V {
        self.negative / self.sum
    }

    /// `2^SCALE_EXPONENT (a σ(x) - b σ(-x))`.
    #[inline(always)]
    pub(crate) fn difference(&self, token: V::Token, a: V, b: V) -> V {
        let minus = V::of(token, 0.0) - b * self.negative;
        a.mul_add(self.positive, minus) / self.sum
    }

    /// [`difference`](Self::difference), by the [`inverse`](Self::inverse): one more rounding, but
    /// one division serves several quotients.
    #[inline(always)]
    pub(crate) fn difference_over(&self, token: V::Token, a: V, b: V, inverse: V) -> V {
        let minus = V::of(token, 0.0) - b * self.negative;
        a.mul_add(self.positive, minus) * inverse
    }

    /// `1 / (1 + e^-|x|)`.
    #[inline(always)]
    pub(crate) fn inverse(&self, token: V::Token) -> V {
        V::of(token, 1.0) / self.sum
    }

    /// `2^SCALE_EXPONENT (1 + e^-|x|) (a σ(x) + b σ(-x))`.
    #[inline(always)]
    pub(crate) fn mean(&self, a: V, b: V) -> V {
        a * self.positive + b * self.negative
    }

    /// `2^SCALE_EXPONENT (1 + e^-|x|)` times the smaller of `σ(x)` and `σ(-x)`, and times the larger.
    #[inline(always)]
    pub(crate) fn ordered(&self) -> (V, V) {
        (self.positive.min(self.negative), self.positive.max(self.negative))
    }
}

/// `2^SCALE_EXPONENT e^-|x|`, the one exponential.
#[inline(always)]
pub(crate) fn exponential<V: Vector>(token: V::Token, x: V) -> V {
    exp_scaled(token, V::of(token, 0.0) - x.abs())
}

/// `z = e^-|x|` is at most one, so nothing overflows, and both probabilities follow from it: `1 /
/// (1 + z)` and `z / (1 + z)`. NaN stays NaN. `scaled` is the [`exponential`] of `x`.
#[inline(always)]
pub(crate) fn logistic<V: Vector>(token: V::Token, x: V, scaled: V) -> Logistic<V> {
    let zero = V::of(token, 0.0);
    let z = scaled * V::of(token, V::Scalar::UNSCALE);
    let likely = V::of(token, V::Scalar::SCALE);
    let below = x.less(zero);
    Logistic {
        positive: V::select(below, scaled, likely),
        negative: V::select(below, likely, scaled),
        sum: V::of(token, 1.0) + z,
        log1p: log1p_unit(token, z),
    }
}

/// `σ(x)`.
#[inline(always)]
pub(crate) fn sigmoid<V: Vector>(token: V::Token, x: V) -> V {
    logistic(token, x, exponential(token, x)).positive() * V::of(token, V::Scalar::UNSCALE)
}
