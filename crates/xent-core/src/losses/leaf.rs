//! A leaf of a softmax batch: which kernel computes its rows, and what it is given.

use super::odd_row::Column;
use super::rows::Outputs;
use super::softmax::{Job, Kind, SoftmaxTargets, State};
use crate::batch::Join;
use crate::dispatch::Kernel;
use crate::element::Float;
use crate::hessian::Curvature;
use crate::kernel::block::{
    BlockSums, BlockTargets, ROWS, RawTargets, RowBlock, RowSupply, SoftTargets,
};
use crate::kernel::coefficients::{Terms, second_terms};
use crate::kernel::columns::Columns;
use crate::kernel::long_row::{
    LongRowTask, LongRows, Place, RowTargets, SoftSource, TeacherSums, TileState,
};
use crate::kernel::narrow::{BLOCKS, CLASSES, LaneLayout, LaneTask, Narrow};
use crate::kernel::row_buffers::RowBuffers;
use crate::kernel::rows::{GroupState, RowTask, Rows, Steps, rows_of_group};
use crate::kernel::second_derivatives::SecondDerivatives;
use crate::kernel::soft_weights::{CountLabels, FillWeights};
use crate::kernel::sum::TILE;
use crate::level::Level;
use crate::math::scalar;
use crate::shape::Shape;
use crate::simd::STRIPES;

/// A gradient of so many elements (16 MiB) is written past the caches, unless its rows are short: it
/// would not stay there until it is read, and a store through the cache first reads the line that it
/// overwrites.
const STREAM_FROM: usize = 1 << 22;

