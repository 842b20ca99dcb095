//! Policies are explicit, and what does not make sense is refused before anything is written.

use approx::assert_relative_eq;
use xent::{
    Error, InputError, Level, LogisticLoss, Logits, LogitsMut, MeanOver, MultiLabelSoftMargin,
    MultiLabelSoftmax, MultinomialLogistic, NothingValid, Pass, Preset, Reduction,
    SigmoidCrossEntropy, SoftmaxCrossEntropy, Targets,
};

use crate::support::numbers;

const X: [f32; 8] = [1.0, 1.0, 3.0, 3.0, 0.0, 0.0, 7.0, 7.0];
const LN_2: f64 = std::f64::consts::LN_2;

/// Every row has the loss ln 2: what a mean of some of them divides by shows.
fn mean(loss: SoftmaxCrossEntropy<'_>, labels: &[i64], weights: &[f32]) -> f64 {
    let logits = Logits::new(&X, 2).unwrap();
    let pass = Pass::new().sample_weights(weights);
    loss.evaluate(logits, Targets::index(labels), pass).unwrap().loss
}

#[test]
fn reductions_and_denominators() {
    let w = [1.0, 3.0];
    let labels = [0, 1, 1, -5];
    let loss = SoftmaxCrossEntropy::new().with_ignore_index(-5).with_class_weights(w).unwrap();
    let total = 7.0 * LN_2;
    assert_relative_eq!(
        mean(loss.clone().with_reduction(Reduction::Sum), &labels, &[]),
        total,
        max_relative = 1e-7
    );
    for (over, divisor) in [
        (MeanOver::PyTorch, 7.0),
        (MeanOver::Weights, 7.0),
        (MeanOver::NotIgnored, 3.0),
        (MeanOver::AllRows, 4.0),
    ] {
        let got = mean(loss.clone().with_mean_over(over), &labels, &[]);
        assert_relative_eq!(got, total / divisor, max_relative = 1e-7);
    }
    // Sample weights scale the losses; only the sum of weights feels them.
    let v = [2.0, 1.0, 4.0, 9.0];
    let total = (2.0 + 3.0 + 12.0) * LN_2;
    for (over, divisor) in
        [(MeanOver::PyTorch, 7.0), (MeanOver::Weights, 17.0), (MeanOver::AllRows, 4.0)]
    {
        let got = mean(loss.clone().with_mean_over(over), &labels, &v);
        assert_relative_eq!(got, total / divisor, max_relative = 1e-7);
    }
}

#[test]
fn a_mean_of_nothing_is_an_error_or_zero_or_nan() {
    let labels = [1; 4];
    let loss = SoftmaxCrossEntropy::new().with_ignore_index(1);
    assert_eq!(mean(loss.clone(), &labels, &[]), 0.0);
    assert!(mean(loss.clone().with_nothing_valid(NothingValid::Nan), &labels, &[]).is_nan());
    let mut grad = [7.0; 8];
    let refused = loss.clone().with_nothing_valid(NothingValid::Error).loss_and_grad(
        Logits::new(&X, 2).unwrap(),
        Targets::index(&labels),
        &mut grad,
    );
    assert_eq!(refused, Err(Error::NothingValid));
    assert_eq!(grad, [7.0; 8]);
    loss.loss_and_grad(Logits::new(&X, 2).unwrap(), Targets::index(&labels), &mut grad).unwrap();
    assert_eq!(grad, [0.0; 8]);
    assert_eq!(mean(SoftmaxCrossEntropy::new(), &[0; 4], &[0.0; 4]), 0.0);
    let empty = SoftmaxCrossEntropy::new()
        .loss(Logits::<f32>::new(&[], 2).unwrap(), Targets::index::<u8>(&[]));
    assert_eq!(empty, Ok(0.0));
}

