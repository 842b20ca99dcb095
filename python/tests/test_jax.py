"""xent.jax against formulas in float64, which JAX itself differentiates."""

from __future__ import annotations

import doctest
import functools
import os
import subprocess
import sys
import threading

import numpy as np
import pytest

jax = pytest.importorskip("jax")

import jax.numpy as jnp  # noqa: E402
import ml_dtypes  # noqa: E402
from memory import asks_for_huge_pages, needs_huge_pages  # noqa: E402

import xent.jax as losses  # noqa: E402

ROWS, CLASSES = 12, 5
#: The context in which arrays may be float64.
x64 = jax.enable_x64 if hasattr(jax, "enable_x64") else jax.experimental.enable_x64

RNG = np.random.default_rng(11)
LOGITS = RNG.normal(size=(ROWS, CLASSES)) * 3.0
LABELS = RNG.integers(0, CLASSES, ROWS)
LABELS[4] = 1
SOFT = RNG.dirichlet(np.ones(CLASSES), ROWS)
HOT = (RNG.random((ROWS, CLASSES)) < 0.4).astype(np.int32)
HOT[:, 2] = 1
CLASS_WEIGHTS = np.array([1.0, 0.5, 2.0, 0.25, 4.0])
POS_WEIGHT = np.array([2.0, 0.5, 1.0, 3.0, 4.0])
SAMPLE_WEIGHTS = RNG.integers(1, 9, ROWS) / 4.0

FLOATS = {"float64": np.float64, "float32": np.float32, "float16": np.float16, "bfloat16": ml_dtypes.bfloat16}
#: One rounding.
EPS = {"float64": 2.0**-53, "float32": 2.0**-24, "float16": 2.0**-11, "bfloat16": 2.0**-8}


# Formulas: the loss of each row, or of each element, of logits in float64


def softmax_of(x, targets, *, class_weights=None, label_smoothing=0.0, focal_gamma=None, z_loss=0.0, soft_cap=None):
    if soft_cap is not None:
        x = soft_cap * jnp.tanh(x / soft_cap)
    log_p = jax.nn.log_softmax(x, axis=-1)
    dense = targets if targets.ndim == x.ndim else jnp.eye(x.shape[-1])[targets]
    weights = jnp.ones(x.shape[-1]) if class_weights is None else class_weights
    smoothed = weights * ((1.0 - label_smoothing) * dense + label_smoothing / x.shape[-1])
    terms = -log_p if focal_gamma is None else -((1.0 - jnp.exp(log_p)) ** focal_gamma) * log_p
    return (smoothed * terms).sum(axis=-1) + z_loss * jax.nn.logsumexp(x, axis=-1) ** 2


def sigmoid_of(x, y, *, pos_weight=1.0, class_weights=1.0, label_smoothing=0.0, focal_gamma=0.0, focal_alpha=None):
    y = (1.0 - label_smoothing) * y + label_smoothing / 2.0
    positive, negative = jax.nn.sigmoid(-x) ** focal_gamma, jax.nn.sigmoid(x) ** focal_gamma
    if focal_alpha is not None:
        positive, negative = focal_alpha * positive, (1.0 - focal_alpha) * negative
    loss = pos_weight * y * positive * jax.nn.softplus(-x) + (1.0 - y) * negative * jax.nn.softplus(x)
    return class_weights * loss


def multi_label_softmax_of(x, y):
    return (-(y * jax.nn.log_softmax(x, axis=-1)).sum(axis=-1)) / (y != 0).sum(axis=-1)


def distillation_of(x, teacher, *, temperature=1.0):
    q = jax.nn.softmax(teacher / temperature, axis=-1)
    log_ratio = jax.nn.log_softmax(teacher / temperature, axis=-1) - jax.nn.log_softmax(x / temperature, axis=-1)
    return temperature**2 * (q * log_ratio).sum(axis=-1)


def soft_margin_of(x, y, **options):
    return sigmoid_of(x, y, **options).mean(axis=-1)


def likelihood_of(x, labels):
    return -jnp.take_along_axis(x, labels[..., None], axis=-1)[..., 0]


def logistic_of(p, y):
    return -(y * jnp.log(p) + (1 - y) * jnp.log(1 - p))


def multinomial_of(p, labels):
    return -jnp.log(jnp.take_along_axis(p, labels[..., None], axis=-1)[..., 0])


