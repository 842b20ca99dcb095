//! A compact table: a row for each case, a column for each shape.

use std::fmt::Write;

use super::report::{Api, Line};

/// Times through `xent` in Markdown, and in brackets the ratio to the plain loss and gradient: one
/// table for each family of losses, format, level and number of threads.
pub(crate) fn overview(lines: &[Line]) -> String {
    let ours = || lines.iter().filter(|line| line.api == Api::Xent);
    let mut text = String::new();
    for setting in distinct(ours().map(setting)) {
        let lines: Vec<&Line> = ours().filter(|line| self::setting(line) == setting).collect();
        for family in distinct(lines.iter().map(|line| family(line))) {
            let lines = lines.iter().filter(|line| self::family(line) == family);
            text += &table(&setting, &lines.copied().collect::<Vec<_>>());
        }
    }
    text
}

fn setting(line: &Line) -> String {
    let Line { dtype, level, threads, .. } = line;
    let plural = if *threads == 1 { "" } else { "s" };
    format!("{dtype}, {level}, {threads} thread{plural}")
}

/// Cases with the same shapes.
fn family(line: &Line) -> &'static str {
    match line.case.split_once('/') {
        Some((family, _)) => family,
        // The log-sum-exp belongs to the rows of softmax.
        None => "softmax",
    }
}

fn table(setting: &str, lines: &[&Line]) -> String {
    let sizes = distinct(lines.iter().map(|line| line.size.as_str()));
    let heads: Vec<String> = sizes.iter().map(|size| size.replace('x', " × ")).collect();
    let mut text = format!("| {setting} | {} |\n", heads.join(" | "));
    text += &format!("|---|{}\n", "---:|".repeat(sizes.len()));
    for case in distinct(lines.iter().map(|line| line.case)) {
        text += &format!("| `{case}` |");
        for size in &sizes {
            let line = lines.iter().find(|line| line.case == case && line.size == *size);
            let cell = line.map_or(String::new(), |line| cell(line));
            write!(text, " {cell} |").expect("room in a string");
        }
        text.push('\n');
    }
    text + "\n"
}

fn cell(line: &Line) -> String {
    let time = line.ns_per_element;
    match line.ratio_to_plain {
        Some(ratio) => format!("{time:.2} ({ratio:.1})"),
        None => format!("{time:.2}"),
    }
}

/// Each once, in the order of their first appearance.
fn distinct<T: PartialEq>(all: impl Iterator<Item = T>) -> Vec<T> {
    let mut seen = Vec::new();
    for one in all {
        if !seen.contains(&one) {
            seen.push(one);
        }
    }
    seen
}

#[cfg(test)]
mod tests {
    use xent_core::Level;

    use super::super::case::{Case, Question, SigmoidOption, SoftmaxOption};
    use super::super::report::Times;
    use super::*;

    #[test]
    fn a_case_is_a_row_and_a_shape_is_a_column() {
        let line = |api, question, shape, nanoseconds: f64, plain: Option<f64>| {
            let case = Case::new(question, shape);
            let call = |ns: f64| ns * 1e-9 * case.shape.elements() as f64;
            let plain = plain.map(call);
            let times = Times {
                ours: call(nanoseconds),
                copy: 1.0,
                plain,
                core: None,
                scalar: None,
                checks: None,
            };
            Line::new::<f32>(&case, api, Level::Portable, 1, times)
        };
        let dense = Question::SoftmaxWith(SoftmaxOption::Dense);
        let focal = Question::SigmoidWith(SigmoidOption::Focal);
        let text = overview(&[
            line(Api::Xent, Question::SoftmaxGradient, [64, 10, 1], 0.25, None),
            line(Api::Core, Question::SoftmaxGradient, [64, 10, 1], 0.125, None),
            line(Api::Xent, Question::SoftmaxGradient, [4, 1000, 1], 0.5, None),
            line(Api::Xent, dense, [4, 1000, 1], 1.5, Some(0.5)),
            line(Api::Xent, focal, [4, 80, 1], 0.75, Some(0.5)),
        ]);
        let expected = "\
            | f32, portable, 1 thread | 64 × 10 | 4 × 1000 |\n\
            |---|---:|---:|\n\
            | `softmax/loss_and_grad` | 0.25 | 0.50 |\n\
            | `softmax/dense` |  | 1.50 (3.0) |\n\
            \n\
            | f32, portable, 1 thread | 4 × 80 |\n\
            |---|---:|\n\
            | `sigmoid/focal` | 0.75 (1.5) |\n\
            \n";
        assert_eq!(text, expected);
    }
}
