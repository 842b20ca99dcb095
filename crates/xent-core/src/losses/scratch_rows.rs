//! Softmax of logits that cannot be used in place: a few rows at a time are converted or capped.

use core::ops::Range;

use super::buffers::Buffers;
use super::choose::KernelState;
use super::degenerate_row::DegenerateRow;
use super::format::{Element, Float};
#[cfg(any(feature = "half", feature = "quantised"))]
use super::log_sum_exp::LogSumExpBatch;
use super::rows::{Outputs, RowWeights};
use super::scratch::{Scratch, TileBuffer, TileRange};
use super::scratch_tiles::{Classes, Converted, put_classes};
use super::softmax::SoftmaxBatch;
use super::softmax_spec::{SoftmaxSpec, State};
use super::softmax_targets::SoftmaxTargets;
use crate::batch::{CHUNK, ForkJoin};
use crate::kernel::block::ROWS;
use crate::kernel::long_row::{FinishedRow, LongRows, TileState, middle};
use crate::kernel::sum::TILE;
use crate::level::Level;
use crate::math::scalar;
use crate::shape::Shape;
use crate::simd::Compute;

/// A row with more classes than the scratch buffer holds.
pub(super) struct LongRow<'b, 'a, E: Element> {
    pub(super) buffers: &'b mut Buffers<'a, E>,
    /// The place of the first class: `[logits, gradient]`.
    pub(super) at: [usize; 2],
    /// From a class to the next.
    pub(super) step: usize,
    /// The soft cap; zero for none.
    pub(super) cap: f64,
    /// The smallest second derivative.
    pub(super) floor: f64,
}

impl<E: Element> LongRow<'_, '_, E> {
    /// A capped logit, and the derivative; an infinite one is not capped.
    fn capped(&self, class: usize) -> (f64, f64) {
        let logit = self.buffers.logit(self.at[0] + class * self.step);
        let x = logit.map_or(f64::NAN, |x| x.to_f64());
        if self.cap == 0.0 || x.is_infinite() {
            return (x, 1.0);
        }
        let (value, derivative) = scalar::tanh(x / self.cap);
        (self.cap * value, derivative)
    }
}

impl<E: Element> DegenerateRow<E::Float> for LongRow<'_, '_, E> {
    fn logit(&self, class: usize) -> f64 {
        self.capped(class).0
    }

    fn put(&mut self, class: usize, gradient: E::Float) {
        // Zero stays zero, even for a NaN logit.
        let by_logit = if gradient == E::Float::default() {
            gradient
        } else {
            E::Float::from_f64(self.capped(class).1 * gradient.to_f64())
        };
        self.buffers.put(self.at[1] + class * self.step, by_logit);
    }

    fn second(&self, class: usize, gradient: f64, hessian: f64) -> f64 {
        if self.cap == 0.0 {
            return hessian;
        }
        let (value, derivative) = self.capped(class);
        let nothing_of = |a: f64, b: f64| if a == 0.0 { 0.0 } else { a * b };
        let bend =
            if value.is_infinite() { 0.0 } else { -2.0 * value / self.cap * derivative / self.cap };
        let h = nothing_of(hessian, derivative * derivative) + nothing_of(gradient, bend);
        if h < self.floor { self.floor } else { h }
    }
}

/// The gradient and second derivatives of contiguous classes, which are all of these buffers, on several threads if
/// `join` is given.
fn put_in_pieces<E: Element>(
    rows: LongRows<'_>,
    finished: &FinishedRow<'_, E::Float>,
    mut buffers: Buffers<'_, E>,
    of: Classes,
    hessian: &mut [E::Float],
) {
    let length = of.count;
    let Some(join) = rows.join.filter(|_| length > CHUNK) else {
        let mut state = TileState::new(&mut []);
        return put_classes(
            rows.level,
            finished,
            &mut buffers,
            of,
            (hessian, 0.0, 0.0),
            &mut state,
        );
    };
    let middle = middle(length);
    let (a, b) = buffers.split_at(middle, middle);
    let (of_a, of_b) = hessian.split_at_mut(middle.min(hessian.len()));
    let (mut a, mut b) = (Some((a, of_a)), Some((b, of_b)));
    let put = |part: &mut Option<(Buffers<'_, E>, &mut [E::Float])>, of| {
        if let Some((buffers, hessian)) = part.take() {
            put_in_pieces(rows, finished, buffers, of, hessian);
        }
    };
    let of_first = Classes { count: middle, ..of };
    let of_second = Classes { first: of.first + middle, count: length - middle, ..of };
    join.join(&mut || put(&mut a, of_first), &mut || put(&mut b, of_second));
}

