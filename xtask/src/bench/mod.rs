//! `cargo xtask bench`: measures every case in turns with a baseline and a copy of the same bytes.
//!
//! Cases without an option are measured through `xent` and through `xent-core`. Loss and gradient with one option
//! are measured through `xent`, in turns with the same case without it.

mod case;
mod chart;
mod contender;
mod linear;
mod measure;
mod overview;
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
use self::linear::{LinearCase, LinearLine};
use self::measure::{Effort, Measured, Threads, medians};
use self::peers::{Comparison, PEERS, Python};
use self::report::{Api, Line, Report, Style, Times};
use self::workspace::Workspace;
use crate::progress;

/// What to measure, and how.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// A sixteenth of the rows (except in small batches) and a few repetitions: a quarter of a minute for all cases
    /// of a format. With the peers: full shapes and fewer repetitions.
    #[arg(long)]
    quick: bool,
    /// One JSON object a line instead of a table.
    #[arg(long, conflicts_with = "markdown")]
    json: bool,
    /// A Markdown table.
    #[arg(long)]
    markdown: bool,
    /// Prints Markdown tables at the end, with a row for each case and a column for each shape: times through
    /// `xent`, and in brackets the ratio to the plain loss and gradient.
    #[arg(long, conflicts_with_all = ["json", "markdown"])]
    overview: bool,
    /// How many threads share the work; several numbers are measured one after the other.
    #[arg(long, value_delimiter = ',', default_value = "1", value_parser = clap::value_parser!(u16).range(1..))]
    threads: Vec<u16>,
    /// Names of levels of instructions; several are measured one after the other [default: the best of this
    /// machine].
    #[arg(long, value_delimiter = ',', value_parser = level)]
    level: Vec<Level>,
    /// The formats of the logits; several are measured one after the other.
    #[arg(long, value_delimiter = ',', default_value = "f32", conflicts_with = "peers")]
    format: Vec<Format>,
    /// Only cases whose name and full shape, as in "softmax/loss 65536x10", contain this text.
    #[arg(long)]
    filter: Option<String>,
    /// Also measures PyTorch, torch.compile and JAX with this Python, by the scripts in `benches/peers`; prints a
    /// Markdown table of the cases that both sides have.
    #[arg(long, value_name = "PYTHON", conflicts_with_all = ["json", "markdown", "overview"])]
    peers: Option<PathBuf>,
    /// With the peers: also draws a chart of them, as SVG.
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

/// Measures the chosen cases and prints the results.
pub(crate) fn run(options: &Options) -> ExitCode {
    let wanted = |case: &Case| match &options.filter {
        Some(text) => case.to_string().contains(text),
        None => true,
    };
    let cases: Vec<Case> = Case::all().filter(wanted).collect();
    let has_text = |case: &LinearCase| {
        options.filter.as_ref().is_none_or(|text| case.to_string().contains(text.as_str()))
    };
    let of_layers: Vec<LinearCase> = LinearCase::all().filter(has_text).collect();
    if cases.is_empty() && of_layers.is_empty() {
        eprintln!("no case has that text in its name; all cases are:");
        Case::all().for_each(|case| eprintln!("  {case}"));
        LinearCase::all().for_each(|case| eprintln!("  {case}"));
        return ExitCode::FAILURE;
    }
    let levels = match options.level.as_slice() {
        [] => vec![Level::detect()],
        levels => levels.to_vec(),
    };
    let style = match options {
        Options { json: true, .. } => Style::Json,
        Options { markdown: true, .. } => Style::Markdown,
        Options { overview: true, .. } => Style::Overview,
        _ => Style::Text,
    };

    // A filter may leave cases of one kind alone.
    if cases.is_empty() {
        return layers(options, &of_layers, &levels);
    }
    if let Some(python) = &options.peers {
        let mut cases: Vec<Case> = cases.into_iter().filter(Case::has_peers).collect();
        // The shapes of each case together, in the order of their first appearance.
        let place = |case: &Case| Case::all().position(|other| other.question == case.question);
        cases.sort_by_cached_key(place);
        return against_peers(options, python, &cases, levels[0]);
    }

    let (cases, effort) = if options.quick {
        (cases.into_iter().map(Case::quick).collect(), Effort::QUICK)
    } else {
        (cases, Effort::FULL)
    };
    let threads: Vec<Threads> = options.threads.iter().map(|&n| Threads::new(n.into())).collect();
    let bar = progress::bar("bench", 0);
    let report = Report::new(style);
    bar.suspend(|| report.head());
    let measurement = Measurement { cases, levels: levels.clone(), threads, effort, report, bar };
    let of_format = |format: &Format| match format {
        Format::F32 => measurement.run::<f32>(),
        Format::F64 => measurement.run::<f64>(),
        Format::Bf16 => measurement.run::<bf16>(),
        Format::F16 => measurement.run::<f16>(),
    };
    let lines: Vec<Line> = options.format.iter().flat_map(of_format).collect();
    measurement.bar.finish_and_clear();
    if options.overview {
        print!("{}", overview::overview(&lines));
        return ExitCode::SUCCESS;
    }
    layers(options, &of_layers, &levels)
}

