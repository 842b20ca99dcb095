//! The network in integers, as firmware runs it: int8 weights and activations, sums of 32 bits.
//!
//! `tools/quantise_digits.py` makes it of the floats. Every operation is exact or rounds in one stated way, so the
//! logits are the same everywhere.
//!
//! ```
//! use digits_net::{COUNT, image, int8, label, logits};
//!
//! // A logit stands for `SCALE × (q - ZERO_POINT)`.
//! let (quantised, exact) = (int8::logits(image(0)), logits(image(0)));
//! for (q, x) in quantised.into_iter().zip(exact) {
//!     assert!((int8::SCALE * (i32::from(q) - int8::ZERO_POINT) as f32 - x).abs() < 4.0 * int8::SCALE);
//! }
//! let is_right = |digit: &usize| {
//!     let logits = int8::logits(image(*digit));
//!     logits[label(*digit)] == *logits.iter().max().unwrap()
//! };
//! assert!((0..COUNT).filter(is_right).count() > 340);
//! ```

mod parameters;

use crate::{CLASSES, HIDDEN, PIXELS, data};
pub use parameters::{SCALE, ZERO_POINT};

/// The weights of the last layer, a row for each input.
pub type Weights = [i8; HIDDEN * CLASSES];

static FIRST_WEIGHTS: &[u8; PIXELS * HIDDEN] = data(include_bytes!("../../data/layer-1-int8.npy"));
static FIRST_BIASES: &[u8; 4 * HIDDEN] = data(include_bytes!("../../data/layer-1-bias.npy"));
static SECOND_WEIGHTS: &[u8; HIDDEN * CLASSES] =
    data(include_bytes!("../../data/layer-2-int8.npy"));
static SECOND_BIASES: &[u8; 4 * CLASSES] = data(include_bytes!("../../data/layer-2-bias.npy"));

/// From a sum of 32 bits to eight: times `multiplier / 2^shift`.
struct Requantisation {
    multiplier: i64,
    shift: u32,
    zero_point: i64,
}

impl Requantisation {
    /// Rounded once, halves up.
    fn of(&self, sum: i32) -> i8 {
        let product = i64::from(sum) * self.multiplier;
        let rounded = (product + (1 << (self.shift - 1))) >> self.shift;
        (rounded + self.zero_point).clamp(i8::MIN.into(), i8::MAX.into()) as i8
    }
}

/// The weights of the last layer.
#[must_use]
pub fn weights() -> Weights {
    SECOND_WEIGHTS.map(u8::cast_signed)
}

/// The network's output for an image: a logit for each class.
#[must_use]
pub fn logits(image: &[u8; PIXELS]) -> [i8; CLASSES] {
    logits_with(image, &weights())
}

/// The same with other weights in the last layer: to see what notices a fault in them.
#[must_use]
pub fn logits_with(image: &[u8; PIXELS], weights: &Weights) -> [i8; CLASSES] {
    let pixels = image.iter().map(|&pixel| i32::from(pixel));
    let first = FIRST_WEIGHTS.iter().map(|&weight| weight.cast_signed());
    let hidden: [i32; HIDDEN] = layer(pixels, first, FIRST_BIASES);
    // The zero point is the smallest integer, so that negative sums become zero (ReLU).
    let hidden = hidden.map(|sum| parameters::FIRST.of(sum));
    let hidden = hidden.iter().map(|&q| i32::from(q) - parameters::ZERO_OF_HIDDEN);
    let sums: [i32; CLASSES] = layer(hidden, weights.iter().copied(), SECOND_BIASES);
    sums.map(|sum| parameters::SECOND.of(sum))
}

/// `biases + input · weights`.
fn layer<const OUTPUTS: usize>(
    input: impl Iterator<Item = i32>,
    mut weights: impl Iterator<Item = i8>,
    biases: &[u8],
) -> [i32; OUTPUTS] {
    let mut sums = [0; OUTPUTS];
    for (sum, bytes) in sums.iter_mut().zip(biases.as_chunks().0) {
        *sum = i32::from_le_bytes(*bytes);
    }
    for x in input {
        for sum in &mut sums {
            *sum += x * i32::from(weights.next().unwrap_or_default());
        }
    }
    sums
}
