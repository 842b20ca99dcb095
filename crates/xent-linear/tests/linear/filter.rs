//! What the filter leaves out, and what it may change.

use xent_core::reduction::{Policy, Reduction};
use xent_core::{SoftmaxOptions, SoftmaxTargets};
use xent_linear::{Layer, LinearCrossEntropy, LinearPass, LinearReport, Workspace};

use crate::layer::Numbers;

/// Loss, share left out, and the gradients by inputs, weights and bias.
type Results = (LinearReport, Vec<f32>, Vec<f32>, Vec<f32>);

/// A layer that is sure of most of its rows: each label's weights point to its rows.
fn trained() -> (Numbers, Vec<i64>) {
    let (rows, hidden, classes) = (700, 128, 2000);
    let mut numbers = Numbers::new(21, rows, hidden, classes);
    let labels: Vec<i64> = (0..rows as i64).map(|row| row * row % 97 * 20).collect();
    for (row, label) in labels.iter().enumerate() {
        let label = *label as usize;
        for input in 0..hidden {
            // Five times the direction of the label, so that it has nearly all of the probability.
            let direction = numbers.weights[label * hidden + input];
            let noise = numbers.inputs[row * hidden + input];
            numbers.inputs[row * hidden + input] = 5.0 * direction + 0.2 * noise;
        }
    }
    // A row that the layer knows nothing of, and one that is ignored.
    numbers.inputs[..hidden].fill(0.0);
    let mut labels = labels;
    labels[5] = -1;
    (numbers, labels)
}

fn run(
    numbers: &Numbers,
    labels: &[i64],
    epsilon: f64,
    workspace: &mut Workspace,
    policy: Policy,
) -> Results {
    let options = SoftmaxOptions { ignore_index: Some(-1), ..SoftmaxOptions::default() };
    let loss = LinearCrossEntropy::new(options).unwrap().with_policy(policy);
    let loss = loss.with_gradient_filter(epsilon).unwrap();
    let mut of_inputs = vec![7.0; numbers.inputs.len()];
    let mut of_weights = vec![7.0; numbers.weights.len()];
    let mut of_bias = vec![7.0; numbers.bias.len()];
    let pass = LinearPass::new()
        .grad_inputs(&mut of_inputs)
        .grad_weights(&mut of_weights)
        .grad_bias(&mut of_bias);
    let report = loss.evaluate(numbers.layer(), labels, pass, workspace).unwrap();
    (report, of_inputs, of_weights, of_bias)
}

const SUM: Policy = Policy {
    reduction: Reduction::Sum,
    mean_over: xent_core::reduction::MeanOver::PyTorch,
    nothing_valid: xent_core::reduction::NothingValid::Zero,
};

/// What ordinary rounding may differ by: the order of the sums is another.
const ROUNDING: f64 = 2e-4;

#[test]
fn gradients_change_by_less_than_the_bound() {
    let (numbers, labels) = trained();
    let hidden = numbers.hidden;
    let (plain, inputs, weights, bias) = run(&numbers, &labels, 0.0, &mut Workspace::new(), SUM);
    assert_eq!(plain.left_out, 0.0);
    for epsilon in [2_f64.powi(-12), 2_f64.powi(-24), 1e-2] {
        let (report, of_inputs, of_weights, of_bias) =
            run(&numbers, &labels, epsilon, &mut Workspace::new(), SUM);
        assert_eq!(report.loss, plain.loss);
        assert_eq!(of_bias, bias);
        assert!(report.left_out > 0.1, "{epsilon}: {}", report.left_out);
        for input in 0..hidden {
            let column = |values: &[f32]| -> f64 {
                values.chunks(hidden).map(|row| f64::from(row[input].abs())).sum()
            };
            let bound = epsilon * column(&numbers.weights) + ROUNDING;
            for (found, expected) in of_inputs.chunks(hidden).zip(inputs.chunks(hidden)) {
                assert!(f64::from((found[input] - expected[input]).abs()) <= bound);
            }
            let bound = epsilon * column(&numbers.inputs) + ROUNDING;
            for (found, expected) in of_weights.chunks(hidden).zip(weights.chunks(hidden)) {
                assert!(f64::from((found[input] - expected[input]).abs()) <= bound);
            }
        }
    }
}

