//! The passes over the logits of a row: exponentials and their sums, gradient, second derivatives.
//!
//! Each is a kernel of its own, compiled apart from the others; a row's own arithmetic is between them, in
//! f64.

use super::cells::{ADD, Cells, LOSS, STREAM, WRITE};
use super::logit_map::LogitMap;
use super::reduce::{max, position};
use super::row_sums::{Apart, RowSums};
use super::sum::{StripedSum, TILE};
use super::targets::Targets;
use crate::dispatch::{Kernel, entries};
use crate::element::{Compute, Float};
use crate::hessian::Curvature;
use crate::math::exp::exp_lifted;
use crate::math::scalar;
use crate::simd::{HALF_PANEL, LINE, Lanes, PANEL, STRIPES, Simd, Vector, from, from_mut};

/// Exponentials, weights, and half of the distances times weights, by stripe.
type ByStripe<V> = [<V as Lanes>::Stripes; 3];

/// The sums of two for each stripe.
#[inline(always)]
fn sums<V: Lanes>(mut a: ByStripe<V>, b: ByStripe<V>) -> ByStripe<V> {
    for (a, b) in a.iter_mut().zip(b) {
        for (a, &b) in a.as_mut().iter_mut().zip(b.as_ref()) {
            *a = *a + b;
        }
    }
    a
}

/// The second pass over a tile: exponentials, relative to the largest logit, kept in the gradient's
/// place and summed up.
pub(crate) struct ExpSum<V: Lanes, T, Z> {
    token: V::Token,
    targets: T,
    map: Z,
    max: V,
    /// The class treated apart, from the start of the tile on; of no class if negative.
    apart: V::Scalar,
    /// Of the exponentials, without the class treated apart.
    pub(crate) others: StripedSum<V>,
    weights: StripedSum<V>,
    half_distances: StripedSum<V>,
}

impl<V: Lanes, T: Targets<V::Scalar>, Z: LogitMap> ExpSum<V, T, Z> {
    /// `max` is the largest mapped logit, `apart` the number of the class treated apart.
    #[inline(always)]
    pub(crate) fn new(
        token: V::Token,
        targets: T,
        map: Z,
        max: V::Scalar,
        apart: V::Scalar,
    ) -> Self {
        let none = StripedSum::new(token);
        Self {
            token,
            targets,
            map,
            max: V::splat(token, max),
            apart,
            others: none,
            weights: none,
            half_distances: none,
        }
    }

    /// Adds a tile, whose first class is `first`.
    #[inline(always)]
    pub(crate) fn tile<const MODE: u8>(
        mut self,
        mut tile: Cells<'_, V::Scalar, MODE>,
        first: usize,
    ) -> Self {
        // The panel of the class treated apart is one of its own; so is the last, if it has no end.
        let own = self.apart.to_f64() as usize / PANEL;
        let mut panels = 0;
        while let Some(panel) = tile.take_whole::<PANEL>() {
            let sums = if panels == own {
                self.panel::<MODE, true>(panel, first, panels * PANEL)
            } else {
                self.panel::<MODE, false>(panel, first, panels * PANEL)
            };
            self.add(sums);
            panels += 1;
        }
        if tile.len() != 0 {
            let sums = self.panel::<MODE, true>(tile, first, panels * PANEL);
            self.add(sums);
        }
        self
    }

    /// The sums of the exponentials of a row that is not longer than a panel.
    #[inline(always)]
    pub(crate) fn short_row<const MODE: u8>(self, row: Cells<'_, V::Scalar, MODE>) -> V::Stripes {
        let [exps, ..] = self.panel::<MODE, true>(row, 0, 0);
        exps
    }

    /// A panel: the sums of its classes, from class `at` of the tile whose first class is `first`. With
    /// `HOLE`, one of them may be the class treated apart.
    #[inline(always)]
    fn panel<const MODE: u8, const HOLE: bool>(
        &self,
        mut cells: Cells<'_, V::Scalar, MODE>,
        first: usize,
        at: usize,
    ) -> ByStripe<V> {
        let apart = V::splat(self.token, self.apart - V::Scalar::from_count(at));
        let first = first + at;
        let front = self.half::<MODE, HOLE>(&mut cells, first, 0, apart);
        if cells.len() == 0 {
            return front;
        }
        sums::<V>(front, self.half::<MODE, HOLE>(&mut cells, first, HALF_PANEL, apart))
    }

