"""`xent.torch` against PyTorch's own functions, in float64 where the numbers count."""

from __future__ import annotations

import itertools
import threading

import pytest

torch = pytest.importorskip("torch")

import torch.nn.functional as F  # noqa: E402
from memory import asks_for_huge_pages, needs_huge_pages  # noqa: E402

from xent import torch as X  # noqa: E402

REDUCTIONS = ["mean", "sum", "none"]
# Both sides compute in this type. PyTorch rounds a softmax to 16 bits before it is used, so what is left of its precision is less.
BOUNDS = {
    torch.float64: {"rtol": 1e-12, "atol": 1e-14},
    torch.float32: {"rtol": 2e-5, "atol": 2e-6},
    torch.float16: {"rtol": 4e-3, "atol": 2e-3},
    torch.bfloat16: {"rtol": 3e-2, "atol": 1e-2},
}


def same(ours, theirs, input, *arguments, bound=None, **options):
    """Loss and gradient of both functions for this input, with an upstream gradient that is not one."""
    results = []
    for function in (ours, theirs):
        x = input.detach().clone(memory_format=torch.preserve_format).requires_grad_()
        loss = function(x, *arguments, **options)
        (loss * torch.linspace(0.5, 2.0, loss.numel(), dtype=loss.dtype).reshape(loss.shape)).sum().backward()
        results.append((loss.detach(), x.grad))
    (loss, grad), (of_theirs, grad_of_theirs) = results
    assert loss.dtype == of_theirs.dtype and loss.shape == of_theirs.shape
    bound = bound or BOUNDS[input.dtype]
    torch.testing.assert_close(loss, of_theirs, equal_nan=True, **bound)
    torch.testing.assert_close(grad, grad_of_theirs, equal_nan=True, **bound)


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(7)


@pytest.fixture
def ours_only(monkeypatch):
    """Fails if a call is handed to PyTorch."""

    def refuse(theirs, name, input, target, options, axis, weights):
        return X._call(name, input, target, options, axis=axis, weights=weights)

    monkeypatch.setattr(X, "_ours_or", refuse)


SHAPES = [((7,), ()), ((4, 5), (4,)), ((3, 40), (3,)), ((2, 5, 3), (2, 3)), ((2, 6, 3, 4), (2, 3, 4)), ((1, 1), (1,))]


@pytest.mark.parametrize("dtype", BOUNDS)
@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize(("shape", "labels"), SHAPES)
def test_cross_entropy_of_labels(shape, labels, reduction, dtype, ours_only):
    classes = shape[0] if len(shape) == 1 else shape[1]
    x, y = torch.randn(shape, dtype=dtype) * 3, torch.randint(0, classes, labels)
    if y.numel() > 2:
        y.view(-1)[1] = -100
    weight = torch.rand(classes, dtype=dtype) + 0.5
    for given, smoothing in itertools.product([None, weight], [0.0, 0.1]):
        options = {"weight": given, "reduction": reduction, "label_smoothing": smoothing}
        same(X.cross_entropy, F.cross_entropy, x, y, **options)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("shape", [shape for shape, _ in SHAPES])
def test_cross_entropy_of_probabilities(shape, reduction, ours_only):
    x = torch.randn(shape, dtype=torch.float64)
    axis = 0 if len(shape) == 1 else 1
    target = torch.randn(shape, dtype=torch.float64).softmax(axis)
    weight = torch.rand(shape[axis], dtype=torch.float64)
    for given, smoothing in itertools.product([None, weight], [0.0, 0.3]):
        options = {"weight": given, "reduction": reduction, "label_smoothing": smoothing}
        same(X.cross_entropy, F.cross_entropy, x, target, **options)


