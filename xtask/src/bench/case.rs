//! What is measured: a question, asked of a shape.

use std::fmt;
use std::hint::black_box;

use xent_core::{
    Buffers, Level, Outputs, Shape, SigmoidBatch, SoftmaxBatch, SoftmaxOptions, SoftmaxTargets,
};

use super::measure::{Measured, Runner};
use super::workspace::Workspace;
use crate::format::Checked;

/// What is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Question {
    SoftmaxLoss,
    SoftmaxGradient,
    SoftmaxInPlace,
    SoftmaxDense,
    SoftmaxSmoothedWeighted,
    LogSumExp,
    SigmoidLoss,
    SigmoidGradient,
    Columns,
}

use Question::{
    Columns, LogSumExp, SigmoidGradient, SigmoidLoss, SoftmaxDense, SoftmaxGradient,
    SoftmaxInPlace, SoftmaxLoss, SoftmaxSmoothedWeighted,
};

impl Question {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            SoftmaxLoss => "softmax/loss",
            SoftmaxGradient => "softmax/loss_and_grad",
            SoftmaxInPlace => "softmax/loss_and_grad_in_place",
            SoftmaxDense => "softmax/dense_loss_and_grad",
            SoftmaxSmoothedWeighted => "softmax/smoothed_weighted_loss_and_grad",
            LogSumExp => "log_sum_exp",
            SigmoidLoss => "sigmoid/loss",
            SigmoidGradient => "sigmoid/loss_and_grad",
            Columns => "columns/loss_and_grad",
        }
    }

    /// Whether it is asked of logits of sixteen bits: the others differ from these in what they do with
    /// the numbers, which is the same as in `f32`.
    fn is_of_sixteen_bits(self) -> bool {
        !matches!(self, SoftmaxDense | SoftmaxSmoothedWeighted | SigmoidLoss)
    }

    /// Whether the scripts in `benches/peers` answer it.
    pub(crate) fn has_peers(self) -> bool {
        matches!(self, SoftmaxGradient | SigmoidGradient)
    }
}

const OF_ROWS: [Question; 6] = [
    SoftmaxLoss,
    SoftmaxGradient,
    SoftmaxInPlace,
    SoftmaxDense,
    SoftmaxSmoothedWeighted,
    LogSumExp,
];
const OF_ELEMENTS: [Question; 2] = [SigmoidLoss, SigmoidGradient];

/// From two classes to a million.
const ROWS: [[usize; 2]; 8] = [
    [1_048_576, 2],
    [65_536, 3],
    [65_536, 10],
    [65_536, 64],
    [4096, 1000],
    [512, 32_000],
    [128, 128_256],
    [16, 1_000_003],
];
/// Labels of images, and one logit for each row.
const ELEMENTS: [[usize; 2]; 2] = [[65_536, 80], [1_048_576, 1]];
/// Segmentation of images.
const IMAGES: [usize; 3] = [8, 21, 256 * 256];

/// A question and the shape that it is asked of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Case {
    pub(crate) question: Question,
    pub(crate) shape: Shape,
    /// Of the class axis, where it is not the last one.
    inner: usize,
}

impl Case {
    fn new(question: Question, [outer, classes, inner]: [usize; 3]) -> Self {
        let shape = Shape::columns(outer, classes, inner).expect("a shape that memory can hold");
        Self { question, shape, inner }
    }

    pub(crate) fn all() -> impl Iterator<Item = Self> {
        let of = |questions: &'static [Question], [rows, classes]: [usize; 2]| {
            questions.iter().map(move |&question| Self::new(question, [rows, classes, 1]))
        };
        let rows = ROWS.into_iter().flat_map(move |shape| of(&OF_ROWS, shape));
        let elements = ELEMENTS.into_iter().flat_map(move |shape| of(&OF_ELEMENTS, shape));
        rows.chain(elements).chain([Self::new(Columns, IMAGES)])
    }

    /// Whether the limit is a loop of three streams, `c = a + b`, and not a copy.
    pub(crate) fn has_three_streams(&self) -> bool {
        OF_ELEMENTS.contains(&self.question)
    }

    /// Whether it is measured with logits of that format.
    pub(crate) fn is_of<E: Checked>(&self) -> bool {
        E::STORED == E::COMPUTED || self.question.is_of_sixteen_bits()
    }

    /// The least that the memory must do for a loss and its gradient.
    pub(crate) fn run_limit<E: Measured>(&self, workspace: &mut Workspace<E>, runner: &Runner) {
        let elements = self.shape.elements();
        let Workspace { logits, gradient, targets, .. } = workspace;
        let (logits, to) = (&logits[..elements], &mut gradient[..elements]);
        if self.has_three_streams() {
            runner.add(logits, &targets[..elements], to);
        } else {
            runner.copy(logits, to);
        }
        black_box(to);
    }

    /// The case itself, with all the checks of its input.
    pub(crate) fn run<E: Checked>(
        &self,
        workspace: &mut Workspace<E>,
        level: Level,
        runner: &Runner,
    ) {
        let (elements, rows) = (self.shape.elements(), self.shape.row_count());
        let Workspace { logits, gradient, targets, labels, results, class_weights } = workspace;
        let logits = &logits[..elements];
        let gradient = &mut gradient[..elements];
        let targets = &targets[..elements];
        let labels = &labels[..rows];
        let mut options = SoftmaxOptions::default();
        let mut outputs = Outputs::default();
        let buffers = match self.question {
            SoftmaxLoss | LogSumExp | SigmoidLoss => Buffers::Loss(logits),
            SoftmaxInPlace => Buffers::InPlace(gradient),
            _ => Buffers::Gradient(logits, gradient),
        };
        if self.has_three_streams() {
            let batch = SigmoidBatch::new(buffers, targets).expect("lengths that agree");
            black_box(runner.solve(batch, level));
            return;
        }
        if self.question == SoftmaxSmoothedWeighted {
            options.label_smoothing = 0.1;
            options.class_weights = &class_weights[..self.shape.classes()];
        }
        if self.question == LogSumExp {
            outputs.log_sum_exp = &mut results[..rows];
        }
        let targets = match self.question {
            SoftmaxDense => SoftmaxTargets::Dense(targets),
            _ => SoftmaxTargets::Index(labels.into()),
        };
        let batch = SoftmaxBatch::with_options(buffers, self.shape, targets, options)
            .and_then(|batch| batch.with_outputs(outputs))
            .expect("lengths and labels that agree");
        black_box(runner.solve(batch, level));
    }

    /// The rows (or pixels) of a shape and its classes.
    pub(crate) fn size(&self) -> String {
        let Self { shape, inner, .. } = self;
        let classes = shape.classes();
        match inner {
            1 => format!("{}x{classes}", shape.row_count()),
            _ => format!("{}x{classes}x{inner}", shape.row_count() / inner),
        }
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.question.name(), self.size())
    }
}