impl<E: Element> SoftmaxBatch<'_, E> {
    /// The sum of the losses of logits that cannot be used in place.
    pub(crate) fn run_converted(self, level: Level, join: Option<&dyn ForkJoin>) -> f64 {
        let Self { buffers, spec, mut outputs } = self;
        let Shape { classes, inner, .. } = spec.shape;
        let predicted = core::mem::take(&mut outputs.predicted);
        if spec.cap() != 0.0 {
            // Different logits may become equal under a cap.
            for (row, place) in predicted.iter_mut().enumerate() {
                *place = largest_class(&buffers, &spec.shape, row);
            }
        } else {
            outputs.predicted = predicted;
        }
        let scratch = TILE / classes;
        if scratch == 0 {
            return long_rows(LongRows { level, join }, spec, buffers, outputs);
        }
        // Whole blocks of rows, if there are enough rows.
        let most = if scratch < ROWS { scratch } else { scratch / ROWS * ROWS };
        let second = !outputs.hessian.is_empty();
        let rows = most.min(spec.shape.row_count());
        Scratch::with::<E, _>((spec.cap(), second), |scratch| {
            spec.with_state(rows, |state| {
                let windows = Windows { level, spec, buffers, outputs, most, scratch, state };
                if inner == 1 { windows.rows() } else { windows.columns() }
            })
        })
    }
}

/// The class of the largest logit of a row, the first of equals, or of the first NaN.
fn largest_class<E: Element>(buffers: &Buffers<'_, E>, shape: &Shape, row: usize) -> u32 {
    let (mut largest, mut of_largest) = (E::Float::NEG_INFINITY, 0);
    for class in 0..shape.classes {
        let Some(x) = buffers.logit(shape.logit_place(row, class)) else { continue };
        if x.is_nan() {
            of_largest = class;
            break;
        }
        if x > largest {
            (largest, of_largest) = (x, class);
        }
    }
    u32::try_from(of_largest).unwrap_or_default()
}

/// Rows that are converted one by one, tile by tile.
fn long_rows<E: Element>(
    rows: LongRows<'_>,
    spec: SoftmaxSpec<'_, E::Float>,
    mut buffers: Buffers<'_, E>,
    mut outputs: Outputs<'_, E::Float>,
) -> f64 {
    let Shape { classes, inner, logits_stride, gradient_stride, .. } = spec.shape;
    let (cap, floor) = (spec.cap(), outputs.floor());
    let LongRows { level, join } = rows;
    spec.with_tile_state(|state| {
        let mut sum = 0.0;
        for row in 0..spec.shape.row_count() {
            let (part, position) = (row / inner, row % inner);
            let at = [logits_stride, gradient_stride].map(|stride| part * stride + position);
            let params = spec.params(row);
            let task = spec.long_row_task(&params, &outputs);
            let x = buffers.logits().get(at[0]..).unwrap_or(&[]);
            let quantisation = buffers.quantisation;
            let source = Converted { x, quantisation, length: classes, step: inner, cap };
            let finished = if params.state == State::Live {
                let targets = spec.targets_of_row(rows, row, &params, state);
                targets.and_then(|targets| rows.finish(source, targets, &task, state))
            } else {
                None
            };
            let Some(finished) = finished else {
                let known = spec.log_sum_exp_of_skipped(rows, source, &params, &outputs, state);
                let mut odd = LongRow { buffers: &mut buffers, at, step: inner, cap, floor };
                sum += spec.fallback_row(row, &params, known, &mut odd, &mut outputs);
                continue;
            };
            let result = finished.result();
            outputs.put_row(row, result.loss, result.log_sum_exp, result.largest_class);
            if result.loss.is_nan() || result.log_sum_exp.is_nan() {
                let mut classes = x.iter().step_by(inner).take(classes);
                let class = classes.position(|x| x.to_float().is_nan());
                spec.note_nan(row, class, &mut outputs);
            }
            let first = spec.shape.place(row, 0);
            let hessian = outputs.hessian.get_mut(first..).unwrap_or(&mut []);
            let of = Classes { first: 0, count: classes, at, step: inner, stream: spec.streams() };
            if join.is_some() && inner == 1 && cap == 0.0 {
                let buffers = buffers.part(at, classes);
                put_in_pieces(rows, &finished, buffers, Classes { at: [0, 0], ..of }, hessian);
            } else {
                put_classes(level, &finished, &mut buffers, of, (hessian, cap, floor), state);
            }
            sum += result.loss;
        }
        sum
    })
}

