//! The cases to measure: a computation and a shape.

use std::fmt;

use xent_core::Shape;

/// The computation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Question {
    SoftmaxLoss,
    SoftmaxGradient,
    SoftmaxInPlace,
    LogSumExp,
    SigmoidLoss,
    SigmoidGradient,
    Columns,
    /// Loss and gradient with one option.
    SoftmaxWith(SoftmaxOption),
    SigmoidWith(SigmoidOption),
}

use Question::{
    Columns, LogSumExp, SigmoidGradient, SigmoidLoss, SigmoidWith, SoftmaxGradient, SoftmaxInPlace,
    SoftmaxLoss, SoftmaxWith,
};

/// An option of a softmax loss, another kind of targets, or an additional output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SoftmaxOption {
    /// A tenth of the labels are -100.
    Ignored,
    ClassWeights,
    Smoothed,
    SmoothedWeighted,
    Focal,
    ZLoss,
    SoftCap,
    Dense,
    MultiLabel,
    Distillation,
    SampleWeights,
    Predicted,
    Losses,
    LogSumExp,
    Hessian,
    /// The gradient is added to another.
    Accumulate,
}

impl SoftmaxOption {
    pub(crate) const ALL: [Self; 16] = [
        Self::Ignored,
        Self::ClassWeights,
        Self::Smoothed,
        Self::SmoothedWeighted,
        Self::Focal,
        Self::ZLoss,
        Self::SoftCap,
        Self::Dense,
        Self::MultiLabel,
        Self::Distillation,
        Self::SampleWeights,
        Self::Predicted,
        Self::Losses,
        Self::LogSumExp,
        Self::Hessian,
        Self::Accumulate,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::Ignored => "softmax/ignored",
            Self::ClassWeights => "softmax/class_weights",
            Self::Smoothed => "softmax/smoothed",
            Self::SmoothedWeighted => "softmax/smoothed_weighted",
            Self::Focal => "softmax/focal",
            Self::ZLoss => "softmax/z_loss",
            Self::SoftCap => "softmax/soft_cap",
            Self::Dense => "softmax/dense",
            Self::MultiLabel => "softmax/multi_label",
            Self::Distillation => "softmax/distillation",
            Self::SampleWeights => "softmax/sample_weights",
            Self::Predicted => "softmax/predicted",
            Self::Losses => "softmax/losses",
            Self::LogSumExp => "softmax/log_sum_exp",
            Self::Hessian => "softmax/hessian",
            Self::Accumulate => "softmax/accumulate",
        }
    }
}

/// An option of a sigmoid loss, or another kind of targets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SigmoidOption {
    /// One byte for each target.
    MultiHot,
    /// Lists of the classes of each row.
    Positives,
    PosWeight,
    ClassWeights,
    Focal,
}

impl SigmoidOption {
    pub(crate) const ALL: [Self; 5] =
        [Self::MultiHot, Self::Positives, Self::PosWeight, Self::ClassWeights, Self::Focal];

    const fn name(self) -> &'static str {
        match self {
            Self::MultiHot => "sigmoid/multi_hot",
            Self::Positives => "sigmoid/positives",
            Self::PosWeight => "sigmoid/pos_weight",
            Self::ClassWeights => "sigmoid/class_weights",
            Self::Focal => "sigmoid/focal",
        }
    }
}

