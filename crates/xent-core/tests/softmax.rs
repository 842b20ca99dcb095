//! The softmax cross-entropy keeps its bounds at every level of the machine.

use proptest::prelude::*;
use xent_core::{
    Batch, Buffers, Error, Labels, Level, Shape, SoftmaxBatch, SoftmaxOptions, SoftmaxTargets,
};
use xent_reference::softmax::{self, RowAnswer, cross_entropy};
use xent_reference::targets::one_hot;
use xent_reference::ulp::{error_at_f32, error_f32};

/// The loss and the gradient of one row, out of place.
fn solve(level: Level, x: &[f32], targets: SoftmaxTargets<'_>) -> (f32, Vec<f32>) {
    let mut gradient = vec![f32::MAX; x.len()];
    let mut loss = [0.0];
    SoftmaxBatch::new(Buffers::gradient(x, &mut gradient), x.len(), targets)
        .and_then(|batch| batch.with_losses(&mut loss))
        .expect("a valid row")
        .run(level);
    (loss[0], gradient)
}

fn index(level: Level, x: &[f32], y: usize) -> (f32, Vec<f32>) {
    solve(level, x, SoftmaxTargets::Index(Labels::from(&[y])))
}

fn exact(x: &[f32], q: &[f64]) -> RowAnswer {
    let x: Vec<f64> = x.iter().map(|&x| x.into()).collect();
    cross_entropy(&x, q)
}

fn mean_distance_of_others(x: &[f32]) -> f64 {
    softmax::mean_distance_of_others(&x.iter().map(|&x| x.into()).collect::<Vec<_>>())
}

/// Four ULP and one for each unit of distance, as the documentation promises.
fn check(level: Level, x: &[f32], q: &[f64], got: &(f32, Vec<f32>)) -> Result<(), String> {
    let answer = exact(x, q);
    let others = mean_distance_of_others(x);
    let loss_error = error_f32(got.0, answer.loss);
    if loss_error > 4.0 + others {
        return Err(format!("{level}: loss {} is {loss_error} ULP off {}", got.0, answer.loss));
    }
    for (class, &x) in x.iter().enumerate() {
        let error = error_at_f32(got.1[class], answer.grad[class], answer.scale[class]);
        let distance = answer.max - f64::from(x);
        let bound = 4.0 + distance + answer.mean_distance.max(others);
        if error > bound {
            return Err(format!(
                "{level}: gradient {class} {} is {error} ULP off {}, bound {bound}",
                got.1[class], answer.grad[class]
            ));
        }
    }
    Ok(())
}

#[test]
fn every_class_count_around_the_vector_widths_is_within_the_bound() {
    for classes in (1..=133).chain([255, 256, 257, 1000, 4095, 4096, 4097, 9000]) {
        let x: Vec<f32> = (0..classes as u32)
            .map(|i| (i.wrapping_mul(2_654_435_761) >> 9) as f32 / 4e5)
            .collect();
        for y in [0, classes / 2, classes - 1] {
            let q = one_hot(classes, y, 1.0);
            for level in Level::available() {
                check(level, &x, &q, &index(level, &x, y)).unwrap();
            }
        }
    }
}

#[test]
fn a_confident_row_keeps_its_relative_accuracy() {
    for (x, y) in [
        (vec![50.0, 0.0, -3.0], 0),
        (vec![0.0, 0.0, 80.0, 1.0], 2),
        (vec![-10.0, 45.5], 1),
        (vec![100.0, 0.0, 1.0], 0),
    ] {
        let answer = exact(&x, &one_hot(x.len(), y, 1.0));
        assert!(answer.loss > 0.0 && answer.loss < 1e-15);
        for level in Level::available() {
            let (loss, gradient) = index(level, &x, y);
            let bound = 4.0 + mean_distance_of_others(&x);
            assert!(error_f32(loss, answer.loss) <= bound, "{level}: {loss} for {}", answer.loss);
            assert!(error_f32(gradient[y], answer.grad[y]) <= bound);
            let mut q = vec![0.0; x.len()];
            q[y] = 1.0;
            let dense = solve(level, &x, SoftmaxTargets::Dense(&q));
            assert_eq!(dense.0.to_bits(), loss.to_bits());
        }
    }
}

