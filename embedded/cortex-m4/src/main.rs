//! Recognises digits on a Cortex-M4F and computes the loss and gradient of each from the network's
//! logits. Their bits go to the machine at the other end of the debugger, which compares them with
//! its own.
//!
//! No operating system and no heap. `cargo xtask firmware` builds, runs and checks it.
#![no_std]
#![no_main]

mod line;
mod measure;

use cortex_m_rt::entry;
use cortex_m_semihosting::debug;
use digits_net::{CLASSES, COUNT, Digest};
use panic_semihosting as _;
use xent_core::{Batch, Buffers, Error, Level, Outputs, SoftmaxBatch, softmax_cross_entropy_row};

use measure::Meter;

/// Rows of a batch.
const ROWS: usize = 8;

#[entry]
fn main() -> ! {
    let status = match run() {
        Ok(()) => debug::EXIT_SUCCESS,
        Err(error) => {
            line::print(format_args!("error {error}"));
            debug::EXIT_FAILURE
        }
    };
    debug::exit(status);
    loop {
        cortex_m::asm::wfi();
    }
}

fn run() -> Result<(), Error> {
    line::print(format_args!("level {} fma {}", Level::detect(), Level::detect().has_fma()));
    digits()?;
    measure()
}

/// All digits, each with the bits of its loss and gradient.
fn digits() -> Result<(), Error> {
    let (mut digest, mut sum, mut right) = (Digest::default(), 0.0_f64, 0);
    for digit in 0..COUNT {
        let (logits, label) =
            (digits_net::logits(digits_net::image(digit)), digits_net::label(digit));
        let mut gradient = [0.0; CLASSES];
        let loss = softmax_cross_entropy_row(&logits, label, &mut gradient)?;
        line::print(format_args!("digit {digit} {}", line::Bits(loss, &gradient)));
        digest.add(loss, &gradient);
        sum += f64::from(loss);
        // Right if no other logit is larger than the label's.
        right += usize::from(logits.iter().all(|&x| x <= logits[label]));
    }
    let mean = sum / COUNT as f64;
    let accuracy = right as f64 / COUNT as f64;
    line::print(format_args!("loss {mean:.9}"));
    line::print(format_args!("accuracy {accuracy:.4}"));
    line::print(format_args!("digest {:016x}", digest.value()));
    Ok(())
}

/// The cost of a row and of a batch, in stack and instructions.
fn measure() -> Result<(), Error> {
    let mut meter = Meter::new();
    let mut logits = [0.0; ROWS * CLASSES];
    for (digit, row) in logits.chunks_exact_mut(CLASSES).enumerate() {
        row.copy_from_slice(&digits_net::logits(digits_net::image(digit)));
    }
    let labels: [u8; ROWS] = core::array::from_fn(|digit| digits_net::label(digit) as u8);
    let mut one = [0.0; ROWS * CLASSES];
    let mut losses = [0.0; ROWS];

    meter.report("inference", 1, || {
        core::hint::black_box(digits_net::logits(digits_net::image(0)));
        Ok(())
    })?;
    meter.report("softmax_cross_entropy_row", ROWS, || {
        let rows = logits.chunks_exact(CLASSES).zip(one.chunks_exact_mut(CLASSES));
        for (row, (logits, gradient)) in rows.enumerate() {
            losses[row] = softmax_cross_entropy_row(logits, labels[row].into(), gradient)?;
        }
        Ok(())
    })?;
    let (mut batch, mut of_batch) = ([0.0; ROWS * CLASSES], [0.0; ROWS]);
    meter.report("SoftmaxBatch", ROWS, || {
        let outputs = Outputs { losses: &mut of_batch, ..Outputs::default() };
        SoftmaxBatch::new(Buffers::gradient(&logits, &mut batch), CLASSES, targets(&labels))?
            .with_outputs(outputs)?
            .run(Level::detect());
        Ok(())
    })?;
    let same = one.iter().chain(&losses).zip(batch.iter().chain(&of_batch));
    let same = same.into_iter().all(|(a, b)| a.to_bits() == b.to_bits());
    line::print(format_args!("row and batch {}", if same { "agree" } else { "differ" }));
    Ok(())
}

fn targets(labels: &[u8]) -> xent_core::SoftmaxTargets<'_> {
    xent_core::SoftmaxTargets::Index(labels.into())
}
