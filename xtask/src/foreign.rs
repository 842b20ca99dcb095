//! Cargo for targets other than this machine's.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::packages::Missing;

/// A target whose C library a distribution's compiler does not include.
const WASI: &str = "wasm32-wasip1";
const WASI_LIBC: &str = "wasi-libc";
const WASI_START: &str = "/usr/lib/wasm32-wasi/crt1-command.o";

/// How much of the standard library is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Library {
    Core,
    Std,
}

/// A compiler for a target: a toolchain with its standard library, or a compiler with the sources, which the
/// library is built from.
#[derive(Clone, Debug)]
pub(crate) struct Foreign {
    triple: &'static str,
    library: Library,
    /// The compiler with the sources, if the library has to be built.
    compiler: Option<PathBuf>,
    /// LLVM's linker, which a distribution's compiler does not include.
    lld: Option<PathBuf>,
}

impl Foreign {
    /// Debian's packages of a compiler and the sources.
    const PACKAGES: [&str; 2] = ["rustc-web", "rust-web-src"];

    /// What [`find`](Self::find) does not find.
    pub(crate) fn missing(triple: &'static str, library: Library) -> Option<Missing> {
        let what = Self::find(triple, library).err()?;
        let of_target = (triple == WASI).then_some(WASI_LIBC);
        let packages = Self::PACKAGES.into_iter().chain(of_target).collect();
        Some(Missing { what, packages, target: Some(triple) })
    }

    /// The compiler for a target, or how to get one.
    pub(crate) fn find(triple: &'static str, library: Library) -> Result<Self, String> {
        let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
        let rustc = Path::new(&rustc);
        let wanted = match library {
            Library::Core => "libcore-",
            Library::Std => "libstd-",
        };
        let installed = print(rustc, &["target-libdir", "--target", triple]);
        let files = installed.and_then(|folder| Path::new(&folder).read_dir().ok());
        let mut names = files.into_iter().flatten().flatten().map(|file| file.file_name());
        if names.any(|name| name.to_string_lossy().starts_with(wanted)) {
            return Ok(Self { triple, library, compiler: None, lld: None });
        }
        if triple == WASI && !Path::new(WASI_START).exists() {
            return Err(format!("no C library for {triple}: apt-get install {WASI_LIBC}"));
        }
        // Often it is a distribution's compiler that has them.
        let candidates = [rustc, Path::new("/usr/bin/rustc")];
        let compiler = candidates.into_iter().find(|rustc| {
            print(rustc, &["sysroot"]).is_some_and(|sysroot| {
                let lock = Path::new(&sysroot).join("lib/rustlib/src/rust/library/Cargo.lock");
                lock.exists() && version(rustc) >= minor(env!("CARGO_PKG_RUST_VERSION"))
            })
        });
        let compiler = compiler.ok_or_else(|| {
            format!(
                "no standard library for {triple}: `rustup target add {triple}`, or a compiler of \
                 version {} or later with its sources by `rustup component add rust-src` or (Debian) \
                 `apt-get update; apt-get install {}`",
                env!("CARGO_PKG_RUST_VERSION"),
                Self::PACKAGES.join(" ")
            )
        })?;
        let lld = print(rustc, &["sysroot"]).and_then(|sysroot| {
            let host = print(rustc, &["host-tuple"])?;
            let lld = Path::new(&sysroot).join("lib/rustlib").join(host).join("bin/rust-lld");
            lld.exists().then_some(lld)
        });
        Ok(Self { triple, library, compiler: Some(compiler.into()), lld })
    }

    /// `cargo build` or a similar command for the target, in the workspace's folder.
    pub(crate) fn cargo(&self, subcommand: &str) -> Command {
        let mut command = Command::new("cargo");
        command.current_dir(crate::root()).args([subcommand, "--target", self.triple]);
        // These belong to the toolchain that runs this program.
        for variable in ["RUSTC", "RUSTDOC", "RUSTFLAGS"] {
            command.env_remove(variable);
        }
        let Some(compiler) = &self.compiler else {
            return command;
        };
        command
            .arg(match self.library {
                Library::Core => "-Zbuild-std=core",
                // Where nothing unwinds, its panic strategy is not built by default.
                Library::Std if self.triple.starts_with("wasm") => "-Zbuild-std=std,panic_abort",
                Library::Std => "-Zbuild-std",
            })
            .env("RUSTC", compiler)
            .env("RUSTDOC", compiler.with_file_name("rustdoc"))
            .env("RUSTC_BOOTSTRAP", "1");
        // Unix targets are linked by a C compiler, which the caller names.
        let has_no_system = self.triple.contains("-none-") || self.triple.starts_with("wasm");
        if let Some(lld) = self.lld.as_ref().filter(|_| has_no_system) {
            command.env(self.variable("LINKER"), lld);
        }
        command
    }

    /// Compiler options for libraries that are not included.
    pub(crate) fn flags(&self) -> &'static str {
        if self.compiler.is_some() && self.triple == WASI {
            // Debian's place for the C library. It is older than the standard library, which refers to thread
            // functions that it lacks; no threads are used.
            "-Clink-self-contained=no -Clink-arg=--import-undefined -Clink-arg=/usr/lib/wasm32-wasi/crt1-command.o \
             -L/usr/lib/wasm32-wasi"
        } else {
            ""
        }
    }

    /// The name of a variable that configures cargo for this target.
    pub(crate) fn variable(&self, of: &str) -> String {
        format!("CARGO_TARGET_{}_{of}", self.triple.to_uppercase().replace('-', "_"))
    }
}

/// The minor version of a compiler: the number after `1.`.
fn version(rustc: &Path) -> Option<u32> {
    let output = Command::new(rustc).arg("--version").output().ok()?;
    minor(String::from_utf8_lossy(&output.stdout).strip_prefix("rustc ")?)
}

fn minor(version: &str) -> Option<u32> {
    version.split('.').nth(1)?.parse().ok()
}

/// The output of a compiler's `--print`.
fn print(rustc: &Path, question: &[&str]) -> Option<String> {
    let output = Command::new(rustc).arg("--print").args(question).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    output.status.success().then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers() {
        assert_eq!(minor("1.96.0 (ac68faa20 2026-05-25)"), Some(96));
        assert!(minor("1.100.0-nightly (0 2027-01-01)") > minor(env!("CARGO_PKG_RUST_VERSION")));
        assert_eq!(minor("unknown"), None);
        assert!(version(Path::new("no-such-compiler")) < minor("1.0"));
    }
}
