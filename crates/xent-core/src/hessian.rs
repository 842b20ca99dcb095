//! The diagonals of the Hessian that boosting libraries expect.

/// How the second derivatives of a softmax or sigmoid loss by its logits are defined, for
/// probabilities `p`, the weight `v` of the row (or element) and `C` classes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Hessian {
    /// `v p (1 - p)`, the derivative of the gradient (scikit-learn).
    #[default]
    Exact,
    /// `max(2 v p (1 - p), 1e-16)` for softmax, `max(v p (1 - p), 1e-16)` for sigmoid (XGBoost).
    XgBoost,
    /// `C / (C - 1) v p (1 - p)` for softmax, `v p (1 - p)` for sigmoid (LightGBM).
    LightGbm,
}

impl Hessian {
    /// What `p (1 - p)` is multiplied with, for a row of softmax.
    pub(crate) fn softmax(self, weight: f64, classes: usize) -> Curvature {
        match self {
            Self::Exact => Curvature { factor: weight, floor: 0.0 },
            Self::XgBoost => Curvature { factor: 2.0 * weight, floor: FLOOR },
            Self::LightGbm => {
                let classes = classes as f64;
                Curvature { factor: weight * classes / (classes - 1.0), floor: 0.0 }
            }
        }
    }

    /// The least value.
    pub(crate) fn floor(self) -> f64 {
        match self {
            Self::XgBoost => FLOOR,
            Self::Exact | Self::LightGbm => 0.0,
        }
    }
}

/// XGBoost's `kRtEps`.
const FLOOR: f64 = 1e-16;

/// A convention, for one row.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Curvature {
    pub(crate) factor: f64,
    pub(crate) floor: f64,
}

impl Curvature {
    /// Of a class of probability `p`, all others together having `rest`.
    pub(crate) fn of(self, p: f64, rest: f64) -> f64 {
        let h = self.factor * p * rest;
        if h < self.floor { self.floor } else { h }
    }
}
