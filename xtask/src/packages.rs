//! Packages of Debian.

use std::process::Command;

/// What `find` finds; with leave to install, after these packages have been installed if it was not there.
pub(crate) fn found<T>(
    find: impl Fn() -> Result<T, String>,
    install: bool,
    packages: &[&str],
) -> Result<T, String> {
    match find() {
        Err(_) if install => {
            self::install(packages);
            find()
        }
        found => found,
    }
}

/// Installs packages by apt-get. Whether they are there is for the caller to see.
pub(crate) fn install(packages: &[&str]) {
    let apt = |words: &[&str]| {
        let status = Command::new("apt-get").args(words).args(["-q", "-y"]).status();
        status.is_ok_and(|status| status.success())
    };
    // Lists that are old name old versions, of a compiler for one. Without a network they may do.
    apt(&["update"]);
    apt(&[&["install", "--no-install-recommends"], packages].concat());
}
