//! The one equation for many rows at once, a row in each lane.
//!
//! A short row does not fill a register, and its own arithmetic (a maximum across lanes, a sum, a
//! quotient, a logarithm) is one long chain of instructions that wait for each other. And where the
//! class axis is not the last one, neighbours in memory are rows, not classes. In both cases no step
//! has to cross lanes. The equation and the class treated apart are those of [`super::softmax`].

use core::ops::Range;

use super::cells::{ADD, Cells, LOSS, WRITE};
use super::coefficients::{Coefficients, Factors, Number, Sums, Terms, coefficients};
use super::logit_map::{Identity, LogitMap};
use super::softmax::RowTask;
use crate::element::{Compute, Float};
use crate::hessian::Hessian;
use crate::math::exp::exp_lifted;
use crate::math::scalar;
use crate::math::tables::Tables;
use crate::simd::{Vector, from, from_mut};

/// Rows of more classes go one at a time, where the class axis is the last.
pub(crate) const CLASSES: usize = 32;

/// Rows of a block.
pub(crate) const ROWS: usize = 32;

/// What rows of a block are compared with: a label (the class treated apart), any weights, or the
/// softmax of logits of their own.
pub(crate) const LABEL: u8 = 0;
pub(crate) const SPREAD: u8 = 1;
pub(crate) const TEACHER: u8 = 2;

/// A sum of non-negative terms by lane, with what each addition lost kept beside (Dekker's
/// `Fast2Sum`, see [`super::sum`]).
#[derive(Clone, Copy)]
struct LaneSum<V> {
    high: V,
    low: V,
}

impl<V: Vector> LaneSum<V> {
    #[inline(always)]
    fn new(token: V::Token) -> Self {
        let zero = V::of(token, 0.0);
        Self { high: zero, low: zero }
    }

    #[inline(always)]
    fn add(&mut self, term: V) {
        let sum = self.high + term;
        self.low = self.low + (term - (sum - self.high));
        self.high = sum;
    }

    /// The sum of each lane, and what was lost.
    #[inline(always)]
    fn parts(self) -> [OfRows<V::Scalar>; 2] {
        [lanes_of(self.high), lanes_of(self.low)]
    }

    /// Once the sum is infinite, what it lost is not a number.
    #[inline(always)]
    fn total(self, token: V::Token) -> V {
        let infinity = V::of(token, f64::INFINITY);
        V::select(self.high.less(infinity), self.high + self.low, self.high)
    }
}

/// What a register of rows adds up to, lane by lane: what a difference is made of has no digits to
/// spare, so that these are settled in f64.
struct SumsOfRows<F> {
    max: OfRows<F>,
    others: [OfRows<F>; 2],
    apart_weight: OfRows<F>,
    weights: [OfRows<F>; 2],
    gradient_apart_weight: OfRows<F>,
    gradient_weights: [OfRows<F>; 2],
    half_distances: [OfRows<F>; 2],
    /// Of the teacher's exponentials, without the largest.
    teacher: [OfRows<F>; 2],
    target_distance: OfRows<F>,
    apart: OfRows<F>,
}

/// A sum with what it lost.
fn in_full<F: Float>([high, low]: &[OfRows<F>; 2], lane: usize) -> f64 {
    let [high, low] = [high[lane], low[lane]].map(Compute::to_f64);
    // Once the sum is infinite, what it lost is not a number.
    if high.is_finite() { high + low } else { high }
}

/// The lanes of a register; zeros after the last.
#[inline(always)]
fn lanes_of<V: Vector>(register: V) -> OfRows<V::Scalar> {
    let mut lanes = [V::Scalar::default(); ROWS];
    register.store(&mut lanes);
    lanes
}

/// Where the numbers of a block are: class `c` of its row `r` at `c * stride + first + r`.
#[derive(Clone, Copy)]
pub(crate) struct Grid {
    pub(crate) stride: usize,
    pub(crate) first: usize,
    /// Rows of the block.
    pub(crate) rows: usize,
}

impl Grid {
    /// The places of a class from row `at` of the block on.
    #[inline(always)]
    fn span(self, class: usize, at: usize) -> (usize, usize) {
        let start = class * self.stride + self.first;
        (start + at, start + self.rows)
    }

