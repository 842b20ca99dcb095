//! Whether a model is right as often as its probabilities say.

use crate::args::LossName;
use crate::judge::argmax;

/// Bins of equal width, from a largest probability of 0 to one of 1.
pub(super) const BINS: usize = 15;

/// The rows of one side by the probability of their prediction.
#[derive(Clone, Debug)]
pub(super) struct Calibration {
    /// Whether the inputs are probabilities, not logits.
    of_probabilities: bool,
    pub(super) bins: [ConfidenceBin; BINS],
    /// Rows whose largest probability is not finite; they are in no bin.
    pub(super) not_finite: usize,
}

/// Rows with about the same confidence.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ConfidenceBin {
    pub(super) rows: usize,
    /// Sums over the rows: the sample weights, and those times the largest probability, or of the rows that are right.
    weight: f64,
    confidence: f64,
    right: f64,
}

impl Calibration {
    /// None if the inputs of that loss are no rows of probabilities or logits; log-probabilities are logits, too.
    pub(super) fn of(loss: LossName) -> Option<Self> {
        let of_probabilities = match loss {
            LossName::Softmax | LossName::SoftmaxFocal | LossName::Nll => false,
            LossName::MultinomialLogistic => true,
            _ => return None,
        };
        Some(Self { of_probabilities, bins: Default::default(), not_finite: 0 })
    }

    /// Examines a row.
    pub(super) fn look(&mut self, row: &[f64], label: i64, weight: f64) {
        let class = argmax(row.iter().copied());
        let confidence = if self.of_probabilities {
            Some(row[class])
        } else {
            // The largest has an exponential of one, unless the row has a NaN.
            let sum: f64 = row.iter().map(|x| (x - row[class]).exp()).sum();
            sum.is_finite().then(|| 1.0 / sum)
        };
        let Some(confidence) = confidence.filter(|p| p.is_finite()) else {
            self.not_finite += 1;
            return;
        };
        // A bin holds its upper end.
        let place = (confidence * BINS as f64).ceil() as usize;
        let bin = &mut self.bins[place.clamp(1, BINS) - 1];
        bin.rows += 1;
        bin.weight += weight;
        bin.confidence += weight * confidence;
        bin.right += if i64::try_from(class) == Ok(label) { weight } else { 0.0 };
    }

    /// The expected calibration error: the mean over the rows of the difference between accuracy and confidence in
    /// their bin.
    pub(super) fn error(&self) -> Option<f64> {
        let weight: f64 = self.bins.iter().map(|bin| bin.weight).sum();
        let off = self.bins.iter().map(|bin| (bin.right - bin.confidence).abs());
        (weight > 0.0).then(|| off.sum::<f64>() / weight)
    }
}

impl ConfidenceBin {
    /// The mean of the largest probability, and the share of rows that are right; None without rows.
    pub(super) fn means(&self) -> Option<(f64, f64)> {
        (self.weight > 0.0).then(|| (self.confidence / self.weight, self.right / self.weight))
    }
}
