//! Rows that no kernel computes, with all their results: certain teachers, infinite logits with
//! weights, and ignored rows.

use xent_core::{
    Batch, Buffers, Hessian, Labels, Level, MultiLabel, Outputs, RowWeights, Shape, SoftmaxBatch,
    SoftmaxOptions, SoftmaxTargets,
};
use xent_reference::softmax::{cross_entropy, log_sum_exp};
use xent_reference::targets::one_hot;
use xent_reference::{distillation, soft_cap};

const INF: f32 = f32::INFINITY;
const NAN: f32 = f32::NAN;

/// Numbers without a pattern, from -2 to 2.
fn numbers(count: usize, seed: u32) -> Vec<f32> {
    let spread = |i: u32| i.wrapping_add(seed).wrapping_mul(2_654_435_761) >> 8;
    (0..count as u32).map(|i| spread(i) as f32 / 4_194_304.0 - 2.0).collect()
}

fn positive(count: usize, seed: u32) -> Vec<f32> {
    numbers(count, seed).iter().map(|x| x.abs() + 0.125).collect()
}

/// All results of a batch.
struct Given {
    sum: f64,
    losses: Vec<f32>,
    log_sum_exp: Vec<f32>,
    predicted: Vec<u32>,
    hessian: Vec<f32>,
    gradient: Vec<f32>,
}

fn solve(
    level: Level,
    x: &[f32],
    shape: Shape,
    (targets, options): (SoftmaxTargets<'_>, SoftmaxOptions<'_>),
    weights: RowWeights<'_>,
    hessian: Option<Hessian>,
) -> Given {
    let rows = shape.row_count();
    let mut given = Given {
        sum: 0.0,
        losses: vec![9.0; rows],
        log_sum_exp: vec![9.0; rows],
        predicted: vec![9; rows],
        hessian: vec![9.0; if hessian.is_some() { shape.elements() } else { 0 }],
        gradient: vec![9.0; shape.elements()],
    };
    let outputs = Outputs {
        losses: &mut given.losses,
        log_sum_exp: &mut given.log_sum_exp,
        predicted: &mut given.predicted,
        hessian: &mut given.hessian,
        convention: hessian.unwrap_or_default(),
        ..Outputs::default()
    };
    let buffers = Buffers::gradient(x, &mut given.gradient);
    given.sum = SoftmaxBatch::with_options(buffers, shape, targets, options)
        .and_then(|batch| batch.with_weights(weights))
        .and_then(|batch| batch.with_outputs(outputs))
        .expect("valid")
        .run(level);
    given
}

/// Equal, both NaN, or close relative to their terms.
#[track_caller]
fn assert_close(what: &str, got: f32, want: f64, size: f64) {
    let got = f64::from(got);
    let same = got == want || (got.is_nan() && want.is_nan());
    let close = (got - want).abs() <= 2e-5 * size.max(want.abs());
    assert!(same || close, "{what}: {got:e}, not {want:e}");
}

/// Rows of few classes, of many, of more than a tile; columns.
const SHAPES: [(usize, usize, usize); 5] =
    [(3, 3, 1), (3, 40, 1), (3, 5000, 1), (1, 3, 3), (1, 40, 3)];

fn row_of(values: &[f32], shape: Shape, row: usize) -> Vec<f64> {
    (0..shape.classes()).map(|class| values[shape.place(row, class)].into()).collect()
}

fn largest(x: &[f64]) -> usize {
    (0..x.len()).rev().max_by(|&a, &b| x[a].total_cmp(&x[b])).expect("classes")
}

#[test]
fn the_hessian_of_a_certain_teacher_has_the_weight_of_its_class() {
    for (outer, classes, inner) in SHAPES {
        let shape = Shape::columns(outer, classes, inner).expect("small");
        let x = numbers(shape.elements(), 1);
        let class_weights = positive(classes, 3);
        let options = SoftmaxOptions { class_weights: &class_weights, ..SoftmaxOptions::default() };
        let mut teacher = numbers(shape.elements(), 2);
        for level in Level::available() {
            // So much larger than the others that they have no probability, in a row that a kernel
            // computes.
            let [certain, finished] = [INF, 1e4].map(|largest| {
                teacher[shape.place(1, 1)] = largest;
                let of = (SoftmaxTargets::Teacher(&teacher, 0.5), options);
                solve(level, &x, shape, of, RowWeights::default(), Some(Hessian::Exact)).hessian
            });
            for (&got, &want) in certain.iter().zip(&finished) {
                assert_close(&format!("{level}, {classes}"), got, want.into(), 0.0);
            }
        }
    }
}

