//! The held-out digits' logits as files, for the program `xent`.

use std::fs::File;
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};

use npyz::{Serialize, WriterBuilder};

use crate::data::CLASSES;

/// Writes `digits-logits.npy`, shape (rows, classes), and `digits-labels.npy`, shape (rows,); returns both.
pub(crate) fn held_out(folder: &Path, logits: &[f32], labels: &[u8]) -> io::Result<[PathBuf; 2]> {
    let paths = ["digits-logits.npy", "digits-labels.npy"].map(|name| folder.join(name));
    let rows = labels.len() as u64;
    write(&paths[0], &[rows, CLASSES as u64], logits)?;
    write(&paths[1], &[rows], labels)?;
    Ok(paths)
}

fn write<T: npyz::AutoSerialize + Copy + Serialize>(
    path: &Path,
    shape: &[u64],
    values: &[T],
) -> io::Result<()> {
    let mut writer = npyz::WriteOptions::new()
        .default_dtype()
        .shape(shape)
        .writer(BufWriter::new(File::create(path)?))
        .begin_nd()?;
    writer.extend(values.iter().copied())?;
    writer.finish()
}
