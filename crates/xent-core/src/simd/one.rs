//! A single number as a vector of one lane, for code that has to be small.

use core::ops::{Add, Div, Mul, Sub};

use super::fuse::Portable;
use super::{Vector, has_fours};

/// One lane of the portable level.
#[derive(Clone, Copy)]
pub(crate) struct One<F>(F);

macro_rules! operator {
    ($scalar:ident: $trait:ident, $operation:ident) => {
        impl $trait for One<$scalar> {
            type Output = Self;

            #[inline(always)]
            fn $operation(self, other: Self) -> Self {
                Self(self.0.$operation(other.0))
            }
        }
    };
}

/// `$bits` is the integer type of its bits, with `$fraction` bits of fraction and `$exponent` bits
/// of exponent.
macro_rules! one {
    ($scalar:ident, $bits:ident: $exponent:literal, $fraction:literal) => {
        operator!($scalar: Add, add);
        operator!($scalar: Sub, sub);
        operator!($scalar: Mul, mul);
        operator!($scalar: Div, div);

        impl Vector for One<$scalar> {
            type Token = Portable;
            type Scalar = $scalar;
            type Mask = bool;

            const LANES: usize = 1;

            #[inline(always)]
            fn splat(_: Portable, value: $scalar) -> Self {
                Self(value)
            }

            #[inline(always)]
            fn load(_: Portable, from: &[$scalar], fill: Self) -> Self {
                from.first().map_or(fill, |&value| Self(value))
            }

            #[inline(always)]
            fn store(self, into: &mut [$scalar]) {
                if let Some(place) = into.first_mut() {
                    *place = self.0;
                }
            }

            #[inline(always)]
            fn load_fours(
                columns: &mut [Self; 4],
                _: Portable,
                from: &[$scalar],
                stride: usize,
            ) -> bool {
                if let (true, Some(four)) = (has_fours(from, 1, stride), from.first_chunk()) {
                    *columns = four.map(Self);
                    return true;
                }
                false
            }

            #[inline(always)]
            fn store_fours(columns: [Self; 4], into: &mut [$scalar], stride: usize) -> bool {
                if let (true, Some(four)) = (has_fours(into, 1, stride), into.first_chunk_mut()) {
                    *four = columns.map(|column| column.0);
                    return true;
                }
                false
            }

            #[inline(always)]
            fn interleave(a: Self, b: Self) -> (Self, Self) {
                (a, b)
            }

            #[inline(always)]
            fn deinterleave(a: Self, b: Self) -> (Self, Self) {
                (a, b)
            }

            #[inline(always)]
            fn mul_add(self, b: Self, c: Self) -> Self {
                Self(Portable::$scalar(self.0, b.0, c.0))
            }

            #[inline(always)]
            fn max(self, other: Self) -> Self {
                if other.0 < self.0 { self } else { other }
            }

            #[inline(always)]
            fn min(self, other: Self) -> Self {
                if self.0 < other.0 { self } else { other }
            }

            #[inline(always)]
            fn abs(self) -> Self {
                Self(self.0.abs())
            }

            #[inline(always)]
            fn less(self, other: Self) -> bool {
                self.0 < other.0
            }

            #[inline(always)]
            fn equal(self, other: Self) -> bool {
                self.0 == other.0
            }

            #[inline(always)]
            fn any(mask: bool) -> bool {
                mask
            }

            #[inline(always)]
            fn select(mask: bool, yes: Self, no: Self) -> Self {
                if mask { yes } else { no }
            }

            #[inline(always)]
            fn shift_into_exponent(self) -> Self {
                Self($scalar::from_bits(self.0.to_bits() << $fraction))
            }

            #[inline(always)]
            fn split_exponent(self) -> (Self, Self) {
                const SQRT_HALF: $bits = core::$scalar::consts::FRAC_1_SQRT_2.to_bits();
                let above = self.0.to_bits().wrapping_sub(SQRT_HALF);
                let mantissa = (above & ($bits::MAX >> $exponent)) + SQRT_HALF;
                let exponent = above.cast_signed() >> $fraction;
                (Self($scalar::from_bits(mantissa)), Self(exponent as $scalar))
            }
        }
    };
}
one!(f32, u32: 9, 23);
one!(f64, u64: 12, 52);
