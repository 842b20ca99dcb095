#!/bin/sh
# Keras 3.15.1 on JAX 0.10.2: BinaryFocalCrossentropy with a gamma below one.
# (torchvision 0.29.2's sigmoid_focal_loss does the same at +20; its wheels are ten times as large.)
#
# Guess: an element that is right and confident (logit +20, target 1) has a loss and a gradient of almost
#        zero, and so is harmless; the more so as Keras clips its probabilities.
# Seen:  the loss is 0 and the gradient NaN, with which the whole step of training is NaN: 1 - p is 0
#        in f32, and the derivative of 0^0.5 infinite. Gamma 1 and 2 are fine; so is optax with 0.5.
# xent:  loss 9.4e-14, gradient -1.4e-13 (`with_focal(0.5, None)`).
#
# Exits 0 while this is so, 1 when it has changed. Installs into a temporary folder (150 MB).
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet keras==3.15.1 jax==0.10.2 optax==0.2.8
KERAS_BACKEND=jax JAX_PLATFORMS=cpu "$folder/venv/bin/python" - <<'PY'
import math

import jax
import jax.numpy as jnp
import keras
import optax

logit, target = jnp.array([[20.0]]), jnp.array([[1.0]])


def gradient(loss):
    return float(jax.grad(lambda x: loss(x).sum())(logit)[0, 0])


def by_keras(gamma):
    loss = keras.losses.BinaryFocalCrossentropy(from_logits=True, gamma=gamma)
    return gradient(lambda x: loss(target, x))


seen = [by_keras(gamma) for gamma in (0.5, 1.0, 2.0)]
by_optax = gradient(lambda x: optax.sigmoid_focal_loss(x, target, gamma=0.5))
print(seen, by_optax)
assert math.isnan(seen[0]) and seen[1:] == [0.0, 0.0], "it has changed"
assert -1.5e-13 < by_optax < -1.3e-13, "it has changed"
PY
