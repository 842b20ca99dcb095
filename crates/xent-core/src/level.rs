//! Which instructions the kernels may use.

use core::fmt;

/// A set of instructions that the kernels are compiled for, known to work on this machine.
///
/// A `Level` other than [`Portable`](Level::Portable) carries a token that only detection can
/// make, so a value of this type is the proof that its instructions exist. Choose it once and
/// pass it along: it is `Copy`, and as cheap as a byte.
///
/// Levels with fused multiply-add ([`has_fma`](Self::has_fma)) return the same bits as each
/// other, for every function of this crate.
///
/// ```
/// use xent_core::Level;
///
/// let level = Level::detect();
/// assert!(Level::available().any(|l| l == level));
/// assert_eq!(Level::by_name(level.name()), Some(level));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Level {
    /// The instructions that the target guarantees, through the crate `wide`: SSE2 on x86-64, NEON on
    /// 64-bit Arm, simd128 in WebAssembly that is compiled with it, the floating-point unit elsewhere.
    Portable,
    /// x86 with AVX2, FMA and F16C: 256-bit registers. With the feature `avx2`, which is on by default.
    #[cfg(all(any(target_arch = "x86", target_arch = "x86_64"), target_feature = "sse2"))]
    Avx2(Avx2),
    /// x86 with AVX-512 F, VL, DQ and BW: 512-bit registers. With the feature `avx512`, which is on by
    /// default.
    #[cfg(all(any(target_arch = "x86", target_arch = "x86_64"), target_feature = "sse2"))]
    Avx512(Avx512),
    /// WebAssembly with relaxed SIMD, on an engine that fuses its multiplications and additions.
    #[cfg(all(target_arch = "wasm32", target_feature = "relaxed-simd"))]
    RelaxedSimd(RelaxedSimd),
}

/// Whether the portable level rounds a multiplication and the addition after it once: where `wide` has an
/// instruction for both, and on Cortex-M with a floating-point unit (`simd/fuse.rs`).
const PORTABLE_HAS_FMA: bool = cfg!(any(
    all(target_feature = "sse2", target_feature = "fma"),
    all(target_arch = "aarch64", target_feature = "neon"),
    all(
        target_arch = "arm",
        target_os = "none",
        target_abi = "eabihf",
        not(target_has_atomic = "64")
    )
));

/// Proof that this machine has AVX2, FMA and F16C, and that the system saves their registers.
#[cfg(all(any(target_arch = "x86", target_arch = "x86_64"), target_feature = "sse2"))]
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Avx2(());

/// Proof that this machine has AVX-512 F, VL, DQ and BW, and what the compiler takes AVX-512 F to bring
/// along (AVX2, FMA and F16C), and that the system saves their registers.
#[cfg(all(any(target_arch = "x86", target_arch = "x86_64"), target_feature = "sse2"))]
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Avx512(());

/// Proof that this engine's relaxed multiplication and addition is fused, which it may be or not.
#[cfg(all(target_arch = "wasm32", target_feature = "relaxed-simd"))]
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct RelaxedSimd(());

#[cfg(all(target_arch = "wasm32", target_feature = "relaxed-simd"))]
impl RelaxedSimd {
    /// Multiplies and adds where one rounding and two differ; an engine's choice is always the same.
    fn detect() -> Option<Self> {
        use core::arch::wasm32::{
            f32x4_extract_lane, f32x4_relaxed_madd, f32x4_splat, f64x2_extract_lane,
            f64x2_relaxed_madd, f64x2_splat,
        };
        use core::hint::black_box;

        // (1 + ε)² - 1 - 2ε is ε² at once, and nothing after the square has been rounded.
        let x = 1.0 + f32::EPSILON;
        let (square, less) = (f32x4_splat(black_box(x)), f32x4_splat(-1.0 - 2.0 * f32::EPSILON));
        let f32s = f32x4_extract_lane::<0>(f32x4_relaxed_madd(square, square, less)) != 0.0;
        let x = 1.0 + f64::EPSILON;
        let (square, less) = (f64x2_splat(black_box(x)), f64x2_splat(-1.0 - 2.0 * f64::EPSILON));
        let f64s = f64x2_extract_lane::<0>(f64x2_relaxed_madd(square, square, less)) != 0.0;
        (f32s && f64s).then_some(Self(()))
    }
}

#[cfg(all(any(target_arch = "x86", target_arch = "x86_64"), target_feature = "sse2"))]
mod detection {
    use super::{Avx2, Avx512};

