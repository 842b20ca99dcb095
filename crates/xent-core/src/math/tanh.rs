//! The hyperbolic tangent.

use super::exp::exp_scaled;
use super::polynomial;
use crate::simd::Vector;
use crate::tables::Tables;

/// A value and its derivative, from one exponential.
pub(crate) struct Tanh<V> {
    pub(crate) value: V,
    /// `1 - tanh² x`, without the cancellation.
    pub(crate) derivative: V,
}

/// Below this, `x + x^3 p(x^2)` is used, because `1 - e^-2|x|` would cancel.
pub(super) const SMALL: f64 = 0.625;

/// With `u = e^-2|x|`: `(1 - u) / (1 + u)` and `4 u / (1 + u)^2`. NaN stays NaN.
#[inline(always)]
pub(crate) fn tanh<V: Vector>(token: V::Token, x: V) -> Tanh<V> {
    let zero = V::of(token, 0.0);
    let one = V::of(token, 1.0);
    let magnitude = x.abs();
    let u = exp_scaled(token, zero - (magnitude + magnitude)) * V::of(token, V::Scalar::UNSCALE);
    let inverse = one / (one + u);
    let far = (one - u) * inverse;
    let far = V::select(x.less(zero), zero - far, far);
    let square = x * x;
    let near = (square * x).mul_add(polynomial(token, square, V::Scalar::TANH), x);
    let value = V::select(magnitude.less(V::of(token, SMALL)), near, far);
    let four = V::of(token, 4.0);
    Tanh { value, derivative: four * u * inverse * inverse }
}
