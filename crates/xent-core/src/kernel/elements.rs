//! The losses of one logit or probability at a time, and their one kernel.

use super::cells::Cells;
use super::coefficients::Number;
use super::sum::StripedSum;
use crate::math::ln::{ln, log1p};
use crate::math::sigmoid::{exponential, logistic};
use crate::math::tables::Tables;
use crate::simd::{Lanes, PANEL, STRIPES, from, from_mut};

/// What becomes of an element: its loss, and its derivatives lifted ([`Tables::LIFT`]), so that they
/// are not subnormal before they meet their factors; all without weights.
pub(crate) struct Outcome<V> {
    pub(crate) loss: V,
    pub(crate) gradient: V,
    pub(crate) curvature: V,
}

/// A loss of one input `x` and one target `y` in [0, 1], whose positive part counts `positive`
/// times.
pub(crate) trait ElementLoss: Copy {
    /// The input of an element that has no part in the loss.
    const ABSENT: f64;

    /// What the outcome waits for longest.
    fn exponential<V: Lanes>(self, token: V::Token, x: V) -> V;

    /// From `x` with its [`exponential`](Self::exponential).
    fn of<V: Lanes>(self, token: V::Token, x_and_e: (V, V), y: V, positive: V) -> Outcome<V>;
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
pub(crate) struct Sigmoid;

impl ElementLoss for Sigmoid {
    const ABSENT: f64 = f64::NEG_INFINITY;

    #[inline(always)]
    fn exponential<V: Lanes>(self, token: V::Token, x: V) -> V {
        exponential(token, x)
    }

