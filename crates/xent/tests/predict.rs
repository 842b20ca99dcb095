//! Predicted classes, against their definitions.

use xent::{Error, InputError, Logits, predict};
use xent_reference::sigmoid::sigmoid;

/// Two blocks of three classes, four rows in each.
const X: [f32; 24] = [
    0.0, 1.0, -1.0, -9.0, 2.0, -1.0, -1.0, -7.0, 1.0, 1.0, -2.0, -8.0, //
    5.0, -3.0, 0.5, -0.5, -5.0, 3.0, 0.5, -0.25, 4.0, 3.5, 0.75, -0.75,
];

fn logits() -> Logits<'static> {
    Logits::with_columns(&X, 2, 3, 4).expect("of that shape")
}

fn logit(row: usize, class: usize) -> f64 {
    X[row / 4 * 12 + class * 4 + row % 4].into()
}

#[test]
fn the_largest_of_each_row_is_predicted() {
    let mut classes = [9; 8];
    predict::argmax(logits(), &mut classes).expect("valid");
    assert_eq!(classes, [1, 0, 0, 1, 0, 2, 2, 1]);
    let mut one = [9];
    let of = Logits::new(&[f32::NAN, f32::NEG_INFINITY, f32::NAN], 3).expect("a row");
    predict::argmax(of, &mut one).expect("valid");
    assert_eq!(one, [0]);
}

#[test]
fn the_first_nan_is_predicted() {
    let mut classes = [9; 3];
    let x = [f32::NAN, 1.0, 0.0, 2.0, f32::NAN, f32::NAN, 0.0, f32::INFINITY, 1.0];
    let of = Logits::new(&x, 3).expect("rows");
    predict::argmax(of, &mut classes).expect("valid");
    assert_eq!(classes, [0, 1, 1]);
}

/// A logit, by row and class.
type Logit<'a> = &'a dyn Fn(usize, usize) -> f64;

/// The classes of a row from the largest logit down: NaN first, the first of equals before the others.
fn in_order(row: usize, x: Logit<'_>, classes: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..classes).collect();
    // A stable sort leaves equals as they are.
    order.sort_by(|&a, &b| {
        let (a, b) = (x(row, a), x(row, b));
        b.is_nan().cmp(&a.is_nan()).then(b.partial_cmp(&a).unwrap_or(std::cmp::Ordering::Equal))
    });
    order
}

#[test]
fn a_label_is_among_the_k_first_in_order() {
    let odd: [f32; 12] = [
        1.0,
        f32::NAN,
        1.0,
        f32::NEG_INFINITY,
        2.0,
        2.0,
        f32::INFINITY,
        2.0,
        -0.0,
        0.0,
        f32::NAN,
        f32::NAN,
    ];
    let rows = Logits::new(&odd, 4).expect("rows");
    let of_odd = |row: usize, class: usize| f64::from(odd[row * 4 + class]);
    let cases: [(Logits<'_>, Logit<'_>); 2] = [(logits(), &logit), (rows, &of_odd)];
    for (logits, x) in cases {
        let (count, classes) = (logits.rows(), logits.classes());
        for label in 0..classes {
            for k in 1..=classes + 1 {
                let labels = vec![label as i64; count];
                let mut among = vec![false; count];
                predict::in_top_k(logits, &labels[..], k, &mut among).expect("valid");
                for (row, among) in among.into_iter().enumerate() {
                    let order = in_order(row, x, classes);
                    let expected = order.iter().take(k).any(|class| *class == label);
                    assert_eq!(among, expected, "row {row}, label {label}, {k} largest");
                }
            }
        }
    }
}

#[test]
fn a_label_that_is_no_class_is_among_none() {
    let mut among = [true; 2];
    let x = Logits::new(&[0.0, 1.0, 2.0, 3.0_f32], 2).expect("rows");
    predict::in_top_k(x, &[-100_i64, 2], 2, &mut among).expect("valid");
    assert_eq!(among, [false; 2]);
    for (labels, k, of) in [(&[0_i64][..], 1, "labels"), (&[0, 0], 0, "k")] {
        let refused = predict::in_top_k(x, labels, k, &mut among).expect_err("refused");
        assert!(refused.to_string().contains(of), "{refused}");
    }
}

#[test]
fn a_row_has_all_classes_at_the_threshold_and_above() {
    for threshold in [0.0, 0.1, 0.5, 0.7, 1.0] {
        for at_least_one in [false, true] {
            let mut belongs = [true; 24];
            predict::multi_label(logits(), threshold, at_least_one, &mut belongs).expect("valid");
            let mut largest = [9; 8];
            predict::argmax(logits(), &mut largest).expect("valid");
            for row in 0..8 {
                let above = |class| sigmoid(logit(row, class)) >= threshold;
                let none = !(0..3).any(above);
                for class in 0..3 {
                    let only = at_least_one && none && largest[row] as usize == class;
                    let got = belongs[row / 4 * 12 + class * 4 + row % 4];
                    assert_eq!(got, above(class) || only, "{threshold}: row {row}, class {class}");
                }
            }
        }
    }
}

#[test]
fn the_threshold_itself_is_above() {
    let mut belongs = [false; 2];
    let x = Logits::new(&[0.0, -1e-9_f32], 2).expect("a row");
    predict::multi_label(x, 0.5, false, &mut belongs).expect("valid");
    assert_eq!(belongs, [true, false]);
}

#[test]
fn other_lengths_and_thresholds_are_refused() {
    let length = |result| matches!(result, Err(Error::Input(InputError::Length { .. })));
    assert!(length(predict::argmax(logits(), &mut [0; 7])));
    assert!(length(predict::argmax(logits(), &mut [0; 9])));
    assert!(length(predict::multi_label(logits(), 0.5, false, &mut [false; 23])));
    assert!(length(predict::multi_label(logits(), 0.5, false, &mut [false; 25])));
    for threshold in [-0.1, 1.1, f64::NAN] {
        let refused = predict::multi_label(logits(), threshold, false, &mut [false; 24]);
        assert!(matches!(refused, Err(Error::Input(InputError::Option { .. }))), "{threshold}");
    }
}
