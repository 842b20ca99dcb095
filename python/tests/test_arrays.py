"""Arrays of every layout, and what is no array: the right numbers, or an error that names the argument."""

from __future__ import annotations

import mmap

import ml_dtypes
import numpy as np
import pytest
import reference as ref
from hypothesis import given, settings
from hypothesis import strategies as st
from memory import asks_for_huge_pages, needs_huge_pages
from numpy.lib.stride_tricks import as_strided, sliding_window_view

import xent
from xent._arrays import ask_for_huge_pages

RNG = np.random.default_rng(20)
X = RNG.normal(0, 2, (6, 5))
LABELS = RNG.integers(0, 5, 6)
LOSSES, GRAD = ref.softmax_rows(X, ref.one_hot(LABELS, 5))
LOSS, GRAD = LOSSES.mean(), GRAD / 6
# Sums of six losses and of five exponentials in float64: 1e-13 is 450 ULP.
CLOSE = {"rtol": 1e-13, "atol": 1e-15}


class OnlyDlpack:
    def __init__(self, array):
        self.array = array

    def __dlpack__(self, **options):
        return self.array.__dlpack__(**options)

    def __dlpack_device__(self):
        return self.array.__dlpack_device__()


class OnlyInterface:
    def __init__(self, array):
        self.array = array
        self.__array_interface__ = array.__array_interface__


class OnlyArray:
    def __init__(self, array):
        self.array = array

    def __array__(self, dtype=None, copy=None):
        return self.array


class Subclass(np.ndarray):
    pass


def misaligned(array):
    memory = np.empty(array.nbytes + 1, np.uint8)
    view = memory[1:].view(array.dtype).reshape(array.shape)
    view[...] = array
    assert not view.flags.aligned
    return view


def strided(array):
    wide = np.full((array.shape[0] * 2, array.shape[1] + 3), np.nan, array.dtype)
    wide[::2, 1:-2] = array
    return wide[::2, 1:-2]


def every_other(array):
    wide = np.full((array.shape[0], array.shape[1] * 2), np.nan, array.dtype)
    wide[:, ::2] = array
    return wide[:, ::2]


def read_only(array):
    array = array.copy()
    array.flags.writeable = False
    return array


LAYOUTS = {
    "C": np.ascontiguousarray,
    "Fortran": np.asfortranarray,
    "rows apart": strided,
    "classes apart": every_other,
    "backwards": lambda array: array[::-1, ::-1].copy()[::-1, ::-1],
    "rows backwards": lambda array: array[::-1].copy()[::-1],
    "misaligned": misaligned,
    "big-endian": lambda array: array.astype(array.dtype.newbyteorder(">")),
    "read-only": read_only,
    "list": lambda array: array.tolist(),
    "tuple of arrays": tuple,
    "DLPack": OnlyDlpack,
    "interface": OnlyInterface,
    "array": OnlyArray,
    "array, not plain": lambda array: OnlyArray(misaligned(np.asfortranarray(array))),
    "subclass": lambda array: array.view(Subclass),
    "an array that is a subclass": lambda array: OnlyArray(array.view(Subclass)),
    "matrix": lambda array: np.asmatrix(array),
}


@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")
@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_layouts(layout):
    logits = layout(X)
    loss, grad = xent.value_and_grad("softmax_cross_entropy", logits, LABELS)
    np.testing.assert_allclose(loss, LOSS, **CLOSE)
    np.testing.assert_allclose(grad, GRAD, **CLOSE)
    assert type(grad) is np.ndarray
    np.testing.assert_allclose(xent.softmax(logits), ref.softmax(X), **CLOSE)
    # As dense targets, and as the weights of each element.
    t = RNG.random(X.shape)
    losses, grad = ref.sigmoid_elements(X, t)
    found = xent.value_and_grad("sigmoid_cross_entropy", logits, layout(t), upstream=layout(t), reduction="none")
    np.testing.assert_allclose(found[0], losses, **CLOSE)
    np.testing.assert_allclose(found[1], grad * t, rtol=1e-12, atol=1e-15)
    value, (of_inputs, of_weights, _) = xent.linear_cross_entropy(logits, layout(t), RNG.integers(0, 6, 6), grad=True)
    assert np.isfinite(value) and of_inputs.shape == X.shape and of_weights.shape == t.shape


