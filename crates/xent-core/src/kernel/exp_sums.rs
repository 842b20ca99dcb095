//! The second pass over a row: exponentials, relative to its largest logit, kept where the gradient goes
//! and summed up.

use super::row_buffers::RowBuffers;
use super::runs::{Run, each_half};
use super::sum::{StripedSum, TILE};
use crate::math::exp::exp_lifted;
use crate::simd::Compute;
use crate::simd::{HALF_PANEL, LINE, Lanes, PANEL, STRIPES, Vector, from};

/// A row (or a tile of one), relative to its largest logit, without its pivot.
#[derive(Clone, Copy)]
pub(crate) struct ExpSums<V: Lanes> {
    pub(crate) token: V::Token,
    pub(crate) max: V,
    /// The class of the pivot, as a number; of no class if negative.
    pub(crate) pivot: V::Scalar,
}

/// The weights of the classes of a row, and what their distances are measured with.
#[derive(Clone, Copy)]
pub(crate) struct SoftRow<'a, V: Lanes> {
    pub(crate) weights: &'a [V::Scalar],
    /// None if empty.
    pub(crate) teacher: &'a [V::Scalar],
    pub(crate) teacher_max: V,
    /// The unit of distances.
    pub(crate) unit: V,
}

/// Takes what is not kept.
pub(crate) type Unused<V> = [<V as Vector>::Scalar; HALF_PANEL];

/// Exponentials, weights, and half of the distances times weights, by stripe.
pub(crate) type SoftTerms<V> = [<V as Lanes>::Stripes; 3];

impl<V: Lanes> ExpSums<V> {
    /// The sum of the exponentials of the classes that are not the pivot. They are kept where the gradient
    /// is written, if it is.
    #[inline(always)]
    pub(crate) fn of_row(self, mut row: RowBuffers<'_, V::Scalar>) -> StripedSum<V> {
        let mut sum = StripedSum::new(self.token);
        let own = self.pivot.to_count() / PANEL;
        let mut panel = 0;
        while row.len() != 0 {
            // Most of the panels: those without the pivot, if they are whole.
            let before = if panel > own { usize::MAX } else { own - panel };
            let whole = before.min(row.len() / PANEL);
            self.whole_panels(row.take_front(whole * PANEL), &mut sum);
            panel += whole;
            let rest = row.take_front(PANEL);
            sum.add_all(self.panel(rest, panel * PANEL));
            panel += 1;
        }
        sum
    }

    /// Whole panels without the pivot.
    #[inline(always)]
    fn whole_panels(&self, row: RowBuffers<'_, V::Scalar>, sum: &mut StripedSum<V>) {
        let mut terms = V::of(self.token, 0.0).stripes();
        let mut is_second = false;
        each_half!(row, |run| {
            self.prefetch(&run);
            self.half::<false, false>(&mut run, 0, self.max, &mut terms);
            if is_second {
                sum.add_all(terms);
                terms = V::of(self.token, 0.0).stripes();
            }
            is_second = !is_second;
        });
    }

    /// The terms of that sum, of a row that is not longer than a panel.
    #[inline(always)]
    pub(crate) fn of_short_row(self, row: RowBuffers<'_, V::Scalar>) -> V::Stripes {
        self.panel(row, 0)
    }

    /// The same sum, of distances in a unit.
    #[inline(always)]
    pub(crate) fn of_row_in_units(
        self,
        mut row: RowBuffers<'_, V::Scalar>,
        unit: V,
        unused: &mut Unused<V>,
    ) -> StripedSum<V> {
        let mut sum = StripedSum::new(self.token);
        let mut at = 0;
        while row.len() != 0 {
            let mut panel = row.take_front(PANEL);
            let mut terms = V::of(self.token, 0.0).stripes();
            let whole = panel.len() / HALF_PANEL * HALF_PANEL;
            each_half!(panel.take_front(whole), unused, |run| {
                self.half::<true, true>(&mut run, at, unit, &mut terms);
                at += HALF_PANEL;
            });
            if panel.len() != 0 {
                self.half::<true, true>(&mut panel.rest(), at, unit, &mut terms);
            }
            sum.add_all(terms);
        }
        sum
    }

    /// A panel, or what there is of it, that may have the pivot.
    #[inline(always)]
    fn panel(&self, mut panel: RowBuffers<'_, V::Scalar>, mut at: usize) -> V::Stripes {
        let mut terms = V::of(self.token, 0.0).stripes();
        let whole = panel.len() / HALF_PANEL * HALF_PANEL;
        each_half!(panel.take_front(whole), |run| {
            self.prefetch(&run);
            self.half::<true, false>(&mut run, at, self.max, &mut terms);
            at += HALF_PANEL;
        });
        if panel.len() != 0 {
            self.half::<true, false>(&mut panel.rest(), at, self.max, &mut terms);
        }
        terms
    }

    /// While the exponentials keep the arithmetic busy, the memory fetches the next tile, and the place of
    /// a gradient, which would be waited for when it is written.
    #[inline(always)]
    fn prefetch(&self, run: &impl Run<V::Scalar>) {
        let of_line = LINE / size_of::<V::Scalar>();
        for at in (0..HALF_PANEL).step_by(of_line) {
            V::prefetch(self.token, run.logits(), TILE + at);
            if !run.beside().is_empty() {
                V::prefetch(self.token, run.beside(), TILE / 2 + at);
            }
        }
    }

