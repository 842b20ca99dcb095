//! `xent eval`.

use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::time::Instant;

use half::{bf16, f16};
use xent::{Error, Hessian, Level, Logits, Pass, Reduction, Targets, Values, predict};

use crate::args::{
    EvalArgs, GradFormat, HessianName, LossName, MachineArgs, MeanOverName, ReductionName,
};
use crate::array::{Array, file_of, is_of_tensors, read_all};
use crate::chosen::{Chosen, ClassWeights, check_options, choose};
use crate::failure::Failure;
use crate::number::{Format, Input, Number};
use crate::output::{Finished, Output, check_place, folder_of, name_all};
use crate::progress;
use crate::summary::Summary;
use crate::targets::{TargetFile, TargetKind};

/// Bytes of inputs that are in memory at a time, in what they are computed in and if a row is not
/// longer.
const PART: usize = 1 << 24;

/// Where the rows of an array are.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    pub(crate) shape: Vec<usize>,
    pub(crate) outer: usize,
    pub(crate) classes: usize,
    pub(crate) inner: usize,
    class_axis: usize,
    /// One input a row: shape (N,) for the losses of elements.
    pub(crate) has_no_class_axis: bool,
}

impl Layout {
    pub(crate) fn of(array: &Array, class_axis: isize, loss: LossName) -> Result<Self, Failure> {
        let shape = array.shape().to_vec();
        let fail = |reason: String| Err(Failure::file(array.path(), reason));
        if shape.len() == 1 && loss.is_of_elements() {
            let (outer, classes, inner) = (shape[0], 1, 1);
            return Ok(Self {
                shape,
                outer,
                classes,
                inner,
                class_axis: 1,
                has_no_class_axis: true,
            });
        }
        let axes = shape.len() as isize;
        let axis = if class_axis < 0 { class_axis + axes } else { class_axis };
        if !(0..axes).contains(&axis) {
            return fail(format!("the class axis {class_axis} is none of shape {shape:?}"));
        }
        let class_axis = axis.unsigned_abs();
        let classes = shape[class_axis];
        if classes == 0 {
            return fail(format!("no classes: shape {shape:?}, class axis {class_axis}"));
        }
        let outer = shape[..class_axis].iter().product();
        let inner = shape[class_axis + 1..].iter().product();
        Ok(Self { shape, outer, classes, inner, class_axis, has_no_class_axis: false })
    }

    pub(crate) fn rows(&self) -> usize {
        self.outer * self.inner
    }

    /// The shape without the class axis.
    pub(crate) fn rows_shape(&self) -> Vec<usize> {
        let mut shape = self.shape.clone();
        if self.class_axis < shape.len() {
            shape.remove(self.class_axis);
        }
        shape
    }

    /// Blocks that are read at a time.
    fn part<N: Input>(&self) -> usize {
        let inputs = PART / size_of::<N::Float>();
        (inputs / (self.classes * self.inner).max(1)).clamp(1, self.outer.max(1))
    }

    /// The blocks of each part, in turn.
    fn parts<N: Input>(&self) -> impl Iterator<Item = usize> + use<N> {
        let (outer, part) = (self.outer, self.part::<N>());
        (0..outer).step_by(part).map(move |first| part.min(outer - first))
    }

    fn logits<'a, N: Input>(&self, values: &'a [N], outer: usize) -> Result<Logits<'a, N>, Error> {
        Logits::with_columns(values, outer, self.classes, self.inner)
    }
}

/// The level that was asked for.
pub(crate) fn level(name: &str) -> Result<Level, Failure> {
    if name == "auto" {
        return Ok(Level::detect());
    }
    Level::by_name(name).ok_or_else(|| {
        let names: Vec<_> = Level::available().map(Level::name).collect();
        let names = names.join(", ");
        Failure::argument(format!("no level {name} here: expected auto, {names}"))
    })
}

