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
//! done to the logits first is a [`LogitMap`].
//!
//! A row is read in tiles that fit the first-level cache, each with a maximum of its own (M. Milakov
//! and N. Gimelshein, "Online normalizer calculation for softmax", 2018). The exponentials of a row
//! of one tile are kept where the gradient goes; those of a longer row are computed again.

use super::cells::{ADD, Cells, LOSS, STREAM, WRITE};
use super::coefficients::{Factors, Number, Sums, Terms, coefficients, weighted};
use super::logit_map::{Identity, LogitMap};
use super::reduce::{max, position};
use super::sum::{StripedSum, TILE};
use super::targets::{NoTargets, Targets};
use crate::hessian::Curvature;
use crate::math::exp::{LIFTED_ONE, UNLIFT, exp_lifted};
use crate::math::scalar;
use crate::simd::{LINE, Lanes, PANEL, STRIPES, from, from_mut};

/// The class treated apart.
#[derive(Clone, Copy)]
struct Apart {
    class: usize,
    /// Its mapped logit.
    logit: f32,
    /// Its weight without the spike.
    weight: f64,
    /// How far the targets' own logit of this class is below their largest.
    target_distance: f64,
}

/// What a row, or a part of one, adds up to; parts can be merged.
#[derive(Clone, Copy)]
pub(crate) struct RowSums {
    /// The largest logit, mapped.
    pub(crate) max: f32,
    /// The unit of all distances.
    unit: f64,
    apart: Option<Apart>,
    /// `R = Σ e^(x_c - max)` over the classes not treated apart.
    others: f64,
    /// `Σ q_c` over the classes not treated apart.
    weights: f64,
    /// `Σ q_c (max - x_c)` over the classes not treated apart.
    distances: f64,
}

impl RowSums {
    /// `x_k` of the class treated apart below the maximum.
    fn apart_distance(&self) -> f64 {
        self.apart.map_or(0.0, |apart| self.distance(apart.logit))
    }

    /// A mapped logit below the maximum.
    fn distance(&self, logit: f32) -> f64 {
        (f64::from(self.max) - f64::from(logit)) * self.unit
    }

    /// `S`, relative to the maximum.
    pub(crate) fn sum(&self) -> f64 {
        self.others + self.apart.map_or(0.0, |_| scalar::exp(-self.apart_distance()))
    }

    /// `ln S`.
    pub(crate) fn ln_sum(&self) -> f64 {
        if self.apart_distance() == 0.0 && self.apart.is_some() {
            scalar::log1p(self.others)
        } else {
            scalar::log1p(self.sum() - 1.0)
        }
    }

    /// `m + ln S`.
    pub(crate) fn log_sum_exp(&self) -> f64 {
        f64::from(self.max) + self.ln_sum()
    }

    /// The same sums relative to a larger maximum.
    fn relative_to(mut self, max: f32) -> Self {
        if max > self.max {
            let distance = (f64::from(max) - f64::from(self.max)) * self.unit;
            self.distances += weighted((), self.weights, distance);
            self.others *= scalar::exp(-distance);
            self.max = max;
        }
        self
    }

    /// Counts the class treated apart among the others.
    fn fold_apart(mut self) -> Self {
        if let Some(apart) = self.apart {
            let distance = self.apart_distance();
            self.others += scalar::exp(-distance);
            self.weights += apart.weight;
            self.distances += weighted((), apart.weight, distance - apart.target_distance);
            self.apart = None;
        }
        self
    }

    /// The sums of two parts of one row, `self` the earlier. Of two classes treated apart the one
    /// with the larger logit stays so.
    fn merge(self, later: Self) -> Self {
        let max = if later.max > self.max { later.max } else { self.max };
        let (mut a, mut b) = (self.relative_to(max), later.relative_to(max));
        if let (Some(first), Some(second)) = (a.apart, b.apart) {
            if first.logit >= second.logit {
                b = b.fold_apart();
            } else {
                a = a.fold_apart();
            }
        }
        Self {
            max,
            unit: self.unit,
            apart: a.apart.or(b.apart),
            others: a.others + b.others,
            weights: a.weights + b.weights,
            distances: a.distances + b.distances,
        }
    }

