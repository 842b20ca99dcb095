//! A part of a row that is stored in several places.

use core::ops::Range;

use super::buffers::Buffers;
use super::format::Element;
use super::part_sums::{PartSums, is_cut};
use super::quantisation::Quantisation;
use super::scratch_tiles::{Classes, Converted, put_classes};
use crate::error::{Error, check_length};
use crate::hessian::Hessian;
use crate::kernel::coefficients::{Factors, Terms};
use crate::kernel::long_row::{FinishedRow, TileState};
use crate::kernel::row_sums::RowSums;
use crate::kernel::row_targets::RowTargets;
use crate::kernel::sum::TILE;
use crate::level::Level;
use crate::simd::Compute;

/// The sums over neighbouring classes of one row: the part of it that is in one place, while others
/// are on other threads or machines.
///
/// It holds the largest logit `m` and the sum of `e^(x - m)` for runs of tiles of
/// [`TILE`](Self::TILE) classes, and does not merge runs that need classes of other parts (M.
/// Milakov and N. Gimelshein, "Online normalizer calculation for softmax", 2018, section 3.1). So
/// merging is exactly associative: however the row is divided, the loss, the log-sum-exp and the
/// gradient have the same bits, and those of [`SoftmaxBatch`](crate::SoftmaxBatch) if the row is
/// longer than a tile. They have the same bound, too: 4 ULP, plus one for each unit of distance
/// from the largest logit.
///
/// A row in two parts:
///
/// ```
/// use xent_core::{Batch, Buffers, Level, PartialRow, SoftmaxBatch, SoftmaxTargets};
///
/// let level = Level::detect();
/// let x: Vec<f32> = (0..10_000_u32).map(|i| (i * i % 1013) as f32 / 100.0).collect();
/// let (label, middle) = (7000, 2 * PartialRow::TILE);
///
/// let first = PartialRow::new(level, &x[..middle], 0, Some(label))?;
/// let second = PartialRow::new(level, &x[middle..], middle, Some(label))?;
/// let whole = first.merge(&second)?;
/// let mut gradient = vec![0.0; x.len()];
/// let (a, b) = gradient.split_at_mut(middle);
/// whole.gradient(level, Buffers::gradient(&x[..middle], a), 0, 1.0)?;
/// whole.gradient(level, Buffers::gradient(&x[middle..], b), middle, 1.0)?;
///
/// let mut at_once = vec![0.0; x.len()];
/// let labels = [label as u32];
/// let targets = SoftmaxTargets::Index((&labels).into());
/// let batch = SoftmaxBatch::new(Buffers::gradient(&x, &mut at_once), x.len(), targets)?;
/// assert_eq!(whole.loss(), Some(batch.run(level)));
/// assert_eq!(gradient, at_once);
/// # Ok::<(), xent_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct PartialRow {
    first: usize,
    end: usize,
    label: Option<usize>,
    /// If the label is one of the classes.
    label_logit: Option<f64>,
    sums: PartSums,
}

impl PartialRow {
    /// Classes of a tile: a part starts at a multiple of it.
    pub const TILE: usize = TILE;

    /// The part of a row that starts with class `first`. `label` is the row's label, in this part
    /// or in another, or `None` if only the log-sum-exp is wanted.
    ///
    /// # Errors
    /// [`Error::Option`] if `first` is not a multiple of [`TILE`](Self::TILE); [`Error::ZeroClasses`]
    /// without logits; [`Error::TooLarge`] past class 2^44, or past what `usize` can count.
    pub fn new<E: Element>(
        level: Level,
        logits: &[E],
        first: usize,
        label: Option<usize>,
    ) -> Result<Self, Error> {
        if !is_cut(first) {
            let reason = "expected a multiple of the tile, 4096";
            return Err(Error::Option { option: "first class of a part", reason });
        }
        Quantisation::check(E::INTEGERS, None)?;
        if logits.is_empty() {
            return Err(Error::ZeroClasses);
        }
        let too_large = Error::TooLarge { rows: 1, classes: usize::MAX };
        let end = first.checked_add(logits.len()).ok_or(too_large)?;
        if end as u64 > 1 << 44 {
            return Err(Error::TooLarge { rows: 1, classes: end });
        }
        let label_logit =
            label.and_then(|class| class.checked_sub(first)).and_then(|at| logits.get(at));
        let mut sums = PartSums::new(first / TILE);
        let state = &mut TileState::new(&mut []);
        sums.add(level, Converted::row(logits), first, &targets_of(label), false, state);
        let label_logit = label_logit.map(|x| x.to_float().to_f64());
        Ok(Self { first, end, label, label_logit, sums })
    }

