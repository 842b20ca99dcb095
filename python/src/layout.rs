//! Where the logits of a row are in an array.

use pyo3::PyResult;
use xent::{InputError, Shape};

use crate::array::Array;
use crate::errors::value_error;

/// The layout of an array of logits whose rows can be read where they are.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    /// The axis of the classes; the length of the shape if every number is a row of its own.
    axis: usize,
    has_axis: bool,
    /// How many of the other axes come before it in memory.
    before: usize,
    rows: Vec<usize>,
    classes: usize,
    /// From the start of one row to the next, in numbers; `None` if the classes of a row are not next to each other.
    stride: Option<usize>,
    /// The lengths of the axes before and after that of the classes, in memory.
    outer: usize,
    inner: usize,
}

/// An axis that has more than one position.
struct Axis {
    length: usize,
    stride: usize,
}

/// Whether stepping over the last axis to its end is one step of that before it, and so on.
fn follow(axes: &[Axis]) -> bool {
    axes.windows(2).all(|pair| pair[0].stride == pair[1].stride * pair[1].length)
}

fn product(axes: &[Axis]) -> usize {
    axes.iter().map(|axis| axis.length).product()
}

impl Layout {
    /// Of an array with the classes on this axis, or with one class a row (`None`). No layout if rows would have to
    /// be copied to be read.
    pub(crate) fn of(array: &Array<'_>, axis: Option<usize>) -> Option<Self> {
        let (shape, size) = (array.shape(), array.item_size());
        let has_axis = axis.is_some();
        let axis = axis.unwrap_or(shape.len());
        let classes = shape.get(axis).copied().unwrap_or(1);
        let mut rows = shape.to_vec();
        if has_axis {
            rows.remove(axis);
        }
        let count = rows.len();
        let layout = move |before, stride, outer, inner| {
            Some(Self { axis, has_axis, before, rows, classes, stride, outer, inner })
        };
        if array.len() == 0 || (axis == count && array.is_contiguous()) {
            let outer = shape.iter().enumerate().filter(|(at, _)| *at != axis);
            let outer = outer.map(|(_, length)| length).product();
            return layout(count, Some(classes), outer, 1);
        }
        let strides: Vec<usize> =
            array.strides().iter().map(|stride| stride.unsigned_abs() / size).collect();
        let is_whole = array.strides().iter().all(|stride| stride.unsigned_abs() % size == 0);
        let one = |at: usize| Axis { length: shape[at], stride: strides[at] };
        // Axes of length one are wherever they are wanted; the others keep their order.
        let others = || (0..shape.len()).filter(|at| *at != axis && shape[*at] != 1);
        let of_rows: Vec<Axis> = others().map(one).collect();
        let class_stride = strides.get(axis).copied().unwrap_or(1);
        if !is_whole || of_rows.iter().any(|axis| axis.stride == 0) {
            return None;
        }
        if (classes == 1 || class_stride == 1) && follow(&of_rows) {
            let stride = of_rows.last().map_or(classes, |axis| axis.stride);
            // Rows that share memory are copied.
            return if stride < classes {
                None
            } else {
                layout(count, Some(stride), product(&of_rows), 1)
            };
        }
        let before = of_rows.iter().take_while(|axis| axis.stride > class_stride).count();
        let (outer, inner) = of_rows.split_at(before);
        let (length, outer_length) = (product(inner), product(outer));
        let is_dense = follow(inner)
            && inner.last().is_none_or(|axis| axis.stride == 1)
            && class_stride == length
            && follow(outer)
            && outer.last().is_none_or(|axis| axis.stride == length * classes);
        // Counted among all other axes.
        let before = others().take(before).last().map_or(0, |at| at + 1 - usize::from(at > axis));
        if is_dense { layout(before, None, outer_length, length) } else { None }
    }

    /// Of an array with these axes in the same order, without gaps.
    pub(crate) fn without_gaps(&self) -> Self {
        Self { stride: self.stride.map(|_| self.classes), ..self.clone() }
    }

    /// For the logits, with this stride of the gradient.
    pub(crate) fn shape(&self, of_gradient: usize) -> Result<Shape, InputError> {
        match self.stride {
            Some(stride) => {
                let rows = Shape::rows(self.outer, self.classes)?;
                // One row has no stride.
                if self.outer < 2 { Ok(rows) } else { rows.with_strides(stride, of_gradient) }
            }
            None => Shape::columns(self.outer, self.classes, self.inner),
        }
    }

    /// Of rows, from one to the next.
    pub(crate) fn stride(&self) -> usize {
        self.stride.unwrap_or(self.classes)
    }

    /// Whether a gradient with that layout can be written with these logits.
    pub(crate) fn goes_with(&self, gradient: &Self) -> bool {
        (self.axis, &self.rows, self.classes) == (gradient.axis, &gradient.rows, gradient.classes)
            && self.stride.is_some() == gradient.stride.is_some()
            && (self.stride.is_some() || self.before == gradient.before)
    }

    /// The shape of what there is one of for each row.
    pub(crate) fn rows(&self) -> &[usize] {
        &self.rows
    }

    /// The axis of the classes, if there is one.
    pub(crate) fn axis(&self) -> Option<usize> {
        self.has_axis.then_some(self.axis)
    }

    pub(crate) fn classes(&self) -> usize {
        self.classes
    }

    /// The axes in the order of the memory, if that is another than that of the indices.
    pub(crate) fn order(&self) -> Option<Vec<usize>> {
        (self.axis != self.before).then(|| {
            let mut order: Vec<usize> =
                (0..=self.rows.len()).filter(|at| *at != self.axis).collect();
            order.insert(self.before, self.axis);
            order
        })
    }
}

/// The order that undoes another.
pub(crate) fn inverse(order: &[usize]) -> Vec<usize> {
    let mut inverse = vec![0; order.len()];
    for (at, axis) in order.iter().enumerate() {
        inverse[*axis] = at;
    }
    inverse
}

/// The axis from the front.
pub(crate) fn axis_of(axis: isize, dimensions: usize) -> PyResult<usize> {
    let from_front = if axis < 0 { axis + dimensions as isize } else { axis };
    usize::try_from(from_front).ok().filter(|axis| *axis < dimensions).ok_or_else(|| {
        let problem = format!("there is no axis {axis} in logits of {dimensions} dimensions");
        value_error("axis", problem)
    })
}
