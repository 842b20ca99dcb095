//! Results on record: a change of them is a change for everybody who compares runs.

use xent_core::{Level, SoftmaxOptions};
use xent_linear::{Layer, LinearCrossEntropy, LinearPass, Number, Workspace};

use crate::layer::{fuses, numbers};

/// FNV-1a of 64 bits (G. Fowler, L. Noll, K.-P. Vo).
fn digest(bytes: impl Iterator<Item = u8>) -> u64 {
    bytes.fold(0xCBF2_9CE4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01B3)
    })
}

/// Of the loss and all gradients: 700 rows, a fifth of them ignored, 300 inputs, 900 classes.
fn of<E: Number>(narrow: impl Fn(f32) -> E, epsilon: f64) -> u64
where
    E::Float: Into<f64>,
{
    let (rows, hidden, classes) = (700, 300, 900);
    let of = |seed: u64, count: usize, size: f32| -> Vec<E> {
        numbers(seed, count).into_iter().map(|x| narrow(x * size)).collect()
    };
    let (inputs, weights) = (of(1, rows * hidden, 1.0), of(2, classes * hidden, 0.5));
    let bias = of(3, classes, 1.0);
    let labels: Vec<i32> =
        (0..rows as i32).map(|row| if row % 5 == 2 { -1 } else { row * 13 % 900 }).collect();
    let layer = Layer::new(&inputs, &weights, hidden).unwrap().with_bias(&bias).unwrap();
    let options = SoftmaxOptions {
        label_smoothing: 0.1,
        z_loss: 1e-4,
        ignore_index: Some(-1),
        ..SoftmaxOptions::default()
    };
    let loss = LinearCrossEntropy::new(options).unwrap().with_gradient_filter(epsilon).unwrap();
    let zero = E::Float::default();
    let mut of_inputs = vec![zero; inputs.len()];
    let mut of_weights = vec![zero; weights.len()];
    let mut of_bias = vec![zero; classes];
    let pass = LinearPass::new()
        .grad_inputs(&mut of_inputs)
        .grad_weights(&mut of_weights)
        .grad_bias(&mut of_bias);
    let report = loss.evaluate(layer, &labels[..], pass, &mut Workspace::new()).unwrap();
    let gradients = of_inputs.iter().chain(&of_weights).chain(&of_bias);
    // A zero may have either sign.
    let bits = gradients.map(|g| {
        let g: f64 = (*g).into();
        (g + 0.0).to_bits()
    });
    digest(std::iter::once(report.loss.to_bits()).chain(bits).flat_map(u64::to_le_bytes))
}

#[test]
fn results_are_those_on_record() {
    if !(fuses() && Level::detect().has_fma()) {
        // Without fused multiply-add there are two roundings, and other results.
        return;
    }
    assert_eq!(of(|x| x, 0.0), 0x07F5_2DCF_138F_AF54, "f32");
    assert_eq!(of(|x| x, 2_f64.powi(-12)), 0x6CA6_AE31_5A87_9717, "f32 with a filter");
    #[cfg(feature = "f64")]
    assert_eq!(of(f64::from, 0.0), 0xB404_4E4C_E019_0BEA, "f64");
    #[cfg(feature = "half")]
    assert_eq!(of(half::bf16::from_f32, 0.0), 0xDD79_2ED4_2E4E_04DE, "bf16");
}
