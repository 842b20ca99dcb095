//! The equation, and a row that is longer than a tile.
//!
//! With `m = max x`, `S = Σ e^(x_c - m)`, `p = softmax(x)`, weights `q` and `Q = Σ q_c`:
//!
//! ```text
//! loss     = Q ln S + Σ q_c (m - x_c)
//! gradient = Q p_c - q_c
//! ```
//!
//! Computed as written, a confident row would lose its digits: `S` rounds to one, and `p_c - q_c` cancels. So one
//! class `k`, the *pivot*, is left out of the sums: the label or, if every class has a weight, the class of the
//! largest logit. The sum kept is `R`, that of the others:
//!
//! ```text
//! ln S          = log1p(R)                 where x_k = m, and all terms of the loss are positive
//! gradient of k = (Q - q_k) - Q R / S      where Q - q_k is the sum of the other weights
//! ```
//!
//! Other losses change the coefficients of the row ([`super::coefficients`]). The arithmetic of a row is here; that
//! of its classes, in the level's vectors, is in [`super::rows`].
//!
//! A row is read in tiles that fit the first-level cache, each with its own maximum (M. Milakov and N. Gimelshein,
//! "Online normalizer calculation for softmax", 2018). The exponentials of a row of one tile are stored where the
//! gradient goes; those of a longer row are computed again.

use super::block::{BlockSums, BlockTargets, RowBlock, RowSupply, SoftTargets};
use super::coefficients::{Coefficients, Factors, SecondTerms, Terms, second_terms};
use super::gradient::Fence;
use super::row_buffers::{GradMode, RowBuffers};
use super::row_sums::{Pivot, RowSums};
use super::row_targets::{RowTargets, WeightScratch};
use super::row_task::{RowTask, Steps};
use super::rows::{GroupState, Rows};
use super::second_derivatives::SecondDerivatives;
use super::sum::{TILE, sum_of};
use super::tile_tree::TileTree;
use crate::batch::{CHUNK, ForkJoin};
use crate::dispatch::Kernel;
use crate::hessian::Curvature;
use crate::level::Level;
use crate::simd::Compute;
use crate::simd::{ACCUMULATORS, aligned};

/// The results of a row, except its gradient.
#[derive(Clone, Copy)]
pub(crate) struct RowResult {
    pub(crate) loss: f64,
    pub(crate) log_sum_exp: f64,
    /// The class of the largest logit, if that was asked for.
    pub(crate) largest_class: usize,
}

/// The scratch buffer for a tile.
pub(crate) struct TileState<'w, F> {
    block: RowBlock<F>,
    sums: BlockSums<F>,
    folded: [[F; ACCUMULATORS]; 3],
    /// Empty if rows have no weights.
    weights: WeightScratch<'w, F>,
}

impl<'w, F: Compute> TileState<'w, F> {
    pub(crate) fn new(weights: &'w mut [F]) -> Self {
        let folded = [[F::default(); ACCUMULATORS]; 3];
        let weights = WeightScratch { values: weights, alike: None };
        Self { block: RowBlock::new(), sums: BlockSums::new(), folded, weights }
    }
}

/// Prepares one tile.
struct OneTile<'a, F> {
    label: F,
    targets: BlockTargets<'a, F>,
    teacher_max: F,
    /// For the gradient: the largest logit, and the coefficients.
    max: F,
    factors: [F; 2],
    own: F,
}

impl<F: Compute> RowSupply<F> for OneTile<'_, F> {
    fn fill(&mut self, blocks: &mut [RowBlock<F>], _: usize, _: usize) {
        if let [block] = blocks {
            block.labels[0] = self.label;
            block.teacher_max[0] = self.teacher_max;
            block.target_scales[0] = self.own;
            block.max[0] = self.max;
            block.finite[0] = F::from_count(1);
            [block.probability[0], block.weight[0]] = self.factors;
        }
    }

    fn targets(&self) -> BlockTargets<'_, F> {
        self.targets
    }

    fn finish(&mut self, _: &mut [RowBlock<F>], _: usize, _: usize, _: &mut RowBuffers<'_, F>) {}
}