/// The row has this loss and gradient, however long the row around it is.
fn limit(x: &[f32], y: usize, loss: f32, gradient: &[f32]) {
    let same = |a: f32, b: f32| a == b || (a.is_nan() && b.is_nan());
    for padding in [0, 1, 60, 200, 5000] {
        let mut x = x.to_vec();
        let mut wanted = gradient.to_vec();
        x.resize(x.len() + padding, f32::NEG_INFINITY);
        wanted.resize(x.len(), if loss.is_nan() { f32::NAN } else { 0.0 });
        for level in Level::available() {
            let (got, got_gradient) = index(level, &x, y);
            assert!(same(got, loss), "{level} {padding}: loss {got}, expected {loss}");
            for (class, (&g, &w)) in got_gradient.iter().zip(&wanted).enumerate() {
                assert!(same(g, w), "{level} {padding}: gradient {class} is {g}, expected {w}");
            }
        }
    }
}

const INF: f32 = f32::INFINITY;
const NAN: f32 = f32::NAN;

#[test]
fn any_nan_makes_the_row_nan() {
    limit(&[1.0, NAN, 2.0], 0, NAN, &[NAN; 3]);
    limit(&[NAN; 3], 0, NAN, &[NAN; 3]);
    limit(&[INF, NAN], 0, NAN, &[NAN; 2]);
}

#[test]
fn a_masked_class_is_absent() {
    limit(&[1.0, -INF, 1.0], 0, core::f32::consts::LN_2, &[-0.5, 0.0, 0.5]);
}

#[test]
fn a_masked_target_has_an_infinite_loss() {
    limit(&[0.0, -INF, 0.0], 1, INF, &[0.5, -1.0, 0.5]);
}

#[test]
fn a_row_without_a_finite_logit_is_nan() {
    limit(&[-INF; 2], 0, NAN, &[NAN; 2]);
}

#[test]
fn plus_infinity_at_the_target_is_certain() {
    limit(&[0.0, INF, 1.0], 1, 0.0, &[0.0; 3]);
}

#[test]
fn plus_infinity_elsewhere_is_a_certain_error() {
    limit(&[0.0, INF, 1.0], 0, INF, &[-1.0, 1.0, 0.0]);
}

#[test]
fn two_plus_infinities_are_nan() {
    limit(&[INF, INF, 1.0], 0, NAN, &[NAN; 3]);
}

#[test]
fn finite_masks_count_as_absent_without_overflow() {
    for mask in [-1e30, f32::MIN, -1e5] {
        limit(&[1.0, mask, 1.0], 0, core::f32::consts::LN_2, &[-0.5, 0.0, 0.5]);
    }
}

#[test]
fn a_tile_of_masks_does_not_poison_the_row() {
    let mut x = vec![f32::NEG_INFINITY; 3 * 4096];
    for (first, y) in [(0, 1), (5000, 5001), (12_000, 12_001)] {
        x.fill(f32::NEG_INFINITY);
        x[first] = 2.0;
        x[y] = 2.0;
        for level in Level::available() {
            let (loss, gradient) = index(level, &x, y);
            assert_eq!(loss, core::f32::consts::LN_2, "{level}");
            assert_eq!((gradient[first], gradient[y]), (0.5, -0.5), "{level}");
            assert!(gradient.iter().filter(|g| **g != 0.0).count() == 2);
            let mut q = vec![0.0; x.len()];
            q[y] = 1.0;
            let dense = solve(level, &x, SoftmaxTargets::Dense(&q));
            assert_eq!((dense.0, &dense.1), (loss, &gradient), "{level}");
        }
    }
}

#[test]
fn flat_rows_with_dense_targets_are_within_the_bound() {
    for classes in 1..=133 {
        let spread = |i: u32| (i.wrapping_mul(2_654_435_761) >> 9) as f32 / 8_388_608.0;
        let x: Vec<f32> = (0..classes).map(|i| spread(i) / 8.0).collect();
        let q: Vec<f32> = (1..=classes).map(|i| spread(i) / classes as f32).collect();
        let wide: Vec<f64> = q.iter().map(|&q| q.into()).collect();
        for level in Level::available() {
            let got = solve(level, &x, SoftmaxTargets::Dense(&q));
            check(level, &x, &wide, &got).unwrap();
        }
    }
}

#[test]
fn dense_weight_on_a_masked_class_is_an_infinite_loss() {
    for classes in [2, 32, 33, 5000] {
        let mut x = vec![0.0; classes];
        x[1] = -INF;
        let mut q = vec![0.0; classes];
        (q[0], q[1]) = (0.5, 0.5);
        for level in Level::available() {
            let (loss, gradient) = solve(level, &x, SoftmaxTargets::Dense(&q));
            assert_eq!((loss, gradient[1]), (INF, -0.5), "{level}, {classes}");
        }
    }
}

