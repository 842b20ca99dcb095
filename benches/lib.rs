//! What the benchmarks share: inputs, and the loop to beat.

/// Reproducible logits in -8..8 without a pattern that a branch predictor could learn.
#[must_use]
pub fn logits(count: usize) -> Vec<f32> {
    (0..count)
        .map(|i| (i as u32).wrapping_mul(2_654_435_761) >> 8)
        .map(|bits| bits as f32 / 1_048_576.0 - 8.0)
        .collect()
}

/// A label for each row.
#[must_use]
pub fn labels(rows: usize, classes: usize) -> Vec<u32> {
    (0..rows).map(|row| (row * 7 % classes) as u32).collect()
}

/// The textbook loop: loss and gradient of softmax cross-entropy, one element after the other.
pub fn scalar_loop(x: &[f32], classes: usize, labels: &[u32], grad: &mut [f32]) -> f32 {
    let mut total = 0.0;
    let rows = x.chunks_exact(classes).zip(grad.chunks_exact_mut(classes));
    for ((x, grad), &label) in rows.zip(labels) {
        let max = x.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let mut sum = 0.0;
        for (grad, x) in grad.iter_mut().zip(x) {
            *grad = (x - max).exp();
            sum += *grad;
        }
        for grad in grad.iter_mut() {
            *grad /= sum;
        }
        grad[label as usize] -= 1.0;
        total += sum.ln() + max - x[label as usize];
    }
    total
}