    #[inline(always)]
    fn load<V: Vector>(
        self,
        token: V::Token,
        of: &[V::Scalar],
        class: usize,
        at: usize,
        fill: V,
    ) -> V {
        let (start, end) = self.span(class, at);
        V::load(token, of.get(start..end).unwrap_or(&[]), fill)
    }

    #[inline(always)]
    fn store<V: Vector>(self, value: V, into: &mut [V::Scalar], class: usize, at: usize) {
        let (start, end) = self.span(class, at);
        value.store(into.get_mut(start..end).unwrap_or(&mut []));
    }
}

/// The logits of a block and the places of its gradients, by class.
pub(crate) trait Plane<V: Vector> {
    /// What becomes of the gradient, as [`Cells`] have it.
    const MODE: u8;

    /// How many classes there are, where the compiler may know; zero where only the plane does.
    const CLASSES: usize;

    fn classes(&self) -> usize;

    fn logits(&self, token: V::Token, class: usize, at: usize) -> V;

    /// See [`Cells::keep`].
    fn keep(&mut self, class: usize, at: usize, value: V);

    /// See [`Cells::kept`].
    fn kept(&self, token: V::Token, class: usize, at: usize) -> V;

    /// See [`Cells::put`].
    fn put(&mut self, token: V::Token, class: usize, at: usize, value: V);
}

/// A register of rows, whose classes have registers of their own: as many as there are, or the first
/// `CLASSES` of them.
pub(crate) struct Registers<'a, V, const MODE: u8, const CLASSES: usize>(pub(crate) &'a mut [V]);

impl<V: Vector, const MODE: u8, const CLASSES: usize> Plane<V> for Registers<'_, V, MODE, CLASSES> {
    const MODE: u8 = MODE;
    const CLASSES: usize = CLASSES;

    #[inline(always)]
    fn classes(&self) -> usize {
        if CLASSES == 0 { self.0.len() } else { CLASSES }
    }

    #[inline(always)]
    fn logits(&self, token: V::Token, class: usize, at: usize) -> V {
        self.kept(token, class, at)
    }

    #[inline(always)]
    fn keep(&mut self, class: usize, _: usize, value: V) {
        if MODE == WRITE {
            self.0[class] = value;
        }
    }

    #[inline(always)]
    fn kept(&self, _: V::Token, class: usize, _: usize) -> V {
        self.0[class]
    }

    #[inline(always)]
    fn put(&mut self, _: V::Token, class: usize, at: usize, value: V) {
        self.keep(class, at, value);
    }
}

/// A block among others: its classes are where a grid says.
pub(crate) struct Gridded<'a, F, const MODE: u8> {
    pub(crate) cells: Cells<'a, F, MODE>,
    pub(crate) grid: Grid,
    pub(crate) classes: usize,
}

impl<V: Vector, const MODE: u8> Plane<V> for Gridded<'_, V::Scalar, MODE> {
    const MODE: u8 = MODE;
    const CLASSES: usize = 0;

    #[inline(always)]
    fn classes(&self) -> usize {
        self.classes
    }

    #[inline(always)]
    fn logits(&self, token: V::Token, class: usize, at: usize) -> V {
        self.grid.load(token, self.cells.logits(), class, at, V::of(token, 0.0))
    }

    #[inline(always)]
    fn keep(&mut self, class: usize, at: usize, value: V) {
        self.cells.keep_in(self.grid.span(class, at), value);
    }

    #[inline(always)]
    fn kept(&self, token: V::Token, class: usize, at: usize) -> V {
        self.grid.load(token, self.cells.gradient(), class, at, V::of(token, 0.0))
    }

    #[inline(always)]
    fn put(&mut self, token: V::Token, class: usize, at: usize, value: V) {
        self.cells.put_in(token, self.grid.span(class, at), value);
    }
}

/// Numbers of the rows of a block.
pub(crate) type OfRows<F> = [F; ROWS];

/// The targets of a block.
pub(crate) struct BlockTargets<'a, F> {
    /// The class of the label, as a number; of no class if negative.
    pub(crate) labels: OfRows<F>,
    /// The weight of the label.
    pub(crate) spikes: OfRows<F>,
    /// Where dense targets or the teacher's logits are.
    pub(crate) dense_grid: Grid,
    /// What dense targets are multiplied with.
    pub(crate) keep: OfRows<F>,
    pub(crate) even: F,
    pub(crate) class_weights: &'a [F],
    /// Whether the gradient is that of the Caffe layer: `keep` in place of any target but zero.
    pub(crate) caffe: bool,
}

