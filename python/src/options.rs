//! The options of a loss and of a call, from keyword arguments.

use pyo3::exceptions::{PyOverflowError, PyTypeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};
use xent::{
    Distillation, Element, Float, Hessian, LogisticLoss, Loss, MeanOver, MultiLabelSoftMargin,
    MultiLabelSoftmax, MultinomialLogistic, NegativeLogLikelihood, NothingValid, Preset, Reduction,
    SigmoidCrossEntropy, SoftmaxCrossEntropy,
};

use crate::errors::value_error;

/// The losses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    SoftmaxCrossEntropy,
    MultiLabelSoftmax,
    Distillation,
    SigmoidCrossEntropy,
    MultiLabelSoftMargin,
    LogisticLoss,
    NegativeLogLikelihood,
    MultinomialLogistic,
}

impl Kind {
    const ALL: [(&'static str, Self); 8] = [
        ("softmax_cross_entropy", Self::SoftmaxCrossEntropy),
        ("multi_label_softmax", Self::MultiLabelSoftmax),
        ("distillation", Self::Distillation),
        ("sigmoid_cross_entropy", Self::SigmoidCrossEntropy),
        ("multi_label_soft_margin", Self::MultiLabelSoftMargin),
        ("logistic_loss", Self::LogisticLoss),
        ("negative_log_likelihood", Self::NegativeLogLikelihood),
        ("multinomial_logistic", Self::MultinomialLogistic),
    ];

    /// From a function of this package, or its name.
    pub(crate) fn of(loss: &Bound<'_, PyAny>) -> PyResult<Self> {
        let name = match loss.cast::<PyString>() {
            Ok(name) => name.clone(),
            Err(_) => match loss
                .getattr(intern!(loss.py(), "__name__"))
                .map(|name| name.cast_into::<PyString>())
            {
                Ok(Ok(name)) => name,
                _ => {
                    return Err(PyTypeError::new_err(
                        "loss: expected a loss function of xent, or its name",
                    ));
                }
            },
        };
        let name = name.to_string_lossy();
        let found = Self::ALL.iter().find(|(of, _)| *of == name);
        found.map(|(_, kind)| *kind).ok_or_else(|| {
            let names: Vec<_> = Self::ALL.iter().map(|(name, _)| *name).collect();
            PyValueError::new_err(format!("loss: no loss {name}: expected {}", names.join(", ")))
        })
    }

    pub(crate) fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, kind)| *kind == self).map_or("", |(name, _)| name)
    }

    /// Whether every logit is a question of its own, with a loss of its own.
    pub(crate) fn has_losses_of_elements(self) -> bool {
        matches!(self, Self::SigmoidCrossEntropy | Self::LogisticLoss)
    }

    /// Whether targets are zero or one, or numbers in between, for every logit.
    pub(crate) fn is_of_elements(self) -> bool {
        self.has_losses_of_elements() || self == Self::MultiLabelSoftMargin
    }

    /// The options that it has besides those of every loss.
    fn options(self) -> &'static [&'static str] {
        match self {
            Self::SoftmaxCrossEntropy => &[
                "class_weights",
                "label_smoothing",
                "ignore_index",
                "focal_gamma",
                "z_loss",
                "soft_cap",
                "preset",
            ],
            Self::MultiLabelSoftmax => {
                &["class_weights", "label_smoothing", "z_loss", "soft_cap", "caffe_gradient"]
            }
            Self::Distillation => &["class_weights", "temperature"],
            Self::SigmoidCrossEntropy => &[
                "class_weights",
                "pos_weight",
                "label_smoothing",
                "ignore_index",
                "focal_gamma",
                "focal_alpha",
                "preset",
            ],
            Self::MultiLabelSoftMargin => {
                &["class_weights", "pos_weight", "label_smoothing", "ignore_index"]
            }
            Self::LogisticLoss => {
                &["class_weights", "pos_weight", "label_smoothing", "ignore_index", "preset"]
            }
            Self::NegativeLogLikelihood | Self::MultinomialLogistic => {
                &["class_weights", "ignore_index", "preset"]
            }
        }
    }
}

/// The functions that take options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Function {
    Value,
    ValueAndGrad,
    Evaluate,
    Linear,
}

