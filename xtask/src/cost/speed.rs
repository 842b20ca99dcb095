//! The speed of a program's loss, depending on how the program was built.

use std::path::PathBuf;
use std::process::Command;

use crate::{progress, tools};

/// The programs take turns, so that other load on the machine slows all of them down.
const ROUNDS: usize = 9;
/// The allowed slowdown of the debug build with README's override over the release build.
pub(super) const LIMIT: f64 = 1.3;

/// Nanoseconds an element of a program's loss, and its ratio to the first program; both medians, on
/// one thread.
pub(super) fn measure(programs: &[PathBuf]) -> Result<Vec<(f64, f64)>, String> {
    let bar = progress::bar("speed", (ROUNDS * programs.len()) as u64);
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        let mut round = Vec::new();
        for program in programs {
            round.push(nanoseconds(program)?);
            bar.inc(1);
        }
        rounds.push(round);
    }
    bar.finish_and_clear();
    Ok(medians(&rounds))
}

fn nanoseconds(program: &PathBuf) -> Result<f64, String> {
    let said = tools::output(Command::new(program).env("RAYON_NUM_THREADS", "1"))?;
    said.trim().parse().map_err(|_| format!("{} says {said:?}", program.display()))
}

/// For each program: the median of its time, and of its ratio to the first program in the same
/// round.
fn medians(rounds: &[Vec<f64>]) -> Vec<(f64, f64)> {
    let count = rounds.first().map_or(0, Vec::len);
    let times = |i: usize| median(rounds.iter().map(|round| round[i]));
    let ratio = |i: usize| median(rounds.iter().map(|round| round[i] / round[0]));
    (0..count).map(|i| (times(i), ratio(i))).collect()
}

fn median(numbers: impl Iterator<Item = f64>) -> f64 {
    let mut numbers: Vec<_> = numbers.collect();
    numbers.sort_by(f64::total_cmp);
    numbers[numbers.len() / 2]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_compared_within_a_round() {
        // The second takes twice as long, on a machine that gets slower.
        let rounds = [[1.0, 2.0], [2.0, 4.0], [8.0, 16.0]].map(Vec::from);
        assert_eq!(medians(&rounds), [(2.0, 1.0), (4.0, 2.0)]);
    }
}
