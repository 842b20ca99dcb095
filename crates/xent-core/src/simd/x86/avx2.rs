//! AVX2 with FMA: eight f32 a register.

#[cfg(target_arch = "x86")]
use core::arch::x86::*;
#[cfg(target_arch = "x86_64")]
use core::arch::x86_64::*;
use core::ops::{Add, Div, Mul, Sub};

use super::{operations, operators};
use crate::level::Avx2;
use crate::simd::{Lanes, STRIPES, Simd, Vector, has_fours};

impl Simd for Avx2 {
    type F32 = F32x8;
}

#[derive(Clone, Copy)]
pub(crate) struct F32x8(__m256);

operators! { F32x8(__m256), "avx2,fma":
    Add::add = _mm256_add_ps;
    Sub::sub = _mm256_sub_ps;
    Mul::mul = _mm256_mul_ps;
    Div::div = _mm256_div_ps;
}

/// Eight lanes whose first `count` are set: a window on set lanes followed by clear ones.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn first_lanes(count: usize) -> __m256i {
    const LANES: &[i32; 16] = &[-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0];
    let start = 8 - count.min(8);
    // SAFETY: `start` is at most 8, so the eight lanes from there lie within the sixteen.
    unsafe { _mm256_loadu_si256(LANES.as_ptr().add(start).cast()) }
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

impl Vector for F32x8 {
    type Token = Avx2;
    type Scalar = f32;
    type Mask = Self;

    const LANES: usize = 8;

    #[inline(always)]
    fn splat(_: Avx2, value: f32) -> Self {
        // SAFETY: the token proves that AVX2 works.
        Self(unsafe { _mm256_set1_ps(value) })
    }

    #[inline(always)]
    fn load(_: Avx2, from: &[f32], fill: Self) -> Self {
        #[inline]
        #[target_feature(enable = "avx2,fma")]
        fn partial(from: &[f32], fill: __m256) -> __m256 {
            let lanes = first_lanes(from.len());
            // SAFETY: only lanes below `from.len()` are read, and a masked load does not touch
            // (nor fault on) the memory of the others.
            let values = unsafe { _mm256_maskload_ps(from.as_ptr(), lanes) };
            _mm256_blendv_ps(fill, values, _mm256_castsi256_ps(lanes))
        }
        if let Some(lanes) = from.first_chunk::<8>() {
            // SAFETY: the token proves that AVX works; the reference is to eight f32, and the
            // load asks for no alignment.
            return Self(unsafe { _mm256_loadu_ps(lanes.as_ptr()) });
        }
        // SAFETY: the token proves that AVX2 and FMA work.
        Self(unsafe { partial(from, fill.0) })
    }

    #[inline(always)]
    fn store(self, into: &mut [f32]) {
        #[inline]
        #[target_feature(enable = "avx2,fma")]
        fn partial(into: &mut [f32], values: __m256) {
            let lanes = first_lanes(into.len());
            // SAFETY: only lanes below `into.len()` are written, and a masked store does not
            // touch (nor fault on) the memory of the others.
            unsafe { _mm256_maskstore_ps(into.as_mut_ptr(), lanes, values) }
        }
        if let Some(lanes) = into.first_chunk_mut::<8>() {
            // SAFETY: a vector exists, so AVX works; the reference is to eight f32 that are
            // borrowed for writing, and the store asks for no alignment.
            unsafe { _mm256_storeu_ps(lanes.as_mut_ptr(), self.0) };
            return;
        }
        if into.is_empty() {
            // A masked store of nothing to an address of nothing takes hundreds of cycles.
            return;
        }
        // SAFETY: a vector exists, so AVX2 and FMA work.
        unsafe { partial(into, self.0) }
    }

