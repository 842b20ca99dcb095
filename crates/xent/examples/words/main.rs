//! Trains a small language model whose last layer is most of it, with that layer and its loss in one.
//!
//! The model reads four tokens and predicts the next of 8,192: embeddings, a hidden layer of 256 units, and the layer
//! to all tokens. Each tenth line of the text is held out. At the end: perplexity, what the filter for small gradients
//! gains, the most memory that this program took, and what it would take with the logits in memory; in the target
//! folder the learning curve as a picture.
//!
//! ```sh
//! cargo run --release -p xent --features linear --example words          # two minutes
//! cargo run --release -p xent --features linear --example words -- 10    # ten seconds
//! ```

mod model;
mod plot;
mod text;

use std::error::Error;
use std::process::Command;
use std::time::Instant;

use indicatif::{ProgressBar, ProgressStyle};
use rand::SeedableRng;
use rand::rngs::SmallRng;
use rand::seq::SliceRandom;
use xent::Report;

use model::{Model, Way};
use text::Text;

const SEED: u64 = 1611;
const TOKENS: usize = 8192;
const BATCH: usize = 2048;

/// What the model reached while it learnt.
#[derive(Default)]
pub(crate) struct Curve {
    seconds: Vec<f64>,
    training: Vec<f64>,
    held_out: Vec<f64>,
}

pub(crate) fn main() -> Result<(), Box<dyn Error>> {
    let first = std::env::args().nth(1);
    if first.as_deref() == Some("plain") {
        return plain();
    }
    let seconds = first.map_or(Ok(120.0), |seconds| seconds.parse())?;
    let curve = train(seconds)?;
    println!("learning curve: {}", plot::curve(&curve)?.display());
    if let (Some(start), Some(end)) = (curve.held_out.first(), curve.held_out.last())
        && seconds >= 60.0
        && (end - start).exp() > 0.5
    {
        return Err("the held-out perplexity did not halve".into());
    }
    Ok(())
}

/// Trains for some seconds.
pub(crate) fn train(seconds: f64) -> Result<Curve, Box<dyn Error>> {
    let text = Text::load(TOKENS);
    let (training, held_out) = (&text.training, &text.held_out);
    println!(
        "{} tokens of {} kinds for training, {} held out",
        training.labels.len(),
        text.kinds(),
        held_out.labels.len()
    );
    let mut rng = SmallRng::seed_from_u64(SEED);
    let mut model = Model::new(text.kinds(), &mut rng);
    let mut order: Vec<usize> = (0..training.labels.len()).collect();
    let mut curve = Curve::default();

    let style = ProgressStyle::with_template("{wide_bar} {pos}/{len} s  {msg}")?;
    let bar = ProgressBar::new(seconds.ceil() as u64).with_style(style);
    let start = Instant::now();
    let elapsed = || start.elapsed().as_secs_f64();
    let (mut epoch, mut steps) = (0, 0);
    loop {
        order.shuffle(&mut rng);
        let mut total = Report::default();
        for rows in order.chunks(BATCH) {
            total += model.step(&training.select(rows), Way::Fused)?;
            steps += 1;
            bar.set_position(elapsed() as u64);
            if elapsed() >= seconds {
                break;
            }
        }
        epoch += 1;
        let outside = model.evaluate(held_out)?;
        curve.seconds.push(elapsed());
        curve.training.push(total.loss);
        curve.held_out.push(outside.loss);
        let (inside, outside) = (total.loss.exp(), outside.loss.exp());
        let line = format!("epoch {epoch}  perplexity {inside:.0}, held out {outside:.0}");
        bar.set_message(line.clone());
        bar.suspend(|| println!("  {:5.1} s  {line}", elapsed()));
        if elapsed() >= seconds {
            break;
        }
    }
    bar.finish_and_clear();
    let best = curve.held_out.iter().copied().fold(f64::INFINITY, f64::min);
    println!(
        "{steps} steps of {BATCH} tokens; best held-out perplexity {:.1}, {:.3} bits a byte",
        best.exp(),
        best / std::f64::consts::LN_2 * held_out.labels.len() as f64 / text.held_out_bytes as f64
    );

    filter(&mut model, &training.select(&order[..BATCH.min(order.len())]))?;
    memory();
    Ok(curve)
}

/// What the filter gains on this model, step by step in turns.
fn filter(model: &mut Model, batch: &text::Batch) -> Result<(), Box<dyn Error>> {
    println!("loss and gradients of the last layer, without a filter and with one:");
    for exponent in [12, 24] {
        let epsilon = f64::from(exponent).exp2().recip();
        let (mut ratios, mut left_out) = (Vec::new(), 0.0);
        for _ in 0..5 {
            let start = Instant::now();
            model.last_layer(batch, 0.0)?;
            let plain = start.elapsed();
            left_out = model.last_layer(batch, epsilon)?.left_out;
            ratios.push(plain.as_secs_f64() / (start.elapsed() - plain).as_secs_f64());
        }
        ratios.sort_by(f64::total_cmp);
        println!(
            "  2^-{exponent}: {:.1} % of the blocks left out, {:.2} times as fast",
            100.0 * left_out,
            ratios[2]
        );
    }
    Ok(())
}

/// Prints the most memory that this program has taken, and what the plain way takes, in a program of its own.
fn memory() {
    let Some(fused) = peak_memory() else { return };
    println!("most memory of this program: {fused:.0} MiB");
    let child =
        std::env::current_exe().and_then(|program| Command::new(program).arg("plain").output());
    if let Ok(output) = child
        && output.status.success()
    {
        print!("{}", String::from_utf8_lossy(&output.stdout));
    }
}

/// Two steps with all logits in memory.
fn plain() -> Result<(), Box<dyn Error>> {
    let text = Text::load(TOKENS);
    let mut model = Model::new(text.kinds(), &mut SmallRng::seed_from_u64(SEED));
    let rows: Vec<usize> = (0..BATCH).collect();
    for _ in 0..2 {
        model.step(&text.training.select(&rows), Way::Plain)?;
    }
    if let Some(plain) = peak_memory() {
        println!("with the logits in memory:   {plain:.0} MiB");
    }
    Ok(())
}

/// In MiB, where the system tells.
fn peak_memory() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: f64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some(kilobytes / 1024.0)
}
