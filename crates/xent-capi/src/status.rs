//! What a call returns.

use core::ffi::{CStr, c_char};

use xent_core::{Error, Values};

/// The result of a call. Unless it is XENT_STATUS_OK, nothing was written (after XENT_STATUS_INTERNAL: nothing
/// useful).
#[repr(i32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Success: zero.
    Ok = 0,
    /// A required pointer is NULL.
    Null = 1,
    /// A pointer is not a multiple of its type's alignment.
    Alignment = 2,
    /// The size of the structure is unknown: it was not initialised, or it has options that this version of the
    /// library does not know.
    Size = 3,
    /// A row needs at least one class, and for xent_softmax_row at most 32.
    Classes = 4,
    /// Rows times classes are more than memory can hold.
    TooLarge = 5,
    /// A result overlaps something else: only the gradient may be in the place of the logits.
    Overlap = 6,
    /// Not exactly one kind of targets was given.
    Targets = 7,
    /// A label is not the number of a class (for the sigmoid loss: not 0 or 1); `place` is its row (for the sigmoid
    /// loss: its element).
    Label = 8,
    /// The row `place` has no target, and nothing_valid makes this an error.
    Empty = 9,
    /// A mean over nothing, and nothing_valid makes this an error.
    NothingValid = 10,
    /// The class weight of the class `place` is negative or not finite.
    ClassWeights = 11,
    /// The positive weight of the class `place` is negative or not finite.
    PositiveWeights = 12,
    /// The label smoothing is not from 0 to 1.
    LabelSmoothing = 13,
    /// Only targets that are integers can be ignored.
    IgnoreIndex = 14,
    /// reduction, mean_over or nothing_valid is not a value of its enumeration.
    Choice = 15,
    /// A single loss was asked for, but XENT_REDUCTION_NONE gives many.
    NotReduced = 16,
    /// This machine has no level of that name.
    Level = 17,
    /// A defect of xent.
    Internal = 18,
    /// The number of rows is not a multiple of inner.
    Inner = 19,
    /// A stride is shorter than a row (with inner: than a block), or a gradient in place has another stride than
    /// the logits.
    Stride = 20,
    /// Pointers of the wrong format: logits_16 and gradient_16 are for the functions ending in _bf16 or _f16, and
    /// logits_integers is for those ending in _i8, _u8 or _i16, which take no `logits`; and only one gradient may be
    /// given.
    Format = 21,
    /// The focal loss's gamma is negative or not finite, its alpha is not from 0 to 1, or these targets or options
    /// exclude a focal loss.
    Focal = 22,
    /// This loss has no second derivatives in that convention, or their floor is not finite.
    Hessian = 23,
    /// The number of rows predicted right needs labels and `predicted`.
    Correct = 24,
    /// A target of the sigmoid loss, dense[place], is not from 0 to 1.
    UnitTargets = 25,
    /// A target of a softmax loss, dense[place] or multi_label[place], is negative or not finite.
    SoftmaxTargets = 26,
    /// The sample weight of the row `place` is not finite.
    SampleWeights = 27,
    /// The scale of the logits that are integers is not positive and at most 5e33, or their zero point is not one of
    /// these integers.
    Quantisation = 28,
}

/// The status of a refused call, and the place of the cause.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Failure {
    pub(crate) status: Status,
    pub(crate) place: Option<usize>,
}

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        Self { status, place: None }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let (status, place) = match error {
            Error::ZeroClasses | Error::Option { option: "classes", .. } => (Status::Classes, None),
            Error::TooLarge { .. } => (Status::TooLarge, None),
            Error::Label { row, .. } => (Status::Label, Some(row)),
            Error::Empty { row } => (Status::Empty, Some(row)),
            Error::Value { of, element, .. } => {
                let status = match of {
                    Values::ClassWeights => Status::ClassWeights,
                    Values::PosWeights => Status::PositiveWeights,
                    Values::SampleWeights => Status::SampleWeights,
                    Values::SigmoidTargets => Status::UnitTargets,
                    Values::SoftmaxTargets | Values::MultiLabels => Status::SoftmaxTargets,
                    // C has no functions for the other losses.
                    _ => Status::Internal,
                };
                (status, Some(element))
            }
            Error::Option { option, .. } => {
                let status = match option {
                    "label smoothing" => Status::LabelSmoothing,
                    "ignore index" => Status::IgnoreIndex,
                    "focal gamma" | "focal alpha" => Status::Focal,
                    "scale" | "zero point" => Status::Quantisation,
                    "Hessian" | "floor of the Hessian" => Status::Hessian,
                    _ => Status::Internal,
                };
                (status, None)
            }
            Error::Length { of: "stride of the logits" | "stride of the gradient", .. } => {
                (Status::Stride, None)
            }
            // All other lengths follow from rows and classes.
            _ => (Status::Internal, None),
        };
        Self { status, place }
    }
}

