//! Exceptions of Python for the errors of xent.

use std::fmt;

use pyo3::PyErr;
use pyo3::exceptions::{PyMemoryError, PyTypeError, PyValueError};

/// A `ValueError` that names the argument.
pub(crate) fn value_error(argument: &str, error: impl fmt::Display) -> PyErr {
    PyValueError::new_err(format!("{argument}: {error}"))
}

/// The exception for what a call refused; nothing has been written.
pub(crate) fn exception(error: xent::Error) -> PyErr {
    match error {
        xent::Error::Targets { .. } => PyTypeError::new_err(error.to_string()),
        xent::Error::Input(xent::InputError::TooLarge { .. }) => {
            PyMemoryError::new_err(error.to_string())
        }
        _ => PyValueError::new_err(error.to_string()),
    }
}
