//! The fuzz targets: every loss of `xent` against the reference, and the file readers of the program.
//!
//! The target of a loss turns its bytes into a batch (shape, options, logits, targets, outputs, and now and then a
//! mistake) and calls the loss in every way: at each level, with the gradient written, added, in place and wide,
//! with outputs and without. A call must be refused exactly if the rules of `expected` say so, and write nothing
//! then; otherwise every number must be within its bound of the reference, and all ways must return the same bits.
//!
//! The targets are functions of bytes, so that a corpus can be run through them without libFuzzer.
#![forbid(unsafe_code)]

mod answer;
mod batch;
mod check;
mod element;
mod expected;
mod files;
mod format;
mod input;
mod losses;
mod softmax;

use losses::LossName;

/// A target: its name, and the function of its input.
pub type Target = (&'static str, fn(&[u8]));

macro_rules! targets {
    ($($name:ident: $loss:ident),* $(,)?) => {
        $(
            #[doc = concat!("`", stringify!($loss), "` against the reference.")]
            pub fn $name(data: &[u8]) {
                check::run(LossName::$loss, data);
            }
        )*

        /// All targets.
        pub const TARGETS: &[Target] =
            &[$((stringify!($name), $name),)* ("file_readers", file_readers)];
    };
}
targets! {
    softmax_cross_entropy: SoftmaxCrossEntropy,
    multi_label_softmax: MultiLabelSoftmax,
    distillation: Distillation,
    sigmoid_cross_entropy: SigmoidCrossEntropy,
    multi_label_soft_margin: MultiLabelSoftMargin,
    logistic_loss: LogisticLoss,
    negative_log_likelihood: NegativeLogLikelihood,
    multinomial_logistic: MultinomialLogistic,
}

/// The readers of files of arrays, of files of devices and of pipes, through `xent eval`.
pub fn file_readers(data: &[u8]) {
    files::run(data);
}
