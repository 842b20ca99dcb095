//! Four f64 a register.

#[cfg(target_arch = "x86")]
use core::arch::x86 as arch;
#[cfg(target_arch = "x86_64")]
use core::arch::x86_64 as arch;

use arch::*;
use arch::{
    _mm256_add_pd as add, _mm256_blendv_pd as blend, _mm256_div_pd as div,
    _mm256_fmadd_pd as mul_add, _mm256_loadu_pd as load, _mm256_max_pd as max,
    _mm256_min_pd as min, _mm256_mul_pd as mul, _mm256_set1_pd as splat, _mm256_storeu_pd as store,
    _mm256_stream_pd as stream, _mm256_sub_pd as sub,
};

use crate::simd::has_fours;
use crate::simd::x86::vector;

vector! { F64x4(__m256d) of 4 f64 with masks __m256d, a token Avx2 }

/// Four lanes, the first `count` of them set: a window over set lanes followed by clear lanes.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn first_lanes(count: usize) -> __m256i {
    const LANES: &[i64; 8] = &[-1, -1, -1, -1, 0, 0, 0, 0];
    let start = 4 - count.min(4);
    // SAFETY: `start` is at most 4, so the four lanes from there lie within the eight.
    unsafe { _mm256_loadu_si256(LANES.as_ptr().add(start).cast()) }
}

#[inline]
#[target_feature(enable = "avx2,fma")]
fn load_some(from: &[f64], fill: __m256d) -> __m256d {
    let lanes = first_lanes(from.len());
    // SAFETY: a masked load reads the lanes that are set, and does not access the memory of the others (or fault on
    // it). The lanes that are set are those below `from.len()`: elements of the slice.
    let values = unsafe { _mm256_maskload_pd(from.as_ptr(), lanes) };
    blend(fill, values, _mm256_castsi256_pd(lanes))
}

#[inline]
#[target_feature(enable = "avx2,fma")]
fn store_some(into: &mut [f64], values: __m256d) {
    let lanes = first_lanes(into.len());
    // SAFETY: a masked store writes the lanes that are set, and does not access the memory of the others (or fault
    // on it). The lanes that are set are those below `into.len()`: elements of the slice, borrowed for writing.
    unsafe { _mm256_maskstore_pd(into.as_mut_ptr(), lanes, values) }
}

/// Four rows of four to their columns, or back.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn transpose([a, b, c, d]: [__m256d; 4]) -> [__m256d; 4] {
    let (ab, cd) = (_mm256_unpacklo_pd(a, b), _mm256_unpacklo_pd(c, d));
    let even = [_mm256_permute2f128_pd::<0x20>(ab, cd), _mm256_permute2f128_pd::<0x31>(ab, cd)];
    let (ab, cd) = (_mm256_unpackhi_pd(a, b), _mm256_unpackhi_pd(c, d));
    let odd = [_mm256_permute2f128_pd::<0x20>(ab, cd), _mm256_permute2f128_pd::<0x31>(ab, cd)];
    [even[0], odd[0], even[1], odd[1]]
}

#[inline]
#[target_feature(enable = "avx2,fma")]
fn load_fours(from: &[f64], stride: usize) -> Option<[__m256d; 4]> {
    if !has_fours(from, 4, stride) {
        return None;
    }
    let four = |row: usize| {
        // SAFETY: it was just checked that the slice has four f64 from `3 * stride` on, so it has them from `row *
        // stride` on, as `row` is at most 3; the load needs no alignment.
        unsafe { load(from.as_ptr().add(row * stride)) }
    };
    Some(transpose([four(0), four(1), four(2), four(3)]))
}

#[inline]
#[target_feature(enable = "avx2,fma")]
fn store_fours(columns: [__m256d; 4], into: &mut [f64], stride: usize) -> bool {
    if !has_fours(into, 4, stride) {
        return false;
    }
    let start = into.as_mut_ptr();
    for (row, four) in transpose(columns).into_iter().enumerate() {
        // SAFETY: it was just checked that the slice has four f64 from `3 * stride` on, so it has them from `row *
        // stride` on, as `row` is at most 3; they are borrowed for writing, and the store needs no alignment.
        unsafe { store(start.add(row * stride), four) };
    }
    true
}

