//! The sigmoid and its cross-entropy, as in [`crate::sigmoid`].

use super::{Exact, exp, ln_1p, times};

/// [`crate::sigmoid::sigmoid`].
pub fn sigmoid(x: f64) -> Exact {
    if x < 0.0 {
        let e = exp(x);
        e / (e + 1.0)
    } else {
        Exact::ONE / (exp(-x) + 1.0)
    }
}

/// [`crate::sigmoid::softplus`].
pub fn softplus(x: f64) -> Exact {
    // `max` drops a NaN, but the second term keeps it.
    ln_1p(exp(-x.abs())) + x.max(0.0)
}

/// [`crate::sigmoid::cross_entropy`]: (loss, its derivative by `x`), by the same formulas and with
/// with the same limits at ±∞. `1 - y` and `y·pos_weight` are not rounded.
///
/// ```
/// use xent_reference::exact::{ln, sigmoid::cross_entropy};
///
/// let (loss, gradient) = cross_entropy(0.0, 1.0, 3.0);
/// assert!(((loss - ln(2.0) * 3.0) / loss).abs().to_f64() < 1e-30);
/// assert_eq!(gradient, (-1.5).into());
/// ```
pub fn cross_entropy(x: f64, y: f64, pos_weight: f64) -> (Exact, Exact) {
    if x.is_nan() || y.is_nan() || pos_weight.is_nan() {
        let nan = Exact::from(f64::NAN);
        return (nan, nan);
    }
    let negative = Exact::ONE - y;
    let positive = Exact::from(y) * pos_weight;
    let loss = times(negative, softplus(x)) + times(positive, softplus(-x));
    let gradient = negative * sigmoid(x) - positive * sigmoid(-x);
    (loss, gradient)
}

#[cfg(test)]
mod tests {
    use super::*;

    const INF: f64 = f64::INFINITY;

    #[test]
    fn what_is_not_finite_is_as_in_the_other_oracle() {
        for x in [-INF, -f64::MAX, 0.0, f64::MAX, INF, f64::NAN] {
            for y in [0.0, 0.25, 1.0, f64::NAN] {
                for q in [0.0, 3.0, f64::NAN] {
                    let (loss, gradient) = cross_entropy(x, y, q);
                    let got = (loss.to_f64(), gradient.to_f64());
                    let want = crate::sigmoid::cross_entropy(x, y, q);
                    assert!(got == want || want.0.is_nan() && got.0.is_nan() && got.1.is_nan());
                }
            }
            let got = (sigmoid(x).to_f64(), softplus(x).to_f64());
            let want = (crate::sigmoid::sigmoid(x), crate::sigmoid::softplus(x));
            assert!(got == want || x.is_nan() && got.0.is_nan() && got.1.is_nan());
        }
    }

    #[test]
    fn a_very_confident_logit_keeps_its_digits() {
        // ln(1 + e^-1000) = e^-1000 to 400 digits, far below every f64.
        let (loss, gradient) = cross_entropy(1000.0, 1.0, 1.0);
        let want = exp(-1000.0);
        assert!(((loss - want) / want).abs().to_f64() < 1e-30);
        assert!(((gradient + want) / want).abs().to_f64() < 1e-30);
        assert_eq!((loss.to_f64(), gradient.to_f64()), (0.0, 0.0));
    }
}