    /// Adds half a panel, or less if that is all there is, whose first class is `at`. With `PIVOT`, one of its classes may be the pivot; with `IN_UNITS`, distances have a
    /// unit.
    #[inline(always)]
    fn half<const PIVOT: bool, const IN_UNITS: bool>(
        &self,
        run: &mut impl Run<V::Scalar>,
        at: usize,
        unit: V,
        terms: &mut V::Stripes,
    ) {
        let token = self.token;
        let absent = V::of(token, f64::NEG_INFINITY);
        let zero = V::of(token, 0.0);
        let pivot = V::splat(token, self.pivot - V::Scalar::from_count(at));
        let length = run.len();
        let mut of_half = zero.stripes();
        for row in 0..HALF_PANEL / STRIPES {
            for register in 0..STRIPES / V::LANES {
                let lane = row * STRIPES + register * V::LANES;
                if lane >= length {
                    break;
                }
                let x = run.load(token, lane, absent);
                let below = x - self.max;
                let mut e = exp_lifted(token, if IN_UNITS { below * unit } else { below });
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

    /// The same sum; the sum of the weights, and of half of the distances times weights.
    #[inline(always)]
    pub(crate) fn of_soft_row<const TEACHER: bool>(
        self,
        mut row: RowBuffers<'_, V::Scalar>,
        soft: SoftRow<'_, V>,
        unused: &mut Unused<V>,
    ) -> [StripedSum<V>; 3] {
        let mut sums = [StripedSum::new(self.token); 3];
        let own = self.pivot.to_count() / PANEL;
        let mut panel = 0;
        while row.len() != 0 {
            // Those of a teacher's targets have little code instead.
            if !TEACHER {
                let before = if panel > own { usize::MAX } else { own - panel };
                let whole = before.min(row.len() / PANEL);
                let (of_whole, part) = (row.take_front(whole * PANEL), soft.part(panel * PANEL));
                self.whole_soft_panels(of_whole, part, &mut sums, unused);
                panel += whole;
            }
            let rest = row.take_front(PANEL);
            add_all(&mut sums, self.soft_panel::<TEACHER>(rest, soft, panel * PANEL, unused));
            panel += 1;
        }
        sums
    }

    /// Whole panels without the pivot.
    #[inline(always)]
    fn whole_soft_panels(
        &self,
        row: RowBuffers<'_, V::Scalar>,
        mut soft: SoftRow<'_, V>,
        sums: &mut [StripedSum<V>; 3],
        unused: &mut Unused<V>,
    ) {
        let zeros = [V::of(self.token, 0.0).stripes(); 3];
        let mut terms = zeros;
        let mut is_second = false;
        each_half!(row, unused, |run| {
            self.prefetch(&run);
            self.soft_half::<false, false>(&mut run, 0, soft, &mut terms);
            if is_second {
                add_all(sums, terms);
                terms = zeros;
            }
            is_second = !is_second;
            soft = soft.part(HALF_PANEL);
        });
    }

    /// The terms of these sums: of a panel, or of what there is of it, whose first class is `at`.
    #[inline(always)]
    pub(crate) fn soft_panel<const TEACHER: bool>(
        &self,
        mut panel: RowBuffers<'_, V::Scalar>,
        soft: SoftRow<'_, V>,
        mut at: usize,
        unused: &mut Unused<V>,
    ) -> SoftTerms<V> {
        let mut terms = [V::of(self.token, 0.0).stripes(); 3];
        let whole = panel.len() / HALF_PANEL * HALF_PANEL;
        each_half!(panel.take_front(whole), unused, |run| {
            self.soft_half::<true, TEACHER>(&mut run, at, soft.part(at), &mut terms);
            at += HALF_PANEL;
        });
        if panel.len() != 0 {
            self.soft_half::<true, TEACHER>(&mut panel.rest(), at, soft.part(at), &mut terms);
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
        if length >= HALF_PANEL {
            // Slices whose length the compiler knows.
            let Some(of_half) = weights.first_chunk::<HALF_PANEL>() else { return };
            weights = of_half;
            if TEACHER {
                let Some(of_half) = teacher.first_chunk::<HALF_PANEL>() else { return };
                teacher = of_half;
            }
        } else {
            weights = weights.get(..length).unwrap_or(weights);
        }
        let [exps, of_weights, half_distances] = terms;
        let mut of_half = [zero.stripes(); 3];
        for row in 0..HALF_PANEL / STRIPES {
            for register in 0..STRIPES / V::LANES {
                let lane = row * STRIPES + register * V::LANES;
                if lane >= length {
                    break;
                }
                let x = run.load(token, lane, absent);
                let below = x - self.max;
                let mut e = exp_lifted(token, if TEACHER { below * soft.unit } else { below });
                run.store(lane, e);
                // Beyond the last class a weight of zero.
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
                // That of the pivot is zero, but not that of a teacher's logit.
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

/// Adds one term to each stripe of each sum.
#[inline(always)]
fn add_all<V: Lanes>(sums: &mut [StripedSum<V>; 3], terms: SoftTerms<V>) {
    for (sum, terms) in sums.iter_mut().zip(terms) {
        sum.add_all(terms);
    }
}

/// Adds a term to each stripe.
#[inline(always)]
fn add<V: Lanes>(sums: &mut V::Stripes, terms: &V::Stripes) {
    for (sum, &term) in sums.as_mut().iter_mut().zip(terms.as_ref()) {
        *sum = *sum + term;
    }
}

impl<V: Lanes> SoftRow<'_, V> {
    /// From a class on.
    #[inline(always)]
    pub(crate) fn part(self, at: usize) -> Self {
        Self { weights: from(self.weights, at), teacher: from(self.teacher, at), ..self }
    }
}

const _: () = assert!(TILE.is_multiple_of(PANEL));
