//! Runs the batches of [`xent_core`] on rayon's threads.
//!
//! This crate is for programs that use `xent-core` directly. The crate `xent` calls it for you.
//!
//! ```
//! use xent_core::{Buffers, Level, SoftmaxBatch, SoftmaxTargets};
//!
//! let logits = [2.0, 1.0, 0.0, /* second row */ 0.0, 3.0, 0.0_f32];
//! let mut gradient = [0.0; 6];
//! let targets = SoftmaxTargets::Index((&[0_u8, 1]).into());
//! let batch = SoftmaxBatch::new(Buffers::gradient(&logits, &mut gradient), 3, targets)?;
//! let sum = xent_rayon::run(batch, Level::detect());
//! assert!((sum - 0.50253).abs() < 1e-5);
//! # Ok::<(), xent_core::Error>(())
//! ```
//!
//! * **How exact:** the result has the same bits as [`Batch::run`] on one thread, for any number of threads. A batch
//!   is split along a tree that depends only on its shape ([`Batch::halves`]), and the parts are added up along that
//!   tree.
//! * **How fast:** parts of fewer than four chunks (of about 2^15 elements) stay on one thread, since waking another
//!   takes tens of microseconds.
//! * **Few long rows:** with fewer than four rows for each thread and at least 2^17 classes, the rows themselves are
//!   split along the fixed tree of their tiles. This works for [`xent_core::LogSumExpBatch`] and for
//!   [`xent_core::SoftmaxBatch`] with labels, with any outputs, if the class axis is the last. Rows with a weight for
//!   every class (dense targets, label smoothing, a teacher) and rows with a soft cap are not split.
//! * **What it costs to build:** rayon, and a few small functions.
#![forbid(unsafe_code)]

use xent_core::{Batch, ForkJoin, Level};

/// Runs a batch on the threads of the current rayon pool and returns the sum of the losses of its rows.
///
/// To choose the threads, call it inside [`rayon::ThreadPool::install`]. A batch that is too small to be worth waking
/// another thread stays on the calling thread.
///
/// ```
/// use xent_core::{Batch, Buffers, Level, SigmoidBatch};
///
/// let logits = vec![0.5; 100_000];
/// let targets = vec![1.0; 100_000];
/// let batch = || SigmoidBatch::new(Buffers::loss(&logits), &targets);
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

/// With `inside`, also splits the rows of chunks.
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

/// The threads of the current rayon pool: what a batch of the core is checked on.
///
/// ```
/// use xent_core::{Buffers, Error, Labels, Shape, SoftmaxBatch, SoftmaxOptions, SoftmaxTargets};
/// use xent_rayon::Threads;
///
/// let logits = vec![0.5_f32; 200_000];
/// let mut labels = vec![1_u8; 100_000];
/// labels[60_000] = 2;
/// labels[50_000] = 3;
/// let shape = Shape::rows(100_000, 2)?;
/// let targets = SoftmaxTargets::Index(Labels::from(&labels[..]));
/// let options = SoftmaxOptions::default();
/// let batch = SoftmaxBatch::checked_on(&Threads, Buffers::loss(&logits), shape, targets, options);
/// // The first of them, whichever thread found one first.
/// assert_eq!(batch.err(), Some(Error::Label { row: 50_000, label: 3, classes: 2 }));
/// # Ok::<(), xent_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Threads;

impl ForkJoin for Threads {
    fn join(&self, first: &mut (dyn FnMut() + Send), second: &mut (dyn FnMut() + Send)) {
        rayon::join(first, second);
    }
}

/// With at least this many rows for each thread, no row is split: there are enough to keep all threads busy.
const ROWS_PER_THREAD: usize = 4;

/// A part with fewer chunks is not split further: waking a thread takes tens of microseconds, and a chunk of 2^15
/// elements 5 µs (long rows) to 60 µs (rows of two or three classes).
const WORTH_A_THREAD: usize = 4;

/// The examples of the package's first page are tested with those of the documentation.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
