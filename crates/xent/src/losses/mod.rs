//! The losses. What they have in common is written once, below; a file has what is its own.

mod likelihood;
mod sigmoid;
mod softmax;

pub use likelihood::{MultinomialLogistic, NegativeLogLikelihood};
pub use sigmoid::{LogisticLoss, MultiLabelSoftMargin, SigmoidCrossEntropy};
pub use softmax::{Distillation, MultiLabelSoftmax, SoftmaxCrossEntropy};

/// The methods of every loss: how it is reduced, and how it is called. The loss has a field
/// `settings`, a constant `PREDICTS` (whether its predicted classes are compared with labels), and methods
/// `batch(buffers, shape, targets)`, `ignored` and `has_class_weights`.
///
/// What is called with anything that can be read as logits and targets converts them, and calls the trait
/// [`Loss`](crate::Loss), which is compiled once for a format.
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

            /// Does this where a mean has nothing to divide by. The default is
            /// [`NothingValid::Zero`](crate::NothingValid::Zero).
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
            pub fn loss<'l, 't, L: IntoLogits<'l>>(
                &self,
                logits: L,
                targets: impl IntoTargets<'t, F>,
            ) -> Result<f64, Error>
            where
                L::Element: Element<Float = F>,
            {
                Loss::loss(self, logits.into_logits()?, targets.into_targets()?)
            }

            /// The reduced loss; its gradient is written to `grad`, where the logits are.
            ///
            /// # Errors
            /// As [`loss`](Self::loss).
            pub fn loss_and_grad<'l, 't, L: IntoLogits<'l>>(
                &self,
                logits: L,
                targets: impl IntoTargets<'t, F>,
                grad: &mut [L::Element],
            ) -> Result<f64, Error>
            where
                L::Element: Element<Float = F>,
            {
                Loss::loss_and_grad(self, logits.into_logits()?, targets.into_targets()?, grad)
            }

            /// The reduced loss; its gradient takes the place of the logits.
            ///
            /// # Errors
            /// As [`loss`](Self::loss).
            pub fn loss_and_grad_in_place<'l, 't, L: IntoLogitsMut<'l>>(
                &self,
                logits: L,
                targets: impl IntoTargets<'t, F>,
            ) -> Result<f64, Error>
            where
                L::Element: Element<Float = F>,
            {
                let (logits, targets) = (logits.into_logits_mut()?, targets.into_targets()?);
                Loss::loss_and_grad_in_place(self, logits, targets)
            }

            /// What a training loop wants of a batch: the reduced loss and, of a softmax with labels,
            /// how many rows are right ([`Pass::count_correct`]). The gradient is written to `grad`,
            /// where the logits are. Reports are added up: `epoch += report`.
            ///
            /// Where nobody looks at the accuracy, [`loss_and_grad`](Self::loss_and_grad) is faster.
            ///
            /// # Errors
            /// As [`loss`](Self::loss).
            #[cfg(feature = "alloc")]
            pub fn train<'l, 't, L: IntoLogits<'l>>(
                &self,
                logits: L,
                targets: impl IntoTargets<'t, F>,
                grad: &mut [L::Element],
            ) -> Result<Report, Error>
            where
                L::Element: Element<Float = F>,
            {
                Loss::train(self, logits.into_logits()?, targets.into_targets()?, grad)
            }

            /// [`train`](Self::train) whose gradient takes the place of the logits.
            ///
            /// # Errors
            /// As [`loss`](Self::loss).
            #[cfg(feature = "alloc")]
            pub fn train_in_place<'l, 't, L: IntoLogitsMut<'l>>(
                &self,
                logits: L,
                targets: impl IntoTargets<'t, F>,
            ) -> Result<Report, Error>
            where
                L::Element: Element<Float = F>,
            {
                Loss::train_in_place(self, logits.into_logits_mut()?, targets.into_targets()?)
            }

            /// The reduced loss, and all that the pass asks for.
            ///
            /// # Errors
            /// [`Error::Input`] if the shapes do not fit together, a target is out of range, or the
            /// loss does not have what is asked for; [`Error::Targets`] if it has no such targets;
            /// [`Error::UpstreamOfRows`]; [`Error::HessianOfMean`]; [`Error::NothingValid`] if that
            /// was to be an error.
            pub fn evaluate<'l, 't, L: IntoLogits<'l>>(
                &self,
                logits: L,
                targets: impl IntoTargets<'t, F>,
                pass: Pass<'_, L::Element>,
            ) -> Result<Report, Error>
            where
                L::Element: Element<Float = F>,
            {
                Loss::evaluate(self, logits.into_logits()?, targets.into_targets()?, pass)
            }

            /// The same; the gradient takes the place of the logits.
            ///
            /// # Errors
            /// As [`evaluate`](Self::evaluate); [`Error::TwoGradients`] if the pass asks for
            /// another gradient.
            pub fn evaluate_in_place<'l, 't, L: IntoLogitsMut<'l>>(
                &self,
                logits: L,
                targets: impl IntoTargets<'t, F>,
                pass: Pass<'_, L::Element>,
            ) -> Result<Report, Error>
            where
                L::Element: Element<Float = F>,
            {
                let (logits, targets) = (logits.into_logits_mut()?, targets.into_targets()?);
                Loss::evaluate_in_place(self, logits, targets, pass)
            }

            /// What [`Reduction::Mean`](crate::Reduction::Mean) divides the sum of the losses by:
            /// to be added up over the parts of a batch that does not fit in memory, whose parts
            /// are then evaluated with [`Reduction::Sum`](crate::Reduction::Sum) and a
            /// [`scale`](Pass::scale). (For the loss of all parts alone, add up their
            /// [reports](Report).)
            ///
            /// # Errors
            /// As [`evaluate`](Self::evaluate).
            pub fn denominator<'l, 't, L: IntoLogits<'l>>(
                &self,
                logits: L,
                targets: impl IntoTargets<'t, F>,
                sample_weights: &[F],
            ) -> Result<f64, Error>
            where
                L::Element: Element<Float = F>,
            {
                let (logits, targets) = (logits.into_logits()?, targets.into_targets()?);
                Loss::denominator(self, logits, targets, sample_weights)
            }

            /// What is counted of a batch before it is reduced. Added up over the parts of a batch
            /// that does not fit in memory, it is what the [`policy`](Self::policy) divides.
            ///
            /// # Errors
            /// As [`evaluate`](Self::evaluate).
            pub fn counts<'l, 't, L: IntoLogits<'l>>(
                &self,
                logits: L,
                targets: impl IntoTargets<'t, F>,
                sample_weights: &[F],
            ) -> Result<crate::BatchCounts, Error>
            where
                L::Element: Element<Float = F>,
            {
                let (logits, targets) = (logits.into_logits()?, targets.into_targets()?);
                Loss::counts(self, logits, targets, sample_weights)
            }

            /// How the losses are reduced.
            #[must_use]
            pub fn policy(&self) -> crate::Policy {
                self.settings.policy_for(self.has_class_weights(), self.ignored())
            }
        }

        impl<F: Float, E: Element<Float = F>> Loss<E> for $loss<'_, F> {
            fn evaluate(
                &self,
                logits: Logits<'_, E>,
                targets: Targets<'_, F>,
                mut pass: Pass<'_, E>,
            ) -> Result<Report, Error> {
                let not_finite = xent_core::NotFiniteRows::new();
                let judges = pass.counts_correct() && Self::PREDICTS;
                let mut room = pass.room(judges, &targets, logits.rows());
                let mut inner = pass.reborrow(&mut room);
                let buffers = inner.buffers(logits.values);
                let batch = self.batch(buffers, logits.shape, targets)?;
                let mut report =
                    inner.run(self.policy(), self.settings.level, batch, &not_finite)?;
                pass.judge(judges, &room, &targets, self.ignored(), &mut report);
                Ok(report)
            }

            fn evaluate_in_place(
                &self,
                logits: LogitsMut<'_, E>,
                targets: Targets<'_, F>,
                mut pass: Pass<'_, E>,
            ) -> Result<Report, Error> {
                let not_finite = xent_core::NotFiniteRows::new();
                let judges = pass.counts_correct() && Self::PREDICTS;
                let mut room = pass.room(judges, &targets, logits.rows());
                let inner = pass.reborrow(&mut room);
                if !matches!(inner.gradient, crate::pass::Gradient::None) {
                    return Err(Error::TwoGradients);
                }
                let batch = self.batch(Buffers::InPlace(logits.values), logits.shape, targets)?;
                let mut report =
                    inner.run(self.policy(), self.settings.level, batch, &not_finite)?;
                pass.judge(judges, &room, &targets, self.ignored(), &mut report);
                Ok(report)
            }

            fn counts(
                &self,
                logits: Logits<'_, E>,
                targets: Targets<'_, F>,
                sample_weights: &[F],
            ) -> Result<crate::BatchCounts, Error> {
                let batch = self.batch(Buffers::Loss(logits.values), logits.shape, targets)?;
                Pass::<E>::new().sample_weights(sample_weights).counts(batch)
            }

            fn policy(&self) -> crate::Policy {
                self.policy()
            }
        }
    };
}
pub(crate) use common_methods;
