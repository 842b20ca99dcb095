//! `cargo xtask fuzz`: runs the targets of `fuzz`, each for some time, and reports their findings.

use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::Mutex;

use clap::Args;

use crate::progress;

/// The targets to run, and for how long.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// Seconds for each target.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// How many targets run at a time.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    jobs: u16,
    /// Replays the corpus and some random inputs with the current toolchain, without libFuzzer,
    /// nightly or cargo-fuzz: minutes, including the build.
    #[arg(long, conflicts_with_all = ["seconds", "jobs"])]
    quick: bool,
    /// With `--quick`: random inputs for each target.
    #[arg(long, default_value_t = 2000, requires = "quick")]
    inputs: u64,
    /// The targets to run; all by default.
    targets: Vec<String>,
}

/// The statistics of a libFuzzer run.
#[derive(Debug, Default, PartialEq, Eq)]
struct Counts {
    executions: u64,
    per_second: u64,
    coverage: u64,
    features: u64,
    new_units: u64,
}

/// The outcome of a target.
struct Outcome {
    target: String,
    counts: Counts,
    /// Why it stopped early: the input, and the last lines of its output.
    finding: Option<(Option<PathBuf>, String)>,
}

/// The target of the program's files.
const READERS: &str = "file_readers";

/// Runs the chosen targets.
pub(crate) fn run(options: &Options) -> ExitCode {
    let folder = crate::root().join("fuzz");
    let all = match targets(&folder) {
        Ok(all) => all,
        Err(error) => return failed(&format!("no targets in {}: {error}", folder.display())),
    };
    if let Some(unknown) = options.targets.iter().find(|target| !all.contains(target)) {
        return failed(&format!("no target {unknown}; all are {}", all.join(", ")));
    }
    let chosen = if options.targets.is_empty() { all } else { options.targets.clone() };
    if options.quick {
        return replay(&chosen, options.inputs);
    }
    if let Err(missing) = tools() {
        return failed(&format!(
            "{missing}\n`cargo xtask fuzz --quick` needs neither cargo-fuzz nor a nightly toolchain"
        ));
    }
    for target in &chosen {
        println!("building {target}");
        let built = cargo_fuzz(&folder, "build", target).status();
        if !built.is_ok_and(|status| status.success()) {
            return failed(&format!("{target} does not build"));
        }
    }
    report(&fuzz(&folder, &chosen, options))
}

fn failed(reason: &str) -> ExitCode {
    eprintln!("{reason}");
    ExitCode::FAILURE
}

/// The names of the targets.
fn targets(folder: &Path) -> std::io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder.join("fuzz_targets"))? {
        let path = entry?.path();
        names.extend(path.file_stem().map(|stem| stem.to_string_lossy().into_owned()));
    }
    names.sort();
    Ok(names)
}

/// What is missing, and how to get it.
fn tools() -> Result<(), &'static str> {
    let works = |arguments: &[&str]| {
        let status = Command::new("cargo")
            .args(arguments)
            .env_remove("RUSTUP_TOOLCHAIN")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        status.is_ok_and(|status| status.success())
    };
    if !works(&["+nightly", "--version"]) {
        return Err(
            "no nightly toolchain, which sanitizers need: rustup toolchain install nightly",
        );
    }
    if !works(&["fuzz", "--version"]) {
        return Err("no cargo-fuzz: cargo install cargo-fuzz");
    }
    Ok(())
}

/// The nightly cargo: the current program may have been started by another toolchain's.
fn cargo_fuzz(folder: &Path, subcommand: &str, target: &str) -> Command {
    let mut command = Command::new("cargo");
    // The profile of the tests: optimised, with all assertions, without link-time optimisation.
    command.args(["+nightly", "fuzz", subcommand, "--dev", "--features", "libfuzzer"]);
    // What losses compare are results and elements. Noting each comparison takes half of the time; it helps to find
    // the words and numbers of a file's header. AddressSanitizer takes most of the rest: what losses do with memory
    // is checked by `cargo xtask sanitize` and by the tests between guarded pages.
    if target != READERS {
        command.args(["--no-trace-compares", "--sanitizer", "none"]);
    }
    command.arg(target).current_dir(folder);
    for variable in ["CARGO", "RUSTC", "RUSTDOC", "RUSTUP_TOOLCHAIN"] {
        command.env_remove(variable);
    }
    command
}

fn replay(targets: &[String], inputs: u64) -> ExitCode {
    let status = Command::new("cargo")
        // With the features of the whole workspace's tests, so that existing builds are used.
        .args(["test", "--release", "--workspace", "--test", "replay", "--", "--exact"])
        .args(targets)
        .env("XENT_FUZZ_INPUTS", inputs.to_string())
        .current_dir(crate::root())
        .status();
    match status {
        Ok(status) if status.success() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => failed(&format!("no cargo: {error}")),
    }
}

/// Runs the targets, some at a time.
fn fuzz(folder: &Path, targets: &[String], options: &Options) -> Vec<Outcome> {
    let waiting = Mutex::new(targets.iter().collect::<VecDeque<_>>());
    let done = Mutex::new(Vec::new());
    let bar = progress::bar("fuzz", targets.len() as u64);
    let next = || waiting.lock().expect("no target panics").pop_front();
    std::thread::scope(|scope| {
        for _ in 0..options.jobs {
            scope.spawn(|| {
                while let Some(target) = next() {
                    let outcome = one(folder, target, options.seconds);
                    done.lock().expect("no target panics").push(outcome);
                    bar.inc(1);
                }
            });
        }
    });
    bar.finish_and_clear();
    let mut outcomes = done.into_inner().expect("no target panics");
    outcomes.sort_by(|a, b| a.target.cmp(&b.target));
    outcomes
}

