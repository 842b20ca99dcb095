//! `cargo xtask web`: builds the page of `examples/web` and its module, and serves it or tests it in a browser.

mod cases;
mod needs;
mod reports;
mod serve;

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use clap::Args;

use crate::foreign::{Foreign, Library};
use crate::packages;
use serve::Server;

/// What to do with the page.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// Serves the page on this machine, until Ctrl-C.
    #[arg(long, conflicts_with = "test")]
    serve: bool,
    /// With `--serve`: the port.
    #[arg(long, default_value_t = 8000, requires = "serve")]
    port: u16,
    /// Uses the page in a headless Chromium like a person would, and compares the numbers it shows with those of
    /// this program; reads reports of `xent compare` in it, too. Leaves screenshots in `target/web-test`.
    #[arg(long)]
    test: bool,
    /// Installs what is missing: Rust targets with rustup, if it is there, and programs with Debian's apt-get,
    /// which never removes a package.
    #[arg(long)]
    install: bool,
}

const TRIPLE: &str = "wasm32-unknown-unknown";

/// Runs the command.
pub(crate) fn run(options: &Options) -> ExitCode {
    let here = packages::provide(|| needs::missing(options.test), options.install);
    let done = here.and_then(|()| build()).and_then(|page| {
        if options.serve {
            serve(&page, options.port)
        } else if options.test {
            test(&page)
        } else {
            Ok(())
        }
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("{reason}");
            ExitCode::FAILURE
        }
    }
}

fn source() -> PathBuf {
    crate::root().join("examples/web")
}

/// Builds the module and puts it next to the page.
fn build() -> Result<PathBuf, String> {
    let target = crate::target_folder("web-build");
    let status = Foreign::find(TRIPLE, Library::Core)?
        .cargo("build")
        // The file that tells cargo which instructions to use.
        .current_dir(source())
        .args(["--release", "--locked", "--target-dir"])
        .arg(&target)
        .status()
        .map_err(|error| format!("cargo: {error}"))?;
    if !status.success() {
        return Err("the module does not build".into());
    }
    let page = crate::target_folder("web");
    let module = target.join(TRIPLE).join("release/xent_web.wasm");
    let bytes = gather(&module, &page).map_err(|error| format!("{}: {error}", page.display()))?;
    println!("{}: the page, and a module of {bytes} bytes", page.display());
    Ok(page)
}

/// Puts the page and its module into their own folder.
fn gather(module: &Path, folder: &Path) -> io::Result<u64> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => fs::create_dir_all(folder)?,
    }
    for entry in fs::read_dir(source().join("page"))? {
        let entry = entry?;
        fs::copy(entry.path(), folder.join(entry.file_name()))?;
    }
    fs::copy(module, folder.join("xent.wasm"))
}

fn serve(page: &Path, port: u16) -> Result<(), String> {
    let server = Server::start(page, port)?;
    println!("{} (Ctrl-C ends it)", server.address());
    server.run();
    Ok(())
}

/// Compares the page in a browser with the results of this program.
fn test(page: &Path) -> Result<(), String> {
    let browser = needs::browser()?;
    let folder = source().join("test");
    driver(&folder)?;
    let output = crate::target_folder("web-test");
    fs::create_dir_all(&output)
        .and_then(|()| cases::write(&output))
        .and_then(|()| reports::write(&output))
        .map_err(|error| format!("{}: {error}", output.display()))?;
    let server = Server::start(page, 0)?;
    let address = server.address();
    std::thread::spawn(move || server.run());
    let node = |test: &str, arguments: &[&OsStr], failed: &str| {
        let status = Command::new("node")
            .current_dir(&folder)
            .args(["--test-reporter=spec", test])
            .args(arguments)
            .status()
            .map_err(|error| format!("node: {error}"))?;
        if status.success() { Ok(()) } else { Err(failed.to_owned()) }
    };
    // The tests without a browser come first.
    node("read.test.mjs", &[], "the page does not read text and files as it should")?;
    let (output, browser) = (output.as_os_str(), browser.as_os_str());
    let of_page = [address.as_ref(), output, browser];
    node("page.test.mjs", &of_page, "the page does not do what it should")?;
    let of_reports = [output, browser];
    node(
        "report.test.mjs",
        &of_reports,
        "the report of xent compare does not show what it should",
    )?;
    let output = output.display();
    println!("screenshots: {output}");
    Ok(())
}

/// Installs the library that drives the browser, unless it is there.
fn driver(folder: &Path) -> Result<(), String> {
    let npm = |arguments: &[&str]| {
        let mut npm = Command::new("npm");
        npm.current_dir(folder).args(arguments).stdout(Stdio::null());
        npm
    };
    let failed = |error| format!("npm: {error}");
    if npm(&["ls"]).stderr(Stdio::null()).status().map_err(failed)?.success() {
        return Ok(());
    }
    let arguments = ["ci", "--ignore-scripts", "--no-audit", "--no-fund"];
    if npm(&arguments).status().map_err(failed)?.success() {
        Ok(())
    } else {
        Err("`npm ci` does not install what drives the browser".into())
    }
}
