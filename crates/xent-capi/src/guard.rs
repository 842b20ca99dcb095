//! The edge to C, which no panic may cross.

use crate::memory;
use crate::status::{Failure, Status};

/// Runs a call; the place of what is wrong is left in `place`, if that is wanted and known.
///
/// # Safety
/// `place` is null or valid for a write.
pub(crate) unsafe fn call(place: *mut usize, run: impl FnOnce() -> Result<(), Failure>) -> Status {
    let Err(failure) = caught(run) else {
        return Status::Ok;
    };
    if let Some(at) = failure.place {
        // SAFETY: as the caller promises.
        unsafe { memory::put(place, at) };
    }
    failure.status
}

/// The failure of a panic, if there is one: none is known, and it would be a defect of xent.
#[cfg(feature = "std")]
fn caught(run: impl FnOnce() -> Result<(), Failure>) -> Result<(), Failure> {
    // What a panic leaves behind is the caller's memory: half written perhaps, but all of it numbers.
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(run))
        .unwrap_or_else(|_| Err(Status::Internal.into()))
}

#[cfg(not(feature = "std"))]
fn caught(run: impl FnOnce() -> Result<(), Failure>) -> Result<(), Failure> {
    run()
}