def test_orders_of_memory_are_kept():
    x = RNG.normal(0, 2, (4, 3, 2, 5)).astype(np.float32)
    for order in ((0, 1, 2, 3), (0, 2, 3, 1), (3, 2, 1, 0), (1, 0, 2, 3), (1, 2, 3, 0)):
        # The same numbers, with the axes in another order in memory: (0, 2, 3, 1) is channels-last.
        there = np.ascontiguousarray(x.transpose(order)).transpose(np.argsort(order))
        for axis in range(4):
            last = np.moveaxis(x.astype(np.float64), axis, -1)
            labels = RNG.integers(0, last.shape[-1], last.shape[:-1])
            losses, grad = ref.softmax_rows(last, ref.one_hot(labels, last.shape[-1]))
            loss, found = xent.value_and_grad("softmax_cross_entropy", there, labels, axis=axis, reduction="sum")
            # 4 ULP of float32, and one for each unit of distance: below 12 here.
            np.testing.assert_allclose(loss, losses.sum(), rtol=2e-6)
            np.testing.assert_allclose(found, np.moveaxis(grad, -1, axis), rtol=2e-6, atol=2e-7)
            t = RNG.random(last.shape)
            _, grad = ref.softmax_rows(last, t)
            out = np.full_like(there, 9)
            xent.value_and_grad(
                "softmax_cross_entropy", there, np.moveaxis(t, -1, axis), axis=axis, reduction="sum", out=out
            )
            np.testing.assert_allclose(out, np.moveaxis(grad, -1, axis), rtol=2e-6, atol=1e-6)
    # A gradient has the order of the logits.
    assert xent.value_and_grad("softmax_cross_entropy", np.asfortranarray(X), LABELS)[1].flags.f_contiguous


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_any_view_of_any_shape(data):
    """Shapes with axes of one and of none, any order of memory, steps, repeats: as a plain copy of the same numbers."""
    shape = data.draw(st.lists(st.integers(0, 4), min_size=1, max_size=4), label="shape")
    axis = data.draw(st.integers(0, len(shape) - 1), label="axis")
    shape[axis] = max(shape[axis], 1)
    views = []
    for _ in range(2):
        steps = [data.draw(st.sampled_from([1, 1, 1, 2, -1, -2, 0])) for _ in shape]
        order = data.draw(st.permutations(range(len(shape))))
        memory = [shape[at] * max(abs(steps[at]), 1) if steps[at] else 1 for at in order]
        base = np.random.default_rng(data.draw(st.integers(0, 9))).normal(0, 2, memory).transpose(np.argsort(order))
        view = base[tuple(slice(None, None, step) if step else slice(None) for step in steps)]
        views.append(np.broadcast_to(view, shape))
    x, t = views
    t = np.abs(t)
    plain = np.moveaxis(x, axis, -1).copy()
    labels = np.random.default_rng(1).integers(0, shape[axis], plain.shape[:-1])
    for targets, of_plain in ((labels, labels), (t, np.moveaxis(t, axis, -1).copy())):
        expected = xent.value_and_grad("softmax_cross_entropy", plain, of_plain, reduction="none")
        for out in (None, np.ones(shape), np.ones(shape[::-1]).T):
            found = xent.value_and_grad("softmax_cross_entropy", x, targets, axis=axis, reduction="none", out=out)
            np.testing.assert_allclose(found[0], expected[0], rtol=1e-13, atol=1e-15)
            np.testing.assert_allclose(np.moveaxis(found[1], axis, -1), expected[1], rtol=1e-11, atol=1e-13)
    y = np.minimum(t, 1)
    expected = xent.value_and_grad("sigmoid_cross_entropy", plain, np.moveaxis(y, axis, -1).copy(), reduction="none")
    found = xent.value_and_grad("sigmoid_cross_entropy", x, y, axis=axis, reduction="none")
    np.testing.assert_allclose(np.moveaxis(found[0], axis, -1).reshape(expected[0].shape), expected[0], rtol=1e-13)
    np.testing.assert_allclose(np.moveaxis(found[1], axis, -1).reshape(expected[1].shape), expected[1], rtol=1e-13)
    np.testing.assert_allclose(np.moveaxis(xent.softmax(x, axis=axis), axis, -1), ref.softmax(plain), rtol=1e-12)


