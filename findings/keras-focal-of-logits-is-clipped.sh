#!/bin/sh
# Keras 3.15.1: CategoricalFocalCrossentropy(from_logits=True).
#
# Expected: with from_logits=True the loss is computed from the logits and not clipped, as in
#           CategoricalCrossentropy: 0.25 m for logits [0, m], label 0 and large m (alpha is 0.25).
# Found:    the softmax is taken first and clipped to [1e-7, 1 - 1e-7]. The loss is 0.25 m up to m = 16, then
#           4.0295 for 20, 100, 1000, with a gradient of exactly 0 for the worst rows.
# xent:     5, 25, 250 (`with_focal_gamma(2.0)`, times 0.25), with a gradient of -0.25 at the label.
#
# Exits 0 while this is true, 1 once it has changed. Installs into a temporary folder (150 MB).
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet keras==3.15.1 jax==0.10.2
KERAS_BACKEND=jax JAX_PLATFORMS=cpu "$folder/venv/bin/python" - <<'PY'
import jax
import jax.numpy as jnp
import keras

focal = keras.losses.CategoricalFocalCrossentropy(from_logits=True)
plain = keras.losses.CategoricalCrossentropy(from_logits=True)
label = jnp.array([[1.0, 0.0]])
seen = []
for margin in (12.0, 20.0, 100.0, 1000.0):
    logits = jnp.array([[0.0, margin]])
    loss, gradient = jax.value_and_grad(lambda x: focal(label, x))(logits)
    seen.append((round(float(loss), 3), round(float(gradient[0, 0]), 3), round(float(plain(label, logits)), 3)))
print(seen)
assert seen == [(3.0, -0.25, 12.0), (4.03, 0.0, 20.0), (4.03, 0.0, 100.0), (4.03, 0.0, 1000.0)], "it has changed"
PY
