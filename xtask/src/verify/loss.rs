//! What every loss must do, whichever it is.

use xent_core::{Buffers, Level};
use xent_reference::sum::sum;
use xent_reference::ulp::spacing_f32;

use crate::bounds::{Bound, Exact, SAME_MODES, SUM};
use crate::same::{SameLevels, same_bits};
use crate::table::Findings;

/// A loss of a batch: how to run it, and what it should return.
pub(super) struct Loss<'a> {
    /// The logits.
    pub(super) logits: &'a [f32],
    /// Runs the batch at a level, writes the loss of every row, and returns their sum.
    pub(super) run: &'a dyn Fn(Level, Buffers<'_>, &mut [f32]) -> f64,
    /// The bound on the loss of a row.
    pub(super) loss_bound: Bound,
    /// The loss of every row.
    pub(super) losses: Vec<Exact>,
    /// The bound on the gradient by a logit.
    pub(super) gradient_bound: Bound,
    /// The gradient by every logit, times the batch's scale.
    pub(super) gradients: Vec<Exact>,
    /// Names the logit of that index.
    pub(super) place: &'a dyn Fn(usize) -> String,
}

/// What one call returned.
struct Output {
    sum: f64,
    losses: Vec<f32>,
    /// Empty where only the loss was asked for.
    gradient: Vec<f32>,
}

impl Loss<'_> {
    /// Judges the loss at every level: the losses of the rows, their sum, the gradient, and that
    /// buffers and levels make no difference.
    pub(super) fn check(&self, findings: &mut Findings) {
        let mut levels = SameLevels::default();
        for level in Level::available() {
            let [alone, beside, in_place] = self.solve(level);
            self.accuracy(level, &beside, findings);
            self.same_modes(level, [&alone, &beside, &in_place], findings);
            let all = [beside.losses, beside.gradient].concat();
            levels.compare(level, &all, findings, |i| self.result(i));
        }
    }

    /// Loss only, gradient out of place, gradient in place.
    fn solve(&self, level: Level) -> [Output; 3] {
        let run = |buffers: Buffers<'_>| {
            // A value that no result has, to notice one that is never written.
            let mut losses = vec![f32::MIN; self.losses.len()];
            let sum = (self.run)(level, buffers, &mut losses);
            Output { sum, losses, gradient: Vec::new() }
        };
        let mut gradient = vec![f32::MIN; self.logits.len()];
        let mut replaced = self.logits.to_vec();
        let alone = run(Buffers::Loss(self.logits));
        let beside = run(Buffers::Gradient(self.logits, &mut gradient));
        let in_place = run(Buffers::InPlace(&mut replaced));
        [alone, Output { gradient, ..beside }, Output { gradient: replaced, ..in_place }]
    }

    fn accuracy(&self, level: Level, got: &Output, findings: &mut Findings) {
        let per_row = self.gradients.len() / self.losses.len();
        let place = |row: usize| (self.place)(row * per_row);
        for (bound, exact, got, place) in [
            (self.loss_bound, &self.losses, &got.losses, &place as &dyn Fn(usize) -> String),
            (self.gradient_bound, &self.gradients, &got.gradient, self.place),
        ] {
            let finding = findings.of(bound, level);
            for (i, (exact, &got)) in exact.iter().zip(got).enumerate() {
                let allowed = exact.allowed(bound.at(level));
                finding.record(exact.error(got), allowed, || {
                    format!("{got:e} for {:e}: {}", exact.value, place(i))
                });
            }
        }

        let total = sum(self.losses.iter().map(|exact| exact.value));
        let allowed = sum(self.losses.iter().map(|exact| {
            if exact.value.is_finite() {
                exact.allowed(self.loss_bound.at(level)) * spacing_f32(exact.value)
            } else {
                0.0
            }
        }));
        let bound =
            SUM.at(level) + if total.is_finite() { allowed / spacing_f32(total) } else { 0.0 };
        findings.of(SUM, level).record(Exact::new(total).error(got.sum as f32), bound, || {
            format!("{:e} for {total:e}: {} and on, {}", got.sum, place(0), self.loss_bound.name)
        });
    }

    fn same_modes(
        &self,
        level: Level,
        [alone, beside, in_place]: [&Output; 3],
        findings: &mut Findings,
    ) {
        for other in [alone, in_place] {
            let same = other.sum.to_bits() == beside.sum.to_bits()
                || (other.sum.is_nan() && beside.sum.is_nan());
            let error = if same { 0.0 } else { f64::INFINITY };
            findings.of(SAME_MODES, level).record(error, SAME_MODES.at(level), || {
                format!("sums {:e} and {:e}, from {}", beside.sum, other.sum, self.result(0))
            });
            let losses: [&[f32]; 2] = [&beside.losses, &other.losses];
            same_bits(SAME_MODES, level, losses, findings, |i| self.result(i));
        }
        let gradients: [&[f32]; 2] = [&beside.gradient, &in_place.gradient];
        same_bits(SAME_MODES, level, gradients, findings, |i| self.result(self.losses.len() + i));
    }

    /// Names a result: the losses come first, then the gradients.
    fn result(&self, index: usize) -> String {
        let rows = self.losses.len();
        match index.checked_sub(rows) {
            Some(logit) => format!("{}: {}", self.gradient_bound.name, (self.place)(logit)),
            None => {
                let logit = index * self.gradients.len() / rows;
                format!("{}: {}", self.loss_bound.name, (self.place)(logit))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Half the square of each logit, or not quite.
    fn squares(flaw: fn(&mut Buffers<'_>, &mut [f32])) -> Findings {
        let logits = [1.0, -2.0, 3.0];
        let exact = |of: fn(f64) -> f64| logits.map(|x| Exact::new(of(x.into()))).to_vec();
        let mut findings = Findings::default();
        Loss {
            logits: &logits,
            run: &|_, mut buffers, losses| {
                let (Buffers::Loss(x) | Buffers::Gradient(x, _)) = &buffers else {
                    // In place the gradient is there already.
                    losses.copy_from_slice(&logits.map(|x| x * x / 2.0));
                    flaw(&mut buffers, losses);
                    return 7.0;
                };
                losses.copy_from_slice(&x.iter().map(|x| x * x / 2.0).collect::<Vec<_>>());
                if let Buffers::Gradient(x, gradient) = &mut buffers {
                    gradient.copy_from_slice(x);
                }
                flaw(&mut buffers, losses);
                7.0
            },
            loss_bound: Bound::new("loss", 1.0),
            losses: exact(|x| x * x / 2.0),
            gradient_bound: Bound::new("gradient", 1.0),
            gradients: exact(|x| x),
            place: &|i| i.to_string(),
        }
        .check(&mut findings);
        findings
    }

    #[test]
    fn an_exact_loss_passes() {
        assert_eq!(squares(|_, _| {}).failures(), 0);
    }

    #[test]
    fn a_wrong_loss_is_noticed_at_every_level() {
        let levels = Level::available().count();
        assert_eq!(squares(|_, losses| losses[1] *= 1.000_001).failures(), levels);
    }

    #[test]
    fn a_wrong_gradient_is_noticed_in_its_value_and_against_that_in_place() {
        let levels = Level::available().count();
        let findings = squares(|buffers, _| {
            if let Buffers::Gradient(_, gradient) = buffers {
                gradient[2] = 3.1;
            }
        });
        assert_eq!(findings.failures(), 2 * levels);
    }
}
