//! The slices that a loss works on.

use super::format::Element;
use crate::error::Error;
use crate::shape::Shape;

/// The logits, row after row, and what to do with their gradient.
///
/// The gradient has the format of the logits or, in variants with `Wide`, the format of the computation: `f32` for
/// 16-bit logits.
#[derive(Debug)]
pub enum Buffers<'a, E: Element = f32> {
    /// Only the loss.
    Loss(&'a [E]),
    /// The gradient is written to a slice as long as the logits.
    Gradient(&'a [E], &'a mut [E]),
    /// The gradient is added to a slice as long as the logits; the sum is rounded once.
    Accumulate(&'a [E], &'a mut [E]),
    /// The gradient overwrites the logits.
    InPlace(&'a mut [E]),
    /// [`Gradient`](Self::Gradient), not rounded to the format of the logits.
    WideGradient(&'a [E], &'a mut [E::Float]),
    /// [`Accumulate`](Self::Accumulate), not rounded to the format of the logits.
    WideAccumulate(&'a [E], &'a mut [E::Float]),
}

impl<E: Element> Buffers<'_, E> {
    /// The number of logits.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::InPlace(x) => x.len(),
            others => others.logits().len(),
        }
    }

    /// Whether there are no logits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn logits(&self) -> &[E] {
        match self {
            Self::Loss(x)
            | Self::Gradient(x, _)
            | Self::Accumulate(x, _)
            | Self::WideGradient(x, _)
            | Self::WideAccumulate(x, _) => x,
            Self::InPlace(x) => x,
        }
    }

    /// The shape of the logits and of the gradient; in place, both have the same stride.
    pub(crate) fn strides_of(&self, shape: Shape) -> Shape {
        match self {
            Self::InPlace(_) => Shape { gradient_stride: shape.logits_stride, ..shape },
            _ => shape,
        }
    }

    /// The number of gradients; none if they have no slice of their own.
    pub(crate) fn gradients(&self) -> Option<usize> {
        match self {
            Self::Gradient(_, g) | Self::Accumulate(_, g) => Some(g.len()),
            Self::WideGradient(_, g) | Self::WideAccumulate(_, g) => Some(g.len()),
            Self::Loss(_) | Self::InPlace(_) => None,
        }
    }

    /// Checks that the lengths fit a shape, and removes any gap after the last row.
    pub(crate) fn fit(self, shape: &Shape) -> Result<Self, Error> {
        let logits = shape.check(self.len())?;
        let stride = shape.gradient_stride;
        let gradient = match self.gradients() {
            Some(found) => shape.check_span("gradient", stride, found)?,
            None => 0,
        };
        Ok(self.split_at(logits, gradient).0)
    }

    /// Zeroes `count` gradients from `at` on, each `step` after the one before, if the gradient is written.
    pub(crate) fn clear(&mut self, at: usize, count: usize, step: usize) {
        match self {
            Self::Gradient(_, g) | Self::InPlace(g) => clear(g, at, count, step),
            Self::WideGradient(_, g) => clear(g, at, count, step),
            Self::Loss(_) | Self::Accumulate(..) | Self::WideAccumulate(..) => {}
        }
    }

    /// Writes the derivative by one logit, or adds it.
    pub(crate) fn put(&mut self, at: usize, value: E::Float) {
        match self {
            Self::Loss(_) => {}
            Self::Gradient(_, g) | Self::InPlace(g) => {
                if let Some(place) = g.get_mut(at) {
                    *place = E::from_float(value);
                }
            }
            Self::Accumulate(_, g) => {
                if let Some(place) = g.get_mut(at) {
                    *place = E::from_float(place.to_float() + value);
                }
            }
            Self::WideGradient(_, g) => {
                if let Some(place) = g.get_mut(at) {
                    *place = value;
                }
            }
            Self::WideAccumulate(_, g) => {
                if let Some(place) = g.get_mut(at) {
                    *place = *place + value;
                }
            }
        }
    }

    /// Splits off the first `count` logits and gradients.
    pub(crate) fn split_at(self, logits: usize, gradient: usize) -> (Self, Self) {
        match self {
            Self::Loss(x) => {
                let (a, b) = x.split_at(logits);
                (Self::Loss(a), Self::Loss(b))
            }
            Self::Gradient(x, g) => {
                let ((a, b), (ga, gb)) = (x.split_at(logits), g.split_at_mut(gradient));
                (Self::Gradient(a, ga), Self::Gradient(b, gb))
            }
            Self::Accumulate(x, g) => {
                let ((a, b), (ga, gb)) = (x.split_at(logits), g.split_at_mut(gradient));
                (Self::Accumulate(a, ga), Self::Accumulate(b, gb))
            }
            Self::InPlace(x) => {
                let (a, b) = x.split_at_mut(logits);
                (Self::InPlace(a), Self::InPlace(b))
            }
            Self::WideGradient(x, g) => {
                let ((a, b), (ga, gb)) = (x.split_at(logits), g.split_at_mut(gradient));
                (Self::WideGradient(a, ga), Self::WideGradient(b, gb))
            }
            Self::WideAccumulate(x, g) => {
                let ((a, b), (ga, gb)) = (x.split_at(logits), g.split_at_mut(gradient));
                (Self::WideAccumulate(a, ga), Self::WideAccumulate(b, gb))
            }
        }
    }
}

fn clear<T: Copy + Default>(slice: &mut [T], at: usize, count: usize, step: usize) {
    let places = slice.get_mut(at..).unwrap_or(&mut []);
    if step == 1 {
        places.iter_mut().take(count).for_each(|place| *place = T::default());
    } else {
        places.iter_mut().step_by(step).take(count).for_each(|place| *place = T::default());
    }
}
