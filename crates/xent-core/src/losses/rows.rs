//! Inputs and outputs for each row that all losses share.

use super::format::Float;
use super::labels::LabelWeights;
use super::not_finite::NotFiniteRows;
use crate::error::{Error, Values, check_length};
use crate::hessian::Hessian;
use crate::kernel::block::RowBlock;
use crate::shape::Shape;

/// The factors of a batch and of its rows.
#[derive(Clone, Copy, Debug)]
pub struct RowWeights<'a, F = f32> {
    /// A factor of the gradient and the Hessian (not of the loss): for a mean, one over the number of rows, times
    /// the upstream gradient of the mean.
    pub scale: f64,
    /// A factor of each row's loss and gradient, any finite number; empty for ones. For a row of weight zero, loss
    /// and gradient are exactly zero, whatever its logits.
    pub sample_weights: &'a [F],
    /// The upstream gradient ∂L/∂loss of each row: a factor of the row's gradient and Hessian but not of its loss;
    /// empty for ones.
    pub upstream: &'a [F],
}

impl<F> Default for RowWeights<'_, F> {
    fn default() -> Self {
        Self { scale: 1.0, sample_weights: &[], upstream: &[] }
    }
}

impl<F: Float> RowWeights<'_, F> {
    pub(crate) fn check(&self, rows: usize, losses: usize) -> Result<(), Error> {
        check_optional("sample weights", rows, self.sample_weights.len())?;
        Values::SampleWeights.check_rows(self.sample_weights)?;
        check_optional("upstream gradient", losses, self.upstream.len())
    }

    pub(crate) fn split_at(self, rows: usize, losses: usize) -> (Self, Self) {
        let (w, u) = (split(self.sample_weights, rows), split(self.upstream, losses));
        (
            Self { sample_weights: w.0, upstream: u.0, ..self },
            Self { sample_weights: w.1, upstream: u.1, ..self },
        )
    }

    pub(crate) fn sample_weight(&self, row: usize) -> f64 {
        self.sample_weights.get(row).map_or(1.0, |weight| weight.to_f64())
    }

    pub(crate) fn upstream_of(&self, loss: usize) -> f64 {
        self.upstream.get(loss).map_or(1.0, |upstream| upstream.to_f64())
    }
}

/// Slices for further results of each row; empty slices are not wanted.
#[derive(Debug, Default)]
pub struct Outputs<'a, F = f32> {
    /// The loss of each row; for sigmoid losses, of each element (unless the loss is a mean over the classes).
    pub losses: &'a mut [F],
    /// The log-sum-exp of each row. Softmax only.
    pub log_sum_exp: &'a mut [F],
    /// The class of the largest logit of each row, the first of equals; the first NaN, if there is one (as in
    /// `numpy.argmax` and PyTorch). Softmax only. Zero if all are `-inf`.
    pub predicted: &'a mut [u32],
    /// The diagonal of the Hessian, in the order of the logits (without a stride).
    pub hessian: &'a mut [F],
    /// Its convention.
    pub convention: Hessian,
    /// The smallest second derivative; `None` for the convention's own floor only.
    pub hessian_floor: Option<f64>,
    /// Counts rows that are not finite.
    pub not_finite: Option<&'a NotFiniteRows>,
}

