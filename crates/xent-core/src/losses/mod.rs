//! The fused losses, as batches.

mod buffers;
mod checks;
mod converted;
mod element_counts;
mod element_tiles;
mod format;
mod labels;
mod leaf;
mod likelihood;
mod log_sum_exp;
mod not_finite;
mod odd_row;
mod one_row;
mod partial_row;
mod rows;
mod sigmoid;
mod softmax;
mod window;
mod windows;

pub use buffers::Buffers;
pub use format::{Element, Float};
pub use likelihood::{LikelihoodBatch, LikelihoodInput};
pub use log_sum_exp::LogSumExpBatch;
pub use not_finite::NotFiniteRows;
pub use one_row::{RowEvaluation, evaluate_row, softmax_cross_entropy_row};
pub use partial_row::PartialRow;
pub use rows::{Outputs, RowWeights, Tally};
pub use sigmoid::{SigmoidBatch, SigmoidInput, SigmoidOptions, SigmoidTargets};
pub use softmax::{MultiLabel, SoftmaxBatch, SoftmaxOptions, SoftmaxTargets};
