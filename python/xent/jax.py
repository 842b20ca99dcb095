"""The losses for JAX: under ``jit``, ``grad``, ``value_and_grad`` and ``vmap``.

Each function is that of :mod:`xent` with the same name and options. Where its gradient is asked for, loss and gradient come
from one pass over the logits; otherwise only the loss is computed. The work is done on the CPU, where the arrays are: by a custom
call of XLA, or on other devices (and in versions of JAX that do not take it) by ``jax.pure_callback``, which copies them.

>>> import jax, jax.numpy as jnp, xent.jax
>>> logits = jnp.array([[2.0, 1.0, 0.0], [0.0, 3.0, 0.0]])
>>> labels = jnp.array([0, 1])
>>> loss, grad = jax.jit(jax.value_and_grad(xent.jax.softmax_cross_entropy))(logits, labels)
>>> f"{loss:.4f}", grad.shape
('0.2513', (2, 3))
>>> losses = xent.jax.softmax_cross_entropy(logits, labels, reduction="none")
>>> losses.shape, losses.dtype
((2,), dtype('float32'))
"""

from __future__ import annotations

import functools
import hashlib
import math
import threading
from collections.abc import Hashable
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.custom_derivatives import SymbolicZero

from xent import _losses, _xla

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from jax import Array
    from jax.typing import ArrayLike
    from typing_extensions import Unpack

__all__ = [
    "distillation",
    "logistic_loss",
    "multi_label_soft_margin",
    "multi_label_softmax",
    "multinomial_logistic",
    "negative_log_likelihood",
    "sigmoid_cross_entropy",
    "softmax_cross_entropy",
]

#: The losses that have one for each logit, not for each row.
_OF_ELEMENTS = {"sigmoid_cross_entropy", "logistic_loss"}
#: The losses whose targets have the shape of the logits.
_DENSE = _OF_ELEMENTS | {"multi_label_soft_margin", "multi_label_softmax", "distillation"}
#: The losses whose targets are labels.
_OF_LABELS = {"negative_log_likelihood", "multinomial_logistic"}
#: Arguments that are arrays; they may be traced.
_ARRAYS = ("class_weights", "pos_weight", "sample_weights")
#: The types of logits.
_FLOATS = {"float64", "float32", "float16", "bfloat16"}
#: Options by which the mean over one row differs from its loss.
_OF_MEANS = {"ignore_index", "mean_over", "nothing_valid", "preset"}
#: Options of :func:`xent.evaluate` that the functions for JAX do not take.
_NOT_HERE = {
    "accumulate",
    "boosting",
    "count_correct",
    "grad",
    "hessian",
    "hessian_floor",
    "log_sum_exp",
    "losses",
    "out",
    "predicted",
    "quantisation",
    "scale",
    "upstream",
}


def softmax_cross_entropy(logits: ArrayLike, targets: ArrayLike, **options: Unpack[_losses.SoftmaxOptions]) -> Array:
    """Softmax (categorical) cross-entropy: see :func:`xent.softmax_cross_entropy`.

    Args:
        logits: float32, float64, float16 or bfloat16; the classes are on ``axis``, every other position is a row.
        targets: Labels (integers, one a row) or a non-negative number for each logit, in the shape of the logits.
        **options: Those of :func:`xent.softmax_cross_entropy`, but for ``scale`` and ``quantisation``. ``class_weights`` and
            ``sample_weights`` are arrays; every other one is a constant of the compiled function.

    Returns:
        The mean, an array without axes; with ``reduction="sum"`` the sum; with ``"none"`` the loss of each row. float64 for
        float64 logits, otherwise float32. The gradient has the type of the logits.

    Raises:
        ValueError: A shape or an option is wrong; the message names the argument.
        TypeError: The logits have another type, there is no such option, or a derivative is asked for that is not there: that
            by targets or weights. ``jax.lax.stop_gradient`` says that it is not wanted.
        jax.errors.JaxRuntimeError: A label, a target or a weight has a wrong value, which is only found while it runs (under
            ``jit`` it is a ValueError).

    There is no second derivative, and no derivative in forward mode.

    Under ``vmap`` the fastest are ``reduction="none"``, and logits of one row without weights or ignored labels: the whole
    batch is one call then. Otherwise there is one for each element of the batch.

    Each thread of JAX keeps the memory of its last gradient, up to 64 MiB, for the next one.
    """
    return _loss("softmax_cross_entropy", logits, targets, options)


