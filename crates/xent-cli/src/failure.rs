//! Why the program stops: one line that names the file, if it is one's fault.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

#[derive(Debug, Error)]
pub(crate) enum Failure {
    #[error("{}: {reason}", path.display())]
    File { path: PathBuf, reason: String },
    #[error("{0}")]
    Argument(String),
    #[error("{0}")]
    Loss(#[from] xent::Error),
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
}
