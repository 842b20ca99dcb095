//! The loss of a single row, in little code.

use core::ptr;

use xent_core::{Float, softmax_cross_entropy_row};

use crate::guard::call;
use crate::memory::{Region, check_apart, put};
use crate::status::Status;

/// The softmax cross-entropy of one row of at most 32 logits with the class `label`: writes the loss to *loss and
/// its gradient by the logits to `gradient`.
///
/// For devices with little memory: a program that calls no other loss is smaller by a megabyte. Results are the
/// same as those of a structure with one row at the level "portable", whatever level is in use. Nothing may
/// overlap.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xent_softmax_row_f32(
    logits: *const f32,
    classes: usize,
    label: usize,
    loss: *mut f32,
    gradient: *mut f32,
) -> Status {
    // SAFETY: as the caller promises.
    unsafe { row(logits, classes, label, loss, gradient) }
}

/// As xent_softmax_row_f32.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xent_softmax_row_f64(
    logits: *const f64,
    classes: usize,
    label: usize,
    loss: *mut f64,
    gradient: *mut f64,
) -> Status {
    // SAFETY: as the caller promises.
    unsafe { row(logits, classes, label, loss, gradient) }
}

/// # Safety
/// Pointers that are not null may be read (`logits`) and written (`gradient`) for this number of values, and `loss`
/// for one.
unsafe fn row<F: Float>(
    logits: *const F,
    classes: usize,
    label: usize,
    loss: *mut F,
    gradient: *mut F,
) -> Status {
    let run = || {
        let (x, g) = (Region::needed(logits, classes)?, Region::needed(gradient, classes)?);
        check_apart(&[g.span(), Region::needed(loss, 1)?.span()], &[x.span()])?;
        // SAFETY: as the caller promises; they do not overlap.
        let (x, g) = unsafe { (x.read(), g.write()) };
        let value = softmax_cross_entropy_row(x, label, g)?;
        // SAFETY: as the caller promises; it is not null.
        unsafe { put(loss, value) };
        Ok(())
    };
    // SAFETY: no place is asked for.
    unsafe { call(ptr::null_mut(), run) }
}