def multi_label_softmax(
    logits: ArrayLike, targets: ArrayLike, **options: Unpack[_losses.MultiLabelSoftmaxOptions]
) -> Array:
    """Multi-label softmax: see :func:`xent.multi_label_softmax`, and for the rest :func:`softmax_cross_entropy`.

    >>> f"{multi_label_softmax([[2.0, 1.0, 0.0]], [[1, 1, 0]]):.6f}"
    '0.907606'
    """
    return _loss("multi_label_softmax", logits, targets, options)


def distillation(logits: ArrayLike, targets: ArrayLike, **options: Unpack[_losses.DistillationOptions]) -> Array:
    """Distillation of a teacher: see :func:`xent.distillation`, and for the rest :func:`softmax_cross_entropy`.

    The targets are the logits of the teacher. If they depend on what is differentiated by, use ``jax.lax.stop_gradient``.

    >>> f"{distillation([[1.0, 0.0, -1.0]], [[3.0, 0.0, -3.0]], temperature=2.0):.6f}"
    '0.741771'
    """
    return _loss("distillation", logits, targets, options)


def sigmoid_cross_entropy(logits: ArrayLike, targets: ArrayLike, **options: Unpack[_losses.SigmoidOptions]) -> Array:
    """Sigmoid (binary) cross-entropy: see :func:`xent.sigmoid_cross_entropy`, for the rest :func:`softmax_cross_entropy`.

    Targets have the shape of the logits. With ``reduction="none"`` there is a loss for each element. ``pos_weight`` is an
    array, too: one number, or one for each class.

    >>> f"{sigmoid_cross_entropy([0.0, 100.0, -100.0, 1.0], [1, 1, 0, 0]):.6f}"
    '0.501602'
    """
    return _loss("sigmoid_cross_entropy", logits, targets, options)


def multi_label_soft_margin(logits: ArrayLike, targets: ArrayLike, **options: Unpack[_losses.ElementOptions]) -> Array:
    """Multi-label soft margin: see :func:`xent.multi_label_soft_margin`, and for the rest :func:`sigmoid_cross_entropy`.

    With ``reduction="none"`` there is a loss for each row.

    >>> f"{multi_label_soft_margin([[0.0, 100.0]], [[1, 1]]):.6f}"
    '0.346574'
    """
    return _loss("multi_label_soft_margin", logits, targets, options)


def logistic_loss(probabilities: ArrayLike, targets: ArrayLike, **options: Unpack[_losses.LogisticOptions]) -> Array:
    """Logistic loss of probabilities: see :func:`xent.logistic_loss`, and for the rest :func:`sigmoid_cross_entropy`.

    >>> f"{logistic_loss([0.25, 1.0], [0, 1]):.6f}"
    '0.143841'
    """
    return _loss("logistic_loss", probabilities, targets, options)


def negative_log_likelihood(
    log_probabilities: ArrayLike, targets: ArrayLike, **options: Unpack[_losses.LabelOptions]
) -> Array:
    """Negative log-likelihood: see :func:`xent.negative_log_likelihood`, and for the rest :func:`softmax_cross_entropy`.

    >>> f"{negative_log_likelihood([[-0.5, -1.5], [-2.0, -0.25]], [0, 1]):.6f}"
    '0.375000'
    """
    return _loss("negative_log_likelihood", log_probabilities, targets, options)


def multinomial_logistic(probabilities: ArrayLike, targets: ArrayLike, **options: Unpack[_losses.LabelOptions]) -> Array:
    """Multinomial logistic loss: see :func:`xent.multinomial_logistic`, and for the rest :func:`softmax_cross_entropy`.

    >>> f"{multinomial_logistic([[0.25, 0.75]], [1]):.6f}"
    '0.287682'
    """
    return _loss("multinomial_logistic", probabilities, targets, options)


