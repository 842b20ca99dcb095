//! The inputs of the search, for `benches/peers/accuracy.py`.

use std::fs::File;
use std::io::{self, BufWriter};
use std::path::Path;

use npyz::{AutoSerialize, Serialize, WriterBuilder};

use super::search;

/// Writes what the search reaches as arrays in a folder, and says what.
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

fn write<T: AutoSerialize + Serialize>(path: &Path, shape: &[usize], of: Vec<T>) -> io::Result<()> {
    let shape: Vec<u64> = shape.iter().map(|&length| length as u64).collect();
    let mut writer = npyz::WriteOptions::new()
        .default_dtype()
        .shape(&shape)
        .writer(BufWriter::new(File::create(path)?))
        .begin_nd()?;
    writer.extend(of)?;
    writer.finish()
}
