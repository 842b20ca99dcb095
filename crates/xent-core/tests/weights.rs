//! The factors of rows and elements in combination: what each of them multiplies.

use xent_core::{
    Batch, BatchCounts, Buffers, Error, Hessian, Labels, Level, LikelihoodBatch, LikelihoodInput,
    LikelihoodOptions, Outputs, RowWeights, Shape, SigmoidBatch, SigmoidInput, SigmoidOptions,
    SigmoidTargets, SoftmaxBatch, SoftmaxOptions, SoftmaxTargets,
};
use xent_reference::{focal, hessian, probabilities, sigmoid, softmax};

/// Numbers without a pattern, from -2 to 2.
fn numbers(count: usize, seed: u32) -> Vec<f32> {
    let spread = |i: u32| i.wrapping_add(seed).wrapping_mul(2_654_435_761) >> 8;
    (0..count as u32).map(|i| spread(i) as f32 / 4_194_304.0 - 2.0).collect()
}

fn positive(count: usize, seed: u32) -> Vec<f32> {
    numbers(count, seed).iter().map(|x| x.abs()).collect()
}

/// Close, relative to the size of its terms. Other tests check the last ULP.
#[track_caller]
fn assert_close(what: &str, got: f32, want: f64, size: f64) {
    let error = (f64::from(got) - want).abs();
    assert!(error <= 2e-5 * size.max(want.abs()), "{what}: {got:e}, not {want:e}");
}

/// A strip and a part of one; columns of one, and of one and a part.
const SHAPES: [(usize, usize, usize); 5] =
    [(7, 1, 1), (5, 3, 1), (2, 130, 1), (2, 3, 40), (2, 2, 150)];

#[test]
fn all_factors_of_a_sigmoid_loss_multiply() {
    let (scale, smoothing) = (0.75, 0.2);
    for (outer, classes, inner) in SHAPES {
        let shape = Shape::columns(outer, classes, inner).expect("small");
        let (rows, elements) = (shape.row_count(), shape.elements());
        let x = numbers(elements, 1);
        let hot: Vec<i8> = (0..elements).map(|i| (i * i % 5 == 1) as i8).collect();
        let (class_weights, pos_weight) = (positive(classes, 2), positive(classes, 3));
        let samples = positive(rows, 4);
        for mean_over_classes in [false, true] {
            let losses = if mean_over_classes { rows } else { elements };
            let upstream = numbers(losses, 5);
            for gamma in [0.0, 2.0] {
                let options = SigmoidOptions {
                    class_weights: &class_weights,
                    pos_weight: if gamma == 0.0 { &pos_weight } else { &[] },
                    label_smoothing: if gamma == 0.0 { smoothing } else { 0.0 },
                    focal_gamma: gamma,
                    mean_over_classes,
                    ..SigmoidOptions::default()
                };
                let weights = RowWeights { scale, sample_weights: &samples, upstream: &upstream };
                let targets = SigmoidTargets::MultiHot(Labels::from(&hot[..]));
                for level in Level::available() {
                    let mut gradient = vec![9.0; elements];
                    let mut of_losses = vec![9.0; losses];
                    let mut second = vec![9.0; if gamma == 0.0 { elements } else { 0 }];
                    let outputs = Outputs {
                        losses: &mut of_losses,
                        hessian: &mut second,
                        convention: Hessian::XgBoost,
                        ..Outputs::default()
                    };
                    let buffers = Buffers::gradient(&x, &mut gradient);
                    let batch = SigmoidBatch::with_options(buffers, shape, targets, options)
                        .and_then(|batch| batch.with_weights(weights))
                        .and_then(|batch| batch.with_outputs(outputs))
                        .expect("valid");
                    let sum = batch.run(level);
                    let (mut want_losses, mut want_sum) = (vec![0.0; losses], 0.0);
                    for (row, &sample) in samples.iter().enumerate() {
                        for class in 0..classes {
                            let at = shape.place(row, class);
                            let what = format!("{level}, {outer} x {classes} x {inner}, {gamma}");
                            let keep = 1.0 - options.label_smoothing;
                            let y = f64::from(hot[at]) * keep + options.label_smoothing / 2.0;
                            let q = if gamma == 0.0 { pos_weight[class].into() } else { 1.0 };
                            let w = f64::from(class_weights[class]) * f64::from(sample);
                            let (loss, slope) = if gamma == 0.0 {
                                sigmoid::weighted_cross_entropy(x[at].into(), y, q, w)
                            } else {
                                let (loss, slope) = focal::sigmoid(x[at].into(), y, gamma, None);
                                (w * loss, w * slope)
                            };
                            let of = if mean_over_classes { row } else { at };
                            let share = if mean_over_classes { 1.0 / classes as f64 } else { 1.0 };
                            let factor = scale * share * f64::from(upstream[of]);
                            want_losses[of] += share * loss;
                            want_sum += share * loss;
                            assert_close(&what, gradient[at], factor * slope, factor.abs() * w);
                            if gamma == 0.0 {
                                // All weights multiply the floor, too.
                                let all = factor * w * ((1.0 - y) + q * y);
                                let h = hessian::xgboost_logistic(x[at].into(), all);
                                assert_close(&what, second[at], h, 0.0);
                            }
                        }
                    }
                    for (got, want) in of_losses.iter().zip(want_losses) {
                        assert_close(&format!("{level}: loss"), *got, want, 0.0);
                    }
                    assert!((sum - want_sum).abs() <= 1e-5 * want_sum, "{level}: {sum} {want_sum}");
                }
            }
        }
    }
}

