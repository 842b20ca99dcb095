//! The worst results, with their inputs.

use serde::{Deserialize, Serialize};
use xent_core::Level;

use super::input::Input;
use crate::table::{Finding, share_of};

/// The result closest to the bound of one function in one format, at the levels with fused
/// multiply-add or at those without.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Case {
    pub(super) function: String,
    pub(super) format: String,
    pub(super) fma: bool,
    /// How many results were judged.
    pub(super) tried: u64,
    pub(super) error: f64,
    /// The bound for it.
    pub(super) bound: f64,
    pub(super) input: Input,
}

impl Case {
    /// Its name: function, format, and whether the levels have FMA.
    pub(super) fn subject(&self) -> (&str, &str, bool) {
        (&self.function, &self.format, self.fma)
    }

    pub(super) fn is_of(&self, other: &Self) -> bool {
        self.subject() == other.subject()
    }

    pub(super) fn share(&self) -> f64 {
        share_of(self.error, self.bound)
    }

    pub(super) fn is_ok(&self) -> bool {
        self.error <= self.bound
    }

    pub(super) fn name(&self) -> String {
        let levels = if self.fma { "with" } else { "without" };
        format!("{} {} {levels} FMA", self.function, self.format)
    }
}

/// The cases of all functions, in the order in which they were tried.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Worst(pub(super) Vec<Case>);

impl Worst {
    /// Adds the worst result of an input, or the worst of many. Results that must be exact are not
    /// kept: they are right or wrong.
    pub(super) fn add(&mut self, finding: Finding, input: impl FnOnce() -> Input) {
        let subject = (finding.name, finding.format, finding.level.has_fma());
        let share = share_of(finding.error, finding.bound);
        // Levels with the same bits count as one.
        let first = Level::available().find(|level| level.has_fma() == finding.level.has_fma());
        let tried = if first == Some(finding.level) { finding.tried } else { 0 };
        match self.0.iter_mut().find(|case| case.subject() == subject) {
            Some(case) if share > case.share() => {
                (case.error, case.bound) = (finding.error, finding.bound);
                case.input = input();
                case.tried += tried;
            }
            Some(case) => case.tried += tried,
            None if finding.bound == 0.0 || finding.name == "sum of losses" => {}
            None => self.0.push(Case {
                function: finding.name.to_owned(),
                format: finding.format.to_owned(),
                fma: finding.level.has_fma(),
                tried,
                error: finding.error,
                bound: finding.bound,
                input: input(),
            }),
        }
    }

    /// Both.
    pub(super) fn merged(mut self, other: Self) -> Self {
        for case in other.0 {
            match self.0.iter_mut().find(|known| known.is_of(&case)) {
                Some(known) => {
                    let tried = known.tried + case.tried;
                    if case.share() > known.share() {
                        *known = case;
                    }
                    known.tried = tried;
                }
                None => self.0.push(case),
            }
        }
        self
    }

    /// A line for each, in columns.
    pub(super) fn to_text(&self) -> String {
        let lines = self.0.iter().map(|case| {
            let ok = if case.is_ok() { "ok" } else { "NO" };
            let (name, classes) = (case.name(), case.input.classes);
            format!(
                "{name:40} {:>12} judged, worst {:>8.3} of {:>8.3} {ok} ({classes} classes)\n",
                case.tried, case.error, case.bound
            )
        });
        lines.collect()
    }

    #[cfg(test)]
    pub(super) fn share(&self, function: &str, format: &str, fma: bool) -> f64 {
        let known = self.0.iter().find(|case| case.subject() == (function, format, fma));
        known.map_or(0.0, Case::share)
    }
}
