//! The losses of independent elements: one logit or probability and one target each.

use super::buffers::Buffers;
use super::format::{Element, Float};
use super::rows::{BatchCounts, Outputs, RowWeights};
use crate::batch::{Batch, CHUNK, ForkJoin, InTurn};
use crate::error::{Error, Values, check_length};
use crate::hessian::Hessian;
use crate::labels::Labels;
use crate::level::Level;
use crate::shape::Shape;

/// The targets: which classes a row belongs to.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum SigmoidTargets<'a, F = f32> {
    /// A number in [0, 1] for every element, in the order of the inputs (without a stride).
    Dense(&'a [F]),
    /// Zero or one for every element, as integers.
    MultiHot(Labels<'a>),
    /// The classes that each row belongs to: those of row `r` are `classes[offsets[r]..offsets[r +
    /// 1]]`, in any order. There is one offset more than there are rows.
    Positives {
        /// The start of each row's classes, and the end of the last.
        offsets: &'a [usize],
        /// The classes, row after row.
        classes: Labels<'a>,
    },
}

/// The kind of the inputs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SigmoidInput {
    /// Logits: the sigmoid is part of the loss.
    #[default]
    Logits,
    /// Probabilities in [0, 1]; logarithms are clamped at -100 (PyTorch's `BCELoss`).
    Probabilities,
}

/// The options of a sigmoid loss beyond the plain cross-entropy. The default is none.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SigmoidOptions<'a, F = f32> {
    /// A non-negative weight for the elements of each class; empty for ones. An element of a class of weight zero
    /// has a loss and gradient of exactly zero, whatever its logit or probability, which is not checked.
    pub class_weights: &'a [F],
    /// A non-negative weight for the positive part of the loss of each class, or one for all classes; empty for
    /// ones.
    pub pos_weight: &'a [F],
    /// `ε` in [0, 1]: the target becomes `(1 - ε) y + ε / 2` (Keras).
    pub label_smoothing: f64,
    /// Elements with this target have a loss and gradient of zero. Multi-hot targets only.
    pub ignore_index: Option<i64>,
    /// `γ >= 0` of the focal loss (T. Lin et al., "Focal loss for dense object detection", 2017).
    pub focal_gamma: f64,
    /// `α` in [0, 1] of the focal loss: the weight of the positives.
    pub focal_alpha: Option<f64>,
    /// Whether each row has one loss, the mean over its classes (PyTorch's
    /// `multilabel_soft_margin_loss`), instead of one for each element.
    pub mean_over_classes: bool,
    /// The kind of the inputs.
    pub input: SigmoidInput,
}

impl<F: Float> SigmoidOptions<'_, F> {
    /// Checks what can be checked without a batch.
    ///
    /// # Errors
    /// [`Error::Option`].
    pub fn check(&self) -> Result<(), Error> {
        let refused = |option, reason| Err(Error::Option { option, reason });
        Values::ClassWeights.check_classes(self.class_weights)?;
        Values::PosWeights.check_classes(self.pos_weight)?;
        if !(0.0..=1.0).contains(&self.label_smoothing) {
            return refused("label smoothing", "expected a number from 0 to 1");
        }
        if !(self.focal_gamma.is_finite() && self.focal_gamma >= 0.0) {
            return refused("focal gamma", "expected a finite number that is not negative");
        }
        if self.focal_alpha.is_some_and(|alpha| !(0.0..=1.0).contains(&alpha)) {
            return refused("focal alpha", "expected a number from 0 to 1");
        }
        if self.is_focal() && self.input == SigmoidInput::Probabilities {
            return refused("focal gamma", "the focal loss is defined for logits");
        }
        Ok(())
    }

    pub(super) fn is_focal(&self) -> bool {
        self.focal_gamma != 0.0 || self.focal_alpha.is_some()
    }
}

/// Sigmoid (binary) cross-entropy of independent elements, with its gradient.
///
/// For a logit `x` and a target `y` in [0, 1] the loss is `softplus(x) - x y` and the gradient `σ(x) - y`, computed
/// so that neither overflows nor cancels. [`SigmoidOptions`] has the losses that are derived from it. Each element
/// has its own loss: a NaN stays with its element, and an infinite logit has the limit of its loss and gradient.
///
/// ```
/// use xent_core::{Batch, Buffers, Level, SigmoidBatch};
///
/// let mut logits = [0.0, 100.0, -100.0_f32];
/// let sum = SigmoidBatch::new(Buffers::in_place(&mut logits), &[1.0, 1.0, 1.0])?
///     .run(Level::detect());
/// assert!((sum - (core::f64::consts::LN_2 + 100.0)).abs() < 1e-5);
/// assert_eq!(logits, [-0.5, -3.783506e-44, -1.0]);
/// # Ok::<(), xent_core::Error>(())
/// ```
#[derive(Debug)]
pub struct SigmoidBatch<'a, E: Element = f32> {
    pub(super) buffers: Buffers<'a, E>,
    pub(super) spec: SigmoidSpec<'a, E::Float>,
    pub(super) outputs: Outputs<'a, E::Float>,
    /// Of the whole batch, however often it has been split.
    clamped: usize,
}

