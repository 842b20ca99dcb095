//! The directed search for rows whose results come closest to their bounds, or exceed them.
//!
//! A climb starts from a random row and changes one thing at a time: one logit by a few ULP, one logit by a lot,
//! the targets, or the spread of the row. A change is kept unless the result gets better.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rayon::prelude::*;
use xent_core::{Float, Level};

use super::Chosen;
use super::input::Input;
use super::worst::Worst;
use crate::format::Checked;
use crate::progress;
use crate::rows::{self, Rows};
use crate::table::{Findings, share_of};
use crate::verify::{self, Batch, Check};

/// Steps of a climb, if there are few classes.
const STEPS: u64 = 400;
/// A quick search runs one of this many climbs.
const QUICK: u64 = 100;

/// A search in one format: a check, and the results whose errors the climbs maximise.
struct Subject<E> {
    /// The seed of its climbs.
    number: u64,
    check: Check<E>,
    goals: &'static [&'static str],
    classes: &'static [usize],
}

const ROWS: [usize; 11] = [2, 3, 5, 10, 32, 33, 100, 1000, 4097, 128_256, 1_000_003];

/// The losses, in every format.
fn losses<E: Checked>() -> [Subject<E>; 3] {
    [
        Subject {
            number: 0,
            check: verify::softmax::index,
            goals: &["softmax index, loss", "softmax index, gradient", "softmax index, Σ gradient"],
            classes: &ROWS,
        },
        Subject {
            number: 1,
            check: verify::softmax::dense,
            goals: &["softmax dense, loss", "softmax dense, gradient"],
            classes: &ROWS[..10],
        },
        Subject {
            number: 2,
            check: verify::sigmoid::check,
            goals: &["sigmoid, loss", "sigmoid, gradient"],
            classes: &[1, 2, 8],
        },
    ]
}

/// The functions of a row.
fn slices<F: Float + Checked>() -> Subject<F> {
    Subject {
        number: 0,
        check: verify::slices::check,
        goals: &["log_sum_exp", "softmax", "log_softmax"],
        classes: &ROWS[..9],
    }
}

/// The results of one input, judged at every level.
fn judged<E: Checked>(check: Check<E>, input: &Input) -> Findings {
    judged_row(check, input, input.rows())
}

fn judged_row<E: Checked>(check: Check<E>, input: &Input, rows: Rows<E>) -> Findings {
    let mut findings = Findings::default();
    let mut rng = StdRng::seed_from_u64(input.targets);
    check(&Batch::new(rows, 1.0), &mut rng, &mut findings);
    findings
}

/// One climb.
struct Climb<'a, E> {
    subject: &'a Subject<E>,
    goal: &'static str,
    has_fma: bool,
    classes: usize,
    steps: u64,
    seed: u64,
}

impl<E: Checked> Climb<'_, E> {
    /// Decides for each input whether the climb continues from it.
    fn run(&self, mut reached: impl FnMut(&Input, &Rows<E>)) -> Worst {
        let mut rng = StdRng::seed_from_u64(self.seed);
        let mut worst = Worst::default();
        let mut at = Input::random(self.classes, &mut rng);
        let mut rows = at.rows::<E>();
        let mut height = self.height(&at, rows.clone(), &mut worst);
        reached(&at, &rows);
        for _ in 1..self.steps {
            let next = at.changed(&rows.logits, &mut rng);
            let next_rows = next.rows::<E>();
            let next_height = self.height(&next, next_rows.clone(), &mut worst);
            if next_height >= height {
                (at, rows, height) = (next, next_rows, next_height);
                reached(&at, &rows);
            }
        }
        worst
    }

    /// The result that is maximised, as a share of its bound.
    fn height(&self, input: &Input, rows: Rows<E>, worst: &mut Worst) -> f64 {
        let findings = judged_row(self.subject.check, input, rows).into_all();
        let of_goal = findings
            .iter()
            .filter(|finding| finding.name == self.goal && finding.level.has_fma() == self.has_fma);
        let height = of_goal.map(|f| share_of(f.error, f.bound)).fold(0.0, f64::max);
        for finding in findings {
            worst.add(finding, || input.clone());
        }
        height
    }
}

