/*
 * xent: fused cross-entropy losses with their gradients.
 *
 * This file is made by cbindgen from crates/xent-capi/src: do not change it, change those.
 *
 * A call checks all it is given before it writes anything, does not allocate, and keeps nothing. Any number of
 * threads may call at once, as long as none writes what another one reads. Results have the same bits on every
 * machine whose level has fused multiply-add, and on all others.
 *
 * All pointers that are not NULL have to point to as many numbers as are said, initialised for what is read. What is
 * written may not overlap anything else (XENT_STATUS_OVERLAP), but that the gradient of a loss may replace the
 * logits: then both pointers are the same.
 */

#ifndef XENT_H
#define XENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// What a call returns. If it is not XENT_STATUS_OK, nothing has been written (after XENT_STATUS_INTERNAL:
// nothing useful).
enum xent_status
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // All is well: zero.
  XENT_STATUS_OK = 0,
  // A pointer that is needed is NULL.
  XENT_STATUS_NULL = 1,
  // A pointer is not a multiple of its type's alignment.
  XENT_STATUS_ALIGNMENT = 2,
  // The size of the structure is not known: it was not initialised, or has options that this version of
  // the library does not know.
  XENT_STATUS_SIZE = 3,
  // A row needs at least one class, and for xent_softmax_row at most 32.
  XENT_STATUS_CLASSES = 4,
  // Rows times classes are more than memory can hold.
  XENT_STATUS_TOO_LARGE = 5,
  // Something that is written overlaps something else: only the gradient may be where the logits are.
  XENT_STATUS_OVERLAP = 6,
  // Not exactly one kind of targets was given.
  XENT_STATUS_TARGETS = 7,
  // A label is not the number of a class (for the sigmoid loss: not 0 or 1); `place` is its place, which is
  // its row (for the sigmoid loss: its element).
  XENT_STATUS_LABEL = 8,
  // A row, which is `place`, has no target, and nothing_valid says that this is an error.
  XENT_STATUS_EMPTY = 9,
  // A mean is to be taken of nothing, and nothing_valid says that this is an error.
  XENT_STATUS_NOTHING_VALID = 10,
  // A class weight, that of the class `place`, is negative or not finite.
  XENT_STATUS_CLASS_WEIGHTS = 11,
  // A positive weight, that of the class `place`, is negative or not finite.
  XENT_STATUS_POSITIVE_WEIGHTS = 12,
  // The label smoothing is not from 0 to 1.
  XENT_STATUS_LABEL_SMOOTHING = 13,
  // Only targets that are integers can be ignored.
  XENT_STATUS_IGNORE_INDEX = 14,
  // reduction, mean_over or nothing_valid has a value that is none of its enumeration.
  XENT_STATUS_CHOICE = 15,
  // One loss was asked for, but XENT_REDUCTION_NONE has many.
  XENT_STATUS_NOT_REDUCED = 16,
  // This machine has no level of that name.
  XENT_STATUS_LEVEL = 17,
  // A defect of xent.
  XENT_STATUS_INTERNAL = 18,
  // Rows are no multiple of inner.
  XENT_STATUS_INNER = 19,
  // A stride is shorter than a row (with inner: than a block), or that of a gradient in place is not the logits'.
  XENT_STATUS_STRIDE = 20,
  // Pointers of another format than the function's: logits_16 and gradient_16 are for those with _bf16 or _f16 at
  // their end, which take no `logits`; and there is one gradient.
  XENT_STATUS_FORMAT = 21,
  // The focal loss's gamma is negative or not finite, its alpha not from 0 to 1, or it is asked for with targets or
  // options that it is not defined for.
  XENT_STATUS_FOCAL = 22,
  // There are no second derivatives of that loss in that convention, or their floor is not finite.
  XENT_STATUS_HESSIAN = 23,
  // How many rows are predicted right is known with labels and `predicted` alone.
  XENT_STATUS_CORRECT = 24,
  // A target of the sigmoid loss, dense[place], is not from 0 to 1.
  XENT_STATUS_UNIT_TARGETS = 25,
  // A target of a softmax loss, dense[place] or multi_label[place], is negative or not finite.
  XENT_STATUS_SOFTMAX_TARGETS = 26,
  // A sample weight, that of the row `place`, is not finite.
  XENT_STATUS_SAMPLE_WEIGHTS = 27,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum xent_status xent_status;
#else
typedef int32_t xent_status;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// How the losses become one, and what the gradient is the gradient of.
enum xent_reduction
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // The sum divided by what mean_over says.
  XENT_REDUCTION_MEAN = 0,
  // The sum of all losses.
  XENT_REDUCTION_SUM = 1,
  // Not at all: every row (for the sigmoid loss: every element) has the gradient of its own loss.
  XENT_REDUCTION_NONE = 2,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum xent_reduction xent_reduction;
