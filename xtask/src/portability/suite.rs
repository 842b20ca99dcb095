//! The tests of a machine: building, running and counting them.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use rayon::prelude::*;
use serde::Deserialize;

use super::machines::Machine;
use crate::foreign::{Foreign, Library};

/// Which tests to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Suite {
    /// All tests of `xent-core`, `xent-reference` and `xent`, except those in the documentation.
    All,
    /// The digests of all results of the core.
    Results,
}

const PACKAGES: [&str; 3] = ["xent-core", "xent-reference", "xent"];
/// The test that prints the digests.
const DIGESTS: &str = "reproducible";

/// An executable with tests.
pub(crate) struct Tests {
    name: String,
    path: PathBuf,
    /// The folder of its package.
    folder: PathBuf,
}

/// The results of a machine's tests.
#[derive(Debug, Default)]
pub(crate) struct TestCounts {
    pub(crate) passed: u64,
    failed: u64,
    ignored: u64,
    /// The kind of the levels, the digest, and the names of the levels.
    digests: Vec<(String, String, Vec<String>)>,
    pub(crate) failures: Vec<String>,
}

impl TestCounts {
    pub(crate) fn tests(&self) -> u64 {
        self.passed + self.failed + self.ignored
    }

    /// The digest of the levels that fuse, or of the others.
    pub(crate) fn digest(&self, kind: &str) -> Option<&str> {
        self.digests.iter().find(|(of, ..)| of == kind).map(|(_, digest, _)| digest.as_str())
    }

    /// The names of all levels, `portable` first.
    pub(crate) fn levels(&self) -> Vec<&str> {
        let mut levels: Vec<_> =
            self.digests.iter().flat_map(|(.., levels)| levels).map(String::as_str).collect();
        levels.sort_unstable_by_key(|&level| (level != "portable", level));
        levels
    }

    /// From the output of tests.
    pub(crate) fn of(name: &str, said: &str, succeeded: bool) -> Self {
        let mut tally = Self::default();
        let mut is_complete = false;
        for line in said.lines() {
            // The name of the test may precede it.
            if let Some((_, digest)) = line.split_once("digests ") {
                let words: Vec<_> = digest.split(' ').collect();
                if let [kind, digest, levels] = words[..] {
                    let levels = levels.split(',').map(str::to_owned).collect();
                    tally.digests.push((kind.to_owned(), digest.to_owned(), levels));
                }
            }
            if let Some(counts) = line.strip_prefix("test result: ") {
                is_complete = true;
                let count = |of: &str| {
                    let before = counts.split_once(&format!(" {of};")).map(|(before, _)| before);
                    let number = before.and_then(|before| before.rsplit(' ').next()?.parse().ok());
                    number.unwrap_or(0)
                };
                tally.passed += count("passed");
                tally.failed += count("failed");
                tally.ignored += count("ignored");
            }
        }
        if !(succeeded && is_complete) {
            let last: Vec<_> = said.lines().rev().take(20).collect();
            let last = last.into_iter().rev().collect::<Vec<_>>().join("\n    ");
            tally.failures.push(format!("{name} failed\n    {last}"));
        }
        tally
    }

    /// Both.
    fn merged(mut self, other: Self) -> Self {
        self.passed += other.passed;
        self.failed += other.failed;
        self.ignored += other.ignored;
        self.digests.extend(other.digests);
        self.failures.extend(other.failures);
        self
    }
}

impl Suite {
    pub(crate) fn description(self) -> &'static str {
        match self {
            Self::All => "The tests of xent-core, xent-reference and xent",
            Self::Results => "The digests of all results",
        }
    }

    /// Builds the tests.
    pub(crate) fn build(self, machine: &Machine) -> Result<Vec<Tests>, String> {
        let mut command = match machine.triple {
            Some(triple) => compile(machine, &Foreign::find(triple, Library::Std)?),
            // The features of the whole workspace's tests, so that existing builds are used.
            None => {
                let mut command = Command::new("cargo");
                command.current_dir(crate::root()).args(["test", "--release", "--workspace"]);
                command
            }
        };
        if machine.triple.is_some() {
            let packages = if self == Self::All { &PACKAGES[..] } else { &PACKAGES[..1] };
            command.args(packages.iter().flat_map(|package| ["--package", package]));
            command.arg("--features=xent-core/half");
        }
        match self {
            Self::All => command.arg("--tests"),
            Self::Results => command.args(["--test", DIGESTS]),
        };
        let output = command
            .args(["--no-run", "--message-format=json-render-diagnostics"])
            .stderr(Stdio::inherit())
            .output()
            .map_err(|error| format!("cargo: {error}"))?;
        if !output.status.success() {
            return Err("its tests do not build".into());
        }
        let messages = String::from_utf8_lossy(&output.stdout);
        let mut found: Vec<_> = messages.lines().filter_map(tests).collect();
        found.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(found)
    }
}

