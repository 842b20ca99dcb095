//! The softmax losses.

use core::ffi::c_void;
use core::ptr;

use half::{bf16, f16};
use xent_core::reduction::NothingValid;
use xent_core::{
    Batch, Error, MultiLabel, NotFiniteRows, Outputs, RowWeights, SoftmaxBatch, SoftmaxOptions,
    SoftmaxTargets,
};

use crate::guard::call;
use crate::hessian::convention;
use crate::labels::{LabelRegion, label_pointers};
use crate::level::level;
use crate::logits::{Format, Integers, Layout, Pointers, TypedBuffers};
use crate::memory::{Memory, Region, initialise, put, structure};
use crate::reduction::Settings;
use crate::status::{Failure, Status};

/// The inputs, options and results of a softmax cross-entropy. Initialise it with xent_softmax_loss_init_f32 or
/// _f64, which sets the defaults below, no targets and no results.
///
/// The loss of a row of logits x with the class y is -ln softmax(x)[y]; with weights t for the classes it is the
/// sum of -t[c] ln softmax(x)[c]. Class weights w and the label smoothing e make it the sum of
/// -w[c] ((1 - e) t[c] + e / classes) ln softmax(x)[c].
///
/// Losses and gradients are within 4 ULP (5 for a gradient scaled by a factor that is not a power of two), plus one
/// for each unit of distance between a logit and its row's maximum.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct SoftmaxLoss<F> {
    /// The size of this structure, as passed to the initialiser.
    pub size: usize,
    /// The number of rows, each with a loss of its own; default 0.
    pub rows: usize,
    /// The number of classes (logits of a row): at least one.
    pub classes: usize,
    /// Set this if the class axis is not the last: the number of rows side by side. Logits are then rows / inner
    /// blocks of classes x inner numbers. For images N x C x H x W, inner is H x W and rows is N x H x W; row n x
    /// inner + i is at position i of block n. Default 0, which means 1: rows one after the other.
    pub inner: usize,
    /// The distance from the start of a row (with inner: of a block) of the logits to the start of the next, in
    /// numbers; default 0 for no gap. Gaps are neither read nor written, but no other result may be placed there.
    pub logits_stride: usize,
    /// The same for the gradient. If the gradient replaces the logits, it uses their stride.
    pub gradient_stride: usize,
    /// rows x classes logits, row after row. A logit of minus infinity means that the class is absent.
    pub logits: *const F,
    /// The logits for the functions ending in _bf16 or _f16, as the bits of numbers of that format; `logits` is
    /// NULL then. All other numbers are floats. NULL (default) for all other functions.
    pub logits_16: *const u16,
    /// The logits for the functions ending in _i8, _u8 or _i16, which a quantised model gave out: integers of that
    /// type; `logits` is NULL then. All other numbers are floats. NULL (default) for all other functions.
    pub logits_integers: *const c_void,
    /// Targets: the class of each row. Give exactly one kind of targets.
    pub labels_i8: *const i8,
    /// Targets: the same, unsigned.
    pub labels_u8: *const u8,
    /// Targets: the same, of 16 bits.
    pub labels_i16: *const i16,
    /// Targets: the same, of 16 bits, unsigned.
    pub labels_u16: *const u16,
    /// Targets: the same, of 32 bits.
    pub labels_i32: *const i32,
    /// Targets: the same, of 32 bits, unsigned.
    pub labels_u32: *const u32,
    /// Targets: the same, of 64 bits.
    pub labels_i64: *const i64,
    /// Targets: the same, of 64 bits, unsigned.
    pub labels_u64: *const u64,
    /// Targets: rows x classes weights, not negative; those of a row need not sum to one. In the order of the
    /// logits, without gaps.
    pub dense: *const F,
    /// Targets: rows x classes labels, zero or positive, for multi-label softmax: the labels of a row are divided
    /// by M, the number of labels that are not zero. A row without any has no target: see nothing_valid.
    pub multi_label: *const F,
    /// A weight for each class, finite and not negative; NULL (default) for ones.
    pub class_weights: *const F,
    /// A factor for the loss and the gradient of each row; NULL (default) for ones. Any finite number. If it is
    /// zero, loss and gradient are zero, whatever the logits are.
    pub sample_weights: *const F,
    /// Result: the gradient of the reduced loss by the logits, rows x classes; NULL (default) if it is not wanted.
    /// It may point to the logits and then replaces them. With logits_16 it is not rounded to their format.
    pub gradient: *mut F,
    /// Result: the gradient in the format of logits_16, instead of `gradient`. It may point to logits_16.
    pub gradient_16: *mut u16,
    /// Result: the loss of each row, not reduced; NULL (default) if it is not wanted.
    pub losses: *mut F,
    /// Result: the logarithm of the sum of e^x over each row; NULL (default) if it is not wanted.
    pub log_sum_exp: *mut F,
    /// Result: the class of the largest logit of each row, the first of equals, or of the first NaN; NULL (default)
    /// if it is not wanted.
    pub predicted: *mut u32,
    /// Result: second derivatives, rows x classes, in the order of the logits without gaps; NULL (default) if they
    /// are not wanted.
    pub hessian: *mut F,
    /// Result: the number of rows that are not ignored and predicted right; NULL (default) if it is not wanted. It
    /// needs labels and `predicted`.
    pub correct: *mut usize,
    /// Result: the number of rows that are not ignored and have a target; NULL (default) if it is not wanted.
    pub valid_rows: *mut usize,
    /// Result: the number of rows that are not ignored and have a logit that is NaN or plus infinity, or no finite
    /// one; NULL (default) if it is not wanted.
    pub not_finite_rows: *mut usize,
    /// Result: the first of these rows, or the number of rows if there is none; NULL (default) if it is not wanted.
    pub first_not_finite: *mut usize,
    /// Result: the divisor of the sum of the losses, 1 without a mean; NULL (default) if it is not wanted. The mean
    /// over several batches is the sum of loss times denominator, divided by the sum of the denominators.
    pub denominator: *mut f64,
    /// The label smoothing, from 0 (default) to 1.
    pub label_smoothing: f64,
    /// The focal loss's gamma, at least 0 (default): the loss of a row becomes -(1 - p)^gamma ln p, where p is the
    /// probability of its label. Only for labels without smoothing. (For alpha, use class_weights.)
    pub focal_gamma: f64,
    /// The smallest second derivative to write, if has_hessian_floor is not 0: those of a focal loss can be
    /// negative.
    pub hessian_floor: f64,
    /// An extra factor of the gradient (not of the loss); default 1. With XENT_REDUCTION_SUM you can implement your
    /// own reduction with it.
    pub scale: f64,
    /// The scale of logits_integers, positive: an integer q stands for logits_scale * (q - logits_zero_point). The
    /// gradient is by these numbers.
    pub logits_scale: f32,
    /// The zero point of logits_integers, one of these integers; default 0.
    pub logits_zero_point: i32,
    /// Rows with this label have a loss and a gradient of zero, if has_ignore_index is not 0.
    /// Labels only.
    pub ignore_index: i64,
    /// Whether there is a label to ignore: 0 (default) if there is none.
    pub has_ignore_index: i32,
    /// An xent_reduction; default XENT_REDUCTION_MEAN.
    pub reduction: i32,
    /// An xent_mean_over; default XENT_MEAN_OVER_PYTORCH.
    pub mean_over: i32,
    /// An xent_nothing_valid; default XENT_NOTHING_VALID_ZERO.
    pub nothing_valid: i32,
    /// An xent_hessian, the convention of `hessian`; default XENT_HESSIAN_EXACT.
    pub hessian_convention: i32,
    /// Whether there is a hessian_floor: 0 (default) if there is none.
    pub has_hessian_floor: i32,
}

