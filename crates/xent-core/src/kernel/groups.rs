//! The one equation for rows with labels, a group of them at a time.
//!
//! A row of a tile or less has its exponentials in registers of its own, as in [`super::softmax`];
//! but its own arithmetic (a quotient, a logarithm) is one long chain of instructions that wait for
//! each other. So a group of rows has that in common, a row in each lane, as in [`super::lanes`]; and
//! each pass goes over all of its rows before the next, so that no row waits for its own maximum.

use super::cells::{ADD, Cells, LOSS, WRITE};
use super::lanes::{Block, BlockResults, OfRows, ROWS};
use super::logit_map::Identity;
use super::passes::{ExpSum, Gradient};
use super::reduce::{max_by_lane, max_of_rows};
use super::softmax::RowTask;
use super::sum::{StripedSum, TILE, totals};
use super::targets::NoTargets;
use crate::element::Compute;
use crate::math::exp::exp_lifted;
use crate::simd::{Lanes, PANEL, Pair, Vector, from};

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

/// What is kept of the rows of a group from one pass to the next.
pub(crate) struct GroupScratch<V: Lanes> {
    /// Rows of the group.
    rows: usize,
    /// The largest logits, lane by lane.
    largest: [V; ROWS],
    /// The sums of a panel's exponentials, without the label's.
    stripes: [V::Stripes; ROWS],
    /// The same of the row, folded, and what was lost.
    folded: [(V, V); ROWS],
}

impl<V: Lanes> GroupScratch<V> {
    #[inline(always)]
    pub(crate) fn new(token: V::Token) -> Self {
        let zero = V::of(token, 0.0);
        Self {
            rows: 0,
            largest: [zero; ROWS],
            stripes: [zero.stripes(); ROWS],
            folded: [(zero, zero); ROWS],
        }
    }

