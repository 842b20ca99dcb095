//! Vectors of the crate `wide`, which compile to the instructions that the target guarantees.

use core::ops::{Add, Div, Mul, Sub};

use wide::{f32x4, f64x2};

#[cfg(feature = "half")]
use super::convert::{bf16_bits, f16_bits, from_f16_bits};
#[cfg(feature = "half")]
use super::vector::Convert;
use super::{ACCUMULATORS, Fuse, Lanes, Simd, Vector, has_fours};

impl<L: Fuse> Simd for L {
    type F32 = F32x4<L>;
    type F64 = F64x2<L>;
}

macro_rules! operator {
    ($name:ident: $trait:ident, $operation:ident) => {
        impl<L: Fuse> $trait for $name<L> {
            type Output = Self;

            #[inline(always)]
            fn $operation(self, other: Self) -> Self {
                Self(self.0.$operation(other.0), self.1)
            }
        }
    };
}

/// A vector of `wide`. `$bits` is the integer type of its bits, with `$fraction` bits of fraction and `$exponent`
/// bits of exponent.
macro_rules! vector {
    ($name:ident($wide:ident) of $lanes:literal $scalar:ident, $bits:ident: $exponent:literal, $fraction:literal) => {
        #[derive(Clone, Copy)]
        pub(crate) struct $name<L>($wide, L);

        operator!($name: Add, add);
        operator!($name: Sub, sub);
        operator!($name: Mul, mul);
        operator!($name: Div, div);

        impl<L: Fuse> Vector for $name<L> {
            type Token = L;
            type Scalar = $scalar;
            type Mask = $wide;

            const LANES: usize = $lanes;

            #[inline(always)]
            fn splat(token: L, value: $scalar) -> Self {
                Self($wide::splat(value), token)
            }

            #[inline(always)]
            fn load(token: L, from: &[$scalar], fill: Self) -> Self {
                if let Some(lanes) = from.first_chunk() {
                    return Self($wide::new(*lanes), token);
                }
                let mut lanes = fill.0.to_array();
                for (lane, &value) in lanes.iter_mut().zip(from) {
                    *lane = value;
                }
                Self($wide::new(lanes), token)
            }

            #[inline(always)]
            fn store(self, into: &mut [$scalar]) {
                if let Some(lanes) = into.first_chunk_mut() {
                    *lanes = self.0.to_array();
                    return;
                }
                for (value, lane) in into.iter_mut().zip(self.0.to_array()) {
                    *value = lane;
                }
            }

            #[inline(always)]
            fn load_fours(
                columns: &mut [Self; 4],
                token: L,
                slice: &[$scalar],
                stride: usize,
            ) -> bool {
                if !has_fours(slice, Self::LANES, stride) {
                    return false;
                }
                let four = |row: usize| {
                    let four = slice.get(row * stride..).and_then(|row| row.first_chunk::<4>());
                    four.copied().unwrap_or_default()
                };
                let rows: [[$scalar; 4]; $lanes] = core::array::from_fn(four);
                *columns = core::array::from_fn(|i| {
                    Self($wide::new(rows.map(|row| row[i])), token)
                });
                true
            }

            #[inline(always)]
            fn store_fours(columns: [Self; 4], into: &mut [$scalar], stride: usize) -> bool {
                if !has_fours(into, Self::LANES, stride) {
                    return false;
                }
                let columns = columns.map(|column| column.0.to_array());
                for row in 0..Self::LANES {
                    let four = into.get_mut(row * stride..).and_then(|row| row.first_chunk_mut());
                    if let Some(four) = four {
                        *four = columns.map(|column| column[row]);
                    }
                }
                true
            }

            #[inline(always)]
            fn interleave(a: Self, b: Self) -> (Self, Self) {
                let (token, a, b) = (a.1, a.0.to_array(), b.0.to_array());
                let lane = |place: usize| if place % 2 == 0 { a[place / 2] } else { b[place / 2] };
                let from = |first: usize| {
                    Self($wide::new(core::array::from_fn(|place| lane(first + place))), token)
                };
                (from(0), from($lanes))
            }

            #[inline(always)]
            fn deinterleave(a: Self, b: Self) -> (Self, Self) {
                let (token, a, b) = (a.1, a.0.to_array(), b.0.to_array());
                let lane = |place: usize| *a.get(place).unwrap_or_else(|| &b[place - $lanes]);
                let every_other = |first: usize| {
                    Self($wide::new(core::array::from_fn(|place| lane(first + 2 * place))), token)
                };
                (every_other(0), every_other(1))
            }

            #[inline(always)]
            fn mul_add(self, b: Self, c: Self) -> Self {
                Self(L::$scalar(self.0, b.0, c.0), self.1)
            }

            #[inline(always)]
            fn max(self, other: Self) -> Self {
                if cfg!(target_feature = "sse2") {
                    Self(self.0.fast_max(other.0), self.1)
                } else {
                    Self(other.0.simd_lt(self.0).select(self.0, other.0), self.1)
                }
            }

            #[inline(always)]
            fn min(self, other: Self) -> Self {
                if cfg!(target_feature = "sse2") {
                    Self(self.0.fast_min(other.0), self.1)
                } else {
                    Self(self.0.simd_lt(other.0).select(self.0, other.0), self.1)
                }
            }

            #[inline(always)]
            fn abs(self) -> Self {
                Self(self.0.abs(), self.1)
            }

            #[inline(always)]
            fn less(self, other: Self) -> $wide {
                self.0.simd_lt(other.0)
            }

            #[inline(always)]
            fn equal(self, other: Self) -> $wide {
                self.0.simd_eq(other.0)
            }

            #[inline(always)]
            fn any(mask: $wide) -> bool {
                mask.any()
            }

            #[inline(always)]
            fn select(mask: $wide, yes: Self, no: Self) -> Self {
                Self(mask.select(yes.0, no.0), yes.1)
            }

            #[inline(always)]
            fn shift_into_exponent(self) -> Self {
                const FRACTION: u32 = $fraction;
                Self($wide::from_bits(self.0.to_bits() << FRACTION), self.1)
            }

            #[inline(always)]
            fn split_exponent(self) -> (Self, Self) {
                const SQRT_HALF: $bits = core::$scalar::consts::FRAC_1_SQRT_2.to_bits();
                let above = self.0.to_array().map(|lane| lane.to_bits().wrapping_sub(SQRT_HALF));
                let fraction = $bits::MAX >> $exponent;
                let mantissa = above.map(|bits| $scalar::from_bits((bits & fraction) + SQRT_HALF));
                let exponent = above.map(|bits| (bits.cast_signed() >> $fraction) as $scalar);
                (Self($wide::new(mantissa), self.1), Self($wide::new(exponent), self.1))
            }
        }

        impl<L: Fuse> Lanes for $name<L> {
            type Accumulators = [Self; ACCUMULATORS / $lanes];

            #[inline(always)]
            fn accumulators(self) -> Self::Accumulators {
                [self; ACCUMULATORS / $lanes]
            }

            #[inline(always)]
            fn largest(self) -> $scalar {
                let larger = |high, low| if high > low { high } else { low };
                let mut lanes = self.0.to_array();
                let mut width = Self::LANES;
                while width > 1 {
                    width /= 2;
                    for i in 0..width {
                        lanes[i] = larger(lanes[i + width], lanes[i]);
                    }
                }
                lanes[0]
            }

            #[inline(always)]
            fn halves(a: Self, b: Self, width: usize) -> (Self, Self) {
                let (token, a, b) = (a.1, a.0.to_array(), b.0.to_array());
                // Lane `i` of the lower halves: of `a` in the first half of the lanes.
                let lane = |i: usize, upper: usize| {
                    let (of, i) = if i < $lanes / 2 { (&a, i) } else { (&b, i - $lanes / 2) };
                    of[i / width * 2 * width + i % width + upper]
                };
                let half = |upper| {
                    Self($wide::new(core::array::from_fn(|i| lane(i, upper))), token)
                };
                (half(0), half(width))
            }
        }
    };
}

