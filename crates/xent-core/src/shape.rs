//! The layout of a batch's rows and classes in memory.

use crate::error::{Error, Values, check_length};

/// The shape of a batch: the numbers of rows and classes, and their layout.
///
/// Either rows one after the other, with a stride; or, for a class axis that is not the last, `outer` blocks of
/// `classes × inner` elements, in which a class is contiguous and a row is not. That is the layout of an image
/// batch `(N, C, H, W)` with `inner = H × W`: row `n · inner + d` of the batch is position `d` of block `n`.
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
    /// [`Error::ZeroClasses`]; [`Error::TooLarge`] if the number of elements does not fit in `usize`.
    pub fn rows(rows: usize, classes: usize) -> Result<Self, Error> {
        Self::columns(rows, classes, 1)
    }

    /// The rows of `classes` elements that this number of elements makes.
    ///
    /// # Errors
    /// [`Error::ZeroClasses`]; [`Error::Ragged`] if the last row would be incomplete.
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

    /// Sets the distances from the start of a row (of a block) to the next, in the logits and in the gradient; gaps
    /// are neither read nor written. The last row may end with its elements, or be as long as the stride.
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

    /// The same rows with only some of the classes, and the offset of their first element.
    ///
    /// # Errors
    /// [`Error::ZeroClasses`]; [`Error::Length`] if there are fewer classes.
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

    /// Every `step`-th row (block), starting with the first.
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

    /// The number of logits, without gaps.
    #[must_use]
    pub fn elements(&self) -> usize {
        self.row_count() * self.classes
    }

    /// The length of a slice of logits without any gap after the last row, which may be included.
    ///
    /// # Errors
    /// [`Error::Length`].
    pub fn check(&self, logits: usize) -> Result<usize, Error> {
        self.check_span("logits", self.logits_stride, logits)
    }

    /// The same for a slice with that stride.
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

    /// The start of a row (a block); for the last index, the end.
    pub(crate) fn offset(&self, part: usize, stride: usize) -> usize {
        if part < self.outer { part * stride } else { self.span(stride) }
    }

    /// The first `blocks` blocks.
    pub(crate) fn with_outer(self, outer: usize) -> Self {
        Self { outer, ..self }
    }

    /// The number of rows (blocks) that fit into this number of elements; at least one.
    pub(crate) fn blocks_per_chunk(&self, chunk: usize) -> usize {
        (chunk / (self.classes * self.inner).max(1)).max(1)
    }

    /// The number of chunk-sized pieces that a row can be split into; one if it is not contiguous.
    pub(crate) fn pieces_of_row(&self, chunk: usize) -> usize {
        if self.inner == 1 { (self.classes / chunk).max(1) } else { 1 }
    }

    /// The index of the logit of a class of a row.
    #[must_use]
    pub fn logit_place(&self, row: usize, class: usize) -> usize {
        row / self.inner * self.logits_stride + class * self.inner + row % self.inner
    }

    /// The error for an element of an array with the shape of the logits and no stride.
    pub(crate) fn value_error(&self, of: Values, element: usize, value: f64) -> Error {
        let class = element / self.inner % self.classes;
        Error::Value { of, element, row: Some(self.row_of(element)), class: Some(class), value }
    }

    /// The row of an element of an array of the logits' shape without a stride.
    pub(crate) fn row_of(&self, element: usize) -> usize {
        element / (self.classes * self.inner) * self.inner + element % self.inner
    }

    /// The index of a class of a row in an array with the shape of the logits and no stride.
    #[must_use]
    pub fn place(&self, row: usize, class: usize) -> usize {
        let (outer, position) = (row / self.inner, row % self.inner);
        (outer * self.classes + class) * self.inner + position
    }
}
