//! Slices of integers, to the numbers that they stand for.

use crate::dispatch::{Kernel, entries};
use crate::simd::Simd;

/// Converts as many integers as there are both integers and places: `scale × (q - zero_point)`.
///
/// A plain loop: the compiler makes registers of it, of any level.
pub(crate) struct Dequantise<'a, Q> {
    pub(crate) scale: f32,
    pub(crate) zero_point: i32,
    pub(crate) from: &'a [Q],
    pub(crate) into: &'a mut [f32],
}

impl<Q: Copy + Into<i32>> Kernel for Dequantise<'_, Q> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let Self { scale, zero_point, from, into } = self;
        for (place, &q) in into.iter_mut().zip(from) {
            // Neither wraps nor rounds: both have at most 17 bits.
            *place = q.into().wrapping_sub(zero_point) as f32 * scale;
        }
    }

    entries!();
}
