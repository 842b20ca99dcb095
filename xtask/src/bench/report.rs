//! The printed results.

use serde::Serialize;
use xent_core::{Element, Level};

use super::case::Case;

/// How results are printed.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Style {
    Text,
    Markdown,
    Json,
    /// All at once, at the end.
    Overview,
}

/// The crate that a case was measured through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Api {
    /// The public crate.
    Xent,
    /// `xent-core`, without the overhead of `xent`.
    Core,
}

impl Api {
    const fn name(self) -> &'static str {
        match self {
            Self::Xent => "xent",
            Self::Core => "core",
        }
    }
}

/// Seconds a call, of contenders that took turns.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    pub(crate) ours: f64,
    /// A copy, or the loop over three streams for the sigmoid losses.
    pub(crate) copy: f64,
    /// For a case with an option: the same shape without it.
    pub(crate) plain: Option<f64>,
    /// For a case through `xent`: the same case through the core.
    pub(crate) core: Option<f64>,
    /// For a small batch: a loop as a user would write it.
    pub(crate) scalar: Option<f64>,
    /// Only the checks of the input, for cases where each number is checked.
    pub(crate) checks: Option<f64>,
}

/// One case, measured.
#[derive(Debug, Serialize)]
pub(crate) struct Line {
    pub(crate) case: &'static str,
    pub(crate) api: Api,
    rows: usize,
    classes: usize,
    pub(crate) dtype: &'static str,
    pub(crate) level: &'static str,
    pub(crate) threads: usize,
    pub(crate) ns_per_element: f64,
    /// Of the copy, or of the loop over three streams for the sigmoid losses.
    pub(crate) copy_ns_per_element: f64,
    ratio_to_copy: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ratio_to_plain: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ratio_to_core: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scalar_ns_per_element: Option<f64>,
    /// The share of the time that the checks of the input take.
    #[serde(skip_serializing_if = "Option::is_none")]
    share_of_checks: Option<f64>,
    #[serde(skip)]
    pub(crate) size: String,
}

impl Line {
    pub(crate) fn new<E: Element>(
        case: &Case,
        api: Api,
        level: Level,
        threads: usize,
        times: Times,
    ) -> Self {
        let Times { ours, copy, plain, core, scalar, checks } = times;
        let each = |seconds: f64| seconds * 1e9 / case.shape.elements() as f64;
        Self {
            case: case.question.name(),
            api,
            rows: case.shape.row_count(),
            classes: case.shape.classes(),
            dtype: E::NAME,
            level: level.name(),
            threads,
            ns_per_element: each(ours),
            copy_ns_per_element: each(copy),
            ratio_to_copy: ours / copy,
            ratio_to_plain: plain.map(|plain| ours / plain),
            ratio_to_core: core.map(|core| ours / core),
            scalar_ns_per_element: scalar.map(each),
            share_of_checks: checks.map(|checks| checks / ours),
            size: case.size(),
        }
    }

    fn text(&self) -> String {
        let Self { case, dtype, level, threads, size, .. } = self;
        let (api, ours, copy) = (self.api.name(), self.ns_per_element, self.copy_ns_per_element);
        let ratio = self.ratio_to_copy;
        let [plain, core, scalar, checks] = self.where_measured();
        let line = format!(
            "{case:30} {size:>15} {api:>4} {dtype:>6} {level:>8} {threads:>7} {ours:8.3} {copy:8.3} \
             {ratio:6.2} {plain:>10} {core:>9} {scalar:>7} {checks:>6}"
        );
        line.trim_end().to_owned()
    }

    fn markdown(&self) -> String {
        let Self { case, dtype, level, threads, .. } = self;
        let (api, ours, copy) = (self.api.name(), self.ns_per_element, self.copy_ns_per_element);
        let (ratio, size) = (self.ratio_to_copy, self.size.replace('x', " × "));
        let [plain, core, scalar, checks] = self.where_measured();
        format!(
            "| `{case}` | {size} | {api} | {dtype} | {level} | {threads} | {ours:.3} | {copy:.3} | \
             {ratio:.2} | {plain} | {core} | {scalar} | {checks} |"
        )
    }

