//! A second call with a kept workspace allocates nothing of its own.

use allocation_counter::{AllocationInfo, measure};
use rayon::{ThreadPool, ThreadPoolBuilder};
use xent_core::SoftmaxOptions;
use xent_linear::{Layer, LinearCrossEntropy, LinearPass, Workspace};

/// On one thread, which is this one, since allocations are counted for each thread.
fn second_call(pool: &ThreadPool, epsilon: f64) -> AllocationInfo {
    pool.install(|| {
        let (rows, hidden, classes) = (600, 16, 5000);
        let x: Vec<f32> = (0..rows * hidden).map(|at| (at % 13) as f32 * 0.1).collect();
        let w: Vec<f32> = (0..classes * hidden).map(|at| (at % 17) as f32 * 0.1).collect();
        let b = vec![0.5; classes];
        let labels: Vec<i64> =
            (0..rows as i64).map(|row| if row % 3 == 0 { -1 } else { row }).collect();
        let (mut dx, mut dw, mut db) = (vec![0.0; x.len()], vec![0.0; w.len()], vec![0.0; classes]);
        let options = SoftmaxOptions { ignore_index: Some(-1), ..SoftmaxOptions::default() };
        let loss = LinearCrossEntropy::new(options).unwrap();
        let loss = loss.with_gradient_filter(epsilon).unwrap();
        // Room for one chunk of 256 rows at a time: the 400 that count take two.
        let mut workspace = Workspace::with_limit(8 << 20);
        let mut call = || {
            let layer = Layer::new(&x, &w, hidden).unwrap().with_bias(&b).unwrap();
            let pass = LinearPass::new()
                .grad_inputs(&mut dx)
                .grad_weights(&mut dw)
                .grad_bias(&mut db)
                .count_correct();
            loss.evaluate(layer, &labels[..], pass, &mut workspace).unwrap();
        };
        call();
        measure(call)
    })
}

#[test]
fn a_kept_workspace_is_used_again() {
    let pool = ThreadPoolBuilder::new().num_threads(1).use_current_thread().build().unwrap();
    let info = second_call(&pool, 0.0);
    // Three products for each of two chunks, each with its buffers, which it frees.
    assert_eq!((info.count_total, info.count_current), (6, 0));
    let info = second_call(&pool, 1e-30);
    assert_eq!(info.count_current, 0);
    assert!(info.bytes_max <= 2 << 20, "{} bytes", info.bytes_max);
}