/// A batch without its outputs.
#[derive(Clone, Copy, Debug)]
pub(super) struct SigmoidSpec<'a, F> {
    pub(super) shape: Shape,
    pub(super) targets: SigmoidTargets<'a, F>,
    pub(super) options: SigmoidOptions<'a, F>,
    pub(super) weights: RowWeights<'a, F>,
    /// The first row, counted in the whole batch.
    pub(super) first_row: usize,
}

impl<'a, E: Element> SigmoidBatch<'a, E> {
    /// The plain loss of logits. Checks all lengths, so that running it cannot fail.
    ///
    /// # Errors
    /// [`Error::Length`].
    pub fn new(buffers: Buffers<'a, E>, targets: &'a [E::Float]) -> Result<Self, Error> {
        let shape = Shape::rows(buffers.len(), 1)?;
        let targets = SigmoidTargets::Dense(targets);
        Self::with_options(buffers, shape, targets, SigmoidOptions::default())
    }

    /// A loss with options. Checks all options, lengths and targets, so that running it cannot fail.
    ///
    /// # Errors
    /// [`Error::Option`], [`Error::Length`] or [`Error::Label`]; [`Error::Value`] if a number is outside its range.
    pub fn with_options(
        buffers: Buffers<'a, E>,
        shape: Shape,
        targets: SigmoidTargets<'a, E::Float>,
        options: SigmoidOptions<'a, E::Float>,
    ) -> Result<Self, Error> {
        Self::checked_on(&InTurn, buffers, shape, targets, options, &[])
    }

    /// [`with_options`](Self::with_options), with targets and probabilities checked on several threads; the error
    /// does not depend on them. `sample_weights` are those of [`with_weights`](Self::with_weights), if there are
    /// any: the probabilities of a row of weight zero are not checked.
    ///
    /// # Errors
    /// As [`with_options`](Self::with_options) and [`with_weights`](Self::with_weights).
    pub fn checked_on(
        join: &dyn ForkJoin,
        buffers: Buffers<'a, E>,
        shape: Shape,
        targets: SigmoidTargets<'a, E::Float>,
        options: SigmoidOptions<'a, E::Float>,
        sample_weights: &'a [E::Float],
    ) -> Result<Self, Error> {
        options.check()?;
        if options.ignore_index.is_some() && !matches!(targets, SigmoidTargets::MultiHot(_)) {
            return Err(Error::Option {
                option: "ignore index",
                reason: "only targets that are integers, zero or one, can be ignored by value",
            });
        }
        let shape = buffers.strides_of(shape);
        let classes = shape.classes;
        for (of, weights) in
            [("class weights", options.class_weights), ("pos weight", options.pos_weight)]
        {
            // A single positive weight applies to all classes.
            let is_of_all = of == "pos weight" && weights.len() == 1;
            if !weights.is_empty() && !is_of_all {
                check_length(of, classes, weights.len())?;
            }
        }
        let buffers = buffers.fit(&shape)?;
        match targets {
            SigmoidTargets::Dense(values) => {
                check_length("targets", shape.elements(), values.len())?;
                // For probabilities, tile by tile.
                if options.input == SigmoidInput::Logits {
                    Values::SigmoidTargets.check(join, &shape, values)?;
                }
            }
            SigmoidTargets::MultiHot(labels) => {
                check_length("targets", shape.elements(), labels.len())?;
                labels
                    .check_hot(join, options.ignore_index)
                    .map_err(|error| in_row(error, |element| shape.row_of(element)))?;
            }
            SigmoidTargets::Positives { offsets, classes: positives } => {
                check_length("offsets", shape.row_count() + 1, offsets.len())?;
                let ordered = offsets.windows(2).all(|pair| pair[0] <= pair[1]);
                let last = offsets.last().copied().unwrap_or_default();
                if !ordered || offsets.first() != Some(&0) {
                    return Err(Error::Option {
                        option: "offsets",
                        reason: "expected them to begin with zero and never to fall",
                    });
                }
                check_length("positive classes", last, positives.len())?;
                let row_of = |at| offsets.partition_point(|&offset| offset <= at) - 1;
                positives.check(join, classes, None).map_err(|error| in_row(error, row_of))?;
            }
        }
        let weights = RowWeights { sample_weights, ..RowWeights::default() };
        weights.check(shape.row_count(), 0)?;
        let spec = SigmoidSpec { shape, targets, options, weights, first_row: 0 };
        let clamped = match options.input {
            SigmoidInput::Logits => 0,
            SigmoidInput::Probabilities => spec.check_probabilities(join, &buffers)?,
        };
        Ok(Self { buffers, spec, outputs: Outputs::default(), clamped })
    }

    /// Sets a factor of the gradient (not of the loss): for a mean, one over the number of elements.
    #[must_use]
    pub fn with_scale(mut self, scale: f64) -> Self {
        self.spec.weights.scale = scale;
        self
    }

