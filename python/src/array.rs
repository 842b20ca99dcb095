//! Arrays of NumPy, and tensors, as slices.

use std::ops::Range;
use std::rc::Rc;

use numpy::npyffi::{self, NPY_ARRAY_ALIGNED, NPY_ARRAY_WRITEABLE, PY_ARRAY_API, npy_intp};
use numpy::{PyArrayDescrMethods, PyUntypedArray, PyUntypedArrayMethods};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyTuple;

use crate::dlpack::{self, View};
use crate::dtype::{Dtype, Stored};

/// An array in the memory of this machine: native byte order, aligned, without an axis that goes backwards.
#[derive(Clone, Debug)]
pub(crate) struct Array<'py> {
    source: Source<'py>,
    pub(crate) dtype: Dtype,
    /// What the caller gave, if this was made of it.
    given: Option<Given<'py>>,
}

/// Something with its addresses, which nothing else gets while it is there.
#[derive(Clone, Debug)]
struct Given<'py> {
    addresses: Range<usize>,
    _object: Bound<'py, PyAny>,
}

/// Whose memory it is.
#[derive(Clone, Debug)]
enum Source<'py> {
    Numpy(Bound<'py, PyUntypedArray>),
    Tensor(Bound<'py, PyAny>, Rc<View>),
}

/// The functions of `xent._arrays` that make an array of anything else.
struct Helpers {
    to_numpy: Py<PyAny>,
    to_output: Py<PyAny>,
}

fn helpers(py: Python<'_>) -> PyResult<&'static Helpers> {
    static HELPERS: PyOnceLock<Helpers> = PyOnceLock::new();
    HELPERS.get_or_try_init(py, || {
        let module = py.import("xent._arrays")?;
        let of_name = |name| module.getattr(name).map(Bound::unbind);
        Ok(Helpers { to_numpy: of_name("to_numpy")?, to_output: of_name("to_output")? })
    })
}

/// An array of NumPy, of the same memory where that is possible.
fn to_numpy<'py>(
    object: &Bound<'py, PyAny>,
    argument: &str,
) -> PyResult<Bound<'py, PyUntypedArray>> {
    let py = object.py();
    Ok(helpers(py)?.to_numpy.bind(py).call1((object, argument))?.cast_into()?)
}

impl<'py> Array<'py> {
    /// What was given as an argument. Only what cannot be read as it is is copied.
    pub(crate) fn of(object: &Bound<'py, PyAny>, argument: &str) -> PyResult<Self> {
        match object.cast_exact::<PyUntypedArray>() {
            Ok(array) if is_plain(array) => return Self::of_numpy(array.clone(), argument),
            Ok(_) => {}
            Err(_) => {
                if let Some(view) = dlpack::view(object) {
                    return Ok(Self::of_tensor(object, view));
                }
            }
        }
        // A subclass may mean something else by its memory: the mask of a masked array would be lost.
        let given = match object.cast::<PyUntypedArray>() {
            Ok(array) => Some(addresses(array)),
            Err(_) => dlpack::describe(object).as_ref().map(addresses_of),
        };
        let given = given.map(|addresses| Given { addresses, _object: object.clone() });
        let array = Self::of_numpy(to_numpy(object, argument)?, argument)?;
        Ok(Self { given, ..array })
    }

    /// An array for results, which is written where it is: it is never a copy.
    pub(crate) fn of_output(object: &Bound<'py, PyAny>, argument: &str) -> PyResult<Self> {
        let array = match object.cast_exact::<PyUntypedArray>() {
            Ok(array) => array.clone(),
            Err(_) => {
                if let Some(view) = dlpack::view(object) {
                    let requires_grad = object.getattr(intern!(object.py(), "requires_grad"));
                    return if requires_grad.is_ok_and(|flag| flag.is_truthy().unwrap_or(true)) {
                        Err(PyValueError::new_err(format!(
                            "{argument}: a tensor that requires a gradient is not written to: give its detach()"
                        )))
                    } else {
                        Ok(Self::of_tensor(object, view))
                    };
                }
                let to_output = helpers(object.py())?.to_output.bind(object.py());
                to_output.call1((object, argument))?.cast_into()?
            }
        };
        if !is_plain(&array) {
            return Err(PyTypeError::new_err(format!(
                "{argument}: expected an array that is aligned, in the byte order of this machine and without an axis \
                 that goes backwards",
            )));
        }
        let array = Self::of_numpy(array, argument)?;
        if !array.is_writeable() {
            return Err(PyValueError::new_err(format!("{argument}: the array is read-only")));
        }
        Ok(array)
    }

