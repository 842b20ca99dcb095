//! Rows of few classes to columns and back, through registers.
//!
//! In columns, class `c` of the rows of a block is one array, a row in each of its lanes.

use super::cells::{Cells, WRITE};
use super::lanes::{OfRows, ROWS};
use crate::simd::{Lanes, from, from_mut};

/// Rows that lie one after the other: row `r` from `r * stride` on.
#[derive(Clone, Copy)]
pub(crate) struct RowPlaces {
    /// Rows there are: at most a block.
    pub(crate) rows: usize,
    pub(crate) stride: usize,
}

impl RowPlaces {
    /// Two classes without a gap between the rows: two registers hold as many rows as one has lanes.
    fn are_pairs(self, classes: usize) -> bool {
        classes == 2 && self.stride == 2
    }
}

/// The columns of the rows in `x`; zeros after the last row.
#[inline(always)]
pub(crate) fn to_columns<V: Lanes<Scalar = f32>>(
    token: V::Token,
    x: &[f32],
    places: RowPlaces,
    columns: &mut [OfRows],
) {
    let zero = V::splat(token, 0.0);
    let RowPlaces { rows, stride } = places;
    if places.are_pairs(columns.len())
        && let [first, second] = columns
    {
        let x = x.get(..2 * rows).unwrap_or(x);
        for at in (0..ROWS).step_by(V::LANES) {
            let load = |at| V::load(token, from(x, at), zero);
            let pair = V::deinterleave(load(2 * at), load(2 * at + V::LANES));
            pair.0.store(from_mut(first, at));
            pair.1.store(from_mut(second, at));
        }
        return;
    }
    for at in (0..ROWS).step_by(V::LANES) {
        for (chunk, columns) in columns.chunks_mut(V::LANES).enumerate() {
            // What follows a row's last class comes along and is left behind.
            let start = at * stride + chunk * V::LANES;
            let square = V::transpose(V::square(|lane| {
                if at + lane < rows {
                    V::load(token, from(x, start + lane * stride), zero)
                } else {
                    zero
                }
            }));
            for (column, register) in columns.iter_mut().zip(square.as_ref()) {
                register.store(from_mut(column, at));
            }
        }
    }
}

/// The gradients of the rows, from their columns.
#[inline(always)]
pub(crate) fn from_columns<V: Lanes<Scalar = f32>, const MODE: u8>(
    token: V::Token,
    columns: &[OfRows],
    places: RowPlaces,
    cells: &mut Cells<'_, MODE>,
    wanted: impl Fn(usize) -> bool,
) {
    let zero = V::splat(token, 0.0);
    let RowPlaces { rows, stride } = places;
    let classes = columns.len();
    if MODE == WRITE
        && places.are_pairs(classes)
        && let [first, second] = columns
    {
        for at in (0..rows).step_by(V::LANES) {
            let load = |column| V::load(token, from(column, at), zero);
            let pair = V::interleave(load(first), load(second));
            cells.put_in(token, (2 * at, 2 * rows), pair.0);
            cells.put_in(token, (2 * at + V::LANES, 2 * rows), pair.1);
        }
        return;
    }
    // A whole register is the quicker store. Where the next row follows at once it may run over into
    // rows that are written later; hence the last classes first, and the rows in their order.
    let may_run_over = MODE == WRITE && stride == classes;
    for at in (0..rows).step_by(V::LANES) {
        for (chunk, columns) in columns.chunks(V::LANES).enumerate().rev() {
            let square = V::transpose(V::square(|class| match columns.get(class) {
                Some(column) => V::load(token, from(column, at), zero),
                None => zero,
            }));
            for (row, &register) in (at..rows).zip(square.as_ref()) {
                if MODE != WRITE && !wanted(row) {
                    continue;
                }
                let start = row * stride + chunk * V::LANES;
                let whole = start + V::LANES;
                let runs_over = may_run_over && whole <= rows * stride;
                let end = if runs_over { whole } else { start + columns.len() };
                cells.put_in(token, (start, end), register);
            }
        }
    }
}
