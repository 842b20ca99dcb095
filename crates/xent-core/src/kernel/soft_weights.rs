//! The weights of all classes of contiguous rows, if they are not available in place.

use super::block::ROWS;
use crate::dispatch::{Kernel, entries};
use crate::math::exp::exp_scaled;
use crate::simd::Compute;
use crate::simd::{Simd, Vector, from, from_mut};

/// `q = (scale t + smoothing_per_class) w` for contiguous rows, each with its own scale.
pub(crate) struct FillWeights<'a, F> {
    /// `t`; if `None`, the current values in the places of the weights; if empty, no targets.
    pub(crate) dense: Option<&'a [F]>,
    pub(crate) scales: &'a [F],
    pub(crate) smoothing_per_class: F,
    /// `w`; ones if empty.
    pub(crate) class_weights: &'a [F],
    pub(crate) classes: usize,
    pub(crate) into: &'a mut [F],
}

impl<F: Compute> Kernel for FillWeights<'_, F> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { dense, scales, smoothing_per_class, class_weights, classes, into } = self;
        let zero = F::Of::<S>::of(simd, 0.0);
        let smoothing_per_class = F::Of::<S>::splat(simd, smoothing_per_class);
        let mut start = 0;
        for (&scale, into) in scales.iter().zip(into.chunks_mut(classes)) {
            let scale = F::Of::<S>::splat(simd, scale);
            let of_row = match dense {
                Some(dense) => from(dense, start),
                None => &[],
            };
            let mut at = 0;
            while at < into.len() {
                let place = from_mut(into, at);
                let mut q = match dense {
                    Some([]) => smoothing_per_class,
                    Some(_) => F::Of::<S>::load(simd, from(of_row, at), zero)
                        .mul_add(scale, smoothing_per_class),
                    None => F::Of::<S>::load(simd, place, zero).mul_add(scale, smoothing_per_class),
                };
                if !class_weights.is_empty() {
                    q = q * F::Of::<S>::load(simd, from(class_weights, at), zero);
                }
                q.store(place);
                at += F::Of::<S>::LANES;
            }
            start += classes;
        }
    }

    entries!();
}

/// The softmax of neighbouring classes, times class weights: from the logits of a teacher (G. Hinton et al.,
/// "Distilling the knowledge in a neural network", 2015) or of a slice.
pub(crate) struct SoftmaxWeights<'a, F> {
    pub(crate) logits: &'a [F],
    pub(crate) max: F,
    /// The unit of distances.
    pub(crate) unit: f64,
    /// One over the sum of the exponentials, in their unit.
    pub(crate) factor: F,
    /// Ones if empty.
    pub(crate) class_weights: &'a [F],
    pub(crate) into: &'a mut [F],
}

impl<F: Compute> Kernel for SoftmaxWeights<'_, F> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { logits, max, unit, factor, class_weights, into } = self;
        let zero = F::Of::<S>::of(simd, 0.0);
        let absent = F::Of::<S>::of(simd, f64::NEG_INFINITY);
        let max = F::Of::<S>::splat(simd, max);
        let unit = F::Of::<S>::of(simd, unit);
        let factor = F::Of::<S>::splat(simd, factor);
        let mut at = 0;
        while at < into.len() {
            let t = F::Of::<S>::load(simd, from(logits, at), absent);
            let mut q = exp_scaled(simd, (t - max) * unit) * factor;
            if !class_weights.is_empty() {
                q = q * F::Of::<S>::load(simd, from(class_weights, at), zero);
            }
            q.store(from_mut(into, at));
            at += F::Of::<S>::LANES;
        }
    }

    entries!();
}

/// The number of labels in each row that are not zero.
pub(crate) struct CountLabels<'a, F> {
    pub(crate) labels: &'a [F],
    pub(crate) classes: usize,
    pub(crate) counts: &'a mut [F],
}

impl<F: Compute> Kernel for CountLabels<'_, F> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let zero = F::Of::<S>::of(simd, 0.0);
        let one = F::Of::<S>::of(simd, 1.0);
        for (labels, place) in self.labels.chunks(self.classes).zip(self.counts) {
            let mut all = 0.0;
            // As many as the numbers of a format can count.
            for labels in labels.chunks(1 << 20) {
                let mut count = zero;
                let mut at = 0;
                while at < labels.len() {
                    let t = F::Of::<S>::load(simd, from(labels, at), zero);
                    count = count + F::Of::<S>::select(t.equal(zero), zero, one);
                    at += F::Of::<S>::LANES;
                }
                let mut counts = [F::default(); ROWS];
                count.store(&mut counts);
                for count in counts {
                    all += count.to_f64();
                }
            }
            *place = F::from_f64(all);
        }
    }

    entries!();
}
