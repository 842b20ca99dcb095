//! The losses of tensors.

use std::sync::Arc;

use burn::backend::Dispatch;
use burn::backend::flex::FlexTensor;
use burn::tensor::{DType, Device, Element as BurnElement, ElementConversion, Int, Shape, Tensor};
use half::{bf16, f16};
use xent::{
    Distillation, Element, Float, Labels, LogisticLoss, Logits, Loss, MultiLabelSoftMargin,
    MultiLabelSoftmax, MultinomialLogistic, NegativeLogLikelihood, Pass, Policy, Reduction,
    SigmoidCrossEntropy, SoftmaxCrossEntropy,
};

use crate::op::{self, Fused, Rule, TargetTensor};

/// Targets of any kind: `labels.into()` and `numbers.into()` make them of tensors.
#[derive(Clone, Debug)]
pub struct Targets {
    pub(crate) tensor: Kinds,
    pub(crate) dims: Vec<usize>,
}

#[derive(Clone, Debug)]
pub(crate) enum Kinds {
    Labels(Tensor<1, Int>),
    Numbers(Tensor<1>),
}

impl<const D: usize> From<Tensor<D, Int>> for Targets {
    fn from(labels: Tensor<D, Int>) -> Self {
        Self { dims: labels.dims().to_vec(), tensor: Kinds::Labels(labels.reshape([-1])) }
    }
}

impl<const D: usize> From<Tensor<D>> for Targets {
    fn from(numbers: Tensor<D>) -> Self {
        Self { dims: numbers.dims().to_vec(), tensor: Kinds::Numbers(numbers.reshape([-1])) }
    }
}

impl Targets {
    /// The tensor, for the operation. Floats get the format that the loss computes in.
    pub(crate) fn into_dispatch(self, computed: DType) -> TargetTensor<Dispatch> {
        match self.tensor {
            Kinds::Labels(labels) => TargetTensor::Labels(labels.into_dispatch()),
            Kinds::Numbers(numbers) => {
                let numbers =
                    if numbers.dtype() == computed { numbers } else { numbers.cast(computed) };
                TargetTensor::Numbers(numbers.into_dispatch())
            }
        }
    }

    /// `(1 - ε) y + ε / classes`, as floats of the format that the loss computes in.
    pub(crate) fn smoothed(self, epsilon: f32, classes: usize, computed: DType) -> Self {
        let numbers = match self.tensor {
            Kinds::Labels(labels) => labels.float(),
            Kinds::Numbers(numbers) => numbers,
        };
        let numbers = numbers.cast(computed);
        let numbers = numbers * (1.0 - f64::from(epsilon)) + f64::from(epsilon) / classes as f64;
        Self { tensor: Kinds::Numbers(numbers), dims: self.dims }
    }

    /// Labels have the shape of the logits without their last axis; floats, and integers for every logit, that of the
    /// logits. They are on the device that computes.
    pub(crate) fn check(&self, logits: &[usize], for_each_logit: bool) {
        check_device(&match &self.tensor {
            Kinds::Labels(labels) => labels.device(),
            Kinds::Numbers(numbers) => numbers.device(),
        });
        let (classes, of_rows) = logits.split_last().expect("burn's tensors have an axis");
        let found = &self.dims[..];
        let of_scalar = of_rows.is_empty() && found == [1];
        let is_of_rows = found == of_rows || of_scalar;
        let fits = match (&self.tensor, for_each_logit) {
            (Kinds::Labels(_), false) => is_of_rows,
            (Kinds::Labels(_), true) => found == logits || *classes == 1 && is_of_rows,
            (Kinds::Numbers(_), _) => found == logits,
        };
        let (what, expected) = match (&self.tensor, for_each_logit) {
            (Kinds::Labels(_), false) => {
                ("labels have the shape of the logits without the last axis, the classes", of_rows)
            }
            _ => ("these targets have the shape of the logits", logits),
        };
        assert!(fits, "xent: {what}: expected {expected:?}, found {found:?}");
    }
}

