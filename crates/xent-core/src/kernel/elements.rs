//! The losses of one logit or probability at a time, and a strip of them: the body of their one kernel,
//! [`super::element_tile`].

use super::coefficients::Number;
use super::row_buffers::{GradMode, RowBuffers};
use super::sum::CompensatedSum;
use crate::math::ln::{ln, log1p};
use crate::math::sigmoid::{Logistic as Shares, exponential, logistic};
use crate::simd::Compute;
use crate::simd::{ACCUMULATORS, Lanes, STRIP, from, from_mut};
use crate::tables::Tables;

/// A loss of one input `x` and one target `y` in [0, 1], whose positive part counts `positive`
/// times. The derivatives are scaled ([`Tables::SCALE_EXPONENT`]), so that they are not subnormal before they meet
/// their factors.
pub(crate) trait ElementLoss: Copy {
    /// The input of an element that has no part in the loss.
    const ABSENT: f64;

    /// What the loss of an element and its derivatives are made of.
    type Parts<V: Lanes>: Copy;

    /// What the parts wait for longest.
    fn exponential<V: Lanes>(self, token: V::Token, x: V) -> V;

    /// From `x` with its [`exponential`](Self::exponential).
    fn parts<V: Lanes>(self, token: V::Token, x_and_e: (V, V), y: V, positive: V)
    -> Self::Parts<V>;

    fn loss<V: Lanes>(self, token: V::Token, parts: Self::Parts<V>) -> V;

    fn gradient<V: Lanes>(self, token: V::Token, parts: Self::Parts<V>) -> V;

    /// The second derivative; zero for losses that have no such output.
    #[inline(always)]
    fn curvature<V: Lanes>(self, token: V::Token, _: Self::Parts<V>) -> V {
        V::of(token, 0.0)
    }
}

/// `a b`, zero where `a` is zero even if `b` is infinite.
#[inline(always)]
fn product<V: Lanes>(token: V::Token, a: V, b: V) -> V {
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
    /// The least `σ(x) σ(-x)` of a second derivative.
    pub(crate) least: f64,
}

impl Sigmoid {
    /// The loss that others are made of.
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
        // The smaller share is no larger than what is wrong: no quotient overflows.
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
        // An alpha of zero or one leaves nothing of an infinite loss, but NaN is NaN, as its gradient is.
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

    /// `α_t u^γ (γ r ce ((γ - 1) r + 1 - 2 σ(x)) + 2 γ r ce' + ce'')`, where `r = d ln u / dx` and the derivative
    /// of `u`, `(1 - 2 y) σ(x) σ(-x)`, has itself that of `1 - 2 σ(x)`.
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

/// The logistic loss of a probability, as PyTorch's `BCELoss` has it: logarithms not below -100,
/// and the gradient `((1 - y) p - w y (1 - p)) / max(p (1 - p), 1e-12)`.
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
        // The second operand of a maximum is what NaN becomes; here NaN has to stay.
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
        // That of an f32, in f64 too.
        let spread = V::of(token, f64::from(1e-12_f32)).max(x * not_x);
        // Before the products, which subnormal probabilities would be rounded in.
        let scaled = |x: V| x * V::of(token, V::Scalar::SCALE);
        (not_y * scaled(x) - y * scaled(not_x)) / spread
    }
}

/// What the elements of at most a strip are compared with, and their factors, which a [`NoFactors`] strip does
/// not have.
#[derive(Clone, Copy)]
pub(crate) struct Inputs<'a, F> {
    pub(crate) targets: &'a [F],
    pub(crate) positive: &'a [F],
    /// Multiplies the loss and its derivatives; an element of weight zero has no part in it.
    pub(crate) weights: &'a [F],
    /// Multiplies the derivatives.
    pub(crate) upstream: &'a [F],
}

impl<'a, F: Compute> Inputs<'a, F> {
    /// Nothing but targets.
    #[inline(always)]
    pub(crate) fn targets(targets: &'a [F; STRIP]) -> Self {
        Self { targets, positive: &[], weights: &[], upstream: &[] }
    }

    /// Those of a whole strip, if they are: slices whose length the compiler knows.
    #[inline(always)]
    pub(crate) fn whole(self) -> Option<Self> {
        Some(Self {
            targets: self.targets.first_chunk::<STRIP>()?,
            positive: self.positive.first_chunk::<STRIP>()?,
            weights: self.weights.first_chunk::<STRIP>()?,
            upstream: self.upstream.first_chunk::<STRIP>()?,
        })
    }
}

impl<F: Compute> Inputs<'_, F> {
    /// The parts of the losses from `at` on.
    #[inline(always)]
    fn parts<V: Lanes<Scalar = F>, L: ElementLoss, K: StripKind>(
        &self,
        token: V::Token,
        loss: L,
        x_and_e: (V, V),
        at: usize,
    ) -> L::Parts<V> {
        let zero = V::of(token, 0.0);
        let y = V::load(token, from(self.targets, at), zero);
        let positive = if K::FACTORS {
            V::load(token, from(self.positive, at), zero)
        } else {
            V::of(token, 1.0)
        };
        loss.parts(token, x_and_e, y, positive)
    }

    /// The weights from `at` on, and the factors of the derivatives.
    #[inline(always)]
    fn factors<V: Lanes<Scalar = F>, K: StripKind>(
        &self,
        token: V::Token,
        scale: V,
        at: usize,
    ) -> [V; 2] {
        if !K::FACTORS {
            return [scale, scale];
        }
        let zero = V::of(token, 0.0);
        let upstream = V::load(token, from(self.upstream, at), zero);
        [V::load(token, from(self.weights, at), zero), scale * upstream]
    }
}