/// Sets the number of threads, and says how many there are.
pub(crate) fn threads(machine: &MachineArgs) -> Result<usize, Failure> {
    let count = match machine.threads {
        Some(0) => return Err(Failure::argument("--threads: expected at least one")),
        Some(count) => count,
        None => std::thread::available_parallelism().map_or(1, NonZero::get),
    };
    // A pool that is there already is as good.
    let _ = rayon::ThreadPoolBuilder::new().num_threads(count).build_global();
    Ok(count)
}

pub(crate) fn run(args: &EvalArgs) -> Result<(), Failure> {
    evaluate(args)?.print(args.machine.json)
}

/// Everything of one evaluation that stays the same from part to part.
struct Evaluation<'a, N: Input> {
    args: &'a EvalArgs,
    layout: Layout,
    loss: Box<dyn Chosen<N> + 'a>,
    /// Empty if there are none.
    sample_weights: Vec<N::Float>,
    /// What the gradient of a part is multiplied with.
    scale: f64,
}

/// Computes the loss and writes what was asked for.
pub(crate) fn evaluate(args: &EvalArgs) -> Result<Summary, Failure> {
    check_options(args)?;
    check_paths(args)?;
    evaluate_array(args, Array::open(&args.input)?)
}

/// [`evaluate`] of an input that is open.
pub(crate) fn evaluate_array(args: &EvalArgs, input: Array) -> Result<Summary, Failure> {
    match input.format() {
        Format::F16 => evaluate_in::<f16>(args, input),
        Format::Bf16 => evaluate_in::<bf16>(args, input),
        // Integers are no format to have a gradient in.
        Format::F32 | Format::Integer => evaluate_in::<f32>(args, input),
        Format::F64 if args.grad_format == GradFormat::F32 => {
            let reason = "--grad-format f32: expected inputs of at most 32 bits, found f64";
            Err(Failure::argument(reason))
        }
        Format::F64 => evaluate_in::<f64>(args, input),
    }
}

/// [`evaluate_array`] of inputs of one format.
fn evaluate_in<N: Input>(args: &EvalArgs, input: Array) -> Result<Summary, Failure> {
    let level = level(&args.machine.level)?;
    let threads = threads(&args.machine)?;
    let start = Instant::now();

    let layout = Layout::of(&input, args.class_axis, args.loss)?;
    let optional = |path: &Option<PathBuf>, of, count| match path {
        Some(path) => read_all(path, of, count),
        None => Ok(Vec::new()),
    };
    let weights = ClassWeights {
        classes: optional(&args.class_weights, "class weights", layout.classes)?,
        positive: optional(&args.pos_weight, "positive weights", layout.classes)?,
    };
    let sample_weights = optional(&args.sample_weights, "sample weights", layout.rows())?;
    let reduction = match args.reduction {
        ReductionName::None => Reduction::None,
        ReductionName::Mean | ReductionName::Sum => Reduction::Sum,
    };
    let loss = choose::<N>(args, &weights, reduction, level)?;
    let mut targets = TargetFile::open(&args.targets, &layout, args.loss)?;
    let kind = targets.kind();
    let mut evaluation = Evaluation { args, layout, loss, sample_weights, scale: 1.0 };

    let denominator = evaluation.denominator(&mut targets)?;
    targets.rewind()?;
    if args.reduction == ReductionName::Mean && denominator != 0.0 {
        evaluation.scale = 1.0 / denominator;
    }
    let reduced = args.reduction != ReductionName::None;
    let loss_out = output::<f64>(&args.loss_out, reduced, &[])?;
    let (total, mut finished) = evaluation.pass(input, targets)?;
    let loss = match args.reduction {
        ReductionName::None => None,
        ReductionName::Sum => Some(total.loss),
        // A mean of nothing is zero.
        ReductionName::Mean if denominator == 0.0 => Some(0.0),
        ReductionName::Mean => Some(total.loss / denominator),
    };
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
        format: N::NAME,
        accuracy: total.correct.filter(|_| valid > 0.0).map(|correct| correct as f64 / valid),
        perplexity: has_perplexity.then(|| (total.loss / valid).exp()),
        level: level.name().to_owned(),
        threads,
        seconds: start.elapsed().as_secs_f64(),
    })
}

