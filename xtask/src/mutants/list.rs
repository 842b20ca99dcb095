//! The mutants that cargo-mutants makes of the sources.

use std::path::Path;
use std::process::Command;

use serde::Deserialize;

/// One change of a source.
#[derive(Clone, Debug)]
pub(crate) struct Mutant {
    pub(crate) name: String,
    pub(crate) file: String,
    pub(crate) genre: String,
    pub(crate) replacement: String,
    /// Line and column, counted from one.
    pub(crate) start: (usize, usize),
}

#[derive(Deserialize)]
struct Place {
    line: usize,
    column: usize,
}

#[derive(Deserialize)]
struct Span {
    start: Place,
}

#[derive(Deserialize)]
struct Line {
    name: String,
    file: String,
    genre: String,
    replacement: String,
    span: Span,
}

/// All mutants of the files that `.cargo/mutants.toml` names.
pub(crate) fn list(root: &Path) -> Result<Vec<Mutant>, String> {
    let missing = "cargo-mutants is missing: cargo install --locked cargo-mutants";
    let output = Command::new("cargo")
        .args(["mutants", "--list", "--json"])
        .current_dir(root)
        .output()
        .map_err(|error| error.to_string())?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr);
        return Err(if text.contains("no such command") { missing.into() } else { text.into() });
    }
    let lines: Vec<Line> =
        serde_json::from_slice(&output.stdout).map_err(|error| error.to_string())?;
    let of = |line: Line| {
        let Line { name, file, genre, replacement, span: Span { start } } = line;
        Mutant { name, file, genre, replacement, start: (start.line, start.column) }
    };
    Ok(lines.into_iter().map(of).collect())
}
