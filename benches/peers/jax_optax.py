"""JAX's loss and gradient with optax, compiled by XLA: `python benches/peers/jax_optax.py`.

XLA_FLAGS=--xla_cpu_max_isa=AVX2 holds it to AVX2; threads are those the process may run on
(`taskset`), which this script sets where the system can.
"""

import os

from common import arguments, measure

options = arguments(__doc__, ["jit"])
if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: options.threads])

import jax  # noqa: E402  (after the affinity, from which XLA takes its number of threads)
import optax  # noqa: E402


def softmax(x, y):
    return optax.softmax_cross_entropy_with_integer_labels(x, y).mean()


def sigmoid(x, y):
    return optax.sigmoid_binary_cross_entropy(x, y).mean()


def prepare(name, logits, targets):
    x, y = jax.device_put(logits), jax.device_put(targets)
    both = jax.jit(jax.value_and_grad(sigmoid if name.startswith("sigmoid") else softmax))
    return lambda: jax.block_until_ready(both(x, y))


measure(options, f"JAX {jax.__version__} jit", prepare)
