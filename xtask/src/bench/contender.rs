//! The contenders of a case: `xent`, `xent-core`, a copy, and a loop as a user would write it.

use std::hint::black_box;

use rayon::prelude::*;
use xent::{
    Distillation, Error, Float, Hessian, Logits, LogitsMut, MultiLabelSoftmax, Pass, Report,
    SigmoidCrossEntropy, SoftmaxCrossEntropy, Targets,
};
use xent_core::{
    Batch, Buffers, Element, Level, MultiLabel, Outputs, SigmoidBatch, SigmoidOptions,
    SigmoidTargets, SoftmaxBatch, SoftmaxOptions, SoftmaxTargets,
};

use super::case::{Case, Question, SigmoidOption, SoftmaxOption};
use super::measure::{Contender, Measured};
use super::workspace::{IGNORED, Inputs, Results};

use Question::{LogSumExp, SigmoidLoss, SigmoidWith, SoftmaxInPlace, SoftmaxLoss, SoftmaxWith};

/// Elements that a thread copies at once.
const COPY_CHUNK: usize = 1 << 15;

const SMOOTHING: f64 = 0.1;
const GAMMA: f64 = 2.0;
const Z_LOSS: f64 = 1e-4;
const CAP: f64 = 30.0;
const TEMPERATURE: f64 = 2.0;

