//! The losses of independent elements: one logit or probability and one target each.

use super::rows::{Outputs, RowWeights, Tally};
use super::softmax::rounded;
use super::window::{Opened, Window};
use crate::batch::{Batch, LEAF};
use crate::buffers::{Buffers, Labels};
use crate::dispatch::{Kernel, entries};
use crate::element::{Compute, Element, Float};
use crate::error::{Error, check_length};
use crate::kernel::cells::Cells;
use crate::kernel::elements::{ElementLoss, Elements, Inputs, Logistic, Sigmoid, SigmoidFocal};
use crate::kernel::sum::{ExactSum, StripedSum, TILE};
use crate::level::Level;
use crate::shape::Shape;
use crate::simd::{PANEL, Simd};

/// Which classes a row belongs to.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum SigmoidTargets<'a, F = f32> {
    /// A number in [0, 1] for every element, where the inputs are (without a stride).
    Dense(&'a [F]),
    /// Zero or one for every element, as integers.
    MultiHot(Labels<'a>),
    /// The classes that each row belongs to: those of row `r` are `classes[offsets[r]..offsets[r +
    /// 1]]`, in any order. There is one offset more than there are rows.
    Positives {
        /// Where the classes of each row begin, and where the last ones end.
        offsets: &'a [usize],
        /// The classes, row after row.
        classes: Labels<'a>,
    },
}

/// What the inputs are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SigmoidInput {
    /// Logits: the sigmoid is part of the loss.
    #[default]
    Logits,
    /// Probabilities in [0, 1], with logarithms not below -100 (PyTorch's `BCELoss`).
    Probabilities,
}

/// What a sigmoid loss has beyond the plain cross-entropy. The default is nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SigmoidOptions<'a, F = f32> {
    /// A non-negative weight for the elements of each class; empty for ones.
    pub class_weights: &'a [F],
    /// A non-negative weight for the positive part of the loss of each class; empty for ones.
    pub pos_weight: &'a [F],
    /// `ε` in [0, 1]: the target becomes `(1 - ε) y + ε / 2` (Keras).
    pub label_smoothing: f64,
    /// Elements with this target have no loss and a gradient of zero. Multi-hot targets only.
    pub ignore_index: Option<i64>,
    /// `γ >= 0` of the focal loss (T. Lin et al., "Focal loss for dense object detection", 2017).
    pub focal_gamma: f64,
    /// `α` in [0, 1] of the focal loss: the share of the positives.
    pub focal_alpha: Option<f64>,
    /// Whether each row has one loss, the mean over its classes (PyTorch's
    /// `multilabel_soft_margin_loss`), instead of one for each element.
    pub mean_over_classes: bool,
    /// What the inputs are.
    pub input: SigmoidInput,
}

impl<F: Float> SigmoidOptions<'_, F> {
    /// Checks what can be checked without a batch.
    ///
    /// # Errors
    /// [`Error::Option`].
    pub fn check(&self) -> Result<(), Error> {
        let refused = |option, reason| Err(Error::Option { option, reason });
        for (option, weights) in
            [("class weights", self.class_weights), ("pos weight", self.pos_weight)]
        {
            if !weights.iter().all(|w| w.is_finite() && w.to_f64() >= 0.0) {
                return refused(option, "expected finite numbers, none below zero");
            }
        }
        if !(0.0..=1.0).contains(&self.label_smoothing) {
            return refused("label smoothing", "expected a number from 0 to 1");
        }
        if !(self.focal_gamma.is_finite() && self.focal_gamma >= 0.0) {
            return refused("focal gamma", "expected a finite number, not below zero");
        }
        if self.focal_alpha.is_some_and(|alpha| !(0.0..=1.0).contains(&alpha)) {
            return refused("focal alpha", "expected a number from 0 to 1");
        }
        if self.is_focal() && self.input == SigmoidInput::Probabilities {
            return refused("focal gamma", "the focal loss is defined for logits");
        }
        Ok(())
    }

    fn is_focal(&self) -> bool {
        self.focal_gamma != 0.0 || self.focal_alpha.is_some()
    }
}

