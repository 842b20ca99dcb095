//! Eight f32 a register.

#[cfg(target_arch = "x86")]
use core::arch::x86 as arch;
#[cfg(target_arch = "x86_64")]
use core::arch::x86_64 as arch;

use arch::*;
use arch::{
    _mm256_add_ps as add, _mm256_blendv_ps as blend, _mm256_div_ps as div,
    _mm256_fmadd_ps as mul_add, _mm256_loadu_ps as load, _mm256_max_ps as max,
    _mm256_min_ps as min, _mm256_mul_ps as mul, _mm256_set1_ps as splat, _mm256_storeu_ps as store,
    _mm256_stream_ps as stream, _mm256_sub_ps as sub,
};

use crate::simd::has_fours;
#[cfg(feature = "half")]
use crate::simd::x86::convert;
use crate::simd::x86::vector;

vector! { F32x8(__m256) of 8 f32 with masks __m256, a token Avx2 }

#[cfg(feature = "half")]
convert! { F32x8, two of 16 lanes, a token Avx2 }

/// Eight lanes, the first `count` of them set: a window over set lanes followed by clear lanes.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn first_lanes(count: usize) -> __m256i {
    const LANES: &[i32; 16] = &[-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0];
    let start = 8 - count.min(8);
    // SAFETY: `start` is at most 8, so the eight lanes from there lie within the sixteen.
    unsafe { _mm256_loadu_si256(LANES.as_ptr().add(start).cast()) }
}

#[inline]
#[target_feature(enable = "avx2,fma")]
fn load_some(from: &[f32], fill: __m256) -> __m256 {
    let lanes = first_lanes(from.len());
    // SAFETY: a masked load reads the lanes that are set, and does not access the memory of the others (or fault on
    // it). The lanes that are set are those below `from.len()`: elements of the slice.
    let values = unsafe { _mm256_maskload_ps(from.as_ptr(), lanes) };
    blend(fill, values, _mm256_castsi256_ps(lanes))
}

#[inline]
#[target_feature(enable = "avx2,fma")]
fn store_some(into: &mut [f32], values: __m256) {
    let lanes = first_lanes(into.len());
    // SAFETY: a masked store writes the lanes that are set, and does not access the memory of the others (or fault
    // on it). The lanes that are set are those below `into.len()`: elements of the slice, borrowed for writing.
    unsafe { _mm256_maskstore_ps(into.as_mut_ptr(), lanes, values) }
}

/// The transpose of each half: four rows of four.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn transpose_fours([a, b, c, d]: [__m256; 4]) -> [__m256; 4] {
    let (ab, cd) = (_mm256_unpacklo_ps(a, b), _mm256_unpacklo_ps(c, d));
    let (low, high) = (_mm256_castps_pd(ab), _mm256_castps_pd(cd));
    let first = [_mm256_unpacklo_pd(low, high), _mm256_unpackhi_pd(low, high)];
    let (ab, cd) = (_mm256_unpackhi_ps(a, b), _mm256_unpackhi_ps(c, d));
    let (low, high) = (_mm256_castps_pd(ab), _mm256_castps_pd(cd));
    let last = [_mm256_unpacklo_pd(low, high), _mm256_unpackhi_pd(low, high)];
    [
        _mm256_castpd_ps(first[0]),
        _mm256_castpd_ps(first[1]),
        _mm256_castpd_ps(last[0]),
        _mm256_castpd_ps(last[1]),
    ]
}

#[inline]
#[target_feature(enable = "avx2,fma")]
fn load_fours(from: &[f32], stride: usize) -> Option<[__m256; 4]> {
    if !has_fours(from, 8, stride) {
        return None;
    }
    let four = |row: usize| {
        // SAFETY: it was just checked that the slice has four f32 from `7 * stride` on, so it has them from `row *
        // stride` on, as `row` is at most 7; the load needs no alignment.
        unsafe { _mm_loadu_ps(from.as_ptr().add(row * stride)) }
    };
    let both = |row| _mm256_set_m128(four(row + 4), four(row));
    Some(transpose_fours([both(0), both(1), both(2), both(3)]))
}

