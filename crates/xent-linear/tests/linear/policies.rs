//! What becomes of rows that do not count, and of means over nothing.

use xent_core::reduction::{MeanOver, NothingValid, Policy, Reduction};
use xent_core::{SoftmaxOptions, SoftmaxTargets};
use xent_linear::{Error, Layer, LinearCrossEntropy, LinearPass, Workspace};

use crate::layer::Numbers;

fn ignoring() -> SoftmaxOptions<'static> {
    SoftmaxOptions { ignore_index: Some(-100), ..SoftmaxOptions::default() }
}

#[test]
fn gradients_are_zero_where_all_labels_are_ignored() {
    let numbers = Numbers::new(1, 4, 3, 5);
    for (nothing_valid, expected) in [
        (NothingValid::Zero, Some(0.0)),
        (NothingValid::Nan, Some(f64::NAN)),
        (NothingValid::Error, None),
    ] {
        for epsilon in [0.0, 1e-4] {
            let policy = Policy { nothing_valid, ..Policy::default() };
            let loss = LinearCrossEntropy::new(ignoring()).unwrap().with_policy(policy);
            let loss = loss.with_gradient_filter(epsilon).unwrap();
            let (mut dx, mut dw, mut db) = (vec![7.0; 12], vec![7.0; 15], vec![7.0; 5]);
            let mut added = vec![7.0; 15];
            let value = loss.loss_and_grads(numbers.layer(), &[-100; 4], &mut dx, &mut dw, &mut db);
            let Some(expected) = expected else {
                assert_eq!(value, Err(Error::NothingValid));
                assert!(dx.iter().chain(&dw).chain(&db).all(|g| *g == 7.0));
                continue;
            };
            let value = value.unwrap();
            assert!(value == expected || value.is_nan() && expected.is_nan());
            assert!(dx.iter().chain(&dw).chain(&db).all(|g| *g == 0.0));
            let pass = LinearPass::new().accumulate_grad_weights(&mut added);
            loss.evaluate(numbers.layer(), &[-100; 4], pass, &mut Workspace::new()).unwrap();
            assert!(added.iter().all(|g| *g == 7.0));
        }
    }
}

#[test]
fn rows_that_do_not_count_may_be_anything() {
    // NaN in padding reaches no gradient, neither by label nor by weight.
    let mut numbers = Numbers::new(2, 4, 3, 5);
    numbers.inputs[3..9].fill(f32::NAN);
    let labels = [1, -100, 2, 3];
    let weights = [1.0, 1.0, 0.0, 2.0];
    for epsilon in [0.0, 1e-4] {
        let loss =
            LinearCrossEntropy::new(ignoring()).unwrap().with_gradient_filter(epsilon).unwrap();
        let (mut dx, mut dw, mut losses) = (vec![7.0; 12], vec![7.0; 15], vec![7.0; 4]);
        let pass = LinearPass::new()
            .grad_inputs(&mut dx)
            .grad_weights(&mut dw)
            .losses(&mut losses)
            .sample_weights(&weights);
        let report = loss.evaluate(numbers.layer(), &labels, pass, &mut Workspace::new()).unwrap();
        assert!(report.loss.is_finite() && dw.iter().all(|g| g.is_finite()));
        assert!(dx[3..9].iter().all(|g| *g == 0.0) && dx[0] != 0.0);
        assert_eq!((losses[1], losses[2]), (0.0, 0.0));
        assert_eq!((report.counts.rows, report.counts.valid_rows), (4, 3));
        assert_eq!(report.not_finite, (0, None));
    }
}

#[test]
fn rows_that_are_not_finite_are_named() {
    let mut numbers = Numbers::new(2, 4, 3, 5);
    numbers.inputs[7] = f32::INFINITY;
    numbers.inputs[9] = f32::NAN;
    let pass = LinearPass::new();
    let loss = LinearCrossEntropy::default();
    let report = loss.evaluate(numbers.layer(), &[0_u8; 4], pass, &mut Workspace::new()).unwrap();
    assert_eq!(report.not_finite, (2, Some(2)));
}

#[test]
fn no_rows_have_no_loss() {
    let weights = [0.5_f32; 6];
    let layer = Layer::new(&[], &weights, 2).unwrap();
    let mut dw = [7.0; 6];
    let labels: [u8; 0] = [];
    let value =
        LinearCrossEntropy::default().loss_and_grads(layer, &labels, &mut [], &mut dw, &mut []);
    assert_eq!(value, Ok(0.0));
    assert_eq!(dw, [0.0; 6]);
}