    #[inline(always)]
    fn of<V: Lanes>(self, token: V::Token, (x, e): (V, V), y: V, positive: V) -> Outcome<V> {
        let zero = V::of(token, 0.0);
        let logistic = logistic(token, x, e);
        let unlift = V::of(token, V::Scalar::UNLIFT);
        let not_y = V::of(token, 1.0) - y;
        let y = y * positive;
        let linear = product(token, not_y, zero.max(x)) + product(token, y, zero.max(zero - x));
        Outcome {
            loss: linear + (not_y + y) * logistic.log1p,
            gradient: logistic.difference(token, not_y, y),
            curvature: (not_y + y) * (logistic.positive() * (logistic.negative() * unlift)),
        }
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

impl ElementLoss for SigmoidFocal {
    const ABSENT: f64 = f64::NEG_INFINITY;

    #[inline(always)]
    fn exponential<V: Lanes>(self, token: V::Token, x: V) -> V {
        exponential(token, x)
    }

    #[inline(always)]
    fn of<V: Lanes>(self, token: V::Token, (x, e): (V, V), y: V, positive: V) -> Outcome<V> {
        let one = V::of(token, 1.0);
        let zero = V::of(token, 0.0);
        let entropy = Sigmoid.of(token, (x, e), y, positive);
        let logistic = logistic(token, x, e);
        let not_y = one - y;
        let unlift = V::of(token, V::Scalar::UNLIFT);
        let (positive_share, negative_share) = (logistic.positive(), logistic.negative());
        let wrong = not_y * positive_share + y * negative_share;
        let mut factor =
            if self.gamma == 0.0 { one } else { V::power(token, wrong * unlift, self.gamma) };
        if let Some(alpha) = self.alpha {
            let alpha = V::of(token, alpha);
            factor = factor * (alpha * y + (one - alpha) * not_y);
        }
        // `d ln u / dx`, which is σ(-x) for a negative and -σ(x) for a positive.
        // The smaller share is no larger than what is wrong: no quotient overflows.
        let (less, more) = (positive_share.min(negative_share), positive_share.max(negative_share));
        let slope = more * (less / wrong) * (not_y - y);
        let slope = V::select(wrong.equal(zero), zero, slope);
        let growth = V::of(token, self.gamma) * product(token, slope, entropy.loss);
        // An alpha of zero or one leaves nothing of an infinite loss, but NaN is NaN, as its gradient is.
        let none = zero * entropy.gradient + zero;
        Outcome {
            loss: V::select(factor.equal(zero), none, factor * entropy.loss),
            gradient: factor * (entropy.gradient + growth),
            curvature: zero,
        }
    }
}

/// The logistic loss of a probability, as PyTorch's `BCELoss` has it: logarithms not below -100,
/// and the gradient `((1 - y) p - w y (1 - p)) / max(p (1 - p), 1e-12)`.
#[derive(Clone, Copy)]
pub(crate) struct Logistic;

impl ElementLoss for Logistic {
    const ABSENT: f64 = 0.0;

    #[inline(always)]
    fn exponential<V: Lanes>(self, _: V::Token, x: V) -> V {
        x
    }

    #[inline(always)]
    fn of<V: Lanes>(self, token: V::Token, (x, _): (V, V), y: V, positive: V) -> Outcome<V> {
        let zero = V::of(token, 0.0);
        let least = V::of(token, -100.0);
        let not_x = V::of(token, 1.0) - x;
        let not_y = V::of(token, 1.0) - y;
        let y = y * positive;
        // The second operand of a maximum is what NaN becomes; here NaN has to stay.
        let of_x = least.max(ln(token, x));
        let of_not_x = least.max(log1p(token, zero - x));
        // That of an f32, in f64 too.
        let spread = V::of(token, f64::from(1e-12_f32)).max(x * not_x);
        // Before the products, which subnormal probabilities would be rounded in.
        let lifted = |x: V| x * V::of(token, V::Scalar::LIFTED_ONE);
        Outcome {
            loss: zero - y * of_x - not_y * of_not_x,
            gradient: (not_y * lifted(x) - y * lifted(not_x)) / spread,
            curvature: zero,
        }
    }
}

/// What the elements of at most a panel are compared with, and their factors; those that are empty are
/// ones.
pub(crate) struct Inputs<'a, F> {
    pub(crate) targets: &'a [F],
    pub(crate) positive: &'a [F],
    /// Multiplies the loss and its derivatives; an element of weight zero has no part in it.
    pub(crate) weights: &'a [F],
    /// Multiplies the derivatives.
    pub(crate) upstream: &'a [F],
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

impl<'a, F> Inputs<'a, F> {
    /// Nothing but targets.
    #[inline(always)]
    pub(crate) fn plain(targets: &'a [F]) -> Self {
        Self { targets, positive: &[], weights: &[], upstream: &[] }
    }
}

impl<L: ElementLoss> Elements<L> {
    /// A panel, or with `WHOLE` one whose length the compiler is told: its losses where there is a
    /// place for them, its derivatives likewise.
    #[inline(always)]
    pub(crate) fn panel<V: Lanes, const MODE: u8, const WHOLE: bool>(
        self,
        token: V::Token,
        mut cells: Cells<'_, V::Scalar, MODE>,
        inputs: &Inputs<'_, V::Scalar>,
        losses: &mut [V::Scalar],
        hessian: &mut [V::Scalar],
        sum: &mut StripedSum<V>,
    ) {
        let zero = V::of(token, 0.0);
        let one = V::of(token, 1.0);
        let scale = V::of(token, self.scale * V::Scalar::UNLIFT);
        let floor = V::of(token, self.floor);
        let absent = V::of(token, L::ABSENT);
        let length = if WHOLE { PANEL } else { cells.len() };
        // All exponentials first: an element is one long chain of instructions that wait for each other,
        // longer than what the processor looks ahead.
        let mut exponentials = [zero.stripes(); PANEL / STRIPES];
        for (row, exponentials) in exponentials.iter_mut().enumerate() {
            for (register, e) in exponentials.as_mut().iter_mut().enumerate() {
                let x = cells.load(token, row * STRIPES + register * V::LANES, absent);
                *e = self.loss.exponential(token, x);
            }
        }
        for register in 0..STRIPES / V::LANES {
            let mut terms = [zero; 4];
            for (row, term) in terms.iter_mut().enumerate() {
                let at = row * STRIPES + register * V::LANES;
                if at >= length {
                    continue;
                }
                let or_one = |slice: &[V::Scalar]| {
                    if slice.is_empty() { one } else { V::load(token, from(slice, at), zero) }
                };
                // Beyond the last element an absent input with a target of zero adds nothing.
                let x = cells.load(token, at, absent);
                let y = V::load(token, from(inputs.targets, at), zero);
                let e = exponentials[row].as_ref()[register];
                let outcome = self.loss.of(token, (x, e), y, or_one(inputs.positive));
                let mut loss = outcome.loss;
                let mut factor = scale;
                if !inputs.upstream.is_empty() {
                    factor = factor * or_one(inputs.upstream);
                }
                let mut gradient = outcome.gradient * factor;
                let mut curvature = outcome.curvature * factor;
                if !inputs.weights.is_empty() {
                    let weight = or_one(inputs.weights);
                    loss = product(token, weight, loss);
                    gradient = product(token, weight, gradient);
                    curvature = product(token, weight, curvature);
                }
                if !hessian.is_empty() {
                    let h = V::select(curvature.less(floor), floor, curvature);
                    h.store(from_mut(hessian, at));
                }
                loss.store(from_mut(losses, at));
                cells.put(token, at, gradient);
                *term = loss;
            }
            sum.add(register, terms);
        }
    }
}
