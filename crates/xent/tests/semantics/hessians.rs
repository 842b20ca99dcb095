//! Exact second derivatives under focal loss, soft cap and z-loss are the differences of the reference's gradient;
//! the conventions of boosting libraries are theirs.

use xent::{
    Hessian, Level, Logits, LogitsMut, Pass, Reduction, SigmoidCrossEntropy, SoftmaxCrossEntropy,
    Targets,
};
use xent_reference::hessian::{of_gradient, xgboost_logistic};
use xent_reference::softmax::{cross_entropy, log_sum_exp, softmax};
use xent_reference::{focal, soft_cap};

use crate::support::numbers;

const ROWS: usize = 5;

/// What is done to a row beyond the cross-entropy.
#[derive(Clone, Copy, Debug)]
struct Extra {
    gamma: f64,
    cap: f64,
    z_loss: f64,
}

const EXTRAS: [Extra; 9] = [
    Extra { gamma: 0.0, cap: 0.0, z_loss: 0.25 },
    Extra { gamma: 2.0, cap: 0.0, z_loss: 0.0 },
    Extra { gamma: 0.5, cap: 0.0, z_loss: 0.0 },
    Extra { gamma: 1.0, cap: 0.0, z_loss: 0.0625 },
    Extra { gamma: 5.0, cap: 0.0, z_loss: 0.0 },
    Extra { gamma: 0.0, cap: 3.0, z_loss: 0.0 },
    Extra { gamma: 0.0, cap: 30.0, z_loss: 0.125 },
    Extra { gamma: 2.0, cap: 4.0, z_loss: 0.0 },
    Extra { gamma: 1.5, cap: 4.0, z_loss: 0.125 },
];

/// The gradient by one logit, by the reference; the target is a label with a weight, or a weight for every class.
fn gradient(x: &[f64], class: usize, label: Option<(usize, f64)>, q: &[f64], extra: Extra) -> f64 {
    let Extra { gamma, cap, z_loss } = extra;
    let capped = |x: &f64| if cap == 0.0 { *x } else { soft_cap::cap(*x, cap) };
    let u: Vec<f64> = x.iter().map(capped).collect();
    let of_loss = match label {
        Some((y, weight)) if gamma != 0.0 => focal::softmax(&u, y, gamma, weight).grad[class],
        _ => cross_entropy(&u, q).grad[class],
    };
    let of_z = 2.0 * z_loss * log_sum_exp(&u) * softmax(&u)[class];
    let slope = if cap == 0.0 { 1.0 } else { soft_cap::slope(x[class], cap) };
    (of_loss + of_z) * slope
}

/// The second derivative by one logit.
fn second(x: &[f64], class: usize, label: Option<(usize, f64)>, q: &[f64], extra: Extra) -> f64 {
    of_gradient(x[class], |moved| {
        let mut x = x.to_vec();
        x[class] = moved;
        gradient(&x, class, label, q, extra)
    })
}

fn loss_of<'w, F: xent::Float>(level: Level, extra: Extra) -> SoftmaxCrossEntropy<'w, F> {
    let loss = SoftmaxCrossEntropy::new().with_level(level).with_reduction(Reduction::Sum);
    let loss = loss.with_focal_gamma(extra.gamma).unwrap().with_z_loss(extra.z_loss).unwrap();
    if extra.cap == 0.0 { loss } else { loss.with_soft_cap(extra.cap).unwrap() }
}

