//! The inputs of a search: rows in compact form.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde::{Deserialize, Serialize};

use crate::format::Checked;
use crate::rows::{self, Rows};

/// A row and its targets in compact form: generated from seeds, except for logits that are written
/// out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Input {
    pub(super) classes: usize,
    /// The logits, from a normal distribution.
    pub(super) row: u64,
    /// Its standard deviation.
    pub(super) spread: f64,
    /// Labels and weights.
    pub(super) targets: u64,
    /// Replaced logits, by their bits.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) logits: Vec<(usize, u64)>,
}

impl Input {
    /// A number.
    pub(super) fn of_bits(bits: u64) -> Self {
        Self { classes: 1, row: 0, spread: 1.0, targets: 0, logits: vec![(0, bits)] }
    }

    pub(super) fn random(classes: usize, rng: &mut StdRng) -> Self {
        Self {
            classes,
            row: rng.random(),
            spread: 10.0_f64.powf(rng.random_range(-1.5..2.0)),
            targets: rng.random(),
            logits: Vec::new(),
        }
    }

    pub(super) fn rows<E: Checked>(&self) -> Rows<E> {
        let mut rng = StdRng::seed_from_u64(self.row);
        let mut rows = rows::of_spread(self.classes, self.spread, &mut rng);
        for &(class, bits) in &self.logits {
            rows.logits[class] = E::from_bits(bits);
        }
        rows
    }

    pub(super) fn set<E: Checked>(&mut self, class: usize, x: E) {
        self.logits.retain(|&(other, _)| other != class);
        self.logits.push((class, x.bits()));
    }

    /// Another input nearby.
    pub(super) fn changed<E: Checked>(&self, x: &[E], rng: &mut StdRng) -> Self {
        let mut input = self.clone();
        let class = rng.random_range(0..self.classes);
        match rng.random_range(0..10) {
            0..4 => {
                let units = 1_u64 << rng.random_range(0..E::STORED.digits - 2);
                let bits = x[class].bits();
                let moved =
                    if rng.random() { bits.wrapping_add(units) } else { bits.wrapping_sub(units) };
                input.set(class, E::from_bits(moved));
            }
            4 => input.set(class, E::nearest(self.spread * rng.random_range(-3.0..3.0))),
            // A number slightly below another.
            5 => {
                let other = x[rng.random_range(0..self.classes)].wide();
                input.set(class, E::nearest(other - self.spread * rng.random::<f64>().powi(4)));
            }
            6 => input.set(class, x[rng.random_range(0..self.classes)]),
            7 => input.targets = rng.random(),
            8 => input.spread *= rng.random_range(0.9..1.1),
            _ => input.set(class, E::nearest(x[class].wide() * rng.random_range(0.5..1.5))),
        }
        // Non-finite results are computed case by case.
        if input.logits.iter().all(|&(_, bits)| E::from_bits(bits).wide().is_finite()) {
            input
        } else {
            self.clone()
        }
    }
}
