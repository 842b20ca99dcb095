//! Results that other libraries printed for one batch: cases for presets and second derivatives.
//!
//! With the feature `golden`. The files are in the directory `peers` of this crate; `tools/peers` generates them.
//! Unknown fields are refused, so that no part of a case is missed.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::DeserializeOwned;

/// The batch that all peers were given, as rows of classes.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Batch {
    /// The logits.
    pub logits: Vec<Vec<f64>>,
    /// The label of each row.
    pub labels: Vec<i64>,
    /// The rows ignored with [`Ignored::Some`].
    pub ignored_rows: Vec<usize>,
    /// A weight for each class.
    pub class_weights: Vec<f64>,
    /// A weight for each row.
    pub sample_weights: Vec<f64>,
    /// A weight for the positive part of each class.
    pub pos_weight: Vec<f64>,
    /// The label smoothing of the cases that have some.
    pub smoothing: f64,
    /// Dense targets that sum to one.
    pub dense: Vec<Vec<f64>>,
    /// Dense targets that do not.
    pub uneven: Vec<Vec<f64>>,
    /// Zeros and ones.
    pub binary: Vec<Vec<f64>>,
    /// Numbers from 0 to 1.
    pub soft: Vec<Vec<f64>>,
}

/// The results of one peer.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// Its name.
    pub peer: String,
    /// The name of the preset that is compared with it.
    pub preset: String,
    /// The versions of the packages.
    pub versions: BTreeMap<String, String>,
    /// The format that it computed in.
    pub format: Format,
    /// The cases.
    pub cases: Vec<Case>,
}

/// The format that a peer computed in.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// 32 bits.
    F32,
    /// 64 bits.
    F64,
}

/// A question, and the result that the peer printed.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// The name, unique in its file.
    pub name: String,
    /// The loss.
    pub loss: Loss,
    /// The targets.
    #[serde(default)]
    pub targets: Kind,
    /// Which rows are ignored.
    #[serde(default)]
    pub ignored: Ignored,
    /// The label of ignored rows; the preset's own if there is none.
    pub ignore_index: Option<i64>,
    /// Weights for the classes.
    #[serde(default)]
    pub class_weights: ClassWeights,
    /// Whether rows have weights.
    #[serde(default)]
    pub sample_weights: bool,
    /// Whether positive parts have weights.
    #[serde(default)]
    pub pos_weight: bool,
    /// The label smoothing.
    #[serde(default)]
    pub smoothing: f64,
    /// The focal gamma.
    pub gamma: Option<f64>,
    /// The focal alpha.
    pub alpha: Option<f64>,
    /// The reduction, if it is not the preset's.
    pub reduction: Option<Reduction>,
    /// The divisor of a mean, if it is not the preset's.
    pub mean_over: Option<MeanOver>,
    /// The format of the computation, if it is not the file's.
    pub format: Option<Format>,
    /// The loss.
    pub value: Value,
    /// Its gradient (of the sum, if the loss is not reduced).
    pub grad: Option<Vec<Number>>,
    /// Whether the preset can express these numbers with the options above.
    pub expressible: bool,
    /// Why it cannot.
    pub reason: Option<String>,
}

/// A loss.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "they are the losses of the library")]
pub enum Loss {
    Softmax,
    Nll,
    MultinomialLogistic,
    Sigmoid,
    Logistic,
    SoftMargin,
}

/// Targets, by their name in the [`Batch`].
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "the fields of `Batch` have them")]
pub enum Kind {
    #[default]
    Labels,
    Dense,
    Uneven,
    Binary,
    Soft,
    /// The first column of the logits and of the binary targets.
    BinaryColumn,
}

/// Which rows are ignored.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Ignored {
    /// None of them.
    #[default]
    None,
    /// The rows that the batch names.
    Some,
    /// All of them.
    All,
}

/// Weights for the classes.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(untagged)]
pub enum ClassWeights {
    /// Whether the weights of the batch are given.
    Given(bool),
    /// They are all zero.
    Zero(ZeroWeights),
}

impl Default for ClassWeights {
    fn default() -> Self {
        Self::Given(false)
    }
}

/// The word for weights of zero.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum ZeroWeights {
    /// All zero.
    Zero,
}

/// How losses become one value.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "they are the reductions of the library")]
pub enum Reduction {
    None,
    Sum,
    Mean,
}

/// What a mean divides by.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[allow(missing_docs, reason = "they are the divisors of the library")]
pub enum MeanOver {
    NotIgnored,
    AllRows,
}

