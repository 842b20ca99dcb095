//! Runs the commands of README.md in order, exactly as printed, in a folder that holds only what they create, and
//! compares the figures that README shows. Commands that need another tool, a device or a browser are run by other
//! checks; here only the paths in them are checked.
// Without processes there are no commands.
#![cfg(unix)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

/// Commands that are not run here.
const ELSEWHERE: [&str; 12] = [
    // This is for the reader's own package.
    "cargo add --path ../xent/crates/xent",
    // This runs the test itself; the program under test is the one installed.
    "cargo test --release --workspace",
    "cargo install --path crates/xent-cli",
    // This takes two minutes; CI runs it for some seconds.
    "cargo run --release -p xent --features linear --example words",
    // These checks have tests of their own, and need a C compiler, an emulator or a browser.
    "cargo xtask ",
    "pip install ./python",
    "cargo bench --manifest-path integrations/candle/Cargo.toml --bench step",
    "cargo build --release --package xent-capi",
    "cc -Icrates/xent-capi/include ",
    "cc crates/xent-capi/",
    "cc -static -s crates/xent-capi/",
    "export PKG_CONFIG_PATH=",
];
/// Creates the files that the program is run with.
const EXAMPLE: &str = "cargo run --release --example digits";

/// A command, and the output that README shows for it.
#[derive(Debug, PartialEq)]
struct Shown {
    command: String,
    output: Option<String>,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the workspace")
}

/// The commands of all `sh` blocks. A block without a language that follows immediately shows the output of the
/// last command.
fn commands(readme: &str) -> Vec<Shown> {
    let mut shown: Vec<Shown> = Vec::new();
    let mut lines = readme.lines().peekable();
    let mut follows = false;
    while let Some(line) = lines.next() {
        let Some(language) = line.strip_prefix("```") else {
            follows &= line.trim().is_empty();
            continue;
        };
        let block: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
        match language {
            "sh" => {
                let text = block.join("\n").replace("\\\n", " ");
                let commands = text.lines().map(|line| line.split(" #").next().unwrap_or_default());
                let commands = commands.map(|line| line.split_whitespace().collect::<Vec<_>>());
                for words in commands.filter(|words| !words.is_empty()) {
                    shown.push(Shown { command: words.join(" "), output: None });
                }
                follows = true;
            }
            "" if follows => {
                let last = shown.last_mut().expect("a command");
                last.output = Some(block.join("\n"));
                follows = false;
            }
            _ => follows = false,
        }
    }
    shown
}

#[test]
fn commands_are_found_with_what_they_print() {
    let readme = "```rust\nlet x;\n```\n\n```sh\na b   # why\nc \\\n    d\n```\n\n```\nout\n```\n\
                  words\n\n```sh\ne\n```\nwords\n```\nno output\n```\n";
    let shown = |command: &str, output: Option<&str>| Shown {
        command: command.into(),
        output: output.map(Into::into),
    };
    assert_eq!(commands(readme), [shown("a b", None), shown("c d", Some("out")), shown("e", None)]);
}

/// Writes the digits and their logits to `target` in that folder.
fn run_the_example(folder: &Path) {
    let mut build = Command::new(env!("CARGO"));
    build.current_dir(root()).args(["build", "--locked", "--example", "digits"]);
    // In the profile of this test: in an empty clone, the release profile of the command.
    if !cfg!(debug_assertions) {
        build.arg("--release");
    }
    let built = build.output().expect("cargo");
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let programs = Path::new(env!("CARGO_BIN_EXE_xent")).parent().expect("a folder");
    let mut example = Command::new(programs.join("examples/digits"));
    let ran = example.env("CARGO_TARGET_DIR", folder.join("target")).output().expect("the example");
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
}

/// Runs the command as printed, where `xent` is the program.
fn run(folder: &Path, command: &str) -> Output {
    let programs = Path::new(env!("CARGO_BIN_EXE_xent")).parent().expect("a folder");
    let others = std::env::var("PATH").unwrap_or_default();
    let mut shell = Command::new("sh");
    shell.current_dir(folder).args(["-c", command]);
    shell.env("PATH", format!("{}:{others}", programs.display())).output().expect("a shell")
}

/// Compares everything except times, threads and levels, which depend on the machine.
fn compare(command: &str, shown: &str, printed: &str) {
    let of_machine = |line: &&str| !line.starts_with("level ");
    let [shown, printed] =
        [shown, printed].map(|text| text.trim_end().lines().filter(of_machine).collect::<Vec<_>>());
    assert_eq!(printed, shown, "{command}");
}

/// Paths in the repository that a command names must exist.
fn names_what_is_there(command: &str) {
    for word in command.split_whitespace() {
        let path = word.trim_start_matches("-I");
        if ["crates/", "embedded/", "examples/", "tools/"].iter().any(|of| path.starts_with(of)) {
            assert!(root().join(path).exists(), "{command}: there is no {path}");
        }
    }
}

#[test]
fn every_command_runs_as_it_stands_and_prints_what_is_shown() {
    let readme = fs::read_to_string(root().join("README.md")).expect("README.md");
    let folder = TempDir::new().expect("a folder");
    fs::create_dir(folder.path().join("target")).expect("a folder");
    // Machines without fused multiply-add have other bits.
    let has_same_bits = xent::Level::detect().has_fma();
    let (mut of_program, mut compared) = (0, 0);
    for Shown { command, output } in commands(&readme) {
        if command == EXAMPLE {
            run_the_example(folder.path());
        } else if command.starts_with("xent ") {
            of_program += 1;
            let ran = run(folder.path(), &command);
            let said = String::from_utf8_lossy(&ran.stderr);
            assert!(ran.status.success(), "{command}: {said}");
            if let Some(shown) = output.filter(|_| has_same_bits) {
                compare(&command, &shown, &String::from_utf8_lossy(&ran.stdout));
                compared += 1;
            }
        } else {
            let is_known = ELSEWHERE.iter().any(|start| command.starts_with(start));
            assert!(is_known, "no check runs this command: {command}");
            names_what_is_there(&command);
        }
    }
    assert!(of_program >= 3, "{of_program} commands of the program");
    assert!(compared >= 2 || !has_same_bits, "{compared} of them show what they print");
}
