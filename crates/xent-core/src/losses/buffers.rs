//! The slices that a loss works on.

use super::format::Element;
use super::quantisation::Quantisation;
use crate::error::Error;
use crate::shape::Shape;

/// The logits, row after row, and what becomes of their gradient.
///
/// ```
/// use xent_core::{Buffers, Gradient};
///
/// let (x, mut of_logits) = ([0.0_f32; 6], [0.0; 6]);
/// assert_eq!(Buffers::loss(&x).len(), 6);
/// let both = Buffers::new(&x, Gradient::Write(&mut of_logits));
/// assert_eq!(both.len(), 6);
/// ```
#[derive(Debug)]
pub struct Buffers<'a, E: Element = f32> {
    /// `None` if the gradient overwrites them; then it is [`Gradient::Write`].
    logits: Option<&'a [E]>,
    pub(super) gradient: Gradient<'a, E>,
    pub(super) quantisation: Option<Quantisation>,
}

/// What becomes of the gradient. It has the format of the logits or, in variants with `Wide`, the format of the
/// computation: `f32` for logits of 16 bits and for integers. A slice is as long as the logits.
#[derive(Debug, Default)]
pub enum Gradient<'a, E: Element = f32> {
    /// It is not computed.
    #[default]
    None,
    /// It is written.
    Write(&'a mut [E]),
    /// It is added to what is there; the sum is rounded once.
    Add(&'a mut [E]),
    /// [`Write`](Self::Write), not rounded to the format of the logits.
    WriteWide(&'a mut [E::Float]),
    /// [`Add`](Self::Add), not rounded to the format of the logits.
    AddWide(&'a mut [E::Float]),
}

impl<'a, E: Element> Buffers<'a, E> {
    /// Logits, and a place for their gradient.
    #[must_use]
    pub fn new(logits: &'a [E], gradient: Gradient<'a, E>) -> Self {
        Self { logits: Some(logits), gradient, quantisation: None }
    }

    /// Only the loss.
    #[must_use]
    pub fn loss(logits: &'a [E]) -> Self {
        Self::new(logits, Gradient::None)
    }

    /// The gradient is written to a slice as long as the logits.
    #[must_use]
    pub fn gradient(logits: &'a [E], gradient: &'a mut [E]) -> Self {
        Self::new(logits, Gradient::Write(gradient))
    }

    /// The gradient is added to a slice as long as the logits; the sum is rounded once.
    #[must_use]
    pub fn accumulate(logits: &'a [E], gradient: &'a mut [E]) -> Self {
        Self::new(logits, Gradient::Add(gradient))
    }

    /// The gradient overwrites the logits.
    #[must_use]
    pub fn in_place(logits: &'a mut [E]) -> Self {
        Self { logits: None, gradient: Gradient::Write(logits), quantisation: None }
    }

    /// Says for which numbers the integers stand. Logits that are integers need it; their gradient, by the logits
    /// they stand for, is [`WriteWide`](Gradient::WriteWide) or [`AddWide`](Gradient::AddWide). For the gradient
    /// by the integers, multiply it by the scale (`with_scale` of a batch).
    #[must_use]
    pub fn quantised(self, quantisation: Quantisation) -> Self {
        Self { quantisation: Some(quantisation), ..self }
    }
}

impl<E: Element> Buffers<'_, E> {
    /// The number of logits.
    #[must_use]
    pub fn len(&self) -> usize {
        self.logits().len()
    }

    /// Whether there are no logits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn is_in_place(&self) -> bool {
        self.logits.is_none()
    }

    /// The logits.
    #[must_use]
    pub fn logits(&self) -> &[E] {
        match (self.logits, &self.gradient) {
            (Some(logits), _) => logits,
            (None, Gradient::Write(both)) => both,
            (None, _) => &[],
        }
    }

    /// The logits (`None` if the gradient overwrites them), and what becomes of the gradient.
    pub fn logits_and_gradient(&mut self) -> (Option<&[E]>, Gradient<'_, E>) {
        (self.logits, self.gradient.reborrow())
    }

    /// One logit, as the number that it stands for.
    pub(crate) fn logit(&self, at: usize) -> Option<E::Float> {
        self.logits().get(at).map(|logit| logit.dequantised(self.quantisation))
    }

    /// The shape of the logits and of the gradient; in place, both have the same stride.
    pub(crate) fn strides_of(&self, shape: Shape) -> Shape {
        if self.is_in_place() {
            Shape { gradient_stride: shape.logits_stride, ..shape }
        } else {
            shape
        }
    }

    /// The number of gradients; none if they are not wanted, or have no slice of their own.
    #[must_use]
    pub fn gradients(&self) -> Option<usize> {
        match &self.gradient {
            _ if self.is_in_place() => None,
            Gradient::None => None,
            Gradient::Write(g) | Gradient::Add(g) => Some(g.len()),
            Gradient::WriteWide(g) | Gradient::AddWide(g) => Some(g.len()),
        }
    }

    /// Checks that the lengths fit a shape and that integers have a quantisation, and removes any gap after the
    /// last row.
    pub(crate) fn fit(self, shape: &Shape) -> Result<Self, Error> {
        Quantisation::check(E::INTEGERS, self.quantisation)?;
        if E::INTEGERS.is_some() && matches!(self.gradient, Gradient::Write(_) | Gradient::Add(_)) {
            return Err(Error::Option {
                option: "gradient",
                reason: "integers cannot hold it: ask for it in f32, the format of the computation",
            });
        }
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
        match &mut self.gradient {
            Gradient::Write(g) => clear(g, at, count, step),
            Gradient::WriteWide(g) => clear(g, at, count, step),
            Gradient::None | Gradient::Add(_) | Gradient::AddWide(_) => {}
        }
    }

    /// Writes the derivative by one logit, or adds it.
    pub(crate) fn put(&mut self, at: usize, value: E::Float) {
        match &mut self.gradient {
            Gradient::None => {}
            Gradient::Write(g) => {
                if let Some(place) = g.get_mut(at) {
                    *place = E::from_float(value);
                }
            }
            Gradient::Add(g) => {
                if let Some(place) = g.get_mut(at) {
                    *place = E::from_float(place.to_float() + value);
                }
            }
            Gradient::WriteWide(g) => {
                if let Some(place) = g.get_mut(at) {
                    *place = value;
                }
            }
            Gradient::AddWide(g) => {
                if let Some(place) = g.get_mut(at) {
                    *place = *place + value;
                }
            }
        }
    }

    /// Splits off the first logits and gradients; in place, as many as logits.
    pub(crate) fn split_at(self, logits: usize, gradient: usize) -> (Self, Self) {
        let Self { logits: x, gradient: g, quantisation } = self;
        let of_gradient = if x.is_none() { logits } else { gradient };
        let x = x.map(|x| x.split_at(logits));
        let g = g.split_at(of_gradient);
        (
            Self { logits: x.map(|x| x.0), gradient: g.0, quantisation },
            Self { logits: x.map(|x| x.1), gradient: g.1, quantisation },
        )
    }

    /// Some of them, with the start of the logits and of the gradient: `[logits, gradient]`.
    ///
    /// ```
    /// use xent_core::Buffers;
    ///
    /// let (x, mut of_logits) = ([0.0_f32, 1.0, 2.0, 3.0], [0.0; 4]);
    /// let mut both = Buffers::gradient(&x, &mut of_logits);
    /// assert_eq!(both.part([2, 2], 2).logits(), [2.0, 3.0]);
    /// ```
    ///
    /// # Panics
    /// If there are not that many.
    #[must_use]
    pub fn part(&mut self, [x_at, g_at]: [usize; 2], length: usize) -> Buffers<'_, E> {
        let Self { logits, gradient, quantisation } = self;
        Buffers {
            logits: logits.map(|x| &x[x_at..x_at + length]),
            gradient: gradient.part(if logits.is_none() { x_at } else { g_at }, length),
            quantisation: *quantisation,
        }
    }
}

