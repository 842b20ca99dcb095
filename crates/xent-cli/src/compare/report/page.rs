//! The result of a comparison as a page for a browser: one file, without scripts.

use std::fmt::Write;
use std::path::Path;

use super::super::calibration::{BINS, Calibration};
use super::super::page_data::PageData;
use super::super::tolerance::Check;
use super::charts::{Bars, COLOURS, DrawingError, reliability};
use super::{Bin, Change, Comparison, SHOWN, WorstRow};
use crate::number::{short, significant};

const STYLE: &str = include_str!("page.css");
/// The most bars of the histogram for differences without a scale; smaller ones are in the first.
const MOST_POWERS: i32 = 24;
/// The legend of the charts that show both sides.
const KEY: &str =
    "<p><span class=\"key\">reference</span><span class=\"key candidate\">candidate</span></p>\n";

/// A table under construction.
struct Table {
    text: String,
}

/// A cell, which is already HTML.
type Cell = String;

impl Comparison {
    /// The page about these files.
    pub(in super::super) fn page(
        &self,
        [reference, candidate]: [&Path; 2],
        data: &PageData,
    ) -> Result<String, DrawingError> {
        let [reference, candidate] = [reference, candidate].map(|path| escaped(&name(path)));
        let (class, verdict) = match self.within {
            Some(true) => ("within", "Within the tolerance".to_owned()),
            Some(false) => {
                ("outside", format!("Outside the tolerance: {}", self.exceeded.join(", ")))
            }
            None => ("none", "No tolerance given".to_owned()),
        };
        let sections = [
            self.tolerances(),
            self.explanations(),
            self.figures(data),
            format!(
                "<div class=\"pair\">\n{}{}</div>\n",
                self.errors(data)?,
                self.probabilities(data)?
            ),
            self.changed_predictions(data),
            self.differing_rows()?,
        ];
        Ok(format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
             <title>{verdict}: {candidate} and {reference}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n\
             <h1 class=\"{class}\">{verdict}</h1>\n{}{}</main>\n</body>\n</html>\n",
            self.files(&reference, &candidate),
            sections.concat()
        ))
    }

    fn files(&self, reference: &str, candidate: &str) -> String {
        let sides = [
            ("Reference", reference, self.formats.reference, self.quantisation.reference),
            ("Candidate", candidate, self.formats.candidate, self.quantisation.candidate),
        ];
        let mut list = String::from("<dl>\n");
        for (side, file, format, scale) in sides {
            let numbers = match scale {
                Some(of) => {
                    format!("integers of {of}")
                }
                None => format.to_string(),
            };
            let _ = writeln!(list, "<dt>{side}</dt><dd><bdi>{file}</bdi> ({numbers})</dd>");
        }
        let Self { elements, rows, classes, compared, .. } = self;
        let _ = write!(
            list,
            "<dt>Compared</dt><dd>{compared} of {elements} elements, {rows} rows of {classes} classes</dd>\n</dl>\n"
        );
        list
    }

    fn tolerances(&self) -> String {
        if self.checks.is_empty() {
            return String::new();
        }
        let mut table =
            Table::new("Tolerances, all of which must hold", &["option", "allowed", "found", ""]);
        for Check { option, allowed, found, holds } in &self.checks {
            let found = found.iter().map(|(x, unit)| format!("{} {unit}", number(*x)));
            let (class, word) =
                if *holds { ("holds", "holds") } else { ("fails", "does not hold") };
            table.line(format!(
                "<td class=\"text\">{option}</td><td>{}</td><td>{}</td><td class=\"{class}\">{word}</td>",
                escaped(allowed),
                found.collect::<Vec<_>>().join(", ")
            ));
        }
        table.end()
    }

    fn explanations(&self) -> String {
        if self.causes.is_empty() {
            return String::new();
        }
        let lines = self.causes.iter().map(|cause| {
            format!(
                "<li><strong>{}</strong>: {}</li>\n",
                escaped(cause.name),
                escaped(&cause.evidence)
            )
        });
        format!("<h2>What explains the difference</h2>\n<ul>\n{}</ul>\n", lines.collect::<String>())
    }

    fn figures(&self, data: &PageData) -> String {
        let top = self.top_k.map_or(String::new(), |k| format!("accuracy of the top {k}"));
        let errors =
            data.calibration.as_ref().map(|sides| sides.each_ref().map(Calibration::error));
        let [of_reference, of_candidate] = errors.unwrap_or_default();
        let mut table = Table::new("Both sides", &["", "reference", "candidate"]);
        for (name, a, b) in [
            ("loss", self.reference_loss, self.candidate_loss),
            ("accuracy", self.reference_accuracy, self.candidate_accuracy),
            (&top, self.reference_top_k_accuracy, self.candidate_top_k_accuracy),
            (
                "accuracy of the elements",
                self.reference_binary_accuracy,
                self.candidate_binary_accuracy,
            ),
            ("expected calibration error", of_reference, of_candidate),
        ] {
            if let (Some(a), Some(b)) = (a, b) {
                table.row([name.to_owned(), exactly(a), exactly(b)]);
            }
        }
        let both = table.end();
        let mut table = Table::new("Differences", &["", ""]);
        let of = |worst: Option<super::Worst>| worst.map(|worst| worst.distance);
        for (name, x) in [
            ("rows with the same prediction, share", self.agreement),
            ("largest, LSB", of(self.worst_lsb)),
            ("largest, absolute", of(self.worst_abs)),
            ("largest, relative", of(self.worst_rel)),
            ("largest, ULP", of(self.worst_ulp).filter(|_| self.shows_ulp)),
            ("mean, LSB", self.mean_lsb),
            ("mean, absolute", self.mean_abs),
            ("SQNR, dB", self.sqnr_db),
            ("KL divergence, mean, nats", self.mean_kl),
            ("KL divergence, largest, nats", self.mean_kl.map(|_| self.most_kl)),
        ] {
            if let Some(x) = x {
                table.row([name.to_owned(), number(x)]);
            }
        }
        for (name, count) in [
            ("elements outside the tolerance", self.over),
            ("elements finite on one side only", Some(self.not_finite).filter(|count| *count > 0)),
            ("rows of infinite KL divergence", self.infinite_kl_rows.filter(|count| *count > 0)),
        ] {
            if let Some(count) = count {
                table.row([name.to_owned(), count.to_string()]);
            }
        }
        let has_both = both.contains("<td");
        let both = if has_both { &both } else { "" };
        format!("<h2>Figures</h2>\n<div class=\"pair\">\n{both}{}</div>\n", table.end())
    }

    /// The histogram.
    fn errors(&self, data: &PageData) -> Result<String, DrawingError> {
        let (bars, labelled, title) = match (&self.lsb_histogram, &data.histogram) {
            (Some(bins), _) => {
                let bars = steps(bins);
                let labelled = bars.iter().position(|(label, _)| label == "0").unwrap_or(0);
                (bars, labelled, "candidate minus reference, LSB")
            }
            (None, Some(histogram)) => {
                (powers(histogram.same, &histogram.bins()), 0, "absolute difference, at least")
            }
            (None, None) => return Ok(String::new()),
        };
        if bars.is_empty() {
            return Ok("<section><h2>Errors</h2>\n<p>No element is finite on both sides.</p>\n</section>\n".to_owned());
        }
        let (labels, counts): (Vec<String>, Vec<f64>) =
            bars.iter().map(|(label, count)| (label.clone(), *count as f64)).unzip();
        let picture = Bars {
            labels: &labels,
            labelled,
            series: &[(&counts, COLOURS[1])],
            x_title: title,
            y_title: "elements",
        };
        let mut table = Table::new("Elements by error", &[title, "elements"]);
        for (label, count) in &bars {
            table.row([escaped(label), count.to_string()]);
        }
        Ok(format!(
            "<section><h2>Errors</h2>\n<p>The numbers of elements are on a logarithmic scale.</p>\n{}</section>\n",
            figure("Histogram of the errors", &picture.counts()?, "", &table.end())
        ))
    }

    /// The reliability diagram.
    fn probabilities(&self, data: &PageData) -> Result<String, DrawingError> {
        let Some(sides) = &data.calibration else { return Ok(String::new()) };
        let points = sides.each_ref().map(|side| {
            side.bins.iter().filter_map(|bin| bin.means()).collect::<Vec<(f64, f64)>>()
        });
        let mut table = Table::new(
            "Rows by their largest probability",
            &[
                "largest probability",
                "rows of the reference",
                "mean probability",
                "right",
                "rows of the candidate",
                "mean probability",
                "right",
            ],
        );
        for place in 0..BINS {
            let bins = sides.each_ref().map(|side| side.bins[place]);
            if bins.iter().all(|bin| bin.rows == 0) {
                continue;
            }
            let end = |end: usize| short(end as f64 / BINS as f64);
            let mut cells = vec![format!("{} to {}", end(place), end(place + 1))];
            for bin in bins {
                cells.push(bin.rows.to_string());
                let means = bin.means().map(|(confidence, right)| [confidence, right]);
                cells.extend(match means {
                    Some(means) => means.map(number),
                    None => [const { String::new() }; 2],
                });
            }
            table.row(cells);
        }
        let errors = sides.each_ref().map(|side| side.error().map_or("-".to_owned(), number));
        let not_finite: usize = sides.iter().map(|side| side.not_finite).sum();
        let left_out = match not_finite {
            0 => String::new(),
            rows => format!(" {rows} rows without a largest probability are left out."),
        };
        Ok(format!(
            "<section><h2>Reliability</h2>\n<p>On the diagonal, rows are right as often as their largest probability says. \
             Expected calibration error over {BINS} bins: {} of the reference, {} of the candidate.{left_out}</p>\n{KEY}{}</section>\n",
            errors[0],
            errors[1],
            figure("Reliability diagram", &reliability(&points)?, "", &table.end())
        ))
    }

    fn changed_predictions(&self, data: &PageData) -> String {
        let Self { compared_rows: rows, changed_rows: changed, .. } = self;
        let said = match changed {
            0 => format!("All {rows} rows are predicted the same."),
            1 => format!("1 of {rows} rows is predicted differently."),
            _ => format!("{changed} of {rows} rows are predicted differently."),
        };
        let table = match &data.same {
            _ if self.changes.is_empty() => String::new(),
            Some(same) => matrix(same, &self.changes),
            None => {
                let caption = format!("The most frequent changes, at most {SHOWN}");
                let mut table = Table::new(&caption, &["reference", "candidate", "rows"]);
                for Change { from, to, rows } in self.changes.iter().take(SHOWN) {
                    table.row([from, to, rows].map(usize::to_string));
                }
                table.end()
            }
        };
        format!("<h2>Predictions</h2>\n<p>{said}</p>\n{table}")
    }

    /// The worst rows.
    fn differing_rows(&self) -> Result<String, DrawingError> {
        if self.worst_rows.is_empty() {
            return Ok("<h2>Worst rows</h2>\n<p>No row differs.</p>\n".to_owned());
        }
        let by = if self.worst_rows_by == "kl" { "KL divergence" } else { "difference" };
        let mut section = format!(
            "<h2>Worst rows</h2>\n<p>The rows of the largest {by}, the worst first. Rows and classes are counted from \
             zero.</p>\n{KEY}<div class=\"rows\">\n"
        );
        for row in &self.worst_rows {
            section.push_str(&self.differing_row(row)?);
        }
        section.push_str("</div>\n");
        Ok(section)
    }

    fn differing_row(&self, row: &WorstRow) -> Result<String, DrawingError> {
        let shown = row.shown();
        let labels: Vec<String> = shown.iter().map(|(class, ..)| class.to_string()).collect();
        let (a, b): (Vec<f64>, Vec<f64>) = shown.iter().map(|&(_, a, b)| (a, b)).unzip();
        let picture = Bars {
            labels: &labels,
            labelled: 0,
            series: &[(&a, COLOURS[0]), (&b, COLOURS[1])],
            x_title: "class",
            y_title: "",
        };
        let caption = format!("Row {}", row.row);
        let mut table = Table::new(&caption, &["class", "reference", "candidate"]);
        for (class, a, b) in &shown {
            table.row([class.to_string(), exactly(*a), exactly(*b)]);
        }
        let kl = row.kl.map_or(String::new(), |kl| format!("KL {}, ", number(kl)));
        let some = match shown.len() {
            count if count < self.classes => format!("; the {count} classes that differ most"),
            _ => String::new(),
        };
        let said = format!("{caption}: {kl}at most {} off{some}", number(row.largest_abs));
        Ok(figure(&caption, &picture.numbers()?, &said, &table.end()))
    }
}

