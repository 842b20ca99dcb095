//! The C interface, built for this machine.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde::Deserialize;

/// The version of the whole workspace.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The two libraries of `xent-capi`.
#[derive(Debug)]
pub(crate) struct Libraries {
    pub(crate) archive: PathBuf,
    pub(crate) shared: PathBuf,
    /// Options of a C compiler for linking a program with the static library, such that only the functions it calls
    /// end up in it.
    pub(crate) needs: Vec<String>,
}

/// How the system handles shared libraries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum System {
    Elf,
    Mac,
}

impl System {
    /// Those of this machine, if it is one of these.
    pub(crate) fn here() -> Result<Self, String> {
        if cfg!(target_os = "macos") {
            Ok(Self::Mac)
        } else if cfg!(unix) {
            Ok(Self::Elf)
        } else {
            Err("this command is for Unix: elsewhere use the files of `cargo build --package xent-capi`"
                .into())
        }
    }

    /// The names of a shared library: of its file, for programs, and for a linker.
    pub(crate) fn names(self, version: &str) -> [String; 3] {
        let major = version.split('.').next().unwrap_or_default();
        match self {
            Self::Elf => [
                format!("libxent.so.{version}"),
                format!("libxent.so.{major}"),
                "libxent.so".into(),
            ],
            Self::Mac => [
                format!("libxent.{version}.dylib"),
                format!("libxent.{major}.dylib"),
                "libxent.dylib".into(),
            ],
        }
    }

    /// The name of a library that is written into programs linked with it.
    pub(crate) fn soname(self, version: &str) -> String {
        let [_, name, _] = self.names(version);
        match self {
            Self::Elf => name,
            Self::Mac => format!("@rpath/{name}"),
        }
    }
}

/// How both libraries are built: without Rust's standard library, which would be most of a static program.
pub(crate) const OPTIONS: [&str; 5] =
    ["--package=xent-capi", "--profile=c", "--lib", "--no-default-features", "--features=abort"];

/// For small programs: loops are not unrolled.
const SMALL: [&str; 2] = ["--config", "profile.c.opt-level=\"s\""];

/// Builds both libraries, optimised for speed or for size.
pub(crate) fn build(small: bool) -> Result<Libraries, String> {
    let system = System::here()?;
    // The shared library uses memcpy and similar functions of the system's library.
    let (option, library, discard) = match system {
        System::Elf => ("soname", "-lc", "-Wl,--gc-sections"),
        System::Mac => ("install_name", "-lSystem", "-Wl,-dead_strip"),
    };
    let output = Command::new("cargo")
        .current_dir(crate::root())
        .arg("rustc")
        .args(OPTIONS)
        .args(SMALL.iter().filter(|_| small))
        .args(["--message-format=json", "--crate-type=staticlib", "--crate-type=cdylib", "--"])
        .arg(format!("-Clink-arg=-Wl,-{option},{}", system.soname(VERSION)))
        .arg(format!("-Clink-arg={library}"))
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("cargo: {error}"))?;
    let mut said = Said::default();
    String::from_utf8_lossy(&output.stdout).lines().for_each(|message| said.add(message));
    said.errors.iter().for_each(|error| eprint!("{error}"));
    let built = |ending: &str| {
        let found = said.files.iter().find(|file| file.to_string_lossy().ends_with(ending));
        found.cloned().ok_or_else(|| format!("cargo made no library whose name ends with {ending}"))
    };
    if !output.status.success() {
        return Err("xent-capi does not build".into());
    }
    Ok(Libraries {
        archive: built(".a")?,
        shared: built(std::env::consts::DLL_SUFFIX)?,
        needs: vec![discard.into()],
    })
}

/// The messages of cargo, one by one.
#[derive(Debug, Default)]
struct Said {
    files: Vec<PathBuf>,
    errors: Vec<String>,
}

#[derive(Deserialize)]
struct Message {
    #[serde(default)]
    target: Target,
    #[serde(default)]
    filenames: Vec<PathBuf>,
    #[serde(default)]
    message: Diagnostic,
}

#[derive(Default, Deserialize)]
struct Target {
    name: String,
}

#[derive(Default, Deserialize)]
struct Diagnostic {
    rendered: Option<String>,
}

impl Said {
    fn add(&mut self, message: &str) {
        let Ok(message) = serde_json::from_str::<Message>(message) else {
            return;
        };
        self.errors.extend(message.message.rendered);
        if message.target.name == "xent_capi" {
            self.files.extend(message.filenames);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shared_library_has_three_names() {
        let elf = ["libxent.so.1.2.3", "libxent.so.1", "libxent.so"];
        assert_eq!(System::Elf.names("1.2.3"), elf);
        assert_eq!(System::Elf.soname("1.2.3"), "libxent.so.1");
        let mac = ["libxent.1.2.3.dylib", "libxent.1.dylib", "libxent.dylib"];
        assert_eq!(System::Mac.names("1.2.3"), mac);
        assert_eq!(System::Mac.soname("1.2.3"), "@rpath/libxent.1.dylib");
    }

    #[test]
    fn cargo_names_the_files() {
        let mut said = Said::default();
        for message in [
            r#"{"reason":"compiler-artifact","target":{"name":"wide"},"filenames":["/t/libwide.rlib"]}"#,
            r#"{"reason":"compiler-message","target":{"name":"xent_capi"},"message":
                {"level":"warning","message":"unused","rendered":"warning: unused"}}"#,
            r#"{"reason":"compiler-artifact","target":{"name":"xent_capi"},
                "filenames":["/t/libxent_capi.a","/t/libxent_capi.so"]}"#,
            r#"{"reason":"build-finished","success":true}"#,
        ] {
            said.add(message);
        }
        assert_eq!(said.files, ["/t/libxent_capi.a", "/t/libxent_capi.so"].map(PathBuf::from));
        assert_eq!(said.errors, ["warning: unused"]);
    }
}