    /// Adds the sums of a panel.
    #[inline(always)]
    fn add(&mut self, [exps, weights, half_distances]: ByStripe<V>) {
        self.others.add_all(exps);
        if T::SPREAD {
            self.weights.add_all(weights);
            self.half_distances.add_all(half_distances);
        }
    }

    /// The sums of the next classes of a panel, two for each stripe while there are so many.
    #[inline(always)]
    fn half<const MODE: u8, const HOLE: bool>(
        &self,
        cells: &mut Cells<'_, V::Scalar, MODE>,
        first: usize,
        at: usize,
        apart: V,
    ) -> ByStripe<V> {
        let token = self.token;
        if let Some(mut half) = cells.take_whole::<HALF_PANEL>() {
            // While the exponentials keep the arithmetic busy, the memory fetches the next tile, and the
            // place of a gradient, which would be waited for when it is written.
            let of_line = LINE / size_of::<V::Scalar>();
            for line in 0..HALF_PANEL / of_line {
                V::prefetch(token, half.logits(), TILE + line * of_line);
                if MODE != LOSS && half.is_beside() {
                    V::prefetch(token, half.gradient(), TILE / 2 + line * of_line);
                }
            }
            let front = half.take_front(STRIPES);
            let front = self.stripes::<MODE, HOLE, true>(front, first, at, apart);
            let back = self.stripes::<MODE, HOLE, true>(half, first, at + STRIPES, apart);
            return sums::<V>(front, back);
        }
        let mut rest = cells.take_front(HALF_PANEL);
        let (front, at) = match rest.take_whole::<STRIPES>() {
            Some(whole) => {
                (self.stripes::<MODE, HOLE, true>(whole, first, at, apart), at + STRIPES)
            }
            None => ([V::of(token, 0.0).stripes(); 3], at),
        };
        sums::<V>(front, self.stripes::<MODE, HOLE, false>(rest, first, at, apart))
    }

    /// A class for each stripe (or with `WHOLE` false, fewer), from `at` of the panel on: their
    /// exponentials, weights and half of their distances times weights.
    #[inline(always)]
    fn stripes<const MODE: u8, const HOLE: bool, const WHOLE: bool>(
        &self,
        mut cells: Cells<'_, V::Scalar, MODE>,
        first: usize,
        at: usize,
        apart: V,
    ) -> ByStripe<V> {
        let token = self.token;
        let absent = V::of(token, f64::NEG_INFINITY);
        let zero = V::of(token, 0.0);
        let length = if WHOLE { STRIPES } else { cells.len() };
        let end = V::count(token, at + length);
        let targets = self.targets.part(first + at, length);
        let (mut exps, mut weights, mut half_distances) =
            (zero.stripes(), zero.stripes(), zero.stripes());
        for register in 0..STRIPES / V::LANES {
            let lane = register * V::LANES;
            if lane >= length {
                break;
            }
            let number = V::load(token, from(V::Scalar::LANE_NUMBERS, at + lane), zero);
            let here = number.equal(apart);
            let x = cells.load(token, lane, absent);
            let z = self.map.of(token, x);
            let e = exp_lifted(token, self.map.exponent(token, z, self.max));
            if Z::IDENTITY {
                cells.keep(lane, e);
            }
            exps.as_mut()[register] = if HOLE { V::select(here, zero, e) } else { e };
            if T::SPREAD {
                let mut q = targets.load(token, lane);
                if !WHOLE {
                    q = V::select(number.less(end), q, zero);
                }
                if HOLE {
                    q = V::select(here, zero, q);
                }
                weights.as_mut()[register] = q;
                let mut half = self.map.half_distance(token, z, self.max);
                if T::OF_LOGITS {
                    let of_target = targets.distance::<V>(token, lane);
                    half = half - of_target * V::of(token, 0.5);
                }
                half_distances.as_mut()[register] = V::select(q.equal(zero), zero, q * half);
            }
        }
        [exps, weights, half_distances]
    }
}

/// The sums of one tile whose first class is `first`; `None` if its maximum is not finite.
///
/// With [`WRITE`] the exponentials are left in the gradient's place, `2^32` times too large.
pub(crate) struct TileSums<'a, F, T, Z, const MODE: u8> {
    pub(crate) tile: Cells<'a, F, MODE>,
    pub(crate) first: usize,
    pub(crate) targets: T,
    pub(crate) map: Z,
}

