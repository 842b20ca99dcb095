//! Integer targets as one byte for each element: which are one, and which are ignored.

use core::ops::Range;

use crate::dispatch::{Kernel, entries};
use crate::labels::Labels;
use crate::simd::Simd;

/// The bit of a byte whose element has the target one.
pub(crate) const HOT: u8 = 1;
/// The bit of a byte whose element is ignored.
pub(crate) const IGNORED: u8 = 2;

/// The bytes of integer targets, for the elements from `first` on.
pub(crate) struct MultiHot<'a> {
    pub(crate) labels: Labels<'a>,
    pub(crate) first: usize,
    pub(crate) ignore: Option<i64>,
    pub(crate) into: &'a mut [u8],
}

impl Kernel for MultiHot<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        self.labels.bytes(self.first, self.ignore, self.into);
    }

    entries!();
}

/// The classes that each row belongs to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lists<'a> {
    /// The start of each row's classes, and the end of the last.
    pub(crate) offsets: &'a [usize],
    pub(crate) labels: Labels<'a>,
    pub(crate) classes: usize,
    /// The step from a class of a row to the next.
    pub(crate) inner: usize,
}

impl Lists<'_> {
    /// The bytes of the elements from `first` on, except the last byte, which belongs to no element. For the last
    /// row with a long list, `ascends` remembers whether its classes ascend: then only the classes with a byte are
    /// read.
    pub(crate) fn mark(&self, first: usize, ascends: &mut Option<(usize, bool)>, into: &mut [u8]) {
        into.fill(0);
        let count = into.len().saturating_sub(1);
        let end = first + count;
        if self.classes == 1 {
            // A list has the only class, or is empty.
            let offsets = self.offsets.get(first..=end).unwrap_or(&[]).windows(2);
            for (byte, list) in into.iter_mut().zip(offsets) {
                *byte = u8::from(list[0] != list[1]);
            }
            return;
        }
        let Self { offsets, classes, inner, .. } = *self;
        if inner != 1 {
            return self.mark_blocks(first..end, into);
        }
        let (start, end_row) = (first / classes, end.div_ceil(classes));
        if classes <= count {
            let base = (start * classes).wrapping_sub(first);
            let offsets = offsets.get(start..=end_row).unwrap_or(&[]);
            return self.labels.mark(offsets, base, [classes, 1], into);
        }
        for row in start..end_row {
            let Some(&[from, until]) = offsets.get(row..).and_then(|offsets| offsets.first_chunk())
            else {
                return;
            };
            let list = from..until;
            let ascending = match *ascends {
                Some((of, ascending)) if of == row => ascending,
                _ => self.labels.ascend(list.clone()),
            };
            *ascends = Some((row, ascending));
            let start = row * classes;
            let wanted = first.saturating_sub(start)..end - start;
            let list = if ascending { self.labels.within(list, wanted) } else { list };
            let base = start.wrapping_sub(first);
            self.labels.mark(&[list.start, list.end], base, [0, 1], into);
        }
    }

    /// For elements whose rows are not contiguous.
    fn mark_blocks(&self, range: Range<usize>, into: &mut [u8]) {
        let Self { offsets, labels, classes, inner } = *self;
        let line = classes * inner;
        for block in range.start / line..range.end.div_ceil(line) {
            let start = block * line;
            let from = range.start.max(start) - start;
            let until = range.end.min(start + line) - start;
            // The rows that have elements there: from a position on, and from the first on.
            let first = from % inner;
            let count = inner.min(until - from);
            let before_end = count.min(inner - first);
            for positions in [first..first + before_end, 0..count - before_end] {
                let row = block * inner + positions.start;
                let offsets = offsets.get(row..=row + positions.len()).unwrap_or(&[]);
                let base = (start + positions.start).wrapping_sub(range.start);
                labels.mark(offsets, base, [1, inner], into);
            }
        }
    }
}
