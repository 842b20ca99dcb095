//! Rows of few classes to columns and back, in registers.
//!
//! A column is a register: class `c` of as many rows as it has lanes.

use core::ops::Range;

use crate::simd::Compute;
use crate::simd::{Vector, from, from_mut};

/// Contiguous rows: row `r` from `r * stride` on.
#[derive(Clone, Copy)]
pub(crate) struct RowPlaces {
    /// The number of rows, at most the lanes of a register.
    pub(crate) rows: usize,
    pub(crate) stride: usize,
}

impl RowPlaces {
    /// Two classes without a gap between the rows: two registers hold as many rows as one has lanes.
    fn are_pairs(self, classes: usize) -> bool {
        classes == 2 && self.stride == 2
    }
}

/// Four classes of as many rows as a register may have lanes, one row after the other.
struct Fours<F>([F; 4 * ROWS]);

/// The most lanes of any register.
const ROWS: usize = 32;

impl<F: Compute> Fours<F> {
    fn new() -> Self {
        Self([F::default(); _])
    }

    fn rows(&self) -> &[[F; 4]] {
        self.0.as_chunks().0
    }
}

/// The columns of as many rows as a register has lanes, without a gap between them. Returns false, and reads
/// nothing, if they are followed by less than three logits, which a load may include.
#[inline(always)]
pub(crate) fn whole_to_columns<V: Vector>(
    token: V::Token,
    x: &[V::Scalar],
    classes: usize,
    fours: &mut [[V; 4]],
) -> bool {
    if x.len() < V::LANES * classes + overrun(classes) {
        return false;
    }
    if classes == 2 {
        if let ([[first, second, ..], ..], Some(x)) = (fours, x.get(..2 * V::LANES)) {
            let load = |at| V::load(token, from(x, at), V::of(token, 0.0));
            (*first, *second) = V::deinterleave(load(0), load(V::LANES));
        }
        return true;
    }
    for (four, columns) in fours.iter_mut().enumerate().take(classes.div_ceil(4)) {
        V::load_fours(columns, token, from(x, 4 * four), classes);
    }
    true
}

/// The inverse of [`whole_to_columns`]. Returns false, and writes nothing, in the cases that it would not read.
#[inline(always)]
pub(crate) fn whole_from_columns<V: Vector>(
    fours: &[[V; 4]],
    classes: usize,
    into: &mut [V::Scalar],
) -> bool {
    if into.len() < V::LANES * classes + overrun(classes) {
        return false;
    }
    if classes == 2 {
        if let (&[[first, second, ..], ..], Some(into)) = (fours, into.get_mut(..2 * V::LANES)) {
            let (first, second) = V::interleave(first, second);
            first.store(into);
            second.store(from_mut(into, V::LANES));
        }
        return true;
    }
    // The last classes first: a store of four runs over into the next row, and after the last row into values that
    // may not have been read yet.
    let end = V::LANES * classes;
    let behind = from(into, end).first_chunk::<3>().copied();
    for (four, columns) in fours.iter().enumerate().take(classes.div_ceil(4)).rev() {
        V::store_fours(*columns, from_mut(into, 4 * four), classes);
    }
    if overrun(classes) != 0
        && let (Some(place), Some(behind)) = (from_mut(into, end).first_chunk_mut(), behind)
    {
        *place = behind;
    }
    true
}

/// The number of elements past a row that groups of four classes may reach.
#[inline(always)]
fn overrun(classes: usize) -> usize {
    if classes == 2 || classes.is_multiple_of(4) { 0 } else { 3 }
}

/// The columns of the rows in `x`, filled up to a multiple of four classes; zeros after the last row.
#[inline(always)]
pub(crate) fn to_columns<V: Vector>(
    token: V::Token,
    x: &[V::Scalar],
    places: RowPlaces,
    classes: usize,
    columns: &mut [V],
) {
    let zero = V::of(token, 0.0);
    let RowPlaces { rows, .. } = places;
    let fours = columns.as_chunks_mut::<4>().0;
    if places.are_pairs(classes)
        && let [[first, second, ..], ..] = fours
    {
        let x = x.get(..2 * rows).unwrap_or(x);
        let load = |at| V::load(token, from(x, at), zero);
        (*first, *second) = V::deinterleave(load(0), load(V::LANES));
        return;
    }
    for (four, columns) in fours.iter_mut().enumerate().take(classes.div_ceil(4)) {
        // Values after a row's last class are loaded, too, and not used.
        load_fours(columns, token, from(x, 4 * four), places);
    }
}

