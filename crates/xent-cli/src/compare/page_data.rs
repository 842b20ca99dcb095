//! What only the page shows, gathered in the pass over both arrays.

use super::calibration::Calibration;
use super::histogram::Histogram;
use super::rows::Row;
use super::side::Steps;
use crate::args::LossName;
use crate::judge::argmax;

/// Up to this number of classes the changed predictions are a matrix.
const MATRIX: usize = 20;

/// Counts that take no more memory for more rows.
#[derive(Clone, Debug)]
pub(super) struct PageData {
    /// None if the differences are counted in steps.
    pub(super) histogram: Option<Histogram>,
    /// Of the reference and the candidate; None unless each row has a label and probabilities.
    pub(super) calibration: Option<[Calibration; 2]>,
    /// For each class the rows that both sides predict as that; None if there are many classes, or no classes.
    pub(super) same: Option<Vec<usize>>,
}

impl PageData {
    pub(super) fn new(
        loss: LossName,
        classes: usize,
        has_labels: bool,
        steps: Option<Steps>,
    ) -> Self {
        let has_matrix = classes <= MATRIX && !loss.is_of_elements();
        Self {
            histogram: steps.is_none().then(Histogram::new),
            calibration: Calibration::of(loss)
                .filter(|_| has_labels)
                .map(|side| [side.clone(), side]),
            same: has_matrix.then(|| vec![0; classes]),
        }
    }

    pub(super) fn element(&mut self, a: f64, b: f64) {
        if let Some(histogram) = &mut self.histogram {
            histogram.look(a, b);
        }
    }

    pub(super) fn row(&mut self, row: &Row<'_>, label: Option<i64>, weight: f64) {
        if let (Some(sides), Some(label)) = (&mut self.calibration, label) {
            for (side, x) in sides.iter_mut().zip([row.reference, row.candidate]) {
                side.look(x, label, weight);
            }
        }
        if let Some(same) = &mut self.same {
            let [from, to] = [row.reference, row.candidate].map(|x| argmax(x.iter().copied()));
            same[from] += usize::from(from == to);
        }
    }
}
