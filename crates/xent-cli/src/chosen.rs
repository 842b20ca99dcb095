//! The loss that was asked for, with its options.

use xent::{
    Distillation, Element, Error, Level, LogisticLoss, Logits, MeanOver, MultiLabelSoftMargin,
    MultiLabelSoftmax, MultinomialLogistic, NegativeLogLikelihood, Pass, Reduction, Report,
    SigmoidCrossEntropy, SoftmaxCrossEntropy, Targets,
};

use crate::args::{EvalArgs, GradientName, LossName, MeanOverName};
use crate::failure::Failure;

/// A loss of inputs of one format, whichever it is.
pub(crate) trait Chosen<E: Element> {
    fn evaluate(
        &self,
        logits: Logits<'_, E>,
        targets: Targets<'_, E::Float>,
        pass: Pass<'_, E>,
    ) -> Result<Report, Error>;

    fn denominator(
        &self,
        logits: Logits<'_, E>,
        targets: Targets<'_, E::Float>,
        sample_weights: &[E::Float],
    ) -> Result<f64, Error>;
}

macro_rules! chosen {
    ($($loss:ident),*) => {
        $(
            impl<E: Element> Chosen<E> for $loss<'_, E::Float> {
                fn evaluate(
                    &self,
                    logits: Logits<'_, E>,
                    targets: Targets<'_, E::Float>,
                    pass: Pass<'_, E>,
                ) -> Result<Report, Error> {
                    self.evaluate(logits, targets, pass)
                }

                fn denominator(
                    &self,
                    logits: Logits<'_, E>,
                    targets: Targets<'_, E::Float>,
                    sample_weights: &[E::Float],
                ) -> Result<f64, Error> {
                    self.denominator(logits, targets, sample_weights)
                }
            }
        )*
    };
}
chosen!(
    Distillation,
    LogisticLoss,
    MultiLabelSoftMargin,
    MultiLabelSoftmax,
    MultinomialLogistic,
    NegativeLogLikelihood,
    SigmoidCrossEntropy,
    SoftmaxCrossEntropy
);

/// Weights for the classes, empty where there are none.
pub(crate) struct ClassWeights<F> {
    pub(crate) classes: Vec<F>,
    pub(crate) positive: Vec<F>,
}

impl LossName {
    pub(crate) fn is_softmax(self) -> bool {
        matches!(
            self,
            Self::Softmax | Self::SoftmaxFocal | Self::MultilabelSoftmax | Self::Distillation
        )
    }

    /// Whether the inputs are independent of each other.
    pub(crate) fn is_of_elements(self) -> bool {
        matches!(
            self,
            Self::Sigmoid | Self::SigmoidFocal | Self::MultilabelSoftMargin | Self::Logistic
        )
    }

    /// Whether each input, not each row, has a loss.
    pub(crate) fn has_losses_of_elements(self) -> bool {
        self.is_of_elements() && self != Self::MultilabelSoftMargin
    }

    fn name(self) -> String {
        use clap::ValueEnum;
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }
}

/// Refuses options that the loss does not have.
pub(crate) fn check_options(args: &EvalArgs) -> Result<(), Failure> {
    use LossName::{
        Distillation as D, MultilabelSoftmax as M, MultinomialLogistic as L, Nll, SigmoidFocal,
        Softmax as S, SoftmaxFocal,
    };
    let loss = args.loss;
    let capped = loss.is_softmax() && loss != D;
    let smoothed = matches!(loss, S | M) || loss.is_of_elements();
    let ignoring = matches!(loss, S | SoftmaxFocal | Nll | L) || loss.is_of_elements();
    for (option, given, allowed) in [
        ("--pos-weight", args.pos_weight.is_some(), loss.is_of_elements()),
        ("--label-smoothing", args.label_smoothing.is_some(), smoothed),
        ("--ignore-index", args.ignore_index.is_some(), ignoring),
        ("--gamma", args.gamma.is_some(), matches!(loss, SoftmaxFocal | SigmoidFocal)),
        ("--alpha", args.alpha.is_some(), loss == SigmoidFocal),
        ("--temperature", args.temperature.is_some(), loss == D),
        ("--z-loss", args.z_loss.is_some(), capped),
        ("--soft-cap", args.soft_cap.is_some(), capped),
        ("--gradient", args.gradient.is_some(), loss == M),
    ] {
        if given && !allowed {
            let name = loss.name();
            return Err(Failure::argument(format!("the loss {name} has no option {option}")));
        }
    }
    Ok(())
}

