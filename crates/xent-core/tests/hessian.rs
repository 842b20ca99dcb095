//! Second derivatives of a distillation are the derivatives of its gradient.

use xent_core::{
    Batch, Buffers, Hessian, Level, Outputs, RowWeights, Shape, SoftmaxBatch, SoftmaxOptions,
    SoftmaxTargets,
};
use xent_reference::hessian;

/// Numbers of no particular pattern, from -2 to 2.
fn numbers(count: usize, seed: u32) -> Vec<f64> {
    let spread = |i: u32| i.wrapping_add(seed).wrapping_mul(2_654_435_761) >> 8;
    (0..count as u32).map(|i| f64::from(spread(i)) / 4_194_304.0 - 2.0).collect()
}

#[test]
fn a_temperature_counts_once() {
    for (outer, classes, inner) in [(3, 3, 1), (3, 40, 1), (2, 5000, 1), (2, 3, 40), (1, 40, 3)] {
        let shape = Shape::columns(outer, classes, inner).expect("small");
        let rows = shape.row_count();
        let (x, mut teacher) = (numbers(shape.elements(), 1), numbers(shape.elements(), 2));
        // A row that no kernel handles.
        teacher[shape.place(1, 1)] = f64::INFINITY;
        let upstream: Vec<f64> = numbers(rows, 3).iter().map(|u| u.abs() + 0.5).collect();
        let weights = RowWeights { scale: 0.5, sample_weights: &[], upstream: &upstream };
        for temperature in [0.5, 1.0, 4.0] {
            for (convention, of) in [
                (Hessian::Exact, hessian::exact as fn(&[f64], f64) -> Vec<f64>),
                (Hessian::XgBoost, hessian::xgboost),
                (Hessian::LightGbm, hessian::lightgbm),
            ] {
                for level in Level::available() {
                    let mut second = vec![9.0; shape.elements()];
                    let outputs =
                        Outputs { hessian: &mut second, convention, ..Outputs::default() };
                    let targets = SoftmaxTargets::Teacher(&teacher, temperature);
                    let options = SoftmaxOptions::default();
                    SoftmaxBatch::with_options(Buffers::Loss(&x), shape, targets, options)
                        .and_then(|batch| batch.with_weights(weights))
                        .and_then(|batch| batch.with_outputs(outputs))
                        .expect("valid")
                        .run(level);
                    for (row, upstream) in upstream.iter().enumerate() {
                        let scaled: Vec<f64> = (0..classes)
                            .map(|class| x[shape.place(row, class)] / temperature)
                            .collect();
                        for (class, want) in of(&scaled, 0.5 * upstream).iter().enumerate() {
                            let got = second[shape.place(row, class)];
                            let close = (got - want).abs() <= 1e-12 * want;
                            assert!(close, "{level}, {convention:?}, {temperature}: {got} {want}");
                        }
                    }
                }
            }
        }
    }
}
