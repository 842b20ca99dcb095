//! Rows that are no probabilities, although those of the reference are, or no numbers.

use super::super::rows::Row;
use super::sample::{EXPLAINED, Rest};
use super::{Cause, short};

/// How far the sum of the reference's row may be from one, apart from rounding.
const NEAR: f64 = 0.01;
/// How far the candidate's must be.
const FAR: f64 = 0.05;

/// Logits that are all zero by chance are fewer.
const FEWEST_LOGITS: usize = 4;

/// Rows of one kind.
#[derive(Clone, Copy, Debug, Default)]
struct Found {
    rows: usize,
    first: Option<usize>,
}

impl Found {
    fn add(&mut self, row: usize) {
        self.rows += 1;
        self.first = self.first.or(Some(row));
    }
}

/// Counts over all rows.
#[derive(Clone, Debug)]
pub(super) struct RowCounts {
    /// What rounding to steps can add to the sum of a row.
    rounding_of_reference: f64,
    rounding_of_candidate: f64,
    step: f64,
    rows: usize,
    /// Rows of the candidate with a NaN, or of zeros, where the reference has none.
    nan: Found,
    zero: Found,
    /// Rows whose sum should be about one, and is not.
    off: Found,
    near_two: usize,
    smallest_sum: f64,
    largest_sum: f64,
    before: Rest,
    divided: Rest,
}

impl RowCounts {
    /// The steps are zero where there are none.
    pub(super) fn new(classes: usize, step_of_reference: f64, step_of_candidate: f64) -> Self {
        let of_row = |step: f64| classes as f64 * step / 2.0;
        Self {
            rounding_of_reference: of_row(step_of_reference),
            rounding_of_candidate: of_row(step_of_candidate),
            step: step_of_candidate,
            rows: 0,
            nan: Found::default(),
            zero: Found::default(),
            off: Found::default(),
            near_two: 0,
            smallest_sum: f64::INFINITY,
            largest_sum: f64::NEG_INFINITY,
            before: Rest::default(),
            divided: Rest::default(),
        }
    }

    pub(super) fn add(&mut self, row: &Row<'_>) {
        self.rows += 1;
        let (a, b) = (row.reference, row.candidate);
        let is_any = |x: &[f64], test: fn(&f64) -> bool| x.iter().any(test);
        if is_any(b, |x| x.is_nan()) {
            if !is_any(a, |x| x.is_nan()) {
                self.nan.add(row.number);
            }
            return;
        }
        let are_positive = |x: &[f64]| x.iter().all(|x| *x >= 0.0 && x.is_finite());
        let sum_of = |x: &[f64]| x.iter().sum::<f64>();
        let is_one = a.len() > 1
            && are_positive(a)
            && (sum_of(a) - 1.0).abs() <= NEAR + self.rounding_of_reference;
        if !is_any(b, |x| *x != 0.0) {
            if is_one || (a.len() >= FEWEST_LOGITS && is_any(a, |x| *x != 0.0)) {
                self.zero.add(row.number);
            }
            return;
        }
        if !are_positive(b) {
            return;
        }
        let sum = sum_of(b);
        let near = FAR + self.rounding_of_candidate;
        if is_one && (sum - 1.0).abs() > near {
            self.off.add(row.number);
            self.near_two += usize::from((sum - 2.0).abs() <= near);
            self.smallest_sum = self.smallest_sum.min(sum);
            self.largest_sum = self.largest_sum.max(sum);
            for (&a, &b) in a.iter().zip(b) {
                self.before.add(a, b);
                self.divided.add(a, b / sum);
            }
        }
    }

    pub(super) fn not_finite_or_zero(&self) -> Vec<Cause> {
        let mut causes = Vec::new();
        let all = self.rows;
        if let Found { rows, first: Some(first) } = self.nan {
            let evidence = format!(
                "{rows} of {all} rows of the candidate have a NaN where the reference has none, the first is row \
                 {first}: a softmax that does not subtract the largest input overflows, for example at a scale \
                 of 1 or more"
            );
            causes.push(Cause::new("nan_rows", evidence));
        }
        if let Found { rows, first: Some(first) } = self.zero {
            let evidence = format!(
                "{rows} of {all} rows of the candidate are all zero where the reference's are not, the first is \
                 row {first}: such a row says nothing; compare the logits"
            );
            causes.push(Cause::new("zero_rows", evidence));
        }
        causes
    }

    /// Rows whose sum explains their difference.
    pub(super) fn sums(&self) -> Option<Cause> {
        let Found { rows, first: Some(first) } = self.off else { return None };
        let is_rounding = self.step > 0.0 && self.divided.largest <= 0.5 * self.step;
        if self.divided.squares > self.before.squares / EXPLAINED && !is_rounding {
            return None;
        }
        let all = self.rows;
        let (name, sum, why) = if self.near_two == rows {
            ("doubled_rows", "2".to_owned(), "an integer of 16 bits wrapped in the softmax")
        } else {
            let [least, most] = [self.smallest_sum, self.largest_sum].map(short);
            let sum = if least == most { least } else { format!("{least} to {most}") };
            ("row_sums", sum, "its softmax divides by too small or too large a sum")
        };
        let evidence = format!(
            "{rows} of {all} rows of probabilities sum to {sum} instead of 1, the first is row {first}: {why}; \
             divided by their sum they differ from the reference by at most {} instead of {}",
            short(self.divided.largest),
            short(self.before.largest)
        );
        Some(Cause::new(name, evidence))
    }
}
