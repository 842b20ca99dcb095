//! Softmax losses of logits that exist some rows at a time.

use super::buffers::Buffers;
use super::format::Float;
use super::rows::{BatchCounts, Outputs, RowWeights, check_optional};
use super::softmax::SoftmaxBatch;
use super::softmax_spec::SoftmaxSpec;
use super::softmax_targets::{SoftmaxOptions, SoftmaxTargets};
use crate::batch::{Batch, CHUNK, ForkJoin};
use crate::error::Error;
use crate::kernel::block::ROWS;
use crate::kernel::narrow::CLASSES;
use crate::kernel::row_task::rows_of_group;
use crate::kernel::sum::{LossSum, TILE};
use crate::level::Level;
use crate::shape::Shape;

/// The targets, options and weights of a [`SoftmaxBatch`] without its logits, for logits that exist some rows at a
/// time: where a layer makes them, or where they come from a file.
///
/// Everything is checked when it is built, before there are logits. The results of each row have the bits of the
/// whole batch, however the rows are cut.
///
/// ```
/// use xent_core::{Buffers, InTurn, Level, Outputs, SoftmaxOptions, SoftmaxRows, SoftmaxTargets};
///
/// let targets = SoftmaxTargets::Index((&[0_u8, 1]).into());
/// let rows = SoftmaxRows::checked_on(&InTurn, 2, 3, targets, SoftmaxOptions::default())?;
///
/// // One row after the other; the gradient overwrites its logits.
/// let mut losses = [0.0; 2];
/// let level = Level::detect();
/// let mut logits = [2.0, 1.0, 0.0_f32];
/// rows.run(&InTurn, level, 0, Buffers::in_place(&mut logits), &mut losses[..1], Outputs::default())?;
/// let next = [0.0, 3.0, 0.0_f32];
/// rows.run(&InTurn, level, 1, Buffers::loss(&next), &mut losses[1..], Outputs::default())?;
///
/// assert!((rows.sum(&losses)? - (0.407606 + 0.094923)).abs() < 1e-5);
/// assert!((logits[0] + 0.334759).abs() < 1e-5);
/// # Ok::<(), xent_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct SoftmaxRows<'a, F = f32> {
    spec: SoftmaxSpec<'a, F>,
}

impl<'a, F: Float> SoftmaxRows<'a, F> {
    /// Checks the options, and targets for that many rows and classes, on several threads.
    ///
    /// # Errors
    /// [`Error::ZeroClasses`], [`Error::TooLarge`], [`Error::Option`], [`Error::Length`] or [`Error::Label`];
    /// [`Error::Value`] if a weight or a dense target is negative or not finite.
    pub fn checked_on(
        join: &dyn ForkJoin,
        rows: usize,
        classes: usize,
        targets: SoftmaxTargets<'a, F>,
        options: SoftmaxOptions<'a, F>,
    ) -> Result<Self, Error> {
        let spec = SoftmaxSpec::with_options(Shape::rows(rows, classes)?, targets, options)?;
        Ok(Self { spec: spec.checked_on(join)? })
    }

    /// Sets factors for the rows.
    ///
    /// # Errors
    /// [`Error::Length`] if a slice is not empty and does not have one for each row; [`Error::Value`] if a sample
    /// weight is not finite.
    pub fn with_weights(self, weights: RowWeights<'a, F>) -> Result<Self, Error> {
        Ok(Self { spec: self.spec.with_weights(weights)? })
    }

    /// Sets a factor of the gradient (not of the loss): for a mean, one over the number of rows.
    #[must_use]
    pub fn with_scale(mut self, scale: f64) -> Self {
        self.spec.weights.scale = scale;
        self
    }
}

