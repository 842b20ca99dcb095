//! Why the program stops: one line that names the file, if it is one's fault, and an exit status.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use thiserror::Error;

use crate::interrupt::Interrupted;

/// What a shell is told where something was wrong with the arguments or the files.
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

/// A file as a reader of the message knows it.
fn shown(path: &Path) -> String {
    if path == Path::new("-") { "standard input".into() } else { path.display().to_string() }
}

impl Failure {
    pub(crate) fn file(path: &Path, reason: impl ToString) -> Self {
        // One line, whatever a library has to say.
        let reason = reason.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
        Self::File { path: path.to_owned(), reason }
    }

    pub(crate) fn io(path: &Path) -> impl Fn(io::Error) -> Self + '_ {
        move |error| Self::file(path, error)
    }

    pub(crate) fn argument(reason: impl Into<String>) -> Self {
        Self::Argument(reason.into())
    }

    /// Says it on stderr, and gives the status to exit with.
    pub(crate) fn report(&self) -> ExitCode {
        // Where stderr is closed, too, the status is all that can be said.
        let _ = writeln!(io::stderr(), "xent: {self}");
        ExitCode::from(match self {
            Self::Interrupted(interrupted) => interrupted.status(),
            _ => REFUSED,
        })
    }
}
