//! The diagonal of the Hessian: the second derivative of a loss by each logit.
//!
//! Gradient boosting divides by it. Libraries differ in the factor, so each has its own function. 1 - p
//! is always the sum of the other classes' p, so the product p(1-p) has full relative accuracy
//! for every p.
//!
//! A row without a softmax (a NaN, two or more +∞, everything masked) is all NaN. A masked class has
//! p = 0; a single +∞ has p = 1 and leaves 0 to the others. Both have second derivatives of zero.

use crate::row::Row;
use crate::sigmoid::{self, sigmoid as sigma};
use crate::{soft_cap, times};

/// The smallest second derivative that XGBoost uses.
pub const XGBOOST_FLOOR: f64 = 1e-16;

/// The second derivatives of the softmax cross-entropy of one row of logits `x` against a target
/// whose numbers sum to `total`, Q:
///
/// ```text
/// h_c = ∂²loss/∂x_c² = Q·p_c·(1 - p_c)
/// ```
///
/// They depend only on Q, not on how it is divided among the classes. For an index target Q is its weight. With Q =
/// 1 they are those of scikit-learn's `HalfMultinomialLoss`. As long as `x`.
///
/// ```
/// assert_eq!(xent_reference::hessian::exact(&[1.0, 1.0], 3.0), [0.75, 0.75]);
/// ```
pub fn exact(x: &[f64], total: f64) -> Vec<f64> {
    let Ok(row) = Row::new(x) else {
        return vec![f64::NAN; x.len()];
    };
    let p = row.probabilities().into_iter();
    p.zip(row.complements()).map(|(p, others)| total * (p * others)).collect()
}

/// The second derivatives that XGBoost's `multi:softmax` and `multi:softprob` use, for a row of
/// logits `x` and its sample weight v:
///
/// ```text
/// h_c = max(2·p_c·(1 - p_c)·v, 1e-16)
/// ```
///
/// Twice the exact ones, except for the floor. As long as `x`. A row without a softmax has NaN, not the floor.
///
/// ```
/// use xent_reference::hessian::xgboost;
///
/// assert_eq!(xgboost(&[1.0, 1.0], 1.0), [0.5, 0.5]);
/// assert_eq!(xgboost(&[100.0, 0.0], 1.0), [1e-16, 1e-16]);
/// ```
pub fn xgboost(x: &[f64], weight: f64) -> Vec<f64> {
    let floored = |h: f64| if h.is_nan() { h } else { h.max(XGBOOST_FLOOR) };
    exact(x, weight).into_iter().map(|h| floored(2.0 * h)).collect()
}

/// The second derivatives that LightGBM's `multiclass` uses, for a row of C logits `x` and its
/// sample weight v:
///
/// ```text
/// h_c = C/(C-1)·p_c·(1 - p_c)·v
/// ```
///
/// As long as `x`. For C = 1, where the factor is infinite and p(1-p) is zero, it is 0.
///
/// ```
/// assert_eq!(xent_reference::hessian::lightgbm(&[1.0, 1.0], 1.0), [0.5, 0.5]);
/// ```
pub fn lightgbm(x: &[f64], weight: f64) -> Vec<f64> {
    let classes = x.len() as f64;
    let factor = classes / (classes - 1.0);
    exact(x, weight).into_iter().map(|h| times(factor, h)).collect()
}

/// The second derivative of
/// [`sigmoid::weighted_cross_entropy`] by its logit `x`, for
/// a target `y`, q = `pos_weight` and the weight w of the element:
///
/// ```text
/// h = w·(1 - y + q·y)·σ(x)·σ(-x)
/// ```
///
/// With q = w = 1 it is p(1-p), as in scikit-learn's `HalfBinomialLoss`. 0 at ±∞, NaN for a NaN.
///
/// ```
/// assert_eq!(xent_reference::hessian::sigmoid(0.0, 1.0, 3.0, 2.0), 1.5);
/// ```
pub fn sigmoid(x: f64, y: f64, pos_weight: f64, weight: f64) -> f64 {
    weight * ((1.0 - y) + pos_weight * y) * (sigma(x) * sigma(-x))
}

/// The second derivatives that XGBoost's `binary:logistic` uses, for a margin `x` and its weight v: the weight is
/// outside the floor.
///
/// ```text
/// h = max(p·(1 - p), 1e-16)·v
/// ```
///
/// ```
/// assert_eq!(xent_reference::hessian::xgboost_logistic(-45.0, 4.0), 4e-16);
/// ```
pub fn xgboost_logistic(x: f64, weight: f64) -> f64 {
    let h = sigma(x) * sigma(-x);
    weight * if h.is_nan() { h } else { h.max(XGBOOST_FLOOR) }
}

