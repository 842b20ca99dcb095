//! The operations of a vector register that kernels use, and the backends that provide them.
//!
//! Kernels never see a register's width. They work on *strips* of [`STRIP`] neighbouring elements, which every
//! level divides into the same [`ACCUMULATORS`] accumulators: element `i` of a strip belongs to accumulator `i %
//! 32`. A level holds the 32 accumulators in as many registers as it needs (2 with AVX-512, 4 with AVX2, 8 with
//! SSE2 or NEON). Sums are kept by accumulator and combined by one fixed tree, so all levels with the same rounding
//! return the same bits.
//!
//! A vector can only be made from its level's token, and the token only after detection. So a vector proves that
//! its instructions work, and its methods are safe.

mod compute;
mod fuse;
mod one;
mod portable;
mod vector;
#[cfg(all(any(target_arch = "x86", target_arch = "x86_64"), target_feature = "sse2"))]
mod x86;

#[cfg(feature = "half")]
mod convert;
mod pair;
use fuse::Fuse;
pub(crate) use fuse::Portable;
pub(crate) use one::One;
pub(crate) use pair::Pair;
#[cfg(feature = "half")]
pub(crate) use vector::Convert;
pub(crate) use vector::{ACCUMULATORS, Compute, HALF_STRIP, LINE, Lanes, STRIP, Simd, Vector};

/// From one register for each of as many rows as there are lanes, to one register with a row in each lane: `merge`
/// combines (for example adds) the halves of two rows, then the quarters of two such pairs, down to one lane.
#[inline(always)]
pub(crate) fn in_lanes<V: Lanes, T: Copy>(rows: &mut [T], merge: impl Fn(T, T, usize) -> T) -> T {
    let (mut width, mut merged) = (V::LANES, 0);
    while width > 1 {
        width /= 2;
        // With these partners, row `i` ends up in lane `i`.
        let distance = if width < 4 { (2 / width).min(V::LANES / 2) } else { 2 * V::LANES / width };
        merged |= distance;
        for i in 0..V::LANES {
            if i & merged == 0 {
                rows[i] = merge(rows[i], rows[i + distance], width);
            }
        }
    }
    rows[0]
}

/// Whether a slice has four elements at the start of each row.
#[inline(always)]
fn has_fours<T>(slice: &[T], rows: usize, stride: usize) -> bool {
    let last = (rows - 1).checked_mul(stride);
    last.and_then(|last| last.checked_add(4)).is_some_and(|end| end <= slice.len())
}

/// The number of elements before the first aligned address for [`Vector::stream`].
#[inline(always)]
pub(crate) fn aligned<T>(into: &[T]) -> usize {
    into.as_ptr().align_offset(LINE)
}

/// The part of a slice from `at` on, empty if there is none.
#[inline(always)]
pub(crate) fn from<T>(slice: &[T], at: usize) -> &[T] {
    slice.get(at..).unwrap_or(&[])
}

/// The part of a slice from `at` on, empty if there is none.
#[inline(always)]
pub(crate) fn from_mut<T>(slice: &mut [T], at: usize) -> &mut [T] {
    slice.get_mut(at..).unwrap_or(&mut [])
}
