//! Whether inputs of `nll` and `multinomial-logistic` are what they should be.

use std::fmt;

use serde::Serialize;
use xent::{Labels, Quantisation};

use crate::args::LossName;
use crate::layout::Layout;
use crate::number::{Input, Number};

/// What was found among the inputs of rows that are not ignored and have a weight.
#[derive(Debug)]
pub(crate) struct Probabilities<'a> {
    layout: &'a Layout,
    loss: LossName,
    ignored: Option<i64>,
    /// The step of quantised inputs.
    scale: Option<f64>,
    positive: usize,
    largest: f64,
    wrong_sums: usize,
    tied: usize,
}

/// The result, as part of the report; null for other losses and inputs.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Found {
    /// Log-probabilities above zero.
    #[serde(rename = "positive_log_probabilities")]
    pub(crate) positive: Option<usize>,
    #[serde(rename = "largest_log_probability")]
    pub(crate) largest: Option<f64>,
    /// Rows of quantised probabilities that do not add up to one, even with half a step more or less for each class.
    #[serde(rename = "rows_with_wrong_sum")]
    pub(crate) wrong_sums: Option<usize>,
    /// Rows of quantised probabilities with several largest ones.
    #[serde(rename = "rows_with_ties")]
    pub(crate) tied: Option<usize>,
}

/// What is printed below the report of quantised probabilities.
const NOTE: &str =
    "the logits of a quantised model keep more than its probabilities: dump them if you can";

/// Above this a log-probability is no matter of rounding.
const ROUNDING: f64 = 1e-3;

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(positive) = self.positive.filter(|positive| *positive > 0) {
            let largest = self.largest.unwrap_or_default();
            let cause = if largest > ROUNDING {
                "probably logits were given"
            } else {
                "probably by rounding"
            };
            writeln!(
                f,
                "above zero  {positive} log-probabilities, the largest {largest}: there is none above 0, {cause}"
            )?;
        }
        if let (Some(wrong), Some(tied)) = (self.wrong_sums, self.tied) {
            writeln!(f, "wrong sum   {wrong} rows, by more than half a step a class")?;
            writeln!(f, "ties        {tied} rows with several largest inputs")?;
            writeln!(f, "note        {NOTE}")?;
        }
        Ok(())
    }
}

impl<'a> Probabilities<'a> {
    /// Nothing is looked for in the inputs of other losses.
    pub(crate) fn new(
        layout: &'a Layout,
        loss: LossName,
        ignored: Option<i64>,
        quantisation: Option<Quantisation>,
    ) -> Option<Self> {
        let is_of_probabilities = loss == LossName::MultinomialLogistic && quantisation.is_some();
        let scale = quantisation.map(|quantisation| f64::from(quantisation.scale()));
        let (positive, largest, wrong_sums, tied) = Default::default();
        let found = Self { layout, loss, ignored, scale, positive, largest, wrong_sums, tied };
        (loss == LossName::Nll || is_of_probabilities).then_some(found)
    }

    /// Examines some rows, given their inputs in memory order.
    pub(crate) fn look<N: Input>(
        &mut self,
        inputs: &[N],
        labels: Labels<'_>,
        weights: &[N::Float],
    ) {
        let Layout { classes, inner, .. } = *self.layout;
        for row in 0..inputs.len() / classes {
            let label = labels.get(row);
            let is_weightless = weights.get(row).is_some_and(|weight| weight.to_f64() == 0.0);
            if is_weightless || label == self.ignored && label.is_some() {
                continue;
            }
            let begin = row / inner * inner * classes + row % inner;
            let row = inputs[begin..].iter().step_by(inner).take(classes);
            self.look_at_row(row.map(|input| input.to_f64()));
        }
    }

    pub(crate) fn found(self) -> Found {
        let is_log = self.loss == LossName::Nll;
        let is_quantised = self.scale.is_some();
        Found {
            positive: is_log.then_some(self.positive),
            largest: (self.positive > 0).then_some(self.largest),
            wrong_sums: is_quantised.then_some(self.wrong_sums),
            tied: is_quantised.then_some(self.tied),
        }
    }

    fn look_at_row(&mut self, row: impl Iterator<Item = f64> + Clone) {
        if self.loss == LossName::Nll {
            for input in row.clone().filter(|input| *input > 0.0) {
                self.positive += 1;
                self.largest = self.largest.max(input);
            }
        }
        let Some(scale) = self.scale else { return };
        let (mut largest, mut count, mut sum, mut classes) = (f64::NEG_INFINITY, 0, 0.0, 0.0);
        for input in row {
            if input > largest {
                (largest, count) = (input, 0);
            }
            count += usize::from(input == largest);
            sum += if self.loss == LossName::Nll { input.exp() } else { input };
            classes += 1.0;
        }
        // The sums lose a little, too.
        let slack = 1e-6;
        let is_off = if self.loss == LossName::Nll {
            // A logarithm that is off by half a step.
            sum.ln().abs() > scale / 2.0 + slack
        } else {
            (sum - 1.0).abs() > classes * scale / 2.0 + slack
        };
        self.wrong_sums += usize::from(is_off);
        self.tied += usize::from(count > 1);
    }
}