def test_rows_that_share_memory():
    one = np.arange(5.0)
    for x in (np.broadcast_to(one, (6, 5)), np.broadcast_to(one[:, None], (5, 5)), sliding_window_view(np.arange(9.0), 4)):
        labels = np.zeros(len(x), int)
        expected = xent.value_and_grad("softmax_cross_entropy", x.copy(), labels)
        found = xent.value_and_grad("softmax_cross_entropy", x, labels)
        assert found[0] == expected[0]
        np.testing.assert_array_equal(found[1], expected[1])


def test_no_rows_one_class_and_few_axes():
    for shape in ((0, 3), (0, 1), (2, 0, 3)):
        for x in (np.zeros(shape), np.zeros(shape)[::-1], np.zeros(shape)[..., ::-1], np.zeros(shape[::-1]).T):
            labels = np.zeros(shape[:-1], int)
            loss, grad = xent.value_and_grad("softmax_cross_entropy", x, labels)
            assert loss == 0 and grad.shape == shape
            assert xent.softmax_cross_entropy(x, labels, reduction="none").shape == shape[:-1]
            assert np.isnan(xent.softmax_cross_entropy(x, labels, nothing_valid="nan"))
            assert xent.sigmoid_cross_entropy(x, np.zeros(shape)) == 0
            assert xent.softmax(x).shape == shape and xent.log_sum_exp(x).shape == shape[:-1]
    for shape in ((3, 0), (0, 0), (0,)):
        for function in (xent.softmax, xent.log_sum_exp, lambda x: xent.softmax_cross_entropy(x, np.zeros(x.shape[:-1], int))):
            with pytest.raises(ValueError, match="logits: a row needs at least one class"):
                function(np.zeros(shape))
    loss, grad = xent.value_and_grad("softmax_cross_entropy", [[5.0], [-2.0]], [0, 0])
    assert loss == 0 and not grad.any()
    # One axis: a single row, or for sigmoids a question in each element. No axis: one question.
    assert xent.softmax_cross_entropy([0.0, 0.0], 1) == pytest.approx(np.log(2), rel=1e-15)
    assert xent.softmax_cross_entropy([0.0, 0.0], [0.5, 0.5]) == pytest.approx(np.log(2), rel=1e-15)
    assert xent.sigmoid_cross_entropy(0.0, 1) == pytest.approx(np.log(2), rel=1e-15)
    loss, grad = xent.value_and_grad("sigmoid_cross_entropy", np.float32(0), True, reduction="none")
    assert loss.shape == grad.shape == () and grad == -0.5
    loss, grad = xent.value_and_grad("sigmoid_cross_entropy", np.zeros(4)[::2], [0, 1])
    np.testing.assert_array_equal(grad, [0.25, -0.25])
    for function in (xent.softmax, lambda x: xent.softmax_cross_entropy(x, 0)):
        with pytest.raises(ValueError, match="axis: there is no axis -1 in logits of 0 dimensions"):
            function(1.0)
    for axis in (1, -2, 2**62, -(2**63)):
        with pytest.raises(ValueError, match="axis"):
            xent.softmax_cross_entropy([0.0, 1.0], 0, axis=axis)
        with pytest.raises(ValueError, match="axis"):
            xent.sigmoid_cross_entropy([0.0, 1.0], [0, 1], axis=axis)
        with pytest.raises(ValueError, match="axis"):
            xent.softmax([0.0, 1.0], axis=axis)


INTEGERS = [np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint16, np.uint32, np.uint64]


@pytest.mark.parametrize("dtype", [*INTEGERS, ">i4", ">u8", np.float16, np.float32, np.float64, ml_dtypes.bfloat16])
def test_types_of_labels(dtype):
    labels = LABELS.astype(dtype)
    for targets in (labels, np.repeat(labels, 2)[::2], labels[::-1].copy()[::-1], labels.reshape(6, 1), labels.tolist()):
        assert xent.softmax_cross_entropy(X, targets) == xent.softmax_cross_entropy(X, LABELS)
    out = np.full_like(X, 3)
    labels[3] = 5
    with pytest.raises(ValueError, match="targets: .*row 3 has 5, expected 0..5"):
        xent.value_and_grad("softmax_cross_entropy", X, labels, out=out)
    assert (out == 3).all()


