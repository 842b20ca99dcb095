//! The record of the worst results: `docs/accuracy.json`, and the table in `docs/accuracy.md` made from it.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use xent_core::Level;

use super::search::judged_again;
use super::worst::{Case, Worst};
use crate::table::grouped;

/// The allowed difference from the recorded error: the oracle's own functions may round differently elsewhere.
const SAME: f64 = 1e-3;

const BEGIN: &str = "<!-- what follows is written by `cargo xtask ulp --table` -->\n";
const END: &str = "<!-- end of the table -->\n";

/// What is on record.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Record(Worst);

impl Record {
    /// Replaces the recorded results of the functions that were tried now.
    pub(super) fn with(mut self, found: Worst) -> Self {
        for case in found.0 {
            match self.0.0.iter_mut().find(|known| known.is_of(&case)) {
                Some(known) => *known = case,
                None => self.0.0.push(case),
            }
        }
        self
    }

    pub(super) fn read() -> Result<Self, String> {
        let path = in_docs("accuracy.json");
        let text = fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        serde_json::from_str(&text).map_err(|e| format!("{}: {e}", path.display()))
    }

    /// Writes both files.
    pub(super) fn write(&self) -> Result<(), String> {
        let lines: Result<Vec<String>, _> = self.0.0.iter().map(serde_json::to_string).collect();
        let lines = lines.map_err(|e| e.to_string())?;
        let json = format!("[\n{}\n]\n", lines.join(",\n"));
        let (page, at) = page()?;
        let page = format!("{}{}{}", &page[..at.start], self.to_markdown(), &page[at.end..]);
        for (name, text) in [("accuracy.json", json), ("accuracy.md", page)] {
            let path = in_docs(name);
            fs::write(&path, text).map_err(|e| format!("{}: {e}", path.display()))?;
        }
        Ok(())
    }

    /// Lists what is wrong: worst cases on record that have changed, worse results than on record, and a table that
    /// does not match.
    pub(super) fn complaints(&self, found: &Worst) -> Vec<String> {
        let mut complaints: Vec<String> = self.0.0.iter().filter_map(changed).collect();
        for case in &found.0 {
            let known = self.0.0.iter().find(|known| known.is_of(case));
            let name = case.name();
            match known {
                None => complaints.push(format!("{name} is not on record")),
                Some(known) if case.share() > known.share() + SAME => complaints.push(format!(
                    "{name}: {:.3} of at most {:.3}, worse than {:.3} of {:.3} on record: {:?}",
                    case.error, case.bound, known.error, known.bound, case.input
                )),
                Some(_) => {}
            }
        }
        match page() {
            Ok((page, at)) if page[at.clone()] == self.to_markdown() => {}
            Ok(_) => {
                complaints.push("the table of docs/accuracy.md does not match the record".into());
            }
            Err(error) => complaints.push(error),
        }
        if !complaints.is_empty() {
            complaints.push("to record what is true now: cargo xtask ulp --table".into());
        }
        complaints
    }

    fn to_markdown(&self) -> String {
        let mut text = String::from(
            "| function | format | results judged | worst error / its bound, without FMA | with FMA |\n\
             |---|---|---:|---:|---:|\n",
        );
        let mut cases: Vec<&Case> = self.0.0.iter().collect();
        while let Some(&first) = cases.first() {
            let line: Vec<&Case>;
            (line, cases) = cases.into_iter().partition(|case| {
                (&case.function, &case.format) == (&first.function, &first.format)
            });
            let worst = |fma: bool| {
                let case = line.iter().find(|case| case.fma == fma);
                case.map_or("–".into(), |case| format!("{:.3} / {:.1}", case.error, case.bound))
            };
            let tried = line.iter().map(|case| case.tried).max().unwrap_or_default();
            let Case { function, format, .. } = first;
            let (tried, plain, fused) = (grouped(tried), worst(false), worst(true));
            writeln!(text, "| {function} | {format} | {tried} | {plain} | {fused} |")
                .expect("a string takes all");
        }
        text
    }
}

/// Judges a recorded case again, at every level that it applies to.
fn changed(case: &Case) -> Option<String> {
    let findings = judged_again(&case.function, &case.format, &case.input).into_all();
    let levels = Level::available().filter(|level| level.has_fma() == case.fma);
    levels.into_iter().find_map(|level| {
        let finding = findings.iter().find(|f| f.name == case.function && f.level == level);
        let name = case.name();
        match finding {
            None => Some(format!("{name} at {level}: no check computes it any more")),
            Some(f) if differ(f.error, case.error) || differ(f.bound, case.bound) => Some(format!(
                "{name} at {level}: {:.3} of at most {:.3}, on record is {:.3} of {:.3}",
                f.error, f.bound, case.error, case.bound
            )),
            Some(_) => None,
        }
    })
}

fn differ(a: f64, b: f64) -> bool {
    (a - b).abs() > SAME * (1.0 + a.abs().min(b.abs()))
}

fn in_docs(name: &str) -> PathBuf {
    crate::root().join("docs").join(name)
}

/// The page, and the place of its table.
fn page() -> Result<(String, std::ops::Range<usize>), String> {
    let path = in_docs("accuracy.md");
    let page = fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
    let begin = page.find(BEGIN).map(|at| at + BEGIN.len());
    let end = page.find(END);
    match begin.zip(end).filter(|(begin, end)| begin <= end) {
        Some((begin, end)) => Ok((page, begin..end)),
        None => Err(format!("{}: no place for the table", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::super::input::Input;
    use super::*;

    fn case(bits: u64, error: f64) -> Case {
        Case {
            function: "exp".into(),
            format: "f32".into(),
            fma: false,
            tried: 1000,
            error,
            bound: 1.2,
            input: Input::of_bits(bits),
        }
    }

    #[test]
    fn a_case_on_record_is_judged_again() {
        let zero = changed(&case(0, 0.0));
        assert_eq!(zero, None);
        let drifted = changed(&case(0, 0.5)).expect("e^0 is exact");
        assert!(drifted.contains("0.000 of at most 1.200, on record is 0.500"), "{drifted}");
    }

    #[test]
    fn what_is_worse_than_the_record_is_named() {
        let record = Record::default().with(Worst(vec![case(0, 0.0)]));
        let worse = Worst(vec![case(1, 0.7)]);
        let complaints = record.complaints(&worse);
        assert!(complaints[0].contains("worse than 0.000 of 1.200"), "{complaints:?}");
        let missing = Worst(vec![Case { format: "f64".into(), ..case(0, 0.0) }]);
        assert!(record.complaints(&missing)[0].contains("exp f64 without FMA is not on record"));
    }

    #[test]
    fn a_line_has_both_kinds_of_levels() {
        let record =
            Record::default().with(Worst(vec![case(0, 1.0), Case { fma: true, ..case(0, 0.5) }]));
        let line = "| exp | f32 | 1,000 | 1.000 / 1.2 | 0.500 / 1.2 |";
        assert!(record.to_markdown().contains(line), "{}", record.to_markdown());
    }
}