/// Adds the columns of the rows in `x` to the columns.
#[inline(always)]
pub(crate) fn add_columns<V: Vector>(
    token: V::Token,
    columns: &mut [V],
    places: RowPlaces,
    classes: usize,
    x: &[V::Scalar],
) {
    let zero = V::of(token, 0.0);
    for (four, columns) in columns.as_chunks_mut::<4>().0.iter_mut().enumerate() {
        if 4 * four < classes {
            let mut there = [zero; 4];
            load_fours(&mut there, token, from(x, 4 * four), places);
            for (column, there) in columns.iter_mut().zip(there) {
                *column = there + *column;
            }
        }
    }
}

/// Four classes of the rows.
#[inline(always)]
fn load_fours<V: Vector>(
    columns: &mut [V; 4],
    token: V::Token,
    x: &[V::Scalar],
    places: RowPlaces,
) {
    if places.rows != V::LANES || !V::load_fours(columns, token, x, places.stride) {
        load_last_fours(columns, token, x, places);
    }
}

/// [`Vector::load_fours`] for too few rows, or for rows at the end of the slice.
#[cold]
fn load_last_fours<V: Vector>(
    columns: &mut [V; 4],
    token: V::Token,
    x: &[V::Scalar],
    places: RowPlaces,
) {
    let mut fours = Fours::<V::Scalar>::new();
    for (row, four) in fours.0.chunks_mut(4).enumerate().take(places.rows) {
        for (to, &of) in four.iter_mut().zip(from(x, row * places.stride)) {
            *to = of;
        }
    }
    V::load_fours(columns, token, &fours.0, 4);
}

/// The rows, from their columns.
#[inline(always)]
pub(crate) fn from_columns<V: Vector>(
    columns: &mut [V],
    places: RowPlaces,
    classes: usize,
    into: &mut [V::Scalar],
) {
    let RowPlaces { rows, stride } = places;
    let fours = columns.as_chunks::<4>().0;
    if places.are_pairs(classes)
        && let [[first, second, ..], ..] = *fours
    {
        let length = (2 * rows).min(into.len());
        let into = &mut into[..length];
        let (first, second) = V::interleave(first, second);
        first.store(into);
        second.store(from_mut(into, V::LANES));
        return;
    }
    // If the next row follows at once, a store of four may run over into it. So the order of stores matters (the
    // last classes first, and rows in order), and values that may not have been read yet are restored.
    let together = stride == classes;
    for (four, columns) in fours.iter().enumerate().take(classes.div_ceil(4)).rev() {
        let first = 4 * four;
        if rows == V::LANES && (together || first + 4 <= classes) {
            let behind = from(into, rows * stride).first_chunk::<3>().copied();
            if V::store_fours(*columns, from_mut(into, first), stride) {
                let place = from_mut(into, rows * stride).first_chunk_mut();
                if let (Some(place), Some(behind)) = (place, behind) {
                    *place = behind;
                }
                continue;
            }
        }
        store_last_fours::<V>(columns, first..classes, places, into);
    }
}

/// [`Vector::store_fours`] for too few rows, or for rows at the end of the slice.
#[cold]
fn store_last_fours<V: Vector>(
    columns: &[V; 4],
    classes: Range<usize>,
    places: RowPlaces,
    into: &mut [V::Scalar],
) {
    let mut fours = Fours::<V::Scalar>::new();
    V::store_fours(*columns, &mut fours.0, 4);
    for (row, values) in fours.rows().iter().enumerate().take(places.rows) {
        for (class, &value) in classes.clone().zip(values) {
            if let Some(place) = into.get_mut(row * places.stride + class) {
                *place = value;
            }
        }
    }
}
