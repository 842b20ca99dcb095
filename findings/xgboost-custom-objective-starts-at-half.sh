#!/bin/sh
# XGBoost 3.2.0: where training with an objective of one's own starts, and what it predicts.
#
# Expected: with obj= and no named objective the first gradient is asked for at a margin of 0, and predictions are
#           margins.
# Found:    the first margin is 0.5. With a named objective beside obj= it is that objective's: 0 for binary:logistic,
#           whose base score of 0.5 is a probability. With num_class and obj= alone, predict returns the numbers of
#           classes: the named objective becomes multi:softmax.
# xent:     xent.boosting says which base score a call needs; its tests train with the built-in objective beside it.
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


def first(parameters, classes=1):
    seen = []

    def objective(margins, data):
        seen.append(float(margins.reshape(-1)[0]))
        return np.zeros_like(margins), np.ones_like(margins)

    data = xgboost.DMatrix(np.arange(6.0).reshape(6, 1), label=np.arange(6) % max(classes, 2))
    booster = xgboost.train(parameters, data, 1, obj=objective)
    return seen[0], booster.predict(data).shape


seen = [first({}), first({"objective": "binary:logistic"}), first({"num_class": 3}, 3)]
print(seen)
assert seen == [(0.5, (6,)), (0.0, (6,)), (0.5, (6,))], "it has changed"
PY
