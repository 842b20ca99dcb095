//! Losses of given probabilities.

use xent_core::{
    Buffers, Element, Error as InputError, Float, LikelihoodBatch, LikelihoodInput, Shape,
    SoftmaxOptions,
};

use super::common_methods;
use crate::pass::THREADS;
use crate::reduction::{LossKind, Settings};
use crate::{
    Error, IntoLogits, IntoLogitsMut, IntoTargets, Logits, LogitsMut, Loss, Pass, Preset, Report,
    Targets, Weights,
};

macro_rules! likelihood {
    ($(#[$doc:meta])* $loss:ident of $input:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default)]
        pub struct $loss<'w, F = f32> {
            class_weights: Weights<'w, F>,
            ignore_index: Option<i64>,
            settings: Settings,
        }

        impl<'w, F: Float> $loss<'w, F> {
            /// The mean over the rows (by class weights, see [`MeanOver::PyTorch`](crate::MeanOver::PyTorch)). No
            /// label is ignored, and a mean over nothing is zero
            /// ([`NothingValid::Zero`](crate::NothingValid::Zero); in PyTorch it is NaN).
            #[must_use]
            pub fn new() -> Self {
                Self::default()
            }

            /// With the defaults of another library.
            #[must_use]
            pub fn preset(preset: Preset) -> Self {
                let settings = Settings::of(preset, LossKind::Likelihood);
                Self { class_weights: Weights::default(), ignore_index: preset.ignore_index(), settings }
            }

            /// A non-negative weight for each class. A row whose label has weight zero has a loss and a gradient of
            /// exactly zero, whatever its input is: `0 * inf` is 0, and NaN does not count. (PyTorch has NaN.)
            /// Borrowed or owned ([`Weights`]).
            ///
            /// # Errors
            /// [`Error::Input`] if a weight is negative or not finite.
            pub fn with_class_weights(
                mut self,
                weights: impl Into<Weights<'w, F>>,
            ) -> Result<Self, Error> {
                self.class_weights = weights.into();
                let class_weights = &self.class_weights;
                SoftmaxOptions { class_weights, ..SoftmaxOptions::default() }.check()?;
                Ok(self)
            }

            /// Rows with this label have a loss and gradient of zero; it need not be a class.
            #[must_use]
            pub fn with_ignore_index(mut self, label: i64) -> Self {
                self.ignore_index = Some(label);
                self
            }

            const PREDICTS: bool = false;

            fn has_class_weights(&self) -> bool {
                !self.class_weights.is_empty()
            }

            fn ignored(&self) -> Option<i64> {
                self.ignore_index
            }

            fn batch<'a, E: Element<Float = F>>(
                &'a self,
                buffers: Buffers<'a, E>,
                shape: Shape,
                targets: Targets<'a, F>,
        sample_weights: &'a [F],
            ) -> Result<Result<LikelihoodBatch<'a, E>, InputError>, Error>
            {
                let Targets::Index(labels) = targets else {
                    return Err(Error::Targets { expected: "indices", found: targets.name() });
                };
                Ok(LikelihoodBatch::checked_on(
                    THREADS, buffers,
                    shape,
                    labels,
                    LikelihoodInput::$input,
                    xent_core::LikelihoodOptions {
                        class_weights: &self.class_weights,
                        ignore_index: self.ignore_index,
                    },
                    sample_weights,
                ))
            }
        }
        common_methods!($loss);
    };
}

likelihood! {
    /// Negative log-likelihood of log-probabilities: the loss of a row is `-w_y lp_y` (PyTorch's
    /// `NLLLoss`).
    ///
    /// If the log-probabilities came from a log-softmax,
    /// [`SoftmaxCrossEntropy`](crate::SoftmaxCrossEntropy) of its logits is more accurate.
    ///
    /// ```
    /// use xent::{Logits, NegativeLogLikelihood, Targets};
    ///
    /// let log_probabilities = [-0.5, -1.5, -2.0, -0.25];
    /// let loss = NegativeLogLikelihood::new();
    /// let value = loss.loss(Logits::new(&log_probabilities, 2)?, Targets::index(&[0_u8, 1]))?;
    /// assert_eq!(value, 0.375);
    /// # Ok::<(), xent::Error>(())
    /// ```
    NegativeLogLikelihood of LogProbabilities
}

likelihood! {
    /// Multinomial logistic loss of probabilities: the loss of a row is `-w_y ln max(p_y, 1e-20)`,
    /// and its gradient `-w_y / max(p_y, 1e-20)` at the label and zero elsewhere (Caffe's
    /// `MultinomialLogisticLoss`). [`Report::clamped`](crate::Report::clamped) counts the probabilities below
    /// 1e-20.
    ///
    /// ```
    /// use xent::{Logits, MultinomialLogistic, Targets};
    ///
    /// let loss = MultinomialLogistic::new();
    /// let mut grad = [0.0; 2];
    /// loss.loss_and_grad(Logits::new(&[0.5, 0.5], 2)?, Targets::index(&[0_u8]), &mut grad)?;
    /// assert_eq!(grad, [-2.0, 0.0]);
    /// # Ok::<(), xent::Error>(())
    /// ```
    MultinomialLogistic of Probabilities
}
