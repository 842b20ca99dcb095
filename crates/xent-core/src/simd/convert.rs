//! Conversions between 16-bit numbers and f32.

const SIGN: u32 = 0x8000_0000;
const INFINITE: u32 = 0x7f80_0000;

/// The bits of a bf16: the upper half of an f32's bits, rounded.
#[inline(always)]
pub(super) fn bf16_bits(bits: u32) -> u16 {
    let odd = (bits >> 16) & 1;
    let rounded = bits.wrapping_add(0x7fff + odd);
    // Rounding might carry a NaN over to zero.
    let quiet = bits | 0x0040_0000;
    let all = if bits & !SIGN > INFINITE { quiet } else { rounded };
    (all >> 16) as u16
}

/// From the bits of an f16. They are shifted to their place in an f32; a multiplication corrects
/// the exponent's bias, exactly, also for subnormal numbers.
#[inline(always)]
pub(super) fn from_f16_bits(bits: u16) -> f32 {
    /// 2^112: the biases are 127 and 15.
    const REBIAS: f32 = f32::from_bits((127 + 112) << 23);
    let magnitude = u32::from(bits & 0x7fff);
    let finite = (f32::from_bits(magnitude << 13) * REBIAS).to_bits();
    let quiet = if magnitude > 0x7c00 { 0x0040_0000 } else { 0 };
    let infinite = INFINITE | (magnitude << 13) | quiet;
    let magnitude = if magnitude >= 0x7c00 { infinite } else { finite };
    f32::from_bits(magnitude | (u32::from(bits & 0x8000) << 16))
}

/// The bits of an f16 (after F. Giesen, "float->half variants", 2012).
#[inline(always)]
pub(super) fn f16_bits(bits: u32) -> u16 {
    /// 2^16: from here on every number becomes infinite.
    const TOO_LARGE: u32 = (127 + 16) << 23;
    /// 2^-14: below this f16 is subnormal.
    const LEAST_NORMAL: u32 = (127 - 14) << 23;
    /// The float whose last bit is that of the subnormal numbers, 2^-24: adding it rounds to them.
    const ROUNDER: f32 = 0.5;
    let magnitude = bits & !SIGN;
    let subnormal = (f32::from_bits(magnitude) + ROUNDER).to_bits().wrapping_sub(ROUNDER.to_bits());
    let odd = (magnitude >> 13) & 1;
    let normal = magnitude.wrapping_sub(112 << 23).wrapping_add(0xfff + odd) >> 13;
    let nan = 0x7e00 | ((magnitude >> 13) & 0x3ff);
    let infinite = if magnitude > INFINITE { nan } else { 0x7c00 };
    let finite = if magnitude < LEAST_NORMAL { subnormal } else { normal };
    let all = if magnitude >= TOO_LARGE { infinite } else { finite };
    (all | ((bits & SIGN) >> 16)) as u16
}
