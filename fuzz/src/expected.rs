//! The expected result of a call: whether it is refused, and all of its outputs.

use std::cell::OnceCell;

use xent::{MeanOver, NothingValid, Reduction};
use xent_reference::sum::sum;

use crate::answer::{Answer, Tolerance};
use crate::batch::{Batch, Given};
use crate::element::{self, Focus};
use crate::format::{Format, rounded};
use crate::input::{HessianName, Slice};
use crate::losses::{LossName, Settings};
use crate::softmax::{self, RowTarget, Terms, Weights};

/// Which outputs are asked for, given the lengths of their slices.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Lengths {
    pub(crate) losses: usize,
    pub(crate) log_sum_exp: usize,
    pub(crate) predicted: usize,
    pub(crate) hessian: usize,
}

/// A loss of a batch, as a caller describes it.
#[derive(Clone, Debug)]
pub(crate) struct Question<'a, E: Format> {
    pub(crate) loss: LossName,
    pub(crate) settings: Settings,
    pub(crate) batch: &'a Batch<E>,
    pub(crate) convention: HessianName,
    /// The classes of the rows with one label each, unless it is ignored.
    labels: Vec<Option<usize>>,
    /// Why the values of the batch are refused: the same for all calls.
    of_values: OnceCell<Option<&'static str>>,
}

/// The divisor of a mean.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct BatchCounts {
    pub(crate) valid_rows: usize,
    pub(crate) valid_losses: usize,
    class_weight: f64,
    weight: f64,
}

/// All outputs, each in the order of the batch without a stride.
#[derive(Clone, Debug)]
pub(crate) struct Expected {
    pub(crate) loss: Answer,
    pub(crate) denominator: f64,
    pub(crate) valid_rows: usize,
    pub(crate) losses: Vec<Answer>,
    pub(crate) gradient: Vec<Answer>,
    pub(crate) log_sum_exp: Vec<Answer>,
    /// None if a logit is NaN, for which nothing is promised.
    pub(crate) predicted: Vec<Option<u32>>,
    pub(crate) hessian: Vec<Answer>,
}

