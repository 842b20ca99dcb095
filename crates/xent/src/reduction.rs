//! Reductions of a loss, and presets with the defaults of other libraries.

use core::fmt;

use xent_core::reduction::Policy;
pub use xent_core::reduction::{MeanOver, NothingValid, Reduction};

/// The defaults of another library.
///
/// | preset | name | reduction | a mean divides by | ignores | a mean over nothing |
/// |---|---|---|---|---|---|
/// | `PyTorch` | `pytorch` | mean | [`MeanOver::PyTorch`] | -100 | NaN |
/// | `Keras` | `keras` | mean | [`MeanOver::NotIgnored`] | none | zero |
/// | `TensorFlow` | `tensorflow` | none | | none | |
/// | `Optax` | `optax` | none | | none | |
/// | `Onnx` | `onnx` | mean | [`MeanOver::PyTorch`] | none | NaN |
/// | `Caffe` | `caffe` | mean | [`MeanOver::NotIgnored`]; for sigmoid losses all rows | none | zero |
/// | `Paddle` | `paddle` | mean | all rows (see below); probabilities: [`MeanOver::PyTorch`] | -100 | zero |
/// | `Mlx` | `mlx` | none; for sigmoid losses mean | all rows, all elements | none | zero |
/// | `Burn` | `burn` | mean | [`MeanOver::PyTorch`] | none | NaN |
/// | `Candle` | `candle` | mean | all rows, all elements | none | zero |
/// | `Sklearn` | `sklearn` | mean | [`MeanOver::Weights`] | none | an error |
///
/// Ignored labels apply to losses with index targets. If a preset does not reduce, asking for a mean gives the mean
/// over all rows or elements that are not ignored.
///
/// `Paddle` divides by the class weights of the labels ([`MeanOver::PyTorch`]) if there are any, and also if the
/// ignored label is not negative. Its label smoothing together with class weights or ignored labels is not
/// available. `docs/peers.md` has the numbers that each library printed.
///
/// ```
/// use xent::{Preset, SoftmaxCrossEntropy};
///
/// let preset: Preset = "keras".parse()?;
/// let loss = SoftmaxCrossEntropy::<f32>::preset(preset).with_ignore_index(0);
/// # let _ = loss;
/// assert_eq!(Preset::ALL.len(), 11);
/// assert!("kears".parse::<Preset>().is_err());
/// # Ok::<(), xent::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Preset {
    /// `torch.nn.functional`, version 2.
    PyTorch,
    /// `keras.losses`, version 3.
    Keras,
    /// `tf.nn`, version 2.
    TensorFlow,
    /// `optax.losses` of JAX.
    Optax,
    /// The ONNX operators `SoftmaxCrossEntropyLoss` and `NegativeLogLikelihoodLoss`.
    Onnx,
    /// The loss layers of Caffe.
    Caffe,
    /// `paddle.nn.functional`, version 3.
    Paddle,
    /// `mlx.nn.losses`.
    Mlx,
    /// `burn::nn::loss`.
    Burn,
    /// `candle_nn::loss`.
    Candle,
    /// `sklearn.metrics.log_loss` of scikit-learn.
    Sklearn,
}

impl Preset {
    /// All presets.
    pub const ALL: [Self; 11] = [
        Self::PyTorch,
        Self::Keras,
        Self::TensorFlow,
        Self::Optax,
        Self::Onnx,
        Self::Caffe,
        Self::Paddle,
        Self::Mlx,
        Self::Burn,
        Self::Candle,
        Self::Sklearn,
    ];

    /// The name, in lower case: what [`FromStr`](core::str::FromStr) reads.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::PyTorch => "pytorch",
            Self::Keras => "keras",
            Self::TensorFlow => "tensorflow",
            Self::Optax => "optax",
            Self::Onnx => "onnx",
            Self::Caffe => "caffe",
            Self::Paddle => "paddle",
            Self::Mlx => "mlx",
            Self::Burn => "burn",
            Self::Candle => "candle",
            Self::Sklearn => "sklearn",
        }
    }

    /// The label that it ignores, for losses with index targets.
    #[must_use]
    pub fn ignore_index(self) -> Option<i64> {
        matches!(self, Self::PyTorch | Self::Paddle).then_some(-100)
    }
}

impl fmt::Display for Preset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The kinds of losses for which a preset may differ.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum LossKind {
    Softmax,
    /// Given probabilities, with labels.
    Likelihood,
    /// Independent elements.
    Elements,
}

/// The settings of every loss: its reduction and its level.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Settings {
    pub(crate) policy: Policy,
    /// Whether a mean over all rows becomes PyTorch's with class weights, or with an ignored label that is not
    /// negative: Paddle's softmax loss.
    as_paddle: bool,
    /// Whether the ignored label is the preset's.
    pub(crate) ignores_by_default: bool,
    pub(crate) level: xent_core::Level,
}

impl Settings {
    /// The settings of a preset.
    pub(crate) fn of(preset: Preset, kind: LossKind) -> Self {
        use {MeanOver as M, NothingValid as N, Reduction as R};
        let elements = kind == LossKind::Elements;
        let all = if elements { M::NotIgnored } else { M::AllRows };
        let (reduction, mean_over, nothing_valid) = match preset {
            Preset::PyTorch | Preset::Onnx | Preset::Burn => (R::Mean, M::PyTorch, N::Nan),
            Preset::Keras => (R::Mean, M::NotIgnored, N::Zero),
            Preset::TensorFlow | Preset::Optax => (R::None, M::NotIgnored, N::Zero),
            Preset::Caffe if elements => (R::Mean, M::AllRows, N::Zero),
            Preset::Caffe => (R::Mean, M::NotIgnored, N::Zero),
            Preset::Paddle if kind == LossKind::Likelihood => (R::Mean, M::PyTorch, N::Zero),
            Preset::Paddle | Preset::Candle => (R::Mean, all, N::Zero),
            Preset::Mlx if elements => (R::Mean, all, N::Zero),
            Preset::Mlx => (R::None, all, N::Zero),
            Preset::Sklearn => (R::Mean, M::Weights, N::Error),
        };
        let as_paddle = preset == Preset::Paddle && kind == LossKind::Softmax;
        let policy = Policy { reduction, mean_over, nothing_valid };
        Self { policy, as_paddle, ignores_by_default: true, ..Self::default() }
    }

    pub(crate) fn divide_by(&mut self, mean_over: MeanOver) {
        self.policy.mean_over = mean_over;
        self.as_paddle = false;
    }

    /// The reduction of a loss with or without class weights and this ignored label.
    pub(crate) fn policy_for(&self, has_class_weights: bool, ignored: Option<i64>) -> Policy {
        let by_labels = has_class_weights || ignored.is_some_and(|label| label >= 0);
        if self.as_paddle && by_labels {
            return Policy { mean_over: MeanOver::PyTorch, ..self.policy };
        }
        self.policy
    }
}
