//! The softmax losses.

use core::ops::Range;

use super::checks::PIECE;
use super::rows::{Outputs, RowWeights, Tally};
use crate::batch::{Batch, InTurn, Join, LEAF, count_in_pieces};
use crate::buffers::{Buffers, LabelWeights, Labels};
use crate::element::{Compute, Element, Float};
use crate::error::{Error, Values, check_length};
use crate::hessian::Hessian;
use crate::kernel::block::SharedLabels;
use crate::kernel::coefficients::Factors;
use crate::kernel::sum::sum_of;
use crate::level::Level;
use crate::shape::Shape;

/// What the softmax of each row is compared with.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum SoftmaxTargets<'a, F = f32> {
    /// The index of the one right class of each row.
    Index(Labels<'a>),
    /// A non-negative weight for every class of every row, where the logits are (without a stride).
    /// The weights of a row need not sum to one.
    Dense(&'a [F]),
    /// Labels, zero or positive, for every class of every row, where the logits are: each row's are
    /// divided by `M`, the number of those that are not zero. A row without any is empty.
    MultiLabel(&'a [F], MultiLabel),
    /// The logits of a teacher, where the logits are. The loss is `τ² KL(softmax(teacher / τ) ‖
    /// softmax(x / τ))` for the temperature `τ` (G. Hinton et al., "Distilling the knowledge in a
    /// neural network", 2015).
    Teacher(&'a [F], f64),
}

/// Which gradient multi-label softmax has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum MultiLabel {
    /// The gradient of the loss, `(Σ y / M) p - y / M`.
    #[default]
    Exact,
    /// That of the Caffe Python layer, `p - [y ≠ 0] / M`, which ignores the size of the labels.
    Caffe,
}

/// What a softmax loss has beyond the plain cross-entropy. The default is nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SoftmaxOptions<'a, F = f32> {
    /// A non-negative weight for each class; empty for ones. Multiplies the (smoothed) target. Of a class of weight
    /// zero the term is exactly zero, even where the class is absent (`0 * inf` is 0); but rows that have no softmax
    /// (NaN, several `+inf`, or no finite logit) are NaN whatever their classes weigh.
    pub class_weights: &'a [F],
    /// `ε` in [0, 1]: the target becomes `(1 - ε) t + ε / C` (C. Szegedy et al., "Rethinking the
    /// Inception architecture", 2016, section 7).
    pub label_smoothing: f64,
    /// Rows with this label have no loss and a gradient of zero. Index targets only.
    pub ignore_index: Option<i64>,
    /// `γ >= 0` of the focal loss `-(1 - p_y)^γ ln p_y` (T. Lin et al., "Focal loss for dense object
    /// detection", 2017). Index targets without smoothing only.
    pub focal_gamma: f64,
    /// `λ >= 0`: adds `λ lse²` to the loss of each row, times its sample weight (B. Zoph et al.,
    /// "ST-MoE", 2022).
    pub z_loss: f64,
    /// `cap > 0`: finite logits become `cap tanh(x / cap)`. Zero for none.
    pub soft_cap: f64,
    /// Whether a row without a target (multi-label with all labels zero) is NaN instead of zero.
    pub empty_is_nan: bool,
}

impl<F: Float> SoftmaxOptions<'_, F> {
    /// Checks what can be checked without a batch.
    ///
    /// # Errors
    /// [`Error::Option`].
    pub fn check(&self) -> Result<(), Error> {
        let refused = |option, reason| Err(Error::Option { option, reason });
        Values::ClassWeights.check_classes(self.class_weights)?;
        if !(0.0..=1.0).contains(&self.label_smoothing) {
            return refused("label smoothing", "expected a number from 0 to 1");
        }
        if !(self.focal_gamma.is_finite() && self.focal_gamma >= 0.0) {
            return refused("focal gamma", "expected a finite number, not below zero");
        }
        if !(self.z_loss.is_finite() && self.z_loss >= 0.0) {
            return refused("z-loss", "expected a finite factor, not below zero");
        }
        if !(self.soft_cap.is_finite() && self.soft_cap >= 0.0) {
            return refused("soft cap", "expected a positive finite number, or zero for none");
        }
        if self.focal_gamma != 0.0 && self.label_smoothing != 0.0 {
            return refused(
                "focal gamma",
                "the focal loss is defined by the probability of the one right class; \
                 smoothed targets have several",
            );
        }
        Ok(())
    }

    /// Checks what depends on the targets.
    fn check_targets(&self, targets: &SoftmaxTargets<'_, F>) -> Result<(), Error> {
        let refused = |option, reason| Err(Error::Option { option, reason });
        let index = matches!(targets, SoftmaxTargets::Index(_));
        if self.ignore_index.is_some() && !index {
            return refused(
                "ignore index",
                "only targets that are indices can be ignored by index",
            );
        }
        if self.focal_gamma != 0.0 && !index {
            return refused("focal gamma", "the focal loss needs the index of the one right class");
        }
        match targets {
            SoftmaxTargets::Teacher(_, temperature) => {
                if !(temperature.is_finite() && *temperature > 0.0) {
                    return refused("temperature", "expected a positive finite number");
                }
                // Logits are multiplied with it: by zero, a masked class would be NaN.
                let inverse = rounded::<F>(1.0 / temperature);
                if !(inverse.is_finite() && inverse > 0.0) {
                    return refused("temperature", "the format of the logits has no inverse of it");
                }
                if self.label_smoothing != 0.0 {
                    return refused(
                        "label smoothing",
                        "a teacher's distribution is smoothed by its temperature",
                    );
                }
                if self.soft_cap != 0.0 || self.z_loss != 0.0 {
                    return refused(
                        "distillation",
                        "soft cap and z-loss are defined for logits without a temperature",
                    );
                }
            }
            SoftmaxTargets::MultiLabel(_, gradient) => self.check_multi_label(*gradient)?,
            SoftmaxTargets::Index(_) | SoftmaxTargets::Dense(_) => {}
        }
        Ok(())
    }

    /// Checks that multi-label softmax has these options with that gradient.
    ///
    /// # Errors
    /// [`Error::Option`].
    pub fn check_multi_label(&self, gradient: MultiLabel) -> Result<(), Error> {
        let plain = self.label_smoothing == 0.0 && self.class_weights.is_empty();
        if gradient == MultiLabel::Exact || plain {
            return Ok(());
        }
        Err(Error::Option {
            option: "Caffe gradient",
            reason: "the layer that it is for has neither class weights nor label smoothing",
        })
    }

    fn check_hessian(&self, outputs: &Outputs<'_, F>, classes: usize) -> Result<(), Error> {
        if outputs.hessian.is_empty() {
            return Ok(());
        }
        let is_plain = self.focal_gamma == 0.0 && self.soft_cap == 0.0 && self.z_loss == 0.0;
        let reason = if !is_plain && outputs.convention != Hessian::Exact {
            "the conventions of XGBoost and LightGBM are defined for the plain loss: ask for the exact one \
             with the focal loss, a soft cap or the z-loss, and for a floor"
        } else if classes < 2 && outputs.convention == Hessian::LightGbm {
            "the factor C / (C - 1) of LightGBM needs two classes"
        } else {
            return Ok(());
        };
        Err(Error::Option { option: "Hessian", reason })
    }
}

