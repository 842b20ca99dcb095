//! Range checks of numbers, before anything is written.

use core::ops::Range;

use super::buffers::Buffers;
use super::element_tiles::TargetScratch;
use super::format::{Element, Float};
use super::sigmoid::SigmoidSpec;
use crate::batch::{ForkJoin, count_in_pieces};
use crate::dispatch::Kernel;
use crate::error::{Error, Values};
use crate::kernel::check::{CountClamped, Target};
use crate::kernel::element_inputs::ElementTargets;
use crate::kernel::sum::TILE;
use crate::level::Level;
use crate::shape::Shape;

/// The least numbers that a thread checks at a time, so that it is worth handing them over.
pub(super) const PIECE: usize = 1 << 16;

/// The smallest probability whose logarithm the logistic loss does not clamp.
const LEAST_OF_LOGISTIC: f64 = 3.720_075_976_020_836e-44;

impl Values {
    /// The allowed range, both ends included.
    fn range<F: Float>(self) -> [F; 2] {
        let largest = F::from_f64(if size_of::<F>() == 4 { f32::MAX.into() } else { f64::MAX });
        match self {
            Self::SigmoidTargets | Self::Probabilities => [F::default(), F::from(1.0)],
            Self::SampleWeights | Self::Labels => [-largest, largest],
            Self::SoftmaxTargets | Self::MultiLabels | Self::ClassWeights | Self::PosWeights => {
                [F::default(), largest]
            }
        }
    }

    /// The first number outside its range, and its value.
    pub(crate) fn first_outside<F: Float>(self, values: &[F]) -> Option<(usize, f64)> {
        let range @ [low, high] = self.range::<F>();
        if F::all_within(Level::detect(), values, range) {
            return None;
        }
        let is_outside = |x: &F| !(*x >= low && *x <= high);
        let element = values.iter().position(is_outside)?;
        Some((element, values.get(element)?.to_f64()))
    }

    /// Checks numbers with the shape of the logits and no stride, on the threads of `join`.
    pub(super) fn check<F: Float>(
        self,
        join: &dyn ForkJoin,
        shape: &Shape,
        values: &[F],
    ) -> Result<(), Error> {
        let check = |range: Range<usize>| {
            let first = range.start;
            match self.first_outside(values.get(range).unwrap_or(&[])) {
                None => Ok(0),
                Some((at, value)) => Err(shape.value_error(self, first + at, value)),
            }
        };
        count_in_pieces(join, 0..values.len(), PIECE, &check).map(|_| ())
    }

    /// Checks weights of classes.
    pub(super) fn check_classes<F: Float>(self, weights: &[F]) -> Result<(), Error> {
        match self.first_outside(weights) {
            None => Ok(()),
            Some((element, value)) => {
                Err(Error::Value { of: self, element, row: None, class: Some(element), value })
            }
        }
    }

    /// Checks weights of rows.
    pub(super) fn check_rows<F: Float>(self, weights: &[F]) -> Result<(), Error> {
        match self.first_outside(weights) {
            None => Ok(()),
            Some((element, value)) => {
                Err(Error::Value { of: self, element, row: Some(element), class: None, value })
            }
        }
    }
}

impl<F: Float> SigmoidSpec<'_, F> {
    /// Checks the probabilities that count, and targets that are numbers, on several threads; returns how many
    /// probabilities are clamped.
    pub(super) fn check_probabilities<E: Element<Float = F>>(
        &self,
        join: &dyn ForkJoin,
        buffers: &Buffers<'_, E>,
    ) -> Result<usize, Error> {
        let level = Level::detect();
        let Shape { outer, classes, inner, logits_stride, .. } = self.shape;
        let (mut parts, mut length) = (outer, classes * inner);
        if logits_stride == length {
            // All of them are contiguous.
            (parts, length) = (1, outer * length);
        }
        let tiles_of_part = length.div_ceil(TILE);
        let some_unweighted = [self.options.class_weights, self.weights.sample_weights]
            .iter()
            .any(|weights| weights.contains(&F::default()));
        let check = |tiles: Range<usize>| {
            let (mut bytes, mut cells) = ([0; TILE + 1], [F::default(); TILE]);
            let mut scratch = TargetScratch::new(&mut bytes);
            let mut clamped = 0;
            for tile in tiles {
                let (part, tile) = (tile / tiles_of_part, tile % tiles_of_part * TILE);
                let count = TILE.min(length - tile);
                let at = part * logits_stride + tile;
                let values = buffers.logits().get(at..at + count).unwrap_or(&[]);
                let mut here = Buffers::loss(values);
                let direct = E::direct(&mut here, [0, 0], count);
                let values = if E::IS_FLOAT {
                    direct.logits()
                } else {
                    E::widen(level, buffers.quantisation, values, &mut cells[..count]);
                    &cells[..count]
                };
                let first = part * length + tile;
                let targets = self.targets_of_tile(level, (first, count), &mut scratch);
                clamped += self.check_tile(level, first, values, targets, some_unweighted)?;
            }
            Ok(clamped)
        };
        count_in_pieces(join, 0..parts * tiles_of_part, PIECE / TILE, &check)
    }

    /// The same for the elements from `first` on, at most a tile; `true` if there are classes or rows of weight zero.
    fn check_tile(
        &self,
        level: Level,
        first: usize,
        probabilities: &[F],
        targets: ElementTargets<'_, F>,
        some_unweighted: bool,
    ) -> Result<usize, Error> {
        let least = F::from_f64(LEAST_OF_LOGISTIC);
        let smoothed = self.options.label_smoothing != 0.0;
        let clamped = match targets {
            ElementTargets::Numbers(targets) => {
                let of = Values::SigmoidTargets;
                if let Some((at, value)) = of.first_outside(targets) {
                    return Err(self.shape.value_error(of, first + at, value));
                }
                CountClamped { probabilities, targets, least, smoothed }.at(level)
            }
            ElementTargets::Bytes(targets) => {
                CountClamped { probabilities, targets, least, smoothed }.at(level)
            }
        };
        if let Some(clamped) = clamped.filter(|&clamped| clamped == 0 || !some_unweighted) {
            return Ok(clamped);
        }
        // One of them is not a probability, but it may not count: it is ignored, or its class or row has weight zero.
        let mut clamped = 0;
        for (at, &p) in probabilities.iter().enumerate() {
            let class = (first + at) / self.shape.inner % self.shape.classes;
            let row = self.shape.row_of(first + at);
            if self.options.class_weights.get(class) == Some(&F::default())
                || self.weights.sample_weights.get(row) == Some(&F::default())
            {
                continue;
            }
            let [some, other] = match targets {
                ElementTargets::Numbers(targets) => targets.get(at).map(|y| y.sides(smoothed)),
                ElementTargets::Bytes(targets) => targets.get(at).map(|y| y.sides(smoothed)),
            }
            .unwrap_or_default();
            if !(some || other) {
                continue;
            }
            if !(p >= F::default() && p <= F::from(1.0)) {
                return Err(self.shape.value_error(Values::Probabilities, first + at, p.to_f64()));
            }
            clamped += usize::from((p < least && some) || (p >= F::from(1.0) && other));
        }
        Ok(clamped)
    }
}
