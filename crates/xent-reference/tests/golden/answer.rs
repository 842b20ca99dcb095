//! The crate's results for a case, before the reduction.

/// A number that the crate computed, and the size of the terms that the peer subtracts to get it.
#[derive(Clone, Copy, Default)]
pub(crate) struct Number {
    pub(crate) value: f64,
    pub(crate) terms: f64,
}

impl Number {
    /// A number that the peer computes almost without cancellation.
    pub(crate) fn clean(value: f64) -> Self {
        Self { value, terms: 0.0 }
    }

    pub(crate) fn times(self, factor: f64) -> Self {
        Self { value: factor * self.value, terms: factor.abs() * self.terms }
    }

    pub(crate) fn plus(self, other: Self) -> Self {
        Self { value: self.value + other.value, terms: self.terms + other.terms }
    }
}

/// One loss a row (or an element), one gradient an element, and the other results that a case may
/// ask for.
#[derive(Default)]
pub(crate) struct Answer {
    pub(crate) losses: Vec<Number>,
    pub(crate) grad: Vec<Number>,
    /// The divisor of the peer's mean.
    pub(crate) mean_divisor: f64,
    pub(crate) caffe_grad: Option<Vec<Number>>,
    pub(crate) row_values: Option<Vec<Number>>,
    pub(crate) hessian_exact: Option<Vec<Number>>,
    pub(crate) hessian_xgboost: Option<Vec<Number>>,
    pub(crate) hessian_lightgbm: Option<Vec<Number>>,
}

impl Answer {
    pub(crate) fn with_divisor(mean_divisor: f64) -> Self {
        Self { mean_divisor, ..Self::default() }
    }

    /// A loss and its gradient that the peer, in these cases, computes almost without cancellation.
    pub(crate) fn push(&mut self, loss: f64, grad: &[f64]) {
        self.losses.push(Number::clean(loss));
        self.grad.extend(grad.iter().copied().map(Number::clean));
    }
}