impl Function {
    /// The options that it has besides those of the loss.
    fn options(self) -> &'static [&'static str] {
        match self {
            Self::Value => &["axis", "quantisation"],
            Self::ValueAndGrad => {
                &["axis", "quantisation", "scale", "upstream", "out", "accumulate"]
            }
            Self::Evaluate => &[
                "axis",
                "quantisation",
                "scale",
                "upstream",
                "out",
                "accumulate",
                "grad",
                "losses",
            ],
            Self::Linear => &["scale", "upstream", "grad"],
        }
    }

    /// What it can give of some losses only.
    fn outputs(self, kind: Kind) -> &'static [&'static str] {
        if self != Self::Evaluate {
            return &[];
        }
        match kind {
            Kind::SoftmaxCrossEntropy => &[
                "hessian",
                "hessian_floor",
                "boosting",
                "log_sum_exp",
                "predicted",
                "count_correct",
            ],
            Kind::MultiLabelSoftmax | Kind::Distillation => {
                &["hessian", "hessian_floor", "boosting", "log_sum_exp", "predicted"]
            }
            Kind::SigmoidCrossEntropy | Kind::MultiLabelSoftMargin => {
                &["hessian", "hessian_floor", "boosting"]
            }
            // Of probabilities.
            _ => &[],
        }
    }
}

/// The options of every loss.
const COMMON: [&str; 4] = ["reduction", "mean_over", "nothing_valid", "sample_weights"];

/// All options of a loss in a function, in groups.
fn all(kind: Kind, function: Function) -> [&'static [&'static str]; 4] {
    [kind.options(), &COMMON, function.options(), function.outputs(kind)]
}

/// What a loss is built from. Numbers that are not given are those of `Default`, which switch their option off.
#[derive(Clone, Debug)]
pub(crate) struct LossOptions {
    pub(crate) kind: Kind,
    preset: Option<Preset>,
    pub(crate) reduction: Option<Reduction>,
    mean_over: Option<MeanOver>,
    nothing_valid: Option<NothingValid>,
    label_smoothing: f64,
    pub(crate) ignore_index: Option<i64>,
    focal_gamma: Option<f64>,
    focal_alpha: Option<f64>,
    z_loss: f64,
    soft_cap: Option<f64>,
    temperature: f64,
    caffe_gradient: bool,
}

/// Second derivatives of every logit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HessianOptions {
    pub(crate) convention: Hessian,
    pub(crate) floor: Option<f64>,
}

/// What a call takes and gives besides logits and targets.
#[derive(Debug)]
pub(crate) struct CallOptions<'py> {
    pub(crate) axis: isize,
    pub(crate) class_weights: Option<Bound<'py, PyAny>>,
    pub(crate) pos_weight: Option<Bound<'py, PyAny>>,
    pub(crate) sample_weights: Option<Bound<'py, PyAny>>,
    pub(crate) upstream: Option<Bound<'py, PyAny>>,
    pub(crate) scale: f64,
    pub(crate) quantisation: Option<(f32, i32)>,
    pub(crate) out: Option<Bound<'py, PyAny>>,
    pub(crate) accumulate: bool,
    pub(crate) grad: bool,
    pub(crate) losses: bool,
    pub(crate) log_sum_exp: bool,
    pub(crate) predicted: bool,
    pub(crate) count_correct: bool,
    pub(crate) hessian: Option<HessianOptions>,
    /// First and second derivatives of each row's own loss, whatever the reduction.
    pub(crate) boosting: bool,
}

/// A loss with its options, which were read once: for calls that are many and small.
#[pyclass(frozen, name = "Loss", module = "xent._xent")]
#[derive(Debug)]
pub(crate) struct PreparedLoss {
    loss: LossOptions,
    axis: isize,
}

#[pymethods]
impl PreparedLoss {
    #[new]
    #[pyo3(signature = (loss, **options))]
    fn new(loss: &Bound<'_, PyAny>, options: Option<&Bound<'_, PyDict>>) -> PyResult<Self> {
        let (loss, call) = parse(Self::of(loss)?, Function::Value, options)?;
        let arrays = [&call.class_weights, &call.pos_weight, &call.sample_weights];
        if arrays.iter().any(|array| array.is_some()) || call.quantisation.is_some() {
            return Err(PyTypeError::new_err("weights and quantisation go with each call"));
        }
        Ok(Self { loss, axis: call.axis })
    }
}

