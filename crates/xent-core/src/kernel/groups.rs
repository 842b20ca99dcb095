//! The one equation for rows with labels, a group of them at a time.
//!
//! A row of a tile or less has its exponentials in registers of its own, as in [`super::softmax`];
//! but its own arithmetic (a quotient, a logarithm) is one long chain of instructions that wait for
//! each other. So a group of rows has that in common, a row in each lane, as in [`super::lanes`].

use super::cells::{ADD, Cells, LOSS, WRITE};
use super::lanes::{Block, BlockResults, OfRows, ROWS};
use super::logit_map::Identity;
use super::passes::{Gradient, tile_exps};
use super::reduce::max;
use super::softmax::RowTask;
use super::sum::{TILE, totals};
use super::targets::NoTargets;
use crate::math::exp::exp_lifted;
use crate::simd::{Lanes, PANEL, from};

/// Logits of a group, at most, if it is more than one row: with the gradient they stay in the
/// first-level cache from pass to pass.
const ELEMENTS: usize = 4096;

/// Gradients of rows of so many classes are worth computing the exponentials again, to be written
/// past the caches if the batch is large. The one of the label is written on its own, and in a shorter
/// row would bring too much of it back.
const STREAM_CLASSES: usize = 256;

/// Rows of a group.
pub(crate) fn rows_of_group(classes: usize) -> usize {
    (ELEMENTS / classes).clamp(1, ROWS)
}

/// Whether rows of so many classes go in groups.
pub(crate) fn serve(classes: usize) -> bool {
    classes <= TILE
}

/// Where the rows of a group are: `[logits, gradient]`.
#[derive(Clone, Copy)]
pub(crate) struct GroupPlaces {
    pub(crate) rows: usize,
    pub(crate) first: [usize; 2],
    pub(crate) strides: [usize; 2],
}

impl GroupPlaces {
    #[inline(always)]
    fn row<'c, const MODE: u8>(
        self,
        cells: &'c mut Cells<'_, MODE>,
        row: usize,
        classes: usize,
    ) -> Cells<'c, MODE> {
        let [x_at, gradient_at] = core::array::from_fn(|i| self.first[i] + row * self.strides[i]);
        cells.part(x_at, gradient_at, classes)
    }
}

/// The losses and gradients of a group. Rows that are not live, or whose largest logit is not finite,
/// keep their logits.
#[inline(always)]
pub(crate) fn run<V: Lanes<Scalar = f32>, const MODE: u8>(
    token: V::Token,
    block: &Block<'_>,
    places: GroupPlaces,
    cells: &mut Cells<'_, MODE>,
    task: RowTask<Identity>,
    results: &mut BlockResults,
) {
    let zero = V::splat(token, 0.0);
    let zeros: OfRows = [0.0; ROWS];
    let (mut maxima, mut label_distances, mut finite) = (zeros, zeros, [1.0; ROWS]);
    let mut folded = [(zero, zero); ROWS];
    let streams =
        MODE == WRITE && task.stream && block.classes >= STREAM_CLASSES && cells.is_beside();
    let label = |row: usize| block.targets.labels[row] as usize;
    for row in 0..places.rows {
        let mut cells = places.row(cells, row, block.classes);
        let largest = max::<V>(token, cells.logits());
        if !largest.is_finite() || block.live[row] != 1.0 {
            finite[row] = 0.0;
            continue;
        }
        maxima[row] = largest;
        let logit = cells.logits().get(label(row)).copied().unwrap_or(largest);
        label_distances[row] = largest - logit;
        let apart = Some(label(row));
        let targets = NoTargets;
        folded[row] = if streams {
            let mut cells = Cells::loss(cells.logits());
            tile_exps::<V, _, _, LOSS>(token, &mut cells, 0, targets, Identity, largest, apart)
        } else {
            tile_exps::<V, _, _, MODE>(token, &mut cells, 0, targets, Identity, largest, apart)
        }
        .others
        .folded();
    }

    let mut of_label = zeros;
    let mut sums = [zeros; 4];
    for register in 0..ROWS / V::LANES {
        let at = register * V::LANES;
        if at >= places.rows {
            break;
        }
        let (high, low) = totals::<V>(
            V::square(|lane| folded[at + lane].0),
            V::square(|lane| folded[at + lane].1),
        );
        let load = |numbers: &OfRows| V::load(token, from(numbers, at), zero);
        let distance = load(&label_distances);
        let label_exp = exp_lifted(token, zero - distance);
        let label_sums = [distance, label_exp, high + low];
        let settled = block.settle_labels(token, at, load(&maxima), label_sums, task.terms);
        results.put(at, load(&finite), &settled, load(&block.targets.labels));
        settled.apart.store(&mut of_label[at..]);
        let parts = [settled.mass, label_exp, high, low];
        for (numbers, part) in sums.iter_mut().zip(parts) {
            part.store(&mut numbers[at..]);
        }
    }
    if MODE == LOSS {
        return;
    }
    // Every gradient has this factor's error: it is rounded but once.
    let [mass, label_exps, high, low] = &sums;
    let mut probability = zeros;
    for (row, probability) in probability.iter_mut().enumerate() {
        let sum = f64::from(high[row]) + (f64::from(low[row]) + f64::from(label_exps[row]));
        *probability = (block.gradient_factors[row] * f64::from(mass[row]) / sum) as f32;
    }

    for row in 0..places.rows {
        if finite[row] != 1.0 {
            continue;
        }
        let mut cells = places.row(cells, row, block.classes);
        let there = if MODE == ADD { cells.gradient_of(label(row)) } else { 0.0 };
        let gradient = Gradient {
            targets: NoTargets,
            map: Identity,
            max: maxima[row],
            factors: [probability[row], 0.0],
        };
        let row_cells = cells.reborrow();
        if streams {
            gradient.put_past_caches::<V, MODE>(token, row_cells, 0);
        } else if MODE == WRITE {
            gradient.put::<V, MODE, false>(token, row_cells, 0);
        } else {
            gradient.put::<V, MODE, true>(token, row_cells, 0);
        }
        cells.set_one(label(row), there + of_label[row]);
    }
}

const _: () = assert!(ELEMENTS.is_multiple_of(PANEL) && ELEMENTS <= TILE);
