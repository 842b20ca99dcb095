//! The program of someone who typed `cargo add xent`.

/// The mean loss of some rows of three logits, and its gradient.
pub fn mean(x: &[f32], labels: &[u8]) -> Result<(f64, Vec<f32>), xent::Error> {
    let mut grad = vec![0.0; x.len()];
    let loss = xent::SoftmaxCrossEntropy::new();
    let targets = xent::Targets::index(labels);
    let mean = loss.loss_and_grad(xent::Logits::new(x, 3)?, targets, &mut grad)?;
    Ok((mean, grad))
}

#[test]
fn loss_and_gradient_are_those_of_the_formulas() {
    let x = [2.0, 1.0, 0.0, 0.0, 3.0, 0.0_f32];
    let labels = [0_u8, 1];
    let (mean, grad) = mean(&x, &labels).unwrap();
    let mut expected = 0.0;
    for (row, &label) in labels.iter().enumerate() {
        let exps: Vec<f64> = x[3 * row..][..3].iter().map(|&x| f64::from(x).exp()).collect();
        let sum: f64 = exps.iter().sum();
        expected -= (exps[usize::from(label)] / sum).ln() / 2.0;
        for (class, exp) in exps.iter().enumerate() {
            let target = f64::from(u8::from(class == usize::from(label)));
            let g = f64::from(grad[3 * row + class]);
            assert!((g - (exp / sum - target) / 2.0).abs() < 1e-7, "{row}, {class}: {g}");
        }
    }
    assert!((mean - expected).abs() < 1e-7, "{mean}, {expected}");
}

#[test]
fn what_is_wrong_is_an_error() {
    assert!(mean(&[0.0; 3], &[3]).is_err());
    assert!(mean(&[0.0; 4], &[0]).is_err());
}
