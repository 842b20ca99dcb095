//! The softmax losses.

use super::buffers::Buffers;
use super::format::{Element, Float};
use super::rows::{BatchCounts, Outputs, RowWeights};
use super::softmax_spec::{Kind, SoftmaxSpec};
use super::softmax_targets::{SoftmaxOptions, SoftmaxTargets};
use crate::batch::{Batch, CHUNK, ForkJoin, InTurn};
use crate::error::{Error, check_length};
use crate::kernel::sum::TILE;
use crate::level::Level;
use crate::shape::Shape;

/// Softmax cross-entropy of a batch of rows, with its gradient.
///
/// For logits `x` and target weights `q` (one-hot for an index) the loss of a row is `Σ q_c (ln Σ e^x - x_c)` and
/// its gradient `(Σ q) softmax(x)_c - q_c`. Both are within 4 ULP, plus one for each unit of distance between `x_c`
/// and the row's maximum, because the argument of its exponential was itself rounded. This holds even for a
/// confident row with a loss as small as 1e-40. A [scale](Self::with_scale) that is not a power of two adds one to
/// the gradient's bound. [`SoftmaxOptions`] has the losses that are derived from it.
///
/// A row with NaN has NaN as its loss and gradient. A logit of `-inf` means that the class is absent: its gradient
/// is exactly zero, unless it is the target. A single `+inf` has all of the probability. No row affects another.
///
/// ```
/// use xent_core::{Batch, Buffers, Level, SoftmaxBatch, SoftmaxTargets};
///
/// let logits = [2.0, 1.0, 0.0, 0.0, 3.0, 0.0_f32];
/// let mut gradient = [0.0; 6];
/// let sum = SoftmaxBatch::new(
///     Buffers::gradient(&logits, &mut gradient),
///     3,
///     SoftmaxTargets::Index((&[0_u8, 1]).into()),
/// )?
/// .run(Level::detect());
/// assert!((sum - (0.407606 + 0.094923)).abs() < 1e-5);
/// # Ok::<(), xent_core::Error>(())
/// ```
#[derive(Debug)]
pub struct SoftmaxBatch<'a, E: Element = f32> {
    pub(super) buffers: Buffers<'a, E>,
    pub(super) spec: SoftmaxSpec<'a, E::Float>,
    pub(super) outputs: Outputs<'a, E::Float>,
}

impl<'a, E: Element> SoftmaxBatch<'a, E> {
    /// The plain loss of contiguous rows. Checks all lengths and labels, so that running it cannot fail.
    ///
    /// # Errors
    /// [`Error::ZeroClasses`], [`Error::Ragged`], [`Error::Length`] or [`Error::Label`]; [`Error::Value`] if a
    /// dense target is negative or not finite.
    pub fn new(
        buffers: Buffers<'a, E>,
        classes: usize,
        targets: SoftmaxTargets<'a, E::Float>,
    ) -> Result<Self, Error> {
        let shape = Shape::rows_of(buffers.len(), classes)?;
        Self::with_options(buffers, shape, targets, SoftmaxOptions::default())
    }

    /// A loss with options. Checks all options, lengths and labels, so that running it cannot fail.
    ///
    /// # Errors
    /// [`Error::Option`], [`Error::Length`] or [`Error::Label`]; [`Error::Value`] if a weight or a dense target is
    /// negative or not finite.
    pub fn with_options(
        buffers: Buffers<'a, E>,
        shape: Shape,
        targets: SoftmaxTargets<'a, E::Float>,
        options: SoftmaxOptions<'a, E::Float>,
    ) -> Result<Self, Error> {
        Self::checked_on(&InTurn, buffers, shape, targets, options)
    }