impl<'a, E: Format> Question<'a, E>
where
    E::Float: Format<Float = E::Float>,
{
    pub(crate) fn new(
        loss: LossName,
        settings: Settings,
        batch: &'a Batch<E>,
        convention: HessianName,
    ) -> Self {
        let labels = match &batch.given {
            Given::Index(labels) => labels.values(),
            _ => Vec::new(),
        };
        let ignored = settings.ignore.map(i128::from);
        let class = |label: i128| usize::try_from(label).ok().filter(|_| Some(label) != ignored);
        let labels = labels.into_iter().map(class).collect();
        Self { loss, settings, batch, convention, labels, of_values: OnceCell::new() }
    }

    fn wide(values: &[E::Float]) -> Vec<f64> {
        values.iter().map(|v| v.wide()).collect()
    }

    fn is_focal(&self) -> bool {
        self.settings.gamma != 0.0 || self.settings.alpha.is_some()
    }

    /// Why the loss cannot be built.
    pub(crate) fn options_refused(&self) -> Option<&'static str> {
        let Settings { smoothing, gamma, alpha, z_loss, soft_cap, temperature, .. } = self.settings;
        let finite = |x: f64, least: f64| x.is_finite() && x >= least;
        let weights = |of: &[E::Float]| of.iter().all(|w| finite(w.wide(), 0.0));
        let tiny = f64::from_bits(1);
        let Batch { class_weights, pos_weight, .. } = self.batch;
        let smoothed = smoothing != 0.0;
        [
            (!weights(class_weights) || !weights(pos_weight), "weights"),
            (!(0.0..=1.0).contains(&smoothing), "smoothing"),
            (!finite(gamma, 0.0), "gamma"),
            (alpha.is_some_and(|alpha| !(0.0..=1.0).contains(&alpha)), "alpha"),
            (!finite(z_loss, 0.0), "z-loss"),
            (soft_cap.is_some_and(|cap| !(finite(cap, 0.0) && cap > 0.0)), "soft cap"),
            (
                soft_cap.is_some_and(|cap| !finite(rounded::<E::Float>(cap), tiny)),
                "soft cap of the format",
            ),
            (!(finite(temperature, 0.0) && temperature > 0.0), "temperature"),
            (self.loss.is_of_softmax() && gamma != 0.0 && smoothed, "gamma with smoothing"),
            (
                self.settings.caffe && (smoothed || !class_weights.is_empty()),
                "the gradient of Caffe with weights",
            ),
        ]
        .into_iter()
        .find_map(|(refused, why)| refused.then_some(why))
    }

    /// Why a call of the loss is refused, before its rows are examined.
    fn shape_refused(&self, gradient: Option<usize>, lengths: Lengths) -> Option<&'static str> {
        let Self { loss, settings, batch, .. } = self;
        let layout = batch.layout;
        let (rows, classes) = (layout.rows(), layout.classes);
        let losses = if loss.has_losses_of_elements() { layout.elements() } else { rows };
        let optional = |found: usize, expected: usize| found != 0 && found != expected;
        let mut why = Vec::new();
        let mut refuse = |when: bool, reason: &'static str| {
            if when {
                why.push(reason);
            }
        };
        // The last row may be as long as the stride.
        let fits = |found: usize| (layout.span()..=layout.outer * layout.stride).contains(&found);
        refuse(!fits(batch.logits.len()), "length of the logits");
        refuse(gradient.is_some_and(|found| !fits(found)), "length of the gradient");
        refuse(optional(batch.class_weights.len(), classes), "length of the class weights");
        let positive = batch.pos_weight.len();
        // One for all classes.
        refuse(positive != 1 && optional(positive, classes), "length of the positive weights");
        refuse(optional(batch.sample_weights.len(), rows), "length of the sample weights");
        refuse(optional(batch.upstream.len(), losses), "length of the upstream gradient");
        refuse(optional(lengths.losses, losses), "length of the losses");
        refuse(optional(lengths.log_sum_exp, rows), "length of the log-sum-exp");
        refuse(optional(lengths.predicted, rows), "length of the predicted classes");
        refuse(optional(lengths.hessian, layout.elements()), "length of the Hessian");
        let of_rows = lengths.log_sum_exp + lengths.predicted != 0;
        refuse(of_rows && !loss.is_of_softmax(), "outputs of a softmax");
        if lengths.hessian != 0 {
            let mapped = settings.soft_cap.is_some() || settings.z_loss != 0.0;
            let probabilities = matches!(
                loss,
                LossName::LogisticLoss
                    | LossName::NegativeLogLikelihood
                    | LossName::MultinomialLogistic
            );
            refuse(probabilities, "Hessian of probabilities");
            let is_exact = matches!(self.convention, HessianName::Exact);
            refuse((mapped || self.is_focal()) && !is_exact, "convention of the Hessian");
            let of_mean = settings.reduction == Reduction::Mean;
            refuse(of_mean && !is_exact, "convention of boosting with a mean");
            let undefined = classes < 2 && matches!(self.convention, HessianName::LightGbm);
            refuse(undefined && loss.is_of_softmax(), "Hessian of one class");
        }
        let sixteen = E::STORED != E::COMPUTED;
        let long_columns = sixteen && layout.inner != 1 && classes > 4096;
        let is_taught = matches!(batch.given, Given::Teacher(_));
        refuse(is_taught && long_columns, "columns of sixteen bits with a teacher");
        let upstream = !batch.upstream.is_empty() && settings.reduction != Reduction::None;
        refuse(upstream, "upstream gradient with a reduction");
        refuse(!self.has_kind(), "kind of the targets");
        let inverse = rounded::<E::Float>(1.0 / settings.temperature);
        refuse(inverse == 0.0 || inverse.is_infinite(), "temperature without an inverse");
        let ignoring = settings.ignore.is_some();
        match &batch.given {
            Given::Index(labels) if !loss.is_of_elements() => {
                refuse(labels.values().len() != rows, "length of the labels");
            }
            Given::Index(labels) | Given::MultiHot(labels) => {
                refuse(labels.values().len() != layout.elements(), "length of the targets");
            }
            Given::Dense(values) | Given::Teacher(values) => {
                refuse(values.len() != layout.elements(), "length of the targets");
                refuse(ignoring, "ignored numbers");
                let focal = settings.gamma != 0.0 && loss.is_of_softmax();
                refuse(focal, "focal loss of dense targets");
            }
            Given::Positives(offsets, positives) => {
                refuse(ignoring && loss.is_of_elements(), "ignored lists");
                let ordered = offsets.windows(2).all(|pair| pair[0] <= pair[1]);
                refuse(!ordered || offsets.first() != Some(&0), "offsets");
                refuse(offsets.len() != rows + 1, "length of the offsets");
                let last = offsets.last().copied().unwrap_or_default();
                refuse(last != positives.values().len(), "length of the positive classes");
            }
        }
        why.first().copied()
    }

    fn has_kind(&self) -> bool {
        match (&self.batch.given, self.loss) {
            (Given::Index(_), LossName::SoftmaxCrossEntropy) => true,
            (Given::Index(_), LossName::NegativeLogLikelihood | LossName::MultinomialLogistic) => {
                true
            }
            // One label for every logit; also of no rows, which have no logits either.
            (Given::Index(labels), loss) => {
                let layout = self.batch.layout;
                let of_logits = labels.values().len() == layout.elements();
                loss.is_of_elements() && (layout.classes == 1 || of_logits)
            }
            (Given::Dense(_), loss) => {
                loss.is_of_elements()
                    || matches!(loss, LossName::SoftmaxCrossEntropy | LossName::MultiLabelSoftmax)
            }
            (Given::MultiHot(_) | Given::Positives(..), loss) => loss.is_of_elements(),
            (Given::Teacher(_), loss) => loss == LossName::Distillation,
        }
    }

    fn dense(&self) -> &[E::Float] {
        match &self.batch.given {
            Given::Dense(values) | Given::Teacher(values) => values,
            _ => &[],
        }
    }

    /// Why the values of a batch with the right lengths are refused.
    fn values_refused(&self) -> Option<&'static str> {
        let Self { loss, batch, settings, .. } = self;
        let layout = batch.layout;
        let is_bad = |label: i128, classes: usize| {
            !(0..classes as i128).contains(&label) && Some(label) != settings.ignore.map(i128::from)
        };
        let (labels, classes) = match &batch.given {
            Given::Index(labels) if !loss.is_of_elements() => (labels.values(), layout.classes),
            Given::Index(labels) | Given::MultiHot(labels) => (labels.values(), 2),
            Given::Positives(_, labels) => (labels.values(), layout.classes),
            _ => (Vec::new(), 0),
        };
        if labels.iter().any(|&label| is_bad(label, classes)) {
            return Some("label");
        }
        let is_no_share = |p: f64| !(0.0..=1.0).contains(&p);
        let is_no_weight = |w: f64| !(w.is_finite() && w >= 0.0);
        if let Given::Dense(values) = &batch.given {
            let is_bad = |y: &E::Float| {
                if loss.is_of_elements() { is_no_share(y.wide()) } else { is_no_weight(y.wide()) }
            };
            if values.iter().any(is_bad) {
                return Some("target out of its range");
            }
        }
        if batch.sample_weights.iter().any(|w| !w.wide().is_finite()) {
            return Some("sample weight that is not finite");
        }
        let probabilities = match loss {
            LossName::LogisticLoss => {
                let targets = self.element_targets();
                let counts = |row, class| {
                    !targets[layout.place(row, class)].1
                        && self.class_weight(class) != 0.0
                        && self.sample_weight(row) != 0.0
                };
                (0..layout.rows()).any(|row| {
                    let p = batch.row(row).into_iter().enumerate();
                    p.into_iter().any(|(class, p)| is_no_share(p) && counts(row, class))
                })
            }
            LossName::MultinomialLogistic => {
                (0..layout.rows()).any(|row| self.picked(row).is_some_and(is_no_share))
            }
            _ => false,
        };
        probabilities.then_some("probability")
    }

    /// The result of a call, or why it is refused.
    pub(crate) fn refused(
        &self,
        gradient: Option<usize>,
        lengths: Lengths,
    ) -> Option<&'static str> {
        let of_values = || {
            self.values_refused().or_else(|| {
                let counts = self.batch_counts();
                let nothing = counts.valid_losses == 0 || self.is_of_nothing(&counts);
                let empty = (0..self.batch.layout.rows()).any(|row| self.is_empty(row));
                let error = self.settings.nothing_valid == NothingValid::Error;
                (error && (nothing || empty)).then_some("nothing valid")
            })
        };
        let shape = self.shape_refused(gradient, lengths);
        shape.or_else(|| *self.of_values.get_or_init(of_values))
    }

    fn sample_weight(&self, row: usize) -> f64 {
        self.batch.sample_weights.get(row).map_or(1.0, |w| w.wide())
    }

    fn class_weight(&self, class: usize) -> f64 {
        self.batch.class_weights.get(class).map_or(1.0, |w| w.wide())
    }

    /// The class of a row, unless it is ignored.
    fn label(&self, row: usize) -> Option<usize> {
        *self.labels.get(row)?
    }

    /// The probability of the label of a row, if it counts.
    fn picked(&self, row: usize) -> Option<f64> {
        let counts =
            |class: &usize| self.class_weight(*class) != 0.0 && self.sample_weight(row) != 0.0;
        let class = self.label(row).filter(counts)?;
        Some(self.batch.row(row)[class])
    }

    /// The row's part of the dense targets.
    fn dense_row(&self, row: usize) -> Vec<f64> {
        let layout = self.batch.layout;
        let values = self.dense();
        (0..layout.classes).map(|class| values[layout.place(row, class)].wide()).collect()
    }

    /// Whether a multi-label row has no label.
    fn is_empty(&self, row: usize) -> bool {
        self.loss == LossName::MultiLabelSoftmax
            && self.sample_weight(row) != 0.0
            && self.dense_row(row).iter().all(|&label| label == 0.0)
    }

    /// Whether a row is not ignored and has a target, whatever its weight.
    fn counts(&self, row: usize) -> bool {
        let has_label = !matches!(self.batch.given, Given::Index(_)) || self.label(row).is_some();
        let is_empty = self.loss == LossName::MultiLabelSoftmax
            && self.dense_row(row).iter().all(|&label| label == 0.0);
        has_label && !is_empty
    }

    /// Whether a row counts.
    fn is_live(&self, row: usize) -> bool {
        let has_label = !matches!(self.batch.given, Given::Index(_)) || self.label(row).is_some();
        self.sample_weight(row) != 0.0 && has_label && !self.is_empty(row)
    }

    /// The target of an element, and whether it is ignored.
    fn element_targets(&self) -> Vec<(f64, bool)> {
        let Self { batch, settings, .. } = self;
        let layout = batch.layout;
        match &batch.given {
            Given::Dense(values) => values.iter().map(|y| (y.wide(), false)).collect(),
            Given::Index(labels) | Given::MultiHot(labels) => labels
                .values()
                .into_iter()
                .map(|label| {
                    (f64::from(label == 1), Some(label) == settings.ignore.map(i128::from))
                })
                .collect(),
            Given::Positives(offsets, positives) => {
                let positives = positives.values();
                let mut targets = vec![(0.0, false); layout.elements()];
                for row in 0..layout.rows() {
                    for &class in &positives[offsets[row]..offsets[row + 1]] {
                        targets[layout.place(row, class as usize)].0 = 1.0;
                    }
                }
                targets
            }
            Given::Teacher(_) => Vec::new(),
        }
    }

    fn batch_counts(&self) -> BatchCounts {
        let layout = self.batch.layout;
        let mut counts = BatchCounts::default();
        let (mut class_weights, mut weights) = (Vec::new(), Vec::new());
        let mut weigh = |class: f64, sample: f64| {
            class_weights.push(class);
            weights.push(class * sample);
        };
        let elements = if self.loss.is_of_elements() { self.element_targets() } else { Vec::new() };
        for row in 0..layout.rows() {
            let sample = self.sample_weight(row);
            if !self.loss.is_of_elements() {
                if self.counts(row) {
                    counts.valid_rows += 1;
                    counts.valid_losses += 1;
                    let class = self.label(row).map_or(1.0, |class| self.class_weight(class));
                    weigh(class, sample);
                }
                continue;
            }
            let mut valid = 0;
            for class in 0..layout.classes {
                if !elements[layout.place(row, class)].1 {
                    valid += 1;
                    weigh(self.class_weight(class), sample);
                }
            }
            counts.valid_rows += usize::from(valid != 0);
            let of_elements = self.loss.has_losses_of_elements();
            counts.valid_losses += if of_elements { valid } else { usize::from(valid != 0) };
        }
        counts.class_weight = sum(class_weights);
        counts.weight = sum(weights);
        counts
    }

    /// The divisor of a mean, whatever the reduction.
    pub(crate) fn denominator(&self, counts: &BatchCounts) -> f64 {
        let rows = self.batch.layout.rows() as f64;
        match self.settings.mean_over {
            MeanOver::NotIgnored => counts.valid_losses as f64,
            MeanOver::AllRows => rows,
            MeanOver::Weights => counts.weight,
            _ if self.loss.is_of_elements() => counts.valid_losses as f64,
            _ if matches!(self.batch.given, Given::Index(_)) => counts.class_weight,
            _ => rows,
        }
    }

    /// Whether it is a mean over nothing.
    fn is_of_nothing(&self, counts: &BatchCounts) -> bool {
        let divisor = self.denominator(counts);
        let nothing = counts.valid_losses == 0 || divisor.is_nan() || divisor <= 0.0;
        self.settings.reduction == Reduction::Mean && nothing
    }

    fn divisor(&self, counts: &BatchCounts) -> f64 {
        match self.settings.reduction {
            Reduction::Mean => self.denominator(counts),
            Reduction::None | Reduction::Sum => 1.0,
        }
    }

    /// Whether the options are small enough that nothing overflows: others are accepted, but the results are not
    /// judged.
    fn is_moderate(&self) -> bool {
        let Settings { gamma, alpha, z_loss, soft_cap, temperature, smoothing, .. } = self.settings;
        let within = |x: f64, least: f64, most: f64| x == 0.0 || (least..=most).contains(&x);
        let weights = |of: &[E::Float]| of.iter().all(|w| within(w.wide(), 1e-6, 1e6));
        weights(&self.batch.class_weights)
            && weights(&self.batch.pos_weight)
            && within(smoothing, 1e-9, 1.0)
            && within(gamma, 1e-3, 16.0)
            && within(alpha.unwrap_or(0.0), 1e-6, 1.0)
            && within(z_loss, 1e-6, 1e3)
            && within(soft_cap.unwrap_or(0.0), 1e-2, 1e3)
            && within(temperature, 1e-2, 1e2)
    }

    /// All outputs of a call that is not refused.
    pub(crate) fn answer(&self) -> Expected {
        let layout = self.batch.layout;
        let tolerance = Tolerance::new(E::COMPUTED);
        let counts = self.batch_counts();
        let divisor = self.divisor(&counts);
        let nothing = self.is_of_nothing(&counts);
        let is_nan = self.settings.nothing_valid == NothingValid::Nan;
        let scale = if nothing { 0.0 } else { self.batch.scale / divisor };
        let rows = layout.rows();
        let of_elements = self.loss.is_of_elements();
        let losses = if self.loss.has_losses_of_elements() { layout.elements() } else { rows };
        let mut expected = Expected {
            loss: Answer::ANYTHING,
            denominator: divisor,
            valid_rows: counts.valid_rows,
            losses: vec![Answer::ZERO; losses],
            gradient: vec![Answer::ZERO; layout.elements()],
            log_sum_exp: vec![Answer::ANYTHING; rows],
            predicted: vec![None; rows],
            hessian: vec![Answer::ANYTHING; layout.elements()],
        };
        if !self.is_moderate() {
            expected.losses.fill(Answer::ANYTHING);
            expected.gradient.fill(Answer::ANYTHING);
            if self.loss.is_of_softmax() {
                (0..rows).for_each(|row| expected.predicted[row] = self.predicted(row));
            }
        } else if of_elements {
            self.elements(&mut expected, scale, tolerance);
        } else {
            (0..rows).for_each(|row| self.row(row, &mut expected, scale, tolerance));
        }
        if nothing && self.is_moderate() {
            self.gradient_of_nothing(&mut expected, is_nan);
        }
        expected.loss = match self.settings.reduction {
            Reduction::Mean if nothing => Answer::exact(if is_nan { f64::NAN } else { 0.0 }),
            _ => self.total(&expected.losses, divisor, tolerance),
        };
        expected
    }

    /// The gradient of a mean over nothing: zero, or NaN for rows that are not ignored. Rows that are not finite
    /// are not judged.
    fn gradient_of_nothing(&self, expected: &mut Expected, is_nan: bool) {
        let layout = self.batch.layout;
        for row in 0..layout.rows() {
            if !self.is_live(row) || self.loss.is_of_elements() && is_nan {
                continue;
            }
            // A product that overflows, times zero, is NaN.
            let is_judged = moderate(self.sample_weight(row)) && moderate(self.batch.scale);
            let teacher =
                matches!(self.batch.given, Given::Teacher(_)).then(|| self.dense_row(row));
            let mut numbers = self.batch.row(row).into_iter().chain(teacher.into_iter().flatten());
            let is_finite = is_judged && numbers.all(f64::is_finite);
            for class in 0..layout.classes {
                let place = layout.place(row, class);
                let is_other = !self.loss.is_of_softmax() && self.label(row) != Some(class);
                expected.gradient[place] = match (is_finite, is_nan) {
                    (true, false) => Answer::ZERO,
                    (true, true) if self.loss.is_of_softmax() => Answer::exact(f64::NAN),
                    _ if is_judged && is_other && !self.loss.is_of_elements() => Answer::ZERO,
                    _ => Answer::ANYTHING,
                };
            }
        }
    }

    fn total(&self, losses: &[Answer], divisor: f64, tolerance: Tolerance) -> Answer {
        let mut all = losses.iter().fold(Answer::ZERO, |sum, &loss| sum.plus(loss));
        all.value = sum(losses.iter().map(|loss| loss.value));
        if all.is_anything() || !moderate(divisor) {
            return Answer::ANYTHING;
        }
        if !all.value.is_finite() {
            return Answer::exact(all.value / divisor);
        }
        let size: f64 = losses.iter().map(|loss| loss.value.abs()).sum();
        if tolerance.overflows(size) {
            return Answer::ANYTHING;
        }
        // Losses of one size are summed with compensation, in f32 too.
        let rounding = 2.0 * tolerance.format.spacing(size) + 1e-13 * size;
        let allowed = (all.allowed + rounding) / divisor.abs();
        Answer { value: all.value / divisor, allowed }
    }

    fn curvature(&self, curvature: Answer, factor: f64, tolerance: Tolerance) -> Answer {
        let classes = self.batch.layout.classes as f64;
        let of_softmax = self.loss.is_of_softmax();
        let (more, floor) = match self.convention {
            // Those of a focal loss, of a soft cap and of the z-loss can be negative.
            HessianName::Exact => (1.0, f64::NEG_INFINITY),
            // For elements the floor is applied before the weight.
            HessianName::XgBoost if of_softmax => (2.0, 1e-16),
            HessianName::XgBoost => (1.0, 0.0),
            HessianName::LightGbm => {
                (if of_softmax { classes / (classes - 1.0) } else { 1.0 }, 0.0)
            }
        };
        if factor < 0.0 || more.is_infinite() {
            return Answer::ANYTHING;
        }
        let h = tolerance.times(curvature, factor * more);
        if h.value < floor { Answer { value: floor, allowed: h.allowed + 1e-22 } } else { h }
    }

    /// The class of the largest logit, the first of equals; the first NaN, if there is one.
    fn predicted(&self, row: usize) -> Option<u32> {
        let (mut best, mut max) = (0, f64::NEG_INFINITY);
        for (class, x) in self.batch.row(row).into_iter().enumerate() {
            if x.is_nan() {
                return Some(class as u32);
            }
            if x > max {
                (best, max) = (class, x);
            }
        }
        Some(best as u32)
    }

    /// The number of rows that are not ignored and predicted right, and their share by sample weights, if these sum
    /// to more than zero.
    pub(crate) fn correct(&self, predicted: &[u32]) -> (usize, Option<f64>) {
        let labelled = (0..predicted.len()).filter_map(|row| Some((row, self.label(row)?)));
        let is_right = |&(row, label): &(usize, usize)| label == predicted[row] as usize;
        let (mut right, mut all) = (Vec::new(), Vec::new());
        for row in labelled {
            all.push(self.sample_weight(row.0));
            if is_right(&row) {
                right.push(self.sample_weight(row.0));
            }
        }
        let (count, right, all) = (right.len(), sum(right), sum(all));
        (count, (all > 0.0).then(|| right / all))
    }

    /// The number of rows that are not ignored and have logits without a softmax, and the first of them.
    pub(crate) fn not_finite(&self) -> Option<(usize, Option<usize>)> {
        // The teacher's row may be the one that is not finite; the other losses have rules of their own.
        let plain =
            matches!(self.loss, LossName::SoftmaxCrossEntropy | LossName::MultiLabelSoftmax);
        let is_odd = |row: &usize| {
            let x = self.batch.row(*row);
            x.iter().any(|x| x.is_nan() || *x == f64::INFINITY)
                || x.iter().all(|x| *x == f64::NEG_INFINITY)
        };
        let is_ignored =
            |row: &usize| matches!(self.batch.given, Given::Index(_)) && self.label(*row).is_none();
        let mut rows = (0..self.batch.layout.rows()).filter(|row| is_odd(row) && !is_ignored(row));
        // A loss that overflows on the way is not finite either.
        (plain && self.is_moderate()).then(|| {
            let first = rows.next();
            (usize::from(first.is_some()) + rows.count(), first)
        })
    }

    /// The number of probabilities that count and are clamped, if that depends only on the probability.
    pub(crate) fn clamped(&self) -> Option<usize> {
        let rows = 0..self.batch.layout.rows();
        match self.loss {
            LossName::LogisticLoss => None,
            LossName::MultinomialLogistic => {
                Some(rows.filter(|&row| self.picked(row).is_some_and(|p| p < 1e-20)).count())
            }
            _ => Some(0),
        }
    }

    fn upstream(&self, loss: usize) -> f64 {
        self.batch.upstream.get(loss).map_or(1.0, |upstream| upstream.wide())
    }

    /// A row of a softmax loss, or of a loss that depends on the label's input only.
    fn row(&self, row: usize, expected: &mut Expected, scale: f64, tolerance: Tolerance) {
        let Self { loss, settings, batch, .. } = self;
        let layout = batch.layout;
        let x = batch.row(row);
        let sample = self.sample_weight(row);
        let factor = sample * scale * self.upstream(row);
        let judged = moderate(sample);
        let judged_gradient = judged
            && moderate(scale)
            && moderate(batch.scale)
            && (self.upstream(row) == 0.0 || moderate(self.upstream(row)));
        let live = self.is_live(row);

        if !loss.is_of_softmax() {
            let Some(class) = self.label(row).filter(|_| live) else { return };
            let weight = self.class_weight(class) * sample;
            let (of_loss, gradient) = element::picked(*loss, x[class], tolerance);
            let place = layout.place(row, class);
            if weight == 0.0 {
                // Whatever follows. Of a scale that is NaN, which may be that of a mean over nothing, so is the gradient.
                expected.gradient[place] = judged_or(!scale.is_nan(), Answer::ZERO);
                return;
            }
            expected.losses[row] = judged_or(judged, tolerance.times(of_loss, weight));
            let factor = factor * self.class_weight(class);
            expected.gradient[place] =
                judged_or(judged_gradient, tolerance.times(gradient, factor));
            return;
        }

        let smoothing = settings.smoothing;
        let weights = Self::wide(&batch.class_weights);
        let some_weights = (!weights.is_empty()).then_some(&weights[..]);
        let soft_cap = settings.soft_cap.map(rounded::<E::Float>);
        let terms = Terms { gamma: settings.gamma, z_loss: settings.z_loss, soft_cap };
        let (dense, of_gradient, sizes);
        let target = match &batch.given {
            Given::Index(_) => match self.label(row) {
                Some(label) if smoothing == 0.0 => {
                    RowTarget::Label(label, self.class_weight(label))
                }
                Some(label) => {
                    dense = xent_reference::targets::smoothed(
                        layout.classes,
                        label,
                        smoothing,
                        some_weights,
                    );
                    let (of_loss, of_gradient, sizes) = (&dense[..], &dense[..], &dense[..]);
                    RowTarget::Weights(Weights { of_loss, of_gradient, sizes })
                }
                None => RowTarget::Label(0, 1.0),
            },
            Given::Teacher(_) => {
                dense = self.dense_row(row);
                RowTarget::Teacher(&dense, &weights, settings.temperature)
            }
            _ => {
                let given = self.dense_row(row);
                let q = if *loss == LossName::MultiLabelSoftmax {
                    xent_reference::targets::multilabel(&given)
                } else {
                    given
                };
                of_gradient = settings.caffe.then(|| {
                    let labels = q.iter().filter(|&&q| q != 0.0).count().max(1) as f64;
                    q.iter().map(|&q| if q == 0.0 { 0.0 } else { 1.0 / labels }).collect::<Vec<_>>()
                });
                let smoothed =
                    |q: &[f64]| xent_reference::targets::smoothed_dense(q, smoothing, some_weights);
                dense = smoothed(&q);
                // A negative label reduces the share from smoothing.
                sizes = smoothed(&q.iter().map(|q| q.abs()).collect::<Vec<_>>());
                RowTarget::Weights(Weights {
                    of_loss: &dense,
                    of_gradient: of_gradient.as_deref().unwrap_or(&dense),
                    sizes: &sizes,
                })
            }
        };
        let answers = softmax::row(&x, target, terms, tolerance);
        expected.predicted[row] = self.predicted(row);
        expected.log_sum_exp[row] = answers.log_sum_exp;
        let skipped = if self.is_empty(row) && settings.nothing_valid == NothingValid::Nan {
            f64::NAN
        } else {
            0.0
        };
        expected.losses[row] = if live {
            judged_or(judged, tolerance.times(answers.loss, sample))
        } else {
            Answer::exact(skipped)
        };
        for (class, gradient) in answers.gradient.iter().enumerate() {
            let place = layout.place(row, class);
            expected.gradient[place] = if live {
                judged_or(judged_gradient, tolerance.times(*gradient, factor))
            } else {
                Answer::exact(skipped)
            };
            if live && !settings.caffe {
                let h = self.curvature(answers.curvature[class], factor, tolerance);
                expected.hessian[place] = judged_or(judged_gradient, h);
            }
        }
    }

    fn elements(&self, expected: &mut Expected, scale: f64, tolerance: Tolerance) {
        let Self { loss, settings, batch, .. } = self;
        let layout = batch.layout;
        let targets = self.element_targets();
        let focus = Focus { gamma: settings.gamma, alpha: settings.alpha.map(rounded::<E::Float>) };
        let of_rows = !loss.has_losses_of_elements();
        let keep = 1.0 - settings.smoothing;
        for row in 0..layout.rows() {
            let x = batch.row(row);
            let sample = self.sample_weight(row);
            let mut sum = Answer::ZERO;
            let mut terms = Vec::new();
            for (class, x) in x.into_iter().enumerate() {
                let place = layout.place(row, class);
                let (y, ignored) = targets[place];
                // The target is rounded to the format before it is used.
                let y = if settings.smoothing == 0.0 {
                    y
                } else {
                    rounded::<E::Float>(y * keep + 0.5 * settings.smoothing)
                };
                let weight = if ignored { 0.0 } else { self.class_weight(class) * sample };
                let of_class = if batch.pos_weight.len() == 1 { 0 } else { class };
                let positive = batch.pos_weight.get(of_class).map_or(1.0, |q| q.wide());
                let upstream = self.upstream(if of_rows { row } else { place });
                let of_row = if of_rows { layout.classes as f64 } else { 1.0 };
                let factor = scale * upstream / of_row;
                let judged = moderate(weight) || weight == 0.0;
                let judged_gradient = judged
                    && moderate(scale)
                    && moderate(batch.scale)
                    && (upstream == 0.0 || moderate(upstream));
                // An ignored element need not be a probability.
                let answers = (weight != 0.0)
                    .then(|| element::element(*loss, (x, y), positive, focus, tolerance));
                let of_loss = answers.map_or(Answer::ZERO, |answers| {
                    judged_or(judged, tolerance.times(answers.loss, weight))
                });
                if of_rows {
                    sum = sum.plus(of_loss);
                    terms.push(of_loss.value);
                } else {
                    expected.losses[place] = of_loss;
                }
                let Some(answers) = answers else {
                    expected.gradient[place] = Answer::ZERO;
                    // An ignored element of weight zero may have either.
                    expected.hessian[place] = Answer::ANYTHING;
                    continue;
                };
                let gradient = tolerance.times(answers.gradient, factor);
                let gradient = tolerance.times(gradient, weight);
                expected.gradient[place] = judged_or(judged_gradient, gradient);
                let is_floored = matches!(self.convention, HessianName::XgBoost)
                    && answers.curvature.value < 1e-12;
                let h = if is_floored { Answer::ANYTHING } else { answers.curvature };
                let h = tolerance.times(h, factor);
                let h = self.curvature(h, weight, tolerance);
                let h = if factor < 0.0 { Answer::ANYTHING } else { h };
                expected.hessian[place] = judged_or(judged_gradient, h);
            }
            if of_rows {
                let classes = layout.classes as f64;
                sum.value = xent_reference::sum::sum(terms);
                let value = sum.value / classes;
                let rounding = tolerance.near(value, 0.0, 2.0).allowed;
                expected.losses[row] = Answer { value, allowed: sum.allowed / classes + rounding };
                if !sum.value.is_finite() && !sum.is_anything() {
                    expected.losses[row].allowed = 0.0;
                } else if tolerance.overflows(sum.value) {
                    // Tiles are added up in the format of the computation.
                    expected.losses[row] = Answer::ANYTHING;
                }
            }
        }
    }

    /// The length of a slice that is written.
    pub(crate) fn lengths(&self, asked: Lengths) -> Lengths {
        let batch = self.batch;
        Lengths {
            losses: batch.length_of(Slice::Losses, asked.losses),
            log_sum_exp: batch.length_of(Slice::LogSumExp, asked.log_sum_exp),
            predicted: batch.length_of(Slice::Predicted, asked.predicted),
            hessian: batch.length_of(Slice::Hessian, asked.hessian),
        }
    }

    /// The [`denominator`](Self::denominator) of this batch.
    pub(crate) fn of_mean(&self) -> f64 {
        self.denominator(&self.batch_counts())
    }
}

/// Whether a factor is small enough that nothing overflows.
fn moderate(factor: f64) -> bool {
    (1e-6..=1e6).contains(&factor.abs())
}

fn judged_or(judged: bool, answer: Answer) -> Answer {
    if judged { answer } else { Answer::ANYTHING }
}