    #[cfg(target_arch = "x86")]
    use core::arch::x86::__cpuid;
    #[cfg(target_arch = "x86_64")]
    use core::arch::x86_64::__cpuid;
    use core::sync::atomic::{AtomicU8, Ordering};

    cpufeatures::new!(has_avx2, "avx2", "fma");
    cpufeatures::new!(has_avx512, "avx2", "fma", "avx512f", "avx512vl", "avx512dq", "avx512bw");

    /// Whether the processor has F16C, which `cpufeatures` does not ask for; of the registers that AVX has.
    /// It is asked once: on a virtual machine that takes microseconds.
    fn has_f16c() -> bool {
        const UNKNOWN: u8 = 2;
        static KNOWN: AtomicU8 = AtomicU8::new(UNKNOWN);
        let mut known = KNOWN.load(Ordering::Relaxed);
        if known == UNKNOWN {
            #[allow(unused_unsafe, reason = "safe in later versions of the standard library")]
            // SAFETY: this module is compiled for targets with SSE2 alone. Every processor with SSE2 has
            // the instruction `cpuid`, which every mode may execute, and answers for leaf 1. It
            // touches no memory.
            let ecx = unsafe { __cpuid(1) }.ecx;
            known = ((ecx >> 29) & 1) as u8;
            KNOWN.store(known, Ordering::Relaxed);
        }
        known == 1
    }

    impl Avx2 {
        pub(super) fn detect() -> Option<Self> {
            (cfg!(feature = "avx2") && has_avx2::get() && has_f16c()).then_some(Self(()))
        }
    }

    impl Avx512 {
        pub(super) fn detect() -> Option<Self> {
            (cfg!(feature = "avx512") && has_avx512::get() && has_f16c()).then_some(Self(()))
        }
    }
}

impl Level {
    /// The best level of this machine. The processor is asked once and the answer kept.
    #[must_use]
    pub fn detect() -> Self {
        #[cfg(all(any(target_arch = "x86", target_arch = "x86_64"), target_feature = "sse2"))]
        {
            if let Some(token) = Avx512::detect() {
                return Self::Avx512(token);
            }
            if let Some(token) = Avx2::detect() {
                return Self::Avx2(token);
            }
        }
        #[cfg(all(target_arch = "wasm32", target_feature = "relaxed-simd"))]
        if let Some(token) = RelaxedSimd::detect() {
            return Self::RelaxedSimd(token);
        }
        Self::Portable
    }

    /// Every level of this machine, the plainest first. Tests run through all of them.
    pub fn available() -> impl Iterator<Item = Self> {
        [
            Some(Self::Portable),
            #[cfg(all(any(target_arch = "x86", target_arch = "x86_64"), target_feature = "sse2"))]
            Avx2::detect().map(Self::Avx2),
            #[cfg(all(any(target_arch = "x86", target_arch = "x86_64"), target_feature = "sse2"))]
            Avx512::detect().map(Self::Avx512),
            #[cfg(all(target_arch = "wasm32", target_feature = "relaxed-simd"))]
            RelaxedSimd::detect().map(Self::RelaxedSimd),
        ]
        .into_iter()
        .flatten()
    }

    /// The level of that [`name`](Self::name), if this machine has it.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        Self::available().find(|level| level.name() == name)
    }

    /// `"portable"`, `"avx2"`, `"avx512"` or `"relaxed-simd"`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Portable => "portable",
            #[cfg(all(any(target_arch = "x86", target_arch = "x86_64"), target_feature = "sse2"))]
            Self::Avx2(_) => "avx2",
            #[cfg(all(any(target_arch = "x86", target_arch = "x86_64"), target_feature = "sse2"))]
            Self::Avx512(_) => "avx512",
            #[cfg(all(target_arch = "wasm32", target_feature = "relaxed-simd"))]
            Self::RelaxedSimd(_) => "relaxed-simd",
        }
    }

    /// Whether a multiplication and the addition after it are rounded once.
    ///
    /// All levels that say `true` return the same bits; one that says `false` has wider bounds.
    #[must_use]
    pub const fn has_fma(self) -> bool {
        match self {
            Self::Portable => PORTABLE_HAS_FMA,
            #[cfg(all(any(target_arch = "x86", target_arch = "x86_64"), target_feature = "sse2"))]
            Self::Avx2(_) | Self::Avx512(_) => true,
            #[cfg(all(target_arch = "wasm32", target_feature = "relaxed-simd"))]
            Self::RelaxedSimd(_) => true,
        }
    }
}

impl Default for Level {
    /// [`Level::detect`].
    fn default() -> Self {
        Self::detect()
    }
}

impl fmt::Debug for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
