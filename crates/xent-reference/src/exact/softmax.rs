//! Softmax and its cross-entropy, one row at a time, as in [`crate::softmax`]: the same formulas
//! and the same tables of non-finite input. The distances do not overflow.

use super::{Exact, exp, ln_1p, times};
use crate::row::{Undefined, first_maximum};

/// [`crate::softmax::log_sum_exp`]. If m and ln1p(R) cancel, the error is 1e-25 of the larger of
/// the two.
///
/// ```
/// use xent_reference::exact::softmax::log_sum_exp;
///
/// // ln(e^-ln2 + e^-ln2) with a rounded ln 2: the result is its rounding error.
/// let ln_2 = core::f64::consts::LN_2;
/// let error = log_sum_exp(&[-ln_2, -ln_2]) - 2.3190468138462996e-17;
/// assert!(error.abs().to_f64() < 1e-31);
/// ```
pub fn log_sum_exp(x: &[f64]) -> Exact {
    match Row::new(x) {
        Ok(row) => row.ln_total() + row.max,
        Err(Undefined::Nan) => Exact::from(f64::NAN),
        Err(Undefined::TwoInfinities) => Exact::from(f64::INFINITY),
        Err(Undefined::AllMasked) => Exact::from(f64::NEG_INFINITY),
    }
}

/// [`crate::softmax::softmax`].
pub fn softmax(x: &[f64]) -> Vec<Exact> {
    match Row::new(x) {
        Ok(row) => row.exp.iter().map(|&e| e / row.total()).collect(),
        Err(_) => vec![Exact::from(f64::NAN); x.len()],
    }
}

/// [`crate::softmax::log_softmax`].
pub fn log_softmax(x: &[f64]) -> Vec<Exact> {
    match Row::new(x) {
        Ok(row) => {
            let ln_total = row.ln_total();
            // Subtracted from zero rather than negated, so that a certain class has 0, not -0.
            row.distance.iter().map(|&d| Exact::ZERO - (d + ln_total)).collect()
        }
        Err(_) => vec![Exact::from(f64::NAN); x.len()],
    }
}

/// The result of [`cross_entropy`] for one row. The distances in an error bound need fewer digits:
/// [`crate::softmax::RowAnswer`] has them.
#[derive(Clone, Debug, PartialEq)]
pub struct RowAnswer {
    /// `Σ_c q_c·(-s_c)`.
    pub loss: Exact,
    /// The derivative of the loss by each logit, `Q·p_c - q_c`. Length C.
    pub grad: Vec<Exact>,
    /// The larger of `|Q·p_c|` and `|q_c|`: the two terms that [`grad`](Self::grad) is the
    /// difference of. Length C.
    pub scale: Vec<f64>,
}

/// [`crate::softmax::cross_entropy`] of one row of logits `x` against a target `q`, both of length
/// C.
///
/// # Panics
/// If `x` and `q` differ in length.
///
/// ```
/// use xent_reference::{exact::softmax::cross_entropy, targets::one_hot};
///
/// let answer = cross_entropy(&[1.0, 1.0], &one_hot(2, 0, 1.0));
/// assert_eq!(answer.loss.to_f64(), 2.0_f64.ln());
/// assert_eq!(answer.grad, [(-0.5).into(), 0.5.into()]);
/// ```
pub fn cross_entropy(x: &[f64], q: &[f64]) -> RowAnswer {
    assert_eq!(x.len(), q.len(), "one target a class");
    let row = match Row::new(x) {
        Ok(row) if !q.iter().any(|v| v.is_nan()) => row,
        _ => return undefined(x.len()),
    };
    let q: Vec<Exact> = q.iter().map(|&q| Exact::from(q)).collect();
    let total = row.total();
    let q_total: Exact = q.iter().copied().sum();
    let q_others = sums_of_the_others(&q);
    let exp_others = sums_of_the_others(&row.exp);

    let distances: Exact = q.iter().zip(&row.distance).map(|(&q, &d)| times(q, d)).sum();
    let loss = distances + times(q_total, row.ln_total());
    let grad = (0..x.len())
        .map(|c| {
            if row.exp[c].is_zero() {
                // Set exactly: the others' p sum to one, but their computed sum may be off by a
                // bit.
                Exact::ZERO - q[c]
            } else {
                (row.exp[c] * q_others[c] - q[c] * exp_others[c]) / total
            }
        })
        .collect();
    let scale = q
        .iter()
        .zip(&row.exp)
        .map(|(&q, &e)| (q_total * e / total).to_f64().abs().max(q.to_f64().abs()))
        .collect();
    RowAnswer { loss, grad, scale }
}

fn undefined(classes: usize) -> RowAnswer {
    let nan = Exact::from(f64::NAN);
    RowAnswer { loss: nan, grad: vec![nan; classes], scale: vec![f64::NAN; classes] }
}

/// A row that has a softmax, as `crate::row::Row` has it.
struct Row {
    /// `m = max x`, possibly +∞ and never -∞.
    max: f64,
    /// `d_c = m - x_c ≥ 0`; where `x_c = m` it is 0, for m = +∞ too.
    distance: Vec<Exact>,
    /// `e^-d_c`, in 0..=1.
    exp: Vec<Exact>,
    /// R, the sum of all of `exp` except the first maximum's 1.
    others: Exact,
}