def _loss(name: str, logits: ArrayLike, targets: ArrayLike, options: Any) -> Array:
    """Checks what is known before the numbers are, and calls the loss."""
    logits = jnp.asarray(logits)
    targets = jnp.asarray(targets)
    options = {of: value for of, value in options.items() if value is not None}
    weights = {of: jnp.asarray(options.pop(of)) for of in _ARRAYS if of in options}
    axis = options.pop("axis", -1)
    for of, value in options.items():
        if of in _NOT_HERE:
            raise TypeError(f"{of}: not an option of the losses for JAX")
        if not isinstance(value, Hashable):
            raise TypeError(f"{of}: expected a constant, found {type(value).__name__}: convert it with float(), outside of jit")
    if logits.dtype.name not in _FLOATS:
        found = f"found {logits.dtype}: convert them with astype"
        raise TypeError(f"logits: expected float32, float64, float16 or bfloat16, {found}")
    lowest = 0 if name in _OF_ELEMENTS else 1
    if logits.ndim < lowest:
        raise ValueError("logits: expected an axis of classes, found a single number")
    # Questions with yes or no for an answer may have no axis of classes. Then each element is a row.
    has_classes = logits.ndim > 1 or lowest == 1
    if has_classes:
        if not -logits.ndim <= axis < logits.ndim:
            raise ValueError(f"axis: expected one of {logits.ndim} axes, found {axis}")
        # From the end: vmap has axes of its own in front.
        axis = axis - logits.ndim if axis >= 0 else axis
        classes = logits.shape[axis]
        rows = logits.shape[: logits.ndim + axis] + logits.shape[logits.ndim + axis + 1 :]
    else:
        classes, rows, axis = 1, logits.shape, -1
    _check_shapes(name, logits.shape, rows, classes, targets, weights)
    given = tuple(sorted(options.items()))
    reduced = _is_reduced(name, given, classes, tuple(weights))
    return _function(name, given, logits.ndim, axis, reduced)(logits, targets, weights)


def _check_shapes(
    name: str, shape: tuple[int, ...], rows: tuple[int, ...], classes: int, targets: Array, weights: dict[str, Array]
) -> None:
    expected = [] if name in _DENSE else [("labels", rows)]
    if name not in _OF_LABELS:
        expected.append(("a number for each logit", shape))
    if targets.shape not in [of for _, of in expected]:
        wanted = ", or ".join(f"{what}, shape {of}" for what, of in expected)
        raise ValueError(f"targets: expected {wanted}, found the shape {targets.shape}")
    for of, array in weights.items():
        allowed = {"sample_weights": [rows], "class_weights": [(classes,)], "pos_weight": [(), (1,), (classes,)]}[of]
        if array.shape not in allowed:
            raise ValueError(f"{of}: expected the shape {allowed[-1]}, found {array.shape}")


@functools.lru_cache(maxsize=256)
def _is_reduced(name: str, options: tuple[tuple[str, Any], ...], classes: int, weights: tuple[str, ...]) -> bool:
    """Whether the loss is one number, by a row of zeros, which also finds wrong options before anything is compiled."""
    given: dict[str, Any] = dict(options)
    label = 1 if given.get("ignore_index") == 0 and (classes > 1 or name in _DENSE) else 0
    targets = np.full((1, classes) if name in _DENSE else (1,), label, np.int64)
    numbers = np.full((1, classes), 0.5)
    if name == "distillation":
        targets = np.zeros((1, classes))
    elif name == "multi_label_softmax":
        targets = np.ones((1, classes))
    for of in weights:
        given[of] = np.ones(1 if of == "sample_weights" else classes)
    return np.ndim(_losses._xent.value(name, numbers, targets, **given)) == 0


