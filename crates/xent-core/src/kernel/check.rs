//! Range checks of numbers, at the width of a level.

use crate::dispatch::{Kernel, entries};
use crate::kernel::element_targets::{HOT, IGNORED};
use crate::simd::Compute;
use crate::simd::{ACCUMULATORS, Lanes, Simd, Vector, from};

/// Whether all numbers are within `[low, high]`; a NaN is not.
pub(crate) struct Within<'a, F> {
    pub(crate) values: &'a [F],
    pub(crate) low: F,
    pub(crate) high: F,
}

impl<F: Compute> Kernel for Within<'_, F> {
    type Output = bool;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> bool {
        let zero = F::Of::<S>::of(simd, 0.0);
        let range = [self.low, self.high].map(|bound| F::Of::<S>::splat(simd, bound));
        // A flag over all numbers is faster than an early return.
        let mut outside = zero.accumulators();
        let (whole, rest) = self.values.as_chunks::<ACCUMULATORS>();
        for values in whole {
            flag::<F::Of<S>>(simd, values, range, &mut outside);
        }
        flag::<F::Of<S>>(simd, rest, range, &mut outside);
        let [first, others @ ..] = outside.as_ref() else { return true };
        let any = others.iter().fold(*first, |any, outside| any.max(*outside));
        !F::Of::<S>::any(zero.less(any))
    }

    entries!();
}

/// Flags the accumulators of numbers that are outside a range.
#[inline(always)]
fn flag<V: Lanes>(
    token: V::Token,
    values: &[V::Scalar],
    [low, high]: [V; 2],
    flags: &mut V::Accumulators,
) {
    let one = V::of(token, 1.0);
    for (register, flag) in flags.as_mut().iter_mut().enumerate() {
        // Missing numbers are in the range.
        let x = V::load(token, from(values, register * V::LANES), low);
        // `max` and `min` move a NaN into the range, and it equals nothing.
        *flag = V::select(x.max(low).min(high).equal(x), *flag, one);
    }
}

/// The number of probabilities that a logistic loss clamps: those below `least` if their target is above zero, and
/// those equal to one if it is below one. `None` if one of them is not a probability.
pub(crate) struct CountClamped<'a, F, T> {
    pub(crate) probabilities: &'a [F],
    pub(crate) targets: &'a [T],
    pub(crate) least: F,
    /// Whether every target is strictly between zero and one, as smoothed ones are.
    pub(crate) smoothed: bool,
}

/// The target of a probability.
pub(crate) trait Target: Copy {
    /// Whether the target is above zero, and whether it is below one; neither for an ignored element.
    fn sides(self, smoothed: bool) -> [bool; 2];
}

impl<F: Compute> Target for F {
    #[inline(always)]
    fn sides(self, smoothed: bool) -> [bool; 2] {
        [(self > F::default()) | smoothed, (self < F::from(1.0)) | smoothed]
    }
}

/// A byte of [`MultiHot`](super::element_targets::MultiHot).
impl Target for u8 {
    #[inline(always)]
    fn sides(self, smoothed: bool) -> [bool; 2] {
        let (hot, counts) = (self & HOT != 0, self & IGNORED == 0);
        [(hot | smoothed) & counts, (!hot | smoothed) & counts]
    }
}

impl<F: Compute, T: Target> Kernel for CountClamped<'_, F, T> {
    type Output = Option<usize>;

    #[inline(always)]
    fn run<S: Simd>(self, _: S) -> Option<usize> {
        let Self { probabilities, targets, least, smoothed } = self;
        let (zero, one) = (F::default(), F::from(1.0));
        let (mut count, mut good) = (0_u32, true);
        for (&p, &target) in probabilities.iter().zip(targets) {
            let [some, other] = target.sides(smoothed);
            good &= (p >= zero) & (p <= one);
            count += u32::from(((p < least) & some) | ((p >= one) & other));
        }
        good.then_some(count as usize)
    }

    entries!();
}
