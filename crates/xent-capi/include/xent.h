/*
 * xent: fused cross-entropy losses with their gradients.
 *
 * cbindgen generates this file from crates/xent-capi/src: change the sources, not this file.
 *
 * A call checks its arguments before it writes anything, does not allocate, and keeps nothing. Any number of threads
 * may call at the same time, as long as none writes what another one reads. Results have the same bits on every
 * machine whose level has fused multiply-add; all other machines share other bits.
 *
 * Every pointer that is not NULL must point to the stated number of values, initialised if they are read. Results may
 * not overlap anything else (XENT_STATUS_OVERLAP), except that the gradient of a loss may replace the logits: then
 * both pointers are equal.
 */

#ifndef XENT_H
#define XENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// The result of a call. Unless it is XENT_STATUS_OK, nothing was written (after XENT_STATUS_INTERNAL: nothing
// useful).
enum xent_status
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // Success: zero.
  XENT_STATUS_OK = 0,
  // A required pointer is NULL.
  XENT_STATUS_NULL = 1,
  // A pointer is not a multiple of its type's alignment.
  XENT_STATUS_ALIGNMENT = 2,
  // The size of the structure is unknown: it was not initialised, or it has options that this version of the
  // library does not know.
  XENT_STATUS_SIZE = 3,
  // A row needs at least one class, and for xent_softmax_row at most 32.
  XENT_STATUS_CLASSES = 4,
  // Rows times classes are more than memory can hold.
  XENT_STATUS_TOO_LARGE = 5,
  // A result overlaps something else: only the gradient may be in the place of the logits.
  XENT_STATUS_OVERLAP = 6,
  // Not exactly one kind of targets was given.
  XENT_STATUS_TARGETS = 7,
  // A label is not the number of a class (for the sigmoid loss: not 0 or 1); `place` is its row (for the sigmoid
  // loss: its element).
  XENT_STATUS_LABEL = 8,
  // The row `place` has no target, and nothing_valid makes this an error.
  XENT_STATUS_EMPTY = 9,
  // A mean over nothing, and nothing_valid makes this an error.
  XENT_STATUS_NOTHING_VALID = 10,
  // The class weight of the class `place` is negative or not finite.
  XENT_STATUS_CLASS_WEIGHTS = 11,
  // The positive weight of the class `place` is negative or not finite.
  XENT_STATUS_POSITIVE_WEIGHTS = 12,
  // The label smoothing is not from 0 to 1.
  XENT_STATUS_LABEL_SMOOTHING = 13,
  // Only targets that are integers can be ignored.
  XENT_STATUS_IGNORE_INDEX = 14,
  // reduction, mean_over or nothing_valid is not a value of its enumeration.
  XENT_STATUS_CHOICE = 15,
  // A single loss was asked for, but XENT_REDUCTION_NONE gives many.
  XENT_STATUS_NOT_REDUCED = 16,
  // This machine has no level of that name.
  XENT_STATUS_LEVEL = 17,
  // A defect of xent.
  XENT_STATUS_INTERNAL = 18,
  // The number of rows is not a multiple of inner.
  XENT_STATUS_INNER = 19,
  // A stride is shorter than a row (with inner: than a block), or a gradient in place has another stride than
  // the logits.
  XENT_STATUS_STRIDE = 20,
  // Pointers of the wrong format: logits_16 and gradient_16 are for the functions ending in _bf16 or _f16, and
  // logits_integers is for those ending in _i8, _u8 or _i16, which take no `logits`; and only one gradient may be
  // given.
  XENT_STATUS_FORMAT = 21,
  // The focal loss's gamma is negative or not finite, its alpha is not from 0 to 1, or these targets or options
  // exclude a focal loss.
  XENT_STATUS_FOCAL = 22,
  // This loss has no second derivatives in that convention, or their floor is not finite.
  XENT_STATUS_HESSIAN = 23,
  // The number of rows predicted right needs labels and `predicted`.
  XENT_STATUS_CORRECT = 24,
  // A target of the sigmoid loss, dense[place], is not from 0 to 1.
  XENT_STATUS_UNIT_TARGETS = 25,
  // A target of a softmax loss, dense[place] or multi_label[place], is negative or not finite.
  XENT_STATUS_SOFTMAX_TARGETS = 26,
  // The sample weight of the row `place` is not finite.
  XENT_STATUS_SAMPLE_WEIGHTS = 27,
  // The scale of the logits that are integers is not positive and at most 5e33, or their zero point is not one of
  // these integers.
  XENT_STATUS_QUANTISATION = 28,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum xent_status xent_status;