@functools.lru_cache(maxsize=256)
def _function(
    name: str, options: tuple[tuple[str, Any], ...], ndim: int, axis: int, reduced: bool
) -> Callable[[Array, Array, dict[str, Array]], Array]:
    """The loss with its derivative. The same options give the same function, which JAX has compiled already."""
    of_elements = name in _OF_ELEMENTS

    def result_of(logits: Any) -> jax.ShapeDtypeStruct:
        shape = logits.shape
        if reduced:
            shape = ()
        elif not of_elements:
            shape = shape[: ndim + axis] + shape[ndim + axis + 1 :]
        return jax.ShapeDtypeStruct(shape, jnp.float64 if logits.dtype == jnp.float64 else jnp.float32)

    key = name, options, ndim, axis, reduced

    @jax.custom_vjp
    def function(logits: Array, targets: Array, weights: dict[str, Array]) -> Array:
        (loss,) = _called(key, (result_of(logits),), logits, targets, weights)
        return loss

    def forward(logits: Any, targets: Any, weights: Any) -> tuple[Array, tuple[Array, Array] | None]:
        for of, array in {"targets": targets, **weights}.items():
            if array.perturbed and jnp.issubdtype(array.value.dtype, jnp.inexact):
                raise TypeError(f"{of}: there is no derivative by them: if none is wanted, use jax.lax.stop_gradient")
        values = logits.value, targets.value, {of: array.value for of, array in weights.items()}
        if not logits.perturbed:
            return function(*values), None
        # In the type of the loss: small numbers of 16 bits would be zero before they are scaled.
        of_loss = result_of(logits.value)
        loss, grad = _called(key, (of_loss, jax.ShapeDtypeStruct(logits.value.shape, of_loss.dtype)), *values)
        return loss, (grad, jnp.empty(0, logits.value.dtype))

    def backward(kept: tuple[Array, Array] | None, upstream: Any) -> tuple[Array | None, None, None]:
        if kept is None or isinstance(upstream, SymbolicZero):
            return None, None, None
        grad, like = kept
        if not reduced and not of_elements:
            upstream = jnp.expand_dims(upstream, axis)
        return (grad * upstream).astype(like.dtype), None, None

    function.defvjp(forward, backward, symbolic_zeros=True)
    return function


def _varying(array: Any) -> frozenset[str]:
    """The axes of a mesh that an array differs along, under `shard_map`; none in versions of JAX that do not say."""
    of_array = jax.typeof(array) if hasattr(jax, "typeof") else None
    manual = getattr(of_array, "manual_axis_type", of_array)
    return getattr(manual, "varying", getattr(manual, "vma", frozenset()))


def _varied(results: Sequence[Array], like: Array) -> tuple[Array, ...]:
    """Results that differ along the same axes of a mesh as the logits: a custom call does not say so."""
    axes = [tuple(_varying(like) - _varying(result)) for result in results]
    return tuple(jax.lax.pcast(result, of, to="varying") if of else result for result, of in zip(results, axes))


#: A loss: its name and options, the axes of the logits, the axis of the classes, whether it is one number.
_Key = tuple[str, tuple[tuple[str, Any], ...], int, int, bool]


def _called(
    key: _Key, result: tuple[jax.ShapeDtypeStruct, ...], logits: Array, targets: Array, weights: dict[str, Array]
) -> tuple[Array, ...]:
    """The loss, and the gradient if there is a place for it in the result."""
    if jax.default_backend() == "cpu":
        names = tuple(weights)
        # All that the numbers depend on: JAX may have a program of another process on its disk.
        digest = hashlib.sha256(repr((_losses._xent.VERSION, key, names, len(result))).encode()).hexdigest()
        target = f"xent_{digest[:32]}"
        if _xla.register(target, functools.partial(_in_place, key, names)):
            call = jax.ffi.ffi_call(target, result, vmap_method="expand_dims")
            return _varied(call(logits, targets, *weights.values()), logits)
    host = functools.partial(_on_host, key, len(result) == 2, None)
    return _varied(jax.pure_callback(host, result, logits, targets, weights, vmap_method="expand_dims"), logits)


def _in_place(key: _Key, names: tuple[str, ...], given: list[np.ndarray], results: list[np.ndarray]) -> None:
    logits, targets, *weights = given
    _on_host(key, len(results) == 2, results, logits, targets, dict(zip(names, weights)))


