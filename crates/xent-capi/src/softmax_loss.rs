//! The softmax losses.

use core::ptr;

use xent_core::reduction::NothingValid;
use xent_core::{
    Batch, Buffers, Error, Float, MultiLabel, RowWeights, Shape, SoftmaxBatch, SoftmaxOptions,
    SoftmaxTargets,
};

use crate::guard::call;
use crate::level::level;
use crate::memory::{Region, check_apart, initialise, put, structure};
use crate::reduction::Settings;
use crate::status::{Failure, Status};

/// A softmax cross-entropy: what it is computed of, how, and where its results go. Make it with
/// xent_softmax_loss_init_f32 or _f64, which leaves no targets, no results wanted, and the defaults below.
///
/// The loss of a row of logits x with the class y is -ln softmax(x)[y]; with weights t for the classes it is the
/// sum of -t[c] ln softmax(x)[c]. Class weights w and the label smoothing e make it the sum of
/// -w[c] ((1 - e) t[c] + e / classes) ln softmax(x)[c].
///
/// Losses and gradients are within 4 ULP (5 for a gradient whose factor is no power of two), plus one for each unit
/// of distance between a logit and its row's maximum.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct SoftmaxLoss<F> {
    /// The size of this structure, as it was given to the initialiser.
    pub size: usize,
    /// How many rows there are, each with a loss of its own; default 0.
    pub rows: usize,
    /// How many classes (logits of a row) there are: at least one.
    pub classes: usize,
    /// rows x classes logits, row after row. A logit of minus infinity is a class that is absent.
    pub logits: *const F,
    /// Targets: the class of each row. Exactly one of the four kinds of targets is to be given.
    pub labels_i32: *const i32,
    /// Targets: the same, unsigned.
    pub labels_u32: *const u32,
    /// Targets: rows x classes weights, none below zero; those of a row need not sum to one.
    pub dense: *const F,
    /// Targets: rows x classes labels, zero or positive: multi-label softmax, where those of a row are divided by M,
    /// the number of those that are not zero. A row without any has no target: see nothing_valid.
    pub multi_label: *const F,
    /// A weight for each class, finite and not below zero; NULL (default) for ones.
    pub class_weights: *const F,
    /// A weight for each row, which multiplies its loss and gradient; NULL (default) for ones. A row of weight zero
    /// has no part in anything.
    pub sample_weights: *const F,
    /// Result: the gradient of the reduced loss by the logits, rows x classes; NULL (default) if it is not wanted. It
    /// may be where the logits are, which it then replaces.
    pub gradient: *mut F,
    /// Result: the loss of each row, not reduced; NULL (default) if they are not wanted.
    pub losses: *mut F,
    /// The label smoothing, from 0 (default) to 1.
    pub label_smoothing: f64,
    /// What the gradient (not the loss) is multiplied with beside; default 1. With XENT_REDUCTION_SUM this is a
    /// reduction of your own.
    pub scale: f64,
    /// Rows with this label have no loss and a gradient of zero, if has_ignore_index is not 0. Labels only.
    pub ignore_index: i64,
    /// Whether there is a label to ignore: 0 (default) if there is none.
    pub has_ignore_index: i32,
    /// An xent_reduction; default XENT_REDUCTION_MEAN.
    pub reduction: i32,
    /// An xent_mean_over; default XENT_MEAN_OVER_PYTORCH.
    pub mean_over: i32,
    /// An xent_nothing_valid; default XENT_NOTHING_VALID_ZERO.
    pub nothing_valid: i32,
}

impl<F> SoftmaxLoss<F> {
    fn defaults(size: usize) -> Self {
        Self {
            size,
            rows: 0,
            classes: 0,
            logits: ptr::null(),
            labels_i32: ptr::null(),
            labels_u32: ptr::null(),
            dense: ptr::null(),
            multi_label: ptr::null(),
            class_weights: ptr::null(),
            sample_weights: ptr::null(),
            gradient: ptr::null_mut(),
            losses: ptr::null_mut(),
            label_smoothing: 0.0,
            scale: 1.0,
            ignore_index: 0,
            has_ignore_index: 0,
            reduction: 0,
            mean_over: 0,
            nothing_valid: 0,
        }
    }
}

/// Writes the defaults; `size` is sizeof *loss, by which the library knows the version of the header.
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