#[test]
fn a_certain_teacher_is_a_label_at_any_temperature() {
    for (outer, classes, inner) in SHAPES {
        let shape = Shape::columns(outer, classes, inner).expect("small");
        let mut x = numbers(shape.elements(), 1);
        let mut teacher = numbers(shape.elements(), 2);
        let label = 1;
        teacher[shape.place(1, label)] = INF;
        x[shape.place(1, 2)] = f32::NEG_INFINITY;
        let (class_weights, samples) = (positive(classes, 3), positive(3, 4));
        let upstream = numbers(3, 5);
        let weights = RowWeights { scale: 0.5, sample_weights: &samples, upstream: &upstream };
        for temperature in [0.5, 1.0, 4.0] {
            for level in Level::available() {
                let what = format!("{level}, {outer} x {classes} x {inner}, {temperature}");
                let options =
                    SoftmaxOptions { class_weights: &class_weights, ..SoftmaxOptions::default() };
                let of = (SoftmaxTargets::Teacher(&teacher, temperature), options);
                let got = solve(level, &x, shape, of, weights, None);
                let row: Vec<f64> = row_of(&x, shape, 1).iter().map(|x| x / temperature).collect();
                let weight = f64::from(class_weights[label]);
                let answer = cross_entropy(&row, &one_hot(classes, label, weight));
                let v = f64::from(samples[1]);
                assert_close(
                    &what,
                    got.losses[1],
                    temperature * temperature * v * answer.loss,
                    0.0,
                );
                assert_close(&what, got.log_sum_exp[1], log_sum_exp(&row), 1.0);
                assert_eq!(got.predicted[1] as usize, largest(&row), "{what}");
                let factor = temperature * v * 0.5 * f64::from(upstream[1]);
                for class in 0..classes {
                    let want = factor * answer.grad[class];
                    assert_close(&what, got.gradient[shape.place(1, class)], want, 0.0);
                }
                let sum: f64 = got.losses.iter().map(|&loss| f64::from(loss)).sum();
                assert!((got.sum - sum).abs() <= 1e-6 * sum.abs(), "{what}");
                // A kernel computes the row before.
                if classes > 3 {
                    continue;
                }
                let plain = (SoftmaxTargets::Teacher(&teacher, temperature), Default::default());
                let got = solve(level, &x, shape, plain, RowWeights::default(), None);
                let (x, t) = (row_of(&x, shape, 0), row_of(&teacher, shape, 0));
                let answer = distillation::divergence(&x, &t, temperature);
                assert_close(&what, got.losses[0], answer.loss, temperature * temperature);
            }
        }
    }
}