def test_bools_are_labels_of_two_classes():
    x, y = X[:, :2], LABELS > 2
    assert xent.softmax_cross_entropy(x, y) == xent.softmax_cross_entropy(x, y.astype(int))
    # For each logit they are zero or one.
    t = X > 0
    assert xent.sigmoid_cross_entropy(X, t) == xent.sigmoid_cross_entropy(X, t.astype(float))
    assert xent.softmax_cross_entropy(X, t) == xent.softmax_cross_entropy(X, t.astype(float))


@pytest.mark.parametrize(
    ("labels", "found"),
    [
        (np.array([0, 2**64 - 1], np.uint64), str(2**64 - 1)),
        (np.array([0, 2**63], np.uint64), str(2**63)),
        (np.array([0, -(2**63)]), str(-(2**63))),
        (np.array([0, -1]), "-1"),
        ([0.0, 1.5], "1.5"),
        ([0.0, np.nan], "NaN"),
        ([0.0, np.inf], "inf"),
        ([0.0, -0.5], "-0.5"),
        ([0.0, 2.0**63], ""),
        ([0.0, 1 + 2**-40], "1.00"),
    ],
)
def test_labels_that_are_none(labels, found):
    for dtype in (np.float32, np.float64):
        out = np.full((2, 3), 3, dtype)
        with pytest.raises(ValueError, match=f"targets: .*{found}"):
            xent.value_and_grad("softmax_cross_entropy", np.zeros((2, 3), dtype), labels, out=out)
        assert (out == 3).all()


def test_large_labels_of_float64_are_not_rounded():
    """2^24 + 1 is no number of float32, which the loss is computed in."""
    for label in (2**24 + 1, -(2**53) + 1):
        found = xent.evaluate("softmax_cross_entropy", np.zeros((2, 3), np.float32), [0.0, float(label)], ignore_index=label)
        assert found.valid_rows == 1


@pytest.mark.parametrize("bad", [np.nan, np.inf, -1.0])
@pytest.mark.parametrize(
    ("name", "argument"),
    [
        ("softmax_cross_entropy", "targets"),
        ("sigmoid_cross_entropy", "targets"),
        ("multi_label_softmax", "targets"),
        ("softmax_cross_entropy", "class_weights"),
        ("sigmoid_cross_entropy", "class_weights"),
        ("sigmoid_cross_entropy", "pos_weight"),
        ("softmax_cross_entropy", "sample_weights"),
        ("logistic_loss", "logits"),
    ],
)
def test_bad_numbers_are_named(name, argument, bad):
    arguments = {"logits": np.full((2, 3), 0.5), "targets": np.full((2, 3), 0.5), "class_weights": np.ones(3)}
    arguments |= {"sample_weights": np.ones(2), "pos_weight": np.ones(3)}
    if name not in ("sigmoid_cross_entropy", "logistic_loss"):
        del arguments["pos_weight"]
    arguments[argument].flat[1] = bad
    out = np.full((2, 3), 3.0)
    if argument == "sample_weights" and bad == -1.0:
        assert np.isfinite(xent.value_and_grad(name, **arguments, out=out)[0])
        return
    with pytest.raises(ValueError, match=f"^{argument}: "):
        xent.value_and_grad(name, **arguments, out=out)
    assert (out == 3).all()


