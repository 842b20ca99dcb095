//! The last layer and its loss in one.

use std::sync::{Mutex, PoisonError};

use candle_core::{
    CpuStorage, CustomOp2, CustomOp3, DType, Error, Layout, Result, Shape, Storage, Tensor,
    WithDType,
};
use xent::linear::{Layer, LinearPass, Number, SoftmaxTargets, Workspace};
use xent::{Float, Reduction, SoftmaxCrossEntropy, Targets};

use crate::tensors;

/// The loss of a linear layer's logits `X Wᵀ + b`, without the logits in memory: in place of a `candle_nn::Linear` and a
/// softmax loss, for models with many classes (vocabularies).
///
/// * `inputs`: shape `(.., hidden)`; `weight`: shape `(classes, hidden)` and `bias`: shape `(classes,)`, as
///   `candle_nn::Linear` has them. All of one format: f32, bf16 or f16 with a loss of `f32`, f64 with one of `f64`.
/// * `targets`: labels of the shape of the inputs without the last axis, or a number for every class of each row.
///
/// Logits are made some rows at a time, become their gradient, and are multiplied into the gradients of inputs, weight
/// and bias, of which those that candle tracks are computed, and kept until `backward`. Memory: the
/// gradients, and at most 60 MiB (more than that only of very many classes). The value has the shape and format that
/// [`LossExt::forward`](crate::LossExt::forward) gives it.
///
/// ```
/// use candle_core::{Device, Tensor, Var};
/// use xent_candle::linear_cross_entropy;
/// use xent_candle::xent::SoftmaxCrossEntropy;
///
/// let device = Device::Cpu;
/// let inputs = Tensor::new(&[[1.0_f32, 0.0], [0.0, 1.0]], &device)?;
/// let weight = Var::new(&[[2.0_f32, 0.0], [0.0, 3.0], [1.0, 1.0]], &device)?;
/// let labels = Tensor::new(&[0_u32, 1], &device)?;
/// let loss = SoftmaxCrossEntropy::<f32>::new();
/// let value = linear_cross_entropy(&loss, &inputs, &weight, None, &labels)?;
/// let logits = inputs.matmul(&weight.t()?)?;
/// let expected = xent_candle::cross_entropy(&logits, &labels)?;
/// assert!((value.to_scalar::<f32>()? - expected.to_scalar::<f32>()?).abs() < 1e-6);
/// assert!(value.backward()?.get(&weight).is_some());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// If a label is not the index of a class, or shapes, formats or devices do not fit together.
pub fn linear_cross_entropy<F: LayerFormats>(
    loss: &SoftmaxCrossEntropy<'static, F>,
    inputs: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    targets: &Tensor,
) -> Result<Tensor> {
    let parts = [Some(inputs), Some(weight), bias];
    for tensor in parts.into_iter().flatten().chain([targets]) {
        tensors::check_device(tensor.device().location())?;
    }
    let hidden = *inputs.dims().last().unwrap_or(&0);
    let [classes, of_weight] = *weight.dims() else {
        return Err(unexpected(
            "the weight has an axis of classes and one of inputs",
            &[1, hidden],
            weight,
        ));
    };
    if of_weight != hidden || inputs.rank() == 0 {
        return Err(unexpected(
            "a row of the weight has as many elements as the inputs' last axis",
            &[classes, hidden],
            weight,
        ));
    }
    if let Some(bias) = bias
        && bias.dims() != [classes]
    {
        return Err(unexpected("the bias has a number for each class", &[classes], bias));
    }
    let mut of_logits = inputs.dims().to_vec();
    of_logits[inputs.rank() - 1] = classes;
    tensors::check_targets(&of_logits.into(), targets, false)?;
    let wants = parts.map(|part| part.is_some_and(Tensor::track_op));
    let op = LinearOp {
        loss: loss.clone(),
        targets: tensors::prepare_targets(targets, F::DTYPE)?,
        keeps: loss.policy().reduction != Reduction::None,
        wants,
        kept: Mutex::new(None),
    };
    let (inputs, weight) = (inputs.contiguous()?, weight.contiguous()?);
    match (bias, wants.contains(&true)) {
        (None, true) => inputs.apply_op2(&weight, op),
        (None, false) => inputs.apply_op2_no_bwd(&weight, &op),
        (Some(bias), true) => inputs.apply_op3(&weight, &bias.contiguous()?, op),
        (Some(bias), false) => inputs.apply_op3_no_bwd(&weight, &bias.contiguous()?, &op),
    }
}