#[test]
fn a_certain_row_has_the_limits_under_weights() {
    for (outer, classes, inner) in SHAPES {
        let shape = Shape::columns(outer, classes, inner).expect("small");
        let mut x = numbers(shape.elements(), 6);
        let mut q = vec![0.0; shape.elements()];
        for row in 0..3 {
            x[shape.place(row, 1)] = INF;
            q[shape.place(row, 1)] = 0.5;
        }
        q[shape.place(0, 0)] = 0.25;
        q[shape.place(2, 0)] = 2.0;
        let class_weights = positive(classes, 7);
        let options = SoftmaxOptions { class_weights: &class_weights, ..Default::default() };
        let wide_weights: Vec<f64> = class_weights.iter().map(|&weight| weight.into()).collect();
        let samples = [2.0, 1.0, 0.5];
        let weights = RowWeights { scale: 3.0, sample_weights: &samples, upstream: &[] };
        for level in Level::available() {
            for hessian in [None, Some(Hessian::Exact), Some(Hessian::XgBoost)] {
                let what = format!("{level}, {outer} x {classes} x {inner}");
                let given = (SoftmaxTargets::Dense(&q), options);
                let got = solve(level, &x, shape, given, weights, hessian);
                for (row, &sample) in samples.iter().enumerate() {
                    let factor = 3.0 * f64::from(sample);
                    // Not a product of two f32, which QEMU 7.2 computes wrongly for s390x (`mdeb`).
                    let q = row_of(&q, shape, row);
                    let of = |class: usize| q[class] * wide_weights[class];
                    let want = if row == 1 { 0.0 } else { f64::INFINITY };
                    assert_close(&what, got.losses[row], want, 0.0);
                    assert_eq!((got.log_sum_exp[row], got.predicted[row]), (INF, 1), "{what}");
                    for class in 0..classes {
                        let at = shape.place(row, class);
                        let want = if class == 1 { of(0) } else { -of(class) };
                        assert_close(&what, got.gradient[at], factor * want, 0.0);
                        if let Some(convention) = hessian {
                            let floor = if convention == Hessian::XgBoost { 1e-16 } else { 0.0 };
                            assert_eq!(got.hessian[at], floor, "{what}");
                        }
                    }
                }
                // The gradient of the Caffe layer has the same share for each label.
                let caffe = SoftmaxTargets::MultiLabel(&q, MultiLabel::Caffe);
                let got = solve(level, &x, shape, (caffe, Default::default()), weights, hessian);
                for (row, &sample) in samples.iter().enumerate() {
                    let count = if row == 1 { 1.0 } else { 2.0 };
                    for class in 0..classes {
                        let at = shape.place(row, class);
                        let share = if q[at] == 0.0 { 0.0 } else { 1.0 / count };
                        let want = f64::from(u8::from(class == 1)) - share;
                        let factor = 3.0 * f64::from(sample);
                        assert_close(&what, got.gradient[at], factor * want, 0.0);
                    }
                }
            }
        }
    }
}

#[test]
fn a_smoothed_label_in_a_certain_row_is_spread() {
    for (outer, classes, inner) in SHAPES {
        let shape = Shape::columns(outer, classes, inner).expect("small");
        let mut x = numbers(shape.elements(), 6);
        x[shape.place(1, 1)] = INF;
        let class_weights = positive(classes, 7);
        let options = SoftmaxOptions {
            class_weights: &class_weights,
            label_smoothing: 0.25,
            ..SoftmaxOptions::default()
        };
        let targets = SoftmaxTargets::Index(Labels::from(&[0_u8, 0, 0]));
        let wide: Vec<f64> = class_weights.iter().map(|&w| w.into()).collect();
        let q = xent_reference::targets::smoothed(classes, 0, 0.25, Some(&wide));
        let all: f64 = q.iter().sum();
        for level in Level::available() {
            let got = solve(level, &x, shape, (targets, options), RowWeights::default(), None);
            assert_eq!(got.losses[1], INF);
            for (class, q) in q.iter().enumerate() {
                let want = if class == 1 { all - q } else { -q };
                let what = format!("{level}, {outer} x {classes} x {inner}: {class}");
                assert_close(&what, got.gradient[shape.place(1, class)], want, 0.0);
            }
        }
    }
}

