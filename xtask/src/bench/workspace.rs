//! The memory that the cases work on.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use xent_core::Element;

use super::case::Case;
use crate::format::Checked;

/// Logits, targets and places for results, enough of them for the largest case.
pub(crate) struct Workspace<E: Element> {
    pub(crate) logits: Vec<E>,
    /// Of the logits, or a second lot of logits to be replaced.
    pub(crate) gradient: Vec<E>,
    /// In [0, 1].
    pub(crate) targets: Vec<E::Float>,
    /// Of the case at hand.
    pub(crate) labels: Vec<u32>,
    pub(crate) results: Vec<E::Float>,
    pub(crate) class_weights: Vec<E::Float>,
}

impl<E: Checked> Workspace<E> {
    pub(crate) fn for_cases(cases: &[Case]) -> Self {
        let most = |of: fn(&Case) -> usize| cases.iter().map(of).max().unwrap_or(0);
        let elements = most(|case| case.shape.elements());
        let rows = most(|case| case.shape.row_count());
        let classes = most(|case| case.shape.classes());
        let mut rng = StdRng::seed_from_u64(0);
        // Twelve uniform numbers have a variance of one; a million of them, again and again, are
        // random enough to keep a branch predictor from learning.
        let normal: Vec<E> = (0..1_000_003.min(elements))
            .map(|_| E::nearest((0..12).map(|_| rng.random::<f64>()).sum::<f64>() - 6.0))
            .collect();
        let logits: Vec<E> = normal.iter().cycle().take(elements).copied().collect();
        Self {
            gradient: logits.clone(),
            targets: logits.iter().map(|x| E::float(x.wide().abs() / 6.0)).collect(),
            logits,
            labels: vec![0; rows],
            results: vec![E::float(0.0); rows],
            class_weights: (0..classes).map(|_| E::float(rng.random_range(0.5..1.5))).collect(),
        }
    }

    /// Makes everything ready for a case.
    pub(crate) fn prepare(&mut self, case: &Case) {
        let mut rng = StdRng::seed_from_u64(1);
        let classes = u32::try_from(case.shape.classes()).expect("fewer classes than 2^32");
        for label in &mut self.labels[..case.shape.row_count()] {
            *label = rng.random_range(0..classes);
        }
        self.gradient.copy_from_slice(&self.logits);
    }
}
