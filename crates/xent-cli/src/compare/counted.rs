//! Which elements are compared.

use xent::Targets;

use crate::args::CompareArgs;
use crate::array::Array;
use crate::failure::Failure;
use crate::layout::Layout;
use crate::targets::{TargetFile, TargetKind};

/// Decides which elements are compared: those that are neither ignored nor of weight zero.
pub(super) struct Counted<'a> {
    /// The targets, if their label decides which rows to ignore, and that label.
    by_label: Option<(TargetFile<'a, f64>, i64)>,
    /// The weights of the rows, if there are any.
    weights: &'a [f64],
    of_elements: bool,
    /// For the current part: one entry for each row, or for each element.
    pub(super) rows: Vec<bool>,
    pub(super) elements: Vec<bool>,
}

impl<'a> Counted<'a> {
    pub(super) fn of(
        args: &CompareArgs,
        layout: &Layout,
        targets: Option<&'a mut Array>,
        weights: &'a [f64],
    ) -> Result<Self, Failure> {
        let by_label = match (targets, args.ignore_index) {
            (Some(targets), Some(label)) => {
                let kind = TargetKind::of(targets, layout, args.loss, true)?;
                kind.check_ignored()?;
                Some((TargetFile::new(targets, kind), label))
            }
            _ => None,
        };
        let of_elements = args.loss.is_of_elements();
        Ok(Self { by_label, weights, of_elements, rows: Vec::new(), elements: Vec::new() })
    }

    /// Examines the next rows.
    pub(super) fn next(
        &mut self,
        first: usize,
        rows: usize,
        classes: usize,
    ) -> Result<(), Failure> {
        self.rows.clear();
        let weight = |row: usize| self.weights.get(first + row);
        self.rows.extend((0..rows).map(|row| weight(row) != Some(&0.0)));
        self.elements.clear();
        self.elements.resize(rows * classes, true);
        if let Some((targets, ignored)) = &mut self.by_label {
            let (Targets::Index(labels) | Targets::MultiHot(labels)) =
                targets.next(rows, classes)?
            else {
                return Ok(());
            };
            let counted = if self.of_elements { &mut self.elements } else { &mut self.rows };
            for (place, counts) in counted.iter_mut().enumerate() {
                *counts &= labels.get(place) != Some(*ignored);
            }
        }
        Ok(())
    }
}