/// Logits that are read past the end of rows of few classes.
const OVERRUN: usize = 3;

/// A batch whose rows are converted a few at a time.
struct Windows<'a, 'o, 'r, 's, 'k, E: Element> {
    level: Level,
    spec: SoftmaxSpec<'a, E::Float>,
    buffers: Buffers<'o, E>,
    outputs: Outputs<'o, E::Float>,
    /// Rows of a range.
    most: usize,
    scratch: &'r mut Scratch<'s, E::Float>,
    /// The kernel of all ranges.
    state: &'r mut KernelState<'k, E::Float>,
}

impl<E: Element> Windows<'_, '_, '_, '_, '_, E> {
    #[inline(never)]
    fn rows(mut self) -> f64 {
        let Shape { outer, classes, logits_stride, gradient_stride, .. } = self.spec.shape;
        let strides = [logits_stride, gradient_stride];
        let mut sum = 0.0;
        for first in (0..outer).step_by(self.most) {
            let rows = self.most.min(outer - first);
            let at = strides.map(|stride| first * stride);
            let range = if strides == [classes; 2] {
                TileRange { slack: OVERRUN, ..TileRange::of(at, rows * classes) }
            } else {
                TileRange { rows, length: classes, at, strides, slack: OVERRUN }
            };
            let elements = first * classes..(first + rows) * classes;
            let dense = self.spec.dense().get(elements.clone()).unwrap_or(&[]);
            let spec = self.spec.part(first..first + rows, Shape::block(rows, classes, 1), dense);
            let outputs = self.outputs.part(first..first + rows, elements);
            let Self { level, ref mut buffers, ref mut scratch, ref mut state, .. } = self;
            sum += run_window((level, state), spec, buffers, range, scratch, outputs);
        }
        sum
    }

    #[inline(never)]
    fn columns(mut self) -> f64 {
        let Shape { outer, classes, inner, logits_stride, gradient_stride } = self.spec.shape;
        let (mut of_dense, mut of_hessian) =
            (TileBuffer::<E::Float>::new(), TileBuffer::<E::Float>::new());
        let mut sum = 0.0;
        for part in 0..outer {
            for position in (0..inner).step_by(self.most) {
                let count = self.most.min(inner - position);
                let first = part * inner + position;
                let place = |class| {
                    let start = (part * classes + class) * inner + position;
                    start..start + count
                };
                let all = self.spec.dense();
                let dense = &mut of_dense.0[..if all.is_empty() { 0 } else { classes * count }];
                for (class, column) in dense.chunks_mut(count).enumerate() {
                    column.copy_from_slice(all.get(place(class)).unwrap_or(&[]));
                }
                let wanted = if self.outputs.hessian.is_empty() { 0 } else { classes * count };
                let hessian = &mut of_hessian.0[..wanted];
                let range = TileRange {
                    rows: classes,
                    length: count,
                    at: [part * logits_stride + position, part * gradient_stride + position],
                    strides: [inner; 2],
                    slack: 0,
                };
                let shape = Shape::block(1, classes, count);
                let spec = self.spec.part(first..first + count, shape, dense);
                let outputs = self.outputs.part(first..first + count, 0..0);
                let outputs = Outputs { hessian: &mut *hessian, ..outputs };
                let Self { level, ref mut buffers, ref mut scratch, ref mut state, .. } = self;
                sum += run_window((level, state), spec, buffers, range, scratch, outputs);
                for (class, column) in hessian.chunks(count).enumerate() {
                    let places = self.outputs.hessian.get_mut(place(class));
                    places.unwrap_or(&mut []).copy_from_slice(column);
                }
            }
        }
        sum
    }
}

