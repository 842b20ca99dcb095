"""xent.boosting against formulas in float64 and against the built-in objectives of each library."""

from __future__ import annotations

import copy
import doctest
import pickle
import subprocess
import sys

import numpy as np
import pytest

import xent.boosting
from xent.boosting import Objective, balanced_weights, focal, log_loss, log_loss_scorer, logistic, softprob

ROWS, FEATURES, CLASSES = 600, 6, 4
#: Half the distance of 1 to the next float32, and of float64.
EPS32, EPS64 = 2.0**-24, 2.0**-53


class Data:
    """Rows with labels that features tell something of."""

    def __init__(self, seed: int = 5) -> None:
        rng = np.random.default_rng(seed)
        self.x = rng.normal(size=(ROWS, FEATURES)).astype(np.float32)
        scores = self.x @ rng.normal(size=(FEATURES, CLASSES)) + rng.gumbel(size=(ROWS, CLASSES))
        self.labels = scores.argmax(axis=1)
        self.binary = (self.labels > 1).astype(np.int64)
        self.soft = rng.dirichlet(np.ones(CLASSES), ROWS)
        # Whole quarters are the same in float32, which the libraries keep weights in.
        self.weights = rng.integers(1, 13, ROWS) / 4.0
        self.margins = rng.normal(size=(ROWS, CLASSES)) * 3.0


DATA = Data()


# Formulas, in float64


def softmax(x):
    e = np.exp(x - x.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def of_softprob(x, targets, weights, class_weights, smoothing, convention):
    """Gradient, Hessian and losses of softmax cross-entropy for dense targets."""
    x = x.astype(np.float64)
    count = x.shape[1]
    mass = class_weights * ((1.0 - smoothing) * targets + smoothing / count)
    p = softmax(x)
    total = mass.sum(axis=1, keepdims=True)
    w = weights[:, None]
    top = x.max(axis=1, keepdims=True)
    lse = top + np.log(np.exp(x - top).sum(axis=1, keepdims=True))
    factor = {"exact": 1.0, "xgboost": 2.0, "lightgbm": count / (count - 1.0)}[convention]
    return w * (total * p - mass), w * total * factor * p * (1.0 - p), weights * (mass * (lse - x)).sum(axis=1)


def of_logistic(x, y, weights, class_weights, smoothing):
    """Gradient, Hessian and losses of sigmoid cross-entropy."""
    x = x.astype(np.float64)
    y = (1.0 - smoothing) * y + smoothing / 2.0
    p = 1.0 / (1.0 + np.exp(-x))
    negative, positive = class_weights[0] * (1.0 - y), class_weights[1] * y
    losses = negative * np.logaddexp(0.0, x) + positive * np.logaddexp(0.0, -x)
    total = negative + positive
    return weights * (total * p - positive), weights * total * p * (1.0 - p), weights * losses


def one_hot(labels, count=CLASSES):
    return np.eye(count)[labels]


OPTIONS_OF_SOFTPROB = [
    {},
    {"label_smoothing": 0.125},
    {"class_weights": [1.0, 0.5, 2.0, 4.0]},
    {"class_weights": [1.0, 0.5, 2.0, 4.0], "label_smoothing": 0.125},
]


def close(found, expected, dtype, scale):
    """The bound: errors of some roundings, relative to the largest of what is added up."""
    found = np.asarray(found)
    assert found.dtype == dtype
    eps = EPS32 if dtype == np.float32 else EPS64
    np.testing.assert_array_less(np.abs(found - expected), 16 * eps * scale + 1e-300)


@pytest.mark.parametrize("options", OPTIONS_OF_SOFTPROB)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("convention", ["exact", "xgboost", "lightgbm"])
@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("order", ["C", "F"])
def test_softprob_is_its_formula(options, dtype, convention, soft, order):
    margins = np.asarray(DATA.margins.astype(dtype), order=order)
    table = {"soft_labels": DATA.soft} if soft else {}
    targets = DATA.soft[::-1] if soft else one_hot(DATA.labels)
    labels = np.arange(ROWS, dtype=np.float32)[::-1] if soft else DATA.labels.astype(np.float32)
    objective = softprob(**options, **table, hessian=convention)
    class_weights = np.array(options.get("class_weights", np.ones(CLASSES)))
    grad, hess, losses = of_softprob(
        margins, targets, DATA.weights, class_weights, options.get("label_smoothing", 0.0), convention
    )
    # Sums of weights are at most 4 × 3; both conventions have at most twice that.
    for method in (objective.xgboost, objective.lightgbm):
        found = method(labels, margins, DATA.weights)
        close(found[0], grad, dtype, 24.0)
        close(found[1], hess, dtype, 24.0)
    assert found[0].flags.f_contiguous == (order == "F")
    metric = objective.metric(labels, margins, DATA.weights)
    assert metric == pytest.approx(losses.sum() / DATA.weights.sum(), rel=1e-6 if dtype == np.float32 else 1e-13)


@pytest.mark.parametrize("class_weights", [None, [1.0, 3.0], [0.5, 0.0], [2.0, 0.25]])
@pytest.mark.parametrize("smoothing", [0.0, 0.25])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("labels", [DATA.binary, DATA.binary.astype(np.float32), DATA.soft[:, 0]], ids=["int", "float", "soft"])
@pytest.mark.parametrize("shape", [(ROWS,), (ROWS, 1)])
def test_logistic_is_its_formula(class_weights, smoothing, dtype, labels, shape):
    margins = DATA.margins[:, 0].astype(dtype)
    targets = labels.astype(dtype) if labels.dtype.kind == "f" else labels
    objective = logistic(class_weights=class_weights, label_smoothing=smoothing)
    grad, hess, losses = of_logistic(margins, targets, DATA.weights, class_weights or [1.0, 1.0], smoothing)
    for method in (objective.xgboost, objective.lightgbm):
        found = method(targets, margins.reshape(shape), DATA.weights)
        assert found[0].shape == found[1].shape == shape
        close(found[0].reshape(-1), grad, dtype, 12.0)
        close(found[1].reshape(-1), hess, dtype, 12.0)
    metric = objective.metric(targets, margins.reshape(shape), DATA.weights)
    assert metric == pytest.approx(losses.sum() / DATA.weights.sum(), rel=1e-6 if dtype == np.float32 else 1e-13)


def test_preds_by_classes_as_one_line():
    """Before version 4 LightGBM gave a flat array, class by class."""
    objective = softprob()
    grad, hess = objective.lightgbm(DATA.labels, DATA.margins)
    flat = objective.lightgbm(DATA.labels, DATA.margins.ravel(order="F"))
    assert flat[0].shape == flat[1].shape == (ROWS * CLASSES,)
    np.testing.assert_array_equal(flat[0].reshape(CLASSES, ROWS).T, grad)
    np.testing.assert_array_equal(flat[1].reshape(CLASSES, ROWS).T, hess)


def focal_loss(x, y, gamma, alpha):
    """Of complex margins, too."""
    z = np.where(y == 1, x, -x)
    factor = 1.0 if alpha is None else np.where(y == 1, alpha, 1.0 - alpha)
    log_p = -np.log(1.0 + np.exp(-z))
    return -factor * (1.0 / (1.0 + np.exp(z))) ** gamma * log_p


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0, 3.5])
@pytest.mark.parametrize("alpha", [None, 0.25, 0.75])
def test_focal_has_the_derivatives_of_its_loss(gamma, alpha):
    x, y = DATA.margins[:, 0], DATA.binary
    step = 1e-30j

    def derivative(x):
        # The derivative by a complex step has no cancellation.
        return (focal_loss(x + step, y, gamma, alpha) / 1e-30).imag

    objective = focal(gamma, alpha)
    grad, hess = objective.lightgbm(y, x)
    np.testing.assert_allclose(grad, derivative(x), rtol=1e-13, atol=1e-15)
    # The central difference of first derivatives: its error is step² / 6 times a third derivative, of at most about 10.
    expected = (derivative(x + 1e-5) - derivative(x - 1e-5)) / 2e-5
    np.testing.assert_allclose(hess, np.maximum(expected, 1e-16), atol=1e-9)
    assert (hess > 0.0).all()
    assert objective.metric(y, x) == pytest.approx(focal_loss(x, y, gamma, alpha).mean(), rel=1e-13)
    # Where the true one is negative, it is not so without the floor.
    bare = focal(gamma, alpha, hessian_floor=-1e300).lightgbm(y, x)[1]
    np.testing.assert_allclose(bare, expected, atol=1e-9)