#[test]
fn the_largest_classes_are_listed() {
    // Logits are the weights: of two equal ones the first comes first, and NaN before all.
    let weights = [1.0, 5.0, f32::NEG_INFINITY, 5.0, 2.0_f32];
    let mut classes = [9; 6];
    let inputs = [1.0, 0.5];
    let pass = LinearPass::new().top_k(&mut classes);
    let loss = LinearCrossEntropy::default();
    let layer = Layer::new(&inputs, &weights, 1).unwrap();
    loss.evaluate(layer, &[0_u8, 1], pass, &mut Workspace::new()).unwrap();
    assert_eq!(classes, [1, 3, 4, 1, 3, 4]);

    let weights = [1.0, 5.0, f32::NAN, 5.0, f32::NAN];
    let pass = LinearPass::new().top_k(&mut classes);
    let layer = Layer::new(&inputs, &weights, 1).unwrap();
    loss.evaluate(layer, &[0_u8, 1], pass, &mut Workspace::new()).unwrap();
    assert_eq!(classes, [2, 4, 1, 2, 4, 1]);
}

#[test]
fn right_rows_are_counted_with_their_weights() {
    let weights = [1.0, 0.0, 0.0, 1.0_f32];
    let inputs = [1.0, 0.0, 0.0, 1.0, 1.0, 0.5_f32];
    let layer = Layer::new(&inputs, &weights, 2).unwrap();
    let sample_weights = [1.0, 2.0, 4.0];
    let pass = LinearPass::new().count_correct().sample_weights(&sample_weights);
    let policy = Policy { mean_over: MeanOver::Weights, ..Policy::default() };
    let loss = LinearCrossEntropy::new(ignoring()).unwrap().with_policy(policy);
    let report = loss.evaluate(layer, &[0, 0, 0], pass, &mut Workspace::new()).unwrap();
    assert_eq!((report.correct, report.weights_of_correct), (Some(2), [5.0, 7.0]));
    assert_eq!(report.counts.weight, 7.0);

    let dense = [1.0, 0.0, 0.0, 1.0, 1.0, 0.0];
    let pass = LinearPass::new().count_correct();
    let loss = LinearCrossEntropy::default();
    let targets = SoftmaxTargets::Dense(&dense);
    let report = loss.evaluate(layer, targets, pass, &mut Workspace::new()).unwrap();
    assert_eq!(report.correct, None);
}

#[test]
fn without_a_reduction_rows_keep_their_losses() {
    let numbers = Numbers::new(4, 3, 2, 4);
    let policy = Policy { reduction: Reduction::None, ..Policy::default() };
    let loss = LinearCrossEntropy::default().with_policy(policy);
    let (mut losses, mut dx, mut of_sum) = ([0.0; 3], [0.0; 6], [0.0; 6]);
    let upstream = [1.0, 0.0, -2.0];
    let pass = LinearPass::new().losses(&mut losses).grad_inputs(&mut dx).upstream(&upstream);
    let report =
        loss.evaluate(numbers.layer(), &[1_u8, 2, 3], pass, &mut Workspace::new()).unwrap();
    let sum: f64 = losses.iter().map(|loss| f64::from(*loss)).sum();
    assert!((report.loss - sum).abs() < 1e-6);
    let summed = Policy { reduction: Reduction::Sum, ..Policy::default() };
    let loss = loss.with_policy(summed);
    loss.loss_and_grads(numbers.layer(), &[1_u8, 2, 3], &mut of_sum, &mut [], &mut []).unwrap();
    for (row, factor) in upstream.iter().enumerate() {
        for input in 0..2 {
            let (found, of_sum) = (dx[row * 2 + input], of_sum[row * 2 + input]);
            assert!((found - factor * of_sum).abs() < 1e-6);
        }
    }
}

#[test]
fn an_ignored_label_that_is_a_default_goes_with_dense_targets() {
    let numbers = Numbers::new(4, 2, 2, 3);
    let dense = [1.0, 0.0, 0.0, 0.0, 0.5, 0.5];
    let loss = LinearCrossEntropy::new(ignoring()).unwrap();
    let targets = SoftmaxTargets::Dense(&dense);
    assert!(loss.loss(numbers.layer(), targets).is_err());
    let lenient = loss.with_ignore_index_for_labels_alone().loss(numbers.layer(), targets);
    assert_eq!(lenient, LinearCrossEntropy::default().loss(numbers.layer(), targets));
}
