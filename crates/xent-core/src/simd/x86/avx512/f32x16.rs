//! Sixteen f32 a register.

#[cfg(target_arch = "x86")]
use core::arch::x86 as arch;
#[cfg(target_arch = "x86_64")]
use core::arch::x86_64 as arch;

use arch::*;
use arch::{
    _mm512_abs_ps as abs, _mm512_add_ps as add, _mm512_div_ps as div, _mm512_fmadd_ps as mul_add,
    _mm512_loadu_ps as load, _mm512_max_ps as max, _mm512_min_ps as min, _mm512_mul_ps as mul,
    _mm512_set1_ps as splat, _mm512_storeu_ps as store, _mm512_stream_ps as stream,
    _mm512_sub_ps as sub,
};

use crate::simd::has_fours;
#[cfg(feature = "half")]
use crate::simd::x86::convert;
use crate::simd::x86::vector;

vector! { F32x16(__m512) of 16 f32 with masks __mmask16, a token Avx512 }

#[cfg(feature = "half")]
convert! { F32x16, two of 32 lanes, a token Avx512 }

/// Sixteen lanes whose first `count` are set.
#[inline]
fn first_lanes(count: usize) -> __mmask16 {
    if count < 16 { (1 << count) - 1 } else { !0 }
}

#[inline]
#[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw")]
fn load_some(from: &[f32], fill: __m512) -> __m512 {
    // SAFETY: a masked load reads the lanes that are set, and does not access the memory of the others (or fault on
    // it). The lanes that are set are those below `from.len()`: elements of the slice.
    unsafe { _mm512_mask_loadu_ps(fill, first_lanes(from.len()), from.as_ptr()) }
}

#[inline]
#[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw")]
fn store_some(into: &mut [f32], values: __m512) {
    // SAFETY: a masked store writes the lanes that are set, and does not access the memory of the others (or fault
    // on it). The lanes that are set are those below `into.len()`: elements of the slice, borrowed for writing.
    unsafe { _mm512_mask_storeu_ps(into.as_mut_ptr(), first_lanes(into.len()), values) }
}

/// The transpose of each quarter: four rows of four.
#[inline]
#[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw")]
fn transpose_fours([a, b, c, d]: [__m512; 4]) -> [__m512; 4] {
    let (ab, cd) = (_mm512_unpacklo_ps(a, b), _mm512_unpacklo_ps(c, d));
    let (low, high) = (_mm512_castps_pd(ab), _mm512_castps_pd(cd));
    let first = [_mm512_unpacklo_pd(low, high), _mm512_unpackhi_pd(low, high)];
    let (ab, cd) = (_mm512_unpackhi_ps(a, b), _mm512_unpackhi_ps(c, d));
    let (low, high) = (_mm512_castps_pd(ab), _mm512_castps_pd(cd));
    let last = [_mm512_unpacklo_pd(low, high), _mm512_unpackhi_pd(low, high)];
    [
        _mm512_castpd_ps(first[0]),
        _mm512_castpd_ps(first[1]),
        _mm512_castpd_ps(last[0]),
        _mm512_castpd_ps(last[1]),
    ]
}

#[inline]
#[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw")]
fn load_fours(from: &[f32], stride: usize) -> Option<[__m512; 4]> {
    if !has_fours(from, 16, stride) {
        return None;
    }
    let four = |row: usize| {
        // SAFETY: it was just checked that the slice has four f32 from `15 * stride` on, so it has them from `row *
        // stride` on, as `row` is at most 15; the load needs no alignment.
        unsafe { _mm_loadu_ps(from.as_ptr().add(row * stride)) }
    };
    let every_fourth = |row: usize| {
        let all = _mm512_castps128_ps512(four(row));
        let all = _mm512_insertf32x4::<1>(all, four(row + 4));
        let all = _mm512_insertf32x4::<2>(all, four(row + 8));
        _mm512_insertf32x4::<3>(all, four(row + 12))
    };
    Some(transpose_fours([every_fourth(0), every_fourth(1), every_fourth(2), every_fourth(3)]))
}

