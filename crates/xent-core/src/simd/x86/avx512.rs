//! AVX-512 F, VL, DQ and BW: sixteen f32 a register.

#[cfg(target_arch = "x86")]
use core::arch::x86::*;
#[cfg(target_arch = "x86_64")]
use core::arch::x86_64::*;
use core::ops::{Add, Div, Mul, Sub};

use super::{operations, operators};
use crate::level::Avx512;
use crate::simd::{Lanes, STRIPES, Simd, Vector, has_fours};

impl Simd for Avx512 {
    type F32 = F32x16;
}

#[derive(Clone, Copy)]
pub(crate) struct F32x16(__m512);

operators! { F32x16(__m512), "avx512f,avx512vl,avx512dq,avx512bw":
    Add::add = _mm512_add_ps;
    Sub::sub = _mm512_sub_ps;
    Mul::mul = _mm512_mul_ps;
    Div::div = _mm512_div_ps;
}

/// Sixteen lanes whose first `count` are set.
#[inline(always)]
fn first_lanes(count: usize) -> __mmask16 {
    if count < 16 { (1 << count) - 1 } else { !0 }
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

impl Vector for F32x16 {
    type Token = Avx512;
    type Scalar = f32;
    type Mask = __mmask16;

    const LANES: usize = 16;

    #[inline(always)]
    fn splat(_: Avx512, value: f32) -> Self {
        // SAFETY: the token proves that AVX-512F works.
        Self(unsafe { _mm512_set1_ps(value) })
    }

    #[inline(always)]
    fn load(_: Avx512, from: &[f32], fill: Self) -> Self {
        if let Some(lanes) = from.first_chunk::<16>() {
            // SAFETY: the token proves that AVX-512F works; the reference is to sixteen f32, and
            // the load asks for no alignment.
            return Self(unsafe { _mm512_loadu_ps(lanes.as_ptr()) });
        }
        // SAFETY: the token proves that AVX-512F works; only lanes below `from.len()` are read,
        // and a masked load does not touch (nor fault on) the memory of the others.
        Self(unsafe { _mm512_mask_loadu_ps(fill.0, first_lanes(from.len()), from.as_ptr()) })
    }

    #[inline(always)]
    fn store(self, into: &mut [f32]) {
        if let Some(lanes) = into.first_chunk_mut::<16>() {
            // SAFETY: a vector exists, so AVX-512F works; the reference is to sixteen f32 that
            // are borrowed for writing, and the store asks for no alignment.
            unsafe { _mm512_storeu_ps(lanes.as_mut_ptr(), self.0) };
            return;
        }
        if into.is_empty() {
            // A masked store of nothing to an address of nothing takes hundreds of cycles.
            return;
        }
        // SAFETY: a vector exists, so AVX-512F works; only lanes below `into.len()` are written,
        // and a masked store does not touch (nor fault on) the memory of the others.
        unsafe { _mm512_mask_storeu_ps(into.as_mut_ptr(), first_lanes(into.len()), self.0) }
    }

    #[inline(always)]
    fn stream(self, into: &mut [f32]) {
        match into.first_chunk_mut::<16>() {
            Some(lanes) if lanes.as_ptr().cast::<__m512>().is_aligned() => {
                // SAFETY: a vector exists, so AVX-512F works; the reference is to 16 f32 that are
                // borrowed for writing, and aligned like a register.
                unsafe { _mm512_stream_ps(lanes.as_mut_ptr(), self.0) }
            }
            _ => self.store(into),
        }
    }

    #[inline(always)]
    fn load_fours(columns: &mut [Self; 4], _: Avx512, from: &[f32], stride: usize) -> bool {
        #[inline]
        #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw")]
        fn inner([a, b, c, d]: &mut [F32x16; 4], from: &[f32], stride: usize) -> bool {
            if !has_fours(from, 16, stride) {
                return false;
            }
            let four = |row: usize| {
                // SAFETY: the slice has four f32 from `row * stride` on, as was just asked for its
                // last row, the fifteenth; the load asks for no alignment.
                unsafe { _mm_loadu_ps(from.as_ptr().add(row * stride)) }
            };
            let every_fourth = |row: usize| {
                let all = _mm512_castps128_ps512(four(row));
                let all = _mm512_insertf32x4::<1>(all, four(row + 4));
                let all = _mm512_insertf32x4::<2>(all, four(row + 8));
                _mm512_insertf32x4::<3>(all, four(row + 12))
            };
            let rows = [every_fourth(0), every_fourth(1), every_fourth(2), every_fourth(3)];
            [a.0, b.0, c.0, d.0] = transpose_fours(rows);
            true
        }
        // SAFETY: the token proves that the level's features work.
        unsafe { inner(columns, from, stride) }
    }

    #[inline(always)]
    fn store_fours(columns: [Self; 4], into: &mut [f32], stride: usize) -> bool {
        #[inline]
        #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw")]
        fn inner(columns: [__m512; 4], into: &mut [f32], stride: usize) -> bool {
            if !has_fours(into, 16, stride) {
                return false;
            }
            let start = into.as_mut_ptr();
            let put = |row: usize, four: __m128| {
                // SAFETY: the slice has four f32 from `row * stride` on, as was just asked for its
                // last row, the fifteenth, borrowed for writing; the store asks for no alignment.
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
        // SAFETY: vectors exist, so the level's features work.
        unsafe { inner([columns[0].0, columns[1].0, columns[2].0, columns[3].0], into, stride) }
    }

    #[inline(always)]
    fn interleave(a: Self, b: Self) -> (Self, Self) {
        #[inline]
        #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw")]
        fn inner(a: __m512, b: __m512) -> (__m512, __m512) {
            let first = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
            let second = _mm512_add_epi32(first, _mm512_set1_epi32(8));
            (_mm512_permutex2var_ps(a, first, b), _mm512_permutex2var_ps(a, second, b))
        }
        // SAFETY: vectors exist, so the level's features work.
        let (first, second) = unsafe { inner(a.0, b.0) };
        (Self(first), Self(second))
    }

    #[inline(always)]
    fn deinterleave(a: Self, b: Self) -> (Self, Self) {
        #[inline]
        #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw")]
        fn inner(a: __m512, b: __m512) -> (__m512, __m512) {
            let even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
            let odd = _mm512_add_epi32(even, _mm512_set1_epi32(1));
            (_mm512_permutex2var_ps(a, even, b), _mm512_permutex2var_ps(a, odd, b))
        }
        // SAFETY: vectors exist, so the level's features work.
        let (even, odd) = unsafe { inner(a.0, b.0) };
        (Self(even), Self(odd))
    }

    operations! { F32x16(__m512), "avx512f,avx512vl,avx512dq,avx512bw":
        fn mul_add(a, b, c) { _mm512_fmadd_ps(a, b, c) }
        fn max(a, b) { _mm512_max_ps(a, b) }
        fn min(a, b) { _mm512_min_ps(a, b) }
        fn abs(a) { _mm512_abs_ps(a) }
        fn shift_into_exponent(a) {
            _mm512_castsi512_ps(_mm512_slli_epi32::<23>(_mm512_castps_si512(a)))
        }
    }

    #[inline(always)]
    fn less(self, other: Self) -> __mmask16 {
        // SAFETY: a vector exists, so AVX-512F works.
        unsafe { _mm512_cmp_ps_mask::<_CMP_LT_OQ>(self.0, other.0) }
    }

    #[inline(always)]
    fn equal(self, other: Self) -> __mmask16 {
        // SAFETY: a vector exists, so AVX-512F works.
        unsafe { _mm512_cmp_ps_mask::<_CMP_EQ_OQ>(self.0, other.0) }
    }

    #[inline(always)]
    fn any(mask: __mmask16) -> bool {
        mask != 0
    }

    #[inline(always)]
    fn select(mask: __mmask16, yes: Self, no: Self) -> Self {
        // SAFETY: a vector exists, so AVX-512F works.
        Self(unsafe { _mm512_mask_blend_ps(mask, no.0, yes.0) })
    }

    #[inline(always)]
    fn split_exponent(self) -> (Self, Self) {
        #[inline]
        #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw")]
        fn inner(a: __m512) -> (__m512, __m512) {
            let sqrt_half = core::f32::consts::FRAC_1_SQRT_2.to_bits().cast_signed();
            let sqrt_half = _mm512_set1_epi32(sqrt_half);
            let above = _mm512_sub_epi32(_mm512_castps_si512(a), sqrt_half);
            let fraction = _mm512_and_si512(above, _mm512_set1_epi32(0x007f_ffff));
            let mantissa = _mm512_castsi512_ps(_mm512_add_epi32(fraction, sqrt_half));
            (mantissa, _mm512_cvtepi32_ps(_mm512_srai_epi32::<23>(above)))
        }
        // SAFETY: a vector exists, so the level's features work.
        let (mantissa, exponent) = unsafe { inner(self.0) };
        (Self(mantissa), Self(exponent))
    }
}

impl Lanes for F32x16 {
    type Stripes = [Self; STRIPES / Self::LANES];

    #[inline(always)]
    fn fence(_: Avx512) {
        // SAFETY: the token proves that AVX-512F works, and SSE with it.
        unsafe { _mm_sfence() };
    }

    #[inline(always)]
    fn prefetch(_: Avx512, from: &[f32], behind: usize) {
        // SAFETY: the token proves that AVX-512F works, and SSE with it; a prefetch reads nothing and
        // cannot fault, whatever the address.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(from.as_ptr().wrapping_add(behind).cast()) };
    }

    #[inline(always)]
    fn stripes(self) -> Self::Stripes {
        [self; STRIPES / Self::LANES]
    }

    #[inline(always)]
    fn largest(self) -> f32 {
        #[inline]
        #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw")]
        fn inner(a: __m512) -> f32 {
            let eight = _mm256_max_ps(_mm512_extractf32x8_ps::<1>(a), _mm512_castps512_ps256(a));
            let four = _mm_max_ps(_mm256_extractf128_ps::<1>(eight), _mm256_castps256_ps128(eight));
            let two = _mm_max_ps(_mm_movehl_ps(four, four), four);
            _mm_cvtss_f32(_mm_max_ss(_mm_shuffle_ps::<1>(two, two), two))
        }
        // SAFETY: a vector exists, so the level's features work.
        unsafe { inner(self.0) }
    }

    #[inline(always)]
    fn halves(a: Self, b: Self, width: usize) -> (Self, Self) {
        #[inline]
        #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw")]
        fn inner(a: __m512, b: __m512, width: usize) -> (__m512, __m512) {
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
        // SAFETY: vectors exist, so the level's features work.
        let (low, high) = unsafe { inner(a.0, b.0, width) };
        (Self(low), Self(high))
    }
}