    fn of_numpy(array: Bound<'py, PyUntypedArray>, argument: &str) -> PyResult<Self> {
        let descr = array.dtype();
        let of = Dtype::of(descr.kind(), descr.itemsize(), descr.char(), descr.num());
        let dtype = of.ok_or_else(|| {
            PyTypeError::new_err(format!(
                "{argument}: arrays of {descr} are not supported: convert them to float32, \
                 float64, float16, bfloat16 or integers of at most 64 bits",
            ))
        })?;
        Ok(Self { source: Source::Numpy(array), dtype, given: None })
    }

    fn of_tensor(object: &Bound<'py, PyAny>, view: View) -> Self {
        Self { dtype: view.dtype, source: Source::Tensor(object.clone(), view.into()), given: None }
    }

    /// What NumPy has made of this one.
    pub(crate) fn made(&self, by: Bound<'py, PyAny>, dtype: Dtype) -> PyResult<Self> {
        let given = Some(self.given.clone().unwrap_or_else(|| self.as_given()));
        Ok(Self { source: Source::Numpy(by.cast_into()?), dtype, given })
    }

    /// One that stands for another that the caller gave, as the place of a result.
    pub(crate) fn standing_for(self, other: &Self) -> Self {
        Self { given: Some(other.as_given()), ..self }
    }

