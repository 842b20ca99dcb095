//! Softmax cross-entropy over the ranks of an MPI communicator: for a vocabulary or a batch that no machine holds.
//!
//! * [`ShardedSoftmax`]: the classes of every row are cut over the ranks (a vocabulary too large for one).
//! * [`ShardedLinear`]: the same for the last layer and its loss in one, whose logits never exist as a whole.
//! * [`DataParallel`]: the rows are cut over the ranks.
//!
//! ```no_run
//! use xent_core::SoftmaxOptions;
//! use xent_mpi::ShardedSoftmax;
//!
//! let (universe, _) = mpi::initialize_with_threading(mpi::Threading::Funneled).unwrap();
//! let world = universe.world();
//! let loss = ShardedSoftmax::new(&world, 128_256, SoftmaxOptions::default());
//!
//! // Two rows, of which this rank has the classes `loss.shard()`.
//! let logits = vec![0.5_f32; 2 * loss.shard().len()];
//! let mut gradient = vec![0.0; logits.len()];
//! let value = loss.loss_and_gradient(&logits, &[17_i64, 99_999], &mut gradient)?;
//! assert!((value - 128_256_f64.ln()).abs() < 1e-6);
//! # Ok::<(), xent_mpi::Error>(())
//! ```
//!
//! * **The same bits** as one process, for any number of ranks and threads, any cut, and any [`Messages`]: what ranks send
//!   each other are the sums of complete runs of a row's tiles ([`SoftmaxShard`](xent_core::SoftmaxShard)), which every
//!   rank merges by one tree. No sum is left to MPI, whose order follows the number of ranks and the length of messages.
//!   (On machines of which some have fused multiply-add and some have not, results are valid but those of neither kind.)
//! * **How exact:** as the losses of the core: 4 units in the last place, plus one for each unit of distance between a
//!   logit and the largest of its row.
//! * **What is sent:** for each row and run of tiles 16 bytes (f32; with smoothed labels 40) and 5 or 1 more a row. A rank
//!   with 2^n tiles of 4096 classes that start at a multiple of 2^n has one run. Messages of some rows are on their way
//!   while the sums of the next are computed.
//! * **Errors** are the same on every rank, before anything is written: a label out of range on one, or other options, are
//!   told to all ([`Error`]). A rank that dies ends the job, as MPI does it.
//! * **Panics:** a rank that panics would wait in `MPI_Finalize` for ranks that wait for it: call [`abort_on_panic`] once.
//! * **Threads:** each rank uses the current rayon pool, and calls MPI from the calling thread alone
//!   (`Threading::Funneled`).
//! * **What it needs:** an MPI library (tested with Open MPI 4.1) and libclang to build.
#![forbid(unsafe_code)]

mod agree;
mod cut;
mod data_parallel;
mod error;
mod exchange;
mod linear;
mod messages;
mod pass;
mod setup;
mod softmax;

pub use agree::{abort_on_panic, all_or_none};
pub use cut::even_shards;
pub use data_parallel::DataParallel;
pub use error::{Error, Kind, What};
pub use exchange::Messages;
pub use linear::{LayerGradients, ShardedLinear};
pub use pass::{Pass, Report};
pub use softmax::ShardedSoftmax;

/// The example of README.md is compiled with those of the documentation.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
