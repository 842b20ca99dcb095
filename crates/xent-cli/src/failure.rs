//! Why the program stops: one line that names the file, if a file is the cause, and an exit code.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use thiserror::Error;

use crate::interrupt::Interrupted;

/// The exit code for wrong arguments or files.
const REFUSED: u8 = 2;

#[derive(Debug, Error)]
pub(crate) enum Failure {
    #[error("{}: {reason}", shown(path))]
    File { path: PathBuf, reason: String },
    #[error("{0}")]
    Argument(String),
    #[error("{0}")]
    Loss(#[from] xent::Error),
    #[error("standard output: {0}")]
    Print(io::Error),
    #[error("{0}")]
    Interrupted(#[from] Interrupted),
}

/// A file, named as the reader of the message knows it.
fn shown(path: &Path) -> String {
    if path == Path::new("-") { "standard input".into() } else { path.display().to_string() }
}

impl Failure {
    pub(crate) fn file(path: &Path, reason: impl ToString) -> Self {
        // One line, however long the message of a library is.
        let reason = reason.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
        Self::File { path: path.to_owned(), reason }
    }

    pub(crate) fn io(path: &Path) -> impl Fn(io::Error) -> Self + '_ {
        move |error| Self::file(path, error)
    }

    pub(crate) fn argument(reason: impl Into<String>) -> Self {
        Self::Argument(reason.into())
    }

    /// Prints the reason on stderr, and returns the exit code.
    pub(crate) fn report(&self) -> ExitCode {
        // If stderr is closed, the exit code is all that can be reported.
        let _ = writeln!(io::stderr(), "xent: {self}");
        ExitCode::from(match self {
            Self::Interrupted(interrupted) => interrupted.status(),
            _ => REFUSED,
        })
    }
}