/// Measures the cases of a layer and its loss.
fn layers(options: &Options, cases: &[LinearCase], levels: &[Level]) -> ExitCode {
    let threads: Vec<Threads> = options.threads.iter().map(|&n| Threads::new(n.into())).collect();
    if let Some(python) = &options.peers {
        let ran = linear::against_peers(cases, python, levels[0], &threads[0], options.quick);
        return if ran { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    if !options.json && !cases.is_empty() {
        println!("\n{}", LinearLine::HEAD);
    }
    let all = cases.iter().flat_map(|&case| levels.iter().map(move |&level| (case, level)));
    for (case, level) in all {
        for threads in &threads {
            let line = if let [_] = cases {
                let case = if options.quick { case.quick() } else { case };
                Ok(linear::line(case, level, threads, options.quick))
            } else {
                linear::line_of_its_own(case, level, threads.count(), options.quick)
            };
            match line {
                Ok(line) if options.json => println!("{}", line.json()),
                Ok(line) => println!("{}", line.markdown()),
                Err(why) => {
                    eprintln!("{case}: {why}");
                    return ExitCode::FAILURE;
                }
            }
        }
    }
    ExitCode::SUCCESS
}

/// Measures one format.
struct Measurement {
    cases: Vec<Case>,
    levels: Vec<Level>,
    threads: Vec<Threads>,
    effort: Effort,
    report: Report,
    bar: ProgressBar,
}

impl Measurement {
    fn run<E: Measured>(&self) -> Vec<Line> {
        let mut all = Vec::new();
        let mut workspace = Workspace::<E>::for_cases(&self.cases);
        self.bar.inc_length((self.cases.len() * self.levels.len() * self.threads.len()) as u64);
        for &case in &self.cases {
            workspace.prepare(&case);
            for &level in &self.levels {
                for threads in &self.threads {
                    let lines = lines(case, level, threads, self.effort, &mut workspace);
                    self.bar.suspend(|| lines.iter().for_each(|line| self.report.line(line)));
                    self.bar.inc(1);
                    all.extend(lines);
                }
            }
        }
        all
    }
}

/// One line for `xent`, and for a case without an option one for the core.
fn lines<E: Measured>(
    case: Case,
    level: Level,
    threads: &Threads,
    effort: Effort,
    workspace: &mut Workspace<E>,
) -> Vec<Line> {
    let count = threads.count();
    let line = |api, times| Line::new::<E>(&case, api, level, count, times);
    threads.enter(|| {
        let Workspace { inputs, results } = workspace;
        let xent = contender::xent(case, inputs, level);
        let limit = contender::limit(case, inputs, count);
        let times =
            |ours, copy| Times { ours, copy, plain: None, core: None, scalar: None, checks: None };
        if let Some(plain) = case.plain() {
            let plain = contender::xent(plain, inputs, level);
            if case.question.has_checks() {
                let checks = contender::checks(case, inputs);
                let [ours, plain, copy, checks] =
                    medians(effort, results, [&xent, &plain, &limit, &checks]);
                let (plain, checks) = (Some(plain), Some(checks));
                return vec![line(Api::Xent, Times { plain, checks, ..times(ours, copy) })];
            }
            let [ours, plain, copy] = medians(effort, results, [&xent, &plain, &limit]);
            return vec![line(Api::Xent, Times { plain: Some(plain), ..times(ours, copy) })];
        }
        let core = contender::core(case, inputs, level, count);
        let mut checks = None;
        let (ours, core, copy, scalar) = if case.has_scalar_loop() {
            let scalar = contender::scalar_loop(case, inputs);
            let [ours, core, copy, scalar] =
                medians(effort, results, [&xent, &core, &limit, &scalar]);
            (ours, core, copy, Some(scalar))
        } else if case.question.has_checks() {
            let alone = contender::checks(case, inputs);
            let [ours, core, copy, alone] =
                medians(effort, results, [&xent, &core, &limit, &alone]);
            checks = Some(alone);
            (ours, core, copy, None)
        } else {
            let [ours, core, copy] = medians(effort, results, [&xent, &core, &limit]);
            (ours, core, copy, None)
        };
        vec![
            line(Api::Xent, Times { core: Some(core), scalar, checks, ..times(ours, copy) }),
            line(Api::Core, Times { scalar, ..times(core, copy) }),
        ]
    })
}

/// Measures both sides of each case in turns: `xent`, the peers, and `xent` again.
fn against_peers(options: &Options, python: &Path, cases: &[Case], level: Level) -> ExitCode {
    let threads = Threads::new(options.threads[0].into());
    let (effort, seconds) = if options.quick { (Effort::SHORT, 0.3) } else { (Effort::FULL, 1.5) };
    let python = Python { program: python, threads: threads.count(), level, seconds };
    let mut workspace = Workspace::<f32>::for_cases(cases);
    let bar = progress::bar("peers", (cases.len() * (PEERS.len() + 2)) as u64);
    let mut ran = [false; PEERS.len()];
    let mut given_up = [false; PEERS.len()];
    let mut comparisons = Vec::new();
    for &case in cases {
        workspace.prepare(&case);
        let mut xent = || lines(case, level, &threads, effort, &mut workspace).swap_remove(0);
        let before = xent();
        bar.inc(1);
        let mut peers = [None; PEERS.len()];
        for (place, peer) in PEERS.iter().enumerate() {
            if !given_up[place] {
                match python.ask(peer, &case) {
                    Ok(ns) => {
                        peers[place] = Some(ns);
                        ran[place] = true;
                    }
                    Err(why) => {
                        // A peer that never ran is missing; another one failed in this case only.
                        given_up[place] = !ran[place];
                        let from = if given_up[place] { "from" } else { "of" };
                        let on = if given_up[place] { " on" } else { "" };
                        bar.suspend(|| {
                            eprintln!("{} is left out {from} {case}{on}: {why}", peer.name);
                        });
                    }
                }
            }
            bar.inc(1);
        }
        let after = xent();
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
