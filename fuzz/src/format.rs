//! The formats of logits.

use half::{bf16, f16};
use xent::{Element, Float};
use xent_reference::ulp;

/// A format of logits, with its properties.
pub(crate) trait Format: Element {
    /// The format itself.
    const STORED: ulp::Format;
    /// The format of [`Element::Float`].
    const COMPUTED: ulp::Format;

    /// The number with these bits, taken from the lowest.
    fn from_bits(bits: u64) -> Self;

    /// Its bits.
    fn bits(self) -> u64;

    /// The nearest number in the format of the computation.
    fn float(value: f64) -> Self::Float;

    /// The number of this format nearest to the nearest one in the format of the computation.
    fn nearest(value: f64) -> Self {
        Self::from_float(Self::float(value))
    }

    /// The same number.
    fn wide(self) -> f64 {
        self.to_float().into()
    }
}

macro_rules! format {
    ($($element:ident($bits:ty): $stored:ident in $computed:ident;)*) => {
        $(
            #[allow(trivial_numeric_casts, reason = "some are of their own type")]
            impl Format for $element {
                const STORED: ulp::Format = ulp::Format::$stored;
                const COMPUTED: ulp::Format = ulp::Format::$computed;

                fn from_bits(bits: u64) -> Self {
                    Self::from_bits(bits as $bits)
                }

                fn bits(self) -> u64 {
                    self.to_bits().into()
                }

                fn float(value: f64) -> Self::Float {
                    value as Self::Float
                }
            }
        )*
    };
}
format! {
    f32(u32): F32 in F32;
    f64(u64): F64 in F64;
    bf16(u16): BF16 in F32;
    f16(u16): F16 in F32;
}

/// The largest number of a format.
pub(crate) fn largest(format: ulp::Format) -> f64 {
    let top = 2.0_f64.powi(format.max_exponent);
    // Its top binade ends beyond the largest `f64`.
    top + (top - format.spacing(top))
}

/// The nearest number in the float of the loss.
pub(crate) fn rounded<F: Float + Format>(value: f64) -> f64 {
    F::nearest(value).wide()
}
