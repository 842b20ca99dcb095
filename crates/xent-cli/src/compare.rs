//! `xent compare`: one model's outputs against another's.

use std::fmt;

use half::{bf16, f16};
use serde::Serialize;

use crate::args::CompareArgs;
use crate::array::Array;
use crate::eval::{Layout, evaluate_array, level, plain_args, threads};
use crate::failure::Failure;
use crate::number::Format;
use crate::printed::print;

/// Elements that are in memory at a time, if a row is not longer.
const PART: usize = 1 << 20;
/// Rows that are named whose predicted class differs.
const NAMED: usize = 10;

/// The element that is furthest away.
#[derive(Clone, Copy, Debug, Serialize)]
struct Worst {
    /// Counted from the first of the array.
    element: usize,
    reference: f64,
    candidate: f64,
    distance: f64,
}

/// What is compared, and what ULP are counted in.
#[derive(Clone, Copy, Debug, Serialize)]
struct Formats {
    reference: Format,
    candidate: Format,
    ulp: Format,
}

/// The result of `xent compare`.
#[derive(Debug, Serialize)]
struct Comparison {
    elements: usize,
    rows: usize,
    classes: usize,
    formats: Formats,
    /// As f64, which holds every format.
    same_bits: bool,
    worst_ulp: Option<Worst>,
    worst_abs: Option<Worst>,
    reference_loss: Option<f64>,
    candidate_loss: Option<f64>,
    /// Rows whose largest element is another one.
    predicted_differently: usize,
    first_rows_predicted_differently: Vec<usize>,
    within: bool,
}

/// Compares; false if the tolerance is exceeded.
pub(crate) fn run(args: &CompareArgs) -> Result<bool, Failure> {
    level(&args.machine.level)?;
    threads(&args.machine)?;
    if args.max_abs.is_some_and(|most| most.is_nan() || most < 0.0) {
        return Err(Failure::argument("--max-abs: expected a number, not below zero"));
    }
    let mut reference = Array::open(&args.reference)?;
    let mut candidate = Array::open(&args.candidate)?;
    for array in [&reference, &candidate] {
        if array.format() == Format::Integer {
            return Err(Failure::file(array.path(), "expected floats, found integers"));
        }
    }
    if candidate.shape() != reference.shape() {
        let reason =
            format!("expected shape {:?}, found {:?}", reference.shape(), candidate.shape());
        return Err(Failure::file(candidate.path(), reason));
    }
    let layout = Layout::of(&reference, args.class_axis, args.loss)?;
    let mut found = Comparison {
        elements: 0,
        rows: layout.rows(),
        classes: layout.classes,
        formats: Formats::of(reference.format(), candidate.format()),
        same_bits: true,
        worst_ulp: None,
        worst_abs: None,
        reference_loss: None,
        candidate_loss: None,
        predicted_differently: 0,
        first_rows_predicted_differently: Vec::new(),
        within: true,
    };
    let block = layout.classes * layout.inner;
    let part = (PART / block.max(1)).max(1);
    let (mut a, mut b) = (Vec::new(), Vec::new());
    for first in (0..layout.outer).step_by(part) {
        let count = part.min(layout.outer - first) * block;
        reference.floats(count, &mut a)?;
        candidate.floats(count, &mut b)?;
        found.elements_of(&a, &b, first * block);
        found.predictions_of(&a, &b, &layout, first);
    }
    let at_most = |worst: Option<Worst>, most: Option<f64>| match (worst, most) {
        (Some(worst), Some(most)) => worst.distance <= most,
        _ => true,
    };
    found.within = at_most(found.worst_ulp, args.max_ulp.map(|most| most as f64))
        && at_most(found.worst_abs, args.max_abs);
    if let Some(targets) = &args.targets {
        let loss = |mut array: Array, path| -> Result<Option<f64>, Failure> {
            array.rewind()?;
            let args = plain_args(args.loss, path, targets, args.class_axis, &args.machine);
            Ok(evaluate_array(&args, array)?.loss)
        };
        found.reference_loss = loss(reference, &args.reference)?;
        found.candidate_loss = loss(candidate, &args.candidate)?;
    }
    found.print(args.machine.json)?;
    Ok(found.within)
}

