//! Loss and backward, and a whole training step, with candle's loss and with ours.
//!
//! ```sh
//! cargo bench --manifest-path integrations/candle/Cargo.toml
//! ```

use std::hint::black_box;
use std::time::Duration;

use candle_core::{DType, Device, Result, Tensor, Var};
use candle_nn::{Module, Optimizer, SGD, VarBuilder, VarMap, linear, seq};
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use xent_candle::xent::SoftmaxCrossEntropy;

type Loss = fn(&Tensor, &Tensor) -> Result<Tensor>;

const LOSSES: [(&str, Loss); 2] =
    [("candle", candle_nn::loss::cross_entropy), ("xent", xent_candle::cross_entropy)];

const CPU: Device = Device::Cpu;

/// As many labels, of these classes.
fn labels(rows: usize, classes: usize) -> Result<Tensor> {
    Tensor::from_iter((0..rows).map(|row| (row * 7919 % classes) as u32), &CPU)
}

/// The loss and its gradient, of logits that are variables.
fn loss_and_backward(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("loss and backward");
    group.sample_size(10).measurement_time(Duration::from_secs(3));
    for (rows, classes) in [(65536, 10), (4096, 1000), (512, 32000)] {
        let logits = Var::randn(0.0_f32, 2.0, (rows, classes), &CPU).unwrap();
        let labels = labels(rows, classes).unwrap();
        for (name, loss) in LOSSES {
            group.bench_function(
                BenchmarkId::new(name, format!("{rows} x {classes}")),
                |bencher| {
                    bencher.iter(|| black_box(loss(&logits, &labels).unwrap().backward().unwrap()));
                },
            );
        }
    }
}

/// A step of a network of 512 inputs, 256 units and 1000 classes.
fn step(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("step of 512-256-1000");
    group.sample_size(20).measurement_time(Duration::from_secs(3));
    for rows in [64, 1024] {
        let inputs = Tensor::randn(0.0_f32, 1.0, (rows, 512), &CPU).unwrap();
        let labels = labels(rows, 1000).unwrap();
        for (name, loss) in LOSSES {
            let weights = VarMap::new();
            let of = VarBuilder::from_varmap(&weights, DType::F32, &CPU);
            let network = seq()
                .add(linear(512, 256, of.pp("hidden")).unwrap())
                .add_fn(|x| x.relu())
                .add(linear(256, 1000, of.pp("out")).unwrap());
            let mut optimizer = SGD::new(weights.all_vars(), 0.01).unwrap();
            group.bench_function(BenchmarkId::new(name, format!("{rows} rows")), |bencher| {
                bencher.iter(|| {
                    let value = loss(&network.forward(&inputs).unwrap(), &labels).unwrap();
                    optimizer.backward_step(&value).unwrap();
                });
            });
        }
    }
}

/// The last layer of a model with a vocabulary, and its loss: apart, and in one.
fn layer(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("layer of 256-32000 and its loss");
    group.sample_size(10).measurement_time(Duration::from_secs(3));
    let (rows, hidden, classes) = (512, 256, 32000);
    let inputs = Var::randn(0.0_f32, 1.0, (rows, hidden), &CPU).unwrap();
    let weight = Var::randn(0.0_f32, 0.1, (classes, hidden), &CPU).unwrap();
    let labels = labels(rows, classes).unwrap();
    for (name, loss) in LOSSES {
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let logits = inputs.matmul(&weight.t().unwrap()).unwrap();
                black_box(loss(&logits, &labels).unwrap().backward().unwrap())
            });
        });
    }
    let loss = SoftmaxCrossEntropy::<f32>::new();
    group.bench_function("xent, in one", |bencher| {
        bencher.iter(|| {
            let value = xent_candle::linear_cross_entropy(&loss, &inputs, &weight, None, &labels);
            black_box(value.unwrap().backward().unwrap())
        });
    });
}

criterion_group!(benches, loss_and_backward, step, layer);
criterion_main!(benches);
