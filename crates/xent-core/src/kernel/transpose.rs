//! Rows of few classes to columns and back, through registers.
//!
//! A column is a register: class `c` of as many rows as it has lanes.

use core::ops::Range;

use super::cells::{Cells, WRITE};
use crate::element::Float;
use crate::simd::{Vector, from, from_mut};

/// Rows that lie one after the other: row `r` from `r * stride` on.
#[derive(Clone, Copy)]
pub(crate) struct RowPlaces {
    /// Rows there are: at most as many as a register has lanes.
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

/// The most lanes that a register has.
const ROWS: usize = 32;

impl<F: Float> Fours<F> {
    fn new() -> Self {
        Self([F::default(); _])
    }

    fn rows(&self) -> &[[F; 4]] {
        self.0.as_chunks().0
    }
}

/// The columns of as many rows as a register has lanes, without a gap between them. False, and nothing
/// read, where less than three logits follow them that a load may take along.
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

/// What [`whole_to_columns`] has read, from columns, where there are as many places.
#[inline(always)]
pub(crate) fn whole_from_columns<V: Vector>(
    fours: &[[V; 4]],
    classes: usize,
    into: &mut [V::Scalar],
) {
    if classes == 2 {
        if let (&[[first, second, ..], ..], Some(into)) = (fours, into.get_mut(..2 * V::LANES)) {
            let (first, second) = V::interleave(first, second);
            first.store(into);
            second.store(from_mut(into, V::LANES));
        }
        return;
    }
    // The last classes first: a store of four runs over into the next row, and after the last row into
    // what may not have been read yet.
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
}

/// How many elements behind a row fours of its classes may reach.
#[inline(always)]
fn overrun(classes: usize) -> usize {
    if classes == 2 || classes.is_multiple_of(4) { 0 } else { 3 }
}

/// The columns of the rows in `x`, and some after the last class so that there are fours of them; zeros
/// after the last row.
#[inline(always)]
pub(crate) fn to_columns<V: Vector>(
    token: V::Token,
    x: &[V::Scalar],
    places: RowPlaces,
    classes: usize,
    columns: &mut [V],
) {
    let zero = V::of(token, 0.0);
    let RowPlaces { rows, stride } = places;
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
        // What follows a row's last class comes along and is left behind.
        let x = from(x, 4 * four);
        if rows != V::LANES || !V::load_fours(columns, token, x, stride) {
            load_last_fours(columns, token, x, places);
        }
    }
}

/// [`Vector::load_fours`] of rows that are too few, or that end with the slice.
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

/// The gradients of the rows, from their columns.
#[inline(always)]
pub(crate) fn from_columns<V: Vector, const MODE: u8>(
    token: V::Token,
    columns: &mut [V],
    places: RowPlaces,
    classes: usize,
    cells: &mut Cells<'_, V::Scalar, MODE>,
    wanted: impl Fn(usize) -> bool,
) {
    let RowPlaces { rows, stride } = places;
    if MODE != WRITE {
        // Columns after the last add nothing, not even to the sign of a zero.
        let nothing = V::of(token, -0.0);
        columns
            .iter_mut()
            .take(classes.next_multiple_of(4))
            .skip(classes)
            .for_each(|c| *c = nothing);
    }
    let fours = columns.as_chunks::<4>().0;
    if MODE == WRITE
        && places.are_pairs(classes)
        && let [[first, second, ..], ..] = *fours
    {
        let pair = V::interleave(first, second);
        cells.put_in(token, (0, 2 * rows), pair.0);
        cells.put_in(token, (V::LANES, 2 * rows), pair.1);
        return;
    }
    // Where the next row follows at once, a store of four may run over into it: what is written later
    // must come later (hence the last classes first, and the rows in their order), and what may not
    // have been read yet is put back.
    let together = stride == classes;
    let all_wanted = MODE == WRITE || (0..rows).all(&wanted);
    for (four, columns) in fours.iter().enumerate().take(classes.div_ceil(4)).rev() {
        let first = 4 * four;
        if rows == V::LANES && all_wanted && (together || first + 4 <= classes) {
            let behind = from(cells.gradient(), rows * stride).first_chunk::<3>().copied();
            let gradient = from_mut(cells.gradient_mut(), first);
            let registers =
                if MODE == WRITE { *columns } else { added(token, *columns, gradient, stride) };
            if V::store_fours(registers, gradient, stride) {
                let place = from_mut(cells.gradient_mut(), rows * stride).first_chunk_mut();
                if let (Some(place), Some(behind)) = (place, behind) {
                    *place = behind;
                }
                continue;
            }
        }
        let all = first..classes;
        store_last_fours::<V, MODE>(columns, all, places, cells.reborrow(), &wanted);
    }
}

/// [`Vector::store_fours`] of rows that are too few, not all wanted, or that end with the slice.
#[cold]
fn store_last_fours<V: Vector, const MODE: u8>(
    columns: &[V; 4],
    classes: Range<usize>,
    places: RowPlaces,
    mut cells: Cells<'_, V::Scalar, MODE>,
    wanted: impl Fn(usize) -> bool,
) {
    let mut fours = Fours::<V::Scalar>::new();
    V::store_fours(*columns, &mut fours.0, 4);
    for (row, values) in fours.rows().iter().enumerate().take(places.rows) {
        if MODE == WRITE || wanted(row) {
            for (class, &value) in classes.clone().zip(values) {
                cells.put_one(row * places.stride + class, value);
            }
        }
    }
}

/// The sum of columns and those of the rows that are there.
#[inline(always)]
fn added<V: Vector>(
    token: V::Token,
    [a, b, c, d]: [V; 4],
    there: &[V::Scalar],
    stride: usize,
) -> [V; 4] {
    let mut sums = [V::of(token, -0.0); 4];
    V::load_fours(&mut sums, token, there, stride);
    let [e, f, g, h] = sums;
    [e + a, f + b, g + c, h + d]
}
