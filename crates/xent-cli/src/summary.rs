//! The result of an evaluation, as text or JSON.

use std::fmt;

use serde::Serialize;

use crate::failure::Failure;
use crate::layout::ClassAxis;
use crate::number::Scale;
use crate::printed::print;
use crate::probabilities::Found;

/// The result of `xent eval`.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Summary {
    /// Null with `--reduction none`.
    pub(crate) loss: Option<f64>,
    pub(crate) rows: usize,
    pub(crate) valid_rows: usize,
    pub(crate) classes: usize,
    #[serde(flatten)]
    pub(crate) class_axis: ClassAxis,
    pub(crate) format: &'static str,
    /// Null for inputs that were no integers.
    pub(crate) quantisation: Option<Scale>,
    /// The share of valid rows whose largest input is that of their label, with sample weights.
    pub(crate) accuracy: Option<f64>,
    pub(crate) top_k: Option<usize>,
    /// The share of valid rows whose label is among the `top_k` largest inputs.
    pub(crate) top_k_accuracy: Option<f64>,
    /// With sigmoid losses and probabilities, the share of elements on the right side of the threshold.
    pub(crate) binary_accuracy: Option<f64>,
    /// Valid rows with an input that is NaN or +inf, or without a finite one.
    pub(crate) not_finite_rows: usize,
    pub(crate) first_not_finite_row: Option<usize>,
    /// Probabilities so close to zero or one that the loss clamped them.
    pub(crate) clamped: usize,
    #[serde(flatten)]
    pub(crate) probabilities: Found,
    /// e to the mean cross-entropy of the valid rows; null if the losses are not a plain cross-entropy, for example
    /// with weights.
    pub(crate) perplexity: Option<f64>,
    pub(crate) level: String,
    pub(crate) threads: usize,
    pub(crate) seconds: f64,
}

impl Summary {
    pub(crate) fn print(&self, json: bool) -> Result<(), Failure> {
        if json {
            // A float that JSON cannot represent is null.
            return print(&format!("{}\n", serde_json::to_string(self).unwrap_or_default()));
        }
        self.class_axis.tell();
        print(&self.to_string())
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.loss {
            Some(loss) => writeln!(f, "loss        {loss}")?,
            None => writeln!(f, "loss        not reduced")?,
        }
        writeln!(f, "rows        {}, {} of them valid", self.rows, self.valid_rows)?;
        writeln!(f, "classes     {}", self.classes)?;
        writeln!(f, "format      {}", self.format)?;
        if let Some(scale) = self.quantisation {
            writeln!(f, "integers    {scale}")?;
        }
        if let Some(first) = self.first_not_finite_row {
            writeln!(f, "not finite  {} rows, the first is row {first}", self.not_finite_rows)?;
        }
        if self.clamped > 0 {
            writeln!(f, "clamped     {} probabilities", self.clamped)?;
        }
        write!(f, "{}", self.probabilities)?;
        if let Some(accuracy) = self.accuracy {
            writeln!(f, "accuracy    {accuracy:.4}")?;
        }
        if let (Some(k), Some(accuracy)) = (self.top_k, self.top_k_accuracy) {
            writeln!(f, "{:<11} {accuracy:.4}", format!("top {k}"))?;
        }
        if let Some(accuracy) = self.binary_accuracy {
            writeln!(f, "accuracy    {accuracy:.4} of the elements")?;
        }
        if let Some(perplexity) = self.perplexity {
            writeln!(f, "perplexity  {perplexity:.4}")?;
        }
        writeln!(f, "level       {}, {} threads, {:.3} s", self.level, self.threads, self.seconds)
    }
}