#[test]
fn a_row_without_a_label_follows_the_same_policy() {
    let y = [1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0];
    let logits = || Logits::new(&X, 2).unwrap();
    let mut losses = [9.0; 4];
    fn pass(losses: &mut [f32]) -> Pass<'_> {
        Pass::new().losses(losses)
    }
    let loss = MultiLabelSoftmax::new().with_reduction(Reduction::None);
    loss.evaluate(logits(), Targets::dense(&y), pass(&mut losses)).unwrap();
    assert_eq!(losses[1], 0.0);
    let nan = loss.clone().with_nothing_valid(NothingValid::Nan);
    nan.evaluate(logits(), Targets::dense(&y), pass(&mut losses)).unwrap();
    assert!(losses[1].is_nan() && !losses[0].is_nan() && !losses[2].is_nan());
    losses = [9.0; 4];
    let error = loss.with_nothing_valid(NothingValid::Error);
    let refused = error.evaluate(logits(), Targets::dense(&y), pass(&mut losses)).unwrap_err();
    assert_eq!(refused, Error::Input(InputError::Empty { row: 1 }));
    assert_eq!(losses, [9.0; 4]);
}

#[test]
fn any_i64_may_be_ignored_even_a_class() {
    for ignored in [i64::MIN, -100, -1, 0, 1, 2, 255, i64::MAX] {
        let labels = [0, ignored, 1, ignored];
        let loss = SoftmaxCrossEntropy::new().with_ignore_index(ignored);
        for level in Level::available() {
            let mut grad = [7.0; 8];
            let logits = Logits::new(&X, 2).unwrap();
            let pass = Pass::new().grad(&mut grad);
            let report = loss
                .clone()
                .with_level(level)
                .evaluate(logits, Targets::index(&labels), pass)
                .unwrap();
            let valid = labels.iter().filter(|&&label| label != ignored).count();
            assert_eq!(report.valid_rows, valid);
            assert_eq!(grad[2..4], [0.0; 2]);
        }
    }
    // A label type that cannot hold the ignored value ignores nothing.
    let loss = SoftmaxCrossEntropy::new().with_ignore_index(-100);
    assert!(loss.loss(Logits::new(&X, 2).unwrap(), Targets::index(&[0_u8, 1, 0, 1])).is_ok());
}

#[test]
fn a_bad_label_is_a_typed_error_and_nothing_is_written() {
    let logits = || Logits::new(&X, 2).unwrap();
    let labels = [0, 1, 2, -1];
    let (mut grad, mut losses, mut lse, mut predicted, mut hessian) =
        ([7.0; 8], [7.0; 4], [7.0; 4], [7; 4], [7.0; 8]);
    let pass = Pass::new()
        .grad(&mut grad)
        .losses(&mut losses)
        .log_sum_exp(&mut lse)
        .predicted(&mut predicted)
        .hessian(&mut hessian, xent::Hessian::Exact);
    let error =
        SoftmaxCrossEntropy::new().evaluate(logits(), Targets::index(&labels), pass).unwrap_err();
    assert_eq!(error, Error::Input(InputError::Label { row: 2, label: 2, classes: 2 }));
    assert!(error.to_string().contains("row 2 has 2"));
    assert_eq!(
        (grad, losses, lse, predicted, hessian),
        ([7.0; 8], [7.0; 4], [7.0; 4], [7; 4], [7.0; 8])
    );
}