#[test]
fn dense_weights_far_apart_do_not_overflow_before_their_loss_does() {
    for classes in [2, 32, 33, 5000] {
        let mut x = vec![f32::MIN; classes];
        x[0] = f32::MAX;
        let mut q = vec![0.0; classes];
        (q[0], q[1]) = (0.75, 0.25);
        for level in Level::available() {
            let (loss, _) = solve(level, &x, SoftmaxTargets::Dense(&q));
            assert_eq!(loss, f32::MAX / 2.0, "{level}, {classes}");
        }
    }
}

#[test]
fn a_bad_row_leaves_the_others_alone() {
    let x = [1.0, 2.0, NAN, 0.0, 1.0, 2.0, INF, INF, 1.0, 2.0];
    for level in Level::available() {
        let mut gradient = [0.0; 10];
        let mut losses = [0.0; 5];
        let labels = SoftmaxTargets::Index(Labels::from(&[0_u8, 0, 0, 0, 0]));
        SoftmaxBatch::new(Buffers::gradient(&x, &mut gradient), 2, labels)
            .and_then(|batch| batch.with_losses(&mut losses))
            .expect("valid")
            .run(level);
        for row in [2, 4] {
            assert_eq!(losses[0], losses[row]);
            assert_eq!(gradient[..2], gradient[2 * row..2 * row + 2]);
        }
        assert!(losses[1].is_nan() && losses[3].is_nan());
    }
}

fn error(buffers: Buffers<'_>, classes: usize, labels: &[i64]) -> Error {
    SoftmaxBatch::new(buffers, classes, SoftmaxTargets::Index(labels.into())).unwrap_err()
}

#[test]
fn bad_input_is_refused_and_nothing_is_written() {
    let x = [0.0; 6];
    let mut gradient = [7.0; 6];
    let labels = [0_i64, -1];
    assert_eq!(
        error(Buffers::gradient(&x, &mut gradient), 3, &labels),
        Error::Label { row: 1, label: -1, classes: 3 }
    );
    assert_eq!(
        error(Buffers::gradient(&x, &mut gradient), 3, &[3, 0]),
        Error::Label { row: 0, label: 3, classes: 3 }
    );
    assert_eq!(
        error(Buffers::gradient(&x, &mut gradient[..5]), 3, &[0, 0]),
        Error::Length { of: "gradient", expected: 6, found: 5 }
    );
    assert_eq!(error(Buffers::loss(&x), 0, &[]), Error::ZeroClasses);
    assert_eq!(error(Buffers::loss(&x), 4, &[0]), Error::Ragged { found: 6, classes: 4 });
    assert_eq!(
        error(Buffers::loss(&x), 3, &[0]),
        Error::Length { of: "labels", expected: 2, found: 1 }
    );
    assert_eq!(gradient, [7.0; 6]);
}

fn bits(x: &[f32]) -> Vec<u32> {
    x.iter().map(|x| x.to_bits()).collect()
}

/// Logits over small and wide ranges, with some values that are difficult for kernels.
fn logits() -> impl Strategy<Value = Vec<f32>> {
    let value = prop_oneof![
        12 => -1.0_f32..1.0,
        1 => Just(f32::NEG_INFINITY),
        1 => Just(-1e30_f32),
        1 => Just(0.0_f32),
    ];
    (prop::collection::vec(value, 1..400), 0.01_f32..60.0)
        .prop_map(|(x, scale)| x.into_iter().map(|x| x * scale).collect())
}

