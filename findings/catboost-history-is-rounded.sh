#!/bin/sh
# CatBoost 1.2.10: the Logloss that training reports, and that which eval_metrics computes afterwards.
#
# Expected: both are the log loss of the same model and data, equal to some 1e-12.
# Found:    the value of the training's history is a few 1e-5 lower than that of the same model, which eval_metrics and
#           the formula agree on.
# xent:     compare eval_metrics with the metric of xent.boosting, not the history.
#
# Exits 0 while this is true, 1 once it has changed. Installs into a temporary folder.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet catboost==1.2.10
cd "$folder"
"$folder/venv/bin/python" - <<'PY'
import numpy as np
from catboost import CatBoostClassifier, Pool

random = np.random.default_rng(0)
x = random.standard_normal((300, 4))
y = (x[:, 0] + 0.5 * random.standard_normal(300) > 0).astype(int)
data = Pool(x, y)
model = CatBoostClassifier(iterations=5, learning_rate=0.3, depth=3, verbose=False, allow_writing_files=False)
model.fit(data)
history = model.get_evals_result()["learn"]["Logloss"][-1]
metric = model.eval_metrics(data, "Logloss")["Logloss"][-1]
p = model.predict_proba(x)[:, 1]
formula = -np.mean(y * np.log(p) + (1 - y) * np.log1p(-p))
print(history, metric, formula)
assert abs(metric - formula) < 1e-9, "it has changed"
assert 1e-7 < abs(history - metric) < 1e-3, "it has changed"
PY
