//! What other libraries printed for one batch (`tools/peers`), held to `xent`'s presets and Hessians.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use xent::{
    Error, Hessian, LogisticLoss, Logits, MeanOver, MultiLabelSoftMargin, MultinomialLogistic,
    NegativeLogLikelihood, Pass, Preset, Reduction, Report, SigmoidCrossEntropy,
    SoftmaxCrossEntropy, Targets,
};

/// What all peers were given.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Batch {
    logits: Vec<Vec<f64>>,
    labels: Vec<i64>,
    ignored_rows: Vec<usize>,
    class_weights: Vec<f64>,
    sample_weights: Vec<f64>,
    pos_weight: Vec<f64>,
    smoothing: f64,
    dense: Vec<Vec<f64>>,
    uneven: Vec<Vec<f64>>,
    binary: Vec<Vec<f64>>,
    soft: Vec<Vec<f64>>,
}

/// What one peer printed.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    peer: String,
    preset: String,
    versions: BTreeMap<String, String>,
    format: Format,
    cases: Vec<Case>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Format {
    F32,
    F64,
}

/// What the peer was asked, and what it printed: a field that this test does not know is an error.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    loss: Loss,
    #[serde(default)]
    targets: Kind,
    #[serde(default)]
    ignored: Ignored,
    ignore_index: Option<i64>,
    #[serde(default)]
    class_weights: ClassWeights,
    #[serde(default)]
    sample_weights: bool,
    #[serde(default)]
    pos_weight: bool,
    #[serde(default)]
    smoothing: f64,
    gamma: Option<f64>,
    alpha: Option<f64>,
    /// What a caller sets beside the preset.
    reduction: Option<Reduce>,
    mean_over: Option<Divide>,
    /// What the number is computed in, where it is not the file's.
    format: Option<Format>,
    value: Numbers,
    grad: Option<Vec<Number>>,
    expressible: bool,
    reason: Option<String>,
}

#[derive(Clone, Copy, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
enum Loss {
    Softmax,
    Nll,
    MultinomialLogistic,
    Sigmoid,
    Logistic,
    SoftMargin,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    #[default]
    Labels,
    Dense,
    Uneven,
    Binary,
    Soft,
    /// The first column of the logits and of the binary targets.
    BinaryColumn,
}

