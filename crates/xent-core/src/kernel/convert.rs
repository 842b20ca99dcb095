//! Slices of 16-bit numbers, to f32 and back.

use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};

use crate::dispatch::{Kernel, entries};
use crate::kernel::sum::TILE;
use crate::simd::{ACCUMULATORS, Convert, Lanes, Simd, Vector, from, from_mut};

/// A 16-bit format.
pub(crate) trait Sixteen: Sized {
    fn bits(slice: &[Self]) -> &[u16];

    fn bits_mut(slice: &mut [Self]) -> &mut [u16];

    fn load<V: Convert>(token: V::Token, bits: &[u16]) -> [V; 2];

    fn store<V: Convert>(pair: [V; 2], bits: &mut [u16]);
}

macro_rules! sixteen_bit {
    ($element:ident: $from:ident, $to:ident) => {
        impl Sixteen for $element {
            #[inline(always)]
            fn bits(slice: &[Self]) -> &[u16] {
                slice.reinterpret_cast()
            }

            #[inline(always)]
            fn bits_mut(slice: &mut [Self]) -> &mut [u16] {
                slice.reinterpret_cast_mut()
            }

            #[inline(always)]
            fn load<V: Convert>(token: V::Token, bits: &[u16]) -> [V; 2] {
                V::$from(token, bits)
            }

            #[inline(always)]
            fn store<V: Convert>(pair: [V; 2], bits: &mut [u16]) {
                V::$to(pair, bits);
            }
        }
    };
}
sixteen_bit!(bf16: from_bf16, to_bf16);
sixteen_bit!(f16: from_f16, to_f16);

/// Converts as many numbers as there are both numbers and places.
pub(crate) struct Widen<'a, E> {
    pub(crate) from: &'a [E],
    pub(crate) into: &'a mut [f32],
}

impl<E: Sixteen> Kernel for Widen<'_, E> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let (from, rest) = E::bits(self.from).as_chunks::<ACCUMULATORS>();
        let (into, rest_into) = self.into.as_chunks_mut::<ACCUMULATORS>();
        for (from, into) in from.iter().zip(into) {
            prefetch::<S>(simd, from);
            widen::<S, E>(simd, from, into);
        }
        if !rest.is_empty() {
            let (mut bits, mut values) = ([0; ACCUMULATORS], [0.0; ACCUMULATORS]);
            bits[..rest.len()].copy_from_slice(rest);
            widen::<S, E>(simd, &bits, &mut values);
            for (place, value) in rest_into.iter_mut().zip(values) {
                *place = value;
            }
        }
    }

    entries!();
}

/// Prefetches memory further on: while some numbers are computed, the next are fetched. The 16-bit accumulators are
/// one cache line.
#[inline(always)]
fn prefetch<S: Simd>(simd: S, here: &[u16; ACCUMULATORS]) {
    S::F32::prefetch(simd, here, TILE);
}

#[inline(always)]
fn widen<S: Simd, E: Sixteen>(simd: S, from: &[u16; ACCUMULATORS], into: &mut [f32; ACCUMULATORS]) {
    let lanes = S::F32::LANES;
    for (from, into) in from.chunks_exact(2 * lanes).zip(into.chunks_exact_mut(2 * lanes)) {
        let [low, high] = E::load::<S::F32>(simd, from);
        low.store(into);
        high.store(from_mut(into, lanes));
    }
}

/// Rounds as many numbers as there are both numbers and places.
pub(crate) struct Round<'a, E> {
    pub(crate) from: &'a [f32],
    pub(crate) into: &'a mut [E],
}

impl<E: Sixteen> Kernel for Round<'_, E> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let (from, rest) = self.from.as_chunks::<ACCUMULATORS>();
        let (into, rest_into) = E::bits_mut(self.into).as_chunks_mut::<ACCUMULATORS>();
        for (from, into) in from.iter().zip(into) {
            prefetch::<S>(simd, into);
            round::<S, E>(simd, from, into);
        }
        if !rest.is_empty() {
            let (mut values, mut bits) = ([0.0; ACCUMULATORS], [0; ACCUMULATORS]);
            values[..rest.len()].copy_from_slice(rest);
            round::<S, E>(simd, &values, &mut bits);
            for (place, bits) in rest_into.iter_mut().zip(bits) {
                *place = bits;
            }
        }
    }

    entries!();
}

#[inline(always)]
fn round<S: Simd, E: Sixteen>(simd: S, here: &[f32; ACCUMULATORS], into: &mut [u16; ACCUMULATORS]) {
    let lanes = S::F32::LANES;
    let zero = S::F32::of(simd, 0.0);
    for (here, into) in here.chunks_exact(2 * lanes).zip(into.chunks_exact_mut(2 * lanes)) {
        let pair = [S::F32::load(simd, here, zero), S::F32::load(simd, from(here, lanes), zero)];
        E::store(pair, into);
    }
}
