//! Runs the batches of [`xent_core`] on rayon's threads.
//!
//! A batch is cut by a tree that depends on its shape alone ([`Batch::halves`]), and the parts are
//! added up along that tree, so the result has the same bits for any number of threads, and the
//! same as [`Batch::run`] on one.
#![forbid(unsafe_code)]

use xent_core::{Batch, Level};

/// Solves a batch on the threads of the current rayon pool: the sum of the losses of its rows.
///
/// Call it inside of [`rayon::ThreadPool::install`] to choose the threads. A batch too small to be
/// worth waking one stays on the thread that brought it.
///
/// ```
/// use xent_core::{Batch, Buffers, Level, SigmoidBatch};
///
/// let logits = vec![0.5; 100_000];
/// let targets = vec![1.0; 100_000];
/// let batch = || SigmoidBatch::new(Buffers::Loss(&logits), &targets);
/// let level = Level::detect();
/// assert_eq!(xent_rayon::run(batch()?, level), batch()?.run(level));
/// # Ok::<(), xent_core::Error>(())
/// ```
pub fn run<B: Batch>(batch: B, level: Level) -> f64 {
    if batch.parts() / batch.parts_per_leaf() < WORTH_A_THREAD {
        return batch.run(level);
    }
    match batch.halves() {
        Ok((first, second)) => {
            let (first, second) = rayon::join(|| run(first, level), || run(second, level));
            first + second
        }
        Err(leaf) => leaf.run_leaf(level),
    }
}

/// Leaves below which a part is not cut further: waking a thread costs tens of microseconds, and a leaf
/// of 2^15 elements takes 5 µs (long rows) to 60 µs (rows of two or three classes).
const WORTH_A_THREAD: usize = 4;
