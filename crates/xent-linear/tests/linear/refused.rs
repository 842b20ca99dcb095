//! What is refused, before anything is written.

use xent_core::reduction::{Policy, Reduction};
use xent_core::{Error as InputError, SoftmaxOptions, SoftmaxTargets};
use xent_linear::{Error, Layer, LinearCrossEntropy, LinearPass, Workspace};

use crate::layer::Numbers;

fn length(of: &'static str, expected: usize, found: usize) -> Error {
    Error::Input(InputError::Length { of, expected, found })
}

#[test]
fn layers_whose_shapes_do_not_fit_are_refused() {
    let (x, w) = ([0.0_f32; 6], [0.0_f32; 8]);
    assert_eq!(Layer::new(&x, &w, 4).err(), Some(length("inputs", 8, 6)));
    assert_eq!(Layer::new(&x, &w, 3).err(), Some(length("weights", 9, 8)));
    assert_eq!(Layer::new(&x, &w, 0).err(), Some(length("inputs of a row", 1, 0)));
    assert_eq!(Layer::new(&x, &[], 2).err(), Some(Error::Input(InputError::ZeroClasses)));
    let layer = Layer::new(&x, &w, 2).unwrap();
    assert_eq!(layer.with_bias(&[0.0; 3]).err(), Some(length("bias", 4, 3)));
    let short = Layer::with_strides((&x, 3, 1), (&w, 4, 2), 2);
    assert_eq!(short.err(), Some(length("stride of the inputs", 2, 1)));
    let short = Layer::with_strides((&x, 3, 2), (&w, 4, 1), 2);
    assert_eq!(short.err(), Some(length("stride of the weights", 2, 1)));
    let few = Layer::with_strides((&x, 3, 3), (&w, 4, 2), 2);
    assert_eq!(few.err(), Some(length("inputs", 8, 6)));
    let large = Layer::with_strides((&x, usize::MAX / 2, 4), (&w, 4, 2), 2);
    assert!(matches!(large.err(), Some(Error::Input(InputError::TooLarge { .. }))));
}

/// Runs a call that is refused, and checks that nothing is written.
fn refused(
    loss: &LinearCrossEntropy<'_>,
    targets: SoftmaxTargets<'_>,
    change: impl for<'a> Fn(LinearPass<'a>) -> LinearPass<'a>,
    workspace: &mut Workspace,
) -> Error {
    let numbers = Numbers::new(1, 3, 2, 4);
    let (mut dx, mut dw, mut db, mut losses) = ([7.0; 6], [7.0; 8], [7.0; 4], [7.0; 3]);
    let pass = LinearPass::new()
        .grad_inputs(&mut dx)
        .grad_weights(&mut dw)
        .grad_bias(&mut db)
        .losses(&mut losses);
    let error = loss.evaluate(numbers.layer(), targets, change(pass), workspace).unwrap_err();
    assert!(dx.iter().chain(&dw).chain(&db).chain(&losses).all(|place| *place == 7.0));
    error
}

