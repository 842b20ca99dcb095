"""Tensors of PyTorch as arguments of the functions for arrays: read and written where they are."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import xent  # noqa: E402
from xent import _xent  # noqa: E402

NAME = "softmax_cross_entropy"
LABELS = torch.tensor([2, 0, 1, 4, 4, 3])


def logits(dtype=torch.float64):
    return torch.linspace(-3, 3, 30, dtype=torch.float64).sin().reshape(6, 5).mul(4).to(dtype)


def expected(x, **options):
    """What NumPy's arrays of the same numbers give."""
    return xent.value_and_grad(NAME, x.detach().double().numpy(), LABELS.numpy(), **options)


LAYOUTS = {
    "rows": lambda x: x.clone(),
    "columns": lambda x: x.t().contiguous().t(),
    "rows apart": lambda x: torch.full((12, 8), torch.nan, dtype=x.dtype)[::2, 1:-2].copy_(x),
    "classes apart": lambda x: torch.full((6, 10), torch.nan, dtype=x.dtype)[:, ::2].copy_(x),
    "offset": lambda x: torch.cat([x.new_full((7,), torch.nan), x.flatten()])[7:].view(6, 5),
}


class Subclass(torch.Tensor):
    """Its type does not say where the numbers are: NumPy is asked, as with PyTorch before 2.10."""


@pytest.mark.parametrize("of", [torch.Tensor, Subclass])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_logits_of_every_layout(layout, of):
    x = LAYOUTS[layout](logits())
    loss, grad = xent.value_and_grad(NAME, x.as_subclass(of), LABELS.as_subclass(of))
    loss_of_numpy, grad_of_numpy = expected(x)
    assert loss == loss_of_numpy
    np.testing.assert_array_equal(grad, grad_of_numpy)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_types_of_numbers(dtype):
    x = logits(dtype)
    loss, grad = xent.value_and_grad(NAME, x, LABELS)
    assert abs(loss - expected(x)[0]) < 1e-6
    out = torch.full_like(x, torch.nan)
    assert xent.value_and_grad(NAME, x, LABELS, out=out) == (loss, out)
    np.testing.assert_array_equal(out.double().numpy(), np.asarray(grad, np.float64))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.uint16, torch.uint32])
def test_labels_of_every_type(dtype):
    assert xent.value_and_grad(NAME, logits(), LABELS.to(dtype))[0] == expected(logits())[0]


def test_integers_with_a_scale():
    x = (logits() * 10).to(torch.int8)
    loss, grad = xent.value_and_grad(NAME, x, LABELS, quantisation=(0.1, 3))
    assert loss == _xent.value(NAME, x.numpy(), LABELS.numpy(), quantisation=(0.1, 3))
    assert grad.dtype == np.float32
    with pytest.raises(TypeError, match="^logits: int8 without quantisation"):
        _xent.value(NAME, x, LABELS)


def test_numbers_of_every_kind_of_target():
    x, hot = logits(), torch.nn.functional.one_hot(LABELS, 5)
    for targets in (hot.bool(), hot.to(torch.uint8), hot.double(), hot.float()):
        loss = _xent.value("sigmoid_cross_entropy", x, targets)
        assert loss == _xent.value("sigmoid_cross_entropy", x.numpy(), hot.numpy())
    weights = torch.tensor([1.0, 2.0, 0.5, 0.0, 3.0], dtype=torch.float64)
    rows = torch.arange(6.0)
    options = {"class_weights": weights, "sample_weights": rows, "reduction": "none", "upstream": rows.flip(0)}
    of_numpy = {name: value.numpy() if isinstance(value, torch.Tensor) else value for name, value in options.items()}
    for found, wanted in zip(xent.value_and_grad(NAME, x, LABELS, **options), expected(x, **of_numpy), strict=True):
        np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("out_layout", [name for name in LAYOUTS if name != "offset"])
@pytest.mark.parametrize("accumulate", [False, True])
def test_outputs_of_every_layout(out_layout, accumulate):
    out = LAYOUTS[out_layout](torch.full((6, 5), 2.0, dtype=torch.float64))
    around = out if out._base is None else out._base
    nans = around.isnan().sum()
    _, grad = xent.value_and_grad(NAME, logits(), LABELS, out=out, accumulate=accumulate)
    assert grad is out
    np.testing.assert_allclose(out.numpy(), expected(logits())[1] + 2.0 * accumulate, rtol=1e-15)
    assert around.isnan().sum() == nans


def test_in_place():
    x = logits()
    loss, grad = xent.value_and_grad(NAME, x, LABELS, out=x)
    assert grad is x and loss == expected(logits())[0]
    np.testing.assert_array_equal(x.numpy(), expected(logits())[1])


