//! The f64 arithmetic that a row needs once, whatever its length.
//!
//! Only plain operations, no fused ones, so that every level returns the same bits.

use super::tanh::SMALL;
use crate::tables::Tables;

/// Adding it rounds to an integer, which ends up in the lowest bits.
const ROUNDER: f64 = <f64 as Tables>::ROUNDER;
/// Products of the first part with `|n| <= 2^11` are exact.
const LN_2_HIGH: f64 = <f64 as Tables>::LN_2[0];
const LN_2_LOW: f64 = <f64 as Tables>::LN_2[1];

/// With `s = f / (2 + f)`, `ln(1 + f) = 2s + s^3 p(s^2)`; relative error 2^-59.4.
const LOG1P: [f64; 7] = [
    0.666_666_666_666_673_5,
    0.399_999_999_994_09,
    0.285_714_287_438_308_2,
    0.222_221_984_080_047_7,
    0.181_835_737_410_022_18,
    0.153_137_896_065_252_8,
    0.147_987_516_885_856_96,
];

fn polynomial(x: f64, coefficients: &[f64]) -> f64 {
    coefficients.iter().rev().fold(0.0, |sum, &coefficient| sum * x + coefficient)
}

/// `e^x` for `x <= 0` to 1 ULP; subnormal results are rounded twice.
pub(crate) fn exp(x: f64) -> f64 {
    // Smaller results are scaled out of the subnormal range, and then moved back.
    let (raise, unscale) = if x < -708.0 { (64, <f64 as Tables>::UNSCALE) } else { (0, 1.0) };
    if x < <f64 as Tables>::LOWEST {
        return 0.0;
    }
    let shifted = x * core::f64::consts::LOG2_E + ROUNDER;
    let n = shifted - ROUNDER;
    let t = (x - n * LN_2_HIGH) - n * LN_2_LOW;
    let exponent = shifted.to_bits().wrapping_add(1023 + raise) << 52;
    let scale = f64::from_bits(exponent);
    scale * (1.0 + (t + t * t * polynomial(t, &<f64 as Tables>::EXP[1..]))) * unscale
}

/// `ln(sum + lost)` for a positive normal `sum` and a `lost` below its last place.
fn ln_parts(sum: f64, lost: f64) -> f64 {
    let sqrt_half = core::f64::consts::FRAC_1_SQRT_2.to_bits().cast_signed();
    let bits = sum.to_bits().cast_signed();
    let k = (bits - sqrt_half) >> 52;
    let f = f64::from_bits((bits - (k << 52)).cast_unsigned()) - 1.0;
    series(f, k as f64, lost / sum)
}

/// `ln((1 + f) 2^k (1 + correction))`.
fn series(f: f64, k: f64, correction: f64) -> f64 {
    let s = f / (2.0 + f);
    let z = s * s;
    let half_square = 0.5 * f * f;
    let small = half_square - s * (half_square + z * polynomial(z, &LOG1P));
    k * LN_2_HIGH - ((small - (k * LN_2_LOW + correction)) - f)
}

/// `ln(1 + u)` for `u >= 0` to 1 ULP; infinity stays infinity and NaN stays NaN.
pub(crate) fn log1p(u: f64) -> f64 {
    if u.is_nan() || u == f64::INFINITY {
        return u;
    }
    // Below `√2 - 1` the fraction is `u` itself, exactly.
    if u < core::f64::consts::SQRT_2 - 1.0 {
        return series(u, 0.0, 0.0);
    }
    let sum = 1.0 + u;
    let lost = if u < 1.0 { u - (sum - 1.0) } else { 1.0 - (sum - u) };
    ln_parts(sum, lost)
}

/// `ln x` for `x > 0` to 1 ULP; `-inf` below the normal numbers, NaN stays NaN.
pub(crate) fn ln(x: f64) -> f64 {
    if x.is_nan() {
        x
    } else if x < f64::MIN_POSITIVE {
        f64::NEG_INFINITY
    } else {
        ln_parts(x, 0.0)
    }
}

/// `tanh x` to 2 ULP, and its derivative.
pub(crate) fn tanh(x: f64) -> (f64, f64) {
    let u = exp(-2.0 * x.abs());
    let far = (1.0 - u) / (1.0 + u);
    let square = x * x;
    let value = match x {
        _ if x.abs() < SMALL => x + square * x * polynomial(square, <f64 as Tables>::TANH),
        _ if x < 0.0 => -far,
        _ => far,
    };
    (value, 4.0 * u / ((1.0 + u) * (1.0 + u)))
}
