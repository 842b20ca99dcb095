//! The evaluation row by row: its numbers, and how they add up.

use proptest::collection::vec;
use proptest::prelude::*;
use xent_core::{
    Batch, Buffers, Error, Evaluation, Float, Level, NotFiniteRows, Outputs, RunningSum,
    SoftmaxBatch, SoftmaxTargets, evaluate_row, softmax_cross_entropy_row,
};
use xent_reference::softmax;
use xent_reference::sum::sum;

const MOST: usize = 32;

/// Bits, where every NaN is the same.
fn bits<F: Float>(x: F) -> u64 {
    let x: f64 = x.into();
    if x.is_nan() { u64::MAX } else { x.to_bits() }
}

/// A logit: mostly of some spread, now and then any number at all.
fn logit() -> impl Strategy<Value = f64> {
    prop_oneof![
        12 => -10.0..10.0,
        3 => -400.0..400.0,
        2 => prop::sample::select(vec![f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1e30, 0.0]),
        1 => any::<f64>(),
    ]
}

/// Rows of as many logits, with their labels.
fn rows() -> impl Strategy<Value = (usize, Vec<(Vec<f64>, usize)>)> {
    (1..=MOST)
        .prop_flat_map(|classes| (Just(classes), vec((vec(logit(), classes), 0..classes), 0..40)))
}

/// By the batch: losses, predicted classes, and the rows that are not finite.
fn of_batch<F: Float>(
    classes: usize,
    x: &[F],
    labels: &[u32],
) -> (Vec<F>, Vec<u32>, NotFiniteRows) {
    let rows = labels.len();
    let (mut losses, mut predicted) = (vec![F::default(); rows], vec![0; rows]);
    let not_finite = NotFiniteRows::new();
    let outputs = Outputs {
        losses: &mut losses,
        predicted: &mut predicted,
        not_finite: Some(&not_finite),
        ..Outputs::default()
    };
    SoftmaxBatch::new(Buffers::loss(x), classes, SoftmaxTargets::Index(labels.into()))
        .expect("a valid batch")
        .with_outputs(outputs)
        .expect("a place for each row")
        .run(Level::Portable);
    (losses, predicted, not_finite)
}

/// `epsilon` is the spacing of the format at one.
fn check<F: Float>(classes: usize, x: &[F], labels: &[u32], epsilon: f64) {
    let (losses, predicted, not_finite) = of_batch(classes, x, labels);
    let mut evaluation = Evaluation::new();
    for (row, (x, &label)) in x.chunks_exact(classes).zip(labels).enumerate() {
        let label = label as usize;
        let mut gradient = vec![F::default(); classes];
        let loss = softmax_cross_entropy_row(x, label, &mut gradient).expect("a valid row");
        let found = evaluation.add_row(x, label).expect("a valid row");
        assert_eq!(found.predicted, predicted[row] as usize, "{x:?}");
        assert_eq!(found.is_right, found.predicted == label);
        assert_eq!(bits(found.loss), bits(loss), "label {label} of {x:?}: with a gradient");
        assert_eq!(bits(found.loss), bits(losses[row]), "label {label} of {x:?}: in a batch");
    }
    let right = predicted.iter().zip(labels).filter(|(a, b)| a == b).count();
    assert_eq!((evaluation.rows(), evaluation.correct()), (labels.len(), right));
    assert_eq!(evaluation.not_finite(), not_finite.count());
    assert_eq!(evaluation.first_not_finite(), not_finite.first());
    let share: f64 = evaluation.accuracy().into();
    let mean: f64 = evaluation.mean().into();
    if labels.is_empty() {
        assert!(share.is_nan() && mean.is_nan());
        return;
    }
    assert!((share - right as f64 / labels.len() as f64).abs() <= 1e-7);
    // Of the losses as they are; where their sum is too large for the format, it is infinite.
    let want = sum(losses.iter().map(|&loss| loss.into())) / labels.len() as f64;
    let near = (mean - want).abs() <= 2.0 * epsilon * want.abs();
    let same = near || bits(mean) == bits(want);
    assert!(same || want.abs() > 1e36, "{mean:e}, not {want:e}");
}