fn unexpected(msg: &'static str, expected: &[usize], found: &Tensor) -> Error {
    Error::UnexpectedShape {
        msg: msg.into(),
        expected: expected.into(),
        got: found.shape().clone(),
    }
    .bt()
}

/// The formats of layers that are computed in this float: f32, bf16 and f16 in f32, f64 in f64.
pub trait LayerFormats: Float + Number<Float = Self> + WithDType {
    /// The loss of a layer in one of them.
    #[doc(hidden)]
    fn evaluate(
        op: &LinearOp<Self>,
        parts: &[Part<'_>],
        ask: Ask<'_, Self>,
    ) -> Result<Answer<Self>>;
}

/// A tensor of the layer.
#[doc(hidden)]
pub type Part<'a> = (&'a CpuStorage, &'a Layout);

impl LayerFormats for f32 {
    fn evaluate(
        op: &LinearOp<Self>,
        parts: &[Part<'_>],
        ask: Ask<'_, Self>,
    ) -> Result<Answer<Self>> {
        match parts[0].0 {
            CpuStorage::F32(_) => op.run::<Self>(parts, ask),
            CpuStorage::BF16(_) => op.run::<half::bf16>(parts, ask),
            CpuStorage::F16(_) => op.run::<half::f16>(parts, ask),
            other => Err(tensors::wrong_format(dtype(other), "f32")),
        }
    }
}

impl LayerFormats for f64 {
    fn evaluate(
        op: &LinearOp<Self>,
        parts: &[Part<'_>],
        ask: Ask<'_, Self>,
    ) -> Result<Answer<Self>> {
        match parts[0].0 {
            CpuStorage::F64(_) => op.run::<Self>(parts, ask),
            other => Err(tensors::wrong_format(dtype(other), "f64")),
        }
    }
}

fn dtype(values: &CpuStorage) -> DType {
    candle_core::backend::BackendStorage::dtype(values)
}

/// What to compute.
#[doc(hidden)]
pub struct Ask<'a, F> {
    gradients: bool,
    scale: f64,
    upstream: &'a [F],
    losses: &'a mut [F],
}

/// The loss, and the gradients of inputs, weight and bias: empty where there is none.
#[doc(hidden)]
pub struct Answer<F> {
    loss: f64,
    gradients: [Vec<F>; 3],
}

/// The operation.
#[doc(hidden)]
pub struct LinearOp<F: LayerFormats> {
    loss: SoftmaxCrossEntropy<'static, F>,
    targets: Tensor,
    keeps: bool,
    /// Whether inputs, weight and bias are tracked.
    wants: [bool; 3],
    kept: Mutex<Option<[Vec<F>; 3]>>,
}

impl<F: LayerFormats> LinearOp<F> {
    fn run<E: Number<Float = F> + WithDType>(
        &self,
        parts: &[Part<'_>],
        ask: Ask<'_, F>,
    ) -> Result<Answer<F>> {
        let (inputs, weights) = (read(parts[0])?, read(parts[1])?);
        let hidden = *parts[0].1.dims().last().unwrap_or(&0);
        let mut layer = Layer::new(inputs, weights, hidden).map_err(Error::wrap)?;
        if let Some(bias) = parts.get(2) {
            layer = layer.with_bias(read::<E>(*bias)?).map_err(Error::wrap)?;
        }
        let (values, of_targets) = self.targets.storage_and_layout();
        let targets = match tensors::targets(on_cpu(&values), of_targets, Targets::Dense)? {
            Targets::Index(labels) => SoftmaxTargets::Index(labels),
            Targets::Dense(weights) => SoftmaxTargets::Dense(weights),
            _ => unreachable!("only these two are read"),
        };
        let mut gradients = [Vec::new(), Vec::new(), Vec::new()];
        let mut pass = LinearPass::new().scale(ask.scale).upstream(ask.upstream).losses(ask.losses);
        if ask.gradients {
            for ((gradient, part), wanted) in gradients.iter_mut().zip(parts).zip(self.wants) {
                *gradient =
                    vec![F::default(); if wanted { part.1.shape().elem_count() } else { 0 }];
            }
            let [inputs, weights, bias] = &mut gradients;
            if self.wants[0] {
                pass = pass.grad_inputs(inputs);
            }
            if self.wants[1] {
                pass = pass.grad_weights(weights);
            }
            if self.wants[2] {
                pass = pass.grad_bias(bias);
            }
        }
        let loss = self.loss.linear().map_err(Error::wrap)?;
        let report =
            loss.evaluate(layer, targets, pass, &mut Workspace::new()).map_err(Error::wrap)?;
        Ok(Answer { loss: report.loss, gradients })
    }

    fn forward(&self, parts: &[Part<'_>]) -> Result<(CpuStorage, Shape)> {
        let dims = parts[0].1.dims();
        let reduced = self.loss.policy().reduction != Reduction::None;
        let shape: Shape = if reduced { ().into() } else { dims[..dims.len() - 1].into() };
        let mut losses = vec![F::default(); if reduced { 0 } else { shape.elem_count() }];
        let ask = Ask {
            gradients: self.keeps && self.wants.contains(&true),
            scale: 1.0,
            upstream: &[],
            losses: &mut losses,
        };
        let gradients = ask.gradients;
        let answer = F::evaluate(self, parts, ask)?;
        if gradients {
            *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(answer.gradients);
        }
        if reduced {
            losses.push(<F as WithDType>::from_f64(answer.loss));
        }
        Ok((F::to_cpu_storage_owned(losses), shape))
    }

    fn backward(&self, parts: &[&Tensor], upstream: &Tensor) -> Result<[Option<Tensor>; 3]> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner).take();
        let upstream = upstream.flatten_all()?.to_vec1::<F>()?;
        let gradients = match (kept, self.loss.policy().reduction) {
            (Some(mut gradients), _) => {
                let scale = upstream[0];
                if WithDType::to_f64(scale) != 1.0 {
                    gradients.iter_mut().flatten().for_each(|element| *element *= scale);
                }
                gradients
            }
            (None, Reduction::None) => self.again(parts, 1.0, &upstream)?,
            (None, _) => self.again(parts, WithDType::to_f64(upstream[0]), &[])?,
        };
        let mut results = [None, None, None];
        for (((result, gradient), part), wanted) in
            results.iter_mut().zip(gradients).zip(parts).zip(self.wants)
        {
            if wanted {
                let gradient = tensors::tensor(F::to_cpu_storage_owned(gradient), part.shape());
                *result = Some(gradient.to_dtype(part.dtype())?);
            }
        }
        Ok(results)
    }

