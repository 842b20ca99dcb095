//! max, log-sum-exp, softmax and log-softmax of one row.

use rand::rngs::StdRng;
use xent_core::{Float, Level};

use super::Batch;
use crate::bounds::{Answer, LOG_SOFTMAX, LOG_SUM_EXP, MAX, SOFTMAX};
use crate::format::{Checked, Real};
use crate::same::SameLevels;
use crate::table::Findings;

/// Checks each row of a batch on its own.
pub(crate) fn check<F: Float + Checked>(batch: &Batch<F>, _: &mut StdRng, findings: &mut Findings) {
    for (row, x) in batch.rows.iter().enumerate() {
        check_row(batch, row, x, findings);
    }
}

fn check_row<F: Float + Checked>(batch: &Batch<F>, row: usize, x: &[F], findings: &mut Findings) {
    let (wide, distances) = (&batch.wide[row], &batch.distances[row]);
    let nan = wide.iter().any(|x| x.is_nan());
    let max = if nan { f64::NAN } else { wide.iter().copied().fold(f64::NEG_INFINITY, f64::max) };
    let exact_max = [Answer::new(F::Real::from(max))];

    let log_softmax = F::Real::log_softmax(wide);
    // ln Σ e^(x - max x) is minus the log-softmax of the largest class.
    let ln_sum = -log_softmax.iter().map(|s| s.to_f64()).fold(f64::NEG_INFINITY, f64::max);
    let scale = if max.is_finite() { max.abs().max(ln_sum) } else { 0.0 };
    let value = F::Real::log_sum_exp(wide);
    // This is an absolute error, so it does not shrink with the result.
    let distance = if scale == 0.0 { 0.0 } else { distances.mean / scale.min(1.0) };
    let exact_log_sum_exp = [Answer { value, scale, distance }];

    let by_class = |values: Vec<F::Real>, mean: f64| -> Vec<Answer<F::Real>> {
        let answer = |(value, distance)| Answer { value, scale: 0.0, distance: distance + mean };
        values.into_iter().zip(&distances.class).map(answer).collect()
    };
    let exact_softmax = by_class(F::Real::softmax(wide), distances.mean);
    let exact_log_softmax = by_class(log_softmax, distances.others);

    let mut levels = SameLevels::of::<F>();
    for level in Level::available() {
        // Values that no result has, to notice results that are not written.
        let mut probabilities = vec![F::float(f64::NEG_INFINITY); x.len()];
        let mut logarithms = vec![F::float(f64::INFINITY); x.len()];
        xent_core::softmax(level, x, &mut probabilities).expect("equal lengths");
        xent_core::log_softmax(level, x, &mut logarithms).expect("equal lengths");
        let results = [
            (MAX, exact_max.as_slice(), vec![xent_core::max(level, x)]),
            (LOG_SUM_EXP, &exact_log_sum_exp, vec![xent_core::log_sum_exp(level, x)]),
            (SOFTMAX, &exact_softmax, probabilities),
            (LOG_SOFTMAX, &exact_log_softmax, logarithms),
        ];
        let mut all = Vec::new();
        for (bound, answers, got) in results {
            let got: Vec<f64> = got.into_iter().map(Into::into).collect();
            let place = |class| batch.rows.place(row, class);
            findings.judge(bound.of::<F>(), level, answers, &got, place);
            all.extend(got);
        }
        levels.compare(level, &all, findings, |i| {
            format!("slice function, result {i}: {}", batch.rows.place(row, 0))
        });
    }
}
