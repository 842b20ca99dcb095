//! The kernel of rows whose class axis is not the last, with too many classes for the registers: neighbours in
//! memory are rows, and each step loops over the classes in memory.

use super::block::{BlockSums, BlockTargets, FinishSoft, ROWS, RawTargets, RowBlock, RowSupply};
use super::grid::{GridPlane, GridSecond, Line};
use super::lane_task::LaneTask;
use super::lanes::{
    self, LabelLanes, LaneGradient, LaneSum, SecondTask, label_sums, largest, second_derivatives,
    soft_sums,
};
use super::narrow::label_of;
use super::planes::SoftPlane;
use super::row_buffers::{GradMode, RowBuffers};
use super::sum::LossSum;
use crate::dispatch::{Kernel, entries};
use crate::math::exp::exp_scaled;
use crate::simd::Compute;
use crate::simd::{Lanes, Simd, Vector, from, from_mut};
use crate::tables::Tables;

/// Columns of any number of classes.
pub(crate) struct Columns<'a, 'b, F: Compute> {
    pub(crate) task: LaneTask,
    pub(crate) buffers: RowBuffers<'b, F>,
    pub(crate) rows: usize,
    pub(crate) supply: &'a mut dyn RowSupply<F>,
    pub(crate) block: &'a mut RowBlock<F>,
}

impl<F: Compute> Kernel for Columns<'_, '_, F> {
    type Output = f64;

    #[inline(always)]
    fn run<S: Simd>(mut self, simd: S) -> f64 {
        let mut sum = LossSum::new();
        let mut sums = BlockSums::new();
        let mut first = 0;
        while first < self.rows {
            let rows = self.task.layout.run(first, self.rows, ROWS);
            self.supply.fill(core::slice::from_mut(self.block), first, rows);
            self.block_of_rows::<F::Of<S>>(simd, first, rows, &mut sums);
            let block = &*self.block;
            if self.task.takes_rows || !block.all_finite(rows) || block.some_nan(rows) {
                let block = core::slice::from_mut(&mut *self.block);
                self.supply.finish(block, first, rows, &mut self.buffers);
            }
            sum.add(&self.block.loss[..rows.min(ROWS)]);
            first += rows;
        }
        sum.total()
    }

    entries!();
}

impl<F: Compute> Columns<'_, '_, F> {
    #[inline(always)]
    fn block_of_rows<V: Lanes<Scalar = F>>(
        &mut self,
        token: V::Token,
        first: usize,
        rows: usize,
        sums: &mut BlockSums<F>,
    ) {
        let layout = self.task.layout;
        let targets = self.supply.targets();
        let is_soft = matches!(targets, BlockTargets::Raw(_));
        let of_nothing = matches!(targets, BlockTargets::Nothing);
        let wants_class =
            is_soft || of_nothing || self.task.largest_class || self.task.second.is_some();
        // Each step handles one register, and the arithmetic of a block is repeated for each of its registers,
        // because its rows are far apart and only one cache line of each is at hand.
        for at in (0..rows).step_by(V::LANES) {
            let of_line = (rows - at).min(V::LANES);
            let line = |start: usize| Line { start, step: layout.inner, rows: of_line };
            let [x_stride, gradient_stride] = layout.strides;
            let row = first + at;
            let of_others = line(layout.start(row, layout.classes * layout.inner));
            let mut plane = GridPlane {
                logits: line(layout.start(row, x_stride)),
                gradient: line(layout.start(row, gradient_stride)),
                classes: layout.classes,
                buffers: self.buffers.reborrow(),
            };
            let block = &mut *self.block;
            let (gradient, of_rows, of_label) = if is_soft {
                let BlockTargets::Raw(raw) = self.supply.targets() else { return };
                let mut soft = GridTargets { raw, line: of_others, rows: GridRows::new(token) };
                soft.prepare(token, at, layout.classes, block, self.task.unit);
                let largest = largest(token, at, &plane, block, wants_class);
                let options = (self.task.unit, raw.own_gradient);
                let of_block = (&mut *block, &mut *sums);
                soft_sums(token, at, &mut plane, &soft, largest, of_block, options);
                let (of_rows, own_gradient_weights) = (soft.rows, raw.own_gradient);
                FinishSoft {
                    block: &mut *block,
                    sums: &*sums,
                    unit: self.task.unit,
                    z_loss: self.task.terms.z_loss,
                    own_gradient_weights,
                    has_teacher: raw.is_teacher,
                }
                .at(self.task.level);
                let gradient = LaneGradient::of_soft(token, at, block, largest, of_rows.unit);
                (gradient, Some(of_rows), None)
            } else {
                let largest = largest(token, at, &plane, block, wants_class);
                let pivot = label_of::<V>(token, at, block, of_nothing);
                let sums = label_sums(token, &mut plane, pivot, largest);
                let max = largest.max;
                let coefficients = block.finish_labels(token, at, max, sums, self.task.terms);
                block.put(at, &coefficients);
                block.all_weights = block.label_weights;
                let live = lanes::live::<V>(token, at, block);
                let gradient = LaneGradient::of_labels(token, largest, pivot, &coefficients, live);
                let [_, exp, others] = sums;
                (gradient, None, Some(LabelLanes { class: pivot, exp, others }))
            };
            if let Some(curvature) = self.task.second {
                let unit = if is_soft { self.task.unit } else { 1.0 };
                let mut place = GridSecond { line: of_others, hessian: self.supply.hessian() };
                let largest = gradient.largest;
                let terms = self.task.terms;
                let second = SecondTask { unit, curvature, terms, label: of_label };
                second_derivatives(token, at, &plane, largest, block, second, &mut place);
            }
            if plane.buffers.mode() == GradMode::None {
                continue;
            }
            match (of_rows, self.supply.targets()) {
                (Some(rows), BlockTargets::Raw(raw)) => {
                    let soft = GridTargets { raw, line: of_others, rows };
                    gradient.put_soft(token, at, &mut plane, &soft, block, raw.own_gradient);
                }
                _ => gradient.put_labels(token, &mut plane),
            }
        }
    }
}

