//! A chunk of a softmax batch before and after its kernel: the input of each row, and its results.

use super::degenerate_row::Column;
use super::format::Float;
use super::rows::Outputs;
use super::softmax_spec::{Kind, SoftmaxSpec};
use super::softmax_targets::SoftmaxTargets;
use crate::dispatch::Kernel;
use crate::kernel::block::{
    BlockSums, BlockTargets, ROWS, RawTargets, RowBlock, RowSupply, SoftTargets,
};
use crate::kernel::coefficients::second_terms;
use crate::kernel::row_buffers::RowBuffers;
use crate::kernel::row_factors::RowFactors;
use crate::kernel::row_task::{RowTask, Steps};
use crate::kernel::rows::{GroupState, Rows};
use crate::kernel::second_derivatives::SecondDerivatives;
use crate::kernel::soft_weights::{CountLabels, FillWeights};
use crate::level::Level;
use crate::shape::Shape;
use crate::simd::ACCUMULATORS;

impl<F: Float> SoftmaxSpec<'_, F> {
    /// The kernel's input for a block of rows, without the parts that differ from row to row.
    #[inline(always)]
    pub(super) fn block(&self) -> RowBlock<F> {
        let mut block = RowBlock::new();
        let mut factors = (1.0, self.weights.scale);
        if let SoftmaxTargets::Teacher(_, temperature) = self.targets {
            // The loss has a factor of τ², and the logits have one of 1 / τ.
            factors = (temperature * temperature, factors.1 * temperature);
        }
        let unsmoothed = F::from_f64(1.0 - self.options.label_smoothing);
        block.target_scales = [unsmoothed; ROWS];
        block.label_weights = [unsmoothed; ROWS];
        block.loss_factors = [F::from_f64(factors.0); ROWS];
        block.gradient_factors = [factors.1; ROWS];
        block.gradient_factors_rounded = [F::from_f64(factors.1); ROWS];
        block
    }

    /// Whether rows differ in more than their labels.
    pub(super) fn rows_differ(&self) -> bool {
        !self.options.class_weights.is_empty()
            || self.options.ignore_index.is_some()
            || !self.weights.sample_weights.is_empty()
            || !self.weights.upstream.is_empty()
            || self.shared_labels().is_some()
            || self.is_teacher()
    }

    /// Fills in the other values that differ from row to row.
    #[inline(never)]
    pub(super) fn fill(&self, level: Level, block: &mut RowBlock<F>, first: usize, rows: usize) {
        let (zero, one) = (F::default(), F::from_count(1));
        let rows = rows.min(ROWS);
        let ignores = self.options.ignore_index.is_some();
        let unsmoothed = 1.0 - self.options.label_smoothing;
        if matches!(self.targets, SoftmaxTargets::Index(_)) {
            let numbers = &block.labels[..rows];
            if !self.options.class_weights.is_empty() {
                for (weight, label) in block.label_weights.iter_mut().zip(numbers) {
                    let of_class = self.options.class_weights.get(label.to_count());
                    let of_class = of_class.copied().unwrap_or(zero);
                    *weight = F::from_f64(unsmoothed * of_class.to_f64());
                }
            }
        }
        if self.is_teacher() {
            block.regular = [one; ROWS];
        }
        let weights = &self.weights;
        let weighted = !weights.sample_weights.is_empty() || !weights.upstream.is_empty();
        // All live: the block is as it was made, which it is not after a row without labels.
        if !ignores && !weighted && block.all_live {
            return;
        }
        block.target_scales = [F::from_f64(unsmoothed); ROWS];
        let temperature = match self.targets {
            SoftmaxTargets::Teacher(_, temperature) => temperature,
            _ => 1.0,
        };
        RowFactors {
            block,
            rows,
            ignores,
            sample_weights: from(weights.sample_weights, first),
            upstream: from(weights.upstream, first),
            scale: weights.scale,
            temperature,
            is_label_all: self.is_label_all(),
        }
        .at(level);
    }
}

pub(super) fn from<T>(slice: &[T], at: usize) -> &[T] {
    slice.get(at..).unwrap_or(&[])
}

