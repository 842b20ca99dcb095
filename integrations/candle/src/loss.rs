//! The losses of tensors: one operation of candle for all.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use candle_core::{CpuStorage, CustomOp2, DType, Error, Layout, Result, Shape, Tensor, WithDType};
use half::{bf16, f16};
use xent::{
    Distillation, Element, Float, LogisticLoss, Logits, Loss, MultiLabelSoftMargin,
    MultiLabelSoftmax, MultinomialLogistic, NegativeLogLikelihood, Pass, Policy, Reduction,
    SigmoidCrossEntropy, SoftmaxCrossEntropy, Targets,
};

use crate::tensors;

/// The losses of [`xent`] for tensors: `loss.forward(&logits, &targets)`.
///
/// Every loss of xent that owns its weights has it, with all of its options. One that is built with `::<f32>` takes
/// logits of f32, bf16 and f16, one with `::<f64>` those of f64.
///
/// ```
/// use candle_core::{Device, Tensor, Var};
/// use xent_candle::LossExt;
/// use xent_candle::xent::SoftmaxCrossEntropy;
///
/// let loss = SoftmaxCrossEntropy::<f32>::new()
///     .with_class_weights([1.0, 2.0, 0.5])?
///     .with_label_smoothing(0.1)?
///     .with_ignore_index(-100);
/// let logits = Var::new(&[[2.0_f32, 1.0, 0.0], [0.0, 3.0, 0.0], [1.0, 1.0, 1.0]], &Device::Cpu)?;
/// let labels = Tensor::new(&[0_i64, 2, -100], &Device::Cpu)?;
/// let value = loss.forward(&logits, &labels)?;
/// let grads = value.backward()?;
/// let of_ignored = grads.get(&logits).unwrap().get(2)?;
/// assert_eq!(of_ignored.to_vec1::<f32>()?, [0.0; 3]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait LossExt {
    /// The reduced loss, a tensor without axes; with [`Reduction::None`] the loss of every row, of the shape of the
    /// logits without the last axis (for the losses of independent elements: of every element, of the shape of the
    /// logits). It is f64 for logits of f64 and otherwise f32, also for logits of 16 bits.
    ///
    /// * `logits`: shape `(.., classes)`; the last axis is that of the classes. Natural logarithms, no units. For
    ///   losses of probabilities these, or their logarithms.
    /// * `targets`: integers (u8, i16, u32, i32, i64) are labels, of the shape of the logits without the last axis.
    ///   Floats are a number for every class, of the shape of the logits; for [`Distillation`] they are the logits of
    ///   the teacher. The losses of independent elements take integers 0 and 1 for every logit, too. No gradient flows
    ///   to targets.
    ///
    /// A tensor that is not contiguous is copied, and so are floats of targets in another format than the loss
    /// computes in. The gradient is computed in the same pass, if candle tracks the logits, and is kept until
    /// `backward`; with [`Reduction::None`] it is computed in `backward`.
    ///
    /// # Errors
    /// If a label is not the index of a class (and not ignored), a target or a weight is out of range, shapes or
    /// formats do not fit together, the loss does not take such targets, or a tensor is on another device than the CPU.
    fn forward(&self, logits: &Tensor, targets: &Tensor) -> Result<Tensor>;
}

impl<L: Kind + Clone + Send + Sync + 'static> LossExt for L {
    fn forward(&self, logits: &Tensor, targets: &Tensor) -> Result<Tensor> {
        for tensor in [logits, targets] {
            tensors::check_device(tensor.device().location())?;
        }
        tensors::check_targets(logits.shape(), targets, L::OF_ELEMENTS)?;
        let logits = logits.contiguous()?;
        let targets = tensors::prepare_targets(targets, L::Float::DTYPE)?;
        let tracked = logits.track_op();
        // With a loss for each row the gradient needs what `backward` brings.
        let keeps = tracked && self.policy().reduction != Reduction::None;
        let op = Fused { loss: self.clone(), keeps, kept: Mutex::new(None) };
        if tracked {
            logits.apply_op2(&targets, op)
        } else {
            logits.apply_op2_no_bwd(&targets, &op)
        }
    }
}