#else
typedef int32_t xent_reduction;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// What a mean divides the sum of all losses by. A sample weight is in none of them but
// XENT_MEAN_OVER_WEIGHTS: a row of weight zero is still a row.
enum xent_mean_over
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // PyTorch's rule for the loss at hand. Softmax with labels: the class weights of the labels that are not
  // ignored (their number without class weights); softmax with other targets: all rows; sigmoid: the elements
  // that are not ignored.
  XENT_MEAN_OVER_PYTORCH = 0,
  // The losses that are not ignored, whatever they weigh: rows, of multi-label softmax those that have a
  // label; for the sigmoid loss elements.
  XENT_MEAN_OVER_NOT_IGNORED = 1,
  // All rows.
  XENT_MEAN_OVER_ALL_ROWS = 2,
  // The weights of the labels that are not ignored: class weight times sample weight; for the sigmoid loss
  // those of the elements. If they do not add up to more than zero, it is a mean over nothing.
  XENT_MEAN_OVER_WEIGHTS = 3,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum xent_mean_over xent_mean_over;
#else
typedef int32_t xent_mean_over;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// What becomes of a mean over nothing: every label is ignored, or all weights are zero.
enum xent_nothing_valid
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // A loss of zero and a gradient of zero.
  XENT_NOTHING_VALID_ZERO = 0,
  // NaN, as in PyTorch; also for a single row without a target. The gradient is NaN as well where weights
  // of zero are divided by, and zero where every label is ignored.
  XENT_NOTHING_VALID_NAN = 1,
  // XENT_STATUS_NOTHING_VALID; XENT_STATUS_EMPTY for a single row without a target.
  XENT_NOTHING_VALID_ERROR = 2,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum xent_nothing_valid xent_nothing_valid;
#else
typedef int32_t xent_nothing_valid;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// What is written to `hessian`: the diagonal of the Hessian of the loss by the logits, for the probability p of a
// class and the row's sample weight v. All are multiplied with what the gradient is: with a mean, that is one over
// the divisor. Boosting wants XENT_REDUCTION_SUM.
enum xent_hessian
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // v p (1 - p), the derivative of the gradient (scikit-learn); of a focal loss its own.
  XENT_HESSIAN_EXACT = 0,
  // XGBoost's: softmax max(2 v p (1 - p), 1e-16); sigmoid v max(p (1 - p), 1e-16).
  XENT_HESSIAN_XGBOOST = 1,
  // LightGBM's: softmax classes / (classes - 1) v p (1 - p); sigmoid v p (1 - p).
  XENT_HESSIAN_LIGHTGBM = 2,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum xent_hessian xent_hessian;