impl<F> SoftmaxLoss<F> {
    fn defaults(size: usize) -> Self {
        Self {
            size,
            rows: 0,
            classes: 0,
            inner: 0,
            logits_stride: 0,
            gradient_stride: 0,
            logits: ptr::null(),
            logits_16: ptr::null(),
            logits_integers: ptr::null(),
            labels_i8: ptr::null(),
            labels_u8: ptr::null(),
            labels_i16: ptr::null(),
            labels_u16: ptr::null(),
            labels_i32: ptr::null(),
            labels_u32: ptr::null(),
            labels_i64: ptr::null(),
            labels_u64: ptr::null(),
            dense: ptr::null(),
            multi_label: ptr::null(),
            class_weights: ptr::null(),
            sample_weights: ptr::null(),
            gradient: ptr::null_mut(),
            gradient_16: ptr::null_mut(),
            losses: ptr::null_mut(),
            log_sum_exp: ptr::null_mut(),
            predicted: ptr::null_mut(),
            hessian: ptr::null_mut(),
            correct: ptr::null_mut(),
            valid_rows: ptr::null_mut(),
            not_finite_rows: ptr::null_mut(),
            first_not_finite: ptr::null_mut(),
            denominator: ptr::null_mut(),
            label_smoothing: 0.0,
            focal_gamma: 0.0,
            hessian_floor: 0.0,
            scale: 1.0,
            logits_scale: 0.0,
            logits_zero_point: 0,
            ignore_index: 0,
            has_ignore_index: 0,
            reduction: 0,
            mean_over: 0,
            nothing_valid: 0,
            hessian_convention: 0,
            has_hessian_floor: 0,
        }
    }
}