#else
typedef int32_t xent_status;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// How the losses are reduced to one value, which the gradient belongs to.
enum xent_reduction
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // The sum divided by the divisor that mean_over chooses.
  XENT_REDUCTION_MEAN = 0,
  // The sum of all losses.
  XENT_REDUCTION_SUM = 1,
  // No reduction: every row (for the sigmoid loss: every element) has the gradient of its own loss.
  XENT_REDUCTION_NONE = 2,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum xent_reduction xent_reduction;
#else
typedef int32_t xent_reduction;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// What a mean divides the sum of all losses by. Sample weights count only in XENT_MEAN_OVER_WEIGHTS: in all others
// a row of weight zero is still a row.
enum xent_mean_over
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // PyTorch's rule for the loss. Softmax with labels: the sum of the class weights of the labels not ignored
  // (without class weights: their number). Softmax with other targets: all rows. Sigmoid: the elements that are
  // not ignored.
  XENT_MEAN_OVER_PYTORCH = 0,
  // The number of losses that are not ignored, whatever their weight. Softmax: rows (multi-label softmax: rows
  // with a label). Sigmoid: elements.
  XENT_MEAN_OVER_NOT_IGNORED = 1,
  // All rows.
  XENT_MEAN_OVER_ALL_ROWS = 2,
  // The sum of class weight times sample weight over the labels (for the sigmoid loss: elements) that are not
  // ignored. If it is not positive, it is a mean over nothing.
  XENT_MEAN_OVER_WEIGHTS = 3,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum xent_mean_over xent_mean_over;
#else
typedef int32_t xent_mean_over;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// The result of a mean over nothing, when every label is ignored or the weights sum to zero.
enum xent_nothing_valid
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // A loss of zero and a gradient of zero.
  XENT_NOTHING_VALID_ZERO = 0,
  // NaN, as in PyTorch; also for a single row without a target. The gradient is NaN, too, if the divisor is a
  // sum of zero weights, but zero if every label is ignored.
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

// The convention for `hessian`, the diagonal of the Hessian of the loss by the logits, where p is the probability
// of a class and v the row's sample weight. All conventions are multiplied by the same factor as the gradient:
// with a mean, one over the divisor. For boosting use XENT_REDUCTION_SUM.
enum xent_hessian
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // v p (1 - p), the derivative of the gradient (scikit-learn); for a focal loss its own second derivative.
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

