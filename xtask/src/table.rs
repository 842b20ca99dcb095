//! The findings of the checks, and their tables.

use xent_core::Level;

use crate::bounds::{Answer, Bound};
use crate::format::{FORMATS, Real};

/// The worst result of one function at one level.
#[derive(Clone, Debug)]
pub(crate) struct Finding {
    pub(crate) name: &'static str,
    pub(crate) format: &'static str,
    pub(crate) level: Level,
    pub(crate) tried: u64,
    /// The error that is closest to its bound, or exceeds it most.
    pub(crate) error: f64,
    pub(crate) bound: f64,
    pub(crate) place: String,
}

impl Finding {
    /// Nothing tried yet.
    pub(crate) fn new(bound: Bound, level: Level) -> Self {
        Self {
            name: bound.name,
            format: bound.format,
            level,
            tried: 0,
            error: 0.0,
            bound: bound.at(level),
            place: String::new(),
        }
    }

    /// Counts one result.
    pub(crate) fn record(&mut self, error: f64, bound: f64, place: impl FnOnce() -> String) {
        self.tried += 1;
        if is_worse((error, bound), (self.error, self.bound)) {
            (self.error, self.bound) = (error, bound);
            self.place = place();
        }
    }

    /// The function, format and level.
    fn subject(&self) -> (&'static str, &'static str, Level) {
        (self.name, self.format, self.level)
    }

    fn merge(&mut self, other: Self) {
        let tried = self.tried + other.tried;
        if is_worse((other.error, other.bound), (self.error, self.bound)) {
            *self = other;
        }
        self.tried = tried;
    }

    fn is_ok(&self) -> bool {
        self.error <= self.bound
    }
}

/// Whether an error is closer to its bound (or further beyond it) than another to its own.
fn is_worse((error, bound): (f64, f64), (other, other_bound): (f64, f64)) -> bool {
    share_of(error, bound) > share_of(other, other_bound)
}

/// The error as a share of its bound.
pub(crate) fn share_of(error: f64, bound: f64) -> f64 {
    if error == 0.0 { 0.0 } else { error / bound }
}

/// One finding for each function, format and level.
#[derive(Clone, Debug, Default)]
pub(crate) struct Findings(Vec<Finding>);

impl Findings {
    /// The finding about a function at a level.
    pub(crate) fn of(&mut self, bound: Bound, level: Level) -> &mut Finding {
        let new = Finding::new(bound, level);
        let known = self.0.iter().position(|finding| finding.subject() == new.subject());
        let index = known.unwrap_or_else(|| {
            self.0.push(new);
            self.0.len() - 1
        });
        &mut self.0[index]
    }

    /// Judges the results of a function at a level.
    pub(crate) fn judge<R: Real>(
        &mut self,
        bound: Bound,
        level: Level,
        answers: &[Answer<R>],
        got: &[f64],
        place: impl Fn(usize) -> String,
    ) {
        let finding = self.of(bound, level);
        for (i, (&answer, &got)) in answers.iter().zip(got).enumerate() {
            finding.record(bound.error(answer, got), bound.allowed(answer, level), || {
                format!("{got:e} for {:e}: {}", answer.value.to_f64(), place(i))
            });
        }
    }

    /// Adds findings from elsewhere.
    pub(crate) fn add(&mut self, other: Finding) {
        match self.0.iter_mut().find(|finding| finding.subject() == other.subject()) {
            Some(finding) => finding.merge(other),
            None => self.0.push(other),
        }
    }

    /// Both.
    pub(crate) fn merged(mut self, other: Self) -> Self {
        other.0.into_iter().for_each(|finding| self.add(finding));
        self
    }

    /// How many findings exceed their bound.
    pub(crate) fn failures(&self) -> usize {
        self.0.iter().filter(|finding| !finding.is_ok()).count()
    }

