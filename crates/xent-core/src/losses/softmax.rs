//! The softmax losses.

use super::odd_row::OddRow;
use super::rows::{Outputs, RowWeights, Tally};
use crate::batch::{Batch, Join, LEAF};
use crate::buffers::{Buffers, Labels};
use crate::dispatch::{Kernel, entries};
use crate::element::{Element, Float};
use crate::error::{Error, check_length};
use crate::hessian::{Curvature, Hessian};
use crate::kernel::cells::{ADD, Cells, WRITE};
use crate::kernel::coefficients::{Factors, Terms};
use crate::kernel::groups::{self, GroupPlaces, GroupScratch};
use crate::kernel::lanes::{
    self, Block, BlockResults, BlockTargets, Grid, LABEL, ROWS, SPREAD, TEACHER,
};
use crate::kernel::logit_map::{Identity, LogitMap, SoftCap, Temperature};
use crate::kernel::softmax::{Place, RowResult, RowTask, Rows};
use crate::kernel::sum::{LossSum, TILE};
use crate::kernel::targets::{Label, NoTargets, Spike, Spread, Targets, Teacher};
use crate::level::Level;
use crate::shape::Shape;
use crate::simd::Simd;

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
    /// A non-negative weight for each class; empty for ones. Multiplies the (smoothed) target.
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
        if !self.class_weights.iter().all(|w| w.is_finite() && w.to_f64() >= 0.0) {
            return refused("class weights", "expected finite numbers, none below zero");
        }
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
        let reason = if self.focal_gamma != 0.0 || self.soft_cap != 0.0 || self.z_loss != 0.0 {
            "boosting needs second derivatives that are not negative, and those of the focal loss, \
             of a soft cap and of the z-loss can be"
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
    /// Whether the class axis of the whole batch is not the last one.
    pub(super) of_columns: bool,
}

/// A gradient of so many elements (16 MiB) is written past the caches, unless its rows are short: it
/// would not stay there until it is read, and a store through the cache first reads the line that it
/// overwrites.
const STREAM_FROM: usize = 1 << 22;

impl<'a, E: Element> SoftmaxBatch<'a, E> {
    /// The plain loss of rows one after the other. Checks all lengths and labels; nothing can go
    /// wrong afterwards.
    ///
    /// # Errors
    /// [`Error::ZeroClasses`], [`Error::Ragged`], [`Error::Length`] or [`Error::Label`].
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
    /// [`Error::Option`], [`Error::Length`] or [`Error::Label`].
    pub fn with_options(
        buffers: Buffers<'a, E>,
        shape: Shape,
        targets: SoftmaxTargets<'a, E::Float>,
        options: SoftmaxOptions<'a, E::Float>,
    ) -> Result<Self, Error> {
        options.check()?;
        options.check_targets(&targets)?;
        let shape = buffers.strides_of(shape);
        let Shape { classes, logits_stride, gradient_stride, .. } = shape;
        if !options.class_weights.is_empty() {
            check_length("class weights", classes, options.class_weights.len())?;
        }
        buffers.check(shape.span(logits_stride), shape.span(gradient_stride))?;
        match &targets {
            SoftmaxTargets::Index(labels) => {
                check_length("labels", shape.row_count(), labels.len())?;
                labels.check(classes, options.ignore_index)?;
            }
            SoftmaxTargets::Dense(values) | SoftmaxTargets::MultiLabel(values, _) => {
                check_length("targets", shape.elements(), values.len())?;
            }
            SoftmaxTargets::Teacher(values, _) => {
                check_length("teacher's logits", shape.elements(), values.len())?;
            }
        }
        let job = Job { options, ..Job::new(shape, targets) };
        Self::check_columns(&job, job.dense().is_empty())?;
        Ok(Self { buffers, job, outputs: Outputs::default() })
    }

