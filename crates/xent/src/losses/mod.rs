//! The losses. Code that they share is written once, below; each file has the rest of a loss.

mod likelihood;
mod sigmoid;
mod softmax;

pub use likelihood::{MultinomialLogistic, NegativeLogLikelihood};
pub use sigmoid::{LogisticLoss, MultiLabelSoftMargin, SigmoidCrossEntropy};
pub use softmax::{Distillation, MultiLabelSoftmax, SoftmaxCrossEntropy};

/// The methods of every loss: its reduction, and its calls. The loss needs a field `settings`, a constant
/// `PREDICTS` (whether its predicted classes are compared with labels), and methods `batch(buffers, shape,
/// targets, sample_weights)`, `ignored` and `has_class_weights`.
///
/// Methods that accept anything that converts to logits and targets convert these and call the trait
/// [`Loss`](crate::Loss), which is compiled once for each format.
macro_rules! common_methods {
    ($loss:ident) => {
        impl<F: xent_core::Float> $loss<'_, F> {
            /// Sets how the losses of the rows (or elements) are reduced.
            #[must_use]
            pub fn with_reduction(mut self, reduction: crate::Reduction) -> Self {
                self.settings.policy.reduction = reduction;
                self
            }

            /// Sets the divisor of a mean.
            #[must_use]
            pub fn with_mean_over(mut self, mean_over: crate::MeanOver) -> Self {
                self.settings.divide_by(mean_over);
                self
            }

            /// Sets the result of a mean over nothing. The default is
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
            /// [`Error::Input`] if the shapes do not fit together or a target is out of range; [`Error::Targets`]
            /// if the loss does not support these targets; [`Error::NotReduced`] with
            /// [`Reduction::None`](crate::Reduction::None); [`Error::NothingValid`] if the policy makes that an
            /// error.
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

            /// The reduced loss; its gradient is written to `grad`, in the order of the logits.
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

            /// The reduced loss; its gradient overwrites the logits.
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

            /// The usual call of a training loop: the reduced loss and, for a softmax with labels, the number of
            /// right rows ([`Pass::count_correct`]). The gradient is written to `grad`, in the order of the logits.
            /// Reports can be added: `epoch += report`.
            ///
            /// If you do not need the accuracy, [`loss_and_grad`](Self::loss_and_grad) is faster.
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

            /// [`train`](Self::train), with the gradient overwriting the logits.
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

            /// The reduced loss, and everything else that the pass asks for.
            ///
            /// # Errors
            /// [`Error::Input`] if the shapes do not fit together, a target is out of range, or the loss does not
            /// support an option of the pass; [`Error::Targets`] if it does not support these targets;
            /// [`Error::UpstreamOfRows`]; [`Error::HessianOfMean`]; [`Error::NothingValid`] if the policy makes
            /// that an error.
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

            /// The same; the gradient overwrites the logits.
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

            /// The divisor of the sum of the losses in [`Reduction::Mean`](crate::Reduction::Mean). For a batch
            /// that does not fit in memory, add up the divisors of its parts, then evaluate the parts with
            /// [`Reduction::Sum`](crate::Reduction::Sum) and a [`scale`](Pass::scale). (If you only need the loss,
            /// add up the parts' [reports](Report).)
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

            /// The counts of a batch, before it is reduced. For a batch that does not fit in memory, add up those
            /// of its parts and pass them to the [`policy`](Self::policy).
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

            /// The reduction of the losses.
            #[must_use]
            pub fn policy(&self) -> crate::Policy {
                self.settings.policy_for(self.has_class_weights(), self.ignored())
            }

            fn run<E: Element<Float = F>>(
                &self,
                buffers: Buffers<'_, E>,
                shape: xent_core::Shape,
                targets: Targets<'_, F>,
                mut pass: Pass<'_, E>,
            ) -> Result<Report, Error> {
                let not_finite = xent_core::NotFiniteRows::new();
                let judges = pass.counts_correct() && Self::PREDICTS;
                let mut room = pass.room(judges, &targets, shape.row_count());
                let batch = self.batch(buffers, shape, targets, pass.weights.sample_weights)?;
                let (policy, level) = (self.policy(), self.settings.level);
                let mut report = pass.reborrow(&mut room).run(policy, level, batch, &not_finite)?;
                pass.judge(judges, &room, &targets, self.ignored(), &mut report);
                Ok(report)
            }
        }

        impl<F: Float, E: Element<Float = F>> Loss<E> for $loss<'_, F> {
            fn evaluate(
                &self,
                logits: Logits<'_, E>,
                targets: Targets<'_, F>,
                mut pass: Pass<'_, E>,
            ) -> Result<Report, Error> {
                let buffers = logits.buffers(core::mem::take(&mut pass.gradient));
                self.run(buffers, logits.shape, targets, pass)
            }

            fn evaluate_in_place(
                &self,
                logits: LogitsMut<'_, E>,
                targets: Targets<'_, F>,
                pass: Pass<'_, E>,
            ) -> Result<Report, Error> {
                if !matches!(pass.gradient, xent_core::Gradient::None) {
                    return Err(Error::TwoGradients);
                }
                self.run(Buffers::in_place(logits.values), logits.shape, targets, pass)
            }

            fn counts(
                &self,
                logits: Logits<'_, E>,
                targets: Targets<'_, F>,
                sample_weights: &[F],
            ) -> Result<crate::BatchCounts, Error> {
                let buffers = logits.buffers(xent_core::Gradient::None);
                let batch = self.batch(buffers, logits.shape, targets, sample_weights)?;
                Pass::<E>::new().sample_weights(sample_weights).counts(batch)
            }

            fn policy(&self) -> crate::Policy {
                self.policy()
            }
        }
    };
}
pub(crate) use common_methods;
