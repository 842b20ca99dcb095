//! Distillation: the divergence of a row's softmax from a teacher's, both softened by a
//! temperature.
//!
//! Source: G. Hinton, O. Vinyals, J. Dean, "Distilling the Knowledge in a Neural Network", 2015
//! (arXiv:1503.02531).

use crate::row::Row;
use crate::softmax::{RowAnswer, undefined};
use crate::sum::sum;
use crate::times;

/// The distillation loss of one row of logits `x` against the logits of a `teacher`, both of length
/// C, at the temperature τ > 0. With p = softmax(x/τ) and q = softmax(teacher/τ):
///
/// ```text
/// loss = τ²·KL(q ‖ p) = τ²·Σ_c q_c·(ln q_c - ln p_c)
/// gradient_c = τ·(p_c - q_c)
/// ```
///
/// with the gradient by `x`; the teacher is constant. The factor τ² keeps the size of the gradient
/// as the temperature changes (Hinton et al., section 2). Without it, this is PyTorch's `kl_div` of
/// the two log-softmaxes.
///
/// # When student and teacher nearly agree
///
/// The terms of the sum above have both signs and cancel. As p and q both sum to one, with `u_c =
/// ln(p_c/q_c)` the loss is also
///
/// ```text
/// KL = Σ_c (p_c - q_c - q_c·u_c) = Σ_c q_c·(e^u_c - 1 - u_c)
/// ```
///
/// with non-negative terms; for small u, e^u - 1 - u is computed as its power series. And p - q is
/// q·expm1(u). If k is the teacher's first maximum and `b_c = [(x_c - teacher_c) - (x_k -
/// teacher_k)]/τ`,
///
/// ```text
/// u_c = b_c - ln Σ_j q_j·e^b_j = b_c - ln1p(Σ_j q_j·expm1(b_j))
/// ```
///
/// does not depend on what the two rows share. (If the sum is large, because the rows differ, u is
/// the difference of the log-softmaxes.) So the loss has full relative accuracy if the differences
/// of the logits are exact, and the gradient is as accurate as u.
///
/// [`scale`](RowAnswer::scale) is `τ·max(p_c, q_c)`. [`mean_distance`](RowAnswer::mean_distance) is
/// the mean distance of x/τ by p plus that of teacher/τ by q. [`max`](RowAnswer::max) is the
/// largest `x`.
///
/// # Non-finite input
///
/// | row | loss | gradient |
/// |---|---|---|
/// | `x` or `teacher` has a NaN, two or more +∞, or nothing but -∞ | NaN | all NaN |
/// | `teacher_c` = -∞ | its q·(ln q - ln p) is 0, whatever p | `τ·p_c` there |
/// | `x_c` = -∞, and so is `teacher_c` | as if the class were absent | 0 there |
/// | `x_c` = -∞, and `q_c > 0` | +∞ | `-τ·q_c` there |
/// | one +∞ in the teacher | `-τ²·ln p_c`: the cross-entropy of a certain target | `τ·(p - q)` |
/// | one +∞ in `x`, with q = 1 there | 0 | all 0 |
/// | one +∞ in `x`, with q < 1 there | +∞ | `τ·(p - q)`, p being 1 there and 0 elsewhere |
/// | finite masks such as -1e30 | as for -∞, but the loss of a masked `x_c` is finite | as for -∞ |
///
/// # Panics
/// If `x` and `teacher` differ in length, or the temperature is not positive and finite.
///
/// ```
/// use xent_reference::distillation::divergence;
///
/// // A teacher that is sure, and a student that has no idea.
/// let answer = divergence(&[0.0, 0.0], &[f64::INFINITY, 0.0], 1.0);
/// assert_eq!((answer.loss, answer.grad), (2.0_f64.ln(), vec![-0.5, 0.5]));
///
/// // A shift is no disagreement.
/// assert_eq!(divergence(&[1.0, 2.0], &[4.0, 5.0], 3.0).loss, 0.0);
/// ```
pub fn divergence(x: &[f64], teacher: &[f64], temperature: f64) -> RowAnswer {
    assert_eq!(x.len(), teacher.len(), "one teacher's logit a class");
    let sensible = temperature > 0.0 && temperature.is_finite();
    assert!(sensible, "a temperature of {temperature}");
    let rows = (Row::tempered(x, temperature), Row::tempered(teacher, temperature));
    let (Ok(student), Ok(master)) = rows else {
        return undefined(x);
    };
    let (p, q) = (student.probabilities(), master.probabilities());
    let log_ratios = log_ratios(x, teacher, temperature, &student, &master, &q);
    let terms = (0..x.len()).map(|c| term(p[c], q[c], log_ratios[c]));
    let loss = temperature * temperature * sum(terms);
    let grad = (0..x.len()).map(|c| temperature * difference(p[c], q[c], log_ratios[c])).collect();
    let scale = p.iter().zip(&q).map(|(&p, &q)| temperature * p.max(q)).collect();
    let mean_distance = student.mean_distance() + master.mean_distance();
    RowAnswer { loss, grad, scale, mean_distance, max: student.max }
}