impl Question {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            SoftmaxLoss => "softmax/loss",
            SoftmaxGradient => "softmax/loss_and_grad",
            SoftmaxInPlace => "softmax/loss_and_grad_in_place",
            LogSumExp => "log_sum_exp",
            SigmoidLoss => "sigmoid/loss",
            SigmoidGradient => "sigmoid/loss_and_grad",
            Columns => "columns/loss_and_grad",
            SoftmaxWith(option) => option.name(),
            SigmoidWith(option) => option.name(),
        }
    }

    /// The same without its option, if it has one.
    const fn plain(self) -> Option<Self> {
        match self {
            SoftmaxWith(_) => Some(SoftmaxGradient),
            SigmoidWith(_) => Some(SigmoidGradient),
            _ => None,
        }
    }

    pub(crate) const fn is_sigmoid(self) -> bool {
        matches!(self, SigmoidLoss | SigmoidGradient | SigmoidWith(_))
    }

    /// Whether every number of its targets is checked.
    pub(crate) const fn has_checks(self) -> bool {
        matches!(
            self,
            SigmoidGradient | SoftmaxWith(SoftmaxOption::Dense | SoftmaxOption::MultiLabel)
        )
    }

    /// Whether the scripts in `benches/peers` have it.
    const fn has_peers(self) -> bool {
        match self {
            SoftmaxGradient | SigmoidGradient => true,
            SoftmaxWith(option) => matches!(
                option,
                SoftmaxOption::Dense | SoftmaxOption::SmoothedWeighted | SoftmaxOption::Focal
            ),
            SigmoidWith(option) => {
                matches!(option, SigmoidOption::PosWeight | SigmoidOption::Focal)
            }
            _ => false,
        }
    }
}

const OF_ROWS: [Question; 4] = [SoftmaxLoss, SoftmaxGradient, SoftmaxInPlace, LogSumExp];
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
/// Batches so small that the overhead of a call may show.
const SMALL: [[usize; 2]; 2] = [[64, 10], [1, 1000]];
/// Labels of images, one logit for each row, and two shapes of the softmax losses.
const ELEMENTS: [[usize; 2]; 4] = [[65_536, 80], [1_048_576, 1], [65_536, 10], [4096, 1000]];
/// Segmentation of images.
const IMAGES: [usize; 3] = [8, 21, 256 * 256];

/// The largest number of classes for which the peers are measured with an option.
const MOST_CLASSES_OF_PEERS: usize = 128_256;

/// The factor by which a quick run has fewer rows.
const QUICK: usize = 16;

/// A computation and its shape.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Case {
    pub(crate) question: Question,
    pub(crate) shape: Shape,
    pub(crate) outer: usize,
    /// Rows side by side, if the class axis is not the last.
    pub(crate) inner: usize,
}

impl Case {
    pub(crate) fn new(question: Question, [outer, classes, inner]: [usize; 3]) -> Self {
        let shape = Shape::columns(outer, classes, inner).expect("a shape that memory can hold");
        Self { question, shape, outer, inner }
    }

    pub(crate) fn all() -> impl Iterator<Item = Self> {
        let of_rows = OF_ROWS.into_iter().chain(SoftmaxOption::ALL.map(SoftmaxWith));
        let of_elements = OF_ELEMENTS.into_iter().chain(SigmoidOption::ALL.map(SigmoidWith));
        let each = |[rows, classes]: [usize; 2], question| Self::new(question, [rows, classes, 1]);
        let of_small = [SoftmaxGradient].into_iter().chain(SoftmaxOption::ALL.map(SoftmaxWith));
        let small = SMALL
            .into_iter()
            .flat_map(move |shape| of_small.clone().map(move |question| each(shape, question)));
        let rows = ROWS
            .into_iter()
            .flat_map(move |shape| of_rows.clone().map(move |question| each(shape, question)));
        let elements = ELEMENTS
            .into_iter()
            .flat_map(move |shape| of_elements.clone().map(move |question| each(shape, question)));
        small.chain(rows).chain(elements).chain([Self::new(Columns, IMAGES)])
    }

    /// The same case with a sixteenth of the rows; a small batch is unchanged.
    pub(crate) fn quick(self) -> Self {
        if self.is_small() {
            return self;
        }
        let (classes, outer) = (self.shape.classes(), self.outer);
        // There are few images, but each is large.
        let (outer, inner) = match self.inner {
            1 => ((outer / QUICK).max(1), 1),
            inner => (outer, inner / QUICK),
        };
        Self::new(self.question, [outer, classes, inner])
    }

    /// The same shape without the option, for comparison.
    pub(crate) fn plain(&self) -> Option<Self> {
        self.question.plain().map(|question| Self { question, ..*self })
    }