def test_focal_of_several_classes():
    x, gamma = DATA.margins, 2.0
    class_weights = np.array([1.0, 0.5, 2.0, 4.0])

    def loss(x):
        e = np.exp(x)
        p = (e * one_hot(DATA.labels)).sum(axis=1) / e.sum(axis=1)
        return -class_weights[DATA.labels] * (1.0 - p) ** gamma * np.log(p)

    grad, hess = softprob(focal_gamma=gamma, class_weights=class_weights).xgboost(DATA.labels, x)
    for c in range(CLASSES):
        unit = np.zeros(CLASSES)
        unit[c] = 1.0
        by_c = [(loss(x + at * unit + 1e-30j * unit) / 1e-30).imag for at in (-1e-5, 0.0, 1e-5)]
        # 1 - p has an error of one rounding, and is squared: absolute errors.
        np.testing.assert_allclose(grad[:, c], by_c[1], atol=1e-13)
        np.testing.assert_allclose(hess[:, c], np.maximum((by_c[2] - by_c[0]) / 2e-5, 1e-16), atol=1e-8)


# The built-in objectives

XGB = {"max_depth": 4, "eta": 0.3, "nthread": 1, "tree_method": "hist", "disable_default_eval_metric": 1}
LGB = {
    "num_leaves": 15, "min_data_in_leaf": 5, "num_threads": 1, "deterministic": True, "force_row_wise": True, "verbose": -1,
    "boost_from_average": False,
}  # fmt: skip
CAT = {
    "iterations": 5, "depth": 3, "learning_rate": 0.3, "l2_leaf_reg": 1.0, "leaf_estimation_method": "Newton",
    "leaf_estimation_iterations": 1, "bootstrap_type": "No", "random_strength": 0, "boosting_type": "Plain", "verbose": False,
    "allow_writing_files": False, "thread_count": 1, "leaf_estimation_backtracking": "No", "score_function": "L2",
}  # fmt: skip
ROUNDS = 8


