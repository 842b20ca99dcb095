//! What comes out of the same pass beside loss and gradient.

use xent::{
    Distillation, Hessian, Level, Logits, Pass, Reduction, SigmoidCrossEntropy,
    SoftmaxCrossEntropy, Targets,
};
use xent_reference::ulp::{error_at_f32, error_f32};
use xent_reference::{hessian, softmax};

use crate::support::{numbers, transposed, wide};

const CLASSES: [usize; 5] = [2, 10, 33, 300, 4100];
const ROWS: usize = 6;

#[test]
fn log_sum_exp_predicted_class_and_correct_count_come_from_the_same_pass() {
    for classes in CLASSES {
        let x = numbers(ROWS * classes, 4, 9.0);
        let x_columns = transposed(&x, ROWS);
        let best: Vec<u32> = x
            .chunks(classes)
            .map(|row| (0..classes).max_by(|&a, &b| row[a].total_cmp(&row[b])).unwrap() as u32)
            .collect();
        // Half of the labels are what is predicted; one is ignored.
        let mut labels: Vec<i64> = best.iter().map(|&class| class.into()).collect();
        labels[0] = (labels[0] + 1) % classes as i64;
        labels[3] = (labels[3] + 1) % classes as i64;
        labels[5] = -1;
        for level in Level::available() {
            let loss = SoftmaxCrossEntropy::new().with_level(level).with_ignore_index(-1);
            for logits in
                [Logits::new(&x, classes), Logits::with_columns(&x_columns, 1, classes, ROWS)]
            {
                let (mut lse, mut predicted) = ([0.0; ROWS], [9; ROWS]);
                let pass = Pass::new().log_sum_exp(&mut lse).predicted(&mut predicted);
                let report = loss.evaluate(logits.unwrap(), Targets::index(&labels), pass).unwrap();
                assert_eq!(predicted[..], best[..], "{level}, {classes} classes");
                assert_eq!((report.correct, report.valid_rows), (Some(3), 5));
                for (row, x) in x.chunks(classes).enumerate() {
                    let want = softmax::log_sum_exp(&wide(x));
                    let max = f64::from(x[best[row] as usize]);
                    assert!(error_at_f32(lse[row], want, max) <= 4.0, "{level}: {}", lse[row]);
                }
            }
        }
    }
}

#[test]
fn a_row_whose_label_is_ignored_is_not_correct() {
    let x = [2.0, 1.0, 0.0, 3.0, 4.0, 0.0];
    let loss = SoftmaxCrossEntropy::new().with_ignore_index(0);
    let mut predicted = [9; 3];
    let pass = Pass::new().predicted(&mut predicted);
    let targets = Targets::index(&[0_u8, 1, 1]);
    let report = loss.evaluate(Logits::new(&x, 2).unwrap(), targets, pass).unwrap();
    assert_eq!((predicted, report.correct), ([0, 1, 0], Some(1)));
}

#[test]
fn the_first_of_equal_logits_is_predicted() {
    for classes in [3, 40] {
        let mut x = vec![0.0; classes];
        (x[1], x[2]) = (5.0, 5.0);
        for level in Level::available() {
            let mut predicted = [0];
            SoftmaxCrossEntropy::new()
                .with_level(level)
                .evaluate(
                    Logits::new(&x, classes).unwrap(),
                    Targets::index(&[0_u8]),
                    Pass::new().predicted(&mut predicted),
                )
                .unwrap();
            assert_eq!(predicted, [1]);
        }
    }
}

