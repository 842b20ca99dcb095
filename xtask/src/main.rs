//! Checks of the xent workspace.

mod bench;
mod bounds;
mod format;
mod mutants;
mod progress;
mod rows;
mod same;
mod table;
mod ulp;
mod verify;

use std::process::ExitCode;

use clap::Parser;

/// Checks the accuracy and the speed of xent, at every level of this machine.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask")]
enum Command {
    /// Checks every public function over edge rows, random rows and extreme values.
    Verify {
        /// Fewer random rows: seconds instead of minutes.
        #[arg(long)]
        quick: bool,
    },
    /// Checks exp, ln, log1p and sigmoid over every float of their domains and many an f64, and the
    /// conversions of every number.
    Ulp {
        /// Every 257th float, and fewer f64: seconds instead of minutes.
        #[arg(long)]
        quick: bool,
        /// Print the table of README.md.
        #[arg(long)]
        table: bool,
    },
    /// Measures the speed of every loss beside a copy of the same memory, in turns.
    Bench(bench::Options),
    /// Counts the mutants of the core and of xent that the tests kill; needs cargo-mutants.
    Mutants(mutants::Options),
}

fn main() -> ExitCode {
    let (findings, text) = match Command::parse() {
        Command::Verify { quick } => {
            let findings = verify::run(quick);
            let text = findings.to_text();
            (findings, text)
        }
        Command::Ulp { quick, table } => {
            let findings = ulp::run(quick);
            let text = if table { findings.to_markdown() } else { findings.to_text() };
            (findings, text)
        }
        Command::Bench(options) => return bench::run(&options),
        Command::Mutants(options) => return mutants::run(&options),
    };
    print!("{text}");
    match findings.failures() {
        0 => ExitCode::SUCCESS,
        failures => {
            eprintln!("{failures} lines are above their bound");
            ExitCode::FAILURE
        }
    }
}
