//! How long do the loss and gradient of softmax cross-entropy take, at each level and shape, beside
//! a copy of the same bytes and the scalar loop?
#![allow(missing_docs, reason = "criterion's macros write functions without any")]

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use xent_benches::{labels, logits, scalar_loop};
use xent_core::{Batch, Buffers, Labels, Level, SoftmaxBatch, SoftmaxTargets};

fn loss_and_grad(criterion: &mut Criterion) {
    for (rows, classes) in [(4096, 10), (4096, 64), (1024, 1000), (32, 32_000)] {
        let x = logits(rows * classes);
        let labels = labels(rows, classes);
        let mut grad = vec![0.0; x.len()];
        let mut group =
            criterion.benchmark_group(format!("softmax/loss_and_grad/{rows}x{classes}"));
        group.throughput(Throughput::Elements(x.len() as u64));
        group.bench_function("copy", |bencher| {
            bencher.iter(|| black_box(&mut grad).copy_from_slice(black_box(&x)));
        });
        group.bench_function("scalar loop", |bencher| {
            bencher.iter(|| scalar_loop(black_box(&x), classes, &labels, &mut grad));
        });
        for level in Level::available() {
            group.bench_function(BenchmarkId::new("xent", level), |bencher| {
                bencher.iter(|| {
                    let targets = SoftmaxTargets::Index(Labels::from(labels.as_slice()));
                    SoftmaxBatch::new(Buffers::Gradient(black_box(&x), &mut grad), classes, targets)
                        .expect("a valid batch")
                        .run(level)
                });
            });
        }
        group.finish();
    }
}

criterion_group!(benches, loss_and_grad);
criterion_main!(benches);
