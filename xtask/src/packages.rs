//! Packages of Debian.

use std::process::Command;

/// Installs packages by apt-get. Whether they are there is for the caller to see.
pub(crate) fn install(packages: &[&str]) {
    let install = || {
        Command::new("apt-get")
            .args(["install", "-y", "--no-install-recommends"])
            .args(packages)
            .status()
            .is_ok_and(|status| status.success())
    };
    // The lists of packages may be old, or none.
    if !install() && Command::new("apt-get").arg("update").status().is_ok() {
        install();
    }
}
