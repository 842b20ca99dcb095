//! One call: arrays in, arrays out.

use std::borrow::Cow;

use half::{bf16, f16};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use xent::{
    Element, InputError, Labels, Logits, LogitsMut, Pass, Quantisation, Reduction, Report, Targets,
    labels_from_floats,
};

use crate::array::{Array, Borrows};
use crate::dtype::{Dtype, Stored};
use crate::errors::{exception, value_error};
use crate::layout::{Layout, axis_of, inverse};
use crate::options::{CallOptions, Kind, LossOptions};
use crate::threads;

/// Numbers that logits are stored in.
pub(crate) trait Format: Element<Float: Number> + Stored {}

/// Numbers that losses are computed in.
pub(crate) trait Number: xent::Float<Float = Self> + Stored + numpy::Element {}

impl Number for f32 {}
impl Number for f64 {}
impl Format for f32 {}
impl Format for f64 {}
impl Format for f16 {}
impl Format for bf16 {}
impl Format for i8 {}
impl Format for u8 {}
impl Format for i16 {}

/// What a call has given.
#[derive(Debug)]
pub(crate) struct Outcome<'py> {
    pub(crate) report: Report,
    pub(crate) reduction: Reduction,
    pub(crate) grad: Option<Bound<'py, PyAny>>,
    pub(crate) losses: Option<Bound<'py, PyAny>>,
    pub(crate) log_sum_exp: Option<Bound<'py, PyAny>>,
    pub(crate) predicted: Option<Bound<'py, PyAny>>,
    pub(crate) hessian: Option<Bound<'py, PyAny>>,
}

/// Evaluates a loss.
pub(crate) fn evaluate<'py>(
    logits: &Bound<'py, PyAny>,
    targets: &Bound<'py, PyAny>,
    loss: &LossOptions,
    call: &CallOptions<'py>,
) -> PyResult<Outcome<'py>> {
    let logits = Array::of(logits, "logits")?;
    match (logits.dtype, call.quantisation) {
        (Dtype::I8 | Dtype::U8 | Dtype::I16, None) => Err(PyTypeError::new_err(format!(
            "logits: {} without quantisation: give quantisation=(scale, zero_point), or convert them to float32",
            logits.dtype.name(),
        ))),
        (Dtype::F32, None) => Call::new(logits, loss, call)?.run::<f32>(targets),
        (Dtype::F64, None) => Call::new(logits, loss, call)?.run::<f64>(targets),
        (Dtype::F16, None) => Call::new(logits, loss, call)?.run::<f16>(targets),
        (Dtype::Bf16, None) => Call::new(logits, loss, call)?.run::<bf16>(targets),
        (Dtype::I8, Some(_)) => Call::new(logits, loss, call)?.run::<i8>(targets),
        (Dtype::U8, Some(_)) => Call::new(logits, loss, call)?.run::<u8>(targets),
        (Dtype::I16, Some(_)) => Call::new(logits, loss, call)?.run::<i16>(targets),
        (dtype, Some(_)) => Err(PyTypeError::new_err(format!(
            "quantisation: {} logits have none: int8, uint8 and int16 do",
            dtype.name(),
        ))),
        (dtype, None) => Err(PyTypeError::new_err(format!(
            "logits: expected float32, float64, float16 or bfloat16, found {}: convert them with astype",
            dtype.name(),
        ))),
    }
}

