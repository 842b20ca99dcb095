//! What PyTorch, optax, scikit-learn and the others answered: every golden case, at every level, in f32
//! and in f64.

use std::io::{Write, stdout};

use xent::{
    Distillation, Error, Float, Hessian, Level, LogisticLoss, Logits, MultiLabelSoftMargin,
    MultiLabelSoftmax, MultinomialLogistic, NegativeLogLikelihood, Pass, Reduction, Report,
    SigmoidCrossEntropy, SoftmaxCrossEntropy, Targets,
};
use xent_reference::golden::{
    Case, File, Loss, Options, Reduction as GoldenReduction, Targets as GoldenTargets, cases,
};

/// A format that cases are answered in.
trait Answering: Float {
    /// What a unit in the last place is of one.
    const UNIT: f64;

    /// ULP that peers are off themselves: they answered in f64.
    const OF_PEERS: f64;
}

impl Answering for f32 {
    const UNIT: f64 = Self::EPSILON as f64;
    const OF_PEERS: f64 = 0.0;
}

#[allow(clippy::use_self, reason = "units are f64 whatever the format")]
impl Answering for f64 {
    const UNIT: f64 = Self::EPSILON;
    /// A relative error of 1e-14.
    const OF_PEERS: f64 = 1e-14 / Self::EPSILON;
}

/// The numbers of a case, which f32 holds exactly.
fn exactly<F: Float>(values: &[f64]) -> Vec<F> {
    values
        .iter()
        .map(|&value| {
            assert_eq!(f64::from(value as f32), value, "not an f32");
            F::from(value as f32)
        })
        .collect()
}

fn optional<F: Float>(values: Option<&Vec<f64>>) -> Vec<F> {
    values.map_or_else(Vec::new, |values| exactly(values))
}

/// A case's numbers, as the losses take them.
struct Input<'a, F> {
    case: &'a Case,
    logits: Vec<F>,
    labels: Vec<i64>,
    numbers: Vec<F>,
    class_weights: Vec<F>,
    sample_weights: Vec<F>,
    pos_weight: Vec<F>,
}

/// What a level has answered.
struct Answer<F> {
    value: Vec<f64>,
    grad: Vec<F>,
    hessian: Vec<F>,
}

impl<'a, F: Answering> Input<'a, F> {
    fn new(case: &'a Case) -> Self {
        let (labels, numbers) = match &case.targets {
            GoldenTargets::Index(labels) => (labels.clone(), Vec::new()),
            GoldenTargets::Dense(values) | GoldenTargets::TeacherLogits(values) => {
                (Vec::new(), exactly(values))
            }
        };
        let options = &case.options;
        Self {
            case,
            logits: exactly(&case.input),
            labels,
            numbers,
            class_weights: optional(options.class_weights.as_ref()),
            sample_weights: optional(options.sample_weights.as_ref()),
            pos_weight: optional(options.pos_weight.as_ref()),
        }
    }