/// The climbs for some goals, given the cost of a class relative to `f32` and the largest number of classes.
fn climbs<E: Checked>(
    subjects: &[Subject<E>],
    (cost, largest): (u64, usize),
    quick: bool,
) -> Vec<Climb<'_, E>> {
    /// Classes of `f32` in all climbs of a goal together.
    const BUDGET: u64 = 1 << 22;
    /// The cost of an input besides its classes.
    const OVERHEAD: u64 = 24;
    let with_fma = Level::available().any(Level::has_fma);
    let without = Level::available().any(|level| !level.has_fma());
    let kinds: Vec<bool> = [(true, with_fma), (false, without)]
        .into_iter()
        .filter_map(|(kind, is)| is.then_some(kind))
        .collect();
    let mut climbs = Vec::new();
    for subject in subjects {
        for &classes in subject.classes.iter().filter(|&&classes| classes <= largest) {
            let inputs = (BUDGET / cost / (classes as u64 + OVERHEAD)).max(8);
            let steps = STEPS.min(inputs.div_ceil(4));
            let all = inputs / steps;
            let count = if quick { all.div_ceil(QUICK) } else { all };
            let steps =
                if quick && all < QUICK { steps.div_ceil(QUICK / all).min(steps) } else { steps };
            for (index, &goal) in subject.goals.iter().enumerate() {
                for &has_fma in &kinds {
                    for restart in 0..count {
                        // The climb for each place in the list, the same on every machine.
                        let place = [subject.number, index as u64, u64::from(has_fma), restart];
                        let seed = place.iter().fold(classes as u64, |seed, n| seed * 10_007 + n);
                        climbs.push(Climb { subject, goal, has_fma, classes, steps, seed });
                    }
                }
            }
        }
    }
    // The longest first.
    climbs.sort_by_key(|climb| std::cmp::Reverse(climb.classes as u64 * climb.steps));
    climbs
}

fn search_subjects<E: Checked>(
    subjects: &[Subject<E>],
    limits: (u64, usize),
    quick: bool,
) -> Worst {
    let climbs = climbs(subjects, limits, quick);
    let bar = progress::bar(E::NAME, climbs.len() as u64);
    let worst = climbs
        .par_iter()
        .with_max_len(1)
        .map(|climb| {
            let worst = climb.run(|_, _| {});
            bar.inc(1);
            worst
        })
        .reduce(Worst::default, Worst::merged);
    bar.finish_and_clear();
    worst
}

