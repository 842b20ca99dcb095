//! The result of a comparison, as text or JSON.

mod charts;
mod page;

use std::fmt;

use serde::Serialize;

use super::Pass;
use super::causes::Cause;
use super::differences::{Bin, Worst};
use super::predictions::Change;
use super::side::{Formats, Side};
use super::tolerance::{Check, Tolerance};
use super::worst_rows::{SHOWN, WorstRow};
use crate::failure::Failure;
use crate::layout::{ClassAxis, Layout};
use crate::number::{Scale, short, significant};
use crate::printed::print;
use crate::summary::Summary;

/// A value of each side.
#[derive(Clone, Copy, Debug, Serialize)]
struct Both<T> {
    reference: T,
    candidate: T,
}

/// The result of `xent compare`.
#[derive(Debug, Serialize)]
pub(super) struct Comparison {
    elements: usize,
    rows: usize,
    classes: usize,
    #[serde(flatten)]
    class_axis: ClassAxis,
    formats: Formats,
    /// Null for numbers that were no integers.
    quantisation: Both<Option<Scale>>,
    /// Elements that are neither ignored nor of weight zero; all fields below are about these.
    compared: usize,
    compared_rows: usize,
    same_bits: bool,
    /// Elements that are finite on one side only.
    not_finite: usize,
    worst_ulp: Option<Worst>,
    worst_abs: Option<Worst>,
    worst_rel: Option<Worst>,
    /// In steps of the candidate's scale; null without one.
    worst_lsb: Option<Worst>,
    /// Means over the elements that are finite on both sides.
    mean_abs: Option<f64>,
    mean_lsb: Option<f64>,
    lsb_histogram: Option<Vec<Bin>>,
    sqnr_db: Option<f64>,
    /// Elements outside the tolerance, and their share; null without a tolerance of elements.
    over: Option<usize>,
    over_share: Option<f64>,
    reference_loss: Option<f64>,
    candidate_loss: Option<f64>,
    reference_accuracy: Option<f64>,
    candidate_accuracy: Option<f64>,
    top_k: Option<usize>,
    reference_top_k_accuracy: Option<f64>,
    candidate_top_k_accuracy: Option<f64>,
    reference_binary_accuracy: Option<f64>,
    candidate_binary_accuracy: Option<f64>,
    /// The share of rows with the same prediction.
    agreement: Option<f64>,
    /// Rows with a different prediction.
    changed_rows: usize,
    first_changed_rows: Vec<usize>,
    changes: Vec<Change>,
    /// Changed rows beyond the largest number of changes that are told apart.
    other_changes: usize,
    /// Over the rows where it is finite; null for losses without a softmax.
    mean_kl: Option<f64>,
    infinite_kl_rows: Option<usize>,
    worst_rows_by: &'static str,
    worst_rows: Vec<WorstRow>,
    causes: Vec<Cause>,
    /// The options of the tolerances that do not hold.
    exceeded: Vec<&'static str>,
    /// Null without a tolerance.
    within: Option<bool>,
    #[serde(skip)]
    shows_ulp: bool,
    #[serde(skip)]
    most_kl: f64,
    #[serde(skip)]
    checks: Vec<Check>,
}