#[inline]
#[target_feature(enable = "avx2,fma")]
fn store_fours(columns: [__m256; 4], into: &mut [f32], stride: usize) -> bool {
    if !has_fours(into, 8, stride) {
        return false;
    }
    let start = into.as_mut_ptr();
    let put = |row: usize, four: __m128| {
        // SAFETY: it was just checked that the slice has four f32 from `7 * stride` on, so it has them from `row *
        // stride` on, as `row` is at most 7; they are borrowed for writing, and the store needs no alignment.
        unsafe { _mm_storeu_ps(start.add(row * stride), four) };
    };
    let [a, b, c, d] = transpose_fours(columns);
    put(0, _mm256_castps256_ps128(a));
    put(1, _mm256_castps256_ps128(b));
    put(2, _mm256_castps256_ps128(c));
    put(3, _mm256_castps256_ps128(d));
    put(4, _mm256_extractf128_ps::<1>(a));
    put(5, _mm256_extractf128_ps::<1>(b));
    put(6, _mm256_extractf128_ps::<1>(c));
    put(7, _mm256_extractf128_ps::<1>(d));
    true
}

#[inline]
#[target_feature(enable = "avx2,fma")]
fn interleave(a: __m256, b: __m256) -> (__m256, __m256) {
    let (low, high) = (_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b));
    let first = _mm256_permute2f128_ps::<0x20>(low, high);
    (first, _mm256_permute2f128_ps::<0x31>(low, high))
}

#[inline]
#[target_feature(enable = "avx2,fma")]
fn deinterleave(a: __m256, b: __m256) -> (__m256, __m256) {
    let in_order = |halves: __m256| {
        let fours = _mm256_castps_pd(halves);
        _mm256_castpd_ps(_mm256_permute4x64_pd::<0b11_01_10_00>(fours))
    };
    let even = _mm256_shuffle_ps::<0b10_00_10_00>(a, b);
    (in_order(even), in_order(_mm256_shuffle_ps::<0b11_01_11_01>(a, b)))
}

#[inline]
#[target_feature(enable = "avx2,fma")]
fn abs(a: __m256) -> __m256 {
    _mm256_andnot_ps(splat(-0.0), a)
}

#[inline]
#[target_feature(enable = "avx2,fma")]
fn less(a: __m256, b: __m256) -> __m256 {
    _mm256_cmp_ps::<_CMP_LT_OQ>(a, b)
}

#[inline]
#[target_feature(enable = "avx2,fma")]
fn equal(a: __m256, b: __m256) -> __m256 {
    _mm256_cmp_ps::<_CMP_EQ_OQ>(a, b)
}

#[inline]
#[target_feature(enable = "avx2,fma")]
fn any(mask: __m256) -> bool {
    _mm256_movemask_ps(mask) != 0
}

#[inline]
#[target_feature(enable = "avx2,fma")]
fn select(mask: __m256, yes: __m256, no: __m256) -> __m256 {
    blend(no, yes, mask)
}

#[inline]
#[target_feature(enable = "avx2,fma")]
fn shift_into_exponent(a: __m256) -> __m256 {
    _mm256_castsi256_ps(_mm256_slli_epi32::<23>(_mm256_castps_si256(a)))
}

#[inline]
#[target_feature(enable = "avx2,fma")]
fn split_exponent(a: __m256) -> (__m256, __m256) {
    let sqrt_half = core::f32::consts::FRAC_1_SQRT_2.to_bits().cast_signed();
    let sqrt_half = _mm256_set1_epi32(sqrt_half);
    let above = _mm256_sub_epi32(_mm256_castps_si256(a), sqrt_half);
    let fraction = _mm256_and_si256(above, _mm256_set1_epi32(0x007f_ffff));
    let mantissa = _mm256_castsi256_ps(_mm256_add_epi32(fraction, sqrt_half));
    (mantissa, _mm256_cvtepi32_ps(_mm256_srai_epi32::<23>(above)))
}

