//! Integers that stand for numbers.

use core::ops::RangeInclusive;

use crate::error::Error;
use crate::kernel::dequantise::dequantise;

/// How an integer `q` of a quantised model stands for a number: `scale × (q - zero_point)`.
///
/// Both are properties of a tensor, which its file or the converter knows. The difference is exact and the product
/// is rounded once, to f32: the losses of rows, their statistics and gradients are those of f32 logits with these
/// values, to the bit. (The sum of a batch is added up in other parts, in f64.)
///
/// ```
/// use xent_core::{Batch, Buffers, Level, Quantisation, Shape, SoftmaxBatch, SoftmaxOptions, SoftmaxTargets};
///
/// # #[cfg(feature = "quantised")]
/// # fn main() -> Result<(), xent_core::Error> {
/// let quantisation = Quantisation::new(0.5, -1)?;
/// assert_eq!(quantisation.dequantise(3), 2.0);
///
/// let logits = Buffers::loss(&[3_i8, -1, -1]).quantised(quantisation);
/// let (shape, targets) = (Shape::rows(1, 3)?, SoftmaxTargets::Index((&[0_u8]).into()));
/// let of_integers =
///     SoftmaxBatch::with_options(logits, shape, targets, SoftmaxOptions::default())?;
/// let of_floats = SoftmaxBatch::new(Buffers::loss(&[2.0, 0.0, 0.0_f32]), 3, targets)?;
/// let level = Level::detect();
/// assert_eq!(of_integers.run(level), of_floats.run(level));
/// # Ok(())
/// # }
/// # #[cfg(not(feature = "quantised"))]
/// # fn main() {}
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quantisation {
    scale: f32,
    zero_point: i32,
}

/// The largest distance of two 16-bit integers.
const LARGEST: i32 = 0xffff;
/// Times that distance, it is finite.
const LARGEST_SCALE: f32 = 5e33;

impl Quantisation {
    /// The step between two integers, and the integer that stands for zero.
    ///
    /// # Errors
    /// [`Error::Option`] if the scale is not a positive number, or so large that an integer would stand for
    /// infinity; or if the zero point does not fit in 16 bits, signed or unsigned.
    pub fn new(scale: f32, zero_point: i32) -> Result<Self, Error> {
        let refused = |option, reason| Err(Error::Option { option, reason });
        if !(scale > 0.0 && scale <= LARGEST_SCALE) {
            return refused("scale", "expected a positive number of at most 5e33");
        }
        if !(-LARGEST..=LARGEST).contains(&zero_point) {
            return refused("zero point", "expected an integer of at most 16 bits");
        }
        Ok(Self { scale, zero_point })
    }

    /// The step between two integers.
    #[must_use]
    pub fn scale(self) -> f32 {
        self.scale
    }

    /// The integer that stands for zero.
    #[must_use]
    pub fn zero_point(self) -> i32 {
        self.zero_point
    }

    /// The number that an integer of at most 16 bits stands for.
    #[must_use]
    #[inline]
    pub fn dequantise(self, q: i32) -> f32 {
        dequantise(q, self.scale, self.zero_point)
    }

    /// Integers need one, whose zero point is one of them; other numbers must not have one.
    pub(super) fn check(
        integers: Option<RangeInclusive<i32>>,
        given: Option<Self>,
    ) -> Result<(), Error> {
        let refused = |option, reason| Err(Error::Option { option, reason });
        match (integers, given) {
            (None, None) => Ok(()),
            (None, Some(_)) => {
                refused("quantisation", "only integers have a scale and a zero point")
            }
            (Some(_), None) => refused(
                "quantisation",
                "integers need the scale and the zero point of their tensor, to be read as logits",
            ),
            (Some(integers), Some(given)) if !integers.contains(&given.zero_point) => {
                refused("zero point", "expected an integer of the type of the logits")
            }
            (Some(_), Some(_)) => Ok(()),
        }
    }
}
