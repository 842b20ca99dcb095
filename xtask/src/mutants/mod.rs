//! `cargo xtask mutants`: how many mutants of cargo-mutants the tests kill.
//!
//! Building the core once for each mutant would take hours, since all its kernels are compiled for each level and
//! format. Instead the mutants are woven into a copy of the sources as branches ([`weave`]), hundreds in one build,
//! and the tests run once for each with its branch on.

mod build;
mod list;
mod weave;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use build::{Copy, Refused, Tests};
use list::Mutant;

/// The smallest acceptable share of killed mutants of the core.
const LEAST: f64 = 0.9;

/// The sample size of `--quick`.
const QUICK: usize = 100;

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// A hundred mutants spread over all files: minutes instead of hours.
    #[arg(long, conflicts_with_all = ["sample", "shard"])]
    quick: bool,
    /// This many mutants, spread evenly over all files.
    #[arg(long, value_name = "N")]
    sample: Option<usize>,
    /// Every N-th mutant, starting with the K-th.
    #[arg(long, value_name = "K/N", value_parser = shard)]
    shard: Option<(usize, usize)>,
    /// The most mutants in one build.
    #[arg(long, value_name = "N", default_value_t = 400)]
    batch: usize,
    /// Write the outcome of each mutant to this file.
    #[arg(long, value_name = "FILE")]
    outcomes: Option<PathBuf>,
    /// Only try mutants again that were missed, or took too long, according to this file of outcomes, which must
    /// have been written for the same choice of mutants. Use it after adding tests.
    #[arg(long, value_name = "FILE")]
    retry: Option<PathBuf>,
    /// Only mutants whose name contains one of these texts, such as a file; all by default.
    #[arg(value_name = "NAME")]
    names: Vec<String>,
}

fn shard(text: &str) -> Result<(usize, usize), String> {
    let parts = text.split_once('/').and_then(|(k, n)| Some((k.parse().ok()?, n.parse().ok()?)));
    parts.filter(|(k, n)| k < n).ok_or("such as 0/8 or 7/8".into())
}

/// The outcome of a mutant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    Killed,
    TimedOut,
    Missed,
    Unviable,
    NotWoven,
}

impl Outcome {
    const ALL: [Self; 5] =
        [Self::Killed, Self::TimedOut, Self::Missed, Self::Unviable, Self::NotWoven];

    fn name(self) -> &'static str {
        match self {
            Self::Killed => "killed",
            Self::TimedOut => "timed out",
            Self::Missed => "missed",
            Self::Unviable => "unviable",
            Self::NotWoven => "not woven",
        }
    }
}

pub(crate) fn run(options: &Options) -> ExitCode {
    match judge_all(options) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}

fn judge_all(options: &Options) -> Result<bool, String> {
    let root = crate::root();
    let mutants = choose(list::list(&root)?, options);
    if mutants.is_empty() {
        return Err("no mutant has such a name".into());
    }
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or(root.join("target"), Into::into);
    let known = options.retry.as_deref().map_or(Ok(BTreeMap::new()), known)?;
    let mut outcomes = Vec::new();
    // The numbers count over all batches, so each batch has its own.
    let numbered: Vec<(usize, &Mutant)> = mutants.iter().enumerate().collect();
    for batch in numbered.chunks(options.batch.max(1)) {
        let copy = Copy::of(&root, target.join("mutants-copy"), batch)?;
        outcomes.extend(judge(&copy, batch, &known)?);
        if let Some(path) = &options.outcomes {
            let lines: Vec<String> = outcomes
                .iter()
                .map(|(mutant, outcome): &(&Mutant, Outcome)| {
                    format!("{}\t{}\n", outcome.name(), mutant.name)
                })
                .collect();
            std::fs::write(path, lines.concat()).map_err(|error| error.to_string())?;
        }
    }
    let (text, share) = table(&outcomes);
    print!("{text}");
    Ok(share >= LEAST)
}

/// Earlier outcomes of mutants.
fn known(path: &Path) -> Result<BTreeMap<String, Outcome>, String> {
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    let of = |line: &str| {
        let (outcome, name) = line.split_once('\t')?;
        let outcome = Outcome::ALL.into_iter().find(|known| known.name() == outcome)?;
        Some((name.to_owned(), outcome))
    };
    Ok(text.lines().filter_map(of).collect())
}

