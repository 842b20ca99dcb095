#!/bin/sh
# PaddlePaddle 3.3.1: paddle.nn.functional.cross_entropy of a label that is far behind, in f64.
#
# Guess: the loss of logits [0, m] and label 0 is m (and ln(1 + e^-m) more), as everywhere that logits are
#        given; f64 has numbers to spare.
# Seen:  60 is 60, but 65, 100 and 700 are all 64.0. The gradient does not know of it: [-1, 1] for all.
# xent:  65, 100, 700.
#
# Exits 0 while this is so, 1 when it has changed. Installs into a temporary folder (200 MB).
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet paddlepaddle==3.3.1
"$folder/venv/bin/python" - <<'PY'
import paddle
import paddle.nn.functional as F

seen = []
for margin in (60.0, 65.0, 100.0, 700.0):
    logits = paddle.to_tensor([[0.0, margin]], dtype="float64", stop_gradient=False)
    loss = F.cross_entropy(logits, paddle.to_tensor([0]))
    loss.backward()
    seen.append((float(loss), logits.grad.numpy().round(9).tolist()))
print(seen)
gradient = [[-1.0, 1.0]]
assert seen == [(loss, gradient) for loss in (60.0, 64.0, 64.0, 64.0)], "it has changed"
PY
