//! Trains two classifiers on real handwritten digits with the fused softmax cross-entropy.
//!
//! Softmax regression (64-10), then a small network (64-32-10, ReLU), on 1,437 of the 1,797 digits;
//! the other 360 are held out. At the end: what the loss costs beside a plain scalar loop, the
//! confusion matrix, and in the target folder the learning curves as a picture and the held-out
//! logits as `.npy` and `.safetensors` files, for the program `xent`; and the network's weights.
//!
//! ```sh
//! cargo run --release --example digits
//! ```

mod data;
mod model;
mod plot;
mod report;
mod save;

use std::error::Error;

use indicatif::{ProgressBar, ProgressStyle};
use rand::SeedableRng;
use rand::rngs::SmallRng;
use rand::seq::SliceRandom;
use xent::{Level, Pass, Report, SoftmaxCrossEntropy};

use data::{CLASSES, Digits, PIXELS};
use model::Network;

const SEED: u64 = 1998;
const TRAINING: usize = 1437;
const BATCH: usize = 64;
const EPOCHS: usize = 60;

/// What one model reached after each epoch.
struct Curve {
    name: &'static str,
    loss: Vec<f64>,
    accuracy: Vec<f64>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut rng = SmallRng::seed_from_u64(SEED);
    let (training, held_out) = Digits::load()?.shuffled(&mut rng).split(TRAINING);
    println!(
        "{} digits for training, {} held out; level {}",
        training.len(),
        held_out.len(),
        Level::detect()
    );

    let mut regression = Network::new(&[PIXELS, CLASSES], &mut rng);
    let first = train("softmax regression", &mut regression, &training, &held_out, &mut rng)?;
    let mut network = Network::new(&[PIXELS, 32, CLASSES], &mut rng);
    let second = train("64-32-10 network", &mut network, &training, &held_out, &mut rng)?;

    report::speed()?;
    report::confusion(&held_out.labels, &network.predict(&held_out.images));
    let picture = plot::curves(&[&first, &second])?;
    println!("\nlearning curves: {}", picture.display());
    let folder = picture.parent().ok_or("the picture has no folder")?;
    let outputs = network.forward(&held_out.images);
    let device = save::device(folder, outputs)?;
    let tensors = save::tensors(folder, outputs, &held_out.labels)?;
    let [logits, labels] = save::held_out(folder, outputs, &held_out.labels)?;
    println!("held-out logits and labels: {}, {}", logits.display(), labels.display());
    println!("the same as bf16: {}; as of a device: {}", tensors.display(), device.display());
    save::network(folder, &network, &held_out)?;

    for (curve, required) in [(&first, 0.93), (&second, 0.95)] {
        let reached = curve.accuracy.last().copied().unwrap_or_default();
        if reached < required {
            return Err(
                format!("{}: held-out accuracy {reached:.3} < {required}", curve.name).into()
            );
        }
    }
    Ok(())
}

/// Stochastic gradient descent with momentum, one shuffled pass over the digits an epoch.
fn train(
    name: &'static str,
    network: &mut Network,
    training: &Digits,
    held_out: &Digits,
    rng: &mut SmallRng,
) -> Result<Curve, Box<dyn Error>> {
    let loss = SoftmaxCrossEntropy::new();
    let style = ProgressStyle::with_template("{msg:20} {wide_bar} {pos}/{len} epochs  {prefix}")?;
    let bar = ProgressBar::new(EPOCHS as u64).with_style(style).with_message(name);
    let mut curve = Curve { name, loss: Vec::new(), accuracy: Vec::new() };
    let mut order: Vec<usize> = (0..training.len()).collect();
    let mut grad = vec![0.0; BATCH * CLASSES];

    println!("\n{name}");
    for epoch in 1..=EPOCHS {
        order.shuffle(rng);
        let mut total = Report::default();
        for rows in order.chunks(BATCH) {
            let batch = training.select(rows);
            let logits = network.forward(&batch.images);
            let grad = &mut grad[..logits.len()];
            let pass = Pass::new().grad(grad);
            total += loss.evaluate((logits, CLASSES), &batch.labels, pass)?;
            network.step(&batch.images, grad);
        }
        let mean = total.loss;
        let accuracy = data::accuracy(&held_out.labels, &network.predict(&held_out.images));
        curve.loss.push(mean);
        curve.accuracy.push(accuracy);
        bar.set_prefix(format!("loss {mean:.4}  held-out accuracy {accuracy:.3}"));
        bar.inc(1);
        if epoch % (EPOCHS / 6) == 0 {
            bar.suspend(|| {
                println!("  epoch {epoch:2}  loss {mean:.4}  held-out accuracy {accuracy:.3}");
            });
        }
    }
    bar.finish_and_clear();
    Ok(curve)
}
