//! The program `xent`, run as its user runs it.

mod compare;
mod eval;
#[cfg(unix)]
mod faults;
mod folder;
mod formats;
mod precision;
mod tensors;
