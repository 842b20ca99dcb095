//! The losses of `xent`, each with its options.

use xent::{
    Distillation, Error, Level, LogisticLoss, Logits, LogitsMut, MeanOver, MultiLabelSoftMargin,
    MultiLabelSoftmax, MultinomialLogistic, NegativeLogLikelihood, NothingValid, Pass, Reduction,
    Report, SigmoidCrossEntropy, SoftmaxCrossEntropy, Targets,
};

use crate::format::Format;
use crate::input::{self, MeanOverName, NothingValidName, ReductionName};

/// A loss with everything except its batch.
pub(crate) trait Loss<E: Format> {
    fn evaluate(
        &self,
        level: Level,
        logits: Logits<'_, E>,
        targets: Targets<'_, E::Float>,
        pass: Pass<'_, E>,
    ) -> Result<Report, Error>;

    fn evaluate_in_place(
        &self,
        level: Level,
        logits: LogitsMut<'_, E>,
        targets: Targets<'_, E::Float>,
        pass: Pass<'_, E>,
    ) -> Result<Report, Error>;

    fn loss(
        &self,
        level: Level,
        logits: Logits<'_, E>,
        targets: Targets<'_, E::Float>,
    ) -> Result<f64, Error>;

    fn denominator(
        &self,
        logits: Logits<'_, E>,
        targets: Targets<'_, E::Float>,
        sample_weights: &[E::Float],
    ) -> Result<f64, Error>;
}

