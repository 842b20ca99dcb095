//! An objective for gradient boosting: first and second derivatives of every margin, and Newton steps with them.
//!
//! ```sh
//! cargo run --release --example boosting
//! ```

use xent::{Error, Hessian, Pass, SoftmaxCrossEntropy};

const CLASSES: usize = 3;

/// What a booster asks for in each round, as XGBoost's `multi:softprob` has it; and the mean loss.
fn objective(
    margins: &[f32],
    labels: &[u32],
    grad: &mut [f32],
    hess: &mut [f32],
) -> Result<f64, Error> {
    let pass = Pass::new().boosting(grad, hess, Hessian::XgBoost);
    Ok(SoftmaxCrossEntropy::new().evaluate((margins, CLASSES), labels, pass)?.loss)
}

pub(crate) fn main() -> Result<(), Error> {
    // A tree with two leaves, of four rows each.
    let (labels, rows_of_leaf) = ([0, 0, 0, 1, 2, 2, 1, 2], 4);
    let mut margins = [0.0; 8 * CLASSES];
    let (mut grad, mut hess) = ([0.0; 8 * CLASSES], [0.0; 8 * CLASSES]);
    let mut losses = Vec::new();
    for round in 0..30 {
        losses.push(objective(&margins, &labels, &mut grad, &mut hess)?);
        println!("round {round}  loss {:.4}", losses[round]);
        for first in (0..labels.len()).step_by(rows_of_leaf) {
            for class in 0..CLASSES {
                let places = (first..first + rows_of_leaf).map(|row| row * CLASSES + class);
                let sum = |of: &[f32]| places.clone().map(|place| of[place]).sum::<f32>();
                let step = -0.3 * sum(&grad) / (sum(&hess) + 1.0);
                places.for_each(|place| margins[place] += step);
            }
        }
    }
    assert!(losses.is_sorted_by(|a, b| a >= b) && losses[29] < 0.65, "{losses:?}");
    Ok(())
}
