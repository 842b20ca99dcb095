//! `cargo xtask ulp`: the error bounds. It tries all floats, searches for the worst rows, and keeps a record of the
//! results, shown in the table of `docs/accuracy.md`.

mod export;
mod input;
mod record;
mod search;
pub(crate) mod sweep;
mod worst;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use input::Input;
use record::Record;
use worst::Worst;

/// What to run, and what to do with the results.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Every 257th float, fewer f64 and the beginning of the search: seconds instead of minutes.
    #[arg(long)]
    quick: bool,
    /// Record the results and write the table of docs/accuracy.md, instead of comparing with it.
    #[arg(long, conflicts_with = "quick")]
    table: bool,
    /// Only write the rows that the quick search reaches to this folder, for benches/peers/accuracy.py.
    #[arg(long, value_name = "FOLDER", conflicts_with_all = ["quick", "table"])]
    export: Option<PathBuf>,
    /// Functions by their names in the table, and those that are searched along with them; all by default.
    #[arg(value_name = "FUNCTION")]
    functions: Vec<String>,
}

/// The chosen functions: all, or some by name.
pub(crate) struct Chosen<'a>(&'a [String]);

impl Chosen<'_> {
    fn has(&self, name: &str) -> bool {
        self.0.is_empty() || self.0.iter().any(|chosen| chosen == name)
    }
}

/// Tries all floats and searches; prints the worst, and records it or compares it with the record.
pub(crate) fn run(options: &Options) -> ExitCode {
    if let Some(folder) = &options.export {
        return match export::run(folder) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("{}: {error}", folder.display());
                ExitCode::FAILURE
            }
        };
    }
    let chosen = Chosen(&options.functions);
    let findings = sweep::run(options.quick, &chosen);
    print!("{}", findings.to_text());
    let mut failures = findings.failures();

    let mut swept = Worst::default();
    for finding in findings.into_all() {
        if let Some(bits) = sweep::bits_of(&finding.place) {
            swept.add(finding, || Input::of_bits(bits));
        }
    }
    let found = search::run(options.quick, &chosen);
    println!();
    print!("{}", found.to_text());
    failures += found.0.iter().filter(|case| !case.is_ok()).count();

    let worst = swept.merged(found);
    if worst.0.is_empty() {
        eprintln!("no function of that name: see the table of docs/accuracy.md");
        return ExitCode::FAILURE;
    }
    let recorded = if options.table {
        let kept =
            if options.functions.is_empty() { Ok(Record::default()) } else { Record::read() };
        kept.and_then(|record| record.with(worst).write()).map(|()| Vec::new())
    } else {
        Record::read().map(|record| record.complaints(&worst))
    };
    let complaints = recorded.unwrap_or_else(|error| vec![error]);
    if failures > 0 {
        eprintln!("{failures} results exceed their bounds");
    }
    for complaint in &complaints {
        eprintln!("{complaint}");
    }
    if complaints.is_empty() && !options.table {
        println!("the record holds: every worst case is unchanged, and nothing is worse");
    }
    if failures == 0 && complaints.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
