//! The parameters of kernels with a row in each lane, and the layout of the classes.

use super::coefficients::Terms;
use crate::hessian::Curvature;
use crate::level::Level;

/// The parameters that all rows of a kernel share.
#[derive(Clone, Copy)]
pub(crate) struct LaneTask {
    pub(crate) level: Level,
    pub(crate) layout: LaneLayout,
    pub(crate) terms: Terms,
    /// The unit of distances, for rows with a weight for every class.
    pub(crate) unit: f64,
    /// Whether rows have labels as targets, or none.
    pub(crate) labels: bool,
    /// Whether the class of the largest logit is wanted, even if it is not the pivot.
    pub(crate) largest_class: bool,
    /// Whether the results of all rows are wanted.
    pub(crate) takes_rows: bool,
    /// The coefficients of second derivatives without the weights of rows, if they are wanted.
    pub(crate) second: Option<Curvature>,
}

/// The layout of the rows' classes.
#[derive(Clone, Copy)]
pub(crate) struct LaneLayout {
    pub(crate) classes: usize,
    /// From a class to the next; one if rows are contiguous.
    pub(crate) inner: usize,
    /// From a row (with columns: from a block of columns) to the next: `[logits, gradient]`.
    pub(crate) strides: [usize; 2],
}

impl LaneLayout {
    /// The index of class zero of a row, with a stride.
    #[inline(always)]
    pub(crate) fn start(&self, row: usize, stride: usize) -> usize {
        if self.inner == 1 { row * stride } else { row / self.inner * stride + row % self.inner }
    }

    /// Rows from a given one on, at most `most`, whose logits of a class are contiguous.
    #[inline(always)]
    pub(crate) fn run(&self, first: usize, end: usize, most: usize) -> usize {
        let rows = most.min(end - first);
        if self.inner == 1 { rows } else { rows.min(self.inner - first % self.inner) }
    }
}
