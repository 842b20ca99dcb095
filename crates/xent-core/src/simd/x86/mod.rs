//! Backends for x86 on `core::arch`.
//!
//! Each vector type has a file of functions, most of them intrinsics under names that all types share; [`vector!`]
//! makes the type from them.
//!
//! # Why the calls are sound
//!
//! The functions of a file are safe except for the target features that they are compiled with, which are those of
//! a level: a call is sound if these work. Three things prove that they do:
//!
//! * a token of the level. Only `level.rs` can make one, after it has detected all of the level's features;
//! * a vector. Its field is private to its file, where vectors are only made by methods that take a token or
//!   another vector;
//! * a mask. Its field is private, too, and only comparisons of vectors make one.
//!
//! Each `unsafe` block below says which of these it has. Blocks that pass a pointer say why they may access the
//! memory behind it.

mod avx2;
mod avx512;

/// Implements a vector type with the functions of its module: safe functions with the level's target features,
/// wrapped in methods that are always inlined (one function cannot be both).
macro_rules! vector {
    (
        $name:ident($register:ty) of $lanes:literal $scalar:ident with masks $mask:ty,
        a token $token:ident
    ) => {
        use core::ops::{Add, Div, Mul, Sub};

        use crate::level::$token;
        use crate::simd::{Lanes, ACCUMULATORS, Vector};

        #[derive(Clone, Copy)]
        pub(crate) struct $name($register);

        /// The outcome of a comparison of such vectors.
        #[derive(Clone, Copy)]
        pub(crate) struct Mask($mask);

        vector!($name: Add::add, Sub::sub, Mul::mul, Div::div);

        impl Vector for $name {
            type Token = $token;
            type Scalar = $scalar;
            type Mask = Mask;

            const LANES: usize = $lanes;

            #[inline(always)]
            fn splat(_: $token, value: $scalar) -> Self {
                // SAFETY: there is a token: the features that `splat` is compiled with work.
                Self(unsafe { splat(value) })
            }

            #[inline(always)]
            fn load(_: $token, from: &[$scalar], fill: Self) -> Self {
                if let Some(lanes) = from.first_chunk::<$lanes>() {
                    // SAFETY: there is a token: the features that `load` is compiled with work. It reads
                    // as many numbers as there are lanes from the pointer on, of any alignment;
                    // `lanes` is a reference to an array of as many.
                    return Self(unsafe { load(lanes.as_ptr()) });
                }
                if from.is_empty() {
                    // A masked load of nothing from an invalid address takes hundreds of cycles.
                    return fill;
                }
                // SAFETY: there is a token: the features that `load_some` is compiled with work.
                Self(unsafe { load_some(from, fill.0) })
            }

            #[inline(always)]
            fn store(self, into: &mut [$scalar]) {
                if let Some(lanes) = into.first_chunk_mut::<$lanes>() {
                    // SAFETY: there is a vector: the features that `store` is compiled with work. It
                    // writes as many numbers as there are lanes from the pointer on, of any alignment;
                    // `lanes` is the only reference to an array of as many.
                    unsafe { store(lanes.as_mut_ptr(), self.0) };
                    return;
                }
                if into.is_empty() {
                    // A masked store of nothing to an invalid address takes hundreds of cycles.
                    return;
                }
                // SAFETY: there is a vector: the features that `store_some` is compiled with work.
                unsafe { store_some(into, self.0) }
            }

            #[inline(always)]
            fn stream(self, into: &mut [$scalar]) {
                match into.first_chunk_mut::<$lanes>() {
                    Some(lanes) if lanes.as_ptr().cast::<$register>().is_aligned() => {
                        // SAFETY: there is a vector: the features that `stream` is compiled with work. It writes a
                        // register to the pointer, which was just found to have a register's alignment; `lanes` is
                        // the only reference to an array of as many numbers. A fence must come before the next
                        // access to them: only cells of the mode `STREAM` ask for streaming stores, and these are
                        // only made in `put_past_caches`, which reads none of them, writes each once, and ends with
                        // `fence`.
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
                // SAFETY: there is a token: the features that `load_fours` is compiled with work.
                let columns = unsafe { load_fours(from, stride) };
                if let Some(columns) = columns {
                    [a.0, b.0, c.0, d.0] = columns;
                }
                columns.is_some()
            }

            #[inline(always)]
            fn store_fours([a, b, c, d]: [Self; 4], into: &mut [$scalar], stride: usize) -> bool {
                // SAFETY: there are vectors: the features that `store_fours` is compiled with work.
                unsafe { store_fours([a.0, b.0, c.0, d.0], into, stride) }
            }

            #[inline(always)]
            fn interleave(a: Self, b: Self) -> (Self, Self) {
                // SAFETY: there are vectors: the features that `interleave` is compiled with work.
                let (first, second) = unsafe { interleave(a.0, b.0) };
                (Self(first), Self(second))
            }

            #[inline(always)]
            fn deinterleave(a: Self, b: Self) -> (Self, Self) {
                // SAFETY: there are vectors: the features that `deinterleave` is compiled with work.
                let (even, odd) = unsafe { deinterleave(a.0, b.0) };
                (Self(even), Self(odd))
            }

            #[inline(always)]
            fn mul_add(self, b: Self, c: Self) -> Self {
                // SAFETY: there are vectors: the features that `mul_add` is compiled with work.
                Self(unsafe { mul_add(self.0, b.0, c.0) })
            }

            #[inline(always)]
            fn max(self, other: Self) -> Self {
                // SAFETY: there are vectors: the features that `max` is compiled with work.
                Self(unsafe { max(self.0, other.0) })
            }

            #[inline(always)]
            fn min(self, other: Self) -> Self {
                // SAFETY: there are vectors: the features that `min` is compiled with work.
                Self(unsafe { min(self.0, other.0) })
            }

            #[inline(always)]
            fn abs(self) -> Self {
                // SAFETY: there is a vector: the features that `abs` is compiled with work.
                Self(unsafe { abs(self.0) })
            }

            #[inline(always)]
            fn less(self, other: Self) -> Mask {
                // SAFETY: there are vectors: the features that `less` is compiled with work.
                Mask(unsafe { less(self.0, other.0) })
            }

            #[inline(always)]
            fn equal(self, other: Self) -> Mask {
                // SAFETY: there are vectors: the features that `equal` is compiled with work.
                Mask(unsafe { equal(self.0, other.0) })
            }

            #[inline(always)]
            fn any(mask: Mask) -> bool {
                // SAFETY: there is a mask: the features that `any` is compiled with work.
                unsafe { any(mask.0) }
            }

            #[inline(always)]
            fn select(mask: Mask, yes: Self, no: Self) -> Self {
                // SAFETY: there are vectors: the features that `select` is compiled with work.
                Self(unsafe { select(mask.0, yes.0, no.0) })
            }

            #[inline(always)]
            fn shift_into_exponent(self) -> Self {
                // SAFETY: there is a vector: the features that `shift_into_exponent` is compiled with work.
                Self(unsafe { shift_into_exponent(self.0) })
            }

            #[inline(always)]
            fn split_exponent(self) -> (Self, Self) {
                // SAFETY: there is a vector: the features that `split_exponent` is compiled with work.
                let (mantissa, exponent) = unsafe { split_exponent(self.0) };
                (Self(mantissa), Self(exponent))
            }
        }

        impl Lanes for $name {
            type Accumulators = [Self; ACCUMULATORS / Self::LANES];

            #[inline(always)]
            fn fence(_: $token) {
                // SAFETY: there is a token: the level's features work, and with them SSE, which has this
                // instruction. It has no operands.
                unsafe { _mm_sfence() };
            }

            #[inline(always)]
            fn prefetch<T>(_: $token, from: &[T], behind: usize) {
                // SAFETY: there is a token: the level's features work, and with them SSE, which has this
                // instruction. It is a hint: it has no effect that a program sees and does not fault, whatever the
                // address, which is computed by `wrapping_add` for that reason.
                unsafe { _mm_prefetch::<_MM_HINT_T0>(from.as_ptr().wrapping_add(behind).cast()) };
            }

            #[inline(always)]
            fn accumulators(self) -> Self::Accumulators {
                [self; ACCUMULATORS / Self::LANES]
            }

            #[inline(always)]
            fn largest(self) -> $scalar {
                // SAFETY: there is a vector: the features that `largest` is compiled with work.
                unsafe { largest(self.0) }
            }

            #[inline(always)]
            fn halves(a: Self, b: Self, width: usize) -> (Self, Self) {
                // SAFETY: there are vectors: the features that `halves` is compiled with work.
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
                    // SAFETY: there are vectors: the features that the operation is compiled with work.
                    Self(unsafe { $operation(self.0, other.0) })
                }
            }
        )*
    };
}
use vector;

/// Implements the conversions of a vector type of f32 with functions of its module, for as many numbers as two
/// registers have lanes.
#[cfg(feature = "half")]
macro_rules! convert {
    ($name:ident, two of $lanes:literal lanes, a token $token:ident) => {
        impl crate::simd::Convert for $name {
            #[inline(always)]
            fn from_bf16(_: $token, bits: &[u16]) -> [Self; 2] {
                let bits = bits.first_chunk::<$lanes>().copied().unwrap_or_default();
                // SAFETY: there is a token: the features that `from_bf16` is compiled with work.
                unsafe { from_bf16(&bits) }.map(Self)
            }

            #[inline(always)]
            fn to_bf16([low, high]: [Self; 2], bits: &mut [u16]) {
                if let Some(bits) = bits.first_chunk_mut() {
                    // SAFETY: there are vectors: the features that `to_bf16` is compiled with work.
                    unsafe { to_bf16(low.0, high.0, bits) }
                }
            }

            #[inline(always)]
            fn from_f16(_: $token, bits: &[u16]) -> [Self; 2] {
                let bits = bits.first_chunk::<$lanes>().copied().unwrap_or_default();
                // SAFETY: there is a token: the features that `from_f16` is compiled with work, F16C
                // among them.
                unsafe { from_f16(&bits) }.map(Self)
            }

            #[inline(always)]
            fn to_f16([low, high]: [Self; 2], bits: &mut [u16]) {
                if let Some(bits) = bits.first_chunk_mut() {
                    // SAFETY: there are vectors: the features that `to_f16` is compiled with work, F16C
                    // among them.
                    unsafe { to_f16(low.0, high.0, bits) }
                }
            }
        }
    };
}
#[cfg(feature = "half")]
use convert;
