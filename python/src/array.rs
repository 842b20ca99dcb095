//! Arrays of NumPy as slices: the only unsafe code of this package.

use std::ops::Range;

use half::{bf16, f16};
use numpy::npyffi::{self, NPY_ARRAY_ALIGNED, NPY_ARRAY_WRITEABLE, PY_ARRAY_API, npy_intp};
use numpy::{PyArrayDescrMethods, PyUntypedArray, PyUntypedArrayMethods};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyTuple;

/// The types of numbers that xent reads and writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dtype {
    F16,
    Bf16,
    F32,
    F64,
    I8,
    I16,
    I32,
    I64,
    U8,
    U16,
    U32,
    U64,
    Bool,
}

impl Dtype {
    pub(crate) fn is_float(self) -> bool {
        matches!(self, Self::F16 | Self::Bf16 | Self::F32 | Self::F64)
    }

    /// NumPy's name of it; there is none of bf16, which is of another package.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::F16 => "float16",
            Self::Bf16 => "bfloat16",
            Self::F32 => "float32",
            Self::F64 => "float64",
            Self::I8 => "int8",
            Self::I16 => "int16",
            Self::I32 => "int32",
            Self::I64 => "int64",
            Self::U8 => "uint8",
            Self::U16 => "uint16",
            Self::U32 => "uint32",
            Self::U64 => "uint64",
            Self::Bool => "bool",
        }
    }

    /// The bytes of a number.
    fn size(self) -> usize {
        match self {
            Self::I8 | Self::U8 | Self::Bool => 1,
            Self::F16 | Self::Bf16 | Self::I16 | Self::U16 => 2,
            Self::F32 | Self::I32 | Self::U32 => 4,
            Self::F64 | Self::I64 | Self::U64 => 8,
        }
    }

    /// What NumPy says of it: its kind, the bytes of an item, its character, and its number.
    fn of(kind: u8, size: usize, char: u8, number: i32) -> Option<Self> {
        Some(match (kind, size) {
            (b'f', 2) => Self::F16,
            (b'f', 4) => Self::F32,
            (b'f', 8) => Self::F64,
            // ml_dtypes registers its types above those of NumPy itself.
            (b'V', 2) if char == b'E' && number >= 256 => Self::Bf16,
            (b'i', 1) => Self::I8,
            (b'i', 2) => Self::I16,
            (b'i', 4) => Self::I32,
            (b'i', 8) => Self::I64,
            (b'u', 1) => Self::U8,
            (b'u', 2) => Self::U16,
            (b'u', 4) => Self::U32,
            (b'u', 8) => Self::U64,
            (b'b', 1) => Self::Bool,
            _ => return None,
        })
    }
}

/// Numbers that are stored as themselves.
pub(crate) trait Stored: Copy + Send + Sync + 'static {
    const DTYPE: Dtype;
}

macro_rules! stored {
    ($($type:ty: $dtype:ident),* $(,)?) => {
        $(
            impl Stored for $type {
                const DTYPE: Dtype = Dtype::$dtype;
            }
        )*
    };
}
stored!(f16: F16, bf16: Bf16, f32: F32, f64: F64, i8: I8, i16: I16, i32: I32, i64: I64);
stored!(u8: U8, u16: U16, u32: U32, u64: U64);

/// An array in the memory of this machine: native byte order, aligned, without an axis that goes backwards.
#[derive(Clone, Debug)]
pub(crate) struct Array<'py> {
    object: Bound<'py, PyUntypedArray>,
    pub(crate) dtype: Dtype,
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

impl<'py> Array<'py> {
    /// What was given as an argument. Only what cannot be read as it is is copied.
    pub(crate) fn of(object: &Bound<'py, PyAny>, argument: &str) -> PyResult<Self> {
        // A subclass may mean something else by its memory: the mask of a masked array would be lost.
        match object.cast_exact::<PyUntypedArray>() {
            Ok(array) if is_plain(array) => Self::new(array.clone(), argument),
            _ => {
                let to_numpy = helpers(object.py())?.to_numpy.bind(object.py());
                Self::new(to_numpy.call1((object, argument))?.cast_into()?, argument)
            }
        }
    }

