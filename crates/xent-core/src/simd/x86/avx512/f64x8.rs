//! Eight f64 a register.

#[cfg(target_arch = "x86")]
use core::arch::x86 as arch;
#[cfg(target_arch = "x86_64")]
use core::arch::x86_64 as arch;

use arch::*;
use arch::{
    _mm512_abs_pd as abs, _mm512_add_pd as add, _mm512_div_pd as div, _mm512_fmadd_pd as mul_add,
    _mm512_loadu_pd as load, _mm512_max_pd as max, _mm512_min_pd as min, _mm512_mul_pd as mul,
    _mm512_set1_pd as splat, _mm512_storeu_pd as store, _mm512_stream_pd as stream,
    _mm512_sub_pd as sub,
};

use crate::simd::has_fours;
use crate::simd::x86::vector;

vector! { F64x8(__m512d) of 8 f64 with masks __mmask8, a token Avx512 }

/// Eight lanes whose first `count` are set.
#[inline]
fn first_lanes(count: usize) -> __mmask8 {
    if count < 8 { (1 << count) - 1 } else { !0 }
}

#[inline]
#[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw")]
fn load_some(from: &[f64], fill: __m512d) -> __m512d {
    // SAFETY: a masked load reads the lanes that are set, and does not access the memory of the others (or fault on
    // it). The lanes that are set are those below `from.len()`: elements of the slice.
    unsafe { _mm512_mask_loadu_pd(fill, first_lanes(from.len()), from.as_ptr()) }
}

#[inline]
#[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw")]
fn store_some(into: &mut [f64], values: __m512d) {
    // SAFETY: a masked store writes the lanes that are set, and does not access the memory of the others (or fault
    // on it). The lanes that are set are those below `into.len()`: elements of the slice, borrowed for writing.
    unsafe { _mm512_mask_storeu_pd(into.as_mut_ptr(), first_lanes(into.len()), values) }
}

/// The transpose of each half: four rows of four.
#[inline]
#[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw")]
fn transpose_fours([a, b, c, d]: [__m512d; 4]) -> [__m512d; 4] {
    let first = _mm512_setr_epi64(0, 1, 8, 9, 4, 5, 12, 13);
    let last = _mm512_add_epi64(first, _mm512_set1_epi64(2));
    let (ab, cd) = (_mm512_unpacklo_pd(a, b), _mm512_unpacklo_pd(c, d));
    let even = [_mm512_permutex2var_pd(ab, first, cd), _mm512_permutex2var_pd(ab, last, cd)];
    let (ab, cd) = (_mm512_unpackhi_pd(a, b), _mm512_unpackhi_pd(c, d));
    let odd = [_mm512_permutex2var_pd(ab, first, cd), _mm512_permutex2var_pd(ab, last, cd)];
    [even[0], odd[0], even[1], odd[1]]
}

#[inline]
#[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw")]
fn load_fours(from: &[f64], stride: usize) -> Option<[__m512d; 4]> {
    if !has_fours(from, 8, stride) {
        return None;
    }
    let four = |row: usize| {
        // SAFETY: it was just checked that the slice has four f64 from `7 * stride` on, so it has them from `row *
        // stride` on, as `row` is at most 7; the load needs no alignment.
        unsafe { _mm256_loadu_pd(from.as_ptr().add(row * stride)) }
    };
    let both = |row| _mm512_insertf64x4::<1>(_mm512_castpd256_pd512(four(row)), four(row + 4));
    Some(transpose_fours([both(0), both(1), both(2), both(3)]))
}

#[inline]
#[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw")]
fn store_fours(columns: [__m512d; 4], into: &mut [f64], stride: usize) -> bool {
    if !has_fours(into, 8, stride) {
        return false;
    }
    let start = into.as_mut_ptr();
    let put = |row: usize, four: __m256d| {
        // SAFETY: it was just checked that the slice has four f64 from `7 * stride` on, so it has them from `row *
        // stride` on, as `row` is at most 7; they are borrowed for writing, and the store needs no alignment.
        unsafe { _mm256_storeu_pd(start.add(row * stride), four) };
    };
    let rows = transpose_fours(columns);
    // In order: the end of a row may be overwritten by the next.
    for (row, both) in rows.into_iter().enumerate() {
        put(row, _mm512_castpd512_pd256(both));
    }
    for (row, both) in rows.into_iter().enumerate() {
        put(row + 4, _mm512_extractf64x4_pd::<1>(both));
    }
    true
}