#else
typedef int32_t xent_hessian;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// A sigmoid (binary) cross-entropy of independent elements: what it is computed of, how, and where its results go.
// Make it with xent_sigmoid_loss_init_f32 or _f64, which leaves no targets, no results wanted, and the defaults
// below.
//
// The loss of a logit x of class c with the target y is -w[c] (q[c] y ln s(x) + (1 - y) ln s(-x)), where s is the
// logistic function, w the class weight and q the positive weight. The label smoothing e makes y
// (1 - e) y + e / 2.
//
// Losses are within 4 ULP, gradients within 5 (6 if their factor is no power of two).
typedef struct xent_sigmoid_loss_f32 {
  // The size of this structure, as it was given to the initialiser.
  size_t size;
  // How many rows there are; default 0.
  size_t rows;
  // How many elements a row has, each a class of its own: at least one. Where neither classes nor rows have
  // weights, one class and many rows are the same.
  size_t classes;
  // Where the class axis is not the last: the number of rows that lie side by side. Logits are rows / inner blocks
  // of classes x inner numbers, as those of images N x C x H x W, of which inner is H x W and rows N x H x W: row
  // n x inner + i is at position i of block n. Default 0, as 1: rows one after the other.
  size_t inner;
  // How many numbers there are from the start of a row (with inner: of a block) of the logits to the next; default
  // 0 for as many as it has, without a gap. What is in a gap is neither read nor written, but no other result may
  // be there.
  size_t logits_stride;
  // The same for the gradient. Where it replaces the logits, it has their stride.
  size_t gradient_stride;
  // rows x classes logits, row after row.
  const float *logits;
  // The logits of a call with _bf16 or _f16 at its end, as the bits of numbers of that format; then `logits` is NULL.
  // All other numbers are floats. NULL (default) for all other calls.
  const uint16_t *logits_16;
  // Targets: 0 or 1 for each of the rows x classes elements, which lie as the logits do, without gaps. Exactly one of
  // the kinds of targets is to be given.
  const int8_t *labels_i8;
  // Targets: the same, unsigned.
  const uint8_t *labels_u8;
  // Targets: the same, of 16 bits.
  const int16_t *labels_i16;
  // Targets: the same, of 16 bits, unsigned.
  const uint16_t *labels_u16;
  // Targets: the same, of 32 bits.
  const int32_t *labels_i32;
  // Targets: the same, of 32 bits, unsigned.
  const uint32_t *labels_u32;
  // Targets: the same, of 64 bits.
  const int64_t *labels_i64;
  // Targets: the same, of 64 bits, unsigned.
  const uint64_t *labels_u64;
  // Targets: rows x classes numbers from 0 to 1.
  const float *dense;
  // A weight for the elements of each class, finite and not below zero; NULL (default) for ones.
  const float *class_weights;
  // A weight for the positive part of the loss of each class, finite and not below zero; NULL (default) for ones.
  const float *positive_weights;
  // A weight for each row, which multiplies its losses and gradient; NULL (default) for ones. Any finite
  // number. Where it is zero, loss and gradient are zero, whatever the logits are.
  const float *sample_weights;
  // Result: the gradient of the reduced loss by the logits, rows x classes; NULL (default) if it is not wanted. It
  // may be where the logits are, which it then replaces. With logits_16 it is not rounded to their format.
  float *gradient;
  // Result: the same in the format of logits_16, instead of `gradient`. It may be where they are.
  uint16_t *gradient_16;
  // Result: the loss of each of the rows x classes elements, not reduced, as the logits lie without gaps; NULL
  // (default) if they are not wanted.
  float *losses;
  // Result: second derivatives, as the logits lie without gaps; NULL (default) if they are not wanted.
  float *hessian;
  // Result: how many rows have an element that is not ignored; NULL (default) if it is not wanted.
  size_t *valid_rows;
  // Result: how many elements are not ignored; NULL (default) if it is not wanted.
  size_t *valid_elements;
  // Result: how many rows have an element that is not ignored and whose loss is NaN or infinite (where the gradient
  // replaces the logits, NaN alone); NULL (default) if it is not wanted.
  size_t *not_finite_rows;
  // Result: the first of them, or the number of rows if there is none; NULL (default) if it is not wanted.
  size_t *first_not_finite;
  // Result: what the sum of the losses was divided by, which is 1 without a mean; NULL (default) if it is not wanted.
  // The mean of several batches is the sum of their losses, each times its denominator, over that of the
  // denominators.
  double *denominator;
  // The label smoothing, from 0 (default) to 1.
  double label_smoothing;
  // The focal loss's gamma, not below 0 (default): the loss of an element is multiplied with (1 - p)^gamma, p the
  // probability of what its target says.
  double focal_gamma;
  // What no second derivative is less than, if has_hessian_floor is not 0: those of a focal loss can be negative.
  double hessian_floor;
  // The focal loss's alpha, from 0 to 1, if has_focal_alpha is not 0: the loss of an element is multiplied with alpha
  // where the target is 1, and with 1 - alpha where it is 0.
  double focal_alpha;
  // What the gradient (not the loss) is multiplied with beside; default 1. With XENT_REDUCTION_SUM this is a
  // reduction of your own.
  double scale;
  // Elements with this label have no loss and a gradient of zero, if has_ignore_index is not 0. Labels only.
  int64_t ignore_index;
  // Whether there is a label to ignore: 0 (default) if there is none.
  int32_t has_ignore_index;
  // Whether there is an alpha of the focal loss: 0 (default) if there is none.
  int32_t has_focal_alpha;
  // An xent_reduction; default XENT_REDUCTION_MEAN.
  int32_t reduction;
  // An xent_mean_over; default XENT_MEAN_OVER_PYTORCH.
  int32_t mean_over;
  // An xent_nothing_valid; default XENT_NOTHING_VALID_ZERO.
  int32_t nothing_valid;
  // An xent_hessian: what `hessian` is; default XENT_HESSIAN_EXACT.
  int32_t hessian_convention;
  // Whether there is a hessian_floor: 0 (default) if there is none.
  int32_t has_hessian_floor;
} xent_sigmoid_loss_f32;