/// Outputs may not be what is read, nor each other.
fn check_paths(args: &EvalArgs) -> Result<(), Failure> {
    let inputs = [
        Some(&args.input),
        Some(&args.targets),
        args.class_weights.as_ref(),
        args.sample_weights.as_ref(),
        args.pos_weight.as_ref(),
    ];
    // What is not there yet is in its folder.
    let whole = |path: &Path| {
        let folder = || Some(folder_of(path).canonicalize().ok()?.join(path.file_name()?));
        path.canonicalize().ok().or_else(folder).unwrap_or_else(|| path.to_owned())
    };
    let mut seen: Vec<PathBuf> =
        inputs.into_iter().flatten().map(|path| whole(file_of(path))).collect();
    for output in [&args.loss_out, &args.grad_out, &args.hessian_out].into_iter().flatten() {
        if is_of_tensors(output) {
            return Err(Failure::file(output, "what is written is a .npy file"));
        }
        check_place(output)?;
        let path = whole(output);
        if seen.contains(&path) {
            return Err(Failure::file(output, "the output is an input, or another output"));
        }
        seen.push(path);
    }
    Ok(())
}

/// What the parts add up to.
#[derive(Default)]
struct Total {
    loss: f64,
    valid_rows: usize,
    correct: Option<usize>,
}

