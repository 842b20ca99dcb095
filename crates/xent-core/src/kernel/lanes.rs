//! The steps of the equation for many rows at once, a row in each lane.
//!
//! A short row does not fill a register, and its own arithmetic (a maximum across lanes, a sum, a quotient, a
//! logarithm) is one long chain of dependent instructions. And if the class axis is not the last, neighbours in
//! memory are rows, not classes. With a row in each lane, no step has to cross lanes. The equation and the pivot
//! are those of [`super::long_row`].
//!
//! Each function performs one step for the rows of a register: `at` is the first of them in its block.

use super::block::{BlockSums, RowBlock};
use super::coefficients::{Coefficients, Terms, second_terms};
use super::planes::{Plane, SecondPlane, SoftPlane};
use crate::hessian::Curvature;
use crate::math::exp::exp_scaled;
use crate::simd::{Vector, from, from_mut};
use crate::tables::Tables;

/// Sums of non-negative terms by lane, each with the rounding errors of its additions (Dekker's `Fast2Sum`, see
/// [`super::sum`]).
#[derive(Clone, Copy)]
pub(crate) struct LaneSum<V> {
    high: V,
    low: V,
}

impl<V: Vector> LaneSum<V> {
    #[inline(always)]
    pub(crate) fn new(token: V::Token) -> Self {
        let zero = V::of(token, 0.0);
        Self { high: zero, low: zero }
    }

    #[inline(always)]
    pub(crate) fn add(&mut self, term: V) {
        let sum = self.high + term;
        self.low = self.low + (term - (sum - self.high));
        self.high = sum;
    }

    /// The sum of each lane, and its rounding error.
    #[inline(always)]
    pub(crate) fn store(self, at: usize, [high, low]: &mut [[V::Scalar; super::block::ROWS]; 2]) {
        self.high.store(from_mut(high, at));
        self.low.store(from_mut(low, at));
    }

    /// Once the sum is infinite, its rounding error is NaN.
    #[inline(always)]
    pub(crate) fn total(self, token: V::Token) -> V {
        let infinity = V::of(token, f64::INFINITY);
        V::select(self.high.less(infinity), self.high + self.low, self.high)
    }
}

/// The largest logits of a register of rows.
#[derive(Clone, Copy)]
pub(crate) struct Largest<V: Vector> {
    pub(crate) max: V,
    /// One in rows that are computed here, zero in the others; and whether there are others.
    pub(crate) finite: V,
    pub(crate) some_degenerate: bool,
}

/// Finds the largest logits and, if wanted, the first class that has them.
#[inline(always)]
pub(crate) fn largest<V: Vector, P: Plane<V>>(
    token: V::Token,
    at: usize,
    plane: &P,
    block: &mut RowBlock<V::Scalar>,
    wants_class: bool,
) -> Largest<V> {
    let zero = V::of(token, 0.0);
    let one = V::of(token, 1.0);
    let mut max = V::of(token, f64::NEG_INFINITY);
    if wants_class {
        let mut class_of = zero;
        for class in 0..plane.classes() {
            let x = plane.logits(token, class);
            class_of = V::select(max.less(x), V::count(token, class), class_of);
            max = x.max(max);
        }
        class_of.store(from_mut(&mut block.largest_class, at));
    } else {
        for class in 0..plane.classes() {
            max = plane.logits(token, class).max(max);
        }
    }
    let regular = V::load(token, from(&block.regular, at), zero);
    let infinity = V::of(token, f64::INFINITY);
    let finite = V::select(max.abs().less(infinity), regular, zero);
    let some_degenerate = V::any(finite.less(one));
    finite.store(from_mut(&mut block.finite, at));
    Largest { max, finite, some_degenerate }
}

/// The pass over the exponentials of a register of rows.
struct Exponentials<V: Vector> {
    /// The class number of the pivot.
    pivot: V,
    max: V,
    /// Rows that do not keep their logits; and whether there are any.
    mask: V::Mask,
    some_degenerate: bool,
    /// The distance of the pivot below the largest logit, and its exponential.
    distance: V,
    exp: V,
}

impl<V: Vector> Exponentials<V> {
    #[inline(always)]
    fn new(
        token: V::Token,
        pivot: V,
        Largest { max, finite, some_degenerate }: Largest<V>,
    ) -> Self {
        let zero = V::of(token, 0.0);
        let mask = finite.equal(V::of(token, 1.0));
        Self { pivot, max, mask, some_degenerate, distance: zero, exp: zero }
    }