CASES = {
    "labels": ("softmax_cross_entropy", softmax_of, LOGITS, LABELS, {}),
    "smoothed": ("softmax_cross_entropy", softmax_of, LOGITS, LABELS, {"label_smoothing": 0.125}),
    "focal": ("softmax_cross_entropy", softmax_of, LOGITS, LABELS, {"focal_gamma": 2.0}),
    "z": ("softmax_cross_entropy", softmax_of, LOGITS, LABELS, {"z_loss": 0.01}),
    "capped": ("softmax_cross_entropy", softmax_of, LOGITS, LABELS, {"soft_cap": 4.0}),
    "dense": ("softmax_cross_entropy", softmax_of, LOGITS, SOFT, {}),
    "dense, weighted": ("softmax_cross_entropy", softmax_of, LOGITS, SOFT, {"class_weights": CLASS_WEIGHTS}),
    "multi-label": ("multi_label_softmax", multi_label_softmax_of, LOGITS, HOT, {}),
    "distillation": ("distillation", distillation_of, LOGITS, LOGITS[::-1], {"temperature": 2.0}),
    "sigmoid": ("sigmoid_cross_entropy", sigmoid_of, LOGITS, HOT, {}),
    "sigmoid, dense": ("sigmoid_cross_entropy", sigmoid_of, LOGITS, SOFT, {"label_smoothing": 0.125}),
    "pos_weight": ("sigmoid_cross_entropy", sigmoid_of, LOGITS, HOT, {"pos_weight": POS_WEIGHT}),
    "sigmoid, weighted": ("sigmoid_cross_entropy", sigmoid_of, LOGITS, HOT, {"class_weights": CLASS_WEIGHTS}),
    "sigmoid, focal": ("sigmoid_cross_entropy", sigmoid_of, LOGITS, HOT, {"focal_gamma": 2.0, "focal_alpha": 0.25}),
    "soft margin": ("multi_label_soft_margin", soft_margin_of, LOGITS, HOT, {"pos_weight": POS_WEIGHT}),
    "likelihood": ("negative_log_likelihood", likelihood_of, -np.abs(LOGITS), LABELS, {}),
    "logistic": ("logistic_loss", logistic_of, SOFT * 0.75 + 0.125, HOT, {}),
    "multinomial": ("multinomial_logistic", multinomial_of, SOFT * 0.75 + 0.125, LABELS, {}),
}


@functools.lru_cache(maxsize=None)
def compiled_formula(formula):
    """The losses and their sum's gradient, with a factor for each of them. Options are arguments of it."""

    def both(x, targets, options, upstream):
        each, derivative = jax.vjp(lambda x: formula(x, targets, **options), x)
        return each, derivative(jnp.broadcast_to(upstream, each.shape))[0]

    return jax.jit(both)


def expected_of(formula, x, targets, options, reduction, sample_weights=None, upstream=1.0):
    """Loss and gradient, in float64."""
    with x64(True):
        run = functools.partial(compiled_formula(formula), np.asarray(x, np.float64), targets, options)
        each = np.asarray(run(np.float64(1.0))[0])
        factor = np.ones(each.shape)
        if sample_weights is not None:
            factor = factor * sample_weights.reshape(-1, *[1] * (each.ndim - 1))
        if reduction == "mean":
            factor = factor / each.size
        value = factor * each if reduction == "none" else (factor * each).sum()
        return np.asarray(value), np.asarray(run(factor * upstream)[1])


def check(found, expected, dtype, scale=1.0):
    """At most 16 roundings of the largest: the formula has some in float64, xent promises 4 for these distances."""
    found = np.asarray(found)
    assert found.shape == expected.shape
    bound = 16 * EPS[dtype] * scale * max(np.abs(expected).max(), 1.0)
    np.testing.assert_allclose(found.astype(np.float64), expected, rtol=0, atol=bound)


