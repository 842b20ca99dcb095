//! Checks that apply to every loss.

use xent_core::{Buffers, Element, Gradient, Level};
use xent_reference::sum::sum;

use crate::bounds::{Answer, Bound, SAME_MODES, SUM};
use crate::format::{Checked, Real};
use crate::same::{SameLevels, same_bits};
use crate::table::Findings;

/// Runs a batch at a level, writes the loss of every row, and returns their sum.
type Run<'a, E> = dyn Fn(Level, Buffers<'_, E>, &mut [<E as Element>::Float]) -> f64 + 'a;

/// A loss of a batch: how to run it, and the expected results.
pub(super) struct Loss<'a, E: Checked> {
    /// The logits.
    pub(super) logits: &'a [E],
    /// Runs the batch.
    pub(super) run: &'a Run<'a, E>,
    /// The bound on the loss of a row.
    pub(super) loss_bound: Bound,
    /// The loss of every row.
    pub(super) losses: Vec<Answer<E::Real>>,
    /// The bound on the gradient by a logit.
    pub(super) gradient_bound: Bound,
    /// The gradient by every logit, times the batch's scale.
    pub(super) gradients: Vec<Answer<E::Real>>,
    /// The bound on the sum of a row's gradient, if that is zero in theory.
    pub(super) zero_sum: Option<Bound>,
    /// Names the logit at an index.
    pub(super) place: &'a dyn Fn(usize) -> String,
}

/// The results of one call.
struct Output {
    sum: f64,
    losses: Vec<f64>,
    /// Empty if only the loss was asked for.
    gradient: Vec<f64>,
}

