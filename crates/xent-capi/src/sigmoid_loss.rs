//! The sigmoid (binary) losses.

use core::ptr;

use half::{bf16, f16};
use xent_core::{
    Batch, NotFiniteRows, Outputs, RowWeights, SigmoidBatch, SigmoidOptions, SigmoidTargets,
};

use crate::guard::call;
use crate::hessian::convention;
use crate::labels::{LabelRegion, label_pointers};
use crate::level::level;
use crate::logits::{Format, Integers, Layout, Pointers, TypedBuffers};
use crate::memory::{Memory, Region, initialise, put, structure};
use crate::reduction::Settings;
use crate::status::{Failure, Status};

/// The inputs, options and results of a sigmoid (binary) cross-entropy of independent elements. Initialise it with
/// xent_sigmoid_loss_init_f32 or _f64, which sets the defaults below, no targets and no results.
///
/// The loss of a logit x of class c with the target y is -w[c] (q[c] y ln s(x) + (1 - y) ln s(-x)), where s is the
/// logistic function, w the class weight and q the positive weight. The label smoothing e makes y
/// (1 - e) y + e / 2.
///
/// Losses are within 4 ULP, gradients within 5 (6 if they are scaled by a factor that is not a power of two).
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct SigmoidLoss<F> {
    /// The size of this structure, as passed to the initialiser.
    pub size: usize,
    /// The number of rows; default 0.
    pub rows: usize,
    /// The number of elements of a row, each a class of its own: at least one. If neither classes nor rows have
    /// weights, one class and many rows give the same result.
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
    /// rows x classes logits, row after row.
    pub logits: *const F,
    /// The logits for the functions ending in _bf16 or _f16, as the bits of numbers of that format; `logits` is
    /// NULL then. All other numbers are floats. NULL (default) for all other functions.
    pub logits_16: *const u16,
    /// Targets: 0 or 1 for each of the rows x classes elements, in the order of the logits, without gaps. Give
    /// exactly one kind of targets.
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
    /// Targets: rows x classes numbers from 0 to 1.
    pub dense: *const F,
    /// A weight for the elements of each class, finite and not negative; NULL (default) for ones.
    pub class_weights: *const F,
    /// A weight for the positive part of the loss of each class, finite and not negative; NULL (default) for ones.
    pub positive_weights: *const F,
    /// A factor for the losses and the gradient of each row; NULL (default) for ones. Any finite number. If it is
    /// zero, loss and gradient are zero, whatever the logits are.
    pub sample_weights: *const F,
    /// Result: the gradient of the reduced loss by the logits, rows x classes; NULL (default) if it is not wanted.
    /// It may point to the logits and then replaces them. With logits_16 it is not rounded to their format.
    pub gradient: *mut F,
    /// Result: the gradient in the format of logits_16, instead of `gradient`. It may point to logits_16.
    pub gradient_16: *mut u16,
    /// Result: the loss of each of the rows x classes elements, not reduced, in the order of the logits without
    /// gaps; NULL (default) if it is not wanted.
    pub losses: *mut F,
    /// Result: second derivatives, in the order of the logits without gaps; NULL (default) if they are not wanted.
    pub hessian: *mut F,
    /// Result: the number of rows with an element that is not ignored; NULL (default) if it is not wanted.
    pub valid_rows: *mut usize,
    /// Result: the number of elements that are not ignored; NULL (default) if it is not wanted.
    pub valid_elements: *mut usize,
    /// Result: the number of rows with an element that is not ignored and whose loss is NaN or infinite (if the
    /// gradient replaces the logits, only NaN); NULL (default) if it is not wanted.
    pub not_finite_rows: *mut usize,
    /// Result: the first of these rows, or the number of rows if there is none; NULL (default) if it is not wanted.
    pub first_not_finite: *mut usize,
    /// Result: the divisor of the sum of the losses, 1 without a mean; NULL (default) if it is not wanted. The mean
    /// over several batches is the sum of loss times denominator, divided by the sum of the denominators.
    pub denominator: *mut f64,
    /// The label smoothing, from 0 (default) to 1.
    pub label_smoothing: f64,
    /// The focal loss's gamma, at least 0 (default): the loss of an element is multiplied by (1 - p)^gamma, where p
    /// is the probability of its target.
    pub focal_gamma: f64,
    /// The smallest second derivative to write, if has_hessian_floor is not 0: those of a focal loss can be
    /// negative.
    pub hessian_floor: f64,
    /// The focal loss's alpha, from 0 to 1, if has_focal_alpha is not 0: the loss of an element is multiplied by
    /// alpha if the target is 1, and by 1 - alpha if it is 0.
    pub focal_alpha: f64,
    /// An extra factor of the gradient (not of the loss); default 1. With XENT_REDUCTION_SUM you can implement your
    /// own reduction with it.
    pub scale: f64,
    /// Elements with this label have a loss and a gradient of zero, if has_ignore_index is not 0.
    /// Labels only.
    pub ignore_index: i64,
    /// Whether there is a label to ignore: 0 (default) if there is none.
    pub has_ignore_index: i32,
    /// Whether there is an alpha of the focal loss: 0 (default) if there is none.
    pub has_focal_alpha: i32,
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

impl<F> SigmoidLoss<F> {
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
            labels_i8: ptr::null(),
            labels_u8: ptr::null(),
            labels_i16: ptr::null(),
            labels_u16: ptr::null(),
            labels_i32: ptr::null(),
            labels_u32: ptr::null(),
            labels_i64: ptr::null(),
            labels_u64: ptr::null(),
            dense: ptr::null(),
            class_weights: ptr::null(),
            positive_weights: ptr::null(),
            sample_weights: ptr::null(),
            gradient: ptr::null_mut(),
            gradient_16: ptr::null_mut(),
            losses: ptr::null_mut(),
            hessian: ptr::null_mut(),
            valid_rows: ptr::null_mut(),
            valid_elements: ptr::null_mut(),
            not_finite_rows: ptr::null_mut(),
            first_not_finite: ptr::null_mut(),
            denominator: ptr::null_mut(),
            label_smoothing: 0.0,
            focal_gamma: 0.0,
            hessian_floor: 0.0,
            focal_alpha: 0.0,
            scale: 1.0,
            ignore_index: 0,
            has_ignore_index: 0,
            has_focal_alpha: 0,
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
pub unsafe extern "C" fn xent_sigmoid_loss_init_f32(
    loss: *mut SigmoidLoss<f32>,
    size: usize,
) -> Status {
    // SAFETY: as the caller promises.
    unsafe { initialise(loss, size, SigmoidLoss::defaults(size)) }
}

/// As xent_sigmoid_loss_init_f32.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xent_sigmoid_loss_init_f64(
    loss: *mut SigmoidLoss<f64>,
    size: usize,
) -> Status {
    // SAFETY: as the caller promises.
    unsafe { initialise(loss, size, SigmoidLoss::defaults(size)) }
}

/// Computes a sigmoid loss, its gradient and the other results that are wanted.
///
/// Writes the reduced loss to `value`, which may be NULL and must be NULL with XENT_REDUCTION_NONE. If a label is
/// invalid, its row is written to `place`, which may be NULL. Everything is checked before anything else is
/// written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xent_sigmoid_loss_run_f32(
    loss: *const SigmoidLoss<f32>,
    value: *mut f64,
    place: *mut usize,
) -> Status {
    // SAFETY: as the caller promises.
    unsafe { call(place, || run::<f32>(loss, value)) }
}

