//! From a [`Level`] to code compiled for it: the only kernel entries with
//! `#[target_feature]`.
//!
//! A kernel is a struct that holds its arguments; `run` is its body, generic over the level's
//! vectors. `run` and everything it calls is `#[inline(always)]`, so that the whole kernel is
//! compiled inside the entry that enables the instructions. The entries are in the module of the
//! kernel ([`entries`]), not here: the compiler makes one codegen unit from the generic functions
//! of a module, and compiles units in parallel.

use crate::level::Level;
use crate::simd::Simd;

pub(crate) trait Kernel: Sized {
    type Output;

    /// The body, for the vectors of a level.
    fn run<S: Simd>(self, simd: S) -> Self::Output;

    /// Runs it at a level. Written by [`entries`].
    fn at(self, level: Level) -> Self::Output;
}

/// [`Kernel::at`], with an entry for each level.
macro_rules! entries {
    () => {
        #[inline]
        fn at(self, level: crate::level::Level) -> Self::Output {
            use crate::dispatch::Kernel;
            use crate::level::Level;
            #[cfg(all(
                any(target_arch = "x86", target_arch = "x86_64"),
                target_feature = "sse2"
            ))]
            #[allow(unused_imports, reason = "a level may be left out")]
            use crate::level::{Avx2, Avx512};
            use crate::simd::Portable;

            #[inline(never)]
            fn portable_entry<K: Kernel>(kernel: K) -> K::Output {
                kernel.run(Portable)
            }

            #[cfg(all(
                any(target_arch = "x86", target_arch = "x86_64"),
                target_feature = "sse2",
                feature = "avx2"
            ))]
            #[target_feature(enable = "avx2,fma,f16c")]
            fn avx2_entry<K: Kernel>(kernel: K, token: Avx2) -> K::Output {
                kernel.run(token)
            }

            #[cfg(all(
                any(target_arch = "x86", target_arch = "x86_64"),
                target_feature = "sse2",
                feature = "avx512"
            ))]
            #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw")]
            fn avx512_entry<K: Kernel>(kernel: K, token: Avx512) -> K::Output {
                kernel.run(token)
            }

            match level {
                Level::Portable => portable_entry(self),
                #[cfg(all(
                    any(target_arch = "x86", target_arch = "x86_64"),
                    target_feature = "sse2",
                    feature = "avx2"
                ))]
                Level::Avx2(token) => {
                    // SAFETY: the only requirement of the entry is that the features it is compiled
                    // with work: AVX2, FMA and F16C. The field of `Avx2` is private to `level.rs`,
                    // where only `Avx2::detect` makes one, after it has found that the processor
                    // has all three and the system saves their registers. So `token` proves that
                    // they work.
                    unsafe { avx2_entry(self, token) }
                }
                #[cfg(all(
                    any(target_arch = "x86", target_arch = "x86_64"),
                    target_feature = "sse2",
                    feature = "avx512"
                ))]
                Level::Avx512(token) => {
                    // SAFETY: the only requirement of the entry is that the features it is compiled
                    // with work: AVX-512 F, VL, DQ and BW, and AVX2, FMA and F16C, which the first
                    // of them implies. The field of `Avx512` is private to `level.rs`, where only
                    // `Avx512::detect` makes one, after it has found that all seven work. So
                    // `token` proves that they do.
                    unsafe { avx512_entry(self, token) }
                }
                // The whole module is compiled with these instructions.
                #[cfg(all(target_arch = "wasm32", target_feature = "relaxed-simd"))]
                Level::RelaxedSimd(token) => self.run(token),
                // A level whose feature is off: its token does not exist.
                #[allow(unreachable_patterns, reason = "all levels may be on")]
                _ => portable_entry(self),
            }
        }
    };
}
pub(crate) use entries;