/// Writes the defaults. `size` is sizeof *loss, which tells the library the version of the header.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xent_softmax_loss_init_f32(
    loss: *mut SoftmaxLoss<f32>,
    size: usize,
) -> Status {
    // SAFETY: as the caller promises.
    unsafe { initialise(loss, size, SoftmaxLoss::defaults(size)) }
}

/// As xent_softmax_loss_init_f32.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xent_softmax_loss_init_f64(
    loss: *mut SoftmaxLoss<f64>,
    size: usize,
) -> Status {
    // SAFETY: as the caller promises.
    unsafe { initialise(loss, size, SoftmaxLoss::defaults(size)) }
}

/// Computes a softmax loss, its gradient and the other results that are wanted.
///
/// Writes the reduced loss to `value`, which may be NULL and must be NULL with XENT_REDUCTION_NONE. If a row is
/// invalid, its number is written to `place`, which may be NULL. Everything is checked before anything else is
/// written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xent_softmax_loss_run_f32(
    loss: *const SoftmaxLoss<f32>,
    value: *mut f64,
    place: *mut usize,
) -> Status {
    // SAFETY: as the caller promises.
    unsafe { call(place, || run::<f32>(loss, value)) }
}

/// As xent_softmax_loss_run_f32.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xent_softmax_loss_run_f64(
    loss: *const SoftmaxLoss<f64>,
    value: *mut f64,
    place: *mut usize,
) -> Status {
    // SAFETY: as the caller promises.
    unsafe { call(place, || run::<f64>(loss, value)) }
}

/// As xent_softmax_loss_run_f32, with bfloat16 logits (the upper half of a float) in logits_16. Everything is
/// computed in float; the gradient is rounded once, or not at all if it is in `gradient`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xent_softmax_loss_run_bf16(
    loss: *const SoftmaxLoss<f32>,
    value: *mut f64,
    place: *mut usize,
) -> Status {
    // SAFETY: as the caller promises.
    unsafe { call(place, || run::<bf16>(loss, value)) }
}

/// As xent_softmax_loss_run_bf16, with IEEE binary16 (_Float16) logits in logits_16.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xent_softmax_loss_run_f16(
    loss: *const SoftmaxLoss<f32>,
    value: *mut f64,
    place: *mut usize,
) -> Status {
    // SAFETY: as the caller promises.
    unsafe { call(place, || run::<f16>(loss, value)) }
}

/// As xent_softmax_loss_run_f32, with int8_t logits in logits_integers and their logits_scale and
/// logits_zero_point. Everything is computed in float, and the gradient is float.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xent_softmax_loss_run_i8(
    loss: *const SoftmaxLoss<f32>,
    value: *mut f64,
    place: *mut usize,
) -> Status {
    // SAFETY: as the caller promises.
    unsafe { call(place, || run::<i8>(loss, value)) }
}

/// As xent_softmax_loss_run_i8, with uint8_t.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xent_softmax_loss_run_u8(
    loss: *const SoftmaxLoss<f32>,
    value: *mut f64,
    place: *mut usize,
) -> Status {
    // SAFETY: as the caller promises.
    unsafe { call(place, || run::<u8>(loss, value)) }
}

/// As xent_softmax_loss_run_i8, with int16_t.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xent_softmax_loss_run_i16(
    loss: *const SoftmaxLoss<f32>,
    value: *mut f64,
    place: *mut usize,
) -> Status {
    // SAFETY: as the caller promises.
    unsafe { call(place, || run::<i16>(loss, value)) }
}

