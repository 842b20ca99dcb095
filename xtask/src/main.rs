//! Checks of the xent workspace, for its contributors: `cargo xtask <command>`.
//!
//! `cargo xtask --help` lists the commands, and CONTRIBUTING.md says which one checks what and how long it takes.
//! Most of them compare with a record or with the oracle `xent-reference`, print a table, and fail if anything is
//! out of bounds. Building it compiles every loss in every format: minutes from an empty target directory.
//!
//! ```sh
//! cargo xtask verify --quick
//! ```
#![forbid(unsafe_code)]

mod bench;
mod bounds;
mod c_firmware;
mod capi;
mod cortex_m;
mod cost;
mod digests;
mod firmware;
mod foreign;
mod format;
mod fuzz;
mod install_c;
mod integrations;
mod mpi;
mod mutants;
mod npy;
mod package;
mod packages;
mod portability;
mod progress;
mod python;
mod rows;
mod same;
mod sanitize;
mod supply_chain;
mod table;
mod tools;
mod ulp;
mod verify;
mod web;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;

/// Checks the accuracy, speed and memory safety of xent, at every level of this machine.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask")]
enum Command {
    /// Checks every public function on edge cases, random rows and extreme values.
    Verify {
        /// Fewer random rows: seconds instead of minutes.
        #[arg(long)]
        quick: bool,
    },
    /// Searches for the worst errors, of exp, ln, log1p and sigmoid over every f32 and many f64, and of losses and
    /// gradients by directed search; and compares them with those on record.
    Ulp(ulp::Options),
    /// Compares digests of all results, at every level and in every format, with those on record; and checks that
    /// the arrangement of slices and the number of threads make no difference.
    Digests {
        /// Record new digests instead: only if results were meant to change.
        #[arg(long)]
        record: bool,
    },
    /// Measures the speed of every loss, in turns with a copy of the same memory.
    Bench(bench::Options),
    /// Checks the workspace's dependencies: licences, duplicates, sources and advisories by deny.toml, and those of
    /// xent-core by name.
    SupplyChain,
    /// Packs every public crate; builds and tests programs outside of the workspace from the packages alone, with the
    /// oldest supported compiler, too; and compares the interface with that of the last version.
    Package(package::Options),
    /// Runs the tests under AddressSanitizer, with a nightly toolchain or the current one; skipped if neither
    /// includes it.
    Sanitize {
        /// Only the core's tests that run every kernel.
        #[arg(long)]
        quick: bool,
    },
    /// Runs the tests on other machines, most of them emulated, and compares their digests.
    Portability(portability::Options),
    /// Runs the firmware of embedded/cortex-m4 in an emulator, compares all bits of its results with the host's,
    /// and reports flash, stack and time.
    Firmware(firmware::Options),
    /// Runs the fuzz targets, and reports their findings.
    Fuzz(fuzz::Options),
    /// Builds integrations/mpi, runs its tests under mpirun with several numbers of ranks, compares their digests, and
    /// measures what communication costs.
    Mpi(mpi::Options),
    /// Builds the Python package as a wheel, installs it into an environment of its own, and runs its tests, also those
    /// with PyTorch, JAX and the libraries of gradient boosting.
    Python(python::Options),
    /// Formats, lints and tests integrations/candle and integrations/burn, whose frameworks take minutes to build.
    Integrations(integrations::Options),
    /// Counts how many mutants of the core and of xent the tests kill; needs cargo-mutants.
    Mutants(mutants::Options),
    /// Builds the page of examples/web; serves it, or tests it in a browser.
    Web(web::Options),
    /// Installs the C interface into a folder: the header, the static and the shared library, and the file for
    /// pkg-config.
    InstallC(install_c::Options),
    /// Runs a C program on an emulated Cortex-M4F without an operating system and on the host, and requires the
    /// same bits.
    CFirmware(c_firmware::Options),
    /// Builds programs that depend on xent in an empty folder; prints build time and size; fails if kernel
    /// instances or code grow, or if a debug build is slow.
    Cost(cost::Options),
}

/// The folder of the workspace, wherever the command runs.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask is in the workspace").into()
}

/// A folder in the target folder of this program.
fn target_folder(name: &str) -> PathBuf {
    let program = std::env::current_exe().expect("this program is a file");
    program.ancestors().nth(2).expect("cargo puts it in a folder of a profile").join(name)
}

/// The path of a program that is run by its name.
fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file())
}

fn main() -> ExitCode {
    let findings = match Command::parse() {
        Command::Verify { quick } => verify::run(quick),
        Command::Ulp(options) => return ulp::run(&options),
        Command::Digests { record } => return digests::run(record),
        Command::Bench(options) => return bench::run(&options),
        Command::SupplyChain => return supply_chain::run(),
        Command::Package(options) => return package::run(&options),
        Command::Sanitize { quick } => return sanitize::run(quick),
        Command::Portability(options) => return portability::run(&options),
        Command::Firmware(options) => return firmware::run(&options),
        Command::Fuzz(options) => return fuzz::run(&options),
        Command::Mpi(options) => return mpi::run(&options),
        Command::Python(options) => return python::run(&options),
        Command::Integrations(options) => return integrations::run(&options),
        Command::Mutants(options) => return mutants::run(&options),
        Command::Web(options) => return web::run(&options),
        Command::InstallC(options) => return install_c::run(&options),
        Command::CFirmware(options) => return c_firmware::run(&options),
        Command::Cost(options) => return cost::run(&options),
    };
    print!("{}", findings.to_text());
    match findings.failures() {
        0 => ExitCode::SUCCESS,
        failures => {
            eprintln!("{failures} results exceed their bounds");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_of_the_readme_is_one() {
        let readme = std::fs::read_to_string(root().join("README.md")).expect("README.md");
        let commands: Vec<&str> = readme
            .split("cargo xtask ")
            .skip(1)
            .map(|text| text.split(['`', '\n', '#', '\\']).next().unwrap_or_default().trim())
            .filter(|command| !command.is_empty())
            .collect();
        assert!(commands.len() > 10, "{commands:?}");
        for command in commands {
            let words = ["cargo xtask"].into_iter().chain(command.split_whitespace());
            let parsed = Command::try_parse_from(words);
            assert!(parsed.is_ok(), "{command}: {}", parsed.expect_err("a reason"));
        }
    }
}