/// The selected mutants.
fn choose(mut mutants: Vec<Mutant>, options: &Options) -> Vec<Mutant> {
    let names = &options.names;
    mutants.retain(|m| names.is_empty() || names.iter().any(|name| m.name.contains(name)));
    let sample = if options.quick { Some(QUICK) } else { options.sample };
    let all = mutants.len();
    let mut index = 0..;
    mutants.retain(|_| {
        let i = index.next().unwrap_or_default();
        let of_sample = sample.is_none_or(|n| n >= all || (i + 1) * n / all > i * n / all);
        of_sample && options.shard.is_none_or(|(k, n)| i % n == k)
    });
    mutants
}

/// The outcomes of mutants that are built together.
fn judge<'a>(
    copy: &Copy,
    mutants: &[(usize, &'a Mutant)],
    known: &BTreeMap<String, Outcome>,
) -> Result<Vec<(&'a Mutant, Outcome)>, String> {
    let start = Instant::now();
    let refused = copy.weave(mutants)?;
    let tests = copy.tests()?;
    let built = mutants.len() - refused.len();
    let time: Duration = tests.iter().map(|tests| tests.time).sum();
    eprintln!("{built} mutants built in {:.0?}; all tests take {time:.1?}", start.elapsed());
    let progress = crate::progress::bar("mutants", mutants.len() as u64);
    let mut outcomes = Vec::new();
    for &(id, mutant) in mutants {
        let outcome = match refused.get(&id) {
            Some(Refused::Unviable) => Outcome::Unviable,
            Some(Refused::NotWoven) => Outcome::NotWoven,
            None => match known.get(&mutant.name) {
                Some(&outcome @ (Outcome::Killed | Outcome::Unviable)) => outcome,
                _ => outcome(&tests, id)?,
            },
        };
        if outcome == Outcome::Missed || outcome == Outcome::TimedOut {
            progress.suspend(|| eprintln!("{}: {}", outcome.name(), mutant.name));
        }
        outcomes.push((mutant, outcome));
        progress.inc(1);
    }
    progress.finish_and_clear();
    eprintln!("judged after {:.0?}", start.elapsed());
    Ok(outcomes)
}

fn outcome(tests: &[Tests], id: usize) -> Result<Outcome, String> {
    for tests in tests {
        match tests.pass(Some(id), Duration::from_secs(20) + 20 * tests.time)? {
            Some(true) => {}
            Some(false) => return Ok(Outcome::Killed),
            None => return Ok(Outcome::TimedOut),
        }
    }
    Ok(Outcome::Missed)
}

/// The share that is killed, of those that can be.
fn share(counts: &BTreeMap<Outcome, usize>) -> f64 {
    let of = |outcome| counts.get(&outcome).copied().unwrap_or_default() as f64;
    let killed = of(Outcome::Killed) + of(Outcome::TimedOut);
    let viable = killed + of(Outcome::Missed);
    if viable == 0.0 { 1.0 } else { killed / viable }
}

/// A line for each file, one for each crate, and the share of the core.
fn table(outcomes: &[(&Mutant, Outcome)]) -> (String, f64) {
    let mut files = BTreeMap::<&str, BTreeMap<Outcome, usize>>::new();
    for (mutant, outcome) in outcomes {
        let (package, _) = mutant.file.split_once("/src/").unwrap_or((&mutant.file, ""));
        for line in [&mutant.file, package] {
            *files.entry(line).or_default().entry(*outcome).or_default() += 1;
        }
    }
    let mut text = String::from("| file | mutants |");
    Outcome::ALL.iter().for_each(|outcome| text.push_str(&format!(" {} |", outcome.name())));
    text.push_str(" share |\n|---|---:|---:|---:|---:|---:|---:|---:|\n");
    for (file, counts) in &files {
        text.push_str(&format!("| `{file}` | {} |", counts.values().sum::<usize>()));
        for outcome in Outcome::ALL {
            text.push_str(&format!(" {} |", counts.get(&outcome).copied().unwrap_or_default()));
        }
        text.push_str(&format!(" {:.1} % |\n", 100.0 * share(counts)));
    }
    let core = files.get("crates/xent-core").map_or(1.0, share);
    (text, core)
}
