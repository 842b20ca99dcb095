//! Times one loss in a program built like this one, and prints nanoseconds an element. `cargo xtask
//! cost` compares the figures of a release and of a debug build.

use std::time::Instant;

use xent::{Logits, SoftmaxCrossEntropy, Targets};

const ROWS: usize = 4096;
const CLASSES: usize = 1000;
/// Timed calls; the first call is not timed.
const CALLS: usize = 5;

fn main() -> Result<(), xent::Error> {
    let logits: Vec<f32> =
        (0..ROWS * CLASSES).map(|i| (i.wrapping_mul(7919) % 1009) as f32 / 100.0).collect();
    let labels: Vec<u32> = (0..ROWS).map(|row| (row % CLASSES) as u32).collect();
    let mut grad = vec![0.0; logits.len()];
    let loss = SoftmaxCrossEntropy::new();
    let mut nanoseconds = Vec::new();
    for _ in 0..=CALLS {
        let start = Instant::now();
        loss.loss_and_grad(Logits::new(&logits, CLASSES)?, Targets::index(&labels), &mut grad)?;
        nanoseconds.push(start.elapsed().as_secs_f64() * 1e9 / logits.len() as f64);
    }
    nanoseconds.remove(0);
    nanoseconds.sort_by(f64::total_cmp);
    println!("{}", nanoseconds[CALLS / 2]);
    Ok(())
}
