//! Which elements are compared.

use xent::Targets;

use super::calibration::Calibration;
use crate::args::CompareArgs;
use crate::array::Array;
use crate::failure::Failure;
use crate::layout::Layout;
use crate::targets::{TargetFile, TargetKind};

/// Decides which elements are compared: those that are neither ignored nor of weight zero.
pub(super) struct Counted<'a> {
    /// The targets, if their labels are needed.
    targets: Option<TargetFile<'a, f64>>,
    /// The label of rows, or of elements, to ignore.
    ignored: Option<i64>,
    /// The weights of the rows, if there are any.
    weights: &'a [f64],
    of_elements: bool,
    /// For the current part: one entry for each row, or for each element.
    pub(super) rows: Vec<bool>,
    pub(super) elements: Vec<bool>,
    /// The labels of its rows; empty unless they are needed.
    pub(super) labels: Vec<i64>,
}

impl<'a> Counted<'a> {
    pub(super) fn of(
        args: &CompareArgs,
        layout: &Layout,
        targets: Option<&'a mut Array>,
        weights: &'a [f64],
    ) -> Result<Self, Failure> {
        let ignored = args.ignore_index;
        let are_shown = args.report.is_some() && Calibration::of(args.loss).is_some();
        let targets = match targets {
            Some(targets) if ignored.is_some() || are_shown => {
                let kind = TargetKind::of(targets, layout, args.loss, ignored.is_some())?;
                if ignored.is_some() {
                    kind.check_ignored()?;
                }
                let is_read = ignored.is_some() || kind == TargetKind::Index;
                is_read.then(|| TargetFile::new(targets, kind))
            }
            _ => None,
        };
        let of_elements = args.loss.is_of_elements();
        let (rows, elements, labels) = Default::default();
        Ok(Self { targets, ignored, weights, of_elements, rows, elements, labels })
    }

    /// Whether each row has a label that is known.
    pub(super) fn has_labels(&self) -> bool {
        self.targets.as_ref().is_some_and(|targets| targets.kind() == TargetKind::Index)
    }

    /// The weight of a row in its loss.
    pub(super) fn weight(&self, row: usize) -> f64 {
        self.weights.get(row).copied().unwrap_or(1.0)
    }

    /// Examines the next rows.
    pub(super) fn next(
        &mut self,
        first: usize,
        rows: usize,
        classes: usize,
    ) -> Result<(), Failure> {
        self.rows.clear();
        self.rows.extend((first..first + rows).map(|row| self.weights.get(row) != Some(&0.0)));
        self.elements.clear();
        self.elements.resize(rows * classes, true);
        self.labels.clear();
        if let Some(targets) = &mut self.targets {
            let (Targets::Index(labels) | Targets::MultiHot(labels)) =
                targets.next(rows, classes)?
            else {
                return Ok(());
            };
            let counted = if self.of_elements { &mut self.elements } else { &mut self.rows };
            for (place, counts) in counted.iter_mut().enumerate() {
                let label = labels.get(place);
                *counts &= label.is_none() || label != self.ignored;
            }
            if !self.of_elements {
                self.labels.extend((0..rows).filter_map(|row| labels.get(row)));
            }
        }
        Ok(())
    }
}
