//! The first rows, and how much of their difference an explanation leaves.

use super::super::rows::Row;
use super::short;

/// The most rows of a sample.
const ROWS: usize = 1 << 12;
/// The most elements of a side.
const ELEMENTS: usize = 1 << 20;

/// The first rows that are compared and have no NaN.
#[derive(Clone, Debug)]
pub(super) struct Sample {
    pub(super) classes: usize,
    /// The numbers of the rows in the array, in order.
    pub(super) numbers: Vec<usize>,
    pub(super) a: Vec<f64>,
    pub(super) b: Vec<f64>,
    /// Whether there were more rows.
    is_full: bool,
}

impl Sample {
    pub(super) fn new(classes: usize) -> Self {
        let (numbers, a, b) = Default::default();
        Self { classes, numbers, a, b, is_full: false }
    }

    pub(super) fn add(&mut self, row: &Row<'_>) {
        let is_full = self.numbers.len() == ROWS || self.a.len() + self.classes > ELEMENTS;
        self.is_full |= is_full;
        let has_nan = || row.reference.iter().chain(row.candidate).any(|x| x.is_nan());
        if !is_full && !has_nan() {
            self.numbers.push(row.number);
            self.a.extend(row.reference);
            self.b.extend(row.candidate);
        }
    }

    pub(super) fn rows(&self) -> usize {
        self.numbers.len()
    }

    /// Whether it has all rows.
    pub(super) fn is_everything(&self) -> bool {
        !self.is_full
    }

    pub(super) fn row_of_reference(&self, row: usize) -> &[f64] {
        &self.a[row * self.classes..(row + 1) * self.classes]
    }

    pub(super) fn row_of_candidate(&self, row: usize) -> &[f64] {
        &self.b[row * self.classes..(row + 1) * self.classes]
    }

    pub(super) fn pairs(&self) -> impl Iterator<Item = (f64, f64)> + Clone {
        self.a.iter().copied().zip(self.b.iter().copied())
    }

    /// The difference that is to be explained; `step` is that of the candidate's integers.
    pub(super) fn measure(&self, step: Option<f64>) -> Measure {
        let finite = self.pairs().filter(|(a, b)| a.is_finite() && b.is_finite());
        let before = finite.clone().collect();
        let [spread_of_reference, spread_of_candidate] =
            [spread(finite.clone().map(|(a, _)| a)), spread(finite.map(|(_, b)| b))];
        Measure { before, spread_of_reference, spread_of_candidate, step }
    }
}

/// The mean square of the distances from the mean.
fn spread(numbers: impl Iterator<Item = f64> + Clone) -> f64 {
    let count = numbers.clone().count().max(1) as f64;
    let mean = numbers.clone().sum::<f64>() / count;
    numbers.map(|x| (x - mean) * (x - mean)).sum::<f64>() / count
}

/// The differences of some pairs.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Rest {
    pairs: usize,
    pub(super) squares: f64,
    pub(super) largest: f64,
}

impl Rest {
    pub(super) fn add(&mut self, a: f64, b: f64) {
        let difference = if a == b { 0.0 } else { (a - b).abs() };
        self.pairs += 1;
        // One that is not finite explains nothing.
        self.squares += if difference.is_nan() { f64::INFINITY } else { difference * difference };
        self.largest = self.largest.max(difference);
    }

    fn mean_square(self) -> f64 {
        self.squares / self.pairs.max(1) as f64
    }

    /// From one to the other, in words.
    pub(super) fn fall(before: Self, after: Self) -> String {
        let [from, to] = [before, after].map(|rest| short(rest.mean_square().sqrt()));
        format!("undone, the root mean square difference falls from {from} to {to}")
    }
}

impl FromIterator<(f64, f64)> for Rest {
    fn from_iter<I: IntoIterator<Item = (f64, f64)>>(pairs: I) -> Self {
        let mut rest = Self::default();
        pairs.into_iter().for_each(|(a, b)| rest.add(a, b));
        rest
    }
}

/// What an explanation is measured by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Measure {
    before: Rest,
    /// How far the numbers are from their mean: to come closer than that takes more than the right size.
    spread_of_reference: f64,
    spread_of_candidate: f64,
    step: Option<f64>,
}

/// Fewer pairs fit something by chance.
const FEWEST: usize = 8;
/// Squares that fall by this much are those of differences that fall by ten.
pub(super) const EXPLAINED: f64 = 100.0;
/// Where only the rounding to whole steps remains, they fall by this at least.
const TO_ROUNDING: f64 = 4.0;

impl Measure {
    pub(super) fn differs(&self) -> bool {
        self.before.squares > 0.0
    }

    /// Whether the difference that remains, in the candidate's units, is ten times smaller, or only that of rounding
    /// to a step.
    pub(super) fn explains(&self, after: Rest) -> bool {
        self.explains_many(after, self.before)
    }

    /// Whether it explains this difference, of enough pairs.
    pub(super) fn explains_many(&self, after: Rest, before: Rest) -> bool {
        after.pairs >= FEWEST && self.explains_part(after, before)
    }

    /// Whether it explains the difference of some of the pairs.
    pub(super) fn explains_part(&self, after: Rest, before: Rest) -> bool {
        let (left, most) =
            (after.mean_square(), before.mean_square().min(self.spread_of_candidate));
        let half = self.step.map(|step| 0.5 * step * (1.0 + 1e-6));
        let is_rounding = half.is_some_and(|half| after.largest <= half);
        left < f64::INFINITY
            && most > 0.0
            && (left <= most / EXPLAINED || is_rounding && left <= most / TO_ROUNDING)
    }

    /// Whether the difference that remains, in the reference's units, is ten times smaller.
    pub(super) fn explains_reference(&self, after: Rest) -> bool {
        let most = self.before.mean_square().min(self.spread_of_reference);
        after.pairs >= FEWEST && most > 0.0 && after.mean_square() <= most / EXPLAINED
    }

    /// How much it explains, in words.
    pub(super) fn fall(&self, after: Rest) -> String {
        Rest::fall(self.before, after)
    }
}
