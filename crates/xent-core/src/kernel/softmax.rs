//! The one equation, one row at a time.
//!
//! With `m = max x`, `S = Σ e^(x_c - m)`, `p = softmax(x)`, weights `q` and `Q = Σ q_c`:
//!
//! ```text
//! loss     = Q ln S + Σ q_c (m - x_c)
//! gradient = Q p_c - q_c
//! ```
//!
//! Computed as written, a confident row would lose its digits: `S` rounds to one, `p_c - q_c`
//! cancels. So one class `k` is *treated apart*, the target of an index or else the largest logit,
//! and `R`, the sum of the others, is what is kept:
//!
//! ```text
//! ln S          = log1p(R)                 where x_k = m, and all terms of the loss are positive
//! gradient of k = (Q - q_k) - Q R / S      where Q - q_k is the sum of the other weights
//! ```
//!
//! The terms of other losses change the coefficients of the row ([`super::coefficients`]); what is
//! done to the logits first is a [`LogitMap`]. The arithmetic of a row is here; that of its classes, in
//! the level's vectors, is in [`super::passes`].
//!
//! A row is read in tiles that fit the first-level cache, each with a maximum of its own (M. Milakov
//! and N. Gimelshein, "Online normalizer calculation for softmax", 2018). The exponentials of a row
//! of one tile are kept where the gradient goes; those of a longer row are computed again.

use super::cells::{Cells, LOSS, WRITE};
use super::coefficients::{Coefficients, Factors, Terms, coefficients};
use super::logit_map::{Identity, LogitMap};
use super::passes::{Gradient, Mapped, PutGradient, SecondDerivatives, Source, TileSums};
use super::row_sums::RowSums;
use super::sum::TILE;
use super::targets::{NoTargets, Spike, Targets};
use super::tile_tree::TileTree;
use crate::batch::{Join, LEAF};
use crate::dispatch::Kernel;
use crate::element::Float;
use crate::hessian::Curvature;
use crate::level::Level;
use crate::math::scalar;

/// What is known of a row beside its gradient.
#[derive(Clone, Copy)]
pub(crate) struct RowResult {
    pub(crate) loss: f64,
    pub(crate) log_sum_exp: f64,
    /// The class treated apart; the spike's with [`Targets::APART_IS_SPIKE`].
    pub(crate) apart: usize,
}

/// What all rows of a batch have in common.
#[derive(Clone, Copy)]
pub(crate) struct RowTask<Z> {
    pub(crate) map: Z,
    pub(crate) terms: Terms,
    /// Whether the gradient is large enough to be written past the caches.
    pub(crate) stream: bool,
}

/// A row, or neighbouring classes of one, where their results go.
pub(crate) struct Place<'a, F, const MODE: u8> {
    pub(crate) cells: Cells<'a, F, MODE>,
    /// For second derivatives; empty if there are to be none.
    pub(crate) hessian: &'a mut [F],
    pub(crate) curvature: Curvature,
}

/// A row of which all is known but the gradient of each class.
#[derive(Clone, Copy)]
pub(crate) struct Settled<F, T, Z> {
    targets: T,
    map: Z,
    sums: RowSums,
    /// With its logit and how far that is below the largest.
    spike: Option<(Spike, F, f64)>,
    coefficients: Coefficients<f64>,
    all_weights: f64,
}

impl<F: Float, T: Targets<F>, Z: LogitMap> Settled<F, T, Z> {
    /// From the sums of the whole row and the logit of its spike.
    pub(crate) fn new(
        level: Level,
        (targets, map, terms): (T, Z, Terms),
        sums: RowSums,
        spike_logit: Option<F>,
        factors: Factors<f64>,
    ) -> Self {
        let z = match spike_logit {
            Some(x) if !Z::IDENTITY => Mapped(map, x).at(level).to_f64(),
            Some(x) => x.to_f64(),
            None => sums.max,
        };
        let distance = sums.distance(z);
        let with_targets = sums.with_targets(targets, distance);
        let spike = targets.spike().zip(spike_logit).map(|(spike, x)| (spike, x, distance));
        Self {
            targets,
            map,
            sums,
            spike,
            coefficients: coefficients((), with_targets, terms, factors),
            all_weights: with_targets.weights + with_targets.apart_weight,
        }
    }