/// Bars for all steps from the first bin to the last; the outermost bins hold everything beyond.
fn steps(bins: &[Bin]) -> Vec<(String, usize)> {
    let (Some(first), Some(last)) = (bins.first(), bins.last()) else { return Vec::new() };
    let bar = |lsb: i64| {
        let elements = bins.iter().find(|bin| bin.lsb == lsb).map_or(0, |bin| bin.elements);
        let label = match lsb {
            _ if lsb <= -Bin::MOST => format!("≤ {lsb}"),
            _ if lsb >= Bin::MOST => format!("≥ {lsb}"),
            _ => lsb.to_string(),
        };
        (label, elements)
    };
    (first.lsb.min(-1)..=last.lsb.max(1)).map(bar).collect()
}

/// Bars for the elements that do not differ, and for powers of two.
fn powers(same: usize, bins: &[(i32, usize)]) -> Vec<(String, usize)> {
    let mut bars = vec![("0".to_owned(), same)];
    let Some(&(last, _)) = bins.last() else { return if same > 0 { bars } else { Vec::new() } };
    let first = last - MOST_POWERS + 1;
    let below: usize =
        bins.iter().filter(|(power, _)| *power < first).map(|(_, count)| count).sum();
    if below > 0 {
        bars.push((format!("< 2^{first}"), below));
    }
    let shown = bins.iter().filter(|(power, _)| *power >= first);
    bars.extend(shown.map(|(power, count)| (format!("2^{power}"), *count)));
    bars
}