impl PreparedLoss {
    /// From one, or a function of this package, or its name.
    pub(crate) fn of(given: &Bound<'_, PyAny>) -> PyResult<Self> {
        if let Ok(prepared) = given.cast_exact::<Self>() {
            let Self { loss, axis } = prepared.get();
            return Ok(Self { loss: loss.clone(), axis: *axis });
        }
        Kind::of(given).map(Self::without_options)
    }

    pub(crate) fn without_options(kind: Kind) -> Self {
        let loss = LossOptions {
            kind,
            preset: None,
            reduction: None,
            mean_over: None,
            nothing_valid: None,
            label_smoothing: 0.0,
            ignore_index: None,
            focal_gamma: None,
            focal_alpha: None,
            z_loss: 0.0,
            soft_cap: None,
            temperature: 1.0,
            caffe_gradient: false,
        };
        Self { loss, axis: -1 }
    }
}

/// All options of a call: those of the loss, and those that are given.
pub(crate) fn parse<'py>(
    prepared: PreparedLoss,
    function: Function,
    given: Option<&Bound<'py, PyDict>>,
) -> PyResult<(LossOptions, CallOptions<'py>)> {
    let PreparedLoss { mut loss, axis } = prepared;
    let kind = loss.kind;
    let mut call = CallOptions {
        axis,
        class_weights: None,
        pos_weight: None,
        sample_weights: None,
        upstream: None,
        scale: 1.0,
        quantisation: None,
        out: None,
        accumulate: false,
        grad: false,
        losses: false,
        log_sum_exp: false,
        predicted: false,
        count_correct: false,
        hessian: None,
        boosting: false,
    };
    let Some(given) = given else { return Ok((loss, call)) };
    let mut floor = None;
    for (name, value) in given.iter() {
        let name = name.cast::<PyString>()?.to_string_lossy();
        if !all(kind, function).iter().any(|names| names.contains(&&*name)) {
            return Err(no_option(kind, function, &name));
        }
        if value.is_none() {
            continue;
        }
        let number =
            || value.extract::<f64>().map_err(|error| of_argument(&name, "a number", &error));
        let flag = || value.extract::<bool>().map_err(|error| of_argument(&name, "a bool", &error));
        match &*name {
            "class_weights" => call.class_weights = Some(value),
            "pos_weight" => call.pos_weight = Some(value),
            "label_smoothing" => loss.label_smoothing = number()?,
            "ignore_index" => {
                let label = value.extract::<i64>();
                loss.ignore_index = Some(
                    label.map_err(|error| of_argument(&name, "an integer of 64 bits", &error))?,
                );
            }
            "focal_gamma" => loss.focal_gamma = Some(number()?),
            "focal_alpha" => loss.focal_alpha = Some(number()?),
            "z_loss" => loss.z_loss = number()?,
            "soft_cap" => loss.soft_cap = Some(number()?),
            "temperature" => loss.temperature = number()?,
            "caffe_gradient" => loss.caffe_gradient = flag()?,
            "preset" => {
                loss.preset =
                    Some(text(&name, &value)?.parse().map_err(|error| value_error(&name, error))?);
            }
            "reduction" => {
                use Reduction as R;
                loss.reduction = Some(one_of(
                    &name,
                    &value,
                    &[("mean", R::Mean), ("sum", R::Sum), ("none", R::None)],
                )?);
            }
            "mean_over" => {
                use MeanOver as M;
                let names = [
                    ("all_rows", M::AllRows),
                    ("not_ignored", M::NotIgnored),
                    ("pytorch", M::PyTorch),
                    ("weights", M::Weights),
                ];
                loss.mean_over = Some(one_of(&name, &value, &names)?);
            }
            "nothing_valid" => {
                use NothingValid as N;
                let names = [("zero", N::Zero), ("nan", N::Nan), ("error", N::Error)];
                loss.nothing_valid = Some(one_of(&name, &value, &names)?);
            }
            "axis" => call.axis = integer(&name, &value)?,
            "sample_weights" => call.sample_weights = Some(value),
            "upstream" => call.upstream = Some(value),
            "scale" => call.scale = number()?,
            "quantisation" => {
                let pair = value.extract::<(f32, i32)>();
                let what = "a pair (scale, zero point)";
                call.quantisation = Some(pair.map_err(|error| of_argument(&name, what, &error))?);
            }
            "out" => call.out = Some(value),
            "accumulate" => call.accumulate = flag()?,
            "grad" => call.grad = flag()?,
            "losses" => call.losses = flag()?,
            "log_sum_exp" => call.log_sum_exp = flag()?,
            "predicted" => call.predicted = flag()?,
            "count_correct" => call.count_correct = flag()?,
            "hessian" => {
                use Hessian as H;
                let names =
                    [("exact", H::Exact), ("xgboost", H::XgBoost), ("lightgbm", H::LightGbm)];
                let convention = one_of(&name, &value, &names)?;
                call.hessian = Some(HessianOptions { convention, floor: None });
            }
            "hessian_floor" => floor = Some(number()?),
            "boosting" => call.boosting = flag()?,
            _ => return Err(no_option(kind, function, &name)),
        }
    }
    if call.boosting {
        call.grad = true;
        let exact = HessianOptions { convention: Hessian::Exact, floor };
        call.hessian.get_or_insert(exact);
    }
    match &mut call.hessian {
        Some(hessian) => hessian.floor = floor,
        None if floor.is_some() => {
            return Err(value_error("hessian_floor", "ask for second derivatives with hessian"));
        }
        None => {}
    }
    Ok((loss, call))
}

