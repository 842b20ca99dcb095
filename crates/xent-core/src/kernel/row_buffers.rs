//! The logits and gradient of a kernel.

use crate::simd::Compute;
use crate::simd::{Vector, from, from_mut};

/// What happens to the gradient. It is a run-time value, tested once for many elements: a kernel for each mode
/// would have to be compiled for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GradMode {
    /// Only the loss.
    None,
    /// The gradient is written, to its own place or over the logits.
    Write,
    /// The gradient is added to the values there.
    Add,
}

/// A run of logits and the place of their gradient.
pub(crate) struct RowBuffers<'a, F> {
    /// `None` if the gradient overwrites the logits.
    x: Option<&'a [F]>,
    /// Empty with [`GradMode::None`]; otherwise as long as the logits, for a row.
    gradient: &'a mut [F],
    mode: GradMode,
}

impl<'a, F: Compute> RowBuffers<'a, F> {
    /// Logits alone.
    #[inline(always)]
    pub(crate) fn loss(x: &'a [F]) -> Self {
        Self { x: Some(x), gradient: &mut [], mode: GradMode::None }
    }

    /// Logits, and a gradient of the same length that is written.
    #[inline(always)]
    pub(crate) fn write(x: &'a [F], gradient: &'a mut [F]) -> Self {
        Self { x: Some(x), gradient, mode: GradMode::Write }
    }

    /// Logits, and a gradient of the same length that is added to.
    #[inline(always)]
    pub(crate) fn add(x: &'a [F], gradient: &'a mut [F]) -> Self {
        Self { x: Some(x), gradient, mode: GradMode::Add }
    }

    /// Logits that are overwritten by their gradient.
    #[inline(always)]
    pub(crate) fn in_place(x: &'a mut [F]) -> Self {
        Self { x: None, gradient: x, mode: GradMode::Write }
    }

    #[inline(always)]
    pub(crate) fn mode(&self) -> GradMode {
        self.mode
    }

    /// Whether the gradient overwrites the logits.
    #[inline(always)]
    pub(crate) fn is_in_place(&self) -> bool {
        self.x.is_none()
    }

    #[inline(always)]
    pub(crate) fn logits(&self) -> &[F] {
        match self.x {
            Some(x) => x,
            None => self.gradient,
        }
    }

    #[inline(always)]
    pub(crate) fn gradient(&self) -> &[F] {
        self.gradient
    }

    #[inline(always)]
    pub(crate) fn gradient_mut(&mut self) -> &mut [F] {
        self.gradient
    }

    #[inline(always)]
    pub(crate) fn len(&self) -> usize {
        self.logits().len()
    }

    /// The same buffers, borrowed for a shorter time.
    #[inline(always)]
    pub(crate) fn reborrow(&mut self) -> RowBuffers<'_, F> {
        RowBuffers { x: self.x, gradient: self.gradient, mode: self.mode }
    }

    /// The `length` logits from `x_at` on, whose gradient starts at `gradient_at`; none if there are not that many.
    #[inline(always)]
    pub(crate) fn part(
        &mut self,
        [x_at, gradient_at]: [usize; 2],
        length: usize,
    ) -> RowBuffers<'_, F> {
        RowBuffers {
            x: self.x.map(|x| x.get(x_at..x_at + length).unwrap_or(&[])),
            gradient: self.gradient.get_mut(gradient_at..gradient_at + length).unwrap_or(&mut []),
            mode: self.mode,
        }
    }

    /// `lengths` logits from one index on, and as many places of their gradient from another (or as many as there
    /// are): `[logits, gradient]`.
    #[inline(always)]
    pub(crate) fn window(
        &mut self,
        [x_at, gradient_at]: [usize; 2],
        [x_length, gradient_length]: [usize; 2],
    ) -> RowBuffers<'_, F> {
        RowBuffers {
            x: self.x.map(|x| x.get(x_at..x_at + x_length).unwrap_or(&[])),
            gradient: self
                .gradient
                .get_mut(gradient_at..gradient_at + gradient_length)
                .unwrap_or(&mut []),
            mode: self.mode,
        }
    }

    /// Splits off the first `count` logits (or all, if there are fewer).
    #[inline(always)]
    pub(crate) fn take_front(&mut self, count: usize) -> Self {
        let x = self.x.as_mut().map(|x| {
            let (front, rest) = x.split_at_checked(count).unwrap_or((x, &[]));
            *x = rest;
            front
        });
        let whole = core::mem::take(&mut self.gradient);
        let (gradient, rest) = whole.split_at_mut(count.min(whole.len()));
        self.gradient = rest;
        Self { x, gradient, mode: self.mode }
    }

    /// Splits off the first `COUNT` logits, if there are that many: slices whose length the compiler knows.
    #[inline(always)]
    pub(crate) fn take_whole<const COUNT: usize>(&mut self) -> Option<Self> {
        if self.len() < COUNT {
            return None;
        }
        let x = match &mut self.x {
            Some(x) => {
                let (front, rest) = x.split_at_checked(COUNT)?;
                *x = rest;
                Some(front)
            }
            None => None,
        };
        if self.mode == GradMode::None {
            return Some(Self { x, gradient: &mut [], mode: self.mode });
        }
        // As long as the logits.
        let (gradient, rest) = core::mem::take(&mut self.gradient).split_at_mut_checked(COUNT)?;
        self.gradient = rest;
        Some(Self { x, gradient, mode: self.mode })
    }

    /// The logits, if they have another place than the gradient, and the gradient's place.
    #[inline(always)]
    pub(crate) fn into_parts(self) -> (Option<&'a [F]>, &'a mut [F]) {
        (self.x, self.gradient)
    }

    /// Only the logits.
    #[inline(always)]
    pub(crate) fn only_logits(self) -> Self {
        Self::loss(match self.x {
            Some(x) => x,
            None => self.gradient,
        })
    }

    /// The logits from `at` on.
    #[inline(always)]
    pub(crate) fn load<V: Vector<Scalar = F>>(&self, token: V::Token, at: usize, fill: V) -> V {
        V::load(token, from(self.logits(), at), fill)
    }

    /// Writes the gradient from `at` on.
    #[inline(always)]
    pub(crate) fn put<V: Vector<Scalar = F>>(&mut self, token: V::Token, at: usize, value: V) {
        match self.mode {
            GradMode::None => {}
            GradMode::Write => value.store(from_mut(self.gradient, at)),
            GradMode::Add => {
                let there = from_mut(self.gradient, at);
                (V::load(token, there, V::of(token, 0.0)) + value).store(there);
            }
        }
    }

    /// Writes the derivative by one logit.
    #[inline(always)]
    pub(crate) fn put_one(&mut self, at: usize, value: F) {
        if let Some(place) = self.gradient.get_mut(at) {
            *place = if self.mode == GradMode::Add { *place + value } else { value };
        }
    }
}
