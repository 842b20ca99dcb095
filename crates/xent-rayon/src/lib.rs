//! Runs the batches of [`xent_core`] on rayon's threads.
//!
//! A batch is cut by a tree that depends on its shape alone ([`Batch::halves`]), and the parts are
//! added up along that tree, so the result has the same bits for any number of threads, and the
//! same as [`Batch::run`] on one.
//!
//! Where there are fewer than four rows for each thread and at least 2^17 classes, the rows themselves
//! are cut, along the fixed tree of their tiles: [`xent_core::LogSumExpBatch`], and
//! [`xent_core::SoftmaxBatch`] with labels as targets, whatever else is asked for. Rows with a weight
//! for every class (dense targets, label smoothing, a teacher) and rows under a soft cap are not cut.
//! The class axis must be the last.
#![forbid(unsafe_code)]

use xent_core::{Batch, ForkJoin, Level};

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
    let inside = batch.pieces_per_chunk() >= WORTH_A_THREAD && {
        let threads = rayon::current_num_threads();
        threads > 1 && batch.parts() < ROWS_PER_THREAD * threads
    };
    run_part(batch, level, inside)
}

/// With `inside`, also cuts leaves.
fn run_part<B: Batch>(batch: B, level: Level, inside: bool) -> f64 {
    if !inside && batch.parts() / batch.parts_per_chunk() < WORTH_A_THREAD {
        return batch.run(level);
    }
    match batch.halves() {
        Ok((first, second)) => {
            let (first, second) =
                rayon::join(|| run_part(first, level, inside), || run_part(second, level, inside));
            first + second
        }
        Err(chunk) if inside => chunk.run_chunk_in_pieces(level, &Threads),
        Err(chunk) => chunk.run_chunk(level),
    }
}

/// Those of the current pool.
struct Threads;

impl ForkJoin for Threads {
    fn join(&self, first: &mut (dyn FnMut() + Send), second: &mut (dyn FnMut() + Send)) {
        rayon::join(first, second);
    }
}

/// Rows for each thread from which on no row is cut: there are enough to keep all threads at work.
const ROWS_PER_THREAD: usize = 4;

/// Chunks below which a part is not cut further: waking a thread costs tens of microseconds, and a chunk
/// of 2^15 elements takes 5 µs (long rows) to 60 µs (rows of two or three classes).
const WORTH_A_THREAD: usize = 4;
