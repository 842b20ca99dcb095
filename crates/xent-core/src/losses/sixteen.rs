//! Softmax of logits of sixteen bits: some rows at a time are converted to scratch.

use core::ops::Range;

use super::converted::{Converted, put_classes, put_row};
use super::log_sum_exp::LogSumExpBatch;
use super::odd_row::OddRow;
use super::rows::{Outputs, RowWeights};
use super::softmax::{Job, OfKind, SoftmaxBatch, SoftmaxTargets, WholeRow};
use super::window::{Opened, Scratch, Window};
use crate::batch::{Join, LEAF};
use crate::buffers::Buffers;
use crate::element::{Compute, Element, Float};
use crate::hessian::Curvature;
use crate::kernel::coefficients::Factors;
use crate::kernel::lanes;
use crate::kernel::logit_map::LogitMap;
use crate::kernel::softmax::{RowResult, RowTask, Rows, Settled, middle};
use crate::kernel::sum::TILE;
use crate::kernel::targets::Targets;
use crate::level::Level;
use crate::shape::Shape;

/// A row of more classes than scratch has room for.
struct LongRow<'b, 'a, E: Element> {
    buffers: &'b mut Buffers<'a, E>,
    classes: usize,
    /// Where the first class is: `[logits, gradient]`.
    at: [usize; 2],
    /// From a class to the next.
    step: usize,
}

impl<E: Element> OddRow<E::Float> for LongRow<'_, '_, E> {
    fn logit(&self, class: usize) -> f64 {
        let logit = self.buffers.logits().get(self.at[0] + class * self.step);
        logit.map_or(f64::NAN, |x| x.to_float().to_f64())
    }

    fn put(&mut self, class: usize, gradient: E::Float) {
        self.buffers.put(self.at[1] + class * self.step, gradient);
    }
}

impl<E: Element> WholeRow<E::Float> for LongRow<'_, '_, E> {
    fn row<T: Targets<E::Float>, Z: LogitMap>(
        &mut self,
        rows: Rows<'_>,
        targets: T,
        (task, factors): (RowTask<Z>, Factors<f64>),
        (hessian, curvature): (&mut [E::Float], Curvature),
    ) -> Option<RowResult> {
        let Self { classes, at, step, .. } = *self;
        let RowTask { map, terms, .. } = task;
        let x = self.buffers.logits().get(at[0]..).unwrap_or(&[]);
        let spike = targets.spike().and_then(|spike| x.get(spike.class * step));
        let spike = spike.map(|x| x.to_float());
        let sums = rows.sums(Converted { x, length: classes, step }, targets, map)?;
        let settled = Settled::new(rows.level, (targets, map, terms), sums, spike, factors);
        let wanted = !matches!(self.buffers, Buffers::Loss(_)) || !hessian.is_empty();
        if wanted && rows.join.is_some() && step == 1 {
            put_in_pieces(rows, &settled, self.buffers.part(at, classes), 0, (hessian, curvature));
        } else if wanted {
            let second = (hessian, curvature);
            put_classes(rows.level, &settled, self.buffers, (0, classes), (at, step), second);
        }
        Some(settled.result())
    }
}

/// [`put_row`] on threads that join.
fn put_in_pieces<E: Element, T: Targets<E::Float>, Z: LogitMap>(
    rows: Rows<'_>,
    settled: &Settled<E::Float, T, Z>,
    mut buffers: Buffers<'_, E>,
    first: usize,
    (hessian, curvature): (&mut [E::Float], Curvature),
) {
    let length = buffers.len();
    let Some(join) = rows.join.filter(|_| length > LEAF) else {
        return put_row(rows.level, settled, &mut buffers, first, (hessian, curvature));
    };
    let middle = middle(length);
    let (a, b) = buffers.split_at(middle, middle);
    let (of_a, of_b) = hessian.split_at_mut(middle.min(hessian.len()));
    let (mut a, mut b) = (Some((a, of_a)), Some((b, of_b)));
    let put = |part: &mut Option<(Buffers<'_, E>, &mut [E::Float])>, first| {
        if let Some((buffers, hessian)) = part.take() {
            put_in_pieces(rows, settled, buffers, first, (hessian, curvature));
        }
    };
    join.join(&mut || put(&mut a, first), &mut || put(&mut b, first + middle));
}