    /// With the spike, whose distance is given, in the place that it has among the classes.
    fn with_targets<T: Targets>(&self, targets: T, spike_distance: f64) -> Sums<f64> {
        let (apart, class) = self.apart.map_or((None, usize::MAX), |a| (Some(a), a.class));
        let mut sums = Sums {
            max: f64::from(self.max) * self.unit,
            apart_distance: self.apart_distance(),
            apart_exp: f64::exp_of((), 0.0 - self.apart_distance()),
            others: self.others,
            apart_weight: apart.map_or(0.0, |apart| apart.weight),
            weights: self.weights,
            gradient_apart_weight: 0.0,
            gradient_weights: 0.0,
            distances: self.distances,
            target_ln_sum: targets.ln_sum(),
            target_distance: spike_distance,
            target_is_other: 1.0,
        };
        if let Some(apart) = apart {
            sums.distances -= weighted((), apart.weight, apart.target_distance);
        }
        if let Some(spike) = targets.spike() {
            if spike.class == class {
                sums.apart_weight += spike.weight;
                sums.target_is_other = 0.0;
            } else {
                sums.weights += spike.weight;
                sums.distances += weighted((), spike.weight, spike_distance);
            }
        }
        [sums.gradient_apart_weight, sums.gradient_weights] = match targets.gradient_weights(class)
        {
            Some([apart, all]) => [apart, all - apart],
            None => [sums.apart_weight, sums.weights],
        };
        sums
    }
}

/// The numbers of the classes of a panel.
const LANE_NUMBERS: [f32; PANEL] = {
    let mut numbers = [0.0; PANEL];
    let mut i = 0;
    while i < PANEL {
        numbers[i] = i as f32;
        i += 1;
    }
    numbers
};

/// One register of the four rows of a panel.
#[inline(always)]
fn column<V: Lanes>(rows: &[[V::Stripes; 3]; 4], kind: usize, register: usize) -> [V; 4] {
    let [a, b, c, d] = rows;
    [a, b, c, d].map(|row| row[kind].as_ref()[register])
}

/// The second pass over a tile: exponentials, kept in the gradient's place, and their sums.
pub(crate) struct ExpSum<V: Lanes, T, Z> {
    token: V::Token,
    targets: T,
    map: Z,
    max: V,
    /// Of the exponentials, without the class treated apart.
    pub(crate) others: StripedSum<V>,
    weights: StripedSum<V>,
    half_distances: StripedSum<V>,
}

impl<V: Lanes<Scalar = f32>, T: Targets, Z: LogitMap> ExpSum<V, T, Z> {
    /// One panel (a whole one, or the last classes of the row) whose first class is `first`. With
    /// `HOLE`, the class of that number in the panel is left out of the sums.
    #[inline(always)]
    fn panel<const MODE: u8, const HOLE: bool>(
        &mut self,
        mut cells: Cells<'_, MODE>,
        first: usize,
        hole: usize,
    ) {
        let token = self.token;
        if !HOLE {
            // While the exponentials keep the arithmetic busy, the memory fetches the next tile.
            for line in 0..PANEL / LINE {
                V::prefetch(token, cells.logits(), TILE + line * LINE);
            }
        }
        let rows = [
            self.row_of_panel::<MODE, HOLE>(&mut cells, first, 0, hole),
            self.row_of_panel::<MODE, HOLE>(&mut cells, first, STRIPES, hole),
            self.row_of_panel::<MODE, HOLE>(&mut cells, first, 2 * STRIPES, hole),
            self.row_of_panel::<MODE, HOLE>(&mut cells, first, 3 * STRIPES, hole),
        ];
        for register in 0..STRIPES / V::LANES {
            self.others.add(register, column(&rows, 0, register));
            if T::SPREAD {
                self.weights.add(register, column(&rows, 1, register));
                self.half_distances.add(register, column(&rows, 2, register));
            }
        }
    }

