//! The losses of a single logit or probability: sigmoid, sigmoid focal, logistic.

use super::coefficients::Number;
use crate::math::ln::{ln, log1p};
use crate::math::sigmoid::{Logistic as Shares, exponential, logistic};
use crate::simd::Lanes;
use crate::tables::Tables;

/// A loss of one input `x` and one target `y` in [0, 1], whose positive part is multiplied by `positive`. The
/// derivatives are scaled ([`Tables::SCALE_EXPONENT`]), so that they are not subnormal before they are multiplied
/// by their factors.
pub(crate) trait ElementLoss: Copy {
    /// The input of an element that does not count.
    const ABSENT: f64;

    /// The intermediate results for the loss of an element and its derivatives.
    type Parts<V: Lanes>: Copy;

    /// The long-latency part, computed first.
    fn exponential<V: Lanes>(self, token: V::Token, x: V) -> V;

    /// From `x` with its [`exponential`](Self::exponential).
    fn parts<V: Lanes>(self, token: V::Token, x_and_e: (V, V), y: V, positive: V)
    -> Self::Parts<V>;

    fn loss<V: Lanes>(self, token: V::Token, parts: Self::Parts<V>) -> V;

    fn gradient<V: Lanes>(self, token: V::Token, parts: Self::Parts<V>) -> V;

    /// The second derivative; zero for losses without that output.
    #[inline(always)]
    fn curvature<V: Lanes>(self, token: V::Token, _: Self::Parts<V>) -> V {
        V::of(token, 0.0)
    }
}

/// `a b`, zero where `a` is zero even if `b` is infinite.
#[inline(always)]
pub(super) fn product<V: Lanes>(token: V::Token, a: V, b: V) -> V {
    let zero = V::of(token, 0.0);
    V::select(a.equal(zero), zero, a * b)
}

/// The sigmoid cross-entropy of a logit:
///
/// ```text
/// loss     = (1 - y) softplus(x) + w y softplus(-x)
/// gradient = (1 - y) σ(x) - w y σ(-x)
/// ```
///
/// with `softplus(x) = max(x, 0) + ln(1 + e^-|x|)`: for a target in [0, 1] every term of the loss
/// is positive, and for a target of 0 or 1 nothing cancels in the gradient either.
#[derive(Clone, Copy)]
pub(crate) struct Sigmoid {
    /// The smallest `σ(x) σ(-x)` of a second derivative.
    pub(crate) least: f64,
}

impl Sigmoid {
    /// The loss that the others are derived from.
    const PLAIN: Self = Self { least: 0.0 };
}

#[derive(Clone, Copy)]
pub(crate) struct SigmoidParts<V> {
    x: V,
    shares: Shares<V>,
    /// `1 - y`.
    not_y: V,
    /// `w y`.
    y: V,
}

impl ElementLoss for Sigmoid {
    const ABSENT: f64 = f64::NEG_INFINITY;

    type Parts<V: Lanes> = SigmoidParts<V>;

    #[inline(always)]
    fn exponential<V: Lanes>(self, token: V::Token, x: V) -> V {
        exponential(token, x)
    }

    #[inline(always)]
    fn parts<V: Lanes>(
        self,
        token: V::Token,
        (x, e): (V, V),
        y: V,
        positive: V,
    ) -> SigmoidParts<V> {
        let not_y = V::of(token, 1.0) - y;
        SigmoidParts { x, shares: logistic(token, x, e), not_y, y: y * positive }
    }

    #[inline(always)]
    fn loss<V: Lanes>(self, token: V::Token, parts: SigmoidParts<V>) -> V {
        let SigmoidParts { x, shares, not_y, y } = parts;
        let zero = V::of(token, 0.0);
        let linear = product(token, not_y, zero.max(x)) + product(token, y, zero.max(zero - x));
        linear + (not_y + y) * shares.log1p
    }