    fn targets(&self) -> Targets<'_, F> {
        match self.case.targets {
            GoldenTargets::Index(_) => Targets::index(&self.labels),
            GoldenTargets::Dense(_) => Targets::dense(&self.numbers),
            GoldenTargets::TeacherLogits(_) => Targets::teacher(&self.numbers),
        }
    }

    fn reduction(&self) -> Reduction {
        match self.case.options.reduction {
            GoldenReduction::None => Reduction::None,
            GoldenReduction::Sum => Reduction::Sum,
            GoldenReduction::Mean => Reduction::Mean,
        }
    }

    /// Calls the loss that the case asks for, with the options that it sets; with the gradient of
    /// the Caffe layer and a convention of the Hessian, if asked for.
    fn answer(
        &self,
        level: Level,
        caffe: bool,
        hessian: Option<Hessian>,
    ) -> Result<Answer<F>, Error> {
        let case = self.case;
        // Every option by name: what a loss has no use for must not be set.
        let Options {
            class_weights: _,
            sample_weights: _,
            pos_weight: _,
            label_smoothing,
            alpha,
            gamma,
            temperature,
            z_loss,
            soft_cap,
            ignore_index,
            reduction: _,
        } = case.options;
        let logits = Logits::new(&self.logits, case.classes)?;
        let mut grad = vec![F::from(f32::NAN); self.logits.len()];
        let mut second = vec![F::default(); if hessian.is_some() { self.logits.len() } else { 0 }];
        let count = if self.reduction() == Reduction::None { case.value.len() } else { 0 };
        let mut losses = vec![F::from(f32::NAN); count];
        let mut pass = Pass::new().grad(&mut grad).losses(&mut losses);
        pass = pass.sample_weights(&self.sample_weights);
        if let Some(convention) = hessian {
            pass = pass.hessian(&mut second, convention);
        }
        macro_rules! run {
            ($loss:expr) => {
                $loss.with_reduction(self.reduction()).with_level(level).evaluate(
                    logits,
                    self.targets(),
                    pass,
                )?
            };
        }
        let report: Report = match case.loss {
            Loss::Softmax | Loss::SoftmaxFocal | Loss::ZLoss | Loss::SoftCap => {
                assert!(alpha.is_none() && temperature.is_none() && self.pos_weight.is_empty());
                let mut loss = SoftmaxCrossEntropy::new()
                    .with_class_weights(&self.class_weights)?
                    .with_label_smoothing(label_smoothing.unwrap_or(0.0))?
                    .with_focal_gamma(gamma.unwrap_or(0.0))?
                    .with_z_loss(z_loss.unwrap_or(0.0))?;
                if let Some(cap) = soft_cap {
                    loss = loss.with_soft_cap(cap)?;
                }
                if let Some(label) = ignore_index {
                    loss = loss.with_ignore_index(label);
                }
                run!(loss)
            }
            Loss::Sigmoid | Loss::SigmoidFocal => {
                assert!(temperature.is_none() && z_loss.is_none() && soft_cap.is_none());
                assert!(ignore_index.is_none());
                run!(
                    SigmoidCrossEntropy::new()
                        .with_class_weights(&self.class_weights)?
                        .with_pos_weight(&self.pos_weight)?
                        .with_label_smoothing(label_smoothing.unwrap_or(0.0))?
                        .with_focal(gamma.unwrap_or(0.0), alpha)?
                )
            }
            Loss::MultilabelSoftmax => {
                self.assert_plain();
                let loss = MultiLabelSoftmax::new();
                run!(if caffe { loss.with_caffe_gradient()? } else { loss })
            }
            Loss::Distillation => {
                assert!(self.class_weights.is_empty() && label_smoothing.is_none());
                run!(Distillation::new(temperature.unwrap_or(1.0))?)
            }
            Loss::SoftMargin => {
                self.assert_plain();
                run!(MultiLabelSoftMargin::new())
            }
            Loss::Logistic => {
                self.assert_plain();
                run!(LogisticLoss::new())
            }
            Loss::MultinomialLogistic => {
                self.assert_plain();
                run!(MultinomialLogistic::new())
            }
            Loss::NegativeLogLikelihood => {
                assert!(label_smoothing.is_none() && gamma.is_none() && ignore_index.is_none());
                run!(NegativeLogLikelihood::new().with_class_weights(&self.class_weights)?)
            }
        };
        let value = if self.reduction() == Reduction::None {
            losses.iter().map(|&loss| loss.into()).collect()
        } else {
            vec![report.loss]
        };
        Ok(Answer { value, grad, hessian: second })
    }

    /// The loss has no options, so none may be set.
    fn assert_plain(&self) {
        let reduction = self.case.options.reduction;
        let plain = Options {
            class_weights: None,
            sample_weights: None,
            pos_weight: None,
            label_smoothing: None,
            alpha: None,
            gamma: None,
            temperature: None,
            z_loss: None,
            soft_cap: None,
            ignore_index: None,
            reduction,
        };
        assert_eq!(self.case.options, plain, "{}", self.case.id);
    }

    /// ULP that are allowed: four, one for each unit that the row's logits are apart, and what the
    /// loss multiplies them by.
    fn allowed(&self, row: &[f64]) -> f64 {
        let options = &self.case.options;
        let (low, high) =
            row.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), &x| (l.min(x), h.max(x)));
        let distance = match self.case.loss {
            Loss::Logistic | Loss::MultinomialLogistic | Loss::NegativeLogLikelihood => 0.0,
            // A capped logit has an absolute error of a few ULP of the cap.
            Loss::SoftCap => 2.0 * options.soft_cap.unwrap_or(0.0),
            _ => high - low,
        };
        ((4.0 + distance) * (1.0 + options.gamma.unwrap_or(0.0))).max(F::OF_PEERS)
    }

    fn compare(&self, answer: &Answer<F>, want_grad: &[f64]) {
        let case = self.case;
        let rows: Vec<&[f64]> = case.input.chunks(case.classes).collect();
        let widest = rows.iter().map(|row| self.allowed(row)).fold(0.0, f64::max);
        assert_eq!(answer.value.len(), case.value.len(), "{}", case.id);
        // A divergence is a difference of two entropies, which are at most about ln C + distance.
        let floor = if case.loss == Loss::Distillation { 1.0 } else { 0.0 };
        // PyTorch subtracts logits from each other, and so loses the digits of a confident loss.
        let largest_logit = case.input.iter().fold(1.0_f64, |largest, x| largest.max(x.abs()));
        let of_peer = f64::EPSILON * largest_logit / F::UNIT;
        for (&got, &want) in answer.value.iter().zip(&case.value) {
            let scale = want.abs() + floor + of_peer;
            within::<F>(got, want, scale, widest, || format!("{} value", case.id));
        }
        let wanted = want_grad.chunks(case.classes);
        for (row, (got, want)) in answer.grad.chunks(case.classes).zip(wanted).enumerate() {
            let allowed = self.allowed(rows[row]);
            let largest = want.iter().fold(0.0_f64, |largest, g| largest.max(g.abs()));
            // The gradient of an index target is no difference of larger numbers.
            let smoothed = case.options.label_smoothing.unwrap_or(0.0) != 0.0;
            let exact = matches!(case.targets, GoldenTargets::Index(_)) && !smoothed;
            // PyTorch subtracts the target from a probability.
            let of_peer = f64::EPSILON / F::UNIT;
            for (class, (&got, &want)) in got.iter().zip(want).enumerate() {
                let target = self.target_term(row, class);
                let scale = if exact { want.abs() } else { largest.max(want.abs() + target) };
                let scale = scale + of_peer;
                within::<F>(got.into(), want, scale, allowed, || {
                    format!("{} gradient of row {row}, class {class}", case.id)
                });
            }
        }
    }

    /// The term of a dense target in the gradient, which a probability's is subtracted from.
    fn target_term(&self, row: usize, class: usize) -> f64 {
        let Case { rows, classes, options, loss, .. } = self.case;
        let Some(&target) = self.numbers.get(row * classes + class) else { return 0.0 };
        let weight = |weights: &[F]| weights.get(class).map_or(1.0, |&weight| weight.into());
        let rows = *rows as f64;
        let count = match (options.reduction, loss) {
            (GoldenReduction::None | GoldenReduction::Sum, _) => 1.0,
            (GoldenReduction::Mean, Loss::Softmax) => rows,
            (GoldenReduction::Mean, Loss::Sigmoid) => rows * *classes as f64,
            // Of the others the largest gradient of the row is scale enough.
            (GoldenReduction::Mean, _) => return 0.0,
        };
        target.into() * weight(&self.class_weights) * weight(&self.pos_weight) / count
    }

    /// The loss of each row of a case that has a mean for its value.
    fn compare_rows(&self, level: Level, want: &[f64]) {
        assert_eq!(self.case.loss, Loss::MultilabelSoftmax);
        let mut losses = vec![F::default(); self.case.rows];
        let logits = Logits::new(&self.logits, self.case.classes).expect("whole rows");
        MultiLabelSoftmax::new()
            .with_level(level)
            .evaluate(logits, self.targets(), Pass::new().losses(&mut losses))
            .expect("valid input");
        let rows = self.case.input.chunks(self.case.classes);
        for ((&got, &want), row) in losses.iter().zip(want).zip(rows) {
            let what = || format!("{} row", self.case.id);
            within::<F>(got.into(), want, want, self.allowed(row), what);
        }
    }

    fn compare_hessian(&self, level: Level, convention: Hessian, want: &[f64]) {
        let answer = self.answer(level, false, Some(convention)).expect("valid input");
        let classes = self.case.classes;
        let rows = self.case.input.chunks(classes);
        for ((got, want), row) in answer.hessian.chunks(classes).zip(want.chunks(classes)).zip(rows)
        {
            // p (1 - p): twice the error of a probability.
            let allowed = 2.0 * self.allowed(row);
            for (&got, &want) in got.iter().zip(want) {
                let what = || format!("{} Hessian {convention:?}", self.case.id);
                // The formula subtracts a probability from one.
                let scale = want + f64::EPSILON / F::UNIT;
                within::<F>(got.into(), want, scale, allowed, what);
            }
        }
    }
}