/// Brings rows to a kernel, and takes their results.
pub(super) struct Chunk<'l, 'o, F: Float> {
    pub(super) spec: &'l SoftmaxSpec<'l, F>,
    pub(super) level: Level,
    pub(super) outputs: Outputs<'o, F>,
    pub(super) rows_differ: bool,
    /// Whether rows come in groups, whose weights must be prepared.
    pub(super) in_groups: bool,
    /// Space for the weights of a group, unless they are available in place.
    pub(super) weights: &'l mut [F],
    /// The rows of the group, and the changes made for labels: the place, and the previous value.
    pub(super) group: (usize, usize),
    pub(super) changed: &'l mut [(usize, F)],
    /// Scratch buffer for sums over teachers' logits.
    pub(super) teacher: Option<&'l mut TeacherState<F>>,
}

/// Scratch buffer for the sums of the logits of a group's teachers.
pub(super) struct TeacherState<F> {
    pub(super) block: RowBlock<F>,
    pub(super) sums: BlockSums<F>,
    pub(super) folded: [[F; ACCUMULATORS]; ROWS],
}

impl<F: Float> TeacherState<F> {
    pub(super) fn new() -> Self {
        let folded = [[F::default(); ACCUMULATORS]; ROWS];
        Self { block: RowBlock::new(), sums: BlockSums::new(), folded }
    }

    /// Writes the exponentials of the teachers' logits to `into`, and their sums to the block of the students.
    pub(super) fn sum(
        &mut self,
        level: Level,
        (logits, classes, rows, unit): (&[F], usize, usize, f64),
        into: &mut [F],
        students: &mut RowBlock<F>,
    ) {
        let Self { block, sums, folded } = self;
        let task = RowTask::part(level, classes, unit, Steps::Sums);
        let buffers = RowBuffers::write(logits, into);
        let state = GroupState { block: &mut *block, sums: &mut *sums, folded };
        Rows { task, buffers, rows, supply: &mut Teachers, state }.at(level);
        students.teacher_max = block.max;
        students.teacher_others = sums.others;
        for (regular, finite) in students.regular.iter_mut().zip(&block.finite).take(rows) {
            if *finite == F::default() {
                *regular = *finite;
            }
        }
    }
}

/// Rows with nothing but logits.
pub(super) struct Teachers;

impl<F: Float> RowSupply<F> for Teachers {
    fn fill(&mut self, _: &mut [RowBlock<F>], _: usize, _: usize) {}

    fn targets(&self) -> BlockTargets<'_, F> {
        BlockTargets::Nothing
    }

    fn finish(&mut self, _: &mut [RowBlock<F>], _: usize, _: usize, _: &mut RowBuffers<'_, F>) {}
}

impl<'l, 'o, F: Float> Chunk<'l, 'o, F> {
    pub(super) fn new(spec: &'l SoftmaxSpec<'l, F>, level: Level, outputs: Outputs<'o, F>) -> Self {
        Self {
            spec,
            level,
            outputs,
            rows_differ: spec.rows_differ(),
            in_groups: false,
            weights: &mut [],
            group: (0, 0),
            changed: &mut [],
            teacher: None,
        }
    }
}

impl<F: Float> Chunk<'_, '_, F> {
    pub(super) fn scale_of_all(&self) -> F {
        F::from_f64(1.0 - self.spec.options.label_smoothing)
    }

    pub(super) fn smoothing_per_class(&self) -> F {
        F::from_f64(self.spec.smoothing_per_class())
    }

    /// Whether the dense targets themselves are the weights.
    pub(super) fn are_weights(&self) -> bool {
        matches!(self.spec.targets, SoftmaxTargets::Dense(_))
            && self.spec.options.label_smoothing == 0.0
            && self.spec.options.class_weights.is_empty()
    }

    /// The dense targets of contiguous rows.
    pub(super) fn dense_of(&self, first: usize, rows: usize) -> &[F] {
        let classes = self.spec.shape.classes;
        self.spec.dense().get(first * classes..(first + rows) * classes).unwrap_or(&[])
    }

    /// Fills in the weights that all rows of a group share, if only labels differ.
    pub(super) fn prepare_weights(&mut self, rows: usize) {
        if matches!(self.spec.targets, SoftmaxTargets::Index(_)) {
            let classes = self.spec.shape.classes;
            let smoothing_per_class = self.smoothing_per_class();
            FillWeights {
                dense: Some(&[]),
                scales: &[F::default(); ROWS][..rows],
                smoothing_per_class,
                class_weights: self.spec.options.class_weights,
                classes,
                into: &mut self.weights[..rows * classes],
            }
            .at(self.level);
        }
    }

