//! What is printed at the end.

use std::hint::black_box;
use std::time::Instant;

use xent::{Error, Level, Logits, SoftmaxCrossEntropy, Targets};

use crate::data::CLASSES;

/// Times loss and gradient of a batch, with xent and with a scalar loop, turn by turn.
pub(crate) fn speed() -> Result<(), Error> {
    println!("\nloss + gradient of one batch, median; level {}", Level::detect());
    println!("{:>12} {:>12} {:>12} {:>8}", "shape", "xent", "scalar loop", "ratio");
    for (rows, classes) in [(64, 10), (1437, 10), (64, 1000)] {
        let x: Vec<f32> = (0..rows * classes).map(|i| (i as f32 * 0.7).sin() * 8.0).collect();
        let labels: Vec<u32> = (0..rows).map(|row| (row % classes) as u32).collect();
        let mut grad = vec![0.0; x.len()];
        let loss = SoftmaxCrossEntropy::new();
        let (mut fused, mut scalar) = (Vec::new(), Vec::new());
        for _ in 0..301 {
            let start = Instant::now();
            let logits = Logits::new(black_box(&x), classes)?;
            black_box(loss.loss_and_grad(logits, Targets::index(&labels), &mut grad)?);
            fused.push(start.elapsed().as_nanos());
            let start = Instant::now();
            black_box(scalar_loop(black_box(&x), classes, &labels, &mut grad));
            scalar.push(start.elapsed().as_nanos());
        }
        let median = |mut times: Vec<u128>| {
            times.sort_unstable();
            times[times.len() / 2] as f64 / 1e3
        };
        let (fused, scalar) = (median(fused), median(scalar));
        println!(
            "{:>12} {fused:>9.2} µs {scalar:>9.2} µs {:>7.1}x",
            format!("{rows} x {classes}"),
            scalar / fused
        );
    }
    Ok(())
}

/// The loop that one writes without a library: the mean loss, its gradient in `grad`.
fn scalar_loop(x: &[f32], classes: usize, labels: &[u32], grad: &mut [f32]) -> f32 {
    let scale = 1.0 / labels.len() as f32;
    let mut total = 0.0;
    let rows = x.chunks_exact(classes).zip(grad.chunks_exact_mut(classes));
    for ((x, grad), &label) in rows.zip(labels) {
        let label = label as usize;
        let max = x.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let mut sum = 0.0;
        for (grad, x) in grad.iter_mut().zip(x) {
            *grad = (x - max).exp();
            sum += *grad;
        }
        for (class, grad) in grad.iter_mut().enumerate() {
            let target = if class == label { 1.0 } else { 0.0 };
            *grad = (*grad / sum - target) * scale;
        }
        total += sum.ln() + max - x[label];
    }
    total * scale
}

/// How often each digit was taken for each.
pub(crate) fn confusion(labels: &[u8], predicted: &[u8]) {
    let mut counts = [[0_u32; CLASSES]; CLASSES];
    for (&label, &predicted) in labels.iter().zip(predicted) {
        counts[usize::from(label)][usize::from(predicted)] += 1;
    }
    println!("\nheld-out digits: down what they are, across what the network says");
    println!("     {}", (0..CLASSES).map(|digit| format!("{digit:4}")).collect::<String>());
    for (digit, row) in counts.iter().enumerate() {
        let cell = |&count: &u32| if count == 0 { "   ·".into() } else { format!("{count:4}") };
        println!("{digit:4} {}", row.iter().map(cell).collect::<String>());
    }
}
