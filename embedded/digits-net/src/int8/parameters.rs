//! Scales and zero points. Made by `tools/quantise_digits.py`.

use super::Requantisation;

pub(super) const FIRST: Requantisation =
    Requantisation { multiplier: 2_036_775_110, shift: 36, zero_point: -128 };
pub(super) const SECOND: Requantisation =
    Requantisation { multiplier: 1_277_561_226, shift: 39, zero_point: -2 };

/// The scale of the logits.
pub const SCALE: f32 = 0.23858926;
/// Their zero point.
pub const ZERO_POINT: i32 = -2;
pub(super) const ZERO_OF_HIDDEN: i32 = -128;