/// Softmax cross-entropy of a batch of rows, with its gradient.
///
/// For logits `x` and target weights `q` (one-hot for an index) the loss of a row is
/// `Σ q_c (ln Σ e^x - x_c)` and its gradient `(Σ q) softmax(x)_c - q_c`. Both are within 4 ULP,
/// plus one for each unit of distance between `x_c` and the row's maximum, whose exponential's
/// argument was itself rounded; also where a confident row's loss is as small as 1e-40. A
/// [scale](Self::with_scale) that is no power of two adds one to the gradient's.
/// [`SoftmaxOptions`] has the losses that are made from it.
///
/// A row with NaN has NaN for its loss and gradient. A logit of `-inf` is a class that is absent:
/// its gradient is exactly zero, unless it is the target. A single `+inf` has all of the
/// probability. No row affects another.
///
/// ```
/// use xent_core::{Batch, Buffers, Level, SoftmaxBatch, SoftmaxTargets};
///
/// let logits = [2.0, 1.0, 0.0, 0.0, 3.0, 0.0_f32];
/// let mut gradient = [0.0; 6];
/// let sum = SoftmaxBatch::new(
///     Buffers::Gradient(&logits, &mut gradient),
///     3,
///     SoftmaxTargets::Index((&[0_u8, 1]).into()),
/// )?
/// .run(Level::detect());
/// assert!((sum - (0.407606 + 0.094923)).abs() < 1e-5);
/// # Ok::<(), xent_core::Error>(())
/// ```
#[derive(Debug)]
pub struct SoftmaxBatch<'a, E: Element = f32> {
    pub(super) buffers: Buffers<'a, E>,
    pub(super) job: Job<'a, E::Float>,
    pub(super) outputs: Outputs<'a, E::Float>,
}

