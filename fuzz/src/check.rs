//! One call, made in every possible way, with results that must agree.

use arbitrary::{Arbitrary, Unstructured};
use half::{bf16, f16};
use xent::{Error, Hessian, Level, Pass, Reduction, Report};

use crate::answer::Answer;
use crate::batch::Batch;
use crate::expected::{Expected, Lengths, Question};
use crate::format::Format;
use crate::input::{Case, FormatName, HessianName, OutputChoice, Slice};
use crate::losses::{Loss, LossName, Settings, build};

/// What happens to the gradient.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Loss,
    Write,
    Add,
    InPlace,
    WriteWide,
    AddWide,
}

impl Mode {
    const ALL: [Self; 6] =
        [Self::Write, Self::Loss, Self::InPlace, Self::WriteWide, Self::Add, Self::AddWide];
}

/// All outputs.
#[derive(Clone, Debug)]
struct Written<E: Format> {
    /// In place this is the logits.
    gradient: Vec<E>,
    wide: Vec<E::Float>,
    losses: Vec<E::Float>,
    log_sum_exp: Vec<E::Float>,
    predicted: Vec<u32>,
    hessian: Vec<E::Float>,
}

/// The outputs of each mode, as bits.
type BitsOfModes = Vec<(Mode, Vec<u64>)>;

/// The value in places that have not been written.
const UNTOUCHED: f64 = -0.375;

/// Runs the check that the bytes describe.
pub(crate) fn run(loss: LossName, data: &[u8]) {
    let Ok(case) = Case::arbitrary(&mut Unstructured::new(data)) else { return };
    if std::env::var_os("XENT_FUZZ_SHOW").is_some() {
        eprintln!("{case:?}");
    }
    match case.format {
        FormatName::F32 => check::<f32>(&case, loss),
        FormatName::F64 => check::<f64>(&case, loss),
        FormatName::Bf16 => check::<bf16>(&case, loss),
        FormatName::F16 => check::<f16>(&case, loss),
    }
}

fn check<E: Format>(case: &Case, loss: LossName)
where
    E::Float: Format<Float = E::Float>,
{
    let batch = Batch::<E>::new(case, loss);
    let settings = Settings::new(&case.options, loss);
    let OutputChoice { hessian, .. } = case.outputs;
    let convention = hessian.unwrap_or(HessianName::Exact);
    let question = Question::new(loss, settings, &batch, convention);
    let built = build(loss, &settings, [&batch.class_weights, &batch.pos_weight]);
    match (question.options_refused(), &built) {
        (Some(why), Ok(_)) => panic!("options are taken that should be refused: {why}"),
        (None, Err(error)) => panic!("options are refused: {error}"),
        _ => {}
    }
    let Ok(built) = built else { return };
    let lengths = question.lengths(asked(case, loss, &batch));
    Check { question, loss: &*built, lengths }.all();
}

/// The outputs that are asked for.
fn asked<E: Format>(case: &Case, loss: LossName, batch: &Batch<E>) -> Lengths {
    let OutputChoice { losses, log_sum_exp, predicted, hessian, impossible } = case.outputs;
    let (rows, elements) = (batch.layout.rows(), batch.layout.elements());
    let of_rows = loss.is_of_softmax() || impossible.is_some();
    let if_asked = |asked: bool, length: usize| if asked { length } else { 0 };
    Lengths {
        losses: if_asked(losses, if loss.has_losses_of_elements() { elements } else { rows }),
        log_sum_exp: if_asked(log_sum_exp && of_rows, rows),
        predicted: if_asked(predicted && of_rows, rows),
        hessian: if_asked(hessian.is_some(), elements),
    }
}

/// A loss of a batch that can be called.
struct Check<'a, E: Format> {
    question: Question<'a, E>,
    loss: &'a dyn Loss<E>,
    lengths: Lengths,
}

