"""The documentation: examples run, and the options of the type hints are those that are accepted."""

from __future__ import annotations

import ast
import doctest
import importlib.util
import inspect
import pathlib
import re

import numpy as np
import pytest

import xent
from xent import _xent

PACKAGE = pathlib.Path(xent.__file__).parent


def modules():
    for file in sorted(PACKAGE.glob("*.py")):
        name = "xent" if file.stem == "__init__" else f"xent.{file.stem}"
        # Libraries that a module is for; without them it has nothing to show.
        imports = {
            alias.name.partition(".")[0]
            for node in ast.walk(ast.parse(file.read_text()))
            if isinstance(node, (ast.Import, ast.ImportFrom))
            for alias in (node.names if isinstance(node, ast.Import) else [ast.alias(node.module or "")])
        }
        foreign = sorted(imports & {"torch", "jax", "xgboost", "lightgbm", "catboost", "sklearn"})
        needed = foreign if file.stem in ("torch", "jax") else []
        if all(importlib.util.find_spec(library) for library in needed):
            yield name


def test_examples_of_modules():
    names = list(modules())
    assert {"xent", "xent._losses", "xent._versions"} <= set(names)
    threads = xent.get_num_threads()
    for name in names:
        module = importlib.import_module(name)
        result = doctest.testmod(module, optionflags=doctest.ELLIPSIS)
        assert result.failed == 0, name
    assert doctest.testmod(importlib.import_module("xent._losses")).attempted >= 18
    xent.set_num_threads(threads)


COMPILED = ["value_and_grad", "linear_cross_entropy", "softmax", "log_softmax", "log_sum_exp"]
COMPILED += ["set_num_threads", "get_num_threads"]


@pytest.mark.parametrize("name", COMPILED)
def test_examples_of_the_compiled_module(name):
    function = getattr(_xent, name)
    threads = xent.get_num_threads()
    examples = doctest.DocTestParser().get_doctest(function.__doc__, {}, name, None, 0)
    assert examples.examples
    assert doctest.DocTestRunner().run(examples).failed == 0
    xent.set_num_threads(threads)


def options_of(name):
    """The options of the type hints of a loss."""
    tree = ast.parse((PACKAGE / "_losses.py").read_text())
    classes = {node.name: node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)}
    functions = {node.name: node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}

    def of_class(name):
        if name not in classes:
            return set()
        inherited = [of_class(base.id) for base in classes[name].bases]
        return {item.target.id for item in classes[name].body if isinstance(item, ast.AnnAssign)}.union(*inherited)

    return of_class(functions[name].args.kwarg.annotation.slice.id)


LOSSES = [
    "softmax_cross_entropy", "multi_label_softmax", "distillation", "sigmoid_cross_entropy", "multi_label_soft_margin",
    "logistic_loss", "negative_log_likelihood", "multinomial_logistic",
]  # fmt: skip
GRADIENT = {"out", "accumulate", "upstream", "scale"}
EVERYTHING = {"grad", "losses"}
HESSIAN = {"hessian", "hessian_floor", "boosting"}
OF_SOFTMAX = HESSIAN | {"log_sum_exp", "predicted"}
EXTRA = {
    "softmax_cross_entropy": OF_SOFTMAX | {"count_correct"},
    "multi_label_softmax": OF_SOFTMAX,
    "distillation": OF_SOFTMAX,
    "sigmoid_cross_entropy": HESSIAN,
    "multi_label_soft_margin": HESSIAN,
    "logistic_loss": set(),
    "negative_log_likelihood": set(),
    "multinomial_logistic": set(),
}
ALL = set().union(*(options_of(name) for name in LOSSES)) | GRADIENT | EVERYTHING | OF_SOFTMAX | {"count_correct"}
VALUES = {
    "class_weights": np.ones(3), "pos_weight": 2.0, "sample_weights": np.ones(2), "reduction": "sum", "mean_over": "all_rows",
    "nothing_valid": "nan", "axis": 1, "quantisation": None, "ignore_index": -1, "preset": "keras", "label_smoothing": 0.1,
    "focal_gamma": 2.0, "focal_alpha": 0.5, "z_loss": 0.1, "soft_cap": 5.0, "caffe_gradient": True, "temperature": 2.0,
    "out": np.zeros((2, 3)), "accumulate": False, "upstream": None, "scale": 2.0, "grad": True, "losses": True,
    "hessian": "exact", "hessian_floor": None, "boosting": True, "log_sum_exp": True, "predicted": True, "count_correct": True,
}  # fmt: skip


@pytest.mark.parametrize("name", LOSSES)
def test_options_are_those_of_the_type_hints(name):
    assert ALL == set(VALUES)
    of_loss = options_of(name)
    functions = [
        (getattr(xent, name), of_loss),
        (lambda *arrays, **options: xent.value_and_grad(name, *arrays, **options), of_loss | GRADIENT),
        (
            lambda *arrays, **options: xent.evaluate(name, *arrays, **options),
            of_loss | GRADIENT | EVERYTHING | EXTRA[name],
        ),
    ]
    logits = np.full((2, 3), 1 / 3)
    of_labels = ("softmax_cross_entropy", "negative_log_likelihood", "multinomial_logistic")
    targets = [0, 2] if name in of_labels else np.eye(2, 3, dtype=int)
    for function, accepted in functions:
        for option in ALL | {"no_such_option"}:
            if option in accepted:
                function(logits, targets, **{option: VALUES[option]})
                function(logits, targets, **{option: None})
                continue
            for value in (VALUES.get(option), None):
                with pytest.raises(TypeError, match=f"^{name} has no option {option}(: .* has)?; it has ") as error:
                    function(logits, targets, **{option: value})
                listed = str(error.value).rpartition("; it has ")[2]
                assert set(listed.split(", ")) == accepted


def test_the_stub_has_the_signatures_of_the_compiled_module():
    tree = ast.parse((PACKAGE / "_xent.pyi").read_text())
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    public = {name for name in dir(_xent) if callable(getattr(_xent, name)) and not name.startswith("_")}
    classes = {node.name for node in tree.body if isinstance(node, ast.ClassDef)}
    assert set(functions) | classes == public
    for name, node in functions.items():
        arguments = node.args
        of_stub = [arg.arg for arg in arguments.posonlyargs + arguments.args + arguments.kwonlyargs]
        of_stub += [arguments.kwarg.arg] if arguments.kwarg else []
        assert list(inspect.signature(getattr(_xent, name)).parameters) == of_stub, name


def test_every_public_name_is_documented():
    for name in xent.__all__:
        if name != "__version__":
            assert inspect.getdoc(getattr(xent, name)), name


def test_the_programs_of_the_readme_run():
    text = (pathlib.Path(__file__).parent.parent / "README.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", text, re.S)
    assert len(blocks) >= 4
    names = {}
    for block in blocks:
        libraries = {"xent.torch": "torch", "import jax": "jax", "xent import boosting": "numpy"}
        missing = [of for word, of in libraries.items() if word in block and importlib.util.find_spec(of) is None]
        if not missing:
            exec(block, names)
    assert names["grad"].shape == (2, 3)
