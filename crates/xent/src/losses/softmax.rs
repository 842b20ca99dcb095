//! One of many classes.

use xent_core::{
    Buffers, Element, Error as InputError, Float, MultiLabel, Shape, SoftmaxBatch, SoftmaxOptions,
    SoftmaxTargets,
};

use super::common_methods;
use crate::pass::THREADS;
use crate::reduction::{LossKind, Settings};
use crate::{
    Error, IntoLogits, IntoLogitsMut, IntoTargets, Logits, LogitsMut, Loss, NothingValid, Pass,
    Preset, Report, Targets, Weights,
};

/// Options of every softmax loss. `$cannot` lists those that this loss does not support.
macro_rules! softmax_options {
    ($loss:ident) => {
        impl<'w, F: Float> $loss<'w, F> {
            /// A non-negative weight for each class, which multiplies its (smoothed) target. Of a class of weight
            /// zero the term is exactly zero, even where its logit is `-inf` (`0 * inf` is 0); but a row that has no
            /// softmax (NaN, several `+inf`, no finite logit) is NaN whatever its classes weigh: give it a sample
            /// weight of zero, or a label that is ignored.
            /// Borrowed or owned ([`Weights`]), in the format of the computation: f32, unless the logits are f64.
            ///
            /// # Errors
            /// [`Error::Input`] if a weight is negative or not finite, or does not go with the
            /// options before.
            pub fn with_class_weights(
                mut self,
                weights: impl Into<Weights<'w, F>>,
            ) -> Result<Self, Error> {
                self.class_weights = weights.into();
                self.checked()
            }

            /// Adds the z-loss `λ lse²` to the loss of each row, where `lse` is its log-sum-exp: it keeps logits
            /// from drifting (B. Zoph et al., "ST-MoE", 2022).
            ///
            /// # Errors
            /// [`Error::Input`] if the factor is negative or not finite.
            pub fn with_z_loss(mut self, factor: f64) -> Result<Self, Error> {
                self.options.z_loss = factor;
                self.checked()
            }

            /// Caps the logits softly: they become `cap tanh(x / cap)` (Gemma Team, "Gemma 2", 2024). A logit of
            /// `-inf` stays absent; a finite mask such as -1e30 becomes `-cap`.
            ///
            /// # Errors
            /// [`Error::Input`] if the cap is not positive and finite.
            pub fn with_soft_cap(mut self, cap: f64) -> Result<Self, Error> {
                if !(cap.is_finite() && cap > 0.0) {
                    let reason = "expected a positive finite number";
                    return Err(InputError::Option { option: "soft cap", reason }.into());
                }
                self.options.soft_cap = cap;
                self.checked()
            }

            /// Smooths the labels: the target becomes `(1 - ε) t + ε / C`, as in PyTorch, Keras and TensorFlow (C.
            /// Szegedy et al., "Rethinking the Inception architecture", 2016).
            ///
            /// # Errors
            /// [`Error::Input`] if `ε` is not in [0, 1], or does not go with the options before.
            pub fn with_label_smoothing(mut self, epsilon: f64) -> Result<Self, Error> {
                self.options.label_smoothing = epsilon;
                self.checked()
            }

            fn checked(self) -> Result<Self, Error> {
                self.check()?;
                Ok(self)
            }
        }
    };
}

/// Softmax (categorical) cross-entropy: the loss of a row is `-ln softmax(x)_y` for a target index
/// `y`, or `-Σ t_c ln softmax(x)_c` for dense targets `t`.
///
/// With class weights `w` and label smoothing `ε` it is `Σ w_c ((1 - ε) t_c + ε / C) (-ln
/// softmax(x)_c)`; for index targets the mean divides by the class weights of the labels. With a
/// focal gamma it is `-w_y (1 - p_y)^γ ln p_y`.
///
/// The error is at most 4 ULP, plus one for each unit of distance between a logit and its row's largest, for the
/// loss and for the gradient. A confident row keeps its relative accuracy. [`xent_core::SoftmaxBatch`] describes
/// the results for NaN and infinities.
///
/// As the field of a struct it is `SoftmaxCrossEntropy<'static>`, with weights given as a `Vec`.
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
///
/// let balanced = loss.with_class_weights(&[0.5, 2.0])?.with_label_smoothing(0.1)?;
/// assert!(balanced.with_focal_gamma(2.0).is_err());
/// # Ok::<(), xent::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct SoftmaxCrossEntropy<'w, F = f32> {
    options: SoftmaxOptions<'w, F>,
    class_weights: Weights<'w, F>,
    pub(crate) settings: Settings,
}