#[test]
fn each_factor_of_a_sigmoid_loss_alone() {
    let (rows, classes) = (9, 4);
    let shape = Shape::rows(rows, classes).expect("small");
    let (x, y) = (numbers(36, 1), positive(36, 2).iter().map(|y| y / 2.0).collect::<Vec<_>>());
    let (of_rows, of_elements) = (positive(rows, 4), numbers(36, 5));
    let ones = RowWeights::default();
    for level in Level::available() {
        for weights in [
            ones,
            RowWeights { scale: -3.0, ..ones },
            RowWeights { sample_weights: &of_rows, ..ones },
            RowWeights { upstream: &of_elements, ..ones },
        ] {
            let mut gradient = vec![9.0; 36];
            let options = SigmoidOptions::default();
            let targets = SigmoidTargets::Dense(&y);
            let buffers = Buffers::gradient(&x, &mut gradient);
            let batch = SigmoidBatch::with_options(buffers, shape, targets, options);
            batch.and_then(|batch| batch.with_weights(weights)).expect("valid").run(level);
            for (at, &got) in gradient.iter().enumerate() {
                let of = |factors: &[f32], at: usize| factors.get(at).map_or(1.0, |&f| f.into());
                let w: f64 = of(weights.sample_weights, at / classes);
                let u: f64 = of(weights.upstream, at);
                let (_, slope) =
                    sigmoid::weighted_cross_entropy(x[at].into(), y[at].into(), 1.0, w);
                assert_close(&format!("{level}: {at}"), got, weights.scale * u * slope, w);
            }
        }
    }
}

#[test]
fn the_logistic_loss_has_all_factors_too() {
    let shape = Shape::rows(6, 3).expect("small");
    let p: Vec<f32> = positive(18, 1).iter().map(|p| p / 2.0).collect();
    let y: Vec<f32> = positive(18, 2).iter().map(|y| y / 2.0).collect();
    let (samples, upstream) = (positive(6, 3), numbers(18, 4));
    let weights = RowWeights { scale: 0.5, sample_weights: &samples, upstream: &upstream };
    let options = SigmoidOptions { input: SigmoidInput::Probabilities, ..Default::default() };
    for level in Level::available() {
        let (mut gradient, mut losses) = (vec![9.0; 18], vec![9.0; 18]);
        let buffers = Buffers::gradient(&p, &mut gradient);
        SigmoidBatch::with_options(buffers, shape, SigmoidTargets::Dense(&y), options)
            .and_then(|batch| batch.with_weights(weights))
            .and_then(|batch| batch.with_losses(&mut losses))
            .expect("valid")
            .run(level);
        for at in 0..18 {
            let w = f64::from(samples[at / 3]);
            let (loss, slope) = probabilities::logistic(p[at].into(), y[at].into());
            assert_close(&format!("{level}: loss"), losses[at], w * loss, 0.0);
            let factor = w * 0.5 * f64::from(upstream[at]);
            assert_close(&format!("{level}: {at}"), gradient[at], factor * slope, factor.abs());
        }
    }
}