/// The rows of a range.
fn run_window<E: Element>(
    (level, state): (Level, &mut KernelState<'_, E::Float>),
    spec: SoftmaxSpec<'_, E::Float>,
    buffers: &mut Buffers<'_, E>,
    range: TileRange,
    scratch: &mut Scratch<'_, E::Float>,
    outputs: Outputs<'_, E::Float>,
) -> f64 {
    let Outputs { losses, log_sum_exp, predicted, hessian, convention, hessian_floor, not_finite } =
        outputs;
    let outputs = Outputs {
        losses,
        log_sum_exp,
        predicted,
        hessian: &mut *hessian,
        convention,
        hessian_floor,
        not_finite,
    };
    let floor = outputs.floor();
    let sum = spec.run_in(state, level, None, buffers.open(level, range, scratch), outputs);
    buffers.uncap_second(level, range, scratch, (hessian, floor));
    buffers.close(level, range, scratch);
    sum
}

#[cfg(any(feature = "half", feature = "quantised"))]
impl<E: Element> LogSumExpBatch<'_, E> {
    /// The sum of the results, for logits that must be converted or capped.
    pub(crate) fn run_converted(self, level: Level, join: Option<&dyn ForkJoin>) -> f64 {
        let Self { logits, shape, out } = self;
        let (buffers, spec) = (Buffers::loss(logits), SoftmaxSpec::without_targets(shape));
        let outputs = Outputs { log_sum_exp: &mut *out, ..Outputs::default() };
        SoftmaxBatch { buffers, spec, outputs }.run_converted(level, join);
        out.iter().map(|value| value.to_f64()).sum()
    }
}

// Parts of a batch's inputs and outputs.

impl<F: Float> SoftmaxSpec<'_, F> {
    /// Some rows, given their dense targets.
    fn part<'p>(&'p self, rows: Range<usize>, shape: Shape, dense: &'p [F]) -> SoftmaxSpec<'p, F> {
        let targets = match self.targets {
            SoftmaxTargets::Index(labels) => {
                let (labels, _) = labels.split_at(rows.start).1.split_at(rows.len());
                SoftmaxTargets::Index(labels)
            }
            SoftmaxTargets::Dense(_) => SoftmaxTargets::Dense(dense),
            SoftmaxTargets::MultiLabel(_, gradient) => SoftmaxTargets::MultiLabel(dense, gradient),
            SoftmaxTargets::Teacher(_, temperature) => SoftmaxTargets::Teacher(dense, temperature),
        };
        let first_row = self.first_row + rows.start;
        SoftmaxSpec { shape, targets, weights: self.weights.part(rows), first_row, ..*self }
    }
}

impl<F: Float> RowWeights<'_, F> {
    /// The factors and outputs of some rows, each with one loss.
    fn part(self, rows: Range<usize>) -> Self {
        Self {
            sample_weights: self.sample_weights.get(rows.clone()).unwrap_or(&[]),
            upstream: self.upstream.get(rows).unwrap_or(&[]),
            ..self
        }
    }
}

impl<F: Float> Outputs<'_, F> {
    /// The outputs of some rows, with the second derivatives at some places.
    fn part(&mut self, rows: Range<usize>, elements: Range<usize>) -> Outputs<'_, F> {
        Outputs {
            losses: self.losses.get_mut(rows.clone()).unwrap_or(&mut []),
            log_sum_exp: self.log_sum_exp.get_mut(rows.clone()).unwrap_or(&mut []),
            predicted: self.predicted.get_mut(rows).unwrap_or(&mut []),
            hessian: self.hessian.get_mut(elements).unwrap_or(&mut []),
            convention: self.convention,
            hessian_floor: self.hessian_floor,
            not_finite: self.not_finite,
        }
    }
}

impl Shape {
    /// `outer` blocks with few enough elements.
    fn block(outer: usize, classes: usize, inner: usize) -> Self {
        let stride = classes * inner;
        Self { outer, classes, inner, logits_stride: stride, gradient_stride: stride }
    }
}
