//! The diagonals of the Hessian that boosting libraries expect.

/// How the second derivatives of a softmax or sigmoid loss by its logits are defined, for
/// probabilities `p`, the weight `v` of the row (or element) and `C` classes.
///
/// Those of the focal loss, of a soft cap and of the z-loss are exact, and some are negative: boosting wants
/// a floor for them ([`Outputs::hessian_floor`](crate::Outputs::hessian_floor)). The conventions of libraries
/// are defined for the plain losses alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Hessian {
    /// The derivative of the gradient: `v p (1 - p)` for a label without options (scikit-learn).
    #[default]
    Exact,
    /// `max(2 v p (1 - p), 1e-16)` for softmax (`multi:softprob`), `v max(p (1 - p), 1e-16)` for sigmoid
    /// (`binary:logistic`), as XGBoost has them. It computes `p` in f32, in which `1 - p` is zero from logits
    /// of 17 on; here the formula has all its digits.
    XgBoost,
    /// `C / (C - 1) v p (1 - p)` for softmax, `v p (1 - p)` for sigmoid (LightGBM).
    LightGbm,
}

impl Hessian {
    /// What the second derivatives of a row of softmax are multiplied with, and the least value.
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

    /// The least `p (1 - p)` of an element.
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
    /// The least value; `-inf` for none.
    pub(crate) floor: f64,
}

impl Curvature {
    pub(crate) fn with_floor(self, floor: Option<f64>) -> Self {
        let least = floor.unwrap_or(f64::NEG_INFINITY);
        Self { floor: if self.floor < least { least } else { self.floor }, ..self }
    }

    /// A second derivative, from what the factor multiplies.
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
