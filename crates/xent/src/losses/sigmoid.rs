//! Any number of independent classes, or one of two.

use xent_core::{
    Buffers, Element, Error as InputError, Float, Shape, SigmoidBatch, SigmoidInput,
    SigmoidOptions, SigmoidTargets,
};

use super::common_methods;
use crate::pass::THREADS;
use crate::reduction::{LossKind, Settings};
use crate::{
    Error, IntoLogits, IntoLogitsMut, IntoTargets, Logits, LogitsMut, Loss, Pass, Preset, Report,
    Targets, Weights,
};

/// Options that every sigmoid loss may have.
macro_rules! sigmoid_options {
    ($loss:ident) => {
        impl<'w, F: Float> $loss<'w, F> {
            /// A non-negative weight for the elements of each class. Those of a class of weight zero have a loss and
            /// a gradient of exactly zero, whatever their inputs are: `0 * inf` is 0, and NaN does not count.
            /// Borrowed or owned ([`Weights`]).
            ///
            /// # Errors
            /// [`Error::Input`] if a weight is negative or not finite.
            pub fn with_class_weights(
                mut self,
                weights: impl Into<Weights<'w, F>>,
            ) -> Result<Self, Error> {
                self.class_weights = weights.into();
                self.checked()
            }

            /// A non-negative weight for the positive part of the loss of each class, or one for all classes,
            /// borrowed or owned ([`Weights`]): above one it favours recall, below one precision.
            ///
            /// # Errors
            /// [`Error::Input`] if a weight is negative or not finite.
            pub fn with_pos_weight(
                mut self,
                weights: impl Into<Weights<'w, F>>,
            ) -> Result<Self, Error> {
                self.pos_weight = weights.into();
                self.checked()
            }

            /// The target becomes `(1 - ε) y + ε / 2` (Keras).
            ///
            /// # Errors
            /// [`Error::Input`] if `ε` is not in [0, 1].
            pub fn with_label_smoothing(mut self, epsilon: f64) -> Result<Self, Error> {
                self.options.label_smoothing = epsilon;
                self.checked()
            }

            /// Elements with this target have a loss and gradient of zero. Only for multi-hot and binary index
            /// targets.
            #[must_use]
            pub fn with_ignore_index(mut self, target: i64) -> Self {
                self.options.ignore_index = Some(target);
                self
            }

            fn checked(self) -> Result<Self, Error> {
                self.options().check()?;
                Ok(self)
            }

            fn options(&self) -> SigmoidOptions<'_, F> {
                SigmoidOptions {
                    class_weights: &self.class_weights,
                    pos_weight: &self.pos_weight,
                    ..self.options
                }
            }

            const PREDICTS: bool = false;

            fn has_class_weights(&self) -> bool {
                !self.class_weights.is_empty()
            }

            fn ignored(&self) -> Option<i64> {
                self.options.ignore_index
            }

            fn batch<'a, E: Element<Float = F>>(
                &'a self,
                buffers: Buffers<'a, E>,
                shape: Shape,
                targets: Targets<'a, F>,
                sample_weights: &'a [F],
            ) -> Result<Result<SigmoidBatch<'a, E>, InputError>, Error> {
                let targets = match targets {
                    Targets::Dense(values) => SigmoidTargets::Dense(values),
                    Targets::MultiHot(labels) => SigmoidTargets::MultiHot(labels),
                    // With one logit a row, the class index is the target.
                    Targets::Index(labels)
                        if shape.classes() == 1 || labels.len() == shape.elements() =>
                    {
                        SigmoidTargets::MultiHot(labels)
                    }
                    Targets::Positives { offsets, classes } => {
                        SigmoidTargets::Positives { offsets, classes }
                    }
                    other => {
                        let expected = "a target for every logit (dense, multi-hot or lists of \
                                        positive classes)";
                        return Err(Error::Targets { expected, found: other.name() });
                    }
                };
                Ok(SigmoidBatch::checked_on(
                    THREADS,
                    buffers,
                    shape,
                    targets,
                    self.options(),
                    sample_weights,
                ))
            }
        }
    };
}

/// Sigmoid (binary) cross-entropy: every logit is an independent yes/no question, with the loss `-w_c (q_c y ln
/// σ(x) + (1 - y) ln σ(-x))` for a target `y` in [0, 1], an element weight `w` and a `pos_weight` `q`.
///
/// Neither the loss nor the gradient overflows or cancels, however large the logit. The mean
/// divides by the number of elements. Integer targets are 0 or 1 for each logit. A report has no accuracy of it:
/// compare the sign of each logit with its target, or see [`predict`](crate::predict).
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
#[derive(Clone, Debug, Default)]
pub struct SigmoidCrossEntropy<'w, F = f32> {
    options: SigmoidOptions<'w, F>,
    class_weights: Weights<'w, F>,
    pos_weight: Weights<'w, F>,
    settings: Settings,
}

