//! Output to stdout.

use std::io::{self, ErrorKind, Write};

use crate::failure::Failure;

/// Prints a result. If its reader has left, that is no failure: the exit code still tells the
/// result.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(Failure::Print(error)),
        _ => Ok(()),
    }
}