    /// The gradients of the same tensors, which are not kept (any more).
    fn again(&self, parts: &[&Tensor], scale: f64, upstream: &[F]) -> Result<[Vec<F>; 3]> {
        let guards: Vec<_> = parts.iter().map(|part| part.storage_and_layout()).collect();
        let parts: Vec<Part<'_>> =
            guards.iter().map(|(values, layout)| (on_cpu(values), *layout)).collect();
        let ask = Ask { gradients: true, scale, upstream, losses: &mut [] };
        Ok(F::evaluate(self, &parts, ask)?.gradients)
    }
}

/// The elements of a contiguous tensor of this format.
fn read<E: WithDType>((values, layout): Part<'_>) -> Result<&[E]> {
    Ok(&E::cpu_storage_as_slice(values)?[tensors::window(layout)?])
}

/// Values on the CPU: the device of every tensor has been checked.
fn on_cpu(values: &Storage) -> &CpuStorage {
    match values {
        Storage::Cpu(values) => values,
        _ => unreachable!("tensors on other devices are refused"),
    }
}

impl<F: LayerFormats> CustomOp2 for LinearOp<F> {
    fn name(&self) -> &'static str {
        "xent-linear"
    }

    fn cpu_fwd(
        &self,
        inputs: &CpuStorage,
        of_inputs: &Layout,
        weight: &CpuStorage,
        of_weight: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        self.forward(&[(inputs, of_inputs), (weight, of_weight)])
    }

    fn bwd(
        &self,
        inputs: &Tensor,
        weight: &Tensor,
        _: &Tensor,
        upstream: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let [inputs, weight, _] = self.backward(&[inputs, weight], upstream)?;
        Ok((inputs, weight))
    }
}

impl<F: LayerFormats> CustomOp3 for LinearOp<F> {
    fn name(&self) -> &'static str {
        "xent-linear"
    }

    fn cpu_fwd(
        &self,
        inputs: &CpuStorage,
        of_inputs: &Layout,
        weight: &CpuStorage,
        of_weight: &Layout,
        bias: &CpuStorage,
        of_bias: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        self.forward(&[(inputs, of_inputs), (weight, of_weight), (bias, of_bias)])
    }

    fn bwd(
        &self,
        inputs: &Tensor,
        weight: &Tensor,
        bias: &Tensor,
        _: &Tensor,
        upstream: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let [inputs, weight, bias] = self.backward(&[inputs, weight, bias], upstream)?;
        Ok((inputs, weight, bias))
    }
}