#[test]
fn all_factors_of_a_likelihood_multiply() {
    for (outer, classes, inner) in [(7, 3, 1), (2, 3, 5)] {
        let shape = Shape::columns(outer, classes, inner).expect("small");
        let (rows, elements) = (shape.row_count(), shape.elements());
        let p: Vec<f32> = positive(elements, 1).iter().map(|p| p / 2.0).collect();
        let labels: Vec<i16> =
            (0..rows).map(|row| if row == 4 { -1 } else { (row % classes) as i16 }).collect();
        let (class_weights, mut samples) = (positive(classes, 2), positive(rows, 3));
        samples[5] = 0.0;
        let upstream = numbers(rows, 4);
        let weights = RowWeights { scale: 0.5, sample_weights: &samples, upstream: &upstream };
        for input in [LikelihoodInput::Probabilities, LikelihoodInput::LogProbabilities] {
            let (mut gradient, mut losses) = (vec![9.0; elements], vec![9.0; rows]);
            let batch = LikelihoodBatch::with_options(
                Buffers::gradient(&p, &mut gradient),
                shape,
                Labels::from(&labels[..]),
                input,
                LikelihoodOptions { class_weights: &class_weights, ignore_index: Some(-1) },
            );
            let outputs = Outputs { losses: &mut losses, ..Outputs::default() };
            let batch = batch
                .and_then(|batch| batch.with_weights(weights))
                .and_then(|batch| batch.with_outputs(outputs))
                .expect("valid");
            let counts = batch.counts();
            let sum = batch.run(Level::detect());
            let mut wanted = BatchCounts { rows, ..BatchCounts::default() };
            let mut want_sum = 0.0;
            for row in 0..rows {
                let label = usize::try_from(labels[row]).ok();
                let of_row: Vec<f64> =
                    (0..classes).map(|class| p[shape.place(row, class)].into()).collect();
                let w = label.map_or(0.0, |label| class_weights[label].into());
                let v = f64::from(samples[row]);
                // A row of weight zero counts in all sums except those of weights.
                if label.is_some() {
                    wanted.valid_rows += 1;
                    wanted.valid_losses += 1;
                    wanted.class_weight += w;
                    wanted.pytorch += w;
                    wanted.weight += w * v;
                }
                let (loss, slopes) = match (input, label) {
                    (_, None) => (0.0, vec![0.0; classes]),
                    (LikelihoodInput::Probabilities, Some(label)) => {
                        let (loss, slopes) = probabilities::multinomial_logistic(&of_row, label);
                        (w * loss, slopes.iter().map(|slope| w * slope).collect())
                    }
                    (_, Some(label)) => probabilities::negative_log_likelihood(&of_row, label, w),
                };
                assert_close("loss", losses[row], v * loss, 0.0);
                want_sum += v * loss;
                for (class, slope) in slopes.iter().enumerate() {
                    let want = 0.5 * v * f64::from(upstream[row]) * slope;
                    assert_close("gradient", gradient[shape.place(row, class)], want, 0.0);
                }
            }
            assert_eq!(counts, wanted);
            assert!((sum - want_sum).abs() <= 1e-6 * want_sum.abs(), "{sum}, not {want_sum}");
        }
    }
}

#[test]
fn the_counts_of_a_batch_are_what_a_mean_may_divide_by() {
    let shape = Shape::rows(4, 2).expect("small");
    let x = [0.0_f32; 8];
    let class_weights = [0.5, 2.0];
    let samples = [1.0, 0.0, 3.0, 0.25];
    let weights = RowWeights { sample_weights: &samples, ..RowWeights::default() };

    let labels = [1_i8, 0, -1, 0];
    let targets = SoftmaxTargets::Index(Labels::from(&labels));
    let options = SoftmaxOptions {
        class_weights: &class_weights,
        ignore_index: Some(-1),
        ..SoftmaxOptions::default()
    };
    let batch = SoftmaxBatch::with_options(Buffers::loss(&x), shape, targets, options);
    let counts = batch.and_then(|batch| batch.with_weights(weights)).expect("valid").counts();
    let wanted = BatchCounts {
        rows: 4,
        valid_rows: 3,
        valid_losses: 3,
        class_weight: 3.0,
        weight: 2.125,
        pytorch: 3.0,
    };
    assert_eq!(counts, wanted);

    let hot = [1_i8, 0, -1, 0, -1, -1, -1, 1];
    let targets = SigmoidTargets::MultiHot(Labels::from(&hot));
    for mean_over_classes in [false, true] {
        let options = SigmoidOptions {
            class_weights: &class_weights,
            ignore_index: Some(-1),
            mean_over_classes,
            ..SigmoidOptions::default()
        };
        let batch = SigmoidBatch::with_options(Buffers::loss(&x), shape, targets, options);
        let counts = batch.and_then(|batch| batch.with_weights(weights)).expect("valid").counts();
        // The one element of the second row counts, though its weight is zero.
        let valid_losses = if mean_over_classes { 3 } else { 4 };
        let pytorch = valid_losses as f64;
        let wanted =
            BatchCounts { valid_losses, class_weight: 6.5, weight: 3.0, pytorch, ..wanted };
        assert_eq!(counts, wanted);
    }
    let y = SigmoidTargets::Dense(&x);
    let plain = SigmoidBatch::with_options(Buffers::loss(&x), shape, y, SigmoidOptions::default());
    let wanted = BatchCounts {
        rows: 4,
        valid_rows: 4,
        valid_losses: 8,
        class_weight: 8.0,
        weight: 8.0,
        pytorch: 8.0,
    };
    assert_eq!(plain.expect("valid").counts(), wanted);
}

