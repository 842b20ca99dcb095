//! The formats of numbers, and conversions between them.

use std::cmp::Ordering;
use std::fmt;

use half::{bf16, f16};
use npyz::FixedSizeBytes;
use serde::{Serialize, Serializer};
use xent::{Element, Quantisation};

/// The type of an array's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    F16,
    Bf16,
    F32,
    F64,
    /// Of any size, or bool.
    Integer,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F16 => f16::NAME,
            Self::Bf16 => bf16::NAME,
            Self::F32 => f32::NAME,
            Self::F64 => f64::NAME,
            Self::Integer => "integers",
        })
    }
}

impl Serialize for Format {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A scale and a zero point, as they are reported.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Scale {
    pub(crate) scale: f32,
    pub(crate) zero_point: i32,
}

impl From<Quantisation> for Scale {
    fn from(quantisation: Quantisation) -> Self {
        Self { scale: quantisation.scale(), zero_point: quantisation.zero_point() }
    }
}

impl fmt::Display for Scale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "scale {}, zero point {}", self.scale, self.zero_point)
    }
}

/// A float that is read, computed with and written.
///
/// A number of the same format keeps its bits. A wider one is rounded to nearest, ties to even.
pub(crate) trait Number: Element {
    /// The type's name in a `.npy` file.
    const DESCR: &'static str;

    /// The type that `npyz` writes for it.
    type Stored: npyz::Serialize;

    fn stored(self) -> Self::Stored;
    fn to_f64(self) -> f64;
    fn from_f16(number: f16) -> Self;
    fn from_bf16(number: bf16) -> Self;
    fn from_f32(number: f32) -> Self;
    fn from_f64(number: f64) -> Self;
    fn from_integer(number: i64) -> Self;
}

/// A number with a loss.
pub(crate) trait Input: Number<Float: Number> {}
impl<N: Number<Float: Number>> Input for N {}

macro_rules! number {
    ($number:ident as $descr:literal, $stored:ty: $store:expr;
        $($from:ident($of:ty): $convert:expr;)*) => {
        impl Number for $number {
            const DESCR: &'static str = $descr;

            type Stored = $stored;

            fn stored(self) -> Self::Stored {
                let store: fn(Self) -> Self::Stored = $store;
                store(self)
            }

            fn to_f64(self) -> f64 {
                self.to_float().into()
            }

            $(
                fn $from(number: $of) -> Self {
                    let convert: fn($of) -> Self = $convert;
                    convert(number)
                }
            )*
        }
    };
}

number! {
    f32 as "<f4", Self: |number| number;
    from_f16(f16): f16::to_f32;
    from_bf16(bf16): bf16::to_f32;
    from_f32(f32): |number| number;
    from_f64(f64): |number| number as Self;
    from_integer(i64): |number| number as Self;
}

number! {
    f64 as "<f8", Self: |number| number;
    from_f16(f16): f16::to_f64;
    from_bf16(bf16): bf16::to_f64;
    from_f32(f32): Self::from;
    from_f64(f64): |number| number;
    from_integer(i64): |number| number as Self;
}

number! {
    f16 as "<f2", Self: |number| number;
    from_f16(f16): |number| number;
    from_bf16(bf16): |number| Self::from_f32(number.to_f32());
    from_f32(f32): Self::from_f32;
    from_f64(f64): |number| Self::from_f32(odd_of_f64(number));
    from_integer(i64): |number| Self::from_f32(odd_of_integer(number));
}

// NumPy has no bf16. ml_dtypes saves it as two bytes without a type, and so does this.
number! {
    bf16 as "<V2", FixedSizeBytes<2>: |number| FixedSizeBytes(number.to_le_bytes());
    from_f16(f16): |number| Self::from_f32(number.to_f32());
    from_bf16(bf16): |number| number;
    from_f32(f32): Self::from_f32;
    from_f64(f64): |number| Self::from_f32(odd_of_f64(number));
    from_integer(i64): |number| Self::from_f32(odd_of_integer(number));
}

/// The number if it is an f32, otherwise its neighbour with an odd last bit.
///
/// `half` rounds numbers wider than f32 twice, or truncates them: a number close to a tie of the
/// 16-bit format would become the tie, and go the wrong way. An odd f32 is never a tie, and lies on
/// the right side of it.
fn odd(nearest: f32, beyond: Ordering) -> f32 {
    let bits = nearest.to_bits();
    match beyond {
        Ordering::Equal => nearest,
        Ordering::Less => f32::from_bits(bits | 1),
        Ordering::Greater => f32::from_bits((bits - 1) | 1),
    }
}

