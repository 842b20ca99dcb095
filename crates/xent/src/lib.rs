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
//! # From the task to the loss
//!
//! | the task | the loss | its targets |
//! |---|---|---|
//! | binary: one of two classes | [`SigmoidCrossEntropy`] with one logit a row | 0 or 1 |
//! | multi-class: one of many classes | [`SoftmaxCrossEntropy`] | an index, or a weight for each class |
//! | multi-label: any number of many classes | [`SigmoidCrossEntropy`] (a question for each class) or [`MultiLabelSoftmax`] (classes compete) | 0 or 1 for each class, or lists of classes |
//! | multi-label, one loss for each row | [`MultiLabelSoftMargin`] | 0 or 1 for each class |
//! | learning from a larger model | [`Distillation`] | its logits |
//!
//! Few of one class? [Class weights](SoftmaxCrossEntropy::with_class_weights), a [positive
//! weight](SigmoidCrossEntropy::with_pos_weight), or the focal loss
//! ([softmax](SoftmaxCrossEntropy::with_focal_gamma), [sigmoid](SigmoidCrossEntropy::with_focal)),
//! which turns to the hard examples. Labels that may be wrong? [Label
//! smoothing](SoftmaxCrossEntropy::with_label_smoothing). Padding? [An index to
//! ignore](SoftmaxCrossEntropy::with_ignore_index), or a [sample weight](Pass::sample_weights) of
//! zero.
//!
//! Probabilities instead of logits? If you can, take the logits. Otherwise [`LogisticLoss`],
//! [`MultinomialLogistic`], or for log-probabilities [`NegativeLogLikelihood`]. From logits back to
//! classes: [`predict`].
//!
//! # What a call does
//!
//! The loss of a batch is reduced by [`Reduction::Mean`] unless told otherwise; [`Preset`] has the
//! defaults of others. [`Pass`] asks for more of the same pass: the loss of every row, log-sum-exp,
//! predicted classes, the diagonal of the Hessian, a gradient that is added to another. Logits may
//! have a stride between rows, or the class axis anywhere ([`Logits`]).
//!
//! A batch runs on the threads of the current rayon pool (feature `rayon`, on by default) and at
//! the best [`Level`] of the machine; the result does not depend on the number of threads. All input
//! is checked before anything is written, and whatever is wrong with it is an [`Error`] that says
//! what was expected. An option that does not go with the others is refused when the loss is built.
//!
//! # Formats
//!
//! Logits are f64, f32 or, with the feature `half`, `bf16` and `f16` of the crate [`half`]. f64 is computed
//! in f64, the others in f32; what is not a logit or a gradient is in what is computed in. A gradient of
//! sixteen bits is that of f32 rounded once, or [not at all](Pass::wide_grad).
//!
//! ```
//! # #[cfg(feature = "half")] {
//! use half::bf16;
//! use xent::{Logits, SoftmaxCrossEntropy, Targets};
//!
//! let x = [2.0, 1.0, 0.0].map(bf16::from_f32);
//! let mut grad = [bf16::ZERO; 3];
//! let loss = SoftmaxCrossEntropy::new();
//! let value = loss.loss_and_grad(Logits::new(&x, 3)?, Targets::index(&[0_u8]), &mut grad)?;
//! assert!((value - 0.407606).abs() < 1e-6);
//! assert_eq!(grad[1], bf16::from_f32(0.24472848));
//! # }
//! # Ok::<(), xent::Error>(())
//! ```
//!
//! [`half`]: https://docs.rs/half
//!
//! # Whose answers they were held to
//!
//! The tests hold every loss, at every level, in f32 and f64, to the answers of others:
//!
//! | loss | cases | of |
//! |---|---|---|
//! | softmax, index targets (weights, smoothing, ignored labels) | 73 | PyTorch 2.15 |
//! | softmax, dense targets (weights, smoothing) | 74 | PyTorch 2.15 |
//! | sigmoid (weights, positive weights) | 72 | PyTorch 2.15 |
//! | multi-label softmax, both gradients | 12 | its formula in NumPy |
//! | logistic, negative log-likelihood, multinomial logistic | 54 | PyTorch 2.15; Caffe's formula |
//! | sigmoid focal | 15 | optax 0.2.8 |
//! | distillation, multi-label soft margin | 15 | PyTorch 2.15 |
//! | softmax focal, z-loss, soft cap | 35 | their formulas in PyTorch, in f64 |
//! | Hessians of scikit-learn, XGBoost and LightGBM | 10 | their formulas |
#![cfg_attr(not(any(feature = "rayon", feature = "ndarray", feature = "ndarray-0-16")), no_std)]
#![forbid(unsafe_code)]
// docs.rs says of each item which feature brings it.
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(any(feature = "ndarray", feature = "ndarray-0-16"))]
mod array;
mod error;
mod input;
mod losses;
mod pass;
pub mod predict;
mod reduction;

#[cfg(any(feature = "ndarray", feature = "ndarray-0-16"))]
pub use array::{ArrayLogits, ArrayLogitsMut};
pub use error::Error;
pub use input::{Logits, LogitsMut, Targets};
pub use losses::{
    Distillation, LogisticLoss, MultiLabelSoftMargin, MultiLabelSoftmax, MultinomialLogistic,
    NegativeLogLikelihood, SigmoidCrossEntropy, SoftmaxCrossEntropy,
};
pub use pass::{NotFinite, Pass, Report};
pub use reduction::{MeanOver, NothingValid, Preset, Reduction};
pub use xent_core::reduction::{Division, Policy};
pub use xent_core::{
    BatchCounts, Element, Error as InputError, Float, Hessian, Labels, Level, Shape, Values,
    labels_from_floats,
};

/// The examples of the package's first page are tested with those of the documentation.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