/// Targets in a form that xent reads.
enum Prepared<'py> {
    Labels(Array<'py>),
    /// Labels that were given as whole numbers in a float type, in this array.
    Whole(Vec<i64>, Array<'py>),
    MultiHot(Array<'py>),
    Dense(Array<'py>),
    Teacher(Array<'py>),
    Positives(Vec<usize>, Array<'py>),
}

impl<'py> Prepared<'py> {
    /// The array that is read.
    fn array(&self) -> &Array<'py> {
        match self {
            Self::Labels(array)
            | Self::MultiHot(array)
            | Self::Dense(array)
            | Self::Teacher(array)
            | Self::Whole(_, array)
            | Self::Positives(_, array) => array,
        }
    }
}

struct Call<'a, 'py> {
    /// What was given as the logits.
    given: Array<'py>,
    /// Those that are read: the same, or a copy in an order that has a layout.
    logits: Array<'py>,
    layout: Layout,
    loss: &'a LossOptions,
    options: &'a CallOptions<'py>,
}

impl<'a, 'py> Call<'a, 'py> {
    fn new(
        logits: Array<'py>,
        loss: &'a LossOptions,
        options: &'a CallOptions<'py>,
    ) -> PyResult<Self> {
        let dimensions = logits.shape().len();
        // Logits of a yes or no question may have no axis of classes.
        let axis = if loss.kind.has_losses_of_elements() && dimensions < 2 {
            axis_of(options.axis, 1)?;
            None
        } else {
            Some(axis_of(options.axis, dimensions)?)
        };
        let given = logits.clone();
        let (logits, layout) = match Layout::of(&logits, axis) {
            Some(layout) => (logits, layout),
            None => {
                let copied = logits.copied()?;
                let layout = Layout::of(&copied, axis);
                let layout =
                    layout.ok_or_else(|| PyValueError::new_err("logits: no such layout"))?;
                (copied, layout)
            }
        };
        if layout.classes() == 0 {
            return Err(value_error("logits", InputError::ZeroClasses));
        }
        Ok(Self { given, logits, layout, loss, options })
    }

    fn run<E: Format>(self, targets: &Bound<'py, PyAny>) -> PyResult<Outcome<'py>> {
        let py = targets.py();
        let number = <E::Float as Stored>::DTYPE;
        let Self { logits, layout, loss, options, .. } = &self;
        let prepared = self.targets(targets, number)?;
        let class_weights = self.weights(&options.class_weights, "class_weights", number)?;
        let pos_weight = self.weights(&options.pos_weight, "pos_weight", number)?;
        let sample_weights =
            optional(&options.sample_weights, layout.rows(), "sample_weights", number)?;
        let upstream = match &options.upstream {
            Some(given) if loss.kind.has_losses_of_elements() => {
                Some(self.like_logits(Array::of(given, "upstream")?, "upstream")?.cast(number)?)
            }
            given => optional(given, layout.rows(), "upstream", number)?,
        };
        let gradient = self.gradient::<E>()?;
        // Copied logits may be overwritten.
        let read_logits = match &gradient {
            Place::OverLogits => None,
            Place::Here(Here { is_logits: true, .. }) => Some(logits.clone().detached()),
            _ => Some(logits.clone()),
        };
        let read = [
            ("class_weights", class_weights.as_ref()),
            ("pos_weight", pos_weight.as_ref()),
            ("sample_weights", sample_weights.as_ref()),
            ("upstream", upstream.as_ref()),
            ("targets", Some(prepared.array())),
            ("logits", read_logits.as_ref()),
        ];
        let written = match &gradient {
            Place::OverLogits => Some(("out", logits)),
            Place::Here(here) => Some(("out", &here.array)),
            Place::Nowhere => None,
        };
        let borrows = Borrows::new(written, &read)?;

        let [of_classes, of_positive] =
            [&class_weights, &pos_weight].map(|array| numbers(array, &borrows));
        let built = loss.build::<E::Float, E>(of_classes, of_positive).map_err(exception)?;
        let reduction = built.policy().reduction;
        let of_elements = loss.kind.has_losses_of_elements();
        let losses = (options.losses || reduction == Reduction::None)
            .then(|| self.zeros::<E::Float>(py, of_elements))
            .transpose()?;
        let log_sum_exp =
            options.log_sum_exp.then(|| self.zeros::<E::Float>(py, false)).transpose()?;
        let predicted = options.predicted.then(|| self.zeros::<u32>(py, false)).transpose()?;
        let hessian = options.hessian.map(|_| self.zeros::<E::Float>(py, true)).transpose()?;

        let targets = match &prepared {
            Prepared::Labels(array) => Targets::Index(labels(array, &borrows)?),
            Prepared::Whole(labels, _) => Targets::index(labels),
            Prepared::MultiHot(array) => Targets::MultiHot(labels(array, &borrows)?),
            Prepared::Dense(array) => Targets::Dense(array.memory(&borrows)),
            Prepared::Teacher(array) => Targets::Teacher(array.memory(&borrows)),
            Prepared::Positives(offsets, classes) => {
                Targets::Positives { offsets, classes: labels(classes, &borrows)? }
            }
        };
        let mut pass = Pass::<E>::new()
            .scale(options.scale)
            .sample_weights(numbers(&sample_weights, &borrows))
            .upstream(numbers(&upstream, &borrows));
        if let Some(array) = &losses {
            pass = pass.losses(array.memory_mut(&borrows));
        }
        if let Some(array) = &log_sum_exp {
            pass = pass.log_sum_exp(array.memory_mut(&borrows));
        }
        if let Some(array) = &predicted {
            pass = pass.predicted(array.memory_mut(&borrows));
        }
        if options.count_correct {
            pass = pass.count_correct();
        }
        if let (Some(array), Some(of)) = (&hessian, options.hessian) {
            let hessian = array.memory_mut(&borrows);
            pass = match &gradient {
                Place::Here(here) if options.boosting => {
                    pass.boosting(here.array.memory_mut(&borrows), hessian, of.convention)
                }
                _ => pass.hessian(hessian, of.convention),
            };
            if let Some(floor) = of.floor {
                pass = pass.hessian_floor(floor);
            }
        }
        let mut stride = layout.stride();
        if let Place::Here(Here { array, layout, .. }) = &gradient {
            stride = layout.stride();
            if !options.boosting {
                pass = match (array.dtype == E::DTYPE, options.accumulate) {
                    (true, false) => pass.grad(array.memory_mut(&borrows)),
                    (true, true) => pass.accumulate_grad(array.memory_mut(&borrows)),
                    (false, false) => pass.wide_grad(array.memory_mut(&borrows)),
                    (false, true) => pass.accumulate_wide_grad(array.memory_mut(&borrows)),
                };
            }
        }
        let shape = layout.shape(stride).map_err(|error| exception(error.into()))?;
        let elements = logits.len();
        let report = if matches!(gradient, Place::OverLogits) {
            let logits = LogitsMut::with_layout(logits.memory_mut::<E>(&borrows), shape);
            let logits = logits.map_err(exception)?;
            threads::run(py, elements, move || built.evaluate_in_place(logits, targets, pass))?
        } else {
            let mut logits =
                Logits::with_layout(logits.memory::<E>(&borrows), shape).map_err(exception)?;
            if let Some((scale, zero_point)) = options.quantisation {
                let quantisation = Quantisation::new(scale, zero_point);
                logits = logits.quantised(quantisation.map_err(|error| exception(error.into()))?);
            }
            threads::run(py, elements, move || built.evaluate(logits, targets, pass))?
        };
        let report = report.map_err(exception)?;
        let grad = match (&options.out, gradient) {
            (Some(out), Place::Here(Here { array, copied_to: Some(place), .. })) => {
                place.assign(&array)?;
                Some(out.clone())
            }
            (Some(out), _) => Some(out.clone()),
            (None, Place::Here(Here { array, .. })) => Some(array.into_any()),
            (None, _) => None,
        };
        Ok(Outcome {
            report,
            reduction,
            grad,
            losses: losses.map(|array| self.as_indexed(array, of_elements)).transpose()?,
            log_sum_exp: log_sum_exp.map(Array::into_any),
            predicted: predicted.map(Array::into_any),
            hessian: hessian.map(|array| self.as_indexed(array, true)).transpose()?,
        })
    }

    /// Where the gradient goes.
    fn gradient<E: Format>(&self) -> PyResult<Place<'py>> {
        let Self { logits, layout, options, .. } = self;
        if options.boosting {
            if !E::DTYPE.is_float() {
                return Err(value_error("boosting", "there is none of integer logits"));
            }
            if options.accumulate {
                return Err(value_error("accumulate", "boosting adds nothing up"));
            }
        }
        let Some(out) = &options.out else {
            if options.accumulate {
                return Err(PyValueError::new_err("accumulate: give the array to add to as out"));
            }
            return if options.grad {
                self.new_gradient::<E>(None).map(Place::Here)
            } else {
                Ok(Place::Nowhere)
            };
        };
        let array = Array::of_output(out, "out")?;
        if array.shape() != logits.shape() {
            return Err(PyValueError::new_err(format!(
                "out: expected the shape of the logits, {:?}, found {:?}",
                logits.shape(),
                array.shape()
            )));
        }
        let number = <E::Float as Stored>::DTYPE;
        let is_narrow = array.dtype == E::DTYPE && E::DTYPE.is_float();
        if !is_narrow && (array.dtype != number || options.boosting) {
            return Err(PyTypeError::new_err(format!(
                "out: expected an array of {}, found {}",
                if E::DTYPE.is_float() { E::DTYPE.name() } else { number.name() },
                array.dtype.name(),
            )));
        }
        let is_logits = array.is_same(&self.given) && logits.len() != 0;
        if is_logits && options.accumulate {
            let reason = "logits that are overwritten have no gradient to add to";
            return Err(value_error("accumulate", reason));
        }
        if is_logits && options.boosting {
            return Err(value_error("out", "boosting does not overwrite the logits"));
        }
        if is_logits && array.is_same(logits) {
            return Ok(Place::OverLogits);
        }
        match Layout::of(&array, layout.axis()) {
            Some(of_out) if layout.goes_with(&of_out) => {
                Ok(Place::Here(Here { array, layout: of_out, copied_to: None, is_logits }))
            }
            _ if array.overlaps_itself() => {
                Err(value_error("out", "numbers of the array share their memory"))
            }
            // Some layout of its own: there and back.
            _ => {
                let here = self.new_gradient::<E>(Some(array))?;
                Ok(Place::Here(Here { is_logits, ..here }))
            }
        }
    }

    /// An array for the gradient, which is copied to another.
    fn new_gradient<E: Format>(&self, copied_to: Option<Array<'py>>) -> PyResult<Here<'py>> {
        let Self { logits, layout, .. } = self;
        let shape = self.memory_shape();
        let array = match &copied_to {
            Some(other) => Array::zeros_like(other, &shape)?,
            None if E::DTYPE.is_float() => Array::zeros_like(logits, &shape)?,
            None => Array::zeros::<E::Float>(logits.py(), &shape)?,
        };
        let mut array = self.indexed(array)?.detached();
        if let Some(other) = &copied_to {
            if self.options.accumulate {
                array.assign(other)?;
            }
            array = array.standing_for(other);
        }
        Ok(Here { array, layout: layout.without_gaps(), copied_to, is_logits: false })
    }

    /// The lengths of the axes of the logits, as they follow each other in memory.
    fn memory_shape(&self) -> Cow<'_, [usize]> {
        let shape = self.logits.shape();
        match self.layout.order() {
            Some(order) => order.iter().map(|at| shape[*at]).collect(),
            None => shape.into(),
        }
    }

    /// An array in the order of the logits' memory, as it is indexed.
    fn indexed(&self, array: Array<'py>) -> PyResult<Array<'py>> {
        match self.layout.order() {
            Some(order) => array.transposed(&inverse(&order)),
            None => Ok(array),
        }
    }

    fn as_indexed(&self, array: Array<'py>, of_elements: bool) -> PyResult<Bound<'py, PyAny>> {
        Ok(if of_elements { self.indexed(array)? } else { array }.into_any())
    }

    /// For numbers of rows, or of elements in the order of the logits' memory.
    fn zeros<T: Stored + numpy::Element>(
        &self,
        py: Python<'py>,
        of_elements: bool,
    ) -> PyResult<Array<'py>> {
        if of_elements {
            Array::zeros::<T>(py, &self.memory_shape())
        } else {
            Array::zeros::<T>(py, self.layout.rows())
        }
    }

    /// One number for each logit, in the order of their memory.
    fn like_logits(&self, array: Array<'py>, argument: &str) -> PyResult<Array<'py>> {
        let array = reshaped(array, self.logits.shape(), argument)?;
        match self.layout.order() {
            Some(order) => array.transposed(&order)?.contiguous(),
            None => array.contiguous(),
        }
    }

    /// Weights of classes: one for each class, or for `pos_weight` also one for all.
    fn weights(
        &self,
        given: &Option<Bound<'py, PyAny>>,
        argument: &str,
        number: Dtype,
    ) -> PyResult<Option<Array<'py>>> {
        let Some(given) = given else { return Ok(None) };
        let array = Array::of(given, argument)?;
        let classes = self.layout.classes();
        let is_one = argument == "pos_weight" && array.len() == 1;
        if !is_one && !is_shape(array.shape(), &[classes]) {
            return Err(PyValueError::new_err(format!(
                "{argument}: expected {classes} numbers, one for each class, found the shape {:?}",
                array.shape()
            )));
        }
        array.contiguous()?.cast(number).map(Some)
    }

    fn targets(&self, targets: &Bound<'py, PyAny>, number: Dtype) -> PyResult<Prepared<'py>> {
        let Self { logits, layout, loss, .. } = self;
        let kind = loss.kind;
        if let Ok(pair) = targets.cast::<PyTuple>()
            && kind.is_of_elements()
            && pair.len() == 2
        {
            let offsets = Array::of(&pair.get_item(0)?, "targets")?;
            // Two numbers are the targets of two logits.
            if !offsets.shape().is_empty() {
                return positives(offsets, Array::of(&pair.get_item(1)?, "targets")?);
            }
        }
        let array = Array::of(targets, "targets")?;
        let of_logits = is_shape(array.shape(), logits.shape());
        let of_rows = is_shape(array.shape(), layout.rows());
        let is_integer = !array.dtype.is_float();
        let wrong_shape = |expected: String| {
            PyValueError::new_err(format!(
                "targets: expected {expected}, found the shape {:?}",
                array.shape()
            ))
        };
        if kind.is_of_elements() {
            if !of_logits {
                return Err(wrong_shape(format!("one for each logit, shape {:?}", logits.shape())));
            }
            let array = self.like_logits(array, "targets")?;
            return Ok(if is_integer {
                Prepared::MultiHot(array)
            } else {
                Prepared::Dense(array.cast(number)?)
            });
        }
        let takes_labels = !matches!(kind, Kind::MultiLabelSoftmax | Kind::Distillation);
        let takes_dense = !matches!(kind, Kind::NegativeLogLikelihood | Kind::MultinomialLogistic);
        // With one class, a number for each logit is one for each row: integers are labels then, others are not.
        let is_label = is_integer && array.dtype != Dtype::Bool;
        if takes_labels && of_rows && (is_label || !of_logits || !takes_dense) {
            let array = reshaped(array, layout.rows(), "targets")?.contiguous()?;
            return if is_integer { Ok(Prepared::Labels(array)) } else { whole(array) };
        }
        if takes_dense && of_logits {
            let array = self.like_logits(array, "targets")?.cast(number)?;
            return Ok(if kind == Kind::Distillation {
                Prepared::Teacher(array)
            } else {
                Prepared::Dense(array)
            });
        }
        let mut expected = vec![];
        if takes_labels {
            expected.push(format!("labels of the shape {:?}", layout.rows()));
        }
        if takes_dense {
            expected.push(format!("a number for each logit, shape {:?}", logits.shape()));
        }
        Err(wrong_shape(expected.join(", or ")))
    }
}

/// Where the gradient goes.
enum Place<'py> {
    Nowhere,
    Here(Here<'py>),
    OverLogits,
}

struct Here<'py> {
    array: Array<'py>,
    layout: Layout,
    /// The caller's array, whose layout does not suit: the numbers go there from here.
    copied_to: Option<Array<'py>>,
    /// Whether that is what the logits were given in.
    is_logits: bool,
}

/// Numbers of this shape and type, if they were given.
pub(crate) fn optional<'py>(
    given: &Option<Bound<'py, PyAny>>,
    shape: &[usize],
    argument: &str,
    number: Dtype,
) -> PyResult<Option<Array<'py>>> {
    let Some(given) = given else { return Ok(None) };
    let array = reshaped(Array::of(given, argument)?, shape, argument)?;
    array.contiguous()?.cast(number).map(Some)
}

/// The numbers of an optional array.
pub(crate) fn numbers<'a, F: Number>(
    array: &'a Option<Array<'_>>,
    borrows: &'a Borrows,
) -> &'a [F] {
    array.as_ref().map_or(&[], |array| array.memory(borrows))
}

/// Whether a shape differs from the wanted one in axes of length one at most.
fn is_shape(found: &[usize], wanted: &[usize]) -> bool {
    let longer = |length: &&usize| **length != 1;
    found.iter().filter(longer).eq(wanted.iter().filter(longer))
}

/// The same numbers in a shape that differs in axes of length one at most.
pub(crate) fn reshaped<'py>(
    array: Array<'py>,
    wanted: &[usize],
    argument: &str,
) -> PyResult<Array<'py>> {
    if array.shape() == wanted {
        return Ok(array);
    }
    if !is_shape(array.shape(), wanted) {
        return Err(PyValueError::new_err(format!(
            "{argument}: expected the shape {wanted:?}, found {:?}",
            array.shape()
        )));
    }
    let wanted = PyTuple::new(array.py(), wanted)?;
    array.made(array.numpy()?.call_method1("reshape", (wanted,))?, array.dtype)
}

