"""The batch that every peer is given, and the file for its results.

Every number of the batch is a small multiple of a power of two, so it is exact in f32, f64 and decimal
notation, whatever the package and its version.
"""

import json
import math
import os
from pathlib import Path

ROWS, CLASSES = 6, 5
LOGITS = [[((7 * r + 11 * c + 3 * r * c) % 33 - 16) / 4 for c in range(CLASSES)] for r in range(ROWS)]
LABELS = [2, 0, 4, 1, 3, 2]
IGNORED_ROWS = [1, 4]
CLASS_WEIGHTS = [1.0, 0.5, 2.0, 1.5, 0.25]
SAMPLE_WEIGHTS = [1.0, 0.5, 2.0, 0.25, 1.5, 3.0]
POS_WEIGHT = [1.0, 2.0, 0.5, 4.0, 1.5]
SMOOTHING = 0.125
# Dense targets: rows that sum to one, and rows that sum to 0.5, 2, 0 and so on.
DENSE = [[(0, 1, 2, 4, 9)[(r + 2 * c) % 5] / 16 for c in range(CLASSES)] for r in range(ROWS)]
UNEVEN = [[DENSE[r][c] * (0.5, 2.0, 1.0, 0.0, 1.5, 0.25)[r] for c in range(CLASSES)] for r in range(ROWS)]
# Targets of sigmoid losses: zero or one, and any values between.
BINARY = [[int(bit) for bit in row] for row in "10010 01101 00100 11000 00011 10110".split()]
SOFT = [[((2 * r + 3 * c) % 5) / 4 for c in range(CLASSES)] for r in range(ROWS)]

BATCH = {
    "logits": LOGITS,
    "labels": LABELS,
    "ignored_rows": IGNORED_ROWS,
    "class_weights": CLASS_WEIGHTS,
    "sample_weights": SAMPLE_WEIGHTS,
    "pos_weight": POS_WEIGHT,
    "smoothing": SMOOTHING,
    "dense": DENSE,
    "uneven": UNEVEN,
    "binary": BINARY,
    "soft": SOFT,
}

FOLDER = Path(__file__).resolve().parents[2] / "crates" / "xent-reference" / "peers"


def labels(ignored="none", value=None):
    """The labels; those of the ignored rows ("some") or of all rows ("all") are `value`."""
    rows = {"none": [], "some": IGNORED_ROWS, "all": range(ROWS)}[ignored]
    return [value if row in rows else label for row, label in enumerate(LABELS)]


def plain(value):
    """Numbers for JSON; NaN and infinities as words."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    value = float(value)
    if math.isnan(value):
        return "nan"
    return value if math.isfinite(value) else ("inf" if value > 0 else "-inf")


def flat(value):
    value = plain(value)
    if isinstance(value, list):
        return [number for item in value for number in (flat(item) if isinstance(item, list) else [item])]
    return value


class Record:
    """The results of one peer."""

    def __init__(self, name, preset, versions, fmt="f64"):
        self.name, self.preset, self.versions, self.format = name, preset, versions, fmt
        self.cases = []

    def case(self, name, loss, value, grad=None, reason=None, **setting):
        """Adds what the peer printed: the loss, reduced or for each row (element), and its gradient by
        the logits. `setting` has the inputs of the loss and the options that a caller of xent sets besides
        the preset; with a `reason` there is no such setting.
        """
        allowed = {
            "targets", "ignored", "ignore_index", "class_weights", "sample_weights", "pos_weight",
            "smoothing", "gamma", "alpha", "reduction", "mean_over", "nothing_valid", "format",
            "input",
        }
        assert set(setting) <= allowed, setting
        assert all(case["name"] != name for case in self.cases), name
        case = {"name": name, "loss": loss, **setting, "value": flat(value)}
        if grad is not None:
            case["grad"] = flat(grad)
        case["expressible"] = reason is None
        if reason is not None:
            case["reason"] = reason
        self.cases.append(case)
        shown = case["value"]
        print(f"{self.name}: {name}: {shown if not isinstance(shown, list) else shown[:2]}")

    def other_gradient(self, name, loss, value, grad, reason, **setting):
        """A loss that can be expressed, with a gradient that is not its derivative."""
        self.case(name, loss, value, **setting)
        self.case(f"{name}, gradient", loss, value, grad, reason, **setting)

    def write(self):
        FOLDER.mkdir(parents=True, exist_ok=True)
        head = {"peer": self.name, "preset": self.preset, "versions": self.versions, "format": self.format}
        dump(FOLDER / f"{self.name}.json", head, "cases", self.cases)


def dump(path, head, key, items):
    """JSON with one line for each case, so that a changed case is a changed line."""
    lines = json.dumps(head)[:-1] + f', "{key}": [\n'
    lines += ",\n".join(json.dumps(item) for item in items) + "\n]}\n"
    path.write_text(lines)


def quiet():
    """No messages about accelerators and threads on standard error."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
    os.environ.setdefault("JAX_PLATFORMS", "cpu")


if __name__ == "__main__":
    FOLDER.mkdir(parents=True, exist_ok=True)
    fields = ",\n".join(f"{json.dumps(name)}: {json.dumps(value)}" for name, value in BATCH.items())
    (FOLDER / "batch.json").write_text("{\n" + fields + "\n}\n")