macro_rules! compares {
    ($float:ident, $name:ident, $bound:literal) => {
        #[test]
        fn $name() {
            for classes in [1, 2, 3, 10, 32, 40, 300, 5000] {
                let mut x: Vec<$float> =
                    numbers(ROWS * classes, 7, 3.0).into_iter().map($float::from).collect();
                // A row that is nearly certain of its label, and one that is of another.
                x[classes] += 20.0;
                x[2 * classes] += 9.0;
                let labels: Vec<i64> =
                    [0, 0, 2, 1, 1].iter().map(|label| label % classes as i64).collect();
                let weights: Vec<$float> = (1..=ROWS).map(|row| row as $float / 2.0).collect();
                let class_weights: Vec<$float> =
                    (0..classes).map(|c| 0.5 + (c % 3) as $float).collect();
                let columns: Vec<$float> =
                    (0..x.len()).map(|i| x[i % ROWS * classes + i / ROWS]).collect();
                let wide: Vec<f64> = x.iter().map(|&x| f64::from(x)).collect();
                for extra in EXTRAS {
                    let some = [0, 1, 2, 7, classes / 2, classes - 1];
                    let some = some.into_iter().filter(|class| *class < classes);
                    let mut wanted = Vec::new();
                    for row in 0..ROWS {
                        let x = &wide[row * classes..(row + 1) * classes];
                        let y = labels[row] as usize;
                        let weight = f64::from(class_weights[y]);
                        let mut q = vec![0.0; classes];
                        q[y] = weight;
                        for class in some.clone() {
                            let h = second(x, class, Some((y, weight)), &q, extra);
                            wanted.push((row, class, f64::from(weights[row]) * h));
                        }
                    }
                    for level in Level::available() {
                        let loss = loss_of::<$float>(level, extra);
                        let loss = loss.with_class_weights(&class_weights).unwrap();
                        let targets = Targets::index(&labels);
                        let logits = || Logits::new(&x, classes).unwrap();
                        let (mut alone, mut beside) = (vec![9.0; x.len()], vec![9.0; x.len()]);
                        let (mut in_place, mut grad) = (x.clone(), vec![9.0; x.len()]);
                        let mut of_columns = vec![9.0; x.len()];
                        let mut second = vec![9.0; x.len()];
                        let plain = loss.evaluate(
                            logits(),
                            targets,
                            Pass::new().sample_weights(&weights).grad(&mut grad),
                        );
                        let pass = Pass::new().hessian(&mut alone, Hessian::Exact);
                        let report =
                            loss.evaluate(logits(), targets, pass.sample_weights(&weights));
                        assert_eq!(report.unwrap().loss, plain.unwrap().loss);
                        let mut again = vec![9.0; x.len()];
                        let pass =
                            Pass::new().hessian(&mut beside, Hessian::Exact).grad(&mut again);
                        loss.evaluate(logits(), targets, pass.sample_weights(&weights)).unwrap();
                        assert_eq!(again, grad);
                        let pass = Pass::new().hessian(&mut second, Hessian::Exact);
                        let mutable = LogitsMut::new(&mut in_place, classes).unwrap();
                        let pass = pass.sample_weights(&weights);
                        loss.evaluate_in_place(mutable, targets, pass).unwrap();
                        assert_eq!(in_place, grad);
                        let logits = Logits::with_columns(&columns, 1, classes, ROWS).unwrap();
                        let pass = Pass::new().hessian(&mut of_columns, Hessian::Exact);
                        let result = loss.evaluate(logits, targets, pass.sample_weights(&weights));
                        result.unwrap();
                        for &(row, class, want) in &wanted {
                            let at = row * classes + class;
                            let what = format!("{level}, {extra:?}, {classes}, {row}, {class}");
                            let of_column = of_columns[class * ROWS + row];
                            for got in [alone[at], beside[at], second[at], of_column] {
                                let error = (f64::from(got) - want).abs();
                                let scale = want.abs().max(0.05);
                                assert!(error <= $bound * scale, "{what}: {got:e}, not {want:e}");
                            }
                        }
                    }
                }
            }
        }
    };
}
compares!(f64, second_derivatives_of_labels_are_differences_of_the_gradient, 2e-10);
compares!(f32, second_derivatives_of_labels_are_exact_in_f32_too, 2e-5);

#[test]
fn second_derivatives_of_dense_targets_have_their_options() {
    for classes in [3, 40, 300, 5000] {
        let x: Vec<f64> = numbers(ROWS * classes, 7, 3.0).into_iter().map(f64::from).collect();
        let y: Vec<f64> =
            numbers(ROWS * classes, 8, 1.0).into_iter().map(|y| f64::from(y).abs()).collect();
        for extra in EXTRAS.into_iter().filter(|extra| extra.gamma == 0.0) {
            for level in Level::available() {
                let mut h = vec![9.0; x.len()];
                let pass = Pass::new().hessian(&mut h, Hessian::Exact);
                let logits = Logits::new(&x, classes).unwrap();
                let loss = loss_of(level, extra);
                loss.evaluate(logits, Targets::dense(&y), pass).unwrap();
                for row in 0..ROWS {
                    let range = row * classes..(row + 1) * classes;
                    let (x, q) = (&x[range.clone()], &y[range]);
                    for class in [0, 1, classes / 2, classes - 1] {
                        let want = second(x, class, None, q, extra);
                        let got = h[row * classes + class];
                        let scale = want.abs().max(0.05);
                        assert!((got - want).abs() <= 2e-9 * scale, "{extra:?}: {got} {want}");
                    }
                }
            }
        }
    }
}