/// A second derivative that is a sum of terms which may cancel.
#[derive(Clone, Copy, Debug, Default)]
pub struct Second {
    /// What it is.
    pub value: f64,
    /// What its terms add up to without their signs: the size that its error is relative to.
    pub scale: f64,
}

impl Second {
    /// One that nothing cancels in.
    pub fn of(value: f64) -> Self {
        Self { value, scale: value.abs() }
    }

    /// The sum of both.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self { value: self.value + other.value, scale: self.scale + other.scale }
    }

    /// The product with a factor.
    #[must_use]
    pub fn times(self, factor: f64) -> Self {
        Self { value: times(factor, self.value), scale: times(factor.abs(), self.scale) }
    }
}

/// The second derivatives of [`focal::softmax`](crate::focal::softmax), for a row of logits `x` labelled `y` and a
/// weight w. With `r = 1 - p_y` and `s = -ln p_y` the loss is `w φ(s)` for `φ = r^γ s`; the derivatives of s by the
/// logits are `p_c - [c = y]` and `p_c (1 - p_c)`, that of r by s is `p_y`, and so
///
/// ```text
/// φ'  = r^γ + γ r^(γ-1) p_y s
/// φ'' = γ r^(γ-1) p_y (2 - s) + γ (γ-1) r^(γ-2) p_y² s
/// h_c = w (φ' p_c (1 - p_c) + φ'' (p_c - [c = y])²)
/// ```
///
/// As long as `x`. Zero where nothing is left to learn (r = 0).
///
/// # Panics
/// When `y` is not a class.
pub fn focal(x: &[f64], y: usize, gamma: f64, weight: f64) -> Vec<Second> {
    let Ok(row) = Row::new(x) else {
        return vec![Second::of(f64::NAN); x.len()];
    };
    let (p, others) = (row.probabilities(), row.complements());
    let (of_label, r, s) = (p[y], others[y], row.surprise(y));
    if r == 0.0 {
        return vec![Second::default(); x.len()];
    }
    let first = r.powf(gamma) * (1.0 + gamma * times(of_label, s) / r);
    // `φ'' r²`: what is squared below is divided by r.
    let terms = if of_label == 0.0 {
        [0.0; 3]
    } else {
        [2.0 * r, -r * s, (gamma - 1.0) * of_label * s].map(|term| gamma * of_label * term)
    };
    let terms = terms.map(|term| Second::of(r.powf(gamma) * term));
    let second = terms.into_iter().fold(Second::default(), Second::plus);
    (0..x.len())
        .map(|c| {
            let slope = if c == y { 1.0 } else { p[c] / r };
            Second::of(first * (p[c] * others[c])).plus(second.times(slope * slope)).times(weight)
        })
        .collect()
}

/// The second derivatives of the term `λ lse²` of [`z_loss::cross_entropy`](crate::z_loss::cross_entropy):
///
/// ```text
/// h_c = 2 λ (lse p_c (1 - p_c) + p_c²)
/// ```
pub fn z_loss(x: &[f64], lambda: f64) -> Vec<Second> {
    let Ok(row) = Row::new(x) else {
        return vec![Second::of(f64::NAN); x.len()];
    };
    let lse = row.max + row.ln_total();
    let p = row.probabilities().into_iter();
    p.zip(row.complements())
        .map(|(p, others)| {
            let terms = Second::of(times(lse, p * others)).plus(Second::of(p * p));
            terms.times(2.0 * lambda)
        })
        .collect()
}

/// The second derivative by a logit `x` of a loss of the capped logit `x' = cap tanh(x / cap)`, by which it has the
/// derivatives `first` and `second`:
///
/// ```text
/// h = second (dx'/dx)² + first d²x'/dx²,  dx'/dx = sech²(x / cap),  d²x'/dx² = -2 tanh(x / cap) sech²(x / cap) / cap
/// ```
///
/// Infinite logits are not capped.
pub fn capped(x: f64, cap: f64, first: Second, second: Second) -> Second {
    if x.is_infinite() {
        return second;
    }
    let slope = soft_cap::slope(x, cap);
    let bend = -2.0 * (x / cap).tanh() * slope / cap;
    second.times(slope * slope).plus(first.times(bend))
}

