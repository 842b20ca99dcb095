//! The second pass over a row: exponentials relative to its largest logit, stored where the gradient goes, and
//! their sum.

use super::row_buffers::RowBuffers;
use super::runs::{Run, each_half};
use super::sum::{CompensatedSum, TILE};
use crate::math::exp::exp_scaled;
use crate::simd::Compute;
use crate::simd::{ACCUMULATORS, HALF_STRIP, LINE, Lanes, STRIP, Vector, from};

/// A row (or a tile of one), relative to its largest logit, without its pivot.
#[derive(Clone, Copy)]
pub(crate) struct ExpSums<V: Lanes> {
    pub(crate) token: V::Token,
    pub(crate) max: V,
    /// The class number of the pivot; negative if it is not a class.
    pub(crate) pivot: V::Scalar,
}

/// The weights of the classes of a row, and the unit of their distances.
#[derive(Clone, Copy)]
pub(crate) struct SoftRow<'a, V: Lanes> {
    pub(crate) weights: &'a [V::Scalar],
    /// Empty if there are none.
    pub(crate) teacher: &'a [V::Scalar],
    pub(crate) teacher_max: V,
    /// The unit of distances.
    pub(crate) unit: V,
}

/// Space for values that are not kept.
pub(crate) type Unused<V> = [<V as Vector>::Scalar; HALF_STRIP];

/// Exponentials, weights, and half distances times weights, by accumulator.
pub(crate) type SoftTerms<V> = [<V as Lanes>::Accumulators; 3];

impl<V: Lanes> ExpSums<V> {
    /// The sum of the exponentials of all classes except the pivot. They are stored for the gradient, if one is
    /// written.
    #[inline(always)]
    pub(crate) fn of_row(self, mut row: RowBuffers<'_, V::Scalar>) -> CompensatedSum<V> {
        let mut sum = CompensatedSum::new(self.token);
        let own = self.pivot.to_count() / STRIP;
        let mut strip = 0;
        while row.len() != 0 {
            // Most strips: whole ones without the pivot.
            let before = if strip > own { usize::MAX } else { own - strip };
            let whole = before.min(row.len() / STRIP);
            self.whole_strips(row.take_front(whole * STRIP), &mut sum);
            strip += whole;
            let rest = row.take_front(STRIP);
            sum.add_all(self.strip(rest, strip * STRIP));
            strip += 1;
        }
        sum
    }

    /// Whole strips without the pivot.
    #[inline(always)]
    fn whole_strips(&self, row: RowBuffers<'_, V::Scalar>, sum: &mut CompensatedSum<V>) {
        let mut terms = V::of(self.token, 0.0).accumulators();
        let mut is_second = false;
        each_half!(row, |run| {
            self.prefetch(&run);
            self.half::<false, false>(&mut run, 0, self.max, &mut terms);
            if is_second {
                sum.add_all(terms);
                terms = V::of(self.token, 0.0).accumulators();
            }
            is_second = !is_second;
        });
    }

    /// The terms of that sum, for a row of at most a strip.
    #[inline(always)]
    pub(crate) fn of_short_row(self, row: RowBuffers<'_, V::Scalar>) -> V::Accumulators {
        self.strip(row, 0)
    }

    /// The same sum, with distances in a unit.
    #[inline(always)]
    pub(crate) fn of_row_in_units(
        self,
        mut row: RowBuffers<'_, V::Scalar>,
        unit: V,
        unused: &mut Unused<V>,
    ) -> CompensatedSum<V> {
        let mut sum = CompensatedSum::new(self.token);
        let mut at = 0;
        while row.len() != 0 {
            let mut strip = row.take_front(STRIP);
            let mut terms = V::of(self.token, 0.0).accumulators();
            let whole = strip.len() / HALF_STRIP * HALF_STRIP;
            each_half!(strip.take_front(whole), unused, |run| {
                self.half::<true, true>(&mut run, at, unit, &mut terms);
                at += HALF_STRIP;
            });
            if strip.len() != 0 {
                self.half::<true, true>(&mut strip.rest(), at, unit, &mut terms);
            }
            sum.add_all(terms);
        }
        sum
    }

    /// A strip, or what is left of one, that may contain the pivot.
    #[inline(always)]
    fn strip(&self, mut strip: RowBuffers<'_, V::Scalar>, mut at: usize) -> V::Accumulators {
        let mut terms = V::of(self.token, 0.0).accumulators();
        let whole = strip.len() / HALF_STRIP * HALF_STRIP;
        each_half!(strip.take_front(whole), |run| {
            self.prefetch(&run);
            self.half::<true, false>(&mut run, at, self.max, &mut terms);
            at += HALF_STRIP;
        });
        if strip.len() != 0 {
            self.half::<true, false>(&mut strip.rest(), at, self.max, &mut terms);
        }
        terms
    }