proptest! {
    #[test]
    fn rows_have_the_numbers_of_the_batch((classes, rows) in rows()) {
        let labels: Vec<u32> = rows.iter().map(|(_, label)| *label as u32).collect();
        let x: Vec<f64> = rows.iter().flat_map(|(x, _)| x).copied().collect();
        check(classes, &x, &labels, f64::EPSILON);
        let x: Vec<f32> = x.iter().map(|&x| x as f32).collect();
        check(classes, &x, &labels, f32::EPSILON.into());
    }

    #[test]
    fn parts_that_follow_each_other_are_added((classes, rows) in rows(), cut in any::<prop::sample::Index>()) {
        let _ = classes;
        let evaluate = |rows: &[(Vec<f64>, usize)]| {
            let mut evaluation = Evaluation::new();
            for (x, label) in rows {
                evaluation.add(&evaluate_row(x, *label).expect("a valid row"));
            }
            evaluation
        };
        let (first, second) = rows.split_at(cut.index(rows.len() + 1));
        let (whole, mut parts) = (evaluate(&rows), evaluate(first));
        parts += evaluate(second);
        prop_assert_eq!((parts.rows(), parts.correct()), (whole.rows(), whole.correct()));
        prop_assert_eq!(parts.not_finite(), whole.not_finite());
        prop_assert_eq!(parts.first_not_finite(), whole.first_not_finite());
        let (a, b) = (parts.mean(), whole.mean());
        let near = (a - b).abs() <= 4.0 * f64::EPSILON * b.abs();
        prop_assert!(near || bits(a) == bits(b), "{a:e}, not {b:e}");
    }
}

#[test]
fn a_row_has_the_loss_of_the_formula() {
    let x = [1.5, -0.25, 3.0, 2.75];
    for label in 0..x.len() {
        let mut q = [0.0; 4];
        q[label] = 1.0;
        let want = softmax::cross_entropy(&x, &q).loss;
        let found = evaluate_row(&x, label).expect("a valid row");
        assert!((found.loss - want).abs() < 1e-14, "{}, not {want}", found.loss);
        assert_eq!((found.predicted, found.is_right), (2, label == 2));
    }
}

#[test]
fn a_mean_of_many_rows_is_as_exact_as_that_of_few() {
    // A loss that f32 has no exact multiples of, so often that a plain sum loses a hundredth of it.
    let (x, rows) = ([0.3_f32, 0.1, -0.4], 1 << 20);
    let mut evaluation = Evaluation::new();
    let mut plain = 0.0;
    for _ in 0..rows {
        plain += evaluation.add_row(&x, 1).expect("a valid row").loss;
    }
    let loss = evaluate_row(&x, 1).expect("a valid row").loss;
    assert_eq!(evaluation.mean(), loss);
    assert!((plain / rows as f32 - loss).abs() > 1e-4, "{plain}");
}

#[test]
fn a_sum_keeps_what_each_addition_loses() {
    let mut sum = RunningSum::default();
    [1e16, 1.0, -1e16].into_iter().for_each(|term| sum += term);
    assert_eq!(sum.total(), 1.0);
    let mut parts = [RunningSum::default(); 2];
    [1e16, 1.0, -1e16, 1.0].into_iter().enumerate().for_each(|(i, term)| parts[i / 2] += term);
    let [mut all, other] = parts;
    all += other;
    assert_eq!(all.total(), 2.0);
    let mut infinite = RunningSum::default();
    infinite += f64::INFINITY;
    infinite += 1.0;
    assert_eq!(infinite.total(), f64::INFINITY);
}

#[test]
fn what_is_wrong_is_refused_and_nothing_added() {
    let mut evaluation = Evaluation::<f32>::new();
    assert_eq!(evaluation.add_row(&[], 0), Err(Error::ZeroClasses));
    let label = Error::Label { row: 0, label: 3, classes: 3 };
    assert_eq!(evaluation.add_row(&[0.0; 3], 3), Err(label));
    let too_many = evaluation.add_row(&[0.0; 33], 0).expect_err("too many").to_string();
    assert_eq!(too_many, "classes: expected at most 32; for more there is SoftmaxBatch");
    assert_eq!(evaluation, Evaluation::new());
}
