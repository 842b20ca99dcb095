#!/bin/sh
# XGBoost 3.2.0: the metrics mlogloss and logloss of large margins.
#
# Expected: XGBoost has the margins, so its log loss of margins [-60, 0, 0] and label 0 is 60.69, and that of a
#           two-class margin of +17 and label 0 is 17.0.
# Found:    both are computed from probabilities in f32, clipped at 1e-16: -60 and -200 both give 36.841, and so
#           does +17 with label 0, because its p is 1 in f32 (-17 with label 1 is right, 17.0). Early stopping sees
#           a jump from 16 to 37 where there is none.
# xent:     60.69, 200.69, 17.0.
#
# Exits 0 while this is true, 1 once it has changed. Installs into a temporary folder.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet xgboost-cpu==3.2.0 numpy==2.4.6
"$folder/venv/bin/python" - <<'PY'
import numpy as np
import xgboost


def metric(margins, label):
    data = xgboost.DMatrix(np.zeros((1, 1)), label=[label])
    data.set_base_margin(np.array([margins], np.float32))
    classes = len(margins)
    settings = {"objective": "binary:logistic", "eval_metric": "logloss"}
    if classes > 1:
        settings = {"objective": "multi:softprob", "num_class": classes, "eval_metric": "mlogloss"}
    found = {}
    # A rate of zero leaves the margins unchanged.
    xgboost.train({"eta": 0.0, **settings}, data, 1, [(data, "it")], evals_result=found, verbose_eval=False)
    return round(found["it"][settings["eval_metric"]][0], 3)


seen = [
    metric([-20, 0, 0], 0), metric([-60, 0, 0], 0), metric([-200, 0, 0], 0),
    metric([-17], 1), metric([16], 0), metric([17], 0),
]
print(seen)
assert seen[:4] == [20.693, 36.841, 36.841, 17.0], "it has changed"
assert 15.9 < seen[4] < 16.1 and seen[5] == 36.841, "it has changed"
PY
