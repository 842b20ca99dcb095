"""The compiled part of the package."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

VERSION: str

class Loss:
    """A loss with its options, which were read once."""

    def __init__(self, loss: str | Callable[..., Any], **options: Any) -> None: ...

def value(loss: Loss | str | Callable[..., Any], logits: ArrayLike, targets: Any, **options: Any) -> float | np.ndarray:
    """The loss: a float, or with ``reduction="none"`` an array."""

def value_and_grad(
    loss: Loss | str | Callable[..., Any], logits: ArrayLike, targets: Any, *, out: Any = None, **options: Any
) -> tuple[float | np.ndarray, Any]:
    """The loss and its gradient."""

def evaluate(loss: Loss | str | Callable[..., Any], logits: ArrayLike, targets: Any, **options: Any) -> dict[str, Any]:
    """All results of a pass, by name."""

def linear_cross_entropy(
    inputs: ArrayLike, weights: ArrayLike, targets: ArrayLike, bias: ArrayLike | None = None, **options: Any
) -> tuple[float | np.ndarray, list[np.ndarray | None]]:
    """A linear layer and the softmax cross-entropy of its logits in one."""

def softmax(logits: ArrayLike, *, axis: int = -1) -> np.ndarray:
    """The probabilities of each row."""

def log_softmax(logits: ArrayLike, *, axis: int = -1) -> np.ndarray:
    """The logarithms of the probabilities of each row."""

def log_sum_exp(logits: ArrayLike, *, axis: int = -1) -> np.ndarray:
    """The log-sum-exp of each row."""

def set_num_threads(threads: int) -> None:
    """Sets the number of threads that large batches are computed on."""

def get_num_threads() -> int:
    """The number of threads that large batches are computed on."""

def after_fork() -> None:
    """Tells a forked process that the threads of its parent are not there."""

def levels() -> list[str]:
    """The instruction sets that the losses are compiled for and this processor has, the best last."""