/// `TypeError`: this loss has no option of that name there.
fn no_option(kind: Kind, function: Function, name: &str) -> PyErr {
    let of = match function {
        Function::Linear => "linear_cross_entropy",
        _ => kind.name(),
    };
    let names = all(kind, function).concat().join(", ");
    let elsewhere = match function {
        Function::Value if all(kind, Function::ValueAndGrad).concat().contains(&name) => {
            ": value_and_grad has"
        }
        Function::Value | Function::ValueAndGrad
            if all(kind, Function::Evaluate).concat().contains(&name) =>
        {
            ": evaluate has"
        }
        _ => "",
    };
    PyTypeError::new_err(format!("{of} has no option {name}{elsewhere}; it has {names}"))
}

/// A `TypeError` that names the argument; a `ValueError` for a number that is too large.
fn of_argument(name: &str, expected: &str, error: &PyErr) -> PyErr {
    Python::attach(|py| {
        let message = format!("{name}: expected {expected}: {}", error.value(py));
        if error.is_instance_of::<PyOverflowError>(py) {
            PyValueError::new_err(message)
        } else {
            PyTypeError::new_err(message)
        }
    })
}

/// An integer of the machine's size.
pub(crate) fn integer(name: &str, value: &Bound<'_, PyAny>) -> PyResult<isize> {
    value.extract().map_err(|error| of_argument(name, "an integer", &error))
}

fn text<'a>(name: &str, value: &'a Bound<'_, PyAny>) -> PyResult<std::borrow::Cow<'a, str>> {
    let text = value.cast::<PyString>();
    let text = text.map_err(|_| PyTypeError::new_err(format!("{name}: expected a string")))?;
    Ok(text.to_string_lossy())
}

fn one_of<T: Copy>(name: &str, value: &Bound<'_, PyAny>, all: &[(&str, T)]) -> PyResult<T> {
    let text = text(name, value)?;
    all.iter().find(|(of, _)| *of == text).map(|(_, value)| *value).ok_or_else(|| {
        let names: Vec<_> = all.iter().map(|(name, _)| *name).collect();
        PyValueError::new_err(format!("{name}: expected {}, found {text}", names.join(", ")))
    })
}

/// A loss with the options that are given, each by the method that sets it, and with what every loss has.
macro_rules! built {
    ($options:ident: $loss:expr $(, $given:expr => $with:ident)* $(; $ignored:expr)?) => {{
        let mut loss = $loss;
        $(
            if let Some(value) = $given {
                loss = loss.$with(value)?;
            }
        )*
        $(
            if let Some(label) = $ignored {
                loss = loss.with_ignore_index(label);
            }
        )?
        if let Some(reduction) = $options.reduction {
            loss = loss.with_reduction(reduction);
        }
        if let Some(mean_over) = $options.mean_over {
            loss = loss.with_mean_over(mean_over);
        }
        if let Some(nothing_valid) = $options.nothing_valid {
            loss = loss.with_nothing_valid(nothing_valid);
        }
        loss
    }};
}

