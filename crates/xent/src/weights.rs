//! Class weights, borrowed or owned.

use core::ops::Deref;

#[cfg(feature = "alloc")]
use alloc::{boxed::Box, vec::Vec};

/// A weight for each class, as a loss takes them: borrowed from a slice, array or vector or, with the feature
/// `alloc`, owned. A loss that owns its weights needs no lifetime.
///
#[cfg_attr(
    feature = "alloc",
    doc = r"
```
use xent::{Error, SoftmaxCrossEntropy};

struct Trainer {
    loss: SoftmaxCrossEntropy<'static>,
}

impl Trainer {
    fn new(class_weights: Vec<f32>) -> Result<Self, Error> {
        Ok(Self { loss: SoftmaxCrossEntropy::new().with_class_weights(class_weights)? })
    }
}

let trainer = Trainer::new(vec![1.0, 0.5, 2.0])?;
let value = trainer.loss.loss((&[2.0, 1.0, 0.0_f32], 3), &[0_u8])?;
assert!((value - 0.407606).abs() < 1e-6);
# Ok::<(), Error>(())
```
"
)]
#[derive(Clone, Debug)]
pub struct Weights<'w, F = f32>(Held<'w, F>);

#[derive(Clone, Debug)]
enum Held<'w, F> {
    Borrowed(&'w [F]),
    #[cfg(feature = "alloc")]
    Owned(Box<[F]>),
}

/// No weights: every class counts as one.
impl<F> Default for Weights<'_, F> {
    fn default() -> Self {
        Self(Held::Borrowed(&[]))
    }
}

impl<F> Deref for Weights<'_, F> {
    type Target = [F];

    fn deref(&self) -> &[F] {
        match &self.0 {
            Held::Borrowed(weights) => weights,
            #[cfg(feature = "alloc")]
            Held::Owned(weights) => weights,
        }
    }
}

impl<'w, F> From<&'w [F]> for Weights<'w, F> {
    fn from(weights: &'w [F]) -> Self {
        Self(Held::Borrowed(weights))
    }
}

impl<'w, F, const N: usize> From<&'w [F; N]> for Weights<'w, F> {
    fn from(weights: &'w [F; N]) -> Self {
        Self(Held::Borrowed(weights))
    }
}

#[cfg(feature = "alloc")]
impl<'w, F> From<&'w Vec<F>> for Weights<'w, F> {
    fn from(weights: &'w Vec<F>) -> Self {
        Self(Held::Borrowed(weights))
    }
}

#[cfg(feature = "alloc")]
impl<F> From<Vec<F>> for Weights<'_, F> {
    fn from(weights: Vec<F>) -> Self {
        Self(Held::Owned(weights.into()))
    }
}

#[cfg(feature = "alloc")]
impl<F, const N: usize> From<[F; N]> for Weights<'_, F> {
    fn from(weights: [F; N]) -> Self {
        Self(Held::Owned(Box::new(weights)))
    }
}
