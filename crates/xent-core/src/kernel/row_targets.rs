//! The targets of a long row: its label, or the weights of its classes, tile by tile.

use super::soft_weights::{FillWeights, SoftmaxWeights};
use crate::dispatch::Kernel;
use crate::level::Level;
use crate::simd::Compute;
use core::ops::Range;

/// The targets of a long row.
#[derive(Clone, Copy)]
pub(crate) enum RowTargets<'a, F> {
    /// None: only its sums are wanted.
    Nothing,
    Label {
        class: usize,
        weight: f64,
    },
    Soft(SoftSource<'a, F>),
}

/// The sources of the weights of a row's classes.
#[derive(Clone, Copy)]
pub(crate) struct SoftSource<'a, F> {
    /// Dense targets or the logits of a teacher, contiguous; empty if there are none.
    pub(crate) dense: &'a [F],
    /// The step from the target of a class to the next.
    pub(crate) step: usize,
    pub(crate) scale: F,
    pub(crate) smoothing_per_class: F,
    pub(crate) class_weights: &'a [F],
    /// A class with an additional weight.
    pub(crate) label: Option<(usize, F)>,
    /// The target of the gradient for every weight that is not zero, if it differs from the weight.
    pub(crate) own: Option<F>,
    pub(crate) teacher: Option<TeacherSums<F>>,
}

/// The sums of a teacher's logits.
#[derive(Clone, Copy)]
pub(crate) struct TeacherSums<F> {
    pub(crate) max: F,
    pub(crate) sum: f64,
    pub(crate) ln_sum: f64,
    /// The unit of distances, also for the student.
    pub(crate) unit: f64,
}

impl<'a, F: Compute> SoftSource<'a, F> {
    /// The weights of some classes: in place, or computed in `scratch`.
    pub(super) fn weights<'s>(
        &self,
        level: Level,
        classes: Range<usize>,
        scratch: &'s mut WeightScratch<'_, F>,
    ) -> &'s [F]
    where
        'a: 's,
    {
        let Self { scale, smoothing_per_class, label, teacher, step, .. } = *self;
        let part = |all: &'a [F]| all.get(classes.clone()).unwrap_or(&[]);
        let class_weights = part(self.class_weights);
        let strided = step != 1 && !self.dense.is_empty();
        let dense = if strided { &[] } else { part(self.dense) };
        let one = F::from_count(1);
        let as_it_is =
            scale == one && smoothing_per_class == F::default() && class_weights.is_empty();
        if as_it_is && label.is_none() && teacher.is_none() && !dense.is_empty() {
            return dense;
        }
        let here = label.and_then(|(class, weight)| {
            let at = class.checked_sub(classes.start).filter(|&at| at < classes.len())?;
            Some((at, weight))
        });
        if self.dense.is_empty() && class_weights.is_empty() && teacher.is_none() {
            return scratch.alike(smoothing_per_class, here, classes.len());
        }
        let Some(into) = scratch.values.get_mut(..classes.len()) else { return &[] };
        scratch.alike = None;
        if strided {
            let targets = self.dense.iter().step_by(step).skip(classes.start);
            into.iter_mut().zip(targets).for_each(|(place, &target)| *place = target);
        }
        match teacher {
            Some(TeacherSums { max, sum, unit, .. }) => SoftmaxWeights {
                logits: dense,
                max,
                unit,
                factor: F::from_f64(F::UNSCALE / sum),
                class_weights,
                into: &mut *into,
            }
            .at(level),
            None => FillWeights {
                dense: if strided { None } else { Some(dense) },
                scales: &[scale],
                smoothing_per_class,
                class_weights,
                classes: classes.len(),
                into: &mut *into,
            }
            .at(level),
        }
        if let Some((at, weight)) = here
            && let Some(place) = into.get_mut(at)
        {
            *place = *place + weight;
        }
        into
    }
}

/// Space for the weights of a tile.
pub(super) struct WeightScratch<'w, F> {
    pub(super) values: &'w mut [F],
    /// If known, the value that all of them share except one, and the place of that one: the
    /// weights of smoothed labels differ from tile to tile by no more than that.
    pub(super) alike: Option<(F, usize)>,
}

impl<F: Compute> WeightScratch<'_, F> {
    /// The same weight for all classes, and more for one of them.
    pub(super) fn alike(
        &mut self,
        smoothing_per_class: F,
        label: Option<(usize, F)>,
        count: usize,
    ) -> &[F] {
        match self.alike {
            Some((value, at)) if value == smoothing_per_class => {
                if let Some(place) = self.values.get_mut(at) {
                    *place = smoothing_per_class;
                }
            }
            _ => self.values.fill(smoothing_per_class),
        }
        let (at, weight) = label.unwrap_or((0, F::default()));
        self.alike = Some((smoothing_per_class, at));
        let Some(weights) = self.values.get_mut(..count) else { return &[] };
        if let Some(place) = weights.get_mut(at) {
            *place = smoothing_per_class + weight;
        }
        weights
    }
}