def same_trees_of_xgboost(ours, theirs):
    """Every split is the same. A leaf is -0.3 G / (H + 1), with G and H sums of float32 numbers.

    XGBoost's own p has an error of about 4 roundings, so that G has one of 4 EPS32 times the sum of the weights: a leaf
    moves by no more than 0.3 · 4 · EPS32 · (Σ w) / (H + 1), and (Σ w) / (H + 1) is below 20 in these trees.
    """
    ours, theirs = ours.trees_to_dataframe(), theirs.trees_to_dataframe()
    for column in ("Tree", "Node", "Feature", "Split", "Yes", "No", "Missing"):
        assert ours[column].equals(theirs[column]), column
    leaves = (theirs["Feature"] == "Leaf").to_numpy()
    assert leaves.sum() > 2 * ROUNDS
    differences = np.abs(ours["Gain"].to_numpy() - theirs["Gain"].to_numpy())[leaves]
    assert differences.max() <= 24 * EPS32
    np.testing.assert_allclose(ours["Cover"], theirs["Cover"], rtol=16 * EPS32)


@pytest.mark.parametrize("weights", [None, DATA.weights], ids=["", "weighted"])
@pytest.mark.parametrize("kind", ["multi", "binary", "scale_pos_weight", "soft"])
@pytest.mark.parametrize("named", [False, True])
def test_trees_of_xgboost(kind, weights, named):
    """With the name of the built-in objective ``base_score`` is a probability and predictions are, otherwise margins."""
    xgb = pytest.importorskip("xgboost")
    labels, name, params, objective, start = {
        "multi": (DATA.labels, "multi:softprob", {"num_class": CLASSES}, softprob(), 0.5),
        "binary": (DATA.binary, "binary:logistic", {}, logistic(), 0.0),
        "scale_pos_weight": (DATA.binary, "binary:logistic", {}, logistic(class_weights=[1.0, 3.0]), 0.0),
        "soft": (DATA.soft[:, 0], "binary:logistic", {}, logistic(), 0.0),
    }[kind]
    data = xgb.DMatrix(DATA.x, label=labels, weight=weights)
    built_in = {**XGB, **params, "objective": name, "base_score": 0.5}
    if kind == "scale_pos_weight":
        built_in["scale_pos_weight"] = 3.0
    metric = "mlogloss" if kind == "multi" else "logloss"
    theirs_by_round, ours_by_round = {}, {}
    theirs = xgb.train(
        {**built_in, "eval_metric": metric}, data, ROUNDS, evals=[(data, "x")], evals_result=theirs_by_round, verbose_eval=False
    )
    start = {"base_score": 0.5, "objective": name} if named else {"base_score": start}
    ours = xgb.train(
        {**XGB, **params, **start}, data, ROUNDS, obj=objective.xgboost, custom_metric=objective.xgboost_metric,
        evals=[(data, "x")], evals_result=ours_by_round, verbose_eval=False,
    )  # fmt: skip
    same_trees_of_xgboost(ours, theirs)
    if kind != "scale_pos_weight":
        # XGBoost keeps six decimals of a custom metric. Its own does not regard scale_pos_weight.
        np.testing.assert_allclose(ours_by_round["x"][objective.name], theirs_by_round["x"][metric], rtol=1e-7, atol=5e-7)
    probabilities = objective.predict_proba(ours.predict(data, output_margin=True))
    expected = theirs.predict(data)
    np.testing.assert_allclose(probabilities if kind == "multi" else probabilities[:, 1], expected, atol=2e-6)
    if named:
        np.testing.assert_allclose(ours.predict(data), expected, atol=2e-6)


def test_soft_labels_of_xgboost_and_of_a_table():
    """Labels of two axes, and numbers of rows of a table, give the same trees."""
    xgb = pytest.importorskip("xgboost")
    dense = xgb.train(XGB, xgb.DMatrix(DATA.x, label=DATA.soft), 3, obj=softprob().xgboost)
    # The library keeps labels in float32.
    objective = softprob(soft_labels=DATA.soft.astype(np.float32))
    table = xgb.train(
        {**XGB, "num_class": CLASSES}, xgb.DMatrix(DATA.x, label=np.arange(ROWS)), 3, obj=objective.xgboost
    )
    found, expected = (model.predict(xgb.DMatrix(DATA.x), output_margin=True) for model in (dense, table))
    assert found.shape == (ROWS, CLASSES)
    np.testing.assert_array_equal(found, expected)
    assert np.ptp(found) > 0.1


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("multiclass", [False, True])
def test_classes_of_xgboost_for_scikit_learn(weighted, multiclass):
    xgb = pytest.importorskip("xgboost")
    pytest.importorskip("sklearn")
    labels = DATA.labels if multiclass else DATA.binary
    objective = softprob() if multiclass else logistic()
    options = {"n_estimators": 4, "max_depth": 3, "n_jobs": 1, "learning_rate": 0.3}
    weights = DATA.weights if weighted else None
    theirs = xgb.XGBClassifier(**options, base_score=0.5).fit(DATA.x, labels, sample_weight=weights)
    # Here a custom objective comes with the name of the built-in one, and base_score is 0.5 by default.
    ours = xgb.XGBClassifier(**options, objective=objective.xgboost, eval_metric=objective.metric)
    ours.fit(
        DATA.x, labels, sample_weight=weights, eval_set=[(DATA.x, labels)], verbose=False,
        sample_weight_eval_set=[weights] if weighted else None,
    )  # fmt: skip
    probabilities = objective.predict_proba(ours.predict(DATA.x, output_margin=True))
    np.testing.assert_allclose(probabilities, theirs.predict_proba(DATA.x), atol=2e-6)
    np.testing.assert_allclose(ours.predict_proba(DATA.x), theirs.predict_proba(DATA.x), atol=2e-6)
    expected = log_loss(labels, probabilities, sample_weight=weights)
    # Six decimals of it.
    assert ours.evals_result()["validation_0"]["metric"][-1] == pytest.approx(expected, rel=1e-7, abs=5e-7)


