//! A trait for all losses.

use xent_core::Element;
use xent_core::reduction::{Policy, Reduction};

use crate::{BatchCounts, Error, Logits, LogitsMut, Pass, Report, Targets};

/// A loss of logits of a format: every loss of this crate implements it, and yours can, too.
///
/// It is object-safe, so a program can choose its loss at run time. The losses also have inherent methods of the
/// same names, which accept anything that converts to logits and targets; the methods here take [`Logits`] and
/// [`Targets`].
///
/// ```
/// use xent::{Error, Logits, Loss, Pass, SigmoidCrossEntropy, SoftmaxCrossEntropy, Targets};
///
/// fn choose(exclusive: bool) -> Box<dyn Loss<f32>> {
///     if exclusive {
///         Box::new(SoftmaxCrossEntropy::new())
///     } else {
///         Box::new(SigmoidCrossEntropy::new())
///     }
/// }
///
/// let (x, y) = ([2.0, 1.0, 0.0], [1.0, 0.0, 0.0]);
/// for (exclusive, expected) in [(true, 0.407606), (false, 0.711112)] {
///     let loss = choose(exclusive);
///     let mut grad = [0.0; 3];
///     let value = loss.loss_and_grad(Logits::new(&x, 3)?, Targets::dense(&y), &mut grad)?;
///     assert!((value - expected).abs() < 1e-6);
/// }
/// # Ok::<(), Error>(())
/// ```
pub trait Loss<E: Element = f32> {
    /// The reduced loss, and everything else that the pass asks for.
    ///
    /// # Errors
    /// [`Error::Input`] if the shapes do not fit together, a target is out of range, or the loss does not support
    /// an option of the pass; [`Error::Targets`] if it does not support these targets; [`Error::UpstreamOfRows`];
    /// [`Error::HessianOfMean`]; [`Error::NothingValid`] if the policy makes that an error.
    fn evaluate(
        &self,
        logits: Logits<'_, E>,
        targets: Targets<'_, E::Float>,
        pass: Pass<'_, E>,
    ) -> Result<Report, Error>;

    /// The same; the gradient overwrites the logits.
    ///
    /// # Errors
    /// As [`evaluate`](Self::evaluate); [`Error::TwoGradients`] if the pass asks for another gradient.
    fn evaluate_in_place(
        &self,
        logits: LogitsMut<'_, E>,
        targets: Targets<'_, E::Float>,
        pass: Pass<'_, E>,
    ) -> Result<Report, Error>;

    /// The counts of a batch, before it is reduced.
    ///
    /// # Errors
    /// As [`evaluate`](Self::evaluate).
    fn counts(
        &self,
        logits: Logits<'_, E>,
        targets: Targets<'_, E::Float>,
        sample_weights: &[E::Float],
    ) -> Result<BatchCounts, Error>;

    /// The reduction of the losses.
    fn policy(&self) -> Policy;

    /// The reduced loss.
    ///
    /// # Errors
    /// As [`evaluate`](Self::evaluate); [`Error::NotReduced`] with [`Reduction::None`].
    fn loss(&self, logits: Logits<'_, E>, targets: Targets<'_, E::Float>) -> Result<f64, Error> {
        check_reduced(self.policy())?;
        Ok(self.evaluate(logits, targets, Pass::new())?.loss)
    }

    /// The reduced loss; its gradient is written to `grad`, in the order of the logits.
    ///
    /// # Errors
    /// As [`loss`](Self::loss).
    fn loss_and_grad(
        &self,
        logits: Logits<'_, E>,
        targets: Targets<'_, E::Float>,
        grad: &mut [E],
    ) -> Result<f64, Error> {
        check_reduced(self.policy())?;
        Ok(self.evaluate(logits, targets, Pass::new().grad(grad))?.loss)
    }

    /// The reduced loss; its gradient overwrites the logits.
    ///
    /// # Errors
    /// As [`loss`](Self::loss).
    fn loss_and_grad_in_place(
        &self,
        logits: LogitsMut<'_, E>,
        targets: Targets<'_, E::Float>,
    ) -> Result<f64, Error> {
        check_reduced(self.policy())?;
        Ok(self.evaluate_in_place(logits, targets, Pass::new())?.loss)
    }

    /// The reduced loss and, for a softmax with labels, the number of right rows; its gradient is written to
    /// `grad`, in the order of the logits.
    ///
    /// # Errors
    /// As [`loss`](Self::loss).
    #[cfg(feature = "alloc")]
    fn train(
        &self,
        logits: Logits<'_, E>,
        targets: Targets<'_, E::Float>,
        grad: &mut [E],
    ) -> Result<Report, Error> {
        check_reduced(self.policy())?;
        self.evaluate(logits, targets, Pass::new().grad(grad).count_correct())
    }

    /// The same; the gradient overwrites the logits.
    ///
    /// # Errors
    /// As [`loss`](Self::loss).
    #[cfg(feature = "alloc")]
    fn train_in_place(
        &self,
        logits: LogitsMut<'_, E>,
        targets: Targets<'_, E::Float>,
    ) -> Result<Report, Error> {
        check_reduced(self.policy())?;
        self.evaluate_in_place(logits, targets, Pass::new().count_correct())
    }

    /// The divisor of the sum of the losses in [`Reduction::Mean`].
    ///
    /// # Errors
    /// As [`evaluate`](Self::evaluate).
    fn denominator(
        &self,
        logits: Logits<'_, E>,
        targets: Targets<'_, E::Float>,
        sample_weights: &[E::Float],
    ) -> Result<f64, Error> {
        let counts = self.counts(logits, targets, sample_weights)?;
        Ok(self.policy().mean_over.divisor(&counts))
    }
}

fn check_reduced(policy: Policy) -> Result<(), Error> {
    if policy.reduction == Reduction::None { Err(Error::NotReduced) } else { Ok(()) }
}
