//! Shared by the benchmarks: a table of contestants. Each computes the same for every shape, and
//! their results must agree before anything is timed.
#![forbid(unsafe_code)]

mod case;
mod contest;
#[cfg(feature = "peers")]
pub mod peers;

pub use case::{Case, ROWS};
pub use contest::{Answer, Contestant, Entry, compare, main};