/// What the operation has to know of a loss.
pub trait Kind {
    /// What it computes in.
    type Float: Formats<Self> + Float + WithDType;

    /// Whether it has a loss for each element instead of each row, if it is not reduced.
    const LOSSES_OF_ELEMENTS: bool;
    /// Whether integers are targets of elements instead of rows.
    const OF_ELEMENTS: bool;

    /// What targets that are floats mean.
    fn of_floats(values: &[Self::Float]) -> Targets<'_, Self::Float>;

    /// How it is reduced.
    fn policy(&self) -> Policy;
}

macro_rules! kinds {
    ($($loss:ident: $of_elements:expr, $losses_of_elements:expr, $of_floats:ident;)*) => {
        $(
            impl<F: Formats<Self> + Float + WithDType> Kind for $loss<'_, F> {
                type Float = F;

                const OF_ELEMENTS: bool = $of_elements;
                const LOSSES_OF_ELEMENTS: bool = $losses_of_elements;

                fn of_floats(values: &[F]) -> Targets<'_, F> {
                    Targets::$of_floats(values)
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
    /// The loss of logits in one of them.
    ///
    /// # Errors
    /// If they are in another format, or refused by the loss.
    fn evaluate(loss: &L, batch: Batch<'_, Self>, ask: Ask<'_, Self>) -> Result<Answer>;
}

impl<L: Loss<f32> + Loss<bf16> + Loss<f16> + ?Sized> Formats<L> for f32 {
    fn evaluate(loss: &L, batch: Batch<'_, Self>, ask: Ask<'_, Self>) -> Result<Answer> {
        match batch.logits {
            CpuStorage::F32(logits) => batch.run(loss, logits, ask),
            CpuStorage::BF16(logits) => batch.run(loss, logits, ask),
            CpuStorage::F16(logits) => batch.run(loss, logits, ask),
            _ => Err(tensors::wrong_format(batch.found, "f32")),
        }
    }
}

impl<L: Loss<f64> + ?Sized> Formats<L> for f64 {
    fn evaluate(loss: &L, batch: Batch<'_, Self>, ask: Ask<'_, Self>) -> Result<Answer> {
        match batch.logits {
            CpuStorage::F64(logits) => batch.run(loss, logits, ask),
            _ => Err(tensors::wrong_format(batch.found, "f64")),
        }
    }
}

/// Logits and targets.
pub struct Batch<'a, F> {
    logits: &'a CpuStorage,
    found: DType,
    layout: &'a Layout,
    targets: Targets<'a, F>,
}

/// What to compute besides the loss.
pub struct Ask<'a, F> {
    gradient: bool,
    /// The upstream gradient of the reduced loss, or of every loss.
    scale: f64,
    upstream: &'a [F],
    /// The losses that are not reduced.
    losses: &'a mut [F],
}

/// A loss and, if it was asked for, its gradient.
pub struct Answer {
    loss: f64,
    gradient: Option<CpuStorage>,
}

impl<F: Float> Batch<'_, F> {
    fn run<E: Element<Float = F> + WithDType, L: Loss<E> + ?Sized>(
        &self,
        loss: &L,
        logits: &[E],
        ask: Ask<'_, F>,
    ) -> Result<Answer> {
        let (rows, classes) = rows_and_classes(self.layout.dims());
        let logits = &logits[tensors::window(self.layout)?];
        let mut gradient = vec![E::default(); if ask.gradient { logits.len() } else { 0 }];
        let mut pass = Pass::new().scale(ask.scale).upstream(ask.upstream).losses(ask.losses);
        if ask.gradient {
            pass = pass.grad(&mut gradient);
        }
        let logits = Logits::with_shape(logits, rows, classes).map_err(Error::wrap)?;
        let report = loss.evaluate(logits, self.targets, pass).map_err(Error::wrap)?;
        let gradient = ask.gradient.then(|| E::to_cpu_storage_owned(gradient));
        Ok(Answer { loss: report.loss, gradient })
    }
}