/// p - q - q·u for u = ln(p/q): never negative.
fn term(p: f64, q: f64, u: f64) -> f64 {
    if q == 0.0 {
        p
    } else if u.abs() <= 1.0 {
        q * exp_beyond_linear(u)
    } else {
        p - q - times(q, u)
    }
}

/// p - q for u = ln(p/q).
fn difference(p: f64, q: f64, u: f64) -> f64 {
    if q > 0.0 && u.abs() <= 1.0 { q * u.exp_m1() } else { p - q }
}

/// e^u - 1 - u = u²/2! + u³/3! + …, for |u| ≤ 1.
fn exp_beyond_linear(u: f64) -> f64 {
    // The first omitted term is below 2^-53 of the first one.
    let series = (3..=20).rev().fold(1.0, |rest, n| 1.0 + u / f64::from(n) * rest);
    0.5 * u * u * series
}

/// `u_c = ln(p_c/q_c)`; its value does not matter where `q_c = 0`.
fn log_ratios(
    x: &[f64],
    teacher: &[f64],
    temperature: f64,
    student: &Row,
    master: &Row,
    q: &[f64],
) -> Vec<f64> {
    let plain = || (0..x.len()).map(|c| master.surprise(c) - student.surprise(c)).collect();
    let Some(k) = master.distance.iter().position(|&d| d == 0.0) else { return plain() };
    // Summed without loss: of a teacher whose logits are all -1e30, `x_c - teacher_c` knows nothing of x_c.
    let gap = |c: usize| sum([x[c], -teacher[c], -x[k], teacher[k]]) / temperature;
    let gaps: Vec<f64> = (0..x.len()).map(gap).collect();
    // Σ q_j·expm1(b_j). If b_j is large or not finite, the exponential is q_j·e^b_j = q_k·e^((x_j -
    // x_k)/τ).
    let terms: Vec<f64> = (0..x.len())
        .map(|c| {
            if gaps[c].abs() <= 1.0 {
                q[c] * gaps[c].exp_m1()
            } else {
                q[k] * ((x[c] - x[k]) / temperature).exp() - q[c]
            }
        })
        .collect();
    // (A NaN is not below.)
    if sum(terms.iter().map(|term| term.abs())) < 0.5 {
        let shared = sum(terms).ln_1p();
        let plain: Vec<f64> = plain();
        let finite = |c: usize| gaps[c].is_finite();
        (0..x.len()).map(|c| if finite(c) { gaps[c] - shared } else { plain[c] }).collect()
    } else {
        plain()
    }
}

#[cfg(test)]
#[expect(clippy::excessive_precision, reason = "digits of the exact answer, not of a double")]
mod tests {
    use super::*;
    use crate::softmax::{cross_entropy, softmax};
    use crate::test::{assert_all_nan, assert_close, assert_gradient};

