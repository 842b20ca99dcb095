#!/bin/sh
# scikit-learn 1.9.1: log_loss of the same probabilities as f64, f32 and f16.
#
# Expected: [0, 1] and [1, 0] are exact in every format, so the log loss of label 0 for both rows, one of them
#           impossible, does not depend on the format.
# Found:    18.02 (f64), 7.97 (f32), 3.46 (f16): probabilities are clipped at the epsilon of their own format. A
#           model saved in f32 or f16 looks more than twice as good, for the same predictions.
# xent:     `MultinomialLogistic` and `LogisticLoss` use the same clamp in every format, and `Report` counts the
#           clamped probabilities.
#
# Exits 0 while this is true, 1 once it has changed. Installs into a temporary folder.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet scikit-learn==1.9.1 numpy==2.4.6
"$folder/venv/bin/python" - <<'PY'
import numpy as np
from sklearn.metrics import log_loss

seen = []
for format in (np.float64, np.float32, np.float16):
    probabilities = np.array([[0, 1], [1, 0]], format)
    seen.append(round(float(log_loss([0, 0], probabilities, labels=[0, 1])), 2))
print(seen)
assert seen == [18.02, 7.97, 3.46], "it has changed"
PY
