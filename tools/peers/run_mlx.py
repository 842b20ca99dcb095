"""MLX: mlx.nn.losses on the CPU, in f32. Needs requirements/mlx.txt."""

from importlib.metadata import version

import mlx.core as mx
import mlx.nn as nn

import common as b

mx.set_default_device(mx.cpu)


def answer(function):
    x = mx.array(b.LOGITS, mx.float32)
    return function(x), mx.grad(lambda x: function(x).sum())(x)


def main():
    record = b.Record("mlx", "mlx", {"mlx": version("mlx")}, "f32")
    labels = mx.array(b.LABELS)
    weights = mx.array(b.SAMPLE_WEIGHTS, mx.float32)
    for sample_weights in (False, True):
        for smoothing in (0.0, b.SMOOTHING):
            for reduction in (None, "sum", "mean"):
                with_reduction = {"reduction": reduction} if reduction else {}
                # MLX has no ignored labels and no class weights.
                record.case(
                    f"labels, sample weights {sample_weights}, smoothing {smoothing}, {reduction or 'none'}",
                    "softmax",
                    *answer(
                        lambda x: nn.losses.cross_entropy(
                            x,
                            labels,
                            weights=weights if sample_weights else None,
                            label_smoothing=smoothing,
                            **with_reduction,
                        )
                    ),
                    sample_weights=sample_weights,
                    smoothing=smoothing,
                    **with_reduction,
                )
    for smoothing in (0.0, b.SMOOTHING):
        y = mx.array(b.DENSE, mx.float32)
        record.case(
            f"dense, smoothing {smoothing}",
            "softmax",
            *answer(lambda x: nn.losses.cross_entropy(x, y, label_smoothing=smoothing)),
            targets="dense",
            smoothing=smoothing,
        )
    y = mx.array(b.UNEVEN, mx.float32)
    record.case(
        "uneven",
        "softmax",
        *answer(lambda x: nn.losses.cross_entropy(x, y)),
        targets="uneven",
        reason="ln Σ e^(x-m) - Σ y (x-m) for the largest logit m: the cross-entropy only where targets sum to one",
    )
    for targets in ("binary", "soft"):
        y = mx.array(b.BATCH[targets], mx.float32)
        for sample_weights in (False, True):
            spread = mx.broadcast_to(weights[:, None], (b.ROWS, b.CLASSES)) if sample_weights else None
            record.case(
                f"{targets}, sample weights {sample_weights}",
                "sigmoid",
                *answer(lambda x: nn.losses.binary_cross_entropy(x, y, weights=spread)),
                targets=targets,
                sample_weights=sample_weights,
            )
    log_p = nn.log_softmax(mx.array(b.LOGITS, mx.float32), axis=1)
    record.case("log-probabilities", "nll", nn.losses.nll_loss(log_p, labels))
    record.write()


main()
