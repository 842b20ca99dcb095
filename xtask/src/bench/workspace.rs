//! The memory that the cases work on.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use xent_core::Element;

use super::case::{Case, Question, SigmoidOption, SoftmaxOption};
use crate::format::Checked;

/// Enough of everything for the largest case.
pub(crate) struct Workspace<E: Element> {
    pub(crate) inputs: Inputs<E>,
    pub(crate) results: Results<E>,
}

/// The inputs of the losses. All except logits and weights belong to the current case.
pub(crate) struct Inputs<E: Element> {
    pub(crate) logits: Vec<E>,
    /// In [0, 1]; zero or one for the multi-label softmax; logits for distillation.
    pub(crate) targets: Vec<E::Float>,
    pub(crate) labels: Vec<u32>,
    /// The same labels, a tenth of them [`IGNORED`].
    pub(crate) some_ignored: Vec<i32>,
    /// Zero or one.
    pub(crate) multi_hot: Vec<u8>,
    /// The positions of the ones in `multi_hot`: the range of each row, and the classes.
    pub(crate) offsets: Vec<usize>,
    pub(crate) positives: Vec<u32>,
    pub(crate) class_weights: Vec<E::Float>,
    pub(crate) sample_weights: Vec<E::Float>,
}

/// The outputs of the losses.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Results<E: Element> {
    /// As large as the logits, or a second set of logits to be overwritten.
    pub(crate) gradient: Vec<E>,
    pub(crate) hessian: Vec<E::Float>,
    /// A number for each row.
    pub(crate) of_rows: Vec<E::Float>,
    pub(crate) predicted: Vec<u32>,
}

/// The label that is ignored.
pub(crate) const IGNORED: i32 = -100;

/// One logit in ten is larger.
const LARGE: f64 = 1.28;

impl<E: Checked> Workspace<E> {
    pub(crate) fn for_cases(cases: &[Case]) -> Self {
        let most = |of: fn(&Case) -> usize| cases.iter().map(of).max().unwrap_or(0);
        let elements = most(|case| case.shape.elements());
        let rows = most(|case| case.shape.row_count());
        let classes = most(|case| case.shape.classes());
        let hessian = most(|case| match case.question {
            Question::SoftmaxWith(SoftmaxOption::Hessian) => case.shape.elements(),
            _ => 0,
        });
        let mut rng = StdRng::seed_from_u64(0);
        // A sum of twelve uniform numbers has a variance of one; repeating a million of them is
        // random enough to keep a branch predictor from learning them.
        let normal: Vec<E> = (0..1_000_003.min(elements))
            .map(|_| E::nearest((0..12).map(|_| rng.random::<f64>()).sum::<f64>() - 6.0))
            .collect();
        let logits: Vec<E> = normal.iter().cycle().take(elements).copied().collect();
        let mut weights = |count| -> Vec<E::Float> {
            (0..count).map(|_| E::float(rng.random_range(0.5..1.5))).collect()
        };
        Self {
            results: Results {
                gradient: logits.clone(),
                hessian: vec![E::float(0.0); hessian],
                of_rows: vec![E::float(0.0); rows],
                predicted: vec![0; rows],
            },
            inputs: Inputs {
                logits,
                targets: Vec::new(),
                labels: Vec::new(),
                some_ignored: Vec::new(),
                multi_hot: Vec::new(),
                offsets: Vec::new(),
                positives: Vec::new(),
                class_weights: weights(classes),
                sample_weights: weights(rows),
            },
        }
    }

    /// Prepares the workspace for a case.
    pub(crate) fn prepare(&mut self, case: &Case) {
        self.inputs.prepare(case);
        self.results.gradient.copy_from_slice(&self.inputs.logits);
    }
}

impl<E: Checked> Inputs<E> {
    fn prepare(&mut self, case: &Case) {
        let mut rng = StdRng::seed_from_u64(1);
        let (rows, classes) = (case.shape.row_count(), case.shape.classes());
        let last = u32::try_from(classes).expect("fewer classes than 2^32");
        self.labels.clear();
        self.labels.extend((0..rows).map(|_| rng.random_range(0..last)));
        self.some_ignored.clear();
        if case.question == Question::SoftmaxWith(SoftmaxOption::Ignored) {
            let label = |&label: &u32| match rng.random_range(0..10) {
                0 => IGNORED,
                _ => label.cast_signed(),
            };
            self.some_ignored.extend(self.labels.iter().map(label));
        }

        let logits = &self.logits[..case.shape.elements()];
        let is_large = |x: &E| x.wide() > LARGE;
        let probability = |x: &E| E::float(x.wide().abs() / 6.0);
        self.targets.clear();
        match case.question {
            Question::SoftmaxWith(SoftmaxOption::Dense) => {
                self.targets.extend(logits.iter().map(probability));
            }
            Question::SoftmaxWith(SoftmaxOption::MultiLabel) => {
                self.targets.extend(logits.iter().map(|x| E::float(f64::from(is_large(x)))));
            }
            Question::SoftmaxWith(SoftmaxOption::Distillation) => {
                self.targets.extend(logits.iter().rev().map(|x| x.to_float()));
            }
            question if question.is_sigmoid() => {
                self.targets.extend(logits.iter().map(probability));
            }
            _ => {}
        }

        self.multi_hot.clear();
        self.offsets.clear();
        self.positives.clear();
        match case.question {
            Question::SigmoidWith(SigmoidOption::MultiHot) => {
                self.multi_hot.extend(logits.iter().map(|x| u8::from(is_large(x))));
            }
            Question::SigmoidWith(SigmoidOption::Positives) => {
                self.offsets.push(0);
                for row in logits.chunks_exact(classes) {
                    let large = (0..last).zip(row).filter(|(_, x)| is_large(x));
                    self.positives.extend(large.map(|(class, _)| class));
                    self.offsets.push(self.positives.len());
                }
            }
            _ => {}
        }
    }
}
