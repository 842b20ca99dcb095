"""The losses in NumPy's float64, as their formulas are written: what the tests compare with."""

from __future__ import annotations

import numpy as np


def log_softmax(x):
    """Of the last axis."""
    shifted = x - x.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def softmax(x):
    """Of the last axis."""
    return np.exp(log_softmax(x))


def sigmoid(x):
    """1 / (1 + e^-x), without overflow."""
    small = np.exp(-np.abs(x))
    return np.where(x >= 0, 1.0, small) / (1.0 + small)


def softplus(x):
    """ln(1 + e^x), without overflow."""
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


def one_hot(labels, classes):
    """Rows of zero with a one at the label; no one for a label that is not a class."""
    return (np.asarray(labels)[..., None] == np.arange(classes)).astype(np.float64)


def _capped(x, cap):
    """Logits under a soft cap, and the factor of their gradient."""
    if cap is None:
        return x, 1.0
    capped = cap * np.tanh(x / cap)
    return capped, 1 - (capped / cap) ** 2


def softmax_rows(x, t, *, w=None, smoothing=0.0, gamma=None, z_loss=0.0, cap=None):
    """The loss of each row, and its gradient; dense targets t."""
    x, factor = _capped(x, cap)
    classes = x.shape[-1]
    w = np.ones(classes) if w is None else w
    s = log_softmax(x)
    p = np.exp(s)
    if gamma is None:
        weight = w * ((1 - smoothing) * t + smoothing / classes)
        losses = -(weight * s).sum(axis=-1)
        grad = p * weight.sum(axis=-1, keepdims=True) - weight
    else:
        # Of a label: t is one-hot.
        at = (t * s).sum(axis=-1, keepdims=True)
        of = (t * w).sum(axis=-1, keepdims=True)
        p_y = np.exp(at)
        losses = (-of * (1 - p_y) ** gamma * at)[..., 0]
        slope = gamma * (1 - p_y) ** (gamma - 1) * p_y * at - (1 - p_y) ** gamma if gamma else -np.ones_like(at)
        grad = of * slope * (t - p)
    lse = np.log(np.exp(x - x.max(axis=-1, keepdims=True)).sum(axis=-1)) + x.max(axis=-1)
    losses = losses + z_loss * lse**2
    grad = grad + 2 * z_loss * lse[..., None] * p
    return losses, grad * factor


def multi_label_softmax_rows(x, y, *, w=None, z_loss=0.0, caffe=False):
    """(1 / M) Σ w_c y_c (-s_c)."""
    count = np.maximum((y != 0).sum(axis=-1, keepdims=True), 1)
    losses, grad = softmax_rows(x, y / count, w=w, z_loss=z_loss)
    return losses, softmax(x) - (y != 0) / count if caffe else grad


def distillation_rows(x, teacher, *, temperature=1.0, w=None):
    """τ² Σ w_c q_c (ln q_c - ln p_c)."""
    q, s = log_softmax(teacher / temperature), log_softmax(x / temperature)
    w = np.ones(x.shape[-1]) if w is None else w
    weight = w * np.exp(q)
    losses = temperature**2 * (weight * (q - s)).sum(axis=-1)
    return losses, temperature * (np.exp(s) * weight.sum(axis=-1, keepdims=True) - weight)


def sigmoid_elements(x, y, *, w=1.0, pos=1.0, smoothing=0.0, gamma=None, alpha=None):
    """The loss of each element, and its gradient."""
    y = (1 - smoothing) * y + smoothing / 2
    losses = (1 - y) * softplus(x) + pos * y * softplus(-x)
    grad = (1 - y) * sigmoid(x) - pos * y * sigmoid(-x)
    if gamma is not None:
        p = sigmoid(x)
        p_t = p * y + (1 - p) * (1 - y)
        a_t = 1.0 if alpha is None else alpha * y + (1 - alpha) * (1 - y)
        slope = p * (1 - p) * (2 * y - 1)
        grad = a_t * ((1 - p_t) ** gamma * grad - gamma * (1 - p_t) ** (gamma - 1) * slope * losses)
        losses = a_t * (1 - p_t) ** gamma * losses
    return w * losses, w * grad


def logistic_elements(p, y, *, w=1.0, pos=1.0):
    """The loss of each probability, and its gradient."""
    with np.errstate(divide="ignore"):
        losses = -pos * y * np.maximum(np.log(p), -100) - (1 - y) * np.maximum(np.log1p(-p), -100)
    # PyTorch's constant, which is a float32 there.
    smallest = np.float64(np.float32(1e-12))
    grad = (p * (1 - y + pos * y) - pos * y) / np.maximum(p * (1 - p), smallest)
    return w * losses, w * grad


def likelihood_rows(lp, t, *, w=None):
    """-w_y lp_y of one-hot targets."""
    weight = t * (1.0 if w is None else w)
    return -(weight * np.where(t == 0, 0, lp)).sum(axis=-1), -weight


def multinomial_rows(p, t, *, w=None):
    """-w_y ln max(p_y, 1e-20) of one-hot targets."""
    weight = t * (1.0 if w is None else w)
    p = np.maximum(p, 1e-20)
    return -(weight * np.log(p)).sum(axis=-1), -weight / p
