//! The instructions that the kernels may use.

use core::fmt;

/// A set of instructions that the kernels are compiled for and that work on this machine.
///
/// Every `Level` except [`Portable`](Level::Portable) carries a token that only detection can make, so its value
/// proves that its instructions exist. Choose it once and pass it on: it is `Copy`, and as cheap as a byte.
///
/// All levels with fused multiply-add ([`has_fma`](Self::has_fma)) return the same bits, for every function of this
/// crate.
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
    /// The instructions that the target guarantees, through the crate `wide`: SSE2 on x86-64, NEON on 64-bit Arm,
    /// simd128 in WebAssembly compiled with it, and the floating-point unit elsewhere.
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

/// Whether the portable level has fused multiply-add: where `wide` has an instruction for it, and on Cortex-M with
/// a floating-point unit (`simd/fuse.rs`).
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

/// Proof that this machine has AVX-512 F, VL, DQ and BW, and the features that AVX-512 F implies for the compiler
/// (AVX2, FMA and F16C), and that the system saves their registers.
#[cfg(all(any(target_arch = "x86", target_arch = "x86_64"), target_feature = "sse2"))]
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Avx512(());

/// Proof that this engine fuses its relaxed multiply-add, which is optional.
#[cfg(all(target_arch = "wasm32", target_feature = "relaxed-simd"))]
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct RelaxedSimd(());

#[cfg(all(target_arch = "wasm32", target_feature = "relaxed-simd"))]
impl RelaxedSimd {
    /// Multiplies and adds numbers for which one rounding and two differ; an engine always makes the same choice.
    fn detect() -> Option<Self> {
        use core::arch::wasm32::{
            f32x4_extract_lane, f32x4_relaxed_madd, f32x4_splat, f64x2_extract_lane,
            f64x2_relaxed_madd, f64x2_splat,
        };
        use core::hint::black_box;

        // (1 + ε)² - 1 - 2ε is ε² if it is fused, and zero if the square is rounded first.
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

    /// Whether the processor has F16C, which `cpufeatures` cannot detect; it uses the registers of AVX. The answer
    /// is cached: on a virtual machine asking takes microseconds.
    fn has_f16c() -> bool {
        const UNKNOWN: u8 = 2;
        static KNOWN: AtomicU8 = AtomicU8::new(UNKNOWN);
        let mut known = KNOWN.load(Ordering::Relaxed);
        if known == UNKNOWN {
            #[allow(unused_unsafe, reason = "safe in later versions of the standard library")]
            // SAFETY: this module is only compiled for targets with SSE2. Every processor with SSE2 has the
            // instruction `cpuid`, which is allowed in every mode and supports leaf 1. It accesses no memory.
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
    /// The best level of this machine. The processor is asked once, and the answer is cached.
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

    /// Every level of this machine, the simplest first. Tests run through all of them.
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

    /// The level with this [`name`](Self::name), if this machine has it.
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

    /// Whether the level has fused multiply-add, which rounds a product and the following sum once.
    ///
    /// All levels that return `true` return the same bits; the others have wider bounds.
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