/// Sigmoid (binary) cross-entropy of independent elements, with its gradient.
///
/// For a logit `x` and a target `y` in [0, 1] the loss is `softplus(x) - x y` and the gradient
/// `σ(x) - y`, computed so that neither overflows nor cancels. [`SigmoidOptions`] has the losses
/// that are made from it. Each element has a loss; NaN stays with its element, an infinite logit has
/// the limit of its loss and gradient.
///
/// ```
/// use xent_core::{Batch, Buffers, Level, SigmoidBatch};
///
/// let mut logits = [0.0, 100.0, -100.0_f32];
/// let sum = SigmoidBatch::new(Buffers::InPlace(&mut logits), &[1.0, 1.0, 1.0])?
///     .run(Level::detect());
/// assert!((sum - (core::f64::consts::LN_2 + 100.0)).abs() < 1e-5);
/// assert_eq!(logits, [-0.5, -3.783506e-44, -1.0]);
/// # Ok::<(), xent_core::Error>(())
/// ```
#[derive(Debug)]
pub struct SigmoidBatch<'a, E: Element = f32> {
    pub(super) buffers: Buffers<'a, E>,
    pub(super) job: Job<'a, E::Float>,
    pub(super) outputs: Outputs<'a, E::Float>,
}

/// A batch without what is written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Job<'a, F> {
    pub(super) shape: Shape,
    targets: SigmoidTargets<'a, F>,
    options: SigmoidOptions<'a, F>,
    weights: RowWeights<'a, F>,
}

impl<'a, E: Element> SigmoidBatch<'a, E> {
    /// The plain loss of logits. Checks all lengths; nothing can go wrong afterwards.
    ///
    /// # Errors
    /// [`Error::Length`].
    pub fn new(buffers: Buffers<'a, E>, targets: &'a [E::Float]) -> Result<Self, Error> {
        let shape = Shape::rows(buffers.len(), 1)?;
        let targets = SigmoidTargets::Dense(targets);
        Self::with_options(buffers, shape, targets, SigmoidOptions::default())
    }

