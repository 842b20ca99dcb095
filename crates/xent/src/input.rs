//! Logits and targets with their shapes.

use xent_core::{Error as InputError, Labels};

use crate::Error;

/// Checks that `len` elements are whole rows: how many.
fn rows(len: usize, classes: usize) -> Result<usize, Error> {
    if classes == 0 {
        return Err(InputError::ZeroClasses.into());
    }
    if !len.is_multiple_of(classes) {
        return Err(InputError::Ragged { found: len, classes }.into());
    }
    Ok(len / classes)
}

/// Checks that `rows` rows of `classes` classes are `len` elements.
fn shape(len: usize, rows: usize, classes: usize) -> Result<(), Error> {
    if classes == 0 {
        return Err(InputError::ZeroClasses.into());
    }
    match rows.checked_mul(classes) {
        None => Err(InputError::TooLarge { rows, classes }.into()),
        Some(expected) if expected != len => {
            Err(InputError::Length { of: "logits", expected, found: len }.into())
        }
        Some(_) => Ok(()),
    }
}

/// Logits of a batch, row after row: shape `(rows, classes)`.
///
/// ```
/// use xent::Logits;
///
/// assert_eq!(Logits::new(&[0.0; 6], 3)?.rows(), 2);
/// assert!(Logits::new(&[0.0; 7], 3).is_err());
/// # Ok::<(), xent::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Logits<'a> {
    pub(crate) values: &'a [f32],
    pub(crate) classes: usize,
}

impl<'a> Logits<'a> {
    /// As many rows of `classes` logits as there are.
    ///
    /// # Errors
    /// [`Error::Input`] if `classes` is zero or the last row is not whole.
    pub fn new(values: &'a [f32], classes: usize) -> Result<Self, Error> {
        rows(values.len(), classes)?;
        Ok(Self { values, classes })
    }

    /// Exactly `rows` rows of `classes` logits.
    ///
    /// # Errors
    /// [`Error::Input`] if `classes` is zero or there are more or fewer elements than that.
    pub fn with_shape(values: &'a [f32], rows: usize, classes: usize) -> Result<Self, Error> {
        shape(values.len(), rows, classes)?;
        Ok(Self { values, classes })
    }

    /// The number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.values.len() / self.classes
    }

    /// The number of classes.
    #[must_use]
    pub fn classes(&self) -> usize {
        self.classes
    }
}

/// Logits that will give their place to their gradient: shape `(rows, classes)`.
///
/// ```
/// use xent::{LogitsMut, SoftmaxCrossEntropy, Targets};
///
/// let mut x = [0.0, 0.0];
/// let loss = SoftmaxCrossEntropy::new();
/// loss.loss_and_grad_in_place(LogitsMut::new(&mut x, 2)?, Targets::index(&[1_u8]))?;
/// assert_eq!(x, [0.5, -0.5]);
/// # Ok::<(), xent::Error>(())
/// ```
#[derive(Debug)]
pub struct LogitsMut<'a> {
    pub(crate) values: &'a mut [f32],
    pub(crate) classes: usize,
}

impl<'a> LogitsMut<'a> {
    /// As many rows of `classes` logits as there are.
    ///
    /// # Errors
    /// [`Error::Input`] if `classes` is zero or the last row is not whole.
    pub fn new(values: &'a mut [f32], classes: usize) -> Result<Self, Error> {
        rows(values.len(), classes)?;
        Ok(Self { values, classes })
    }
}

/// What the logits are compared with.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Targets<'a> {
    /// The index of the right class of each row: shape `(rows,)`.
    Index(Labels<'a>),
    /// A number for every class of every row: shape `(rows, classes)`. For softmax any non-negative
    /// weights; for sigmoid 0, 1 or a number between.
    Dense(&'a [f32]),
}

impl<'a> Targets<'a> {
    /// The index of the right class of each row, as `u8` to `u64`, `usize`, `i32` or `i64`.
    ///
    /// ```
    /// use xent::Targets;
    ///
    /// let labels: Vec<i64> = vec![3, 1, 4];
    /// let targets = Targets::index(&labels);
    /// # let _ = targets;
    /// ```
    #[must_use]
    pub fn index<T>(labels: &'a [T]) -> Self
    where
        &'a [T]: Into<Labels<'a>>,
    {
        Self::Index(labels.into())
    }

    /// A number for every class of every row.
    #[must_use]
    pub fn dense(values: &'a [f32]) -> Self {
        Self::Dense(values)
    }
}
