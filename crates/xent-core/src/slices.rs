//! Functions of one slice.

use crate::dispatch::Kernel;
use crate::error::{Error, check_length};
use crate::kernel::cells::{Cells, WRITE};
use crate::kernel::elementwise::{Function, map};
use crate::kernel::logit_map::Identity;
use crate::kernel::passes::{Gradient, PutGradient, Source};
use crate::kernel::reduce;
use crate::kernel::row_sums::RowSums;
use crate::kernel::softmax::Rows;
use crate::kernel::targets::NoTargets;
use crate::level::Level;
use crate::math;
use crate::math::exp::UNLIFT;
use crate::simd::{Lanes, Simd, Vector};

macro_rules! elementwise {
    ($($(#[$doc:meta])* $name:ident = $math:expr;)*) => {
        $(
            $(#[$doc])*
            ///
            /// # Errors
            /// [`Error::Length`] if `out` is not as long as `x`.
            pub fn $name(level: Level, x: &[f32], out: &mut [f32]) -> Result<(), Error> {
                struct Map<'a>(&'a [f32], &'a mut [f32]);
                impl Function for Map<'_> {
                    #[inline(always)]
                    fn of<V: Lanes<Scalar = f32>>(token: V::Token, x: V) -> V {
                        $math(token, x)
                    }
                }
                impl Kernel for Map<'_> {
                    type Output = ();

                    #[inline(always)]
                    fn run<S: Simd>(self, simd: S) {
                        map::<S::F32, Self>(simd, self.0, self.1);
                    }
                }
                check_length("output", x.len(), out.len())?;
                level.run(Map(x, out));
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
    /// xent_core::log1p(xent_core::Level::detect(), &[0.0, 1e-10], &mut out)?;
    /// assert_eq!(out, [0.0, 1e-10]);
    /// # Ok::<(), xent_core::Error>(())
    /// ```
    log1p = math::ln::log1p;

    /// `out = 1 / (1 + e^-x)`, within 4 ULP, also where it is tiny.
    ///
    /// ```
    /// let mut out = [0.0; 2];
    /// xent_core::sigmoid(xent_core::Level::detect(), &[0.0, f32::NEG_INFINITY], &mut out)?;
    /// assert_eq!(out, [0.5, 0.0]);
    /// # Ok::<(), xent_core::Error>(())
    /// ```
    sigmoid = math::sigmoid::sigmoid;
}

/// The largest element; NaN if there is one, `-inf` for an empty slice.
///
/// ```
/// assert_eq!(xent_core::max(xent_core::Level::detect(), &[1.0, 3.0, 2.0]), 3.0);
/// ```
#[must_use]
pub fn max(level: Level, x: &[f32]) -> f32 {
    struct Max<'a>(&'a [f32]);
    impl Kernel for Max<'_> {
        type Output = f32;

        #[inline(always)]
        fn run<S: Simd>(self, simd: S) -> f32 {
            if reduce::any_nan::<S::F32>(simd, self.0) {
                f32::NAN
            } else {
                reduce::max::<S::F32>(simd, self.0)
            }
        }
    }
    level.run(Max(x))
}

/// `ln Σ e^x` of one row, without overflow; `-inf` for an empty slice, NaN if there is one.
///
/// Its error is relative to the larger of `|max x|` and `ln Σ e^(x - max x)`, whose sum it is.
///
/// ```
/// let lse = xent_core::log_sum_exp(xent_core::Level::detect(), &[1000.0, 1000.0]);
/// assert_eq!(lse, 1000.0 + core::f32::consts::LN_2);
/// ```
#[must_use]
pub fn log_sum_exp(level: Level, x: &[f32]) -> f32 {
    Rows { level, join: None }.log_sum_exp(x)
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
pub fn softmax(level: Level, x: &[f32], out: &mut [f32]) -> Result<(), Error> {
    check_length("output", x.len(), out.len())?;
    let Some(sums) = (Rows { level, join: None }).sums(x, NoTargets, Identity) else {
        infinite_row(x, out, [0.0, 1.0]);
        return Ok(());
    };
    let factors = [(f64::from(UNLIFT) / sums.sum()) as f32, 0.0];
    let gradient = Gradient { targets: NoTargets, map: Identity, max: sums.max, factors };
    let cells = Cells::<WRITE>::beside(x, out);
    let source = Source::Logits;
    level.run(PutGradient { gradient, cells, first: 0, source, settled: [None; 2] });
    Ok(())
}

/// The logarithm of the softmax of one row, `x - ln Σ e^x`; accurate where it is tiny, too.
///
/// ```
/// let mut s = [0.0; 2];
/// xent_core::log_softmax(xent_core::Level::detect(), &[50.0, 0.0], &mut s)?;
/// assert_eq!(s, [-1.9287499e-22, -50.0]);
/// # Ok::<(), xent_core::Error>(())
/// ```
///
/// # Errors
/// [`Error::Length`] if `out` is not as long as `x`.
pub fn log_softmax(level: Level, x: &[f32], out: &mut [f32]) -> Result<(), Error> {
    check_length("output", x.len(), out.len())?;
    match (Rows { level, join: None }).sums(x, NoTargets, Identity) {
        Some(sums) => level.run(LogSoftmax { x, sums, out }),
        None => infinite_row(x, out, [f32::NEG_INFINITY, 0.0]),
    }
    Ok(())
}

struct LogSoftmax<'a> {
    x: &'a [f32],
    sums: RowSums,
    out: &'a mut [f32],
}

impl Kernel for LogSoftmax<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let absent = S::F32::splat(simd, f32::NEG_INFINITY);
        let max = S::F32::splat(simd, self.sums.max);
        let ln_sum = S::F32::splat(simd, self.sums.ln_sum() as f32);
        let chunks = self.x.chunks(S::F32::LANES).zip(self.out.chunks_mut(S::F32::LANES));
        for (x, out) in chunks {
            (S::F32::load(simd, x, absent) - max - ln_sum).store(out);
        }
    }
}

/// A row whose largest logit is not finite, from the values of an impossible and of a certain class.
#[cold]
fn infinite_row(x: &[f32], out: &mut [f32], [impossible, certain]: [f32; 2]) {
    let infinite = x.iter().filter(|x| **x == f32::INFINITY).count();
    let defined = infinite == 1 && !x.iter().any(|x| x.is_nan());
    for (&x, out) in x.iter().zip(out) {
        *out = match (defined, x == f32::INFINITY) {
            (false, _) => f32::NAN,
            (true, true) => certain,
            (true, false) => impossible,
        };
    }
}