    #[inline(always)]
    fn gradient<V: Lanes>(self, token: V::Token, parts: SigmoidParts<V>) -> V {
        parts.shares.difference(token, parts.not_y, parts.y)
    }

    #[inline(always)]
    fn curvature<V: Lanes>(self, token: V::Token, parts: SigmoidParts<V>) -> V {
        let SigmoidParts { shares, not_y, y, .. } = parts;
        let unscale = V::of(token, V::Scalar::UNSCALE);
        let product = shares.positive() * (shares.negative() * unscale);
        let least = V::of(token, self.least * V::Scalar::SCALE);
        (not_y + y) * V::select(product.less(least), least, product)
    }
}

/// The sigmoid focal loss `α_t u^γ ce` (T. Lin et al., "Focal loss for dense object detection",
/// 2017), with the cross-entropy `ce` of [`Sigmoid`], `u = (1 - y) σ(x) + y σ(-x)` and `α_t = α y +
/// (1 - α) (1 - y)`.
#[derive(Clone, Copy)]
pub(crate) struct SigmoidFocal {
    pub(crate) gamma: f64,
    pub(crate) alpha: Option<f64>,
}

#[derive(Clone, Copy)]
pub(crate) struct FocalParts<V> {
    entropy: SigmoidParts<V>,
    /// `ce`.
    loss: V,
    /// `α_t u^γ`.
    factor: V,
    /// `2^SCALE_EXPONENT u (1 + e^-|x|)`.
    wrong: V,
    /// `1 / (1 + e^-|x|)`.
    inverse: V,
    y: V,
}

impl SigmoidFocal {
    /// `2^SCALE_EXPONENT d ln u / dx`, which is σ(-x) for a negative and -σ(x) for a positive.
    #[inline(always)]
    fn slope<V: Lanes>(self, token: V::Token, parts: FocalParts<V>) -> V {
        let FocalParts { entropy, wrong, inverse, y, .. } = parts;
        let zero = V::of(token, 0.0);
        // The smaller share is at most `wrong`, so no quotient overflows.
        let (less, more) = entropy.shares.ordered();
        let slope = (more * inverse) * (less / wrong) * (entropy.not_y - y);
        V::select(wrong.equal(zero), zero, slope)
    }

    /// `u^γ` for a scaled `u`.
    #[inline(always)]
    fn power<V: Lanes>(self, token: V::Token, scaled: V) -> V {
        let u = scaled * V::of(token, V::Scalar::UNSCALE);
        if self.gamma == 2.0 {
            u * u
        } else if self.gamma == 1.0 {
            u
        } else if self.gamma == 0.0 {
            V::of(token, 1.0)
        } else {
            V::power(token, u, self.gamma)
        }
    }
}

impl ElementLoss for SigmoidFocal {
    const ABSENT: f64 = f64::NEG_INFINITY;

    type Parts<V: Lanes> = FocalParts<V>;

    #[inline(always)]
    fn exponential<V: Lanes>(self, token: V::Token, x: V) -> V {
        exponential(token, x)
    }

    #[inline(always)]
    fn parts<V: Lanes>(self, token: V::Token, (x, e): (V, V), y: V, positive: V) -> FocalParts<V> {
        let entropy = Sigmoid::PLAIN.parts(token, (x, e), y, positive);
        let wrong = entropy.shares.mean(entropy.not_y, y);
        let inverse = entropy.shares.inverse(token);
        let mut factor = self.power(token, wrong * inverse);
        if let Some(alpha) = self.alpha {
            let alpha = V::of(token, alpha);
            factor = factor * (alpha * y + (V::of(token, 1.0) - alpha) * entropy.not_y);
        }
        let loss = Sigmoid::PLAIN.loss(token, entropy);
        FocalParts { entropy, loss, factor, wrong, inverse, y }
    }

    #[inline(always)]
    fn loss<V: Lanes>(self, token: V::Token, parts: FocalParts<V>) -> V {
        let FocalParts { entropy, loss, factor, .. } = parts;
        let zero = V::of(token, 0.0);
        // An alpha of zero or one removes an infinite loss, but NaN stays NaN, as in the gradient.
        let none = zero * entropy.shares.log1p;
        V::select(factor.equal(zero), none, factor * loss)
    }

