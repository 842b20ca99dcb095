//! Loss and backward, and a whole training step, with burn's loss and with ours.
//!
//! ```sh
//! cargo bench --manifest-path integrations/burn/Cargo.toml
//! ```

use std::hint::black_box;
use std::time::Duration;

use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::optim::{GradientsParams, SgdConfig};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Distribution, Int, Tensor, TensorData};
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use xent_burn::xent::SoftmaxCrossEntropy;

type Loss = Box<dyn Fn(Tensor<2>, Tensor<1, Int>) -> Tensor<1>>;

fn device() -> Device {
    Device::flex().autodiff()
}

fn losses() -> [(&'static str, Loss); 2] {
    let theirs = burn::nn::loss::CrossEntropyLossConfig::new().init(&device());
    let ours = xent_burn::CrossEntropyLossConfig::new().init(&device());
    [
        ("burn", Box::new(move |logits, labels| theirs.forward(logits, labels))),
        ("xent", Box::new(move |logits, labels| ours.forward(logits, labels))),
    ]
}

/// As many labels, of these classes.
fn labels(rows: usize, classes: usize) -> Tensor<1, Int> {
    let labels: Vec<i32> = (0..rows).map(|row| (row * 7919 % classes) as i32).collect();
    Tensor::from_data(TensorData::new(labels, [rows]), &device())
}

fn random(rows: usize, columns: usize, deviation: f64) -> Tensor<2> {
    Tensor::random([rows, columns], Distribution::Normal(0.0, deviation), &device())
}

/// The loss and its gradient, of logits that are parameters.
fn loss_and_backward(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("loss and backward");
    group.sample_size(10).measurement_time(Duration::from_secs(3));
    for (rows, classes) in [(65536, 10), (4096, 1000), (512, 32000)] {
        let logits = random(rows, classes, 2.0).require_grad();
        let labels = labels(rows, classes);
        for (name, loss) in losses() {
            group.bench_function(
                BenchmarkId::new(name, format!("{rows} x {classes}")),
                |bencher| {
                    bencher.iter(|| {
                        let grads = loss(logits.clone(), labels.clone()).backward();
                        black_box(logits.grad(&grads).unwrap())
                    });
                },
            );
        }
    }
}

/// A network of 512 inputs, 256 units and 1000 classes.
#[derive(Module, Debug)]
struct Network {
    hidden: Linear,
    out: Linear,
}

fn step(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("step of 512-256-1000");
    group.sample_size(20).measurement_time(Duration::from_secs(3));
    for rows in [64, 1024] {
        let inputs = random(rows, 512, 1.0);
        let labels = labels(rows, 1000);
        for (name, loss) in losses() {
            let mut network = Some(Network {
                hidden: LinearConfig::new(512, 256).init(&device()),
                out: LinearConfig::new(256, 1000).init(&device()),
            });
            let mut optimizer = SgdConfig::new().init();
            group.bench_function(BenchmarkId::new(name, format!("{rows} rows")), |bencher| {
                bencher.iter(|| {
                    let before = network.take().unwrap();
                    let hidden = relu(before.hidden.forward(inputs.clone()));
                    let value = loss(before.out.forward(hidden), labels.clone());
                    let grads = GradientsParams::from_grads(value.backward(), &before);
                    network = Some(optimizer.step(0.01, before, grads));
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
    let inputs = random(rows, hidden, 1.0).require_grad();
    let weight = random(classes, hidden, 0.1).require_grad();
    let labels = labels(rows, classes);
    for (name, loss) in losses() {
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let logits = inputs.clone().matmul(weight.clone().transpose());
                black_box(loss(logits, labels.clone()).backward())
            });
        });
    }
    let loss = SoftmaxCrossEntropy::<f32>::new();
    group.bench_function("xent, in one", |bencher| {
        bencher.iter(|| {
            let (inputs, weight) = (inputs.clone(), weight.clone());
            let value =
                xent_burn::linear_cross_entropy(&loss, inputs, weight, None, labels.clone());
            black_box(value.backward())
        });
    });
}

criterion_group!(benches, loss_and_backward, step, layer);
criterion_main!(benches);
