//! Every loss, with options such that each of its terms matters.

use std::ops::Range;

use xent_core::{
    Batch, Buffers, Element, Error, Float, Labels, Level, LikelihoodBatch, LikelihoodInput,
    LikelihoodOptions, MultiLabel, Outputs, RowWeights, Shape, SigmoidBatch, SigmoidInput,
    SigmoidOptions, SigmoidTargets, SoftmaxBatch, SoftmaxOptions, SoftmaxTargets,
};

use crate::corpus::{Corpus, Layout};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loss {
    Index,
    IndexWeighted,
    IndexFocal,
    IndexZ,
    IndexSoftCap,
    Dense,
    DenseSmoothed,
    MultiLabel,
    MultiLabelCaffe,
    Teacher,
    Sigmoid,
    SigmoidWeighted,
    SigmoidMultiHot,
    SigmoidPositives,
    SigmoidFocal,
    SoftMargin,
    Logistic,
    LogLikelihood,
    Multinomial,
}

/// The results of a loss besides a gradient.
#[derive(Clone, Copy, PartialEq)]
pub(crate) struct Extras {
    /// Log-sum-exp and predicted class of each row.
    pub(crate) softmax: bool,
    pub(crate) hessian: bool,
    /// One loss for each element instead of each row.
    pub(crate) by_element: bool,
}

impl Loss {
    pub(crate) const ALL: [Self; 19] = [
        Self::Index,
        Self::IndexWeighted,
        Self::IndexFocal,
        Self::IndexZ,
        Self::IndexSoftCap,
        Self::Dense,
        Self::DenseSmoothed,
        Self::MultiLabel,
        Self::MultiLabelCaffe,
        Self::Teacher,
        Self::Sigmoid,
        Self::SigmoidWeighted,
        Self::SigmoidMultiHot,
        Self::SigmoidPositives,
        Self::SigmoidFocal,
        Self::SoftMargin,
        Self::Logistic,
        Self::LogLikelihood,
        Self::Multinomial,
    ];

    pub(crate) fn extras(self) -> Extras {
        let softmax = (self as usize) <= Self::Teacher as usize;
        let likelihood = matches!(self, Self::LogLikelihood | Self::Multinomial);
        Extras {
            softmax,
            hessian: matches!(self, Self::Index | Self::DenseSmoothed | Self::SigmoidWeighted),
            by_element: !softmax && !likelihood && self != Self::SoftMargin,
        }
    }

    /// The input of the loss.
    pub(crate) fn input<E: Element>(self, corpus: &Corpus<E>) -> &[E] {
        match self {
            Self::Logistic | Self::Multinomial => &corpus.probabilities,
            _ => &corpus.logits,
        }
    }

    /// The sum of the loss over some of a corpus's rows: all, or rows that are not columns.
    pub(crate) fn run<E: Element>(
        self,
        level: Level,
        corpus: &Corpus<E>,
        rows: Range<usize>,
        buffers: Buffers<'_, E>,
        outputs: Outputs<'_, E::Float>,
    ) -> Result<f64, Error> {
        let part = Part::new(corpus, rows);
        let (shape, weights) = (part.shape, part.weights);
        match self {
            Self::LogLikelihood | Self::Multinomial => {
                let input = match self {
                    Self::LogLikelihood => LikelihoodInput::LogProbabilities,
                    _ => LikelihoodInput::Probabilities,
                };
                let (labels, class_weights) = (part.labels, part.class_weights);
                let options = LikelihoodOptions { class_weights, ignore_index: Some(2) };
                LikelihoodBatch::with_options(buffers, shape, labels, input, options)
                    .and_then(|batch| batch.with_weights(weights)?.with_outputs(outputs))
                    .map(|batch| batch.run(level))
            }
            _ if self.extras().softmax => {
                let (targets, options) = self.softmax(&part);
                SoftmaxBatch::with_options(buffers, shape, targets, options)
                    .and_then(|batch| batch.with_weights(weights)?.with_outputs(outputs))
                    .map(|batch| batch.run(level))
            }
            _ => {
                let (targets, options) = self.sigmoid(&part);
                SigmoidBatch::with_options(buffers, shape, targets, options)
                    .and_then(|batch| batch.with_weights(weights)?.with_outputs(outputs))
                    .map(|batch| batch.run(level))
            }
        }
    }