#[inline]
#[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw")]
fn store_fours(columns: [__m512; 4], into: &mut [f32], stride: usize) -> bool {
    if !has_fours(into, 16, stride) {
        return false;
    }
    let start = into.as_mut_ptr();
    let put = |row: usize, four: __m128| {
        // SAFETY: it was just checked that the slice has four f32 from `15 * stride` on, so it has them from `row *
        // stride` on, as `row` is at most 15; they are borrowed for writing, and the store needs no alignment.
        unsafe { _mm_storeu_ps(start.add(row * stride), four) };
    };
    let [a, b, c, d] = transpose_fours(columns);
    put(0, _mm512_castps512_ps128(a));
    put(1, _mm512_castps512_ps128(b));
    put(2, _mm512_castps512_ps128(c));
    put(3, _mm512_castps512_ps128(d));
    put(4, _mm512_extractf32x4_ps::<1>(a));
    put(5, _mm512_extractf32x4_ps::<1>(b));
    put(6, _mm512_extractf32x4_ps::<1>(c));
    put(7, _mm512_extractf32x4_ps::<1>(d));
    put(8, _mm512_extractf32x4_ps::<2>(a));
    put(9, _mm512_extractf32x4_ps::<2>(b));
    put(10, _mm512_extractf32x4_ps::<2>(c));
    put(11, _mm512_extractf32x4_ps::<2>(d));
    put(12, _mm512_extractf32x4_ps::<3>(a));
    put(13, _mm512_extractf32x4_ps::<3>(b));
    put(14, _mm512_extractf32x4_ps::<3>(c));
    put(15, _mm512_extractf32x4_ps::<3>(d));
    true
}

#[inline]
#[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw")]
fn interleave(a: __m512, b: __m512) -> (__m512, __m512) {
    let first = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
    let second = _mm512_add_epi32(first, _mm512_set1_epi32(8));
    (_mm512_permutex2var_ps(a, first, b), _mm512_permutex2var_ps(a, second, b))
}

#[inline]
#[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw")]
fn deinterleave(a: __m512, b: __m512) -> (__m512, __m512) {
    let even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    let odd = _mm512_add_epi32(even, _mm512_set1_epi32(1));
    (_mm512_permutex2var_ps(a, even, b), _mm512_permutex2var_ps(a, odd, b))
}

#[inline]
#[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw")]
fn less(a: __m512, b: __m512) -> __mmask16 {
    _mm512_cmp_ps_mask::<_CMP_LT_OQ>(a, b)
}

#[inline]
#[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw")]
fn equal(a: __m512, b: __m512) -> __mmask16 {
    _mm512_cmp_ps_mask::<_CMP_EQ_OQ>(a, b)
}

#[inline]
#[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw")]
fn any(mask: __mmask16) -> bool {
    mask != 0
}

#[inline]
#[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw")]
fn select(mask: __mmask16, yes: __m512, no: __m512) -> __m512 {
    _mm512_mask_blend_ps(mask, no, yes)
}

#[inline]
#[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw")]
fn shift_into_exponent(a: __m512) -> __m512 {
    _mm512_castsi512_ps(_mm512_slli_epi32::<23>(_mm512_castps_si512(a)))
}

#[inline]
#[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw")]
fn split_exponent(a: __m512) -> (__m512, __m512) {
    let sqrt_half = core::f32::consts::FRAC_1_SQRT_2.to_bits().cast_signed();
    let sqrt_half = _mm512_set1_epi32(sqrt_half);
    let above = _mm512_sub_epi32(_mm512_castps_si512(a), sqrt_half);
    let fraction = _mm512_and_si512(above, _mm512_set1_epi32(0x007f_ffff));
    let mantissa = _mm512_castsi512_ps(_mm512_add_epi32(fraction, sqrt_half));
    (mantissa, _mm512_cvtepi32_ps(_mm512_srai_epi32::<23>(above)))
}

#[inline]
#[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw")]
fn largest(a: __m512) -> f32 {
    let eight = _mm256_max_ps(_mm512_extractf32x8_ps::<1>(a), _mm512_castps512_ps256(a));
    let four = _mm_max_ps(_mm256_extractf128_ps::<1>(eight), _mm256_castps256_ps128(eight));
    let two = _mm_max_ps(_mm_movehl_ps(four, four), four);
    _mm_cvtss_f32(_mm_max_ss(_mm_shuffle_ps::<1>(two, two), two))
}