impl<E: Checked> Loss<'_, E> {
    /// Judges the loss at every level: the losses of the rows, their sum and the gradient, and that
    /// buffers and levels make no difference.
    pub(super) fn check(&self, findings: &mut Findings) {
        let mut levels = SameLevels::of::<E>();
        for level in Level::available() {
            let [beside, others @ ..] = self.solve(level);
            self.accuracy(level, &beside, findings);
            self.same_modes(level, &beside, &others, findings);
            let all = [beside.losses, beside.gradient].concat();
            levels.compare(level, &all, findings, |i| self.result(i));
        }
    }

    /// Gradient out of place, in place, out of place and not yet rounded to the format of the
    /// logits; loss only.
    fn solve(&self, level: Level) -> [Output; 4] {
        // A value that no result has, to notice results that are not written.
        let never = f64::NEG_INFINITY;
        let run = |buffers: Buffers<'_, E>| {
            let mut losses = vec![E::float(never); self.losses.len()];
            let sum = (self.run)(level, buffers, &mut losses);
            let losses = losses.into_iter().map(Into::into).collect();
            Output { sum, losses, gradient: Vec::new() }
        };
        let wide = |gradient: &[E]| gradient.iter().map(|g| g.wide()).collect();

        let mut gradient = vec![E::nearest(never); self.logits.len()];
        let beside = run(Buffers::gradient(self.logits, &mut gradient));
        let beside = Output { gradient: wide(&gradient), ..beside };

        gradient.copy_from_slice(self.logits);
        let in_place = run(Buffers::in_place(&mut gradient));
        let in_place = Output { gradient: wide(&gradient), ..in_place };

        let mut unrounded = vec![E::float(never); self.logits.len()];
        let rounded_here = run(Buffers::new(self.logits, Gradient::WriteWide(&mut unrounded)));
        let gradient = unrounded.into_iter().map(|g| E::from_float(g).wide()).collect();
        let rounded_here = Output { gradient, ..rounded_here };

        [beside, in_place, rounded_here, run(Buffers::loss(self.logits))]
    }

    fn accuracy(&self, level: Level, got: &Output, findings: &mut Findings) {
        let (loss_bound, losses) = (self.loss_bound.of::<E>(), &self.losses);
        let per_row = self.gradients.len() / losses.len();
        let place = |row: usize| (self.place)(row * per_row);
        findings.judge(loss_bound, level, losses, &got.losses, place);
        let gradient_bound = self.gradient_bound.stored::<E>();
        findings.judge(gradient_bound, level, &self.gradients, &got.gradient, self.place);

        if let Some(bound) = self.zero_sum.map(Bound::stored::<E>) {
            for (row, gradient) in got.gradient.chunks_exact(per_row).enumerate() {
                // Rows with infinite logits have exact results, case by case.
                if gradient.iter().all(|g| g.is_finite()) {
                    let error = bound.error_of_sum(gradient);
                    findings.of(bound, level).record(error, bound.at(level), || place(row));
                }
            }
        }

        let total = E::Real::sum(losses.iter().map(|loss| loss.value)).to_f64();
        let allowed = sum(losses.iter().map(|&loss| {
            let size = loss.value.to_f64();
            if size.is_finite() {
                loss_bound.allowed(loss, level) * loss_bound.spacing(size)
            } else {
                0.0
            }
        }));
        let of_losses = if total.is_finite() { allowed / loss_bound.spacing(total) } else { 0.0 };
        let bound = SUM.of::<E>();
        let error = bound.error(Answer::new(E::Real::from(total)), E::float(got.sum).into());
        findings.of(bound, level).record(error, bound.at(level) + of_losses, || {
            format!("{:e} for {total:e}: {} and on, {}", got.sum, place(0), loss_bound.name)
        });
    }

    fn same_modes(
        &self,
        level: Level,
        beside: &Output,
        others: &[Output],
        findings: &mut Findings,
    ) {
        let bound = SAME_MODES.of::<E>();
        for other in others {
            let same = other.sum.to_bits() == beside.sum.to_bits()
                || (other.sum.is_nan() && beside.sum.is_nan());
            let error = if same { 0.0 } else { f64::INFINITY };
            findings.of(bound, level).record(error, bound.at(level), || {
                format!("sums {:e} and {:e}, from {}", beside.sum, other.sum, self.result(0))
            });
            let losses: [&[f64]; 2] = [&beside.losses, &other.losses];
            same_bits(bound, level, losses, findings, |i| self.result(i));
            // Empty if only the loss was asked for.
            let gradients: [&[f64]; 2] = [&beside.gradient, &other.gradient];
            same_bits(bound, level, gradients, findings, |i| self.result(self.losses.len() + i));
        }
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
    use half::bf16;

    use super::*;

    /// Half the square of each logit, with a small error.
    fn squares<E: Checked>(flaw: fn(&mut Buffers<'_, E>, &mut [E::Float])) -> Findings {
        let numbers = [1.0, -2.0, 3.0];
        let logits = numbers.map(E::nearest);
        let answers =
            |of: fn(f64) -> f64| numbers.map(|x| Answer::new(E::Real::from(of(x)))).to_vec();
        let mut findings = Findings::default();
        Loss {
            logits: &logits,
            run: &|_, mut buffers, losses| {
                losses.copy_from_slice(&numbers.map(|x| E::float(x * x / 2.0)));
                match buffers.logits_and_gradient() {
                    (Some(x), Gradient::Write(gradient)) => gradient.copy_from_slice(x),
                    (_, Gradient::WriteWide(gradient)) => {
                        gradient.copy_from_slice(&numbers.map(E::float));
                    }
                    // In place the gradient is already there.
                    _ => {}
                }
                flaw(&mut buffers, losses);
                7.0
            },
            loss_bound: Bound::new("loss", 1.0),
            losses: answers(|x| x * x / 2.0),
            gradient_bound: Bound::new("gradient", 1.0),
            gradients: answers(|x| x),
            zero_sum: None,
            place: &|i| i.to_string(),
        }
        .check(&mut findings);
        findings
    }

    #[test]
    fn an_exact_loss_passes() {
        assert_eq!(squares::<f32>(|_, _| {}).failures(), 0);
        assert_eq!(squares::<f64>(|_, _| {}).failures(), 0);
        assert_eq!(squares::<bf16>(|_, _| {}).failures(), 0);
    }

    #[test]
    fn a_wrong_loss_is_noticed_at_every_level() {
        let levels = Level::available().count();
        assert_eq!(squares::<f32>(|_, losses| losses[1] *= 1.000_001).failures(), levels);
        assert_eq!(squares::<f64>(|_, losses| losses[1] *= 1.0 + 1e-15).failures(), levels);
        // In f32, whatever the format of the logits.
        assert_eq!(squares::<bf16>(|_, losses| losses[1] *= 1.000_001).failures(), levels);
    }

    #[test]
    fn a_wrong_gradient_is_noticed_in_its_value_and_against_that_in_place() {
        fn failures<E: Checked>() -> usize {
            let findings = squares::<E>(|buffers, _| {
                if let (Some(_), Gradient::Write(gradient)) = buffers.logits_and_gradient() {
                    gradient[2] = E::from_bits(gradient[2].bits() + 2);
                }
            });
            findings.failures()
        }
        let levels = Level::available().count();
        assert_eq!(failures::<f32>(), 2 * levels);
        assert_eq!(failures::<f64>(), 2 * levels);
        assert_eq!(failures::<bf16>(), 2 * levels);
    }

    #[test]
    fn a_gradient_that_is_rounded_twice_is_noticed() {
        let findings = squares::<bf16>(|buffers, _| {
            if let (_, Gradient::WriteWide(gradient)) = buffers.logits_and_gradient() {
                // More than half an ULP of bf16.
                gradient[0] = 1.005;
            }
        });
        assert_eq!(findings.failures(), Level::available().count());
    }
}
