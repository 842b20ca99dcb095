"""The losses of PyTorch under their own names: change an import, and they take one pass for loss and gradient.

>>> import torch
>>> from xent.torch import cross_entropy
>>> logits = torch.tensor([[2.0, 1.0, 0.0], [0.0, 3.0, 0.0]], requires_grad=True)
>>> loss = cross_entropy(logits, torch.tensor([0, 1]))
>>> loss.backward()
>>> round(loss.item(), 4), logits.grad.shape
(0.2513, torch.Size([2, 3]))

Signatures, defaults, shapes, types and exceptions are those of ``torch.nn.functional`` (and of torchvision's
``sigmoid_focal_loss``). xent computes tensors on the CPU of float32, float64, float16 and bfloat16, in any memory order. What it
does not compute is PyTorch's to compute or to refuse: gradients of targets and weights, negative weights, other types, tensor
subclasses, forward-mode differentiation and ``torch.func``. Tensors on other devices are refused, or with ``fallback=True`` handed
to PyTorch.

The gradient is computed together with the loss, if one will be asked for. It is kept until the backward pass, which scales it in
place and hands it over; a second backward pass (``retain_graph=True``), and a factor of a gradient of 16 bits, computes it again.
Second derivatives are refused. ``torch.compile`` sees one operator, ``xent::loss``, which refuses what only PyTorch computes. Under
autocast the loss has the type of PyTorch's.

Where the numbers differ from PyTorch's: a class or row of weight zero contributes zero, where PyTorch has ``0 * inf = nan``.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn._reduction import legacy_get_string

from xent import _xent
from xent._arrays import LARGE, ask_for_huge_pages

try:
    from ml_dtypes import bfloat16 as _bfloat16
except ImportError:  # Then PyTorch computes bfloat16.
    _bfloat16 = None

__all__ = [
    "BCEWithLogitsLoss",
    "CrossEntropyLoss",
    "LinearCrossEntropyLoss",
    "MultiLabelSoftMarginLoss",
    "NLLLoss",
    "binary_cross_entropy_with_logits",
    "cross_entropy",
    "kl_div_with_logits",
    "linear_cross_entropy",
    "multilabel_soft_margin_loss",
    "nll_loss",
    "sigmoid_focal_loss",
]

_PLAIN = (Tensor, nn.Parameter)
_FORMATS = frozenset({torch.float32, torch.float64, torch.float16} | ({torch.bfloat16} if _bfloat16 else set()))
_HALVES = frozenset({torch.float16, torch.bfloat16})
_LABELS = frozenset({torch.int64, torch.uint8})
_REDUCTIONS = frozenset({"mean", "sum", "none"})


class _NotTaken(Exception):
    """What xent does not compute, and PyTorch may."""


#: Whether a tensor says itself where its numbers are, from PyTorch 2.10 on.
_DESCRIBED = hasattr(Tensor, "__dlpack_c_exchange_api__")


def _array(tensor: Tensor) -> Tensor | np.ndarray:
    """What xent finds the tensor's own memory by."""
    if _DESCRIBED and type(tensor) is Tensor:
        return tensor
    if tensor.dtype is torch.bfloat16:
        return tensor.view(torch.uint16).numpy().view(_bfloat16)
    return tensor.numpy()


def _check_device(name: str, fallback: bool, *tensors: Tensor | None) -> None:
    for tensor in tensors:
        if tensor is not None and isinstance(tensor, Tensor) and tensor.device.type != "cpu" and not fallback:
            raise RuntimeError(
                f"xent.torch.{name} computes on the CPU, found a tensor on {tensor.device}: "
                "move it, or give fallback=True to let PyTorch compute it"
            )


def _takes(input: Tensor, *constants: Tensor | None) -> bool:
    """Whether these are plain tensors, of which only the first may require a gradient."""
    if type(input) not in _PLAIN or input.dtype not in _FORMATS or input.layout is not torch.strided or not input.is_cpu:
        return False
    for other in constants:
        if other is None:
            continue
        if type(other) not in _PLAIN or not other.is_cpu or other.requires_grad or other.layout is not torch.strided:
            return False
    if torch.compiler.is_compiling():
        return True
    if torch._C._are_functorch_transforms_active() or torch.autograd.forward_ad._current_level >= 0:
        return False
    # Tracing records what PyTorch computes.
    if torch._C._get_tracing_state() is not None or torch._C._len_torch_dispatch_stack() > 0:
        return False
    return not (input.is_neg() or any(other is not None and other.is_neg() for other in constants))