    /// The next classes of a panel, one for each stripe while there are so many.
    #[inline(always)]
    fn row_of_panel<const MODE: u8, const HOLE: bool>(
        &self,
        cells: &mut Cells<'_, MODE>,
        first: usize,
        at: usize,
        hole: usize,
    ) -> [V::Stripes; 3] {
        if let Some(cells) = cells.take_whole::<STRIPES>() {
            return self.stripes::<MODE, HOLE, true>(cells, first, at, hole);
        }
        let rest = cells.take_front(STRIPES);
        if rest.len() == 0 {
            return [V::splat(self.token, 0.0).stripes(); 3];
        }
        self.stripes::<MODE, HOLE, false>(rest, first, at, hole)
    }

    /// All whole panels that there are, taken off: the class after the last of them.
    #[inline(always)]
    fn whole_panels<const MODE: u8>(
        &mut self,
        cells: &mut Cells<'_, MODE>,
        mut first: usize,
    ) -> usize {
        while let Some(panel) = cells.take_whole::<PANEL>() {
            self.panel::<MODE, false>(panel, first, 0);
            first += PANEL;
        }
        first
    }

    /// A panel with a hole or without an end, if there is one.
    #[inline(always)]
    fn last_panel<const MODE: u8>(&mut self, cells: Cells<'_, MODE>, first: usize, hole: usize) {
        if cells.len() != 0 {
            self.panel::<MODE, true>(cells, first, hole);
        }
    }

    /// A class for each stripe (or with `WHOLE` false, fewer), from `at` of the panel on: their
    /// exponentials, weights and half of their distances times weights.
    #[inline(always)]
    fn stripes<const MODE: u8, const HOLE: bool, const WHOLE: bool>(
        &self,
        mut cells: Cells<'_, MODE>,
        first: usize,
        at: usize,
        hole: usize,
    ) -> [V::Stripes; 3] {
        let token = self.token;
        let absent = V::splat(token, f32::NEG_INFINITY);
        let zero = V::splat(token, 0.0);
        let hole = V::splat(token, hole as f32);
        let length = if WHOLE { STRIPES } else { cells.len() };
        let end = V::splat(token, (at + length) as f32);
        let (mut exps, mut weights, mut half_distances) =
            (zero.stripes(), zero.stripes(), zero.stripes());
        for register in 0..STRIPES / V::LANES {
            let lane = register * V::LANES;
            if lane >= length {
                break;
            }
            let class = first + at + lane;
            let mut x = cells.load(token, lane, absent);
            let mut q = zero;
            if T::SPREAD {
                q = self.targets.load(token, class);
            }
            if HOLE {
                // The class treated apart, and the lanes past the last class.
                let number = V::load(token, from(&LANE_NUMBERS, at + lane), zero);
                let here = number.equal(hole);
                x = V::select(here, absent, x);
                if T::SPREAD {
                    q = V::select(here, zero, V::select(number.less(end), q, zero));
                }
            }
            let z = self.map.of(token, x);
            let e = exp_lifted(token, self.map.exponent(token, z, self.max));
            if Z::IDENTITY {
                cells.keep(lane, e);
            }
            exps.as_mut()[register] = e;
            if T::SPREAD {
                weights.as_mut()[register] = q;
                let mut half = self.map.half_distance(token, z, self.max);
                if T::OF_LOGITS {
                    let of_target = self.targets.distance::<V>(token, class);
                    half = half - of_target * V::splat(token, 0.5);
                }
                half_distances.as_mut()[register] = V::select(q.equal(zero), zero, q * half);
            }
        }
        [exps, weights, half_distances]
    }
}