impl<F: Float> Outputs<'_, F> {
    /// Checks the lengths of the slices that are wanted.
    pub(crate) fn check(&self, losses: usize, rows: usize, elements: usize) -> Result<(), Error> {
        check_optional("losses", losses, self.losses.len())?;
        check_optional("log-sum-exp", rows, self.log_sum_exp.len())?;
        check_optional("predicted classes", rows, self.predicted.len())?;
        check_optional("Hessian", elements, self.hessian.len())?;
        if self.hessian_floor.is_some_and(|floor| !floor.is_finite()) {
            let reason = "expected a finite number";
            return Err(Error::Option { option: "floor of the Hessian", reason });
        }
        Ok(())
    }

    pub(crate) fn split_at(self, losses: usize, rows: usize, elements: usize) -> (Self, Self) {
        let Self { convention, hessian_floor, not_finite, .. } = self;
        let a = split_mut(self.losses, losses);
        let b = split_mut(self.log_sum_exp, rows);
        let c = split_mut(self.predicted, rows);
        let d = split_mut(self.hessian, elements);
        (
            Self {
                losses: a.0,
                log_sum_exp: b.0,
                predicted: c.0,
                hessian: d.0,
                convention,
                hessian_floor,
                not_finite,
            },
            Self {
                losses: a.1,
                log_sum_exp: b.1,
                predicted: c.1,
                hessian: d.1,
                convention,
                hessian_floor,
                not_finite,
            },
        )
    }

    /// The smallest second derivative.
    pub(crate) fn floor(&self) -> f64 {
        self.hessian_floor.unwrap_or(f64::NEG_INFINITY)
    }

    /// The second derivatives of a row of logits without a stride; empty if not wanted.
    pub(crate) fn hessian_of(&mut self, row: usize, classes: usize) -> &mut [F] {
        self.hessian.get_mut(row * classes..(row + 1) * classes).unwrap_or(&mut [])
    }

    /// Whether any result of a row besides the gradient is wanted.
    pub(crate) fn take_rows(&self) -> bool {
        !(self.losses.is_empty() && self.log_sum_exp.is_empty() && self.predicted.is_empty())
    }

    /// Writes the results of the rows of a block.
    ///
    /// Predicted classes that are marked stay unchanged.
    pub(crate) fn put_block(
        &mut self,
        block: &RowBlock<F>,
        first: usize,
        rows: usize,
        some_marked: bool,
    ) {
        let rows_of = first..first + rows;
        if let Some(losses) = self.losses.get_mut(rows_of.clone()) {
            losses.copy_from_slice(&block.loss[..rows]);
        }
        if let Some(log_sum_exp) = self.log_sum_exp.get_mut(rows_of.clone()) {
            log_sum_exp.copy_from_slice(&block.log_sum_exp[..rows]);
        }
        let predicted = self.predicted.get_mut(rows_of).unwrap_or(&mut []);
        for (place, class) in predicted.iter_mut().zip(&block.largest_class) {
            *place =
                if some_marked && *place & MARK != 0 { !*place } else { class.to_count() as u32 };
        }
    }

    pub(crate) fn put_hessian(&mut self, shape: &Shape, row: usize, class: usize, value: f64) {
        put(self.hessian, shape.place(row, class), F::from_f64(value));
    }

    pub(crate) fn put_predicted(&mut self, row: usize, class: Option<usize>) {
        if let Some(class) = class.and_then(|class| u32::try_from(class).ok()) {
            put(self.predicted, row, class);
        }
    }

    pub(crate) fn put_row(&mut self, row: usize, loss: f64, log_sum_exp: f64, predicted: usize) {
        put(self.losses, row, F::from_f64(loss));
        put(self.log_sum_exp, row, F::from_f64(log_sum_exp));
        put(self.predicted, row, u32::try_from(predicted).unwrap_or_default());
    }
}

/// Marks a predicted class that is known beforehand, by inverting its bits.
pub(super) const MARK: u32 = 1 << 31;

fn put<T>(slice: &mut [T], at: usize, value: T) {
    if let Some(place) = slice.get_mut(at) {
        *place = value;
    }
}

pub(super) fn check_optional(of: &'static str, expected: usize, found: usize) -> Result<(), Error> {
    if found == 0 { Ok(()) } else { check_length(of, expected, found) }
}

/// Both parts are empty if the slice is.
fn split<T>(slice: &[T], at: usize) -> (&[T], &[T]) {
    slice.split_at(at.min(slice.len()))
}

fn split_mut<T>(slice: &mut [T], at: usize) -> (&mut [T], &mut [T]) {
    slice.split_at_mut(at.min(slice.len()))
}

/// The possible divisors of a mean.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct BatchCounts {
    /// The number of rows.
    pub rows: usize,
    /// Rows that are not ignored and have a target, whatever their weight.
    pub valid_rows: usize,
    /// Losses that are not ignored: the number of valid rows, or of elements.
    pub valid_losses: usize,
    /// The sum of the class weights of the labels of the valid rows; their number without class weights, or if rows
    /// may have more than one label.
    pub class_weight: f64,
    /// The same, each times the weight of its row.
    pub weight: f64,
    /// PyTorch's divisor of the mean of this loss ([`MeanOver::PyTorch`](crate::reduction::MeanOver::PyTorch)).
    pub pytorch: f64,
}

impl BatchCounts {
    /// For rows with one label each.
    pub(crate) fn of_labels(rows: usize, weights: LabelWeights) -> Self {
        Self { pytorch: weights.of_classes, ..Self::of_rows(rows, weights) }
    }

    /// For rows with one loss each, but not one label.
    pub(crate) fn of_rows(rows: usize, weights: LabelWeights) -> Self {
        Self {
            rows,
            valid_rows: weights.count,
            valid_losses: weights.count,
            class_weight: weights.of_classes,
            weight: weights.of_both,
            pytorch: rows as f64,
        }
    }
}