    /// A loss with options. Checks all of them, all lengths and targets; nothing can go wrong
    /// afterwards.
    ///
    /// # Errors
    /// [`Error::Option`], [`Error::Length`], [`Error::Label`] or [`Error::Probability`].
    pub fn with_options(
        buffers: Buffers<'a, E>,
        shape: Shape,
        targets: SigmoidTargets<'a, E::Float>,
        options: SigmoidOptions<'a, E::Float>,
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
            if !weights.is_empty() {
                check_length(of, classes, weights.len())?;
            }
        }
        buffers.check(shape.span(shape.logits_stride), shape.span(shape.gradient_stride))?;
        match targets {
            SigmoidTargets::Dense(values) => {
                check_length("targets", shape.elements(), values.len())?;
            }
            SigmoidTargets::MultiHot(labels) => {
                check_length("targets", shape.elements(), labels.len())?;
                labels.check(2, options.ignore_index)?;
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
                positives.check(classes, None)?;
            }
        }
        let job = Job { shape, targets, options, weights: RowWeights::default() };
        if options.input == SigmoidInput::Probabilities {
            job.check_probabilities(buffers.logits())?;
        }
        Ok(Self { buffers, job, outputs: Outputs::default() })
    }

    /// Multiplies the gradient (not the loss): by one over the elements for a mean.
    #[must_use]
    pub fn with_scale(mut self, scale: f64) -> Self {
        self.job.weights.scale = scale;
        self
    }

    /// With factors for the rows; the upstream gradient has one for each loss.
    ///
    /// # Errors
    /// [`Error::Length`] if there are some, but not one for each row or loss.
    pub fn with_weights(mut self, weights: RowWeights<'a, E::Float>) -> Result<Self, Error> {
        weights.check(self.job.shape.row_count(), self.job.losses())?;
        self.job.weights = weights;
        Ok(self)
    }

    /// Also writes the loss of every element; of every row if it is a mean over the classes.
    ///
    /// # Errors
    /// [`Error::Length`] if there is not one place for each loss.
    pub fn with_losses(mut self, losses: &'a mut [E::Float]) -> Result<Self, Error> {
        check_length("losses", self.job.losses(), losses.len())?;
        self.outputs.losses = losses;
        Ok(self)
    }

    /// Also writes the losses and the Hessian, if wanted.
    ///
    /// # Errors
    /// [`Error::Length`] if a slice that is not empty does not have one place for each;
    /// [`Error::Option`] if the loss has no such output.
    pub fn with_outputs(mut self, outputs: Outputs<'a, E::Float>) -> Result<Self, Error> {
        let refused = |option, reason| Err(Error::Option { option, reason });
        let shape = &self.job.shape;
        outputs.check(self.job.losses(), shape.row_count(), shape.elements())?;
        if !outputs.log_sum_exp.is_empty() || !outputs.predicted.is_empty() {
            return refused(
                "outputs",
                "independent elements have neither a log-sum-exp nor a predicted class",
            );
        }
        if !outputs.hessian.is_empty() {
            if self.job.options.is_focal() {
                return refused(
                    "Hessian",
                    "boosting needs second derivatives that are not negative, and those of the \
                     focal loss can be",
                );
            }
            if self.job.options.input == SigmoidInput::Probabilities {
                return refused("Hessian", "it is defined for logits");
            }
        }
        self.outputs = outputs;
        Ok(self)
    }

    /// How many rows count, and how much. `class_weight` and `weight` are sums over the *elements*
    /// that are not ignored; a row is valid if it has such an element.
    #[must_use]
    pub fn tally(&self) -> Tally {
        let job = &self.job;
        let (rows, classes) = (job.shape.row_count(), job.shape.classes);
        let ones = job.options.class_weights.is_empty()
            && job.weights.sample_weights.is_empty()
            && job.options.ignore_index.is_none();
        if ones {
            let elements = job.shape.elements();
            let weight = elements as f64;
            let valid_losses = job.losses();
            let valid_rows = rows;
            return Tally { rows, valid_rows, valid_losses, class_weight: weight, weight };
        }
        let mut tally = Tally { rows, ..Tally::default() };
        for row in 0..rows {
            let sample_weight = job.weights.sample_weight(row);
            let mut valid = 0;
            for class in 0..classes {
                if sample_weight == 0.0 || job.ignored(job.shape.place(row, class)) {
                    continue;
                }
                valid += 1;
                let class_weight =
                    job.options.class_weights.get(class).map_or(1.0, |weight| weight.to_f64());
                tally.class_weight += class_weight;
                tally.weight += class_weight * sample_weight;
            }
            let any = usize::from(valid != 0);
            tally.valid_rows += any;
            tally.valid_losses += if job.options.mean_over_classes { any } else { valid };
        }
        tally
    }
}

impl<E: Element> Batch for SigmoidBatch<'_, E> {
    fn parts(&self) -> usize {
        self.job.shape.outer
    }

    fn parts_per_leaf(&self) -> usize {
        let Shape { classes, inner, .. } = self.job.shape;
        (LEAF / (classes * inner).max(1)).max(1)
    }

    fn split_at(self, part: usize) -> (Self, Self) {
        let Self { buffers, job, outputs } = self;
        let Job { shape, targets, options, weights } = job;
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
                job: Job { shape: shapes.0, targets: targets.0, options, weights: weights.0 },
                outputs: outputs.0,
            },
            Self {
                buffers: buffers.1,
                job: Job { shape: shapes.1, targets: targets.1, options, weights: weights.1 },
                outputs: outputs.1,
            },
        )
    }

    fn run_leaf(self, level: Level) -> f64 {
        E::sigmoid(self, level)
    }
}