/// The sums of one tile whose first class is `first`; `None` if its maximum is not finite.
///
/// The exponentials are left in the gradient's place, `2^32` times too large.
#[inline(always)]
fn tile_sums<V: Lanes<Scalar = f32>, T: Targets, Z: LogitMap, const MODE: u8>(
    token: V::Token,
    tile: &mut Cells<'_, MODE>,
    first: usize,
    targets: T,
    map: Z,
) -> Option<RowSums> {
    let largest = max::<V>(token, tile.logits());
    if !largest.is_finite() {
        return None;
    }
    let position = if T::APART_IS_SPIKE {
        let label = targets.spike().and_then(|spike| spike.class.checked_sub(first));
        label.filter(|&at| at < tile.len())
    } else {
        position::<V>(token, tile.logits(), largest)
    };
    let apart = position.and_then(|at| {
        let logit = map.of_one::<V>(token, *tile.logits().get(at)?);
        let class = first + at;
        let (weight, target_distance) = (targets.weight(class), targets.distance_of(class));
        Some(Apart { class, logit, weight, target_distance })
    });
    let max = map.of_one::<V>(token, largest);
    let pass = tile_exps::<V, T, Z, MODE>(token, tile, first, targets, map, max, position);
    Some(RowSums {
        max,
        unit: f64::from(map.unit()),
        apart,
        others: pass.others.total() * f64::from(UNLIFT),
        weights: if T::SPREAD { pass.weights.total() } else { 0.0 },
        distances: if T::SPREAD { 2.0 * pass.half_distances.total() } else { 0.0 },
    })
}

/// The exponentials of a tile, relative to its largest mapped logit, in the gradient's place and
/// summed up; `apart` is the position in the tile of the class treated apart.
#[inline(always)]
pub(crate) fn tile_exps<V: Lanes<Scalar = f32>, T: Targets, Z: LogitMap, const MODE: u8>(
    token: V::Token,
    tile: &mut Cells<'_, MODE>,
    first: usize,
    targets: T,
    map: Z,
    max: f32,
    apart: Option<usize>,
) -> ExpSum<V, T, Z> {
    let zero = StripedSum::new(token);
    let mut pass = ExpSum {
        token,
        targets,
        map,
        max: V::splat(token, max),
        others: zero,
        weights: zero,
        half_distances: zero,
    };

    // The panel that holds the class treated apart comes after the whole panels around it.
    let mut after = tile.reborrow();
    let Some(position) = apart else {
        let at = pass.whole_panels(&mut after, first);
        pass.last_panel(after, at, PANEL);
        return pass;
    };
    let around_at = position / PANEL * PANEL;
    let mut before = after.take_front(around_at);
    let around = after.take_front(PANEL);
    let at = pass.whole_panels(&mut before, first);
    let end = pass.whole_panels(&mut after, at + around.len());
    pass.last_panel(around, at, position - around_at);
    pass.last_panel(after, end, PANEL);
    pass
}

/// The sums of a row of any length; `None` if its maximum is not finite.
#[inline(always)]
pub(crate) fn row_sums<V: Lanes<Scalar = f32>, T: Targets, Z: LogitMap, const MODE: u8>(
    token: V::Token,
    row: &mut Cells<'_, MODE>,
    targets: T,
    map: Z,
) -> Option<RowSums> {
    if row.len() <= TILE {
        return tile_sums::<V, T, Z, MODE>(token, row, 0, targets, map);
    }
    // A tile without a finite logit has nothing to add, unless it has +inf or nothing but NaN.
    let mut sums: Option<RowSums> = None;
    for (index, tile) in row.logits().chunks(TILE).enumerate() {
        let first = index * TILE;
        match tile_sums::<V, T, Z, LOSS>(token, &mut Cells::loss(tile), first, targets, map) {
            Some(tile) => sums = Some(sums.map_or(tile, |sums| sums.merge(tile))),
            None if tile.iter().all(|&x| x == f32::NEG_INFINITY) => {
                let masked = masked_sums(tile.len(), first, targets, f64::from(map.unit()));
                sums = Some(sums.map_or(masked, |sums| sums.merge(masked)));
            }
            None => return None,
        }
    }
    sums.filter(|sums| sums.max.is_finite())
}