#[test]
fn wrong_lengths_and_kinds_are_refused() {
    let loss = SoftmaxCrossEntropy::new();
    let logits = || Logits::new(&X, 2).unwrap();
    let index = Targets::index(&[0_u8; 4]);
    for (pass, of) in [
        (Pass::new().grad(&mut [0.0; 7]), "gradient"),
        (Pass::new().losses(&mut [0.0; 5]), "losses"),
        (Pass::new().sample_weights(&[1.0; 3]), "sample weights"),
        (Pass::new().predicted(&mut [0; 3]), "predicted"),
    ] {
        let error = loss.evaluate(logits(), index, pass).unwrap_err();
        assert!(error.to_string().contains(of), "{error}");
    }
    let error = loss.loss(logits(), Targets::teacher(&X)).unwrap_err();
    assert!(matches!(error, Error::Targets { found: "a teacher's logits", .. }), "{error}");
    let sigmoid = SigmoidCrossEntropy::new();
    assert!(matches!(sigmoid.loss(logits(), index), Err(Error::Targets { .. })));
    let upstream = Pass::new().upstream(&[1.0; 4]);
    assert_eq!(loss.evaluate(logits(), index, upstream).unwrap_err(), Error::UpstreamOfRows);
    let none = loss.clone().with_reduction(Reduction::None);
    assert_eq!(none.loss(logits(), index), Err(Error::NotReduced));
    // What is asked for is not dropped without a word, but a preset's default is.
    let ignoring =
        loss.clone().with_ignore_index(3).loss(logits(), Targets::dense(&X)).unwrap_err();
    assert!(ignoring.to_string().contains("ignore index"), "{ignoring}");
    let preset = SoftmaxCrossEntropy::preset(Preset::PyTorch);
    assert!(preset.loss(logits(), Targets::dense(&X)).is_ok());
    let explicit = preset.with_ignore_index(-100).loss(logits(), Targets::dense(&X));
    assert!(explicit.is_err());
    let in_place = LogitsMut::new(&mut [0.0_f32; 8], 2).map(|logits| {
        loss.evaluate_in_place(logits, index, Pass::new().grad(&mut [0.0; 8])).unwrap_err()
    });
    assert_eq!(in_place, Ok(Error::TwoGradients));
    assert!(matches!(
        Logits::with_shape(&X, usize::MAX, 2),
        Err(Error::Input(InputError::TooLarge { .. }))
    ));
}

#[test]
fn an_option_that_makes_no_sense_is_refused_when_the_loss_is_built() {
    let plain = SoftmaxCrossEntropy::new();
    let smoothed = plain.clone().with_label_smoothing(0.1).unwrap();
    let sigmoid = SigmoidCrossEntropy::new();
    for (refused, option) in [
        (plain.clone().with_label_smoothing(1.5).err(), "label smoothing"),
        (plain.clone().with_label_smoothing(f64::NAN).err(), "label smoothing"),
        (plain.clone().with_class_weights([1.0, -1.0]).err(), "class weights"),
        (plain.clone().with_class_weights([f32::NAN]).err(), "class weights"),
        (plain.clone().with_focal_gamma(-1.0).err(), "focal gamma"),
        (smoothed.with_focal_gamma(2.0).err(), "focal gamma"),
        (plain.clone().with_z_loss(f64::INFINITY).err(), "z-loss"),
        (plain.with_soft_cap(0.0).err(), "soft cap"),
        (sigmoid.clone().with_pos_weight([-1.0]).err(), "pos weight"),
        (sigmoid.with_focal(2.0, Some(1.5)).err(), "focal alpha"),
        (xent::Distillation::<f32>::new(-1.0).err(), "temperature"),
        (
            MultiLabelSoftmax::<f32>::new()
                .with_label_smoothing(0.1)
                .and_then(MultiLabelSoftmax::with_caffe_gradient)
                .err(),
            "Caffe gradient",
        ),
    ] {
        let message = refused.expect(option).to_string();
        assert!(message.contains(option), "{message}");
    }
}

#[test]
fn megatrons_smoothing_is_the_same_with_another_number() {
    let x = numbers(10, 1, 3.0);
    let logits = || Logits::new(&x, 5).unwrap();
    let targets = Targets::index(&[1_u8, 4]);
    let loss = SoftmaxCrossEntropy::new();
    let megatron = loss.clone().with_label_smoothing_of_others(0.1, 5).unwrap();
    let usual = loss.with_label_smoothing(0.1 * 5.0 / 4.0).unwrap();
    assert_eq!(megatron.loss(logits(), targets), usual.loss(logits(), targets));
}

