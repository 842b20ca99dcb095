//! What a row adds up to, relative to its largest logit, and how such sums are merged.

use super::coefficients::{Number, Sums, weighted};
use super::sum::sum_of;
use super::targets::Targets;
use crate::element::Float;
use crate::math::scalar;

/// The class treated apart.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Apart {
    pub(crate) class: usize,
    /// Its mapped logit.
    pub(crate) logit: f64,
    /// Its weight without the spike.
    pub(crate) weight: f64,
    /// How far the targets' own logit of this class is below their largest.
    pub(crate) target_distance: f64,
}

/// What a row, or a part of one, adds up to; parts can be merged.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RowSums {
    /// The largest logit, mapped.
    pub(crate) max: f64,
    /// The unit of all distances.
    pub(crate) unit: f64,
    pub(crate) apart: Option<Apart>,
    /// `R = Σ e^(x_c - max)` over the classes not treated apart.
    pub(crate) others: f64,
    /// `Σ q_c` over the classes not treated apart.
    pub(crate) weights: f64,
    /// `Σ q_c (max - x_c)` over the classes not treated apart.
    pub(crate) distances: f64,
}

impl RowSums {
    /// Of a tile of nothing but masked classes.
    pub(crate) fn masked<F: Float, T: Targets<F>>(
        length: usize,
        first: usize,
        targets: T,
        unit: f64,
    ) -> Self {
        let classes = first..first + length;
        let apart =
            targets.spike().filter(|spike| T::APART_IS_SPIKE && classes.contains(&spike.class));
        let weights =
            if T::SPREAD { sum_of(classes.map(|class| targets.weight(class))) } else { 0.0 };
        Self {
            max: f64::NEG_INFINITY,
            unit,
            apart: apart.map(|spike| Apart {
                class: spike.class,
                logit: f64::NEG_INFINITY,
                weight: 0.0,
                target_distance: 0.0,
            }),
            others: 0.0,
            weights,
            distances: weighted((), weights, f64::INFINITY),
        }
    }

    /// `x_k` of the class treated apart below the maximum.
    pub(crate) fn apart_distance(&self) -> f64 {
        self.apart.map_or(0.0, |apart| self.distance(apart.logit))
    }

    /// A mapped logit below the maximum.
    pub(crate) fn distance(&self, logit: f64) -> f64 {
        (self.max - logit) * self.unit
    }

    /// `S`, relative to the maximum.
    pub(crate) fn sum(&self) -> f64 {
        self.others + self.apart.map_or(0.0, |_| scalar::exp(-self.apart_distance()))
    }

    /// `ln S`.
    pub(crate) fn ln_sum(&self) -> f64 {
        if self.apart_distance() == 0.0 && self.apart.is_some() {
            scalar::log1p(self.others)
        } else {
            scalar::log1p(self.sum() - 1.0)
        }
    }

    /// `m + ln S`.
    pub(crate) fn log_sum_exp(&self) -> f64 {
        self.max + self.ln_sum()
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

    /// Counts the class treated apart among the others.
    fn fold_apart(mut self) -> Self {
        if let Some(apart) = self.apart {
            let distance = self.apart_distance();
            self.others += scalar::exp(-distance);
            self.weights += apart.weight;
            self.distances += weighted((), apart.weight, distance - apart.target_distance);
            self.apart = None;
        }
        self
    }

    /// The sums of two parts of one row, `self` the earlier. Of two classes treated apart the one
    /// with the larger logit stays so.
    pub(crate) fn merge(self, later: Self) -> Self {
        let max = if later.max > self.max { later.max } else { self.max };
        let (mut a, mut b) = (self.relative_to(max), later.relative_to(max));
        if let (Some(first), Some(second)) = (a.apart, b.apart) {
            if first.logit >= second.logit {
                b = b.fold_apart();
            } else {
                a = a.fold_apart();
            }
        }
        Self {
            max,
            unit: self.unit,
            apart: a.apart.or(b.apart),
            others: a.others + b.others,
            weights: a.weights + b.weights,
            distances: a.distances + b.distances,
        }
    }

    /// With the spike, whose distance is given, in the place that it has among the classes.
    pub(crate) fn with_targets<F: Float, T: Targets<F>>(
        &self,
        targets: T,
        spike_distance: f64,
    ) -> Sums<f64> {
        let (apart, class) = self.apart.map_or((None, usize::MAX), |a| (Some(a), a.class));
        let mut sums = Sums {
            max: self.max * self.unit,
            apart_distance: self.apart_distance(),
            apart_exp: f64::exp_of((), 0.0 - self.apart_distance()),
            others: self.others,
            apart_weight: apart.map_or(0.0, |apart| apart.weight),
            weights: self.weights,
            gradient_apart_weight: 0.0,
            gradient_weights: 0.0,
            distances: self.distances,
            target_ln_sum: targets.ln_sum(),
            target_distance: spike_distance,
            target_is_other: 1.0,
        };
        if let Some(apart) = apart {
            sums.distances -= weighted((), apart.weight, apart.target_distance);
        }
        if let Some(spike) = targets.spike() {
            if spike.class == class {
                sums.apart_weight += spike.weight;
                sums.target_is_other = 0.0;
            } else {
                sums.weights += spike.weight;
                sums.distances += weighted((), spike.weight, spike_distance);
            }
        }
        [sums.gradient_apart_weight, sums.gradient_weights] = match targets.gradient_weights(class)
        {
            Some([apart, all]) => [apart, all - apart],
            None => [sums.apart_weight, sums.weights],
        };
        sums
    }
}
