//! Logits from `ndarray` views.

use ndarray::{ArrayView, ArrayViewMut, Axis, Dimension};
use xent_core::{Element, Shape};

use crate::{Error, Logits, LogitsMut};

impl<'a, E: Element> Logits<'a, E> {
    /// The logits of a view whose classes are along `class_axis`; its other axes, in order, are the
    /// rows. No copy is made: the view must be contiguous in memory, in the order of its axes but
    /// for the class axis, which may be anywhere (so a transposed matrix will do).
    ///
    /// Targets and gradients that are not one a row are read and written in the same order of
    /// memory: `as_slice_memory_order` of an array of the same strides.
    ///
    /// ```
    /// use ndarray::{Axis, array};
    /// use xent::{Logits, SoftmaxCrossEntropy, Targets};
    ///
    /// let x = array![[2.0_f32, 1.0, 0.0], [0.0, 3.0, 0.0]];
    /// let (targets, loss) = (Targets::index(&[0_u8, 1]), SoftmaxCrossEntropy::new());
    /// let rows = loss.loss(Logits::from_array(x.view(), Axis(1))?, targets)?;
    ///
    /// let columns = x.t().as_standard_layout().into_owned();
    /// assert_eq!(loss.loss(Logits::from_array(columns.view(), Axis(0))?, targets)?, rows);
    /// # Ok::<(), xent::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Layout`] if the view is not laid out like that; [`Error::Input`] if it has no
    /// classes.
    pub fn from_array<D: Dimension>(
        view: ArrayView<'a, E, D>,
        class_axis: Axis,
    ) -> Result<Self, Error> {
        let shape = shape(view.shape(), view.strides(), class_axis)?;
        // `to_slice` keeps the lifetime, but takes standard layout only; so sort the axes first.
        let order = memory_order(view.shape(), view.strides());
        let sorted = view.into_dyn().permuted_axes(order);
        Self::of(sorted.to_slice().ok_or(Error::Layout)?, shape)
    }
}

impl<'a, E: Element> LogitsMut<'a, E> {
    /// As [`Logits::from_array`]; the gradient takes the place of the logits.
    ///
    /// # Errors
    /// As [`Logits::from_array`].
    pub fn from_array<D: Dimension>(
        view: ArrayViewMut<'a, E, D>,
        class_axis: Axis,
    ) -> Result<Self, Error> {
        let shape = shape(view.shape(), view.strides(), class_axis)?;
        let order = memory_order(view.shape(), view.strides());
        let sorted = view.into_dyn().permuted_axes(order);
        Self::of(sorted.into_slice().ok_or(Error::Layout)?, shape)
    }
}

/// The axes from the longest stride to the shortest; those of one element stay in order.
fn memory_order(lengths: &[usize], strides: &[isize]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..lengths.len()).collect();
    order
        .sort_by_key(|&axis| std::cmp::Reverse(if lengths[axis] == 1 { 0 } else { strides[axis] }));
    order
}

/// The rows and columns of a contiguous array.
fn shape(lengths: &[usize], strides: &[isize], class_axis: Axis) -> Result<Shape, Error> {
    let class_axis = class_axis.index();
    let classes = *lengths.get(class_axis).ok_or(Error::Layout)?;
    if strides.iter().zip(lengths).any(|(&stride, &length)| stride < 0 && length > 1) {
        return Err(Error::Layout);
    }
    let order = memory_order(lengths, strides);
    let long = |axis: &&usize| **axis != class_axis && lengths[**axis] > 1;
    if !order.iter().filter(long).is_sorted() {
        return Err(Error::Layout);
    }
    let place = order.iter().position(|&axis| axis == class_axis).ok_or(Error::Layout)?;
    let product = |axes: &[usize]| axes.iter().map(|&axis| lengths[axis]).product::<usize>();
    let (before, after) = (product(&order[..place]), product(&order[place + 1..]));
    // A single class may be read anywhere: its rows are one after the other.
    let (outer, inner) = if classes == 1 { (before * after, 1) } else { (before, after) };
    Ok(Shape::columns(outer, classes, inner)?)
}
