//! `xent-mpi`: evaluates logits whose classes are in a file for each rank, and measures what communication costs. Started
//! by `mpirun`.
#![forbid(unsafe_code)]

mod eval;
mod measure;
mod plan;

use std::process::ExitCode;

use clap::Parser;
use mpi::Threading;
use mpi::traits::Communicator;

/// Softmax cross-entropy over MPI ranks.
#[derive(Debug, Parser)]
#[command(version, about)]
enum Command {
    /// Prints the mean loss and the accuracy of logits whose classes are cut over files.
    ///
    /// Example: mpirun -n 2 xent-mpi eval logits.%r.npy labels.npy
    Eval(eval::Options),
    /// Measures loss and gradient of made-up logits, the same work without communication, and messages of two ranks.
    Measure(measure::Options),
    /// Prints what ranks would send each other for a vocabulary and a batch, by a model (without mpirun).
    Plan(plan::Options),
}

fn main() -> ExitCode {
    let command = Command::parse();
    if let Command::Plan(options) = &command {
        plan::run(options);
        return ExitCode::SUCCESS;
    }
    let Some((universe, threading)) = mpi::initialize_with_threading(Threading::Funneled) else {
        eprintln!("MPI is running already");
        return ExitCode::FAILURE;
    };
    if threading < Threading::Funneled {
        eprintln!("this MPI library does not allow threads beside it: {threading:?}");
        return ExitCode::FAILURE;
    }
    xent_mpi::abort_on_panic();
    let world = universe.world();
    let result = match command {
        Command::Eval(options) => eval::run(&world, &options),
        Command::Measure(options) => measure::run(&world, &options),
        Command::Plan(_) => Ok(()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Every rank has the same.
            if world.rank() == 0 {
                eprintln!("{error}");
            }
            ExitCode::from(2)
        }
    }
}