    #[inline(always)]
    fn gradient<V: Lanes>(self, token: V::Token, parts: FocalParts<V>) -> V {
        let FocalParts { entropy, loss, factor, inverse, .. } = parts;
        let slope = self.slope(token, parts);
        let growth = V::of(token, self.gamma) * product(token, slope, loss);
        let difference = entropy.shares.difference_over(token, entropy.not_y, entropy.y, inverse);
        factor * (difference + growth)
    }

    /// `α_t u^γ (γ r ce ((γ - 1) r + 1 - 2 σ(x)) + 2 γ r ce' + ce'')`, where `r = d ln u / dx`; the derivative of
    /// `u`, `(1 - 2 y) σ(x) σ(-x)`, has itself the derivative `1 - 2 σ(x)`.
    #[inline(always)]
    fn curvature<V: Lanes>(self, token: V::Token, parts: FocalParts<V>) -> V {
        let FocalParts { entropy, loss, factor, inverse, .. } = parts;
        let (one, unscale) = (V::of(token, 1.0), V::of(token, V::Scalar::UNSCALE));
        let slope = self.slope(token, parts);
        let turn = entropy.shares.difference_over(token, one, one, inverse);
        let bend = (V::of(token, self.gamma - 1.0) * slope - turn) * unscale;
        let first = entropy.shares.difference_over(token, entropy.not_y, entropy.y, inverse);
        let growth = bend * product(token, slope, loss) + (slope + slope) * (first * unscale);
        factor * (V::of(token, self.gamma) * growth + Sigmoid::PLAIN.curvature(token, entropy))
    }
}

/// The logistic loss of a probability, as in PyTorch's `BCELoss`: logarithms are clamped at -100, and the gradient
/// is `((1 - y) p - w y (1 - p)) / max(p (1 - p), 1e-12)`.
#[derive(Clone, Copy)]
pub(crate) struct Logistic;

#[derive(Clone, Copy)]
pub(crate) struct LogisticParts<V> {
    x: V,
    /// `1 - y`.
    not_y: V,
    /// `w y`.
    y: V,
}

impl ElementLoss for Logistic {
    const ABSENT: f64 = 0.0;

    type Parts<V: Lanes> = LogisticParts<V>;

    #[inline(always)]
    fn exponential<V: Lanes>(self, _: V::Token, x: V) -> V {
        x
    }

    #[inline(always)]
    fn parts<V: Lanes>(
        self,
        token: V::Token,
        (x, _): (V, V),
        y: V,
        positive: V,
    ) -> LogisticParts<V> {
        LogisticParts { x, not_y: V::of(token, 1.0) - y, y: y * positive }
    }

    #[inline(always)]
    fn loss<V: Lanes>(self, token: V::Token, LogisticParts { x, not_y, y }: LogisticParts<V>) -> V {
        let zero = V::of(token, 0.0);
        let least = V::of(token, -100.0);
        // `max` replaces a NaN by its second operand, but here NaN must stay NaN.
        let of_x = least.max(ln(token, x));
        let of_not_x = least.max(log1p(token, zero - x));
        zero - y * of_x - not_y * of_not_x
    }

    #[inline(always)]
    fn gradient<V: Lanes>(
        self,
        token: V::Token,
        LogisticParts { x, not_y, y }: LogisticParts<V>,
    ) -> V {
        let not_x = V::of(token, 1.0) - x;
        // The f32 constant, also in f64.
        let spread = V::of(token, f64::from(1e-12_f32)).max(x * not_x);
        // Before the products, in which subnormal probabilities would be rounded.
        let scaled = |x: V| x * V::of(token, V::Scalar::SCALE);
        (not_y * scaled(x) - y * scaled(not_x)) / spread
    }
}
