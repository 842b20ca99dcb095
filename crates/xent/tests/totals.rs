//! Reports of batches add up to that of all of them, and say what is right without a place for predictions.
#![cfg(feature = "alloc")]

use proptest::collection::vec;
use proptest::prelude::*;
use xent::{
    Error, LogisticLoss, Logits, LogitsMut, Loss, MeanOver, MultiLabelSoftmax, MultinomialLogistic,
    NothingValid, Pass, Reduction, Report, SigmoidCrossEntropy, SoftmaxCrossEntropy, Targets,
};

const CLASSES: usize = 3;
const IGNORED: i64 = -1;

#[derive(Clone, Debug)]
struct Batch {
    x: Vec<f32>,
    labels: Vec<i64>,
    weights: Vec<f32>,
    /// Where it is cut.
    cuts: Vec<usize>,
}

fn logit() -> impl Strategy<Value = f32> {
    prop_oneof![30 => -9.0..9.0_f32, 1 => Just(f32::NAN), 1 => Just(f32::INFINITY)]
}

fn batch() -> impl Strategy<Value = Batch> {
    (1..40_usize).prop_flat_map(|rows| {
        let label = prop_oneof![4 => 0..CLASSES as i64, 1 => Just(IGNORED)];
        let weight = prop_oneof![4 => 0.1..3.0_f32, 1 => Just(0.0)];
        (vec(logit(), rows * CLASSES), vec(label, rows), vec(weight, rows), vec(0..=rows, 0..5))
            .prop_map(move |(x, labels, weights, mut cuts)| {
                cuts.extend([0, rows]);
                cuts.sort_unstable();
                Batch { x, labels, weights, cuts }
            })
    })
}

impl Batch {
    fn report(&self, loss: &dyn Loss<f32>, from: usize, to: usize, weighted: bool) -> Report {
        let x = &self.x[from * CLASSES..to * CLASSES];
        let logits = Logits::new(x, CLASSES).unwrap();
        let mut pass = Pass::new().count_correct();
        if weighted {
            pass = pass.sample_weights(&self.weights[from..to]);
        }
        loss.evaluate(logits, Targets::index(&self.labels[from..to]), pass).unwrap()
    }

    fn total(&self, loss: &dyn Loss<f32>, weighted: bool) -> Report {
        let mut total = Report::default();
        for cut in self.cuts.windows(2) {
            total += self.report(loss, cut[0], cut[1], weighted);
        }
        total
    }
}

/// Equal but for roundings, or both not finite in the same way.
fn near(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-12 * b.abs().max(1e-3) || a == b || (a.is_nan() && b.is_nan())
}

fn check(total: &Report, whole: &Report) {
    let what = format!("{total:?}\n{whole:?}");
    assert!(near(total.loss, whole.loss), "{what}");
    assert_eq!(total.mean_loss.is_some(), whole.mean_loss.is_some(), "{what}");
    let means = total.mean_loss.zip(whole.mean_loss);
    assert!(means.is_none_or(|(a, b)| near(a, b)), "{what}");
    assert!(near(total.denominator, whole.denominator), "{what}");
    assert!(near(total.accuracy(), whole.accuracy()), "{what}");
    let counts = |report: &Report| {
        (report.rows, report.valid_rows, report.correct, report.not_finite, report.clamped)
    };
    assert_eq!(counts(total), counts(whole), "{what}");
}

proptest! {
    #[test]
    fn any_parts_of_a_batch_add_up_to_it(
        batch in batch(),
        reduction in prop::sample::select(vec![Reduction::None, Reduction::Sum, Reduction::Mean]),
        mean_over in prop::sample::select(vec![
            MeanOver::PyTorch, MeanOver::NotIgnored, MeanOver::AllRows, MeanOver::Weights,
        ]),
        weighted in any::<bool>(),
        class_weights in any::<bool>(),
        nan in any::<bool>(),
    ) {
        let mut loss = SoftmaxCrossEntropy::new()
            .with_ignore_index(IGNORED)
            .with_reduction(reduction)
            .with_mean_over(mean_over)
            .with_nothing_valid(if nan { NothingValid::Nan } else { NothingValid::Zero });
        if class_weights {
            loss = loss.with_class_weights([0.5, 2.0, 1.25]).unwrap();
        }
        let rows = batch.labels.len();
        check(&batch.total(&loss, weighted), &batch.report(&loss, 0, rows, weighted));
    }

    #[test]
    fn rows_are_counted_as_by_hand(batch in batch(), in_place in any::<bool>(), weighted in any::<bool>()) {
        let loss = SoftmaxCrossEntropy::new().with_ignore_index(IGNORED);
        let weights = if weighted { &batch.weights[..] } else { &[] };
        let mut x = batch.x.clone();
        let pass = Pass::new().count_correct().sample_weights(weights);
        let report = if in_place {
            loss.evaluate_in_place((&mut x, CLASSES), &batch.labels, pass).unwrap()
        } else {
            loss.evaluate((&x, CLASSES), &batch.labels, pass).unwrap()
        };
        let (mut count, mut right, mut all) = (0, 0.0, 0.0);
        for (row, x) in batch.x.chunks(CLASSES).enumerate() {
            // As `numpy.argmax` has it: the first NaN, or the first of the largest.
            let largest = x.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let predicted = x.iter().position(|x| x.is_nan());
            let predicted = predicted.or(x.iter().position(|&x| x == largest)).unwrap_or(0);
            let weight = weights.get(row).map_or(1.0, |&weight| f64::from(weight));
            if batch.labels[row] != IGNORED {
                let is_right = predicted as i64 == batch.labels[row];
                count += usize::from(is_right);
                right += if is_right { weight } else { 0.0 };
                all += weight;
            }
        }
        prop_assert_eq!(report.correct, Some(count));
        let share = if all > 0.0 { right / all } else { f64::NAN };
        prop_assert!(near(report.accuracy(), share), "{} is not {}", report.accuracy(), share);
    }

    #[test]
    fn counting_changes_no_bit(batch in batch()) {
        let loss = SoftmaxCrossEntropy::new().with_ignore_index(IGNORED);
        let (mut alone, mut counted) = (vec![0.0; batch.x.len()], vec![0.0; batch.x.len()]);
        let value = loss.loss_and_grad((&batch.x, CLASSES), &batch.labels, &mut alone).unwrap();
        let report = loss.train((&batch.x, CLASSES), &batch.labels, &mut counted).unwrap();
        let bits = |x: &[f32]| -> Vec<u32> {
            x.iter().map(|x| if x.is_nan() { u32::MAX } else { x.to_bits() }).collect()
        };
        prop_assert!(value.to_bits() == report.loss.to_bits() || value.is_nan());
        prop_assert_eq!(bits(&alone), bits(&counted));
        let mut x = batch.x.clone();
        let in_place = loss.train_in_place((&mut x, CLASSES), &batch.labels).unwrap();
        prop_assert_eq!(bits(&alone), bits(&x));
        prop_assert_eq!(in_place.correct, report.correct);
    }
}

