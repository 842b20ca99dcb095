//! Softmax of logits that are converted: some rows at a time, in scratch.

use super::log_sum_exp::LogSumExpBatch;
use super::odd_row::OddRow;
use super::rows::Outputs;
use super::softmax::{Job, OfKind, SoftmaxBatch, WholeRow};
use super::window::{Opened, Window};
use crate::batch::{Join, LEAF};
use crate::buffers::Buffers;
use crate::element::{Compute, Element};
use crate::hessian::Curvature;
use crate::kernel::coefficients::Factors;
use crate::kernel::lanes;
use crate::kernel::logit_map::LogitMap;
use crate::kernel::softmax::{Place, RowResult, RowSource, RowTask, Rows, Settled, middle};
use crate::kernel::sum::TILE;
use crate::kernel::targets::Targets;
use crate::level::Level;
use crate::shape::Shape;

/// The logits of a row that are converted tile by tile.
#[derive(Clone, Copy)]
pub(super) struct Converted<'a, E> {
    x: &'a [E],
    length: usize,
    /// From a class to the next.
    step: usize,
}

impl<'a, E: Element> Converted<'a, E> {
    /// A row, or a part of it, whose classes are neighbours.
    pub(super) fn row(x: &'a [E]) -> Self {
        Self { x, length: x.len(), step: 1 }
    }
}

impl<E: Element> RowSource<E::Float> for Converted<'_, E> {
    fn len(self) -> usize {
        self.length
    }

    fn split_at(self, at: usize) -> (Self, Self) {
        let (a, b) = self.x.split_at((at * self.step).min(self.x.len()));
        (Self { x: a, length: at, ..self }, Self { x: b, length: self.length - at, ..self })
    }

    fn tiles(self, level: Level, to: &mut dyn FnMut(usize, &[E::Float]) -> bool) {
        let mut buffers = Buffers::Loss(self.x);
        let mut scratch = scratch_of::<E>();
        for tile in (0..self.length).step_by(TILE) {
            let window = classes(TILE.min(self.length - tile), [tile * self.step; 2], self.step);
            let Opened::Loss(cells) = buffers.open(level, window, &mut scratch) else { return };
            if !to(tile, cells.logits()) {
                return;
            }
        }
    }
}

/// Room for a tile.
fn scratch_of<E: Element>() -> [E::Float; TILE] {
    [E::Float::default(); TILE]
}

/// So many classes of a row, with that step from one to the next.
fn classes(count: usize, at: [usize; 2], step: usize) -> Window {
    if step == 1 {
        Window::of(at, count)
    } else {
        Window { rows: count, length: 1, at, strides: [step; 2] }
    }
}

/// The gradient of neighbouring classes, and second derivatives if they are wanted, tile by tile.
pub(super) fn put_row<E: Element, T: Targets<E::Float>, Z: LogitMap>(
    level: Level,
    settled: &Settled<E::Float, T, Z>,
    buffers: &mut Buffers<'_, E>,
    first: usize,
    second: (&mut [E::Float], Curvature),
) {
    put_classes(level, settled, buffers, (first, buffers.len()), ([0, 0], 1), second);
}

/// So many classes from one on, whose first is in a place, with that step from one to the next.
fn put_classes<E: Element, T: Targets<E::Float>, Z: LogitMap>(
    level: Level,
    settled: &Settled<E::Float, T, Z>,
    buffers: &mut Buffers<'_, E>,
    (first, count): (usize, usize),
    (at, step): ([usize; 2], usize),
    (hessian, curvature): (&mut [E::Float], Curvature),
) {
    let mut scratch = scratch_of::<E>();
    for tile in (0..count).step_by(TILE) {
        let length = TILE.min(count - tile);
        let window = classes(length, at.map(|at| at + tile * step), step);
        let hessian = hessian.get_mut(tile..tile + length).unwrap_or(&mut []);
        let first = first + tile;
        match buffers.open(level, window, &mut scratch) {
            Opened::Loss(cells) => {
                settled.put(level, Place { cells, hessian, curvature }, first, false, false);
            }
            Opened::Write(cells) => {
                settled.put(level, Place { cells, hessian, curvature }, first, false, false);
            }
            Opened::Add(cells) => {
                settled.put(level, Place { cells, hessian, curvature }, first, false, false);
            }
        }
        buffers.close(level, window, &mut scratch);
    }
}

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
        let windows = Windows { level, job, buffers, outputs, most, scratch: scratch_of::<E>() };
        if inner == 1 { windows.rows() } else { windows.columns() }
    }
}

/// A batch whose rows are converted some at a time.
struct Windows<'a, 'o, E: Element> {
    level: Level,
    job: Job<'a, E::Float>,
    buffers: Buffers<'o, E>,
    outputs: Outputs<'o, E::Float>,
    /// Rows of a window.
    most: usize,
    scratch: [E::Float; TILE],
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
                Window::of(at, rows * classes)
            } else {
                Window { rows, length: classes, at, strides }
            };
            let elements = first * classes..(first + rows) * classes;
            let dense = self.job.dense().get(elements.clone()).unwrap_or(&[]);
            let job = self.job.part(first..first + rows, Shape::block(rows, classes, 1), dense);
            let outputs = self.outputs.part(first..first + rows, elements);
            let Self { level, ref mut buffers, ref mut scratch, .. } = self;
            sum += run_window(level, job, buffers, window, scratch, outputs);
        }
        sum
    }

    fn columns(mut self) -> f64 {
        let Shape { outer, classes, inner, logits_stride, gradient_stride } = self.job.shape;
        let (mut of_dense, mut of_hessian) = (scratch_of::<E>(), scratch_of::<E>());
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
                let dense = &mut of_dense[..if all.is_empty() { 0 } else { classes * count }];
                for (class, column) in dense.chunks_mut(count).enumerate() {
                    column.copy_from_slice(all.get(place(class)).unwrap_or(&[]));
                }
                let wanted = if self.outputs.hessian.is_empty() { 0 } else { classes * count };
                let hessian = &mut of_hessian[..wanted];
                let window = Window {
                    rows: classes,
                    length: count,
                    at: [part * logits_stride + position, part * gradient_stride + position],
                    strides: [inner; 2],
                };
                let shape = Shape::block(1, classes, count);
                let job = self.job.part(first..first + count, shape, dense);
                let outputs = self.outputs.part(first..first + count, 0..0);
                let outputs = Outputs { hessian: &mut *hessian, ..outputs };
                let Self { level, ref mut buffers, ref mut scratch, .. } = self;
                sum += run_window(level, job, buffers, window, scratch, outputs);
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
