//! Target vectors: what is *left* of labels, class weights and smoothing before they meet a row.
//!
//! [`softmax::cross_entropy`](crate::softmax::cross_entropy) takes any non-negative vector q, one
//! number a class. These functions make the two kinds that come from a class index.

/// The target of one row labelled `y`: `weight` at `y`, 0 elsewhere. As long as `classes`.
///
/// # Panics
/// When `y` is not below `classes`.
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

/// The smoothed target of one row labelled `y`, with weights w for the classes (all 1 when
/// `None`):
///
/// ```text
/// q_c = (1 - ε)·w_y·[c = y] + (ε/C)·w_c
/// ```
///
/// so that `Σ q_c(-s_c) = (1-ε)·w_y(-s_y) + (ε/C)·Σ w_c(-s_c)` for s = log-softmax, which is the
/// definition of PyTorch's `cross_entropy` with `weight` and `label_smoothing`. What a mean
/// divides by is not this function's business: there it is the sum of the `w_y` alone.
///
/// `class_weights` has `classes` numbers, and so has the answer.
///
/// # Panics
/// When `y` is not below `classes`, or there are not as many weights as classes.
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