/// The last axis has the classes. (That there is one has been checked.)
fn rows_and_classes(dims: &[usize]) -> (usize, usize) {
    match dims.split_last() {
        Some((&classes, of_rows)) => (of_rows.iter().product(), classes),
        None => (1, 1),
    }
}

/// The operation. It keeps the gradient that the forward pass has computed.
struct Fused<L> {
    loss: L,
    keeps: bool,
    kept: Mutex<Option<CpuStorage>>,
}

impl<L: Kind> Fused<L> {
    fn compute(
        &self,
        [logits, targets]: [(&CpuStorage, &Layout); 2],
        ask: Ask<'_, L::Float>,
    ) -> Result<Answer> {
        let found = candle_core::backend::BackendStorage::dtype(logits.0);
        let targets = tensors::targets(targets.0, targets.1, L::of_floats)?;
        let batch = Batch { logits: logits.0, found, layout: logits.1, targets };
        L::Float::evaluate(&self.loss, batch, ask)
    }

    /// The gradient alone, of the same tensors.
    fn gradient(
        &self,
        logits: &Tensor,
        targets: &Tensor,
        scale: f64,
        upstream: &[L::Float],
    ) -> Result<CpuStorage> {
        let (x, of_x) = logits.storage_and_layout();
        let (y, of_y) = targets.storage_and_layout();
        let (candle_core::Storage::Cpu(x), candle_core::Storage::Cpu(y)) = (&*x, &*y) else {
            unreachable!("the forward pass has run on the CPU");
        };
        let ask = Ask { gradient: true, scale, upstream, losses: &mut [] };
        let answer = self.compute([(x, of_x), (y, of_y)], ask)?;
        Ok(answer.gradient.expect("it was asked for"))
    }
}

impl<L: Kind + Send + Sync + 'static> CustomOp2 for Fused<L> {
    fn name(&self) -> &'static str {
        "xent"
    }

    fn cpu_fwd(
        &self,
        logits: &CpuStorage,
        of_logits: &Layout,
        targets: &CpuStorage,
        of_targets: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let dims = of_logits.dims();
        let reduced = self.loss.policy().reduction != Reduction::None;
        let shape: Shape = match dims {
            _ if reduced => ().into(),
            _ if L::LOSSES_OF_ELEMENTS => dims.into(),
            dims => dims[..dims.len() - 1].into(),
        };
        let mut losses = vec![L::Float::default(); if reduced { 0 } else { shape.elem_count() }];
        let ask = Ask { gradient: self.keeps, scale: 1.0, upstream: &[], losses: &mut losses };
        let answer = self.compute([(logits, of_logits), (targets, of_targets)], ask)?;
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = answer.gradient;
        if reduced {
            losses.push(<L::Float as WithDType>::from_f64(answer.loss));
        }
        Ok((L::Float::to_cpu_storage_owned(losses), shape))
    }

    fn bwd(
        &self,
        logits: &Tensor,
        targets: &Tensor,
        _loss: &Tensor,
        upstream: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let gradient = if self.loss.policy().reduction == Reduction::None {
            let upstream = upstream.flatten_all()?.to_vec1::<L::Float>()?;
            self.gradient(logits, targets, 1.0, &upstream)?
        } else {
            let scale = upstream.to_scalar::<L::Float>()?;
            // Whoever goes backward a second time has it computed again.
            let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner).take();
            let scale = WithDType::to_f64(scale);
            match kept {
                Some(gradient) if scale == 1.0 => gradient,
                Some(CpuStorage::F32(mut gradient)) => {
                    gradient.iter_mut().for_each(|element| *element *= scale as f32);
                    CpuStorage::F32(gradient)
                }
                Some(CpuStorage::F64(mut gradient)) => {
                    gradient.iter_mut().for_each(|element| *element *= scale);
                    CpuStorage::F64(gradient)
                }
                // Small gradients of 16 bits are zero already: a scale has to come before they are rounded.
                _ => self.gradient(logits, targets, scale, &[])?,
            }
        };
        Ok((Some(tensors::tensor(gradient, logits.shape())), None))
    }
}

impl<L> fmt::Debug for Fused<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fused").finish_non_exhaustive()
    }
}
