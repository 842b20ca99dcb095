//! What a call computes besides the loss and its gradient, and what it reports.

use xent_core::reduction::Policy;
use xent_core::{BatchCounts, Buffers, Element, Float, NotFiniteRows, Outputs};

use crate::error::Error;

/// Results of each row, and its weight. An empty slice is not wanted; the default is none.
///
/// ```
/// use xent_mpi::Pass;
///
/// let (mut losses, mut predicted) = ([0.0_f32; 4], [0; 4]);
/// let pass = Pass { losses: &mut losses, predicted: &mut predicted, ..Pass::default() };
/// assert_eq!(pass.scale, 1.0);
/// ```
#[derive(Debug)]
pub struct Pass<'a, F = f32> {
    /// The loss of each row, not reduced; sample weights and class weights are included.
    pub losses: &'a mut [F],
    /// The log-sum-exp of each row, over the classes of all ranks.
    pub log_sum_exp: &'a mut [F],
    /// The class of the largest logit of each row among those of all ranks, the first of equals.
    pub predicted: &'a mut [u32],
    /// A factor of each row's loss and gradient, any finite number; empty for ones.
    pub sample_weights: &'a [F],
    /// The upstream gradient ∂L/∂loss of the reduced loss, a factor of all gradients.
    pub scale: f64,
}

impl<F> Default for Pass<'_, F> {
    fn default() -> Self {
        Self {
            losses: &mut [],
            log_sum_exp: &mut [],
            predicted: &mut [],
            sample_weights: &[],
            scale: 1.0,
        }
    }
}

impl<F: Float> Pass<'_, F> {
    /// Checks the lengths of what is wanted.
    pub(crate) fn check(&self, rank: usize, rows: usize) -> Result<(), Error> {
        let lengths = [
            ("losses", self.losses.len()),
            ("log-sum-exp", self.log_sum_exp.len()),
            ("predicted classes", self.predicted.len()),
        ];
        for (of, found) in lengths {
            if found != 0 && found != rows {
                return Err(Error::shape(rank, of, rows, found));
            }
        }
        Ok(())
    }

    /// Which outputs are wanted.
    pub(crate) fn wanted(&self) -> [bool; 3] {
        [self.losses.is_empty(), self.log_sum_exp.is_empty(), self.predicted.is_empty()]
    }

    /// The places of some rows.
    pub(crate) fn outputs<'o>(
        &'o mut self,
        rows: std::ops::Range<usize>,
        not_finite: &'o NotFiniteRows,
    ) -> Outputs<'o, F> {
        Outputs {
            losses: self.losses.get_mut(rows.clone()).unwrap_or(&mut []),
            log_sum_exp: self.log_sum_exp.get_mut(rows.clone()).unwrap_or(&mut []),
            predicted: self.predicted.get_mut(rows).unwrap_or(&mut []),
            not_finite: Some(not_finite),
            ..Outputs::default()
        }
    }
}

/// Checks the number of logits, and of gradients where they have a slice of their own.
pub(crate) fn check_buffers<E: Element>(
    rank: usize,
    expected: usize,
    buffers: &Buffers<'_, E>,
) -> Result<(), Error> {
    if buffers.len() != expected {
        return Err(Error::shape(rank, "logits", expected, buffers.len()));
    }
    match buffers.gradients() {
        Some(found) if found != expected => Err(Error::shape(rank, "gradient", expected, found)),
        _ => Ok(()),
    }
}

/// The results of a call: the same on every rank, but for the bytes.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Report {
    /// The reduced loss; the sum, with [`Reduction::None`](xent_core::reduction::Reduction::None).
    pub loss: f64,
    /// The sum of the losses of all rows.
    pub sum: f64,
    /// How it was reduced.
    pub policy: Policy,
    /// The number and the weights of the rows.
    pub counts: BatchCounts,
    /// The number of rows whose logits are not finite, and the first of them.
    pub not_finite: (usize, Option<usize>),
    /// The bytes that this rank has sent for the sums of rows, to all others together.
    pub bytes_sent: u64,
}
