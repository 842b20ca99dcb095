//! The operations: of any loss, and of a layer with its loss; on Flex, and with gradients by `Autodiff`.

use std::fmt;
use std::sync::Arc;

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::backend::ops::FloatTensorOps;
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{
    Autodiff, AutodiffBackend, Backend, ExtensionType, Flex, TensorMetadata, backend_extension,
};
use burn::tensor::{DType, FloatDType, Shape, TensorData};

/// Targets, as tensors of a backend.
#[derive(ExtensionType)]
pub enum TargetTensor<B: Backend> {
    /// Integers.
    Labels(IntTensor<B>),
    /// Floats.
    Numbers(FloatTensor<B>),
}

/// A loss with its options.
pub trait Rule: Send + Sync {
    /// The loss, reduced or not, and its gradient for an upstream gradient of one, in what the loss computes in.
    fn compute(
        &self,
        logits: &FlexTensor,
        targets: &TargetTensor<Flex>,
        wants_gradient: bool,
    ) -> (FlexTensor, FlexTensor);
}

/// A loss of a layer with its options, and which of the gradients by inputs, weight and bias are wanted.
pub trait LayerRule: Send + Sync {
    /// The loss and the gradients; empty where they are not wanted.
    fn compute(
        &self,
        parts: [&FlexTensor; 3],
        targets: &TargetTensor<Flex>,
        wants_gradients: bool,
    ) -> (FlexTensor, [FlexTensor; 3]);
}

/// What a backend has to offer: Flex computes, `Autodiff` keeps the gradient.
#[backend_extension(Flex, Autodiff)]
pub trait Fused: Backend {
    /// A loss of logits.
    fn xent_loss(
        logits: FloatTensor<Self>,
        #[extension_type] targets: TargetTensor<Self>,
        rule: Arc<dyn Rule>,
    ) -> FloatTensor<Self>;

    /// A loss of logits and its gradient.
    fn xent_loss_and_gradient(
        logits: FloatTensor<Self>,
        #[extension_type] targets: TargetTensor<Self>,
        rule: Arc<dyn Rule>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);

    /// A loss of a layer; the bias may be empty.
    fn xent_layer(
        inputs: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        #[extension_type] targets: TargetTensor<Self>,
        rule: Arc<dyn LayerRule>,
    ) -> FloatTensor<Self>;

    /// A loss of a layer, and the gradients by inputs, weight and bias.
    fn xent_layer_and_gradients(
        inputs: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        #[extension_type] targets: TargetTensor<Self>,
        rule: Arc<dyn LayerRule>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);

    /// The gradient times the upstream gradient, in the format of what it is a gradient of: one factor for all, or for
    /// as many elements each as there are more elements than factors.
    fn xent_scale(
        gradient: FloatTensor<Self>,
        upstream: FloatTensor<Self>,
        dtype: FloatDType,
    ) -> FloatTensor<Self>;
}

impl Fused for Flex {
    fn xent_loss(
        logits: FlexTensor,
        targets: TargetTensor<Self>,
        rule: Arc<dyn Rule>,
    ) -> FlexTensor {
        rule.compute(&logits, &targets, false).0
    }

    fn xent_loss_and_gradient(
        logits: FlexTensor,
        targets: TargetTensor<Self>,
        rule: Arc<dyn Rule>,
    ) -> (FlexTensor, FlexTensor) {
        rule.compute(&logits, &targets, true)
    }

    fn xent_layer(
        inputs: FlexTensor,
        weight: FlexTensor,
        bias: FlexTensor,
        targets: TargetTensor<Self>,
        rule: Arc<dyn LayerRule>,
    ) -> FlexTensor {
        rule.compute([&inputs, &weight, &bias], &targets, false).0
    }

    fn xent_layer_and_gradients(
        inputs: FlexTensor,
        weight: FlexTensor,
        bias: FlexTensor,
        targets: TargetTensor<Self>,
        rule: Arc<dyn LayerRule>,
    ) -> (FlexTensor, FlexTensor, FlexTensor, FlexTensor) {
        let (loss, [of_inputs, of_weight, of_bias]) =
            rule.compute([&inputs, &weight, &bias], &targets, true);
        (loss, of_inputs, of_weight, of_bias)
    }

    fn xent_scale(mut gradient: FlexTensor, upstream: FlexTensor, dtype: FloatDType) -> FlexTensor {
        if gradient.layout().shape().num_elements() == 0 {
            return gradient;
        }
        // Whatever its format: factors are few, or as many as elements.
        let upstream = Self::float_cast(upstream, FloatDType::F64).to_contiguous();
        let factors = upstream.as_slice::<f64>().expect("it has been cast to f64");
        if factors.iter().any(|factor| *factor != 1.0) {
            match gradient.dtype() {
                DType::F64 => scale(gradient.storage_mut::<f64>(), factors, |factor| factor),
                _ => scale(gradient.storage_mut::<f32>(), factors, |factor| factor as f32),
            }
        }
        if gradient.dtype() == DType::from(dtype) {
            gradient
        } else {
            Self::float_cast(gradient, dtype)
        }
    }
}

