//! How long do the log-sum-exp of each row and the log-softmax of each element take?
//!
//! Compares xent at the best level of the machine with a copy of the logits, a loop as a user would
//! write it, and other crates' forward functions: candle's and rten's log-sum-exp (burn has none;
//! rten has its parts), and candle's, burn's and rten's log-softmax. All run on one thread, and
//! must agree with xent before they are timed.
//!
//! ```sh
//! cargo bench -p xent-benches --bench log_sum_exp --features peers
//! ```

#[cfg(feature = "peers")]
use xent_benches::peers::{burn, candle, rten};
use xent_benches::{Answer, Case, Contestant, Entry, ROWS, compare, main as contest};
use xent_core::{Batch, Buffers, Labels, Level, Outputs, SoftmaxBatch, SoftmaxTargets};

const LOG_SUM_EXP: &[Entry] = &[
    batch,
    row_by_row,
    copy,
    log_sum_exp_loop,
    #[cfg(feature = "peers")]
    candle::log_sum_exp,
    #[cfg(feature = "peers")]
    rten::log_sum_exp,
];

const LOG_SOFTMAX: &[Entry] = &[
    log_softmax,
    copy,
    log_softmax_loop,
    #[cfg(feature = "peers")]
    candle::log_softmax,
    #[cfg(feature = "peers")]
    burn::log_softmax,
    #[cfg(feature = "peers")]
    rten::log_softmax,
];

fn main() {
    contest(|criterion| {
        compare(criterion, "log_sum_exp", ROWS, LOG_SUM_EXP);
        compare(criterion, "log_softmax", ROWS, LOG_SOFTMAX);
    });
}

/// All rows at once, together with their losses.
fn batch(case: &Case) -> Contestant<'_> {
    let level = Level::detect();
    let run = move |to: &mut Vec<f32>| {
        let targets = SoftmaxTargets::Index(Labels::from(case.labels.as_slice()));
        let outputs = Outputs { log_sum_exp: &mut to[..case.rows], ..Outputs::default() };
        SoftmaxBatch::new(Buffers::loss(&case.logits), case.classes, targets)
            .and_then(|batch| batch.with_outputs(outputs))
            .expect("a valid batch")
            .run(level)
    };
    Contestant::new("xent", run, |_, to| Answer::of(&to[..case.rows]))
}

fn row_by_row(case: &Case) -> Contestant<'_> {
    let level = Level::detect();
    of_rows("xent, row by row", case, move |x| xent_core::log_sum_exp(level, x))
}

fn log_sum_exp_loop(case: &Case) -> Contestant<'_> {
    of_rows("scalar loop", case, scalar_log_sum_exp)
}

/// One number for each row.
fn of_rows<'a>(
    name: &'static str,
    case: &'a Case,
    log_sum_exp: impl Fn(&[f32]) -> f32 + 'a,
) -> Contestant<'a> {
    let run = move |to: &mut Vec<f32>| {
        let rows = case.rows_of(&case.logits);
        to.iter_mut().zip(rows).for_each(|(to, x)| *to = log_sum_exp(x));
    };
    Contestant::new(name, run, |(), to| Answer::of(&to[..case.rows]))
}

fn copy(case: &Case) -> Contestant<'_> {
    Contestant::new("copy", |to| to.copy_from_slice(&case.logits), |(), _| Answer::default())
}

fn log_softmax(case: &Case) -> Contestant<'_> {
    let level = Level::detect();
    let run = move |to: &mut Vec<f32>| {
        for (x, to) in case.rows_of(&case.logits).zip(to.chunks_exact_mut(case.classes)) {
            xent_core::log_softmax(level, x, to).expect("rows of one length");
        }
    };
    Contestant::new("xent", run, |(), to| Answer::of(to))
}

fn log_softmax_loop(case: &Case) -> Contestant<'_> {
    let run = |to: &mut Vec<f32>| {
        for (x, to) in case.rows_of(&case.logits).zip(to.chunks_exact_mut(case.classes)) {
            let log_sum_exp = scalar_log_sum_exp(x);
            to.iter_mut().zip(x).for_each(|(to, x)| *to = x - log_sum_exp);
        }
    };
    Contestant::new("scalar loop", run, |(), to| Answer::of(to))
}

fn scalar_log_sum_exp(x: &[f32]) -> f32 {
    let max = x.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    x.iter().map(|x| (x - max).exp()).sum::<f32>().ln() + max
}
