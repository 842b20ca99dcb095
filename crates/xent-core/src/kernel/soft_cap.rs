//! The soft cap on logits: `cap tanh(x / cap)` (Gemma Team, "Gemma 2", 2024, section 2).

use crate::dispatch::{Kernel, entries};
use crate::kernel::row_buffers::GradMode;
use crate::math::tanh::tanh;
use crate::simd::Compute;
use crate::simd::{Simd, Vector, from_mut};

/// Caps logits, and stores the derivatives of the capped logits. Infinite logits are not capped, so that a masked
/// class stays masked; NaN stays NaN.
pub(crate) struct Cap<'a, F> {
    /// `None` if the logits are overwritten.
    pub(crate) logits: Option<&'a [F]>,
    pub(crate) capped: &'a mut [F],
    pub(crate) derivatives: &'a mut [F],
    /// In the precision of the logits.
    pub(crate) cap: f64,
}

impl<F: Compute> Kernel for Cap<'_, F> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let cap = F::Of::<S>::of(simd, self.cap);
        let lanes = F::Of::<S>::LANES;
        let places = self.capped.chunks_mut(lanes).zip(self.derivatives.chunks_mut(lanes));
        let Some(logits) = self.logits else {
            for (x, derivatives) in places {
                cap_register(simd, cap, x, derivatives).store(x);
            }
            return;
        };
        for (x, (capped, derivatives)) in logits.chunks(lanes).zip(places) {
            cap_register(simd, cap, x, derivatives).store(capped);
        }
    }

    entries!();
}

/// A register of capped logits, whose derivatives are stored.
#[inline(always)]
fn cap_register<V: Vector>(
    token: V::Token,
    cap: V,
    x: &[V::Scalar],
    derivatives: &mut [V::Scalar],
) -> V {
    let x = V::load(token, x, V::of(token, 0.0));
    let of_x = tanh(token, x / cap);
    let is_infinite = x.abs().equal(V::of(token, f64::INFINITY));
    V::select(is_infinite, V::of(token, 1.0), of_x.derivative).store(derivatives);
    V::select(is_infinite, x, of_x.value * cap)
}

/// From the gradient by the capped logits to the gradient by the logits.
pub(crate) struct Uncap<'a, F> {
    pub(crate) gradient: &'a mut [F],
    pub(crate) derivatives: &'a [F],
    /// The destination, and whether it is added to; in place if `None`.
    pub(crate) into: Option<(&'a mut [F], GradMode)>,
}

impl<F: Compute> Kernel for Uncap<'_, F> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { gradient, derivatives, mut into } = self;
        let lanes = F::Of::<S>::LANES;
        let zero = F::Of::<S>::of(simd, 0.0);
        let registers = gradient.chunks_mut(lanes).zip(derivatives.chunks(lanes));
        for (register, (gradient, derivatives)) in registers.enumerate() {
            let g = F::Of::<S>::load(simd, gradient, zero);
            let by_logit = g * F::Of::<S>::load(simd, derivatives, zero);
            // Zero stays zero, even for a NaN logit.
            let by_logit = F::Of::<S>::select(g.equal(zero), zero, by_logit);
            match &mut into {
                None => by_logit.store(gradient),
                Some((into, mode)) => {
                    let place = from_mut(into, register * lanes);
                    if *mode == GradMode::Add {
                        (F::Of::<S>::load(simd, place, zero) + by_logit).store(place);
                    } else {
                        by_logit.store(place);
                    }
                }
            }
        }
    }

    entries!();
}

/// From second derivatives by the capped logits to those by the logits, at least the floor: with `t = tanh(x /
/// cap)` the capped logit has the derivatives `1 - t^2` and `-2 t (1 - t^2) / cap`.
pub(crate) struct UncapSecond<'a, F> {
    pub(crate) hessian: &'a mut [F],
    /// The gradient by capped logits.
    pub(crate) gradient: &'a [F],
    /// The logits before the cap.
    pub(crate) logits: &'a [F],
    /// In the precision of the logits.
    pub(crate) cap: f64,
    pub(crate) floor: f64,
}

impl<F: Compute> Kernel for UncapSecond<'_, F> {
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
            // Zero stays zero, even for a NaN logit.
            let squared = F::Of::<S>::select(h.equal(zero), zero, h * (d * d));
            let bend = minus_two * of_x.value * d / cap;
            let bent = F::Of::<S>::select(g.equal(zero), zero, g * bend);
            let by_logit = F::Of::<S>::select(x.abs().equal(infinity), h, squared + bent);
            F::Of::<S>::select(by_logit.less(floor), floor, by_logit).store(hessian);
        }
    }

    entries!();
}
