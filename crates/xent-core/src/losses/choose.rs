//! Chooses the kernel for the rows of a chunk of a softmax batch.

use super::chunk::{Chunk, TeacherState};
use super::format::Float;
use super::rows::Outputs;
use super::softmax_spec::{Kind, RowParams, SoftmaxSpec, State};
use crate::batch::ForkJoin;
use crate::dispatch::Kernel;
use crate::hessian::Curvature;
use crate::kernel::block::{BlockSums, ROWS, RowBlock};
use crate::kernel::coefficients::Terms;
use crate::kernel::columns::Columns;
use crate::kernel::lane_task::{LaneLayout, LaneTask};
use crate::kernel::long_row::{LongRowTask, LongRows, RowOutput, RowSource, TileState};
use crate::kernel::narrow::{BLOCKS, CLASSES, Narrow};
use crate::kernel::row_buffers::RowBuffers;
use crate::kernel::row_targets::{RowTargets, SoftSource, TeacherSums};
use crate::kernel::row_task::{RowTask, Steps, rows_of_group};
use crate::kernel::rows::{GroupState, Rows};
use crate::kernel::sum::TILE;
use crate::level::Level;
use crate::shape::Shape;
use crate::simd::ACCUMULATORS;

/// A gradient of at least this many elements (16 MiB) is written past the caches, unless its rows are short: it
/// would not stay in them until it is read, and a store through the cache first reads the line that it overwrites.
const STREAM_FROM: usize = 1 << 22;

