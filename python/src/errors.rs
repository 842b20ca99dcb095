//! Exceptions of Python for the errors of xent.

use std::fmt;

use pyo3::PyErr;
use pyo3::exceptions::{PyMemoryError, PyTypeError, PyValueError};
use xent::{Error, InputError, Values};

/// A `ValueError` that names the argument.
pub(crate) fn value_error(argument: &str, error: impl fmt::Display) -> PyErr {
    PyValueError::new_err(format!("{argument}: {error}"))
}

/// The exception for what a call refused; nothing has been written.
pub(crate) fn exception(error: Error) -> PyErr {
    let argument = match error {
        Error::Targets { .. } => return PyTypeError::new_err(format!("targets: {error}")),
        Error::Input(InputError::TooLarge { .. }) => {
            return PyMemoryError::new_err(format!("logits: {error}"));
        }
        Error::Input(InputError::ZeroClasses) => "logits",
        Error::Input(InputError::Label { .. } | InputError::Empty { .. }) => "targets",
        Error::Input(InputError::Value { of, .. }) => match of {
            Values::ClassWeights => "class_weights",
            Values::PosWeights => "pos_weight",
            Values::SampleWeights => "sample_weights",
            Values::Probabilities => "logits",
            _ => "targets",
        },
        Error::Input(InputError::Option { option: "floor of the Hessian", .. }) => "hessian_floor",
        // An option has the name of its argument, in words.
        Error::Input(InputError::Option { option, reason }) => {
            return value_error(&option.to_lowercase().replace(' ', "_"), reason);
        }
        Error::NothingValid => "nothing_valid",
        Error::UpstreamOfRows => "upstream",
        Error::HessianOfMean => "hessian",
        _ => return PyValueError::new_err(error.to_string()),
    };
    value_error(argument, error)
}