#[track_caller]
fn within<F: Answering>(got: f64, want: f64, scale: f64, ulp: f64, what: impl Fn() -> String) {
    let error = (got - want).abs() / (F::UNIT * scale.max(1e-37));
    assert!(error <= ulp, "{}: {got:e} instead of {want:e}, {error} ULP of {ulp}", what());
}

fn run(file: File) {
    let cases = cases(file);
    run_in::<f32>(&cases);
    run_in::<f64>(&cases);
    let levels = Level::available().count();
    // Not `println!`, which a test that passes keeps to itself.
    writeln!(stdout(), "{}: {} cases at {levels} levels in f32, f64", file.name(), cases.len())
        .expect("a place to print to");
}

fn run_in<F: Answering>(cases: &[Case]) {
    for level in Level::available() {
        for case in cases {
            let input = Input::<F>::new(case);
            input.compare(&input.answer(level, false, None).expect(&case.id), &case.grad);
            if let Some(want) = &case.caffe_grad {
                input.compare(&input.answer(level, true, None).expect(&case.id), want);
            }
            if let Some(want) = &case.row_values {
                input.compare_rows(level, want);
            }
            for (convention, want) in [
                (Hessian::Exact, &case.hessian_exact),
                (Hessian::XgBoost, &case.hessian_xgboost),
                (Hessian::LightGbm, &case.hessian_lightgbm),
            ] {
                if let Some(want) = want {
                    input.compare_hessian(level, convention, want);
                }
            }
        }
    }
}

#[test]
fn softmax_index() {
    run(File::SoftmaxIndex);
}

#[test]
fn softmax_dense() {
    run(File::SoftmaxDense);
}

#[test]
fn sigmoid_dense() {
    run(File::SigmoidDense);
}

#[test]
fn multilabel_softmax() {
    run(File::MultilabelSoftmax);
}

#[test]
fn from_probabilities() {
    run(File::FromProbabilities);
}

#[test]
fn extended() {
    run(File::Extended);
}

#[test]
fn hessian() {
    run(File::Hessian);
}