// A sigmoid (binary) cross-entropy of independent elements: what it is computed of, how, and where its results go.
// Make it with xent_sigmoid_loss_init_f32 or _f64, which leaves no targets, no results wanted, and the defaults
// below.
//
// The loss of a logit x of class c with the target y is -w[c] (q[c] y ln s(x) + (1 - y) ln s(-x)), where s is the
// logistic function, w the class weight and q the positive weight. The label smoothing e makes y
// (1 - e) y + e / 2.
//
// Losses are within 4 ULP, gradients within 5 (6 if their factor is no power of two).
typedef struct xent_sigmoid_loss_f64 {
  // The size of this structure, as it was given to the initialiser.
  size_t size;
  // How many rows there are; default 0.
  size_t rows;
  // How many elements a row has, each a class of its own: at least one. Where neither classes nor rows have
  // weights, one class and many rows are the same.
  size_t classes;
  // Where the class axis is not the last: the number of rows that lie side by side. Logits are rows / inner blocks
  // of classes x inner numbers, as those of images N x C x H x W, of which inner is H x W and rows N x H x W: row
  // n x inner + i is at position i of block n. Default 0, as 1: rows one after the other.
  size_t inner;
  // How many numbers there are from the start of a row (with inner: of a block) of the logits to the next; default
  // 0 for as many as it has, without a gap. What is in a gap is neither read nor written, but no other result may
  // be there.
  size_t logits_stride;
  // The same for the gradient. Where it replaces the logits, it has their stride.
  size_t gradient_stride;
  // rows x classes logits, row after row.
  const double *logits;
  // The logits of a call with _bf16 or _f16 at its end, as the bits of numbers of that format; then `logits` is NULL.
  // All other numbers are floats. NULL (default) for all other calls.
  const uint16_t *logits_16;
  // Targets: 0 or 1 for each of the rows x classes elements, which lie as the logits do, without gaps. Exactly one of
  // the kinds of targets is to be given.
  const int8_t *labels_i8;
  // Targets: the same, unsigned.
  const uint8_t *labels_u8;
  // Targets: the same, of 16 bits.
  const int16_t *labels_i16;
  // Targets: the same, of 16 bits, unsigned.
  const uint16_t *labels_u16;
  // Targets: the same, of 32 bits.
  const int32_t *labels_i32;
  // Targets: the same, of 32 bits, unsigned.
  const uint32_t *labels_u32;
  // Targets: the same, of 64 bits.
  const int64_t *labels_i64;
  // Targets: the same, of 64 bits, unsigned.
  const uint64_t *labels_u64;
  // Targets: rows x classes numbers from 0 to 1.
  const double *dense;
  // A weight for the elements of each class, finite and not below zero; NULL (default) for ones.
  const double *class_weights;
  // A weight for the positive part of the loss of each class, finite and not below zero; NULL (default) for ones.
  const double *positive_weights;
  // A weight for each row, which multiplies its losses and gradient; NULL (default) for ones. Any finite
  // number. Where it is zero, loss and gradient are zero, whatever the logits are.
  const double *sample_weights;
  // Result: the gradient of the reduced loss by the logits, rows x classes; NULL (default) if it is not wanted. It
  // may be where the logits are, which it then replaces. With logits_16 it is not rounded to their format.
  double *gradient;
  // Result: the same in the format of logits_16, instead of `gradient`. It may be where they are.
  uint16_t *gradient_16;
  // Result: the loss of each of the rows x classes elements, not reduced, as the logits lie without gaps; NULL
  // (default) if they are not wanted.
  double *losses;
  // Result: second derivatives, as the logits lie without gaps; NULL (default) if they are not wanted.
  double *hessian;
  // Result: how many rows have an element that is not ignored; NULL (default) if it is not wanted.
  size_t *valid_rows;
  // Result: how many elements are not ignored; NULL (default) if it is not wanted.
  size_t *valid_elements;
  // Result: how many rows have an element that is not ignored and whose loss is NaN or infinite (where the gradient
  // replaces the logits, NaN alone); NULL (default) if it is not wanted.
  size_t *not_finite_rows;
  // Result: the first of them, or the number of rows if there is none; NULL (default) if it is not wanted.
  size_t *first_not_finite;
  // Result: what the sum of the losses was divided by, which is 1 without a mean; NULL (default) if it is not wanted.
  // The mean of several batches is the sum of their losses, each times its denominator, over that of the
  // denominators.
  double *denominator;
  // The label smoothing, from 0 (default) to 1.
  double label_smoothing;
  // The focal loss's gamma, not below 0 (default): the loss of an element is multiplied with (1 - p)^gamma, p the
  // probability of what its target says.
  double focal_gamma;
  // What no second derivative is less than, if has_hessian_floor is not 0: those of a focal loss can be negative.
  double hessian_floor;
  // The focal loss's alpha, from 0 to 1, if has_focal_alpha is not 0: the loss of an element is multiplied with alpha
  // where the target is 1, and with 1 - alpha where it is 0.
  double focal_alpha;
  // What the gradient (not the loss) is multiplied with beside; default 1. With XENT_REDUCTION_SUM this is a
  // reduction of your own.
  double scale;
  // Elements with this label have no loss and a gradient of zero, if has_ignore_index is not 0. Labels only.
  int64_t ignore_index;
  // Whether there is a label to ignore: 0 (default) if there is none.
  int32_t has_ignore_index;
  // Whether there is an alpha of the focal loss: 0 (default) if there is none.
  int32_t has_focal_alpha;
  // An xent_reduction; default XENT_REDUCTION_MEAN.
  int32_t reduction;
  // An xent_mean_over; default XENT_MEAN_OVER_PYTORCH.
  int32_t mean_over;
  // An xent_nothing_valid; default XENT_NOTHING_VALID_ZERO.
  int32_t nothing_valid;
  // An xent_hessian: what `hessian` is; default XENT_HESSIAN_EXACT.
  int32_t hessian_convention;
  // Whether there is a hessian_floor: 0 (default) if there is none.
  int32_t has_hessian_floor;
} xent_sigmoid_loss_f64;

