//! Categorical cross-entropy.

use xent_core::{Buffers, Level, SoftmaxBatch, SoftmaxTargets};

use crate::reduction::{Reduction, run};
use crate::{Error, Logits, LogitsMut, Targets};

/// Softmax (categorical) cross-entropy: the loss of a row is `-ln softmax(x)_y` for a target index
/// `y`, or `-Σ t_c ln softmax(x)_c` for dense targets `t`.
///
/// Within 4 ULP, plus one for each unit of distance between a logit and its row's largest; a
/// confident row keeps its relative accuracy. The gradient has the same bound. See
/// [`xent_core::SoftmaxBatch`] for what NaN and infinities do.
///
/// ```
/// use xent::{Logits, Reduction, SoftmaxCrossEntropy, Targets};
///
/// let x = [1.0, 2.0, 3.0, 4.0_f32];
/// let loss = SoftmaxCrossEntropy::new().with_reduction(Reduction::Sum);
/// let index = loss.loss(Logits::new(&x, 2)?, Targets::index(&[1_i64, 0]))?;
/// let dense = loss.loss(Logits::new(&x, 2)?, Targets::dense(&[0.0, 1.0, 1.0, 0.0]))?;
/// assert!((index - 1.6265233).abs() < 1e-6);
/// assert!((dense - index).abs() < 1e-6);
/// # Ok::<(), xent::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct SoftmaxCrossEntropy {
    reduction: Reduction,
    level: Level,
}

impl SoftmaxCrossEntropy {
    /// The mean over the rows, at the best level of the machine.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Reduces the losses of the rows this way.
    #[must_use]
    pub fn with_reduction(mut self, reduction: Reduction) -> Self {
        self.reduction = reduction;
        self
    }

    /// Uses this level instead of the best one.
    #[must_use]
    pub fn with_level(mut self, level: Level) -> Self {
        self.level = level;
        self
    }

    /// The reduced loss.
    ///
    /// # Errors
    /// [`Error::Input`] if the shapes do not fit together or a label is out of range;
    /// [`Error::NotReduced`] with [`Reduction::None`].
    pub fn loss(&self, logits: Logits<'_>, targets: Targets<'_>) -> Result<f64, Error> {
        self.reduced(Buffers::Loss(logits.values), logits.classes, targets)
    }

    /// The reduced loss; its gradient is written to `grad`, of the logits' shape.
    ///
    /// # Errors
    /// As [`loss`](Self::loss).
    pub fn loss_and_grad(
        &self,
        logits: Logits<'_>,
        targets: Targets<'_>,
        grad: &mut [f32],
    ) -> Result<f64, Error> {
        self.reduced(Buffers::Gradient(logits.values, grad), logits.classes, targets)
    }

    /// The reduced loss; its gradient takes the place of the logits.
    ///
    /// # Errors
    /// As [`loss`](Self::loss).
    pub fn loss_and_grad_in_place(
        &self,
        logits: LogitsMut<'_>,
        targets: Targets<'_>,
    ) -> Result<f64, Error> {
        self.reduced(Buffers::InPlace(logits.values), logits.classes, targets)
    }

    /// The loss of every row, unreduced, written to `losses`: shape `(rows,)`.
    ///
    /// # Errors
    /// [`Error::Input`] if the shapes do not fit together or a label is out of range.
    pub fn losses(
        &self,
        logits: Logits<'_>,
        targets: Targets<'_>,
        losses: &mut [f32],
    ) -> Result<(), Error> {
        let batch = batch(Buffers::Loss(logits.values), logits.classes, targets)?;
        run(batch.with_losses(losses)?, self.level);
        Ok(())
    }

    /// The loss of every row, unreduced, written to `losses`, and the gradient of the *reduction*
    /// to `grad`: with [`Reduction::None`] and [`Reduction::Sum`] each row's own.
    ///
    /// # Errors
    /// As [`losses`](Self::losses).
    pub fn losses_and_grad(
        &self,
        logits: Logits<'_>,
        targets: Targets<'_>,
        losses: &mut [f32],
        grad: &mut [f32],
    ) -> Result<(), Error> {
        let scale = self.reduction.scale(logits.rows());
        let batch = batch(Buffers::Gradient(logits.values, grad), logits.classes, targets)?;
        run(batch.with_scale(scale).with_losses(losses)?, self.level);
        Ok(())
    }

    fn reduced(
        &self,
        buffers: Buffers<'_>,
        classes: usize,
        targets: Targets<'_>,
    ) -> Result<f64, Error> {
        if self.reduction == Reduction::None {
            return Err(Error::NotReduced);
        }
        let scale = self.reduction.scale(buffers.len() / classes);
        let batch = batch(buffers, classes, targets)?.with_scale(scale);
        Ok(scale * run(batch, self.level))
    }
}

fn batch<'a>(
    buffers: Buffers<'a>,
    classes: usize,
    targets: Targets<'a>,
) -> Result<SoftmaxBatch<'a>, Error> {
    let targets = match targets {
        Targets::Index(labels) => SoftmaxTargets::Index(labels),
        Targets::Dense(weights) => SoftmaxTargets::Dense(weights),
    };
    Ok(SoftmaxBatch::new(buffers, classes, targets)?)
}
