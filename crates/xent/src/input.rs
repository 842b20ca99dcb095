//! Logits and targets with their shapes.

use xent_core::{Buffers, Element, Gradient, Labels, Quantisation, Shape};

use crate::Error;

/// The logits of a batch, with their [`Shape`]: of f32, f64 or, with the feature `half`, bf16 or f16; with the feature
/// `quantised` also integers.
///
/// If rows are contiguous, a loss also takes a pair `(&values, classes)` ([`IntoLogits`](crate::IntoLogits)).
///
/// ```
/// use xent::Logits;
///
/// assert_eq!(Logits::new(&[0.0_f32; 6], 3)?.rows(), 2);
/// assert!(Logits::new(&[0.0_f64; 7], 3).is_err());
/// # Ok::<(), xent::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Logits<'a, E = f32> {
    pub(crate) values: &'a [E],
    pub(crate) shape: Shape,
    quantisation: Option<Quantisation>,
}

/// Logits that will be overwritten by their gradient.
///
/// If rows are contiguous, a loss also takes a pair `(&mut values, classes)`
/// ([`IntoLogitsMut`](crate::IntoLogitsMut)).
///
/// ```
/// use xent::{LogitsMut, SoftmaxCrossEntropy};
///
/// // One row of two classes, in the first two of each three numbers.
/// let mut x = [0.0, 0.0, 7.0_f32];
/// let logits = LogitsMut::with_stride(&mut x, 1, 2, 3)?;
/// SoftmaxCrossEntropy::new().loss_and_grad_in_place(logits, &[1_u8])?;
/// assert_eq!(x, [0.5, -0.5, 7.0]);
/// # Ok::<(), xent::Error>(())
/// ```
#[derive(Debug)]
pub struct LogitsMut<'a, E = f32> {
    pub(crate) values: &'a mut [E],
    pub(crate) shape: Shape,
}

