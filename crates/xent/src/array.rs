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

#[cfg(test)]
mod tests {
    use ndarray::{Array2, Array3, Slice};

    use super::*;

    fn numbers(shape: (usize, usize, usize)) -> Array3<f32> {
        let count = shape.0 * shape.1 * shape.2;
        Array3::from_shape_vec(shape, (0..count).map(|i| i as f32).collect()).expect("that many")
    }

    #[test]
    fn the_class_axis_may_be_anywhere() {
        let x = numbers((2, 3, 5));
        for (axis, shape) in [
            (0, Shape::columns(1, 2, 15)),
            (1, Shape::columns(2, 3, 5)),
            (2, Shape::columns(6, 5, 1)),
        ] {
            let logits = Logits::from_array(x.view(), Axis(axis)).expect("contiguous");
            assert_eq!(logits.shape, shape.expect("small"));
        }
    }

    #[test]
    fn a_transposed_matrix_is_read_as_it_is() {
        let x = Array2::from_shape_vec((2, 3), vec![0.0_f32, 1.0, 2.0, 3.0, 4.0, 5.0]).unwrap();
        // Seen as three rows of two classes, whose class axis is the longest stride.
        let logits = Logits::from_array(x.t(), Axis(1)).expect("contiguous");
        assert_eq!(logits.shape, Shape::columns(1, 2, 3).expect("small"));
        assert_eq!(logits.get(1, 0), x[[0, 1]]);
    }

    #[test]
    fn what_would_need_a_copy_is_refused() {
        let x = numbers((2, 3, 5));
        let gaps = x.slice_axis(Axis(2), Slice::from(..4));
        assert_eq!(Logits::from_array(gaps, Axis(2)).unwrap_err(), Error::Layout);
        let mut reversed = x.view();
        reversed.invert_axis(Axis(0));
        assert_eq!(Logits::from_array(reversed, Axis(2)).unwrap_err(), Error::Layout);
        // Rows in another order than their labels.
        let swapped = x.view().permuted_axes([2, 1, 0]);
        assert_eq!(Logits::from_array(swapped, Axis(1)).unwrap_err(), Error::Layout);
        assert_eq!(Logits::from_array(x.view(), Axis(3)).unwrap_err(), Error::Layout);
    }

    #[test]
    fn one_class_is_a_row_for_each_element() {
        let x = numbers((4, 1, 3));
        let logits = Logits::from_array(x.view(), Axis(1)).expect("contiguous");
        assert_eq!(logits.shape, Shape::rows(12, 1).expect("small"));
    }

    #[test]
    fn a_gradient_takes_the_place_of_an_array() {
        let mut x = Array2::<f32>::zeros((2, 2));
        let logits = LogitsMut::from_array(x.view_mut(), Axis(1)).expect("contiguous");
        let loss = crate::SoftmaxCrossEntropy::new().with_reduction(crate::Reduction::Sum);
        loss.loss_and_grad_in_place(logits, crate::Targets::index(&[0_u8, 1])).expect("valid");
        assert_eq!(x, ndarray::array![[-0.5, 0.5], [0.5, -0.5]]);
    }
}
