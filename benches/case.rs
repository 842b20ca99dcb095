//! Shapes and inputs.

/// Rows and classes, from digits to vocabularies.
pub const ROWS: &[[usize; 2]] = &[[65_536, 10], [65_536, 64], [4096, 1000], [512, 32_000]];

/// A shape, and inputs for all benchmarks.
#[derive(Debug)]
pub struct Case {
    /// The number of rows.
    pub rows: usize,
    /// The number of classes.
    pub classes: usize,
    /// In -8..8, without a pattern that a branch predictor could learn.
    pub logits: Vec<f32>,
    /// The class of each row.
    pub labels: Vec<u32>,
    /// Zero or one for each element. (Not every peer accepts values between.)
    pub targets: Vec<f32>,
}

impl Case {
    /// The same inputs every time.
    #[must_use]
    pub fn new([rows, classes]: [usize; 2]) -> Self {
        let hash = |i: usize| (i as u32).wrapping_mul(2_654_435_761) >> 8;
        let logits = (0..rows * classes).map(|i| hash(i) as f32 / 1_048_576.0 - 8.0).collect();
        let labels = (0..rows).map(|row| (row * 7 % classes) as u32).collect();
        let targets = (0..rows * classes).map(|i| f32::from(i % 3 == 0)).collect();
        Self { rows, classes, logits, labels, targets }
    }

    /// The rows of these elements.
    pub fn rows_of<'a>(&self, elements: &'a [f32]) -> impl Iterator<Item = &'a [f32]> + use<'a> {
        elements.chunks_exact(self.classes)
    }
}