#[test]
fn a_label_does_not_keep_its_block_and_is_not_lost() {
    // One row that is all but sure of a wrong class: the label's probability is tiny, its gradient is -1.
    let (hidden, classes) = (4, 1024);
    let mut weights = vec![0.0_f32; classes * hidden];
    for (class, row) in weights.chunks_mut(hidden).enumerate() {
        row[1] = class as f32 / 1024.0;
    }
    weights[hidden] = 60.0;
    let inputs = [1.0, 0.25, 0.0, 0.0];
    let layer = Layer::new(&inputs, &weights, hidden).unwrap();
    let (mut dx, mut dw) = ([0.0; 4], vec![0.0; weights.len()]);
    let pass = LinearPass::new().grad_inputs(&mut dx).grad_weights(&mut dw);
    let loss = LinearCrossEntropy::default().with_gradient_filter(1e-6).unwrap();
    let report = loss.evaluate(layer, &[900_u16], pass, &mut Workspace::new()).unwrap();
    // The block of class 1 is kept, the other three are not, that of the label neither.
    assert_eq!(report.left_out, 0.75);
    assert_eq!(dw[900 * hidden], -1.0);
    assert!((dx[1] - (1.0 / 1024.0 - 900.0 / 1024.0)).abs() < 1e-6, "{dx:?}");
    assert!((dx[0] - 60.0).abs() < 1e-4);
}

#[test]
fn threads_and_workspaces_change_no_bit() {
    let (numbers, labels) = trained();
    let policy = Policy::default();
    let epsilon = 2_f64.powi(-12);
    let expected = run(&numbers, &labels, epsilon, &mut Workspace::new(), policy);
    for (threads, megabytes) in [(1, 4), (2, 60), (3, 7), (7, 5)] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let mut workspace = Workspace::with_limit(megabytes << 20);
        let found = pool.install(|| run(&numbers, &labels, epsilon, &mut workspace, policy));
        assert!(found == expected, "{threads} threads, {megabytes} MiB");
        assert!(workspace.bytes() <= megabytes << 20);
    }
}

#[test]
fn it_goes_with_dense_targets_weights_and_a_sum_that_is_added() {
    let (numbers, _) = trained();
    let classes = numbers.classes();
    let mut dense = vec![0.0; numbers.rows() * classes];
    for (row, targets) in dense.chunks_mut(classes).enumerate() {
        targets[row * row % 97 * 20] = 0.75;
        targets[row % classes] += 0.25;
    }
    let weights: Vec<f32> = (0..numbers.rows()).map(|row| row as f32 % 3.0 - 0.5).collect();
    let run = |epsilon: f64| {
        let mut of_inputs = vec![1.0; numbers.inputs.len()];
        let mut of_weights = vec![1.0; numbers.weights.len()];
        let pass = LinearPass::new()
            .accumulate_grad_inputs(&mut of_inputs)
            .accumulate_grad_weights(&mut of_weights)
            .sample_weights(&weights);
        let loss = LinearCrossEntropy::default().with_gradient_filter(epsilon).unwrap();
        let targets = SoftmaxTargets::Dense(&dense);
        let report = loss.evaluate(numbers.layer(), targets, pass, &mut Workspace::new()).unwrap();
        (report, of_inputs, of_weights)
    };
    let (plain, inputs, of_weights) = run(0.0);
    let (report, filtered_inputs, filtered_weights) = run(1e-5);
    assert_eq!(report.loss, plain.loss);
    assert!(report.left_out > 0.1 && report.left_out < 1.0, "{}", report.left_out);
    // A mean over 700 rows: errors are below 1e-5 times what the columns add up to, by 700.
    for (found, expected) in
        filtered_inputs.iter().zip(&inputs).chain(filtered_weights.iter().zip(&of_weights))
    {
        assert!((found - expected).abs() < 1e-5, "{found} {expected}");
    }
}
