//! Conventions of second derivatives.

use crate::reduction::chosen;
use crate::status::Failure;

/// The convention for `hessian`, the diagonal of the Hessian of the loss by the logits, where p is the probability
/// of a class and v the row's sample weight. All conventions are multiplied by the same factor as the gradient:
/// with a mean, one over the divisor. For boosting use XENT_REDUCTION_SUM.
#[repr(i32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hessian {
    /// v p (1 - p), the derivative of the gradient (scikit-learn); for a focal loss its own second derivative.
    Exact = 0,
    /// XGBoost's: softmax max(2 v p (1 - p), 1e-16); sigmoid v max(p (1 - p), 1e-16).
    Xgboost = 1,
    /// LightGBM's: softmax classes / (classes - 1) v p (1 - p); sigmoid v p (1 - p).
    Lightgbm = 2,
}

/// The core's convention with this number.
pub(crate) fn convention(number: i32) -> Result<xent_core::Hessian, Failure> {
    use xent_core::Hessian as H;
    chosen(number, [H::Exact, H::XgBoost, H::LightGbm])
}
