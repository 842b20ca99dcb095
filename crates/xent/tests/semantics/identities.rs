//! What is true of the losses for all inputs.

use proptest::prelude::*;
use xent::{
    Distillation, Level, LogisticLoss, MultiLabelSoftMargin, MultiLabelSoftmax,
    MultinomialLogistic, NegativeLogLikelihood, SigmoidCrossEntropy, SoftmaxCrossEntropy,
};
use xent_reference::softmax::cross_entropy;
use xent_reference::targets::one_hot;

use crate::support::{Call, Given, bits, layouts, wide};

/// Rows of so many classes.
fn batch() -> impl Strategy<Value = (usize, Vec<f32>)> {
    (1_usize..70, 1_usize..12, 0.1_f32..30.0).prop_flat_map(|(classes, rows, scale)| {
        prop::collection::vec(-1.0_f32..1.0, rows * classes)
            .prop_map(move |x| (classes, x.into_iter().map(|x| x * scale).collect()))
    })
}

fn labels(x: &[f32], classes: usize) -> Vec<i64> {
    (0..x.len() / classes).map(|row| (row * 7 % classes) as i64).collect()
}

/// What is done with a loss: its name, the loss, inputs and targets.
type Then<'a> = dyn FnMut(&str, &dyn Call, &[f32], Given<'_>) + 'a;

/// Every loss, with targets that it has, for inputs that it has.
fn every_loss(x: &[f32], classes: usize, then: &mut Then<'_>) {
    let labels = labels(x, classes);
    let dense: Vec<f32> = x.iter().map(|x| (x.abs() * 10.0).fract()).collect();
    let p: Vec<f32> = x.iter().map(|x| 1.0 / (1.0 + (-x).exp())).collect();
    let log_p: Vec<f32> = x.iter().map(|x| -x.abs()).collect();
    let w: Vec<f32> = (0..classes).map(|class| 0.5 + class as f32 / 8.0).collect();
    let plain = SoftmaxCrossEntropy::new();
    let all = plain.clone().with_class_weights(&w).unwrap().with_label_smoothing(0.1).unwrap();
    let focal = plain.clone().with_focal_gamma(2.0).unwrap();
    let z = plain.clone().with_z_loss(0.1).unwrap();
    let capped = plain.clone().with_soft_cap(20.0).unwrap();
    let multi = MultiLabelSoftmax::new();
    let distilled = Distillation::new(3.0).unwrap();
    let sigmoid = SigmoidCrossEntropy::new();
    let sigmoid_all = sigmoid.clone().with_class_weights(&w).unwrap().with_pos_weight(&w).unwrap();
    let sigmoid_focal = sigmoid.clone().with_focal(2.0, Some(0.25)).unwrap();
    let (index, dense) = (Given::Index(&labels), Given::Dense(&dense));
    then("softmax", &plain, x, index);
    then("softmax, dense", &plain, x, dense);
    then("softmax, weights and smoothing", &all, x, index);
    then("focal", &focal, x, index);
    then("z-loss", &z, x, index);
    then("soft cap", &capped, x, index);
    then("multi-label softmax", &multi, x, dense);
    then("distillation", &distilled, x, Given::Teacher(&p));
    then("sigmoid", &sigmoid, x, dense);
    then("sigmoid, weights", &sigmoid_all, x, dense);
    then("sigmoid focal", &sigmoid_focal, x, dense);
    then("soft margin", &MultiLabelSoftMargin::new(), x, dense);
    then("logistic", &LogisticLoss::new(), &p, dense);
    then("multinomial logistic", &MultinomialLogistic::new(), &p, index);
    then("likelihood", &NegativeLogLikelihood::new(), &log_p, index);
}