macro_rules! losses {
    ($($loss:ident),*) => {
        /// Which loss.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum LossName {
            $($loss,)*
        }

        $(
            impl<E: Format> Loss<E> for $loss<'_, E::Float> {
                fn evaluate(
                    &self,
                    level: Level,
                    logits: Logits<'_, E>,
                    targets: Targets<'_, E::Float>,
                    pass: Pass<'_, E>,
                ) -> Result<Report, Error> {
                    self.clone().with_level(level).evaluate(logits, targets, pass)
                }

                fn evaluate_in_place(
                    &self,
                    level: Level,
                    logits: LogitsMut<'_, E>,
                    targets: Targets<'_, E::Float>,
                    pass: Pass<'_, E>,
                ) -> Result<Report, Error> {
                    self.clone().with_level(level).evaluate_in_place(logits, targets, pass)
                }

                fn loss(
                    &self,
                    level: Level,
                    logits: Logits<'_, E>,
                    targets: Targets<'_, E::Float>,
                ) -> Result<f64, Error> {
                    self.clone().with_level(level).loss(logits, targets)
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
losses!(
    Distillation,
    LogisticLoss,
    MultiLabelSoftMargin,
    MultiLabelSoftmax,
    MultinomialLogistic,
    NegativeLogLikelihood,
    SigmoidCrossEntropy,
    SoftmaxCrossEntropy
);

impl LossName {
    /// Whether the inputs are independent of each other.
    pub(crate) fn is_of_elements(self) -> bool {
        matches!(self, Self::SigmoidCrossEntropy | Self::MultiLabelSoftMargin | Self::LogisticLoss)
    }

    /// Whether each input has a loss, rather than each row.
    pub(crate) fn has_losses_of_elements(self) -> bool {
        self.is_of_elements() && self != Self::MultiLabelSoftMargin
    }

    pub(crate) fn is_of_softmax(self) -> bool {
        matches!(self, Self::SoftmaxCrossEntropy | Self::MultiLabelSoftmax | Self::Distillation)
    }
}

/// The options of a loss as numbers; missing options are neutral.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    pub(crate) reduction: Reduction,
    pub(crate) mean_over: MeanOver,
    pub(crate) nothing_valid: NothingValid,
    pub(crate) ignore: Option<i64>,
    pub(crate) smoothing: f64,
    pub(crate) gamma: f64,
    pub(crate) alpha: Option<f64>,
    pub(crate) z_loss: f64,
    pub(crate) soft_cap: Option<f64>,
    pub(crate) temperature: f64,
    pub(crate) caffe: bool,
}

impl Settings {
    pub(crate) fn new(options: &input::Options, loss: LossName) -> Self {
        use LossName::{
            Distillation as D, MultiLabelSoftmax as M, MultinomialLogistic as L,
            NegativeLogLikelihood as N, SigmoidCrossEntropy as B, SoftmaxCrossEntropy as S,
        };
        let of_elements = loss.is_of_elements();
        let is = |losses: &[LossName]| losses.contains(&loss);
        let mapped = is(&[S, M]);
        let smoothed = mapped || of_elements;
        let smoothing = options.smoothing.filter(|_| smoothed);
        let ignore = options.ignore.filter(|_| of_elements || is(&[S, N, L]));
        let gamma = options.gamma.filter(|_| is(&[S, B]));
        let alpha = options.alpha.filter(|_| loss == B);
        let z_loss = options.z_loss.filter(|_| mapped);
        let soft_cap = options.soft_cap.filter(|_| mapped);
        Self {
            reduction: match options.reduction {
                ReductionName::None => Reduction::None,
                ReductionName::Sum => Reduction::Sum,
                ReductionName::Mean => Reduction::Mean,
            },
            mean_over: match options.mean_over {
                MeanOverName::PyTorch => MeanOver::PyTorch,
                MeanOverName::ValidRows => MeanOver::NotIgnored,
                MeanOverName::AllRows => MeanOver::AllRows,
                MeanOverName::Weights => MeanOver::Weights,
            },
            nothing_valid: match options.nothing_valid {
                NothingValidName::Zero => NothingValid::Zero,
                NothingValidName::Nan => NothingValid::Nan,
                NothingValidName::Error => NothingValid::Error,
            },
            ignore: ignore.map(input::Ignored::value),
            smoothing: smoothing.map_or(0.0, |epsilon| epsilon.within(0.0, 1.0)),
            gamma: gamma.map_or(0.0, |gamma| gamma.within(0.0, 6.0)),
            alpha: alpha.map(|alpha| alpha.within(0.0, 1.0)),
            z_loss: z_loss.map_or(0.0, |factor| factor.within(0.0, 1.0)),
            soft_cap: soft_cap.map(|cap| cap.within(0.5, 64.0)),
            temperature: if loss == D { options.temperature.within(0.25, 8.0) } else { 1.0 },
            caffe: loss == M && options.caffe.is_some(),
        }
    }
}

/// The loss, if its options are valid.
pub(crate) fn build<'w, E: Format>(
    loss: LossName,
    settings: &Settings,
    [class_weights, pos_weight]: [&'w [E::Float]; 2],
) -> Result<Box<dyn Loss<E> + 'w>, Error> {
    let Settings { smoothing, gamma, alpha, z_loss, soft_cap, temperature, .. } = *settings;
    macro_rules! boxed {
        ($loss:expr) => {
            Box::new(
                $loss
                    .with_reduction(settings.reduction)
                    .with_mean_over(settings.mean_over)
                    .with_nothing_valid(settings.nothing_valid),
            )
        };
    }
    macro_rules! ignoring {
        ($loss:expr) => {
            match settings.ignore {
                Some(label) => $loss.with_ignore_index(label),
                None => $loss,
            }
        };
    }
    macro_rules! capped {
        ($loss:expr) => {
            match soft_cap {
                Some(cap) => $loss.with_soft_cap(cap)?,
                None => $loss,
            }
        };
    }
    macro_rules! of_elements {
        ($loss:ident) => {
            ignoring!(
                $loss::new()
                    .with_class_weights(class_weights)?
                    .with_pos_weight(pos_weight)?
                    .with_label_smoothing(smoothing)?
            )
        };
    }
    Ok(match loss {
        LossName::SoftmaxCrossEntropy => boxed!(ignoring!(capped!(
            SoftmaxCrossEntropy::new()
                .with_class_weights(class_weights)?
                .with_label_smoothing(smoothing)?
                .with_focal_gamma(gamma)?
                .with_z_loss(z_loss)?
        ))),
        LossName::MultiLabelSoftmax => {
            let loss = MultiLabelSoftmax::new();
            let loss = if settings.caffe { loss.with_caffe_gradient()? } else { loss };
            boxed!(capped!(
                loss.with_class_weights(class_weights)?
                    .with_label_smoothing(smoothing)?
                    .with_z_loss(z_loss)?
            ))
        }
        LossName::Distillation => {
            boxed!(Distillation::new(temperature)?.with_class_weights(class_weights)?)
        }
        LossName::SigmoidCrossEntropy => {
            let loss = of_elements!(SigmoidCrossEntropy);
            // Without gamma and alpha it is the plain loss.
            boxed!(loss.with_focal(gamma, alpha)?)
        }
        LossName::MultiLabelSoftMargin => boxed!(of_elements!(MultiLabelSoftMargin)),
        LossName::LogisticLoss => boxed!(of_elements!(LogisticLoss)),
        LossName::NegativeLogLikelihood => {
            boxed!(ignoring!(NegativeLogLikelihood::new().with_class_weights(class_weights)?))
        }
        LossName::MultinomialLogistic => {
            boxed!(ignoring!(MultinomialLogistic::new().with_class_weights(class_weights)?))
        }
    })
}
