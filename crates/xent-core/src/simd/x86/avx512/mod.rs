//! AVX-512 F, VL, DQ and BW: registers of 512 bits.

mod f32x16;
mod f64x8;

use crate::level::Avx512;
use crate::simd::Simd;

impl Simd for Avx512 {
    type F32 = f32x16::F32x16;
    type F64 = f64x8::F64x8;
}
