//! `cargo xtask package`: packs every public crate, and builds and tests programs outside the workspace from the
//! packed files only.

mod crates;
mod outside;
mod packed;
mod semver;
mod toolchain;

use std::process::ExitCode;
use std::time::Instant;

use clap::Args;

use crate::foreign::{Foreign, Library};
use crate::packages::{self, Missing};
use outside::{DEVICE, Outside, PROGRAMS, WEB};
use toolchain::Toolchain;

/// What to check.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// Leaves out the tests and the documentation of the packages: a minute or two instead of ten.
    #[arg(long)]
    quick: bool,
    /// Installs what is missing: the oldest supported compiler and targets with rustup, programs with Debian's
    /// apt-get, which never removes a package, and, without --quick, cargo-semver-checks with cargo.
    #[arg(long)]
    install: bool,
}

/// Packs, builds and tests.
pub(crate) fn run(options: &Options) -> ExitCode {
    match check(options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("{reason}");
            ExitCode::FAILURE
        }
    }
}

fn check(options: &Options) -> Result<(), String> {
    let targets: &[_] = if options.quick { &[DEVICE] } else { &[DEVICE, WEB] };
    let missing = || {
        let targets = targets.iter().filter_map(|triple| Foreign::missing(triple, Library::Core));
        targets.chain(Missing::program("tar", &["tar"])).collect()
    };
    packages::provide(missing, options.install)?;

    let crates = crates::published()?;
    let started = Instant::now();
    let step = |what: &str| println!("\n{what} (after {} s)", started.elapsed().as_secs());

    step("The packages, in the order in which they are published");
    packed::pack(&crates)?;
    for one in &crates {
        println!("{}", packed::unpack(one)?);
    }
    step("Each package alone, where only those that it is built from are published");
    for one in &crates {
        packed::pack_alone(one, &crates)?;
        println!("{}: ok", one.name);
    }

    let outside = Outside::new(&crates)?;
    for program in &PROGRAMS {
        step(&format!("A program outside of the workspace: {}", program.what));
        outside.test(program)?;
    }
    step("Without std: both libraries for a Cortex-M4F");
    outside.check_without_std(&Foreign::find(DEVICE, Library::Core)?)?;

    let minimum = crates::rust_version(&crates)?;
    let oldest = Toolchain::oldest(minimum, options.install)?;
    step(&format!("All features by the oldest compiler: {minimum} is supported, {oldest} is used"));
    outside.check_all_features(&crates, &oldest)?;

    if !options.quick {
        step("The tests that are in the packages");
        outside.test_packages(&crates)?;
        step("The documentation, as docs.rs makes it");
        for one in &crates {
            outside.document(one)?;
        }
    }

    step("The interface, compared with that of the last version");
    // Compiling the tool takes longer than a whole quick run.
    println!("{}", semver::check(&crates, options.install && !options.quick)?);
    Ok(())
}