impl<E: Element> SigmoidBatch<'_, E> {
    /// The sum of the losses; `scratch` has room for the logits of a tile if they are to be converted.
    pub(crate) fn run_on(self, level: Level, scratch: &mut [E::Float]) -> f64 {
        let SigmoidOptions { focal_gamma, focal_alpha, input, .. } = self.job.options;
        if input == SigmoidInput::Probabilities {
            Tiles { level, batch: self, scratch, loss: Logistic }.run()
        } else if self.job.options.is_focal() {
            let alpha = focal_alpha.map(rounded::<E::Float>);
            let loss = SigmoidFocal { gamma: focal_gamma, alpha };
            Tiles { level, batch: self, scratch, loss }.run()
        } else {
            Tiles { level, batch: self, scratch, loss: Sigmoid }.run()
        }
    }
}

impl<F: Float> Job<'_, F> {
    fn losses(&self) -> usize {
        if self.options.mean_over_classes { self.shape.row_count() } else { self.shape.elements() }
    }

    fn check_probabilities<E: Element>(&self, inputs: &[E]) -> Result<(), Error> {
        let Shape { outer, classes, inner, logits_stride, .. } = self.shape;
        let length = classes * inner;
        for part in 0..outer {
            let row = &inputs[part * logits_stride..][..length];
            let mut values = row.iter().map(|p| p.to_float().to_f64()).enumerate();
            if let Some((at, value)) = values.find(|(_, p)| *p < 0.0 || *p > 1.0) {
                return Err(Error::Probability { element: part * length + at, value });
            }
        }
        Ok(())
    }

    fn ignored(&self, element: usize) -> bool {
        match self.targets {
            SigmoidTargets::MultiHot(labels) => {
                self.options.ignore_index.is_some()
                    && labels.get(element) == self.options.ignore_index
            }
            _ => false,
        }
    }

    /// The row and class of an element.
    fn row_and_class(&self, element: usize) -> (usize, usize) {
        let Shape { classes, inner, .. } = self.shape;
        let (line, position) = (element / inner, element % inner);
        (line / classes * inner + position, line % classes)
    }

    /// The inputs of the elements from `first` on, in a buffer where they are not at hand.
    fn inputs<'b>(
        &'b self,
        first: usize,
        count: usize,
        scratch: &'b mut Scratch<F>,
    ) -> Inputs<'b, F> {
        let Self { targets, options, weights, .. } = self;
        let SigmoidOptions { class_weights, pos_weight, label_smoothing, .. } = *options;
        let elements = first..first + count;

        let dense = match targets {
            SigmoidTargets::Dense(values) if label_smoothing == 0.0 => values.get(elements.clone()),
            _ => None,
        };
        if dense.is_none() {
            let keep = 1.0 - label_smoothing;
            let even = 0.5 * label_smoothing;
            for (y, element) in scratch.targets.iter_mut().zip(elements.clone()) {
                *y = F::from_f64(self.target(element) * keep + even);
            }
        }
        let weighted = !class_weights.is_empty()
            || !weights.sample_weights.is_empty()
            || options.ignore_index.is_some();
        if weighted {
            for (place, element) in scratch.weights.iter_mut().zip(elements.clone()) {
                let (row, class) = self.row_and_class(element);
                let class_weight = class_weights.get(class).map_or(1.0, |w| w.to_f64());
                let weight = class_weight * weights.sample_weight(row);
                *place = F::from_f64(if self.ignored(element) { 0.0 } else { weight });
            }
        }
        if !pos_weight.is_empty() {
            for (place, element) in scratch.positive.iter_mut().zip(elements.clone()) {
                let (_, class) = self.row_and_class(element);
                *place = pos_weight.get(class).copied().unwrap_or(F::from_count(1));
            }
        }
        let upstream = if weights.upstream.is_empty() {
            &[][..]
        } else if options.mean_over_classes {
            for (place, element) in scratch.upstream.iter_mut().zip(elements) {
                let (row, _) = self.row_and_class(element);
                *place = F::from_f64(weights.upstream_of(row));
            }
            &scratch.upstream[..count]
        } else {
            weights.upstream.get(elements).unwrap_or(&[])
        };
        Inputs {
            targets: dense.unwrap_or(&scratch.targets[..count]),
            positive: if pos_weight.is_empty() { &[] } else { &scratch.positive[..count] },
            weights: if weighted { &scratch.weights[..count] } else { &[] },
            upstream,
        }
    }

    fn target(&self, element: usize) -> f64 {
        match self.targets {
            SigmoidTargets::Dense(values) => values.get(element).map_or(0.0, |y| y.to_f64()),
            SigmoidTargets::MultiHot(labels) => {
                if labels.get(element) == Some(1) {
                    1.0
                } else {
                    0.0
                }
            }
            SigmoidTargets::Positives { offsets, classes } => {
                let (row, class) = self.row_and_class(element);
                let list = |row: usize| offsets.get(row).copied().unwrap_or_default();
                let here = |at| classes.get(at).is_some_and(|label| label as usize == class);
                if (list(row)..list(row + 1)).any(here) { 1.0 } else { 0.0 }
            }
        }
    }
}

