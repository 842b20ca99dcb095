//! The command line.

use std::path::PathBuf;

use clap::{ArgGroup, Args, Parser, Subcommand, ValueEnum};

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
  Arrays are .npy files, or tensors of .safetensors files: file.safetensors:name, or without the
  name where there is only one. Numbers are f64, f32, f16, bf16, integers or bool. A loss is
  computed in f64 if its input is f64, otherwise in f32; its targets (but for labels) and weights
  become that. NumPy has no bf16: elements of two bytes without a type (V2), as which ml_dtypes
  saves it, are taken for that. Files that are written are .npy files; they get their names when all
  of them are whole, and replace what was there.

Exit status:
  0    done; of compare: within the tolerance
  1    compare: outside of the tolerance
  2    an argument or a file is wrong, a disk is full, or a file changed while it was read
  130  interrupted by SIGINT (Ctrl-C), 143 by SIGTERM: nothing was written. A second one ends the
       program at once; a part of an output may then be left behind, named .xent-*";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Computes a loss of saved logits, and if asked its gradient.
    #[command(after_help = FILES_AND_STATUS)]
    Eval(Box<EvalArgs>),
    /// Holds a model's outputs against another's; exits with 1 where they differ too much.
    #[command(after_help = FILES_AND_STATUS)]
    Compare(CompareArgs),
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
    /// Logarithmic loss of probabilities: index targets.
    MultinomialLogistic,
    /// Binary cross-entropy of probabilities: dense or multi-hot targets.
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
    /// Rows that are not ignored and have a target.
    ValidRows,
    /// All rows.
    AllRows,
    /// Class weight times sample weight of what is not ignored.
    Weights,
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
    #[arg(long)]
    pub(crate) input: PathBuf,
    /// Indices (integers, without the class axis), or a number for each input.
    #[arg(long)]
    pub(crate) targets: PathBuf,
    /// The axis of the classes; negative from the end.
    #[arg(long, default_value_t = -1, allow_negative_numbers = true)]
    pub(crate) class_axis: isize,
    /// A weight for each class.
    #[arg(long)]
    pub(crate) class_weights: Option<PathBuf>,
    /// A weight for each row.
    #[arg(long)]
    pub(crate) sample_weights: Option<PathBuf>,
    /// A weight for the positive part of each class (sigmoid losses, logistic).
    #[arg(long)]
    pub(crate) pos_weight: Option<PathBuf>,
    /// ε (softmax, multilabel-softmax, sigmoid losses, logistic).
    #[arg(long)]
    pub(crate) label_smoothing: Option<f64>,
    /// The label of rows that do not count (index targets; sigmoid: of elements).
    #[arg(long, allow_negative_numbers = true)]
    pub(crate) ignore_index: Option<i64>,
    /// From the losses of the rows to one value.
    #[arg(long, default_value = "mean")]
    pub(crate) reduction: ReductionName,
    /// What a mean divides by.
    #[arg(long, default_value = "pytorch")]
    pub(crate) mean_over: MeanOverName,
    /// γ (focal losses) [default: 2].
    #[arg(long)]
    pub(crate) gamma: Option<f64>,
    /// α, the share of the positives (sigmoid-focal).
    #[arg(long)]
    pub(crate) alpha: Option<f64>,
    /// τ (distillation) [default: 1].
    #[arg(long)]
    pub(crate) temperature: Option<f64>,
    /// λ of an additional λ lse² (softmax losses).
    #[arg(long)]
    pub(crate) z_loss: Option<f64>,
    /// Logits become cap tanh(x / cap) (softmax losses).
    #[arg(long)]
    pub(crate) soft_cap: Option<f64>,
    /// Writes what the reduction gives: one f64, or a number for each row (or element), f64 if the
    /// input is and otherwise f32.
    #[arg(long)]
    pub(crate) loss_out: Option<PathBuf>,
    /// Writes the gradient by the input, in its shape.
    #[arg(long)]
    pub(crate) grad_out: Option<PathBuf>,
    /// The format of the gradient.
    #[arg(long, default_value = "input", requires = "grad_out")]
    pub(crate) grad_format: GradFormat,
    /// Writes the diagonal of the Hessian, in the input's shape: f64 if the input is, otherwise f32.
    #[arg(long)]
    pub(crate) hessian_out: Option<PathBuf>,
    /// Whose convention of the Hessian.
    #[arg(long, default_value = "exact", requires = "hessian_out")]
    pub(crate) hessian: HessianName,
    /// Which gradient (multilabel-softmax).
    #[arg(long)]
    pub(crate) gradient: Option<GradientName>,
    #[command(flatten)]
    pub(crate) machine: MachineArgs,
}

/// What runs, and how it is told.
#[derive(Clone, Debug, Args)]
pub(crate) struct MachineArgs {
    /// Threads; all of the machine if not given.
    #[arg(long)]
    pub(crate) threads: Option<usize>,
    /// Which instructions: auto, portable, avx2 or avx512.
    #[arg(long, default_value = "auto")]
    pub(crate) level: String,
    /// Prints one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
#[command(group(ArgGroup::new("tolerance").required(true).multiple(true).args(["max_ulp", "max_abs"])))]
pub(crate) struct CompareArgs {
    /// What the outputs should be, floats.
    #[arg(long)]
    pub(crate) reference: PathBuf,
    /// The outputs to judge, of the same shape; their format may be another.
    #[arg(long)]
    pub(crate) candidate: PathBuf,
    /// Targets, to compute the loss of both.
    #[arg(long)]
    pub(crate) targets: Option<PathBuf>,
    /// The loss of both, each computed as `eval` does.
    #[arg(long, default_value = "softmax", requires = "targets")]
    pub(crate) loss: LossName,
    /// The axis of the classes; negative from the end.
    #[arg(long, default_value_t = -1, allow_negative_numbers = true)]
    pub(crate) class_axis: isize,
    /// The most that an element may be away: in numbers that lie between, plus one. They are those
    /// of the format that both have, or of f32, which both become, if the formats differ.
    #[arg(long)]
    pub(crate) max_ulp: Option<u64>,
    /// The most that an element may be away, absolutely; computed in f64.
    #[arg(long)]
    pub(crate) max_abs: Option<f64>,
    #[command(flatten)]
    pub(crate) machine: MachineArgs,
}