def _on_host(
    key: _Key,
    want_grad: bool,
    results: list[np.ndarray] | None,
    logits: Any,
    targets: Any,
    weights: dict[str, Any],
) -> tuple[np.ndarray, ...]:
    """The numbers, in the arrays for results if there are some.

    Under ``vmap`` each array has as many axes more, in front, of length one or that of the batch.
    """
    name, options, ndim, axis, reduced = key
    logits, targets = np.asarray(logits), np.asarray(targets)
    weights = {of: np.asarray(array) for of, array in weights.items()}
    given = {**dict(options), "axis": axis}
    added = logits.ndim - ndim
    row = logits.shape[added:]
    of_elements = name in _OF_ELEMENTS
    rows = row if of_elements else row[: ndim + axis] + row[ndim + axis + 1 :]
    arrays = [logits, targets, *weights.values()]
    batch = np.broadcast_shapes(*(array.shape[:added] for array in arrays))
    number = np.float64 if logits.dtype == np.float64 else np.float32
    losses = np.empty(batch + (() if reduced else rows), number) if results is None else results[0]
    grad = None
    if want_grad:
        grad = _memory_of(batch + row, losses.dtype) if results is None else results[1]

    def evaluate(
        at: tuple[int, ...], logits: np.ndarray, targets: np.ndarray, options: Any, shape: tuple[int, ...] | None = None
    ) -> None:
        if grad is None:
            loss = _losses._xent.value(name, logits, targets, **options)
        else:
            out = grad[(*at, ...)] if shape is None else grad.reshape(shape)
            loss, _ = _losses._xent.value_and_grad(name, logits, targets, out=out, **options)
        losses[at] = np.reshape(loss, losses[(*at, ...)].shape)

    def whole(array: np.ndarray) -> np.ndarray:
        return np.broadcast_to(array, batch + array.shape[added:])

    is_single = reduced and not weights and not _OF_MEANS & given.keys() and math.prod(rows) == 1
    shared = all(array.shape[:added] == (1,) * added for of, array in weights.items() if of != "sample_weights")
    if added == 0:
        evaluate((), logits, targets, given | weights)
    elif is_single or (not reduced and shared):
        # One call for all of the batch, whose axes are some more of rows.
        for of, array in weights.items():
            given[of] = whole(array) if of == "sample_weights" else array.reshape(array.shape[added:])
        given["reduction"] = "none"
        shape = batch + row
        all_targets = whole(targets)
        if of_elements and ndim < 2:
            # Each element is a row of its own, with a weight of its own.
            shape = (losses.size,)
            all_targets = all_targets.reshape(shape)
            given |= {of: given[of].reshape(shape) for of in ("sample_weights",) if of in weights}
        evaluate((), whole(logits).reshape(shape), all_targets, given, shape)
    else:
        for at in np.ndindex(*batch):
            own = [array[tuple(0 if n == 1 else i for i, n in zip(at, array.shape))] for array in arrays]
            evaluate(at, own[0], own[1], given | dict(zip(weights, own[2:])))
    return (losses,) if grad is None else (losses, grad)


class _Memory(threading.local):
    """What a gradient is written to, kept from one call of a thread to its next."""

    def __init__(self) -> None:
        self.bytes = np.empty(0, np.uint8)


_MEMORY = _Memory()
#: Larger gradients get memory of their own. In bytes.
_MOST_KEPT = 64 << 20


def _memory_of(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """Memory for a gradient.

    On a CPU the runtime copies what a callback returns before the thread goes on, so that the same memory can be used by the
    next call. New memory would cost more than the gradient: the system clears each page of it.
    """
    size = math.prod(shape) * dtype.itemsize
    if size > _MOST_KEPT or jax.default_backend() != "cpu":
        return np.empty(shape, dtype)
    if len(_MEMORY.bytes) < size:
        _MEMORY.bytes = np.empty(size, np.uint8)
    return _MEMORY.bytes[:size].view(dtype).reshape(shape)
