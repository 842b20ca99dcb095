//! From the losses of the rows to one value.

/// How the losses of a batch become one value, and what its gradient is the gradient of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Reduction {
    /// No value: every row (for sigmoid: every element) keeps its loss, and its gradient is the
    /// gradient of that.
    None,
    /// The sum of all losses.
    Sum,
    /// The sum divided by what [`MeanOver`] says.
    #[default]
    Mean,
}

/// What a mean divides the sum of all losses by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MeanOver {
    /// PyTorch's rule for the loss at hand: for index targets the class weights of the labels that
    /// are not ignored (their number without class weights); for other softmax losses all rows; for
    /// sigmoid losses the elements that are not ignored; for the multi-label soft margin the rows.
    #[default]
    PyTorch,
    /// The rows that are not ignored and have a target (Caffe's `VALID`).
    ValidRows,
    /// All rows (Caffe's `FULL` and `BATCH_SIZE`).
    AllRows,
    /// The weights of the labels that are not ignored: class weight times sample weight; for sigmoid
    /// losses those of the elements.
    Weights,
}

/// What becomes of a mean over nothing: every label is ignored, or all weights are zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum NothingValid {
    /// [`Error::NothingValid`](crate::Error::NothingValid), before anything is written; also for a
    /// single row without a target.
    Error,
    /// A loss of zero and a gradient of zero, so that a run of training survives.
    #[default]
    Zero,
    /// NaN, as in PyTorch; also for a single row without a target.
    Nan,
}

/// Whose defaults a loss has.
///
/// | preset | reduction | divides by | ignores | a mean over nothing |
/// |---|---|---|---|---|
/// | `PyTorch` | mean | [`MeanOver::PyTorch`] | -100 | NaN |
/// | `Onnx` | mean | [`MeanOver::PyTorch`] | none | NaN |
/// | `Keras` | mean | all rows; for sigmoid all elements | none | zero |
/// | `Optax` | none | | none | |
/// | `Caffe` | mean | valid rows; for sigmoid all rows | none | zero |
///
/// What is ignored holds for losses with index targets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Preset {
    /// `torch.nn.functional`, version 2.
    PyTorch,
    /// The ONNX operators `SoftmaxCrossEntropyLoss` and `NegativeLogLikelihoodLoss`.
    Onnx,
    /// `keras.losses`, version 3.
    Keras,
    /// `optax.losses` of JAX.
    Optax,
    /// The loss layers of Caffe.
    Caffe,
}

/// What all losses have: how they are reduced and run.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Settings {
    pub(crate) reduction: Reduction,
    pub(crate) mean_over: MeanOver,
    pub(crate) nothing_valid: NothingValid,
    pub(crate) level: xent_core::Level,
}

impl Settings {
    /// A preset's, for a loss of rows or of elements.
    pub(crate) fn of(preset: Preset, elements: bool) -> Self {
        let (reduction, mean_over, nothing_valid) = match preset {
            Preset::PyTorch | Preset::Onnx => {
                (Reduction::Mean, MeanOver::PyTorch, NothingValid::Nan)
            }
            Preset::Keras if elements => (Reduction::Mean, MeanOver::PyTorch, NothingValid::Zero),
            Preset::Keras => (Reduction::Mean, MeanOver::AllRows, NothingValid::Zero),
            Preset::Optax => (Reduction::None, MeanOver::PyTorch, NothingValid::Zero),
            Preset::Caffe if elements => (Reduction::Mean, MeanOver::AllRows, NothingValid::Zero),
            Preset::Caffe => (Reduction::Mean, MeanOver::ValidRows, NothingValid::Zero),
        };
        Self { reduction, mean_over, nothing_valid, ..Self::default() }
    }
}

impl Preset {
    /// The label that is ignored.
    pub(crate) fn ignore_index(self) -> Option<i64> {
        (self == Self::PyTorch).then_some(-100)
    }
}
