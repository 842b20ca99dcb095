//! Conversions into logits and targets.

#[cfg(feature = "alloc")]
use alloc::vec::Vec;

use xent_core::{Element, Labels};

use crate::{Error, Logits, LogitsMut, Targets};

/// Anything that a loss takes as logits: [`Logits`], or a pair of a slice, array or vector and the number of
/// classes of a row. With a feature for `ndarray`, also a matrix (a reference to it, or a view) with one row of the
/// batch in each of its rows, or a pair of a view and its class axis.
///
/// ```
/// use xent::{Logits, SoftmaxCrossEntropy};
///
/// let x = [2.0, 1.0, 0.0, 0.0, 3.0, 0.0_f32];
/// let loss = SoftmaxCrossEntropy::new();
/// let value = loss.loss((&x, 3), &[0_u8, 1])?;
/// assert_eq!(value, loss.loss((&x[..], 3), &[0_u8, 1])?);
/// assert_eq!(value, loss.loss(Logits::with_shape(&x, 2, 3)?, &[0_u8, 1])?);
/// # Ok::<(), xent::Error>(())
/// ```
///
/// For tensors of other libraries, pass their slice, or implement this trait.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be read as logits",
    label = "logits are a pair `(&values, classes)`, or a `Logits`",
    note = "values may be in a slice, an array or (feature `alloc`) a `Vec`, of `f32`, `f64` or (feature `half`) \
            `bf16` and `f16`; for other layouts there are `Logits::with_stride` and `with_columns`, for `ndarray` \
            the feature `ndarray`"
)]
pub trait IntoLogits<'a> {
    /// The format of the logits.
    type Element: Element;

    /// The logits.
    ///
    /// # Errors
    /// [`Error::Input`] if the number of classes is zero or the last row is incomplete; [`Error::Layout`] if an
    /// array would have to be copied.
    fn into_logits(self) -> Result<Logits<'a, Self::Element>, Error>;
}

/// Anything that a loss takes as logits to be overwritten by their gradient: [`LogitsMut`], or the inputs of
/// [`IntoLogits`] by mutable reference.
///
/// ```
/// use xent::SoftmaxCrossEntropy;
///
/// let mut x = [0.0, 0.0_f32];
/// SoftmaxCrossEntropy::new().loss_and_grad_in_place((&mut x, 2), &[1_u8])?;
/// assert_eq!(x, [0.5, -0.5]);
/// # Ok::<(), xent::Error>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be read as logits that give their place to their gradient",
    label = "these are a pair `(&mut values, classes)`, or a `LogitsMut`",
    note = "values may be in a slice, an array or (feature `alloc`) a `Vec`, of `f32`, `f64` or (feature `half`) \
            `bf16` and `f16`"
)]
pub trait IntoLogitsMut<'a> {
    /// The format of the logits.
    type Element: Element;

    /// The logits.
    ///
    /// # Errors
    /// As [`IntoLogits::into_logits`].
    fn into_logits_mut(self) -> Result<LogitsMut<'a, Self::Element>, Error>;
}

