//! The C interface of xent. `include/xent.h`, made of this by cbindgen, is its documentation, and the comments
//! here are written for its readers.
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
pub use row::{xent_softmax_row_f32, xent_softmax_row_f64};
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
    xent_softmax_loss_run_f64,
};
pub use status::{Status, xent_error_message};

/// A panic is a defect. Where there is no system to tell, a debugger finds it here.
#[cfg(not(feature = "std"))]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    #[cfg(feature = "abort")]
    {
        // SAFETY: that is how C declares it.
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

/// Rust's `core` is compiled so that it can unwind, and refers to this, unless the linker leaves out what is not called.
/// Nothing here unwinds.
// SAFETY: a name that std alone has, which is not linked here; and it is never called, as a panic ends the program.
#[cfg(all(not(feature = "std"), feature = "abort"))]
#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}
