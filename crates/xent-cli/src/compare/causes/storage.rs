//! Bytes in the wrong order.

use half::{bf16, f16};

use super::super::side::Side;
use super::Cause;
use super::sample::{Measure, Rest, Sample};
use crate::number::Format;

pub(super) const NAME: &str = "byte_order";

/// The number whose bytes are those of `x` in the other order; None where there is one byte.
fn with_swapped_bytes(side: Side, x: f64) -> Option<f64> {
    if let Some(integers) = side.integers {
        let q = integers.whole_steps(x) as i32 + integers.zero_point();
        let swapped = match (integers.smallest, integers.largest) {
            (0, 0xffff) => i32::from((q as u16).swap_bytes()),
            (-0x8000, 0x7fff) => i32::from((q as i16).swap_bytes()),
            _ => return None,
        };
        return Some(f64::from(swapped - integers.zero_point()) * integers.scale());
    }
    Some(match side.format {
        Format::F16 => f16::from_bits(f16::from_f64(x).to_bits().swap_bytes()).to_f64(),
        Format::Bf16 => bf16::from_bits(bf16::from_f64(x).to_bits().swap_bytes()).to_f64(),
        Format::F32 => f32::from_bits((x as f32).to_bits().swap_bytes()).into(),
        Format::F64 => f64::from_bits(x.to_bits().swap_bytes()),
        Format::Integer => return None,
    })
}

/// One side was read, or written, in the wrong byte order.
pub(super) fn byte_order(
    sample: &Sample,
    reference: Side,
    candidate: Side,
    measure: &Measure,
) -> Option<Cause> {
    let of_candidate: Option<Rest> =
        sample.pairs().map(|(a, b)| Some((a, with_swapped_bytes(candidate, b)?))).collect();
    let of_reference = || -> Option<Rest> {
        sample.pairs().map(|(a, b)| Some((with_swapped_bytes(reference, a)?, b))).collect()
    };
    let (side, rest) = match of_candidate.filter(|rest| measure.explains_reference(*rest)) {
        Some(rest) => ("candidate", rest),
        None => ("reference", of_reference().filter(|rest| measure.explains(*rest))?),
    };
    let evidence = format!(
        "the bytes of each number of the {side} are in the other order: {}",
        measure.fall(rest)
    );
    Some(Cause::new(NAME, evidence))
}
