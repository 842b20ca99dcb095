//! Kernels touch nothing but their slices: each lies between two pages that may not be touched, flush with
//! the one before or with the one behind, and a read or a write outside ends the process of the test. The
//! results have the bits that they have elsewhere, so no kernel depends on how its slices are aligned.
#![cfg(unix)]

mod elements;
mod guard;
mod hold;
mod memory;
mod rows;
mod slices;
mod softmax;

/// Runs a check of every format.
macro_rules! of_every_format {
    ($($name:ident),* $(,)?) => {
        $(
            mod $name {
                #[test]
                fn f32() {
                    super::$name::<f32>();
                }

                #[test]
                fn f64() {
                    super::$name::<f64>();
                }

                #[cfg(feature = "half")]
                #[test]
                fn bf16() {
                    super::$name::<half::bf16>();
                }

                #[cfg(feature = "half")]
                #[test]
                fn f16() {
                    super::$name::<half::f16>();
                }
            }
        )*
    };
}
pub(crate) use of_every_format;
