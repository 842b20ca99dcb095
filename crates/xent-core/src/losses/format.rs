//! Number formats: how logits are stored, and what is used for the computation.

use core::fmt::{Debug, Display, LowerExp};
use core::ops::{Add, Div, Mul, Neg, RangeInclusive, Sub};

use super::buffers::Buffers;
use super::log_sum_exp::LogSumExpBatch;
use super::quantisation::Quantisation;
use super::scratch::Scratch;
use super::sigmoid::SigmoidBatch;
use super::softmax::SoftmaxBatch;
use crate::batch::ForkJoin;
use crate::dispatch::Kernel;
use crate::kernel::check::Within;
use crate::kernel::row_buffers::RowBuffers;
use crate::level::Level;
use crate::simd::Compute;

/// A number in which logits and gradients are stored: `f32`, with the feature `f64` also `f64`, with the feature
/// `half` also `bf16` and `f16` of the crate [`half`](https://docs.rs/half), and with the feature `quantised` also
/// `i8`, `u8` and `i16`.
///
/// 16-bit floats are converted to [`Float`](Self::Float) when they are read, and results are rounded once, to
/// nearest, ties to even, when they are written. Integers stand for the numbers that a
/// [`Quantisation`](crate::Quantisation) says, and hold logits alone. Everything except logits and their gradient
/// (targets, weights, losses, second derivatives) is a [`Float`](Self::Float).
#[allow(private_bounds, reason = "sealed: what a format takes is in this crate")]
pub trait Element:
    Copy + Default + Debug + Display + LowerExp + PartialOrd + Send + Sync + StorageFormat + 'static
{
    /// The format of the computation.
    type Float: Float;

    /// The name of the format, as Rust spells its type: `"f32"`, say.
    const NAME: &'static str;

    /// The same number, exactly; of an integer, without a quantisation.
    #[must_use]
    fn to_float(self) -> Self::Float;

    /// The nearest number of this format, of two the even one. For integers, those out of range become the smallest or
    /// largest, and NaN zero.
    #[must_use]
    fn from_float(value: Self::Float) -> Self;
}

/// A format of the computation: `f32` or, with the feature of that name, `f64`.
#[allow(private_bounds, reason = "sealed: what arithmetic takes is in this crate")]
pub trait Float:
    Element<Float = Self>
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + From<f32>
    + Into<f64>
    + Compute
{
}

/// Operations on numbers of a format. Generic code called through this trait is compiled in this crate, once for
/// each format, and not again in the crates that use it.
pub(crate) trait StorageFormat: Sized {
    /// Whether it is also the format of the computation.
    const IS_FLOAT: bool;

    /// For integers, those that there are.
    const INTEGERS: Option<RangeInclusive<i32>>;

    /// The number that this one stands for.
    fn dequantised(self, quantisation: Option<Quantisation>) -> Self::Float
    where
        Self: Element;

    /// The contiguous logits and gradients from `[logits, gradient]` on, in place; none of them if they must be
    /// converted.
    fn direct<'b>(
        buffers: &'b mut Buffers<'_, Self>,
        at: [usize; 2],
        length: usize,
    ) -> RowBuffers<'b, Self::Float>
    where
        Self: Element;

    /// Converts as many numbers as there are places.
    fn widen(
        level: Level,
        quantisation: Option<Quantisation>,
        from: &[Self],
        into: &mut [Self::Float],
    ) where
        Self: Element;

    /// Rounds as many numbers as there are places.
    fn narrow(level: Level, from: &[Self::Float], into: &mut [Self])
    where
        Self: Element;

    /// Whether all numbers are within a range; a NaN is not.
    fn all_within(level: Level, values: &[Self::Float], range: [Self::Float; 2]) -> bool
    where
        Self: Element;

    /// The sum of the losses of a batch, on several threads if `join` is given.
    fn softmax(batch: SoftmaxBatch<'_, Self>, level: Level, join: Option<&dyn ForkJoin>) -> f64
    where
        Self: Element;

    fn sigmoid(batch: SigmoidBatch<'_, Self>, level: Level) -> f64
    where
        Self: Element;

    fn log_sum_exp(
        batch: LogSumExpBatch<'_, Self>,
        level: Level,
        join: Option<&dyn ForkJoin>,
    ) -> f64
    where
        Self: Element;
}

macro_rules! float {
    ($float:ident) => {
        impl Element for $float {
            type Float = Self;

            const NAME: &'static str = stringify!($float);

            fn to_float(self) -> Self {
                self
            }

            fn from_float(value: Self) -> Self {
                value
            }
        }

        impl Float for $float {}

        impl StorageFormat for $float {
            const IS_FLOAT: bool = true;

            const INTEGERS: Option<RangeInclusive<i32>> = None;

            fn dequantised(self, _: Option<Quantisation>) -> Self {
                self
            }

            fn direct<'b>(
                buffers: &'b mut Buffers<'_, Self>,
                at: [usize; 2],
                length: usize,
            ) -> RowBuffers<'b, Self> {
                buffers.direct(at, length)
            }

            fn widen(_: Level, _: Option<Quantisation>, from: &[Self], into: &mut [Self]) {
                into.copy_from_slice(from);
            }

            fn narrow(_: Level, from: &[Self], into: &mut [Self]) {
                into.copy_from_slice(from);
            }

            fn all_within(level: Level, values: &[Self], [low, high]: [Self; 2]) -> bool {
                Within { values, low, high }.at(level)
            }

            fn softmax(
                batch: SoftmaxBatch<'_, Self>,
                level: Level,
                join: Option<&dyn ForkJoin>,
            ) -> f64 {
                if batch.is_capped() {
                    batch.run_converted(level, join)
                } else {
                    batch.run_on(level, join)
                }
            }

            fn sigmoid(batch: SigmoidBatch<'_, Self>, level: Level) -> f64 {
                Scratch::with::<Self, _>((0.0, false), |scratch| batch.run_on(level, scratch))
            }

            fn log_sum_exp(
                batch: LogSumExpBatch<'_, Self>,
                level: Level,
                join: Option<&dyn ForkJoin>,
            ) -> f64 {
                batch.run_on(level, join)
            }
        }
    };
}
float!(f32);
#[cfg(feature = "f64")]
float!(f64);

