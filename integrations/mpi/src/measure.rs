//! `xent-mpi measure`: what communication costs.

use std::time::Instant;

use clap::Args;
use mpi::collective::SystemOperation;
use mpi::topology::Color;
use mpi::traits::{Communicator, CommunicatorCollectives, Destination, Source};
use xent_core::{Buffers, SoftmaxOptions};
use xent_mpi::{Error, Messages, Pass, ShardedSoftmax, all_or_none};

/// What to measure.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// Rows of logits.
    #[arg(long, default_value_t = 512)]
    rows: usize,
    /// Classes of all ranks together.
    #[arg(long, default_value_t = 128_256)]
    classes: usize,
    /// Runs, of which the medians are printed.
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// Threads of each rank.
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// Each rank merges some of the rows and sends their totals to all, as it is done for more than 8 ranks.
    #[arg(long)]
    scatter: bool,
}

pub(crate) fn run(world: &dyn Communicator, options: &Options) -> Result<(), Error> {
    let Options { rows, classes, runs, threads, scatter } = *options;
    // This thread is one of them: it calls MPI.
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).use_current_thread();
    all_or_none(world, pool.build_global().map_err(|error| error.to_string()))?;
    let messages = if scatter { Messages::Scatter } else { Messages::Auto };
    let options = SoftmaxOptions::<f32>::default();
    let loss = ShardedSoftmax::new(world, classes, options).with_messages(messages);
    let shard = loss.shard();
    let x: Vec<f32> =
        (0..rows).flat_map(|row| shard.clone().map(move |class| logit(row, class))).collect();
    let labels: Vec<i64> = (0..rows).map(|row| (row * 4099 % classes) as i64).collect();
    let mut gradient = vec![0.0; x.len()];

    // The same work for the classes of this rank alone, on a communicator of its own.
    let alone = world.split_by_color(Color::with_value(world.rank()));
    let alone = alone.as_ref().filter(|_| shard.len() > 4096);
    let of_alone: Vec<i64> =
        (0..rows).map(|row| (row * 4099 % shard.len().max(1)) as i64).collect();
    let (mut together_s, mut alone_s) = (vec![], vec![]);
    let mut found = (0.0, 0);
    for _ in 0..runs.max(1) {
        world.barrier();
        let started = Instant::now();
        let buffers = Buffers::gradient(&x, &mut gradient);
        let report = loss.evaluate(buffers, &labels[..], Pass::default())?;
        together_s.push(slowest(world, started.elapsed().as_secs_f64()));
        found = (report.loss, report.bytes_sent);
        let digest = digest(rows, shard.start, &gradient);
        world.barrier();
        let started = Instant::now();
        if let Some(alone) = alone {
            let buffers = Buffers::gradient(&x, &mut gradient);
            let loss = ShardedSoftmax::new(alone, shard.len(), options);
            loss.evaluate(buffers, &of_alone[..], Pass::default())?;
        }
        alone_s.push(slowest(world, started.elapsed().as_secs_f64()));
        let mut sum = 0;
        world.all_reduce_into(&digest, &mut sum, SystemOperation::sum());
        if together_s.len() == runs.max(1) && world.rank() == 0 {
            println!("digest {:016x}", sum ^ report.loss.to_bits());
        }
    }
    let ratios =
        together_s.iter().zip(&alone_s).map(|(together, alone)| together / alone).collect();
    let [together, alone, ratio] = [together_s, alone_s, ratios].map(median);
    if world.rank() == 0 {
        let (loss, bytes) = found;
        println!(
            "loss {loss}, {rows} rows of {classes} classes, {} ranks of {threads} threads",
            world.size()
        );
        println!(
            "seconds {together:.6} together, {alone:.6} alone, {ratio:.3} in the median of pairs"
        );
        println!("bytes sent a row {:.1}", bytes as f64 / rows.max(1) as f64);
    }
    messages_of_two(world);
    Ok(())
}

/// Reproducible and without a pattern.
fn logit(row: usize, class: usize) -> f32 {
    let mixed = mix((row as u64) << 32 | class as u64);
    (mixed >> 40) as f32 / 2e6 - 4.0
}

/// (S. Vigna, splitmix64.)
fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ value >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ value >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ value >> 31
}

/// The sum over all elements of a number made of their place and their bits, so that it does not depend on the cut.
fn digest(rows: usize, first: usize, gradient: &[f32]) -> u64 {
    let width = gradient.len().checked_div(rows).unwrap_or(0).max(1);
    let of = |(at, value): (usize, &f32)| {
        let place = mix((at / width) as u64) ^ mix((first + at % width) as u64).rotate_left(17);
        mix(place ^ u64::from(value.to_bits()))
    };
    gradient.iter().enumerate().map(of).fold(0, u64::wrapping_add)
}

fn median(mut seconds: Vec<f64>) -> f64 {
    seconds.sort_by(f64::total_cmp);
    seconds.get(seconds.len() / 2).copied().unwrap_or(0.0)
}

fn slowest(world: &dyn Communicator, seconds: f64) -> f64 {
    let mut slowest = 0.0;
    world.all_reduce_into(&seconds, &mut slowest, SystemOperation::max());
    slowest
}

/// The time of short and long messages there and back.
fn messages_of_two(world: &dyn Communicator) {
    if world.size() < 2 || world.rank() > 1 {
        return;
    }
    let other = world.process_at_rank(1 - world.rank());
    let half = |bytes: usize, times: u32| {
        let mut message = vec![0_u8; bytes];
        let started = Instant::now();
        for _ in 0..times {
            if world.rank() == 0 {
                other.send(&message[..]);
                other.receive_into(&mut message[..]);
            } else {
                other.receive_into(&mut message[..]);
                other.send(&message[..]);
            }
        }
        started.elapsed().as_secs_f64() / f64::from(2 * times)
    };
    half(8, 100);
    let (short, long) = (half(8, 2000), half(1 << 22, 20));
    if world.rank() == 0 {
        let a_byte = long / f64::from(1 << 22);
        println!("a message {:.2} us, a byte {:.3} ns", short * 1e6, a_byte * 1e9);
    }
}
