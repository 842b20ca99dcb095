//! A linear layer and its loss in one.

use half::{bf16, f16};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use xent::Reduction;
use xent::linear::{Layer, LinearPass, SoftmaxTargets, Workspace};

use crate::array::{Array, Borrows};
use crate::call::{Format, Number, labels, numbers, optional, reshaped};
use crate::dtype::{Dtype, Stored};
use crate::errors::exception;
use crate::options::{CallOptions, Function, Kind, LossOptions, PreparedLoss, parse};
use crate::threads;

/// A linear layer and the softmax cross-entropy of its logits in one, without storing all logits at a time.
///
/// The logits are ``inputs @ weights.T + bias``.
///
/// Args:
///     inputs: Shape ``(…, hidden)``: float32, float64, float16 or bfloat16 (ml_dtypes).
///     weights: Shape ``(classes, hidden)``, of the same type.
///     targets: Labels of the shape ``(…)``, or in floats a number for each logit, shape ``(…, classes)``.
///     bias: Shape ``(classes,)``, of the same type.
///     grad: Whether the gradients are computed.
///     scale: A factor of the gradients.
///     upstream: With ``reduction="none"``, a factor of the gradient of each row.
///
/// Other options are those of :func:`softmax_cross_entropy`, without ``axis`` and ``quantisation``.
///
/// Returns:
///     The loss (with ``reduction="none"`` that of each row), and a list of the gradients of inputs, weights and bias:
///     float64 for float64, otherwise float32. They are ``None`` without ``grad``, that of the bias also without a bias.
///
/// Raises:
///     ValueError: A shape, a label or a number is wrong; the message names the argument.
///     TypeError: An array has a type that is not supported, or there is no such option.
///
/// >>> import numpy as np, xent
/// >>> inputs = np.array([[1.0, 0.0], [0.0, 2.0]])
/// >>> weights = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
/// >>> loss, (of_inputs, of_weights, of_bias) = xent.linear_cross_entropy(inputs, weights, [0, 1], grad=True)
/// >>> round(loss, 4), of_weights.shape, of_bias
/// (0.8103, (3, 2), None)
#[pyfunction]
#[pyo3(signature = (inputs, weights, targets, bias = None, **options))]
pub(crate) fn linear_cross_entropy<'py>(
    inputs: &Bound<'py, PyAny>,
    weights: &Bound<'py, PyAny>,
    targets: &Bound<'py, PyAny>,
    bias: Option<&Bound<'py, PyAny>>,
    options: Option<&Bound<'py, PyDict>>,
) -> PyResult<Results<'py>> {
    let softmax = PreparedLoss::without_options(Kind::SoftmaxCrossEntropy);
    let (loss, call) = parse(softmax, Function::Linear, options)?;
    let inputs = Array::of(inputs, "inputs")?.contiguous()?;
    let weights = Array::of(weights, "weights")?.contiguous()?;
    let bias = bias.map(|bias| Array::of(bias, "bias")?.contiguous()).transpose()?;
    let [inputs_shape, weights_shape] = [inputs.shape(), weights.shape()];
    let hidden = inputs_shape.last().copied().unwrap_or(0);
    if inputs_shape.is_empty() || weights_shape.len() != 2 || weights_shape[1] != hidden {
        return Err(PyValueError::new_err(format!(
            "weights: expected the shape (classes, inputs of a row), with as many inputs as {inputs_shape:?} has \
             last, found {weights_shape:?}",
        )));
    }
    for (name, array) in [("weights", Some(&weights)), ("bias", bias.as_ref())] {
        if let Some(array) = array
            && array.dtype != inputs.dtype
        {
            return Err(PyTypeError::new_err(format!(
                "{name}: expected {} like the inputs, found {}",
                inputs.dtype.name(),
                array.dtype.name()
            )));
        }
    }
    let given = Given { inputs, weights, bias, targets };
    match given.inputs.dtype {
        Dtype::F32 => run::<f32>(&given, &loss, &call),
        Dtype::F64 => run::<f64>(&given, &loss, &call),
        Dtype::F16 => run::<f16>(&given, &loss, &call),
        Dtype::Bf16 => run::<bf16>(&given, &loss, &call),
        dtype => Err(PyTypeError::new_err(format!(
            "inputs: expected float32, float64, float16 or bfloat16, found {}",
            dtype.name()
        ))),
    }
}

