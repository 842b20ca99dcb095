//! One pass over a batch: what goes in beside logits and targets, and what comes out.

use xent_core::{
    Batch, Buffers, Element, Error as InputError, Hessian, LikelihoodBatch, Outputs, RowWeights,
    SigmoidBatch, SoftmaxBatch, Tally,
};

use crate::reduction::{NothingValid, Reduction, Settings};
use crate::{Error, MeanOver, Targets};

/// What a pass over a batch is to compute beside the loss; the default is nothing.
///
/// ```
/// use xent::{Logits, Pass, SoftmaxCrossEntropy, Targets};
///
/// let x = [2.0, 1.0, 0.0, 0.0, 3.0, 0.0_f32];
/// let (mut grad, mut predicted) = ([0.0; 6], [0; 2]);
/// let pass = Pass::new().grad(&mut grad).predicted(&mut predicted);
/// let loss = SoftmaxCrossEntropy::new();
/// let report = loss.evaluate(Logits::new(&x, 3)?, Targets::index(&[0_u8, 2]), pass)?;
/// assert_eq!(predicted, [0, 1]);
/// assert_eq!(report.correct, Some(1));
/// # Ok::<(), xent::Error>(())
/// ```
#[derive(Debug)]
pub struct Pass<'a, E: Element = f32> {
    pub(crate) gradient: Gradient<'a, E>,
    weights: RowWeights<'a, E::Float>,
    outputs: Outputs<'a, E::Float>,
}

impl<E: Element> Default for Pass<'_, E> {
    fn default() -> Self {
        let (weights, outputs) = (RowWeights::default(), Outputs::default());
        Self { gradient: Gradient::None, weights, outputs }
    }
}

