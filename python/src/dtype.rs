//! The types of numbers in arrays.

use half::{bf16, f16};

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
    pub(crate) fn size(self) -> usize {
        match self {
            Self::I8 | Self::U8 | Self::Bool => 1,
            Self::F16 | Self::Bf16 | Self::I16 | Self::U16 => 2,
            Self::F32 | Self::I32 | Self::U32 => 4,
            Self::F64 | Self::I64 | Self::U64 => 8,
        }
    }

    /// What DLPack says of it: a code of its kind, and its bits.
    pub(crate) fn of_dlpack(code: u8, bits: u8) -> Option<Self> {
        Some(match (code, bits) {
            (0, 8) => Self::I8,
            (0, 16) => Self::I16,
            (0, 32) => Self::I32,
            (0, 64) => Self::I64,
            (1, 8) => Self::U8,
            (1, 16) => Self::U16,
            (1, 32) => Self::U32,
            (1, 64) => Self::U64,
            (2, 16) => Self::F16,
            (2, 32) => Self::F32,
            (2, 64) => Self::F64,
            (4, 16) => Self::Bf16,
            (6, 8) => Self::Bool,
            _ => return None,
        })
    }

    /// What NumPy says of it: its kind, the bytes of an item, its character, and its number.
    pub(crate) fn of(kind: u8, size: usize, char: u8, number: i32) -> Option<Self> {
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