    /// Checks that there is room for what lies beside the columns of logits that are converted.
    fn check_columns(job: &Job<'_, E::Float>, nothing: bool) -> Result<(), Error> {
        let Shape { classes, inner, .. } = job.shape;
        if E::IS_FLOAT || nothing || inner == 1 || classes <= TILE {
            return Ok(());
        }
        let reason = "with dense targets or second derivatives, columns of more than 4096 classes \
                      have to be of f32 or f64";
        Err(Error::Option { option: "format of the logits", reason })
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
    /// [`Error::Length`] if there are some, but not one for each row.
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
        Self::check_columns(&self.job, outputs.hessian.is_empty())?;
        self.outputs = outputs;
        Ok(self)
    }

    /// How many rows count, and how much: what a mean may divide by.
    #[must_use]
    pub fn tally(&self) -> Tally {
        let job = &self.job;
        let mut tally = Tally { rows: job.shape.row_count(), ..Tally::default() };
        for row in 0..tally.rows {
            let plan = job.plan(row);
            if plan.state == State::Live {
                let class_weight = match plan.label {
                    Some(class) => job.class_weight(class),
                    None => 1.0,
                };
                tally.valid_rows += 1;
                tally.valid_losses += 1;
                tally.class_weight += class_weight;
                tally.weight += class_weight * job.weights.sample_weight(row);
            }
        }
        tally
    }

    /// The first row without a target, if there is one.
    #[must_use]
    pub fn first_empty_row(&self) -> Option<usize> {
        let rows = 0..self.job.shape.row_count();
        match self.job.targets {
            SoftmaxTargets::MultiLabel(..) => {
                rows.into_iter().find(|&row| self.job.plan(row).state == State::Empty)
            }
            _ => None,
        }
    }
}

impl<F: Float> SoftmaxBatch<'_, F> {
    pub(crate) fn run_on(self, level: Level, join: Option<&dyn Join>) -> f64 {
        let Self { buffers, job, outputs } = self;
        match buffers {
            Buffers::Loss(x) => job.run(level, join, Cells::loss(x), outputs),
            Buffers::Gradient(x, g) | Buffers::WideGradient(x, g) => {
                job.run(level, join, Cells::<_, WRITE>::beside(x, g), outputs)
            }
            Buffers::InPlace(x) => job.run(level, join, Cells::<_, WRITE>::in_place(x), outputs),
            Buffers::Accumulate(x, g) | Buffers::WideAccumulate(x, g) => {
                job.run(level, join, Cells::<_, ADD>::beside(x, g), outputs)
            }
        }
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
                job: Job { shape: shapes.1, targets: targets.1, weights: weights.1, ..job },
                outputs: outputs.1,
            },
        )
    }

    fn run_leaf(self, level: Level) -> f64 {
        E::softmax(self, level, None)
    }

    fn pieces_per_leaf(&self) -> usize {
        // Other kinds are rarely so long, and each would be compiled once more for every level.
        let split = self.job.of_one_class(&self.outputs) && self.job.options.soft_cap == 0.0;
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
    pub(super) label: Option<usize>,
    /// The weight of the label.
    pub(super) spike: f64,
    /// What dense targets are multiplied with.
    pub(super) keep: f64,
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
        Self { shape, targets, options, weights, elements: shape.elements(), of_columns }
    }
}