// A softmax cross-entropy: what it is computed of, how, and where its results go. Make it with
// xent_softmax_loss_init_f32 or _f64, which leaves no targets, no results wanted, and the defaults below.
//
// The loss of a row of logits x with the class y is -ln softmax(x)[y]; with weights t for the classes it is the
// sum of -t[c] ln softmax(x)[c]. Class weights w and the label smoothing e make it the sum of
// -w[c] ((1 - e) t[c] + e / classes) ln softmax(x)[c].
//
// Losses and gradients are within 4 ULP (5 for a gradient whose factor is no power of two), plus one for each unit
// of distance between a logit and its row's maximum.
typedef struct xent_softmax_loss_f32 {
  // The size of this structure, as it was given to the initialiser.
  size_t size;
  // How many rows there are, each with a loss of its own; default 0.
  size_t rows;
  // How many classes (logits of a row) there are: at least one.
  size_t classes;
  // Where the class axis is not the last: the number of rows that lie side by side. Logits are rows / inner blocks
  // of classes x inner numbers, as those of images N x C x H x W, of which inner is H x W and rows N x H x W: row
  // n x inner + i is at position i of block n. Default 0, as 1: rows one after the other.
  size_t inner;
  // How many numbers there are from the start of a row (with inner: of a block) of the logits to the next; default
  // 0 for as many as it has, without a gap. What is in a gap is neither read nor written, but no other result may
  // be there.
  size_t logits_stride;
  // The same for the gradient. Where it replaces the logits, it has their stride.
  size_t gradient_stride;
  // rows x classes logits, row after row. A logit of minus infinity is a class that is absent.
  const float *logits;
  // The logits of a call with _bf16 or _f16 at its end, as the bits of numbers of that format; then `logits` is NULL.
  // All other numbers are floats. NULL (default) for all other calls.
  const uint16_t *logits_16;
  // Targets: the class of each row. Exactly one of the kinds of targets is to be given.
  const int8_t *labels_i8;
  // Targets: the same, unsigned.
  const uint8_t *labels_u8;
  // Targets: the same, of 16 bits.
  const int16_t *labels_i16;
  // Targets: the same, of 16 bits, unsigned.
  const uint16_t *labels_u16;
  // Targets: the same, of 32 bits.
  const int32_t *labels_i32;
  // Targets: the same, of 32 bits, unsigned.
  const uint32_t *labels_u32;
  // Targets: the same, of 64 bits.
  const int64_t *labels_i64;
  // Targets: the same, of 64 bits, unsigned.
  const uint64_t *labels_u64;
  // Targets: rows x classes weights, none below zero; those of a row need not sum to one. They lie as the logits do,
  // without gaps.
  const float *dense;
  // Targets: rows x classes labels, zero or positive: multi-label softmax, where those of a row are divided by M,
  // the number of those that are not zero. A row without any has no target: see nothing_valid.
  const float *multi_label;
  // A weight for each class, finite and not below zero; NULL (default) for ones.
  const float *class_weights;
  // A weight for each row, which multiplies its loss and gradient; NULL (default) for ones. Any finite
  // number. Where it is zero, loss and gradient are zero, whatever the logits are.
  const float *sample_weights;
  // Result: the gradient of the reduced loss by the logits, rows x classes; NULL (default) if it is not wanted. It
  // may be where the logits are, which it then replaces. With logits_16 it is not rounded to their format.
  float *gradient;
  // Result: the same in the format of logits_16, instead of `gradient`. It may be where they are.
  uint16_t *gradient_16;
  // Result: the loss of each row, not reduced; NULL (default) if they are not wanted.
  float *losses;
  // Result: the logarithm of the sum of e^x over each row; NULL (default) if it is not wanted.
  float *log_sum_exp;
  // Result: the class of the largest logit of each row, the first of equals, or of the first NaN; NULL (default) if it
  // is not wanted.
  uint32_t *predicted;
  // Result: second derivatives, rows x classes, as the logits lie without gaps; NULL (default) if they are not wanted.
  float *hessian;
  // Result: how many rows that are not ignored are predicted right; NULL (default) if it is not wanted. It needs
  // labels and `predicted`.
  size_t *correct;
  // Result: how many rows are not ignored and have a target; NULL (default) if it is not wanted.
  size_t *valid_rows;
  // Result: how many rows that are not ignored have a logit that is NaN or plus infinity, or no finite one; NULL
  // (default) if it is not wanted.
  size_t *not_finite_rows;
  // Result: the first of them, or the number of rows if there is none; NULL (default) if it is not wanted.
  size_t *first_not_finite;
  // Result: what the sum of the losses was divided by, which is 1 without a mean; NULL (default) if it is not wanted.
  // The mean of several batches is the sum of their losses, each times its denominator, over that of the
  // denominators.
  double *denominator;
  // The label smoothing, from 0 (default) to 1.
  double label_smoothing;
  // The focal loss's gamma, not below 0 (default): the loss of a row becomes -(1 - p)^gamma ln p, p the probability of
  // its label. Labels without smoothing only. (Its alpha is a weight for each class: class_weights.)
  double focal_gamma;
  // What no second derivative is less than, if has_hessian_floor is not 0: those of a focal loss can be negative.
  double hessian_floor;
  // What the gradient (not the loss) is multiplied with beside; default 1. With XENT_REDUCTION_SUM this is a
  // reduction of your own.
  double scale;
  // Rows with this label have no loss and a gradient of zero, if has_ignore_index is not 0. Labels only.
  int64_t ignore_index;
  // Whether there is a label to ignore: 0 (default) if there is none.
  int32_t has_ignore_index;
  // An xent_reduction; default XENT_REDUCTION_MEAN.
  int32_t reduction;
  // An xent_mean_over; default XENT_MEAN_OVER_PYTORCH.
  int32_t mean_over;
  // An xent_nothing_valid; default XENT_NOTHING_VALID_ZERO.
  int32_t nothing_valid;
  // An xent_hessian: what `hessian` is; default XENT_HESSIAN_EXACT.
  int32_t hessian_convention;
  // Whether there is a hessian_floor: 0 (default) if there is none.
  int32_t has_hessian_floor;
} xent_softmax_loss_f32;

