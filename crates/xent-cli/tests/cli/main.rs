//! The program `xent`, run as users run it.

mod causes;
mod compare;
mod conventions;
mod device_files;
mod eval;
#[cfg(unix)]
mod faults;
mod folder;
mod formats;
mod inputs;
mod nonsense;
mod page;
mod peers;
mod precision;
mod probabilities;
mod quantisation;
mod tensors;
mod verdict;
mod words;
