//! Runs a call with slices in every place, and compares the results.

use std::fmt::Debug;

use xent_core::{Buffers, Element, Gradient, Level};

use crate::memory::{Place, Slice};

/// A number with comparable bits: all NaNs have the same.
pub(crate) trait Bits: Copy {
    fn bits(self) -> u64;
}

macro_rules! bits {
    ($($float:ty),*) => {
        $(
            impl Bits for $float {
                fn bits(self) -> u64 {
                    if self.is_nan() { u64::MAX } else { self.to_bits().into() }
                }
            }
        )*
    };
}
bits!(f32, f64);
#[cfg(feature = "half")]
bits!(half::bf16, half::f16);

impl Bits for u32 {
    fn bits(self) -> u64 {
        self.into()
    }
}

/// A format of logits.
pub(crate) trait Number: Element<Float: Bits> + Bits {
    /// Numbers in `-scale..scale`, reproducible and without a pattern.
    fn spread(count: usize, scale: f64) -> Vec<Self> {
        let mut state = count as u32 | 1;
        let unit = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            f64::from(state >> 8) / f64::from(1 << 24)
        };
        let units = std::iter::repeat_with(unit).take(count);
        units.map(|unit| Self::of(scale * (2.0 * unit - 1.0))).collect()
    }

    fn of(value: f64) -> Self {
        Self::from_float(float::<Self>(value))
    }
}

impl<E: Element<Float: Bits> + Bits> Number for E {}

/// The format of the computation.
pub(crate) fn float<E: Number>(value: f64) -> E::Float {
    (value as f32).into()
}

/// Everything that a call has written, and its sum, as bits.
#[derive(Default)]
pub(crate) struct Answer(Vec<u64>);

impl Answer {
    pub(crate) fn add<T: Bits>(&mut self, values: &[T]) {
        self.0.extend(values.iter().map(|value| value.bits()));
    }
}

/// Compares a call on slices between guard pages with the same call on other slices, at every level: it must end (a
/// touch would end the process), and all bits must be the same.
pub(crate) fn hold(what: &dyn Debug, call: &dyn Fn(Level, Place) -> Answer) {
    for level in Level::available() {
        let wanted = call(level, Place::Heap);
        for place in Place::GUARDED {
            let got = call(level, place);
            assert_eq!(got.0.len(), wanted.0.len(), "{what:?}, {level}, {place:?}");
            let differs = got.0.iter().zip(&wanted.0).position(|(got, wanted)| got != wanted);
            assert_eq!(differs, None, "{what:?}, {level}, {place:?}: other bits there");
        }
    }
}

/// What happens to the gradient.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Loss,
    Gradient,
    Accumulate,
    InPlace,
    WideGradient,
    WideAccumulate,
}

impl Mode {
    const ALL: [Self; 6] = [
        Self::Loss,
        Self::Gradient,
        Self::Accumulate,
        Self::InPlace,
        Self::WideGradient,
        Self::WideAccumulate,
    ];

    /// The modes that differ from others for a format.
    pub(crate) fn of<E: Number>() -> &'static [Self] {
        let is_float = size_of::<E>() == size_of::<E::Float>();
        if is_float { &Self::ALL[..4] } else { &Self::ALL }
    }
}

/// The slices of [`Buffers`], each in its place.
pub(crate) struct Memory<E: Number> {
    mode: Mode,
    logits: Slice<E>,
    gradient: Slice<E>,
    wide: Slice<E::Float>,
}

impl<E: Number> Memory<E> {
    /// With these logits, and space for this many gradients if they have their own place.
    pub(crate) fn new(place: Place, mode: Mode, logits: &[E], gradients: usize) -> Self {
        let count = |modes: [Mode; 2]| if modes.contains(&mode) { gradients } else { 0 };
        let gradients = count([Mode::Gradient, Mode::Accumulate]);
        let wide = count([Mode::WideGradient, Mode::WideAccumulate]);
        Self {
            mode,
            logits: place.of(logits),
            gradient: place.of(&vec![E::of(0.25); gradients]),
            wide: place.of(&vec![float::<E>(0.25); wide]),
        }
    }

    pub(crate) fn buffers(&mut self) -> Buffers<'_, E> {
        let Self { logits, gradient, wide, .. } = self;
        match self.mode {
            Mode::Loss => Buffers::loss(logits),
            Mode::Gradient => Buffers::gradient(logits, gradient),
            Mode::Accumulate => Buffers::accumulate(logits, gradient),
            Mode::InPlace => Buffers::in_place(logits),
            Mode::WideGradient => Buffers::new(logits, Gradient::WriteWide(wide)),
            Mode::WideAccumulate => Buffers::new(logits, Gradient::AddWide(wide)),
        }
    }

    /// Including the logits, which must be unchanged unless the gradient overwrites them.
    pub(crate) fn answer(&self, answer: &mut Answer) {
        answer.add(&self.logits);
        answer.add(&self.gradient);
        answer.add(&self.wide);
    }
}
