//! The hyperbolic tangent.

use super::exp::{UNLIFT, exp_lifted};
use super::polynomial;
use crate::simd::Vector;

/// A value and its derivative, from one exponential.
pub(crate) struct Tanh<V> {
    pub(crate) value: V,
    /// `1 - tanh² x`, without the cancellation.
    pub(crate) derivative: V,
}

/// Below, `x + x^3 p(x^2)` is used, as `1 - e^-2|x|` cancels.
const SMALL: f32 = 0.625;

/// `(tanh x - x) / x^3` in `x^2` on [0, 0.390625]; relative error of `tanh` 2^-27.7.
const TANH: [f32; 5] = [-0.333_332_8, 0.133_314_06, -0.053_736_515, 0.020_628_167, -0.005_692_296];

/// With `u = e^-2|x|`: `(1 - u) / (1 + u)` and `4 u / (1 + u)^2`. NaN stays NaN.
#[inline(always)]
pub(crate) fn tanh<V: Vector<Scalar = f32>>(token: V::Token, x: V) -> Tanh<V> {
    let zero = V::splat(token, 0.0);
    let one = V::splat(token, 1.0);
    let magnitude = x.abs();
    let u = exp_lifted(token, zero - (magnitude + magnitude)) * V::splat(token, UNLIFT);
    let inverse = one / (one + u);
    let far = (one - u) * inverse;
    let far = V::select(x.less(zero), zero - far, far);
    let square = x * x;
    let near = (square * x).mul_add(polynomial(token, square, &TANH), x);
    let value = V::select(magnitude.less(V::splat(token, SMALL)), near, far);
    let four = V::splat(token, 4.0);
    Tanh { value, derivative: four * u * inverse * inverse }
}
