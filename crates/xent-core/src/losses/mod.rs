//! The fused losses, as batches.

mod likelihood;
mod odd_row;
mod rows;
mod sigmoid;
mod softmax;

pub use likelihood::{LikelihoodBatch, LikelihoodInput};
pub use rows::{Outputs, RowWeights, Tally};
pub use sigmoid::{SigmoidBatch, SigmoidInput, SigmoidOptions, SigmoidTargets};
pub use softmax::{MultiLabel, SoftmaxBatch, SoftmaxOptions, SoftmaxTargets};