/// Searches all chosen functions in all formats.
pub(super) fn run(quick: bool, chosen: &Chosen<'_>) -> Worst {
    fn searched<E: Checked>(
        subjects: impl IntoIterator<Item = Subject<E>>,
        limits: (u64, usize),
        (quick, chosen): (bool, &Chosen<'_>),
    ) -> Worst {
        let is_chosen = |subject: &Subject<E>| subject.goals.iter().any(|goal| chosen.has(goal));
        let subjects: Vec<_> = subjects.into_iter().filter(is_chosen).collect();
        search_subjects(&subjects, limits, quick)
    }
    let how = (quick, chosen);
    [
        searched(losses::<f32>(), (1, ROWS[10]), how),
        searched([slices::<f32>()], (1, ROWS[10]), how),
        searched(losses::<f64>(), (40, ROWS[9]), how),
        searched([slices::<f64>()], (40, ROWS[9]), how),
        searched(losses::<half::bf16>(), (8, ROWS[8]), how),
        searched(losses::<half::f16>(), (8, ROWS[8]), how),
    ]
    .into_iter()
    .fold(Worst::default(), Worst::merged)
}

/// Logits of equal length and their targets, row by row, for the peers.
#[derive(Default)]
pub(super) struct Given {
    pub(super) logits: Vec<f32>,
    /// Of each row.
    pub(super) labels: Vec<u32>,
    /// Of each logit.
    pub(super) targets: Vec<f32>,
}

/// The inputs that the quick search of `f32` reaches, by loss and number of classes: the softmax cross-entropy with
/// labels, with dense targets, and the sigmoid cross-entropy.
pub(super) fn given() -> Vec<(&'static str, usize, Given)> {
    const MOST: usize = 1 << 22;
    let subjects = losses::<f32>();
    let mut all: Vec<(&str, usize, Given)> = Vec::new();
    for climb in climbs(&subjects, (1, ROWS[9]), true) {
        let (loss, _) = climb.goal.split_once(',').unwrap_or((climb.goal, ""));
        let known = all.iter().position(|&(of, classes, _)| (of, classes) == (loss, climb.classes));
        let index = known.unwrap_or_else(|| {
            all.push((loss, climb.classes, Given::default()));
            all.len() - 1
        });
        let given = &mut all[index].2;
        climb.run(|input, rows| {
            if given.logits.len() >= MOST {
                return;
            }
            // Generated the same way as for the checks.
            let mut rng = StdRng::seed_from_u64(input.targets);
            match loss {
                "softmax index" => {
                    for labels in rows::labels(rows, &mut rng) {
                        given.logits.extend(&rows.logits);
                        given.labels.extend(labels);
                    }
                }
                "softmax dense" => {
                    let [distribution, ..] = rows::dense(rows, &mut rng);
                    given.logits.extend(&rows.logits);
                    given.targets.extend(distribution);
                }
                _ => {
                    given.logits.extend(&rows.logits);
                    given.targets.extend(rows.logits.iter().map(|_| rng.random::<f64>() as f32));
                }
            }
        });
    }
    all
}

/// The results of an input with this name, judged again at every level.
pub(super) fn judged_again(name: &str, format: &str, input: &Input) -> Findings {
    fn of_losses<E: Checked>(name: &str, input: &Input) -> Option<Findings> {
        let subjects = losses::<E>();
        let subject = subjects.iter().find(|subject| subject.goals.contains(&name))?;
        Some(judged(subject.check, input))
    }
    fn of_float<F: Float + Checked>(name: &str, input: &Input) -> Findings {
        of_losses::<F>(name, input).unwrap_or_else(|| {
            let slices = slices::<F>();
            let is_slice = slices.goals.contains(&name);
            judged(if is_slice { slices.check } else { verify::elementwise }, input)
        })
    }
    let findings = match format {
        "f32" => Some(of_float::<f32>(name, input)),
        "f64" => Some(of_float::<f64>(name, input)),
        "bf16" => of_losses::<half::bf16>(name, input),
        "f16" => of_losses::<half::f16>(name, input),
        _ => None,
    };
    findings.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_input_is_the_same_whenever_it_is_made() {
        let mut rng = StdRng::seed_from_u64(1);
        let mut input = Input::random(7, &mut rng);
        for _ in 0..100 {
            input = input.changed(&input.rows::<f32>().logits, &mut rng);
        }
        let text = serde_json::to_string(&input).expect("JSON");
        let read: Input = serde_json::from_str(&text).expect("an input");
        assert_eq!(read, input);
        assert_eq!(read.rows::<f32>().logits, input.rows::<f32>().logits);
        assert!(input.rows::<f32>().logits.iter().all(|x| x.is_finite()));
        assert!(input.logits.len() <= 7);
    }

    #[test]
    fn a_climb_finds_worse_than_its_start() {
        let [subject, ..] = losses::<f32>();
        let climb = |steps| {
            let goal = subject.goals[0];
            let climb =
                Climb { subject: &subject, goal, has_fma: false, classes: 5, steps, seed: 3 };
            climb.run(|_, _| {})
        };
        let share = |worst: &Worst| worst.share("softmax index, loss", "f32", false);
        assert!(share(&climb(300)) > share(&climb(1)));
        assert!(share(&climb(300)) <= 1.0);
    }
}
