//! Results that must have the same bits.

use xent_core::Level;

use crate::bounds::{Bound, SAME_LEVELS};
use crate::table::Findings;

/// Compares two runs of numbers; the sign and payload of a NaN are not promised.
pub(crate) fn same_bits(
    bound: Bound,
    level: Level,
    [a, b]: [&[f32]; 2],
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

/// What the first level with FMA returned, for the others to agree with.
#[derive(Default)]
pub(crate) struct SameLevels(Option<Vec<f32>>);

impl SameLevels {
    /// Compares the results of one more level, if it has FMA.
    pub(crate) fn compare(
        &mut self,
        level: Level,
        got: &[f32],
        findings: &mut Findings,
        place: impl Fn(usize) -> String,
    ) {
        match &self.0 {
            _ if !level.has_fma() => {}
            Some(first) => same_bits(SAME_LEVELS, level, [first, got], findings, place),
            None => self.0 = Some(got.to_vec()),
        }
    }
}
