//! Targets that are integers, as a byte for each element: which of them are one, and which are ignored.

use core::ops::Range;

use crate::buffers::Labels;
use crate::dispatch::{Kernel, entries};
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
    /// Where the classes of each row begin, and where the last ones end.
    pub(crate) offsets: &'a [usize],
    pub(crate) labels: Labels<'a>,
    pub(crate) classes: usize,
    /// Elements from a class of a row to the next.
    pub(crate) inner: usize,
}

impl Lists<'_> {
    /// The bytes of the elements from `first` on, but for the last byte, which is of no element. `ascends`
    /// remembers of the last row that is longer whether its classes ascend: then only those are read that
    /// have a byte.
    pub(crate) fn mark(&self, first: usize, ascends: &mut Option<(usize, bool)>, into: &mut [u8]) {
        into.fill(0);
        let count = into.len().saturating_sub(1);
        let end = first + count;
        if self.classes == 1 {
            // A list has the only class, or nothing.
            let offsets = self.offsets.get(first..=end).unwrap_or(&[]).windows(2);
            for (byte, list) in into.iter_mut().zip(offsets) {
                *byte = u8::from(list[0] != list[1]);
            }
            return;
        }
        if self.inner != 1 {
            let rows = self.rows_of_blocks(first..end);
            return self.labels.mark(
                rows.map(|(row, base)| (self.list(row), base)),
                self.inner,
                into,
            );
        }
        let is_long = self.classes > count;
        let list = |row: usize| {
            let (list, start) = (self.list(row), row * self.classes);
            let base = start.wrapping_sub(first);
            if !is_long {
                return (list, base);
            }
            let ascending = match *ascends {
                Some((of, ascending)) if of == row => ascending,
                _ => self.labels.ascend(list.clone()),
            };
            *ascends = Some((row, ascending));
            let classes = first.saturating_sub(start)..end - start;
            (if ascending { self.labels.within(list, classes) } else { list }, base)
        };
        let rows = first / self.classes..end.div_ceil(self.classes);
        self.labels.mark(rows.map(list), 1, into);
    }

    fn list(&self, row: usize) -> Range<usize> {
        let offset = |row| self.offsets.get(row).copied().unwrap_or_default();
        offset(row)..offset(row + 1)
    }

    /// The rows that have elements in a range, and where in the range the first class of each would be
    /// (wrapped around).
    fn rows_of_blocks(&self, range: Range<usize>) -> impl Iterator<Item = (usize, usize)> {
        let Self { classes, inner, .. } = *self;
        let line = classes * inner;
        let blocks = range.start / line..range.end.div_ceil(line);
        blocks.flat_map(move |block| {
            let start = block * line;
            let from = range.start.max(start) - start;
            let until = range.end.min(start + line) - start;
            let first = from % inner;
            let positions = first..first + (until - from).min(inner);
            let row = move |position: usize| {
                let position = if position < inner { position } else { position - inner };
                (block * inner + position, (start + position).wrapping_sub(range.start))
            };
            positions.map(row)
        })
    }
}