macro_rules! constructors {
    ($name:ident, $slice:ty, $split:ident $(, $quantisation:ident)?) => {
        impl<'a, E: Element> $name<'a, E> {
            /// Contiguous rows of `classes` logits: shape `(rows, classes)`.
            ///
            /// # Errors
            /// [`Error::Input`] if `classes` is zero or the last row is incomplete.
            pub fn new(values: $slice, classes: usize) -> Result<Self, Error> {
                let shape = Shape::rows_of(values.len(), classes)?;
                Self::with_layout(values, shape)
            }

            /// Exactly `rows` rows of `classes` logits.
            ///
            /// # Errors
            /// [`Error::Input`] if `classes` is zero or there are more or fewer elements than that.
            pub fn with_shape(values: $slice, rows: usize, classes: usize) -> Result<Self, Error> {
                Self::with_layout(values, Shape::rows(rows, classes)?)
            }

            /// `rows` rows of `classes` logits, with `stride` elements from the start of one to the next. The
            /// gradient has the same stride; gaps between the rows are not touched. The last row may end with its
            /// logits, or be as long as the stride. So you can read some classes of an array, or every other row,
            /// without a copy.
            ///
            /// ```
            /// use xent::Logits;
            ///
            /// // The first three of five classes; every other row.
            /// let wide = [0.0_f32; 15];
            /// assert_eq!(Logits::with_stride(&wide, 3, 3, 5)?.rows(), 3);
            /// assert_eq!(Logits::with_stride(&wide, 2, 5, 10)?.rows(), 2);
            /// # Ok::<(), xent::Error>(())
            /// ```
            ///
            /// # Errors
            /// [`Error::Input`] if the stride is shorter than a row or the number of elements does not fit.
            pub fn with_stride(
                values: $slice,
                rows: usize,
                classes: usize,
                stride: usize,
            ) -> Result<Self, Error> {
                Self::with_layout(values, Shape::rows(rows, classes)?.with_strides(stride, stride)?)
            }

            /// Some of the classes, without a copy: labels count from the first of these. The gradient has the
            /// stride of the rows, and starts at the first of these classes.
            ///
            /// ```
            /// use xent::Logits;
            ///
            /// let x = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0_f32];
            /// let last = Logits::new(&x, 3)?.narrow(1..3)?;
            /// assert_eq!((last.rows(), last.classes()), (2, 2));
            /// # Ok::<(), xent::Error>(())
            /// ```
            ///
            /// # Errors
            /// [`Error::Input`] if these classes do not exist.
            pub fn narrow(self, classes: core::ops::Range<usize>) -> Result<Self, Error> {
                let (shape, first) = self.shape.narrow(classes)?;
                let (_, values) = self.values.$split(first.min(self.values.len()));
                Ok(Self { $($quantisation: self.$quantisation,)? ..Self::with_layout(values, shape)? })
            }

            /// Every `step`-th row, starting with the first, without a copy; for columns, blocks of rows.
            ///
            /// ```
            /// use xent::Logits;
            ///
            /// let x = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0_f32];
            /// assert_eq!(Logits::new(&x, 2)?.every(2)?.rows(), 2);
            /// # Ok::<(), xent::Error>(())
            /// ```
            ///
            /// # Errors
            /// [`Error::Input`] if the step is zero.
            pub fn every(self, step: usize) -> Result<Self, Error> {
                let shape = self.shape.every(step)?;
                Ok(Self { $($quantisation: self.$quantisation,)? ..Self::with_layout(self.values, shape)? })
            }

            /// A class axis that is not the last: shape `(outer, classes, inner)`, as for images `(N, C, H, W)`
            /// with `inner = H × W`. Row `n · inner + d` is position `d` of block `n`.
            ///
            /// # Errors
            /// [`Error::Input`] if `classes` is zero or there are more or fewer elements than that.
            pub fn with_columns(
                values: $slice,
                outer: usize,
                classes: usize,
                inner: usize,
            ) -> Result<Self, Error> {
                Self::with_layout(values, Shape::columns(outer, classes, inner)?)
            }

            /// Any [`Shape`], also one whose gradient has another stride than its logits.
            ///
            /// ```
            /// use xent::{Logits, Shape, SoftmaxCrossEntropy};
            ///
            /// // The first two of three classes; the gradient of each row follows that of the row before.
            /// let shape = Shape::rows(2, 2)?.with_strides(3, 2)?;
            /// let logits = Logits::with_layout(&[0.0, 0.0, 7.0, 0.0, 0.0, 7.0_f32], shape)?;
            /// let mut grad = [0.0; 4];
            /// SoftmaxCrossEntropy::new().loss_and_grad(logits, &[1, 0], &mut grad)?;
            /// assert_eq!(grad, [0.25, -0.25, -0.25, 0.25]);
            /// # Ok::<(), xent::Error>(())
            /// ```
            ///
            /// # Errors
            /// [`Error::Input`] if there are more or fewer elements than that.
            pub fn with_layout(values: $slice, shape: Shape) -> Result<Self, Error> {
                let length = shape.check(values.len())?;
                let (values, _) = values.$split(length);
                Ok(Self { values, shape $(, $quantisation: None)? })
            }

            /// The number of rows.
            #[must_use]
            pub fn rows(&self) -> usize {
                self.shape.row_count()
            }

            /// The number of classes.
            #[must_use]
            pub fn classes(&self) -> usize {
                self.shape.classes()
            }
        }
    };
}
constructors!(Logits, &'a [E], split_at, quantisation);
constructors!(LogitsMut, &'a mut [E], split_at_mut);

impl<'a, E: Element> Logits<'a, E> {
    /// Says for which numbers integers stand (feature `quantised`): the scale and the zero point of the model's
    /// output. Losses of rows and gradients are those of f32 logits with these numbers, to the bit; the gradient is f32
    /// ([`Pass::wide_grad`](crate::Pass::wide_grad)), by the numbers. For that by the integers, multiply it by the
    /// scale ([`Pass::scale`](crate::Pass::scale)).
    ///
    /// ```
    /// # #[cfg(feature = "quantised")]
    /// # fn main() -> Result<(), xent::Error> {
    /// use xent::{Logits, Quantisation, SoftmaxCrossEntropy};
    ///
    /// // What a device has sent, and what its model file says of that tensor.
    /// let (dump, quantisation) = ([20_i8, -12, 4, -128, 127, 0], Quantisation::new(0.125, -4)?);
    /// let logits = Logits::new(&dump, 3)?.quantised(quantisation);
    /// let loss = SoftmaxCrossEntropy::new().loss(logits, &[0_u8, 1])?;
    /// assert!((loss - 0.071_465_9).abs() < 1e-6);
    /// # Ok(())
    /// # }
    /// # #[cfg(not(feature = "quantised"))]
    /// # fn main() {}
    /// ```
    #[must_use]
    pub fn quantised(self, quantisation: Quantisation) -> Self {
        Self { quantisation: Some(quantisation), ..self }
    }

    /// These logits, for the core.
    pub(crate) fn buffers(&self, gradient: Gradient<'a, E>) -> Buffers<'a, E> {
        let buffers = Buffers::new(self.values, gradient);
        match self.quantisation {
            Some(quantisation) => buffers.quantised(quantisation),
            None => buffers,
        }
    }
}

impl<E: Element> Logits<'_, E> {
    /// One logit.
    pub(crate) fn get(&self, row: usize, class: usize) -> E {
        self.values[self.shape.logit_place(row, class)]
    }
}

/// The targets. Numbers are in the format of the computation: f64 for f64 logits, f32 for all others.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Targets<'a, F = f32> {
    /// The index of the right class of each row: shape `(rows,)`. For the sigmoid losses, as
    /// [`MultiHot`](Self::MultiHot).
    Index(Labels<'a>),
    /// One number for every logit, in the logits' shape (without a stride). For softmax any non-negative weights;
    /// for multi-label softmax the labels; for sigmoid losses any number from 0 to 1.
    Dense(&'a [F]),
    /// Zero or one for every logit, as integers of the logits' shape.
    MultiHot(Labels<'a>),
    /// The classes that each row belongs to: `classes[offsets[r]..offsets[r + 1]]`.
    Positives {
        /// The start of each row's classes, and the end of the last: `rows + 1` numbers.
        offsets: &'a [usize],
        /// The classes, row after row.
        classes: Labels<'a>,
    },
    /// The logits of a teacher, of the logits' shape.
    Teacher(&'a [F]),
}

impl<'a, F> Targets<'a, F> {
    /// The index of the right class of each row, of any integer type from 8 to 64 bits.
    ///
    /// ```
    /// use xent::Targets;
    ///
    /// let labels: Vec<i64> = vec![3, 1, 4];
    /// let targets: Targets<'_> = Targets::index(&labels);
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
    pub fn dense(values: &'a [F]) -> Self {
        Self::Dense(values)
    }

    /// Zero or one for every class of every row, as integers.
    #[must_use]
    pub fn multi_hot<T>(values: &'a [T]) -> Self
    where
        &'a [T]: Into<Labels<'a>>,
    {
        Self::MultiHot(values.into())
    }

    /// The classes that each row belongs to, row after row: those of row `r` are
    /// `classes[offsets[r]..offsets[r + 1]]`.
    ///
    /// ```
    /// use xent::Targets;
    ///
    /// // The first row is of classes 0 and 3, the second of none, the third of class 1.
    /// let targets: Targets<'_> = Targets::positives(&[0, 2, 2, 3], &[0_u32, 3, 1]);
    /// # let _ = targets;
    /// ```
    #[must_use]
    pub fn positives<T>(offsets: &'a [usize], classes: &'a [T]) -> Self
    where
        &'a [T]: Into<Labels<'a>>,
    {
        Self::Positives { offsets, classes: classes.into() }
    }

    /// The logits of a teacher.
    #[must_use]
    pub fn teacher(logits: &'a [F]) -> Self {
        Self::Teacher(logits)
    }

    /// The name of the kind.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Index(_) => "indices",
            Self::Dense(_) => "dense targets",
            Self::MultiHot(_) => "multi-hot targets",
            Self::Positives { .. } => "lists of positive classes",
            Self::Teacher(_) => "a teacher's logits",
        }
    }
}
