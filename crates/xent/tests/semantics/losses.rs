//! Every loss of the family has the value and the gradient of its formula.

use xent::{
    Distillation, Level, LogisticLoss, Logits, MultiLabelSoftMargin, MultiLabelSoftmax,
    MultinomialLogistic, NegativeLogLikelihood, Pass, Reduction, SigmoidCrossEntropy,
    SoftmaxCrossEntropy, Targets,
};
use xent_reference::softmax::{RowAnswer, cross_entropy};
use xent_reference::ulp::error_at_f32;
use xent_reference::{
    distillation, focal, multilabel, probabilities, sigmoid, soft_cap, targets, z_loss,
};

use crate::support::{Call, Given, assert_row, layouts, numbers, wide};

/// Below and above the number of classes where the kernels change, and past a tile.
const CLASSES: [usize; 6] = [1, 2, 10, 33, 200, 4100];
const ROWS: usize = 5;

/// Rows from flat to spread, the last one confident of class 0.
fn logits(classes: usize) -> Vec<f32> {
    let mut x: Vec<f32> = [0.5, 3.0, 10.0, 30.0, 2.0]
        .into_iter()
        .zip(1..)
        .flat_map(|(scale, seed)| numbers(classes, seed, scale))
        .collect();
    x[4 * classes] += 40.0;
    x
}

fn labels(classes: usize) -> Vec<i64> {
    [3, 1, 7, 2, 0].map(|label| label % classes as i64).to_vec()
}

/// Judges a loss of rows at every level and in every layout.
fn judge(
    loss: &dyn Call,
    classes: usize,
    given: Given<'_>,
    times: f64,
    want: impl Fn(usize, &[f64]) -> (RowAnswer, f64),
) {
    let x = logits(classes);
    for level in Level::available() {
        for (layout, got) in layouts(loss, level, &x, classes, given, ROWS) {
            for (row, x) in x.chunks(classes).enumerate() {
                let x = wide(x);
                let (answer, loss_scale) = want(row, &x);
                let what = format!("{level}, {layout}, row {row} of {classes} classes");
                let grad = &got.grad[row * classes..][..classes];
                assert_row(&what, (got.losses[row], grad), &answer, &x, times, loss_scale);
            }
        }
    }
}

/// Weights of the classes, one of them zero.
fn class_weights(classes: usize) -> Vec<f32> {
    (0..classes)
        .map(|class| (class % 4) as f32 / 2.0 + if classes < 4 { 0.5 } else { 0.0 })
        .collect()
}

#[test]
fn softmax_cross_entropy_index() {
    for classes in CLASSES {
        let (labels, w) = (labels(classes), class_weights(classes));
        let plain = SoftmaxCrossEntropy::new();
        let given = Given::Index(&labels);
        judge(&plain, classes, given, 1.0, |row, x| {
            (cross_entropy(x, &targets::one_hot(classes, labels[row] as usize, 1.0)), 0.0)
        });
        let weighted = plain.with_class_weights(&w).unwrap();
        judge(&weighted, classes, given, 1.0, |row, x| {
            let label = labels[row] as usize;
            (cross_entropy(x, &targets::one_hot(classes, label, w[label].into())), 0.0)
        });
        let smoothed = weighted.with_label_smoothing(0.1).unwrap();
        judge(&smoothed, classes, given, 1.5, |row, x| {
            let q = targets::smoothed(classes, labels[row] as usize, 0.1, Some(&wide(&w)));
            (cross_entropy(x, &q), 0.0)
        });
    }
}

#[test]
fn softmax_cross_entropy_dense() {
    for classes in CLASSES {
        let t: Vec<f32> = numbers(ROWS * classes, 9, 1.0).iter().map(|t| t.abs()).collect();
        let w = class_weights(classes);
        let row_of = |row: usize| wide(&t[row * classes..][..classes]);
        let plain = SoftmaxCrossEntropy::new();
        judge(&plain, classes, Given::Dense(&t), 1.0, |row, x| {
            (cross_entropy(x, &row_of(row)), 0.0)
        });
        let all = plain.with_class_weights(&w).unwrap().with_label_smoothing(0.2).unwrap();
        judge(&all, classes, Given::Dense(&t), 1.5, |row, x| {
            (cross_entropy(x, &targets::smoothed_dense(&row_of(row), 0.2, Some(&wide(&w)))), 0.0)
        });
    }
}

