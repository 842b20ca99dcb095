//! What a call can be refused for.

use core::fmt;

/// Why a call was refused. Nothing has been written when one is returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The shapes or labels do not fit together.
    Input(xent_core::Error),
    /// One value was asked for, but [`Reduction::None`](crate::Reduction::None) has one a row.
    NotReduced,
    /// Index targets were given to a loss whose targets are a number for every logit.
    IndexTargets,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Input(error) => error.fmt(f),
            Self::NotReduced => f.write_str(
                "the reduction is none, which has a loss for each row instead of one value: \
                 ask for them with `losses` or `losses_and_grad`",
            ),
            Self::IndexTargets => f.write_str(
                "a sigmoid loss has a target for every logit: expected dense targets, found indices",
            ),
        }
    }
}

impl core::error::Error for Error {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Input(error) => Some(error),
            Self::NotReduced | Self::IndexTargets => None,
        }
    }
}

impl From<xent_core::Error> for Error {
    fn from(error: xent_core::Error) -> Self {
        Self::Input(error)
    }
}