class _Call(NamedTuple):
    """A loss without its tensors."""

    loss: _xent.Loss
    #: The options that are tensors.
    weights: tuple[str, ...]
    dtype: torch.dtype
    #: Where an upstream gradient of rows is missing an axis.
    axis: int | None
    #: Whether the gradient is of 16 bits, and for each row: it waits for its factors, which come before it is rounded.
    waits: bool


#: Options that are not tensors: their names and values.
_Options = tuple[tuple[str, Any], ...]


@lru_cache(512)
def _prepared(
    name: str, weights: tuple[str, ...], options: _Options, dtype: torch.dtype, axis: int | None, is_half: bool
) -> _Call:
    """The same call again costs nothing to read its options."""
    waits = is_half and ("reduction", "none") in options
    try:
        return _Call(_xent.Loss(name, **dict(options)), weights, dtype, axis, waits)
    except (TypeError, ValueError) as error:
        raise _NotTaken(str(error)) from error


def _compute(
    call: _Call, input: Tensor, target: Tensor, weights: tuple[Tensor, ...], grad: Tensor | None, **more: Any
) -> Tensor:
    """The loss as a tensor; the gradient goes to a tensor. Called where nothing is differentiated."""
    if weights:
        more.update(zip(call.weights, map(_array, weights)))
    try:
        if grad is None:
            value = _xent.value(call.loss, _array(input), _array(target), **more)
        else:
            value, _ = _xent.value_and_grad(call.loss, _array(input), _array(target), out=_array(grad), **more)
    except (TypeError, ValueError) as error:
        raise _NotTaken(str(error)) from error
    if isinstance(value, float):
        return torch.scalar_tensor(value, dtype=call.dtype)
    return torch.from_numpy(np.asarray(value)).to(call.dtype)


def _empty_like(input: Tensor, dtype: torch.dtype) -> Tensor:
    """Memory for a gradient, in the order of the logits' memory."""
    grad = torch.empty_like(input, dtype=dtype)
    if input.numel() * dtype.itemsize >= LARGE:
        ask_for_huge_pages(grad.data_ptr(), grad.untyped_storage().nbytes())
    return grad


class _Loss(torch.autograd.Function):
    """A loss with its gradient, which is there before it is asked for."""

    @staticmethod
    def forward(ctx: Any, input: Tensor, target: Tensor, call: _Call, *weights: Tensor) -> Tensor:
        ctx.grad = None if call.waits else _empty_like(input, input.dtype)
        loss = _compute(call, input, target, weights, ctx.grad)
        # For a second backward pass; changes of any of these are noticed.
        ctx.save_for_backward(input, target, *weights)
        ctx.call, ctx.dtype = call, input.dtype
        return loss

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        _refuse_second_derivatives()
        grad, ctx.grad = ctx.grad, None
        nothing = (None,) * (2 + len(ctx.call.weights))
        is_batched = _is_batched(upstream)
        if upstream.dim() == 0 and not is_batched:
            factor = upstream.item()
            if factor != 1.0 and ctx.dtype in _HALVES:
                # A small gradient of 16 bits is zero already: the factor has to come before it is rounded.
                return _again(ctx, scale=factor), *nothing
            grad = _again(ctx) if grad is None else grad
            return grad if factor == 1.0 else grad.mul_(factor), *nothing
        if grad is None or ctx.dtype in _HALVES:
            grad = _again(ctx, wide=True)
        upstream = _for_classes(upstream, grad, ctx.call.axis)
        scaled = grad * upstream if is_batched else grad.mul_(upstream)
        return scaled.to(ctx.dtype), *nothing


def _for_classes(upstream: Tensor, grad: Tensor, axis: int | None) -> Tensor:
    """The upstream gradient of rows with an axis for the classes; others as they are."""
    return upstream.unsqueeze(axis) if 0 < upstream.dim() < grad.dim() else upstream