/// Where the gradient goes.
#[derive(Debug)]
pub(crate) enum Gradient<'a, E: Element> {
    None,
    Write(&'a mut [E]),
    Add(&'a mut [E]),
    WriteWide(&'a mut [E::Float]),
    AddWide(&'a mut [E::Float]),
}

impl<'a, E: Element> Pass<'a, E> {
    /// The loss alone.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Writes the gradient of the reduced loss, where the logits are.
    #[must_use]
    pub fn grad(mut self, grad: &'a mut [E]) -> Self {
        self.gradient = Gradient::Write(grad);
        self
    }

    /// Adds the gradient of the reduced loss to what is there.
    #[must_use]
    pub fn accumulate_grad(mut self, grad: &'a mut [E]) -> Self {
        self.gradient = Gradient::Add(grad);
        self
    }

    /// [`grad`](Self::grad) of logits of sixteen bits, in f32.
    #[must_use]
    pub fn wide_grad(mut self, grad: &'a mut [E::Float]) -> Self {
        self.gradient = Gradient::WriteWide(grad);
        self
    }

    /// [`accumulate_grad`](Self::accumulate_grad) of logits of sixteen bits, in f32.
    #[must_use]
    pub fn accumulate_wide_grad(mut self, grad: &'a mut [E::Float]) -> Self {
        self.gradient = Gradient::AddWide(grad);
        self
    }

    /// Writes the loss of every row, not reduced; for the sigmoid losses, of every element. Sample
    /// weights and class weights are in it.
    #[must_use]
    pub fn losses(mut self, losses: &'a mut [E::Float]) -> Self {
        self.outputs.losses = losses;
        self
    }

    /// Writes the log-sum-exp of every row. Softmax only.
    #[must_use]
    pub fn log_sum_exp(mut self, log_sum_exp: &'a mut [E::Float]) -> Self {
        self.outputs.log_sum_exp = log_sum_exp;
        self
    }

    /// Writes the class of the largest logit of every row, the first of equals. Softmax only.
    #[must_use]
    pub fn predicted(mut self, predicted: &'a mut [u32]) -> Self {
        self.outputs.predicted = predicted;
        self
    }

    /// Writes the diagonal of the Hessian of the reduced loss, where the logits are (without a
    /// stride).
    #[must_use]
    pub fn hessian(mut self, hessian: &'a mut [E::Float], convention: Hessian) -> Self {
        self.outputs.hessian = hessian;
        self.outputs.convention = convention;
        self
    }

    /// A weight for the loss of every row. A row of weight zero has no part in the batch.
    #[must_use]
    pub fn sample_weights(mut self, sample_weights: &'a [E::Float]) -> Self {
        self.weights.sample_weights = sample_weights;
        self
    }

    /// The gradient of what follows by the loss of every row (for sigmoid: of every element), which
    /// the row's gradient is multiplied with. [`Reduction::None`] only.
    #[must_use]
    pub fn upstream(mut self, upstream: &'a [E::Float]) -> Self {
        self.weights.upstream = upstream;
        self
    }

    /// The gradient of what follows by the reduced loss, which the whole gradient is multiplied
    /// with: a loss scale.
    #[must_use]
    pub fn scale(mut self, scale: f64) -> Self {
        self.weights.scale = scale;
        self
    }
}

/// What a pass has found.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Report {
    /// The reduced loss; `None` with [`Reduction::None`].
    pub loss: Option<f64>,
    /// The rows there are.
    pub rows: usize,
    /// The rows that are not ignored and have a target.
    pub valid_rows: usize,
    /// What the sum of the losses was divided by: one without a mean.
    pub denominator: f64,
    /// The valid rows whose predicted class is their label; only where both are known.
    pub correct: Option<usize>,
}

/// Whose rule a loss follows with [`MeanOver::PyTorch`].
#[derive(Clone, Copy)]
pub(crate) enum Rule {
    ClassWeights,
    Losses,
    AllRows,
}

/// What the batches of the core have in common.
pub(crate) trait Fused<'a, F>: Batch {
    fn weigh(self, weights: RowWeights<'a, F>) -> Result<Self, InputError>;
    fn put(self, outputs: Outputs<'a, F>) -> Result<Self, InputError>;
    fn count(&self) -> Tally;
    fn empty_row(&self) -> Option<usize>;
}

macro_rules! fused {
    ($batch:ident, $empty_row:expr) => {
        impl<'a, E: Element> Fused<'a, E::Float> for $batch<'a, E> {
            fn weigh(self, weights: RowWeights<'a, E::Float>) -> Result<Self, InputError> {
                self.with_weights(weights)
            }

            fn put(self, outputs: Outputs<'a, E::Float>) -> Result<Self, InputError> {
                self.with_outputs(outputs)
            }

            fn count(&self) -> Tally {
                self.tally()
            }

            fn empty_row(&self) -> Option<usize> {
                $empty_row(self)
            }
        }
    };
}
fused!(SoftmaxBatch, SoftmaxBatch::first_empty_row);
fused!(SigmoidBatch, |_: &_| None);
fused!(LikelihoodBatch, |_: &_| None);

/// The sum that a mean divides.
pub(crate) fn denominator(tally: &Tally, mean_over: MeanOver, rule: Rule) -> f64 {
    match (mean_over, rule) {
        (MeanOver::PyTorch, Rule::ClassWeights) => tally.class_weight,
        (MeanOver::PyTorch, Rule::Losses) => tally.valid_losses as f64,
        (MeanOver::PyTorch, Rule::AllRows) | (MeanOver::AllRows, _) => tally.rows as f64,
        (MeanOver::ValidRows, _) => tally.valid_rows as f64,
        (MeanOver::Weights, _) => tally.weight,
    }
}

impl<'a, E: Element> Pass<'a, E> {
    /// The same pass over buffers borrowed for a shorter time.
    pub(crate) fn reborrow(&mut self) -> Pass<'_, E> {
        let Outputs { losses, log_sum_exp, predicted, hessian, convention } = &mut self.outputs;
        Pass {
            gradient: match &mut self.gradient {
                Gradient::None => Gradient::None,
                Gradient::Write(grad) => Gradient::Write(grad),
                Gradient::Add(grad) => Gradient::Add(grad),
                Gradient::WriteWide(grad) => Gradient::WriteWide(grad),
                Gradient::AddWide(grad) => Gradient::AddWide(grad),
            },
            weights: self.weights,
            outputs: Outputs { losses, log_sum_exp, predicted, hessian, convention: *convention },
        }
    }

    /// The buffers of a batch over these logits.
    pub(crate) fn buffers(&mut self, logits: &'a [E]) -> Buffers<'a, E> {
        match core::mem::replace(&mut self.gradient, Gradient::None) {
            Gradient::None => Buffers::Loss(logits),
            Gradient::Write(grad) => Buffers::Gradient(logits, grad),
            Gradient::Add(grad) => Buffers::Accumulate(logits, grad),
            Gradient::WriteWide(grad) => Buffers::WideGradient(logits, grad),
            Gradient::AddWide(grad) => Buffers::WideAccumulate(logits, grad),
        }
    }

    /// How many rows have been predicted right, if both the predictions and the labels are known.
    pub(crate) fn correct(
        &self,
        targets: &Targets<'_, E::Float>,
        ignore: Option<i64>,
    ) -> Option<usize> {
        let Targets::Index(labels) = targets else { return None };
        if self.outputs.predicted.is_empty() {
            return None;
        }
        if self.weights.sample_weights.is_empty() {
            return Some(labels.count_equal(self.outputs.predicted, ignore));
        }
        let none = E::Float::default();
        let mut correct = 0;
        for (row, &class) in self.outputs.predicted.iter().enumerate() {
            if self.weights.sample_weights.get(row) == Some(&none) {
                continue;
            }
            let label = labels.get(row).filter(|label| Some(*label) != ignore);
            correct += usize::from(label == Some(i64::from(class)));
        }
        Some(correct)
    }

    /// What a mean over the batch divides by.
    pub(crate) fn denominator<B: Fused<'a, E::Float>>(
        self,
        settings: &Settings,
        rule: Rule,
        batch: Result<B, InputError>,
    ) -> Result<f64, Error> {
        let tally = batch?.weigh(self.weights)?.count();
        Ok(denominator(&tally, settings.mean_over, rule))
    }

    /// Runs a batch.
    pub(crate) fn run<B: Fused<'a, E::Float>>(
        self,
        settings: &Settings,
        rule: Rule,
        batch: Result<B, InputError>,
    ) -> Result<Report, Error> {
        let Self { mut weights, outputs, .. } = self;
        if !weights.upstream.is_empty() && settings.reduction != Reduction::None {
            return Err(Error::UpstreamOfRows);
        }
        // A row of weight zero misses no target.
        let batch = batch?.weigh(weights)?;
        if settings.nothing_valid == NothingValid::Error
            && let Some(row) = batch.empty_row()
        {
            return Err(InputError::Empty { row }.into());
        }
        let tally = batch.count();
        let divisor = match settings.reduction {
            Reduction::Mean => denominator(&tally, settings.mean_over, rule),
            Reduction::None | Reduction::Sum => 1.0,
        };
        let nothing = tally.valid_losses == 0 || divisor == 0.0;
        if nothing && settings.nothing_valid == NothingValid::Error {
            return Err(Error::NothingValid);
        }
        weights.scale /= if divisor == 0.0 { 1.0 } else { divisor };
        let batch = batch.weigh(weights)?.put(outputs)?;
        let sum = run(batch, settings.level);
        let mean_of_nothing = nothing && settings.reduction == Reduction::Mean;
        let loss = match settings.reduction {
            Reduction::None => None,
            _ if mean_of_nothing && settings.nothing_valid == NothingValid::Nan => Some(f64::NAN),
            _ if mean_of_nothing => Some(0.0),
            _ => Some(sum / divisor),
        };
        Ok(Report {
            loss,
            rows: tally.rows,
            valid_rows: tally.valid_rows,
            denominator: divisor,
            correct: None,
        })
    }
}

/// Solves a batch: on rayon's threads where the feature is on.
fn run<B: Batch>(batch: B, level: xent_core::Level) -> f64 {
    #[cfg(feature = "rayon")]
    return xent_rayon::run(batch, level);
    #[cfg(not(feature = "rayon"))]
    batch.run(level)
}