/// Labels that are whole numbers of a float type.
fn whole<'py>(array: Array<'py>) -> PyResult<Prepared<'py>> {
    // Every other type of floats would round labels of this one.
    let array = array.cast(Dtype::F64)?;
    let borrows = Borrows::new(None, &[("targets", Some(&array))])?;
    let mut labels = vec![0; array.len()];
    let read = labels_from_floats(array.memory::<f64>(&borrows), &mut labels);
    read.map_err(|error| value_error("targets", error))?;
    Ok(Prepared::Whole(labels, array))
}

/// The classes of each row: where those of a row start (and those of the last end), and the classes.
fn positives<'py>(offsets: Array<'py>, classes: Array<'py>) -> PyResult<Prepared<'py>> {
    let integers = |array: Array<'py>, what: &str| {
        if array.shape().len() != 1 {
            return Err(value_error("targets", format!("the {what} of rows have one axis")));
        }
        // An empty list is one of floats to NumPy.
        if array.dtype.is_float() && array.len() != 0 {
            return Err(PyTypeError::new_err(format!("targets: the {what} of rows are integers")));
        }
        if array.dtype.is_float() { array.cast(Dtype::I64) } else { array.contiguous() }
    };
    let classes = integers(classes, "classes")?;
    let offsets = integers(offsets, "offsets")?.cast(Dtype::I64)?;
    let borrows = Borrows::new(None, &[("targets", Some(&offsets))])?;
    let numbers = offsets.memory::<i64>(&borrows).iter().map(|offset| {
        let number = usize::try_from(*offset);
        number.map_err(|_| value_error("targets", format!("there is no offset {offset}")))
    });
    Ok(Prepared::Positives(numbers.collect::<PyResult<_>>()?, classes))
}

/// Labels of any type of integers.
pub(crate) fn labels<'a>(array: &'a Array<'_>, borrows: &'a Borrows) -> PyResult<Labels<'a>> {
    Ok(match array.dtype {
        Dtype::I8 => array.memory::<i8>(borrows).into(),
        Dtype::I16 => array.memory::<i16>(borrows).into(),
        Dtype::I32 => array.memory::<i32>(borrows).into(),
        Dtype::I64 => array.memory::<i64>(borrows).into(),
        Dtype::U8 | Dtype::Bool => array.memory::<u8>(borrows).into(),
        Dtype::U16 => array.memory::<u16>(borrows).into(),
        Dtype::U32 => array.memory::<u32>(borrows).into(),
        Dtype::U64 => array.memory::<u64>(borrows).into(),
        _ => return Err(PyTypeError::new_err("targets: expected integers")),
    })
}
