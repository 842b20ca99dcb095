"""The worst errors of PyTorch and JAX (with optax) in f32, over the rows that `cargo xtask ulp --export FOLDER`
wrote and every 257th float: `python benches/peers/accuracy.py FOLDER`.

Prints a line of Markdown for each function: the largest error in ULP, and the error that is the largest multiple
of xent's bound for that result. The oracle is NumPy's f64.
"""

import re
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import torch
import torch.nn.functional as F

U = 2.0**-24


def spacing(x):
    """The spacing of floats around x."""
    return np.spacing(np.maximum(np.abs(x), 2.0**-126).astype(np.float32)).astype(np.float64)


def ulp(got, exact, scale=0.0):
    with np.errstate(all="ignore"):
        size = np.maximum(np.abs(exact), scale)
        error = np.abs(got.astype(np.float64) - exact) / spacing(np.minimum(size, 3.4028234663852886e38))
        same = (got.astype(np.float64) == exact) | (np.isinf(got) & (np.abs(exact) >= 3.4028235677973366e38))
        return np.where(same, 0.0, error)


class Row:
    """f64 results of softmax rows, and the distances that their bounds allow for."""

    def __init__(self, x, q, label):
        x = x.astype(np.float64)
        m = x.max(axis=1, keepdims=True)
        first = x.argmax(axis=1)
        rows = np.arange(len(x))
        d = m - x
        e = np.exp(-d)
        rest = e.copy()
        rest[rows, first] = 0.0
        others = rest.sum(axis=1)
        with np.errstate(invalid="ignore", divide="ignore"):
            self.others = np.where(others > 0, (rest * d).sum(axis=1) / others, 0.0)
        self.mean = np.maximum((e * d).sum(axis=1) / (1 + others), self.others)
        self.d = d
        total = q.sum(axis=1)
        self.loss = total * np.log1p(others) + (q * d).sum(axis=1)
        p = e / (1 + others)[:, None]
        self.grad = total[:, None] * p - q
        self.scale = np.maximum(total[:, None] * p, np.abs(q))
        if label is not None:
            # Without cancellation: minus the sum of the others.
            rest = e.copy()
            rest[rows, label] = 0.0
            self.grad[rows, label] = -rest.sum(axis=1) / (1 + others)
            self.scale = np.abs(self.grad)


def report(name, results):
    """Each result is what was judged, by peer: error, bound."""
    cells = []
    count = 0
    for peer in ("PyTorch", "JAX"):
        errors = [np.ravel(error) for error, _ in results[peer]]
        shares = [np.ravel(error / bound) for error, bound in results[peer]]
        count = sum(len(error) for error in errors)
        cells.append(f"{max(e.max() for e in errors):.4g} ({max(s.max() for s in shares):.4g})")
    print(f"| {name} | {count:,} | {' | '.join(cells)} |", flush=True)


def numpy_of(tensor):
    return tensor.detach().numpy() if isinstance(tensor, torch.Tensor) else np.asarray(tensor)


def elementwise():
    every = np.arange(0, 2**32, 257, dtype=np.uint64).astype(np.uint32).view(np.float32)
    finite = every[np.isfinite(every)]
    with np.errstate(all="ignore"):
        sigmoid = lambda x: np.where(x > 0, 1 / (1 + np.exp(-x)), np.exp(x) / (1 + np.exp(x)))
        for name, x, exact, of_torch, of_jax, bound in [
            ("exp", finite, np.exp, torch.exp, jnp.exp, 1.0),
            ("ln", finite[finite > 0], np.log, torch.log, jnp.log, 2.0),
            ("log1p", finite[(finite >= 0) & (finite <= 1)], np.log1p, torch.log1p, jnp.log1p, 2.0),
            ("sigmoid", finite[np.abs(finite) < 700], sigmoid, torch.sigmoid, jax.nn.sigmoid, 4.0),
        ]:
            exact = exact(x.astype(np.float64))
            peers = {"PyTorch": of_torch(torch.from_numpy(x)), "JAX": jax.jit(of_jax)(x)}
            report(name, {peer: [(ulp(numpy_of(got), exact), bound)] for peer, got in peers.items()})


