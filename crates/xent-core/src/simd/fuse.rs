//! Multiply-add of the levels on vectors of `wide`, which is their only difference.

use wide::{f32x4, f64x2};

/// A level on vectors of `wide`.
pub(crate) trait Fuse: Copy {
    /// `a * b + c` in each lane.
    fn f32(a: f32x4, b: f32x4, c: f32x4) -> f32x4;

    /// `a * b + c` in each lane.
    fn f64(a: f64x2, b: f64x2, c: f64x2) -> f64x2;
}

/// The level of every target.
#[derive(Clone, Copy)]
pub(crate) struct Portable;

/// The way `wide` does it.
#[cfg(not(all(
    target_arch = "arm",
    target_os = "none",
    target_abi = "eabihf",
    not(target_has_atomic = "64")
)))]
mod portable {
    use super::{Fuse, Portable, f32x4, f64x2};

    impl Portable {
        /// `a * b + c`, as in a lane.
        #[inline(always)]
        pub(crate) fn f32(a: f32, b: f32, c: f32) -> f32 {
            let [sum, ..] = <Self as Fuse>::f32(a.into(), b.into(), c.into()).to_array();
            sum
        }

        /// `a * b + c`, as in a lane.
        #[inline(always)]
        pub(crate) fn f64(a: f64, b: f64, c: f64) -> f64 {
            let [sum, _] = <Self as Fuse>::f64(a.into(), b.into(), c.into()).to_array();
            sum
        }
    }

    impl Fuse for Portable {
        #[inline(always)]
        fn f32(a: f32x4, b: f32x4, c: f32x4) -> f32x4 {
            a.mul_add(b, c)
        }

        #[inline(always)]
        fn f64(a: f64x2, b: f64x2, c: f64x2) -> f64x2 {
            a.mul_add(b, c)
        }
    }
}

/// On Cortex-M with a floating-point unit (M4F, M7, M33 and later), which `wide` does not support. No other Arm
/// targets without an operating system pass floats in registers and lack 64-bit atomics; and all of these
/// processors fuse f32.
#[cfg(all(
    target_arch = "arm",
    target_os = "none",
    target_abi = "eabihf",
    not(target_has_atomic = "64")
))]
mod portable {
    use core::arch::naked_asm;

    use super::{Fuse, Portable, f32x4, f64x2};

    /// A separate function for one instruction, because inside other functions the compiler does not accept
    /// floating-point registers in `asm!` on processors without double precision.
    // SAFETY: by the calling convention of these targets (see above) the arguments are in s0 to s2 and the result
    // is in s0, and a function may change all of them. Every floating-point unit of a Cortex-M has the instruction.
    #[unsafe(naked)]
    extern "C" fn fused(a: f32, b: f32, c: f32) -> f32 {
        // When functions are linked as LLVM bitcode, the assembler does not know the target's floating-point unit.
        naked_asm!(".fpu fpv4-sp-d16", "vfma.f32 s2, s0, s1", "vmov.f32 s0, s2", "bx lr")
    }

    unsafe extern "C" {
        // SAFETY: a function of C's standard library, without side effects. Where there is no such library, it is
        // one of the compiler's support routines, which every program links: the compiler calls it by this name for
        // an operation without an instruction.
        safe fn fma(a: f64, b: f64, c: f64) -> f64;
    }

    impl Portable {
        /// `a * b + c`, as in a lane.
        #[inline(always)]
        pub(crate) fn f32(a: f32, b: f32, c: f32) -> f32 {
            fused(a, b, c)
        }

        /// `a * b + c`, as in a lane.
        #[inline(always)]
        pub(crate) fn f64(a: f64, b: f64, c: f64) -> f64 {
            fma(a, b, c)
        }
    }

    impl Fuse for Portable {
        #[inline(always)]
        fn f32(a: f32x4, b: f32x4, c: f32x4) -> f32x4 {
            let (a, b, c) = (a.to_array(), b.to_array(), c.to_array());
            f32x4::new(core::array::from_fn(|lane| Self::f32(a[lane], b[lane], c[lane])))
        }

        #[inline(always)]
        fn f64(a: f64x2, b: f64x2, c: f64x2) -> f64x2 {
            let ([a, d], [b, e], [c, f]) = (a.to_array(), b.to_array(), c.to_array());
            f64x2::new([Self::f64(a, b, c), Self::f64(d, e, f)])
        }
    }
}

#[cfg(all(target_arch = "wasm32", target_feature = "relaxed-simd"))]
mod relaxed {
    use core::arch::wasm32::{f32x4_relaxed_madd, f64x2_relaxed_madd};

    use super::{Fuse, f32x4, f64x2};
    use crate::level::RelaxedSimd;

    impl Fuse for RelaxedSimd {
        #[inline(always)]
        fn f32(a: f32x4, b: f32x4, c: f32x4) -> f32x4 {
            f32x4_relaxed_madd(a.into(), b.into(), c.into()).into()
        }

        #[inline(always)]
        fn f64(a: f64x2, b: f64x2, c: f64x2) -> f64x2 {
            f64x2_relaxed_madd(a.into(), b.into(), c.into()).into()
        }
    }
}
