//! Reductions: from the losses of the rows to one value, the divisor of a mean, and a mean over nothing.
//!
//! ```
//! use xent_core::reduction::{MeanOver, NothingValid, Policy, Reduction};
//! use xent_core::{Batch, Buffers, Level, RowWeights, SoftmaxBatch, SoftmaxTargets};
//!
//! let x = [2.0, 1.0, 0.0, 0.0, 3.0, 0.0_f32];
//! let mut gradient = [0.0; 6];
//! let targets = SoftmaxTargets::Index((&[0_u8, 1]).into());
//! let batch = SoftmaxBatch::new(Buffers::gradient(&x, &mut gradient), 3, targets)?;
//!
//! let division = Policy::default().division(&batch.counts()).expect("a mean over nothing is zero");
//! let sum = batch.with_scale(division.scale(1.0)).run(Level::detect());
//! assert!((division.loss(sum).expect("reduced") - 0.251265).abs() < 1e-6);
//! # Ok::<(), xent_core::Error>(())
//! ```

use core::ops::AddAssign;

use crate::losses::BatchCounts;

/// How the losses of a batch become one value, which the gradient belongs to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Reduction {
    /// No reduction: every row (for sigmoid losses: every element) keeps its loss and has its own gradient.
    None,
    /// The sum of all losses.
    Sum,
    /// The sum divided by the divisor of [`MeanOver`].
    #[default]
    Mean,
}

/// What a mean divides the sum of all losses by. Sample weights count only in [`Weights`](Self::Weights): in all
/// others a row of weight zero is still a row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MeanOver {
    /// PyTorch's rule for the loss. Softmax and likelihood losses of labels: the sum of the class weights of the
    /// labels not ignored (without class weights: their number). Other softmax losses: all rows. Sigmoid losses:
    /// the elements not ignored. Multi-label soft margin: the rows with such an element.
    ///
    /// With class weights, the same labels have different means as indices and as one-hot targets, as in PyTorch:
    /// the divisor is the sum of their class weights for indices, and the number of rows for one-hot targets.
    #[default]
    PyTorch,
    /// The number of losses that are not ignored, whatever their weight (Keras; Caffe's `VALID`): rows (multi-label
    /// softmax: rows with a label), or elements for sigmoid losses.
    NotIgnored,
    /// All rows (Caffe's `FULL` and `BATCH_SIZE`).
    AllRows,
    /// The sum of class weight times sample weight over the rows (for sigmoid losses: elements) that are not
    /// ignored. If it is not positive, it is a mean over nothing.
    Weights,
}

/// The result of a mean over nothing: every label is ignored, or the weights in the divisor sum to zero (or less,
/// if some are negative).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum NothingValid {
    /// An error, before anything is written. If every label is ignored this applies to every reduction, and to a
    /// single multi-label softmax row without a label.
    Error,
    /// A loss of zero and a gradient of zero, so that training continues.
    #[default]
    Zero,
    /// NaN, as in PyTorch. The gradient is NaN, too, if the divisor is a sum of zero weights, but zero if every
    /// label is ignored. A single multi-label softmax row without a label is NaN, too.
    Nan,
}

/// How a batch is reduced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Policy {
    /// How the losses become one value.
    pub reduction: Reduction,
    /// The divisor of a mean.
    pub mean_over: MeanOver,
    /// The result of a mean over nothing.
    pub nothing_valid: NothingValid,
}

/// The factors for the sum of a batch's losses and for its gradient.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Division {
    policy: Policy,
    /// The divisor of a mean, whatever the reduction.
    of_mean: f64,
    nothing_counts: bool,
}

impl Policy {
    /// The division for a batch with these counts; `None` if it is refused, for [`NothingValid::Error`].
    #[must_use]
    pub fn division(self, counts: &BatchCounts) -> Option<Division> {
        let of_mean = self.mean_over.divisor(counts);
        let nothing_counts = counts.valid_losses == 0;
        let division = Division { policy: self, of_mean, nothing_counts };
        let nothing = match self.reduction {
            Reduction::Mean => division.is_of_nothing(),
            Reduction::None | Reduction::Sum => nothing_counts,
        };
        (!(nothing && self.nothing_valid == NothingValid::Error)).then_some(division)
    }
}

impl MeanOver {
    /// The divisor of a mean.
    #[must_use]
    pub fn divisor(self, counts: &BatchCounts) -> f64 {
        match self {
            Self::PyTorch => counts.pytorch,
            Self::NotIgnored => counts.valid_losses as f64,
            Self::AllRows => counts.rows as f64,
            Self::Weights => counts.weight,
        }
    }
}

impl Division {
    /// Whether a mean has nothing to divide by.
    fn is_of_nothing(&self) -> bool {
        self.nothing_counts || self.of_mean.is_nan() || self.of_mean <= 0.0
    }

    /// The divisor of the sum of the losses: one without a mean.
    #[must_use]
    pub fn divisor(&self) -> f64 {
        match self.policy.reduction {
            Reduction::Mean => self.of_mean,
            Reduction::None | Reduction::Sum => 1.0,
        }
    }

    /// The factor of the gradient, if `upstream` is the upstream gradient ∂L/∂loss.
    #[must_use]
    pub fn scale(&self, upstream: f64) -> f64 {
        match self.policy.reduction {
            Reduction::None | Reduction::Sum => upstream,
            Reduction::Mean if !self.is_of_nothing() => upstream / self.of_mean,
            // Zero divided by zero, but only for rows that are not ignored.
            Reduction::Mean if self.policy.nothing_valid == NothingValid::Nan => f64::NAN,
            Reduction::Mean => 0.0,
        }
    }

    /// The reduced loss, from the sum of all losses; `None` with [`Reduction::None`].
    #[must_use]
    pub fn loss(&self, sum: f64) -> Option<f64> {
        match self.policy.reduction {
            Reduction::None => None,
            Reduction::Mean if self.is_of_nothing() => {
                Some(if self.policy.nothing_valid == NothingValid::Nan { f64::NAN } else { 0.0 })
            }
            Reduction::Sum | Reduction::Mean => Some(sum / self.divisor()),
        }
    }

    /// The mean by [`MeanOver`], whatever the reduction; `None` for a mean over nothing.
    #[must_use]
    pub fn mean(&self, sum: f64) -> Option<f64> {
        (!self.is_of_nothing()).then(|| sum / self.of_mean)
    }
}

/// For two parts of a batch.
impl AddAssign for BatchCounts {
    fn add_assign(&mut self, other: Self) {
        self.rows += other.rows;
        self.valid_rows += other.valid_rows;
        self.valid_losses += other.valid_losses;
        self.class_weight += other.class_weight;
        self.weight += other.weight;
        self.pytorch += other.pytorch;
    }
}
