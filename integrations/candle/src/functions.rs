//! The functions of `candle_nn::loss`, by their names.

use candle_core::{DType, Error, Result, Shape, Tensor};
use xent::{NegativeLogLikelihood, Preset, SigmoidCrossEntropy, SoftmaxCrossEntropy};

use crate::LossExt;

/// A loss with candle's defaults, in the format that computes these logits; its value has the format of the logits, as
/// candle's.
macro_rules! forward {
    ($loss:ident, $logits:expr, $targets:expr) => {
        if $logits.dtype() == DType::F64 {
            $loss::<f64>::preset(Preset::Candle).forward($logits, $targets)
        } else {
            $loss::<f32>::preset(Preset::Candle)
                .forward($logits, $targets)?
                .to_dtype($logits.dtype())
        }
    };
}

/// Softmax cross-entropy, averaged over the rows: in place of `candle_nn::loss::cross_entropy`.
///
/// `logits` have the shape `(rows, classes)` and are f32, f64, bf16 or f16, `labels` the shape `(rows,)` and are u8, u32
/// or i64. The value has the format of the logits. For options see [`LossExt`].
///
/// ```
/// use candle_core::{Device, Tensor};
///
/// let logits = Tensor::new(&[[2.0_f32, 1.0, 0.0], [0.0, 3.0, 0.0]], &Device::Cpu)?;
/// let labels = Tensor::new(&[0_u32, 1], &Device::Cpu)?;
/// let loss = xent_candle::cross_entropy(&logits, &labels)?.to_scalar::<f32>()?;
/// assert!((loss - 0.251265).abs() < 1e-6);
/// # Ok::<(), candle_core::Error>(())
/// ```
///
/// # Errors
/// If a label is not the index of a class (also u32::MAX, which candle takes as a row of loss zero), or the shapes do
/// not fit together.
pub fn cross_entropy(logits: &Tensor, labels: &Tensor) -> Result<Tensor> {
    check_matrix(logits)?;
    forward!(SoftmaxCrossEntropy, logits, labels)
}

/// Negative log-likelihood of log-probabilities, averaged over the rows: in place of `candle_nn::loss::nll`.
///
/// `log_probabilities` have the shape `(rows, classes)`, `labels` the shape `(rows,)`. Prefer [`cross_entropy`] of the
/// logits: it is faster and more accurate.
///
/// ```
/// use candle_core::{Device, Tensor};
///
/// let log_probabilities = Tensor::new(&[[-0.5_f32, -1.5], [-2.0, -0.25]], &Device::Cpu)?;
/// let labels = Tensor::new(&[0_u32, 1], &Device::Cpu)?;
/// assert_eq!(xent_candle::nll(&log_probabilities, &labels)?.to_scalar::<f32>()?, 0.375);
/// # Ok::<(), candle_core::Error>(())
/// ```
///
/// # Errors
/// As [`cross_entropy`].
pub fn nll(log_probabilities: &Tensor, labels: &Tensor) -> Result<Tensor> {
    check_matrix(log_probabilities)?;
    forward!(NegativeLogLikelihood, log_probabilities, labels)
}

/// Sigmoid (binary) cross-entropy, averaged over the elements: in place of
/// `candle_nn::loss::binary_cross_entropy_with_logit`, finite for every finite logit.
///
/// `targets` have the shape of the logits: floats from 0 to 1, or integers 0 and 1.
///
/// ```
/// use candle_core::{Device, Tensor};
///
/// let logits = Tensor::new(&[0.0_f32, 100.0, -100.0, 1.0], &Device::Cpu)?;
/// let targets = Tensor::new(&[1.0_f32, 1.0, 0.0, 0.0], &Device::Cpu)?;
/// let loss = xent_candle::binary_cross_entropy_with_logit(&logits, &targets)?.to_scalar::<f32>()?;
/// assert!((loss - 0.5016022).abs() < 1e-6);
/// # Ok::<(), candle_core::Error>(())
/// ```
///
/// # Errors
/// If a target is not from 0 to 1, or the shapes do not fit together.
pub fn binary_cross_entropy_with_logit(logits: &Tensor, targets: &Tensor) -> Result<Tensor> {
    forward!(SigmoidCrossEntropy, logits, targets)
}

/// As candle's functions, which leave no doubt where the classes are.
fn check_matrix(logits: &Tensor) -> Result<()> {
    match *logits.dims() {
        [_, _] => Ok(()),
        ref dims => Err(Error::UnexpectedNumberOfDims {
            expected: 2,
            got: dims.len(),
            shape: Shape::from(dims),
        }
        .bt()),
    }
}
