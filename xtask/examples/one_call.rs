//! A program of one call, which `cargo xtask cost` builds like a dependent and measures.

use std::hint::black_box;

use xent::{Logits, SoftmaxCrossEntropy, Targets};

fn main() -> Result<(), xent::Error> {
    let x = black_box([2.0, 1.0, 0.0, /* second row */ 0.0, 3.0, 0.0_f32]);
    let labels = black_box([0_u8, 1]);
    let mut grad = [0.0; 6];

    let loss = SoftmaxCrossEntropy::new();
    let value = loss.loss_and_grad(Logits::new(&x, 3)?, Targets::index(&labels), &mut grad)?;
    println!("{value}: {grad:?}");
    Ok(())
}
