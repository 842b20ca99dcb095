//! The functions of the module.

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyFloat};
use rayon::prelude::*;
use xent::{Level, Reduction};

use crate::array::{Array, Borrows};
use crate::call::{self, Outcome};
use crate::dtype::Dtype;
use crate::errors::{exception, value_error};
use crate::layout::{axis_of, inverse};
use crate::options::{Function, PreparedLoss, integer, parse};
use crate::threads;

/// The reduced loss as a number, or the loss of each row.
fn loss_of<'py>(py: Python<'py>, outcome: &mut Outcome<'py>) -> PyResult<Bound<'py, PyAny>> {
    if outcome.reduction == Reduction::None
        && let Some(losses) = outcome.losses.take()
    {
        return Ok(losses);
    }
    Ok(PyFloat::new(py, outcome.report.loss).into_any())
}

/// The loss.
#[pyfunction]
#[pyo3(signature = (loss, logits, targets, **options))]
pub(crate) fn value<'py>(
    loss: &Bound<'py, PyAny>,
    logits: &Bound<'py, PyAny>,
    targets: &Bound<'py, PyAny>,
    options: Option<&Bound<'py, PyDict>>,
) -> PyResult<Bound<'py, PyAny>> {
    let (loss, call) = parse(PreparedLoss::of(loss)?, Function::Value, options)?;
    let mut outcome = call::evaluate(logits, targets, &loss, &call)?;
    loss_of(logits.py(), &mut outcome)
}

/// The loss and its gradient by the logits, in one pass.
///
/// Args:
///     loss: One of the loss functions, or its name.
///     logits: As for :func:`softmax_cross_entropy`.
///     targets: As for the loss.
///     out: Where the gradient is written: an array of the shape of the logits, and their type (for 16 bits also float32).
///         If it is the logits' own array, their place is taken by the gradient.
///     accumulate: The gradient is added to what ``out`` has.
///     scale: A factor of the gradient.
///     upstream: With ``reduction="none"``, a factor of the gradient of each row (of each element).
///
/// Other options are those of the loss.
///
/// Returns:
///     The loss, and the gradient: ``out``, or an array with the type and the memory order of the logits. Of integer logits
///     it is float32.
///
/// Raises:
///     ValueError: A shape, a label or a number is wrong, or ``out`` shares memory with another argument; the message names
///         the argument. Nothing has been written then.
///     TypeError: An array has a type that is not supported, or there is no such option.
///
/// >>> import numpy as np, xent
/// >>> logits = np.array([[0.0, 0.0]], np.float32)
/// >>> xent.value_and_grad(xent.softmax_cross_entropy, logits, [1])[1]
/// array([[ 0.5, -0.5]], dtype=float32)
#[pyfunction]
#[pyo3(signature = (loss, logits, targets, *, out = None, **options))]
pub(crate) fn value_and_grad<'py>(
    loss: &Bound<'py, PyAny>,
    logits: &Bound<'py, PyAny>,
    targets: &Bound<'py, PyAny>,
    out: Option<Bound<'py, PyAny>>,
    options: Option<&Bound<'py, PyDict>>,
) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyAny>)> {
    let (loss, mut call) = parse(PreparedLoss::of(loss)?, Function::ValueAndGrad, options)?;
    (call.grad, call.out) = (true, out);
    let mut outcome = call::evaluate(logits, targets, &loss, &call)?;
    let value = loss_of(logits.py(), &mut outcome)?;
    let grad = outcome.grad.take().ok_or_else(|| PyTypeError::new_err("no gradient"))?;
    Ok((value, grad))
}

/// All results of a pass, by name.
#[pyfunction]
#[pyo3(signature = (loss, logits, targets, **options))]
pub(crate) fn evaluate<'py>(
    loss: &Bound<'py, PyAny>,
    logits: &Bound<'py, PyAny>,
    targets: &Bound<'py, PyAny>,
    options: Option<&Bound<'py, PyDict>>,
) -> PyResult<Bound<'py, PyDict>> {
    let py = logits.py();
    let (loss, call) = parse(PreparedLoss::of(loss)?, Function::Evaluate, options)?;
    let Outcome { report, reduction, grad, losses, log_sum_exp, predicted, hessian } =
        call::evaluate(logits, targets, &loss, &call)?;
    let results = PyDict::new(py);
    results.set_item("loss", (reduction != Reduction::None).then_some(report.loss))?;
    results.set_item("mean_loss", report.mean_loss)?;
    results.set_item("grad", grad)?;
    results.set_item("losses", losses)?;
    results.set_item("log_sum_exp", log_sum_exp)?;
    results.set_item("predicted", predicted)?;
    results.set_item("hessian", hessian)?;
    results.set_item("rows", report.rows)?;
    results.set_item("valid_rows", report.valid_rows)?;
    results.set_item("denominator", report.denominator)?;
    results.set_item("correct", report.correct)?;
    results.set_item("accuracy", report.correct.map(|_| report.accuracy()))?;
    results.set_item("not_finite", report.not_finite.rows)?;
    results.set_item("clamped", report.clamped)?;
    Ok(results)
}

/// What is computed of each row.
#[derive(Clone, Copy)]
enum OfRows {
    LogSumExp,
    Softmax,
    LogSoftmax,
}

/// The log-sum-exp of each row: ``ln Σ_c e^(x_c)``.
///
/// Args:
///     logits: Any array of float32, float64, float16 or bfloat16 (ml_dtypes), with the classes on ``axis``.
///     axis: The axis of the classes.
///
/// Returns:
///     An array of the shape of the logits without that axis, and of their type.
///
/// Raises:
///     ValueError: There is no such axis, or it has no class.
///     TypeError: The array has a type that is not supported.
///
/// >>> import xent
/// >>> xent.log_sum_exp([[0.0, 0.0], [1000.0, 0.0]]).round(6).tolist()
/// [0.693147, 1000.0]
#[pyfunction]
#[pyo3(signature = (logits, *, axis = None), text_signature = "(logits, *, axis=-1)")]
pub(crate) fn log_sum_exp<'py>(
    logits: &Bound<'py, PyAny>,
    axis: Option<&Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    of_rows(logits, axis, OfRows::LogSumExp)
}