#[test]
fn second_derivatives_of_a_sigmoid_focal_loss_are_differences_of_its_gradient() {
    let x: Vec<f64> = (-80..=80).map(|i| f64::from(i) / 4.0).collect();
    for (gamma, alpha) in
        [(2.0, None), (2.0, Some(0.25)), (0.5, None), (1.0, Some(0.5)), (5.0, None)]
    {
        for y in [0.0, 1.0, 0.3] {
            let targets = vec![y; x.len()];
            let narrow: Vec<f32> = x.iter().map(|&x| x as f32).collect();
            let of_narrow = vec![y as f32; x.len()];
            for level in Level::available() {
                let mut h = vec![9.0; x.len()];
                let loss = SigmoidCrossEntropy::new().with_focal(gamma, alpha).unwrap();
                let loss = loss.with_level(level).with_reduction(Reduction::Sum);
                let pass = Pass::new().hessian(&mut h, Hessian::Exact);
                loss.evaluate(Logits::new(&x, 1).unwrap(), Targets::dense(&targets), pass).unwrap();
                let mut of_f32 = vec![9.0; x.len()];
                let loss = SigmoidCrossEntropy::new().with_focal(gamma, alpha).unwrap();
                let loss = loss.with_level(level).with_reduction(Reduction::Sum);
                let pass = Pass::new().hessian(&mut of_f32, Hessian::Exact);
                let (logits, targets) =
                    (Logits::new(&narrow, 1).unwrap(), Targets::dense(&of_narrow));
                loss.evaluate(logits, targets, pass).unwrap();
                for (at, &x) in x.iter().enumerate() {
                    let want = of_gradient(x, |x| focal::sigmoid(x, y, gamma, alpha).1);
                    let what = format!("{level}, {gamma}, {alpha:?}, {y}, {x}");
                    assert!(
                        (h[at] - want).abs() <= 1e-9 * want.abs().max(0.01),
                        "{what}: {}",
                        h[at]
                    );
                    let error = (f64::from(of_f32[at]) - want).abs();
                    assert!(error <= 1e-5 * want.abs().max(0.01), "{what}: {} {want}", of_f32[at]);
                }
            }
        }
    }
}

#[test]
fn a_floor_is_the_least_second_derivative() {
    let x = numbers(400, 7, 6.0);
    let labels: Vec<u8> = (0..40).map(|row| row % 10).collect();
    for (extra, ignored) in EXTRAS.into_iter().flat_map(|extra| [(extra, -1), (extra, 3)]) {
        let loss = loss_of::<f32>(Level::detect(), extra).with_ignore_index(ignored);
        let of = |floor: Option<f64>| {
            let mut h = vec![9.0; x.len()];
            let mut pass = Pass::new().hessian(&mut h, Hessian::Exact);
            if let Some(floor) = floor {
                pass = pass.hessian_floor(floor);
            }
            loss.evaluate(Logits::new(&x, 10).unwrap(), Targets::index(&labels), pass).unwrap();
            h
        };
        let exact = of(None);
        for floor in [1e-3, 0.0, -0.5] {
            let wanted: Vec<f32> = exact.iter().map(|h| h.max(floor as f32)).collect();
            assert_eq!(of(Some(floor)), wanted, "{extra:?}, {floor}");
        }
    }
    let loss = SoftmaxCrossEntropy::new();
    let mut h = [9.0; 400];
    let pass = Pass::new().hessian(&mut h, Hessian::Exact).hessian_floor(f64::NAN);
    assert!(loss.evaluate(Logits::new(&x, 10).unwrap(), Targets::index(&labels), pass).is_err());
}

#[test]
fn the_floor_of_xgboost_is_inside_of_the_weight_of_a_logistic() {
    let x: Vec<f32> = vec![-45.0, -45.0, 30.0, 0.5, 90.0];
    let weights = [4.0, 0.25, 2.0, 3.0, 0.0];
    for level in Level::available() {
        let mut h = [9.0; 5];
        let pass = Pass::new().hessian(&mut h, Hessian::XgBoost).sample_weights(&weights);
        let loss = SigmoidCrossEntropy::new().with_level(level).with_reduction(Reduction::Sum);
        loss.evaluate(Logits::new(&x, 1).unwrap(), Targets::dense(&[0.0; 5]), pass).unwrap();
        for (at, got) in h.iter().enumerate() {
            let want = xgboost_logistic(x[at].into(), f64::from(weights[at]));
            assert!((f64::from(*got) - want).abs() <= 1e-6 * want, "{level}: {got:e} {want:e}");
        }
        // By `cover` of XGBoost 3.2.0.
        assert!((h[0] / 4e-16 - 1.0).abs() < 1e-6 && (h[1] / 2.5e-17 - 1.0).abs() < 1e-6);
    }
}

