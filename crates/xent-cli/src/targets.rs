//! The targets, part by part.

use std::path::Path;

use xent::Targets;

use crate::args::LossName;
use crate::array::Array;
use crate::eval::Layout;
use crate::failure::Failure;
use crate::number::{Format, Number};

/// A file of targets, of one of the kinds that losses have.
pub(crate) struct TargetFile<F> {
    array: Array,
    kind: TargetKind,
    floats: Vec<F>,
    integers: Vec<i64>,
}

/// What they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TargetKind {
    Index,
    Dense,
    MultiHot,
    Teacher,
}

impl<F: Number> TargetFile<F> {
    /// Opens the file: indices if it has integers and no class axis, a number for each input if it
    /// has the input's shape.
    pub(crate) fn open(path: &Path, layout: &Layout, loss: LossName) -> Result<Self, Failure> {
        let array = Array::open(path)?;
        let integers = array.format() == Format::Integer;
        let kind = if array.shape() == layout.shape {
            match loss {
                LossName::Distillation => TargetKind::Teacher,
                _ if integers && loss.is_of_elements() => TargetKind::MultiHot,
                _ if integers && layout.has_no_class_axis => TargetKind::Index,
                _ => TargetKind::Dense,
            }
        } else if array.shape() == layout.rows_shape() && integers {
            TargetKind::Index
        } else {
            let reason = format!(
                "expected integers of shape {:?} or numbers of shape {:?}, found {} of shape {:?}",
                layout.rows_shape(),
                layout.shape,
                if integers { "integers" } else { "floats" },
                array.shape()
            );
            return Err(Failure::file(path, reason));
        };
        Ok(Self { array, kind, floats: Vec::new(), integers: Vec::new() })
    }

    /// Goes back to the first row.
    pub(crate) fn rewind(&mut self) -> Result<(), Failure> {
        self.array.rewind()
    }

    pub(crate) fn kind(&self) -> TargetKind {
        self.kind
    }

    /// The targets of the next rows.
    pub(crate) fn next(&mut self, rows: usize, classes: usize) -> Result<Targets<'_, F>, Failure> {
        let elements = rows * classes;
        Ok(match self.kind {
            TargetKind::Index => {
                self.array.integers(rows, &mut self.integers)?;
                Targets::index(&self.integers)
            }
            TargetKind::MultiHot => {
                self.array.integers(elements, &mut self.integers)?;
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
