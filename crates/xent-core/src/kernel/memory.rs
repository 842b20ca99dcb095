//! Where a kernel reads its logits and writes its gradient.

use crate::simd::PANEL;

/// A run of logits and the place of their gradient.
pub(crate) trait Memory: Sized {
    type Reborrowed<'b>: Memory
    where
        Self: 'b;

    fn logits(&self) -> &[f32];

    /// As long as the logits, or empty if no gradient is wanted.
    fn gradient(&mut self) -> &mut [f32];

    fn reborrow(&mut self) -> Self::Reborrowed<'_>;

    /// Takes off the first `count` elements (or all, if there are fewer).
    fn take_front(&mut self, count: usize) -> Self;

    /// Takes off the first panel, if there is a whole one.
    #[inline(always)]
    fn take_panel(&mut self) -> Option<Self> {
        (self.logits().len() >= PANEL).then(|| self.take_front(PANEL))
    }
}

/// The loss alone is wanted.
pub(crate) struct LossOnly<'a>(pub(crate) &'a [f32]);

/// The gradient goes to a slice of its own, of the same length.
pub(crate) struct OutOfPlace<'a>(pub(crate) &'a [f32], pub(crate) &'a mut [f32]);

/// The gradient takes the place of the logits.
pub(crate) struct InPlace<'a>(pub(crate) &'a mut [f32]);

#[inline(always)]
fn take_front<'a>(slice: &mut &'a [f32], count: usize) -> &'a [f32] {
    let (front, rest) = slice.split_at_checked(count).unwrap_or((slice, &[]));
    *slice = rest;
    front
}

#[inline(always)]
fn take_front_mut<'a>(slice: &mut &'a mut [f32], count: usize) -> &'a mut [f32] {
    let whole = core::mem::take(slice);
    let (front, rest) = whole.split_at_mut(count.min(whole.len()));
    *slice = rest;
    front
}

impl<'a> Memory for LossOnly<'a> {
    type Reborrowed<'b>
        = LossOnly<'b>
    where
        Self: 'b;

    #[inline(always)]
    fn logits(&self) -> &[f32] {
        self.0
    }

    #[inline(always)]
    fn gradient(&mut self) -> &mut [f32] {
        &mut []
    }

    #[inline(always)]
    fn reborrow(&mut self) -> LossOnly<'_> {
        LossOnly(self.0)
    }

    #[inline(always)]
    fn take_front(&mut self, count: usize) -> Self {
        LossOnly(take_front(&mut self.0, count))
    }
}

impl<'a> Memory for OutOfPlace<'a> {
    type Reborrowed<'b>
        = OutOfPlace<'b>
    where
        Self: 'b;

    #[inline(always)]
    fn logits(&self) -> &[f32] {
        self.0
    }

    #[inline(always)]
    fn gradient(&mut self) -> &mut [f32] {
        self.1
    }

    #[inline(always)]
    fn reborrow(&mut self) -> OutOfPlace<'_> {
        OutOfPlace(self.0, self.1)
    }

    #[inline(always)]
    fn take_front(&mut self, count: usize) -> Self {
        OutOfPlace(take_front(&mut self.0, count), take_front_mut(&mut self.1, count))
    }
}

impl<'a> Memory for InPlace<'a> {
    type Reborrowed<'b>
        = InPlace<'b>
    where
        Self: 'b;

    #[inline(always)]
    fn logits(&self) -> &[f32] {
        self.0
    }

    #[inline(always)]
    fn gradient(&mut self) -> &mut [f32] {
        self.0
    }

    #[inline(always)]
    fn reborrow(&mut self) -> InPlace<'_> {
        InPlace(self.0)
    }

    #[inline(always)]
    fn take_front(&mut self, count: usize) -> Self {
        InPlace(take_front_mut(&mut self.0, count))
    }
}