/// The sums of a tile of nothing but masked classes.
fn masked_sums<T: Targets>(length: usize, first: usize, targets: T, unit: f64) -> RowSums {
    let classes = first..first + length;
    let apart = targets.spike().filter(|spike| T::APART_IS_SPIKE && classes.contains(&spike.class));
    let weights = if T::SPREAD { classes.map(|class| targets.weight(class)).sum() } else { 0.0 };
    RowSums {
        max: f32::NEG_INFINITY,
        unit,
        apart: apart.map(|spike| Apart {
            class: spike.class,
            logit: f32::NEG_INFINITY,
            weight: 0.0,
            target_distance: 0.0,
        }),
        others: 0.0,
        weights,
        distances: weighted((), weights, f64::INFINITY),
    }
}

/// A second derivative for each class: `curvature p_c (1 - p_c)`, at least the floor.
#[inline(always)]
fn hessian<V: Lanes<Scalar = f32>, Z: LogitMap, const MODE: u8>(
    token: V::Token,
    row: &Cells<'_, MODE>,
    map: Z,
    sums: &RowSums,
    curvature: Curvature,
    out: &mut [f32],
) {
    let kept = MODE == WRITE && Z::IDENTITY && row.len() <= TILE;
    let absent = V::splat(token, f32::NEG_INFINITY);
    let max = V::splat(token, sums.max);
    let inverse = V::splat(token, (f64::from(UNLIFT) / sums.sum()) as f32);
    let one = V::splat(token, 1.0);
    let factor = V::splat(token, curvature.factor as f32);
    let floor = V::splat(token, curvature.floor as f32);
    let mut at = 0;
    while at < row.len() {
        let e = if kept {
            row.kept(token, at, absent)
        } else {
            let z = map.of(token, row.load(token, at, absent));
            exp_lifted(token, map.exponent(token, z, max))
        };
        let p = e * inverse;
        let h = p * (one - p) * factor;
        V::select(h.less(floor), floor, h).store(from_mut(out, at));
        at += V::LANES;
    }
    if let Some(apart) = sums.apart
        && let Some(place) = out.get_mut(apart.class)
    {
        let sum = sums.sum();
        let p = scalar::exp(-sums.apart_distance()) / sum;
        *place = curvature.of(p, sums.others / sum) as f32;
    }
}

/// The last pass, from the exponentials in the gradient's place or from the logits again.
struct Gradient<V, T, Z> {
    targets: T,
    map: Z,
    max: V,
    probability: V,
    weight: V,
}

impl<V: Lanes<Scalar = f32>, T: Targets, Z: LogitMap> Gradient<V, T, Z> {
    /// As many classes as `WHOLE` says, or if that is zero, as there are cells.
    #[inline(always)]
    fn registers<const AGAIN: bool, const MODE: u8, const WHOLE: usize>(
        &self,
        token: V::Token,
        mut cells: Cells<'_, MODE>,
        first: usize,
    ) {
        let absent = V::splat(token, f32::NEG_INFINITY);
        let length = if WHOLE == 0 { cells.len() } else { WHOLE };
        let mut at = 0;
        while at < length {
            let x = if AGAIN { cells.load(token, at, absent) } else { absent };
            let e = if AGAIN {
                exp_lifted(token, self.map.exponent(token, self.map.of(token, x), self.max))
            } else {
                cells.kept(token, at, absent)
            };
            let mut g = e * self.probability;
            if T::SPREAD {
                g = g - self.targets.load_for_gradient::<V>(token, first + at) * self.weight;
            }
            if !Z::IDENTITY {
                g = g * self.map.derivative(token, x);
            }
            cells.put(token, at, g);
            at += V::LANES;
        }
    }
}

