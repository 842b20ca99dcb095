//! A training loop: softmax regression by gradient descent, with the loss and the accuracy of each epoch.
//!
//! ```sh
//! cargo run --release --example training
//! ```

use xent::{Error, Report, SoftmaxCrossEntropy};

const CLASSES: usize = 3;

/// A model and its loss, which is built once and owns its weights.
struct Trainer {
    loss: SoftmaxCrossEntropy<'static>,
    /// A row for each of two features.
    weights: [f32; 2 * CLASSES],
}

impl Trainer {
    fn step(&mut self, points: &[[f32; 2]], labels: &[u8]) -> Result<Report, Error> {
        let logit = |point: &[f32; 2], class| {
            point[0] * self.weights[class] + point[1] * self.weights[CLASSES + class]
        };
        let logits: Vec<f32> = points
            .iter()
            .flat_map(|point| (0..CLASSES).map(move |class| logit(point, class)))
            .collect();
        let mut grad = vec![0.0; logits.len()];
        let report = self.loss.train((&logits, CLASSES), labels, &mut grad)?;
        for (point, grad) in points.iter().zip(grad.chunks_exact(CLASSES)) {
            for (weight, (feature, class)) in self.weights.iter_mut().zip(
                [0, 1]
                    .into_iter()
                    .flat_map(|feature| (0..CLASSES).map(move |class| (feature, class))),
            ) {
                *weight -= point[feature] * grad[class];
            }
        }
        Ok(report)
    }
}

pub(crate) fn main() -> Result<(), Error> {
    // Points around the corners of a triangle, a corner for each class.
    let angle = |i: usize| (i % CLASSES) as f32 * 2.094 + (i as f32 * 0.7).sin() * 0.9;
    let points: Vec<[f32; 2]> = (0..300).map(|i| [angle(i).cos(), angle(i).sin()]).collect();
    let labels: Vec<u8> = (0..300).map(|i| (i % CLASSES) as u8).collect();

    let loss = SoftmaxCrossEntropy::new().with_class_weights([1.0, 1.5, 1.0])?;
    let mut trainer = Trainer { loss, weights: [0.0; 2 * CLASSES] };
    for number in 1..=5 {
        let mut epoch = Report::default();
        for (points, labels) in points.chunks(64).zip(labels.chunks(64)) {
            epoch += trainer.step(points, labels)?;
        }
        println!("epoch {number}  loss {:.4}  accuracy {:.3}", epoch.loss, epoch.accuracy());
        assert!(epoch.rows == 300 && (number < 5 || epoch.accuracy() > 0.9));
    }
    Ok(())
}
