//! `cargo xtask bench`: every case beside a copy of the same bytes, measured in turns.

mod case;
mod chart;
mod measure;
mod peers;
mod report;
mod workspace;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use half::{bf16, f16};
use indicatif::ProgressBar;
use xent_core::Level;

use self::case::Case;
use self::measure::{Effort, Measured, Runner, medians};
use self::peers::{Comparison, PEERS, Python};
use self::report::{Line, Report, Style};
use self::workspace::Workspace;
use crate::progress;

/// What to measure, and how.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// Fewer repetitions: under a minute for all cases of a format.
    #[arg(long)]
    quick: bool,
    /// One JSON object a line instead of a table.
    #[arg(long, conflicts_with = "markdown")]
    json: bool,
    /// A Markdown table.
    #[arg(long)]
    markdown: bool,
    /// How many threads share the work; several numbers are measured one after the other.
    #[arg(long, value_delimiter = ',', default_value = "1", value_parser = clap::value_parser!(u16).range(1..))]
    threads: Vec<u16>,
    /// The instructions to use, by the name of the level; several are measured one after the other.
    /// Without it, the best of this machine.
    #[arg(long, value_delimiter = ',', value_parser = level)]
    level: Vec<Level>,
    /// The formats of the logits; several are measured one after the other.
    #[arg(long, value_delimiter = ',', default_value = "f32", conflicts_with = "peers")]
    format: Vec<Format>,
    /// Only cases whose name and shape, as in "softmax/loss 65536x10", contain this text.
    #[arg(long)]
    filter: Option<String>,
    /// Also measures PyTorch, torch.compile and JAX, by the scripts in `benches/peers` and a Python
    /// that has them; prints a Markdown table of the cases that both sides have.
    #[arg(long, value_name = "PYTHON", conflicts_with_all = ["json", "markdown"])]
    peers: Option<PathBuf>,
    /// With the peers: also draws them, as SVG.
    #[arg(long, value_name = "FILE", requires = "peers")]
    chart: Option<PathBuf>,
}

/// A format of logits.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    F32,
    F64,
    Bf16,
    F16,
}

fn level(name: &str) -> Result<Level, String> {
    Level::by_name(name).ok_or_else(|| {
        let names: Vec<_> = Level::available().map(Level::name).collect();
        format!("this machine has {}", names.join(", "))
    })
}

/// Measures what was asked for and prints it.
pub(crate) fn run(options: &Options) -> ExitCode {
    let wanted = |case: &Case| match &options.filter {
        Some(text) => case.to_string().contains(text),
        None => true,
    };
    let cases: Vec<Case> = Case::all().filter(wanted).collect();
    if cases.is_empty() {
        eprintln!("no case has that text in its name; all cases are:");
        Case::all().for_each(|case| eprintln!("  {case}"));
        return ExitCode::FAILURE;
    }
    let levels = match options.level.as_slice() {
        [] => vec![Level::detect()],
        levels => levels.to_vec(),
    };
    let effort = if options.quick { Effort::QUICK } else { Effort::FULL };
    let style = match (options.json, options.markdown) {
        (true, _) => Style::Json,
        (_, true) => Style::Markdown,
        _ => Style::Text,
    };

    if let Some(python) = &options.peers {
        let cases: Vec<Case> = cases.into_iter().filter(|case| case.question.has_peers()).collect();
        return against_peers(options, python, &cases, levels[0], effort);
    }

    let runners: Vec<Runner> = options.threads.iter().map(|&n| Runner::new(n.into())).collect();
    let bar = progress::bar("bench", 0);
    let report = Report::new(style);
    bar.suspend(|| report.head());
    let measurement = Measurement { cases, levels, runners, effort, report, bar };
    for format in &options.format {
        match format {
            Format::F32 => measurement.run::<f32>(),
            Format::F64 => measurement.run::<f64>(),
            Format::Bf16 => measurement.run::<bf16>(),
            Format::F16 => measurement.run::<f16>(),
        }
    }
    measurement.bar.finish_and_clear();
    ExitCode::SUCCESS
}

/// What is measured of a format.
struct Measurement {
    cases: Vec<Case>,
    levels: Vec<Level>,
    runners: Vec<Runner>,
    effort: Effort,
    report: Report,
    bar: ProgressBar,
}

impl Measurement {
    fn run<E: Measured>(&self) {
        let cases: Vec<Case> = self.cases.iter().copied().filter(Case::is_of::<E>).collect();
        let mut workspace = Workspace::<E>::for_cases(&cases);
        self.bar.inc_length((cases.len() * self.levels.len() * self.runners.len()) as u64);
        for case in &cases {
            workspace.prepare(case);
            for &level in &self.levels {
                for runner in &self.runners {
                    let line = line(case, level, runner, self.effort, &mut workspace);
                    self.bar.suspend(|| self.report.line(&line));
                    self.bar.inc(1);
                }
            }
        }
    }
}

fn line<E: Measured>(
    case: &Case,
    level: Level,
    runner: &Runner,
    effort: Effort,
    workspace: &mut Workspace<E>,
) -> Line {
    let [ours, copy] = medians(
        effort,
        workspace,
        [&|w| case.run(w, level, runner), &|w| case.run_limit(w, runner)],
    );
    Line::new::<E>(case, level, runner.threads(), ours, copy)
}

/// Measures both sides of each case in turns: xent, the peers, and xent again.
fn against_peers(
    options: &Options,
    python: &Path,
    cases: &[Case],
    level: Level,
    effort: Effort,
) -> ExitCode {
    let runner = Runner::new(options.threads[0].into());
    let seconds = if options.quick { 0.3 } else { 1.5 };
    let python = Python { program: python, threads: runner.threads(), level, seconds };
    let mut workspace = Workspace::<f32>::for_cases(cases);
    let bar = progress::bar("peers", (cases.len() * (PEERS.len() + 2)) as u64);
    let mut absent = [false; PEERS.len()];
    let mut comparisons = Vec::new();
    for case in cases {
        workspace.prepare(case);
        let before = line(case, level, &runner, effort, &mut workspace);
        bar.inc(1);
        let mut peers = [None; PEERS.len()];
        for ((peer, ns), absent) in PEERS.iter().zip(&mut peers).zip(&mut absent) {
            if !*absent {
                match python.ask(peer, case) {
                    Ok(measured) => *ns = Some(measured),
                    Err(why) => {
                        bar.suspend(|| {
                            eprintln!("{} is left out from {case} on: {why}", peer.name);
                        });
                        *absent = true;
                    }
                }
            }
            bar.inc(1);
        }
        let after = line(case, level, &runner, effort, &mut workspace);
        bar.inc(1);
        comparisons.push(Comparison {
            case: before.case,
            size: before.size,
            copy: f64::midpoint(before.copy_ns_per_element, after.copy_ns_per_element),
            xent: f64::midpoint(before.ns_per_element, after.ns_per_element),
            peers,
        });
    }
    bar.finish_and_clear();
    print!("{}", peers::table(&comparisons));
    if comparisons.iter().all(|comparison| comparison.peers == [None; PEERS.len()]) {
        eprintln!("no peer ran");
        return ExitCode::FAILURE;
    }
    if let Some(path) = &options.chart
        && let Err(why) = chart::draw(path, &comparisons)
    {
        eprintln!("{}: {why}", path.display());
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