/// Computes a softmax loss, and its gradient and the losses of the rows if they are wanted.
///
/// The reduced loss is written to `value`, which may be NULL, and has to be with XENT_REDUCTION_NONE. If a row is
/// what is wrong, its number is written to `place`, which may be NULL. All is checked before anything else is
/// written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xent_softmax_loss_run_f32(
    loss: *const SoftmaxLoss<f32>,
    value: *mut f64,
    place: *mut usize,
) -> Status {
    // SAFETY: as the caller promises.
    unsafe { call(place, || run(loss, value)) }
}

/// As xent_softmax_loss_run_f32.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xent_softmax_loss_run_f64(
    loss: *const SoftmaxLoss<f64>,
    value: *mut f64,
    place: *mut usize,
) -> Status {
    // SAFETY: as the caller promises.
    unsafe { call(place, || run(loss, value)) }
}

/// # Safety
/// The structure was initialised; what it and `value` point to may be read, and if it is a result written.
unsafe fn run<F: Float>(loss: *const SoftmaxLoss<F>, value: *mut f64) -> Result<(), Failure> {
    // SAFETY: as the caller promises.
    let loss = unsafe { structure(loss)? };
    let choices = [loss.reduction, loss.mean_over, loss.nothing_valid];
    let settings = Settings::new(choices, loss.scale, !value.is_null())?;
    let shape = Shape::rows(loss.rows, loss.classes)?;
    let (rows, elements) = (shape.row_count(), shape.elements());

    let logits = Region::needed(loss.logits, elements)?;
    let signed = Region::optional(loss.labels_i32, rows)?;
    let unsigned = Region::optional(loss.labels_u32, rows)?;
    let dense = Region::optional(loss.dense, elements)?;
    let multi_label = Region::optional(loss.multi_label, elements)?;
    let class_weights = Region::optional(loss.class_weights, loss.classes)?;
    let sample_weights = Region::optional(loss.sample_weights, rows)?;
    let gradient = Region::optional(loss.gradient, elements)?;
    let losses = Region::optional(loss.losses, rows)?;
    let in_place = ptr::eq(loss.logits, loss.gradient);

    let empty = [signed.is_empty(), unsigned.is_empty(), dense.is_empty(), multi_label.is_empty()];
    let given = empty.iter().filter(|empty| !**empty).count();
    if given != usize::from(rows != 0) {
        return Err(Status::Targets.into());
    }
    let read = [
        signed.span(),
        unsigned.span(),
        dense.span(),
        multi_label.span(),
        class_weights.span(),
        sample_weights.span(),
        logits.span(),
    ];
    // In place, the logits are what is written.
    let read = if in_place { &read[..6] } else { &read[..] };
    check_apart(&[gradient.span(), losses.span()], read)?;

    // SAFETY: as the caller promises, all of this may be read or written; and nothing of what is written
    // overlaps anything else.
    let (buffers, targets, class_weights, sample_weights, losses) = unsafe {
        let buffers = if gradient.is_empty() {
            Buffers::Loss(logits.read())
        } else if in_place {
            Buffers::InPlace(gradient.write())
        } else {
            Buffers::Gradient(logits.read(), gradient.write())
        };
        let targets = if !dense.is_empty() {
            SoftmaxTargets::Dense(dense.read())
        } else if !multi_label.is_empty() {
            SoftmaxTargets::MultiLabel(multi_label.read(), MultiLabel::Exact)
        } else if !unsigned.is_empty() {
            SoftmaxTargets::Index(unsigned.read().into())
        } else {
            SoftmaxTargets::Index(signed.read().into())
        };
        (buffers, targets, class_weights.read(), sample_weights.read(), losses.write())
    };

    let options = SoftmaxOptions {
        class_weights,
        label_smoothing: loss.label_smoothing,
        ignore_index: (loss.has_ignore_index != 0).then_some(loss.ignore_index),
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
    let tally = batch.tally();
    let (division, scale) = settings.division(&tally)?;
    let weights = RowWeights { scale, ..weights };
    let mut batch = batch.with_weights(weights)?;
    if !losses.is_empty() {
        batch = batch.with_losses(losses)?;
    }
    let sum = batch.run(level());
    if let Some(loss) = division.loss(sum) {
        // SAFETY: as the caller promises; the slices are not used any more.
        unsafe { put(value, loss) };
    }
    Ok(())
}
