//! Backends for x86 on `core::arch`.
//!
//! Each vector type has a file of functions, most of them intrinsics under the names that all types
//! have in common; [`vector!`] makes the type of them.

mod avx2;
mod avx512;

/// Implements a vector type by the functions of the module that it is in: safe ones that have the
/// level's target features, in shells that are always inlined (both on one function is not possible).
macro_rules! vector {
    (
        $name:ident($register:ty) of $lanes:literal $scalar:ident with masks $mask:ty,
        a token $token:ident
    ) => {
        use core::ops::{Add, Div, Mul, Sub};

        use crate::level::$token;
        use crate::simd::{Lanes, STRIPES, Vector};

        #[derive(Clone, Copy)]
        pub(crate) struct $name($register);

        vector!($name: Add::add, Sub::sub, Mul::mul, Div::div);

        impl Vector for $name {
            type Token = $token;
            type Scalar = $scalar;
            type Mask = $mask;

            const LANES: usize = $lanes;

            #[inline(always)]
            fn splat(_: $token, value: $scalar) -> Self {
                // SAFETY: the token proves that the level's features work.
                Self(unsafe { splat(value) })
            }

            #[inline(always)]
            fn load(_: $token, from: &[$scalar], fill: Self) -> Self {
                if let Some(lanes) = from.first_chunk::<$lanes>() {
                    // SAFETY: the token proves that the level's features work; the reference is to
                    // as many numbers as there are lanes, and the load asks for no alignment.
                    return Self(unsafe { load(lanes.as_ptr()) });
                }
                // SAFETY: the token proves that the level's features work.
                Self(unsafe { load_some(from, fill.0) })
            }

            #[inline(always)]
            fn store(self, into: &mut [$scalar]) {
                if let Some(lanes) = into.first_chunk_mut::<$lanes>() {
                    // SAFETY: a vector exists, so the level's features work; the reference is to as
                    // many numbers as there are lanes, borrowed for writing, and the store asks for
                    // no alignment.
                    unsafe { store(lanes.as_mut_ptr(), self.0) };
                    return;
                }
                if into.is_empty() {
                    // A masked store of nothing to an address of nothing takes hundreds of cycles.
                    return;
                }
                // SAFETY: a vector exists, so the level's features work.
                unsafe { store_some(into, self.0) }
            }

            #[inline(always)]
            fn stream(self, into: &mut [$scalar]) {
                match into.first_chunk_mut::<$lanes>() {
                    Some(lanes) if lanes.as_ptr().cast::<$register>().is_aligned() => {
                        // SAFETY: a vector exists, so the level's features work; the reference is
                        // to as many numbers as there are lanes, borrowed for writing, and aligned
                        // like a register.
                        unsafe { stream(lanes.as_mut_ptr().cast(), self.0) }
                    }
                    _ => self.store(into),
                }
            }

            #[inline(always)]
            fn load_fours(
                [a, b, c, d]: &mut [Self; 4],
                _: $token,
                from: &[$scalar],
                stride: usize,
            ) -> bool {
                // SAFETY: the token proves that the level's features work.
                let columns = unsafe { load_fours(from, stride) };
                if let Some(columns) = columns {
                    [a.0, b.0, c.0, d.0] = columns;
                }
                columns.is_some()
            }

            #[inline(always)]
            fn store_fours([a, b, c, d]: [Self; 4], into: &mut [$scalar], stride: usize) -> bool {
                // SAFETY: vectors exist, so the level's features work.
                unsafe { store_fours([a.0, b.0, c.0, d.0], into, stride) }
            }

            #[inline(always)]
            fn interleave(a: Self, b: Self) -> (Self, Self) {
                // SAFETY: vectors exist, so the level's features work.
                let (first, second) = unsafe { interleave(a.0, b.0) };
                (Self(first), Self(second))
            }

            #[inline(always)]
            fn deinterleave(a: Self, b: Self) -> (Self, Self) {
                // SAFETY: vectors exist, so the level's features work.
                let (even, odd) = unsafe { deinterleave(a.0, b.0) };
                (Self(even), Self(odd))
            }

            #[inline(always)]
            fn mul_add(self, b: Self, c: Self) -> Self {
                // SAFETY: vectors exist, so the level's features work.
                Self(unsafe { mul_add(self.0, b.0, c.0) })
            }

            #[inline(always)]
            fn max(self, other: Self) -> Self {
                // SAFETY: vectors exist, so the level's features work.
                Self(unsafe { max(self.0, other.0) })
            }

            #[inline(always)]
            fn min(self, other: Self) -> Self {
                // SAFETY: vectors exist, so the level's features work.
                Self(unsafe { min(self.0, other.0) })
            }

            #[inline(always)]
            fn abs(self) -> Self {
                // SAFETY: a vector exists, so the level's features work.
                Self(unsafe { abs(self.0) })
            }

            #[inline(always)]
            fn less(self, other: Self) -> $mask {
                // SAFETY: vectors exist, so the level's features work.
                unsafe { less(self.0, other.0) }
            }

            #[inline(always)]
            fn equal(self, other: Self) -> $mask {
                // SAFETY: vectors exist, so the level's features work.
                unsafe { equal(self.0, other.0) }
            }

            #[inline(always)]
            fn any(mask: $mask) -> bool {
                // SAFETY: a mask is the outcome of a comparison of vectors, so the level's features
                // work.
                unsafe { any(mask) }
            }

            #[inline(always)]
            fn select(mask: $mask, yes: Self, no: Self) -> Self {
                // SAFETY: vectors exist, so the level's features work.
                Self(unsafe { select(mask, yes.0, no.0) })
            }

            #[inline(always)]
            fn shift_into_exponent(self) -> Self {
                // SAFETY: a vector exists, so the level's features work.
                Self(unsafe { shift_into_exponent(self.0) })
            }

            #[inline(always)]
            fn split_exponent(self) -> (Self, Self) {
                // SAFETY: a vector exists, so the level's features work.
                let (mantissa, exponent) = unsafe { split_exponent(self.0) };
                (Self(mantissa), Self(exponent))
            }
        }

        impl Lanes for $name {
            type Stripes = [Self; STRIPES / Self::LANES];

            #[inline(always)]
            fn fence(_: $token) {
                // SAFETY: the token proves that the level's features work, and SSE with them.
                unsafe { _mm_sfence() };
            }

            #[inline(always)]
            fn prefetch<T>(_: $token, from: &[T], behind: usize) {
                // SAFETY: the token proves that the level's features work, and SSE with them; a
                // prefetch reads nothing and cannot fault, whatever the address.
                unsafe { _mm_prefetch::<_MM_HINT_T0>(from.as_ptr().wrapping_add(behind).cast()) };
            }

            #[inline(always)]
            fn stripes(self) -> Self::Stripes {
                [self; STRIPES / Self::LANES]
            }

            #[inline(always)]
            fn largest(self) -> $scalar {
                // SAFETY: a vector exists, so the level's features work.
                unsafe { largest(self.0) }
            }

            #[inline(always)]
            fn halves(a: Self, b: Self, width: usize) -> (Self, Self) {
                // SAFETY: vectors exist, so the level's features work.
                let (low, high) = unsafe { halves(a.0, b.0, width) };
                (Self(low), Self(high))
            }
        }
    };
    ($name:ident: $($trait:ident::$operation:ident),*) => {
        $(
            impl $trait for $name {
                type Output = Self;

                #[inline(always)]
                fn $operation(self, other: Self) -> Self {
                    // SAFETY: the level's features work on this machine, since `self` is a vector:
                    // vectors are only made by `splat` and `load`, which take the level's token (or
                    // another vector), and a token is only made after all of its features were
                    // detected.
                    Self(unsafe { $operation(self.0, other.0) })
                }
            }
        )*
    };
}
use vector;

