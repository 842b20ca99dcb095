//! The program `xent`: evaluates and compares saved outputs of a model.
//!
//! It is for people who have a model's outputs in files and want their loss, accuracy or gradient, or want to know
//! whether two devices agree.
//!
//! ```text
//! xent eval --loss softmax --input logits.npy --targets labels.npy --grad-out grad.npy
//! xent compare --reference desktop.npy --candidate device.npy --max-abs 1e-3
//! ```
//!
//! * `xent eval` computes a loss of logits in a file (`.npy`, `.npz`, `.safetensors`, raw numbers, `.csv`, JSON lines or
//!   an array of C) and, on request, its gradient, the losses of the rows and the Hessian.
//! * `xent compare` compares the outputs of one model with those of another, in ULP, in steps of a quantised output,
//!   absolutely, or relative to the reference, and names simple causes of a difference.
//!
//! Arrays are read and written in parts, so they may be larger than memory. Results have the accuracy and the bits of
//! the crate `xent`: f64 logits are computed in f64, all others in f32. A computation runs on all threads, and is
//! usually limited by reading the file. `xent eval --help` lists every option.
//!
//! The library exists so that tests and fuzzers can run the program without starting a process:
//!
//! ```
//! let words = "xent eval --loss softmax --input none.npy --targets none.npy";
//! let error = xent_cli::evaluate(words.split(' ').map(Into::into)).unwrap_err();
//! assert!(error.starts_with("none.npy: "));
//! ```
#![forbid(unsafe_code)]

mod args;
mod array;
mod chosen;
mod compare;
mod eval;
mod failure;
mod interrupt;
mod judge;
mod layout;
mod machine;
mod number;
mod output;
mod printed;
mod probabilities;
mod progress;
mod summary;
mod targets;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser;

use args::{Cli, Command};
use failure::Failure;

/// Runs the program with these arguments, the first of which is its name. If they are not a valid command, it
/// prints why and exits.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    interrupt::install();
    let done = match Cli::parse_from(arguments).command {
        Command::Eval(args) => eval::run(&args).map(|()| true),
        Command::Compare(args) => compare::run(&args),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(failure) => failure.report(),
    }
}

/// [`run`] for `xent eval`, without printing, for programs that run it many times. An error says why the input was
/// refused.
#[doc(hidden)]
pub fn evaluate(arguments: impl IntoIterator<Item = OsString>) -> Result<(), String> {
    let done = match parse(arguments)? {
        Command::Eval(args) => eval::evaluate(&args).map(drop),
        Command::Compare(_) => Err(Failure::argument("expected eval")),
    };
    done.map_err(|failure| failure.to_string())
}

/// [`run`] for `xent compare`, for programs that do more: whether everything is within the tolerance, or why the
/// input was refused.
#[doc(hidden)]
pub fn compare(arguments: impl IntoIterator<Item = OsString>) -> Result<bool, String> {
    let done = match parse(arguments)? {
        Command::Compare(args) => compare::run(&args),
        Command::Eval(_) => Err(Failure::argument("expected compare")),
    };
    done.map_err(|failure| failure.to_string())
}

fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Command, String> {
    Cli::try_parse_from(arguments).map(|cli| cli.command).map_err(|error| error.to_string())
}
