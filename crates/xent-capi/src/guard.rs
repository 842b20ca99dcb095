//! The boundary to C, which no panic may cross.

use crate::memory;
use crate::status::{Failure, Status};

/// Runs a call, and leaves the place of the first bad value in `place`, if it is wanted and known.
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

/// Turns a panic into a failure. No panic is known; one would be a defect of xent.
#[cfg(feature = "std")]
fn caught(run: impl FnOnce() -> Result<(), Failure>) -> Result<(), Failure> {
    // After a panic only the caller's memory is left: perhaps half written, but all of it valid
    // numbers.
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(run))
        .unwrap_or_else(|_| Err(Status::Internal.into()))
}

#[cfg(not(feature = "std"))]
fn caught(run: impl FnOnce() -> Result<(), Failure>) -> Result<(), Failure> {
    run()
}