/// Losses of elements have as many as inputs.
fn losses_of(name: &str, x: &[f32], classes: usize) -> usize {
    let elements = ["sigmoid", "sigmoid, weights", "sigmoid focal", "logistic"];
    if elements.contains(&name) { x.len() } else { x.len() / classes }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn all_levels_with_fma_return_the_same_bits_for_every_loss((classes, x) in batch()) {
        every_loss(&x, classes, &mut |name, loss, x, given| {
            let mut first = None;
            for level in Level::available().filter(|level| level.has_fma()) {
                let losses = losses_of(name, x, classes);
                let all = layouts(loss, level, x, classes, given, losses)
                    .map(|(_, got)| (bits(&got.losses), bits(&got.grad)));
                match &first {
                    None => first = Some(all),
                    Some(first) => assert_eq!(&all, first, "{name}, {level}"),
                }
            }
        });
    }

    #[test]
    fn a_row_has_the_same_bits_alone_and_in_a_batch((classes, x) in batch()) {
        let labels = labels(&x, classes);
        for level in Level::available() {
            let loss = SoftmaxCrossEntropy::new();
            let [(_, all), ..] = layouts(&loss, level, &x, classes, Given::Index(&labels), labels.len());
            for (row, x) in x.chunks(classes).enumerate() {
                let [(_, one), ..] =
                    layouts(&loss, level, x, classes, Given::Index(&labels[row..=row]), 1);
                prop_assert_eq!(one.losses[0].to_bits(), all.losses[row].to_bits());
                prop_assert_eq!(bits(&one.grad), bits(&all.grad[row * classes..][..classes]));
            }
        }
    }

    #[test]
    fn the_gradient_is_the_finite_difference_of_the_reference((classes, x) in batch()) {
        const STEP: f64 = 1e-5;
        let labels = labels(&x, classes);
        let [(_, got), ..] = layouts(
            &SoftmaxCrossEntropy::new(), Level::detect(), &x, classes, Given::Index(&labels),
            labels.len(),
        );
        for (row, x) in x.chunks(classes).enumerate() {
            let q = one_hot(classes, labels[row] as usize, 1.0);
            for class in 0..classes {
                let at = |step: f64| {
                    let mut x = wide(x);
                    x[class] += step;
                    cross_entropy(&x, &q).loss
                };
                let difference = (at(STEP) - at(-STEP)) / (2.0 * STEP);
                let g = f64::from(got.grad[row * classes + class]);
                prop_assert!((g - difference).abs() < 1e-6, "{g} and {difference}");
            }
        }
    }

    #[test]
    fn the_gradient_of_each_row_sums_to_zero((classes, x) in batch()) {
        let labels = labels(&x, classes);
        for level in Level::available() {
            for loss in [
                SoftmaxCrossEntropy::new(),
                SoftmaxCrossEntropy::new().with_label_smoothing(0.1).unwrap(),
                SoftmaxCrossEntropy::new().with_focal_gamma(2.0).unwrap(),
            ] {
                let [(_, got), ..] =
                    layouts(&loss, level, &x, classes, Given::Index(&labels), labels.len());
                for (grad, x) in got.grad.chunks(classes).zip(x.chunks(classes)) {
                    let sum: f64 = grad.iter().map(|&g| f64::from(g)).sum();
                    let largest = grad.iter().fold(0.0_f64, |most, &g| most.max(g.abs().into()));
                    // Each gradient has the error of its bound, whose distances the sum feels too.
                    let spread = x.iter().fold(0.0_f32, |most, x| most.max(x.abs()));
                    let ulp = classes as f64 + 4.0 + 2.0 * f64::from(spread);
                    let bound = ulp * 2.0_f64.powi(-24) * largest.max(0.1);
                    prop_assert!(sum.abs() <= bound, "{level}: {sum:e} of {bound:e}");
                }
            }
        }
    }

    #[test]
    fn a_constant_added_to_a_row_changes_nothing((classes, x) in batch()) {
        // Logits on a grid, so that the sums are exact.
        let x: Vec<f32> = x.iter().map(|x| (x * 64.0).round() / 64.0).collect();
        let moved: Vec<f32> = x.iter().map(|x| x + 1024.0).collect();
        let labels = labels(&x, classes);
        for level in Level::available() {
            let loss = SoftmaxCrossEntropy::new();
            let solve = |x: &[f32]| {
                layouts(&loss, level, x, classes, Given::Index(&labels), labels.len())
            };
            for ((_, here), (_, there)) in solve(&x).into_iter().zip(solve(&moved)) {
                prop_assert_eq!(bits(&here.losses), bits(&there.losses));
                prop_assert_eq!(bits(&here.grad), bits(&there.grad));
            }
        }
    }

    #[test]
    fn no_smoothing_no_gamma_and_weights_of_one_are_the_plain_loss((classes, x) in batch()) {
        let labels = labels(&x, classes);
        let ones = vec![1.0; classes];
        for level in Level::available() {
            let plain = SoftmaxCrossEntropy::new();
            let solve = |loss: SoftmaxCrossEntropy<'_>| {
                layouts(&loss, level, &x, classes, Given::Index(&labels), labels.len())
            };
            let first = solve(plain.clone());
            prop_assert_eq!(&solve(plain.clone().with_label_smoothing(0.0).unwrap()), &first);
            prop_assert_eq!(&solve(plain.clone().with_focal_gamma(0.0).unwrap()), &first);
            prop_assert_eq!(&solve(plain.clone().with_z_loss(0.0).unwrap()), &first);
            prop_assert_eq!(&solve(plain.with_class_weights(&ones).unwrap()), &first);
        }
    }

    #[test]
    fn a_student_that_is_its_teacher_has_nothing_to_learn((classes, x) in batch()) {
        for level in Level::available() {
            let loss = Distillation::new(2.0).unwrap();
            let rows = x.len() / classes;
            for (_, got) in layouts(&loss, level, &x, classes, Given::Teacher(&x), rows) {
                prop_assert!(got.losses.iter().all(|&loss| loss == 0.0), "{:?}", got.losses);
                prop_assert!(got.grad.iter().all(|g| g.abs() < 1e-6), "{:?}", got.grad);
            }
        }
    }
}