#[test]
fn calls_that_are_wrong_write_nothing() {
    let loss = LinearCrossEntropy::default();
    let workspace = &mut Workspace::new();
    let good = SoftmaxTargets::from(&[0_u8, 1, 2]);

    let error = refused(&loss, (&[0_u8, 4, 2]).into(), |pass| pass, workspace);
    assert_eq!(error, Error::Input(InputError::Label { row: 1, label: 4, classes: 4 }));
    let error = refused(&loss, (&[0_u8, 1]).into(), |pass| pass, workspace);
    assert_eq!(error, length("labels", 3, 2));
    let error = refused(&loss, SoftmaxTargets::Dense(&[0.5; 11]), |pass| pass, workspace);
    assert_eq!(error, length("targets", 12, 11));
    let error = refused(&loss, SoftmaxTargets::Dense(&[-0.5; 12]), |pass| pass, workspace);
    assert!(matches!(error, Error::Input(InputError::Value { element: 0, .. })));
    let error = refused(&loss, good, |pass| pass.sample_weights(&[1.0, f32::NAN, 1.0]), workspace);
    assert!(matches!(error, Error::Input(InputError::Value { element: 1, .. })));
    let error = refused(&loss, good, |pass| pass.sample_weights(&[1.0]), workspace);
    assert_eq!(error, length("sample weights", 3, 1));
    let error = refused(&loss, good, |pass| pass.upstream(&[1.0; 3]), workspace);
    assert_eq!(error, Error::UpstreamOfRows);
    let options = SoftmaxOptions { class_weights: &[1.0; 3], ..SoftmaxOptions::default() };
    let weighted = LinearCrossEntropy::new(options).unwrap();
    let error = refused(&weighted, good, |pass| pass, workspace);
    assert_eq!(error, length("class weights", 4, 3));
    let small = &mut Workspace::with_limit(10);
    let error = refused(&loss, good, |pass| pass, small);
    let Error::Workspace { needed, allowed: 10 } = error else { panic!("{error:?}") };
    assert!(error.to_string().contains(&needed.to_string()));
    refused(&loss, (&[9_u8; 3]).into(), |pass| pass, &mut Workspace::with_limit(needed));
    let numbers = Numbers::new(1, 3, 2, 4);
    let mut grads = ([0.0; 6], [0.0; 8], [0.0; 4]);
    let pass = LinearPass::new()
        .grad_inputs(&mut grads.0)
        .grad_weights(&mut grads.1)
        .grad_bias(&mut grads.2);
    assert!(loss.evaluate(numbers.layer(), good, pass, &mut Workspace::with_limit(needed)).is_ok());
}

#[test]
fn outputs_of_the_wrong_length_are_refused() {
    let numbers = Numbers::new(1, 3, 2, 4);
    let loss = LinearCrossEntropy::default();
    let refused = |pass: LinearPass<'_>| {
        loss.evaluate(numbers.layer(), &[0_u8; 3], pass, &mut Workspace::new()).unwrap_err()
    };
    let pass = LinearPass::new();
    assert_eq!(refused(pass.grad_inputs(&mut [0.0; 5])), length("gradient of the inputs", 6, 5));
    let pass = LinearPass::new();
    assert_eq!(refused(pass.grad_weights(&mut [0.0; 9])), length("gradient of the weights", 8, 9));
    let pass = LinearPass::new();
    assert_eq!(refused(pass.grad_bias(&mut [0.0; 3])), length("gradient of the bias", 4, 3));
    assert_eq!(refused(LinearPass::new().losses(&mut [0.0; 2])), length("losses", 3, 2));
    assert_eq!(refused(LinearPass::new().log_sum_exp(&mut [0.0; 4])), length("log-sum-exp", 3, 4));
    assert_eq!(
        refused(LinearPass::new().predicted(&mut [0; 4])),
        length("predicted classes", 3, 4)
    );
    assert_eq!(refused(LinearPass::new().top_k(&mut [0; 4])), length("largest classes", 6, 4));
    let error = refused(LinearPass::new().top_k(&mut [0; 15]));
    assert!(matches!(error, Error::Input(InputError::Option { option: "k", .. })));
}

#[test]
fn options_that_are_wrong_are_refused_when_the_loss_is_built() {
    let options = SoftmaxOptions::<f32> { label_smoothing: 1.5, ..SoftmaxOptions::default() };
    assert!(LinearCrossEntropy::new(options).is_err());
    let loss = LinearCrossEntropy::<f32>::default();
    for epsilon in [-1.0, 1.5, f64::NAN] {
        assert!(loss.with_gradient_filter(epsilon).is_err());
    }
    let policy = Policy { reduction: Reduction::None, ..Policy::default() };
    let numbers = Numbers::new(1, 3, 2, 4);
    let value = loss.with_policy(policy).loss(numbers.layer(), &[0_u8; 3]);
    assert_eq!(value, Err(Error::NotReduced));
}
