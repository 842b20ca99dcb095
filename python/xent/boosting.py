"""Objectives and metrics for XGBoost, LightGBM and CatBoost, and a log loss for scikit-learn.

Make an objective with :func:`softprob` (several classes), :func:`logistic` (two) or :func:`focal`, and give its methods to
the library:

==================  =============================================  ============================================
library             objective                                      metric
==================  =============================================  ============================================
XGBoost             ``xgb.train(…, obj=o.xgboost)``                ``custom_metric=o.xgboost_metric``
XGBoost, sklearn    ``XGBModel(objective=o.xgboost)``              ``eval_metric=o.metric``
LightGBM            ``params = {"objective": o.lightgbm}``         ``feval=o.lightgbm_metric``
LightGBM, sklearn   ``LGBMModel(objective=o.lightgbm)``            ``fit(…, eval_metric=o.lightgbm_metric)``
CatBoost            ``CatBoost({"loss_function": o.catboost()})``  ``"eval_metric": o.catboost_metric()``
==================  =============================================  ============================================

With a plain ``softprob`` or ``logistic`` the trees are those of the built-in objectives, if they start from the same scores:
see :meth:`Objective.init_score`. A model with a custom objective may predict margins; :meth:`Objective.predict_proba` makes
probabilities of them.

XGBoost from 2.1, LightGBM from 4.0 and CatBoost from 1.2 are supported.

>>> import numpy as np
>>> from xent import boosting
>>> objective = boosting.softprob(label_smoothing=0.2)
>>> grad, hess = objective.xgboost(np.array([0, 3]), np.zeros((2, 4)))
>>> grad[0].round(6).tolist(), hess[0].round(6).tolist()
([-0.6, 0.2, 0.2, 0.2], [0.375, 0.375, 0.375, 0.375])
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from xent import _losses
from xent._arrays import to_numpy
from xent._xent import softmax as _softmax

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike

__all__ = [
    "CatBoostMetric",
    "CatBoostMulticlass",
    "CatBoostObjective",
    "Objective",
    "balanced_weights",
    "focal",
    "log_loss",
    "log_loss_scorer",
    "logistic",
    "softprob",
]

#: The losses of :mod:`xent` by the name of the objective.
_LOSSES = {"softprob": "softmax_cross_entropy", "logistic": "sigmoid_cross_entropy"}
_HESSIANS = ("exact", "xgboost", "lightgbm")
#: The smallest second derivative of the focal loss, whose own may be negative.
_FOCAL_FLOOR = 1e-16


class Objective:
    """A loss of margins with its derivatives, as the libraries of gradient boosting call it.

    Use :func:`softprob`, :func:`logistic` or :func:`focal` to make one. It can be copied, pickled and compared, and is never
    changed.

    Args:
        loss: ``"softprob"`` or ``"logistic"``.
        class_weights: A factor for each class (two of them for ``"logistic"``); see :func:`balanced_weights`.
        label_smoothing: ε: the target becomes ``(1 - ε) t + ε / C``, with two classes for ``"logistic"``.
        focal_gamma: γ of the focal loss.
        focal_alpha: α of the focal loss, the weight of the second class (``"logistic"`` only).
        soft_labels: A table of targets, a row of probabilities each (``"softprob"`` only). A label is then the number of
            its row in this table: labels may be shuffled, split and cross-validated, and every library can carry them.
        hessian: The second derivatives: ``"exact"``, ``"xgboost"`` or ``"lightgbm"``. Without it, those of the library
            that calls; with the focal loss ``"exact"``.
        hessian_floor: The smallest second derivative. Without it, that of the convention; with the focal loss 1e-16.

    Raises:
        ValueError: An option has a wrong value, or does not go with another.
    """

    def __init__(
        self,
        loss: str,
        *,
        class_weights: ArrayLike | None = None,
        label_smoothing: float = 0.0,
        focal_gamma: float | None = None,
        focal_alpha: float | None = None,
        soft_labels: ArrayLike | None = None,
        hessian: str | None = None,
        hessian_floor: float | None = None,
    ) -> None:
        if loss not in _LOSSES:
            raise ValueError(f"loss: expected softprob or logistic, found {loss}")
        if hessian is not None and hessian not in _HESSIANS:
            raise ValueError(f"hessian: expected {', '.join(_HESSIANS)}, found {hessian}")
        if hessian_floor is not None and not np.isfinite(hessian_floor):
            raise ValueError(f"hessian_floor: expected a finite number, found {hessian_floor}")
        is_focal = focal_gamma is not None or focal_alpha is not None
        if is_focal and hessian not in (None, "exact"):
            raise ValueError(f"hessian: the focal loss has the exact one only, found {hessian}")
        if loss == "softprob" and focal_alpha is not None:
            raise ValueError("focal_alpha: softprob has a weight for each class: use class_weights")
        if loss == "logistic" and soft_labels is not None:
            raise ValueError("soft_labels: the labels of logistic may be probabilities themselves")
        self._loss = loss
        self._class_weights = None if class_weights is None else _weights(class_weights)
        self._label_smoothing = float(label_smoothing)
        self._focal_gamma = None if focal_gamma is None else float(focal_gamma)
        self._focal_alpha = None if focal_alpha is None else float(focal_alpha)
        self._soft_labels = None if soft_labels is None else _table(soft_labels)
        self._hessian = "exact" if is_focal else hessian
        default = _FOCAL_FLOOR if is_focal else None
        self._hessian_floor = default if hessian_floor is None else float(hessian_floor)
        self._is_focal = is_focal
        self._options = self._make_options()
        # What the options cannot be is known before a library is at work.
        classes = 2 if self._class_weights is None else len(self._class_weights)
        margins = np.zeros((1, classes) if loss == "softprob" else 1)
        self._evaluate(margins, np.zeros(1, np.int64), None, self._hessian or "exact", are_rows=False)
        if self._soft_labels is not None:
            margins = np.zeros_like(self._soft_labels)
            self._evaluate(margins, self._soft_labels, None, self._hessian or "exact", are_rows=False)

    def _make_options(self) -> dict[str, Any]:
        options: dict[str, Any] = {"label_smoothing": self._label_smoothing, "focal_gamma": self._focal_gamma}
        if self._loss == "logistic":
            options["focal_alpha"] = self._focal_alpha
        weights = self._class_weights
        if weights is None:
            return options
        if self._loss == "softprob":
            return options | {"class_weights": np.array(weights)}
        if len(weights) != 2:
            raise ValueError(f"class_weights: logistic has two classes, found {len(weights)} weights")
        if not weights[0] > 0.0:
            raise ValueError(f"class_weights: the weight of the first class must be positive, found {weights[0]}")
        # One column: the weight of all of it, and what the second class has more.
        return options | {"class_weights": np.array(weights[:1]), "pos_weight": weights[1] / weights[0]}

    def __repr__(self) -> str:
        options = {
            "class_weights": self._class_weights,
            "label_smoothing": self._label_smoothing or None,
            "focal_gamma": self._focal_gamma,
            "focal_alpha": self._focal_alpha,
            "soft_labels": None if self._soft_labels is None else f"<{len(self._soft_labels)} rows>",
            "hessian": None if self._is_focal else self._hessian,
            "hessian_floor": self._hessian_floor,
        }
        given = ", ".join(f"{name}={value}" for name, value in options.items() if value is not None)
        return f"{self._loss}({given})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Objective):
            return NotImplemented
        return self._key() == other._key() and np.array_equal(
            np.zeros(0) if self._soft_labels is None else self._soft_labels,
            np.zeros(0) if other._soft_labels is None else other._soft_labels,
        )

    def __hash__(self) -> int:
        return hash(self._key())

    def _key(self) -> tuple[Any, ...]:
        numbers = (self._label_smoothing, self._focal_gamma, self._focal_alpha, self._hessian_floor)
        return (self._loss, self._class_weights, self._hessian, self._soft_labels is None, *numbers)

    # Gradient and Hessian

    def xgboost(
        self, predt: ArrayLike, dtrain: Any, sample_weight: ArrayLike | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """The objective for XGBoost: ``xgb.train(…, obj=objective.xgboost)``, or ``objective=`` of its scikit-learn classes.

        Args:
            predt: The margins: shape (rows, classes), or (rows,) for ``logistic``.
            dtrain: The ``DMatrix``, whose labels and weights are used. For probabilities its labels may be of the shape
                (rows, classes); then set neither ``num_class`` nor ``objective``.
            sample_weight: Only when called as in scikit-learn, ``(y_true, y_pred, sample_weight)``; a ``DMatrix`` has its
                own.

        Returns:
            The gradient and the Hessian, in the shape and the type of the margins.

        Raises:
            ValueError: A shape or a label is wrong; the message names the argument.

        XGBoost computes its own ``softprob`` and ``logistic`` in float32, and takes a probability of more than 1 - 6e-8
        for one. Derivatives here are exact, so that margins beyond 16 have a Hessian above the floor of 1e-16.

        Name the built-in objective, too: ``{"objective": "binary:logistic"}`` or ``"multi:softprob"`` with ``num_class``. Then
        ``predict`` gives probabilities, and ``base_score`` is one: 0.5 with a custom objective if it is not set. (Without
        the name it is a margin: a margin of 0.5.) The built-in objectives start from the frequencies of the classes instead,
        unless it is set.
        """
        margins, labels, weights = self._arguments(predt, dtrain, sample_weight, "predt", "dtrain")
        return self._derivatives(margins, labels, weights, self._hessian or "xgboost", "predt")

    def lightgbm(
        self, preds: ArrayLike, train_data: Any, weight: ArrayLike | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """The objective for LightGBM: ``{"objective": objective.lightgbm}``, or ``objective=`` of its scikit-learn classes.

        Args:
            preds: The margins: shape (rows, classes) in any memory order, or (rows,) for ``logistic``. A flat array of
                rows times classes is read class by class, as LightGBM wrote it before version 4.
            train_data: The ``Dataset``, whose labels and weights are used.
            weight: Only when called as in scikit-learn, ``(y_true, y_pred, weight)``.

        Returns:
            The gradient and the Hessian, in the shape of ``preds``, its memory order and its type.

        Raises:
            ValueError: A shape or a label is wrong; the message names the argument.

        A custom objective starts from a score of zero. The built-in ones do so with ``boost_from_average=False``.
        """
        margins, labels, weights = self._arguments(preds, train_data, weight, "preds", "train_data")
        flat = self._loss == "softprob" and margins.ndim == 1
        if flat:
            margins = _by_columns(margins, len(labels))
        grad, hess = self._derivatives(margins, labels, weights, self._hessian or "lightgbm", "preds")
        return (grad.ravel(order="F"), hess.ravel(order="F")) if flat else (grad, hess)

    def catboost(self) -> CatBoostObjective | CatBoostMulticlass:
        """The objective for CatBoost: ``CatBoost({"loss_function": objective.catboost(), …})``.

        ``logistic`` is called once for many rows. ``softprob`` is called for each row, as CatBoost wants it, with the whole
        matrix of second derivatives, not only its diagonal; with ``focal_gamma`` it has the diagonal alone, not below
        ``hessian_floor``.

        The leaves equal those of ``Logloss``, ``CrossEntropy`` and ``MultiClass`` if the options of the training do. CatBoost
        chooses the defaults of some by the name of the loss, among them ``learning_rate``, ``leaf_estimation_method``,
        ``leaf_estimation_iterations``, ``leaf_estimation_backtracking``, ``score_function`` and ``boost_from_average``: set
        these.

        Raises:
            ValueError: ``hessian`` is a convention of another library, and the objective is ``softprob``.
        """
        if self._loss == "logistic":
            return CatBoostObjective(self)
        if self._hessian not in (None, "exact"):
            raise ValueError(f"hessian: CatBoost needs the exact one of softprob, found {self._hessian}")
        return CatBoostMulticlass(self)

    # Metrics

    def metric(self, y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """The mean of the loss of margins, with the options of this objective: Σ w l / Σ w.

        Args:
            y_true: Labels, or targets in the shape of the margins.
            y_pred: Margins, shape (rows, classes), or (rows,) for ``logistic``.
            sample_weight: A weight for each row.

        Raises:
            ValueError: A shape, a label or a weight is wrong.

        >>> import numpy as np
        >>> round(logistic().metric([0, 1], np.array([-1.0, 2.0]), sample_weight=[3, 1]), 6)
        0.266678
        """
        margins = to_numpy(y_pred, "y_pred")
        labels = to_numpy(y_true, "y_true")
        weights = None if sample_weight is None else to_numpy(sample_weight, "sample_weight")
        return self._mean(margins, labels, weights, "y_pred")

    def xgboost_metric(self, predt: ArrayLike, dtrain: Any) -> tuple[str, float]:
        """The metric for ``xgb.train(…, custom_metric=objective.xgboost_metric)``: name and mean loss; smaller is better.

        It expects margins, which is what XGBoost gives to it when the objective is a custom one. With a built-in objective
        it would get probabilities. XGBoost keeps six decimals of a custom metric. For its scikit-learn classes use
        ``eval_metric=objective.metric``.
        """
        margins, labels, weights = self._arguments(predt, dtrain, None, "predt", "dtrain")
        return self.name, self._mean(margins, labels, weights, "predt")

    def lightgbm_metric(
        self, preds: ArrayLike, eval_data: Any, weight: ArrayLike | None = None
    ) -> tuple[str, float, bool]:
        """The metric for LightGBM, as ``feval=`` or as ``eval_metric=`` of ``fit``: name, mean loss, and ``False``.

        It expects margins, which is what LightGBM gives to it when the objective is a custom one.
        """
        margins, labels, weights = self._arguments(preds, eval_data, weight, "preds", "eval_data")
        if self._loss == "softprob" and margins.ndim == 1:
            margins = _by_columns(margins, len(labels))
        return self.name, self._mean(margins, labels, weights, "preds"), False

    def catboost_metric(self) -> CatBoostMetric:
        """The metric for CatBoost: ``CatBoost({"eval_metric": objective.catboost_metric(), …})``."""
        return CatBoostMetric(self)

    @property
    def name(self) -> str:
        """The name of its metric: ``"xent_softprob"`` or ``"xent_logistic"``."""
        return f"xent_{self._loss}"

    # Before and after training

    def init_score(
        self, targets: ArrayLike, sample_weight: ArrayLike | None = None, *, classes: int | None = None
    ) -> np.ndarray:
        """The constant margins that fit the targets best, to start from.

        Args:
            targets: What the labels of the training are.
            sample_weight: A weight for each row.
            classes: The number of classes, if labels do not have all of them. (``softprob`` only.)

        Returns:
            For ``logistic`` the log-odds of the second class, an array without axes; for ``softprob`` the logarithms of the
            frequencies, shape (classes,), with a mean of zero. Frequencies are weighted and smoothed as the loss is; γ of
            the focal loss is not regarded.

        Raises:
            ValueError: A class would have a score of minus infinity, or a target is wrong.

        Repeat it for each row, as ``base_margin`` of XGBoost, ``init_score`` of LightGBM or ``baseline`` of CatBoost:
        ``np.tile(init, (rows, 1))``, or ``np.full(rows, init)``. The libraries do not keep it: add it to the margins that
        are predicted.

        >>> logistic().init_score([0, 0, 0, 1]).round(6).tolist()
        -1.098612
        >>> softprob().init_score([0, 1, 1, 1, 1], classes=2).round(6).tolist()
        [-0.693147, 0.693147]
        """
        labels = to_numpy(targets, "targets")
        if labels.ndim == 0 or labels.size == 0:
            raise ValueError(f"targets: expected one for each row, found the shape {labels.shape}")
        rows = len(labels)
        labels = self._targets(labels, rows, "targets")
        weights = np.ones(rows) if sample_weight is None else to_numpy(sample_weight, "sample_weight")
        if self._loss == "logistic":
            shape = labels.shape
            count = 2
        else:
            count = classes or (labels.shape[1] if labels.ndim == 2 else max(int(labels.max()) + 1, 1))
            shape = (rows, count)
        # Wrong targets are refused as they are in training.
        self._evaluate(np.zeros(shape), labels, weights, self._hessian or "exact", name="targets", are_rows=False)
        weights = weights.reshape(rows).astype(np.float64)
        if self._loss == "logistic":
            each = weights.reshape(rows, *[1] * (labels.ndim - 1)) * labels
            mass = np.array([weights.sum() * (labels.size / rows) - each.sum(), each.sum()])
        elif labels.ndim == 2:
            mass = weights @ labels
        else:
            mass = np.bincount(labels.astype(np.int64), weights=weights, minlength=count)
        smoothing = self._label_smoothing
        mass = (1.0 - smoothing) * mass + smoothing * mass.sum() / count
        if self._class_weights is not None:
            mass = mass * np.array(self._class_weights)
        if self._focal_alpha is not None:
            mass = mass * np.array([1.0 - self._focal_alpha, self._focal_alpha])
        if not mass.min() > 0.0:
            raise ValueError(f"targets: class {int(mass.argmin())} has no weight: its score would be minus infinity")
        scores = np.log(mass)
        return scores[1] - scores[0] if self._loss == "logistic" else scores - scores.mean()

    def predict_proba(self, margins: ArrayLike) -> np.ndarray:
        """The probabilities of the classes: what ``predict_proba`` of a classifier has.

        Args:
            margins: What the model predicts, shape (rows, classes); of ``logistic`` (rows,) or (rows, 1).

        Returns:
            Shape (rows, classes), two of them for ``logistic``; float64 for float64 margins, otherwise float32.

        Raises:
            ValueError: The margins have another shape.

        >>> import numpy as np
        >>> logistic().predict_proba(np.array([0.0, 100.0])).tolist()
        [[0.5, 0.5], [3.720075976020836e-44, 1.0]]
        """
        array = to_numpy(margins, "margins")
        if self._loss == "softprob":
            _expect_classes(array, "margins")
            return _softmax(array)
        if array.ndim not in (1, 2) or array.size != len(array):
            raise ValueError(f"margins: expected the shape (rows,), found {array.shape}")
        array = array.reshape(-1)
        return _softmax(np.stack([np.zeros_like(array), array], axis=1))

    # The parts

    def _mass(self, target: float, classes: int) -> float:
        """The sum of the targets of a row as the loss has them: smoothed, and times the class weights."""
        weights = np.ones(classes) if self._class_weights is None else np.array(self._class_weights)
        if self._soft_labels is None:
            targets = np.zeros(classes)
            targets[int(target)] = 1.0
        else:
            targets = self._soft_labels[int(target)]
        smoothing = self._label_smoothing
        return float(weights @ ((1.0 - smoothing) * targets + smoothing / classes))

    def _arguments(
        self, first: Any, second: Any, weights: Any, margins: str, data: str
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """Margins, labels and weights, of (margins, data set) or of (labels, margins, weights) as in scikit-learn."""
        if hasattr(second, "get_label"):
            labels = second.get_label()
            if labels is None:
                raise ValueError(f"{data}: it has no labels")
            weights = second.get_weight()
            found = to_numpy(first, margins), to_numpy(labels, f"the labels of {data}")
        else:
            found = to_numpy(second, margins), to_numpy(first, "y_true")
        if weights is not None:
            weights = to_numpy(weights, "sample_weight")
            # XGBoost has an array of nothing for no weights.
            weights = None if weights.size == 0 else weights
        return *found, weights

    def _targets(self, labels: np.ndarray, rows: int, name: str) -> np.ndarray:
        """Labels, or the rows of the table that they are the numbers of."""
        table = self._soft_labels
        if table is None:
            return labels
        if labels.size != rows:
            raise ValueError(f"{name}: expected {rows} labels, one for each row, found the shape {labels.shape}")
        labels = labels.reshape(rows)
        at = _whole(labels)
        wrong = (at != labels) | (at < 0) | (at >= len(table))
        if wrong.any():
            row = int(wrong.argmax())
            raise ValueError(
                f"{name}: row {row} is {labels[row]}, expected the number of a row of soft_labels, which has {len(table)}"
            )
        return table[at]

    def _evaluate(
        self,
        margins: np.ndarray,
        labels: np.ndarray,
        weights: np.ndarray | None,
        hessian: str | None,
        name: str = "labels",
        are_rows: bool = True,
    ) -> _losses.Evaluation:
        """The derivatives, or without a convention for the second one the sum of the losses."""
        targets = self._targets(labels, len(margins), name) if are_rows else labels
        if targets.shape != margins.shape and targets.size == margins.size:
            targets = targets.reshape(margins.shape)
        options: dict[str, Any] = {"reduction": "sum", "sample_weights": weights}
        if hessian is not None:
            options |= {"grad": True, "boosting": True, "hessian": hessian, "hessian_floor": self._hessian_floor}
        return _losses.evaluate(_LOSSES[self._loss], margins, targets, **self._options, **options)

    def _checked(self, margins: np.ndarray, labels: np.ndarray, weights: np.ndarray | None, name: str) -> np.ndarray:
        """Margins that a loss can be computed of."""
        if self._loss == "softprob":
            _expect_classes(margins, name)
        elif margins.ndim not in (1, 2):
            raise ValueError(f"{name}: expected the shape (rows,), found {margins.shape}")
        elif labels.size != margins.size:
            raise ValueError(f"labels: expected {margins.size}, one for each margin, found {labels.size}")
        if weights is not None and weights.size != len(margins):
            raise ValueError(f"sample_weight: expected {len(margins)}, one for each row, found {weights.size}")
        return margins if margins.dtype.kind == "f" else margins.astype(np.float64)

    def _derivatives(
        self, margins: np.ndarray, labels: np.ndarray, weights: np.ndarray | None, hessian: str, name: str
    ) -> tuple[np.ndarray, np.ndarray]:
        result = self._evaluate(self._checked(margins, labels, weights, name), labels, weights, hessian)
        assert result.grad is not None and result.hessian is not None
        return result.grad, result.hessian

    def _sum(
        self, margins: np.ndarray, labels: np.ndarray, weights: np.ndarray | None, name: str
    ) -> tuple[float, float]:
        """The sum of the losses, and of the weights."""
        margins = self._checked(margins, labels, weights, name)
        loss = self._evaluate(margins, labels, weights, None).loss
        assert loss is not None
        total = float(len(margins)) if weights is None else float(weights.sum(dtype=np.float64))
        # A row of several yes or no questions counts as each of them.
        return loss, total * (margins.size / len(margins) if self._loss == "logistic" and len(margins) else 1.0)

    def _mean(self, margins: np.ndarray, labels: np.ndarray, weights: np.ndarray | None, name: str) -> float:
        loss, total = self._sum(margins, labels, weights, name)
        if not total > 0.0:
            raise ValueError(f"sample_weight: the weights sum up to {total}: there is no mean")
        return loss / total


class CatBoostObjective:
    """An objective of two classes as CatBoost calls it: see :meth:`Objective.catboost`."""

    def __init__(self, objective: Objective) -> None:
        self.objective = objective

    def calc_ders_range(
        self, approxes: Sequence[float], targets: Sequence[float], weights: Sequence[float] | None
    ) -> np.ndarray:
        """The derivatives of the negative loss, first and second, shape (rows, 2)."""
        of = self.objective
        margins, labels = to_numpy(approxes, "approxes"), to_numpy(targets, "targets")
        factors = None if weights is None else to_numpy(weights, "weights")
        grad, hess = of._derivatives(margins, labels, factors, of._hessian or "exact", "approxes")
        return np.stack([-grad, -hess], axis=1)


class CatBoostMulticlass:
    """An objective of several classes as CatBoost calls it: see :meth:`Objective.catboost`."""

    def __init__(self, objective: Objective) -> None:
        self.objective = objective

    def calc_ders_multi(
        self, approxes: Sequence[float], target: float, weight: float | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """The gradient and the matrix of second derivatives of the negative loss of one row."""
        of = self.objective
        margins = to_numpy(approxes, "approxes").reshape(1, -1)
        factor = 1.0 if weight is None else float(weight)
        grad, hess = of._derivatives(margins, np.array([target]), np.array([factor]), "exact", "approxes")
        diagonal = hess[0]
        if of._is_focal:
            return -grad[0], -np.diag(diagonal)
        # The matrix is a (diag p - p pᵀ): its rows sum up to zero, and a is what the gradient has with p.
        p = _softmax(margins)[0]
        matrix = factor * of._mass(target, len(p)) * np.outer(p, p)
        np.fill_diagonal(matrix, -diagonal)
        return -grad[0], matrix


class CatBoostMetric:
    """The mean of a loss as CatBoost calls it: see :meth:`Objective.catboost_metric`."""

    def __init__(self, objective: Objective) -> None:
        self.objective = objective

    def is_max_optimal(self) -> bool:
        """Smaller is better."""
        return False

    def evaluate(
        self, approxes: Sequence[Sequence[float]], target: Sequence[float], weight: Sequence[float] | None
    ) -> tuple[float, float]:
        """The sum of the losses, and of the weights."""
        of = self.objective
        margins = np.stack([to_numpy(of_class, "approxes") for of_class in approxes], axis=1)
        if of._loss == "logistic":
            margins = margins[:, 0]
        factors = None if weight is None else to_numpy(weight, "weight")
        return of._sum(margins, to_numpy(target, "target"), factors, "approxes")

    def get_final_error(self, error: float, weight: float) -> float:
        """The mean."""
        return error / weight if weight else 0.0


def softprob(
    *,
    class_weights: ArrayLike | None = None,
    label_smoothing: float = 0.0,
    focal_gamma: float | None = None,
    soft_labels: ArrayLike | None = None,
    hessian: str | None = None,
    hessian_floor: float | None = None,
) -> Objective:
    """Softmax cross-entropy for labels of several classes: ``multi:softprob``, ``multiclass``, ``MultiClass``.

    Set ``num_class`` in XGBoost and LightGBM, ``classes_count`` in CatBoost. Arguments and errors are those of
    :class:`Objective`.

    >>> import numpy as np
    >>> table = [[0.5, 0.5, 0.0], [0.0, 0.25, 0.75]]
    >>> grad, hess = softprob(soft_labels=table).lightgbm(np.array([1.0, 0.0]), np.zeros((2, 3)))
    >>> (3 * grad).round(6).tolist()
    [[1.0, 0.25, -1.25], [-0.5, -0.5, 1.0]]
    """
    return Objective(
        "softprob",
        class_weights=class_weights,
        label_smoothing=label_smoothing,
        focal_gamma=focal_gamma,
        soft_labels=soft_labels,
        hessian=hessian,
        hessian_floor=hessian_floor,
    )


def logistic(
    *,
    class_weights: ArrayLike | None = None,
    label_smoothing: float = 0.0,
    focal_gamma: float | None = None,
    focal_alpha: float | None = None,
    hessian: str | None = None,
    hessian_floor: float | None = None,
) -> Objective:
    """Sigmoid cross-entropy for labels 0 and 1, or probabilities: ``binary:logistic``, ``binary``, ``Logloss``.

    ``class_weights=[1, q]`` is ``scale_pos_weight=q``. Arguments and errors are those of :class:`Objective`.

    >>> import numpy as np
    >>> grad, hess = logistic(class_weights=[1, 3]).xgboost(np.array([0.0, 1.0, 0.5]), np.zeros(3))
    >>> grad.tolist(), hess.tolist()
    ([0.5, -1.5, -0.5], [0.25, 0.75, 0.5])
    """
    return Objective(
        "logistic",
        class_weights=class_weights,
        label_smoothing=label_smoothing,
        focal_gamma=focal_gamma,
        focal_alpha=focal_alpha,
        hessian=hessian,
        hessian_floor=hessian_floor,
    )


def focal(
    gamma: float = 2.0, alpha: float | None = None, *, label_smoothing: float = 0.0, hessian_floor: float | None = None
) -> Objective:
    """Focal loss of two classes: ``-α_t (1 - p_t)^γ ln p_t``. For more of them, ``softprob(focal_gamma=…)``.

    Args:
        gamma: γ, not negative.
        alpha: α, the weight of the second class; that of the first is 1 - α. Without it both are 1.
        label_smoothing: As for :class:`Objective`.
        hessian_floor: The smallest second derivative, 1e-16 by default.

    The second derivative is negative for rows that are far on the wrong side, and becomes ``hessian_floor``. The sum of a
    leaf must still reach ``min_child_weight`` (XGBoost, 1 by default) or ``min_sum_hessian_in_leaf`` (LightGBM, 1e-3):
    lower these, or raise the floor, if such rows get no leaves of their own.

    >>> import numpy as np
    >>> grad, hess = focal(2.0, 0.25).lightgbm(np.array([0.0, 1.0]), np.array([0.0, 0.0]))
    >>> grad.round(6).tolist()
    [0.223715, -0.074572]
    """
    return Objective(
        "logistic", label_smoothing=label_smoothing, focal_gamma=gamma, focal_alpha=alpha, hessian_floor=hessian_floor
    )


def balanced_weights(
    targets: ArrayLike, sample_weight: ArrayLike | None = None, *, classes: int | None = None
) -> np.ndarray:
    """Weights of classes that give each of them the same share: rows / (classes · rows of the class).

    Args:
        targets: The labels of the training, or probabilities, shape (rows, classes).
        sample_weight: A weight for each row.
        classes: The number of classes, if labels do not have all of them. A class that has no rows gets the weight 1.

    Raises:
        ValueError: A label is no whole number, or out of range.

    >>> balanced_weights([0, 0, 0, 1]).round(6).tolist()
    [0.666667, 2.0]
    """
    labels = to_numpy(targets, "targets")
    weights = np.ones(len(labels)) if sample_weight is None else to_numpy(sample_weight, "sample_weight").astype(np.float64)
    if weights.shape != labels.shape[:1]:
        raise ValueError(f"sample_weight: expected {len(labels)}, one for each row, found the shape {weights.shape}")
    if labels.ndim == 2:
        mass = weights @ labels
    else:
        at = _whole(labels)
        wrong = (at != labels) | (at < 0) | (at >= (classes or np.inf))
        if labels.ndim != 1 or wrong.any():
            found = f"the shape {labels.shape}" if labels.ndim != 1 else f"{labels[wrong.argmax()]}"
            raise ValueError(f"targets: expected labels from 0 to {classes or 'classes'} - 1, found {found}")
        mass = np.bincount(at, weights=weights, minlength=classes or 0)
    has_rows = mass > 0.0
    return np.divide(weights.sum(), len(mass) * mass, out=np.ones(len(mass)), where=has_rows)


def log_loss(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    *,
    normalize: bool = True,
    sample_weight: ArrayLike | None = None,
    labels: ArrayLike | None = None,
    from_logits: bool = False,
) -> float:
    """The log loss, as ``sklearn.metrics.log_loss``, of probabilities or of logits.

    Args:
        y_true: The label of each row: numbers or strings.
        y_pred: Probabilities or logits, shape (rows, classes) with the classes in sorted order; or (rows,), those of the
            second of two classes.
        normalize: The mean, weighted; otherwise the sum.
        sample_weight: A weight for each row.
        labels: All labels, if ``y_true`` does not have each of them.
        from_logits: ``y_pred`` are logits, as ``decision_function`` of a linear classifier has them. Nothing is clipped then.

    Returns:
        With probabilities what scikit-learn has: they are clipped at the epsilon of their type, and not divided by their sum.

    Raises:
        ValueError: A shape or a label is wrong, or a probability is not between 0 and 1.

    >>> round(log_loss(["ham", "spam"], [[0.9, 0.1], [0.2, 0.8]]), 6)
    0.164252
    >>> round(log_loss(["ham", "spam"], [-60.0, -60.0], from_logits=True), 6)
    30.0
    """
    given = np.asarray(y_true)
    names = np.unique(given if labels is None else np.asarray(labels))
    at = np.searchsorted(names, given).clip(0, len(names) - 1)
    if given.ndim != 1 or len(given) == 0:
        raise ValueError(f"y_true: expected one label for each row, found the shape {given.shape}")
    if (names[at] != given).any():
        raise ValueError(f"y_true: {given[(names[at] != given).argmax()]} is not among the labels {names.tolist()}")
    if len(names) < 2:
        raise ValueError(f"y_true: it has one label only, {names[0]}: give all of them as labels")
    scores = to_numpy(y_pred, "y_pred")
    if scores.dtype.kind != "f":
        scores = scores.astype(np.float64)
    if not from_logits and not ((scores >= 0.0) & (scores <= 1.0)).all():
        raise ValueError("y_pred: a probability is not between 0 and 1; give logits with from_logits=True")
    if scores.ndim == 1 or (scores.ndim == 2 and scores.shape[1] == 1):
        column = scores.reshape(-1)
        scores = np.stack([np.zeros_like(column) if from_logits else 1.0 - column, column], axis=1)
    if scores.shape != (len(given), len(names)):
        raise ValueError(f"y_pred: expected the shape {(len(given), len(names))}, found {np.shape(y_pred)}")
    weights = None if sample_weight is None else to_numpy(sample_weight, "sample_weight")
    if weights is not None and weights.shape != given.shape:
        raise ValueError(f"sample_weight: expected {len(given)}, one for each row, found the shape {weights.shape}")
    options: dict[str, Any] = {"preset": "sklearn", "sample_weights": weights}
    if not normalize:
        options["reduction"] = "sum"
    if from_logits:
        return float(_losses.softmax_cross_entropy(scores, at, **options))
    epsilon = np.finfo(scores.dtype).eps
    clipped = np.clip(scores, epsilon, 1.0 - epsilon).astype(np.float64)
    return float(_losses.multinomial_logistic(clipped, at, **options))


def log_loss_scorer(*, from_logits: bool = False, labels: ArrayLike | None = None) -> Any:
    """A scorer for ``cross_val_score`` and ``GridSearchCV``: the negative :func:`log_loss`, with sample weights.

    Args:
        from_logits: Of the logits of ``decision_function``, rather than of ``predict_proba``. They are logits in
            ``LogisticRegression`` and in gradient boosting, but not in a support vector machine.
        labels: All labels, if a part of the data may not have each of them.

    Raises:
        ImportError: scikit-learn is not installed.
    """
    from sklearn.metrics import make_scorer

    response = "decision_function" if from_logits else "predict_proba"
    return make_scorer(
        log_loss, response_method=response, greater_is_better=False, from_logits=from_logits, labels=labels
    )


def _weights(given: ArrayLike) -> tuple[float, ...]:
    weights = to_numpy(given, "class_weights").astype(np.float64)
    if weights.ndim != 1 or len(weights) == 0:
        raise ValueError(f"class_weights: expected a number for each class, found the shape {weights.shape}")
    return tuple(weights.tolist())


def _whole(labels: np.ndarray) -> np.ndarray:
    """Labels as integers: what is not one differs from its label then."""
    with np.errstate(invalid="ignore"):
        return labels.astype(np.int64)


def _table(given: ArrayLike) -> np.ndarray:
    # What the caller does to the array later changes nothing here.
    table = np.array(to_numpy(given, "soft_labels"), dtype=np.float64, order="C")
    _expect_classes(table, "soft_labels")
    if not (table >= 0.0).all():
        raise ValueError("soft_labels: a target is negative, or not a number")
    table.flags.writeable = False
    return table


def _expect_classes(array: np.ndarray, name: str) -> None:
    if array.ndim != 2 or array.shape[1] < 2:
        raise ValueError(f"{name}: expected the shape (rows, classes), found {array.shape}: is num_class set?")


def _by_columns(flat: np.ndarray, rows: int) -> np.ndarray:
    """Numbers that are written class by class."""
    if rows == 0 or flat.size % rows:
        raise ValueError(f"preds: {flat.size} numbers are no multiple of {rows} rows")
    return flat.reshape(rows, -1, order="F")
