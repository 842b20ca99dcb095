//! `cargo xtask portability`: runs the tests on other machines, most of them emulated, and compares their digests.

mod machines;
mod suite;

use std::path::Path;
use std::process::ExitCode;
use std::sync::mpsc;
use std::thread;

use clap::Args;

use crate::foreign::{Foreign, Library};
use crate::packages::{self, Missing};
use machines::{MACHINES, Machine};
use suite::{Suite, TestCounts, Tests};

/// Where to run the tests.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// Installs what is missing: Rust targets with rustup, if it is there, and programs with Debian's apt-get,
    /// which never removes a package.
    #[arg(long)]
    install: bool,
    /// Only the tests of the core's results, on fewer machines; unavailable machines are skipped.
    #[arg(long)]
    quick: bool,
    /// The machines; all by default, or a few with --quick.
    #[arg(value_name = "TARGET", value_parser = name)]
    targets: Vec<String>,
}

fn name(name: &str) -> Result<String, String> {
    let mut names = MACHINES.iter().map(|machine| machine.name);
    match names.find(|known| *known == name) {
        Some(name) => Ok(name.into()),
        None => {
            let names: Vec<_> = MACHINES.iter().map(|machine| machine.name).collect();
            Err(format!("the targets are {}", names.join(", ")))
        }
    }
}

/// The outcome of a machine.
enum Outcome {
    Ran(TestCounts),
    Skipped(String),
    Failed(String),
}

/// Runs the tests on one machine after the other, while those of the next are built.
pub(crate) fn run(options: &Options) -> ExitCode {
    let is_chosen = |machine: &&Machine| match options.targets.as_slice() {
        [] => !options.quick || machine.quick,
        names => names.iter().any(|name| name == machine.name),
    };
    let suite = if options.quick { Suite::Results } else { Suite::All };
    println!("{} on other machines", suite.description());
    let (sender, built) = mpsc::channel();
    let outcomes: Vec<_> = thread::scope(|scope| {
        scope.spawn(move || {
            for machine in MACHINES.iter().filter(is_chosen) {
                let tests = prepare(machine, options.install).map_err(Outcome::Skipped);
                let tests = tests.and_then(|()| suite.build(machine).map_err(Outcome::Failed));
                // The receiver reads to the end.
                let _ = sender.send((machine, tests));
            }
        });
        let outcome = |(machine, tests): (_, Result<Vec<Tests>, _>)| {
            let ran = tests.and_then(|tests| suite::run(machine, &tests).map_err(Outcome::Failed));
            (machine, ran.map_or_else(|without| without, Outcome::Ran))
        };
        built.into_iter().map(outcome).collect()
    });
    println!("\n{}", table(&outcomes));
    let failures = failures(&outcomes, options.quick);
    failures.iter().for_each(|failure| eprintln!("{failure}"));
    if failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// What is missing for a machine; with leave to install, what is still missing afterwards.
fn prepare(machine: &Machine, install: bool) -> Result<(), String> {
    let missing = || {
        let needs = machine.needs.iter().filter(|(need, _)| !is_here(need));
        let needs = needs.map(|(need, packages)| Missing::new(need, packages));
        needs
            .chain(machine.triple.and_then(|triple| Foreign::missing(triple, Library::Std)))
            .collect()
    };
    packages::provide(missing, install).map_err(|missing| missing.replace('\n', "; "))
}

/// Whether there is a file of that path, or a program of that name.
fn is_here(need: &str) -> bool {
    Path::new(need).is_absolute() && Path::new(need).exists() || crate::program(need).is_some()
}

/// A line for each machine.
fn table(outcomes: &[(&Machine, Outcome)]) -> String {
    let row = |cells: [&str; 6]| {
        let [name, tests, passed, fused, plain, levels] = cells;
        let line = format!("{name:24} {tests:>5} {passed:>6}  {fused:16}  {plain:16}  {levels}");
        format!("{}\n", line.trim_end())
    };
    let head = ["target", "tests", "passed", "digest with FMA", "digest without", "levels"];
    let rows = outcomes.iter().map(|(machine, outcome)| match outcome {
        Outcome::Ran(tally) => row([
            machine.name,
            &tally.tests().to_string(),
            &tally.passed.to_string(),
            tally.digest("fused").unwrap_or("-"),
            tally.digest("plain").unwrap_or("-"),
            &tally.levels().join(", "),
        ]),
        Outcome::Skipped(why) => format!("{:24} SKIPPED, {why}\n", machine.name),
        Outcome::Failed(why) => format!("{:24} FAILED, {why}\n", machine.name),
    });
    std::iter::once(row(head)).chain(rows).collect()
}

/// What is wrong; a missing machine is a failure if all were asked for.
fn failures(outcomes: &[(&Machine, Outcome)], may_skip: bool) -> Vec<String> {
    let mut failures = Vec::new();
    for (machine, outcome) in outcomes {
        let name = machine.name;
        match outcome {
            Outcome::Failed(why) => failures.push(format!("{name}: {why}")),
            Outcome::Skipped(why) if !may_skip => failures.push(format!("{name}: {why}")),
            Outcome::Skipped(_) => {}
            Outcome::Ran(tally) => {
                failures.extend(tally.failures.iter().map(|why| format!("{name}: {why}")));
                let levels = tally.levels();
                if machine.levels.is_some_and(|want| levels != want) {
                    failures.push(format!("{name}: its levels are {}", levels.join(", ")));
                }
            }
        }
    }
    for kind in ["fused", "plain"] {
        let ran = outcomes.iter().filter_map(|(machine, outcome)| match outcome {
            Outcome::Ran(tally) => Some((machine.name, tally.digest(kind)?)),
            _ => None,
        });
        let ran: Vec<_> = ran.collect();
        if let Some(other) = ran.iter().find(|(_, digest)| *digest != ran[0].1) {
            failures.push(format!("{} and {} differ ({kind} levels)", ran[0].0, other.0));
        }
    }
    failures
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(said: &str) -> TestCounts {
        TestCounts::of("a test", said, true)
    }

    #[test]
    fn what_differs_or_fails_or_is_missing_is_a_failure() {
        let [native, sse2] = [&MACHINES[0], &MACHINES[1]];
        let good = "digests plain 00ff portable\ntest result: ok. 2 passed; 0 failed; 1 ignored;";
        let bad =
            "digests plain 00fe portable\ntest result: FAILED. 1 passed; 1 failed; 0 ignored;";
        let found =
            |second| failures(&[(native, Outcome::Ran(tally(good))), (sse2, second)], false);
        assert_eq!(found(Outcome::Ran(tally(good))), [""; 0]);
        assert_eq!(found(Outcome::Ran(tally(bad))).len(), 1);
        assert_eq!(found(Outcome::Skipped("no emulator".into())).len(), 1);
        assert_eq!(found(Outcome::Failed("it does not build".into())).len(), 1);
        let text = table(&[(native, Outcome::Ran(tally(good)))]);
        let words: Vec<_> = text.lines().nth(1).unwrap_or_default().split_whitespace().collect();
        assert_eq!(words, ["native", "3", "2", "-", "00ff", "portable"]);
    }

    #[test]
    fn a_level_too_few_is_a_failure() {
        let avx2 = MACHINES.iter().find(|machine| machine.name == "x86-64-avx2");
        let said = "digests plain 00ff portable\ntest result: ok. 1 passed; 0 failed; 0 ignored;";
        let outcomes = avx2.map(|avx2| (avx2, Outcome::Ran(tally(said))));
        assert_eq!(failures(outcomes.as_slice(), true).len(), avx2.iter().len());
    }
}
