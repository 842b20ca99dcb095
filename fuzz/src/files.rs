//! The file readers of the program: arrays that are not what they say.

use std::ffi::OsString;
use std::fs;
use std::path::Path;

use tempfile::TempDir;

/// Losses that read their targets each in another way.
const LOSSES: [&str; 4] = ["softmax", "sigmoid", "nll", "distillation"];

/// The first byte says which loss, which of its two files the rest is, and which kind of file that is; the
/// other one is valid.
pub(crate) fn run(data: &[u8]) {
    let Some((&choice, bytes)) = data.split_first() else { return };
    let choice = usize::from(choice);
    let loss = LOSSES[choice % LOSSES.len()];
    let extension = if choice & 4 == 0 { "npy" } else { "safetensors" };
    let is_targets = choice & 8 != 0;
    let folder = folder();
    let odd = folder.path().join(format!("odd.{extension}"));
    let other = folder.path().join("other.npy");
    let has_labels = !is_targets && matches!(loss, "softmax" | "nll");
    fs::write(&odd, bytes).expect("a file");
    fs::write(&other, if has_labels { labels() } else { logits() }).expect("a file");
    let output = folder.path().join("gradient.npy");
    let (input, targets) = if is_targets { (other, odd) } else { (odd, other) };
    let arguments = ["xent", "eval", "--threads", "1", "--loss", loss].map(OsString::from);
    let paths = [("--input", input), ("--targets", targets), ("--grad-out", output.clone())];
    let paths = paths.into_iter().flat_map(|(option, path)| [option.into(), path.into_os_string()]);
    let done = xent_cli::evaluate(arguments.into_iter().chain(paths));
    assert_eq!(output.exists(), done.is_ok(), "a gradient of a file that was refused, or none");
    if let Err(reason) = done {
        assert_eq!(reason.lines().count(), 1, "one line says why");
    }
    let files = fs::read_dir(folder.path()).expect("the folder").count();
    assert_eq!(files, 2 + usize::from(output.exists()), "a temporary file is left");
}

/// A folder in memory, where there is a place for that.
fn folder() -> TempDir {
    let memory = Path::new("/dev/shm");
    let place = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
    tempfile::tempdir_in(place).expect("a folder")
}

fn logits() -> Vec<u8> {
    let numbers = [-1.0, -0.5, -2.0, -0.25, -3.0, -1.5_f32];
    let numbers: Vec<u8> = numbers.iter().flat_map(|x| x.to_le_bytes()).collect();
    npy("<f4", "(2, 3)", &numbers)
}

fn labels() -> Vec<u8> {
    let labels: Vec<u8> = [2_i64, 0].iter().flat_map(|y| y.to_le_bytes()).collect();
    npy("<i8", "(2,)", &labels)
}

/// A `.npy` file.
fn npy(descr: &str, shape: &str, numbers: &[u8]) -> Vec<u8> {
    let header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n");
    let length = u16::try_from(header.len()).expect("a short header").to_le_bytes();
    [b"\x93NUMPY\x01\x00", &length[..], header.as_bytes(), numbers].concat()
}