def _is_batched(upstream: Tensor) -> bool:
    """Whether it stands for several gradients, as under `is_grads_batched`."""
    functorch = torch._C._functorch
    return functorch.is_batchedtensor(upstream) or functorch.is_legacy_batchedtensor(upstream)


def _again(ctx: Any, wide: bool = False, **options: Any) -> Tensor:
    """The gradient, computed again; in float32 if it is wide and would have 16 bits."""
    input, target, *weights = ctx.saved_tensors
    grad = _empty_like(input, torch.float32 if wide and input.dtype in _HALVES else input.dtype)
    _compute(ctx.call, input, target, tuple(weights), grad, **options)
    return grad


def _refuse_second_derivatives() -> None:
    # PyTorch records what a backward pass does if it is to be differentiated, too.
    if torch.is_grad_enabled():
        raise RuntimeError(
            "the losses of xent.torch have no second derivatives: with create_graph=True use torch.nn.functional's"
        )


def _result_type(name: str, input: Tensor) -> torch.dtype:
    dtype = input.dtype
    # PyTorch computes the soft margin in the type of its input.
    if dtype not in _HALVES or name == "multi_label_soft_margin":
        return dtype
    return torch.float32 if torch.is_autocast_enabled("cpu") else dtype


def _call(
    name: str, input: Tensor, target: Tensor, options: _Options, *, axis: int | None, weights: dict[str, Tensor]
) -> Tensor:
    """The loss of a call. `axis` is where an upstream gradient of rows is missing one; `weights` are options that are tensors."""
    want_grad = input.requires_grad and torch.is_grad_enabled()
    dtype = _result_type(name, input)
    names, tensors = tuple(weights), tuple(weights.values())
    if torch.compiler.is_compiling():
        text = ";".join([f"{key}={value!r}" for key, value in options])
        given = (input, target, list(tensors), ";".join(names), name, text, dtype, axis, want_grad)
        return torch.ops.xent.loss(*given)[0]
    call = _prepared(name, names, options, dtype, axis, input.dtype in _HALVES)
    if want_grad:
        return _Loss.apply(input, target, call, *tensors)
    return _compute(call, input, target, tensors, None)


def _read(options: str) -> _Options:
    """Options that were written as a text: an operator takes no pairs."""
    pairs = (text.split("=", 1) for text in options.split(";"))
    return tuple((key, ast.literal_eval(value)) for key, value in pairs)


@torch.library.custom_op("xent::loss", mutates_args=())
def _operator(
    input: Tensor,
    target: Tensor,
    weights: list[Tensor],
    names: str,
    name: str,
    options: str,
    dtype: torch.dtype,
    axis: int | None,
    want_grad: bool,
) -> tuple[Tensor, Tensor]:
    grad = _gradient(input, want_grad, _empty_like)
    try:
        # The gradient is there in float32, so nothing waits.
        call = _prepared(name, tuple(names.split(";")), _read(options), dtype, axis, False)
        loss = _compute(call, input.detach(), target, tuple(weights), grad if want_grad else None)
    except _NotTaken as error:
        raise (IndexError if str(error).startswith("targets: label") else RuntimeError)(str(error)) from error
    return loss, grad


@_operator.register_fake
def _(
    input: Tensor,
    target: Tensor,
    weights: list[Tensor],
    names: str,
    name: str,
    options: str,
    dtype: torch.dtype,
    axis: int | None,
    want_grad: bool,
) -> tuple[Tensor, Tensor]:
    shape = list(input.shape) if ("reduction", "none") in _read(options) else []
    if shape and axis is not None:
        del shape[axis]
    return input.new_empty(shape, dtype=dtype), _gradient(input, want_grad, torch.empty_like)


def _gradient(input: Tensor, want_grad: bool, empty_like: Callable[..., Tensor]) -> Tensor:
    """Room for it before it is scaled: of 16 bits in float32, or small ones would be zero."""
    dtype = torch.float32 if input.dtype in _HALVES else input.dtype
    return empty_like(input, dtype=dtype) if want_grad else input.new_empty(0, dtype=dtype)


