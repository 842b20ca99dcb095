//! How a call is cut into chunks of rows, and the memory that this takes.

use crate::Error;
use crate::product::TERMS;

/// The largest workspace unless another limit is set: with the buffers of the product on a few threads, 64 MiB.
pub(crate) const LIMIT: usize = 60 << 20;

/// At least that many.
pub(crate) fn fit<T: Copy>(vec: &mut Vec<T>, length: usize, zero: T) {
    if vec.len() < length {
        vec.reserve_exact(length - vec.len());
        vec.resize(length, zero);
    }
}

/// How a call is cut, and the memory that this takes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Plan {
    pub(crate) rows: usize,
    pub(crate) classes: usize,
    pub(crate) hidden: usize,
    /// Whether inputs are copied: converted, or gathered.
    pub(crate) copies: bool,
    pub(crate) input_grads: bool,
    pub(crate) bias_grads: bool,
    pub(crate) predicted: bool,
    pub(crate) filters: bool,
    /// Bytes of a number.
    pub(crate) size: usize,
    /// Rows whose terms of the gradient of the weights are in one chain of multiply-adds.
    pub(crate) quantum: usize,
    /// Rows that are computed together: a multiple of the quantum, unless there are fewer.
    pub(crate) chunk: usize,
    /// Numbers of converted weights.
    pub(crate) tile: usize,
}

/// The bytes of logits in a quantum, at most: the quantum depends on the shape alone, so that results do not depend
/// on the workspace.
const QUANTUM_BYTES: usize = 63 << 20;

/// The bytes of logits in a chunk, if a quantum has fewer.
const CHUNK_BYTES: usize = 4 << 20;

/// The rows whose terms of the gradient of the weights are in one chain of multiply-adds.
pub(crate) fn quantum(classes: usize, size: usize) -> usize {
    let bytes_of_row = classes.saturating_mul(size);
    let mut quantum = TERMS;
    while quantum > 1 && quantum.saturating_mul(bytes_of_row) > QUANTUM_BYTES {
        quantum /= 2;
    }
    quantum
}

impl Plan {
    /// Sets the chunk: as many rows as fit into the limit (`None` for the usual one, or more where that is needed)
    /// beside the memory of a filter.
    pub(crate) fn cut(mut self, limit: Option<usize>, of_filter: usize) -> Result<Self, Error> {
        let Self { rows, classes, hidden, size, .. } = self;
        let bytes_of_row = classes.saturating_mul(size);
        let copies = usize::from(self.copies) + usize::from(self.copies && self.input_grads);
        let of_row =
            bytes_of_row.saturating_add(copies * hidden * size).saturating_add(size_of::<usize>());
        let of_all = rows * 8
            + if self.bias_grads { classes * 8 } else { 0 }
            + if self.predicted { rows * 4 } else { 0 }
            + self.tile * size
            + of_filter;
        let least = self.quantum.min(rows);
        let needed = of_row.saturating_mul(least).saturating_add(of_all);
        if let Some(allowed) = limit.filter(|limit| *limit < needed) {
            return Err(Error::Workspace { needed, allowed });
        }
        let limit = limit.unwrap_or(LIMIT.max(needed));
        let most = limit.saturating_sub(of_all) / of_row / self.quantum * self.quantum;
        let wanted = CHUNK_BYTES / bytes_of_row.max(1) / self.quantum * self.quantum;
        self.chunk = wanted.clamp(self.quantum, most.max(self.quantum)).min(rows);
        Ok(self)
    }
}
