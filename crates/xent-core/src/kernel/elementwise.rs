//! One function of every element of a slice.

use crate::simd::Lanes;

/// `out = f(x)`; `f` is a unit struct, so that its body is inlined where the level is known.
#[inline(always)]
pub(crate) fn map<V: Lanes, F: Function>(token: V::Token, x: &[V::Scalar], out: &mut [V::Scalar]) {
    let fill = V::of(token, 1.0);
    let (whole, rest) = x.as_chunks::<16>();
    let (whole_out, rest_out) = out.as_chunks_mut::<16>();
    for (x, out) in whole.iter().zip(whole_out) {
        for (x, out) in x.chunks(V::LANES).zip(out.chunks_mut(V::LANES)) {
            F::of(token, V::load(token, x, fill)).store(out);
        }
    }
    for (x, out) in rest.chunks(V::LANES).zip(rest_out.chunks_mut(V::LANES)) {
        F::of(token, V::load(token, x, fill)).store(out);
    }
}

pub(crate) trait Function {
    fn of<V: Lanes>(token: V::Token, x: V) -> V;
}