def _keep(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    ctx.axis, ctx.weights, ctx.dtype = inputs[7], len(inputs[2]), inputs[0].dtype
    ctx.save_for_backward(output[1])
    ctx.mark_non_differentiable(output[1])


def _backward(ctx: Any, upstream: Tensor, _: Any) -> tuple[Tensor | None, ...]:
    (grad,) = ctx.saved_tensors
    return (grad * _for_classes(upstream, grad, ctx.axis)).to(ctx.dtype), None, [None] * ctx.weights, None, None, None, None, None, None


_operator.register_autograd(_backward, setup_context=_keep)


def _are_labels(target: Tensor, input: Tensor, axis: int) -> bool:
    """Whether there is one for each row."""
    if input.dim() == 2:
        return target.dim() == 1 and target.shape[0] == input.shape[0]
    return target.shape == input.shape[:axis] + input.shape[axis + 1 :]


def _are_of_classes(weight: Tensor | None, dtype: torch.dtype, classes: int) -> bool:
    """Whether weights, if there are any, have this type, and are one for each class."""
    return weight is None or (weight.dtype == dtype and weight.shape == (classes,))


def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
    *,
    fallback: bool = False,
) -> Tensor:
    """``torch.nn.functional.cross_entropy``, with its arguments.

    Args:
        input: Logits of the shape ``(C,)``, ``(N, C)`` or ``(N, C, d1, …)``.
        target: Labels without the axis of the classes, or probabilities in the shape of the logits.
        fallback: Hands tensors of other devices to PyTorch instead of refusing them.

    >>> logits = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    >>> cross_entropy(logits, torch.tensor([0, -100]), label_smoothing=0.1)
    tensor(0.3633)
    """

    def theirs() -> Tensor:
        _check_device("cross_entropy", fallback, input, target, weight)
        return F.cross_entropy(input, target, weight, size_average, ignore_index, reduce, reduction, label_smoothing)

    how = reduction if size_average is None and reduce is None else legacy_get_string(size_average, reduce)
    if not _takes(input, target, weight) or how not in _REDUCTIONS or input.dim() == 0 or type(ignore_index) is not int:
        return theirs()
    if not 0.0 <= label_smoothing <= 1.0:
        return theirs()
    axis = 0 if input.dim() == 1 else 1
    options: _Options = (("preset", "pytorch"), ("reduction", how), ("axis", axis))
    if label_smoothing != 0.0:
        options += (("label_smoothing", float(label_smoothing)),)
    if target.dtype in _LABELS and target.dim() + 1 == input.dim():
        if not _are_labels(target, input, axis):
            return theirs()
        options += (("ignore_index", ignore_index),)
    elif target.dtype != input.dtype or target.shape != input.shape or ignore_index >= 0:
        return theirs()
    weights = {} if weight is None else {"class_weights": weight}
    if not _are_of_classes(weight, input.dtype, input.shape[axis]):
        return theirs()
    return _ours_or(theirs, "softmax_cross_entropy", input, target, options, axis, weights)


def _ours_or(
    theirs: Callable[[], Tensor],
    name: str,
    input: Tensor,
    target: Tensor,
    options: _Options,
    axis: int | None,
    weights: dict[str, Tensor],
) -> Tensor:
    try:
        return _call(name, input, target, options, axis=axis, weights=weights)
    except _NotTaken:
        # It raises what PyTorch raises, or computes what only PyTorch takes.
        return theirs()


def nll_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
    *,
    fallback: bool = False,
) -> Tensor:
    """``torch.nn.functional.nll_loss``, with its arguments: log-probabilities, and labels.

    :func:`cross_entropy` of the logits is faster and more exact.

    >>> nll_loss(torch.tensor([[-0.5, -1.0]]), torch.tensor([1]))
    tensor(1.)
    """

    def theirs() -> Tensor:
        _check_device("nll_loss", fallback, input, target, weight)
        return F.nll_loss(input, target, weight, size_average, ignore_index, reduce, reduction)

    how = reduction if size_average is None and reduce is None else legacy_get_string(size_average, reduce)
    if not _takes(input, target, weight) or how not in _REDUCTIONS or input.dim() == 0 or type(ignore_index) is not int:
        return theirs()
    axis = 0 if input.dim() == 1 else 1
    if target.dtype not in _LABELS or not _are_labels(target, input, axis):
        return theirs()
    weights = {} if weight is None else {"class_weights": weight}
    if not _are_of_classes(weight, input.dtype, input.shape[axis]):
        return theirs()
    options = (("preset", "pytorch"), ("reduction", how), ("axis", axis), ("ignore_index", ignore_index))
    return _ours_or(theirs, "negative_log_likelihood", input, target, options, axis, weights)


