//! A program that depends on `xent`, built as a package of its own.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use serde::Deserialize;

use crate::tools;

/// The program whose build is measured, and the one that times its loss.
pub(super) const ONE_CALL: &str = "one-call";
pub(super) const MANY_CALLS: &str = "many-calls";
const SOURCES: [(&str, &str); 2] = [
    ("src/main.rs", include_str!("../../examples/one_call.rs")),
    ("src/bin/many-calls.rs", include_str!("../../examples/many_calls.rs")),
];

/// README's two lines.
const OVERRIDE: &str = "[profile.dev.package.xent-core]\nopt-level = 3\n";

/// Mangling that tells which kernel a symbol belongs to.
pub(super) const MANGLING: &str = "-Csymbol-mangling-version=v0";

/// Variables of the user's shell that must not affect the build.
const NOT_OF_A_DEPENDENT: [&str; 7] = [
    "CARGO_BUILD_RUSTFLAGS",
    "CARGO_BUILD_TARGET",
    "CARGO_ENCODED_RUSTFLAGS",
    "CARGO_INCREMENTAL",
    "RUSTC_WORKSPACE_WRAPPER",
    "RUSTC_WRAPPER",
    "RUSTFLAGS",
];

/// The features of a package, with the features that each enables.
pub(super) type Features = BTreeMap<String, Vec<String>>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Profile {
    Release,
    Debug,
    /// With the override that README shows.
    DebugOverride,
}

/// The features of `xent` that a program asks for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Wanted {
    Default,
    NoDefault,
    /// The default ones without these.
    Without(&'static [&'static str]),
}

/// A program and how it is built.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dependent {
    pub(super) profile: Profile,
    pub(super) wanted: Wanted,
}

/// What a build took, in seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Time {
    pub(super) cpu: f64,
    pub(super) wall: f64,
}

/// The files that cargo built.
#[derive(Debug)]
pub(super) struct Built {
    pub(super) program: PathBuf,
    /// The rlibs of this workspace among them.
    pub(super) libraries: Vec<PathBuf>,
    pub(super) time: Time,
    /// The output of `rustc -V`.
    pub(super) compiler: String,
}

impl Dependent {
    /// How the package depends on `xent`, or why it cannot.
    fn dependency(self, xent: &Features) -> Result<String, String> {
        let path = crate::root().join("crates/xent");
        // A JSON string is also a TOML string.
        let mut line = format!("xent = {{ path = {:?}", path.display().to_string());
        match self.wanted {
            Wanted::Default => {}
            Wanted::NoDefault => line += ", default-features = false",
            Wanted::Without(names) => {
                if let Some(name) = names.iter().find(|name| !xent.contains_key(**name)) {
                    return Err(format!("xent has no feature `{name}`"));
                }
                let default = xent.get("default").map(Vec::as_slice).unwrap_or_default();
                let kept = default.iter().filter(|name| !names.contains(&name.as_str()));
                let kept: Vec<_> = kept.collect();
                write!(line, ", default-features = false, features = {kept:?}")
                    .expect("a string takes all");
            }
        }
        Ok(line + " }")
    }

    /// The manifest of the package, or why there is no such program, given the features of `xent`.
    pub(super) fn manifest(self, xent: &Features) -> Result<String, String> {
        let profile = if self.profile == Profile::DebugOverride { OVERRIDE } else { "" };
        Ok(format!(
            "[package]\nname = \"{ONE_CALL}\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n\
             [dependencies]\n{}\n\n[workspace]\n\n{profile}",
            self.dependency(xent)?
        ))
    }

    /// Builds one of the package's programs in that folder.
    pub(super) fn build(self, folder: &Path, program: &str) -> Result<Built, String> {
        let mut cargo = Command::new("cargo");
        cargo.current_dir(folder);
        for variable in NOT_OF_A_DEPENDENT {
            cargo.env_remove(variable);
        }
        cargo.env("RUSTFLAGS", MANGLING).args(["build", "--bin", program, "--target-dir"]);
        cargo.arg(folder.join("target"));
        if self.profile == Profile::Release {
            cargo.arg("--release");
        }
        build(cargo, program)
    }
}

/// Writes the package into a folder.
pub(super) fn write(folder: &Path, manifest: &str) -> Result<(), String> {
    let put = |name: &str, text: &str| {
        let file = folder.join(name);
        file.parent()
            .map_or(Ok(()), fs::create_dir_all)
            .and_then(|()| fs::write(&file, text))
            .map_err(|error| format!("{}: {error}", file.display()))
    };
    put("Cargo.toml", manifest)?;
    SOURCES.iter().try_for_each(|(name, text)| put(name, text))?;
    // The same versions of all other crates as here; cargo drops those that are not needed.
    let lock = crate::root().join("Cargo.lock");
    fs::copy(&lock, folder.join("Cargo.lock"))
        .map(drop)
        .map_err(|error| format!("{}: {error}", lock.display()))
}

/// The features of `xent`.
pub(super) fn features() -> Result<Features, String> {
    #[derive(Deserialize)]
    struct Metadata {
        packages: Vec<Package>,
    }
    #[derive(Deserialize)]
    struct Package {
        name: String,
        features: Features,
    }
    let mut cargo = Command::new("cargo");
    cargo.current_dir(crate::root()).args(["metadata", "--no-deps", "--format-version=1"]);
    let said = tools::output(&mut cargo)?;
    let metadata: Metadata =
        serde_json::from_str(&said).map_err(|error| format!("cargo metadata: {error}"))?;
    let mut packages = metadata.packages.into_iter();
    let xent = packages.find(|package| package.name == "xent");
    Ok(xent.ok_or("cargo metadata does not know the package xent")?.features)
}

