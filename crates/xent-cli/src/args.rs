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

/// Help on files of arrays and on exit codes.
const FILES_AND_STATUS: &str = "\
Files:
  Arrays are .npy files, or members of .npz and .safetensors files: file.npz:name, or without the name if
  there is only one. - is standard input, for one array of a command; pipes work, too (both are copied to
  a temporary file). The files of devices are read as well:
    dump.bin:i8:360x10     raw little-endian numbers, by type and shape; i16be, f32be: big-endian;
                           i4: two in a byte, the first in its low half
    log.csv, .tsv, .txt    all columns of a table, with a line of names or without
    log.csv:label          a column by its name; log.csv:2-11 and log.csv:1 by number, from 1
    out.jsonl, .ndjson     an array a line; out.jsonl:key: of objects
    out.h:logits:360x10    an array of C; the shape is not needed if its braces or brackets say it
  Numbers in a text are integers if all are written so, otherwise f32; log.csv:2-11:f64 names a type. Without
  an ending the kind is named, as in -:csv:label.
  Logits are f64, f32, f16 or bf16; targets and weights may also be integers or bool,
  and labels may be floats that are whole numbers. The loss of an f64 input is computed in f64, of all
  others in f32; targets (except labels) and weights are converted to that. Logits may also be integers of
  4, 8 or 16 bits, which a quantised model gave out, with its --scale and --zero-point, or a --quantisation
  of its .tflite file; they are computed in f32. NumPy has no bf16: two-byte elements without a type (V2),
  as saved by ml_dtypes, are read as bf16. Column-major arrays (fortran_order) are accepted everywhere. Axes
  of length one do not matter.
  Outputs are .npy files, and the --report of compare is an HTML page; they get their names once all of them
  are complete, and replace existing files.

Exit codes:
  0    done; for compare: within the tolerance, or no tolerance given
  1    compare: outside the tolerance
  2    an argument or a file is wrong, a disk is full, or a file changed while it was read; for compare:
       nothing was compared, because there are no elements or all of them are ignored
  130  interrupted by SIGINT (Ctrl-C); 143 by SIGTERM: nothing was written. A second signal ends the
       program at once and may leave part of an output behind, named .xent-*";

