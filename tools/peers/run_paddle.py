"""PaddlePaddle: paddle.nn.functional on the CPU, in f64. Needs requirements/paddle.txt."""

import paddle
import paddle.nn.functional as F

import common as b

paddle.set_device("cpu")


def tensor(values, dtype="float64"):
    return paddle.to_tensor(values, dtype=dtype)


def answer(function):
    x = paddle.to_tensor(b.LOGITS, dtype="float64", stop_gradient=False)
    value = function(x)
    value.sum().backward()
    return value.detach(), x.grad


def main():
    record = b.Record("paddle", "paddle", {"paddlepaddle": paddle.__version__})
    weights = tensor(b.CLASS_WEIGHTS)

    for ignored, index in (("none", None), ("some", -100), ("some", -1), ("some", 255), ("all", -100), ("all", 255)):
        for class_weights in (False, True):
            for reduction in (None, "none", "sum"):
                if reduction and not (class_weights and index == -100 and ignored == "some"):
                    continue
                labels = tensor(b.labels(ignored, index), "int64")
                keywords = {"reduction": reduction} if reduction else {}
                setting = dict(keywords)
                # -100 is Paddle's default.
                if index not in (None, -100):
                    keywords["ignore_index"] = setting["ignore_index"] = index
                record.case(
                    f"labels, ignored {ignored} {index}, class weights {class_weights}, {reduction or 'mean'}",
                    "softmax",
                    *answer(lambda x: F.cross_entropy(x, labels, weights if class_weights else None, **keywords)),
                    ignored=ignored,
                    class_weights=class_weights,
                    **setting,
                )
    labels = tensor(b.LABELS, "int64")
    for class_weights in (False, True):
        weight = weights if class_weights else None
        record.case(
            f"labels, smoothing, class weights {class_weights}",
            "softmax",
            *answer(lambda x: F.cross_entropy(x, labels, weight, label_smoothing=b.SMOOTHING)),
            class_weights=class_weights,
            smoothing=b.SMOOTHING,
            format="f32",
            **(
                {
                    "reason": "a row has the factor Σ w y of its smoothed target y, and the mean divides by the sum "
                    "of these; xent multiplies each target and divides by the weights of the labels"
                }
                if class_weights
                else {}
            ),
        )
    for targets in ("dense", "uneven"):
        y = tensor(b.BATCH[targets])
        found = answer(lambda x: F.cross_entropy(x, y, soft_label=True))
        if targets == "dense":
            record.case("dense", "softmax", *found, targets=targets)
        else:
            reason = "the gradient is p - y; that of the loss is p Σ y - y"
            record.other_gradient("uneven", "softmax", *found, reason, targets=targets)
        record.case(
            f"{targets}, class weights",
            "softmax",
            *answer(lambda x: F.cross_entropy(x, y, weights, soft_label=True)),
            "a row has the factor Σ w y, and the mean divides by the sum of these",
            targets=targets,
            class_weights=True,
        )

    log_p = F.log_softmax(tensor(b.LOGITS))
    for class_weights in (False, True):
        weight = weights if class_weights else None
        record.case(
            f"log-probabilities, class weights {class_weights}",
            "nll",
            F.nll_loss(log_p, tensor(b.LABELS, "int64"), weight),
            class_weights=class_weights,
        )
    for targets in ("binary", "soft"):
        y = tensor(b.BATCH[targets])
        samples = tensor(b.SAMPLE_WEIGHTS).reshape([b.ROWS, 1])
        for pos_weight in (False, True):
            for sample_weights in (False, True):
                found = answer(
                    lambda x: F.binary_cross_entropy_with_logits(
                        x,
                        y,
                        samples if sample_weights else None,
                        pos_weight=tensor(b.POS_WEIGHT) if pos_weight else None,
                    )
                )
                name = f"{targets}, pos_weight {pos_weight}, sample weights {sample_weights}"
                setting = {"targets": targets, "pos_weight": pos_weight, "sample_weights": sample_weights}
                if pos_weight:
                    record.case(name, "sigmoid", *found, **setting)
                else:
                    reason = "where a logit is exactly 0 the gradient is -1/2 - y; that of the loss is 1/2 - y"
                    record.other_gradient(name, "sigmoid", *found, reason, **setting)
        for reduction in (None, "mean"):
            setting = {"reduction": reduction} if reduction else {}
            record.other_gradient(
                f"{targets}, sigmoid_focal_loss, {reduction or 'sum'}",
                "sigmoid",
                *answer(lambda x: F.sigmoid_focal_loss(x, y, **setting)),
                "it has the gradient of the binary loss inside, which is wrong where a logit is exactly 0",
                targets=targets,
                gamma=2.0,
                alpha=0.25,
                reduction=reduction or "sum",
            )
    record.write()


main()
