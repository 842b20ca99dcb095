//! Logits from views of arrays of `ndarray`, of the versions whose features are on.

use xent_core::{Element, Shape};

use crate::{Error, Logits, LogitsMut};

mod sealed {
    pub trait Sealed {}
}

/// A view of an array with logits: `ArrayView` of `ndarray` 0.17 (feature `ndarray`) or 0.16 (feature
/// `ndarray-0-16`).
pub trait ArrayLogits<'a, E>: sealed::Sealed {
    /// What an axis is in that version of `ndarray`.
    type Axis;

    #[doc(hidden)]
    fn into_logits(self, class_axis: Self::Axis) -> Result<Logits<'a, E>, Error>;
}

/// A view of an array with logits that give their place to their gradient: `ArrayViewMut` of `ndarray` 0.17
/// (feature `ndarray`) or 0.16 (feature `ndarray-0-16`).
pub trait ArrayLogitsMut<'a, E>: sealed::Sealed {
    /// What an axis is in that version of `ndarray`.
    type Axis;

    #[doc(hidden)]
    fn into_logits(self, class_axis: Self::Axis) -> Result<LogitsMut<'a, E>, Error>;
}

impl<'a, E: Element> Logits<'a, E> {
    /// The logits of a view whose classes are along `class_axis`; its other axes, in order, are the
    /// rows. No copy is made: the view must be contiguous in memory, in the order of its axes but
    /// for the class axis, which may be anywhere (so a transposed matrix will do).
    ///
    /// Targets and gradients that are not one a row are read and written in the same order of
    /// memory: `as_slice_memory_order` of an array of the same strides.
    ///
    /// Of a view that leaves elements out ([`narrow`](Self::narrow) and [`every`](Self::every) choose them),
    /// safe code has no slice: the elements between belong to somebody else.
    ///
    #[cfg_attr(
        feature = "ndarray",
        doc = r"
```
use ndarray::{Axis, array};
use xent::{Logits, SoftmaxCrossEntropy, Targets};

let x = array![[2.0_f32, 1.0, 0.0], [0.0, 3.0, 0.0]];
let (targets, loss) = (Targets::index(&[0_u8, 1]), SoftmaxCrossEntropy::new());
let rows = loss.loss(Logits::from_array(x.view(), Axis(1))?, targets)?;

let columns = x.t().as_standard_layout().into_owned();
assert_eq!(loss.loss(Logits::from_array(columns.view(), Axis(0))?, targets)?, rows);

// As of `x.slice(s![.., ..2])`.
let two = Logits::from_array(x.view(), Axis(1))?.narrow(0..2)?;
assert_eq!((two.rows(), two.classes()), (2, 2));
# Ok::<(), xent::Error>(())
```
"
    )]
    /// # Errors
    /// [`Error::Layout`] if the view is not laid out like that, with what to do; [`Error::Input`] if it has
    /// no classes.
    pub fn from_array<A: ArrayLogits<'a, E>>(view: A, class_axis: A::Axis) -> Result<Self, Error> {
        view.into_logits(class_axis)
    }
}

impl<'a, E: Element> LogitsMut<'a, E> {
    /// As [`Logits::from_array`]; the gradient takes the place of the logits.
    ///
    /// # Errors
    /// As [`Logits::from_array`].
    pub fn from_array<A: ArrayLogitsMut<'a, E>>(
        view: A,
        class_axis: A::Axis,
    ) -> Result<Self, Error> {
        view.into_logits(class_axis)
    }
}

