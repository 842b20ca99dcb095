//! What a call allocates, on the calling thread.

use allocation_counter::measure;
use candle_core::{DType, Device, Result, Tensor, Var};
use xent_candle::LossExt;
use xent_candle::xent::{Reduction, SoftmaxCrossEntropy};

/// Bytes of the logits.
const LOGITS: u64 = 4 * 1000 * 100;
/// For all that is not as large as the logits: losses, shapes, nodes of the graph.
const SMALL: u64 = 64 * 1024;

#[test]
fn contiguous_logits_are_not_copied() -> Result<()> {
    let logits = Var::randn(0.0_f32, 1.0, (1000, 100), &Device::Cpu)?;
    let transposed = logits.as_detached_tensor().t()?.contiguous()?.t()?;
    let labels = Tensor::zeros(1000, DType::U32, &Device::Cpu)?;
    let loss = SoftmaxCrossEntropy::<f32>::new();
    let bytes = |loss: &SoftmaxCrossEntropy<'static>, logits: &Tensor| {
        loss.forward(logits, &labels).unwrap();
        measure(|| drop(loss.forward(logits, &labels).unwrap())).bytes_total
    };

    let untracked = bytes(&loss, &logits.as_detached_tensor());
    assert!(untracked < SMALL, "{untracked} bytes for a loss alone");
    let with_gradient = bytes(&loss, &logits);
    assert!(
        (LOGITS..LOGITS + SMALL).contains(&with_gradient),
        "{with_gradient} bytes for loss and gradient"
    );
    let of_rows = bytes(&loss.with_reduction(Reduction::None), &logits);
    assert!(of_rows < SMALL, "{of_rows} bytes for losses whose gradient comes later");
    // What a copy would look like.
    let copied = bytes(&SoftmaxCrossEntropy::new(), &transposed);
    assert!((LOGITS..LOGITS + SMALL).contains(&copied), "{copied} bytes for a copy");
    Ok(())
}

#[test]
fn backward_gives_out_the_gradient_that_was_kept() -> Result<()> {
    let logits = Var::randn(0.0_f32, 1.0, (1000, 100), &Device::Cpu)?;
    let labels = Tensor::zeros(1000, DType::U32, &Device::Cpu)?;
    let loss = xent_candle::cross_entropy(&logits, &labels)?;
    let bytes = measure(|| drop(loss.backward().unwrap())).bytes_total;
    // candle adds it to zeros.
    assert!(bytes < 2 * LOGITS + SMALL, "{bytes} bytes for the way back");
    Ok(())
}
