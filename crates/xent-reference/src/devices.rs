//! What `LiteRT` and TensorFlow Lite Micro gave out for the digits network in int8.
//!
//! With the feature `golden`. `tools/devices/run_litert.py` records it.

use serde::Deserialize;

/// The model that both ran, as a `.tflite` file: its output are the logits.
pub const DIGITS_MODEL: &[u8] = include_bytes!("../golden/digits-int8.tflite");

/// The outputs of one of them, a row of ten classes for each digit.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Outputs {
    /// The logits, before the last operator.
    pub logits: Vec<[i8; 10]>,
    /// What its `DEQUANTIZE` makes of them.
    pub dequantised: Vec<[f32; 10]>,
    /// What its `LOG_SOFTMAX` makes of them: steps of 1/16, and 127 for zero.
    pub log_softmax: Vec<[i8; 10]>,
    /// What its `SOFTMAX` makes of them: steps of 1/256, and -128 for zero.
    pub softmax: Vec<[i8; 10]>,
}

/// The same digits in both.
#[derive(Clone, Debug, PartialEq)]
pub struct Digits {
    /// The scale of the logits.
    pub scale: f32,
    /// Their zero point.
    pub zero_point: i32,
    /// The class of each digit.
    pub labels: Vec<u8>,
    /// `LiteRT`; its logarithm and softmax by the reference kernels.
    pub litert: Outputs,
    /// TensorFlow Lite Micro.
    pub micro: Outputs,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    #[allow(dead_code, reason = "for readers of the file")]
    versions: String,
    scale: f32,
    zero_point: i32,
    labels: Vec<u8>,
    logits: Vec<[i8; 10]>,
    dequantised: Vec<[f32; 10]>,
    log_softmax: Vec<[i8; 10]>,
    softmax: Vec<[i8; 10]>,
    micro: Outputs,
}

/// Reads the record.
///
/// # Panics
/// If the file is not what the script writes.
pub fn digits() -> Digits {
    let raw: Raw = serde_json::from_str(include_str!("../golden/quantised.json"))
        .expect("the record of the devices");
    let Raw { scale, zero_point, labels, micro, .. } = raw;
    let Raw { logits, dequantised, log_softmax, softmax, .. } = raw;
    let litert = Outputs { logits, dequantised, log_softmax, softmax };
    Digits { scale, zero_point, labels, litert, micro }
}
