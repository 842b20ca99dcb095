//! The tests under AddressSanitizer, which sees every read and write outside of what was allocated.

use std::path::Path;
use std::process::{Command, ExitCode};

/// What the test `guard_pages` is told to do, so that there is something to be found.
const KNOWN_ERROR: (&str, &str) = ("XENT_GUARD_TOUCH", "read behind a vector");

/// A toolchain that can compile for the sanitizer.
struct Toolchain {
    name: &'static str,
    /// What `cargo` and `rustc` are told first.
    choice: Option<&'static str>,
    /// Whether it takes unstable options only if it is asked to.
    bootstrap: bool,
    host: String,
}

impl Toolchain {
    fn find() -> Option<Self> {
        let nightly = Self::of("nightly", Some("+nightly"), false);
        nightly.or_else(|| Self::of("this toolchain with RUSTC_BOOTSTRAP=1", None, true))
    }

    /// The toolchain, if it is installed and comes with the sanitizer's library.
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
            // Beneath the one for everything else, whose contents it would replace.
            .arg(crate::target_folder("sanitize"))
            .current_dir(crate::root())
            .env("RUSTFLAGS", flags)
            // Memory that is never freed is no error of memory, and to look for it takes rights that a
            // container may not have.
            .env("ASAN_OPTIONS", set("ASAN_OPTIONS", "detect_leaks=0"))
            // Of the toolchain that runs this program.
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

/// Of the core alone, the tests that run every kernel at every length.
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
    "--package=xent-rayon",
    "--package=xent-cli",
    "--features=xent-core/half",
    "--tests",
];

pub(crate) fn run(quick: bool) -> ExitCode {
    let Some(toolchain) = Toolchain::find() else {
        println!("skipped: no toolchain here comes with AddressSanitizer (rustup install nightly)");
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

    // A sanitizer that finds nothing in a program that is wrong would find nothing anywhere.
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
        return Err("the sanitizer does not report a read behind a vector".to_owned());
    }
    println!("a read behind a vector is reported, as it has to be");

    succeeds(toolchain.test().args(tests), "a test failed under the sanitizer")
}
