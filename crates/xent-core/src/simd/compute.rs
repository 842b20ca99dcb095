//! The formats of a computation, f32 and f64: their registers, and the operations that kernels need
//! on a single number.

use super::one::One;
use super::vector::{Compute, STRIP, Simd};

macro_rules! compute {
    ($float:ident: $vector:ident, $to_integer:literal, $rounded:expr) => {
        impl Compute for $float {
            type One = One<Self>;
            type Of<S: Simd> = S::$vector;

            const INFINITY: Self = $float::INFINITY;
            const NEG_INFINITY: Self = $float::NEG_INFINITY;
            const NAN: Self = $float::NAN;

            const LANE_NUMBERS: &'static [Self; STRIP] = &{
                let mut numbers = [0.0; STRIP];
                let mut i = 0;
                while i < STRIP {
                    numbers[i] = i as $float;
                    i += 1;
                }
                numbers
            };

            #[inline(always)]
            fn from_f64(value: f64) -> Self {
                $rounded(value)
            }

            #[inline(always)]
            fn to_f64(self) -> f64 {
                self.into()
            }

            #[inline(always)]
            fn from_count(count: usize) -> Self {
                count as $float
            }

            #[inline(always)]
            fn to_count(self) -> usize {
                // Adding this puts the count into the lowest bits; a conversion to an integer would
                // leave the floating-point registers.
                const TO_INTEGER: $float = $to_integer;
                (self + TO_INTEGER).to_bits().wrapping_sub(TO_INTEGER.to_bits()) as usize
            }

            #[inline(always)]
            fn is_finite(self) -> bool {
                $float::is_finite(self)
            }

            #[inline(always)]
            fn is_nan(self) -> bool {
                $float::is_nan(self)
            }
        }
    };
}
compute!(f32: F32, 8_388_608.0, |value| value as f32);
compute!(f64: F64, 4_503_599_627_370_496.0, core::convert::identity);
