//! One pass over a batch: its options and outputs besides logits and targets.

#[cfg(feature = "alloc")]
use alloc::vec::Vec;

use xent_core::reduction::{NothingValid, Policy, Reduction};
use xent_core::{
    Batch, BatchCounts, Element, Error as InputError, ForkJoin, Gradient, Hessian, LikelihoodBatch,
    NotFiniteRows, Outputs, RowWeights, SigmoidBatch, SoftmaxBatch,
};

use crate::{Error, NotFinite, Report, Targets};

/// Scratch buffer for predicted classes, if the caller does not want them.
#[cfg(feature = "alloc")]
pub(crate) type Room = Vec<u32>;
#[cfg(not(feature = "alloc"))]
pub(crate) type Room = [u32; 0];

/// The outputs and options of a pass over a batch, besides the loss; the default is none.
///
/// ```
/// use xent::{Pass, SoftmaxCrossEntropy};
///
/// let x = [2.0, 1.0, 0.0, 0.0, 3.0, 0.0_f32];
/// let (mut grad, mut predicted) = ([0.0; 6], [0; 2]);
/// let pass = Pass::new().grad(&mut grad).predicted(&mut predicted);
/// let report = SoftmaxCrossEntropy::new().evaluate((&x, 3), &[0_u8, 2], pass)?;
/// assert_eq!(predicted, [0, 1]);
/// assert_eq!(report.correct, Some(1));
/// # Ok::<(), xent::Error>(())
/// ```
#[derive(Debug)]
pub struct Pass<'a, E: Element = f32> {
    pub(crate) gradient: Gradient<'a, E>,
    pub(crate) weights: RowWeights<'a, E::Float>,
    outputs: Outputs<'a, E::Float>,
    counts_correct: bool,
    /// Whether gradient and Hessian belong to the sum, whatever the reduction.
    of_sum: bool,
}

impl<E: Element> Default for Pass<'_, E> {
    fn default() -> Self {
        let (weights, outputs) = (RowWeights::default(), Outputs::default());
        Self { gradient: Gradient::None, weights, outputs, counts_correct: false, of_sum: false }
    }
}

impl<'a, E: Element> Pass<'a, E> {
    /// Only the loss.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Writes the gradient of the reduced loss, in the order of the logits.
    #[must_use]
    pub fn grad(mut self, grad: &'a mut [E]) -> Self {
        self.gradient = Gradient::Write(grad);
        self
    }

    /// Adds the gradient of the reduced loss to the values in the slice.
    #[must_use]
    pub fn accumulate_grad(mut self, grad: &'a mut [E]) -> Self {
        self.gradient = Gradient::Add(grad);
        self
    }

    /// [`grad`](Self::grad) for logits of 16 bits or integers, in f32.
    #[must_use]
    pub fn wide_grad(mut self, grad: &'a mut [E::Float]) -> Self {
        self.gradient = Gradient::WriteWide(grad);
        self
    }

    /// [`accumulate_grad`](Self::accumulate_grad) for logits of 16 bits or integers, in f32.
    #[must_use]
    pub fn accumulate_wide_grad(mut self, grad: &'a mut [E::Float]) -> Self {
        self.gradient = Gradient::AddWide(grad);
        self
    }

    /// Writes the loss of every row, not reduced; for the sigmoid losses, of every element. Sample weights and
    /// class weights are included.
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

    /// Counts the rows whose predicted class is their label, for [`Report::correct`] and
    /// [`Report::accuracy`]: of a softmax with labels ([`SoftmaxCrossEntropy`](crate::SoftmaxCrossEntropy) with
    /// [`Targets::Index`]); other losses and targets have no such count. It takes four bytes a row while it
    /// runs, unless [`predicted`](Self::predicted) has a place for the classes.
    ///
    /// ```
    /// use xent::{Pass, SoftmaxCrossEntropy};
    ///
    /// let x = [2.0, 1.0, 0.0, 0.0, 3.0, 0.0_f32];
    /// let pass = Pass::new().count_correct();
    /// let report = SoftmaxCrossEntropy::new().evaluate((&x, 3), &[0_u8, 2], pass)?;
    /// assert_eq!((report.correct, report.accuracy()), (Some(1), 0.5));
    /// # Ok::<(), xent::Error>(())
    /// ```
    #[cfg(feature = "alloc")]
    #[must_use]
    pub fn count_correct(mut self) -> Self {
        self.counts_correct = true;
        self
    }