impl<F: Float, T: Targets<F>, Z: LogitMap, const MODE: u8> Kernel for TileSums<'_, F, T, Z, MODE> {
    type Output = Option<RowSums>;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> Option<RowSums> {
        let Self { tile, first, targets, map } = self;
        let largest = max::<F::Of<S>>(simd, tile.logits());
        if !largest.is_finite() {
            return None;
        }
        let position = if T::APART_IS_SPIKE {
            let label = targets.spike().and_then(|spike| spike.class.checked_sub(first));
            label.filter(|&at| at < tile.len())
        } else {
            position::<F::Of<S>>(simd, tile.logits(), largest)
        };
        let apart = position.and_then(|at| {
            let logit = map.of_one::<F::Of<S>>(simd, *tile.logits().get(at)?).to_f64();
            let class = first + at;
            let (weight, target_distance) = (targets.weight(class), targets.distance_of(class));
            Some(Apart { class, logit, weight, target_distance })
        });
        let max = map.of_one::<F::Of<S>>(simd, largest);
        let apart_number = position.map_or(F::from_f64(-1.0), F::from_count);
        let pass = ExpSum::<F::Of<S>, T, Z>::new(simd, targets, map, max, apart_number);
        let pass = pass.tile(tile, first);
        Some(RowSums {
            max: max.to_f64(),
            unit: map.unit(),
            apart,
            others: pass.others.total() * F::UNLIFT,
            weights: if T::SPREAD { pass.weights.total() } else { 0.0 },
            distances: if T::SPREAD { 2.0 * pass.half_distances.total() } else { 0.0 },
        })
    }

    entries!();
}

/// A second derivative for each class from `first` on: `curvature p_c (1 - p_c)`, at least the floor.
/// With `kept`, what is in `x` are the exponentials, not the logits.
pub(crate) struct SecondDerivatives<'a, F, Z> {
    pub(crate) x: &'a [F],
    pub(crate) kept: bool,
    pub(crate) first: usize,
    pub(crate) map: Z,
    pub(crate) sums: &'a RowSums,
    pub(crate) curvature: Curvature,
    pub(crate) out: &'a mut [F],
}

impl<F: Float, Z: LogitMap> Kernel for SecondDerivatives<'_, F, Z> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { x, kept, first, map, sums, curvature, out } = self;
        let splat = |value: f64| F::Of::<S>::of(simd, value);
        let absent = splat(f64::NEG_INFINITY);
        let max = splat(sums.max);
        let inverse = splat(F::UNLIFT / sums.sum());
        let (one, factor, floor) = (splat(1.0), splat(curvature.factor), splat(curvature.floor));
        for at in (0..x.len()).step_by(F::Of::<S>::LANES) {
            let mut e = F::Of::<S>::load(simd, from(x, at), absent);
            if !kept {
                e = exp_lifted(simd, map.exponent(simd, map.of(simd, e), max));
            }
            let p = e * inverse;
            let h = p * (one - p) * factor;
            F::Of::<S>::select(h.less(floor), floor, h).store(from_mut(out, at));
        }
        if let Some(apart) = sums.apart
            && let Some(place) = out.get_mut(apart.class.wrapping_sub(first))
        {
            let sum = sums.sum();
            let p = scalar::exp(-sums.apart_distance()) / sum;
            *place = F::from_f64(curvature.of(p, sums.others / sum));
        }
    }

    entries!();
}

/// The last pass: the gradient, without that of the classes that are settled one by one.
#[derive(Clone, Copy)]
pub(crate) struct Gradient<F, T, Z> {
    pub(crate) targets: T,
    pub(crate) map: Z,
    pub(crate) max: F,
    /// Of the exponentials, and of the weights.
    pub(crate) factors: [F; 2],
}

impl<F: Float, T: Targets<F>, Z: LogitMap> Gradient<F, T, Z> {
    /// Of the classes from `first` on, from the exponentials in its place or with `AGAIN` from the
    /// logits.
    #[inline(always)]
    pub(crate) fn put<V: Lanes<Scalar = F>, const MODE: u8, const AGAIN: bool>(
        self,
        token: V::Token,
        mut row: Cells<'_, V::Scalar, MODE>,
        mut first: usize,
    ) {
        while let Some(cells) = row.take_whole::<HALF_PANEL>() {
            self.registers::<V, AGAIN, MODE, HALF_PANEL>(token, cells, first);
            first += HALF_PANEL;
        }
        while let Some(cells) = row.take_whole::<STRIPES>() {
            self.registers::<V, AGAIN, MODE, STRIPES>(token, cells, first);
            first += STRIPES;
        }
        self.registers::<V, AGAIN, MODE, 0>(token, row, first);
    }

