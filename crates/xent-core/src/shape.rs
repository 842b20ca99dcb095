//! Where the rows and classes of a batch are in memory.

use crate::error::{Error, Values, check_length};

/// The shape of a batch: how many rows of how many classes, and where they are.
///
/// Rows one after the other, each at its stride; or, for a class axis that is not the last one,
/// `outer` blocks of `classes × inner` elements, in which a class is contiguous and a row is not:
/// the layout of an image batch `(N, C, H, W)` with `inner = H × W`. Row `n · inner + d` of a batch
/// is the position `d` of block `n`.
///
/// ```
/// use xent_core::Shape;
///
/// assert_eq!(Shape::rows(8, 10)?.elements(), 80);
/// assert_eq!(Shape::columns(8, 21, 256 * 256)?.row_count(), 8 * 256 * 256);
/// # Ok::<(), xent_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    pub(crate) outer: usize,
    pub(crate) classes: usize,
    pub(crate) inner: usize,
    /// From a row (a block, if `inner` is not one) to the next.
    pub(crate) logits_stride: usize,
    pub(crate) gradient_stride: usize,
}

impl Shape {
    /// Rows of `classes` elements, one after the other.
    ///
    /// # Errors
    /// [`Error::ZeroClasses`]; [`Error::TooLarge`] if there would be more elements than `usize` has
    /// numbers.
    pub fn rows(rows: usize, classes: usize) -> Result<Self, Error> {
        Self::columns(rows, classes, 1)
    }

    /// As many rows of `classes` elements as `elements` are.
    ///
    /// # Errors
    /// [`Error::ZeroClasses`]; [`Error::Ragged`] if the last row would not be whole.
    pub fn rows_of(elements: usize, classes: usize) -> Result<Self, Error> {
        if classes == 0 {
            return Err(Error::ZeroClasses);
        }
        if !elements.is_multiple_of(classes) {
            return Err(Error::Ragged { found: elements, classes });
        }
        Self::rows(elements / classes, classes)
    }

    /// `outer` blocks of `classes × inner` elements.
    ///
    /// # Errors
    /// As [`rows`](Self::rows).
    pub fn columns(outer: usize, classes: usize, inner: usize) -> Result<Self, Error> {
        if classes == 0 {
            return Err(Error::ZeroClasses);
        }
        let too_large = Error::TooLarge { rows: outer.saturating_mul(inner), classes };
        let stride = classes.checked_mul(inner).ok_or(too_large)?;
        stride.checked_mul(outer).ok_or(too_large)?;
        Ok(Self { outer, classes, inner, logits_stride: stride, gradient_stride: stride })
    }

    /// With so many elements from the start of a row (of a block) to the next, in the logits and in
    /// the gradient; what is between is neither read nor written. The last row may end where its elements do,
    /// or be as long as the stride.
    ///
    /// # Errors
    /// [`Error::Length`] if a stride is shorter than a row; [`Error::TooLarge`].
    pub fn with_strides(mut self, logits: usize, gradient: usize) -> Result<Self, Error> {
        let shortest = self.classes * self.inner;
        for (of, found) in [("stride of the logits", logits), ("stride of the gradient", gradient)]
        {
            if found < shortest {
                return Err(Error::Length { of, expected: shortest, found });
            }
            if found.checked_mul(self.outer).is_none() {
                return Err(Error::TooLarge { rows: self.outer, classes: found });
            }
        }
        self.logits_stride = logits;
        self.gradient_stride = gradient;
        Ok(self)
    }

    /// Some of the classes of the same rows, and how far behind the first element they begin.
    ///
    /// # Errors
    /// [`Error::ZeroClasses`]; [`Error::Length`] if there are not as many.
    pub fn narrow(self, classes: core::ops::Range<usize>) -> Result<(Self, usize), Error> {
        if classes.is_empty() {
            return Err(Error::ZeroClasses);
        }
        if classes.end > self.classes {
            let (expected, found) = (classes.end, self.classes);
            return Err(Error::Length { of: "classes", expected, found });
        }
        let first = if self.outer == 0 { 0 } else { classes.start * self.inner };
        Ok((Self { classes: classes.len(), ..self }, first))
    }

