//! The rows that differ most.

use serde::Serialize;

use super::rows::Row;
use super::side::absolute;
use crate::args::LossName;

/// How many rows are kept.
const KEPT: usize = 10;
/// Up to this number of classes, rows are kept whole.
const WHOLE: usize = 1 << 12;
/// The classes that are kept of a longer row, those that differ most; also the most that are printed.
pub(super) const SHOWN: usize = 10;

/// A row of both sides.
#[derive(Clone, Debug, Serialize)]
pub(super) struct WorstRow {
    pub(super) row: usize,
    /// Null if there are no such rows, or if it is infinite.
    pub(super) kl: Option<f64>,
    pub(super) largest_abs: f64,
    /// The classes of the numbers, if they are not all.
    pub(super) classes: Option<Vec<usize>>,
    pub(super) reference: Vec<f64>,
    pub(super) candidate: Vec<f64>,
}

/// The worst rows, and sums over all rows.
#[derive(Clone, Debug)]
pub(super) struct WorstRows {
    /// Rather than by their largest difference.
    pub(super) by_kl: bool,
    /// With what they are ordered by, the largest first.
    worst: Vec<(f64, WorstRow)>,
    sum_kl: f64,
    finite_kl: usize,
    pub(super) infinite_kl: usize,
    pub(super) most_kl: f64,
}

impl WorstRows {
    pub(super) fn new(loss: LossName) -> Self {
        // Log-probabilities are logits, too.
        let by_kl = matches!(
            loss,
            LossName::Softmax
                | LossName::SoftmaxFocal
                | LossName::MultilabelSoftmax
                | LossName::Distillation
                | LossName::Nll
        );
        let (worst, sum_kl, finite_kl, infinite_kl, most_kl) = (Vec::new(), 0.0, 0, 0, 0.0);
        Self { by_kl, worst, sum_kl, finite_kl, infinite_kl, most_kl }
    }

    pub(super) fn look(&mut self, row: &Row<'_>) {
        let kl = if self.by_kl { kl_divergence(row) } else { None };
        if let Some(kl) = kl {
            if kl.is_finite() {
                self.sum_kl += kl;
                self.finite_kl += 1;
            } else {
                self.infinite_kl += 1;
            }
            self.most_kl = self.most_kl.max(kl);
        }
        if row.is_same() {
            return;
        }
        let largest_abs = row.compared().map(|(a, b)| absolute(a, b)).fold(0.0, f64::max);
        // Rows without a distribution differ in where they are not finite.
        let by = if self.by_kl { kl.unwrap_or(largest_abs) } else { largest_abs };
        let least = self.worst.last().map_or(0.0, |(least, _)| *least);
        if by > least || (by > 0.0 && self.worst.len() < KEPT) {
            let place = self.worst.partition_point(|(other, _)| *other >= by);
            self.worst.truncate(KEPT - 1);
            self.worst
                .insert(place.min(self.worst.len()), (by, WorstRow::of(row, kl, largest_abs)));
        }
    }

    /// Over the rows where it is finite.
    pub(super) fn mean_kl(&self) -> Option<f64> {
        (self.finite_kl > 0).then(|| self.sum_kl / self.finite_kl as f64)
    }

    pub(super) fn rows(&self) -> Vec<WorstRow> {
        self.worst.iter().map(|(_, row)| row.clone()).collect()
    }
}

impl WorstRow {
    fn of(row: &Row<'_>, kl: Option<f64>, largest_abs: f64) -> Self {
        let (a, b) = (row.reference, row.candidate);
        let is_whole = a.len() <= WHOLE;
        let classes = (!is_whole).then(|| most_different(a, b));
        let of = |x: &[f64]| match &classes {
            Some(classes) => classes.iter().map(|&class| x[class]).collect(),
            None => x.to_vec(),
        };
        let (reference, candidate) = (of(a), of(b));
        Self { row: row.number, kl, largest_abs, classes, reference, candidate }
    }

    /// At most ten classes with the numbers of both sides.
    pub(super) fn shown(&self) -> Vec<(usize, f64, f64)> {
        let (a, b) = (&self.reference, &self.candidate);
        let places: Vec<usize> =
            if a.len() > SHOWN { most_different(a, b) } else { (0..a.len()).collect() };
        let class = |place: usize| self.classes.as_ref().map_or(place, |classes| classes[place]);
        places.into_iter().map(|place| (class(place), a[place], b[place])).collect()
    }
}

/// The places of the largest differences, in order.
fn most_different(a: &[f64], b: &[f64]) -> Vec<usize> {
    let mut places: Vec<usize> = (0..a.len()).collect();
    let distance = |place: usize| absolute(a[place], b[place]);
    let by_distance = |&i: &usize, &j: &usize| distance(j).total_cmp(&distance(i)).then(i.cmp(&j));
    if places.len() > SHOWN {
        places.select_nth_unstable_by(SHOWN, by_distance);
        places.truncate(SHOWN);
    }
    places.sort_unstable();
    places
}

/// The divergence of the candidate's softmax from the reference's, in nats. None if the reference has none; infinite
/// if only the candidate has none.
fn kl_divergence(row: &Row<'_>) -> Option<f64> {
    // A NaN makes the sums NaN.
    let largest = |x: &[f64]| x.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let [of_reference, of_candidate] = [row.reference, row.candidate].map(largest);
    let (mut sum_of_reference, mut sum_of_candidate, mut sum) = (0.0, 0.0, 0.0);
    for (a, b) in row.reference.iter().zip(row.candidate) {
        let (a, b) = (a - of_reference, b - of_candidate);
        let p = a.exp();
        sum_of_reference += p;
        sum_of_candidate += b.exp();
        sum += if p == 0.0 { 0.0 } else { p * (a - b) };
    }
    if !sum_of_reference.is_finite() {
        return None;
    }
    let kl = sum / sum_of_reference + (sum_of_candidate / sum_of_reference).ln();
    // Rounding could make it negative.
    Some(if kl.is_nan() { f64::INFINITY } else { kl.max(0.0) })
}