/// Builds the loss; `reduction` is that of a part of the input.
pub(crate) fn choose<'w, E: Element>(
    args: &EvalArgs,
    weights: &'w ClassWeights<E::Float>,
    reduction: Reduction,
    level: Level,
) -> Result<Box<dyn Chosen<E> + 'w>, Failure> {
    let mean_over = match args.mean_over {
        MeanOverName::Pytorch => MeanOver::PyTorch,
        MeanOverName::ValidRows => MeanOver::NotIgnored,
        MeanOverName::AllRows => MeanOver::AllRows,
        MeanOverName::Weights => MeanOver::Weights,
    };
    macro_rules! reduced {
        ($loss:expr) => {
            Box::new($loss.with_reduction(reduction).with_mean_over(mean_over).with_level(level))
        };
    }
    macro_rules! with_ignored {
        ($loss:expr) => {
            match args.ignore_index {
                Some(label) => $loss.with_ignore_index(label),
                None => $loss,
            }
        };
    }
    macro_rules! capped {
        ($loss:expr) => {
            match args.soft_cap {
                Some(cap) => $loss.with_soft_cap(cap)?,
                None => $loss,
            }
        };
    }
    let smoothing = args.label_smoothing.unwrap_or(0.0);
    let gamma = args.gamma.unwrap_or(2.0);
    let z_loss = args.z_loss.unwrap_or(0.0);
    macro_rules! of_elements {
        ($loss:ident) => {
            with_ignored!(
                $loss::new()
                    .with_class_weights(&weights.classes)?
                    .with_pos_weight(&weights.positive)?
                    .with_label_smoothing(smoothing)?
            )
        };
    }
    Ok(match args.loss {
        LossName::Softmax | LossName::SoftmaxFocal => {
            let gamma = if args.loss == LossName::SoftmaxFocal { gamma } else { 0.0 };
            let loss = SoftmaxCrossEntropy::new()
                .with_class_weights(&weights.classes)?
                .with_label_smoothing(smoothing)?
                .with_focal_gamma(gamma)?
                .with_z_loss(z_loss)?;
            reduced!(capped!(with_ignored!(loss)))
        }
        LossName::MultilabelSoftmax => {
            let loss = MultiLabelSoftmax::new()
                .with_class_weights(&weights.classes)?
                .with_label_smoothing(smoothing)?
                .with_z_loss(z_loss)?;
            let caffe = args.gradient == Some(GradientName::Caffe);
            let loss = if caffe { loss.with_caffe_gradient()? } else { loss };
            reduced!(capped!(loss))
        }
        LossName::Distillation => reduced!(
            Distillation::new(args.temperature.unwrap_or(1.0))?
                .with_class_weights(&weights.classes)?
        ),
        LossName::Sigmoid => reduced!(of_elements!(SigmoidCrossEntropy)),
        LossName::SigmoidFocal => {
            reduced!(of_elements!(SigmoidCrossEntropy).with_focal(gamma, args.alpha)?)
        }
        LossName::MultilabelSoftMargin => reduced!(of_elements!(MultiLabelSoftMargin)),
        LossName::Logistic => reduced!(of_elements!(LogisticLoss)),
        LossName::Nll => reduced!(with_ignored!(
            NegativeLogLikelihood::new().with_class_weights(&weights.classes)?
        )),
        LossName::MultinomialLogistic => reduced!(with_ignored!(
            MultinomialLogistic::new().with_class_weights(&weights.classes)?
        )),
    })
}