/// A batch without what is written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Job<'a, F> {
    pub(super) shape: Shape,
    pub(super) targets: SoftmaxTargets<'a, F>,
    pub(super) options: SoftmaxOptions<'a, F>,
    pub(super) weights: RowWeights<'a, F>,
    /// Of the whole batch, however often it has been split.
    pub(super) elements: usize,
    /// Its first row, of the whole batch.
    pub(super) first_row: usize,
    /// The rows of the whole batch that have a label, which is not the one to ignore.
    pub(super) rows_with_labels: usize,
    /// Whether the class axis of the whole batch is not the last one.
    pub(super) of_columns: bool,
}

impl<'a, E: Element> SoftmaxBatch<'a, E> {
    /// The plain loss of rows one after the other. Checks all lengths and labels; nothing can go
    /// wrong afterwards.
    ///
    /// # Errors
    /// [`Error::ZeroClasses`], [`Error::Ragged`], [`Error::Length`] or [`Error::Label`]; [`Error::Value`] if a
    /// dense target is negative or not finite.
    pub fn new(
        buffers: Buffers<'a, E>,
        classes: usize,
        targets: SoftmaxTargets<'a, E::Float>,
    ) -> Result<Self, Error> {
        let shape = Shape::rows_of(buffers.len(), classes)?;
        Self::with_options(buffers, shape, targets, SoftmaxOptions::default())
    }

    /// A loss with options. Checks all of them, and all lengths and labels; nothing can go wrong
    /// afterwards.
    ///
    /// # Errors
    /// [`Error::Option`], [`Error::Length`] or [`Error::Label`]; [`Error::Value`] if a weight or a dense target is
    /// negative or not finite.
    pub fn with_options(
        buffers: Buffers<'a, E>,
        shape: Shape,
        targets: SoftmaxTargets<'a, E::Float>,
        options: SoftmaxOptions<'a, E::Float>,
    ) -> Result<Self, Error> {
        Self::checked_on(&InTurn, buffers, shape, targets, options)
    }

    /// [`with_options`](Self::with_options), with labels and targets checked on threads that join; the error
    /// does not depend on them.
    ///
    /// # Errors
    /// As [`with_options`](Self::with_options).
    pub fn checked_on(
        join: &dyn Join,
        buffers: Buffers<'a, E>,
        shape: Shape,
        targets: SoftmaxTargets<'a, E::Float>,
        options: SoftmaxOptions<'a, E::Float>,
    ) -> Result<Self, Error> {
        options.check()?;
        options.check_targets(&targets)?;
        let shape = buffers.strides_of(shape);
        let Shape { classes, .. } = shape;
        if !options.class_weights.is_empty() {
            check_length("class weights", classes, options.class_weights.len())?;
        }
        let buffers = buffers.fit(&shape)?;
        let job = Job { options, ..Job::new(shape, targets) };
        let mut rows_with_labels = 0;
        match &targets {
            SoftmaxTargets::Index(labels) => {
                check_length("labels", shape.row_count(), labels.len())?;
                rows_with_labels = labels.check(join, classes, options.ignore_index)?;
            }
            SoftmaxTargets::Dense(values) => {
                check_length("targets", shape.elements(), values.len())?;
                Values::SoftmaxTargets.check(join, &shape, values)?;
            }
            SoftmaxTargets::MultiLabel(values, _) => {
                check_length("targets", shape.elements(), values.len())?;
                Values::MultiLabels.check(join, &shape, values)?;
                let count = |rows| Ok(job.rows_with_labels(values, rows));
                let rows_of_piece = (PIECE / classes).max(1);
                rows_with_labels =
                    count_in_pieces(join, 0..shape.row_count(), rows_of_piece, &count)?;
            }
            SoftmaxTargets::Teacher(values, _) => {
                check_length("teacher's logits", shape.elements(), values.len())?;
            }
        }
        let job = Job { rows_with_labels, ..job };
        Ok(Self { buffers, job, outputs: Outputs::default() })
    }

    /// Multiplies the gradient (not the loss): by one over the rows for a mean.
    #[must_use]
    pub fn with_scale(mut self, scale: f64) -> Self {
        self.job.weights.scale = scale;
        self
    }

