//! A separate workspace, whose members are unpacked packages and programs that depend on them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::crates::{Crate, DocsRs};
use super::packed::{folder, unpacked};
use super::toolchain::Toolchain;
use crate::capi::VERSION;
use crate::foreign::{Foreign, Library};
use crate::tools;

/// Targets without an operating system: programs of `no_std` crates are compiled for the first.
pub(super) const DEVICE: &str = "thumbv7em-none-eabihf";
pub(super) const WEB: &str = "wasm32-unknown-unknown";

/// A program with tests.
pub(super) struct Program {
    pub(super) what: &'static str,
    name: &'static str,
    /// The lines of its dependencies; those on this workspace's crates have its version.
    dependencies: &'static str,
    source: &'static str,
}

/// They are tested on this machine; the last does not use `std` itself.
pub(super) const PROGRAMS: [Program; 3] = [
    Program {
        what: "what `cargo add xent` gives",
        name: "usual",
        dependencies: "xent = \"VERSION\"\n",
        source: include_str!("programs/usual.rs"),
    },
    Program {
        what: "all features of all libraries",
        name: "everything",
        dependencies: "half = \"2\"\n\
                       ndarray = { version = \"0.17\", default-features = false }\n\
                       ndarray-0-16 = { package = \"ndarray\", version = \"0.16\", default-features = false }\n\
                       xent = { version = \"VERSION\", features = [\"half\", \"linear\", \"ndarray\", \"ndarray-0-16\"] }\n\
                       xent-core = { version = \"VERSION\", features = [\"half\"] }\n\
                       xent-rayon = \"VERSION\"\n\
                       xent-reference = { version = \"VERSION\", features = [\"golden\"] }\n",
        source: include_str!("programs/everything.rs"),
    },
    WITHOUT_STD,
];

const WITHOUT_STD: Program = Program {
    what: "no default features",
    name: "without-std",
    dependencies: "xent = { version = \"VERSION\", default-features = false }\n\
                   xent-core = { version = \"VERSION\", default-features = false }\n",
    source: include_str!("programs/without_std.rs"),
};

/// Variables of the user's shell that must not affect an outside program.
const NOT_OF_A_DEPENDENT: [&str; 6] = [
    "CARGO_BUILD_RUSTFLAGS",
    "CARGO_BUILD_TARGET",
    "CARGO_ENCODED_RUSTFLAGS",
    "RUSTC_WORKSPACE_WRAPPER",
    "RUSTC_WRAPPER",
    "RUSTFLAGS",
];

/// The folder of the workspace.
pub(super) struct Outside {
    folder: PathBuf,
}

impl Outside {
    /// Writes everything except the packages, which are unpacked.
    pub(super) fn new(crates: &[Crate]) -> Result<Self, String> {
        let outside = Self { folder: folder("outside") };
        outside.put("Cargo.toml", &manifest(crates))?;
        for program in &PROGRAMS {
            outside.put(&format!("{}/Cargo.toml", program.name), &program.manifest())?;
            outside.put(&format!("{}/src/lib.rs", program.name), program.source)?;
        }
        // The versions of all other crates that this workspace is tested with.
        let lock = crate::root().join("Cargo.lock");
        let copied = fs::copy(&lock, outside.folder.join("Cargo.lock"));
        copied.map_err(|error| format!("{}: {error}", lock.display()))?;
        Ok(outside)
    }

    fn put(&self, name: &str, text: &str) -> Result<(), String> {
        let file = self.folder.join(name);
        let above = file.parent().unwrap_or(Path::new(""));
        fs::create_dir_all(above)
            .and_then(|()| fs::write(&file, text))
            .map_err(|error| format!("{}: {error}", file.display()))
    }

    /// A command of cargo in the workspace.
    fn prepare(&self, mut cargo: Command) -> Command {
        for variable in NOT_OF_A_DEPENDENT {
            cargo.env_remove(variable);
        }
        cargo.current_dir(&self.folder).arg("--target-dir").arg(folder("target"));
        cargo
    }

    fn cargo(&self, words: &str) -> Command {
        let mut cargo = Command::new("cargo");
        cargo.args(words.split(' '));
        self.prepare(cargo)
    }