#[test]
fn a_row_without_a_part_has_its_log_sum_exp_and_class_all_the_same() {
    let none = f32::NEG_INFINITY;
    for (outer, classes, inner) in SHAPES {
        let shape = Shape::columns(outer, classes, inner).expect("small");
        let dense = positive(shape.elements(), 8);
        for odd in [0.0, INF, NAN, none] {
            let mut x: Vec<f32> = numbers(shape.elements(), 9).iter().map(|x| 4.0 * x).collect();
            for class in 0..classes {
                if odd == none || (odd != 0.0 && class == 1) {
                    x[shape.place(1, class)] = odd;
                }
            }
            let samples = [1.0, 0.0, 1.0];
            let weights = RowWeights { sample_weights: &samples, ..RowWeights::default() };
            let index = SoftmaxTargets::Index(Labels::from(&[0_u8, 0, 0]));
            let plain = SoftmaxOptions::default();
            for (name, targets, soft_cap, temperature) in [
                ("labels", index, 0.0, 1.0),
                ("capped", index, 3.0, 1.0),
                ("dense", SoftmaxTargets::Dense(&dense), 0.0, 1.0),
                ("teacher", SoftmaxTargets::Teacher(&dense, 2.0), 0.0, 2.0),
            ] {
                let options = SoftmaxOptions { soft_cap, ..plain };
                let hessian = (soft_cap == 0.0).then_some(Hessian::XgBoost);
                for level in Level::available() {
                    let what = format!("{level}, {name}, {outer} x {classes} x {inner}, {odd}");
                    let got = solve(level, &x, shape, (targets, options), weights, hessian);
                    let row = row_of(&x, shape, 1);
                    let capped = |x: f64| {
                        if soft_cap == 0.0 || x.is_infinite() {
                            x
                        } else {
                            soft_cap::cap(x, soft_cap)
                        }
                    };
                    let want = if odd.is_nan() || odd.is_infinite() {
                        odd.into()
                    } else {
                        let row: Vec<f64> = row.iter().map(|&x| capped(x) / temperature).collect();
                        log_sum_exp(&row)
                    };
                    assert_close(&what, got.log_sum_exp[1], want, 1.0);
                    let largest =
                        (0..classes).rev().filter(|&class| row[class] > f64::NEG_INFINITY);
                    let largest = largest.max_by(|&a, &b| row[a].total_cmp(&row[b]));
                    if !odd.is_nan() {
                        assert_eq!(got.predicted[1] as usize, largest.unwrap_or(0), "{what}");
                    }
                    assert_eq!(got.losses[1], 0.0, "{what}");
                    for class in 0..classes {
                        let at = shape.place(1, class);
                        assert_eq!(got.gradient[at], 0.0, "{what}");
                        assert!(hessian.is_none() || got.hessian[at] == 1e-16, "{what}");
                    }
                }
            }
        }
    }
}

#[test]
fn a_soft_cap_has_its_slope_in_a_certain_row_too() {
    for (outer, classes, inner) in SHAPES {
        let shape = Shape::columns(outer, classes, inner).expect("small");
        let mut x = numbers(shape.elements(), 6);
        let targets = SoftmaxTargets::Index(Labels::from(&[0_u8, 0, 0]));
        let options = SoftmaxOptions { soft_cap: 3.0, ..SoftmaxOptions::default() };
        for logit in [-7.0, -1.0, 0.5, 2.0, 6.0] {
            x[shape.place(1, 0)] = logit;
            x[shape.place(1, 1)] = INF;
            for level in Level::available() {
                let got = solve(level, &x, shape, (targets, options), RowWeights::default(), None);
                assert_eq!((got.losses[1], got.gradient[shape.place(1, 1)]), (INF, 1.0));
                let slope = soft_cap::slope(logit.into(), 3.0);
                let what = format!("{level}, {outer} x {classes} x {inner}: {logit}");
                assert_close(&what, got.gradient[shape.place(1, 0)], -slope, 0.0);
            }
        }
    }
}

#[test]
fn tiles_whose_logits_are_far_apart_add_up() {
    for distance in [10.0, 700.0, 715.0, 740.0, 760.0, 1e6, 1e300] {
        for first_is_larger in [false, true] {
            let mut x = vec![0.0_f64; 2 * 4096];
            let lower = if first_is_larger { &mut x[4096..] } else { &mut x[..4096] };
            lower.fill(-distance);
            for level in Level::available() {
                let got = xent_core::log_sum_exp(level, &x);
                let want = log_sum_exp(&x);
                assert!(
                    (got - want).abs() <= 1e-14 * want,
                    "{level}, {distance}: {got}, not {want}"
                );
                let label = if first_is_larger { 4096 } else { 0 };
                let mut gradient = vec![9.0; x.len()];
                let labels = [label];
                let targets = SoftmaxTargets::Index(Labels::from(&labels));
                let loss =
                    SoftmaxBatch::new(Buffers::gradient(&x, &mut gradient), x.len(), targets)
                        .expect("valid")
                        .run(level);
                let want = distance + want;
                assert!((loss - want).abs() <= 1e-14 * want, "{level}, {distance}: {loss}");
                let sum: f64 = gradient.iter().sum();
                assert!(sum.abs() <= 1e-12, "{level}, {distance}: {sum}");
            }
        }
    }
}