impl<E: Element> Gradient<'_, E> {
    /// Splits off the first ones.
    fn split_at(self, at: usize) -> (Self, Self) {
        match self {
            Self::None => (Self::None, Self::None),
            Self::Write(g) => {
                let (a, b) = g.split_at_mut(at);
                (Self::Write(a), Self::Write(b))
            }
            Self::Add(g) => {
                let (a, b) = g.split_at_mut(at);
                (Self::Add(a), Self::Add(b))
            }
            Self::WriteWide(g) => {
                let (a, b) = g.split_at_mut(at);
                (Self::WriteWide(a), Self::WriteWide(b))
            }
            Self::AddWide(g) => {
                let (a, b) = g.split_at_mut(at);
                (Self::AddWide(a), Self::AddWide(b))
            }
        }
    }

    /// Some of them.
    fn part(&mut self, at: usize, length: usize) -> Gradient<'_, E> {
        self.reborrow().split_at(at).1.split_at(length).0
    }

    /// The same places, for a shorter time.
    #[must_use]
    pub fn reborrow(&mut self) -> Gradient<'_, E> {
        match self {
            Self::None => Gradient::None,
            Self::Write(g) => Gradient::Write(g),
            Self::Add(g) => Gradient::Add(g),
            Self::WriteWide(g) => Gradient::WriteWide(g),
            Self::AddWide(g) => Gradient::AddWide(g),
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
