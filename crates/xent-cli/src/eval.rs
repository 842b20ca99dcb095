//! `xent eval`.

use std::mem;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::time::Instant;

use half::{bf16, f16};
use xent::{
    BatchCounts, Error, Hessian, InputError, Level, Loss, MeanOver, Pass, Policy, Quantisation,
    Reduction, Targets, Values,
};

use crate::args::{CompareArgs, EvalArgs, GradFormat, HessianName, LossName};
use crate::array::{Array, file_of, is_not_for_output, is_standard_input, read_all};
use crate::chosen::{ClassWeights, check_options, choose};
use crate::failure::Failure;
use crate::judge::{Judge, Share};
use crate::layout::{ClassAxis, Layout};
use crate::machine::{level, threads};
use crate::number::{Format, Input, Number};
use crate::output::{Finished, Output, check_place, folder_of, name_all};
use crate::probabilities::{Found, Probabilities};
use crate::progress;
use crate::summary::Summary;
use crate::targets::{TargetFile, TargetKind};

pub(crate) fn run(args: &EvalArgs) -> Result<(), Failure> {
    evaluate(args)?.print(args.machine.json)
}

/// Everything that stays the same from part to part.
struct Evaluation<'a, N: Input> {
    args: &'a EvalArgs,
    layout: Layout,
    loss: Box<dyn Loss<N> + Send + Sync + 'a>,
    /// The label to ignore.
    ignored: Option<i64>,
    /// Empty if there are none.
    sample_weights: Vec<N::Float>,
    /// The factor of the gradient of a part.
    scale: f64,
}

/// The arrays that an evaluation reads.
pub(crate) struct Arrays {
    pub(crate) input: Array,
    pub(crate) targets: Array,
    pub(crate) class_weights: Option<Array>,
    pub(crate) sample_weights: Option<Array>,
    pub(crate) pos_weight: Option<Array>,
}

/// Computes the loss and writes the outputs that were asked for.
pub(crate) fn evaluate(args: &EvalArgs) -> Result<Summary, Failure> {
    check_options(args)?;
    check_paths(args)?;
    // Wrong options are found before a file is read.
    choose::<f32>(args, args.ignore_index, &ClassWeights::default(), Level::Portable, false)?;
    let open = |path: &Option<PathBuf>| path.as_ref().map(|path| Array::open(path)).transpose();
    let mut arrays = Arrays {
        input: open_quantised(
            &args.input,
            Integers {
                scale: args.scale,
                zero_point: args.zero_point,
                model: args.quantisation.as_deref(),
            },
        )?,
        targets: Array::open(&args.targets)?,
        class_weights: open(&args.class_weights)?,
        sample_weights: open(&args.sample_weights)?,
        pos_weight: open(&args.pos_weight)?,
    };
    evaluate_arrays(args, &mut arrays)
}

/// What the integers of an input stand for, as the options say.
pub(crate) struct Integers<'a> {
    pub(crate) scale: Option<f32>,
    pub(crate) zero_point: i32,
    /// A model that has both.
    pub(crate) model: Option<&'a Path>,
}

/// Opens an input, whose integers may stand for other numbers.
pub(crate) fn open_quantised(path: &Path, integers: Integers<'_>) -> Result<Array, Failure> {
    let Integers { scale, zero_point, model } = integers;
    let array = Array::open(path)?;
    match (scale, model) {
        (Some(scale), _) => {
            array.quantised(Quantisation::new(scale, zero_point).map_err(Error::from)?)
        }
        (None, Some(model)) => array.quantised_by(model),
        (None, None) => Ok(array),
    }
}

/// [`evaluate`] for arrays that are already open; they can be read again afterwards.
pub(crate) fn evaluate_arrays(args: &EvalArgs, arrays: &mut Arrays) -> Result<Summary, Failure> {
    match arrays.input.format() {
        Format::F16 => evaluate_in::<f16>(args, arrays),
        Format::Bf16 => evaluate_in::<bf16>(args, arrays),
        Format::F32 => evaluate_in::<f32>(args, arrays),
        Format::Integer => Err(integers(&arrays.input)),
        Format::F64 if args.grad_format == GradFormat::F32 => {
            let reason = "--grad-format f32: expected inputs of at most 32 bits, found f64";
            Err(Failure::argument(reason))
        }
        Format::F64 => evaluate_in::<f64>(args, arrays),
    }
}

