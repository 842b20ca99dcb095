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
//! A row is read in tiles that fit the first-level cache, each with a maximum of its own (M. Milakov
//! and N. Gimelshein, "Online normalizer calculation for softmax", 2018). The exponentials of a row
//! of one tile are kept where the gradient goes; those of a longer row are computed again.

use super::memory::{LossOnly, Memory};
use super::reduce::{max, position};
use super::sum::{StripedSum, TILE};
use super::targets::Targets;
use crate::math::exp::{LIFTED_ONE, UNLIFT, exp_lifted};
use crate::math::scalar;
use crate::simd::{Lanes, PANEL, STRIPES, from, from_mut};

/// The class treated apart.
#[derive(Clone, Copy)]
struct Apart {
    class: usize,
    logit: f32,
    weight: f64,
}

/// What a row, or a part of one, adds up to; parts can be merged.
#[derive(Clone, Copy)]
pub(crate) struct RowSums {
    /// The largest logit.
    pub(crate) max: f32,
    apart: Option<Apart>,
    /// `R = Σ e^(x_c - max)` over the classes not treated apart.
    others: f64,
    /// `Σ q_c` over the classes not treated apart.
    weights: f64,
    /// `Σ q_c (max - x_c)` over the classes not treated apart.
    distances: f64,
}

/// `q d`, where no weight means no contribution even at an infinite distance.
fn weighted(weight: f64, distance: f64) -> f64 {
    if weight == 0.0 { 0.0 } else { weight * distance }
}

