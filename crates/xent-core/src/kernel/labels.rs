//! Checks, counts and converts labels, at the width of a level.

use super::block::{ROWS, RowBlock};
use crate::dispatch::{Kernel, entries};
use crate::simd::Compute;
use crate::simd::Simd;

/// An integer that is a label.
pub(crate) trait Label: Copy + PartialOrd {
    /// As a number, exact up to 2^24.
    fn number(self) -> f32;
}

macro_rules! label {
    ($($integer:ty),*) => {
        $(
            impl Label for $integer {
                #[inline(always)]
                fn number(self) -> f32 {
                    self as f32
                }
            }
        )*
    };
}
label!(u8, u16, u32, u64, usize, i8, i16, i32, i64);

/// The number of labels that are not ignored; `None` if one of the others is not a class.
pub(crate) struct CountLabels<'a, I> {
    pub(crate) labels: &'a [I],
    /// The first class and the last.
    pub(crate) classes: [I; 2],
    pub(crate) ignore: Option<I>,
}

impl<I: Label> Kernel for CountLabels<'_, I> {
    type Output = Option<usize>;

    #[inline(always)]
    fn run<S: Simd>(self, _: S) -> Option<usize> {
        let Self { labels, classes: [first, last], ignore } = self;
        // A flag over all labels is faster than an early return.
        let mut good = true;
        let Some(ignore) = ignore else {
            for &label in labels {
                good &= (label >= first) & (label <= last);
            }
            return good.then_some(labels.len());
        };
        let mut ignored = 0_usize;
        // Counted in few bits, so that more labels fit a register.
        for labels in labels.chunks(1 << 15) {
            let mut count = 0_u16;
            for &label in labels {
                let is_ignored = label == ignore;
                good &= ((label >= first) & (label <= last)) | is_ignored;
                count += u16::from(is_ignored);
            }
            ignored += usize::from(count);
        }
        good.then_some(labels.len() - ignored)
    }

    entries!();
}

/// The class numbers of labels, block by block; -1 for the ignored label.
pub(crate) struct NumberLabels<'a, I, F> {
    pub(crate) labels: &'a [I],
    pub(crate) ignore: Option<I>,
    pub(crate) blocks: &'a mut [RowBlock<F>],
}

impl<I: Label, F: Compute> Kernel for NumberLabels<'_, I, F> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let Self { labels, ignore, blocks } = self;
        for (block, labels) in blocks.iter_mut().zip(labels.chunks(ROWS)) {
            match ignore {
                None => {
                    for (number, &label) in block.labels.iter_mut().zip(labels) {
                        *number = F::from(label.number());
                    }
                }
                Some(ignore) => {
                    for (number, &label) in block.labels.iter_mut().zip(labels) {
                        let of_label = F::from(label.number());
                        *number = if label == ignore { F::from(-1.0) } else { of_label };
                    }
                }
            }
        }
    }

    entries!();
}