    /// With factors for the rows.
    ///
    /// # Errors
    /// [`Error::Length`] if there are some, but not one for each row; [`Error::Value`] if a sample weight is
    /// not finite.
    pub fn with_weights(mut self, weights: RowWeights<'a, E::Float>) -> Result<Self, Error> {
        let rows = self.job.shape.row_count();
        weights.check(rows, rows)?;
        self.job.weights = weights;
        Ok(self)
    }

    /// Also writes the loss of every row.
    ///
    /// # Errors
    /// [`Error::Length`] if there is not one place for each row.
    pub fn with_losses(mut self, losses: &'a mut [E::Float]) -> Result<Self, Error> {
        check_length("losses", self.job.shape.row_count(), losses.len())?;
        self.outputs.losses = losses;
        Ok(self)
    }

    /// Also writes these of every row.
    ///
    /// # Errors
    /// [`Error::Length`] if a slice that is not empty does not have one place for each row (for the
    /// Hessian: for each logit); [`Error::Option`] if the loss has no Hessian of that convention.
    pub fn with_outputs(mut self, outputs: Outputs<'a, E::Float>) -> Result<Self, Error> {
        let shape = &self.job.shape;
        outputs.check(shape.row_count(), shape.row_count(), shape.elements())?;
        self.job.options.check_hessian(&outputs, shape.classes)?;
        self.outputs = outputs;
        Ok(self)
    }

    /// How many rows count, and how much: what a mean may divide by.
    #[must_use]
    pub fn tally(&self) -> Tally {
        let job = &self.job;
        let rows = job.shape.row_count();
        let (class_weights, row_weights) = (job.options.class_weights, job.weights.sample_weights);
        if let SoftmaxTargets::Index(labels) = job.targets {
            let count = job.rows_with_labels;
            let weights = if class_weights.is_empty() && row_weights.is_empty() {
                let weight = count as f64;
                LabelWeights { count, of_classes: weight, of_both: weight }
            } else {
                labels.weights(job.options.ignore_index, class_weights, row_weights)
            };
            return Tally::of_labels(rows, weights);
        }
        let counts = |row: usize| match job.targets {
            SoftmaxTargets::MultiLabel(labels, _) => job.has_label(labels, row),
            _ => true,
        };
        let count = match job.targets {
            SoftmaxTargets::MultiLabel(..) => job.rows_with_labels,
            _ => rows,
        };
        let of_classes = count as f64;
        let of_both = if row_weights.is_empty() {
            of_classes
        } else {
            let weighed = row_weights.iter().enumerate().filter(|&(row, _)| counts(row));
            sum_of(weighed.map(|(_, weight)| weight.to_f64()))
        };
        Tally::of_rows(rows, LabelWeights { count, of_classes, of_both })
    }

    /// The first row without a target, if there is one.
    #[must_use]
    pub fn first_empty_row(&self) -> Option<usize> {
        let SoftmaxTargets::MultiLabel(labels, _) = self.job.targets else { return None };
        let mut rows = 0..self.job.shape.row_count();
        rows.find(|&row| {
            self.job.weights.sample_weight(row) != 0.0 && !self.job.has_label(labels, row)
        })
    }
}

impl<E: Element> SoftmaxBatch<'_, E> {
    /// Whether its logits are capped.
    pub(crate) fn is_capped(&self) -> bool {
        self.job.options.soft_cap != 0.0
    }
}

impl<F: Float> SoftmaxBatch<'_, F> {
    pub(crate) fn run_on(self, level: Level, join: Option<&dyn Join>) -> f64 {
        let Self { mut buffers, job, outputs } = self;
        job.run(level, join, buffers.all(), outputs)
    }
}

