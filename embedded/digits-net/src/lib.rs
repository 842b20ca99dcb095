//! A small network for handwritten digits (64-32-10, ReLU), and digits that it was not trained on.
//!
//! Without `std` or allocation, so that a device and the machine that checks it run the same code. Sums are taken
//! in a fixed order and never fused, so the logits have the same bits everywhere.
//!
//! ```
//! use digits_net::{image, label, logits, COUNT};
//!
//! let right = (0..COUNT).filter(|&digit| {
//!     let logits = logits(image(digit));
//!     let best = (0..10).max_by(|&a, &b| f32::total_cmp(&logits[a], &logits[b]));
//!     best == Some(label(digit))
//! });
//! assert!(right.count() > 340);
//! ```
#![no_std]
#![forbid(unsafe_code)]

mod digest;
pub mod int8;

pub use digest::Digest;

/// Pixels of an image, row after row.
pub const PIXELS: usize = 64;
/// The possible digits.
pub const CLASSES: usize = 10;
/// The number of digits in the data.
pub const COUNT: usize = 360;

const HIDDEN: usize = 32;

/// The numbers of a `.npy` file with a known good header.
const fn data<const BYTES: usize>(file: &[u8]) -> &[u8; BYTES] {
    // Version 1.0: two bytes for the length of the header, then the header.
    let (_, numbers) = file.split_at(10 + file[8] as usize + 256 * file[9] as usize);
    match numbers.first_chunk() {
        Some(numbers) if numbers.len() == BYTES => numbers,
        _ => panic!("a file of another shape"),
    }
}

/// Weights of a layer: a row for each input, and the biases.
static FIRST: &[u8; 4 * (PIXELS + 1) * HIDDEN] = data(include_bytes!("../data/layer-1.npy"));
static SECOND: &[u8; 4 * (HIDDEN + 1) * CLASSES] = data(include_bytes!("../data/layer-2.npy"));
static IMAGES: &[u8; COUNT * PIXELS] = data(include_bytes!("../data/images.npy"));
static LABELS: &[u8; COUNT] = data(include_bytes!("../data/labels.npy"));

/// The pixels of a digit, from 0 to 16.
///
/// # Panics
/// If there is no such digit.
#[must_use]
pub fn image(digit: usize) -> &'static [u8; PIXELS] {
    &IMAGES.as_chunks().0[digit]
}

/// The label of a digit.
///
/// # Panics
/// If there is no such digit.
#[must_use]
pub fn label(digit: usize) -> usize {
    LABELS[digit].into()
}

/// The network's output for an image: a logit for each class.
#[must_use]
pub fn logits(image: &[u8; PIXELS]) -> [f32; CLASSES] {
    let hidden: [f32; HIDDEN] = layer(FIRST, image.iter().map(|&pixel| f32::from(pixel) / 16.0));
    // Not `max`, whose result for two zeros is not specified.
    layer(SECOND, hidden.iter().map(|&x| if x > 0.0 { x } else { 0.0 }))
}

/// `biases + input · weights`, input by input.
fn layer<const OUTPUTS: usize>(
    weights: &[u8],
    input: impl ExactSizeIterator<Item = f32>,
) -> [f32; OUTPUTS] {
    let mut numbers = weights.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes));
    let biases = numbers.clone().skip(input.len() * OUTPUTS);
    let mut out = [0.0; OUTPUTS];
    out.iter_mut().zip(biases).for_each(|(out, bias)| *out = bias);
    for x in input {
        for out in &mut out {
            *out += x * numbers.next().unwrap_or_default();
        }
    }
    out
}
