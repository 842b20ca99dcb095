"""Times of `xent.torch` next to PyTorch's, eager and compiled: forward and backward.

    python python/tools/bench_torch.py [--threads 2] [--runs 15]

Each case runs xent, PyTorch and (for the larger ones) torch.compile in turn, and prints medians and how many times faster xent is.
"""

from __future__ import annotations

import argparse
import statistics
import time

import numpy as np
import torch
import torch.nn.functional as F

import xent
from xent import torch as X


def timed(call, count: int) -> float:
    started = time.perf_counter()
    for _ in range(count):
        call()
    return (time.perf_counter() - started) / count


def compared(calls: dict[str, object], runs: int, count: int) -> dict[str, list[float]]:
    times = {name: [] for name in calls}
    for call in calls.values():
        call()
        call()
    for _ in range(runs):
        for name, call in calls.items():
            times[name].append(timed(call, count))
    return times


def step(function, x, *arguments, **options):
    def run():
        x.grad = None
        function(x, *arguments, **options).backward()

    return run


def row(name: str, times: dict[str, list[float]]) -> None:
    middle = {of: statistics.median(values) for of, values in times.items()}
    ours = times["xent"]
    text = f"| {name} | {middle['xent'] * 1e6:.1f} |"
    for of, values in times.items():
        if of != "xent":
            ratio = statistics.median(b / a for a, b in zip(ours, values, strict=True))
            text += f" {of}: {middle[of] * 1e6:.1f} ({ratio:.2f}) |"
    print(text, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--runs", type=int, default=15)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    xent.set_num_threads(given.threads)
    torch.manual_seed(0)

    x, y = np.random.default_rng(0).standard_normal((8, 10), np.float32), np.arange(8) % 10
    calls = {"xent": lambda: xent.value_and_grad(xent.softmax_cross_entropy, x, y)}
    row("8 × 10, NumPy, value and gradient", compared(calls, given.runs, 5000))
    x, y = torch.randn(8, 10, requires_grad=True), torch.arange(8) % 10
    calls = {"xent": step(X.cross_entropy, x, y), "PyTorch": step(F.cross_entropy, x, y)}
    row("8 × 10, forward and backward", compared(calls, given.runs, 2000))

    for rows, classes in [(65536, 10), (4096, 1000), (512, 32000)]:
        x = torch.randn(rows, classes, requires_grad=True)
        y = torch.randint(0, classes, (rows,))
        weights = torch.rand(classes) + 0.5
        dense = torch.rand(rows, classes)
        cases = {
            "plain": (X.cross_entropy, F.cross_entropy, (y,), {}),
            "smoothed": (X.cross_entropy, F.cross_entropy, (y,), {"label_smoothing": 0.1}),
            "weighted": (X.cross_entropy, F.cross_entropy, (y,), {"weight": weights}),
            "dense": (X.cross_entropy, F.cross_entropy, (dense / dense.sum(1, keepdim=True),), {}),
            "BCE with pos_weight": (
                X.binary_cross_entropy_with_logits,
                F.binary_cross_entropy_with_logits,
                (dense,),
                {"pos_weight": weights},
            ),
        }
        for name, (ours, theirs, arguments, options) in cases.items():
            calls = {
                "xent": step(ours, x, *arguments, **options),
                "PyTorch": step(theirs, x, *arguments, **options),
                "compiled": step(torch.compile(theirs), x, *arguments, **options),
            }
            row(f"{rows} × {classes}, {name}", compared(calls, given.runs, 1))


if __name__ == "__main__":
    main()
