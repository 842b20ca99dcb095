//! The number of threads does not change the result.

use half::{bf16, f16};
use xent_core::{
    Batch, Buffers, Element, Labels, Level, LogSumExpBatch, Outputs, RowWeights, Shape,
    SigmoidBatch, SoftmaxBatch, SoftmaxOptions, SoftmaxTargets,
};

/// Logits over a wide range, reproducible and without a pattern.
fn logits(count: usize) -> Vec<f32> {
    (0..count as u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 8) as f32 / 1e6 - 8.0).collect()
}

#[test]
fn any_number_of_threads_returns_the_same_bits() {
    same_bits::<f32>(&[(1, 1), (13, 70_000), (70_000, 10), (9000, 129), (400_001, 2)]);
}

#[test]
fn so_it_does_in_every_format() {
    same_bits::<f64>(&[(13, 70_000), (2, 200_001), (9000, 40)]);
    same_bits::<bf16>(&[(13, 70_000), (2, 200_001), (9000, 40), (70_000, 5)]);
    same_bits::<f16>(&[(2, 200_001), (9000, 40)]);
}

fn same_bits<E: Element>(shapes: &[(usize, usize)]) {
    for &(rows, classes) in shapes {
        let x: Vec<E> =
            logits(rows * classes).iter().map(|&x| E::from_float(E::Float::from(x))).collect();
        let labels: Vec<u32> = (0..rows as u32).map(|row| row * 7 % classes as u32).collect();
        let targets: Vec<E::Float> = (0..x.len()).map(|i| ((i % 9) as f32 / 8.0).into()).collect();
        for level in Level::available() {
            let solve = |threads: Option<usize>| {
                let mut softmax = vec![E::default(); x.len()];
                let mut sigmoid = vec![E::default(); x.len()];
                let sums = {
                    let index = SoftmaxTargets::Index(Labels::from(labels.as_slice()));
                    let a = SoftmaxBatch::new(Buffers::gradient(&x, &mut softmax), classes, index);
                    let b = SigmoidBatch::new(Buffers::gradient(&x, &mut sigmoid), &targets);
                    let (a, b) = (a.expect("valid"), b.expect("valid"));
                    match threads {
                        None => [a.run(level), b.run(level)],
                        Some(threads) => rayon::ThreadPoolBuilder::new()
                            .num_threads(threads)
                            .build()
                            .expect("threads to run on")
                            .install(|| [xent_rayon::run(a, level), xent_rayon::run(b, level)]),
                    }
                };
                let bits = |g: E| f64::to_bits(g.to_float().into());
                let gradients = softmax.into_iter().chain(sigmoid).map(bits);
                (sums.map(f64::to_bits), gradients.collect::<Vec<_>>())
            };
            let serial = solve(None);
            for threads in [1, 2, 3, 7] {
                assert!(
                    solve(Some(threads)) == serial,
                    "{rows} x {classes} of {} at {level} with {threads} threads differs",
                    E::NAME
                );
            }
        }
    }
}

/// All NaN are one.
fn bits(x: f32) -> u32 {
    if x.is_nan() { u32::MAX } else { x.to_bits() }
}

#[test]
fn few_long_rows_have_the_bits_of_one_thread() {
    let (classes, stride) = (300_001, 300_010);
    for rows in [1, 3] {
        let shape = Shape::rows(rows, classes).and_then(|shape| shape.with_strides(stride, stride));
        let shape = shape.expect("not too large");
        let plain = logits((rows - 1) * stride + classes);
        let label = 200_000;
        let labels = vec![label as i64; rows];
        let weights = vec![0.7; rows];
        let absent = f32::NEG_INFINITY;
        let ends = [(0, 0.0), (9, f32::NAN), (9, f32::INFINITY), (label, absent), (label, 3.0)];
        let odd = ends.iter().map(|&(at, value)| {
            let mut x = plain.clone();
            x[at] = value;
            x
        });
        let masked = odd.clone().take(1).map(|mut x| {
            x[..classes].fill(absent);
            x
        });
        let options = [
            SoftmaxOptions::default(),
            SoftmaxOptions { focal_gamma: 2.0, z_loss: 1e-3, ..Default::default() },
            SoftmaxOptions { ignore_index: Some(label as i64), ..Default::default() },
            SoftmaxOptions { label_smoothing: 0.1, ..Default::default() },
        ];
        for (case, x) in odd.chain(masked).enumerate() {
            for level in Level::available() {
                for (kind, options) in options.into_iter().enumerate() {
                    if case != 0 && kind != 0 {
                        continue;
                    }
                    for mode in 0..4 {
                        let solve = |threads: Option<usize>| {
                            let mut gradient =
                                if mode == 3 { x.clone() } else { vec![0.25; x.len()] };
                            let mut log_sum_exp = vec![0.0; rows];
                            let mut losses = vec![0.0; rows];
                            let mut alone = vec![0.0; rows];
                            let buffers = match mode {
                                0 => Buffers::loss(&x),
                                1 => Buffers::gradient(&x, &mut gradient),
                                2 => Buffers::accumulate(&x, &mut gradient),
                                _ => Buffers::in_place(&mut gradient),
                            };
                            let targets = SoftmaxTargets::Index(Labels::from(labels.as_slice()));
                            let outputs = Outputs {
                                losses: &mut losses,
                                log_sum_exp: &mut log_sum_exp,
                                ..Default::default()
                            };
                            let weights =
                                RowWeights { scale: 0.3, sample_weights: &weights, upstream: &[] };
                            let batch =
                                SoftmaxBatch::with_options(buffers, shape, targets, options)
                                    .and_then(|batch| batch.with_weights(weights))
                                    .and_then(|batch| batch.with_outputs(outputs))
                                    .expect("a valid batch");
                            let sums = LogSumExpBatch::new(&x, shape, &mut alone).expect("valid");
                            let sums = match threads {
                                None => [batch.run(level), sums.run(level)],
                                Some(threads) => rayon::ThreadPoolBuilder::new()
                                    .num_threads(threads)
                                    .build()
                                    .expect("threads to run on")
                                    .install(|| {
                                        [
                                            xent_rayon::run(batch, level),
                                            xent_rayon::run(sums, level),
                                        ]
                                    }),
                            };
                            let outputs = losses.into_iter().chain(log_sum_exp).chain(alone);
                            let numbers = gradient.into_iter().chain(outputs).map(bits);
                            // All NaN are one.
                            let sums = sums.map(|sum| if sum.is_nan() { 0 } else { sum.to_bits() });
                            (sums, numbers.collect::<Vec<_>>())
                        };
                        let serial = solve(None);
                        for threads in [1, 2, 3, 4] {
                            assert!(
                                solve(Some(threads)) == serial,
                                "case {case}, kind {kind}, mode {mode} at {level} with {threads} threads"
                            );
                        }
                    }
                }
            }
        }
    }
}