/// Room for what the elements of a panel are compared with.
struct Scratch<F> {
    targets: [F; PANEL],
    weights: [F; PANEL],
    positive: [F; PANEL],
    upstream: [F; PANEL],
}

/// A batch, tile by tile.
struct Tiles<'a, 's, E: Element, L> {
    level: Level,
    batch: SigmoidBatch<'a, E>,
    scratch: &'s mut [E::Float],
    loss: L,
}

impl<'a, E: Element, L: ElementLoss> Tiles<'a, '_, E, L> {
    fn run(mut self) -> f64 {
        let Shape { outer, classes, inner, logits_stride, gradient_stride } = self.batch.job.shape;
        let line = classes * inner;
        if self.batch.job.options.mean_over_classes {
            return self.row_means();
        }
        if logits_stride == line && gradient_stride == line {
            return self.span(0, [0, 0], outer * line);
        }
        (0..outer)
            .map(|part| {
                self.span(part * line, [part * logits_stride, part * gradient_stride], line)
            })
            .sum()
    }

    fn elements(&self) -> Elements<L> {
        let SigmoidBatch { job, outputs, .. } = &self.batch;
        let mut scale = job.weights.scale;
        if job.options.mean_over_classes {
            scale /= job.shape.classes as f64;
        }
        Elements { loss: self.loss, scale, floor: outputs.convention.floor() }
    }

    /// The targets, if they are all that the elements are compared with and nothing is wanted but the
    /// gradient and the sum of the losses.
    fn plain_targets(&self) -> Option<&'a [E::Float]> {
        let SigmoidBatch { job, outputs, .. } = &self.batch;
        let RowWeights { sample_weights, upstream, .. } = job.weights;
        let options = &job.options;
        let factors = [options.class_weights, options.pos_weight, sample_weights, upstream];
        let plain = factors.iter().all(|factors| factors.is_empty())
            && options.label_smoothing == 0.0
            && outputs.losses.is_empty()
            && outputs.hessian.is_empty();
        match job.targets {
            SigmoidTargets::Dense(values) if plain => Some(values),
            _ => None,
        }
    }

    /// Neighbouring elements from `first` on, whose logits and gradients begin where it is said.
    fn span(&mut self, first: usize, at: [usize; 2], length: usize) -> f64 {
        let plain = self.plain_targets();
        let losses = core::mem::take(&mut self.batch.outputs.losses);
        let mut total = 0.0;
        // Converted, the memory of the next tile is fetched meanwhile: more could not be asked for at once.
        let step = if E::IS_FLOAT { TILE } else { TILE / 2 };
        for tile in (0..length).step_by(step) {
            let count = step.min(length - tile);
            let here = first + tile..first + tile + count;
            let losses = losses.get_mut(here.clone()).unwrap_or(&mut []);
            let plain = plain.and_then(|targets| targets.get(here));
            total += self.tile(first + tile, at.map(|at| at + tile), count, losses, plain);
        }
        self.batch.outputs.losses = losses;
        total
    }

    /// At most a tile of elements.
    fn tile(
        &mut self,
        first: usize,
        at: [usize; 2],
        count: usize,
        losses: &mut [E::Float],
        plain: Option<&[E::Float]>,
    ) -> f64 {
        let (level, elements) = (self.level, self.elements());
        let SigmoidBatch { buffers, job, outputs } = &mut self.batch;
        let hessian = outputs.hessian.get_mut(first..first + count).unwrap_or(&mut []);
        let window = Window::of(at, count);
        let sum = match buffers.open(level, window, self.scratch) {
            Opened::Loss(cells) => {
                Tile { job, cells, first, elements, plain, losses, hessian }.at(level)
            }
            Opened::Write(cells) => {
                Tile { job, cells, first, elements, plain, losses, hessian }.at(level)
            }
            Opened::Add(cells) => {
                Tile { job, cells, first, elements, plain, losses, hessian }.at(level)
            }
        };
        buffers.close(level, window, self.scratch);
        sum
    }

    /// Every row has the mean over its classes.
    fn row_means(&mut self) -> f64 {
        let Shape { outer, classes, inner, logits_stride, gradient_stride } = self.batch.job.shape;
        let losses = core::mem::take(&mut self.batch.outputs.losses);
        let mut put = |row: usize, loss: f64| {
            if let Some(place) = losses.get_mut(row) {
                *place = E::Float::from_f64(loss);
            }
            loss
        };
        let mut total = 0.0;
        for part in 0..outer {
            let first = part * classes * inner;
            let start = [part * logits_stride, part * gradient_stride];
            if inner == 1 {
                total += put(part, self.span(first, start, classes) / classes as f64);
                continue;
            }
            for position in (0..inner).step_by(PANEL) {
                let count = PANEL.min(inner - position);
                let mut sums = [ExactSum::default(); PANEL];
                for class in 0..classes {
                    let at = class * inner + position;
                    let mut of_class = [E::Float::default(); PANEL];
                    let of_class = &mut of_class[..count];
                    self.tile(first + at, start.map(|start| start + at), count, of_class, None);
                    for (sum, loss) in sums.iter_mut().zip(of_class) {
                        sum.add(loss.to_f64());
                    }
                }
                for (row, sum) in sums.iter().enumerate().take(count) {
                    total += put(part * inner + position + row, sum.total() / classes as f64);
                }
            }
        }
        total
    }
}