impl<E: Element> SoftmaxBatch<'_, E> {
    /// The sum of the losses, of logits that are not what is computed in.
    pub(crate) fn run_converted(self, level: Level, join: Option<&dyn Join>) -> f64 {
        let Self { buffers, job, outputs } = self;
        let Shape { classes, inner, .. } = job.shape;
        let room = TILE / classes;
        if room == 0 {
            let one_class = job.of_one_class(&outputs);
            let rows = Rows { level, join };
            return job.by_kind(one_class, LongRows { rows, job, buffers, outputs });
        }
        // Whole blocks of rows, if there are so many.
        let most = if room < lanes::ROWS { room } else { room / lanes::ROWS * lanes::ROWS };
        let windows = Windows { level, job, buffers, outputs, most, scratch: Scratch::new() };
        if inner == 1 { windows.rows() } else { windows.columns() }
    }
}

/// Logits that rows of few classes are read with, behind the last one.
const OVERRUN: usize = 3;

/// A batch whose rows are converted some at a time.
struct Windows<'a, 'o, E: Element> {
    level: Level,
    job: Job<'a, E::Float>,
    buffers: Buffers<'o, E>,
    outputs: Outputs<'o, E::Float>,
    /// Rows of a window.
    most: usize,
    scratch: Scratch<E::Float>,
}

impl<E: Element> Windows<'_, '_, E> {
    fn rows(mut self) -> f64 {
        let Shape { outer, classes, logits_stride, gradient_stride, .. } = self.job.shape;
        let strides = [logits_stride, gradient_stride];
        let mut sum = 0.0;
        for first in (0..outer).step_by(self.most) {
            let rows = self.most.min(outer - first);
            let at = strides.map(|stride| first * stride);
            let window = if strides == [classes; 2] {
                Window { slack: OVERRUN, ..Window::of(at, rows * classes) }
            } else {
                Window { rows, length: classes, at, strides, slack: OVERRUN }
            };
            let elements = first * classes..(first + rows) * classes;
            let dense = self.job.dense().get(elements.clone()).unwrap_or(&[]);
            let job = self.job.part(first..first + rows, Shape::block(rows, classes, 1), dense);
            let outputs = self.outputs.part(first..first + rows, elements);
            let Self { level, ref mut buffers, ref mut scratch, .. } = self;
            sum += run_window(level, job, buffers, window, &mut scratch.0, outputs);
        }
        sum
    }

    fn columns(mut self) -> f64 {
        let Shape { outer, classes, inner, logits_stride, gradient_stride } = self.job.shape;
        let (mut of_dense, mut of_hessian) =
            (Scratch::<E::Float>::new(), Scratch::<E::Float>::new());
        let mut sum = 0.0;
        for part in 0..outer {
            for position in (0..inner).step_by(self.most) {
                let count = self.most.min(inner - position);
                let first = part * inner + position;
                let place = |class| {
                    let start = (part * classes + class) * inner + position;
                    start..start + count
                };
                let all = self.job.dense();
                let dense = &mut of_dense.0[..if all.is_empty() { 0 } else { classes * count }];
                for (class, column) in dense.chunks_mut(count).enumerate() {
                    column.copy_from_slice(all.get(place(class)).unwrap_or(&[]));
                }
                let wanted = if self.outputs.hessian.is_empty() { 0 } else { classes * count };
                let hessian = &mut of_hessian.0[..wanted];
                let window = Window {
                    rows: classes,
                    length: count,
                    at: [part * logits_stride + position, part * gradient_stride + position],
                    strides: [inner; 2],
                    slack: 0,
                };
                let shape = Shape::block(1, classes, count);
                let job = self.job.part(first..first + count, shape, dense);
                let outputs = self.outputs.part(first..first + count, 0..0);
                let outputs = Outputs { hessian: &mut *hessian, ..outputs };
                let Self { level, ref mut buffers, ref mut scratch, .. } = self;
                sum += run_window(level, job, buffers, window, &mut scratch.0, outputs);
                for (class, column) in hessian.chunks(count).enumerate() {
                    let places = self.outputs.hessian.get_mut(place(class));
                    places.unwrap_or(&mut []).copy_from_slice(column);
                }
            }
        }
        sum
    }
}

/// The rows of a window.
fn run_window<E: Element>(
    level: Level,
    job: Job<'_, E::Float>,
    buffers: &mut Buffers<'_, E>,
    window: Window,
    scratch: &mut [E::Float],
    outputs: Outputs<'_, E::Float>,
) -> f64 {
    let sum = match buffers.open(level, window, scratch) {
        Opened::Loss(cells) => job.run(level, None, cells, outputs),
        Opened::Write(cells) => job.run(level, None, cells, outputs),
        Opened::Add(cells) => job.run(level, None, cells, outputs),
    };
    buffers.close(level, window, scratch);
    sum
}

/// Rows that are converted one by one, tile by tile.
struct LongRows<'j, 'a, 'o, E: Element> {
    rows: Rows<'j>,
    job: Job<'a, E::Float>,
    buffers: Buffers<'o, E>,
    outputs: Outputs<'o, E::Float>,
}

