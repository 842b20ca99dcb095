"""JAX's loss and gradient with optax, compiled by XLA: `python benches/peers/jax_optax.py`.

XLA_FLAGS=--xla_cpu_max_isa=AVX2 restricts it to AVX2. It uses as many threads as the process may run on
(`taskset`), which this script sets if the system supports that.
"""

import os

from common import GAMMA, SMOOTHING, arguments, measure

options = arguments(__doc__, ["jit"])
if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: options.threads])

import jax  # noqa: E402  (after the affinity, from which XLA takes its number of threads)
import jax.numpy as jnp  # noqa: E402
import optax  # noqa: E402


def softmax(x, y, w):
    return optax.softmax_cross_entropy_with_integer_labels(x, y).mean()


def dense(x, y, w):
    return optax.softmax_cross_entropy(x, y).mean()


def smoothed_weighted(x, y, w):
    """PyTorch's loss."""
    q = optax.smooth_labels(jax.nn.one_hot(y, x.shape[1]), SMOOTHING) * w
    return optax.softmax_cross_entropy(x, q).sum() / w[y].sum()


def focal(x, y, w):
    """optax has no softmax focal loss; this is the usual code."""
    losses = optax.softmax_cross_entropy_with_integer_labels(x, y)
    return ((1 - jnp.exp(-losses)) ** GAMMA * losses).mean()


def sigmoid(x, y, w):
    return optax.sigmoid_binary_cross_entropy(x, y).mean()


def pos_weight(x, y, w):
    """PyTorch's formula, since optax's with a weight takes longer."""
    softplus = jnp.log1p(jnp.exp(-jnp.abs(x))) + jnp.maximum(-x, 0)
    return ((1 - y) * x + (1 + (w - 1) * y) * softplus).mean()


def sigmoid_focal(x, y, w):
    """The usual code, since `optax.sigmoid_focal_loss` takes more than twice as long."""
    p = jax.nn.sigmoid(x)
    p_t = p * y + (1 - p) * (1 - y)
    return (optax.sigmoid_binary_cross_entropy(x, y) * (1 - p_t) ** GAMMA).mean()


LOSSES = {
    "softmax/loss_and_grad": softmax,
    "softmax/dense": dense,
    "softmax/smoothed_weighted": smoothed_weighted,
    "softmax/focal": focal,
    "sigmoid/loss_and_grad": sigmoid,
    "sigmoid/pos_weight": pos_weight,
    "sigmoid/focal": sigmoid_focal,
}


def prepare(name, logits, targets, weights):
    x, y, w = (jax.device_put(values) for values in (logits, targets, weights))
    both = jax.jit(jax.value_and_grad(LOSSES[name]))
    return lambda: jax.block_until_ready(both(x, y, w))


measure(options, f"JAX {jax.__version__} jit", prepare)
