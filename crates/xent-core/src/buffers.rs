//! The slices that a loss works on.

use core::ops::Range;

use crate::batch::{Join, count_in_pieces};
use crate::dispatch::Kernel;
use crate::element::{Element, Float};
use crate::error::Error;
use crate::kernel::block::RowBlock;
use crate::kernel::labels::{CountLabels, NumberLabels};
use crate::kernel::sum::ExactSum;
use crate::level::Level;
use crate::shape::Shape;

/// The logits, row after row, and what is to be done with their gradient.
///
/// The gradient has the format of the logits or, with the variants that say `Wide`, the one that they are
/// computed in: `f32` for logits of sixteen bits.
#[derive(Debug)]
pub enum Buffers<'a, E: Element = f32> {
    /// Only the loss is wanted.
    Loss(&'a [E]),
    /// The gradient is written to a slice as long as the logits.
    Gradient(&'a [E], &'a mut [E]),
    /// The gradient is added to what is in a slice as long as the logits: the sum is rounded once.
    Accumulate(&'a [E], &'a mut [E]),
    /// The gradient takes the place of the logits.
    InPlace(&'a mut [E]),
    /// [`Gradient`](Self::Gradient), not rounded to the format of the logits.
    WideGradient(&'a [E], &'a mut [E::Float]),
    /// [`Accumulate`](Self::Accumulate), not rounded to the format of the logits.
    WideAccumulate(&'a [E], &'a mut [E::Float]),
}

impl<E: Element> Buffers<'_, E> {
    /// How many logits there are.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::InPlace(x) => x.len(),
            others => others.logits().len(),
        }
    }

    /// Whether there are no logits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn logits(&self) -> &[E] {
        match self {
            Self::Loss(x)
            | Self::Gradient(x, _)
            | Self::Accumulate(x, _)
            | Self::WideGradient(x, _)
            | Self::WideAccumulate(x, _) => x,
            Self::InPlace(x) => x,
        }
    }

    /// The shape of the logits and of the gradient: in place, they have the same stride.
    pub(crate) fn strides_of(&self, shape: Shape) -> Shape {
        match self {
            Self::InPlace(_) => Shape { gradient_stride: shape.logits_stride, ..shape },
            _ => shape,
        }
    }

    /// How many gradients there are; none if there is no place for them but that of the logits.
    pub(crate) fn gradients(&self) -> Option<usize> {
        match self {
            Self::Gradient(_, g) | Self::Accumulate(_, g) => Some(g.len()),
            Self::WideGradient(_, g) | Self::WideAccumulate(_, g) => Some(g.len()),
            Self::Loss(_) | Self::InPlace(_) => None,
        }
    }

    /// Checks that they have the number of logits, and of gradients, that a shape needs; without what follows
    /// the last row.
    pub(crate) fn fit(self, shape: &Shape) -> Result<Self, Error> {
        let logits = shape.check(self.len())?;
        let stride = shape.gradient_stride;
        let gradient = match self.gradients() {
            Some(found) => shape.check_span("gradient", stride, found)?,
            None => 0,
        };
        Ok(self.split_at(logits, gradient).0)
    }

    /// Zeroes so many gradients from `at` on, each `step` after the one before, where they are written.
    pub(crate) fn clear(&mut self, at: usize, count: usize, step: usize) {
        match self {
            Self::Gradient(_, g) | Self::InPlace(g) => clear(g, at, count, step),
            Self::WideGradient(_, g) => clear(g, at, count, step),
            Self::Loss(_) | Self::Accumulate(..) | Self::WideAccumulate(..) => {}
        }
    }

    /// Writes the gradient of one logit, or adds it to what is there.
    pub(crate) fn put(&mut self, at: usize, value: E::Float) {
        match self {
            Self::Loss(_) => {}
            Self::Gradient(_, g) | Self::InPlace(g) => {
                if let Some(place) = g.get_mut(at) {
                    *place = E::from_float(value);
                }
            }
            Self::Accumulate(_, g) => {
                if let Some(place) = g.get_mut(at) {
                    *place = E::from_float(place.to_float() + value);
                }
            }
            Self::WideGradient(_, g) => {
                if let Some(place) = g.get_mut(at) {
                    *place = value;
                }
            }
            Self::WideAccumulate(_, g) => {
                if let Some(place) = g.get_mut(at) {
                    *place = *place + value;
                }
            }
        }
    }

    /// The first so many logits and gradients, and the others.
    pub(crate) fn split_at(self, logits: usize, gradient: usize) -> (Self, Self) {
        match self {
            Self::Loss(x) => {
                let (a, b) = x.split_at(logits);
                (Self::Loss(a), Self::Loss(b))
            }
            Self::Gradient(x, g) => {
                let ((a, b), (ga, gb)) = (x.split_at(logits), g.split_at_mut(gradient));
                (Self::Gradient(a, ga), Self::Gradient(b, gb))
            }
            Self::Accumulate(x, g) => {
                let ((a, b), (ga, gb)) = (x.split_at(logits), g.split_at_mut(gradient));
                (Self::Accumulate(a, ga), Self::Accumulate(b, gb))
            }
            Self::InPlace(x) => {
                let (a, b) = x.split_at_mut(logits);
                (Self::InPlace(a), Self::InPlace(b))
            }
            Self::WideGradient(x, g) => {
                let ((a, b), (ga, gb)) = (x.split_at(logits), g.split_at_mut(gradient));
                (Self::WideGradient(a, ga), Self::WideGradient(b, gb))
            }
            Self::WideAccumulate(x, g) => {
                let ((a, b), (ga, gb)) = (x.split_at(logits), g.split_at_mut(gradient));
                (Self::WideAccumulate(a, ga), Self::WideAccumulate(b, gb))
            }
        }
    }
}

