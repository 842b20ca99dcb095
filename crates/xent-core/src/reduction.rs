//! From the losses of the rows to one value: what a mean divides by, and what becomes of a mean over nothing.
//!
//! ```
//! use xent_core::reduction::{MeanOver, NothingValid, Policy, Reduction};
//! use xent_core::{Batch, Buffers, Level, RowWeights, SoftmaxBatch, SoftmaxTargets};
//!
//! let x = [2.0, 1.0, 0.0, 0.0, 3.0, 0.0_f32];
//! let mut gradient = [0.0; 6];
//! let targets = SoftmaxTargets::Index((&[0_u8, 1]).into());
//! let batch = SoftmaxBatch::new(Buffers::Gradient(&x, &mut gradient), 3, targets)?;
//!
//! let division = Policy::default().division(&batch.counts()).expect("a mean over nothing is zero");
//! let sum = batch.with_scale(division.scale(1.0)).run(Level::detect());
//! assert!((division.loss(sum).expect("reduced") - 0.251265).abs() < 1e-6);
//! # Ok::<(), xent_core::Error>(())
//! ```

use core::ops::AddAssign;

use crate::losses::BatchCounts;

/// How the losses of a batch become one value, and what its gradient is the gradient of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Reduction {
    /// No value: every row (for sigmoid: every element) keeps its loss, and its gradient is the
    /// gradient of that.
    None,
    /// The sum of all losses.
    Sum,
    /// The sum divided by what [`MeanOver`] says.
    #[default]
    Mean,
}

/// What a mean divides the sum of all losses by. A sample weight is in none of them but
/// [`Weights`](Self::Weights): a row of weight zero is still a row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MeanOver {
    /// PyTorch's rule for the loss at hand. Softmax and likelihood losses of labels: the class weights of
    /// the labels that are not ignored (their number without class weights); other softmax losses: all
    /// rows; sigmoid losses: the elements that are not ignored; multi-label soft margin: the rows that
    /// have such an element.
    ///
    /// With class weights the same labels have another mean as indices than one-hot, as in PyTorch: the
    /// sum is divided by their class weights there, and by the rows here.
    #[default]
    PyTorch,
    /// The losses that are not ignored, whatever they weigh (Keras; Caffe's `VALID`): rows, which of
    /// multi-label softmax have a label; for sigmoid losses elements.
    NotIgnored,
    /// All rows (Caffe's `FULL` and `BATCH_SIZE`).
    AllRows,
    /// The weights of what is not ignored, class weight times sample weight: of rows; for sigmoid
    /// losses of elements. If their sum is not positive, it is a mean over nothing.
    Weights,
}

/// What becomes of a mean over nothing: every label is ignored, or the weights that it divides by add up to
/// zero (or, as some are negative, to less).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum NothingValid {
    /// It is refused before anything is written, whatever the reduction if every label is ignored; a single
    /// row of multi-label softmax without a label is, too.
    Error,
    /// A loss of zero and a gradient of zero, so that a run of training survives.
    #[default]
    Zero,
    /// NaN, as in PyTorch. The gradient is NaN as well where weights of zero are divided by, and zero where
    /// every label is ignored. A single row of multi-label softmax without a label is NaN, too.
    Nan,
}

/// How a batch is reduced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Policy {
    /// How the losses become one.
    pub reduction: Reduction,
    /// What a mean divides by.
    pub mean_over: MeanOver,
    /// What becomes of a mean over nothing.
    pub nothing_valid: NothingValid,
}

/// What is done with the sum of the losses of one batch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Division {
    policy: Policy,
    /// What a mean divides by, whatever the reduction.
    of_mean: f64,
    nothing_counts: bool,
}

impl Policy {
    /// What is done with a batch with these counts; `None` if it is refused, for
    /// [`NothingValid::Error`].
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
    /// What a mean divides by.
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

    /// What the sum of the losses is divided by: one without a mean.
    #[must_use]
    pub fn divisor(&self) -> f64 {
        match self.policy.reduction {
            Reduction::Mean => self.of_mean,
            Reduction::None | Reduction::Sum => 1.0,
        }
    }

    /// What the gradient is multiplied with, where the gradient of what follows by the loss is `upstream`.
    #[must_use]
    pub fn scale(&self, upstream: f64) -> f64 {
        match self.policy.reduction {
            Reduction::None | Reduction::Sum => upstream,
            Reduction::Mean if !self.is_of_nothing() => upstream / self.of_mean,
            // Zero divided by zero; rows that are ignored have no part in it.
            Reduction::Mean if self.policy.nothing_valid == NothingValid::Nan => f64::NAN,
            Reduction::Mean => 0.0,
        }
    }

    /// The reduced loss, of the sum of all; `None` with [`Reduction::None`].
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

    /// The mean that [`MeanOver`] gives, whatever the reduction; `None` if it has nothing to divide by.
    #[must_use]
    pub fn mean(&self, sum: f64) -> Option<f64> {
        (!self.is_of_nothing()).then(|| sum / self.of_mean)
    }
}

/// Of two parts of a batch.
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
