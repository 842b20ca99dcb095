//! `cargo xtask integrations`: the losses for candle and burn, each in a workspace of its own.

use std::process::{Command, ExitCode};
use std::time::Instant;

use clap::Args;

use crate::tools;

/// What is checked.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// Checks the library xent-candle with Clippy, without making code: nothing runs. It takes less than two minutes of
    /// processor time from an empty target folder. (In full, building the tests of candle takes 10 and of burn 14 minutes;
    /// the tests themselves take seconds.)
    #[arg(long)]
    quick: bool,
}

pub(crate) fn run(options: &Options) -> ExitCode {
    let all = if options.quick { &["candle"][..] } else { &["candle", "burn"] };
    for name in all {
        if let Err(error) = check(name, options.quick) {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

fn check(name: &str, quick: bool) -> Result<(), String> {
    let targets = if quick { "--lib" } else { "--all-targets" };
    let steps: [(&str, &[&str], &[&str]); 3] = [
        ("fmt", &[], &["--check"]),
        ("clippy", &["--release", "--locked", targets], &["--", "-D", "warnings"]),
        ("test", &["--release", "--locked"], &[]),
    ];
    for (command, before, after) in &steps[..if quick { 2 } else { 3 }] {
        let started = Instant::now();
        let mut cargo = Command::new("cargo");
        cargo.arg(command).args(*before).args(*after);
        cargo.current_dir(crate::root().join("integrations").join(name));
        tools::succeed(cargo.env("CARGO_TARGET_DIR", crate::target_folder(name)))?;
        println!("{name}: {command} after {:.0} s", started.elapsed().as_secs_f64());
    }
    Ok(())
}
