//! The losses of a single logit or probability, and of a strip of them: the body of their one kernel,
//! [`super::element_tile`].

use super::element_losses::{ElementLoss, product};
use super::row_buffers::{GradMode, RowBuffers};
use super::sum::CompensatedSum;
use crate::simd::Compute;
use crate::simd::{ACCUMULATORS, Lanes, STRIP, from, from_mut};
use crate::tables::Tables;

/// The targets and factors of at most a strip of elements; a [`NoFactors`] strip has no factors.
#[derive(Clone, Copy)]
pub(crate) struct Inputs<'a, F> {
    pub(crate) targets: &'a [F],
    pub(crate) positive: &'a [F],
    /// Of the loss and its derivatives; an element of weight zero does not count.
    pub(crate) weights: &'a [F],
    /// Of the derivatives.
    pub(crate) upstream: &'a [F],
}

impl<'a, F: Compute> Inputs<'a, F> {
    /// Only targets.
    #[inline(always)]
    pub(crate) fn targets(targets: &'a [F; STRIP]) -> Self {
        Self { targets, positive: &[], weights: &[], upstream: &[] }
    }

    /// The inputs, if they are those of a whole strip: slices whose length the compiler knows.
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

/// The product with a weight; the value itself if all weights are one.
#[inline(always)]
fn weighted<V: Lanes, K: StripKind>(token: V::Token, weight: V, value: V) -> V {
    if K::FACTORS { product(token, weight, value) } else { value }
}

/// The properties of a strip that are known when the kernel is compiled.
pub(crate) trait StripKind {
    /// Whether factors may differ from one, and losses or second derivatives may be wanted.
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

/// The values that all elements share.
#[derive(Clone, Copy)]
pub(crate) struct Elements<L> {
    pub(crate) loss: L,
    /// Of the derivatives.
    pub(crate) scale: f64,
    /// The smallest second derivative.
    pub(crate) floor: f64,
}

impl<L: ElementLoss> Elements<L> {
    /// At most a strip: writes its losses and second derivatives if there are places for them, and its gradient.
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
        // All exponentials first: an element is one long chain of dependent instructions, longer than the processor
        // looks ahead.
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
            // There is no branch between the elements of a whole strip, so they are computed in parallel.
            for row in 0..STRIP / ACCUMULATORS {
                let (at, e) = (at(row), exponentials[row].as_ref()[register]);
                if at >= length {
                    continue;
                }
                // Past the last element, an absent input with a target of zero adds nothing.
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

/// Writes some of the gradient.
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