/// The sums of one tile, even if it is masked; `None` if it has `+inf`, or nothing but NaN.
pub(crate) fn tile_sums<F: Compute>(
    level: Level,
    tile: &[F],
    first: usize,
    targets: &RowTargets<'_, F>,
    (unit, largest_class): (f64, bool),
    state: &mut TileState<'_, F>,
) -> Option<RowSums> {
    let classes = first..first + tile.len();
    let in_tile = |class: usize| classes.contains(&class).then(|| class - first);
    let zero = F::default();
    let TileState { block, sums, folded, weights } = state;
    let label = match targets {
        RowTargets::Label { class, .. } => in_tile(*class),
        _ => None,
    };
    let of_tile = match targets {
        RowTargets::Nothing => BlockTargets::Nothing,
        RowTargets::Label { .. } => BlockTargets::Labels,
        RowTargets::Soft(soft) => BlockTargets::Soft(SoftTargets {
            weights: soft.weights(level, classes.clone(), weights),
            stride: 0,
            teacher: match soft.teacher {
                Some(_) => soft.dense.get(classes.clone()).unwrap_or(&[]),
                None => &[],
            },
            teacher_stride: 0,
            own_gradient: false,
        }),
    };
    let soft = if let RowTargets::Soft(soft) = targets { Some(soft) } else { None };
    let mut supply = OneTile {
        label: label.map_or(-F::from_count(1), F::from_count),
        targets: of_tile,
        teacher_max: soft.and_then(|soft| soft.teacher).map_or(zero, |teacher| teacher.max),
        max: zero,
        factors: [zero; 2],
        own: zero,
    };
    Rows {
        task: RowTask { largest_class, ..RowTask::part(level, tile.len(), unit, Steps::Sums) },
        buffers: RowBuffers::loss(tile),
        rows: 1,
        supply: &mut supply,
        state: GroupState { block, sums, folded },
    }
    .at(level);
    let of_weights = |of_tile: BlockTargets<'_, F>| match of_tile {
        BlockTargets::Soft(soft) => sum_of(soft.weights.iter().map(|q| q.to_f64())),
        _ => 0.0,
    };
    if block.finite[0] != F::from_count(1) {
        let masked = tile.iter().all(|&x| x == F::NEG_INFINITY);
        let label = label.map(|at| first + at);
        return masked.then(|| RowSums::masked(label, of_weights(of_tile), unit));
    }
    let pivot = match targets {
        RowTargets::Label { .. } => label,
        _ => Some(block.largest_class[0].to_count()),
    };
    let full = |sum: &[[F; super::block::ROWS]; 2]| {
        let [high, low] = [sum[0][0].to_f64(), sum[1][0].to_f64()];
        // Once the sum is infinite, its rounding error is NaN.
        if high.is_finite() { high + low } else { high }
    };
    let has_weights = soft.is_some();
    Some(RowSums {
        max: block.max[0].to_f64(),
        largest_class: first + block.largest_class[0].to_count(),
        unit,
        pivot: pivot.map(|at| Pivot {
            class: first + at,
            logit: tile.get(at).map_or(f64::NAN, |x| x.to_f64()),
            weight: if has_weights { sums.pivot_weight[0].to_f64() } else { 0.0 },
        }),
        others: full(&sums.others) * F::UNSCALE,
        weights: if has_weights { full(&sums.weights) } else { 0.0 },
        distances: if has_weights { 2.0 * full(&sums.half_distances) } else { 0.0 },
    })
}

/// A row, or neighbouring classes of one, with the places of their results.
pub(crate) struct RowOutput<'a, F> {
    pub(crate) buffers: RowBuffers<'a, F>,
    /// For second derivatives; empty if not wanted.
    pub(crate) hessian: &'a mut [F],
}