/// A number; JSON has no NaN.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq)]
#[serde(untagged)]
pub enum Number {
    /// A finite one.
    Finite(f64),
    /// A number that is not finite.
    Word(Word),
}

/// The word for a number that is not finite.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Word {
    /// Not a number.
    Nan,
}

impl Number {
    /// The number.
    pub fn get(self) -> f64 {
        match self {
            Self::Finite(value) => value,
            Self::Word(Word::Nan) => f64::NAN,
        }
    }
}

/// A loss, as a peer printed it.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(untagged)]
pub enum Value {
    /// One number.
    Reduced(Number),
    /// One number for each row, or for each element.
    Each(Vec<Number>),
}

impl Value {
    /// Its numbers.
    pub fn numbers(&self) -> Vec<f64> {
        match self {
            Self::Reduced(value) => vec![value.get()],
            Self::Each(values) => values.iter().map(|value| value.get()).collect(),
        }
    }
}

/// Second derivatives that a booster printed, for the batch's softmax loss by labels or for the sigmoid loss of its
/// first column.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HessianFile {
    /// Its name.
    pub peer: String,
    /// The convention.
    pub convention: Convention,
    /// The versions of the packages.
    pub versions: BTreeMap<String, String>,
    /// The format that it computed in.
    pub format: Format,
    /// The cases.
    pub cases: Vec<HessianCase>,
}

/// A convention of the Hessian.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "they are the conventions of the library")]
pub enum Convention {
    Exact,
    XgBoost,
    LightGbm,
}

/// A question, and the result that the booster printed.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HessianCase {
    /// The name.
    pub name: String,
    /// The loss.
    pub loss: Loss,
    /// Whether rows have weights.
    pub sample_weights: bool,
    /// Logits that replace the batch's.
    pub logits: Option<Vec<f64>>,
    /// The second derivatives.
    pub hessian: Vec<f64>,
    /// The gradient.
    pub grad: Option<Vec<f64>>,
    /// Whether the convention gives these numbers.
    pub expressible: bool,
    /// Why it does not.
    pub reason: Option<String>,
}

impl Format {
    /// The allowed difference: relative to the printed number, plus the rounding errors of a peer that subtracts
    /// numbers as large as the batch's logits.
    pub fn allowed(self, printed: f64) -> f64 {
        const LARGEST_LOGIT: f64 = 4.0;
        let (relative, epsilon) = match self {
            Self::F32 => (1e-6, f64::from(f32::EPSILON)),
            Self::F64 => (1e-12, f64::EPSILON),
        };
        relative * printed.abs() + LARGEST_LOGIT * epsilon / 2.0
    }

    /// Describes the first number that differs from the peer's.
    pub fn first_difference(self, answer: &[f64], printed: &[f64]) -> Option<String> {
        if answer.len() != printed.len() {
            return Some(format!("{} numbers, the peer has {}", answer.len(), printed.len()));
        }
        let mut pairs = answer.iter().zip(printed).enumerate();
        pairs
            .find(|&(_, (&answer, &printed))| {
                let both_nan = answer.is_nan() && printed.is_nan();
                let near = (answer - printed).abs() <= self.allowed(printed);
                !both_nan && !near
            })
            .map(|(place, (answer, printed))| {
                format!("number {place}: {answer:e}, the peer has {printed:e}")
            })
    }
}

/// The numbers of a case, row after row.
#[derive(Clone, Debug)]
pub struct Input {
    /// Logits, or for losses of probabilities the probabilities that follow from them.
    pub input: Vec<f64>,
    /// Inputs of a row.
    pub classes: usize,
    /// Labels; those of ignored rows are replaced.
    pub labels: Vec<i64>,
    /// Dense targets; empty if there are labels.
    pub numbers: Vec<f64>,
    /// A weight for each class, or nothing.
    pub class_weights: Vec<f64>,
    /// A weight for each row, or nothing.
    pub sample_weights: Vec<f64>,
    /// A weight for the positive part of each class, or nothing.
    pub pos_weight: Vec<f64>,
}

/// The first number of each row.
pub fn first_column(rows: &[Vec<f64>]) -> Vec<f64> {
    rows.iter().map(|row| row[0]).collect()
}

