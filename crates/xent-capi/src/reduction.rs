//! The enumerations of C for how a batch is reduced; what they mean is in `xent_core::reduction`.

use xent_core::BatchCounts;
use xent_core::reduction::{self, Division, Policy};

use crate::status::{Failure, Status};

/// How the losses become one, and what the gradient is the gradient of.
#[repr(i32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reduction {
    /// The sum divided by what mean_over says.
    Mean = 0,
    /// The sum of all losses.
    Sum = 1,
    /// Not at all: every row (for the sigmoid loss: every element) has the gradient of its own loss.
    None = 2,
}

/// What a mean divides the sum of all losses by. A sample weight is in none of them but
/// XENT_MEAN_OVER_WEIGHTS: a row of weight zero is still a row.
#[repr(i32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MeanOver {
    /// PyTorch's rule for the loss at hand. Softmax with labels: the class weights of the labels that are not
    /// ignored (their number without class weights); softmax with other targets: all rows; sigmoid: the elements
    /// that are not ignored.
    Pytorch = 0,
    /// The losses that are not ignored, whatever they weigh: rows, of multi-label softmax those that have a
    /// label; for the sigmoid loss elements.
    NotIgnored = 1,
    /// All rows.
    AllRows = 2,
    /// The weights of the labels that are not ignored: class weight times sample weight; for the sigmoid loss
    /// those of the elements. If they do not add up to more than zero, it is a mean over nothing.
    Weights = 3,
}

/// What becomes of a mean over nothing: every label is ignored, or all weights are zero.
#[repr(i32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NothingValid {
    /// A loss of zero and a gradient of zero.
    Zero = 0,
    /// NaN, as in PyTorch; also for a single row without a target. The gradient is NaN as well where weights
    /// of zero are divided by, and zero where every label is ignored.
    Nan = 1,
    /// XENT_STATUS_NOTHING_VALID; XENT_STATUS_EMPTY for a single row without a target.
    Error = 2,
}

/// The one of them that has that number: C may have put any number where one belongs.
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

    /// What is done with the sum of a batch, and what its gradient is multiplied with.
    pub(crate) fn division(&self, counts: &BatchCounts) -> Result<(Division, f64), Failure> {
        let division = self.policy.division(counts).ok_or(Status::NothingValid)?;
        Ok((division, division.scale(self.scale)))
    }
}