impl<F: Float> Job<'_, F> {
    /// The sum of the losses. The one place that chooses how the rows are computed: by their shape and
    /// what they are compared with alone, so that a row has the same bits alone and in a batch, whatever
    /// is asked for.
    pub(super) fn run(
        self,
        level: Level,
        join: Option<&dyn Join>,
        buffers: RowBuffers<'_, F>,
        outputs: Outputs<'_, F>,
    ) -> f64 {
        let Shape { classes, .. } = self.shape;
        if buffers.is_in_place() && !outputs.predicted.is_empty() {
            self.mark_nans(level, buffers.logits(), outputs.predicted);
        }
        if classes <= CLASSES {
            self.narrow(level, buffers, outputs)
        } else if self.of_columns {
            self.columns(level, buffers, outputs)
        } else if classes <= TILE {
            self.groups(level, buffers, outputs)
        } else {
            self.long_rows(level, join, buffers, outputs)
        }
    }

    fn lane_task(&self, level: Level, outputs: &Outputs<'_, F>) -> LaneTask {
        let Shape { classes, inner, logits_stride, gradient_stride, .. } = self.shape;
        LaneTask {
            level,
            layout: LaneLayout { classes, inner, strides: [logits_stride, gradient_stride] },
            terms: self.terms(),
            unit: self.unit(),
            labels: self.kind() != Kind::Soft,
            largest_class: !outputs.predicted.is_empty(),
            takes_rows: outputs.take_rows(),
            second: (!outputs.hessian.is_empty()).then(|| self.curvature(outputs, 1.0)),
        }
    }

    fn terms(&self) -> Terms {
        Terms { gamma: self.options.focal_gamma, z_loss: self.options.z_loss }
    }

    /// That of a row with this weight. Under a soft cap, the floor comes after the cap's own derivatives.
    pub(super) fn curvature(&self, outputs: &Outputs<'_, F>, weight: f64) -> Curvature {
        // Of a temperature, each derivative brings another inverse.
        let curvature = outputs.convention.softmax(weight * self.unit(), self.shape.classes);
        if self.cap() == 0.0 { curvature.with_floor(outputs.hessian_floor) } else { curvature }
    }

    fn narrow(self, level: Level, buffers: RowBuffers<'_, F>, outputs: Outputs<'_, F>) -> f64 {
        let task = self.lane_task(level, &outputs);
        let rows = self.shape.row_count();
        let labels = self.kind() == Kind::Labels && self.shape.inner == 1;
        let of = if labels { self.shape.classes } else { 0 };
        let mut supply = Leaf::new(&self, level, outputs);
        let run = |blocks: &mut [RowBlock<F>]| {
            macro_rules! kernel {
                ($of:literal, $fours:literal) => {{
                    let supply = &mut supply;
                    Narrow::<F, $of, $fours> { task, buffers, rows, supply, blocks }.at(level)
                }};
            }
            match of {
                2 => kernel!(2, 1),
                3 => kernel!(3, 1),
                10 => kernel!(10, 3),
                _ => kernel!(0, 8),
            }
        };
        // No more than the rows fill.
        match rows.div_ceil(ROWS) {
            0 | 1 => run(&mut [self.block()]),
            2 => run(&mut [self.block(), self.block()]),
            _ => run(&mut [(); BLOCKS].map(|()| self.block())),
        }
    }

    fn columns(self, level: Level, buffers: RowBuffers<'_, F>, outputs: Outputs<'_, F>) -> f64 {
        let task = self.lane_task(level, &outputs);
        let rows = self.shape.row_count();
        let block = &mut self.block();
        let mut supply = Leaf::new(&self, level, outputs);
        Columns { task, buffers, rows, supply: &mut supply, block }.at(level)
    }

    fn groups(self, level: Level, buffers: RowBuffers<'_, F>, outputs: Outputs<'_, F>) -> f64 {
        let Shape { classes, logits_stride, gradient_stride, .. } = self.shape;
        let task = RowTask {
            level,
            classes,
            strides: [logits_stride, gradient_stride],
            terms: self.terms(),
            unit: self.unit(),
            stream: self.elements >= STREAM_FROM,
            largest_class: !outputs.predicted.is_empty(),
            takes_rows: outputs.take_rows(),
            second: !outputs.hessian.is_empty(),
            steps: Steps::All,
        };
        let rows = self.shape.row_count();
        let (mut block, mut sums) = (self.block(), BlockSums::new());
        let (block, sums) = (&mut block, &mut sums);
        let run = |supply: &mut Leaf<'_, '_, F>, folded: &mut [[F; STRIPES]]| {
            let state = GroupState { block, sums, folded };
            Rows { task, buffers, rows, supply, state }.at(level)
        };
        let mut supply = Leaf::new(&self, level, outputs);
        let row = [F::default(); STRIPES];
        match self.kind() {
            Kind::Soft => {
                supply.in_groups = true;
                let group = rows.min(rows_of_group(classes));
                // No more is cleared than is used.
                let (mut few, mut many);
                if !supply.are_weights() && group * classes <= 1024 {
                    few = [F::default(); 1024];
                    supply.weights = &mut few;
                } else if !supply.are_weights() {
                    many = [F::default(); TILE];
                    supply.weights = &mut many;
                }
                let mut changed = [(usize::MAX, F::default()); ROWS];
                supply.changed = &mut changed;
                let mut teacher;
                if self.is_teacher() {
                    teacher = TeacherState::new();
                    supply.teacher = Some(&mut teacher);
                }
                supply.prepare_weights(group);
                if group <= 4 {
                    run(&mut supply, &mut [row; 3 * 4])
                } else {
                    run(&mut supply, &mut [row; 3 * ROWS])
                }
            }
            _ if rows_of_group(classes) <= 4 => run(&mut supply, &mut [row; 4]),
            _ => run(&mut supply, &mut [row; ROWS]),
        }
    }

    /// One row after the other.
    fn long_rows(
        self,
        level: Level,
        join: Option<&dyn Join>,
        mut buffers: RowBuffers<'_, F>,
        mut outputs: Outputs<'_, F>,
    ) -> f64 {
        let Shape { classes, logits_stride, gradient_stride, .. } = self.shape;
        let rows = LongRows { level, join };
        let stream = self.elements >= STREAM_FROM;
        self.with_tile_state(|state| {
            let mut sum = 0.0;
            for row in 0..self.shape.row_count() {
                let at = [row * logits_stride, row * gradient_stride];
                let mut buffers = buffers.part(at, classes);
                let plan = self.plan(row);
                let targets = self.targets_of_row(rows, row, &plan, state);
                let task = self.long_row_task(&plan, &outputs);
                let live = plan.state == State::Live;
                let x = buffers.logits();
                let settled = targets
                    .filter(|_| live)
                    .and_then(|targets| rows.settle(x, targets, &task, state));
                sum += match settled {
                    Some(settled) => {
                        let result = settled.result();
                        outputs.put_row(row, result.loss, result.log_sum_exp, result.largest_class);
                        if result.loss.is_nan() || result.log_sum_exp.is_nan() {
                            let class = buffers.logits().iter().position(|x| x.is_nan());
                            self.note_nan(row, class, &mut outputs);
                        }
                        let hessian = outputs.hessian_of(row, classes);
                        let place = Place { buffers, hessian };
                        rows.put(&settled, place, 0, stream, state);
                        result.loss
                    }
                    None => self.unsettled_row(row, &plan, &mut buffers, &mut outputs),
                };
            }
            sum
        })
    }

    /// What a tile is computed with, and room for the weights of its classes where it needs some.
    pub(super) fn with_tile_state<R>(&self, run: impl FnOnce(&mut TileState<'_, F>) -> R) -> R {
        if self.kind() == Kind::Soft {
            run(&mut TileState::new(&mut [F::default(); TILE]))
        } else {
            run(&mut TileState::new(&mut []))
        }
    }

    pub(super) fn long_row_task(
        &self,
        plan: &super::softmax::Plan,
        outputs: &Outputs<'_, F>,
    ) -> LongRowTask {
        LongRowTask {
            terms: self.terms(),
            factors: plan.factors,
            unit: self.unit(),
            largest_class: !outputs.predicted.is_empty(),
            second: !outputs.hessian.is_empty(),
            curvature: self.curvature(outputs, plan.factors.gradient),
        }
    }

    /// What a long row is compared with; `None` if that is the softmax of logits of which the largest is
    /// not finite.
    pub(super) fn targets_of_row(
        &self,
        rows: LongRows<'_>,
        row: usize,
        plan: &super::softmax::Plan,
        state: &mut TileState<'_, F>,
    ) -> Option<RowTargets<'_, F>> {
        let classes = self.shape.classes;
        let weight = plan.label_weight;
        match self.kind() {
            Kind::Nothing => return Some(RowTargets::Nothing),
            Kind::Labels => {
                return Some(match plan.label {
                    Some(class) => RowTargets::Label { class, weight },
                    None => RowTargets::Nothing,
                });
            }
            Kind::Soft => {}
        }
        let inner = self.shape.inner;
        let first = self.shape.place(row, 0);
        let end = (first + (classes - 1) * inner + 1).min(self.dense().len());
        let dense = self.dense().get(first..end).unwrap_or(&[]);
        let mut teacher = None;
        if self.is_teacher() {
            let unit = self.unit();
            let sums = rows.sums(dense, &RowTargets::Nothing, (unit, false), state)?;
            teacher = Some(TeacherSums {
                max: F::from_f64(sums.max),
                sum: sums.sum(),
                ln_sum: sums.ln_sum(),
                unit,
            });
        }
        let scale = F::from_f64(plan.target_scale);
        Some(RowTargets::Soft(SoftSource {
            dense,
            step: inner,
            scale,
            even: F::from_f64(self.even()),
            class_weights: self.options.class_weights,
            label: plan.label.map(|class| (class, F::from_f64(weight))),
            own: self.is_caffe().then_some(scale),
            teacher,
        }))
    }
}