impl Row {
    fn new(x: &[f64]) -> Result<Self, Undefined> {
        let first = first_maximum(x)?;
        let max = x[first];
        let distance_from_max = |v: f64| if v == max { Exact::ZERO } else { Exact::from(max) - v };
        let distance: Vec<Exact> = x.iter().map(|&v| distance_from_max(v)).collect();
        let exp: Vec<Exact> = distance.iter().map(|&d| exp(-d)).collect();
        let others = exp[..first].iter().chain(&exp[first + 1..]).copied().sum();
        Ok(Self { max, distance, exp, others })
    }

    /// `S = Σ e^-d_c ≥ 1`.
    fn total(&self) -> Exact {
        self.others + 1.0
    }

    /// ln S, accurate when it is tiny.
    fn ln_total(&self) -> Exact {
        ln_1p(self.others)
    }
}

/// As `crate::sum::sums_of_the_others`.
fn sums_of_the_others(terms: &[Exact]) -> Vec<Exact> {
    let mut others = Vec::with_capacity(terms.len());
    let mut before = Exact::ZERO;
    for &term in terms {
        others.push(before);
        before = before + term;
    }
    let mut after = Exact::ZERO;
    for (other, &term) in others.iter_mut().zip(terms).rev() {
        *other = *other + after;
        after = after + term;
    }
    others
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::softmax as f64_oracle;
    use crate::targets::one_hot;

    const INF: f64 = f64::INFINITY;

    fn rounded(values: &[Exact]) -> Vec<f64> {
        values.iter().map(|v| v.to_f64()).collect()
    }

    /// Asserts that the numbers are the same, including the sign of zero, and NaN as NaN.
    #[track_caller]
    fn assert_same(got: &[f64], want: &[f64]) {
        let bits = |values: &[f64]| -> Vec<u64> {
            values.iter().map(|v| if v.is_nan() { u64::MAX } else { v.to_bits() }).collect()
        };
        assert_eq!(bits(got), bits(want), "got {got:?}, not {want:?}");
    }

    #[test]
    fn what_is_not_finite_is_as_in_the_other_oracle() {
        // Rows whose numbers are exact in f64, except the masks.
        let rows = [
            vec![f64::NAN, 1.0, 2.0],
            vec![1.0, INF, f64::NAN],
            vec![INF, 1.0, INF],
            vec![1.0, INF, -INF],
            vec![INF, 3.0, 1.0],
            vec![1.0, -INF, 1.0],
            vec![1.0, -1e30, 1.0],
            vec![-INF; 3],
            vec![-1e30; 2],
            vec![f64::from(f32::MAX), f64::from(f32::MIN), 0.0],
            vec![-3.5],
            vec![],
        ];
        for x in rows {
            let c = x.len();
            let mut targets = vec![vec![0.0; c], vec![0.25; c], vec![f64::NAN; c]];
            targets.extend((0..c).map(|y| one_hot(c, y, 1.0)));
            for q in targets {
                let (got, want) = (cross_entropy(&x, &q), f64_oracle::cross_entropy(&x, &q));
                assert_eq!(got.grad.len(), c);
                assert_same(&[got.loss.to_f64()], &[want.loss]);
                assert_same(&rounded(&got.grad), &want.grad);
                assert_same(&got.scale, &want.scale);
            }
            assert_same(&[log_sum_exp(&x).to_f64()], &[f64_oracle::log_sum_exp(&x)]);
            assert_same(&rounded(&softmax(&x)), &f64_oracle::softmax(&x));
            assert_same(&rounded(&log_softmax(&x)), &f64_oracle::log_softmax(&x));
        }
    }

    #[test]
    fn a_certain_row_keeps_the_digits_of_a_loss_no_f64_can_hold() {
        let answer = cross_entropy(&[2000.0, 0.0], &one_hot(2, 0, 1.0));
        let want = exp(-2000.0);
        for number in [answer.loss, -answer.grad[0], answer.grad[1]] {
            assert!(((number - want) / want).abs().to_f64() < 1e-28);
        }
        assert_eq!(answer.loss.to_f64(), 0.0);
    }

    #[test]
    fn the_distance_of_the_largest_logits_does_not_overflow() {
        let answer = cross_entropy(&[f64::MAX, f64::MIN], &[0.0, 0.5]);
        assert_eq!(answer.loss.to_f64(), f64::MAX);
        assert_eq!(rounded(&answer.grad), [0.5, -0.5]);
    }

    #[test]
    fn a_long_row_is_as_accurate_as_a_short_one() {
        let x = vec![0.1; 100_003];
        let answer = cross_entropy(&x, &one_hot(x.len(), 77, 1.0));
        let error = |got: Exact, want: Exact| ((got - want) / want).abs().to_f64();
        let p = Exact::ONE / x.len() as f64;
        assert!(error(answer.loss, crate::exact::ln(x.len() as f64)) < 1e-26);
        assert!(error(answer.grad[0], p) < 1e-26);
        assert!(error(answer.grad[77], p - 1.0) < 1e-26);
    }

    #[test]
    #[should_panic(expected = "one target a class")]
    fn a_target_of_another_length_is_refused() {
        cross_entropy(&[1.0, 2.0], &[1.0]);
    }
}
