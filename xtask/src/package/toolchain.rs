//! The oldest supported compiler, or the oldest that is installed.

use std::fmt;
use std::process::Command;

use crate::tools;

const RUSTUP: &str = "rustup";

/// A rustup toolchain, or the one that runs this program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Toolchain {
    name: Option<String>,
}

impl fmt::Display for Toolchain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            self.name.as_deref().unwrap_or("the compiler that runs this, for want of rustup,"),
        )
    }
}

impl Toolchain {
    /// The oldest toolchain of at least that version; with leave to install, one of exactly that
    /// version.
    pub(super) fn oldest(version: &str, install: bool) -> Result<Self, String> {
        if crate::program(RUSTUP).is_none() {
            return Ok(Self { name: None });
        }
        let list = || tools::output(Command::new(RUSTUP).args(["toolchain", "list"]));
        let mut there = list()?;
        if install && !oldest(&there, version).is_some_and(|name| is_of(name, version)) {
            let mut rustup = Command::new(RUSTUP);
            rustup.args(["toolchain", "install", version, "--profile", "minimal"]);
            // If that is not available, the oldest one that is installed.
            if let Err(why) = tools::succeed(&mut rustup) {
                println!("{why}");
            }
            there = list()?;
        }
        // Without a numbered toolchain, the one that runs this program is the oldest.
        Ok(Self { name: oldest(&there, version).map(str::to_owned) })
    }

    pub(super) fn cargo(&self) -> Command {
        let Some(name) = &self.name else { return Command::new("cargo") };
        let mut command = Command::new(RUSTUP);
        command.args(["run", name, "cargo"]).env_remove("RUSTC").env_remove("RUSTDOC");
        command
    }
}

/// The oldest of the toolchains listed by rustup that is not older than that version.
fn oldest<'a>(list: &'a str, version: &str) -> Option<&'a str> {
    let names = list.lines().filter_map(|line| line.split_whitespace().next());
    let numbered = names.filter_map(|name| Some((number(name)?, name)));
    let new_enough = numbered.filter(|(number, _)| Some(number) >= self::number(version).as_ref());
    new_enough.min().map(|(_, name)| name)
}

/// Whether a toolchain has a version, or a patch release of it.
fn is_of(name: &str, version: &str) -> bool {
    let places = version.split('.').count();
    number(name)
        .zip(number(version))
        .is_some_and(|(name, version)| name[..places] == version[..places])
}

/// The three numbers of `1.89`, `1.89.0` or `1.89.0-x86_64-unknown-linux-gnu`.
fn number(name: &str) -> Option<[u32; 3]> {
    let version = name.split('-').next()?;
    let parts: Vec<u32> = version.split('.').map(str::parse).collect::<Result<_, _>>().ok()?;
    match parts[..] {
        [major, minor] => Some([major, minor, 0]),
        [major, minor, correction] => Some([major, minor, correction]),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = "stable-x86_64-unknown-linux-gnu (active, default)\n\
                        nightly-2026-01-01-x86_64-unknown-linux-gnu\n\
                        1.100.0-x86_64-unknown-linux-gnu\n1.89.1-x86_64-unknown-linux-gnu\n\
                        1.85-x86_64-unknown-linux-gnu\n";

    #[test]
    fn the_oldest_that_is_supported_is_found() {
        assert_eq!(oldest(LIST, "1.89"), Some("1.89.1-x86_64-unknown-linux-gnu"));
        assert_eq!(oldest(LIST, "1.90"), Some("1.100.0-x86_64-unknown-linux-gnu"));
        assert_eq!(oldest(LIST, "1.101"), None);
        assert_eq!(oldest("", "1.89"), None);
    }

    #[test]
    fn a_correction_is_of_its_version() {
        assert!(is_of("1.89.1-x86_64-unknown-linux-gnu", "1.89"));
        assert!(is_of("1.89-x86_64-unknown-linux-gnu", "1.89"));
        assert!(!is_of("1.90.0", "1.89") && !is_of("1.89.1", "1.89.0") && !is_of("stable", "1.89"));
    }

    #[test]
    fn versions_are_numbers() {
        assert_eq!(number("1.100.0-x86_64-unknown-linux-gnu"), Some([1, 100, 0]));
        assert_eq!(number("nightly-2026-01-01"), None);
    }
}
