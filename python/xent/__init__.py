"""Fused cross-entropy losses: the loss and its gradient in one pass over the logits.

>>> import numpy as np, xent
>>> logits = np.array([[2.0, 1.0, 0.0], [0.0, 3.0, 0.0]], np.float32)
>>> loss, grad = xent.value_and_grad(xent.softmax_cross_entropy, logits, [0, 1])
>>> round(loss, 4), grad.dtype, grad.shape
(0.2513, dtype('float32'), (2, 3))

:mod:`xent.torch` has the losses of PyTorch under their own names, :mod:`xent.jax` functions for JAX, :mod:`xent.boosting`
objectives for XGBoost, LightGBM and CatBoost.
"""

from __future__ import annotations

import os as _os

from xent._losses import (
    Evaluation,
    distillation,
    evaluate,
    logistic_loss,
    multi_label_soft_margin,
    multi_label_softmax,
    multinomial_logistic,
    negative_log_likelihood,
    sigmoid_cross_entropy,
    softmax_cross_entropy,
)
from xent._versions import show_versions
from xent._xent import (
    VERSION as __version__,
    after_fork as _after_fork,
    get_num_threads,
    linear_cross_entropy,
    log_softmax,
    log_sum_exp,
    set_num_threads,
    softmax,
    value_and_grad,
)

# The threads of a process are not there in one that it forks.
if hasattr(_os, "register_at_fork"):
    _os.register_at_fork(after_in_child=_after_fork)

__all__ = [
    "Evaluation",
    "__version__",
    "distillation",
    "evaluate",
    "get_num_threads",
    "linear_cross_entropy",
    "log_softmax",
    "log_sum_exp",
    "logistic_loss",
    "multi_label_soft_margin",
    "multi_label_softmax",
    "multinomial_logistic",
    "negative_log_likelihood",
    "set_num_threads",
    "show_versions",
    "sigmoid_cross_entropy",
    "softmax",
    "softmax_cross_entropy",
    "value_and_grad",
]