fn clear<T: Copy + Default>(slice: &mut [T], at: usize, count: usize, step: usize) {
    let places = slice.get_mut(at..).unwrap_or(&mut []);
    if step == 1 {
        places.iter_mut().take(count).for_each(|place| *place = T::default());
    } else {
        places.iter_mut().step_by(step).take(count).for_each(|place| *place = T::default());
    }
}

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

macro_rules! labels {
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

        #[allow(trivial_numeric_casts, reason = "one of the types is what the others are cast to")]
        impl Labels<'_> {
            /// How many labels there are.
            #[must_use]
            pub fn len(&self) -> usize {
                match self {
                    $(Self::$variant(labels) => labels.len(),)*
                }
            }

            /// The label of a row; `None` past the end, or if it is too large for any class.
            #[must_use]
            pub fn get(&self, row: usize) -> Option<i64> {
                match self {
                    $(Self::$variant(labels) => {
                        labels.get(row).and_then(|&label| i64::try_from(label).ok())
                    })*
                }
            }

            /// [`check`](Self::check) of some of them, on one thread.
            fn check_piece(
                &self,
                piece: Range<usize>,
                classes: usize,
                ignore: Option<i64>,
            ) -> Result<usize, Error> {
                let before = piece.start;
                match self {
                    $(Self::$variant(labels) => {
                        let labels = labels.get(piece).unwrap_or(&[]);
                        let ignore = ignore.and_then(|ignore| <$integer>::try_from(ignore).ok());
                        // Compared in their own type, as many as fit a register.
                        let last = <$integer>::try_from(classes.saturating_sub(1));
                        let classes_of_type = [0, last.unwrap_or(<$integer>::MAX)];
                        let count = CountLabels { labels, classes: classes_of_type, ignore };
                        if let Some(count) = count.at(Level::detect()) {
                            return Ok(count);
                        }
                        let [first, last] = classes_of_type;
                        let bad = |label: $integer| {
                            !(first..=last).contains(&label) && Some(label) != ignore
                        };
                        let at = labels.iter().position(|&label| bad(label)).unwrap_or_default();
                        Err(Error::Label { row: before + at, label: labels[at] as i128, classes })
                    })*
                }
            }

            /// Fills in the numbers of the classes of as many rows from `first` on, exact up to 2^24; -1 for
            /// the label to ignore.
            pub(crate) fn numbers<F: Float>(
                &self,
                level: Level,
                (first, rows): (usize, usize),
                ignore: Option<i64>,
                blocks: &mut [RowBlock<F>],
            ) {
                match self {
                    $(Self::$variant(labels) => {
                        let labels = labels.get(first..first + rows).unwrap_or(&[]);
                        let ignore = ignore.and_then(|ignore| <$integer>::try_from(ignore).ok());
                        NumberLabels { labels, ignore, blocks }.at(level);
                    })*
                }
            }

            /// The sum of the weights of the classes of the labels, but for the label to ignore; each times
            /// a factor of its row. Ones if empty.
            pub(crate) fn weights<F: Float>(
                &self,
                ignore: Option<i64>,
                class_weights: &[F],
                row_weights: &[F],
            ) -> LabelWeights {
                match self {
                    $(Self::$variant(labels) => {
                        let ignore = ignore.and_then(|ignore| <$integer>::try_from(ignore).ok());
                        let mut all = LabelSums::default();
                        for (run, labels) in labels.chunks(RUN).enumerate() {
                            let row_weights = row_weights.get(run * RUN..).unwrap_or(&[]);
                            let mut sums = [LabelWeights::default(); 4];
                            // Four sums side by side: an addition waits for the one before.
                            for (group, labels) in labels.chunks(4).enumerate() {
                                for (at, (sum, &label)) in sums.iter_mut().zip(labels).enumerate() {
                                    let of_row = row_weights.get(4 * group + at);
                                    let of_row = of_row.map_or(1.0, |weight| weight.to_f64());
                                    if Some(label) == ignore {
                                        continue;
                                    }
                                    let class = usize::try_from(label).ok();
                                    let of_class = class.and_then(|at| class_weights.get(at));
                                    let of_class = of_class.map_or(1.0, |weight| weight.to_f64());
                                    sum.count += 1;
                                    sum.of_classes += of_class;
                                    sum.of_both += of_class * of_row;
                                }
                            }
                            sums.into_iter().for_each(|sum| all.add(sum));
                        }
                        all.total()
                    })*
                }
            }

            /// How many labels are the class that stands at their place among these, but for the label to
            /// ignore.
            #[must_use]
            pub fn count_equal(&self, classes: &[u32], ignore: Option<i64>) -> usize {
                match self {
                    $(Self::$variant(labels) => {
                        let ignore = ignore.and_then(|ignore| <$integer>::try_from(ignore).ok());
                        let pairs = labels.iter().zip(classes);
                        pairs
                            .filter(|&(&label, &class)| {
                                u32::try_from(label) == Ok(class) && Some(label) != ignore
                            })
                            .count()
                    })*
                }
            }

            /// The weights of the rows whose label is the class that stands at their place among these, and of
            /// all rows, but for the label to ignore.
            #[must_use]
            pub fn weigh_equal<F: Float>(
                &self,
                classes: &[u32],
                ignore: Option<i64>,
                weights: &[F],
            ) -> [f64; 2] {
                let mut sums = [ExactSum::default(); 2];
                match self {
                    $(Self::$variant(labels) => {
                        let ignore = ignore.and_then(|ignore| <$integer>::try_from(ignore).ok());
                        for ((&label, &class), weight) in labels.iter().zip(classes).zip(weights) {
                            if Some(label) != ignore {
                                let right = u32::try_from(label) == Ok(class);
                                sums[0].add(if right { weight.to_f64() } else { 0.0 });
                                sums[1].add(weight.to_f64());
                            }
                        }
                    })*
                }
                sums.map(ExactSum::total)
            }

            /// [`check_hot`](Self::check_hot) of some of them, on one thread.
            fn check_hot_piece(
                &self,
                piece: Range<usize>,
                ignore: Option<i64>,
            ) -> Result<usize, Error> {
                let are_good = match self {
                    $(Self::$variant(labels) => {
                        let labels = labels.get(piece.clone()).unwrap_or(&[]);
                        // Bits of labels that are neither: no comparison, which a register may lack.
                        match ignore.and_then(|ignore| <$integer>::try_from(ignore).ok()) {
                            None => labels.iter().fold(0, |all, &label| all | label) & !1 == 0,
                            Some(ignore) => {
                                let other = |label| if label == ignore { 0 } else { label };
                                labels.iter().fold(0, |all, &label| all | other(label)) & !1 == 0
                            }
                        }
                    })*
                };
                if are_good { Ok(0) } else { self.check_piece(piece, 2, ignore) }
            }

            /// A byte for each of the labels from `first` on, which are 0, 1 or the label to ignore:
            /// bit 0 is set for 1, bit 1 for the label to ignore.
            #[inline(always)]
            pub(crate) fn bytes(&self, first: usize, ignore: Option<i64>, into: &mut [u8]) {
                match self {
                    $(Self::$variant(labels) => {
                        let labels = labels.get(first..).unwrap_or(&[]);
                        match ignore.and_then(|ignore| <$integer>::try_from(ignore).ok()) {
                            None => for (byte, &label) in into.iter_mut().zip(labels) {
                                *byte = u8::from(label == 1);
                            },
                            Some(ignore) => for (byte, &label) in into.iter_mut().zip(labels) {
                                *byte = u8::from(label == 1) | (u8::from(label == ignore) << 1);
                            },
                        }
                    })*
                }
            }

            /// Sets the bytes of the labels of some lists to one; list `i` is `offsets[i]..offsets[i + 1]`.
            /// The byte of its label `c` is `base + i * stride + c * step` (wrapped around), or the last if
            /// there is no such byte.
            pub(crate) fn mark(
                &self,
                offsets: &[usize],
                mut base: usize,
                [stride, step]: [usize; 2],
                into: &mut [u8],
            ) {
                let Some(last) = into.len().checked_sub(1) else { return };
                match self {
                    $(Self::$variant(labels) => for list in offsets.windows(2) {
                        let (mut at, end) = (list[0], list[1]);
                        // Four at a time, and without a branch for each: lists differ in length, so that it
                        // would often be predicted wrong.
                        while {
                            let rest = labels.get(at..).unwrap_or(&[]);
                            let four = rest.first_chunk::<4>().copied().unwrap_or_else(|| {
                                core::array::from_fn(|k| rest.get(k).copied().unwrap_or_default())
                            });
                            for (k, label) in four.into_iter().enumerate() {
                                let byte = base.wrapping_add((label as usize).wrapping_mul(step));
                                // All bits, for a label of the next list.
                                let past = usize::from(at + k >= end).wrapping_neg();
                                into[(byte | past).min(last)] = 1;
                            }
                            at += 4;
                            at < end
                        } {}
                        base = base.wrapping_add(stride);
                    },)*
                }
            }

            /// Whether some labels ascend.
            pub(crate) fn ascend(&self, range: core::ops::Range<usize>) -> bool {
                match self {
                    $(Self::$variant(labels) => {
                        labels.get(range).is_some_and(<[$integer]>::is_sorted)
                    })*
                }
            }

            /// Of labels that ascend those in a range of classes: where they are.
            pub(crate) fn within(
                &self,
                range: core::ops::Range<usize>,
                classes: core::ops::Range<usize>,
            ) -> core::ops::Range<usize> {
                match self {
                    $(Self::$variant(labels) => {
                        let list = labels.get(range.clone()).unwrap_or(&[]);
                        let below = |class: usize| {
                            range.start + list.partition_point(|&label| (label as usize) < class)
                        };
                        below(classes.start)..below(classes.end)
                    })*
                }
            }

            /// How many of the labels in a range are not the one to ignore.
            pub(crate) fn count_others(&self, range: core::ops::Range<usize>, ignore: i64) -> usize {
                match self {
                    $(Self::$variant(labels) => {
                        let labels = labels.get(range).unwrap_or(&[]);
                        let Some(ignore) = <$integer>::try_from(ignore).ok() else {
                            return labels.len();
                        };
                        // Counted in the labels' own type, as many as fit a register.
                        labels.chunks(127).map(|labels| {
                            let add = |sum, &label| sum + <$integer>::from(label != ignore);
                            labels.iter().fold(0, add) as usize
                        }).sum()
                    })*
                }
            }

            pub(crate) fn split_at(self, middle: usize) -> (Self, Self) {
                match self {
                    $(Self::$variant(labels) => {
                        let (a, b) = labels.split_at(middle);
                        (Self::$variant(a), Self::$variant(b))
                    })*
                }
            }
        }
    };
}
labels!(U8(u8), U16(u16), U32(u32), U64(u64), Usize(usize), I8(i8), I16(i16), I32(i32), I64(i64));

