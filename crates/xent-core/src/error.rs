//! What can be wrong with the input.

use core::fmt;

/// Why a call was refused. Nothing has been written when one is returned.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Error {
    /// A row needs at least one class.
    ZeroClasses,
    /// `rows × classes` does not fit in `usize`.
    TooLarge {
        /// Rows asked for.
        rows: usize,
        /// Classes asked for.
        classes: usize,
    },
    /// A slice does not have the length that the others imply.
    Length {
        /// Which slice: `"gradient"`, `"targets"`, …
        of: &'static str,
        /// Elements it should have.
        expected: usize,
        /// Elements it has.
        found: usize,
    },
    /// The logits are not a whole number of rows.
    Ragged {
        /// Elements there are.
        found: usize,
        /// Elements that a row has.
        classes: usize,
    },
    /// A label is not the index of a class.
    Label {
        /// The row it belongs to.
        row: usize,
        /// The label as given.
        label: i128,
        /// How many classes there are; labels run from zero to one less.
        classes: usize,
    },
    /// An option has a value that it cannot have, or does not go with the others.
    Option {
        /// Which option: `"label smoothing"`, `"focal gamma"`, …
        option: &'static str,
        /// Why it is refused.
        reason: &'static str,
    },
    /// A row has nothing to compare with, and that was to be an error.
    Empty {
        /// The first such row.
        row: usize,
    },
    /// An input that should be a probability, from 0 to 1, is not.
    Probability {
        /// Which element, counted from the first of the batch.
        element: usize,
        /// What it is.
        value: f64,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::ZeroClasses => f.write_str("a row needs at least one class, found zero"),
            Self::TooLarge { rows, classes } => {
                write!(f, "{rows} rows of {classes} classes are more elements than memory can hold")
            }
            Self::Length { of, expected, found } => {
                write!(f, "wrong length of the {of}: expected {expected} elements, found {found}")
            }
            Self::Ragged { found, classes } => {
                write!(
                    f,
                    "the logits are not whole rows: {found} elements, {classes} classes a row"
                )
            }
            Self::Label { row, label, classes } => {
                write!(f, "label out of range: row {row} has {label}, expected 0..{classes}")
            }
            Self::Option { option, reason } => write!(f, "{option}: {reason}"),
            Self::Empty { row } => write!(f, "nothing to compare with: row {row} has no target"),
            Self::Probability { element, value } => {
                write!(f, "not a probability: element {element} is {value}, expected 0 to 1")
            }
        }
    }
}

impl core::error::Error for Error {}

/// Compares a slice's length with what it should be.
pub(crate) fn check_length(of: &'static str, expected: usize, found: usize) -> Result<(), Error> {
    if found == expected { Ok(()) } else { Err(Error::Length { of, expected, found }) }
}