    /// [`with_options`](Self::with_options), with labels and targets checked on several threads; the error does not
    /// depend on them.
    ///
    /// # Errors
    /// As [`with_options`](Self::with_options).
    pub fn checked_on(
        join: &dyn ForkJoin,
        buffers: Buffers<'a, E>,
        shape: Shape,
        targets: SoftmaxTargets<'a, E::Float>,
        options: SoftmaxOptions<'a, E::Float>,
    ) -> Result<Self, Error> {
        let shape = buffers.strides_of(shape);
        let spec = SoftmaxSpec::with_options(shape, targets, options)?;
        // A teacher's softmax needs contiguous classes.
        if spec.is_teacher() && !E::IS_FLOAT && shape.inner != 1 && shape.classes > TILE {
            let reason =
                "with a teacher, columns of more than 4096 classes have to be of f32 or f64";
            return Err(Error::Option { option: "format of the logits", reason });
        }
        let buffers = buffers.fit(&shape)?;
        let spec = spec.checked_on(join)?;
        Ok(Self { buffers, spec, outputs: Outputs::default() })
    }

    /// Sets a factor of the gradient (not of the loss): for a mean, one over the number of rows.
    #[must_use]
    pub fn with_scale(mut self, scale: f64) -> Self {
        self.spec.weights.scale = scale;
        self
    }

    /// Sets factors for the rows.
    ///
    /// # Errors
    /// [`Error::Length`] if a slice is not empty and does not have one for each row; [`Error::Value`] if a sample
    /// weight is not finite.
    pub fn with_weights(self, weights: RowWeights<'a, E::Float>) -> Result<Self, Error> {
        Ok(Self { spec: self.spec.with_weights(weights)?, ..self })
    }

    /// Also writes the loss of every row.
    ///
    /// # Errors
    /// [`Error::Length`] if there is not one place for each row.
    pub fn with_losses(mut self, losses: &'a mut [E::Float]) -> Result<Self, Error> {
        check_length("losses", self.spec.shape.row_count(), losses.len())?;
        self.outputs.losses = losses;
        Ok(self)
    }

    /// Also writes these results of every row.
    ///
    /// # Errors
    /// [`Error::Length`] if a slice is not empty and does not have one place for each row (for the Hessian: for
    /// each logit); [`Error::Option`] if the loss has no Hessian in that convention.
    pub fn with_outputs(mut self, outputs: Outputs<'a, E::Float>) -> Result<Self, Error> {
        let shape = &self.spec.shape;
        outputs.check(shape.row_count(), shape.row_count(), shape.elements())?;
        self.spec.options.check_hessian(&outputs, shape.classes)?;
        self.outputs = outputs;
        Ok(self)
    }

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
}

impl<E: Element> SoftmaxBatch<'_, E> {
    /// Whether its logits are capped.
    pub(crate) fn is_capped(&self) -> bool {
        self.spec.options.soft_cap != 0.0
    }
}

impl<F: Float> SoftmaxBatch<'_, F> {
    pub(crate) fn run_on(self, level: Level, join: Option<&dyn ForkJoin>) -> f64 {
        let Self { mut buffers, spec, outputs } = self;
        spec.run(level, join, buffers.all(), outputs)
    }
}

impl<E: Element> Batch for SoftmaxBatch<'_, E> {
    fn parts(&self) -> usize {
        self.spec.shape.outer
    }

    fn parts_per_chunk(&self) -> usize {
        self.spec.shape.blocks_per_chunk(CHUNK)
    }

    fn split_at(self, part: usize) -> (Self, Self) {
        let Self { buffers, spec, outputs } = self;
        let shape = spec.shape;
        let rows = part * shape.inner;
        let at = |stride| shape.offset(part, stride);
        let buffers = buffers.split_at(at(shape.logits_stride), at(shape.gradient_stride));
        let outputs = outputs.split_at(rows, rows, rows * shape.classes);
        let spec = spec.split_at(part);
        (
            Self { buffers: buffers.0, spec: spec.0, outputs: outputs.0 },
            Self { buffers: buffers.1, spec: spec.1, outputs: outputs.1 },
        )
    }

    fn run_chunk(self, level: Level) -> f64 {
        E::softmax(self, level, None)
    }

    fn pieces_per_chunk(&self) -> usize {
        // Rows with a weight for every class are rarely that long.
        let split = self.spec.kind() == Kind::Labels && !self.is_capped();
        if split { self.spec.shape.pieces_of_row(CHUNK) } else { 1 }
    }

    fn run_chunk_in_pieces(self, level: Level, join: &dyn ForkJoin) -> f64 {
        let join = (self.pieces_per_chunk() > 1).then_some(join);
        E::softmax(self, level, join)
    }
}