#[test]
fn multi_label_softmax_with_the_scale_factor() {
    for classes in CLASSES {
        // Labels that are numbers, a third of them zero.
        let mut y: Vec<f32> = numbers(ROWS * classes, 11, 2.0)
            .iter()
            .map(|y| if y.abs() < 0.7 { 0.0 } else { y.abs() })
            .collect();
        // A row of zeros and ones, as many people have them; and one without any label.
        y[..classes].iter_mut().for_each(|y| *y = if *y > 0.0 { 1.0 } else { 0.0 });
        y[0] = 1.0;
        y[classes..2 * classes].fill(0.0);
        for row in 2..ROWS {
            y[row * classes] = 1.25;
        }
        let row_of = |row: usize| wide(&y[row * classes..][..classes]);
        let exact = MultiLabelSoftmax::new();
        judge(&exact, classes, Given::Dense(&y), 1.5, |row, x| {
            (multilabel::softmax(x, &row_of(row)), 0.0)
        });
        let caffe = exact.with_caffe_gradient().unwrap();
        judge(&caffe, classes, Given::Dense(&y), 1.5, |row, x| {
            let answer = multilabel::softmax(x, &row_of(row));
            let grad = multilabel::caffe_gradient(x, &row_of(row));
            // Its own two terms: a probability, and a share of one.
            let scale = vec![
                1.0 / row_of(row).iter().filter(|y| **y != 0.0).count().max(1) as f64;
                classes
            ];
            (RowAnswer { grad, scale, ..answer }, 0.0)
        });
    }
}

#[test]
fn softmax_focal() {
    for classes in CLASSES {
        let (labels, w) = (labels(classes), class_weights(classes));
        for gamma in [0.5, 1.0, 2.0, 5.0] {
            let loss = SoftmaxCrossEntropy::new()
                .with_focal_gamma(gamma)
                .unwrap()
                .with_class_weights(&w)
                .unwrap();
            judge(&loss, classes, Given::Index(&labels), 1.0 + gamma, |row, x| {
                let label = labels[row] as usize;
                (focal::softmax(x, label, gamma, w[label].into()), 0.0)
            });
        }
    }
}

#[test]
fn distillation_of_a_teacher() {
    for classes in CLASSES {
        let teacher: Vec<f32> = numbers(ROWS * classes, 5, 6.0);
        for temperature in [0.5, 1.0, 4.0] {
            let loss = Distillation::new(temperature).unwrap();
            judge(
                &loss,
                classes,
                Given::Teacher(&teacher),
                2.0 / temperature.min(1.0),
                |row, x| {
                    let teacher = wide(&teacher[row * classes..][..classes]);
                    let tau = temperature;
                    let answer = distillation::divergence(x, &teacher, tau);
                    // A difference of two cross-entropies.
                    let q: Vec<f64> = xent_reference::softmax::softmax(
                        &teacher.iter().map(|t| t / tau).collect::<Vec<_>>(),
                    );
                    let scaled: Vec<f64> = x.iter().map(|x| x / tau).collect();
                    let entropy = tau * tau * cross_entropy(&scaled, &q).loss;
                    (answer, entropy)
                },
            );
        }
    }
}

#[test]
fn z_loss_adds_the_square_of_log_sum_exp() {
    for classes in CLASSES {
        let labels = labels(classes);
        let loss = SoftmaxCrossEntropy::new().with_z_loss(0.25).unwrap();
        judge(&loss, classes, Given::Index(&labels), 3.0, |row, x| {
            let q = targets::one_hot(classes, labels[row] as usize, 1.0);
            let answer = z_loss::cross_entropy(x, &q, 0.25);
            let scale = answer
                .scale
                .iter()
                .zip(&answer.grad)
                .map(|(s, g)| s.abs().max(g.abs()).max(1e-3))
                .collect();
            (RowAnswer { scale, ..answer }, 1.0)
        });
    }
}

#[test]
fn soft_cap_squeezes_the_logits() {
    for classes in CLASSES {
        let labels = labels(classes);
        for cap in [5.0, 30.0] {
            let loss = SoftmaxCrossEntropy::new().with_soft_cap(cap).unwrap();
            // A capped logit is off by some ULP of the cap, and the derivative of the cap has an
            // exponential and roundings of its own.
            let times = 2.0 + cap / 3.0;
            judge(&loss, classes, Given::Index(&labels), times, |row, x| {
                let q = targets::one_hot(classes, labels[row] as usize, 1.0);
                (soft_cap::cross_entropy(x, &q, cap), 0.0)
            });
        }
    }
}

