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
mod number;
mod output;
mod progress;
mod summary;
mod targets;

use std::process::ExitCode;

use clap::Parser;

use args::{Cli, Command};

/// What a shell is told where something was wrong with the arguments or the files.
const REFUSED: u8 = 2;

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Eval(args) => eval::run(&args).map(|()| true),
        Command::Compare(args) => compare::run(&args),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(failure) => {
            eprintln!("xent: {failure}");
            ExitCode::from(REFUSED)
        }
    }
}
