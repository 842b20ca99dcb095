//! Functions of a slice.

use crate::dispatch::{Kernel, entries};
use crate::error::{Error, Values, check_length};
use crate::kernel::elementwise::{Function, map};
use crate::kernel::long_row::{LongRows, TileState};
use crate::kernel::reduce;
use crate::kernel::row_sums::RowSums;
use crate::kernel::row_targets::RowTargets;
use crate::kernel::soft_weights::SoftmaxWeights;
use crate::level::Level;
use crate::losses::{Element, Float};
use crate::math;
use crate::simd::{Lanes, One, Portable, Simd, Vector};

macro_rules! elementwise {
    ($($(#[$doc:meta])* $name:ident = $math:expr;)*) => {
        $(
            $(#[$doc])*
            ///
            /// # Errors
            /// [`Error::Length`] if `out` is not as long as `x`.
            pub fn $name<F: Float>(level: Level, x: &[F], out: &mut [F]) -> Result<(), Error> {
                struct Map<'a, F>(&'a [F], &'a mut [F]);
                impl<F: Float> Function for Map<'_, F> {
                    #[inline(always)]
                    fn of<V: Lanes>(token: V::Token, x: V) -> V {
                        $math(token, x)
                    }
                }
                impl<F: Float> Kernel for Map<'_, F> {
                    type Output = ();

                    #[inline(always)]
                    fn run<S: Simd>(self, simd: S) {
                        map::<F::Of<S>, Self>(simd, self.0, self.1);
                    }

    entries!();
                }
                check_length("output", x.len(), out.len())?;
                Map(x, out).at(level);
                Ok(())
            }
        )*
    };
}

elementwise! {
    /// `out = e^x`, within 1 ULP with FMA and 1.2 without; subnormal results are rounded twice.
    ///
    /// ```
    /// let mut out = [0.0; 2];
    /// xent_core::exp(xent_core::Level::detect(), &[0.0, f32::NEG_INFINITY], &mut out)?;
    /// assert_eq!(out, [1.0, 0.0]);
    /// # Ok::<(), xent_core::Error>(())
    /// ```
    exp = math::exp::exp;

    /// `out = ln x`, within 2 ULP; NaN below zero.
    ///
    /// ```
    /// let mut out = [0.0; 2];
    /// xent_core::ln(xent_core::Level::detect(), &[1.0, 0.0], &mut out)?;
    /// assert_eq!(out, [0.0, f32::NEG_INFINITY]);
    /// # Ok::<(), xent_core::Error>(())
    /// ```
    ln = math::ln::ln;

    /// `out = ln(1 + x)`, within 2 ULP; NaN below minus one.
    ///
    /// ```
    /// let mut out = [0.0; 2];
    /// xent_core::log1p(xent_core::Level::detect(), &[0.0, 1e-10_f32], &mut out)?;
    /// assert_eq!(out, [0.0, 1e-10]);
    /// # Ok::<(), xent_core::Error>(())
    /// ```
    log1p = math::ln::log1p;

    /// `out = 1 / (1 + e^-x)`, within 4 ULP, also for tiny results.
    ///
    /// ```
    /// let mut out = [0.0; 2];
    /// xent_core::sigmoid(xent_core::Level::detect(), &[0.0_f32, f32::NEG_INFINITY], &mut out)?;
    /// assert_eq!(out, [0.5, 0.0]);
    /// # Ok::<(), xent_core::Error>(())
    /// ```
    sigmoid = math::sigmoid::sigmoid;
}

/// The logit of a probability, `ln(p / (1 - p))`: the inverse of [`sigmoid`]. It is `-inf` at 0, `inf` at 1, and
/// NaN outside [0, 1]. Both logarithms are within 1 ULP.
///
/// ```
/// assert_eq!(xent_core::logit(0.5), 0.0);
/// assert!((xent_core::logit(0.9) - 9.0_f64.ln()).abs() < 1e-15);
/// ```
#[must_use]
pub fn logit(probability: f64) -> f64 {
    if !(0.0..=1.0).contains(&probability) {
        return f64::NAN;
    }
    let ln = |x| {
        let mut ln = [0.0];
        math::ln::ln(Portable, One::<f64>::splat(Portable, x)).store(&mut ln);
        ln[0]
    };
    ln(probability) - ln(1.0 - probability)
}

/// Converts numbers to the format of the computation: exactly, with the level's instructions.
///
/// # Errors
/// [`Error::Length`] if `out` is not as long as `x`.
pub fn widen<E: Element>(level: Level, x: &[E], out: &mut [E::Float]) -> Result<(), Error> {
    check_length("output", x.len(), out.len())?;
    E::widen(level, None, x, out);
    Ok(())
}

/// Converts numbers to a format, to nearest, ties to even. Numbers that are too large become infinite, and NaN
/// stays NaN.
///
/// # Errors
/// [`Error::Length`] if `out` is not as long as `x`.
pub fn narrow<E: Element>(level: Level, x: &[E::Float], out: &mut [E]) -> Result<(), Error> {
    check_length("output", x.len(), out.len())?;
    E::narrow(level, x, out);
    Ok(())
}

/// Converts labels stored as floats, which must be whole numbers, to integers.
///
/// ```
/// use xent_core::labels_from_floats;
///
/// let mut labels = [0; 3];
/// labels_from_floats(&[2.0, 0.0, -100.0_f32], &mut labels)?;
/// assert_eq!(labels, [2, 0, -100]);
/// assert!(labels_from_floats(&[2.0, 1.5, 0.0_f32], &mut labels).is_err());
/// assert_eq!(labels, [2, 0, -100]);
/// # Ok::<(), xent_core::Error>(())
/// ```
///
/// # Errors
/// [`Error::Length`] if `labels` is not as long; [`Error::Value`] if a number is not whole, or so large that its
/// neighbours are not distinct integers (from 2^53 on). Then no label is written.
pub fn labels_from_floats<F: Float>(values: &[F], labels: &mut [i64]) -> Result<(), Error> {
    check_length("labels", values.len(), labels.len())?;
    let whole = |value: &F| {
        let value: f64 = (*value).into();
        let label = value as i64;
        (label as f64 == value && label.unsigned_abs() < 1 << 53).then_some(label)
    };
    if let Some(row) = values.iter().position(|value| whole(value).is_none()) {
        let (of, value) = (Values::Labels, values[row].into());
        return Err(Error::Value { of, element: row, row: Some(row), class: None, value });
    }
    for (label, value) in labels.iter_mut().zip(values) {
        *label = whole(value).unwrap_or_default();
    }
    Ok(())
}

/// Widens packed integers of four bits, from -8 to 7, to bytes. Two are in a byte, the first in its low half, as ONNX
/// and `LiteRT` store a tensor; rows are not padded. If their number is odd, the high half of the last byte is not
/// read.
///
/// They are no [`Element`]: logits are a slice, which is cut between any two of them, and two logits in one byte are
/// not two elements of a slice. So widen some rows at a time. A row with an odd number of classes may start within a
/// byte; an even number of such rows does not.
///
/// ```
/// use xent_core::{
///     Batch, Buffers, Level, Quantisation, Shape, SoftmaxBatch, SoftmaxOptions, SoftmaxTargets, unpack_i4,
/// };
///
/// # #[cfg(feature = "quantised")]
/// # fn main() -> Result<(), xent_core::Error> {
/// // Four rows of three classes: [1, 2, -1], [-8, 7, 0], [0, 0, 4], [-2, 3, 5].
/// let (packed, labels) = ([0x21, 0x8f, 0x07, 0x00, 0xe4, 0x53], [1_u8, 1, 2, 0]);
/// let quantisation = Quantisation::new(0.5, 0)?;
/// let (mut two_rows, mut sum) = ([0_i8; 6], 0.0);
/// for (packed, labels) in packed.chunks(3).zip(labels.chunks(2)) {
///     unpack_i4(packed, &mut two_rows)?;
///     let logits = Buffers::loss(&two_rows).quantised(quantisation);
///     let (shape, targets) = (Shape::rows(2, 3)?, SoftmaxTargets::Index(labels.into()));
///     sum += SoftmaxBatch::with_options(logits, shape, targets, SoftmaxOptions::default())?
///         .run(Level::detect());
/// }
/// assert!((sum - 4.7091).abs() < 1e-4);
/// # Ok(())
/// # }
/// # #[cfg(not(feature = "quantised"))]
/// # fn main() {}
/// ```
///
/// # Errors
/// [`Error::Length`] if there are not half as many bytes as integers, rounded up. Then nothing is written.
pub fn unpack_i4(packed: &[u8], integers: &mut [i8]) -> Result<(), Error> {
    check_length("packed integers, in bytes", integers.len().div_ceil(2), packed.len())?;
    let (pairs, last) = integers.as_chunks_mut::<2>();
    // Shifts of a signed number repeat its sign.
    let low = |byte: u8| (byte << 4).cast_signed() >> 4;
    for (pair, &byte) in pairs.iter_mut().zip(packed) {
        *pair = [low(byte), byte.cast_signed() >> 4];
    }
    if let ([last], Some(&byte)) = (last, packed.last()) {
        *last = low(byte);
    }
    Ok(())
}

/// The largest element; NaN if there is a NaN, `-inf` for an empty slice.
///
/// ```
/// assert_eq!(xent_core::max(xent_core::Level::detect(), &[1.0, 3.0, 2.0]), 3.0);
/// ```
#[must_use]
pub fn max<F: Float>(level: Level, x: &[F]) -> F {
    struct Max<'a, F>(&'a [F]);
    impl<F: Float> Kernel for Max<'_, F> {
        type Output = F;

        #[inline(always)]
        fn run<S: Simd>(self, simd: S) -> F {
            if reduce::any_nan::<F::Of<S>>(simd, self.0) {
                F::NAN
            } else {
                reduce::max::<F::Of<S>>(simd, self.0)
            }
        }

        entries!();
    }
    Max(x).at(level)
}

