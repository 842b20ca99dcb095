//! Losses of given probabilities: they only pick the value of the label.

use core::ops::Range;

use super::buffers::Buffers;
use super::format::{Element, Float};
use super::rows::{BatchCounts, Outputs, RowWeights};
use crate::batch::{Batch, CHUNK, ForkJoin, InTurn, count_in_pieces};
use crate::error::{Error, Values, check_length};
use crate::labels::Labels;
use crate::level::Level;
use crate::math::scalar;
use crate::shape::Shape;

/// The kind of a [`LikelihoodBatch`]'s inputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LikelihoodInput {
    /// Log-probabilities: the loss of a row is `-lp_y` (PyTorch's `NLLLoss`).
    LogProbabilities,
    /// Probabilities: the loss of a row is `-ln max(p_y, 1e-20)` (Caffe's
    /// `MultinomialLogisticLoss`).
    Probabilities,
}

/// The smallest probability that is not clamped: Caffe's `kLOG_THRESHOLD`.
const LEAST: f64 = 1e-20;

/// The number of rows whose probabilities a thread checks at a time; each is elsewhere in memory.
const PIECE: usize = 1 << 12;

/// The options of a [`LikelihoodBatch`]. The default is none.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LikelihoodOptions<'a, F = f32> {
    /// A non-negative weight for each class; empty for ones. A row whose label has weight zero has a loss and gradient
    /// of exactly zero, whatever its input, which is not checked.
    pub class_weights: &'a [F],
    /// Rows with this label have a loss and gradient of zero.
    pub ignore_index: Option<i64>,
}

/// Negative log-likelihood of the right class, with its gradient, for inputs that are already a softmax or
/// log-softmax.
///
/// The loss and gradient of a row depend only on its label's input, and are within 1 ULP; the gradient of all other
/// classes is zero. A NaN there gives NaN, in its row only.
///
/// ```
/// use xent_core::{Batch, Buffers, Level, LikelihoodBatch, LikelihoodInput, Shape};
///
/// let p = [0.25, 0.75_f32];
/// let mut gradient = [0.0; 2];
/// let loss = LikelihoodBatch::new(
///     Buffers::gradient(&p, &mut gradient),
///     Shape::rows(1, 2)?,
///     (&[0_u8]).into(),
///     LikelihoodInput::Probabilities,
/// )?
/// .run(Level::detect());
/// assert!((loss - 4_f64.ln()).abs() < 1e-6);
/// assert_eq!(gradient, [-4.0, 0.0]);
/// # Ok::<(), xent_core::Error>(())
/// ```
#[derive(Debug)]
pub struct LikelihoodBatch<'a, E: Element = f32> {
    buffers: Buffers<'a, E>,
    spec: LikelihoodSpec<'a, E::Float>,
    outputs: Outputs<'a, E::Float>,
    /// Of the whole batch, however often it has been split.
    clamped: usize,
}

#[derive(Clone, Copy, Debug)]
struct LikelihoodSpec<'a, F> {
    shape: Shape,
    labels: Labels<'a>,
    input: LikelihoodInput,
    options: LikelihoodOptions<'a, F>,
    weights: RowWeights<'a, F>,
    /// The first row, counted in the whole batch.
    first_row: usize,
}

impl<'a, E: Element> LikelihoodBatch<'a, E> {
    /// The loss without weights. Checks all lengths and labels, so that running it cannot fail.
    ///
    /// # Errors
    /// As [`with_options`](Self::with_options).
    pub fn new(
        buffers: Buffers<'a, E>,
        shape: Shape,
        labels: Labels<'a>,
        input: LikelihoodInput,
    ) -> Result<Self, Error> {
        Self::with_options(buffers, shape, labels, input, LikelihoodOptions::default())
    }

    /// The loss with options.
    ///
    /// # Errors
    /// [`Error::Length`] or [`Error::Label`]; [`Error::Value`] if a weight is negative or not finite, or
    /// the probability of a label that is not ignored is not in [0, 1].
    pub fn with_options(
        buffers: Buffers<'a, E>,
        shape: Shape,
        labels: Labels<'a>,
        input: LikelihoodInput,
        options: LikelihoodOptions<'a, E::Float>,
    ) -> Result<Self, Error> {
        Self::checked_on(&InTurn, buffers, shape, labels, input, options, &[])
    }

