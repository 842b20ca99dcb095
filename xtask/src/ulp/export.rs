//! The inputs of the search, for `benches/peers/accuracy.py`.

use std::io;
use std::path::Path;

use super::search;
use crate::npy::write;

/// Writes the rows that the search reaches as arrays to a folder, and lists them.
pub(super) fn run(folder: &Path) -> io::Result<()> {
    std::fs::create_dir_all(folder)?;
    for (loss, classes, given) in search::given() {
        let rows = given.logits.len() / classes;
        let name = loss.replace(' ', "-");
        let path = |of: &str| folder.join(format!("{name}-{classes}-{of}.npy"));
        write(&path("logits"), &[rows, classes], given.logits)?;
        if given.labels.is_empty() {
            write(&path("targets"), &[rows, classes], given.targets)?;
        } else {
            write(&path("labels"), &[rows], given.labels)?;
        }
        println!("{loss}: {rows} rows of {classes} classes");
    }
    Ok(())
}
