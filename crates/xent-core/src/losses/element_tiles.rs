//! The sigmoid losses of a batch, tile by tile.

use super::format::{Element, Float};
use super::rows::RowWeights;
use super::scratch::{Scratch, TileRange};
use super::sigmoid::{SigmoidBatch, SigmoidInput, SigmoidSpec, SigmoidTargets};
use crate::dispatch::Kernel;
use crate::kernel::element_inputs::{
    AllFactors, CycleScratch, ElementTargets, Factors, StripScratch, TileInputs,
};
use crate::kernel::element_losses::{ElementLoss, Logistic, Sigmoid, SigmoidFocal};
use crate::kernel::element_rows::RowSums;
use crate::kernel::element_targets::{Lists, MultiHot};
use crate::kernel::element_tile::ElementTile;
use crate::kernel::elements::Elements;
use crate::kernel::sum::{ExactSum, TILE};
use crate::labels::Labels;
use crate::level::Level;
use crate::shape::Shape;
use crate::simd::Compute;
use crate::simd::STRIP;

/// Rows of this many elements are processed together.
const SHORT: usize = 1024;

impl<E: Element> SigmoidBatch<'_, E> {
    /// The sum of the losses; `cells` is a scratch buffer for a tile of logits that must be converted.
    pub(crate) fn run_on(self, level: Level, cells: &mut Scratch<'_, E::Float>) -> f64 {
        let options = self.spec.options;
        if options.input == SigmoidInput::Probabilities {
            self.run_loss(level, cells, Logistic)
        } else if options.is_focal() {
            let alpha = options.focal_alpha.map(|alpha| E::Float::from_f64(alpha).to_f64());
            self.run_loss(level, cells, SigmoidFocal { gamma: options.focal_gamma, alpha })
        } else {
            let least = self.outputs.convention.least_of_element();
            self.run_loss(level, cells, Sigmoid { least })
        }
    }

    fn run_loss<L: ElementLoss>(
        self,
        level: Level,
        cells: &mut Scratch<'_, E::Float>,
        loss: L,
    ) -> f64 {
        let SigmoidSpec { shape, options, weights, .. } = self.spec;
        let scratch = &mut StripScratch::new();
        let has_factors = self.has_factors();
        let has_numbers = matches!(self.spec.targets, SigmoidTargets::Dense(_));
        let tiles = |factors, bytes| Tiles {
            level,
            batch: self,
            cells,
            loss,
            factors,
            scratch,
            has_factors,
            targets: TargetScratch::new(bytes),
        };
        if !has_factors && has_numbers {
            return tiles(AllFactors::ones(), &mut []).run();
        }
        let axes = [shape.classes, shape.inner];
        // One weight applies to every element.
        let of_positive = if options.pos_weight.len() == 1 { [1, 1] } else { axes };
        let (mut of_class, mut positive) = (CycleScratch::new(), CycleScratch::new());
        let factors = AllFactors {
            of_class: Factors::of_classes(options.class_weights, axes, &mut of_class),
            of_row: Factors::of_rows(weights.sample_weights, axes),
            positive: Factors::of_classes(options.pos_weight, of_positive, &mut positive),
            upstream: if options.mean_over_classes {
                Factors::of_rows(weights.upstream, axes)
            } else {
                Factors::of_elements(weights.upstream)
            },
        };
        if has_numbers {
            return tiles(factors, &mut []).run();
        }
        tiles(factors, &mut [0; TILE + 1]).run()
    }

    /// Whether some elements may have a factor other than one.
    fn has_factors(&self) -> bool {
        let SigmoidSpec { options, weights, .. } = &self.spec;
        let RowWeights { sample_weights, upstream, .. } = *weights;
        [options.class_weights, options.pos_weight, sample_weights, upstream]
            .iter()
            .any(|factors| !factors.is_empty())
            || options.ignore_index.is_some()
    }
}

/// A batch, tile by tile.
struct Tiles<'a, 's, 'r, 'f, E: Element, L> {
    level: Level,
    batch: SigmoidBatch<'a, E>,
    cells: &'s mut Scratch<'r, E::Float>,
    loss: L,
    factors: AllFactors<'f, E::Float>,
    scratch: &'s mut StripScratch<E::Float>,
    has_factors: bool,
    targets: TargetScratch<'s>,
}

/// Space for integer targets.
pub(super) struct TargetScratch<'s> {
    /// For a tile and one more element; empty if there are none.
    bytes: &'s mut [u8],
    /// Whether the classes of a long row ascend, if that is known.
    ascends: Option<(usize, bool)>,
}

impl<'s> TargetScratch<'s> {
    pub(super) fn new(bytes: &'s mut [u8]) -> Self {
        Self { bytes, ascends: None }
    }
}

