//! Evaluates a classifier on the device: mean loss and accuracy row by row, without a gradient or a place for one.
//!
//! `cargo run --release --bin evaluation` runs it in QEMU; `cargo xtask firmware` compares what it says.
#![no_std]
#![no_main]

use cortex_m_rt::entry;
use cortex_m_semihosting::{debug, hprintln};
use digits_net::{COUNT, image, label, logits};
use panic_semihosting as _;
use xent_core::{Error, Evaluation};

fn evaluate() -> Result<Evaluation, Error> {
    let mut evaluation = Evaluation::new();
    for digit in 0..COUNT {
        evaluation.add_row(&logits(image(digit)), label(digit))?;
    }
    Ok(evaluation)
}

#[entry]
fn main() -> ! {
    match evaluate() {
        Ok(found) => {
            let (mean, correct, rows) = (found.mean(), found.correct(), found.rows());
            hprintln!(
                "mean {:.6} bits {:08x} correct {} of {}",
                mean,
                mean.to_bits(),
                correct,
                rows
            );
            debug::exit(debug::EXIT_SUCCESS);
        }
        // Its words would be a third of the program.
        Err(_) => debug::exit(debug::EXIT_FAILURE),
    }
    loop {
        cortex_m::asm::wfi();
    }
}