    /// The ratios to the plain loss and to the core, the scalar loop, and the share of checks; empty if not
    /// measured.
    fn where_measured(&self) -> [String; 4] {
        let number = |value: Option<f64>, digits| {
            value.map_or(String::new(), |value| format!("{value:.digits$}"))
        };
        [
            number(self.ratio_to_plain, 2),
            number(self.ratio_to_core, 2),
            number(self.scalar_ns_per_element, 3),
            number(self.share_of_checks, 2),
        ]
    }
}

/// Prints each line as soon as it is there.
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
            Style::Json | Style::Overview => {}
            Style::Text => println!(
                "{:30} {:>15} {:>4} {:>6} {:>8} {:>7} {:>8} {:>8} {:>6} {:>10} {:>9} {:>7} {:>6}",
                "case",
                "shape",
                "api",
                "format",
                "level",
                "threads",
                "ns/elem",
                "copy",
                "ratio",
                "over plain",
                "over core",
                "scalar",
                "checks"
            ),
            Style::Markdown => println!(
                "| case | shape | api | format | level | threads | ns an element | copy | ratio | \
                 over plain | over core | scalar loop | checks |\n\
                 |---|---|---|---|---|---:|---:|---:|---:|---:|---:|---:|---:|"
            ),
        }
    }

    pub(crate) fn line(self, line: &Line) {
        match self.style {
            Style::Json => {
                println!("{}", serde_json::to_string(line).expect("a line of numbers and names"));
            }
            Style::Text => println!("{}", line.text()),
            Style::Markdown => println!("{}", line.markdown()),
            Style::Overview => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use half::bf16;

    use super::*;
    use crate::bench::case::{Question, SoftmaxOption};

    const SHAPE: [usize; 3] = [4, 10, 1];
    const TIMES: Times =
        Times { ours: 4e-8, copy: 2e-8, plain: None, core: None, scalar: None, checks: None };

    fn line(question: Question, api: Api, times: Times) -> Line {
        Line::new::<bf16>(&Case::new(question, SHAPE), api, Level::Portable, 1, times)
    }

    fn json(line: &Line) -> String {
        serde_json::to_string(line).expect("a line of numbers and names")
    }

    #[test]
    fn a_line_of_json_says_which_format_and_api_it_is_of() {
        let json = json(&line(Question::SoftmaxLoss, Api::Core, TIMES));
        assert!(json.contains(r#""case":"softmax/loss","api":"core""#), "{json}");
        assert!(json.contains(r#""dtype":"bf16""#), "{json}");
        assert!(json.contains(r#""ns_per_element":1.0"#), "{json}");
        assert!(json.contains(r#""ratio_to_copy":2.0"#), "{json}");
        for absent in ["ratio_to_plain", "ratio_to_core", "scalar", "checks"] {
            assert!(!json.contains(absent), "{json}");
        }
    }

    #[test]
    fn a_line_has_the_ratios_that_were_measured() {
        let option = Question::SoftmaxWith(SoftmaxOption::Hessian);
        let hessian = line(option, Api::Xent, Times { plain: Some(1e-8), ..TIMES });
        assert!(json(&hessian).contains(r#""case":"softmax/hessian","api":"xent""#));
        assert!(json(&hessian).contains(r#""ratio_to_plain":4.0"#));
        assert!(hessian.markdown().ends_with("| 1.000 | 0.500 | 2.00 | 4.00 |  |  |  |"));
        assert!(hessian.text().ends_with("4.00"));

        let times = Times { core: Some(2e-8), scalar: Some(8e-8), ..TIMES };
        let plain = line(Question::SoftmaxGradient, Api::Xent, times);
        assert!(json(&plain).contains(r#""ratio_to_core":2.0,"scalar_ns_per_element":2.0"#));
        assert!(plain.markdown().ends_with("| 2.00 |  | 2.00 | 2.000 |  |"));

        let dense = Question::SoftmaxWith(SoftmaxOption::Dense);
        let dense = line(dense, Api::Xent, Times { checks: Some(1e-8), ..TIMES });
        assert!(json(&dense).contains(r#""share_of_checks":0.25"#));
        assert!(dense.markdown().ends_with("| 0.25 |"));
    }
}
