//! `cargo xtask bench`: every case beside a copy of the same bytes, measured in turns.

mod case;
mod measure;
mod report;
mod workspace;

use std::process::ExitCode;

use clap::Args;
use xent_core::Level;

use self::case::Case;
use self::measure::{Effort, Runner, medians};
use self::report::{Format, Line, Report};
use self::workspace::Workspace;
use crate::progress;

/// What to measure, and how.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// Fewer repetitions: under a minute for all cases.
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
    /// Only cases whose name and shape, as in "softmax/loss 65536x10", contain this text.
    #[arg(long)]
    filter: Option<String>,
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
    let format = match (options.json, options.markdown) {
        (true, _) => Format::Json,
        (_, true) => Format::Markdown,
        _ => Format::Text,
    };
    let report = Report::new(format);

    let mut workspace = Workspace::for_cases(&cases);
    let runners: Vec<Runner> = options.threads.iter().map(|&n| Runner::new(n.into())).collect();
    let bar = progress::bar("bench", (cases.len() * levels.len() * runners.len()) as u64);
    bar.suspend(|| report.head());
    for case in &cases {
        workspace.prepare(case);
        for &level in &levels {
            for runner in &runners {
                let [ours, copy] = medians(
                    effort,
                    &mut workspace,
                    [&|w| case.run(w, level, runner), &|w| case.run_limit(w, runner)],
                );
                let line = Line::new(case, level, runner.threads(), ours, copy);
                bar.suspend(|| report.line(&line));
                bar.inc(1);
            }
        }
    }
    bar.finish_and_clear();
    ExitCode::SUCCESS
}
