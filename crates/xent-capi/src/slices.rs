//! Functions of a slice.

use core::ptr;

use xent_core::{Error, Float, Level};

use crate::guard::call;
use crate::level::level;
use crate::memory::{Region, check_apart, put};
use crate::status::Status;

/// out[i] = e^x[i] for `count` numbers, within 1 ULP with fused multiply-add and 1.2 without.
///
/// `out` may not overlap `x`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xent_exp_f32(x: *const f32, count: usize, out: *mut f32) -> Status {
    // SAFETY: as the caller promises.
    unsafe { map(x, count, out, xent_core::exp) }
}

/// As xent_exp_f32.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xent_exp_f64(x: *const f64, count: usize, out: *mut f64) -> Status {
    // SAFETY: as the caller promises.
    unsafe { map(x, count, out, xent_core::exp) }
}

/// out[i] = e^x[i] / sum of e^x[j]: the softmax of one row of `count` numbers.
///
/// `out` may not overlap `x`. A row with NaN, or with two infinities, is NaN.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xent_softmax_f32(x: *const f32, count: usize, out: *mut f32) -> Status {
    // SAFETY: as the caller promises.
    unsafe { map(x, count, out, xent_core::softmax) }
}

/// As xent_softmax_f32.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xent_softmax_f64(x: *const f64, count: usize, out: *mut f64) -> Status {
    // SAFETY: as the caller promises.
    unsafe { map(x, count, out, xent_core::softmax) }
}

/// out[i] = x[i] - ln of the sum of e^x[j]: the logarithm of the softmax of one row of `count` numbers.
///
/// `out` may not overlap `x`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xent_log_softmax_f32(
    x: *const f32,
    count: usize,
    out: *mut f32,
) -> Status {
    // SAFETY: as the caller promises.
    unsafe { map(x, count, out, xent_core::log_softmax) }
}

/// As xent_log_softmax_f32.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xent_log_softmax_f64(
    x: *const f64,
    count: usize,
    out: *mut f64,
) -> Status {
    // SAFETY: as the caller promises.
    unsafe { map(x, count, out, xent_core::log_softmax) }
}

/// *out = ln of the sum of e^x[i] over `count` numbers, without overflow; minus infinity if there are none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xent_log_sum_exp_f32(
    x: *const f32,
    count: usize,
    out: *mut f32,
) -> Status {
    // SAFETY: as the caller promises.
    unsafe { reduce(x, count, out, xent_core::log_sum_exp) }
}

/// As xent_log_sum_exp_f32.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xent_log_sum_exp_f64(
    x: *const f64,
    count: usize,
    out: *mut f64,
) -> Status {
    // SAFETY: as the caller promises.
    unsafe { reduce(x, count, out, xent_core::log_sum_exp) }
}

/// A function of the core, from one slice to another.
type Map<F> = fn(Level, &[F], &mut [F]) -> Result<(), Error>;

/// # Safety
/// Pointers that are not null may be read (`x`) and written (`out`) for this number of values.
unsafe fn map<F: Float>(x: *const F, count: usize, out: *mut F, function: Map<F>) -> Status {
    let run = || {
        let (x, out) = (Region::needed(x, count)?, Region::needed(out, count)?);
        check_apart(&[out.span()], &[x.span()])?;
        // SAFETY: as the caller promises; they do not overlap.
        let (x, out) = unsafe { (x.read(), out.write()) };
        Ok(function(level(), x, out)?)
    };
    // SAFETY: no place is asked for.
    unsafe { call(ptr::null_mut(), run) }
}

/// # Safety
/// Pointers that are not null may be read (`x`, this number of values) and written (`out`, one).
unsafe fn reduce<F: Float>(
    x: *const F,
    count: usize,
    out: *mut F,
    function: fn(Level, &[F]) -> F,
) -> Status {
    let run = || {
        Region::needed(out, 1)?;
        // SAFETY: as the caller promises.
        let x = unsafe { Region::needed(x, count)?.read() };
        let value = function(level(), x);
        // SAFETY: as the caller promises; the input is no longer needed.
        unsafe { put(out, value) };
        Ok(())
    };
    // SAFETY: no place is asked for.
    unsafe { call(ptr::null_mut(), run) }
}
