//! Fused cross-entropy losses: the loss and its gradient in one pass over the logits.
//!
//! ```
//! use xent::{Logits, SoftmaxCrossEntropy, Targets};
//!
//! let x = [2.0, 1.0, 0.0, /* second row */ 0.0, 3.0, 0.0_f32];
//! let labels = [0_u8, 1];
//! let mut grad = [0.0; 6];
//!
//! let loss = SoftmaxCrossEntropy::new();
//! let value = loss.loss_and_grad(Logits::new(&x, 3)?, Targets::index(&labels), &mut grad)?;
//! assert!((value - 0.251265).abs() < 1e-6);
//! # Ok::<(), xent::Error>(())
//! ```
//!
//! * [`SoftmaxCrossEntropy`]: one of many classes (categorical cross-entropy).
//! * [`SigmoidCrossEntropy`]: one of two classes, or any number of many (binary cross-entropy).
//!
//! The loss of a batch is reduced by [`Reduction::Mean`] unless told otherwise. A batch runs on the
//! threads of the current rayon pool (feature `rayon`, on by default) and at the best [`Level`] of
//! the machine; the result does not depend on the number of threads. All input is checked before
//! anything is written, and whatever is wrong with it is an [`Error`] that says what was expected.
#![cfg_attr(not(feature = "rayon"), no_std)]
#![forbid(unsafe_code)]

mod error;
mod input;
mod losses;
mod pass;
pub mod predict;
mod reduction;

pub use error::Error;
pub use input::{Logits, LogitsMut, Targets};
pub use losses::{
    Distillation, LogisticLoss, MultiLabelSoftMargin, MultiLabelSoftmax, MultinomialLogistic,
    NegativeLogLikelihood, SigmoidCrossEntropy, SoftmaxCrossEntropy,
};
pub use pass::{Pass, Report};
pub use reduction::{MeanOver, NothingValid, Preset, Reduction};
pub use xent_core::{Hessian, Labels, Level, Shape};
