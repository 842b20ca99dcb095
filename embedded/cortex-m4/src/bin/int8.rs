//! The network in integers: prints its int8 logits as CSV, and evaluates them on the device.
//!
//! `cargo run --release --bin int8` runs it in QEMU; `cargo xtask firmware` compares the logits with those of the
//! desk's floats.
#![no_std]
#![no_main]

use cortex_m_rt::entry;
use cortex_m_semihosting::{debug, hprint, hprintln};
use digits_net::{COUNT, image, int8, label};
use panic_semihosting as _;
use xent_core::{Error, Evaluation, Quantisation, evaluate_quantised_row};

fn evaluate() -> Result<Evaluation, Error> {
    let quantisation = Quantisation::new(int8::SCALE, int8::ZERO_POINT)?;
    let mut evaluation = Evaluation::new();
    hprintln!("digit,label,x0,x1,x2,x3,x4,x5,x6,x7,x8,x9");
    for digit in 0..COUNT {
        let (logits, label) = (int8::logits(image(digit)), label(digit));
        evaluation.add(&evaluate_quantised_row(&logits, quantisation, label)?);
        hprint!("{},{}", digit, label);
        for q in logits {
            hprint!(",{}", q);
        }
        hprintln!();
    }
    Ok(evaluation)
}

#[entry]
fn main() -> ! {
    match evaluate() {
        Ok(found) => {
            let (mean, correct, rows) = (found.mean(), found.correct(), found.rows());
            hprintln!(
                "# mean {:.6} bits {:08x} correct {} of {}",
                mean,
                mean.to_bits(),
                correct,
                rows
            );
            debug::exit(debug::EXIT_SUCCESS);
        }
        Err(_) => debug::exit(debug::EXIT_FAILURE),
    }
    loop {
        cortex_m::asm::wfi();
    }
}
