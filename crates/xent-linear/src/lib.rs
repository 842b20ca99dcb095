//! The last layer of a classifier and its loss in one: softmax cross-entropy of the logits `X Wᵀ + b`, and its gradients
//! by `X`, `W` and `b`, without the logits of all rows in memory.
//!
//! For those who train a model with many classes on CPUs: a language model, a recommender. There the last layer takes
//! most of the time, and its logits most of the memory.
//!
//! ```
//! use xent_linear::{Layer, LinearCrossEntropy, LinearPass, SoftmaxOptions, Workspace};
//!
//! // Two rows of two inputs; three classes with two weights and a bias each.
//! let (x, w, b) = ([1.0, 0.0, 0.0, 1.0_f32], [2.0, 0.0, 0.0, 3.0, 1.0, 1.0], [0.0; 3]);
//! let labels = [0_i64, -100];
//!
//! let options = SoftmaxOptions { ignore_index: Some(-100), ..SoftmaxOptions::default() };
//! let loss = LinearCrossEntropy::new(options)?;
//! let mut workspace = Workspace::new(); // kept from call to call
//!
//! let (mut dx, mut dw, mut db) = ([0.0; 4], [0.0; 6], [0.0; 3]);
//! let pass = LinearPass::new().grad_inputs(&mut dx).grad_weights(&mut dw).grad_bias(&mut db);
//! let layer = Layer::new(&x, &w, 2)?.with_bias(&b)?;
//! let report = loss.evaluate(layer, &labels, pass, &mut workspace)?;
//! assert!((report.loss - 0.407606).abs() < 1e-6);
//! assert_eq!(dx[2..], [0.0; 2]); // of the row that is ignored
//! # Ok::<(), xent_linear::Error>(())
//! ```
//!
//! * **What it computes:** every option of a [`SoftmaxBatch`](xent_core::SoftmaxBatch) ([`SoftmaxOptions`]), with labels,
//!   dense targets, multi-label targets or a teacher's logits ([`SoftmaxTargets`]); reductions ([`Policy`]); gradients
//!   that are written, added, or left out; the loss, log-sum-exp, class and largest classes of each row ([`LinearPass`]).
//!   Rows that are ignored or have a weight of zero are in no product.
//! * **How:** some rows at a time, at least 256 if 63 MiB hold their logits: a product makes their logits, the loss puts
//!   its gradient in their place, and two products more make the gradients of the layer. Nothing is computed twice.
//! * **How fast:** the three products take nearly all of the time: loss and gradients take 1.0 to 1.1 times as long as
//!   these alone (`docs/linear.md` of the repository). They are those of the crate [`matrixmultiply`], on the threads of
//!   the current rayon pool. A [filter](LinearCrossEntropy::with_gradient_filter) leaves small parts of two of them out.
//! * **How much memory:** a [`Workspace`] of at most 60 MiB, up to 64 MiB with many classes (a row of logits, with
//!   more than 16 million); about 1.1 MiB for each thread.
//! * **How exact:** a logit is within `n ε/2` times the sum of the absolute values of its terms, with `n` the number of
//!   inputs, at most 256, plus one for each 256, and ε = 2^-23 (f64: 2^-52); so are the sums over classes and rows of the
//!   gradients. What is between is as exact as the loss of the core: 4 units in the last place, and one more for each unit
//!   of distance between a logit and the largest of its row. The gradient of the bias is added up in f64.
//! * **The same bits** for any number of threads, any workspace, any level with fused multiply-add, and whatever else the
//!   pass asks for: the product adds up 256 terms at a time, each time by a chain of fused multiply-adds, in order,
//!   however it is cut. Losses and gradients of the logits are those of the core for these logits. On a machine without
//!   fused multiply-add they are others.
//! * **Formats:** f32, f64 (feature `f64`), bf16 and f16 (feature `half`; computed in f32, with gradients of f32).
//! * **What it costs to build:** the kernels of `xent-core`, rayon, and `matrixmultiply` with one dependency.
//!
//! [`matrixmultiply`]: https://docs.rs/matrixmultiply
#![deny(unsafe_code)]
// docs.rs shows the feature that each item needs.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod chunk;
mod error;
mod filter;
mod layer;
mod loss;
mod pass;
mod plan;
#[allow(unsafe_code, reason = "the call of the product of matrices, which is argued there")]
mod product;
mod products;
mod task;
mod top_k;
mod workspace;

pub use error::Error;
pub use layer::{Layer, Number};
pub use loss::LinearCrossEntropy;
pub use pass::{LinearPass, LinearReport};
pub use products::Products;
pub use workspace::Workspace;
pub use xent_core::reduction::Policy;
pub use xent_core::{SoftmaxOptions, SoftmaxTargets};

/// The examples of the package's first page are tested with those of the documentation.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
