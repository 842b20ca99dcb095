//! The packages: packed by cargo, and unpacked.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::crates::Crate;
use crate::tools;

/// The largest package, in bytes. (crates.io accepts ten times as much.)
const LIMIT: u64 = 1 << 20;
/// The files of every package.
const FILES: [&str; 5] = ["Cargo.toml", "README.md", "LICENSE-APACHE", "LICENSE-MIT", "src/lib.rs"];

/// The folder for all files made here.
pub(super) fn folder(name: &str) -> PathBuf {
    crate::target_folder("package-check").join(name)
}

/// The folder of an unpacked package.
pub(super) fn unpacked(of: &Crate) -> PathBuf {
    folder("outside/packages").join(of.folder())
}

/// `cargo package`, whose files are compiled later by the programs that depend on them.
fn cargo_package(target: &str) -> Command {
    let mut cargo = Command::new("cargo");
    cargo.current_dir(crate::root()).args(["package", "--quiet", "--locked", "--no-verify"]);
    // Uncommitted changes are checked, too; `cargo publish` refuses them.
    cargo.args(["--no-metadata", "--allow-dirty", "--target-dir"]).arg(folder(target));
    cargo
}

/// Packs them together: cargo finds unpublished dependencies among them.
pub(super) fn pack(crates: &[Crate]) -> Result<(), String> {
    let packages = crates.iter().flat_map(|of| ["--package", &of.name]);
    tools::succeed(cargo_package("together").args(packages))
}

/// Packs one as if only its dependencies among this workspace's crates were published.
pub(super) fn pack_alone(of: &Crate, crates: &[Crate]) -> Result<(), String> {
    let published = of.built_from(crates);
    let packages = published.iter().copied().chain([of.name.as_str()]);
    let mut cargo = cargo_package("alone");
    tools::succeed(cargo.args(packages.flat_map(|name| ["--package", name]))).map_err(|error| {
        format!(
            "{error}\n{} does not pack alone: only what it is built from may be named with a version, and of this \
             workspace that is {published:?}; a crate for its tests has a path and no version",
            of.name
        )
    })
}

/// Unpacks a package; returns a line with its sizes.
pub(super) fn unpack(of: &Crate) -> Result<String, String> {
    let above = folder("outside/packages");
    let package = folder("together/package").join(format!("{}.crate", of.folder()));
    let into = unpacked(of);
    if into.exists() {
        fs::remove_dir_all(&into).map_err(|error| format!("{}: {error}", into.display()))?;
    }
    fs::create_dir_all(&above).map_err(|error| format!("{}: {error}", above.display()))?;
    // With the current time: cargo recompiles newer files, and gives all packed files the same time.
    let mut tar = Command::new("tar");
    tools::succeed(tar.arg("-xzmf").arg(&package).arg("-C").arg(&above))?;
    if let Some(lacking) = FILES.iter().find(|name| !into.join(name).is_file()) {
        return Err(format!("{}: {lacking} is not in the package", of.name));
    }
    let packed = package.metadata().map_err(|error| format!("{}: {error}", package.display()))?;
    let (files, bytes) = size(&into).map_err(|error| format!("{}: {error}", into.display()))?;
    line(&of.folder(), files, bytes, packed.len())
}

/// The size of a package, unless it is too large.
fn line(name: &str, files: u64, bytes: u64, packed: u64) -> Result<String, String> {
    let kib = |bytes: u64| bytes.div_ceil(1024);
    let line =
        format!("{name:24} {files:>4} files, {:>5} KiB, {:>4} KiB packed", kib(bytes), kib(packed));
    if packed > LIMIT {
        return Err(format!(
            "{line}, which is more than {}: see `include` in its manifest",
            kib(LIMIT)
        ));
    }
    Ok(line)
}

/// The number of files in a folder, and their bytes.
fn size(folder: &Path) -> std::io::Result<(u64, u64)> {
    folder.read_dir()?.try_fold((0, 0), |(files, bytes), entry| {
        let path = entry?.path();
        let (more, larger) = if path.is_dir() { size(&path)? } else { (1, path.metadata()?.len()) };
        Ok((files + more, bytes + larger))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_that_is_too_large_is_refused() {
        let good = line("one-0.1.0", 3, 5000, LIMIT).expect("it may be that large");
        assert!(
            good.starts_with("one-0.1.0 ") && good.ends_with("3 files,     5 KiB, 1024 KiB packed")
        );
        assert!(line("one-0.1.0", 3, 5000, LIMIT + 1).is_err());
    }

    #[test]
    fn files_are_counted_in_all_folders() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::create_dir_all(folder.path().join("a/b")).expect("folders");
        for (name, bytes) in [("one", 3), ("a/two", 4), ("a/b/three", 5)] {
            fs::write(folder.path().join(name), vec![0; bytes]).expect("a file");
        }
        assert_eq!(size(folder.path()).expect("a size"), (3, 12));
    }
}
