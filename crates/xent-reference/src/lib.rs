//! The oracle: cross-entropy losses and their gradients in scalar `f64`, written from the textbook formulas, to judge
//! faster code. Use it to test a loss of your own.
//!
//! * **How:** it shares no code with the code it judges, and prefers the obvious formula to the fast one. Where a
//!   formula would cancel, the form that does not is used, and documented; sums are compensated.
//! * **How exact:** the relative error of a result is about 1e-15, even for a row so confident that its loss is 1e-25.
//!   [`exact`] has twice the digits, to judge an `f64`.
//! * **How fast:** it is not: one row at a time, in scalar code.
//! * **What it costs to build:** it has no dependencies, except with the feature `golden` (serde).
//!
//! # Example
//!
//! ```
//! use xent_reference::{softmax::cross_entropy, targets::one_hot, ulp::error_f32};
//!
//! let logits = [16.0_f32, 0.0, -1.0];
//! let exact = cross_entropy(&logits.map(f64::from), &one_hot(3, 0, 1.0));
//!
//! // The textbook formula in f32 loses everything ...
//! let plain = logits.map(f32::exp).iter().sum::<f32>().ln() - logits[0];
//! assert_eq!(plain, 0.0);
//! assert!(error_f32(plain, exact.loss) > 1e6);
//!
//! // ... but not if the certain class is left out of the sum.
//! let others: f32 = logits[1..].iter().map(|x| (x - logits[0]).exp()).sum();
//! assert!(error_f32(others.ln_1p(), exact.loss) < 2.0);
//! ```
//!
//! # Modules
//!
//! | module | contents |
//! |---|---|
//! | [`softmax`] | log-sum-exp, softmax, log-softmax, and the cross-entropy of a row against any target vector |
//! | [`sigmoid`] | sigmoid, softplus, and the binary cross-entropy of a logit |
//! | [`targets`] | target vectors from an index, a vector or many labels, with weights and label smoothing |
//! | [`multilabel`] | rows with any number of labels: the softmax with 1/M, and the soft margin |
//! | [`focal`] | the focal loss, of a softmax and of a sigmoid |
//! | [`distillation`] | the divergence from a teacher's softmax, at a temperature |
//! | [`z_loss`] | cross-entropy with a penalty on the log-sum-exp |
//! | [`soft_cap`] | cross-entropy of logits limited by a tanh |
//! | [`probabilities`] | losses of probabilities or log-probabilities |
//! | [`hessian`] | the diagonal of the second derivative, in the conventions of boosting libraries |
//! | [`exact`] | softmax, sigmoid and their cross-entropies with twice the digits |
//! | [`ulp`] | the error of an `f32`, `f64`, `bf16` or `f16` in units in the last place |
//! | [`sum`] | the compensated sums that the others use |
//! | `golden` | with the feature `golden`: results of other implementations |
//! | `devices` | with the feature `golden`: what `LiteRT` and TensorFlow Lite Micro give out for a network in int8 |
//! | `peers` | with the feature `golden`: results of other libraries for one batch |
//!
//! # Batches
//!
//! Reductions, class weights, ignored rows and temperatures are sums, factors or skipped calls around these functions,
//! and left to the caller: code for a batch is as long as its definition. The tests compare the crate with PyTorch,
//! optax and others in this way.
//!
//! NaN, infinities and masked classes are part of the definitions; each module has a table.
#![forbid(unsafe_code)]
// docs.rs says of each item which feature brings it.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod bits;
#[cfg(feature = "golden")]
pub mod devices;
pub mod distillation;
pub mod exact;
pub mod focal;
#[cfg(feature = "golden")]
pub mod golden;
pub mod hessian;
pub mod multilabel;
#[cfg(feature = "golden")]
pub mod peers;
pub mod probabilities;
mod row;
pub mod sigmoid;
pub mod soft_cap;
pub mod softmax;
pub mod sum;
pub mod targets;
pub mod ulp;
pub mod z_loss;

/// a·b with 0·∞ = 0: a class with weight zero adds nothing to a sum, however far away it is.
fn times(a: f64, b: f64) -> f64 {
    let zero_by_infinity = (a == 0.0 && b.is_infinite()) || (a.is_infinite() && b == 0.0);
    if zero_by_infinity { 0.0 } else { a * b }
}

#[cfg(test)]
mod test {
    /// Asserts |got - want| ≤ relative·|want|.
    #[track_caller]
    pub(crate) fn assert_close(got: f64, want: f64, relative: f64) {
        let error = (got - want).abs();
        assert!(error <= relative * want.abs(), "got {got:e}, not {want:e}: {error:e} off");
    }

    /// Asserts that each `grad[c]` is the central difference of `loss` by `x[c]`, to 1e-8.
    #[track_caller]
    pub(crate) fn assert_gradient(x: &[f64], grad: &[f64], loss: impl Fn(&[f64]) -> f64) {
        let h = 1e-5;
        for c in 0..x.len() {
            let at = |step: f64| {
                let mut moved = x.to_vec();
                moved[c] += step;
                loss(&moved)
            };
            let difference = (at(h) - at(-h)) / (2.0 * h);
            let error = (difference - grad[c]).abs();
            assert!(error < 1e-8, "class {c}: {} is not {difference}, {error:e} off", grad[c]);
        }
    }

    /// Asserts that every number is NaN.
    #[track_caller]
    pub(crate) fn assert_all_nan(values: &[f64]) {
        assert!(values.iter().all(|v| v.is_nan()), "{values:?}");
    }
}

/// The examples of the package's first page are tested with those of the documentation.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
