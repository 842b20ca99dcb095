//! Conventions of second derivatives.

use crate::reduction::chosen;
use crate::status::Failure;

/// What is written to `hessian`: the diagonal of the Hessian of the loss by the logits, for the probability p of a
/// class and the row's sample weight v. All are multiplied with what the gradient is: with a mean, that is one over
/// the divisor. Boosting wants XENT_REDUCTION_SUM.
#[repr(i32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hessian {
    /// v p (1 - p), the derivative of the gradient (scikit-learn); of a focal loss its own.
    Exact = 0,
    /// XGBoost's: softmax max(2 v p (1 - p), 1e-16); sigmoid v max(p (1 - p), 1e-16).
    Xgboost = 1,
    /// LightGBM's: softmax classes / (classes - 1) v p (1 - p); sigmoid v p (1 - p).
    Lightgbm = 2,
}

/// That of the core by its number.
pub(crate) fn convention(number: i32) -> Result<xent_core::Hessian, Failure> {
    use xent_core::Hessian as H;
    chosen(number, [H::Exact, H::XgBoost, H::LightGbm])
}
