//! The largest element of a slice, and its place.

use crate::simd::Compute;
use crate::simd::{ACCUMULATORS, HALF_STRIP, Lanes, STRIP, from, in_lanes};

/// The largest element; NaN is skipped, and an empty slice has `-inf`.
#[inline(always)]
pub(crate) fn max<V: Lanes>(token: V::Token, x: &[V::Scalar]) -> V::Scalar {
    max_by_lane::<V>(token, x).largest()
}

/// The largest elements of as many rows as there are lanes, from the [`max_by_lane`] of each row; returned with a
/// row in each lane.
#[inline(always)]
pub(crate) fn max_of_rows<V: Lanes>(rows: &mut [V]) -> V {
    in_lanes::<V, V>(rows, larger)
}

#[inline(always)]
fn larger<V: Lanes>(a: V, b: V, width: usize) -> V {
    let (low, high) = V::halves(a, b, width);
    high.max(low)
}

/// [`max`], without the last comparison across the lanes.
#[inline(always)]
pub(crate) fn max_by_lane<V: Lanes>(token: V::Token, x: &[V::Scalar]) -> V {
    let least = V::of(token, f64::NEG_INFINITY);
    let mut largest = least.accumulators();
    let (halves, rest) = x.as_chunks::<HALF_STRIP>();
    for half in halves {
        for (register, largest) in largest.as_mut().iter_mut().enumerate() {
            let at = |row: usize| {
                V::load(token, from(half, row * ACCUMULATORS + register * V::LANES), least)
            };
            *largest = at(0).max(at(1)).max(*largest);
        }
    }
    let (rows, rest) = rest.as_chunks::<ACCUMULATORS>();
    for row in rows {
        for (register, largest) in largest.as_mut().iter_mut().enumerate() {
            *largest = V::load(token, from(row, register * V::LANES), least).max(*largest);
        }
    }
    for (chunk, largest) in rest.chunks(V::LANES).zip(largest.as_mut()) {
        *largest = V::load(token, chunk, least).max(*largest);
    }
    let registers = largest.as_mut();
    let mut width = registers.len();
    while width > 1 {
        width /= 2;
        for i in 0..width {
            registers[i] = registers[i + width].max(registers[i]);
        }
    }
    registers[0]
}

/// The first positions of `value` lane by lane, negated, so that the largest lane is the first position. There is
/// no branch for each register, which would be mispredicted.
#[inline(always)]
pub(crate) fn first_by_lane<V: Lanes>(token: V::Token, x: &[V::Scalar], value: V) -> V {
    let none = V::of(token, f64::NEG_INFINITY);
    let zero = V::of(token, 0.0);
    let mut start = 0;
    let mut rest = x;
    while !rest.is_empty() {
        let (half, behind) = rest.split_at(HALF_STRIP.min(rest.len()));
        let first = V::count(token, start);
        let mut found = none;
        for at in (0..HALF_STRIP).step_by(V::LANES) {
            if at >= half.len() {
                break;
            }
            let number = first + V::load(token, from(V::Scalar::LANE_NUMBERS, at), zero);
            let here = V::load(token, from(half, at), none).equal(value);
            found = V::select(here, zero - number, none).max(found);
        }
        if V::any(none.less(found)) {
            return found;
        }
        start += HALF_STRIP;
        rest = behind;
    }
    // With NaN among them, the first class is as good as any.
    zero
}

/// The first position of `value`.
#[inline(always)]
pub(crate) fn position<V: Lanes>(
    token: V::Token,
    x: &[V::Scalar],
    value: V::Scalar,
) -> Option<usize> {
    let wanted = V::splat(token, value);
    let other = V::of(token, f64::NAN);
    for (index, chunk) in x.chunks(V::LANES).enumerate() {
        if V::any(V::load(token, chunk, other).equal(wanted)) {
            let lane = chunk.iter().position(|&x| x == value)?;
            return Some(index * V::LANES + lane);
        }
    }
    None
}

/// Whether any element is NaN.
#[inline(always)]
pub(crate) fn any_nan<V: Lanes>(token: V::Token, x: &[V::Scalar]) -> bool {
    let zero = V::of(token, 0.0);
    // Not NaN: below one, or equal to itself.
    x.chunks(STRIP).any(|strip| {
        let mut unordered = zero;
        for chunk in strip.chunks(V::LANES) {
            let x = V::load(token, chunk, zero);
            let one = V::of(token, 1.0);
            unordered = unordered + V::select(x.equal(x), zero, one);
        }
        V::any(zero.less(unordered))
    })
}
