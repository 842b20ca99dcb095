//! AVX2 with FMA: registers of 256 bits.

mod f32x8;
mod f64x4;

use crate::level::Avx2;
use crate::simd::Simd;

impl Simd for Avx2 {
    type F32 = f32x8::F32x8;
    type F64 = f64x4::F64x4;
}
