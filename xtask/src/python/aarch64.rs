//! The wheel for aarch64: built by a cross-compiler, and its tests run under QEMU.

use std::path::Path;
use std::process::Command;

use super::{Maturin, size_of};
use crate::foreign::{Foreign, Library};
use crate::packages::Missing;
use crate::tools;

const TRIPLE: &str = "aarch64-unknown-linux-gnu";
const LINKER: &str = "aarch64-linux-gnu-gcc";
const QEMU: &str = "qemu-aarch64-static";

/// What the tests import; of frameworks there is none, which would take hours here.
const TESTED_WITH: [&str; 4] = ["numpy", "ml_dtypes", "pytest", "hypothesis"];

/// The oldest systems that packages are taken for.
const PLATFORMS: [&str; 3] =
    ["manylinux2014_aarch64", "manylinux_2_27_aarch64", "manylinux_2_28_aarch64"];

/// What is missing of programs, and of Rust.
pub(super) fn missing() -> impl Iterator<Item = Missing> {
    let programs = [
        (LINKER, &["gcc-aarch64-linux-gnu", "libc6-dev-arm64-cross"][..]),
        (QEMU, &["qemu-user-static"]),
        ("apt-get", &["apt"]),
    ];
    let programs = programs.into_iter().filter_map(|(name, of)| Missing::program(name, of));
    programs.chain(Foreign::missing(TRIPLE, Library::Std))
}

/// Builds the wheel and runs its tests.
pub(super) fn check(folder: &Path) -> Result<(), String> {
    std::fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut maturin = Maturin::new(folder)?;
    maturin
        .command
        .args(["--target", TRIPLE])
        .env("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER", LINKER);
    let wheel = maturin.wheel()?;
    size_of(&wheel)?;

    let root = folder.join("root");
    if !root.join("usr/bin/python3").exists() {
        download(folder, &root)?;
    }
    let version = "import sys; print('.'.join(map(str, sys.version_info[:2])))";
    let version = tools::output(emulated(&root).args(["-c", version]))?;
    let site = folder.join("site");
    let mut pip = maturin.environment.python();
    pip.args(["-m", "pip", "install", "-q", "--disable-pip-version-check", "--upgrade"])
        .args(["--implementation", "cp", "--only-binary=:all:", "--target"])
        .arg(&site)
        .args(["--python-version", version.trim()])
        .args(PLATFORMS.map(|platform| format!("--platform={platform}")))
        .args(TESTED_WITH);
    tools::succeed(&mut pip)?;
    // The wheel is for the C library of the cross-compiler, which pip does not know of: it is unpacked.
    let mut unpack = maturin.environment.python();
    tools::succeed(unpack.args(["-m", "zipfile", "-e"]).arg(&wheel).arg(&site))?;
    // A test that starts Python once more does so under QEMU, too.
    let again =
        format!("#!/bin/sh\nexec {QEMU} -L '{0}' '{0}/usr/bin/python3' \"$@\"\n", root.display());
    let program = folder.join("python3");
    write(&program, &again)?;
    tools::succeed(Command::new("chmod").arg("+x").arg(&program))?;
    let custom = format!("import sys\n\nsys.executable = {:?}\n", program.display().to_string());
    write(&site.join("sitecustomize.py"), &custom)?;

    let mut tests = emulated(&root);
    tests
        .args(["-m", "pytest", "-q", "-p", "no:cacheprovider"])
        .arg(crate::root().join("python/tests"))
        .env("PYTHONPATH", &site)
        .env_remove("PYTHONHOME")
        // Hypothesis would take a slow machine for a slow test.
        .env("CI", "true")
        .current_dir(folder);
    tools::succeed(&mut tests)
}

/// Debian's Python for that processor, next to the system's own packages, which stay as they are.
fn download(folder: &Path, root: &Path) -> Result<(), String> {
    let state = folder.join("apt");
    for inside in ["lists/partial", "cache/archives/partial"] {
        let path = state.join(inside);
        std::fs::create_dir_all(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    let apt = |words: &[&str]| {
        let mut apt = Command::new("apt-get");
        apt.args(["-q", "-y", "-o", "APT::Architecture=arm64", "-o", "APT::Architectures=arm64"])
            .args(["-o", "Dir::State::status=/dev/null"])
            .args(["-o", &format!("Dir::State={}", state.display())])
            .args(["-o", &format!("Dir::Cache={}", state.join("cache").display())])
            .args(words);
        tools::succeed(&mut apt)
    };
    apt(&["update"])?;
    // NumPy's wheels take the library of C++ from the system.
    let packages = ["python3", "libstdc++6"];
    apt(&[&["--no-install-recommends", "--download-only", "install"], &packages[..]].concat())?;
    let archives = state.join("cache/archives");
    let files = archives.read_dir().map_err(|error| format!("{}: {error}", archives.display()))?;
    for file in files.flatten().map(|file| file.path()) {
        if file.extension().is_some_and(|extension| extension == "deb") {
            tools::succeed(Command::new("dpkg-deb").arg("-x").arg(&file).arg(root))?;
        }
    }
    Ok(())
}

fn emulated(root: &Path) -> Command {
    let mut command = Command::new(QEMU);
    command.arg("-L").arg(root).arg(root.join("usr/bin/python3"));
    command
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    std::fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
}