impl<E: Element> Batch for SoftmaxBatch<'_, E> {
    fn parts(&self) -> usize {
        self.job.shape.outer
    }

    fn parts_per_leaf(&self) -> usize {
        self.job.shape.blocks_per_leaf(LEAF)
    }

    fn split_at(self, part: usize) -> (Self, Self) {
        let Self { buffers, job, outputs } = self;
        let Job { shape, targets, weights, .. } = job;
        let rows = part * shape.inner;
        let elements = rows * shape.classes;
        let at = |stride| shape.offset(part, stride);
        let buffers = buffers.split_at(at(shape.logits_stride), at(shape.gradient_stride));
        let targets = match targets {
            SoftmaxTargets::Index(labels) => {
                let (a, b) = labels.split_at(rows);
                (SoftmaxTargets::Index(a), SoftmaxTargets::Index(b))
            }
            SoftmaxTargets::Dense(values) => {
                let (a, b) = values.split_at(elements);
                (SoftmaxTargets::Dense(a), SoftmaxTargets::Dense(b))
            }
            SoftmaxTargets::MultiLabel(values, gradient) => {
                let (a, b) = values.split_at(elements);
                (SoftmaxTargets::MultiLabel(a, gradient), SoftmaxTargets::MultiLabel(b, gradient))
            }
            SoftmaxTargets::Teacher(values, temperature) => {
                let (a, b) = values.split_at(elements);
                (SoftmaxTargets::Teacher(a, temperature), SoftmaxTargets::Teacher(b, temperature))
            }
        };
        let weights = weights.split_at(rows, rows);
        let outputs = outputs.split_at(rows, rows, elements);
        let shapes = (shape.with_outer(part), shape.with_outer(shape.outer - part));
        (
            Self {
                buffers: buffers.0,
                job: Job { shape: shapes.0, targets: targets.0, weights: weights.0, ..job },
                outputs: outputs.0,
            },
            Self {
                buffers: buffers.1,
                job: Job {
                    shape: shapes.1,
                    targets: targets.1,
                    weights: weights.1,
                    first_row: job.first_row + rows,
                    ..job
                },
                outputs: outputs.1,
            },
        )
    }

    fn run_leaf(self, level: Level) -> f64 {
        E::softmax(self, level, None)
    }

    fn pieces_per_leaf(&self) -> usize {
        // Rows with a weight for every class are rarely so long.
        let split = self.job.kind() == Kind::Labels && !self.is_capped();
        if split { self.job.shape.pieces_of_row(LEAF) } else { 1 }
    }

    fn run_leaf_in_pieces(self, level: Level, join: &dyn Join) -> f64 {
        let join = (self.pieces_per_leaf() > 1).then_some(join);
        E::softmax(self, level, join)
    }
}

/// A number as exact as the logits are.
pub(super) fn rounded<F: Float>(value: f64) -> f64 {
    F::from_f64(value).to_f64()
}

/// What is to be done with a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Live,
    /// It has no part in the batch.
    Ignored,
    /// It has no target.
    Empty,
}

/// A row's own targets and factors.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    pub(super) state: State,
    /// Whether it is its label that is ignored.
    pub(super) by_label: bool,
    pub(super) label: Option<usize>,
    /// The weight of the label.
    pub(super) label_weight: f64,
    /// What dense targets are multiplied with.
    pub(super) target_scale: f64,
    pub(super) factors: Factors<f64>,
}

impl<'a, F: Float> Job<'a, F> {
    /// For the log-sum-exp alone.
    pub(super) fn without_targets(shape: Shape) -> Self {
        Self::new(shape, SoftmaxTargets::Dense(&[]))
    }

    /// Without options; targets are not checked.
    fn new(shape: Shape, targets: SoftmaxTargets<'a, F>) -> Self {
        let (options, weights) = (SoftmaxOptions::default(), RowWeights::default());
        let of_columns = shape.inner != 1;
        let elements = shape.elements();
        Self {
            shape,
            targets,
            options,
            weights,
            elements,
            first_row: 0,
            rows_with_labels: 0,
            of_columns,
        }
    }
}