impl<'w, F: Float> SoftmaxCrossEntropy<'w, F> {
    /// The mean over the rows (by class weights, see [`MeanOver::PyTorch`](crate::MeanOver::PyTorch)), at the best
    /// level of the machine. Unlike in PyTorch, no label is ignored, and a mean over nothing is zero
    /// ([`NothingValid::Zero`]).
    ///
    /// PyTorch ignores the label -100, and a mean over nothing is NaN:
    /// [`SoftmaxCrossEntropy::preset`]`(Preset::PyTorch)`.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// With the defaults of another library.
    #[must_use]
    pub fn preset(preset: Preset) -> Self {
        let options =
            SoftmaxOptions { ignore_index: preset.ignore_index(), ..SoftmaxOptions::default() };
        Self { options, settings: Settings::of(preset, LossKind::Softmax), ..Self::default() }
    }

    /// Megatron's label smoothing: `ε` is divided among the *other* `C - 1` classes. It equals the usual one with
    /// `ε C / (C - 1)`.
    ///
    /// # Errors
    /// As [`with_label_smoothing`](Self::with_label_smoothing), for the resulting `ε`.
    pub fn with_label_smoothing_of_others(
        self,
        epsilon: f64,
        classes: usize,
    ) -> Result<Self, Error> {
        let classes = classes as f64;
        self.with_label_smoothing(epsilon * classes / (classes - 1.0))
    }

    /// Rows with this label have a loss and gradient of zero; it need not be a class. Only for index targets: dense
    /// targets are rejected, unless the label is a preset's default.
    #[must_use]
    pub fn with_ignore_index(mut self, label: i64) -> Self {
        self.options.ignore_index = Some(label);
        self.settings.ignores_by_default = false;
        self
    }

    /// The focal loss `-(1 - p_y)^γ ln p_y` (T. Lin et al., "Focal loss for dense object detection", 2017). Only
    /// for index targets.
    ///
    /// # Errors
    /// [`Error::Input`] if gamma is negative or not finite, or together with label smoothing.
    pub fn with_focal_gamma(mut self, gamma: f64) -> Result<Self, Error> {
        self.options.focal_gamma = gamma;
        self.checked()
    }

    fn check(&self) -> Result<(), InputError> {
        self.options().check()
    }

    pub(crate) fn options(&self) -> SoftmaxOptions<'_, F> {
        SoftmaxOptions { class_weights: &self.class_weights, ..self.options }
    }

    const PREDICTS: bool = true;

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
        _: &'a [F],
    ) -> Result<Result<SoftmaxBatch<'a, E>, InputError>, Error> {
        let mut options = self.options();
        let targets = match targets {
            Targets::Index(labels) => SoftmaxTargets::Index(labels),
            Targets::Dense(weights) => {
                // A preset's default does not apply to dense targets; an explicit one is rejected.
                if self.settings.ignores_by_default {
                    options.ignore_index = None;
                }
                SoftmaxTargets::Dense(weights)
            }
            other => {
                let expected = "indices or dense targets";
                return Err(Error::Targets { expected, found: other.name() });
            }
        };
        Ok(SoftmaxBatch::checked_on(THREADS, buffers, shape, targets, options))
    }
}
softmax_options!(SoftmaxCrossEntropy);
common_methods!(SoftmaxCrossEntropy);

/// Multi-label softmax with the scale factor 1/M: the loss of a row is `(1 / M) Σ y_c (-ln softmax(x)_c)`, where
/// `M` is the number of its labels `y` that are not zero.
///
/// Labels are zero or one, or positive numbers (to balance classes). The gradient is the exact one, `(Σ y / M) p -
/// y / M`; [`with_caffe_gradient`](Self::with_caffe_gradient) selects Caffe's. A row without a label is handled by
/// [`NothingValid`].
///
/// ```
/// use xent::{Logits, MultiLabelSoftmax, Targets};
///
/// let x = [2.0, 1.0, 0.0_f32];
/// let loss = MultiLabelSoftmax::new();
/// let value = loss.loss(Logits::new(&x, 3)?, Targets::dense(&[1.0, 1.0, 0.0]))?;
/// assert!((value - (0.407606 + 1.407606) / 2.0).abs() < 1e-6);
/// # Ok::<(), xent::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct MultiLabelSoftmax<'w, F = f32> {
    options: SoftmaxOptions<'w, F>,
    class_weights: Weights<'w, F>,
    gradient: MultiLabel,
    settings: Settings,
}

impl<'w, F: Float> MultiLabelSoftmax<'w, F> {
    /// The mean over the rows, at the best level of the machine. A mean over nothing is zero
    /// ([`NothingValid::Zero`]), and so is a row without a label.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Uses the gradient of the Caffe Python layer, `p - [y ≠ 0] / M`, which ignores the size of the labels: it is
    /// exact only if all labels are zero or one.
    ///
    /// # Errors
    /// [`Error::Input`] with class weights or label smoothing, which Caffe's layer does not support.
    pub fn with_caffe_gradient(mut self) -> Result<Self, Error> {
        self.gradient = MultiLabel::Caffe;
        self.checked()
    }