/// As xent_sigmoid_loss_run_f32.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xent_sigmoid_loss_run_f64(
    loss: *const SigmoidLoss<f64>,
    value: *mut f64,
    place: *mut usize,
) -> Status {
    // SAFETY: as the caller promises.
    unsafe { call(place, || run::<f64>(loss, value)) }
}

/// As xent_sigmoid_loss_run_f32, with bfloat16 logits (the upper half of a float) in logits_16. Everything is
/// computed in float; the gradient is rounded once, or not at all if it is in `gradient`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xent_sigmoid_loss_run_bf16(
    loss: *const SigmoidLoss<f32>,
    value: *mut f64,
    place: *mut usize,
) -> Status {
    // SAFETY: as the caller promises.
    unsafe { call(place, || run::<bf16>(loss, value)) }
}

/// As xent_sigmoid_loss_run_bf16, with IEEE binary16 (_Float16) logits in logits_16.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xent_sigmoid_loss_run_f16(
    loss: *const SigmoidLoss<f32>,
    value: *mut f64,
    place: *mut usize,
) -> Status {
    // SAFETY: as the caller promises.
    unsafe { call(place, || run::<f16>(loss, value)) }
}

/// # Safety
/// The structure was initialised; it and the memory it points to, and `value`, may be read, and results written.
unsafe fn run<E: Format>(
    loss: *const SigmoidLoss<E::Float>,
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
            integers: Integers::NONE,
        },
        &mut memory,
    )?;
    let (rows, elements) = (shape.row_count(), shape.elements());
    let (labels, kinds) = LabelRegion::given(label_pointers!(loss), elements, &mut memory)?;
    let dense = memory.read(Region::optional(loss.dense, elements)?);
    let class_weights = memory.read(Region::optional(loss.class_weights, loss.classes)?);
    let positive_weights = memory.read(Region::optional(loss.positive_weights, loss.classes)?);
    let sample_weights = memory.read(Region::optional(loss.sample_weights, rows)?);
    let losses = memory.written(Region::optional(loss.losses, elements)?);
    let hessian = memory.written(Region::optional(loss.hessian, elements)?);

    if kinds + usize::from(!dense.is_empty()) != usize::from(rows != 0) {
        return Err(Status::Targets.into());
    }
    memory.check_apart()?;
    let not_finite = NotFiniteRows::new();

    // SAFETY: as the caller promises, all of this may be read or written; and nothing that is written overlaps
    // anything else.
    let (buffers, targets, class_weights, positive_weights, sample_weights, outputs) = unsafe {
        let targets = match labels {
            Some(labels) => SigmoidTargets::MultiHot(labels.read()),
            None if !dense.is_empty() => SigmoidTargets::Dense(dense.read()),
            None => SigmoidTargets::MultiHot((&[0_u8; 0]).into()),
        };
        let outputs = Outputs {
            losses: losses.write(),
            hessian: hessian.write(),
            convention,
            hessian_floor: (loss.has_hessian_floor != 0).then_some(loss.hessian_floor),
            not_finite: Some(&not_finite),
            ..Outputs::default()
        };
        let weights = (class_weights.read(), positive_weights.read(), sample_weights.read());
        (cells.buffers(), targets, weights.0, weights.1, weights.2, outputs)
    };

    let options = SigmoidOptions {
        class_weights,
        pos_weight: positive_weights,
        label_smoothing: loss.label_smoothing,
        ignore_index: (loss.has_ignore_index != 0).then_some(loss.ignore_index),
        focal_gamma: loss.focal_gamma,
        focal_alpha: (loss.has_focal_alpha != 0).then_some(loss.focal_alpha),
        ..SigmoidOptions::default()
    };
    let weights = RowWeights { sample_weights, ..RowWeights::default() };
    let batch =
        SigmoidBatch::with_options(buffers, shape, targets, options)?.with_weights(weights)?;
    let counts = batch.counts();
    let (division, scale) = settings.division(&counts)?;
    let weights = RowWeights { scale, ..weights };
    let sum = batch.with_weights(weights)?.with_outputs(outputs)?.run(level());
    // SAFETY: as the caller promises; the slices are not used any more.
    unsafe {
        division.loss(sum).into_iter().for_each(|loss| put(value, loss));
        put(loss.valid_rows, counts.valid_rows);
        put(loss.valid_elements, counts.valid_losses);
        put(loss.not_finite_rows, not_finite.count());
        put(loss.first_not_finite, not_finite.first().unwrap_or(rows));
        put(loss.denominator, division.divisor());
    }
    Ok(())
}
