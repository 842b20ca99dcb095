//! `cargo xtask cost`: what a program pays that depends on `xent`, in time to build it, in size, and in the
//! speed of its debug build.

mod dependent;
mod device;
mod record;
mod speed;
mod symbols;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::Args;
use signal_hook::consts::SIGINT;
use tempfile::TempDir;

use crate::packages::Missing;
use crate::{capi, packages, tools};
use dependent::{Built, Dependent, Features, Profile, Wanted};
use record::{Record, Row};
use symbols::Anatomy;

/// What to build, and what to do with the figures.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// Only the program as an example of this workspace, with the kernels that are compiled already:
    /// seconds instead of many minutes.
    #[arg(long)]
    quick: bool,
    /// Only programs whose name contains this.
    #[arg(long, value_name = "TEXT", conflicts_with = "quick")]
    filter: Option<String>,
    /// Records what is found and writes the tables of docs/cost.md, instead of comparing with them.
    #[arg(long)]
    record: bool,
    /// Installs what is missing, by Debian's apt-get.
    #[arg(long)]
    install: bool,
}

/// A program that is measured.
#[derive(Clone, Copy, Debug)]
enum Program {
    /// A package of its own, which depends on `xent`.
    Dependent(Dependent),
    /// `SoftmaxBatch` with all options, on a device.
    Device,
    /// The example in C, with the static library.
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
            self.filter.as_ref().is_none_or(|text| name.contains(text))
        }
    }

    fn is_whole(&self) -> bool {
        !self.quick && self.filter.is_none()
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
    // What takes minutes comes after what may be wrong.
    let known = if options.record { Record::read().ok() } else { Some(Record::read()?) };

    let workshop = Workshop::new()?;
    let mut rows = Vec::new();
    for (step, (name, program)) in chosen.iter().enumerate() {
        eprintln!("[{}/{}] {name}", step + 1, chosen.len());
        match workshop.row(name, *program)? {
            Some(row) => rows.push(row),
            None => continue,
        }
    }
    let mut complaints = workshop.speed(&mut rows)?;
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
        let record = match known.filter(|known| known.is_of(&host) && !options.is_whole()) {
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

/// What programs are built for by default.
fn host() -> Result<String, String> {
    let rustc = tools::named("RUSTC", "rustc");
    Ok(tools::output(Command::new(rustc).args(["--print", "host-tuple"]))?.trim().into())
}

impl Program {
    /// What is not there to build or to read it.
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

/// The folder that programs are built in, removed at the end.
struct Workshop {
    folder: TempDir,
    features: Features,
    interrupted: Arc<AtomicBool>,
}

impl Workshop {
    fn new() -> Result<Self, String> {
        // Builds take more room than a system's folder of temporary files may have.
        let above = crate::target_folder("cost");
        let failed = |error| format!("{}: {error}", above.display());
        fs::create_dir_all(&above).map_err(failed)?;
        let folder =
            tempfile::Builder::new().prefix("empty-").tempdir_in(&above).map_err(failed)?;
        let interrupted = Arc::default();
        // Ctrl-C ends the program that is run; this one goes on for as long as it takes to clean up.
        signal_hook::flag::register(SIGINT, Arc::clone(&interrupted))
            .map_err(|error| error.to_string())?;
        Ok(Self { folder, features: dependent::features()?, interrupted })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Where a program is kept that measures its loss.
    fn many_calls(&self, name: &str) -> PathBuf {
        self.path(&format!("{} of {name}", dependent::MANY_CALLS))
    }

    /// Builds a program and takes it apart; nothing if it cannot be built.
    fn row(&self, name: &str, program: Program) -> Result<Option<Row>, String> {
        if self.interrupted.load(Ordering::Relaxed) {
            return Err("interrupted".into());
        }
        let folder = self.path("package");
        fs::create_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        let row = match program {
            Program::Dependent(dependent) => match dependent.write(&folder, &self.features) {
                Ok(()) => self.dependent(name, dependent, &folder).map(Some)?,
                Err(why) => {
                    println!("{name}: skipped, as {why}");
                    None
                }
            },
            Program::Device => {
                let built = device::build(&folder)?;
                let anatomy = Anatomy::read(&built.program, &[])?;
                let flash = Some(anatomy.flash);
                Some(Row { flash, ..row(name, &built, anatomy)? })
            }
            Program::C => Some(c(name, &folder)?),
            Program::Workspace => {
                let built = workspace()?;
                let anatomy = Anatomy::read(&built.program, &built.libraries)?;
                // Most of it was there already.
                Some(Row { cpu: None, wall: None, ..with_instances(row(name, &built, anatomy)?)? })
            }
        };
        fs::remove_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        Ok(row)
    }

    fn dependent(&self, name: &str, dependent: Dependent, folder: &Path) -> Result<Row, String> {
        let built = dependent.build(folder, dependent::ONE_CALL)?;
        let anatomy = Anatomy::read(&built.program, &built.libraries)?;
        let stripped = Some(stripped(&built.program)?);
        if [RELEASE, DEBUG, DEBUG_OVERRIDE].contains(&name) {
            let other = dependent.build(folder, dependent::MANY_CALLS)?.program;
            fs::copy(&other, self.many_calls(name))
                .map_err(|error| format!("{}: {error}", other.display()))?;
        }
        with_instances(Row { stripped, ..row(name, &built, anatomy)? })
    }

    /// Compares the speed of debug programs with that of the release program, if both were built.
    fn speed(&self, rows: &mut [Row]) -> Result<Vec<String>, String> {
        let mut complaints = Vec::new();
        let programs = |row: &&mut Row| self.many_calls(&row.name).exists();
        let mut rows: Vec<_> = rows.iter_mut().filter(programs).collect();
        if rows.len() < 2 || rows[0].name != RELEASE {
            return Ok(complaints);
        }
        let programs: Vec<_> = rows.iter().map(|row| self.many_calls(&row.name)).collect();
        for (row, (nanoseconds, times)) in rows.iter_mut().zip(speed::measure(&programs)?) {
            let Row { name, .. } = row;
            println!(
                "{name}: {nanoseconds:.3} ns an element, {times:.2} times the release build's"
            );
            row.slowdown = Some((times * 100.0).round() / 100.0);
            if name == DEBUG_OVERRIDE && times > speed::LIMIT {
                let limit = speed::LIMIT;
                complaints.push(format!(
                    "{name}: the loss takes {times:.2} times as long as in a release build, more than {limit}"
                ));
            }
        }
        println!();
        Ok(complaints)
    }
}

/// What is known of every program.
fn row(name: &str, built: &Built, anatomy: Anatomy) -> Result<Row, String> {
    let rounded = |seconds: f64| Some((seconds * 10.0).round() / 10.0);
    Ok(Row {
        name: name.into(),
        compiler: built.compiler.clone(),
        cpu: rounded(built.time.cpu),
        wall: rounded(built.time.wall),
        size: Some(size(&built.program)?),
        text: anatomy.text,
        elsewhere: anatomy.elsewhere,
        families: anatomy.families,
        ..Row::default()
    })
}

/// A row that must have kernels' entries: without any, a growth of them would go unnoticed.
fn with_instances(row: Row) -> Result<Row, String> {
    if row.instances().is_empty() {
        return Err(format!(
            "{}: none of its functions is a kernel's entry: xtask/src/cost/symbols.rs says how they are known",
            row.name
        ));
    }
    Ok(row)
}

fn size(file: &Path) -> Result<u64, String> {
    let metadata = file.metadata().map_err(|error| format!("{}: {error}", file.display()))?;
    Ok(metadata.len())
}

/// How large a program is without its symbols.
fn stripped(program: &Path) -> Result<u64, String> {
    let copy = program.with_extension("stripped");
    tools::succeed(Command::new("strip").arg("-o").arg(&copy).arg(program))?;
    size(&copy)
}

/// The example in C, as README links it.
fn c(name: &str, folder: &Path) -> Result<Row, String> {
    let library = capi::build()?;
    let of_crate = crate::root().join("crates/xent-capi");
    let program = folder.join("loss");
    let mut cc = Command::new(tools::named("CC", "cc"));
    cc.arg("-I").arg(of_crate.join("include")).arg(of_crate.join("examples/loss.c"));
    tools::succeed(cc.arg(&library.archive).args(&library.needs).arg("-o").arg(&program))?;
    let anatomy = Anatomy::read(&program, &[])?;
    let compiler = tools::output(Command::new(tools::named("RUSTC", "rustc")).arg("-V"))?;
    Ok(Row {
        name: name.into(),
        compiler: compiler.trim().into(),
        size: Some(size(&program)?),
        stripped: Some(stripped(&program)?),
        text: anatomy.text,
        families: anatomy.families,
        ..Row::default()
    })
}

/// The same program, built where this one was: the kernels are those that are linked here.
fn workspace() -> Result<Built, String> {
    let mut cargo = Command::new("cargo");
    cargo.current_dir(crate::root()).args(["build", "--release", "--package", "xtask"]);
    cargo.args(["--example", "one_call", "--target-dir"]).arg(crate::target_folder(""));
    dependent::build(cargo, "one_call")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(quick: bool, filter: Option<&str>) -> Options {
        Options { quick, filter: filter.map(str::to_owned), record: false, install: false }
    }

    fn chosen(options: &Options) -> Vec<&'static str> {
        PROGRAMS.iter().map(|(name, _)| *name).filter(|name| options.has(name)).collect()
    }

    #[test]
    fn programs_are_chosen_by_name() {
        assert_eq!(chosen(&options(false, None)).len(), PROGRAMS.len());
        assert_eq!(chosen(&options(true, None)), [WORKSPACE]);
        assert_eq!(chosen(&options(false, Some("debug"))), [DEBUG, DEBUG_OVERRIDE]);
        assert!(options(false, None).is_whole() && !options(true, None).is_whole());
    }

    #[test]
    fn a_program_without_entries_is_refused() {
        let error = with_instances(Row { name: "release".into(), ..Row::default() });
        assert!(error.expect_err("no entries").starts_with("release: none of its functions"));
    }
}