def test_memory_that_is_shared():
    memory = torch.zeros(200, dtype=torch.float64)
    memory[:30] = logits().flatten()
    x = memory[:30].view(6, 5)
    before = memory.clone()
    overlapping = [
        ({"logits": x, "out": memory[5:35].view(6, 5)}, "logits"),
        ({"logits": memory[:5].expand(6, 5), "out": memory[:30].view(6, 5)}, "logits"),
        ({"targets": memory.view(torch.int64)[29:35], "out": memory[:30].view(6, 5)}, "targets"),
        ({"class_weights": memory.view(torch.float32)[:10:2], "out": memory[:30].view(6, 5)}, "class_weights"),
        ({"logits": x.numpy(), "out": memory[5:35].view(6, 5)}, "logits"),
        ({"logits": x, "out": memory[5:35].view(6, 5).numpy()}, "logits"),
    ]
    for arguments, name in overlapping:
        with pytest.raises(ValueError, match=f"^out and {name} overlap"):
            xent.value_and_grad(NAME, **{"logits": logits(), "targets": LABELS, **arguments})
        assert torch.equal(memory, before)


def test_outputs_that_are_refused():
    out = torch.zeros(6, 5, dtype=torch.float64, requires_grad=True)
    with pytest.raises(ValueError, match=r"^out: a tensor that requires a gradient is not written to: give its detach\(\)"):
        xent.value_and_grad(NAME, logits(), LABELS, out=out)
    assert not out.any()
    with pytest.raises(ValueError, match="^out: numbers of the array share their memory"):
        xent.value_and_grad(NAME, logits(), LABELS, out=torch.zeros(5, dtype=torch.float64).expand(6, 5))
    with pytest.raises(TypeError, match="^out: expected an array of float64, found float32"):
        xent.value_and_grad(NAME, logits(), LABELS, out=torch.zeros(6, 5))
    with pytest.raises(ValueError, match="^out: expected the shape of the logits"):
        xent.value_and_grad(NAME, logits(), LABELS, out=torch.zeros(5, 6, dtype=torch.float64))
    with pytest.raises(TypeError, match="^out: expected a NumPy array to write to, found Parameter"):
        xent.value_and_grad(NAME, logits(), LABELS, out=torch.nn.Parameter(torch.zeros(6, 5, dtype=torch.float64)))


def test_views_that_change_signs_when_they_are_read():
    x = torch.complex(logits(), logits()).conj().imag
    assert x.is_neg() and x[0, 0] == -logits()[0, 0]
    with pytest.raises(TypeError, match="^logits: no array can be made of Tensor: .*negative bit"):
        _xent.value(NAME, x, LABELS)
    assert _xent.value(NAME, x.resolve_neg(), LABELS) == expected(-logits())[0]


def test_tensors_without_memory_are_refused():
    for x in (torch.zeros(6, 5, device="meta"), torch.zeros(6, 5).to_sparse(), torch.zeros(6, 5, dtype=torch.complex64)):
        with pytest.raises(TypeError, match="^logits: "):
            _xent.value(NAME, x, LABELS)


def test_shapes_at_the_edge():
    assert _xent.value(NAME, torch.zeros(0, 5), torch.zeros(0, dtype=torch.int64), nothing_valid="zero") == 0.0
    with pytest.raises(ValueError, match="^logits: "):
        _xent.value(NAME, torch.zeros(3, 0), torch.zeros(3, dtype=torch.int64))
    assert _xent.value("sigmoid_cross_entropy", torch.tensor(0.0), torch.tensor(1.0)) == pytest.approx(np.log(2))
    many = torch.zeros(1, 1, 1, 1, 1, 1, 1, 2, 5)
    assert _xent.value(NAME, many, torch.zeros(many.shape[:-1], dtype=torch.int64)) == pytest.approx(np.log(5))


def test_a_tensor_that_requires_a_gradient_is_read():
    assert _xent.value(NAME, logits().requires_grad_(), LABELS) == expected(logits())[0]
    assert _xent.value(NAME, torch.nn.Parameter(logits()), LABELS) == expected(logits())[0]


def test_an_argument_that_changes_the_logits_meanwhile():
    """Code of the caller's runs when targets become an array: nothing is read outside of the logits then."""
    for change in ("resize", "other memory"):
        x = logits()

        class Targets:
            def __array__(self, dtype=None, copy=None, x=x, change=change):
                if change == "resize":
                    x.resize_(1, 5)
                else:
                    x.set_(torch.zeros(3, dtype=torch.float64))
                return LABELS.numpy()

        with pytest.raises(ValueError, match="^logits: the tensor has changed during the call"):
            _xent.value(NAME, x, Targets())


def test_a_loss_whose_options_were_read_once():
    loss = _xent.Loss(NAME, preset="pytorch", label_smoothing=0.1, axis=0, ignore_index=4)
    options = {"preset": "pytorch", "label_smoothing": 0.1, "axis": 0, "ignore_index": 4}
    x = logits().t().contiguous()
    assert _xent.value(loss, x, LABELS) == _xent.value(NAME, x, LABELS, **options)
    # Those of a call come on top.
    assert _xent.value(loss, x, LABELS, reduction="sum") == _xent.value(NAME, x, LABELS, reduction="sum", **options)
    assert _xent.Loss(loss, axis=1) is not loss
    for options in ({"class_weights": [1.0]}, {"quantisation": (1.0, 0)}, {"sample_weights": [1.0]}):
        with pytest.raises(TypeError, match="^weights and quantisation go with each call"):
            _xent.Loss(NAME, **options)
    with pytest.raises(TypeError, match="has no option out"):
        _xent.Loss(NAME, out=x)
    with pytest.raises(ValueError, match="^reduction: "):
        _xent.Loss(NAME, reduction="all")
