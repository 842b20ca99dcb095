//! Fused cross-entropy losses: the loss and its gradient in one pass over the logits, on plain slices.
//!
//! For those who train or evaluate a classifier in Rust, with or without a framework; who boost trees with an
//! objective of their own; who compare what a device computed with what it should have.
//!
//! # How
//!
//! Logits are a slice with the number of classes of a row, targets a slice of labels of any integer type:
//!
//! ```
//! use xent::SoftmaxCrossEntropy;
//!
//! let logits = [2.0, 1.0, 0.0, /* second row */ 0.0, 3.0, 0.0_f32];
//! let mut grad = [0.0; 6];
//! let loss = SoftmaxCrossEntropy::new();
//! let value = loss.loss_and_grad((&logits, 3), &[0, 1], &mut grad)?;
//! assert!((value - 0.251265).abs() < 1e-6);
//! # Ok::<(), xent::Error>(())
//! ```
//!
//! A training loop builds its loss once, with weights of its own, and adds up what each batch reports:
//!
#![cfg_attr(
    feature = "alloc",
    doc = r"
```
use xent::{Report, SoftmaxCrossEntropy};

struct Trainer {
    loss: SoftmaxCrossEntropy<'static>,
    grad: Vec<f32>,
}

let loss = SoftmaxCrossEntropy::new().with_class_weights(vec![1.0, 2.0, 0.5])?.with_ignore_index(-1);
let mut trainer = Trainer { loss, grad: vec![0.0; 6] };

let batches = [([2.0, 1.0, 0.0, 0.0, 3.0, 0.0], [0_i64, 1]), ([1.0, 2.0, 0.0, 0.0, 0.0, 1.0], [0, -1])];
let mut epoch = Report::default();
for (logits, labels) in &batches {
    epoch += trainer.loss.train((logits, 3), labels, &mut trainer.grad)?;
    // ... one step down the gradient.
}
assert_eq!((epoch.valid_rows, epoch.accuracy()), (3, 2.0 / 3.0));
assert!((epoch.loss - 0.501265).abs() < 1e-6);
# Ok::<(), xent::Error>(())
```
"
)]
//!
//! A [`Pass`] asks for more of the same pass, such as the loss of every row; and a loss that is chosen at run time
//! is some [`Loss`]:
//!
//! ```
//! use xent::{Logits, Loss, Pass, Preset, SoftmaxCrossEntropy, Targets};
//!
//! let loss: Box<dyn Loss<f32>> = match std::env::args().nth(1).as_deref() {
//!     Some("focal") => Box::new(SoftmaxCrossEntropy::new().with_focal_gamma(2.0)?),
//!     _ => Box::new(SoftmaxCrossEntropy::preset(Preset::Keras).with_label_smoothing(0.1)?),
//! };
//! let logits = [2.0, 1.0, 0.0, 0.0, 3.0, 0.0];
//! let (mut grad, mut losses, mut predicted) = ([0.0; 6], [0.0; 2], [0; 2]);
//! let pass = Pass::new().grad(&mut grad).losses(&mut losses).predicted(&mut predicted);
//! let pass = pass.sample_weights(&[1.0, 0.5]);
//! let report = loss.evaluate(Logits::new(&logits, 3)?, Targets::index(&[0_u32, 2]), pass)?;
//! assert_eq!((predicted, report.accuracy()), ([0, 1], 1.0 / 1.5));
//! # Ok::<(), xent::Error>(())
//! ```
//!
//! (A `dyn Loss` takes [`Logits`] and [`Targets`], not pairs.) What can be given as logits and targets: [`IntoLogits`],
//! [`IntoTargets`]. The folder `crates/xent/examples` of the repository has `training`, the evaluation of a file
//! (`evaluation`), an objective for gradient boosting (`boosting`) and a `reduction` of one's own: `cargo run
//! --release --example training`.
//!
//! # From the task to the loss
//!
//! | the task | the loss | its targets |
//! |---|---|---|
//! | binary: one of two classes | [`SigmoidCrossEntropy`] with one logit a row (or two and [`SoftmaxCrossEntropy`], which counts right rows) | 0 or 1 |
//! | multi-class: one of many classes | [`SoftmaxCrossEntropy`] | an index, or a weight for each class |
//! | multi-label: any number of many classes | [`SigmoidCrossEntropy`] (a question for each class) or [`MultiLabelSoftmax`] (classes compete) | 0 or 1 for each class, or lists of classes |
//! | multi-label, one loss for each row | [`MultiLabelSoftMargin`] | 0 or 1 for each class |
//! | learning from a larger model | [`Distillation`] | its logits |
//!
//! Few of one class? [Class weights](SoftmaxCrossEntropy::with_class_weights), a [positive
//! weight](SigmoidCrossEntropy::with_pos_weight), or the focal loss
//! ([softmax](SoftmaxCrossEntropy::with_focal_gamma), [sigmoid](SigmoidCrossEntropy::with_focal)),
//! which turns to the hard examples. Labels that may be wrong? [Label
//! smoothing](SoftmaxCrossEntropy::with_label_smoothing). Padding? [An index to
//! ignore](SoftmaxCrossEntropy::with_ignore_index), or a [sample weight](Pass::sample_weights) of
//! zero.
//!
//! Probabilities instead of logits? If you can, take the logits. Otherwise [`LogisticLoss`],
//! [`MultinomialLogistic`], or for log-probabilities [`NegativeLogLikelihood`]. From logits back to
//! classes: [`predict`].
//!
//! # The last layer and its loss in one
//!
//! With many classes the logits take most of the memory of a training step, and most of its time is in the products
//! of matrices before and after the loss. With the feature `linear`, [`SoftmaxCrossEntropy::linear`] computes loss and
//! gradients from the layer's inputs and weights, some rows at a time ([`linear`]).
//!
//! # What a call does
//!
//! The loss of a batch is reduced by [`Reduction::Mean`] unless told otherwise. No label is ignored, and a mean over
//! nothing is zero; [`Preset`] has the defaults of others. [`Pass`] asks for more of the same pass: the loss of every
//! row, log-sum-exp, predicted classes and how many are right, derivatives for boosting, a gradient that is added to
//! another. Logits may have a stride between rows, or the class axis anywhere ([`Logits`]).
//!
//! A batch runs on the threads of the current rayon pool (feature `rayon`, on by default) and at
//! the best [`Level`] of the machine; the result does not depend on the number of threads. All input
//! is checked before anything is written, and whatever is wrong with it is an [`Error`] that says
//! what was expected. An option that does not go with the others is refused when the loss is built.
//!
//! # How exact
//!
//! Softmax losses and their gradients are within 4 units of the last place (ULP), and one more for each unit of
//! distance between a logit and the largest of its row; sigmoid losses within 4, their gradients within 5. A confident
//! row keeps its relative accuracy: of logits `[50, 0]` with the first as label, the loss is 1.9287e-22.
//!
//! # How fast
//!
//! Loss and gradient take 0.5 to 1.5 ns an element on one thread of a server with AVX-512; options cost from nothing
//! to four times as much. `docs/performance.md` of the repository has the figures of every option.
//!
//! # What it costs to build
//!
//! A release build of a program with one call takes one to two minutes of processor time from an empty target folder,
//! and the program has 1.6 MB: kernels are compiled for each instruction set. Without the features `avx512`, `avx2`
//! or `f64` there are fewer. In a debug build the kernels are slow; two lines of the program's manifest mend that:
//!
//! ```toml
//! [profile.dev.package.xent-core]
//! opt-level = 3
//! ```
//!
//! # Formats
//!
//! Logits are f64, f32 or, with the feature `half`, `bf16` and `f16` of the crate [`half`]; with the feature `quantised`
//! also the integers of a quantised model ([`Logits::quantised`]). f64 is computed in f64, the others in f32; what is not a logit or a gradient is in what is computed in. A gradient of
//! sixteen bits is that of f32 rounded once, or [not at all](Pass::wide_grad).
//!
//! ```
//! # #[cfg(feature = "half")] {
//! use half::bf16;
//! use xent::SoftmaxCrossEntropy;
//!
//! let x = [2.0, 1.0, 0.0].map(bf16::from_f32);
//! let mut grad = [bf16::ZERO; 3];
//! let value = SoftmaxCrossEntropy::new().loss_and_grad((&x, 3), &[0], &mut grad)?;
//! assert!((value - 0.407606).abs() < 1e-6);
//! assert_eq!(grad[1], bf16::from_f32(0.24472848));
//! # }
//! # Ok::<(), xent::Error>(())
//! ```
//!
//! [`half`]: https://docs.rs/half
//!
//! # Validated against
//!
//! The tests compare every loss, at every level, in f32 and f64, with the answers of others:
//!
//! | loss | cases | of |
//! |---|---|---|
//! | softmax, index targets (weights, smoothing, ignored labels) | 73 | PyTorch 2.15 |
//! | softmax, dense targets (weights, smoothing) | 74 | PyTorch 2.15 |
//! | sigmoid (weights, positive weights) | 72 | PyTorch 2.15 |
//! | multi-label softmax, both gradients | 12 | its formula in NumPy |
//! | logistic, negative log-likelihood, multinomial logistic | 54 | PyTorch 2.15; Caffe's formula |
//! | sigmoid focal | 15 | optax 0.2.8 |
//! | distillation, multi-label soft margin | 15 | PyTorch 2.15 |
//! | softmax focal, z-loss, soft cap | 35 | their formulas in PyTorch, in f64 |
//! | Hessians of scikit-learn, XGBoost and LightGBM | 10 | their formulas |
#![cfg_attr(not(any(feature = "rayon", feature = "ndarray", feature = "ndarray-0-16")), no_std)]
#![forbid(unsafe_code)]
// docs.rs says of each item which feature brings it.
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "alloc")]
extern crate alloc;

#[cfg(any(feature = "ndarray", feature = "ndarray-0-16"))]
mod array;
mod convert;
mod error;
mod input;
#[cfg(feature = "linear")]
pub mod linear;
mod loss;
mod losses;
mod pass;
pub mod predict;
mod reduction;
mod report;
mod weights;

pub use convert::{IntoLogits, IntoLogitsMut, IntoTargets};
pub use error::Error;
pub use input::{Logits, LogitsMut, Targets};
pub use loss::Loss;
pub use losses::{
    Distillation, LogisticLoss, MultiLabelSoftMargin, MultiLabelSoftmax, MultinomialLogistic,
    NegativeLogLikelihood, SigmoidCrossEntropy, SoftmaxCrossEntropy,
};
pub use pass::Pass;
pub use reduction::{MeanOver, NothingValid, Preset, Reduction};
pub use report::{NotFinite, Report};
pub use weights::Weights;
pub use xent_core::reduction::{Division, Policy};
pub use xent_core::{
    BatchCounts, Element, Error as InputError, Float, Hessian, Labels, Level, Quantisation, Shape,
    Values, labels_from_floats, unpack_i4,
};

/// The examples of the package's first page are tested with those of the documentation.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
