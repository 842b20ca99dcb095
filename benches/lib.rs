//! What the benchmarks share: a table of contestants, each asked the same question of every shape,
//! whose answers must agree before anything is timed.
#![forbid(unsafe_code)]

mod case;
mod contest;
#[cfg(feature = "peers")]
pub mod peers;

pub use case::{Case, ROWS};
pub use contest::{Answer, Contestant, Entry, compare, main};
