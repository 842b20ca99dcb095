//! `BinaryCrossEntropyLoss`, by burn's names.

use burn::config::Config;
use burn::tensor::{DType, Device, Tensor};
use xent::{Error, LogisticLoss, Reduction, SigmoidCrossEntropy};

use crate::cross_entropy::cast;
use crate::{LossExt, Targets};

/// Options of a [`BinaryCrossEntropyLoss`]: those of `burn::nn::loss::BinaryCrossEntropyLossConfig`, and more.
///
/// ```
/// use burn::tensor::{Device, Int, Tensor};
/// use xent_burn::BinaryCrossEntropyLossConfig;
///
/// let device = Device::flex();
/// let loss = BinaryCrossEntropyLossConfig::new().with_logits(true).with_pos_weight(Some(vec![3.0])).init(&device);
/// let logits = Tensor::<2>::from_floats([[0.0, 100.0], [-100.0, 0.0]], &device);
/// let targets = Tensor::<2, Int>::from_ints([[1, 1], [0, 0]], &device);
/// let value: f32 = loss.forward(logits, targets).into_scalar();
/// assert!((value - std::f32::consts::LN_2).abs() < 1e-6);
/// ```
#[derive(Config, Debug)]
pub struct BinaryCrossEntropyLossConfig {
    /// A weight for the elements of each class (the last axis), not negative. (In burn weights of a tensor with one axis
    /// are those of the labels 0 and 1; give it an axis of one class and a `pos_weight`.)
    pub weights: Option<Vec<f32>>,
    /// Label smoothing `ε` from 0 to 1. As in burn, targets become `(1 - ε) y + ε / classes` for tensors of two and more
    /// axes, `(1 - ε) y + ε / 2` for those of one.
    pub smoothing: Option<f32>,
    /// Whether inputs are logits; otherwise they are probabilities.
    #[config(default = false)]
    pub logits: bool,
    /// A weight for the positive part of each class, or one for all (not in burn).
    pub pos_weight: Option<Vec<f32>>,
    /// Focal loss with this γ (not in burn); for logits.
    pub focal_gamma: Option<f64>,
    /// The weight α of targets of one in the focal loss, 1 - α that of zeros (not in burn).
    pub focal_alpha: Option<f64>,
}

impl BinaryCrossEntropyLossConfig {
    /// The loss. (Its device is that of the logits; the argument is burn's.)
    ///
    /// # Panics
    /// If an option is out of range, or does not go with the others.
    #[must_use]
    pub fn init(&self, _device: &Device) -> BinaryCrossEntropyLoss {
        let loss = BinaryCrossEntropyLoss { config: self.clone() };
        // Errors of options are those of xent.
        let built = loss
            .sigmoid::<f32>(Reduction::Mean)
            .and(loss.logistic::<f32>(Reduction::Mean).map(drop));
        built.unwrap_or_else(|error| panic!("xent: {error}"));
        if let Some(epsilon) = self.smoothing {
            assert!(
                (0.0..=1.0).contains(&epsilon),
                "xent: label smoothing: expected a number from 0 to 1, found {epsilon}"
            );
        }
        assert!(
            self.focal_gamma.is_some() || self.focal_alpha.is_none(),
            "xent: focal alpha needs a focal gamma"
        );
        assert!(
            self.logits || self.focal_gamma.is_none(),
            "xent: the focal loss is for logits: set `logits` to true and leave the sigmoid out of the network"
        );
        loss
    }
}

/// Sigmoid (binary) cross-entropy, in place of `burn::nn::loss::BinaryCrossEntropyLoss`; built by
/// [`BinaryCrossEntropyLossConfig`].
#[derive(Clone, Debug)]
pub struct BinaryCrossEntropyLoss {
    config: BinaryCrossEntropyLossConfig,
}

impl BinaryCrossEntropyLoss {
    /// The mean over the elements: shape `[1]`, of f64 for logits of f64 and otherwise of f32.
    ///
    /// * `logits`: shape `[rows]` or `[.., classes]`, f32, f64, bf16 or f16.
    /// * `targets`: of the same shape; integers 0 and 1, or floats from 0 to 1.
    ///
    /// # Panics
    /// If a target or a probability is not from 0 to 1, or the shapes do not fit together.
    #[must_use]
    pub fn forward<const D: usize>(
        &self,
        logits: Tensor<D>,
        targets: impl Into<Targets>,
    ) -> Tensor<1> {
        self.reduced(Reduction::Mean, logits, targets.into())
    }

    /// The loss of every element, in the shape of the logits.
    ///
    /// # Panics
    /// As [`forward`](Self::forward).
    #[must_use]
    pub fn forward_no_reduction<const D: usize>(
        &self,
        logits: Tensor<D>,
        targets: impl Into<Targets>,
    ) -> Tensor<D> {
        let dims = logits.dims();
        self.reduced(Reduction::None, logits, targets.into()).reshape(dims)
    }

    fn reduced<const D: usize>(
        &self,
        reduction: Reduction,
        logits: Tensor<D>,
        targets: Targets,
    ) -> Tensor<1> {
        targets.check(&logits.dims(), true);
        let is_f64 = logits.dtype() == DType::F64;
        let targets = match self.config.smoothing {
            Some(epsilon) => {
                let classes = if D > 1 { logits.dims()[D - 1] } else { 2 };
                targets.smoothed(epsilon, classes, if is_f64 { DType::F64 } else { DType::F32 })
            }
            None => targets,
        };
        let built = match (is_f64, self.config.logits) {
            (false, true) => {
                self.sigmoid::<f32>(reduction).map(|loss| loss.forward(logits, targets))
            }
            (true, true) => {
                self.sigmoid::<f64>(reduction).map(|loss| loss.forward(logits, targets))
            }
            (false, false) => {
                self.logistic::<f32>(reduction).map(|loss| loss.forward(logits, targets))
            }
            (true, false) => {
                self.logistic::<f64>(reduction).map(|loss| loss.forward(logits, targets))
            }
        };
        built.unwrap_or_else(|error| panic!("xent: {error}"))
    }

    fn sigmoid<F: xent::Float + From<f32>>(
        &self,
        reduction: Reduction,
    ) -> Result<SigmoidCrossEntropy<'static, F>, Error> {
        let mut loss = SigmoidCrossEntropy::new().with_reduction(reduction);
        if let Some(weights) = &self.config.weights {
            loss = loss.with_class_weights(cast(weights))?;
        }
        if let Some(weights) = &self.config.pos_weight {
            loss = loss.with_pos_weight(cast(weights))?;
        }
        if let Some(gamma) = self.config.focal_gamma {
            loss = loss.with_focal(gamma, self.config.focal_alpha)?;
        }
        Ok(loss)
    }

    fn logistic<F: xent::Float + From<f32>>(
        &self,
        reduction: Reduction,
    ) -> Result<LogisticLoss<'static, F>, Error> {
        let mut loss = LogisticLoss::new().with_reduction(reduction);
        if let Some(weights) = &self.config.weights {
            loss = loss.with_class_weights(cast(weights))?;
        }
        if let Some(weights) = &self.config.pos_weight {
            loss = loss.with_pos_weight(cast(weights))?;
        }
        Ok(loss)
    }
}
