//! `xent compare`: compares the outputs of a model with those of another.

mod calibration;
mod causes;
mod counted;
mod differences;
mod histogram;
mod page_data;
mod predictions;
mod report;
mod rows;
mod side;
mod tolerance;
mod worst_rows;

use std::path::PathBuf;

use crate::args::CompareArgs;
use crate::array::{Array, is_standard_input, read_all};
use crate::eval::{
    Arrays, Integers, check_inputs, check_outputs, evaluate_arrays, integers, open_quantised,
    plain_args,
};
use crate::failure::Failure;
use crate::layout::{ClassAxis, Layout, same_but_for_ones};
use crate::machine::{level, threads};
use crate::number::Format;
use crate::output::{Finished, name_all};
use crate::progress;
use crate::summary::Summary;
use causes::Diagnosis;
use counted::Counted;
use differences::Differences;
use page_data::PageData;
use predictions::Predictions;
use report::Comparison;
use rows::Rows;
use side::{Side, absolute};
use tolerance::{Found, Tolerance};
use worst_rows::WorstRows;

/// Elements in memory at a time, unless a row is longer.
const PART: usize = 1 << 20;

/// Compares; false if a tolerance is exceeded.
pub(crate) fn run(args: &CompareArgs) -> Result<bool, Failure> {
    level(&args.machine.level)?;
    threads(&args.machine)?;
    let tolerance = Tolerance::of(args)?;
    let inputs = [Some(&args.reference), Some(&args.candidate), args.targets.as_ref()];
    let weights = [args.sample_weights.as_ref(), args.class_weights.as_ref()];
    let models = [args.reference_quantisation.as_ref(), args.candidate_quantisation.as_ref()];
    let inputs = inputs.into_iter().chain(weights).chain(models).flatten();
    check_inputs(inputs.clone())?;
    if let Some(report) = args.report.as_ref().filter(|path| is_standard_input(path)) {
        return Err(Failure::file(report, "expected a file for the report: - is only an input"));
    }
    check_outputs(inputs, args.report.iter())?;
    let mut reference = open_quantised(
        &args.reference,
        Integers {
            scale: args.reference_scale,
            zero_point: args.reference_zero_point,
            model: args.reference_quantisation.as_deref(),
        },
    )?;
    let mut candidate = open_quantised(
        &args.candidate,
        Integers {
            scale: args.candidate_scale,
            zero_point: args.candidate_zero_point,
            model: args.candidate_quantisation.as_deref(),
        },
    )?;
    check_numbers(&reference, &mut candidate, tolerance)?;
    let open = |path: &Option<PathBuf>| path.as_ref().map(|path| Array::open(path)).transpose();
    let mut targets = open(&args.targets)?;
    let mut sample_weights = open(&args.sample_weights)?;
    let class_axis = ClassAxis::of(&reference, args.class_axis, args.loss, targets.as_ref())?;
    let layout = Layout::of(&reference, class_axis.axis)?;
    let weights: Vec<f64> = match &mut sample_weights {
        Some(array) => read_all(array, "sample weights", layout.rows(), false)?,
        None => Vec::new(),
    };
    let mut counted = Counted::of(args, &layout, targets.as_mut(), &weights)?;
    let mut pass = Pass::new(&reference, &candidate, &layout, args, tolerance);
    pass.page = args.report.as_ref().map(|_| {
        PageData::new(args.loss, layout.classes, counted.has_labels(), pass.differences.steps)
    });
    pass.look(&mut reference, &mut candidate, &layout, &mut counted)?;
    pass.check_compared(args, &layout)?;

    let sides = [&reference, &candidate].map(Side::of);
    let mut losses: Option<[Summary; 2]> = None;
    if let Some(targets) = targets {
        let class_weights = open(&args.class_weights)?;
        let input = reference;
        let mut arrays = Arrays { input, targets, class_weights, sample_weights, pos_weight: None };
        let of_reference = evaluate_arrays(&plain_args(args, &args.reference), &mut arrays)?;
        arrays.input = candidate;
        let of_candidate = evaluate_arrays(&plain_args(args, &args.candidate), &mut arrays)?;
        losses = Some([of_reference, of_candidate]);
    }
    let by = losses.as_ref().and_then(|[a, b]| Some(absolute(a.loss?, b.loss?)));
    let checks = tolerance.checks(&pass.found(by));
    let is_within = checks.iter().all(|check| check.holds);
    let page = pass.page.take();
    let comparison = Comparison::new(class_axis, &layout, sides, tolerance, pass, losses, checks);
    if let (Some(path), Some(data)) = (&args.report, page) {
        let page = comparison.page([&args.reference, &args.candidate], &data);
        let page = page.map_err(|error| Failure::file(path, error))?;
        name_all(vec![Finished::text(path, &page)?])?;
    }
    comparison.print(args.machine.json)?;
    Ok(is_within)
}