/// The product with a weight; the value itself where all are ones.
#[inline(always)]
fn weighted<V: Lanes, K: StripKind>(token: V::Token, weight: V, value: V) -> V {
    if K::FACTORS { product(token, weight, value) } else { value }
}

/// What is known of a strip when the kernel is compiled.
pub(crate) trait StripKind {
    /// Whether the factors may be other than one, and losses or second derivatives wanted.
    const FACTORS: bool = true;
    /// Whether the gradient may be wanted.
    const GRADIENT: bool = true;
    /// Whether it has all its elements.
    const WHOLE: bool = true;
}

/// The usual loss, with its gradient.
pub(crate) struct NoFactors;

impl StripKind for NoFactors {
    const FACTORS: bool = false;
}

/// The usual loss alone.
pub(crate) struct PlainLoss;

impl StripKind for PlainLoss {
    const FACTORS: bool = false;
    const GRADIENT: bool = false;
}

/// Any loss.
pub(crate) struct Whole;

impl StripKind for Whole {}

/// Any loss, of fewer elements.
pub(crate) struct Partial;

impl StripKind for Partial {
    const WHOLE: bool = false;
}

/// What all elements have in common.
#[derive(Clone, Copy)]
pub(crate) struct Elements<L> {
    pub(crate) loss: L,
    /// Multiplies the derivatives.
    pub(crate) scale: f64,
    /// The least second derivative.
    pub(crate) floor: f64,
}

impl<L: ElementLoss> Elements<L> {
    /// At most a strip: its losses and second derivatives where there are places for them, and its gradient
    /// where that belongs.
    #[inline(always)]
    pub(crate) fn strip<V: Lanes, K: StripKind>(
        self,
        token: V::Token,
        mut cells: RowBuffers<'_, V::Scalar>,
        inputs: Inputs<'_, V::Scalar>,
        [losses, hessian]: [&mut [V::Scalar]; 2],
        sum: &mut CompensatedSum<V>,
    ) {
        let zero = V::of(token, 0.0);
        let scale = V::of(token, self.scale * V::Scalar::UNSCALE);
        let floor = V::of(token, self.floor);
        let absent = V::of(token, L::ABSENT);
        let length = if K::WHOLE { STRIP } else { cells.len() };
        // All exponentials first: an element is one long chain of instructions that wait for each other,
        // longer than what the processor looks ahead.
        let mut exponentials = [zero.accumulators(); STRIP / ACCUMULATORS];
        for (row, exponentials) in exponentials.iter_mut().enumerate() {
            for (register, e) in exponentials.as_mut().iter_mut().enumerate() {
                let at = row * ACCUMULATORS + register * V::LANES;
                if at < length {
                    *e = self.loss.exponential(token, cells.load(token, at, absent));
                }
            }
        }
        for register in 0..ACCUMULATORS / V::LANES {
            let at = |row: usize| row * ACCUMULATORS + register * V::LANES;
            let mut terms = [zero; STRIP / ACCUMULATORS];
            let mut gradient = [zero; STRIP / ACCUMULATORS];
            // No branch is taken between the elements of a whole strip: they are computed at the same time.
            for row in 0..STRIP / ACCUMULATORS {
                let (at, e) = (at(row), exponentials[row].as_ref()[register]);
                if at >= length {
                    continue;
                }
                // Beyond the last element an absent input with a target of zero adds nothing.
                let x = cells.load(token, at, absent);
                let parts = inputs.parts::<V, L, K>(token, self.loss, (x, e), at);
                let [weight, factor] = inputs.factors::<V, K>(token, scale, at);
                terms[row] = weighted::<V, K>(token, weight, self.loss.loss(token, parts));
                if K::GRADIENT {
                    let slope = self.loss.gradient(token, parts) * factor;
                    gradient[row] = weighted::<V, K>(token, weight, slope);
                }
            }
            if K::FACTORS && !hessian.is_empty() {
                for (row, exponentials) in exponentials.iter().enumerate() {
                    let (at, e) = (at(row), exponentials.as_ref()[register]);
                    let x = cells.load(token, at, absent);
                    let parts = inputs.parts::<V, L, K>(token, self.loss, (x, e), at);
                    let [weight, factor] = inputs.factors::<V, K>(token, scale, at);
                    let curvature = self.loss.curvature(token, parts) * factor;
                    let curvature = weighted::<V, K>(token, weight, curvature);
                    let h = V::select(curvature.less(floor), floor, curvature);
                    h.store(from_mut(hessian, at));
                }
            }
            if K::FACTORS && !losses.is_empty() {
                for (row, loss) in terms.iter().enumerate() {
                    loss.store(from_mut(losses, at(row)));
                }
            }
            if K::GRADIENT {
                put(token, &mut cells, gradient, at);
            }
            sum.add(register, terms);
        }
    }
}

/// Puts some of the gradient where it belongs.
#[inline(always)]
fn put<V: Lanes>(
    token: V::Token,
    cells: &mut RowBuffers<'_, V::Scalar>,
    gradient: [V; STRIP / ACCUMULATORS],
    at: impl Fn(usize) -> usize,
) {
    let mode = cells.mode();
    let there = cells.gradient_mut();
    if mode == GradMode::None {
        return;
    }
    for (row, mut gradient) in gradient.into_iter().enumerate() {
        let there = from_mut(there, at(row));
        if mode == GradMode::Add {
            gradient = V::load(token, there, V::of(token, 0.0)) + gradient;
        }
        gradient.store(there);
    }
}
