//! Two registers that are processed together.

use core::ops::{Add, Div, Mul, Sub};

use super::{Vector, from, from_mut, has_fours};

/// Twice the lanes. While a step of one register waits for the step before, the processor can work
/// on the other.
#[derive(Clone, Copy)]
pub(crate) struct Pair<V>(V, V);

macro_rules! operator {
    ($trait:ident, $name:ident) => {
        impl<V: Vector> $trait for Pair<V> {
            type Output = Self;

            #[inline(always)]
            fn $name(self, other: Self) -> Self {
                Self(self.0.$name(other.0), self.1.$name(other.1))
            }
        }
    };
}
operator!(Add, add);
operator!(Sub, sub);
operator!(Mul, mul);
operator!(Div, div);

impl<V: Vector> Vector for Pair<V> {
    type Token = V::Token;
    type Scalar = V::Scalar;
    type Mask = (V::Mask, V::Mask);

    const LANES: usize = 2 * V::LANES;

    #[inline(always)]
    fn splat(token: V::Token, value: V::Scalar) -> Self {
        let both = V::splat(token, value);
        Self(both, both)
    }

    #[inline(always)]
    fn load(token: V::Token, slice: &[V::Scalar], fill: Self) -> Self {
        Self(V::load(token, slice, fill.0), V::load(token, from(slice, V::LANES), fill.1))
    }

    #[inline(always)]
    fn store(self, into: &mut [V::Scalar]) {
        self.0.store(into);
        self.1.store(from_mut(into, V::LANES));
    }

    #[inline(always)]
    fn load_fours(
        [a, b, c, d]: &mut [Self; 4],
        token: V::Token,
        slice: &[V::Scalar],
        stride: usize,
    ) -> bool {
        let mut first = [a.0, b.0, c.0, d.0];
        let mut second = [a.1, b.1, c.1, d.1];
        let there = has_fours(slice, Self::LANES, stride)
            && V::load_fours(&mut first, token, slice, stride)
            && V::load_fours(&mut second, token, from(slice, V::LANES * stride), stride);
        if there {
            [a.0, b.0, c.0, d.0] = first;
            [a.1, b.1, c.1, d.1] = second;
        }
        there
    }

    #[inline(always)]
    fn store_fours([a, b, c, d]: [Self; 4], into: &mut [V::Scalar], stride: usize) -> bool {
        has_fours(into, Self::LANES, stride)
            && V::store_fours([a.0, b.0, c.0, d.0], into, stride)
            && V::store_fours([a.1, b.1, c.1, d.1], from_mut(into, V::LANES * stride), stride)
    }

    #[inline(always)]
    fn interleave(a: Self, b: Self) -> (Self, Self) {
        let (first, second) = (V::interleave(a.0, b.0), V::interleave(a.1, b.1));
        (Self(first.0, first.1), Self(second.0, second.1))
    }

    #[inline(always)]
    fn deinterleave(a: Self, b: Self) -> (Self, Self) {
        let (first, second) = (V::deinterleave(a.0, a.1), V::deinterleave(b.0, b.1));
        (Self(first.0, second.0), Self(first.1, second.1))
    }

    #[inline(always)]
    fn mul_add(self, b: Self, c: Self) -> Self {
        Self(self.0.mul_add(b.0, c.0), self.1.mul_add(b.1, c.1))
    }

    #[inline(always)]
    fn max(self, other: Self) -> Self {
        Self(self.0.max(other.0), self.1.max(other.1))
    }

    #[inline(always)]
    fn min(self, other: Self) -> Self {
        Self(self.0.min(other.0), self.1.min(other.1))
    }

    #[inline(always)]
    fn abs(self) -> Self {
        Self(self.0.abs(), self.1.abs())
    }

    #[inline(always)]
    fn less(self, other: Self) -> Self::Mask {
        (self.0.less(other.0), self.1.less(other.1))
    }

    #[inline(always)]
    fn equal(self, other: Self) -> Self::Mask {
        (self.0.equal(other.0), self.1.equal(other.1))
    }

    #[inline(always)]
    fn any(mask: Self::Mask) -> bool {
        V::any(mask.0) | V::any(mask.1)
    }

    #[inline(always)]
    fn select(mask: Self::Mask, yes: Self, no: Self) -> Self {
        Self(V::select(mask.0, yes.0, no.0), V::select(mask.1, yes.1, no.1))
    }

    #[inline(always)]
    fn shift_into_exponent(self) -> Self {
        Self(self.0.shift_into_exponent(), self.1.shift_into_exponent())
    }

    #[inline(always)]
    fn split_exponent(self) -> (Self, Self) {
        let (first, second) = (self.0.split_exponent(), self.1.split_exponent());
        (Self(first.0, second.0), Self(first.1, second.1))
    }
}
