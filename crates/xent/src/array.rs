//! Logits and targets from arrays of `ndarray`, for the versions whose features are on.

use xent_core::{Element, Shape};

use crate::{Error, IntoLogits, IntoLogitsMut, IntoTargets, Logits, LogitsMut, Targets};

impl<'a, E: Element> Logits<'a, E> {
    /// The logits of a view whose classes are along `class_axis`; its other axes, in order, are the rows. Nothing
    /// is copied, so the view must be contiguous in memory, in the order of its axes except for the class axis,
    /// which may be anywhere (so a transposed matrix works).
    ///
    /// Targets and gradients that have one value for each logit are read and written in the same memory order: use
    /// `as_slice_memory_order` of an array with the same strides.
    ///
    /// A loss also takes the pair of a view and its axis, or a reference to a matrix whose last axis is the classes
    /// ([`IntoLogits`]).
    ///
    /// A view that skips elements is rejected, because safe code has no slice for it: the elements between belong
    /// to someone else. Use [`narrow`](Self::narrow) and [`every`](Self::every) instead.
    ///
    #[cfg_attr(
        feature = "ndarray",
        doc = r"
```
use ndarray::{Axis, array};
use xent::{Logits, SoftmaxCrossEntropy};

let x = array![[2.0_f32, 1.0, 0.0], [0.0, 3.0, 0.0]];
let (labels, loss) = (array![0, 1], SoftmaxCrossEntropy::new());
let rows = loss.loss(&x, &labels)?;
assert_eq!(loss.loss(Logits::from_array(x.view(), Axis(1))?, &labels)?, rows);

let columns = x.t().as_standard_layout().into_owned();
assert_eq!(loss.loss((columns.view(), Axis(0)), &labels)?, rows);

// As of `x.slice(s![.., ..2])`.
let two = Logits::from_array(x.view(), Axis(1))?.narrow(0..2)?;
assert_eq!((two.rows(), two.classes()), (2, 2));
# Ok::<(), xent::Error>(())
```
"
    )]
    /// # Errors
    /// [`Error::Layout`] if the view does not have this layout, with a remedy; [`Error::Input`] if it has no
    /// classes.
    pub fn from_array<A, Axis>(view: A, class_axis: Axis) -> Result<Self, Error>
    where
        (A, Axis): IntoLogits<'a, Element = E>,
    {
        (view, class_axis).into_logits()
    }
}

impl<'a, E: Element> LogitsMut<'a, E> {
    /// As [`Logits::from_array`]; the gradient overwrites the logits.
    ///
    /// # Errors
    /// As [`Logits::from_array`].
    pub fn from_array<A, Axis>(view: A, class_axis: Axis) -> Result<Self, Error>
    where
        (A, Axis): IntoLogitsMut<'a, Element = E>,
    {
        (view, class_axis).into_logits_mut()
    }
}

/// The arrays of one version of `ndarray`.
macro_rules! arrays {
    ($ndarray:ident) => {
        impl<'a, E: Element, D: $ndarray::Dimension> IntoLogits<'a>
            for ($ndarray::ArrayView<'a, E, D>, $ndarray::Axis)
        {
            type Element = E;

            fn into_logits(self) -> Result<Logits<'a, E>, Error> {
                let (view, class_axis) = self;
                let layout = Layout::of(view.shape(), view.strides(), class_axis.index())?;
                // `to_slice` keeps the lifetime, but only takes the standard layout, so the axes are sorted first.
                let sorted = view.into_dyn().permuted_axes(layout.order);
                Logits::with_layout(sorted.to_slice().ok_or(GAPS)?, layout.shape)
            }
        }

        impl<'a, E: Element, D: $ndarray::Dimension> IntoLogitsMut<'a>
            for ($ndarray::ArrayViewMut<'a, E, D>, $ndarray::Axis)
        {
            type Element = E;

            fn into_logits_mut(self) -> Result<LogitsMut<'a, E>, Error> {
                let (view, class_axis) = self;
                let layout = Layout::of(view.shape(), view.strides(), class_axis.index())?;
                let sorted = view.into_dyn().permuted_axes(layout.order);
                LogitsMut::with_layout(sorted.into_slice().ok_or(GAPS)?, layout.shape)
            }
        }

        /// A matrix with a row of the batch in each row.
        impl<'a, E: Element> IntoLogits<'a> for $ndarray::ArrayView2<'a, E> {
            type Element = E;

            fn into_logits(self) -> Result<Logits<'a, E>, Error> {
                (self, $ndarray::Axis(1)).into_logits()
            }
        }

        /// A matrix with a row of the batch in each row.
        impl<'a, E: Element> IntoLogitsMut<'a> for $ndarray::ArrayViewMut2<'a, E> {
            type Element = E;

            fn into_logits_mut(self) -> Result<LogitsMut<'a, E>, Error> {
                (self, $ndarray::Axis(1)).into_logits_mut()
            }
        }

        /// A matrix with a row of the batch in each row.
        impl<'a, E: Element, S: $ndarray::Data<Elem = E>> IntoLogits<'a>
            for &'a $ndarray::ArrayBase<S, $ndarray::Ix2>
        {
            type Element = E;

            fn into_logits(self) -> Result<Logits<'a, E>, Error> {
                self.view().into_logits()
            }
        }

        /// A matrix with a row of the batch in each row.
        impl<'a, E: Element, S: $ndarray::DataMut<Elem = E>> IntoLogitsMut<'a>
            for &'a mut $ndarray::ArrayBase<S, $ndarray::Ix2>
        {
            type Element = E;

            fn into_logits_mut(self) -> Result<LogitsMut<'a, E>, Error> {
                self.view_mut().into_logits_mut()
            }
        }

        impl<'a, F, T> IntoTargets<'a, F> for $ndarray::ArrayView1<'a, T>
        where
            &'a [T]: IntoTargets<'a, F>,
        {
            fn into_targets(self) -> Result<Targets<'a, F>, Error> {
                self.to_slice().ok_or(SCATTERED)?.into_targets()
            }
        }

        impl<'a, F, T: 'a, S: $ndarray::Data<Elem = T>> IntoTargets<'a, F>
            for &'a $ndarray::ArrayBase<S, $ndarray::Ix1>
        where
            &'a [T]: IntoTargets<'a, F>,
        {
            fn into_targets(self) -> Result<Targets<'a, F>, Error> {
                self.view().into_targets()
            }
        }
    };
}
#[cfg(feature = "ndarray")]
arrays!(ndarray);
#[cfg(feature = "ndarray-0-16")]
arrays!(ndarray_0_16);

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
const SCATTERED: Error = Error::Layout {
    reason: "the elements of the targets are not neighbours in memory, in their order: copy the view with `to_owned`",
};
const NO_AXIS: Error = Error::Layout { reason: "the array has no such class axis" };

/// The memory layout of a contiguous array's elements.
struct Layout {
    shape: Shape,
    /// The axes from the longest stride to the shortest; axes of length one stay in order.
    order: Vec<usize>,
}

impl Layout {
    fn of(lengths: &[usize], strides: &[isize], class_axis: usize) -> Result<Self, Error> {
        let classes = *lengths.get(class_axis).ok_or(NO_AXIS)?;
        // An axis of length one has no direction, and an array without elements no memory.
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
        // A single class may be anywhere: its rows are contiguous.
        let (outer, inner) = if classes == 1 { (before * after, 1) } else { (before, after) };
        Ok(Self { shape: Shape::columns(outer, classes, inner)?, order })
    }
}