    fn check(&self) -> Result<(), InputError> {
        let options = self.options();
        options.check()?;
        options.check_multi_label(self.gradient)
    }

    fn options(&self) -> SoftmaxOptions<'_, F> {
        SoftmaxOptions { class_weights: &self.class_weights, ..self.options }
    }

    const PREDICTS: bool = false;

    fn has_class_weights(&self) -> bool {
        !self.class_weights.is_empty()
    }

    fn ignored(&self) -> Option<i64> {
        None
    }

    fn batch<'a, E: Element<Float = F>>(
        &'a self,
        buffers: Buffers<'a, E>,
        shape: Shape,
        targets: Targets<'a, F>,
        _: &'a [F],
    ) -> Result<Result<SoftmaxBatch<'a, E>, InputError>, Error> {
        let Targets::Dense(labels) = targets else {
            let expected = "dense targets, zero for the classes that a row does not have";
            return Err(Error::Targets { expected, found: targets.name() });
        };
        let mut options = self.options();
        options.empty_is_nan = self.settings.policy.nothing_valid == NothingValid::Nan;
        let targets = SoftmaxTargets::MultiLabel(labels, self.gradient);
        Ok(SoftmaxBatch::checked_on(THREADS, buffers, shape, targets, options))
    }
}
softmax_options!(MultiLabelSoftmax);
common_methods!(MultiLabelSoftmax);

/// Distillation of a teacher: the loss of a row is `τ² KL(softmax(teacher / τ) ‖ softmax(x / τ))`,
/// both from logits in one pass (G. Hinton et al., "Distilling the knowledge in a neural network",
/// 2015). The gradient is `τ (softmax(x / τ) - softmax(teacher / τ))`.
///
/// The Kullback-Leibler divergence is a difference of two terms, which cancel if both distributions agree: its
/// error is relative to the cross-entropy. With class weights `w` it is `τ² Σ w_c q_c (ln q_c - ln p_c)`.
///
/// ```
/// use xent::{Distillation, Logits, Targets};
///
/// let (student, teacher) = ([1.0, 0.0, -1.0_f32], [3.0, 0.0, -3.0_f32]);
/// let loss = Distillation::new(2.0)?;
/// let value = loss.loss(Logits::new(&student, 3)?, Targets::teacher(&teacher))?;
/// assert!((value - 0.741771).abs() < 1e-6);
/// assert_eq!(loss.loss(Logits::new(&teacher, 3)?, Targets::teacher(&teacher))?, 0.0);
/// # Ok::<(), xent::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Distillation<'w, F = f32> {
    class_weights: Weights<'w, F>,
    temperature: f64,
    settings: Settings,
}

impl<'w, F: Float> Distillation<'w, F> {
    /// The mean over the rows, with the temperature `τ`; a mean over no rows is zero ([`NothingValid::Zero`]).
    ///
    /// # Errors
    /// [`Error::Input`] if it is not positive and finite.
    pub fn new(temperature: f64) -> Result<Self, Error> {
        if !(temperature.is_finite() && temperature > 0.0) {
            let reason = "expected a positive finite number";
            return Err(InputError::Option { option: "temperature", reason }.into());
        }
        let (class_weights, settings) = (Weights::default(), Settings::default());
        Ok(Self { class_weights, temperature, settings })
    }

    /// A non-negative weight for each class, which multiplies the teacher's probability: borrowed or owned
    /// ([`Weights`]).
    ///
    /// # Errors
    /// [`Error::Input`] if a weight is negative or not finite.
    pub fn with_class_weights(mut self, weights: impl Into<Weights<'w, F>>) -> Result<Self, Error> {
        self.class_weights = weights.into();
        self.options().check()?;
        Ok(self)
    }

    fn options(&self) -> SoftmaxOptions<'_, F> {
        SoftmaxOptions { class_weights: &self.class_weights, ..SoftmaxOptions::default() }
    }

    const PREDICTS: bool = false;

    fn has_class_weights(&self) -> bool {
        !self.class_weights.is_empty()
    }

    fn ignored(&self) -> Option<i64> {
        None
    }

    fn batch<'a, E: Element<Float = F>>(
        &'a self,
        buffers: Buffers<'a, E>,
        shape: Shape,
        targets: Targets<'a, F>,
        _: &'a [F],
    ) -> Result<Result<SoftmaxBatch<'a, E>, InputError>, Error> {
        let Targets::Teacher(logits) = targets else {
            let expected = "a teacher's logits";
            return Err(Error::Targets { expected, found: targets.name() });
        };
        let targets = SoftmaxTargets::Teacher(logits, self.temperature);
        Ok(SoftmaxBatch::checked_on(THREADS, buffers, shape, targets, self.options()))
    }
}
common_methods!(Distillation);
