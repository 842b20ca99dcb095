//! Rows that are not finite are counted, the first is named, and NaN is predicted where it is first.

use xent::{
    Distillation, Level, Logits, LogitsMut, NegativeLogLikelihood, Pass, Report,
    SigmoidCrossEntropy, SoftmaxCrossEntropy, Targets,
};

use crate::support::{numbers, transposed};

const INF: f32 = f32::INFINITY;
const NAN: f32 = f32::NAN;
const ROWS: usize = 40;

/// Rows of finite logits, but for some in two blocks, and what they are predicted to be.
fn logits(classes: usize) -> (Vec<f32>, Vec<u32>) {
    let mut x = numbers(ROWS * classes, 3, 5.0);
    let mut set = |row: usize, class: usize, value: f32| x[row * classes + class] = value;
    // Two NaN, behind the largest logit.
    set(3, 0, 9.0);
    set(3, classes - 1, NAN);
    set(3, classes - 2, NAN);
    set(7, 1, INF);
    // NaN before an infinite logit.
    set(20, 0, INF);
    set(20, 1, NAN);
    for class in 0..classes {
        set(31, class, -INF);
        // Masks alone do not count.
        set(33, class, if class == 2 { 0.5 } else { -INF });
    }
    let argmax = |row: &[f32]| match row.iter().position(|x| x.is_nan()) {
        Some(first) => first,
        None => (0..classes).rev().max_by(|a, b| row[*a].total_cmp(&row[*b])).unwrap(),
    };
    let mut predicted: Vec<u32> = x.chunks(classes).map(|row| argmax(row) as u32).collect();
    predicted[31] = 0;
    (x, predicted)
}

fn found(report: &Report) -> (usize, Option<usize>) {
    (report.not_finite.rows, report.not_finite.first)
}

#[test]
fn rows_are_counted_and_nan_is_predicted_by_every_kernel_at_every_level() {
    for classes in [3, 10, 32, 40, 1000, 5000] {
        let (x, wanted) = logits(classes);
        let mut labels: Vec<i64> = (0..ROWS).map(|row| (row % 3) as i64).collect();
        let columns = transposed(&x, ROWS);
        let y = vec![1.0; x.len()];
        for level in Level::available() {
            for ignored in [None, Some(3), Some(20)] {
                labels.iter_mut().enumerate().for_each(|(row, label)| {
                    *label = if ignored == Some(row) { -1 } else { (row % 3) as i64 };
                });
                let (count, first) = match ignored {
                    None => (4, 3),
                    Some(3) => (3, 7),
                    _ => (3, 3),
                };
                let plain = SoftmaxCrossEntropy::new().with_level(level).with_ignore_index(-1);
                let smoothed = plain.clone().with_label_smoothing(0.1).unwrap();
                let capped = plain.clone().with_soft_cap(30.0).unwrap();
                for loss in [plain, smoothed, capped] {
                    for logits in [
                        Logits::new(&x, classes).unwrap(),
                        Logits::with_columns(&columns, 1, classes, ROWS).unwrap(),
                    ] {
                        let mut predicted = vec![9; ROWS];
                        let weights: Vec<f32> = (0..ROWS).map(|row| (row % 2) as f32).collect();
                        for weights in [&[][..], &weights] {
                            let pass =
                                Pass::new().predicted(&mut predicted).sample_weights(weights);
                            let report =
                                loss.evaluate(logits, Targets::index(&labels), pass).unwrap();
                            let what = format!("{level}, {classes} classes, {ignored:?}");
                            assert_eq!(found(&report), (count, Some(first)), "{what}");
                            assert_eq!(predicted, wanted, "{what}");
                        }
                    }
                    let mut in_place = x.clone();
                    let mut predicted = vec![9; ROWS];
                    let pass = Pass::new().predicted(&mut predicted);
                    let mutable = LogitsMut::new(&mut in_place, classes).unwrap();
                    let report = loss.evaluate_in_place(mutable, Targets::index(&labels), pass);
                    assert_eq!(found(&report.unwrap()), (count, Some(first)), "{level}, {classes}");
                    assert_eq!(predicted, wanted, "in place, {level}, {classes}");
                }
            }
            let dense = SoftmaxCrossEntropy::new().with_level(level);
            let logits = Logits::new(&x, classes).unwrap();
            let report = dense.evaluate(logits, Targets::dense(&y), Pass::new()).unwrap();
            assert_eq!(found(&report), (4, Some(3)));
            let report = dense.evaluate(logits, Targets::index(&[0_u8; ROWS]), Pass::new());
            assert_eq!(report.unwrap().not_finite.rows, 4);
            // Those of a teacher count as well.
            let student = vec![0.5_f32; x.len()];
            let student = Logits::new(&student, classes).unwrap();
            let loss = Distillation::<f32>::new(2.0).unwrap().with_level(level);
            let report = loss.evaluate(student, Targets::teacher(&x), Pass::new()).unwrap();
            assert_eq!(found(&report), (4, Some(3)));
        }
    }
}