impl Formats {
    fn of(reference: Format, candidate: Format) -> Self {
        let ulp = if reference == candidate { reference } else { Format::F32 };
        Self { reference, candidate, ulp }
    }

    /// Steps from one float to the other; what is not finite is infinitely far from everything else.
    fn ulp(self, a: f64, b: f64) -> f64 {
        // Only floats of different formats have to become what they are not.
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

    /// Numbers in order: neighbouring floats are neighbours, and both zeros are one.
    fn ordinal(self, x: f64) -> i64 {
        let bits = match self.ulp {
            Format::F16 => f16::from_f64(x.abs()).to_bits().into(),
            Format::Bf16 => bf16::from_f64(x.abs()).to_bits().into(),
            Format::F64 => x.abs().to_bits().cast_signed(),
            Format::F32 | Format::Integer => (x.abs() as f32).to_bits().into(),
        };
        if x.is_sign_negative() { -bits } else { bits }
    }

    /// With the digits that tell it from every other number of both.
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

impl Comparison {
    fn elements_of(&mut self, a: &[f64], b: &[f64], first: usize) {
        let formats = self.formats;
        for (i, (&a, &b)) in a.iter().zip(b).enumerate() {
            self.same_bits &= a.to_bits() == b.to_bits();
            let at = |distance| Worst { element: first + i, reference: a, candidate: b, distance };
            for (worst, distance) in
                [(&mut self.worst_ulp, formats.ulp(a, b)), (&mut self.worst_abs, absolute(a, b))]
            {
                if worst.is_none_or(|worst| distance > worst.distance) {
                    *worst = Some(at(distance));
                }
            }
        }
        self.elements += a.len();
    }

    fn predictions_of(&mut self, a: &[f64], b: &[f64], layout: &Layout, first: usize) {
        let Layout { classes, inner, .. } = *layout;
        let blocks = a.chunks(classes * inner).zip(b.chunks(classes * inner));
        for (block, (a, b)) in blocks.enumerate() {
            for position in 0..inner {
                let argmax = |x: &[f64]| {
                    let mut largest = (0, f64::NEG_INFINITY);
                    for (class, &x) in x[position..].iter().step_by(inner).enumerate() {
                        if x > largest.1 {
                            largest = (class, x);
                        }
                    }
                    largest.0
                };
                if argmax(a) != argmax(b) {
                    self.predicted_differently += 1;
                    if self.first_rows_predicted_differently.len() < NAMED {
                        let row = (first + block) * inner + position;
                        self.first_rows_predicted_differently.push(row);
                    }
                }
            }
        }
    }

    fn print(&self, json: bool) -> Result<(), Failure> {
        if json {
            return print(&format!("{}\n", serde_json::to_string(self).unwrap_or_default()));
        }
        print(&self.to_string())
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { elements, rows, classes, .. } = self;
        writeln!(f, "elements    {elements} ({rows} rows of {classes} classes)")?;
        let Formats { reference, candidate, ulp } = self.formats;
        if reference == candidate {
            writeln!(f, "format      {ulp}")?;
        } else {
            writeln!(f, "format      {candidate} instead of {reference}, ULP of {ulp}")?;
        }
        for (name, worst) in [("worst, ULP", self.worst_ulp), ("worst, abs", self.worst_abs)] {
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
        if let (Some(reference), Some(candidate)) = (self.reference_loss, self.candidate_loss) {
            writeln!(f, "loss        {candidate} instead of {reference}")?;
        }
        writeln!(
            f,
            "predicted   {} rows differently {:?}",
            self.predicted_differently, self.first_rows_predicted_differently
        )?;
        writeln!(
            f,
            "{}",
            if self.within { "within the tolerance" } else { "OUTSIDE the tolerance" }
        )
    }
}