    /// Sets factors for the rows; the upstream gradient has one for each loss.
    ///
    /// # Errors
    /// [`Error::Length`] if a slice is not empty and does not have one for each row or loss.
    pub fn with_weights(mut self, weights: RowWeights<'a, E::Float>) -> Result<Self, Error> {
        weights.check(self.spec.shape.row_count(), self.spec.losses())?;
        self.spec.weights = weights;
        Ok(self)
    }

    /// Also writes the loss of every element, or of every row if it is a mean over the classes.
    ///
    /// # Errors
    /// [`Error::Length`] if there is not one place for each loss.
    pub fn with_losses(mut self, losses: &'a mut [E::Float]) -> Result<Self, Error> {
        check_length("losses", self.spec.losses(), losses.len())?;
        self.outputs.losses = losses;
        Ok(self)
    }

    /// Also writes the losses and the Hessian, if wanted.
    ///
    /// # Errors
    /// [`Error::Length`] if a slice is not empty and does not have one place for each; [`Error::Option`] if the
    /// loss does not have an output.
    pub fn with_outputs(mut self, outputs: Outputs<'a, E::Float>) -> Result<Self, Error> {
        let refused = |option, reason| Err(Error::Option { option, reason });
        let shape = &self.spec.shape;
        outputs.check(self.spec.losses(), shape.row_count(), shape.elements())?;
        if !outputs.log_sum_exp.is_empty() || !outputs.predicted.is_empty() {
            return refused(
                "outputs",
                "independent elements have neither a log-sum-exp nor a predicted class",
            );
        }
        if !outputs.hessian.is_empty() {
            if self.spec.options.is_focal() && outputs.convention != Hessian::Exact {
                return refused(
                    "Hessian",
                    "the conventions of XGBoost and LightGBM are defined for the plain loss: ask for the \
                     exact one with the focal loss, and for a floor",
                );
            }
            if self.spec.options.input == SigmoidInput::Probabilities {
                return refused("Hessian", "it is defined for logits");
            }
        }
        self.outputs = outputs;
        Ok(self)
    }

    /// The number of probabilities whose logarithm is clamped to -100, if their target needs it and is not ignored;
    /// zero for logits.
    #[must_use]
    pub fn clamped(&self) -> usize {
        self.clamped
    }

    /// The number and the weights of valid rows and elements. `class_weight` and `weight` are sums over the
    /// *elements* that are not ignored; a row is valid if it has such an element.
    #[must_use]
    pub fn counts(&self) -> BatchCounts {
        self.spec.counts()
    }
}

/// The row of a label is the row of its place.
fn in_row(error: Error, row_of: impl Fn(usize) -> usize) -> Error {
    match error {
        Error::Label { row: at, label, classes } => {
            Error::Label { row: row_of(at), label, classes }
        }
        other => other,
    }
}

impl<E: Element> Batch for SigmoidBatch<'_, E> {
    fn parts(&self) -> usize {
        self.spec.shape.outer
    }

    fn parts_per_chunk(&self) -> usize {
        let Shape { classes, inner, .. } = self.spec.shape;
        (CHUNK / (classes * inner).max(1)).max(1)
    }

    fn split_at(self, part: usize) -> (Self, Self) {
        let Self { buffers, spec, outputs, clamped } = self;
        let SigmoidSpec { shape, targets, options, weights, first_row } = spec;
        let rows = part * shape.inner;
        let elements = rows * shape.classes;
        let losses = if options.mean_over_classes { rows } else { elements };
        let at = |stride| shape.offset(part, stride);
        let buffers = buffers.split_at(at(shape.logits_stride), at(shape.gradient_stride));
        let targets = match targets {
            SigmoidTargets::Dense(values) => {
                let (a, b) = values.split_at(elements);
                (SigmoidTargets::Dense(a), SigmoidTargets::Dense(b))
            }
            SigmoidTargets::MultiHot(labels) => {
                let (a, b) = labels.split_at(elements);
                (SigmoidTargets::MultiHot(a), SigmoidTargets::MultiHot(b))
            }
            SigmoidTargets::Positives { offsets, classes } => (
                SigmoidTargets::Positives { offsets: &offsets[..=rows], classes },
                SigmoidTargets::Positives { offsets: &offsets[rows..], classes },
            ),
        };
        let weights = weights.split_at(rows, losses);
        let outputs = outputs.split_at(losses, rows, elements);
        let shapes = (shape.with_outer(part), shape.with_outer(shape.outer - part));
        (
            Self {
                buffers: buffers.0,
                spec: SigmoidSpec {
                    shape: shapes.0,
                    targets: targets.0,
                    options,
                    weights: weights.0,
                    first_row,
                },
                outputs: outputs.0,
                clamped,
            },
            Self {
                buffers: buffers.1,
                spec: SigmoidSpec {
                    shape: shapes.1,
                    targets: targets.1,
                    options,
                    weights: weights.1,
                    first_row: first_row + rows,
                },
                outputs: outputs.1,
                clamped,
            },
        )
    }

    fn run_chunk(self, level: Level) -> f64 {
        E::sigmoid(self, level)
    }
}

impl<F: Float> SigmoidSpec<'_, F> {
    fn losses(&self) -> usize {
        if self.options.mean_over_classes { self.shape.row_count() } else { self.shape.elements() }
    }
}
