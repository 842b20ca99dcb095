//! From the sums of a row to its loss and the coefficients of its gradient.
//!
//! Written once over [`Number`]: an f64 for a single row, a register for a row in each lane. There is one function
//! for rows with a label, whose class is the pivot, and one for rows with a weight for every class, whose pivot is
//! the class of the largest logit.

use core::ops::{Add, Div, Mul, Sub};

use crate::math::exp::exp_scaled;
use crate::math::ln::{ln, ln_normal, log1p_unit};
use crate::math::scalar;
use crate::simd::Vector;
use crate::tables::Tables;

/// A number, or a register of them.
pub(crate) trait Number:
    Copy + Add<Output = Self> + Sub<Output = Self> + Mul<Output = Self> + Div<Output = Self>
{
    type Token: Copy;

    /// `e^0`, as sums of exponentials have it.
    const ONE_EXP: f64;

    fn number(token: Self::Token, value: f64) -> Self;

    /// `ONE_EXP e^x` for `x <= 0`.
    fn exp_of(token: Self::Token, x: Self) -> Self;

    /// `ln(1 + u)` for a finite `u >= 0`.
    fn ln_1p(token: Self::Token, u: Self) -> Self;

    /// `base^exponent` for a base in [0, 1] and a positive exponent.
    fn power(token: Self::Token, base: Self, exponent: f64) -> Self;

    /// `yes` where `test` is zero, `no` elsewhere.
    fn where_zero(token: Self::Token, test: Self, yes: Self, no: Self) -> Self;

    /// `yes` where `a < b`, `no` elsewhere.
    fn where_less(a: Self, b: Self, yes: Self, no: Self) -> Self;
}

impl Number for f64 {
    type Token = ();

    const ONE_EXP: Self = 1.0;

    #[inline(always)]
    fn number((): (), value: Self) -> Self {
        value
    }

    #[inline(always)]
    fn exp_of((): (), x: Self) -> Self {
        if x == 0.0 { 1.0 } else { scalar::exp(x) }
    }

    #[inline(always)]
    fn ln_1p((): (), u: Self) -> Self {
        scalar::log1p(u)
    }

    #[inline(always)]
    fn power((): (), base: Self, exponent: Self) -> Self {
        scalar::exp(exponent * scalar::ln(base))
    }

    #[inline(always)]
    fn where_zero((): (), test: Self, yes: Self, no: Self) -> Self {
        if test == 0.0 { yes } else { no }
    }

    #[inline(always)]
    fn where_less(a: Self, b: Self, yes: Self, no: Self) -> Self {
        if a < b { yes } else { no }
    }
}

impl<V: Vector> Number for V {
    type Token = V::Token;

    const ONE_EXP: f64 = V::Scalar::SCALE;

    #[inline(always)]
    fn number(token: V::Token, value: f64) -> Self {
        V::of(token, value)
    }

    #[inline(always)]
    fn exp_of(token: V::Token, x: Self) -> Self {
        exp_scaled(token, x)
    }

    #[inline(always)]
    fn ln_1p(token: V::Token, u: Self) -> Self {
        let one = V::of(token, 1.0);
        let above = one.less(u);
        // With two classes, never.
        if V::any(above) {
            return V::select(above, ln_normal(token, one + u), log1p_unit(token, one.min(u)));
        }
        log1p_unit(token, u)
    }

    #[inline(always)]
    fn power(token: V::Token, base: Self, exponent: f64) -> Self {
        let exponent = V::of(token, exponent);
        exp_scaled(token, exponent * ln(token, base)) * V::of(token, V::Scalar::UNSCALE)
    }

    #[inline(always)]
    fn where_zero(token: V::Token, test: Self, yes: Self, no: Self) -> Self {
        V::select(test.equal(V::of(token, 0.0)), yes, no)
    }

    #[inline(always)]
    fn where_less(a: Self, b: Self, yes: Self, no: Self) -> Self {
        V::select(a.less(b), yes, no)
    }
}

/// The factors of a row.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Factors<R> {
    /// Of the loss.
    pub(crate) loss: R,
    /// Of the gradient.
    pub(crate) gradient: R,
}

/// The options of a loss beyond the cross-entropy.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    /// Focusing parameter `γ` (T. Lin et al., "Focal loss for dense object detection", 2017).
    pub(crate) gamma: f64,
    /// Factor `λ` of `lse²` (B. Zoph et al., "ST-MoE", 2022).
    pub(crate) z_loss: f64,
}

