//! Logits side by side, and the places of values computed from them: slices whose length the compiler knows, so
//! that nothing is checked for each register.

use super::row_buffers::{GradMode, RowBuffers};
use crate::simd::Compute;
use crate::simd::{HALF_STRIP, Vector, from, from_mut};

/// Logits, and what happens to values computed from them.
pub(crate) trait Run<F: Compute> {
    fn logits(&self) -> &[F];

    #[inline(always)]
    fn len(&self) -> usize {
        self.logits().len()
    }

    /// The places, if they are not those of the logits.
    #[inline(always)]
    fn gradient(&self) -> &[F] {
        &[]
    }

    /// The places, if there are some.
    fn places_mut(&mut self) -> &mut [F];

    #[inline(always)]
    fn store<V: Vector<Scalar = F>>(&mut self, at: usize, value: V) {
        value.store(from_mut(self.places_mut(), at));
    }

    #[inline(always)]
    fn load<V: Vector<Scalar = F>>(&self, token: V::Token, at: usize, fill: V) -> V {
        V::load(token, from(self.logits(), at), fill)
    }
}

/// Half a strip of logits whose values are not kept.
pub(crate) struct Logits<'a, F>(pub(crate) &'a [F; HALF_STRIP]);

/// Half a strip of logits that are overwritten.
pub(crate) struct InPlace<'a, F>(pub(crate) &'a mut [F; HALF_STRIP]);

/// Half a strip of logits with places next to them.
pub(crate) struct OutOfPlace<'a, F>(
    pub(crate) &'a [F; HALF_STRIP],
    pub(crate) &'a mut [F; HALF_STRIP],
);

/// Less than half a strip: the rest of a row.
pub(crate) struct Rest<'a, F> {
    /// `None` if the logits are overwritten.
    x: Option<&'a [F]>,
    places: &'a mut [F],
}

impl<F: Compute> Run<F> for Logits<'_, F> {
    #[inline(always)]
    fn logits(&self) -> &[F] {
        self.0
    }

    #[inline(always)]
    fn places_mut(&mut self) -> &mut [F] {
        &mut []
    }

    #[inline(always)]
    fn store<V: Vector<Scalar = F>>(&mut self, _: usize, _: V) {}
}

impl<F: Compute> Run<F> for InPlace<'_, F> {
    #[inline(always)]
    fn logits(&self) -> &[F] {
        self.0
    }

    #[inline(always)]
    fn places_mut(&mut self) -> &mut [F] {
        self.0
    }
}

impl<F: Compute> Run<F> for OutOfPlace<'_, F> {
    #[inline(always)]
    fn logits(&self) -> &[F] {
        self.0
    }

    #[inline(always)]
    fn gradient(&self) -> &[F] {
        self.1
    }

    #[inline(always)]
    fn places_mut(&mut self) -> &mut [F] {
        self.1
    }
}

impl<F: Compute> Run<F> for Rest<'_, F> {
    #[inline(always)]
    fn logits(&self) -> &[F] {
        match self.x {
            Some(x) => x,
            None => self.places,
        }
    }

    #[inline(always)]
    fn gradient(&self) -> &[F] {
        if self.x.is_some() { self.places } else { &[] }
    }

    #[inline(always)]
    fn places_mut(&mut self) -> &mut [F] {
        self.places
    }
}

/// A row's logits, and the places to write to.
pub(crate) enum Halves<'a, F> {
    Logits(&'a [F]),
    InPlace(&'a mut [F]),
    /// Of the same length.
    OutOfPlace(&'a [F], &'a mut [F]),
}

impl<'a, F: Compute> RowBuffers<'a, F> {
    /// The slices of a row whose gradient is written, or added, or not wanted.
    #[inline(always)]
    pub(crate) fn halves(self) -> Halves<'a, F> {
        let mode = self.mode();
        match self.into_parts() {
            (Some(x), _) if mode == GradMode::None => Halves::Logits(x),
            (Some(x), gradient) => Halves::OutOfPlace(x, gradient),
            (None, both) => Halves::InPlace(both),
        }
    }

    /// The part that is less than half a strip. If no gradient is written, nothing is kept.
    #[inline(always)]
    pub(crate) fn rest(self) -> Rest<'a, F> {
        let (x, places) = self.into_parts();
        Rest { x, places }
    }
}

/// Runs `$body` for each half of a strip of `$row`, which must be whole halves, with the half as a [`Run`]. The
/// mode is tested once. With `$unused`, half a strip of space for values that are not kept, there is less code, but
/// one more store if nothing is kept.
macro_rules! each_half {
    ($row:expr, |$run:ident| $body:expr) => {{
        use crate::kernel::runs::{Halves, InPlace, Logits, OutOfPlace};
        use crate::simd::HALF_STRIP;
        match $row.halves() {
            Halves::Logits(x) => {
                for x in x.as_chunks::<HALF_STRIP>().0 {
                    let mut $run = Logits(x);
                    $body
                }
            }
            Halves::InPlace(x) => {
                for x in x.as_chunks_mut::<HALF_STRIP>().0 {
                    let mut $run = InPlace(x);
                    $body
                }
            }
            Halves::OutOfPlace(x, places) => {
                let (places, _) = places.as_chunks_mut::<HALF_STRIP>();
                for (x, places) in x.as_chunks::<HALF_STRIP>().0.iter().zip(places) {
                    let mut $run = OutOfPlace(x, places);
                    $body
                }
            }
        }
    }};
    ($row:expr, $unused:expr, |$run:ident| $body:expr) => {{
        use crate::kernel::runs::{Halves, InPlace, OutOfPlace};
        use crate::simd::HALF_STRIP;
        let (x, places) = match $row.halves() {
            Halves::Logits(x) => (x, &mut [][..]),
            Halves::OutOfPlace(x, places) => (x, places),
            Halves::InPlace(x) => {
                for x in x.as_chunks_mut::<HALF_STRIP>().0 {
                    let mut $run = InPlace(x);
                    $body
                }
                (&[][..], &mut [][..])
            }
        };
        let (places, _) = places.as_chunks_mut::<HALF_STRIP>();
        for (index, x) in x.as_chunks::<HALF_STRIP>().0.iter().enumerate() {
            let mut $run = match places.get_mut(index) {
                Some(places) => OutOfPlace(x, places),
                None => OutOfPlace(x, &mut *$unused),
            };
            $body
        }
    }};
}
pub(crate) use each_half;
