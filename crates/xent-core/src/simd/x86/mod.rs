//! Backends for x86 on `core::arch`.

mod avx2;
mod avx512;

/// Writes the operations of a vector type: for each, a safe inner function that has the target
/// features, in a shell that is always inlined (both on one function is not possible).
macro_rules! operations {
    ($vector:ident($register:ty), $features:literal:
     $(fn $name:ident($first:ident $(, $rest:ident)*) $body:block)*) => {
        $(
            #[inline(always)]
            fn $name(self $(, $rest: Self)*) -> Self {
                #[inline]
                #[target_feature(enable = $features)]
                fn inner($first: $register $(, $rest: $register)*) -> $register $body
                // SAFETY: the features work on this machine, since `self` is a vector: vectors
                // are only made by `splat` and `load`, which take the level's token (or another
                // vector), and a token is only made after all of its features were detected.
                $vector(unsafe { inner(self.0 $(, $rest.0)*) })
            }
        )*
    };
}

/// Implements the arithmetic operator traits of a vector type.
macro_rules! operators {
    ($vector:ident($register:ty), $features:literal:
     $($trait:ident::$name:ident = $intrinsic:ident;)*) => {
        $(
            impl $trait for $vector {
                type Output = Self;

                operations! { $vector($register), $features:
                    fn $name(a, b) { $intrinsic(a, b) }
                }
            }
        )*
    };
}

use {operations, operators};