/// A row of which everything is known except the gradient of each class.
#[derive(Clone, Copy)]
pub(crate) struct FinishedRow<'a, F> {
    targets: RowTargets<'a, F>,
    sums: RowSums,
    /// The sums without the class of the largest logit, for second derivatives.
    by_largest: RowSums,
    coefficients: Coefficients<f64>,
    second: SecondTerms<f64>,
    curvature: Curvature,
}

impl<'a, F: Compute> FinishedRow<'a, F> {
    /// From the sums of the whole row. The curvature is without the weights.
    pub(crate) fn new(
        targets: RowTargets<'a, F>,
        sums: RowSums,
        terms: Terms,
        factors: Factors<f64>,
        curvature: Curvature,
    ) -> Self {
        let (coefficients, all_weights) = match &targets {
            RowTargets::Nothing => (sums.finish_label(0.0, terms, factors), 0.0),
            RowTargets::Label { weight, .. } => {
                (sums.finish_label(*weight, terms, factors), *weight)
            }
            RowTargets::Soft(soft) => {
                let own = soft.own.map(|own| own.to_f64());
                let ln_sum = soft.teacher.map_or(0.0, |teacher| teacher.ln_sum);
                sums.finish_soft(own, ln_sum, terms.z_loss, factors)
            }
        };
        let of_label = [sums.pivot_exp(), sums.others];
        let log_sum_exp = coefficients.log_sum_exp;
        let second = second_terms((), all_weights, log_sum_exp, terms, of_label);
        Self { targets, sums, by_largest: sums, coefficients, second, curvature }
    }

    pub(crate) fn result(&self) -> RowResult {
        let Coefficients { loss, log_sum_exp, .. } = self.coefficients;
        RowResult { loss, log_sum_exp, largest_class: self.sums.largest_class }
    }

    /// Writes the gradient and the second derivatives of the classes from `first` on, which may be all.
    pub(crate) fn put(
        &self,
        level: Level,
        mut place: RowOutput<'_, F>,
        first: usize,
        stream: bool,
        state: &mut TileState<'_, F>,
    ) {
        let pivot = self.sums.pivot.map_or(usize::MAX, |pivot| pivot.class).wrapping_sub(first);
        let there = place.buffers.gradient().get(pivot).copied().unwrap_or_default();
        let length = place.buffers.len();
        // Only aligned stores go past the caches, so the classes before the first aligned one are a tile of their
        // own.
        let head = if stream { aligned(place.buffers.gradient()).min(length) } else { 0 };
        let tiles = (head..length).step_by(TILE);
        for at in (head != 0).then_some(0).into_iter().chain(tiles) {
            let count = if at < head { head } else { TILE.min(length - at) };
            if let Some(hessian) = place.hessian.get_mut(at..at + count) {
                self.put_second(
                    level,
                    &place.buffers.logits()[at..at + count],
                    first + at,
                    hessian,
                );
            }
            if place.buffers.mode() != GradMode::None {
                let buffers = place.buffers.part([at; 2], count);
                self.put_tile(level, buffers, first + at, stream && at >= head, state);
            }
        }
        if stream {
            Fence::<F>::new().at(level);
        }
        let g = F::from_f64(self.coefficients.pivot);
        let adds = place.buffers.mode() == GradMode::Add;
        if let Some(place) = place.buffers.gradient_mut().get_mut(pivot) {
            *place = if adds { there + g } else { g };
        }
    }

    fn put_second(&self, level: Level, x: &[F], first: usize, out: &mut [F]) {
        let sums = &self.by_largest;
        let largest = sums.pivot.map_or(usize::MAX, |pivot| pivot.class);
        let label = self.sums.pivot.map_or(usize::MAX, |pivot| pivot.class);
        SecondDerivatives {
            x,
            stored: false,
            max: F::from_f64(sums.max),
            largest: largest.wrapping_sub(first),
            unit: sums.unit,
            sum: sums.sum() * F::SCALE,
            others: Some(sums.others * F::SCALE),
            terms: self.second,
            label: label.wrapping_sub(first),
            curvature: self.curvature,
            out,
        }
        .at(level);
    }