    /// The losses and gradients of a group. Rows that are not live, or whose largest logit is not finite,
    /// keep their logits.
    #[inline(always)]
    pub(crate) fn run<const MODE: u8>(
        &mut self,
        token: V::Token,
        block: &Block<'_, V::Scalar>,
        places: GroupPlaces,
        cells: &mut Cells<'_, V::Scalar, MODE>,
        task: RowTask<Identity>,
        results: &mut BlockResults<V::Scalar>,
    ) {
        let zero = V::of(token, 0.0);
        let zeros: OfRows<V::Scalar> = [V::Scalar::default(); ROWS];
        let one = V::Scalar::from_count(1);
        let streams =
            MODE == WRITE && task.stream && block.classes >= STREAM_CLASSES && cells.is_beside();
        let label_numbers = &block.targets.labels;
        let labels = label_numbers.map(Compute::to_count);
        let label = |row: usize| labels[row];
        let [x_at, gradient_at] = places.first;
        let mut cells = cells.from(x_at, gradient_at);
        // A group of fewer rows than the one before: those that there are not have no loss.
        for row in places.rows..self.rows {
            self.largest[row] = zero;
            self.folded[row] = (zero, zero);
        }
        self.rows = places.rows;

        let mut label_logits = zeros;
        let mut rest = cells.reborrow();
        for (row, label_logit) in label_logits.iter_mut().enumerate().take(places.rows) {
            let cells = rest.take_row(block.classes, places.strides);
            self.largest[row] = max_by_lane(token, cells.logits());
            *label_logit = cells.logits().get(label(row)).copied().unwrap_or_default();
        }
        let (mut maxima, mut label_distances, mut finite) = (zeros, zeros, [one; ROWS]);
        for at in (0..places.rows).step_by(V::LANES) {
            let load = |numbers: &OfRows<V::Scalar>| V::load(token, from(numbers, at), zero);
            let max = max_of_rows(&mut self.largest[at..at + V::LANES]);
            let is_finite = max.abs().less(V::of(token, f64::INFINITY));
            max.store(&mut maxima[at..]);
            (max - load(&label_logits)).store(&mut label_distances[at..]);
            V::select(is_finite, load(&block.live), zero).store(&mut finite[at..]);
        }

        let rows = Rows {
            places,
            classes: block.classes,
            finite: &finite,
            maxima: &maxima,
            labels: label_numbers,
        };
        if streams {
            self.exps::<LOSS, false>(token, Cells::loss(cells.logits()), &rows);
        } else if block.classes <= PANEL {
            self.exps::<MODE, true>(token, cells.reborrow(), &rows);
            for row in 0..places.rows {
                self.folded[row] = StripedSum::of(token, self.stripes[row]).folded();
            }
        } else {
            self.exps::<MODE, false>(token, cells.reborrow(), &rows);
        }
        let (mut highs, mut lows) = (zeros, zeros);
        for at in (0..places.rows).step_by(V::LANES) {
            let (high, low) = totals(&mut self.folded[at..at + V::LANES]);
            high.store(&mut highs[at..]);
            low.store(&mut lows[at..]);
        }

        let (mut of_label, mut mass, mut label_exps) = (zeros, zeros, zeros);
        // Two registers at a time: this is one long chain of instructions.
        let zero = Pair::<V>::of(token, 0.0);
        for at in (0..places.rows).step_by(Pair::<V>::LANES) {
            let load = |numbers: &OfRows<V::Scalar>| Pair::load(token, from(numbers, at), zero);
            let distance = load(&label_distances);
            let label_exp = exp_lifted(token, zero - distance);
            let label_sums = [distance, label_exp, load(&highs) + load(&lows)];
            let settled = block.settle_labels(token, at, load(&maxima), label_sums, task.terms);
            results.put(at, load(&finite), &settled, load(label_numbers));
            settled.apart.store(&mut of_label[at..]);
            settled.mass.store(&mut mass[at..]);
            label_exp.store(&mut label_exps[at..]);
        }
        if MODE == LOSS {
            return;
        }
        // Every gradient has this factor's error: it is rounded but once.
        let mut probability = zeros;
        for (row, probability) in probability.iter_mut().enumerate() {
            let [high, low, label, mass] =
                [highs[row], lows[row], label_exps[row], mass[row]].map(Compute::to_f64);
            let sum = high + (low + label);
            *probability = V::Scalar::from_f64(block.gradient_factors[row] * mass / sum);
        }

        let mut rest = cells.reborrow();
        for row in 0..places.rows {
            let mut cells = rest.take_row(block.classes, places.strides);
            if finite[row] != one {
                continue;
            }
            let there = if MODE == ADD { cells.gradient_of(label(row)) } else { zeros[row] };
            let gradient = Gradient {
                targets: NoTargets,
                map: Identity,
                max: maxima[row],
                factors: [probability[row], V::Scalar::default()],
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

    /// The exponentials, kept for the gradient, and their sums without the label's. A loop of its own for
    /// rows of a panel or less, `SHORT`: its constants stay in registers, and its sums are folded later,
    /// so that a row is not waited for.
    #[inline(always)]
    fn exps<const MODE: u8, const SHORT: bool>(
        &mut self,
        token: V::Token,
        mut rest: Cells<'_, V::Scalar, MODE>,
        rows: &Rows<'_, V::Scalar>,
    ) {
        for row in 0..rows.places.rows {
            let cells = rest.take_row(rows.classes, rows.places.strides);
            if rows.finite[row] != V::Scalar::from_count(1) {
                continue;
            }
            let pass = ExpSum::new(token, NoTargets, Identity, rows.maxima[row], rows.labels[row]);
            if SHORT {
                self.stripes[row] = pass.short_row(cells);
            } else {
                self.folded[row] = pass.tile(cells, 0).others.folded();
            }
        }
    }
}

/// The rows of a group, and what their exponentials depend on.
struct Rows<'a, F> {
    places: GroupPlaces,
    classes: usize,
    finite: &'a OfRows<F>,
    maxima: &'a OfRows<F>,
    labels: &'a OfRows<F>,
}

const _: () = assert!(ELEMENTS.is_multiple_of(PANEL) && ELEMENTS <= TILE);