#[test]
fn presets_have_the_defaults_of_their_peers() {
    let labels = [0, -100, 1, 0];
    let of = |preset| SoftmaxCrossEntropy::preset(preset);
    assert_relative_eq!(mean(of(Preset::PyTorch), &labels, &[]), LN_2, max_relative = 1e-7);
    assert!(mean(of(Preset::PyTorch), &[-100; 4], &[]).is_nan());
    let caffe = of(Preset::Caffe).with_ignore_index(-100);
    assert_relative_eq!(mean(caffe, &labels, &[]), LN_2, max_relative = 1e-7);
    let keras = of(Preset::Keras).with_ignore_index(-100);
    assert_relative_eq!(mean(keras, &labels, &[]), LN_2, max_relative = 1e-7);
    let logits = || Logits::new(&X, 2).unwrap();
    let optax = of(Preset::Optax).evaluate(logits(), Targets::index(&[0_u8; 4]), Pass::new());
    // The sum, where every row keeps its loss.
    assert_relative_eq!(optax.unwrap().loss, 4.0 * LN_2, max_relative = 1e-7);
    // Paddle divides by all rows, unless there are class weights or the label is not negative.
    let paddle = of(Preset::Paddle);
    assert_relative_eq!(mean(paddle.clone(), &labels, &[]), 0.75 * LN_2, max_relative = 1e-7);
    assert_relative_eq!(
        mean(paddle.clone().with_ignore_index(255), &[0, 255, 1, 0], &[]),
        LN_2,
        max_relative = 1e-7
    );
    let weighted = paddle.clone().with_class_weights([1.0, 3.0]).unwrap();
    assert_relative_eq!(mean(weighted, &labels, &[]), LN_2, max_relative = 1e-7);
    let all = paddle.with_mean_over(MeanOver::NotIgnored);
    assert_relative_eq!(mean(all, &labels, &[]), LN_2, max_relative = 1e-7);
    let candle = mean(of(Preset::Candle), &[0; 4], &[1.0, 2.0, 0.0, 1.0]);
    assert_relative_eq!(candle, LN_2, max_relative = 1e-7);
    let sklearn = mean(of(Preset::Sklearn), &[0; 4], &[1.0, 2.0, 0.0, 3.0]);
    assert_relative_eq!(sklearn, LN_2, max_relative = 1e-7);
    for preset in Preset::ALL {
        assert_eq!(preset.name().parse(), Ok(preset));
        assert_eq!(preset.name(), preset.name().to_lowercase());
    }
    let unknown = "torch".parse::<Preset>().unwrap_err().to_string();
    assert!(unknown.contains("pytorch") && unknown.contains("sklearn"), "{unknown}");
    // Caffe divides the sigmoid loss by the rows, everyone else by the elements.
    let y = [0.0; 8];
    let sigmoid = |preset| SigmoidCrossEntropy::preset(preset).loss(logits(), Targets::dense(&y));
    let elements = sigmoid(Preset::PyTorch).unwrap();
    assert_relative_eq!(sigmoid(Preset::Caffe).unwrap(), 2.0 * elements, max_relative = 1e-12);
}

/// Gradients of one loss in all the ways that they can be had.
#[test]
fn a_gradient_is_written_accumulated_or_in_place() {
    for classes in [3, 40, 4200] {
        let x = numbers(4 * classes, 3, 8.0);
        let labels: Vec<u32> = (0..4).map(|row| row % classes as u32).collect();
        for level in Level::available() {
            let plain = SoftmaxCrossEntropy::new().with_level(level);
            let smoothed = plain.clone().with_label_smoothing(0.1).unwrap();
            for (loss, same_kernel) in [(plain, true), (smoothed, true)] {
                let logits = || Logits::new(&x, classes).unwrap();
                let targets = Targets::index(&labels);
                let mut grad = vec![0.0; x.len()];
                loss.loss_and_grad(logits(), targets, &mut grad).unwrap();
                let mut in_place = x.clone();
                let mutable = LogitsMut::new(&mut in_place, classes).unwrap();
                loss.loss_and_grad_in_place(mutable, targets).unwrap();
                assert_eq!(in_place, grad, "{level}, {classes}");
                let old = numbers(x.len(), 5, 1.0);
                let mut sum = old.clone();
                let pass = Pass::new().accumulate_grad(&mut sum);
                loss.evaluate(logits(), targets, pass).unwrap();
                for ((sum, old), g) in sum.iter().zip(&old).zip(&grad) {
                    assert!(!same_kernel || *sum == old + g, "{level}, {classes}: {sum}");
                }
            }
        }
    }
}

