//! C's enumerations for reductions; `xent_core::reduction` defines their meaning.

use xent_core::BatchCounts;
use xent_core::reduction::{self, Division, Policy};

use crate::status::{Failure, Status};

/// How the losses are reduced to one value, which the gradient belongs to.
#[repr(i32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reduction {
    /// The sum divided by the divisor that mean_over chooses.
    Mean = 0,
    /// The sum of all losses.
    Sum = 1,
    /// No reduction: every row (for the sigmoid loss: every element) has the gradient of its own loss.
    None = 2,
}

/// What a mean divides the sum of all losses by. Sample weights count only in XENT_MEAN_OVER_WEIGHTS: in all others
/// a row of weight zero is still a row.
#[repr(i32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MeanOver {
    /// PyTorch's rule for the loss. Softmax with labels: the sum of the class weights of the labels not ignored
    /// (without class weights: their number). Softmax with other targets: all rows. Sigmoid: the elements that are
    /// not ignored.
    Pytorch = 0,
    /// The number of losses that are not ignored, whatever their weight. Softmax: rows (multi-label softmax: rows
    /// with a label). Sigmoid: elements.
    NotIgnored = 1,
    /// All rows.
    AllRows = 2,
    /// The sum of class weight times sample weight over the labels (for the sigmoid loss: elements) that are not
    /// ignored. If it is not positive, it is a mean over nothing.
    Weights = 3,
}

/// The result of a mean over nothing, when every label is ignored or the weights sum to zero.
#[repr(i32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NothingValid {
    /// A loss of zero and a gradient of zero.
    Zero = 0,
    /// NaN, as in PyTorch; also for a single row without a target. The gradient is NaN, too, if the divisor is a
    /// sum of zero weights, but zero if every label is ignored.
    Nan = 1,
    /// XENT_STATUS_NOTHING_VALID; XENT_STATUS_EMPTY for a single row without a target.
    Error = 2,
}

/// The variant with this number: C may pass any number for an enumeration.
pub(crate) fn chosen<T: Copy, const N: usize>(number: i32, all: [T; N]) -> Result<T, Failure> {
    let index = usize::try_from(number).ok();
    index.and_then(|index| all.get(index)).copied().ok_or(Status::Choice.into())
}

/// How a batch is reduced.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    policy: Policy,
    scale: f64,
}

impl Settings {
    pub(crate) fn new(
        [reduction, mean_over, nothing_valid]: [i32; 3],
        scale: f64,
        one_loss: bool,
    ) -> Result<Self, Failure> {
        use reduction::{MeanOver as M, NothingValid as N, Reduction as R};
        let reduction = chosen(reduction, [R::Mean, R::Sum, R::None])?;
        let mean_over = chosen(mean_over, [M::PyTorch, M::NotIgnored, M::AllRows, M::Weights])?;
        let nothing_valid = chosen(nothing_valid, [N::Zero, N::Nan, N::Error])?;
        if one_loss && reduction == R::None {
            return Err(Status::NotReduced.into());
        }
        Ok(Self { policy: Policy { reduction, mean_over, nothing_valid }, scale })
    }

    pub(crate) fn nothing_valid(&self) -> reduction::NothingValid {
        self.policy.nothing_valid
    }

    /// The factors for the sum of a batch and for its gradient.
    pub(crate) fn division(&self, counts: &BatchCounts) -> Result<(Division, f64), Failure> {
        let division = self.policy.division(counts).ok_or(Status::NothingValid)?;
        Ok((division, division.scale(self.scale)))
    }
}