/// The second derivative of [`focal::sigmoid`](crate::focal::sigmoid) with a weight q of the positive part, for a logit
/// `x` and a target `y`. The loss is `f e`, with the cross-entropy e and, for `u = (1-y) σ(x) + y σ(-x)`, the factor
/// `f = α_t u^γ`. The derivative of u by x is `(1-2y) σ(x) σ(-x)`, and with its ratio v to u
///
/// ```text
/// h = f (e'' + 2 γ v e' + γ e ((γ-1) v² + v (σ(-x) - σ(x))))
/// ```
pub fn focal_sigmoid(x: f64, y: f64, pos_weight: f64, gamma: f64, alpha: Option<f64>) -> Second {
    let (right, left) = (sigma(x), sigma(-x));
    let (e, first) = sigmoid::weighted_cross_entropy(x, y, pos_weight, 1.0);
    let u = (1.0 - y) * right + y * left;
    let balance = alpha.map_or(1.0, |alpha| alpha * y + (1.0 - alpha) * (1.0 - y));
    let f = balance * u.powf(gamma);
    if f == 0.0 {
        return Second::default();
    }
    let v = if y == 0.0 {
        left
    } else if y == 1.0 {
        -right
    } else {
        (1.0 - 2.0 * y) * right * left / u
    };
    let bent =
        Second::of((gamma - 1.0) * v * v).plus(Second::of(v * left)).plus(Second::of(-v * right));
    let of_first = Second { value: first, scale: (1.0 - y) * right + pos_weight * y * left };
    Second::of(sigmoid(x, y, pos_weight, 1.0))
        .plus(of_first.times(2.0 * gamma * v))
        .plus(bent.times(times(gamma, e)))
        .times(f)
}

