//! What other libraries printed for one batch (`tools/peers`), held to the presets and the Hessians.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use xent::{
    Error, Hessian, LogisticLoss, Logits, MeanOver, MultiLabelSoftMargin, MultinomialLogistic,
    NegativeLogLikelihood, Pass, Preset, Reduction, SigmoidCrossEntropy, SoftmaxCrossEntropy,
    Targets,
};
use xent_reference::peers::{self, Batch, Case, Convention, File, Input, Kind, Loss, Value};

/// What `xent` answers.
struct Answer {
    value: Vec<f64>,
    grad: Vec<f64>,
}

fn preset(file: &File) -> Preset {
    file.preset.parse().expect("a preset")
}

/// Calls the loss with the preset of the peer, and with what the case sets beside it.
fn answer(preset: Preset, case: &Case, input: &Input) -> Result<Answer, Error> {
    let logits = Logits::new(&input.input, input.classes)?;
    let targets = match case.targets {
        Kind::Labels => Targets::index(&input.labels),
        _ => Targets::dense(&input.numbers),
    };
    let count = match case.value {
        Value::Reduced(_) => 0,
        Value::Each(_) if case.loss.is_of_elements() => input.input.len(),
        Value::Each(_) => input.labels.len(),
    };
    let (mut losses, mut grad) = (vec![f64::NAN; count], vec![f64::NAN; input.input.len()]);
    let pass = Pass::new().grad(&mut grad).losses(&mut losses);
    let pass = pass.sample_weights(&input.sample_weights);
    macro_rules! run {
        ($loss:expr) => {{
            let mut loss = $loss;
            if let Some(reduction) = case.reduction {
                loss = loss.with_reduction(match reduction {
                    peers::Reduction::None => Reduction::None,
                    peers::Reduction::Sum => Reduction::Sum,
                    peers::Reduction::Mean => Reduction::Mean,
                });
            }
            if let Some(mean_over) = case.mean_over {
                loss = loss.with_mean_over(match mean_over {
                    peers::MeanOver::NotIgnored => MeanOver::NotIgnored,
                    peers::MeanOver::AllRows => MeanOver::AllRows,
                });
            }
            if let Some(label) = case.ignore_index {
                loss = loss.with_ignore_index(label);
            }
            loss.evaluate(logits, targets, pass)?
        }};
    }
    // What a loss has no use for must not be set.
    let no_pos_weight = input.pos_weight.is_empty();
    let plain = no_pos_weight && case.smoothing == 0.0 && case.gamma.or(case.alpha).is_none();
    let weighed = !input.class_weights.is_empty();
    let used = match case.loss {
        Loss::Softmax => no_pos_weight && case.alpha.is_none(),
        Loss::Sigmoid => true,
        Loss::Nll | Loss::MultinomialLogistic => plain,
        Loss::Logistic | Loss::SoftMargin => plain && !weighed,
    };
    assert!(used, "{}: an option that is not used", case.name);
    let report = match case.loss {
        Loss::Softmax => run!(
            SoftmaxCrossEntropy::preset(preset)
                .with_class_weights(&input.class_weights)?
                .with_label_smoothing(case.smoothing)?
                .with_focal_gamma(case.gamma.unwrap_or(0.0))?
        ),
        Loss::Sigmoid => run!(
            SigmoidCrossEntropy::preset(preset)
                .with_class_weights(&input.class_weights)?
                .with_pos_weight(&input.pos_weight)?
                .with_label_smoothing(case.smoothing)?
                .with_focal(case.gamma.unwrap_or(0.0), case.alpha)?
        ),
        Loss::Nll => {
            run!(NegativeLogLikelihood::preset(preset).with_class_weights(&input.class_weights)?)
        }
        Loss::MultinomialLogistic => {
            run!(MultinomialLogistic::preset(preset).with_class_weights(&input.class_weights)?)
        }
        Loss::Logistic => run!(LogisticLoss::preset(preset)),
        Loss::SoftMargin => run!(MultiLabelSoftMargin::new()),
    };
    let value = if losses.is_empty() { vec![report.loss] } else { losses };
    Ok(Answer { value, grad })
}

/// How the answer to a case differs from what the peer printed.
fn difference(file: &File, batch: &Batch, case: &Case) -> Option<String> {
    let format = case.format.unwrap_or(file.format);
    let answer = match answer(preset(file), case, &case.input(batch)) {
        Ok(answer) => answer,
        Err(error) => return Some(error.to_string()),
    };
    let gradient = || {
        let printed: Vec<f64> = case.grad.as_ref()?.iter().map(|value| value.get()).collect();
        let difference = format.first_difference(&answer.grad, &printed)?;
        Some(format!("gradient, {difference}"))
    };
    format.first_difference(&answer.value, &case.value.numbers()).or_else(gradient)
}