    /// The exponentials of a class, stored for the gradient; zero in rows whose pivot it is.
    #[inline(always)]
    fn of_class<P: Plane<V>>(&mut self, token: V::Token, plane: &mut P, class: usize) -> V {
        let x = plane.logits(token, class);
        let exponent = x - self.max;
        let e = exp_scaled(token, exponent);
        plane.store_exp(class, if self.some_degenerate { V::select(self.mask, e, x) } else { e });
        self.without_pivot(token, class, exponent, e)
    }

    /// [`of_class`](Self::of_class) for the only two classes, added, in rows that are all regular. One of the two
    /// exponents is zero: their sum is the other, or NaN if that is.
    #[inline(always)]
    fn of_two<P: Plane<V>>(&mut self, token: V::Token, plane: &mut P) -> V {
        let zero = V::of(token, 0.0);
        let of_largest = V::of(token, V::Scalar::SCALE);
        let first = plane.logits(token, 0) - self.max;
        let second = plane.logits(token, 1) - self.max;
        let e = exp_scaled(token, first + second);
        let of_first = V::select(first.equal(zero), of_largest, e);
        let of_second = V::select(second.equal(zero), of_largest, e);
        plane.store_exp(0, of_first);
        plane.store_exp(1, of_second);
        let sum = self.without_pivot(token, 0, first, of_first);
        sum + self.without_pivot(token, 1, second, of_second)
    }

    /// The exponential of a class for the sum of the others: zero in rows whose pivot it is.
    #[inline(always)]
    fn without_pivot(&mut self, token: V::Token, class: usize, exponent: V, e: V) -> V {
        let zero = V::of(token, 0.0);
        let here = self.pivot.equal(V::count(token, class));
        self.distance = V::select(here, zero - exponent, self.distance);
        self.exp = V::select(here, e, self.exp);
        V::select(here, zero, e)
    }
}

/// For rows with labels: the distance of the label's logit below the largest, its exponential, and the sum of the
/// others. The exponentials are stored for the gradient.
#[inline(always)]
pub(crate) fn label_sums<V: Vector, P: Plane<V>>(
    token: V::Token,
    plane: &mut P,
    label: V,
    largest: Largest<V>,
) -> [V; 3] {
    let mut pass = Exponentials::new(token, label, largest);
    let mut others = LaneSum::new(token);
    if P::CLASSES == 2 && !largest.some_degenerate {
        others.add(pass.of_two(token, plane));
    } else {
        // Two at a time: half as many sums to compensate.
        let classes = plane.classes();
        let pairs = classes / 2;
        for pair in 0..pairs {
            let first = pass.of_class(token, plane, 2 * pair);
            let second = pass.of_class(token, plane, 2 * pair + 1);
            others.add(first + second);
        }
        if !classes.is_multiple_of(2) {
            others.add(pass.of_class(token, plane, 2 * pairs));
        }
    }
    [pass.distance, pass.exp, others.total(token)]
}

/// For rows with a weight for every class: their sums. The exponentials are stored for the gradient.
#[inline(always)]
pub(crate) fn soft_sums<V: Vector, P: Plane<V>, Q: SoftPlane<V>>(
    token: V::Token,
    at: usize,
    plane: &mut P,
    soft: &Q,
    largest: Largest<V>,
    (block, sums): (&mut RowBlock<V::Scalar>, &mut BlockSums<V::Scalar>),
    (unit, own_gradient): (f64, bool),
) {
    largest.max.store(from_mut(&mut block.max, at));
    let block = &*block;
    let zero = V::of(token, 0.0);
    let half = V::of(token, 0.5);
    let unit = V::of(token, unit);
    let mask = largest.finite.equal(V::of(token, 1.0));
    let pivot = V::load(token, from(&block.largest_class, at), zero);
    let half_max = largest.max * half;
    let minus_half = V::of(token, -0.5);
    let empty = LaneSum::new(token);
    let (mut others, mut weights, mut half_distances) = (empty, empty, empty);
    let (mut gradient_weights, mut gradient_pivot_weight) = (empty, zero);
    let mut pivot_weight = zero;
    for class in 0..plane.classes() {
        let here = pivot.equal(V::count(token, class));
        let x = plane.logits(token, class);
        let e = exp_scaled(token, (x - largest.max) * unit);
        plane.store_exp(class, if largest.some_degenerate { V::select(mask, e, x) } else { e });
        others.add(V::select(here, zero, e));
        let q = soft.weight(token, class);
        weights.add(V::select(here, zero, q));
        pivot_weight = V::select(here, q, pivot_weight);
        // The pivot has the largest logit, so its distance is zero.
        let mut distance = V::select(here, zero, x.mul_add(minus_half, half_max) * unit);
        if soft.has_teacher() {
            distance = distance - soft.teacher_distance(token, class) * half;
        }
        half_distances.add(V::select(q.equal(zero), zero, q * distance));
        if own_gradient {
            let q = own_weight(token, at, block, q);
            gradient_weights.add(V::select(here, zero, q));
            gradient_pivot_weight = V::select(here, q, gradient_pivot_weight);
        }
    }
    others.store(at, &mut sums.others);
    weights.store(at, &mut sums.weights);
    half_distances.store(at, &mut sums.half_distances);
    pivot_weight.store(from_mut(&mut sums.pivot_weight, at));
    if own_gradient {
        gradient_weights.store(at, &mut sums.gradient_weights);
        gradient_pivot_weight.store(from_mut(&mut sums.gradient_pivot_weight, at));
    }
}

