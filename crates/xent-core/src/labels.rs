//! The labels of rows.

/// The class index of every row, of any usual integer type.
///
/// ```
/// use xent_core::Labels;
///
/// let labels = Labels::from(&[2_i64, 0, 1][..]);
/// assert_eq!(labels.len(), 3);
/// ```
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Labels<'a> {
    /// Labels of eight bits.
    U8(&'a [u8]),
    /// Labels of sixteen bits.
    U16(&'a [u16]),
    /// Labels of thirty-two bits.
    U32(&'a [u32]),
    /// Labels of sixty-four bits.
    U64(&'a [u64]),
    /// Labels of pointer size.
    Usize(&'a [usize]),
    /// Signed labels of eight bits.
    I8(&'a [i8]),
    /// Signed labels of sixteen bits.
    I16(&'a [i16]),
    /// Signed labels of thirty-two bits.
    I32(&'a [i32]),
    /// Signed labels of sixty-four bits.
    I64(&'a [i64]),
}

/// Evaluates an expression for the slice of labels, whatever its type: `each_type!(labels, |slice| ...)`, or
/// `each_type!(labels, |slice: I| ...)` if the expression needs the name of the type.
macro_rules! each_type {
    ($labels:expr, |$slice:ident $(: $integer:ident)?| $body:expr) => {
        $crate::labels::each_type!(
            @match $labels, $slice, ($($integer)?), $body;
            U8(u8) U16(u16) U32(u32) U64(u64) Usize(usize) I8(i8) I16(i16) I32(i32) I64(i64)
        )
    };
    (@match $labels:expr, $slice:ident, $name:tt, $body:expr; $($variant:ident($integer:ty))*) => {
        match $labels {
            $($crate::labels::Labels::$variant($slice) => {
                $crate::labels::each_type!(@body $name, $integer, $body)
            })*
        }
    };
    (@body (), $integer:ty, $body:expr) => {
        $body
    };
    (@body ($name:ident), $integer:ty, $body:expr) => {{
        type $name = $integer;
        $body
    }};
}
pub(crate) use each_type;

macro_rules! from_slices {
    ($($variant:ident($integer:ty)),*) => {
        $(
            impl<'a> From<&'a [$integer]> for Labels<'a> {
                fn from(labels: &'a [$integer]) -> Self {
                    Self::$variant(labels)
                }
            }

            impl<'a, const N: usize> From<&'a [$integer; N]> for Labels<'a> {
                fn from(labels: &'a [$integer; N]) -> Self {
                    Self::$variant(labels)
                }
            }
        )*
    };
}
from_slices!(
    U8(u8),
    U16(u16),
    U32(u32),
    U64(u64),
    Usize(usize),
    I8(i8),
    I16(i16),
    I32(i32),
    I64(i64)
);

#[allow(
    trivial_numeric_casts,
    clippy::unnecessary_cast,
    clippy::unnecessary_fallible_conversions,
    clippy::useless_conversion,
    reason = "one of the types is what the others are converted to"
)]
impl Labels<'_> {
    /// The number of labels.
    #[must_use]
    pub fn len(&self) -> usize {
        each_type!(self, |labels| labels.len())
    }

    /// The label of a row; `None` past the end, or if it is too large for any class.
    #[must_use]
    pub fn get(&self, row: usize) -> Option<i64> {
        each_type!(self, |labels| labels.get(row).and_then(|&label| i64::try_from(label).ok()))
    }

    /// The number of labels that equal the class at the same index here, except the ignored label.
    #[must_use]
    pub fn count_equal(&self, classes: &[u32], ignore: Option<i64>) -> usize {
        each_type!(self, |labels: I| {
            let ignore = ignore.and_then(|ignore| I::try_from(ignore).ok());
            let pairs = labels.iter().zip(classes);
            pairs
                .filter(|&(&label, &class)| {
                    u32::try_from(label) == Ok(class) && Some(label) != ignore
                })
                .count()
        })
    }

    /// A byte for each of the labels from `first` on, which are 0, 1 or the ignored label: bit 0 is set for 1, bit
    /// 1 for the ignored label.
    #[inline(always)]
    pub(crate) fn bytes(&self, first: usize, ignore: Option<i64>, into: &mut [u8]) {
        each_type!(self, |labels: I| {
            let labels = labels.get(first..).unwrap_or(&[]);
            match ignore.and_then(|ignore| I::try_from(ignore).ok()) {
                None => {
                    for (byte, &label) in into.iter_mut().zip(labels) {
                        *byte = u8::from(label == 1);
                    }
                }
                Some(ignore) => {
                    for (byte, &label) in into.iter_mut().zip(labels) {
                        *byte = u8::from(label == 1) | (u8::from(label == ignore) << 1);
                    }
                }
            }
        });
    }

    /// Sets the bytes for the labels of some lists to one; list `i` is `offsets[i]..offsets[i + 1]`. The byte of
    /// its label `c` is `base + i * stride + c * step` (wrapping), or the last byte if there is no such byte.
    pub(crate) fn mark(
        &self,
        offsets: &[usize],
        mut base: usize,
        [stride, step]: [usize; 2],
        into: &mut [u8],
    ) {
        let Some(last) = into.len().checked_sub(1) else { return };
        each_type!(self, |labels| for list in offsets.windows(2) {
            let (mut at, end) = (list[0], list[1]);
            // Four at a time, without a branch for each: lists differ in length, so a branch would often be
            // mispredicted.
            while {
                let rest = labels.get(at..).unwrap_or(&[]);
                let four = rest.first_chunk::<4>().copied().unwrap_or_else(|| {
                    core::array::from_fn(|k| rest.get(k).copied().unwrap_or_default())
                });
                for (k, label) in four.into_iter().enumerate() {
                    let byte = base.wrapping_add((label as usize).wrapping_mul(step));
                    // All bits set, for a label of the next list.
                    let past = usize::from(at + k >= end).wrapping_neg();
                    into[(byte | past).min(last)] = 1;
                }
                at += 4;
                at < end
            } {}
            base = base.wrapping_add(stride);
        });
    }

    /// Whether some labels ascend.
    pub(crate) fn ascend(&self, range: core::ops::Range<usize>) -> bool {
        each_type!(self, |labels: I| labels.get(range).is_some_and(<[I]>::is_sorted))
    }

    /// The range of ascending labels that belong to a range of classes.
    pub(crate) fn within(
        &self,
        range: core::ops::Range<usize>,
        classes: core::ops::Range<usize>,
    ) -> core::ops::Range<usize> {
        each_type!(self, |labels| {
            let list = labels.get(range.clone()).unwrap_or(&[]);
            let below = |class: usize| {
                range.start + list.partition_point(|&label| (label as usize) < class)
            };
            below(classes.start)..below(classes.end)
        })
    }

    /// The number of labels in a range, except the ignored label.
    pub(crate) fn count_others(&self, range: core::ops::Range<usize>, ignore: i64) -> usize {
        each_type!(self, |labels: I| {
            let labels = labels.get(range).unwrap_or(&[]);
            let Some(ignore) = I::try_from(ignore).ok() else {
                return labels.len();
            };
            // Counted in the type of the labels, as many as fit a register.
            labels
                .chunks(127)
                .map(|labels| {
                    let add = |sum, &label| sum + I::from(label != ignore);
                    labels.iter().fold(0, add) as usize
                })
                .sum()
        })
    }

    pub(crate) fn split_at(self, middle: usize) -> (Self, Self) {
        each_type!(self, |labels| {
            let (first, second) = labels.split_at(middle);
            (first.into(), second.into())
        })
    }

    /// Whether there are no labels.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