/// [`evaluate_arrays`] for inputs of one format.
fn evaluate_in<N: Input>(args: &EvalArgs, arrays: &mut Arrays) -> Result<Summary, Failure> {
    let level = level(&args.machine.level)?;
    let threads = threads(&args.machine)?;
    let start = Instant::now();

    let Arrays { input, targets, class_weights, sample_weights, pos_weight } = arrays;
    let class_axis = ClassAxis::of(input, args.class_axis, args.loss, Some(targets))?;
    let mut layout = Layout::of(input, class_axis.axis)?;
    let kind = TargetKind::of(targets, &layout, args.loss, args.ignore_index.is_some())?;
    if args.ignore_index.is_some() {
        kind.check_ignored()?;
    }
    if args.top_k.is_some() && (kind != TargetKind::Index || args.loss.is_of_elements()) {
        return Err(Failure::argument("--top-k: expected targets that are labels"));
    }
    // Losses accept a class axis that is not the last, so a column-major array need not be transposed.
    let is_for_rows = kind == TargetKind::Index;
    if input.is_column_major()
        && (is_for_rows || targets.is_column_major())
        && layout.may_be_transposed::<N>()
    {
        input.transpose();
        layout.transpose();
        if !is_for_rows {
            targets.transpose();
        }
    }
    input.rewind()?;
    targets.rewind()?;
    let optional = |array: &mut Option<Array>, of, count, one_for_all| match array {
        Some(array) => read_all(array, of, count, one_for_all),
        None => Ok(Vec::new()),
    };
    let weights = ClassWeights {
        classes: optional(class_weights, "class weights", layout.classes, false)?,
        positive: optional(pos_weight, "positive weights", layout.classes, true)?,
    };
    let sample_weights = optional(sample_weights, "sample weights", layout.rows(), false)?;
    let ignored = ignored_label(args, kind);
    let loss = choose::<N>(args, ignored, &weights, level, false)
        .map_err(|error| of_weights(args, error))?;
    let mut targets = TargetFile::new(targets, kind);
    let policy = loss.policy();
    check_hessian(args, policy)?;
    let mut evaluation = Evaluation { args, layout, loss, ignored, sample_weights, scale: 1.0 };

    let counts = evaluation.counts(&mut targets)?;
    targets.rewind()?;
    let division = policy.division(&counts).ok_or(Error::NothingValid)?;
    evaluation.scale = division.scale(1.0);
    let reduced = policy.reduction != Reduction::None;
    let loss_out = output::<f64>(&args.loss_out, reduced, &[], false)?;
    evaluation.loss = choose::<N>(args, ignored, &weights, level, true)?;
    let (total, mut finished) = evaluation.pass(input, &mut targets, reduced)?;
    if evaluation.layout.is_transposed {
        input.transpose();
        if !is_for_rows {
            targets.transpose();
        }
    }
    let loss = division.loss(total.loss);
    if let (Some(mut output), Some(loss)) = (loss_out, loss) {
        output.part(1).fill(loss);
        output.write()?;
        finished.push(output.finish()?);
    }
    name_all(finished)?;
    let valid = total.valid_rows as f64;
    let plain = args.label_smoothing.is_none()
        && args.class_weights.is_none()
        && args.sample_weights.is_none()
        && args.z_loss.is_none();
    let of_entropy =
        matches!(args.loss, LossName::Softmax | LossName::Nll | LossName::MultinomialLogistic);
    let has_perplexity = of_entropy && plain && kind == TargetKind::Index && valid > 0.0;
    Ok(Summary {
        loss,
        rows: evaluation.layout.rows(),
        valid_rows: total.valid_rows,
        classes: evaluation.layout.classes,
        class_axis,
        format: N::NAME,
        quantisation: input.quantisation().map(Into::into),
        accuracy: total.rows.of_all(),
        top_k: args.top_k.map(NonZero::get),
        top_k_accuracy: total.top.of_all(),
        binary_accuracy: total.elements.of_all(),
        not_finite_rows: total.not_finite,
        first_not_finite_row: total.first_not_finite,
        clamped: total.clamped,
        probabilities: total.probabilities.unwrap_or_default(),
        perplexity: has_perplexity.then(|| (total.loss / valid).exp()),
        level: level.name().to_owned(),
        threads,
        seconds: start.elapsed().as_secs_f64(),
    })
}

/// The conventions of boosting libraries are of losses that are not divided by the number of rows.
fn check_hessian(args: &EvalArgs, policy: Policy) -> Result<(), Failure> {
    let of_library = args.hessian_out.is_some() && args.hessian != HessianName::Exact;
    if of_library && policy.reduction == Reduction::Mean {
        let reason = "--hessian xgboost and lightgbm: boosting expects second derivatives that no mean has \
                      divided by the number of rows; give --reduction sum or none";
        return Err(Failure::argument(reason.to_owned()));
    }
    Ok(())
}