// The inputs, options and results of a sigmoid (binary) cross-entropy of independent elements. Initialise it with
// xent_sigmoid_loss_init_f32 or _f64, which sets the defaults below, no targets and no results.
//
// The loss of a logit x of class c with the target y is -w[c] (q[c] y ln s(x) + (1 - y) ln s(-x)), where s is the
// logistic function, w the class weight and q the positive weight. The label smoothing e makes y
// (1 - e) y + e / 2.
//
// Losses are within 4 ULP, gradients within 5 (6 if they are scaled by a factor that is not a power of two).
typedef struct xent_sigmoid_loss_f32 {
  // The size of this structure, as passed to the initialiser.
  size_t size;
  // The number of rows; default 0.
  size_t rows;
  // The number of elements of a row, each a class of its own: at least one. If neither classes nor rows have
  // weights, one class and many rows give the same result.
  size_t classes;
  // Set this if the class axis is not the last: the number of rows side by side. Logits are then rows / inner
  // blocks of classes x inner numbers. For images N x C x H x W, inner is H x W and rows is N x H x W; row n x
  // inner + i is at position i of block n. Default 0, which means 1: rows one after the other.
  size_t inner;
  // The distance from the start of a row (with inner: of a block) of the logits to the start of the next, in
  // numbers; default 0 for no gap. Gaps are neither read nor written, but no other result may be placed there.
  size_t logits_stride;
  // The same for the gradient. If the gradient replaces the logits, it uses their stride.
  size_t gradient_stride;
  // rows x classes logits, row after row.
  const float *logits;
  // The logits for the functions ending in _bf16 or _f16, as the bits of numbers of that format; `logits` is
  // NULL then. All other numbers are floats. NULL (default) for all other functions.
  const uint16_t *logits_16;
  // Targets: 0 or 1 for each of the rows x classes elements, in the order of the logits, without gaps. Give
  // exactly one kind of targets.
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
  // A weight for the elements of each class, finite and not negative; NULL (default) for ones.
  const float *class_weights;
  // A weight for the positive part of the loss of each class, finite and not negative; NULL (default) for ones.
  const float *positive_weights;
  // A factor for the losses and the gradient of each row; NULL (default) for ones. Any finite number. If it is
  // zero, loss and gradient are zero, whatever the logits are.
  const float *sample_weights;
  // Result: the gradient of the reduced loss by the logits, rows x classes; NULL (default) if it is not wanted.
  // It may point to the logits and then replaces them. With logits_16 it is not rounded to their format.
  float *gradient;
  // Result: the gradient in the format of logits_16, instead of `gradient`. It may point to logits_16.
  uint16_t *gradient_16;
  // Result: the loss of each of the rows x classes elements, not reduced, in the order of the logits without
  // gaps; NULL (default) if it is not wanted.
  float *losses;
  // Result: second derivatives, in the order of the logits without gaps; NULL (default) if they are not wanted.
  float *hessian;
  // Result: the number of rows with an element that is not ignored; NULL (default) if it is not wanted.
  size_t *valid_rows;
  // Result: the number of elements that are not ignored; NULL (default) if it is not wanted.
  size_t *valid_elements;
  // Result: the number of rows with an element that is not ignored and whose loss is NaN or infinite (if the
  // gradient replaces the logits, only NaN); NULL (default) if it is not wanted.
  size_t *not_finite_rows;
  // Result: the first of these rows, or the number of rows if there is none; NULL (default) if it is not wanted.
  size_t *first_not_finite;
  // Result: the divisor of the sum of the losses, 1 without a mean; NULL (default) if it is not wanted. The mean
  // over several batches is the sum of loss times denominator, divided by the sum of the denominators.
  double *denominator;
  // The label smoothing, from 0 (default) to 1.
  double label_smoothing;
  // The focal loss's gamma, at least 0 (default): the loss of an element is multiplied by (1 - p)^gamma, where p
  // is the probability of its target.
  double focal_gamma;
  // The smallest second derivative to write, if has_hessian_floor is not 0: those of a focal loss can be
  // negative.
  double hessian_floor;
  // The focal loss's alpha, from 0 to 1, if has_focal_alpha is not 0: the loss of an element is multiplied by
  // alpha if the target is 1, and by 1 - alpha if it is 0.
  double focal_alpha;
  // An extra factor of the gradient (not of the loss); default 1. With XENT_REDUCTION_SUM you can implement your
  // own reduction with it.
  double scale;
  // Elements with this label have a loss and a gradient of zero, if has_ignore_index is not 0.
  // Labels only.
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
  // An xent_hessian, the convention of `hessian`; default XENT_HESSIAN_EXACT.
  int32_t hessian_convention;
  // Whether there is a hessian_floor: 0 (default) if there is none.
  int32_t has_hessian_floor;
} xent_sigmoid_loss_f32;

