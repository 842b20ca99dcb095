#!/bin/sh
# PaddlePaddle 3.3.1: the mean of paddle.nn.functional.cross_entropy with ignored rows.
#
# Expected: the mean divides by the rows that are not ignored, whatever number marks an ignored row, as in
#           nll_loss and PyTorch.
# Found:    true for numbers that are not negative (255: 0.6931). For a negative number, such as the default -100,
#           it divides by all rows (0.3466): the more padding, the smaller the loss and its gradient. With class
#           weights it is right again (0.6931).
# xent:     `MeanOver` chooses the divisor; `Preset::Paddle` follows Paddle in each of these cases.
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

logits = paddle.zeros([4, 2])  # every row has the loss ln 2


def mean(index, weight=None):
    labels = paddle.to_tensor([0, 1, index, index])
    return round(float(F.cross_entropy(logits, labels, weight, ignore_index=index)), 4)


seen = mean(255), mean(-100), mean(-1), mean(-100, paddle.ones([2]))
print(seen)
assert seen == (0.6931, 0.3466, 0.3466, 0.6931), "it has changed"
PY
