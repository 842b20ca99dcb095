//! The file readers of the program: corrupt arrays, in all the ways that arrays can arrive.

use std::ffi::OsString;
use std::fs;
use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// Losses that read their targets in different ways.
const LOSSES: [&str; 4] = ["softmax", "sigmoid", "nll", "distillation"];

/// Names of files of devices, and what follows them.
const OF_DEVICES: [[&str; 8]; 3] = [
    [
        "t.csv",
        "t.csv:label",
        "t.csv:2-3",
        "t.csv:1",
        "t.csv:2",
        "t.txt:f64",
        "t.tsv:i8",
        "t.csv:2-4:u8",
    ],
    ["t.jsonl", "t.jsonl:x", "t.ndjson:y", "t.jsonl:f64", "t.h", "t.h:x", "t.c:x:2x3", "t.h:2"],
    [
        "t:i8:2x3",
        "t:u8:2",
        "t:f32:2x3",
        "t.bin:f64be:2x3",
        "t:bf16:1x3",
        "t:i64:2",
        "t:u16be:6",
        MODEL,
    ],
];

/// The name of a model, which says what the integers of another file stand for.
const MODEL: &str = "t.tflite";

/// How an array arrives.
#[derive(Clone, Copy, Debug)]
enum Way {
    /// As a file whose name tells its kind.
    File,
    /// As a `.npz` file.
    Archive,
    /// As a member of a valid `.npz` file.
    Member,
    /// Through a pipe, like standard input: without a name, and only once.
    Pipe,
    /// As a file of a device, given by that name.
    Device(&'static str),
}

/// The first byte chooses the loss, which of its two files holds the rest, and how that file arrives: as a file of
/// arrays, or as one of a device, of a kind by its first two bits; the other file is valid. Integers of a device have a
/// scale. A model has the scale of valid integers: of its only output, or of the one that is named.
pub(crate) fn run(data: &[u8]) {
    let Some((&choice, bytes)) = data.split_first() else { return };
    let choice = usize::from(choice);
    let loss = LOSSES[choice % LOSSES.len()];
    let is_other_kind = choice & 4 != 0;
    let mut is_targets = choice & 8 != 0;
    let way = match (choice / 64).checked_sub(1) {
        Some(kind) => Way::Device(OF_DEVICES[kind][choice / 16 % 4 + (choice & 4)]),
        None => [Way::File, Way::Archive, Way::Member, Way::Pipe][choice / 16 % 4],
    };
    let folder = folder();
    let put = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, bytes).expect("a file");
        path
    };
    let mut files = 2;
    // It must live until the program has read it.
    let mut kept = None;
    let mut scale: Option<[OsString; 2]> = None;
    let odd = match way {
        Way::Device(MODEL) => {
            let mut model = put(MODEL, bytes).into_os_string();
            if is_targets {
                model.push(":logits");
            }
            scale = Some(["--quantisation".into(), model]);
            is_targets = false;
            files = 3;
            put("odd.npy", &npy("|i1", "(2, 3)", &[3, 250, 1, 128, 7, 0]))
        }
        Way::File => put(if is_other_kind { "odd.safetensors" } else { "odd.npy" }, bytes),
        Way::Archive => put("odd.npz", bytes),
        Way::Member => put("odd.npz", &archive(bytes, is_other_kind)),
        Way::Pipe => match piped(bytes) {
            Some((reader, path)) => {
                files = 1;
                kept = Some(reader);
                path
            }
            None => return,
        },
        Way::Device(name) => {
            put(name.split(':').next().unwrap_or(name), bytes);
            let is_quantised = name.contains(":i8") || name.contains(":u8") || name.contains(".h");
            scale = (!is_targets && is_quantised).then(|| ["--scale".into(), "0.5".into()]);
            folder.path().join(name)
        }
    };
    let has_labels = !is_targets && matches!(loss, "softmax" | "nll");
    let other = put("other.npy", &if has_labels { labels() } else { logits() });
    let output = folder.path().join("gradient.npy");
    let (input, targets) = if is_targets { (other, odd) } else { (odd, other) };
    let arguments = ["xent", "eval", "--threads", "1", "--loss", loss].map(OsString::from);
    let paths = [("--input", input), ("--targets", targets), ("--grad-out", output.clone())];
    let paths = paths.into_iter().flat_map(|(option, path)| [option.into(), path.into_os_string()]);
    let scale = scale.into_iter().flatten();
    let done = xent_cli::evaluate(arguments.into_iter().chain(paths).chain(scale));
    drop(kept);
    assert_eq!(output.exists(), done.is_ok(), "a gradient of a file that was refused, or none");
    if let Err(reason) = done {
        assert_eq!(reason.lines().count(), 1, "one line says why");
    }
    let found = fs::read_dir(folder.path()).expect("the folder").count();
    assert_eq!(found, files + usize::from(output.exists()), "a temporary file is left");
}

/// A `.npz` file with one array.
fn archive(npy: &[u8], is_compressed: bool) -> Vec<u8> {
    let method =
        if is_compressed { CompressionMethod::Deflated } else { CompressionMethod::Stored };
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(method);
    archive.start_file("odd.npy", options).expect("a member");
    archive.write_all(npy).expect("memory");
    archive.finish().expect("memory").into_inner()
}

/// A pipe that holds exactly these bytes, and its name, if the system has names for pipes. No pipe is so small that
/// writing to it blocks.
#[cfg(target_os = "linux")]
fn piped(bytes: &[u8]) -> Option<(std::io::PipeReader, PathBuf)> {
    use std::os::fd::AsRawFd;

    const ROOM: usize = 1 << 15;
    let (reader, mut writer) = std::io::pipe().ok()?;
    writer.write_all(bytes.get(..bytes.len().min(ROOM))?).ok()?;
    let path = format!("/proc/self/fd/{}", reader.as_raw_fd());
    Some((reader, path.into()))
}

#[cfg(not(target_os = "linux"))]
fn piped(_: &[u8]) -> Option<(std::io::PipeReader, PathBuf)> {
    None
}

/// A folder in memory, if there is a place for one.
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
