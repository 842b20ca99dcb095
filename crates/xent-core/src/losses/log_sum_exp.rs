//! The log-sum-exp of a batch of rows.

use super::format::{Element, Float};
use super::quantisation::Quantisation;
use super::rows::Outputs;
use super::softmax_spec::SoftmaxSpec;
use crate::batch::{Batch, CHUNK, ForkJoin};
use crate::error::{Error, check_length};
use crate::kernel::long_row::LongRows;
use crate::kernel::narrow;
use crate::kernel::row_buffers::RowBuffers;
use crate::level::Level;
use crate::shape::Shape;

/// `ln Σ e^x` of every row of a batch, without overflow; NaN for a row with NaN.
///
/// A row of more than 32 classes whose class axis is the last has the bits of
/// [`log_sum_exp`](crate::log_sum_exp). The error is relative to the larger of `|max x|` and `ln Σ
/// e^(x - max x)`, the two terms that it is the sum of.
///
/// ```
/// use xent_core::{Batch, Level, LogSumExpBatch, Shape};
///
/// let x = [0.0, 0.0, 1000.0, 1000.0_f32];
/// let mut out = [0.0; 2];
/// LogSumExpBatch::new(&x, Shape::rows(2, 2)?, &mut out)?.run(Level::detect());
/// assert_eq!(out[1], 1000.0 + core::f32::consts::LN_2);
/// # Ok::<(), xent_core::Error>(())
/// ```
#[derive(Debug)]
pub struct LogSumExpBatch<'a, E: Element = f32> {
    pub(super) logits: &'a [E],
    pub(super) shape: Shape,
    pub(super) out: &'a mut [E::Float],
}

impl<'a, E: Element> LogSumExpBatch<'a, E> {
    /// The logits, and a place for the result of each row. Running the batch returns the sum of the
    /// results.
    ///
    /// # Errors
    /// [`Error::Length`] if the numbers of logits and places do not fit the shape.
    pub fn new(logits: &'a [E], shape: Shape, out: &'a mut [E::Float]) -> Result<Self, Error> {
        Quantisation::check(E::INTEGERS, None)?;
        let logits = &logits[..shape.check(logits.len())?];
        check_length("log-sum-exp", shape.row_count(), out.len())?;
        Ok(Self { logits, shape, out })
    }
}

impl<F: Float> LogSumExpBatch<'_, F> {
    fn by_rows(&mut self, rows: LongRows<'_>) {
        let Shape { classes, logits_stride, .. } = self.shape;
        for (row, place) in self.out.iter_mut().enumerate() {
            let start = row * logits_stride;
            *place = rows.log_sum_exp(self.logits.get(start..start + classes).unwrap_or(&[]));
        }
    }

    pub(crate) fn run_on(mut self, level: Level, join: Option<&dyn ForkJoin>) -> f64 {
        if self.shape.inner != 1 || self.shape.classes <= narrow::CLASSES {
            let spec = SoftmaxSpec::without_targets(self.shape);
            let outputs = Outputs { log_sum_exp: &mut *self.out, ..Outputs::default() };
            spec.run(level, None, RowBuffers::loss(self.logits), outputs);
        } else {
            self.by_rows(LongRows { level, join });
        }
        self.out.iter().map(|value| value.to_f64()).sum()
    }
}

impl<E: Element> Batch for LogSumExpBatch<'_, E> {
    fn parts(&self) -> usize {
        self.shape.outer
    }

    fn parts_per_chunk(&self) -> usize {
        self.shape.blocks_per_chunk(CHUNK)
    }

    fn split_at(self, part: usize) -> (Self, Self) {
        let Self { logits, shape, out } = self;
        let (a, b) = logits.split_at(shape.offset(part, shape.logits_stride));
        let (out_a, out_b) = out.split_at_mut(part * shape.inner);
        (
            Self { logits: a, shape: shape.with_outer(part), out: out_a },
            Self { logits: b, shape: shape.with_outer(shape.outer - part), out: out_b },
        )
    }

    fn run_chunk(self, level: Level) -> f64 {
        E::log_sum_exp(self, level, None)
    }

    fn pieces_per_chunk(&self) -> usize {
        self.shape.pieces_of_row(CHUNK)
    }

    fn run_chunk_in_pieces(self, level: Level, join: &dyn ForkJoin) -> f64 {
        let join = (self.pieces_per_chunk() > 1).then_some(join);
        E::log_sum_exp(self, level, join)
    }
}
