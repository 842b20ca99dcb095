//! The last layer and its loss in one.

use std::sync::Arc;

use burn::backend::flex::FlexTensor;
use burn::backend::{Dispatch, Flex};
use burn::tensor::{DType, Element as BurnElement, ElementConversion, Shape, Tensor};
use xent::linear::{Layer, LinearPass, Number, SoftmaxTargets, Workspace};
use xent::{Float, Reduction, SoftmaxCrossEntropy};

use crate::Targets;
use crate::loss::{check_device, contiguous, labels, wrong_format};
use crate::op::{self, Fused, LayerRule, TargetTensor};

/// The loss of a linear layer's logits `X Wᵀ + b`, without the logits in memory: in place of a `burn::nn::Linear` and a
/// softmax loss, for models with many classes (vocabularies).
///
/// * `inputs`: shape `[.., hidden]`; `weight`: shape `[classes, hidden]`; `bias`: shape `[classes]`. All of one format:
///   f32, bf16 or f16 with a loss of `f32`, f64 with one of `f64`. (burn's `Linear` has its weight as `[hidden, classes]`:
///   give `weight.val().transpose()`, which is copied once.)
/// * `targets`: labels of the shape of the inputs without the last axis, or a number for every class of each row.
///
/// Logits are made some rows at a time, become their gradient, and are multiplied into the gradients of inputs, weight
/// and bias: those that are on an autodiff device. Memory: the gradients, and at most 60 MiB (more than that only of very
/// many classes). The loss is reduced by a mean or a sum, as the gradients are sums over rows. The value is that of [`LossExt::forward`](crate::LossExt::forward).
///
/// ```
/// use burn::tensor::{Device, Int, Tensor};
/// use xent_burn::linear_cross_entropy;
/// use xent_burn::xent::SoftmaxCrossEntropy;
///
/// let device = Device::flex().autodiff();
/// let inputs = Tensor::<2>::from_floats([[1.0, 0.0], [0.0, 1.0]], &device);
/// let weight = Tensor::<2>::from_floats([[2.0, 0.0], [0.0, 3.0], [1.0, 1.0]], &device).require_grad();
/// let labels = Tensor::<1, Int>::from_ints([0, 1], &device);
/// let loss = SoftmaxCrossEntropy::<f32>::new();
/// let value = linear_cross_entropy(&loss, inputs, weight.clone(), None, labels);
/// assert!(weight.grad(&value.backward()).is_some());
/// ```
///
/// # Panics
/// If a label is not the index of a class, shapes or formats do not fit together, the loss is not reduced, or a tensor is
/// on another backend than Flex.
#[must_use]
pub fn linear_cross_entropy<F: LayerFormats, const D: usize>(
    loss: &SoftmaxCrossEntropy<'static, F>,
    inputs: Tensor<D>,
    weight: Tensor<2>,
    bias: Option<Tensor<1>>,
    targets: impl Into<Targets>,
) -> Tensor<1> {
    assert!(
        loss.policy().reduction != Reduction::None,
        "xent: a layer's gradients are sums over rows: reduce the loss by a mean or a sum"
    );
    for device in [inputs.device(), weight.device()] {
        check_device(&device);
    }
    let targets = targets.into();
    let mut of_logits = inputs.dims();
    let hidden = of_logits[D - 1];
    let [classes, of_weight] = weight.dims();
    assert!(
        of_weight == hidden,
        "xent: a row of the weight has as many elements as the inputs' last axis: expected {hidden}, found {of_weight}"
    );
    if let Some(bias) = &bias {
        check_device(&bias.device());
        assert!(
            bias.dims() == [classes],
            "xent: the bias has a number for each class: expected {classes}, found {:?}",
            bias.dims()
        );
    }
    of_logits[D - 1] = classes;
    targets.check(&of_logits, false);
    let wants = [
        inputs.is_autodiff(),
        weight.is_autodiff(),
        bias.as_ref().is_some_and(Tensor::is_autodiff),
    ];
    let bias = bias.unwrap_or_else(|| Tensor::empty([0], (&inputs.device(), inputs.dtype())));
    let rule = LayerLoss { loss: loss.clone(), wants };
    let targets = targets.into_dispatch(<F as BurnElement>::dtype());
    Tensor::from_dispatch(<Dispatch as Fused>::xent_layer(
        inputs.into_dispatch(),
        weight.into_dispatch(),
        bias.into_dispatch(),
        targets,
        Arc::new(rule),
    ))
}

/// The formats of layers that are computed in this float: f32, bf16 and f16 in f32, f64 in f64.
pub trait LayerFormats: Float + Number<Float = Self> + BurnElement + bytemuck::Pod {
    /// The loss of a layer in one of them.
    #[doc(hidden)]
    fn evaluate(
        rule: &LayerLoss<Self>,
        parts: [&FlexTensor; 3],
        targets: SoftmaxTargets<'_, Self>,
        gradients: &mut [Vec<Self>; 3],
    ) -> f64;
}

