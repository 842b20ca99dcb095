//! What is done to a logit before the softmax sees it: nothing, a temperature, or a soft cap.

use crate::math::tanh::tanh;
use crate::simd::Vector;

/// A non-decreasing function of a logit, `z(x)`, and a unit that distances between two `z` are
/// measured in: the softmax is that of `z(x) * unit`.
pub(crate) trait LogitMap: Copy + Send + Sync {
    /// Whether `z(x) = x`, so that a gradient by `z` is one by `x`.
    const IDENTITY: bool;

    /// Whether the unit is something else than one.
    const HAS_UNIT: bool;

    /// `z(x)`; `-inf` and NaN stay what they are.
    fn of<V: Vector>(self, token: V::Token, x: V) -> V;

    fn unit(self) -> f64;

    /// `dz/dx`.
    fn derivative<V: Vector>(self, token: V::Token, x: V) -> V;

    /// [`of`](Self::of) one logit: the same bits as in a vector.
    #[inline(always)]
    fn of_one<V: Vector>(self, token: V::Token, x: V::Scalar) -> V::Scalar {
        if Self::IDENTITY { x } else { first(self.of(token, V::splat(token, x))) }
    }

    /// [`derivative`](Self::derivative) of one logit.
    #[inline(always)]
    fn derivative_one<V: Vector>(self, token: V::Token, x: V::Scalar) -> V::Scalar {
        let derivative = if Self::IDENTITY {
            V::of(token, 1.0)
        } else {
            self.derivative(token, V::splat(token, x))
        };
        first(derivative)
    }

    /// Half of `(reference - z) * unit`: two finite logits may be further apart than the largest
    /// float.
    #[inline(always)]
    fn half_distance<V: Vector>(self, token: V::Token, z: V, reference: V) -> V {
        let half = V::of(token, 0.5);
        let above = z.mul_add(V::of(token, -0.5), reference * half);
        if Self::HAS_UNIT { above * V::of(token, self.unit()) } else { above }
    }

    /// `(z - reference) * unit`.
    #[inline(always)]
    fn exponent<V: Vector>(self, token: V::Token, z: V, reference: V) -> V {
        let below = z - reference;
        if Self::HAS_UNIT { below * V::of(token, self.unit()) } else { below }
    }
}

/// The first lane.
#[inline(always)]
pub(super) fn first<V: Vector>(x: V) -> V::Scalar {
    let mut one = [V::Scalar::default()];
    x.store(&mut one);
    one[0]
}

/// The logits as they are.
#[derive(Clone, Copy)]
pub(crate) struct Identity;

impl LogitMap for Identity {
    const IDENTITY: bool = true;
    const HAS_UNIT: bool = false;

    #[inline(always)]
    fn of<V: Vector>(self, _: V::Token, x: V) -> V {
        x
    }

    #[inline(always)]
    fn unit(self) -> f64 {
        1.0
    }

    #[inline(always)]
    fn derivative<V: Vector>(self, token: V::Token, _: V) -> V {
        V::of(token, 1.0)
    }
}

/// `x / τ`: the distances are scaled, not the logits, whose rounding would count `|x|` times. The
/// derivative `1 / τ` is left to the caller, as a factor of the whole row.
#[derive(Clone, Copy)]
pub(crate) struct Temperature {
    /// As exact as the logits are.
    pub(crate) inverse: f64,
}

impl LogitMap for Temperature {
    const IDENTITY: bool = true;
    const HAS_UNIT: bool = true;

    #[inline(always)]
    fn of<V: Vector>(self, _: V::Token, x: V) -> V {
        x
    }

    #[inline(always)]
    fn unit(self) -> f64 {
        self.inverse
    }

    #[inline(always)]
    fn derivative<V: Vector>(self, token: V::Token, _: V) -> V {
        V::of(token, 1.0)
    }
}

/// `cap tanh(x / cap)` (Gemma Team, "Gemma 2", 2024, section 2). A masked class stays masked.
#[derive(Clone, Copy)]
pub(crate) struct SoftCap {
    /// As exact as the logits are.
    pub(crate) cap: f64,
}

impl LogitMap for SoftCap {
    const IDENTITY: bool = false;
    const HAS_UNIT: bool = false;

    #[inline(always)]
    fn of<V: Vector>(self, token: V::Token, x: V) -> V {
        let cap = V::of(token, self.cap);
        let masked = x.equal(V::of(token, f64::NEG_INFINITY));
        V::select(masked, x, tanh(token, x / cap).value * cap)
    }

    #[inline(always)]
    fn unit(self) -> f64 {
        1.0
    }

    #[inline(always)]
    fn derivative<V: Vector>(self, token: V::Token, x: V) -> V {
        let masked = x.equal(V::of(token, f64::NEG_INFINITY));
        let one = V::of(token, 1.0);
        V::select(masked, one, tanh(token, x / V::of(token, self.cap)).derivative)
    }
}
