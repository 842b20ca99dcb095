//! The last layer and its loss: loss and gradients, in turns with the three bare products by the same library.

use std::fmt;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use ndarray::linalg::general_mat_mul;
use ndarray::{Array2, ArrayView2, ArrayViewMut2, Axis, Slice};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use serde::{Deserialize, Serialize};
use xent::SoftmaxCrossEntropy;
use xent::linear::{Layer, LinearPass, Workspace};
use xent_core::Level;

use super::measure::Threads;

/// A computation and its shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LinearCase {
    question: Question,
    rows: usize,
    hidden: usize,
    classes: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Question {
    Loss,
    LossAndGrads,
    /// Loss and gradients with half of the labels ignored.
    HalfIgnored,
}

/// Rows, inputs of a row, classes.
const SHAPES: [[usize; 3]; 4] =
    [[1024, 1024, 32000], [4096, 512, 50257], [256, 2048, 128_256], [8192, 256, 1000]];

const IGNORED: i64 = -100;

impl fmt::Display for LinearCase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rows, hidden, classes, .. } = self;
        write!(f, "{} {rows}x{hidden}x{classes}", self.name())
    }
}

impl LinearCase {
    pub(super) fn all() -> impl Iterator<Item = Self> {
        SHAPES.into_iter().flat_map(|[rows, hidden, classes]| {
            [Question::Loss, Question::LossAndGrads, Question::HalfIgnored].map(|question| Self {
                question,
                rows,
                hidden,
                classes,
            })
        })
    }

    fn name(&self) -> &'static str {
        match self.question {
            Question::Loss => "linear/loss",
            Question::LossAndGrads => "linear/loss_and_grads",
            Question::HalfIgnored => "linear/half_ignored",
        }
    }

    /// A sixty-fourth of the work.
    pub(super) fn quick(self) -> Self {
        let Self { rows, hidden, classes, .. } = self;
        Self { rows: rows / 4, hidden: hidden / 4, classes: classes / 4, ..self }
    }

    /// The products of matrices that it takes.
    fn products(&self) -> usize {
        if self.question == Question::Loss { 1 } else { 3 }
    }
}

/// What was measured.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct LinearLine {
    case: String,
    rows: usize,
    hidden: usize,
    classes: usize,
    threads: usize,
    level: String,
    seconds: f64,
    /// The bare products, in the same turns.
    seconds_of_products: f64,
    ratio_to_products: f64,
    /// The most memory of a call beyond inputs and gradients, where the system tells.
    peak_bytes: Option<u64>,
    gigaflops: f64,
}

/// The numbers of a case.
struct Numbers {
    inputs: Array2<f32>,
    weights: Array2<f32>,
    labels: Vec<i64>,
    of_inputs: Array2<f32>,
    of_weights: Array2<f32>,
    /// Of the bare products: the logits of some rows.
    logits: Array2<f32>,
}

/// The logits of the bare products, at most: as many rows together as fit.
const LOGITS: usize = 1 << 25;

impl Numbers {
    fn new(case: LinearCase) -> Self {
        let LinearCase { rows, hidden, classes, .. } = case;
        let mut rng = SmallRng::seed_from_u64(7);
        let size = 3.0 / (hidden as f32).sqrt();
        let mut array = |rows, size: f32| {
            Array2::from_shape_fn((rows, hidden), |_| size * rng.random_range(-1.0..1.0_f32))
        };
        let (inputs, weights) = (array(rows, 1.0), array(classes, size));
        let ignored = |row: usize| case.question == Question::HalfIgnored && row % 2 == 1;
        let label = |row: usize| if ignored(row) { IGNORED } else { (row * 7919 % classes) as i64 };
        let together = (LOGITS / classes).clamp(1, rows);
        Self {
            of_inputs: Array2::zeros(inputs.dim()),
            of_weights: Array2::zeros(weights.dim()),
            logits: Array2::zeros((together, classes)),
            labels: (0..rows).map(label).collect(),
            inputs,
            weights,
        }
    }

    fn fused(&mut self, case: LinearCase, level: Level, workspace: &mut Workspace) -> f64 {
        let loss = SoftmaxCrossEntropy::new().with_ignore_index(IGNORED).with_level(level);
        let loss = loss.linear().expect("options that go together");
        let layer = Layer::new(
            self.inputs.as_slice().expect("contiguous rows"),
            self.weights.as_slice().expect("contiguous rows"),
            case.hidden,
        );
        let mut pass = LinearPass::new();
        if case.question != Question::Loss {
            pass = pass
                .grad_inputs(self.of_inputs.as_slice_mut().expect("contiguous rows"))
                .grad_weights(self.of_weights.as_slice_mut().expect("contiguous rows"));
        }
        let layer = layer.expect("whole rows");
        let report = loss.evaluate(layer, &self.labels[..], pass, workspace);
        report.expect("labels in their range").loss
    }