impl Labels<'_> {
    /// Whether there are no labels.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Checks that every label is a class, or is the one to ignore, on threads that join; how many are not to
    /// be ignored.
    pub(crate) fn check(
        &self,
        join: &dyn Join,
        classes: usize,
        ignore: Option<i64>,
    ) -> Result<usize, Error> {
        let check = |piece| self.check_piece(piece, classes, ignore);
        count_in_pieces(join, 0..self.len(), PIECE, &check)
    }

    /// The same for two classes: all labels are 0, 1 or the one to ignore.
    pub(crate) fn check_hot(&self, join: &dyn Join, ignore: Option<i64>) -> Result<(), Error> {
        let check = |piece| self.check_hot_piece(piece, ignore);
        count_in_pieces(join, 0..self.len(), PIECE, &check).map(|_| ())
    }
}

/// Labels that a thread checks at a time.
const PIECE: usize = 1 << 15;

/// What the rows of labels weigh.
#[derive(Clone, Copy, Default)]
pub(crate) struct LabelWeights {
    /// Rows whose label is not ignored.
    pub(crate) count: usize,
    /// The sum of the weights of their classes.
    pub(crate) of_classes: f64,
    /// The same, each times the weight of the row.
    pub(crate) of_both: f64,
}

/// Rows whose weights are added up as they are; the sums of runs are added without a loss.
const RUN: usize = 256;

/// What runs of labels add up to.
#[derive(Default)]
struct LabelSums {
    count: usize,
    of_classes: ExactSum,
    of_both: ExactSum,
}

impl LabelSums {
    fn add(&mut self, run: LabelWeights) {
        self.count += run.count;
        self.of_classes.add(run.of_classes);
        self.of_both.add(run.of_both);
    }

    fn total(self) -> LabelWeights {
        let Self { count, of_classes, of_both } = self;
        LabelWeights { count, of_classes: of_classes.total(), of_both: of_both.total() }
    }
}
