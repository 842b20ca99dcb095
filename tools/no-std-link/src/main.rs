//! A program without `std`, without `alloc` and without a global allocator that uses every public
//! function of `xent-core`. It is linked, not run: that it links is the test.
#![no_std]
#![no_main]

use core::panic::PanicInfo;

use xent_core::{Batch, Buffers, Error, Level, SigmoidBatch, SoftmaxBatch, SoftmaxTargets};

/// Kept by the linker, and with it all that it calls.
#[used]
static KEEP: fn(&mut [f32], &mut [f32]) -> Result<f64, Error> = every_function;

fn every_function(x: &mut [f32], out: &mut [f32]) -> Result<f64, Error> {
    let level = Level::detect();
    xent_core::exp(level, x, out)?;
    xent_core::ln(level, x, out)?;
    xent_core::log1p(level, x, out)?;
    xent_core::sigmoid(level, x, out)?;
    xent_core::softmax(level, x, out)?;
    xent_core::log_softmax(level, x, out)?;
    let mut sum = f64::from(xent_core::max(level, x) + xent_core::log_sum_exp(level, x));
    let labels = SoftmaxTargets::Index((&[0_u8][..]).into());
    sum += SoftmaxBatch::new(Buffers::Gradient(x, out), x.len(), labels)?.run(level);
    sum += SoftmaxBatch::new(Buffers::Loss(x), x.len(), SoftmaxTargets::Dense(out))?.run(level);
    sum += SigmoidBatch::new(Buffers::InPlace(x), out)?.run(level);
    Ok(sum)
}

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    loop {}
}
