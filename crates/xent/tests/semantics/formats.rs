//! Every loss of sixteen bits is that of the same numbers in f32.

use half::{bf16, f16};
use xent::{
    Distillation, Element, LogisticLoss, Logits, LogitsMut, MultiLabelSoftMargin,
    MultiLabelSoftmax, MultinomialLogistic, NegativeLogLikelihood, Pass, Reduction,
    SigmoidCrossEntropy, SoftmaxCrossEntropy, Targets, predict,
};

use crate::support::numbers;

const ROWS: usize = 37;
const CLASSES: usize = 11;
const ELEMENTS: usize = ROWS * CLASSES;

/// Numbers that every format holds.
fn coarse(seed: u32, scale: f32) -> Vec<f32> {
    numbers(ELEMENTS, seed, scale).iter().map(|x| (x * 8.0).round() / 8.0).collect()
}

fn stored<E: Element<Float = f32>>(values: &[f32]) -> Vec<E> {
    values.iter().map(|&value| E::from_float(value)).collect()
}

/// Reduced loss, losses, and gradient in f32: of a loss, in a format.
macro_rules! answer {
    ($loss:expr, $x:expr, $targets:expr, $count:expr) => {{
        let mut losses = vec![0.0; $count];
        let mut grad = vec![0.0; ELEMENTS];
        let pass = Pass::new().wide_grad(&mut grad).losses(&mut losses);
        let logits = Logits::new($x, CLASSES).unwrap();
        let value = $loss.evaluate(logits, $targets, pass).unwrap().loss;
        (losses, value, grad)
    }};
}

fn every_loss<E: Element<Float = f32>>() {
    let labels: Vec<u16> = (0..ROWS as u16).map(|row| row * 3 % CLASSES as u16).collect();
    let (index, weights) = (Targets::index(&labels), vec![0.5; CLASSES]);
    let floats = coarse(1, 6.0);
    let probabilities: Vec<f32> = floats.iter().map(|x| (x.abs() / 8.0).min(0.875)).collect();
    let numbers: Vec<f32> = floats.iter().map(|x| x.abs() / 8.0).collect();
    let dense = Targets::dense(&numbers);
    macro_rules! check {
        ($loss:expr, $of:expr, $targets:expr, $count:expr) => {
            let of: &[f32] = $of;
            let x = stored::<E>(of);
            let (losses, value, grad) = answer!($loss, &x, $targets, $count);
            let expected = answer!($loss, of, $targets, $count);
            let what = stringify!($loss);
            assert_eq!((losses, &grad), (expected.0, &expected.2), "{what}, {}", E::NAME);
            let wanted = expected.1;
            assert!((value - wanted).abs() <= 1e-9 * wanted.abs(), "{value} for {wanted}");
            // Rounded once, beside the logits and in their place.
            let rounded = stored::<E>(&grad);
            let mut beside = vec![E::default(); ELEMENTS];
            let logits = Logits::new(&x, CLASSES).unwrap();
            $loss.loss_and_grad(logits, $targets, &mut beside).unwrap();
            assert_eq!(beside, rounded, "{what}, {}", E::NAME);
            let mut in_place = x.clone();
            let logits = LogitsMut::new(&mut in_place, CLASSES).unwrap();
            $loss.loss_and_grad_in_place(logits, $targets).unwrap();
            assert_eq!(in_place, rounded, "{what}, {}", E::NAME);
        };
    }
    let softmax = SoftmaxCrossEntropy::new().with_class_weights(&weights).unwrap();
    check!(softmax, &floats, index, ROWS);
    check!(softmax.clone().with_label_smoothing(0.1).unwrap(), &floats, dense, ROWS);
    check!(softmax.clone().with_focal_gamma(2.0).unwrap(), &floats, index, ROWS);
    check!(MultiLabelSoftmax::new().with_caffe_gradient().unwrap(), &floats, dense, ROWS);
    let teacher = Targets::teacher(&numbers);
    check!(Distillation::new(2.0).unwrap(), &floats, teacher, ROWS);
    let sigmoid = SigmoidCrossEntropy::new().with_focal(2.0, Some(0.25)).unwrap();
    check!(sigmoid, &floats, Targets::dense(&probabilities), ELEMENTS);
    check!(MultiLabelSoftMargin::new(), &floats, Targets::dense(&probabilities), ROWS);
    check!(LogisticLoss::new(), &probabilities, Targets::dense(&probabilities), ELEMENTS);
    check!(NegativeLogLikelihood::new(), &floats, index, ROWS);
    check!(MultinomialLogistic::new(), &probabilities, index, ROWS);
}

#[test]
fn every_loss_of_bf16_is_that_of_f32() {
    every_loss::<bf16>();
}

#[test]
fn every_loss_of_f16_is_that_of_f32() {
    every_loss::<f16>();
}

#[test]
fn a_loss_scale_and_an_accumulated_gradient_are_of_f32_until_they_are_rounded() {
    let labels = vec![3_u8; ROWS];
    let x = stored::<bf16>(&coarse(5, 4.0));
    let loss = SoftmaxCrossEntropy::new().with_reduction(Reduction::Sum);
    let run = |pass: Pass<'_, bf16>| {
        let logits = Logits::new(&x, CLASSES).unwrap();
        loss.evaluate(logits, Targets::index(&labels), pass).unwrap();
    };
    let (mut once, mut twice) = (vec![0.0; ELEMENTS], vec![0.0; ELEMENTS]);
    run(Pass::new().scale(1024.0).wide_grad(&mut once));
    run(Pass::new().scale(512.0).accumulate_wide_grad(&mut twice));
    run(Pass::new().scale(512.0).accumulate_wide_grad(&mut twice));
    assert_eq!(once, twice);
    let mut rounded = vec![bf16::ZERO; ELEMENTS];
    run(Pass::new().scale(1024.0).accumulate_grad(&mut rounded));
    assert_eq!(rounded, stored::<bf16>(&once));
}

#[test]
fn the_largest_logit_of_sixteen_bits_is_predicted() {
    let x = [1.0, 3.0, 2.0, -1.0].map(f16::from_f32);
    let mut classes = [9; 2];
    predict::argmax(Logits::new(&x, 2).unwrap(), &mut classes).unwrap();
    assert_eq!(classes, [1, 0]);
}
