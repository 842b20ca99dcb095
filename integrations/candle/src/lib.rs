//! Cross-entropy losses for [candle](candle_core): the loss and its gradient in one pass, on the CPU.
//!
//! [`cross_entropy`], [`nll`] and [`binary_cross_entropy_with_logit`] take the place of the functions of
//! `candle_nn::loss`. All losses of [`xent`] with all of their options are called by
//! [`loss.forward(&logits, &targets)`](LossExt): class weights, label smoothing, ignored labels, focal loss, z-loss, soft
//! cap, dense targets, multi-label losses, distillation, and a loss for each row. [`linear_cross_entropy`] is the last
//! layer and its loss in one.
//!
//! A whole training program:
//!
//! ```
//! use candle_core::{DType, Device, Result, Tensor};
//! use candle_nn::{AdamW, Module, Optimizer, ParamsAdamW, VarBuilder, VarMap, linear, seq};
//! use xent_candle::LossExt;
//! use xent_candle::xent::SoftmaxCrossEntropy;
//!
//! fn main() -> Result<()> {
//!     // Points on a plane; the class is the quarter that they are in, and one label is not known.
//!     let device = Device::Cpu;
//!     let points: Vec<f32> = (0..128).map(|i| (i as f32 * 0.7).sin()).collect();
//!     let mut labels: Vec<i64> =
//!         points.chunks_exact(2).map(|p| i64::from(p[0] > 0.0) + 2 * i64::from(p[1] > 0.0)).collect();
//!     labels[7] = -1;
//!     let points = Tensor::from_vec(points, (64, 2), &device)?;
//!     let labels = Tensor::from_vec(labels, 64, &device)?;
//!
//!     let weights = VarMap::new();
//!     let of = VarBuilder::from_varmap(&weights, DType::F32, &device);
//!     let network = seq().add(linear(2, 16, of.pp("hidden"))?).add_fn(|x| x.relu()).add(linear(16, 4, of.pp("out"))?);
//!     let parameters = ParamsAdamW { lr: 0.05, ..ParamsAdamW::default() };
//!     let mut optimizer = AdamW::new(weights.all_vars(), parameters)?;
//!
//!     let loss = SoftmaxCrossEntropy::<f32>::new().with_ignore_index(-1);
//!     let mut value = f32::INFINITY;
//!     for _ in 0..100 {
//!         let step = loss.forward(&network.forward(&points)?, &labels)?;
//!         optimizer.backward_step(&step)?;
//!         value = step.to_scalar()?;
//!     }
//!     assert!(value < 0.1, "{value}");
//!     Ok(())
//! }
//! ```
//!
//! * **Tensors:** f32, f64, bf16 and f16, with any number of axes, of which the last has the classes. Contiguous logits
//!   are read where they are; others are copied once.
//! * **Labels:** integers of any type of candle. All are checked: one that is not a class is an error, not a loss of zero.
//! * **Gradients** are computed together with the loss, if candle tracks the logits, and given out by `backward`. A second
//!   `backward` of the same loss computes them again. Second derivatives are not available.
//! * **How exact:** as the losses of xent, within 4 units in the last place and one for each unit of distance between a
//!   logit and the largest of its row. An upstream gradient that is not a power of two adds one.
//! * **Devices:** the CPU. Tensors of others are refused with an error.
//! * **Threads:** the current rayon pool, which candle uses, too. Results do not depend on the number of threads.
#![forbid(unsafe_code)]

mod functions;
mod linear;
mod loss;
mod tensors;

pub use functions::{binary_cross_entropy_with_logit, cross_entropy, nll};
pub use linear::{LayerFormats, linear_cross_entropy};
pub use loss::LossExt;
pub use xent;

/// The example of README.md is compiled with those of the documentation.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
