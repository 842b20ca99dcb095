//! Cross-entropy with the z-loss: a penalty that keeps the log-sum-exp near zero.
//!
//! Source: A. Chowdhery et al., "`PaLM`: Scaling Language Modeling with Pathways", 2022
//! (arXiv:2204.02311), section 5; Megatron and the Liger kernels offer it.

use crate::row::Row;
use crate::softmax::{self, RowAnswer};
use crate::times;

/// The softmax cross-entropy of one row of logits `x` against a target `q`, both of C numbers,
/// plus λ times the square of the log-sum-exp. With p = softmax(x), s = ln p and Q = Σ q:
///
/// ```text
/// lse = ln Σ_c e^x_c
/// loss = Σ_c q_c·(-s_c) + λ·lse²
/// gradient_c = Q·p_c - q_c + 2λ·lse·p_c
/// ```
///
/// Class weights are in `q` and do not affect the second term. lse is as accurate as
/// [`log_sum_exp`](softmax::log_sum_exp), that is, in absolute terms where it is nearly 0. Each of
/// the two parts of the gradient is accurate; for λ·lse < 0 they may cancel.
/// [`scale`](RowAnswer::scale) is the largest of all three terms.
///
/// # Non-finite input
///
/// As in [`softmax::cross_entropy`], and for λ > 0:
///
/// | row | loss | gradient |
/// |---|---|---|
/// | some -∞ | in lse too as if the class were absent | no more than without λ |
/// | one +∞, target or not | +∞, as lse is | +∞ there; elsewhere as without λ |
///
/// λ = 0 is the cross-entropy, for every row.
///
/// # Panics
/// If `x` and `q` differ in length.
///
/// ```
/// use xent_reference::{targets::one_hot, z_loss::cross_entropy};
///
/// let ln2 = 2.0_f64.ln();
/// let answer = cross_entropy(&[0.0, 0.0], &one_hot(2, 0, 1.0), 0.25);
/// assert_eq!(answer.loss, ln2 + 0.25 * ln2 * ln2);
/// assert_eq!(answer.grad, [-0.5 + 0.25 * ln2, 0.5 + 0.25 * ln2]);
/// ```
pub fn cross_entropy(x: &[f64], q: &[f64], lambda: f64) -> RowAnswer {
    let mut answer = softmax::cross_entropy(x, q);
    let Ok(row) = Row::new(x) else { return answer };
    let lse = row.max + row.ln_total();
    answer.loss += times(lambda, lse * lse);
    for (c, p) in row.probabilities().into_iter().enumerate() {
        let pull = times(2.0 * lambda * p, lse);
        answer.grad[c] += pull;
        answer.scale[c] = larger(answer.scale[c], pull.abs());
    }
    answer
}

/// The larger, or NaN if the first is.
fn larger(a: f64, b: f64) -> f64 {
    if a.is_nan() { a } else { a.max(b) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::targets::{one_hot, smoothed};
    use crate::test::{assert_all_nan, assert_close, assert_gradient};

    const INF: f64 = f64::INFINITY;
    const X: [f64; 5] = [0.5, -1.25, 2.0, 0.0, -3.0];

    #[test]
    fn the_gradient_is_the_finite_difference_of_the_loss() {
        for shift in [-6.0, 0.0, 3.0] {
            let x = X.map(|x| x + shift);
            for lambda in [0.0, 1e-4, 0.5] {
                for q in [one_hot(5, 1, 2.0), smoothed(5, 2, 0.1, None)] {
                    let answer = cross_entropy(&x, &q, lambda);
                    assert_gradient(&x, &answer.grad, |x| cross_entropy(x, &q, lambda).loss);
                }
            }
        }
    }

    #[test]
    fn without_lambda_it_is_the_cross_entropy() {
        let q = one_hot(3, 1, 1.0);
        for x in [[1.0, 2.0, -3.0], [INF, 1.0, 2.0], [1.0, INF, 2.0], [-INF, 1.0, 2.0]] {
            assert_eq!(cross_entropy(&x, &q, 0.0), softmax::cross_entropy(&x, &q));
        }
    }

    #[test]
    fn a_confident_row_keeps_its_digits_where_the_penalty_is_nothing() {
        // lse = ln1p(e^-57.5): its square, 1e-50, is below the last digit of the loss.
        let tiny = (-57.5_f64).exp();
        let answer = cross_entropy(&[0.0, -57.5], &[1.0, 0.0], 0.5);
        assert_close(answer.loss, tiny, 1e-15);
        // -(1 - p) + lse·p, which cancels exactly except for e^-115.
        assert!(answer.grad[0].abs() <= 2.0 * f64::EPSILON * tiny);
        assert_close(answer.grad[1], tiny, 1e-15);
    }

    #[test]
    fn a_normalized_row_is_not_penalized() {
        let x = [0.5_f64.ln(), 0.25_f64.ln(), 0.25_f64.ln()];
        let q = one_hot(3, 0, 1.0);
        let (with, without) = (cross_entropy(&x, &q, 10.0), softmax::cross_entropy(&x, &q));
        assert_close(with.loss, without.loss, 1e-15);
    }

    #[test]
    fn not_finite_rows() {
        let q = one_hot(3, 1, 1.0);
        for x in [[f64::NAN, 1.0, 2.0], [INF, INF, 1.0], [-INF; 3]] {
            let answer = cross_entropy(&x, &q, 0.5);
            assert!(answer.loss.is_nan());
            assert_all_nan(&answer.grad);
            assert_all_nan(&answer.scale);
        }
        let (with, without) =
            (cross_entropy(&[-INF, 1.0, 2.0], &q, 0.5), cross_entropy(&[1.0, 2.0], &q[1..], 0.5));
        assert_eq!(with.loss, without.loss);
        assert_eq!(with.grad, [0.0, without.grad[0], without.grad[1]]);
        for (x, grad) in [([1.0, INF, 0.0], [0.0, INF, 0.0]), ([INF, 1.0, 0.0], [INF, -1.0, 0.0])] {
            let answer = cross_entropy(&x, &q, 0.5);
            assert_eq!((answer.loss, &answer.grad[..]), (INF, &grad[..]));
        }
        let target = cross_entropy(&[1.0, -INF, 1.0], &q, 0.5);
        assert_eq!((target.loss, target.grad[1]), (INF, -1.0));
    }

    #[test]
    fn not_finite_a_finite_mask_acts_as_an_infinite_one() {
        let q = one_hot(3, 0, 1.0);
        for mask in [-1e30, f64::from(f32::MIN)] {
            let masked = cross_entropy(&[1.0, mask, 0.5], &q, 0.5);
            assert_eq!(masked, cross_entropy(&[1.0, -INF, 0.5], &q, 0.5));
        }
    }
}
