//! The losses of `xent-core` for a page: one row of logits goes in, its loss, probabilities and gradient
//! come out.
//!
//! A page and a module of WebAssembly share numbers and memory alone. The page writes logits and targets
//! into buffers of a fixed size, so that no allocator is needed, and reads the results from others.
#![no_std]

mod exports;
mod row;
mod text;

/// What a panic does, which no input leads to: the call ends with an exception in the page.
#[cfg(target_arch = "wasm32")]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    core::arch::wasm32::unreachable()
}
