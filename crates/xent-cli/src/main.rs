//! The program `xent`: what a model's saved outputs are worth.
//!
//! `xent eval` computes a loss of logits in a `.npy` or `.safetensors` file, and if asked its gradient,
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
mod number;
mod output;
mod printed;
mod progress;
mod summary;
mod targets;

use std::process::ExitCode;

use clap::Parser;

use args::{Cli, Command};

fn main() -> ExitCode {
    interrupt::install();
    let done = match Cli::parse().command {
        Command::Eval(args) => eval::run(&args).map(|()| true),
        Command::Compare(args) => compare::run(&args),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(failure) => failure.report(),
    }
}