/// # Safety
/// The structure was initialised; it and the memory it points to, and `value`, may be read, and results written.
unsafe fn run<E: Format>(
    loss: *const SoftmaxLoss<E::Float>,
    value: *mut f64,
) -> Result<(), Failure> {
    // SAFETY: as the caller promises.
    let loss = unsafe { structure(loss)? };
    let choices = [loss.reduction, loss.mean_over, loss.nothing_valid];
    let settings = Settings::new(choices, loss.scale, !value.is_null())?;
    let convention = convention(loss.hessian_convention)?;
    let mut memory = Memory::new();
    let (shape, cells) = TypedBuffers::<E>::new(
        Layout {
            rows: loss.rows,
            classes: loss.classes,
            inner: loss.inner,
            logits_stride: loss.logits_stride,
            gradient_stride: loss.gradient_stride,
        },
        Pointers {
            logits: loss.logits,
            logits_16: loss.logits_16,
            gradient: loss.gradient,
            gradient_16: loss.gradient_16,
            integers: Integers {
                logits: loss.logits_integers,
                scale: loss.logits_scale,
                zero_point: loss.logits_zero_point,
            },
        },
        &mut memory,
    )?;
    let (rows, elements) = (shape.row_count(), shape.elements());
    let (labels, kinds) = LabelRegion::given(label_pointers!(loss), rows, &mut memory)?;
    let dense = memory.read(Region::optional(loss.dense, elements)?);
    let multi_label = memory.read(Region::optional(loss.multi_label, elements)?);
    let class_weights = memory.read(Region::optional(loss.class_weights, loss.classes)?);
    let sample_weights = memory.read(Region::optional(loss.sample_weights, rows)?);
    let losses = memory.written(Region::optional(loss.losses, rows)?);
    let log_sum_exp = memory.written(Region::optional(loss.log_sum_exp, rows)?);
    let predicted = memory.written(Region::optional(loss.predicted, rows)?);
    let hessian = memory.written(Region::optional(loss.hessian, elements)?);

    let kinds = kinds + usize::from(!dense.is_empty()) + usize::from(!multi_label.is_empty());
    if kinds != usize::from(rows != 0) {
        return Err(Status::Targets.into());
    }
    if !loss.correct.is_null() && rows != 0 && (predicted.is_empty() || labels.is_none()) {
        return Err(Status::Correct.into());
    }
    memory.check_apart()?;
    let not_finite = NotFiniteRows::new();

    // SAFETY: as the caller promises, all of this may be read or written; and nothing that is written overlaps
    // anything else.
    let (buffers, targets, class_weights, sample_weights, outputs) = unsafe {
        let targets = match labels {
            Some(labels) => SoftmaxTargets::Index(labels.read()),
            None if !dense.is_empty() => SoftmaxTargets::Dense(dense.read()),
            None if !multi_label.is_empty() => {
                SoftmaxTargets::MultiLabel(multi_label.read(), MultiLabel::Exact)
            }
            None => SoftmaxTargets::Index((&[0_u8; 0]).into()),
        };
        let outputs = Outputs {
            losses: losses.write(),
            log_sum_exp: log_sum_exp.write(),
            predicted: predicted.write(),
            hessian: hessian.write(),
            convention,
            hessian_floor: (loss.has_hessian_floor != 0).then_some(loss.hessian_floor),
            not_finite: Some(&not_finite),
        };
        (cells.buffers(), targets, class_weights.read(), sample_weights.read(), outputs)
    };

    let ignore_index = (loss.has_ignore_index != 0).then_some(loss.ignore_index);
    let options = SoftmaxOptions {
        class_weights,
        label_smoothing: loss.label_smoothing,
        ignore_index,
        focal_gamma: loss.focal_gamma,
        empty_is_nan: settings.nothing_valid() == NothingValid::Nan,
        ..SoftmaxOptions::default()
    };
    let weights = RowWeights { sample_weights, ..RowWeights::default() };
    let batch =
        SoftmaxBatch::with_options(buffers, shape, targets, options)?.with_weights(weights)?;
    if settings.nothing_valid() == NothingValid::Error
        && let Some(row) = batch.first_empty_row()
    {
        return Err(Error::Empty { row }.into());
    }
    let counts = batch.counts();
    let (division, scale) = settings.division(&counts)?;
    let weights = RowWeights { scale, ..weights };
    let sum = batch.with_weights(weights)?.with_outputs(outputs)?.run(level());
    // SAFETY: as the caller promises; the batch, which wrote it, is gone.
    let predicted = unsafe { predicted.read() };
    let correct = match targets {
        SoftmaxTargets::Index(labels) => labels.count_equal(predicted, ignore_index),
        _ => 0,
    };
    // SAFETY: as the caller promises; the slices are no longer used.
    unsafe {
        division.loss(sum).into_iter().for_each(|loss| put(value, loss));
        put(loss.correct, correct);
        put(loss.valid_rows, counts.valid_rows);
        put(loss.not_finite_rows, not_finite.count());
        put(loss.first_not_finite, not_finite.first().unwrap_or(rows));
        put(loss.denominator, division.divisor());
    }
    Ok(())
}