/// An output must not be one of the inputs, nor another output.
fn check_paths(args: &EvalArgs) -> Result<(), Failure> {
    let inputs = [
        Some(&args.input),
        args.quantisation.as_ref(),
        Some(&args.targets),
        args.class_weights.as_ref(),
        args.sample_weights.as_ref(),
        args.pos_weight.as_ref(),
    ];
    check_inputs(inputs.into_iter().flatten())?;
    let outputs = [&args.loss_out, &args.grad_out, &args.hessian_out].into_iter().flatten();
    if let Some((output, reason)) =
        outputs.clone().find_map(|output| Some((output, is_not_for_output(output)?)))
    {
        return Err(Failure::file(output, reason));
    }
    check_outputs(inputs.into_iter().flatten(), outputs)
}

/// An output must be in a folder, and must not be one of the inputs, nor another output.
pub(crate) fn check_outputs<'a>(
    inputs: impl Iterator<Item = &'a PathBuf>,
    outputs: impl Iterator<Item = &'a PathBuf>,
) -> Result<(), Failure> {
    // A file that does not exist yet is identified by its folder.
    let whole = |path: &Path| {
        let folder = || Some(folder_of(path).canonicalize().ok()?.join(path.file_name()?));
        path.canonicalize().ok().or_else(folder).unwrap_or_else(|| path.to_owned())
    };
    let mut seen: Vec<PathBuf> = inputs.map(|path| whole(file_of(path))).collect();
    for output in outputs {
        check_place(output)?;
        let path = whole(output);
        if seen.contains(&path) {
            return Err(Failure::file(output, "the output is an input, or another output"));
        }
        seen.push(path);
    }
    Ok(())
}

/// Why integer inputs are refused.
pub(crate) fn integers(input: &Array) -> Failure {
    let reason = "expected floats, found integers: if a quantised model gave them out, give the scale and the \
                  zero point of its output (--scale and --zero-point, or --quantisation model.tflite; in compare \
                  --reference-scale, --candidate-scale and so on)";
    Failure::file(input.path(), format!("{reason}{}", input.or_floats()))
}

/// A pipe can be read only once, so it may be given only once.
pub(crate) fn check_inputs<'a>(
    inputs: impl IntoIterator<Item = &'a PathBuf>,
) -> Result<(), Failure> {
    let mut seen = Vec::new();
    for input in inputs {
        let file = file_of(input);
        let is_stream = is_standard_input(input)
            || file.metadata().is_ok_and(|there| !there.is_file() && !there.is_dir());
        if is_stream && seen.contains(&file) {
            let reason =
                "it can be read only once, but is given for two arrays: save one of them to a file";
            return Err(Failure::file(input, reason));
        }
        seen.push(file);
    }
    Ok(())
}

/// The label to ignore; a preset's label applies only if the targets are labels.
fn ignored_label(args: &EvalArgs, kind: TargetKind) -> Option<i64> {
    let of_preset = || args.preset.filter(|_| kind == TargetKind::Index)?.ignore_index();
    args.ignore_index.or_else(of_preset)
}

/// Adds the file to an error about options.
fn of_weights(args: &EvalArgs, error: Error) -> Failure {
    let file = match error {
        Error::Input(InputError::Value { of: Values::ClassWeights, .. }) => &args.class_weights,
        Error::Input(InputError::Value { of: Values::PosWeights, .. }) => &args.pos_weight,
        _ => &None,
    };
    match file {
        Some(file) => Failure::file(file, error),
        None => error.into(),
    }
}

/// The sums over all parts.
#[derive(Default)]
struct Total {
    loss: f64,
    valid_rows: usize,
    not_finite: usize,
    first_not_finite: Option<usize>,
    clamped: usize,
    rows: Share,
    top: Share,
    elements: Share,
    probabilities: Option<Found>,
}

