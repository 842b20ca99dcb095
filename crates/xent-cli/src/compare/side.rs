//! How the numbers of the two arrays are stored, and the distances between them.

use half::{bf16, f16};
use serde::Serialize;
use xent::Quantisation;

use crate::array::Array;
use crate::number::{Format, Scale};

/// One of the two arrays.
#[derive(Clone, Copy, Debug)]
pub(super) struct Side {
    pub(super) format: Format,
    /// What its numbers were before they got their scale.
    pub(super) integers: Option<Integers>,
}

/// Integers with a scale and a zero point.
#[derive(Clone, Copy, Debug)]
pub(super) struct Integers {
    quantisation: Quantisation,
    /// The ends of their type.
    pub(super) smallest: i32,
    pub(super) largest: i32,
}

impl Side {
    pub(super) fn of(array: &Array) -> Self {
        let quantised = array.quantisation().zip(array.quantised_range());
        let integers = quantised.map(|(quantisation, (smallest, largest))| Integers {
            quantisation,
            smallest,
            largest,
        });
        Self { format: array.format(), integers }
    }

    pub(super) fn scale(self) -> Option<Scale> {
        self.integers.map(|integers| integers.quantisation.into())
    }
}

impl Integers {
    /// The value of a step.
    pub(super) fn scale(self) -> f64 {
        self.quantisation.scale().into()
    }

    /// The distance of its integer from the zero point: exactly, since the value was rounded only once.
    pub(super) fn whole_steps(self, value: f64) -> f64 {
        (value / self.scale()).round()
    }

    pub(super) fn zero_point(self) -> i32 {
        self.quantisation.zero_point()
    }

    /// The ends of the type, in steps from the zero point.
    pub(super) fn ends(self) -> [f64; 2] {
        [self.smallest, self.largest].map(|end| f64::from(end - self.zero_point()))
    }
}

/// Differences in steps of the candidate's integers (LSB).
#[derive(Clone, Copy, Debug)]
pub(super) struct Steps {
    pub(super) reference: Option<Integers>,
    pub(super) candidate: Integers,
}

impl Steps {
    /// None if the candidate has no scale.
    pub(super) fn of(reference: Side, candidate: Side) -> Option<Self> {
        Some(Self { reference: reference.integers, candidate: candidate.integers? })
    }

    /// Whether both sides are integers of the same scale, so that every difference is a whole number.
    pub(super) fn are_whole(self) -> bool {
        self.reference.is_some_and(|reference| reference.scale() == self.candidate.scale())
    }

    /// The reference in steps from the candidate's zero point.
    pub(super) fn of_reference(self, a: f64) -> f64 {
        let step = self.candidate.scale();
        match self.reference {
            // The product and the division are exact if the scales are equal.
            Some(reference) => reference.whole_steps(a) * reference.scale() / step,
            None => a / step,
        }
    }

    /// Candidate minus reference.
    pub(super) fn between(self, a: f64, b: f64) -> f64 {
        if a == b { 0.0 } else { self.candidate.whole_steps(b) - self.of_reference(a) }
    }
}

/// The formats that are compared, and the format that ULP are counted in.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Formats {
    pub(super) reference: Format,
    pub(super) candidate: Format,
    pub(super) ulp: Format,
}

impl Formats {
    pub(super) fn of(reference: Format, candidate: Format) -> Self {
        let ulp = if reference == candidate { reference } else { Format::F32 };
        Self { reference, candidate, ulp }
    }

    /// The number of steps from one float to the other; infinite if one of them is not finite and
    /// they differ.
    pub(super) fn ulp(self, a: f64, b: f64) -> f64 {
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
    pub(super) fn show(self, x: f64) -> String {
        if [self.reference, self.candidate].contains(&Format::F64) {
            format!("{x:e}")
        } else {
            format!("{:e}", x as f32)
        }
    }
}

/// The size of a difference: zero if both are NaN, infinite if only one is finite.
pub(super) fn absolute(a: f64, b: f64) -> f64 {
    if a == b || (a.is_nan() && b.is_nan()) {
        return 0.0;
    }
    let distance = (a - b).abs();
    if distance.is_nan() { f64::INFINITY } else { distance }
}
