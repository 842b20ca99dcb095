//! The loss of one row, for machines with little memory.

use super::format::{Element, Float};
use super::quantisation::Quantisation;
use crate::error::{Error, check_length};
use crate::kernel::narrow::CLASSES;
use crate::kernel::one_row::one_row;
use crate::kernel::row_buffers::RowBuffers;
use crate::simd::{Compute, Portable};

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
    check(logits, label)?;
    check_length("gradient", logits.len(), gradient.len())?;
    let loss = finish(RowBuffers::write(logits, &mut *gradient), label);
    Ok(loss.unwrap_or_else(|| degenerate_row(logits, label, gradient)))
}

/// Softmax cross-entropy of one row of at most 32 classes with a label, and its predicted class: without a
/// gradient, or a place for one.
///
/// The loss has the bits of [`softmax_cross_entropy_row`], and the code is a part of that function's. An
/// [`Evaluation`](crate::Evaluation) adds rows up.
///
/// # Errors
/// * [`Error::ZeroClasses`] without logits, [`Error::Option`] if there are more than 32.
/// * [`Error::Label`] if there is no such class.
///
/// ```
/// let row = xent_core::evaluate_row(&[0.0, 0.0, -100.0_f32], 1)?;
/// assert_eq!((row.loss, row.predicted, row.is_right), (core::f32::consts::LN_2, 0, false));
/// # Ok::<(), xent_core::Error>(())
/// ```
pub fn evaluate_row<F: Float>(logits: &[F], label: usize) -> Result<RowEvaluation<F>, Error> {
    check(logits, label)?;
    let finished = finish(RowBuffers::loss(logits), label);
    let loss = finished.unwrap_or_else(|| degenerate_row(logits, label, &mut []));
    let predicted = first_nan_or_largest(logits);
    let is_finite = finished.is_some_and(|loss| !loss.is_nan());
    Ok(RowEvaluation { loss, predicted, is_right: predicted == label, is_finite })
}

/// [`evaluate_row`] for the integers that a quantised model gives out: at most 32 logits with the scale and zero point
/// of their tensor. The result has the bits of the row of f32 that they stand for.
///
/// # Errors
/// As [`evaluate_row`]; [`Error::Option`] if the zero point is not an integer of that type.
///
/// ```
/// # #[cfg(feature = "quantised")]
/// # fn main() -> Result<(), xent_core::Error> {
/// use xent_core::{Evaluation, Quantisation, evaluate_quantised_row};
///
/// // A model's output for one input, and its scale and zero point.
/// let (logits, quantisation) = ([12_i8, -128, 100], Quantisation::new(0.125, -3)?);
/// let mut evaluation = Evaluation::new();
/// evaluation.add(&evaluate_quantised_row(&logits, quantisation, 2)?);
/// assert_eq!(evaluation.correct(), 1);
/// assert!((evaluation.mean() - 1.670156e-5).abs() < 1e-10);
/// # Ok(())
/// # }
/// # #[cfg(not(feature = "quantised"))]
/// # fn main() {}
/// ```
pub fn evaluate_quantised_row<E: Element>(
    logits: &[E],
    quantisation: Quantisation,
    label: usize,
) -> Result<RowEvaluation<E::Float>, Error> {
    Quantisation::check(E::INTEGERS, Some(quantisation))?;
    check(logits, label)?;
    let mut row = [E::Float::default(); CLASSES];
    for (place, logit) in row.iter_mut().zip(logits) {
        *place = logit.dequantised(Some(quantisation));
    }
    evaluate_row(row.get(..logits.len()).unwrap_or(&[]), label)
}

/// What one row of logits says of its label.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct RowEvaluation<F = f32> {
    /// The cross-entropy of the row, in nats.
    pub loss: F,
    /// The class of the largest logit, the first of equals; of the first NaN, if there is one.
    pub predicted: usize,
    /// Whether that is the label. A row that is not finite may be right, too: if its first NaN or, without one, its
    /// first `+inf` is at the label.
    pub is_right: bool,
    /// Whether the row has a softmax: no logit is NaN or `+inf`, and not all are `-inf`.
    pub is_finite: bool,
}

fn check<F>(logits: &[F], label: usize) -> Result<(), Error> {
    let classes = logits.len();
    if classes == 0 {
        return Err(Error::ZeroClasses);
    }
    if classes > CLASSES {
        return Err(Error::Option {
            option: "classes",
            reason: "expected at most 32; for more there is SoftmaxBatch",
        });
    }
    if label >= classes {
        return Err(Error::Label { row: 0, label: label as i128, classes });
    }
    Ok(())
}

/// One function for all that may be wanted of a row: a program that wants more has its code once.
fn finish<F: Float>(buffers: RowBuffers<'_, F>, label: usize) -> Option<F> {
    one_row::<<F as Compute>::One>(Portable, buffers, label)
}

fn first_nan_or_largest<F: Float>(logits: &[F]) -> usize {
    let mut found = (0, F::NEG_INFINITY);
    for (class, &x) in logits.iter().enumerate() {
        if x.is_nan() {
            return class;
        }
        if x > found.1 {
            found = (class, x);
        }
    }
    found.0
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