def same_trees_of_lightgbm(ours, theirs):
    """Every split is the same; leaves are those of float32 gradients that differ by a rounding or two, if at all."""
    ours, theirs = ours.trees_to_dataframe(), theirs.trees_to_dataframe()
    for column in ("tree_index", "node_depth", "node_index", "split_feature", "threshold", "count"):
        assert ours[column].equals(theirs[column]), column
    assert (theirs["split_feature"].isna()).sum() > 2 * ROUNDS
    np.testing.assert_allclose(ours["value"], theirs["value"], rtol=4 * EPS32, atol=4 * EPS32)
    np.testing.assert_allclose(ours["weight"], theirs["weight"], rtol=4 * EPS32)


@pytest.mark.parametrize("weights", [None, DATA.weights], ids=["", "weighted"])
@pytest.mark.parametrize("kind", ["multi", "binary", "scale_pos_weight", "soft"])
def test_trees_of_lightgbm(kind, weights):
    lgb = pytest.importorskip("lightgbm")
    labels, name, params, objective = {
        "multi": (DATA.labels, "multiclass", {"num_class": CLASSES}, softprob()),
        "binary": (DATA.binary, "binary", {}, logistic()),
        "scale_pos_weight": (DATA.binary, "binary", {}, logistic(class_weights=[1.0, 3.0])),
        "soft": (DATA.soft[:, 0], "cross_entropy", {}, logistic()),
    }[kind]
    built_in = {**LGB, **params, "objective": name}
    if kind == "scale_pos_weight":
        built_in["scale_pos_weight"] = 3.0
    metric = {"multi": "multi_logloss", "soft": "cross_entropy"}.get(kind, "binary_logloss")

    def data():
        return lgb.Dataset(DATA.x, label=labels, weight=weights, free_raw_data=False)

    theirs_by_round, ours_by_round = {}, {}
    of_theirs, of_ours = data(), data()
    theirs = lgb.train(
        {**built_in, "metric": metric}, of_theirs, ROUNDS, valid_sets=[of_theirs], valid_names=["x"],
        callbacks=[lgb.record_evaluation(theirs_by_round)],
    )  # fmt: skip
    ours = lgb.train(
        {**LGB, **params, "objective": objective.lightgbm, "metric": "None"}, of_ours, ROUNDS, feval=objective.lightgbm_metric,
        valid_sets=[of_ours], valid_names=["x"], callbacks=[lgb.record_evaluation(ours_by_round)],
    )  # fmt: skip
    same_trees_of_lightgbm(ours, theirs)
    if kind != "scale_pos_weight":
        # Of a probability y LightGBM takes 1 - y in float32.
        rtol = EPS32 if kind == "soft" else 1e-12
        np.testing.assert_allclose(ours_by_round["x"][objective.name], theirs_by_round["x"][metric], rtol=rtol)
    probabilities = objective.predict_proba(ours.predict(DATA.x, raw_score=True))
    np.testing.assert_allclose(probabilities if kind == "multi" else probabilities[:, 1], theirs.predict(DATA.x), atol=1e-6)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("multiclass", [False, True])
def test_classes_of_lightgbm_for_scikit_learn(weighted, multiclass):
    lgb = pytest.importorskip("lightgbm")
    pytest.importorskip("sklearn")
    labels = DATA.labels if multiclass else DATA.binary
    objective = softprob() if multiclass else logistic()
    options = {**LGB, "n_estimators": 4}
    weights = DATA.weights if weighted else None
    theirs = lgb.LGBMClassifier(**options).fit(DATA.x, labels, sample_weight=weights)
    ours = lgb.LGBMClassifier(**options, objective=objective.lightgbm)
    ours.fit(
        DATA.x, labels, sample_weight=weights, eval_set=[(DATA.x, labels)], eval_metric=objective.lightgbm_metric,
        eval_sample_weight=[weights] if weighted else None,
    )  # fmt: skip
    probabilities = objective.predict_proba(ours.predict(DATA.x, raw_score=True))
    np.testing.assert_allclose(probabilities, theirs.predict_proba(DATA.x), atol=1e-6)
    expected = log_loss(labels, probabilities, sample_weight=weights)
    assert ours.evals_result_["training"][objective.name][-1] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("weights", [None, DATA.weights], ids=["", "weighted"])
def test_start_of_lightgbm(weights):
    """From the constant scores that fit best, as the built-in objective does."""
    lgb = pytest.importorskip("lightgbm")
    objective = logistic()
    init = objective.init_score(DATA.binary, weights)
    average = np.average(DATA.binary, weights=weights)
    assert init == pytest.approx(np.log(average / (1.0 - average)), rel=1e-13)
    start = np.full(ROWS, init)
    data = lgb.Dataset(DATA.x, DATA.binary, weight=weights)
    theirs = lgb.train({**LGB, "objective": "binary", "boost_from_average": True}, data, 4)
    data = lgb.Dataset(DATA.x, DATA.binary, weight=weights, init_score=start)
    ours = lgb.train({**LGB, "objective": objective.lightgbm}, data, 4)
    found = ours.predict(DATA.x, raw_score=True) + init
    np.testing.assert_allclose(found, theirs.predict(DATA.x, raw_score=True), atol=2e-6)


