//! The program `xent`, run as its user runs it.

mod compare;
mod eval;
mod folder;
mod formats;
mod precision;
mod tensors;