LAYOUTS = {
    "channels last": lambda x: x.to(memory_format=torch.channels_last),
    "transposed": lambda x: x.transpose(0, 3).contiguous().transpose(0, 3),
    "sliced": lambda x: torch.cat([x, x], 3)[..., : x.shape[3]],
    "stepped": lambda x: torch.stack([x, x], 4)[..., 0],
    "expanded": lambda x: x[:1].expand(x.shape),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_any_strides(layout, ours_only):
    x = LAYOUTS[layout](torch.randn(2, 6, 3, 4, dtype=torch.float64))
    y = torch.randint(0, 6, (2, 3, 4))
    for reduction in REDUCTIONS:
        same(X.cross_entropy, F.cross_entropy, x, y, reduction=reduction)
        target = torch.rand(x.shape, dtype=torch.float64)
        same(
            X.binary_cross_entropy_with_logits, F.binary_cross_entropy_with_logits, x, target, reduction=reduction
        )


def test_the_gradient_keeps_the_memory_order(ours_only):
    x = torch.randn(2, 6, 3, 4).to(memory_format=torch.channels_last).requires_grad_()
    X.cross_entropy(x, torch.randint(0, 6, (2, 3, 4))).backward()
    assert x.grad.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize(("shape", "weight", "pos_weight"), [
    ((5,), None, None),
    ((5,), (5,), (5,)),
    ((5,), (1,), (1,)),
    ((4, 5), (5,), None),
    ((4, 5), None, (5,)),
    ((4, 5), (5,), (5,)),
    ((4, 5), (4, 1), (5,)),
    ((4, 5), (4, 5), None),
    ((2, 3, 4, 5), (3, 1, 1), (3, 1, 1)),
    ((2, 3, 4, 5), None, (4, 1)),
    ((), None, None),
])
def test_binary_cross_entropy_with_logits(shape, weight, pos_weight, reduction, ours_only):
    x, target = torch.randn(shape, dtype=torch.float64) * 4, torch.rand(shape, dtype=torch.float64)
    some = lambda of: None if of is None else torch.rand(of, dtype=torch.float64) + 0.5  # noqa: E731
    options = {"weight": some(weight), "pos_weight": some(pos_weight), "reduction": reduction}
    same(X.binary_cross_entropy_with_logits, F.binary_cross_entropy_with_logits, x, target, **options)


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_nll_loss(reduction, ours_only):
    for shape, labels in SHAPES:
        axis = 0 if len(shape) == 1 else 1
        x = torch.randn(shape, dtype=torch.float64).log_softmax(axis)
        y = torch.randint(0, shape[axis], labels)
        weight = torch.rand(shape[axis], dtype=torch.float64)
        for given in (None, weight):
            same(X.nll_loss, F.nll_loss, x, y, weight=given, reduction=reduction)


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_multilabel_soft_margin_loss(reduction, ours_only):
    for shape in [(5,), (4, 5), (2, 3, 5)]:
        x, y = torch.randn(shape, dtype=torch.float64), torch.randint(0, 2, shape).double()
        for weight in (None, torch.rand(5, dtype=torch.float64)):
            same(
                X.multilabel_soft_margin_loss, F.multilabel_soft_margin_loss, x, y, weight=weight, reduction=reduction
            )


def focal(x, y, alpha=0.25, gamma=2.0, reduction="none"):
    p = torch.sigmoid(x)
    of_target = p * y + (1 - p) * (1 - y)
    loss = -(1 - of_target) ** gamma * (y * F.logsigmoid(x) + (1 - y) * F.logsigmoid(-x))
    if alpha >= 0:
        loss = loss * (alpha * y + (1 - alpha) * (1 - y))
    return loss if reduction == "none" else loss.mean() if reduction == "mean" else loss.sum()


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_sigmoid_focal_loss(reduction, ours_only):
    x, y = torch.randn(4, 5, dtype=torch.float64), torch.randint(0, 2, (4, 5)).double()
    for alpha, gamma in [(0.25, 2.0), (-1.0, 2.0), (0.7, 0.5)]:
        same(X.sigmoid_focal_loss, focal, x, y, alpha=alpha, gamma=gamma, reduction=reduction)


@pytest.mark.parametrize("reduction", ["batchmean", "sum", "none"])
def test_kl_div_with_logits(reduction, ours_only):
    for shape in [(4, 5), (2, 5, 3)]:
        x, teacher = torch.randn(shape, dtype=torch.float64), torch.randn(shape, dtype=torch.float64)

        def theirs(x, teacher, temperature, reduction):
            losses = F.kl_div(
                F.log_softmax(x / temperature, 1), F.softmax(teacher / temperature, 1), reduction="none"
            ) * temperature**2
            losses = losses.sum(1)
            return losses if reduction == "none" else losses.sum() / (shape[0] if reduction == "batchmean" else 1)

        same(X.kl_div_with_logits, theirs, x, teacher, temperature=3.0, reduction=reduction)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("bias", [False, True])
def test_linear_cross_entropy(reduction, bias):
    x, w = torch.randn(9, 4, dtype=torch.float64), torch.randn(6, 4, dtype=torch.float64)
    b = torch.randn(6, dtype=torch.float64) if bias else None
    y = torch.tensor([0, 1, 2, 3, -100, 5, 0, 0, 1])
    class_weights = torch.rand(6, dtype=torch.float64)
    results = []
    for ours in (True, False):
        layer = [tensor.clone().requires_grad_() for tensor in (x, w, b) if tensor is not None]
        options = {"weight": class_weights, "reduction": reduction, "label_smoothing": 0.1}
        if ours:
            loss = X.linear_cross_entropy(layer[0], layer[1], y, linear_bias=layer[2] if bias else None, **options)
            assert type(loss.grad_fn).__name__ == "_LinearLossBackward"
        else:
            loss = F.cross_entropy(F.linear(*layer), y, **options)
        (loss * 1.5).backward()
        results.append([loss.detach()] + [tensor.grad for tensor in layer])
    for a, b in zip(*results, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-14)


def test_the_layer_of_a_module_gets_its_gradient():
    if not hasattr(X, "LinearCrossEntropyLoss"):
        pytest.skip("PyTorch before 2.15 has no such module")
    module = X.LinearCrossEntropyLoss(4, 6, bias=True)
    theirs = torch.nn.LinearCrossEntropyLoss(4, 6, bias=True)
    theirs.load_state_dict(module.state_dict())
    x, y = torch.randn(9, 4), torch.randint(0, 6, (9,))
    for of in (module, theirs):
        of(x, y).backward()
    for a, b in zip(module.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad)


MODULES = [
    (X.CrossEntropyLoss, torch.nn.CrossEntropyLoss, {"label_smoothing": 0.1}, "labels"),
    (X.CrossEntropyLoss, torch.nn.CrossEntropyLoss, {"weight": torch.tensor([1.0, 2.0, 3.0])}, "labels"),
    (X.NLLLoss, torch.nn.NLLLoss, {"ignore_index": 1}, "labels"),
    (X.BCEWithLogitsLoss, torch.nn.BCEWithLogitsLoss, {"pos_weight": torch.tensor([1.0, 2.0, 3.0])}, "multi-hot"),
    (X.MultiLabelSoftMarginLoss, torch.nn.MultiLabelSoftMarginLoss, {"reduction": "sum"}, "multi-hot"),
]


@pytest.mark.parametrize(("ours", "theirs", "options", "kind"), MODULES)
def test_modules(ours, theirs, options, kind, ours_only):
    x = torch.randn(8, 3)
    y = torch.randint(0, 3, (8,)) if kind == "labels" else torch.randint(0, 2, (8, 3)).float()
    module = ours(**options)
    assert isinstance(module, theirs)
    same(module, theirs(**options), x, y)


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_a_scaled_gradient_of_float16_is_not_lost(reduction, compiled):
    """A factor comes before the rounding to 16 bits, as GradScaler expects."""
    x = torch.randn(256, 2000).half()
    y = torch.randint(0, 2000, (256,))
    function = X.cross_entropy
    if compiled:
        function = torch.compile(lambda x, y, **options: X.cross_entropy(x, y, **options), backend="aot_eager")
    scale = 8192.0 if reduction == "mean" else 32.0
    grads = []
    for of, logits in [(function, x.clone()), (F.cross_entropy, x.double())]:
        logits.requires_grad_()
        with torch.autocast("cpu", torch.float16):
            loss = of(logits, y, reduction=reduction)
        assert loss.dtype == (torch.float32 if logits.dtype == torch.float16 else torch.float64)
        (loss.sum() * scale).backward()
        grads.append(logits.grad)
    torch.testing.assert_close(grads[0], grads[1].half(), rtol=2e-3, atol=1e-7)


def test_tracing_records_what_pytorch_computes():
    x, y = torch.randn(4, 3), torch.tensor([0, 1, 2, 0])
    from torch.fx.experimental.proxy_tensor import make_fx

    graph = make_fx(lambda x, y: X.cross_entropy(x, y))(x, y)
    other = torch.randn(4, 3)
    torch.testing.assert_close(graph(other, y), F.cross_entropy(other, y))


def test_targets_and_weights_that_are_changed_before_a_second_backward_pass_are_refused():
    for change in range(2):
        x, y, w = torch.randn(4, 3, requires_grad=True), torch.tensor([0, 1, 2, 0]), torch.rand(3)
        loss = X.cross_entropy(x, y, w)
        loss.backward(retain_graph=True)
        (y, w)[change].zero_()
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            loss.backward()


def test_batches_of_upstream_gradients():
    x, y = torch.randn(3, 4, dtype=torch.float64, requires_grad=True), torch.tensor([0, 1, 2])
    for reduction, upstream in [("none", torch.eye(3).double()), ("mean", torch.arange(3.0).double())]:
        grads = [
            torch.autograd.grad(f(x, y, reduction=reduction), x, upstream, is_grads_batched=True)[0]
            for f in (X.cross_entropy, F.cross_entropy)
        ]
        torch.testing.assert_close(*grads)


def test_targets_with_the_negative_bit():
    x, y = torch.randn(4, dtype=torch.float64), torch.randn(4, 2, dtype=torch.float64)
    targets = torch.view_as_complex(-y.abs().clamp(max=1)).conj().imag
    assert targets.is_neg()
    same(X.binary_cross_entropy_with_logits, F.binary_cross_entropy_with_logits, x, targets)


@pytest.mark.parametrize(("shape", "weight"), [((4,), (3, 1)), ((), (3,)), ((1,), (4,)), ((2, 4), (3, 2, 4)), ((4,), (1, 1, 4))])
def test_weights_that_do_not_broadcast_to_the_logits_are_refused(shape, weight):
    call = lambda f: f(torch.zeros(shape), torch.zeros(shape), torch.ones(weight))  # noqa: E731
    with pytest.raises(Exception) as theirs:
        call(F.binary_cross_entropy_with_logits)
    with pytest.raises(type(theirs.value)):
        call(X.binary_cross_entropy_with_logits)


def test_autocast_has_the_types_of_pytorch():
    x, y = torch.randn(4, 3).bfloat16(), torch.randint(0, 2, (4, 3)).bfloat16()
    for ours, theirs in [
        (X.multilabel_soft_margin_loss, F.multilabel_soft_margin_loss),
        (X.binary_cross_entropy_with_logits, F.binary_cross_entropy_with_logits),
    ]:
        with torch.autocast("cpu", torch.bfloat16):
            assert ours(x, y).dtype == theirs(x, y).dtype


def test_modules_may_hand_other_devices_over():
    x, y = torch.empty(4, 3, device="meta"), torch.empty(4, dtype=torch.int64, device="meta")
    module = X.CrossEntropyLoss()
    with pytest.raises(RuntimeError, match="fallback=True"):
        module(x, y)
    module.fallback = True
    assert module(x, y).device.type == "meta"


@needs_huge_pages
@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("order", [torch.contiguous_format, torch.channels_last])
def test_large_gradients_are_in_huge_pages(order, compiled):
    """New memory of small pages would take longer than loss and gradient."""
    x = torch.zeros(2, 64, 256, 256).to(memory_format=order).requires_grad_()
    y = torch.zeros(2, 256, 256, dtype=torch.int64)
    function = torch.compile(X.cross_entropy, backend="eager") if compiled else X.cross_entropy
    (grad,) = torch.autograd.grad(function(x, y), x)
    assert grad.stride() == x.stride()
    # Without a copy it is the memory that was asked for; a compiled operator's gradient is scaled into another.
    assert compiled or asks_for_huge_pages(grad.data_ptr() + grad.nbytes // 2)


def test_no_gradient_is_computed_without_need(monkeypatch):
    called = []
    monkeypatch.setattr(X._xent, "value_and_grad", lambda *_, **__: called.append(1))
    x, y = torch.randn(4, 3, requires_grad=True), torch.tensor([0, 1, 2, 0])
    with torch.no_grad():
        X.cross_entropy(x, y)
    X.cross_entropy(x.detach(), y)
    assert not called


def test_a_call_like_an_earlier_one():
    """Options that were read once are read again where they differ."""
    y = torch.tensor([0, 1, 2, 0])
    dense = torch.rand(4, 3, dtype=torch.float64)
    calls = [
        ((y,), {}),
        ((y,), {"label_smoothing": 0.5}),
        ((y,), {"ignore_index": 0}),
        ((y,), {"reduction": "none"}),
        ((y,), {"size_average": False}),
        ((y,), {"weight": torch.tensor([1.0, 2.0, 0.5], dtype=torch.float64)}),
        ((dense,), {}),
        ((dense,), {"label_smoothing": 0.5}),
    ]
    for _ in range(2):
        for arguments, options in calls:
            x = torch.randn(4, 3, dtype=torch.float64)
            same(X.cross_entropy, F.cross_entropy, x, *arguments, **options)
            torch.testing.assert_close(X.cross_entropy(x, *arguments, **options), F.cross_entropy(x, *arguments, **options))
    x = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    with pytest.raises(IndexError):
        X.cross_entropy(x, torch.tensor([0, 1, 3, 0]))
    with torch.no_grad():
        assert not X.cross_entropy(x, y).requires_grad
    # Smoothing by a tensor is no part of what is remembered: it may change in place.
    smoothing = torch.tensor(0.0)
    first = X.cross_entropy(x, y, label_smoothing=smoothing)
    smoothing.fill_(0.5)
    assert X.cross_entropy(x, y, label_smoothing=smoothing) != first


def test_a_second_backward_pass_has_the_same_gradient():
    x, y = torch.randn(4, 3, requires_grad=True), torch.tensor([0, 1, 2, 0])
    loss = X.cross_entropy(x, y)
    (loss * 3).backward(retain_graph=True)
    first = x.grad.clone()
    x.grad.zero_()
    (loss * 3).backward()
    assert torch.equal(x.grad, first)


def test_the_gradient_that_was_handed_over_is_not_written_again():
    x, y = torch.randn(4, 3, requires_grad=True), torch.tensor([0, 1, 2, 0])
    loss = X.cross_entropy(x, y)
    (first,) = torch.autograd.grad(loss, x, retain_graph=True)
    kept = first.clone()
    torch.autograd.grad(loss * 5, x)
    assert torch.equal(first, kept)


def test_logits_that_are_changed_before_a_second_backward_pass_are_refused():
    x, y = torch.randn(4, 3, requires_grad=True), torch.tensor([0, 1, 2, 0])
    logits = x * 1
    loss = X.cross_entropy(logits, y)
    loss.backward(retain_graph=True)
    with torch.no_grad():
        logits.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_second_derivatives_are_refused():
    x, y = torch.randn(4, 3, requires_grad=True), torch.tensor([0, 1, 2, 0])
    with pytest.raises(RuntimeError, match="no second derivatives"):
        torch.autograd.grad(X.cross_entropy(x, y), x, create_graph=True)
    layer = torch.nn.Linear(3, 3)
    with pytest.raises(RuntimeError, match="no second derivatives"):
        torch.autograd.grad(X.linear_cross_entropy(x, layer.weight, y), x, create_graph=True)


FUNCTIONS = {
    "cross_entropy": (X.cross_entropy, lambda: torch.tensor([0, 2, -100, 1]), {"label_smoothing": 0.1}),
    "weighted": (X.cross_entropy, lambda: torch.tensor([0, 2, -100, 1]), {"weight": torch.rand(3).double()}),
    "probabilities": (X.cross_entropy, lambda: torch.rand(4, 3).double().softmax(1), {}),
    "nll_loss": (X.nll_loss, lambda: torch.tensor([0, 2, -100, 1]), {}),
    "bce": (X.binary_cross_entropy_with_logits, lambda: torch.rand(4, 3).double(), {"pos_weight": torch.rand(3).double()}),
    "soft margin": (X.multilabel_soft_margin_loss, lambda: torch.randint(0, 2, (4, 3)).double(), {}),
    "focal": (X.sigmoid_focal_loss, lambda: torch.randint(0, 2, (4, 3)).double(), {}),
    "distillation": (X.kl_div_with_logits, lambda: torch.randn(4, 3).double(), {"temperature": 2.0}),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_gradcheck(name, ours_only):
    function, target, options = FUNCTIONS[name]
    target = target()
    x = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    reductions = ["batchmean", "sum", "none"] if name == "distillation" else REDUCTIONS
    for reduction in reductions:
        assert torch.autograd.gradcheck(lambda x: function(x, target, reduction=reduction, **options), x)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_compiled_in_one_graph(name):
    function, target, options = FUNCTIONS[name]
    target = target()
    compiled = torch.compile(lambda x: function(x * 2, target, **options), fullgraph=True, backend="aot_eager")
    results = []
    for of in (compiled, lambda x: function(x * 2, target, **options)):
        x = torch.linspace(-2, 2, 12, dtype=torch.float64).reshape(4, 3).requires_grad_()
        loss = of(x)
        (loss * torch.linspace(1, 2, max(loss.numel(), 1), dtype=torch.float64).reshape(loss.shape)).sum().backward()
        results.append((loss.detach(), x.grad))
    assert torch.equal(results[0][0], results[1][0])
    torch.testing.assert_close(results[0][1], results[1][1], rtol=1e-15, atol=1e-17)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("want_grad", [False, True])
def test_opcheck(reduction, want_grad):
    x = torch.randn(4, 3, dtype=torch.float64, requires_grad=want_grad)
    options = f"preset='pytorch';reduction={reduction!r};axis=1"
    weights = ([torch.rand(3).double()], "class_weights")
    of_loss = ("softmax_cross_entropy", options, torch.float64, 1, want_grad)
    arguments = (x, torch.tensor([0, 1, 2, 0]), *weights, *of_loss)
    torch.library.opcheck(torch.ops.xent.loss.default, arguments)


def test_autocast_has_a_loss_of_float32(ours_only):
    layer = torch.nn.Linear(4, 3)
    x, y = torch.randn(8, 4), torch.randint(0, 3, (8,))
    with torch.autocast("cpu", torch.bfloat16):
        logits = layer(x)
        ours, theirs = X.cross_entropy(logits, y), F.cross_entropy(logits, y)
    assert logits.dtype == torch.bfloat16 and ours.dtype == theirs.dtype == torch.float32
    torch.testing.assert_close(ours, theirs)
    ours.backward()
    assert layer.weight.grad.dtype == torch.float32


WRONG = [
    ("label out of range", lambda f: f(torch.randn(2, 3), torch.tensor([0, 3]))),
    ("negative label", lambda f: f(torch.randn(2, 3), torch.tensor([0, -1]))),
    ("labels of int32", lambda f: f(torch.randn(2, 3), torch.tensor([0, 1], dtype=torch.int32))),
    ("batch sizes", lambda f: f(torch.randn(2, 3), torch.tensor([0, 1, 2]))),
    ("target shape", lambda f: f(torch.randn(2, 3, 4), torch.zeros(2, 5, dtype=torch.int64))),
    ("reduction", lambda f: f(torch.randn(2, 3), torch.tensor([0, 1]), reduction="average")),
    ("smoothing", lambda f: f(torch.randn(2, 3), torch.tensor([0, 1]), label_smoothing=1.5)),
    ("weight shape", lambda f: f(torch.randn(2, 3), torch.tensor([0, 1]), weight=torch.ones(4))),
    ("weight type", lambda f: f(torch.randn(2, 3), torch.tensor([0, 1]), weight=torch.ones(3).double())),
    ("integers", lambda f: f(torch.ones(2, 3, dtype=torch.int64), torch.tensor([0, 1]))),
    ("no axis", lambda f: f(torch.tensor(1.0), torch.tensor(0))),
    ("not a tensor", lambda f: f([[1.0, 2.0]], torch.tensor([0]))),
]


@pytest.mark.parametrize(("what", "call"), WRONG, ids=[what for what, _ in WRONG])
def test_exceptions_are_those_of_pytorch(what, call):
    with pytest.raises(Exception) as theirs:
        call(F.cross_entropy)
    with pytest.raises(type(theirs.value)) as ours:
        call(X.cross_entropy)
    assert str(ours.value) == str(theirs.value)


def test_what_only_pytorch_computes_is_pytorchs():
    x, y = torch.randn(4, 3, dtype=torch.float64), torch.randn(4, 3, dtype=torch.float64)
    # Targets that are negative, that have a gradient, weights that are negative.
    same(X.cross_entropy, F.cross_entropy, x, y)
    target = y.softmax(1).requires_grad_()
    X.cross_entropy(x, target).backward()
    assert target.grad is not None
    weight = torch.tensor([1.0, -1.0, 2.0], dtype=torch.float64)
    same(X.cross_entropy, F.cross_entropy, x, torch.tensor([0, 1, 2, 0]), weight=weight)
    # Functional transformations, and forward mode.
    labels = torch.tensor([0, 1, 2, 0])
    for function in (X.cross_entropy, F.cross_entropy):
        torch.testing.assert_close(
            torch.func.grad(lambda x, f=function: f(x, labels))(x), torch.func.grad(lambda x: F.cross_entropy(x, labels))(x)
        )
    _, tangent = torch.func.jvp(lambda x: X.cross_entropy(x, labels), (x,), (torch.ones_like(x),))
    assert abs(tangent.item()) < 1e-12


def test_other_devices_are_refused_or_handed_over():
    x, y = torch.empty(4, 3, device="meta"), torch.empty(4, dtype=torch.int64, device="meta")
    with pytest.raises(RuntimeError, match="fallback=True"):
        X.cross_entropy(x, y)
    assert X.cross_entropy(x, y, fallback=True).device.type == "meta"


def test_all_ignored_is_nan_and_empty_batches_are_pytorchs(ours_only):
    y = torch.full((4,), -100)
    for reduction in REDUCTIONS:
        same(X.cross_entropy, F.cross_entropy, torch.randn(4, 3), y, reduction=reduction)
        same(X.cross_entropy, F.cross_entropy, torch.randn(0, 3), y[:0], reduction=reduction)


def test_several_threads_at_a_time():
    x, y = torch.randn(512, 300), torch.randint(0, 300, (512,))
    expected = X.cross_entropy(x, y)
    results = [None] * 8

    def work(at):
        logits = x.clone().requires_grad_()
        loss = X.cross_entropy(logits, y)
        loss.backward()
        results[at] = loss.detach()

    threads = [threading.Thread(target=work, args=(at,)) for at in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(torch.equal(result, expected) for result in results)