/// Both must have numbers, in one shape.
fn check_numbers(
    reference: &Array,
    candidate: &mut Array,
    tolerance: Tolerance,
) -> Result<(), Failure> {
    for array in [reference, candidate] {
        if array.format() == Format::Integer {
            return Err(integers(array));
        }
    }
    if tolerance.lsb.is_some() && candidate.quantisation().is_none() {
        let reason = "--max-lsb counts steps of the candidate's scale: give --candidate-scale or \
                      --candidate-quantisation";
        return Err(Failure::argument(reason));
    }
    if !same_but_for_ones(candidate.shape(), reference.shape()) {
        let reason =
            format!("expected shape {:?}, found {:?}", reference.shape(), candidate.shape());
        return Err(Failure::file(candidate.path(), reason));
    }
    candidate.take_shape(reference.shape());
    Ok(())
}

/// What one pass over both arrays gathers.
struct Pass {
    differences: Differences,
    predictions: Predictions,
    worst_rows: WorstRows,
    diagnosis: Diagnosis,
    /// Only if a page is written.
    page: Option<PageData>,
}

impl Pass {
    fn new(
        reference: &Array,
        candidate: &Array,
        layout: &Layout,
        args: &CompareArgs,
        tolerance: Tolerance,
    ) -> Self {
        let (reference, candidate) = (Side::of(reference), Side::of(candidate));
        Self {
            differences: Differences::new(reference, candidate, tolerance),
            predictions: Predictions::new(args.loss),
            worst_rows: WorstRows::new(args.loss),
            diagnosis: Diagnosis::new(reference, candidate, layout.classes),
            page: None,
        }
    }

    /// Compares all elements.
    fn look(
        &mut self,
        reference: &mut Array,
        candidate: &mut Array,
        layout: &Layout,
        counted: &mut Counted<'_>,
    ) -> Result<(), Failure> {
        let block = layout.classes * layout.inner;
        let part = (PART / block.max(1)).max(1);
        let bar = progress::bar("elements", layout.rows() * layout.classes);
        let (mut a, mut b, mut rows) = (Vec::new(), Vec::new(), Rows::default());
        for first in (0..layout.outer).step_by(part) {
            let blocks = part.min(layout.outer - first);
            reference.floats(blocks * block, &mut a)?;
            candidate.floats(blocks * block, &mut b)?;
            let first_row = first * layout.inner;
            counted.next(first_row, blocks * layout.inner, layout.classes)?;
            for (i, (&a, &b)) in a.iter().zip(&b).enumerate() {
                if counted.elements[i] && counted.rows[layout.row_of(i)] {
                    self.differences.look(first * block + i, a, b);
                    self.diagnosis.element(a, b);
                    if let Some(page) = &mut self.page {
                        page.element(a, b);
                    }
                }
            }
            rows.each(&a, &b, first_row, layout, counted, |row| {
                self.predictions.look(&row);
                self.worst_rows.look(&row);
                self.diagnosis.row(&row);
                if let Some(page) = &mut self.page {
                    let label = counted.labels.get(row.number - first_row).copied();
                    page.row(&row, label, counted.weight(row.number));
                }
            });
            bar.inc((blocks * block) as u64);
        }
        bar.finish_and_clear();
        Ok(())
    }

    fn found(&self, loss_difference: Option<f64>) -> Found {
        let Differences { missed, worst_ulp, worst_abs, worst_rel, worst_lsb, .. } =
            self.differences;
        let [ulp, abs, rel, lsb] = [worst_ulp, worst_abs, worst_rel, worst_lsb]
            .map(|worst| worst.map(|worst| worst.distance));
        let Predictions { changed_rows: changed, rows, .. } = self.predictions;
        Found { missed, ulp, abs, rel, lsb, loss_difference, changed, rows }
    }

    /// Nothing cannot be within a tolerance.
    fn check_compared(&self, args: &CompareArgs, layout: &Layout) -> Result<(), Failure> {
        let elements = layout.rows() * layout.classes;
        if self.differences.compared > 0 {
            return Ok(());
        }
        Err(if elements == 0 {
            let reason = format!("nothing to compare: no elements, shape {:?}", layout.shape);
            Failure::file(&args.reference, reason)
        } else {
            Failure::argument(format!(
                "nothing was compared: all {elements} elements are ignored or have a weight of zero"
            ))
        })
    }
}