impl<F: Float> Job<'_, F> {
    /// What a kernel needs of a block of rows, without that which differs from row to row.
    #[inline(always)]
    fn block(&self) -> RowBlock<F> {
        let mut block = RowBlock::new();
        let mut factors = (1.0, self.weights.scale);
        if let SoftmaxTargets::Teacher(_, temperature) = self.targets {
            // The loss has a factor of τ², and the logits of 1 / τ.
            factors = (temperature * temperature, factors.1 * temperature);
        }
        let keep = F::from_f64(1.0 - self.options.label_smoothing);
        block.target_scales = [keep; ROWS];
        block.label_weights = [keep; ROWS];
        block.loss_factors = [F::from_f64(factors.0); ROWS];
        block.gradient_factors = [factors.1; ROWS];
        block.gradient_factors_rounded = [F::from_f64(factors.1); ROWS];
        block
    }

    /// Whether rows differ by more than their labels.
    fn rows_differ(&self) -> bool {
        !self.options.class_weights.is_empty()
            || self.options.ignore_index.is_some()
            || !self.weights.sample_weights.is_empty()
            || !self.weights.upstream.is_empty()
            || self.shared_labels().is_some()
            || self.is_teacher()
    }

    /// Fills in what rows differ by beside their labels. One function for all kernels: nothing here depends
    /// on their level.
    #[inline(never)]
    fn fill(&self, block: &mut RowBlock<F>, first: usize, rows: usize) {
        let (zero, one) = (F::default(), F::from_count(1));
        let rows = rows.min(ROWS);
        let ignores = self.options.ignore_index.is_some();
        let keep = 1.0 - self.options.label_smoothing;
        if matches!(self.targets, SoftmaxTargets::Index(_)) {
            let numbers = &block.labels[..rows];
            if !self.options.class_weights.is_empty() {
                for (weight, label) in block.label_weights.iter_mut().zip(numbers) {
                    let of_class = self.options.class_weights.get(label.to_count());
                    let of_class = of_class.copied().unwrap_or(zero);
                    *weight = F::from_f64(keep * of_class.to_f64());
                }
            }
        }
        if self.is_teacher() {
            block.regular = [one; ROWS];
        }
        let weights = &self.weights;
        let weighted = !weights.sample_weights.is_empty() || !weights.upstream.is_empty();
        if !ignores && !weighted && self.shared_labels().is_none() {
            return;
        }
        // Rows differ by more than their labels.
        block.live = [one; ROWS];
        block.target_scales = [F::from_f64(keep); ROWS];
        if ignores {
            for (live, label) in block.live.iter_mut().zip(&mut block.labels[..rows]) {
                if *label < zero {
                    // Any class: nothing comes of it.
                    (*live, *label) = (zero, zero);
                }
            }
        }
        for (live, &weight) in block.live.iter_mut().zip(from(weights.sample_weights, first)) {
            if weight == zero {
                *live = zero;
            }
        }
        let temperature = match self.targets {
            SoftmaxTargets::Teacher(_, temperature) => temperature,
            _ => 1.0,
        };
        let mut factors = [1.0; ROWS];
        for (factor, weight) in factors.iter_mut().zip(from(weights.sample_weights, first)) {
            *factor = weight.to_f64();
        }
        for (factor, live) in factors.iter_mut().zip(&block.live) {
            *factor = if *live == zero { 0.0 } else { *factor };
        }
        let of_losses = block.loss_factors.iter_mut().zip(&mut block.gradient_factors);
        for ((of_loss, of_gradient), factor) in of_losses.zip(factors) {
            *of_loss = F::from_f64(factor * (temperature * temperature));
            *of_gradient = factor * weights.scale;
        }
        let upstream = from(weights.upstream, first).iter().zip(&block.label_weights);
        let is_label_all = self.is_label_all();
        for (factor, (upstream, &weight)) in block.gradient_factors.iter_mut().zip(upstream) {
            let none = is_label_all && weight == zero;
            *factor *= if none { 1.0 } else { upstream.to_f64() };
        }
        for row in 0..ROWS {
            block.gradient_factors[row] *= temperature;
            if block.live[row] == zero {
                block.gradient_factors[row] = 0.0;
            }
            block.gradient_factors_rounded[row] = F::from_f64(block.gradient_factors[row]);
        }
        block.all_live = block.live.iter().fold(true, |all, &live| all & (live == one));
    }
}