#[test]
fn sample_weights_upstream_and_scale_multiply() {
    for classes in [3, 40] {
        let x = numbers(4 * classes, 3, 8.0);
        let targets = Targets::index(&[0_u8, 1, 2, 0]);
        let (v, u) = ([0.5, 2.0, 0.0, 1.0], [3.0, -1.0, 2.0, 0.25]);
        for level in Level::available() {
            let loss = SoftmaxCrossEntropy::new().with_level(level).with_reduction(Reduction::None);
            let logits = || Logits::new(&x, classes).unwrap();
            let (mut one, mut all) = (vec![0.0; x.len()], vec![0.0; x.len()]);
            let (mut of_one, mut of_all) = ([0.0; 4], [0.0; 4]);
            let pass = Pass::new().grad(&mut one).losses(&mut of_one);
            loss.evaluate(logits(), targets, pass).unwrap();
            let pass = Pass::new().grad(&mut all).losses(&mut of_all);
            let pass = pass.sample_weights(&v).upstream(&u).scale(8.0);
            loss.evaluate(logits(), targets, pass).unwrap();
            for row in 0..4 {
                assert_relative_eq!(of_all[row], v[row] * of_one[row], max_relative = 1e-6);
                for class in row * classes..(row + 1) * classes {
                    let want = v[row] * u[row] * 8.0 * one[class];
                    assert_relative_eq!(all[class], want, max_relative = 1e-6);
                }
            }
        }
    }
}

#[test]
fn a_row_of_weight_zero_has_no_part_even_if_it_is_not_finite() {
    let x = [1.0, 1.0, f32::NAN, 2.0, f32::INFINITY, f32::INFINITY];
    for level in Level::available() {
        let mut grad = [7.0; 6];
        let pass = Pass::new().sample_weights(&[1.0, 0.0, 0.0]).grad(&mut grad);
        let loss = SoftmaxCrossEntropy::new().with_level(level);
        let logits = Logits::new(&x, 2).unwrap();
        let report = loss.evaluate(logits, Targets::index(&[0_u8; 3]), pass).unwrap();
        assert_relative_eq!(report.loss, LN_2 / 3.0, max_relative = 1e-7);
        assert_relative_eq!(grad[..2], [-0.5 / 3.0, 0.5 / 3.0], max_relative = 1e-6);
        assert_eq!(grad[2..], [0.0; 4]);
    }
}

#[test]
fn probabilities_of_a_row_of_weight_zero_are_neither_refused_nor_counted() {
    let rows = |x: &'static [f32]| Logits::new(x, 2).unwrap();
    let weights = [0.0, 1.0];
    let pass = || Pass::new().sample_weights(&weights);
    let labels = Targets::index(&[1_u8, 0]);
    let loss = MultinomialLogistic::new();
    let clamped = |x| loss.evaluate(rows(x), labels, pass()).map(|report| report.clamped);
    assert_eq!(clamped(&[0.5, f32::NAN, 0.5, 9.0]).unwrap(), 0);
    assert_eq!(clamped(&[0.5, 0.0, 0.0, 9.0]).unwrap(), 1);
    let error = clamped(&[0.5, f32::NAN, 1.5, 0.5]).unwrap_err().to_string();
    assert!(error.contains("row 1, class 0"), "{error}");

    let loss = LogisticLoss::new();
    let ones = Targets::dense(&[1.0; 4]);
    let clamped = |x| loss.evaluate(rows(x), ones, pass()).map(|report| report.clamped);
    assert_eq!(clamped(&[f32::NAN, -3.0, 0.5, 0.5]).unwrap(), 0);
    assert_eq!(clamped(&[0.0, 0.0, 0.0, 0.5]).unwrap(), 1);
    let mut grad = [7.0; 4];
    let report = loss.evaluate(rows(&[f32::NAN, -3.0, 0.5, 0.5]), ones, pass().grad(&mut grad));
    assert_relative_eq!(report.unwrap().loss, LN_2 / 2.0, max_relative = 1e-7);
    assert_eq!(grad, [0.0, 0.0, -0.5, -0.5]);
    let error = clamped(&[f32::NAN, 0.5, 0.5, 7.0]).unwrap_err().to_string();
    assert!(error.contains("element 3 (row 1, class 1) is 7"), "{error}");
}

