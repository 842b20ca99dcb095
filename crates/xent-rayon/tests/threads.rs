//! The number of threads changes nothing.

use xent_core::{Batch, Buffers, Labels, Level, SigmoidBatch, SoftmaxBatch, SoftmaxTargets};

/// Logits that are spread, reproducible and of no particular pattern.
fn logits(count: usize) -> Vec<f32> {
    (0..count as u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 8) as f32 / 1e6 - 8.0).collect()
}

#[test]
fn any_number_of_threads_returns_the_same_bits() {
    for (rows, classes) in [(1, 1), (13, 70_000), (70_000, 10), (9000, 129), (400_001, 2)] {
        let x = logits(rows * classes);
        let labels: Vec<u32> = (0..rows as u32).map(|row| row * 7 % classes as u32).collect();
        let targets: Vec<f32> = x.iter().map(|x| x.abs() / 9.0).collect();
        for level in Level::available() {
            let solve = |threads: Option<usize>| {
                let mut softmax = vec![0.0; x.len()];
                let mut sigmoid = vec![0.0; x.len()];
                let sums = {
                    let index = SoftmaxTargets::Index(Labels::from(labels.as_slice()));
                    let a = SoftmaxBatch::new(Buffers::Gradient(&x, &mut softmax), classes, index);
                    let b = SigmoidBatch::new(Buffers::Gradient(&x, &mut sigmoid), &targets);
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
                let gradients = softmax.into_iter().chain(sigmoid).map(f32::to_bits);
                (sums.map(f64::to_bits), gradients.collect::<Vec<_>>())
            };
            let serial = solve(None);
            for threads in [1, 2, 3, 7] {
                assert!(
                    solve(Some(threads)) == serial,
                    "{rows} x {classes} at {level} with {threads} threads differs"
                );
            }
        }
    }
}