/// A kernel, with the space for what it keeps from some rows to the next.
pub(super) enum KernelState<'s, F> {
    /// [`Narrow`], with as many blocks as its rows fill, or [`BLOCKS`].
    Narrow(&'s mut [RowBlock<F>]),
    /// [`Columns`].
    Columns(&'s mut RowBlock<F>),
    /// [`Rows`].
    Groups(GroupState<'s, F>),
    /// [`Rows`] for a row at a time, tile by tile.
    LongRows,
}

impl<F: Float> SoftmaxSpec<'_, F> {
    /// The sum of the losses.
    pub(super) fn run(
        self,
        level: Level,
        join: Option<&dyn ForkJoin>,
        buffers: RowBuffers<'_, F>,
        outputs: Outputs<'_, F>,
    ) -> f64 {
        let rows = self.shape.row_count();
        self.with_state(rows, |state| self.run_in(state, level, join, buffers, outputs))
    }

    /// Chooses the kernel, and makes its state for at most that many rows. This is the one place that chooses how
    /// rows are computed. It depends only on their shape and the kind of targets, so that a row has the same bits
    /// alone and in a batch, whatever outputs are wanted.
    ///
    /// A state serves any rows of this batch: what it keeps of those before is what a kernel keeps of its own.
    pub(super) fn with_state<R>(
        &self,
        rows: usize,
        run: impl FnOnce(&mut KernelState<'_, F>) -> R,
    ) -> R {
        let classes = self.shape.classes;
        if classes <= CLASSES {
            // Only as many as the rows fill.
            return match rows.div_ceil(ROWS) {
                0 | 1 => run(&mut KernelState::Narrow(&mut [self.block()])),
                2 => run(&mut KernelState::Narrow(&mut [self.block(), self.block()])),
                _ => run(&mut KernelState::Narrow(&mut [(); BLOCKS].map(|()| self.block()))),
            };
        }
        if self.of_columns {
            return run(&mut KernelState::Columns(&mut self.block()));
        }
        if classes > TILE {
            return run(&mut KernelState::LongRows);
        }
        let (mut block, mut sums) = (self.block(), BlockSums::new());
        let run = |folded: &mut [[F; ACCUMULATORS]]| {
            let (block, sums) = (&mut block, &mut sums);
            run(&mut KernelState::Groups(GroupState { block, sums, folded }))
        };
        let row = [F::default(); ACCUMULATORS];
        match (self.kind(), rows.min(rows_of_group(classes))) {
            (Kind::Soft, ..=4) => run(&mut [row; 3 * 4]),
            (Kind::Soft, _) => run(&mut [row; 3 * ROWS]),
            (_, ..=4) => run(&mut [row; 4]),
            _ => run(&mut [row; ROWS]),
        }
    }

    /// The sum of the losses, by the kernel of a state.
    #[inline(never)]
    pub(super) fn run_in(
        self,
        state: &mut KernelState<'_, F>,
        level: Level,
        join: Option<&dyn ForkJoin>,
        buffers: RowBuffers<'_, F>,
        outputs: Outputs<'_, F>,
    ) -> f64 {
        if buffers.is_in_place() && !outputs.predicted.is_empty() {
            self.mark_nans(level, buffers.logits(), outputs.predicted);
        }
        match state {
            KernelState::Narrow(blocks) => self.narrow(level, buffers, outputs, blocks),
            KernelState::Columns(block) => self.columns(level, buffers, outputs, block),
            KernelState::Groups(GroupState { block, sums, folded }) => {
                self.groups(level, buffers, outputs, GroupState { block, sums, folded })
            }
            KernelState::LongRows => self.long_rows(level, join, buffers, outputs),
        }
    }

    /// Whether the gradient is written past the caches.
    pub(super) fn streams(&self) -> bool {
        self.elements >= STREAM_FROM
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

    pub(super) fn terms(&self) -> Terms {
        Terms { gamma: self.options.focal_gamma, z_loss: self.options.z_loss }
    }

    /// The curvature of a row with this weight. With a soft cap, the floor is applied after the cap's own
    /// derivatives.
    pub(super) fn curvature(&self, outputs: &Outputs<'_, F>, weight: f64) -> Curvature {
        // Each derivative brings a factor of one over the temperature.
        let curvature = outputs.convention.softmax(weight * self.unit(), self.shape.classes);
        if self.cap() == 0.0 { curvature.with_floor(outputs.hessian_floor) } else { curvature }
    }

    fn narrow(
        self,
        level: Level,
        buffers: RowBuffers<'_, F>,
        outputs: Outputs<'_, F>,
        blocks: &mut [RowBlock<F>],
    ) -> f64 {
        let task = self.lane_task(level, &outputs);
        let rows = self.shape.row_count();
        let labels = self.kind() == Kind::Labels && self.shape.inner == 1;
        let of = if labels { self.shape.classes } else { 0 };
        let supply = &mut Chunk::new(&self, level, outputs);
        macro_rules! kernel {
            ($of:literal, $fours:literal) => {
                Narrow::<F, $of, $fours> { task, buffers, rows, supply, blocks }.at(level)
            };
        }
        match of {
            2 => kernel!(2, 1),
            3 => kernel!(3, 1),
            10 => kernel!(10, 3),
            _ => kernel!(0, 8),
        }
    }

    fn columns(
        self,
        level: Level,
        buffers: RowBuffers<'_, F>,
        outputs: Outputs<'_, F>,
        block: &mut RowBlock<F>,
    ) -> f64 {
        let task = self.lane_task(level, &outputs);
        let rows = self.shape.row_count();
        let mut supply = Chunk::new(&self, level, outputs);
        Columns { task, buffers, rows, supply: &mut supply, block }.at(level)
    }

    fn groups(
        self,
        level: Level,
        buffers: RowBuffers<'_, F>,
        outputs: Outputs<'_, F>,
        state: GroupState<'_, F>,
    ) -> f64 {
        let Shape { classes, logits_stride, gradient_stride, .. } = self.shape;
        let task = RowTask {
            level,
            classes,
            strides: [logits_stride, gradient_stride],
            terms: self.terms(),
            unit: self.unit(),
            stream: self.streams(),
            largest_class: !outputs.predicted.is_empty(),
            takes_rows: outputs.take_rows(),
            second: !outputs.hessian.is_empty(),
            steps: Steps::All,
        };
        let rows = self.shape.row_count();
        let mut supply = Chunk::new(&self, level, outputs);
        let run =
            |supply: &mut Chunk<'_, '_, F>| Rows { task, buffers, rows, supply, state }.at(level);
        if self.kind() != Kind::Soft {
            return run(&mut supply);
        }
        supply.in_groups = true;
        let group = rows.min(rows_of_group(classes));
        // Only the used part is cleared.
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
        run(&mut supply)
    }

    /// One row after the other.
    fn long_rows(
        self,
        level: Level,
        join: Option<&dyn ForkJoin>,
        mut buffers: RowBuffers<'_, F>,
        mut outputs: Outputs<'_, F>,
    ) -> f64 {
        let Shape { classes, logits_stride, gradient_stride, .. } = self.shape;
        let rows = LongRows { level, join };
        let stream = self.streams();
        self.with_tile_state(|state| {
            let mut sum = 0.0;
            for row in 0..self.shape.row_count() {
                let at = [row * logits_stride, row * gradient_stride];
                let mut buffers = buffers.part(at, classes);
                let params = self.params(row);
                let targets = self.targets_of_row(rows, row, &params, state);
                let task = self.long_row_task(&params, &outputs);
                let live = params.state == State::Live;
                let x = buffers.logits();
                let finished = targets
                    .filter(|_| live)
                    .and_then(|targets| rows.finish(x, targets, &task, state));
                sum += match finished {
                    Some(finished) => {
                        let result = finished.result();
                        outputs.put_row(row, result.loss, result.log_sum_exp, result.largest_class);
                        if result.loss.is_nan() || result.log_sum_exp.is_nan() {
                            let class = buffers.logits().iter().position(|x| x.is_nan());
                            self.note_nan(row, class, &mut outputs);
                        }
                        let hessian = outputs.hessian_of(row, classes);
                        let place = RowOutput { buffers, hessian };
                        rows.put(&finished, place, 0, stream, state);
                        result.loss
                    }
                    None => {
                        let known = self.log_sum_exp_of_skipped(rows, x, &params, &outputs, state);
                        self.fallback_row(row, &params, known, &mut buffers, &mut outputs)
                    }
                };
            }
            sum
        })
    }

    /// The log-sum-exp of a long row that is ignored or empty, if it is wanted and finite.
    pub(super) fn log_sum_exp_of_skipped(
        &self,
        rows: LongRows<'_>,
        x: impl RowSource<F>,
        params: &RowParams,
        outputs: &Outputs<'_, F>,
        state: &mut TileState<'_, F>,
    ) -> Option<f64> {
        if params.state == State::Live || outputs.log_sum_exp.is_empty() {
            return None;
        }
        let sums = rows.sums(x, &RowTargets::Nothing, (self.unit(), false), state)?;
        Some(sums.log_sum_exp())
    }

    /// The scratch buffer for a tile, with space for the weights of its classes if needed.
    pub(super) fn with_tile_state<R>(&self, run: impl FnOnce(&mut TileState<'_, F>) -> R) -> R {
        if self.kind() == Kind::Soft {
            run(&mut TileState::new(&mut [F::default(); TILE]))
        } else {
            run(&mut TileState::new(&mut []))
        }
    }

    pub(super) fn long_row_task(
        &self,
        params: &RowParams,
        outputs: &Outputs<'_, F>,
    ) -> LongRowTask {
        LongRowTask {
            terms: self.terms(),
            factors: params.factors,
            unit: self.unit(),
            largest_class: !outputs.predicted.is_empty(),
            second: !outputs.hessian.is_empty(),
            curvature: self.curvature(outputs, params.factors.gradient),
        }
    }

    /// The target of a long row; `None` if it is the softmax of teacher logits whose largest is not finite.
    pub(super) fn targets_of_row(
        &self,
        rows: LongRows<'_>,
        row: usize,
        params: &RowParams,
        state: &mut TileState<'_, F>,
    ) -> Option<RowTargets<'_, F>> {
        let classes = self.shape.classes;
        match self.kind() {
            Kind::Nothing => return Some(RowTargets::Nothing),
            Kind::Labels => return Some(self.targets_of_label(params)),
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
        Some(RowTargets::Soft(self.soft_source(params, dense, teacher)))
    }

    /// The target of a long row, for targets that are labels.
    pub(super) fn targets_of_label(&self, params: &RowParams) -> RowTargets<'_, F> {
        if self.kind() == Kind::Soft {
            return RowTargets::Soft(self.soft_source(params, &[], None));
        }
        match params.label {
            Some(class) => RowTargets::Label { class, weight: params.label_weight },
            None => RowTargets::Nothing,
        }
    }

    fn soft_source<'s>(
        &'s self,
        params: &RowParams,
        dense: &'s [F],
        teacher: Option<TeacherSums<F>>,
    ) -> SoftSource<'s, F> {
        let scale = F::from_f64(params.target_scale);
        SoftSource {
            dense,
            step: self.shape.inner,
            scale,
            smoothing_per_class: F::from_f64(self.smoothing_per_class()),
            class_weights: self.options.class_weights,
            label: params.label.map(|class| (class, F::from_f64(params.label_weight))),
            own: self.is_caffe().then_some(scale),
            teacher,
        }
    }
}