#[derive(Clone, Copy, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Ignored {
    #[default]
    None,
    Some,
    All,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum ClassWeights {
    Given(bool),
    Zero(ZeroWeights),
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum ZeroWeights {
    Zero,
}

impl Default for ClassWeights {
    fn default() -> Self {
        Self::Given(false)
    }
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Reduce {
    None,
    Sum,
    Mean,
}

#[derive(Clone, Copy, Deserialize)]
enum Divide {
    NotIgnored,
    Weights,
}

/// JSON has no NaN.
#[derive(Clone, Copy, Deserialize)]
#[serde(untagged)]
enum Number {
    Finite(f64),
    Word(Word),
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Word {
    Nan,
}

impl Number {
    fn get(self) -> f64 {
        match self {
            Self::Finite(value) => value,
            Self::Word(Word::Nan) => f64::NAN,
        }
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Numbers {
    Reduced(Number),
    /// A loss for each row or element.
    Each(Vec<Number>),
}

/// Second derivatives that one booster printed.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HessianFile {
    peer: String,
    convention: Convention,
    versions: BTreeMap<String, String>,
    format: Format,
    cases: Vec<HessianCase>,
}

#[derive(Clone, Copy, Deserialize)]
enum Convention {
    Exact,
    XgBoost,
    LightGbm,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HessianCase {
    name: String,
    loss: Loss,
    sample_weights: bool,
    /// In place of the batch's.
    logits: Option<Vec<f64>>,
    hessian: Vec<f64>,
    grad: Option<Vec<f64>>,
    expressible: bool,
    reason: Option<String>,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers")
}

fn read<T: DeserializeOwned>(path: &Path) -> T {
    let text = fs::read_to_string(path).expect("a file of this folder");
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn batch() -> Batch {
    read(&folder().join("batch.json"))
}

/// The files whose names begin this way, or none of these ways.
fn files(hessians: bool) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder()).expect("a folder");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let name = |path: &Path| path.file_name().and_then(|name| name.to_str()).map(str::to_owned);
    let mut paths: Vec<PathBuf> = paths
        .filter(|path| {
            let name = name(path).expect("a name");
            assert!(name.ends_with(".json"), "{name}");
            name != "batch.json" && name.starts_with("hessian-") == hessians
        })
        .collect();
    paths.sort();
    paths
}

/// What `xent` answers.
struct Answer {
    value: Vec<f64>,
    grad: Vec<f64>,
}

/// The numbers that a case is made of.
struct Input<'a> {
    case: &'a Case,
    preset: Preset,
    logits: Vec<f64>,
    classes: usize,
    labels: Vec<i64>,
    numbers: Vec<f64>,
    class_weights: Vec<f64>,
    sample_weights: Vec<f64>,
    pos_weight: Vec<f64>,
}

fn first_column(rows: &[Vec<f64>]) -> Vec<f64> {
    rows.iter().map(|row| row[0]).collect()
}

impl<'a> Input<'a> {
    fn new(batch: &Batch, preset: Preset, case: &'a Case) -> Self {
        let column = matches!(case.targets, Kind::BinaryColumn);
        let logits = if column { first_column(&batch.logits) } else { batch.logits.concat() };
        let rows = batch.labels.len();
        let numbers = match case.targets {
            Kind::Labels => Vec::new(),
            Kind::Dense => batch.dense.concat(),
            Kind::Uneven => batch.uneven.concat(),
            Kind::Binary => batch.binary.concat(),
            Kind::Soft => batch.soft.concat(),
            Kind::BinaryColumn => first_column(&batch.binary),
        };
        // The peers whose own default is used have this one.
        let ignored_label = case.ignore_index.unwrap_or(-100);
        let is_ignored = |row: usize| match case.ignored {
            Ignored::None => false,
            Ignored::Some => batch.ignored_rows.contains(&row),
            Ignored::All => true,
        };
        let labels = batch.labels.iter().enumerate();
        let labels = labels.map(|(row, &y)| if is_ignored(row) { ignored_label } else { y });
        let given =
            |given: bool, numbers: &[f64]| if given { numbers.to_vec() } else { Vec::new() };
        assert!(case.smoothing == 0.0 || case.smoothing == batch.smoothing, "{}", case.name);
        Self {
            case,
            preset,
            classes: logits.len() / rows,
            logits,
            labels: labels.collect(),
            numbers,
            class_weights: match case.class_weights {
                ClassWeights::Given(yes) => given(yes, &batch.class_weights),
                ClassWeights::Zero(ZeroWeights::Zero) => vec![0.0; batch.class_weights.len()],
            },
            sample_weights: given(case.sample_weights, &batch.sample_weights),
            pos_weight: given(case.pos_weight, &batch.pos_weight),
        }
    }

    fn targets(&self) -> Targets<'_, f64> {
        match self.case.targets {
            Kind::Labels => Targets::index(&self.labels),
            _ => Targets::dense(&self.numbers),
        }
    }

    /// Probabilities of the logits, or their logarithms.
    fn input(&self) -> Vec<f64> {
        let softmax = |ln: bool| {
            self.logits
                .chunks(self.classes)
                .flat_map(|row| {
                    let sum: f64 = row.iter().map(|x| x.exp()).sum();
                    row.iter().map(move |x| if ln { x - sum.ln() } else { x.exp() / sum })
                })
                .collect()
        };
        match self.case.loss {
            Loss::Softmax | Loss::Sigmoid | Loss::SoftMargin => self.logits.clone(),
            Loss::Nll => softmax(true),
            Loss::MultinomialLogistic => softmax(false),
            Loss::Logistic => self.logits.iter().map(|x| 1.0 / (1.0 + (-x).exp())).collect(),
        }
    }

    /// Calls the loss with the preset of the peer, and with what the case sets beside it.
    fn answer(&self) -> Result<Answer, Error> {
        let case = self.case;
        let input = self.input();
        let logits = Logits::new(&input, self.classes)?;
        let losses_of_elements =
            matches!(case.loss, Loss::Sigmoid | Loss::Logistic | Loss::SoftMargin);
        let count = if losses_of_elements { input.len() } else { self.labels.len() };
        let is_reduced = matches!(case.value, Numbers::Reduced(_));
        let mut losses = vec![f64::NAN; if is_reduced { 0 } else { count }];
        let mut grad = vec![f64::NAN; input.len()];
        let pass =
            Pass::new().grad(&mut grad).losses(&mut losses).sample_weights(&self.sample_weights);
        macro_rules! run {
            ($loss:expr) => {{
                let mut loss = $loss;
                if let Some(reduction) = case.reduction {
                    loss = loss.with_reduction(match reduction {
                        Reduce::None => Reduction::None,
                        Reduce::Sum => Reduction::Sum,
                        Reduce::Mean => Reduction::Mean,
                    });
                }
                if let Some(mean_over) = case.mean_over {
                    loss = loss.with_mean_over(match mean_over {
                        Divide::NotIgnored => MeanOver::NotIgnored,
                        Divide::Weights => MeanOver::Weights,
                    });
                }
                if let Some(label) = case.ignore_index {
                    loss = loss.with_ignore_index(label);
                }
                loss.evaluate(logits, self.targets(), pass)?
            }};
        }
        let unused =
            |is_unused: bool| assert!(is_unused, "{}: an option that is not used", case.name);
        let report: Report = match case.loss {
            Loss::Softmax => {
                unused(self.pos_weight.is_empty() && case.alpha.is_none());
                run!(
                    SoftmaxCrossEntropy::preset(self.preset)
                        .with_class_weights(&self.class_weights)?
                        .with_label_smoothing(case.smoothing)?
                        .with_focal_gamma(case.gamma.unwrap_or(0.0))?
                )
            }
            Loss::Sigmoid => run!(
                SigmoidCrossEntropy::preset(self.preset)
                    .with_class_weights(&self.class_weights)?
                    .with_pos_weight(&self.pos_weight)?
                    .with_label_smoothing(case.smoothing)?
                    .with_focal(case.gamma.unwrap_or(0.0), case.alpha)?
            ),
            Loss::Nll => {
                self.assert_plain();
                let loss = NegativeLogLikelihood::preset(self.preset);
                run!(loss.with_class_weights(&self.class_weights)?)
            }
            Loss::MultinomialLogistic => {
                self.assert_plain();
                let loss = MultinomialLogistic::preset(self.preset);
                run!(loss.with_class_weights(&self.class_weights)?)
            }
            Loss::Logistic => {
                self.assert_plain();
                unused(self.class_weights.is_empty());
                run!(LogisticLoss::new())
            }
            Loss::SoftMargin => {
                self.assert_plain();
                unused(self.class_weights.is_empty());
                run!(MultiLabelSoftMargin::new())
            }
        };
        let value = report.loss.map_or(losses, |loss| vec![loss]);
        Ok(Answer { value, grad })
    }

    /// The loss has none of these options, so none may be set.
    fn assert_plain(&self) {
        let case = self.case;
        let plain = self.pos_weight.is_empty()
            && case.smoothing == 0.0
            && case.gamma.is_none()
            && case.alpha.is_none();
        assert!(plain, "{}: an option that is not used", case.name);
    }
}

impl Format {
    /// How near an answer has to be: relative to what the peer printed, and for the rounding errors of a
    /// peer that subtracts numbers as large as the logits from each other.
    fn allowed(self, printed: f64) -> f64 {
        const LARGEST_LOGIT: f64 = 4.0;
        match self {
            Self::F32 => 1e-6 * printed.abs() + LARGEST_LOGIT * f64::from(f32::EPSILON) / 2.0,
            Self::F64 => 1e-12 * printed.abs() + LARGEST_LOGIT * f64::EPSILON / 2.0,
        }
    }
}

/// The first number that is not what the peer printed.
fn first_difference(format: Format, answer: &[f64], printed: &[f64]) -> Option<String> {
    if answer.len() != printed.len() {
        return Some(format!("{} numbers, the peer has {}", answer.len(), printed.len()));
    }
    let mut pairs = answer.iter().zip(printed).enumerate();
    pairs
        .find(|(_, (answer, printed))| {
            let same = answer.is_nan() && printed.is_nan();
            !same && !((*answer - *printed).abs() <= format.allowed(**printed))
        })
        .map(|(place, (answer, printed))| {
            format!("number {place}: {answer:e}, the peer has {printed:e}")
        })
}

/// How the answer to a case differs from what the peer printed.
fn difference(file: &File, case: &Case, input: &Input<'_>) -> Option<String> {
    let format = case.format.unwrap_or(file.format);
    let answer = match input.answer() {
        Ok(answer) => answer,
        Err(error) => return Some(error.to_string()),
    };
    let value: Vec<f64> = match &case.value {
        Numbers::Reduced(value) => vec![value.get()],
        Numbers::Each(values) => values.iter().map(|value| value.get()).collect(),
    };
    let value = first_difference(format, &answer.value, &value);
    let grad = || {
        let grad: Vec<f64> = case.grad.as_ref()?.iter().map(|value| value.get()).collect();
        first_difference(format, &answer.grad, &grad).map(|text| format!("gradient, {text}"))
    };
    value.or_else(grad)
}

/// Caffe cannot be installed from where the others are.
const WITHOUT_NUMBERS: [Preset; 1] = [Preset::Caffe];

#[test]
fn every_preset_gives_what_its_peer_printed() {
    let batch = batch();
    let mut with_labels = BTreeSet::new();
    let mut wrong = Vec::new();
    let mut cases = 0;
    for path in files(false) {
        let file: File = read(&path);
        assert!(
            file.versions.values().all(|version| version.starts_with(|c: char| c.is_ascii_digit()))
        );
        assert!(!file.versions.is_empty() && !file.cases.is_empty(), "{}", file.peer);
        let preset: Preset = file.preset.parse().expect("a preset");
        let mut names = BTreeSet::new();
        for case in &file.cases {
            assert!(names.insert(&case.name), "{}: {} twice", file.peer, case.name);
            cases += 1;
            let input = Input::new(&batch, preset, case);
            let difference = difference(&file, case, &input);
            let shown = format!("{}: {}", file.peer, case.name);
            if case.expressible {
                assert!(case.reason.is_none(), "{shown}");
                with_labels.extend((case.loss == Loss::Softmax).then_some(preset.name()));
                wrong.extend(difference.map(|text| format!("{shown}: {text}")));
            } else {
                assert!(case.reason.as_ref().is_some_and(|reason| !reason.is_empty()), "{shown}");
                // What has become the same is no exception any more.
                wrong.extend(difference.is_none().then(|| format!("{shown}: the same after all")));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {cases}:\n{}", wrong.len(), wrong.join("\n"));
    let presets = Preset::ALL.iter().filter(|preset| !WITHOUT_NUMBERS.contains(preset));
    let presets: BTreeSet<&str> = presets.map(|preset| preset.name()).collect();
    assert_eq!(with_labels, presets);
}

#[test]
fn hessians_are_those_that_boosters_printed() {
    let batch = batch();
    let first = |rows: &[Vec<f64>]| first_column(rows);
    let mut conventions = BTreeSet::new();
    let mut wrong = Vec::new();
    for path in files(true) {
        let file: HessianFile = read(&path);
        assert!(!file.versions.is_empty() && !file.cases.is_empty(), "{}", file.peer);
        let (name, convention) = match file.convention {
            Convention::Exact => ("Exact", Hessian::Exact),
            Convention::XgBoost => ("XgBoost", Hessian::XgBoost),
            Convention::LightGbm => ("LightGbm", Hessian::LightGbm),
        };
        for case in &file.cases {
            let is_softmax = case.loss == Loss::Softmax;
            let logits = case.logits.clone().unwrap_or_else(|| {
                if is_softmax { batch.logits.concat() } else { first(&batch.logits) }
            });
            let targets = first(&batch.binary);
            let mut hessian = vec![f64::NAN; logits.len()];
            let mut grad = vec![f64::NAN; logits.len()];
            let weights =
                if case.sample_weights { batch.sample_weights.clone() } else { Vec::new() };
            let pass = Pass::new().hessian(&mut hessian, convention).grad(&mut grad);
            let pass = pass.sample_weights(&weights);
            let view = Logits::new(&logits, logits.len() / batch.labels.len()).expect("whole rows");
            let report = if is_softmax {
                let loss = SoftmaxCrossEntropy::new().with_reduction(Reduction::Sum);
                loss.evaluate(view, Targets::index(&batch.labels), pass)
            } else {
                assert!(case.loss == Loss::Sigmoid, "{}", case.name);
                let loss = SigmoidCrossEntropy::new().with_reduction(Reduction::Sum);
                loss.evaluate(view, Targets::dense(&targets), pass)
            };
            report.expect("valid input");
            // At the floor there is nothing to round; elsewhere a probability is subtracted from one.
            let at_floor = case.hessian.iter().all(|h| *h < 1e-15);
            let differs = |answer: &[f64], printed: &[f64]| {
                if !at_floor {
                    return first_difference(file.format, answer, printed);
                }
                let far = answer.iter().zip(printed).find(|(a, p)| (*a - *p).abs() > 1e-6 * **p);
                far.map(|(answer, printed)| format!("{answer:e}, the peer has {printed:e}"))
            };
            let difference = differs(&hessian, &case.hessian).or_else(|| {
                let text = first_difference(file.format, &grad, case.grad.as_ref()?)?;
                Some(format!("gradient, {text}"))
            });
            let shown = format!("{}: {}", file.peer, case.name);
            assert_ne!(case.expressible, case.reason.is_some(), "{shown}");
            match difference {
                Some(text) if case.expressible => wrong.push(format!("{shown}: {text}")),
                None if !case.expressible => wrong.push(format!("{shown}: the same after all")),
                _ => _ = conventions.insert((name, is_softmax)),
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let losses = ["Exact", "LightGbm", "XgBoost"].map(|name| [(name, false), (name, true)]);
    assert_eq!(conventions, losses.into_iter().flatten().collect());
}