/// The meaning of a status, as a sentence that is never freed; also for numbers that are not a status.
#[unsafe(no_mangle)]
pub extern "C" fn xent_error_message(status: i32) -> *const c_char {
    const UNKNOWN: &CStr = c"not a status of this version of xent";
    let message = MESSAGES.iter().find(|(of, _)| *of as i32 == status);
    message.map_or(UNKNOWN, |(_, message)| message).as_ptr()
}

const MESSAGES: [(Status, &CStr); 29] = [
    (Status::Ok, c"all is well"),
    (Status::Null, c"a pointer that is needed is NULL"),
    (Status::Alignment, c"a pointer is not a multiple of its type's alignment"),
    (
        Status::Size,
        c"the structure was not initialised, or has options that this version of xent does not know",
    ),
    (Status::Classes, c"a row needs at least one class, and by itself may have 32"),
    (Status::TooLarge, c"rows times classes are more than memory can hold"),
    (
        Status::Overlap,
        c"something that is written overlaps something else: only the gradient may be where the logits are",
    ),
    (Status::Targets, c"exactly one kind of targets is needed"),
    (
        Status::Label,
        c"a label is not the number of a class; if it stands for a missing one, such as -1 or -100, set ignore_index",
    ),
    (Status::Empty, c"a row has no target"),
    (Status::NothingValid, c"nothing to take a mean of: every row is ignored or has no weight"),
    (Status::ClassWeights, c"class weights: expected finite numbers, none below zero"),
    (Status::PositiveWeights, c"positive weights: expected finite numbers, none below zero"),
    (Status::LabelSmoothing, c"label smoothing: expected a number from 0 to 1"),
    (Status::IgnoreIndex, c"ignore index: only targets that are integers can be ignored"),
    (Status::Choice, c"reduction, mean_over or nothing_valid is none of its enumeration"),
    (
        Status::NotReduced,
        c"without a reduction there are many losses: ask for `losses`, and pass NULL for the one",
    ),
    (Status::Level, c"this machine has no level of that name"),
    (Status::Internal, c"a defect of xent: please report it"),
    (Status::Inner, c"rows have to be a multiple of inner: each block has inner of them"),
    (
        Status::Stride,
        c"a stride is shorter than a row (with inner: than a block), or in place the gradient's is not the logits'",
    ),
    (
        Status::Format,
        c"logits_16 and gradient_16 are for the functions with _bf16 or _f16, logits_integers for those with _i8, _u8 or _i16, all without `logits`; there is one gradient",
    ),
    (
        Status::Focal,
        c"focal loss: expected a finite gamma not below 0 and alpha from 0 to 1, with labels and without smoothing",
    ),
    (Status::Hessian, c"this loss has no second derivatives of that convention (of a focal loss take the exact ones), or a floor that is finite"),
    (Status::Correct, c"how many rows are right is known with labels and `predicted` alone"),
    (
        Status::UnitTargets,
        c"targets: expected numbers from 0 to 1; divide a mask of 0 and 255 by 255; for missing targets give labels with an ignore index",
    ),
    (
        Status::SoftmaxTargets,
        c"dense targets and multi-label labels: expected finite numbers, none below zero",
    ),
    (
        Status::SampleWeights,
        c"sample weights: expected finite numbers; 0 for a row that is not to count",
    ),
    (
        Status::Quantisation,
        c"quantised logits: expected the scale and the zero point of the model's output: a positive scale, and one of its integers",
    ),
];