    const INF: f64 = f64::INFINITY;
    const X: [f64; 5] = [0.5, -1.25, 2.0, 0.0, -3.0];
    const TEACHER: [f64; 5] = [1.0, 0.25, -2.0, 4.0, -1.0];

    #[test]
    fn the_gradient_is_the_finite_difference_of_the_loss() {
        let close = X.map(|x| 1.01 * x);
        for teacher in [TEACHER, close, X, [-INF, 0.0, 1.0, -INF, 2.0]] {
            for temperature in [0.5, 1.0, 4.0] {
                let answer = divergence(&X, &teacher, temperature);
                assert_gradient(&X, &answer.grad, |x| divergence(x, &teacher, temperature).loss);
            }
        }
    }

    #[test]
    fn the_gradient_is_the_difference_of_the_softmax() {
        for temperature in [0.5, 1.0, 4.0] {
            let (p, q) =
                (softmax(&X.map(|x| x / temperature)), softmax(&TEACHER.map(|x| x / temperature)));
            let answer = divergence(&X, &TEACHER, temperature);
            for c in 0..5 {
                let want = temperature * (p[c] - q[c]);
                assert!((answer.grad[c] - want).abs() < 1e-15, "class {c} at {temperature}");
            }
        }
    }

    #[test]
    fn it_is_the_cross_entropy_less_the_entropy_of_the_teacher() {
        let q = softmax(&TEACHER);
        let entropy = cross_entropy(&TEACHER, &q).loss;
        let want = cross_entropy(&X, &q).loss - entropy;
        assert_close(divergence(&X, &TEACHER, 1.0).loss, want, 1e-14);
    }

    #[test]
    fn a_temperature_scales_the_logits() {
        let (halves, one) = (X.map(|x| x / 2.0), TEACHER.map(|x| x / 2.0));
        let (plain, warm) = (divergence(&halves, &one, 1.0), divergence(&X, &TEACHER, 2.0));
        assert_close(warm.loss, 4.0 * plain.loss, 1e-15);
        for c in 0..5 {
            assert_close(warm.grad[c], 2.0 * plain.grad[c], 1e-15);
        }
    }

    #[test]
    fn answers_match_high_precision_arithmetic() {
        let answer = divergence(&[-1.0, 2.0, 0.0, -20.0], &[3.0, 1.0, -0.5, -40.0], 1.0);
        assert_close(answer.loss, 2.319_506_193_070_358_645_396_733, 1e-15);
        // A student that is 2^-20 off its teacher: Σ q·(ln q - ln p) would be right to three digits
        // only.
        let answer = divergence(&[1.0, 0.0], &[1.0 + 2.0_f64.powi(-20), 0.0], 2.0);
        assert_close(answer.loss, 1.068_673_072_517_306_915_788_223e-13, 1e-15);
        assert_close(answer.grad[0], -2.241_169_914_998_832_619_104_699e-7, 1e-15);
        // Both almost certain.
        let answer = divergence(&[57.0, 0.0], &[60.0, 0.0], 1.0);
        assert_close(answer.loss, 1.408_531_771_916_450_835_416_326e-25, 1e-14);
        assert_close(answer.grad[0], -1.671_227_094_797_346_445_570_987e-25, 1e-14);
    }

    #[test]
    fn a_teacher_that_agrees_costs_nothing() {
        for x in [X, [60.0, 0.0, -60.0, 1.0, 2.0], [-INF, 0.0, -INF, 1.0, 2.0]] {
            for shift in [0.0, 16.0] {
                let answer = divergence(&x, &x.map(|x| x + shift), 3.0);
                assert_eq!((answer.loss, &answer.grad[..]), (0.0, &[0.0; 5][..]));
            }
        }
    }