/// Help on the points in which libraries differ.
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
    /// Computes a loss of saved logits and, on request, its gradient and more.
    #[command(after_help = format!("{CONVENTIONS}\n{FILES_AND_STATUS}"))]
    Eval(Box<EvalArgs>),
    /// Compares the outputs of a model with a reference; exits with 1 if they differ by more than the tolerance.
    ///
    /// All tolerances that are given (--max-...) must hold; without one, the differences are only reported. Where a
    /// simple cause explains the difference, such as a wrong scale or classes in another order, it is named.
    #[command(after_help = FILES_AND_STATUS)]
    Compare(Box<CompareArgs>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LossName {
    /// One of many exclusive classes: index or dense targets.
    Softmax,
    /// Any number of competing classes, with the scale factor 1/M: dense targets.
    MultilabelSoftmax,
    /// Independent yes/no classes: dense or multi-hot targets.
    Sigmoid,
    /// Softmax that emphasises hard rows, by `--gamma`: index targets.
    SoftmaxFocal,
    /// Sigmoid that emphasises hard elements, by `--gamma` and `--alpha`.
    SigmoidFocal,
    /// Divergence from a teacher: the targets are its logits.
    Distillation,
    /// Mean of the sigmoid losses over the classes, one loss a row.
    MultilabelSoftMargin,
    /// Negative log-likelihood of log-probabilities: index targets.
    Nll,
    /// Negative logarithm of probabilities, clamped at 1e-20: index targets.
    MultinomialLogistic,
    /// Binary cross-entropy of probabilities, logarithms clamped at -100: dense or multi-hot targets.
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
    /// The rule of PyTorch for this loss.
    Pytorch,
    /// Rows (with sigmoid losses: elements) that are not ignored, whatever their weight.
    #[value(alias = "valid-rows")]
    NotIgnored,
    /// All rows.
    AllRows,
    /// The sum of class weight times sample weight over everything that is not ignored.
    Weights,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum NothingValidName {
    /// An error.
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
    /// The gradient of the Caffe Python layer, which ignores the size of the labels.
    Caffe,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum GradFormat {
    /// The format of the input; f32 for integers.
    Input,
    /// f32: for 16-bit inputs, the gradient before it is rounded.
    F32,
}

#[derive(Debug, Args)]
pub(crate) struct EvalArgs {
    /// The loss.
    #[arg(long)]
    pub(crate) loss: LossName,
    /// The logits (or probabilities).
    #[arg(long, value_name = "FILE", allow_hyphen_values = true)]
    pub(crate) input: PathBuf,
    /// The scale of an input of integers, which a quantised model gave out: q stands for scale × (q - zero point).
    #[arg(long, value_name = "NUMBER", allow_hyphen_values = true)]
    pub(crate) scale: Option<f32>,
    /// The zero point of an input of integers.
    #[arg(
        long,
        value_name = "INTEGER",
        allow_negative_numbers = true,
        default_value = "0",
        requires = "scale"
    )]
    pub(crate) zero_point: i32,
    /// A TensorFlow Lite model (.tflite) that has the scale and the zero point, instead of both: those of its output;
    /// of several outputs one by its name or its number, from 0, as in model.tflite:logits or model.tflite:1.
    #[arg(
        long,
        alias = "quantization",
        value_name = "MODEL",
        allow_hyphen_values = true,
        conflicts_with_all = ["scale", "zero_point"]
    )]
    pub(crate) quantisation: Option<PathBuf>,
    /// Indices (integers, without the class axis), or one number for each input.
    #[arg(long, value_name = "FILE", allow_hyphen_values = true)]
    pub(crate) targets: PathBuf,
    /// The axis of the classes; negative numbers count from the end [default: the last, unless the shapes are
    /// ambiguous].
    #[arg(long, value_name = "AXIS", allow_negative_numbers = true)]
    pub(crate) class_axis: Option<isize>,
    /// One weight for each class.
    #[arg(long, value_name = "FILE", allow_hyphen_values = true)]
    pub(crate) class_weights: Option<PathBuf>,
    /// One weight for each row.
    #[arg(long, value_name = "FILE", allow_hyphen_values = true)]
    pub(crate) sample_weights: Option<PathBuf>,
    /// A weight for the positive part of each class, or one for all classes (sigmoid losses, logistic).
    #[arg(long, value_name = "FILE", allow_hyphen_values = true)]
    pub(crate) pos_weight: Option<PathBuf>,
    /// Label smoothing ε (softmax, multilabel-softmax, sigmoid losses, logistic).
    #[arg(long, value_name = "NUMBER", allow_hyphen_values = true)]
    pub(crate) label_smoothing: Option<f64>,
    /// The label of rows to ignore (index targets), or of elements (sigmoid losses; the other targets are 0 and 1,
    /// integers or floats).
    #[arg(long, value_name = "LABEL", allow_negative_numbers = true)]
    pub(crate) ignore_index: Option<i64>,
    /// The library whose reduction, divisor, ignored label and rule for a mean over nothing apply, unless their own
    /// options are given.
    #[arg(long, value_parser = preset())]
    pub(crate) preset: Option<Preset>,
    /// How the losses of the rows become one value [default: mean].
    #[arg(long)]
    pub(crate) reduction: Option<ReductionName>,
    /// What a mean divides by [default: pytorch].
    #[arg(long)]
    pub(crate) mean_over: Option<MeanOverName>,
    /// The result of a mean over nothing, when every row is ignored or the weights sum to zero [default: zero].
    #[arg(long)]
    pub(crate) nothing_valid: Option<NothingValidName>,
    /// Also counts the rows whose label is among their K largest inputs (index targets).
    #[arg(long, value_name = "K", allow_negative_numbers = true)]
    pub(crate) top_k: Option<NonZero<usize>>,
    /// Focal exponent γ (focal losses) [default: 2].
    #[arg(long, value_name = "NUMBER", allow_hyphen_values = true)]
    pub(crate) gamma: Option<f64>,
    /// Weight α of the positives; the negatives have 1 - α (sigmoid-focal).
    #[arg(long, value_name = "NUMBER", allow_hyphen_values = true)]
    pub(crate) alpha: Option<f64>,
    /// Temperature τ (distillation) [default: 1].
    #[arg(long, value_name = "NUMBER", allow_hyphen_values = true)]
    pub(crate) temperature: Option<f64>,
    /// Factor λ of the penalty λ lse² (softmax losses).
    #[arg(long, value_name = "NUMBER", allow_hyphen_values = true)]
    pub(crate) z_loss: Option<f64>,
    /// Soft cap: logits become cap tanh(x / cap) (softmax losses).
    #[arg(long, value_name = "NUMBER", allow_hyphen_values = true)]
    pub(crate) soft_cap: Option<f64>,
    /// Writes the reduced loss as one f64, or without reduction one number for each row (or element), in f64 if the
    /// input is f64, otherwise in f32.
    #[arg(long, value_name = "FILE")]
    pub(crate) loss_out: Option<PathBuf>,
    /// Writes the gradient with respect to the input, in the input's shape.
    #[arg(long, value_name = "FILE")]
    pub(crate) grad_out: Option<PathBuf>,
    /// The format of the gradient.
    #[arg(long, default_value = "input", requires = "grad_out")]
    pub(crate) grad_format: GradFormat,
    /// Writes the diagonal of the Hessian in the input's shape, in f64 if the input is f64, otherwise in f32.
    #[arg(long, value_name = "FILE")]
    pub(crate) hessian_out: Option<PathBuf>,
    /// The convention of the Hessian.
    #[arg(long, default_value = "exact", requires = "hessian_out")]
    pub(crate) hessian: HessianName,
    /// The smallest second derivative to write. With focal losses, a soft cap or a z-loss (which support only
    /// exact) it can be negative otherwise.
    #[arg(long, value_name = "NUMBER", allow_hyphen_values = true, requires = "hessian_out")]
    pub(crate) hessian_floor: Option<f64>,
    /// Which gradient to write (multilabel-softmax).
    #[arg(long)]
    pub(crate) gradient: Option<GradientName>,
    #[command(flatten)]
    pub(crate) machine: MachineArgs,
}