    /// Computes the weights of a group.
    pub(super) fn weigh(&mut self, block: &mut RowBlock<F>, first: usize, rows: usize) {
        let spec = self.spec;
        let classes = spec.shape.classes;
        let class_weights = spec.options.class_weights;
        if self.weights.is_empty() {
            return;
        }
        if let SoftmaxTargets::Index(_) = spec.targets {
            for &(place, weight) in &*self.changed {
                if let Some(place) = self.weights.get_mut(place) {
                    *place = weight;
                }
            }
            for (row, changed) in self.changed.iter_mut().enumerate().take(rows) {
                let place = row * classes + block.labels[row].to_count();
                if let Some(weight) = self.weights.get_mut(place) {
                    *changed = (place, *weight);
                    *weight = *weight + block.label_weights[row];
                }
            }
            return;
        }
        let dense = spec.dense().get(first * classes..(first + rows) * classes).unwrap_or(&[]);
        let level = self.level;
        let (mut smoothing_per_class, mut scales) =
            (self.smoothing_per_class(), [self.scale_of_all(); ROWS]);
        let Some(into) = self.weights.get_mut(..rows * classes) else { return };
        let mut in_place = false;
        if let Some(labels) = spec.shared_labels() {
            let mut counts = [F::default(); ROWS];
            CountLabels { labels: dense, classes, counts: &mut counts[..rows] }.at(level);
            block.share_labels(0, &counts[..rows], labels);
            scales = block.target_scales;
        } else if spec.is_teacher() {
            if let Some(teacher) = &mut self.teacher {
                teacher.sum(level, (dense, classes, rows, spec.unit()), into, block);
            }
            let [high, low] = &block.teacher_others;
            for ((scale, high), low) in scales.iter_mut().zip(high).zip(low) {
                let sum = high.to_f64() + (low.to_f64() + F::SCALE);
                *scale = F::from_f64(1.0 / sum);
            }
            (smoothing_per_class, in_place) = (F::default(), true);
        }
        FillWeights {
            dense: if in_place { None } else { Some(dense) },
            scales: &scales[..rows],
            smoothing_per_class,
            class_weights,
            classes,
            into,
        }
        .at(level);
    }

    /// Counts the rows of a block whose result is NaN, and predicts their first NaN.
    #[cold]
    #[inline(never)]
    pub(super) fn note_nans(
        &mut self,
        block: &RowBlock<F>,
        first: usize,
        rows: usize,
        buffers: &RowBuffers<'_, F>,
    ) {
        let is_teacher = self.spec.is_teacher();
        for row in (0..rows).filter(|&row| block.finite[row] == F::from_count(1)) {
            let index = first + row;
            if block.sum[row].is_nan() || is_teacher && block.loss[row].is_nan() {
                // In place the logits are gone, so the class was marked before.
                let logits = if buffers.is_in_place() { &[] } else { buffers.logits() };
                let class = self.spec.first_nan(logits, index);
                self.spec.note_nan(index, class, &mut self.outputs);
            }
        }
    }

    /// Computes the rows of a block that the kernel has left out.
    #[cold]
    #[inline(never)]
    pub(super) fn finish_fallback_rows(
        &mut self,
        block: &mut RowBlock<F>,
        first: usize,
        rows: usize,
        buffers: &mut RowBuffers<'_, F>,
    ) {
        let Shape { classes, inner, logits_stride, gradient_stride, .. } = self.spec.shape;
        for row in (0..rows).filter(|&row| block.finite[row] != F::from_count(1)) {
            let index = first + row;
            let at = [logits_stride, gradient_stride].map(|stride| index / inner * stride);
            let mut cells = buffers.part(at, classes * inner);
            let mut column = Column { cells: &mut cells, first: index % inner, step: inner };
            let params = self.spec.params(index);
            // Zero, infinite or NaN.
            let loss = self.spec.fallback_row(index, &params, None, &mut column, &mut self.outputs);
            block.loss[row] = F::from_f64(loss);
        }
    }
}