    fn as_given(&self) -> Given<'py> {
        Given { addresses: self.addresses(), _object: self.clone().into_any() }
    }

    /// One whose original may be written to, as it has been copied.
    pub(crate) fn detached(self) -> Self {
        Self { given: None, ..self }
    }

    /// Zeros of the shape and with the type of another array.
    pub(crate) fn zeros_like(other: &Self, shape: &[usize]) -> PyResult<Self> {
        match other.dtype {
            Dtype::F32 => Self::zeros::<f32>(other.py(), shape),
            Dtype::F64 => Self::zeros::<f64>(other.py(), shape),
            // Types that are NumPy's by other packages.
            dtype => zeros(&other.numpy()?.dtype(), dtype, shape),
        }
    }

    /// Zeros of the shape.
    pub(crate) fn zeros<T: numpy::Element + Stored>(
        py: Python<'py>,
        shape: &[usize],
    ) -> PyResult<Self> {
        zeros(&numpy::dtype::<T>(py), T::DTYPE, shape)
    }

    pub(crate) fn py(&self) -> Python<'py> {
        match &self.source {
            Source::Numpy(array) => array.py(),
            Source::Tensor(tensor, _) => tensor.py(),
        }
    }

    /// As an array of NumPy, of the same memory.
    pub(crate) fn numpy(&self) -> PyResult<Bound<'py, PyUntypedArray>> {
        match &self.source {
            Source::Numpy(array) => Ok(array.clone()),
            Source::Tensor(tensor, _) => to_numpy(tensor, "tensor"),
        }
    }

    pub(crate) fn into_any(self) -> Bound<'py, PyAny> {
        match self.source {
            Source::Numpy(array) => array.into_any(),
            Source::Tensor(tensor, _) => tensor,
        }
    }

    pub(crate) fn shape(&self) -> &[usize] {
        match &self.source {
            Source::Numpy(array) => array.shape(),
            Source::Tensor(_, view) => view.shape(),
        }
    }

    /// In bytes.
    pub(crate) fn strides(&self) -> &[isize] {
        match &self.source {
            Source::Numpy(array) => array.strides(),
            Source::Tensor(_, view) => view.strides(),
        }
    }

    pub(crate) fn item_size(&self) -> usize {
        self.dtype.size()
    }

    /// Whether its numbers follow each other in memory in the order of their indices.
    pub(crate) fn is_contiguous(&self) -> bool {
        match &self.source {
            Source::Numpy(array) => array.is_c_contiguous(),
            Source::Tensor(_, view) => {
                let mut next = self.item_size();
                let axes = view.shape().iter().zip(view.strides()).rev();
                // The stride of one number is never stepped.
                let mut axes = axes.filter(|(length, _)| **length != 1);
                self.len() == 0
                    || axes.all(|(length, stride)| {
                        let follows = stride.unsigned_abs() == next;
                        next *= length;
                        follows
                    })
            }
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.shape().iter().product()
    }

    fn is_writeable(&self) -> bool {
        match &self.source {
            // SAFETY: the object is alive, and is an array, whose flags may be read.
            Source::Numpy(array) => unsafe {
                (*array.as_array_ptr()).fields.flags & NPY_ARRAY_WRITEABLE != 0
            },
            // DLPack has no tensors that are read-only here: NumPy's, shared with one, may be written to by the tensor.
            Source::Tensor(..) => true,
        }
    }

    /// The same numbers, row after row: itself, or a copy.
    pub(crate) fn contiguous(self) -> PyResult<Self> {
        if self.is_contiguous() {
            return Ok(self);
        }
        self.copied()
    }

    /// A copy, row after row.
    pub(crate) fn copied(&self) -> PyResult<Self> {
        self.made(self.numpy()?.call_method1("copy", ("C",))?, self.dtype)
    }

    /// Copies the numbers of an array of the same shape and type here.
    pub(crate) fn assign(&self, other: &Self) -> PyResult<()> {
        self.numpy()?.set_item(self.py().Ellipsis(), other.numpy()?)
    }

    /// The same numbers in this type: itself, or a copy.
    pub(crate) fn cast(self, dtype: Dtype) -> PyResult<Self> {
        if self.dtype == dtype {
            return Ok(self);
        }
        // In C order, whatever that of the array is.
        self.made(self.numpy()?.call_method1("astype", (dtype.name(), "C"))?, dtype)
    }

    /// The axes in this order; the memory is the same.
    pub(crate) fn transposed(&self, axes: &[usize]) -> PyResult<Self> {
        if axes.is_sorted() {
            return Ok(self.clone());
        }
        let axes = PyTuple::new(self.py(), axes)?;
        self.made(self.numpy()?.call_method1("transpose", (axes,))?, self.dtype)
    }

    /// The addresses of its numbers: from the first to the byte after the last.
    pub(crate) fn addresses(&self) -> Range<usize> {
        match &self.source {
            Source::Numpy(array) => addresses(array),
            Source::Tensor(_, view) => addresses_of(view),
        }
    }

    /// Whether this is a view of the same numbers in the same order.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        let axes = |array: &Self| {
            let axes = array.shape().iter().zip(array.strides());
            // The stride of one number is never stepped.
            axes.map(|(&length, &stride)| (length, if length > 1 { stride } else { 0 }))
                .collect::<Vec<_>>()
        };
        self.dtype == other.dtype
            && self.addresses() == other.addresses()
            && axes(self) == axes(other)
    }

    /// Whether two of its numbers may be in the same place.
    pub(crate) fn overlaps_itself(&self) -> bool {
        let axes = self.shape().iter().zip(self.strides());
        let mut axes: Vec<_> = axes
            .filter(|(length, _)| **length > 1)
            .map(|(length, stride)| (stride.unsigned_abs(), *length))
            .collect();
        axes.sort_unstable();
        let mut extent = self.item_size();
        axes.iter().any(|(stride, length)| {
            let is_short = *stride < extent;
            extent += stride * (length - 1);
            is_short
        })
    }

    /// The memory from the first number to the last, gaps included.
    ///
    /// # Panics
    /// If the numbers have another type, or an axis goes backwards.
    pub(crate) fn memory<'a, T: Stored>(&'a self, _: &'a Borrows) -> &'a [T] {
        let (start, length) = self.span::<T>();
        // SAFETY: `span` has checked that this is memory of the array, aligned and of this type, of which every bit
        // pattern is a number. The array lives as long as `self`, and NumPy does not move the memory of an array
        // that others refer to; nor does PyTorch, unless another thread gives a tensor other memory while it is
        // used, which its own functions do not survive either. That no one writes while xent reads is what every
        // function of both asks of its callers; what this call itself writes is elsewhere, and no code of the
        // caller's runs any more (`Borrows`).
        unsafe { std::slice::from_raw_parts(start.cast(), length) }
    }

    /// The same, to be written.
    ///
    /// # Panics
    /// As [`memory`](Self::memory), and if the array is read-only.
    #[expect(clippy::mut_from_ref, reason = "the memory is NumPy's; `Borrows` says who writes it")]
    pub(crate) fn memory_mut<'a, T: Stored>(&'a self, _: &'a Borrows) -> &'a mut [T] {
        assert!(self.is_writeable(), "a read-only array is no output");
        let (start, length) = self.span::<T>();
        // SAFETY: as in `memory`; the array may be written to. It is either one that the call has just made, to which
        // nothing else refers, or the caller's, of which `Borrows` has checked that it shares no memory with what is
        // read; that no two of its numbers are in the same place follows from its layout, whose rows are apart. Each
        // array is asked for its memory once.
        unsafe { std::slice::from_raw_parts_mut(start.cast(), length) }
    }

    fn span<T: Stored>(&self) -> (*mut u8, usize) {
        let is_bytes_of_bool = self.dtype == Dtype::Bool && T::DTYPE == Dtype::U8;
        assert!(self.dtype == T::DTYPE || is_bytes_of_bool, "{:?} as {:?}", self.dtype, T::DTYPE);
        // There may be no memory for no numbers; a slice needs an address that is aligned.
        if self.len() == 0 {
            return (std::ptr::without_provenance_mut(align_of::<T>()), 0);
        }
        let data = match &self.source {
            Source::Numpy(array) => {
                assert!(is_plain(array), "an array that has changed during the call");
                // SAFETY: as in `addresses`.
                unsafe { (*array.as_array_ptr()).fields.data }.cast::<u8>()
            }
            Source::Tensor(_, view) => view.data,
        };
        let Range { start, end } = self.addresses();
        (data, (end - start) / size_of::<T>())
    }

    /// Whether the numbers are where they were when the array was given: code of the caller's may have changed it
    /// since (`__array__` of another argument can do anything). NumPy's are asked for where they are when they are used.
    fn is_unchanged(&self) -> bool {
        match &self.source {
            Source::Numpy(_) => true,
            Source::Tensor(tensor, view) => dlpack::describe(tensor) == Some(**view),
        }
    }

    /// Whether this is in the same place as another array, or was made of something that is.
    fn overlaps(&self, other: &Self) -> bool {
        let ranges = |array: &Self| {
            [Some(array.addresses()), array.given.as_ref().map(|given| given.addresses.clone())]
        };
        let of_other = ranges(other);
        ranges(self).iter().flatten().any(|range| {
            of_other
                .iter()
                .flatten()
                .any(|other| range.start < other.end && other.start < range.end)
        })
    }
}

