//! The operations of numbers and registers that kernels use.

use core::fmt::Debug;
use core::ops::{Add, Div, Mul, Neg, Sub};

use super::fuse::Portable;
use crate::tables::Tables;

/// The virtual width: the number of independent sums that a reduction keeps, at every level.
pub(crate) const ACCUMULATORS: usize = 32;

/// Elements that are summed before the sum is compensated: four for each accumulator.
pub(crate) const STRIP: usize = 4 * ACCUMULATORS;

/// Half of that.
pub(crate) const HALF_STRIP: usize = STRIP / 2;

/// Bytes of a cache line.
pub(crate) const LINE: usize = 64;

/// A level's token, with the vector types of its instructions.
pub(crate) trait Simd: Copy {
    #[cfg(feature = "half")]
    type F32: Lanes<Token = Self, Scalar = f32> + Convert;
    #[cfg(not(feature = "half"))]
    type F32: Lanes<Token = Self, Scalar = f32>;
    type F64: Lanes<Token = Self, Scalar = f64>;
}

/// Floating-point numbers side by side, in one register or two.
pub(crate) trait Vector:
    Copy + Add<Output = Self> + Sub<Output = Self> + Mul<Output = Self> + Div<Output = Self>
{
    /// The token that it takes to make one.
    type Token: Copy;
    type Scalar: Compute;
    /// The result of a comparison, lane by lane.
    type Mask: Copy;
    const LANES: usize;

    fn splat(token: Self::Token, value: Self::Scalar) -> Self;

    /// The nearest number of this format.
    #[inline(always)]
    fn of(token: Self::Token, value: f64) -> Self {
        Self::splat(token, Self::Scalar::from_f64(value))
    }

    /// A count, exact up to 2^24.
    #[inline(always)]
    fn count(token: Self::Token, count: usize) -> Self {
        Self::splat(token, Self::Scalar::from_count(count))
    }

    /// The first `LANES` elements of `from`; missing lanes are `fill`.
    fn load(token: Self::Token, from: &[Self::Scalar], fill: Self) -> Self;

    /// Writes the first `LANES` elements to `into`; lanes without a place are dropped.
    fn store(self, into: &mut [Self::Scalar]);

    /// [`store`](Self::store), past the caches if the place is [`aligned`]: for data that is not read again soon.
    /// Call [`fence`](Lanes::fence) before another thread reads it.
    #[inline(always)]
    fn stream(self, into: &mut [Self::Scalar]) {
        self.store(into);
    }

    /// Four columns of as many rows as there are lanes: lane `i` of register `j` is element `j` of the row that
    /// starts at `i * stride`. Returns false, and reads nothing, if the last row does not have four elements.
    fn load_fours(
        columns: &mut [Self; 4],
        token: Self::Token,
        from: &[Self::Scalar],
        stride: usize,
    ) -> bool;

    /// Writes the four elements of each row from their columns, in the order of the rows (the end of a row may be
    /// overwritten by the next). Returns false, and writes nothing, if the last row does not have four elements.
    fn store_fours(columns: [Self; 4], into: &mut [Self::Scalar], stride: usize) -> bool;

    /// The lanes of the two, alternating: `a0 b0 a1 b1 …`.
    fn interleave(a: Self, b: Self) -> (Self, Self);

    /// The even and the odd lanes: the inverse of [`interleave`](Self::interleave).
    fn deinterleave(a: Self, b: Self) -> (Self, Self);

    /// `self * b + c`, rounded once if the level has FMA.
    fn mul_add(self, b: Self, c: Self) -> Self;

    /// The larger; `other` if they are equal or either is NaN.
    fn max(self, other: Self) -> Self;

    /// The smaller; `other` if they are equal or either is NaN.
    fn min(self, other: Self) -> Self;

    fn abs(self) -> Self;

    /// Lanes with `self < other`; false if either is NaN.
    fn less(self, other: Self) -> Self::Mask;

    /// Lanes with `self == other`; false if either is NaN.
    fn equal(self, other: Self) -> Self::Mask;

    /// Whether any lane is set.
    fn any(mask: Self::Mask) -> bool;

    /// `yes` in the lanes that are set, `no` in the others.
    fn select(mask: Self::Mask, yes: Self, no: Self) -> Self;

    /// The float whose exponent field is the lowest bits of this one: `2^(k - 127)` from `2^23 + k` in f32, `2^(k -
    /// 1023)` from `2^52 + k` in f64. The sign and exponent of `self` are shifted out.
    fn shift_into_exponent(self) -> Self;

    /// `(m, k)` with `self = m * 2^k` and `m` in [√½, √2), for a positive normal number.
    fn split_exponent(self) -> (Self, Self);
}

/// A vector register; a fixed number of them hold all accumulators.
pub(crate) trait Lanes: Vector {
    /// The number of registers that hold all accumulators.
    type Accumulators: Copy + AsRef<[Self]> + AsMut<[Self]>;

    /// Waits until [`stream`](Vector::stream)ed data is visible to other threads.
    #[inline(always)]
    fn fence(_: Self::Token) {}

    /// Prefetches the memory that many elements behind the start of a slice (which may not exist).
    #[inline(always)]
    fn prefetch<T>(_: Self::Token, _: &[T], _: usize) {}

    /// This vector in every register of the accumulators.
    fn accumulators(self) -> Self::Accumulators;

    /// A step of [`in_lanes`]: the lower halves of all runs of `2 * width` lanes, and the upper halves.
    fn halves(a: Self, b: Self, width: usize) -> (Self, Self);

    /// The largest lane of a vector without NaN. Of equal lanes it is the first in the tree that combines the upper
    /// half of the lanes with the lower, so that all levels agree on the sign of a zero.
    fn largest(self) -> Self::Scalar;
}

/// Conversions of as many numbers as two registers have lanes, from and to their bits: exact to f32, to nearest,
/// ties to even, from it. NaN stays NaN, with its sign and the first bits of its payload; in 16 bits it is always
/// quiet.
#[cfg(feature = "half")]
pub(crate) trait Convert: Lanes<Scalar = f32> {
    /// Missing numbers become zeros.
    fn from_bf16(token: Self::Token, bits: &[u16]) -> [Self; 2];

    /// Numbers without a place are dropped.
    fn to_bf16(pair: [Self; 2], bits: &mut [u16]);

    /// Missing numbers become zeros.
    fn from_f16(token: Self::Token, bits: &[u16]) -> [Self; 2];

    /// Numbers without a place are dropped.
    fn to_f16(pair: [Self; 2], bits: &mut [u16]);
}

/// The operations on a single number that kernels need. f64 always has them, even without its feature: rows with a
/// weight for every class compute their coefficients in f64.
pub(crate) trait Compute:
    Tables
    + Copy
    + Default
    + Debug
    + PartialOrd
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + From<f32>
    + Into<f64>
    + Send
    + Sync
{
    /// One such number.
    type One: Vector<Token = Portable, Scalar = Self>;

    /// Registers of such numbers.
    type Of<S: Simd>: Lanes<Token = S, Scalar = Self>;

    const INFINITY: Self;
    const NEG_INFINITY: Self;
    const NAN: Self;

    /// The class numbers of a strip.
    const LANE_NUMBERS: &'static [Self; STRIP];

    fn from_f64(value: f64) -> Self;

    fn to_f64(self) -> f64;

    /// Exact up to 2^24.
    fn from_count(count: usize) -> Self;

    /// The integer that this number represents; for a negative number, some number that is not a class.
    fn to_count(self) -> usize;

    fn is_finite(self) -> bool;

    fn is_nan(self) -> bool;
}
