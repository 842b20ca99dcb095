//! The last pass over a row: its gradient, from the exponentials in its place or from the logits.

use super::exp_sums::SoftRow;
use super::row_buffers::{GradMode, RowBuffers};
use super::runs::{Halves, InPlace, OutOfPlace, Run};
use crate::dispatch::{Kernel, entries};
use crate::math::exp::exp_scaled;
use crate::simd::Compute;
use crate::simd::{HALF_STRIP, Lanes, Simd, aligned, from, from_mut};

/// The source of the gradient, and how it is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// The exponentials in its place.
    StoredExps,
    /// The logits.
    Logits,
    /// Logits in another place; the gradient is written past the caches.
    LogitsPastCaches,
}

/// What happens to a register of whole halves. It is known before a loop starts.
#[derive(Clone, Copy)]
enum Put {
    Store,
    /// Past the caches.
    Stream,
    Add,
}

/// `probability e_c - weight q_c` of a row, or of a part of one.
#[derive(Clone, Copy)]
pub(crate) struct Gradient<V: Lanes> {
    pub(crate) token: V::Token,
    /// The largest logit.
    pub(crate) max: V,
    pub(crate) probability: V,
}

/// The further parts of a gradient besides probabilities.
#[derive(Clone, Copy)]
pub(crate) struct SoftGradient<'a, V: Lanes> {
    pub(crate) row: SoftRow<'a, V>,
    pub(crate) weight: V,
    /// The target for every weight that is not zero, if it differs from the weight.
    pub(crate) own: Option<V>,
}

impl<V: Lanes> Gradient<V> {
    /// For rows with labels.
    #[inline(always)]
    pub(crate) fn put(self, mut row: RowBuffers<'_, V::Scalar>, source: Source) {
        let absent = V::of(self.token, f64::NEG_INFINITY);
        if source == Source::StoredExps {
            let (halves, rest) = row.gradient_mut().as_chunks_mut::<HALF_STRIP>();
            for half in halves {
                for at in (0..HALF_STRIP).step_by(V::LANES) {
                    let place = from_mut(half, at);
                    (V::load(self.token, place, absent) * self.probability).store(place);
                }
            }
            for place in rest.chunks_mut(V::LANES) {
                (V::load(self.token, place, absent) * self.probability).store(place);
            }
            return;
        }
        if source == Source::LogitsPastCaches {
            // Only aligned stores go past the caches.
            let head = aligned(row.gradient()).min(row.len());
            self.registers(row.take_front(head));
        }
        let whole = row.len() / HALF_STRIP * HALF_STRIP;
        let adds = row.mode() == GradMode::Add;
        match row.take_front(whole).halves() {
            Halves::Logits(_) => {}
            Halves::InPlace(x) => {
                for x in x.as_chunks_mut::<HALF_STRIP>().0 {
                    self.half(InPlace(x), Put::Store);
                }
            }
            Halves::OutOfPlace(x, places) => {
                let (x, (places, _)) = (x.as_chunks::<HALF_STRIP>().0, places.as_chunks_mut());
                for (x, places) in x.iter().zip(places) {
                    let run = OutOfPlace(x, places);
                    if source == Source::LogitsPastCaches {
                        self.half(run, Put::Stream);
                    } else if adds {
                        self.half(run, Put::Add);
                    } else {
                        self.half(run, Put::Store);
                    }
                }
            }
        }
        self.registers(row);
    }

    /// For half a strip, from the logits.
    #[inline(always)]
    fn half(self, mut run: impl Run<V::Scalar>, put: Put) {
        let absent = V::of(self.token, f64::NEG_INFINITY);
        for at in (0..HALF_STRIP).step_by(V::LANES) {
            let x = run.load(self.token, at, absent);
            let g = exp_scaled(self.token, x - self.max) * self.probability;
            self.put_register(g, from_mut(run.places_mut(), at), put);
        }
    }

    #[inline(always)]
    fn put_register(self, g: V, place: &mut [V::Scalar], put: Put) {
        match put {
            Put::Store => g.store(place),
            Put::Stream => g.stream(place),
            Put::Add => (V::load(self.token, place, V::of(self.token, 0.0)) + g).store(place),
        }
    }

    /// For any number of logits, from the logits.
    #[inline(always)]
    fn registers(self, mut row: RowBuffers<'_, V::Scalar>) {
        let absent = V::of(self.token, f64::NEG_INFINITY);
        for at in (0..row.len()).step_by(V::LANES) {
            let x = row.load(self.token, at, absent);
            row.put(self.token, at, exp_scaled(self.token, x - self.max) * self.probability);
        }
    }