#[test]
fn the_conventions_of_libraries_are_for_plain_losses() {
    let x = [0.5_f32; 4];
    let plain = SoftmaxCrossEntropy::new().with_reduction(Reduction::Sum);
    let focal = SigmoidCrossEntropy::new().with_focal(2.0, None).unwrap();
    let focal = focal.with_reduction(Reduction::Sum);
    for convention in [Hessian::XgBoost, Hessian::LightGbm] {
        let mut h = [9.0; 4];
        for loss in [
            plain.clone().with_focal_gamma(2.0).unwrap(),
            plain.clone().with_z_loss(0.1).unwrap(),
            plain.clone().with_soft_cap(5.0).unwrap(),
        ] {
            let pass = Pass::new().hessian(&mut h, convention);
            let logits = Logits::new(&x, 2).unwrap();
            let error = loss.evaluate(logits, Targets::index(&[0_u8, 1]), pass).unwrap_err();
            assert!(error.to_string().contains("floor"), "{error}");
        }
        let pass = Pass::new().hessian(&mut h, convention);
        assert!(focal.evaluate(Logits::new(&x, 2).unwrap(), Targets::dense(&x), pass).is_err());
    }
}

#[test]
fn boosting_has_the_derivatives_of_every_row_whatever_the_reduction() {
    let (x, labels) = ([0.5, -1.0, 2.0, 0.0, 0.25, 1.0_f32], [2_u8, 0]);
    let (weights, scale) = ([2.0, 0.5], 3.0);
    for convention in [Hessian::Exact, Hessian::XgBoost, Hessian::LightGbm] {
        let loss = |reduction| SoftmaxCrossEntropy::new().with_reduction(reduction);
        let (mut grad, mut hess) = ([0.0; 6], [0.0; 6]);
        let pass = Pass::new().grad(&mut grad).hessian(&mut hess, convention);
        let pass = pass.sample_weights(&weights).scale(scale);
        let sum = loss(Reduction::Sum).evaluate((&x, 3), &labels, pass).unwrap();
        for reduction in [Reduction::None, Reduction::Sum, Reduction::Mean] {
            let (mut g, mut h) = ([9.0; 6], [9.0; 6]);
            let pass = Pass::new().boosting(&mut g, &mut h, convention);
            let pass = pass.sample_weights(&weights).scale(scale);
            let report = loss(reduction).evaluate((&x, 3), &labels, pass).unwrap();
            assert_eq!((g, h), (grad, hess), "{convention:?}, {reduction:?}");
            // The loss is reduced as ever.
            let divisor = if reduction == Reduction::Mean { 2.0 } else { 1.0 };
            assert_eq!(report.loss, sum.loss / divisor);
        }
    }
}

#[test]
fn a_mean_has_no_second_derivatives_of_a_boosting_library() {
    let x = [0.5, -1.0, 2.0, 0.0_f32];
    let mean = SoftmaxCrossEntropy::new();
    for convention in [Hessian::XgBoost, Hessian::LightGbm] {
        let (mut h, mut grad) = ([9.0; 4], [9.0; 4]);
        let pass = Pass::new().grad(&mut grad).hessian(&mut h, convention);
        assert_eq!(mean.evaluate((&x, 2), &[0, 1], pass), Err(xent::Error::HessianOfMean));
        assert_eq!((h, grad), ([9.0; 4], [9.0; 4]));
    }
    let (mut of_mean, mut of_sum) = ([0.0; 4], [0.0; 4]);
    mean.evaluate((&x, 2), &[0, 1], Pass::new().hessian(&mut of_mean, Hessian::Exact)).unwrap();
    let sum = mean.with_reduction(Reduction::Sum);
    sum.evaluate((&x, 2), &[0, 1], Pass::new().hessian(&mut of_sum, Hessian::Exact)).unwrap();
    assert!(of_mean.iter().zip(of_sum).all(|(mean, sum)| *mean == sum / 2.0));
}