impl<F: Float> Job<'_, F> {
    pub(super) fn task<Z>(&self, map: Z) -> RowTask<Z> {
        let SoftmaxOptions { focal_gamma, z_loss, .. } = self.options;
        let terms = Terms { gamma: focal_gamma, z_loss };
        RowTask { map, terms, stream: self.elements >= STREAM_FROM }
    }

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
        let mut plan = Plan { state, label: None, spike: 0.0, keep, factors };
        match self.targets {
            SoftmaxTargets::Index(labels) => {
                let label = labels.get(row);
                if label.is_some() && label == self.options.ignore_index {
                    plan.state = State::Ignored;
                } else {
                    plan.label = label.and_then(|label| usize::try_from(label).ok());
                    plan.spike = keep * plan.label.map_or(0.0, |class| self.class_weight(class));
                }
            }
            SoftmaxTargets::Dense(_) => {}
            SoftmaxTargets::MultiLabel(labels, _) => {
                let labels = (0..self.shape.classes)
                    .filter_map(|class| labels.get(self.shape.place(row, class)));
                match labels.filter(|label| **label != F::default()).count() {
                    0 if plan.state == State::Live => plan.state = State::Empty,
                    count => plan.keep = keep / count as f64,
                }
            }
            SoftmaxTargets::Teacher(_, temperature) => {
                // The loss has a factor of τ², and the logits of 1 / τ.
                plan.factors.loss *= temperature * temperature;
                plan.factors.gradient *= temperature;
            }
        }
        plan
    }

    /// Whether the label is the only class that is wanted of a row, beside its gradient.
    pub(super) fn of_one_class(&self, outputs: &Outputs<'_, F>) -> bool {
        matches!(self.targets, SoftmaxTargets::Index(_))
            && self.options.label_smoothing == 0.0
            && outputs.predicted.is_empty()
            && outputs.hessian.is_empty()
    }

    /// The one place that says of what kind the rows are.
    pub(super) fn by_kind(&self, one_class: bool, of: impl OfKind<F>) -> f64 {
        if let SoftmaxTargets::Teacher(..) = self.targets {
            of.run::<_, TEACHER>(Temperature { inverse: self.unit() })
        } else if self.options.soft_cap != 0.0 {
            of.run::<_, SPREAD>(SoftCap { cap: rounded::<F>(self.options.soft_cap) })
        } else if one_class {
            of.run::<_, LABEL>(Identity)
        } else {
            of.run::<_, SPREAD>(Identity)
        }
    }

    pub(super) fn run<const MODE: u8>(
        self,
        level: Level,
        join: Option<&dyn Join>,
        cells: Cells<'_, F, MODE>,
        outputs: Outputs<'_, F>,
    ) -> f64 {
        let one_class = self.of_one_class(&outputs);
        self.by_kind(one_class, Whole { level, join, job: self, cells, outputs })
    }
}

/// What is computed of rows whose kind is known.
pub(super) trait OfKind<F> {
    fn run<Z: LogitMap, const KIND: u8>(self, map: Z) -> f64;
}

/// All rows of a leaf.
struct Whole<'a, 'o, F, const MODE: u8> {
    level: Level,
    join: Option<&'o dyn Join>,
    job: Job<'a, F>,
    cells: Cells<'o, F, MODE>,
    outputs: Outputs<'o, F>,
}

impl<F: Float, const MODE: u8> OfKind<F> for Whole<'_, '_, F, MODE> {
    /// The one place that chooses how the rows are computed: by the shape and the kind of the loss
    /// alone, so that a row has the same bits alone and in a batch.
    fn run<Z: LogitMap, const KIND: u8>(self, map: Z) -> f64 {
        let Self { level, join, job, cells, outputs } = self;
        let Shape { classes, .. } = job.shape;
        let by_lanes = job.of_columns || classes <= lanes::CLASSES;
        let leaf = Leaf::<_, _, KIND, MODE> { job, cells, outputs, map };
        if by_lanes {
            leaf.by_lanes(level)
        } else if KIND == LABEL && groups::serve(classes) {
            // Labels alone are not mapped.
            let Leaf { job, cells, outputs, .. } = leaf;
            ByGroups(Leaf::<_, _, LABEL, MODE> { job, cells, outputs, map: Identity }).at(level)
        } else {
            leaf.by_rows(Rows { level, join })
        }
    }
}

/// Leaf of a batch: everything the kernels need.
pub(super) struct Leaf<'a, 'o, F, Z, const KIND: u8, const MODE: u8> {
    pub(super) job: Job<'a, F>,
    pub(super) cells: Cells<'o, F, MODE>,
    pub(super) outputs: Outputs<'o, F>,
    pub(super) map: Z,
}

