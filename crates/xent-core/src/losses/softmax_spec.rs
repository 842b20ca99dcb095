//! A softmax batch without its buffers, and its targets and options for a single row.

use core::ops::Range;

use super::checks::PIECE;
use super::format::Float;
use super::labels::LabelWeights;
use super::rows::{BatchCounts, RowWeights};
use super::softmax_targets::{MultiLabel, SoftmaxOptions, SoftmaxTargets, rounded};
use crate::batch::{ForkJoin, count_in_pieces};
use crate::error::{Error, Values, check_length};
use crate::kernel::block::SharedLabels;
use crate::kernel::coefficients::Factors;
use crate::kernel::sum::sum_of;
use crate::shape::Shape;

/// A batch without its outputs.
#[derive(Clone, Copy, Debug)]
pub(super) struct SoftmaxSpec<'a, F> {
    pub(super) shape: Shape,
    pub(super) targets: SoftmaxTargets<'a, F>,
    pub(super) options: SoftmaxOptions<'a, F>,
    pub(super) weights: RowWeights<'a, F>,
    /// Of the whole batch, however often it has been split.
    pub(super) elements: usize,
    /// Its first row, counted in the whole batch.
    pub(super) first_row: usize,
    /// The number of rows in the whole batch with a label that is not ignored.
    pub(super) rows_with_labels: usize,
    /// Whether the class axis of the whole batch is not the last one.
    pub(super) of_columns: bool,
}

/// The state of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Live,
    /// It is ignored.
    Ignored,
    /// It has no target.
    Empty,
}

/// A row's own targets and factors.
#[derive(Clone, Copy, Debug)]
pub(super) struct RowParams {
    pub(super) state: State,
    /// Whether its label is the ignored one.
    pub(super) by_label: bool,
    pub(super) label: Option<usize>,
    /// The weight of the label.
    pub(super) label_weight: f64,
    /// The factor of dense targets.
    pub(super) target_scale: f64,
    pub(super) factors: Factors<f64>,
}

impl<'a, F: Float> SoftmaxSpec<'a, F> {
    /// For the log-sum-exp only.
    pub(super) fn without_targets(shape: Shape) -> Self {
        Self::new(shape, SoftmaxTargets::Dense(&[]))
    }

    /// Without options; targets are not checked.
    pub(super) fn new(shape: Shape, targets: SoftmaxTargets<'a, F>) -> Self {
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

    /// Checks the options, and that they go with these targets and that many classes.
    pub(super) fn with_options(
        shape: Shape,
        targets: SoftmaxTargets<'a, F>,
        options: SoftmaxOptions<'a, F>,
    ) -> Result<Self, Error> {
        options.check()?;
        options.check_targets(&targets)?;
        if !options.class_weights.is_empty() {
            check_length("class weights", shape.classes, options.class_weights.len())?;
        }
        Ok(Self { options, ..Self::new(shape, targets) })
    }

    /// Checks the number and the range of the targets, on several threads, and counts the rows with labels.
    pub(super) fn checked_on(mut self, join: &dyn ForkJoin) -> Result<Self, Error> {
        let Self { shape, .. } = self;
        match self.targets {
            SoftmaxTargets::Index(labels) => {
                check_length("labels", shape.row_count(), labels.len())?;
                self.rows_with_labels =
                    labels.check(join, shape.classes, self.options.ignore_index)?;
            }
            SoftmaxTargets::Dense(values) => {
                check_length("targets", shape.elements(), values.len())?;
                Values::SoftmaxTargets.check(join, &shape, values)?;
            }
            SoftmaxTargets::MultiLabel(values, _) => {
                check_length("targets", shape.elements(), values.len())?;
                Values::MultiLabels.check(join, &shape, values)?;
                let count = |rows| Ok(self.count_rows_with_labels(values, rows));
                let rows_of_piece = (PIECE / shape.classes).max(1);
                self.rows_with_labels =
                    count_in_pieces(join, 0..shape.row_count(), rows_of_piece, &count)?;
            }
            SoftmaxTargets::Teacher(values, _) => {
                check_length("teacher's logits", shape.elements(), values.len())?;
            }
        }
        Ok(self)
    }

    /// With factors of its rows, which are checked.
    pub(super) fn with_weights(mut self, weights: RowWeights<'a, F>) -> Result<Self, Error> {
        let rows = self.shape.row_count();
        weights.check(rows, rows)?;
        self.weights = weights;
        Ok(self)
    }

    /// Splits off the first blocks of rows.
    pub(super) fn split_at(self, part: usize) -> (Self, Self) {
        let Self { shape, targets, weights, .. } = self;
        let rows = part * shape.inner;
        let elements = rows * shape.classes;
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
        let first_row = self.first_row + rows;
        let rest = shape.with_outer(shape.outer - part);
        (
            Self { shape: shape.with_outer(part), targets: targets.0, weights: weights.0, ..self },
            Self { shape: rest, targets: targets.1, weights: weights.1, first_row, ..self },
        )
    }
}

impl<F: Float> SoftmaxSpec<'_, F> {
    /// The number and the weights of the valid rows: the possible divisors of a mean.
    pub(super) fn counts(&self) -> BatchCounts {
        let rows = self.shape.row_count();
        let (class_weights, row_weights) =
            (self.options.class_weights, self.weights.sample_weights);
        if let SoftmaxTargets::Index(labels) = self.targets {
            let count = self.rows_with_labels;
            let weights = if class_weights.is_empty() && row_weights.is_empty() {
                let weight = count as f64;
                LabelWeights { count, of_classes: weight, of_both: weight }
            } else {
                labels.weights(self.options.ignore_index, class_weights, row_weights)
            };
            return BatchCounts::of_labels(rows, weights);
        }
        let counts = |row: usize| match self.targets {
            SoftmaxTargets::MultiLabel(labels, _) => self.has_label(labels, row),
            _ => true,
        };
        let count = match self.targets {
            SoftmaxTargets::MultiLabel(..) => self.rows_with_labels,
            _ => rows,
        };
        let of_classes = count as f64;
        let of_both = if row_weights.is_empty() {
            of_classes
        } else {
            let weighed = row_weights.iter().enumerate().filter(|&(row, _)| counts(row));
            sum_of(weighed.map(|(_, weight)| weight.to_f64()))
        };
        BatchCounts::of_rows(rows, LabelWeights { count, of_classes, of_both })
    }

