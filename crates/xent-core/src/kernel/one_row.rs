//! One row of few classes with a label, in little code: what [`super::lanes`] does, with one lane.

use super::cells::{Cells, WRITE};
use super::coefficients::{Factors, Terms};
use super::lanes::{Grid, Gridded, Largest, Plane, exponential, label_coefficients, label_sums};
use super::logit_map::{Identity, first};
use crate::simd::Vector;

/// The loss of a row and, where the cells have a place for it, its gradient; `None`, and nothing written,
/// if its largest logit is not finite.
#[inline(always)]
pub(crate) fn one_row<V: Vector>(
    token: V::Token,
    cells: Cells<'_, V::Scalar, WRITE>,
    label: usize,
) -> Option<V::Scalar> {
    let one = V::of(token, 1.0);
    let classes = cells.len();
    let mut plane = Gridded { cells, grid: Grid { stride: 1, first: 0, rows: 1 }, classes };

    let mut max = V::of(token, f64::NEG_INFINITY);
    for class in 0..classes {
        let x: V = plane.logits(token, class, 0);
        max = x.max(max);
    }
    if !V::any(max.abs().less(V::of(token, f64::INFINITY))) {
        return None;
    }

    let apart = V::count(token, label);
    let largest = Largest { apart, max, finite: one, some_odd: false };
    let sums = label_sums(token, 0, &mut plane, largest, Identity);
    let terms = Terms { gamma: 0.0, z_loss: 0.0 };
    let factors = Factors { loss: one, gradient: one };
    let settled = label_coefficients(token, (max, one), sums, terms, factors);

    for class in 0..classes {
        let e = exponential(token, class, 0, &plane, Identity, max);
        let here = apart.equal(V::count(token, class));
        let g = V::select(here, settled.apart, e * settled.probability);
        plane.put(token, class, 0, g);
    }
    Some(first(settled.loss))
}