/// The probabilities of each row: ``e^(x_c) / Σ_j e^(x_j)``.
///
/// Returns:
///     An array of the shape and the type of the logits.
///
/// Arguments and errors are those of :func:`log_sum_exp`.
///
/// >>> import xent
/// >>> xent.softmax([[0.0, 0.0], [1000.0, 0.0]]).tolist()
/// [[0.5, 0.5], [1.0, 0.0]]
#[pyfunction]
#[pyo3(signature = (logits, *, axis = None), text_signature = "(logits, *, axis=-1)")]
pub(crate) fn softmax<'py>(
    logits: &Bound<'py, PyAny>,
    axis: Option<&Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    of_rows(logits, axis, OfRows::Softmax)
}

/// The logarithms of the probabilities of each row: ``x_c - ln Σ_j e^(x_j)``.
///
/// Returns:
///     An array of the shape and the type of the logits.
///
/// Arguments and errors are those of :func:`log_sum_exp`.
///
/// >>> import xent
/// >>> xent.log_softmax([[1000.0, 0.0]]).tolist()
/// [[0.0, -1000.0]]
#[pyfunction]
#[pyo3(signature = (logits, *, axis = None), text_signature = "(logits, *, axis=-1)")]
pub(crate) fn log_softmax<'py>(
    logits: &Bound<'py, PyAny>,
    axis: Option<&Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    of_rows(logits, axis, OfRows::LogSoftmax)
}

fn of_rows<'py>(
    logits: &Bound<'py, PyAny>,
    axis: Option<&Bound<'py, PyAny>>,
    what: OfRows,
) -> PyResult<Bound<'py, PyAny>> {
    let axis = axis.map_or(Ok(-1), |axis| integer("axis", axis))?;
    let array = Array::of(logits, "logits")?;
    match array.dtype {
        Dtype::F32 => rows_of::<f32>(array, axis, what),
        Dtype::F64 => rows_of::<f64>(array, axis, what),
        // Computed in f32, and rounded once.
        dtype if dtype.is_float() => {
            let given = array.numpy()?.getattr("dtype")?;
            rows_of::<f32>(array.cast(Dtype::F32)?, axis, what)?.call_method1("astype", (given,))
        }
        dtype => Err(PyTypeError::new_err(format!(
            "logits: expected float32, float64, float16 or bfloat16, found {}: convert them with astype",
            dtype.name()
        ))),
    }
}

fn rows_of<'py, F: call::Number>(
    array: Array<'py>,
    axis: isize,
    what: OfRows,
) -> PyResult<Bound<'py, PyAny>> {
    let py = array.py();
    let dimensions = array.shape().len();
    let axis = axis_of(axis, dimensions)?;
    // The classes last.
    let mut order: Vec<usize> = (0..dimensions).filter(|at| *at != axis).collect();
    order.push(axis);
    let rows = array.transposed(&order)?.contiguous()?;
    let (classes, elements) = (array.shape()[axis], array.len());
    if classes == 0 {
        return Err(value_error("logits", xent::InputError::ZeroClasses));
    }
    let lengths = rows.shape();
    let lengths =
        if matches!(what, OfRows::LogSumExp) { &lengths[..dimensions - 1] } else { lengths };
    let out = Array::zeros::<F>(py, lengths)?;
    let borrows = Borrows::new(Some(("out", &out)), &[("logits", Some(&rows))])?;
    let (x, results) = (rows.memory::<F>(&borrows), out.memory_mut::<F>(&borrows));
    let level = Level::detect();
    let computed = threads::run(py, elements, move || match what {
        OfRows::LogSumExp => {
            let shape = xent::Shape::rows(results.len(), classes)?;
            let batch = xent_core::LogSumExpBatch::new(x, shape, results)?;
            xent_rayon::run(batch, level);
            Ok(())
        }
        OfRows::Softmax => {
            each_row(x, results, classes, |x, out| xent_core::softmax(level, x, out))
        }
        OfRows::LogSoftmax => {
            each_row(x, results, classes, |x, out| xent_core::log_softmax(level, x, out))
        }
    })?;
    computed.map_err(|error: xent::InputError| exception(error.into()))?;
    Ok(match what {
        OfRows::LogSumExp => out.into_any(),
        _ => out.transposed(&inverse(&order))?.into_any(),
    })
}

/// Rows that a thread computes at a time have about so many numbers.
const CHUNK: usize = 1 << 15;

fn each_row<F: Send + Sync>(
    x: &[F],
    out: &mut [F],
    classes: usize,
    compute: impl Fn(&[F], &mut [F]) -> Result<(), xent::InputError> + Sync,
) -> Result<(), xent::InputError> {
    let length = (CHUNK / classes).max(1) * classes;
    let rows = |(x, out): (&[F], &mut [F])| {
        let mut rows = x.chunks(classes).zip(out.chunks_mut(classes));
        rows.try_for_each(|(x, out)| compute(x, out))
    };
    if x.len() <= length {
        return rows((x, out));
    }
    x.par_chunks(length).zip(out.par_chunks_mut(length)).try_for_each(rows)
}

/// The instruction sets that the losses are compiled for and this processor has, the best last.
#[pyfunction]
pub(crate) fn levels() -> Vec<String> {
    Level::available().map(|level| level.to_string()).collect()
}
