//! Results that must have the same bits.

use xent_core::Level;

use crate::bounds::{Bound, SAME_LEVELS};
use crate::format::Checked;
use crate::table::Findings;

/// Compares two runs of numbers, in any format; the sign and payload of a NaN may differ.
pub(crate) fn same_bits(
    bound: Bound,
    level: Level,
    [a, b]: [&[f64]; 2],
    findings: &mut Findings,
    place: impl Fn(usize) -> String,
) {
    let finding = findings.of(bound, level);
    for (i, (a, b)) in a.iter().zip(b).enumerate() {
        let same = a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan());
        finding.record(if same { 0.0 } else { f64::INFINITY }, bound.at(level), || {
            format!("{a:e} and {b:e}: {}", place(i))
        });
    }
}

/// The results of the first level with FMA, which the others must match.
pub(crate) struct SameLevels {
    bound: Bound,
    first: Option<Vec<f64>>,
}

impl SameLevels {
    /// For logits of that format.
    pub(crate) fn of<E: Checked>() -> Self {
        Self { bound: SAME_LEVELS.of::<E>(), first: None }
    }

    /// Compares the results of another level, if it has FMA.
    pub(crate) fn compare(
        &mut self,
        level: Level,
        got: &[f64],
        findings: &mut Findings,
        place: impl Fn(usize) -> String,
    ) {
        match &self.first {
            _ if !level.has_fma() => {}
            Some(first) => same_bits(self.bound, level, [first, got], findings, place),
            None => self.first = Some(got.to_vec()),
        }
    }
}
