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
#[derive(Debug)]
pub(crate) struct Array<'py> {
    object: Bound<'py, PyUntypedArray>,
    pub(crate) dtype: Dtype,
}

/// The helpers in Python that make an array of anything else.
fn convert<'py>(
    object: &Bound<'py, PyAny>,
    argument: &str,
) -> PyResult<Bound<'py, PyUntypedArray>> {
    static TO_NUMPY: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let py = object.py();
    let to_numpy = TO_NUMPY.get_or_try_init(py, || {
        py.import("xent._arrays")?.getattr("to_numpy").map(Bound::unbind)
    })?;
    let array = to_numpy.bind(py).call1((object, argument))?;
    Ok(array.cast_into::<PyUntypedArray>()?)
}

impl<'py> Array<'py> {
    /// What was given as an argument. Only what cannot be read as it is is copied.
    pub(crate) fn of(object: &Bound<'py, PyAny>, argument: &str) -> PyResult<Self> {
        // A subclass may mean something else by its memory: the mask of a masked array would be lost.
        let exact = object.cast_exact::<PyUntypedArray>();
        let array = match exact {
            Ok(array) if is_plain(array) => array.clone(),
            _ => convert(object, argument)?,
        };
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

    /// An array for results, which is written where it is: it is never a copy.
    pub(crate) fn of_output(object: &Bound<'py, PyAny>, argument: &str) -> PyResult<Self> {
        let array = object.cast_exact::<PyUntypedArray>().map_err(|_| {
            PyTypeError::new_err(format!("{argument}: expected a NumPy array to write to"))
        })?;
        if !is_plain(array) {
            return Err(PyTypeError::new_err(format!(
                "{argument}: expected an array that is aligned and in the byte order of this machine",
            )));
        }
        let array = Self::of(object, argument)?;
        if !array.is_writeable() {
            return Err(PyValueError::new_err(format!("{argument}: the array is read-only")));
        }
        Ok(array)
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
        self.object.dtype().itemsize()
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
        if self.object.is_c_contiguous() {
            return Ok(self);
        }
        let copied = self.object.call_method1("copy", ("C",))?;
        Ok(Self { object: copied.cast_into()?, dtype: self.dtype })
    }

    /// The same numbers in this type: itself, or a copy.
    pub(crate) fn cast(self, dtype: Dtype) -> PyResult<Self> {
        if self.dtype == dtype {
            return Ok(self);
        }
        let cast = self.object.call_method1("astype", (dtype.name(),))?;
        Ok(Self { object: cast.cast_into()?, dtype })
    }

    /// The axes in this order; the memory is the same.
    pub(crate) fn transposed(&self, axes: &[usize]) -> PyResult<Self> {
        let axes = PyTuple::new(self.object.py(), axes)?;
        let view = self.object.call_method1("transpose", (axes,))?;
        Ok(Self { object: view.cast_into()?, dtype: self.dtype })
    }

    /// The addresses of its numbers: from the first to the byte after the last.
    pub(crate) fn addresses(&self) -> Range<usize> {
        // SAFETY: the object is alive, and is an array, whose pointer may be read.
        let start = unsafe { (*self.object.as_array_ptr()).fields.data } as usize;
        if self.len() == 0 {
            return start..start;
        }
        let steps = self.shape().iter().zip(self.strides());
        let last: usize =
            steps.map(|(&length, &stride)| (length - 1) * stride.unsigned_abs()).sum();
        start..start + last + self.item_size()
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
        // SAFETY: as in `memory`; the array may be written to, and a `Borrows` is only made of arrays of which those
        // that are written overlap with no other array of the call. Each is asked for its memory once.
        unsafe { std::slice::from_raw_parts_mut(start.cast(), length) }
    }

    fn span<T: Stored>(&self) -> (*mut u8, usize) {
        let is_bytes_of_bool = self.dtype == Dtype::Bool && T::DTYPE == Dtype::U8;
        assert!(self.dtype == T::DTYPE || is_bytes_of_bool, "{:?} as {:?}", self.dtype, T::DTYPE);
        assert!(self.strides().iter().all(|stride| *stride >= 0), "an axis that goes backwards");
        let Range { start, end } = self.addresses();
        let length = (end - start) / size_of::<T>();
        // SAFETY: as in `addresses`.
        let data = unsafe { (*self.object.as_array_ptr()).fields.data }.cast::<u8>();
        // NumPy may have no memory for no numbers; a slice needs an address that is aligned.
        if length == 0 {
            (std::ptr::without_provenance_mut(align_of::<T>()), 0)
        } else {
            (data, length)
        }
    }
}

/// Whether its numbers can be read as they are.
fn is_plain(array: &Bound<'_, PyUntypedArray>) -> bool {
    // SAFETY: the object is alive, and is an array, whose flags may be read.
    let flags = unsafe { (*array.as_array_ptr()).fields.flags };
    let forward = array.strides().iter().all(|stride| *stride >= 0);
    flags & NPY_ARRAY_ALIGNED != 0
        && array.dtype().is_native_byteorder() != Some(false)
        && (forward || array.is_empty())
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
    /// Compares what is written with everything else.
    ///
    /// # Errors
    /// `ValueError` with the names of two that overlap.
    pub(crate) fn new(
        written: &[(&str, &Array<'_>)],
        read: &[(&str, &Array<'_>)],
    ) -> PyResult<Self> {
        for (at, (name, output)) in written.iter().enumerate() {
            let of_output = output.addresses();
            for (other, array) in written[at + 1..].iter().chain(read) {
                let of_other = array.addresses();
                if of_output.start < of_other.end && of_other.start < of_output.end {
                    return Err(PyValueError::new_err(format!(
                        "{name} and {other} overlap in memory: give {name} memory of its own",
                    )));
                }
            }
        }
        Ok(Self(()))
    }
}
