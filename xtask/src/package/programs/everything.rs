//! A program that uses every feature of every library.
#![cfg(test)]

use half::{bf16, f16};
use xent::{Logits, SigmoidCrossEntropy, SoftmaxCrossEntropy, Targets};
use xent_core::{Batch, Buffers, Element, Level, SoftmaxBatch, SoftmaxTargets};
use xent_reference::{softmax, targets::one_hot};

const X: [f64; 6] = [2.0, 1.0, 0.0, 0.0, 3.0, 0.5];
const LABELS: [u8; 2] = [0, 1];

/// The mean loss by the reference.
fn expected() -> f64 {
    let losses = X.chunks(3).zip(LABELS).map(|(row, label)| {
        softmax::cross_entropy(row, &one_hot(3, usize::from(label), 1.0)).loss
    });
    losses.sum::<f64>() / 2.0
}

fn in_format<E: Element>(format: impl Fn(f64) -> E) -> f64 {
    let x = X.map(format);
    let loss = SoftmaxCrossEntropy::new();
    let mut grad = x;
    let mean = loss.loss_and_grad(Logits::new(&x, 3).unwrap(), Targets::index(&LABELS), &mut grad);
    mean.unwrap()
}

#[test]
fn every_format_has_the_loss_of_the_reference() {
    for loss in [in_format(bf16::from_f64), in_format(f16::from_f64), in_format(|x| x as f32)] {
        assert!((loss - expected()).abs() < 1e-7, "{loss}, {}", expected());
    }
    assert!((in_format(|x| x) - expected()).abs() < 1e-15);
}

#[test]
fn views_of_both_versions_of_ndarray_are_logits() {
    let loss = SoftmaxCrossEntropy::new();
    let mean = |logits: Logits<'_, f64>| loss.loss(logits, Targets::index(&LABELS)).unwrap();
    let new = ndarray::Array2::from_shape_vec((2, 3), X.to_vec()).unwrap();
    let old = ndarray_0_16::Array2::from_shape_vec((2, 3), X.to_vec()).unwrap();
    let by_slice = mean(Logits::new(&X, 3).unwrap());
    assert_eq!(mean(Logits::from_array(new.view(), ndarray::Axis(1)).unwrap()), by_slice);
    assert_eq!(mean(Logits::from_array(old.view(), ndarray_0_16::Axis(1)).unwrap()), by_slice);
}

#[test]
fn a_layer_and_its_loss_need_no_logits() {
    use xent::linear::Layer;
    // The weights are the logits of a row of one.
    let (x, w) = ([1.0], [2.0, 1.0, 0.0]);
    let loss = SoftmaxCrossEntropy::new();
    let of_layer = loss.linear().unwrap().loss(Layer::new(&x, &w, 1).unwrap(), &[0_u8]).unwrap();
    assert_eq!(of_layer, loss.loss((&w, 3), &[0_u8]).unwrap());
}

#[test]
fn threads_change_no_bit() {
    let x = vec![0.5_f32; 50_000 * 3];
    let labels = vec![1_u8; 50_000];
    let batch = || {
        let targets = SoftmaxTargets::Index((&labels[..]).into());
        SoftmaxBatch::new(Buffers::loss(&x), 3, targets).unwrap()
    };
    for level in Level::available() {
        assert_eq!(xent_rayon::run(batch(), level), batch().run(level));
    }
}

#[test]
fn the_sigmoid_loss_of_nothing_known_is_ln_2() {
    let loss = SigmoidCrossEntropy::new();
    let mean = loss.loss(Logits::new(&[0.0], 1).unwrap(), Targets::dense(&[1.0])).unwrap();
    assert!((mean - std::f64::consts::LN_2).abs() < 1e-15);
}

#[test]
fn answers_of_other_libraries_are_in_the_package() {
    use xent_reference::golden::{File, cases};
    assert!(cases(File::SoftmaxIndex).len() > 10);
}