    /// Writes the derivatives for gradient boosting: the first and second derivatives of each row's own loss by its
    /// logits, whatever the reduction. (Dividing them by the divisor of a mean would strengthen a leaf's
    /// regularisation by that factor.) The loss in the report is reduced as usual.
    ///
    /// ```
    /// use xent::{Hessian, Pass, SoftmaxCrossEntropy};
    ///
    /// let (margins, labels) = ([0.5, 0.0, -0.5, 0.0, 0.0, 0.0_f32], [0_u32, 2]);
    /// let (mut grad, mut hess) = ([0.0; 6], [0.0; 6]);
    /// let pass = Pass::new().boosting(&mut grad, &mut hess, Hessian::XgBoost);
    /// SoftmaxCrossEntropy::new().evaluate((&margins, 3), &labels, pass)?;
    /// // The second row's probabilities are a third each: p - 1 at its label, 2 p (1 - p).
    /// assert!((grad[5] + 2.0 / 3.0).abs() < 1e-6 && (hess[5] - 4.0 / 9.0).abs() < 1e-6);
    /// # Ok::<(), xent::Error>(())
    /// ```
    #[must_use]
    pub fn boosting(
        mut self,
        grad: &'a mut [E],
        hessian: &'a mut [E::Float],
        convention: Hessian,
    ) -> Self {
        self.of_sum = true;
        self.grad(grad).hessian(hessian, convention)
    }

    /// Writes the diagonal of the Hessian of the *reduced* loss, in the order of the logits (without a stride).
    /// Like the gradient of a mean, it is divided by the mean's divisor, usually the number of rows. For gradient
    /// boosting use [`boosting`](Self::boosting).
    ///
    /// The conventions of boosting libraries do not apply to a mean: with [`Reduction::Mean`] they are rejected.
    /// They apply to losses without focal loss, soft cap and z-loss.
    #[must_use]
    pub fn hessian(mut self, hessian: &'a mut [E::Float], convention: Hessian) -> Self {
        self.outputs.hessian = hessian;
        self.outputs.convention = convention;
        self
    }

    /// Sets the smallest second derivative: boosting divides by their sum, and those of the focal loss, of a soft
    /// cap and of the z-loss can be negative.
    ///
    /// ```
    /// use xent::{Hessian, Pass, SigmoidCrossEntropy};
    ///
    /// let (x, y) = ([-3.0, 0.5_f32], [1.0, 0.0]);
    /// let focal = SigmoidCrossEntropy::new().with_focal(2.0, None)?;
    /// let (mut g, mut h) = ([0.0; 2], [0.0; 2]);
    /// focal.evaluate((&x, 1), &y, Pass::new().boosting(&mut g, &mut h, Hessian::Exact))?;
    /// assert!(h[0] < 0.0 && h[1] > 0.4);
    ///
    /// let pass = Pass::new().boosting(&mut g, &mut h, Hessian::Exact).hessian_floor(1e-6);
    /// focal.evaluate((&x, 1), &y, pass)?;
    /// assert_eq!(h[0], 1e-6);
    /// # Ok::<(), xent::Error>(())
    /// ```
    #[must_use]
    pub fn hessian_floor(mut self, floor: f64) -> Self {
        self.outputs.hessian_floor = Some(floor);
        self
    }

    /// Sets a weight for every row, a factor of its loss and gradient and nothing else. Any finite numbers, also
    /// negative. A row of weight zero has a loss and gradient of zero, even if its logits are not finite, but still
    /// counts in the divisor of a mean (except with [`MeanOver::Weights`](crate::MeanOver::Weights)).
    #[must_use]
    pub fn sample_weights(mut self, sample_weights: &'a [E::Float]) -> Self {
        self.weights.sample_weights = sample_weights;
        self
    }

    /// Upstream gradient ∂L/∂loss of every row (for sigmoid losses: of every element), a factor of its gradient.
    /// Only with [`Reduction::None`].
    #[must_use]
    pub fn upstream(mut self, upstream: &'a [E::Float]) -> Self {
        self.weights.upstream = upstream;
        self
    }

    /// Upstream gradient ∂L/∂loss of the reduced loss; scales the whole gradient. Also usable as a loss scale.
    #[must_use]
    pub fn scale(mut self, scale: f64) -> Self {
        self.weights.scale = scale;
        self
    }
}

