"""XGBoost: second derivatives of one round, in f32. Needs requirements/boosting.txt.

A tree of one row has a single leaf. The model contains the sum of its second derivatives; without
regularisation its value is the step -g / h.
"""

import json

import numpy as np
import xgboost

import common as b
from hessians import Hessians

VERSIONS = {"xgboost": xgboost.__version__}


def derivatives(objective, logits, label, weight):
    """Gradient and second derivative of one row, for each output."""
    classes = len(logits)
    data = xgboost.DMatrix(np.zeros((1, 1)), label=[label], weight=[weight])
    data.set_base_margin(np.array([logits], np.float32))
    parameters = {
        "objective": objective, "eta": 1.0, "lambda": 0.0, "alpha": 0.0, "max_depth": 1,
        "min_child_weight": 0.0, "base_score": 0.5, "nthread": 1, "verbosity": 0,
    }
    if classes > 1:
        parameters["num_class"] = classes
    model = json.loads(xgboost.train(parameters, data, 1).save_raw("json"))
    trees = model["learner"]["gradient_booster"]["model"]["trees"]
    hessian = [tree["sum_hessian"][0] for tree in trees]
    return [-tree["base_weights"][0] * h for tree, h in zip(trees, hessian)], hessian


def main():
    record = Hessians("xgboost", "XgBoost", VERSIONS, "f32")
    for sample_weights in (False, True):
        weights = b.SAMPLE_WEIGHTS if sample_weights else [1.0] * b.ROWS
        rows = [derivatives("multi:softprob", *row) for row in zip(b.LOGITS, b.LABELS, weights)]
        record.case("multi:softprob", "softmax", [h for _, h in rows], [g for g, _ in rows], sample_weights)
        rows = [
            derivatives("binary:logistic", x[:1], y[0], weight)
            for x, y, weight in zip(b.LOGITS, b.BINARY, weights)
        ]
        record.case("binary:logistic", "sigmoid", [h for _, h in rows], [g for g, _ in rows], sample_weights)
        # At the floor of 1e-16: for several classes the weight is inside the floor, for two it is
        # outside.
        far = [[-45.0]] * b.ROWS
        hessian = [derivatives("binary:logistic", x, 0, weight)[1] for x, weight in zip(far, weights)]
        record.case("binary:logistic, floor", "sigmoid", hessian, None, sample_weights, far)
        far = [[0.0] + [-45.0] * (b.CLASSES - 1)] * b.ROWS
        hessian = [derivatives("multi:softprob", x, 1, weight)[1] for x, weight in zip(far, weights)]
        record.case("multi:softprob, floor", "softmax", hessian, None, sample_weights, far)
    near = [[20.0]] * b.ROWS
    hessian = [derivatives("binary:logistic", x, 1, 1.0)[1] for x in near]
    record.case(
        "binary:logistic, margin 20", "sigmoid", hessian, None, False, near,
        reason="p is 1 in f32, so that the floor is what is left of 2.06e-9",
    )
    record.write()


main()
