//! What kernels with a row in each lane are told of their rows, and where the classes are.

use super::coefficients::Terms;
use crate::hessian::Curvature;
use crate::level::Level;

/// What all rows of a kernel have in common.
#[derive(Clone, Copy)]
pub(crate) struct LaneTask {
    pub(crate) level: Level,
    pub(crate) layout: LaneLayout,
    pub(crate) terms: Terms,
    /// The unit of distances, for rows with a weight for every class.
    pub(crate) unit: f64,
    /// Whether rows are compared with labels, or with nothing.
    pub(crate) labels: bool,
    /// Whether the class of the largest logit is wanted, even where it is not the pivot.
    pub(crate) largest_class: bool,
    /// Whether the results of all rows are wanted.
    pub(crate) takes_rows: bool,
    /// What second derivatives are without the weights of rows, if they are wanted.
    pub(crate) second: Option<Curvature>,
}

/// Where the classes of rows are.
#[derive(Clone, Copy)]
pub(crate) struct LaneLayout {
    pub(crate) classes: usize,
    /// From a class to the next; one where rows are contiguous.
    pub(crate) inner: usize,
    /// From a row (with columns: from a block of columns) to the next: `[logits, gradient]`.
    pub(crate) strides: [usize; 2],
}

impl LaneLayout {
    /// Where class zero of a row is, with a stride.
    #[inline(always)]
    pub(crate) fn start(&self, row: usize, stride: usize) -> usize {
        if self.inner == 1 { row * stride } else { row / self.inner * stride + row % self.inner }
    }

    /// Rows from one on, at most `most`, whose classes are neighbours.
    #[inline(always)]
    pub(crate) fn run(&self, first: usize, end: usize, most: usize) -> usize {
        let rows = most.min(end - first);
        if self.inner == 1 { rows } else { rows.min(self.inner - first % self.inner) }
    }
}
