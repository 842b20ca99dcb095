//! Numbers out of their range are refused before anything is written, with the place, the value and what to do.

use xent::{
    Error, InputError, LogisticLoss, Logits, MultiLabelSoftMargin, MultiLabelSoftmax,
    MultinomialLogistic, NegativeLogLikelihood, Pass, SigmoidCrossEntropy, SoftmaxCrossEntropy,
    Targets, Values,
};

const CLASSES: usize = 7;
const ROWS: usize = 700;
const LENGTH: usize = ROWS * CLASSES;

/// A bad value at some places, one at a time, is found there: what it is one of, element, row, class.
macro_rules! refuses {
    ($loss:expr, $of:expr, $bad:expr, $good:expr) => {
        for at in [0, 1, 6, 7, 63, 64, 4095, 4096, LENGTH - 1] {
            for bad in $bad {
                let mut values = vec![$good; LENGTH];
                // The first of two.
                (values[at], values[LENGTH - 1]) = (bad, bad);
                let (mut grad, mut losses) = (vec![7.0_f32; LENGTH], vec![]);
                let x = vec![0.5_f32; LENGTH];
                let pass = Pass::new().grad(&mut grad).losses(&mut losses);
                let error = $loss
                    .evaluate(Logits::new(&x, CLASSES).unwrap(), Targets::dense(&values), pass)
                    .unwrap_err();
                let Error::Input(InputError::Value { of, element, row, class, value }) = error
                else {
                    panic!("{error}")
                };
                assert_eq!((of, element), ($of, at), "{bad}");
                assert_eq!((row, class), (Some(at / CLASSES), Some(at % CLASSES)));
                assert!(value == f64::from(bad) || value.is_nan() && bad.is_nan());
                assert!(grad.iter().all(|g| *g == 7.0));
            }
        }
    };
}

const NEGATIVE: [f32; 3] = [-1.0, -1e-45, f32::NEG_INFINITY];
const NO_NUMBER: [f32; 2] = [f32::NAN, f32::INFINITY];

#[test]
fn targets_of_elements_are_from_zero_to_one() {
    let above = [1.0 + f32::EPSILON, 2.0, 255.0];
    for bad in [&NEGATIVE[..], &NO_NUMBER, &above] {
        let bad = bad.iter().copied();
        refuses!(SigmoidCrossEntropy::new(), Values::SigmoidTargets, bad.clone(), 1.0_f32);
        refuses!(LogisticLoss::new(), Values::SigmoidTargets, bad.clone(), 0.0_f32);
        refuses!(MultiLabelSoftMargin::new(), Values::SigmoidTargets, bad.clone(), 0.5_f32);
    }
    let focal = SigmoidCrossEntropy::new().with_focal(2.0, Some(0.25)).unwrap();
    refuses!(focal, Values::SigmoidTargets, [2.0], -0.0_f32);
}

#[test]
fn dense_targets_of_a_softmax_are_finite_and_not_negative() {
    for bad in [&NEGATIVE[..], &NO_NUMBER] {
        let bad = bad.iter().copied();
        refuses!(SoftmaxCrossEntropy::new(), Values::SoftmaxTargets, bad.clone(), 255.0_f32);
        refuses!(MultiLabelSoftmax::new(), Values::MultiLabels, bad.clone(), f32::MAX);
    }
    let smoothed = SoftmaxCrossEntropy::new().with_label_smoothing(0.1).unwrap();
    refuses!(smoothed, Values::SoftmaxTargets, [-0.5], 0.0_f32);
}

#[test]
fn targets_at_the_limits_are_taken() {
    let x = [0.5_f32; 4];
    let logits = || Logits::new(&x, 2).unwrap();
    let limits = Targets::dense(&[0.0, 1.0, -0.0, 1e-45]);
    assert!(SigmoidCrossEntropy::new().loss(logits(), limits).is_ok());
    assert!(LogisticLoss::new().loss(logits(), limits).is_ok());
    let limits = Targets::dense(&[f32::MAX, 1e30, -0.0, 1e-45]);
    assert!(SoftmaxCrossEntropy::new().loss(logits(), limits).is_ok());
}

/// The error of a pass over two rows of two logits, and what was not written.
macro_rules! error_of {
    ($loss:expr, $inputs:expr, $targets:expr, $weights:expr) => {{
        let mut grad = [7.0_f32; 4];
        let pass = Pass::new().sample_weights($weights).grad(&mut grad);
        let error = $loss.evaluate(Logits::new($inputs, 2).unwrap(), $targets, pass).err();
        if error.is_some() {
            assert_eq!(grad, [7.0; 4]);
        }
        error
    }};
}

/// What the error says is one of these, and which.
fn place(error: Option<Error>) -> Option<(Values, usize)> {
    match error {
        Some(Error::Input(InputError::Value { of, element, .. })) => Some((of, element)),
        Some(other) => panic!("{other}"),
        None => None,
    }
}

#[test]
fn sample_weights_are_finite_and_may_be_negative() {
    let x = [0.5_f32; 4];
    let y = Targets::dense(&[0.0, 1.0, 1.0, 0.5]);
    let labels = Targets::index(&[0_u8, 1]);
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let weights = [1.0, bad];
        let wanted = Some((Values::SampleWeights, 1));
        assert_eq!(place(error_of!(SoftmaxCrossEntropy::new(), &x, labels, &weights)), wanted);
        assert_eq!(place(error_of!(SoftmaxCrossEntropy::new(), &x, y, &weights)), wanted);
        assert_eq!(place(error_of!(SigmoidCrossEntropy::new(), &x, y, &weights)), wanted);
        assert_eq!(place(error_of!(NegativeLogLikelihood::new(), &x, labels, &weights)), wanted);
    }
    for good in [-1.0, f32::MAX, f32::MIN, -0.0] {
        let weights = [good, 1.0];
        assert_eq!(place(error_of!(SoftmaxCrossEntropy::new(), &x, labels, &weights)), None);
        assert_eq!(place(error_of!(SigmoidCrossEntropy::new(), &x, y, &weights)), None);
    }
}