impl<F: Float> SoftmaxRows<'_, F> {
    /// The number and the weights of the valid rows: the possible divisors of a mean.
    #[must_use]
    pub fn counts(&self) -> BatchCounts {
        self.spec.counts()
    }

    /// The first row without a target, if there is one.
    #[must_use]
    pub fn first_empty_row(&self) -> Option<usize> {
        self.spec.first_empty_row()
    }

    /// Whether loss and gradient of a row are zero whatever its logits: its label is ignored, or its sample weight
    /// is zero.
    #[must_use]
    pub fn is_ignored(&self, row: usize) -> bool {
        let ignored = self.spec.options.ignore_index;
        let by_label = match self.spec.targets {
            SoftmaxTargets::Index(labels) => ignored.is_some() && labels.get(row) == ignored,
            _ => false,
        };
        by_label || self.spec.weights.sample_weight(row) == 0.0
    }

    /// The label of a row, if its targets are labels and it is not the ignored one.
    #[must_use]
    pub fn label(&self, row: usize) -> Option<usize> {
        let SoftmaxTargets::Index(labels) = self.spec.targets else { return None };
        let label = labels.get(row).filter(|label| Some(*label) != self.spec.options.ignore_index);
        label.and_then(|label| usize::try_from(label).ok())
    }

    /// The factor of the gradient of a row: the scale, times its sample weight and its upstream gradient.
    #[must_use]
    pub fn gradient_factor(&self, row: usize) -> f64 {
        let weights = &self.spec.weights;
        weights.scale * weights.sample_weight(row) * weights.upstream_of(row)
    }

    /// Computes contiguous rows, `first` and those that follow it: one for each place in `losses`, where the loss of
    /// each is written as it enters the sum. `outputs` has places for these rows alone.
    ///
    /// # Errors
    /// [`Error::Length`] if there are fewer rows, or logits, gradient or outputs are not for that many;
    /// [`Error::Option`] if the loss has no Hessian in that convention.
    pub fn run(
        &self,
        join: &dyn ForkJoin,
        level: Level,
        first: usize,
        buffers: Buffers<'_, F>,
        losses: &mut [f64],
        outputs: Outputs<'_, F>,
    ) -> Result<(), Error> {
        let (rows, all) = (losses.len(), self.spec.shape.row_count());
        if first.checked_add(rows).is_none_or(|end| end > all) {
            return Err(Error::Length {
                of: "losses",
                expected: all.saturating_sub(first),
                found: rows,
            });
        }
        let (_, spec) = self.spec.split_at(first);
        let (spec, _) = spec.split_at(rows);
        outputs.check(rows, rows, spec.shape.elements())?;
        spec.options.check_hessian(&outputs, spec.shape.classes)?;
        let buffers = buffers.fit(&spec.shape)?;
        run_part(SoftmaxBatch { buffers, spec, outputs }, join, level, losses);
        Ok(())
    }

    /// The sum of the losses of all rows, as [`run`](Self::run) wrote them: the bits that running the whole batch
    /// returns.
    ///
    /// # Errors
    /// [`Error::Length`] if there is not one for each row.
    pub fn sum(&self, losses: &[f64]) -> Result<f64, Error> {
        sum_of_rows(&self.spec.shape, losses)
    }
}

/// The most rows of a call of a kernel.
const ROWS_OF_CALL: usize = 8 * ROWS;

/// With fewer elements, a part is not worth waking another thread.
const WORTH_A_THREAD: usize = 4 * CHUNK;

fn run_part<F: Float>(
    batch: SoftmaxBatch<'_, F>,
    join: &dyn ForkJoin,
    level: Level,
    losses: &mut [f64],
) {
    let Shape { classes, .. } = batch.spec.shape;
    let rows = losses.len();
    let of_call = if classes > TILE { 1 } else { (CHUNK / classes).clamp(1, ROWS_OF_CALL) };
    if rows <= of_call {
        if let ([loss], true) = (&mut *losses, classes > TILE) {
            // Its loss enters the sum before it is rounded.
            *loss = batch.run_chunk_in_pieces(level, join);
            return;
        }
        let SoftmaxBatch { buffers, spec, mut outputs } = batch;
        let mut room = [F::default(); ROWS_OF_CALL];
        let wanted = core::mem::take(&mut outputs.losses);
        let outputs = Outputs { losses: &mut room[..rows], ..outputs };
        SoftmaxBatch { buffers, spec, outputs }.run_chunk(level);
        wanted.copy_from_slice(&room[..wanted.len()]);
        for (loss, rounded) in losses.iter_mut().zip(&room) {
            *loss = rounded.to_f64();
        }
        return;
    }
    let middle = rows.div_ceil(of_call) / 2 * of_call;
    let (first, second) = batch.split_at(middle);
    let (of_first, of_second) = losses.split_at_mut(middle);
    if rows * classes < WORTH_A_THREAD {
        run_part(first, join, level, of_first);
        run_part(second, join, level, of_second);
        return;
    }
    // Each of them is run once.
    let (mut first, mut second) = (Some((first, of_first)), Some((second, of_second)));
    let run = |part: &mut Option<(SoftmaxBatch<'_, F>, &mut [f64])>| {
        if let Some((batch, losses)) = part.take() {
            run_part(batch, join, level, losses);
        }
    };
    join.join(&mut || run(&mut first), &mut || run(&mut second));
}

/// The sum of the losses of all rows.
pub(super) fn sum_of_rows(shape: &Shape, losses: &[f64]) -> Result<f64, Error> {
    check_optional("losses", shape.row_count(), losses.len())?;
    Ok(sum_of_part(shape, losses))
}

/// By the tree of a batch ([`Batch::halves`]), and in a chunk in the order of its kernel.
fn sum_of_part(shape: &Shape, losses: &[f64]) -> f64 {
    let rows_of_chunk = shape.blocks_per_chunk(CHUNK);
    let chunks = losses.len().div_ceil(rows_of_chunk);
    if chunks > 1 {
        let (first, second) = losses.split_at(chunks / 2 * rows_of_chunk);
        return sum_of_part(shape, first) + sum_of_part(shape, second);
    }
    if shape.classes > TILE {
        return losses.iter().fold(0.0, |sum, loss| sum + loss);
    }
    let group = if shape.classes <= CLASSES { ROWS } else { rows_of_group(shape.classes) };
    let mut sum = LossSum::new();
    losses.chunks(group).for_each(|losses| sum.add(losses));
    sum.total()
}
