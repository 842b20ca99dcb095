//! The threads that a batch is computed on.

use std::num::NonZeroUsize;
use std::sync::{Arc, PoisonError, RwLock};

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};

/// Batches of fewer numbers are computed where they are: waking another thread would take longer.
const SMALL: usize = 1 << 14;

/// The pool that was asked for; without one it is rayon's own.
static POOL: RwLock<Option<Arc<ThreadPool>>> = RwLock::new(None);

fn pool() -> Option<Arc<ThreadPool>> {
    POOL.read().unwrap_or_else(PoisonError::into_inner).clone()
}

/// Computes without the interpreter, which other threads of Python may use meanwhile.
pub(crate) fn run<T: Send>(
    py: Python<'_>,
    elements: usize,
    compute: impl FnOnce() -> T + Send,
) -> T {
    if elements < SMALL {
        // Less than it takes to give the interpreter away and get it back.
        return compute();
    }
    py.detach(|| match pool() {
        Some(pool) => pool.install(compute),
        None => compute(),
    })
}

/// Uses this many threads from now on; `None` for as many as there are cores (or `RAYON_NUM_THREADS`).
fn build(threads: Option<NonZeroUsize>) -> PyResult<()> {
    let builder = ThreadPoolBuilder::new().num_threads(threads.map_or(0, NonZeroUsize::get));
    let pool = builder.build().map_err(|error| PyRuntimeError::new_err(error.to_string()))?;
    *POOL.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(pool));
    Ok(())
}

/// Uses this many threads for batches from now on.
#[pyfunction]
pub(crate) fn set_num_threads(threads: NonZeroUsize) -> PyResult<()> {
    build(Some(threads))
}

/// The number of threads that a batch is computed on.
#[pyfunction]
pub(crate) fn get_num_threads() -> usize {
    pool().map_or_else(rayon::current_num_threads, |pool| pool.current_num_threads())
}

/// A process made by fork has none of the threads of its parent, and would wait for them: it gets threads of its own.
#[pyfunction]
pub(crate) fn after_fork() -> PyResult<()> {
    // The pool of the parent is not dropped: that would wait for its threads, too.
    let parents = POOL.write().unwrap_or_else(PoisonError::into_inner).take();
    let threads = parents.as_ref().and_then(|pool| NonZeroUsize::new(pool.current_num_threads()));
    std::mem::forget(parents);
    build(threads)
}