#[inline]
#[target_feature(enable = "avx2,fma")]
fn largest(a: __m256) -> f32 {
    let four = _mm_max_ps(_mm256_extractf128_ps::<1>(a), _mm256_castps256_ps128(a));
    let two = _mm_max_ps(_mm_movehl_ps(four, four), four);
    _mm_cvtss_f32(_mm_max_ss(_mm_shuffle_ps::<1>(two, two), two))
}

#[inline]
#[target_feature(enable = "avx2,fma")]
fn halves(a: __m256, b: __m256, width: usize) -> (__m256, __m256) {
    match width {
        4 => (_mm256_permute2f128_ps::<0x20>(a, b), _mm256_permute2f128_ps::<0x31>(a, b)),
        2 => (_mm256_shuffle_ps::<0b01_00_01_00>(a, b), _mm256_shuffle_ps::<0b11_10_11_10>(a, b)),
        _ => (_mm256_shuffle_ps::<0b10_00_10_00>(a, b), _mm256_shuffle_ps::<0b11_01_11_01>(a, b)),
    }
}

#[cfg(feature = "half")]
#[inline]
#[target_feature(enable = "avx2,fma")]
fn from_bf16(bits: &[u16; 16]) -> [__m256; 2] {
    let eight = |at: usize| {
        // SAFETY: `at` is zero or eight: the reference is to the sixteen bytes from there on, and the load needs no
        // alignment.
        let bits = unsafe { _mm_loadu_si128(bits.as_ptr().add(at).cast()) };
        _mm256_castsi256_ps(_mm256_slli_epi32::<16>(_mm256_cvtepu16_epi32(bits)))
    };
    [eight(0), eight(8)]
}

#[cfg(feature = "half")]
#[inline]
#[target_feature(enable = "avx2,fma")]
fn to_bf16(low: __m256, high: __m256, bits: &mut [u16; 16]) {
    let upper = |a: __m256| {
        let all = _mm256_castps_si256(a);
        let odd = _mm256_and_si256(_mm256_srli_epi32::<16>(all), _mm256_set1_epi32(1));
        let half = _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff));
        let rounded = _mm256_castsi256_ps(_mm256_add_epi32(all, half));
        // Rounding might carry a NaN over to zero.
        let quiet = _mm256_or_si256(all, _mm256_set1_epi32(0x0040_0000));
        let nan = _mm256_cmp_ps::<_CMP_UNORD_Q>(a, a);
        let all = blend(rounded, _mm256_castsi256_ps(quiet), nan);
        _mm256_srli_epi32::<16>(_mm256_castps_si256(all))
    };
    // Packed half by half, and then put in order.
    let packed = _mm256_packus_epi32(upper(low), upper(high));
    let packed = _mm256_permute4x64_epi64::<0b11_01_10_00>(packed);
    // SAFETY: the reference is to 32 bytes borrowed for writing, and the store needs no alignment.
    unsafe { _mm256_storeu_si256(bits.as_mut_ptr().cast(), packed) };
}

#[cfg(feature = "half")]
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn from_f16(bits: &[u16; 16]) -> [__m256; 2] {
    let eight = |at: usize| {
        // SAFETY: `at` is zero or eight: the reference is to the sixteen bytes from there on, and the load needs no
        // alignment.
        _mm256_cvtph_ps(unsafe { _mm_loadu_si128(bits.as_ptr().add(at).cast()) })
    };
    [eight(0), eight(8)]
}

#[cfg(feature = "half")]
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn to_f16(low: __m256, high: __m256, bits: &mut [u16; 16]) {
    let low = _mm256_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(low);
    let high = _mm256_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(high);
    let both = _mm256_set_m128i(high, low);
    // SAFETY: the reference is to 32 bytes borrowed for writing, and the store needs no alignment.
    unsafe { _mm256_storeu_si256(bits.as_mut_ptr().cast(), both) };
}
