"""The last layer and its loss, with all gradients: `python benches/peers/linear.py --mode chunked`.

Modes: `plain` (linear, then cross_entropy), `chunked` (linear_cross_entropy with its chunks), `compile` (plain, by
torch.compile) of PyTorch, and `jax`.
"""

import json

import numpy as np

from common import arguments, median

SHAPES = [(1024, 1024, 32000), (4096, 512, 50257), (256, 2048, 128256), (8192, 256, 1000)]

options = arguments(__doc__, ["plain", "chunked", "compile", "jax"])


def peak_bytes(run):
    """The most memory of a call beyond what there was before it."""
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")
    before = status("VmRSS")
    run()
    return status("VmHWM") - before


def status(name):
    with open("/proc/self/status") as file:
        line = next(line for line in file if line.startswith(name))
    return int(line.split()[1]) * 1024


def torch_call(x, w, y):
    import torch
    import torch.nn.functional as F

    torch.set_num_threads(options.threads)
    x, w, y = torch.from_numpy(x).requires_grad_(), torch.from_numpy(w).requires_grad_(), torch.from_numpy(y)
    x.grad, w.grad = torch.zeros_like(x), torch.zeros_like(w)

    def plain(x, w, y):
        return F.cross_entropy(F.linear(x, w), y)

    def chunked(x, w, y):
        return F.linear_cross_entropy(x, w, y, options=torch.nn.LinearCrossEntropyOptions())

    loss = {"plain": plain, "chunked": chunked, "compile": torch.compile(plain)}[options.mode]

    def run():
        x.grad = w.grad = None
        loss(x, w, y).backward()

    return run, f"PyTorch {torch.__version__} {options.mode}"


def jax_call(x, w, y):
    import jax
    import jax.numpy as jnp
    import optax

    x, w, y = jnp.asarray(x), jnp.asarray(w), jnp.asarray(y.astype(np.int32))

    def loss(x, w):
        return optax.softmax_cross_entropy_with_integer_labels(x @ w.T, y).mean()

    gradient = jax.jit(jax.value_and_grad(loss, argnums=(0, 1)))
    return lambda: jax.block_until_ready(gradient(x, w)), f"JAX {jax.__version__} jit"


for rows, hidden, classes in SHAPES:
    name = f"linear/loss_and_grads {rows}x{hidden}x{classes}"
    if options.filter not in name:
        continue
    rng = np.random.default_rng(0)
    x = rng.standard_normal((rows, hidden), dtype=np.float32)
    w = rng.standard_normal((classes, hidden), dtype=np.float32) / np.float32(hidden**0.5)
    y = rng.integers(0, classes, rows)
    run, peer = (jax_call if options.mode == "jax" else torch_call)(x, w, y)
    seconds = median(run, options.seconds)
    line = {
        "peer": peer, "case": "linear/loss_and_grads", "rows": rows, "hidden": hidden, "classes": classes,
        "threads": options.threads, "seconds": seconds, "peak_bytes": peak_bytes(run),
    }
    print(json.dumps(line), flush=True)
