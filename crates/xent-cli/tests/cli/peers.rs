//! `eval --preset`, compared with the results of other libraries for one batch.

use std::collections::BTreeSet;
use std::fmt::Write;

use xent::Preset;
use xent_reference::peers::{self, Case, Kind, Loss, MeanOver, Reduction};

use crate::folder::Folder;

/// The options of a case; their arrays are saved in the folder.
fn options(folder: &Folder, case: &Case) -> String {
    let input = case.input(&peers::batch());
    let (rows, classes) = (input.labels.len() as u64, input.classes as u64);
    folder.save("x.npy", &[rows, classes], &input.input);
    if case.targets == Kind::Labels {
        folder.save("y.npy", &[rows], &input.labels);
    } else {
        folder.save("y.npy", &[rows, classes], &input.numbers);
    }
    let focal = case.gamma.is_some();
    let loss = match case.loss {
        Loss::Softmax if focal => "softmax-focal",
        Loss::Softmax => "softmax",
        Loss::Sigmoid if focal => "sigmoid-focal",
        Loss::Sigmoid => "sigmoid",
        Loss::Nll => "nll",
        Loss::MultinomialLogistic => "multinomial-logistic",
        Loss::Logistic => "logistic",
        Loss::SoftMargin => "multilabel-soft-margin",
    };
    let mut options = format!("--loss {loss} --input x.npy --targets y.npy");
    for (option, weights) in [
        ("class-weights", &input.class_weights),
        ("sample-weights", &input.sample_weights),
        ("pos-weight", &input.pos_weight),
    ] {
        if !weights.is_empty() {
            folder.save(&format!("{option}.npy"), &[weights.len() as u64], weights);
            write!(options, " --{option} {option}.npy").expect("text");
        }
    }
    let mut add = |option: &str, value: Option<String>| {
        if let Some(value) = value {
            write!(options, " --{option} {value}").expect("text");
        }
    };
    add("ignore-index", case.ignore_index.map(|label| label.to_string()));
    add("label-smoothing", (case.smoothing != 0.0).then(|| case.smoothing.to_string()));
    add("gamma", case.gamma.map(|gamma| gamma.to_string()));
    add("alpha", case.alpha.map(|alpha| alpha.to_string()));
    let reduction = case.reduction.map(|reduction| match reduction {
        Reduction::None => "none",
        Reduction::Sum => "sum",
        Reduction::Mean => "mean",
    });
    add("reduction", reduction.map(str::to_owned));
    let mean_over = case.mean_over.map(|mean_over| match mean_over {
        MeanOver::NotIgnored => "not-ignored",
        MeanOver::AllRows => "all-rows",
    });
    add("mean-over", mean_over.map(str::to_owned));
    options
}

#[test]
fn eval_with_a_preset_gives_what_its_peer_printed() {
    let folder = Folder::new();
    let (mut presets, mut wrong, mut cases) = (BTreeSet::new(), Vec::new(), 0);
    for file in peers::files() {
        // `xent` tests that the others cannot be expressed.
        for case in file.cases.iter().filter(|case| case.expressible) {
            let options = options(&folder, case);
            let preset = &file.preset;
            let command =
                format!("eval {options} --preset {preset} --loss-out l.npy --grad-out g.npy");
            let outcome = folder.run(&command);
            let shown = format!("{}: {}: xent {command}", file.peer, case.name);
            assert_eq!(outcome.status, Some(0), "{shown}: {}", outcome.stderr);
            let format = case.format.unwrap_or(file.format);
            let (_, loss) = folder.load::<f64>("l.npy");
            let difference = format.first_difference(&loss, &case.value.numbers());
            let gradient = || {
                let printed: Vec<f64> = case.grad.as_ref()?.iter().map(|g| g.get()).collect();
                format.first_difference(&folder.load::<f64>("g.npy").1, &printed)
            };
            wrong.extend(difference.or_else(gradient).map(|text| format!("{shown}: {text}")));
            presets.insert(file.preset.clone());
            cases += 1;
        }
    }
    assert!(wrong.is_empty(), "{} of {cases}:\n{}", wrong.len(), wrong.join("\n"));
    assert_eq!(presets, Preset::ALL.iter().map(ToString::to_string).collect());
}