    /// Builds and tests a program.
    pub(super) fn test(&self, program: &Program) -> Result<(), String> {
        tools::succeed(self.cargo("test --quiet --lib").args(["--package", program.name]))
    }

    /// Compiles the programs without `std` for a device.
    pub(super) fn check_without_std(&self, device: &Foreign) -> Result<(), String> {
        let mut cargo = self.prepare(device.cargo("check"));
        tools::succeed(cargo.args(["--quiet", "--package", WITHOUT_STD.name]))
    }

    /// Compiles libraries and programs of all packages.
    pub(super) fn check_all_features(
        &self,
        crates: &[Crate],
        toolchain: &Toolchain,
    ) -> Result<(), String> {
        let mut cargo = toolchain.cargo();
        cargo.args(["check", "--quiet", "--all-features"]);
        let packages = crates.iter().flat_map(|of| ["--package", &of.name]);
        tools::succeed(self.prepare(cargo).args(packages)).map_err(|error| {
            format!("{error}\n{toolchain} is a compiler that `rust-version` in Cargo.toml promises")
        })
    }

    /// Runs the tests in the packages, and those in their documentation.
    pub(super) fn test_packages(&self, crates: &[Crate]) -> Result<(), String> {
        let packages = crates.iter().flat_map(|of| ["--package", &of.name]);
        // Millions of results, which take minutes without optimisation.
        let test = "test --quiet --release --all-features";
        tools::succeed(self.cargo(test).args(packages))
    }

    /// Builds the documentation of a package for each of its targets, with the settings of docs.rs.
    pub(super) fn document(&self, of: &Crate) -> Result<(), String> {
        let DocsRs { all_features, targets } = of.docs_rs()?;
        for target in targets {
            let mut cargo = match [DEVICE, WEB].iter().find(|triple| **triple == target) {
                Some(triple) => Foreign::find(triple, Library::Core)?.cargo("doc"),
                None => {
                    let mut cargo = Command::new("cargo");
                    cargo.args(["doc", "--target", &target]);
                    cargo
                }
            };
            cargo.args(["--quiet", "--no-deps"]).args(all_features.then_some("--all-features"));
            // docs.rs uses a nightly compiler, which labels the items of a feature.
            cargo.env("RUSTC_BOOTSTRAP", "1").env("RUSTDOCFLAGS", "--cfg docsrs -Dwarnings");
            tools::succeed(self.prepare(cargo).args(["--package", &of.name]))?;
            println!("{} for {target}: ok", of.name);
        }
        Ok(())
    }
}

impl Program {
    fn manifest(&self) -> String {
        let Self { name, dependencies, .. } = self;
        let dependencies = dependencies.replace("VERSION", VERSION);
        format!(
            "[package]\nname = \"{name}\"\nversion = \"0.0.0\"\nedition = \"2024\"\npublish = false\n\n\
             [dependencies]\n{dependencies}"
        )
    }
}

/// The manifest of the workspace: dependencies on a version of a crate use the package.
fn manifest(crates: &[Crate]) -> String {
    // A JSON string is also a TOML string.
    let path = |of: &Crate| format!("{:?}", unpacked(of).display().to_string());
    let packages: Vec<_> = crates.iter().map(path).collect();
    let programs: Vec<_> = PROGRAMS.iter().map(|program| format!("{:?}", program.name)).collect();
    let members = [packages, programs].concat().join(", ");
    let patches = crates.iter().map(|of| format!("{} = {{ path = {} }}\n", of.name, path(of)));
    format!(
        "[workspace]\nresolver = \"3\"\nmembers = [{members}]\n\n\
         [patch.crates-io]\n{}\n\
         [profile.dev]\ndebug = false\nincremental = false\n",
        patches.collect::<String>()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_package_is_a_member_and_stands_for_its_version() {
        let one: Crate =
            serde_json::from_str(r#"{"name": "one", "version": "1.2.3"}"#).expect("one");
        let text = manifest(&[one]);
        let folder = "package-check/outside/packages/one-1.2.3\"";
        let members = text.lines().find(|line| line.starts_with("members = ")).expect("members");
        assert!(members.contains(folder) && members.ends_with("\"without-std\"]"), "{members}");
        let patch = text.lines().find(|line| line.starts_with("one = { path = ")).expect("a patch");
        assert!(patch.contains(folder), "{patch}");
    }
}