/// The loss of a row, and `gradient_c = probability e_c - weight q_c`.
#[derive(Clone, Copy)]
pub(crate) struct Coefficients<R> {
    pub(crate) loss: R,
    pub(crate) log_sum_exp: R,
    /// `S`, in the unit of the exponentials.
    pub(crate) sum: R,
    pub(crate) probability: R,
    /// `probability` without the factor of the gradient and the division by `S`.
    pub(crate) mass: R,
    pub(crate) weight: R,
    /// The derivative by the pivot's logit.
    pub(crate) pivot: R,
}

/// `w d`, which is zero for a weight of zero even at an infinite distance.
#[inline(always)]
pub(crate) fn weighted<R: Number>(token: R::Token, weight: R, distance: R) -> R {
    R::where_zero(token, weight, R::number(token, 0.0), weight * distance)
}

/// Adds `λ lse²` to the loss; returns its derivative by `lse`.
#[inline(always)]
fn add_z_loss<R: Number>(token: R::Token, z_loss: f64, log_sum_exp: R, loss: &mut R) -> R {
    if z_loss == 0.0 {
        return R::number(token, 0.0);
    }
    *loss = *loss + R::number(token, z_loss) * log_sum_exp * log_sum_exp;
    R::number(token, 2.0 * z_loss) * log_sum_exp
}

/// The sums of a row with a label, relative to its largest logit `m`. The label is the pivot.
#[derive(Clone, Copy)]
pub(crate) struct LabelSums<R> {
    /// `m`.
    pub(crate) max: R,
    /// `m - x_y`.
    pub(crate) label_distance: R,
    /// `ONE_EXP e^(x_y - m)`.
    pub(crate) label_exp: R,
    /// `ONE_EXP Σ e^(x_c - m)` over the others.
    pub(crate) others: R,
    /// `q_y`.
    pub(crate) label_weight: R,
}

/// The equation of [`super::long_row`] for a row with a label.
#[inline(always)]
pub(crate) fn label_coefficients<R: Number>(
    token: R::Token,
    sums: LabelSums<R>,
    terms: Terms,
    factors: Factors<R>,
) -> Coefficients<R> {
    let number = |value| R::number(token, value);
    let (zero, one) = (number(0.0), number(1.0));
    let unscale = number(1.0 / R::ONE_EXP);
    let LabelSums { max, label_distance, label_exp, others, label_weight } = sums;

    let sum = others + label_exp;
    let above_one = R::where_zero(token, label_distance, others * unscale, sum * unscale - one);
    let ln_sum = R::ln_1p(token, above_one);
    let mut loss = label_weight * ln_sum + weighted(token, label_weight, label_distance);
    let log_sum_exp = max + ln_sum;

    let mut weight = one;
    if terms.gamma != 0.0 {
        let target = R::exp_of(token, zero - label_distance) / sum;
        let missing = others / sum;
        let surprise = ln_sum + label_distance;
        let power = R::power(token, missing, terms.gamma);
        // `-ln p / (1 - p)` is one for a certain row.
        let ratio = R::where_zero(token, missing, one, surprise / missing);
        weight = power * (one + number(terms.gamma) * weighted(token, target, ratio));
        // A factor of zero removes an infinite loss, but NaN stays NaN, as in the gradient.
        let none = zero * missing;
        loss = R::where_zero(token, power, none, power * surprise);
        loss = R::where_zero(token, label_weight, none, label_weight * loss);
    }
    let extra = add_z_loss(token, terms.z_loss, log_sum_exp, &mut loss);

    let mass = weight * label_weight + extra;
    let probability = factors.gradient * mass / sum;
    let weight = factors.gradient * weight;
    // Without the cancellation of `P p_y - q_y`, so a row's gradient sums to zero up to the rounding of its
    // products.
    let kept = factors.gradient * extra - others * probability;
    let pivot = if terms.z_loss == 0.0 {
        kept
    } else {
        let plain = label_exp * probability - weight * label_weight;
        R::where_less(label_exp, others, plain, kept)
    };
    Coefficients {
        loss: weighted(token, factors.loss, loss),
        log_sum_exp,
        sum,
        probability,
        mass,
        weight,
        pivot,
    }
}

/// The coefficients of a row's second derivatives, without its factors: `spread p_c (1 - p_c) + square p_c^2`, and
/// a separate value for the label of a focal loss.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SecondTerms<R> {
    pub(crate) spread: R,
    pub(crate) square: R,
    pub(crate) label: Option<R>,
}

