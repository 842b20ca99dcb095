//! The diagonals of the Hessian that boosting libraries use.

/// The convention for the second derivatives of a softmax or sigmoid loss by its logits. `p` are probabilities, `v`
/// is the weight of the row (or element) and `C` the number of classes.
///
/// The focal loss, the soft cap and the z-loss only have exact second derivatives, and some are negative; boosting
/// needs a floor for them (`hessian_floor`). The conventions of libraries
/// are only defined for the plain losses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Hessian {
    /// The derivative of the gradient: `v p (1 - p)` for a label without options (scikit-learn).
    #[default]
    Exact,
    /// XGBoost: `max(2 v p (1 - p), 1e-16)` for softmax (`multi:softprob`), `v max(p (1 - p), 1e-16)` for sigmoid
    /// (`binary:logistic`). XGBoost computes `p` in f32, where `1 - p` is zero for logits from 17 on; here the
    /// formula keeps all its digits.
    XgBoost,
    /// `C / (C - 1) v p (1 - p)` for softmax, `v p (1 - p)` for sigmoid (LightGBM).
    LightGbm,
}

impl Hessian {
    /// The factor of the second derivatives of a softmax row, and their smallest value.
    pub(crate) fn softmax(self, weight: f64, classes: usize) -> Curvature {
        match self {
            Self::Exact => Curvature { factor: weight, floor: f64::NEG_INFINITY },
            Self::XgBoost => Curvature { factor: 2.0 * weight, floor: FLOOR },
            Self::LightGbm => {
                let classes = classes as f64;
                let factor = weight * classes / (classes - 1.0);
                Curvature { factor, floor: f64::NEG_INFINITY }
            }
        }
    }

    /// The smallest `p (1 - p)` of an element.
    pub(crate) fn least_of_element(self) -> f64 {
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
    /// The smallest value; `-inf` for none.
    pub(crate) floor: f64,
}

impl Curvature {
    pub(crate) fn with_floor(self, floor: Option<f64>) -> Self {
        let least = floor.unwrap_or(f64::NEG_INFINITY);
        Self { floor: if self.floor < least { least } else { self.floor }, ..self }
    }

    /// A second derivative, from its value without the factor.
    pub(crate) fn of(self, second: f64) -> f64 {
        self.at_least(self.factor * second)
    }

    /// A second derivative, or the floor.
    pub(crate) fn at_least(self, h: f64) -> f64 {
        if h < self.floor { self.floor } else { h }
    }

    /// The second derivative of a loss of zero.
    pub(crate) fn of_nothing(self) -> f64 {
        if self.floor > 0.0 { self.floor } else { 0.0 }
    }
}