    /// Every so many rows (blocks), from the first on.
    ///
    /// # Errors
    /// [`Error::Option`] if the step is zero; [`Error::TooLarge`].
    pub fn every(self, step: usize) -> Result<Self, Error> {
        if step == 0 {
            return Err(Error::Option {
                option: "step of the rows",
                reason: "expected one or more",
            });
        }
        let strides = [self.logits_stride, self.gradient_stride].map(|stride| {
            let too_large = Error::TooLarge { rows: step, classes: stride };
            stride.checked_mul(step).ok_or(too_large)
        });
        let [logits, gradient] = strides;
        Self { outer: self.outer.div_ceil(step), ..self }.with_strides(logits?, gradient?)
    }

    /// The number of classes.
    #[must_use]
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// The number of rows, each with a loss of its own.
    #[must_use]
    pub fn row_count(&self) -> usize {
        self.outer * self.inner
    }

    /// The number of logits, what is between the rows not counted.
    #[must_use]
    pub fn elements(&self) -> usize {
        self.row_count() * self.classes
    }

    /// The length of a slice of logits without what follows those of the last row, which may be as long as the
    /// stride.
    ///
    /// # Errors
    /// [`Error::Length`].
    pub fn check(&self, logits: usize) -> Result<usize, Error> {
        self.check_span("logits", self.logits_stride, logits)
    }

    /// The same of a slice with that stride.
    pub(crate) fn check_span(
        &self,
        of: &'static str,
        stride: usize,
        found: usize,
    ) -> Result<usize, Error> {
        let span = self.span(stride);
        if !(span..=self.outer * stride).contains(&found) {
            check_length(of, span, found)?;
        }
        Ok(span)
    }

    /// The length that a slice with that stride must have: nothing follows the last row.
    pub(crate) fn span(&self, stride: usize) -> usize {
        match self.outer.checked_sub(1) {
            Some(before) => before * stride + self.classes * self.inner,
            None => 0,
        }
    }

    /// Where a row (a block) begins; the end, after the last.
    pub(crate) fn offset(&self, part: usize, stride: usize) -> usize {
        if part < self.outer { part * stride } else { self.span(stride) }
    }

    /// The first so many blocks.
    pub(crate) fn with_outer(self, outer: usize) -> Self {
        Self { outer, ..self }
    }

    /// How many rows (blocks) have at most so many elements together; at least one.
    pub(crate) fn blocks_per_leaf(&self, chunk: usize) -> usize {
        (chunk / (self.classes * self.inner).max(1)).max(1)
    }

    /// Into how many pieces of a chunk's size a row can be cut; one if it is not contiguous.
    pub(crate) fn pieces_of_row(&self, chunk: usize) -> usize {
        if self.inner == 1 { (self.classes / chunk).max(1) } else { 1 }
    }

    /// Where the logit of a class of a row is among the logits.
    #[must_use]
    pub fn logit_place(&self, row: usize, class: usize) -> usize {
        row / self.inner * self.logits_stride + class * self.inner + row % self.inner
    }

    /// What is wrong with an element of an array of the logits' shape without a stride.
    pub(crate) fn value_error(&self, of: Values, element: usize, value: f64) -> Error {
        let length = self.classes * self.inner;
        let (block, at) = (element / length, element % length);
        let row = Some(block * self.inner + at % self.inner);
        Error::Value { of, element, row, class: Some(at / self.inner), value }
    }

    /// Where a class of a row is in an array of the logits' shape without a stride.
    #[must_use]
    pub fn place(&self, row: usize, class: usize) -> usize {
        let (outer, position) = (row / self.inner, row % self.inner);
        (outer * self.classes + class) * self.inner + position
    }
}