/// Judges a loss of elements at every level and in every layout: the value, the gradient, and the
/// scale of both.
fn judge_elements(
    loss: &dyn Call,
    classes: usize,
    (x, y): (&[f32], &[f32]),
    ulp: f64,
    want: impl Fn(usize, f64, f64) -> ((f64, f64), f64),
) {
    for level in Level::available() {
        for (layout, got) in layouts(loss, level, x, classes, Given::Dense(y), x.len()) {
            for (i, (&x, &y)) in x.iter().zip(y).enumerate() {
                let ((loss, grad), scale) = want(i % classes, x.into(), y.into());
                for (what, got, want, scale) in
                    [("loss", got.losses[i], loss, 0.0), ("gradient", got.grad[i], grad, scale)]
                {
                    let error = error_at_f32(got, want, scale);
                    assert!(
                        error <= ulp,
                        "{level}, {layout}: {what} of {x:e}, {y:e}: {got:e}, not {want:e}: {error}"
                    );
                }
            }
        }
    }
}

/// Targets of zero, one, and between.
fn soft_targets(count: usize) -> Vec<f32> {
    numbers(count, 21, 1.0)
        .iter()
        .enumerate()
        .map(|(i, y)| match i % 3 {
            0 => 0.0,
            1 => 1.0,
            _ => y.abs(),
        })
        .collect()
}

#[test]
fn sigmoid_cross_entropy_with_weights() {
    for classes in CLASSES {
        let (x, y) = (logits(classes), soft_targets(ROWS * classes));
        let w = class_weights(classes);
        let pos: Vec<f32> = w.iter().map(|w| 3.0 - w).collect();
        let plain = SigmoidCrossEntropy::new();
        let scale = |x, y: f64| ((1.0 - y) * sigmoid::sigmoid(x)).max(y * sigmoid::sigmoid(-x));
        judge_elements(&plain, classes, (&x, &y), 4.0, |_, x, y| {
            (sigmoid::cross_entropy(x, y, 1.0), scale(x, y))
        });
        let all = plain.with_class_weights(&w).unwrap().with_pos_weight(&pos).unwrap();
        judge_elements(&all, classes, (&x, &y), 6.0, |class, x, y| {
            let (q, w) = (f64::from(pos[class]), f64::from(w[class]));
            (sigmoid::weighted_cross_entropy(x, y, q, w), 3.0 * w * scale(x, y))
        });
    }
}

#[test]
fn sigmoid_focal() {
    for classes in [1, 10, 200] {
        let (x, y) = (logits(classes), soft_targets(ROWS * classes));
        for (gamma, alpha) in [(2.0, Some(0.25)), (0.5, None), (0.0, Some(0.75)), (3.0, None)] {
            let loss = SigmoidCrossEntropy::new().with_focal(gamma, alpha).unwrap();
            // The power costs a relative error in proportion to the exponent and its logarithm.
            let ulp = 6.0 * (1.0 + gamma) + gamma * 40.0;
            judge_elements(&loss, classes, (&x, &y), ulp, |_, x, y| {
                let answer = focal::sigmoid(x, y, gamma, alpha);
                // The size of the terms of a soft target, which are subtracted.
                let soft = if y == 0.0 || y == 1.0 { 0.0 } else { 1.0 };
                (answer, soft)
            });
        }
    }
}

#[test]
fn multi_label_soft_margin() {
    for classes in CLASSES {
        let y: Vec<f32> = soft_targets(ROWS * classes).iter().map(|y| y.round()).collect();
        judge(&MultiLabelSoftMargin::new(), classes, Given::Dense(&y), 1.0, |row, x| {
            let (loss, grad) =
                multilabel::soft_margin(x, &wide(&y[row * classes..][..classes]), None);
            let scale = vec![0.0; classes];
            let max = x.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            (RowAnswer { loss, grad, scale, mean_distance: 0.0, max }, 0.0)
        });
    }
}

/// Those of columns were added up one by one.
#[test]
fn a_mean_over_thousands_of_classes_has_all_its_digits() {
    let (classes, inner) = (4098, 2);
    let (x, y) = (vec![0.0; classes * inner], vec![0.0; classes * inner]);
    let loss = MultiLabelSoftMargin::<f64>::new().with_reduction(Reduction::None);
    for level in Level::available() {
        let mut losses = [0.0; 2];
        let logits = Logits::with_columns(&x, 1, classes, inner).unwrap();
        let pass = Pass::new().losses(&mut losses);
        loss.clone().with_level(level).evaluate(logits, Targets::dense(&y), pass).unwrap();
        for loss in losses {
            let off = (loss - std::f64::consts::LN_2).abs() / f64::EPSILON;
            assert!(off <= 2.0, "{level}: {off} roundings");
        }
    }
}