/// The weights of a register of columns, computed when they are needed.
struct GridTargets<'a, V: Vector> {
    raw: RawTargets<'a, V::Scalar>,
    line: Line,
    rows: GridRows<V>,
}

/// The parameters of the weights of a register of rows.
#[derive(Clone, Copy)]
struct GridRows<V> {
    label: V,
    label_weight: V,
    scale: V,
    /// The largest of a teacher's logits, and one over the sum of their exponentials.
    max: V,
    factor: V,
    unit: V,
}

impl<V: Vector> GridRows<V> {
    #[inline(always)]
    fn new(token: V::Token) -> Self {
        let (zero, one) = (V::of(token, 0.0), V::of(token, 1.0));
        Self { label: zero, label_weight: zero, scale: one, max: zero, factor: one, unit: one }
    }
}

impl<V: Vector> GridTargets<'_, V> {
    #[inline(always)]
    fn dense(&self, token: V::Token, class: usize) -> V {
        V::load(token, self.line.of(self.raw.dense, class), V::of(token, 0.0))
    }

    /// The values of the rows that are known before their classes are read.
    #[inline(always)]
    fn prepare(
        &mut self,
        token: V::Token,
        at: usize,
        classes: usize,
        block: &mut RowBlock<V::Scalar>,
        unit: f64,
    ) {
        let zero = V::of(token, 0.0);
        let one = V::of(token, 1.0);
        if let Some(labels) = self.raw.multi_label {
            let mut count = zero;
            for class in 0..classes {
                let t = self.dense(token, class);
                count = count + V::select(t.equal(zero), zero, one);
            }
            let mut counts = [V::Scalar::default(); ROWS];
            count.store(&mut counts);
            block.share_labels(at, &counts[..self.line.rows.min(ROWS)], labels);
        }
        let rows = &mut self.rows;
        rows.label = V::load(token, from(&block.labels, at), zero);
        rows.label_weight = V::load(token, from(&block.label_weights, at), zero);
        rows.scale = V::load(token, from(&block.target_scales, at), zero);
        rows.unit = V::of(token, unit);
        if !self.raw.is_teacher {
            return;
        }
        let mut max = V::of(token, f64::NEG_INFINITY);
        let mut pivot = zero;
        for class in 0..classes {
            let t = self.dense(token, class);
            pivot = V::select(max.less(t), V::count(token, class), pivot);
            max = t.max(max);
        }
        let finite = max.abs().less(V::of(token, f64::INFINITY));
        let regular = V::load(token, from(&block.regular, at), zero);
        V::select(finite, regular, zero).store(from_mut(&mut block.regular, at));
        self.rows.max = max;
        let mut others = LaneSum::new(token);
        for class in 0..classes {
            let e = exp_scaled(token, zero - self.teacher_distance(token, class));
            let here = pivot.equal(V::count(token, class));
            others.add(V::select(here, zero, e));
        }
        others.store(at, &mut block.teacher_others);
        self.rows.factor = one / (others.total(token) + V::of(token, V::Scalar::SCALE));
    }
}

impl<V: Vector> SoftPlane<V> for GridTargets<'_, V> {
    #[inline(always)]
    fn weight(&self, token: V::Token, class: usize) -> V {
        let zero = V::of(token, 0.0);
        let mut q = V::splat(token, self.raw.smoothing_per_class);
        if self.raw.is_teacher {
            let distance = self.teacher_distance(token, class);
            q = exp_scaled(token, zero - distance) * self.rows.factor;
        } else if !self.raw.dense.is_empty() {
            q = self.dense(token, class).mul_add(self.rows.scale, q);
        }
        if let Some(&of_class) = self.raw.class_weights.get(class) {
            q = q * V::splat(token, of_class);
        }
        if self.raw.labels {
            let here = self.rows.label.equal(V::count(token, class));
            q = V::select(here, q + self.rows.label_weight, q);
        }
        q
    }

    #[inline(always)]
    fn has_teacher(&self) -> bool {
        self.raw.is_teacher
    }

    #[inline(always)]
    fn teacher_distance(&self, token: V::Token, class: usize) -> V {
        (self.rows.max - self.dense(token, class)) * self.rows.unit
    }
}