    /// [`with_options`](Self::with_options), with labels and probabilities checked on several threads; the error
    /// does not depend on them. `sample_weights` are those of [`with_weights`](Self::with_weights), if there are
    /// any: the probability of a row of weight zero is not checked.
    ///
    /// # Errors
    /// As [`with_options`](Self::with_options) and [`with_weights`](Self::with_weights).
    pub fn checked_on(
        join: &dyn ForkJoin,
        buffers: Buffers<'a, E>,
        shape: Shape,
        labels: Labels<'a>,
        input: LikelihoodInput,
        options: LikelihoodOptions<'a, E::Float>,
        sample_weights: &'a [E::Float],
    ) -> Result<Self, Error> {
        let LikelihoodOptions { class_weights, ignore_index } = options;
        let shape = buffers.strides_of(shape);
        let buffers = buffers.fit(&shape)?;
        check_length("labels", shape.row_count(), labels.len())?;
        if !class_weights.is_empty() {
            check_length("class weights", shape.classes, class_weights.len())?;
        }
        Values::ClassWeights.check_classes(class_weights)?;
        labels.check(join, shape.classes, ignore_index)?;
        let weights = RowWeights { sample_weights, ..RowWeights::default() };
        weights.check(shape.row_count(), 0)?;
        let spec = LikelihoodSpec { shape, labels, input, options, weights, first_row: 0 };
        let clamped = match input {
            LikelihoodInput::LogProbabilities => 0,
            LikelihoodInput::Probabilities => {
                let check = |rows| spec.check_probabilities(&buffers, rows);
                count_in_pieces(join, 0..shape.row_count(), PIECE, &check)?
            }
        };
        Ok(Self { buffers, spec, outputs: Outputs::default(), clamped })
    }

    /// Sets factors for the rows.
    ///
    /// # Errors
    /// [`Error::Length`] if the factors are not empty and not one for each row.
    pub fn with_weights(mut self, weights: RowWeights<'a, E::Float>) -> Result<Self, Error> {
        let rows = self.spec.shape.row_count();
        weights.check(rows, rows)?;
        self.spec.weights = weights;
        Ok(self)
    }

    /// Also writes the losses of the rows, if wanted.
    ///
    /// # Errors
    /// [`Error::Length`] if there is not one place for each row; [`Error::Option`] for any other output, which this
    /// loss does not have.
    pub fn with_outputs(mut self, outputs: Outputs<'a, E::Float>) -> Result<Self, Error> {
        let rows = self.spec.shape.row_count();
        outputs.check(rows, rows, self.spec.shape.elements())?;
        let Outputs { log_sum_exp, predicted, hessian, .. } = &outputs;
        if !(log_sum_exp.is_empty() && predicted.is_empty() && hessian.is_empty()) {
            return Err(Error::Option {
                option: "outputs",
                reason: "without a softmax inside there are only losses and a gradient",
            });
        }
        self.outputs = outputs;
        Ok(self)
    }

    /// The number of labels with a probability below 1e-20, which is clamped; zero for log-probabilities.
    #[must_use]
    pub fn clamped(&self) -> usize {
        self.clamped
    }

    /// The number and the weights of the valid rows: the possible divisors of a mean.
    #[must_use]
    pub fn counts(&self) -> BatchCounts {
        let spec = &self.spec;
        let LikelihoodOptions { class_weights, ignore_index } = spec.options;
        let weights = spec.labels.weights(ignore_index, class_weights, spec.weights.sample_weights);
        BatchCounts::of_labels(spec.shape.row_count(), weights)
    }
}

impl<E: Element> Batch for LikelihoodBatch<'_, E> {
    fn parts(&self) -> usize {
        self.spec.shape.outer
    }

    fn parts_per_chunk(&self) -> usize {
        let Shape { classes, inner, .. } = self.spec.shape;
        (CHUNK / (classes * inner).max(1)).max(1)
    }

    fn split_at(self, part: usize) -> (Self, Self) {
        let Self { buffers, spec, outputs, clamped } = self;
        let LikelihoodSpec { shape, labels, weights, .. } = spec;
        let rows = part * shape.inner;
        let at = |stride| shape.offset(part, stride);
        let buffers = buffers.split_at(at(shape.logits_stride), at(shape.gradient_stride));
        let labels = labels.split_at(rows);
        let weights = weights.split_at(rows, rows);
        let outputs = outputs.split_at(rows, rows, 0);
        let shapes = (shape.with_outer(part), shape.with_outer(shape.outer - part));
        (
            Self {
                buffers: buffers.0,
                spec: LikelihoodSpec {
                    shape: shapes.0,
                    labels: labels.0,
                    weights: weights.0,
                    ..spec
                },
                outputs: outputs.0,
                clamped,
            },
            Self {
                buffers: buffers.1,
                spec: LikelihoodSpec {
                    shape: shapes.1,
                    labels: labels.1,
                    weights: weights.1,
                    first_row: spec.first_row + rows,
                    ..spec
                },
                outputs: outputs.1,
                clamped,
            },
        )
    }

    fn run_chunk(self, _: Level) -> f64 {
        let Self { mut buffers, spec, mut outputs, .. } = self;
        spec.run(&mut buffers, &mut outputs)
    }
}