/// The views of a version of `ndarray`.
macro_rules! views {
    ($ndarray:ident) => {
        impl<E, D: $ndarray::Dimension> sealed::Sealed for $ndarray::ArrayView<'_, E, D> {}

        impl<'a, E: Element, D: $ndarray::Dimension> ArrayLogits<'a, E>
            for $ndarray::ArrayView<'a, E, D>
        {
            type Axis = $ndarray::Axis;

            fn into_logits(self, class_axis: $ndarray::Axis) -> Result<Logits<'a, E>, Error> {
                let layout = Layout::of(self.shape(), self.strides(), class_axis.index())?;
                // `to_slice` keeps the lifetime, but takes standard layout only; so sort the axes first.
                let sorted = self.into_dyn().permuted_axes(layout.order);
                Logits::of(sorted.to_slice().ok_or(GAPS)?, layout.shape)
            }
        }

        impl<E, D: $ndarray::Dimension> sealed::Sealed for $ndarray::ArrayViewMut<'_, E, D> {}

        impl<'a, E: Element, D: $ndarray::Dimension> ArrayLogitsMut<'a, E>
            for $ndarray::ArrayViewMut<'a, E, D>
        {
            type Axis = $ndarray::Axis;

            fn into_logits(self, class_axis: $ndarray::Axis) -> Result<LogitsMut<'a, E>, Error> {
                let layout = Layout::of(self.shape(), self.strides(), class_axis.index())?;
                let sorted = self.into_dyn().permuted_axes(layout.order);
                LogitsMut::of(sorted.into_slice().ok_or(GAPS)?, layout.shape)
            }
        }
    };
}
#[cfg(feature = "ndarray")]
views!(ndarray);
#[cfg(feature = "ndarray-0-16")]
views!(ndarray_0_16);

const GAPS: Error = Error::Layout {
    reason: "the view leaves elements of the array out: give the whole array, and choose its classes with \
             `narrow` and its rows with `every`, or copy the view with `to_owned`",
};
const BACKWARDS: Error = Error::Layout {
    reason: "an axis has a negative stride, it runs backwards in memory: turn it round with `invert_axis`, and \
             the labels too, or copy the view with `to_owned`",
};
const BROADCAST: Error = Error::Layout {
    reason: "an axis has a stride of 0, its elements are all the same in memory (a broadcast): copy the view \
             with `to_owned`",
};
const ORDER: Error = Error::Layout {
    reason: "the axes of the rows are in another order in memory than in the view: copy the view with \
             `as_standard_layout`",
};
const NO_AXIS: Error = Error::Layout { reason: "the array has no such class axis" };

/// Where the elements of a contiguous array are.
struct Layout {
    shape: Shape,
    /// The axes from the longest stride to the shortest; those of one element stay in order.
    order: Vec<usize>,
}

impl Layout {
    fn of(lengths: &[usize], strides: &[isize], class_axis: usize) -> Result<Self, Error> {
        let classes = *lengths.get(class_axis).ok_or(NO_AXIS)?;
        // An axis of one element has no direction, and an array without elements no memory.
        let some = !lengths.contains(&0);
        let mut long = strides.iter().zip(lengths).filter(|&(_, &length)| some && length > 1);
        if let Some((&stride, _)) = long.find(|&(&stride, _)| stride <= 0) {
            return Err(if stride < 0 { BACKWARDS } else { BROADCAST });
        }
        let mut order: Vec<usize> = (0..lengths.len()).collect();
        let stride = |axis: usize| if lengths[axis] == 1 { 0 } else { strides[axis] };
        order.sort_by_key(|&axis| std::cmp::Reverse(stride(axis)));
        let of_rows = |axis: &&usize| **axis != class_axis && lengths[**axis] > 1;
        if !order.iter().filter(of_rows).is_sorted() {
            return Err(ORDER);
        }
        let place = order.iter().position(|&axis| axis == class_axis).ok_or(NO_AXIS)?;
        let product = |axes: &[usize]| axes.iter().map(|&axis| lengths[axis]).product::<usize>();
        let (before, after) = (product(&order[..place]), product(&order[place + 1..]));
        // A single class may be read anywhere: its rows are one after the other.
        let (outer, inner) = if classes == 1 { (before * after, 1) } else { (before, after) };
        Ok(Self { shape: Shape::columns(outer, classes, inner)?, order })
    }
}
