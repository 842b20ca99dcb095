//! The arrays of a `.npz` file, an archive of `.npy` files.

use std::fs::File;
use std::io::{self, BufReader};

use zip::{CompressionMethod, ZipArchive};

use super::list;
use super::window::{Window, copy};

/// A member that archives of PyTorch have besides their tensors.
const OF_PYTORCH: &str = "data.pkl";

/// The `.npy` file of that name, or the only one. Its bytes are checked against the archive's
/// checksum.
pub(super) fn member(file: File, name: Option<&str>) -> Result<Window, String> {
    let not_one = |reason: &dyn ToString| format!("not a .npz file: {}", reason.to_string());
    let mut archive = ZipArchive::new(BufReader::new(file)).map_err(|error| not_one(&error))?;
    let files: Vec<String> = archive
        .file_names()
        .map(|name| name.map(|name| name.into_owned()))
        .collect::<Result<_, _>>()
        .map_err(|error| not_one(&error))?;
    if files.iter().any(|file| file.rsplit('/').next() == Some(OF_PYTORCH)) {
        return Err("a file of torch.save, which only PyTorch reads: save the tensor with \
                    numpy.save(\"x.npy\", tensor.numpy()) or safetensors.torch.save_file"
            .into());
    }
    let arrays: Vec<&str> = files.iter().filter_map(|file| file.strip_suffix(".npy")).collect();
    let names = || list(arrays.iter().map(|name| (*name).to_owned()).collect());
    let chosen = match (name, &arrays[..]) {
        (Some(name), _) => {
            let is_it = |array: &&str| *array == name || name.strip_suffix(".npy") == Some(*array);
            *arrays
                .iter()
                .find(|array| is_it(array))
                .ok_or_else(|| format!("no array of that name: {}", names()))?
        }
        (None, [only]) => only,
        (None, _) => {
            return Err(format!("expected the name of an array, as in file.npz:name: {}", names()));
        }
    };
    let index = files.iter().position(|file| file.strip_suffix(".npy") == Some(chosen));
    let broken = |reason: &dyn ToString| format!("its array {chosen:?}: {}", reason.to_string());
    let mut entry = archive.by_index(index.unwrap_or_default()).map_err(|error| broken(&error))?;
    let compression = entry.compression();
    match compression {
        CompressionMethod::Deflated => Window::copy(&mut entry).map_err(|error| broken(&error)),
        CompressionMethod::Stored => {
            // The reader compares the checksum at the end.
            let length = copy(&mut entry, &mut io::sink()).map_err(|error| broken(&error))?;
            let begin = entry.data_start().ok_or_else(|| broken(&"its data cannot be found"))?;
            drop(entry);
            let file = archive.into_inner().into_inner();
            Window::new(file, begin, length).map_err(|error| broken(&error))
        }
        other => Err(broken(&format!("compressed by {other}: expected numpy.savez_compressed"))),
    }
}