// The inputs, options and results of a sigmoid (binary) cross-entropy of independent elements. Initialise it with
// xent_sigmoid_loss_init_f32 or _f64, which sets the defaults below, no targets and no results.
//
// The loss of a logit x of class c with the target y is -w[c] (q[c] y ln s(x) + (1 - y) ln s(-x)), where s is the
// logistic function, w the class weight and q the positive weight. The label smoothing e makes y
// (1 - e) y + e / 2.
//
// Losses are within 4 ULP, gradients within 5 (6 if they are scaled by a factor that is not a power of two).
typedef struct xent_sigmoid_loss_f64 {
  // The size of this structure, as passed to the initialiser.
  size_t size;
  // The number of rows; default 0.
  size_t rows;
  // The number of elements of a row, each a class of its own: at least one. If neither classes nor rows have
  // weights, one class and many rows give the same result.
  size_t classes;
  // Set this if the class axis is not the last: the number of rows side by side. Logits are then rows / inner
  // blocks of classes x inner numbers. For images N x C x H x W, inner is H x W and rows is N x H x W; row n x
  // inner + i is at position i of block n. Default 0, which means 1: rows one after the other.
  size_t inner;
  // The distance from the start of a row (with inner: of a block) of the logits to the start of the next, in
  // numbers; default 0 for no gap. Gaps are neither read nor written, but no other result may be placed there.
  size_t logits_stride;
  // The same for the gradient. If the gradient replaces the logits, it uses their stride.
  size_t gradient_stride;
  // rows x classes logits, row after row.
  const double *logits;
  // The logits for the functions ending in _bf16 or _f16, as the bits of numbers of that format; `logits` is
  // NULL then. All other numbers are floats. NULL (default) for all other functions.
  const uint16_t *logits_16;
  // Targets: 0 or 1 for each of the rows x classes elements, in the order of the logits, without gaps. Give
  // exactly one kind of targets.
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
  // A weight for the elements of each class, finite and not negative; NULL (default) for ones.
  const double *class_weights;
  // A weight for the positive part of the loss of each class, finite and not negative; NULL (default) for ones.
  const double *positive_weights;
  // A factor for the losses and the gradient of each row; NULL (default) for ones. Any finite number. If it is
  // zero, loss and gradient are zero, whatever the logits are.
  const double *sample_weights;
  // Result: the gradient of the reduced loss by the logits, rows x classes; NULL (default) if it is not wanted.
  // It may point to the logits and then replaces them. With logits_16 it is not rounded to their format.
  double *gradient;
  // Result: the gradient in the format of logits_16, instead of `gradient`. It may point to logits_16.
  uint16_t *gradient_16;
  // Result: the loss of each of the rows x classes elements, not reduced, in the order of the logits without
  // gaps; NULL (default) if it is not wanted.
  double *losses;
  // Result: second derivatives, in the order of the logits without gaps; NULL (default) if they are not wanted.
  double *hessian;
  // Result: the number of rows with an element that is not ignored; NULL (default) if it is not wanted.
  size_t *valid_rows;
  // Result: the number of elements that are not ignored; NULL (default) if it is not wanted.
  size_t *valid_elements;
  // Result: the number of rows with an element that is not ignored and whose loss is NaN or infinite (if the
  // gradient replaces the logits, only NaN); NULL (default) if it is not wanted.
  size_t *not_finite_rows;
  // Result: the first of these rows, or the number of rows if there is none; NULL (default) if it is not wanted.
  size_t *first_not_finite;
  // Result: the divisor of the sum of the losses, 1 without a mean; NULL (default) if it is not wanted. The mean
  // over several batches is the sum of loss times denominator, divided by the sum of the denominators.
  double *denominator;
  // The label smoothing, from 0 (default) to 1.
  double label_smoothing;
  // The focal loss's gamma, at least 0 (default): the loss of an element is multiplied by (1 - p)^gamma, where p
  // is the probability of its target.
  double focal_gamma;
  // The smallest second derivative to write, if has_hessian_floor is not 0: those of a focal loss can be
  // negative.
  double hessian_floor;
  // The focal loss's alpha, from 0 to 1, if has_focal_alpha is not 0: the loss of an element is multiplied by
  // alpha if the target is 1, and by 1 - alpha if it is 0.
  double focal_alpha;
  // An extra factor of the gradient (not of the loss); default 1. With XENT_REDUCTION_SUM you can implement your
  // own reduction with it.
  double scale;
  // Elements with this label have a loss and a gradient of zero, if has_ignore_index is not 0.
  // Labels only.
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
  // An xent_hessian, the convention of `hessian`; default XENT_HESSIAN_EXACT.
  int32_t hessian_convention;
  // Whether there is a hessian_floor: 0 (default) if there is none.
  int32_t has_hessian_floor;
} xent_sigmoid_loss_f64;

