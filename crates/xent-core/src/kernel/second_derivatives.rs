//! The diagonal of the Hessian of contiguous rows.

use super::coefficients::SecondTerms;
use super::sum::CompensatedSum;
use crate::dispatch::{Kernel, entries};
use crate::hessian::Curvature;
use crate::math::exp::exp_scaled;
use crate::simd::Compute;
use crate::simd::{ACCUMULATORS, Lanes, Simd, Vector, from, from_mut};

/// The second derivatives of neighbouring classes, with the factor of the curvature, at least its floor.
pub(crate) struct SecondDerivatives<'a, F> {
    /// Logits or, with `stored`, exponentials.
    pub(crate) x: &'a [F],
    pub(crate) stored: bool,
    /// The largest logit, and its index (or past the end).
    pub(crate) max: F,
    pub(crate) largest: usize,
    /// The unit of distances.
    pub(crate) unit: f64,
    /// The sum of all exponentials, in their unit, and of all except the largest, if it is known.
    pub(crate) sum: f64,
    pub(crate) others: Option<f64>,
    pub(crate) terms: SecondTerms<f64>,
    /// The index of the label (or past the end).
    pub(crate) label: usize,
    pub(crate) curvature: Curvature,
    pub(crate) out: &'a mut [F],
}

impl<F: Compute> Kernel for SecondDerivatives<'_, F> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { x, stored, max, largest, unit, sum, others, terms, label, curvature, out } =
            self;
        let absent = F::Of::<S>::of(simd, f64::NEG_INFINITY);
        let zero = F::Of::<S>::of(simd, 0.0);
        let one = F::Of::<S>::of(simd, 1.0);
        let max = F::Of::<S>::splat(simd, max);
        let unit = F::Of::<S>::of(simd, unit);
        let inverse = F::Of::<S>::of(simd, 1.0 / sum);
        let factor = F::Of::<S>::of(simd, curvature.factor * terms.spread);
        let square = F::Of::<S>::of(simd, curvature.factor * terms.square);
        let floor = F::Of::<S>::of(simd, curvature.floor);
        let of_squares = terms.square != 0.0;
        let mut rest = CompensatedSum::<F::Of<S>>::new(simd);
        let mut start = 0;
        while start < x.len() {
            let mut terms = zero.accumulators();
            for (register, term) in terms.as_mut().iter_mut().enumerate() {
                let at = start + register * F::Of::<S>::LANES;
                if at >= x.len() {
                    break;
                }
                let mut e = F::Of::<S>::load(simd, from(x, at), if stored { zero } else { absent });
                if !stored {
                    e = exp_scaled(simd, (e - max) * unit);
                }
                let p = e * inverse;
                let mut h = p * (one - p) * factor;
                if of_squares {
                    h = h + p * p * square;
                }
                F::Of::<S>::select(h.less(floor), floor, h).store(from_mut(out, at));
                let numbers = F::Of::<S>::load(simd, F::LANE_NUMBERS, zero);
                let here = numbers.equal(F::Of::<S>::of(simd, largest as f64 - at as f64));
                *term = F::Of::<S>::select(here, zero, e);
            }
            if others.is_none() {
                rest.add_all(terms);
            }
            start += ACCUMULATORS;
        }
        // One minus a probability near one has few digits, so for the largest class it is the sum of the others.
        let others = others.unwrap_or_else(|| rest.total());
        if let Some(place) = out.get_mut(largest) {
            let p = F::SCALE / sum;
            let [spread, square] = [terms.spread, terms.square].map(|term| curvature.factor * term);
            let h = spread * p * (others / sum) + square * p * p;
            *place = F::from_f64(curvature.at_least(h));
        }
        if let (Some(value), Some(place)) = (terms.label, out.get_mut(label)) {
            *place = F::from_f64(curvature.of(value));
        }
    }

    entries!();
}