/// Runs `cargo build` for a program, and returns the files and the time.
pub(super) fn build(mut cargo: Command, program: &str) -> Result<Built, String> {
    cargo.arg("--message-format=json-render-diagnostics");
    let compiler = compiler(&cargo)?;
    let (said, time) = timed(&cargo)?;
    let artifacts: Vec<Artifact> =
        said.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let made = artifacts.iter().find(|made| made.target.name == program);
    let made = made.and_then(|made| made.executable.clone());
    Ok(Built {
        program: made.ok_or_else(|| format!("cargo made no program {program}"))?,
        libraries: artifacts.iter().flat_map(Artifact::libraries).collect(),
        time,
        compiler,
    })
}

/// A message of cargo about a file that it built.
#[derive(Deserialize)]
struct Artifact {
    target: Target,
    filenames: Vec<PathBuf>,
    executable: Option<PathBuf>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
}

impl Artifact {
    /// The rlib, if it may contain kernels.
    fn libraries(&self) -> impl Iterator<Item = PathBuf> {
        let name = self.target.name.replace('-', "_");
        let ours = ["xent", "xent_core", "xent_rayon"].contains(&name.as_str());
        let is_rlib = |file: &&PathBuf| file.extension().is_some_and(|ending| ending == "rlib");
        self.filenames.iter().filter(move |_| ours).filter(is_rlib).cloned()
    }
}

/// The version of the compiler that a command of cargo uses.
fn compiler(cargo: &Command) -> Result<String, String> {
    let told = cargo.get_envs().find(|(name, _)| *name == "RUSTC").map(|(_, value)| value);
    let name = match told {
        Some(Some(name)) => name.to_owned(),
        Some(None) => OsString::from("rustc"),
        None => tools::named("RUSTC", "rustc"),
    };
    Ok(tools::output(Command::new(name).arg("-V"))?.trim().into())
}

/// Runs a command in a shell, which reports the time of its children; returns its output
/// separately.
fn timed(command: &Command) -> Result<(String, Time), String> {
    let mut shell = Command::new("sh");
    shell.args(["-c", "\"$@\"; status=$?; times; exit $status", "sh"]);
    shell.arg(command.get_program()).args(command.get_args());
    if let Some(folder) = command.get_current_dir() {
        shell.current_dir(folder);
    }
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    let start = Instant::now();
    let output = shell.stderr(Stdio::inherit()).output().map_err(|error| format!("sh: {error}"))?;
    let wall = start.elapsed().as_secs_f64();
    if !output.status.success() {
        let words = command.get_args().map(|word| word.display().to_string());
        let words = words.collect::<Vec<_>>().join(" ");
        let program = command.get_program().display();
        return Err(format!("{program} {words} failed: {}", output.status));
    }
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    // The shell's own time, and below it that of its children.
    let cpu = said.lines().last().and_then(seconds);
    let cpu = cpu.ok_or("the shell does not say what time its children took")?;
    Ok((said, Time { cpu, wall }))
}

/// The sum of times in the form `1m2.500s 0m0.250s`.
fn seconds(times: &str) -> Option<f64> {
    let one = |time: &str| {
        let (minutes, seconds) = time.strip_suffix('s')?.split_once('m')?;
        let minutes: f64 = minutes.parse().ok()?;
        Some(60.0 * minutes + seconds.replace(',', ".").parse::<f64>().ok()?)
    };
    let (user, system) = times.split_once(' ')?;
    Some(one(user)? + one(system.trim())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dependency(wanted: Wanted) -> Result<String, String> {
        let features =
            [("default", vec!["rayon", "f64", "avx2"]), ("f64", vec![]), ("avx2", vec![])];
        let features = features.into_iter().map(|(name, brings)| {
            (name.to_owned(), brings.into_iter().map(str::to_owned).collect())
        });
        let line =
            Dependent { profile: Profile::Release, wanted }.dependency(&features.collect())?;
        let (start, end) = line.split_once("crates/xent\"").expect("a path");
        assert!(start.starts_with("xent = { path = \""), "{line}");
        Ok(end.into())
    }

    #[test]
    fn features_are_left_out_of_those_by_default() {
        assert_eq!(dependency(Wanted::Default), Ok(" }".into()));
        assert_eq!(dependency(Wanted::NoDefault), Ok(", default-features = false }".into()));
        assert_eq!(
            dependency(Wanted::Without(&["f64"])),
            Ok(", default-features = false, features = [\"rayon\", \"avx2\"] }".into())
        );
        let error = dependency(Wanted::Without(&["f64", "avx512"]));
        assert_eq!(error, Err("xent has no feature `avx512`".into()));
    }

    #[test]
    fn a_shell_says_minutes_and_seconds() {
        assert_eq!(seconds("1m2.500000s 0m0.250000s"), Some(62.75));
        assert_eq!(seconds("0m0,500s 0m0,250s"), Some(0.75));
        assert_eq!(seconds("{\"reason\":\"build-finished\"}"), None);
    }

    #[cfg(unix)]
    #[test]
    fn time_is_that_of_the_command_and_its_children() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo \"$X\"; i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done"]);
        command.env("X", "said");
        let (said, time) = timed(&command).expect("a shell");
        assert!(said.starts_with("said\n"), "{said}");
        assert!(time.cpu > 0.0 && time.wall > 0.0, "{time:?}");
        let error = timed(Command::new("sh").args(["-c", "exit 3"])).expect_err("an error");
        assert!(error.starts_with("sh -c exit 3 failed: "), "{error}");
    }
}