/// The coefficients of a row whose targets sum to `all`.
///
/// A loss `φ(s)` of the surprise `s = -ln p_y` has `φ' p_c (1 - p_c) + φ'' (p_c - [c = y])^2`, since `s` has the
/// derivatives `p_c - [c = y]` and `p_c (1 - p_c)`. For the focal loss `φ = u^γ s` with `u = 1 - p_y`, whose
/// derivative by `s` is `p_y`,
///
/// ```text
/// φ'  = u^γ (1 + γ p_y s / u)
/// φ'' = γ p_y u^(γ - 1) (2 + (γ p_y - 1) s / u)
/// ```
///
/// and `λ lse^2` adds `2 λ (lse p_c (1 - p_c) + p_c^2)`. Only the focal loss needs the label's exponential and the
/// sum of the others, in one unit.
#[inline(always)]
pub(crate) fn second_terms<R: Number>(
    token: R::Token,
    all: R,
    log_sum_exp: R,
    terms: Terms,
    [label_exp, others]: [R; 2],
) -> SecondTerms<R> {
    let number = |value| R::number(token, value);
    let (zero, one) = (number(0.0), number(1.0));
    let mut second = SecondTerms { spread: all, square: zero, label: None };
    let twice = number(2.0 * terms.z_loss);
    let (mut of_lse, mut of_square) = (zero, zero);
    if terms.z_loss != 0.0 {
        (of_lse, of_square) = (twice * log_sum_exp, twice);
    }
    if terms.gamma != 0.0 {
        let sum = label_exp + others;
        let (p, u) = (label_exp / sum, others / sum);
        // If the label is impossible, nothing depends on its surprise.
        let odds = R::where_zero(token, label_exp, one, others / label_exp);
        let ratio = R::where_zero(token, u, one, R::ln_1p(token, odds) / u);
        let power = R::power(token, u, terms.gamma);
        let gamma = number(terms.gamma);
        // `φ'`, and `u φ''`.
        let first = power * (one + gamma * p * ratio);
        let next = gamma * p * power * (number(2.0) + (gamma * p - one) * ratio);
        second.spread = all * first;
        second.square = R::where_zero(token, u, zero, all * next / u);
        second.label = Some((second.spread + of_lse) * p * u + all * next * u + of_square * p * p);
    }
    if terms.z_loss != 0.0 {
        second.spread = second.spread + of_lse;
        second.square = second.square + of_square;
    }
    second
}

/// The sums of a row with a weight `q_c` for every class, relative to its largest logit `m`, whose class `k` is the
/// pivot. Exponentials are in units of one.
#[derive(Clone, Copy)]
pub(crate) struct SoftSums<R> {
    /// `m`, in units.
    pub(crate) max: R,
    /// `Σ e^(x_c - m)` over the others.
    pub(crate) others: R,
    /// `q_k`.
    pub(crate) pivot_weight: R,
    /// `Σ q_c` over the others.
    pub(crate) weights: R,
    /// The same two for the weights of the gradient.
    pub(crate) gradient_pivot_weight: R,
    pub(crate) gradient_weights: R,
    /// `Σ q_c (m - x_c)`; if targets have their own logits, minus the distances among those.
    pub(crate) distances: R,
    /// `ln S` of the targets' own logits.
    pub(crate) target_ln_sum: R,
}

/// The equation of [`super::long_row`] for a row with a weight for every class.
#[inline(always)]
pub(crate) fn soft_coefficients<R: Number>(
    token: R::Token,
    sums: SoftSums<R>,
    z_loss: f64,
    factors: Factors<R>,
) -> Coefficients<R> {
    let number = |value| R::number(token, value);
    let one = number(1.0);
    let SoftSums { max, others, .. } = sums;
    let sum = others + one;
    let ln_sum = R::ln_1p(token, others);
    let all = sums.weights + sums.pivot_weight;
    let mut loss = all * (ln_sum - sums.target_ln_sum) + sums.distances;
    let log_sum_exp = max + ln_sum;
    let extra = add_z_loss(token, z_loss, log_sum_exp, &mut loss);
    let mass = (sums.gradient_weights + sums.gradient_pivot_weight) + extra;
    let weight = factors.gradient;
    let probability = weight * mass / sum;
    // For the pivot: `P p_k - q_k`, or a form without cancellation if `p_k` is nearly one.
    let plain = probability - weight * sums.gradient_pivot_weight;
    let kept = weight * sums.gradient_weights + weight * extra - others * probability;
    let pivot = R::where_less(one, others, plain, kept);
    let of_others = if z_loss == 0.0 { sums.gradient_weights } else { one };
    Coefficients {
        loss: weighted(token, factors.loss, loss),
        log_sum_exp,
        sum,
        probability,
        mass,
        weight,
        pivot: R::where_zero(token, of_others, kept, pivot),
    }
}
