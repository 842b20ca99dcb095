//! The one equation for rows of few classes, many rows at once.
//!
//! A short row does not fill a register, and its own arithmetic (a maximum across lanes, a sum, a
//! quotient, a logarithm) is one long chain of instructions that wait for each other. Here a lane is
//! a row: a block of [`ROWS`] rows is transposed, class by class, and no step crosses lanes. The
//! equation and the class treated apart are those of [`super::softmax`].

use super::memory::Memory;
use super::softmax::infinite_row;
use super::targets::Targets;
use crate::math::exp::{LIFTED_ONE, UNLIFT, exp_lifted};
use crate::math::ln::{ln, log1p_unit};
use crate::simd::{Lanes, from, from_mut};

/// Rows of more classes go one at a time.
pub(crate) const CLASSES: usize = 32;

/// Rows of a block.
pub(crate) const ROWS: usize = 32;

/// A block, class by class.
type Block = [[f32; ROWS]; CLASSES];

/// A sum of non-negative terms by lane, with what each addition lost kept beside (Dekker's
/// `Fast2Sum`, see [`super::sum`]).
#[derive(Clone, Copy)]
struct LaneSum<V> {
    high: V,
    low: V,
}

impl<V: Lanes<Scalar = f32>> LaneSum<V> {
    #[inline(always)]
    fn add(&mut self, term: V) {
        let sum = self.high + term;
        self.low = self.low + (term - (sum - self.high));
        self.high = sum;
    }

    #[inline(always)]
    fn total(self) -> V {
        self.high + self.low
    }
}

/// The losses of at most [`ROWS`] rows of at most [`CLASSES`] classes, and their gradients times
/// `scale` where the memory has a place for them.
#[inline(always)]
pub(crate) fn block<V: Lanes<Scalar = f32>, T: Targets, M: Memory>(
    token: V::Token,
    mut rows: M,
    classes: usize,
    targets: impl Fn(usize) -> T,
    scale: f64,
    losses: &mut [f64; ROWS],
) {
    let mut values: Block = [[0.0; ROWS]; CLASSES];
    let mut weights: Block = [[0.0; ROWS]; CLASSES];
    let mut labels = [0.0; ROWS];
    for (row, logits) in rows.logits().chunks_exact(classes).take(ROWS).enumerate() {
        for (values, &logit) in values.iter_mut().zip(logits) {
            values[row] = logit;
        }
        let targets = targets(row);
        labels[row] = targets.apart().map_or(0.0, |class| class as f32);
        if T::SPREAD {
            for (class, weights) in weights.iter_mut().enumerate().take(classes) {
                weights[row] = targets.weight(class);
            }
        }
    }

    let values = values.get_mut(..classes).unwrap_or_default();
    let weights = weights.get(..classes).unwrap_or_default();
    let mut maxima = [0.0; ROWS];
    let mut at = 0;
    while at < ROWS {
        let lanes = lanes::<V, T>(token, at, values, weights, from(&labels, at), scale as f32);
        lanes.max.store(from_mut(&mut maxima, at));
        let mut loss = [0.0_f32; ROWS];
        lanes.loss.store(&mut loss);
        for (loss, place) in loss.iter().take(V::LANES).zip(from_mut(losses, at)) {
            *place = f64::from(*loss);
        }
        at += V::LANES;
    }

    let count = rows.logits().len() / classes;
    for (row, max) in maxima.iter().enumerate().take(count) {
        let mut cells = rows.take_front(classes);
        if max.is_finite() {
            for (place, values) in cells.gradient().iter_mut().zip(values.iter()) {
                *place = values[row];
            }
        } else {
            losses[row] = infinite_row(cells, targets(row), scale);
        }
    }
}

/// What a register of rows comes to.
struct LaneResults<V> {
    max: V,
    loss: V,
}

/// The rows of one register, from `at` on: their logits in `values` become their gradients.
#[inline(always)]
fn lanes<V: Lanes<Scalar = f32>, T: Targets>(
    token: V::Token,
    at: usize,
    values: &mut [[f32; ROWS]],
    weights: &[[f32; ROWS]],
    labels: &[f32],
    scale: f32,
) -> LaneResults<V> {
    let zero = V::splat(token, 0.0);
    let one = V::splat(token, 1.0);
    let number = |class: usize| V::splat(token, class as f32);

    // The maximum; and the class treated apart: the label, or the first of the largest logits.
    let mut max = V::splat(token, f32::NEG_INFINITY);
    let mut apart = V::load(token, labels, zero);
    for (class, x) in values.iter().enumerate() {
        let x = V::load(token, from(x, at), zero);
        if T::SPREAD {
            apart = V::select(max.less(x), number(class), apart);
        }
        max = x.max(max);
    }

    // The exponentials, in place of the logits, and the sums over the classes not treated apart.
    let empty = LaneSum { high: zero, low: zero };
    let (mut others, mut other_weights, mut distances) = (empty, empty, empty);
    let (mut apart_exp, mut apart_weight, mut apart_distance) = (zero, one, zero);
    for (class, (x, q)) in values.iter_mut().zip(weights).enumerate() {
        let here = apart.equal(number(class));
        let distance = max - V::load(token, from(x, at), zero);
        let e = exp_lifted(token, zero - distance);
        e.store(from_mut(x, at));
        others.add(V::select(here, zero, e));
        apart_exp = V::select(here, e, apart_exp);
        apart_distance = V::select(here, distance, apart_distance);
        if T::SPREAD {
            let q = V::load(token, from(q, at), zero);
            let unweighted = q.equal(zero);
            other_weights.add(V::select(here, zero, q));
            apart_weight = V::select(here, q, apart_weight);
            let weighted = V::select(unweighted, zero, q * distance);
            distances.add(V::select(here, zero, weighted));
        }
    }

    let others = others.total();
    let other_weights = other_weights.total();
    let sum = others + apart_exp;
    // ln S: of the others alone where the class apart is the largest and they are few.
    let unlift = V::splat(token, UNLIFT);
    let confident = V::select(apart_exp.equal(V::splat(token, LIFTED_ONE)), others * unlift, sum);
    let ln_sum = V::select(
        one.less(confident),
        ln(token, sum * unlift),
        log1p_unit(token, one.min(confident)),
    );
    let all_weights = other_weights + apart_weight;
    let unweighted = apart_weight.equal(zero);
    let apart_loss = V::select(unweighted, zero, apart_weight * apart_distance);
    let loss = all_weights.mul_add(ln_sum, apart_loss + distances.total());

    // The gradients, in place of the exponentials.
    let scale = V::splat(token, scale);
    let probability = scale * all_weights / sum;
    let apart_gradient = other_weights * scale - others * probability;
    for (class, (x, q)) in values.iter_mut().zip(weights).enumerate() {
        let mut gradient = V::load(token, from(x, at), zero) * probability;
        if T::SPREAD {
            gradient = gradient - V::load(token, from(q, at), zero) * scale;
        }
        let here = apart.equal(number(class));
        V::select(here, apart_gradient, gradient).store(from_mut(x, at));
    }
    LaneResults { max, loss }
}
