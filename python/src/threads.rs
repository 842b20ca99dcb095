//! The threads that a batch is computed on.

use std::num::NonZeroUsize;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::errors::value_error;
use crate::options::integer;

/// Batches of fewer numbers are computed where they are: waking another thread would take longer.
const SMALL: usize = 1 << 14;

/// More threads are a mistake: no machine has so many cores to wake for a batch.
const MOST: usize = 1024;

/// The pool that batches are computed on.
enum Pool {
    /// Rayon's own, with as many threads as there are cores (or `RAYON_NUM_THREADS`).
    Global,
    Own(Arc<ThreadPool>),
    /// That of a parent process, which had this many threads: it is made when it is needed.
    Forked(Option<NonZeroUsize>),
}

static POOL: RwLock<Pool> = RwLock::new(Pool::Global);

fn read() -> RwLockReadGuard<'static, Pool> {
    POOL.read().unwrap_or_else(PoisonError::into_inner)
}

fn write() -> RwLockWriteGuard<'static, Pool> {
    POOL.write().unwrap_or_else(PoisonError::into_inner)
}

/// The pool for a batch; `None` for rayon's own.
fn pool() -> PyResult<Option<Arc<ThreadPool>>> {
    match &*read() {
        Pool::Global => return Ok(None),
        Pool::Own(pool) => return Ok(Some(Arc::clone(pool))),
        Pool::Forked(_) => {}
    }
    let mut state = write();
    // Another thread may have made it meanwhile.
    if let Pool::Forked(threads) = *state {
        *state = Pool::Own(build(threads)?);
    }
    match &*state {
        Pool::Own(pool) => Ok(Some(Arc::clone(pool))),
        Pool::Global | Pool::Forked(_) => Ok(None),
    }
}

fn build(threads: Option<NonZeroUsize>) -> PyResult<Arc<ThreadPool>> {
    let builder = ThreadPoolBuilder::new().num_threads(threads.map_or(0, NonZeroUsize::get));
    let pool = builder.build().map_err(|error| PyRuntimeError::new_err(error.to_string()))?;
    Ok(Arc::new(pool))
}

/// Computes without the interpreter, which other threads of Python may use meanwhile.
pub(crate) fn run<T: Send>(
    py: Python<'_>,
    elements: usize,
    compute: impl FnOnce() -> T + Send,
) -> PyResult<T> {
    if elements < SMALL {
        // Less than it takes to give the interpreter away and get it back.
        return Ok(compute());
    }
    // Before the interpreter is let go: so no process is forked while the lock is held.
    let pool = pool()?;
    Ok(py.detach(|| match pool {
        Some(pool) => pool.install(compute),
        None => compute(),
    }))
}

/// Sets the number of threads that large batches are computed on, for the whole process.
///
/// At first there are as many as the machine has cores, or `RAYON_NUM_THREADS`. Results do not depend on it, to the bit.
/// A process made by fork starts with the number of its parent.
///
/// Args:
///     threads: From 1 to 1024.
///
/// Raises:
///     ValueError: There cannot be that many.
///     TypeError: It is no integer.
///
/// >>> import xent
/// >>> xent.set_num_threads(2)
/// >>> xent.get_num_threads()
/// 2
#[pyfunction]
pub(crate) fn set_num_threads(threads: &Bound<'_, PyAny>) -> PyResult<()> {
    let wanted = integer("threads", threads)?;
    let threads = usize::try_from(wanted).ok().filter(|threads| *threads <= MOST);
    let Some(threads) = threads.and_then(NonZeroUsize::new) else {
        return Err(value_error("threads", format!("expected 1 to {MOST}, found {wanted}")));
    };
    let pool = build(Some(threads))?;
    *write() = Pool::Own(pool);
    Ok(())
}

/// The number of threads that large batches are computed on.
///
/// >>> import xent
/// >>> xent.get_num_threads() >= 1
/// True
#[pyfunction]
pub(crate) fn get_num_threads() -> usize {
    match &*read() {
        Pool::Own(pool) => pool.current_num_threads(),
        Pool::Forked(Some(threads)) => threads.get(),
        Pool::Global | Pool::Forked(None) => rayon::current_num_threads(),
    }
}

/// A process made by fork has none of the threads of its parent, and would wait for them: it gets threads of its own.
#[pyfunction]
pub(crate) fn after_fork() {
    let mut state = write();
    let threads = match &*state {
        Pool::Global => None,
        Pool::Own(pool) => NonZeroUsize::new(pool.current_num_threads()),
        Pool::Forked(threads) => *threads,
    };
    // The pool of the parent is not dropped: that would wake its threads, which are not there.
    std::mem::forget(std::mem::replace(&mut *state, Pool::Forked(threads)));
}