SHAPES = [
    ("softmax_cross_entropy", {"targets": np.zeros(5, int)}, "targets"),
    ("softmax_cross_entropy", {"targets": np.zeros((5, 6))}, "targets"),
    ("softmax_cross_entropy", {"targets": np.zeros((2, 3), int)}, "targets"),
    ("softmax_cross_entropy", {"targets": 0}, "targets"),
    ("sigmoid_cross_entropy", {"targets": LABELS}, "targets"),
    ("softmax_cross_entropy", {"class_weights": np.ones(6)}, "class_weights"),
    ("softmax_cross_entropy", {"class_weights": 1.0}, "class_weights"),
    ("softmax_cross_entropy", {"class_weights": np.ones((5, 2))}, "class_weights"),
    ("softmax_cross_entropy", {"sample_weights": np.ones(5)}, "sample_weights"),
    ("softmax_cross_entropy", {"sample_weights": np.ones((2, 3))}, "sample_weights"),
    ("softmax_cross_entropy", {"upstream": np.ones(5), "reduction": "none"}, "upstream"),
    ("softmax_cross_entropy", {"upstream": np.ones(6)}, "upstream"),
    ("sigmoid_cross_entropy", {"targets": X > 0, "upstream": np.ones(6), "reduction": "none"}, "upstream"),
    ("sigmoid_cross_entropy", {"targets": X > 0, "pos_weight": np.ones(6)}, "pos_weight"),
    ("softmax_cross_entropy", {"out": np.zeros((5, 6))}, "out"),
    ("softmax_cross_entropy", {"out": np.zeros(30)}, "out"),
    ("softmax_cross_entropy", {"accumulate": True}, "accumulate"),
    ("softmax_cross_entropy", {"reduction": "avg"}, "reduction"),
    ("softmax_cross_entropy", {"mean_over": "rows"}, "mean_over"),
    ("softmax_cross_entropy", {"label_smoothing": 1.5}, "label_smoothing"),
    ("softmax_cross_entropy", {"label_smoothing": np.nan}, "label_smoothing"),
    ("softmax_cross_entropy", {"focal_gamma": -1}, "focal_gamma"),
    ("softmax_cross_entropy", {"soft_cap": 0}, "soft_cap"),
    ("softmax_cross_entropy", {"ignore_index": 2**63}, "ignore_index"),
]


@pytest.mark.parametrize(("name", "options", "argument"), SHAPES)
def test_wrong_shapes_and_options_are_named(name, options, argument):
    with pytest.raises(ValueError, match=f"^{argument}: "):
        xent.value_and_grad(name, X, **{"targets": LABELS, **options})


@pytest.mark.parametrize(
    ("name", "options", "argument"),
    [
        ("softmax_cross_entropy", {"targets": "abc"}, "targets"),
        ("softmax_cross_entropy", {"targets": None}, "targets"),
        ("softmax_cross_entropy", {"targets": [1j] * 6}, "targets"),
        ("softmax_cross_entropy", {"targets": np.ma.array(LABELS)}, "targets"),
        ("softmax_cross_entropy", {"targets": np.array(["2020-01-01"] * 6, "M8[D]")}, "targets"),
        ("softmax_cross_entropy", {"class_weights": {}}, "class_weights"),
        ("softmax_cross_entropy", {"label_smoothing": "a"}, "label_smoothing"),
        ("softmax_cross_entropy", {"axis": 1.5}, "axis"),
        ("softmax_cross_entropy", {"ignore_index": 1.5}, "ignore_index"),
        ("softmax_cross_entropy", {"reduction": 3}, "reduction"),
        ("softmax_cross_entropy", {"accumulate": "yes"}, "accumulate"),
        ("softmax_cross_entropy", {"quantisation": 3}, "quantisation"),
        ("softmax_cross_entropy", {"quantisation": (0.5, 0)}, "quantisation"),
        ("softmax_cross_entropy", {"out": X.tolist()}, "out"),
        ("softmax_cross_entropy", {"out": np.zeros((6, 5), np.float32)}, "out"),
        ("softmax_cross_entropy", {"out": np.zeros((6, 5), ">f8")}, "out"),
        ("softmax_cross_entropy", {"out": misaligned(X)}, "out"),
        ("softmax_cross_entropy", {"out": np.zeros((6, 5))[::-1]}, "out"),
        ("softmax_cross_entropy", {"out": np.ma.zeros((6, 5))}, "out"),
    ],
)
def test_wrong_types_are_named(name, options, argument):
    with pytest.raises(TypeError, match=f"^{argument}: "):
        xent.value_and_grad(name, X, **{"targets": LABELS, **options})


NO_LOGITS = [
    np.zeros((2, 3), np.int32), np.zeros((2, 3), np.int8), np.zeros((2, 3), bool), np.zeros((2, 3), np.longdouble),
    np.zeros((2, 3), complex), np.ma.zeros((2, 3)), np.zeros((2, 3), object), np.zeros((2, 3), "V2"),
    np.zeros(2, [("a", "f4")]), [[0.0, None]], [[0.0], [1.0, 2.0]], "logits", None, object(), {1: 2},
]  # fmt: skip


@pytest.mark.parametrize("logits", NO_LOGITS, ids=lambda logits: type(logits).__name__)
def test_logits_that_are_none(logits):
    for function in (xent.softmax, lambda x: xent.softmax_cross_entropy(x, [0, 1])):
        with pytest.raises((TypeError, ValueError), match="^logits: "):
            function(logits)


