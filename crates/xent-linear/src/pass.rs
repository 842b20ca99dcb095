//! What a call computes besides the loss, and what it reports.

use xent_core::reduction::Policy;
use xent_core::{BatchCounts, Error as InputError, Gradient, RowWeights};

use crate::product::Product;
use crate::{Error, Layer, Number};

/// The outputs and options of a pass over a layer's rows, besides the loss; the default is none.
///
/// Gradients, losses and weights have the format of the computation: f64 for a layer of f64, f32 for all others.
///
/// ```
/// use xent_linear::{Layer, LinearCrossEntropy, LinearPass, Workspace};
///
/// let (x, w) = ([1.0, 0.0, 0.0, 1.0_f32], [2.0, 0.0, 0.0, 3.0, 1.0, 1.0]);
/// let (mut grad, mut losses, mut predicted) = ([0.0; 6], [0.0; 2], [0; 2]);
/// let pass = LinearPass::new().grad_weights(&mut grad).losses(&mut losses).predicted(&mut predicted);
/// let loss = LinearCrossEntropy::default();
/// let report = loss.evaluate(Layer::new(&x, &w, 2)?, &[0_u8, 2], pass, &mut Workspace::new())?;
/// assert_eq!(predicted, [0, 1]);
/// assert!((report.loss - 1.288_726).abs() < 1e-6);
/// # Ok::<(), xent_linear::Error>(())
/// ```
#[derive(Debug)]
pub struct LinearPass<'a, F: Product = f32> {
    pub(crate) of_inputs: Gradient<'a, F>,
    pub(crate) of_weights: Gradient<'a, F>,
    pub(crate) of_bias: Gradient<'a, F>,
    pub(crate) row_weights: RowWeights<'a, F>,
    pub(crate) losses: &'a mut [F],
    pub(crate) log_sum_exp: &'a mut [F],
    pub(crate) predicted: &'a mut [u32],
    pub(crate) top_k: &'a mut [u32],
    pub(crate) counts_correct: bool,
}

impl<F: Product> Default for LinearPass<'_, F> {
    fn default() -> Self {
        Self {
            of_inputs: Gradient::None,
            of_weights: Gradient::None,
            of_bias: Gradient::None,
            row_weights: RowWeights::default(),
            losses: &mut [],
            log_sum_exp: &mut [],
            predicted: &mut [],
            top_k: &mut [],
            counts_correct: false,
        }
    }
}

impl<'a, F: Product> LinearPass<'a, F> {
    /// Only the loss.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Writes the gradient of the reduced loss by the inputs, in their shape and with their stride.
    #[must_use]
    pub fn grad_inputs(mut self, grad: &'a mut [F]) -> Self {
        self.of_inputs = Gradient::Write(grad);
        self
    }

    /// Writes the gradient by the weights, in their shape and with their stride.
    #[must_use]
    pub fn grad_weights(mut self, grad: &'a mut [F]) -> Self {
        self.of_weights = Gradient::Write(grad);
        self
    }

    /// Writes the gradient by the bias, one for each class; the layer need not have one.
    #[must_use]
    pub fn grad_bias(mut self, grad: &'a mut [F]) -> Self {
        self.of_bias = Gradient::Write(grad);
        self
    }

    /// [`grad_inputs`](Self::grad_inputs), added to the values in the slice.
    #[must_use]
    pub fn accumulate_grad_inputs(mut self, grad: &'a mut [F]) -> Self {
        self.of_inputs = Gradient::Add(grad);
        self
    }

    /// [`grad_weights`](Self::grad_weights), added to the values in the slice.
    #[must_use]
    pub fn accumulate_grad_weights(mut self, grad: &'a mut [F]) -> Self {
        self.of_weights = Gradient::Add(grad);
        self
    }

    /// [`grad_bias`](Self::grad_bias), added to the values in the slice.
    #[must_use]
    pub fn accumulate_grad_bias(mut self, grad: &'a mut [F]) -> Self {
        self.of_bias = Gradient::Add(grad);
        self
    }

    /// Writes the loss of every row, not reduced; sample weights and class weights are included.
    #[must_use]
    pub fn losses(mut self, losses: &'a mut [F]) -> Self {
        self.losses = losses;
        self
    }

    /// Writes the log-sum-exp of the logits of every row. Ignored rows are computed for it.
    #[must_use]
    pub fn log_sum_exp(mut self, log_sum_exp: &'a mut [F]) -> Self {
        self.log_sum_exp = log_sum_exp;
        self
    }

    /// Writes the class of the largest logit of every row, the first of equals; of a row with NaN the first NaN.
    /// Ignored rows are computed for it.
    #[must_use]
    pub fn predicted(mut self, predicted: &'a mut [u32]) -> Self {
        self.predicted = predicted;
        self
    }

    /// Writes the `k` classes of the largest logits of every row, the largest first: shape `(rows, k)`, with
    /// `k` from the length of the slice. Of equal logits the first counts as larger, and NaN is larger than any
    /// number. Ignored rows are computed for it.
    #[must_use]
    pub fn top_k(mut self, classes: &'a mut [u32]) -> Self {
        self.top_k = classes;
        self
    }

