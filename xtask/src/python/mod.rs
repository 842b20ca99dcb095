//! `cargo xtask python`: the Python package, built as a wheel, installed into an environment of its own, and tested there.

mod aarch64;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use clap::Args;

use crate::packages::{self, Missing};
use crate::tools;

/// What is tested.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// Only what needs NumPy alone, of a wheel without link-time optimisation. In full the wheel is built from the source
    /// distribution, and PyTorch, JAX, XGBoost, LightGBM, CatBoost and scikit-learn are downloaded (several GB) for their
    /// tests, and PyTorch's own.
    #[arg(long)]
    quick: bool,
    /// Builds the wheel for aarch64 instead, and runs its tests for NumPy under QEMU, by Debian's Python for that
    /// processor, which is downloaded.
    #[arg(long, conflicts_with = "quick")]
    aarch64: bool,
    /// Installs what is missing of Python's virtual environments, and with `--aarch64` of the compiler and QEMU, with
    /// Debian's apt-get.
    #[arg(long)]
    install: bool,
}

/// What builds the wheel.
const MATURIN: &str = "maturin>=1.16,<2";

/// What a full run tests with; expecttest is for PyTorch's own tests.
const FRAMEWORKS: &[&str] =
    &["torch", "expecttest", "jax", "xgboost", "lightgbm", "catboost", "scikit-learn"];

/// It has 2.3 MB, above its goal of 2: kernels for three instruction sets, in seven formats.
const LARGEST_WHEEL: u64 = 2_400_000;

pub(crate) fn run(options: &Options) -> ExitCode {
    match check(options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn check(options: &Options) -> Result<(), String> {
    let folder = crate::target_folder("python");
    if options.aarch64 {
        let missing = || missing().into_iter().chain(aarch64::missing()).collect();
        packages::provide(missing, options.install)?;
        return aarch64::check(&folder.join("aarch64"));
    }
    packages::provide(missing, options.install)?;
    let mut maturin = Maturin::new(&folder)?;
    if options.quick {
        maturin.command.env("CARGO_PROFILE_RELEASE_LTO", "false");
    } else {
        maturin.command.arg("--sdist");
    }
    let wheel = maturin.wheel()?;
    let size = size_of(&wheel)?;
    if size > LARGEST_WHEEL && !options.quick {
        return Err(format!("the wheel has {size} bytes, more than {LARGEST_WHEEL}"));
    }
    let name = if options.quick { "clean" } else { "frameworks" };
    let environment = Environment::new(folder.join(name))?;
    let with_tests = format!("{}[test]", wheel.display());
    environment.install(&["--force-reinstall", "--no-deps", &wheel.display().to_string()])?;
    environment.install(&[&with_tests])?;
    if !options.quick {
        environment.install(FRAMEWORKS)?;
    }
    let package = crate::root().join("python");
    let mut tests = environment.python();
    tests.args(["-m", "pytest", "-q", "-p", "no:cacheprovider"]);
    // Not where the package's sources are: what is tested is what was installed.
    tools::succeed(tests.arg(package.join("tests")).current_dir(&folder))?;
    if !options.quick {
        let mut judge = environment.python();
        judge.arg(package.join("tools/pytorch_tests.py")).current_dir(&folder);
        tools::succeed(&mut judge)?;
    }
    Ok(())
}

fn missing() -> Vec<Missing> {
    let mut probe = Command::new("python3");
    let works = probe.args(["-c", "import ensurepip, venv"]).status();
    let has = works.is_ok_and(|status| status.success());
    let packages = &["python3", "python3-venv"];
    if has { vec![] } else { vec![Missing::new("virtual environments of Python", packages)] }
}

/// The bytes of a wheel, which are printed.
fn size_of(wheel: &Path) -> Result<u64, String> {
    let size = wheel.metadata().map_err(|error| format!("{}: {error}", wheel.display()))?.len();
    println!("{}: {size} bytes", wheel.display());
    Ok(size)
}

/// Builds a wheel in a folder.
struct Maturin {
    command: Command,
    wheels: PathBuf,
    environment: Environment,
}

impl Maturin {
    fn new(folder: &Path) -> Result<Self, String> {
        let wheels = folder.join("wheels");
        // An older one would be installed instead.
        if wheels.exists() {
            std::fs::remove_dir_all(&wheels)
                .map_err(|error| format!("{}: {error}", wheels.display()))?;
        }
        let environment = Environment::new(folder.join("tools"))?;
        environment.install(&[MATURIN])?;
        let mut command = environment.python();
        command
            .args(["-m", "maturin", "build", "--release", "--locked", "--compression-level", "9"])
            .arg("--out")
            .arg(&wheels)
            .env("CARGO_TARGET_DIR", folder.join("target"))
            .current_dir(crate::root().join("python"));
        Ok(Self { command, wheels, environment })
    }

    fn wheel(&mut self) -> Result<PathBuf, String> {
        tools::succeed(&mut self.command)?;
        let wheels = &self.wheels;
        let files = wheels.read_dir().map_err(|error| format!("{}: {error}", wheels.display()))?;
        let mut files = files.flatten().map(|file| file.path());
        let wheel = files.find(|file| file.extension().is_some_and(|of| of == "whl"));
        wheel.ok_or_else(|| format!("no wheel in {}", wheels.display()))
    }
}

/// A virtual environment of Python.
struct Environment(PathBuf);

impl Environment {
    fn new(folder: PathBuf) -> Result<Self, String> {
        if !folder.join("bin/python").exists() {
            tools::succeed(Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
        }
        Ok(Self(folder))
    }

    fn python(&self) -> Command {
        let mut command = Command::new(self.0.join("bin/python"));
        // Nothing of the caller's.
        command.env_remove("PYTHONPATH").env_remove("PYTHONHOME");
        command
    }

    fn install(&self, what: &[&str]) -> Result<(), String> {
        let mut pip = self.python();
        pip.args(["-m", "pip", "install", "-q", "--disable-pip-version-check"]).args(what);
        tools::succeed(&mut pip)
    }
}
