//! The rows whose gradient does not come from the kernels.

use super::format::Float;
use core::ops::Range;

use super::rows::Outputs;
use super::softmax_spec::{RowParams, SoftmaxSpec, State};
use super::softmax_targets::SoftmaxTargets;
use crate::kernel::row_buffers::RowBuffers;
use crate::kernel::sum::sum_of;
use crate::level::Level;
use crate::math::scalar;

/// An overview of a row before any arithmetic.
#[derive(Clone, Copy, Debug)]
pub(super) struct Extremes {
    pub(super) max: f64,
    pub(super) argmax: usize,
    /// The class of the first NaN or, without one, of the largest logit.
    pub(super) predicted: usize,
    pub(super) infinite: usize,
    pub(super) any_nan: bool,
}

impl Extremes {
    fn of(logits: impl Iterator<Item = f64>) -> Self {
        let mut seen =
            Self { max: f64::NEG_INFINITY, argmax: 0, predicted: 0, infinite: 0, any_nan: false };
        for (class, x) in logits.enumerate() {
            if x > seen.max {
                seen.max = x;
                seen.argmax = class;
            }
            if x.is_nan() && !seen.any_nan {
                seen.predicted = class;
            }
            seen.infinite += usize::from(x == f64::INFINITY);
            seen.any_nan |= x.is_nan();
        }
        if !seen.any_nan {
            seen.predicted = seen.argmax;
        }
        seen
    }

    /// With NaN, with several `+inf`, or without a finite logit, the softmax is undefined.
    pub(super) fn undefined(&self) -> bool {
        self.any_nan || self.infinite > 1 || self.max == f64::NEG_INFINITY
    }

    /// Whether there is a softmax that is not a limit.
    pub(super) fn is_finite(&self) -> bool {
        !self.undefined() && self.max != f64::INFINITY
    }

    pub(super) fn log_sum_exp(&self) -> f64 {
        if self.any_nan { f64::NAN } else { self.max }
    }
}

/// A row, class by class.
pub(super) trait DegenerateRow<F> {
    fn logit(&self, class: usize) -> f64;

    /// Writes the derivative by a class.
    fn put(&mut self, class: usize, gradient: F);

    /// The second derivative by a logit, from the derivatives by the capped logit.
    fn second(&self, _: usize, _: f64, hessian: f64) -> f64 {
        hessian
    }
}

impl<F: Float> DegenerateRow<F> for RowBuffers<'_, F> {
    fn logit(&self, class: usize) -> f64 {
        number(self.logits().get(class))
    }

    fn put(&mut self, class: usize, gradient: F) {
        self.put_one(class, gradient);
    }
}

/// A row whose classes are not contiguous: the first class, and the step to the next.
pub(super) struct Column<'c, R> {
    pub(super) cells: &'c mut R,
    pub(super) first: usize,
    pub(super) step: usize,
}

impl<F, R: DegenerateRow<F>> DegenerateRow<F> for Column<'_, R> {
    fn logit(&self, class: usize) -> f64 {
        self.cells.logit(self.first + class * self.step)
    }

    fn put(&mut self, class: usize, gradient: F) {
        self.cells.put(self.first + class * self.step, gradient);
    }
}

/// NaN if there is none.
fn number<F: Float>(logit: Option<&F>) -> f64 {
    logit.map_or(f64::NAN, |logit| logit.to_f64())
}