    /// The first row without a target, if there is one.
    pub(super) fn first_empty_row(&self) -> Option<usize> {
        let SoftmaxTargets::MultiLabel(labels, _) = self.targets else { return None };
        let mut rows = 0..self.shape.row_count();
        rows.find(|&row| self.weights.sample_weight(row) != 0.0 && !self.has_label(labels, row))
    }

    pub(super) fn class_weight(&self, class: usize) -> f64 {
        self.options.class_weights.get(class).map_or(1.0, |weight| weight.to_f64())
    }

    /// The weight that label smoothing gives to every class.
    pub(super) fn smoothing_per_class(&self) -> f64 {
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

    pub(super) fn params(&self, row: usize) -> RowParams {
        let sample_weight = self.weights.sample_weight(row);
        let factors = Factors {
            loss: sample_weight,
            gradient: sample_weight * self.weights.scale * self.weights.upstream_of(row),
        };
        let state = if sample_weight == 0.0 { State::Ignored } else { State::Live };
        let unsmoothed = 1.0 - self.options.label_smoothing;
        let (label_weight, target_scale) = (0.0, unsmoothed);
        let mut params =
            RowParams { state, by_label: false, label: None, label_weight, target_scale, factors };
        match self.targets {
            SoftmaxTargets::Index(labels) => {
                let label = labels.get(row);
                if label.is_some() && label == self.options.ignore_index {
                    params.state = State::Ignored;
                    params.by_label = true;
                } else {
                    params.label = label.and_then(|label| usize::try_from(label).ok());
                    params.label_weight =
                        unsmoothed * params.label.map_or(0.0, |class| self.class_weight(class));
                    if params.label_weight == 0.0 && self.is_label_all() {
                        params.factors.gradient = sample_weight * self.weights.scale;
                    }
                }
            }
            SoftmaxTargets::Dense(_) => {}
            SoftmaxTargets::MultiLabel(labels, _) => match self.count_labels(labels, row) {
                0 if params.state == State::Live => params.state = State::Empty,
                count => params.target_scale = unsmoothed / count as f64,
            },
            SoftmaxTargets::Teacher(_, temperature) => {
                // The loss has a factor of τ², and the logits have one of 1 / τ.
                params.factors.loss *= temperature * temperature;
                params.factors.gradient *= temperature;
            }
        }
        params
    }

    /// The labels of a multi-label row.
    fn labels_of<'l>(&self, labels: &'l [F], row: usize) -> impl Iterator<Item = &'l F> {
        let Shape { classes, inner, .. } = self.shape;
        let labels = labels.get(self.shape.place(row, 0)..).unwrap_or(&[]);
        labels.iter().step_by(inner).take(classes)
    }

    /// How many of some rows have a label that is not zero.
    pub(super) fn count_rows_with_labels(&self, labels: &[F], rows: Range<usize>) -> usize {
        let Shape { classes, inner, .. } = self.shape;
        if inner != 1 {
            return rows.filter(|&row| self.has_label(labels, row)).count();
        }
        let labels = labels.get(rows.start * classes..rows.end * classes).unwrap_or(&[]);
        // Without a branch for each element or short row, which would be mispredicted.
        let has_label = |run: &[F]| run.iter().fold(false, |any, t| any | (*t != F::default()));
        let rows = labels.chunks_exact(classes);
        if classes <= 64 {
            rows.map(|row| usize::from(has_label(row))).sum()
        } else {
            rows.filter(|row| row.chunks(64).any(has_label)).count()
        }
    }

    /// The number of a row's labels that are not zero.
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
    pub(super) fn has_label(&self, labels: &[F], row: usize) -> bool {
        self.labels_of(labels, row).any(|label| *label != F::default())
    }

    /// The kind of targets.
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

    /// The soft cap, in the precision of the logits.
    pub(super) fn cap(&self) -> f64 {
        rounded::<F>(self.options.soft_cap)
    }

    /// One over the temperature, in the precision of the logits.
    pub(super) fn unit(&self) -> f64 {
        match self.targets {
            SoftmaxTargets::Teacher(_, temperature) => rounded::<F>(1.0 / temperature),
            _ => 1.0,
        }
    }

    pub(super) fn is_teacher(&self) -> bool {
        matches!(self.targets, SoftmaxTargets::Teacher(..))
    }

    /// How the labels of a multi-label row share its weight.
    pub(super) fn shared_labels(&self) -> Option<SharedLabels> {
        matches!(self.targets, SoftmaxTargets::MultiLabel(..)).then_some(SharedLabels {
            all: 1.0 - self.options.label_smoothing,
            empty_is_nan: self.options.empty_is_nan,
        })
    }
}

/// The kinds of targets of a kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A label: one class has all of the weight.
    Labels,
    /// Nothing: only the log-sum-exp is wanted.
    Nothing,
    /// A weight for every class.
    Soft,
}
