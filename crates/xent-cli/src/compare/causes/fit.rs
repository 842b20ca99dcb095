//! A constant factor, a constant offset, or both.

use super::super::side::Side;
use super::sample::{Measure, Rest, Sample};
use super::{Cause, short};

/// Sums over all elements, except at the ends of the candidate's type.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sums {
    count: f64,
    a: f64,
    b: f64,
    aa: f64,
    ab: f64,
}

/// Whether the candidate's integer is at an end of its type.
pub(super) fn is_at_end(candidate: Side, b: f64) -> bool {
    candidate.integers.is_some_and(|integers| integers.ends().contains(&integers.whole_steps(b)))
}

/// A cause of the form `factor × reference + offset`.
#[derive(Clone, Debug)]
pub(super) struct Fit {
    pub(super) cause: Cause,
    /// Whether the factor is.
    pub(super) is_negative: bool,
}

impl Sums {
    pub(super) fn add(&mut self, a: f64, b: f64) {
        self.count += 1.0;
        self.a += a;
        self.b += b;
        self.aa += a * a;
        self.ab += a * b;
    }

    /// The simplest fit to all elements that explains the sample.
    pub(super) fn cause(&self, sample: &Sample, candidate: Side, measure: &Measure) -> Option<Fit> {
        let Self { count, a, b, aa, ab } = *self;
        // Numbers at the ends of the type may be held there.
        let pairs = sample.pairs().filter(|(_, b)| !is_at_end(candidate, *b));
        let before: Rest = pairs.clone().filter(|(a, b)| a.is_finite() && b.is_finite()).collect();
        let explained = |factor: f64, offset: f64| {
            let rest: Rest = pairs.clone().map(|(a, b)| (factor * a + offset, b)).collect();
            let is_explained = factor != 0.0 && measure.explains_many(rest, before);
            is_explained.then(|| Rest::fall(before, rest))
        };
        let scale = candidate.scale();

        let factor = ab / aa;
        if let Some(fall) = explained(factor, 0.0) {
            let remedy = scale.map_or(String::new(), |it| {
                format!("; a scale of {} would undo it", short(f64::from(it.scale) / factor))
            });
            let evidence =
                format!("the candidate is {} times the reference: {fall}{remedy}", short(factor));
            let cause = Cause::new("factor", evidence);
            return Some(Fit { cause, is_negative: factor < 0.0 });
        }

        let mut offset = (b - a) / count;
        let mut remedy = String::new();
        if let Some(scale) = scale {
            // A wrong zero point is wrong by whole steps.
            let steps = (offset / f64::from(scale.scale)).round();
            offset = steps * f64::from(scale.scale);
            let zero_point = f64::from(scale.zero_point) + steps;
            remedy = format!("; it is {steps} LSB, and a zero point of {zero_point} would undo it");
        }
        if let Some(fall) = explained(1.0, offset).filter(|_| offset != 0.0) {
            let evidence =
                format!("the candidate is the reference plus {}: {fall}{remedy}", short(offset));
            return Some(Fit { cause: Cause::new("offset", evidence), is_negative: false });
        }

        let factor = (ab - a * b / count) / (aa - a * a / count);
        let offset = (b - factor * a) / count;
        let fall = explained(factor, offset)?;
        let evidence = format!(
            "the candidate is {} times the reference plus {}: {fall}",
            short(factor),
            short(offset)
        );
        let cause = Cause::new("factor_and_offset", evidence);
        Some(Fit { cause, is_negative: factor < 0.0 })
    }
}