fn not_zero(number: f64) -> Option<f64> {
    (number != 0.0).then_some(number)
}

fn some<F>(weights: &[F]) -> Option<&[F]> {
    (!weights.is_empty()).then_some(weights)
}

impl LossOptions {
    /// The softmax loss, with these weights.
    ///
    /// # Errors
    /// As [`build`](Self::build).
    pub(crate) fn softmax<'w, F: Float>(
        &self,
        class_weights: &'w [F],
    ) -> Result<SoftmaxCrossEntropy<'w, F>, xent::Error> {
        Ok(built!(
            self: self.preset.map_or_else(SoftmaxCrossEntropy::new, SoftmaxCrossEntropy::preset),
            some(class_weights) => with_class_weights,
            not_zero(self.label_smoothing) => with_label_smoothing,
            self.focal_gamma => with_focal_gamma,
            not_zero(self.z_loss) => with_z_loss,
            self.soft_cap => with_soft_cap;
            self.ignore_index
        ))
    }

    /// The loss, with these weights.
    ///
    /// # Errors
    /// Of an option that is out of its range, or does not go with the others.
    pub(crate) fn build<'w, F: Float, E: Element<Float = F>>(
        &self,
        class_weights: &'w [F],
        pos_weight: &'w [F],
    ) -> Result<Box<dyn Loss<E> + Send + Sync + 'w>, xent::Error> {
        let (classes, positive) = (some(class_weights), some(pos_weight));
        let smoothing = not_zero(self.label_smoothing);
        Ok(match self.kind {
            Kind::SoftmaxCrossEntropy => Box::new(self.softmax(class_weights)?),
            Kind::MultiLabelSoftmax => {
                let loss = MultiLabelSoftmax::new();
                let loss = if self.caffe_gradient { loss.with_caffe_gradient()? } else { loss };
                Box::new(built!(
                    self: loss,
                    classes => with_class_weights,
                    smoothing => with_label_smoothing,
                    not_zero(self.z_loss) => with_z_loss,
                    self.soft_cap => with_soft_cap
                ))
            }
            Kind::Distillation => Box::new(
                built!(self: Distillation::new(self.temperature)?, classes => with_class_weights),
            ),
            Kind::SigmoidCrossEntropy => {
                let loss =
                    self.preset.map_or_else(SigmoidCrossEntropy::new, SigmoidCrossEntropy::preset);
                let is_focal = self.focal_gamma.is_some() || self.focal_alpha.is_some();
                let gamma = self.focal_gamma.unwrap_or(0.0);
                Box::new(built!(
                    self: if is_focal { loss.with_focal(gamma, self.focal_alpha)? } else { loss },
                    classes => with_class_weights,
                    positive => with_pos_weight,
                    smoothing => with_label_smoothing;
                    self.ignore_index
                ))
            }
            Kind::MultiLabelSoftMargin => Box::new(built!(
                self: MultiLabelSoftMargin::new(),
                classes => with_class_weights,
                positive => with_pos_weight,
                smoothing => with_label_smoothing;
                self.ignore_index
            )),
            Kind::LogisticLoss => Box::new(built!(
                self: self.preset.map_or_else(LogisticLoss::new, LogisticLoss::preset),
                classes => with_class_weights,
                positive => with_pos_weight,
                smoothing => with_label_smoothing;
                self.ignore_index
            )),
            Kind::NegativeLogLikelihood => Box::new(built!(
                self: self.preset.map_or_else(NegativeLogLikelihood::new, NegativeLogLikelihood::preset),
                classes => with_class_weights;
                self.ignore_index
            )),
            Kind::MultinomialLogistic => Box::new(built!(
                self: self.preset.map_or_else(MultinomialLogistic::new, MultinomialLogistic::preset),
                classes => with_class_weights;
                self.ignore_index
            )),
        })
    }
}
