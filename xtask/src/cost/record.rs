//! The record of a dependent's costs: `docs/cost.json`, and the tables in `docs/cost.md` made from
//! it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::ops::Range;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::symbols::Family;
use crate::table::grouped;

/// The allowed growth over the record, in percent.
const GROWTH: u64 = 5;

const BEGIN: &str = "<!-- what follows is written by `cargo xtask cost --record` -->\n";
const END: &str = "<!-- end of the tables -->\n";

/// The figures of a program.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Row {
    pub(super) name: String,
    /// The output of `rustc -V`.
    pub(super) compiler: String,
    /// The time of its build, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) cpu: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) wall: Option<f64>,
    /// Bytes of the program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) size: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) stripped: Option<u64>,
    /// Bytes of code.
    pub(super) text: u64,
    /// On a device: code, constants and initial values of variables.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) flash: Option<u64>,
    /// Kernel entries that were compiled outside the core.
    #[serde(default)]
    pub(super) elsewhere: u64,
    /// The time of its loss, relative to the release build.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) slowdown: Option<f64>,
    pub(super) families: BTreeMap<String, Family>,
}

impl Row {
    /// Kernel entries by level.
    pub(super) fn instances(&self) -> BTreeMap<&str, u64> {
        let mut levels = BTreeMap::new();
        for (level, count) in self.families.values().flat_map(|family| &family.instances) {
            *levels.entry(level.as_str()).or_default() += count;
        }
        levels
    }
}

/// What is on record.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Record {
    /// The target of the programs, except the device's.
    host: String,
    rows: Vec<Row>,
}

/// The result of a comparison.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Verdict {
    /// Figures that have grown.
    pub(super) complaints: Vec<String>,
    /// Figures that could not be compared.
    pub(super) notes: Vec<String>,
}

impl Record {
    pub(super) fn new(host: String, rows: Vec<Row>) -> Self {
        Self { host, rows }
    }

    /// Replaces the rows of programs that were measured again.
    pub(super) fn with(mut self, rows: Vec<Row>) -> Self {
        for row in rows {
            match self.rows.iter_mut().find(|known| known.name == row.name) {
                Some(known) => *known = row,
                None => self.rows.push(row),
            }
        }
        self
    }

    /// Whether it was made on such a machine.
    pub(super) fn is_of(&self, host: &str) -> bool {
        self.host == host
    }

    pub(super) fn read() -> Result<Self, String> {
        let path = in_docs("cost.json");
        let failed = |why: String| {
            format!(
                "{}: {why}\nto record what is true now: cargo xtask cost --record",
                path.display()
            )
        };
        let text = fs::read_to_string(&path).map_err(|error| failed(error.to_string()))?;
        serde_json::from_str(&text).map_err(|error| failed(error.to_string()))
    }

    /// Writes both files.
    pub(super) fn write(&self) -> Result<(), String> {
        let json = serde_json::to_string_pretty(self).map_err(|error| error.to_string())? + "\n";
        let (page, at) = page()?;
        let page = format!("{}{}{}", &page[..at.start], self.to_markdown(), &page[at.end..]);
        for (name, text) in [("cost.json", json), ("cost.md", page)] {
            let path = in_docs(name);
            fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))?;
        }
        Ok(())
    }

    /// Compares the results of a machine with the record.
    pub(super) fn compare(&self, found: &[Row], host: &str) -> Verdict {
        let mut verdict = Verdict::default();
        if !self.is_of(host) {
            let Self { host: known, .. } = self;
            verdict.notes.push(format!("the record is of {known}: nothing is compared on {host}"));
            return verdict;
        }
        for row in found {
            match self.rows.iter().find(|known| known.name == row.name) {
                Some(known) => verdict.add(row, known),
                None => verdict.complaints.push(format!("{}: not on record", row.name)),
            }
        }
        match page() {
            Ok((page, at)) if page[at.clone()] == self.to_markdown() => {}
            Ok(_) => {
                verdict.complaints.push("docs/cost.md does not have the record's tables".into());
            }
            Err(error) => verdict.complaints.push(error),
        }
        verdict
    }

    fn to_markdown(&self) -> String {
        let compilers: BTreeSet<_> = self.rows.iter().map(|row| row.compiler.as_str()).collect();
        let compilers = compilers.into_iter().collect::<Vec<_>>().join("; ");
        let host = &self.host;
        let tables = tables(&self.rows);
        let tables: Vec<_> =
            tables.iter().map(|table| format!("\n{}", table.to_markdown())).collect();
        format!("On {host}, by {compilers}.\n{}", tables.concat())
    }
}