    /// While the arithmetic of the exponentials runs, the next tile is prefetched, and so is the place of a
    /// gradient, which would cause a wait when it is written.
    #[inline(always)]
    fn prefetch(&self, run: &impl Run<V::Scalar>) {
        self.prefetch_half(run.logits(), TILE);
        if !run.gradient().is_empty() {
            self.prefetch_half(run.gradient(), TILE / 2);
        }
    }

    /// The same for the weights of classes.
    #[inline(always)]
    fn prefetch_soft(&self, run: &impl Run<V::Scalar>, soft: &SoftRow<'_, V>) {
        self.prefetch(run);
        self.prefetch_half(soft.weights, TILE);
    }

    /// Prefetches half a strip that many elements after the start of a slice.
    #[inline(always)]
    fn prefetch_half(&self, slice: &[V::Scalar], ahead: usize) {
        for at in (0..HALF_STRIP).step_by(LINE / size_of::<V::Scalar>()) {
            V::prefetch(self.token, slice, ahead + at);
        }
    }

    /// Adds half a strip, or less at the end of a row, whose first class is `at`. With `PIVOT`, one of its classes
    /// may be the pivot; with `IN_UNITS`, distances have a unit.
    #[inline(always)]
    fn half<const PIVOT: bool, const IN_UNITS: bool>(
        &self,
        run: &mut impl Run<V::Scalar>,
        at: usize,
        unit: V,
        terms: &mut V::Accumulators,
    ) {
        let token = self.token;
        let absent = V::of(token, f64::NEG_INFINITY);
        let zero = V::of(token, 0.0);
        let pivot = V::splat(token, self.pivot - V::Scalar::from_count(at));
        let length = run.len();
        let mut of_half = zero.accumulators();
        for row in 0..HALF_STRIP / ACCUMULATORS {
            for register in 0..ACCUMULATORS / V::LANES {
                let lane = row * ACCUMULATORS + register * V::LANES;
                if lane >= length {
                    break;
                }
                let x = run.load(token, lane, absent);
                let below = x - self.max;
                let mut e = exp_scaled(token, if IN_UNITS { below * unit } else { below });
                run.store(lane, e);
                if PIVOT {
                    let number = V::load(token, from(V::Scalar::LANE_NUMBERS, lane), zero);
                    e = V::select(number.equal(pivot), zero, e);
                }
                let term = &mut of_half.as_mut()[register];
                *term = if row == 0 { e } else { *term + e };
            }
        }
        add::<V>(terms, &of_half);
    }

    /// The same sum; the sum of the weights, and of half the distances times weights.
    #[inline(always)]
    pub(crate) fn of_soft_row<const TEACHER: bool>(
        self,
        mut row: RowBuffers<'_, V::Scalar>,
        soft: SoftRow<'_, V>,
        unused: &mut Unused<V>,
    ) -> [CompensatedSum<V>; 3] {
        let mut sums = [CompensatedSum::new(self.token); 3];
        let own = self.pivot.to_count() / STRIP;
        let mut strip = 0;
        while row.len() != 0 {
            // Rows with a teacher use a loop with little code instead.
            if !TEACHER {
                let before = if strip > own { usize::MAX } else { own - strip };
                let whole = before.min(row.len() / STRIP);
                let (of_whole, part) = (row.take_front(whole * STRIP), soft.part(strip * STRIP));
                self.whole_soft_strips(of_whole, part, &mut sums, unused);
                strip += whole;
            }
            let rest = row.take_front(STRIP);
            add_all(&mut sums, self.soft_strip::<TEACHER>(rest, soft, strip * STRIP, unused));
            strip += 1;
        }
        sums
    }

    /// Whole strips without the pivot.
    #[inline(always)]
    fn whole_soft_strips(
        &self,
        row: RowBuffers<'_, V::Scalar>,
        mut soft: SoftRow<'_, V>,
        sums: &mut [CompensatedSum<V>; 3],
        unused: &mut Unused<V>,
    ) {
        let zeros = [V::of(self.token, 0.0).accumulators(); 3];
        let mut terms = zeros;
        let mut is_second = false;
        each_half!(row, unused, |run| {
            self.prefetch_soft(&run, &soft);
            self.soft_half::<false, false>(&mut run, 0, soft, &mut terms);
            if is_second {
                add_all(sums, terms);
                terms = zeros;
            }
            is_second = !is_second;
            soft = soft.part(HALF_STRIP);
        });
    }