    pub(crate) fn result(&self) -> RowResult {
        let Coefficients { loss, log_sum_exp, .. } = self.coefficients;
        let apart = self.sums.apart.map_or(usize::MAX, |apart| apart.class);
        RowResult { loss, log_sum_exp, apart }
    }

    /// The gradient and the second derivatives of the classes from `first` on, which may be all. With
    /// `kept`, their exponentials are in the gradient's place.
    pub(crate) fn put<const MODE: u8>(
        &self,
        level: Level,
        place: Place<'_, F, MODE>,
        first: usize,
        kept: bool,
        stream: bool,
    ) {
        let Self { targets, map, sums, coefficients, .. } = *self;
        let Place { cells, hessian, curvature } = place;
        if !hessian.is_empty() {
            let curvature = Curvature { factor: curvature.factor * self.all_weights, ..curvature };
            let x = if kept { cells.gradient() } else { cells.logits() };
            let sums = &sums;
            SecondDerivatives { x, kept, first, map, sums, curvature, out: hessian }.at(level);
        }
        if MODE == LOSS {
            return;
        }

        let apart_class = sums.apart.map_or(usize::MAX, |apart| apart.class);
        let spike = self.spike.filter(|(spike, ..)| spike.class != apart_class);
        let spike = spike.map(|(spike, x, distance)| {
            let p = scalar::exp(-distance) * coefficients.probability;
            let q = targets.weight(spike.class) + spike.weight;
            (spike.class, x, p - coefficients.weight * q)
        });
        let apart = sums.apart.map(|apart| {
            // Kept exponentials have taken its place, but only of logits that are not mapped.
            let x =
                cells.logits().get(apart_class.wrapping_sub(first)).copied().unwrap_or_default();
            let x = if Z::IDENTITY { F::from_f64(apart.logit) } else { x };
            (apart_class, x, coefficients.apart)
        });
        let factors = [coefficients.probability * F::UNLIFT, coefficients.weight];
        let factors = factors.map(F::from_f64);
        let gradient = Gradient { targets, map, max: F::from_f64(sums.max), factors };
        let source = if kept {
            Source::Kept
        } else if stream && cells.is_beside() {
            Source::LogitsPastCaches
        } else {
            Source::Logits
        };
        PutGradient { gradient, cells, first, source, settled: [apart, spike] }.at(level);
    }
}

/// The sums of one tile, also of one that is masked; `None` if it has `+inf` or nothing but NaN.
pub(crate) fn tile_sums<F: Float, T: Targets<F>, Z: LogitMap>(
    level: Level,
    tile: &[F],
    first: usize,
    targets: T,
    map: Z,
) -> Option<RowSums> {
    match (TileSums { tile: Cells::loss(tile), first, targets, map }).at(level) {
        None if tile.iter().all(|&x| x == F::NEG_INFINITY) => {
            Some(RowSums::masked(tile.len(), first, targets, map.unit()))
        }
        sums => sums,
    }
}

/// Computes rows: on this thread alone or, with threads that join, in pieces. The bits are the same.
#[derive(Clone, Copy)]
pub(crate) struct Rows<'j> {
    pub(crate) level: Level,
    pub(crate) join: Option<&'j dyn Join>,
}

/// The logits of a row, or of neighbouring tiles of one.
pub(crate) trait RowSource<F>: Copy + Send + Sync {
    fn len(self) -> usize;

    /// The first so many classes, and the others.
    fn split_at(self, middle: usize) -> (Self, Self);

    /// Gives each tile to `to`, with the place of its first class, until that returns false.
    fn tiles(self, level: Level, to: &mut dyn FnMut(usize, &[F]) -> bool);
}

impl<F: Float> RowSource<F> for &[F] {
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
const _: () = assert!((LEAF / TILE).is_power_of_two() && LEAF.is_multiple_of(TILE));

/// Where a run of a row is cut in two: at the largest power of two of tiles below its length.
pub(crate) fn middle(length: usize) -> usize {
    let tiles = length.div_ceil(TILE);
    TILE << (usize::BITS - 1 - (tiles - 1).leading_zeros())
}

impl Rows<'_> {
    /// The sums of a row; `None` if its largest logit is not finite.
    pub(crate) fn sums<F: Float, T: Targets<F>, Z: LogitMap>(
        self,
        x: impl RowSource<F>,
        targets: T,
        map: Z,
    ) -> Option<RowSums> {
        self.run_sums(x, 0, targets, map).filter(|sums| sums.max.is_finite())
    }

