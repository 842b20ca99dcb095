//! Losses of a row with any number of labels.
//!
//! There are two views: the labels share the softmax's probability of one ([`softmax()`]), or each
//! class is an independent yes/no question ([`soft_margin`]).

use crate::sigmoid;
use crate::softmax::{self, RowAnswer};
use crate::sum::sum;
use crate::targets;
use crate::times;

/// The multi-label softmax loss of one row of logits `x` with labels `y`, both of length C, with
/// the scale factor 1/M, where M is the number of labels that are not zero. p = softmax(x), s = ln
/// p:
///
/// ```text
/// loss = (1/M)·Σ_c y_c·(-s_c)
/// gradient_c = (Σ_j y_j/M)·p_c - y_c/M
/// ```
///
/// The loss of D. Mahajan et al., "Exploring the Limits of Weakly Supervised Pretraining", ECCV
/// 2018: a target of 1/k for each of the k labels. Labels are 0 and 1, or any non-negative real
/// numbers, for example to balance the classes. The gradient is exact in both cases;
/// [`caffe_gradient`] is not.
///
/// It is [`softmax::cross_entropy`] against [`targets::multilabel`], with the same accuracy and the
/// same table of non-finite input. For M = 0 the target is all 0, so loss and gradient are 0; a row
/// without a softmax (a NaN, two +∞, everything masked) has NaN, with or without labels.
///
/// # Panics
/// If `x` and `y` differ in length.
///
/// ```
/// use xent_reference::multilabel::softmax;
///
/// let answer = softmax(&[1.0, 1.0], &[1.0, 1.0]);
/// assert_eq!((answer.loss, answer.grad), (2.0_f64.ln(), vec![0.0, 0.0]));
/// ```
pub fn softmax(x: &[f64], y: &[f64]) -> RowAnswer {
    softmax::cross_entropy(x, &targets::multilabel(y))
}

/// The gradient that the multi-label softmax layer of the Caffe Python layers returns. With M, p as
/// for [`softmax()`]:
///
/// ```text
/// gradient_c = p_c - [y_c ≠ 0]/M
/// ```
///
/// It ignores the size of the labels. For labels 0 and 1 it is the gradient of [`softmax()`]; for
/// others it is not the derivative of any loss, and is here for compatibility. For M = 0 it is all
/// 0, and NaN for a row without a softmax.
///
/// # Panics
/// If `x` and `y` differ in length.
///
/// ```
/// use xent_reference::multilabel::{caffe_gradient, softmax};
///
/// let x = [1.0, 1.0];
/// assert_eq!(caffe_gradient(&x, &[0.0, 3.0]), [0.5, -0.5]);
/// assert_eq!(softmax(&x, &[0.0, 3.0]).grad, [1.5, -1.5]);
/// ```
pub fn caffe_gradient(x: &[f64], y: &[f64]) -> Vec<f64> {
    let labelled: Vec<f64> = y.iter().map(|&y| f64::from(y != 0.0)).collect();
    softmax(x, &labelled).grad
}