impl Comparison {
    pub(super) fn new(
        class_axis: ClassAxis,
        layout: &Layout,
        [reference, candidate]: [Side; 2],
        tolerance: Tolerance,
        pass: Pass,
        losses: Option<[Summary; 2]>,
        checks: Vec<Check>,
    ) -> Self {
        let Pass { differences, predictions, worst_rows, diagnosis, .. } = pass;
        let exceeded: Vec<&'static str> =
            checks.iter().filter(|check| !check.holds).map(|check| check.option).collect();
        let of_losses = |of: fn(&Summary) -> Option<f64>| match &losses {
            Some([a, b]) => [of(a), of(b)],
            None => [None; 2],
        };
        let [reference_loss, candidate_loss] = of_losses(|summary| summary.loss);
        let [reference_accuracy, candidate_accuracy] = of_losses(|summary| summary.accuracy);
        let [reference_top_k_accuracy, candidate_top_k_accuracy] =
            of_losses(|summary| summary.top_k_accuracy);
        let [reference_binary_accuracy, candidate_binary_accuracy] =
            of_losses(|summary| summary.binary_accuracy);
        let over = tolerance.is_of_elements().then_some(differences.over);
        Self {
            elements: layout.rows() * layout.classes,
            rows: layout.rows(),
            classes: layout.classes,
            class_axis,
            formats: Formats::of(reference.format, candidate.format),
            quantisation: Both { reference: reference.scale(), candidate: candidate.scale() },
            compared: differences.compared,
            compared_rows: predictions.rows,
            same_bits: differences.same_bits,
            not_finite: differences.not_finite,
            worst_ulp: differences.worst_ulp,
            worst_abs: differences.worst_abs,
            worst_rel: differences.worst_rel,
            worst_lsb: differences.worst_lsb,
            mean_abs: differences.mean_abs(),
            mean_lsb: differences.mean_lsb(),
            lsb_histogram: differences.bins(),
            sqnr_db: differences.sqnr_db(),
            over,
            over_share: over.map(|over| over as f64 / differences.compared.max(1) as f64),
            reference_loss,
            candidate_loss,
            reference_accuracy,
            candidate_accuracy,
            top_k: losses.as_ref().and_then(|[summary, _]| summary.top_k),
            reference_top_k_accuracy,
            candidate_top_k_accuracy,
            reference_binary_accuracy,
            candidate_binary_accuracy,
            agreement: predictions.agreement(),
            changed_rows: predictions.changed_rows,
            first_changed_rows: predictions.first_changed_rows.clone(),
            changes: predictions.changes(),
            other_changes: predictions.other_changes,
            mean_kl: worst_rows.mean_kl(),
            infinite_kl_rows: worst_rows.by_kl.then_some(worst_rows.infinite_kl),
            worst_rows_by: if worst_rows.by_kl { "kl" } else { "abs" },
            worst_rows: worst_rows.rows(),
            causes: diagnosis.causes(),
            within: tolerance.is_given().then_some(exceeded.is_empty()),
            exceeded,
            shows_ulp: tolerance.is_in_ulp() || differences.steps.is_none(),
            most_kl: worst_rows.most_kl,
            checks,
        }
    }

    pub(super) fn print(&self, json: bool) -> Result<(), Failure> {
        if json {
            // A float that JSON cannot represent is null.
            return print(&format!("{}\n", serde_json::to_string(self).unwrap_or_default()));
        }
        self.class_axis.tell();
        print(&self.to_string())
    }

    fn write_numbers(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { elements, rows, classes, compared, .. } = self;
        write!(f, "elements    {elements} ({rows} rows of {classes} classes)")?;
        if compared == elements {
            writeln!(f)?;
        } else {
            writeln!(f, ", {compared} of them compared")?;
        }
        let Formats { reference, candidate, ulp } = self.formats;
        if reference == candidate {
            writeln!(f, "format      {ulp}")?;
        } else {
            writeln!(f, "format      {candidate} instead of {reference}, ULP of {ulp}")?;
        }
        let Both { reference, candidate } = self.quantisation;
        for (side, scale) in [("reference", reference), ("candidate", candidate)] {
            if let Some(scale) = scale {
                writeln!(f, "integers    of the {side}: {scale}")?;
            }
        }
        for (name, worst) in [
            ("worst, ULP", self.worst_ulp.filter(|_| self.shows_ulp)),
            ("worst, LSB", self.worst_lsb),
            ("worst, abs", self.worst_abs),
            ("worst, rel", self.worst_rel),
        ] {
            if let Some(Worst { element, reference, candidate, distance }) = worst {
                let [candidate, reference] =
                    [candidate, reference].map(|number| self.formats.show(number));
                writeln!(
                    f,
                    "{name}  {distance} (element {element}: {candidate} instead of {reference})"
                )?;
            }
        }
        if let Some(mean) = self.mean_lsb {
            writeln!(f, "mean, LSB   {}", short(mean))?;
        }
        if let Some(mean) = self.mean_abs {
            writeln!(f, "mean, abs   {}", short(mean))?;
        }
        if let Some(bins) = &self.lsb_histogram {
            self.write_steps(f, bins)?;
        }
        if let Some(sqnr) = self.sqnr_db {
            writeln!(f, "SQNR        {sqnr:.2} dB")?;
        }
        if self.not_finite > 0 {
            writeln!(f, "not finite  {} elements on one side only", self.not_finite)?;
        }
        if self.same_bits {
            writeln!(f, "bits        all the same")?;
        }
        if let (Some(over), Some(share)) = (self.over, self.over_share) {
            writeln!(f, "too far     {over} elements ({:.4} %)", 100.0 * share)?;
        }
        Ok(())
    }