/// Implements the conversions of a vector type of f32 by functions of its module, for as many numbers as
/// two registers have lanes.
#[cfg(feature = "half")]
macro_rules! convert {
    ($name:ident, two of $lanes:literal lanes, a token $token:ident) => {
        impl crate::simd::Convert for $name {
            #[inline(always)]
            fn from_bf16(_: $token, bits: &[u16]) -> [Self; 2] {
                let bits = bits.first_chunk::<$lanes>().copied().unwrap_or_default();
                // SAFETY: the token proves that the level's features work.
                unsafe { from_bf16(&bits) }.map(Self)
            }

            #[inline(always)]
            fn to_bf16([low, high]: [Self; 2], bits: &mut [u16]) {
                if let Some(bits) = bits.first_chunk_mut() {
                    // SAFETY: vectors exist, so the level's features work.
                    unsafe { to_bf16(low.0, high.0, bits) }
                }
            }

            #[inline(always)]
            fn from_f16(_: $token, bits: &[u16]) -> [Self; 2] {
                let bits = bits.first_chunk::<$lanes>().copied().unwrap_or_default();
                // SAFETY: the token proves that the level's features work.
                unsafe { from_f16(&bits) }.map(Self)
            }

            #[inline(always)]
            fn to_f16([low, high]: [Self; 2], bits: &mut [u16]) {
                if let Some(bits) = bits.first_chunk_mut() {
                    // SAFETY: vectors exist, so the level's features work.
                    unsafe { to_f16(low.0, high.0, bits) }
                }
            }
        }
    };
}
#[cfg(feature = "half")]
use convert;
