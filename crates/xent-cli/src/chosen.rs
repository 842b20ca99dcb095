//! The loss that was asked for, with its options.

use xent::{
    Distillation, Element, Error, Level, LogisticLoss, Loss, MultiLabelSoftMargin,
    MultiLabelSoftmax, MultinomialLogistic, NegativeLogLikelihood, NothingValid, Reduction,
    SigmoidCrossEntropy, SoftmaxCrossEntropy,
};

use crate::args::{EvalArgs, GradientName, LossName};
use crate::failure::Failure;

/// Weights of the classes; empty if there are none.
#[derive(Default)]
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

    /// Whether each input has a loss, rather than each row.
    pub(crate) fn has_losses_of_elements(self) -> bool {
        self.is_of_elements() && self != Self::MultilabelSoftMargin
    }

    fn name(self) -> String {
        use clap::ValueEnum;
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }
}

/// Rejects options that the loss does not have.
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

/// Builds the loss; for a part of the input it returns the sum of the losses.
pub(crate) fn choose<'w, E: Element>(
    args: &EvalArgs,
    ignored: Option<i64>,
    weights: &'w ClassWeights<E::Float>,
    level: Level,
    is_part: bool,
) -> Result<Box<dyn Loss<E> + Send + Sync + 'w>, Error> {
    macro_rules! start {
        ($loss:ident) => {
            args.preset.map_or_else($loss::new, $loss::preset)
        };
    }
    // The rule of a preset for losses that it does not name, taken from the losses that they
    // consist of.
    macro_rules! as_of {
        ($preset:ident, $loss:expr) => {{
            let mut loss = $loss;
            if let Some(preset) = args.preset {
                let policy = $preset::<E::Float>::preset(preset).policy();
                loss = loss
                    .with_reduction(policy.reduction)
                    .with_mean_over(policy.mean_over)
                    .with_nothing_valid(policy.nothing_valid);
            }
            loss
        }};
    }
    macro_rules! reduced {
        ($loss:expr) => {{
            let mut loss = $loss.with_level(level);
            if let Some(mean_over) = args.mean_over {
                loss = loss.with_mean_over(mean_over.into());
            }
            if let Some(nothing_valid) = args.nothing_valid {
                loss = loss.with_nothing_valid(nothing_valid.into());
            }
            if let Some(reduction) = args.reduction {
                loss = loss.with_reduction(reduction.into());
            }
            if is_part {
                loss = loss.with_reduction(Reduction::Sum);
                // In a part, every row may be ignored; a row without labels is a different error.
                if args.loss != LossName::MultilabelSoftmax
                    && loss.policy().nothing_valid == NothingValid::Error
                {
                    loss = loss.with_nothing_valid(NothingValid::Zero);
                }
            }
            Box::new(loss)
        }};
    }
    macro_rules! with_ignored {
        ($loss:expr) => {
            match ignored {
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
        ($loss:expr) => {
            with_ignored!(
                $loss
                    .with_class_weights(&weights.classes)?
                    .with_pos_weight(&weights.positive)?
                    .with_label_smoothing(smoothing)?
            )
        };
    }
    Ok(match args.loss {
        LossName::Softmax | LossName::SoftmaxFocal => {
            let gamma = if args.loss == LossName::SoftmaxFocal { gamma } else { 0.0 };
            let loss = start!(SoftmaxCrossEntropy)
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
            reduced!(as_of!(SoftmaxCrossEntropy, capped!(loss)))
        }
        LossName::Distillation => {
            let loss = Distillation::new(args.temperature.unwrap_or(1.0))?
                .with_class_weights(&weights.classes)?;
            reduced!(as_of!(SoftmaxCrossEntropy, loss))
        }
        LossName::Sigmoid => reduced!(of_elements!(start!(SigmoidCrossEntropy))),
        LossName::SigmoidFocal => {
            let loss = of_elements!(start!(SigmoidCrossEntropy)).with_focal(gamma, args.alpha)?;
            reduced!(loss)
        }
        LossName::MultilabelSoftMargin => {
            let loss = of_elements!(MultiLabelSoftMargin::new());
            reduced!(as_of!(SigmoidCrossEntropy, loss))
        }
        LossName::Logistic => reduced!(of_elements!(start!(LogisticLoss))),
        LossName::Nll => {
            let loss = start!(NegativeLogLikelihood).with_class_weights(&weights.classes)?;
            reduced!(with_ignored!(loss))
        }
        LossName::MultinomialLogistic => {
            let loss = start!(MultinomialLogistic).with_class_weights(&weights.classes)?;
            reduced!(with_ignored!(loss))
        }
    })
}