/// The gradient of the classes from `first` on, from the exponentials in its place or with `AGAIN`
/// from the logits; the factors are those of the exponentials and of the weights.
#[inline(always)]
pub(crate) fn gradient<
    V: Lanes<Scalar = f32>,
    T: Targets,
    Z: LogitMap,
    const MODE: u8,
    const AGAIN: bool,
>(
    token: V::Token,
    mut row: Cells<'_, MODE>,
    mut first: usize,
    targets: T,
    map: Z,
    max: f32,
    [probability, weight]: [f32; 2],
) {
    let pass = Gradient {
        targets,
        map,
        max: V::splat(token, max),
        probability: V::splat(token, probability),
        weight: V::splat(token, weight),
    };
    while let Some(cells) = row.take_whole::<PANEL>() {
        pass.registers::<AGAIN, MODE, PANEL>(token, cells, first);
        first += PANEL;
    }
    while let Some(cells) = row.take_whole::<STRIPES>() {
        pass.registers::<AGAIN, MODE, STRIPES>(token, cells, first);
        first += STRIPES;
    }
    pass.registers::<AGAIN, MODE, 0>(token, row, first);
}

/// [`gradient`] of logits that are beside it, past the caches where the level can.
#[inline(always)]
pub(crate) fn gradient_past_caches<
    V: Lanes<Scalar = f32>,
    T: Targets,
    Z: LogitMap,
    const MODE: u8,
>(
    token: V::Token,
    row: Cells<'_, MODE>,
    targets: T,
    map: Z,
    max: f32,
    factors: [f32; 2],
) {
    // Only aligned stores go past the caches.
    let head = V::aligned(row.gradient()).min(row.len());
    let mut row = row.streaming();
    let before = row.take_front(head);
    gradient::<V, T, Z, STREAM, true>(token, before, 0, targets, map, max, factors);
    gradient::<V, T, Z, STREAM, true>(token, row, head, targets, map, max, factors);
    V::fence(token);
}

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

/// The loss of one row, its gradient where the mode has a place for it, and its Hessian where `out`
/// has; `None`, and nothing written, if its largest logit is not finite.
#[inline(always)]
pub(crate) fn row<V: Lanes<Scalar = f32>, T: Targets, Z: LogitMap, const MODE: u8>(
    token: V::Token,
    mut row: Cells<'_, MODE>,
    targets: T,
    task: RowTask<Z>,
    factors: Factors<f64>,
    curvature: Curvature,
    out: &mut [f32],
) -> Option<RowResult> {
    let RowTask { map, terms, .. } = task;
    // The logits of the classes that are settled one by one, before a gradient takes their place.
    let spike = targets.spike().and_then(|s| Some((s, *row.logits().get(s.class)?)));
    let sums = row_sums::<V, T, Z, MODE>(token, &mut row, targets, map)?;
    let spike_z = spike.map_or(sums.max, |(_, x)| map.of_one::<V>(token, x));
    let spike_distance = sums.distance(spike_z);
    let with_targets = sums.with_targets(targets, spike_distance);
    let settled = coefficients((), with_targets, terms, factors);
    let apart = sums.apart.map_or(usize::MAX, |apart| apart.class);
    let result = RowResult { loss: settled.loss, log_sum_exp: settled.log_sum_exp, apart };

    if !out.is_empty() {
        let all_weights = with_targets.weights + with_targets.apart_weight;
        let curvature = Curvature { factor: curvature.factor * all_weights, ..curvature };
        hessian::<V, Z, MODE>(token, &row, map, &sums, curvature, out);
    }
    if MODE == LOSS {
        return Some(result);
    }

    let one = |class: usize, x: f32, g: f64, row: &mut Cells<'_, MODE>, there: f32| {
        let g = (g * f64::from(map.derivative_one::<V>(token, x))) as f32;
        row.set_one(class, if MODE == ADD { there + g } else { g });
    };
    let at_spike = spike.filter(|(s, _)| s.class != apart).map(|(s, x)| {
        let p = scalar::exp(-spike_distance) * settled.probability;
        let g = p - settled.weight * (targets.weight(s.class) + s.weight);
        (s.class, x, g, row.gradient_of(s.class))
    });
    let apart_x = sums.apart.map_or(0.0, |a| {
        // Kept exponentials have taken its place, but only of logits that are not mapped.
        if Z::IDENTITY { a.logit } else { row.logits().get(a.class).copied().unwrap_or(0.0) }
    });
    let at_apart = row.gradient_of(apart);

    let factors = [settled.probability * f64::from(UNLIFT), settled.weight].map(|f| f as f32);
    let (max, kept) = (sums.max, MODE == WRITE && Z::IDENTITY && row.len() <= TILE);
    if kept {
        gradient::<V, T, Z, MODE, false>(token, row.reborrow(), 0, targets, map, max, factors);
    } else if MODE == WRITE && task.stream && row.is_beside() {
        gradient_past_caches::<V, T, Z, MODE>(token, row.reborrow(), targets, map, max, factors);
    } else {
        gradient::<V, T, Z, MODE, true>(token, row.reborrow(), 0, targets, map, max, factors);
    }
    one(apart, apart_x, settled.apart, &mut row, at_apart);
    if let Some((class, x, g, there)) = at_spike {
        one(class, x, g, &mut row, there);
    }
    Some(result)
}

