//! `cargo xtask supply-chain`: checks the workspace's dependencies by the rules of `deny.toml`, and
//! those of `xent-core` by name.

use std::io::{self, ErrorKind};
use std::process::{Command, ExitCode, Output};

/// Targets with the instructions of x86, and without.
const TARGETS: [&str; 2] = ["x86_64-unknown-linux-gnu", "thumbv7em-none-eabihf"];

/// The outcome of one check.
enum Outcome {
    Held,
    Failed,
    /// The check was impossible, for this reason.
    Skipped(String),
}

/// Runs all checks; those that are impossible here are reported, and are not failures.
pub(crate) fn run() -> ExitCode {
    let checks = [
        ("licenses bans sources", deny(&["licenses", "bans", "sources"])),
        ("advisories", deny(&["advisories"])),
        ("dependencies of xent-core", of_core()),
    ];
    let mut failed = false;
    println!();
    for (check, outcome) in checks {
        let outcome = outcome.unwrap_or_else(|error| {
            println!("cargo: {error}");
            Outcome::Failed
        });
        match outcome {
            Outcome::Held => println!("{check}: ok"),
            Outcome::Failed => println!("{check}: FAILED"),
            Outcome::Skipped(ref reason) => println!("{check}: NOT CHECKED, {reason}"),
        }
        failed |= matches!(outcome, Outcome::Failed);
    }
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn cargo() -> Command {
    // The cargo that runs this program.
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(crate::root());
    cargo
}

fn print(output: &Output) {
    print!("{}", String::from_utf8_lossy(&output.stdout));
    print!("{}", String::from_utf8_lossy(&output.stderr));
}

/// Some of the checks of cargo-deny.
fn deny(checks: &[&str]) -> io::Result<Outcome> {
    let mut deny = Command::new("cargo-deny");
    let output = match deny.arg("check").args(checks).current_dir(crate::root()).output() {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let reason = "cargo-deny is missing: cargo install --locked cargo-deny";
            return Ok(Outcome::Skipped(reason.into()));
        }
        output => output?,
    };
    if output.status.success() {
        return Ok(Outcome::Held);
    }
    let text = String::from_utf8_lossy(&output.stderr);
    let is_judged = text.contains("FAILED");
    if !is_judged && text.contains("failed to fetch advisory database") {
        let reason = text.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default();
        return Ok(Outcome::Skipped(format!("the advisory database cannot be fetched: {reason}")));
    }
    print(&output);
    Ok(Outcome::Failed)
}

/// Lists them with their licences; the test that names them is the judge.
fn of_core() -> io::Result<Outcome> {
    for target in TARGETS {
        println!("xent-core with all features for {target}:");
        let tree = "tree --locked --package xent-core --all-features --edges normal";
        let output = cargo()
            .args(tree.split(' '))
            .args(["--format", "{p}, {l}", "--target", target])
            .output()?;
        print(&output);
        if !output.status.success() {
            return Ok(Outcome::Failed);
        }
    }
    // With the features of the whole workspace's tests, so that existing builds are used.
    let test = "test --locked --quiet --release --workspace --test dependencies";
    let output = cargo().args(test.split(' ')).output()?;
    if output.status.success() {
        return Ok(Outcome::Held);
    }
    print(&output);
    Ok(Outcome::Failed)
}
