//! One pass over a batch: what goes in beside logits and targets, and what comes out.

use xent_core::reduction::{NothingValid, Policy, Reduction};
use xent_core::{
    Batch, BatchCounts, Buffers, Element, Error as InputError, ForkJoin, Hessian, LikelihoodBatch,
    NotFiniteRows, Outputs, RowWeights, SigmoidBatch, SoftmaxBatch,
};

use crate::{Error, Targets};

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
    /// stride). Reduced, with the divisor of a mean: gradient boosting wants [`Reduction::Sum`].
    /// The other conventions than [`Hessian::Exact`] are for losses without focal loss, soft cap and z-loss.
    #[must_use]
    pub fn hessian(mut self, hessian: &'a mut [E::Float], convention: Hessian) -> Self {
        self.outputs.hessian = hessian;
        self.outputs.convention = convention;
        self
    }

    /// No second derivative is less than this: boosting divides by their sum, and those of the focal loss, of a
    /// soft cap and of the z-loss can be negative.
    ///
    /// ```
    /// use xent::{Hessian, Logits, Pass, Reduction, SigmoidCrossEntropy, Targets};
    ///
    /// let (x, y) = ([-3.0, 0.5_f32], [1.0, 0.0]);
    /// let focal = SigmoidCrossEntropy::new().with_focal(2.0, None)?.with_reduction(Reduction::Sum);
    /// let mut h = [0.0; 2];
    /// let pass = Pass::new().hessian(&mut h, Hessian::Exact);
    /// focal.evaluate(Logits::new(&x, 1)?, Targets::dense(&y), pass)?;
    /// assert!(h[0] < 0.0 && h[1] > 0.4);
    ///
    /// let pass = Pass::new().hessian(&mut h, Hessian::Exact).hessian_floor(1e-6);
    /// focal.evaluate(Logits::new(&x, 1)?, Targets::dense(&y), pass)?;
    /// assert_eq!(h[0], 1e-6);
    /// # Ok::<(), xent::Error>(())
    /// ```
    #[must_use]
    pub fn hessian_floor(mut self, floor: f64) -> Self {
        self.outputs.hessian_floor = Some(floor);
        self
    }

    /// A weight for every row: a factor of its loss and gradient, and nothing else. Any finite numbers,
    /// negative ones too. A row of weight zero has a loss and a gradient of zero, even where its logits are
    /// not finite, and is one of the rows that a mean divides by (but for
    /// [`MeanOver::Weights`](crate::MeanOver::Weights)).
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
    /// The mean that [`MeanOver`](crate::MeanOver) gives, whatever the reduction: e to it is the perplexity.
    /// `None` if it has nothing to divide by.
    pub mean_loss: Option<f64>,
    /// The rows there are.
    pub rows: usize,
    /// The rows that are not ignored and have a target, whatever they weigh.
    pub valid_rows: usize,
    /// What the sum of the losses was divided by: one without a mean.
    pub denominator: f64,
    /// The rows that are not ignored and whose predicted class is their label; only where both are known.
    /// Sample weights have no part in it. A row with NaN is right if its first NaN is at its label, as
    /// everywhere that such a row is predicted to be of that class.
    pub correct: Option<usize>,
    /// The share of these, each row with its sample weight: `Σ v [right] / Σ v` over the rows that are not
    /// ignored. `None` where `correct` is, and if the weights do not add up to more than zero.
    pub accuracy: Option<f64>,
    /// The rows whose logits have no softmax (or whose elements no loss), for whom to look for the cause.
    pub not_finite: NotFinite,
    /// How many probabilities that count are so small that they were clamped, or so near to one: those of the
    /// labels below 1e-20 ([`MultinomialLogistic`](crate::MultinomialLogistic)), and those whose logarithm
    /// would be below -100 ([`LogisticLoss`](crate::LogisticLoss)).
    pub clamped: usize,
}

/// Rows that are not ignored and have a logit that is NaN or `+inf`, or no finite one. Those with some `-inf`,
/// which are masked classes, are not among them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct NotFinite {
    /// How many there are.
    pub rows: usize,
    /// The first.
    pub first: Option<usize>,
}

