//! The place where the programs are built, and the results for each.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::SIGINT;
use tempfile::TempDir;

use super::dependent::{self, Built, Dependent, Features};
use super::record::Row;
use super::symbols::Anatomy;
use super::{DEBUG, DEBUG_OVERRIDE, Program, RELEASE, device, speed};
use crate::{capi, tools};

/// The folder that programs are built in, removed at the end.
pub(super) struct Workshop {
    folder: TempDir,
    features: Features,
    interrupted: Arc<AtomicBool>,
}

impl Workshop {
    pub(super) fn new() -> Result<Self, String> {
        // Builds take more space than the system's temporary folder may have.
        let above = crate::target_folder("cost");
        let failed = |error| format!("{}: {error}", above.display());
        fs::create_dir_all(&above).map_err(failed)?;
        let folder =
            tempfile::Builder::new().prefix("empty-").tempdir_in(&above).map_err(failed)?;
        let interrupted = Arc::default();
        // Ctrl-C ends the running program; this one continues until it has cleaned up.
        signal_hook::flag::register(SIGINT, Arc::clone(&interrupted))
            .map_err(|error| error.to_string())?;
        Ok(Self { folder, features: dependent::features()?, interrupted })
    }

    pub(super) fn is_interrupted(&self) -> bool {
        self.interrupted.load(Ordering::Relaxed)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Where a program that times its loss is kept.
    fn many_calls(&self, name: &str) -> PathBuf {
        self.path(&format!("{} of {name}", dependent::MANY_CALLS))
    }

    /// Builds a program and takes it apart; nothing if it cannot be built.
    pub(super) fn row(&self, name: &str, program: Program) -> Result<Option<Row>, String> {
        if self.is_interrupted() {
            return Err("interrupted".into());
        }
        let folder = self.path("package");
        if folder.exists() {
            remove(&folder)?;
        }
        fs::create_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        let row = match program {
            Program::Dependent(dependent) => match dependent.manifest(&self.features) {
                Ok(manifest) => {
                    dependent::write(&folder, &manifest)?;
                    Some(self.dependent(name, dependent, &folder)?)
                }
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
                // Most of it existed already.
                Some(Row { cpu: None, wall: None, ..with_instances(row(name, &built, anatomy)?)? })
            }
        };
        remove(&folder)?;
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
    pub(super) fn speed(&self, rows: &mut [Row]) -> Result<Vec<String>, String> {
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

fn remove(folder: &Path) -> Result<(), String> {
    fs::remove_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))
}

/// The results for every program.
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

/// A row that must contain kernel entries: without any, their growth would go unnoticed.
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

/// The size of a program without its symbols.
fn stripped(program: &Path) -> Result<u64, String> {
    let copy = program.with_extension("stripped");
    tools::succeed(Command::new("strip").arg("-o").arg(&copy).arg(program))?;
    size(&copy)
}

/// The C example, linked as README says.
fn c(name: &str, folder: &Path) -> Result<Row, String> {
    let library = capi::build(false)?;
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

/// The same program, built with this one: it contains the kernels linked here.
fn workspace() -> Result<Built, String> {
    let mut cargo = Command::new("cargo");
    // As the tests of the whole workspace are built: what is there is used.
    cargo.current_dir(crate::root()).args(["build", "--release", "--workspace"]);
    cargo.args(["--example", "one_call", "--target-dir"]).arg(crate::target_folder(""));
    dependent::build(cargo, "one_call")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_without_entries_is_refused() {
        let error = with_instances(Row { name: "release".into(), ..Row::default() });
        assert!(error.expect_err("no entries").starts_with("release: none of its functions"));
    }
}
