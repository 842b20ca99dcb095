//! The same computations with other crates.

pub mod burn;
pub mod candle;
pub mod rten;

use std::env;
use std::process::{Command, exit};

use crate::{Answer, Case};

/// Tells candle and rayon how many threads to start, once for a process.
const THREADS: [&str; 2] = ["CANDLE_NUM_THREADS", "RAYON_NUM_THREADS"];

/// Restarts in a process whose environment allows a single thread, and ends with it.
pub(crate) fn keep_to_one_thread() {
    if THREADS.iter().all(|name| env::var(name).is_ok_and(|threads| threads == "1")) {
        return;
    }
    let program = env::current_exe().expect("a process has a program");
    let status = Command::new(program)
        .args(env::args_os().skip(1))
        .envs(THREADS.map(|name| (name, "1")))
        .status()
        .expect("what runs can be run");
    exit(status.code().unwrap_or(1));
}

/// Converts a mean over this many losses, and its gradient, to their sum.
fn answer_of_mean(losses: usize, mean: f32, gradient: Vec<f32>) -> Answer {
    let gradient = gradient.into_iter().map(|g| g * losses as f32).collect();
    Answer { loss: Some(f64::from(mean) * losses as f64), output: Some(gradient) }
}

fn shape(case: &Case) -> [usize; 2] {
    [case.rows, case.classes]
}
