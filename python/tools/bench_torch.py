"""Times of `xent.torch` next to PyTorch's, eager and compiled: forward and backward.

    python python/tools/bench_torch.py [--threads 2] [--runs 15]

Each case runs xent, PyTorch and (for the larger ones) torch.compile in turn, and prints medians and how many times faster xent is.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
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


def peak(side: str) -> int:
    """Bytes above the inputs that forward and backward of 512 × 32000 take, in a process of its own."""
    program = f"""
import re, torch, torch.nn.functional as F
from xent import torch as X
most = lambda: int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1])
function = {"X" if side == "xent" else "F"}.cross_entropy
function(torch.randn(64, 32000, requires_grad=True), torch.zeros(64, dtype=torch.int64)).backward()
x, y = torch.randn(512, 32000, requires_grad=True), torch.randint(0, 32000, (512,))
before = most()
function(x, y).backward()
print((most() - before) * 1024)
"""
    return int(subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout)


def digits(function) -> tuple[float, float]:
    """Seconds and accuracy of three epochs of a network for handwritten digits."""
    from sklearn.datasets import load_digits

    torch.manual_seed(0)
    data = load_digits()
    x, y = torch.tensor(data.data, dtype=torch.float32) / 16, torch.tensor(data.target)
    network = torch.nn.Sequential(torch.nn.Linear(64, 32), torch.nn.ReLU(), torch.nn.Linear(32, 10))
    optimiser = torch.optim.Adam(network.parameters(), lr=0.01)
    started = time.perf_counter()
    for _ in range(3):
        for rows in torch.arange(1437).split(32):
            optimiser.zero_grad()
            function(network(x[rows]), y[rows]).backward()
            optimiser.step()
    seconds = time.perf_counter() - started
    with torch.no_grad():
        return seconds, (network(x[1437:]).argmax(1) == y[1437:]).float().mean().item()


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

    runs = [(digits(X.cross_entropy), digits(F.cross_entropy)) for _ in range(5)]
    ratio = statistics.median(theirs[0] / ours[0] for ours, theirs in runs)
    ours, theirs = runs[0]
    print(f"3 epochs of digits: accuracy {ours[1]:.4f}, PyTorch {theirs[1]:.4f}; {ratio:.2f} times as fast", flush=True)
    sides = [peak("xent"), peak("PyTorch")]
    print(f"512 × 32000, bytes above the inputs: {sides[0]}, PyTorch {sides[1]}: {sides[0] / sides[1]:.2f}", flush=True)

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
            torch._dynamo.reset()
            calls = {
                "xent": step(ours, x, *arguments, **options),
                "PyTorch": step(theirs, x, *arguments, **options),
                "compiled": step(torch.compile(theirs), x, *arguments, **options),
            }
            row(f"{rows} × {classes}, {name}", compared(calls, given.runs, 1))


if __name__ == "__main__":
    main()