    /// The bare products: as many rows together as there is room for.
    fn products(&mut self, case: LinearCase) {
        let Self { inputs, weights, of_inputs, of_weights, logits, .. } = self;
        let together = logits.nrows();
        let mut beta = 0.0;
        for start in (0..case.rows).step_by(together) {
            let rows = start..(start + together).min(case.rows);
            let mut logits = logits.slice_axis_mut(Axis(0), Slice::from(..rows.len()));
            let inputs = inputs.slice_axis(Axis(0), Slice::from(rows.clone()));
            product(inputs, weights.t(), 0.0, logits.view_mut());
            if case.products() == 3 {
                let of_inputs = of_inputs.slice_axis_mut(Axis(0), Slice::from(rows));
                product(logits.view(), weights.view(), 0.0, of_inputs);
                product(logits.t(), inputs, beta, of_weights.view_mut());
                beta = 1.0;
            }
        }
    }
}

/// `c = a b + beta c`, cut for the threads where it is longest.
fn product(a: ArrayView2<'_, f32>, b: ArrayView2<'_, f32>, beta: f32, c: ArrayViewMut2<'_, f32>) {
    let threads = rayon::current_num_threads();
    cut(a, b, beta, c, threads);
}

fn cut(
    a: ArrayView2<'_, f32>,
    b: ArrayView2<'_, f32>,
    beta: f32,
    mut c: ArrayViewMut2<'_, f32>,
    parts: usize,
) {
    let (rows, columns) = c.dim();
    if parts < 2 || rows.max(columns) < 128 {
        return general_mat_mul(1.0, &a, &b, beta, &mut c);
    }
    let (half, others) = (parts / 2, parts - parts / 2);
    let middle = |length: usize| (length * half / parts).next_multiple_of(64).min(length);
    if rows >= columns {
        let (a_1, a_2) = a.split_at(Axis(0), middle(rows));
        let (c_1, c_2) = c.split_at(Axis(0), middle(rows));
        rayon::join(|| cut(a_1, b, beta, c_1, half), || cut(a_2, b, beta, c_2, others));
    } else {
        let (b_1, b_2) = b.split_at(Axis(1), middle(columns));
        let (c_1, c_2) = c.split_at(Axis(1), middle(columns));
        rayon::join(|| cut(a, b_1, beta, c_1, half), || cut(a, b_2, beta, c_2, others));
    }
}

/// Measures a case in a program of its own: memory that an earlier case has freed may still belong to this one.
pub(super) fn line_of_its_own(
    case: LinearCase,
    level: Level,
    threads: usize,
    quick: bool,
) -> Result<LinearLine, String> {
    let program = std::env::current_exe().map_err(|why| why.to_string())?;
    let mut command = Command::new(program);
    command.args(["bench", "--json", "--filter", &case.to_string(), "--level", level.name()]);
    command.args(["--threads", &threads.to_string()]).args(quick.then_some("--quick"));
    let output = command.output().map_err(|why| why.to_string())?;
    let printed = String::from_utf8_lossy(&output.stdout);
    let line = printed
        .lines()
        .next()
        .ok_or_else(|| String::from_utf8_lossy(&output.stderr).into_owned())?;
    serde_json::from_str(line).map_err(|why| format!("{why} in {line:?}"))
}

/// Measures a case.
pub(super) fn line(case: LinearCase, level: Level, threads: &Threads, quick: bool) -> LinearLine {
    let mut numbers = Numbers::new(case);
    let mut workspace = Workspace::new();
    let (mut fused, mut products) = (Vec::new(), Vec::new());
    let mut peak_bytes = None;
    threads.enter(|| {
        // The first turn does not count, but for its memory.
        numbers.products(case);
        peak_bytes = peak(|| numbers.fused(case, level, &mut workspace));
        let start = Instant::now();
        let (least, seconds) = if quick { (3, 0.1) } else { (7, 6.0) };
        while fused.len() < least || start.elapsed().as_secs_f64() < seconds {
            fused.push(timed(|| {
                numbers.fused(case, level, &mut workspace);
            }));
            products.push(timed(|| numbers.products(case)));
        }
    });
    let median = |times: &mut Vec<f64>| {
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    };
    let (seconds, of_products) = (median(&mut fused), median(&mut products));
    let LinearCase { rows, hidden, classes, .. } = case;
    let operations = 2.0 * (case.products() * rows * hidden) as f64 * classes as f64;
    LinearLine {
        case: case.name().to_owned(),
        rows,
        hidden,
        classes,
        threads: threads.count(),
        level: level.name().to_owned(),
        seconds,
        seconds_of_products: of_products,
        ratio_to_products: seconds / of_products,
        peak_bytes,
        gigaflops: operations / of_products / 1e9,
    }
}

