"""PyTorch: torch.nn.functional, in f64. Needs requirements/pytorch.txt."""

import torch
import torch.nn.functional as F

import common as b

IGNORE = -100


def tensor(values):
    return torch.tensor(values, dtype=torch.float64)


def answer(function):
    """The loss of the logits, and the gradient of its sum."""
    x = tensor(b.LOGITS).requires_grad_()
    value = function(x)
    value.sum().backward()
    return value.detach(), x.grad


def main():
    record = b.Record("pytorch", "pytorch", {"torch": torch.__version__.split("+")[0]})
    weights = tensor(b.CLASS_WEIGHTS)

    # Labels: every combination that cross_entropy supports.
    for ignored in ("none", "some", "all"):
        for class_weights in (False, True):
            for smoothing in (0.0, b.SMOOTHING):
                setting = {"ignored": ignored, "class_weights": class_weights, "smoothing": smoothing}
                labels = torch.tensor(b.labels(ignored, IGNORE))
                name = f"ignored {ignored}, class weights {class_weights}, smoothing {smoothing}"

                def loss(x, reduction="mean"):
                    weight = weights if class_weights else None
                    return F.cross_entropy(
                        x, labels, weight, ignore_index=IGNORE, label_smoothing=smoothing, reduction=reduction
                    )

                record.case(f"labels, {name}", "softmax", *answer(loss), **setting)
                for reduction in ("none", "sum"):
                    if ignored == "some" and class_weights:
                        record.case(
                            f"labels, {name}, {reduction}",
                            "softmax",
                            *answer(lambda x: loss(x, reduction)),
                            reduction=reduction,
                            **setting,
                        )
    zero = torch.zeros(b.CLASSES, dtype=torch.float64)
    record.case(
        "labels, all class weights zero",
        "softmax",
        F.cross_entropy(tensor(b.LOGITS), torch.tensor(b.LABELS), zero),
        class_weights="zero",
    )

    # Dense targets, which need not sum to one.
    for targets in ("dense", "uneven"):
        y = tensor(b.BATCH[targets])
        for class_weights in (False, True):
            for smoothing in (0.0, b.SMOOTHING):
                weight = weights if class_weights else None
                record.case(
                    f"{targets}, class weights {class_weights}, smoothing {smoothing}",
                    "softmax",
                    *answer(lambda x: F.cross_entropy(x, y, weight, label_smoothing=smoothing)),
                    targets=targets,
                    class_weights=class_weights,
                    smoothing=smoothing,
                )

    # Log-probabilities.
    log_p = torch.log_softmax(tensor(b.LOGITS), 1)
    for ignored in ("none", "some", "all"):
        for class_weights in (False, True):
            labels = torch.tensor(b.labels(ignored, IGNORE))
            record.case(
                f"log-probabilities, ignored {ignored}, class weights {class_weights}",
                "nll",
                F.nll_loss(log_p, labels, weights if class_weights else None, ignore_index=IGNORE),
                ignored=ignored,
                class_weights=class_weights,
            )

    # Binary.
    samples = tensor(b.SAMPLE_WEIGHTS)[:, None]
    for targets in ("binary", "soft"):
        y = tensor(b.BATCH[targets])
        for pos_weight in (False, True):
            for sample_weights in (False, True):
                record.case(
                    f"{targets}, pos_weight {pos_weight}, sample weights {sample_weights}",
                    "sigmoid",
                    *answer(
                        lambda x: F.binary_cross_entropy_with_logits(
                            x,
                            y,
                            weight=samples if sample_weights else None,
                            pos_weight=tensor(b.POS_WEIGHT) if pos_weight else None,
                        )
                    ),
                    targets=targets,
                    pos_weight=pos_weight,
                    sample_weights=sample_weights,
                )
        record.case(
            f"{targets}, weights of the classes",
            "sigmoid",
            *answer(lambda x: F.binary_cross_entropy_with_logits(x, y, weight=weights)),
            targets=targets,
            class_weights=True,
        )
        record.case(
            f"{targets}, probabilities",
            "logistic",
            F.binary_cross_entropy(torch.sigmoid(tensor(b.LOGITS)), y),
            targets=targets,
        )
        record.case(
            f"{targets}, soft margin",
            "soft_margin",
            *answer(lambda x: F.multilabel_soft_margin_loss(x, y)),
            targets=targets,
        )
    record.write()


main()
