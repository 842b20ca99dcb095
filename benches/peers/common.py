"""Shared by the peers: the cases of `cargo xtask bench`, and their timing."""

import argparse
import json
import time

import numpy as np

ROWS = [(1048576, 2), (65536, 3), (65536, 10), (65536, 64), (4096, 1000), (512, 32000), (128, 128256), (16, 1000003)]
ELEMENTS = [(65536, 80), (1048576, 1), (65536, 10), (4096, 1000)]
# Loss and gradient of all of them. With an option, at most as many classes as a vocabulary has.
CASES = [("softmax/loss_and_grad", *shape) for shape in ROWS]
CASES += [(f"softmax/{option}", *shape) for option in ("smoothed_weighted", "focal", "dense") for shape in ROWS[:-1]]
CASES += [(f"sigmoid/{name}", *shape) for name in ("loss_and_grad", "pos_weight", "focal") for shape in ELEMENTS]

SMOOTHING = 0.1
GAMMA = 2.0


def arguments(description, modes):
    """The command line of a peer's script."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--mode", choices=modes, default=modes[0])
    parser.add_argument("--filter", default="", help='part of a name and shape, as in "softmax/loss_and_grad 65536x10"')
    parser.add_argument("--seconds", type=float, default=1.0, help="for each case")
    return parser.parse_args()


def data(name, rows, classes):
    """Normal logits; labels, or targets in [0, 1] (for dense softmax of sum one); and a weight for each class."""
    rng = np.random.default_rng(0)
    logits = rng.standard_normal((rows, classes), dtype=np.float32)
    if name.startswith("sigmoid") or name == "softmax/dense":
        targets = rng.random((rows, classes), dtype=np.float32)
        if name == "softmax/dense":
            targets /= targets.sum(axis=1, keepdims=True)
    else:
        targets = rng.integers(0, classes, rows)
    weights = rng.uniform(0.5, 1.5, classes).astype(np.float32)
    return logits, targets, weights


def median(run, seconds):
    """The median time of at least five calls, after two that do not count."""
    run()
    run()
    times, start = [], time.perf_counter()
    while len(times) < 5 or time.perf_counter() - start < seconds:
        before = time.perf_counter()
        run()
        times.append(time.perf_counter() - before)
    return sorted(times)[len(times) // 2]


def measure(options, peer, prepare):
    """Prints a JSON line for each case, like `cargo xtask bench --json`, with the time of NumPy's copy."""
    for name, rows, classes in CASES:
        if options.filter not in f"{name} {rows}x{classes}":
            continue
        logits, targets, weights = data(name, rows, classes)
        out = np.empty_like(logits)
        copy = median(lambda: np.copyto(out, logits), options.seconds / 4)
        took = median(prepare(name, logits, targets, weights), options.seconds)
        each = 1e9 / logits.size
        line = {
            "peer": peer, "case": name, "rows": rows, "classes": classes, "dtype": "f32",
            "threads": options.threads, "ns_per_element": took * each,
            "copy_ns_per_element": copy * each, "ratio_to_copy": took / copy,
        }
        print(json.dumps(line), flush=True)
