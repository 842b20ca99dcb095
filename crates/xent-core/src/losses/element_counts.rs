//! The possible divisors of a mean of sigmoid losses.

use super::format::Float;
use super::rows::BatchCounts;
use super::sigmoid::{SigmoidSpec, SigmoidTargets};
use crate::kernel::element_targets::IGNORED;
use crate::kernel::sum::{ExactSum, sum_of};
use crate::labels::Labels;
use crate::shape::Shape;
use crate::simd::STRIP;

/// Sums kept for a row, so that this many can be added at once.
const LANES: usize = 8;

impl<F: Float> SigmoidSpec<'_, F> {
    /// The number and the weights of valid rows and elements.
    pub(super) fn counts(&self) -> BatchCounts {
        match (self.targets, self.options.ignore_index) {
            (SigmoidTargets::MultiHot(labels), Some(ignore)) => self.counts_of(labels, ignore),
            _ => self.counts_of_all(),
        }
    }

    /// In closed form, if no element is ignored.
    fn counts_of_all(&self) -> BatchCounts {
        let (rows, classes) = (self.shape.row_count(), self.shape.classes);
        let samples = self.weights.sample_weights;
        let of_row = match self.options.class_weights {
            [] => classes as f64,
            weights => sum(weights),
        };
        self.counts_with(BatchCounts {
            valid_rows: rows,
            valid_losses: self.shape.elements(),
            class_weight: rows as f64 * of_row,
            weight: of_row * if samples.is_empty() { rows as f64 } else { sum(samples) },
            ..BatchCounts::default()
        })
    }

    /// Fills in the fields that follow from valid rows and elements.
    fn counts_with(&self, counts: BatchCounts) -> BatchCounts {
        let of_rows = self.options.mean_over_classes;
        let valid_losses = if of_rows { counts.valid_rows } else { counts.valid_losses };
        BatchCounts {
            rows: self.shape.row_count(),
            valid_losses,
            pytorch: valid_losses as f64,
            ..counts
        }
    }

    /// If the elements with a label are ignored.
    fn counts_of(&self, labels: Labels<'_>, ignore: i64) -> BatchCounts {
        let Shape { classes, inner, .. } = self.shape;
        let elements = self.shape.elements();
        let class_weights = self.options.class_weights;
        let samples = self.weights.sample_weights;
        if samples.is_empty() && (class_weights.is_empty() || inner == 1 && classes <= STRIP) {
            let valid = labels.count_others(0..elements, ignore);
            if valid == elements {
                return self.counts_of_all();
            }
            let valid_rows =
                if classes == 1 { valid } else { self.rows_with_others(labels, ignore) };
            let weight = if class_weights.is_empty() {
                valid as f64
            } else {
                self.weight_of_others(labels, ignore)
            };
            return self.counts_with(BatchCounts {
                valid_rows,
                valid_losses: valid,
                class_weight: weight,
                weight,
                ..BatchCounts::default()
            });
        }
        let mut sums = Sums::default();
        for block in 0..self.shape.outer {
            let start = block * classes * inner;
            if inner == 1 {
                let valid = labels.count_others(start..start + classes, ignore);
                let weight = if class_weights.is_empty() {
                    valid as f64
                } else {
                    self.weight_of_row(labels, ignore, start)
                };
                sums.add(valid, weight, self.weights.sample_weight(block));
                continue;
            }
            for position in (0..inner).step_by(STRIP) {
                let count = STRIP.min(inner - position);
                let mut valid = [0_usize; STRIP];
                let mut weights = [ExactSum::default(); STRIP];
                let mut bytes = [0; STRIP];
                for class in 0..classes {
                    let bytes = &mut bytes[..count];
                    labels.bytes(start + class * inner + position, Some(ignore), bytes);
                    let weight = class_weights.get(class).map_or(1.0, |weight| weight.to_f64());
                    for ((byte, valid), sum) in bytes.iter().zip(&mut valid).zip(&mut weights) {
                        let counts = byte & IGNORED == 0;
                        *valid += usize::from(counts);
                        sum.add(if counts { weight } else { 0.0 });
                    }
                }
                for row in 0..count {
                    let sample = self.weights.sample_weight(block * inner + position + row);
                    sums.add(valid[row], weights[row].total(), sample);
                }
            }
        }
        self.counts_with(BatchCounts {
            valid_rows: sums.rows,
            valid_losses: sums.elements,
            class_weight: sums.class_weight.total(),
            weight: sums.weight.total(),
            ..BatchCounts::default()
        })
    }

    /// The number of rows with a label that is not the ignored one.
    fn rows_with_others(&self, labels: Labels<'_>, ignore: i64) -> usize {
        let Shape { outer, classes, inner, .. } = self.shape;
        let mut rows = 0;
        for block in 0..outer {
            let start = block * classes * inner;
            for first in start..start + inner {
                let mut places = (first..).step_by(inner).take(classes);
                rows += usize::from(places.any(|at| labels.get(at) != Some(ignore)));
            }
        }
        rows
    }

    /// The class weights of the labels that are not ignored, for rows of at most a strip.
    fn weight_of_others(&self, labels: Labels<'_>, ignore: i64) -> f64 {
        let (elements, classes) = (self.shape.elements(), self.shape.classes);
        let (mut counts, mut bytes) = ([0_u64; STRIP], [0; STRIP]);
        // As many whole rows as fit, so that a position always has the same class.
        let step = STRIP / classes * classes;
        for first in (0..elements).step_by(step) {
            let bytes = &mut bytes[..step.min(elements - first)];
            labels.bytes(first, Some(ignore), bytes);
            for (count, byte) in counts.iter_mut().zip(bytes) {
                *count += u64::from(*byte & IGNORED == 0);
            }
        }
        let weights = self.options.class_weights.iter().cycle();
        sum_of(counts[..step].iter().zip(weights).map(|(&count, w)| count as f64 * w.to_f64()))
    }

    /// The class weights of the labels of a row that are not ignored.
    fn weight_of_row(&self, labels: Labels<'_>, ignore: i64, start: usize) -> f64 {
        let (mut sums, mut bytes) = ([ExactSum::default(); LANES], [0; STRIP]);
        for (part, weights) in self.options.class_weights.chunks(STRIP).enumerate() {
            let bytes = &mut bytes[..weights.len()];
            labels.bytes(start + part * STRIP, Some(ignore), bytes);
            for (bytes, weights) in bytes.chunks(LANES).zip(weights.chunks(LANES)) {
                for ((sum, byte), weight) in sums.iter_mut().zip(bytes).zip(weights) {
                    sum.add(if byte & IGNORED == 0 { weight.to_f64() } else { 0.0 });
                }
            }
        }
        ExactSum::of(sums).total()
    }
}

/// The sums over rows.
#[derive(Default)]
struct Sums {
    rows: usize,
    elements: usize,
    class_weight: ExactSum,
    weight: ExactSum,
}

impl Sums {
    /// Adds a row with this number of elements not ignored, and their class weights.
    fn add(&mut self, elements: usize, class_weight: f64, sample_weight: f64) {
        if elements == 0 {
            return;
        }
        self.rows += 1;
        self.elements += elements;
        self.class_weight.add(class_weight);
        self.weight.add(class_weight * sample_weight);
    }
}

/// The sum of all, kept by lanes.
fn sum<F: Float>(values: &[F]) -> f64 {
    let mut sums = [ExactSum::default(); LANES];
    for values in values.chunks(LANES) {
        for (sum, value) in sums.iter_mut().zip(values) {
            sum.add(value.to_f64());
        }
    }
    ExactSum::of(sums).total()
}
