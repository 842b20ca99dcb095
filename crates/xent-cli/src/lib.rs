//! The program `xent`: what a model's saved outputs are worth.
//!
//! `xent eval` computes a loss of logits in a `.npy`, `.npz` or `.safetensors` file, and if asked its gradient,
//! the losses of the rows and the Hessian; `xent compare` holds one model's outputs against another's.
//! Arrays are read and written in parts, so that they need not fit in memory.
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
mod progress;
mod summary;
mod targets;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser;

use args::{Cli, Command};
use failure::Failure;

/// Runs the program with these arguments, the first of which is its name; where they are no command, it
/// says so and exits.
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

/// [`run`] of `xent eval` without a word printed, for programs that run it many times: the reason, where
/// it was refused.
#[doc(hidden)]
pub fn evaluate(arguments: impl IntoIterator<Item = OsString>) -> Result<(), String> {
    let done = match parse(arguments)? {
        Command::Eval(args) => eval::evaluate(&args).map(drop),
        Command::Compare(_) => Err(Failure::argument("expected eval")),
    };
    done.map_err(|failure| failure.to_string())
}

/// [`run`] of `xent compare` for a program that is more than that: whether all is within the tolerance, or why
/// it was refused.
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
