//! The sigmoid cross-entropy, element by element.
//!
//! ```text
//! loss     = (1 - y) softplus(x) + y softplus(-x)
//! gradient = (1 - y) σ(x) - y σ(-x)
//! ```
//!
//! with `softplus(x) = max(x, 0) + ln(1 + e^-|x|)`: for a target in [0, 1] every term of the loss
//! is positive, and for a target of 0 or 1 nothing cancels in the gradient either.

use super::memory::Memory;
use super::sum::{StripedSum, TILE};
use crate::math::sigmoid::logistic;
use crate::simd::{Lanes, PANEL, STRIPES, from, from_mut};

/// The sum of the losses; the gradients times `scale` where the memory has a place for them, the
/// losses of the elements where `losses` has.
#[inline(always)]
pub(crate) fn elements<V: Lanes<Scalar = f32>, M: Memory>(
    token: V::Token,
    mut memory: M,
    mut targets: &[f32],
    mut losses: &mut [f32],
    scale: f32,
) -> f64 {
    let mut total = 0.0;
    while !memory.logits().is_empty() {
        let mut tile = memory.take_front(TILE);
        let mut sum = StripedSum::<V>::new(token);
        while !tile.logits().is_empty() {
            let cells = tile.take_front(PANEL);
            let (y, later) = targets.split_at_checked(PANEL).unwrap_or((targets, &[]));
            targets = later;
            let place = losses.len().min(PANEL);
            let (l, later) = core::mem::take(&mut losses).split_at_mut(place);
            losses = later;
            panel::<V, _>(token, cells, y, l, scale, &mut sum);
        }
        total += sum.total();
    }
    total
}

#[inline(always)]
fn panel<V: Lanes<Scalar = f32>, M: Memory>(
    token: V::Token,
    mut cells: M,
    targets: &[f32],
    losses: &mut [f32],
    scale: f32,
    sum: &mut StripedSum<V>,
) {
    let zero = V::splat(token, 0.0);
    let one = V::splat(token, 1.0);
    let scale = V::splat(token, scale);
    let absent = V::splat(token, f32::NEG_INFINITY);
    let length = cells.logits().len();
    for register in 0..STRIPES / V::LANES {
        let mut terms = [zero; 4];
        for (row, term) in terms.iter_mut().enumerate() {
            let at = row * STRIPES + register * V::LANES;
            if at >= length {
                continue;
            }
            // Beyond the last element a logit of -inf with a target of zero adds nothing.
            let x = V::load(token, from(cells.logits(), at), absent);
            let y = V::load(token, from(targets, at), zero);
            let logistic = logistic(token, x);
            let not_y = one - y;
            let linear = product(token, not_y, zero.max(x)) + product(token, y, zero.max(zero - x));
            let loss = linear + (not_y + y) * logistic.log1p;
            loss.store(from_mut(losses, at));
            let gradient = not_y * logistic.positive - y * logistic.negative;
            (gradient * scale).store(from_mut(cells.gradient(), at));
            *term = loss;
        }
        sum.add(register, terms);
    }
}

/// `a b`, zero where `a` is zero even if `b` is infinite.
#[inline(always)]
fn product<V: Lanes<Scalar = f32>>(token: V::Token, a: V, b: V) -> V {
    let zero = V::splat(token, 0.0);
    V::select(a.equal(zero), zero, a * b)
}