/// The multi-label soft margin loss of one row of logits `x` with targets `y` in 0..=1, both of
/// length C, and weights w for the classes (all 1 if `None`): (loss, its derivative by each logit).
///
/// ```text
/// loss = (1/C)·Σ_c w_c·[(1-y_c)·softplus(x_c) + y_c·softplus(-x_c)]
/// gradient_c = (w_c/C)·[(1-y_c)·σ(x_c) - y_c·σ(-x_c)]
/// ```
///
/// PyTorch's `multilabel_soft_margin_loss`: the mean of the sigmoid loss over the classes, one
/// number a row. The classes are independent: a NaN makes the loss NaN but only its own gradient,
/// and ±∞ gives the limit, as in [`sigmoid::cross_entropy`]. A row without classes has a loss of
/// NaN.
///
/// # Panics
/// If `x`, `y` and the weights differ in length.
///
/// ```
/// use xent_reference::multilabel::soft_margin;
///
/// let (loss, gradient) = soft_margin(&[0.0, 0.0], &[1.0, 0.0], None);
/// assert_eq!((loss, gradient), (2.0_f64.ln(), vec![-0.25, 0.25]));
/// ```
pub fn soft_margin(x: &[f64], y: &[f64], class_weights: Option<&[f64]>) -> (f64, Vec<f64>) {
    assert_eq!(x.len(), y.len(), "one target a class");
    if let Some(weights) = class_weights {
        assert_eq!(weights.len(), x.len(), "one weight a class");
    }
    let weight = |c: usize| class_weights.map_or(1.0, |weights| weights[c]);
    let classes = x.len() as f64;
    let elements = (0..x.len()).map(|c| {
        let (loss, gradient) = sigmoid::cross_entropy(x[c], y[c], 1.0);
        (times(weight(c), loss), weight(c) * gradient / classes)
    });
    let (losses, grad): (Vec<f64>, Vec<f64>) = elements.unzip();
    (sum(losses) / classes, grad)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::targets::one_hot;
    use crate::test::{assert_all_nan, assert_close, assert_gradient};

    const INF: f64 = f64::INFINITY;
    const X: [f64; 5] = [0.5, -1.25, 2.0, 0.0, -3.0];

    #[test]
    fn the_gradient_is_the_finite_difference_of_the_loss() {
        for y in [[0.0, 1.0, 1.0, 0.0, 1.0], [0.5, 0.0, 3.0, 0.0, 0.25], [0.0; 5]] {
            assert_gradient(&X, &softmax(&X, &y).grad, |x| softmax(x, &y).loss);
        }
        let y = [0.0, 1.0, 0.3, 0.0, 1.0];
        for weights in [None, Some([0.5, 1.0, 2.0, 0.0, 3.0])] {
            let weights = weights.as_ref().map(|w| &w[..]);
            let (_, grad) = soft_margin(&X, &y, weights);
            assert_gradient(&X, &grad, |x| soft_margin(x, &y, weights).0);
        }
    }

    #[test]
    fn one_label_is_the_ordinary_cross_entropy() {
        for y in 0..5 {
            let target = one_hot(5, y, 1.0);
            assert_eq!(softmax(&X, &target), softmax::cross_entropy(&X, &target));
        }
    }

    #[test]
    fn the_scale_factor_counts_labels_and_not_their_size() {
        let (plain, tripled) =
            (softmax(&X, &[1.0, 0.0, 1.0, 0.0, 0.0]), softmax(&X, &[3.0, 0.0, 3.0, 0.0, 0.0]));
        assert_close(tripled.loss, 3.0 * plain.loss, 1e-15);
        for c in 0..5 {
            assert_close(tripled.grad[c], 3.0 * plain.grad[c], 1e-15);
        }
    }

    #[test]
    fn the_gradient_of_the_layer_is_exact_for_labels_of_one_only() {
        let y = [0.0, 1.0, 1.0, 0.0, 1.0];
        assert_eq!(caffe_gradient(&X, &y), softmax(&X, &y).grad);
        let y = [0.0, 0.5, 2.0, 0.0, 1.0];
        let p = softmax::softmax(&X);
        for (c, gradient) in caffe_gradient(&X, &y).into_iter().enumerate() {
            let share = if y[c] == 0.0 { 0.0 } else { 1.0 / 3.0 };
            assert!((gradient - (p[c] - share)).abs() < 1e-15, "class {c}");
        }
        assert_ne!(caffe_gradient(&X, &y), softmax(&X, &y).grad);
    }

    #[test]
    fn a_row_without_labels_costs_nothing() {
        let answer = softmax(&X, &[0.0; 5]);
        assert_eq!((answer.loss, &answer.grad[..]), (0.0, &[0.0; 5][..]));
        assert_eq!(caffe_gradient(&X, &[0.0; 5]), [0.0; 5]);
    }

    #[test]
    fn a_confident_row_keeps_its_loss() {
        let answer = softmax(&[57.5, 0.0], &[1.0, 0.0]);
        assert_close(answer.loss, (-57.5_f64).exp(), 1e-15);
        assert_close(answer.grad[0], -(-57.5_f64).exp(), 1e-15);
        let (loss, grad) = soft_margin(&[57.5, -57.5], &[1.0, 0.0], None);
        assert_close(loss, (-57.5_f64).exp(), 1e-15);
        assert_close(grad[0], -(-57.5_f64).exp() / 2.0, 1e-15);
        assert_close(grad[1], (-57.5_f64).exp() / 2.0, 1e-15);
    }

    #[test]
    fn the_soft_margin_of_one_class_is_its_sigmoid_loss() {
        let (loss, grad) = soft_margin(&[1.5], &[0.25], None);
        assert_eq!((loss, grad[0]), sigmoid::cross_entropy(1.5, 0.25, 1.0));
    }

    #[test]
    fn not_finite_rows_of_the_softmax() {
        let y = [1.0, 1.0, 0.0];
        let masked = softmax(&[1.0, 2.0, -INF], &y);
        assert_eq!(masked.loss, softmax(&[1.0, 2.0], &y[..2]).loss);
        assert_eq!(masked.grad[2], 0.0);
        let costly = softmax(&[1.0, -INF, 1.0], &y);
        assert_eq!((costly.loss, &costly.grad[..]), (INF, &[0.0, -0.5, 0.5][..]));
        for x in [[f64::NAN, 1.0, 2.0], [INF, INF, 1.0], [-INF; 3]] {
            for y in [y, [0.0; 3]] {
                assert!(softmax(&x, &y).loss.is_nan());
                assert_all_nan(&softmax(&x, &y).grad);
                assert_all_nan(&caffe_gradient(&x, &y));
            }
        }
    }

    #[test]
    fn not_finite_elements_of_the_soft_margin() {
        let (loss, grad) = soft_margin(&[INF, -INF, INF, 0.0], &[1.0, 0.0, 0.0, 1.0], None);
        assert_eq!((loss, grad), (INF, vec![0.0, 0.0, 0.25, -0.125]));
        let (loss, grad) = soft_margin(&[f64::NAN, 0.0], &[1.0, 0.0], None);
        assert!(loss.is_nan() && grad[0].is_nan());
        assert_eq!(grad[1], 0.25);
        let (loss, grad) = soft_margin(&[INF, 0.0], &[0.0, 0.0], Some(&[0.0, 1.0]));
        assert_eq!((loss, grad), (2.0_f64.ln() / 2.0, vec![0.0, 0.25]));
    }

    #[test]
    #[should_panic(expected = "one target a class")]
    fn a_soft_margin_with_too_few_targets_is_refused() {
        soft_margin(&[1.0, 2.0], &[1.0], None);
    }
}
