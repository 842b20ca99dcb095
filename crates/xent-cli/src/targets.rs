//! The targets, read in parts.

use xent::Targets;

use crate::args::LossName;
use crate::array::Array;
use crate::failure::Failure;
use crate::layout::{Layout, is_for_each_input, same_but_for_ones};
use crate::number::{Format, Number};

/// A file of targets.
pub(crate) struct TargetFile<'a, F> {
    array: &'a mut Array,
    kind: TargetKind,
    floats: Vec<F>,
    integers: Vec<i64>,
}

/// The kind of targets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TargetKind {
    Index,
    Dense,
    MultiHot,
    Teacher,
}

impl TargetKind {
    /// One number for each input if the targets have the input's shape, one label for each row if they have the
    /// shape of the rows. Axes of length one do not matter.
    pub(crate) fn of(
        targets: &Array,
        layout: &Layout,
        loss: LossName,
        ignores: bool,
    ) -> Result<Self, Failure> {
        let integers = targets.format() == Format::Integer;
        let fail = |reason: String| Err(Failure::file(targets.path(), reason));
        let (shape, rows) = (&layout.shape, layout.rows_shape());
        let found = targets.shape();
        if loss.is_of_elements() && same_but_for_ones(found, shape) {
            // An ignored value is not a number between zero and one.
            return Ok(if integers || ignores { Self::MultiHot } else { Self::Dense });
        }
        if loss.is_of_elements() || loss == LossName::Distillation {
            return if !same_but_for_ones(found, shape) {
                fail(format!("expected a number for each input, shape {shape:?}, found {found:?}"))
            } else if integers {
                let reason = "expected floats, the logits of a teacher, found integers";
                fail(format!("{reason}{}", targets.or_floats()))
            } else {
                Ok(Self::Teacher)
            };
        }
        if is_for_each_input(targets, shape, layout.class_axis) {
            Ok(Self::Dense)
        } else if same_but_for_ones(found, &rows) {
            Ok(Self::Index)
        } else {
            let what = if integers { "integers" } else { "floats" };
            fail(format!(
                "expected labels of shape {rows:?} or numbers of shape {shape:?}, found {what} of \
                 shape {found:?}"
            ))
        }
    }
}

impl TargetKind {
    /// Rejects an ignored label where there are no labels.
    pub(crate) fn check_ignored(self) -> Result<(), Failure> {
        if matches!(self, Self::Index | Self::MultiHot) {
            return Ok(());
        }
        Err(Failure::argument(
            "--ignore-index needs labels, but the targets have one number for each input: give rows to ignore \
             a sample weight of zero",
        ))
    }
}

impl<'a, F: Number> TargetFile<'a, F> {
    pub(crate) fn new(array: &'a mut Array, kind: TargetKind) -> Self {
        Self { array, kind, floats: Vec::new(), integers: Vec::new() }
    }

    /// Returns to the first row.
    pub(crate) fn rewind(&mut self) -> Result<(), Failure> {
        self.array.rewind()
    }

    pub(crate) fn transpose(&mut self) {
        self.array.transpose();
    }

    pub(crate) fn kind(&self) -> TargetKind {
        self.kind
    }

    /// The targets of the next rows.
    pub(crate) fn next(&mut self, rows: usize, classes: usize) -> Result<Targets<'_, F>, Failure> {
        let elements = rows * classes;
        Ok(match self.kind {
            TargetKind::Index => {
                self.array.integers(rows, "row", &mut self.integers)?;
                Targets::index(&self.integers)
            }
            TargetKind::MultiHot => {
                self.array.integers(elements, "element", &mut self.integers)?;
                Targets::multi_hot(&self.integers)
            }
            TargetKind::Dense => {
                self.array.floats(elements, &mut self.floats)?;
                Targets::dense(&self.floats)
            }
            TargetKind::Teacher => {
                self.array.floats(elements, &mut self.floats)?;
                Targets::teacher(&self.floats)
            }
        })
    }
}