    #[inline(always)]
    fn stream(self, into: &mut [f32]) {
        match into.first_chunk_mut::<8>() {
            Some(lanes) if lanes.as_ptr().cast::<__m256>().is_aligned() => {
                // SAFETY: a vector exists, so AVX works; the reference is to 8 f32 that are
                // borrowed for writing, and aligned like a register.
                unsafe { _mm256_stream_ps(lanes.as_mut_ptr(), self.0) }
            }
            _ => self.store(into),
        }
    }

    #[inline(always)]
    fn load_fours(columns: &mut [Self; 4], _: Avx2, from: &[f32], stride: usize) -> bool {
        #[inline]
        #[target_feature(enable = "avx2,fma")]
        fn inner([a, b, c, d]: &mut [F32x8; 4], from: &[f32], stride: usize) -> bool {
            if !has_fours(from, 8, stride) {
                return false;
            }
            let four = |row: usize| {
                // SAFETY: the slice has four f32 from `row * stride` on, as was just asked for its
                // last row, the seventh; the load asks for no alignment.
                unsafe { _mm_loadu_ps(from.as_ptr().add(row * stride)) }
            };
            let both = |row| _mm256_set_m128(four(row + 4), four(row));
            let rows = [both(0), both(1), both(2), both(3)];
            [a.0, b.0, c.0, d.0] = transpose_fours(rows);
            true
        }
        // SAFETY: the token proves that AVX2 and FMA work.
        unsafe { inner(columns, from, stride) }
    }

    #[inline(always)]
    fn store_fours(columns: [Self; 4], into: &mut [f32], stride: usize) -> bool {
        #[inline]
        #[target_feature(enable = "avx2,fma")]
        fn inner(columns: [__m256; 4], into: &mut [f32], stride: usize) -> bool {
            if !has_fours(into, 8, stride) {
                return false;
            }
            let start = into.as_mut_ptr();
            let put = |row: usize, four: __m128| {
                // SAFETY: the slice has four f32 from `row * stride` on, as was just asked for its
                // last row, the seventh, borrowed for writing; the store asks for no alignment.
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
        // SAFETY: vectors exist, so AVX2 and FMA work.
        unsafe { inner([columns[0].0, columns[1].0, columns[2].0, columns[3].0], into, stride) }
    }

    #[inline(always)]
    fn interleave(a: Self, b: Self) -> (Self, Self) {
        #[inline]
        #[target_feature(enable = "avx2,fma")]
        fn inner(a: __m256, b: __m256) -> (__m256, __m256) {
            let (low, high) = (_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b));
            let first = _mm256_permute2f128_ps::<0x20>(low, high);
            (first, _mm256_permute2f128_ps::<0x31>(low, high))
        }
        // SAFETY: vectors exist, so AVX2 and FMA work.
        let (first, second) = unsafe { inner(a.0, b.0) };
        (Self(first), Self(second))
    }

    #[inline(always)]
    fn deinterleave(a: Self, b: Self) -> (Self, Self) {
        #[inline]
        #[target_feature(enable = "avx2,fma")]
        fn inner(a: __m256, b: __m256) -> (__m256, __m256) {
            let in_order = |halves: __m256| {
                let fours = _mm256_castps_pd(halves);
                _mm256_castpd_ps(_mm256_permute4x64_pd::<0b11_01_10_00>(fours))
            };
            let even = _mm256_shuffle_ps::<0b10_00_10_00>(a, b);
            (in_order(even), in_order(_mm256_shuffle_ps::<0b11_01_11_01>(a, b)))
        }
        // SAFETY: vectors exist, so AVX2 and FMA work.
        let (even, odd) = unsafe { inner(a.0, b.0) };
        (Self(even), Self(odd))
    }

    operations! { F32x8(__m256), "avx2,fma":
        fn mul_add(a, b, c) { _mm256_fmadd_ps(a, b, c) }
        fn max(a, b) { _mm256_max_ps(a, b) }
        fn min(a, b) { _mm256_min_ps(a, b) }
        fn abs(a) { _mm256_andnot_ps(_mm256_set1_ps(-0.0), a) }
        fn less(a, b) { _mm256_cmp_ps::<_CMP_LT_OQ>(a, b) }
        fn equal(a, b) { _mm256_cmp_ps::<_CMP_EQ_OQ>(a, b) }
        fn shift_into_exponent(a) {
            _mm256_castsi256_ps(_mm256_slli_epi32::<23>(_mm256_castps_si256(a)))
        }
    }

    #[inline(always)]
    fn any(mask: Self) -> bool {
        // SAFETY: a vector exists, so AVX works.
        unsafe { _mm256_movemask_ps(mask.0) != 0 }
    }

    #[inline(always)]
    fn select(mask: Self, yes: Self, no: Self) -> Self {
        // SAFETY: a vector exists, so AVX works.
        Self(unsafe { _mm256_blendv_ps(no.0, yes.0, mask.0) })
    }

    #[inline(always)]
    fn split_exponent(self) -> (Self, Self) {
        #[inline]
        #[target_feature(enable = "avx2,fma")]
        fn inner(a: __m256) -> (__m256, __m256) {
            let sqrt_half = core::f32::consts::FRAC_1_SQRT_2.to_bits().cast_signed();
            let sqrt_half = _mm256_set1_epi32(sqrt_half);
            let above = _mm256_sub_epi32(_mm256_castps_si256(a), sqrt_half);
            let fraction = _mm256_and_si256(above, _mm256_set1_epi32(0x007f_ffff));
            let mantissa = _mm256_castsi256_ps(_mm256_add_epi32(fraction, sqrt_half));
            (mantissa, _mm256_cvtepi32_ps(_mm256_srai_epi32::<23>(above)))
        }
        // SAFETY: a vector exists, so AVX2 and FMA work.
        let (mantissa, exponent) = unsafe { inner(self.0) };
        (Self(mantissa), Self(exponent))
    }
}

impl Lanes for F32x8 {
    type Stripes = [Self; STRIPES / Self::LANES];