/// How many rows one side predicts as a class, and the other as another.
fn matrix(same: &[usize], changes: &[Change]) -> String {
    let most = changes.iter().map(|change| change.rows).max().unwrap_or(1);
    let classes: Vec<String> = (0..same.len()).map(|class| class.to_string()).collect();
    let mut heads = vec![""];
    heads.extend(classes.iter().map(String::as_str));
    let mut table = Table::of_class(
        "matrix",
        "Rows by predicted class: the reference's down, the candidate's across",
        &heads,
    );
    for (from, head) in classes.iter().enumerate() {
        let cells = (0..same.len()).map(|to| {
            let found = changes.iter().find(|change| (change.from, change.to) == (from, to));
            match found {
                _ if from == to => format!("<td class=\"same\">{}</td>", same[from]),
                Some(Change { rows, .. }) => {
                    let share = 15.0 + 65.0 * *rows as f64 / most as f64;
                    format!("<td class=\"changed\" style=\"--share:{share:.0}%\">{rows}</td>")
                }
                None => "<td></td>".to_owned(),
            }
        });
        table.line(format!("<th scope=\"row\">{head}</th>{}", cells.collect::<String>()));
    }
    table.end()
}

/// A chart with its name, a line below it and its numbers.
fn figure(name: &str, picture: &str, said: &str, numbers: &str) -> String {
    let name = escaped(name);
    let said =
        if said.is_empty() { String::new() } else { format!("<figcaption>{said}</figcaption>\n") };
    format!(
        "<figure>\n<div role=\"img\" aria-label=\"{name}\">\n{picture}</div>\n{said}\
         <details><summary>Numbers</summary>\n{numbers}</details>\n</figure>\n"
    )
}