    /// An array for results, which is written where it is: it is never a copy.
    pub(crate) fn of_output(object: &Bound<'py, PyAny>, argument: &str) -> PyResult<Self> {
        let array = match object.cast_exact::<PyUntypedArray>() {
            Ok(array) => array.clone(),
            Err(_) => {
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
        let array = Self::new(array, argument)?;
        if !array.is_writeable() {
            return Err(PyValueError::new_err(format!("{argument}: the array is read-only")));
        }
        Ok(array)
    }

    fn new(array: Bound<'py, PyUntypedArray>, argument: &str) -> PyResult<Self> {
        let descr = array.dtype();
        let of = Dtype::of(descr.kind(), descr.itemsize(), descr.char(), descr.num());
        let dtype = of.ok_or_else(|| {
            PyTypeError::new_err(format!(
                "{argument}: arrays of {descr} are not supported: convert them to float32, \
                 float64, float16, bfloat16 or integers of at most 64 bits",
            ))
        })?;
        Ok(Self { object: array, dtype })
    }

    /// Zeros of the shape and with the type of another array.
    pub(crate) fn zeros_like(other: &Self, shape: &[usize]) -> PyResult<Self> {
        zeros(&other.object.dtype(), other.dtype, shape)
    }

    /// Zeros of the shape.
    pub(crate) fn zeros<T: numpy::Element + Stored>(
        py: Python<'py>,
        shape: &[usize],
    ) -> PyResult<Self> {
        zeros(&numpy::dtype::<T>(py), T::DTYPE, shape)
    }

    pub(crate) fn object(&self) -> &Bound<'py, PyUntypedArray> {
        &self.object
    }

    pub(crate) fn into_any(self) -> Bound<'py, PyAny> {
        self.object.into_any()
    }

    pub(crate) fn shape(&self) -> &[usize] {
        self.object.shape()
    }

    /// In bytes.
    pub(crate) fn strides(&self) -> &[isize] {
        self.object.strides()
    }

    pub(crate) fn item_size(&self) -> usize {
        self.dtype.size()
    }

    /// Whether its numbers follow each other in memory in the order of their indices.
    pub(crate) fn is_contiguous(&self) -> bool {
        self.object.is_c_contiguous()
    }

    pub(crate) fn len(&self) -> usize {
        self.object.len()
    }

    fn is_writeable(&self) -> bool {
        // SAFETY: the object is alive, and is an array, whose flags may be read.
        unsafe { (*self.object.as_array_ptr()).fields.flags & NPY_ARRAY_WRITEABLE != 0 }
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
        let copied = self.object.call_method1("copy", ("C",))?;
        Ok(Self { object: copied.cast_into()?, dtype: self.dtype })
    }

    /// Copies the numbers of an array of the same shape and type here.
    pub(crate) fn assign(&self, other: &Self) -> PyResult<()> {
        self.object.set_item(self.object.py().Ellipsis(), &other.object)
    }

    /// The same numbers in this type: itself, or a copy.
    pub(crate) fn cast(self, dtype: Dtype) -> PyResult<Self> {
        if self.dtype == dtype {
            return Ok(self);
        }
        // In C order, whatever that of the array is.
        let cast = self.object.call_method1("astype", (dtype.name(), "C"))?;
        Ok(Self { object: cast.cast_into()?, dtype })
    }

    /// The axes in this order; the memory is the same.
    pub(crate) fn transposed(&self, axes: &[usize]) -> PyResult<Self> {
        if axes.is_sorted() {
            return Ok(self.clone());
        }
        let axes = PyTuple::new(self.object.py(), axes)?;
        let view = self.object.call_method1("transpose", (axes,))?;
        Ok(Self { object: view.cast_into()?, dtype: self.dtype })
    }