/// Its product with the target was subnormal, with a part of its digits, before it was divided.
#[test]
fn the_gradient_of_a_subnormal_probability_has_all_its_digits() {
    let p = [f32::from_bits(41727), f32::from_bits(1), 1e-38, 0.5];
    let (y, positive) = ([0.3615_f32; 4], [0.0; 4]);
    let loss = LogisticLoss::new().with_pos_weight(positive).unwrap();
    for level in Level::available() {
        for (layout, got) in layouts(&loss, level, &p, 4, Given::Dense(&y), 4) {
            for (class, (&p, &g)) in p.iter().zip(&got.grad).enumerate() {
                let (_, of_zero) = probabilities::logistic(p.into(), 0.0);
                let want = (1.0 - f64::from(y[class])) * of_zero;
                let ulp = error_at_f32(g, want, 0.0);
                assert!(ulp <= 8.0, "{level}, {layout}: {p:e}: {g:e}, not {want:e}: {ulp} ULP");
            }
        }
    }
}

#[test]
fn logistic_loss_of_probabilities() {
    for classes in [1, 10, 200] {
        let mut p: Vec<f32> = numbers(ROWS * classes, 3, 1.0).iter().map(|p| p.abs()).collect();
        p[0] = 0.0;
        p[ROWS * classes - 1] = 1.0;
        let y = soft_targets(p.len());
        judge_elements(&LogisticLoss::new(), classes, (&p, &y), 8.0, |_, p, y| {
            let spread = (p * (1.0 - p)).max(probabilities::LOGISTIC_FLOOR);
            let terms = ((1.0 - y) * p).max(y * (1.0 - p)) / spread;
            (probabilities::logistic(p, y), terms)
        });
    }
}

/// A loss that a label picks: at every level, in every layout, to one ULP.
fn judge_picked(
    loss: &dyn Call,
    classes: usize,
    input: &[f32],
    want: impl Fn(&[f64], usize) -> (f64, Vec<f64>),
) {
    let labels = labels(classes);
    for level in Level::available() {
        for (layout, got) in layouts(loss, level, input, classes, Given::Index(&labels), ROWS) {
            for (row, input) in input.chunks(classes).enumerate() {
                let (loss, grad) = want(&wide(input), labels[row] as usize);
                assert!(error_at_f32(got.losses[row], loss, 0.0) <= 1.0, "{level}, {layout}");
                for (&got, want) in got.grad[row * classes..][..classes].iter().zip(grad) {
                    assert!(error_at_f32(got, want, 0.0) <= 1.0, "{level}, {layout}: {got} {want}");
                }
            }
        }
    }
}

#[test]
fn multinomial_logistic_loss() {
    for classes in [1, 10, 200] {
        let mut p: Vec<f32> = numbers(ROWS * classes, 3, 1.0).iter().map(|p| p.abs()).collect();
        p[3 % classes] = 0.0;
        judge_picked(&MultinomialLogistic::new(), classes, &p, |p, label| {
            probabilities::multinomial_logistic(p, label)
        });
    }
}

#[test]
fn negative_log_likelihood() {
    for classes in [1, 10, 200] {
        let p: Vec<f32> = numbers(ROWS * classes, 3, 9.0).iter().map(|p| -p.abs()).collect();
        let w: Vec<f32> = (0..classes).map(|class| 0.5 + class as f32).collect();
        let loss = NegativeLogLikelihood::new().with_class_weights(&w).unwrap();
        judge_picked(&loss, classes, &p, |p, label| {
            probabilities::negative_log_likelihood(p, label, w[label].into())
        });
    }
}

#[test]
fn two_class_softmax_is_the_sigmoid_of_the_difference() {
    let x = numbers(64, 8, 12.0);
    let labels: Vec<i64> = (0..32).map(|row| row % 2).collect();
    let difference: Vec<f32> = x.chunks(2).map(|x| x[1] - x[0]).collect();
    let y: Vec<f32> = labels.iter().map(|&label| label as f32).collect();
    for level in Level::available() {
        let softmax = SoftmaxCrossEntropy::new();
        let [(_, two), ..] = layouts(&softmax, level, &x, 2, Given::Index(&labels), 32);
        let sigmoid = SigmoidCrossEntropy::new();
        let [(_, one), ..] = layouts(&sigmoid, level, &difference, 1, Given::Dense(&y), 32);
        for row in 0..32 {
            // The difference was rounded, and the loss feels that in proportion.
            let relative = 4e-6;
            approx::assert_relative_eq!(two.losses[row], one.losses[row], max_relative = relative);
            approx::assert_relative_eq!(
                two.grad[2 * row + 1],
                one.grad[row],
                max_relative = relative
            );
        }
    }
}