def test_exceptions_of_an_argument_are_named():
    class Broken:
        def __array__(self, dtype=None, copy=None):
            raise RuntimeError("no memory of it")

    with pytest.raises(TypeError, match="^targets: no array can be made of Broken: no memory of it"):
        xent.softmax_cross_entropy(X, Broken())


# Outputs.


def test_in_place():
    for layout in ("C", "Fortran", "rows apart", "classes apart", "subclass"):
        x = LAYOUTS[layout](X.copy())
        around = x if x.base is None else x.base
        before = np.array(around)
        loss, grad = xent.value_and_grad("softmax_cross_entropy", x, LABELS, out=x)
        assert grad is x
        np.testing.assert_allclose(loss, LOSS, **CLOSE)
        np.testing.assert_allclose(np.asarray(x), GRAD, **CLOSE)
        if "apart" in layout:
            np.testing.assert_array_equal(np.isnan(around), np.isnan(before))
        with pytest.raises(ValueError, match="^accumulate: "):
            xent.value_and_grad("softmax_cross_entropy", x, LABELS, out=x, accumulate=True)


@pytest.mark.parametrize("accumulate", [False, True])
@pytest.mark.parametrize("x_layout", ["C", "Fortran", "rows apart", "classes apart", "backwards"])
@pytest.mark.parametrize("out_layout", ["C", "Fortran", "rows apart", "classes apart", "subclass"])
def test_outputs_of_every_layout(out_layout, x_layout, accumulate):
    out = LAYOUTS[out_layout](np.full_like(X, 2.0))
    _, grad = xent.value_and_grad("softmax_cross_entropy", LAYOUTS[x_layout](X), LABELS, out=out, accumulate=accumulate)
    assert grad is out
    np.testing.assert_allclose(np.asarray(out), GRAD + 2.0 * accumulate, **CLOSE)
    if "apart" in out_layout:
        assert np.isnan(out.base).sum() == out.base.size - out.size


def test_a_memory_map_as_output(tmp_path):
    out = np.memmap(tmp_path / "grad", np.float64, "w+", shape=X.shape)
    xent.value_and_grad("softmax_cross_entropy", X, LABELS, out=out)
    out.flush()
    np.testing.assert_allclose(np.fromfile(tmp_path / "grad").reshape(X.shape), GRAD, **CLOSE)


def test_outputs_that_are_refused():
    out = read_only(X)
    with pytest.raises(ValueError, match="^out: the array is read-only"):
        xent.value_and_grad("softmax_cross_entropy", X, LABELS, out=out)
    np.testing.assert_array_equal(out, X)
    shared = as_strided(np.zeros(5), (6, 5), (0, 8), writeable=True)
    with pytest.raises(ValueError, match="^out: numbers of the array share their memory"):
        xent.value_and_grad("softmax_cross_entropy", X, LABELS, out=shared)
    windows = as_strided(np.zeros(10), (6, 5), (8, 8), writeable=True)
    with pytest.raises(ValueError, match="^out: numbers of the array share their memory"):
        xent.value_and_grad("softmax_cross_entropy", X, LABELS, out=windows)
    half = X.astype(np.float16)
    with pytest.raises(TypeError, match="^out: expected an array of float16, found float64"):
        xent.value_and_grad("softmax_cross_entropy", half, LABELS, out=np.zeros_like(X))
    for of_boosting in ({"out": np.zeros((6, 5), np.float32)}, {"out": half, "accumulate": True}, {"out": half}):
        with pytest.raises((ValueError, TypeError), match="^(out|accumulate): "):
            xent.evaluate("softmax_cross_entropy", half, LABELS, boosting=True, **of_boosting)
    with pytest.raises(ValueError, match="^boosting: "):
        xent.evaluate("softmax_cross_entropy", X.astype(np.int8), LABELS, boosting=True, quantisation=(0.1, 0))