impl<F: Float> SigmoidCrossEntropy<'_, F> {
    /// The mean over the elements, at the best level of the machine. Nothing is ignored, and a mean over nothing is
    /// zero ([`NothingValid::Zero`](crate::NothingValid::Zero); in PyTorch it is NaN).
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// With the defaults of another library.
    #[must_use]
    pub fn preset(preset: Preset) -> Self {
        Self { settings: Settings::of(preset, LossKind::Elements), ..Self::default() }
    }

    /// The focal loss `α_t (1 - p_t)^γ` times the cross-entropy (T. Lin et al., "Focal loss for
    /// dense object detection", 2017), with `p_t = p y + (1 - p) (1 - y)` and, if there is an alpha,
    /// `α_t = α y + (1 - α) (1 - y)`.
    ///
    /// # Errors
    /// [`Error::Input`] if gamma is negative or not finite, or alpha is not in [0, 1].
    pub fn with_focal(mut self, gamma: f64, alpha: Option<f64>) -> Result<Self, Error> {
        self.options.focal_gamma = gamma;
        self.options.focal_alpha = alpha;
        self.checked()
    }
}
sigmoid_options!(SigmoidCrossEntropy);
common_methods!(SigmoidCrossEntropy);

/// Multi-label soft margin: the loss of a row is the mean over its classes of the sigmoid
/// cross-entropy (PyTorch's `multilabel_soft_margin_loss`).
///
/// ```
/// use xent::{Logits, MultiLabelSoftMargin, Pass, Reduction, Targets};
///
/// let loss = MultiLabelSoftMargin::new().with_reduction(Reduction::None);
/// let mut losses = [0.0];
/// let logits = Logits::new(&[0.0, 100.0_f32], 2)?;
/// loss.evaluate(logits, Targets::dense(&[1.0, 1.0]), Pass::new().losses(&mut losses))?;
/// assert!((losses[0] - core::f32::consts::LN_2 / 2.0).abs() < 1e-6);
/// # Ok::<(), xent::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct MultiLabelSoftMargin<'w, F = f32> {
    options: SigmoidOptions<'w, F>,
    class_weights: Weights<'w, F>,
    pos_weight: Weights<'w, F>,
    settings: Settings,
}

impl<F: Float> Default for MultiLabelSoftMargin<'_, F> {
    fn default() -> Self {
        let options = SigmoidOptions { mean_over_classes: true, ..SigmoidOptions::default() };
        let (class_weights, pos_weight) = (Weights::default(), Weights::default());
        Self { options, class_weights, pos_weight, settings: Settings::default() }
    }
}

impl<F: Float> MultiLabelSoftMargin<'_, F> {
    /// The mean over the rows, at the best level of the machine. Nothing is ignored, and a mean over nothing is
    /// zero ([`NothingValid::Zero`](crate::NothingValid::Zero); in PyTorch it is NaN).
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}
sigmoid_options!(MultiLabelSoftMargin);
common_methods!(MultiLabelSoftMargin);

/// Logistic loss of probabilities, without an activation inside: `-y ln p - (1 - y) ln(1 - p)`
/// (PyTorch's `BCELoss`).
///
/// Logarithms are clamped at -100, and the gradient is `(p - y) / max(p (1 - p), 1e-12)`, as in PyTorch. A
/// probability outside [0, 1] is an error, unless its target is ignored. scikit-learn's `log_loss` is the same
/// between 0 and 1, but moves probabilities of 0 and 1 by the machine epsilon of their format: a wrong one costs
/// 36.04 in f64 and 15.94 in f32 there, and 100 here. [`Report::clamped`](crate::Report::clamped) counts the
/// clamped probabilities. If the probabilities came from a sigmoid, [`SigmoidCrossEntropy`] of its logits is more
/// accurate.
///
/// ```
/// use xent::{Logits, LogisticLoss, Targets};
///
/// let loss = LogisticLoss::new();
/// let value = loss.loss(Logits::new(&[0.25, 1.0], 2)?, Targets::dense(&[0.0, 1.0]))?;
/// assert!((value + 0.75_f64.ln() / 2.0).abs() < 1e-7);
/// assert!(loss.loss(Logits::new(&[1.5], 1)?, Targets::dense(&[1.0])).is_err());
/// # Ok::<(), xent::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct LogisticLoss<'w, F = f32> {
    options: SigmoidOptions<'w, F>,
    class_weights: Weights<'w, F>,
    pos_weight: Weights<'w, F>,
    settings: Settings,
}

impl<F: Float> Default for LogisticLoss<'_, F> {
    fn default() -> Self {
        let input = SigmoidInput::Probabilities;
        let options = SigmoidOptions { input, ..SigmoidOptions::default() };
        let (class_weights, pos_weight) = (Weights::default(), Weights::default());
        Self { options, class_weights, pos_weight, settings: Settings::default() }
    }
}

impl<F: Float> LogisticLoss<'_, F> {
    /// The mean over the elements, at the best level of the machine. Nothing is ignored, and a mean over nothing is
    /// zero ([`NothingValid::Zero`](crate::NothingValid::Zero); in PyTorch it is NaN).
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// With the defaults of another library.
    #[must_use]
    pub fn preset(preset: Preset) -> Self {
        Self { settings: Settings::of(preset, LossKind::Elements), ..Self::default() }
    }
}
sigmoid_options!(LogisticLoss);
common_methods!(LogisticLoss);
