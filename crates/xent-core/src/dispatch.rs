//! From a [`Level`] to code compiled for it: the only kernel entries with `#[target_feature]`.
//!
//! A kernel is a struct that holds its arguments; `run` is its body, generic over the level's
//! vectors. `run` and all that it calls is `#[inline(always)]`, so that the whole kernel is
//! compiled inside the entry below that enables the instructions.

use crate::level::Level;
#[cfg(all(any(target_arch = "x86", target_arch = "x86_64"), target_feature = "sse2"))]
use crate::level::{Avx2, Avx512};
use crate::simd::{Portable, Simd};

pub(crate) trait Kernel {
    type Output;

    fn run<S: Simd>(self, simd: S) -> Self::Output;
}

impl Level {
    #[inline]
    pub(crate) fn run<K: Kernel>(self, kernel: K) -> K::Output {
        match self {
            Self::Portable => kernel.run(Portable),
            #[cfg(all(any(target_arch = "x86", target_arch = "x86_64"), target_feature = "sse2"))]
            Self::Avx2(token) => {
                #[target_feature(enable = "avx2,fma,f16c")]
                fn entry<K: Kernel>(kernel: K, token: Avx2) -> K::Output {
                    kernel.run(token)
                }
                // SAFETY: `entry` is safe but for the features that it is compiled with: AVX2, FMA and
                // F16C. The field of `Avx2` is private to `level.rs`, where `Avx2::detect` alone makes
                // one, after the processor has been found to have all three and the system to save
                // their registers. So `token` is the proof that they work.
                unsafe { entry(kernel, token) }
            }
            #[cfg(all(any(target_arch = "x86", target_arch = "x86_64"), target_feature = "sse2"))]
            Self::Avx512(token) => {
                #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw")]
                fn entry<K: Kernel>(kernel: K, token: Avx512) -> K::Output {
                    kernel.run(token)
                }
                // SAFETY: `entry` is safe but for the features that it is compiled with: AVX-512 F, VL,
                // DQ and BW, and AVX2, FMA and F16C, which the first of them brings along. The field
                // of `Avx512` is private to `level.rs`, where `Avx512::detect` alone makes one, after
                // all seven have been found to work. So `token` is the proof that they do.
                unsafe { entry(kernel, token) }
            }
            // All of the module is compiled with these instructions.
            #[cfg(all(target_arch = "wasm32", target_feature = "relaxed-simd"))]
            Self::RelaxedSimd(token) => kernel.run(token),
        }
    }
}