def test_memory_that_is_shared():
    """An output is refused that shares memory with an argument, also where a copy of that would be read."""
    memory = np.zeros(200)

    def logits(start, order="C"):
        view = memory[start : start + 30].reshape(6, 5, order=order)
        view[...] = X
        return view

    overlapping = [
        ({"logits": logits(0), "out": memory[5:35].reshape(6, 5)}, "logits"),
        ({"logits": logits(0, "F"), "out": memory[0:30].reshape(6, 5)}, "logits"),
        ({"logits": memory[:60].reshape(6, 10)[:, ::-2], "out": memory[5:35].reshape(6, 5)}, "logits"),
        ({"targets": memory[:6], "out": memory[:30].reshape(6, 5)}, "targets"),
        ({"targets": memory.view(np.int64)[29:35], "out": memory[:30].reshape(6, 5)}, "targets"),
        ({"sample_weights": memory[:6], "out": memory[:30].reshape(6, 5)}, "sample_weights"),
        ({"sample_weights": memory.view(np.float32)[:12:2], "out": memory[:30].reshape(6, 5)}, "sample_weights"),
        ({"class_weights": memory[29:34], "out": memory[:30].reshape(6, 5)}, "class_weights"),
        ({"upstream": memory[10:16], "reduction": "none", "out": memory[:30].reshape(6, 5)}, "upstream"),
        ({"logits": OnlyDlpack(memory[:30].reshape(6, 5)), "out": memory[5:35].reshape(6, 5)}, "logits"),
    ]
    for arguments, name in overlapping:
        memory[:] = 0
        before = memory.copy()
        with pytest.raises(ValueError, match=f"^out and {name} overlap"):
            xent.value_and_grad("softmax_cross_entropy", **{"logits": X, "targets": LABELS, **arguments})
        np.testing.assert_array_equal(memory, before)
    x = logits(0)
    with pytest.raises(ValueError, match="^out and targets overlap"):
        xent.value_and_grad("softmax_cross_entropy", x, np.abs(x, out=x), out=x)
    # Next to each other they may be.
    np.testing.assert_allclose(
        xent.value_and_grad("softmax_cross_entropy", logits(0), LABELS, out=memory[30:60].reshape(6, 5))[1], GRAD, **CLOSE
    )


def test_memory_that_is_used_again_is_not_shared():
    """The numbers of a list are converted twice, and a gradient as long as they are may get the memory of the first array."""
    for _ in range(20):
        x = np.zeros((2, 2), np.float32)
        _, grad = xent.value_and_grad("softmax_cross_entropy", x, [0, 1], class_weights=[1, 1], sample_weights=[1, 1])
        np.testing.assert_array_equal(grad, [[-0.25, 0.25], [0.25, -0.25]])


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_an_argument_that_changes_the_logits_meanwhile():
    """Code of the caller's runs when targets become an array: nothing is read or written outside of the logits then."""
    for change in ("resize", "dtype", "shape", "read-only"):
        x = np.zeros((6, 5))

        class Targets:
            def __array__(self, dtype=None, copy=None, x=x, change=change):
                if change == "resize":
                    x.resize((1, 5), refcheck=False)
                elif change == "dtype":
                    x.dtype = np.float32
                elif change == "shape":
                    x.shape = (5, 6)
                else:
                    x.flags.writeable = False
                return LABELS

        try:
            loss = xent.value_and_grad("softmax_cross_entropy", x, Targets())[0]
        except (TypeError, ValueError):
            continue
        assert np.isclose(loss, np.log(5)), change


@needs_huge_pages
def test_huge_pages_are_asked_for_whole_pages_only():
    memory = mmap.mmap(-1, 64 * mmap.PAGESIZE)
    address = np.frombuffer(memory, np.uint8).ctypes.data
    assert not asks_for_huge_pages(address)
    ask_for_huge_pages(address + 1, 40 * mmap.PAGESIZE)
    asked = [asks_for_huge_pages(address + page * mmap.PAGESIZE) for page in (0, 1, 39, 40)]
    assert asked == [False, True, True, False]


# Everything with everything.

