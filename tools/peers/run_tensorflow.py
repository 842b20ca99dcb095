"""TensorFlow: tf.nn and tf.compat.v1.losses, in f64. Needs requirements/tensorflow.txt.

tf.keras.losses is Keras: run_keras.py.
"""

import common as b

b.quiet()

import tensorflow as tf

v1 = tf.compat.v1.losses


def tensor(values):
    return tf.constant(values, tf.float64)


def answer(function):
    x = tensor(b.LOGITS)
    with tf.GradientTape() as tape:
        tape.watch(x)
        value = function(x)
    return value.numpy(), tape.gradient(value, x).numpy()


def main():
    record = b.Record("tensorflow", "tensorflow", {"tensorflow": tf.__version__})
    labels, one_hot = tf.constant(b.LABELS), tf.one_hot(b.LABELS, b.CLASSES, dtype=tf.float64)
    samples = tensor(b.SAMPLE_WEIGHTS)
    record.case(
        "labels",
        "softmax",
        *answer(lambda x: tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=x)),
    )
    record.case(
        "dense",
        "softmax",
        *answer(lambda x: tf.nn.softmax_cross_entropy_with_logits(labels=tensor(b.DENSE), logits=x)),
        targets="dense",
    )
    value, grad = answer(lambda x: tf.nn.softmax_cross_entropy_with_logits(labels=tensor(b.UNEVEN), logits=x))
    record.other_gradient(
        "uneven", "softmax", value, grad, "the gradient is p - y; that of the loss is p Σ y - y", targets="uneven"
    )
    for targets in ("binary", "soft"):
        y = tensor(b.BATCH[targets])
        record.case(
            targets,
            "sigmoid",
            *answer(lambda x: tf.nn.sigmoid_cross_entropy_with_logits(labels=y, logits=x)),
            targets=targets,
        )
        record.other_gradient(
            f"{targets}, pos_weight",
            "sigmoid",
            *answer(lambda x: tf.nn.weighted_cross_entropy_with_logits(y, x, tensor(b.POS_WEIGHT))),
            "where a logit is exactly 0 the gradient is 1 - y; that of the loss is (1 - y (1 + q)) / 2",
            targets=targets,
            pos_weight=True,
        )
    # The losses of version 1 compute in f32, sum, and divide by the number of weights that are not
    # zero.
    for sample_weights in (False, True):
        weights = samples if sample_weights else 1.0
        setting = {"sample_weights": sample_weights, "reduction": "mean", "mean_over": "NotIgnored", "format": "f32"}
        record.case(
            f"labels, v1, sample weights {sample_weights}",
            "softmax",
            *answer(lambda x: v1.sparse_softmax_cross_entropy(labels, x, weights)),
            **setting,
        )
        record.case(
            f"labels, v1, smoothing, sample weights {sample_weights}",
            "softmax",
            *answer(lambda x: v1.softmax_cross_entropy(one_hot, x, weights, label_smoothing=b.SMOOTHING)),
            smoothing=b.SMOOTHING,
            **setting,
        )
        spread = samples[:, None] if sample_weights else 1.0
        record.case(
            f"binary, v1, smoothing, sample weights {sample_weights}",
            "sigmoid",
            *answer(
                lambda x: v1.sigmoid_cross_entropy(tensor(b.BINARY), x, spread, label_smoothing=b.SMOOTHING)
            ),
            targets="binary",
            smoothing=b.SMOOTHING,
            **setting,
        )
    zeros = tensor([0.0 if row in b.IGNORED_ROWS else weight for row, weight in enumerate(b.SAMPLE_WEIGHTS)])
    record.case(
        "labels, v1, two ignored by weights of zero",
        "softmax",
        *answer(lambda x: v1.sparse_softmax_cross_entropy(labels, x, zeros)),
        ignored="some",
        ignore_index=-1,
        sample_weights=True,
        reduction="mean",
        mean_over="NotIgnored",
        format="f32",
    )
    record.case(
        "labels, v1, all ignored by weights of zero",
        "softmax",
        *answer(lambda x: v1.sparse_softmax_cross_entropy(labels, x, tensor([0.0] * b.ROWS))),
        ignored="all",
        ignore_index=-1,
        reduction="mean",
        mean_over="NotIgnored",
    )
    record.write()


main()
