//! `xent-mpi plan`: what ranks would send each other, and how long that would take, by a model.

use clap::Args;

/// A step of training, and the cost of a message.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// Rows of a step (tokens), of all ranks together.
    #[arg(long, default_value_t = 1 << 20)]
    rows: u64,
    /// Classes of all ranks together.
    #[arg(long, default_value_t = 1 << 18)]
    classes: u64,
    /// Inputs of the last layer.
    #[arg(long, default_value_t = 4096)]
    hidden: u64,
    /// Numbers of ranks.
    #[arg(long, value_delimiter = ',', default_value = "8,16,32,64,128,256,512,1024")]
    ranks: Vec<u64>,
    /// Microseconds of a message (`xent-mpi measure` prints them).
    #[arg(long, default_value_t = 0.6)]
    message_us: f64,
    /// Nanoseconds of a byte.
    #[arg(long, default_value_t = 0.16)]
    byte_ns: f64,
    /// Nanoseconds of a logit, loss and gradient, on a rank.
    #[arg(long, default_value_t = 0.65)]
    logit_ns: f64,
}

/// Classes of a tile, bytes of a row and run (f32), and logits of a chunk: as the losses have them.
const TILE: u64 = 4096;
const ROW: f64 = 21.0;
const CHUNK: u64 = 1 << 17;

/// What a rank sends in a step.
struct Sent {
    bytes: f64,
    messages: f64,
}

impl Sent {
    fn seconds(&self, options: &Options) -> f64 {
        self.messages * options.message_us * 1e-6 + self.bytes * options.byte_ns * 1e-9
    }
}

pub(crate) fn run(options: &Options) {
    let Options { rows, classes, hidden, .. } = *options;
    println!("{rows} rows of {classes} classes and {hidden} inputs; what a rank sends in a step\n");
    println!(
        "| ranks | classes of a rank | loss, s | sums: MB | messages | s | of the loss | X's gradient: MB | batch cut: MB | W's gradient: MB |"
    );
    println!("|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|");
    for &ranks in &options.ranks {
        // No more shards than tiles: beyond, groups of ranks each have all classes, and some of the rows.
        let shards = ranks.min(classes.div_ceil(TILE));
        let of_group = rows.div_ceil(ranks.div_ceil(shards)) as f64;
        let width = classes.div_ceil(shards);
        let sums = sums(shards as f64, of_group, width);
        let loss = of_group * width as f64 * options.logit_ns * 1e-9;
        let seconds = sums.seconds(options);
        let floats = |count: f64| 4.0 * count / 1e6;
        // From rank to rank, and from the last one to all.
        let of_inputs = floats(2.0 * of_group * hidden as f64);
        // Labels and losses; and a sum over all ranks in a ring.
        let of_rows = 16.0 * rows.div_ceil(ranks) as f64 * (ranks - 1) as f64 / 1e6;
        let of_weights =
            floats(2.0 * classes as f64 * hidden as f64) * (ranks - 1) as f64 / ranks as f64;
        println!(
            "| {ranks} | {width} | {loss:.3} | {:.1} | {:.0} | {seconds:.4} | {:.2} % | {of_inputs:.0} | {of_rows:.1} | {of_weights:.0} |",
            sums.bytes / 1e6,
            sums.messages,
            100.0 * seconds / loss
        );
    }
}

/// The sums of the rows of a group of ranks.
fn sums(ranks: f64, rows: f64, width: u64) -> Sent {
    let scatters = ranks > 8.0;
    let of_chunk = if scatters { 2.0 } else { 1.0 } * (ranks - 1.0);
    let of_chunk = ((of_chunk / 2.0).ceil().max(1.0) * CHUNK as f64 / width as f64).ceil();
    let chunk = if scatters { (of_chunk / ranks).ceil() * ranks } else { of_chunk };
    let chunks = (rows / chunk).ceil();
    let others = ranks - 1.0;
    // To each of the others: all sums, or those of its rows and then a total of one's own.
    if scatters {
        Sent { bytes: 2.0 * ROW * rows * others / ranks, messages: 2.0 * others * chunks }
    } else {
        Sent { bytes: ROW * rows * others, messages: others * chunks }
    }
}