@needs_huge_pages
def test_large_gradients_are_in_huge_pages():
    """New memory of small pages would take longer than loss and gradient."""
    x, y = jnp.zeros((256, 32768), jnp.float32), jnp.zeros(256, jnp.int32)
    grad = jax.jit(jax.grad(losses.softmax_cross_entropy))(x, y).block_until_ready()
    assert asks_for_huge_pages(grad.unsafe_buffer_pointer() + grad.nbytes // 2)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(("dtype", "compiled"), [("float64", True), ("float32", False), ("float16", True), ("bfloat16", True)])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_loss_and_gradient(case, dtype, reduction, compiled):
    name, formula, x, targets, options = CASES[case]
    x = x.astype(FLOATS[dtype])
    # Each row, or element, has its own factor of the gradient.
    shape = expected_of(formula, x, targets, options, reduction)[0].shape
    upstream = np.random.default_rng(3).integers(1, 8, shape) / 4.0
    value, derivative = expected_of(formula, x, targets, options, reduction, upstream=upstream)
    with x64(True):
        loss = functools.partial(getattr(losses, name), reduction=reduction, **options)

        def both(x, upstream):
            found, transposed = jax.vjp(lambda x: loss(x, targets), x)
            return found, transposed(upstream)[0]

        run = jax.jit if compiled else lambda function: function
        of_float = "float64" if dtype == "float64" else "float32"
        alone = run(loss)(x, targets)
        found, grad = run(both)(x, jnp.asarray(upstream, of_float))
        assert alone.dtype == found.dtype == of_float
        np.testing.assert_array_equal(np.asarray(alone), np.asarray(found))
        assert grad.dtype == FLOATS[dtype]
        check(found, value, of_float)
        check(grad, derivative, dtype)


@pytest.mark.parametrize("case", ["labels", "dense, weighted", "pos_weight", "soft margin"])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_sample_weights(case, reduction):
    name, formula, x, targets, options = CASES[case]
    x = x.astype(np.float32)
    value, derivative = expected_of(formula, x, targets, options, reduction, SAMPLE_WEIGHTS)
    run = jax.jit(functools.partial(getattr(losses, name), reduction=reduction))
    # Weights are arguments of the compiled function, not constants.
    weights = {of: jnp.asarray(array, jnp.float32) for of, array in {**options, "sample_weights": SAMPLE_WEIGHTS}.items()}
    found, transposed = jax.vjp(lambda x: run(x, targets, **weights), x)
    check(found, value, "float32")
    check(transposed(jnp.ones(found.shape))[0], derivative, "float32")


def test_class_weights_are_in_the_mean():
    """As in PyTorch: the mean over labels is by their weights."""
    value, derivative = expected_of(softmax_of, LOGITS, LABELS, {"class_weights": CLASS_WEIGHTS}, "sum")
    divisor = CLASS_WEIGHTS[LABELS].sum()
    with x64(True):
        found = jax.value_and_grad(losses.softmax_cross_entropy)(LOGITS, LABELS, class_weights=CLASS_WEIGHTS)
        check(found[0], value / divisor, "float64")
        check(found[1], derivative / divisor, "float64")
        ignored = jax.value_and_grad(losses.softmax_cross_entropy)(LOGITS, LABELS, ignore_index=1)
    kept = LABELS != 1
    assert 0 < kept.sum() < ROWS
    value, derivative = expected_of(softmax_of, LOGITS[kept], LABELS[kept], {}, "mean")
    check(ignored[0], value, "float64")
    check(np.asarray(ignored[1])[kept], derivative, "float64")
    assert not np.asarray(ignored[1])[~kept].any()


@pytest.mark.parametrize("axis", [0, 1, 2, -1, -2, -3])
@pytest.mark.parametrize("dense", [False, True])
def test_axis(axis, dense):
    rng = np.random.default_rng(2)
    x = rng.normal(size=(3, 4, 5)).astype(np.float32)
    moved = np.moveaxis(x, axis, -1)
    rows, classes = moved.shape[:-1], moved.shape[-1]
    targets = rng.dirichlet(np.ones(classes), rows) if dense else rng.integers(0, classes, rows)
    upstream = rng.integers(1, 8, moved.shape[:-1]) / 4.0
    value, derivative = expected_of(softmax_of, moved, targets, {}, "none", upstream=upstream)
    given = np.moveaxis(targets, -1, axis) if dense else targets
    loss = functools.partial(losses.softmax_cross_entropy, axis=axis, reduction="none")
    found, transposed = jax.vjp(lambda x: loss(x, jnp.asarray(given)), jnp.asarray(x))
    check(found, value, "float32")
    check(np.moveaxis(np.asarray(transposed(jnp.asarray(upstream, jnp.float32))[0]), axis, -1), derivative, "float32")
    # One axis more in front: the axis is that of what is mapped over.
    many = jax.vmap(loss)(jnp.stack([x, x[::-1]]), jnp.stack([given, given]))
    check(many[0], value, "float32")


def test_one_row_and_single_questions():
    x = jnp.asarray(LOGITS[0], jnp.float32)
    value, derivative = expected_of(softmax_of, LOGITS[:1].astype(np.float32), LABELS[:1], {}, "mean")
    found = jax.value_and_grad(losses.softmax_cross_entropy)(x, int(LABELS[0]))
    check(found[0], value, "float32")
    check(found[1], derivative[0], "float32")
    value, derivative = expected_of(sigmoid_of, np.asarray(x), SOFT[0], {}, "mean")
    found = jax.value_and_grad(losses.sigmoid_cross_entropy)(x, SOFT[0].astype(np.float32))
    check(found[0], value, "float32")
    check(found[1], derivative, "float32")
    one = jax.value_and_grad(losses.sigmoid_cross_entropy)(0.0, 1)
    assert (float(one[0]), float(one[1])) == (pytest.approx(np.log(2.0), rel=1e-7), -0.5)


# Transformations


def equations(jaxpr):
    for equation in jaxpr.eqns:
        if equation.primitive.name in ("pure_callback", "ffi_call"):
            yield equation
        for inner in equation.params.values():
            inner = getattr(inner, "jaxpr", inner)
            if hasattr(inner, "eqns"):
                yield from equations(inner)


def test_one_pass_and_the_gradient_only_where_it_is_asked_for():
    x, y = jnp.asarray(LOGITS, jnp.float32), jnp.asarray(LABELS)

    def outputs(function):
        return [len(equation.outvars) for equation in equations(jax.make_jaxpr(function)(x).jaxpr)]

    assert outputs(lambda x: losses.softmax_cross_entropy(x, y)) == [1]
    assert outputs(jax.value_and_grad(lambda x: losses.softmax_cross_entropy(x, y))) == [2]
    assert outputs(jax.jit(jax.value_and_grad(lambda x: losses.softmax_cross_entropy(x, y)))) == [2]
    # Differentiated by something else.
    assert outputs(lambda x: jax.grad(lambda a: a * losses.softmax_cross_entropy(x, y))(1.0)) == [1]


def loop(function, batch, arguments, axes):
    """What vmap is to give: one call after the other."""
    arguments = [np.asarray(a) for a in arguments]
    taken = ([a if axis is None else a.take(i, axis=axis) for a, axis in zip(arguments, axes)] for i in range(batch))
    results = [function(*own) for own in taken]
    return jax.tree_util.tree_map(lambda *all_of: np.stack(all_of), *results)


@pytest.mark.parametrize("name", ["softmax_cross_entropy", "sigmoid_cross_entropy", "multi_label_soft_margin"])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize(
    "axes", [(0, 0, 0, 0), (0, None, None, None), (None, 0, None, 0), (1, 0, None, 0), (None, None, 0, None)]
)
@pytest.mark.parametrize("differentiated", [False, True])
def test_vmap(name, reduction, axes, differentiated):
    rng = np.random.default_rng(7)
    batch, shape = 3, (4, CLASSES)
    dense = name != "softmax_cross_entropy"

    def drawn(make, axis):
        return jnp.asarray(make(()) if axis is None else np.stack([make(()) for _ in range(batch)], axis=axis))

    x = drawn(lambda _: rng.normal(size=shape).astype(np.float32), axes[0])
    y = drawn(lambda _: rng.integers(0, 2 if dense else CLASSES, shape if dense else shape[:1]), axes[1])
    class_weights = drawn(lambda _: rng.random(CLASSES).astype(np.float32) + 0.5, axes[2])
    sample_weights = drawn(lambda _: rng.random(shape[0]).astype(np.float32) + 0.5, axes[3])
    loss = getattr(losses, name)

    def function(x, y, class_weights, sample_weights):
        def total(x):
            each = loss(x, y, class_weights=class_weights, sample_weights=sample_weights, reduction=reduction)
            # A factor for each, or the gradients of all would be multiplied with one.
            return (each * jnp.arange(1.0, each.size + 1.0).reshape(each.shape)).sum(), each

        return jax.value_and_grad(total, has_aux=True)(x) if differentiated else total(x)

    arguments = (x, y, class_weights, sample_weights)
    expected = loop(jax.jit(function), batch, arguments, axes)
    found = jax.jit(jax.vmap(function, in_axes=axes))(*arguments)
    for one, other in zip(jax.tree_util.tree_leaves(found), jax.tree_util.tree_leaves(expected)):
        assert one.shape == other.shape and one.dtype == other.dtype
        np.testing.assert_allclose(one, other, rtol=4 * EPS["float32"], atol=4 * EPS["float32"])


@pytest.mark.parametrize("case", CASES)
def test_vmap_over_rows(case):
    """The loss of an example, mapped over the examples."""
    name, formula, x, targets, options = CASES[case]
    x = x.astype(np.float32)
    value, derivative = expected_of(formula, x, targets, options, "none")
    if value.ndim == 2:
        value, derivative = value.mean(axis=1), derivative / CLASSES
    loss = functools.partial(getattr(losses, name), **options)
    if name == "sigmoid_cross_entropy":
        # A vector is as many rows, and has no classes, there.
        loss = lambda x, y: getattr(losses, name)(x[None], y[None], **options)  # noqa: E731
    found = jax.jit(jax.vmap(jax.value_and_grad(loss)))(x, targets)
    check(found[0], value, "float32")
    check(found[1], derivative, "float32")


def test_nested_vmap():
    x, y = jnp.asarray(LOGITS, jnp.float32).reshape(3, 4, CLASSES), jnp.asarray(LABELS).reshape(3, 4)
    value, derivative = expected_of(softmax_of, LOGITS.astype(np.float32), LABELS, {}, "none")
    found = jax.vmap(jax.vmap(jax.value_and_grad(losses.softmax_cross_entropy)))(x, y)
    check(found[0], value.reshape(3, 4), "float32")
    check(found[1], derivative.reshape(3, 4, CLASSES), "float32")
    value, derivative = expected_of(sigmoid_of, LOGITS.astype(np.float32), HOT, {}, "none")
    every = jax.vmap(jax.vmap(jax.value_and_grad(losses.sigmoid_cross_entropy)))(LOGITS.astype(np.float32), HOT)
    check(every[0], value, "float32")
    check(every[1], derivative, "float32")
    # Weights of one axis, targets of the other.
    weights = jnp.asarray(RNG.random((2, CLASSES)), jnp.float32) + 0.5
    labels = jnp.asarray(RNG.integers(0, CLASSES, (3, 4)))

    def loss(labels, weights):
        return jax.grad(lambda x: losses.softmax_cross_entropy(x, labels, class_weights=weights))(x[0])

    found = jax.vmap(jax.vmap(loss, in_axes=(0, None)), in_axes=(None, 0))(labels, weights)
    for i in range(2):
        for j in range(3):
            np.testing.assert_allclose(found[i, j], loss(labels[j], weights[i]), atol=4 * EPS["float32"])


def test_labels_have_no_tangent():
    for targets in (jnp.asarray(LABELS), jnp.asarray(HOT), jnp.asarray(HOT == 1)):
        name = losses.softmax_cross_entropy if targets.ndim == 1 else losses.sigmoid_cross_entropy
        _, transposed = jax.vjp(name, jnp.asarray(LOGITS, jnp.float32), targets)
        grad, of_targets = transposed(jnp.float32(1.0))
        assert grad.shape == LOGITS.shape
        assert of_targets.dtype == jax.dtypes.float0 and of_targets.shape == targets.shape


@pytest.mark.parametrize("argument", ["targets", "class_weights", "sample_weights"])
def test_derivatives_that_are_not_there(argument):
    x = jnp.asarray(LOGITS, jnp.float32)
    given = {"targets": SOFT, "class_weights": CLASS_WEIGHTS, "sample_weights": SAMPLE_WEIGHTS}
    given = {of: jnp.asarray(array, jnp.float32) for of, array in given.items()}

    def loss(array, stop=lambda array: array):
        return losses.softmax_cross_entropy(x, **{**given, argument: stop(array)})

    for transformed in (jax.grad(loss), jax.jit(jax.grad(loss))):
        with pytest.raises(TypeError, match=f"{argument}: there is no derivative by them"):
            transformed(given[argument])
    assert not jax.grad(functools.partial(loss, stop=jax.lax.stop_gradient))(given[argument]).any()


def test_no_second_and_no_forward_derivative():
    x, y = jnp.asarray(LOGITS, jnp.float32), jnp.asarray(LABELS)
    with pytest.raises(ValueError, match="do not support JVP|cannot be differentiated"):
        jax.hessian(lambda x: losses.softmax_cross_entropy(x, y))(x)
    with pytest.raises(ValueError, match="do not support JVP|cannot be differentiated"):
        jax.grad(lambda x: jax.grad(lambda x: losses.softmax_cross_entropy(x, y))(x).sum())(x)
    with pytest.raises(TypeError, match="forward-mode"):
        jax.jvp(lambda x: losses.softmax_cross_entropy(x, y), (x,), (x,))


def test_control_flow_and_checkpoint():
    """A loop that is compiled, with the loss inside of what is computed twice."""
    x, y = jnp.asarray(LOGITS, jnp.float32), jnp.asarray(LABELS)

    def trained(loss):
        def step(scale, _):
            value, grad = jax.value_and_grad(jax.checkpoint(lambda scale: loss(scale * x)))(scale)
            return scale - 0.1 * grad, value

        return jax.jit(lambda: jax.lax.scan(step, jnp.float32(0.0), length=20))()

    found = trained(lambda x: losses.softmax_cross_entropy(x, y))
    expected = trained(lambda x: -jnp.take_along_axis(jax.nn.log_softmax(x), y[:, None], 1).mean())
    np.testing.assert_allclose(found[1], expected[1], rtol=1e-5)
    assert expected[1][-1] != expected[1][0]

    def through(scale):
        def add(total, row):
            return total + losses.softmax_cross_entropy(scale * row[0], row[1]), None

        return jax.lax.scan(add, 0.0, (x, y))[0]

    def formula(scale):
        return softmax_of(scale * x, y).sum()

    np.testing.assert_allclose(jax.grad(through)(0.5), jax.grad(formula)(0.5), rtol=1e-5)


# Memory, threads, compilation


def test_results_are_not_overwritten():
    """The memory of a gradient is used again; that of JAX's own arrays is not."""
    rng = np.random.default_rng(1)
    many = [jnp.asarray(rng.normal(size=(64, 100)), jnp.float32) for _ in range(6)]
    y = jnp.asarray(rng.integers(0, 100, 64))
    grad = jax.grad(losses.softmax_cross_entropy)
    for run in (grad, jax.jit(grad)):
        found = [run(x, y) for x in many]
        for x, one in zip(many, found):
            expected = expected_of(softmax_of, np.asarray(x), np.asarray(y), {}, "mean")[1]
            check(one, expected, "float32", scale=np.abs(expected).max())
    with jax.disable_jit():
        found = [grad(x, y) for x in many[:2]]
    for x, one in zip(many, found):
        expected = expected_of(softmax_of, np.asarray(x), np.asarray(y), {}, "mean")[1]
        check(one, expected, "float32", scale=np.abs(expected).max())


def test_threads():
    rng = np.random.default_rng(4)
    y = jnp.asarray(rng.integers(0, 50, 200))
    many = [jnp.asarray(rng.normal(size=(200, 50)), jnp.float32) for _ in range(4)]
    run = jax.jit(jax.grad(losses.softmax_cross_entropy))
    expected = [np.asarray(run(x, y)) for x in many]
    wrong = []

    def repeat(at):
        for _ in range(25):
            if not np.array_equal(np.asarray(run(many[at], y)), expected[at]):
                wrong.append(at)

    threads = [threading.Thread(target=repeat, args=(at,)) for at in range(len(many))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_large_batches_come_back():
    """Of several megabytes, while the results of earlier calls are not waited for."""
    rng = np.random.default_rng(6)
    x = jnp.asarray(rng.normal(size=(2048, 1000)), jnp.float32)
    y = jnp.asarray(rng.integers(0, 1000, 2048))
    step = jax.jit(lambda x: x - 0.1 * jax.grad(losses.softmax_cross_entropy)(x, y, reduction="sum"))
    after = x
    for _ in range(8):
        after = step(after)
    formula = jax.jit(lambda x: x - 0.1 * (jax.nn.softmax(x) - jax.nn.one_hot(y, 1000)))
    expected = x
    for _ in range(8):
        expected = formula(expected)
    # Eight steps, with a rounding of numbers up to 4 each.
    np.testing.assert_allclose(after, expected, atol=8 * 4 * EPS["float32"])


def test_it_is_compiled_once():
    count = 0

    @jax.jit
    def run(x, y, weights):
        nonlocal count
        count += 1
        return losses.softmax_cross_entropy(x, y, class_weights=weights, label_smoothing=0.1)

    for scale in (1.0, 2.0):
        run(LOGITS.astype(np.float32), LABELS, scale * np.ones(CLASSES, np.float32))
    assert count == 1
    of = ("softmax_cross_entropy", (("label_smoothing", 0.1),), 2, -1, True)
    assert losses._function(*of) is losses._function(*of)


def test_empty_batches():
    empty = jnp.zeros((0, CLASSES))
    assert float(losses.softmax_cross_entropy(empty, jnp.zeros(0, int))) == 0.0
    assert losses.softmax_cross_entropy(empty, jnp.zeros(0, int), reduction="none").shape == (0,)
    assert jax.grad(losses.softmax_cross_entropy)(empty, jnp.zeros(0, int)).shape == (0, CLASSES)
    none = jax.vmap(jax.value_and_grad(losses.softmax_cross_entropy))(jnp.zeros((0, 3, CLASSES)), jnp.zeros((0, 3), int))
    assert [part.shape for part in none] == [(0,), (0, 3, CLASSES)]


def test_presets_choose_the_reduction():
    x, y = jnp.asarray(LOGITS, jnp.float32), jnp.asarray(LABELS)
    assert losses.softmax_cross_entropy(x, y, preset="optax").shape == (ROWS,)
    assert losses.softmax_cross_entropy(x, y, preset="pytorch").shape == ()
    assert losses.softmax_cross_entropy(x, y, preset=None, reduction=None).shape == ()


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_optax(dtype):
    optax = pytest.importorskip("optax")
    x = jnp.asarray(LOGITS.astype(FLOATS[dtype]))
    wide = x.astype(jnp.float32)
    found = jax.vmap(jax.value_and_grad(losses.softmax_cross_entropy))(x, LABELS)
    expected = jax.vmap(jax.value_and_grad(optax.softmax_cross_entropy_with_integer_labels))(wide, LABELS)
    np.testing.assert_allclose(found[0], expected[0], rtol=8 * EPS["float32"], atol=8 * EPS["float32"])
    # optax takes 1 from a p that has an error of some roundings.
    np.testing.assert_allclose(found[1].astype(np.float32), expected[1], atol=max(2 * EPS[dtype], 8 * EPS["float32"]))
    found = losses.sigmoid_cross_entropy(x, HOT, reduction="none")
    expected = optax.sigmoid_binary_cross_entropy(wide, HOT)
    np.testing.assert_allclose(found, expected, rtol=8 * EPS["float32"], atol=8 * EPS["float32"])


# What is refused

#: What is found while it runs: JAX raises the second under jit.
REFUSED = (jax.errors.JaxRuntimeError, ValueError)
X, Y = np.zeros((3, CLASSES), np.float32), np.zeros(3, np.int32)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: losses.softmax_cross_entropy(X.astype(int), Y), TypeError, "logits: expected float32, float64, float16 or"),
        (lambda: losses.softmax_cross_entropy(jnp.zeros((3, 5), "float8_e4m3fn"), Y), TypeError, "found float8_e4m3fn"),
        (lambda: losses.softmax_cross_entropy(1.0, 0), ValueError, "logits: expected an axis of classes"),
        (lambda: losses.softmax_cross_entropy(X, Y[:2]), ValueError, r"targets: expected labels, shape \(3,\), or a number"),
        (lambda: losses.negative_log_likelihood(X, X), ValueError, r"targets: expected labels, shape \(3,\), found"),
        (lambda: losses.distillation(X, Y), ValueError, r"targets: expected a number for each logit, shape \(3, 5\), found"),
        (lambda: losses.softmax_cross_entropy(X, Y, axis=2), ValueError, "axis: expected one of 2 axes, found 2"),
        (lambda: losses.softmax_cross_entropy(X, Y, axis=-3), ValueError, "axis: expected one of 2 axes, found -3"),
        (lambda: losses.softmax_cross_entropy(X, Y, class_weights=[1]), ValueError, "class_weights: expected the shape"),
        (lambda: losses.softmax_cross_entropy(X, Y, sample_weights=[1.0]), ValueError, r"sample_weights: expected the shape"),
        (lambda: losses.sigmoid_cross_entropy(X, X, pos_weight=[1, 2]), ValueError, r"pos_weight: expected the shape \(5,\)"),
        (lambda: losses.softmax_cross_entropy(X, Y, pos_weight=1.0), TypeError, "has no option pos_weight"),
        (lambda: losses.softmax_cross_entropy(X, Y, smoothing=0.1), TypeError, "has no option smoothing"),
        (lambda: losses.softmax_cross_entropy(X, Y, out=X), TypeError, "out: not an option of the losses for JAX"),
        (lambda: losses.softmax_cross_entropy(X, Y, scale=2.0), TypeError, "scale: not an option of the losses for JAX"),
        (lambda: losses.softmax_cross_entropy(X, Y, label_smoothing=2.0), ValueError, "label_smoothing: expected a number"),
        (lambda: losses.softmax_cross_entropy(X, Y, reduction="average"), ValueError, "reduction: expected mean, sum, none"),
        (lambda: losses.softmax_cross_entropy(X, Y, z_loss=jnp.ones(())), TypeError, "z_loss: expected a constant"),
        (lambda: losses.softmax_cross_entropy(X, Y, label_smoothing=[0.1]), TypeError, "label_smoothing: expected a constant"),
        (lambda: losses.softmax_cross_entropy(X, Y + 5), REFUSED, "row 0 has 5, expected 0..5"),
        (lambda: losses.softmax_cross_entropy(X, Y - 1), REFUSED, "row 0 has -1, expected 0..5"),
        (lambda: losses.softmax_cross_entropy(X, -X - 1), REFUSED, "targets"),
        (lambda: losses.softmax_cross_entropy(X, Y, class_weights=-np.ones(5)), REFUSED, "class_weights"),
        (lambda: losses.sigmoid_cross_entropy(X, X + 3), REFUSED, "expected a number from 0 to 1"),
    ],
)
def test_what_is_refused(call, error, message):
    for run in (call, jax.jit(call)):
        with pytest.raises(error, match=message):
            jax.block_until_ready(run())