impl Verdict {
    /// Compares a program with its record.
    fn add(&mut self, row: &Row, known: &Row) {
        let name = &row.name;
        let before = known.instances();
        for (level, now) in row.instances() {
            let before = before.get(level).copied().unwrap_or_default();
            self.demand(&format!("{name}: kernel instances, {level}"), now, before);
        }
        if row.compiler != known.compiler {
            let (here, there) = (&row.compiler, &known.compiler);
            self.notes.push(format!("{name}: sizes are not compared: {here}, on record {there}"));
            return;
        }
        let grew = self.demand(&format!("{name}: bytes of text"), row.text, known.text);
        if let Some((now, before)) = row.flash.zip(known.flash) {
            self.demand(&format!("{name}: bytes of flash"), now, before);
        }
        if grew {
            let growth = row.families.iter().map(|(family, now)| {
                let before = known.families.get(family).map_or(0, |family| family.text);
                (now.text.saturating_sub(before), family)
            });
            if let Some((bytes, family)) = growth.max() {
                let bytes = grouped(bytes);
                self.complaints.push(format!("{name}: most of it, {bytes} bytes, is in {family}"));
            }
        }
    }

    /// Complains about a figure that has grown too much.
    fn demand(&mut self, what: &str, now: u64, before: u64) -> bool {
        let grew = now * 100 > before * (100 + GROWTH);
        if grew {
            let (now, before) = (grouped(now), grouped(before));
            self.complaints
                .push(format!("{what}: {now}, more than {GROWTH} % above {before} on record"));
        }
        grew
    }
}

/// A table whose first column has names and whose others have numbers.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Table {
    head: Vec<String>,
    rows: Vec<Vec<String>>,
}

/// Not measured.
const NONE: &str = "–";

/// The tables of programs, of their code by family, and of instances by family, if there are any.
pub(super) fn tables(rows: &[Row]) -> Vec<Table> {
    let mut tables = vec![programs(rows), code(rows), instances(rows)];
    tables.retain(|table| !table.rows.is_empty());
    tables
}

fn programs(rows: &[Row]) -> Table {
    let head = [
        "program",
        "CPU, s",
        "wall, s",
        "file",
        "stripped",
        "text",
        "flash",
        "instances",
        "loss / release",
    ];
    let bytes = |number: Option<u64>| number.map_or(NONE.into(), grouped);
    let time = |seconds: Option<f64>| seconds.map_or(NONE.into(), |s| format!("{s:.0}"));
    let row = |row: &Row| {
        let levels: Vec<_> =
            row.instances().into_iter().map(|(level, n)| format!("{n} {level}")).collect();
        vec![
            row.name.clone(),
            time(row.cpu),
            time(row.wall),
            bytes(row.size),
            bytes(row.stripped),
            grouped(row.text),
            bytes(row.flash),
            if levels.is_empty() { NONE.into() } else { levels.join(" + ") },
            row.slowdown.map_or(NONE.into(), |times| format!("{times:.2}")),
        ]
    };
    Table { head: head.map(str::to_owned).into(), rows: rows.iter().map(row).collect() }
}

fn code(rows: &[Row]) -> Table {
    let names = rows.iter().map(|row| row.name.clone());
    let cell = |row: &Row, family: &str| {
        let text = row.families.get(family).map_or(0, |family| family.text);
        if text == 0 { NONE.into() } else { grouped(text) }
    };
    let line = |family: &str| {
        let cells = rows.iter().map(|row| cell(row, family));
        std::iter::once(family.to_owned()).chain(cells).collect()
    };
    Table {
        head: std::iter::once("bytes of text".into()).chain(names).collect(),
        rows: families(rows).into_iter().map(line).collect(),
    }
}

/// Of the first program, which has all levels.
fn instances(rows: &[Row]) -> Table {
    let first = rows.iter().find(|row| !row.instances().is_empty());
    let levels: Vec<_> = first.iter().flat_map(|row| row.instances().into_keys()).collect();
    let title = format!("instances: {}", first.map_or(NONE, |row| &row.name));
    let all = first.iter().flat_map(|row| &row.families);
    let some = all.filter(|(_, family)| !family.instances.is_empty());
    let line = |(name, family): (&String, &Family)| {
        let counts = levels.iter().map(|level| family.instances.get(*level).copied());
        let counts = counts.map(|count| count.map_or(NONE.into(), |count| count.to_string()));
        std::iter::once(name.clone()).chain(counts).collect()
    };
    let rows = some.map(line).collect();
    let levels = levels.iter().map(|level| (*level).to_owned());
    Table { head: std::iter::once(title).chain(levels).collect(), rows }
}

/// The families of all programs, kernels first.
fn families(rows: &[Row]) -> Vec<&str> {
    let all: BTreeSet<_> = rows.iter().flat_map(|row| row.families.keys()).collect();
    let (mut kernels, others): (Vec<&str>, Vec<&str>) =
        all.into_iter().map(String::as_str).partition(|family| family.contains("::"));
    kernels.extend(others);
    kernels
}

impl Table {
    pub(super) fn to_markdown(&self) -> String {
        let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
        let rule = format!("|---{}|\n", "|---:".repeat(self.head.len() - 1));
        let rows = self.rows.iter().map(|row| line(row));
        [line(&self.head), rule].into_iter().chain(rows).collect()
    }

