//! Labels in C's integer types.

use core::ffi::c_void;

use xent_core::Labels;

use crate::memory::{Memory, Region};
use crate::status::Failure;

macro_rules! label_types {
    ($($variant:ident($integer:ty)),*) => {
        /// Labels of one of these types.
        #[derive(Clone, Copy, Debug)]
        pub(crate) enum LabelRegion {
            $($variant(Region<$integer>)),*
        }

        impl LabelRegion {
            /// The labels that a structure gives, and how many kinds are given: there is one pointer for each type,
            /// in this order.
            pub(crate) fn given(
                pointers: [*const c_void; 8],
                count: usize,
                memory: &mut Memory,
            ) -> Result<(Option<Self>, usize), Failure> {
                let mut given = (None, 0);
                let mut pointers = pointers.into_iter();
                $(
                    let pointer = pointers.next().map_or(core::ptr::null(), |pointer| pointer.cast());
                    let region = memory.read(Region::<$integer>::optional(pointer, count)?);
                    if !region.is_empty() {
                        given = (Some(Self::$variant(region)), given.1 + 1);
                    }
                )*
                Ok(given)
            }

            /// # Safety
            /// As [`Region::read`].
            pub(crate) unsafe fn read<'a>(self) -> Labels<'a> {
                // SAFETY: as the caller promises.
                unsafe {
                    match self {
                        $(Self::$variant(region) => region.read().into()),*
                    }
                }
            }
        }
    };
}
label_types!(I8(i8), U8(u8), I16(i16), U16(u16), I32(i32), U32(u32), I64(i64), U64(u64));

/// A structure's pointers to labels, in the order of [`LabelRegion`].
macro_rules! label_pointers {
    ($loss:expr) => {
        [
            $loss.labels_i8.cast(),
            $loss.labels_u8.cast(),
            $loss.labels_i16.cast(),
            $loss.labels_u16.cast(),
            $loss.labels_i32.cast(),
            $loss.labels_u32.cast(),
            $loss.labels_i64.cast(),
            $loss.labels_u64.cast(),
        ]
    };
}
pub(crate) use label_pointers;