proptest! {
    #[test]
    fn index_targets_are_within_the_bound(x in logits(), y in any::<prop::sample::Index>()) {
        let y = y.index(x.len());
        let q = one_hot(x.len(), y, 1.0);
        prop_assume!(x.iter().any(|x| x.is_finite()) && x[y].is_finite());
        for level in Level::available() {
            check(level, &x, &q, &index(level, &x, y)).map_err(TestCaseError::fail)?;
        }
    }

    #[test]
    fn dense_targets_are_within_the_bound(
        x in prop::collection::vec(-30.0_f32..30.0, 1..300),
        q in prop::collection::vec(prop_oneof![Just(0.0_f32), 0.0_f32..1.0], 300),
    ) {
        let q = &q[..x.len()];
        let exact: Vec<f64> = q.iter().map(|&q| q.into()).collect();
        for level in Level::available() {
            let got = solve(level, &x, SoftmaxTargets::Dense(q));
            check(level, &x, &exact, &got).map_err(TestCaseError::fail)?;
        }
    }

    #[test]
    fn all_levels_with_fma_return_the_same_bits(
        x in logits(),
        y in any::<prop::sample::Index>(),
        q in prop::collection::vec(0.0_f32..1.0, 400),
    ) {
        let y = y.index(x.len());
        let solve_all = |level| {
            let (loss, gradient) = index(level, &x, y);
            let (dense, dense_gradient) = solve(level, &x, SoftmaxTargets::Dense(&q[..x.len()]));
            (loss.to_bits(), bits(&gradient), dense.to_bits(), bits(&dense_gradient))
        };
        let mut levels = Level::available().filter(|level| level.has_fma());
        if let Some(first) = levels.next() {
            let first = solve_all(first);
            for level in levels {
                prop_assert_eq!(&solve_all(level), &first);
            }
        }
    }

    #[test]
    fn loss_only_and_in_place_return_the_same_bits(x in logits(), y in any::<prop::sample::Index>()) {
        let y = y.index(x.len());
        for level in Level::available() {
            let (loss, gradient) = index(level, &x, y);
            let mut in_place = x.clone();
            let mut losses = [[0.0]; 2];
            let [first, second] = &mut losses;
            for (buffers, losses) in
                [(Buffers::loss(&x), first), (Buffers::in_place(&mut in_place), second)]
            {
                SoftmaxBatch::new(buffers, x.len(), SoftmaxTargets::Index(Labels::from(&[y])))
                    .and_then(|batch| batch.with_losses(losses))
                    .expect("a valid row")
                    .run(level);
            }
            prop_assert_eq!(losses[0][0].to_bits(), loss.to_bits());
            prop_assert_eq!(losses[1][0].to_bits(), loss.to_bits());
            prop_assert_eq!(bits(&in_place), bits(&gradient));
        }
    }
}

#[test]
fn a_gradient_too_large_for_the_caches_has_the_bits_of_one_in_place() {
    // From 2^22 elements on the gradient is written past the caches; at an odd offset, so that rows
    // start anywhere.
    for (rows, classes) in [(16_000, 263), (900, 4999), (840, 5000)] {
        let spread = |i: u64| (i * 7919 % 10_007) as f32 / 500.0;
        let x: Vec<f32> = (0..(rows * classes) as u64).map(spread).collect();
        let labels: Vec<u32> = (0..rows).map(|row| (row * 31 % classes) as u32).collect();
        let targets = SoftmaxTargets::Index(labels.as_slice().into());
        for level in Level::available() {
            let mut beside = vec![f32::MAX; x.len() + 3];
            let sum = SoftmaxBatch::new(Buffers::gradient(&x, &mut beside[3..]), classes, targets)
                .expect("a valid batch")
                .run(level);
            let mut in_place = x.clone();
            let other = SoftmaxBatch::new(Buffers::in_place(&mut in_place), classes, targets)
                .expect("a valid batch")
                .run(level);
            assert_eq!(sum, other, "{level}: {rows} x {classes}");
            let differs =
                beside[3..].iter().zip(&in_place).position(|(a, b)| a.to_bits() != b.to_bits());
            assert_eq!(differs, None, "{level}: {rows} x {classes}");
            assert_eq!(beside[..3], [f32::MAX; 3], "{level}: nothing before the gradient");
        }
    }
}

#[test]
fn rows_of_few_classes_leave_what_is_between_them_alone() {
    for classes in 1..=33 {
        for gap in [0, 1, 5] {
            let (rows, stride) = (71, classes + gap);
            let length = (rows - 1) * stride + classes;
            let x: Vec<f32> = (0..length).map(|i| (i * 37 % 101) as f32 / 20.0).collect();
            let labels: Vec<usize> = (0..rows).map(|row| row * 3 % classes).collect();
            let targets = SoftmaxTargets::Index(labels.as_slice().into());
            let shape = Shape::rows(rows, classes).and_then(|s| s.with_strides(stride, stride));
            let shape = shape.expect("a valid shape");
            for level in Level::available() {
                let mut gradient = vec![f32::MAX; length];
                let buffers = Buffers::gradient(&x, &mut gradient);
                SoftmaxBatch::with_options(buffers, shape, targets, SoftmaxOptions::default())
                    .expect("a valid batch")
                    .run(level);
                for (row, gradient) in gradient.chunks(stride).enumerate() {
                    let (_, expected) = index(level, &x[row * stride..][..classes], labels[row]);
                    assert_eq!(gradient[..classes], expected, "{level}: row {row} of {classes}");
                    assert!(gradient[classes..].iter().all(|&g| g == f32::MAX), "{level}: gap");
                }
            }
        }
    }
}

