//! The loss of a single row, in little code.

use core::ptr;

use xent_core::{Float, Quantisation, evaluate_quantised_row, softmax_cross_entropy_row};

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

/// The softmax cross-entropy of one row of at most 32 int8_t logits of a quantised model, where an integer q stands
/// for scale * (q - zero_point), with the class `label`: writes the loss to *loss and the class of the largest logit,
/// the first of equals, to *predicted. Nothing may overlap.
///
/// For devices with little memory, as xent_softmax_row_f32, but without a gradient.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xent_evaluate_row_i8(
    logits: *const i8,
    classes: usize,
    scale: f32,
    zero_point: i32,
    label: usize,
    loss: *mut f32,
    predicted: *mut usize,
) -> Status {
    let run = || {
        let x = Region::needed(logits, classes)?;
        let places = [Region::needed(loss, 1)?.span(), Region::needed(predicted, 1)?.span()];
        check_apart(&places, &[x.span()])?;
        let quantisation = Quantisation::new(scale, zero_point)?;
        // SAFETY: as the caller promises.
        let row = evaluate_quantised_row(unsafe { x.read() }, quantisation, label)?;
        // SAFETY: as the caller promises; they are not null.
        unsafe {
            put(loss, row.loss);
            put(predicted, row.predicted);
        }
        Ok(())
    };
    // SAFETY: no place is asked for.
    unsafe { call(ptr::null_mut(), run) }
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
