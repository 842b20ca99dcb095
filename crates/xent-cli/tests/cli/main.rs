//! The program `xent`, run as its user runs it.

mod compare;
mod conventions;
mod eval;
#[cfg(unix)]
mod faults;
mod folder;
mod formats;
mod inputs;
mod nonsense;
mod precision;
mod tensors;
mod words;