impl<F: Float> RowSupply<F> for Chunk<'_, '_, F> {
    fn fill(&mut self, blocks: &mut [RowBlock<F>], first: usize, rows: usize) {
        if let SoftmaxTargets::Index(labels) = self.spec.targets {
            labels.numbers(self.level, (first, rows), self.spec.options.ignore_index, blocks);
        }
        if self.rows_differ {
            for (index, block) in blocks.iter_mut().enumerate().take(rows.div_ceil(ROWS)) {
                let start = index * ROWS;
                self.spec.fill(self.level, block, first + start, rows - start);
            }
        }
        self.group = (first, rows);
        if let [block] = blocks
            && self.in_groups
        {
            self.weigh(block, first, rows);
        }
    }

    fn targets(&self) -> BlockTargets<'_, F> {
        let spec = self.spec;
        match spec.kind() {
            Kind::Labels => BlockTargets::Labels,
            Kind::Nothing => BlockTargets::Nothing,
            Kind::Soft if !self.in_groups => BlockTargets::Raw(RawTargets {
                dense: spec.dense(),
                smoothing_per_class: self.smoothing_per_class(),
                class_weights: spec.options.class_weights,
                labels: matches!(spec.targets, SoftmaxTargets::Index(_)),
                is_teacher: spec.is_teacher(),
                multi_label: spec.shared_labels(),
                own_gradient: spec.is_caffe(),
            }),
            Kind::Soft => {
                let (first, rows) = self.group;
                let dense = self.dense_of(first, rows);
                BlockTargets::Soft(SoftTargets {
                    weights: if self.are_weights() { dense } else { &*self.weights },
                    stride: spec.shape.classes,
                    teacher: if spec.is_teacher() { dense } else { &[] },
                    teacher_stride: spec.shape.classes,
                    own_gradient: spec.is_caffe(),
                })
            }
        }
    }

    fn finish(
        &mut self,
        blocks: &mut [RowBlock<F>],
        first: usize,
        rows: usize,
        buffers: &mut RowBuffers<'_, F>,
    ) {
        for (index, block) in blocks.iter_mut().enumerate().take(rows.div_ceil(ROWS)) {
            let start = index * ROWS;
            let (first, rows) = (first + start, (rows - start).min(ROWS));
            self.outputs.put_block(block, first, rows, buffers.is_in_place());
            if block.some_nan(rows) {
                self.note_nans(block, first, rows, buffers);
            }
            if !block.all_finite(rows) {
                self.finish_fallback_rows(block, first, rows, buffers);
            }
        }
    }

    fn hessian(&mut self) -> &mut [F] {
        self.outputs.hessian
    }

    fn put_second(
        &mut self,
        (block, sums): (&RowBlock<F>, &BlockSums<F>),
        first: usize,
        rows: usize,
        buffers: &RowBuffers<'_, F>,
        stored: bool,
    ) {
        let Shape { classes, logits_stride, gradient_stride, .. } = self.spec.shape;
        let is_soft = self.spec.kind() == Kind::Soft;
        let terms = self.spec.terms();
        for row in (0..rows).filter(|&row| block.finite[row] == F::from_count(1)) {
            let curvature = self.spec.curvature(&self.outputs, block.gradient_factors[row]);
            let out = self.outputs.hessian_of(first + row, classes);
            if block.live[row] == F::default() {
                out.fill(F::from_f64(curvature.of_nothing()));
                continue;
            }
            let (of, stride) = if stored {
                (buffers.gradient(), gradient_stride)
            } else {
                (buffers.logits(), logits_stride)
            };
            let largest = block.largest_class[row];
            let [high, low] = sums.others.map(|others| others[row].to_f64());
            let is_pivot = is_soft || largest == block.labels[row];
            let weight = if is_soft { block.all_weights[row] } else { block.label_weights[row] };
            let x = of.get(row * stride..row * stride + classes).unwrap_or(&[]);
            let (max, unit) = (block.max[row], self.spec.unit());
            let label = if is_soft { usize::MAX } else { block.labels[row].to_count() };
            let of_label = [block.label_exp[row].to_f64(), high + low];
            let (weight, log_sum_exp) = (weight.to_f64(), block.log_sum_exp[row].to_f64());
            SecondDerivatives {
                x,
                stored,
                max,
                largest: largest.to_count(),
                unit,
                sum: block.sum[row].to_f64(),
                others: is_pivot.then_some(high + low),
                terms: second_terms((), weight, log_sum_exp, terms, of_label),
                label,
                curvature,
                out,
            }
            .at(self.level);
        }
    }
}