#[test]
fn every_preset_gives_what_its_peer_printed() {
    let batch = peers::batch();
    let (mut with_labels, mut of_elements) = (BTreeSet::new(), BTreeSet::new());
    let (mut wrong, mut cases) = (Vec::new(), 0);
    for file in peers::files() {
        let mut names = BTreeSet::new();
        for case in &file.cases {
            assert!(names.insert(&case.name), "{}: {} twice", file.peer, case.name);
            cases += 1;
            let difference = difference(&file, &batch, case);
            let shown = format!("{}: {}", file.peer, case.name);
            let has_reason = case.reason.as_ref().is_some_and(|reason| !reason.is_empty());
            assert_ne!(case.expressible, has_reason, "{shown}");
            if case.expressible {
                match case.loss {
                    Loss::Softmax => with_labels.insert(file.preset.clone()),
                    loss => loss.is_of_elements() && of_elements.insert(file.preset.clone()),
                };
                wrong.extend(difference.map(|text| format!("{shown}: {text}")));
            } else if difference.is_none() {
                wrong.push(format!("{shown}: the same after all"));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {cases}:\n{}", wrong.len(), wrong.join("\n"));
    let mut presets: BTreeSet<String> = Preset::ALL.iter().map(ToString::to_string).collect();
    assert_eq!(with_labels, presets);
    // ONNX has no sigmoid loss.
    presets.remove(Preset::Onnx.name());
    assert_eq!(of_elements, presets);
}

#[test]
fn hessians_are_those_that_boosters_printed() {
    let batch = peers::batch();
    let targets = peers::first_column(&batch.binary);
    let (mut seen, mut wrong) = (BTreeSet::new(), Vec::new());
    for file in peers::hessians() {
        let convention = match file.convention {
            Convention::Exact => Hessian::Exact,
            Convention::XgBoost => Hessian::XgBoost,
            Convention::LightGbm => Hessian::LightGbm,
        };
        for case in &file.cases {
            let is_softmax = case.loss == Loss::Softmax;
            let logits = match &case.logits {
                Some(logits) => logits.clone(),
                None if is_softmax => batch.logits.concat(),
                None => peers::first_column(&batch.logits),
            };
            let mut hessian = vec![f64::NAN; logits.len()];
            let mut grad = vec![f64::NAN; logits.len()];
            let weights: &[f64] = if case.sample_weights { &batch.sample_weights } else { &[] };
            let pass = Pass::new().hessian(&mut hessian, convention).grad(&mut grad);
            let pass = pass.sample_weights(weights);
            let view = Logits::new(&logits, logits.len() / batch.labels.len()).expect("rows");
            let report = if is_softmax {
                let loss = SoftmaxCrossEntropy::new().with_reduction(Reduction::Sum);
                loss.evaluate(view, Targets::index(&batch.labels), pass)
            } else {
                assert_eq!(case.loss, Loss::Sigmoid, "{}", case.name);
                let loss = SigmoidCrossEntropy::new().with_reduction(Reduction::Sum);
                loss.evaluate(view, Targets::dense(&targets), pass)
            };
            report.expect("valid input");
            // At the floor nothing is subtracted that could be rounded.
            let at_floor = case.hessian.iter().all(|&h| h < 1e-15);
            let scale = if at_floor { 1e16 } else { 1.0 };
            let scaled = |values: &[f64]| values.iter().map(|h| scale * h).collect::<Vec<f64>>();
            let difference =
                file.format.first_difference(&scaled(&hessian), &scaled(&case.hessian));
            let gradient = || {
                let difference = file.format.first_difference(&grad, case.grad.as_ref()?)?;
                Some(format!("gradient, {difference}"))
            };
            let shown = format!("{}: {}", file.peer, case.name);
            assert_ne!(case.expressible, case.reason.is_some(), "{shown}");
            match difference.or_else(gradient) {
                Some(text) if case.expressible => wrong.push(format!("{shown}: {text}")),
                None if !case.expressible => wrong.push(format!("{shown}: the same after all")),
                _ => _ = seen.insert((file.convention, is_softmax)),
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let conventions = [Convention::Exact, Convention::XgBoost, Convention::LightGbm];
    let all = conventions.iter().flat_map(|&convention| [(convention, false), (convention, true)]);
    assert_eq!(seen, all.collect());
}

/// The case of each preset whose number the table of `docs/peers.md` shows: all that the peer takes at once.
const SHOWN: [(Preset, &str); 11] = [
    (Preset::PyTorch, "labels, ignored some, class weights True, smoothing 0.125"),
    (Preset::Keras, "labels, ignored some -1, sample weights True"),
    (Preset::TensorFlow, "labels, v1, smoothing, sample weights True"),
    (Preset::Optax, "labels, smoothing"),
    (Preset::Onnx, "SoftmaxCrossEntropyLoss, ignored some -1, class weights True, mean"),
    (Preset::Caffe, "SoftmaxWithLoss by default, ignored some -1"),
    (Preset::Paddle, "labels, ignored some -100, class weights True, mean"),
    (Preset::Mlx, "labels, sample weights True, smoothing 0.125, mean"),
    (Preset::Burn, "labels, ignored some, class weights true, smoothing 0.125"),
    (Preset::Candle, "labels"),
    (Preset::Sklearn, "log_loss, softmax, sample weights True, normalize True"),
];

#[test]
fn the_documentation_shows_what_was_printed() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/peers.md");
    let page = fs::read_to_string(page).expect("the page");
    let files = peers::files();
    let mut presets = BTreeSet::new();
    for (preset, name) in SHOWN {
        presets.insert(preset.name());
        let file = files.iter().find(|file| file.peer == preset.name()).expect("a file");
        let case = file.cases.iter().find(|case| case.name == name).expect(name);
        let start = format!("| `{preset:?}` |");
        let row = page.lines().find(|line| line.starts_with(&start)).expect("a row of the table");
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let version = cells[2];
        assert!(file.versions.values().any(|used| used == version), "{preset}: {version}");
        assert_eq!(cells[cells.len() - 2].parse(), Ok(case.value.numbers()[0]), "{row}");
    }
    assert_eq!(presets, Preset::ALL.iter().map(|preset| preset.name()).collect());
}
