//! The last pass over a row: its gradient, from the exponentials in its place or from the logits.

use super::exp_sums::SoftRow;
use super::row_buffers::{GradMode, RowBuffers};
use crate::dispatch::{Kernel, entries};
use crate::element::Float;
use crate::math::exp::exp_lifted;
use crate::simd::{HALF_PANEL, Lanes, Simd, aligned, from, from_mut};

/// What the gradient is made of, and how it is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// The exponentials in its place.
    Kept,
    /// The logits.
    Logits,
    /// Logits that are not in its place; it is written past the caches.
    LogitsPastCaches,
}

/// `probability e_c - weight q_c` of a row, or of a part of one.
#[derive(Clone, Copy)]
pub(crate) struct Gradient<V: Lanes> {
    pub(crate) token: V::Token,
    /// The largest logit.
    pub(crate) max: V,
    pub(crate) probability: V,
}

/// What a gradient has beside probabilities.
#[derive(Clone, Copy)]
pub(crate) struct SoftGradient<'a, V: Lanes> {
    pub(crate) row: SoftRow<'a, V>,
    pub(crate) weight: V,
    /// What stands in place of any weight but zero, if that is something else.
    pub(crate) own: Option<V>,
}

impl<V: Lanes> Gradient<V> {
    /// Of rows with labels.
    #[inline(always)]
    pub(crate) fn put(self, mut row: RowBuffers<'_, V::Scalar>, source: Source) {
        let absent = V::of(self.token, f64::NEG_INFINITY);
        if source == Source::Kept {
            while let Some(mut half) = row.take_whole::<HALF_PANEL>() {
                let places = half.gradient_mut();
                for at in (0..HALF_PANEL).step_by(V::LANES) {
                    let place = from_mut(places, at);
                    (V::load(self.token, place, absent) * self.probability).store(place);
                }
            }
            for place in row.gradient_mut().chunks_mut(V::LANES) {
                (V::load(self.token, place, absent) * self.probability).store(place);
            }
            return;
        }
        if source == Source::LogitsPastCaches {
            // Only aligned stores go past the caches.
            let head = aligned(row.gradient()).min(row.len());
            self.registers(row.take_front(head));
            while let Some(mut half) = row.take_whole::<HALF_PANEL>() {
                for at in (0..HALF_PANEL).step_by(V::LANES) {
                    let x = half.load(self.token, at, absent);
                    let g = exp_lifted(self.token, x - self.max) * self.probability;
                    g.stream(from_mut(half.gradient_mut(), at));
                }
            }
        }
        while let Some(mut half) = row.take_whole::<HALF_PANEL>() {
            for at in (0..HALF_PANEL).step_by(V::LANES) {
                let x = half.load(self.token, at, absent);
                let g = exp_lifted(self.token, x - self.max) * self.probability;
                put(self.token, &mut half, at, g, false);
            }
        }
        self.registers(row);
    }

    /// Of as many logits as there are, from the logits.
    #[inline(always)]
    fn registers(self, mut row: RowBuffers<'_, V::Scalar>) {
        let absent = V::of(self.token, f64::NEG_INFINITY);
        for at in (0..row.len()).step_by(V::LANES) {
            let x = row.load(self.token, at, absent);
            row.put(self.token, at, exp_lifted(self.token, x - self.max) * self.probability);
        }
    }

    /// Of rows with a weight for every class.
    #[inline(always)]
    pub(crate) fn put_soft(
        self,
        mut row: RowBuffers<'_, V::Scalar>,
        mut soft: SoftGradient<'_, V>,
        source: Source,
    ) {
        let kept = source == Source::Kept;
        let streams = source == Source::LogitsPastCaches;
        if streams {
            let head = aligned(row.gradient()).min(row.len());
            self.soft_registers(row.take_front(head), soft, false);
            soft.row = soft.row.part(head);
        }
        while let Some(mut half) = row.take_whole::<HALF_PANEL>() {
            // A slice whose length the compiler knows.
            let Some(weights) = soft.row.weights.first_chunk::<HALF_PANEL>() else { return };
            let part = SoftGradient { row: SoftRow { weights, ..soft.row }, ..soft };
            for at in (0..HALF_PANEL).step_by(V::LANES) {
                let g = self.of(&half, part, at, kept);
                put(self.token, &mut half, at, g, streams);
            }
            soft.row = soft.row.part(HALF_PANEL);
        }
        self.soft_registers(row, soft, kept);
    }

    #[inline(always)]
    fn soft_registers(
        self,
        mut row: RowBuffers<'_, V::Scalar>,
        soft: SoftGradient<'_, V>,
        kept: bool,
    ) {
        for at in (0..row.len()).step_by(V::LANES) {
            let g = self.of(&row, soft, at, kept);
            row.put(self.token, at, g);
        }
    }

    /// A register of the gradient.
    #[inline(always)]
    fn of(
        self,
        row: &RowBuffers<'_, V::Scalar>,
        soft: SoftGradient<'_, V>,
        at: usize,
        kept: bool,
    ) -> V {
        let absent = V::of(self.token, f64::NEG_INFINITY);
        let zero = V::of(self.token, 0.0);
        let e = if kept {
            V::load(self.token, from(row.gradient(), at), absent)
        } else {
            let x = row.load(self.token, at, absent);
            exp_lifted(self.token, (x - self.max) * soft.row.unit)
        };
        let mut q = V::load(self.token, from(soft.row.weights, at), zero);
        if let Some(own) = soft.own {
            q = V::select(q.equal(zero), zero, own);
        }
        e * self.probability - q * soft.weight
    }
}

/// Stores half a panel's register.
#[inline(always)]
fn put<V: Lanes>(
    token: V::Token,
    half: &mut RowBuffers<'_, V::Scalar>,
    at: usize,
    g: V,
    streams: bool,
) {
    if streams {
        g.stream(from_mut(half.gradient_mut(), at));
    } else if half.mode() == GradMode::Add {
        let place = from_mut(half.gradient_mut(), at);
        (V::load(token, place, V::of(token, 0.0)) + g).store(place);
    } else {
        g.store(from_mut(half.gradient_mut(), at));
    }
}

/// Waits for what was stored past the caches, so that another thread may read it.
pub(crate) struct Fence<F>(core::marker::PhantomData<F>);

impl<F> Fence<F> {
    pub(crate) fn new() -> Self {
        Self(core::marker::PhantomData)
    }
}

impl<F: Float> Kernel for Fence<F> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        F::Of::<S>::fence(simd);
    }

    entries!();
}

/// Zeroes the gradient where it is written; nothing is added to another.
pub(crate) fn clear<F: Float>(mut row: RowBuffers<'_, F>) {
    if row.mode() == GradMode::Write {
        row.gradient_mut().fill(F::default());
    }
}
