//! Compares the interface of the libraries with that of the last version, using
//! cargo-semver-checks.

use std::path::Path;
use std::process::Command;

use super::crates::Crate;
use crate::tools;

const TOOL: &str = "cargo-semver-checks";

/// Compares; returns a line for the report.
pub(super) fn check(crates: &[Crate], install: bool) -> Result<String, String> {
    let Some(tag) = last_version(&crate::root())? else {
        return Ok("no version is tagged yet: there is nothing to compare with".into());
    };
    if crate::program(TOOL).is_none() {
        if !install {
            return Ok(format!("NOT CHECKED against {tag}: cargo install --locked {TOOL}"));
        }
        tools::succeed(Command::new("cargo").args(["install", "--locked", TOOL]))?;
    }
    let mut tool = Command::new("cargo");
    tool.current_dir(crate::root()).args([
        "semver-checks",
        "--all-features",
        "--baseline-rev",
        &tag,
    ]);
    let libraries = crates.iter().filter(|of| of.is_library());
    tools::succeed(tool.args(libraries.flat_map(|of| ["--package", &of.name])))?;
    Ok(format!("compatible with {tag}"))
}

/// The last tag of a version before the current commit.
fn last_version(folder: &Path) -> Result<Option<String>, String> {
    let git = |arguments: &[&str]| {
        let mut git = Command::new("git");
        tools::output(git.current_dir(folder).args(arguments))
    };
    let said = git(&["tag", "--merged", "HEAD", "--sort=-version:refname", "--list", "v[0-9]*"])?;
    Ok(said.lines().next().map(str::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_version_is_that_of_the_highest_number() {
        let folder = tempfile::tempdir().expect("a folder");
        let git = |arguments: &[&str]| {
            let mut git = Command::new("git");
            git.current_dir(folder.path()).args(["-c", "user.name=n", "-c", "user.email=e@e"]);
            tools::output(git.args(arguments)).expect("git")
        };
        git(&["init", "--quiet"]);
        let commit = |name| git(&["commit", "--quiet", "--allow-empty", "--message", name]);
        commit("first");
        assert_eq!(last_version(folder.path()), Ok(None));
        for tag in ["v0.9.0", "v0.10.0", "other"] {
            git(&["tag", tag]);
        }
        commit("second");
        assert_eq!(last_version(folder.path()), Ok(Some("v0.10.0".into())));
        git(&["checkout", "--quiet", "--orphan", "apart"]);
        commit("of another line");
        assert_eq!(last_version(folder.path()), Ok(None));
    }
}
