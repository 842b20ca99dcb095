//! Elementary functions, generic over the vectors of a level.
//!
//! The polynomials are minimax fits (E. Y. Remez, 1934) whose coefficients were rounded one by one
//! to the target format; `tools/minimax.py` derives them and prints their errors. Bounds are in
//! units in the last place of the exact result, over all f32 inputs, kept by `cargo xtask ulp`.

pub(crate) mod exp;
pub(crate) mod ln;
pub(crate) mod scalar;
pub(crate) mod sigmoid;
pub(crate) mod tanh;

use crate::simd::Vector;

/// `c[0] + c[1] x + … + c[N-1] x^(N-1)` by Horner's rule.
#[inline(always)]
fn polynomial<V: Vector<Scalar = f32>, const N: usize>(
    token: V::Token,
    x: V,
    coefficients: &[f32; N],
) -> V {
    let mut sum = V::splat(token, coefficients[N - 1]);
    for &coefficient in coefficients[..N - 1].iter().rev() {
        sum = sum.mul_add(x, V::splat(token, coefficient));
    }
    sum
}