#[test]
fn probabilities_are_judged_only_where_they_count() {
    for bad in [1.5, -0.25, f32::NAN, f32::INFINITY] {
        let p = [0.5, bad, 0.25, 0.75];
        let wanted = Some((Values::Probabilities, 1));
        let loss = LogisticLoss::new().with_ignore_index(-1);
        let counts = Targets::multi_hot(&[0_i8, 1, 1, 0]);
        assert_eq!(place(error_of!(loss, &p, counts, &[])), wanted);
        let dense = Targets::dense(&[0.0; 4]);
        assert_eq!(place(error_of!(LogisticLoss::new(), &p, dense, &[])), wanted);
        let ignored = Targets::multi_hot(&[0_i8, -1, 1, 0]);
        let mut grad = [7.0; 4];
        let value = loss.loss_and_grad(Logits::new(&p, 2).unwrap(), ignored, &mut grad).unwrap();
        // -ln 0.5 - ln 0.25 - ln 0.25 over three.
        assert!((value - 5.0 * std::f64::consts::LN_2 / 3.0).abs() < 1e-6, "{value}");
        assert_eq!(grad[1], 0.0);

        let loss = MultinomialLogistic::new().with_ignore_index(-1);
        assert_eq!(place(error_of!(loss, &p, Targets::index(&[1_i8, 0]), &[])), wanted);
        for not_needed in [Targets::index(&[0_i8, 1]), Targets::index(&[-1_i8, 0])] {
            assert_eq!(place(error_of!(loss, &p, not_needed, &[])), None);
        }
    }
}

#[test]
fn an_error_names_the_place_the_value_and_the_remedy() {
    let x = [0.5_f32; 4];
    let sigmoid = |y: &[f32]| {
        let loss = SigmoidCrossEntropy::new();
        loss.loss(Logits::new(&x, 2).unwrap(), Targets::dense(y)).unwrap_err().to_string()
    };
    let mask = sigmoid(&[0.0, 0.0, 0.0, 255.0]);
    assert!(mask.contains("element 3 (row 1, class 1) is 255"), "{mask}");
    assert!(mask.contains("255 by 255"), "{mask}");
    let missing = sigmoid(&[0.0, 0.0, -1.0, 0.0]);
    assert!(missing.contains("row 1, class 0) is -1"), "{missing}");
    assert!(missing.contains("missing") && missing.contains("ignore index"), "{missing}");
    let weights = SoftmaxCrossEntropy::new().with_class_weights([1.0_f32, -2.0]).unwrap_err();
    assert!(weights.to_string().contains("class weights: element 1 (class 1) is -2"), "{weights}");
}

#[test]
fn probabilities_at_the_clamp_are_counted() {
    let p = [0.0, 1e-21, 1e-19, 1.0_f32];
    let report = |labels: &[i8]| {
        let loss = MultinomialLogistic::new().with_ignore_index(-1);
        let targets = Targets::index(labels);
        loss.evaluate(Logits::new(&p, 2).unwrap(), targets, Pass::new()).unwrap().clamped
    };
    assert_eq!(report(&[0, 0]), 1);
    assert_eq!(report(&[1, 1]), 1);
    assert_eq!(report(&[-1, 1]), 0);

    let p = [0.0, 1.0, 0.0, 1.0, 1e-44, 1e-43, 1.0 - 1e-7, 0.5_f32];
    let clamped = |loss: LogisticLoss<'_>, targets: Targets<'_>| {
        loss.evaluate(Logits::new(&p, 2).unwrap(), targets, Pass::new()).unwrap().clamped
    };
    let loss = LogisticLoss::new();
    let right = [0_i8, 1, 0, 1, 0, 0, 1, 1];
    let wrong = [1_i8, 0, 1, 0, 1, 1, 0, 0];
    assert_eq!(clamped(loss.clone(), Targets::multi_hot(&right)), 0);
    assert_eq!(clamped(loss.clone(), Targets::multi_hot(&wrong)), 5);
    let dense = |hot: &[i8]| hot.iter().map(|&y| y.into()).collect::<Vec<f32>>();
    assert_eq!(clamped(loss.clone(), Targets::dense(&dense(&right))), 0);
    assert_eq!(clamped(loss.clone(), Targets::dense(&dense(&wrong))), 5);
    assert_eq!(clamped(loss.clone(), Targets::dense(&[0.5; 8])), 5);
    let lists = Targets::positives(&[0, 1, 2, 4, 4], &[0_u8, 0, 0, 1]);
    assert_eq!(clamped(loss.clone(), lists), 5);
    let smoothed = loss.clone().with_label_smoothing(0.1).unwrap();
    assert_eq!(clamped(smoothed, Targets::dense(&dense(&right))), 5);
    let some = [-1_i8, 0, -1, 0, 1, 1, 0, 0];
    assert_eq!(clamped(loss.with_ignore_index(-1), Targets::multi_hot(&some)), 3);
}