impl<E: Format> Check<'_, E>
where
    E::Float: Format<Float = E::Float>,
{
    fn all(&self) {
        let refused = |mode| self.question.refused(self.gradient_length(mode), self.lengths);
        // Ignoring the gradient's length.
        let expected = refused(Mode::Loss).is_none().then(|| self.question.answer());
        self.denominator(expected.is_some());
        let mut of_fma: Option<(Level, BitsOfModes)> = None;
        for level in Level::available() {
            let mut written = None;
            let mut bits = Vec::new();
            for mode in Mode::ALL {
                let (result, got) = self.call(level, mode, self.lengths);
                let what = || format!("{level}, {mode:?}");
                match (refused(mode), &result) {
                    (Some(why), Ok(_)) => panic!("{}: taken, to be refused: {why}", what()),
                    (None, Err(error)) => panic!("{}: refused: {error}", what()),
                    (Some(_), Err(_)) => self.untouched(&what(), mode, &got),
                    (None, Ok(report)) => {
                        let expected = expected.as_ref().expect("an answer to what is taken");
                        self.judge_report(&what(), report, &got, expected);
                        self.judge_gaps(&what(), mode, &got);
                        if level.has_fma() {
                            bits.push((mode, bits_of(report, &got)));
                        }
                        // Results with the same bits as judged ones are right, too.
                        let is_of_first = of_fma.is_some() && level.has_fma();
                        let is_sum = matches!(mode, Mode::Add | Mode::AddWide);
                        let is_other = mode == Mode::WriteWide && E::STORED != E::COMPUTED;
                        if !is_of_first && (written.is_none() || is_sum || is_other) {
                            self.judge(&what(), mode, report, &got, expected);
                        }
                        match &written {
                            // All others are compared with it.
                            None if mode == Mode::Write => written = Some((*report, got)),
                            None => {}
                            Some((first, beside)) => {
                                self.same(&what(), mode, (first, beside), (report, &got));
                            }
                        }
                    }
                }
            }
            if level.has_fma() {
                match &of_fma {
                    None => of_fma = Some((level, bits)),
                    Some((first, of_first)) => {
                        for ((mode, a), (_, b)) in of_first.iter().zip(&bits) {
                            let differ = a.iter().zip(b).position(|(a, b)| a != b);
                            if let Some(i) = differ {
                                let (a, b) = (a[i], b[i]);
                                panic!(
                                    "{first} and {level}, {mode:?}: number {i} has bits {a:x} and {b:x}"
                                );
                            }
                        }
                    }
                }
            }
            self.short_forms(level, written.as_ref());
        }
    }

    fn gradient_length(&self, mode: Mode) -> Option<usize> {
        let batch = self.question.batch;
        let length = batch.length_of(Slice::Gradient, batch.layout.span());
        (!matches!(mode, Mode::Loss | Mode::InPlace)).then_some(length)
    }

    /// One call, and its outputs.
    fn call(
        &self,
        level: Level,
        mode: Mode,
        lengths: Lengths,
    ) -> (Result<Report, Error>, Written<E>) {
        let batch = self.question.batch;
        let number = E::float(UNTOUCHED);
        let length = self.gradient_length(mode).unwrap_or_default();
        let narrow = matches!(mode, Mode::Write | Mode::Add);
        let mut written = Written {
            gradient: match mode {
                Mode::InPlace => batch.logits.clone(),
                _ => vec![E::from_float(number); if narrow { length } else { 0 }],
            },
            wide: vec![number; if narrow { 0 } else { length }],
            losses: vec![number; lengths.losses],
            log_sum_exp: vec![number; lengths.log_sum_exp],
            predicted: vec![u32::MAX; lengths.predicted],
            hessian: vec![number; lengths.hessian],
        };
        let Written { gradient, wide, losses, log_sum_exp, predicted, hessian } = &mut written;
        let convention = match self.question.convention {
            HessianName::Exact => Hessian::Exact,
            HessianName::XgBoost => Hessian::XgBoost,
            HessianName::LightGbm => Hessian::LightGbm,
        };
        let pass = Pass::new()
            .losses(losses)
            .log_sum_exp(log_sum_exp)
            .predicted(predicted)
            .hessian(hessian, convention)
            .sample_weights(&batch.sample_weights)
            .upstream(&batch.upstream)
            .scale(batch.scale);
        let targets = batch.given.targets();
        let result = if mode == Mode::InPlace {
            batch
                .layout
                .logits_mut(gradient)
                .and_then(|logits| self.loss.evaluate_in_place(level, logits, targets, pass))
        } else {
            let pass = match mode {
                Mode::Loss | Mode::InPlace => pass,
                Mode::Write => pass.grad(gradient),
                Mode::Add => pass.accumulate_grad(gradient),
                Mode::WriteWide => pass.wide_grad(wide),
                Mode::AddWide => pass.accumulate_wide_grad(wide),
            };
            batch
                .layout
                .logits(&batch.logits)
                .and_then(|logits| self.loss.evaluate(level, logits, targets, pass))
        };
        (result, written)
    }

    /// Nothing was written.
    fn untouched(&self, what: &str, mode: Mode, got: &Written<E>) {
        let number = E::float(UNTOUCHED);
        let stored = E::from_float(number).bits();
        let gradient = match mode {
            Mode::InPlace => {
                let logits = &self.question.batch.logits;
                got.gradient.iter().zip(logits).all(|(a, b)| a.bits() == b.bits())
            }
            _ => got.gradient.iter().all(|g| g.bits() == stored),
        };
        let floats = [&got.wide, &got.losses, &got.log_sum_exp, &got.hessian];
        let others = floats.into_iter().flatten().all(|&value| value == number)
            && got.predicted.iter().all(|&class| class == u32::MAX);
        assert!(gradient && others, "{what}: refused, and written all the same");
    }

    /// All outputs match the reference.
    fn judge(
        &self,
        what: &str,
        mode: Mode,
        report: &Report,
        got: &Written<E>,
        expected: &Expected,
    ) {
        let layout = self.question.batch.layout;
        let (computed, stored) = (E::COMPUTED, E::STORED);
        let wide = |values: &[E::Float]| values.iter().map(|v| v.wide()).collect::<Vec<_>>();
        let compare = |of: &str, got: &[f64], answers: &[Answer]| {
            for (i, (&got, answer)) in got.iter().zip(answers).enumerate() {
                assert!(
                    answer.admits(got, computed, computed),
                    "{what}: {of} {i} is {got:e}, not {:e} ± {:e}; {:?}",
                    answer.value,
                    answer.allowed,
                    layout
                );
            }
        };
        compare("loss", &wide(&got.losses), &expected.losses);
        compare("log-sum-exp", &wide(&got.log_sum_exp), &expected.log_sum_exp);
        compare("second derivative", &wide(&got.hessian), &expected.hessian);
        for (row, (got, expected)) in got.predicted.iter().zip(&expected.predicted).enumerate() {
            let is_good = expected.is_none_or(|expected| *got == expected);
            assert!(is_good, "{what}: class {got} of row {row}, not {expected:?}; {layout:?}");
        }

        let is_wide = matches!(mode, Mode::WriteWide | Mode::AddWide);
        let format = if is_wide { computed } else { stored };
        let gradient: Vec<f64> =
            if is_wide { wide(&got.wide) } else { got.gradient.iter().map(|g| g.wide()).collect() };
        let before = if matches!(mode, Mode::Add | Mode::AddWide) { UNTOUCHED } else { 0.0 };
        if !gradient.is_empty() {
            for row in 0..layout.rows() {
                for class in 0..layout.classes {
                    let place = layout.logit_place(row, class);
                    let answer = expected.gradient[layout.place(row, class)];
                    let sum = answer.value + before;
                    let rounding =
                        if before == 0.0 || !sum.is_finite() { 0.0 } else { computed.spacing(sum) };
                    let sum = Answer { value: sum, allowed: answer.allowed + rounding };
                    assert!(
                        sum.admits(gradient[place], computed, format),
                        "{what}: gradient of row {row}, class {class} is {:e}, not {:e} ± {:e}; \
                         {layout:?}",
                        gradient[place],
                        sum.value,
                        sum.allowed
                    );
                }
            }
        }
        let (got, answer) = (report.loss, expected.loss);
        assert!(
            answer.admits(got, computed, computed),
            "{what}: loss of the batch is {got:e}, not {:e} ± {:e}; {layout:?}",
            answer.value,
            answer.allowed
        );
    }

    /// Nothing was written between the rows.
    fn judge_gaps(&self, what: &str, mode: Mode, got: &Written<E>) {
        let batch = self.question.batch;
        let layout = batch.layout;
        let span = layout.span();
        if span == layout.elements() || mode == Mode::Loss {
            return;
        }
        let mut is_gap = vec![true; span];
        for row in 0..layout.rows() {
            for class in 0..layout.classes {
                is_gap[layout.logit_place(row, class)] = false;
            }
        }
        let number = E::float(UNTOUCHED);
        let stored = E::from_float(number).bits();
        for place in (0..span).filter(|&place| is_gap[place]) {
            let same = match mode {
                Mode::InPlace => got.gradient[place].bits() == batch.logits[place].bits(),
                Mode::WriteWide | Mode::AddWide => got.wide[place].bits() == number.bits(),
                _ => got.gradient[place].bits() == stored,
            };
            assert!(same, "{what}: written between the rows, at {place}; {layout:?}");
        }
    }

    /// The report's counts match the reference.
    fn judge_report(&self, what: &str, report: &Report, got: &Written<E>, expected: &Expected) {
        assert_eq!(report.rows, self.question.batch.layout.rows(), "{what}: rows");
        assert_eq!(report.valid_rows, expected.valid_rows, "{what}: valid rows");
        let near = close(report.denominator, expected.denominator);
        assert!(near, "{what}: divides by {}, not {}", report.denominator, expected.denominator);
        if let Some(correct) = report.correct {
            let (expected, accuracy) = self.question.correct(&got.predicted);
            assert_eq!(correct, expected, "{what}: correct rows");
            let near = |(a, b): (f64, f64)| (a - b).abs() <= 1e-6 * (1.0 + b.abs());
            let found = Some(report.accuracy()).filter(|found| !found.is_nan());
            let both = found.zip(accuracy);
            assert!(
                both.is_none_or(near) && found.is_some() == accuracy.is_some(),
                "{what}: accuracy {found:?}, not {accuracy:?}",
            );
        }
        if let Some((rows, first)) = self.question.not_finite() {
            let found = (report.not_finite.rows, report.not_finite.first);
            assert_eq!(found, (rows, first), "{what}: rows that are not finite");
        }
        if let Some(clamped) = self.question.clamped() {
            assert_eq!(report.clamped, clamped, "{what}: clamped probabilities");
        }
        let loss = report.loss;
        if let (Some(mean), Reduction::Mean) = (report.mean_loss, self.question.settings.reduction)
        {
            assert!(same_f64(loss, mean), "{what}: the mean is {mean}, the loss {loss}");
        }
    }

    /// The same bits as another way to make the call.
    fn same(
        &self,
        what: &str,
        mode: Mode,
        (first, beside): (&Report, &Written<E>),
        (report, got): (&Report, &Written<E>),
    ) {
        let same = |a: &[E::Float], b: &[E::Float]| a.iter().zip(b).all(|(&a, &b)| same(a, b));
        let rounded: Vec<E> = got.wide.iter().map(|&g| E::from_float(g)).collect();
        let gradient = match mode {
            Mode::InPlace => &got.gradient,
            Mode::WriteWide => &rounded,
            _ => &beside.gradient,
        };
        self.same_gradient(what, (first, beside), (report, gradient));
        let others = same(&beside.losses, &got.losses)
            && same(&beside.log_sum_exp, &got.log_sum_exp)
            && same(&beside.hessian, &got.hessian)
            && beside.predicted == got.predicted;
        assert!(others, "{what}: other outputs than with the gradient beside the logits");
    }

    /// The same bits of the gradient and of the reduced loss.
    fn same_gradient(
        &self,
        what: &str,
        (first, beside): (&Report, &Written<E>),
        (report, gradient): (&Report, &[E]),
    ) {
        let layout = self.question.batch.layout;
        let places = (0..layout.rows())
            .flat_map(|row| (0..layout.classes).map(move |class| layout.logit_place(row, class)));
        for place in places {
            let (a, b) = (beside.gradient[place], gradient[place]);
            let same = a.bits() == b.bits() || (a.wide().is_nan() && b.wide().is_nan());
            assert!(
                same,
                "{what}: gradient at {place} is {b:e}, beside the logits {a:e}; {layout:?}"
            );
        }
        let same_loss = same_f64(first.loss, report.loss);
        assert!(same_loss, "{what}: loss {}, with the gradient {}", report.loss, first.loss);
    }

    /// The loss only, without outputs and sample weights; the gradient without outputs.
    fn short_forms(&self, level: Level, written: Option<&(Report, Written<E>)>) {
        let Question { batch, settings, .. } = &self.question;
        let result = batch
            .layout
            .logits(&batch.logits)
            .and_then(|logits| self.loss.loss(level, logits, batch.given.targets()));
        if settings.reduction == Reduction::None {
            assert!(result.is_err(), "{level}: one loss of a batch that is not reduced");
        }
        let (result, got) = self.call(level, Mode::Write, Lengths::default());
        if let Some((first, beside)) = written {
            let what = format!("{level}, gradient alone");
            let report = result.unwrap_or_else(|error| panic!("{what}: refused: {error}"));
            self.same_gradient(&what, (first, beside), (&report, &got.gradient));
        }
    }

    fn denominator(&self, is_valid: bool) {
        let batch = self.question.batch;
        let result = batch.layout.logits(&batch.logits).and_then(|logits| {
            self.loss.denominator(logits, batch.given.targets(), &batch.sample_weights)
        });
        if is_valid {
            let (got, want) = (result.expect("a valid batch"), self.question.of_mean());
            assert!(close(got, want), "a mean divides by {got:e}, not {want:e}");
        }
    }
}

fn close(got: f64, want: f64) -> bool {
    got == want || (got.is_nan() && want.is_nan()) || (got - want).abs() <= 1e-12 * want.abs()
}

fn same_f64(a: f64, b: f64) -> bool {
    a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan())
}

fn same<F: Format>(a: F, b: F) -> bool {
    a.bits() == b.bits() || (a.wide().is_nan() && b.wide().is_nan())
}

/// All bits that a level has written; all NaNs count as the same.
fn bits_of<E: Format>(report: &Report, written: &Written<E>) -> Vec<u64>
where
    E::Float: Format,
{
    fn bits<F: Format>(value: F) -> u64 {
        if value.wide().is_nan() { u64::MAX } else { value.bits() }
    }
    let loss = bits(report.loss);
    let floats = [&written.losses, &written.log_sum_exp, &written.hessian];
    let floats = floats.into_iter().flatten().map(|&value| bits(value));
    let gradient = written.gradient.iter().map(|&value| bits(value));
    let wide = written.wide.iter().map(|&value| bits(value));
    let predicted = written.predicted.iter().map(|&class| class.into());
    core::iter::once(loss).chain(floats).chain(gradient).chain(wide).chain(predicted).collect()
}
