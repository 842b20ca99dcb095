//! The command line.

use std::num::NonZero;
use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Parser, Subcommand, ValueEnum};
use xent::{MeanOver, NothingValid, Preset, Reduction};

/// Cross-entropy losses of saved logits.
#[derive(Debug, Parser)]
#[command(name = "xent", version, about)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What the files of arrays may be, and what a shell is told.
const FILES_AND_STATUS: &str = "\
Files:
  Arrays are .npy files, or members of .npz and .safetensors files: file.npz:name, or without the name
  where there is only one. - is standard input, for one array of a command; pipes are read, too (both are
  copied to a temporary file). Logits are f64, f32, f16 or bf16; targets and weights may be integers or
  bool as well, and labels floats if they are whole numbers. A loss is computed in f64 if its input is f64,
  otherwise in f32; its targets (but for labels) and weights become that. NumPy has no bf16: elements of two
  bytes without a type (V2), as which ml_dtypes saves it, are taken for that. Column-major arrays
  (fortran_order) may be given wherever row-major ones may. Axes of one element make no difference between
  the shapes of logits and of what goes with them. Files that are written are .npy files; they get their
  names when all of them are whole, and replace what was there.

Exit status:
  0    done; of compare: within the tolerance, or none was given
  1    compare: outside of the tolerance
  2    an argument or a file is wrong, a disk is full, or a file changed while it was read
  130  interrupted by SIGINT (Ctrl-C), 143 by SIGTERM: nothing was written. A second one ends the
       program at once; a part of an output may then be left behind, named .xent-*";

/// What a loss is, where libraries differ.
const CONVENTIONS: &str = "\
Conventions:
  A mean divides by PyTorch's rule unless --mean-over or --preset says otherwise. A sample weight is a
  factor of its row's loss and gradient; it is in the divisor with --mean-over weights alone. Accuracy is
  the share of right rows that are not ignored, each counted with its sample weight; the largest input is
  the predicted class, the first of equals, and of a row with a NaN the first NaN. Of sigmoid losses and
  logistic, accuracy is that of single elements: an input that is not below 0 (a probability not below
  0.5) predicts a target that is not below 0.5. Perplexity is e to the mean cross-entropy of the rows that
  are not ignored, for any reduction. It is left out (null in JSON) where the losses are something else: with
  weights, label smoothing, --z-loss or dense targets, and of other losses than softmax, nll and
  multinomial-logistic. Label smoothing gives each class a share of e / C (sigmoid losses and logistic: y becomes
  y (1 - e) + e / 2). multinomial-logistic counts a probability below 1e-20 as 1e-20 (a row has at most
  46.05), and logistic a logarithm below -100 as -100 (an element has at most 100); the report says how
  many there were.