/// What lies in grids of its own.
pub(crate) struct Alongside<'a, F> {
    /// Dense targets, or the teacher's logits; none if empty.
    pub(crate) dense: &'a [F],
    /// The place of second derivatives, if they are wanted.
    pub(crate) hessian: Option<&'a mut [F]>,
}

/// What becomes of the rows of a block.
pub(crate) struct BlockResults<F> {
    /// One where the row is live and its largest logit (and the teacher's) is finite, or there is none.
    pub(crate) finite: OfRows<F>,
    pub(crate) loss: OfRows<F>,
    pub(crate) log_sum_exp: OfRows<F>,
    /// The class treated apart, as a number.
    pub(crate) apart: OfRows<F>,
}

impl<F: Float> BlockResults<F> {
    pub(crate) fn new() -> Self {
        let zeros = [F::default(); ROWS];
        Self { finite: [F::from_count(1); ROWS], loss: zeros, log_sum_exp: zeros, apart: zeros }
    }

    /// Those of the rows of a register.
    #[inline(always)]
    pub(crate) fn put<V: Vector<Scalar = F>>(
        &mut self,
        at: usize,
        finite: V,
        settled: &Coefficients<V>,
        apart: V,
    ) {
        finite.store(from_mut(&mut self.finite, at));
        settled.loss.store(from_mut(&mut self.loss, at));
        settled.log_sum_exp.store(from_mut(&mut self.log_sum_exp, at));
        apart.store(from_mut(&mut self.apart, at));
    }
}

/// A block: its targets, factors and the like.
pub(crate) struct Block<'a, F> {
    pub(crate) classes: usize,
    pub(crate) grid: Grid,
    pub(crate) targets: BlockTargets<'a, F>,
    /// One for a row that is wanted, zero for one that is not.
    pub(crate) live: OfRows<F>,
    pub(crate) loss_factors: OfRows<F>,
    pub(crate) gradient_factors: [f64; ROWS],
    /// The same, rounded.
    pub(crate) gradient_factors_rounded: OfRows<F>,
    pub(crate) hessian: Hessian,
}

/// What a register of rows is compared with beside labels: dense targets, or a teacher's logits.
#[derive(Clone, Copy)]
struct Beside<'a, V: Vector> {
    /// None if empty.
    dense: &'a [V::Scalar],
    /// The largest of the teacher's logits.
    max: V,
    /// One over the sum of the exponentials.
    factor: V,
    /// That sum, without the largest.
    others: LaneSum<V>,
}

impl<'a, V: Vector> Beside<'a, V> {
    #[inline(always)]
    fn of_dense(token: V::Token, dense: &'a [V::Scalar]) -> Self {
        let zero = V::of(token, 0.0);
        Self { dense, max: zero, factor: zero, others: LaneSum::new(token) }
    }
}

