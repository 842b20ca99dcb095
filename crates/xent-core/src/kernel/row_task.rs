//! The parameters of the kernel of contiguous rows, and the size of its groups.

use super::block::ROWS;
use super::coefficients::Terms;
use super::gradient::Source;
use super::row_buffers::{GradMode, RowBuffers};
use super::sum::TILE;
use crate::level::Level;
use crate::simd::Compute;
use crate::simd::{ACCUMULATORS, STRIP};

/// The most logits of a group, if it is more than one row: together with the gradient they stay in the first-level
/// cache from pass to pass.
const ELEMENTS: usize = 4096;

/// From this many classes on, a whole tile, it is worth computing the exponentials again, to write the gradient past the
/// caches if the batch is large. The derivative by the pivot is written separately, and brings its line back into the
/// caches: rows of 256 classes take 2.4 times as long past the caches, of 1000 classes 1.3 times.
const STREAM_CLASSES: usize = TILE;

/// The most lanes of any register.
pub(super) const LANES: usize = 16;

/// Rows of a group.
pub(crate) fn rows_of_group(classes: usize) -> usize {
    (ELEMENTS / classes).clamp(1, ROWS)
}

/// The parameters that all rows of a kernel share.
#[derive(Clone, Copy)]
pub(crate) struct RowTask {
    pub(crate) level: Level,
    pub(crate) classes: usize,
    /// From a row to the next: `[logits, gradient]`.
    pub(crate) strides: [usize; 2],
    pub(crate) terms: Terms,
    /// The unit of distances, for rows with a weight for every class.
    pub(crate) unit: f64,
    /// Whether the gradient is large enough to be written past the caches.
    pub(crate) stream: bool,
    /// Whether the class of the largest logit is wanted, even if it is not the pivot.
    pub(crate) largest_class: bool,
    /// Whether the results of all rows are wanted.
    pub(crate) takes_rows: bool,
    /// Whether second derivatives are wanted, by [`RowSupply::put_second`].
    pub(crate) second: bool,
    pub(crate) steps: Steps,
}

/// The passes to make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Steps {
    /// All of them.
    All,
    /// Only the sums of a row, without its coefficients.
    Sums,
    /// Only the gradient, from the logits, with coefficients that the supply fills in; the caller writes the
    /// pivot's derivative.
    Gradient,
}

impl RowTask {
    /// Some of the passes over the classes of one row, or of contiguous rows, for a caller that computes the rest.
    pub(crate) const fn part(level: Level, classes: usize, unit: f64, steps: Steps) -> Self {
        Self {
            level,
            classes,
            strides: [classes; 2],
            terms: Terms { gamma: 0.0, z_loss: 0.0 },
            unit,
            stream: false,
            largest_class: false,
            takes_rows: false,
            second: false,
            steps,
        }
    }

    /// The source of the gradient.
    #[inline(always)]
    pub(super) fn source<F: Compute>(&self, buffers: &RowBuffers<'_, F>) -> Source {
        let writes = buffers.mode() == GradMode::Write;
        if writes && self.stream && !buffers.is_in_place() && self.classes >= STREAM_CLASSES {
            Source::LogitsPastCaches
        } else if writes && self.steps != Steps::Gradient {
            Source::StoredExps
        } else {
            Source::Logits
        }
    }
}

const _: () =
    assert!(ELEMENTS.is_multiple_of(STRIP) && ELEMENTS <= TILE && 2 * LANES == ACCUMULATORS);
