//! A group of contiguous rows, pass by pass: the largest logits, the exponentials and their sums, the gradient.

use super::block::{BlockSums, BlockTargets, FinishSoft, OfRows, ROWS, RowBlock, SoftTargets};
use super::exp_sums::{ExpSums, SoftRow};
use super::gradient::{Gradient, SoftGradient, Source, clear};
use super::reduce::{first_by_lane, max_by_lane, max_of_rows, position};
use super::row_buffers::{GradMode, RowBuffers};
use super::row_task::{LANES, RowTask, Steps};
use super::sum::{CompensatedSum, totals};
use crate::dispatch::Kernel;
use crate::math::exp::exp_scaled;
use crate::simd::Compute;
use crate::simd::{ACCUMULATORS, HALF_STRIP, Lanes, Pair, STRIP, Vector, from, from_mut};

/// The rows of a group.
pub(super) struct Group<'g, V: Lanes> {
    pub(super) token: V::Token,
    pub(super) task: &'g RowTask,
    pub(super) rows: usize,
    pub(super) block: &'g mut RowBlock<V::Scalar>,
    pub(super) sums: &'g mut BlockSums<V::Scalar>,
    pub(super) folded: &'g mut [[V::Scalar; ACCUMULATORS]],
}

impl<V: Lanes> Group<'_, V> {
    /// The largest logits, the sums and, if all steps are to be done, the coefficients.
    #[inline(always)]
    pub(super) fn sum(
        &mut self,
        buffers: &mut RowBuffers<'_, V::Scalar>,
        targets: BlockTargets<'_, V::Scalar>,
    ) {
        let stores_exps = self.task.source(buffers) == Source::StoredExps;
        let finishes = self.task.steps == Steps::All;
        let distances = self.largest(buffers);
        let of_labels = matches!(targets, BlockTargets::Labels);
        if self.task.largest_class || self.task.second || !of_labels {
            self.largest_class(buffers);
        }
        if let BlockTargets::Soft(soft) = targets {
            self.sum_soft(buffers, soft, stores_exps);
            if finishes {
                FinishSoft {
                    block: &mut *self.block,
                    sums: &*self.sums,
                    unit: self.task.unit,
                    z_loss: self.task.terms.z_loss,
                    own_gradient_weights: soft.own_gradient,
                    has_teacher: !soft.teacher.is_empty(),
                }
                .at(self.task.level);
            }
            return;
        }
        if !of_labels {
            self.block.labels = self.block.largest_class;
        }
        self.sum_labels(buffers, stores_exps);
        if finishes {
            self.finish_labels(if of_labels { Some(&distances) } else { None });
        }
    }

    /// The logits and the gradient of a row.
    #[inline(always)]
    pub(super) fn row<'b>(
        &self,
        buffers: &'b mut RowBuffers<'_, V::Scalar>,
        row: usize,
    ) -> RowBuffers<'b, V::Scalar> {
        buffers.part(self.task.strides.map(|stride| row * stride), self.task.classes)
    }

    /// The largest logit of each row, and the distance of the label's logit below it.
    #[inline(always)]
    pub(super) fn largest(&mut self, buffers: &RowBuffers<'_, V::Scalar>) -> OfRows<V::Scalar> {
        let token = self.token;
        let zero = V::of(token, 0.0);
        let logits = buffers.logits();
        if self.rows == 1 {
            return self.largest_of_one(logits);
        }
        let mut label_logits = [V::Scalar::default(); ROWS];
        let labels = self.block.labels.map(Compute::to_count);
        for row in 0..self.rows {
            let at = row * self.task.strides[0];
            let x = logits.get(at..at + self.task.classes).unwrap_or(&[]);
            if let Some(place) = self.folded.get_mut(row) {
                max_by_lane::<V>(token, x).store(place);
            }
            label_logits[row] = x.get(labels[row]).copied().unwrap_or_default();
        }
        let one = V::of(token, 1.0);
        let infinity = V::of(token, f64::INFINITY);
        let mut distances = [V::Scalar::default(); ROWS];
        for at in (0..self.rows).step_by(V::LANES) {
            let mut registers = [zero; LANES];
            for (register, lanes) in registers.iter_mut().zip(self.folded.iter().skip(at)) {
                *register = V::load(token, lanes, zero);
            }
            let max = max_of_rows(&mut registers[..V::LANES]);
            max.store(from_mut(&mut self.block.max, at));
            let regular = V::load(token, from(&self.block.regular, at), zero);
            let finite = V::select(max.abs().less(infinity), one, zero) * regular;
            finite.store(from_mut(&mut self.block.finite, at));
            (max - V::load(token, from(&label_logits, at), zero)).store(&mut distances[at..]);
        }
        distances
    }

    /// For a single row, or one tile of a row.
    #[inline(always)]
    pub(super) fn largest_of_one(&mut self, x: &[V::Scalar]) -> OfRows<V::Scalar> {
        let max = max_by_lane::<V>(self.token, x).largest();
        let finite = if max.is_finite() { self.block.regular[0] } else { V::Scalar::default() };
        (self.block.max[0], self.block.finite[0]) = (max, finite);
        let label_logit = x.get(self.block.labels[0].to_count()).copied().unwrap_or_default();
        let mut distances = [V::Scalar::default(); ROWS];
        distances[0] = max - label_logit;
        distances
    }

    /// The first class with the largest logit of each row.
    #[inline(always)]
    pub(super) fn largest_class(&mut self, buffers: &RowBuffers<'_, V::Scalar>) {
        let token = self.token;
        let zero = V::of(token, 0.0);
        let logits = buffers.logits();
        for row in 0..self.rows {
            let at = row * self.task.strides[0];
            let x = logits.get(at..at + self.task.classes).unwrap_or(&[]);
            if self.rows == 1 {
                let class = position::<V>(token, x, self.block.max[row]);
                self.block.largest_class[row] = V::Scalar::from_count(class.unwrap_or_default());
                return;
            }
            let max = V::splat(token, self.block.max[row]);
            if let Some(place) = self.folded.get_mut(row) {
                first_by_lane::<V>(token, x, max).store(place);
            }
        }
        for at in (0..self.rows).step_by(V::LANES) {
            let mut registers = [zero; LANES];
            for (register, lanes) in registers.iter_mut().zip(self.folded.iter().skip(at)) {
                *register = V::load(token, lanes, zero);
            }
            let class = zero - max_of_rows(&mut registers[..V::LANES]);
            class.store(from_mut(&mut self.block.largest_class, at));
        }
    }

    /// The exponentials, stored for the gradient, and their sums without the pivot's.
    #[inline(always)]
    pub(super) fn sum_labels(
        &mut self,
        buffers: &mut RowBuffers<'_, V::Scalar>,
        stores_exps: bool,
    ) {
        if self.task.unit == 1.0 {
            self.sum_rows(buffers, stores_exps);
        } else {
            self.sum_in_units(buffers, stores_exps);
        }
        if self.rows != 1 {
            let [high, low] = &mut self.sums.others;
            totals_of_rows::<V>(self.token, self.folded, self.rows, 1, high, low);
        }
    }

    /// The pass over the exponentials of a row.
    #[inline(always)]
    pub(super) fn exp_sums(&self, row: usize, pivot: V::Scalar) -> ExpSums<V> {
        let max = V::splat(self.token, self.block.max[row]);
        ExpSums { token: self.token, max, pivot }
    }

    /// The same for rows whose distances have a unit: the logits of a teacher.
    #[inline(always)]
    pub(super) fn sum_in_units(
        &mut self,
        buffers: &mut RowBuffers<'_, V::Scalar>,
        stores_exps: bool,
    ) {
        let unit = V::of(self.token, self.task.unit);
        let unused = &mut [V::Scalar::default(); HALF_STRIP];
        for row in 0..self.rows {
            if !self.is_finite(row) {
                continue;
            }
            let pass = self.exp_sums(row, self.block.labels[row]);
            let cells = self.row(buffers, row);
            let cells = if stores_exps { cells } else { cells.only_logits() };
            let sum = pass.of_row_in_units(cells, unit, unused);
            if self.rows == 1 {
                let [high, low] = &mut self.sums.others;
                (high[0], low[0]) = sum.parts();
                return;
            }
            self.fold(row, sum);
        }
    }

    #[inline(always)]
    pub(super) fn sum_rows(&mut self, buffers: &mut RowBuffers<'_, V::Scalar>, stores_exps: bool) {
        // Rows of at most a strip have their own loop: its constants stay in registers, and its sums are combined
        // later, so that it does not wait for a row.
        let is_short = self.task.classes <= STRIP;
        for row in 0..self.rows {
            if !self.is_finite(row) {
                continue;
            }
            let pass = self.exp_sums(row, self.block.labels[row]);
            let cells = self.row(buffers, row);
            let cells = if stores_exps { cells } else { cells.only_logits() };
            if is_short {
                let terms = pass.of_short_row(cells);
                if let Some(place) = self.folded.get_mut(row) {
                    for (register, term) in terms.as_ref().iter().enumerate() {
                        term.store(from_mut(place, register * V::LANES));
                    }
                }
                continue;
            }
            let sum = pass.of_row(cells);
            if self.rows == 1 {
                let [high, low] = &mut self.sums.others;
                (high[0], low[0]) = sum.parts();
                return;
            }
            self.fold(row, sum);
        }
        if !is_short {
            return;
        }
        self.fold_accumulators(self.rows);
        if self.rows == 1 {
            let [high, low] = &mut self.sums.others;
            totals_of_rows::<V>(self.token, self.folded, 1, 1, high, low);
        }
    }

    /// The same for rows with a weight for every class, and the sums of their weights.
    #[inline(always)]
    pub(super) fn sum_soft(
        &mut self,
        buffers: &mut RowBuffers<'_, V::Scalar>,
        soft: SoftTargets<'_, V::Scalar>,
        stores_exps: bool,
    ) {
        if soft.teacher.is_empty() && self.task.unit == 1.0 {
            self.sum_soft_of::<false>(buffers, soft, stores_exps);
        } else {
            self.sum_soft_of::<true>(buffers, soft, stores_exps);
        }
        if self.rows != 1 {
            let BlockSums { others, weights, half_distances, .. } = &mut *self.sums;
            let sums = [others, weights, half_distances];
            for (place, [high, low]) in sums.into_iter().enumerate() {
                let folded = self.folded.get(place..).unwrap_or(&[]);
                totals_of_rows::<V>(self.token, folded, self.rows, 3, high, low);
            }
        }
        if soft.own_gradient {
            // `1 / M` for each of `M` labels.
            for row in 0..self.rows {
                let q = self.sums.pivot_weight[row];
                let scale = self.block.target_scales[row];
                let of_pivot = if q == V::Scalar::default() { q } else { scale };
                self.sums.gradient_pivot_weight[row] = of_pivot;
                let one = V::Scalar::from_count(1);
                self.sums.gradient_weights[0][row] = one - of_pivot;
            }
        }
    }

    #[inline(always)]
    pub(super) fn sum_soft_of<const TEACHER: bool>(
        &mut self,
        buffers: &mut RowBuffers<'_, V::Scalar>,
        soft: SoftTargets<'_, V::Scalar>,
        stores_exps: bool,
    ) {
        let unit = V::of(self.token, self.task.unit);
        let is_short = self.task.classes <= STRIP;
        let unused = &mut [V::Scalar::default(); HALF_STRIP];
        for row in 0..self.rows {
            if !self.is_finite(row) {
                continue;
            }
            let pivot = self.block.largest_class[row];
            let pass = self.exp_sums(row, pivot);
            let of_row = self.soft_row(soft, row, unit);
            let q = of_row.weights.get(pivot.to_count()).copied().unwrap_or_default();
            self.sums.pivot_weight[row] = q;
            let cells = self.row(buffers, row);
            let cells = if stores_exps { cells } else { cells.only_logits() };
            if is_short {
                let terms = pass.soft_strip::<TEACHER>(cells, of_row, 0, unused);
                for (place, terms) in from_mut(self.folded, 3 * row).iter_mut().zip(&terms) {
                    for (register, term) in terms.as_ref().iter().enumerate() {
                        term.store(from_mut(place, register * V::LANES));
                    }
                }
                continue;
            }
            let [exps, weights, distances] = pass.of_soft_row::<TEACHER>(cells, of_row, unused);
            if self.rows == 1 {
                let BlockSums { others, weights: of_weights, half_distances, .. } = &mut *self.sums;
                (others[0][0], others[1][0]) = exps.parts();
                (of_weights[0][0], of_weights[1][0]) = weights.parts();
                (half_distances[0][0], half_distances[1][0]) = distances.parts();
                return;
            }
            self.fold(3 * row, exps);
            self.fold(3 * row + 1, weights);
            self.fold(3 * row + 2, distances);
        }
        if is_short {
            self.fold_accumulators(3 * self.rows);
            if self.rows == 1 {
                let BlockSums { others, weights, half_distances, .. } = &mut *self.sums;
                let sums = [others, weights, half_distances];
                for ([high, low], folded) in sums.into_iter().zip(self.folded.iter()) {
                    totals_of_rows::<V>(self.token, core::slice::from_ref(folded), 1, 1, high, low);
                }
            }
        }
    }

    /// From the terms of short rows to combined sums.
    #[inline(always)]
    pub(super) fn fold_accumulators(&mut self, count: usize) {
        let zero = V::of(self.token, 0.0);
        for place in self.folded.iter_mut().take(count) {
            let mut terms = zero.accumulators();
            for (register, term) in terms.as_mut().iter_mut().enumerate() {
                *term = V::load(self.token, from(place, register * V::LANES), zero);
            }
            let (high, low) = CompensatedSum::<V>::of(self.token, terms).folded();
            high.store(place);
            low.store(&mut place[LANES..]);
        }
    }

    #[inline(always)]
    pub(super) fn soft_row<'s>(
        &self,
        soft: SoftTargets<'s, V::Scalar>,
        row: usize,
        unit: V,
    ) -> SoftRow<'s, V> {
        let classes = self.task.classes;
        let part = |all: &'s [V::Scalar], stride: usize| {
            all.get(row * stride..row * stride + classes).unwrap_or(&[])
        };
        SoftRow {
            weights: part(soft.weights, soft.stride),
            teacher: part(soft.teacher, soft.teacher_stride),
            teacher_max: V::splat(self.token, self.block.teacher_max[row]),
            unit,
        }
    }

    /// The arithmetic of rows with labels; without distances, the label is the class of the largest logit.
    #[inline(always)]
    pub(super) fn finish_labels(&mut self, distances: Option<&OfRows<V::Scalar>>) {
        let token = self.token;
        let mut mass = [V::Scalar::default(); ROWS];
        // Two registers at a time, because this is one long chain of dependent instructions.
        let zero = Pair::<V>::of(token, 0.0);
        for at in (0..self.rows).step_by(Pair::<V>::LANES) {
            let [high, low] = &self.sums.others;
            let others = Pair::<V>::load(token, from(high, at), zero)
                + Pair::<V>::load(token, from(low, at), zero);
            let distance = match distances {
                Some(distances) => Pair::<V>::load(token, from(distances, at), zero),
                None => zero,
            };
            let label_exp = exp_scaled(token, zero - distance);
            let max = Pair::<V>::load(token, from(&self.block.max, at), zero);
            let sums = [distance, label_exp, others];
            let coefficients = self.block.finish_labels(token, at, max, sums, self.task.terms);
            self.block.put(at, &coefficients);
            coefficients.pivot.store(from_mut(&mut self.block.pivot_gradient, at));
            coefficients.mass.store(&mut mass[at..]);
            label_exp.store(from_mut(&mut self.block.label_exp, at));
        }
        // The error of this factor is in every derivative, so it is rounded only once.
        let [highs, lows] = &self.sums.others;
        for row in 0..ROWS {
            let [high, low, label, mass] =
                [highs[row], lows[row], self.block.label_exp[row], mass[row]].map(Compute::to_f64);
            let sum = high + (low + label);
            let factor = self.block.gradient_factors[row];
            self.block.probability[row] = V::Scalar::from_f64(factor * mass / sum);
        }
    }

    /// The gradient.
    #[inline(always)]
    pub(super) fn put(
        &mut self,
        buffers: &mut RowBuffers<'_, V::Scalar>,
        targets: BlockTargets<'_, V::Scalar>,
    ) {
        let source = self.task.source(buffers);
        match targets {
            BlockTargets::Soft(soft) => self.put_soft(buffers, soft, source),
            _ => self.put_labels(buffers, source),
        }
    }

    #[inline(always)]
    pub(super) fn put_labels(&mut self, buffers: &mut RowBuffers<'_, V::Scalar>, source: Source) {
        for row in 0..self.rows {
            if !self.has_gradient(row, buffers) {
                continue;
            }
            let mut cells = self.row(buffers, row);
            let pivot = self.block.labels[row].to_count();
            let there = pivot_of(&cells, pivot);
            self.gradient(row).put(cells.reborrow(), source);
            self.put_pivot(&mut cells, pivot, there, row);
        }
    }

    #[inline(always)]
    pub(super) fn put_soft(
        &mut self,
        buffers: &mut RowBuffers<'_, V::Scalar>,
        soft: SoftTargets<'_, V::Scalar>,
        source: Source,
    ) {
        let token = self.token;
        let unit = V::of(token, self.task.unit);
        for row in 0..self.rows {
            if !self.has_gradient(row, buffers) {
                continue;
            }
            let of_row = self.soft_row(soft, row, unit);
            let own = V::splat(token, self.block.target_scales[row]);
            let of_targets = SoftGradient {
                row: of_row,
                weight: V::splat(token, self.block.weight[row]),
                own: if soft.own_gradient { Some(own) } else { None },
            };
            let mut cells = self.row(buffers, row);
            let pivot = self.block.largest_class[row].to_count();
            let there = pivot_of(&cells, pivot);
            self.gradient(row).put_soft(cells.reborrow(), of_targets, source);
            self.put_pivot(&mut cells, pivot, there, row);
        }
    }

    #[inline(always)]
    pub(super) fn gradient(&self, row: usize) -> Gradient<V> {
        Gradient {
            token: self.token,
            max: V::splat(self.token, self.block.max[row]),
            probability: V::splat(self.token, self.block.probability[row]),
        }
    }

    /// The derivative by the pivot, in place of the value that the pass over the row has left.
    #[inline(always)]
    pub(super) fn put_pivot(
        &self,
        cells: &mut RowBuffers<'_, V::Scalar>,
        pivot: usize,
        there: V::Scalar,
        row: usize,
    ) {
        if self.task.steps == Steps::Gradient {
            return;
        }
        let g = self.block.pivot_gradient[row];
        let g = if cells.mode() == GradMode::Add { there + g } else { g };
        if let Some(place) = cells.gradient_mut().get_mut(pivot) {
            *place = g;
        }
    }

    #[inline(always)]
    pub(super) fn is_finite(&self, row: usize) -> bool {
        self.block.finite[row] == V::Scalar::from_count(1)
    }

    /// Whether the gradient of a row is written here. For a row without a loss it is zero.
    #[inline(always)]
    pub(super) fn has_gradient(&self, row: usize, buffers: &mut RowBuffers<'_, V::Scalar>) -> bool {
        if !self.is_finite(row) {
            return false;
        }
        if self.block.all_live || self.block.live[row] != V::Scalar::default() {
            return true;
        }
        clear(self.row(buffers, row));
        false
    }

    /// Stores a sum.
    #[inline(always)]
    pub(super) fn fold(&mut self, place: usize, sum: CompensatedSum<V>) {
        if let Some(place) = self.folded.get_mut(place) {
            let (high, low) = sum.folded();
            high.store(place);
            low.store(&mut place[LANES..]);
        }
    }
}

/// The value in the place of the pivot's derivative.
#[inline(always)]
pub(super) fn pivot_of<F: Compute>(cells: &RowBuffers<'_, F>, pivot: usize) -> F {
    cells.gradient().get(pivot).copied().unwrap_or_default()
}

/// The sums of rows, every `step`th of which is in `folded`, and their rounding errors.
#[inline(always)]
pub(super) fn totals_of_rows<V: Lanes>(
    token: V::Token,
    folded: &[[V::Scalar; ACCUMULATORS]],
    rows: usize,
    step: usize,
    highs: &mut OfRows<V::Scalar>,
    lows: &mut OfRows<V::Scalar>,
) {
    let zero = V::of(token, 0.0);
    for at in (0..rows).step_by(V::LANES) {
        let mut registers = [(zero, zero); LANES];
        let of_rows = folded.iter().skip(at * step).step_by(step);
        for (register, lanes) in registers.iter_mut().zip(of_rows).take((rows - at).min(V::LANES)) {
            let low = V::load(token, from(lanes, LANES), zero);
            *register = (V::load(token, lanes, zero), low);
        }
        let (high, low) = totals(&mut registers[..V::LANES]);
        high.store(&mut highs[at..]);
        low.store(&mut lows[at..]);
    }
}