fn odd_of_f64(number: f64) -> f32 {
    let nearest = number as f32;
    let beyond = f64::from(nearest).abs().partial_cmp(&number.abs());
    // A NaN is beyond nothing.
    beyond.map_or(nearest, |beyond| odd(nearest, beyond))
}

fn odd_of_integer(number: i64) -> f32 {
    let nearest = number as f32;
    let beyond = (nearest as i128).abs().cmp(&i128::from(number).abs());
    odd(nearest, beyond)
}

/// Four significant digits.
pub(crate) fn short(x: f64) -> String {
    significant(x, 4)
}

/// Without zeros at the end.
pub(crate) fn significant(x: f64, digits: usize) -> String {
    if x == 0.0 || !x.is_finite() {
        return x.to_string();
    }
    let before_point = x.abs().log10().floor();
    if !(-5.0..7.0).contains(&before_point) {
        return format!("{x:.*e}", digits - 1);
    }
    let decimals = (digits as f64 - 1.0 - before_point).max(0.0) as usize;
    let text = format!("{x:.decimals$}");
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Both sides of every tie of a 16-bit format, which lies between the bits `below` and the
    /// next.
    fn ties_of<T: Number>(infinity: u16, to_f64: fn(u16) -> f64, bits: fn(T) -> u16) {
        for below in 0..infinity {
            let above = below + 1;
            let step = to_f64(above.min(infinity - 1)) - to_f64(above.min(infinity - 1) - 1);
            let tie = to_f64(below) + step / 2.0;
            let even = if below % 2 == 0 { below } else { above };
            for (number, expected) in
                [(tie.next_down(), below), (tie, even), (tie.next_up(), above)]
            {
                assert_eq!(bits(T::from_f64(number)), expected, "{number:e}");
                assert_eq!(bits(T::from_f64(-number)), expected | 0x8000, "{number:e}");
            }
        }
    }

    #[test]
    fn an_f64_goes_to_the_nearest_of_16_bits() {
        let f16_of = |bits| f16::from_bits(bits).to_f64();
        ties_of::<f16>(f16::INFINITY.to_bits(), f16_of, f16::to_bits);
        let bf16_of = |bits| bf16::from_bits(bits).to_f64();
        ties_of::<bf16>(bf16::INFINITY.to_bits(), bf16_of, bf16::to_bits);
        for number in [f64::INFINITY, f64::NEG_INFINITY, 0.0, -0.0, f64::MAX, f64::MIN_POSITIVE] {
            let nearest = number as f32;
            assert_eq!(<f16 as Number>::from_f64(number), f16::from_f32(nearest));
            assert_eq!(<bf16 as Number>::from_f64(number), bf16::from_f32(nearest));
        }
        assert!(<f16 as Number>::from_f64(f64::NAN).is_nan());
        assert!(<bf16 as Number>::from_f64(f64::NAN).is_nan());
    }

    #[test]
    fn an_integer_goes_to_the_nearest_of_16_bits() {
        let tie = (1 << 62) + (1 << 54);
        for (integer, expected) in [
            (tie - 1, 2_f64.powi(62)),
            (tie, 2_f64.powi(62)),
            (tie + 1, 2_f64.powi(62) + 2_f64.powi(55)),
            (i64::MIN, -(2_f64.powi(63))),
            (0, 0.0),
            (-3, -3.0),
        ] {
            assert_eq!(<bf16 as Number>::from_integer(integer).to_f64(), expected);
        }
        for (integer, expected) in [
            (2049, 2048.0),
            (2051, 2052.0),
            (65519, 65504.0),
            (65520, f64::INFINITY),
            (-(1 << 40), f64::NEG_INFINITY),
        ] {
            assert_eq!(<f16 as Number>::from_integer(integer).to_f64(), expected);
        }
    }

    #[test]
    fn the_same_format_keeps_every_bit() {
        for bits in 0..=u16::MAX {
            assert_eq!(<f16 as Number>::from_f16(f16::from_bits(bits)).to_bits(), bits);
            assert_eq!(<bf16 as Number>::from_bf16(bf16::from_bits(bits)).to_bits(), bits);
        }
        for bits in [0x7f80_0001, 0xffc0_1234, 0x8000_0000, 1] {
            assert_eq!(<f32 as Number>::from_f32(f32::from_bits(bits)).to_bits(), bits);
        }
        for bits in [0x7ff0_0000_0000_0001, 0x8000_0000_0000_0000, 1] {
            assert_eq!(<f64 as Number>::from_f64(f64::from_bits(bits)).to_bits(), bits);
        }
    }
}