    /// The range of its classes.
    #[must_use]
    pub fn classes(&self) -> Range<usize> {
        self.first..self.end
    }

    /// Merges this part with the one that follows it.
    ///
    /// # Errors
    /// [`Error::Option`] if `later` does not start where this part ends, or has another label.
    pub fn merge(&self, later: &Self) -> Result<Self, Error> {
        let refused = |reason| Err(Error::Option { option: "parts of a row", reason });
        if later.first != self.end {
            return refused("expected the second to begin where the first ends");
        }
        if later.label != self.label {
            return refused("expected the same label in both");
        }
        let mut merged = *self;
        merged.end = later.end;
        merged.label_logit = self.label_logit.or(later.label_logit);
        merged.sums.append(&later.sums);
        Ok(merged)
    }

    /// `ln Σ e^x` of its classes; NaN if there is a NaN.
    #[must_use]
    pub fn log_sum_exp(&self) -> f64 {
        match self.sums.finite() {
            Some(sums) => sums.log_sum_exp(),
            None => self.sums.extremes().log_sum_exp(),
        }
    }

    /// The loss of the row, if this is the whole row: `ln Σ e^x` minus the label's logit, without
    /// cancellation. `None` if the label is not among its classes.
    #[must_use]
    pub fn loss(&self) -> Option<f64> {
        let (label, logit) = self.label.zip(self.label_logit)?;
        Some(match self.sums.finite() {
            Some(sums) => finish::<f64>(sums, label, 1.0).result().loss,
            None if self.sums.extremes().undefined() => f64::NAN,
            None if logit == f64::INFINITY => 0.0,
            None => f64::INFINITY,
        })
    }

    /// The gradient of the loss by the logits of the classes from `first` on, times `scale`, if
    /// this is the whole row: `softmax(x)`, minus one at the label.
    ///
    /// # Errors
    /// [`Error::Length`] if the numbers of logits and gradients differ, or classes are past the end
    /// of the row; [`Error::Option`] without a label among the row's classes.
    pub fn gradient<E: Element>(
        &self,
        level: Level,
        mut buffers: Buffers<'_, E>,
        first: usize,
        scale: f64,
    ) -> Result<(), Error> {
        let length = buffers.len();
        if let Some(found) = buffers.gradients() {
            check_length("gradient", length, found)?;
        }
        let available = self.end.checked_sub(first).filter(|_| first >= self.first).unwrap_or(0);
        if length > available {
            check_length("part of the row", available, length)?;
        }
        let Some((label, logit)) = self.label.zip(self.label_logit) else {
            let reason = "a gradient needs a label among the classes of the row";
            return Err(Error::Option { option: "parts of a row", reason });
        };
        if let Some(sums) = self.sums.finite() {
            let finished = finish(sums, label, scale);
            let of = Classes { first, count: length, at: [0, 0], step: 1, stream: false };
            let mut state = TileState::new(&mut []);
            put_classes(level, &finished, &mut buffers, of, (&mut [], 0.0, 0.0), &mut state);
            return Ok(());
        }
        // The limits: with a single `+inf`, it has all of the probability.
        let undefined = self.sums.extremes().undefined();
        for at in 0..length {
            let x = buffers.logit(at).map_or(f64::NAN, |x| x.to_f64());
            let g = if undefined {
                f64::NAN
            } else if logit == f64::INFINITY {
                0.0
            } else if x == f64::INFINITY {
                1.0
            } else if first + at == label {
                -1.0
            } else {
                0.0
            };
            buffers.put(at, E::Float::from_f64(scale * g));
        }
        Ok(())
    }
}

fn targets_of<F>(label: Option<usize>) -> RowTargets<'static, F> {
    label.map_or(RowTargets::Nothing, |class| RowTargets::Label { class, weight: 1.0 })
}

fn finish<F: Compute>(sums: RowSums, label: usize, scale: f64) -> FinishedRow<'static, F> {
    let terms = Terms { gamma: 0.0, z_loss: 0.0 };
    let factors = Factors { loss: 1.0, gradient: scale };
    let curvature = Hessian::default().softmax(0.0, 2);
    FinishedRow::new(targets_of(Some(label)), sums, terms, factors, curvature)
}
