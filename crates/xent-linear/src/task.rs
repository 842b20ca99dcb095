//! What every step of a call needs.

use xent_core::{Level, SoftmaxRows};

use crate::{Layer, Number};

/// The layer, the targets with their options, and the instructions of the loss.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Task<'a, E: Number> {
    pub(crate) layer: Layer<'a, E>,
    pub(crate) rows: SoftmaxRows<'a, E::Float>,
    pub(crate) level: Level,
}

/// A row of a matrix with a stride.
pub(crate) fn row_of<F>(values: &mut [F], row: usize, stride: usize, columns: usize) -> &mut [F] {
    &mut values[row * stride..row * stride + columns]
}
