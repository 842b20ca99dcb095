//! A program without `std`, `alloc` or a global allocator that uses every public function of `xent-core`. It is
//! linked, not run: linking it is the test.
#![no_std]
#![no_main]

use core::panic::PanicInfo;

use half::{bf16, f16};
use xent_core::{
    Batch, Buffers, Element, Error, Float, Gradient, Level, SigmoidBatch, SoftmaxBatch,
    SoftmaxTargets,
};

/// The linker keeps this function, and everything that it calls.
#[used]
static KEEP: (
    fn(&mut [f32], &mut [f32]) -> Result<f64, Error>,
    fn(&mut [f64], &mut [f64]) -> Result<f64, Error>,
    fn(&mut [bf16], &mut [f32]) -> Result<f64, Error>,
    fn(&mut [f16], &mut [f32]) -> Result<f64, Error>,
) = (every_function, every_function, every_loss, every_loss);

fn every_function<F: Float>(x: &mut [F], out: &mut [F]) -> Result<f64, Error> {
    let level = Level::detect();
    xent_core::exp(level, x, out)?;
    xent_core::ln(level, x, out)?;
    xent_core::log1p(level, x, out)?;
    xent_core::sigmoid(level, x, out)?;
    xent_core::softmax(level, x, out)?;
    xent_core::log_softmax(level, x, out)?;
    let sum: f64 = (xent_core::max(level, x) + xent_core::log_sum_exp(level, x)).into();
    Ok(sum + every_loss(x, out)?)
}

fn every_loss<E: Element>(x: &mut [E], out: &mut [E::Float]) -> Result<f64, Error> {
    let level = Level::detect();
    xent_core::widen(level, x, out)?;
    xent_core::narrow(level, out, x)?;
    let labels = SoftmaxTargets::Index((&[0_u8][..]).into());
    let mut sum =
        SoftmaxBatch::new(Buffers::new(x, Gradient::WriteWide(out)), x.len(), labels)?.run(level);
    sum += SoftmaxBatch::new(Buffers::loss(x), x.len(), SoftmaxTargets::Dense(out))?.run(level);
    sum += SigmoidBatch::new(Buffers::in_place(x), out)?.run(level);
    Ok(sum)
}

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    loop {}
}

/// Rust's `core` is compiled so that it can unwind, and refers to this symbol; nothing here unwinds.
// SAFETY: only std defines this name, and it is not linked here; it is never called, as panics end the program.
#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}