    /// The findings of each function and format, in the order in which the functions were tried;
    /// those that must be exact come last.
    fn lines(&self) -> Vec<Vec<&Finding>> {
        let mut names = Vec::new();
        let (exact, bounded): (Vec<_>, Vec<_>) = self.0.iter().partition(|f| f.bound == 0.0);
        for finding in bounded.into_iter().chain(exact) {
            if !names.contains(&finding.name) {
                names.push(finding.name);
            }
        }
        let all = names.iter().flat_map(|&name| FORMATS.map(|format| (name, format)));
        all.map(|subject| self.0.iter().filter(|f| (f.name, f.format) == subject).collect())
            .filter(|line: &Vec<_>| !line.is_empty())
            .collect()
    }

    /// A line for each function, format and level, in columns.
    pub(crate) fn to_text(&self) -> String {
        let head = ["function", "format", "level", "tried", "worst", "bound", "ok", "where"];
        let mut lines = vec![head.map(String::from)];
        lines.extend(self.lines().concat().into_iter().map(|finding| {
            [
                finding.name.to_owned(),
                finding.format.to_owned(),
                finding.level.to_string(),
                finding.tried.to_string(),
                format!("{:.3}", finding.error),
                format!("{:.3}", finding.bound),
                if finding.is_ok() { "ok" } else { "NO" }.to_owned(),
                finding.place.clone(),
            ]
        }));
        let widths = [0, 1, 2, 3, 4, 5, 6].map(|column| {
            lines.iter().map(|line| line[column].chars().count()).max().unwrap_or_default()
        });
        let mut text = String::new();
        for [name, format, level, tried, worst, bound, ok, place] in &lines {
            let [a, b, c, d, e, f, g] = widths;
            let line = format!(
                "{name:a$}  {format:b$}  {level:c$}  {tried:>d$}  {worst:>e$}  {bound:>f$}  {ok:g$}"
            );
            text.push_str(format!("{line}  {place}").trim_end());
            text.push('\n');
        }
        text
    }

    /// All of them, in the order of the table.
    pub(crate) fn into_all(self) -> Vec<Finding> {
        let mut all: Vec<Finding> = self.lines().concat().into_iter().cloned().collect();
        all.retain(|finding| finding.tried > 0);
        all
    }
}

/// A number with commas between groups of three digits.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_is_what_comes_closest_to_its_bound() {
        let bound = Bound::new("f", 4.0);
        let mut findings = Findings::default();
        for (error, bound_here) in [(1.0, 4.0), (20.0, 100.0), (0.5, 4.0)] {
            findings.of(bound, Level::Portable).record(error, bound_here, || format!("{error}"));
        }
        let worst = &findings.0[0];
        assert_eq!((worst.tried, worst.error, worst.place.as_str()), (3, 1.0, "1"));
        assert_eq!(findings.clone().merged(findings.clone()).0[0].tried, 6);
        assert_eq!(findings.failures(), 0);
        findings.of(bound, Level::Portable).record(101.0, 100.0, String::new);
        assert_eq!(findings.failures(), 1);
    }

    #[test]
    fn each_format_has_a_line_of_its_own() {
        let mut findings = Findings::default();
        for (bound, error) in [
            (Bound::new("f", 4.0).of::<f64>(), 3.0),
            (Bound::new("g", 4.0).of::<f64>(), 1.0),
            (Bound::new("f", 4.0), 2.0),
        ] {
            findings.of(bound, Level::Portable).record(error, 4.0, String::new);
        }
        let text = findings.to_text();
        let lines: Vec<Vec<&str>> = text.lines().map(|l| l.split_whitespace().collect()).collect();
        let names: Vec<[&str; 3]> = lines.iter().map(|line| [line[0], line[1], line[4]]).collect();
        let want = [["f", "f32", "2.000"], ["f", "f64", "3.000"], ["g", "f64", "1.000"]];
        assert_eq!(names[1..], want);
    }

    #[test]
    fn long_numbers_are_grouped() {
        assert_eq!([1, 999, 1000, 1_234_567].map(grouped), ["1", "999", "1,000", "1,234,567"]);
    }
}