impl<N: Input> Evaluation<'_, N> {
    fn weights_of(&self, first: usize, rows: usize) -> &[N::Float] {
        self.sample_weights.get(first..first + rows).unwrap_or(&[])
    }

    /// Adds the file to an error, and counts its row from the first row of the array.
    fn blame(&self, error: Error, first: usize) -> Failure {
        use InputError::{Empty, Label, Value};
        let Error::Input(input) = error else { return error.into() };
        match input {
            Label { row, label, classes } => {
                let input = Label { row: first + row, label, classes };
                // The labels that other libraries ignore.
                let hint = match (self.ignored, label) {
                    (None, 255 | ..0) => {
                        format!(": to ignore it, give --ignore-index {label}")
                    }
                    _ => String::new(),
                };
                Failure::file(&self.args.targets, format!("{input}{hint}"))
            }
            Empty { row } => Failure::file(&self.args.targets, Empty { row: first + row }),
            Value { of, element, row, class, value } => {
                let row = row.map(|row| first + row);
                let at = |element| Value { of, element, row, class, value };
                match (of, &self.args.sample_weights) {
                    (Values::SampleWeights, Some(file)) => Failure::file(file, at(first + element)),
                    (Values::ClassWeights | Values::PosWeights, _) => {
                        of_weights(self.args, Error::Input(input))
                    }
                    _ => {
                        let element = self.layout.place(first, element);
                        let is_input = of == Values::Probabilities;
                        let file = if is_input { &self.args.input } else { &self.args.targets };
                        Failure::file(file, at(element))
                    }
                }
            }
            other => Error::Input(other).into(),
        }
    }

    /// The divisor of a mean: it takes a pass over the targets, unless their shape is enough.
    fn counts(&self, targets: &mut TargetFile<'_, N::Float>) -> Result<BatchCounts, Failure> {
        let Layout { classes, inner, .. } = self.layout;
        let integers = matches!(targets.kind(), TargetKind::Index | TargetKind::MultiHot);
        let is_by_shape = !integers
            && self.loss.policy().mean_over != MeanOver::Weights
            && self.args.loss != LossName::MultilabelSoftmax;
        if is_by_shape {
            let rows = self.layout.rows();
            let losses =
                if self.args.loss.has_losses_of_elements() { rows * classes } else { rows };
            let pytorch = losses as f64;
            let (valid_rows, valid_losses) = (rows, losses);
            return Ok(BatchCounts {
                rows,
                valid_rows,
                valid_losses,
                pytorch,
                ..BatchCounts::default()
            });
        }
        // Without rows nothing is read: the classes of one might exceed memory.
        let most = self.layout.part::<N>().min(self.layout.outer);
        let anything = vec![N::default(); most * classes * inner];
        let numbers_of_row = if targets.kind() == TargetKind::Index { 1 } else { classes };
        let bar = progress::bar("targets", self.layout.rows() * numbers_of_row);
        let (mut counts, mut first) = (BatchCounts::default(), 0);
        for outer in self.layout.parts::<N>() {
            let rows = outer * inner;
            let logits = self.layout.logits(&anything[..rows * classes], outer)?;
            let targets = targets.next(rows, classes)?;
            let weights = self.weights_of(first, rows);
            counts += self
                .loss
                .counts(logits, targets, weights)
                .map_err(|error| self.blame(error, first))?;
            first += rows;
            bar.inc((rows * numbers_of_row) as u64);
        }
        bar.finish_and_clear();
        Ok(counts)
    }

    /// The pass over everything; its outputs do not have their names yet.
    fn pass(
        &self,
        input: &mut Array,
        targets: &mut TargetFile<'_, N::Float>,
        reduced: bool,
    ) -> Result<(Total, Vec<Finished>), Failure> {
        let Self { args, layout, .. } = self;
        let Layout { classes, inner, ref shape, .. } = *layout;
        let of_elements = args.loss.has_losses_of_elements();
        let losses_shape = if of_elements { shape.clone() } else { layout.rows_shape() };
        let is_wide = args.grad_format == GradFormat::F32;
        let columns = layout.is_transposed;
        let mut loss_out = output(&args.loss_out, !reduced, &losses_shape, columns && of_elements)?;
        let mut grad_out = output(&args.grad_out, !is_wide, shape, columns)?;
        let mut wide_grad_out = output(&args.grad_out, is_wide, shape, columns)?;
        let mut hessian_out = output(&args.hessian_out, true, shape, columns)?;
        let convention = match args.hessian {
            HessianName::Exact => Hessian::Exact,
            HessianName::Xgboost => Hessian::XgBoost,
            HessianName::Lightgbm => Hessian::LightGbm,
        };
        let mut total = Total::default();
        let bar = progress::bar("inputs", layout.rows() * classes);
        let mut probabilities =
            Probabilities::new(layout, args.loss, self.ignored, input.quantisation());
        // The largest capped logit may be another: those of a soft cap are often the same.
        let is_predicted = args.loss.is_softmax()
            && args.soft_cap.is_none()
            && targets.kind() == TargetKind::Index;
        let mut judge = Judge::new(layout, args.loss, self.ignored, args.top_k.map(NonZero::get));
        judge.rows_are_counted = is_predicted && self.sample_weights.is_empty();
        let (mut x, mut ahead, mut predicted, mut first) = (Vec::new(), Vec::new(), Vec::new(), 0);
        let mut parts =
            layout.parts::<N>().map(|outer| (outer, outer * inner * classes)).peekable();
        if let Some((_, elements)) = parts.peek() {
            input.floats(*elements, &mut x)?;
        }
        while let Some((outer, elements)) = parts.next() {
            let rows = outer * inner;
            let targets = targets.next(rows, classes)?;
            let logits = layout.logits(&x, outer)?;
            let mut pass =
                Pass::new().scale(self.scale).sample_weights(self.weights_of(first, rows));
            if is_predicted {
                predicted.resize(rows, 0);
                pass = pass.predicted(&mut predicted);
            }
            if let Some(output) = &mut loss_out {
                pass = pass.losses(output.part(if of_elements { elements } else { rows }));
            }
            if let Some(output) = &mut grad_out {
                pass = pass.grad(output.part(elements));
            }
            if let Some(output) = &mut wide_grad_out {
                pass = pass.wide_grad(output.part(elements));
            }
            if let Some(output) = &mut hessian_out {
                pass = pass.hessian(output.part(elements), convention);
                if let Some(floor) = args.hessian_floor {
                    pass = pass.hessian_floor(floor);
                }
            }
            // The next inputs are read meanwhile.
            let (report, read) = rayon::join(
                || self.loss.evaluate(logits, targets, pass),
                || match parts.peek() {
                    Some((_, elements)) => input.floats(*elements, &mut ahead),
                    None => Ok(()),
                },
            );
            let report = report.map_err(|error| self.blame(error, first))?;
            read?;
            total.loss += report.loss;
            total.valid_rows += report.valid_rows;
            total.clamped += report.clamped;
            total.not_finite += report.not_finite.rows;
            total.first_not_finite =
                total.first_not_finite.or(report.not_finite.first.map(|row| first + row));
            if let (true, Some(correct)) = (judge.rows_are_counted, report.correct) {
                judge.rows.add_rows(correct, report.valid_rows);
            }
            let known = is_predicted.then_some(&predicted[..]);
            judge.look(&x, logits, targets, self.weights_of(first, rows), known)?;
            if let (Some(probabilities), Targets::Index(labels)) = (&mut probabilities, targets) {
                probabilities.look(&x, labels, self.weights_of(first, rows));
            }
            grad_out.as_mut().map_or(Ok(()), Output::write)?;
            for output in [&mut loss_out, &mut wide_grad_out, &mut hessian_out] {
                output.as_mut().map_or(Ok(()), Output::write)?;
            }
            first += rows;
            bar.inc(elements as u64);
            mem::swap(&mut x, &mut ahead);
        }
        bar.finish_and_clear();
        total.probabilities = probabilities.map(Probabilities::found);
        (total.rows, total.top, total.elements) = (judge.rows, judge.top, judge.elements);
        let mut finished = Vec::new();
        finished.extend(grad_out.map(Output::finish).transpose()?);
        for output in [loss_out, wide_grad_out, hessian_out] {
            finished.extend(output.map(Output::finish).transpose()?);
        }
        Ok((total, finished))
    }
}

