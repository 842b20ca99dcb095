//! The place and the format of logits and their gradient.

use core::ffi::c_void;
use core::ptr;

use half::{bf16, f16};
use xent_core::{Buffers, Element, Gradient, Quantisation, Shape};

use crate::memory::{Memory, Region};
use crate::status::{Failure, Status};

/// The fields of a structure for them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pointers<F> {
    pub(crate) logits: *const F,
    pub(crate) logits_16: *const u16,
    pub(crate) gradient: *mut F,
    pub(crate) gradient_16: *mut u16,
    pub(crate) integers: Integers,
}

/// The fields for logits that are integers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Integers {
    pub(crate) logits: *const c_void,
    pub(crate) scale: f32,
    pub(crate) zero_point: i32,
}

impl Integers {
    pub(crate) const NONE: Self = Self { logits: ptr::null(), scale: 0.0, zero_point: 0 };
}

/// The pointers for a format.
#[derive(Debug)]
pub(crate) struct Chosen<E: Element> {
    logits: *const E,
    gradient: *mut E,
    /// The gradient that is not rounded to the format.
    wide: *mut E::Float,
    quantisation: Option<Quantisation>,
}

/// A format of logits that has C functions.
pub(crate) trait Format: Element {
    /// The pointers to numbers of this format; pointers of other formats must be null.
    fn choose(pointers: Pointers<Self::Float>) -> Result<Chosen<Self>, Failure>;
}

macro_rules! computed_in_itself {
    ($($float:ident),*) => {
        $(impl Format for $float {
            fn choose(pointers: Pointers<Self>) -> Result<Chosen<Self>, Failure> {
                let Pointers { logits, logits_16, gradient, gradient_16, integers } = pointers;
                if !(logits_16.is_null() && gradient_16.is_null() && integers.logits.is_null()) {
                    return Err(Status::Format.into());
                }
                Ok(Chosen { logits, gradient, wide: ptr::null_mut(), quantisation: None })
            }
        })*
    };
}
computed_in_itself!(f32, f64);

macro_rules! of_sixteen_bits {
    ($($format:ident),*) => {
        $(impl Format for $format {
            fn choose(pointers: Pointers<f32>) -> Result<Chosen<Self>, Failure> {
                let Pointers { logits, logits_16, gradient, gradient_16, integers } = pointers;
                let other = !(logits.is_null() && integers.logits.is_null());
                if other || !(gradient.is_null() || gradient_16.is_null()) {
                    return Err(Status::Format.into());
                }
                Ok(Chosen {
                    logits: logits_16.cast(),
                    gradient: gradient_16.cast(),
                    wide: gradient,
                    quantisation: None,
                })
            }
        })*
    };
}
of_sixteen_bits!(bf16, f16);

macro_rules! of_integers {
    ($($format:ident),*) => {
        $(impl Format for $format {
            fn choose(pointers: Pointers<f32>) -> Result<Chosen<Self>, Failure> {
                let Pointers { logits, logits_16, gradient, gradient_16, integers } = pointers;
                if !(logits.is_null() && logits_16.is_null() && gradient_16.is_null()) {
                    return Err(Status::Format.into());
                }
                let quantisation = Quantisation::new(integers.scale, integers.zero_point)?;
                Ok(Chosen {
                    logits: integers.logits.cast(),
                    gradient: ptr::null_mut(),
                    wide: gradient,
                    quantisation: Some(quantisation),
                })
            }
        })*
    };
}
of_integers!(i8, u8, i16);

/// The shape of a batch as a structure gives it, where zero stands for the default.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layout {
    pub(crate) rows: usize,
    pub(crate) classes: usize,
    pub(crate) inner: usize,
    pub(crate) logits_stride: usize,
    pub(crate) gradient_stride: usize,
}

/// The memory of the logits, and the use of the gradient.
#[derive(Debug)]
pub(crate) struct TypedBuffers<E: Element> {
    cells: Cells<E>,
    quantisation: Option<Quantisation>,
}

#[derive(Debug)]
enum Cells<E: Element> {
    Loss(Region<E>),
    InPlace(Region<E>),
    Gradient(Region<E>, Region<E>),
    Wide(Region<E>, Region<E::Float>),
}

impl<E: Format> TypedBuffers<E> {
    /// The shape of a batch, and its logits and gradient.
    pub(crate) fn new(
        layout: Layout,
        pointers: Pointers<E::Float>,
        memory: &mut Memory,
    ) -> Result<(Shape, Self), Failure> {
        let Chosen { logits, gradient, wide, quantisation } = E::choose(pointers)?;
        let Layout { rows, classes, inner, mut logits_stride, mut gradient_stride } = layout;
        let inner = inner.max(1);
        if !rows.is_multiple_of(inner) {
            return Err(Status::Inner.into());
        }
        let outer = rows / inner;
        let shape = Shape::columns(outer, classes, inner)?;
        // This does not overflow, or the shape would have.
        let block = classes * inner;
        let is_in_place = !gradient.is_null() && ptr::eq(logits, gradient);
        if logits_stride == 0 {
            logits_stride = block;
        }
        if gradient_stride == 0 {
            gradient_stride = if is_in_place { logits_stride } else { block };
        } else if is_in_place && gradient_stride != logits_stride {
            return Err(Status::Stride.into());
        }
        let shape = shape.with_strides(logits_stride, gradient_stride)?;
        // Nothing follows the last row; the products were checked with the strides.
        let span = |stride| outer.checked_sub(1).map_or(0, |before| before * stride + block);

        let logits = Region::needed(logits, span(logits_stride))?;
        let cells = if is_in_place {
            Cells::InPlace(memory.written(logits))
        } else if !wide.is_null() {
            let wide = Region::optional(wide, span(gradient_stride))?;
            Cells::Wide(memory.read(logits), memory.written(wide))
        } else if !gradient.is_null() {
            let gradient = Region::optional(gradient, span(gradient_stride))?;
            Cells::Gradient(memory.read(logits), memory.written(gradient))
        } else {
            Cells::Loss(memory.read(logits))
        };
        Ok((shape, Self { cells, quantisation }))
    }

    /// # Safety
    /// As [`Region::read`] for the logits and [`Region::write`] for the gradient.
    pub(crate) unsafe fn buffers<'a>(self) -> Buffers<'a, E> {
        // SAFETY: as the caller promises.
        let buffers = unsafe {
            match self.cells {
                Cells::Loss(logits) => Buffers::loss(logits.read()),
                Cells::InPlace(logits) => Buffers::in_place(logits.write()),
                Cells::Gradient(logits, gradient) => {
                    Buffers::gradient(logits.read(), gradient.write())
                }
                Cells::Wide(logits, gradient) => {
                    Buffers::new(logits.read(), Gradient::WriteWide(gradient.write()))
                }
            }
        };
        match self.quantisation {
            Some(quantisation) => buffers.quantised(quantisation),
            None => buffers,
        }
    }
}