#[test]
fn a_sample_weight_of_zero_has_the_mean_of_one_that_is_tiny() {
    let tiny = [1.0, 1e-30, 1.0, 1e-30];
    let zero = [1.0, 0.0, 1.0, 0.0];
    let x = numbers(8, 5, 3.0);
    let p = [0.5_f32, 0.25, 0.75, 0.125, 1.0, 0.5, 0.5, 0.25];
    let y = [1.0, 0.0, 0.0, 1.0, 0.5, 0.5, 1.0, 0.0];
    let w = [0.5, 2.0];
    let index = Targets::index(&[0_u8, 1, 1, 0]);
    macro_rules! means {
        ($loss:expr, $inputs:expr, $targets:expr, $over:expr) => {{
            [&tiny, &zero].map(|weights: &[f32; 4]| {
                let loss = $loss.with_mean_over($over);
                let pass = Pass::new().sample_weights(weights);
                let report =
                    loss.evaluate(Logits::new(&$inputs, 2).unwrap(), $targets, pass).unwrap();
                assert_eq!(report.valid_rows, 4);
                report.loss
            })
        }};
    }
    for over in [MeanOver::PyTorch, MeanOver::NotIgnored, MeanOver::AllRows, MeanOver::Weights] {
        let softmax = SoftmaxCrossEntropy::new().with_class_weights(w).unwrap();
        let sigmoid = SigmoidCrossEntropy::new().with_class_weights(w).unwrap();
        let likelihood = MultinomialLogistic::new().with_class_weights(w).unwrap();
        for [tiny, zero] in [
            means!(softmax.clone(), x, index, over),
            means!(softmax.clone(), x, Targets::dense(&y), over),
            means!(MultiLabelSoftmax::new(), x, Targets::dense(&y), over),
            means!(sigmoid.clone(), x, Targets::dense(&y), over),
            means!(sigmoid.clone(), x, Targets::multi_hot(&[0_u8, 1, 1, 0, 0, 1, 1, 0]), over),
            means!(MultiLabelSoftMargin::new(), x, Targets::dense(&y), over),
            means!(LogisticLoss::new(), p, Targets::dense(&y), over),
            means!(likelihood.clone(), p, index, over),
        ] {
            assert_relative_eq!(tiny, zero, max_relative = 1e-6);
        }
    }
    // The examples of the report: PyTorch's `weight=` and Keras have 0.346574.
    let pass = Pass::new().sample_weights(&[0.0, 1.0]);
    let logits = Logits::new(&[2.0_f32, 0.0], 1).unwrap();
    let sigmoid = SigmoidCrossEntropy::new();
    let report = sigmoid.evaluate(logits, Targets::dense(&[1.0, 1.0]), pass).unwrap();
    assert_relative_eq!(report.loss, LN_2 / 2.0, max_relative = 1e-7);
    for targets in [Targets::index(&[1_u8, 0]), Targets::dense(&[0.0, 1.0, 1.0, 0.0])] {
        let pass = Pass::new().sample_weights(&[0.0, 1.0]);
        let logits = Logits::new(&[2.0_f32, 0.0, 0.0, 1.0], 2).unwrap();
        let report = SoftmaxCrossEntropy::new().evaluate(logits, targets, pass).unwrap();
        assert_relative_eq!(report.loss, 0.6566308, max_relative = 1e-6);
    }
}

#[test]
fn a_row_of_weight_zero_may_lack_a_label() {
    let weights = [1.0, 0.0, 1.0, 0.0];
    let loss = MultiLabelSoftmax::new().with_nothing_valid(NothingValid::Error);
    let pass = Pass::new().sample_weights(&weights);
    let y = [1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0];
    let report = loss.evaluate(Logits::new(&X, 2).unwrap(), Targets::dense(&y), pass).unwrap();
    assert_eq!(report.valid_rows, 2);
}