/// The second derivative of any loss by one of its inputs, from its gradient by that input: central differences
/// of sixth order.
///
/// The gradient is evaluated up to 0.03 away; for a smooth loss of unit scale the error is about 1e-12.
///
/// ```
/// use xent_reference::hessian::of_gradient;
///
/// assert!((of_gradient(2.0, |x| x * x * x) - 12.0).abs() < 1e-11);
/// ```
pub fn of_gradient(x: f64, gradient: impl Fn(f64) -> f64) -> f64 {
    const STEP: f64 = 1.0 / 128.0;
    let weights = [45.0, -9.0, 1.0];
    let differences = weights.iter().zip(1_u8..).map(|(weight, steps)| {
        let step = STEP * f64::from(steps);
        weight * (gradient(x + step) - gradient(x - step))
    });
    differences.sum::<f64>() / (60.0 * STEP)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sigmoid::weighted_cross_entropy;
    use crate::softmax::cross_entropy;
    use crate::targets::{one_hot, smoothed};
    use crate::test::{assert_all_nan, assert_close, assert_gradient};

    const INF: f64 = f64::INFINITY;
    const X: [f64; 5] = [0.5, -1.25, 2.0, 0.0, -3.0];

    #[test]
    fn it_is_the_finite_difference_of_the_gradient() {
        for q in [one_hot(5, 1, 2.0), smoothed(5, 2, 0.1, Some(&[1.0, 2.0, 3.0, 4.0, 5.0]))] {
            let h = exact(&X, q.iter().sum());
            for c in 0..5 {
                // The derivative of the c-th gradient by the c-th logit only.
                assert_gradient(&X[c..=c], &h[c..=c], |moved| {
                    let mut x = X;
                    x[c] = moved[0];
                    cross_entropy(&x, &q).grad[c]
                });
            }
        }
        for x in X {
            for (y, q, w) in [(0.0, 1.0, 1.0), (1.0, 3.0, 2.0), (0.3, 0.5, 4.0)] {
                let h = sigmoid(x, y, q, w);
                assert_gradient(&[x], &[h], |x| weighted_cross_entropy(x[0], y, q, w).1);
            }
        }
    }

    #[test]
    fn those_of_losses_with_options_are_the_finite_differences_of_their_gradients() {
        use crate::{focal, soft_cap, z_loss};

        let moved = |c: usize, to: f64| {
            let mut x = X;
            x[c] = to;
            x
        };
        let near = |second: Second, of: f64| {
            let size = second.scale.max(1.0);
            assert!((second.value - of).abs() < 1e-10 * size, "{second:?} is not {of}");
            assert!(second.scale >= second.value.abs() * (1.0 - 1e-12));
        };
        for (c, &x) in X.iter().enumerate() {
            for gamma in [0.5, 1.0, 2.0, 3.5] {
                let h = focal(&X, 2, gamma, 1.5)[c];
                near(h, of_gradient(x, |to| focal::softmax(&moved(c, to), 2, gamma, 1.5).grad[c]));
            }
            let q = smoothed(5, 2, 0.1, None);
            let all = Second::of(exact(&X, 1.0)[c]);
            let h = all.plus(z_loss(&X, 0.25)[c]);
            near(h, of_gradient(x, |to| z_loss::cross_entropy(&moved(c, to), &q, 0.25).grad[c]));

            let cap = 2.5;
            let squeezed = X.map(|x| soft_cap::cap(x, cap));
            let first = Second::of(cross_entropy(&squeezed, &q).grad[c]);
            let h = capped(X[c], cap, first, Second::of(exact(&squeezed, 1.0)[c]));
            near(h, of_gradient(x, |to| soft_cap::cross_entropy(&moved(c, to), &q, cap).grad[c]));
        }
        for (x, y) in [(0.5, 0.0), (-1.25, 1.0), (2.0, 0.3), (0.0, 0.75)] {
            for (gamma, alpha) in [(0.5, None), (2.0, Some(0.25)), (3.0, Some(0.9))] {
                let h = focal_sigmoid(x, y, 1.0, gamma, alpha);
                near(h, of_gradient(x, |x| focal::sigmoid(x, y, gamma, alpha).1));
            }
            // Without focus it is that of the weighted loss.
            let plain = sigmoid(x, y, 3.0, 1.0);
            assert_close(focal_sigmoid(x, y, 3.0, 0.0, None).value, plain, 1e-15);
        }
        assert_eq!(focal(&[INF, 0.0], 0, 2.0, 1.0)[1].value, 0.0);
        assert!(z_loss(&[INF, INF], 1.0)[0].value.is_nan());
        assert_eq!(focal_sigmoid(INF, 0.0, 1.0, 2.0, None).value, 0.0);
    }

    #[test]
    fn a_confident_row_keeps_its_curvature() {
        let tiny = (-57.5_f64).exp();
        for h in exact(&[57.5, 0.0], 1.0) {
            assert_close(h, tiny, 1e-15);
        }
        for h in lightgbm(&[57.5, 0.0], 2.0) {
            assert_close(h, 4.0 * tiny, 1e-15);
        }
        assert_close(sigmoid(57.5, 1.0, 1.0, 1.0), tiny, 1e-15);
        assert_close(sigmoid(-57.5, 1.0, 1.0, 1.0), tiny, 1e-15);
    }

    #[test]
    fn the_conventions_differ_by_a_factor() {
        let (plain, double, scaled) = (exact(&X, 3.0), xgboost(&X, 3.0), lightgbm(&X, 3.0));
        for c in 0..5 {
            assert_eq!(double[c], 2.0 * plain[c]);
            assert_close(scaled[c], 1.25 * plain[c], 1e-16);
        }
    }

    #[test]
    fn two_classes_are_one_sigmoid() {
        for x in [-50.0, -1.0, 0.0, 3.0] {
            for h in exact(&[x, 0.0], 2.0) {
                assert_close(h, sigmoid(x, 0.5, 1.0, 2.0), 1e-15);
            }
        }
    }

    #[test]
    fn a_single_class_has_no_curvature() {
        assert_eq!(exact(&[3.0], 1.0), [0.0]);
        assert_eq!(xgboost(&[3.0], 1.0), [XGBOOST_FLOOR]);
        assert_eq!(lightgbm(&[3.0], 1.0), [0.0]);
    }

    #[test]
    fn not_finite_rows() {
        for x in [[f64::NAN, 1.0, 2.0], [INF, INF, 1.0], [-INF; 3]] {
            assert_all_nan(&exact(&x, 1.0));
            assert_all_nan(&xgboost(&x, 1.0));
            assert_all_nan(&lightgbm(&x, 1.0));
        }
        for mask in [-INF, -1e30] {
            let (with, without) = (exact(&[1.0, mask, 0.5], 1.0), exact(&[1.0, 0.5], 1.0));
            assert_eq!(with, [without[0], 0.0, without[1]]);
        }
        assert_eq!(exact(&[1.0, INF, 0.5], 1.0), [0.0; 3]);
        assert_eq!(xgboost(&[1.0, INF, 0.5], 1.0), [XGBOOST_FLOOR; 3]);
        assert_eq!((sigmoid(INF, 0.0, 1.0, 1.0), sigmoid(-INF, 1.0, 2.0, 1.0)), (0.0, 0.0));
        assert!(sigmoid(f64::NAN, 0.0, 1.0, 1.0).is_nan());
    }
}
