//! Evaluates the logits of a file, some rows at a time: the loss and the accuracy of all of them.
//!
//! ```sh
//! cargo run --release --example evaluation
//! ```

use std::error::Error;
use std::fs::File;
use std::io::BufReader;

use npyz::NpyFile;
use xent::{Pass, Report, SoftmaxCrossEntropy};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/data");
/// Rows that are in memory at a time.
const ROWS: usize = 100;

pub(crate) fn main() -> Result<(), Box<dyn Error>> {
    let open = |name: &str| NpyFile::new(BufReader::new(File::open(format!("{FOLDER}/{name}"))?));
    let logits = open("held-out-logits.npy")?;
    let classes =
        *logits.shape().last().ok_or("expected logits of shape (rows, classes)")? as usize;
    let (mut logits, mut labels) =
        (logits.data::<f32>()?, open("held-out-labels.npy")?.data::<u8>()?);

    let loss = SoftmaxCrossEntropy::new();
    let mut total = Report::default();
    loop {
        let labels = labels.by_ref().take(ROWS).collect::<Result<Vec<_>, _>>()?;
        if labels.is_empty() {
            break;
        }
        let logits = logits.by_ref().take(labels.len() * classes).collect::<Result<Vec<_>, _>>()?;
        total += loss.evaluate((&logits, classes), &labels, Pass::new().count_correct())?;
    }
    println!("{} rows  loss {:.6}  accuracy {:.4}", total.rows, total.loss, total.accuracy());
    assert!(total.rows == 360 && (total.loss - 0.073717).abs() < 1e-6);
    Ok(())
}
