//! The program `xent`; all of it is in the library.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    xent_cli::run(std::env::args_os())
}