// The inputs, options and results of a softmax cross-entropy. Initialise it with xent_softmax_loss_init_f32 or
// _f64, which sets the defaults below, no targets and no results.
//
// The loss of a row of logits x with the class y is -ln softmax(x)[y]; with weights t for the classes it is the
// sum of -t[c] ln softmax(x)[c]. Class weights w and the label smoothing e make it the sum of
// -w[c] ((1 - e) t[c] + e / classes) ln softmax(x)[c].
//
// Losses and gradients are within 4 ULP (5 for a gradient scaled by a factor that is not a power of two), plus one
// for each unit of distance between a logit and its row's maximum.
typedef struct xent_softmax_loss_f32 {
  // The size of this structure, as passed to the initialiser.
  size_t size;
  // The number of rows, each with a loss of its own; default 0.
  size_t rows;
  // The number of classes (logits of a row): at least one.
  size_t classes;
  // Set this if the class axis is not the last: the number of rows side by side. Logits are then rows / inner
  // blocks of classes x inner numbers. For images N x C x H x W, inner is H x W and rows is N x H x W; row n x
  // inner + i is at position i of block n. Default 0, which means 1: rows one after the other.
  size_t inner;
  // The distance from the start of a row (with inner: of a block) of the logits to the start of the next, in
  // numbers; default 0 for no gap. Gaps are neither read nor written, but no other result may be placed there.
  size_t logits_stride;
  // The same for the gradient. If the gradient replaces the logits, it uses their stride.
  size_t gradient_stride;
  // rows x classes logits, row after row. A logit of minus infinity means that the class is absent.
  const float *logits;
  // The logits for the functions ending in _bf16 or _f16, as the bits of numbers of that format; `logits` is
  // NULL then. All other numbers are floats. NULL (default) for all other functions.
  const uint16_t *logits_16;
  // The logits for the functions ending in _i8, _u8 or _i16, which a quantised model gave out: integers of that
  // type; `logits` is NULL then. All other numbers are floats. NULL (default) for all other functions.
  const void *logits_integers;
  // Targets: the class of each row. Give exactly one kind of targets.
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
  // Targets: rows x classes weights, not negative; those of a row need not sum to one. In the order of the
  // logits, without gaps.
  const float *dense;
  // Targets: rows x classes labels, zero or positive, for multi-label softmax: the labels of a row are divided
  // by M, the number of labels that are not zero. A row without any has no target: see nothing_valid.
  const float *multi_label;
  // A weight for each class, finite and not negative; NULL (default) for ones.
  const float *class_weights;
  // A factor for the loss and the gradient of each row; NULL (default) for ones. Any finite number. If it is
  // zero, loss and gradient are zero, whatever the logits are.
  const float *sample_weights;
  // Result: the gradient of the reduced loss by the logits, rows x classes; NULL (default) if it is not wanted.
  // It may point to the logits and then replaces them. With logits_16 it is not rounded to their format.
  float *gradient;
  // Result: the gradient in the format of logits_16, instead of `gradient`. It may point to logits_16.
  uint16_t *gradient_16;
  // Result: the loss of each row, not reduced; NULL (default) if it is not wanted.
  float *losses;
  // Result: the logarithm of the sum of e^x over each row; NULL (default) if it is not wanted.
  float *log_sum_exp;
  // Result: the class of the largest logit of each row, the first of equals, or of the first NaN; NULL (default)
  // if it is not wanted.
  uint32_t *predicted;
  // Result: second derivatives, rows x classes, in the order of the logits without gaps; NULL (default) if they
  // are not wanted.
  float *hessian;
  // Result: the number of rows that are not ignored and predicted right; NULL (default) if it is not wanted. It
  // needs labels and `predicted`.
  size_t *correct;
  // Result: the number of rows that are not ignored and have a target; NULL (default) if it is not wanted.
  size_t *valid_rows;
  // Result: the number of rows that are not ignored and have a logit that is NaN or plus infinity, or no finite
  // one; NULL (default) if it is not wanted.
  size_t *not_finite_rows;
  // Result: the first of these rows, or the number of rows if there is none; NULL (default) if it is not wanted.
  size_t *first_not_finite;
  // Result: the divisor of the sum of the losses, 1 without a mean; NULL (default) if it is not wanted. The mean
  // over several batches is the sum of loss times denominator, divided by the sum of the denominators.
  double *denominator;
  // The label smoothing, from 0 (default) to 1.
  double label_smoothing;
  // The focal loss's gamma, at least 0 (default): the loss of a row becomes -(1 - p)^gamma ln p, where p is the
  // probability of its label. Only for labels without smoothing. (For alpha, use class_weights.)
  double focal_gamma;
  // The smallest second derivative to write, if has_hessian_floor is not 0: those of a focal loss can be
  // negative.
  double hessian_floor;
  // An extra factor of the gradient (not of the loss); default 1. With XENT_REDUCTION_SUM you can implement your
  // own reduction with it.
  double scale;
  // The scale of logits_integers, positive: an integer q stands for logits_scale * (q - logits_zero_point). The
  // gradient is by these numbers.
  float logits_scale;
  // The zero point of logits_integers, one of these integers; default 0.
  int32_t logits_zero_point;
  // Rows with this label have a loss and a gradient of zero, if has_ignore_index is not 0.
  // Labels only.
  int64_t ignore_index;
  // Whether there is a label to ignore: 0 (default) if there is none.
  int32_t has_ignore_index;
  // An xent_reduction; default XENT_REDUCTION_MEAN.
  int32_t reduction;
  // An xent_mean_over; default XENT_MEAN_OVER_PYTORCH.
  int32_t mean_over;
  // An xent_nothing_valid; default XENT_NOTHING_VALID_ZERO.
  int32_t nothing_valid;
  // An xent_hessian, the convention of `hessian`; default XENT_HESSIAN_EXACT.
  int32_t hessian_convention;
  // Whether there is a hessian_floor: 0 (default) if there is none.
  int32_t has_hessian_floor;
} xent_softmax_loss_f32;

