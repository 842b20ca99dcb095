//! Errors, which are the same on every rank.

use std::error;
use std::fmt;

use xent_core::Error as InputError;
use xent_linear::Error as LinearError;

/// Why a call was refused: on every rank the same, and before anything is written.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The input of a rank is wrong; of several the first.
    Input {
        /// The rank.
        rank: usize,
        /// What is wrong with it.
        kind: Kind,
        /// The message of the core.
        message: String,
    },
    /// A rank has called with something else than rank 0.
    Disagree {
        /// What it differs in.
        what: What,
        /// The first such rank.
        rank: usize,
    },
    /// A mean over nothing, with [`NothingValid::Error`](xent_core::reduction::NothingValid::Error).
    NothingValid,
    /// What a rank has sent cannot be read.
    Message(String),
}

/// What is wrong with the input of a rank.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// A slice has another length than the others imply, or is too long for a message.
    Shape,
    /// A label is not the index of a class.
    Label,
    /// A weight is not finite, or negative.
    Value,
    /// An option is invalid, or does not go with the others.
    Option,
    /// What was passed to [`all_or_none`](crate::all_or_none).
    Other,
}

/// What ranks have to agree on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum What {
    /// The version of this library.
    Version,
    /// Which loss is called, and with which outputs: ranks make the same calls in the same order.
    Call,
    /// The format of the logits.
    Format,
    /// The number of rows.
    Rows,
    /// The number of classes of all ranks together, or which of them each has.
    Classes,
    /// The options of the loss, with its class weights and reduction.
    Options,
    /// The labels.
    Labels,
    /// The sample weights, or the scale.
    Weights,
    /// The number of inputs of a layer's row.
    Hidden,
    /// The inputs of a layer.
    Inputs,
}

impl Error {
    /// Of this rank's own input.
    pub(crate) fn input(rank: usize, error: &InputError) -> Self {
        Self::Input { rank, kind: Kind::of(error), message: error.to_string() }
    }

    pub(crate) fn shape(rank: usize, of: &'static str, expected: usize, found: usize) -> Self {
        Self::input(rank, &InputError::Length { of, expected, found })
    }
}

impl Kind {
    pub(crate) const ALL: [Self; 5] =
        [Self::Shape, Self::Label, Self::Value, Self::Option, Self::Other];

    fn of(error: &InputError) -> Self {
        match error {
            InputError::Label { .. } => Self::Label,
            InputError::Value { .. } | InputError::Empty { .. } => Self::Value,
            InputError::Option { .. } => Self::Option,
            _ => Self::Shape,
        }
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Version => "another version of xent-mpi",
            Self::Call => "another call, or other outputs",
            Self::Format => "logits in another format",
            Self::Rows => "another number of rows",
            Self::Classes => {
                "another number of classes, or classes that do not follow those before"
            }
            Self::Options => "other options of the loss",
            Self::Labels => "other labels",
            Self::Weights => "other sample weights or another scale",
            Self::Hidden => "another number of inputs of a row",
            Self::Inputs => "other inputs of the layer",
        })
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Input { rank, message, .. } => write!(f, "rank {rank}: {message}"),
            Self::Disagree { what, rank } => write!(
                f,
                "rank {rank} has {what} than rank 0: all ranks make the same calls with the same arguments"
            ),
            Self::NothingValid => {
                f.write_str("nothing to take a mean of: every row is ignored or has no weight")
            }
            Self::Message(message) => write!(f, "a message between ranks: {message}"),
        }
    }
}

impl error::Error for Error {}

/// An error of the layer on this rank.
pub(crate) fn of_layer(rank: usize, error: &LinearError) -> Error {
    match error {
        LinearError::Input(error) => Error::input(rank, error),
        other => Error::Input { rank, kind: Kind::Option, message: other.to_string() },
    }
}