/// Neighbouring elements, at most a tile: the sum of their losses.
struct Tile<'t, 'a, F, L, const MODE: u8> {
    job: &'t Job<'a, F>,
    cells: Cells<'t, F, MODE>,
    first: usize,
    elements: Elements<L>,
    /// The targets, if nothing else is asked for.
    plain: Option<&'t [F]>,
    losses: &'t mut [F],
    hessian: &'t mut [F],
}

impl<F: Float, L: ElementLoss, const MODE: u8> Kernel for Tile<'_, '_, F, L, MODE> {
    type Output = f64;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> f64 {
        let Self { job, mut cells, first, elements, plain, losses, hessian } = self;
        let length = cells.len();
        let mut sum = StripedSum::<F::Of<S>>::new(simd);
        let mut at = 0;
        if let Some(targets) = plain {
            // The usual loss, in a loop of its own that asks nothing of a panel.
            for targets in targets.as_chunks::<PANEL>().0 {
                let Some(panel) = cells.take_whole::<PANEL>() else { break };
                let inputs = Inputs::plain(targets);
                let (losses, hessian) = (&mut [], &mut []);
                elements.panel::<_, MODE, true>(simd, panel, &inputs, losses, hessian, &mut sum);
                at += PANEL;
            }
        }
        if at == length {
            return sum.total();
        }
        let mut scratch = Scratch::new();
        while at < length {
            let count = PANEL.min(length - at);
            let inputs = job.inputs(first + at, count, &mut scratch);
            let cells = cells.take_front(count);
            let losses = losses.get_mut(at..at + count).unwrap_or(&mut []);
            let hessian = hessian.get_mut(at..at + count).unwrap_or(&mut []);
            elements.panel::<_, MODE, false>(simd, cells, &inputs, losses, hessian, &mut sum);
            at += count;
        }
        sum.total()
    }

    entries!();
}

impl<F: Float> Scratch<F> {
    fn new() -> Self {
        let zeros = [F::default(); PANEL];
        Self { targets: zeros, weights: zeros, positive: zeros, upstream: zeros }
    }
}