// The inputs, options and results of a softmax cross-entropy. Initialise it with xent_softmax_loss_init_f32 or
// _f64, which sets the defaults below, no targets and no results.
//
// The loss of a row of logits x with the class y is -ln softmax(x)[y]; with weights t for the classes it is the
// sum of -t[c] ln softmax(x)[c]. Class weights w and the label smoothing e make it the sum of
// -w[c] ((1 - e) t[c] + e / classes) ln softmax(x)[c].
//
// Losses and gradients are within 4 ULP (5 for a gradient scaled by a factor that is not a power of two), plus one
// for each unit of distance between a logit and its row's maximum.
typedef struct xent_softmax_loss_f64 {
  // The size of this structure, as passed to the initialiser.
  size_t size;
  // The number of rows, each with a loss of its own; default 0.
  size_t rows;
  // The number of classes (logits of a row): at least one.
  size_t classes;
  // Set this if the class axis is not the last: the number of rows side by side. Logits are then rows / inner
  // blocks of classes x inner numbers. For images N x C x H x W, inner is H x W and rows is N x H x W; row n x
  // inner + i is at position i of block n. Default 0, which means 1: rows one after the other.
  size_t inner;
  // The distance from the start of a row (with inner: of a block) of the logits to the start of the next, in
  // numbers; default 0 for no gap. Gaps are neither read nor written, but no other result may be placed there.
  size_t logits_stride;
  // The same for the gradient. If the gradient replaces the logits, it uses their stride.
  size_t gradient_stride;
  // rows x classes logits, row after row. A logit of minus infinity means that the class is absent.
  const double *logits;
  // The logits for the functions ending in _bf16 or _f16, as the bits of numbers of that format; `logits` is
  // NULL then. All other numbers are floats. NULL (default) for all other functions.
  const uint16_t *logits_16;
  // The logits for the functions ending in _i8, _u8 or _i16, which a quantised model gave out: integers of that
  // type; `logits` is NULL then. All other numbers are floats. NULL (default) for all other functions.
  const void *logits_integers;
  // Targets: the class of each row. Give exactly one kind of targets.
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
  // Targets: rows x classes weights, not negative; those of a row need not sum to one. In the order of the
  // logits, without gaps.
  const double *dense;
  // Targets: rows x classes labels, zero or positive, for multi-label softmax: the labels of a row are divided
  // by M, the number of labels that are not zero. A row without any has no target: see nothing_valid.
  const double *multi_label;
  // A weight for each class, finite and not negative; NULL (default) for ones.
  const double *class_weights;
  // A factor for the loss and the gradient of each row; NULL (default) for ones. Any finite number. If it is
  // zero, loss and gradient are zero, whatever the logits are.
  const double *sample_weights;
  // Result: the gradient of the reduced loss by the logits, rows x classes; NULL (default) if it is not wanted.
  // It may point to the logits and then replaces them. With logits_16 it is not rounded to their format.
  double *gradient;
  // Result: the gradient in the format of logits_16, instead of `gradient`. It may point to logits_16.
  uint16_t *gradient_16;
  // Result: the loss of each row, not reduced; NULL (default) if it is not wanted.
  double *losses;
  // Result: the logarithm of the sum of e^x over each row; NULL (default) if it is not wanted.
  double *log_sum_exp;
  // Result: the class of the largest logit of each row, the first of equals, or of the first NaN; NULL (default)
  // if it is not wanted.
  uint32_t *predicted;
  // Result: second derivatives, rows x classes, in the order of the logits without gaps; NULL (default) if they
  // are not wanted.
  double *hessian;
  // Result: the number of rows that are not ignored and predicted right; NULL (default) if it is not wanted. It
  // needs labels and `predicted`.
  size_t *correct;
  // Result: the number of rows that are not ignored and have a target; NULL (default) if it is not wanted.
  size_t *valid_rows;
  // Result: the number of rows that are not ignored and have a logit that is NaN or plus infinity, or no finite
  // one; NULL (default) if it is not wanted.
  size_t *not_finite_rows;
  // Result: the first of these rows, or the number of rows if there is none; NULL (default) if it is not wanted.
  size_t *first_not_finite;
  // Result: the divisor of the sum of the losses, 1 without a mean; NULL (default) if it is not wanted. The mean
  // over several batches is the sum of loss times denominator, divided by the sum of the denominators.
  double *denominator;
  // The label smoothing, from 0 (default) to 1.
  double label_smoothing;
  // The focal loss's gamma, at least 0 (default): the loss of a row becomes -(1 - p)^gamma ln p, where p is the
  // probability of its label. Only for labels without smoothing. (For alpha, use class_weights.)
  double focal_gamma;
  // The smallest second derivative to write, if has_hessian_floor is not 0: those of a focal loss can be
  // negative.
  double hessian_floor;
  // An extra factor of the gradient (not of the loss); default 1. With XENT_REDUCTION_SUM you can implement your
  // own reduction with it.
  double scale;
  // The scale of logits_integers, positive: an integer q stands for logits_scale * (q - logits_zero_point). The
  // gradient is by these numbers.
  float logits_scale;
  // The zero point of logits_integers, one of these integers; default 0.
  int32_t logits_zero_point;
  // Rows with this label have a loss and a gradient of zero, if has_ignore_index is not 0.
  // Labels only.
  int64_t ignore_index;
  // Whether there is a label to ignore: 0 (default) if there is none.
  int32_t has_ignore_index;
  // An xent_reduction; default XENT_REDUCTION_MEAN.
  int32_t reduction;
  // An xent_mean_over; default XENT_MEAN_OVER_PYTORCH.
  int32_t mean_over;
  // An xent_nothing_valid; default XENT_NOTHING_VALID_ZERO.
  int32_t nothing_valid;
  // An xent_hessian, the convention of `hessian`; default XENT_HESSIAN_EXACT.
  int32_t hessian_convention;
  // Whether there is a hessian_floor: 0 (default) if there is none.
  int32_t has_hessian_floor;
} xent_softmax_loss_f64;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

