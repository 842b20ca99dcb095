//! Where the weights `q` of a row's classes come from.

use crate::simd::{Lanes, from};

/// The targets of one row: a weight `q_c >= 0` for every class, or for a range of its classes.
///
/// One class of the row is always treated apart from the others (see [`super::softmax`]); the
/// kernel asks for its weight alone, and for the others by the vector.
pub(crate) trait Targets: Copy {
    /// Whether classes other than the one treated apart have weights.
    const SPREAD: bool;

    /// The class to treat apart, if the targets say which; otherwise it is the largest logit's.
    fn apart(self) -> Option<usize>;

    /// `q_c` of one class.
    fn weight(self, class: usize) -> f32;

    /// `q` of the classes from `class` on, zero beyond the last.
    fn load<V: Lanes<Scalar = f32>>(self, token: V::Token, class: usize) -> V;
}

/// All of the weight is on one class.
#[derive(Clone, Copy)]
pub(crate) struct Index {
    pub(crate) class: usize,
}

impl Targets for Index {
    const SPREAD: bool = false;

    #[inline(always)]
    fn apart(self) -> Option<usize> {
        Some(self.class)
    }

    #[inline(always)]
    fn weight(self, class: usize) -> f32 {
        if class == self.class { 1.0 } else { 0.0 }
    }

    #[inline(always)]
    fn load<V: Lanes<Scalar = f32>>(self, token: V::Token, _: usize) -> V {
        V::splat(token, 0.0)
    }
}

/// A weight for each class.
#[derive(Clone, Copy)]
pub(crate) struct Dense<'a> {
    pub(crate) weights: &'a [f32],
}

impl Targets for Dense<'_> {
    const SPREAD: bool = true;

    #[inline(always)]
    fn apart(self) -> Option<usize> {
        None
    }

    #[inline(always)]
    fn weight(self, class: usize) -> f32 {
        self.weights.get(class).copied().unwrap_or(0.0)
    }

    #[inline(always)]
    fn load<V: Lanes<Scalar = f32>>(self, token: V::Token, class: usize) -> V {
        V::load(token, from(self.weights, class), V::splat(token, 0.0))
    }
}

/// No targets: the row's log-sum-exp is all that is wanted.
#[derive(Clone, Copy)]
pub(crate) struct NoTargets;

impl Targets for NoTargets {
    const SPREAD: bool = false;

    #[inline(always)]
    fn apart(self) -> Option<usize> {
        None
    }

    #[inline(always)]
    fn weight(self, _: usize) -> f32 {
        0.0
    }

    #[inline(always)]
    fn load<V: Lanes<Scalar = f32>>(self, token: V::Token, _: usize) -> V {
        V::splat(token, 0.0)
    }
}