#[inline]
#[target_feature(enable = "avx2,fma")]
fn interleave(a: __m256d, b: __m256d) -> (__m256d, __m256d) {
    let (low, high) = (_mm256_unpacklo_pd(a, b), _mm256_unpackhi_pd(a, b));
    let first = _mm256_permute2f128_pd::<0x20>(low, high);
    (first, _mm256_permute2f128_pd::<0x31>(low, high))
}

#[inline]
#[target_feature(enable = "avx2,fma")]
fn deinterleave(a: __m256d, b: __m256d) -> (__m256d, __m256d) {
    halves(a, b, 1)
}

#[inline]
#[target_feature(enable = "avx2,fma")]
fn abs(a: __m256d) -> __m256d {
    _mm256_andnot_pd(splat(-0.0), a)
}

#[inline]
#[target_feature(enable = "avx2,fma")]
fn less(a: __m256d, b: __m256d) -> __m256d {
    _mm256_cmp_pd::<_CMP_LT_OQ>(a, b)
}

#[inline]
#[target_feature(enable = "avx2,fma")]
fn equal(a: __m256d, b: __m256d) -> __m256d {
    _mm256_cmp_pd::<_CMP_EQ_OQ>(a, b)
}

#[inline]
#[target_feature(enable = "avx2,fma")]
fn any(mask: __m256d) -> bool {
    _mm256_movemask_pd(mask) != 0
}

#[inline]
#[target_feature(enable = "avx2,fma")]
fn select(mask: __m256d, yes: __m256d, no: __m256d) -> __m256d {
    blend(no, yes, mask)
}

#[inline]
#[target_feature(enable = "avx2,fma")]
fn shift_into_exponent(a: __m256d) -> __m256d {
    _mm256_castsi256_pd(_mm256_slli_epi64::<52>(_mm256_castpd_si256(a)))
}

#[inline]
#[target_feature(enable = "avx2,fma")]
fn split_exponent(a: __m256d) -> (__m256d, __m256d) {
    // The exponent is increased so that it is not negative, put into the lowest bits of 2^52, and then reduced as a
    // float.
    const UP: i64 = 1024;
    const ROUNDER: f64 = 4_503_599_627_370_496.0;
    let sqrt_half = _mm256_set1_epi64x(core::f64::consts::FRAC_1_SQRT_2.to_bits().cast_signed());
    let above = _mm256_sub_epi64(_mm256_castpd_si256(a), sqrt_half);
    let fraction = _mm256_and_si256(above, _mm256_set1_epi64x(0x000f_ffff_ffff_ffff));
    let mantissa = _mm256_castsi256_pd(_mm256_add_epi64(fraction, sqrt_half));
    let exponent = _mm256_srli_epi64::<52>(_mm256_add_epi64(above, _mm256_set1_epi64x(UP << 52)));
    let rounder = _mm256_castpd_si256(splat(ROUNDER));
    let shifted = _mm256_castsi256_pd(_mm256_or_si256(exponent, rounder));
    (mantissa, sub(shifted, splat(ROUNDER + UP as f64)))
}

#[inline]
#[target_feature(enable = "avx2,fma")]
fn largest(a: __m256d) -> f64 {
    let two = _mm_max_pd(_mm256_extractf128_pd::<1>(a), _mm256_castpd256_pd128(a));
    _mm_cvtsd_f64(_mm_max_sd(_mm_unpackhi_pd(two, two), two))
}

#[inline]
#[target_feature(enable = "avx2,fma")]
fn halves(a: __m256d, b: __m256d, width: usize) -> (__m256d, __m256d) {
    if width == 2 {
        return (_mm256_permute2f128_pd::<0x20>(a, b), _mm256_permute2f128_pd::<0x31>(a, b));
    }
    let in_order = |pairs: __m256d| _mm256_permute4x64_pd::<0b11_01_10_00>(pairs);
    (in_order(_mm256_unpacklo_pd(a, b)), in_order(_mm256_unpackhi_pd(a, b)))
}
