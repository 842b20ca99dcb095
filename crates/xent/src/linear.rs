//! The last layer of a classifier and its loss in one: the crate [`xent_linear`], and what joins it to this one.
//!
//! ```
//! use xent::linear::{Layer, LinearPass, Workspace};
//! use xent::{Report, SoftmaxCrossEntropy};
//!
//! // Two rows of two inputs; three classes with two weights and a bias each.
//! let (x, w, b) = ([1.0, 0.0, 0.0, 1.0_f32], [2.0, 0.0, 0.0, 3.0, 1.0, 1.0], [0.0; 3]);
//! let (mut dx, mut dw, mut db) = ([0.0; 4], [0.0; 6], [0.0; 3]);
//! let loss = SoftmaxCrossEntropy::new().with_label_smoothing(0.1)?;
//! let (mut epoch, mut workspace) = (Report::default(), Workspace::new());
//! for labels in [[0_i64, 1], [0, 2]] {
//!     let layer = Layer::new(&x, &w, 2)?.with_bias(&b)?;
//!     let pass = LinearPass::new().grad_inputs(&mut dx).grad_weights(&mut dw).grad_bias(&mut db);
//!     let report = loss.linear()?.evaluate(layer, &labels, pass.count_correct(), &mut workspace)?;
//!     epoch += Report::from(report);
//! }
//! assert_eq!((epoch.rows, epoch.correct), (4, Some(3)));
//! # Ok::<(), xent::Error>(())
//! ```

use xent_core::Float;
pub use xent_linear::{
    Error, Layer, LinearCrossEntropy, LinearPass, LinearReport, Number, SoftmaxOptions,
    SoftmaxTargets, Workspace,
};

use crate::{NotFinite, Report, SoftmaxCrossEntropy};

impl<F: Float + Number<Float = F>> SoftmaxCrossEntropy<'_, F> {
    /// This loss, with its options and reduction, of the logits of a [`Layer`]. Losses and gradients of the logits
    /// have the bits of this loss for the logits that the same product makes.
    ///
    /// # Errors
    /// [`Error::Input`](crate::Error::Input) if an option is wrong, which is refused when the loss is built.
    pub fn linear(&self) -> Result<LinearCrossEntropy<'_, F>, crate::Error> {
        let loss = LinearCrossEntropy::new(self.options())?.with_policy(self.policy());
        let loss = loss.with_level(self.settings.level);
        Ok(if self.settings.ignores_by_default {
            loss.with_ignore_index_for_labels_alone()
        } else {
            loss
        })
    }
}

/// So that reports of a layer's batches can be added up, too.
impl From<LinearReport> for Report {
    fn from(of_layer: LinearReport) -> Self {
        let mut report = Self::of(of_layer.policy, of_layer.counts, of_layer.sum);
        let (rows, first) = of_layer.not_finite;
        report.not_finite = NotFinite { rows, first };
        if let Some(correct) = of_layer.correct {
            report.judge(correct, of_layer.weights_of_correct);
        }
        report
    }
}
