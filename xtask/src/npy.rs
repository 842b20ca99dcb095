//! Arrays in `.npy` files.

use std::fs::File;
use std::io::{self, BufWriter};
use std::path::Path;

use npyz::{AutoSerialize, DType, Order, Serialize, WriterBuilder};

/// Writes numbers as a `.npy` file of that shape.
pub(crate) fn write<T: AutoSerialize + Serialize>(
    path: &Path,
    shape: &[usize],
    numbers: impl IntoIterator<Item = T>,
) -> io::Result<()> {
    write_as(path, T::default_dtype(), Order::C, shape, numbers)
}

/// The same, with the given byte order and order of the numbers.
pub(crate) fn write_as<T: Serialize>(
    path: &Path,
    kind: DType,
    order: Order,
    shape: &[usize],
    numbers: impl IntoIterator<Item = T>,
) -> io::Result<()> {
    let shape: Vec<u64> = shape.iter().map(|&length| length as u64).collect();
    let mut writer = npyz::WriteOptions::new()
        .dtype(kind)
        .order(order)
        .shape(&shape)
        .writer(BufWriter::new(File::create(path)?))
        .begin_nd()?;
    writer.extend(numbers)?;
    writer.finish()
}