    /// Counts the rows whose predicted class is their label, for [`LinearReport::correct`]. With labels only; it
    /// takes four bytes a row of the workspace, unless [`predicted`](Self::predicted) has a place for the classes.
    #[must_use]
    pub fn count_correct(mut self) -> Self {
        self.counts_correct = true;
        self
    }

    /// Sets a weight for every row, a factor of its loss and gradient: any finite numbers. A row of weight zero is
    /// not computed unless another output needs it, but still counts in the divisor of a mean (except with
    /// [`MeanOver::Weights`](xent_core::reduction::MeanOver::Weights)).
    #[must_use]
    pub fn sample_weights(mut self, sample_weights: &'a [F]) -> Self {
        self.row_weights.sample_weights = sample_weights;
        self
    }

    /// Upstream gradient ∂L/∂loss of every row, a factor of its gradient. Only with
    /// [`Reduction::None`](xent_core::reduction::Reduction::None).
    #[must_use]
    pub fn upstream(mut self, upstream: &'a [F]) -> Self {
        self.row_weights.upstream = upstream;
        self
    }

    /// Upstream gradient ∂L/∂loss of the reduced loss; scales all gradients.
    #[must_use]
    pub fn scale(mut self, scale: f64) -> Self {
        self.row_weights.scale = scale;
        self
    }

    /// Checks the lengths of what is written.
    pub(crate) fn check<E: Number<Float = F>>(&self, layer: &Layer<'_, E>) -> Result<(), Error> {
        let Layer { rows, classes, .. } = *layer;
        if let Some(found) = length(&self.of_inputs) {
            layer.check("gradient of the inputs", rows, layer.input_stride, found)?;
        }
        if let Some(found) = length(&self.of_weights) {
            layer.check("gradient of the weights", classes, layer.weight_stride, found)?;
        }
        let one_each = [
            ("gradient of the bias", classes, length(&self.of_bias)),
            ("losses", rows, Some(self.losses.len()).filter(|found| *found > 0)),
            ("log-sum-exp", rows, Some(self.log_sum_exp.len()).filter(|found| *found > 0)),
            ("predicted classes", rows, Some(self.predicted.len()).filter(|found| *found > 0)),
        ];
        for (of, expected, found) in one_each {
            if let Some(found) = found.filter(|found| *found != expected) {
                return Err(InputError::Length { of, expected, found }.into());
            }
        }
        let (k, found) = (self.k(rows), self.top_k.len());
        if k * rows != found {
            let expected = (k + 1) * rows;
            return Err(InputError::Length { of: "largest classes", expected, found }.into());
        }
        if k > classes {
            let reason = "there are fewer classes";
            return Err(InputError::Option { option: "k", reason }.into());
        }
        Ok(())
    }

    /// The number of classes that are wanted of each row.
    pub(crate) fn k(&self, rows: usize) -> usize {
        self.top_k.len().checked_div(rows).unwrap_or(0)
    }

    /// Whether something is wanted of ignored rows, too.
    pub(crate) fn wants_all_rows(&self) -> bool {
        !(self.log_sum_exp.is_empty() && self.predicted.is_empty() && self.top_k.is_empty())
    }

    pub(crate) fn wants_gradient(&self) -> bool {
        [&self.of_inputs, &self.of_weights, &self.of_bias].into_iter().any(is_wanted)
    }
}

/// The length of the slice of a gradient, if it is wanted.
fn length<F: Product>(gradient: &Gradient<'_, F>) -> Option<usize> {
    match gradient {
        Gradient::None => None,
        Gradient::Write(g) | Gradient::Add(g) => Some(g.len()),
        Gradient::WriteWide(g) | Gradient::AddWide(g) => Some(g.len()),
    }
}

pub(crate) fn is_wanted<F: Product>(gradient: &Gradient<'_, F>) -> bool {
    !matches!(gradient, Gradient::None)
}

/// The place of a gradient, and whether it is added to what is there.
pub(crate) fn place<'g, F: Product>(
    gradient: &'g mut Gradient<'_, F>,
) -> Option<(&'g mut [F], bool)> {
    match gradient {
        Gradient::None => None,
        Gradient::Write(g) | Gradient::WriteWide(g) => Some((g, false)),
        Gradient::Add(g) | Gradient::AddWide(g) => Some((g, true)),
    }
}

/// The results of a pass. With the crate `xent` it becomes a `Report`, which can be added up over batches.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct LinearReport {
    /// The reduced loss. With [`Reduction::None`](xent_core::reduction::Reduction::None), which keeps a loss for
    /// each row, their sum.
    pub loss: f64,
    /// The sum of the losses of all rows.
    pub sum: f64,
    /// How it was reduced.
    pub policy: Policy,
    /// The number and the weights of the rows.
    pub counts: BatchCounts,
    /// The number of rows that are not ignored and whose predicted class is their label, if it was asked for and
    /// the targets are labels.
    pub correct: Option<usize>,
    /// The sum of the sample weights of these rows, and of all that are not ignored; zero if not asked for.
    pub weights_of_correct: [f64; 2],
    /// The number of computed rows whose logits are not finite, and the first of them.
    pub not_finite: (usize, Option<usize>),
    /// The share of the blocks of the gradient of the logits that a
    /// [filter](crate::LinearCrossEntropy::with_gradient_filter) has left out; zero without one.
    pub left_out: f64,
}
