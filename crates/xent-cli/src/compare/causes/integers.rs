//! What the steps of the candidate's integers show: ends of the type, and how halves were rounded.

use super::super::side::Steps;
use super::sample::{EXPLAINED, Rest};
use super::{Cause, percent, short};

/// The fewest differences that show a rule.
const FEWEST: usize = 16;
/// A difference of a half, or of whole steps of a type, up to the rounding of f32.
const NEARLY: f64 = 1e-3;

/// Counts over all elements.
#[derive(Clone, Debug)]
pub(super) struct StepCounts {
    steps: Steps,
    elements: usize,
    all: Rest,
    /// Elements at an end of the type whose reference is beyond it, and the difference of all others.
    saturated: usize,
    not_saturated: Rest,
    /// Elements that are off by all integers of the type, and the difference of all others.
    wrapped: usize,
    not_wrapped: Rest,
    rounding: Rounding,
}

/// Elements that another rule of rounding can explain.
#[derive(Clone, Copy, Debug, Default)]
struct Rounding {
    /// Numbers that are not the reference rounded to nearest, halves to even.
    differ: usize,
    /// Of these, ones that no rule for halves explains.
    by_more: usize,
    up: usize,
    down: usize,
    /// Further from zero than the reference, or closer to it.
    away: usize,
    towards: usize,
    below_zero: usize,
    above_zero: usize,
    /// Whole references that are even.
    even: usize,
}

impl StepCounts {
    pub(super) fn new(steps: Steps) -> Self {
        let (all, not_saturated, not_wrapped) = Default::default();
        let rounding = Rounding::default();
        let (elements, saturated, wrapped) = (0, 0, 0);
        Self { steps, elements, all, saturated, not_saturated, wrapped, not_wrapped, rounding }
    }

    pub(super) fn add(&mut self, a: f64, b: f64) {
        let reference = self.steps.of_reference(a);
        let candidate = self.steps.candidate.whole_steps(b);
        self.elements += 1;
        self.all.add(reference, candidate);
        let [smallest, largest] = self.steps.candidate.ends();
        let is_at_end = candidate == largest || candidate == smallest;
        let beyond = if is_at_end { (reference - largest).max(smallest - reference) } else { 0.0 };
        // Up to a step is that of a type whose range ends just below the largest number, as of a softmax below one.
        if beyond > 1.0 + NEARLY {
            self.saturated += 1;
        } else {
            self.not_saturated.add(reference, candidate);
        }
        let integers = largest - smallest + 1.0;
        if ((candidate - reference).abs() - integers).abs() <= 2.0 {
            self.wrapped += 1;
        } else {
            self.not_wrapped.add(reference, candidate);
        }
        if beyond < 0.5 && reference != candidate {
            self.rounding.add(reference, candidate, self.steps.are_whole());
        }
    }

    pub(super) fn causes(&self) -> Vec<Cause> {
        let mut causes = Vec::new();
        causes.extend(self.saturation());
        causes.extend(self.wrap());
        causes.extend(self.rounding());
        causes
    }

    /// Whether the rest is little of the whole difference, or at most a step.
    fn explains(&self, rest: Rest) -> bool {
        rest.squares <= self.all.squares / EXPLAINED || rest.largest <= 1.0 + NEARLY
    }

    fn saturation(&self) -> Option<Cause> {
        // Where most are at the ends, the numbers are of another kind.
        let is_some = self.saturated > 0 && 2 * self.saturated <= self.elements;
        (is_some && self.explains(self.not_saturated)).then(|| {
            let integers = self.steps.candidate;
            let evidence = format!(
                "{} elements ({}) are at {} or {}, the ends of the integers, where the reference is beyond: the \
                 others differ by at most {} LSB",
                self.saturated,
                percent(self.saturated, self.elements),
                integers.smallest,
                integers.largest,
                short(self.not_saturated.largest)
            );
            Cause::new("saturation", evidence)
        })
    }

    fn wrap(&self) -> Option<Cause> {
        (self.wrapped > 0 && self.explains(self.not_wrapped)).then(|| {
            let integers = self.steps.candidate;
            let evidence = format!(
                "{} elements are off by {}, the number of the integers of the type: they wrapped around, or \
                 signed and unsigned integers were confused; the others differ by at most {} LSB",
                self.wrapped,
                i64::from(integers.largest) - i64::from(integers.smallest) + 1,
                short(self.not_wrapped.largest)
            );
            Cause::new("wrap_around", evidence)
        })
    }

    fn rounding(&self) -> Option<Cause> {
        let Rounding { differ, by_more, up, down, away, towards, even, .. } = self.rounding;
        if differ < FEWEST || by_more > 0 {
            return None;
        }
        let share = percent(differ, self.elements);
        let is_whole = self.steps.are_whole();
        // Halves to even leave even numbers, and a step from them the other rule's.
        let (is_even, is_odd) = (even == differ || !is_whole, even == 0 && is_whole);
        let rule_of = |raised: usize, lowered: usize| {
            if is_even && raised == differ {
                Some("candidate")
            } else {
                (is_odd && lowered == differ).then_some("reference")
            }
        };
        let of_halves = [
            ("halves_up", "up", up, down),
            ("halves_away_from_zero", "away from zero", away, towards),
        ]
        .into_iter()
        .find_map(|(name, rule, raised, lowered)| Some((name, rule, rule_of(raised, lowered)?)));
        if let Some((name, rule, side)) = of_halves {
            let of_what = if is_whole {
                "between an even number and the next, in one direction"
            } else {
                "where the reference lies half way between two steps"
            };
            let evidence = format!(
                "{differ} elements ({share}) are one step off, each {of_what}: the {side} rounds halves {rule}, \
                 the other to even"
            );
            return Some(Cause::new(name, evidence));
        }
        let further = away == differ || towards == differ;
        let share_of_all = differ as f64 / self.elements as f64;
        let of_both_signs = self.rounding.below_zero.min(self.rounding.above_zero) >= FEWEST / 4;
        // With a right shift of one it is a quarter, the most there is.
        if is_whole && further && of_both_signs && share_of_all < 0.3 {
            let side = if away == differ { "candidate" } else { "reference" };
            let shift = (-share_of_all.log2() - 1.0).round().max(1.0);
            let evidence = format!(
                "{differ} elements ({share}) are one step off, none by more, and the {side}'s are all further \
                 from zero: it rounds twice, the other once; a right shift of {shift} makes that \
                 {} %",
                short(100.0 * (-shift - 1.0).exp2())
            );
            return Some(Cause::new("rounded_twice", evidence));
        }
        None
    }
}

impl Rounding {
    fn add(&mut self, reference: f64, candidate: f64, is_whole: bool) {
        let off = candidate - reference;
        if !is_whole {
            let rounded = reference.round_ties_even();
            if candidate == rounded {
                return;
            }
            // The other neighbour of a half.
            let is_half = (reference - reference.floor() - 0.5).abs() < NEARLY;
            self.by_more += usize::from(!is_half || off.abs() > 0.5 + NEARLY);
        } else {
            self.by_more += usize::from(off.abs() != 1.0);
        }
        self.differ += 1;
        self.up += usize::from(off > 0.0);
        self.down += usize::from(off < 0.0);
        // From zero, every step is away.
        self.away += usize::from(off * reference >= 0.0);
        self.towards += usize::from(off * reference < 0.0);
        self.below_zero += usize::from(reference < 0.0);
        self.above_zero += usize::from(reference > 0.0);
        self.even += usize::from(reference.rem_euclid(2.0) == 0.0);
    }
}
