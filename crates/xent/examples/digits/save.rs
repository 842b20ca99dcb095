//! Files: of the held-out digits for the program `xent`, and of the network for `embedded/digits-net`.

use std::fs::File;
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};

use half::bf16;
use npyz::{Serialize, WriterBuilder};
use safetensors::Dtype;
use safetensors::tensor::TensorView;

use crate::data::{CLASSES, Digits, PIXELS};
use crate::model::Network;

/// Writes `digits-logits.npy`, shape (rows, classes), and `digits-labels.npy`, shape (rows,); returns both.
pub(crate) fn held_out(folder: &Path, logits: &[f32], labels: &[u8]) -> io::Result<[PathBuf; 2]> {
    let paths = ["digits-logits.npy", "digits-labels.npy"].map(|name| folder.join(name));
    let rows = labels.len() as u64;
    write(&paths[0], &[rows, CLASSES as u64], logits)?;
    write(&paths[1], &[rows], labels)?;
    Ok(paths)
}

/// Writes `device-logits.npy`, the logits as a device with twelve bits after the point has them.
pub(crate) fn device(folder: &Path, logits: &[f32]) -> io::Result<PathBuf> {
    let path = folder.join("device-logits.npy");
    let step = 2_f32.powi(-12);
    let rounded: Vec<f32> = logits.iter().map(|x| (x / step).round() * step).collect();
    write(&path, &[(logits.len() / CLASSES) as u64, CLASSES as u64], &rounded)?;
    Ok(path)
}

/// Writes `digits.safetensors`, the logits as bf16 and their labels.
pub(crate) fn tensors(folder: &Path, logits: &[f32], labels: &[u8]) -> io::Result<PathBuf> {
    let path = folder.join("digits.safetensors");
    let logits: Vec<u8> = logits.iter().flat_map(|&x| bf16::from_f32(x).to_le_bytes()).collect();
    let (rows, other) = (labels.len(), io::Error::other::<safetensors::SafeTensorError>);
    let logits = TensorView::new(Dtype::BF16, vec![rows, CLASSES], &logits).map_err(other)?;
    let labels = TensorView::new(Dtype::U8, vec![rows], labels).map_err(other)?;
    let tensors = [("logits", logits), ("labels", labels)];
    std::fs::write(&path, safetensors::serialize(tensors, None).map_err(other)?)?;
    Ok(path)
}

/// Writes what the network is made of and what it is tried on: `digits-layer-1.npy` and so on, shape
/// (inputs + 1, outputs), the bias last; and `digits-images.npy`, shape (rows, pixels), from 0 to 16.
pub(crate) fn network(folder: &Path, network: &Network, held_out: &Digits) -> io::Result<()> {
    for (number, (weights, outputs)) in (1..).zip(network.layers()) {
        let shape = [(weights.len() / outputs) as u64, outputs as u64];
        write(&folder.join(format!("digits-layer-{number}.npy")), &shape, weights)?;
    }
    let pixels: Vec<u8> = held_out.images.iter().map(|pixel| (pixel * 16.0) as u8).collect();
    let shape = [held_out.len() as u64, PIXELS as u64];
    write(&folder.join("digits-images.npy"), &shape, &pixels)
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