def _axis_of(weight: Tensor, input: Tensor) -> int | None:
    """The one axis of the input that these weights differ on; the last if they do not differ; ``None`` if there are more."""
    lengths = (1,) * (input.dim() - weight.dim()) + tuple(weight.shape)
    longer = [axis for axis, length in enumerate(lengths) if length != 1]
    if weight.dim() > input.dim() or len(longer) > 1:
        return None
    axis = longer[0] if longer else max(input.dim() - 1, 0)
    fits = weight.numel() == 1 or weight.numel() == input.shape[axis]
    return axis if fits else None


def _broadcasts(weight: Tensor, input: Tensor) -> bool:
    """Whether weights broadcast to the shape of the input."""
    lengths = zip(reversed(weight.shape), reversed(input.shape))
    return weight.dim() <= input.dim() and all(n in (1, wanted) for n, wanted in lengths)


def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    pos_weight: Tensor | None = None,
    *,
    fallback: bool = False,
) -> Tensor:
    """``torch.nn.functional.binary_cross_entropy_with_logits``, with its arguments.

    Args:
        input: Logits of any shape.
        target: Numbers from 0 to 1, of that shape.
        weight: A factor of each loss, of a shape that broadcasts to it.
        pos_weight: A factor of the positive part: of one axis (such as the classes), or one number. Others are PyTorch's.
        fallback: Hands tensors of other devices to PyTorch instead of refusing them.

    >>> binary_cross_entropy_with_logits(torch.tensor([0.0, 100.0]), torch.tensor([1.0, 1.0]))
    tensor(0.3466)
    """

    def theirs() -> Tensor:
        _check_device("binary_cross_entropy_with_logits", fallback, input, target, weight, pos_weight)
        return F.binary_cross_entropy_with_logits(input, target, weight, size_average, reduce, reduction, pos_weight)

    how = reduction if size_average is None and reduce is None else legacy_get_string(size_average, reduce)
    if not _takes(input, target, weight, pos_weight) or how not in _REDUCTIONS:
        return theirs()
    if target.dtype != input.dtype or target.shape != input.shape or input.numel() == 0:
        return theirs()
    for given in (weight, pos_weight):
        if given is not None and given.dtype != input.dtype:
            return theirs()
    if weight is not None and not _broadcasts(weight, input):
        return theirs()
    if input.dim() < 2 and (weight is not None or pos_weight is not None):
        # One row, whose classes the weights are of.
        losses = binary_cross_entropy_with_logits(
            input.reshape(1, -1), target.reshape(1, -1), weight, reduction=how, pos_weight=pos_weight
        )
        return losses.reshape(input.shape) if how == "none" else losses
    options: _Options = (("preset", "pytorch"), ("reduction", how))
    axes = [_axis_of(given, input) for given in (pos_weight, weight) if given is not None]
    if axes[:1] == [None] and pos_weight is not None:
        return theirs()
    if weight is not None and (axes[-1] is None or axes[0] != axes[-1]):
        losses = binary_cross_entropy_with_logits(input, target, reduction="none", pos_weight=pos_weight) * weight
        return losses if how == "none" else losses.mean() if how == "mean" else losses.sum()
    weights: dict[str, Tensor] = {}
    if pos_weight is not None:
        weights["pos_weight"] = pos_weight.reshape(-1)
    if weight is not None:
        weights["class_weights"] = weight.reshape(-1).expand(input.shape[axes[0]])
    if axes:
        options += (("axis", axes[0]),)
    return _ours_or(theirs, "sigmoid_cross_entropy", input, target, options, None, weights)


