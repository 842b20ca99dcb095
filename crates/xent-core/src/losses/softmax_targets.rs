//! The targets and options of the softmax losses, and their valid combinations.

use super::format::Float;
use super::rows::Outputs;
use crate::error::{Error, Values};
use crate::hessian::Hessian;
use crate::labels::Labels;

/// The targets that the softmax of each row is compared with.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum SoftmaxTargets<'a, F = f32> {
    /// The index of the one right class of each row.
    Index(Labels<'a>),
    /// A non-negative weight for every class of every row, in the order of the logits (without a stride). The
    /// weights of a row need not sum to one.
    Dense(&'a [F]),
    /// Labels, zero or positive, for every class of every row, in the order of the logits. Those of a row are
    /// divided by `M`, the number of them that are not zero. A row without any has no target.
    MultiLabel(&'a [F], MultiLabel),
    /// The logits of a teacher, in the order of the logits. The loss is `τ² KL(softmax(teacher / τ) ‖ softmax(x /
    /// τ))` for the temperature `τ` (G. Hinton et al., "Distilling the knowledge in a neural network", 2015).
    Teacher(&'a [F], f64),
}

/// Labels of any type.
impl<'a, F, L> From<L> for SoftmaxTargets<'a, F>
where
    L: Into<Labels<'a>>,
{
    fn from(labels: L) -> Self {
        Self::Index(labels.into())
    }
}

/// The gradient of multi-label softmax.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum MultiLabel {
    /// The gradient of the loss, `(Σ y / M) p - y / M`.
    #[default]
    Exact,
    /// The gradient of the Caffe Python layer, `p - [y ≠ 0] / M`, which ignores the size of the labels.
    Caffe,
}

/// The options of a softmax loss beyond the plain cross-entropy. The default is none.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SoftmaxOptions<'a, F = f32> {
    /// A non-negative weight for each class; empty for ones. Multiplies the (smoothed) target. Of a class of weight
    /// zero the term is exactly zero, even where the class is absent (`0 * inf` is 0); but rows that have no softmax
    /// (NaN, several `+inf`, or no finite logit) are NaN whatever their classes weigh.
    pub class_weights: &'a [F],
    /// `ε` in [0, 1]: the target becomes `(1 - ε) t + ε / C` (C. Szegedy et al., "Rethinking the
    /// Inception architecture", 2016, section 7).
    pub label_smoothing: f64,
    /// Rows with this label have a loss and gradient of zero. Index targets only.
    pub ignore_index: Option<i64>,
    /// `γ >= 0` of the focal loss `-(1 - p_y)^γ ln p_y` (T. Lin et al., "Focal loss for dense object
    /// detection", 2017). Index targets without smoothing only.
    pub focal_gamma: f64,
    /// `λ >= 0`: adds `λ lse²` to the loss of each row, times its sample weight (B. Zoph et al.,
    /// "ST-MoE", 2022).
    pub z_loss: f64,
    /// `cap > 0`: finite logits become `cap tanh(x / cap)`. Zero for none.
    pub soft_cap: f64,
    /// Whether a row without a target (multi-label with all labels zero) is NaN instead of zero.
    pub empty_is_nan: bool,
}

impl<F: Float> SoftmaxOptions<'_, F> {
    /// Checks what can be checked without a batch.
    ///
    /// # Errors
    /// [`Error::Option`].
    pub fn check(&self) -> Result<(), Error> {
        let refused = |option, reason| Err(Error::Option { option, reason });
        Values::ClassWeights.check_classes(self.class_weights)?;
        if !(0.0..=1.0).contains(&self.label_smoothing) {
            return refused("label smoothing", "expected a number from 0 to 1");
        }
        if !(self.focal_gamma.is_finite() && self.focal_gamma >= 0.0) {
            return refused("focal gamma", "expected a finite number that is not negative");
        }
        if !(self.z_loss.is_finite() && self.z_loss >= 0.0) {
            return refused("z-loss", "expected a finite factor that is not negative");
        }
        // As it is computed with: a cap that is rounded to zero would be none.
        let cap = rounded::<F>(self.soft_cap);
        if self.soft_cap != 0.0 && !(cap.is_finite() && cap > 0.0) {
            return refused(
                "soft cap",
                "expected a positive finite number of the format of the logits, or zero for none",
            );
        }
        if self.focal_gamma != 0.0 && self.label_smoothing != 0.0 {
            return refused(
                "focal gamma",
                "the focal loss is defined by the probability of the one right class; \
                 smoothed targets have several",
            );
        }
        Ok(())
    }

    /// Checks the options that depend on the targets.
    pub(super) fn check_targets(&self, targets: &SoftmaxTargets<'_, F>) -> Result<(), Error> {
        let refused = |option, reason| Err(Error::Option { option, reason });
        let index = matches!(targets, SoftmaxTargets::Index(_));
        if self.ignore_index.is_some() && !index {
            return refused(
                "ignore index",
                "only targets that are indices can be ignored by index",
            );
        }
        if self.focal_gamma != 0.0 && !index {
            return refused("focal gamma", "the focal loss needs the index of the one right class");
        }
        match targets {
            SoftmaxTargets::Teacher(_, temperature) => {
                if !(temperature.is_finite() && *temperature > 0.0) {
                    return refused("temperature", "expected a positive finite number");
                }
                // It is a factor of the logits: if it were zero, a masked class would be NaN.
                let inverse = rounded::<F>(1.0 / temperature);
                if !(inverse.is_finite() && inverse > 0.0) {
                    return refused("temperature", "the format of the logits has no inverse of it");
                }
                if self.label_smoothing != 0.0 {
                    return refused(
                        "label smoothing",
                        "a teacher's distribution is smoothed by its temperature",
                    );
                }
                if self.soft_cap != 0.0 || self.z_loss != 0.0 {
                    return refused(
                        "distillation",
                        "soft cap and z-loss are defined for logits without a temperature",
                    );
                }
            }
            SoftmaxTargets::MultiLabel(_, gradient) => self.check_multi_label(*gradient)?,
            SoftmaxTargets::Index(_) | SoftmaxTargets::Dense(_) => {}
        }
        Ok(())
    }

    /// Checks that multi-label softmax supports these options with that gradient.
    ///
    /// # Errors
    /// [`Error::Option`].
    pub fn check_multi_label(&self, gradient: MultiLabel) -> Result<(), Error> {
        let plain = self.label_smoothing == 0.0 && self.class_weights.is_empty();
        if gradient == MultiLabel::Exact || plain {
            return Ok(());
        }
        Err(Error::Option {
            option: "Caffe gradient",
            reason: "the layer that it is for has neither class weights nor label smoothing",
        })
    }

    pub(super) fn check_hessian(
        &self,
        outputs: &Outputs<'_, F>,
        classes: usize,
    ) -> Result<(), Error> {
        if outputs.hessian.is_empty() {
            return Ok(());
        }
        let is_plain = self.focal_gamma == 0.0 && self.soft_cap == 0.0 && self.z_loss == 0.0;
        let reason = if !is_plain && outputs.convention != Hessian::Exact {
            "the conventions of XGBoost and LightGBM are defined for the plain loss: ask for the exact one \
             with the focal loss, a soft cap or the z-loss, and for a floor"
        } else if classes < 2 && outputs.convention == Hessian::LightGbm {
            "the factor C / (C - 1) of LightGBM needs two classes"
        } else {
            return Ok(());
        };
        Err(Error::Option { option: "Hessian", reason })
    }
}

/// A number in the precision of the logits.
pub(super) fn rounded<F: Float>(value: f64) -> f64 {
    F::from_f64(value).to_f64()
}