@pytest.mark.parametrize("weights", [None, DATA.weights], ids=["", "weighted"])
@pytest.mark.parametrize("kind", ["multi", "binary", "soft", "focal"])
def test_trees_of_catboost(kind, weights):
    """The same formulas in float64: with equal options even the leaves are."""
    cat = pytest.importorskip("catboost")
    labels, name, objective, more, metric = {
        "multi": (DATA.labels, "MultiClass", softprob(), {"classes_count": CLASSES}, "MultiClass"),
        "binary": (DATA.binary, "Logloss", logistic(), {"boost_from_average": False}, "Logloss"),
        "soft": (DATA.soft[:, 0], "CrossEntropy", logistic(), {"boost_from_average": False}, "CrossEntropy"),
        "focal": (
            DATA.binary, "Focal:focal_alpha=0.25;focal_gamma=2.0", focal(2.0, 0.25, hessian_floor=-1e300),
            {"boost_from_average": False}, None,
        ),
    }[kind]  # fmt: skip
    data = cat.Pool(DATA.x, labels, weight=weights)
    theirs = cat.CatBoost({**CAT, **more, "loss_function": name}).fit(data)
    ours = cat.CatBoost(
        {**CAT, **more, "loss_function": objective.catboost(), "eval_metric": objective.catboost_metric()}
    ).fit(data)
    assert len(theirs.get_leaf_values()) > CAT["iterations"]
    np.testing.assert_allclose(ours.get_leaf_values(), theirs.get_leaf_values(), rtol=1e-9, atol=1e-12)
    found = ours.predict(data, prediction_type="RawFormulaVal")
    np.testing.assert_allclose(found, theirs.predict(data, prediction_type="RawFormulaVal"), rtol=1e-9, atol=1e-12)
    assert np.ptp(found) > 0.1
    expected = objective.metric(labels, found, weights)
    history = ours.get_evals_result()["learn"]["CatBoostMetric"]
    # Labels and weights are float32 there.
    assert history[-1] == pytest.approx(expected, rel=1e-6)
    if metric is not None:
        # What CatBoost prints while it learns is up to 1e-4 off for two classes; afterwards it computes the exact one.
        assert history == pytest.approx(theirs.eval_metrics(data, [metric])[metric], rel=1e-6)


@pytest.mark.parametrize("options", [*OPTIONS_OF_SOFTPROB, {"soft_labels": DATA.soft, "label_smoothing": 0.25}])
def test_matrix_of_catboost(options):
    """The derivatives of the gradient by each margin, by differences."""
    objective = softprob(**options)
    catboost = objective.catboost()
    for row, weight in ((0, 1.0), (1, 2.5), (2, None)):
        margins = DATA.margins[row]
        target = float(row + 5) if "soft_labels" in options else float(DATA.labels[row])
        grad, matrix = catboost.calc_ders_multi(margins, target, weight)
        np.testing.assert_array_equal(matrix, matrix.T)
        np.testing.assert_allclose(matrix.sum(axis=0), 0.0, atol=1e-14)
        for c in range(CLASSES):
            step = np.zeros(CLASSES)
            step[c] = 1e-5
            ahead, behind = (catboost.calc_ders_multi(margins + at, target, weight)[0] for at in (step, -step))
            np.testing.assert_allclose(matrix[c], (ahead - behind) / 2e-5, atol=1e-9)
        class_weights = np.array(options.get("class_weights", np.ones(CLASSES)))
        targets = DATA.soft[row + 5] if "soft_labels" in options else one_hot(DATA.labels)[row]
        expected = of_softprob(
            margins[None], targets[None], np.array([1.0 if weight is None else weight]), class_weights,
            options.get("label_smoothing", 0.0), "exact",
        )[0]  # fmt: skip
        np.testing.assert_allclose(grad, -expected[0], atol=1e-14)


def test_focal_of_several_classes_in_catboost():
    """It learns, and has the diagonal of the matrix."""
    cat = pytest.importorskip("catboost")
    objective = softprob(focal_gamma=1.0)
    data = cat.Pool(DATA.x, DATA.labels)
    model = cat.CatBoost(
        {**CAT, "classes_count": CLASSES, "loss_function": objective.catboost(), "eval_metric": objective.catboost_metric()}
    ).fit(data)
    history = model.get_evals_result()["learn"]["CatBoostMetric"]
    assert all(later < before for before, later in zip(history, history[1:]))
    grad, matrix = objective.catboost().calc_ders_multi(DATA.margins[0], float(DATA.labels[0]), 1.0)
    found = objective.lightgbm(DATA.labels[:1], DATA.margins[:1])
    np.testing.assert_array_equal(-grad, found[0][0])
    np.testing.assert_array_equal(-matrix, np.diag(found[1][0]))


# Before and after training