    /// [`put`](Self::put) again beside the logits, past the caches where the level can.
    #[inline(always)]
    pub(crate) fn put_past_caches<V: Lanes<Scalar = F>, const MODE: u8>(
        self,
        token: V::Token,
        row: Cells<'_, V::Scalar, MODE>,
        first: usize,
    ) {
        // Only aligned stores go past the caches.
        let head = V::aligned(row.gradient()).min(row.len());
        let mut row = row.streaming();
        let before = row.take_front(head);
        self.registers::<V, true, STREAM, 0>(token, before, first);
        self.put::<V, STREAM, true>(token, row, first + head);
        V::fence(token);
    }

    /// As many classes as `WHOLE` says, or if that is zero, as there are cells.
    #[inline(always)]
    fn registers<V: Lanes<Scalar = F>, const AGAIN: bool, const MODE: u8, const WHOLE: usize>(
        &self,
        token: V::Token,
        mut cells: Cells<'_, V::Scalar, MODE>,
        first: usize,
    ) {
        let absent = V::of(token, f64::NEG_INFINITY);
        let max = V::splat(token, self.max);
        let [probability, weight] = self.factors.map(|factor| V::splat(token, factor));
        let length = if WHOLE == 0 { cells.len() } else { WHOLE };
        let targets = self.targets.part(first, length);
        let mut at = 0;
        while at < length {
            let x = if AGAIN { cells.load(token, at, absent) } else { absent };
            let e = if AGAIN {
                exp_lifted(token, self.map.exponent(token, self.map.of(token, x), max))
            } else {
                cells.kept(token, at, absent)
            };
            let mut g = e * probability;
            if T::SPREAD {
                g = g - targets.load_for_gradient::<V>(token, at) * weight;
            }
            if !Z::IDENTITY {
                g = g * self.map.derivative(token, x);
            }
            cells.put(token, at, g);
            at += V::LANES;
        }
    }
}

/// From which the gradient comes, and how it is stored.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Source {
    /// From the exponentials in its place.
    Kept,
    /// From the logits.
    Logits,
    /// From logits beside it, past the caches.
    LogitsPastCaches,
}

/// A [`Gradient`] of the classes from `first` on, and of at most two that are settled one by one.
pub(crate) struct PutGradient<'a, F, T, Z, const MODE: u8> {
    pub(crate) gradient: Gradient<F, T, Z>,
    pub(crate) cells: Cells<'a, F, MODE>,
    pub(crate) first: usize,
    pub(crate) source: Source,
    /// Classes with their logits, and the derivatives by the mapped logits; those that are not among
    /// the cells are left alone.
    pub(crate) settled: [Option<(usize, F, f64)>; 2],
}

impl<F: Float, T: Targets<F>, Z: LogitMap, const MODE: u8> Kernel
    for PutGradient<'_, F, T, Z, MODE>
{
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { gradient, mut cells, first, source, settled } = self;
        let place = |class: usize| class.wrapping_sub(first);
        let there =
            settled.map(|one| one.map_or_else(F::default, |(at, ..)| cells.gradient_of(place(at))));
        let row = cells.reborrow();
        match source {
            Source::Kept if MODE == WRITE && Z::IDENTITY => {
                gradient.put::<F::Of<S>, MODE, false>(simd, row, first);
            }
            Source::LogitsPastCaches if MODE == WRITE => {
                gradient.put_past_caches::<F::Of<S>, MODE>(simd, row, first);
            }
            _ => gradient.put::<F::Of<S>, MODE, true>(simd, row, first),
        }
        for (one, there) in settled.into_iter().zip(there) {
            if let Some((class, x, g)) = one {
                let derivative = gradient.map.derivative_one::<F::Of<S>>(simd, x);
                let g = F::from_f64(g * derivative.to_f64());
                cells.set_one(place(class), if MODE == ADD { there + g } else { g });
            }
        }
    }

    entries!();
}

/// One logit, mapped.
pub(crate) struct Mapped<F, Z>(pub(crate) Z, pub(crate) F);

impl<F: Float, Z: LogitMap> Kernel for Mapped<F, Z> {
    type Output = F;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> F {
        self.0.of_one::<F::Of<S>>(simd, self.1)
    }

    entries!();
}

const _: () = assert!(TILE.is_multiple_of(PANEL));