/// The losses of [`xent`] for tensors: `loss.forward(logits, targets)`.
///
/// Every loss of xent that owns its weights has it, with all of its options. One that is built with `::<f32>` takes
/// logits of f32, bf16 and f16, one with `::<f64>` those of f64.
///
/// ```
/// use burn::tensor::{Device, Int, Tensor};
/// use xent_burn::LossExt;
/// use xent_burn::xent::SoftmaxCrossEntropy;
///
/// let device = Device::flex().autodiff();
/// let loss = SoftmaxCrossEntropy::<f32>::new().with_focal_gamma(2.0)?.with_ignore_index(-1);
/// let logits = Tensor::<2>::from_floats([[2.0, 1.0, 0.0], [0.0, 3.0, 0.0]], &device).require_grad();
/// let labels = Tensor::<1, Int>::from_ints([0, -1], &device);
/// let grads = loss.forward(logits.clone(), labels).backward();
/// let of_ignored = logits.grad(&grads).unwrap().slice([1..2]);
/// assert_eq!(of_ignored.into_data().try_to_vec::<f32>().unwrap(), [0.0; 3]);
/// # Ok::<(), xent_burn::xent::Error>(())
/// ```
pub trait LossExt {
    /// The reduced loss, of shape `[1]`; with [`Reduction::None`] the losses of the rows, one after the other (for the
    /// losses of independent elements: of the elements). It is f64 for logits of f64 and otherwise f32, also for logits
    /// of 16 bits.
    ///
    /// * `logits`: shape `[.., classes]`; the last axis is that of the classes. Natural logarithms, no units. For
    ///   losses of probabilities these, or their logarithms.
    /// * `targets`: a tensor of integers has labels, in the shape of the logits without the last axis. One of floats
    ///   has a number for every class, in the shape of the logits; for [`Distillation`] the logits of the teacher. The
    ///   losses of independent elements take integers 0 and 1 for every logit, too. No gradient flows to targets.
    ///
    /// The gradient is computed in the same pass, if the logits are tracked, and is kept for `backward`.
    ///
    /// # Panics
    /// As burn's losses, with what is wrong and what was expected: if a label is not the index of a class (and not
    /// ignored), a target is out of range, shapes or formats do not fit together, the loss does not take such targets,
    /// or a tensor is on another backend than Flex.
    fn forward<const D: usize>(&self, logits: Tensor<D>, targets: impl Into<Targets>) -> Tensor<1>;
}

impl<L: Kind + Clone + Send + Sync + 'static> LossExt for L {
    fn forward<const D: usize>(&self, logits: Tensor<D>, targets: impl Into<Targets>) -> Tensor<1> {
        let targets = targets.into();
        check_device(&logits.device());
        targets.check(&logits.dims(), L::OF_ELEMENTS);
        let targets = targets.into_dispatch(<L::Float as BurnElement>::dtype());
        let loss = <Dispatch as Fused>::xent_loss(
            logits.into_dispatch(),
            targets,
            Arc::new(Fuse(self.clone())),
        );
        Tensor::from_dispatch(loss)
    }
}

/// What the operation has to know of a loss.
pub trait Kind {
    /// What it computes in.
    type Float: Formats<Self> + Float + BurnElement + bytemuck::Pod;

    /// Whether it has a loss for each element instead of each row, if it is not reduced.
    const LOSSES_OF_ELEMENTS: bool;
    /// Whether integers are targets of elements instead of rows.
    const OF_ELEMENTS: bool;

    /// What targets that are floats mean.
    fn of_floats(values: &[Self::Float]) -> xent::Targets<'_, Self::Float>;

    /// How it is reduced.
    fn policy(&self) -> Policy;
}

macro_rules! kinds {
    ($($loss:ident: $of_elements:expr, $losses_of_elements:expr, $of_floats:ident;)*) => {
        $(
            impl<F: Formats<Self> + Float + BurnElement + bytemuck::Pod> Kind for $loss<'_, F> {
                type Float = F;

                const OF_ELEMENTS: bool = $of_elements;
                const LOSSES_OF_ELEMENTS: bool = $losses_of_elements;

                fn of_floats(values: &[F]) -> xent::Targets<'_, F> {
                    xent::Targets::$of_floats(values)
                }

                fn policy(&self) -> Policy {
                    self.policy()
                }
            }
        )*
    };
}
kinds! {
    SoftmaxCrossEntropy: false, false, Dense;
    MultiLabelSoftmax: false, false, Dense;
    Distillation: false, false, Teacher;
    NegativeLogLikelihood: false, false, Dense;
    MultinomialLogistic: false, false, Dense;
    SigmoidCrossEntropy: true, true, Dense;
    LogisticLoss: true, true, Dense;
    MultiLabelSoftMargin: true, false, Dense;
}

