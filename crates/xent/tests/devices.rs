//! The outputs of `LiteRT` and of TensorFlow Lite Micro: what their integers stand for, and the losses of these.

use approx::assert_relative_eq;
use xent::{
    Level, Logits, MultinomialLogistic, NegativeLogLikelihood, Quantisation, SoftmaxCrossEntropy,
    Targets,
};
use xent_reference::devices::{Digits, Outputs, digits};

fn quantisation(scale: f32, zero_point: i32) -> Quantisation {
    Quantisation::new(scale, zero_point).expect("the scale of an output")
}

/// Both, with the labels of the digits.
fn each(check: impl Fn(&Outputs, &Digits)) {
    let digits = digits();
    check(&digits.litert, &digits);
    check(&digits.micro, &digits);
}

/// The mean over the rows.
fn mean(rows: impl ExactSizeIterator<Item = f64>) -> f64 {
    let count = rows.len() as f64;
    rows.sum::<f64>() / count
}

#[test]
fn integers_stand_for_what_the_devices_dequantise_them_to() {
    each(|outputs, digits| {
        let quantisation = quantisation(digits.scale, digits.zero_point);
        for (row, wanted) in outputs.logits.iter().zip(&outputs.dequantised) {
            let found = row.map(|q| quantisation.dequantise(q.into()).to_bits());
            assert_eq!(found, wanted.map(f32::to_bits));
        }
    });
}

#[test]
fn the_loss_is_that_of_the_numbers_that_the_devices_dequantise() {
    each(|outputs, digits| {
        let rows = outputs.dequantised.iter().zip(&digits.labels).map(|(row, &label)| {
            let sum: f64 = row.iter().map(|&x| f64::from(x).exp()).sum();
            sum.ln() - f64::from(row[usize::from(label)])
        });
        let wanted = mean(rows);
        let logits = outputs.logits.as_flattened();
        for level in Level::available() {
            let logits = Logits::new(logits, 10).expect("whole rows");
            let logits = logits.quantised(quantisation(digits.scale, digits.zero_point));
            let loss = SoftmaxCrossEntropy::new().with_level(level);
            let found = loss.loss(logits, Targets::index(&digits.labels)).expect("a loss");
            assert_relative_eq!(found, wanted, max_relative = 1e-6);
        }
    });
}

#[test]
fn the_loss_of_quantised_log_probabilities_is_what_the_integers_say() {
    each(|outputs, digits| {
        let rows = outputs.log_softmax.iter().zip(&digits.labels);
        let wanted =
            mean(rows.map(|(row, &label)| (127 - i32::from(row[usize::from(label)])).into()));
        let logits = Logits::new(outputs.log_softmax.as_flattened(), 10).expect("whole rows");
        let loss = NegativeLogLikelihood::new();
        let found =
            loss.loss(logits.quantised(quantisation(0.0625, 127)), Targets::index(&digits.labels));
        assert_relative_eq!(found.expect("a loss"), wanted / 16.0, max_relative = 1e-12);
    });
}

#[test]
fn the_loss_of_quantised_probabilities_is_what_the_integers_say() {
    each(|outputs, digits| {
        let rows = outputs.softmax.iter().zip(&digits.labels);
        let wanted = mean(rows.map(|(row, &label)| {
            let of_label = f64::from(i32::from(row[usize::from(label)]) + 128) / 256.0;
            -of_label.max(1e-20).ln()
        }));
        let logits = Logits::new(outputs.softmax.as_flattened(), 10).expect("whole rows");
        let loss = MultinomialLogistic::new();
        let found = loss.loss(
            logits.quantised(quantisation(1.0 / 256.0, -128)),
            Targets::index(&digits.labels),
        );
        assert_relative_eq!(found.expect("a loss"), wanted, max_relative = 1e-6);
    });
}