#[inline]
#[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw")]
fn interleave(a: __m512d, b: __m512d) -> (__m512d, __m512d) {
    let first = _mm512_setr_epi64(0, 8, 1, 9, 2, 10, 3, 11);
    let second = _mm512_add_epi64(first, _mm512_set1_epi64(4));
    (_mm512_permutex2var_pd(a, first, b), _mm512_permutex2var_pd(a, second, b))
}

#[inline]
#[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw")]
fn deinterleave(a: __m512d, b: __m512d) -> (__m512d, __m512d) {
    let even = _mm512_setr_epi64(0, 2, 4, 6, 8, 10, 12, 14);
    let odd = _mm512_add_epi64(even, _mm512_set1_epi64(1));
    (_mm512_permutex2var_pd(a, even, b), _mm512_permutex2var_pd(a, odd, b))
}

#[inline]
#[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw")]
fn less(a: __m512d, b: __m512d) -> __mmask8 {
    _mm512_cmp_pd_mask::<_CMP_LT_OQ>(a, b)
}

#[inline]
#[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw")]
fn equal(a: __m512d, b: __m512d) -> __mmask8 {
    _mm512_cmp_pd_mask::<_CMP_EQ_OQ>(a, b)
}

#[inline]
#[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw")]
fn any(mask: __mmask8) -> bool {
    mask != 0
}

#[inline]
#[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw")]
fn select(mask: __mmask8, yes: __m512d, no: __m512d) -> __m512d {
    _mm512_mask_blend_pd(mask, no, yes)
}

#[inline]
#[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw")]
fn shift_into_exponent(a: __m512d) -> __m512d {
    _mm512_castsi512_pd(_mm512_slli_epi64::<52>(_mm512_castpd_si512(a)))
}

#[inline]
#[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw")]
fn split_exponent(a: __m512d) -> (__m512d, __m512d) {
    let sqrt_half = _mm512_set1_epi64(core::f64::consts::FRAC_1_SQRT_2.to_bits().cast_signed());
    let above = _mm512_sub_epi64(_mm512_castpd_si512(a), sqrt_half);
    let fraction = _mm512_and_si512(above, _mm512_set1_epi64(0x000f_ffff_ffff_ffff));
    let mantissa = _mm512_castsi512_pd(_mm512_add_epi64(fraction, sqrt_half));
    (mantissa, _mm512_cvtepi64_pd(_mm512_srai_epi64::<52>(above)))
}

#[inline]
#[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw")]
fn largest(a: __m512d) -> f64 {
    let four = _mm256_max_pd(_mm512_extractf64x4_pd::<1>(a), _mm512_castpd512_pd256(a));
    let two = _mm_max_pd(_mm256_extractf128_pd::<1>(four), _mm256_castpd256_pd128(four));
    _mm_cvtsd_f64(_mm_max_sd(_mm_unpackhi_pd(two, two), two))
}

#[inline]
#[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw")]
fn halves(a: __m512d, b: __m512d, width: usize) -> (__m512d, __m512d) {
    let both = |low: __m512i, apart: i64| {
        let high = _mm512_add_epi64(low, _mm512_set1_epi64(apart));
        (_mm512_permutex2var_pd(a, low, b), _mm512_permutex2var_pd(a, high, b))
    };
    match width {
        4 => both(_mm512_setr_epi64(0, 1, 2, 3, 8, 9, 10, 11), 4),
        2 => both(_mm512_setr_epi64(0, 1, 8, 9, 4, 5, 12, 13), 2),
        _ => both(_mm512_setr_epi64(0, 2, 8, 10, 4, 6, 12, 14), 1),
    }
}