#[test]
fn factors_of_other_lengths_are_refused() {
    let shape = Shape::rows(4, 2).expect("small");
    let x = [0.0_f32; 8];
    let labels = Labels::from(&[0_u8; 4]);
    let refused = |result: Result<(), Error>| matches!(result, Err(Error::Length { .. }));
    for (samples, upstream) in [(3, 0), (5, 0), (0, 3), (0, 5)] {
        let (samples, upstream) = (vec![1.0; samples], vec![1.0; upstream]);
        let weights = RowWeights { scale: 1.0, sample_weights: &samples, upstream: &upstream };
        let targets = SoftmaxTargets::Index(labels);
        let batch = SoftmaxBatch::new(Buffers::loss(&x), 2, targets).expect("valid");
        assert!(refused(batch.with_weights(weights).map(|_| ())));
        let batch = SigmoidBatch::with_options(
            Buffers::loss(&x),
            shape,
            SigmoidTargets::Dense(&x),
            SigmoidOptions::default(),
        );
        assert!(refused(batch.expect("valid").with_weights(weights).map(|_| ())));
        let input = LikelihoodInput::LogProbabilities;
        let batch = LikelihoodBatch::new(Buffers::loss(&x), shape, labels, input).expect("valid");
        assert!(refused(batch.with_weights(weights).map(|_| ())));
    }
}

/// The changes to a row of ones; its log-sum-exp; the first two numbers of its softmax, and of its log-softmax.
type DegenerateRow<'a> = (&'a [(usize, f32)], f32, [f32; 2], [f32; 2]);

#[test]
fn functions_of_a_row_have_the_limits_of_their_formula() {
    const INF: f32 = f32::INFINITY;
    const NAN: f32 = f32::NAN;
    for level in Level::available() {
        for length in [2, 5, 40, 5000] {
            let mut out = vec![9.0; length];
            let rows: [DegenerateRow<'_>; 5] = [
                (&[(0, INF)], INF, [1.0, 0.0], [0.0, -INF]),
                (&[(1, INF)], INF, [0.0, 1.0], [-INF, 0.0]),
                (&[(0, INF), (1, INF)], INF, [NAN; 2], [NAN; 2]),
                (&[(0, INF), (1, NAN)], NAN, [NAN; 2], [NAN; 2]),
                (&[(0, NAN)], NAN, [NAN; 2], [NAN; 2]),
            ];
            for (changes, log_sum_exp, probabilities, logarithms) in rows {
                let same = |a: f32, b: f32| a == b || (a.is_nan() && b.is_nan());
                let mut x = vec![1.0; length];
                changes.iter().for_each(|&(at, value)| x[at] = value);
                let got = xent_core::log_sum_exp(level, &x);
                assert!(same(got, log_sum_exp), "{level}, {length}: {got}");
                xent_core::softmax(level, &x, &mut out).expect("equal lengths");
                let ok = same(out[0], probabilities[0]) && same(out[1], probabilities[1]);
                assert!(ok, "{level}, {length}: {} {}", out[0], out[1]);
                xent_core::log_softmax(level, &x, &mut out).expect("equal lengths");
                let ok = same(out[0], logarithms[0]) && same(out[1], logarithms[1]);
                assert!(ok, "{level}, {length}: {} {}", out[0], out[1]);
            }
            for value in [NAN, -INF] {
                let x = vec![value; length];
                let got = xent_core::log_sum_exp(level, &x);
                assert!(if value.is_nan() { got.is_nan() } else { got == -INF }, "{level}: {got}");
                xent_core::softmax(level, &x, &mut out).expect("equal lengths");
                assert!(out.iter().all(|p| p.is_nan()));
            }
        }
    }
}

#[test]
fn a_softmax_in_f64_is_that_of_the_reference() {
    for length in [1, 3, 33, 300, 5000] {
        let x: Vec<f64> = numbers(length, 3).iter().map(|&x| 4.0 * f64::from(x)).collect();
        let (p, s) = (softmax::softmax(&x), softmax::log_softmax(&x));
        let mut out = vec![9.0; length];
        for level in Level::available() {
            let close = |a: f64, b: f64| (a - b).abs() <= 1e-13 * b.abs().max(1e-3);
            xent_core::softmax(level, &x, &mut out).expect("equal lengths");
            assert!(out.iter().zip(&p).all(|(&a, &b)| close(a, b)), "{level}, {length}");
            xent_core::log_softmax(level, &x, &mut out).expect("equal lengths");
            assert!(out.iter().zip(&s).all(|(&a, &b)| close(a, b)), "{level}, {length}");
        }
    }
}
