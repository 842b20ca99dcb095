//! Runs the commands of this crate's README.md, exactly as printed, and compares the output that it
//! shows.
// Without processes there are no commands.
#![cfg(unix)]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

const README: &str = include_str!("../README.md");

/// The contents of the blocks of a language, in order.
fn blocks(language: &str) -> Vec<&'static str> {
    // Every second piece is a block; its first line is its language.
    let blocks = README.split("\n```").skip(1).step_by(2);
    let of_language = blocks.filter_map(|block| block.split_once('\n'));
    of_language.filter(|(name, _)| *name == language).map(|(_, text)| text).collect()
}

/// Runs a line of a shell, where `xent` is the program.
fn run(folder: &Path, line: &str) -> Output {
    let programs = Path::new(env!("CARGO_BIN_EXE_xent")).parent().expect("a folder");
    let others = std::env::var("PATH").unwrap_or_default();
    let path = format!("{}:{others}", programs.display());
    let mut shell = Command::new("sh");
    shell.args(["-c", line]).current_dir(folder).env("PATH", path).output().expect("a shell")
}

#[test]
fn every_command_runs_and_prints_what_is_shown() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    for name in ["logits", "labels"] {
        let file = folder.path().join(format!("{name}.npy"));
        fs::copy(data.join(format!("digits-{name}.npy")), file).expect("the data");
    }
    let commands: Vec<_> =
        blocks("sh").into_iter().filter(|line| line.starts_with("xent ")).collect();
    assert!(commands.len() >= 2, "{commands:?}");
    let mut printed = String::new();
    for command in commands {
        let ran = run(folder.path(), command);
        assert!(ran.status.success(), "{command}: {}", String::from_utf8_lossy(&ran.stderr));
        printed.push_str(&String::from_utf8_lossy(&ran.stdout));
    }
    let gradient = fs::read(folder.path().join("grad.npy")).expect("the gradient");
    assert!(gradient.starts_with(b"\x93NUMPY"), "the gradient is an array");
    // Machines without fused multiply-add have other bits.
    if xent::Level::detect().has_fma() {
        let shown = blocks("");
        assert_eq!(shown.len(), 1, "{shown:?}");
        assert!(printed.starts_with(shown[0]), "{printed}\ninstead of\n{}", shown[0]);
    }
}
