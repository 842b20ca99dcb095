//! What an evaluation comes to, for a reader or for a program.

use serde::Serialize;

/// The result of `xent eval`.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Summary {
    /// Null with reduction none.
    pub(crate) loss: Option<f64>,
    pub(crate) rows: usize,
    pub(crate) valid_rows: usize,
    pub(crate) classes: usize,
    /// The input's; f32 for integers.
    pub(crate) format: &'static str,
    /// The share of the valid rows whose largest input is that of their label.
    pub(crate) accuracy: Option<f64>,
    /// e to the mean cross-entropy of the valid rows.
    pub(crate) perplexity: Option<f64>,
    pub(crate) level: String,
    pub(crate) threads: usize,
    pub(crate) seconds: f64,
}

impl Summary {
    pub(crate) fn print(&self, json: bool) {
        if json {
            // A float that JSON has no number for is null.
            println!("{}", serde_json::to_string(self).unwrap_or_default());
            return;
        }
        match self.loss {
            Some(loss) => println!("loss        {loss}"),
            None => println!("loss        not reduced"),
        }
        println!("rows        {}, {} of them valid", self.rows, self.valid_rows);
        println!("classes     {}", self.classes);
        println!("format      {}", self.format);
        if let Some(accuracy) = self.accuracy {
            println!("accuracy    {accuracy:.4}");
        }
        if let Some(perplexity) = self.perplexity {
            println!("perplexity  {perplexity:.4}");
        }
        println!("level       {}, {} threads, {:.3} s", self.level, self.threads, self.seconds);
    }
}