    pub(super) fn to_text(&self) -> String {
        let lines = || std::iter::once(&self.head).chain(&self.rows);
        let width = |column: usize| {
            lines().map(|line| line[column].chars().count()).max().unwrap_or_default()
        };
        let widths: Vec<_> = (0..self.head.len()).map(width).collect();
        let line = |cells: &Vec<String>| {
            let cells = cells.iter().zip(&widths).enumerate().map(|(column, (cell, &width))| {
                if column == 0 { format!("{cell:width$}") } else { format!("{cell:>width$}") }
            });
            cells.collect::<Vec<_>>().join("  ") + "\n"
        };
        lines().map(line).collect()
    }
}

fn in_docs(name: &str) -> PathBuf {
    crate::root().join("docs").join(name)
}

/// The page, and the place of its tables.
fn page() -> Result<(String, Range<usize>), String> {
    let path = in_docs("cost.md");
    let page = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let begin = page.find(BEGIN).map(|at| at + BEGIN.len());
    let end = page.find(END);
    match begin.zip(end).filter(|(begin, end)| begin <= end) {
        Some((begin, end)) => Ok((page, begin..end)),
        None => Err(format!("{}: no place for the tables", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: &str = "x86_64-unknown-linux-gnu";

    fn row(text: u64, avx2: u64) -> Row {
        let instances = [("avx2".to_owned(), avx2)].into();
        let families = [("kernel::softmax".to_owned(), Family { text, instances })].into();
        let [name, compiler] = ["release", "rustc 1.95.0"].map(str::to_owned);
        Row { name, compiler, text, families, ..Row::default() }
    }

    fn complaints(found: Row) -> Vec<String> {
        let record = Record::new(HOST.into(), vec![row(1000, 20)]);
        let mut complaints = record.compare(&[found], HOST).complaints;
        complaints.retain(|complaint| !complaint.contains("cost.md"));
        complaints
    }

    #[test]
    fn a_twentieth_more_is_no_growth() {
        assert_eq!(complaints(row(1050, 21)), [""; 0]);
        assert_eq!(complaints(row(1, 1)), [""; 0]);
    }

    #[test]
    fn growth_of_text_or_instances_is_named() {
        let [text, family] = <[String; 2]>::try_from(complaints(row(1051, 20))).expect("two");
        assert!(
            text.ends_with("bytes of text: 1,051, more than 5 % above 1,000 on record"),
            "{text}"
        );
        assert!(family.ends_with("most of it, 51 bytes, is in kernel::softmax"), "{family}");
        let found = complaints(row(1000, 22));
        assert_eq!(found.len(), 1);
        assert!(found[0].contains("instances, avx2: 22"), "{found:?}");
        assert_eq!(complaints(Row { name: "other".into(), ..row(1, 1) }).len(), 1);
    }

    #[test]
    fn sizes_by_another_compiler_are_not_compared() {
        let of_another = |avx2| Row { compiler: "rustc 1.96.0".into(), ..row(5000, avx2) };
        assert_eq!(complaints(of_another(20)), [""; 0]);
        assert_eq!(complaints(of_another(40)).len(), 1);
        let record = Record::new(HOST.into(), vec![row(1000, 20)]);
        assert_eq!(record.compare(&[of_another(20)], HOST).notes.len(), 1);
        let elsewhere = record.compare(&[row(5000, 40)], "aarch64-unknown-linux-gnu");
        assert_eq!((elsewhere.complaints.len(), elsewhere.notes.len()), (0, 1));
    }

    #[test]
    fn a_row_that_is_measured_again_takes_the_place_of_the_old() {
        let record = Record::new(HOST.into(), vec![row(1, 1)]);
        let record = record.with(vec![row(2, 2), Row { name: "debug".into(), ..row(3, 3) }]);
        assert_eq!(record.rows.iter().map(|row| row.text).collect::<Vec<_>>(), [2, 3]);
    }

    #[test]
    fn tables_have_a_line_for_each_program_and_family() {
        let row = Row { size: Some(1_234_567), cpu: Some(61.6), ..row(1000, 20) };
        assert_eq!(tables(&[]), []);
        let [programs, code, instances] =
            <[Table; 3]>::try_from(tables(&[row])).expect("three tables");
        let line = "| release | 62 | – | 1,234,567 | – | 1,000 | – | 20 avx2 | – |\n";
        assert!(programs.to_markdown().ends_with(line), "{}", programs.to_markdown());
        assert_eq!(code.to_text(), "bytes of text    release\nkernel::softmax    1,000\n");
        assert!(instances.to_markdown().ends_with("| kernel::softmax | 20 |\n"));
    }

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let row = Row { cpu: Some(61.6), slowdown: Some(1.1), ..row(1000, 20) };
        let record = Record::new(HOST.into(), vec![row.clone()]);
        let text = serde_json::to_string_pretty(&record).expect("JSON");
        let read: Record = serde_json::from_str(&text).expect("a record");
        assert!(read.is_of(HOST) && read.rows == [row]);
    }
}
