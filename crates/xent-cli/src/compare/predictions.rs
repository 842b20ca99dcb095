//! What the two sides predict.

use std::cmp::{Ordering, Reverse};
use std::collections::HashMap;

use serde::Serialize;

use super::rows::Row;
use crate::args::LossName;
use crate::judge::{argmax, threshold};

/// How many rows with a different prediction are listed.
const NAMED: usize = 10;
/// The most changes of different classes that are told apart.
const MOST_CHANGES: usize = 1 << 16;

/// Rows that the reference predicts as one class and the candidate as another.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Change {
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) rows: usize,
}

/// Counts of predictions that differ.
#[derive(Clone, Debug)]
pub(super) struct Predictions {
    loss: LossName,
    pub(super) rows: usize,
    pub(super) changed_rows: usize,
    pub(super) first_changed_rows: Vec<usize>,
    changes: HashMap<(usize, usize), usize>,
    /// Changed rows whose classes are not in `changes`.
    pub(super) other_changes: usize,
}

impl Predictions {
    pub(super) fn new(loss: LossName) -> Self {
        Self {
            loss,
            rows: 0,
            changed_rows: 0,
            first_changed_rows: Vec::new(),
            changes: HashMap::new(),
            other_changes: 0,
        }
    }

    pub(super) fn look(&mut self, row: &Row<'_>) {
        self.rows += 1;
        if row.is_same() {
            return;
        }
        let changed = if self.loss.is_of_elements() {
            let least = threshold(self.loss);
            // A NaN is on neither side.
            let side = |x: f64| x.partial_cmp(&least).map(Ordering::is_ge);
            row.compared().any(|(a, b)| side(a) != side(b))
        } else {
            let [from, to] = [row.reference, row.candidate].map(|x| argmax(x.iter().copied()));
            if from != to {
                self.count(from, to);
            }
            from != to
        };
        if changed {
            self.changed_rows += 1;
            if self.first_changed_rows.len() < NAMED {
                self.first_changed_rows.push(row.number);
            }
        }
    }

    fn count(&mut self, from: usize, to: usize) {
        let is_full = self.changes.len() >= MOST_CHANGES;
        match self.changes.get_mut(&(from, to)) {
            Some(rows) => *rows += 1,
            None if is_full => self.other_changes += 1,
            None => {
                self.changes.insert((from, to), 1);
            }
        }
    }

    /// The share of rows that are predicted as in the reference.
    pub(super) fn agreement(&self) -> Option<f64> {
        (self.rows > 0).then(|| (self.rows - self.changed_rows) as f64 / self.rows as f64)
    }

    /// The most frequent first.
    pub(super) fn changes(&self) -> Vec<Change> {
        let changes = self.changes.iter().map(|(&(from, to), &rows)| Change { from, to, rows });
        let mut changes: Vec<Change> = changes.collect();
        changes.sort_by_key(|change| (Reverse(change.rows), change.from, change.to));
        changes
    }
}