impl<F: Float> SigmoidSpec<'_, F> {
    /// Whether the loss of an element with a non-finite logit is also non-finite.
    fn has_no_loss(&self, element: usize, x: f64) -> bool {
        let Self { shape, options, weights, .. } = self;
        let Shape { classes, inner, .. } = *shape;
        let line = classes * inner;
        let (block, class) = (element / line, element % line / inner);
        let row = block * inner + element % inner;
        let y = match self.targets {
            SigmoidTargets::Dense(values) => values.get(element).map_or(0.0, |y| y.to_f64()),
            SigmoidTargets::MultiHot(labels) => {
                let label = labels.get(element);
                if label == options.ignore_index {
                    return false;
                }
                f64::from(u8::from(label == Some(1)))
            }
            SigmoidTargets::Positives { offsets, classes: labels } => {
                let offset = |at: usize| offsets.get(at).copied().unwrap_or_default();
                let mut list = offset(row)..offset(row + 1);
                f64::from(u8::from(list.any(|at| labels.get(at) == i64::try_from(class).ok())))
            }
        };
        let weight = |weights: &[F], at: usize| weights.get(at).map_or(1.0, |w| w.to_f64());
        if weight(options.class_weights, class) * weights.sample_weight(row) == 0.0 {
            return false;
        }
        let smoothing = options.label_smoothing;
        let y = (1.0 - smoothing) * y + smoothing / 2.0;
        if x.is_nan() {
            true
        } else if x > 0.0 {
            y < 1.0
        } else {
            let of_all = options.pos_weight.len() == 1;
            y * weight(options.pos_weight, if of_all { 0 } else { class }) > 0.0
        }
    }

    /// The targets of `count` elements from `first` on, at most a tile.
    pub(super) fn targets_of_tile<'t>(
        &'t self,
        level: Level,
        (first, count): (usize, usize),
        scratch: &'t mut TargetScratch<'_>,
    ) -> ElementTargets<'t, F> {
        let ignore = self.options.ignore_index;
        match self.targets {
            SigmoidTargets::Dense(values) => {
                ElementTargets::Numbers(values.get(first..first + count).unwrap_or(&[]))
            }
            // Bytes of zeros and ones can be used as they are.
            SigmoidTargets::MultiHot(Labels::U8(bytes)) if ignore.is_none() => {
                ElementTargets::Bytes(bytes.get(first..first + count).unwrap_or(&[]))
            }
            SigmoidTargets::MultiHot(labels) => {
                let into = scratch.bytes.get_mut(..count).unwrap_or(&mut []);
                MultiHot { labels, first, ignore, into }.at(level);
                ElementTargets::Bytes(into)
            }
            SigmoidTargets::Positives { offsets, classes: labels } => {
                let into = scratch.bytes.get_mut(..count + 1).unwrap_or(&mut []);
                let Shape { classes, inner, .. } = self.shape;
                Lists { offsets, labels, classes, inner }.mark(first, &mut scratch.ascends, into);
                ElementTargets::Bytes(&into[..count])
            }
        }
    }
}