/// Formats that are converted to f32 in a scratch buffer.
#[cfg(any(feature = "half", feature = "quantised"))]
mod converted {
    use core::ops::RangeInclusive;

    use super::{Element, StorageFormat};
    use crate::batch::ForkJoin;
    use crate::dispatch::Kernel;
    use crate::kernel::check::Within;
    use crate::kernel::row_buffers::RowBuffers;
    use crate::level::Level;
    use crate::losses::buffers::Buffers;
    use crate::losses::log_sum_exp::LogSumExpBatch;
    use crate::losses::quantisation::Quantisation;
    use crate::losses::scratch::Scratch;
    use crate::losses::sigmoid::SigmoidBatch;
    use crate::losses::softmax::SoftmaxBatch;

    macro_rules! converted {
        (
            $element:ident, integers $integers:expr,
            to_float $to_float:expr, from_float $from_float:expr,
            dequantised $dequantised:expr, widen $widen:expr, narrow $narrow:expr
        ) => {
            impl Element for $element {
                type Float = f32;

                const NAME: &'static str = stringify!($element);

                fn to_float(self) -> f32 {
                    $to_float(self)
                }

                fn from_float(value: f32) -> Self {
                    $from_float(value)
                }
            }

            impl StorageFormat for $element {
                const IS_FLOAT: bool = false;

                const INTEGERS: Option<RangeInclusive<i32>> = $integers;

                fn dequantised(self, quantisation: Option<Quantisation>) -> f32 {
                    $dequantised(self, quantisation)
                }

                fn direct<'b>(
                    _: &'b mut Buffers<'_, Self>,
                    _: [usize; 2],
                    _: usize,
                ) -> RowBuffers<'b, f32> {
                    RowBuffers::loss(&[])
                }

                fn widen(
                    level: Level,
                    quantisation: Option<Quantisation>,
                    from: &[Self],
                    into: &mut [f32],
                ) {
                    $widen(level, quantisation, from, into)
                }

                fn narrow(level: Level, from: &[f32], into: &mut [Self]) {
                    $narrow(level, from, into)
                }

                fn all_within(level: Level, values: &[f32], [low, high]: [f32; 2]) -> bool {
                    Within { values, low, high }.at(level)
                }

                fn softmax(
                    batch: SoftmaxBatch<'_, Self>,
                    level: Level,
                    join: Option<&dyn ForkJoin>,
                ) -> f64 {
                    batch.run_converted(level, join)
                }

                fn sigmoid(batch: SigmoidBatch<'_, Self>, level: Level) -> f64 {
                    Scratch::with::<Self, _>((0.0, false), |scratch| batch.run_on(level, scratch))
                }

                fn log_sum_exp(
                    batch: LogSumExpBatch<'_, Self>,
                    level: Level,
                    join: Option<&dyn ForkJoin>,
                ) -> f64 {
                    batch.run_converted(level, join)
                }
            }
        };
    }

    #[cfg(feature = "half")]
    mod sixteen_bit {
        use half::{bf16, f16};

        use super::*;
        use crate::kernel::convert::{Round, Widen};

        macro_rules! sixteen_bit {
            ($element:ident) => {
                converted!(
                    $element,
                    integers None,
                    to_float $element::to_f32,
                    from_float $element::from_f32,
                    dequantised |x: Self, _| x.to_f32(),
                    widen |level, _, from, into| Widen { from, into }.at(level),
                    narrow |level, from, into| Round { from, into }.at(level)
                );
            };
        }
        sixteen_bit!(bf16);
        sixteen_bit!(f16);
    }

    #[cfg(feature = "quantised")]
    mod integers {
        use super::*;
        use crate::kernel::dequantise::slices::Dequantise;

        macro_rules! integer {
            ($element:ident) => {
                converted!(
                    $element,
                    integers Some($element::MIN as i32..=$element::MAX as i32),
                    to_float f32::from,
                    from_float |value: f32| nearest(value) as Self,
                    dequantised |x: Self, quantisation: Option<Quantisation>| match quantisation {
                        Some(quantisation) => quantisation.dequantise(x.into()),
                        None => x.into(),
                    },
                    widen |level, quantisation: Option<Quantisation>, from, into| {
                        let (scale, zero_point) =
                            quantisation.map_or((1.0, 0), |q| (q.scale(), q.zero_point()));
                        Dequantise { scale, zero_point, from, into }.at(level);
                    },
                    narrow |_, from: &[f32], into: &mut [Self]| {
                        for (place, &value) in into.iter_mut().zip(from) {
                            *place = Self::from_float(value);
                        }
                    }
                );
            };
        }
        integer!(i8);
        integer!(u8);
        integer!(i16);

        /// The nearest integer, of two the even one; as it is if it is too large to have a fraction.
        fn nearest(value: f32) -> f32 {
            /// From here on all numbers are integers.
            const WHOLE: f32 = 8_388_608.0;
            if value.abs() < WHOLE {
                let rounded = (value.abs() + WHOLE) - WHOLE;
                if value < 0.0 { -rounded } else { rounded }
            } else {
                value
            }
        }
    }
}
