//! The C interface of xent: softmax, sigmoid and focal losses with their gradients, and functions of slices, for
//! programs in C and for languages that call C. Rust programs use the crate `xent` instead.
//!
//! The documentation for C is `include/xent.h`, which cbindgen generates from this crate; the comments here are
//! written for readers of that header. The shortest call:
//!
//! ```c
//! xent_softmax_loss_f32 loss;
//! xent_softmax_loss_init_f32(&loss, sizeof loss);
//! loss.rows = 2, loss.classes = 3, loss.logits = logits, loss.labels_i64 = labels, loss.gradient = gradient;
//! xent_status status = xent_softmax_loss_run_f32(&loss, &value, NULL);
//! ```
//!
//! `examples/loss.c` is a complete program, which the tests compile and run.
//!
//! * **How exact, how fast:** results have the bits of the crate `xent` on one thread, so its error bounds and its
//!   speed apply. A call does not allocate, checks everything before it writes, and keeps nothing.
//! * **What it costs to build:** `cargo xtask install-c` builds a static and a shared library without Rust's standard
//!   library and installs them for pkg-config. Without the feature `std` it needs no operating system.
#![cfg_attr(not(feature = "std"), no_std)]
#![allow(
    clippy::missing_safety_doc,
    reason = "what holds for all pointers is said once, at the head of the header"
)]
#![allow(
    clippy::doc_markdown,
    rustdoc::broken_intra_doc_links,
    reason = "the comments of a header are plain text, whose brackets hold an index"
)]

mod guard;
mod hessian;
mod labels;
mod level;
mod logits;
mod memory;
mod reduction;
mod row;
mod sigmoid_loss;
mod slices;
mod softmax_loss;
mod status;

pub use hessian::Hessian;
pub use level::{
    xent_available_level, xent_choose_level, xent_level_has_fma, xent_level_name, xent_version,
};
pub use reduction::{MeanOver, NothingValid, Reduction};
pub use row::{xent_evaluate_row_i8, xent_softmax_row_f32, xent_softmax_row_f64};
pub use sigmoid_loss::{
    SigmoidLoss, xent_sigmoid_loss_init_f32, xent_sigmoid_loss_init_f64,
    xent_sigmoid_loss_run_bf16, xent_sigmoid_loss_run_f16, xent_sigmoid_loss_run_f32,
    xent_sigmoid_loss_run_f64,
};
pub use slices::{
    xent_exp_f32, xent_exp_f64, xent_log_softmax_f32, xent_log_softmax_f64, xent_log_sum_exp_f32,
    xent_log_sum_exp_f64, xent_softmax_f32, xent_softmax_f64,
};
pub use softmax_loss::{
    SoftmaxLoss, xent_softmax_loss_init_f32, xent_softmax_loss_init_f64,
    xent_softmax_loss_run_bf16, xent_softmax_loss_run_f16, xent_softmax_loss_run_f32,
    xent_softmax_loss_run_f64, xent_softmax_loss_run_i8, xent_softmax_loss_run_i16,
    xent_softmax_loss_run_u8,
};
pub use status::{Status, xent_error_message};

/// A panic is a defect. Without a system to report it to, it waits here for a debugger.
#[cfg(not(feature = "std"))]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    #[cfg(feature = "abort")]
    {
        // SAFETY: this is C's own declaration of it.
        unsafe extern "C" {
            safe fn abort() -> !;
        }
        abort()
    }
    #[cfg(not(feature = "abort"))]
    loop {
        core::hint::spin_loop();
    }
}

/// Rust's `core` is compiled so that it can unwind, and refers to this symbol unless the linker removes unused
/// code. Nothing here unwinds.
// SAFETY: only std defines this name, and it is not linked here; it is never called, as a panic ends the program.
#[cfg(all(not(feature = "std"), feature = "abort"))]
#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}
