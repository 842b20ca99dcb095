//! The losses. What they have in common is written once, below; a file has what is its own.

mod likelihood;
mod sigmoid;
mod softmax;

pub use likelihood::{MultinomialLogistic, NegativeLogLikelihood};
pub use sigmoid::{LogisticLoss, MultiLabelSoftMargin, SigmoidCrossEntropy};
pub use softmax::{Distillation, MultiLabelSoftmax, SoftmaxCrossEntropy};

/// The methods of every loss: how it is reduced, and how it is called. The loss has a field
/// `settings`, and methods `batch(buffers, shape, targets)`, `ignored` and `has_class_weights`.
macro_rules! common_methods {
    ($loss:ident) => {
        impl<F: xent_core::Float> $loss<'_, F> {
            /// Reduces the losses of the rows (or elements) this way.
            #[must_use]
            pub fn with_reduction(mut self, reduction: crate::Reduction) -> Self {
                self.settings.policy.reduction = reduction;
                self
            }

            /// Divides by this for a mean.
            #[must_use]
            pub fn with_mean_over(mut self, mean_over: crate::MeanOver) -> Self {
                self.settings.divide_by(mean_over);
                self
            }

            /// Does this where a mean has nothing to divide by.
            #[must_use]
            pub fn with_nothing_valid(mut self, nothing_valid: crate::NothingValid) -> Self {
                self.settings.policy.nothing_valid = nothing_valid;
                self
            }

            /// Uses this level instead of the best one.
            #[must_use]
            pub fn with_level(mut self, level: crate::Level) -> Self {
                self.settings.level = level;
                self
            }

            /// The reduced loss.
            ///
            /// # Errors
            /// [`Error::Input`] if the shapes do not fit together or a target is out of range;
            /// [`Error::Targets`] if the loss has no such targets; [`Error::NotReduced`] with
            /// [`Reduction::None`](crate::Reduction::None); [`Error::NothingValid`] if that was to
            /// be an error.
            pub fn loss<E: xent_core::Element<Float = F>>(
                &self,
                logits: Logits<'_, E>,
                targets: Targets<'_, F>,
            ) -> Result<f64, Error> {
                self.check_reduced()?;
                self.evaluate(logits, targets, Pass::new())?.loss.ok_or(Error::NotReduced)
            }

            /// The reduced loss; its gradient is written to `grad`, where the logits are.
            ///
            /// # Errors
            /// As [`loss`](Self::loss).
            pub fn loss_and_grad<E: xent_core::Element<Float = F>>(
                &self,
                logits: Logits<'_, E>,
                targets: Targets<'_, F>,
                grad: &mut [E],
            ) -> Result<f64, Error> {
                self.check_reduced()?;
                let pass = Pass::new().grad(grad);
                self.evaluate(logits, targets, pass)?.loss.ok_or(Error::NotReduced)
            }

            /// The reduced loss; its gradient takes the place of the logits.
            ///
            /// # Errors
            /// As [`loss`](Self::loss).
            pub fn loss_and_grad_in_place<E: xent_core::Element<Float = F>>(
                &self,
                logits: LogitsMut<'_, E>,
                targets: Targets<'_, F>,
            ) -> Result<f64, Error> {
                self.check_reduced()?;
                self.evaluate_in_place(logits, targets, Pass::new())?.loss.ok_or(Error::NotReduced)
            }

            /// The reduced loss, and all that the pass asks for.
            ///
            /// # Errors
            /// [`Error::Input`] if the shapes do not fit together, a target is out of range, or the
            /// loss does not have what is asked for; [`Error::Targets`] if it has no such targets;
            /// [`Error::UpstreamOfRows`]; [`Error::NothingValid`] if that was to be an error.
            pub fn evaluate<E: xent_core::Element<Float = F>>(
                &self,
                logits: Logits<'_, E>,
                targets: Targets<'_, F>,
                mut pass: Pass<'_, E>,
            ) -> Result<Report, Error> {
                let not_finite = xent_core::NotFiniteRows::new();
                let mut inner = pass.reborrow();
                let buffers = inner.buffers(logits.values);
                let batch = self.batch(buffers, logits.shape, targets)?;
                let mut report =
                    inner.run(self.policy(), self.settings.level, batch, &not_finite)?;
                pass.judge(&targets, self.ignored(), &mut report);
                Ok(report)
            }

            /// The same; the gradient takes the place of the logits.
            ///
            /// # Errors
            /// As [`evaluate`](Self::evaluate); [`Error::TwoGradients`] if the pass asks for
            /// another gradient.
            pub fn evaluate_in_place<E: xent_core::Element<Float = F>>(
                &self,
                logits: LogitsMut<'_, E>,
                targets: Targets<'_, F>,
                mut pass: Pass<'_, E>,
            ) -> Result<Report, Error> {
                let not_finite = xent_core::NotFiniteRows::new();
                let inner = pass.reborrow();
                if !matches!(inner.gradient, crate::pass::Gradient::None) {
                    return Err(Error::TwoGradients);
                }
                let batch = self.batch(Buffers::InPlace(logits.values), logits.shape, targets)?;
                let mut report =
                    inner.run(self.policy(), self.settings.level, batch, &not_finite)?;
                pass.judge(&targets, self.ignored(), &mut report);
                Ok(report)
            }

            /// What [`Reduction::Mean`](crate::Reduction::Mean) divides the sum of the losses by:
            /// to be added up over the parts of a batch that does not fit in memory, whose parts
            /// are then evaluated with [`Reduction::Sum`](crate::Reduction::Sum) and a
            /// [`scale`](Pass::scale).
            ///
            /// # Errors
            /// As [`evaluate`](Self::evaluate).
            pub fn denominator<E: xent_core::Element<Float = F>>(
                &self,
                logits: Logits<'_, E>,
                targets: Targets<'_, F>,
                sample_weights: &[F],
            ) -> Result<f64, Error> {
                let counts = self.counts(logits, targets, sample_weights)?;
                Ok(self.policy().mean_over.divisor(&counts))
            }

            /// What is counted of a batch before it is reduced. Added up over the parts of a batch
            /// that does not fit in memory, it is what the [`policy`](Self::policy) divides.
            ///
            /// # Errors
            /// As [`evaluate`](Self::evaluate).
            pub fn counts<E: xent_core::Element<Float = F>>(
                &self,
                logits: Logits<'_, E>,
                targets: Targets<'_, F>,
                sample_weights: &[F],
            ) -> Result<crate::BatchCounts, Error> {
                let batch = self.batch(Buffers::Loss(logits.values), logits.shape, targets)?;
                Pass::<E>::new().sample_weights(sample_weights).counts(batch)
            }

            /// How the losses are reduced.
            #[must_use]
            pub fn policy(&self) -> crate::Policy {
                self.settings.policy_for(self.has_class_weights(), self.ignored())
            }

            fn check_reduced(&self) -> Result<(), Error> {
                if self.settings.policy.reduction == crate::Reduction::None {
                    return Err(Error::NotReduced);
                }
                Ok(())
            }
        }
    };
}
pub(crate) use common_methods;
