//! Cross-entropy losses for [burn]: the loss and its gradient in one pass, on the CPU backend Flex.
//!
//! [`CrossEntropyLossConfig`] and [`BinaryCrossEntropyLossConfig`] take the place of burn's, with more options. All losses
//! of [`xent`] are called by [`loss.forward(logits, targets)`](LossExt): focal loss, z-loss, soft cap, dense targets,
//! multi-label losses, distillation, and a loss for each row. [`linear_cross_entropy`] is the last layer and its loss in
//! one.
//!
//! A whole training program:
//!
//! ```
//! use burn::module::Module;
//! use burn::nn::{Linear, LinearConfig};
//! use burn::optim::{AdamConfig, GradientsParams, Optimizer};
//! use burn::tensor::{Device, Int, Tensor, TensorData, activation::relu};
//! use xent_burn::CrossEntropyLossConfig;
//!
//! #[derive(Module, Debug)]
//! struct Network {
//!     hidden: Linear,
//!     out: Linear,
//! }
//!
//! impl Network {
//!     fn forward(&self, points: Tensor<2>) -> Tensor<2> {
//!         self.out.forward(relu(self.hidden.forward(points)))
//!     }
//! }
//!
//! fn main() {
//!     // Points on a plane; the class is the quarter that they are in, and one label is padded.
//!     let device = Device::flex().autodiff();
//!     let points: Vec<f32> = (0..128).map(|i| (i as f32 * 0.7).sin()).collect();
//!     let mut labels: Vec<i64> =
//!         points.chunks_exact(2).map(|p| i64::from(p[0] > 0.0) + 2 * i64::from(p[1] > 0.0)).collect();
//!     labels[7] = 99;
//!     let points = Tensor::<2>::from_data(TensorData::new(points, [64, 2]), &device);
//!     let labels = Tensor::<1, Int>::from_data(TensorData::new(labels, [64]), &device);
//!
//!     let mut network = Network {
//!         hidden: LinearConfig::new(2, 16).init(&device),
//!         out: LinearConfig::new(16, 4).init(&device),
//!     };
//!     let mut optimizer = AdamConfig::new().init();
//!     let loss = CrossEntropyLossConfig::new().with_pad_tokens(Some(vec![99])).init(&device);
//!     let mut value = f32::INFINITY;
//!     for _ in 0..100 {
//!         let step = loss.forward(network.forward(points.clone()), labels.clone());
//!         value = step.clone().into_scalar();
//!         let grads = GradientsParams::from_grads(step.backward(), &network);
//!         network = optimizer.step(0.05, network, grads);
//!     }
//!     assert!(value < 0.1, "{value}");
//! }
//! ```
//!
//! * **Tensors:** f32, f64, bf16 and f16, of any rank; the last axis has the classes. Contiguous logits are read where they
//!   are; others are copied once.
//! * **Labels:** integers of any type. All are checked.
//! * **Gradients** are computed together with the loss, if the logits are tracked, and given out by `backward`. Second
//!   derivatives are not available.
//! * **How exact:** as the losses of xent, within 4 units in the last place and one for each unit of distance between a
//!   logit and the largest of its row. An upstream gradient that is not a power of two adds one.
//! * **Errors** are panics that say what was expected, as those of burn's losses.
//! * **Devices:** `Device::flex()`, with `autodiff()` and without. burn panics for tensors on another backend.
//! * **Threads:** the current rayon pool, which Flex uses, too. Results do not depend on the number of threads.
//! * **Modules:** a loss is no parameter: in a struct that derives `Module` it is a field with `#[module(skip)]`.
#![forbid(unsafe_code)]

mod binary_cross_entropy;
mod cross_entropy;
mod linear;
mod loss;
mod op;

pub use binary_cross_entropy::{BinaryCrossEntropyLoss, BinaryCrossEntropyLossConfig};
pub use cross_entropy::{CrossEntropyLoss, CrossEntropyLossConfig};
pub use linear::{LayerFormats, linear_cross_entropy};
pub use loss::{LossExt, Targets};
pub use xent;

/// The example of README.md is compiled with those of the documentation.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