    #[test]
    fn the_series_is_the_exponential_without_its_line() {
        for u in [-1.0, -0.5, 0.75, 1.0] {
            assert_close(exp_beyond_linear(u), f64::exp_m1(u) - u, 1e-15);
        }
        assert_eq!(exp_beyond_linear(1e-100), 0.5e-200);
    }

    #[test]
    fn not_finite_rows_without_a_softmax_are_nan() {
        for bad in [[f64::NAN, 1.0, 2.0], [INF, INF, 1.0], [-INF; 3]] {
            for (x, teacher) in [(&bad, &[1.0, 2.0, 3.0]), (&[1.0, 2.0, 3.0], &bad)] {
                let answer = divergence(x, teacher, 2.0);
                assert!(answer.loss.is_nan() && answer.mean_distance.is_nan());
                assert_all_nan(&answer.grad);
                assert_all_nan(&answer.scale);
            }
        }
    }

    #[test]
    fn not_finite_masked_classes() {
        let (x, teacher) = ([0.5, 2.0, -1.0], [1.0, -INF, 0.0]);
        // Only the share of p that the masked class takes: -ln(1 - p) for the others.
        let answer = divergence(&x, &teacher, 1.0);
        let p = softmax(&x);
        let kept = divergence(&[0.5, -1.0], &[1.0, 0.0], 1.0).loss;
        assert_close(answer.loss, kept - (-p[1]).ln_1p(), 1e-14);
        assert_eq!(answer.grad[1], p[1]);
        for mask in [-INF, -1e30] {
            let both = divergence(&[0.5, mask, -1.0], &[1.0, mask, 0.0], 1.0);
            let absent = divergence(&[0.5, -1.0], &[1.0, 0.0], 1.0);
            assert_eq!(both.loss, absent.loss);
            assert_eq!(both.grad, [absent.grad[0], 0.0, absent.grad[1]]);
        }
        let refused = divergence(&teacher, &x, 2.0);
        let q = softmax(&x.map(|x| x / 2.0));
        assert_eq!(refused.loss, INF);
        assert_eq!(refused.grad[1], -2.0 * q[1]);
        let finite = divergence(&[1.0, -1e30, 0.0], &x, 2.0);
        assert_close(finite.loss, 2.0 * q[1] * 1e30, 1e-15);
        assert_eq!(finite.grad[1], -2.0 * q[1]);
    }

    #[test]
    fn not_finite_certain_rows() {
        let sure = divergence(&X, &[-INF, 1.0, INF, 1.0, 1.0], 1.0);
        let target = cross_entropy(&X, &[0.0, 0.0, 1.0, 0.0, 0.0]);
        assert_close(sure.loss, target.loss, 1e-15);
        for c in 0..5 {
            assert_close(sure.grad[c], target.grad[c], 1e-15);
        }
        let x = [0.0, INF, 1.0];
        for teacher in [x, [-INF, 3.0, -INF]] {
            let agreed = divergence(&x, &teacher, 2.0);
            assert_eq!((agreed.loss, &agreed.grad[..]), (0.0, &[0.0; 3][..]));
        }
        let wrong = divergence(&x, &[0.0, 0.0, -INF], 2.0);
        assert_eq!((wrong.loss, &wrong.grad[..]), (INF, &[-1.0, 1.0, 0.0][..]));
    }

    #[test]
    fn a_teacher_that_masks_every_class_has_no_preference() {
        let x = [56.0, 0.0, -3.0];
        let expected = divergence(&x, &[0.0; 3], 7.0);
        for mask in [-1e30, -3.4e38] {
            let found = divergence(&x, &[mask; 3], 7.0);
            assert_close(found.loss, expected.loss, 1e-15);
            for (found, expected) in found.grad.iter().zip(&expected.grad) {
                assert_close(*found, *expected, 1e-15);
            }
        }
    }

    #[test]
    #[should_panic(expected = "a temperature of 0")]
    fn no_temperature_is_refused() {
        divergence(&[1.0], &[1.0], 0.0);
    }
}
