//! What is printed.

use std::time::Duration;

use serde::Serialize;
use xent_core::Level;

use super::case::Case;

/// How results are printed.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Format {
    Text,
    Markdown,
    Json,
}

/// One case, measured.
#[derive(Debug, Serialize)]
pub(crate) struct Line {
    pub(crate) case: &'static str,
    rows: usize,
    classes: usize,
    dtype: &'static str,
    level: &'static str,
    threads: usize,
    pub(crate) ns_per_element: f64,
    /// Of the copy, or of the loop of three streams for the sigmoid losses.
    pub(crate) copy_ns_per_element: f64,
    ratio_to_copy: f64,
    #[serde(skip)]
    pub(crate) size: String,
}

impl Line {
    pub(crate) fn new(
        case: &Case,
        level: Level,
        threads: usize,
        ours: Duration,
        copy: Duration,
    ) -> Self {
        let each = |time: Duration| time.as_secs_f64() * 1e9 / case.shape.elements() as f64;
        let (ours, copy) = (each(ours), each(copy));
        Self {
            case: case.question.name(),
            rows: case.shape.row_count(),
            classes: case.shape.classes(),
            dtype: "f32",
            level: level.name(),
            threads,
            ns_per_element: ours,
            copy_ns_per_element: copy,
            ratio_to_copy: ours / copy,
            size: case.size(),
        }
    }
}

/// Prints lines as they come.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Report {
    format: Format,
}

impl Report {
    pub(crate) fn new(format: Format) -> Self {
        Self { format }
    }

    pub(crate) fn head(self) {
        match self.format {
            Format::Json => {}
            Format::Text => println!(
                "{:40} {:>16} {:>8} {:>7} {:>8} {:>8} {:>6}",
                "case", "shape", "level", "threads", "ns/elem", "copy", "ratio"
            ),
            Format::Markdown => println!(
                "| case | shape | level | threads | ns an element | copy | ratio |\n\
                 |---|---|---|---|---|---|---|"
            ),
        }
    }

    pub(crate) fn line(self, line: &Line) {
        let Line { case, level, threads, ratio_to_copy: ratio, size, .. } = line;
        let (ours, copy) = (line.ns_per_element, line.copy_ns_per_element);
        match self.format {
            Format::Json => {
                println!("{}", serde_json::to_string(line).expect("a line of numbers and names"));
            }
            Format::Text => println!(
                "{case:40} {size:>16} {level:>8} {threads:>7} {ours:8.3} {copy:8.3} {ratio:6.2}"
            ),
            Format::Markdown => println!(
                "| {case} | {} | {level} | {threads} | {ours:.3} | {copy:.3} | {ratio:.2} |",
                size.replace('x', " × ")
            ),
        }
    }
}