@pytest.mark.parametrize("options", [*OPTIONS_OF_SOFTPROB, {"soft_labels": DATA.soft}])
@pytest.mark.parametrize("weights", [None, DATA.weights], ids=["", "weighted"])
def test_init_score_has_no_gradient(options, weights):
    objective = softprob(**options)
    labels = np.arange(ROWS) if "soft_labels" in options else DATA.labels
    init = objective.init_score(labels, weights)
    assert init.shape == (CLASSES,)
    assert init.mean() == pytest.approx(0.0, abs=1e-15)
    grad = objective.lightgbm(labels, np.tile(init, (ROWS, 1)), weights)[0]
    # Sums of weights times 600 rows: a thousand, with roundings of 1e-16 each.
    np.testing.assert_allclose(grad.sum(axis=0), 0.0, atol=1e-11)


@pytest.mark.parametrize("class_weights", [None, [1.0, 3.0]])
@pytest.mark.parametrize("labels", [DATA.binary, DATA.soft[:, 1]], ids=["int", "soft"])
def test_init_score_of_logistic_has_no_gradient(class_weights, labels):
    objective = logistic(class_weights=class_weights, label_smoothing=0.125)
    init = objective.init_score(labels, DATA.weights)
    assert init.shape == ()
    grad = objective.lightgbm(labels, np.full(ROWS, init), DATA.weights)[0]
    assert grad.sum() == pytest.approx(0.0, abs=1e-11)


def test_init_score_of_a_class_without_rows():
    with pytest.raises(ValueError, match="targets: class 2 has no weight"):
        softprob().init_score([0, 1, 1], classes=3)
    assert np.isfinite(softprob(label_smoothing=0.1).init_score([0, 1, 1], classes=3)).all()
    with pytest.raises(ValueError, match="targets: class 1 has no weight"):
        logistic().init_score([0, 0])


def test_balanced_weights():
    expected = ROWS / (CLASSES * np.bincount(DATA.labels))
    np.testing.assert_allclose(balanced_weights(DATA.labels), expected, rtol=1e-15)
    np.testing.assert_allclose(balanced_weights(one_hot(DATA.labels)), expected, rtol=1e-15)
    counts = np.bincount(DATA.labels, weights=DATA.weights)
    found = balanced_weights(DATA.labels, DATA.weights)
    np.testing.assert_allclose(found, counts.sum() / (CLASSES * counts), rtol=1e-15)
    # Each class has the same share of the weight then, and the scores start from zero.
    np.testing.assert_allclose(softprob(class_weights=found).init_score(DATA.labels, DATA.weights), 0.0, atol=1e-14)
    assert balanced_weights([0, 2], classes=4).tolist() == [0.5, 1.0, 0.5, 1.0]
    with pytest.raises(ValueError, match="sample_weight: expected 2"):
        balanced_weights([0, 1], [1.0])
    for wrong in ([0.5, 1.0], [-1, 0], [0, 4], [np.nan, 0.0]):
        with pytest.raises(ValueError, match="targets: expected labels from 0 to 4 - 1"):
            balanced_weights(wrong, classes=4)


def test_balanced_weights_are_those_of_scikit_learn():
    utils = pytest.importorskip("sklearn.utils.class_weight")
    expected = utils.compute_class_weight("balanced", classes=np.arange(CLASSES), y=DATA.labels)
    np.testing.assert_allclose(balanced_weights(DATA.labels), expected, rtol=1e-15)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_predict_proba(dtype):
    margins = DATA.margins.astype(dtype)
    eps = EPS32 if dtype == np.float32 else EPS64
    np.testing.assert_allclose(softprob().predict_proba(margins), softmax(margins.astype(np.float64)), rtol=64 * eps)
    of_one = margins[:, 0].astype(np.float64)
    expected = np.stack([1.0 / (1.0 + np.exp(of_one)), 1.0 / (1.0 + np.exp(-of_one))], axis=1)
    for given in (margins[:, 0], margins[:, :1]):
        found = logistic().predict_proba(given)
        assert found.dtype == dtype
        np.testing.assert_allclose(found, expected, rtol=64 * eps)


OBJECTIVES = [
    softprob(), softprob(class_weights=[1, 2, 3, 4], label_smoothing=0.1), softprob(soft_labels=DATA.soft),
    softprob(hessian="exact", hessian_floor=0.1), logistic(class_weights=(1, 2)), focal(1.5, 0.25), softprob(focal_gamma=1.5),
]  # fmt: skip


@pytest.mark.parametrize("objective", OBJECTIVES, ids=repr)
def test_copies_are_equal(objective):
    for other in (copy.deepcopy(objective), pickle.loads(pickle.dumps(objective))):
        assert other == objective and hash(other) == hash(objective) and repr(other) == repr(objective)
    assert pickle.loads(pickle.dumps(objective.xgboost)).__self__ == objective
    assert [objective == other for other in OBJECTIVES].count(True) == 1
    assert objective != "softprob"


def test_repr():
    assert repr(softprob()) == "softprob()"
    found = repr(logistic(class_weights=[1, 2], label_smoothing=0.1))
    assert found == "logistic(class_weights=(1.0, 2.0), label_smoothing=0.1)"
    assert repr(softprob(soft_labels=[[0.5, 0.5]])) == "softprob(soft_labels=<1 rows>)"


