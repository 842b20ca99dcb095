//! Target vectors that already contain class weights and label smoothing.
//!
//! [`softmax::cross_entropy`](crate::softmax::cross_entropy) takes any non-negative vector q, one
//! number a class. These functions make it from a class index, from a vector of probabilities, or
//! from the labels of a multi-label row.

/// The target of one row with the label `y`: `weight` at `y`, 0 elsewhere. As long as `classes`.
///
/// # Panics
/// If `y` is not below `classes`.
///
/// ```
/// assert_eq!(xent_reference::targets::one_hot(3, 1, 2.5), [0.0, 2.5, 0.0]);
/// ```
pub fn one_hot(classes: usize, y: usize, weight: f64) -> Vec<f64> {
    check_label(classes, y);
    let mut q = vec![0.0; classes];
    q[y] = weight;
    q
}

/// The smoothed target of one row with the label `y` and weights w for the classes (all 1 if
/// `None`):
///
/// ```text
/// q_c = (1 - ε)·w_y·[c = y] + (ε/C)·w_c
/// ```
///
/// so that `Σ q_c(-s_c) = (1-ε)·w_y(-s_y) + (ε/C)·Σ w_c(-s_c)` for s = log-softmax, as PyTorch
/// defines `cross_entropy` with `weight` and `label_smoothing`. This function does not compute the
/// divisor of a mean, which is the sum of the `w_y` in PyTorch.
///
/// `class_weights` and the result have `classes` numbers.
///
/// # Panics
/// If `y` is not below `classes`, or the number of weights is not the number of classes.
///
/// ```
/// use xent_reference::targets::smoothed;
///
/// assert_eq!(smoothed(4, 1, 0.5, None), [0.125, 0.625, 0.125, 0.125]);
/// ```
pub fn smoothed(classes: usize, y: usize, epsilon: f64, class_weights: Option<&[f64]>) -> Vec<f64> {
    check_label(classes, y);
    if let Some(weights) = class_weights {
        assert_eq!(weights.len(), classes, "one weight a class");
    }
    let weight = |c: usize| class_weights.map_or(1.0, |weights| weights[c]);
    let mut q: Vec<f64> = (0..classes).map(|c| epsilon / classes as f64 * weight(c)).collect();
    q[y] += (1.0 - epsilon) * weight(y);
    q
}

/// The smoothed target of one row with a target vector `t` and weights w for the classes (all 1 if
/// `None`):
///
/// ```text
/// q_c = w_c·[(1 - ε)·t_c + ε/C]
/// ```
///
/// PyTorch's definition of `cross_entropy` for probabilities as targets. `t` need not sum to one.
/// For a one-hot `t` it is [`smoothed`].
///
/// `class_weights` and the result are as long as `t`.
///
/// # Panics
/// If the number of weights is not the number of classes.
///
/// ```
/// use xent_reference::targets::smoothed_dense;
///
/// assert_eq!(smoothed_dense(&[0.5, 0.5, 0.0, 0.0], 0.5, None), [0.375, 0.375, 0.125, 0.125]);
/// ```
pub fn smoothed_dense(t: &[f64], epsilon: f64, class_weights: Option<&[f64]>) -> Vec<f64> {
    let classes = t.len();
    if let Some(weights) = class_weights {
        assert_eq!(weights.len(), classes, "one weight a class");
    }
    let smooth = t.iter().map(|t| (1.0 - epsilon) * t + epsilon / classes as f64);
    smooth.enumerate().map(|(c, t)| class_weights.map_or(1.0, |weights| weights[c]) * t).collect()
}

/// The target of one row with any number of labels, `q_c = y_c/M`, where M is the number of `y`
/// that are not zero: the scale factor of the multi-label softmax. As long as `y`.
///
/// A label may be 1 or any real number, such as a weight that balances the classes; M counts it as
/// one in any case. Without a label, M = 0 and the target is all 0.
///
/// ```
/// assert_eq!(xent_reference::targets::multilabel(&[0.0, 1.0, 3.0]), [0.0, 0.5, 1.5]);
/// ```
pub fn multilabel(y: &[f64]) -> Vec<f64> {
    let labels = y.iter().filter(|&&y| y != 0.0).count();
    y.iter().map(|&y| if y == 0.0 { 0.0 } else { y / labels as f64 }).collect()
}

fn check_label(classes: usize, y: usize) {
    assert!(y < classes, "label {y} of {classes} classes");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_smoothing_the_target_is_the_weighted_one_hot() {
        let weights = [0.5, 2.0, 3.0];
        for (y, &weight) in weights.iter().enumerate() {
            assert_eq!(smoothed(3, y, 0.0, Some(&weights)), one_hot(3, y, weight));
            assert_eq!(smoothed(3, y, 0.0, None), one_hot(3, y, 1.0));
        }
    }

    #[test]
    fn smoothing_keeps_the_sum_of_an_unweighted_target() {
        for epsilon in [0.0, 0.1, 0.25, 1.0] {
            let total: f64 = smoothed(7, 3, epsilon, None).iter().sum();
            assert!((total - 1.0).abs() < 1e-15, "{total}");
        }
    }

    #[test]
    fn smoothing_weighs_every_class_by_its_own_weight() {
        // (1 - 0.5)·4 at the label, and 0.5/2 of each class's own weight.
        assert_eq!(smoothed(2, 1, 0.5, Some(&[2.0, 4.0])), [0.5, 3.0]);
    }

    #[test]
    fn smoothing_by_one_forgets_the_label() {
        assert_eq!(smoothed(4, 0, 1.0, None), smoothed(4, 3, 1.0, None));
    }

    #[test]
    fn smoothing_a_one_hot_vector_is_smoothing_its_index() {
        let weights = [2.0, 4.0, 0.5, 8.0];
        for (y, &weight) in weights.iter().enumerate() {
            let dense = smoothed_dense(&one_hot(4, y, 1.0), 0.5, Some(&weights));
            assert_eq!(dense, smoothed(4, y, 0.5, Some(&weights)));
            let dense = smoothed_dense(&one_hot(4, y, 1.0), 0.0, Some(&weights));
            assert_eq!(dense, one_hot(4, y, weight));
        }
    }

    #[test]
    fn a_vector_without_smoothing_and_weights_is_itself() {
        assert_eq!(smoothed_dense(&[0.3, 2.0, 0.0], 0.0, None), [0.3, 2.0, 0.0]);
    }

    #[test]
    fn labels_share_the_row_and_keep_their_size() {
        assert_eq!(multilabel(&[1.0, 0.0, 1.0, 1.0, 1.0]), [0.25, 0.0, 0.25, 0.25, 0.25]);
        assert_eq!(multilabel(&[-0.0, 0.5]), [0.0, 0.5]);
        assert_eq!(multilabel(&[0.0, -0.0]), [0.0, 0.0]);
        assert!(multilabel(&[]).is_empty());
    }

    #[test]
    #[should_panic(expected = "one weight a class")]
    fn too_few_weights_for_a_vector_are_refused() {
        smoothed_dense(&[1.0, 0.0], 0.1, Some(&[1.0]));
    }

    #[test]
    #[should_panic(expected = "label 3 of 3 classes")]
    fn a_label_past_the_last_class_is_refused() {
        one_hot(3, 3, 1.0);
    }

    #[test]
    #[should_panic(expected = "one weight a class")]
    fn too_few_class_weights_are_refused() {
        smoothed(3, 0, 0.1, Some(&[1.0, 1.0]));
    }
}
