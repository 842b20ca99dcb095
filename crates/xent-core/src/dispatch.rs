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
                // SAFETY: `entry` asks for AVX2, FMA and F16C; a token of type `Avx2` is only made by
                // `Avx2::detect`, after the processor and the system have said that all work.
                unsafe { entry(kernel, token) }
            }
            #[cfg(all(any(target_arch = "x86", target_arch = "x86_64"), target_feature = "sse2"))]
            Self::Avx512(token) => {
                #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw")]
                fn entry<K: Kernel>(kernel: K, token: Avx512) -> K::Output {
                    kernel.run(token)
                }
                // SAFETY: `entry` asks for AVX-512 F, VL, DQ and BW; a token of type `Avx512` is
                // only made by `Avx512::detect`, after all four have been found to work.
                unsafe { entry(kernel, token) }
            }
        }
    }
}
