//! Arrays in files.

use std::fs::File;
use std::io::{self, BufWriter};
use std::path::Path;

use npyz::{AutoSerialize, Serialize, WriterBuilder};

/// Writes numbers as a `.npy` file of that shape.
pub(crate) fn write<T: AutoSerialize + Serialize>(
    path: &Path,
    shape: &[usize],
    numbers: impl IntoIterator<Item = T>,
) -> io::Result<()> {
    let shape: Vec<u64> = shape.iter().map(|&length| length as u64).collect();
    let mut writer = npyz::WriteOptions::new()
        .default_dtype()
        .shape(&shape)
        .writer(BufWriter::new(File::create(path)?))
        .begin_nd()?;
    writer.extend(numbers)?;
    writer.finish()
}
