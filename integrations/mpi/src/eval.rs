//! `xent-mpi eval`: logits whose classes are in a file for each rank.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use clap::Args;
use mpi::traits::{Communicator, CommunicatorCollectives, Equivalence};
use npyz::{NpyFile, Order};
use xent_core::{Buffers, Element, Float, SoftmaxOptions};
use xent_mpi::{Error, Pass, Report, ShardedSoftmax, all_or_none};

/// What to evaluate.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// A .npy file for each rank, of f32 or f64 and shape (rows, classes of the rank), with `%r` for the rank:
    /// logits.%r.npy. All but the last have a multiple of 4096 classes.
    logits: String,
    /// A .npy file of integers of shape (rows,): the same for all ranks.
    labels: PathBuf,
    /// Rows with this label are left out.
    #[arg(long, allow_negative_numbers = true)]
    ignore_index: Option<i64>,
    /// From 0 to 1.
    #[arg(long, default_value_t = 0.0)]
    label_smoothing: f64,
    /// Logits become cap × tanh(x / cap); 0 for none.
    #[arg(long, default_value_t = 0.0)]
    soft_cap: f64,
    /// Adds this times the square of the log-sum-exp to each loss.
    #[arg(long, default_value_t = 0.0)]
    z_loss: f64,
}

/// The logits of a rank.
enum Logits {
    F32(Vec<f32>),
    F64(Vec<f64>),
}

struct Input {
    logits: Logits,
    classes: usize,
    labels: Vec<i64>,
}

pub(crate) fn run(world: &dyn Communicator, options: &Options) -> Result<(), Error> {
    let Input { logits, classes, labels } = all_or_none(world, read(world, options))?;
    let mut widths = vec![0_u64; usize::try_from(world.size()).unwrap_or(1)];
    world.all_gather_into(&(classes as u64), &mut widths[..]);
    let (mut first, all) = (0, widths.iter().sum::<u64>() as usize);
    for width in &widths[..usize::try_from(world.rank()).unwrap_or_default()] {
        first += *width as usize;
    }
    let call = Call { world, options, first, all, labels: &labels };
    let (report, correct) = match &logits {
        Logits::F32(x) => call.evaluate(x)?,
        Logits::F64(x) => call.evaluate(x)?,
    };
    if world.rank() == 0 {
        let valid = report.counts.valid_rows;
        println!("rows      {} ({valid} with a label that is not ignored)", report.counts.rows);
        println!("classes   {all} on {} ranks", world.size());
        println!("loss      {}", report.loss);
        let share = if valid == 0 { f64::NAN } else { correct as f64 / valid as f64 };
        println!("accuracy  {share:.6} ({correct} of {valid})");
        if let (count @ 1.., Some(row)) = report.not_finite {
            println!("rows with logits that are not finite: {count}, the first is row {row}");
        }
    }
    Ok(())
}

struct Call<'a> {
    world: &'a dyn Communicator,
    options: &'a Options,
    /// The first class of this rank, and the classes of all.
    first: usize,
    all: usize,
    labels: &'a [i64],
}

impl Call<'_> {
    fn evaluate<F: Float + Element<Float = F> + Equivalence>(
        &self,
        logits: &[F],
    ) -> Result<(Report, usize), Error> {
        let Options { ignore_index, label_smoothing, soft_cap, z_loss, .. } = *self.options;
        let options = SoftmaxOptions {
            ignore_index,
            label_smoothing,
            soft_cap,
            z_loss,
            ..SoftmaxOptions::default()
        };
        let width = logits.len().checked_div(self.labels.len()).unwrap_or(0);
        let loss = ShardedSoftmax::new(self.world, self.all, options)
            .with_shard(self.first..self.first + width);
        let mut predicted = vec![0; self.labels.len()];
        let pass = Pass { predicted: &mut predicted, ..Pass::default() };
        let report = loss.evaluate(Buffers::loss(logits), self.labels, pass)?;
        let labels: xent_core::Labels<'_> = self.labels.into();
        Ok((report, labels.count_equal(&predicted, ignore_index)))
    }
}

fn read(world: &dyn Communicator, options: &Options) -> Result<Input, String> {
    let named = options.logits.contains("%r");
    if !named && world.size() > 1 {
        return Err(format!(
            "{}: one file for {} ranks: write %r for the rank",
            options.logits,
            world.size()
        ));
    }
    let path = PathBuf::from(options.logits.replace("%r", &world.rank().to_string()));
    let fault = |path: &Path, what: &dyn std::fmt::Display| format!("{}: {what}", path.display());
    let labels = npy(&options.labels)?;
    let [rows] = labels.shape()[..] else {
        return Err(fault(
            &options.labels,
            &format!("expected shape (rows,), found {:?}", labels.shape()),
        ));
    };
    let of_labels = |error| fault(&options.labels, &error);
    let name = labels.dtype().descr();
    // A label of an unsigned type that is too large is refused as any that is no class.
    let labels: Result<Vec<i64>, _> =
        match name.trim_start_matches(['\'', '<', '|', '=']).trim_end_matches('\'') {
            "i8" => labels.into_vec::<i64>(),
            "i4" => labels.into_vec::<i32>().map(wide),
            "i2" => labels.into_vec::<i16>().map(wide),
            "i1" => labels.into_vec::<i8>().map(wide),
            "u1" => labels.into_vec::<u8>().map(wide),
            "u2" => labels.into_vec::<u16>().map(wide),
            "u4" => labels.into_vec::<u32>().map(wide),
            other => {
                return Err(fault(
                    &options.labels,
                    &format!("labels are integers of up to 64 bits, found {other}"),
                ));
            }
        };
    let labels = labels.map_err(|error| of_labels(error.to_string()))?;
    let logits = npy(&path)?;
    let [of_logits, classes] = logits.shape()[..] else {
        let what =
            format!("expected shape (rows, classes of the rank), found {:?}", logits.shape());
        return Err(fault(&path, &what));
    };
    if of_logits != rows {
        return Err(fault(&path, &format!("{of_logits} rows, and {rows} labels")));
    }
    if logits.order() == Order::Fortran && rows > 1 && classes > 1 {
        return Err(fault(&path, &"columns come first: save it with numpy.ascontiguousarray"));
    }
    let name = logits.dtype().descr();
    let logits = match name.trim_start_matches(['\'', '<', '=']).trim_end_matches('\'') {
        "f4" => logits.into_vec().map(Logits::F32),
        "f8" => logits.into_vec().map(Logits::F64),
        other => return Err(fault(&path, &format!("logits are f32 or f64, found {other}"))),
    };
    let logits = logits.map_err(|error| fault(&path, &error))?;
    let classes = usize::try_from(classes).map_err(|error| fault(&path, &error))?;
    Ok(Input { logits, classes, labels })
}

fn wide<L: Into<i64>>(labels: Vec<L>) -> Vec<i64> {
    labels.into_iter().map(Into::into).collect()
}

fn npy(path: &Path) -> Result<NpyFile<BufReader<File>>, String> {
    let fault = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let file = File::open(path).map_err(|error| fault(&error))?;
    NpyFile::new(BufReader::new(file)).map_err(|error| fault(&error))
}