/// The methods that all batches of the core share.
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
    pub(crate) fn counts_correct(&self) -> bool {
        self.counts_correct || !self.outputs.predicted.is_empty()
    }

    /// Space for the predicted classes, if right rows are to be counted and the caller has no buffer.
    #[cfg(feature = "alloc")]
    pub(crate) fn room(&self, counts: bool, targets: &Targets<'_, E::Float>, rows: usize) -> Room {
        let is_index = matches!(targets, Targets::Index(_));
        let wanted = counts && is_index && self.outputs.predicted.is_empty();
        alloc::vec![0; if wanted { rows } else { 0 }]
    }

    #[cfg(not(feature = "alloc"))]
    pub(crate) fn room(&self, _: bool, _: &Targets<'_, E::Float>, _: usize) -> Room {
        []
    }

    /// The same pass with buffers borrowed for a shorter time, and the space that it needs.
    pub(crate) fn reborrow<'r>(&'r mut self, room: &'r mut [u32]) -> Pass<'r, E> {
        let Outputs { losses, log_sum_exp, predicted, hessian, convention, hessian_floor, .. } =
            &mut self.outputs;
        Pass {
            gradient: self.gradient.reborrow(),
            weights: self.weights,
            outputs: Outputs {
                losses,
                log_sum_exp,
                predicted: if room.is_empty() { predicted } else { room },
                hessian,
                convention: *convention,
                hessian_floor: *hessian_floor,
                not_finite: None,
            },
            counts_correct: self.counts_correct,
            of_sum: self.of_sum,
        }
    }

    /// Fills in the number of right rows, if that is wanted and the labels are known.
    pub(crate) fn judge(
        &self,
        counts: bool,
        room: &[u32],
        targets: &Targets<'_, E::Float>,
        ignore: Option<i64>,
        report: &mut Report,
    ) {
        let Targets::Index(labels) = targets else { return };
        if !counts {
            return;
        }
        let predicted = if room.is_empty() { &*self.outputs.predicted } else { room };
        let correct = labels.count_equal(predicted, ignore);
        let weights = self.weights.sample_weights;
        report.judge(
            correct,
            if weights.is_empty() {
                [correct, report.valid_rows].map(|count| count as f64)
            } else {
                labels.weigh_equal(predicted, ignore, weights)
            },
        );
    }

    /// The counts of the batch.
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
        let Self { mut weights, outputs, of_sum, .. } = self;
        if !weights.upstream.is_empty() && policy.reduction != Reduction::None {
            return Err(Error::UpstreamOfRows);
        }
        let of_mean = policy.reduction == Reduction::Mean && !of_sum;
        if of_mean && !outputs.hessian.is_empty() && outputs.convention != Hessian::Exact {
            return Err(Error::HessianOfMean);
        }
        // A row of weight zero needs no target.
        let batch = batch?.weigh(weights)?;
        if policy.nothing_valid == NothingValid::Error
            && let Some(row) = batch.empty_row()
        {
            return Err(InputError::Empty { row }.into());
        }
        let counts = batch.count();
        let division = policy.division(&counts).ok_or(Error::NothingValid)?;
        if !of_sum {
            weights.scale = division.scale(weights.scale);
        }
        let clamped = batch.count_clamped();
        let outputs = Outputs { not_finite: Some(not_finite), ..outputs };
        let batch = batch.weigh(weights)?.put(outputs)?;
        let mut report = Report::of(policy, counts, run(batch, level));
        report.not_finite = NotFinite { rows: not_finite.count(), first: not_finite.first() };
        report.clamped = clamped;
        Ok(report)
    }
}

/// Who checks a batch: rayon's threads where the feature is on.
#[cfg(feature = "rayon")]
pub(crate) const THREADS: &dyn ForkJoin = &xent_rayon::Threads;
#[cfg(not(feature = "rayon"))]
pub(crate) const THREADS: &dyn ForkJoin = &xent_core::InTurn;

/// Runs a batch, on rayon's threads if the feature is on.
fn run<B: Batch>(batch: B, level: xent_core::Level) -> f64 {
    #[cfg(feature = "rayon")]
    return xent_rayon::run(batch, level);
    #[cfg(not(feature = "rayon"))]
    batch.run(level)
}
