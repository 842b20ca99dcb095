//! Kernels access only their slices. Each slice lies between two guard pages, directly after the first or directly
//! before the second, so a read or a write outside ends the test's process. The results must have the same bits as
//! elsewhere, so no kernel depends on the alignment of its slices.
#![cfg(unix)]

mod elements;
mod guard;
mod hold;
mod memory;
mod rows;
mod slices;
mod softmax;

/// Runs a check for every format.
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
