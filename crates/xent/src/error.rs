//! The errors of a call.

use core::fmt;
use core::str::FromStr;

use crate::Preset;

/// Why a call was refused. When an error is returned, nothing has been written.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Error {
    /// The shapes or labels do not fit together.
    Input(xent_core::Error),
    /// A single value was asked for, but [`Reduction::None`](crate::Reduction::None) gives one for
    /// each row.
    NotReduced,
    /// The loss does not support targets of this kind.
    Targets {
        /// The kinds that it supports.
        expected: &'static str,
        /// The kind that was given.
        found: &'static str,
    },
    /// A mean over nothing (every row is ignored, or all weights are zero) with the policy
    /// [`NothingValid::Error`](crate::NothingValid::Error).
    NothingValid,
    /// An upstream gradient for each row was given, but the loss is reduced to one value.
    UpstreamOfRows,
    /// A boosting library's second derivatives were asked for with a mean.
    HessianOfMean,
    /// Reports with different reductions were to be added.
    MixedReductions,
    /// The gradient was asked for twice: in place of the logits, and elsewhere.
    TwoGradients,
    /// No preset has this name; those in [`Preset::ALL`](crate::Preset::ALL) are in lower case.
    UnknownPreset,
    /// The workspace of a layer's loss may not take as many bytes as are needed.
    #[cfg(feature = "linear")]
    Workspace {
        /// The bytes that it needs.
        needed: usize,
        /// The bytes that it may take.
        allowed: usize,
    },
    /// The layout of an array does not allow reading it without a copy.
    Layout {
        /// The reason, and what to do.
        reason: &'static str,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Input(error) => error.fmt(f),
            Self::NotReduced => f.write_str(
                "the reduction is none, which has a loss for each row instead of one value: \
                 ask for them with `losses` or `evaluate`",
            ),
            Self::Targets { expected, found } => {
                write!(f, "wrong kind of targets: expected {expected}, found {found}")
            }
            Self::NothingValid => {
                f.write_str("nothing to take a mean of: every row is ignored or has no weight")
            }
            Self::UpstreamOfRows => f.write_str(
                "an upstream gradient for each row goes with a loss for each row: \
                 use the reduction none, or a scale",
            ),
            Self::HessianOfMean => f.write_str(
                "a mean divides second derivatives by the number of rows, which boosting does not \
                 expect: ask for them with `boosting`, or use the reduction sum",
            ),
            Self::MixedReductions => f.write_str(
                "reports of losses with different reductions, means or policies have no total: \
                 use the same for all batches",
            ),
            Self::TwoGradients => {
                f.write_str("the gradient takes the place of the logits: ask for no other")
            }
            Self::UnknownPreset => {
                f.write_str("no preset of that name: expected")?;
                for (at, preset) in Preset::ALL.iter().enumerate() {
                    write!(f, "{}{preset}", if at == 0 { " " } else { ", " })?;
                }
                Ok(())
            }
            #[cfg(feature = "linear")]
            &Self::Workspace { needed, allowed } => {
                xent_linear::Error::Workspace { needed, allowed }.fmt(f)
            }
            Self::Layout { reason } => {
                write!(f, "the array cannot be read without a copy: {reason}")
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

impl From<xent_core::Error> for Error {
    fn from(error: xent_core::Error) -> Self {
        Self::Input(error)
    }
}

#[cfg(feature = "linear")]
impl From<xent_linear::Error> for Error {
    fn from(error: xent_linear::Error) -> Self {
        match error {
            xent_linear::Error::Input(error) => Self::Input(error),
            xent_linear::Error::Workspace { needed, allowed } => {
                Self::Workspace { needed, allowed }
            }
            xent_linear::Error::NotReduced => Self::NotReduced,
            xent_linear::Error::UpstreamOfRows => Self::UpstreamOfRows,
            xent_linear::Error::NothingValid => Self::NothingValid,
        }
    }
}

impl FromStr for Preset {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        Self::ALL.into_iter().find(|preset| preset.name() == name).ok_or(Error::UnknownPreset)
    }
}