/// One of xent's losses, built once as in a training program.
enum Loss<'w, F> {
    Softmax(SoftmaxCrossEntropy<'w, F>),
    MultiLabel(MultiLabelSoftmax<'w, F>),
    Distillation(Distillation<'w, F>),
    Sigmoid(SigmoidCrossEntropy<'w, F>),
}

impl<'w, F: Float> Loss<'w, F> {
    fn new(question: Question, level: Level, weights: &'w [F]) -> Result<Self, Error> {
        let softmax = SoftmaxCrossEntropy::new().with_level(level);
        let sigmoid = SigmoidCrossEntropy::new().with_level(level);
        Ok(match question {
            SoftmaxWith(option) => Self::Softmax(match option {
                SoftmaxOption::MultiLabel => {
                    return Ok(Self::MultiLabel(MultiLabelSoftmax::new().with_level(level)));
                }
                SoftmaxOption::Distillation => {
                    let loss = Distillation::new(TEMPERATURE)?.with_level(level);
                    return Ok(Self::Distillation(loss));
                }
                SoftmaxOption::Ignored => softmax.with_ignore_index(IGNORED.into()),
                SoftmaxOption::ClassWeights => softmax.with_class_weights(weights)?,
                SoftmaxOption::Smoothed => softmax.with_label_smoothing(SMOOTHING)?,
                SoftmaxOption::SmoothedWeighted => {
                    softmax.with_label_smoothing(SMOOTHING)?.with_class_weights(weights)?
                }
                SoftmaxOption::Focal => softmax.with_focal_gamma(GAMMA)?,
                SoftmaxOption::ZLoss => softmax.with_z_loss(Z_LOSS)?,
                SoftmaxOption::SoftCap => softmax.with_soft_cap(CAP)?,
                SoftmaxOption::Dense
                | SoftmaxOption::SampleWeights
                | SoftmaxOption::Predicted
                | SoftmaxOption::Losses
                | SoftmaxOption::LogSumExp
                | SoftmaxOption::Hessian
                | SoftmaxOption::Accumulate => softmax,
            }),
            SigmoidWith(option) => Self::Sigmoid(match option {
                SigmoidOption::PosWeight => sigmoid.with_pos_weight(weights)?,
                SigmoidOption::ClassWeights => sigmoid.with_class_weights(weights)?,
                SigmoidOption::Focal => sigmoid.with_focal(GAMMA, None)?,
                SigmoidOption::MultiHot | SigmoidOption::Positives => sigmoid,
            }),
            question if question.is_sigmoid() => Self::Sigmoid(sigmoid),
            _ => Self::Softmax(softmax),
        })
    }

    fn evaluate<E: Element<Float = F>>(
        &self,
        logits: Logits<'_, E>,
        targets: Targets<'_, F>,
        pass: Pass<'_, E>,
    ) -> Result<Report, Error> {
        match self {
            Self::Softmax(loss) => loss.evaluate(logits, targets, pass),
            Self::MultiLabel(loss) => loss.evaluate(logits, targets, pass),
            Self::Distillation(loss) => loss.evaluate(logits, targets, pass),
            Self::Sigmoid(loss) => loss.evaluate(logits, targets, pass),
        }
    }

    fn evaluate_in_place<E: Element<Float = F>>(
        &self,
        logits: LogitsMut<'_, E>,
        targets: Targets<'_, F>,
        pass: Pass<'_, E>,
    ) -> Result<Report, Error> {
        match self {
            Self::Softmax(loss) => loss.evaluate_in_place(logits, targets, pass),
            Self::MultiLabel(loss) => loss.evaluate_in_place(logits, targets, pass),
            Self::Distillation(loss) => loss.evaluate_in_place(logits, targets, pass),
            Self::Sigmoid(loss) => loss.evaluate_in_place(logits, targets, pass),
        }
    }
}

fn targets_of<E: Element>(question: Question, inputs: &Inputs<E>) -> Targets<'_, E::Float> {
    match question {
        SoftmaxWith(SoftmaxOption::Ignored) => Targets::index(&inputs.some_ignored),
        SoftmaxWith(SoftmaxOption::Dense | SoftmaxOption::MultiLabel) => {
            Targets::dense(&inputs.targets)
        }
        SoftmaxWith(SoftmaxOption::Distillation) => Targets::teacher(&inputs.targets),
        SigmoidWith(SigmoidOption::MultiHot) => Targets::multi_hot(&inputs.multi_hot),
        SigmoidWith(SigmoidOption::Positives) => {
            Targets::positives(&inputs.offsets, &inputs.positives)
        }
        question if question.is_sigmoid() => Targets::dense(&inputs.targets),
        _ => Targets::index(&inputs.labels),
    }
}

/// The case through the public crate `xent`, with all checks of its input.
pub(crate) fn xent<E: Measured>(case: Case, inputs: &Inputs<E>, level: Level) -> Contender<'_, E> {
    let Case { question, shape, outer, inner } = case;
    let (elements, rows, classes) = (shape.elements(), shape.row_count(), shape.classes());
    let loss = Loss::new(question, level, &inputs.class_weights[..classes])
        .expect("options that go together");
    let targets = targets_of(question, inputs);
    let (logits, weights) = (&inputs.logits[..elements], &inputs.sample_weights[..rows]);
    Box::new(move |results| {
        let Results { gradient, hessian, of_rows, predicted } = results;
        let gradient = &mut gradient[..elements];
        let pass = Pass::new().scale(E::LOSS_SCALE);
        let report = if question == SoftmaxInPlace {
            LogitsMut::with_columns(gradient, outer, classes, inner)
                .and_then(|logits| loss.evaluate_in_place(logits, targets, pass))
        } else {
            let pass = match question {
                SoftmaxLoss | LogSumExp | SigmoidLoss => pass,
                SoftmaxWith(SoftmaxOption::Accumulate) => pass.accumulate_grad(gradient),
                _ => pass.grad(gradient),
            };
            let pass = match question {
                LogSumExp | SoftmaxWith(SoftmaxOption::LogSumExp) => {
                    pass.log_sum_exp(&mut of_rows[..rows])
                }
                SoftmaxWith(SoftmaxOption::SampleWeights) => pass.sample_weights(weights),
                SoftmaxWith(SoftmaxOption::Predicted) => pass.predicted(&mut predicted[..rows]),
                SoftmaxWith(SoftmaxOption::Losses) => pass.losses(&mut of_rows[..rows]),
                SoftmaxWith(SoftmaxOption::Hessian) => {
                    pass.hessian(&mut hessian[..elements], Hessian::Exact)
                }
                _ => pass,
            };
            Logits::with_columns(logits, outer, classes, inner)
                .and_then(|logits| loss.evaluate(logits, targets, pass))
        };
        black_box(report.expect("lengths and labels that agree"));
    })
}

/// A case without an option through `xent-core`, with all checks of its input.
pub(crate) fn core<E: Measured>(
    case: Case,
    inputs: &Inputs<E>,
    level: Level,
    threads: usize,
) -> Contender<'_, E> {
    let Case { question, shape, .. } = case;
    let (elements, rows) = (shape.elements(), shape.row_count());
    let logits = &inputs.logits[..elements];
    Box::new(move |results| {
        let gradient = &mut results.gradient[..elements];
        let buffers = match question {
            SoftmaxLoss | LogSumExp | SigmoidLoss => Buffers::loss(logits),
            SoftmaxInPlace => Buffers::in_place(gradient),
            _ => Buffers::gradient(logits, gradient),
        };
        if question.is_sigmoid() {
            let batch = SigmoidBatch::new(buffers, &inputs.targets).expect("lengths that agree");
            black_box(solve(batch, level, threads));
            return;
        }
        let mut outputs = Outputs::default();
        if question == LogSumExp {
            outputs.log_sum_exp = &mut results.of_rows[..rows];
        }
        let targets = SoftmaxTargets::Index(inputs.labels.as_slice().into());
        let batch = SoftmaxBatch::with_options(buffers, shape, targets, SoftmaxOptions::default())
            .and_then(|batch| batch.with_outputs(outputs))
            .expect("lengths and labels that agree");
        black_box(solve(batch, level, threads));
    })
}