/// The sums of a row without targets.
#[inline(always)]
pub(crate) fn log_sum_exp<V: Lanes<Scalar = f32>>(token: V::Token, x: &[f32]) -> f32 {
    match row_sums::<V, _, _, LOSS>(token, &mut Cells::loss(x), NoTargets, Identity) {
        Some(sums) => sums.log_sum_exp() as f32,
        None if x.iter().any(|x| x.is_nan()) => f32::NAN,
        None => x.iter().copied().fold(f32::NEG_INFINITY, f32::max),
    }
}

/// The probabilities of a row, or their logarithms.
#[inline(always)]
pub(crate) fn distribution<V: Lanes<Scalar = f32>, const LOG: bool>(
    token: V::Token,
    x: &[f32],
    out: &mut [f32],
) {
    let sums = row_sums::<V, _, _, LOSS>(token, &mut Cells::loss(x), NoTargets, Identity);
    let Some(sums) = sums else {
        return infinite_distribution::<LOG>(x, out);
    };
    let absent = V::splat(token, f32::NEG_INFINITY);
    let max = V::splat(token, sums.max);
    let factor = V::splat(token, (f64::from(UNLIFT) / sums.sum()) as f32);
    let ln_sum = V::splat(token, sums.ln_sum() as f32);
    for (x, out) in x.chunks(V::LANES).zip(out.chunks_mut(V::LANES)) {
        let distance = V::load(token, x, absent) - max;
        let value = if LOG { distance - ln_sum } else { exp_lifted(token, distance) * factor };
        value.store(out);
    }
}

#[cold]
fn infinite_distribution<const LOG: bool>(x: &[f32], out: &mut [f32]) {
    let infinite = x.iter().filter(|x| **x == f32::INFINITY).count();
    let defined = infinite == 1 && !x.iter().any(|x| x.is_nan());
    let (certain, impossible) = if LOG { (0.0, f32::NEG_INFINITY) } else { (1.0, 0.0) };
    for (&x, out) in x.iter().zip(out) {
        *out = match (defined, x == f32::INFINITY) {
            (false, _) => f32::NAN,
            (true, true) => certain,
            (true, false) => impossible,
        };
    }
}

const _: () = assert!(LIFTED_ONE * UNLIFT == 1.0 && TILE.is_multiple_of(PANEL));
