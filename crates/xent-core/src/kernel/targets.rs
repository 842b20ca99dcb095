//! Where the weights `q` of a row's classes come from.

use crate::element::Float;
use crate::math::exp::exp_lifted;
use crate::math::scalar;
use crate::simd::{Vector, from};

/// A weight on one class, beside those of [`Targets::load`].
#[derive(Clone, Copy)]
pub(crate) struct Spike {
    pub(crate) class: usize,
    pub(crate) weight: f64,
}

/// The targets of one row: a weight `q_c >= 0` for every class.
///
/// One class of the row is always treated apart from the others (see [`super::softmax`]); the
/// kernel asks for its weight alone, and for the others by the vector.
pub(crate) trait Targets<F: Float>: Copy + Send + Sync {
    /// Whether classes other than the spike's can have weights.
    const SPREAD: bool;

    /// Whether the spike's class is the one treated apart, not that of the largest logit.
    const APART_IS_SPIKE: bool = false;

    /// Whether the targets are made of logits of their own.
    const OF_LOGITS: bool = false;

    fn spike(self) -> Option<Spike>;

    /// The targets of so many classes from `first` on, which is then class zero to the loads: with a
    /// length that the compiler knows, they check nothing.
    #[inline(always)]
    fn part(self, _first: usize, _length: usize) -> Self {
        self
    }

    /// `q` of the classes from `class` on, without the spike.
    fn load<V: Vector<Scalar = F>>(self, token: V::Token, class: usize) -> V;

    /// `q` of one class, without the spike.
    fn weight(self, class: usize) -> f64;

    /// What the gradient has in place of `q`, if that is something else.
    #[inline(always)]
    fn load_for_gradient<V: Vector<Scalar = F>>(self, token: V::Token, class: usize) -> V {
        self.load(token, class)
    }

    /// The same of one class, and of all classes together.
    #[inline(always)]
    fn gradient_weights(self, _: usize) -> Option<[f64; 2]> {
        None
    }

    /// How far the targets' own logits are below their largest.
    #[inline(always)]
    fn distance<V: Vector<Scalar = F>>(self, token: V::Token, _: usize) -> V {
        V::of(token, 0.0)
    }

    /// The same of one class.
    #[inline(always)]
    fn distance_of(self, _: usize) -> f64 {
        0.0
    }

    /// The logarithm of the sum of the exponentials of the targets' own logits.
    #[inline(always)]
    fn ln_sum(self) -> f64 {
        0.0
    }
}

/// No targets: the sums of the row are all that is wanted.
#[derive(Clone, Copy)]
pub(crate) struct NoTargets;

impl<F: Float> Targets<F> for NoTargets {
    const SPREAD: bool = false;

    #[inline(always)]
    fn spike(self) -> Option<Spike> {
        None
    }

    #[inline(always)]
    fn load<V: Vector<Scalar = F>>(self, token: V::Token, _: usize) -> V {
        V::of(token, 0.0)
    }

    #[inline(always)]
    fn weight(self, _: usize) -> f64 {
        0.0
    }
}

/// All of the weight is on one class.
#[derive(Clone, Copy)]
pub(crate) struct Label(pub(crate) Option<Spike>);

impl<F: Float> Targets<F> for Label {
    const SPREAD: bool = false;
    const APART_IS_SPIKE: bool = true;

    #[inline(always)]
    fn spike(self) -> Option<Spike> {
        self.0
    }

    #[inline(always)]
    fn load<V: Vector<Scalar = F>>(self, token: V::Token, _: usize) -> V {
        V::of(token, 0.0)
    }

    #[inline(always)]
    fn weight(self, _: usize) -> f64 {
        0.0
    }
}

/// `w_c (keep t_c + even)`, and a spike.
#[derive(Clone, Copy)]
pub(crate) struct Spread<'a, F> {
    pub(crate) spike: Option<Spike>,
    /// `t`; zero for all classes if empty.
    pub(crate) dense: &'a [F],
    pub(crate) keep: f64,
    pub(crate) even: f64,
    /// `w`; one for all classes if empty.
    pub(crate) class_weights: &'a [F],
    /// For the gradient of the Caffe layer: `1 / M`, where `M` labels are not zero.
    pub(crate) per_label: Option<f64>,
}

