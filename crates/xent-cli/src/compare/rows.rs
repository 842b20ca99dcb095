//! The rows of both sides, one after another, whatever the class axis.

use super::counted::Counted;
use crate::layout::Layout;

/// A row of both sides, in the order of the classes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row<'a> {
    /// Counted from the first row of the array.
    pub(super) number: usize,
    pub(super) reference: &'a [f64],
    pub(super) candidate: &'a [f64],
    /// Which of its elements are compared.
    counted: &'a [bool],
}

/// Space for a row whose elements are not next to one another.
#[derive(Debug, Default)]
pub(super) struct Rows {
    reference: Vec<f64>,
    candidate: Vec<f64>,
    counted: Vec<bool>,
}

impl Row<'_> {
    /// The elements of both sides that are compared.
    pub(super) fn compared(&self) -> impl Iterator<Item = (f64, f64)> {
        let both = self.reference.iter().copied().zip(self.candidate.iter().copied());
        both.zip(self.counted).filter(|(_, counts)| **counts).map(|(both, _)| both)
    }

    /// Whether all of its elements are compared.
    pub(super) fn is_whole(&self) -> bool {
        !self.counted.contains(&false)
    }

    /// Whether no element differs.
    pub(super) fn is_same(&self) -> bool {
        self.reference == self.candidate
    }
}

impl Rows {
    /// Hands out each row of a part that is compared; the part starts with that row.
    pub(super) fn each(
        &mut self,
        a: &[f64],
        b: &[f64],
        first_row: usize,
        layout: &Layout,
        counted: &Counted<'_>,
        mut look: impl FnMut(Row<'_>),
    ) {
        let Layout { classes, inner, .. } = *layout;
        for row in (0..counted.rows.len()).filter(|&row| counted.rows[row]) {
            let number = first_row + row;
            if inner == 1 {
                let at = row * classes..(row + 1) * classes;
                look(Row {
                    number,
                    reference: &a[at.clone()],
                    candidate: &b[at.clone()],
                    counted: &counted.elements[at],
                });
                continue;
            }
            let first = row / inner * inner * classes + row % inner;
            let places = (first..).step_by(inner).take(classes);
            self.reference.clear();
            self.reference.extend(places.clone().map(|place| a[place]));
            self.candidate.clear();
            self.candidate.extend(places.clone().map(|place| b[place]));
            self.counted.clear();
            self.counted.extend(places.map(|place| counted.elements[place]));
            look(Row {
                number,
                reference: &self.reference,
                candidate: &self.candidate,
                counted: &self.counted,
            });
        }
    }
}
