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
