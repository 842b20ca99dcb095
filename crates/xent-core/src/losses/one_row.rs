//! The loss of one row, for machines with little memory.

use super::format::Float;
use crate::error::{Error, check_length};
use crate::kernel::narrow::CLASSES;
use crate::kernel::one_row::one_row;
use crate::kernel::row_buffers::RowBuffers;
use crate::simd::Compute;
use crate::simd::Portable;

/// Softmax cross-entropy of one row of at most 32 classes with a label: returns the loss, and writes its gradient
/// by the logits to `gradient`.
///
/// For firmware that validates a classifier. On a Cortex-M4F it takes 1.3 kilobytes of flash, about a hundred bytes
/// of stack, and for ten classes 1,600 instructions. (A [`SoftmaxBatch`] contains the code of all its options,
/// which is a hundred times as much or more.) The bits, and so the accuracy, are those of the batch at
/// [`Level::Portable`]; on a Cortex-M with a floating-point unit, those of every level with fused multiply-add.
///
/// [`SoftmaxBatch`]: crate::SoftmaxBatch
/// [`Level::Portable`]: crate::Level::Portable
///
/// # Errors
/// * [`Error::ZeroClasses`] without logits, [`Error::Option`] if there are more than 32.
/// * [`Error::Label`] if the label is not a class.
/// * [`Error::Length`] if the gradient is not as long as the logits.
///
/// ```
/// use xent_core::softmax_cross_entropy_row;
///
/// let mut gradient = [0.0; 3];
/// let loss = softmax_cross_entropy_row(&[0.0, 0.0, -100.0_f32], 1, &mut gradient)?;
/// assert_eq!(loss, core::f32::consts::LN_2);
/// assert_eq!(gradient, [0.5, -0.5, 1.8600378e-44]);
/// # Ok::<(), xent_core::Error>(())
/// ```
pub fn softmax_cross_entropy_row<F: Float>(
    logits: &[F],
    label: usize,
    gradient: &mut [F],
) -> Result<F, Error> {
    let classes = logits.len();
    if classes == 0 {
        return Err(Error::ZeroClasses);
    }
    if classes > CLASSES {
        return Err(Error::Option { option: "classes", reason: "expected at most 32" });
    }
    if label >= classes {
        return Err(Error::Label { row: 0, label: label as i128, classes });
    }
    check_length("gradient", classes, gradient.len())?;
    let buffers = RowBuffers::write(logits, &mut *gradient);
    let loss = one_row::<<F as Compute>::One>(Portable, buffers, label);
    Ok(loss.unwrap_or_else(|| degenerate_row(logits, label, gradient)))
}

/// A row whose largest logit is not finite: in the limit, a single `+inf` has all of the probability.
fn degenerate_row<F: Float>(logits: &[F], label: usize, gradient: &mut [F]) -> F {
    let is_infinite = |x: &F| *x == F::INFINITY;
    let infinite = logits.iter().filter(|x| is_infinite(x)).count();
    let is_undefined = infinite != 1 || logits.iter().any(|x| x.is_nan());
    let (zero, one) = (F::default(), F::from_count(1));
    let if_defined = |value| if is_undefined { F::NAN } else { value };
    for (class, (x, g)) in logits.iter().zip(gradient).enumerate() {
        let p = if is_infinite(x) { one } else { zero };
        *g = if_defined(p - if class == label { one } else { zero });
    }
    let is_right = logits.get(label).is_some_and(is_infinite);
    if_defined(if is_right { zero } else { F::INFINITY })
}