impl LayerFormats for f32 {
    fn evaluate(
        rule: &LayerLoss<Self>,
        parts: [&FlexTensor; 3],
        targets: SoftmaxTargets<'_, Self>,
        gradients: &mut [Vec<Self>; 3],
    ) -> f64 {
        match parts[0].dtype() {
            DType::F32 => rule.run::<Self>(parts, targets, gradients),
            DType::BF16 => rule.run::<half::bf16>(parts, targets, gradients),
            DType::F16 => rule.run::<half::f16>(parts, targets, gradients),
            found => wrong_format(found, "f32"),
        }
    }
}

impl LayerFormats for f64 {
    fn evaluate(
        rule: &LayerLoss<Self>,
        parts: [&FlexTensor; 3],
        targets: SoftmaxTargets<'_, Self>,
        gradients: &mut [Vec<Self>; 3],
    ) -> f64 {
        match parts[0].dtype() {
            DType::F64 => rule.run::<Self>(parts, targets, gradients),
            found => wrong_format(found, "f64"),
        }
    }
}

/// The loss, and whether the gradients by inputs, weight and bias are wanted.
#[doc(hidden)]
pub struct LayerLoss<F: LayerFormats> {
    loss: SoftmaxCrossEntropy<'static, F>,
    wants: [bool; 3],
}

impl<F: LayerFormats> LayerLoss<F> {
    fn run<E: Number<Float = F> + BurnElement + bytemuck::Pod>(
        &self,
        [inputs, weight, bias]: [&FlexTensor; 3],
        targets: SoftmaxTargets<'_, F>,
        gradients: &mut [Vec<F>; 3],
    ) -> f64 {
        let read = |part: &'_ FlexTensor| part.dtype() == <E as BurnElement>::dtype();
        assert!(
            [inputs, weight, bias].into_iter().all(read),
            "xent: inputs, weight and bias have one format, found {:?}, {:?} and {:?}",
            inputs.dtype(),
            weight.dtype(),
            bias.dtype()
        );
        let [inputs_of, weight_of, bias_of] = [inputs, weight, bias]
            .map(|part| part.as_slice::<E>().expect("it is contiguous and of this format"));
        let shape = inputs.layout().shape();
        let mut run = || {
            let mut layer = Layer::new(inputs_of, weight_of, shape[shape.num_dims() - 1])?;
            if !bias_of.is_empty() {
                layer = layer.with_bias(bias_of)?;
            }
            let mut pass = LinearPass::new();
            let [of_inputs, of_weight, of_bias] = gradients;
            if !of_inputs.is_empty() {
                pass = pass.grad_inputs(of_inputs);
            }
            if !of_weight.is_empty() {
                pass = pass.grad_weights(of_weight);
            }
            if !of_bias.is_empty() {
                pass = pass.grad_bias(of_bias);
            }
            Ok(self.loss.linear()?.evaluate(layer, targets, pass, &mut Workspace::new())?.loss)
        };
        run().unwrap_or_else(|error: xent::Error| panic!("xent: {error}"))
    }
}

impl<F: LayerFormats> LayerRule for LayerLoss<F> {
    fn compute(
        &self,
        parts: [&FlexTensor; 3],
        targets: &TargetTensor<Flex>,
        wants_gradients: bool,
    ) -> (FlexTensor, [FlexTensor; 3]) {
        let parts = parts.map(contiguous);
        let (TargetTensor::Labels(tensor) | TargetTensor::Numbers(tensor)) = targets;
        let tensor = contiguous(tensor);
        let targets = match targets {
            TargetTensor::Labels(_) => SoftmaxTargets::Index(labels(&tensor)),
            TargetTensor::Numbers(_) => {
                SoftmaxTargets::Dense(tensor.as_slice().expect("it has been cast"))
            }
        };
        let shapes = parts.each_ref().map(|part| part.layout().shape().clone());
        let mut place = 0;
        let mut gradients = shapes.each_ref().map(|shape| {
            let wanted = wants_gradients && self.wants[place];
            place += 1;
            vec![F::default(); if wanted { shape.num_elements() } else { 0 }]
        });
        let loss: F = F::evaluate(self, parts.each_ref(), targets, &mut gradients).elem();
        let mut shapes = shapes.into_iter();
        let gradients = gradients.map(|gradient| {
            let shape = shapes.next().expect("a shape for each");
            let shape = if gradient.is_empty() { Shape::from([0]) } else { shape };
            op::tensor(gradient, shape)
        });
        (op::tensor(vec![loss], Shape::from([1])), gradients)
    }
}