    fn is_small(&self) -> bool {
        SMALL.contains(&[self.outer, self.shape.classes()])
    }

    /// Whether a loop as a user would write it is measured too.
    pub(crate) fn has_scalar_loop(&self) -> bool {
        self.question == SoftmaxGradient && [self.outer, self.shape.classes()] == SMALL[0]
    }

    /// Whether the baseline is a loop over three streams, `c = a + b`, rather than a copy.
    pub(crate) fn has_three_streams(&self) -> bool {
        self.question.is_sigmoid()
    }

    /// Whether the scripts in `benches/peers` have it.
    pub(crate) fn has_peers(&self) -> bool {
        let with_option = self.question.plain().is_some();
        let too_long = with_option && self.shape.classes() > MOST_CLASSES_OF_PEERS;
        self.question.has_peers() && !self.is_small() && !too_long
    }

    /// The rows (or pixels) of a shape, and its classes.
    pub(crate) fn size(&self) -> String {
        let Self { outer, shape, inner, .. } = self;
        let classes = shape.classes();
        match inner {
            1 => format!("{outer}x{classes}"),
            _ => format!("{outer}x{classes}x{inner}"),
        }
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.question.name(), self.size())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn shapes(question: Question) -> Vec<[usize; 2]> {
        let cases = Case::all().filter(|case| case.question == question);
        cases.map(|case| [case.outer, case.shape.classes()]).collect()
    }

    #[test]
    fn every_option_is_asked_once_of_every_shape() {
        for option in SoftmaxOption::ALL {
            assert_eq!(shapes(SoftmaxWith(option)), [&SMALL[..], &ROWS].concat(), "{option:?}");
        }
        for option in SigmoidOption::ALL {
            assert_eq!(shapes(SigmoidWith(option)), ELEMENTS, "{option:?}");
        }
        let names: HashSet<String> = Case::all().map(|case| case.to_string()).collect();
        assert_eq!(names.len(), Case::all().count(), "two cases of one name");
        assert!(names.contains("softmax/smoothed_weighted 65536x10"));
    }

    #[test]
    fn an_option_is_compared_with_the_plain_loss_of_its_shape() {
        for case in Case::all() {
            match case.plain() {
                Some(plain) => {
                    assert_eq!(plain.size(), case.size());
                    let is_there = Case::all().any(|case| case.to_string() == plain.to_string());
                    assert!(is_there, "{plain} is not measured by itself");
                    assert_eq!(plain.has_three_streams(), case.has_three_streams());
                }
                None => {
                    assert!(
                        OF_ROWS
                            .iter()
                            .chain(&OF_ELEMENTS)
                            .chain(&[Columns])
                            .any(|&question| question == case.question)
                    );
                }
            }
        }
    }

    #[test]
    fn a_quick_case_has_a_sixteenth_of_the_elements() {
        let quick = |name: &str| {
            let case = Case::all().find(|case| case.to_string() == name).expect("a case");
            case.quick().size()
        };
        assert_eq!(quick("softmax/dense 65536x10"), "4096x10");
        assert_eq!(quick("softmax/loss 16x1000003"), "1x1000003");
        assert_eq!(quick("columns/loss_and_grad 8x21x65536"), "8x21x4096");
        assert_eq!(quick("softmax/loss_and_grad 64x10"), "64x10");
        assert_eq!(quick("softmax/loss_and_grad 1x1000"), "1x1000");
    }

    #[test]
    fn the_peers_have_no_small_batches() {
        let cases: Vec<String> =
            Case::all().filter(Case::has_peers).map(|case| case.to_string()).collect();
        for there in ["softmax/loss_and_grad 16x1000003", "softmax/focal 128x128256"] {
            assert!(cases.iter().any(|case| case == there), "{there}");
        }
        for absent in ["softmax/loss_and_grad 64x10", "softmax/dense 16x1000003", "softmax/loss "] {
            assert!(!cases.iter().any(|case| case.starts_with(absent)), "{absent}");
        }
    }
}