    #[inline(always)]
    fn fence(_: Avx2) {
        // SAFETY: the token proves that AVX works, and SSE with it.
        unsafe { _mm_sfence() };
    }

    #[inline(always)]
    fn prefetch(_: Avx2, from: &[f32], behind: usize) {
        // SAFETY: the token proves that AVX works, and SSE with it; a prefetch reads nothing and
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
        #[target_feature(enable = "avx2,fma")]
        fn inner(a: __m256) -> f32 {
            let four = _mm_max_ps(_mm256_extractf128_ps::<1>(a), _mm256_castps256_ps128(a));
            let two = _mm_max_ps(_mm_movehl_ps(four, four), four);
            _mm_cvtss_f32(_mm_max_ss(_mm_shuffle_ps::<1>(two, two), two))
        }
        // SAFETY: a vector exists, so AVX2 and FMA work.
        unsafe { inner(self.0) }
    }

    #[inline(always)]
    fn halves(a: Self, b: Self, width: usize) -> (Self, Self) {
        #[inline]
        #[target_feature(enable = "avx2,fma")]
        fn inner(a: __m256, b: __m256, width: usize) -> (__m256, __m256) {
            match width {
                4 => (_mm256_permute2f128_ps::<0x20>(a, b), _mm256_permute2f128_ps::<0x31>(a, b)),
                2 => (
                    _mm256_shuffle_ps::<0b01_00_01_00>(a, b),
                    _mm256_shuffle_ps::<0b11_10_11_10>(a, b),
                ),
                _ => (
                    _mm256_shuffle_ps::<0b10_00_10_00>(a, b),
                    _mm256_shuffle_ps::<0b11_01_11_01>(a, b),
                ),
            }
        }
        // SAFETY: vectors exist, so AVX2 and FMA work.
        let (low, high) = unsafe { inner(a.0, b.0, width) };
        (Self(low), Self(high))
    }
}