impl<N: Input> Evaluation<'_, N> {
    fn weights_of(&self, first: usize, rows: usize) -> &[N::Float] {
        self.sample_weights.get(first..first + rows).unwrap_or(&[])
    }

    /// Says of an error which file it is about, counting rows from the first of all.
    fn blame(&self, error: Error, first: usize) -> Failure {
        use xent::InputError::{Empty, Label, Value};
        let Error::Input(input) = error else { return error.into() };
        match input {
            Label { row, label, classes } => {
                let input = Label { row: first + row, label, classes };
                Failure::file(&self.args.targets, input)
            }
            Empty { row } => Failure::file(&self.args.targets, Empty { row: first + row }),
            Value { of, element, row, class, value } => {
                let input = |element, row| Value { of, element, row, class, value };
                let within = input(first * self.layout.classes + element, row.map(|r| first + r));
                match (of, &self.args.sample_weights, &self.args.class_weights) {
                    (Values::Probabilities, ..) => Failure::file(&self.args.input, within),
                    (Values::SampleWeights, Some(file), _) => {
                        Failure::file(file, input(first + element, row.map(|r| first + r)))
                    }
                    (Values::ClassWeights, _, Some(file)) => {
                        Failure::file(file, input(element, row))
                    }
                    _ => Failure::file(&self.args.targets, within),
                }
            }
            other => Error::Input(other).into(),
        }
    }

    /// What a mean divides by: a pass over the targets alone, which also finds bad labels before
    /// anything is written.
    fn denominator(&self, targets: &mut TargetFile<N::Float>) -> Result<f64, Failure> {
        let Layout { classes, inner, .. } = self.layout;
        let counted = matches!(self.args.mean_over, MeanOverName::Pytorch | MeanOverName::AllRows);
        let integers = matches!(targets.kind(), TargetKind::Index | TargetKind::MultiHot);
        if counted && !integers {
            let by_losses =
                self.args.loss.is_of_elements() && self.args.mean_over == MeanOverName::Pytorch;
            let each =
                if by_losses && self.args.loss.has_losses_of_elements() { classes } else { 1 };
            return Ok((self.layout.rows() * each) as f64);
        }
        // Without rows, none: their classes may be more than memory holds.
        let most = self.layout.part::<N>().min(self.layout.outer);
        let anything = vec![N::default(); most * classes * inner];
        let bar = progress::bar("targets", self.layout.rows());
        let (mut sum, mut first) = (0.0, 0);
        for outer in self.layout.parts::<N>() {
            let rows = outer * inner;
            let logits = self.layout.logits(&anything[..rows * classes], outer)?;
            let targets = targets.next(rows, classes)?;
            sum += self
                .loss
                .denominator(logits, targets, self.weights_of(first, rows))
                .map_err(|error| self.blame(error, first))?;
            first += rows;
            bar.inc(rows as u64);
        }
        bar.finish_and_clear();
        Ok(sum)
    }

    /// The pass over everything; its outputs do not have their names yet.
    fn pass(
        &self,
        mut input: Array,
        mut targets: TargetFile<N::Float>,
    ) -> Result<(Total, Vec<Finished>), Failure> {
        let Self { args, layout, .. } = self;
        let Layout { classes, inner, ref shape, .. } = *layout;
        let of_elements = args.loss.has_losses_of_elements();
        let unreduced = args.reduction == ReductionName::None;
        let losses_shape = if of_elements { shape.clone() } else { layout.rows_shape() };
        let is_wide = args.grad_format == GradFormat::F32;
        let mut loss_out = output(&args.loss_out, unreduced, &losses_shape)?;
        let mut grad_out = output(&args.grad_out, !is_wide, shape)?;
        let mut wide_grad_out = output(&args.grad_out, is_wide, shape)?;
        let mut hessian_out = output(&args.hessian_out, true, shape)?;
        let convention = match args.hessian {
            HessianName::Exact => Hessian::Exact,
            HessianName::Xgboost => Hessian::XgBoost,
            HessianName::Lightgbm => Hessian::LightGbm,
        };
        let predicts = targets.kind() == TargetKind::Index && !args.loss.is_of_elements();
        let mut total = Total { correct: predicts.then_some(0), ..Total::default() };
        let bar = progress::bar("rows", layout.rows());
        let (mut x, mut predicted, mut first) = (Vec::new(), Vec::new(), 0);
        for outer in layout.parts::<N>() {
            let rows = outer * inner;
            let elements = rows * classes;
            input.floats(elements, &mut x)?;
            let targets = targets.next(rows, classes)?;
            let logits = layout.logits(&x, outer)?;
            let mut pass =
                Pass::new().scale(self.scale).sample_weights(self.weights_of(first, rows));
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
            }
            let report = self
                .loss
                .evaluate(logits, targets, pass)
                .map_err(|error| self.blame(error, first))?;
            total.loss += report.loss.unwrap_or(0.0);
            total.valid_rows += report.valid_rows;
            if let (Some(correct), Targets::Index(labels)) = (&mut total.correct, targets) {
                predicted.resize(rows, 0);
                predict::argmax(logits, &mut predicted)?;
                *correct += right(&labels, &predicted, args.ignore_index);
            }
            grad_out.as_mut().map_or(Ok(()), Output::write)?;
            for output in [&mut loss_out, &mut wide_grad_out, &mut hessian_out] {
                output.as_mut().map_or(Ok(()), Output::write)?;
            }
            first += rows;
            bar.inc(rows as u64);
        }
        bar.finish_and_clear();
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
) -> Result<Option<Output<T>>, Failure> {
    path.as_ref().filter(|_| wanted).map(|path| Output::create(path, shape)).transpose()
}

/// How many labels that are not ignored were predicted.
fn right(labels: &xent::Labels<'_>, predicted: &[u32], ignore: Option<i64>) -> usize {
    let mut right = 0;
    for (row, &class) in predicted.iter().enumerate() {
        let label = labels.get(row).filter(|label| Some(*label) != ignore);
        right += usize::from(label == Some(i64::from(class)));
    }
    right
}

/// The arguments of an evaluation of one file without options.
pub(crate) fn plain_args(
    loss: LossName,
    input: &Path,
    targets: &Path,
    class_axis: isize,
    machine: &MachineArgs,
) -> EvalArgs {
    EvalArgs {
        loss,
        input: input.to_owned(),
        targets: targets.to_owned(),
        class_axis,
        class_weights: None,
        sample_weights: None,
        pos_weight: None,
        label_smoothing: None,
        ignore_index: None,
        reduction: ReductionName::Mean,
        mean_over: MeanOverName::Pytorch,
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
        gradient: None,
        machine: machine.clone(),
    }
}