#[test]
fn correct_counts_rows_and_accuracy_weighs_them() {
    let x = [5.0, 0.0, 0.0, 0.0, 5.0, 0.0, 0.0, 0.0, 5.0, 5.0, 0.0, 0.0_f32];
    let labels = [0, 1, 2, 1];
    let report = |loss: SoftmaxCrossEntropy<'_>, weights: &[f32]| {
        let mut predicted = [9; 4];
        let pass = Pass::new().sample_weights(weights).predicted(&mut predicted);
        let logits = Logits::new(&x, 3).unwrap();
        let report = loss.evaluate(logits, Targets::index(&labels), pass).unwrap();
        (report.correct, Some(report.accuracy()).filter(|share| !share.is_nan()))
    };
    let loss = SoftmaxCrossEntropy::new();
    assert_eq!(report(loss.clone(), &[]), (Some(3), Some(0.75)));
    assert_eq!(report(loss.clone(), &[1.0, 0.0, 0.0, 0.0]), (Some(3), Some(1.0)));
    assert_eq!(report(loss.clone(), &[1.0, 0.0, 0.0, 3.0]), (Some(3), Some(0.25)));
    assert_eq!(
        report(loss.clone().with_ignore_index(1), &[1.0, 9.0, 1.0, 9.0]),
        (Some(2), Some(1.0))
    );
    assert_eq!(report(loss.clone().with_ignore_index(1), &[]), (Some(2), Some(1.0)));
    for nothing in [[0.0; 4], [1.0, -1.0, 1.0, -1.0], [-1.0; 4]] {
        assert_eq!(report(loss.clone(), &nothing), (Some(3), None));
    }
    let plain = loss.evaluate(Logits::new(&x, 3).unwrap(), Targets::index(&labels), Pass::new());
    assert!(plain.unwrap().accuracy().is_nan());
}

#[test]
fn the_mean_is_in_the_report_whatever_the_reduction() {
    let x = [2.0, 1.0, 0.0, 0.0, 3.0, 0.0_f64];
    for reduction in [Reduction::None, Reduction::Sum, Reduction::Mean] {
        let loss = SoftmaxCrossEntropy::<f64>::new().with_reduction(reduction);
        let logits = Logits::new(&x, 3).unwrap();
        let report = loss.evaluate(logits, Targets::index(&[0_u8, 1]), Pass::new()).unwrap();
        let perplexity = report.mean_loss.unwrap().exp();
        let e = |x: f64| x.exp();
        let wanted = ((1.0 + e(-1.0) + e(-2.0)) * (1.0 + 2.0 * e(-3.0))).sqrt();
        assert_relative_eq!(perplexity, wanted, max_relative = 1e-14);
        let report = loss.with_ignore_index(0);
        let report = report.evaluate(logits, Targets::index(&[0_u8, 0]), Pass::new()).unwrap();
        assert_eq!(report.mean_loss, None);
    }
}

/// Loss and gradient of what `$loss` makes of four rows of two classes.
macro_rules! loss_and_grad {
    ($loss:expr, $targets:expr, $weights:expr) => {{
        let mut grad = [7.0_f32; 8];
        let pass = Pass::new().sample_weights($weights).grad(&mut grad);
        let report = $loss.evaluate(Logits::new(&X, 2).unwrap(), $targets, pass).unwrap();
        (report.loss, grad)
    }};
}

#[test]
fn a_mean_over_weights_of_zero_has_the_gradient_of_pytorch() {
    let zeros = [0.0, 1.0];
    for level in Level::available() {
        let loss = SoftmaxCrossEntropy::new().with_level(level).with_class_weights(zeros).unwrap();
        let nan = loss.clone().with_nothing_valid(NothingValid::Nan).with_ignore_index(-100);
        let (value, grad) = loss_and_grad!(nan, Targets::index(&[0, 0, -100, 0]), &[]);
        assert!(value.is_nan() && grad[..4].iter().all(|g| g.is_nan()), "{grad:?}");
        assert_eq!(grad[4..6], [0.0; 2]);
        // A row of weight zero is zero whatever the others are.
        let (_, grad) =
            loss_and_grad!(nan, Targets::index(&[0, 0, -100, 0]), &[1.0, 0.0, 1.0, 1.0]);
        assert_eq!(grad[2..6], [0.0; 4]);
        // All of them ignored.
        let (value, grad) = loss_and_grad!(nan, Targets::index(&[-100; 4]), &[]);
        assert!(value.is_nan());
        assert_eq!(grad, [0.0; 8]);
        let (value, grad) = loss_and_grad!(loss, Targets::index(&[0; 4]), &[]);
        assert_eq!((value, grad), (0.0, [0.0; 8]));
    }
}

