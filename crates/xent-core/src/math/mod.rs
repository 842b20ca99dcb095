//! Elementary functions, generic over the vectors of a level.
//!
//! Bounds are in units in the last place of the exact result, over all f32 (and many f64) inputs,
//! checked by `cargo xtask ulp`.

pub(crate) mod exp;
pub(crate) mod ln;
pub(crate) mod scalar;
pub(crate) mod sigmoid;
pub(crate) mod tanh;

use crate::simd::Vector;

/// `c[0] + c[1] x + … + c[N-1] x^(N-1)` by Horner's rule.
#[inline(always)]
fn polynomial<V: Vector>(token: V::Token, x: V, coefficients: &[V::Scalar]) -> V {
    let Some((&last, others)) = coefficients.split_last() else { return V::of(token, 0.0) };
    let mut sum = V::splat(token, last);
    for &coefficient in others.iter().rev() {
        sum = sum.mul_add(x, V::splat(token, coefficient));
    }
    sum
}
