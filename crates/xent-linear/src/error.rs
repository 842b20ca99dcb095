//! Errors.

use core::fmt;

use xent_core::Error as InputError;

/// Why a call was refused. When an error is returned, nothing has been written.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Error {
    /// The input is wrong.
    Input(InputError),
    /// The workspace may not take as many bytes as the fewest rows need that are computed together.
    Workspace {
        /// The bytes that it needs.
        needed: usize,
        /// The bytes that it may take.
        allowed: usize,
    },
    /// One value was asked for, but the reduction keeps a loss for each row.
    NotReduced,
    /// An upstream gradient for each row was given, but the loss is reduced to one value.
    UpstreamOfRows,
    /// A mean over nothing, with [`NothingValid::Error`](xent_core::reduction::NothingValid::Error).
    NothingValid,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Input(error) => error.fmt(f),
            Self::Workspace { needed, allowed } => write!(
                f,
                "the workspace is too small: these shapes need {needed} bytes, and it may take {allowed}: \
                 allow more with `Workspace::with_limit`"
            ),
            Self::NotReduced => f.write_str(
                "the reduction is none, which has a loss for each row instead of one value: \
                 ask for them with `evaluate`",
            ),
            Self::UpstreamOfRows => f.write_str(
                "an upstream gradient for each row goes with a loss for each row: \
                 use the reduction none, or a scale",
            ),
            Self::NothingValid => {
                f.write_str("nothing to take a mean of: every row is ignored or has no weight")
            }
        }
    }
}

impl core::error::Error for Error {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Input(error) => Some(error),
            _ => None,
        }
    }
}

impl From<InputError> for Error {
    fn from(error: InputError) -> Self {
        Self::Input(error)
    }
}