vector!(F32x4(f32x4) of 4 f32, u32: 9, 23);
vector!(F64x2(f64x2) of 2 f64, u64: 12, 52);

/// The two registers of eight lanes.
#[cfg(feature = "half")]
#[inline(always)]
fn two<L: Fuse>(token: L, lanes: [f32; 8]) -> [F32x4<L>; 2] {
    let [a, b, c, d, e, f, g, h] = lanes;
    [F32x4(f32x4::new([a, b, c, d]), token), F32x4(f32x4::new([e, f, g, h]), token)]
}

/// The bits of the lanes of two registers.
#[cfg(feature = "half")]
#[inline(always)]
fn bits_of<L>([low, high]: [F32x4<L>; 2]) -> [u32; 8] {
    let ([a, b, c, d], [e, f, g, h]) = (low.0.to_array(), high.0.to_array());
    [a, b, c, d, e, f, g, h].map(f32::to_bits)
}

#[cfg(feature = "half")]
impl<L: Fuse> Convert for F32x4<L> {
    #[inline(always)]
    fn from_bf16(token: L, bits: &[u16]) -> [Self; 2] {
        let bits = bits.first_chunk::<8>().copied().unwrap_or_default();
        two(token, bits.map(|bits| f32::from_bits(u32::from(bits) << 16)))
    }

    #[inline(always)]
    fn to_bf16(pair: [Self; 2], bits: &mut [u16]) {
        if let Some(bits) = bits.first_chunk_mut::<8>() {
            *bits = bits_of(pair).map(bf16_bits);
        }
    }

    #[inline(always)]
    fn from_f16(token: L, bits: &[u16]) -> [Self; 2] {
        let bits = bits.first_chunk::<8>().copied().unwrap_or_default();
        two(token, bits.map(from_f16_bits))
    }

    #[inline(always)]
    fn to_f16(pair: [Self; 2], bits: &mut [u16]) {
        if let Some(bits) = bits.first_chunk_mut::<8>() {
            *bits = bits_of(pair).map(f16_bits);
        }
    }
}