    fn put_tile(
        &self,
        level: Level,
        buffers: RowBuffers<'_, F>,
        first: usize,
        stream: bool,
        state: &mut TileState<'_, F>,
    ) {
        let classes = first..first + buffers.len();
        let TileState { block, sums, folded, weights } = state;
        let Coefficients { probability, weight, .. } = self.coefficients;
        let mut supply = OneTile {
            label: -F::from_count(1),
            targets: BlockTargets::Labels,
            teacher_max: F::default(),
            max: F::from_f64(self.sums.max),
            factors: [probability * F::UNSCALE, weight].map(F::from_f64),
            own: F::default(),
        };
        if let RowTargets::Soft(soft) = &self.targets {
            supply.own = soft.own.unwrap_or_default();
            supply.targets = BlockTargets::Soft(SoftTargets {
                weights: soft.weights(level, classes, weights),
                stride: 0,
                teacher: &[],
                teacher_stride: 0,
                own_gradient: soft.own.is_some(),
            });
        }
        let task = RowTask::part(level, buffers.len(), self.sums.unit, Steps::Gradient);
        Rows {
            task: RowTask { stream, ..task },
            buffers,
            rows: 1,
            supply: &mut supply,
            state: GroupState { block, sums, folded },
        }
        .at(level);
    }
}

/// Computes rows: on this thread only or, if threads can join, in pieces. The bits are the same.
#[derive(Clone, Copy)]
pub(crate) struct LongRows<'j> {
    pub(crate) level: Level,
    pub(crate) join: Option<&'j dyn ForkJoin>,
}

/// The logits of a row, or of neighbouring tiles of one.
pub(crate) trait RowSource<F>: Copy + Send + Sync {
    fn len(self) -> usize;

    /// Splits off the first `classes` classes.
    fn split_at(self, middle: usize) -> (Self, Self);

    /// Passes each tile to `to`, with its first class, until `to` returns false.
    fn tiles(self, level: Level, to: &mut dyn FnMut(usize, &[F]) -> bool);
}

impl<F: Compute> RowSource<F> for &[F] {
    fn len(self) -> usize {
        <[F]>::len(self)
    }

    fn split_at(self, middle: usize) -> (Self, Self) {
        <[F]>::split_at(self, middle)
    }

    fn tiles(self, _: Level, to: &mut dyn FnMut(usize, &[F]) -> bool) {
        for (index, tile) in self.chunks(TILE).enumerate() {
            if !to(index * TILE, tile) {
                return;
            }
        }
    }
}

/// Pieces are runs of the tree of a row's tiles.
const _: () = assert!((CHUNK / TILE).is_power_of_two() && CHUNK.is_multiple_of(TILE));

/// Where a run of a row is split: at the largest power of two of tiles below its length.
pub(crate) fn middle(length: usize) -> usize {
    let tiles = length.div_ceil(TILE);
    TILE << (usize::BITS - 1 - (tiles - 1).leading_zeros())
}