#[test]
fn a_row_with_nan_is_right_if_its_first_nan_is_at_its_label() {
    let x = [NAN, 1.0, 0.0, 0.0, NAN, 2.0, NAN, NAN, NAN];
    let mut predicted = [9; 3];
    let pass = Pass::new().predicted(&mut predicted);
    let labels = Targets::index(&[1_u8, 1, 0]);
    let loss = SoftmaxCrossEntropy::new();
    let report = loss.evaluate(Logits::new(&x, 3).unwrap(), labels, pass).unwrap();
    assert_eq!((report.correct, found(&report)), (Some(2), (3, Some(0))));
    assert_eq!(predicted, [0, 1, 0]);
}

#[test]
fn rows_of_elements_are_counted_once() {
    for classes in [1, 3, 40, 5000] {
        let mut x = numbers(ROWS * classes, 3, 5.0);
        let mut y = vec![0.0; x.len()];
        let last = classes - 1;
        x[4 * classes] = NAN;
        x[4 * classes + last] = NAN;
        // The limit of a loss that is right is zero, and of one that is wrong infinite.
        (x[9 * classes + last], y[9 * classes + last]) = (INF, 1.0);
        (x[11 * classes + last], y[11 * classes + last]) = (-INF, 0.0);
        (x[39 * classes], y[39 * classes]) = (INF, 0.5);
        let hot: Vec<i8> = y.iter().map(|&y| i8::from(y == 1.0)).collect();
        for level in Level::available() {
            let loss = SigmoidCrossEntropy::new().with_level(level);
            let rows =
                loss.evaluate(Logits::new(&x, classes).unwrap(), Targets::dense(&y), Pass::new());
            assert_eq!(found(&rows.unwrap()), (2, Some(4)), "{level}, {classes}");
            let integers = Targets::multi_hot(&hot);
            let rows = loss.evaluate(Logits::new(&x, classes).unwrap(), integers, Pass::new());
            assert_eq!(found(&rows.unwrap()), (2, Some(4)), "{level}, {classes}");
            let (columns, of_columns) = (transposed(&x, ROWS), transposed(&y, ROWS));
            let logits = Logits::with_columns(&columns, 1, classes, ROWS).unwrap();
            let mut grad = vec![0.0; x.len()];
            let pass = Pass::new().grad(&mut grad);
            let columns = loss.evaluate(logits, Targets::dense(&of_columns), pass).unwrap();
            assert_eq!(found(&columns), (2, Some(4)), "{level}, {classes}");
            let mut weights = [1.0; ROWS];
            weights[4] = 0.0;
            let pass = Pass::new().sample_weights(&weights);
            let some = loss.evaluate(Logits::new(&x, classes).unwrap(), Targets::dense(&y), pass);
            assert_eq!(found(&some.unwrap()), (1, Some(39)), "{level}, {classes}");
        }
    }
}

#[test]
fn a_likelihood_looks_at_the_input_of_its_label() {
    let x = [-1.0, NAN, -0.5, INF, -INF, -1.0, NAN, -1.0];
    let loss = NegativeLogLikelihood::new().with_ignore_index(-1);
    let report = |labels: &[i8]| {
        let logits = Logits::new(&x, 2).unwrap();
        found(&loss.evaluate(logits, Targets::index(labels), Pass::new()).unwrap())
    };
    assert_eq!(report(&[0, 0, 0, 1]), (0, None));
    assert_eq!(report(&[0, 1, 1, 0]), (2, Some(1)));
    assert_eq!(report(&[1, 0, 1, -1]), (1, Some(0)));
}