def multilabel_soft_margin_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    *,
    fallback: bool = False,
) -> Tensor:
    """``torch.nn.functional.multilabel_soft_margin_loss``, with its arguments; the classes are on the last axis.

    >>> multilabel_soft_margin_loss(torch.tensor([[0.0, 100.0]]), torch.tensor([[1.0, 1.0]]))
    tensor(0.3466)
    """

    def theirs() -> Tensor:
        _check_device("multilabel_soft_margin_loss", fallback, input, target, weight)
        return F.multilabel_soft_margin_loss(input, target, weight, size_average, reduce, reduction)

    how = reduction if size_average is None and reduce is None else legacy_get_string(size_average, reduce)
    if not _takes(input, target, weight) or how not in _REDUCTIONS or input.dim() == 0 or input.numel() == 0:
        return theirs()
    if target.dtype != input.dtype or target.shape != input.shape:
        return theirs()
    weights: dict[str, Tensor] = {}
    if weight is not None:
        if weight.dtype != input.dtype or weight.shape[:-1].numel() != 1 or _axis_of(weight, input) != input.dim() - 1:
            return theirs()
        weights["class_weights"] = weight.reshape(-1).expand(input.shape[-1])
    options = (("nothing_valid", "nan"), ("reduction", how))
    axis = input.dim() - 1
    return _ours_or(theirs, "multi_label_soft_margin", input, target, options, axis, weights)


def sigmoid_focal_loss(
    inputs: Tensor,
    targets: Tensor,
    alpha: float = 0.25,
    gamma: float = 2,
    reduction: str = "none",
    *,
    fallback: bool = False,
) -> Tensor:
    """torchvision's ``sigmoid_focal_loss``, with its arguments: a negative ``alpha`` is none.

    >>> sigmoid_focal_loss(torch.tensor([0.0]), torch.tensor([1.0]), reduction="mean")
    tensor(0.0433)
    """

    def theirs() -> Tensor:
        _check_device("sigmoid_focal_loss", fallback, inputs, targets)
        p = torch.sigmoid(inputs)
        loss = F.binary_cross_entropy_with_logits(inputs, targets, reduction="none")
        loss = loss * (1 - (p * targets + (1 - p) * (1 - targets))) ** gamma
        if alpha >= 0:
            loss = (alpha * targets + (1 - alpha) * (1 - targets)) * loss
        if reduction not in _REDUCTIONS:
            raise ValueError(f"reduction: expected none, mean or sum, found {reduction}")
        return loss if reduction == "none" else loss.mean() if reduction == "mean" else loss.sum()

    if not _takes(inputs, targets) or reduction not in _REDUCTIONS or inputs.numel() == 0:
        return theirs()
    if targets.dtype != inputs.dtype or targets.shape != inputs.shape:
        return theirs()
    options: _Options = (("preset", "pytorch"), ("reduction", reduction), ("focal_gamma", float(gamma)))
    if alpha >= 0:
        options += (("focal_alpha", float(alpha)),)
    return _ours_or(theirs, "sigmoid_cross_entropy", inputs, targets, options, None, {})


def kl_div_with_logits(
    input: Tensor, target: Tensor, temperature: float = 1.0, reduction: str = "batchmean", *, fallback: bool = False
) -> Tensor:
    """``τ² KL(softmax(target / τ) ‖ softmax(input / τ))``, both from logits: the loss of distillation.

    It is ``F.kl_div(F.log_softmax(input / τ, 1), F.softmax(target / τ, 1), reduction="batchmean") * τ ** 2`` in one pass.
    Rows that are equal have a loss of zero; close ones lose digits, as the difference of two cross-entropies does.

    Args:
        input: The student's logits, shape ``(C,)``, ``(N, C)`` or ``(N, C, d1, …)``.
        target: The teacher's, of that shape; they get no gradient.
        temperature: τ.
        reduction: ``"batchmean"`` (the sum divided by ``N``), ``"sum"``, or ``"none"`` for the loss of each row.

    Raises:
        ValueError: There is no such reduction.

    >>> kl_div_with_logits(torch.tensor([[1.0, 0.0, -1.0]]), torch.tensor([[3.0, 0.0, -3.0]]), temperature=2.0)
    tensor(0.7418)
    """
    if reduction not in ("batchmean", "sum", "none"):
        raise ValueError(f"reduction: expected batchmean, sum or none, found {reduction}")
    axis = 0 if input.dim() == 1 else 1
    rows = input.shape[0] if input.dim() > 1 else 1

    def theirs() -> Tensor:
        _check_device("kl_div_with_logits", fallback, input, target)
        student, teacher = F.log_softmax(input / temperature, axis), F.log_softmax(target / temperature, axis)
        losses = F.kl_div(student, teacher, reduction="none", log_target=True).sum(axis) * temperature**2
        return losses if reduction == "none" else losses.sum() / (rows if reduction == "batchmean" else 1)

    if not _takes(input, target) or target.shape != input.shape or input.dim() == 0 or input.numel() == 0:
        return theirs()
    how = "none" if reduction == "none" else "sum"
    options = (("temperature", float(temperature)), ("axis", axis), ("reduction", how))
    loss = _ours_or(theirs, "distillation", input, target, options, axis, {})
    return loss / rows if reduction == "batchmean" and rows != 1 else loss


