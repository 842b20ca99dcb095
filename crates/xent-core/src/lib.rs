//! The core of [xent](https://docs.rs/xent): fused cross-entropy losses on plain slices, vectorised,
//! without `std`, without `alloc`, without a panic on data.
//!
//! * [`Level`] says which instructions to use; choose it once.
//! * [`SoftmaxBatch`] and [`SigmoidBatch`] give the loss and, in the same pass, its gradient.
//!   Whatever can be wrong with the input is found when they are built.
//! * [`softmax_cross_entropy_row`] is the loss of one row in little code, for firmware; [`evaluate_row`] is it
//!   without a gradient, and [`Evaluation`] the mean and accuracy of rows as they come.
//! * [`PartialRow`] is a part of a row that is in several places; parts are merged.
//! * [`exp`], [`ln`], [`log1p`], [`sigmoid`], [`max`], [`log_sum_exp`], [`softmax`] and
//!   [`log_softmax`] are the parts that may be of use on their own.
//!
//! Logits are of any [`Element`]: f32 and (feature `f64`) f64 are computed in themselves, bf16 and f16
//! (feature `half`) in f32. [`widen`] and [`narrow`] convert.
//!
//! Most users want the crate `xent`, which has reductions and needs no level; this one is for
//! firmware and for libraries that bring their own threads ([`Batch`]).
#![no_std]

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

pub use batch::{Batch, ForkJoin};
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
    BatchCounts, Buffers, Element, Float, LikelihoodBatch, LikelihoodInput, LogSumExpBatch,
    MultiLabel, NotFiniteRows, Outputs, PartialRow, RowEvaluation, RowWeights, SigmoidBatch,
    SigmoidInput, SigmoidOptions, SigmoidTargets, SoftmaxBatch, SoftmaxOptions, SoftmaxTargets,
    evaluate_row, softmax_cross_entropy_row,
};
pub use shape::Shape;
pub use slices::{
    exp, labels_from_floats, ln, log_softmax, log_sum_exp, log1p, logit, max, narrow, sigmoid,
    softmax, widen,
};
