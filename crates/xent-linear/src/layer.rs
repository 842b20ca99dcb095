//! The linear layer: its inputs, weights and bias.

use xent_core::{Element, Error as InputError, Shape};

use crate::Error;
use crate::product::Product;

/// Formats of inputs and weights: f32, f64, and with the feature `half` bf16 and f16, which are computed in f32.
pub trait Number: Element<Float: Product> + sealed::Sealed {
    /// The same numbers, if they have the format of the computation.
    #[doc(hidden)]
    fn as_floats(values: &[Self]) -> Option<&[Self::Float]>;
}

mod sealed {
    pub trait Sealed {}
}

macro_rules! number {
    ($($number:ty => |$values:ident| $as_floats:expr;)*) => {
        $(
            impl sealed::Sealed for $number {}

            impl Number for $number {
                fn as_floats($values: &[Self]) -> Option<&[Self::Float]> {
                    $as_floats
                }
            }
        )*
    };
}
number! { f32 => |values| Some(values); }
#[cfg(feature = "f64")]
number! { f64 => |values| Some(values); }
#[cfg(feature = "half")]
number! { half::bf16 => |_values| None; half::f16 => |_values| None; }

/// The last layer of a classifier, whose logits are `X Wᵀ + b`: as PyTorch's `Linear`.
///
/// `X` are the inputs, shape `(rows, hidden)`; `W` the weights, shape `(classes, hidden)`; `b` the bias, shape
/// `(classes,)`.
///
/// ```
/// use xent_linear::Layer;
///
/// let (x, w, b) = ([0.5_f32; 8], [0.1; 12], [0.0; 3]);
/// let layer = Layer::new(&x, &w, 4)?.with_bias(&b)?;
/// assert_eq!((layer.rows(), layer.classes(), layer.hidden()), (2, 3, 4));
/// assert!(Layer::new(&x, &w, 3).is_err());
/// # Ok::<(), xent_linear::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Layer<'a, E = f32> {
    pub(crate) inputs: &'a [E],
    pub(crate) weights: &'a [E],
    /// Empty for none.
    pub(crate) bias: &'a [E],
    pub(crate) rows: usize,
    pub(crate) classes: usize,
    pub(crate) hidden: usize,
    /// From a row of the inputs, and of the weights, to the next.
    pub(crate) input_stride: usize,
    pub(crate) weight_stride: usize,
}

impl<'a, E: Number> Layer<'a, E> {
    /// A layer without a bias, from contiguous rows of `hidden` inputs and of `hidden` weights.
    ///
    /// # Errors
    /// [`Error::Input`] if `hidden` is zero, the last row of inputs or weights is incomplete, or there are no
    /// weights.
    pub fn new(inputs: &'a [E], weights: &'a [E], hidden: usize) -> Result<Self, Error> {
        if hidden == 0 {
            return Err(InputError::Length { of: "inputs of a row", expected: 1, found: 0 }.into());
        }
        for (of, found) in [("inputs", inputs.len()), ("weights", weights.len())] {
            let expected = found.div_ceil(hidden) * hidden;
            if found != expected {
                return Err(InputError::Length { of, expected, found }.into());
            }
        }
        let (rows, classes) = (inputs.len() / hidden, weights.len() / hidden);
        Self::with_strides((inputs, rows, hidden), (weights, classes, hidden), hidden)
    }

    /// A layer without a bias: a slice of inputs, the number of its rows, and the elements from the start of one to
    /// the next; the same for the weights. Gaps between rows are not read. The gradients have the same strides, and
    /// their gaps are not written.
    ///
    /// ```
    /// use xent_linear::Layer;
    ///
    /// // Two rows of three inputs, each followed by a number that is not one.
    /// let (x, w) = ([0.5_f32; 8], [0.1; 15]);
    /// let layer = Layer::with_strides((&x, 2, 4), (&w, 5, 3), 3)?;
    /// assert_eq!((layer.rows(), layer.classes()), (2, 5));
    /// # Ok::<(), xent_linear::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Input`] if `hidden` or the number of classes is zero, a stride is shorter than a row, or a slice has
    /// more or fewer elements than that. The last row may end with its elements, or be as long as the stride.
    pub fn with_strides(
        (inputs, rows, input_stride): (&'a [E], usize, usize),
        (weights, classes, weight_stride): (&'a [E], usize, usize),
        hidden: usize,
    ) -> Result<Self, Error> {
        if hidden == 0 {
            return Err(InputError::Length { of: "inputs of a row", expected: 1, found: 0 }.into());
        }
        Shape::rows(rows, classes)?;
        let layer =
            Self { inputs, weights, bias: &[], rows, classes, hidden, input_stride, weight_stride };
        layer.check("inputs", rows, input_stride, inputs.len())?;
        layer.check("weights", classes, weight_stride, weights.len())?;
        Ok(layer)
    }

    /// Adds a bias for each class. Zero for none is not needed: leave it out.
    ///
    /// # Errors
    /// [`Error::Input`] if there is not one for each class.
    pub fn with_bias(self, bias: &'a [E]) -> Result<Self, Error> {
        let (expected, found) = (self.classes, bias.len());
        if expected != found {
            return Err(InputError::Length { of: "bias", expected, found }.into());
        }
        Ok(Self { bias, ..self })
    }
}

impl<E> Layer<'_, E> {
    /// The number of rows of inputs, each with a loss of its own.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The number of classes.
    #[must_use]
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// The number of inputs of a row.
    #[must_use]
    pub fn hidden(&self) -> usize {
        self.hidden
    }

    /// The weights of a class.
    pub(crate) fn weights_of(&self, class: usize) -> &[E] {
        let start = class * self.weight_stride;
        &self.weights[start..start + self.hidden]
    }

    /// Checks the length of inputs or weights, or of their gradient.
    pub(crate) fn check(
        &self,
        of: &'static str,
        rows: usize,
        stride: usize,
        found: usize,
    ) -> Result<(), Error> {
        if stride < self.hidden {
            let of = if of.ends_with("weights") {
                "stride of the weights"
            } else {
                "stride of the inputs"
            };
            return Err(InputError::Length { of, expected: self.hidden, found: stride }.into());
        }
        let too_large = InputError::TooLarge { rows, classes: stride };
        let longest = rows.checked_mul(stride).ok_or(too_large)?;
        let expected = if rows == 0 { 0 } else { longest - stride + self.hidden };
        if (expected..=longest).contains(&found) {
            return Ok(());
        }
        Err(InputError::Length { of, expected, found }.into())
    }
}