#[test]
fn long_batches_of_few_classes_have_the_bits_of_each_row_alone() {
    // Enough for several blocks, a partial one, and rows at the very end.
    let rows = 211;
    let odd =
        [(5, f32::NAN), (64, f32::INFINITY), (65, f32::NAN), (113, f32::NAN), (200, f32::NAN)];
    for classes in 2..=33 {
        let spread = |i: u32| (i.wrapping_mul(2_654_435_761) >> 8) as f32 / 4e5 - 20.0;
        let mut x: Vec<f32> = (0..(rows * classes) as u32).map(spread).collect();
        for (row, value) in odd {
            x[row * classes + row % classes] = value;
        }
        x[70 * classes..71 * classes - 1].fill(f32::NEG_INFINITY);
        let labels: Vec<u16> = (0..rows).map(|row| (row * row % classes) as u16).collect();
        for level in Level::available() {
            let alone: Vec<(f32, Vec<f32>)> = x
                .chunks(classes)
                .zip(&labels)
                .map(|(x, &label)| index(level, x, label.into()))
                .collect();
            let losses_alone: Vec<f32> = alone.iter().map(|row| row.0).collect();
            let gradient_alone: Vec<f32> = alone.into_iter().flat_map(|row| row.1).collect();
            let (mut gradient, mut in_place) = (vec![f32::MAX; x.len()], x.clone());
            let buffers = [
                Buffers::loss(&x),
                Buffers::gradient(&x, &mut gradient),
                Buffers::in_place(&mut in_place),
            ];
            for buffers in buffers {
                let mut losses = vec![0.0; rows];
                SoftmaxBatch::new(buffers, classes, SoftmaxTargets::Index(labels[..].into()))
                    .and_then(|batch| batch.with_losses(&mut losses))
                    .expect("a valid batch")
                    .run(level);
                assert_eq!(bits(&losses), bits(&losses_alone), "{level}, {classes} classes");
            }
            assert_eq!(bits(&gradient), bits(&gradient_alone), "{level}, {classes} classes");
            assert_eq!(bits(&in_place), bits(&gradient_alone), "{level}, {classes}, in place");
        }
    }
}

#[test]
fn an_odd_row_with_a_teacher_takes_time_in_proportion_to_its_classes() {
    // Quadratic time would mean 10^11 exponentials.
    let classes = 300_000;
    let mut x = vec![0.5_f32; classes];
    x[7] = f32::NAN;
    let teacher = vec![1.0_f32; classes];
    let targets = SoftmaxTargets::Teacher(&teacher, 2.0);
    let loss = SoftmaxBatch::new(Buffers::loss(&x), classes, targets).unwrap();
    assert!(loss.run(Level::detect()).is_nan());
}

#[test]
fn few_rows_of_few_classes_of_f64_are_all_written() {
    for level in Level::available() {
        for classes in 1..=5 {
            for rows in 1..70 {
                let x: Vec<f64> =
                    (0..rows * classes).map(|i| 100.0 * f64::from(i as u32 * 37 % 29)).collect();
                let labels: Vec<usize> = (0..rows).map(|row| row % classes).collect();
                let targets = SoftmaxTargets::Index((&labels[..]).into());
                let mut gradient = vec![7.0; x.len()];
                let buffers = Buffers::gradient(&x, &mut gradient);
                SoftmaxBatch::new(buffers, classes, targets).unwrap().run(level);
                let rows = x.chunks(classes).zip(gradient.chunks(classes)).zip(&labels);
                for ((x, gradient), &label) in rows {
                    let exact = cross_entropy(x, &one_hot(classes, label, 1.0));
                    for (got, exact) in gradient.iter().zip(exact.grad) {
                        assert!((got - exact).abs() <= 1e-15, "{got} for {exact}, {level}");
                    }
                }
            }
        }
    }
}
