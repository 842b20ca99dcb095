"""scikit-learn: log_loss of probabilities, and the losses of its own boosting, in f64. Needs requirements/boosting.txt."""

import numpy as np
import sklearn
from sklearn._loss import HalfBinomialLoss, HalfMultinomialLoss
from sklearn.metrics import log_loss

import common as b
from hessians import Hessians

VERSIONS = {"scikit-learn": sklearn.__version__}


def main():
    record = b.Record("sklearn", "sklearn", VERSIONS)
    logits, y = np.array(b.LOGITS), np.array(b.LABELS)
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    samples = np.array(b.SAMPLE_WEIGHTS)
    classes = list(range(b.CLASSES))
    half = HalfMultinomialLoss(n_classes=b.CLASSES)
    for sample_weights in (False, True):
        weights = samples if sample_weights else None
        for normalize in (True, False):
            setting = {"sample_weights": sample_weights}
            if not normalize:
                setting["reduction"] = "sum"
            value = log_loss(y, p, labels=classes, sample_weight=weights, normalize=normalize)
            for loss in ("softmax", "multinomial_logistic"):
                record.case(
                    f"log_loss, {loss}, sample weights {sample_weights}, normalize {normalize}", loss, value, **setting
                )
        record.case(
            f"HalfMultinomialLoss, sample weights {sample_weights}",
            "softmax",
            half(y.astype(float), logits, weights),
            sample_weights=sample_weights,
        )
    # Two classes, as one column of probabilities.
    first, binary = logits[:, 0], np.array(b.BINARY)[:, 0]
    for sample_weights in (False, True):
        weights = samples if sample_weights else None
        q = 1 / (1 + np.exp(-first))
        value = log_loss(binary, q, sample_weight=weights)
        for loss in ("sigmoid", "logistic"):
            record.case(
                f"log_loss, {loss} of the first column, sample weights {sample_weights}",
                loss,
                value,
                targets="binary_column",
                sample_weights=sample_weights,
            )
    record.write()

    hessians = Hessians("sklearn", "Exact", VERSIONS, "f64")
    for sample_weights in (False, True):
        weights = samples if sample_weights else None
        gradient, hessian = half.gradient_hessian(y.astype(float), logits, weights)
        hessians.case("HalfMultinomialLoss", "softmax", hessian, gradient, sample_weights)
        gradient, hessian = HalfBinomialLoss().gradient_hessian(binary.astype(float), first.copy(), weights)
        hessians.case("HalfBinomialLoss", "sigmoid", hessian, gradient, sample_weights)
    hessians.write()


main()