// A softmax cross-entropy: what it is computed of, how, and where its results go. Make it with
// xent_softmax_loss_init_f32 or _f64, which leaves no targets, no results wanted, and the defaults below.
//
// The loss of a row of logits x with the class y is -ln softmax(x)[y]; with weights t for the classes it is the
// sum of -t[c] ln softmax(x)[c]. Class weights w and the label smoothing e make it the sum of
// -w[c] ((1 - e) t[c] + e / classes) ln softmax(x)[c].
//
// Losses and gradients are within 4 ULP (5 for a gradient whose factor is no power of two), plus one for each unit
// of distance between a logit and its row's maximum.
typedef struct xent_softmax_loss_f64 {
  // The size of this structure, as it was given to the initialiser.
  size_t size;
  // How many rows there are, each with a loss of its own; default 0.
  size_t rows;
  // How many classes (logits of a row) there are: at least one.
  size_t classes;
  // Where the class axis is not the last: the number of rows that lie side by side. Logits are rows / inner blocks
  // of classes x inner numbers, as those of images N x C x H x W, of which inner is H x W and rows N x H x W: row
  // n x inner + i is at position i of block n. Default 0, as 1: rows one after the other.
  size_t inner;
  // How many numbers there are from the start of a row (with inner: of a block) of the logits to the next; default
  // 0 for as many as it has, without a gap. What is in a gap is neither read nor written, but no other result may
  // be there.
  size_t logits_stride;
  // The same for the gradient. Where it replaces the logits, it has their stride.
  size_t gradient_stride;
  // rows x classes logits, row after row. A logit of minus infinity is a class that is absent.
  const double *logits;
  // The logits of a call with _bf16 or _f16 at its end, as the bits of numbers of that format; then `logits` is NULL.
  // All other numbers are floats. NULL (default) for all other calls.
  const uint16_t *logits_16;
  // Targets: the class of each row. Exactly one of the kinds of targets is to be given.
  const int8_t *labels_i8;
  // Targets: the same, unsigned.
  const uint8_t *labels_u8;
  // Targets: the same, of 16 bits.
  const int16_t *labels_i16;
  // Targets: the same, of 16 bits, unsigned.
  const uint16_t *labels_u16;
  // Targets: the same, of 32 bits.
  const int32_t *labels_i32;
  // Targets: the same, of 32 bits, unsigned.
  const uint32_t *labels_u32;
  // Targets: the same, of 64 bits.
  const int64_t *labels_i64;
  // Targets: the same, of 64 bits, unsigned.
  const uint64_t *labels_u64;
  // Targets: rows x classes weights, none below zero; those of a row need not sum to one. They lie as the logits do,
  // without gaps.
  const double *dense;
  // Targets: rows x classes labels, zero or positive: multi-label softmax, where those of a row are divided by M,
  // the number of those that are not zero. A row without any has no target: see nothing_valid.
  const double *multi_label;
  // A weight for each class, finite and not below zero; NULL (default) for ones.
  const double *class_weights;
  // A weight for each row, which multiplies its loss and gradient; NULL (default) for ones. Any finite
  // number. Where it is zero, loss and gradient are zero, whatever the logits are.
  const double *sample_weights;
  // Result: the gradient of the reduced loss by the logits, rows x classes; NULL (default) if it is not wanted. It
  // may be where the logits are, which it then replaces. With logits_16 it is not rounded to their format.
  double *gradient;
  // Result: the same in the format of logits_16, instead of `gradient`. It may be where they are.
  uint16_t *gradient_16;
  // Result: the loss of each row, not reduced; NULL (default) if they are not wanted.
  double *losses;
  // Result: the logarithm of the sum of e^x over each row; NULL (default) if it is not wanted.
  double *log_sum_exp;
  // Result: the class of the largest logit of each row, the first of equals, or of the first NaN; NULL (default) if it
  // is not wanted.
  uint32_t *predicted;
  // Result: second derivatives, rows x classes, as the logits lie without gaps; NULL (default) if they are not wanted.
  double *hessian;
  // Result: how many rows that are not ignored are predicted right; NULL (default) if it is not wanted. It needs
  // labels and `predicted`.
  size_t *correct;
  // Result: how many rows are not ignored and have a target; NULL (default) if it is not wanted.
  size_t *valid_rows;
  // Result: how many rows that are not ignored have a logit that is NaN or plus infinity, or no finite one; NULL
  // (default) if it is not wanted.
  size_t *not_finite_rows;
  // Result: the first of them, or the number of rows if there is none; NULL (default) if it is not wanted.
  size_t *first_not_finite;
  // Result: what the sum of the losses was divided by, which is 1 without a mean; NULL (default) if it is not wanted.
  // The mean of several batches is the sum of their losses, each times its denominator, over that of the
  // denominators.
  double *denominator;
  // The label smoothing, from 0 (default) to 1.
  double label_smoothing;
  // The focal loss's gamma, not below 0 (default): the loss of a row becomes -(1 - p)^gamma ln p, p the probability of
  // its label. Labels without smoothing only. (Its alpha is a weight for each class: class_weights.)
  double focal_gamma;
  // What no second derivative is less than, if has_hessian_floor is not 0: those of a focal loss can be negative.
  double hessian_floor;
  // What the gradient (not the loss) is multiplied with beside; default 1. With XENT_REDUCTION_SUM this is a
  // reduction of your own.
  double scale;
  // Rows with this label have no loss and a gradient of zero, if has_ignore_index is not 0. Labels only.
  int64_t ignore_index;
  // Whether there is a label to ignore: 0 (default) if there is none.
  int32_t has_ignore_index;
  // An xent_reduction; default XENT_REDUCTION_MEAN.
  int32_t reduction;
  // An xent_mean_over; default XENT_MEAN_OVER_PYTORCH.
  int32_t mean_over;
  // An xent_nothing_valid; default XENT_NOTHING_VALID_ZERO.
  int32_t nothing_valid;
  // An xent_hessian: what `hessian` is; default XENT_HESSIAN_EXACT.
  int32_t hessian_convention;
  // Whether there is a hessian_floor: 0 (default) if there is none.
  int32_t has_hessian_floor;
} xent_softmax_loss_f64;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

