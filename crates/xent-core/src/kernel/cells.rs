//! Where a kernel reads its logits and leaves its gradient.

use crate::element::Float;
use crate::simd::{Vector, from, from_mut};

/// Only the loss is wanted.
pub(crate) const LOSS: u8 = 0;
/// The gradient is written, beside the logits or in their place.
pub(crate) const WRITE: u8 = 1;
/// The gradient is added to what is there.
pub(crate) const ADD: u8 = 2;
/// The gradient is written past the caches.
pub(crate) const STREAM: u8 = 3;

/// A run of logits and the place of their gradient; `MODE` says what becomes of it.
pub(crate) struct Cells<'a, F, const MODE: u8> {
    /// `None` where the gradient takes the place of the logits.
    x: Option<&'a [F]>,
    /// As long as the logits, or empty with [`LOSS`].
    gradient: &'a mut [F],
}

impl<'a, F> Cells<'a, F, LOSS> {
    #[inline(always)]
    pub(crate) fn loss(x: &'a [F]) -> Self {
        Self { x: Some(x), gradient: &mut [] }
    }
}

impl<'a, F: Float, const MODE: u8> Cells<'a, F, MODE> {
    #[inline(always)]
    pub(crate) fn beside(x: &'a [F], gradient: &'a mut [F]) -> Self {
        Self { x: Some(x), gradient }
    }

    #[inline(always)]
    pub(crate) fn in_place(x: &'a mut [F]) -> Self {
        Self { x: None, gradient: x }
    }

    /// Whether the gradient does not take the place of the logits.
    #[inline(always)]
    pub(crate) fn is_beside(&self) -> bool {
        self.x.is_some()
    }

    /// The same cells, whose gradient is written past the caches.
    #[inline(always)]
    pub(crate) fn streaming(self) -> Cells<'a, F, STREAM> {
        Cells { x: self.x, gradient: self.gradient }
    }

    #[inline(always)]
    pub(crate) fn logits(&self) -> &[F] {
        match self.x {
            Some(x) => x,
            None => self.gradient,
        }
    }

    #[inline(always)]
    pub(crate) fn len(&self) -> usize {
        self.logits().len()
    }

    /// Takes off a row (or what there is of it), of which the next is so far away: `[logits, gradient]`.
    #[inline(always)]
    pub(crate) fn take_row(&mut self, classes: usize, [x, gradient]: [usize; 2]) -> Self {
        let mut row = Self { x: self.x, gradient: core::mem::take(&mut self.gradient) };
        self.x = self.x.map(|all| from(all, x));
        let (front, rest) = row.gradient.split_at_mut(gradient.min(row.gradient.len()));
        (row.gradient, self.gradient) = (front, rest);
        row.take_front(classes)
    }

    /// The `length` cells from `x_at` on, whose gradient starts at `gradient_at`.
    #[inline(always)]
    pub(crate) fn part(
        &mut self,
        x_at: usize,
        gradient_at: usize,
        length: usize,
    ) -> Cells<'_, F, MODE> {
        Cells {
            x: self.x.map(|x| x.get(x_at..x_at + length).unwrap_or(&[])),
            gradient: self.gradient.get_mut(gradient_at..gradient_at + length).unwrap_or(&mut []),
        }
    }

    /// The cells from `x_at` on, whose gradient starts at `gradient_at`.
    #[inline(always)]
    pub(crate) fn from(&mut self, x_at: usize, gradient_at: usize) -> Cells<'_, F, MODE> {
        Cells { x: self.x.map(|x| from(x, x_at)), gradient: from_mut(self.gradient, gradient_at) }
    }

    #[inline(always)]
    pub(crate) fn reborrow(&mut self) -> Cells<'_, F, MODE> {
        Cells { x: self.x, gradient: self.gradient }
    }

    /// Takes off the first `count` cells (or all, if there are fewer).
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
        Self { x, gradient }
    }

    /// Takes off the first `COUNT` cells, if there are so many: slices whose length the compiler knows.
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
            None if MODE == LOSS => return None,
            None => None,
        };
        if MODE == LOSS {
            return Some(Self { x, gradient: &mut [] });
        }
        // As long as the logits.
        let (gradient, rest) = core::mem::take(&mut self.gradient).split_at_mut_checked(COUNT)?;
        self.gradient = rest;
        Some(Self { x, gradient })
    }

    /// The logits from `at` on.
    #[inline(always)]
    pub(crate) fn load<V: Vector<Scalar = F>>(&self, token: V::Token, at: usize, fill: V) -> V {
        V::load(token, from(self.logits(), at), fill)
    }

    /// Leaves something in the gradient's place for a later pass; only with [`WRITE`].
    #[inline(always)]
    pub(crate) fn keep<V: Vector<Scalar = F>>(&mut self, at: usize, value: V) {
        if MODE == WRITE {
            value.store(from_mut(self.gradient, at));
        }
    }

    /// What has been left there.
    #[inline(always)]
    pub(crate) fn kept<V: Vector<Scalar = F>>(&self, token: V::Token, at: usize, fill: V) -> V {
        V::load(token, from(self.gradient, at), fill)
    }

    /// The gradient from `at` on.
    #[inline(always)]
    pub(crate) fn put<V: Vector<Scalar = F>>(&mut self, token: V::Token, at: usize, value: V) {
        match MODE {
            WRITE => value.store(from_mut(self.gradient, at)),
            STREAM => value.stream(from_mut(self.gradient, at)),
            ADD => {
                let there = from_mut(self.gradient, at);
                (V::load(token, there, V::of(token, 0.0)) + value).store(there);
            }
            _ => {}
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

    /// [`keep`](Self::keep) in the cells of a range alone.
    #[inline(always)]
    pub(crate) fn keep_in<V: Vector<Scalar = F>>(
        &mut self,
        (start, end): (usize, usize),
        value: V,
    ) {
        if MODE == WRITE {
            value.store(self.gradient.get_mut(start..end).unwrap_or(&mut []));
        }
    }

    /// [`put`](Self::put) in the cells of a range alone.
    #[inline(always)]
    pub(crate) fn put_in<V: Vector<Scalar = F>>(
        &mut self,
        token: V::Token,
        (start, end): (usize, usize),
        value: V,
    ) {
        let gradient = self.gradient.get_mut(start..end).unwrap_or(&mut []);
        Cells::<F, MODE> { x: None, gradient }.put(token, 0, value);
    }

    /// What is in the gradient's place of one cell.
    #[inline(always)]
    pub(crate) fn gradient_of(&self, at: usize) -> F {
        self.gradient.get(at).copied().unwrap_or_default()
    }

    /// Replaces the gradient of one cell.
    #[inline(always)]
    pub(crate) fn set_one(&mut self, at: usize, value: F) {
        if let Some(place) = self.gradient.get_mut(at) {
            *place = value;
        }
    }

    /// Puts the gradient of one cell.
    #[inline(always)]
    pub(crate) fn put_one(&mut self, at: usize, value: F) {
        self.set_one(at, if MODE == ADD { self.gradient_of(at) + value } else { value });
    }
}