ODD = [
    None, True, 0, -1, 3, 2**70, 0.5, -0.0, float("nan"), 1j, "", "mean", "\ud800", b"x", (), [], {}, object(), len,
    X, X.T, X[::-1], X[:, ::2], X.astype(np.float32), X.astype(np.float16), X.astype(ml_dtypes.bfloat16), X.astype(">f4"),
    X.astype(np.int8), X.astype(np.longdouble), misaligned(X), read_only(X), np.asfortranarray(X), X[:0], X[:, :0], X[:, :1],
    np.zeros(()), np.zeros((0, 0)), np.ma.array(X), X > 0, X * np.nan, X * np.inf, np.abs(X), ref.softmax(X),
    np.broadcast_to(1.0, (6, 5)), LABELS, LABELS.astype(np.uint8), LABELS.astype(float), LABELS + 0.5, -LABELS, LABELS > 2,
    np.array([2**64 - 1] * 6, np.uint64), np.ones(5), np.ones(6), np.ones((1,) * 40), X.tolist(), LABELS.tolist(),
    np.array(["a"] * 6), np.array([None] * 6), OnlyDlpack(X), OnlyArray(X), OnlyArray(3), OnlyInterface(X), Subclass((6, 5)),
    ([0, 0, 0, 0, 0, 0, 0], []), (0.5, 0), (1e300, 2**40), np.float32(1), np.int8(3), np.datetime64("2020-01-01"),
]  # fmt: skip
OPTIONS = [
    "class_weights", "pos_weight", "label_smoothing", "ignore_index", "focal_gamma", "focal_alpha", "z_loss", "soft_cap",
    "temperature", "caffe_gradient", "preset", "reduction", "mean_over", "nothing_valid", "axis", "sample_weights", "upstream",
    "scale", "quantisation", "out", "accumulate", "grad", "losses", "log_sum_exp", "predicted", "count_correct", "hessian",
    "hessian_floor", "boosting", "no_such_option",
]  # fmt: skip
NAMES = [
    "softmax_cross_entropy", "multi_label_softmax", "distillation", "sigmoid_cross_entropy", "multi_label_soft_margin",
    "logistic_loss", "negative_log_likelihood", "multinomial_logistic",
]  # fmt: skip
WORDS = ["sum", "none", "pytorch", "weights", "zero", "error", "exact", "xgboost", "optax"]
REFUSED = (TypeError, ValueError)


def call(function, *arguments, **options):
    """Nothing but a result, or an exception of these types; a panic would be a BaseException."""
    with np.errstate(all="ignore"):
        try:
            function(*arguments, **options)
        except REFUSED as error:
            assert str(error)


FUNCTIONS = [
    *(lambda *arguments, name=name, **options: getattr(xent, name)(*arguments, **options) for name in NAMES),
    *(lambda *arguments, name=name, **options: xent.value_and_grad(name, *arguments, **options) for name in NAMES),
    *(lambda *arguments, name=name, **options: xent.evaluate(name, *arguments, **options) for name in NAMES),
]


@pytest.mark.filterwarnings("ignore")
def test_every_pair_of_arguments():
    for logits in ODD:
        for function in (xent.softmax, xent.log_softmax, xent.log_sum_exp):
            call(function, logits)
            call(function, X, axis=logits)
        call(xent.value_and_grad, logits, X, LABELS)
        call(xent.evaluate, logits, X, LABELS)
        for targets in ODD:
            for function in FUNCTIONS:
                call(function, logits, targets)
            call(xent.linear_cross_entropy, logits, targets, LABELS, grad=True)
            call(xent.linear_cross_entropy, X, X, logits, targets)


@pytest.mark.filterwarnings("ignore")
def test_every_option_with_everything():
    for option in OPTIONS:
        for value in [*ODD, *WORDS]:
            if option == "out":
                value = value.copy() if type(value) is np.ndarray else value
            for function in FUNCTIONS:
                call(function, ref.softmax(X), X > 0, **{option: value})
                call(function, X.astype(np.float32), LABELS, **{option: value})
            call(xent.linear_cross_entropy, X, X, LABELS, **{option: value})


@pytest.mark.filterwarnings("ignore")
@given(
    st.sampled_from(FUNCTIONS),
    st.sampled_from(ODD),
    st.sampled_from(ODD),
    st.dictionaries(st.sampled_from(OPTIONS), st.sampled_from([*ODD, *WORDS]), max_size=4),
)
@settings(max_examples=3000, deadline=None)
def test_everything_with_everything(function, logits, targets, options):
    if type(options.get("out")) is np.ndarray:
        # What other examples read is left as it is, but for one that overwrites its logits.
        same = options["out"] is logits
        options["out"] = options["out"].copy(order="K")
        logits = options["out"] if same else logits
    call(function, logits, targets, **options)