impl<F: Float> Targets<F> for Spread<'_, F> {
    const SPREAD: bool = true;

    #[inline(always)]
    fn spike(self) -> Option<Spike> {
        self.spike
    }

    #[inline(always)]
    fn part(self, first: usize, length: usize) -> Self {
        let part = |slice| part(slice, first, length);
        Self { dense: part(self.dense), class_weights: part(self.class_weights), ..self }
    }

    #[inline(always)]
    fn load<V: Vector<Scalar = F>>(self, token: V::Token, class: usize) -> V {
        let mut q = V::of(token, self.even);
        let zero = V::of(token, 0.0);
        if !self.dense.is_empty() {
            let t = V::load(token, from(self.dense, class), zero);
            q = t.mul_add(V::of(token, self.keep), q);
        }
        if !self.class_weights.is_empty() {
            q = q * V::load(token, from(self.class_weights, class), zero);
        }
        q
    }

    #[inline(always)]
    fn weight(self, class: usize) -> f64 {
        let t = self.dense.get(class).map_or(0.0, |t| t.to_f64());
        let w = self.class_weights.get(class).map_or(1.0, |w| w.to_f64());
        (t * self.keep + self.even) * w
    }

    #[inline(always)]
    fn load_for_gradient<V: Vector<Scalar = F>>(self, token: V::Token, class: usize) -> V {
        let q = self.load::<V>(token, class);
        match self.per_label {
            None => q,
            Some(share) => {
                let zero = V::of(token, 0.0);
                V::select(q.equal(zero), zero, V::of(token, share))
            }
        }
    }

    #[inline(always)]
    fn gradient_weights(self, class: usize) -> Option<[f64; 2]> {
        let share = self.per_label?;
        Some([if Targets::<F>::weight(self, class) == 0.0 { 0.0 } else { share }, 1.0])
    }
}

/// The softmax of a teacher's logits (G. Hinton et al., "Distilling the knowledge in a neural
/// network", 2015), times class weights.
#[derive(Clone, Copy)]
pub(crate) struct Teacher<'a, F> {
    pub(crate) logits: &'a [F],
    /// The largest of them.
    pub(crate) max: f64,
    /// `1 / τ`.
    pub(crate) inverse: f64,
    /// `S` of the teacher.
    pub(crate) sum: f64,
    pub(crate) ln_sum: f64,
    pub(crate) class_weights: &'a [F],
}

impl<F: Float> Targets<F> for Teacher<'_, F> {
    const SPREAD: bool = true;
    const OF_LOGITS: bool = true;

    #[inline(always)]
    fn spike(self) -> Option<Spike> {
        None
    }

    #[inline(always)]
    fn part(self, first: usize, length: usize) -> Self {
        let part = |slice| part(slice, first, length);
        Self { logits: part(self.logits), class_weights: part(self.class_weights), ..self }
    }

    #[inline(always)]
    fn load<V: Vector<Scalar = F>>(self, token: V::Token, class: usize) -> V {
        let zero = V::of(token, 0.0);
        let factor = V::of(token, F::UNLIFT / self.sum);
        let q = exp_lifted(token, zero - self.distance::<V>(token, class)) * factor;
        if self.class_weights.is_empty() {
            q
        } else {
            q * V::load(token, from(self.class_weights, class), zero)
        }
    }

    #[inline(always)]
    fn weight(self, class: usize) -> f64 {
        let w = self.class_weights.get(class).map_or(1.0, |w| w.to_f64());
        scalar::exp(0.0 - self.distance_of(class)) / self.sum * w
    }

    #[inline(always)]
    fn distance<V: Vector<Scalar = F>>(self, token: V::Token, class: usize) -> V {
        let absent = V::of(token, f64::NEG_INFINITY);
        let x = V::load(token, from(self.logits, class), absent);
        (V::of(token, self.max) - x) * V::of(token, self.inverse)
    }

    #[inline(always)]
    fn distance_of(self, class: usize) -> f64 {
        let x = self.logits.get(class).map_or(f64::NEG_INFINITY, |x| x.to_f64());
        (self.max - x) * self.inverse
    }

    #[inline(always)]
    fn ln_sum(self) -> f64 {
        self.ln_sum
    }
}

/// So many elements from `first` on, or none.
#[inline(always)]
fn part<F>(slice: &[F], first: usize, length: usize) -> &[F] {
    slice.get(first..first + length).unwrap_or(&[])
}