// Rust's `core` is compiled so that it can unwind, and refers to this symbol unless the linker removes unused
// code. Nothing here unwinds.
void rust_eh_personality(void);

// The version of the library: "0.1.0".
const char *xent_version(void);

// Selects the level with this name ("portable", "avx2", "avx512", ...) from now on, in all threads. NULL selects
// the best level of the machine, which is also the default.
//
// Returns XENT_STATUS_LEVEL, and changes nothing, if this machine has no such level.
xent_status xent_choose_level(const char *name);

// Writes the name of the level in use, like snprintf: at most size - 1 characters, followed by NUL. Returns the
// length of the name, so `name` may be NULL if size is 0.
size_t xent_level_name(char *name,
                       size_t size);

// Writes the name of a level of this machine, like xent_level_name; index 0 is the simplest level. Returns 0, and
// writes nothing, if there is no level with this index.
size_t xent_available_level(size_t index,
                            char *name,
                            size_t size);

// Whether the level in use has fused multiply-add, which rounds a product and the following sum once. All levels
// that have it return the same bits, on every machine; so do all levels that do not.
bool xent_level_has_fma(void);

// The softmax cross-entropy of one row of at most 32 logits with the class `label`: writes the loss to *loss and
// its gradient by the logits to `gradient`.
//
// For devices with little memory: a program that calls no other loss is smaller by a megabyte. Results are the
// same as those of a structure with one row at the level "portable", whatever level is in use. Nothing may
// overlap.
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