fn timed(run: impl FnOnce()) -> f64 {
    let start = Instant::now();
    run();
    start.elapsed().as_secs_f64()
}

/// The most memory of a call beyond what there was before it; `None` where the system does not tell.
fn peak<R>(run: impl FnOnce() -> R) -> Option<u64> {
    // Linux then counts the peak from now on.
    std::fs::write("/proc/self/clear_refs", "5").ok()?;
    let before = status("VmRSS:")?;
    run();
    Some(status("VmHWM:")?.saturating_sub(before))
}

fn status(name: &str) -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|kilobytes| kilobytes * 1024)
}

const MIB: f64 = 1024.0 * 1024.0;

impl LinearLine {
    pub(super) fn json(&self) -> String {
        serde_json::to_string(self).expect("numbers and names")
    }

    pub(super) const HEAD: &'static str = "\
        | case | rows × inputs × classes | threads | seconds | over the products | GFLOP/s of these | most memory, MiB |\n\
        |---|---|---:|---:|---:|---:|---:|";

    pub(super) fn markdown(&self) -> String {
        let Self { case, rows, hidden, classes, threads, seconds, .. } = self;
        let memory =
            self.peak_bytes.map_or("–".to_owned(), |bytes| format!("{:.0}", bytes as f64 / MIB));
        format!(
            "| `{case}` | {rows} × {hidden} × {classes} | {threads} | {seconds:.4} | {:.2} | {:.0} | {memory} |",
            self.ratio_to_products, self.gigaflops
        )
    }
}

/// A line of the script of the peers.
#[derive(Debug, Deserialize)]
struct PeerLine {
    seconds: f64,
    peak_bytes: u64,
}

/// The modes of the script of the peers, and their names.
const MODES: [(&str, &str); 4] = [
    ("plain", "PyTorch plain"),
    ("chunked", "PyTorch chunked"),
    ("compile", "torch.compile"),
    ("jax", "JAX"),
];

/// Measures loss and gradients on both sides: xent, the peers, and xent again. Returns whether a peer ran.
pub(super) fn against_peers(
    cases: &[LinearCase],
    python: &Path,
    level: Level,
    threads: &Threads,
    quick: bool,
) -> bool {
    let cases = cases.iter().filter(|case| case.question == Question::LossAndGrads);
    println!(
        "| rows × inputs × classes | xent | over the products | {} |",
        MODES.map(|(_, name)| name).join(" | ")
    );
    println!("|---|---:|---:|{}", "---:|".repeat(MODES.len()));
    let mut some = false;
    for case in cases {
        let before = line(*case, level, threads, quick);
        let peers = MODES.map(|(mode, _)| ask(python, mode, case, threads.count(), quick));
        let after = line(*case, level, threads, quick);
        let seconds = f64::midpoint(before.seconds, after.seconds);
        let ratio = f64::midpoint(before.ratio_to_products, after.ratio_to_products);
        let memory = before
            .peak_bytes
            .map_or(String::new(), |bytes| format!(", {:.0} MiB", bytes as f64 / MIB));
        let cells = peers.map(|peer| match peer {
            Ok(peer) => {
                some = true;
                let memory = peer.peak_bytes as f64 / MIB;
                format!("{:.3} s = {:.2}×, {memory:.0} MiB", peer.seconds, peer.seconds / seconds)
            }
            Err(why) => {
                eprintln!("{case}: {why}");
                "–".to_owned()
            }
        });
        let LinearCase { rows, hidden, classes, .. } = case;
        println!(
            "| {rows} × {hidden} × {classes} | {seconds:.3} s{memory} | {ratio:.2} | {} |",
            cells.join(" | ")
        );
    }
    some
}

fn ask(
    python: &Path,
    mode: &str,
    case: &LinearCase,
    threads: usize,
    quick: bool,
) -> Result<PeerLine, String> {
    let script = crate::root().join("benches/peers/linear.py");
    let output = Command::new(python)
        .arg(script)
        .args(["--mode", mode, "--threads", &threads.to_string()])
        .args(["--seconds", if quick { "0.3" } else { "4" }, "--filter", &case.to_string()])
        .env("OMP_NUM_THREADS", threads.to_string())
        .output()
        .map_err(|why| format!("{}: {why}", python.display()))?;
    let printed = String::from_utf8_lossy(&output.stdout);
    match printed.lines().next() {
        Some(line) if output.status.success() => {
            serde_json::from_str(line).map_err(|why| format!("{why} in {line:?}"))
        }
        _ => {
            let said = String::from_utf8_lossy(&output.stderr);
            Err(format!("{mode}: {}", said.lines().last().unwrap_or("failed without a word")))
        }
    }
}
