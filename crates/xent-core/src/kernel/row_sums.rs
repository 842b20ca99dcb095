//! The sums of a row relative to its largest logit, and how they are merged.

use super::coefficients::{
    Coefficients, Factors, LabelSums, Number, SoftSums, Terms, label_coefficients,
    soft_coefficients, weighted,
};
use crate::math::scalar;

/// The pivot: the class whose exponential is left out of the sums.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pivot {
    pub(crate) class: usize,
    /// Its logit.
    pub(crate) logit: f64,
    /// Its weight, if all classes have one.
    pub(crate) weight: f64,
}

/// The sums of a row, or of a part of one; parts can be merged.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RowSums {
    /// The largest logit, and the first class that has it, if that was asked for.
    pub(crate) max: f64,
    pub(crate) largest_class: usize,
    /// The unit of all distances.
    pub(crate) unit: f64,
    pub(crate) pivot: Option<Pivot>,
    /// `R = Σ e^(x_c - max)` over the classes that are not the pivot.
    pub(crate) others: f64,
    /// `Σ q_c` over the classes that are not the pivot.
    pub(crate) weights: f64,
    /// `Σ q_c (max - x_c)` over the classes that are not the pivot.
    pub(crate) distances: f64,
}

impl RowSums {
    /// For a tile of masked classes only; `label` if it is one of them, and the sum of their weights.
    pub(crate) fn masked(label: Option<usize>, weights: f64, unit: f64) -> Self {
        Self {
            max: f64::NEG_INFINITY,
            largest_class: 0,
            unit,
            pivot: label.map(|class| Pivot { class, logit: f64::NEG_INFINITY, weight: 0.0 }),
            others: 0.0,
            weights,
            distances: weighted((), weights, f64::INFINITY),
        }
    }

    /// The distance of the pivot's `x_k` below the maximum.
    pub(crate) fn pivot_distance(&self) -> f64 {
        self.pivot.map_or(0.0, |pivot| self.distance(pivot.logit))
    }

    /// The distance of a scaled logit below the maximum.
    pub(crate) fn distance(&self, logit: f64) -> f64 {
        (self.max - logit) * self.unit
    }

    /// `S`, relative to the maximum.
    pub(crate) fn sum(&self) -> f64 {
        self.others + self.pivot_exp()
    }

    /// `e^(x_k - max)` of the pivot.
    pub(crate) fn pivot_exp(&self) -> f64 {
        self.pivot.map_or(0.0, |_| scalar::exp(-self.pivot_distance()))
    }

    /// `ln S`.
    pub(crate) fn ln_sum(&self) -> f64 {
        if self.pivot_distance() == 0.0 && self.pivot.is_some() {
            scalar::log1p(self.others)
        } else {
            scalar::log1p(self.sum() - 1.0)
        }
    }

    /// `m + ln S`, in units.
    pub(crate) fn log_sum_exp(&self) -> f64 {
        self.max * self.unit + self.ln_sum()
    }

    /// The same sums relative to a larger maximum.
    fn relative_to(mut self, max: f64) -> Self {
        if max > self.max {
            let distance = (max - self.max) * self.unit;
            self.distances += weighted((), self.weights, distance);
            self.others *= scalar::exp(-distance);
            self.max = max;
        }
        self
    }

    /// Adds the pivot to the others.
    fn fold_pivot(mut self) -> Self {
        if let Some(pivot) = self.pivot {
            let distance = self.pivot_distance();
            self.others += scalar::exp(-distance);
            self.weights += pivot.weight;
            self.distances += weighted((), pivot.weight, distance);
            self.pivot = None;
        }
        self
    }

    /// The sums of two parts of one row; `self` is the earlier. Of two pivots, the one with the larger logit
    /// remains.
    pub(crate) fn merge(self, later: Self) -> Self {
        let max = if later.max > self.max { later.max } else { self.max };
        let (mut a, mut b) = (self.relative_to(max), later.relative_to(max));
        if let (Some(first), Some(second)) = (a.pivot, b.pivot) {
            if first.logit >= second.logit {
                b = b.fold_pivot();
            } else {
                a = a.fold_pivot();
            }
        }
        Self {
            max,
            largest_class: if later.max > self.max { later } else { self }.largest_class,
            unit: self.unit,
            pivot: a.pivot.or(b.pivot),
            others: a.others + b.others,
            weights: a.weights + b.weights,
            distances: a.distances + b.distances,
        }
    }

    /// The loss and the coefficients of a row with a label, which is the pivot.
    pub(crate) fn finish_label(
        &self,
        label_weight: f64,
        terms: Terms,
        factors: Factors<f64>,
    ) -> Coefficients<f64> {
        let label_distance = self.pivot_distance();
        let sums = LabelSums {
            max: self.max * self.unit,
            label_distance,
            label_exp: f64::exp_of((), 0.0 - label_distance),
            others: self.others,
            label_weight,
        };
        label_coefficients((), sums, terms, factors)
    }

    /// The same for a row with a weight for every class, and the sum of its weights. The pivot is the class of the
    /// largest logit. `own` is the target of the gradient for every weight that is not zero, if it differs from the
    /// weight.
    pub(crate) fn finish_soft(
        &self,
        own: Option<f64>,
        target_ln_sum: f64,
        z_loss: f64,
        factors: Factors<f64>,
    ) -> (Coefficients<f64>, f64) {
        let pivot_weight = self.pivot.map_or(0.0, |pivot| pivot.weight);
        let (gradient_pivot_weight, gradient_weights) = match own {
            // They sum to one.
            Some(own) => {
                let of_pivot = if pivot_weight == 0.0 { 0.0 } else { own };
                (of_pivot, 1.0 - of_pivot)
            }
            None => (pivot_weight, self.weights),
        };
        let sums = SoftSums {
            max: self.max * self.unit,
            others: self.others,
            pivot_weight,
            weights: self.weights,
            gradient_pivot_weight,
            gradient_weights,
            distances: self.distances,
            target_ln_sum,
        };
        (soft_coefficients((), sums, z_loss, factors), self.weights + pivot_weight)
    }
}
