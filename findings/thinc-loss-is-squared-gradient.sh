#!/bin/sh
# thinc 9.1.1 (used by spaCy): CategoricalCrossentropy.
#
# Expected: calling it returns the gradient and the cross-entropy: 0.490, the mean of -ln 0.75 and -ln 0.5.
# Found:    the number is the sum of the squares of the gradient: 0.156. With normalize=False it is four times as
#           large for two rows, not twice, and a certain but wrong row has a loss of 2.
# xent:     0.490 (`MultinomialLogistic`), and 46 for the certain row (its clamp).
#
# Exits 0 while this is true, 1 once it has changed. Installs into a temporary folder.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet thinc==9.1.1 numpy==2.4.6
"$folder/venv/bin/python" - <<'PY'
import numpy as np
from thinc.api import CategoricalCrossentropy

p = np.array([[0.25, 0.75], [0.5, 0.5]], "f")
labels = np.array([1, 0])
mean, summed = CategoricalCrossentropy(), CategoricalCrossentropy(normalize=False)
certain = np.array([[1.0, 0.0]], "f")
seen = [float(mean(p, labels)[1]), float(summed(p, labels)[1]), float(mean(certain, np.array([1]))[1])]
truth = float(-np.log(p[[0, 1], labels]).mean())
print(seen, "in place of", truth)
assert seen == [0.15625, 0.625, 2.0], "it has changed"
PY
