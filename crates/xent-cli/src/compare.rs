//! `xent compare`: compares the outputs of a model with those of another.

use std::fmt;
use std::path::PathBuf;

use half::{bf16, f16};
use serde::Serialize;
use xent::Targets;

use crate::args::{CompareArgs, LossName};
use crate::array::{Array, read_all};
use crate::eval::{Arrays, check_inputs, evaluate_arrays, integers, open_quantised, plain_args};
use crate::failure::Failure;
use crate::judge::{argmax, threshold};
use crate::layout::{ClassAxis, Layout};
use crate::machine::{level, threads};
use crate::number::Format;
use crate::printed::print;
use crate::progress;
use crate::targets::{TargetFile, TargetKind};

/// Elements in memory at a time, unless a row is longer.
const PART: usize = 1 << 20;
/// How many rows with a different prediction are listed.
const NAMED: usize = 10;

/// The element with the largest difference.
#[derive(Clone, Copy, Debug, Serialize)]
struct Worst {
    /// Counted from the first element of the array.
    element: usize,
    reference: f64,
    candidate: f64,
    distance: f64,
}

/// The formats that are compared, and the format that ULP are counted in.
#[derive(Clone, Copy, Debug, Serialize)]
struct Formats {
    reference: Format,
    candidate: Format,
    ulp: Format,
}

/// The difference that is allowed for an element.
#[derive(Clone, Copy, Debug)]
struct Tolerance {
    ulp: Option<u64>,
    abs: Option<f64>,
    rel: Option<f64>,
}

/// The result of `xent compare`.
#[derive(Debug, Serialize)]
struct Comparison {
    elements: usize,
    rows: usize,
    classes: usize,
    #[serde(flatten)]
    class_axis: ClassAxis,
    formats: Formats,
    /// Elements that are neither ignored nor of weight zero; all fields below are about these.
    compared: usize,
    /// As f64, which can hold every format.
    same_bits: bool,
    worst_ulp: Option<Worst>,
    worst_abs: Option<Worst>,
    worst_rel: Option<Worst>,
    /// Elements outside the tolerance, and their share; null without a tolerance.
    over: Option<usize>,
    over_share: Option<f64>,
    reference_loss: Option<f64>,
    candidate_loss: Option<f64>,
    /// Rows with a different prediction.
    changed_rows: usize,
    first_changed_rows: Vec<usize>,
    /// Null without a tolerance.
    within: Option<bool>,
}

/// Compares; false if an element is outside the tolerance.
pub(crate) fn run(args: &CompareArgs) -> Result<bool, Failure> {
    level(&args.machine.level)?;
    threads(&args.machine)?;
    let tolerance = Tolerance::of(args)?;
    let inputs = [Some(&args.reference), Some(&args.candidate), args.targets.as_ref()];
    let weights = [args.sample_weights.as_ref(), args.class_weights.as_ref()];
    check_inputs(inputs.into_iter().chain(weights).flatten())?;
    let mut reference =
        open_quantised(&args.reference, args.reference_scale, args.reference_zero_point)?;
    let mut candidate =
        open_quantised(&args.candidate, args.candidate_scale, args.candidate_zero_point)?;
    for array in [&reference, &candidate] {
        if array.format() == Format::Integer {
            return Err(integers(array));
        }
    }
    if candidate.shape() != reference.shape() {
        let reason =
            format!("expected shape {:?}, found {:?}", reference.shape(), candidate.shape());
        return Err(Failure::file(candidate.path(), reason));
    }
    let open = |path: &Option<PathBuf>| path.as_ref().map(|path| Array::open(path)).transpose();
    let mut targets = open(&args.targets)?;
    let mut sample_weights = open(&args.sample_weights)?;
    let class_axis = ClassAxis::of(&reference, args.class_axis, args.loss, targets.as_ref())?;
    let layout = Layout::of(&reference, class_axis.axis)?;
    let weights: Vec<f64> = match &mut sample_weights {
        Some(array) => read_all(array, "sample weights", layout.rows(), false)?,
        None => Vec::new(),
    };
    let counted = Counted::of(args, &layout, targets.as_mut(), &weights)?;
    let mut found = Comparison::new(&reference, &candidate, &layout, class_axis);
    found.look(&mut reference, &mut candidate, &layout, counted, tolerance, args.loss)?;
    if let Some(targets) = targets {
        let class_weights = open(&args.class_weights)?;
        let input = reference;
        let mut arrays = Arrays { input, targets, class_weights, sample_weights, pos_weight: None };
        found.reference_loss =
            evaluate_arrays(&plain_args(args, &args.reference), &mut arrays)?.loss;
        arrays.input = candidate;
        found.candidate_loss =
            evaluate_arrays(&plain_args(args, &args.candidate), &mut arrays)?.loss;
    }
    if args.machine.json {
        print(&format!("{}\n", serde_json::to_string(&found).unwrap_or_default()))?;
    } else {
        found.class_axis.tell();
        print(&found.to_string())?;
    }
    Ok(found.within != Some(false))
}