def test_a_mean_over_nothing():
    ignored = functools.partial(losses.softmax_cross_entropy, X, Y, ignore_index=0)
    assert float(ignored()) == 0.0
    assert np.isnan(float(ignored(nothing_valid="nan")))
    with pytest.raises(REFUSED):
        jax.block_until_ready(ignored(nothing_valid="error"))


def test_examples():
    result = doctest.testmod(losses)
    assert result.attempted >= 12 and result.failed == 0


@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_without_a_custom_call_the_numbers_are_the_same(reduction, monkeypatch):
    """Versions of JAX that do not take the custom call, and other devices, have the callback."""
    x, y = jnp.asarray(np.random.default_rng(3).standard_normal((2, 4, CLASSES)), jnp.float32), jnp.zeros((2, 4), jnp.int32)
    weights = jnp.linspace(0.5, 2.0, CLASSES)
    seen = []

    def total(x, y):
        return losses.softmax_cross_entropy(x, y, reduction=reduction, class_weights=weights).sum()

    def callback(host, result, *values, **options):
        seen.append(1)
        return plain(host, result, *values, **options)

    plain = jax.pure_callback
    monkeypatch.setattr(jax, "pure_callback", callback)
    expected = jax.jit(jax.vmap(jax.value_and_grad(total)))(x, y)
    assert not seen
    monkeypatch.setattr(losses._xla, "register", lambda *_: False)
    jax.clear_caches()
    found = jax.jit(jax.vmap(jax.value_and_grad(total)))(x, y)
    assert seen
    for a, b in zip(expected, found, strict=True):
        assert np.array_equal(a, b)


