//! The losses of `xent-core` for a web page: takes one row of logits, returns its loss, probabilities and gradient.
//!
//! A page and a WebAssembly module share only numbers and memory. The page writes logits and targets into buffers
//! of a fixed size, so no allocator is needed, and reads the results from others.
#![no_std]

mod exports;
mod row;
mod text;

/// No input leads to a panic; if there is one, the call ends with an exception in the page.
#[cfg(target_arch = "wasm32")]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    core::arch::wasm32::unreachable()
}