fn from<T>(slice: &[T], at: usize) -> &[T] {
    slice.get(at..).unwrap_or(&[])
}

/// Rows on their way to a kernel, and what becomes of them.
struct Leaf<'l, 'o, F: Float> {
    job: &'l Job<'l, F>,
    level: Level,
    outputs: Outputs<'o, F>,
    rows_differ: bool,
    /// Whether rows go in groups, whose weights are to be ready.
    in_groups: bool,
    /// Room for the weights of a group, where they are not at hand.
    weights: &'l mut [F],
    /// The rows of the group, and what labels have changed there: the place, and what was in it.
    group: (usize, usize),
    changed: &'l mut [(usize, F)],
    /// Where the logits of teachers are added up.
    teacher: Option<&'l mut TeacherState<F>>,
}

/// What the logits of the teachers of a group are added up with.
struct TeacherState<F> {
    block: RowBlock<F>,
    sums: BlockSums<F>,
    folded: [[F; STRIPES]; ROWS],
}

impl<F: Float> TeacherState<F> {
    fn new() -> Self {
        let folded = [[F::default(); STRIPES]; ROWS];
        Self { block: RowBlock::new(), sums: BlockSums::new(), folded }
    }

    /// Leaves the exponentials of as many logits in `into`, and what they add up to in the block of the
    /// students.
    fn sum(
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

/// Rows of which nothing is known but their logits.
struct Teachers;

impl<F: Float> RowSupply<F> for Teachers {
    fn fill(&mut self, _: &mut [RowBlock<F>], _: usize, _: usize) {}

    fn targets(&self) -> BlockTargets<'_, F> {
        BlockTargets::Nothing
    }

    fn finish(&mut self, _: &mut [RowBlock<F>], _: usize, _: usize, _: &mut RowBuffers<'_, F>) {}
}

impl<'l, 'o, F: Float> Leaf<'l, 'o, F> {
    fn new(job: &'l Job<'l, F>, level: Level, outputs: Outputs<'o, F>) -> Self {
        Self {
            job,
            level,
            outputs,
            rows_differ: job.rows_differ(),
            in_groups: false,
            weights: &mut [],
            group: (0, 0),
            changed: &mut [],
            teacher: None,
        }
    }
}

impl<F: Float> Leaf<'_, '_, F> {
    fn scale_of_all(&self) -> F {
        F::from_f64(1.0 - self.job.options.label_smoothing)
    }

    fn even(&self) -> F {
        F::from_f64(self.job.even())
    }

    /// Whether dense targets are the weights.
    fn are_weights(&self) -> bool {
        matches!(self.job.targets, SoftmaxTargets::Dense(_))
            && self.job.options.label_smoothing == 0.0
            && self.job.options.class_weights.is_empty()
    }

    /// The dense targets of rows that are contiguous.
    fn dense_of(&self, first: usize, rows: usize) -> &[F] {
        let classes = self.job.shape.classes;
        self.job.dense().get(first * classes..(first + rows) * classes).unwrap_or(&[])
    }

    /// Fills in what the weights of all rows of a group have in common, where only labels differ.
    fn prepare_weights(&mut self, rows: usize) {
        if matches!(self.job.targets, SoftmaxTargets::Index(_)) {
            let classes = self.job.shape.classes;
            let even = self.even();
            FillWeights {
                dense: Some(&[]),
                scales: &[F::default(); ROWS][..rows],
                even,
                class_weights: self.job.options.class_weights,
                classes,
                into: &mut self.weights[..rows * classes],
            }
            .at(self.level);
        }
    }

    /// Makes the weights of a group.
    fn weigh(&mut self, block: &mut RowBlock<F>, first: usize, rows: usize) {
        let job = self.job;
        let classes = job.shape.classes;
        let class_weights = job.options.class_weights;
        if self.weights.is_empty() {
            return;
        }
        if let SoftmaxTargets::Index(_) = job.targets {
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
        let dense = job.dense().get(first * classes..(first + rows) * classes).unwrap_or(&[]);
        let level = self.level;
        let (mut even, mut scales) = (self.even(), [self.scale_of_all(); ROWS]);
        let Some(into) = self.weights.get_mut(..rows * classes) else { return };
        let mut in_place = false;
        if let Some(labels) = job.shared_labels() {
            let mut counts = [F::default(); ROWS];
            CountLabels { labels: dense, classes, counts: &mut counts[..rows] }.at(level);
            block.share_labels(0, &counts[..rows], labels);
            scales = block.target_scales;
        } else if job.is_teacher() {
            if let Some(teacher) = &mut self.teacher {
                teacher.sum(level, (dense, classes, rows, job.unit()), into, block);
            }
            let [high, low] = &block.teacher_others;
            for ((scale, high), low) in scales.iter_mut().zip(high).zip(low) {
                let sum = high.to_f64() + (low.to_f64() + F::LIFTED_ONE);
                *scale = F::from_f64(1.0 / sum);
            }
            (even, in_place) = (F::default(), true);
        }
        FillWeights {
            dense: if in_place { None } else { Some(dense) },
            scales: &scales[..rows],
            even,
            class_weights,
            classes,
            into,
        }
        .at(level);
    }

    /// Counts the rows of a block that the kernel has settled with NaN, and predicts their first NaN.
    #[cold]
    #[inline(never)]
    fn note_nans(
        &mut self,
        block: &RowBlock<F>,
        first: usize,
        rows: usize,
        buffers: &RowBuffers<'_, F>,
    ) {
        let is_teacher = self.job.is_teacher();
        for row in (0..rows).filter(|&row| block.finite[row] == F::from_count(1)) {
            let index = first + row;
            if block.sum[row].is_nan() || is_teacher && block.loss[row].is_nan() {
                // In place the logits are gone, and the class is marked.
                let logits = if buffers.is_in_place() { &[] } else { buffers.logits() };
                let class = self.job.first_nan(logits, index);
                self.job.note_nan(index, class, &mut self.outputs);
            }
        }
    }

    /// Settles the rows of a block that the kernel has not.
    #[cold]
    #[inline(never)]
    fn settle_others(
        &mut self,
        block: &mut RowBlock<F>,
        first: usize,
        rows: usize,
        buffers: &mut RowBuffers<'_, F>,
    ) {
        let Shape { classes, inner, logits_stride, gradient_stride, .. } = self.job.shape;
        for row in (0..rows).filter(|&row| block.finite[row] != F::from_count(1)) {
            let index = first + row;
            let at = [logits_stride, gradient_stride].map(|stride| index / inner * stride);
            let mut cells = buffers.part(at, classes * inner);
            let mut column = Column { cells: &mut cells, first: index % inner, step: inner };
            let plan = self.job.plan(index);
            // Zero, infinite or NaN.
            let loss = self.job.unsettled_row(index, &plan, &mut column, &mut self.outputs);
            block.loss[row] = F::from_f64(loss);
        }
    }
}

impl<F: Float> RowSupply<F> for Leaf<'_, '_, F> {
    fn fill(&mut self, blocks: &mut [RowBlock<F>], first: usize, rows: usize) {
        if let SoftmaxTargets::Index(labels) = self.job.targets {
            labels.numbers(self.level, (first, rows), self.job.options.ignore_index, blocks);
        }
        if self.rows_differ {
            for (index, block) in blocks.iter_mut().enumerate().take(rows.div_ceil(ROWS)) {
                let start = index * ROWS;
                self.job.fill(block, first + start, rows - start);
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
        let job = self.job;
        match job.kind() {
            Kind::Labels => BlockTargets::Labels,
            Kind::Nothing => BlockTargets::Nothing,
            Kind::Soft if !self.in_groups => BlockTargets::Raw(RawTargets {
                dense: job.dense(),
                even: self.even(),
                class_weights: job.options.class_weights,
                labels: matches!(job.targets, SoftmaxTargets::Index(_)),
                is_teacher: job.is_teacher(),
                multi_label: job.shared_labels(),
                own_gradient: job.is_caffe(),
            }),
            Kind::Soft => {
                let (first, rows) = self.group;
                let dense = self.dense_of(first, rows);
                BlockTargets::Soft(SoftTargets {
                    weights: if self.are_weights() { dense } else { &*self.weights },
                    stride: job.shape.classes,
                    teacher: if job.is_teacher() { dense } else { &[] },
                    teacher_stride: job.shape.classes,
                    own_gradient: job.is_caffe(),
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
                self.settle_others(block, first, rows, buffers);
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
        kept: bool,
    ) {
        let Shape { classes, logits_stride, gradient_stride, .. } = self.job.shape;
        let is_soft = self.job.kind() == Kind::Soft;
        let terms = self.job.terms();
        for row in (0..rows).filter(|&row| block.finite[row] == F::from_count(1)) {
            let curvature = self.job.curvature(&self.outputs, block.gradient_factors[row]);
            let out = self.outputs.hessian_of(first + row, classes);
            if block.live[row] == F::default() {
                out.fill(F::from_f64(curvature.of_nothing()));
                continue;
            }
            let (of, stride) = if kept {
                (buffers.gradient(), gradient_stride)
            } else {
                (buffers.logits(), logits_stride)
            };
            let largest = block.largest_class[row];
            let [high, low] = sums.others.map(|others| others[row].to_f64());
            let is_pivot = is_soft || largest == block.labels[row];
            let weight = if is_soft { block.all_weights[row] } else { block.label_weights[row] };
            let x = of.get(row * stride..row * stride + classes).unwrap_or(&[]);
            let (max, unit) = (block.max[row], self.job.unit());
            let label = if is_soft { usize::MAX } else { block.labels[row].to_count() };
            let label_exp = match x.get(label) {
                Some(e) if kept => e.to_f64(),
                Some(x) => F::LIFTED_ONE * scalar::exp((x.to_f64() - max.to_f64()) * unit),
                None => 0.0,
            };
            let of_label = [label_exp, high + low];
            let (weight, log_sum_exp) = (weight.to_f64(), block.log_sum_exp[row].to_f64());
            SecondDerivatives {
                x,
                kept,
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