impl Tolerance {
    fn of(args: &CompareArgs) -> Result<Self, Failure> {
        for (option, most) in [("--max-abs", args.max_abs), ("--max-rel", args.max_rel)] {
            if most.is_some_and(|most| most.is_nan() || most < 0.0) {
                return Err(Failure::argument(format!(
                    "{option}: expected a number that is not negative"
                )));
            }
        }
        Ok(Self { ulp: args.max_ulp, abs: args.max_abs, rel: args.max_rel })
    }

    fn is_given(self) -> bool {
        self.ulp.is_some() || self.abs.is_some() || self.rel.is_some()
    }

    /// Whether an element is close enough to its reference.
    fn holds(self, ulp: f64, abs: f64, reference: f64) -> bool {
        let near = |most: u64| ulp <= most as f64;
        // Everything except itself is infinitely far from an infinite reference, so a share of it
        // says nothing.
        let of_reference = |share: f64| {
            if reference.is_finite() { share * reference.abs() } else { 0.0 }
        };
        let distance = match (self.abs, self.rel) {
            (None, None) => None,
            (most, share) => Some(most.unwrap_or(0.0) + share.map_or(0.0, of_reference)),
        };
        self.ulp.is_none_or(near) && distance.is_none_or(|most| abs <= most)
    }
}

/// Decides which elements are compared.
struct Counted<'a> {
    /// The targets, if their label decides which rows to ignore, and that label.
    by_label: Option<(TargetFile<'a, f64>, i64)>,
    /// The weights of the rows, if there are any.
    weights: &'a [f64],
    of_elements: bool,
    /// For the current part: one entry for each row, or for each element.
    rows: Vec<bool>,
    elements: Vec<bool>,
}