/// Multiplies each factor into its elements.
fn scale<F: Copy + std::ops::MulAssign>(
    gradient: &mut [F],
    factors: &[f64],
    narrow: impl Fn(f64) -> F,
) {
    let elements = gradient.len() / factors.len();
    for (elements, factor) in gradient.chunks_exact_mut(elements).zip(factors) {
        let factor = narrow(*factor);
        elements.iter_mut().for_each(|element| *element *= factor);
    }
}

/// A tensor of what was computed, without a copy.
pub(crate) fn tensor<E: burn::tensor::Element>(values: Vec<E>, shape: Shape) -> FlexTensor {
    FlexTensor::from_data(TensorData::new(values, shape))
}

/// The gradients that the forward pass has left, and the formats that they get.
struct Kept<B: Backend, const N: usize> {
    gradients: [(FloatTensor<B>, FloatDType); N],
}

impl<B: Backend, const N: usize> Clone for Kept<B, N> {
    fn clone(&self) -> Self {
        Self { gradients: self.gradients.clone() }
    }
}

impl<B: Backend, const N: usize> fmt::Debug for Kept<B, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kept").finish_non_exhaustive()
    }
}

/// The way back.
#[derive(Debug)]
struct Back;

impl<B: Fused, const N: usize> Backward<B, N> for Back {
    type State = Kept<B, N>;

    fn backward(self, ops: Ops<Self::State, N>, grads: &mut Gradients, _: &mut Checkpointer) {
        let upstream = grads.consume::<B>(&ops.node);
        for (parent, (gradient, dtype)) in ops.parents.into_iter().zip(ops.state.gradients) {
            if let Some(node) = parent {
                grads.register::<B>(node.id, B::xent_scale(gradient, upstream.clone(), dtype));
            }
        }
    }
}

impl<B: Fused, C: CheckpointStrategy> TargetTensor<Autodiff<B, C>> {
    /// No gradient flows to targets.
    fn into_inner(self) -> TargetTensor<B> {
        match self {
            Self::Labels(labels) => TargetTensor::Labels(labels),
            Self::Numbers(numbers) => TargetTensor::Numbers(numbers.into_primitive()),
        }
    }
}

impl<B: Fused, C: CheckpointStrategy> Fused for Autodiff<B, C> {
    fn xent_loss(
        logits: FloatTensor<Self>,
        targets: TargetTensor<Self>,
        rule: Arc<dyn Rule>,
    ) -> FloatTensor<Self> {
        let (logits, guard) = logits.into_parts();
        let dtype = float_dtype(&logits);
        // Asked before anything is computed: without a graph there is no gradient.
        match Back.prepare::<C>([guard]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => {
                let (loss, gradient) =
                    B::xent_loss_and_gradient(logits, targets.into_inner(), rule);
                prep.finish(Kept { gradients: [(gradient, dtype)] }, loss)
            }
            OpsKind::UnTracked(prep) => {
                prep.finish(B::xent_loss(logits, targets.into_inner(), rule))
            }
        }
    }

    // The following are for backends that compute. Second derivatives are not available.
    fn xent_loss_and_gradient(
        logits: FloatTensor<Self>,
        targets: TargetTensor<Self>,
        rule: Arc<dyn Rule>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let (loss, gradient) =
            B::xent_loss_and_gradient(logits.into_primitive(), targets.into_inner(), rule);
        (Self::from_inner(loss), Self::from_inner(gradient))
    }

    fn xent_layer(
        inputs: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        targets: TargetTensor<Self>,
        rule: Arc<dyn LayerRule>,
    ) -> FloatTensor<Self> {
        let ((inputs, of_inputs), (weight, of_weight), (bias, of_bias)) =
            (inputs.into_parts(), weight.into_parts(), bias.into_parts());
        let dtypes = [float_dtype(&inputs), float_dtype(&weight), float_dtype(&bias)];
        match Back.prepare::<C>([of_inputs, of_weight, of_bias]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => {
                let (loss, of_inputs, of_weight, of_bias) =
                    B::xent_layer_and_gradients(inputs, weight, bias, targets.into_inner(), rule);
                let [first, second, third] = dtypes;
                prep.finish(
                    Kept { gradients: [(of_inputs, first), (of_weight, second), (of_bias, third)] },
                    loss,
                )
            }
            OpsKind::UnTracked(prep) => {
                prep.finish(B::xent_layer(inputs, weight, bias, targets.into_inner(), rule))
            }
        }
    }

    fn xent_layer_and_gradients(
        inputs: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        targets: TargetTensor<Self>,
        rule: Arc<dyn LayerRule>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let (loss, of_inputs, of_weight, of_bias) = B::xent_layer_and_gradients(
            inputs.into_primitive(),
            weight.into_primitive(),
            bias.into_primitive(),
            targets.into_inner(),
            rule,
        );
        (
            Self::from_inner(loss),
            Self::from_inner(of_inputs),
            Self::from_inner(of_weight),
            Self::from_inner(of_bias),
        )
    }

    fn xent_scale(
        gradient: FloatTensor<Self>,
        upstream: FloatTensor<Self>,
        dtype: FloatDType,
    ) -> FloatTensor<Self> {
        Self::from_inner(B::xent_scale(gradient.into_primitive(), upstream.into_primitive(), dtype))
    }
}

fn float_dtype(tensor: &impl TensorMetadata) -> FloatDType {
    tensor.dtype().into()
}
