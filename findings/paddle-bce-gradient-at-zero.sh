#!/bin/sh
# PaddlePaddle 3.3.1: the gradient of paddle.nn.functional.binary_cross_entropy_with_logits at a logit of 0.
#
# Expected: sigmoid(x) - y, so 0.5 for target 0 and -0.5 for target 1, at 0 as close to 0.
# Found:    true at 1e-6 and -1e-6. At exactly 0 it is -0.5 and -1.5, one too low, in f32 and f64. A last layer
#           initialised with zeros has only such logits, so its first step raises the negatives.
#           (With a pos_weight it is right.)
# xent:     0.5 and -0.5.
#
# Exits 0 while this is true, 1 once it has changed. Installs into a temporary folder (200 MB).
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet paddlepaddle==3.3.1 numpy==2.4.6
"$folder/venv/bin/python" - <<'PY'
import paddle
import paddle.nn.functional as F


def gradient(logit, target, dtype, **options):
    x = paddle.to_tensor([logit], dtype=dtype, stop_gradient=False)
    F.binary_cross_entropy_with_logits(x, paddle.to_tensor([target], dtype=dtype), **options).backward()
    return round(x.grad.item(), 5)


for dtype in ("float32", "float64"):
    seen = [(gradient(x, 0.0, dtype), gradient(x, 1.0, dtype)) for x in (-1e-6, 0.0, 1e-6)]
    print(dtype, seen)
    assert seen == [(0.5, -0.5), (-0.5, -1.5), (0.5, -0.5)], "it has changed"
assert gradient(0.0, 0.0, "float32", pos_weight=paddle.ones([1])) == 0.5, "it has changed"
PY
