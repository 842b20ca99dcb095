//! A class of weight zero: its terms are exactly zero, in every loss.

use xent::{
    Error, Level, LogisticLoss, Logits, MultiLabelSoftMargin, MultinomialLogistic,
    NegativeLogLikelihood, Pass, Reduction, Report, SigmoidCrossEntropy, SoftmaxCrossEntropy,
    Targets,
};

const INF: f32 = f32::INFINITY;
const NAN: f32 = f32::NAN;

/// Calls `loss` at every level with three upstream gradients for its first row: a finite one, an infinite one and
/// NaN; and without one.
macro_rules! judge {
    ($loss:expr, $x:expr, $classes:expr, $targets:expr, $losses:expr, $check:expr) => {
        for level in Level::available() {
            let loss = $loss.clone().with_level(level).with_reduction(Reduction::None);
            for of_first in [Some(2.0), Some(INF), Some(-INF), Some(NAN), None] {
                let (mut losses, mut grad) = (vec![9.0; $losses], vec![9.0; $x.len()]);
                let mut upstream = vec![1.0; $losses];
                upstream[0] = of_first.unwrap_or(1.0);
                let mut pass = Pass::new().losses(&mut losses).grad(&mut grad);
                if of_first.is_some() {
                    pass = pass.upstream(&upstream);
                }
                let logits = Logits::new(&$x, $classes).unwrap();
                let report: Result<Report, Error> = loss.evaluate(logits, $targets, pass);
                report.unwrap_or_else(|error| panic!("{level}: {error}"));
                let what = format!("{level}, upstream {of_first:?}: {losses:?}, {grad:?}");
                $check(&losses[..], &grad[..], what);
            }
        }
    };
}

#[test]
fn the_term_of_a_class_of_weight_zero_is_zero_in_the_losses_that_a_label_picks() {
    for classes in [2, 40, 5000] {
        let mut weights = vec![1.0; classes];
        weights[0] = 0.0;
        let check = |losses: &[f32], grad: &[f32], what: String| {
            assert_eq!(losses[0], 0.0, "{what}");
            assert!(grad[..classes].iter().all(|&g| g == 0.0), "{what}");
            assert!(losses[1] > 0.0 && grad[classes + 1] < 0.0, "{what}");
        };
        for odd in [-INF, INF, NAN, -1e30, 2.0] {
            let mut x = vec![0.25; 2 * classes];
            x[0] = odd;
            let targets = Targets::index(&[0_u8, 1]);
            let loss = MultinomialLogistic::new().with_class_weights(&weights).unwrap();
            judge!(loss, x, classes, targets, 2, check);
            x[classes..].fill(-0.75);
            let loss = NegativeLogLikelihood::new().with_class_weights(&weights).unwrap();
            judge!(loss, x, classes, targets, 2, check);
        }
    }
}

#[test]
fn the_elements_of_a_class_of_weight_zero_have_no_loss() {
    for classes in [2, 40, 5000] {
        let mut weights = vec![1.0; classes];
        weights[0] = 0.0;
        let check = |losses: &[f32], grad: &[f32], what: String| {
            assert_eq!((losses[0], grad[0]), (0.0, 0.0), "{what}");
            assert!(losses[1] > 0.0 && grad[1] != 0.0, "{what}");
        };
        for odd in [-INF, INF, NAN, 3.0] {
            for y in [0.0, 0.5, 1.0] {
                let (mut x, mut t) = (vec![0.25; classes], vec![0.0; classes]);
                (x[0], t[0]) = (odd, y);
                let targets = Targets::dense(&t);
                let loss = SigmoidCrossEntropy::new().with_class_weights(&weights).unwrap();
                judge!(loss, x, classes, targets, classes, check);
                let focal = loss.with_focal(2.0, Some(0.25)).unwrap();
                judge!(focal, x, classes, targets, classes, check);
                let loss = LogisticLoss::new().with_class_weights(&weights).unwrap();
                judge!(loss, x, classes, targets, classes, check);
                let report = loss.evaluate(Logits::new(&x, classes).unwrap(), targets, Pass::new());
                assert_eq!(report.unwrap().clamped, 0);
                // The mean over the classes: the others have theirs.
                let loss = MultiLabelSoftMargin::new().with_class_weights(&weights).unwrap();
                for level in Level::available() {
                    let loss = loss.clone().with_level(level);
                    let mut grad = vec![9.0; classes];
                    let logits = Logits::new(&x, classes).unwrap();
                    let value = loss.loss_and_grad(logits, targets, &mut grad).unwrap();
                    assert!(value.is_finite() && value > 0.0, "{level}: {value}");
                    assert!(grad[0] == 0.0 && grad[1] > 0.0, "{level}: {grad:?}");
                }
            }
        }
    }
}

