"""LightGBM: second derivatives of one round. Needs requirements/boosting.txt.

A tree of two rows whose steps have different signs has a leaf for each of them. The model contains the
sum of the second derivatives of each leaf; without regularisation its value is the step -g / h. LightGBM
keeps g and h in f32.
"""

import lightgbm
import numpy as np

import common as b
from hessians import Hessians


def derivatives(objective, logits, label, other_label, weight, output):
    """Gradient and second derivative of a row for one output. The other row has equal logits."""
    classes = len(logits)
    start = np.array([logits, [0.0] * classes])
    features = np.array([[0.0], [1.0]])
    data = lightgbm.Dataset(
        features,
        label=[label, other_label],
        weight=[weight, 1.0],
        init_score=start if classes > 1 else start[:, 0],
        params={"min_data_in_bin": 1, "verbosity": -1, "feature_pre_filter": False},
    )
    parameters = {
        "objective": objective, "learning_rate": 1.0, "num_leaves": 2, "min_data_in_leaf": 0,
        "min_sum_hessian_in_leaf": 1e-14, "lambda_l1": 0.0, "lambda_l2": 0.0, "boost_from_average": False,
        "num_threads": 1, "verbosity": -1,
    }
    if classes > 1:
        parameters["num_class"] = classes
    model = lightgbm.train(parameters, data, 1).dump_model()
    leaf = model["tree_info"][output]["tree_structure"]["left_child"]
    return -leaf["leaf_value"] * leaf["leaf_weight"], leaf["leaf_weight"]


def main():
    record = Hessians("lightgbm", "LightGbm", {"lightgbm": lightgbm.__version__}, "f32")
    for sample_weights in (False, True):
        weights = b.SAMPLE_WEIGHTS if sample_weights else [1.0] * b.ROWS
        found = [
            derivatives("multiclass", x, label, c if label != c else (c + 1) % b.CLASSES, weight, c)
            for x, label, weight in zip(b.LOGITS, b.LABELS, weights)
            for c in range(b.CLASSES)
        ]
        record.case("multiclass", "softmax", [h for _, h in found], [g for g, _ in found], sample_weights)
        found = [
            derivatives("binary", x[:1], y[0], 1 - y[0], weight, 0)
            for x, y, weight in zip(b.LOGITS, b.BINARY, weights)
        ]
        record.case("binary", "sigmoid", [h for _, h in found], [g for g, _ in found], sample_weights)
    record.write()


main()
