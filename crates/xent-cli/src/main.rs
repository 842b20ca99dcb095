//! The program `xent`; its library has all of it.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    xent_cli::run(std::env::args_os())
}