impl<E: Element, L: ElementLoss> Tiles<'_, '_, '_, '_, E, L> {
    fn run(mut self) -> f64 {
        let Shape { outer, classes, inner, logits_stride, gradient_stride } = self.batch.spec.shape;
        let line = classes * inner;
        if self.batch.spec.options.mean_over_classes {
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
        let SigmoidBatch { spec, outputs, .. } = &self.batch;
        let mut scale = spec.weights.scale;
        if spec.options.mean_over_classes {
            scale /= spec.shape.classes as f64;
        }
        Elements { loss: self.loss, scale, floor: outputs.floor() }
    }

    /// Contiguous elements from `first` on, whose logits and gradients start at the given places.
    fn span(&mut self, first: usize, at: [usize; 2], length: usize) -> f64 {
        let losses = core::mem::take(&mut self.batch.outputs.losses);
        let mut total = 0.0;
        // While they are converted, the memory of the next tile is prefetched: not all of it could be at once.
        let step = if E::IS_FLOAT { TILE } else { TILE / 2 };
        for tile in (0..length).step_by(step) {
            let count = step.min(length - tile);
            let here = first + tile..first + tile + count;
            let losses = losses.get_mut(here).unwrap_or(&mut []);
            total += self.tile(first + tile, at.map(|at| at + tile), count, losses);
        }
        self.batch.outputs.losses = losses;
        total
    }

    /// At most a tile of elements.
    fn tile(&mut self, first: usize, at: [usize; 2], count: usize, losses: &mut [E::Float]) -> f64 {
        let (level, elements) = (self.level, self.elements());
        let SigmoidBatch { buffers, spec, outputs, .. } = &mut self.batch;
        let ignore = spec.options.ignore_index;
        let targets = spec.targets_of_tile(level, (first, count), &mut self.targets);
        let smoothing = spec.options.label_smoothing;
        let factors = self.factors;
        let ignores = ignore.is_some();
        let inputs = &TileInputs { targets, smoothing, ignores, first, factors };
        let hessian = outputs.hessian.get_mut(first..first + count).unwrap_or(&mut []);
        let range = TileRange::of(at, count);
        let cells = buffers.open(level, range, self.cells);
        let (scratch, has_factors) = (&mut *self.scratch, self.has_factors);
        let tile = ElementTile { elements, cells, inputs, scratch, has_factors, losses, hessian };
        let sum = tile.at(level);
        buffers.close(level, range, self.cells);
        if !sum.is_finite() {
            self.count_rows(first, at[0], count);
        }
        sum
    }

    /// Counts the rows with an element in a tile whose loss is NaN or infinite, unless an earlier tile had one.
    #[cold]
    #[inline(never)]
    fn count_rows(&self, first: usize, at: usize, count: usize) {
        let SigmoidBatch { buffers, spec, outputs, .. } = &self.batch;
        let Some(rows) = outputs.not_finite else { return };
        let shape = spec.shape;
        let Shape { classes, inner, .. } = shape;
        // In place, the gradient shows a NaN just as well, but an infinite logit looks like a large one.
        let in_place = buffers.is_in_place();
        let is_bad = |element: usize, at: usize| {
            let x = buffers.logit(at).map_or(0.0, |x| x.to_f64());
            let of_loss = if in_place { x.is_nan() } else { !x.is_finite() };
            of_loss && spec.has_no_loss(element, x)
        };
        let line = classes * inner;
        for element in first..first + count {
            let here = at + (element - first);
            if !is_bad(element, here) {
                continue;
            }
            let (block, class) = (element / line, element % line / inner);
            let earlier = |before: usize| is_bad(element - before * inner, here - before * inner);
            if !(1..=class).any(earlier) {
                rows.add(spec.first_row + block * inner + element % inner);
            }
        }
    }

    /// Every row has the mean over its classes as its loss.
    fn row_means(&mut self) -> f64 {
        let Shape { classes, inner, logits_stride, gradient_stride, .. } = self.batch.spec.shape;
        let losses = core::mem::take(&mut self.batch.outputs.losses);
        let mut put = |row: usize, sum: f64| {
            let loss = sum / classes as f64;
            if let Some(place) = losses.get_mut(row) {
                *place = E::Float::from_f64(loss);
            }
            loss
        };
        let are_neighbours = [logits_stride, gradient_stride] == [classes; 2];
        if inner != 1 {
            self.means_of_columns(&mut put)
        } else if are_neighbours && classes <= STRIP {
            self.means_of_short_rows(&mut put)
        } else {
            let start = |row| [row * logits_stride, row * gradient_stride];
            let rows = 0..self.batch.spec.shape.outer;
            rows.map(|row| put(row, self.span(row * classes, start(row), classes))).sum()
        }
    }

    /// Rows of at most a strip, contiguous: several at a time.
    fn means_of_short_rows(&mut self, put: &mut dyn FnMut(usize, f64) -> f64) -> f64 {
        let Shape { outer, classes, .. } = self.batch.spec.shape;
        let (mut losses, mut sums) = ([E::Float::default(); SHORT], [0.0; STRIP]);
        let step = STRIP.min(SHORT / classes);
        let mut total = 0.0;
        for row in (0..outer).step_by(step) {
            let rows = step.min(outer - row);
            let (first, count) = (row * classes, rows * classes);
            let (losses, sums) = (&mut losses[..count], &mut sums[..rows]);
            self.tile(first, [first; 2], count, losses);
            RowSums { losses, classes, sums }.at(self.level);
            for (at, sum) in sums.iter().enumerate() {
                total += put(row + at, *sum);
            }
        }
        total
    }

    /// Rows whose elements are not contiguous, a strip of them at a time.
    fn means_of_columns(&mut self, put: &mut dyn FnMut(usize, f64) -> f64) -> f64 {
        let Shape { outer, classes, inner, logits_stride, gradient_stride } = self.batch.spec.shape;
        let mut total = 0.0;
        for block in 0..outer {
            let start = [block * logits_stride, block * gradient_stride];
            for position in (0..inner).step_by(STRIP) {
                let count = STRIP.min(inner - position);
                let mut sums = [ExactSum::default(); STRIP];
                for class in 0..classes {
                    let at = class * inner + position;
                    let mut losses = [E::Float::default(); STRIP];
                    let losses = &mut losses[..count];
                    let first = block * classes * inner + at;
                    self.tile(first, start.map(|start| start + at), count, losses);
                    for (sum, loss) in sums.iter_mut().zip(losses) {
                        sum.add(loss.to_f64());
                    }
                }
                for (at, sum) in sums.iter().enumerate().take(count) {
                    total += put(block * inner + position + at, sum.total());
                }
            }
        }
        total
    }
}
