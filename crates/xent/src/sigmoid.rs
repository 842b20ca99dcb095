//! Binary cross-entropy.

use xent_core::{Buffers, Level, SigmoidBatch};

use crate::reduction::{Reduction, run};
use crate::{Error, Logits, LogitsMut, Targets};

/// Sigmoid (binary) cross-entropy: every logit is a question of its own, with the loss
/// `-y ln σ(x) - (1 - y) ln σ(-x)` for a target `y` in [0, 1].
///
/// Neither the loss nor the gradient overflows or cancels, however large the logit. The mean
/// divides by the number of elements.
///
/// ```
/// use xent::{Logits, SigmoidCrossEntropy, Targets};
///
/// let x = [0.0, 100.0, -100.0, 1.0_f32];
/// let mut grad = [0.0; 4];
/// let targets = Targets::dense(&[1.0, 1.0, 0.0, 0.0]);
/// let value = SigmoidCrossEntropy::new().loss_and_grad(Logits::new(&x, 2)?, targets, &mut grad)?;
/// assert!((value - 0.5016022).abs() < 1e-6);
/// assert_eq!(grad[0], -0.125);
/// # Ok::<(), xent::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct SigmoidCrossEntropy {
    reduction: Reduction,
    level: Level,
}

impl SigmoidCrossEntropy {
    /// The mean over the elements, at the best level of the machine.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Reduces the losses of the elements this way.
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
    /// [`Error::Input`] if the shapes do not fit together, [`Error::IndexTargets`] for targets that
    /// are not dense, [`Error::NotReduced`] with [`Reduction::None`].
    pub fn loss(&self, logits: Logits<'_>, targets: Targets<'_>) -> Result<f64, Error> {
        self.reduced(Buffers::Loss(logits.values), targets)
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
        self.reduced(Buffers::Gradient(logits.values, grad), targets)
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
        self.reduced(Buffers::InPlace(logits.values), targets)
    }

    /// The loss of every element, unreduced, written to `losses`, of the logits' shape.
    ///
    /// # Errors
    /// As [`loss`](Self::loss), but for any reduction.
    pub fn losses(
        &self,
        logits: Logits<'_>,
        targets: Targets<'_>,
        losses: &mut [f32],
    ) -> Result<(), Error> {
        let batch = SigmoidBatch::new(Buffers::Loss(logits.values), dense(targets)?)?;
        run(batch.with_losses(losses)?, self.level);
        Ok(())
    }

    fn reduced(&self, buffers: Buffers<'_>, targets: Targets<'_>) -> Result<f64, Error> {
        if self.reduction == Reduction::None {
            return Err(Error::NotReduced);
        }
        let scale = self.reduction.scale(buffers.len());
        let batch = SigmoidBatch::new(buffers, dense(targets)?)?.with_scale(scale);
        Ok(scale * run(batch, self.level))
    }
}

fn dense(targets: Targets<'_>) -> Result<&[f32], Error> {
    match targets {
        Targets::Dense(values) => Ok(values),
        Targets::Index(_) => Err(Error::IndexTargets),
    }
}