def test_cross_validation_clones_objectives():
    lgb = pytest.importorskip("lightgbm")
    selection = pytest.importorskip("sklearn.model_selection")

    class WithProbabilities(lgb.LGBMClassifier):
        def predict_proba(self, X, **options):
            if options:
                return super().predict_proba(X, **options)
            return self.objective.__self__.predict_proba(self.predict(X, raw_score=True))

    model = WithProbabilities(**LGB, n_estimators=5, objective=softprob().lightgbm)
    found = selection.cross_val_score(model, DATA.x, DATA.labels, cv=3, scoring=log_loss_scorer())
    built_in = lgb.LGBMClassifier(**LGB, n_estimators=5)
    expected = selection.cross_val_score(built_in, DATA.x, DATA.labels, cv=3, scoring="neg_log_loss")
    np.testing.assert_allclose(found, expected, rtol=1e-6)


# scikit-learn


@pytest.mark.parametrize("weights", [None, DATA.weights], ids=["", "weighted"])
@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("classes", [2, CLASSES])
@pytest.mark.parametrize("strings", [False, True])
def test_log_loss_is_that_of_scikit_learn(weights, normalize, classes, strings):
    metrics = pytest.importorskip("sklearn.metrics")
    labels = DATA.labels if classes > 2 else DATA.binary
    if strings:
        labels = np.array(["b", "d", "f", "h"])[labels]
    probabilities = softmax(DATA.margins[:, :classes])
    options = {"normalize": normalize, "sample_weight": weights}
    expected = metrics.log_loss(labels, probabilities, **options)
    # Sums of 600 numbers in another order.
    assert log_loss(labels, probabilities, **options) == pytest.approx(expected, rel=1e-14)
    assert log_loss(labels, np.log(probabilities), from_logits=True, **options) == pytest.approx(expected, rel=1e-13)
    if classes == 2:
        second = probabilities[:, 1]
        expected = metrics.log_loss(labels, second, **options)
        assert log_loss(labels, second, **options) == pytest.approx(expected, rel=1e-14)
        logits = DATA.margins[:, 1] - DATA.margins[:, 0]
        assert log_loss(labels, logits, from_logits=True, **options) == pytest.approx(expected, rel=1e-13)
    names = np.unique(labels)
    some = labels[labels != names[-1]][:10]
    expected = metrics.log_loss(some, probabilities[:10], labels=names)
    assert log_loss(some, probabilities[:10], labels=names) == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16])
def test_log_loss_clips_as_scikit_learn(dtype):
    metrics = pytest.importorskip("sklearn.metrics")
    probabilities = np.array([[0.0, 1.0], [1.0, 0.0], [1.0, 0.0]], dtype)
    expected = metrics.log_loss([0, 1, 0], probabilities)
    # scikit-learn computes logarithms in the type of the probabilities.
    assert log_loss([0, 1, 0], probabilities) == pytest.approx(expected, rel=float(np.finfo(dtype).eps))
    # Logits are not clipped: 60, where scikit-learn has 36.
    assert log_loss([0, 1], np.array([[-60.0, 0.0], [0.0, 0.0]]), from_logits=True) == pytest.approx((60.0 + np.log(2)) / 2)


@pytest.mark.parametrize("classes", [2, CLASSES])
def test_scorers(classes):
    linear = pytest.importorskip("sklearn.linear_model")
    metrics = pytest.importorskip("sklearn.metrics")
    selection = pytest.importorskip("sklearn.model_selection")
    labels = np.array(["b", "d", "f", "h"])[DATA.labels if classes > 2 else DATA.binary]
    x = DATA.x.astype(np.float64)
    model = linear.LogisticRegression().fit(x, labels)
    theirs = metrics.get_scorer("neg_log_loss")
    for weights in (None, DATA.weights):
        expected = theirs(model, x, labels, sample_weight=weights)
        for scorer in (log_loss_scorer(), log_loss_scorer(from_logits=True), log_loss_scorer(labels=np.unique(labels))):
            assert scorer(model, x, labels, sample_weight=weights) == pytest.approx(expected, rel=1e-12)
    found = selection.cross_val_score(model, x, labels, cv=3, scoring=log_loss_scorer(from_logits=True))
    expected = selection.cross_val_score(model, x, labels, cv=3, scoring="neg_log_loss")
    np.testing.assert_allclose(found, expected, rtol=1e-12)


# What is refused


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Objective("hinge"), "loss: expected softprob or logistic, found hinge"),
        (lambda: softprob(hessian="catboost"), "hessian: expected exact, xgboost, lightgbm, found catboost"),
        (lambda: softprob(focal_gamma=2.0, hessian="xgboost"), "hessian: the focal loss has the exact one only"),
        (lambda: Objective("softprob", focal_alpha=0.25), "focal_alpha: softprob has a weight for each class"),
        (lambda: Objective("logistic", soft_labels=[[0.5, 0.5]]), "soft_labels: the labels of logistic"),
        (lambda: softprob(soft_labels=[0.5, 0.5]), r"soft_labels: expected the shape \(rows, classes\)"),
        (lambda: softprob(soft_labels=[[0.5, -0.5]]), "soft_labels: a target is negative"),
        (lambda: softprob(soft_labels=[[0.5, np.nan]]), "soft_labels: a target is negative, or not a number"),
        (lambda: softprob(soft_labels=[[0.5, 0.5]], class_weights=[1, 2, 3]), "class_weights: expected .*2.* found .*3"),
        (lambda: softprob(class_weights=[1.0, -1.0]), "class_weights: .*element 1"),
        (lambda: softprob(class_weights=2.0), "class_weights: expected a number for each class"),
        (lambda: logistic(class_weights=[1.0, 2.0, 3.0]), "class_weights: logistic has two classes, found 3"),
        (lambda: logistic(class_weights=[0.0, 2.0]), "class_weights: the weight of the first class must be positive"),
        (lambda: softprob(label_smoothing=1.5), "label_smoothing: expected a number from 0 to 1"),
        (lambda: softprob(label_smoothing=0.1, focal_gamma=2.0), "focal_gamma: .* smoothed targets have several"),
        (lambda: focal(-1.0), "focal_gamma: expected a finite number"),
        (lambda: focal(2.0, 1.5), "focal_alpha: expected a number from 0 to 1"),
        (lambda: logistic(hessian_floor=np.nan), "hessian_floor: expected a finite number, found nan"),
        (lambda: softprob(hessian="xgboost").catboost(), "hessian: CatBoost needs the exact one"),
    ],
)
def test_options_that_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


