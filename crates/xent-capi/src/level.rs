//! The level of instructions.

use core::ffi::{CStr, c_char};
use core::sync::atomic::{AtomicUsize, Ordering};

use xent_core::Level;

use crate::memory::put;
use crate::status::Status;

/// The number of the chosen level among those of the machine, counted from one; zero for the best.
static CHOSEN: AtomicUsize = AtomicUsize::new(0);

/// The level in use.
pub(crate) fn level() -> Level {
    let chosen = CHOSEN.load(Ordering::Relaxed).checked_sub(1);
    chosen.and_then(|number| Level::available().nth(number)).unwrap_or_else(Level::detect)
}

/// The version of the library: "0.1.0".
#[unsafe(no_mangle)]
pub extern "C" fn xent_version() -> *const c_char {
    concat!(env!("CARGO_PKG_VERSION"), "\0").as_ptr().cast()
}

/// Selects the level with this name ("portable", "avx2", "avx512", ...) from now on, in all threads. NULL selects
/// the best level of the machine, which is also the default.
///
/// Returns XENT_STATUS_LEVEL, and changes nothing, if this machine has no such level.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xent_choose_level(name: *const c_char) -> Status {
    if name.is_null() {
        CHOSEN.store(0, Ordering::Relaxed);
        return Status::Ok;
    }
    // SAFETY: it is not null, so the caller promises a string that ends with NUL.
    let name = unsafe { CStr::from_ptr(name) };
    match Level::available().position(|level| level.name().as_bytes() == name.to_bytes()) {
        Some(number) => {
            CHOSEN.store(number + 1, Ordering::Relaxed);
            Status::Ok
        }
        None => Status::Level,
    }
}

/// Writes the name of the level in use, like snprintf: at most size - 1 characters, followed by NUL. Returns the
/// length of the name, so `name` may be NULL if size is 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xent_level_name(name: *mut c_char, size: usize) -> usize {
    // SAFETY: as the caller promises.
    unsafe { put_name(level().name(), name, size) }
}

/// Writes the name of a level of this machine, like xent_level_name; index 0 is the simplest level. Returns 0, and
/// writes nothing, if there is no level with this index.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xent_available_level(
    index: usize,
    name: *mut c_char,
    size: usize,
) -> usize {
    match Level::available().nth(index) {
        // SAFETY: as the caller promises.
        Some(level) => unsafe { put_name(level.name(), name, size) },
        None => 0,
    }
}

/// Whether the level in use has fused multiply-add, which rounds a product and the following sum once. All levels
/// that have it return the same bits, on every machine; so do all levels that do not.
#[unsafe(no_mangle)]
pub extern "C" fn xent_level_has_fma() -> bool {
    level().has_fma()
}

/// # Safety
/// `size` characters may be written from `into` on.
unsafe fn put_name(name: &str, into: *mut c_char, size: usize) -> usize {
    if let Some(last) = size.checked_sub(1)
        && !into.is_null()
    {
        let cut = name.bytes().take(last).chain([0]);
        for (index, byte) in cut.enumerate() {
            // SAFETY: no more than `size` bytes are written, and `into` is not null.
            unsafe { put(into.add(index).cast(), byte) };
        }
    }
    name.len()
}
