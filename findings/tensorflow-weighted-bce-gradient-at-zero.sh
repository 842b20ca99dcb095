#!/bin/sh
# TensorFlow 2.21.0: the gradient of tf.nn.weighted_cross_entropy_with_logits at a logit of 0.
#
# Expected: with a weight of 1, the gradient of sigmoid_cross_entropy_with_logits: 0.5 for label 0, -0.5 for
#           label 1.
# Found:    true at 1e-6 and -1e-6. At exactly 0 it is 1 and 0, and 0 for label 1 whatever the weight: after a last
#           layer of zeros, the positives that the weight is for have no gradient in the first step.
# xent:     0.5, and -0.5 times the weight (`with_pos_weight`).
#
# Exits 0 while this is true, 1 once it has changed. Installs into a temporary folder (250 MB).
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet tensorflow-cpu==2.21.0
TF_CPP_MIN_LOG_LEVEL=3 "$folder/venv/bin/python" - <<'PY'
import tensorflow as tf


def gradient(loss, logit):
    x = tf.constant([logit])
    with tf.GradientTape() as tape:
        tape.watch(x)
        value = loss(x)
    return round(float(tape.gradient(value, x)[0]), 5)


def weighted(label, weight):
    return lambda x: tf.nn.weighted_cross_entropy_with_logits(tf.constant([label]), x, weight)


seen = [(gradient(weighted(0.0, 1.0), x), gradient(weighted(1.0, 1.0), x)) for x in (-1e-6, 0.0, 1e-6)]
heavy = gradient(weighted(1.0, 9.0), 0.0)
plain = gradient(lambda x: tf.nn.sigmoid_cross_entropy_with_logits(labels=tf.constant([0.0]), logits=x), 0.0)
print(seen, heavy, plain)
assert seen == [(0.5, -0.5), (1.0, 0.0), (0.5, -0.5)], "it has changed"
assert (heavy, plain) == (0.0, 0.5), "it has changed"
PY
