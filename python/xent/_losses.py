"""The losses, one function each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from xent import _xent

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import ArrayLike
    from typing_extensions import TypedDict, Unpack

    class Options(TypedDict, total=False):
        """Options of every loss."""

        class_weights: ArrayLike | None
        sample_weights: ArrayLike | None
        reduction: str | None
        mean_over: str | None
        nothing_valid: str | None
        axis: int
        quantisation: tuple[float, int] | None

    class LabelOptions(Options, total=False):
        """Options of the losses of labels."""

        ignore_index: int | None
        preset: str | None

    class SoftmaxOptions(LabelOptions, total=False):
        """Options of the softmax loss."""

        label_smoothing: float
        focal_gamma: float | None
        z_loss: float
        soft_cap: float | None

    class MultiLabelSoftmaxOptions(Options, total=False):
        """Options of the multi-label softmax loss."""

        label_smoothing: float
        z_loss: float
        soft_cap: float | None
        caffe_gradient: bool

    class DistillationOptions(Options, total=False):
        """Options of the loss of distillation."""

        temperature: float

    class ElementOptions(Options, total=False):
        """Options of the losses of independent elements."""

        pos_weight: ArrayLike | None
        label_smoothing: float
        ignore_index: int | None

    class LogisticOptions(ElementOptions, total=False):
        """Options of the logistic loss."""

        preset: str | None

    class SigmoidOptions(LogisticOptions, total=False):
        """Options of the sigmoid loss."""

        focal_gamma: float | None
        focal_alpha: float | None


class Evaluation(NamedTuple):
    """All results of a pass over a batch; what was not asked for is ``None``."""

    #: The mean or the sum of the losses; ``None`` with ``reduction="none"``.
    loss: float | None
    #: The mean, whatever the reduction: e to it is the perplexity. ``None`` for a mean over nothing.
    mean_loss: float | None
    #: The gradient of the reduced loss by the logits.
    grad: np.ndarray | None
    #: The loss of each row (sigmoid and logistic losses: of each element).
    losses: np.ndarray | None
    #: The log-sum-exp of each row.
    log_sum_exp: np.ndarray | None
    #: The class of the largest logit of each row, the first of equals.
    predicted: np.ndarray | None
    #: The diagonal of the Hessian.
    hessian: np.ndarray | None
    #: The number of rows.
    rows: int
    #: The number of rows that are not ignored and have a target.
    valid_rows: int
    #: What the sum of the losses was divided by: one without a mean.
    denominator: float
    #: The number of rows whose predicted class is their label (softmax with labels, with ``count_correct`` or ``predicted``).
    correct: int | None
    #: The share of these rows, by sample weights.
    accuracy: float | None
    #: The number of rows whose logits have no softmax: NaN, ``+inf``, or no finite logit.
    not_finite: int
    #: The number of probabilities that were clamped (``logistic_loss``, ``multinomial_logistic``).
    clamped: int


def softmax_cross_entropy(logits: ArrayLike, targets: ArrayLike, **options: Unpack[SoftmaxOptions]) -> float | np.ndarray:
    """Softmax (categorical) cross-entropy: ``-ln softmax(x)_y`` of a label ``y``, ``-Σ t_c ln softmax(x)_c`` of dense targets.

    Args:
        logits: Any array: NumPy, or what has its interface or DLPack; float32, float64, float16 or bfloat16 (ml_dtypes), or
            int8, uint8 and int16 with ``quantisation``. The classes are on ``axis``, every other position is a row.
            A C- or Fortran-ordered array is read where it is; otherwise it is copied.
        targets: Labels (integers, one a row) or a non-negative number for each logit, in the shape of the logits.
        class_weights: A non-negative weight for each class.
        label_smoothing: ε: the target becomes ``(1 - ε) t + ε / C``.
        ignore_index: Rows of this label have a loss and a gradient of zero.
        focal_gamma: γ of the focal loss ``-(1 - p_y)^γ ln p_y``.
        z_loss: λ: adds ``λ lse²`` to each row.
        soft_cap: Logits become ``cap tanh(x / cap)``.
        sample_weights: A factor for each row.
        reduction: ``"mean"`` (the default), ``"sum"``, or ``"none"`` for the loss of each row.
        mean_over: What a mean divides by: ``"pytorch"`` (the default: the class weights of the labels that are not ignored),
            ``"not_ignored"``, ``"all_rows"``, or ``"weights"`` (class weights times sample weights).
        nothing_valid: The result of a mean over nothing: ``"zero"`` (the default), ``"nan"`` or ``"error"``.
        preset: The defaults of a library: pytorch, keras, tensorflow, optax, onnx, caffe, paddle, mlx, burn, candle, sklearn.
        axis: The axis of the classes.
        quantisation: The scale and the zero point of integer logits.

    Returns:
        The loss as a float, or with ``reduction="none"`` an array of the shape of the rows: float64 for float64 logits,
        otherwise float32.

    Raises:
        ValueError: A shape, a label or a number is wrong; the message names the argument, the element and its value.
        TypeError: An array has a type that is not supported, or there is no such option. Nothing has been written then.

    The error is at most 4 ULP, plus one for each unit of distance between a logit and the largest of its row.

    >>> import numpy as np, xent
    >>> logits = np.array([[2.0, 1.0, 0.0], [0.0, 3.0, 0.0]], np.float32)
    >>> round(xent.softmax_cross_entropy(logits, [0, 1]), 4)
    0.2513
    """
    return _xent.value("softmax_cross_entropy", logits, targets, **options)


def multi_label_softmax(
    logits: ArrayLike, targets: ArrayLike, **options: Unpack[MultiLabelSoftmaxOptions]
) -> float | np.ndarray:
    """Multi-label softmax: ``(1 / M) Σ y_c (-ln softmax(x)_c)``, where ``M`` is the number of labels ``y`` that are not zero.

    Args:
        logits: As for :func:`softmax_cross_entropy`.
        targets: Zero, or a positive number, for each logit.
        caffe_gradient: The gradient ``p - [y ≠ 0] / M`` of the Caffe Python layer, which is exact if labels are 0 or 1.

    Other options, results and errors are those of :func:`softmax_cross_entropy`.

    >>> import xent
    >>> round(xent.multi_label_softmax([[2.0, 1.0, 0.0]], [[1, 1, 0]]), 6)
    0.907606
    """
    return _xent.value("multi_label_softmax", logits, targets, **options)


def distillation(
    logits: ArrayLike, targets: ArrayLike, **options: Unpack[DistillationOptions]
) -> float | np.ndarray:
    """Distillation of a teacher: ``τ² KL(softmax(teacher / τ) ‖ softmax(x / τ))``, both from logits.

    Args:
        logits: As for :func:`softmax_cross_entropy`.
        targets: The teacher's logits, in the shape of the logits.
        temperature: τ, a positive number: 1 by default.

    Other options, results and errors are those of :func:`softmax_cross_entropy`.

    >>> import xent
    >>> round(xent.distillation([[1.0, 0.0, -1.0]], [[3.0, 0.0, -3.0]], temperature=2.0), 6)
    0.741771
    """
    return _xent.value("distillation", logits, targets, **options)


def sigmoid_cross_entropy(logits: ArrayLike, targets: ArrayLike, **options: Unpack[SigmoidOptions]) -> float | np.ndarray:
    """Sigmoid (binary) cross-entropy: ``-y ln σ(x) - (1 - y) ln σ(-x)`` of every logit.

    Args:
        logits: As for :func:`softmax_cross_entropy`; also of one axis, with a question in each element.
        targets: For each logit 0 or 1 (integers, bools) or a number in between; or a pair ``(offsets, classes)``: row ``r``
            has the classes ``classes[offsets[r]:offsets[r + 1]]``.
        pos_weight: A factor of the positive part of the loss: one number, or one for each class.
        label_smoothing: ε: the target becomes ``(1 - ε) y + ε / 2``.
        ignore_index: Elements with this (integer) target have a loss and a gradient of zero.
        focal_gamma: γ of the focal loss.
        focal_alpha: α of the focal loss, the weight of positive targets.

    Other options, results and errors are those of :func:`softmax_cross_entropy`; with ``reduction="none"`` there is a loss
    for each element. The error is at most 4 ULP, that of the gradient 5.

    >>> import xent
    >>> round(xent.sigmoid_cross_entropy([0.0, 100.0, -100.0, 1.0], [1, 1, 0, 0]), 6)
    0.501602
    """
    return _xent.value("sigmoid_cross_entropy", logits, targets, **options)


def multi_label_soft_margin(
    logits: ArrayLike, targets: ArrayLike, **options: Unpack[ElementOptions]
) -> float | np.ndarray:
    """Multi-label soft margin: for each row the mean over its classes of the sigmoid cross-entropy.

    Arguments, results and errors are those of :func:`sigmoid_cross_entropy`, without focal options and preset; there is a
    loss for each row.

    >>> import xent
    >>> round(xent.multi_label_soft_margin([[0.0, 100.0]], [[1, 1]]), 6)
    0.346574
    """
    return _xent.value("multi_label_soft_margin", logits, targets, **options)


def logistic_loss(
    probabilities: ArrayLike, targets: ArrayLike, **options: Unpack[LogisticOptions]
) -> float | np.ndarray:
    """Logistic loss of probabilities: ``-y ln p - (1 - y) ln(1 - p)``, PyTorch's ``BCELoss``.

    Logarithms are clamped at -100. If the probabilities came from a sigmoid, :func:`sigmoid_cross_entropy` of its logits is
    more exact. Options, results and errors are those of :func:`sigmoid_cross_entropy`, without focal options.

    >>> import xent
    >>> round(xent.logistic_loss([0.25, 1.0], [0, 1]), 6)
    0.143841
    """
    return _xent.value("logistic_loss", probabilities, targets, **options)


def negative_log_likelihood(
    log_probabilities: ArrayLike, targets: ArrayLike, **options: Unpack[LabelOptions]
) -> float | np.ndarray:
    """Negative log-likelihood of log-probabilities: ``-lp_y``, PyTorch's ``NLLLoss``.

    If the log-probabilities came from a log-softmax, :func:`softmax_cross_entropy` of its logits is more exact. Options,
    results and errors are those of :func:`softmax_cross_entropy`: class weights, ignored labels, preset, sample weights.

    >>> import xent
    >>> xent.negative_log_likelihood([[-0.5, -1.5], [-2.0, -0.25]], [0, 1])
    0.375
    """
    return _xent.value("negative_log_likelihood", log_probabilities, targets, **options)


def multinomial_logistic(
    probabilities: ArrayLike, targets: ArrayLike, **options: Unpack[LabelOptions]
) -> float | np.ndarray:
    """Multinomial logistic loss of probabilities: ``-ln p_y``; a probability below 1e-20 counts as that, as in Caffe.

    If the probabilities came from a softmax, :func:`softmax_cross_entropy` of its logits is more exact. Options, results and
    errors are those of :func:`negative_log_likelihood`.

    >>> import xent
    >>> round(xent.multinomial_logistic([[0.25, 0.75]], [1]), 6)
    0.287682
    """
    return _xent.value("multinomial_logistic", probabilities, targets, **options)


def evaluate(loss: str | Callable[..., Any], logits: ArrayLike, targets: ArrayLike, **options: Any) -> Evaluation:
    """Everything that a pass can give.

    Args:
        loss: One of the functions above, or its name.
        grad, losses, log_sum_exp, predicted, count_correct: ``True`` to get it. Log-sum-exps and predicted classes are those
            of the losses of softmax; right rows are counted by :func:`softmax_cross_entropy`.
        hessian: Second derivatives by each logit: ``"exact"``, or the convention ``"xgboost"`` or ``"lightgbm"``. (Losses of
            probabilities have none.)
        hessian_floor: The smallest second derivative.
        boosting: ``True`` for gradient and Hessian (by default the exact one) of each row's own loss, whatever the reduction.

    Other arguments are those of the loss and of :func:`value_and_grad`.

    >>> import xent
    >>> result = xent.evaluate("softmax_cross_entropy", [[2.0, 1.0, 0.0]], [0], predicted=True)
    >>> result.predicted.tolist(), result.accuracy
    ([0], 1.0)
    """
    return Evaluation(**_xent.evaluate(loss, logits, targets, **options))
