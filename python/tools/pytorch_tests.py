"""PyTorch's own tests as the judge of xent.torch: the samples that its wheel has for these losses.

    python python/tools/pytorch_tests.py

Takes the sample inputs and the erroneous inputs of `OpInfo` and the inputs of `ModuleInfo`, runs PyTorch's function and xent's on
each, and compares losses, gradients of everything that has one, and exceptions. Prints how many agree, and how many of them xent
computed (and did not hand to PyTorch); fails if one does not agree. Needs torch, and expecttest, which these modules of PyTorch import.
"""

from __future__ import annotations

import sys
import warnings
from collections import Counter

import torch
from torch.testing._internal import common_modules
from torch.testing._internal.common_methods_invocations import op_db

from xent import _xent
from xent import torch as X

FUNCTIONS = {
    "nn.functional.cross_entropy": X.cross_entropy,
    "nn.functional.nll_loss": X.nll_loss,
    "nn.functional.binary_cross_entropy_with_logits": X.binary_cross_entropy_with_logits,
    "nn.functional.multilabel_soft_margin_loss": X.multilabel_soft_margin_loss,
    "nn.functional.linear_cross_entropy": X.linear_cross_entropy,
}
MODULES = {
    torch.nn.CrossEntropyLoss: X.CrossEntropyLoss,
    torch.nn.NLLLoss: X.NLLLoss,
    torch.nn.BCEWithLogitsLoss: X.BCEWithLogitsLoss,
    torch.nn.MultiLabelSoftMarginLoss: X.MultiLabelSoftMarginLoss,
}
if hasattr(X, "LinearCrossEntropyLoss"):
    MODULES[torch.nn.LinearCrossEntropyLoss] = X.LinearCrossEntropyLoss
TYPES = (torch.float32, torch.float64, torch.float16, torch.bfloat16)
# Both sides round; of 16 bits PyTorch rounds more often.
BOUNDS = {
    torch.float64: (1e-11, 1e-13),
    torch.float32: (1e-4, 1e-5),
    torch.float16: (1e-2, 1e-2),
    torch.bfloat16: (5e-2, 5e-2),
}


def copied(value):
    """The arguments again, with leaves of their own."""
    if isinstance(value, torch.Tensor):
        return value.detach().clone(memory_format=torch.preserve_format).requires_grad_(value.requires_grad)
    if isinstance(value, (list, tuple)):
        return type(value)(copied(item) for item in value)
    if isinstance(value, dict):
        return {key: copied(item) for key, item in value.items()}
    return value


def leaves(value):
    if isinstance(value, torch.Tensor):
        if value.requires_grad:
            yield value
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from leaves(item)
    elif isinstance(value, dict):
        yield from leaves(list(value.values()))


def outcome(function, arguments, options):
    arguments, options = copied(list(arguments)), copied(options)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            loss = function(*arguments, **options)
            inputs = list(leaves([arguments, options]))
            if loss.requires_grad and loss.numel():
                upstream = torch.linspace(0.5, 1.5, loss.numel(), dtype=loss.dtype).reshape(loss.shape)
                loss.backward(upstream)
    except Exception as error:
        return type(error)
    return [loss.detach(), *(tensor.grad for tensor in inputs)]


def agree(ours, theirs) -> str | None:
    """Why they do not agree."""
    if isinstance(ours, type) or isinstance(theirs, type):
        return None if ours is theirs else f"{ours} instead of {theirs}"
    for a, b in zip(ours, theirs, strict=True):
        if (a is None) != (b is None):
            return "one has no gradient"
        if a is not None:
            rtol, atol = BOUNDS.get(b.dtype, (0, 0))
            try:
                torch.testing.assert_close(a, b, rtol=rtol, atol=atol, equal_nan=True)
            except AssertionError as error:
                return str(error).strip().splitlines()[0]
    return None


def samples_of_functions():
    for info in op_db:
        if info.name not in FUNCTIONS:
            continue
        for dtype in TYPES:
            for grad in (False, True):
                for sample in info.sample_inputs("cpu", dtype, requires_grad=grad):
                    yield info.name, info.op, FUNCTIONS[info.name], (sample.input, *sample.args), sample.kwargs
        for error in info.error_inputs("cpu") if info.error_inputs_func else ():
            sample = error.sample_input
            yield f"{info.name}, errors", info.op, FUNCTIONS[info.name], (sample.input, *sample.args), sample.kwargs


def samples_of_modules():
    for info in common_modules.module_db:
        if info.module_cls not in MODULES:
            continue
        for dtype in TYPES:
            for training in (False, True):
                inputs = info.module_inputs_func(
                    info, device="cpu", dtype=dtype, requires_grad=True, training=training
                )
                for given in inputs:
                    made, run = given.constructor_input, given.forward_input
                    if run is None:
                        continue
                    theirs = info.module_cls(*made.args, **made.kwargs)
                    ours = MODULES[info.module_cls](*made.args, **made.kwargs)
                    ours.load_state_dict(theirs.state_dict())
                    name = f"nn.{info.module_cls.__name__}"
                    yield name, theirs.to(dtype), ours.to(dtype), run.args, run.kwargs


def count_calls() -> list[int]:
    """Counts the calls that the compiled module takes."""
    called = [0]

    class Counted:
        def __getattr__(self, name):
            function = getattr(_xent, name)

            def count(*arguments, **options):
                result = function(*arguments, **options)
                called[0] += 1
                return result

            return count

    X._xent = Counted()
    return called


def main() -> int:
    torch.manual_seed(0)
    counts: Counter[tuple[str, bool]] = Counter()
    refused = computed = 0
    called = count_calls()
    for source in (samples_of_functions, samples_of_modules):
        for name, theirs, ours, arguments, options in source():
            of_theirs = outcome(theirs, arguments, options)
            before = called[0]
            why = agree(outcome(ours, arguments, options), of_theirs)
            refused += isinstance(of_theirs, type)
            computed += called[0] > before
            counts[name, why is None] += 1
            if why is not None:
                print(f"{name}: {why}: {arguments} {options}"[:600])
    names = sorted({name for name, _ in counts})
    for name in names:
        print(f"{name}: {counts[name, True]} of {counts[name, True] + counts[name, False]}")
    good = sum(count for (_, agrees), count in counts.items() if agrees)
    print(f"{good} of {counts.total()} agree with PyTorch {torch.__version__.partition('+')[0]}: ", end="")
    print(f"{computed} are computed by xent, {refused} are refused by both, the others are handed to PyTorch")
    return 0 if good == counts.total() else 1


if __name__ == "__main__":
    sys.exit(main())