// Rust's `core` is compiled so that it can unwind, and refers to this, unless the linker leaves out what is not called.
// Nothing here unwinds.
void rust_eh_personality(void);

// The version of the library: "0.1.0".
const char *xent_version(void);

// Uses the instructions of the level of that name ("portable", "avx2", "avx512", ...) from now on, in all
// threads; the best level of the machine with NULL, as without a call.
//
// Returns XENT_STATUS_LEVEL, and changes nothing, if this machine has no such level.
xent_status xent_choose_level(const char *name);

// Writes the name of the level in use, as snprintf would: cut to size - 1 characters, and NUL behind them.
// Returns the length of the name, so that `name` may be NULL where size is 0.
size_t xent_level_name(char *name,
                       size_t size);

// Writes the name of a level of this machine, as xent_level_name does; the plainest has the index 0. Returns 0,
// and writes nothing, if there are no more.
size_t xent_available_level(size_t index,
                            char *name,
                            size_t size);

// Whether the level in use rounds a multiplication and the addition after it once. All levels that do return the
// same bits as each other, on every machine; so do all that do not.
bool xent_level_has_fma(void);

// The softmax cross-entropy of one row of at most 32 logits with the class `label`: *loss, and in `gradient` its
// gradient by the logits.
//
// For devices with little memory: a program that calls no other loss is smaller by a megabyte. Results are those
// of a structure with one row at the level "portable", whatever level was chosen. Nothing may overlap.
xent_status xent_softmax_row_f32(const float *logits,
                                 size_t classes,
                                 size_t label,
                                 float *loss,
                                 float *gradient);

// As xent_softmax_row_f32.
xent_status xent_softmax_row_f64(const double *logits,
                                 size_t classes,
                                 size_t label,
                                 double *loss,
                                 double *gradient);