impl RowSums {
    /// `x_k` of the class treated apart below the maximum.
    fn apart_distance(&self) -> f64 {
        self.apart.map_or(0.0, |apart| f64::from(self.max) - f64::from(apart.logit))
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

    /// `Q`, the weights of all classes.
    fn all_weights(&self) -> f64 {
        self.weights + self.apart.map_or(0.0, |apart| apart.weight)
    }

    fn loss(&self) -> f64 {
        let apart = self.apart.map_or(0.0, |apart| weighted(apart.weight, self.apart_distance()));
        weighted(self.all_weights(), self.ln_sum()) + apart + self.distances
    }

    /// The same sums relative to a larger maximum.
    fn relative_to(mut self, max: f32) -> Self {
        if max > self.max {
            let distance = f64::from(max) - f64::from(self.max);
            self.distances += weighted(self.weights, distance);
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
            self.distances += weighted(apart.weight, distance);
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
            apart: a.apart.or(b.apart),
            others: a.others + b.others,
            weights: a.weights + b.weights,
            distances: a.distances + b.distances,
        }
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

/// The second pass over a tile: exponentials, kept in the gradient's place, and their sums.
struct ExpSum<V: Lanes, T> {
    token: V::Token,
    targets: T,
    max: V,
    others: StripedSum<V>,
    weights: StripedSum<V>,
    distances: StripedSum<V>,
}

impl<V: Lanes<Scalar = f32>, T: Targets> ExpSum<V, T> {
    /// One panel (a whole one, or the last classes of the row) whose first class is `first`. With
    /// `HOLE`, the class of that number in the panel is left out of the sums.
    #[inline(always)]
    fn panel<M: Memory, const HOLE: bool>(&mut self, mut cells: M, first: usize, hole: usize) {
        let token = self.token;
        let absent = V::splat(token, f32::NEG_INFINITY);
        let zero = V::splat(token, 0.0);
        let hole = V::splat(token, hole as f32);
        let length = cells.logits().len();
        for register in 0..STRIPES / V::LANES {
            let mut exps = [zero; 4];
            let mut weights = [zero; 4];
            let mut distances = [zero; 4];
            for row in 0..4 {
                let at = row * STRIPES + register * V::LANES;
                if at >= length {
                    continue;
                }
                let mut x = V::load(token, from(cells.logits(), at), absent);
                let mut q = zero;
                if T::SPREAD {
                    q = self.targets.load(token, first + at);
                }
                if HOLE {
                    let here = V::load(token, from(&LANE_NUMBERS, at), zero).equal(hole);
                    x = V::select(here, absent, x);
                    q = V::select(here, zero, q);
                }
                let e = exp_lifted(token, x - self.max);
                e.store(from_mut(cells.gradient(), at));
                exps[row] = e;
                if T::SPREAD {
                    weights[row] = q;
                    distances[row] = V::select(q.equal(zero), zero, q * (self.max - x));
                }
            }
            self.others.add(register, exps);
            if T::SPREAD {
                self.weights.add(register, weights);
                self.distances.add(register, distances);
            }
        }
    }
}

/// The sums of one tile whose first class is `first`; `None` if its maximum is not finite.
///
/// The exponentials are left in the gradient's place, `2^32` times too large.
#[inline(always)]
fn tile_sums<V: Lanes<Scalar = f32>, T: Targets, M: Memory>(
    token: V::Token,
    tile: &mut M,
    first: usize,
    targets: T,
) -> Option<RowSums> {
    let max = max::<V>(token, tile.logits());
    if !max.is_finite() {
        return None;
    }
    let position = match targets.apart() {
        Some(class) => class.checked_sub(first).filter(|&at| at < tile.logits().len()),
        None => position::<V>(token, tile.logits(), max),
    };
    let apart = position.and_then(|at| {
        let logit = *tile.logits().get(at)?;
        let class = first + at;
        Some(Apart { class, logit, weight: f64::from(targets.weight(class)) })
    });
    let zero = StripedSum::new(token);
    let mut pass = ExpSum {
        token,
        targets,
        max: V::splat(token, max),
        others: zero,
        weights: zero,
        distances: zero,
    };

    // The panel that holds the class treated apart comes after the whole panels around it.
    let mut after = tile.reborrow();
    let mut before = after.take_front(0);
    let mut around = after.take_front(0);
    let mut around_at = 0;
    if let Some(position) = position {
        around_at = position / PANEL * PANEL;
        before = after.take_front(around_at);
        around = after.take_front(PANEL);
    }
    let mut at = first;
    for part in [&mut before, &mut after] {
        while let Some(panel) = part.take_panel() {
            pass.panel::<_, false>(panel, at, 0);
            at += PANEL;
        }
        if at == first + around_at {
            at += around.logits().len();
        }
    }
    for (rest, at, hole) in [
        (around, first + around_at, position.map_or(PANEL, |position| position - around_at)),
        (after, at, PANEL),
    ] {
        if !rest.logits().is_empty() {
            pass.panel::<_, true>(rest, at, hole);
        }
    }

    Some(RowSums {
        max,
        apart,
        others: pass.others.total() * f64::from(UNLIFT),
        weights: if T::SPREAD { pass.weights.total() } else { 0.0 },
        distances: if T::SPREAD { pass.distances.total() } else { 0.0 },
    })
}

/// The sums of a row of any length; `None` if its maximum is not finite.
#[inline(always)]
fn row_sums<V: Lanes<Scalar = f32>, T: Targets, M: Memory>(
    token: V::Token,
    row: &mut M,
    targets: T,
) -> Option<RowSums> {
    if row.logits().len() <= TILE {
        return tile_sums::<V, _, _>(token, row, 0, targets);
    }
    // A tile without a finite logit has nothing to add, unless it has +inf or nothing but NaN.
    let mut sums: Option<RowSums> = None;
    for (index, tile) in row.logits().chunks(TILE).enumerate() {
        let first = index * TILE;
        match tile_sums::<V, _, _>(token, &mut LossOnly(tile), first, targets) {
            Some(tile) => sums = Some(sums.map_or(tile, |sums| sums.merge(tile))),
            None if tile.iter().all(|&x| x == f32::NEG_INFINITY) => {
                let masked = masked_sums(tile, first, targets);
                sums = Some(sums.map_or(masked, |sums| sums.merge(masked)));
            }
            None => return None,
        }
    }
    sums.filter(|sums| sums.max.is_finite())
}

/// The sums of a tile of nothing but masked classes.
fn masked_sums<T: Targets>(tile: &[f32], first: usize, targets: T) -> RowSums {
    let apart = targets.apart().filter(|&class| (first..first + tile.len()).contains(&class));
    let weights = if T::SPREAD {
        (first..first + tile.len()).map(|class| f64::from(targets.weight(class))).sum()
    } else {
        0.0
    };
    RowSums {
        max: f32::NEG_INFINITY,
        apart: apart.map(|class| Apart {
            class,
            logit: f32::NEG_INFINITY,
            weight: f64::from(targets.weight(class)),
        }),
        others: 0.0,
        weights,
        distances: weighted(weights, f64::INFINITY),
    }
}

/// The last pass: the gradient, from the exponentials in its place or from the logits again.
#[inline(always)]
fn gradient<V: Lanes<Scalar = f32>, T: Targets, M: Memory, const AGAIN: bool>(
    token: V::Token,
    mut row: M,
    targets: T,
    max: f32,
    probability: f32,
    weight: f32,
) {
    let absent = V::splat(token, f32::NEG_INFINITY);
    let max = V::splat(token, max);
    let probability = V::splat(token, probability);
    let weight = V::splat(token, weight);
    let mut first = 0;
    while !row.logits().is_empty() {
        let panel = row.take_panel();
        let whole = panel.is_some();
        let mut cells = match panel {
            Some(panel) => panel,
            None => row.take_front(PANEL),
        };
        let length = if whole { PANEL } else { cells.logits().len() };
        let mut at = 0;
        while at < length {
            let e = if AGAIN {
                exp_lifted(token, V::load(token, from(cells.logits(), at), absent) - max)
            } else {
                V::load(token, from(cells.gradient(), at), absent)
            };
            let mut g = e * probability;
            if T::SPREAD {
                g = g - targets.load::<V>(token, first + at) * weight;
            }
            g.store(from_mut(cells.gradient(), at));
            at += V::LANES;
        }
        first += PANEL;
    }
}

/// The loss of one row, and its gradient times `scale` where the memory has a place for it.
#[inline(always)]
pub(crate) fn row<V: Lanes<Scalar = f32>, T: Targets, M: Memory>(
    token: V::Token,
    mut row: M,
    targets: T,
    scale: f64,
) -> f64 {
    let Some(sums) = row_sums::<V, _, _>(token, &mut row, targets) else {
        return infinite_row(row, targets, scale);
    };
    let classes = row.logits().len();
    if row.gradient().len() == classes {
        let total = scale * sums.all_weights();
        let sum = sums.sum();
        let probability = (total / sum * f64::from(UNLIFT)) as f32;
        if classes <= TILE {
            gradient::<V, _, _, false>(
                token,
                row.reborrow(),
                targets,
                sums.max,
                probability,
                scale as f32,
            );
        } else {
            gradient::<V, _, _, true>(
                token,
                row.reborrow(),
                targets,
                sums.max,
                probability,
                scale as f32,
            );
        }
        if let Some(apart) = sums.apart
            && let Some(place) = row.gradient().get_mut(apart.class)
        {
            *place = (scale * sums.weights - total * (sums.others / sum)) as f32;
        }
    }
    sums.loss()
}

/// A row whose largest logit is not finite, in the limit: a single `+inf` has all of the
/// probability; with several, with NaN, or with no finite logit at all nothing is defined.
#[cold]
pub(super) fn infinite_row<T: Targets, M: Memory>(mut row: M, targets: T, scale: f64) -> f64 {
    let mut infinite = row.logits().iter().enumerate().filter(|(_, x)| **x == f32::INFINITY);
    let certain = match (infinite.next(), infinite.next()) {
        (Some((class, _)), None) if !row.logits().iter().any(|x| x.is_nan()) => class,
        _ => {
            row.gradient().fill(f32::NAN);
            return f64::NAN;
        }
    };
    let classes = row.logits().len();
    let others: f64 = (0..classes)
        .filter(|&class| class != certain)
        .map(|class| f64::from(targets.weight(class)))
        .sum();
    for (class, place) in row.gradient().iter_mut().enumerate() {
        *place = if class == certain {
            (scale * others) as f32
        } else {
            (0.0 - scale * f64::from(targets.weight(class))) as f32
        };
    }
    weighted(others, f64::INFINITY)
}

/// The sums of a row without targets.
#[inline(always)]
pub(crate) fn log_sum_exp<V: Lanes<Scalar = f32>>(token: V::Token, x: &[f32]) -> f32 {
    match row_sums::<V, _, _>(token, &mut LossOnly(x), super::targets::NoTargets) {
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
    let Some(sums) = row_sums::<V, _, _>(token, &mut LossOnly(x), super::targets::NoTargets) else {
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
