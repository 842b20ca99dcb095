//! A firmware library: without `std`, an allocator or any feature.
#![no_std]

/// Loss and gradient of a row.
pub fn row(logits: &[f32; 3], label: usize) -> Result<(f32, [f32; 3]), xent_core::Error> {
    let mut gradient = [0.0; 3];
    let loss = xent_core::softmax_cross_entropy_row(logits, label, &mut gradient)?;
    Ok((loss, gradient))
}

/// The mean loss of rows of three logits.
pub fn mean(logits: &[f32], labels: &[u8]) -> Result<f64, xent::Error> {
    let targets = xent::Targets::index(labels);
    xent::SoftmaxCrossEntropy::new().loss(xent::Logits::new(logits, 3)?, targets)
}

#[test]
fn row_and_batch_agree() {
    let logits = [2.0, 1.0, 0.0];
    let (loss, gradient) = row(&logits, 0).unwrap();
    assert!((loss - 0.407_605_96).abs() < 1e-7);
    assert!((gradient[0] + 0.334_759_05).abs() < 1e-7);
    assert_eq!(mean(&logits, &[0]).unwrap(), f64::from(loss));
    assert!(row(&logits, 3).is_err());
}