// Writes the defaults; `size` is sizeof *loss, by which the library knows the version of the header.
xent_status xent_sigmoid_loss_init_f32(struct xent_sigmoid_loss_f32 *loss,
                                       size_t size);

// As xent_sigmoid_loss_init_f32.
xent_status xent_sigmoid_loss_init_f64(struct xent_sigmoid_loss_f64 *loss, size_t size);

// Computes a sigmoid loss, its gradient and whatever else is wanted.
//
// The reduced loss is written to `value`, which may be NULL, and has to be with XENT_REDUCTION_NONE. If a label is
// what is wrong, its row is written to `place`, which may be NULL. All is checked before anything else is
// written.
xent_status xent_sigmoid_loss_run_f32(const struct xent_sigmoid_loss_f32 *loss,
                                      double *value,
                                      size_t *place);

// As xent_sigmoid_loss_run_f32.
xent_status xent_sigmoid_loss_run_f64(const struct xent_sigmoid_loss_f64 *loss,
                                      double *value,
                                      size_t *place);

// As xent_sigmoid_loss_run_f32, with the logits logits_16 of bfloat16 (the upper half of a float). All is computed in
// float; the gradient is rounded once, or not at all where it is in `gradient`.
xent_status xent_sigmoid_loss_run_bf16(const struct xent_sigmoid_loss_f32 *loss,
                                       double *value,
                                       size_t *place);

// As xent_sigmoid_loss_run_bf16, with the logits logits_16 of IEEE binary16 (_Float16).
xent_status xent_sigmoid_loss_run_f16(const struct xent_sigmoid_loss_f32 *loss,
                                      double *value,
                                      size_t *place);

// out[i] = e^x[i] for `count` numbers, within 1 ULP with fused multiply-add and 1.2 without.
//
// `out` may not overlap `x`.
xent_status xent_exp_f32(const float *x, size_t count, float *out);

// As xent_exp_f32.
xent_status xent_exp_f64(const double *x, size_t count, double *out);

// out[i] = e^x[i] / sum of e^x[j]: the softmax of one row of `count` numbers.
//
// `out` may not overlap `x`. A row with NaN, or with two infinities, is NaN.
xent_status xent_softmax_f32(const float *x, size_t count, float *out);

// As xent_softmax_f32.
xent_status xent_softmax_f64(const double *x, size_t count, double *out);

// out[i] = x[i] - ln of the sum of e^x[j]: the logarithm of the softmax of one row of `count` numbers.
//
// `out` may not overlap `x`.
xent_status xent_log_softmax_f32(const float *x,
                                 size_t count,
                                 float *out);

// As xent_log_softmax_f32.
xent_status xent_log_softmax_f64(const double *x, size_t count, double *out);

// *out = ln of the sum of e^x[i] over `count` numbers, without overflow; minus infinity if there are none.
xent_status xent_log_sum_exp_f32(const float *x,
                                 size_t count,
                                 float *out);

// As xent_log_sum_exp_f32.
xent_status xent_log_sum_exp_f64(const double *x, size_t count, double *out);

// Writes the defaults; `size` is sizeof *loss, by which the library knows the version of the header.
xent_status xent_softmax_loss_init_f32(struct xent_softmax_loss_f32 *loss,
                                       size_t size);

// As xent_softmax_loss_init_f32.
xent_status xent_softmax_loss_init_f64(struct xent_softmax_loss_f64 *loss, size_t size);

// Computes a softmax loss, its gradient and whatever else is wanted.
//
// The reduced loss is written to `value`, which may be NULL, and has to be with XENT_REDUCTION_NONE. If a row is
// what is wrong, its number is written to `place`, which may be NULL. All is checked before anything else is
// written.
xent_status xent_softmax_loss_run_f32(const struct xent_softmax_loss_f32 *loss,
                                      double *value,
                                      size_t *place);

// As xent_softmax_loss_run_f32.
xent_status xent_softmax_loss_run_f64(const struct xent_softmax_loss_f64 *loss,
                                      double *value,
                                      size_t *place);

// As xent_softmax_loss_run_f32, with the logits logits_16 of bfloat16 (the upper half of a float). All is computed in
// float; the gradient is rounded once, or not at all where it is in `gradient`.
xent_status xent_softmax_loss_run_bf16(const struct xent_softmax_loss_f32 *loss,
                                       double *value,
                                       size_t *place);

// As xent_softmax_loss_run_bf16, with the logits logits_16 of IEEE binary16 (_Float16).
xent_status xent_softmax_loss_run_f16(const struct xent_softmax_loss_f32 *loss,
                                      double *value,
                                      size_t *place);

// What a status means, as a sentence that is never freed; also for numbers that are no status.
const char *xent_error_message(int32_t status);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* XENT_H */