impl<F: Float, Z: LogitMap, const KIND: u8, const MODE: u8> Leaf<'_, '_, F, Z, KIND, MODE> {
    /// One row after the other.
    fn by_rows(self, rows: Rows<'_>) -> f64 {
        let task = self.task();
        let Leaf { job, mut cells, mut outputs, .. } = self;
        let Shape { classes, logits_stride, gradient_stride, .. } = job.shape;
        let mut sum = 0.0;
        for row in 0..job.shape.row_count() {
            let plan = job.plan(row);
            let mut cells = cells.part(row * logits_stride, row * gradient_stride, classes);
            sum += job.row::<Z, KIND>(rows, row, &plan, &mut cells, task, &mut outputs);
        }
        sum
    }

    pub(super) fn task(&self) -> RowTask<Z> {
        self.job.task(self.map)
    }
}

/// Rows with labels, some at a time.
struct ByGroups<L>(L);

impl<F: Float, const MODE: u8> Kernel for ByGroups<Leaf<'_, '_, F, Identity, LABEL, MODE>> {
    type Output = f64;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> f64 {
        let mut leaf = self.0;
        let task = leaf.task();
        let Shape { outer, classes, logits_stride, gradient_stride, .. } = leaf.job.shape;
        let strides = [logits_stride, gradient_stride];
        let group = groups::rows_of_group(classes);
        let mut sum = LossSum::new();
        let grid = Grid { stride: 0, first: 0, rows: group };
        let job = leaf.job;
        let mut block = job.block(grid, leaf.outputs.convention);
        let mut scratch = GroupScratch::<F::Of<S>>::new(simd);
        for first in (0..outer).step_by(group) {
            let rows = group.min(outer - first);
            job.fill(&mut block, first, rows);
            let mut results = BlockResults::new();
            let places = GroupPlaces { rows, first: strides.map(|stride| first * stride), strides };
            let cells = &mut leaf.cells;
            scratch.run::<MODE>(simd, &block, places, cells, task, &mut results);
            leaf.settle_rows(first, rows, &mut results);
            sum.add(&results.loss[..rows]);
        }
        sum.total()
    }

    entries!();
}

impl<F: Float> Job<'_, F> {
    /// A row of any kind, and what is known of it beside its gradient.
    pub(super) fn row<Z: LogitMap, const KIND: u8>(
        &self,
        rows: Rows<'_>,
        row: usize,
        plan: &Plan,
        cells: &mut impl WholeRow<F>,
        task: RowTask<Z>,
        outputs: &mut Outputs<'_, F>,
    ) -> f64 {
        if plan.state != State::Live {
            return self.unsettled_row(row, plan, cells, outputs);
        }
        let classes = self.shape.classes;
        let class_weights = self.options.class_weights;
        let dense = self.dense();
        let dense = dense.get(row * classes..(row + 1) * classes).unwrap_or(&[]);
        let spike = plan.label.map(|class| Spike { class, weight: plan.spike });
        // Of a temperature, each derivative brings another inverse.
        let weight = plan.factors.gradient * self.unit();
        let curvature = outputs.convention.softmax(weight, classes);
        let hessian = outputs.hessian.get_mut(row * classes..(row + 1) * classes);
        let second = (hessian.unwrap_or(&mut []), curvature);
        let task = (task, plan.factors);
        let done = match KIND {
            LABEL => cells.row(rows, Label(spike), task, second),
            TEACHER => rows.sums(dense, NoTargets, task.0.map).and_then(|sums| {
                let targets = Teacher {
                    logits: dense,
                    max: sums.max,
                    inverse: task.0.map.unit(),
                    sum: sums.sum(),
                    ln_sum: sums.ln_sum(),
                    class_weights,
                };
                cells.row(rows, targets, task, second)
            }),
            _ => {
                let targets = Spread {
                    spike,
                    dense,
                    keep: rounded::<F>(plan.keep),
                    even: rounded::<F>(self.even()),
                    class_weights,
                    per_label: self.is_caffe().then_some(rounded::<F>(plan.keep)),
                };
                cells.row(rows, targets, task, second)
            }
        };
        match done {
            Some(RowResult { loss, log_sum_exp, apart }) => {
                outputs.put_row(row, loss, log_sum_exp, apart);
                loss
            }
            None => self.unsettled_row(row, plan, cells, outputs),
        }
    }
}