class _LinearLoss(torch.autograd.Function):
    """The loss of a layer with the gradients of its inputs, weights and bias."""

    @staticmethod
    def forward(
        ctx: Any,
        input: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        target: Tensor,
        class_weights: Tensor | None,
        options: dict[str, Any],
        dtype: torch.dtype,
    ) -> Tensor:
        tensors = input, weight, bias, target, class_weights
        loss, ctx.grads = _compute_linear(*tensors, options, dtype, True)
        ctx.save_for_backward(*tensors)
        ctx.options, ctx.dtype = options, input.dtype
        return loss

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        _refuse_second_derivatives()
        grads, ctx.grads = ctx.grads, None
        if grads is None:
            _, grads = _compute_linear(*ctx.saved_tensors, ctx.options, ctx.dtype, True)
        factor = upstream.item()
        # In float32, if the layer has 16 bits: small numbers are scaled before they are rounded.
        scaled = [grad if grad is None or factor == 1.0 else grad.mul_(factor) for grad in grads]
        return *(grad if grad is None else grad.to(ctx.dtype) for grad in scaled), None, None, None, None


def _compute_linear(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    target: Tensor,
    class_weights: Tensor | None,
    options: dict[str, Any],
    dtype: torch.dtype,
    want_grad: bool,
) -> tuple[Tensor, list[Tensor | None]]:
    of_bias, of_classes = (None if tensor is None else _array(tensor) for tensor in (bias, class_weights))
    given = (_array(input), _array(weight), _array(target), of_bias)
    try:
        value, grads = _xent.linear_cross_entropy(*given, class_weights=of_classes, grad=want_grad, **options)
    except (TypeError, ValueError) as error:
        raise _NotTaken(str(error)) from error
    tensors = [None if grad is None else torch.from_numpy(grad) for grad in grads]
    if isinstance(value, float):
        return torch.scalar_tensor(value, dtype=dtype), tensors
    return torch.from_numpy(np.asarray(value)).to(dtype), tensors


def linear_cross_entropy(
    input: Tensor,
    linear_weight: Tensor,
    target: Tensor,
    *,
    linear_bias: Tensor | None = None,
    weight: Tensor | None = None,
    reduction: str = "mean",
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
    options: Any = None,
    fallback: bool = False,
) -> Tensor:
    """``torch.nn.functional.linear_cross_entropy`` of PyTorch 2.15, with its arguments: a layer and its loss in one.

    The logits are made some rows at a time and are never in memory as a whole. ``options``, which say how PyTorch cuts its work,
    have no effect. ``reduction="none"`` with a gradient and classes on more than one axis are PyTorch's to compute.

    >>> x, w = torch.eye(2), torch.tensor([[2.0, 0.0], [0.0, 3.0], [1.0, 1.0]])
    >>> linear_cross_entropy(x, w, torch.tensor([0, 1]))
    tensor(0.2887)
    """

    def theirs() -> Tensor:
        _check_device("linear_cross_entropy", fallback, input, linear_weight, target, linear_bias, weight)
        of_torch = getattr(F, "linear_cross_entropy", None)
        if of_torch is not None:
            return of_torch(
                input,
                linear_weight,
                target,
                linear_bias=linear_bias,
                weight=weight,
                reduction=reduction,
                ignore_index=ignore_index,
                label_smoothing=label_smoothing,
                options=options,
            )
        logits = F.linear(input, linear_weight.reshape(-1, linear_weight.shape[-1]), _flat(linear_bias))
        logits = logits.reshape(*input.shape[:-1], *linear_weight.shape[:-1])
        label = -100 if ignore_index is None else ignore_index
        return F.cross_entropy(
            logits, target, weight, reduction=reduction, ignore_index=label, label_smoothing=label_smoothing
        )

    layer = [tensor for tensor in (input, linear_weight, linear_bias) if tensor is not None]
    want_grad = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in layer)
    if not all(_takes(tensor, target, weight) and tensor.dtype == input.dtype for tensor in layer):
        return theirs()
    if torch.compiler.is_compiling() or reduction not in _REDUCTIONS or (reduction == "none" and want_grad):
        return theirs()
    if input.dim() != 2 or linear_weight.dim() != 2 or input.shape[1] != linear_weight.shape[1]:
        return theirs()
    if linear_bias is not None and linear_bias.shape != linear_weight.shape[:1]:
        return theirs()
    if target.dtype != torch.int64 or target.shape != input.shape[:1] or input.numel() == 0:
        return theirs()
    if not _are_of_classes(weight, input.dtype, linear_weight.shape[0]):
        return theirs()
    given: dict[str, Any] = {"preset": "pytorch", "reduction": reduction, "label_smoothing": label_smoothing}
    if ignore_index is not None:
        given["ignore_index"] = ignore_index
    call = (input, linear_weight, linear_bias, target, weight, given, _result_type("softmax_cross_entropy", input))
    try:
        return _LinearLoss.apply(*call) if want_grad else _compute_linear(*call, False)[0]
    except _NotTaken:
        return theirs()