    /// For rows with a weight for every class.
    #[inline(always)]
    pub(crate) fn put_soft(
        self,
        mut row: RowBuffers<'_, V::Scalar>,
        mut soft: SoftGradient<'_, V>,
        source: Source,
    ) {
        let stored = source == Source::StoredExps;
        let streams = source == Source::LogitsPastCaches;
        if streams {
            let head = aligned(row.gradient()).min(row.len());
            self.soft_registers(row.take_front(head), soft, false);
            soft.row = soft.row.part(head);
        }
        let whole = row.len() / HALF_STRIP * HALF_STRIP;
        let mut halves = row.take_front(whole);
        let (weights, _) = soft.row.weights.as_chunks::<HALF_STRIP>();
        soft.row = soft.row.part(whole);
        if stored {
            let (places, _) = halves.gradient_mut().as_chunks_mut::<HALF_STRIP>();
            for (half, weights) in places.iter_mut().zip(weights) {
                for at in (0..HALF_STRIP).step_by(V::LANES) {
                    let place = from_mut(half, at);
                    let e = V::load(self.token, place, V::of(self.token, 0.0));
                    self.of(e, soft, weights, at).store(place);
                }
            }
        } else {
            self.soft_halves(halves, weights, soft, streams);
        }
        self.soft_registers(row, soft, stored);
    }

    /// For whole halves of strips, from the logits.
    #[inline(always)]
    fn soft_halves(
        self,
        halves: RowBuffers<'_, V::Scalar>,
        weights: &[[V::Scalar; HALF_STRIP]],
        soft: SoftGradient<'_, V>,
        streams: bool,
    ) {
        let adds = halves.mode() == GradMode::Add;
        match halves.halves() {
            Halves::Logits(_) => {}
            Halves::InPlace(x) => {
                for (x, weights) in x.as_chunks_mut::<HALF_STRIP>().0.iter_mut().zip(weights) {
                    self.soft_half(InPlace(x), soft, weights, Put::Store);
                }
            }
            Halves::OutOfPlace(x, places) => {
                let (x, (places, _)) = (x.as_chunks::<HALF_STRIP>().0, places.as_chunks_mut());
                for ((x, places), weights) in x.iter().zip(places).zip(weights) {
                    let run = OutOfPlace(x, places);
                    if streams {
                        self.soft_half(run, soft, weights, Put::Stream);
                    } else if adds {
                        self.soft_half(run, soft, weights, Put::Add);
                    } else {
                        self.soft_half(run, soft, weights, Put::Store);
                    }
                }
            }
        }
    }

    /// For half a strip, from the logits.
    #[inline(always)]
    fn soft_half(
        self,
        mut run: impl Run<V::Scalar>,
        soft: SoftGradient<'_, V>,
        weights: &[V::Scalar],
        put: Put,
    ) {
        let absent = V::of(self.token, f64::NEG_INFINITY);
        for at in (0..HALF_STRIP).step_by(V::LANES) {
            let x = run.load(self.token, at, absent);
            let e = exp_scaled(self.token, (x - self.max) * soft.row.unit);
            let g = self.of(e, soft, weights, at);
            self.put_register(g, from_mut(run.places_mut(), at), put);
        }
    }

    #[inline(always)]
    fn soft_registers(
        self,
        mut row: RowBuffers<'_, V::Scalar>,
        soft: SoftGradient<'_, V>,
        stored: bool,
    ) {
        let absent = V::of(self.token, f64::NEG_INFINITY);
        for at in (0..row.len()).step_by(V::LANES) {
            let e = if stored {
                V::load(self.token, from(row.gradient(), at), absent)
            } else {
                let x = row.load(self.token, at, absent);
                exp_scaled(self.token, (x - self.max) * soft.row.unit)
            };
            row.put(self.token, at, self.of(e, soft, soft.row.weights, at));
        }
    }

    /// A register of the gradient, from its exponentials.
    #[inline(always)]
    fn of(self, e: V, soft: SoftGradient<'_, V>, weights: &[V::Scalar], at: usize) -> V {
        let zero = V::of(self.token, 0.0);
        let mut q = V::load(self.token, from(weights, at), zero);
        if let Some(own) = soft.own {
            q = V::select(q.equal(zero), zero, own);
        }
        e * self.probability - q * soft.weight
    }
}

/// Waits for stores past the caches, so that another thread may read them.
pub(crate) struct Fence<F>(core::marker::PhantomData<F>);

impl<F> Fence<F> {
    pub(crate) fn new() -> Self {
        Self(core::marker::PhantomData)
    }
}

impl<F: Compute> Kernel for Fence<F> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        F::Of::<S>::fence(simd);
    }

    entries!();
}

/// Zeroes the gradient if it is written; if it is added, nothing changes.
pub(crate) fn clear<F: Compute>(mut row: RowBuffers<'_, F>) {
    if row.mode() == GradMode::Write {
        row.gradient_mut().fill(F::default());
    }
}