impl<F: Float> Block<'_, F> {
    /// All registers of the block. Rows that are not live, or whose largest logit is not finite, keep
    /// their logits where the gradient takes their place.
    #[inline(always)]
    pub(crate) fn run<V: Vector<Scalar = F>, Z: LogitMap, P: Plane<V>, const KIND: u8>(
        &self,
        token: V::Token,
        plane: &mut P,
        Alongside { dense, mut hessian }: Alongside<'_, F>,
        task: RowTask<Z>,
        results: &mut BlockResults<F>,
    ) {
        for register in 0..ROWS / V::LANES {
            let at = register * V::LANES;
            if at < self.grid.rows {
                let alongside = Alongside { dense, hessian: hessian.as_deref_mut() };
                self.register::<V, Z, P, KIND>(token, at, plane, alongside, task, results);
            }
        }
    }

    #[inline(always)]
    fn factors<V: Vector<Scalar = F>>(&self, token: V::Token, at: usize) -> Factors<V> {
        let zero = V::of(token, 0.0);
        Factors {
            loss: V::load(token, from(&self.loss_factors, at), zero),
            gradient: V::load(token, from(&self.gradient_factors_rounded, at), zero),
        }
    }

    /// The coefficients of rows that are compared with labels: from their largest logit, how far the
    /// label's is below it, its exponential, and the sum of the others.
    #[inline(always)]
    pub(crate) fn settle_labels<V: Vector<Scalar = F>>(
        &self,
        token: V::Token,
        at: usize,
        max: V,
        sums: [V; 3],
        terms: Terms,
    ) -> Coefficients<V> {
        let weight = V::load(token, from(&self.targets.spikes, at), V::of(token, 0.0));
        label_coefficients(token, (max, weight), sums, terms, self.factors(token, at))
    }

    /// The weights of a class, and the same for the gradient.
    #[inline(always)]
    fn weights<V: Vector<Scalar = F>, const KIND: u8>(
        &self,
        token: V::Token,
        class: usize,
        at: usize,
        beside: &Beside<'_, V>,
        inverse: f64,
    ) -> V {
        let targets = &self.targets;
        let zero = V::of(token, 0.0);
        let mut q = V::splat(token, targets.even);
        if KIND == TEACHER {
            let distance = self.teacher_distance(token, class, at, beside, inverse);
            q = exp_lifted(token, zero - distance) * beside.factor;
        } else if !beside.dense.is_empty() {
            let t = targets.dense_grid.load(token, beside.dense, class, at, zero);
            q = t.mul_add(V::load(token, from(&targets.keep, at), zero), q);
        }
        if let Some(&weight) = targets.class_weights.get(class) {
            q = q * V::splat(token, weight);
        }
        let label = V::load(token, from(&targets.labels, at), zero);
        let spike = V::load(token, from(&targets.spikes, at), zero);
        let here = label.equal(V::count(token, class));
        V::select(here, q + spike, q)
    }

    #[inline(always)]
    fn weights_of_gradient<V: Vector<Scalar = F>>(&self, token: V::Token, at: usize, q: V) -> V {
        if !self.targets.caffe {
            return q;
        }
        let zero = V::of(token, 0.0);
        V::select(q.equal(zero), zero, V::load(token, from(&self.targets.keep, at), zero))
    }

    /// How far the teacher's logits of a class are below the largest.
    #[inline(always)]
    fn teacher_distance<V: Vector<Scalar = F>>(
        &self,
        token: V::Token,
        class: usize,
        at: usize,
        beside: &Beside<'_, V>,
        inverse: f64,
    ) -> V {
        let zero = V::of(token, 0.0);
        let t = self.targets.dense_grid.load(token, beside.dense, class, at, zero);
        (beside.max - t) * V::of(token, inverse)
    }

    /// Finds the largest of the teacher's logits, and their sum.
    #[inline(always)]
    fn sum_teacher<V: Vector<Scalar = F>>(
        &self,
        token: V::Token,
        at: usize,
        beside: &mut Beside<'_, V>,
        inverse: f64,
    ) {
        let zero = V::of(token, 0.0);
        let mut max = V::of(token, f64::NEG_INFINITY);
        let mut apart = zero;
        for class in 0..self.classes {
            let t = self.targets.dense_grid.load(token, beside.dense, class, at, zero);
            apart = V::select(max.less(t), V::count(token, class), apart);
            max = t.max(max);
        }
        beside.max = max;
        for class in 0..self.classes {
            let distance = self.teacher_distance(token, class, at, beside, inverse);
            let here = apart.equal(V::count(token, class));
            beside.others.add(V::select(here, zero, exp_lifted(token, zero - distance)));
        }
        let sum = beside.others.total(token) + V::number(token, V::ONE_EXP);
        beside.factor = V::of(token, 1.0) / sum;
    }

    /// Loss, log-sum-exp, lifted sum and probability, weight, and gradient of the class treated apart, of
    /// the rows of a register. Not for each kind of rows anew: these are hundreds of instructions.
    #[inline(never)]
    fn settle_in_full(
        &self,
        rows: Range<usize>,
        all: &SumsOfRows<F>,
        unit: f64,
        terms: Terms,
    ) -> [OfRows<F>; 6] {
        let mut settled = [[F::default(); ROWS]; 6];
        for (lane, row) in rows.enumerate() {
            let apart_weight = all.apart_weight[lane].to_f64();
            let weights = in_full(&all.weights, lane);
            let (gradient_apart_weight, gradient_weights) = if self.targets.caffe {
                let apart = all.gradient_apart_weight[lane].to_f64();
                (apart, in_full(&all.gradient_weights, lane))
            } else {
                (apart_weight, weights)
            };
            let sums = Sums {
                max: all.max[lane].to_f64() * unit,
                apart_distance: 0.0,
                apart_exp: 1.0,
                others: in_full(&all.others, lane) * F::UNLIFT,
                apart_weight,
                weights,
                gradient_apart_weight,
                gradient_weights,
                distances: 2.0 * in_full(&all.half_distances, lane),
                target_ln_sum: scalar::log1p(in_full(&all.teacher, lane) * F::UNLIFT),
                target_distance: all.target_distance[lane].to_f64(),
                target_is_other: (all.apart[lane] - self.targets.labels[row]).to_f64(),
            };
            let factors = Factors {
                loss: self.loss_factors[row].to_f64(),
                gradient: self.gradient_factors[row],
            };
            let Coefficients { loss, log_sum_exp, sum, probability, weight, apart, .. } =
                coefficients((), sums, terms, factors);
            let lifted = [sum * F::LIFTED_ONE, probability * F::UNLIFT];
            let of_row = [loss, log_sum_exp, lifted[0], lifted[1], weight, apart];
            for (of_rows, value) in settled.iter_mut().zip(of_row) {
                of_rows[lane] = F::from_f64(value);
            }
        }
        settled
    }

    /// The rows of one register, from `at` on.
    #[inline(always)]
    pub(crate) fn register<V: Vector<Scalar = F>, Z: LogitMap, P: Plane<V>, const KIND: u8>(
        &self,
        token: V::Token,
        at: usize,
        plane: &mut P,
        alongside: Alongside<'_, F>,
        task: RowTask<Z>,
        results: &mut BlockResults<F>,
    ) {
        let mut beside = Beside::of_dense(token, alongside.dense);
        if KIND == TEACHER {
            self.sum_teacher(token, at, &mut beside, task.map.unit());
        }
        let largest = self.largest::<V, Z, P, KIND>(token, at, plane, &beside, task.map);
        let of_rows = (beside, largest, alongside.hessian);
        self.rest::<V, Z, P, KIND>(token, at, plane, of_rows, task, results);
    }

    /// The largest logits of rows with labels and nothing else, if all are to be settled here: the first
    /// step of [`register`](Self::register) for those who take each step for several registers.
    #[inline(always)]
    pub(crate) fn plain_largest<V: Vector<Scalar = F>, P: Plane<V>>(
        &self,
        token: V::Token,
        at: usize,
        plane: &P,
    ) -> Option<V> {
        let beside = Beside::of_dense(token, &[]);
        let largest = self.largest::<V, Identity, P, LABEL>(token, at, plane, &beside, Identity);
        (!largest.some_odd).then_some(largest.max)
    }

    /// The second step: the exponentials, kept for the gradient, and what [`settle_labels`] needs.
    ///
    /// [`settle_labels`]: Self::settle_labels
    #[inline(always)]
    pub(crate) fn plain_sums<V: Vector<Scalar = F>, P: Plane<V>>(
        &self,
        token: V::Token,
        at: usize,
        plane: &mut P,
        max: V,
    ) -> [V; 3] {
        label_sums(token, at, plane, self.plain(token, at, max), Identity)
    }

    /// The third step: losses, and coefficients of the gradient.
    #[inline(always)]
    pub(crate) fn plain_settled<V: Vector<Scalar = F>>(
        &self,
        token: V::Token,
        at: usize,
        max: V,
        sums: [V; 3],
        results: &mut BlockResults<F>,
    ) -> Coefficients<V> {
        let Largest { apart, finite, .. } = self.plain(token, at, max);
        let terms = Terms { gamma: 0.0, z_loss: 0.0 };
        let settled = self.settle_labels(token, at, max, sums, terms);
        results.put(at, finite, &settled, apart);
        settled
    }

    /// The last step: the gradient.
    #[inline(always)]
    pub(crate) fn plain_gradient<V: Vector<Scalar = F>, P: Plane<V>>(
        &self,
        token: V::Token,
        at: usize,
        plane: &mut P,
        max: V,
        settled: &Coefficients<V>,
    ) {
        let of_rows = (&Beside::of_dense(token, &[]), self.plain(token, at, max), settled);
        self.put_gradient::<V, Identity, P, LABEL>(token, at, plane, of_rows, Identity);
    }

    /// The largest logits of rows of which none is odd: what the compiler knows of them makes the other
    /// steps short.
    #[inline(always)]
    fn plain<V: Vector<Scalar = F>>(&self, token: V::Token, at: usize, max: V) -> Largest<V> {
        let apart = V::load(token, from(&self.targets.labels, at), V::of(token, 0.0));
        Largest { apart, max, finite: V::of(token, 1.0), some_odd: false }
    }

    /// The largest logit of each row; and the class treated apart: the label, or the first of the
    /// largest logits.
    #[inline(always)]
    fn largest<V: Vector<Scalar = F>, Z: LogitMap, P: Plane<V>, const KIND: u8>(
        &self,
        token: V::Token,
        at: usize,
        plane: &P,
        beside: &Beside<'_, V>,
        map: Z,
    ) -> Largest<V> {
        let zero = V::of(token, 0.0);
        let one = V::of(token, 1.0);
        let mut largest = V::of(token, f64::NEG_INFINITY);
        let mut apart = zero;
        if KIND == LABEL {
            apart = V::load(token, from(&self.targets.labels, at), zero);
        }
        for class in 0..plane.classes() {
            let x = plane.logits(token, class, at);
            if KIND != LABEL {
                apart = V::select(largest.less(x), V::count(token, class), apart);
            }
            largest = x.max(largest);
        }
        // Rows that are settled otherwise keep their logits.
        let live = V::load(token, from(&self.live, at), zero);
        let infinity = V::of(token, f64::INFINITY);
        let mut finite = V::select(largest.abs().less(infinity), live, zero);
        if KIND == TEACHER {
            finite = V::select(beside.max.abs().less(infinity), finite, zero);
        }
        let some_odd = V::any(finite.less(one));
        Largest { apart, max: map.of(token, largest), finite, some_odd }
    }

    /// All but the largest logits.
    #[inline(always)]
    fn rest<V: Vector<Scalar = F>, Z: LogitMap, P: Plane<V>, const KIND: u8>(
        &self,
        token: V::Token,
        at: usize,
        plane: &mut P,
        (beside, largest, hessian): (Beside<'_, V>, Largest<V>, Option<&mut [F]>),
        task: RowTask<Z>,
        results: &mut BlockResults<F>,
    ) {
        let RowTask { map, terms, .. } = task;
        let Largest { apart, max, finite, .. } = largest;
        let grid = self.grid;
        let classes = plane.classes();
        let zero = V::of(token, 0.0);
        let one = V::of(token, 1.0);
        let number = |class: usize| V::count(token, class);

        // The exponentials, and the sums over the classes not treated apart.
        let empty = LaneSum::new(token);
        let (mut others, mut weights, mut half_distances) = (empty, empty, empty);
        let mut gradient_weights = empty;
        let (mut apart_weight, mut gradient_apart_weight, mut target_distance) = (zero, zero, zero);
        if KIND != LABEL {
            let mut pass = Pass::new(token, at, largest);
            let label = V::load(token, from(&self.targets.labels, at), zero);
            for class in 0..classes {
                let here = apart.equal(number(class));
                let z = map.of(token, plane.logits(token, class, at));
                others.add(pass.exponential(token, plane, map, class));
                let distance = zero - map.exponent(token, z, max);
                target_distance = V::select(label.equal(number(class)), distance, target_distance);
                let q = self.weights::<V, KIND>(token, class, at, &beside, map.unit());
                weights.add(V::select(here, zero, q));
                apart_weight = V::select(here, q, apart_weight);
                // The distance of the class treated apart, the largest, is zero.
                let mut half = V::select(here, zero, map.half_distance(token, z, max));
                if KIND == TEACHER {
                    let of_teacher = self.teacher_distance(token, class, at, &beside, map.unit());
                    half = half - of_teacher * V::of(token, 0.5);
                }
                half_distances.add(V::select(q.equal(zero), zero, q * half));
                if self.targets.caffe {
                    let q = self.weights_of_gradient(token, at, q);
                    gradient_weights.add(V::select(here, zero, q));
                    gradient_apart_weight = V::select(here, q, gradient_apart_weight);
                }
            }
        }
        let settled = if KIND == LABEL {
            let sums = label_sums(token, at, plane, largest, map);
            self.settle_labels(token, at, max * V::of(token, map.unit()), sums, terms)
        } else {
            let sums = SumsOfRows {
                max: lanes_of(max),
                others: others.parts(),
                apart_weight: lanes_of(apart_weight),
                weights: weights.parts(),
                gradient_apart_weight: lanes_of(gradient_apart_weight),
                gradient_weights: gradient_weights.parts(),
                half_distances: half_distances.parts(),
                teacher: beside.others.parts(),
                target_distance: lanes_of(target_distance),
                apart: lanes_of(apart),
            };
            let rows = self.settle_in_full(at..at + V::LANES, &sums, map.unit(), terms);
            let [loss, log_sum_exp, sum, probability, weight, apart] =
                rows.map(|of_rows| V::load(token, &of_rows, zero));
            let mass = zero;
            Coefficients { loss, log_sum_exp, sum, probability, mass, weight, apart }
        };
        results.put(at, finite, &settled, apart);

        if let Some(out) = hessian {
            let factors = self.factors(token, at);
            let all = (weights.total(token) + apart_weight) * factors.gradient;
            let others = others.total(token);
            let scale = V::of(token, self.hessian.softmax(map.unit(), classes).factor);
            let floor = V::of(token, self.hessian.floor());
            for class in 0..classes {
                let e = exponential(token, class, at, plane, map, max);
                let p = e / settled.sum;
                let here = apart.equal(number(class));
                let rest = V::select(here, others / settled.sum, one - p);
                let h = all * scale * p * rest;
                grid.store(V::select(h.less(floor), floor, h), out, class, at);
            }
        }
        if P::MODE != LOSS {
            let of_rows = (&beside, largest, &settled);
            self.put_gradient::<V, Z, P, KIND>(token, at, plane, of_rows, map);
        }
    }

    /// The gradient, from kept exponentials or from the logits again.
    #[inline(always)]
    fn put_gradient<V: Vector<Scalar = F>, Z: LogitMap, P: Plane<V>, const KIND: u8>(
        &self,
        token: V::Token,
        at: usize,
        plane: &mut P,
        (beside, largest, settled): (&Beside<'_, V>, Largest<V>, &Coefficients<V>),
        map: Z,
    ) {
        let Largest { apart, max, finite, some_odd } = largest;
        let zero = V::of(token, 0.0);
        let mask = finite.equal(V::of(token, 1.0));
        for class in 0..plane.classes() {
            let e = exponential(token, class, at, plane, map, max);
            let mut g = e * settled.probability;
            if KIND != LABEL {
                let q = self.weights::<V, KIND>(token, class, at, beside, map.unit());
                g = g - self.weights_of_gradient(token, at, q) * settled.weight;
            }
            let here = apart.equal(V::count(token, class));
            g = V::select(here, settled.apart, g);
            if !Z::IDENTITY || some_odd {
                let x = plane.logits(token, class, at);
                if !Z::IDENTITY {
                    g = g * map.derivative(token, x);
                }
                if some_odd {
                    g = V::select(mask, g, if P::MODE == ADD { zero } else { x });
                }
            }
            plane.put(token, class, at, g);
        }
    }
}

/// The largest logits of a register of rows.
#[derive(Clone, Copy)]
pub(super) struct Largest<V> {
    /// The class treated apart, as a number.
    pub(super) apart: V,
    /// The largest logit, mapped.
    pub(super) max: V,
    /// One in rows that are live and whose largest logit (and the teacher's) is finite, zero in others;
    /// and whether there are others.
    pub(super) finite: V,
    pub(super) some_odd: bool,
}

/// The coefficients of rows that are compared with labels: from the largest logit, the weight of the label,
/// how far the label's logit is below the largest, its exponential, and the sum of the others.
#[inline(always)]
pub(super) fn label_coefficients<V: Vector>(
    token: V::Token,
    (max, label_weight): (V, V),
    [label_distance, label_exp, others]: [V; 3],
    terms: Terms,
    factors: Factors<V>,
) -> Coefficients<V> {
    let zero = V::of(token, 0.0);
    let sums = Sums {
        max,
        apart_distance: label_distance,
        apart_exp: label_exp,
        others,
        apart_weight: label_weight,
        weights: zero,
        gradient_apart_weight: label_weight,
        gradient_weights: zero,
        distances: zero,
        target_ln_sum: zero,
        target_distance: label_distance,
        target_is_other: zero,
    };
    coefficients(token, sums, terms, factors)
}

/// Of rows with labels: how far the label's class is below the largest, its exponential, and the sum of
/// the others. The exponentials are kept for the gradient.
#[inline(always)]
pub(super) fn label_sums<V: Vector, Z: LogitMap, P: Plane<V>>(
    token: V::Token,
    at: usize,
    plane: &mut P,
    largest: Largest<V>,
    map: Z,
) -> [V; 3] {
    let mut pass = Pass::new(token, at, largest);
    let mut others = LaneSum::new(token);
    if P::CLASSES == 2 {
        others.add(pass.two_exponentials(token, plane));
    } else {
        // Two by two: half as many sums to compensate.
        let classes = plane.classes();
        let pairs = classes / 2;
        for pair in 0..pairs {
            let first = pass.exponential(token, plane, map, 2 * pair);
            let second = pass.exponential(token, plane, map, 2 * pair + 1);
            others.add(first + second);
        }
        if !classes.is_multiple_of(2) {
            others.add(pass.exponential(token, plane, map, 2 * pairs));
        }
    }
    [pass.distance, pass.exp, others.total(token)]
}

/// The pass over the exponentials of a register of rows.
struct Pass<V: Vector> {
    /// The first row.
    at: usize,
    /// The class treated apart, as a number.
    apart: V,
    /// The largest logit.
    max: V,
    /// Rows that do not keep their logits; and whether some do.
    mask: V::Mask,
    some_odd: bool,
    /// How far the class treated apart is below the largest, and its exponential.
    distance: V,
    exp: V,
}

impl<V: Vector> Pass<V> {
    #[inline(always)]
    fn new(token: V::Token, at: usize, largest: Largest<V>) -> Self {
        let Largest { apart, max, finite, some_odd } = largest;
        let zero = V::of(token, 0.0);
        let mask = finite.equal(V::of(token, 1.0));
        Self { at, apart, max, mask, some_odd, distance: zero, exp: zero }
    }

    /// The exponentials of a class, kept for the gradient: those of rows that do not treat it apart.
    #[inline(always)]
    fn exponential<Z: LogitMap, P: Plane<V>>(
        &mut self,
        token: V::Token,
        plane: &mut P,
        map: Z,
        class: usize,
    ) -> V {
        let x = plane.logits(token, class, self.at);
        let exponent = map.exponent(token, map.of(token, x), self.max);
        let e = exp_lifted(token, exponent);
        if Z::IDENTITY {
            let kept = if self.some_odd { V::select(self.mask, e, x) } else { e };
            plane.keep(class, self.at, kept);
        }
        self.apart_from(token, class, exponent, e)
    }

    /// [`exponential`](Self::exponential) of the only two classes, in rows of which none is odd, added
    /// up. One of the two exponents is zero: their sum is the other, or NaN if that is.
    #[inline(always)]
    fn two_exponentials<P: Plane<V>>(&mut self, token: V::Token, plane: &mut P) -> V {
        let zero = V::of(token, 0.0);
        let of_largest = V::of(token, V::Scalar::LIFTED_ONE);
        let exponents = [0, 1].map(|class| plane.logits(token, class, self.at) - self.max);
        let e = exp_lifted(token, exponents[0] + exponents[1]);
        let exps = exponents.map(|exponent| V::select(exponent.equal(zero), of_largest, e));
        plane.keep(0, self.at, exps[0]);
        plane.keep(1, self.at, exps[1]);
        let first = self.apart_from(token, 0, exponents[0], exps[0]);
        first + self.apart_from(token, 1, exponents[1], exps[1])
    }

    /// The exponential of a class for the sum of the others: zero in rows that treat it apart.
    #[inline(always)]
    fn apart_from(&mut self, token: V::Token, class: usize, exponent: V, e: V) -> V {
        let zero = V::of(token, 0.0);
        let here = self.apart.equal(V::count(token, class));
        self.distance = V::select(here, zero - exponent, self.distance);
        self.exp = V::select(here, e, self.exp);
        V::select(here, zero, e)
    }
}

/// The exponentials of a class: kept where its gradient goes, or computed again.
#[inline(always)]
pub(super) fn exponential<V: Vector, Z: LogitMap, P: Plane<V>>(
    token: V::Token,
    class: usize,
    at: usize,
    plane: &P,
    map: Z,
    max: V,
) -> V {
    if P::MODE == WRITE && Z::IDENTITY {
        return plane.kept(token, class, at);
    }
    let x = plane.logits(token, class, at);
    exp_lifted(token, map.exponent(token, map.of(token, x), max))
}