/// The loss, and the gradients.
type Results<'py> = (Bound<'py, PyAny>, [Option<Bound<'py, PyAny>>; 3]);

struct Given<'a, 'py> {
    inputs: Array<'py>,
    weights: Array<'py>,
    bias: Option<Array<'py>>,
    targets: &'a Bound<'py, PyAny>,
}

fn run<'py, E>(
    given: &Given<'_, 'py>,
    loss: &LossOptions,
    call: &CallOptions<'py>,
) -> PyResult<Results<'py>>
where
    E: Format + xent::linear::Number<Float: Number + xent::linear::Number<Float = E::Float>>,
{
    let py = given.targets.py();
    let number = <E::Float as Stored>::DTYPE;
    let (rows, classes) =
        (&given.inputs.shape()[..given.inputs.shape().len() - 1], given.weights.shape()[0]);
    let hidden = given.weights.shape()[1];
    let count: usize = rows.iter().product();
    let targets = Array::of(given.targets, "targets")?;
    let targets = if targets.dtype.is_float() {
        reshaped(targets, &[rows, &[classes]].concat(), "targets")?.contiguous()?.cast(number)?
    } else {
        reshaped(targets, rows, "targets")?.contiguous()?
    };
    let class_weights = optional(&call.class_weights, &[classes], "class_weights", number)?;
    let sample_weights = optional(&call.sample_weights, rows, "sample_weights", number)?;
    let upstream = optional(&call.upstream, rows, "upstream", number)?;
    let read = [
        ("inputs", Some(&given.inputs)),
        ("weights", Some(&given.weights)),
        ("bias", given.bias.as_ref()),
        ("targets", Some(&targets)),
        ("class_weights", class_weights.as_ref()),
        ("sample_weights", sample_weights.as_ref()),
        ("upstream", upstream.as_ref()),
    ];
    // All that is written is made here.
    let borrows = Borrows::new(None, &read)?;
    let softmax = loss.softmax(numbers(&class_weights, &borrows)).map_err(exception)?;
    let reduction = softmax.policy().reduction;
    let linear = softmax.linear().map_err(exception)?;
    let layer =
        Layer::new(given.inputs.memory::<E>(&borrows), given.weights.memory::<E>(&borrows), hidden);
    let mut layer = layer.map_err(|error| exception(error.into()))?;
    if let Some(bias) = &given.bias {
        let with_bias = layer.with_bias(bias.memory::<E>(&borrows));
        layer = with_bias.map_err(|error| exception(error.into()))?;
    }
    let zeros = |shape: &[usize]| Array::zeros::<E::Float>(py, shape);
    let of_grad = |shape: &[usize], wanted: bool| wanted.then(|| zeros(shape)).transpose();
    let grads = [
        of_grad(given.inputs.shape(), call.grad)?,
        of_grad(given.weights.shape(), call.grad)?,
        of_grad(&[classes], call.grad && given.bias.is_some())?,
    ];
    let losses = (reduction == Reduction::None).then(|| zeros(rows)).transpose()?;
    let mut pass = LinearPass::new()
        .scale(call.scale)
        .sample_weights(numbers(&sample_weights, &borrows))
        .upstream(numbers(&upstream, &borrows));
    if let Some(array) = &grads[0] {
        pass = pass.grad_inputs(array.memory_mut(&borrows));
    }
    if let Some(array) = &grads[1] {
        pass = pass.grad_weights(array.memory_mut(&borrows));
    }
    if let Some(array) = &grads[2] {
        pass = pass.grad_bias(array.memory_mut(&borrows));
    }
    if let Some(array) = &losses {
        pass = pass.losses(array.memory_mut(&borrows));
    }
    let targets = if targets.dtype.is_float() {
        SoftmaxTargets::Dense(targets.memory(&borrows))
    } else {
        SoftmaxTargets::Index(labels(&targets, &borrows)?)
    };
    let work = count.saturating_mul(classes).saturating_mul(hidden);
    let report = threads::run(py, work, move || {
        linear.evaluate(layer, targets, pass, &mut Workspace::new())
    })?;
    let report = report.map_err(|error| exception(error.into()))?;
    let value = match losses {
        Some(losses) => losses.into_any(),
        None => pyo3::types::PyFloat::new(py, report.loss).into_any(),
    };
    Ok((value, grads.map(|array| array.map(Array::into_any))))
}