/// The weights of the Caffe layer's gradient: the same for every label that is not zero.
#[inline(always)]
fn own_weight<V: Vector>(token: V::Token, at: usize, block: &RowBlock<V::Scalar>, q: V) -> V {
    let zero = V::of(token, 0.0);
    let scale = V::load(token, from(&block.target_scales, at), zero);
    V::select(q.equal(zero), zero, scale)
}

/// The exponentials of a class: stored, or computed again.
#[inline(always)]
fn exponential<V: Vector, P: Plane<V>>(
    token: V::Token,
    class: usize,
    plane: &P,
    max: V,
    unit: V,
) -> V {
    if plane.stores_exps() {
        return plane.stored_exp(token, class);
    }
    exp_scaled(token, (plane.logits(token, class) - max) * unit)
}

/// The coefficients of the gradient of a register of rows.
#[derive(Clone, Copy)]
pub(crate) struct LaneGradient<V: Vector> {
    pub(crate) largest: Largest<V>,
    pub(crate) pivot: V,
    pub(crate) pivot_gradient: V,
    pub(crate) probability: V,
    pub(crate) weight: V,
    /// The unit of distances.
    pub(crate) unit: V,
    /// The rows whose gradient is not fixed at zero; all rows if `None`.
    pub(crate) live: Option<V::Mask>,
}

impl<V: Vector> LaneGradient<V> {
    /// For rows with labels that have just been computed.
    #[inline(always)]
    pub(crate) fn of_labels(
        token: V::Token,
        largest: Largest<V>,
        pivot: V,
        coefficients: &Coefficients<V>,
        live: Option<V::Mask>,
    ) -> Self {
        Self {
            largest,
            pivot,
            pivot_gradient: coefficients.pivot,
            probability: coefficients.probability,
            weight: V::of(token, 0.0),
            unit: V::of(token, 1.0),
            live,
        }
    }

    /// For the rows of a block from `at` on, which have a weight for every class.
    #[inline(always)]
    pub(crate) fn of_soft(
        token: V::Token,
        at: usize,
        block: &RowBlock<V::Scalar>,
        largest: Largest<V>,
        unit: V,
    ) -> Self {
        let zero = V::of(token, 0.0);
        Self {
            largest,
            pivot: V::load(token, from(&block.largest_class, at), zero),
            pivot_gradient: V::load(token, from(&block.pivot_gradient, at), zero),
            probability: V::load(token, from(&block.probability, at), zero),
            weight: V::load(token, from(&block.weight, at), zero),
            unit,
            live: live::<V>(token, at, block),
        }
    }

    /// Writes the gradient of rows with labels.
    #[inline(always)]
    pub(crate) fn put_labels<P: Plane<V>>(&self, token: V::Token, plane: &mut P) {
        for class in 0..plane.classes() {
            let e = exponential(token, class, plane, self.largest.max, self.unit);
            self.put(token, plane, class, e * self.probability);
        }
    }

    /// Writes the gradient of rows with a weight for every class.
    #[inline(always)]
    pub(crate) fn put_soft<P: Plane<V>, Q: SoftPlane<V>>(
        &self,
        token: V::Token,
        at: usize,
        plane: &mut P,
        soft: &Q,
        block: &RowBlock<V::Scalar>,
        own_gradient: bool,
    ) {
        for class in 0..plane.classes() {
            let e = exponential(token, class, plane, self.largest.max, self.unit);
            let mut q = soft.weight(token, class);
            if own_gradient {
                q = own_weight(token, at, block, q);
            }
            self.put(token, plane, class, e * self.probability - q * self.weight);
        }
    }