/// A row that a kernel may settle.
pub(super) trait WholeRow<F: Float>: OddRow<F> {
    /// As [`Rows::row`], with the place of second derivatives if they are wanted.
    fn row<T: Targets<F>, Z: LogitMap>(
        &mut self,
        rows: Rows<'_>,
        targets: T,
        task: (RowTask<Z>, Factors<f64>),
        second: (&mut [F], Curvature),
    ) -> Option<RowResult>;
}

impl<F: Float, const MODE: u8> WholeRow<F> for Cells<'_, F, MODE> {
    fn row<T: Targets<F>, Z: LogitMap>(
        &mut self,
        rows: Rows<'_>,
        targets: T,
        (task, factors): (RowTask<Z>, Factors<f64>),
        (hessian, curvature): (&mut [F], Curvature),
    ) -> Option<RowResult> {
        let place = Place { cells: self.reborrow(), hessian, curvature };
        rows.row(place, targets, task, factors)
    }
}

impl<F: Float> Job<'_, F> {
    /// What the kernel needs of a block of rows, without that which differs from row to row.
    pub(super) fn block(&self, grid: Grid, hessian: Hessian) -> Block<'_, F> {
        let one = F::from_count(1);
        let keep = F::from_f64(1.0 - self.options.label_smoothing);
        let targets = BlockTargets {
            labels: [-one; ROWS],
            spikes: [keep; ROWS],
            dense_grid: grid,
            keep: [keep; ROWS],
            even: F::from_f64(self.even()),
            class_weights: self.options.class_weights,
            caffe: self.is_caffe(),
        };
        Block {
            classes: self.shape.classes,
            grid,
            targets,
            live: [one; ROWS],
            loss_factors: [one; ROWS],
            gradient_factors: [self.weights.scale; ROWS],
            gradient_factors_rounded: [F::from_f64(self.weights.scale); ROWS],
            hessian,
        }
    }

    /// Fills in so many rows. One function for all kernels: nothing here depends on their level.
    #[inline(never)]
    pub(super) fn fill(&self, block: &mut Block<'_, F>, first: usize, rows: usize) {
        // Lanes past the last row are as good as any, without a loss.
        let one = F::from_count(1);
        block.live = [one; ROWS];
        if rows < ROWS {
            block.loss_factors[rows..].fill(F::default());
        }
        let rows_differ = !self.options.class_weights.is_empty()
            || !self.weights.sample_weights.is_empty()
            || !self.weights.upstream.is_empty();
        match self.targets {
            SoftmaxTargets::Index(labels) if !rows_differ => {
                // The usual case: the rows differ by their labels alone.
                let numbers = &mut block.targets.labels[..rows];
                labels.numbers(first, self.options.ignore_index, numbers);
                let live =
                    if self.options.ignore_index.is_some() { &mut block.live[..] } else { &mut [] };
                for (live, &label) in live.iter_mut().zip(&*numbers) {
                    *live = if label < F::default() { F::default() } else { one };
                }
            }
            SoftmaxTargets::Dense(_) if !rows_differ => {}
            _ => {
                for row in 0..rows {
                    let plan = self.plan(first + row);
                    block.targets.labels[row] = plan.label.map_or(-one, F::from_count);
                    block.targets.spikes[row] = F::from_f64(plan.spike);
                    block.targets.keep[row] = F::from_f64(plan.keep);
                    block.live[row] = if plan.state == State::Live { one } else { F::default() };
                    block.loss_factors[row] = F::from_f64(plan.factors.loss);
                    block.gradient_factors[row] = plan.factors.gradient;
                    block.gradient_factors_rounded[row] = F::from_f64(plan.factors.gradient);
                }
            }
        }
    }
}
