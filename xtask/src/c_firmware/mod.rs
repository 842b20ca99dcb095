//! `cargo xtask c-firmware`: runs the program of `embedded/c-cortex-m4` on an emulated device and on the host, and
//! requires the same bits.

mod device;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

use clap::Args;

use crate::{capi, cortex_m, packages, tools};

/// Options for a missing compiler or emulator.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// Installs what is missing: Rust targets with rustup, if it is there, and programs with Debian's apt-get,
    /// which never removes a package.
    #[arg(long)]
    install: bool,
}

/// Compiler options for every part of the program.
const STRICT: [&str; 4] = ["-std=c99", "-Wall", "-Wextra", "-Werror"];
/// About a hundred times its usual time; if it takes longer, it hangs.
const PATIENCE: Duration = Duration::from_secs(60);
/// The program prints this on a machine with other bits.
const NO_FMA: &str = "no fused multiply-add";

/// Builds both programs, runs them and compares what they print.
pub(crate) fn run(options: &Options) -> ExitCode {
    let tools = packages::provide(device::missing, options.install);
    match tools.and_then(|()| compare()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("{reason}");
            ExitCode::FAILURE
        }
    }
}

fn compare() -> Result<(), String> {
    let folder = crate::target_folder("c-firmware");
    fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let image = device::build(&folder)?;
    let host = build(&folder)?;
    let here = tools::output_within(PATIENCE, &mut Command::new(&host)).map_err(explain)?;
    let there = cortex_m::run(&image, &[], PATIENCE)?;
    let lines = same_lines(&here, &there)?;
    println!("{lines} lines, every bit the same on the device and on the host");
    device::size(&image)
}

/// Explains a failure on this machine.
fn explain(error: String) -> String {
    if error.ends_with(NO_FMA) {
        format!("this machine has {NO_FMA}, so its results do not have the bits of a Cortex-M4F")
    } else {
        error
    }
}

fn source(name: &str) -> PathBuf {
    crate::root().join("embedded/c-cortex-m4").join(name)
}

fn header() -> PathBuf {
    crate::root().join("crates/xent-capi/include")
}

/// The program for this machine.
fn build(folder: &Path) -> Result<PathBuf, String> {
    let library = capi::build(false)?;
    let program = folder.join("host");
    let mut cc = Command::new(tools::named("CC", "cc"));
    cc.args(STRICT).args(["-O1", "-pedantic", "-I"]).arg(header());
    cc.args(["main.c", "host.c"].map(source)).arg(&library.archive).args(&library.needs);
    tools::succeed(cc.arg("-o").arg(&program))?;
    Ok(program)
}

/// The number of lines, if all are the same.
fn same_lines(here: &str, there: &str) -> Result<usize, String> {
    let (mut ours, mut theirs) = (here.lines(), there.lines());
    let mut count = 0;
    loop {
        match (ours.next(), theirs.next()) {
            (None, None) if count == 0 => return Err("the programs print nothing".into()),
            (None, None) => return Ok(count),
            (ours, theirs) if ours == theirs => count += 1,
            (ours, theirs) => {
                let [ours, theirs] = [ours, theirs].map(|line| line.unwrap_or("nothing more"));
                return Err(format!("line {}: {theirs} on the device, {ours} here", count + 1));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_without_fma_is_told_from_a_failure() {
        assert!(
            explain(format!("host failed; it printed last\n{NO_FMA}")).starts_with("this machine")
        );
        assert_eq!(explain("host failed".into()), "host failed");
    }

    #[test]
    fn lines_are_compared_to_the_end() {
        assert_eq!(same_lines("a\nb\n", "a\r\nb\n"), Ok(2));
        for (here, there) in [("", ""), ("a\nb\n", "a\n"), ("a\n", "a\nb\n"), ("a\nb\n", "a\nc\n")]
        {
            assert!(same_lines(here, there).is_err(), "{here:?} {there:?}");
        }
    }
}
