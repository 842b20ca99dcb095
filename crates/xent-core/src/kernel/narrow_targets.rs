//! The weights of the classes of a register of rows of few classes: from dense targets, or from the logits of a teacher.

use super::block::{ROWS, RawTargets, RowBlock};
use super::lanes::LaneSum;
use crate::math::exp::exp_scaled;
use crate::simd::{Vector, from, from_mut};
use crate::tables::Tables;

/// From dense targets to the weights of a register of rows.
#[inline(always)]
pub(super) fn weights_of_targets<V: Vector>(
    token: V::Token,
    at: usize,
    weights: &mut [V],
    block: &mut RowBlock<V::Scalar>,
    raw: &RawTargets<'_, V::Scalar>,
) {
    let zero = V::of(token, 0.0);
    if let Some(labels) = raw.multi_label {
        let mut count = zero;
        for &t in &*weights {
            count = count + V::select(t.equal(zero), zero, V::of(token, 1.0));
        }
        let mut counts = [V::Scalar::default(); ROWS];
        count.store(&mut counts);
        block.share_labels(at, &counts[..V::LANES.min(ROWS)], labels);
    }
    let scale = V::load(token, from(&block.target_scales, at), zero);
    let smoothing_per_class = V::splat(token, raw.smoothing_per_class);
    let label = V::load(token, from(&block.labels, at), zero);
    let of_label = V::load(token, from(&block.label_weights, at), zero);
    for (class, weight) in weights.iter_mut().enumerate() {
        let mut q = if raw.dense.is_empty() {
            smoothing_per_class
        } else {
            weight.mul_add(scale, smoothing_per_class)
        };
        if let Some(&of_class) = raw.class_weights.get(class) {
            q = q * V::splat(token, of_class);
        }
        if raw.labels {
            let here = label.equal(V::count(token, class));
            q = V::select(here, q + of_label, q);
        }
        *weight = q;
    }
}

/// From the logits of a teacher to the weights of a register of rows, and the distance of the logits below the
/// largest.
#[inline(always)]
pub(super) fn weights_of_teacher<V: Vector>(
    token: V::Token,
    at: usize,
    (weights, teacher): (&mut [V], &mut [V]),
    block: &mut RowBlock<V::Scalar>,
    class_weights: &[V::Scalar],
    unit: f64,
) {
    let zero = V::of(token, 0.0);
    let unit = V::of(token, unit);
    let mut max = V::of(token, f64::NEG_INFINITY);
    let mut pivot = zero;
    for (class, &t) in weights.iter().enumerate() {
        pivot = V::select(max.less(t), V::count(token, class), pivot);
        max = t.max(max);
    }
    let finite = max.abs().less(V::of(token, f64::INFINITY));
    let regular = V::load(token, from(&block.regular, at), zero);
    V::select(finite, regular, zero).store(from_mut(&mut block.regular, at));
    let mut others = LaneSum::new(token);
    for (class, (weight, teacher)) in weights.iter_mut().zip(teacher).enumerate() {
        let distance = (max - *weight) * unit;
        let e = exp_scaled(token, zero - distance);
        let here = pivot.equal(V::count(token, class));
        others.add(V::select(here, zero, e));
        (*weight, *teacher) = (e, distance);
    }
    others.store(at, &mut block.teacher_others);
    let one = V::of(token, V::Scalar::SCALE);
    let factor = V::of(token, 1.0) / (others.total(token) + one);
    for (class, weight) in weights.iter_mut().enumerate() {
        *weight = *weight * factor;
        if let Some(&of_class) = class_weights.get(class) {
            *weight = *weight * V::splat(token, of_class);
        }
    }
}