impl<F: Float> LikelihoodSpec<'_, F> {
    /// The class of a row, unless it is ignored.
    fn label(&self, row: usize) -> Option<usize> {
        let label = self.labels.get(row)?;
        if self.options.ignore_index == Some(label) { None } else { usize::try_from(label).ok() }
    }

    fn class_weight(&self, class: usize) -> f64 {
        self.options.class_weights.get(class).map_or(1.0, |weight| weight.to_f64())
    }

    /// The index of a class of a row, with that stride.
    fn place(&self, row: usize, class: usize, stride: usize) -> usize {
        let inner = self.shape.inner;
        row / inner * stride + class * inner + row % inner
    }

    /// Checks the probabilities of the labels of some rows; returns how many of them are clamped.
    fn check_probabilities<E: Element<Float = F>>(
        &self,
        buffers: &Buffers<'_, E>,
        rows: Range<usize>,
    ) -> Result<usize, Error> {
        let mut clamped = 0;
        for row in rows {
            let Some(class) = self.label(row) else { continue };
            // A class or row of weight zero does not count.
            if self.class_weight(class) == 0.0 || self.weights.sample_weight(row) == 0.0 {
                continue;
            }
            let at = self.place(row, class, self.shape.logits_stride);
            let value = buffers.logit(at).map_or(f64::NAN, |x| x.to_f64());
            if !(0.0..=1.0).contains(&value) {
                let element = self.shape.place(row, class);
                return Err(self.shape.value_error(Values::Probabilities, element, value));
            }
            clamped += usize::from(value < LEAST);
        }
        Ok(clamped)
    }

    fn run<E: Element<Float = F>>(
        &self,
        buffers: &mut Buffers<'_, E>,
        outputs: &mut Outputs<'_, F>,
    ) -> f64 {
        let Shape { classes, inner, logits_stride, gradient_stride, .. } = self.shape;
        let mut sum = 0.0;
        for row in 0..self.shape.row_count() {
            let picked = self.label(row).map(|class| {
                let at = self.place(row, class, logits_stride);
                let input = buffers.logit(at).map_or(f64::NAN, |x| x.to_f64());
                let (loss, gradient) = self.input.of(input);
                if let Some(rows) = outputs.not_finite
                    && (input.is_nan() || input == f64::INFINITY)
                {
                    rows.add(self.first_row + row);
                }
                let of_row = self.weights.sample_weight(row);
                let weight = self.class_weight(class) * of_row;
                let upstream = self.weights.scale * self.weights.upstream_of(row);
                // A weight of zero removes values that are not finite, except that the gradient of a mean over
                // weights of zero is NaN if the policy says so.
                let none = weight == 0.0;
                let loss = if none { 0.0 } else { weight * loss };
                let of_nothing = of_row != 0.0 && self.weights.scale.is_nan();
                let nothing = if of_nothing { f64::NAN } else { 0.0 };
                let gradient = if none { nothing } else { weight * upstream * gradient };
                (self.place(row, class, gradient_stride), loss, gradient)
            });
            buffers.clear(self.place(row, 0, gradient_stride), classes, inner);
            let loss = picked.map_or(0.0, |(at, loss, gradient)| {
                buffers.put(at, F::from_f64(gradient));
                loss
            });
            outputs.put_row(row, loss, 0.0, 0);
            sum += loss;
        }
        sum
    }
}

impl LikelihoodInput {
    /// The loss and its derivative.
    fn of(self, input: f64) -> (f64, f64) {
        match self {
            Self::LogProbabilities => (-input, -1.0),
            Self::Probabilities => {
                let p = if input < LEAST { LEAST } else { input };
                (-scalar::ln(p), -1.0 / p)
            }
        }
    }
}
