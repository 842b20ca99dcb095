//! Counts rows whose logits are not finite, where they are found.

use core::sync::atomic::{AtomicUsize, Ordering};

/// Counts the rows (not ignored) with a logit that is NaN or `+inf`, or without a finite one, and finds the first
/// of them. Rows with some `-inf`, which are masked classes, do not count. With sigmoid losses: rows with an
/// element whose loss is NaN or infinite (in place, NaN only). With likelihood losses: rows whose label's input is
/// NaN or `+inf`.
///
/// Only rows that no kernel computes are counted, so finite rows cost nothing.
///
/// ```
/// use xent_core::{Batch, Buffers, Level, NotFiniteRows, Outputs, SoftmaxBatch, SoftmaxTargets};
///
/// let x = [0.0, 1.0, f32::NAN, 0.0, 0.0, f32::NEG_INFINITY];
/// let rows = NotFiniteRows::new();
/// let batch = SoftmaxBatch::new(Buffers::loss(&x), 2, SoftmaxTargets::Index((&[0_u8; 3]).into()))?;
/// batch.with_outputs(Outputs { not_finite: Some(&rows), ..Outputs::default() })?.run(Level::detect());
/// assert_eq!((rows.count(), rows.first()), (1, Some(1)));
/// # Ok::<(), xent_core::Error>(())
/// ```
#[derive(Debug)]
pub struct NotFiniteRows {
    count: AtomicUsize,
    /// All bits set for none.
    first: AtomicUsize,
}

impl Default for NotFiniteRows {
    fn default() -> Self {
        Self::new()
    }
}

impl NotFiniteRows {
    /// None yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { count: AtomicUsize::new(0), first: AtomicUsize::new(usize::MAX) }
    }

    /// The number of such rows.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// The first such row.
    #[must_use]
    pub fn first(&self) -> Option<usize> {
        Some(self.first.load(Ordering::Relaxed)).filter(|&first| first != usize::MAX)
    }

    /// Adds a row; threads may find them in any order.
    #[cfg(target_has_atomic = "ptr")]
    pub(super) fn add(&self, row: usize) {
        self.count.fetch_add(1, Ordering::Relaxed);
        self.first.fetch_min(row, Ordering::Relaxed);
    }

    /// Adds a row; a processor without atomic instructions has no other threads.
    #[cfg(not(target_has_atomic = "ptr"))]
    pub(super) fn add(&self, row: usize) {
        self.count.store(self.count() + 1, Ordering::Relaxed);
        let first = self.first.load(Ordering::Relaxed);
        self.first.store(first.min(row), Ordering::Relaxed);
    }
}
