//! Simple causes that explain a difference: each is undone, and named if little of the difference remains.
//!
//! Sums over all elements and rows are gathered in the pass that compares; whatever needs the numbers again, such as
//! an order of rows, works on a [sample](sample::Sample) of the first rows.

mod fit;
mod integers;
mod order;
mod probabilities;
mod sample;
mod storage;
mod transform;
mod votes;

use serde::Serialize;

use super::rows::Row;
use super::side::{Side, Steps};
use crate::number::short;
use fit::Sums;
use integers::StepCounts;
use probabilities::RowCounts;
use sample::Sample;

/// A cause, and what speaks for it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Cause {
    pub(super) name: &'static str,
    pub(super) evidence: String,
}

impl Cause {
    fn new(name: &'static str, evidence: String) -> Self {
        Self { name, evidence }
    }
}

/// What is known about the difference.
#[derive(Debug)]
pub(super) struct Diagnosis {
    reference: Side,
    candidate: Side,
    sums: Sums,
    /// None if the candidate has no scale.
    steps: Option<StepCounts>,
    rows: RowCounts,
    sample: Sample,
}

impl Diagnosis {
    pub(super) fn new(reference: Side, candidate: Side, classes: usize) -> Self {
        let [of_reference, of_candidate] =
            [reference, candidate].map(|side| side.integers.map_or(0.0, |it| it.scale()));
        Self {
            reference,
            candidate,
            sums: Sums::default(),
            steps: Steps::of(reference, candidate).map(StepCounts::new),
            rows: RowCounts::new(classes, of_reference, of_candidate),
            sample: Sample::new(classes),
        }
    }

    /// Counts an element that is compared.
    pub(super) fn element(&mut self, a: f64, b: f64) {
        if a.is_finite() && b.is_finite() {
            if !fit::is_at_end(self.candidate, b) {
                self.sums.add(a, b);
            }
            if let Some(steps) = &mut self.steps {
                steps.add(a, b);
            }
        }
    }

    /// Counts a row, unless some of it is not compared.
    pub(super) fn row(&mut self, row: &Row<'_>) {
        if row.is_whole() {
            self.rows.add(row);
            self.sample.add(row);
        }
    }

    /// The causes that explain the difference.
    pub(super) fn causes(&self) -> Vec<Cause> {
        let votes = votes::votes(&self.sample, self.candidate);
        let sums = self.rows.sums().filter(|_| votes.is_none());
        // Neither votes nor a row that sums to two are a wrong scale.
        let is_special = votes.is_some() || sums.is_some();
        let of_all = if is_special { None } else { self.of_all_numbers() };
        // Any byte in the wrong place may make a NaN.
        let has_swapped_bytes = of_all.as_ref().is_some_and(|cause| cause.name == storage::NAME);
        let mut causes =
            if has_swapped_bytes { Vec::new() } else { self.rows.not_finite_or_zero() };
        // Numbers of another kind or order are also beyond the ends of the type.
        if !is_special && of_all.is_none() {
            causes.extend(self.steps.iter().flat_map(StepCounts::causes));
        }
        causes.extend(sums);
        causes.extend(of_all);
        causes.extend(votes);
        causes
    }

    /// One cause that explains all numbers, the simplest first.
    fn of_all_numbers(&self) -> Option<Cause> {
        let measure = self.sample.measure(self.candidate.integers.map(|it| it.scale()));
        if !measure.differs() {
            return None;
        }
        let (sample, candidate) = (&self.sample, self.candidate);
        let fitted = self.sums.cause(sample, candidate, &measure);
        // Two classes whose logits have opposite signs are more likely in the wrong order than negated.
        let (first, last) = match fitted {
            Some(fit) if fit.is_negative => (None, Some(fit.cause)),
            fit => (fit.map(|fit| fit.cause), None),
        };
        first
            .or_else(|| transform::of_logits(sample, &measure))
            .or_else(|| transform::temperature(sample, candidate, &measure))
            .or_else(|| storage::byte_order(sample, self.reference, candidate, &measure))
            .or_else(|| order::shifted_rows(sample, &measure))
            .or_else(|| order::permuted_classes(sample, &measure))
            .or_else(|| order::permuted_rows(sample, &measure))
            .or(last)
    }
}

/// As a percentage.
fn percent(part: usize, all: usize) -> String {
    format!("{} %", short(100.0 * part as f64 / all.max(1) as f64))
}
