//! The core of [xent](https://docs.rs/xent): fused cross-entropy losses and their gradients on plain slices, with SIMD
//! instructions chosen at run time, `no_std`, without allocation.
//!
//! It is for firmware, and for libraries that bring their own threads. Most programs should use the crate `xent`, which
//! adds reductions, shape types and rayon, and needs no level.
//!
//! ```
//! use xent_core::{Batch, Buffers, Level, SoftmaxBatch, SoftmaxTargets};
//!
//! // Two rows of three classes, with the labels 0 and 1.
//! let logits = [2.0, 1.0, 0.0, 0.0, 3.0, 0.0_f32];
//! let mut gradient = [0.0; 6];
//! let targets = SoftmaxTargets::Index((&[0_u8, 1]).into());
//! let batch = SoftmaxBatch::new(Buffers::gradient(&logits, &mut gradient), 3, targets)?;
//! let sum = batch.run(Level::detect());
//! assert!((sum - 0.50253).abs() < 1e-5);
//! # Ok::<(), xent_core::Error>(())
//! ```
//!
//! * [`Level`] is a set of instructions; detect it once and pass it on.
//! * [`SoftmaxBatch`], [`SigmoidBatch`] and [`LikelihoodBatch`] compute a loss and, in the same pass, its gradient.
//!   Building a batch checks all of its input; running it cannot fail.
//! * [`softmax_cross_entropy_row`] computes the loss of one row in little code, for firmware; [`evaluate_row`] is the same
//!   without a gradient, and [`Evaluation`] the mean loss and accuracy of rows as they come.
//! * [`PartialRow`] is a part of a row that is stored in several places; parts can be merged.
//! * [`exp`], [`ln`], [`log1p`], [`sigmoid`], [`max`], [`log_sum_exp`], [`softmax`] and [`log_softmax`] work on a slice.
//!
//! **How exact?** Losses and gradients of a softmax are within 4 ULP, plus one for each unit of distance between a logit
//! and the largest of its row; sigmoid losses are within 4 ULP, their gradients within 5. Each function states its bound.
//! All levels with fused multiply-add return the same bits.
//!
//! **How fast?** With AVX-512, loss and gradient with labels take 0.5 to 1.5 ns an element on one thread, depending on
//! the number of classes.
//!
//! **What does it cost to build?** A release build takes one to two minutes of processor time. Turn off the features
//! `avx2`, `avx512` or `f64` to compile less. A Cortex-M4F program with [`softmax_cross_entropy_row`] takes 1.3 KB of
//! flash for it.
//!
//! Logits can be any [`Element`]: f32 and (feature `f64`) f64 are computed as they are, bf16 and f16 (feature `half`) in
//! f32. [`widen`] and [`narrow`] convert.
#![no_std]
// docs.rs shows the feature that each item needs.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod batch;
mod dispatch;
mod error;
mod evaluation;
mod hessian;
mod kernel;
mod labels;
mod level;
mod losses;
mod math;
pub mod reduction;
mod shape;
mod simd;
mod slices;
mod tables;

pub use batch::{Batch, ForkJoin, InTurn};
pub use error::{Error, Values};
pub use evaluation::Evaluation;
pub use hessian::Hessian;
pub use kernel::sum::ExactSum as RunningSum;
pub use labels::Labels;
pub use level::Level;
#[cfg(all(target_arch = "wasm32", target_feature = "relaxed-simd"))]
pub use level::RelaxedSimd;
#[cfg(all(any(target_arch = "x86", target_arch = "x86_64"), target_feature = "sse2"))]
pub use level::{Avx2, Avx512};
pub use losses::{
    BatchCounts, Buffers, Element, Float, Gradient, LikelihoodBatch, LikelihoodInput,
    LikelihoodOptions, LogSumExpBatch, MultiLabel, NotFiniteRows, Outputs, PartialRow,
    Quantisation, RowEvaluation, RowWeights, SigmoidBatch, SigmoidInput, SigmoidOptions,
    SigmoidTargets, SoftmaxBatch, SoftmaxOptions, SoftmaxRows, SoftmaxShard, SoftmaxTargets,
    evaluate_quantised_row, evaluate_row, softmax_cross_entropy_row,
};
pub use shape::Shape;
pub use slices::{
    exp, labels_from_floats, ln, log_softmax, log_sum_exp, log1p, logit, max, narrow, sigmoid,
    softmax, unpack_i4, widen,
};

/// The examples of the package's README are tested with those of the documentation.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