    /// The shares of elements at the same integer, one step off and further.
    fn write_steps(&self, f: &mut fmt::Formatter<'_>, bins: &[Bin]) -> fmt::Result {
        let share = |is_in: fn(u64) -> bool| {
            let of_bins = bins.iter().filter(|bin| is_in(bin.lsb.unsigned_abs()));
            100.0 * of_bins.map(|bin| bin.elements).sum::<usize>() as f64 / self.compared as f64
        };
        writeln!(
            f,
            "in LSB      {:.4} % at 0, {:.4} % one off, {:.4} % further",
            share(|lsb| lsb == 0),
            share(|lsb| lsb == 1),
            share(|lsb| lsb > 1)
        )
    }

    fn write_predictions(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let (Some(reference), Some(candidate)) = (self.reference_loss, self.candidate_loss) {
            writeln!(f, "loss        {candidate} instead of {reference}")?;
        }
        let top = self.top_k.map_or(String::new(), |k| format!("top {k}"));
        for (name, reference, candidate, of) in [
            ("accuracy", self.reference_accuracy, self.candidate_accuracy, ""),
            (&top[..], self.reference_top_k_accuracy, self.candidate_top_k_accuracy, ""),
            (
                "accuracy",
                self.reference_binary_accuracy,
                self.candidate_binary_accuracy,
                " of the elements",
            ),
        ] {
            if let (Some(reference), Some(candidate)) = (reference, candidate) {
                writeln!(f, "{name:<11} {candidate:.4} instead of {reference:.4}{of}")?;
            }
        }
        match (self.changed_rows, &self.first_changed_rows[..]) {
            (0, _) => writeln!(f, "predicted   the same in all rows")?,
            (changed, first) => {
                let dots = if changed > first.len() { ", ..." } else { "" };
                let first: Vec<_> = first.iter().map(usize::to_string).collect();
                let s = if changed == 1 { "" } else { "s" };
                let first = first.join(", ");
                writeln!(f, "predicted   differently in {changed} row{s}: {first}{dots}")?;
                let agreement = 100.0 * self.agreement.unwrap_or(0.0);
                writeln!(f, "agreement   {agreement:.4} % of the rows")?;
            }
        }
        for Change { from, to, rows } in self.changes.iter().take(SHOWN) {
            let s = if *rows == 1 { "" } else { "s" };
            writeln!(f, "changed     class {from} became {to} in {rows} row{s}")?;
        }
        Ok(())
    }

    fn write_rows(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(mean) = self.mean_kl {
            let [mean, most] = [mean, self.most_kl].map(short);
            write!(f, "KL          {mean} nats on average, at most {most}")?;
            match self.infinite_kl_rows {
                Some(rows) if rows > 0 => writeln!(f, ", infinite in {rows} rows")?,
                _ => writeln!(f)?,
            }
        }
        // Within a tolerance they are of little interest.
        if self.within == Some(true) {
            return Ok(());
        }
        for row in &self.worst_rows {
            let kl = match row.kl {
                Some(kl) => format!("KL {}, ", short(kl)),
                None => String::new(),
            };
            writeln!(f, "worst row   {} ({kl}at most {} off)", row.row, short(row.largest_abs))?;
            let shown = row.shown();
            let name_classes = shown.len() < self.classes;
            let list = |of: fn(&(usize, f64, f64)) -> f64| {
                let numbers = shown.iter().map(|number| {
                    let class =
                        if name_classes { format!("{}: ", number.0) } else { String::new() };
                    format!("{class}{}", significant(of(number), 6))
                });
                numbers.collect::<Vec<_>>().join("  ")
            };
            writeln!(f, "  reference {}", list(|number| number.1))?;
            writeln!(f, "  candidate {}", list(|number| number.2))?;
        }
        Ok(())
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write_numbers(f)?;
        self.write_predictions(f)?;
        self.write_rows(f)?;
        for Cause { name, evidence } in &self.causes {
            writeln!(f, "cause       {name}: {evidence}")?;
        }
        match self.within {
            Some(true) => writeln!(f, "within the tolerance"),
            Some(false) => writeln!(f, "OUTSIDE the tolerance: {}", self.exceeded.join(", ")),
            None => writeln!(
                f,
                "no tolerance given: --max-abs, --max-rel, --max-ulp, --max-lsb, --max-changed and \
                 --max-loss-difference set one"
            ),
        }
    }
}