impl<'a> Counted<'a> {
    fn of(
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
    fn next(&mut self, first: usize, rows: usize, classes: usize) -> Result<(), Failure> {
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

impl Formats {
    fn of(reference: Format, candidate: Format) -> Self {
        let ulp = if reference == candidate { reference } else { Format::F32 };
        Self { reference, candidate, ulp }
    }

    /// The number of steps from one float to the other; infinite if one of them is not finite and
    /// they differ.
    fn ulp(self, a: f64, b: f64) -> f64 {
        // Only floats of different formats need to be converted.
        let held = |x: f64| if self.ulp == Format::F32 { f64::from(x as f32) } else { x };
        let (a, b) = (held(a), held(b));
        if a == b || (a.is_nan() && b.is_nan()) {
            0.0
        } else if a.is_finite() && b.is_finite() {
            self.ordinal(a).abs_diff(self.ordinal(b)) as f64
        } else {
            f64::INFINITY
        }
    }

    /// Maps floats to integers in order: neighbours differ by one, and both zeros are equal.
    fn ordinal(self, x: f64) -> i64 {
        let bits = match self.ulp {
            Format::F16 => f16::from_f64(x.abs()).to_bits().into(),
            Format::Bf16 => bf16::from_f64(x.abs()).to_bits().into(),
            Format::F64 => x.abs().to_bits().cast_signed(),
            Format::F32 | Format::Integer => (x.abs() as f32).to_bits().into(),
        };
        if x.is_sign_negative() { -bits } else { bits }
    }

    /// With enough digits to tell it from every other number of both formats.
    fn show(self, x: f64) -> String {
        if [self.reference, self.candidate].contains(&Format::F64) {
            format!("{x:e}")
        } else {
            format!("{:e}", x as f32)
        }
    }
}

fn absolute(a: f64, b: f64) -> f64 {
    if a == b || (a.is_nan() && b.is_nan()) {
        return 0.0;
    }
    let distance = (a - b).abs();
    if distance.is_nan() { f64::INFINITY } else { distance }
}

/// Relative to the reference.
fn relative(distance: f64, reference: f64) -> f64 {
    if distance == 0.0 { 0.0 } else { distance / reference.abs() }
}

impl Comparison {
    fn new(reference: &Array, candidate: &Array, layout: &Layout, class_axis: ClassAxis) -> Self {
        Self {
            elements: layout.rows() * layout.classes,
            rows: layout.rows(),
            classes: layout.classes,
            class_axis,
            formats: Formats::of(reference.format(), candidate.format()),
            compared: 0,
            same_bits: true,
            worst_ulp: None,
            worst_abs: None,
            worst_rel: None,
            over: None,
            over_share: None,
            reference_loss: None,
            candidate_loss: None,
            changed_rows: 0,
            first_changed_rows: Vec::new(),
            within: None,
        }
    }

    /// Compares all elements.
    fn look(
        &mut self,
        reference: &mut Array,
        candidate: &mut Array,
        layout: &Layout,
        mut counted: Counted<'_>,
        tolerance: Tolerance,
        loss: LossName,
    ) -> Result<(), Failure> {
        let block = layout.classes * layout.inner;
        let part = (PART / block.max(1)).max(1);
        let bar = progress::bar("elements", self.elements);
        let (mut a, mut b) = (Vec::new(), Vec::new());
        let mut over = 0;
        for first in (0..layout.outer).step_by(part) {
            let blocks = part.min(layout.outer - first);
            reference.floats(blocks * block, &mut a)?;
            candidate.floats(blocks * block, &mut b)?;
            let first_row = first * layout.inner;
            counted.next(first_row, blocks * layout.inner, layout.classes)?;
            over += self.elements_of(&a, &b, first * block, layout, &counted, tolerance);
            self.predictions_of(&a, &b, first_row, layout, &counted, loss);
            bar.inc((blocks * block) as u64);
        }
        bar.finish_and_clear();
        if tolerance.is_given() {
            self.over = Some(over);
            self.over_share = Some(over as f64 / self.compared.max(1) as f64);
            self.within = Some(over == 0);
        }
        Ok(())
    }

    /// Counts the elements outside the tolerance.
    fn elements_of(
        &mut self,
        a: &[f64],
        b: &[f64],
        first: usize,
        layout: &Layout,
        counted: &Counted<'_>,
        tolerance: Tolerance,
    ) -> usize {
        let formats = self.formats;
        let mut over = 0;
        for (i, (&a, &b)) in a.iter().zip(b).enumerate() {
            if !counted.elements[i] || !counted.rows[layout.row_of(i)] {
                continue;
            }
            self.compared += 1;
            self.same_bits &= a.to_bits() == b.to_bits();
            let (ulp, abs) = (formats.ulp(a, b), absolute(a, b));
            over += usize::from(!tolerance.holds(ulp, abs, a));
            let at = |distance| Worst { element: first + i, reference: a, candidate: b, distance };
            for (worst, distance) in [
                (&mut self.worst_ulp, ulp),
                (&mut self.worst_abs, abs),
                (&mut self.worst_rel, relative(abs, a)),
            ] {
                if worst.is_none_or(|worst| distance > worst.distance) {
                    *worst = Some(at(distance));
                }
            }
        }
        over
    }

    fn predictions_of(
        &mut self,
        a: &[f64],
        b: &[f64],
        first_row: usize,
        layout: &Layout,
        counted: &Counted<'_>,
        loss: LossName,
    ) {
        let Layout { classes, inner, .. } = *layout;
        // A block without rows is empty.
        let size = (classes * inner).max(1);
        let blocks = a.chunks(size).zip(b.chunks(size));
        for (block, (a, b)) in blocks.enumerate() {
            for position in 0..inner {
                let row = block * inner + position;
                if !counted.rows[row] {
                    continue;
                }
                let changed = if loss.is_of_elements() {
                    // A NaN is on neither side.
                    let least = threshold(loss);
                    let side = |x: f64| x.partial_cmp(&least).map(std::cmp::Ordering::is_ge);
                    let first = block * classes * inner;
                    (position..classes * inner).step_by(inner).any(|place| {
                        counted.elements[first + place] && side(a[place]) != side(b[place])
                    })
                } else {
                    let of_row = |x: &[f64]| argmax(x[position..].iter().step_by(inner).copied());
                    of_row(a) != of_row(b)
                };
                if changed {
                    self.changed_rows += 1;
                    if self.first_changed_rows.len() < NAMED {
                        self.first_changed_rows.push(first_row + row);
                    }
                }
            }
        }
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { elements, rows, classes, compared, .. } = self;
        write!(f, "elements    {elements} ({rows} rows of {classes} classes)")?;
        if compared == elements {
            writeln!(f)?;
        } else {
            writeln!(f, ", {compared} of them compared")?;
        }
        let Formats { reference, candidate, ulp } = self.formats;
        if reference == candidate {
            writeln!(f, "format      {ulp}")?;
        } else {
            writeln!(f, "format      {candidate} instead of {reference}, ULP of {ulp}")?;
        }
        for (name, worst) in [
            ("worst, ULP", self.worst_ulp),
            ("worst, abs", self.worst_abs),
            ("worst, rel", self.worst_rel),
        ] {
            if let Some(Worst { element, reference, candidate, distance }) = worst {
                let [candidate, reference] =
                    [candidate, reference].map(|number| self.formats.show(number));
                writeln!(
                    f,
                    "{name}  {distance} (element {element}: {candidate} instead of {reference})"
                )?;
            }
        }
        if self.same_bits {
            writeln!(f, "bits        all the same")?;
        }
        if let (Some(over), Some(share)) = (self.over, self.over_share) {
            writeln!(f, "too far     {over} elements ({:.4} %)", 100.0 * share)?;
        }
        if let (Some(reference), Some(candidate)) = (self.reference_loss, self.candidate_loss) {
            writeln!(f, "loss        {candidate} instead of {reference}")?;
        }
        match (self.changed_rows, &self.first_changed_rows[..]) {
            (0, _) => writeln!(f, "predicted   the same in all rows")?,
            (changed, first) => {
                let dots = if changed > first.len() { ", ..." } else { "" };
                let first: Vec<_> = first.iter().map(usize::to_string).collect();
                let s = if changed == 1 { "" } else { "s" };
                let first = first.join(", ");
                writeln!(f, "predicted   differently in {changed} row{s}: {first}{dots}")?;
            }
        }
        writeln!(
            f,
            "{}",
            match self.within {
                Some(true) => "within the tolerance",
                Some(false) => "OUTSIDE the tolerance",
                None => "no tolerance given: --max-ulp, --max-abs and --max-rel set one",
            }
        )
    }
}
