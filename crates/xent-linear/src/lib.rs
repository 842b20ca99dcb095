//! The last layer of a classifier and its loss in one: softmax cross-entropy of `X Wᵀ + b` and the gradients by `X`,
//! `W` and `b`, without the logits of all rows in memory.
#![deny(unsafe_code)]

mod chunk;
mod error;
mod filter;
mod layer;
mod loss;
mod pass;
#[allow(unsafe_code, reason = "calls of the product of matrices, each argued")]
mod product;
mod top_k;
mod workspace;

pub use error::Error;
pub use layer::{Layer, Number};
pub use loss::LinearCrossEntropy;
pub use pass::{LinearPass, LinearReport};
pub use workspace::Workspace;
pub use xent_core::reduction::Policy;
pub use xent_core::{SoftmaxOptions, SoftmaxTargets};
