//! `CrossEntropyLoss`, by burn's names.

use burn::config::Config;
use burn::tensor::{DType, Device, Int, Tensor};
use xent::{MultinomialLogistic, Reduction, SoftmaxCrossEntropy};

use crate::LossExt;

/// Options of a [`CrossEntropyLoss`]: those of `burn::nn::loss::CrossEntropyLossConfig`, and more.
///
/// ```
/// use burn::tensor::{Device, Int, Tensor};
/// use xent_burn::CrossEntropyLossConfig;
///
/// let device = Device::flex();
/// let loss = CrossEntropyLossConfig::new()
///     .with_weights(Some(vec![1.0, 2.0, 0.5]))
///     .with_smoothing(Some(0.1))
///     .with_pad_tokens(Some(vec![2]))
///     .init(&device);
/// let logits = Tensor::<2>::from_floats([[2.0, 1.0, 0.0], [0.0, 3.0, 0.0]], &device);
/// let labels = Tensor::<1, Int>::from_ints([0, 2], &device);
/// let value: f32 = loss.forward(logits, labels).into_scalar();
/// // Only the first row counts.
/// assert!((value - 0.514_399).abs() < 1e-5, "{value}");
/// ```
#[derive(Config, Debug)]
pub struct CrossEntropyLossConfig {
    /// Labels of rows that do not count.
    pub pad_tokens: Option<Vec<usize>>,
    /// A weight for each class, not negative. A mean divides by the weights of the labels that count.
    pub weights: Option<Vec<f32>>,
    /// Label smoothing `ε` from 0 to 1: targets become `(1 - ε) y + ε / classes`.
    pub smoothing: Option<f32>,
    /// Whether inputs are logits; otherwise they are probabilities, of which those below 1e-20 count as that.
    #[config(default = true)]
    pub logits: bool,
    /// Focal loss `-(1 - p)^γ ln p` with this γ (not in burn).
    pub focal_gamma: Option<f64>,
    /// A factor for the square of log-sum-exp, which is added to the loss of each row (not in burn).
    pub z_loss: Option<f64>,
    /// Logits become `cap tanh(x / cap)` (not in burn).
    pub soft_cap: Option<f64>,
}

impl CrossEntropyLossConfig {
    /// The loss. (Its device is that of the logits; the argument is burn's.)
    ///
    /// # Panics
    /// If an option is out of range, or does not go with the others.
    #[must_use]
    pub fn init(&self, _device: &Device) -> CrossEntropyLoss {
        let loss = CrossEntropyLoss { config: self.clone() };
        // Errors of options are those of xent.
        loss.softmax::<f32>(Reduction::Mean);
        let plain = self.smoothing.is_none()
            && self.focal_gamma.is_none()
            && self.z_loss.is_none()
            && self.soft_cap.is_none();
        assert!(
            self.logits || plain,
            "xent: smoothing, focal gamma, z-loss and soft cap are for logits: set `logits` to true and leave the softmax out of the network"
        );
        loss
    }
}

/// Softmax cross-entropy, in place of `burn::nn::loss::CrossEntropyLoss`; built by [`CrossEntropyLossConfig`].
///
/// A mean over nothing (all rows are padded) is zero, where burn's is NaN. In a module that derives `Module` it is a
/// field with `#[module(skip)]`.
#[derive(Clone, Debug)]
pub struct CrossEntropyLoss {
    config: CrossEntropyLossConfig,
}

impl CrossEntropyLoss {
    /// A loss whose only option may be a label that does not count, as burn's.
    #[must_use]
    pub fn new(pad_index: Option<usize>, device: &Device) -> Self {
        CrossEntropyLossConfig::new()
            .with_pad_tokens(pad_index.map(|token| vec![token]))
            .init(device)
    }

    /// The mean over the rows that are not padded, by the weights of their labels: shape `[1]`, of f64 for logits of f64
    /// and otherwise of f32.
    ///
    /// * `logits`: shape `[rows, classes]`, f32, f64, bf16 or f16.
    /// * `targets`: labels, shape `[rows]`.
    ///
    /// # Panics
    /// If a label is neither the index of a class nor padded, or the shapes do not fit together.
    #[must_use]
    pub fn forward(&self, logits: Tensor<2>, targets: Tensor<1, Int>) -> Tensor<1> {
        self.reduced(Reduction::Mean, logits, targets)
    }

    /// The loss of every row, zero for those that are padded: shape `[rows]`.
    ///
    /// # Panics
    /// As [`forward`](Self::forward).
    #[must_use]
    pub fn forward_no_reduction(&self, logits: Tensor<2>, targets: Tensor<1, Int>) -> Tensor<1> {
        self.reduced(Reduction::None, logits, targets)
    }

    fn reduced(
        &self,
        reduction: Reduction,
        logits: Tensor<2>,
        targets: Tensor<1, Int>,
    ) -> Tensor<1> {
        let targets = self.one_padding(targets);
        match (logits.dtype() == DType::F64, self.config.logits) {
            (false, true) => self.softmax::<f32>(reduction).forward(logits, targets),
            (true, true) => self.softmax::<f64>(reduction).forward(logits, targets),
            (false, false) => self.likelihood::<f32>(reduction).forward(logits, targets),
            (true, false) => self.likelihood::<f64>(reduction).forward(logits, targets),
        }
    }

    /// Of several labels that do not count, all become the first.
    fn one_padding(&self, targets: Tensor<1, Int>) -> Tensor<1, Int> {
        match self.config.pad_tokens.as_deref() {
            Some([first, rest @ ..]) => rest.iter().fold(targets, |targets, token| {
                let is_token = targets.clone().equal_scalar(*token as i64);
                targets.mask_fill(is_token, *first as i64)
            }),
            _ => targets,
        }
    }

    fn ignored(&self) -> Option<i64> {
        self.config.pad_tokens.as_ref()?.first().map(|token| *token as i64)
    }

    fn softmax<F: xent::Float + From<f32>>(
        &self,
        reduction: Reduction,
    ) -> SoftmaxCrossEntropy<'static, F> {
        let config = &self.config;
        let build = || {
            let mut loss = SoftmaxCrossEntropy::new().with_reduction(reduction);
            if let Some(weights) = &config.weights {
                loss = loss.with_class_weights(cast(weights))?;
            }
            if let Some(epsilon) = config.smoothing {
                loss = loss.with_label_smoothing(epsilon.into())?;
            }
            if let Some(gamma) = config.focal_gamma {
                loss = loss.with_focal_gamma(gamma)?;
            }
            if let Some(factor) = config.z_loss {
                loss = loss.with_z_loss(factor)?;
            }
            if let Some(cap) = config.soft_cap {
                loss = loss.with_soft_cap(cap)?;
            }
            Ok(match self.ignored() {
                Some(label) => loss.with_ignore_index(label),
                None => loss,
            })
        };
        build().unwrap_or_else(|error: xent::Error| panic!("xent: {error}"))
    }

    fn likelihood<F: xent::Float + From<f32>>(
        &self,
        reduction: Reduction,
    ) -> MultinomialLogistic<'static, F> {
        let mut loss = MultinomialLogistic::new().with_reduction(reduction);
        if let Some(weights) = &self.config.weights {
            loss = loss
                .with_class_weights(cast(weights))
                .unwrap_or_else(|error| panic!("xent: {error}"));
        }
        match self.ignored() {
            Some(label) => loss.with_ignore_index(label),
            None => loss,
        }
    }
}

/// Weights in the format of the computation.
pub(crate) fn cast<F: From<f32>>(weights: &[f32]) -> Vec<F> {
    weights.iter().map(|&weight| weight.into()).collect()
}