/// Whether its numbers can be read as they are.
fn is_plain(array: &Bound<'_, PyUntypedArray>) -> bool {
    // SAFETY: the object is alive, and is an array, whose flags may be read.
    let flags = unsafe { (*array.as_array_ptr()).fields.flags };
    flags & NPY_ARRAY_ALIGNED != 0
        && array.dtype().is_native_byteorder() != Some(false)
        && array.strides().iter().all(|stride| *stride >= 0)
}

/// The addresses of an array's numbers: from the first to the byte after the last.
fn addresses(array: &Bound<'_, PyUntypedArray>) -> Range<usize> {
    // SAFETY: the object is alive, and is an array, whose pointer may be read.
    let first = unsafe { (*array.as_array_ptr()).fields.data } as usize;
    range(first, array.shape(), array.strides(), array.dtype().itemsize())
}

/// The same of a tensor.
fn addresses_of(view: &View) -> Range<usize> {
    range(view.data.addr(), view.shape(), view.strides(), view.dtype.size())
}

fn range(first: usize, shape: &[usize], strides: &[isize], size: usize) -> Range<usize> {
    if shape.contains(&0) {
        return first..first;
    }
    let (mut start, mut last) = (first, first);
    for (&length, &stride) in shape.iter().zip(strides) {
        let step = (length - 1) * stride.unsigned_abs();
        if stride < 0 {
            start -= step;
        } else {
            last += step;
        }
    }
    start..last + size
}

fn zeros<'py>(
    descr: &Bound<'py, numpy::PyArrayDescr>,
    dtype: Dtype,
    shape: &[usize],
) -> PyResult<Array<'py>> {
    let py = descr.py();
    let mut dims: Vec<npy_intp> = shape.iter().map(|length| *length as npy_intp).collect();
    // SAFETY: NumPy reads as many lengths as there are, takes the reference to the type, and gives a new reference
    // to an array, or none and an error.
    let object = unsafe {
        let dims_pointer = dims.as_mut_ptr();
        let array = PY_ARRAY_API.PyArray_Zeros(
            py,
            dims.len() as i32,
            dims_pointer,
            descr.clone().into_ptr().cast::<npyffi::PyArray_Descr>(),
            0,
        );
        Bound::from_owned_ptr_or_err(py, array)?
    };
    Ok(Array { source: Source::Numpy(object.cast_into()?), dtype, given: None })
}

/// Proof that all arrays of a call are there, unchanged, and that what it writes overlaps with nothing else of it: also
/// where it is copies of the caller's numbers that are read, which would be overwritten.
#[derive(Debug)]
pub(crate) struct Borrows(());

impl Borrows {
    /// Compares what is written with what is read. What the call itself has made for results is new memory. After this
    /// no code of the caller's may run.
    ///
    /// # Errors
    /// `ValueError` with the names of two that overlap, or of one that has changed since it was given.
    pub(crate) fn new(
        written: Option<(&str, &Array<'_>)>,
        read: &[(&str, Option<&Array<'_>>)],
    ) -> PyResult<Self> {
        let all = read.iter().copied().chain(written.map(|(name, array)| (name, Some(array))));
        for (name, array) in all {
            if !array.is_none_or(Array::is_unchanged) {
                return Err(PyValueError::new_err(format!(
                    "{name}: the tensor has changed during the call"
                )));
            }
        }
        let Some((name, output)) = written else { return Ok(Self(())) };
        for (other, array) in read {
            if array.is_some_and(|array| output.overlaps(array)) {
                return Err(PyValueError::new_err(format!(
                    "{name} and {other} overlap in memory: give {name} memory of its own",
                )));
            }
        }
        Ok(Self(()))
    }
}
