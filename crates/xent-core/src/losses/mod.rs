//! The fused losses, as batches.

mod buffers;
mod checks;
mod choose;
mod chunk;
mod degenerate_row;
mod element_counts;
mod element_tiles;
mod format;
mod labels;
mod likelihood;
mod log_sum_exp;
mod not_finite;
mod one_row;
mod partial_row;
mod quantisation;
mod rows;
mod scratch;
mod scratch_rows;
mod scratch_tiles;
mod sigmoid;
mod softmax;
mod softmax_spec;
mod softmax_targets;

pub use buffers::{Buffers, Gradient};
pub use format::{Element, Float};
pub use likelihood::{LikelihoodBatch, LikelihoodInput, LikelihoodOptions};
pub use log_sum_exp::LogSumExpBatch;
pub use not_finite::NotFiniteRows;
pub use one_row::{RowEvaluation, evaluate_quantised_row, evaluate_row, softmax_cross_entropy_row};
pub use partial_row::PartialRow;
pub use quantisation::Quantisation;
pub use rows::{BatchCounts, Outputs, RowWeights};
pub use sigmoid::{SigmoidBatch, SigmoidInput, SigmoidOptions, SigmoidTargets};
pub use softmax::SoftmaxBatch;
pub use softmax_targets::{MultiLabel, SoftmaxOptions, SoftmaxTargets};