#[inline]
#[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw")]
fn halves(a: __m512, b: __m512, width: usize) -> (__m512, __m512) {
    const LOW: i32 = 0b01_00_01_00;
    const HIGH: i32 = 0b11_10_11_10;
    const EVEN: i32 = 0b10_00_10_00;
    const ODD: i32 = 0b11_01_11_01;
    match width {
        8 => (_mm512_shuffle_f32x4::<LOW>(a, b), _mm512_shuffle_f32x4::<HIGH>(a, b)),
        4 => (_mm512_shuffle_f32x4::<EVEN>(a, b), _mm512_shuffle_f32x4::<ODD>(a, b)),
        2 => (_mm512_shuffle_ps::<LOW>(a, b), _mm512_shuffle_ps::<HIGH>(a, b)),
        _ => (_mm512_shuffle_ps::<EVEN>(a, b), _mm512_shuffle_ps::<ODD>(a, b)),
    }
}

/// The indices of the upper 16 bits of each 32-bit lane of two registers, in order.
#[cfg(feature = "half")]
const UPPER: &[u16; 32] = &{
    let mut words = [0; 32];
    let mut i = 0;
    while i < 32 {
        words[i] = 2 * i as u16 + 1;
        i += 1;
    }
    words
};

#[cfg(feature = "half")]
#[inline]
#[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw")]
fn from_bf16(bits: &[u16; 32]) -> [__m512; 2] {
    let sixteen = |at: usize| {
        // SAFETY: `at` is zero or sixteen: the reference is to the 32 bytes from there on, and the load needs no
        // alignment.
        let bits = unsafe { _mm256_loadu_si256(bits.as_ptr().add(at).cast()) };
        _mm512_castsi512_ps(_mm512_slli_epi32::<16>(_mm512_cvtepu16_epi32(bits)))
    };
    [sixteen(0), sixteen(16)]
}

// The instruction of AVX-512 BF16 treats subnormal numbers as zero.
#[cfg(feature = "half")]
#[inline]
#[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw")]
fn to_bf16(low: __m512, high: __m512, bits: &mut [u16; 32]) {
    let rounded = |a: __m512| {
        let all = _mm512_castps_si512(a);
        let odd = _mm512_and_si512(_mm512_srli_epi32::<16>(all), _mm512_set1_epi32(1));
        let half = _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff));
        let rounded = _mm512_add_epi32(all, half);
        // Rounding might carry a NaN over to zero.
        let nan = _mm512_cmp_ps_mask::<_CMP_UNORD_Q>(a, a);
        _mm512_mask_or_epi32(rounded, nan, all, _mm512_set1_epi32(0x0040_0000))
    };
    // SAFETY: the constant has 64 bytes, and the load needs no alignment.
    let words = unsafe { _mm512_loadu_si512(UPPER.as_ptr().cast()) };
    let upper = _mm512_permutex2var_epi16(rounded(low), words, rounded(high));
    // SAFETY: the reference is to 64 bytes borrowed for writing, and the store needs no alignment.
    unsafe { _mm512_storeu_si512(bits.as_mut_ptr().cast(), upper) };
}

#[cfg(feature = "half")]
#[inline]
#[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw")]
fn from_f16(bits: &[u16; 32]) -> [__m512; 2] {
    let sixteen = |at: usize| {
        // SAFETY: `at` is zero or sixteen: the reference is to the 32 bytes from there on, and the load needs no
        // alignment.
        _mm512_cvtph_ps(unsafe { _mm256_loadu_si256(bits.as_ptr().add(at).cast()) })
    };
    [sixteen(0), sixteen(16)]
}

#[cfg(feature = "half")]
#[inline]
#[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw")]
fn to_f16(low: __m512, high: __m512, bits: &mut [u16; 32]) {
    let low = _mm512_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(low);
    let high = _mm512_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(high);
    let both = _mm512_inserti64x4::<1>(_mm512_castsi256_si512(low), high);
    // SAFETY: the reference is to 64 bytes borrowed for writing, and the store needs no alignment.
    unsafe { _mm512_storeu_si512(bits.as_mut_ptr().cast(), both) };
}
