"""optax on JAX, in f64. Needs requirements/jax.txt."""

import common as b

b.quiet()

import jax
import jax.numpy as jnp
import optax

jax.config.update("jax_enable_x64", True)


def answer(function):
    x = jnp.array(b.LOGITS)
    assert x.dtype == jnp.float64
    return function(x), jax.grad(lambda x: function(x).sum())(x)


def main():
    record = b.Record("optax", "optax", {"optax": optax.__version__, "jax": jax.__version__})
    labels = jnp.array(b.LABELS)
    record.case("labels", "softmax", *answer(lambda x: optax.softmax_cross_entropy_with_integer_labels(x, labels)))
    one_hot = jax.nn.one_hot(labels, b.CLASSES)
    smooth = optax.smooth_labels(one_hot, b.SMOOTHING)
    record.case(
        "labels, smoothing",
        "softmax",
        *answer(lambda x: optax.softmax_cross_entropy(x, smooth)),
        smoothing=b.SMOOTHING,
    )
    for targets in ("dense", "uneven"):
        y = jnp.array(b.BATCH[targets])
        record.case(targets, "softmax", *answer(lambda x: optax.softmax_cross_entropy(x, y)), targets=targets)
    outside = jnp.array(b.labels("some", -1))
    record.case(
        "label -1",
        "softmax",
        optax.softmax_cross_entropy_with_integer_labels(jnp.array(b.LOGITS), outside),
        ignored="some",
        ignore_index=-1,
        reason="-1 is the last class there; xent refuses it, or ignores it if told to",
    )
    for targets in ("binary", "soft"):
        y = jnp.array(b.BATCH[targets])
        record.case(targets, "sigmoid", *answer(lambda x: optax.sigmoid_binary_cross_entropy(x, y)), targets=targets)
        for gamma, alpha in ((2.0, None), (2.0, 0.25), (0.5, 0.75)):
            record.case(
                f"{targets}, gamma {gamma}, alpha {alpha}",
                "sigmoid",
                optax.sigmoid_focal_loss(jnp.array(b.LOGITS), y, alpha=alpha, gamma=gamma),
                targets=targets,
                gamma=gamma,
                alpha=alpha,
            )
    record.write()


main()