/// Only the checks of a case: a batch is built, and not run.
pub(crate) fn checks<E: Measured>(case: Case, inputs: &Inputs<E>) -> Contender<'_, E> {
    let Case { question, shape, .. } = case;
    let elements = shape.elements();
    let (logits, targets) = (&inputs.logits[..elements], &inputs.targets[..elements]);
    Box::new(move |results| {
        let buffers = Buffers::gradient(logits, &mut results.gradient[..elements]);
        // Those of the pool that all contenders run in.
        let join = &xent_rayon::Threads;
        if question.is_sigmoid() {
            let targets = SigmoidTargets::Dense(targets);
            let options = SigmoidOptions::default();
            let batch = SigmoidBatch::checked_on(join, buffers, shape, targets, options, &[]);
            black_box(batch.is_ok());
            return;
        }
        let targets = match question {
            SoftmaxWith(SoftmaxOption::MultiLabel) => {
                SoftmaxTargets::MultiLabel(targets, MultiLabel::Exact)
            }
            _ => SoftmaxTargets::Dense(targets),
        };
        let options = SoftmaxOptions::default();
        black_box(SoftmaxBatch::checked_on(join, buffers, shape, targets, options).is_ok());
    })
}

fn solve(batch: impl Batch, level: Level, threads: usize) -> f64 {
    match threads {
        1 => batch.run(level),
        _ => xent_rayon::run(batch, level),
    }
}

/// The minimum of memory traffic for a loss and its gradient.
pub(crate) fn limit<E: Measured>(
    case: Case,
    inputs: &Inputs<E>,
    threads: usize,
) -> Contender<'_, E> {
    let elements = case.shape.elements();
    let logits = &inputs.logits[..elements];
    if case.has_three_streams() {
        let add = |to: &mut [E], a: &[E], b: &[E::Float]| {
            to.iter_mut().zip(a).zip(b).for_each(|((to, &a), &b)| *to = a.with(b));
        };
        return Box::new(move |results| {
            let to = &mut results.gradient[..elements];
            if threads == 1 {
                add(to, logits, &inputs.targets);
            } else {
                to.par_chunks_mut(COPY_CHUNK)
                    .zip(logits.par_chunks(COPY_CHUNK))
                    .zip(inputs.targets.par_chunks(COPY_CHUNK))
                    .for_each(|((to, a), b)| add(to, a, b));
            }
            black_box(to);
        });
    }
    Box::new(move |results| {
        let to = &mut results.gradient[..elements];
        if threads == 1 {
            to.copy_from_slice(logits);
        } else {
            to.par_chunks_mut(COPY_CHUNK)
                .zip(logits.par_chunks(COPY_CHUNK))
                .for_each(|(to, from)| to.copy_from_slice(from));
        }
        black_box(to);
    })
}

