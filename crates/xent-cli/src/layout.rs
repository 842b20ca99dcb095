//! The rows and classes of an array.

use std::io::{self, Write};

use serde::Serialize;
use xent::{Error, Logits};

use crate::args::LossName;
use crate::array::Array;
use crate::failure::Failure;
use crate::number::Input;

/// Bytes of inputs that are computed at a time, in the format of the computation, unless a row is longer. As many are
/// read meanwhile.
const PART: usize = 1 << 23;
/// The most numbers of a column-major array that are computed in place, all at once; a larger array is transposed
/// part by part.
const COLUMNS: usize = 1 << 24;

/// Up to this number of classes, columns of 16-bit formats support everything that rows do.
const WHOLE_COLUMNS: usize = 1 << 12;

/// The place of the rows in an array.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    /// As in the file.
    pub(crate) shape: Vec<usize>,
    pub(crate) outer: usize,
    pub(crate) classes: usize,
    pub(crate) inner: usize,
    /// As in the file. If there is one input a row without such an axis, this is the number of axes.
    pub(crate) class_axis: usize,
    /// Whether the axes are reversed in memory.
    pub(crate) is_transposed: bool,
}

impl Layout {
    pub(crate) fn of(array: &Array, class_axis: Option<usize>) -> Result<Self, Failure> {
        let shape = array.shape().to_vec();
        let class_axis = class_axis.unwrap_or(shape.len());
        if class_axis == shape.len() {
            let (outer, classes, inner) = (shape.iter().product(), 1, 1);
            return Ok(Self { shape, outer, classes, inner, class_axis, is_transposed: false });
        }
        let classes = shape[class_axis];
        if classes == 0 {
            let reason = format!("no classes: shape {shape:?}, class axis {class_axis}");
            return Err(Failure::file(array.path(), reason));
        }
        let outer = shape[..class_axis].iter().product();
        let inner = shape[class_axis + 1..].iter().product();
        Ok(Self { shape, outer, classes, inner, class_axis, is_transposed: false })
    }

    /// Reverses the axes. The rows keep their order, because at most one axis of rows has more than one element.
    pub(crate) fn transpose(&mut self) {
        if self.class_axis < self.shape.len() {
            std::mem::swap(&mut self.outer, &mut self.inner);
        }
        self.is_transposed = !self.is_transposed;
    }

    /// Whether [`transpose`](Self::transpose) may be called for inputs of this type, and the whole array held in
    /// memory.
    pub(crate) fn may_be_transposed<N>(&self) -> bool {
        let rows = self.rows_shape();
        let long = rows.iter().filter(|length| **length > 1).count();
        let elements: usize = self.shape.iter().product();
        let is_whole = size_of::<N>() > 2 || self.classes <= WHOLE_COLUMNS;
        long <= 1 && elements <= COLUMNS && is_whole
    }

    pub(crate) fn rows(&self) -> usize {
        self.outer * self.inner
    }

    /// The row of an element, in memory order.
    pub(crate) fn row_of(&self, element: usize) -> usize {
        element / (self.classes * self.inner) * self.inner + element % self.inner
    }

    /// The place of an element in the file's array, in row-major order, counted from the first element of a part
    /// that starts with a row.
    pub(crate) fn place(&self, first_row: usize, element: usize) -> usize {
        let element = first_row * self.classes + element;
        if !self.is_transposed {
            return element;
        }
        // Two axes, reversed.
        let count = self.rows() * self.classes;
        let second = self.shape.iter().rev().copied().find(|length| *length > 1).unwrap_or(1);
        let first = count / second.max(1);
        element % first * second + element / first
    }

    /// The shape without the class axis.
    pub(crate) fn rows_shape(&self) -> Vec<usize> {
        without(&self.shape, self.class_axis)
    }

    /// Blocks that are read at a time.
    pub(crate) fn part<N: Input>(&self) -> usize {
        let inputs = PART / size_of::<N::Float>();
        (inputs / (self.classes * self.inner).max(1)).clamp(1, self.outer.max(1))
    }

    /// The block ranges of all parts, in order.
    pub(crate) fn parts<N: Input>(&self) -> impl Iterator<Item = usize> + use<N> {
        let (outer, part) = (self.outer, self.part::<N>());
        (0..outer).step_by(part).map(move |first| part.min(outer - first))
    }

    pub(crate) fn logits<'a, N: Input>(
        &self,
        values: &'a [N],
        outer: usize,
    ) -> Result<Logits<'a, N>, Error> {
        Logits::with_columns(values, outer, self.classes, self.inner)
    }
}

