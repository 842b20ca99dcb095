//! Random layers, and their products by a scalar loop.

use xent_linear::Layer;

/// A layer with contiguous rows.
#[derive(Clone, Debug)]
pub(crate) struct Numbers {
    pub(crate) inputs: Vec<f32>,
    pub(crate) weights: Vec<f32>,
    pub(crate) bias: Vec<f32>,
    pub(crate) hidden: usize,
}

/// Numbers from -1 to 1 that depend on the seed alone.
pub(crate) fn numbers(seed: u64, count: usize) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let next = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..count).map(next).collect()
}

impl Numbers {
    pub(crate) fn new(seed: u64, rows: usize, hidden: usize, classes: usize) -> Self {
        let factor = 4.0 / (hidden as f32).sqrt();
        let weights = numbers(seed + 1, classes * hidden);
        Self {
            inputs: numbers(seed, rows * hidden),
            weights: weights.into_iter().map(|w| w * factor).collect(),
            bias: numbers(seed + 2, classes),
            hidden,
        }
    }

    pub(crate) fn layer(&self) -> Layer<'_> {
        let layer = Layer::new(&self.inputs, &self.weights, self.hidden).unwrap();
        layer.with_bias(&self.bias).unwrap()
    }

    pub(crate) fn rows(&self) -> usize {
        self.inputs.len() / self.hidden
    }

    pub(crate) fn classes(&self) -> usize {
        self.bias.len()
    }

    /// The logits, as the product makes them.
    pub(crate) fn logits(&self) -> Vec<f32> {
        let (rows, classes, hidden) = (self.rows(), self.classes(), self.hidden);
        let mut logits = Vec::with_capacity(rows * classes);
        for row in 0..rows {
            for class in 0..classes {
                let x = |term: usize| self.inputs[row * hidden + term];
                let w = |term: usize| self.weights[class * hidden + term];
                logits.push(sum_of_products(self.bias[class], 0..hidden, x, w));
            }
        }
        logits
    }
}

/// A sum over 256 terms at a time, each a chain of multiply-adds, added in order.
pub(crate) fn sum_of_products(
    start: f32,
    terms: std::ops::Range<usize>,
    a: impl Fn(usize) -> f32,
    b: impl Fn(usize) -> f32,
) -> f32 {
    let mut total = start;
    let mut first = terms.start;
    while first < terms.end {
        let end = (first + 256).min(terms.end);
        total += (first..end).fold(0.0, |sum, at| multiply_add(a(at), b(at), sum));
        first = end;
    }
    total
}

/// With one rounding, if the product of matrices has instructions for it here.
fn multiply_add(a: f32, b: f32, sum: f32) -> f32 {
    if fuses() { a.mul_add(b, sum) } else { a * b + sum }
}

pub(crate) fn fuses() -> bool {
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    return is_x86_feature_detected!("fma");
    #[cfg(not(any(target_arch = "x86", target_arch = "x86_64")))]
    return cfg!(target_arch = "aarch64");
}
