//! Where tensors of other libraries have their numbers: what their type tells by DLPack's exchange functions, which
//! cost less than an array of NumPy that shares the memory.

use std::ffi::{c_int, c_void};
use std::mem::MaybeUninit;
use std::slice;

use pyo3::ffi::PyObject;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyCapsule, PyType};

use crate::dtype::Dtype;

/// Where the numbers of a tensor are: on the CPU, aligned, and on no axis backwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct View {
    pub(crate) data: *mut u8,
    pub(crate) dtype: Dtype,
    axes: usize,
    shape: [usize; MOST_AXES],
    /// In bytes.
    strides: [isize; MOST_AXES],
}

/// Tensors with more axes are read by NumPy.
const MOST_AXES: usize = 8;

impl View {
    pub(crate) fn shape(&self) -> &[usize] {
        &self.shape[..self.axes]
    }

    /// In bytes.
    pub(crate) fn strides(&self) -> &[isize] {
        &self.strides[..self.axes]
    }
}

/// `DLTensor` of DLPack 1.
#[repr(C)]
struct Tensor {
    data: *mut c_void,
    device_type: i32,
    device_id: i32,
    axes: i32,
    code: u8,
    bits: u8,
    lanes: u16,
    shape: *const i64,
    strides: *const i64,
    byte_offset: u64,
}

const CPU: i32 = 1;

/// Says where the numbers of an object of the type are; -1 and an exception if it cannot.
type Describe = unsafe extern "C" fn(*mut PyObject, *mut Tensor) -> c_int;

/// `DLPackExchangeAPI` of DLPack 1.
#[repr(C)]
struct Exchange {
    major: u32,
    minor: u32,
    previous: *const Self,
    allocate: *const c_void,
    from_object: *const c_void,
    to_object: *const c_void,
    describe: Option<Describe>,
    stream: *const c_void,
}

const MAJOR: u32 = 1;

/// Where the numbers of a tensor are. None if its type does not tell, or NumPy has to make an array of it.
///
/// Subclasses of a type that tells are not asked: they may mean something else by their memory.
pub(crate) fn view(object: &Bound<'_, PyAny>) -> Option<View> {
    let view = describe(object)?;
    // PyTorch has views that change signs when they are read.
    let is_negative = object.call_method0(intern!(object.py(), "is_neg"));
    let is_plain = is_negative.is_ok_and(|is_negative| !is_negative.is_truthy().unwrap_or(true));
    is_plain.then_some(view)
}

/// The same of a tensor that has been looked at before, without asking again for what does not change.
pub(crate) fn describe(object: &Bound<'_, PyAny>) -> Option<View> {
    let py = object.py();
    let describe = function_of(&object.get_type())?;
    let mut tensor = MaybeUninit::<Tensor>::zeroed();
    // SAFETY: this is the function of the object's own type, which takes such objects and fills in the structure, or
    // returns another number than zero. The interpreter is attached.
    let status = unsafe { describe(object.as_ptr(), tensor.as_mut_ptr()) };
    if status != 0 {
        // What it does not tell NumPy is asked for, or refuses.
        drop(PyErr::take(py));
        return None;
    }
    // SAFETY: zeros are a value of every field, and the function has filled them in.
    let tensor = unsafe { tensor.assume_init() };
    let axes = usize::try_from(tensor.axes).ok().filter(|axes| *axes <= MOST_AXES)?;
    if tensor.device_type != CPU || tensor.lanes != 1 {
        return None;
    }
    let dtype = Dtype::of_dlpack(tensor.code, tensor.bits)?;
    let mut view = View {
        data: tensor.data.cast(),
        dtype,
        axes,
        shape: [0; MOST_AXES],
        strides: [0; MOST_AXES],
    };
    if axes != 0 {
        if tensor.shape.is_null() || tensor.strides.is_null() {
            return None;
        }
        // SAFETY: both have as many numbers as there are axes, and are those of the object, which nothing changes
        // before they are copied.
        let (shape, strides) = unsafe {
            (slice::from_raw_parts(tensor.shape, axes), slice::from_raw_parts(tensor.strides, axes))
        };
        for axis in 0..axes {
            view.shape[axis] = usize::try_from(shape[axis]).ok()?;
            let stride = usize::try_from(strides[axis]).ok()?.checked_mul(dtype.size())?;
            view.strides[axis] = isize::try_from(stride).ok()?;
        }
    }
    view.data = view.data.wrapping_add(usize::try_from(tensor.byte_offset).ok()?);
    let is_empty = view.shape().contains(&0);
    let is_there = !view.data.is_null() && view.data.addr().is_multiple_of(dtype.size());
    (is_empty || is_there).then_some(view)
}

/// The function of a type that tells where the numbers of its objects are.
fn function_of(of: &Bound<'_, PyType>) -> Option<Describe> {
    // PyTorch's, most likely the only one.
    static FIRST: PyOnceLock<(Py<PyType>, Describe)> = PyOnceLock::new();
    let py = of.py();
    if let Some((first, describe)) = FIRST.get(py)
        && of.is(first)
    {
        return Some(*describe);
    }
    let describe = find(of)?;
    // Those of another type are looked up each time.
    FIRST.get_or_init(py, || (of.clone().unbind(), describe));
    Some(describe)
}

fn find(of: &Bound<'_, PyType>) -> Option<Describe> {
    let name = intern!(of.py(), "__dlpack_c_exchange_api__");
    let own = of.getattr(intern!(of.py(), "__dict__")).ok()?;
    if !own.contains(name).ok()? {
        return None;
    }
    let capsule = of.getattr(name).ok()?;
    let capsule = capsule.cast::<PyCapsule>().ok()?;
    let table = capsule.pointer_checked(Some(c"dlpack_exchange_api")).ok()?;
    let mut table = table.as_ptr().cast::<Exchange>().cast_const();
    // SAFETY: a capsule of this name has such a table, or one of another version that begins with its version and the
    // address of the one before. They stay as long as the process.
    unsafe {
        while (*table).major != MAJOR {
            table = (*table).previous;
            if table.is_null() {
                return None;
            }
        }
        (*table).describe
    }
}
