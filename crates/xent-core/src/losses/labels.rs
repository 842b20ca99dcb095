//! Checks and counts labels against the classes of a batch, and sums their weights.

use core::ops::Range;

use super::format::Float;
use crate::batch::{ForkJoin, count_in_pieces};
use crate::dispatch::Kernel;
use crate::error::Error;
use crate::kernel::block::RowBlock;
use crate::kernel::labels::{CountLabels, NumberLabels};
use crate::kernel::sum::ExactSum;
use crate::labels::{Labels, each_type};
use crate::level::Level;

#[allow(
    trivial_numeric_casts,
    clippy::unnecessary_cast,
    clippy::unnecessary_fallible_conversions,
    clippy::useless_conversion,
    reason = "one of the types is what the others are converted to"
)]
impl Labels<'_> {
    /// Checks on several threads that every label is a class or the ignored label; returns how many are not
    /// ignored.
    pub(crate) fn check(
        &self,
        join: &dyn ForkJoin,
        classes: usize,
        ignore: Option<i64>,
    ) -> Result<usize, Error> {
        let check = |piece| self.check_piece(piece, classes, ignore);
        count_in_pieces(join, 0..self.len(), PIECE, &check)
    }

    /// The same for some of the labels, on one thread.
    fn check_piece(
        &self,
        piece: Range<usize>,
        classes: usize,
        ignore: Option<i64>,
    ) -> Result<usize, Error> {
        let before = piece.start;
        each_type!(self, |labels: I| {
            let labels = labels.get(piece).unwrap_or(&[]);
            let ignore = ignore.and_then(|ignore| I::try_from(ignore).ok());
            // Compared in their own type, as many as fit a register.
            let last = I::try_from(classes.saturating_sub(1));
            let classes_of_type = [0, last.unwrap_or(I::MAX)];
            let count = CountLabels { labels, classes: classes_of_type, ignore };
            if let Some(count) = count.at(Level::detect()) {
                return Ok(count);
            }
            let [first, last] = classes_of_type;
            let bad = |label: I| !(first..=last).contains(&label) && Some(label) != ignore;
            let at = labels.iter().position(|&label| bad(label)).unwrap_or_default();
            Err(Error::Label { row: before + at, label: labels[at] as i128, classes })
        })
    }

    /// Writes the class numbers of rows from `first` on, exact up to 2^24; -1 for the ignored
    /// label.
    pub(crate) fn numbers<F: Float>(
        &self,
        level: Level,
        (first, rows): (usize, usize),
        ignore: Option<i64>,
        blocks: &mut [RowBlock<F>],
    ) {
        each_type!(self, |labels: I| {
            let labels = labels.get(first..first + rows).unwrap_or(&[]);
            let ignore = ignore.and_then(|ignore| I::try_from(ignore).ok());
            NumberLabels { labels, ignore, blocks }.at(level);
        });
    }

    /// The sum of the class weights of the labels, without the ignored label, each times a factor
    /// of its row; empty slices stand for ones.
    pub(crate) fn weights<F: Float>(
        &self,
        ignore: Option<i64>,
        class_weights: &[F],
        row_weights: &[F],
    ) -> LabelWeights {
        each_type!(self, |labels: I| {
            let ignore = ignore.and_then(|ignore| I::try_from(ignore).ok());
            let mut all = LabelSums::default();
            for (run, labels) in labels.chunks(RUN).enumerate() {
                let row_weights = row_weights.get(run * RUN..).unwrap_or(&[]);
                let mut sums = [LabelWeights::default(); 4];
                // Four sums in parallel, because an addition has to wait for the one before.
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
        })
    }

    /// The sum of the weights of the rows whose label equals the class at the same index here, and
    /// of all rows, without the ignored label.
    #[must_use]
    pub fn weigh_equal<F: Float>(
        &self,
        classes: &[u32],
        ignore: Option<i64>,
        weights: &[F],
    ) -> [f64; 2] {
        let mut sums = [ExactSum::default(); 2];
        each_type!(self, |labels: I| {
            let ignore = ignore.and_then(|ignore| I::try_from(ignore).ok());
            for ((&label, &class), weight) in labels.iter().zip(classes).zip(weights) {
                if Some(label) != ignore {
                    let right = u32::try_from(label) == Ok(class);
                    sums[0].add(if right { weight.to_f64() } else { 0.0 });
                    sums[1].add(weight.to_f64());
                }
            }
        });
        sums.map(ExactSum::total)
    }

    /// [`check`](Self::check) for two classes: all labels are 0, 1 or the ignored label.
    pub(crate) fn check_hot(&self, join: &dyn ForkJoin, ignore: Option<i64>) -> Result<(), Error> {
        let check = |piece| self.check_hot_piece(piece, ignore);
        count_in_pieces(join, 0..self.len(), PIECE, &check).map(|_| ())
    }

    /// The same for some of the labels, on one thread.
    fn check_hot_piece(&self, piece: Range<usize>, ignore: Option<i64>) -> Result<usize, Error> {
        let are_good = each_type!(self, |labels: I| {
            let labels = labels.get(piece.clone()).unwrap_or(&[]);
            // Bits of labels that are neither: no comparison, which some instruction sets lack.
            match ignore.and_then(|ignore| I::try_from(ignore).ok()) {
                None => labels.iter().fold(0, |all, &label| all | label) & !1 == 0,
                Some(ignore) => {
                    let other = |label| if label == ignore { 0 } else { label };
                    labels.iter().fold(0, |all, &label| all | other(label)) & !1 == 0
                }
            }
        });
        if are_good { Ok(0) } else { self.check_piece(piece, 2, ignore) }
    }
}

/// The number of labels that a thread checks at a time.
const PIECE: usize = 1 << 15;

/// The counts and weights of the rows of labels.
#[derive(Clone, Copy, Default)]
pub(crate) struct LabelWeights {
    /// Rows whose label is not ignored.
    pub(crate) count: usize,
    /// The sum of the weights of their classes.
    pub(crate) of_classes: f64,
    /// The same, each times the weight of the row.
    pub(crate) of_both: f64,
}

/// Rows whose weights are added plainly; the sums of such runs are added with compensation.
const RUN: usize = 256;

/// The sums over runs of labels.
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
