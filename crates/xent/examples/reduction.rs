//! A reduction of one's own: the mean of the hardest half of the rows, and its gradient.
//!
//! ```sh
//! cargo run --release --example reduction
//! ```

use xent::{Error, Pass, Reduction, SoftmaxCrossEntropy};

/// The loss of each row, then the gradient with a factor for each: the derivative of the result by that loss.
fn hardest_half(x: &[f32], labels: &[u8], grad: &mut [f32]) -> Result<f32, Error> {
    let loss = SoftmaxCrossEntropy::new().with_reduction(Reduction::None);
    let (rows, classes) = (labels.len(), x.len() / labels.len());
    let mut losses = vec![0.0; rows];
    loss.evaluate((x, classes), labels, Pass::new().losses(&mut losses))?;

    let mut order: Vec<usize> = (0..rows).collect();
    order.sort_by(|&a, &b| losses[b].total_cmp(&losses[a]));
    let hardest = &order[..rows.div_ceil(2)];
    let factor = 1.0 / hardest.len() as f32;
    let mut upstream = vec![0.0; rows];
    hardest.iter().for_each(|&row| upstream[row] = factor);
    loss.evaluate((x, classes), labels, Pass::new().grad(grad).upstream(&upstream))?;
    Ok(hardest.iter().map(|&row| losses[row] * factor).sum())
}

pub(crate) fn main() -> Result<(), Error> {
    let (mut x, labels) = ([2.0, 1.0, 0.0, 3.0, 1.0, 1.5, -1.0, 0.5], [0, 1, 1, 0]);
    let mut grad = [0.0; 8];
    let value = hardest_half(&x, &labels, &mut grad)?;
    println!("{value}: {grad:?}");
    // The easier rows have no part in it; the gradient is that of the value.
    assert!(grad[2..4] == [0.0; 2] && grad[0..2] == [0.0; 2]);
    x[4] += 1e-2;
    let slope = (hardest_half(&x, &labels, &mut [0.0; 8])? - value) / 1e-2;
    assert!((slope - grad[4]).abs() < 1e-2);
    Ok(())
}
