//! max, log-sum-exp, softmax and log-softmax of one row.

use rand::rngs::StdRng;
use xent_core::Level;
use xent_reference::softmax;

use super::Batch;
use crate::bounds::{Bound, Exact, LOG_SOFTMAX, LOG_SUM_EXP, MAX, SOFTMAX};
use crate::same::SameLevels;
use crate::table::Findings;

/// Checks each row of a batch on its own.
pub(super) fn check(batch: &Batch, _: &mut StdRng, findings: &mut Findings) {
    for (row, x) in batch.rows.iter().enumerate() {
        check_row(batch, row, x, findings);
    }
}

fn check_row(batch: &Batch, row: usize, x: &[f32], findings: &mut Findings) {
    let (wide, distances) = (&batch.wide[row], &batch.distances[row]);
    let nan = x.iter().any(|x| x.is_nan());
    let max = if nan { f64::NAN } else { wide.iter().copied().fold(f64::NEG_INFINITY, f64::max) };
    let exact_max = [Exact::new(max)];

    let log_sum_exp = softmax::log_sum_exp(wide);
    let log_softmax = softmax::log_softmax(wide);
    // ln Σ e^(x - max x) is what the logarithm of the largest class's softmax lacks to zero.
    let ln_sum = -log_softmax.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let scale = if max.is_finite() { max.abs().max(ln_sum) } else { 0.0 };
    let exact_log_sum_exp = [Exact { value: log_sum_exp, scale, distance: distances.mean }];

    let by_class = |values: Vec<f64>, mean: f64| -> Vec<Exact> {
        let exact = |(value, distance)| Exact { value, scale: 0.0, distance: distance + mean };
        values.into_iter().zip(&distances.class).map(exact).collect()
    };
    let exact_softmax = by_class(softmax::softmax(wide), distances.mean);
    let exact_log_softmax = by_class(log_softmax, distances.others);

    let mut levels = SameLevels::default();
    for level in Level::available() {
        // Values that no result has, to notice one that is never written.
        let mut probabilities = vec![f32::MIN; x.len()];
        let mut logarithms = vec![f32::MAX; x.len()];
        xent_core::softmax(level, x, &mut probabilities).expect("equal lengths");
        xent_core::log_softmax(level, x, &mut logarithms).expect("equal lengths");
        let results: [(Bound, &[Exact], Vec<f32>); 4] = [
            (MAX, &exact_max, vec![xent_core::max(level, x)]),
            (LOG_SUM_EXP, &exact_log_sum_exp, vec![xent_core::log_sum_exp(level, x)]),
            (SOFTMAX, &exact_softmax, probabilities),
            (LOG_SOFTMAX, &exact_log_softmax, logarithms),
        ];
        for (bound, exact, got) in &results {
            let finding = findings.of(*bound, level);
            for (class, (exact, &got)) in exact.iter().zip(got).enumerate() {
                finding.record(exact.error(got), exact.allowed(bound.at(level)), || {
                    format!("{got:e} for {:e}: {}", exact.value, batch.rows.place(row, class))
                });
            }
        }
        let all = results.map(|(_, _, got)| got).concat();
        levels.compare(level, &all, findings, |i| {
            format!("slice function, result {i}: {}", batch.rows.place(row, 0))
        });
    }
}
