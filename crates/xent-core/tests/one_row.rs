//! The loss of a single row has the bits of the batch.

use proptest::collection::vec;
use proptest::prelude::*;
use xent_core::{
    Batch, Buffers, Error, Float, Level, Outputs, SoftmaxBatch, SoftmaxTargets,
    softmax_cross_entropy_row,
};

const MOST: usize = 32;

/// By the batch: the loss and the gradient.
fn of_batch<F: Float>(level: Level, x: &[F], label: usize) -> (F, Vec<F>) {
    let (mut loss, mut gradient) = ([F::default()], vec![F::default(); x.len()]);
    let labels = [label as u32];
    let targets = SoftmaxTargets::Index((&labels[..]).into());
    SoftmaxBatch::new(Buffers::gradient(x, &mut gradient), x.len(), targets)
        .expect("a valid batch")
        .with_outputs(Outputs { losses: &mut loss, ..Outputs::default() })
        .expect("a place for one loss")
        .run(level);
    (loss[0], gradient)
}

/// The portable level, and all levels with the same rounding.
fn levels() -> impl Iterator<Item = Level> {
    let fuses = Level::Portable.has_fma();
    Level::available().filter(move |level| *level == Level::Portable || fuses && level.has_fma())
}

/// Bits, with the same for every NaN.
fn bits<F: Float + Into<f64>>(x: F) -> u64 {
    if x.partial_cmp(&x).is_none() { u64::MAX } else { x.into().to_bits() }
}

fn check<F: Float + Into<f64>>(x: &[F], label: usize) {
    let mut gradient = vec![F::default(); x.len()];
    let loss = softmax_cross_entropy_row(x, label, &mut gradient).expect("a valid row");
    for level in levels() {
        let (want, of_batch) = of_batch(level, x, label);
        let what = || format!("{level}, label {label} of {x:?}");
        assert_eq!(bits(loss), bits(want), "{}: loss {loss:?}, not {want:?}", what());
        for (class, (&g, &want)) in gradient.iter().zip(&of_batch).enumerate() {
            assert_eq!(bits(g), bits(want), "{}: class {class}: {g:?}, not {want:?}", what());
        }
    }
}

fn both(x: &[f64], label: usize) {
    check(x, label);
    let x: Vec<f32> = x.iter().map(|&x| x as f32).collect();
    check(&x, label);
}

#[test]
fn rows_of_every_length_have_the_bits_of_the_batch() {
    for classes in 1..=MOST {
        let x: Vec<f64> = (0..classes).map(|class| (class as f64 * 0.7).sin() * 9.0).collect();
        (0..classes).for_each(|label| both(&x, label));
    }
}

#[test]
fn rows_with_special_numbers_have_the_bits_of_the_batch() {
    let special =
        [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1e30, f64::MAX, f64::MIN, 0.0, -0.0, 1e-310];
    for classes in 1..=3 {
        for number in 0..special.len().pow(classes) {
            let digit = |class| number / special.len().pow(class) % special.len();
            let x: Vec<f64> = (0..classes).map(|class| special[digit(class)]).collect();
            (0..classes as usize).for_each(|label| both(&x, label));
        }
    }
}

/// A logit: mostly within some range, now and then any number at all.
fn logit() -> impl Strategy<Value = f64> {
    prop_oneof![6 => -10.0..10.0, 2 => -400.0..400.0, 1 => any::<f64>(), 1 => Just(-1e30)]
}

proptest! {
    #[test]
    fn any_row_has_the_bits_of_the_batch(
        x in vec(logit(), 1..=MOST),
        label in any::<prop::sample::Index>(),
    ) {
        both(&x, label.index(x.len()));
    }
}

#[test]
fn what_is_wrong_is_refused_and_nothing_written() {
    let refused = |classes: usize, label: usize, length: usize| {
        let mut gradient = vec![7.0_f32; length];
        let result = softmax_cross_entropy_row(&vec![0.0; classes], label, &mut gradient);
        assert!(gradient.iter().all(|g| *g == 7.0));
        result.expect_err("an error")
    };
    assert_eq!(refused(0, 0, 0), Error::ZeroClasses);
    assert_eq!(refused(3, 3, 3), Error::Label { row: 0, label: 3, classes: 3 });
    let length = Error::Length { of: "gradient", expected: 3, found: 2 };
    assert_eq!(refused(3, 0, 2), length);
    let too_many = refused(33, 0, 33).to_string();
    assert_eq!(too_many, "classes: expected at most 32; for more there is SoftmaxBatch");
}
