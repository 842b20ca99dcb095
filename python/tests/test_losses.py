"""Every loss and every option against formulas in NumPy's float64 (reference.py)."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
import reference as ref

import xent

ROWS, CLASSES = 13, 7
QUANTISED = {np.int8: (0.0625, -3), np.uint8: (0.0625, 128), np.int16: (0.001, 100)}
FLOATS = (np.float32, np.float64, np.float16, ml_dtypes.bfloat16)

# The relative error of a loss or gradient that is computed in this type. xent's bound is 4 ULP, and one for each unit of
# distance between a logit and the largest of its row. The distance is below 26 here: 30 ULP of 2^-23 are 3.6e-6. In float64
# the formulas of the reference, which have errors of the same kind, are the larger part: 1e-13 is 450 ULP.
COMPUTED = {np.float32: 3.6e-6, np.float64: 1e-13}
# Half a unit in the last place of a gradient that is rounded to its type, and the smallest step of that type.
ROUNDED = {np.float16: (2**-11, 2**-24), ml_dtypes.bfloat16: (2**-8, 0.0)}


def number(dtype):
    """The type that logits of a type are computed in."""
    return np.float64 if dtype is np.float64 else np.float32


def assert_loss(found, expected, dtype):
    tolerance = COMPUTED[number(dtype)]
    # A loss is a sum of terms of either sign (teacher, focal): its error is one of the largest.
    scale = np.abs(expected).max(initial=0)
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance * scale * 0.1)


def assert_grad(found, expected, dtype):
    tolerance = COMPUTED[number(dtype)]
    relative, step = ROUNDED.get(dtype, (0.0, 0.0))
    # Differences such as p - t have the error of the larger side, of which the largest gradient is a measure.
    scale = np.abs(expected).max(initial=0)
    found = np.asarray(found, np.float64)
    np.testing.assert_allclose(found, expected, rtol=tolerance + relative, atol=tolerance * scale + step)


def logits_of(dtype, rng, shape=(ROWS, CLASSES)):
    """Logits of this type, the numbers they stand for, and the option that says so."""
    if dtype in QUANTISED:
        scale, zero = QUANTISED[dtype]
        info = np.iinfo(dtype)
        x = rng.integers(max(info.min, -4000), min(info.max, 4000), shape, dtype, endpoint=True)
        return x, np.float64(np.float32(scale)) * (x.astype(np.float64) - zero), {"quantisation": (scale, zero)}
    x = rng.normal(0, 3, shape).astype(dtype)
    return x, x.astype(np.float64), {}


def f32(values):
    """Numbers that every type of a computation has."""
    return np.asarray(values, np.float32).astype(np.float64)


def labels_case(rng, rows=ROWS):
    labels = rng.integers(0, CLASSES, rows)
    return labels, ref.one_hot(labels, CLASSES)


def dense_case(rng):
    t = f32(rng.random((ROWS, CLASSES)))
    return t, t


def zero_one_case(rng):
    t = rng.integers(0, 2, (ROWS, CLASSES))
    return t, t.astype(np.float64)


def fractions_case(rng):
    return dense_case(rng)


WEIGHTS = f32([0.5, 2.0, 0.0, 1.0, 3.0, 0.25, 1.5])
POS = f32([1.0, 2.0, 0.5, 4.0, 1.0, 0.25, 3.0])

# The loss, its options, targets, and the same by the reference.
LOGIT_CASES = {
    "labels": ("softmax_cross_entropy", {}, labels_case, lambda x, t: ref.softmax_rows(x, t)),
    "labels-smoothed": (
        "softmax_cross_entropy", {"label_smoothing": 0.1}, labels_case, lambda x, t: ref.softmax_rows(x, t, smoothing=0.1),
    ),
    "labels-weighted": (
        "softmax_cross_entropy", {"class_weights": WEIGHTS}, labels_case, lambda x, t: ref.softmax_rows(x, t, w=WEIGHTS),
    ),
    "labels-weighted-smoothed": (
        "softmax_cross_entropy",
        {"class_weights": WEIGHTS, "label_smoothing": 0.2},
        labels_case,
        lambda x, t: ref.softmax_rows(x, t, w=WEIGHTS, smoothing=0.2),
    ),
    "focal": ("softmax_cross_entropy", {"focal_gamma": 2.0}, labels_case, lambda x, t: ref.softmax_rows(x, t, gamma=2.0)),
    "focal-weighted": (
        "softmax_cross_entropy",
        {"focal_gamma": 1.5, "class_weights": WEIGHTS},
        labels_case,
        lambda x, t: ref.softmax_rows(x, t, gamma=1.5, w=WEIGHTS),
    ),
    "z-loss": ("softmax_cross_entropy", {"z_loss": 0.01}, labels_case, lambda x, t: ref.softmax_rows(x, t, z_loss=0.01)),
    "soft-cap": ("softmax_cross_entropy", {"soft_cap": 5.0}, labels_case, lambda x, t: ref.softmax_rows(x, t, cap=5.0)),
    "dense": ("softmax_cross_entropy", {}, dense_case, lambda x, t: ref.softmax_rows(x, t)),
    "dense-all": (
        "softmax_cross_entropy",
        {"class_weights": WEIGHTS, "label_smoothing": 0.1, "z_loss": 0.01, "soft_cap": 8.0},
        dense_case,
        lambda x, t: ref.softmax_rows(x, t, w=WEIGHTS, smoothing=0.1, z_loss=0.01, cap=8.0),
    ),
    "multi-label": ("multi_label_softmax", {}, zero_one_case, lambda x, t: ref.multi_label_softmax_rows(x, t)),
    "multi-label-real": (
        "multi_label_softmax",
        {"class_weights": WEIGHTS, "z_loss": 0.01},
        dense_case,
        lambda x, t: ref.multi_label_softmax_rows(x, t, w=WEIGHTS, z_loss=0.01),
    ),
    "multi-label-caffe": (
        "multi_label_softmax",
        {"caffe_gradient": True},
        dense_case,
        lambda x, t: ref.multi_label_softmax_rows(x, t, caffe=True),
    ),
    "distillation": ("distillation", {}, dense_case, lambda x, t: ref.distillation_rows(x, t)),
    "distillation-all": (
        "distillation",
        {"temperature": 3.0, "class_weights": WEIGHTS},
        dense_case,
        lambda x, t: ref.distillation_rows(x, t, temperature=3.0, w=WEIGHTS),
    ),
    "sigmoid": ("sigmoid_cross_entropy", {}, zero_one_case, lambda x, t: ref.sigmoid_elements(x, t)),
    "sigmoid-fractions": ("sigmoid_cross_entropy", {}, fractions_case, lambda x, t: ref.sigmoid_elements(x, t)),
    "sigmoid-all": (
        "sigmoid_cross_entropy",
        {"class_weights": WEIGHTS, "pos_weight": POS, "label_smoothing": 0.1},
        fractions_case,
        lambda x, t: ref.sigmoid_elements(x, t, w=WEIGHTS, pos=POS, smoothing=0.1),
    ),
    "sigmoid-one-pos": (
        "sigmoid_cross_entropy", {"pos_weight": 2.5}, zero_one_case, lambda x, t: ref.sigmoid_elements(x, t, pos=2.5),
    ),
    "sigmoid-focal": (
        "sigmoid_cross_entropy",
        {"focal_gamma": 2.0, "focal_alpha": 0.25},
        zero_one_case,
        lambda x, t: ref.sigmoid_elements(x, t, gamma=2.0, alpha=0.25),
    ),
    "sigmoid-alpha": (
        "sigmoid_cross_entropy",
        {"focal_alpha": 0.25},
        zero_one_case,
        lambda x, t: ref.sigmoid_elements(x, t, gamma=0.0, alpha=0.25),
    ),
    "soft-margin": (
        "multi_label_soft_margin", {}, fractions_case, lambda x, t: margin_rows(ref.sigmoid_elements(x, t)),
    ),
    "soft-margin-all": (
        "multi_label_soft_margin",
        {"class_weights": WEIGHTS, "pos_weight": POS, "label_smoothing": 0.1},
        zero_one_case,
        lambda x, t: margin_rows(ref.sigmoid_elements(x, t, w=WEIGHTS, pos=POS, smoothing=0.1)),
    ),
}


def margin_rows(elements):
    losses, grad = elements
    return losses.mean(axis=-1), grad / losses.shape[-1]


def reduced(case, labels, losses, grad, reduction, sample_weights=None):
    """The loss and gradient under the default policy: a mean over rows or elements, or over the class weights of labels."""
    name, options = case[0], case[1]
    if sample_weights is not None:
        by_row = sample_weights.reshape((-1,) + (1,) * (losses.ndim - 1))
        losses, grad = losses * by_row, grad * sample_weights[:, None]
    if reduction == "none":
        return losses, grad
    divisor = 1.0
    if reduction == "mean":
        is_by_label = name == "softmax_cross_entropy" and labels.ndim == 1 and "class_weights" in options
        divisor = options["class_weights"][labels].sum() if is_by_label else losses.size
    return losses.sum() / divisor, grad / divisor


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("dtype", [*FLOATS, *QUANTISED], ids=lambda dtype: np.dtype(dtype).name)
@pytest.mark.parametrize("case", LOGIT_CASES.values(), ids=LOGIT_CASES)
def test_losses_of_logits(case, dtype, reduction):
    name, options, targets_of, formula = case
    rng = np.random.default_rng(7)
    x, exact, quantisation = logits_of(dtype, rng)
    targets, t = targets_of(rng)
    expected, expected_grad = reduced(case, targets, *formula(exact, t), reduction)
    options = {**options, **quantisation, "reduction": reduction}
    loss, grad = xent.value_and_grad(name, x, targets, **options)
    assert_loss(loss, expected, dtype)
    assert_grad(grad, expected_grad, dtype)
    assert grad.shape == x.shape
    assert grad.dtype == (np.float32 if dtype in QUANTISED else dtype)
    value = getattr(xent, name)(x, targets, **options)
    if reduction == "none":
        assert loss.dtype == value.dtype == number(dtype)
        np.testing.assert_array_equal(value, loss)
    else:
        assert type(loss) is type(value) is float
        assert value == loss


@pytest.mark.parametrize("dtype", FLOATS, ids=lambda dtype: np.dtype(dtype).name)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", ["logistic_loss", "negative_log_likelihood", "multinomial_logistic"])
def test_losses_of_probabilities(name, weighted, dtype):
    rng = np.random.default_rng(11)
    p = rng.random((ROWS, CLASSES)).astype(dtype)
    labels, t = labels_case(rng)
    w = WEIGHTS if weighted else None
    options = {"class_weights": WEIGHTS} if weighted else {}
    if name == "logistic_loss":
        p.flat[:4] = [0, 1, 0, 1]
        targets = zero_one_case(rng)[0]
        targets.flat[:4] = [0, 1, 1, 0]
        if weighted:
            options["pos_weight"] = POS
        of_classes = {"w": WEIGHTS, "pos": POS} if weighted else {}
        losses, grad = ref.logistic_elements(p.astype(np.float64), targets, **of_classes)
        divisor = losses.size
    else:
        targets = labels
        if name == "multinomial_logistic":
            p[0, labels[0]] = 0
            losses, grad = ref.multinomial_rows(p.astype(np.float64), t, w=w)
        else:
            p = np.log(p.astype(np.float64)).astype(dtype)
            losses, grad = ref.likelihood_rows(p.astype(np.float64), t, w=w)
        divisor = WEIGHTS[labels].sum() if weighted else ROWS
    loss, found = xent.value_and_grad(name, p, targets, **options)
    assert_loss(loss, losses.sum() / divisor, dtype)
    expected = grad / divisor
    # What a type cannot hold is infinite in it.
    largest = float(ml_dtypes.finfo(dtype).max)
    fits = np.abs(expected) <= largest
    assert fits.sum() >= expected.size - 4
    relative, step = ROUNDED.get(dtype, (0.0, 0.0))
    np.testing.assert_allclose(
        found.astype(np.float64)[fits], expected[fits], rtol=COMPUTED[number(dtype)] + relative, atol=step
    )
    assert np.isinf(found.astype(np.float64)[~fits]).all()
    np.testing.assert_allclose(
        xent.evaluate(name, p, targets, losses=True, **options).losses, losses, rtol=COMPUTED[number(dtype)], atol=1e-12
    )


def test_softmax_of_two_classes_is_the_sigmoid_of_their_difference():
    rng = np.random.default_rng(3)
    x = rng.normal(0, 3, (ROWS, 2))
    y = rng.integers(0, 2, ROWS)
    loss, grad = xent.value_and_grad("softmax_cross_entropy", x, y)
    of_difference, by_difference = xent.value_and_grad("sigmoid_cross_entropy", x[:, 1] - x[:, 0], y)
    np.testing.assert_allclose(loss, of_difference, rtol=1e-13)
    np.testing.assert_allclose(grad[:, 1], by_difference, rtol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_ignored_labels_and_every_divisor(dtype):
    rng = np.random.default_rng(5)
    x, exact, _ = logits_of(dtype, rng)
    labels, _ = labels_case(rng)
    labels[[1, 4]] = -100
    kept = labels != -100
    t = ref.one_hot(labels, CLASSES)
    v = f32(rng.normal(1, 1, ROWS))
    losses, grad = ref.softmax_rows(exact, t, w=WEIGHTS)
    losses, grad = losses * v, grad * v[:, None]
    by_label = WEIGHTS[np.where(kept, labels, 0)] * kept
    divisors = {
        "pytorch": by_label.sum(), "not_ignored": kept.sum(), "all_rows": ROWS, "weights": (by_label * v).sum(),
    }
    for mean_over, divisor in divisors.items():
        loss, found = xent.value_and_grad(
            "softmax_cross_entropy", x, labels, class_weights=WEIGHTS, ignore_index=-100, sample_weights=v, mean_over=mean_over
        )
        assert_loss(loss, losses.sum() / divisor, dtype)
        assert_grad(found, grad / divisor, dtype)
        assert not found[~kept].any()
        result = xent.evaluate(
            "softmax_cross_entropy", x, labels, class_weights=WEIGHTS, ignore_index=-100, sample_weights=v, mean_over=mean_over
        )
        assert (result.rows, result.valid_rows) == (ROWS, kept.sum())
        np.testing.assert_allclose(result.denominator, divisor, rtol=1e-6)


def test_ignored_elements():
    x = np.array([[1.0, -2.0], [0.5, 3.0]])
    y = np.array([[1, -1], [-1, 0]])
    losses, grad = ref.sigmoid_elements(x, np.maximum(y, 0))
    kept = y >= 0
    for name in ("sigmoid_cross_entropy", "multi_label_soft_margin"):
        found = xent.value_and_grad(name, x, y, ignore_index=-1, reduction="sum")
        share = 1 if name == "sigmoid_cross_entropy" else 2
        np.testing.assert_allclose(found[0], (losses * kept).sum() / share, rtol=1e-14)
        np.testing.assert_allclose(found[1], grad * kept / share, rtol=1e-14)
    found = xent.value_and_grad("sigmoid_cross_entropy", x, y, ignore_index=-1)
    np.testing.assert_allclose(found[0], (losses * kept).sum() / 2, rtol=1e-14)


@pytest.mark.parametrize("case", LOGIT_CASES.values(), ids=LOGIT_CASES)
def test_sample_weights(case):
    name, options, targets_of, formula = case
    rng = np.random.default_rng(9)
    x, exact, _ = logits_of(np.float64, rng)
    targets, t = targets_of(rng)
    v = rng.normal(0, 1, ROWS)
    v[3] = 0
    for reduction in ("mean", "sum", "none"):
        expected, expected_grad = reduced(case, targets, *formula(exact, t), reduction, v)
        loss, grad = xent.value_and_grad(name, x, targets, sample_weights=v, reduction=reduction, **options)
        assert_loss(loss, expected, np.float64)
        assert_grad(grad, expected_grad, np.float64)
        assert not grad[3].any()


def test_a_row_without_weight_may_have_any_logits():
    x = np.array([[1.0, np.nan], [0.5, 3.0]])
    loss, grad = xent.value_and_grad("softmax_cross_entropy", x, [0, 1], sample_weights=[0, 1], reduction="sum")
    np.testing.assert_allclose(loss, np.log1p(np.exp(-2.5)), rtol=1e-15)
    assert not grad[0].any()


@pytest.mark.parametrize(
    ("name", "nothing"),
    [
        ("softmax_cross_entropy", {"targets": [-1, -1], "ignore_index": -1}),
        ("negative_log_likelihood", {"targets": [-1, -1], "ignore_index": -1}),
        ("sigmoid_cross_entropy", {"targets": [[-1, -1], [-1, -1]], "ignore_index": -1}),
        ("softmax_cross_entropy", {"targets": [0, 1], "class_weights": [0, 0]}),
        ("softmax_cross_entropy", {"targets": [0, 1], "sample_weights": [0, 0], "mean_over": "weights"}),
    ],
)
def test_nothing_valid(name, nothing):
    x = np.zeros((2, 2), np.float32)
    loss, grad = xent.value_and_grad(name, x, **nothing)
    assert loss == 0 and not grad.any()
    loss, _ = xent.value_and_grad(name, x, nothing_valid="nan", **nothing)
    assert np.isnan(loss)
    out = np.full_like(x, 5)
    with pytest.raises(ValueError, match="nothing_valid"):
        xent.value_and_grad(name, x, nothing_valid="error", out=out, **nothing)
    assert (out == 5).all()


def test_presets_by_name():
    """The table of `xent::Preset`, by what it does: the reduction, the divisor, the ignored label, nothing valid."""
    rng = np.random.default_rng(2)
    x = rng.normal(0, 2, (4, 3))
    labels, w = np.array([0, 2, 1, 0]), f32([1.0, 2.0, 0.5])
    losses, _ = ref.softmax_rows(x, ref.one_hot(labels, 3), w=w)
    by_label = losses.sum() / w[labels].sum()
    means = {
        "pytorch": by_label, "onnx": by_label, "burn": by_label, "paddle": by_label,
        "sklearn": by_label, "keras": losses.mean(), "caffe": losses.mean(), "candle": losses.mean(),
        "tensorflow": losses, "optax": losses, "mlx": losses,
    }
    for preset, expected in means.items():
        found = xent.softmax_cross_entropy(x, labels, preset=preset, class_weights=w)
        np.testing.assert_allclose(found, expected, rtol=1e-13, err_msg=preset)
    # Without class weights Paddle divides by all rows, those ignored too; PyTorch by the others.
    plain, _ = ref.softmax_rows(x, ref.one_hot([0, -100, 1, 0], 3))
    for preset, divisor in (("pytorch", 3), ("paddle", 4)):
        found = xent.softmax_cross_entropy(x, [0, -100, 1, 0], preset=preset)
        np.testing.assert_allclose(found, plain[[0, 2, 3]].sum() / divisor, rtol=1e-13, err_msg=preset)
    for preset in set(means) - {"pytorch", "paddle"}:
        with pytest.raises(ValueError, match="targets.*-100"):
            xent.softmax_cross_entropy(x, [0, -100, 1, 0], preset=preset)
    ignored = [-100] * 4
    assert np.isnan(xent.softmax_cross_entropy(x, ignored, preset="pytorch"))
    assert np.isnan(xent.softmax_cross_entropy(x, ignored, preset="onnx", ignore_index=-100))
    assert xent.softmax_cross_entropy(x, ignored, preset="keras", ignore_index=-100) == 0
    with pytest.raises(ValueError, match="nothing_valid"):
        xent.softmax_cross_entropy(x, ignored, preset="sklearn", ignore_index=-100)
    # An option beside the preset has its way.
    assert xent.softmax_cross_entropy(x, ignored, preset="pytorch", nothing_valid="zero") == 0
    found = xent.softmax_cross_entropy(x, labels, preset="optax", reduction="sum")
    np.testing.assert_allclose(found, ref.softmax_rows(x, ref.one_hot(labels, 3))[0].sum(), rtol=1e-13)
    # Caffe's sigmoid loss divides by the rows, PyTorch's by the elements.
    y = ref.one_hot(labels, 3)
    elements, _ = ref.sigmoid_elements(x, y)
    for preset, divisor in (("caffe", 4), ("pytorch", 12), ("mlx", 12)):
        found = xent.sigmoid_cross_entropy(x, y, preset=preset)
        np.testing.assert_allclose(found, elements.sum() / divisor, rtol=1e-13, err_msg=preset)
    with pytest.raises(ValueError, match="^preset: no preset of that name: expected pytorch, keras, "):
        xent.softmax_cross_entropy(x, labels, preset="kears")


@pytest.mark.parametrize("dtype", FLOATS, ids=lambda dtype: np.dtype(dtype).name)
def test_scale_upstream_and_accumulate(dtype):
    rng = np.random.default_rng(1)
    x, exact, _ = logits_of(dtype, rng)
    labels, t = labels_case(rng)
    _, grad = ref.softmax_rows(exact, t)
    upstream = f32(rng.normal(0, 1, ROWS))
    _, found = xent.value_and_grad("softmax_cross_entropy", x, labels, reduction="none", upstream=upstream)
    assert_grad(found, grad * upstream[:, None], dtype)
    _, found = xent.value_and_grad("softmax_cross_entropy", x, labels, scale=-3.0)
    assert_grad(found, grad / ROWS * -3, dtype)
    for kind in {np.dtype(dtype), np.dtype(number(dtype))}:
        before = rng.normal(0, 1, x.shape).astype(kind)
        out = before.copy()
        _, found = xent.value_and_grad("softmax_cross_entropy", x, labels, reduction="sum", out=out, accumulate=True)
        assert found is out
        assert_grad(out, before.astype(np.float64) + grad, kind.type)
    elements = f32(rng.normal(0, 1, x.shape))
    y, t = zero_one_case(rng)
    _, found = xent.value_and_grad("sigmoid_cross_entropy", x, y, reduction="none", upstream=elements)
    assert_grad(found, ref.sigmoid_elements(exact, t)[1] * elements, dtype)


@pytest.mark.parametrize("shape", [(6,), (4, 6), (2, 3, 5), (2, 3, 2, 4)])
def test_any_axis(shape):
    rng = np.random.default_rng(4)
    x = rng.normal(0, 2, shape)
    for axis in range(-len(shape), len(shape)):
        last = np.moveaxis(x, axis, -1)
        classes = last.shape[-1]
        labels = rng.integers(0, classes, last.shape[:-1])
        losses, grad = ref.softmax_rows(last, ref.one_hot(labels, classes))
        w, v = rng.random(classes), rng.random(labels.shape)
        found = xent.evaluate("softmax_cross_entropy", x, labels, axis=axis, grad=True, losses=True, log_sum_exp=True,
                              predicted=True, hessian="exact", reduction="sum")
        np.testing.assert_allclose(found.losses, losses, rtol=1e-13)
        np.testing.assert_allclose(found.grad, np.moveaxis(grad, -1, axis), rtol=1e-12, atol=1e-15)
        np.testing.assert_array_equal(found.predicted, last.argmax(axis=-1))
        p = ref.softmax(last)
        np.testing.assert_allclose(found.hessian, np.moveaxis(p * (1 - p), -1, axis), rtol=1e-12, atol=1e-15)
        np.testing.assert_allclose(xent.softmax(x, axis=axis), np.moveaxis(p, -1, axis), rtol=1e-13)
        np.testing.assert_allclose(
            xent.log_softmax(x, axis=axis), np.moveaxis(ref.log_softmax(last), -1, axis), rtol=1e-13, atol=1e-15
        )
        lse = np.log(np.exp(last).sum(axis=-1))
        np.testing.assert_allclose(xent.log_sum_exp(x, axis=axis), lse, rtol=1e-13, atol=1e-15)
        np.testing.assert_allclose(found.log_sum_exp, lse, rtol=1e-13, atol=1e-15)
        # Dense targets, weights of classes and of rows follow the axis.
        t = rng.random(last.shape)
        losses, grad = ref.softmax_rows(last, t, w=w)
        found = xent.value_and_grad("softmax_cross_entropy", x, np.moveaxis(t, -1, axis), axis=axis, class_weights=w,
                                    sample_weights=v, reduction="none")
        np.testing.assert_allclose(found[0], losses * v, rtol=1e-13)
        np.testing.assert_allclose(found[1], np.moveaxis(grad * v[..., None], -1, axis), rtol=1e-11, atol=1e-15)
        if len(shape) > 1:
            y = rng.integers(0, 2, last.shape)
            losses, grad = ref.sigmoid_elements(last, y, w=w)
            found = xent.value_and_grad("sigmoid_cross_entropy", x, np.moveaxis(y, -1, axis), axis=axis, class_weights=w,
                                        upstream=np.moveaxis(t, -1, axis), reduction="none")
            np.testing.assert_allclose(found[0], np.moveaxis(losses, -1, axis), rtol=1e-13)
            np.testing.assert_allclose(found[1], np.moveaxis(grad * t, -1, axis), rtol=1e-12)


@pytest.mark.parametrize("dtype", FLOATS, ids=lambda dtype: np.dtype(dtype).name)
def test_evaluate_gives_everything(dtype):
    rng = np.random.default_rng(6)
    x, exact, _ = logits_of(dtype, rng)
    labels, t = labels_case(rng)
    labels[2] = -1
    t[2] = 0
    v = f32(rng.random(ROWS))
    kept = labels >= 0
    losses, grad = ref.softmax_rows(exact, t)
    found = xent.evaluate(
        xent.softmax_cross_entropy, x, labels, ignore_index=-1, sample_weights=v, grad=True, losses=True, log_sum_exp=True,
        predicted=True, count_correct=True, hessian="exact",
    )
    mean = (losses * v * kept).sum() / kept.sum()
    assert_loss(found.loss, mean, dtype)
    assert_loss(found.mean_loss, mean, dtype)
    assert_loss(found.losses, losses * v * kept, dtype)
    assert_grad(found.grad, grad * (v * kept / kept.sum())[:, None], dtype)
    p = ref.softmax(exact)
    assert_grad(found.hessian, p * (1 - p) * (v * kept / kept.sum())[:, None], number(dtype))
    assert_loss(found.log_sum_exp, np.log(np.exp(exact).sum(axis=-1)), dtype)
    right = exact.argmax(axis=-1) == labels
    np.testing.assert_array_equal(found.predicted, exact.argmax(axis=-1))
    assert (found.rows, found.valid_rows, found.correct) == (ROWS, kept.sum(), (right & kept).sum())
    np.testing.assert_allclose(found.accuracy, (v * right * kept).sum() / (v * kept).sum(), rtol=1e-6)
    assert (found.denominator, found.not_finite, found.clamped) == (kept.sum(), 0, 0)
    # Asking for less changes nothing of the rest, to the bit.
    less = xent.evaluate("softmax_cross_entropy", x, labels, ignore_index=-1, sample_weights=v)
    assert less.loss == found.loss
    assert (less.grad, less.losses, less.log_sum_exp, less.predicted, less.hessian, less.correct) == (None,) * 6
    _, alone = xent.value_and_grad("softmax_cross_entropy", x, labels, ignore_index=-1, sample_weights=v)
    np.testing.assert_array_equal(alone.view(np.uint8), found.grad.view(np.uint8))


def test_evaluate_counts_what_is_odd():
    x = np.array([[0.0, np.nan], [1.0, 2.0], [-np.inf, -np.inf]])
    result = xent.evaluate("softmax_cross_entropy", x, [0, 1, 0], reduction="none")
    assert (result.not_finite, result.loss) == (2, None)
    assert xent.evaluate("multinomial_logistic", [[0.0, 1.0], [0.5, 0.5]], [0, 1]).clamped == 1
    assert xent.evaluate("logistic_loss", [0.0, 1.0, 0.5], [1, 0, 0]).clamped == 2


@pytest.mark.parametrize("dtype", FLOATS, ids=lambda dtype: np.dtype(dtype).name)
def test_second_derivatives_of_boosting(dtype):
    rng = np.random.default_rng(8)
    x, exact, _ = logits_of(dtype, rng)
    labels, t = labels_case(rng)
    v = f32(rng.random(ROWS))
    p = ref.softmax(exact)
    plain = p * (1 - p)
    expected = {
        "exact": plain * v[:, None],
        "xgboost": np.maximum(2 * plain * v[:, None], 1e-16),
        "lightgbm": CLASSES / (CLASSES - 1) * plain * v[:, None],
    }
    for convention, hessian in expected.items():
        found = xent.evaluate("softmax_cross_entropy", x, labels, sample_weights=v, hessian=convention, boosting=True)
        assert_grad(found.hessian, hessian, number(dtype))
        assert_grad(found.grad, (p - t) * v[:, None], dtype)
        floored = xent.evaluate("softmax_cross_entropy", x, labels, hessian=convention, boosting=True, hessian_floor=0.125)
        assert floored.hessian.min() == 0.125
    y = rng.integers(0, 2, ROWS)
    found = xent.evaluate("sigmoid_cross_entropy", x[:, 0], y, sample_weights=v, hessian="xgboost", boosting=True)
    s = ref.sigmoid(exact[:, 0])
    assert_grad(found.hessian, np.maximum(s * (1 - s), 1e-16) * v, number(dtype))
    with pytest.raises(ValueError, match="hessian"):
        xent.evaluate("softmax_cross_entropy", x, labels, hessian="xgboost")
    with pytest.raises(ValueError, match="hessian_floor"):
        xent.evaluate("softmax_cross_entropy", x, labels, hessian_floor=1.0)


def test_lists_of_positive_classes():
    x = np.random.default_rng(0).normal(0, 2, (3, 4))
    y = np.array([[1, 0, 0, 1], [0, 0, 0, 0], [0, 1, 0, 0]])
    for name in ("sigmoid_cross_entropy", "multi_label_soft_margin"):
        expected = xent.value_and_grad(name, x, y)
        for offsets in ([0, 2, 2, 3], np.array([0, 2, 2, 3], np.uint16), np.array([9, 0, 9, 2, 9, 2, 9, 3])[1::2]):
            found = xent.value_and_grad(name, x, (offsets, np.array([0, 3, 1], np.int8)))
            np.testing.assert_allclose(found[0], expected[0], rtol=1e-15)
            np.testing.assert_allclose(found[1], expected[1], rtol=1e-15)
    empty, _ = xent.value_and_grad("sigmoid_cross_entropy", x, ([0, 0, 0, 0], []))
    np.testing.assert_allclose(empty, ref.softplus(x).mean(), rtol=1e-14)
    # A pair of numbers is a target for each of two logits.
    assert xent.sigmoid_cross_entropy([0.0, 0.0], (0, 1)) == pytest.approx(np.log(2), rel=1e-15)
    for offsets, classes, error in [
        ([0, 2, 2], [0, 3], ValueError),
        ([0, 2, 2, 4], [0, 3, 1], ValueError),
        ([0, 2, 1, 3], [0, 3, 1], ValueError),
        ([-1, 2, 2, 3], [0, 3, 1], ValueError),
        ([0, 2, 2, 3], [0, 4, 1], ValueError),
        ([0, 2, 2, 3], [0.5, 3, 1], TypeError),
        ([0, 2, 2.5, 3], [0, 3, 1], TypeError),
        ([[0, 2, 2, 3]], [0, 3, 1], ValueError),
        ([0, 2, 2, 3], "abc", TypeError),
    ]:
        with pytest.raises(error, match="targets|offsets|class"):
            xent.sigmoid_cross_entropy(x, (offsets, classes))


@pytest.mark.parametrize("dtype", FLOATS, ids=lambda dtype: np.dtype(dtype).name)
@pytest.mark.parametrize("has_bias", [False, True])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_linear_cross_entropy(reduction, has_bias, dtype):
    rng = np.random.default_rng(10)
    inputs, weights = rng.normal(0, 1, (2, 3, 5)).astype(dtype), rng.normal(0, 1, (CLASSES, 5)).astype(dtype)
    bias = rng.normal(0, 1, CLASSES).astype(dtype) if has_bias else None
    rows = inputs.astype(np.float64).reshape(6, 5)
    exact = rows @ weights.astype(np.float64).T + (0 if bias is None else bias.astype(np.float64))
    labels, v = rng.integers(0, CLASSES, (2, 3)), f32(rng.random((2, 3)))
    options = {"reduction": reduction, "label_smoothing": 0.1, "class_weights": WEIGHTS, "sample_weights": v, "scale": 2.0}
    losses, grad = ref.softmax_rows(exact, ref.one_hot(labels.ravel(), CLASSES), w=WEIGHTS, smoothing=0.1)
    losses, grad = losses * v.ravel(), grad * v.reshape(6, 1)
    divisor = WEIGHTS[labels].sum() if reduction == "mean" else 1.0
    loss, grads = xent.linear_cross_entropy(inputs, weights, labels, bias, grad=True, **options)
    expected = losses.reshape(2, 3) if reduction == "none" else losses.sum() / divisor
    # The products of a layer are sums of five terms of about one: 1e-5 is 80 ULP of float32, the logits' own error.
    tolerance = 1e-12 if dtype is np.float64 else 1e-5
    np.testing.assert_allclose(loss, expected, rtol=tolerance)
    grad = grad * 2 / divisor
    for found, exactly in zip(grads, (
        (grad @ weights.astype(np.float64)).reshape(2, 3, 5), grad.T @ rows, grad.sum(axis=0)
    )):
        if found is None:
            assert bias is None and exactly.shape == (CLASSES,)
            continue
        assert found.dtype == number(dtype)
        np.testing.assert_allclose(found, exactly, rtol=tolerance, atol=tolerance * np.abs(exactly).max())
    alone, none = xent.linear_cross_entropy(inputs, weights, labels, bias, **options)
    np.testing.assert_array_equal(alone, loss)
    assert none == [None, None, None]


def test_linear_dense_targets_have_the_shape_of_the_logits():
    rng = np.random.default_rng(10)
    inputs, weights, t = rng.normal(0, 1, (4, 5)), rng.normal(0, 1, (3, 5)), rng.random((4, 3))
    losses, _ = ref.softmax_rows(inputs @ weights.T, t)
    for layout in (t, np.asfortranarray(t), t[::-1].copy()[::-1]):
        found, _ = xent.linear_cross_entropy(inputs, weights, layout, reduction="none")
        np.testing.assert_allclose(found, losses, rtol=1e-13)
    for wrong in (t.T, t.ravel(), t[:3]):
        with pytest.raises(ValueError, match="targets: expected the shape"):
            xent.linear_cross_entropy(inputs, weights, wrong)
    with pytest.raises(TypeError, match="linear_cross_entropy has no option axis"):
        xent.linear_cross_entropy(inputs, weights, t, axis=0)


@pytest.mark.parametrize("dtype", FLOATS, ids=lambda dtype: np.dtype(dtype).name)
def test_functions_of_rows(dtype):
    x, exact, _ = logits_of(dtype, np.random.default_rng(12))
    relative, step = ROUNDED.get(dtype, (0.0, 0.0))
    tolerance = {"rtol": COMPUTED[number(dtype)] + relative, "atol": step}
    for found, expected in [
        (xent.softmax(x), ref.softmax(exact)),
        (xent.log_softmax(x), ref.log_softmax(exact)),
        (xent.log_sum_exp(x), np.log(np.exp(exact).sum(axis=-1))),
    ]:
        assert found.dtype == x.dtype
        np.testing.assert_allclose(found.astype(np.float64), expected, **tolerance)


def test_large_batches_have_the_same_numbers():
    """More rows than a thread takes at a time, in every layout."""
    rng = np.random.default_rng(13)
    x = rng.normal(0, 3, (3000, 20))
    labels = rng.integers(0, 20, 3000)
    losses, grad = ref.softmax_rows(x, ref.one_hot(labels, 20))
    for logits, axis in ((x, -1), (np.asfortranarray(x), -1), (np.ascontiguousarray(x.T), 0), (x[:, ::-1].copy()[:, ::-1], 1)):
        loss, found = xent.value_and_grad("softmax_cross_entropy", logits, labels, axis=axis)
        np.testing.assert_allclose(loss, losses.mean(), rtol=1e-13)
        np.testing.assert_allclose(found if axis else found.T, grad / 3000, rtol=1e-11, atol=1e-18)
    np.testing.assert_allclose(xent.softmax(x), ref.softmax(x), rtol=1e-13)


def test_a_loss_by_function_or_name():
    x, y = [[2.0, 1.0]], [0]
    assert xent.value_and_grad(xent.softmax_cross_entropy, x, y)[0] == xent.value_and_grad("softmax_cross_entropy", x, y)[0]
    with pytest.raises(ValueError, match="loss: no loss cross_entropy: expected softmax_cross_entropy"):
        xent.value_and_grad("cross_entropy", x, y)
    for wrong in (None, 3, b"softmax_cross_entropy", object()):
        with pytest.raises(TypeError, match="loss: expected a loss function"):
            xent.value_and_grad(wrong, x, y)