";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Computes a loss of saved logits, and if asked its gradient.
    #[command(after_help = format!("{CONVENTIONS}\n{FILES_AND_STATUS}"))]
    Eval(Box<EvalArgs>),
    /// Holds a model's outputs against another's; exits with 1 where they differ more than is tolerated.
    ///
    /// Without --max-ulp, --max-abs or --max-rel nothing is demanded: the differences are reported.
    #[command(after_help = FILES_AND_STATUS)]
    Compare(Box<CompareArgs>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LossName {
    /// One of many classes: index or dense targets.
    Softmax,
    /// Any number of many classes that compete, with the scale factor 1/M: dense targets.
    MultilabelSoftmax,
    /// A question for each logit: dense or multi-hot targets.
    Sigmoid,
    /// Softmax, turned to the hard rows by `--gamma`: index targets.
    SoftmaxFocal,
    /// Sigmoid, turned to the hard elements by `--gamma` and `--alpha`.
    SigmoidFocal,
    /// Divergence from a teacher, whose logits are the targets.
    Distillation,
    /// The mean over the classes of sigmoid, one loss a row.
    MultilabelSoftMargin,
    /// Negative log-likelihood of log-probabilities: index targets.
    Nll,
    /// Logarithmic loss of probabilities, not below 1e-20: index targets.
    MultinomialLogistic,
    /// Binary cross-entropy of probabilities, logarithms not below -100: dense or multi-hot targets.
    Logistic,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReductionName {
    Mean,
    Sum,
    None,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum MeanOverName {
    /// PyTorch's rule for the loss.
    Pytorch,
    /// Rows (of sigmoid losses elements) that are not ignored, whatever they weigh.
    #[value(alias = "valid-rows")]
    NotIgnored,
    /// All rows.
    AllRows,
    /// Class weight times sample weight of what is not ignored.
    Weights,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum NothingValidName {
    /// It is refused.
    Error,
    /// Loss and gradient are zero.
    Zero,
    /// The loss is NaN, as in PyTorch.
    Nan,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum HessianName {
    /// p (1 - p), as in scikit-learn.
    Exact,
    /// max(2 p (1 - p), 1e-16), as in XGBoost.
    Xgboost,
    /// C / (C - 1) p (1 - p), as in LightGBM.
    Lightgbm,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum GradientName {
    Exact,
    /// That of the Caffe Python layer, which ignores the size of the labels.
    Caffe,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum GradFormat {
    /// The input's; f32 for integers.
    Input,
    /// For inputs of 16 bits the gradient before it is rounded to them.
    F32,
}

#[derive(Debug, Args)]
pub(crate) struct EvalArgs {
    /// Which loss.
    #[arg(long)]
    pub(crate) loss: LossName,
    /// The logits (or probabilities).
    #[arg(long, value_name = "FILE", allow_hyphen_values = true)]
    pub(crate) input: PathBuf,
    /// Indices (integers, without the class axis), or a number for each input.
    #[arg(long, value_name = "FILE", allow_hyphen_values = true)]
    pub(crate) targets: PathBuf,
    /// The axis of the classes; negative from the end [default: the last, where the shapes leave no
    /// other open].
    #[arg(long, value_name = "AXIS", allow_negative_numbers = true)]
    pub(crate) class_axis: Option<isize>,
    /// A weight for each class.
    #[arg(long, value_name = "FILE", allow_hyphen_values = true)]
    pub(crate) class_weights: Option<PathBuf>,
    /// A weight for each row.
    #[arg(long, value_name = "FILE", allow_hyphen_values = true)]
    pub(crate) sample_weights: Option<PathBuf>,
    /// A weight for the positive part of each class, or one for all (sigmoid losses, logistic).
    #[arg(long, value_name = "FILE", allow_hyphen_values = true)]
    pub(crate) pos_weight: Option<PathBuf>,
    /// ε (softmax, multilabel-softmax, sigmoid losses, logistic).
    #[arg(long, value_name = "NUMBER", allow_hyphen_values = true)]
    pub(crate) label_smoothing: Option<f64>,
    /// The label of rows that do not count (index targets; sigmoid: of elements, which are 0 and 1 then,
    /// integers or floats).
    #[arg(long, value_name = "LABEL", allow_negative_numbers = true)]
    pub(crate) ignore_index: Option<i64>,
    /// Whose reduction, divisor, ignored label and mean over nothing, where the options for them are not
    /// given.
    #[arg(long, value_parser = preset())]
    pub(crate) preset: Option<Preset>,
    /// From the losses of the rows to one value [default: mean].
    #[arg(long)]
    pub(crate) reduction: Option<ReductionName>,
    /// What a mean divides by [default: pytorch].
    #[arg(long)]
    pub(crate) mean_over: Option<MeanOverName>,
    /// What becomes of a mean over nothing: every row is ignored, or the weights add up to zero
    /// [default: zero].
    #[arg(long)]
    pub(crate) nothing_valid: Option<NothingValidName>,
    /// Counts the rows whose label is among their K largest inputs, too (index targets).
    #[arg(long, value_name = "K", allow_negative_numbers = true)]
    pub(crate) top_k: Option<NonZero<usize>>,
    /// γ (focal losses) [default: 2].
    #[arg(long, value_name = "NUMBER", allow_hyphen_values = true)]
    pub(crate) gamma: Option<f64>,
    /// α, the share of the positives (sigmoid-focal).
    #[arg(long, value_name = "NUMBER", allow_hyphen_values = true)]
    pub(crate) alpha: Option<f64>,
    /// τ (distillation) [default: 1].
    #[arg(long, value_name = "NUMBER", allow_hyphen_values = true)]
    pub(crate) temperature: Option<f64>,
    /// λ of an additional λ lse² (softmax losses).
    #[arg(long, value_name = "NUMBER", allow_hyphen_values = true)]
    pub(crate) z_loss: Option<f64>,
    /// Logits become cap tanh(x / cap) (softmax losses).
    #[arg(long, value_name = "NUMBER", allow_hyphen_values = true)]
    pub(crate) soft_cap: Option<f64>,
    /// Writes what the reduction gives: one f64, or a number for each row (or element), f64 if the
    /// input is and otherwise f32.
    #[arg(long, value_name = "FILE")]
    pub(crate) loss_out: Option<PathBuf>,
    /// Writes the gradient by the input, in its shape.
    #[arg(long, value_name = "FILE")]
    pub(crate) grad_out: Option<PathBuf>,
    /// The format of the gradient.
    #[arg(long, default_value = "input", requires = "grad_out")]
    pub(crate) grad_format: GradFormat,
    /// Writes the diagonal of the Hessian, in the input's shape: f64 if the input is, otherwise f32.
    #[arg(long, value_name = "FILE")]
    pub(crate) hessian_out: Option<PathBuf>,
    /// Whose convention of the Hessian.
    #[arg(long, default_value = "exact", requires = "hessian_out")]
    pub(crate) hessian: HessianName,
    /// The least second derivative that is written. Those of focal losses, of a soft cap and of a z-loss, which
    /// are exact alone, can be negative.
    #[arg(long, value_name = "NUMBER", allow_hyphen_values = true, requires = "hessian_out")]
    pub(crate) hessian_floor: Option<f64>,
    /// Which gradient (multilabel-softmax).
    #[arg(long)]
    pub(crate) gradient: Option<GradientName>,
    #[command(flatten)]
    pub(crate) machine: MachineArgs,
}

/// What runs, and how it is told.
#[derive(Clone, Debug, Args)]
pub(crate) struct MachineArgs {
    /// Threads; if not given those of `RAYON_NUM_THREADS`, or all of the machine.
    #[arg(long, value_name = "COUNT", allow_negative_numbers = true)]
    pub(crate) threads: Option<usize>,
    /// Which instructions: auto, portable, avx2 or avx512.
    #[arg(long, default_value = "auto")]
    pub(crate) level: String,
    /// Prints one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct CompareArgs {
    /// What the outputs should be, floats.
    #[arg(long, value_name = "FILE", allow_hyphen_values = true)]
    pub(crate) reference: PathBuf,
    /// The outputs to judge, of the same shape; their format may be another.
    #[arg(long, value_name = "FILE", allow_hyphen_values = true)]
    pub(crate) candidate: PathBuf,
    /// Targets, to compute the loss of both.
    #[arg(long, value_name = "FILE", allow_hyphen_values = true)]
    pub(crate) targets: Option<PathBuf>,
    /// The loss of both, each computed as `eval` does; and what is predicted: by sigmoid losses the inputs
    /// that are not below 0 (logistic: 0.5), by the others the largest of a row.
    #[arg(long, default_value = "softmax")]
    pub(crate) loss: LossName,
    /// The axis of the classes; negative from the end [default: the last, where the shapes leave no
    /// other open].
    #[arg(long, value_name = "AXIS", allow_negative_numbers = true)]
    pub(crate) class_axis: Option<isize>,
    /// The label of rows (sigmoid losses: of elements) that are not compared, such as padding.
    #[arg(long, value_name = "LABEL", allow_negative_numbers = true, requires = "targets")]
    pub(crate) ignore_index: Option<i64>,
    /// A weight for each row in its loss; rows of weight zero are not compared.
    #[arg(long, value_name = "FILE", allow_hyphen_values = true)]
    pub(crate) sample_weights: Option<PathBuf>,
    /// A weight for each class in the loss.
    #[arg(long, value_name = "FILE", allow_hyphen_values = true, requires = "targets")]
    pub(crate) class_weights: Option<PathBuf>,
    /// The most that an element may be away: in numbers that lie between, plus one. They are those
    /// of the format that both have, or of f32, which both become, if the formats differ.
    #[arg(long, value_name = "COUNT", allow_negative_numbers = true)]
    pub(crate) max_ulp: Option<u64>,
    /// The most that an element may be away, absolutely; computed in f64.
    #[arg(long, value_name = "DISTANCE", allow_hyphen_values = true)]
    pub(crate) max_abs: Option<f64>,
    /// The most that an element may be away, as a share of its reference; together with --max-abs, at most
    /// the sum of both, as in numpy.allclose.
    #[arg(long, value_name = "SHARE", allow_hyphen_values = true)]
    pub(crate) max_rel: Option<f64>,
    #[command(flatten)]
    pub(crate) machine: MachineArgs,
}

/// The names of the presets.
fn preset() -> impl TypedValueParser<Value = Preset> {
    PossibleValuesParser::new(Preset::ALL.map(Preset::name)).try_map(|name| name.parse::<Preset>())
}

impl From<ReductionName> for Reduction {
    fn from(name: ReductionName) -> Self {
        match name {
            ReductionName::Mean => Self::Mean,
            ReductionName::Sum => Self::Sum,
            ReductionName::None => Self::None,
        }
    }
}

impl From<MeanOverName> for MeanOver {
    fn from(name: MeanOverName) -> Self {
        match name {
            MeanOverName::Pytorch => Self::PyTorch,
            MeanOverName::NotIgnored => Self::NotIgnored,
            MeanOverName::AllRows => Self::AllRows,
            MeanOverName::Weights => Self::Weights,
        }
    }
}

impl From<NothingValidName> for NothingValid {
    fn from(name: NothingValidName) -> Self {
        match name {
            NothingValidName::Error => Self::Error,
            NothingValidName::Zero => Self::Zero,
            NothingValidName::Nan => Self::Nan,
        }
    }
}