/// What the batches of the core have in common.
pub(crate) trait Fused<'a, F>: Batch {
    fn weigh(self, weights: RowWeights<'a, F>) -> Result<Self, InputError>;
    fn put(self, outputs: Outputs<'a, F>) -> Result<Self, InputError>;
    fn count(&self) -> BatchCounts;
    fn empty_row(&self) -> Option<usize>;
    fn count_clamped(&self) -> usize;
}

macro_rules! fused {
    ($batch:ident, $empty_row:expr, $clamped:expr) => {
        impl<'a, E: Element> Fused<'a, E::Float> for $batch<'a, E> {
            fn weigh(self, weights: RowWeights<'a, E::Float>) -> Result<Self, InputError> {
                self.with_weights(weights)
            }

            fn put(self, outputs: Outputs<'a, E::Float>) -> Result<Self, InputError> {
                self.with_outputs(outputs)
            }

            fn count(&self) -> BatchCounts {
                self.counts()
            }

            fn empty_row(&self) -> Option<usize> {
                $empty_row(self)
            }

            fn count_clamped(&self) -> usize {
                $clamped(self)
            }
        }
    };
}
fused!(SoftmaxBatch, SoftmaxBatch::first_empty_row, |_: &_| 0);
fused!(SigmoidBatch, |_: &_| None, SigmoidBatch::clamped);
fused!(LikelihoodBatch, |_: &_| None, LikelihoodBatch::clamped);

impl<'a, E: Element> Pass<'a, E> {
    /// The same pass over buffers borrowed for a shorter time.
    pub(crate) fn reborrow(&mut self) -> Pass<'_, E> {
        let Outputs { losses, log_sum_exp, predicted, hessian, convention, hessian_floor, .. } =
            &mut self.outputs;
        Pass {
            gradient: match &mut self.gradient {
                Gradient::None => Gradient::None,
                Gradient::Write(grad) => Gradient::Write(grad),
                Gradient::Add(grad) => Gradient::Add(grad),
                Gradient::WriteWide(grad) => Gradient::WriteWide(grad),
                Gradient::AddWide(grad) => Gradient::AddWide(grad),
            },
            weights: self.weights,
            outputs: Outputs {
                losses,
                log_sum_exp,
                predicted,
                hessian,
                convention: *convention,
                hessian_floor: *hessian_floor,
                not_finite: None,
            },
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

    /// Fills in how many rows have been predicted right, if both the predictions and the labels are known.
    pub(crate) fn judge(
        &self,
        targets: &Targets<'_, E::Float>,
        ignore: Option<i64>,
        report: &mut Report,
    ) {
        let Targets::Index(labels) = targets else { return };
        let Outputs { predicted, .. } = &self.outputs;
        if predicted.is_empty() {
            return;
        }
        let correct = labels.count_equal(predicted, ignore);
        report.correct = Some(correct);
        let weights = self.weights.sample_weights;
        let [right, all] = if weights.is_empty() {
            [correct, report.valid_rows].map(|count| count as f64)
        } else {
            labels.weigh_equal(predicted, ignore, weights)
        };
        report.accuracy = (all > 0.0).then(|| right / all);
    }

    /// What is counted of the batch.
    pub(crate) fn counts<B: Fused<'a, E::Float>>(
        self,
        batch: Result<B, InputError>,
    ) -> Result<BatchCounts, Error> {
        Ok(batch?.weigh(self.weights)?.count())
    }

    /// Runs a batch.
    pub(crate) fn run<B: Fused<'a, E::Float>>(
        self,
        policy: Policy,
        level: xent_core::Level,
        batch: Result<B, InputError>,
        not_finite: &'a NotFiniteRows,
    ) -> Result<Report, Error> {
        let Self { mut weights, outputs, .. } = self;
        if !weights.upstream.is_empty() && policy.reduction != Reduction::None {
            return Err(Error::UpstreamOfRows);
        }
        // A row of weight zero misses no target.
        let batch = batch?.weigh(weights)?;
        if policy.nothing_valid == NothingValid::Error
            && let Some(row) = batch.empty_row()
        {
            return Err(InputError::Empty { row }.into());
        }
        let counts = batch.count();
        let division = policy.division(&counts).ok_or(Error::NothingValid)?;
        weights.scale = division.scale(weights.scale);
        let clamped = batch.count_clamped();
        let outputs = Outputs { not_finite: Some(not_finite), ..outputs };
        let batch = batch.weigh(weights)?.put(outputs)?;
        let sum = run(batch, level);
        Ok(Report {
            loss: division.loss(sum),
            mean_loss: division.mean(sum),
            rows: counts.rows,
            valid_rows: counts.valid_rows,
            denominator: division.divisor(),
            correct: None,
            accuracy: None,
            not_finite: NotFinite { rows: not_finite.count(), first: not_finite.first() },
            clamped,
        })
    }
}

/// Who checks a batch: rayon's threads where the feature is on.
#[cfg(feature = "rayon")]
pub(crate) const THREADS: &dyn ForkJoin = &xent_rayon::Threads;
#[cfg(not(feature = "rayon"))]
pub(crate) const THREADS: &dyn ForkJoin = &xent_core::InTurn;

/// Solves a batch: on rayon's threads where the feature is on.
fn run<B: Batch>(batch: B, level: xent_core::Level) -> f64 {
    #[cfg(feature = "rayon")]
    return xent_rayon::run(batch, level);
    #[cfg(not(feature = "rayon"))]
    batch.run(level)
}
