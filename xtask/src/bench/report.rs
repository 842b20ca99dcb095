//! What is printed.

use std::time::Duration;

use serde::Serialize;
use xent_core::{Element, Level};

use super::case::Case;

/// How results are printed.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Style {
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
    pub(crate) fn new<E: Element>(
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
            dtype: E::NAME,
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
    style: Style,
}

impl Report {
    pub(crate) fn new(style: Style) -> Self {
        Self { style }
    }

    pub(crate) fn head(self) {
        match self.style {
            Style::Json => {}
            Style::Text => println!(
                "{:40} {:>16} {:>6} {:>8} {:>7} {:>8} {:>8} {:>6}",
                "case", "shape", "format", "level", "threads", "ns/elem", "copy", "ratio"
            ),
            Style::Markdown => println!(
                "| case | shape | format | level | threads | ns an element | copy | ratio |\n\
                 |---|---|---|---|---|---|---|---|"
            ),
        }
    }

    pub(crate) fn line(self, line: &Line) {
        let Line { case, dtype, level, threads, ratio_to_copy: ratio, size, .. } = line;
        let (ours, copy) = (line.ns_per_element, line.copy_ns_per_element);
        match self.style {
            Style::Json => {
                println!("{}", serde_json::to_string(line).expect("a line of numbers and names"));
            }
            Style::Text => println!(
                "{case:40} {size:>16} {dtype:>6} {level:>8} {threads:>7} {ours:8.3} {copy:8.3} {ratio:6.2}"
            ),
            Style::Markdown => println!(
                "| {case} | {} | {dtype} | {level} | {threads} | {ours:.3} | {copy:.3} | {ratio:.2} |",
                size.replace('x', " × ")
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use half::bf16;

    use super::*;

    #[test]
    fn a_line_of_json_says_which_format_it_is_of() {
        let case = Case::all().find(Case::is_of::<bf16>).expect("a case of sixteen bits");
        let time = Duration::from_secs(1);
        let line = Line::new::<bf16>(&case, Level::Portable, 1, time, time);
        let json = serde_json::to_string(&line).expect("a line of numbers and names");
        assert!(json.contains(r#""case":"softmax/loss""#), "{json}");
        assert!(json.contains(r#""dtype":"bf16""#), "{json}");
        assert!(json.contains(r#""ratio_to_copy":1.0"#), "{json}");
    }
}
