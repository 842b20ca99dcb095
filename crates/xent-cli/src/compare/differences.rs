//! The differences of single elements, over the whole array.

use serde::Serialize;

use super::side::{Formats, Side, Steps, absolute};
use super::tolerance::{Distances, Misses, Tolerance};

/// The element with the largest difference.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Worst {
    /// Counted from the first element of the array.
    pub(super) element: usize,
    pub(super) reference: f64,
    pub(super) candidate: f64,
    pub(super) distance: f64,
}

/// The most steps that have a bin of their own; the last bins hold everything beyond.
const MOST_STEPS: usize = 16;

/// Elements by candidate minus reference, rounded to whole steps.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Bin {
    pub(super) lsb: i64,
    pub(super) elements: usize,
}

/// Sums over all elements that are compared.
#[derive(Clone, Debug)]
pub(super) struct Differences {
    formats: Formats,
    pub(super) steps: Option<Steps>,
    tolerance: Tolerance,
    pub(super) compared: usize,
    /// As f64, which can hold every format.
    pub(super) same_bits: bool,
    /// Elements that are finite on one side only, or differ although neither is finite.
    pub(super) not_finite: usize,
    pub(super) worst_ulp: Option<Worst>,
    pub(super) worst_abs: Option<Worst>,
    pub(super) worst_rel: Option<Worst>,
    pub(super) worst_lsb: Option<Worst>,
    /// Elements outside the tolerance, and the tolerances that they miss.
    pub(super) over: usize,
    pub(super) missed: Misses,
    /// Over the elements that are finite on both sides.
    finite: usize,
    sum_abs: f64,
    sum_lsb: f64,
    squares_of_reference: f64,
    squares_of_difference: f64,
    by_lsb: [usize; 2 * MOST_STEPS + 1],
}

impl Differences {
    pub(super) fn new(reference: Side, candidate: Side, tolerance: Tolerance) -> Self {
        Self {
            formats: Formats::of(reference.format, candidate.format),
            steps: Steps::of(reference, candidate),
            tolerance,
            compared: 0,
            same_bits: true,
            not_finite: 0,
            worst_ulp: None,
            worst_abs: None,
            worst_rel: None,
            worst_lsb: None,
            over: 0,
            missed: [false; 3],
            finite: 0,
            sum_abs: 0.0,
            sum_lsb: 0.0,
            squares_of_reference: 0.0,
            squares_of_difference: 0.0,
            by_lsb: [0; 2 * MOST_STEPS + 1],
        }
    }

    pub(super) fn look(&mut self, element: usize, a: f64, b: f64) {
        self.compared += 1;
        self.same_bits &= a.to_bits() == b.to_bits();
        let (ulp, abs) = (self.formats.ulp(a, b), absolute(a, b));
        let steps = self.steps.map(|steps| steps.between(a, b));
        let lsb = steps.map(|steps| if abs.is_finite() { steps.abs() } else { abs });
        if a.is_finite() && b.is_finite() {
            self.finite += 1;
            self.sum_abs += abs;
            self.squares_of_reference += a * a;
            self.squares_of_difference += abs * abs;
            if let Some(steps) = steps {
                self.sum_lsb += steps.abs();
                let most = MOST_STEPS as f64;
                self.by_lsb[(steps.round().clamp(-most, most) + most) as usize] += 1;
            }
        } else {
            self.not_finite += usize::from(abs != 0.0);
        }
        let misses = self.tolerance.misses(Distances { ulp, abs, lsb }, a);
        self.over += usize::from(misses.contains(&true));
        self.missed = std::array::from_fn(|i| self.missed[i] | misses[i]);
        let relative = if abs == 0.0 { 0.0 } else { abs / a.abs() };
        for (worst, distance) in [
            (&mut self.worst_ulp, Some(ulp)),
            (&mut self.worst_abs, Some(abs)),
            (&mut self.worst_rel, Some(relative)),
            (&mut self.worst_lsb, lsb),
        ] {
            if let Some(distance) = distance
                && worst.is_none_or(|worst| distance > worst.distance)
            {
                *worst = Some(Worst { element, reference: a, candidate: b, distance });
            }
        }
    }

    /// The mean size of a difference.
    pub(super) fn mean_abs(&self) -> Option<f64> {
        (self.finite > 0).then(|| self.sum_abs / self.finite as f64)
    }

    /// The mean size of a difference in steps.
    pub(super) fn mean_lsb(&self) -> Option<f64> {
        (self.finite > 0 && self.steps.is_some()).then(|| self.sum_lsb / self.finite as f64)
    }

    /// The signal-to-quantisation-noise ratio; None without noise or signal.
    pub(super) fn sqnr_db(&self) -> Option<f64> {
        let ratio = self.squares_of_reference / self.squares_of_difference;
        (ratio > 0.0 && ratio.is_finite()).then(|| 10.0 * ratio.log10())
    }

    /// Elements by their difference in steps, without empty bins; None without steps.
    pub(super) fn bins(&self) -> Option<Vec<Bin>> {
        self.steps?;
        let bins = (-(MOST_STEPS as i64)..).zip(self.by_lsb);
        Some(bins.map(|(lsb, elements)| Bin { lsb, elements }).filter(|b| b.elements > 0).collect())
    }
}
