//! The file readers of the program: arrays that are not what they say.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use tempfile::TempDir;

/// A valid input with valid targets for each way to read them.
const LOSSES: [&str; 4] = ["softmax", "sigmoid", "nll", "distillation"];

/// The first byte says which loss, which of the two files the rest is, and which kind of file.
pub(crate) fn run(data: &[u8]) {
    let Some((&choice, bytes)) = data.split_first() else { return };
    let folder = Folder::shared();
    let choice = usize::from(choice);
    let loss = LOSSES[choice % LOSSES.len()];
    let extension = if choice & 4 == 0 { "npy" } else { "safetensors" };
    let is_targets = choice & 8 != 0;
    // The file of another execution at the same time would be in the way.
    let dir = tempfile::tempdir_in(folder).expect("a folder");
    let odd = dir.path().join(format!("odd.{extension}"));
    fs::write(&odd, bytes).expect("a file");
    let output = dir.path().join("gradient.npy");
    let (input, targets) = if is_targets {
        (folder.join("logits.npy"), odd)
    } else {
        let targets = match loss {
            "softmax" | "nll" => "labels.npy",
            _ => "logits.npy",
        };
        (odd, folder.join(targets))
    };
    let arguments = ["xent", "eval", "--threads", "1", "--loss", loss].map(OsString::from);
    let paths = [("--input", input), ("--targets", targets), ("--grad-out", output.clone())];
    let paths = paths.into_iter().flat_map(|(option, path)| [option.into(), path.into_os_string()]);
    let done = xent_cli::evaluate(arguments.into_iter().chain(paths));
    assert_eq!(output.exists(), done.is_ok(), "a gradient of a file that was refused, or none");
    if let Err(reason) = done {
        assert_eq!(reason.lines().count(), 1, "one line says why");
    }
    let left = fs::read_dir(dir.path()).expect("the folder").count();
    assert!(left <= 2, "a temporary file is left");
}

/// A folder of the process, in memory where there is a place for that, with two valid arrays.
struct Folder;

impl Folder {
    fn shared() -> &'static Path {
        static FOLDER: OnceLock<(TempDir, PathBuf)> = OnceLock::new();
        let (_, path) = FOLDER.get_or_init(|| {
            let memory = Path::new("/dev/shm");
            let place = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
            let folder = tempfile::tempdir_in(place).expect("a folder");
            let numbers = [-1.0, -0.5, -2.0, -0.25, -3.0, -1.5_f32];
            let numbers: Vec<u8> = numbers.iter().flat_map(|x| x.to_le_bytes()).collect();
            let labels: Vec<u8> = [2_i64, 0].iter().flat_map(|y| y.to_le_bytes()).collect();
            let path = folder.path().to_owned();
            fs::write(path.join("logits.npy"), npy("<f4", "(2, 3)", &numbers)).expect("a file");
            fs::write(path.join("labels.npy"), npy("<i8", "(2,)", &labels)).expect("a file");
            (folder, path)
        });
        path
    }
}

/// A `.npy` file.
fn npy(descr: &str, shape: &str, numbers: &[u8]) -> Vec<u8> {
    let header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n");
    let length = u16::try_from(header.len()).expect("a short header").to_le_bytes();
    [b"\x93NUMPY\x01\x00", &length[..], header.as_bytes(), numbers].concat()
}
