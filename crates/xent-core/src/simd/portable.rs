//! The instructions that the target guarantees, through the crate `wide`.

use core::ops::{Add, Div, Mul, Sub};

use wide::{f32x4, i32x4};

use super::{Lanes, STRIPES, Simd, Vector, from, from_mut, has_fours};

/// Whether `wide` was compiled to fuse: it chooses at compile time.
pub(crate) const HAS_FMA: bool = cfg!(any(
    all(target_feature = "sse2", target_feature = "fma"),
    all(target_arch = "aarch64", target_feature = "neon")
));

#[derive(Clone, Copy)]
pub(crate) struct Portable;

impl Simd for Portable {
    type F32 = F32x4;
}

#[derive(Clone, Copy)]
pub(crate) struct F32x4(f32x4);

#[inline(always)]
fn to_bits(x: f32x4) -> i32x4 {
    i32x4::new(x.to_array().map(|lane| lane.to_bits().cast_signed()))
}

#[inline(always)]
fn from_bits(x: i32x4) -> f32x4 {
    f32x4::new(x.to_array().map(|lane| f32::from_bits(lane.cast_unsigned())))
}

/// Four rows of four to their columns, or back.
#[inline(always)]
fn transpose(rows: [F32x4; 4]) -> [F32x4; 4] {
    let [a, b, c, d] = rows.map(|row| row.0.to_array());
    core::array::from_fn(|i| F32x4(f32x4::new([a[i], b[i], c[i], d[i]])))
}

macro_rules! operator {
    ($trait:ident, $name:ident) => {
        impl $trait for F32x4 {
            type Output = Self;

            #[inline(always)]
            fn $name(self, other: Self) -> Self {
                Self(self.0.$name(other.0))
            }
        }
    };
}
operator!(Add, add);
operator!(Sub, sub);
operator!(Mul, mul);
operator!(Div, div);

impl Vector for F32x4 {
    type Token = Portable;
    type Scalar = f32;
    type Mask = f32x4;

    const LANES: usize = 4;

    #[inline(always)]
    fn splat(_: Portable, value: f32) -> Self {
        Self(f32x4::splat(value))
    }

    #[inline(always)]
    fn load(_: Portable, from: &[f32], fill: Self) -> Self {
        if let Some(lanes) = from.first_chunk() {
            return Self(f32x4::new(*lanes));
        }
        let mut lanes = fill.0.to_array();
        for (lane, &value) in lanes.iter_mut().zip(from) {
            *lane = value;
        }
        Self(f32x4::new(lanes))
    }

    #[inline(always)]
    fn store(self, into: &mut [f32]) {
        if let Some(lanes) = into.first_chunk_mut() {
            *lanes = self.0.to_array();
            return;
        }
        for (value, lane) in into.iter_mut().zip(self.0.to_array()) {
            *value = lane;
        }
    }

    #[inline(always)]
    fn load_fours(columns: &mut [Self; 4], token: Portable, slice: &[f32], stride: usize) -> bool {
        if !has_fours(slice, Self::LANES, stride) {
            return false;
        }
        let row = |i: usize| Self::load(token, from(slice, i * stride), columns[0]);
        *columns = transpose([row(0), row(1), row(2), row(3)]);
        true
    }

    #[inline(always)]
    fn store_fours(columns: [Self; 4], into: &mut [f32], stride: usize) -> bool {
        if !has_fours(into, Self::LANES, stride) {
            return false;
        }
        for (i, row) in transpose(columns).into_iter().enumerate() {
            row.store(from_mut(into, i * stride));
        }
        true
    }

    #[inline(always)]
    fn interleave(a: Self, b: Self) -> (Self, Self) {
        let (a, b) = (a.0.to_array(), b.0.to_array());
        let both = |i: usize| Self(f32x4::new([a[i], b[i], a[i + 1], b[i + 1]]));
        (both(0), both(2))
    }

    #[inline(always)]
    fn deinterleave(a: Self, b: Self) -> (Self, Self) {
        let (a, b) = (a.0.to_array(), b.0.to_array());
        let every_other = |i: usize| Self(f32x4::new([a[i], a[i + 2], b[i], b[i + 2]]));
        (every_other(0), every_other(1))
    }

    #[inline(always)]
    fn mul_add(self, b: Self, c: Self) -> Self {
        Self(self.0.mul_add(b.0, c.0))
    }

    #[inline(always)]
    fn max(self, other: Self) -> Self {
        if cfg!(target_feature = "sse") {
            Self(self.0.fast_max(other.0))
        } else {
            Self(other.0.simd_lt(self.0).select(self.0, other.0))
        }
    }

    #[inline(always)]
    fn min(self, other: Self) -> Self {
        if cfg!(target_feature = "sse") {
            Self(self.0.fast_min(other.0))
        } else {
            Self(self.0.simd_lt(other.0).select(self.0, other.0))
        }
    }

    #[inline(always)]
    fn abs(self) -> Self {
        Self(self.0.abs())
    }

    #[inline(always)]
    fn less(self, other: Self) -> f32x4 {
        self.0.simd_lt(other.0)
    }

    #[inline(always)]
    fn equal(self, other: Self) -> f32x4 {
        self.0.simd_eq(other.0)
    }

    #[inline(always)]
    fn any(mask: f32x4) -> bool {
        mask.any()
    }

    #[inline(always)]
    fn select(mask: f32x4, yes: Self, no: Self) -> Self {
        Self(mask.select(yes.0, no.0))
    }

    #[inline(always)]
    fn shift_into_exponent(self) -> Self {
        Self(from_bits(to_bits(self.0) << 23))
    }

    #[inline(always)]
    fn split_exponent(self) -> (Self, Self) {
        let sqrt_half = i32x4::splat(core::f32::consts::FRAC_1_SQRT_2.to_bits().cast_signed());
        let above = to_bits(self.0) - sqrt_half;
        let mantissa = (above & i32x4::splat(0x007f_ffff)) + sqrt_half;
        let exponent: i32x4 = above >> 23;
        (Self(from_bits(mantissa)), Self(exponent.round_float()))
    }
}

impl Lanes for F32x4 {
    type Stripes = [Self; STRIPES / Self::LANES];

    #[inline(always)]
    fn stripes(self) -> Self::Stripes {
        [self; STRIPES / Self::LANES]
    }

    #[inline(always)]
    fn largest(self) -> f32 {
        let larger = |high: f32, low: f32| if high > low { high } else { low };
        let [a, b, c, d] = self.0.to_array();
        larger(larger(d, b), larger(c, a))
    }

    #[inline(always)]
    fn halves(a: Self, b: Self, width: usize) -> (Self, Self) {
        let (a, b) = (a.0.to_array(), b.0.to_array());
        let four = |x, y| Self(f32x4::new([a[x], a[y], b[x], b[y]]));
        if width == 2 { (four(0, 1), four(2, 3)) } else { (four(0, 2), four(1, 3)) }
    }
}