    /// The addresses of its numbers: from the first to the byte after the last.
    pub(crate) fn addresses(&self) -> Range<usize> {
        addresses(&self.object)
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
    pub(crate) fn memory<T: Stored>(&self) -> &[T] {
        let (start, length) = self.span::<T>();
        // SAFETY: `span` has checked that this is memory of the array, aligned and of this type, of which every bit
        // pattern is a number. The array lives as long as `self`, and NumPy does not move the memory of an array
        // that others refer to. That no one writes while xent reads is what every function of NumPy asks of its
        // callers; what this call itself writes is checked to be elsewhere (`Borrows`).
        unsafe { std::slice::from_raw_parts(start.cast(), length) }
    }

    /// The same, to be written.
    ///
    /// # Panics
    /// As [`memory`](Self::memory), and if the array is read-only.
    #[expect(clippy::mut_from_ref, reason = "the memory is NumPy's; `Borrows` says who writes it")]
    pub(crate) fn memory_mut<T: Stored>(&self, _: &Borrows) -> &mut [T] {
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
        // NumPy may have no memory for no numbers; a slice needs an address that is aligned.
        if self.len() == 0 {
            return (std::ptr::without_provenance_mut(align_of::<T>()), 0);
        }
        // Asked again of the array, which code of the caller's may have changed since it was given (`__array__` of
        // another argument can do anything).
        assert!(is_plain(&self.object), "an array that has changed during the call");
        let Range { start, end } = self.addresses();
        // SAFETY: as in `addresses`.
        let data = unsafe { (*self.object.as_array_ptr()).fields.data }.cast::<u8>();
        (data, (end - start) / size_of::<T>())
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
    if array.is_empty() {
        return first..first;
    }
    let (mut start, mut last) = (first, first);
    for (&length, &stride) in array.shape().iter().zip(array.strides()) {
        let step = (length - 1) * stride.unsigned_abs();
        if stride < 0 {
            start -= step;
        } else {
            last += step;
        }
    }
    start..last + array.dtype().itemsize()
}

fn overlap(one: &Range<usize>, other: &Range<usize>) -> bool {
    one.start < other.end && other.start < one.end
}

/// Checks that an array for results shares no memory with those that were given, even if it is copies of them that are
/// read: the caller's numbers would be overwritten.
///
/// # Errors
/// `ValueError` with the name of the one that overlaps.
pub(crate) fn check_apart(
    output: (&str, &Array<'_>),
    given: &[(&str, Option<&Bound<'_, PyAny>>)],
) -> PyResult<()> {
    let (name, output) = output;
    let of_output = output.addresses();
    for (other, object) in given {
        if let Some(object) = object
            && let Ok(array) = object.cast::<PyUntypedArray>()
            && overlap(&of_output, &addresses(array))
        {
            return Err(overlapping(name, other));
        }
    }
    Ok(())
}

fn overlapping(name: &str, other: &str) -> PyErr {
    PyValueError::new_err(format!(
        "{name} and {other} overlap in memory: give {name} memory of its own",
    ))
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
    Ok(Array { object: object.cast_into()?, dtype })
}

/// Proof that what a call writes overlaps with nothing else of it.
#[derive(Debug)]
pub(crate) struct Borrows(());

impl Borrows {
    /// Compares what is written with what is read. What the call itself has made for results is new memory.
    ///
    /// # Errors
    /// `ValueError` with the names of two that overlap.
    pub(crate) fn new(
        written: Option<(&str, &Array<'_>)>,
        read: &[(&str, Option<&Array<'_>>)],
    ) -> PyResult<Self> {
        let Some((name, output)) = written else { return Ok(Self(())) };
        let of_output = output.addresses();
        for (other, array) in read {
            if array.is_some_and(|array| overlap(&of_output, &array.addresses())) {
                return Err(overlapping(name, other));
            }
        }
        Ok(Self(()))
    }
}