impl Table {
    fn new(caption: &str, heads: &[&str]) -> Self {
        Self::of_class("plain", caption, heads)
    }

    fn of_class(class: &str, caption: &str, heads: &[&str]) -> Self {
        let mut text = format!(
            "<div class=\"scroll\"><table class=\"{class}\">\n<caption>{}</caption>\n",
            escaped(caption)
        );
        if heads.iter().any(|head| !head.is_empty()) {
            let heads =
                heads.iter().map(|head| format!("<th scope=\"col\">{}</th>", escaped(head)));
            let _ = writeln!(text, "<thead><tr>{}</tr></thead>", heads.collect::<String>());
        }
        text.push_str("<tbody>\n");
        Self { text }
    }

    fn row(&mut self, cells: impl IntoIterator<Item = Cell>) {
        let cells = cells.into_iter().map(|cell| format!("<td>{cell}</td>"));
        self.line(cells.collect());
    }

    /// Cells with their tags.
    fn line(&mut self, cells: String) {
        let _ = writeln!(self.text, "<tr>{cells}</tr>");
    }

    fn end(mut self) -> String {
        self.text.push_str("</tbody>\n</table></div>\n");
        self.text
    }
}

/// A number in short, with all of its digits for programs.
fn number(x: f64) -> Cell {
    format!("<data value=\"{x:?}\">{}</data>", short(x))
}

/// A number with six digits.
fn exactly(x: f64) -> Cell {
    format!("<data value=\"{x:?}\">{}</data>", significant(x, 6))
}

fn name(path: &Path) -> String {
    if path == Path::new("-") { "standard input".to_owned() } else { path.display().to_string() }
}

/// Text as HTML; characters that HTML does not have are replaced.
fn escaped(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            _ if character.is_control() => html.push(char::REPLACEMENT_CHARACTER),
            _ => html.push(character),
        }
    }
    html
}
