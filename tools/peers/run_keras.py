"""Keras on JAX, in f64. Needs requirements/jax.txt.

The numbers come from the loss objects, as `fit` and `evaluate` show them. Only `fit` has class weights,
so with these `fit` prints the number.
"""

import os

import common as b

b.quiet()
os.environ["KERAS_BACKEND"] = "jax"

import jax

jax.config.update("jax_enable_x64", True)

import jax.numpy as jnp
import keras
import numpy as np

keras.config.set_floatx("float64")
SAMPLE_WEIGHTS = np.array(b.SAMPLE_WEIGHTS)


def answer(loss, y, sample_weight=None):
    x = jnp.array(b.LOGITS)
    assert x.dtype == jnp.float64

    def function(x):
        return loss(jnp.array(y), x, sample_weight=sample_weight)

    return function(x), jax.grad(lambda x: function(x).sum())(x)


def fitted(loss, y, **weights):
    """The loss that `fit` prints for one batch of logits, which no layer changes."""
    model = keras.Sequential([keras.Input((b.CLASSES,)), keras.layers.Activation("linear")])
    model.compile(optimizer=keras.optimizers.SGD(0.0), loss=loss, run_eagerly=False)
    history = model.fit(np.array(b.LOGITS), np.array(y), batch_size=b.ROWS, verbose=0, shuffle=False, **weights)
    return history.history["loss"][0]


def main():
    record = b.Record("keras", "keras", {"keras": keras.__version__, "jax": jax.__version__}, "f64")
    sparse, dense = keras.losses.SparseCategoricalCrossentropy, keras.losses.CategoricalCrossentropy
    class_weight = dict(enumerate(b.CLASS_WEIGHTS))
    # Keras adds 1e-7 to the number of rows that are not ignored, so in f64 the numbers are only as
    # exact as in f32.
    shaky = {"format": "f32"}

    for ignored, index in (("none", None), ("some", -1), ("some", 255), ("all", -1)):
        for sample_weights in (False, True):
            settings = {"ignored": ignored, "sample_weights": sample_weights}
            if index is not None:
                settings |= {"ignore_index": index} | shaky
            loss = sparse(from_logits=True, ignore_class=index)
            record.case(
                f"labels, ignored {ignored} {index}, sample weights {sample_weights}",
                "softmax",
                *answer(loss, b.labels(ignored, index), SAMPLE_WEIGHTS if sample_weights else None),
                **settings,
            )
    one_hot = np.eye(b.CLASSES)[b.LABELS]
    # `fit` accepts either class weights or sample weights.
    record.case(
        "labels, class weights of fit",
        "softmax",
        fitted(sparse(from_logits=True), b.LABELS, class_weight=class_weight),
        class_weights=True,
        format="f32",
    )
    record.case(
        "one-hot, class weights of fit, smoothing",
        "softmax",
        fitted(dense(from_logits=True, label_smoothing=b.SMOOTHING), one_hot, class_weight=class_weight),
        class_weights=True,
        smoothing=b.SMOOTHING,
        reason="its class weight is a factor of the whole row; xent's multiplies each smoothed target: give the "
        "weight of the label as a sample weight",
    )
    for sample_weights in (False, True):
        for smoothing in (0.0, b.SMOOTHING):
            samples = SAMPLE_WEIGHTS if sample_weights else None
            record.case(
                f"one-hot, smoothing {smoothing}, sample weights {sample_weights}",
                "softmax",
                *answer(dense(from_logits=True, label_smoothing=smoothing), one_hot, samples),
                sample_weights=sample_weights,
                smoothing=smoothing,
            )
    for targets in ("dense", "uneven"):
        record.case(
            targets, "softmax", *answer(dense(from_logits=True), b.BATCH[targets]), targets=targets
        )
    for reduction in (None, "sum"):
        loss = sparse(from_logits=True, ignore_class=-1, reduction=reduction)
        record.case(
            f"labels, two ignored, {reduction or 'none'}",
            "softmax",
            *answer(loss, b.labels("some", -1)),
            ignored="some",
            ignore_index=-1,
            reduction=reduction or "none",
        )
    # The binary losses are exact to 1e-8 only, in f64 too.
    for targets in ("binary", "soft"):
        y = np.array(b.BATCH[targets], np.float64)
        for smoothing in (0.0, b.SMOOTHING):
            for sample_weights in (False, True):
                record.case(
                    f"{targets}, smoothing {smoothing}, sample weights {sample_weights}",
                    "sigmoid",
                    *answer(
                        keras.losses.BinaryCrossentropy(from_logits=True, label_smoothing=smoothing),
                        y,
                        SAMPLE_WEIGHTS if sample_weights else None,
                    ),
                    targets=targets,
                    smoothing=smoothing,
                    sample_weights=sample_weights,
                    **shaky,
                )
        for gamma, alpha in ((2.0, None), (2.0, 0.25)):
            loss = keras.losses.BinaryFocalCrossentropy(
                apply_class_balancing=alpha is not None, alpha=alpha or 0.25, gamma=gamma, from_logits=True
            )
            record.case(
                f"{targets}, gamma {gamma}, alpha {alpha}",
                "sigmoid",
                *answer(loss, y),
                targets=targets,
                gamma=gamma,
                alpha=alpha,
                **shaky,
            )
    record.case(
        "one-hot, focal, gamma 2",
        "softmax",
        *answer(keras.losses.CategoricalFocalCrossentropy(alpha=1.0, gamma=2.0, from_logits=True), one_hot),
        gamma=2.0,
    )
    record.write()


main()
