//! From the losses of the rows to one, by the formulas of the crate `xent`: the same bits.

use xent_core::Tally;

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

/// What a mean divides the sum of all losses by.
#[repr(i32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MeanOver {
    /// PyTorch's rule for the loss at hand. Softmax with labels: the class weights of the labels that are not
    /// ignored (their number without class weights); softmax with other targets: all rows; sigmoid: the elements
    /// that are not ignored.
    Pytorch = 0,
    /// The rows that are not ignored and have a target.
    ValidRows = 1,
    /// All rows.
    AllRows = 2,
    /// The weights of the labels that are not ignored: class weight times sample weight; for the sigmoid loss
    /// those of the elements.
    Weights = 3,
}

/// What becomes of a mean over nothing: every label is ignored, or all weights are zero.
#[repr(i32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NothingValid {
    /// A loss of zero and a gradient of zero.
    Zero = 0,
    /// NaN, as in PyTorch; also for a single row without a target.
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
    reduction: Reduction,
    mean_over: MeanOver,
    pub(crate) nothing_valid: NothingValid,
    scale: f64,
}

/// What is done with the sum of a batch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Division {
    pub(crate) divisor: f64,
    /// The loss of nothing.
    of_nothing: Option<f64>,
    /// What the gradient is multiplied with.
    pub(crate) scale: f64,
}

impl Settings {
    pub(crate) fn new(
        [reduction, mean_over, nothing_valid]: [i32; 3],
        scale: f64,
        one_loss: bool,
    ) -> Result<Self, Failure> {
        use {MeanOver as M, NothingValid as N, Reduction as R};
        let reduction = chosen(reduction, [R::Mean, R::Sum, R::None])?;
        let mean_over = chosen(mean_over, [M::Pytorch, M::ValidRows, M::AllRows, M::Weights])?;
        let nothing_valid = chosen(nothing_valid, [N::Zero, N::Nan, N::Error])?;
        if one_loss && reduction == R::None {
            return Err(Status::NotReduced.into());
        }
        Ok(Self { reduction, mean_over, nothing_valid, scale })
    }

    /// What the sum of a batch is divided by, where PyTorch divides by `pytorch`.
    pub(crate) fn division(&self, tally: &Tally, pytorch: f64) -> Result<Division, Failure> {
        let divisor = match (self.reduction, self.mean_over) {
            (Reduction::None | Reduction::Sum, _) => 1.0,
            (Reduction::Mean, MeanOver::Pytorch) => pytorch,
            (Reduction::Mean, MeanOver::ValidRows) => tally.valid_rows as f64,
            (Reduction::Mean, MeanOver::AllRows) => tally.rows as f64,
            (Reduction::Mean, MeanOver::Weights) => tally.weight,
        };
        let nothing = tally.valid_losses == 0 || divisor == 0.0;
        if nothing && self.nothing_valid == NothingValid::Error {
            return Err(Status::NothingValid.into());
        }
        let of_nothing = match self.nothing_valid {
            _ if !nothing || self.reduction != Reduction::Mean => None,
            NothingValid::Nan => Some(f64::NAN),
            _ => Some(0.0),
        };
        let scale = self.scale / if divisor == 0.0 { 1.0 } else { divisor };
        Ok(Division { divisor, of_nothing, scale })
    }
}

impl Division {
    pub(crate) fn loss(&self, sum: f64) -> f64 {
        self.of_nothing.unwrap_or(sum / self.divisor)
    }
}