#[test]
fn losses_of_elements_and_probabilities_add_up() {
    let p = [0.5, 0.25, 1.0, 1e-30, 0.75, 0.0_f32];
    let y = [1.0, 0.0, 1.0, 1.0, 0.0, 1.0_f32];
    let halves = |loss: &dyn Loss<f32>, targets: [Targets<'_>; 3]| {
        let [all, first, second] = targets;
        let report =
            |x, targets| loss.evaluate(Logits::new(x, 1).unwrap(), targets, Pass::new()).unwrap();
        let mut total = report(&p[..2], first);
        total.merge(&report(&p[2..], second)).unwrap();
        check(&total, &report(&p, all));
        assert_eq!(total.correct, None);
        total.clamped
    };
    let dense = || [&y[..], &y[..2], &y[2..]].map(Targets::dense);
    assert_eq!(halves(&SigmoidCrossEntropy::new(), dense()), 0);
    assert_eq!(halves(&LogisticLoss::new(), dense()), 1);
    assert_eq!(halves(&MultiLabelSoftmax::new(), dense()), 0);
    let zeros = [0_u8; 6];
    let labels = [&zeros[..], &zeros[..2], &zeros[2..]].map(Targets::index);
    assert_eq!(halves(&MultinomialLogistic::new(), labels), 2);
}

#[test]
fn what_is_reduced_in_other_ways_is_not_added() {
    let loss = SoftmaxCrossEntropy::new();
    let report = |loss: &SoftmaxCrossEntropy<'_>| {
        loss.evaluate((&[1.0, 0.0_f32], 2), &[0], Pass::new()).unwrap()
    };
    let mut total = report(&loss);
    let before = total;
    for other in [
        loss.clone().with_reduction(Reduction::Sum),
        loss.clone().with_mean_over(MeanOver::AllRows),
        loss.clone().with_nothing_valid(NothingValid::Nan),
    ] {
        assert_eq!(total.merge(&report(&other)), Err(Error::MixedReductions));
        assert_eq!(total, before);
    }
    // Nothing, before or after, changes nothing.
    total.merge(&Report::default()).unwrap();
    assert_eq!(total, before);
    let mut empty = Report::default();
    assert_eq!((empty.loss, empty.mean_loss, empty.rows), (0.0, None, 0));
    empty += before;
    assert_eq!(empty, before);
}

#[test]
#[should_panic(expected = "use the same for all batches")]
fn a_sum_is_not_added_to_a_mean() {
    let (loss, x) = (SoftmaxCrossEntropy::new(), [1.0, 0.0_f32]);
    let mut total = loss.evaluate((&x, 2), &[0], Pass::new()).unwrap();
    total += loss.with_reduction(Reduction::Sum).evaluate((&x, 2), &[0], Pass::new()).unwrap();
}

#[test]
fn an_epoch_without_rows_or_counts_says_so() {
    let loss = SoftmaxCrossEntropy::new();
    let none = loss.train((&[] as &[f32; 0], 2), &[] as &[u8; 0], &mut []).unwrap();
    assert_eq!((none.loss, none.correct), (0.0, Some(0)));
    assert!(none.accuracy().is_nan());
    let mut epoch = none;
    epoch += loss.train((&[1.0, 0.0_f32], 2), &[0], &mut [0.0; 2]).unwrap();
    assert_eq!((epoch.correct, epoch.accuracy()), (Some(1), 1.0));
    // A batch whose rows nobody has counted.
    epoch += loss.evaluate((&[1.0, 0.0_f32], 2), &[0], Pass::new()).unwrap();
    assert_eq!((epoch.correct, epoch.rows), (None, 2));
    assert!(epoch.accuracy().is_nan());

    let unreduced = loss.with_reduction(Reduction::None);
    let mut x = [1.0, 0.0_f32];
    let error = unreduced.train((&x, 2), &[0], &mut [0.0; 2]);
    assert_eq!(error, Err(Error::NotReduced));
    assert_eq!(unreduced.train_in_place(LogitsMut::new(&mut x, 2).unwrap(), &[0]), error);
}