    fn softmax<'a, F: Float>(
        self,
        part: &Part<'a, F>,
    ) -> (SoftmaxTargets<'a, F>, SoftmaxOptions<'a, F>) {
        let index = SoftmaxTargets::Index(part.labels);
        let class_weights = part.class_weights;
        let plain = SoftmaxOptions::default();
        match self {
            Self::IndexWeighted => {
                let ignore_index = Some(1);
                let label_smoothing = 0.1;
                (index, SoftmaxOptions { class_weights, label_smoothing, ignore_index, ..plain })
            }
            Self::IndexFocal => (index, SoftmaxOptions { focal_gamma: 2.0, ..plain }),
            Self::IndexZ => (index, SoftmaxOptions { z_loss: 1e-2, ..plain }),
            Self::IndexSoftCap => (index, SoftmaxOptions { soft_cap: 5.0, ..plain }),
            Self::Dense => (SoftmaxTargets::Dense(part.dense), plain),
            Self::DenseSmoothed => {
                let options = SoftmaxOptions { class_weights, label_smoothing: 0.2, ..plain };
                (SoftmaxTargets::Dense(part.dense), options)
            }
            Self::MultiLabel => (SoftmaxTargets::MultiLabel(part.sparse, MultiLabel::Exact), plain),
            Self::MultiLabelCaffe => {
                let targets = SoftmaxTargets::MultiLabel(part.sparse, MultiLabel::Caffe);
                (targets, SoftmaxOptions { empty_is_nan: true, ..plain })
            }
            Self::Teacher => (SoftmaxTargets::Teacher(part.dense, 2.5), plain),
            _ => (index, plain),
        }
    }

    fn sigmoid<'a, F: Float>(
        self,
        part: &'a Part<'_, F>,
    ) -> (SigmoidTargets<'a, F>, SigmoidOptions<'a, F>) {
        let dense = SigmoidTargets::Dense(part.dense);
        let class_weights = part.class_weights;
        let plain = SigmoidOptions::default();
        match self {
            Self::SigmoidWeighted => {
                let label_smoothing = 0.1;
                let pos_weight = class_weights;
                (dense, SigmoidOptions { class_weights, pos_weight, label_smoothing, ..plain })
            }
            Self::SigmoidMultiHot => {
                let options = SigmoidOptions { ignore_index: Some(2), ..plain };
                (SigmoidTargets::MultiHot(part.hot), options)
            }
            Self::SigmoidPositives => {
                let classes = Labels::from(&part.positives[..]);
                (SigmoidTargets::Positives { offsets: &part.offsets, classes }, plain)
            }
            Self::SigmoidFocal => {
                (dense, SigmoidOptions { focal_gamma: 1.5, focal_alpha: Some(0.25), ..plain })
            }
            Self::SoftMargin => (dense, SigmoidOptions { mean_over_classes: true, ..plain }),
            Self::Logistic => {
                (dense, SigmoidOptions { input: SigmoidInput::Probabilities, ..plain })
            }
            _ => (dense, plain),
        }
    }
}

/// Some rows of a corpus, without their input.
struct Part<'a, F> {
    shape: Shape,
    labels: Labels<'a>,
    dense: &'a [F],
    sparse: &'a [F],
    hot: Labels<'a>,
    /// Two classes of each row, or one of them twice.
    positives: Vec<u32>,
    offsets: Vec<usize>,
    class_weights: &'a [F],
    weights: RowWeights<'a, F>,
}

impl<'a, F: Float> Part<'a, F> {
    fn new<E: Element<Float = F>>(corpus: &'a Corpus<E>, rows: Range<usize>) -> Self {
        let classes = corpus.layout.classes();
        let shape = if rows.len() == corpus.layout.rows() {
            corpus.layout.shape()
        } else {
            Layout::Rows(rows.len(), classes).shape()
        };
        let elements = rows.start * classes..rows.end * classes;
        let positives = |row: usize| [row * 7 % classes, row * 7 % classes / 2];
        Self {
            shape,
            labels: Labels::from(&corpus.labels[rows.clone()]),
            dense: &corpus.dense[elements.clone()],
            sparse: &corpus.sparse[elements.clone()],
            hot: Labels::from(&corpus.hot[elements]),
            positives: rows.clone().flat_map(positives).map(|class| class as u32).collect(),
            offsets: (0..=rows.len()).map(|row| 2 * row).collect(),
            class_weights: &corpus.class_weights,
            weights: RowWeights {
                scale: 0.75,
                sample_weights: &corpus.row_weights[rows],
                upstream: &[],
            },
        }
    }
}
