//! One row and its losses.

use xent_core::{
    Batch, Buffers, Error, Level, Shape, SigmoidBatch, SigmoidOptions, SigmoidTargets,
    SoftmaxBatch, SoftmaxOptions, SoftmaxTargets,
};

/// One row of logits, with space for its results.
pub(crate) struct Row<'a> {
    pub(crate) level: Level,
    pub(crate) logits: &'a [f32],
    pub(crate) probabilities: &'a mut [f32],
    pub(crate) gradient: &'a mut [f32],
}

impl Row<'_> {
    /// The softmax cross-entropy with one right class.
    pub(crate) fn softmax(self, label: &[i32], label_smoothing: f64) -> Result<f32, Error> {
        let Row { level, logits, probabilities, gradient } = self;
        let batch = SoftmaxBatch::with_options(
            Buffers::gradient(logits, gradient),
            Shape::rows_of(logits.len(), logits.len())?,
            SoftmaxTargets::Index(label.into()),
            SoftmaxOptions { label_smoothing, ..SoftmaxOptions::default() },
        )?;
        let loss = batch.run(level);
        xent_core::softmax(level, logits, probabilities)?;
        Ok(loss as f32)
    }

    /// The sum of the cross-entropies of all classes, any of which may be right.
    pub(crate) fn sigmoid(self, positives: &[i32], label_smoothing: f64) -> Result<f32, Error> {
        let Row { level, logits, probabilities, gradient } = self;
        let offsets = [0, positives.len()];
        let batch = SigmoidBatch::with_options(
            Buffers::gradient(logits, gradient),
            Shape::rows_of(logits.len(), logits.len())?,
            SigmoidTargets::Positives { offsets: &offsets, classes: positives.into() },
            SigmoidOptions { label_smoothing, ..SigmoidOptions::default() },
        )?;
        let loss = batch.run(level);
        xent_core::sigmoid(level, logits, probabilities)?;
        Ok(loss as f32)
    }
}