def test_arrays_without_numbers():
    x, y = jnp.zeros((0, CLASSES)), jnp.zeros(0, jnp.int32)
    value, grad = jax.value_and_grad(losses.softmax_cross_entropy)(x, y)
    assert value == 0.0 and grad.shape == x.shape


def test_shards_of_a_batch():
    """On two devices, in a process of its own: a process has the devices that it starts with."""
    program = """
import jax, jax.numpy as jnp, numpy as np
import xent.jax as losses
from jax.sharding import PartitionSpec as P

mesh = jax.make_mesh((2,), ("d",), axis_types=(jax.sharding.AxisType.Auto,))
x, y = jax.random.normal(jax.random.key(0), (8, 5)), jnp.arange(8) % 5
mean = lambda x, y: jax.lax.pmean(losses.softmax_cross_entropy(x, y), "d")
sharded = jax.jit(jax.shard_map(mean, mesh=mesh, in_specs=(P("d"), P("d")), out_specs=P()))
found = jax.value_and_grad(lambda x: sharded(x, y))(x)
expected = jax.value_and_grad(lambda x: losses.softmax_cross_entropy(x, y))(x)
for a, b in zip(found, expected):
    np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-8)
print("equal")
"""
    if not hasattr(jax, "shard_map") or not hasattr(jax.sharding, "AxisType"):
        pytest.skip("this version of JAX has another shard_map")
    environment = {**os.environ, "XLA_FLAGS": "--xla_force_host_platform_device_count=2", "JAX_PLATFORMS": "cpu"}
    run = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=120)
    assert run.stdout.strip() == "equal", run.stderr


def test_a_scaled_gradient_of_float16_is_not_lost():
    x = jax.random.normal(jax.random.key(0), (64, 2000)).astype(jnp.float16)
    y = jnp.arange(64)
    scale = 8192.0
    found = jax.grad(lambda x: losses.softmax_cross_entropy(x, y) * scale)(x)
    expected = jax.grad(lambda x: losses.softmax_cross_entropy(x, y) * scale)(x.astype(jnp.float32))
    assert found.dtype == jnp.float16
    assert np.array_equal(found, expected.astype(jnp.float16))