/// An output, if it was asked for and is wanted.
fn output<T: Number>(
    path: &Option<PathBuf>,
    wanted: bool,
    shape: &[usize],
    column_major: bool,
) -> Result<Option<Output<T>>, Failure> {
    let path = path.as_ref().filter(|_| wanted);
    path.map(|path| Output::create(path, shape, column_major)).transpose()
}

/// The arguments for the loss of one of two inputs that are compared.
pub(crate) fn plain_args(compare: &CompareArgs, input: &Path) -> EvalArgs {
    EvalArgs {
        loss: compare.loss,
        input: input.to_owned(),
        scale: None,
        zero_point: 0,
        quantisation: None,
        targets: compare.targets.clone().unwrap_or_default(),
        class_axis: compare.class_axis,
        class_weights: compare.class_weights.clone(),
        sample_weights: compare.sample_weights.clone(),
        pos_weight: None,
        label_smoothing: None,
        ignore_index: compare.ignore_index,
        preset: None,
        reduction: None,
        mean_over: None,
        nothing_valid: None,
        top_k: compare.top_k,
        gamma: None,
        alpha: None,
        temperature: None,
        z_loss: None,
        soft_cap: None,
        loss_out: None,
        grad_out: None,
        grad_format: GradFormat::Input,
        hessian_out: None,
        hessian: HessianName::Exact,
        hessian_floor: None,
        gradient: None,
        machine: compare.machine.clone(),
    }
}
