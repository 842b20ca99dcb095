//! Errors in the input.

use core::fmt;

/// Why a call was refused. When an error is returned, nothing has been written.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Error {
    /// A row needs at least one class.
    ZeroClasses,
    /// `rows × classes` does not fit in `usize`.
    TooLarge {
        /// The number of rows.
        rows: usize,
        /// The number of classes.
        classes: usize,
    },
    /// A slice does not have the length that the others imply.
    Length {
        /// The slice: `"gradient"`, `"targets"`, …
        of: &'static str,
        /// The expected number of elements.
        expected: usize,
        /// The number of elements found.
        found: usize,
    },
    /// The logits are not a whole number of rows.
    Ragged {
        /// The number of elements.
        found: usize,
        /// The number of elements of a row.
        classes: usize,
    },
    /// A label is not the index of a class.
    Label {
        /// Its row.
        row: usize,
        /// The label as given.
        label: i128,
        /// The number of classes; labels are below it.
        classes: usize,
    },
    /// An option has an invalid value, or does not go with the others.
    Option {
        /// The option: `"label smoothing"`, `"focal gamma"`, …
        option: &'static str,
        /// Why it is refused.
        reason: &'static str,
    },
    /// A row has no target, and that was to be an error.
    Empty {
        /// The first such row.
        row: usize,
    },
    /// A number is outside its range.
    Value {
        /// The slice that it belongs to.
        of: Values,
        /// Its index there.
        element: usize,
        /// Its row, if it belongs to one.
        row: Option<usize>,
        /// Its class, if it belongs to one.
        class: Option<usize>,
        /// The number.
        value: f64,
    },
}

/// Slices of numbers with a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Values {
    /// Targets of a sigmoid or logistic loss, or of a multi-label soft margin: from 0 to 1.
    SigmoidTargets,
    /// Dense targets of a softmax loss: finite and not negative.
    SoftmaxTargets,
    /// Labels of a multi-label softmax: finite and not negative.
    MultiLabels,
    /// Labels that are stored as floats: whole numbers.
    Labels,
    /// Weights of classes: finite and not negative.
    ClassWeights,
    /// Weights of the positive part of classes: finite and not negative.
    PosWeights,
    /// Weights of rows: finite.
    SampleWeights,
    /// Probabilities that are not ignored: from 0 to 1.
    Probabilities,
}

impl Values {
    /// Their name, and the expected range.
    fn words(self) -> (&'static str, &'static str) {
        const UNIT: &str = "a number from 0 to 1";
        const WEIGHT: &str = "a finite number that is not negative";
        match self {
            Self::SigmoidTargets => ("targets", UNIT),
            Self::SoftmaxTargets => ("dense targets", WEIGHT),
            Self::MultiLabels => ("labels", WEIGHT),
            Self::Labels => ("labels", "a whole number"),
            Self::ClassWeights => ("class weights", WEIGHT),
            Self::PosWeights => ("pos weight", WEIGHT),
            Self::SampleWeights => ("sample weights", "a finite number"),
            Self::Probabilities => ("probabilities", UNIT),
        }
    }

    /// What to do about an invalid value.
    fn remedy(self, value: f64) -> &'static str {
        const MISSING: &str = "if a negative number marks a missing target, pass integers with it \
                               as the ignore index, or give the row a sample weight of 0 and a valid target";
        match self {
            Self::SigmoidTargets if value > 1.0 => {
                "divide a mask of 0 and 255 by 255, percentages by 100"
            }
            Self::SigmoidTargets | Self::MultiLabels if value < 0.0 => MISSING,
            Self::SoftmaxTargets if value < 0.0 => {
                "pass exp of log-probabilities; replace a negative number that marks a missing target \
                 by 0"
            }
            Self::SigmoidTargets | Self::SoftmaxTargets | Self::MultiLabels => {
                "replace numbers that are not finite"
            }
            Self::Labels => {
                "a label is the index of a class; pass numbers for every class as dense targets"
            }
            Self::ClassWeights | Self::PosWeights => "to ignore a class, give it 0",
            Self::SampleWeights => "to ignore a row, give it 0",
            Self::Probabilities if value.is_nan() => "check the computation that produced it",
            Self::Probabilities => "pass logits to a loss of logits; divide percentages by 100",
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::ZeroClasses => f.write_str("a row needs at least one class, found zero"),
            Self::TooLarge { rows, classes } => {
                write!(f, "{rows} rows of {classes} classes do not fit in memory")
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
            Self::Empty { row } => write!(f, "row {row} has no target"),
            Self::Value { of, element, row, class, value } => {
                let (name, expected) = of.words();
                write!(f, "{name}: element {element}")?;
                match (row, class) {
                    (Some(row), Some(class)) => write!(f, " (row {row}, class {class})")?,
                    (Some(row), None) => write!(f, " (row {row})")?,
                    (None, Some(class)) => write!(f, " (class {class})")?,
                    (None, None) => {}
                }
                write!(f, " is {value}, expected {expected}: {}", of.remedy(value))
            }
        }
    }
}

impl core::error::Error for Error {}

/// Compares a slice's length with the expected one.
pub(crate) fn check_length(of: &'static str, expected: usize, found: usize) -> Result<(), Error> {
    if found == expected { Ok(()) } else { Err(Error::Length { of, expected, found }) }
}
