//! The loss of a layer is that of its logits: with every preset, and in reports that are added up.

use xent::linear::{Layer, LinearPass, Workspace};
use xent::{Error, Logits, NothingValid, Pass, Preset, Report, SoftmaxCrossEntropy, Targets};

const ROWS: usize = 6;
const CLASSES: usize = 5;

/// Inputs of one number and weights of one: their product is rounded once, so that its logits are known.
fn layer() -> (Vec<f32>, Vec<f32>, Vec<f32>) {
    let inputs = vec![1.0, -0.5, 2.0, 0.25, -1.5, 3.0];
    let weights = vec![0.3, -0.7, 1.1, 0.9, -1.3];
    let logits = inputs.iter().flat_map(|x| weights.iter().map(move |w| x * w)).collect();
    (inputs, weights, logits)
}

#[test]
fn every_preset_has_the_report_of_the_logits() -> Result<(), Error> {
    let (inputs, weights, logits) = layer();
    let labels = [2_i64, 0, 3, -100, 4, 1];
    let sample_weights = [1.0, 0.5, 0.0, 2.0, 1.5, 1.0];
    let class_weights = [1.0, 2.0, 0.5, 1.5, 0.25];
    for preset in Preset::ALL {
        for smoothing in [0.0, 0.1] {
            let loss = SoftmaxCrossEntropy::preset(preset)
                .with_ignore_index(-100)
                .with_label_smoothing(smoothing)?
                .with_class_weights(class_weights)?;
            let pass = Pass::new().count_correct().sample_weights(&sample_weights);
            let expected = loss.evaluate((&logits, CLASSES), &labels, pass)?;
            let pass = LinearPass::new().count_correct().sample_weights(&sample_weights);
            let layer = Layer::new(&inputs, &weights, 1)?;
            let found = loss.linear()?.evaluate(layer, &labels, pass, &mut Workspace::new())?;
            assert_eq!(found.loss, expected.loss, "{preset}");
            let report = Report::from(found);
            assert_eq!(report, expected, "{preset}");
            assert_eq!(report.accuracy(), expected.accuracy());
        }
    }
    Ok(())
}

#[test]
fn reports_of_a_layers_batches_add_up() -> Result<(), Error> {
    let (inputs, weights, logits) = layer();
    let labels = [2_i64, 0, 3, -1, 4, 1];
    let loss = SoftmaxCrossEntropy::new().with_ignore_index(-1);
    let pass = Pass::new().count_correct();
    let expected = loss.evaluate((&logits, CLASSES), &labels, pass)?;
    let (mut epoch, mut workspace) = (Report::default(), Workspace::new());
    for half in [0..ROWS / 2, ROWS / 2..ROWS] {
        let layer = Layer::new(&inputs[half.clone()], &weights, 1)?;
        let pass = LinearPass::new().count_correct();
        let report = loss.linear()?.evaluate(layer, &labels[half], pass, &mut workspace)?;
        epoch += Report::from(report);
    }
    assert!((epoch.loss - expected.loss).abs() < 1e-15);
    assert_eq!((epoch.rows, epoch.valid_rows, epoch.correct), (6, 5, expected.correct));
    Ok(())
}

#[test]
fn a_presets_ignored_label_goes_with_dense_targets_and_one_that_is_set_does_not()
-> Result<(), Error> {
    let (inputs, weights, logits) = layer();
    let dense = vec![0.2; ROWS * CLASSES];
    let preset = SoftmaxCrossEntropy::preset(Preset::PyTorch);
    let targets = xent::linear::SoftmaxTargets::Dense(&dense);
    let layer = Layer::new(&inputs, &weights, 1)?;
    let expected = preset.loss(Logits::new(&logits, CLASSES)?, Targets::dense(&dense))?;
    assert_eq!(preset.linear()?.loss(layer, targets)?, expected);
    assert!(preset.with_ignore_index(-100).linear()?.loss(layer, targets).is_err());
    Ok(())
}

#[test]
fn errors_of_the_layer_are_errors_of_the_loss() -> Result<(), Error> {
    let (inputs, weights, _) = layer();
    let layer = Layer::new(&inputs, &weights, 1)?;
    let loss = SoftmaxCrossEntropy::new();
    let evaluate = |labels: &[i64], workspace: &mut Workspace| {
        let report = loss.linear()?.evaluate(layer, labels, LinearPass::new(), workspace);
        report.map_err(Error::from)
    };
    assert_eq!(
        evaluate(&[7; ROWS], &mut Workspace::new()).unwrap_err().to_string(),
        "label out of range: row 0 has 7, expected 0..5"
    );
    let small = evaluate(&[1; ROWS], &mut Workspace::with_limit(1)).unwrap_err();
    assert!(matches!(small, Error::Workspace { allowed: 1, .. }), "{small:?}");
    assert!(small.to_string().contains("with_limit"), "{small}");
    let strict = loss.clone().with_ignore_index(1).with_nothing_valid(NothingValid::Error);
    let nothing = strict.linear()?.loss(layer, &[1; ROWS]).map_err(Error::from);
    assert_eq!(nothing, Err(Error::NothingValid));
    Ok(())
}