/// Anything that a loss takes as targets: [`Targets`], or a reference to a slice, array or vector. Integers are the
/// class of each row ([`Targets::Index`]; for the sigmoid losses zero or one for each logit), floats are one number
/// for each logit ([`Targets::Dense`]). With a feature for `ndarray`, also an array with one axis (a reference to
/// it, or a view). `F` is the float of the computation.
///
/// ```
/// use xent::{SigmoidCrossEntropy, SoftmaxCrossEntropy};
///
/// let (x, labels) = ([2.0, 1.0, 0.0, 3.0_f32], vec![0_i64, 1]);
/// let loss = SoftmaxCrossEntropy::new();
/// let by_index = loss.loss((&x, 2), &labels)?;
/// assert!((by_index - loss.loss((&x, 2), &[1.0, 0.0, 0.0, 1.0])?).abs() < 1e-7);
///
/// let loss = SigmoidCrossEntropy::new();
/// assert_eq!(loss.loss((&x, 2), &[1, 0, 0, 1])?, loss.loss((&x, 2), &[1.0, 0.0, 0.0, 1.0])?);
/// # Ok::<(), xent::Error>(())
/// ```
///
/// Lists of positive classes and a teacher's logits only have constructors of [`Targets`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be read as targets of logits that are computed in `{F}`",
    label = "targets are a reference to labels (integers) or to a number for each logit (`{F}`)",
    note = "give a reference to a slice, an array or (feature `alloc`) a `Vec`, or a `Targets`; floats have the \
            format that the logits are computed in: `f64` for `f64`, `f32` for all others"
)]
pub trait IntoTargets<'a, F> {
    /// The targets.
    ///
    /// # Errors
    /// [`Error::Layout`] if an array would have to be copied.
    fn into_targets(self) -> Result<Targets<'a, F>, Error>;
}

impl<'a, E: Element> IntoLogits<'a> for Logits<'a, E> {
    type Element = E;

    fn into_logits(self) -> Result<Self, Error> {
        Ok(self)
    }
}

impl<'a, E: Element> IntoLogitsMut<'a> for LogitsMut<'a, E> {
    type Element = E;

    fn into_logits_mut(self) -> Result<Self, Error> {
        Ok(self)
    }
}

impl<'a, F> IntoTargets<'a, F> for Targets<'a, F> {
    fn into_targets(self) -> Result<Self, Error> {
        Ok(self)
    }
}

/// A sequence of numbers in memory: logits together with the number of classes, or targets on its own.
macro_rules! sequence {
    ($of:ident: $sequence:ty $(, const $length:ident)?) => {
        impl<'a, $of: Element $(, const $length: usize)?> IntoLogits<'a> for (&'a $sequence, usize) {
            type Element = $of;

            fn into_logits(self) -> Result<Logits<'a, $of>, Error> {
                Logits::new(self.0, self.1)
            }
        }

        impl<'a, $of: Element $(, const $length: usize)?> IntoLogitsMut<'a>
            for (&'a mut $sequence, usize)
        {
            type Element = $of;

            fn into_logits_mut(self) -> Result<LogitsMut<'a, $of>, Error> {
                LogitsMut::new(self.0, self.1)
            }
        }
    };
    ($of:ident: $sequence:ty $(, const $length:ident)?, of slices) => {
        sequence!($of: $sequence $(, const $length)?);

        impl<'a, F, $of $(, const $length: usize)?> IntoTargets<'a, F> for &'a $sequence
        where
            &'a [$of]: IntoTargets<'a, F>,
        {
            fn into_targets(self) -> Result<Targets<'a, F>, Error> {
                <&'a [$of]>::into_targets(self)
            }
        }
    };
}
sequence!(T: [T]);
sequence!(T: [T; N], const N, of slices);
#[cfg(feature = "alloc")]
sequence!(T: Vec<T>, of slices);

macro_rules! labels {
    ($($integer:ty),*) => {
        $(
            impl<'a, F> IntoTargets<'a, F> for &'a [$integer] {
                fn into_targets(self) -> Result<Targets<'a, F>, Error> {
                    Ok(Targets::Index(self.into()))
                }
            }
        )*
    };
}
labels!(u8, u16, u32, u64, usize, i8, i16, i32, i64);

impl<'a, F> IntoTargets<'a, F> for Labels<'a> {
    fn into_targets(self) -> Result<Targets<'a, F>, Error> {
        Ok(Targets::Index(self))
    }
}

impl<'a> IntoTargets<'a, f32> for &'a [f32] {
    fn into_targets(self) -> Result<Targets<'a, f32>, Error> {
        Ok(Targets::Dense(self))
    }
}

impl<'a> IntoTargets<'a, f64> for &'a [f64] {
    fn into_targets(self) -> Result<Targets<'a, f64>, Error> {
        Ok(Targets::Dense(self))
    }
}
