//! What is not finite: each row of the table, at every level, in short rows, long ones and columns,
//! and with good rows before and after.

use xent::{Distillation, Level, MultiLabelSoftmax, SigmoidCrossEntropy, SoftmaxCrossEntropy};

use crate::support::{Call, Given, layouts, same};

const INF: f32 = f32::INFINITY;
const NAN: f32 = f32::NAN;
const LN_2: f32 = std::f32::consts::LN_2;

/// Numbers of masked classes after those of a case.
const PADDING: [usize; 3] = [0, 37, 5000];

/// What a row should come to: with an index target, with the same as dense targets, and as the only
/// label of many.
fn softmax(x: &[f32], y: usize, loss: f32, grad: &[f32]) {
    for padding in PADDING {
        let classes = x.len() + padding;
        let undefined = loss.is_nan();
        // A good row on each side, whose loss is that of two equal classes.
        let mut all = vec![-INF; 3 * classes];
        for row in [0, 2] {
            all[row * classes..][..2].copy_from_slice(&[1.0, 1.0]);
        }
        if x.len() == 1 && padding == 0 {
            continue;
        }
        all[classes..][..x.len()].copy_from_slice(x);
        let mut q = vec![0.0; 3 * classes];
        for (row, y) in [0, y, 0].into_iter().enumerate() {
            q[row * classes + y] = 1.0;
        }
        let labels = [0, y as i64, 0];
        let plain = SoftmaxCrossEntropy::new();
        let multi = MultiLabelSoftmax::new();
        let cases: [(&str, &dyn Call, Given<'_>); 3] = [
            ("index", &plain, Given::Index(&labels)),
            ("dense", &plain, Given::Dense(&q)),
            ("multi-label", &multi, Given::Dense(&q)),
        ];
        for (kind, call, given) in cases {
            for level in Level::available() {
                for (layout, got) in layouts(call, level, &all, classes, given, 3) {
                    let what = format!("{kind}, {level}, {layout}, {classes} classes");
                    for row in [0, 2] {
                        assert_eq!(got.losses[row], LN_2, "{what}: a good row");
                        let good = &got.grad[row * classes..][..classes];
                        assert_eq!(good[..2], [-0.5, 0.5], "{what}: a good row");
                        assert!(good[2..].iter().all(|g| *g == 0.0), "{what}: a good row");
                    }
                    assert!(same(got.losses[1], loss), "{what}: loss {}", got.losses[1]);
                    for (class, &g) in got.grad[classes..2 * classes].iter().enumerate() {
                        let padded = if undefined { NAN } else { 0.0 };
                        let want = grad.get(class).copied().unwrap_or(padded);
                        assert!(same(g, want), "{what}: gradient {class} is {g}, not {want}");
                    }
                }
            }
        }
    }
}

#[test]
fn any_nan_among_the_logits_makes_that_row_nan() {
    softmax(&[1.0, NAN, 2.0], 0, NAN, &[NAN; 3]);
    softmax(&[NAN, 1.0, 2.0], 0, NAN, &[NAN; 3]);
    softmax(&[INF, NAN], 0, NAN, &[NAN; 2]);
}

#[test]
fn some_masked_classes_are_as_if_absent() {
    softmax(&[1.0, -INF, 1.0], 0, LN_2, &[-0.5, 0.0, 0.5]);
}

#[test]
fn a_masked_target_has_an_infinite_loss() {
    softmax(&[0.0, -INF, 0.0], 1, INF, &[0.5, -1.0, 0.5]);
}

#[test]
fn a_row_of_nothing_but_masks_is_nan() {
    softmax(&[-INF; 3], 0, NAN, &[NAN; 3]);
}

#[test]
fn one_plus_infinity_that_is_the_target_is_certain() {
    softmax(&[0.0, INF, 1.0], 1, 0.0, &[0.0; 3]);
}

#[test]
fn one_plus_infinity_that_is_not_the_target_is_a_certain_error() {
    softmax(&[0.0, INF, 1.0], 0, INF, &[-1.0, 1.0, 0.0]);
}

#[test]
fn two_plus_infinities_are_nan() {
    softmax(&[INF, 0.0, INF], 0, NAN, &[NAN; 3]);
}

#[test]
fn finite_masks_are_as_infinite_ones() {
    for mask in [-1e30, f32::MIN] {
        softmax(&[1.0, mask, 1.0], 0, LN_2, &[-0.5, 0.0, 0.5]);
    }
}

/// One row at every level and in every layout.
fn row(call: &dyn Call, x: &[f32], given: Given<'_>, loss: f32, grad: &[f32]) {
    for level in Level::available() {
        for (layout, got) in layouts(call, level, x, x.len(), given, 1) {
            assert!(same(got.losses[0], loss), "{level}, {layout}: loss {}", got.losses[0]);
            for (class, (&g, &want)) in got.grad.iter().zip(grad).enumerate() {
                assert!(same(g, want), "{level}, {layout}: gradient {class} is {g}, not {want}");
            }
        }
    }
}

#[test]
fn the_focal_loss_has_the_same_limits() {
    let loss = SoftmaxCrossEntropy::new().with_focal_gamma(2.0).unwrap();
    row(&loss, &[0.0, INF, 1.0], Given::Index(&[1]), 0.0, &[0.0; 3]);
    row(&loss, &[0.0, INF, 1.0], Given::Index(&[0]), INF, &[-1.0, 1.0, 0.0]);
    row(&loss, &[0.0, -INF, 0.0], Given::Index(&[1]), INF, &[0.5, -1.0, 0.5]);
    row(&loss, &[0.0, NAN], Given::Index(&[0]), NAN, &[NAN; 2]);
}

#[test]
fn z_loss_of_an_infinite_log_sum_exp_is_infinite() {
    let loss = SoftmaxCrossEntropy::new().with_z_loss(0.1).unwrap();
    row(&loss, &[0.0, INF], Given::Index(&[1]), INF, &[0.0, INF]);
    row(&loss, &[0.0, INF], Given::Index(&[0]), INF, &[-1.0, INF]);
    // The gradient of Caffe left the z-loss out.
    let loss = MultiLabelSoftmax::new().with_z_loss(0.1).unwrap().with_caffe_gradient().unwrap();
    row(&loss, &[0.0, INF], Given::Dense(&[1.0, 0.0]), INF, &[-1.0, INF]);
}

#[test]
fn a_soft_cap_is_for_finite_logits() {
    let loss = SoftmaxCrossEntropy::new().with_soft_cap(5.0).unwrap();
    row(&loss, &[0.0, -INF, 0.0], Given::Index(&[0]), LN_2, &[-0.5, 0.0, 0.5]);
    row(&loss, &[0.0, INF, 1.0], Given::Index(&[1]), 0.0, &[0.0; 3]);
    row(&loss, &[0.0, NAN], Given::Index(&[0]), NAN, &[NAN; 2]);
}

#[test]
fn a_teacher_may_be_certain_or_masked() {
    let loss = Distillation::new(1.0).unwrap();
    row(&loss, &[0.0, 0.0], Given::Teacher(&[INF, 0.0]), LN_2, &[-0.5, 0.5]);
    row(&loss, &[1.0, 1.0, -INF], Given::Teacher(&[2.0, 2.0, -INF]), 0.0, &[0.0; 3]);
    row(&loss, &[1.0, -INF], Given::Teacher(&[2.0, 2.0]), INF, &[0.5, -0.5]);
    row(&loss, &[1.0, 1.0], Given::Teacher(&[NAN, 2.0]), NAN, &[NAN; 2]);
    row(&loss, &[1.0, 1.0], Given::Teacher(&[-INF, -INF]), NAN, &[NAN; 2]);
    row(&loss, &[INF, 1.0], Given::Teacher(&[INF, 1.0]), 0.0, &[0.0; 2]);
}

#[test]
fn a_sigmoid_has_the_limits_of_its_logit() {
    let x = [INF, -INF, INF, -INF, NAN, 0.0];
    let y = [1.0, 0.0, 0.0, 1.0, 1.0, 0.0];
    let losses = [0.0, 0.0, INF, INF, NAN, LN_2];
    let grad = [0.0, 0.0, 1.0, -1.0, NAN, 0.5];
    for classes in [1, 6] {
        for level in Level::available() {
            let loss = SigmoidCrossEntropy::new();
            let given = Given::Dense(&y);
            for (layout, got) in layouts(&loss, level, &x, classes, given, 6) {
                for i in 0..6 {
                    assert!(same(got.losses[i], losses[i]), "{level}, {layout}: loss {i}");
                    assert!(same(got.grad[i], grad[i]), "{level}, {layout}: gradient {i}");
                }
            }
        }
    }
}

#[test]
fn a_sigmoid_focal_loss_has_the_limits_of_its_logit() {
    let loss = SigmoidCrossEntropy::new().with_focal(2.0, None).unwrap();
    let x = [INF, -INF, INF, -INF, NAN];
    let y = [1.0, 0.0, 0.0, 1.0, 1.0];
    for level in Level::available() {
        for (layout, got) in layouts(&loss, level, &x, 5, Given::Dense(&y), 5) {
            let what = format!("{level}, {layout}: {got:?}");
            assert_eq!(got.losses[..4], [0.0, 0.0, INF, INF], "{what}");
            assert_eq!(got.grad[..4], [0.0, 0.0, 1.0, -1.0], "{what}");
            assert!(got.losses[4].is_nan() && got.grad[4].is_nan(), "{what}");
        }
    }
}

/// It was zero times infinity.
#[test]
fn a_masked_target_of_weight_zero_costs_nothing_in_a_focal_loss() {
    for classes in [3, 100] {
        let weights = vec![0.0; classes];
        let loss = SoftmaxCrossEntropy::new().with_focal_gamma(2.0).unwrap();
        let loss = loss.with_class_weights(&weights).unwrap();
        let mut x = vec![0.0; classes];
        x[1] = -INF;
        for level in Level::available() {
            for (layout, got) in layouts(&loss, level, &x, classes, Given::Index(&[1]), 1) {
                assert_eq!(got.losses, [0.0], "{level}, {layout}");
                assert!(got.grad.iter().all(|&g| g == 0.0), "{level}, {layout}");
            }
        }
    }
}

/// The target's gradient was zero.
#[test]
fn a_masked_target_has_its_gradient_under_a_soft_cap() {
    let loss = SoftmaxCrossEntropy::new().with_soft_cap(5.0).unwrap();
    for classes in [3, 100] {
        let mut x = vec![0.0; classes];
        x[1] = -INF;
        let p = 1.0 / (classes - 1) as f32;
        for level in Level::available() {
            for (layout, got) in layouts(&loss, level, &x, classes, Given::Index(&[1]), 1) {
                let what = format!("{level}, {layout}");
                assert_eq!((got.losses[0], got.grad[1]), (INF, -1.0), "{what}");
                approx::assert_relative_eq!(got.grad[0], p, max_relative = 1e-6);
            }
        }
    }
}

/// Levels had different bits: a masked class times an inverse that is zero was NaN in some of them.
#[test]
fn a_temperature_without_an_inverse_is_refused() {
    for temperature in [1e60, 1e-60] {
        let loss = Distillation::new(temperature).unwrap();
        let result = loss
            .loss(xent::Logits::new(&[1.0, -INF], 2).unwrap(), xent::Targets::teacher(&[0.0, 1.0]));
        let error = result.unwrap_err().to_string();
        assert!(error.contains("temperature"), "{error}");
        let logits = xent::Logits::new(&[1.0_f64, 0.0], 2).unwrap();
        let loss = Distillation::new(temperature).unwrap();
        assert!(loss.loss(logits, xent::Targets::teacher(&[0.0, 1.0])).is_ok());
    }
}

/// It was a difference of numbers about one, whatever the share of the class.
#[test]
fn the_gradient_beside_a_certain_teacher_has_its_digits() {
    const CLASSES: usize = 191;
    let mut teacher = [0.0; CLASSES];
    teacher[7] = f64::INFINITY;
    let loss = Distillation::new(1.0).unwrap();
    for level in Level::available() {
        let mut grad = [0.0; CLASSES];
        let logits = xent::Logits::new(&[0.0; CLASSES], CLASSES).unwrap();
        loss.clone()
            .with_level(level)
            .loss_and_grad(logits, xent::Targets::teacher(&teacher), &mut grad)
            .unwrap();
        approx::assert_relative_eq!(grad[0], 1.0 / CLASSES as f64, max_relative = 1e-15);
    }
}

/// It was the largest logit.
#[test]
fn a_row_has_its_log_sum_exp_whatever_its_teacher() {
    let x = [1.0, 3.0, 2.0_f32];
    let want = xent_reference::softmax::log_sum_exp(&x.map(|x| f64::from(x) / 2.0));
    let loss = Distillation::new(2.0).unwrap();
    for level in Level::available() {
        for teacher in [[NAN, 0.0, 0.0], [-INF; 3], [INF, INF, 0.0], [INF, 0.0, 0.0], [0.0; 3]] {
            let mut lse = [0.0];
            let pass = xent::Pass::new().log_sum_exp(&mut lse);
            let logits = xent::Logits::new(&x, 3).unwrap();
            loss.clone()
                .with_level(level)
                .evaluate(logits, xent::Targets::teacher(&teacher), pass)
                .unwrap();
            approx::assert_relative_eq!(lse[0], want as f32, max_relative = 1e-6);
        }
    }
}

/// From where a quotient of probabilities overflowed to where they underflowed, it was NaN.
#[test]
fn a_sigmoid_focal_gradient_of_a_confident_logit_is_finite() {
    let x: Vec<f32> = (0..200).map(|i| i as f32 - 200.0).collect();
    for (sign, y) in [(1.0, 0.0), (-1.0, 1.0)] {
        let x: Vec<f32> = x.iter().map(|x| sign * x).collect();
        let y = vec![y; x.len()];
        for gamma in [0.5, 2.0] {
            let loss = SigmoidCrossEntropy::new().with_focal(gamma, None).unwrap();
            for level in Level::available() {
                for (layout, got) in layouts(&loss, level, &x, 1, Given::Dense(&y), x.len()) {
                    for (&x, &gradient) in x.iter().zip(&got.grad) {
                        let y = y[0].into();
                        let (_, want) = xent_reference::focal::sigmoid(x.into(), y, gamma, None);
                        let error = (f64::from(gradient) - want).abs();
                        let bound = 1e-4 * want.abs() + 1e-43;
                        assert!(error <= bound, "{level}, {layout}: {x}: {gradient:e} {want:e}");
                    }
                }
            }
        }
    }
}

/// Its loss was zero, and its gradient NaN.
#[test]
fn nan_is_nan_where_an_alpha_leaves_nothing_of_a_sigmoid_focal_loss() {
    for gamma in [0.0, 2.0] {
        let loss = SigmoidCrossEntropy::new().with_focal(gamma, Some(0.0)).unwrap();
        for level in Level::available() {
            let (x, y) = ([NAN, -INF, -1.0, INF], [1.0; 4]);
            for (layout, got) in layouts(&loss, level, &x, 4, Given::Dense(&y), 4) {
                let what = format!("{level}, {layout}: {got:?}");
                assert!(got.losses[0].is_nan() && got.grad[0].is_nan(), "{what}");
                assert_eq!(
                    (&got.losses[1..], &got.grad[1..]),
                    (&[0.0; 3][..], &[0.0; 3][..]),
                    "{what}"
                );
            }
        }
    }
}

/// Its loss was zero, and its gradient NaN.
#[test]
fn nan_is_nan_where_the_class_of_a_focal_loss_has_no_weight() {
    for classes in [3, 30, 150, 5000] {
        let mut weights = vec![1.0; classes];
        weights[1] = 0.0;
        let loss = SoftmaxCrossEntropy::new().with_focal_gamma(2.0).unwrap();
        let loss = loss.with_class_weights(&weights).unwrap();
        let mut x = vec![0.5; 3 * classes];
        x[2 * classes - 1] = NAN;
        // The masked label of a row without weight costs nothing.
        x[2 * classes + 1] = -INF;
        for level in Level::available() {
            for (layout, got) in layouts(&loss, level, &x, classes, Given::Index(&[1, 1, 1]), 3) {
                let what = format!("{level}, {layout}, {classes} classes: {:?}", got.losses);
                assert!(got.losses[0] == 0.0 && got.losses[1].is_nan(), "{what}");
                assert_eq!(got.losses[2], 0.0, "{what}");
                let gradient = |row: usize| &got.grad[row * classes..][..classes];
                assert!(gradient(0).iter().all(|g| *g == 0.0), "{what}");
                assert!(gradient(1).iter().all(|g| g.is_nan()), "{what}");
            }
        }
    }
}