/// The formats of logits for which a loss `L` computes in this float.
pub trait Formats<L: ?Sized>: Sized {
    /// The loss of logits in one of them, and its gradient in this float.
    fn evaluate(loss: &L, batch: Batch<'_, Self>) -> f64;
}

impl<L: Loss<f32> + Loss<bf16> + Loss<f16> + ?Sized> Formats<L> for f32 {
    fn evaluate(loss: &L, batch: Batch<'_, Self>) -> f64 {
        match batch.logits.dtype() {
            DType::F32 => batch.run::<Self, L>(loss, |pass, gradient| pass.grad(gradient)),
            DType::BF16 => batch.run::<bf16, L>(loss, |pass, gradient| pass.wide_grad(gradient)),
            DType::F16 => batch.run::<f16, L>(loss, |pass, gradient| pass.wide_grad(gradient)),
            found => wrong_format(found, "f32"),
        }
    }
}

impl<L: Loss<f64> + ?Sized> Formats<L> for f64 {
    fn evaluate(loss: &L, batch: Batch<'_, Self>) -> f64 {
        match batch.logits.dtype() {
            DType::F64 => batch.run::<Self, L>(loss, |pass, gradient| pass.grad(gradient)),
            found => wrong_format(found, "f64"),
        }
    }
}

/// Only Flex computes here. (burn's own dispatch would say no more than that the device is not supported.)
pub(crate) fn check_device(device: &Device) {
    assert!(
        *device == Device::flex(),
        "xent: xent-burn computes on the backend Flex, and found a tensor on {device:?}: move it with \
         `to_device(&Device::flex())`, or use a loss of burn there"
    );
}

/// Logits of a format that the loss is not for.
pub(crate) fn wrong_format(found: DType, float: &str) -> ! {
    let (others, other) = if float == "f32" { ("f32, bf16 or f16", "f64") } else { ("f64", "f32") };
    panic!(
        "xent: a loss that computes in {float} takes logits of {others}, found {found:?}: build it as \
         `SoftmaxCrossEntropy::<{other}>::new()`, or convert the logits with `cast`"
    )
}

/// Logits and targets, and where results go: empty for those that are not wanted.
pub struct Batch<'a, F> {
    logits: &'a FlexTensor,
    rows: usize,
    classes: usize,
    targets: xent::Targets<'a, F>,
    losses: &'a mut [F],
    gradient: &'a mut [F],
}

impl<F: Float> Batch<'_, F> {
    fn run<E: Element<Float = F> + BurnElement + bytemuck::Pod, L: Loss<E> + ?Sized>(
        self,
        loss: &L,
        put: for<'p> fn(Pass<'p, E>, &'p mut [F]) -> Pass<'p, E>,
    ) -> f64 {
        let values = self.logits.as_slice::<E>().expect("it is contiguous and of this format");
        let logits = Logits::with_shape(values, self.rows, self.classes);
        let mut pass = Pass::new().losses(self.losses);
        if !self.gradient.is_empty() {
            pass = put(pass, self.gradient);
        }
        let report = logits.and_then(|logits| loss.evaluate(logits, self.targets, pass));
        report.unwrap_or_else(|error| panic!("xent: {error}")).loss
    }
}

/// A contiguous tensor: the same, if it is.
pub(crate) fn contiguous(tensor: &FlexTensor) -> FlexTensor {
    if tensor.is_contiguous() { tensor.clone() } else { tensor.to_contiguous() }
}

/// Labels of any integer type.
pub(crate) fn labels(tensor: &FlexTensor) -> Labels<'_> {
    fn of<'a, T: BurnElement + bytemuck::Pod>(tensor: &'a FlexTensor) -> Labels<'a>
    where
        &'a [T]: Into<Labels<'a>>,
    {
        tensor.as_slice::<T>().expect("it is contiguous and of this format").into()
    }
    match tensor.dtype() {
        DType::I64 => of::<i64>(tensor),
        DType::I32 => of::<i32>(tensor),
        DType::I16 => of::<i16>(tensor),
        DType::I8 => of::<i8>(tensor),
        DType::U64 => of::<u64>(tensor),
        DType::U32 => of::<u32>(tensor),
        DType::U16 => of::<u16>(tensor),
        DType::U8 => of::<u8>(tensor),
        found => panic!("xent: labels are integers, found {found:?}"),
    }
}

/// A loss for the operation.
struct Fuse<L>(L);

impl<L: Kind + Send + Sync> Rule for Fuse<L> {
    fn compute(
        &self,
        logits: &FlexTensor,
        targets: &TargetTensor<burn::backend::Flex>,
        wants_gradient: bool,
    ) -> (FlexTensor, FlexTensor) {
        let logits = contiguous(logits);
        let shape = logits.layout().shape().clone();
        let elements = shape.num_elements();
        let classes = shape[shape.num_dims() - 1];
        let rows = elements.checked_div(classes).unwrap_or(0);
        let (TargetTensor::Labels(tensor) | TargetTensor::Numbers(tensor)) = targets;
        let tensor = contiguous(tensor);
        let targets = match targets {
            TargetTensor::Labels(_) => xent::Targets::Index(labels(&tensor)),
            TargetTensor::Numbers(_) => L::of_floats(tensor.as_slice().expect("it has been cast")),
        };
        let reduced = self.0.policy().reduction != Reduction::None;
        let count = match (reduced, L::LOSSES_OF_ELEMENTS) {
            (true, _) => 0,
            (false, true) => elements,
            (false, false) => rows,
        };
        let mut losses = vec![L::Float::default(); count];
        let mut gradient = vec![L::Float::default(); if wants_gradient { elements } else { 0 }];
        let batch = Batch {
            logits: &logits,
            rows,
            classes,
            targets,
            losses: &mut losses,
            gradient: &mut gradient,
        };
        let loss = L::Float::evaluate(&self.0, batch);
        if reduced {
            losses.push(loss.elem());
        }
        let of_losses = Shape::from([losses.len()]);
        let of_gradient = if wants_gradient { shape } else { Shape::from([0]) };
        (op::tensor(losses, of_losses), op::tensor(gradient, of_gradient))
    }
}
