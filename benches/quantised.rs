//! Do quantised logits, a quarter of the bytes, take longer than the floats that they stand for?
//!
//! The loss of int8 and of f32 logits of the same values, at every level of the machine, on one thread. Both must
//! agree before they are timed.
//!
//! ```sh
//! cargo bench -p xent-benches --bench quantised
//! ```

use approx::assert_relative_eq;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use xent::{Level, Logits, Quantisation, SoftmaxCrossEntropy};

const SHAPES: [(usize, usize); 4] = [(65536, 10), (65536, 64), (4096, 1000), (512, 32000)];

fn losses(criterion: &mut Criterion) {
    rayon::ThreadPoolBuilder::new().num_threads(1).build_global().expect("the first pool");
    let quantisation = Quantisation::new(0.0625, -3).expect("a scale");
    for (rows, classes) in SHAPES {
        let integers: Vec<i8> = (0..rows * classes)
            .map(|i| (i as u32).wrapping_mul(2_654_435_761).to_be_bytes()[0].cast_signed())
            .collect();
        let floats: Vec<f32> =
            integers.iter().map(|&q| quantisation.dequantise(q.into())).collect();
        let labels: Vec<u32> = (0..rows).map(|row| (row * 7 % classes) as u32).collect();
        for level in Level::available() {
            let loss = SoftmaxCrossEntropy::new().with_level(level);
            let of_floats = || loss.loss((&floats, classes), &labels).expect("a loss");
            let of_integers = || {
                let logits = Logits::new(&integers, classes).expect("whole rows");
                loss.loss(logits.quantised(quantisation), &labels).expect("a loss")
            };
            assert_relative_eq!(of_integers(), of_floats(), max_relative = 1e-8);
            let mut group = criterion.benchmark_group(format!("{rows}x{classes}, {level}"));
            group.throughput(Throughput::Elements((rows * classes) as u64));
            group.bench_function("f32", |bencher| bencher.iter(of_floats));
            group.bench_function("i8", |bencher| bencher.iter(of_integers));
            group.finish();
        }
    }
}

criterion_group!(benches, losses);
criterion_main!(benches);