/// Runs some tests at a time: each has a long one at its end that uses one thread.
pub(crate) fn run(machine: &Machine, tests: &[Tests]) -> Result<TestCounts, String> {
    let each: Result<Vec<_>, _> = tests.par_iter().map(|tests| tests.run(machine)).collect();
    Ok(each?.into_iter().fold(TestCounts::default(), TestCounts::merged))
}

impl Tests {
    /// Their results; none if they are left out.
    fn run(&self, machine: &Machine) -> Result<TestCounts, String> {
        let Self { name, path, folder } = self;
        let ended = |how: &str| println!("{:24} {name:32} {how}", machine.name);
        if let Some((_, why)) = machine.without.iter().find(|(left, _)| name.ends_with(left)) {
            ended(&format!("left out: {why}"));
            return Ok(TestCounts::default());
        }
        let started = Instant::now();
        let output = on(machine, path)
            .args(name.ends_with(DIGESTS).then_some("--nocapture"))
            .current_dir(folder)
            .env("XENT_TEST_RUNNER", runner(machine).join(" "))
            .output()
            .map_err(|error| format!("{name}: {error}"))?;
        let said = [output.stdout, output.stderr].concat();
        let tally = TestCounts::of(name, &String::from_utf8_lossy(&said), output.status.success());
        let how = if tally.failures.is_empty() { "ok" } else { "FAILED" };
        ended(&format!("{how} after {} s", started.elapsed().as_secs()));
        Ok(tally)
    }
}

fn compile(machine: &Machine, foreign: &Foreign) -> Command {
    let mut command = foreign.cargo("test");
    // One folder for all: whatever runs on this machine is compiled once.
    command.arg("--target-dir").arg(crate::target_folder("portability"));
    if let Some(linker) = machine.linker {
        command.env(foreign.variable("LINKER"), linker);
    }
    let flags = [machine.flags, foreign.flags()].join(" ");
    command.env(foreign.variable("RUSTFLAGS"), flags.trim());
    command
}

/// The words of the command that runs a program; files of the workspace get their folder.
fn runner(machine: &Machine) -> Vec<String> {
    let word = |word: &&str| {
        let path = crate::root().join(word);
        if word.contains('/') && path.is_file() {
            path.display().to_string()
        } else {
            (*word).into()
        }
    };
    machine.runner.iter().map(word).collect()
}

/// A program for a machine.
fn on(machine: &Machine, path: &Path) -> Command {
    let runner = runner(machine);
    match runner.split_first() {
        Some((program, words)) => {
            let mut command = Command::new(program);
            command.args(words).arg(path);
            command
        }
        None => Command::new(path),
    }
}

/// A message of cargo about something that it built.
#[derive(Deserialize)]
struct Message {
    #[serde(default)]
    executable: Option<PathBuf>,
    #[serde(default)]
    manifest_path: PathBuf,
    #[serde(default)]
    target: Target,
    #[serde(default)]
    profile: Profile,
}

#[derive(Default, Deserialize)]
struct Target {
    name: String,
}

#[derive(Default, Deserialize)]
struct Profile {
    test: bool,
}

/// The tests that a message of cargo is about, if they belong to one of the packages.
fn tests(message: &str) -> Option<Tests> {
    let message: Message = serde_json::from_str(message).ok()?;
    let path = message.executable.filter(|_| message.profile.test)?;
    let folder = message.manifest_path.parent()?.to_owned();
    let package = folder.file_name()?.to_str()?;
    let is_wanted = PACKAGES.contains(&package);
    let name = format!("{package} {}", message.target.name);
    is_wanted.then_some(Tests { name, path, folder })
}