def of_torch(loss, x, y):
    x = torch.from_numpy(x).requires_grad_()
    losses = loss(x, torch.from_numpy(y))
    losses.sum().backward()
    return numpy_of(losses), numpy_of(x.grad)


def of_jax(loss, x, y):
    losses, back = jax.vjp(lambda x: loss(x, y), x)
    return np.asarray(losses), np.asarray(back(jnp.ones_like(losses))[0])


def losses(folder):
    softmax = {
        "softmax-index": (
            lambda x, y: F.cross_entropy(x, y, reduction="none"),
            jax.jit(optax.softmax_cross_entropy_with_integer_labels),
        ),
        "softmax-dense": (
            lambda x, y: F.cross_entropy(x, y, reduction="none"),
            jax.jit(optax.softmax_cross_entropy),
        ),
    }
    for name, peers in softmax.items():
        loss, grad, total = [{"PyTorch": [], "JAX": []} for _ in range(3)]
        for path in sorted(folder.glob(f"{name}-*-logits.npy")):
            x = np.load(path)
            is_index = name == "softmax-index"
            y = np.load(re.sub("logits", "labels" if is_index else "targets", str(path)))
            y = y.astype(np.int64) if is_index else y
            q = np.zeros(x.shape) if is_index else y.astype(np.float64)
            if is_index:
                q[np.arange(len(x)), y] = 1.0
            row = Row(x, q, y if is_index else None)
            for peer, of, call in (("PyTorch", of_torch, peers[0]), ("JAX", of_jax, peers[1])):
                got_loss, got_grad = of(call, x, y)
                loss[peer].append((ulp(got_loss, row.loss), 4 + row.others))
                bound = 4 + row.d + row.mean[:, None]
                grad[peer].append((ulp(got_grad, row.grad, row.scale), bound))
                largest = np.maximum(np.abs(got_grad).max(axis=1), 2.0**-126).astype(np.float64)
                unit = x.shape[1] * U * largest
                total[peer].append((np.abs(got_grad.astype(np.float64).sum(axis=1)) / unit, 1.0))
        of = name.replace("-", " ")
        report(f"{of}, loss", loss)
        report(f"{of}, gradient", grad)
        if name == "softmax-index":
            report(f"{of}, Σ gradient", total)
    loss, grad = [{"PyTorch": [], "JAX": []} for _ in range(2)]
    for path in sorted(folder.glob("sigmoid-*-logits.npy")):
        x, y = np.load(path), np.load(re.sub("logits", "targets", str(path)))
        keep = np.abs(x) < 700
        x, y = x[keep], y[keep]
        wide, target = x.astype(np.float64), y.astype(np.float64)
        softplus = lambda x: np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))
        sigmoid = lambda x: np.exp(-softplus(-x))
        exact = target * softplus(-wide) + (1 - target) * softplus(wide)
        up, down = (1 - target) * sigmoid(wide), target * sigmoid(-wide)
        for peer, of, call in (
            ("PyTorch", of_torch, lambda x, y: F.binary_cross_entropy_with_logits(x, y, reduction="none")),
            ("JAX", of_jax, jax.jit(optax.sigmoid_binary_cross_entropy)),
        ):
            got_loss, got_grad = of(call, x, y)
            loss[peer].append((ulp(got_loss, exact), 4.0))
            grad[peer].append((ulp(got_grad, up - down, np.maximum(up, down)), 5.0))
    report("sigmoid, loss", loss)
    report("sigmoid, gradient", grad)


print(f"PyTorch {torch.__version__}, JAX {jax.__version__}, optax {optax.__version__}")
print("| function | results | PyTorch | JAX |\n|---|---:|---:|---:|")
elementwise()
losses(Path(sys.argv[1]))
