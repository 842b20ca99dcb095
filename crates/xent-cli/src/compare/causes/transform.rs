//! Probabilities or log-probabilities compared with logits.

use super::super::side::Side;
use super::sample::{Measure, Rest, Sample};
use super::{Cause, short};

/// What one side may be of the other.
#[derive(Clone, Copy, Debug)]
enum Transform {
    Softmax,
    LogSoftmax,
    Sigmoid,
}

impl Transform {
    const ALL: [Self; 3] = [Self::Softmax, Self::LogSoftmax, Self::Sigmoid];

    fn name(self) -> &'static str {
        match self {
            Self::Softmax => "softmax_of_logits",
            Self::LogSoftmax => "log_softmax_of_logits",
            Self::Sigmoid => "sigmoid_of_logits",
        }
    }

    fn function(self) -> &'static str {
        match self {
            Self::Softmax => "softmax",
            Self::LogSoftmax => "log-softmax",
            Self::Sigmoid => "sigmoid",
        }
    }

    /// Transforms a row into `into`; false if it has no result.
    fn apply(self, row: &[f64], into: &mut Vec<f64>) -> bool {
        into.clear();
        if let Self::Sigmoid = self {
            into.extend(row.iter().map(|x| 1.0 / (1.0 + (-x).exp())));
            return true;
        }
        let Some(sum) = log_sum_exp(row) else { return false };
        into.extend(row.iter().map(|x| match self {
            Self::LogSoftmax => x - sum,
            _ => (x - sum).exp(),
        }));
        true
    }
}

/// The logarithm of the sum of exponentials; None unless it is finite.
fn log_sum_exp(x: &[f64]) -> Option<f64> {
    // A NaN makes the sum NaN.
    let most = x.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = x.iter().map(|x| (x - most).exp()).sum();
    Some(most + sum.ln()).filter(|sum| sum.is_finite())
}

/// The difference between the transformed rows and others; None if a row cannot be transformed.
fn rest_of<'a>(
    rows: impl Iterator<Item = (&'a [f64], &'a [f64])>,
    mut transform: impl FnMut(&[f64], &mut Vec<f64>) -> bool,
) -> Option<Rest> {
    let (mut rest, mut transformed) = (Rest::default(), Vec::new());
    for (from, to) in rows {
        if !transform(from, &mut transformed) {
            return None;
        }
        transformed.iter().zip(to).for_each(|(&x, &y)| rest.add(x, y));
    }
    Some(rest)
}

/// One side has logits, the other what a softmax or a sigmoid makes of them.
pub(super) fn of_logits(sample: &Sample, measure: &Measure) -> Option<Cause> {
    let rows = || {
        (0..sample.rows()).map(|row| (sample.row_of_reference(row), sample.row_of_candidate(row)))
    };
    Transform::ALL.into_iter().find_map(|transform| {
        // A softmax of one class is one.
        if sample.classes < 2 && !matches!(transform, Transform::Sigmoid) {
            return None;
        }
        let apply = |row: &[f64], into: &mut Vec<f64>| transform.apply(row, into);
        let of_reference = rest_of(rows(), apply).filter(|rest| measure.explains(*rest));
        let of_candidate = || {
            let swapped = rows().map(|(a, b)| (b, a));
            rest_of(swapped, apply).filter(|rest| measure.explains_reference(*rest))
        };
        let (side, other, rest) = match of_reference {
            Some(rest) => ("candidate", "reference", rest),
            None => ("reference", "candidate", of_candidate()?),
        };
        let function = transform.function();
        let evidence = format!(
            "the {side} is the {function} of the {other}, whose numbers are logits: {}",
            measure.fall(rest)
        );
        Some(Cause::new(transform.name(), evidence))
    })
}

/// Rows whose numbers are probabilities: none is negative, and their sum is about one.
fn are_probabilities<'a>(mut rows: impl Iterator<Item = &'a [f64]>, most_off: f64) -> bool {
    rows.all(|row| {
        row.iter().all(|p| *p >= 0.0) && (row.iter().sum::<f64>() - 1.0).abs() <= most_off
    })
}

/// The candidate is a softmax of the reference's logits times a number, which only keeps the order of the classes.
pub(super) fn temperature(sample: &Sample, candidate: Side, measure: &Measure) -> Option<Cause> {
    let rows = 0..sample.rows();
    let step = candidate.integers.map_or(0.0, |it| it.scale());
    let most_off = 0.01 + sample.classes as f64 * step / 2.0;
    let of_candidate = rows.clone().map(|row| sample.row_of_candidate(row));
    if sample.classes < 2 || !are_probabilities(of_candidate, most_off) {
        return None;
    }
    let of_reference = rows.clone().map(|row| sample.row_of_reference(row));
    let logits: Vec<f64> = if are_probabilities(of_reference, 0.01) {
        sample.a.iter().map(|p| p.ln()).collect()
    } else {
        sample.a.clone()
    };
    // The slope of the logarithms by the logits, where rounding matters little.
    let least = (8.0 * step).max(1e-6);
    let (mut products, mut squares) = (0.0, 0.0);
    for row in rows {
        let at = row * sample.classes..(row + 1) * sample.classes;
        let points: Vec<(f64, f64)> = logits[at.clone()]
            .iter()
            .zip(&sample.b[at])
            .filter(|(x, p)| x.is_finite() && **p >= least)
            .map(|(x, p)| (*x, p.ln()))
            .collect();
        let count = points.len().max(1) as f64;
        let mean_x = points.iter().map(|(x, _)| x).sum::<f64>() / count;
        let mean_y = points.iter().map(|(_, y)| y).sum::<f64>() / count;
        for (x, y) in points {
            products += (x - mean_x) * (y - mean_y);
            squares += (x - mean_x) * (x - mean_x);
        }
    }
    let slope = products / squares;
    if !slope.is_finite() || (slope - 1.0).abs() < 0.05 {
        return None;
    }
    let pairs = logits.chunks_exact(sample.classes).zip(sample.b.chunks_exact(sample.classes));
    let rest = rest_of(pairs, |row, into| {
        let scaled: Vec<f64> = row.iter().map(|x| x * slope).collect();
        Transform::Softmax.apply(&scaled, into)
    })?;
    measure.explains(rest).then(|| {
        let evidence = format!(
            "the candidate is a softmax of the logits times {}, as if their scale were another: {}",
            short(slope),
            measure.fall(rest)
        );
        Cause::new("softmax_temperature", evidence)
    })
}