impl Case {
    /// The input of the loss.
    pub fn input(&self, batch: &Batch) -> Input {
        let column = self.targets == Kind::BinaryColumn;
        let logits = if column { first_column(&batch.logits) } else { batch.logits.concat() };
        let classes = logits.len() / batch.labels.len();
        let numbers = match self.targets {
            Kind::Labels => Vec::new(),
            Kind::Dense => batch.dense.concat(),
            Kind::Uneven => batch.uneven.concat(),
            Kind::Binary => batch.binary.concat(),
            Kind::Soft => batch.soft.concat(),
            Kind::BinaryColumn => first_column(&batch.binary),
        };
        // The default of the peers that have one.
        let ignored_label = self.ignore_index.unwrap_or(-100);
        let is_ignored = |row: usize| match self.ignored {
            Ignored::None => false,
            Ignored::Some => batch.ignored_rows.contains(&row),
            Ignored::All => true,
        };
        let labels = batch.labels.iter().enumerate();
        let labels = labels.map(|(row, &y)| if is_ignored(row) { ignored_label } else { y });
        let given = |given: bool, numbers: &[f64]| if given { numbers.to_vec() } else { vec![] };
        Input {
            classes,
            labels: labels.collect(),
            numbers,
            class_weights: match self.class_weights {
                ClassWeights::Given(yes) => given(yes, &batch.class_weights),
                ClassWeights::Zero(ZeroWeights::Zero) => vec![0.0; batch.class_weights.len()],
            },
            sample_weights: given(self.sample_weights, &batch.sample_weights),
            pos_weight: given(self.pos_weight, &batch.pos_weight),
            input: self.loss.input(&logits, classes),
        }
    }
}

impl Loss {
    /// The input that the loss takes, from logits: the logits, probabilities, or their logarithms.
    fn input(self, logits: &[f64], classes: usize) -> Vec<f64> {
        let softmax = |make: fn(f64, f64) -> f64| {
            let rows = logits.chunks(classes).flat_map(|row| {
                let sum: f64 = row.iter().map(|x| x.exp()).sum();
                row.iter().map(move |&x| make(x, sum))
            });
            rows.collect()
        };
        match self {
            Self::Softmax | Self::Sigmoid | Self::SoftMargin => logits.to_vec(),
            Self::Nll => softmax(|x, sum| x - sum.ln()),
            Self::MultinomialLogistic => softmax(|x, sum| x.exp() / sum),
            Self::Logistic => logits.iter().map(|x| 1.0 / (1.0 + (-x).exp())).collect(),
        }
    }

    /// Whether the loss has a value for each element.
    pub fn is_of_elements(self) -> bool {
        matches!(self, Self::Sigmoid | Self::Logistic)
    }
}

macro_rules! texts {
    ($($name:literal),*) => {
        [$(($name, include_str!(concat!("../peers/", $name, ".json")))),*]
    };
}

const LOSSES: [(&str, &str); 13] = texts!(
    "burn",
    "caffe",
    "candle",
    "keras",
    "mlx",
    "onnx",
    "onnxruntime",
    "optax",
    "paddle",
    "pytorch",
    "sklearn",
    "tensorflow",
    "torchvision"
);
const HESSIANS: [(&str, &str); 3] =
    texts!("hessian-lightgbm", "hessian-sklearn", "hessian-xgboost");

fn read<T: DeserializeOwned>(name: &str, text: &str) -> T {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{name}.json: {error}"))
}

/// The batch that all peers were given.
pub fn batch() -> Batch {
    read("batch", include_str!("../peers/batch.json"))
}

/// The results of each peer.
pub fn files() -> Vec<File> {
    LOSSES.iter().map(|(name, text)| read(name, text)).collect()
}

/// The second derivatives that each booster printed.
pub fn hessians() -> Vec<HessianFile> {
    HESSIANS.iter().map(|(name, text)| read(name, text)).collect()
}

#[cfg(test)]
mod test {
    use super::{HESSIANS, LOSSES, batch, files, hessians};

    #[test]
    fn every_file_is_listed_and_none_is_empty() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/peers");
        let listed = LOSSES.iter().chain(&HESSIANS).map(|(name, _)| format!("{name}.json"));
        let mut listed: Vec<String> = listed.chain(["batch.json".to_owned()]).collect();
        listed.sort();
        let entries =
            std::fs::read_dir(folder).expect("the folder").map(|entry| entry.expect("an entry"));
        let mut names: Vec<_> =
            entries.map(|entry| entry.file_name().into_string().expect("text")).collect();
        names.sort();
        assert_eq!(names, listed);
        assert!(!batch().labels.is_empty());
        assert!(files().iter().all(|file| !file.cases.is_empty() && !file.versions.is_empty()));
        assert!(hessians().iter().all(|file| !file.cases.is_empty() && !file.versions.is_empty()));
    }
}
