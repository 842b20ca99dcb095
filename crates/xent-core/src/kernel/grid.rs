//! Rows in lanes, in place: a class of them is contiguous.

use super::planes::{Plane, SecondPlane};
use super::row_buffers::{GradMode, RowBuffers};
use crate::simd::Vector;

/// The place of a class of a register of rows: at `start + class * step`, as many numbers as rows.
#[derive(Clone, Copy)]
pub(crate) struct Line {
    pub(crate) start: usize,
    pub(crate) step: usize,
    pub(crate) rows: usize,
}

impl Line {
    #[inline(always)]
    pub(crate) fn of<F>(self, slice: &[F], class: usize) -> &[F] {
        let start = self.start + class * self.step;
        slice.get(start..start + self.rows).unwrap_or(&[])
    }

    #[inline(always)]
    pub(crate) fn of_mut<F>(self, slice: &mut [F], class: usize) -> &mut [F] {
        let start = self.start + class * self.step;
        slice.get_mut(start..start + self.rows).unwrap_or(&mut [])
    }
}

/// A register of columns.
pub(crate) struct GridPlane<'a, F> {
    pub(crate) logits: Line,
    pub(crate) gradient: Line,
    pub(crate) classes: usize,
    pub(crate) buffers: RowBuffers<'a, F>,
}

impl<V: Vector> Plane<V> for GridPlane<'_, V::Scalar> {
    const CLASSES: usize = 0;

    #[inline(always)]
    fn classes(&self) -> usize {
        self.classes
    }

    #[inline(always)]
    fn logits(&self, token: V::Token, class: usize) -> V {
        V::load(token, self.logits.of(self.buffers.logits(), class), V::of(token, 0.0))
    }

    #[inline(always)]
    fn store_exp(&mut self, class: usize, value: V) {
        if self.buffers.mode() == GradMode::Write {
            value.store(self.gradient.of_mut(self.buffers.gradient_mut(), class));
        }
    }

    #[inline(always)]
    fn stores_exps(&self) -> bool {
        self.buffers.mode() == GradMode::Write
    }

    #[inline(always)]
    fn stored_exp(&self, token: V::Token, class: usize) -> V {
        V::load(token, self.gradient.of(self.buffers.gradient(), class), V::of(token, 0.0))
    }

    #[inline(always)]
    fn put(&mut self, token: V::Token, class: usize, value: V) {
        let adds = self.buffers.mode() == GradMode::Add;
        let place = self.gradient.of_mut(self.buffers.gradient_mut(), class);
        if adds {
            (V::load(token, place, V::of(token, 0.0)) + value).store(place);
        } else {
            value.store(place);
        }
    }

    #[inline(always)]
    fn adds(&self) -> bool {
        self.buffers.mode() == GradMode::Add
    }
}

/// The places of second derivatives of a register of columns.
pub(crate) struct GridSecond<'a, F> {
    pub(crate) line: Line,
    pub(crate) hessian: &'a mut [F],
}

impl<V: Vector> SecondPlane<V> for GridSecond<'_, V::Scalar> {
    #[inline(always)]
    fn put(&mut self, class: usize, value: V) {
        value.store(self.line.of_mut(self.hessian, class));
    }
}