impl<F: Float> SoftmaxSpec<'_, F> {
    /// A row that no kernel has computed. Of one that is ignored or empty, its log-sum-exp, if the sums of its tiles
    /// are known.
    #[cold]
    #[inline(never)]
    pub(super) fn fallback_row(
        &self,
        row: usize,
        params: &RowParams,
        log_sum_exp: Option<f64>,
        cells: &mut impl DegenerateRow<F>,
        outputs: &mut Outputs<'_, F>,
    ) -> f64 {
        let classes = 0..self.shape.classes;
        let seen = Extremes::of(classes.clone().map(|class| cells.logit(class)));
        if params.state == State::Live {
            return self.degenerate_row(row, params, seen, classes, cells, outputs);
        }
        let log_sum_exp = match log_sum_exp {
            Some(known) => known,
            None if seen.is_finite() && !outputs.log_sum_exp.is_empty() => {
                let max = seen.max * self.unit();
                let others = classes.clone().filter(|class| *class != seen.argmax);
                let exp = |class| scalar::exp(cells.logit(class) * self.unit() - max);
                max + scalar::log1p(sum_of(others.map(exp)))
            }
            None => 0.0,
        };
        self.skipped_row(row, params, (seen, log_sum_exp), classes, cells, outputs)
    }

    /// A row that is ignored or has no target: its loss and gradient are zero, or NaN if it should
    /// have had a target. Outputs that do not depend on its target are computed all the same. `log_sum_exp` is that
    /// of a finite row. The gradient is that of some of its classes.
    pub(super) fn skipped_row(
        &self,
        row: usize,
        params: &RowParams,
        (x, log_sum_exp): (Extremes, f64),
        classes: Range<usize>,
        cells: &mut impl DegenerateRow<F>,
        outputs: &mut Outputs<'_, F>,
    ) -> f64 {
        let log_sum_exp = if x.is_finite() { log_sum_exp } else { x.log_sum_exp() };
        let nan = params.state == State::Empty && self.options.empty_is_nan;
        let value = if nan { f64::NAN } else { 0.0 };
        for class in classes {
            cells.put(class, F::from_f64(value));
            let none = self.curvature(outputs, 0.0).of_nothing();
            outputs.put_hessian(&self.shape, row, class, if nan { value } else { none });
        }
        outputs.put_row(row, value, log_sum_exp, x.predicted);
        if !params.by_label {
            self.count_row(row, x, outputs);
        }
        value
    }

    /// A row whose largest logit, or its teacher's, is not finite: in the limit, a single `+inf`
    /// has all of the probability. The gradient is that of some of its classes; without a teacher, no logit of
    /// others is read.
    pub(super) fn degenerate_row(
        &self,
        row: usize,
        params: &RowParams,
        x: Extremes,
        of_gradient: Range<usize>,
        cells: &mut impl DegenerateRow<F>,
        outputs: &mut Outputs<'_, F>,
    ) -> f64 {
        let classes = 0..self.shape.classes;
        let logit = |class| cells.logit(class);
        let teacher = match self.targets {
            SoftmaxTargets::Teacher(logits, _) => {
                let at = |class| logits.get(self.shape.place(row, class));
                Some(Extremes::of(classes.clone().map(|c| number(at(c)))))
            }
            _ => None,
        };
        let undefined = x.undefined() || teacher.is_some_and(|teacher| teacher.undefined());
        let certain = x.max == f64::INFINITY;
        let unit = self.unit();

        // The probabilities of a finite row with a certain teacher.
        let exp = |x_c: f64| scalar::exp((x_c - x.max) * unit);
        let is_other = |class: &usize| *class != x.argmax;
        let others: f64 = if certain || x.undefined() {
            0.0
        } else {
            sum_of(classes.clone().filter(is_other).map(|class| exp(logit(class))))
        };
        let sum = 1.0 + others;
        let share = |class: usize, largest| self.teacher_exp(row, class, largest);
        // The teacher's softmax, if there is one: its largest logit, and its sum.
        let teacher_sum = teacher.map(|teacher| {
            (teacher.max, sum_of(classes.clone().map(|class| share(class, teacher.max))))
        });
        let q = |class: usize| match teacher_sum {
            Some((max, sum)) => share(class, max) / sum * self.class_weight(class),
            None => self.degenerate_weight(row, params, class),
        };
        let rest = sum_of(classes.clone().filter(is_other).map(q));
        let all = rest + q(x.argmax);

        let ln_sum = scalar::log1p(others);
        // A row has its log-sum-exp whatever its teacher.
        let log_sum_exp = if x.undefined() {
            x.log_sum_exp()
        } else if certain {
            f64::INFINITY
        } else {
            x.max * unit + ln_sum
        };
        let mut loss = if undefined {
            f64::NAN
        } else if certain {
            if rest == 0.0 { 0.0 } else { f64::INFINITY }
        } else {
            let target = teacher.map_or(0, |teacher| teacher.argmax);
            let distance = (x.max - logit(target)) * unit;
            if all == 0.0 { 0.0 } else { all * (ln_sum + distance) }
        };
        let mut extra = 0.0;
        if self.options.z_loss != 0.0 {
            loss += log_sum_exp * log_sum_exp;
            extra = log_sum_exp;
        }
        loss *= params.factors.loss;

        for class in of_gradient {
            // Read before it is overwritten by the gradient.
            let x_c = cells.logit(class);
            let is_max = class == x.argmax;
            let (p, not_p) = match (undefined, certain, is_max) {
                (true, _, _) => (f64::NAN, f64::NAN),
                (_, true, true) => (1.0, 0.0),
                (_, true, false) => (0.0, 1.0),
                (_, false, true) => (1.0 / sum, others / sum),
                (_, false, false) => (exp(x_c) / sum, 1.0 - exp(x_c) / sum),
            };
            let g = if undefined {
                f64::NAN
            } else if self.is_caffe() {
                let pull = if is_max { extra } else { 0.0 };
                p - if q(class) == 0.0 { 0.0 } else { params.target_scale } + pull
            } else if is_max && not_p < p {
                rest + extra - all * not_p
            } else {
                all * p - q(class)
            };
            let g = params.factors.gradient * g;
            // In the limit only the square of a probability remains of the z-loss.
            let second = all * p * not_p + 2.0 * self.options.z_loss * p * p;
            let h = self.curvature(outputs, params.factors.gradient).of(second);
            let h = cells.second(class, g, h);
            outputs.put_hessian(&self.shape, row, class, h);
            cells.put(class, F::from_f64(g));
        }
        outputs.put_row(row, loss, log_sum_exp, x.predicted);
        let of_teacher = teacher.filter(|teacher| !teacher.is_finite());
        self.count_row(row, of_teacher.unwrap_or(x), outputs);
        loss
    }

    /// The first class of a row whose logit is NaN.
    pub(super) fn first_nan(&self, logits: &[F], row: usize) -> Option<usize> {
        let place = |class: &usize| logits.get(self.shape.logit_place(row, *class));
        (0..self.shape.classes).find(|class| place(class).is_some_and(|x| x.is_nan()))
    }

    /// Marks the predicted class of rows with NaN: in place, the logits will be overwritten.
    pub(super) fn mark_nans(&self, level: Level, logits: &[F], predicted: &mut [u32]) {
        predicted.fill(0);
        let (low, high) = (F::NEG_INFINITY, F::INFINITY);
        if F::all_within(level, logits, [low, high]) {
            return;
        }
        for (row, place) in predicted.iter_mut().enumerate() {
            if let Some(class) = self.first_nan(logits, row).and_then(|c| u32::try_from(c).ok()) {
                *place = !class;
            }
        }
    }

    /// Counts a row for which the kernel found NaN, and predicts the class of its first NaN.
    pub(super) fn note_nan(&self, row: usize, class: Option<usize>, outputs: &mut Outputs<'_, F>) {
        if let Some(rows) = outputs.not_finite.filter(|_| !self.params(row).by_label) {
            rows.add(self.first_row + row);
        }
        outputs.put_predicted(row, class);
    }

    /// Counts a row, if its logits or its teacher's are not finite.
    fn count_row(&self, row: usize, seen: Extremes, outputs: &Outputs<'_, F>) {
        if let Some(rows) = outputs.not_finite.filter(|_| !seen.is_finite()) {
            rows.add(self.first_row + row);
        }
    }

    /// `e^(t - max)` for a teacher's logit, in the limit if the largest is infinite.
    fn teacher_exp(&self, row: usize, class: usize, max: f64) -> f64 {
        let t = number(self.dense().get(self.shape.place(row, class)));
        if t == max {
            1.0
        } else if max == f64::INFINITY {
            0.0
        } else {
            scalar::exp((t - max) * self.unit())
        }
    }

    /// `q` of one class in f64: dense targets, smoothing and label.
    fn degenerate_weight(&self, row: usize, params: &RowParams, class: usize) -> f64 {
        let dense = self.dense().get(self.shape.place(row, class));
        let dense = dense.map_or(0.0, |t| t.to_f64() * params.target_scale);
        let of_label = if params.label == Some(class) { params.label_weight } else { 0.0 };
        (dense + self.smoothing_per_class()) * self.class_weight(class) + of_label
    }
}
