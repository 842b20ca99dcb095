//! From the losses of the rows to one value.

use xent_core::{Batch, Level};

/// How the losses of a batch become one value, and what its gradient is the gradient of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Reduction {
    /// No value: every row (for sigmoid: every element) keeps its loss, and its gradient is the
    /// gradient of that.
    None,
    /// The sum of all losses.
    Sum,
    /// The sum divided by the number of rows (for sigmoid: of elements); zero for an empty batch.
    #[default]
    Mean,
}

impl Reduction {
    /// What the losses, and so the gradients, of `count` rows are multiplied with.
    pub(crate) fn scale(self, count: usize) -> f64 {
        match self {
            Self::None | Self::Sum => 1.0,
            Self::Mean => 1.0 / count.max(1) as f64,
        }
    }
}

/// Solves a batch: on rayon's threads where the feature is on.
pub(crate) fn run<B: Batch>(batch: B, level: Level) -> f64 {
    #[cfg(feature = "rayon")]
    return xent_rayon::run(batch, level);
    #[cfg(not(feature = "rayon"))]
    batch.run(level)
}