    /// The sums of a run of tiles whose first class is `first`; `None` if one of them has `+inf` or
    /// nothing but NaN.
    fn run_sums<F: Float, T: Targets<F>, Z: LogitMap>(
        self,
        x: impl RowSource<F>,
        first: usize,
        targets: T,
        map: Z,
    ) -> Option<RowSums> {
        let level = self.level;
        let Some(join) = self.join.filter(|_| x.len() > LEAF) else {
            if x.len() <= TILE {
                let mut sums = None;
                x.tiles(level, &mut |_, tile| {
                    sums = tile_sums(level, tile, first, targets, map);
                    true
                });
                return sums;
            }
            let mut tree = Some(TileTree::new(first / TILE));
            x.tiles(level, &mut |at, tile| {
                match (tile_sums(level, tile, first + at, targets, map), &mut tree) {
                    (Some(sums), Some(tree)) => tree.push(sums),
                    _ => tree = None,
                }
                tree.is_some()
            });
            return tree?.total();
        };
        let (a, b) = x.split_at(middle(x.len()));
        let (mut of_a, mut of_b) = (None, None);
        join.join(&mut || of_a = self.run_sums(a, first, targets, map), &mut || {
            of_b = self.run_sums(b, first + a.len(), targets, map);
        });
        Some(of_a?.merge(of_b?))
    }

    /// `ln Σ e^x`; `-inf` without a logit, NaN if there is one.
    pub(crate) fn log_sum_exp<F: Float>(self, x: &[F]) -> F {
        match self.sums(x, NoTargets, Identity) {
            Some(sums) => F::from_f64(sums.log_sum_exp()),
            None if x.iter().any(|x| x.is_nan()) => F::NAN,
            None if x.contains(&F::INFINITY) => F::INFINITY,
            None => F::NEG_INFINITY,
        }
    }

    /// The loss of one row, its gradient where the mode has a place for it, and its second
    /// derivatives; `None`, and nothing written, if its largest logit is not finite.
    pub(crate) fn row<F: Float, T: Targets<F>, Z: LogitMap, const MODE: u8>(
        self,
        mut place: Place<'_, F, MODE>,
        targets: T,
        task: RowTask<Z>,
        factors: Factors<f64>,
    ) -> Option<RowResult> {
        let RowTask { map, terms, stream } = task;
        let level = self.level;
        let x = place.cells.logits();
        // Before a gradient takes its place.
        let spike = targets.spike().and_then(|spike| x.get(spike.class).copied());
        let kept = MODE == WRITE && Z::IDENTITY && x.len() <= TILE;
        let sums = if kept {
            let tile = place.cells.reborrow();
            TileSums { tile, first: 0, targets, map }.at(level)?
        } else {
            self.sums(x, targets, map)?
        };
        let settled = Settled::new(level, (targets, map, terms), sums, spike, factors);
        if kept {
            settled.put(level, place, 0, kept, stream);
        } else if MODE != LOSS || !place.hessian.is_empty() {
            self.put(&settled, place, 0, stream);
        }
        Some(settled.result())
    }

    /// [`Settled::put`] from the logits.
    fn put<F: Float, T: Targets<F>, Z: LogitMap, const MODE: u8>(
        self,
        settled: &Settled<F, T, Z>,
        mut place: Place<'_, F, MODE>,
        first: usize,
        stream: bool,
    ) {
        let length = place.cells.len();
        let Some(join) = self.join.filter(|_| length > LEAF) else {
            return settled.put(self.level, place, first, false, stream);
        };
        let middle = middle(length);
        let cells = place.cells.take_front(middle);
        let (hessian, rest) = place.hessian.split_at_mut(middle.min(place.hessian.len()));
        let curvature = place.curvature;
        let mut a = Some(Place { cells, hessian, curvature });
        let mut b = Some(Place { cells: place.cells, hessian: rest, curvature });
        join.join(
            &mut || a.take().into_iter().for_each(|a| self.put(settled, a, first, stream)),
            &mut || b.take().into_iter().for_each(|b| self.put(settled, b, first + middle, stream)),
        );
    }
}