/// `ln Σ e^x` of one row, without overflow; `-inf` for an empty slice, NaN if there is a NaN.
///
/// Its error is relative to the larger of `|max x|` and `ln Σ e^(x - max x)`, the two terms that it is the sum of.
///
/// ```
/// let lse = xent_core::log_sum_exp(xent_core::Level::detect(), &[1000.0, 1000.0]);
/// assert_eq!(lse, 1000.0 + core::f32::consts::LN_2);
/// ```
#[must_use]
pub fn log_sum_exp<F: Float>(level: Level, x: &[F]) -> F {
    LongRows { level, join: None }.log_sum_exp(x)
}

/// The softmax of one row, `e^x / Σ e^x`.
///
/// ```
/// let mut p = [0.0; 2];
/// xent_core::softmax(xent_core::Level::detect(), &[7.0, 7.0], &mut p)?;
/// assert_eq!(p, [0.5, 0.5]);
/// # Ok::<(), xent_core::Error>(())
/// ```
///
/// # Errors
/// [`Error::Length`] if `out` is not as long as `x`.
pub fn softmax<F: Float>(level: Level, x: &[F], out: &mut [F]) -> Result<(), Error> {
    check_length("output", x.len(), out.len())?;
    let Some(sums) = sums_of(level, x) else {
        infinite_row(x, out, [0.0, 1.0]);
        return Ok(());
    };
    SoftmaxWeights {
        logits: x,
        max: F::from_f64(sums.max),
        unit: 1.0,
        factor: F::from_f64(F::UNSCALE / sums.sum()),
        class_weights: &[],
        into: out,
    }
    .at(level);
    Ok(())
}