/// Softmax cross-entropy and its gradient as a user would write them: three loops over a row.
pub(crate) fn scalar_loop<E: Measured>(case: Case, inputs: &Inputs<E>) -> Contender<'_, E> {
    let (elements, classes) = (case.shape.elements(), case.shape.classes());
    let logits = &inputs.logits[..elements];
    let share = E::float(E::LOSS_SCALE / case.shape.row_count() as f64);
    Box::new(move |results| {
        let mut total = 0.0;
        let gradients = results.gradient[..elements].chunks_exact_mut(classes);
        for ((x, gradient), &label) in
            logits.chunks_exact(classes).zip(gradients).zip(&inputs.labels)
        {
            let label = label as usize;
            let mut max = x[0].to_float();
            for x in x {
                if x.to_float() > max {
                    max = x.to_float();
                }
            }
            let mut sum = E::float(0.0);
            for (gradient, x) in gradient.iter_mut().zip(x) {
                let exp = E::exp(x.to_float() - max);
                sum = sum + exp;
                *gradient = E::from_float(exp);
            }
            for (class, gradient) in gradient.iter_mut().enumerate() {
                let target = E::float(if class == label { 1.0 } else { 0.0 });
                *gradient = E::from_float((gradient.to_float() / sum - target) * share);
            }
            let loss: f64 = (E::ln(sum) + max - x[label].to_float()).into();
            total += loss;
        }
        black_box(total);
    })
}

#[cfg(test)]
mod tests {
    use approx::assert_relative_eq;

    use super::super::workspace::Workspace;
    use super::*;

    const SHAPE: [usize; 3] = [64, 10, 1];

    /// The results of a contender, written over those of the plain loss and gradient.
    fn results<'w>(
        workspace: &'w mut Workspace<f32>,
        case: Case,
        contender: impl FnOnce(&'w Inputs<f32>) -> Contender<'w, f32>,
    ) -> Results<f32> {
        workspace.prepare(&case);
        let mut results = workspace.results.clone();
        contender(&workspace.inputs)(&mut results);
        results
    }

    fn workspace() -> Workspace<f32> {
        let hessian = SoftmaxWith(SoftmaxOption::Hessian);
        Workspace::for_cases(&[Case::new(hessian, SHAPE)])
    }

    #[test]
    fn every_option_makes_a_difference() {
        let softmax = SoftmaxOption::ALL.map(SoftmaxWith);
        // Lists and bytes describe the same targets.
        let sigmoid = SigmoidOption::ALL.map(SigmoidWith);
        let sigmoid = sigmoid.into_iter().filter(|&q| q != SigmoidWith(SigmoidOption::MultiHot));
        let mut all: Vec<(Question, Results<f32>)> = Vec::new();
        for question in softmax.into_iter().chain(sigmoid) {
            let case = Case::new(question, SHAPE);
            for case in [Some(case), case.plain()].into_iter().flatten() {
                let results =
                    results(&mut workspace(), case, |inputs| xent(case, inputs, Level::detect()));
                for (other, same) in &all {
                    let is_other = *other != case.question;
                    assert!(!is_other || results != *same, "{case} does what {other:?} does");
                }
                all.push((case.question, results));
            }
        }
    }

    #[test]
    fn multi_hot_bytes_and_lists_say_the_same() {
        let [bytes, lists] = [SigmoidOption::MultiHot, SigmoidOption::Positives].map(|option| {
            let case = Case::new(SigmoidWith(option), SHAPE);
            results(&mut workspace(), case, |inputs| xent(case, inputs, Level::detect()))
        });
        assert_eq!(bytes, lists);
    }

    #[test]
    fn xent_the_core_and_the_loop_have_the_same_gradient() {
        let case = Case::new(Question::SoftmaxGradient, SHAPE);
        let level = Level::detect();
        let ours = results(&mut workspace(), case, |inputs| xent(case, inputs, level)).gradient;
        let core = results(&mut workspace(), case, |inputs| core(case, inputs, level, 1)).gradient;
        let scalar = results(&mut workspace(), case, |inputs| scalar_loop(case, inputs)).gradient;
        // A mean over 64 rows, and a sum.
        let mean: Vec<f32> = core.iter().map(|g| g / 64.0).collect();
        assert_relative_eq!(ours[..], mean[..], epsilon = 1e-9, max_relative = 1e-6);
        assert_relative_eq!(ours[..], scalar[..], epsilon = 1e-8, max_relative = 1e-4);
    }
}
