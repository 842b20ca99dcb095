//! `cargo xtask sanitize`: runs the tests under AddressSanitizer, which detects every read and
//! write outside allocated memory.

use std::path::Path;
use std::process::{Command, ExitCode};

/// Tells the test `guard_pages` to make a known error.
const KNOWN_ERROR: (&str, &str) = ("XENT_GUARD_TOUCH", "read behind a vector");

/// A toolchain that can compile for the sanitizer.
struct Toolchain {
    name: &'static str,
    /// The first argument of `cargo` and `rustc`.
    choice: Option<&'static str>,
    /// Whether it accepts unstable options only on request.
    bootstrap: bool,
    host: String,
}

impl Toolchain {
    fn find() -> Option<Self> {
        let nightly = Self::of("nightly", Some("+nightly"), false);
        nightly.or_else(|| Self::of("this toolchain with RUSTC_BOOTSTRAP=1", None, true))
    }

    /// The toolchain, if it is installed and includes the sanitizer's library.
    fn of(name: &'static str, choice: Option<&'static str>, bootstrap: bool) -> Option<Self> {
        let asked = |arguments: &[&str]| {
            let output = Command::new("rustc").args(choice).args(arguments).output().ok()?;
            output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
        };
        let version = asked(&["--version", "--verbose"])?;
        let host = version.lines().find_map(|line| line.strip_prefix("host: "))?.to_owned();
        let libraries = asked(&["--print", "target-libdir"])?;
        let mut libraries = Path::new(libraries.trim()).read_dir().ok()?.flatten();
        let shipped = libraries.any(|file| file.file_name().to_string_lossy().contains("_rt.asan"));
        shipped.then_some(Self { name, choice, bootstrap, host })
    }

    /// `cargo test` for the sanitizer.
    fn test(&self) -> Command {
        let set = |name, value: &str| std::env::var_os(name).unwrap_or_else(|| value.into());
        let mut flags = std::env::var_os("RUSTFLAGS").unwrap_or_default();
        flags.push(" -Zsanitizer=address");
        let mut command = Command::new("cargo");
        command
            .args(self.choice)
            .args(["test", "--target", &self.host, "--target-dir"])
            // Inside the usual folder, whose contents it would otherwise replace.
            .arg(crate::target_folder("sanitize"))
            .current_dir(crate::root())
            .env("RUSTFLAGS", flags)
            // Leaks are not errors of memory safety, and looking for them takes permissions that a
            // container may not have.
            .env("ASAN_OPTIONS", set("ASAN_OPTIONS", "detect_leaks=0"))
            // These belong to the toolchain that runs this program.
            .env_remove("RUSTC")
            .env_remove("CARGO");
        if self.choice.is_some() {
            command.env_remove("RUSTUP_TOOLCHAIN");
        }
        if self.bootstrap {
            command.env("RUSTC_BOOTSTRAP", "1");
        }
        command
    }
}

/// Only the core's tests that run every kernel at every length.
const QUICK: &[&str] = &[
    "--package=xent-core",
    "--features=half",
    "--test=guard_pages",
    "--test=formats",
    "--test=softmax",
];

/// Documentation tests would be compiled one by one.
const ALL: &[&str] = &[
    "--package=xent-core",
    "--package=xent",
    "--package=xent-linear",
    "--package=xent-rayon",
    "--package=xent-cli",
    "--features=xent-core/half",
    "--tests",
];

pub(crate) fn run(quick: bool) -> ExitCode {
    let Some(toolchain) = Toolchain::find() else {
        println!("skipped: no toolchain here includes AddressSanitizer (rustup install nightly)");
        return ExitCode::SUCCESS;
    };
    println!("AddressSanitizer of {} for {}", toolchain.name, toolchain.host);
    match check(&toolchain, if quick { QUICK } else { ALL }) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

fn check(toolchain: &Toolchain, tests: &[&str]) -> Result<(), String> {
    let succeeds = |command: &mut Command, otherwise: &str| match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(_) => Err(otherwise.to_owned()),
        Err(error) => Err(format!("cargo: {error}")),
    };
    let build = "the tests could not be built for the sanitizer";
    succeeds(toolchain.test().args(tests).arg("--no-run"), build)?;

    // A sanitizer that misses a known error would find nothing at all.
    let (name, value) = KNOWN_ERROR;
    let output = toolchain
        .test()
        .args(tests.iter().filter(|option| !option.starts_with("--test")))
        .args(["--test=guard_pages", "--", "--exact", "guard::who_touches_it_dies", "--nocapture"])
        .env(name, value)
        .output()
        .map_err(|error| format!("cargo: {error}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    if output.status.success() || !said.contains("AddressSanitizer: heap-buffer-overflow") {
        return Err("the sanitizer does not report a read past the end of a vector".to_owned());
    }
    println!("a read past the end of a vector is reported, as it must be");

    succeeds(toolchain.test().args(tests), "a test failed under the sanitizer")
}