impl LongRows<'_> {
    /// The sums of a row; `None` if its largest logit is not finite.
    pub(crate) fn sums<F: Compute>(
        self,
        x: impl RowSource<F>,
        targets: &RowTargets<'_, F>,
        options: (f64, bool),
        state: &mut TileState<'_, F>,
    ) -> Option<RowSums> {
        self.run_sums(x, 0, targets, options, state).filter(|sums| sums.max.is_finite())
    }

    /// The sums of a run of tiles whose first class is `first`; `None` if one of them has `+inf`, or nothing but
    /// NaN.
    fn run_sums<F: Compute>(
        self,
        x: impl RowSource<F>,
        first: usize,
        targets: &RowTargets<'_, F>,
        options: (f64, bool),
        state: &mut TileState<'_, F>,
    ) -> Option<RowSums> {
        let level = self.level;
        // Rows with a weight for every class are not split.
        let cuts = !matches!(targets, RowTargets::Soft(_)) && x.len() > CHUNK;
        let Some(join) = self.join.filter(|_| cuts) else {
            if x.len() <= TILE {
                let mut sums = None;
                x.tiles(level, &mut |_, tile| {
                    sums = tile_sums(level, tile, first, targets, options, state);
                    true
                });
                return sums;
            }
            let mut tree = Some(TileTree::new(first / TILE));
            x.tiles(level, &mut |at, tile| {
                let sums = tile_sums(level, tile, first + at, targets, options, state);
                match (sums, &mut tree) {
                    (Some(sums), Some(tree)) => tree.push(sums),
                    _ => tree = None,
                }
                tree.is_some()
            });
            return tree?.total();
        };
        let (a, b) = x.split_at(middle(x.len()));
        let (mut of_a, mut of_b) = (None, None);
        join.join(
            &mut || {
                of_a = self.run_sums(a, first, targets, options, &mut TileState::new(&mut []));
            },
            &mut || {
                let first = first + a.len();
                of_b = self.run_sums(b, first, targets, options, &mut TileState::new(&mut []));
            },
        );
        Some(of_a?.merge(of_b?))
    }

    /// `ln Σ e^x`; `-inf` without logits, NaN if there is a NaN.
    pub(crate) fn log_sum_exp<F: Compute>(self, x: &[F]) -> F {
        let mut state = TileState::new(&mut []);
        match self.sums(x, &RowTargets::Nothing, (1.0, false), &mut state) {
            Some(sums) => F::from_f64(sums.log_sum_exp()),
            None if x.iter().any(|x| x.is_nan()) => F::NAN,
            None if x.contains(&F::INFINITY) => F::INFINITY,
            None => F::NEG_INFINITY,
        }
    }

    /// A row whose gradient can be written; `None` if its largest logit is not finite. For second derivatives, also
    /// the sums without the class of the largest logit.
    pub(crate) fn finish<'a, F: Compute>(
        self,
        x: impl RowSource<F>,
        targets: RowTargets<'a, F>,
        task: &LongRowTask,
        state: &mut TileState<'_, F>,
    ) -> Option<FinishedRow<'a, F>> {
        let options = (task.unit, task.largest_class);
        let sums = self.sums(x, &targets, options, state)?;
        let mut finished =
            FinishedRow::new(targets, sums, task.terms, task.factors, task.curvature);
        if task.second && matches!(targets, RowTargets::Label { .. }) {
            finished.by_largest = self.sums(x, &RowTargets::Nothing, options, state)?;
        }
        Some(finished)
    }

    /// [`FinishedRow::put`], on several threads if `join` is given.
    pub(crate) fn put<F: Compute>(
        self,
        finished: &FinishedRow<'_, F>,
        mut place: RowOutput<'_, F>,
        first: usize,
        stream: bool,
        state: &mut TileState<'_, F>,
    ) {
        let length = place.buffers.len();
        let Some(join) = self.join.filter(|_| length > CHUNK) else {
            return finished.put(self.level, place, first, stream, state);
        };
        let middle = middle(length);
        let buffers = place.buffers.take_front(middle);
        let (hessian, rest) = place.hessian.split_at_mut(middle.min(place.hessian.len()));
        let mut a = Some(RowOutput { buffers, hessian });
        let mut b = Some(RowOutput { buffers: place.buffers, hessian: rest });
        let put = |place: &mut Option<RowOutput<'_, F>>, first| {
            if let Some(place) = place.take() {
                self.put(finished, place, first, stream, &mut TileState::new(&mut []));
            }
        };
        join.join(&mut || put(&mut a, first), &mut || put(&mut b, first + middle));
    }
}

/// The parameters of a long row.
#[derive(Clone, Copy)]
pub(crate) struct LongRowTask {
    pub(crate) terms: Terms,
    pub(crate) factors: Factors<f64>,
    /// The unit of distances.
    pub(crate) unit: f64,
    pub(crate) largest_class: bool,
    /// Whether second derivatives are wanted, and their curvature without the weights.
    pub(crate) second: bool,
    pub(crate) curvature: Curvature,
}