impl<E: Element> OfKind<E::Float> for LongRows<'_, '_, '_, E> {
    fn run<Z: LogitMap, const KIND: u8>(self, map: Z) -> f64 {
        let Self { rows, job, mut buffers, mut outputs } = self;
        let Shape { classes, inner, logits_stride, gradient_stride, .. } = job.shape;
        let task = job.task(map);
        let mut sum = 0.0;
        for row in 0..job.shape.row_count() {
            let (part, position) = (row / inner, row % inner);
            let at = [logits_stride, gradient_stride].map(|stride| part * stride + position);
            let mut cells = LongRow { buffers: &mut buffers, classes, at, step: inner };
            let plan = job.plan(row);
            sum += job.row::<Z, KIND>(rows, row, &plan, &mut cells, task, &mut outputs);
        }
        sum
    }
}

impl<E: Element> LogSumExpBatch<'_, E> {
    /// The sum of what is written, of logits that are not what is computed in.
    pub(crate) fn run_converted(self, level: Level, join: Option<&dyn Join>) -> f64 {
        let Self { logits, shape, out } = self;
        let (buffers, job) = (Buffers::Loss(logits), Job::without_targets(shape));
        let outputs = Outputs { log_sum_exp: &mut *out, ..Outputs::default() };
        SoftmaxBatch { buffers, job, outputs }.run_converted(level, join);
        out.iter().map(|value| value.to_f64()).sum()
    }
}

// Parts of what a batch has.

impl<F: Float> Job<'_, F> {
    /// Some rows, whose dense targets are given.
    fn part<'p>(&'p self, rows: Range<usize>, shape: Shape, dense: &'p [F]) -> Job<'p, F> {
        let targets = match self.targets {
            SoftmaxTargets::Index(labels) => {
                let (labels, _) = labels.split_at(rows.start).1.split_at(rows.len());
                SoftmaxTargets::Index(labels)
            }
            SoftmaxTargets::Dense(_) => SoftmaxTargets::Dense(dense),
            SoftmaxTargets::MultiLabel(_, gradient) => SoftmaxTargets::MultiLabel(dense, gradient),
            SoftmaxTargets::Teacher(_, temperature) => SoftmaxTargets::Teacher(dense, temperature),
        };
        Job { shape, targets, weights: self.weights.part(rows), ..*self }
    }
}

impl<F: Float> RowWeights<'_, F> {
    /// Those of some rows, each with one loss.
    fn part(self, rows: Range<usize>) -> Self {
        Self {
            sample_weights: self.sample_weights.get(rows.clone()).unwrap_or(&[]),
            upstream: self.upstream.get(rows).unwrap_or(&[]),
            ..self
        }
    }
}

impl<F: Float> Outputs<'_, F> {
    /// Those of some rows, and the second derivatives in some places.
    fn part(&mut self, rows: Range<usize>, elements: Range<usize>) -> Outputs<'_, F> {
        Outputs {
            losses: self.losses.get_mut(rows.clone()).unwrap_or(&mut []),
            log_sum_exp: self.log_sum_exp.get_mut(rows.clone()).unwrap_or(&mut []),
            predicted: self.predicted.get_mut(rows).unwrap_or(&mut []),
            hessian: self.hessian.get_mut(elements).unwrap_or(&mut []),
            convention: self.convention,
        }
    }
}

impl Shape {
    /// `outer` blocks of few enough elements.
    fn block(outer: usize, classes: usize, inner: usize) -> Self {
        let stride = classes * inner;
        Self { outer, classes, inner, logits_stride: stride, gradient_stride: stride }
    }
}

impl<E: Element> Buffers<'_, E> {
    /// So many of them, where the logits and the gradient begin: `[logits, gradient]`.
    fn part(&mut self, [x_at, g_at]: [usize; 2], length: usize) -> Buffers<'_, E> {
        let (x, g) = (x_at..x_at + length, g_at..g_at + length);
        match self {
            Self::Loss(all) => Buffers::Loss(&all[x]),
            Self::Gradient(all, gradient) => Buffers::Gradient(&all[x], &mut gradient[g]),
            Self::Accumulate(all, gradient) => Buffers::Accumulate(&all[x], &mut gradient[g]),
            Self::InPlace(all) => Buffers::InPlace(&mut all[x]),
            Self::WideGradient(all, gradient) => Buffers::WideGradient(&all[x], &mut gradient[g]),
            Self::WideAccumulate(all, gradient) => {
                Buffers::WideAccumulate(&all[x], &mut gradient[g])
            }
        }
    }
}
