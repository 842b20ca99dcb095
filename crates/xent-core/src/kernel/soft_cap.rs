//! The soft cap on logits: `cap tanh(x / cap)` (Gemma Team, "Gemma 2", 2024, section 2).

use crate::dispatch::{Kernel, entries};
use crate::element::Float;
use crate::math::tanh::tanh;
use crate::simd::{Simd, Vector, from_mut};

/// Caps logits where they are, and leaves the derivatives of what they become by what they were. Infinite
/// logits are not capped, so that a masked class stays masked; NaN stays NaN.
pub(crate) struct Cap<'a, F> {
    pub(crate) logits: &'a mut [F],
    pub(crate) derivatives: &'a mut [F],
    /// As exact as the logits are.
    pub(crate) cap: f64,
}

impl<F: Float> Kernel for Cap<'_, F> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let cap = F::Of::<S>::of(simd, self.cap);
        let zero = F::Of::<S>::of(simd, 0.0);
        let one = F::Of::<S>::of(simd, 1.0);
        let infinity = F::Of::<S>::of(simd, f64::INFINITY);
        let mut at = 0;
        while at < self.logits.len() {
            let place = from_mut(self.logits, at);
            let x = F::Of::<S>::load(simd, place, zero);
            let of_x = tanh(simd, x / cap);
            let is_infinite = x.abs().equal(infinity);
            F::Of::<S>::select(is_infinite, x, of_x.value * cap).store(place);
            let derivative = F::Of::<S>::select(is_infinite, one, of_x.derivative);
            derivative.store(from_mut(self.derivatives, at));
            at += F::Of::<S>::LANES;
        }
    }

    entries!();
}

/// Multiplies the gradient by the capped logits to that by the logits.
pub(crate) struct Uncap<'a, F> {
    pub(crate) gradient: &'a mut [F],
    pub(crate) derivatives: &'a [F],
}

impl<F: Float> Kernel for Uncap<'_, F> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let lanes = F::Of::<S>::LANES;
        let zero = F::Of::<S>::of(simd, 0.0);
        let pairs = self.gradient.chunks_mut(lanes).zip(self.derivatives.chunks(lanes));
        for (gradient, derivatives) in pairs {
            let g = F::Of::<S>::load(simd, gradient, zero);
            let by_logit = g * F::Of::<S>::load(simd, derivatives, zero);
            // Nothing stays nothing, also of a logit that is NaN.
            F::Of::<S>::select(g.equal(zero), zero, by_logit).store(gradient);
        }
    }

    entries!();
}

/// From second derivatives by capped logits to those by the logits, at least the floor: with `t = tanh(x / cap)` the
/// capped logit has the derivatives `1 - t^2` and `-2 t (1 - t^2) / cap`.
pub(crate) struct UncapSecond<'a, F> {
    pub(crate) hessian: &'a mut [F],
    /// The gradient by capped logits.
    pub(crate) gradient: &'a [F],
    /// Those that are not capped.
    pub(crate) logits: &'a [F],
    /// As exact as the logits are.
    pub(crate) cap: f64,
    pub(crate) floor: f64,
}

impl<F: Float> Kernel for UncapSecond<'_, F> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { hessian, gradient, logits, cap, floor } = self;
        let lanes = F::Of::<S>::LANES;
        let zero = F::Of::<S>::of(simd, 0.0);
        let cap = F::Of::<S>::of(simd, cap);
        let minus_two = F::Of::<S>::of(simd, -2.0);
        let infinity = F::Of::<S>::of(simd, f64::INFINITY);
        let floor = F::Of::<S>::of(simd, floor);
        let inputs = gradient.chunks(lanes).zip(logits.chunks(lanes));
        for (hessian, (gradient, logits)) in hessian.chunks_mut(lanes).zip(inputs) {
            let h = F::Of::<S>::load(simd, hessian, zero);
            let g = F::Of::<S>::load(simd, gradient, zero);
            let x = F::Of::<S>::load(simd, logits, zero);
            let of_x = tanh(simd, x / cap);
            let d = of_x.derivative;
            // Nothing stays nothing, also of a logit that is NaN.
            let squared = F::Of::<S>::select(h.equal(zero), zero, h * (d * d));
            let bend = minus_two * of_x.value * d / cap;
            let bent = F::Of::<S>::select(g.equal(zero), zero, g * bend);
            let by_logit = F::Of::<S>::select(x.abs().equal(infinity), h, squared + bent);
            F::Of::<S>::select(by_logit.less(floor), floor, by_logit).store(hessian);
        }
    }

    entries!();
}
