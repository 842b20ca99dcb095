//! Scales and zero points. Made by `tools/quantise_digits.py`.

use super::Requantisation;

pub(super) const FIRST: Requantisation =
    Requantisation { multiplier: 1_092_330_539, shift: 35, zero_point: -128 };
pub(super) const SECOND: Requantisation =
    Requantisation { multiplier: 1_289_503_610, shift: 39, zero_point: -3 };

/// The scale of the logits.
pub const SCALE: f32 = 0.22037841;
/// Their zero point.
pub const ZERO_POINT: i32 = -3;
pub(super) const ZERO_OF_HIDDEN: i32 = -128;