/// Runs a target over its corpus, and then for this many seconds. The inputs that it adds stay
/// outside the checked-in corpus.
fn one(folder: &Path, target: &str, seconds: u64) -> Outcome {
    let working = folder.join("target/corpus").join(target);
    let checked_in = folder.join("corpus").join(target);
    let time = format!("-max_total_time={seconds}");
    let result = fs::create_dir_all(&working).and_then(|()| {
        cargo_fuzz(folder, "run", target)
            .args([&working, &checked_in])
            .args(["--", &time, "-print_final_stats=1", "-timeout=30"])
            // A batch takes about a hundred bytes; shorter inputs are all alike.
            .args(["-max_len=1024", "-len_control=0"])
            .output()
    });
    let target = target.to_owned();
    match result {
        Ok(output) => {
            let text = String::from_utf8_lossy(&output.stderr);
            let finding = (!output.status.success()).then(|| {
                let artifact = artifact(&text).map(|path| folder.join(path));
                (artifact, reason(&text))
            });
            Outcome { target, counts: counts(&text), finding }
        }
        Err(error) => {
            let finding = Some((None, error.to_string()));
            Outcome { target, counts: Counts::default(), finding }
        }
    }
}

/// libFuzzer's numbers: its final statistics, and the coverage from the last status line.
fn counts(text: &str) -> Counts {
    let statistic = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix("stat::")?.strip_prefix(name));
        line.and_then(|rest| rest.trim_start_matches(':').trim().parse().ok()).unwrap_or_default()
    };
    let status = |name: &str| {
        let mut words = text.lines().filter(|line| line.starts_with('#')).rev();
        words
            .find_map(|line| line.split_once(name)?.1.split_whitespace().next()?.parse().ok())
            .unwrap_or_default()
    };
    Counts {
        executions: statistic("number_of_executed_units"),
        per_second: statistic("average_exec_per_sec"),
        coverage: status(" cov: "),
        features: status(" ft: "),
        new_units: statistic("new_units_added"),
    }
}

/// The path of the input that caused a finding.
fn artifact(text: &str) -> Option<&str> {
    text.lines().find_map(|line| line.split_once("Test unit written to ")).map(|(_, path)| path)
}

/// The output of a target when it stopped.
fn reason(text: &str) -> String {
    let mut lines = text.lines().skip_while(|line| !line.contains("panicked at"));
    let panic: Vec<&str> = lines.by_ref().take(3).collect();
    if !panic.is_empty() {
        return panic.join("\n");
    }
    let error = text.lines().find(|line| line.contains("ERROR: "));
    error.or(text.lines().last()).unwrap_or_default().to_owned()
}

fn report(outcomes: &[Outcome]) -> ExitCode {
    println!(
        "{:26} {:>11} {:>7} {:>7} {:>7} {:>10} {:>9}",
        "target", "executions", "exec/s", "cov", "ft", "new units", "findings"
    );
    for Outcome { target, counts, finding } in outcomes {
        let Counts { executions, per_second, coverage, features, new_units } = counts;
        let findings = usize::from(finding.is_some());
        println!(
            "{target:26} {executions:>11} {per_second:>7} {coverage:>7} {features:>7} \
             {new_units:>10} {findings:>9}"
        );
    }
    let mut code = ExitCode::SUCCESS;
    for Outcome { target, finding, .. } in outcomes {
        let Some((artifact, reason)) = finding else { continue };
        code = ExitCode::FAILURE;
        eprintln!("\n{target}: {reason}");
        if let Some(artifact) = artifact {
            let path = artifact.display();
            eprintln!("again: cargo +nightly fuzz run --dev --features libfuzzer {target} {path}");
        }
    }
    code
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
INFO: Seed: 1
#2\tINITED cov: 12 ft: 13 corp: 1/1b exec/s: 0 rss: 40Mb
#4096\tpulse  cov: 345 ft: 1678 corp: 99/4096b lim: 512 exec/s: 1365 rss: 99Mb
thread '<unnamed>' panicked at src/check.rs:1:2:
a loss is not what it is
note: run with `RUST_BACKTRACE=1`
Test unit written to /somewhere/crash-1234
stat::number_of_executed_units: 4711
stat::average_exec_per_sec:     1365
stat::new_units_added:          98
";

    #[test]
    fn numbers_are_taken_from_what_libfuzzer_says() {
        let counts = counts(TEXT);
        let expected = Counts {
            executions: 4711,
            per_second: 1365,
            coverage: 345,
            features: 1678,
            new_units: 98,
        };
        assert_eq!(counts, expected);
    }

    #[test]
    fn a_finding_has_its_input_and_its_reason() {
        assert_eq!(artifact(TEXT), Some("/somewhere/crash-1234"));
        assert!(reason(TEXT).contains("a loss is not what it is"));
        assert_eq!(artifact("nothing"), None);
    }

    #[test]
    fn every_target_has_a_corpus() {
        let folder = crate::root().join("fuzz");
        for target in targets(&folder).expect("targets") {
            assert!(folder.join("corpus").join(&target).is_dir(), "{target}");
        }
    }
}