impl<F: Float> Job<'_, F> {
    pub(super) fn class_weight(&self, class: usize) -> f64 {
        self.options.class_weights.get(class).map_or(1.0, |weight| weight.to_f64())
    }

    /// What label smoothing gives to every class.
    pub(super) fn even(&self) -> f64 {
        self.options.label_smoothing / self.shape.classes as f64
    }

    pub(super) fn is_caffe(&self) -> bool {
        matches!(self.targets, SoftmaxTargets::MultiLabel(_, MultiLabel::Caffe))
    }

    pub(super) fn dense(&self) -> &[F] {
        match self.targets {
            SoftmaxTargets::Index(_) => &[],
            SoftmaxTargets::Dense(values)
            | SoftmaxTargets::MultiLabel(values, _)
            | SoftmaxTargets::Teacher(values, _) => values,
        }
    }

    pub(super) fn plan(&self, row: usize) -> Plan {
        let sample_weight = self.weights.sample_weight(row);
        let factors = Factors {
            loss: sample_weight,
            gradient: sample_weight * self.weights.scale * self.weights.upstream_of(row),
        };
        let state = if sample_weight == 0.0 { State::Ignored } else { State::Live };
        let keep = 1.0 - self.options.label_smoothing;
        let (label_weight, target_scale) = (0.0, keep);
        let mut plan =
            Plan { state, by_label: false, label: None, label_weight, target_scale, factors };
        match self.targets {
            SoftmaxTargets::Index(labels) => {
                let label = labels.get(row);
                if label.is_some() && label == self.options.ignore_index {
                    plan.state = State::Ignored;
                    plan.by_label = true;
                } else {
                    plan.label = label.and_then(|label| usize::try_from(label).ok());
                    plan.label_weight =
                        keep * plan.label.map_or(0.0, |class| self.class_weight(class));
                    if plan.label_weight == 0.0 && self.is_label_all() {
                        plan.factors.gradient = sample_weight * self.weights.scale;
                    }
                }
            }
            SoftmaxTargets::Dense(_) => {}
            SoftmaxTargets::MultiLabel(labels, _) => match self.count_labels(labels, row) {
                0 if plan.state == State::Live => plan.state = State::Empty,
                count => plan.target_scale = keep / count as f64,
            },
            SoftmaxTargets::Teacher(_, temperature) => {
                // The loss has a factor of τ², and the logits of 1 / τ.
                plan.factors.loss *= temperature * temperature;
                plan.factors.gradient *= temperature;
            }
        }
        plan
    }

    /// The labels of a row that may have any number of them.
    fn labels_of<'l>(&self, labels: &'l [F], row: usize) -> impl Iterator<Item = &'l F> {
        let Shape { classes, inner, .. } = self.shape;
        let labels = labels.get(self.shape.place(row, 0)..).unwrap_or(&[]);
        labels.iter().step_by(inner).take(classes)
    }

    /// How many of some rows have a label that is not zero.
    fn rows_with_labels(&self, labels: &[F], rows: Range<usize>) -> usize {
        let Shape { classes, inner, .. } = self.shape;
        if inner != 1 {
            return rows.filter(|&row| self.has_label(labels, row)).count();
        }
        let labels = labels.get(rows.start * classes..rows.end * classes).unwrap_or(&[]);
        let has_label = |row: &&[F]| {
            // Without a branch for each of a run, which could not be predicted.
            row.chunks(64).any(|run| run.iter().fold(false, |any, t| any | (*t != F::default())))
        };
        labels.chunks_exact(classes).filter(has_label).count()
    }

    /// How many labels of a row are not zero.
    fn count_labels(&self, labels: &[F], row: usize) -> usize {
        let is_label = |label: &&F| **label != F::default();
        let Shape { classes, inner, .. } = self.shape;
        if inner == 1 {
            let labels = labels.get(row * classes..(row + 1) * classes).unwrap_or(&[]);
            return labels.iter().filter(is_label).count();
        }
        self.labels_of(labels, row).filter(is_label).count()
    }

    /// Whether a row has a label that is not zero.
    fn has_label(&self, labels: &[F], row: usize) -> bool {
        self.labels_of(labels, row).any(|label| *label != F::default())
    }

    /// What the rows are compared with.
    pub(super) fn kind(&self) -> Kind {
        match self.targets {
            SoftmaxTargets::Index(_) if self.options.label_smoothing == 0.0 => Kind::Labels,
            SoftmaxTargets::Dense([]) => Kind::Nothing,
            _ => Kind::Soft,
        }
    }

    /// Whether the loss of a row has the weight of its label as a factor: where that is zero, nothing comes of the
    /// gradient of what follows, even if that is not finite.
    pub(super) fn is_label_all(&self) -> bool {
        self.kind() == Kind::Labels && self.options.z_loss == 0.0
    }

    /// The soft cap, as exact as the logits are.
    pub(super) fn cap(&self) -> f64 {
        rounded::<F>(self.options.soft_cap)
    }

    /// One over the temperature, as exact as the logits are.
    pub(super) fn unit(&self) -> f64 {
        match self.targets {
            SoftmaxTargets::Teacher(_, temperature) => rounded::<F>(1.0 / temperature),
            _ => 1.0,
        }
    }

    pub(super) fn is_teacher(&self) -> bool {
        matches!(self.targets, SoftmaxTargets::Teacher(..))
    }

    /// How the labels of a row share its weight, where a row has any number of them.
    pub(super) fn shared_labels(&self) -> Option<SharedLabels> {
        matches!(self.targets, SoftmaxTargets::MultiLabel(..)).then_some(SharedLabels {
            all: 1.0 - self.options.label_smoothing,
            empty_is_nan: self.options.empty_is_nan,
        })
    }
}

/// What rows are compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A label: one class has all of the weight.
    Labels,
    /// Nothing: only their log-sum-exp is wanted.
    Nothing,
    /// A weight for every class.
    Soft,
}