#[test]
fn weights_of_rows_may_be_negative_and_a_mean_over_less_than_nothing_is_over_nothing() {
    let weights = [1.0, -2.0, 0.5, 0.25];
    let plain = SoftmaxCrossEntropy::new().with_reduction(Reduction::Sum);
    let (sum, _) = loss_and_grad!(plain, Targets::index(&[0; 4]), &weights);
    assert_relative_eq!(sum, -0.25 * LN_2, max_relative = 1e-6);
    let loss = SoftmaxCrossEntropy::new().with_mean_over(MeanOver::Weights);
    assert_eq!(loss_and_grad!(loss, Targets::index(&[0; 4]), &weights), (0.0, [0.0; 8]));
    let error = loss.clone().with_nothing_valid(NothingValid::Error);
    let pass = Pass::new().sample_weights(&weights);
    let refused = error.evaluate(Logits::new(&X, 2).unwrap(), Targets::index(&[0; 4]), pass);
    assert_eq!(refused.unwrap_err(), Error::NothingValid);
    let nan = loss.with_nothing_valid(NothingValid::Nan);
    let (value, grad) = loss_and_grad!(nan, Targets::index(&[0; 4]), &weights);
    assert!(value.is_nan() && grad.iter().all(|g| g.is_nan()));
}

#[test]
fn sigmoid_targets_may_be_numbers_integers_or_lists() {
    let x = numbers(12, 7, 5.0);
    let dense = [1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 1.0, 1.0, 1.0];
    let hot: Vec<i8> = dense.iter().map(|&y| y as i8).collect();
    let lists = ([0, 2, 2, 3, 6], [2_u16, 0, 1, 0, 1, 2]);
    for level in Level::available() {
        let loss = SigmoidCrossEntropy::new().with_level(level);
        let solve = |targets| {
            let mut grad = vec![0.0; 12];
            let logits = Logits::new(&x, 3).unwrap();
            (loss.loss_and_grad(logits, targets, &mut grad).unwrap(), grad)
        };
        let first = solve(Targets::dense(&dense));
        assert_eq!(solve(Targets::multi_hot(&hot)), first);
        assert_eq!(solve(Targets::positives(&lists.0, &lists.1)), first);
    }
    let loss = SigmoidCrossEntropy::new();
    let logits = || Logits::new(&x, 3).unwrap();
    let bad = Targets::positives(&[0, 2, 2, 3, 6], &[2_u16, 0, 1, 0, 1, 3]);
    assert!(matches!(loss.loss(logits(), bad), Err(Error::Input(InputError::Label { .. }))));
    let falling = Targets::positives(&[0, 2, 1, 3, 6], &[0_u8; 6]);
    assert!(loss.loss(logits(), falling).is_err());
    // An element may be ignored by value; the mean is over the others.
    let mut with_void = hot.clone();
    with_void[3] = -1;
    let mut losses = [0.0; 12];
    let report = loss
        .clone()
        .with_ignore_index(-1)
        .evaluate(logits(), Targets::multi_hot(&with_void), Pass::new().losses(&mut losses))
        .unwrap();
    assert_eq!((losses[3], report.denominator), (0.0, 11.0));
    // With one logit a row, an index is a target.
    let binary = Logits::new(&x, 1).unwrap();
    let by_index = loss.loss(binary, Targets::index(&hot)).unwrap();
    assert_eq!(by_index, loss.loss(binary, Targets::dense(&dense)).unwrap());
}