// The softmax cross-entropy of one row of at most 32 int8_t logits of a quantised model, where an integer q stands
// for scale * (q - zero_point), with the class `label`: writes the loss to *loss and the class of the largest logit,
// the first of equals, to *predicted. Nothing may overlap.
//
// For devices with little memory, as xent_softmax_row_f32, but without a gradient.
xent_status xent_evaluate_row_i8(const int8_t *logits,
                                 size_t classes,
                                 float scale,
                                 int32_t zero_point,
                                 size_t label,
                                 float *loss,
                                 size_t *predicted);

// Writes the defaults. `size` is sizeof *loss, which tells the library the version of the header.
xent_status xent_sigmoid_loss_init_f32(struct xent_sigmoid_loss_f32 *loss, size_t size);

// As xent_sigmoid_loss_init_f32.
xent_status xent_sigmoid_loss_init_f64(struct xent_sigmoid_loss_f64 *loss, size_t size);

// Computes a sigmoid loss, its gradient and the other results that are wanted.
//
// Writes the reduced loss to `value`, which may be NULL and must be NULL with XENT_REDUCTION_NONE. If a label is
// invalid, its row is written to `place`, which may be NULL. Everything is checked before anything else is
// written.
xent_status xent_sigmoid_loss_run_f32(const struct xent_sigmoid_loss_f32 *loss,
                                      double *value,
                                      size_t *place);

// As xent_sigmoid_loss_run_f32.
xent_status xent_sigmoid_loss_run_f64(const struct xent_sigmoid_loss_f64 *loss,
                                      double *value,
                                      size_t *place);

// As xent_sigmoid_loss_run_f32, with bfloat16 logits (the upper half of a float) in logits_16. Everything is
// computed in float; the gradient is rounded once, or not at all if it is in `gradient`.
xent_status xent_sigmoid_loss_run_bf16(const struct xent_sigmoid_loss_f32 *loss,
                                       double *value,
                                       size_t *place);

// As xent_sigmoid_loss_run_bf16, with IEEE binary16 (_Float16) logits in logits_16.
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

// Writes the defaults. `size` is sizeof *loss, which tells the library the version of the header.
xent_status xent_softmax_loss_init_f32(struct xent_softmax_loss_f32 *loss, size_t size);

// As xent_softmax_loss_init_f32.
xent_status xent_softmax_loss_init_f64(struct xent_softmax_loss_f64 *loss, size_t size);

// Computes a softmax loss, its gradient and the other results that are wanted.
//
// Writes the reduced loss to `value`, which may be NULL and must be NULL with XENT_REDUCTION_NONE. If a row is
// invalid, its number is written to `place`, which may be NULL. Everything is checked before anything else is
// written.
xent_status xent_softmax_loss_run_f32(const struct xent_softmax_loss_f32 *loss,
                                      double *value,
                                      size_t *place);

// As xent_softmax_loss_run_f32.
xent_status xent_softmax_loss_run_f64(const struct xent_softmax_loss_f64 *loss,
                                      double *value,
                                      size_t *place);

// As xent_softmax_loss_run_f32, with bfloat16 logits (the upper half of a float) in logits_16. Everything is
// computed in float; the gradient is rounded once, or not at all if it is in `gradient`.
xent_status xent_softmax_loss_run_bf16(const struct xent_softmax_loss_f32 *loss,
                                       double *value,
                                       size_t *place);

// As xent_softmax_loss_run_bf16, with IEEE binary16 (_Float16) logits in logits_16.
xent_status xent_softmax_loss_run_f16(const struct xent_softmax_loss_f32 *loss,
                                      double *value,
                                      size_t *place);

// As xent_softmax_loss_run_f32, with int8_t logits in logits_integers and their logits_scale and
// logits_zero_point. Everything is computed in float, and the gradient is float.
xent_status xent_softmax_loss_run_i8(const struct xent_softmax_loss_f32 *loss,
                                     double *value,
                                     size_t *place);

// As xent_softmax_loss_run_i8, with uint8_t.
xent_status xent_softmax_loss_run_u8(const struct xent_softmax_loss_f32 *loss,
                                     double *value,
                                     size_t *place);

// As xent_softmax_loss_run_i8, with int16_t.
xent_status xent_softmax_loss_run_i16(const struct xent_softmax_loss_f32 *loss,
                                      double *value,
                                      size_t *place);

// The meaning of a status, as a sentence that is never freed; also for numbers that are not a status.
const char *xent_error_message(int32_t status);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* XENT_H */