/// The sums of a row; `None` if its largest logit is not finite.
fn sums_of<F: Float>(level: Level, x: &[F]) -> Option<RowSums> {
    let rows = LongRows { level, join: None };
    rows.sums(x, &RowTargets::Nothing, (1.0, false), &mut TileState::new(&mut []))
}

/// The logarithm of the softmax of one row, `x - ln Σ e^x`; accurate also where it is tiny.
///
/// ```
/// let mut s = [0.0; 2];
/// xent_core::log_softmax(xent_core::Level::detect(), &[50.0, 0.0_f32], &mut s)?;
/// assert_eq!(s, [-1.9287499e-22, -50.0]);
/// # Ok::<(), xent_core::Error>(())
/// ```
///
/// # Errors
/// [`Error::Length`] if `out` is not as long as `x`.
pub fn log_softmax<F: Float>(level: Level, x: &[F], out: &mut [F]) -> Result<(), Error> {
    check_length("output", x.len(), out.len())?;
    match sums_of(level, x) {
        Some(sums) => LogSoftmax { x, sums, out }.at(level),
        None => infinite_row(x, out, [f64::NEG_INFINITY, 0.0]),
    }
    Ok(())
}

struct LogSoftmax<'a, F> {
    x: &'a [F],
    sums: RowSums,
    out: &'a mut [F],
}

impl<F: Float> Kernel for LogSoftmax<'_, F> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let absent = F::Of::<S>::of(simd, f64::NEG_INFINITY);
        let max = F::Of::<S>::of(simd, self.sums.max);
        let ln_sum = F::Of::<S>::of(simd, self.sums.ln_sum());
        let lanes = F::Of::<S>::LANES;
        for (x, out) in self.x.chunks(lanes).zip(self.out.chunks_mut(lanes)) {
            (F::Of::<S>::load(simd, x, absent) - max - ln_sum).store(out);
        }
    }

    entries!();
}

/// A row whose largest logit is not finite, given the values of an impossible and of a certain class.
#[cold]
fn infinite_row<F: Float>(x: &[F], out: &mut [F], [impossible, certain]: [f64; 2]) {
    let infinite = x.iter().filter(|x| **x == F::INFINITY).count();
    let defined = infinite == 1 && !x.iter().any(|x| x.is_nan());
    for (&x, out) in x.iter().zip(out) {
        *out = F::from_f64(match (defined, x == F::INFINITY) {
            (false, _) => f64::NAN,
            (true, true) => certain,
            (true, false) => impossible,
        });
    }
}
