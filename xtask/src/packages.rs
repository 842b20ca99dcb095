//! Packages of Debian.

use std::process::Command;

/// Something that is not there, and the packages that have it.
#[derive(Debug)]
pub(crate) struct Missing {
    /// With what to do about it.
    pub(crate) what: String,
    pub(crate) packages: Vec<&'static str>,
}

impl Missing {
    pub(crate) fn new(what: &str, packages: &[&'static str]) -> Self {
        let what = format!("no {what}: apt-get install {}", packages.join(" "));
        Self { what, packages: packages.to_vec() }
    }

    /// A program, if it is not there.
    pub(crate) fn program(name: &str, packages: &[&'static str]) -> Option<Self> {
        crate::program(name).is_none().then(|| Self::new(name, packages))
    }
}

/// Whether nothing is missing; with leave to install, after that was done. The error has a line for each
/// thing that is missing still.
pub(crate) fn provide(missing: impl Fn() -> Vec<Missing>, install: bool) -> Result<(), String> {
    let mut still = missing();
    if install && !still.is_empty() {
        self::install(&still.into_iter().flat_map(|one| one.packages).collect::<Vec<_>>());
        still = missing();
    }
    if still.is_empty() {
        return Ok(());
    }
    let what: Vec<_> = still.into_iter().map(|one| one.what).collect();
    let hint = if install { "" } else { "\n`--install` installs what Debian has of it" };
    Err(format!("{}{hint}", what.join("\n")))
}

fn install(packages: &[&str]) {
    // Whether that succeeds is seen by what is there afterwards.
    let apt = |words: &[&str]| {
        let _ = Command::new("apt-get").args(words).args(["-q", "-y"]).status();
    };
    // Lists that are old name old versions, of a compiler for one. Without a network they may do.
    apt(&["update"]);
    apt(&[&["install", "--no-install-recommends"], packages].concat());
}