#[test]
fn a_label_of_a_class_of_weight_zero_has_no_loss_wherever_its_row_has_a_softmax() {
    for classes in [2, 3, 10, 40, 150, 5000] {
        let mut weights = vec![1.0; classes];
        weights[0] = 0.0;
        let plain = SoftmaxCrossEntropy::new().with_class_weights(&weights).unwrap();
        let focal = plain.clone().with_focal_gamma(2.0).unwrap();
        let capped = plain.clone().with_soft_cap(30.0).unwrap();
        let nothing = |losses: &[f32], grad: &[f32], what: String| {
            assert_eq!(losses[0], 0.0, "{classes} classes, {what}");
            assert!(grad[..classes].iter().all(|&g| g == 0.0), "{classes} classes, {what}");
            assert!(losses[1] > 0.0 && grad[classes + 1] < 0.0, "{classes} classes, {what}");
        };
        let nan = |losses: &[f32], grad: &[f32], what: String| {
            assert!(losses[0].is_nan(), "{classes} classes, {what}");
            assert!(grad[..classes].iter().any(|g| g.is_nan()), "{classes} classes, {what}");
            assert!(losses[1] > 0.0 && grad[classes + 1] < 0.0, "{classes} classes, {what}");
        };
        // The logit of the label, and another's.
        let odd = [(-INF, 0.0), (-1e30, 0.5), (1.0, INF), (INF, 1.0), (0.5, -INF), (2.0, 1.0)];
        for (label, other) in odd {
            let mut x = vec![0.25; 2 * classes];
            (x[0], x[1]) = (label, other);
            let targets = Targets::index(&[0_i32, 1]);
            judge!(plain, x, classes, targets, 2, nothing);
            judge!(focal, x, classes, targets, 2, nothing);
            judge!(capped, x, classes, targets, 2, nothing);
        }
        for (label, other) in [(NAN, 0.0), (0.0, NAN), (INF, INF)] {
            let mut x = vec![0.25; 2 * classes];
            (x[0], x[1]) = (label, other);
            let targets = Targets::index(&[0_i32, 1]);
            judge!(plain, x, classes, targets, 2, nan);
            judge!(focal, x, classes, targets, 2, nan);
        }
    }
}

#[test]
fn probabilities_of_a_class_of_weight_zero_are_neither_refused_nor_counted() {
    let weights = [0.0, 1.0];
    let logits = |x: &'static [f32]| Logits::new(x, 2).unwrap();
    let loss = MultinomialLogistic::new().with_class_weights(weights).unwrap();
    let labels = Targets::index(&[0_u8, 1]);
    let clamped = |x| loss.evaluate(logits(x), labels, Pass::new()).map(|report| report.clamped);
    assert_eq!(clamped(&[0.0, 9.0, 9.0, 0.0]).unwrap(), 1);
    assert_eq!(clamped(&[9.0, 9.0, 9.0, 0.5]).unwrap(), 0);
    assert!(clamped(&[0.5, 9.0, 9.0, 1.5]).is_err());

    let loss = LogisticLoss::new().with_class_weights(weights).unwrap();
    let ones = Targets::dense(&[1.0; 4]);
    let clamped = |x| loss.evaluate(logits(x), ones, Pass::new()).map(|report| report.clamped);
    assert_eq!(clamped(&[0.0, 0.0, 0.0, 0.5]).unwrap(), 1);
    assert_eq!(clamped(&[NAN, 0.5, -3.0, 0.5]).unwrap(), 0);
    let error = clamped(&[NAN, 0.5, 0.5, 7.0]).unwrap_err().to_string();
    assert!(error.contains("element 3 (row 1, class 1) is 7"), "{error}");
}