/// The class axis, and how it was chosen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct ClassAxis {
    /// None if there is one input a row without such an axis.
    #[serde(rename = "class_axis")]
    pub(crate) axis: Option<usize>,
    /// Other axes that the shapes would fit, if none was asked for.
    #[serde(rename = "other_class_axes")]
    pub(crate) others: Vec<usize>,
}

impl ClassAxis {
    /// The axis that was asked for. Otherwise the last one, if the targets (where there are any) fit it and their
    /// shapes are not ambiguous.
    pub(crate) fn of(
        input: &Array,
        asked: Option<isize>,
        loss: LossName,
        targets: Option<&Array>,
    ) -> Result<Self, Failure> {
        let shape = input.shape();
        let fail = |reason: String| Err(Failure::file(input.path(), reason));
        if shape.len() == 1 && loss.is_of_elements() {
            return Ok(Self { axis: None, others: Vec::new() });
        }
        let axes = shape.len() as isize;
        if let Some(asked) = asked {
            let axis = if asked < 0 { asked + axes } else { asked };
            if !(0..axes).contains(&axis) {
                return fail(format!("shape {shape:?} has no class axis {asked}"));
            }
            return Ok(Self { axis: Some(axis.unsigned_abs()), others: Vec::new() });
        }
        let Some(last) = shape.len().checked_sub(1) else {
            return fail(format!("no class axis: shape {shape:?}"));
        };
        let long = |axis: &usize| shape[*axis] > 1;
        let is_cube = (0..shape.len()).filter(long).count() > 2;
        let fits = |axis: &usize| match targets {
            Some(targets) if !is_for_each_input(targets, shape, *axis) => {
                same_but_for_ones(&without(shape, *axis), targets.shape())
            }
            // Targets of the input's shape fit any axis. For a matrix it is the last.
            _ => is_cube && !loss.is_of_elements() && long(axis),
        };
        let others: Vec<usize> = (0..last).filter(fits).collect();
        let Some(targets) = targets.filter(|targets| !is_for_each_input(targets, shape, last))
        else {
            return Ok(Self { axis: Some(last), others });
        };
        let fits_last = fits(&last);
        if others.is_empty() || (fits_last && !is_cube) {
            // Targets that do not fit are reported when they are examined.
            return Ok(Self { axis: Some(last), others });
        }
        let list = |axes: &[usize]| {
            axes.iter().map(|axis| format!("--class-axis {axis}")).collect::<Vec<_>>().join(" or ")
        };
        let mut all = others;
        all.extend(fits_last.then_some(last));
        let (of, shape, rows) = (targets.shape(), input.shape(), without(shape, last));
        Err(Failure::file(
            targets.path(),
            if fits_last {
                format!(
                    "its shape {of:?} fits several class axes of the input's {shape:?}: give {}",
                    list(&all)
                )
            } else {
                format!(
                    "expected labels of shape {rows:?}, since the classes of the input's {shape:?} are on the \
                     last axis; found {of:?}, which fits {}",
                    list(&all)
                )
            },
        ))
    }
}

impl ClassAxis {
    /// Reports on stderr which axis was chosen, if the shapes left a choice.
    pub(crate) fn tell(&self) {
        let Self { axis, others } = self;
        if let Some(axis) = axis
            && !others.is_empty()
        {
            // If stderr is closed, the result is still the same.
            let _ = writeln!(
                io::stderr(),
                "xent: note: the classes are taken along axis {axis}, the last; the shapes fit {others:?}, \
                 too: choose with --class-axis"
            );
        }
    }
}

/// Whether the targets have one number for each input, rather than one for each row.
pub(crate) fn is_for_each_input(targets: &Array, shape: &[usize], class_axis: usize) -> bool {
    let rows = without(shape, class_axis);
    targets.shape() == shape
        || same_but_for_ones(targets.shape(), shape)
            && !(targets.shape() == rows || same_but_for_ones(targets.shape(), &rows))
}

/// The shape without that axis.
pub(crate) fn without(shape: &[usize], axis: usize) -> Vec<usize> {
    let mut shape = shape.to_vec();
    if axis < shape.len() {
        shape.remove(axis);
    }
    shape
}

/// Whether two shapes differ only in axes of length one, which do not change the place of any element.
pub(crate) fn same_but_for_ones(a: &[usize], b: &[usize]) -> bool {
    let long = |length: &&usize| **length != 1;
    a.iter().filter(long).eq(b.iter().filter(long))
}