/// Threads, instructions and output.
#[derive(Clone, Debug, Args)]
pub(crate) struct MachineArgs {
    /// Number of threads [default: `RAYON_NUM_THREADS`, otherwise all of the machine].
    #[arg(long, value_name = "COUNT", allow_negative_numbers = true)]
    pub(crate) threads: Option<usize>,
    /// Instructions to use: auto, portable, avx2 or avx512.
    #[arg(long, default_value = "auto")]
    pub(crate) level: String,
    /// Prints one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct CompareArgs {
    /// The reference outputs: floats, or integers with a scale.
    #[arg(long, value_name = "FILE", allow_hyphen_values = true)]
    pub(crate) reference: PathBuf,
    /// The outputs to check, of the same shape (but for axes of length one); their format may differ.
    #[arg(long, value_name = "FILE", allow_hyphen_values = true)]
    pub(crate) candidate: PathBuf,
    /// The scale of reference outputs that are integers: q stands for scale × (q - zero point).
    #[arg(long, value_name = "NUMBER", allow_hyphen_values = true)]
    pub(crate) reference_scale: Option<f32>,
    /// Their zero point.
    #[arg(
        long,
        value_name = "INTEGER",
        allow_negative_numbers = true,
        default_value = "0",
        requires = "reference_scale"
    )]
    pub(crate) reference_zero_point: i32,
    /// A TensorFlow Lite model with the scale and the zero point of the reference outputs, as in eval.
    #[arg(
        long,
        alias = "reference-quantization",
        value_name = "MODEL",
        allow_hyphen_values = true,
        conflicts_with_all = ["reference_scale", "reference_zero_point"]
    )]
    pub(crate) reference_quantisation: Option<PathBuf>,
    /// The scale of outputs to check that are integers.
    #[arg(long, value_name = "NUMBER", allow_hyphen_values = true)]
    pub(crate) candidate_scale: Option<f32>,
    /// Their zero point.
    #[arg(
        long,
        value_name = "INTEGER",
        allow_negative_numbers = true,
        default_value = "0",
        requires = "candidate_scale"
    )]
    pub(crate) candidate_zero_point: i32,
    /// A TensorFlow Lite model with the scale and the zero point of the outputs to check, as in eval.
    #[arg(
        long,
        alias = "candidate-quantization",
        value_name = "MODEL",
        allow_hyphen_values = true,
        conflicts_with_all = ["candidate_scale", "candidate_zero_point"]
    )]
    pub(crate) candidate_quantisation: Option<PathBuf>,
    /// Targets, to compute the loss of both.
    #[arg(long, value_name = "FILE", allow_hyphen_values = true)]
    pub(crate) targets: Option<PathBuf>,
    /// The loss of both, computed as in `eval`. It also decides what is predicted: with sigmoid losses, inputs that
    /// are not below 0 (logistic: 0.5); with the others, the largest input of a row.
    #[arg(long, default_value = "softmax")]
    pub(crate) loss: LossName,
    /// The axis of the classes; negative numbers count from the end [default: the last, unless the shapes are
    /// ambiguous].
    #[arg(long, value_name = "AXIS", allow_negative_numbers = true)]
    pub(crate) class_axis: Option<isize>,
    /// The label of rows (with sigmoid losses: of elements) to leave out, such as padding.
    #[arg(long, value_name = "LABEL", allow_negative_numbers = true, requires = "targets")]
    pub(crate) ignore_index: Option<i64>,
    /// One weight for each row in its loss; rows of weight zero are left out.
    #[arg(long, value_name = "FILE", allow_hyphen_values = true)]
    pub(crate) sample_weights: Option<PathBuf>,
    /// One weight for each class in the loss.
    #[arg(long, value_name = "FILE", allow_hyphen_values = true, requires = "targets")]
    pub(crate) class_weights: Option<PathBuf>,
    /// Also counts the rows whose label is among their K largest outputs, on both sides (index targets).
    #[arg(long, value_name = "K", allow_negative_numbers = true)]
    pub(crate) top_k: Option<NonZero<usize>>,
    /// The largest distance allowed for an element, in ULP: steps from one float to the next. If the formats of the
    /// two files differ, both are converted to f32 first.
    #[arg(long, value_name = "COUNT", allow_negative_numbers = true)]
    pub(crate) max_ulp: Option<u64>,
    /// The largest absolute difference allowed for an element, computed in f64.
    #[arg(long, value_name = "DISTANCE", allow_hyphen_values = true)]
    pub(crate) max_abs: Option<f64>,
    /// The largest difference allowed for an element, relative to the reference; with --max-abs, the sum of both is
    /// allowed, as in numpy.allclose.
    #[arg(long, value_name = "SHARE", allow_hyphen_values = true)]
    pub(crate) max_rel: Option<f64>,
    /// The largest difference allowed for an element, in steps of the candidate's scale (LSB). Where both are
    /// integers of one scale, it is exact; a reference of floats adds up to half a step by rounding alone.
    #[arg(long, value_name = "STEPS", allow_hyphen_values = true)]
    pub(crate) max_lsb: Option<f64>,
    /// The largest difference allowed between the two losses (needs --targets).
    #[arg(long, value_name = "DIFFERENCE", allow_hyphen_values = true)]
    pub(crate) max_loss_difference: Option<f64>,
    /// How many rows may be predicted differently: a whole number counts rows (3); a percentage (0.5%) or a number
    /// from 0 to 1 with a point (0.005) is a share of the rows that are compared.
    #[arg(long, value_name = "ROWS|SHARE", allow_hyphen_values = true)]
    pub(crate) max_changed: Option<String>,
    /// Writes a page for a browser, whether or not the tolerances hold: the verdict, the distribution of the errors, how
    /// reliable the probabilities of both are (with one label a row), which class became which, and the worst
    /// rows. It is one file that needs no network and no script.
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Option<PathBuf>,
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