#[test]
fn the_hessian_has_each_convention() {
    for classes in CLASSES {
        let mut x = numbers(ROWS * classes, 6, 3.0);
        // A confident row, whose p (1 - p) is tiny.
        x[classes] += 30.0;
        let x_columns = transposed(&x, ROWS);
        let labels: Vec<i64> = (0..ROWS as i64).map(|row| row % classes as i64).collect();
        let weights: Vec<f32> = (1..=ROWS).map(|row| row as f32 / 2.0).collect();
        for level in Level::available() {
            let class_weights: Vec<f32> = (0..classes).map(|c| 0.5 + (c % 3) as f32).collect();
            let loss = SoftmaxCrossEntropy::new()
                .with_level(level)
                .with_reduction(Reduction::Sum)
                .with_class_weights(&class_weights)
                .unwrap();
            for (convention, of) in [
                (Hessian::Exact, hessian::exact as fn(&[f64], f64) -> Vec<f64>),
                (Hessian::XgBoost, hessian::xgboost),
                (Hessian::LightGbm, hessian::lightgbm),
            ] {
                let mut h = vec![0.0; x.len()];
                let mut grad = vec![0.0; x.len()];
                let pass = Pass::new().hessian(&mut h, convention).sample_weights(&weights);
                let logits = Logits::new(&x, classes).unwrap();
                loss.evaluate(logits, Targets::index(&labels), pass.grad(&mut grad)).unwrap();
                let mut columns = vec![0.0; x.len()];
                let pass = Pass::new().hessian(&mut columns, convention).sample_weights(&weights);
                let logits = Logits::with_columns(&x_columns, 1, classes, ROWS).unwrap();
                loss.evaluate(logits, Targets::index(&labels), pass).unwrap();
                let columns = transposed(&columns, classes);
                for (row, x) in x.chunks(classes).enumerate() {
                    let weight = weights[row] * class_weights[labels[row] as usize];
                    let want = of(&wide(x), weight.into());
                    for (class, &want) in want.iter().enumerate() {
                        for got in [h[row * classes + class], columns[row * classes + class]] {
                            let error = error_f32(got, want);
                            let bound = 8.0 + 2.0 * 45.0;
                            assert!(error <= bound, "{level}, {convention:?}: {got:e} {want:e}");
                        }
                    }
                }
            }
        }
    }
}

/// It was the temperature times too large.
#[test]
fn the_hessian_of_distillation_is_that_of_the_tempered_softmax() {
    // Rows one by one, in lanes, and one whose teacher is certain.
    for (classes, certain) in [(3, false), (100, false), (3, true), (100, true)] {
        let x = numbers(ROWS * classes, 6, 3.0);
        let mut teacher = numbers(ROWS * classes, 7, 3.0);
        if certain {
            teacher[0] = f32::INFINITY;
        }
        for (level, temperature) in Level::available().flat_map(|l| [(l, 0.5), (l, 4.0)]) {
            let loss = Distillation::new(temperature).unwrap().with_level(level);
            let mut h = vec![0.0; x.len()];
            let pass = Pass::new().hessian(&mut h, Hessian::Exact);
            let logits = Logits::new(&x, classes).unwrap();
            let loss = loss.with_reduction(Reduction::Sum);
            loss.evaluate(logits, Targets::teacher(&teacher), pass).unwrap();
            for (x, h) in x.chunks(classes).zip(h.chunks(classes)) {
                let x: Vec<f64> = wide(x).iter().map(|x| x / temperature).collect();
                for (&got, want) in h.iter().zip(hessian::exact(&x, 1.0)) {
                    let error = error_f32(got, want);
                    assert!(error <= 100.0, "{level}, {temperature}: {got:e} {want:e}");
                }
            }
        }
    }
}

#[test]
fn the_hessian_of_a_sigmoid_has_its_weights() {
    let x = numbers(60, 2, 20.0);
    let y: Vec<f32> = (0..60).map(|i| (i % 2) as f32).collect();
    let pos = [2.0, 0.5, 1.0];
    for level in Level::available() {
        let mut h = vec![0.0; 60];
        let pass = Pass::new().hessian(&mut h, Hessian::Exact);
        SigmoidCrossEntropy::new()
            .with_level(level)
            .with_reduction(Reduction::Sum)
            .with_pos_weight(pos)
            .unwrap()
            .evaluate(Logits::new(&x, 3).unwrap(), Targets::dense(&y), pass)
            .unwrap();
        for (i, &got) in h.iter().enumerate() {
            let want = hessian::sigmoid(x[i].into(), y[i].into(), pos[i % 3].into(), 1.0);
            assert!(error_f32(got, want) <= 6.0, "{level}: {got:e}, not {want:e}");
        }
    }
}
