//! `cargo xtask cost`: the costs of depending on `xent`: build time, program size, and the speed of a debug build.

mod dependent;
mod device;
mod record;
mod speed;
mod symbols;
mod workshop;

use std::process::{Command, ExitCode};

use clap::Args;

use crate::packages::Missing;
use crate::{packages, tools};
use dependent::{Dependent, Profile, Wanted};
use record::Record;
use workshop::Workshop;

/// What to build, and what to do with the results.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// Only the program as an example of this workspace, whose kernels are already compiled: seconds instead of
    /// many minutes.
    #[arg(long)]
    quick: bool,
    /// Only programs whose name contains this text; may be repeated.
    #[arg(long, value_name = "TEXT", conflicts_with = "quick")]
    filter: Vec<String>,
    /// Records the results and writes the tables of docs/cost.md, instead of comparing with them.
    #[arg(long)]
    record: bool,
    /// Installs what is missing: Rust targets with rustup, if it is there, and programs with Debian's apt-get,
    /// which never removes a package.
    #[arg(long)]
    install: bool,
}

/// A program to measure.
#[derive(Clone, Copy, Debug)]
enum Program {
    /// A package of its own that depends on `xent`.
    Dependent(Dependent),
    /// `SoftmaxBatch` with all options, on a device.
    Device,
    /// The C example, with the static library.
    C,
    /// An example of this workspace.
    Workspace,
}

const RELEASE: &str = "release";
const DEBUG: &str = "debug";
const DEBUG_OVERRIDE: &str = "debug, override";
const WORKSPACE: &str = "this workspace";

const PROGRAMS: [(&str, Program); 10] = [
    (RELEASE, dependent(Profile::Release, Wanted::Default)),
    (DEBUG, dependent(Profile::Debug, Wanted::Default)),
    (DEBUG_OVERRIDE, dependent(Profile::DebugOverride, Wanted::Default)),
    ("no default features", dependent(Profile::Release, Wanted::NoDefault)),
    ("f32 only", dependent(Profile::Release, Wanted::Without(&["f64"]))),
    ("without avx512", dependent(Profile::Release, Wanted::Without(&["avx512"]))),
    ("without avx512, avx2", dependent(Profile::Release, Wanted::Without(&["avx512", "avx2"]))),
    ("thumbv7em, SoftmaxBatch", Program::Device),
    ("loss.c", Program::C),
    (WORKSPACE, Program::Workspace),
];

const fn dependent(profile: Profile, wanted: Wanted) -> Program {
    Program::Dependent(Dependent { profile, wanted })
}

impl Options {
    /// Whether a program is measured.
    fn has(&self, name: &str) -> bool {
        if self.quick {
            name == WORKSPACE
        } else {
            self.filter.is_empty() || self.filter.iter().any(|text| name.contains(text))
        }
    }

    fn is_whole(&self) -> bool {
        !self.quick && self.filter.is_empty()
    }
}

/// Builds, measures, and compares or records.
pub(crate) fn run(options: &Options) -> ExitCode {
    match measure(options) {
        Ok(complaints) if complaints.is_empty() => ExitCode::SUCCESS,
        Ok(complaints) => {
            complaints.iter().for_each(|complaint| eprintln!("{complaint}"));
            ExitCode::FAILURE
        }
        Err(reason) => {
            eprintln!("{reason}");
            ExitCode::FAILURE
        }
    }
}

fn measure(options: &Options) -> Result<Vec<String>, String> {
    let chosen = PROGRAMS.iter().filter(|(name, _)| options.has(name));
    let chosen: Vec<_> = chosen.collect();
    if chosen.is_empty() {
        let names: Vec<_> = PROGRAMS.iter().map(|(name, _)| *name).collect();
        return Err(format!("no program of that name: there are {}", names.join("; ")));
    }
    let missing = || chosen.iter().flat_map(|(_, program)| program.missing()).collect();
    packages::provide(missing, options.install)?;
    let host = host()?;
    // Quick checks come before the steps that take minutes.
    let known = if options.record { Record::read().ok() } else { Some(Record::read()?) };

    let workshop = Workshop::new()?;
    let (mut rows, mut complaints) = (Vec::new(), Vec::new());
    for (step, (name, program)) in chosen.iter().enumerate() {
        eprintln!("[{}/{}] {name}", step + 1, chosen.len());
        match workshop.row(name, *program) {
            Ok(row) => rows.extend(row),
            Err(why) if workshop.is_interrupted() => return Err(why),
            // The others took their time.
            Err(why) => complaints.push(format!("{name}: {why}")),
        }
    }
    let is_whole = options.is_whole() && complaints.is_empty();
    complaints.extend(workshop.speed(&mut rows)?);
    for table in record::tables(&rows) {
        println!("{}", table.to_text());
    }
    rows.iter().filter(|row| row.elsewhere > 0).for_each(|row| {
        println!(
            "{}: {} kernel instances are compiled outside of xent-core",
            row.name, row.elsewhere
        );
    });
    if options.record {
        let record = match known.filter(|known| known.is_of(&host) && !is_whole) {
            Some(known) => known.with(rows),
            None => Record::new(host, rows),
        };
        record.write()?;
    } else if let Some(known) = known {
        let verdict = known.compare(&rows, &host);
        verdict.notes.iter().for_each(|note| println!("{note}"));
        if !verdict.complaints.is_empty() {
            complaints.extend(verdict.complaints);
            complaints.push("if that is meant, record it: cargo xtask cost --record".into());
        }
    }
    Ok(complaints)
}

/// The target that programs are built for by default.
fn host() -> Result<String, String> {
    let rustc = tools::named("RUSTC", "rustc");
    Ok(tools::output(Command::new(rustc).args(["--print", "host-tuple"]))?.trim().into())
}

impl Program {
    /// What is missing to build a program or to read it.
    fn missing(self) -> Vec<Missing> {
        let strip = || Missing::program("strip", &["binutils"]);
        let missing = match self {
            Self::Dependent(_) => [strip(), None],
            Self::Device => [device::missing(), None],
            Self::C => [strip(), Missing::program("cc", &["gcc", "libc6-dev"])],
            Self::Workspace => [None, None],
        };
        missing.into_iter().flatten().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(quick: bool, filter: &[&str]) -> Options {
        let filter = filter.iter().map(|text| (*text).to_owned()).collect();
        Options { quick, filter, record: false, install: false }
    }

    fn chosen(options: &Options) -> Vec<&'static str> {
        PROGRAMS.iter().map(|(name, _)| *name).filter(|name| options.has(name)).collect()
    }

    #[test]
    fn programs_are_chosen_by_name() {
        assert_eq!(chosen(&options(false, &[])).len(), PROGRAMS.len());
        assert_eq!(chosen(&options(true, &[])), [WORKSPACE]);
        assert_eq!(chosen(&options(false, &["debug"])), [DEBUG, DEBUG_OVERRIDE]);
        assert!(options(false, &[]).is_whole() && !options(true, &[]).is_whole());
    }
}
