//! Whether numbers are in the range that they have to be in, at the width of a level.

use crate::dispatch::{Kernel, entries};
use crate::element::Float;
use crate::kernel::element_targets::{HOT, IGNORED};
use crate::simd::Simd;

/// Whether all numbers are within `[low, high]`; NaN is not.
pub(crate) struct Within<'a, F> {
    pub(crate) values: &'a [F],
    pub(crate) low: F,
    pub(crate) high: F,
}

impl<F: Float> Kernel for Within<'_, F> {
    type Output = bool;

    #[inline(always)]
    fn run<S: Simd>(self, _: S) -> bool {
        let Self { values, low, high } = self;
        // Flags over all numbers are quicker than an early return.
        let mut good = true;
        for &x in values {
            good &= (x >= low) & (x <= high);
        }
        good
    }

    entries!();
}

/// How many probabilities are at the clamp of a logistic loss where it is asked for: below `least` where there is
/// some of the target, one where there is some of its opposite. `None` if one of them is no probability.
pub(crate) struct CountClamped<'a, F, T> {
    pub(crate) probabilities: &'a [F],
    pub(crate) targets: &'a [T],
    pub(crate) least: F,
    /// Whether every target has some of both, as those that are smoothed.
    pub(crate) smoothed: bool,
}

/// What a probability is compared with.
pub(crate) trait Target: Copy {
    /// Whether there is some of the target, and of its opposite; neither, of an element that is ignored.
    fn sides(self, smoothed: bool) -> [bool; 2];
}

impl<F: Float> Target for F {
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

impl<F: Float, T: Target> Kernel for CountClamped<'_, F, T> {
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