    /// The terms of these sums, for a strip or what is left of one, whose first class is `at`.
    #[inline(always)]
    pub(crate) fn soft_strip<const TEACHER: bool>(
        &self,
        mut strip: RowBuffers<'_, V::Scalar>,
        soft: SoftRow<'_, V>,
        mut at: usize,
        unused: &mut Unused<V>,
    ) -> SoftTerms<V> {
        let mut terms = [V::of(self.token, 0.0).accumulators(); 3];
        let whole = strip.len() / HALF_STRIP * HALF_STRIP;
        each_half!(strip.take_front(whole), unused, |run| {
            let part = soft.part(at);
            self.prefetch_soft(&run, &part);
            self.soft_half::<true, TEACHER>(&mut run, at, part, &mut terms);
            at += HALF_STRIP;
        });
        if strip.len() != 0 {
            self.soft_half::<true, TEACHER>(&mut strip.rest(), at, soft.part(at), &mut terms);
        }
        terms
    }

    #[inline(always)]
    fn soft_half<const PIVOT: bool, const TEACHER: bool>(
        &self,
        run: &mut impl Run<V::Scalar>,
        at: usize,
        soft: SoftRow<'_, V>,
        terms: &mut SoftTerms<V>,
    ) {
        let token = self.token;
        let absent = V::of(token, f64::NEG_INFINITY);
        let zero = V::of(token, 0.0);
        let half = V::of(token, 0.5);
        let half_max = self.max * half;
        let minus_half = V::of(token, -0.5);
        let pivot = V::splat(token, self.pivot - V::Scalar::from_count(at));
        let length = run.len();
        let (mut weights, mut teacher) = (soft.weights, soft.teacher);
        if length >= HALF_STRIP {
            // Slices whose length the compiler knows.
            let Some(of_half) = weights.first_chunk::<HALF_STRIP>() else { return };
            weights = of_half;
            if TEACHER {
                let Some(of_half) = teacher.first_chunk::<HALF_STRIP>() else { return };
                teacher = of_half;
            }
        } else {
            weights = weights.get(..length).unwrap_or(weights);
        }
        let [exps, of_weights, half_distances] = terms;
        let mut of_half = [zero.accumulators(); 3];
        for row in 0..HALF_STRIP / ACCUMULATORS {
            for register in 0..ACCUMULATORS / V::LANES {
                let lane = row * ACCUMULATORS + register * V::LANES;
                if lane >= length {
                    break;
                }
                let x = run.load(token, lane, absent);
                let below = x - self.max;
                let mut e = exp_scaled(token, if TEACHER { below * soft.unit } else { below });
                run.store(lane, e);
                // Past the last class the weight is zero.
                let of_class = V::load(token, from(weights, lane), zero);
                let mut q = of_class;
                if PIVOT {
                    let number = V::load(token, from(V::Scalar::LANE_NUMBERS, lane), zero);
                    let here = number.equal(pivot);
                    q = V::select(here, zero, q);
                    e = V::select(here, zero, e);
                }
                let mut distance = x.mul_add(minus_half, half_max);
                if TEACHER {
                    let t = V::load(token, from(teacher, lane), absent);
                    let of_teacher = (soft.teacher_max - t) * soft.unit * half;
                    distance = distance * soft.unit - of_teacher;
                }
                // The pivot's distance is zero, but not the distance of its teacher's logit.
                let distance = V::select(of_class.equal(zero), zero, of_class * distance);
                let [of_exps, of_weights, of_distances] = &mut of_half;
                let of_exps = &mut of_exps.as_mut()[register];
                let of_weights = &mut of_weights.as_mut()[register];
                let of_distances = &mut of_distances.as_mut()[register];
                if row == 0 {
                    (*of_exps, *of_weights, *of_distances) = (e, q, distance);
                } else {
                    *of_exps = *of_exps + e;
                    *of_weights = *of_weights + q;
                    *of_distances = *of_distances + distance;
                }
            }
        }
        let [of_exps, of_q, of_distances] = &of_half;
        add::<V>(exps, of_exps);
        add::<V>(of_weights, of_q);
        add::<V>(half_distances, of_distances);
    }
}

/// Adds one term to each accumulator of each sum.
#[inline(always)]
fn add_all<V: Lanes>(sums: &mut [CompensatedSum<V>; 3], terms: SoftTerms<V>) {
    for (sum, terms) in sums.iter_mut().zip(terms) {
        sum.add_all(terms);
    }
}

/// Adds a term to each accumulator.
#[inline(always)]
fn add<V: Lanes>(sums: &mut V::Accumulators, terms: &V::Accumulators) {
    for (sum, &term) in sums.as_mut().iter_mut().zip(terms.as_ref()) {
        *sum = *sum + term;
    }
}

impl<V: Lanes> SoftRow<'_, V> {
    /// The part from a class on.
    #[inline(always)]
    pub(crate) fn part(self, at: usize) -> Self {
        Self { weights: from(self.weights, at), teacher: from(self.teacher, at), ..self }
    }
}

const _: () = assert!(TILE.is_multiple_of(STRIP));