def _flat(bias: Tensor | None) -> Tensor | None:
    return None if bias is None else bias.reshape(-1)


class CrossEntropyLoss(nn.CrossEntropyLoss):
    """``torch.nn.CrossEntropyLoss``, by :func:`cross_entropy`.

    >>> CrossEntropyLoss(label_smoothing=0.1)(torch.tensor([[1.0, 0.0]]), torch.tensor([0]))
    tensor(0.3633)
    """

    #: Whether tensors of other devices are handed to PyTorch: set it on the module.
    fallback = False

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return cross_entropy(
            input,
            target,
            self.weight,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
            label_smoothing=self.label_smoothing,
            fallback=self.fallback,
        )


class BCEWithLogitsLoss(nn.BCEWithLogitsLoss):
    """``torch.nn.BCEWithLogitsLoss``, by :func:`binary_cross_entropy_with_logits`."""

    #: Whether tensors of other devices are handed to PyTorch: set it on the module.
    fallback = False

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return binary_cross_entropy_with_logits(
            input, target, self.weight, pos_weight=self.pos_weight, reduction=self.reduction, fallback=self.fallback
        )


class NLLLoss(nn.NLLLoss):
    """``torch.nn.NLLLoss``, by :func:`nll_loss`."""

    #: Whether tensors of other devices are handed to PyTorch: set it on the module.
    fallback = False

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return nll_loss(
            input, target, self.weight, ignore_index=self.ignore_index, reduction=self.reduction, fallback=self.fallback
        )


class MultiLabelSoftMarginLoss(nn.MultiLabelSoftMarginLoss):
    """``torch.nn.MultiLabelSoftMarginLoss``, by :func:`multilabel_soft_margin_loss`."""

    #: Whether tensors of other devices are handed to PyTorch: set it on the module.
    fallback = False

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return multilabel_soft_margin_loss(input, target, self.weight, reduction=self.reduction, fallback=self.fallback)


if hasattr(nn, "LinearCrossEntropyLoss"):

    class LinearCrossEntropyLoss(nn.LinearCrossEntropyLoss):
        """``torch.nn.LinearCrossEntropyLoss`` of PyTorch 2.15, by :func:`linear_cross_entropy`."""

        #: Whether tensors of other devices are handed to PyTorch: set it on the module.
        fallback = False

        def forward(self, input: Tensor, target: Tensor) -> Tensor:
            weight, bias = self.linear.weight, self.linear.bias
            if self.out_features:
                axes = (self.num_classes, *self.out_features)
                weight = weight.reshape(*axes, -1)
                bias = None if bias is None else bias.reshape(axes)
            return linear_cross_entropy(
                input,
                weight,
                target,
                linear_bias=bias,
                weight=self.weight,
                reduction=self.reduction,
                ignore_index=self.ignore_index,
                label_smoothing=self.label_smoothing,
                options=self.options,
                fallback=self.fallback,
            )