MARGINS = np.zeros((3, CLASSES))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: softprob().xgboost([0, 1, 2], np.zeros(3)), r"predt: expected the shape \(rows, classes\), found \(3,\)"),
        (lambda: softprob().lightgbm([0, 1, 2], np.zeros(3)), r"preds: expected the shape \(rows, classes\), found \(3, 1\)"),
        (lambda: softprob().lightgbm([0, 1, 2], np.zeros(10)), "preds: 10 numbers are no multiple of 3 rows"),
        (lambda: softprob().xgboost([0, 1, 4], MARGINS), "row 2 has 4, expected 0..4"),
        (lambda: softprob().xgboost([0, -1, 2], MARGINS), "row 1 has -1"),
        (lambda: softprob().xgboost([0.0, 0.5, 2.0], MARGINS), "is 0.5, expected a whole number"),
        (lambda: softprob().xgboost([0, 1], MARGINS), "targets: expected labels of the shape"),
        (lambda: softprob().xgboost([0, 1, 2], MARGINS, [1.0]), "sample_weight: expected 3, one for each row, found 1"),
        (lambda: softprob(class_weights=[1, 2]).xgboost([0, 1, 1], MARGINS), "class_weights: expected .*4.* found .*2"),
        (lambda: softprob(soft_labels=DATA.soft).xgboost([0, 1, ROWS], MARGINS), f"row 2 is {ROWS}, expected the number"),
        (lambda: softprob(soft_labels=DATA.soft).xgboost([0, 1.5, 2], MARGINS), "row 1 is 1.5, expected the number"),
        (lambda: softprob(soft_labels=DATA.soft).xgboost([0, 1], MARGINS), "expected 3 labels, one for each row"),
        (lambda: logistic().xgboost([0.0, 2.0], np.zeros(2)), "expected a number from 0 to 1"),
        (lambda: logistic().xgboost([0, 1, 1], np.zeros(2)), "labels: expected 2, one for each margin, found 3"),
        (lambda: logistic().metric([0, 1], np.zeros(2), [0.0, 0.0]), "sample_weight: the weights sum up to 0.0"),
        (lambda: logistic().metric([], np.zeros(0)), "sample_weight: the weights sum up to 0.0"),
        (lambda: logistic().predict_proba(np.zeros((2, 2))), "margins: expected the shape"),
        (lambda: softprob().predict_proba(np.zeros(2)), "margins: expected the shape"),
        (lambda: logistic().init_score([]), "targets: expected one for each row"),
        (lambda: softprob().init_score([0, 5], classes=3), "row 1 has 5, expected 0..3"),
        (lambda: log_loss(["a", "b"], [[0.5, 1.5], [0.5, 0.5]]), "y_pred: a probability is not between 0 and 1"),
        (lambda: log_loss(["a", "b"], [[0.5, np.nan], [0.5, 0.5]]), "y_pred: a probability is not between 0 and 1"),
        (lambda: log_loss(["a", "a"], [[0.5, 0.5], [0.5, 0.5]]), "y_true: it has one label only"),
        (lambda: log_loss(["a", "c"], [[0.5, 0.5], [0.5, 0.5]], labels=["a", "b"]), "y_true: c is not among the labels"),
        (lambda: log_loss(["a", "b"], [[0.2, 0.3, 0.5]] * 2), r"y_pred: expected the shape \(2, 2\), found \(2, 3\)"),
        (lambda: log_loss([0, 1], [0.5, 0.5], sample_weight=[1.0]), "sample_weight: expected 2"),
        (lambda: log_loss([[0, 1]], [0.5, 0.5]), "y_true: expected one label for each row"),
    ],
)
def test_calls_that_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_a_data_set_without_labels():
    class Unlabelled:
        def get_label(self):
            return None

    with pytest.raises(ValueError, match="train_data: it has no labels"):
        softprob().lightgbm(MARGINS, Unlabelled())


def test_the_libraries_are_imported_when_used():
    code = (
        "import sys, xent.boosting as b; b.softprob().catboost(); b.focal(); "
        "print(sorted({'xgboost', 'lightgbm', 'catboost', 'sklearn', 'pandas', 'scipy'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"


def test_examples():
    result = doctest.testmod(xent.boosting)
    assert result.attempted >= 15 and result.failed == 0