    #[inline(always)]
    fn put<P: Plane<V>>(&self, token: V::Token, plane: &mut P, class: usize, g: V) {
        let here = self.pivot.equal(V::count(token, class));
        let mut g = V::select(here, self.pivot_gradient, g);
        if self.live.is_some() || self.largest.some_degenerate {
            // Adding -0.0 chunks a zero of either sign unchanged.
            let nothing = V::of(token, if plane.adds() { -0.0 } else { 0.0 });
            if let Some(live) = self.live {
                g = V::select(live, g, nothing);
            }
            if self.largest.some_degenerate {
                let mask = self.largest.finite.equal(V::of(token, 1.0));
                let x = plane.logits(token, class);
                g = V::select(mask, g, if plane.adds() { nothing } else { x });
            }
        }
        plane.put(token, class, g);
    }
}

/// The labels of a register of rows, their exponentials, and the sums of the others.
#[derive(Clone, Copy)]
pub(crate) struct LabelLanes<V> {
    pub(crate) class: V,
    pub(crate) exp: V,
    pub(crate) others: V,
}

/// The coefficients of the second derivatives of a register of rows.
#[derive(Clone, Copy)]
pub(crate) struct SecondTask<V> {
    /// The unit of distances.
    pub(crate) unit: f64,
    pub(crate) curvature: Curvature,
    pub(crate) terms: Terms,
    pub(crate) label: Option<LabelLanes<V>>,
}

/// Second derivatives of a register of rows, class by class, from the exponentials.
#[inline(always)]
pub(crate) fn second_derivatives<V: Vector, P: Plane<V>>(
    token: V::Token,
    at: usize,
    plane: &P,
    largest: Largest<V>,
    block: &RowBlock<V::Scalar>,
    SecondTask { unit, curvature, terms, label }: SecondTask<V>,
    place: &mut impl SecondPlane<V>,
) {
    let zero = V::of(token, 0.0);
    let one = V::of(token, 1.0);
    let unit = V::of(token, unit);
    let load = |numbers: &[V::Scalar]| V::load(token, from(numbers, at), zero);
    let (first, sum) = (load(&block.largest_class), load(&block.sum));
    let of_label = label.map_or([zero, zero], |label| [label.exp, label.others]);
    let log_sum_exp = load(&block.log_sum_exp);
    let second = second_terms(token, load(&block.all_weights), log_sum_exp, terms, of_label);
    let factors = load(&block.gradient_factors_rounded);
    let by_convention = V::of(token, curvature.factor);
    let factor = second.spread * factors * by_convention;
    let square = second.square * factors * by_convention;
    let floor = V::of(token, curvature.floor);
    // One minus a probability near one has few digits, so for the largest class it is the sum of the others.
    let mut others = LaneSum::new(token);
    for class in 0..plane.classes() {
        let here = first.equal(V::count(token, class));
        let e = exponential(token, class, plane, largest.max, unit);
        others.add(V::select(here, zero, e));
    }
    let others = others.total(token) / sum;
    let live = live::<V>(token, at, block);
    for class in 0..plane.classes() {
        let here = first.equal(V::count(token, class));
        let p = exponential(token, class, plane, largest.max, unit) / sum;
        let mut h = factor * p * V::select(here, others, one - p);
        if terms.gamma != 0.0 || terms.z_loss != 0.0 {
            h = h + square * p * p;
        }
        if let (Some(value), Some(label)) = (second.label, &label) {
            let here = label.class.equal(V::count(token, class));
            h = V::select(here, value * factors * by_convention, h);
        }
        let mut h = V::select(h.less(floor), floor, h);
        if let Some(live) = live {
            h = V::select(live, h, V::of(token, curvature.of_nothing()));
        }
        place.put(class, h);
    }
}

/// Whether all rows of a register are live.
#[inline(always)]
pub(crate) fn live<V: Vector>(
    token: V::Token,
    at: usize,
    block: &RowBlock<V::Scalar>,
) -> Option<V::Mask> {
    if block.all_live {
        return None;
    }
    let one = V::of(token, 1.0);
    Some(V::load(token, from(&block.live, at), one).equal(one))
}
